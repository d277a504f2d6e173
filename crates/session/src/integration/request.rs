//! Requests to HTTP back ends: parameter mapping and forwarded headers
//! ([data mapping]).
//!
//! [data mapping]: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-mapping.html

use std::borrow::Cow;

use api_model::api::{HttpTarget, Integration};
use api_model::parameter::{Destination, ParameterSource};

use super::HttpCall;
use super::response::found_text;
use crate::connection::Operation;
use crate::error::Failure;
use crate::mapping::{Input, context_value};
use crate::text::component_encode;

/// Client headers that never reach a back end ([RFC 9110 §7.6.1], and what
/// only the gateway may say).
///
/// [RFC 9110 §7.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
const NOT_FORWARDED: [&str; 15] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-real-ip",
];

/// Tells a back end which API a request is from; no mapping may say otherwise.
const API_ID: &str = "x-amzn-apigateway-api-id";

/// Headers that only the gateway sets.
fn is_gateways_own(name: &str) -> bool {
    let starts = |prefix: &str| {
        name.len() >= prefix.len()
            && name.as_bytes()[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes())
    };
    starts("x-forwarded-") || starts("x-amzn-") || starts("x-wsgate-")
}

pub(super) fn http_call(
    integration: &Integration,
    target: &HttpTarget,
    operation: &Operation,
    input: &Input<'_>,
    body: Vec<u8>,
) -> Result<HttpCall, Failure> {
    let mapped = mapped(integration, operation, input)?;
    let mut headers = forwarded_headers(integration, operation);
    headers.extend(mapped.headers);
    let url = target.url.resolve(&operation.stage.variables);
    let url = with_query(fill_path(&url, &mapped.path_values), &mapped.query);
    add_own_headers(operation, &mut headers);
    if !body.is_empty() && !has(&headers, "content-type") {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    Ok(HttpCall { method: target.method.clone(), url, headers, body })
}

/// Values of `RequestParameters` by where they go.
#[derive(Default)]
pub(super) struct Mapped {
    pub(super) headers: Vec<(String, String)>,
    /// Encoded pairs, `&` between them.
    pub(super) query: String,
    /// Encoded as one segment each.
    pub(super) path_values: Vec<(String, String)>,
}

pub(super) fn mapped(
    integration: &Integration,
    operation: &Operation,
    input: &Input<'_>,
) -> Result<Mapped, Failure> {
    let mut mapped = Mapped::default();
    for mapping in &integration.parameters {
        for value in parameter_values(&mapping.source, operation, input) {
            match &mapping.destination {
                Destination::Header(name) => {
                    if value.chars().any(char::is_control) {
                        return Err(Failure::TemplateFailed);
                    }
                    mapped.headers.push((name.clone(), value.into_owned()));
                }
                Destination::QueryString(name) => {
                    if !mapped.query.is_empty() {
                        mapped.query.push('&');
                    }
                    mapped.query.push_str(&component_encode(name));
                    mapped.query.push('=');
                    mapped.query.push_str(&component_encode(&value));
                }
                Destination::Path(name) => {
                    if matches!(&*value, "" | "." | "..") {
                        return Err(Failure::TemplateFailed);
                    }
                    mapped.path_values.push((name.clone(), component_encode(&value)));
                }
            }
        }
    }
    Ok(mapped)
}

/// Tells whose request it is, unless a mapping names another user agent.
pub(super) fn add_own_headers(operation: &Operation, headers: &mut Vec<(String, String)>) {
    let api_id = &operation.connection.api_id;
    if !has(headers, "user-agent") {
        headers.push(("User-Agent".to_owned(), format!("AmazonAPIGateway_{api_id}")));
    }
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case(API_ID));
    headers.push((API_ID.to_owned(), api_id.clone()));
}

