//! The first step of the decision: what the request carries ([`Evidence`]).

use std::borrow::Cow;
use std::fmt;

use crate::config::{Carrier, Config, CsrfMode, SOURCES_MAX, Submit};
use crate::cookie;
use crate::csrf;
use crate::denial::Denial;
use crate::origin::OriginRead;
use crate::protocol::{Offer, Protocol};
use crate::request::Request;

/// What a request carries: one token, unambiguously, and, where cookies are involved, an allowed
/// Origin and a CSRF value that was submitted twice. Nothing of it is verified yet.
pub struct Evidence<'a> {
    pub(crate) token: Cow<'a, str>,
    /// Whether `token` is a `Cookie` header's value, for a delegate.
    is_cookies: bool,
    /// Position of the token's source; the first, if several carried the same token.
    pub(crate) source: usize,
    /// One bit per source that carried the token.
    carriers: u16,
    /// Whether one of those was the query.
    pub(crate) by_query: bool,
    pub(crate) csrf: CsrfEvidence<'a>,
    /// What the Origin rule read; `None` if no cookie asked for it.
    origin: Option<OriginRead<'a>>,
    pub(crate) offer: Offer<'a>,
    pub(crate) report_only_hits: Vec<Denial>,
}

/// What became of the CSRF rule so far.
#[derive(Clone, Copy)]
pub(crate) enum CsrfEvidence<'a> {
    /// The token came without cookies.
    None,
    /// The rule is off.
    Off,
    /// The rule is broken and only reports.
    Reported,
    /// The cookie's value, present and submitted where the mode asks for that.
    Value(&'a [u8]),
}

/// What a delegate is asked about; never for a log.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// A token, to be sent as `Authorization: Bearer`.
    Bearer(&'a str),
    /// The cookies that the configuration names, as the value of a `Cookie` header.
    Cookies(&'a str),
}

impl fmt::Debug for Credential<'_> {
    /// The kind only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer(***)",
            Self::Cookies(_) => "Cookies(***)",
        })
    }
}

impl Evidence<'_> {
    /// What a delegate is sent, and nothing else of the request.
    pub fn credential(&self) -> Credential<'_> {
        match self.is_cookies {
            true => Credential::Cookies(&self.token),
            false => Credential::Bearer(&self.token),
        }
    }

    /// What a gateway does with the subprotocols.
    pub fn protocol(&self) -> Protocol {
        self.offer.report()
    }

    /// Rules that were broken and only report. A decision with any must not be cached.
    pub fn report_only_hits(&self) -> &[Denial] {
        &self.report_only_hits
    }

    /// Feeds every value that the decision read, and which were absent, to a hash: two requests
    /// with the same fingerprint get the same verdict as long as configuration, keys and time
    /// allow. Each value is preceded by a tag and its length, so that none can pose as another.
    pub fn fingerprint(&self, feed: &mut dyn FnMut(&[u8])) {
        let mut value = |tag: u8, value: Option<&[u8]>| {
            let length = value.map_or(u64::MAX, |value| value.len() as u64);
            let mut head = [tag; 9];
            head[1..].copy_from_slice(&length.to_be_bytes());
            feed(&head);
            feed(value.unwrap_or_default());
        };
        value(b't', Some(self.token.as_bytes()));
        value(b'c', Some(&self.carriers.to_be_bytes()));
        value(b's', Some(&self.source.to_be_bytes()));
        let (state, csrf) = match self.csrf {
            CsrfEvidence::None => (0, None),
            CsrfEvidence::Off => (1, None),
            CsrfEvidence::Reported => (2, None),
            // Submitted values equal the cookie's, else there would be no evidence.
            CsrfEvidence::Value(csrf) => (3, Some(csrf)),
        };
        value(b'x', Some(&[state]));
        value(b'v', csrf);
        let origin = self.origin.unwrap_or_default();
        value(b'r', Some(&[u8::from(self.origin.is_some()), u8::from(origin.fetched)]));
        value(b'o', origin.origin);
        value(b'm', origin.fetch_mode);
        for entry in self.offer.entries() {
            value(b'p', Some(entry.as_bytes()));
        }
        value(b'n', Some(&self.offer.entries().len().to_be_bytes()));
        for hit in &self.report_only_hits {
            value(b'h', Some(hit.code().as_bytes()));
        }
    }
}

impl fmt::Debug for Evidence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evidence")
            .field("token", &"***")
            .field("source", &self.source)
            .field("report_only_hits", &self.report_only_hits)
            .finish_non_exhaustive()
    }
}

/// One cookie that the decision reads: how often it occurs, and its last value.
#[derive(Clone, Copy, Default)]
struct Slot<'a> {
    count: usize,
    value: &'a [u8],
}

