//! What an operation asks of its integration, and what the answer means
//! ([integrations]).
//!
//! [integrations]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-routes-integrations.html

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use api_model::api::{
    HttpTarget, Integration, IntegrationResponse, Passthrough, ResponseKey, ResponseSource, Target,
    Templates,
};
use api_model::expression::{Subject, selection_text};
use api_model::parameter::{Destination, ParameterSource};
use jsonpath::Found;
use serde_json::Value as Json;

use crate::connection::{Kind, Names, Operation};
use crate::error::Failure;
use crate::event::{parse_proxy_result, proxy_event};
use crate::mapping::{Input, context_value, render};
use crate::text::component_encode;

/// What the gateway must do for an operation.
#[derive(Clone, PartialEq)]
pub enum Call {
    /// Invoke a function with an event.
    Function {
        /// ARN of the function, perhaps qualified.
        arn: String,
        /// The event.
        payload: Vec<u8>,
    },
    /// Send a request to a back end.
    Http(HttpCall),
    /// Nothing: the answer is already known.
    Mock(Reply),
}

/// A request to an HTTP back end.
#[derive(Clone, Eq, PartialEq)]
pub struct HttpCall {
    /// Method.
    pub method: String,
    /// Absolute URL.
    pub url: String,
    /// Headers, the mapped ones last.
    pub headers: Vec<(String, String)>,
    /// Body, perhaps empty.
    pub body: Vec<u8>,
}

impl fmt::Debug for Call {
    /// Sizes only: events hold cookies and tokens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function { arn, payload } => f
                .debug_struct("Function")
                .field("arn", arn)
                .field("payload_bytes", &payload.len())
                .finish(),
            Self::Http(call) => f.debug_tuple("Http").field(call).finish(),
            Self::Mock(reply) => f.debug_tuple("Mock").field(reply).finish(),
        }
    }
}

impl fmt::Debug for HttpCall {
    /// Names and sizes only, and the URL without its query: values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.split('?').next().unwrap_or_default();
        f.debug_struct("HttpCall")
            .field("method", &self.method)
            .field("url", &url)
            .field("headers", &Names(&self.headers))
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// What came of a [`Call`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// The function's result.
    Function(Vec<u8>),
    /// The back end's response.
    Http {
        /// Status.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// Body.
        body: Vec<u8>,
    },
}

/// The integration's answer after mapping.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reply {
    /// Status; it matters on `$connect` only.
    pub status: u16,
    /// Headers; only `Sec-WebSocket-Protocol` and the gateway's own matter.
    pub headers: Vec<(String, String)>,
    /// Body for the client.
    pub body: Option<Vec<u8>>,
    /// Whether the body goes out as a binary message, where those are accepted.
    pub is_binary: bool,
}

/// Works out the call. `body` is the message; CONNECT and DISCONNECT have none.
pub fn call(
    integration: &Integration,
    operation: &Operation,
    body: Option<&str>,
    is_base64: bool,
) -> Result<Call, Failure> {
    match &integration.target {
        Target::Function(uri) => Ok(Call::Function {
            arn: uri.arn.resolve(&operation.stage.variables),
            payload: proxy_event(operation, body, is_base64),
        }),
        Target::HttpProxy(target) => {
            let input = Input::new(body.unwrap_or_default());
            let body = body.unwrap_or_default().as_bytes().to_vec();
            http_call(integration, target, operation, &input, body).map(Call::Http)
        }
        Target::Http(target) => {
            let input = Input::new(body.unwrap_or_default());
            let body = request_body(integration, operation, &input)?;
            http_call(integration, target, operation, &input, body.into_bytes()).map(Call::Http)
        }
        Target::Mock => mock(integration, operation, body.unwrap_or_default()).map(Call::Mock),
    }
}

/// Maps the answer. `replies` says whether anybody will see the result: a
/// connect, or a route with a route response.
pub fn reply(
    integration: &Integration,
    operation: &Operation,
    body: Option<&str>,
    answer: Answer,
    replies: bool,
) -> Result<Reply, Failure> {
    match answer {
        // Where nobody sees the result, a function may also return nothing at all.
        Answer::Function(payload) if !replies && !is_object(&payload) => {
            Ok(Reply { status: 200, ..Reply::default() })
        }
        Answer::Function(payload) => {
            let result = parse_proxy_result(&payload)?;
            Ok(Reply {
                status: result.status,
                headers: result.headers,
                body: result.body,
                is_binary: result.is_base64,
            })
        }
        Answer::Http { status, headers, body: answer } => {
            let raw = Reply { status, headers, body: Some(answer), is_binary: false };
            match integration.target {
                Target::Http(_) => {
                    respond(integration, operation, body.unwrap_or_default(), raw, replies)
                }
                Target::Function(_) | Target::HttpProxy(_) | Target::Mock => Ok(raw),
            }
        }
    }
}