/// The client's headers on `$connect`, without those that the integration maps
/// itself, whether or not they get a value.
fn forwarded_headers(integration: &Integration, operation: &Operation) -> Vec<(String, String)> {
    let Some(handshake) = operation.kind.handshake() else { return Vec::new() };
    let named_by_connection: Vec<&str> = handshake
        .header_values("connection")
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .collect();
    let is_mapped = |name: &str| {
        integration.parameters.iter().any(|mapping| {
            matches!(&mapping.destination, Destination::Header(mapped) if mapped.eq_ignore_ascii_case(name))
        })
    };
    let passes = |name: &str| {
        !NOT_FORWARDED.iter().any(|blocked| name.eq_ignore_ascii_case(blocked))
            && !name.eq_ignore_ascii_case("user-agent")
            && !named_by_connection.iter().any(|named| name.eq_ignore_ascii_case(named))
            && !is_mapped(name)
            && !is_gateways_own(name)
    };
    let mut headers: Vec<(String, String)> =
        handshake.headers.iter().filter(|(name, _)| passes(name)).cloned().collect();
    // The gateway put its own in place of the client's when it read the request.
    for (name, value) in &handshake.headers {
        let is_own =
            ["x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "x-amzn-trace-id"]
                .iter()
                .any(|own| name.eq_ignore_ascii_case(own));
        if is_own && !is_mapped(name) {
            headers.push((name.clone(), value.clone()));
        }
    }
    headers
}

pub(super) fn has(headers: &[(String, String)], name: &str) -> bool {
    last(headers, name).is_some()
}

/// The last value of a header.
pub(super) fn last<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    let found = headers.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// The values of one mapping: none if its source is absent.
fn parameter_values<'o>(
    source: &'o ParameterSource,
    operation: &'o Operation,
    input: &'o Input<'_>,
) -> Vec<Cow<'o, str>> {
    let handshake = operation.kind.handshake();
    let one = |value: Option<Cow<'o, str>>| value.into_iter().collect();
    match source {
        ParameterSource::Static(text) => vec![Cow::Borrowed(text.as_str())],
        ParameterSource::Context(name) => one(context_value(operation, name)),
        ParameterSource::StageVariable(name) => {
            let found = operation.stage.variables.iter().find(|(key, _)| key == name);
            one(found.map(|(_, value)| Cow::Borrowed(value.as_str())))
        }
        ParameterSource::Header(name) => {
            one(handshake.and_then(|h| h.header_values(name).next_back()).map(Cow::Borrowed))
        }
        ParameterSource::QueryString(name) => {
            one(handshake.and_then(|h| h.query_values(name).next_back()).map(Cow::Borrowed))
        }
        ParameterSource::MultiValueHeader(name) => handshake
            .map(|h| h.header_values(name).map(Cow::Borrowed).collect())
            .unwrap_or_default(),
        ParameterSource::MultiValueQueryString(name) => {
            handshake.map(|h| h.query_values(name).map(Cow::Borrowed).collect()).unwrap_or_default()
        }
        ParameterSource::Body(path) => {
            one(input.json().and_then(|json| found_text(&path.find(json))).map(Cow::Owned))
        }
    }
}

/// Fills in `{name}` behind the host of a URL, which no value may choose.
fn fill_path(url: &str, values: &[(String, String)]) -> String {
    let host = url.find("://").map_or(0, |scheme| scheme + 3);
    let path = url[host..].find('/').map_or(url.len(), |slash| host + slash);
    let (host, path) = url.split_at(path);
    format!("{host}{}", filled(path, values))
}

/// Replaces `{name}`; a name without value stays.
pub(super) fn filled(text: &str, values: &[(String, String)]) -> String {
    let mut text = text.to_owned();
    for (name, value) in values {
        text = text.replace(&format!("{{{name}}}"), value);
    }
    text
}

fn with_query(url: String, query: &str) -> String {
    if query.is_empty() {
        return url;
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{query}")
}

/// Two parts of a query or form with `&` between them.
pub(super) fn joined(first: &str, second: &str) -> String {
    let separator = if first.is_empty() || second.is_empty() { "" } else { "&" };
    format!("{first}{separator}{second}")
}
