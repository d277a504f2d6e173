//! Tokens and CSRF values in `Sec-WebSocket-Protocol` ([RFC 6455 §11.3.4]).
//!
//! A browser can set no other header of a handshake. What it puts here must be a list of RFC 9110
//! tokens, which base64url segments are; one of the entries has to be answered, and that must
//! never be a secret one.
//!
//! [RFC 6455 §11.3.4]: https://www.rfc-editor.org/rfc/rfc6455#section-11.3.4

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::{KUBERNETES_PREFIX, ProtocolRules, Submit, is_token};
use crate::cookie::trim;
use crate::denial::Denial;
use crate::request::Request;

/// Entries that are read; each is compared with all others.
const ENTRIES_MAX: usize = 16;

/// What a gateway does with the subprotocols of a granted handshake. Holds no secret.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Protocol {
    /// Entries that carried a token or CSRF value. 0: the header stays as it is, and the
    /// integration chooses the answer alone.
    pub stripped: usize,
    /// The other entries, in order: what the `$connect` integration may see instead of the
    /// header's value. If empty, it sees no such header.
    pub kept: Vec<String>,
    /// What to answer when the integration says nothing: the first entry that is neither secret
    /// nor marker, else the marker of a pair. `None` if nothing was stripped, or nothing is fit.
    pub answer: Option<String>,
}

/// The entries of one handshake, each with its part.
#[derive(Clone, Default)]
pub(crate) struct Offer<'a> {
    entries: Vec<(&'a str, Part)>,
    /// The token, decoded where its form encodes it.
    pub(crate) token: Option<Cow<'a, str>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Csrf,
    Marker,
    Other,
    Token,
}

impl<'a> Offer<'a> {
    /// Reads the header's lines. `rules` is there if the header is a source of tokens;
    /// `submit` says which entries have CSRF values.
    pub(crate) fn read(
        request: &Request<'a>,
        rules: Option<&ProtocolRules>,
        submit: &[Submit],
    ) -> Result<Self, Denial> {
        let mut offer = Self::default();
        for line in request.header("sec-websocket-protocol") {
            offer.push_line(line, submit)?;
        }
        match rules {
            Some(rules) => offer.find_token(rules)?,
            None => offer.hide_tokens(),
        }
        if offer.has_duplicates() {
            return Err(Denial::TokenMalformed);
        }
        Ok(offer)
    }

