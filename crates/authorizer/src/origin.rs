//! The `Origin` rule ([RFC 6454 §7], [RFC 6455 §10.2]).
//!
//! A browser sends the user's cookies along with a handshake that any page starts; a sibling
//! subdomain is even same-site. Only the `Origin` tells the pages apart.
//!
//! [RFC 6454 §7]: https://www.rfc-editor.org/rfc/rfc6454#section-7
//! [RFC 6455 §10.2]: https://www.rfc-editor.org/rfc/rfc6455#section-10.2

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::denial::Denial;
use crate::request::Request;

/// The origins whose pages may use the cookies.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    absent: OriginAbsent,
    /// Normalised, to be compared byte for byte.
    exact: Vec<String>,
    wildcards: Vec<Wildcard>,
}

/// What a request without `Origin` gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OriginAbsent {
    /// It passes if it has no `Sec-Fetch-*` header either, so that no browser sent it.
    Allow,
    Refuse,
}

/// `https://*.example.com:8443`: the parts around the one label.
#[derive(Clone, Debug)]
struct Wildcard {
    /// `https://`
    before: String,
    /// `.example.com:8443`
    after: String,
    /// Bytes of `after` that are the host: `.example.com`.
    host_bytes: usize,
}

/// Why an entry of `origins` is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OriginError {
    HostInvalid,
    HttpNotLocal,
    Null,
    PortInvalid,
    PublicSuffix,
    SchemeInvalid,
    Tail,
    WildcardMisplaced,
    WildcardNotEnabled,
}

/// The values the rule read, for the fingerprint of the decision.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OriginRead<'a> {
    pub(crate) origin: Option<&'a [u8]>,
    pub(crate) fetch_mode: Option<&'a [u8]>,
    /// Whether any `Sec-Fetch-*` header is there.
    pub(crate) fetched: bool,
}

impl Origins {
    pub(crate) fn new(absent: OriginAbsent) -> Self {
        Self { absent, exact: Vec::new(), wildcards: Vec::new() }
    }

    pub(crate) fn absent(&self) -> OriginAbsent {
        self.absent
    }

    pub(crate) fn has_wildcards(&self) -> bool {
        !self.wildcards.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty()
    }

    /// Adds one entry, normalised: lower case, without default port.
    pub(crate) fn add(&mut self, text: &str, wildcards: bool) -> Result<(), OriginError> {
        if text.eq_ignore_ascii_case("null") {
            return Err(OriginError::Null);
        }
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://").ok_or(OriginError::SchemeInvalid)?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if !is_scheme || matches!(scheme, "ws" | "wss" | "file" | "data" | "blob") {
            return Err(OriginError::SchemeInvalid);
        }
        if authority.contains(['/', '?', '#', '@', '\\']) {
            return Err(OriginError::Tail);
        }
        let (host, port) = split_port(authority)?;
        let port = match (scheme, port) {
            ("http", Some(80)) | ("https", Some(443)) | (_, None) => String::new(),
            (_, Some(port)) => format!(":{port}"),
        };
        let base = host.strip_prefix("*.");
        let local = is_loopback_host(base.unwrap_or(host));
        if base.unwrap_or(host).contains('*') {
            return Err(OriginError::WildcardMisplaced);
        }
        if !is_host(base.unwrap_or(host)) {
            return Err(OriginError::HostInvalid);
        }
        if scheme == "http" && !local {
            return Err(OriginError::HttpNotLocal);
        }
        match base {
            None => self.exact.push(format!("{scheme}://{host}{port}")),
            Some(_) if !wildcards => return Err(OriginError::WildcardNotEnabled),
            Some(base) if is_address(base) || is_address_tail(base) => {
                return Err(OriginError::WildcardMisplaced);
            }
            Some(base) if is_public_suffix(base) => return Err(OriginError::PublicSuffix),
            Some(base) => self.wildcards.push(Wildcard {
                before: format!("{scheme}://"),
                after: format!(".{base}{port}"),
                host_bytes: base.len() + 1,
            }),
        }
        Ok(())
    }

    /// Applies the rule and notes what it read.
    pub(crate) fn check<'a>(
        &self,
        request: &Request<'a>,
        read: &mut OriginRead<'a>,
    ) -> Result<(), Denial> {
        let mut origins = 0;
        let mut modes = 0;
        for &(name, value) in request.headers {
            if name.eq_ignore_ascii_case("origin") {
                origins += 1;
                read.origin = Some(value);
            } else if is_fetch_header(name) {
                read.fetched = true;
                if name.eq_ignore_ascii_case("sec-fetch-mode") {
                    modes += 1;
                    read.fetch_mode = Some(value);
                }
            }
        }
        if 1 < origins {
            return Err(Denial::OriginAmbiguous);
        }
        match read.origin {
            Some(origin) if !self.is_allowed(origin) => return Err(Denial::OriginNotAllowed),
            Some(_) => {}
            None if self.absent == OriginAbsent::Allow && !read.fetched => {}
            None => return Err(Denial::OriginAbsent),
        }
        if 1 < modes || read.fetch_mode.is_some_and(|mode| mode != b"websocket") {
            return Err(Denial::OriginFetchMode);
        }
        Ok(())
    }

    fn is_allowed(&self, origin: &[u8]) -> bool {
        self.exact.iter().any(|exact| exact.as_bytes() == origin)
            || self.wildcards.iter().any(|wildcard| wildcard.is_match(origin))
    }
}

