//! `[integrations]`: how the gateway and its functions reach AWS's services.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use api_model::{Diagnostics, Value};
use http::Uri;

use super::section::{Section, wrong};
use crate::aws::service;

/// How the gateway and its functions reach AWS's services.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Integrations {
    /// `credentials = "environment"`: AWS may be called with those of the
    /// process environment; never without.
    pub is_ambient: bool,
    /// Addresses of services in place of AWS's own, by the first label of the service's host
    /// (`states`, not `sfn`); without a slash at the end.
    pub endpoints: BTreeMap<String, String>,
}

impl Integrations {
    /// The configured address of a service, by any of its names; without a slash at the end.
    pub fn endpoint(&self, service: &str) -> Option<&str> {
        self.endpoints.get(service::canonical(service)).map(String::as_str)
    }

    /// `AWS_ENDPOINT_URL_…` for functions: every configured address ([page]).
    ///
    /// [page]: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    pub fn environment(&self) -> Vec<(String, String)> {
        let of = |(name, url): (&String, &String)| {
            let url = url.clone();
            service::variables(name).into_iter().map(move |variable| (variable, url.clone()))
        };
        self.endpoints.iter().flat_map(of).collect()
    }

    /// `value` with the addresses of queues at AWS replaced by those at the configured endpoint.
    ///
    /// Some SDKs send a call to the host of the queue's URL, whatever endpoint they were given.
    pub fn queue_urls_here(&self, value: &str) -> Option<String> {
        let endpoint = self.endpoint("sqs")?;
        let mut out = String::new();
        let mut rest = value;
        while let Some(start) = rest.find(QUEUE_URL) {
            let (before, url) = rest.split_at(start);
            let region = &url[QUEUE_URL.len()..];
            let host = region.split('/').next().unwrap_or_default();
            let name = host.strip_suffix(".cn").unwrap_or(host).strip_suffix(".amazonaws.com");
            out.push_str(before);
            if name.is_some_and(service::is_name) {
                out.push_str(endpoint);
            } else {
                out.push_str(&url[..QUEUE_URL.len() + host.len()]);
            }
            rest = &region[host.len()..];
        }
        if out.is_empty() {
            return None;
        }
        out.push_str(rest);
        Some(out)
    }
}

/// How the URL of a queue at AWS starts.
const QUEUE_URL: &str = "https://sqs.";

/// Services that the gateway is itself.
const OWN: [&str; 2] = ["apigatewaymanagementapi", "execute-api"];

/// Reads the section.
pub(super) fn read(mut section: Section<'_>, out: &mut Diagnostics) -> Integrations {
    let is_ambient = section.word("credentials", &[("environment", true)], out).unwrap_or(false);
    let table = section.table("endpoints", out);
    let mut endpoints = BTreeMap::new();
    for entry in table.entries() {
        let path = table.path_of(&entry.key);
        let name = service::canonical(&entry.key);
        if !service::is_name(&entry.key) {
            wrong(out, entry.key_span, &path, "must be the name of a service, such as `dynamodb`");
            continue;
        }
        if OWN.contains(&name) {
            wrong(out, entry.key_span, &path, "cannot be set: that service is the gateway itself");
            continue;
        }
        let Value::String(text) = &entry.value.value else {
            wrong(out, entry.value.span, &path, "must be a string");
            continue;
        };
        let Some(url) = endpoint(text) else {
            let expected = "must be an https URL of host, port and path (http only to this machine), such as \"http://127.0.0.1:5000\"";
            wrong(out, entry.value.span, &path, expected);
            continue;
        };
        if endpoints.insert(name.to_owned(), url).is_some() {
            wrong(out, entry.key_span, &path, &format!("is the service `{name}` once more"));
        }
    }
    section.finish(out);
    Integrations { is_ambient, endpoints }
}

/// A URL to which calls may be sent, without a slash at its end.
fn endpoint(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?.as_str();
    let host = uri.host()?.to_ascii_lowercase();
    // A port that is no number would be taken for none.
    let is_plain = authority.len() == host.len() || uri.port_u16().is_some();
    if host.is_empty() || !is_plain || authority.contains('@') || text.contains(['?', '#']) {
        return None;
    }
    let is_allowed = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => is_this_machine(&host),
        _ => false,
    };
    is_allowed.then(|| text.trim_end_matches('/').to_owned())
}