fn is_object(payload: &[u8]) -> bool {
    payload.trim_ascii_start().starts_with(b"{")
}

/// The body of a non-proxy request: the template's output, or the message.
fn request_body(
    integration: &Integration,
    operation: &Operation,
    input: &Input<'_>,
) -> Result<String, Failure> {
    let templates = &integration.templates;
    let subject = || Subject { body: input.json(), ..Subject::default() };
    if let Some(template) = choose(templates, subject) {
        return render(template, operation, input);
    }
    if passes(integration) {
        return Ok(input.body().to_owned());
    }
    Err(Failure::UnsupportedMediaType)
}

/// Whether a body for which no template was found may pass as it is ([passthrough]).
///
/// [passthrough]: https://docs.aws.amazon.com/apigateway/latest/developerguide/integration-passthrough-behaviors.html
fn passes(integration: &Integration) -> bool {
    match integration.passthrough {
        Passthrough::WhenNoMatch => true,
        Passthrough::WhenNoTemplates => integration.templates.list.is_empty(),
        Passthrough::Never => false,
    }
}

/// The selected template, then `$default`; without an expression also
/// `application/json`.
fn choose<'t, 's>(
    templates: &'t Templates,
    subject: impl FnOnce() -> Subject<'s>,
) -> Option<&'t vtl::Template> {
    if templates.list.is_empty() {
        return None;
    }
    let selected = match &templates.selection {
        None => None,
        Some(expression) => match expression.constant() {
            Some(key) => templates.find(key),
            None => templates.find(&expression.evaluate(&subject())),
        },
    };
    let last = || templates.selection.is_none().then(|| templates.find("application/json"));
    selected
        .or_else(|| templates.find("$default"))
        .or_else(|| last().flatten())
        .map(|template| &**template)
}

/// `MOCK`: the request template yields the status, 200 without one.
fn mock(integration: &Integration, operation: &Operation, body: &str) -> Result<Reply, Failure> {
    let input = Input::new(body);
    let subject = || Subject { body: input.json(), ..Subject::default() };
    let status = match choose(&integration.templates, subject) {
        None if passes(integration) => 200,
        None => return Err(Failure::UnsupportedMediaType),
        Some(template) => mock_status(template, operation, &input)?,
    };
    let raw = Reply { status, body: Some(Vec::new()), ..Reply::default() };
    respond(integration, operation, body, raw, true)
}

fn mock_status(
    template: &vtl::Template,
    operation: &Operation,
    input: &Input<'_>,
) -> Result<u16, Failure> {
    #[derive(serde::Deserialize)]
    struct Mock {
        #[serde(rename = "statusCode")]
        status_code: u16,
    }
    let rendered;
    let text = match template.constant() {
        Some(text) => text,
        None => {
            rendered = render(template, operation, input)?;
            &rendered
        }
    };
    if !is_object(text.as_bytes()) {
        return Err(Failure::IntegrationMalformed); // A list would pass for the struct.
    }
    let mock: Mock = serde_json::from_str(text).map_err(|_| Failure::IntegrationMalformed)?;
    Ok(mock.status_code)
}