impl<'a> Slot<'a> {
    fn only(self) -> Result<Option<&'a [u8]>, Denial> {
        match self.count {
            0 => Ok(None),
            1 => Ok(Some(self.value)),
            _ => Err(Denial::CookieAmbiguous),
        }
    }
}

/// Steps 1 and 2, and the part of the CSRF rule that needs no verified claims.
pub(crate) fn read<'a>(config: &Config, request: &Request<'a>) -> Result<Evidence<'a>, Denial> {
    let mut slots = [Slot::default(); SOURCES_MAX + 1];
    read_cookies(config, request, &mut slots);
    let mut cookie_slots = slots.iter();
    let mut found = Found::default();
    let mut offer = None;
    for (n, carrier) in config.sources.iter().enumerate() {
        let token = match carrier {
            Carrier::Cookie(name) => {
                let slot = cookie_slots.next().copied().unwrap_or_default();
                let value = slot.only()?.map(text).transpose()?;
                match (value, &config.delegate) {
                    (Some(value), Some(_)) => {
                        found.cookies.push((n, name, value));
                        None
                    }
                    (value, _) => value,
                }
            }
            Carrier::Header(name) => header_token(request, name)?,
            Carrier::Protocol => {
                let read = read_offer(config, request, true)?;
                offer.insert(read).token.clone()
            }
            Carrier::Query(name) => only(request.parameter(name))?.map(Cow::Borrowed),
        };
        found.add(config, n, token)?;
    }
    let offer = match offer {
        Some(offer) => offer,
        None => read_offer(config, request, false)?,
    };
    found.join_cookies(config)?;
    let token = found.token.ok_or(Denial::TokenMissing)?;

    let mut report_only_hits = Vec::new();
    let mut origin = None;
    if slots.iter().any(|slot| 0 < slot.count) {
        let checked = config.origins.check(request, origin.insert(OriginRead::default()));
        report(checked, config.report_only.origin, &mut report_only_hits)?;
    }
    let csrf = match (found.by_cookie, config.csrf.mode) {
        (false, _) => CsrfEvidence::None,
        (true, CsrfMode::Off) => CsrfEvidence::Off,
        (true, CsrfMode::Claim | CsrfMode::Signed | CsrfMode::Submit) => {
            let cookie = cookie_slots.next().copied().unwrap_or_default().only();
            let checked = cookie
                .and_then(|cookie| csrf::check_submitted(&config.csrf, request, &offer, cookie));
            let value = report(checked, config.report_only.csrf, &mut report_only_hits)?;
            value.map_or(CsrfEvidence::Reported, CsrfEvidence::Value)
        }
    };
    let Found { source, carriers, by_query, cookies, .. } = found;
    let is_cookies = !cookies.is_empty();
    Ok(Evidence {
        token,
        is_cookies,
        source,
        carriers,
        by_query,
        csrf,
        origin,
        offer,
        report_only_hits,
    })
}

/// A token that came over an open connection: whoever sends there was let in before, so that no
/// carrier, Origin or CSRF value is looked at.
pub(crate) fn renewal<'a>(config: &Config, token: &'a str) -> Result<Evidence<'a>, Denial> {
    match token.len() {
        0 => return Err(Denial::TokenMissing),
        length if config.token_bytes_max < length => return Err(Denial::TokenTooLong),
        _ => {}
    }
    if config.delegate.is_some() {
        check_bearer(token)?;
    }
    Ok(Evidence {
        token: Cow::Borrowed(token),
        is_cookies: false,
        source: 0,
        carriers: 0,
        by_query: false,
        csrf: CsrfEvidence::None,
        origin: None,
        offer: Offer::default(),
        report_only_hits: Vec::new(),
    })
}

/// Whether a delegate can be sent `token`: the `b64token` of [RFC 6750 §2.1]. What is none would
/// only make the call fail, or mean something else there.
///
/// [RFC 6750 §2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
fn check_bearer(token: &str) -> Result<(), Denial> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
    let body = token.trim_end_matches('=');
    match !body.is_empty() && body.bytes().all(is_plain) {
        true => Ok(()),
        false => Err(Denial::TokenMalformed),
    }
}

/// A `cookie-octet` of [RFC 6265 §4.1.1]: servers read anything else in different ways.
///
/// [RFC 6265 §4.1.1]: https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}

/// Turns a denial of a rule that only reports into a hit.
pub(crate) fn report<T>(
    checked: Result<T, Denial>,
    report_only: bool,
    hits: &mut Vec<Denial>,
) -> Result<Option<T>, Denial> {
    match checked {
        Ok(value) => Ok(Some(value)),
        Err(denial) if report_only => {
            hits.push(denial);
            Ok(None)
        }
        Err(denial) => Err(denial),
    }
}