/// Whether a lower-case host is this machine by its name ([RFC 6761 §6.3]) or address.
///
/// [RFC 6761 §6.3]: https://www.rfc-editor.org/rfc/rfc6761#section-6.3
fn is_this_machine(host: &str) -> bool {
    if host == "localhost" || host.ends_with(".localhost") {
        return true;
    }
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
        None => host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SecretSources, Settings};
    use super::*;
    use api_model::Sources;

    struct Nothing;

    impl SecretSources for Nothing {
        fn environment(&self, _: &str) -> Option<String> {
            None
        }

        fn file(&self, _: &str) -> std::io::Result<String> {
            Err(std::io::ErrorKind::NotFound.into())
        }
    }

    fn parse(section: &str) -> (Integrations, Vec<String>) {
        let text = format!("[integrations]\n{section}");
        let file = Some(("wsgate.toml", text.as_str()));
        let (settings, findings) = Settings::parse(&mut Sources::default(), file, &[], &Nothing);
        (settings.integrations, findings.list.into_iter().map(|found| found.message).collect())
    }

    #[track_caller]
    fn accepted(section: &str) -> Integrations {
        let (integrations, findings) = parse(section);
        assert!(findings.is_empty(), "{findings:?}");
        integrations
    }

    #[track_caller]
    fn check_refused(section: &str, want: &str) {
        let (integrations, findings) = parse(section);
        assert!(findings.len() == 1 && findings[0].contains(want), "{section}: {findings:?}");
        assert!(integrations.endpoints.len() < 2, "{integrations:?}");
    }

    #[test]
    fn an_endpoint_needs_no_credentials_and_is_found_by_every_name() {
        let integrations = accepted(
            "endpoints = { sfn = \"http://localhost:5000/\", sqs = \"https://q.test/x\" }",
        );
        assert!(!integrations.is_ambient);
        for name in ["states", "sfn", "stepfunctions"] {
            assert_eq!(integrations.endpoint(name), Some("http://localhost:5000"));
        }
        assert_eq!(integrations.endpoint("dynamodb"), None);
        let variables = [
            ("AWS_ENDPOINT_URL_SQS", "https://q.test/x"),
            ("AWS_ENDPOINT_URL_SFN", "http://localhost:5000"),
        ];
        let variables = variables.map(|(name, url)| (name.to_owned(), url.to_owned()));
        assert_eq!(integrations.environment(), variables);
        assert!(accepted("credentials = \"environment\"").is_ambient);
    }

    #[test]
    fn plain_text_stays_on_this_machine() {
        for url in [
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://localhost",
            "http://LocalStack.localhost:4566",
            "https://dynamodb.example.com/base",
        ] {
            accepted(&format!("endpoints = {{ dynamodb = \"{url}\" }}"));
        }
        for url in [
            "http://moto:5000",
            "http://127.0.0.1.evil.example",
            "http://localhost.evil.example",
            "http://u:p@localhost",
            "http://localhost:x",
            "http://localhost:5000/?a=b",
            "http://localhost:5000/#a",
            "ftp://localhost",
            "localhost:5000",
            "/path",
            "",
        ] {
            let section = format!("endpoints = {{ dynamodb = \"{url}\" }}");
            check_refused(&section, "`integrations.endpoints.dynamodb` must be an https URL");
        }
    }

    #[test]
    fn what_is_no_service_is_refused() {
        check_refused("endpoints = { Dynamo = \"http://localhost\" }", "the name of a service");
        check_refused("endpoints = { dynamodb = 5000 }", "must be a string");
        check_refused("endpoints = { execute-api = \"http://localhost\" }", "the gateway itself");
        let twice = "endpoints = { sfn = \"http://localhost\", states = \"http://localhost\" }";
        check_refused(twice, "`states` once more");
    }

    #[test]
    fn urls_of_queues_lead_to_the_endpoint_and_nothing_else_changes() {
        let integrations = accepted("endpoints = { sqs = \"http://127.0.0.1:5000\" }");
        let check = |value: &str, want: Option<&str>| {
            assert_eq!(integrations.queue_urls_here(value).as_deref(), want, "{value}");
        };
        check("https://sqs.us-east-1.amazonaws.com/0/q", Some("http://127.0.0.1:5000/0/q"));
        check("https://sqs.cn-north-1.amazonaws.com.cn/0/q", Some("http://127.0.0.1:5000/0/q"));
        check(
            "{\"a\":\"https://sqs.eu-west-1.amazonaws.com/0/q\",\"b\":\"https://sqs.example\"}",
            Some("{\"a\":\"http://127.0.0.1:5000/0/q\",\"b\":\"https://sqs.example\"}"),
        );
        check("https://sqs.evil.example/0/q", Some("https://sqs.evil.example/0/q"));
        check("queue", None);
        check("", None);
        let without = accepted("");
        assert_eq!(without.queue_urls_here("https://sqs.us-east-1.amazonaws.com/0/q"), None);
    }
}