impl Wildcard {
    fn is_match(&self, origin: &[u8]) -> bool {
        let Some(rest) = origin.strip_prefix(self.before.as_bytes()) else { return false };
        let Some(label) = rest.strip_suffix(self.after.as_bytes()) else { return false };
        let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(b);
        if label.is_empty() || LABEL_BYTES_MAX < label.len() || !label.iter().all(plain) {
            return false;
        }
        // A public suffix below the base: whoever owns such a name is not the owner of the base.
        let host = &rest[..label.len() + self.host_bytes];
        psl::suffix(host).is_none_or(|suffix| suffix.as_bytes() != host)
    }
}

impl OriginError {
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::HostInvalid => "the host is not a name in ASCII or an address",
            Self::HttpNotLocal => "http is only for loopback addresses, localhost and *.localhost",
            Self::Null => "\"null\" is the origin of every sandboxed or local page",
            Self::PortInvalid => "the port is not a number from 1 to 65535",
            Self::PublicSuffix => "the wildcard stands above a public suffix: anybody can be there",
            Self::SchemeInvalid => "is not an origin",
            Self::Tail => "an origin ends after the host and port",
            Self::WildcardMisplaced => "a wildcard stands for exactly one whole label, the first",
            Self::WildcardNotEnabled => "wildcards are not enabled",
        }
    }

    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::HostInvalid => "write international names in their xn-- form",
            Self::HttpNotLocal => "https://…",
            Self::Null => "remove it",
            Self::PortInvalid => "such as https://ui.example.com:8443",
            Self::PublicSuffix | Self::WildcardMisplaced => "such as https://*.example.com",
            Self::SchemeInvalid => "the origin of the page, such as https://ui.example.com",
            Self::Tail => "such as https://ui.example.com, without slash",
            Self::WildcardNotEnabled => "origin_wildcards = true, or list each origin",
        }
    }
}

/// Longest label of a host name ([RFC 1035 §2.3.4](https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4)).
const LABEL_BYTES_MAX: usize = 63;

fn is_fetch_header(name: &str) -> bool {
    const PREFIX: &str = "sec-fetch-";
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), OriginError> {
    let end = if authority.starts_with('[') {
        authority.find(']').ok_or(OriginError::HostInvalid)? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(end);
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits = port.strip_prefix(':').ok_or(OriginError::HostInvalid)?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse::<u16>() {
        Ok(port) if plain && port != 0 => Ok((host, Some(port))),
        _ => Err(OriginError::PortInvalid),
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        // A browser writes the canonical form only, and that without the dots of IPv4.
        return address.parse::<Ipv6Addr>().is_ok_and(|parsed| match parsed.segments() {
            [0, 0, 0, 0, 0, 0xffff, a, b] => address == format!("::ffff:{a:x}:{b:x}"),
            _ => address == parsed.to_string(),
        });
    }
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok()
}

/// Whether `host` (in lower case) can only be this machine.
fn is_loopback_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    }
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// The same for an authority with or without a port.
pub(crate) fn is_loopback_authority(authority: &str) -> bool {
    let lower = authority.to_ascii_lowercase();
    split_port(&lower).is_ok_and(|(host, _)| is_loopback_host(host))
}

/// Whether `host` is the end of an IPv4 address: no name ends in digits alone
/// ([WHATWG URL §3.5](https://url.spec.whatwg.org/#ends-in-a-number-checker)).
fn is_address_tail(host: &str) -> bool {
    host.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()))
}