#[derive(Default)]
struct Found<'c, 'a> {
    token: Option<Cow<'a, str>>,
    source: usize,
    carriers: u16,
    by_cookie: bool,
    by_query: bool,
    /// Source, name and value of the cookies that a delegate is sent.
    cookies: Vec<(usize, &'c str, Cow<'a, str>)>,
}

impl<'a> Found<'_, 'a> {
    /// Makes one credential of the cookies for a delegate. Any of them makes the request one with
    /// cookies, even an empty one; a token beside them must be the value of one.
    fn join_cookies(&mut self, config: &Config) -> Result<(), Denial> {
        let Some((first, ..)) = self.cookies.first() else {
            return match &self.token {
                Some(token) if config.delegate.is_some() => check_bearer(token),
                _ => Ok(()),
            };
        };
        self.source = *first;
        if let Some(token) = &self.token
            && !self.cookies.iter().any(|(.., value)| value == token)
        {
            return Err(Denial::TokenAmbiguous);
        }
        let mut joined = String::new();
        for (n, name, value) in &self.cookies {
            if !value.bytes().all(is_cookie_octet) {
                return Err(Denial::TokenMalformed);
            }
            self.carriers |= 1 << n;
            let separator = if joined.is_empty() { "" } else { "; " };
            for part in [separator, name, "=", value] {
                joined.push_str(part);
            }
        }
        if config.token_bytes_max < joined.len() {
            return Err(Denial::TokenTooLong);
        }
        self.by_cookie = true;
        self.token = Some(Cow::Owned(joined));
        Ok(())
    }

    fn add(
        &mut self,
        config: &Config,
        n: usize,
        token: Option<Cow<'a, str>>,
    ) -> Result<(), Denial> {
        let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(()) };
        if config.token_bytes_max < token.len() {
            return Err(Denial::TokenTooLong);
        }
        match &self.token {
            None => (self.token, self.source) = (Some(token), n),
            Some(first) if *first == token => {}
            Some(_) => return Err(Denial::TokenAmbiguous),
        }
        self.carriers |= 1 << n;
        match config.sources[n] {
            Carrier::Cookie(_) => self.by_cookie = true,
            Carrier::Query(_) => self.by_query = true,
            Carrier::Header(_) | Carrier::Protocol => {}
        }
        Ok(())
    }
}

/// Fills one slot per cookie that the decision reads, in their order; cost is one pass over the
/// header, and no allocation.
fn read_cookies<'a>(config: &Config, request: &Request<'a>, slots: &mut [Slot<'a>]) {
    for line in request.header("cookie") {
        for (name, value) in cookie::pairs(line) {
            for (slot, wanted) in slots.iter_mut().zip(&config.cookie_names) {
                if name == wanted.as_bytes() {
                    *slot = Slot { count: slot.count + 1, value };
                }
            }
        }
    }
}

/// Reads the subprotocols, if the decision has any business with them.
fn read_offer<'a>(
    config: &Config,
    request: &Request<'a>,
    is_source: bool,
) -> Result<Offer<'a>, Denial> {
    let submit = match config.csrf.mode {
        CsrfMode::Signed | CsrfMode::Submit => config.csrf.submit.as_slice(),
        CsrfMode::Claim | CsrfMode::Off => &[],
    };
    if !is_source && !submit.iter().any(|place| matches!(place, Submit::Protocol(_))) {
        return Ok(Offer::default());
    }
    Offer::read(request, is_source.then_some(&config.protocol), submit)
}

/// The token of an `Authorization` header ([RFC 6750 §2.1]); another header may leave out the
/// scheme.
///
/// [RFC 6750 §2.1]: https://www.rfc-editor.org/rfc/rfc6750#section-2.1
fn header_token<'a>(request: &Request<'a>, name: &str) -> Result<Option<Cow<'a, str>>, Denial> {
    let Some(value) = only(request.header(name))? else { return Ok(None) };
    let value = cookie::trim(value);
    let scheme = value.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"));
    match value.get(6) {
        Some(b' ' | b'\t') if scheme => text(cookie::trim(&value[6..])).map(Some),
        None if scheme => Err(Denial::TokenMalformed),
        _ if name == "authorization" => Ok(None),
        _ => text(value).map(Some),
    }
}

fn only<T>(mut values: impl Iterator<Item = T>) -> Result<Option<T>, Denial> {
    let value = values.next();
    match values.next() {
        Some(_) => Err(Denial::TokenAmbiguous),
        None => Ok(value),
    }
}

fn text(value: &[u8]) -> Result<Cow<'_, str>, Denial> {
    std::str::from_utf8(value).map(Cow::Borrowed).map_err(|_| Denial::TokenMalformed)
}