/// Chooses the integration response and maps through it.
fn respond(
    integration: &Integration,
    operation: &Operation,
    request_body: &str,
    raw: Reply,
    replies: bool,
) -> Result<Reply, Failure> {
    if integration.responses.is_empty() {
        let is_mock = matches!(integration.target, Target::Mock);
        let is_connect = matches!(operation.kind, Kind::Connect { .. });
        // Without any response the back end's status decides a connect; a
        // message whose reply is wanted has none that could be sent.
        return if is_mock || is_connect || !replies {
            Ok(raw)
        } else {
            Err(Failure::IntegrationMalformed)
        };
    }
    let response =
        select_response(&integration.responses, raw.status).ok_or(Failure::IntegrationMalformed)?;
    let text = String::from_utf8_lossy(raw.body.as_deref().unwrap_or_default()).into_owned();
    let input = Input::new(text);
    let request = Input::new(request_body);
    let subject =
        || Subject { body: request.json(), status: Some(raw.status), headers: &raw.headers };
    let body = match choose(&response.templates, subject) {
        Some(template) => Some(render(template, operation, &input)?.into_bytes()),
        None => raw.body.clone(),
    };
    let mut headers: Vec<(String, String)> = raw
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol"))
        .cloned()
        .collect();
    for (name, source) in &response.parameters {
        if let Some(value) = response_value(source, &raw, &input) {
            headers.push((name.clone(), value));
        }
    }
    Ok(Reply { status: raw.status, headers, body, is_binary: false })
}

/// The first matching pattern in order, then `$default`.
fn select_response(responses: &[IntegrationResponse], status: u16) -> Option<&IntegrationResponse> {
    let subject = OnceCell::new();
    let pattern = responses.iter().find(|response| match &response.key {
        ResponseKey::Pattern(regex) => regex.is_match(subject.get_or_init(|| status.to_string())),
        ResponseKey::Default => false,
    });
    pattern
        .or_else(|| responses.iter().find(|response| matches!(response.key, ResponseKey::Default)))
}

fn response_value(source: &ResponseSource, raw: &Reply, input: &Input<'_>) -> Option<String> {
    match source {
        ResponseSource::Static(text) => Some(text.clone()),
        ResponseSource::Header(name) => {
            let mut values = raw.headers.iter().rev();
            values.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        }
        ResponseSource::Body(path) => found_text(&path.find(input.json()?)),
    }
}

fn found_text(found: &Found<'_>) -> Option<String> {
    match found {
        Found::Missing | Found::TooMuch => None,
        Found::One(value) => Some(selection_text(value)),
        Found::Many(values) => Some(selection_text(&Json::Array(
            values.iter().map(|value| (**value).clone()).collect(),
        ))),
    }
}

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

fn http_call(
    integration: &Integration,
    target: &HttpTarget,
    operation: &Operation,
    input: &Input<'_>,
    body: Vec<u8>,
) -> Result<HttpCall, Failure> {
    let mut headers = forwarded_headers(integration, operation);
    let mut path_values = Vec::new();
    let mut query = String::new();
    for mapping in &integration.parameters {
        for value in parameter_values(&mapping.source, operation, input) {
            match &mapping.destination {
                Destination::Header(name) => {
                    if value.chars().any(char::is_control) {
                        return Err(Failure::TemplateFailed);
                    }
                    headers.push((name.clone(), value.into_owned()));
                }
                Destination::QueryString(name) => {
                    query.push(if query.is_empty() { '?' } else { '&' });
                    query.push_str(&component_encode(name));
                    query.push('=');
                    query.push_str(&component_encode(&value));
                }
                Destination::Path(name) => {
                    if matches!(&*value, "" | "." | "..") {
                        return Err(Failure::TemplateFailed);
                    }
                    path_values.push((name.clone(), component_encode(&value)));
                }
            }
        }
    }
    let url = target.url.resolve(&operation.stage.variables);
    let url = with_query(fill_path(&url, &path_values), &query);
    let api_id = &operation.connection.api_id;
    if !has(&headers, "user-agent") {
        headers.push(("User-Agent".to_owned(), format!("AmazonAPIGateway_{api_id}")));
    }
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case(API_ID));
    headers.push((API_ID.to_owned(), api_id.clone()));
    if !body.is_empty() && !has(&headers, "content-type") {
        headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    }
    Ok(HttpCall { method: target.method.clone(), url, headers, body })
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

fn has(headers: &[(String, String)], name: &str) -> bool {
    headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name))
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

/// Replaces `{name}` behind the host of a URL, which no value may choose; a name
/// without value stays.
fn fill_path(url: &str, values: &[(String, String)]) -> String {
    let host = url.find("://").map_or(0, |scheme| scheme + 3);
    let path = url[host..].find('/').map_or(url.len(), |slash| host + slash);
    let (host, path) = url.split_at(path);
    let mut path = path.to_owned();
    for (name, value) in values {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    format!("{host}{path}")
}

fn with_query(url: String, query: &str) -> String {
    let Some(rest) = query.strip_prefix('?') else { return url };
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{rest}")
}