fn is_public_suffix(host: &str) -> bool {
    psl::suffix(host.as_bytes()).is_none_or(|suffix| suffix.as_bytes() == host.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn add(text: &str, want: Result<&str, OriginError>) {
        let mut origins = Origins::new(OriginAbsent::Refuse);
        let added = origins.add(text, true);
        assert_eq!(
            added.map(|()| origins.exact.first().map_or("*", String::as_str)),
            want,
            "{text}"
        );
    }

    #[test]
    fn entries_are_normalised() {
        add("https://ui.example.com", Ok("https://ui.example.com"));
        add("HTTPS://UI.Example.COM:443", Ok("https://ui.example.com"));
        add("https://ui.example.com:0443", Ok("https://ui.example.com"));
        add("https://ui.example.com:80", Ok("https://ui.example.com:80"));
        add("http://localhost:80", Ok("http://localhost"));
        add("http://127.0.0.1:3000", Ok("http://127.0.0.1:3000"));
        add("http://[::1]:3000", Ok("http://[::1]:3000"));
        // As browsers spell an IPv4 address inside an IPv6 one.
        add("https://[::ffff:102:304]", Ok("https://[::ffff:102:304]"));
        add("https://[2001:DB8::1]:443", Ok("https://[2001:db8::1]"));
        add("http://ui.wsgate.localhost:8080", Ok("http://ui.wsgate.localhost:8080"));
        add("capacitor://localhost", Ok("capacitor://localhost"));
        add("https://*.example.com", Ok("*"));
    }

    #[test]
    fn entries_that_would_match_too_much_or_nothing_are_refused() {
        add("null", Err(OriginError::Null));
        add("NULL", Err(OriginError::Null));
        add("ui.example.com", Err(OriginError::SchemeInvalid));
        add("wss://ws.example.com", Err(OriginError::SchemeInvalid));
        add("*", Err(OriginError::SchemeInvalid));
        add("http://ui.example.com", Err(OriginError::HttpNotLocal));
        add("http://localhost.example.com", Err(OriginError::HttpNotLocal));
        add("http://notlocalhost", Err(OriginError::HttpNotLocal));
        add("http://10.0.0.1", Err(OriginError::HttpNotLocal));
        add("https://ui.example.com/", Err(OriginError::Tail));
        add("https://ui.example.com/app", Err(OriginError::Tail));
        add("https://u@ui.example.com", Err(OriginError::Tail));
        add("https://ui.example.com:0", Err(OriginError::PortInvalid));
        add("https://ui.example.com:", Err(OriginError::PortInvalid));
        add("https://ui.example.com:65536", Err(OriginError::PortInvalid));
        add("https://ui.example.com:+443", Err(OriginError::PortInvalid));
        add("https://münchen.example", Err(OriginError::HostInvalid));
        add("https://ui..example.com", Err(OriginError::HostInvalid));
        add("https://ui.example.com.", Err(OriginError::HostInvalid));
        add("https://", Err(OriginError::HostInvalid));
        add("https://[::1", Err(OriginError::HostInvalid));
        add("https://[0:0::1]", Err(OriginError::HostInvalid));
        add("https://[::ffff:1.2.3.4]", Err(OriginError::HostInvalid));
        add("http://[::ffff:127.0.0.1]", Err(OriginError::HostInvalid));
        add("https://a b.example", Err(OriginError::HostInvalid));
    }

    #[test]
    fn wildcards_are_one_label_below_a_registrable_name() {
        add("https://*", Err(OriginError::WildcardMisplaced));
        add("https://*example.com", Err(OriginError::WildcardMisplaced));
        add("https://ui.*.example.com", Err(OriginError::WildcardMisplaced));
        add("https://*.*.example.com", Err(OriginError::WildcardMisplaced));
        add("https://*.com", Err(OriginError::PublicSuffix));
        add("https://*.co.uk", Err(OriginError::PublicSuffix));
        add("https://*.github.io", Err(OriginError::PublicSuffix));
        add("https://*.s3.amazonaws.com", Err(OriginError::PublicSuffix));
        add("https://*.unheard-of", Err(OriginError::PublicSuffix));
        // 公司.cn and 香港, as browsers spell them.
        add("https://*.xn--55qx5d.cn", Err(OriginError::PublicSuffix));
        add("https://*.xn--j6w193g", Err(OriginError::PublicSuffix));
        add("https://*.city.kawasaki.jp", Ok("*"));
        add("https://*.127.0.0.1", Err(OriginError::WildcardMisplaced));
        add("https://*.0.0.1", Err(OriginError::WildcardMisplaced));
        add("https://*.168.1.10", Err(OriginError::WildcardMisplaced));
        add("https://*.1", Err(OriginError::WildcardMisplaced));
        add("http://*.example.com", Err(OriginError::HttpNotLocal));
        let mut origins = Origins::new(OriginAbsent::Refuse);
        let refused = origins.add("https://*.example.com", false);
        assert_eq!(refused, Err(OriginError::WildcardNotEnabled));
    }

    #[track_caller]
    fn check(headers: &[(&str, &str)], want: Result<(), Denial>) {
        check_with(OriginAbsent::Refuse, headers, want);
    }

    #[track_caller]
    fn check_with(absent: OriginAbsent, headers: &[(&str, &str)], want: Result<(), Denial>) {
        let mut origins = Origins::new(absent);
        for entry in [
            "https://ui.example.com",
            "https://*.apps.example:8443",
            "https://*.amazonaws.com",
            "https://*.kawasaki.jp",
        ] {
            origins.add(entry, true).unwrap();
        }
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        let request = Request { headers: &headers, query: &[], method_arn: "" };
        let mut read = OriginRead::default();
        assert_eq!(origins.check(&request, &mut read), want, "{headers:?}");
    }

    #[test]
    fn only_listed_origins_match_and_byte_for_byte() {
        check(&[("Origin", "https://ui.example.com")], Ok(()));
        check(&[("oRIGIN", "https://ui.example.com")], Ok(()));
        for origin in [
            "https://other.example.com",
            "https://UI.example.com",
            "https://ui.example.com:443",
            "https://ui.example.com/",
            "https://ui.example.com.",
            "https://ui.example.com.evil.test",
            "https://evil.test/https://ui.example.com",
            "http://ui.example.com",
            " https://ui.example.com",
            "https://ui.example.com, https://ui.example.com",
            "null",
            "",
        ] {
            check(&[("Origin", origin)], Err(Denial::OriginNotAllowed));
        }
        check(&[("Origin", "https://ui.example.com"); 2], Err(Denial::OriginAmbiguous));
    }

    #[test]
    fn a_wildcard_matches_one_label_and_no_public_suffix() {
        check(&[("Origin", "https://a.apps.example:8443")], Ok(()));
        for origin in [
            "https://apps.example:8443",
            "https://.apps.example:8443",
            "https://a.b.apps.example:8443",
            "https://a.apps.example",
            "https://a@b.apps.example:8443",
            "https://evil.test/.apps.example:8443",
            "https://A.apps.example:8443",
            "https://s3.amazonaws.com",
            "https://anybody.kawasaki.jp",
            "https://a.apps.example:8443/",
            "https://a.apps.example:08443",
            "https://a.apps.example.:8443",
            "https://xn--a\0.apps.example:8443",
        ] {
            check(&[("Origin", origin)], Err(Denial::OriginNotAllowed));
        }
        let label = |bytes: usize| format!("https://{}.apps.example:8443", "a".repeat(bytes));
        check(&[("Origin", &label(63))], Ok(()));
        check(&[("Origin", &label(64))], Err(Denial::OriginNotAllowed));
        check(&[("Origin", "https://console.amazonaws.com")], Ok(()));
    }

    #[test]
    fn absence_is_refused_unless_allowed_and_no_browser_is_behind() {
        check(&[], Err(Denial::OriginAbsent));
        check_with(OriginAbsent::Allow, &[], Ok(()));
        let fetched = [("sec-fetch-site", "same-origin")];
        check_with(OriginAbsent::Allow, &fetched, Err(Denial::OriginAbsent));
        let null = [("Origin", "null")];
        check_with(OriginAbsent::Allow, &null, Err(Denial::OriginNotAllowed));
    }

    #[test]
    fn the_fetch_mode_must_be_websocket_where_present() {
        let origin = ("Origin", "https://ui.example.com");
        check(&[origin, ("Sec-Fetch-Mode", "websocket"), ("Sec-Fetch-Site", "same-site")], Ok(()));
        for mode in ["no-cors", "navigate", "", "WebSocket"] {
            check(&[origin, ("Sec-Fetch-Mode", mode)], Err(Denial::OriginFetchMode));
        }
        let mode = ("Sec-Fetch-Mode", "websocket");
        check(&[origin, mode, mode], Err(Denial::OriginFetchMode));
    }
}
