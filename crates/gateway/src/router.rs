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
}

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

    /// Resolves `host` (the `Host` header) and `path` in the order: custom
    /// domain, `{apiId}.execute-api.*`, the path prefix, the only API.
    pub fn find<'p>(&self, host: &str, path: &'p str, local: SocketAddr) -> Option<Address<'p>> {
        let name = host_name(host).to_ascii_lowercase();
        let path = path.strip_prefix('/')?;
        if let Some(domain) = self.domain(&name) {
            return self.mapped(domain, path);
        }
        if let Some((api_id, rest)) = name.split_once('.')
            && (rest == "execute-api" || rest.starts_with("execute-api."))
        {
            return self.staged(api_id, path);
        }
        if let Some(rest) = path.strip_prefix("_aws/execute-api/") {
            let (api_id, path) = split_segment(rest);
            return self.staged(api_id, path);
        }
        let only = self.only_api()?;
        if is_loopback_name(&name) || is_address(host, local) {
            return self.staged(only, path);
        }
        None
    }

    /// Whether TLS may present a certificate for this name.
    pub fn serves_name(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let is_default = name.split_once('.').is_some_and(|(api_id, rest)| {
            (rest == "execute-api" || rest.starts_with("execute-api."))
                && self.stages.iter().any(|stage| {
                    stage.api.api_id == api_id && !stage.api.disable_execute_api_endpoint
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
        Some(Address { stage, rest: rest.trim_end_matches('/') })
    }

    fn staged<'p>(&self, api_id: &str, path: &'p str) -> Option<Address<'p>> {
        let (name, rest) = split_segment(path);
        let stage = self.stage(api_id, name)?;
        if stage.api.disable_execute_api_endpoint {
            return None;
        }
        Some(Address { stage: Arc::clone(stage), rest: rest.trim_end_matches('/') })
    }

    fn only_api(&self) -> Option<&str> {
        let first = self.stages.first()?;
        let same = self.stages.iter().all(|stage| stage.api.api_id == first.api.api_id);
        same.then_some(first.api.api_id.as_str())
    }
}

/// The name in a `Host` header, without port and brackets.
pub fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

/// Whether a name is `localhost` or a loopback literal.
pub fn is_loopback_name(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_address(host: &str, local: SocketAddr) -> bool {
    host.parse::<SocketAddr>().is_ok_and(|address| address == local)
        || host_name(host).parse::<IpAddr>().is_ok_and(|address| address == local.ip())
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
    fn host_names_lose_port_and_brackets() {
        assert_eq!(host_name("ws.example.com:8443"), "ws.example.com");
        assert_eq!(host_name("[::1]:8080"), "::1");
        assert_eq!(host_name("localhost"), "localhost");
        assert!(is_loopback_name("127.0.0.1"));
        assert!(is_loopback_name("::1"));
        assert!(!is_loopback_name("localhost.example.com"));
    }
}
