//! Addresses: which API and stage a request is for ([custom domains]).
//!
//! [custom domains]: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-custom-domain-names.html

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use api_model::Model;
use api_model::api::{Domain, Stage};

/// Finds stages by `Host` and path.
#[derive(Clone, Debug, Default)]
pub struct Router {
    stages: Vec<Arc<Stage>>,
    domains: Vec<Domain>,
}

/// Where an address leads.
#[derive(Clone, Debug)]
pub struct Address<'p> {
    /// The stage.
    pub stage: Arc<Stage>,
    /// What follows stage or mapping key, without slashes at its ends: empty
    /// for a connect, `@connections/ID` for a management call.
    pub rest: &'p str,
    /// Whether the client's `Host` is a name of this gateway, to which a back
    /// end may call back. Any client can write any name there.
    pub is_own_name: bool,
}

/// A `Host` header in a form that can be shown and compared: a name or address,
/// and perhaps a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// As the client sent it.
    pub text: String,
    /// Lower-case name or address, without port and brackets.
    pub name: String,
}

impl Host {
    /// Reads `name`, `name:port`, `[address]` or `[address]:port` and nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, port) = rest.split_once(']')?;
                name.parse::<std::net::Ipv6Addr>().ok()?;
                (name, port)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (name, port) = text.split_at(end);
                let is_label = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
                let is_name = (1..=NAME_BYTES_MAX).contains(&name.len());
                (Some(name).filter(|name| is_name && name.bytes().all(is_label))?, port)
            }
        };
        let is_port = |digits: &str| {
            (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
        };
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
            return None;
        }
        Some(Self { text: text.to_owned(), name: name.to_ascii_lowercase() })
    }

    /// Whether it is `localhost`, a name below it, or a loopback address.
    pub fn is_loopback(&self) -> bool {
        self.name == "localhost"
            || self.name.ends_with(".localhost")
            || self.name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Longest name of the domain name system.
const NAME_BYTES_MAX: usize = 253;

impl Router {
    /// A router for everything in `model`.
    pub fn new(model: &Model) -> Self {
        Self { stages: model.stages.clone(), domains: model.domains.clone() }
    }

    /// The stage of an API, as it is served now.
    pub fn stage(&self, api_id: &str, name: &str) -> Option<&Arc<Stage>> {
        self.stages.iter().find(|stage| stage.api.api_id == api_id && stage.name == name)
    }

    /// All stages.
    pub fn stages(&self) -> &[Arc<Stage>] {
        &self.stages
    }

    /// Names of custom domains that lead to an API.
    pub fn domains_of<'r>(&'r self, api_id: &'r str) -> impl Iterator<Item = (&'r str, &'r str)> {
        self.domains.iter().flat_map(move |domain| {
            let mappings = domain.mappings.iter().filter(move |mapping| mapping.api_id == api_id);
            mappings.map(|mapping| (domain.name.as_str(), mapping.stage.as_str()))
        })
    }

    /// Resolves `host` and `path` in the order: custom domain,
    /// `{apiId}.execute-api.*`, the path prefix, the only API.
    pub fn find<'p>(&self, host: &Host, path: &'p str, local: SocketAddr) -> Option<Address<'p>> {
        let path = path.strip_prefix('/')?;
        if let Some(domain) = self.domain(&host.name) {
            return self.mapped(domain, path);
        }
        let is_local = host.is_loopback() || is_address(host, local);
        if let Some((api_id, suffix)) = default_endpoint(&host.name) {
            let address = self.staged(api_id, path)?;
            let is_own_name = is_own_suffix(suffix, &address.stage.api.region);
            return Some(Address { is_own_name, ..address });
        }
        if let Some(rest) = path.strip_prefix("_aws/execute-api/") {
            let (api_id, path) = split_segment(rest);
            let address = self.staged(api_id, path)?;
            return Some(Address { is_own_name: is_local, ..address });
        }
        let is_plain = host.name == "localhost" || host.name.parse::<IpAddr>().is_ok();
        if is_local && is_plain { self.staged(self.only_api()?, path) } else { None }
    }

    /// Whether TLS may present a certificate for this name.
    pub fn serves_name(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let is_default = default_endpoint(&name).is_some_and(|(api_id, suffix)| {
            self.stages.iter().any(|stage| {
                let api = &stage.api;
                api.api_id == api_id
                    && !api.disable_execute_api_endpoint
                    && is_own_suffix(suffix, &api.region)
            })
        });
        is_default || name == "localhost" || self.domain(&name).is_some()
    }

    fn domain(&self, name: &str) -> Option<&Domain> {
        let exact = self.domains.iter().find(|domain| domain.name == name);
        exact.or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.domains.iter().find(|domain| domain.name.strip_prefix("*.") == Some(parent))
        })
    }

    fn mapped<'p>(&self, domain: &Domain, path: &'p str) -> Option<Address<'p>> {
        let (key, rest) = split_segment(path);
        let decoded = decode_segment(key);
        let keyed = domain.mappings.iter().find(|m| !m.key.is_empty() && m.key == decoded);
        let root = || domain.mappings.iter().find(|mapping| mapping.key.is_empty());
        let (mapping, rest) = match keyed {
            Some(mapping) => (mapping, rest),
            None => (root()?, path),
        };
        let stage = Arc::clone(self.stage(&mapping.api_id, &mapping.stage)?);
        Some(Address { stage, rest, is_own_name: true })
    }

    fn staged<'p>(&self, api_id: &str, path: &'p str) -> Option<Address<'p>> {
        let (name, rest) = split_segment(path);
        let stage = self.stage(api_id, name)?;
        if stage.api.disable_execute_api_endpoint {
            return None;
        }
        Some(Address { stage: Arc::clone(stage), rest, is_own_name: true })
    }

    fn only_api(&self) -> Option<&str> {
        let first = self.stages.first()?;
        let same = self.stages.iter().all(|stage| stage.api.api_id == first.api.api_id);
        same.then_some(first.api.api_id.as_str())
    }
}

