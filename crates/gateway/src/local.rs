//! The rules of local endpoints. Being on loopback protects nothing: any web
//! page can reach it, and a reverse proxy makes every client look local.

use aws_lc_rs::constant_time;
use http::{HeaderMap, header};

use crate::router::Host;

/// Why a local endpoint turns a request away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Foreign {
    /// `Host` is no loopback name: DNS rebinding.
    Host,
    /// `Origin` or `Sec-Fetch-Site` is another site's.
    Origin,
    /// The request came through a proxy.
    Proxied,
}

/// Checks that a request was meant for a local endpoint and comes from no web
/// page but its own.
pub fn check(headers: &HeaderMap) -> Result<(), Foreign> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|value| value.to_str().ok()).ok_or(Foreign::Host)?;
    let is_local = Host::parse(host).is_some_and(|host| host.is_loopback());
    if hosts.next().is_some() || !is_local {
        return Err(Foreign::Host);
    }
    let own = |origin: &[u8]| {
        origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"))
            == Some(host.as_bytes())
    };
    if headers.get_all(header::ORIGIN).iter().any(|origin| !own(origin.as_bytes())) {
        return Err(Foreign::Origin);
    }
    let sites = headers.get_all("sec-fetch-site").iter();
    let mut sites = sites.map(|site| site.as_bytes());
    if sites.any(|site| site != b"same-origin" && site != b"none") {
        return Err(Foreign::Origin);
    }
    if is_proxied(headers) { Err(Foreign::Proxied) } else { Ok(()) }
}

/// Whether a request says that it came through a proxy.
pub(crate) fn is_proxied(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        matches!(name.as_str(), "forwarded" | "via") || name.as_str().starts_with("x-forwarded-")
    })
}

/// Whether the request carries `Authorization: Bearer` and this token.
pub fn has_token(headers: &HeaderMap, token: &[u8]) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some(given) = value.as_bytes().strip_prefix(b"Bearer ") else { return false };
    constant_time::verify_slices_are_equal(given, token).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_headers(headers: &[(&'static str, &'static str)], want: Result<(), Foreign>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        assert_eq!(check(&map), want, "{headers:?}");
    }

    #[test]
    fn only_local_requests_pass() {
        check_headers(&[("host", "127.0.0.1:9090")], Ok(()));
        check_headers(&[("host", "[::1]:9090")], Ok(()));
        check_headers(&[("host", "a.localhost:1"), ("origin", "http://a.localhost:1")], Ok(()));
        check_headers(&[("host", "evil.example")], Err(Foreign::Host));
        check_headers(&[("host", "localhost.evil.example")], Err(Foreign::Host));
        check_headers(&[("host", "[::1].evil.example")], Err(Foreign::Host));
        check_headers(&[], Err(Foreign::Host));
        check_headers(&[("host", "localhost"), ("host", "localhost")], Err(Foreign::Host));
        check_headers(&[("host", "localhost"), ("origin", "http://evil")], Err(Foreign::Origin));
        check_headers(&[("host", "localhost"), ("origin", "null")], Err(Foreign::Origin));
        check_headers(
            &[("host", "localhost"), ("sec-fetch-site", "cross-site")],
            Err(Foreign::Origin),
        );
        check_headers(
            &[("host", "localhost"), ("x-forwarded-for", "1.2.3.4")],
            Err(Foreign::Proxied),
        );
        check_headers(&[("host", "localhost"), ("via", "1.1 x")], Err(Foreign::Proxied));
    }

    #[test]
    fn the_token_must_be_there_once_and_equal() {
        let mut map = HeaderMap::new();
        assert!(!has_token(&map, b"t"));
        map.append("authorization", "Bearer t".parse().unwrap());
        assert!(has_token(&map, b"t"));
        assert!(!has_token(&map, b"u"));
        map.append("authorization", "Bearer t".parse().unwrap());
        assert!(!has_token(&map, b"t"));
    }
}