    /// Values of the entries that begin with the CSRF prefix `prefix`.
    pub(crate) fn csrf_values(&self, prefix: &str) -> impl Iterator<Item = &'a str> {
        let entries = self.entries.iter().filter(|(_, part)| *part == Part::Csrf);
        entries.filter_map(move |(text, _)| text.strip_prefix(prefix))
    }

    /// All entries, in order.
    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = &'a str> {
        self.entries.iter().map(|(text, _)| *text)
    }

    /// What the gateway does with them.
    pub(crate) fn report(&self) -> Protocol {
        let open = |part: &Part| matches!(part, Part::Marker | Part::Other);
        let stripped = self.entries.iter().filter(|(_, part)| !open(part)).count();
        if stripped == 0 {
            return Protocol::default();
        }
        let first = |part| self.entries.iter().find(|(_, p)| *p == part);
        let answer = first(Part::Other).or_else(|| first(Part::Marker));
        let kept = self.entries.iter().filter(|(_, part)| open(part));
        Protocol {
            stripped,
            kept: kept.map(|(text, _)| (*text).to_owned()).collect(),
            answer: answer.map(|(text, _)| (*text).to_owned()),
        }
    }

    fn push_line(&mut self, line: &'a [u8], submit: &[Submit]) -> Result<(), Denial> {
        let mut rest = Some(line);
        while let Some(line) = rest {
            let end = memchr::memchr(b',', line);
            let entry = &line[..end.unwrap_or(line.len())];
            rest = end.map(|end| &line[end + 1..]);
            let text = std::str::from_utf8(trim(entry)).map_err(|_| Denial::TokenMalformed)?;
            if !is_token(text) || self.entries.len() == ENTRIES_MAX {
                return Err(Denial::TokenMalformed);
            }
            let is_csrf = submit.iter().any(|place| match place {
                Submit::Protocol(prefix) => text.starts_with(prefix.as_str()),
                Submit::Query(_) => false,
            });
            self.entries.push((text, if is_csrf { Part::Csrf } else { Part::Other }));
        }
        Ok(())
    }

    fn find_token(&mut self, rules: &ProtocolRules) -> Result<(), Denial> {
        let mut tokens = 0;
        let mut needs_other = false;
        for n in 0..self.entries.len() {
            let (text, part) = self.entries[n];
            if part != Part::Other {
                continue;
            }
            let token = if rules.markers.iter().any(|marker| marker == text) {
                self.entries[n].1 = Part::Marker;
                let next = self.entries.get_mut(n + 1).filter(|(_, part)| *part == Part::Other);
                let next = next.filter(|(text, _)| is_jwt_shaped(text));
                let next = next.ok_or(Denial::TokenMalformed)?;
                next.1 = Part::Token;
                Some(Cow::Borrowed(next.0))
            } else if let Some(encoded) = text.strip_prefix(KUBERNETES_PREFIX) {
                self.entries[n].1 = Part::Token;
                needs_other = true;
                Some(decode(encoded)?)
            } else if let Some(rest) = strip_longest(text, &rules.prefixes) {
                self.entries[n].1 = Part::Token;
                Some(shaped(Cow::Borrowed(rest))?)
            } else if is_jwt(text) {
                self.entries[n].1 = Part::Token;
                rules.bare.then_some(Cow::Borrowed(text))
            } else if holds_jwt(text) {
                self.entries[n].1 = Part::Token;
                None
            } else {
                continue;
            };
            tokens += 1;
            self.token = token;
        }
        if 1 < tokens {
            return Err(Denial::TokenAmbiguous);
        }
        if needs_other && !self.entries.iter().any(|(_, part)| *part == Part::Other) {
            return Err(Denial::TokenMalformed);
        }
        Ok(())
    }

    /// Where the header is no source of tokens, one that is sent all the same is not passed on.
    fn hide_tokens(&mut self) {
        for (text, part) in &mut self.entries {
            let is_secret = text.starts_with(KUBERNETES_PREFIX) || is_jwt(text) || holds_jwt(text);
            if *part == Part::Other && is_secret {
                *part = Part::Token;
            }
        }
    }

    fn has_duplicates(&self) -> bool {
        let entries = &self.entries;
        (1..entries.len()).any(|n| entries[..n].iter().any(|(text, _)| *text == entries[n].0))
    }
}

fn shaped(token: Cow<'_, str>) -> Result<Cow<'_, str>, Denial> {
    if is_jwt_shaped(&token) { Ok(token) } else { Err(Denial::TokenMalformed) }
}

fn strip_longest<'t>(text: &'t str, prefixes: &[String]) -> Option<&'t str> {
    let rests = prefixes.iter().filter_map(|prefix| text.strip_prefix(prefix.as_str()));
    rests.min_by_key(|rest| rest.len())
}

/// Whether `text` is three non-empty base64url segments.
fn is_jwt_shaped(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.';
    text.bytes().filter(|b| *b == b'.').count() == 2
        && text.bytes().all(is_plain)
        && text.split('.').all(|segment| !segment.is_empty())
}

/// Whether `text` is a JWT rather than a subprotocol with two dots: its first segment is an object.
fn is_jwt(text: &str) -> bool {
    is_jwt_shaped(text)
        && text.split('.').next().is_some_and(|header| {
            URL_SAFE_NO_PAD.decode(header).is_ok_and(|header| {
                header.trim_ascii().starts_with(b"{") && header.trim_ascii().ends_with(b"}")
            })
        })
}

/// Whether a token is somewhere in `text`, in a form that nobody configured: it is not read, but
/// not passed on or answered either. `eyJ` is how every header begins that has no space in front.
fn holds_jwt(text: &str) -> bool {
    // The same once more in base64url, as Kubernetes' form has it, behind whatever name.
    if text.contains("ZXlK") || text.to_ascii_lowercase().starts_with(KUBERNETES_PREFIX) {
        return true;
    }
    let Some((_, rest)) = text.split_once('.') else { return false };
    text.rsplitn(3, '.').nth(2).is_some_and(|header| header.contains("eyJ")) || is_jwt(rest)
}

fn decode(encoded: &str) -> Result<Cow<'static, str>, Denial> {
    let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Denial::TokenMalformed)?;
    let text = String::from_utf8(bytes).map_err(|_| Denial::TokenMalformed)?;
    shaped(Cow::Owned(text))
}

#[cfg(test)]
mod tests;