/// Splits `{apiId}.execute-api.{suffix}`.
fn default_endpoint(name: &str) -> Option<(&str, &str)> {
    let (api_id, rest) = name.split_once('.')?;
    let suffix = rest.strip_prefix("execute-api")?;
    match suffix.strip_prefix('.') {
        Some(suffix) => Some((api_id, suffix)),
        None => suffix.is_empty().then_some((api_id, "")),
    }
}

/// Whether what follows `execute-api.` is the service's own or this machine's.
fn is_own_suffix(suffix: &str, region: &str) -> bool {
    suffix == "localhost"
        || suffix.strip_prefix(region).is_some_and(|rest| {
            matches!(rest, ".amazonaws.com" | ".amazonaws.com.cn" | ".localhost")
        })
}

fn is_address(host: &Host, local: SocketAddr) -> bool {
    host.name.parse::<IpAddr>().is_ok_and(|address| address == local.ip())
}

fn split_segment(path: &str) -> (&str, &str) {
    path.split_once('/').unwrap_or((path, ""))
}

/// Decodes `%XX` in one path segment; what does not decode stays.
pub fn decode_segment(segment: &str) -> String {
    // `+` means itself in a path.
    session::text::form_decode(&segment.replace('+', "%2B"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_address_with_perhaps_a_port() {
        let name = |text: &str| Host::parse(text).map(|host| host.name);
        assert_eq!(name("WS.example.com:8443").as_deref(), Some("ws.example.com"));
        assert_eq!(name("[::1]:8080").as_deref(), Some("::1"));
        assert_eq!(name("localhost").as_deref(), Some("localhost"));
        for bad in [
            "",
            ":80",
            "localhost:",
            "localhost:/x",
            "localhost:80@evil.example",
            "localhost:123456",
            "[::1].evil.example",
            "[::1]\",\"role\":\"admin",
            "[evil]",
            "a b",
            "evil.example/a",
        ] {
            assert_eq!(name(bad), None, "{bad}");
        }
    }

    #[test]
    fn loopback_is_localhost_what_is_below_it_and_its_addresses() {
        let is_loopback = |text: &str| Host::parse(text).unwrap().is_loopback();
        assert!(is_loopback("127.0.0.1:1") && is_loopback("[::1]") && is_loopback("a.LOCALHOST"));
        assert!(!is_loopback("localhost.evil.example") && !is_loopback("10.0.0.1"));
    }

    #[test]
    fn only_the_services_and_this_machines_suffixes_are_own_names() {
        assert_eq!(
            default_endpoint("a.execute-api.us-east-1.amazonaws.com"),
            Some(("a", "us-east-1.amazonaws.com"))
        );
        assert_eq!(default_endpoint("a.execute-apis.x"), None);
        assert!(is_own_suffix("us-east-1.amazonaws.com", "us-east-1"));
        assert!(is_own_suffix("us-east-1.localhost", "us-east-1"));
        assert!(!is_own_suffix("evil.example", "us-east-1"));
        assert!(!is_own_suffix("us-east-1.amazonaws.com.evil", "us-east-1"));
    }
}
