//! What an operation asks of its integration, and what the answer means
//! ([integrations]).
//!
//! [integrations]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-routes-integrations.html

mod service;

use std::borrow::Cow;
use std::cell::LazyCell;
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

pub use service::AwsCall;

/// What the gateway must do for an operation.
#[derive(Clone, PartialEq)]
pub enum Call {
    /// Ask an AWS service.
    Aws(AwsCall),
    /// Invoke a function with an event.
    Function {
        /// ARN of the function, perhaps qualified.
        arn: String,
        /// The event.
        payload: Vec<u8>,
    },
    /// Send a request to a back end.
    Http(HttpCall),
    /// Invoke a function with a payload of the template's making.
    Invoke {
        /// ARN of the function, perhaps qualified.
        arn: String,
        /// The payload, JSON.
        payload: Vec<u8>,
        /// Whether nobody waits for the result: the answer is an empty
        /// [`Answer::Function`], given as soon as the function has the payload.
        is_event: bool,
    },
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
            Self::Aws(call) => f.debug_tuple("Aws").field(call).finish(),
            Self::Function { arn, payload } => f
                .debug_struct("Function")
                .field("arn", arn)
                .field("payload_bytes", &payload.len())
                .finish(),
            Self::Http(call) => f.debug_tuple("Http").field(call).finish(),
            Self::Invoke { arn, payload, is_event } => f
                .debug_struct("Invoke")
                .field("arn", arn)
                .field("payload_bytes", &payload.len())
                .field("is_event", is_event)
                .finish(),
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
    /// What a function of [`Call::Invoke`] raised, as Lambda spells it:
    /// `{"errorMessage":…,"errorType":…,"stackTrace":…}`.
    FunctionError(Vec<u8>),
    /// The response of a back end or service.
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
        Target::Aws(target) => {
            let input = Input::new(body.unwrap_or_default());
            let body = request_body(integration, operation, &input)?;
            service::call(integration, target, operation, &input, body).map(Call::Aws)
        }
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
        Target::Invoke(uri) => {
            let input = Input::new(body.unwrap_or_default());
            let payload = invoke_payload(request_body(integration, operation, &input)?)?;
            Ok(Call::Invoke {
                arn: uri.arn.resolve(&operation.stage.variables),
                payload,
                is_event: is_event(integration, operation, &input)?,
            })
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
    let request = body.unwrap_or_default();
    match (answer, &integration.target) {
        (Answer::Function(payload), Target::Invoke(_)) => {
            respond_function(integration, operation, request, payload, Outcome::Result, replies)
        }
        (Answer::FunctionError(payload), Target::Invoke(_)) => {
            respond_function(integration, operation, request, payload, Outcome::Raised, replies)
        }
        (Answer::FunctionError(_), _) => Err(Failure::IntegrationError),
        // Where nobody sees the result, a function may also return nothing at all.
        (Answer::Function(payload), _) if !replies && !is_object(&payload) => {
            Ok(Reply { status: 200, ..Reply::default() })
        }
        (Answer::Function(payload), _) => {
            let result = parse_proxy_result(&payload)?;
            Ok(Reply {
                status: result.status,
                headers: result.headers,
                body: result.body,
                is_binary: result.is_base64,
            })
        }
        (Answer::Http { status, headers, body: answer }, target) => {
            let raw = Reply { status, headers, body: Some(answer), is_binary: false };
            match target {
                Target::Aws(_) | Target::Http(_) => {
                    respond_status(integration, operation, request, raw, replies)
                }
                Target::Function(_) | Target::HttpProxy(_) | Target::Invoke(_) | Target::Mock => {
                    Ok(raw)
                }
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

/// The payload of a function; it is always JSON, and of nothing an empty object.
fn invoke_payload(body: String) -> Result<Vec<u8>, Failure> {
    if body.trim_ascii().is_empty() {
        return Ok(b"{}".to_vec());
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(&body) {
        Ok(_) => Ok(body.into_bytes()),
        Err(_) => Err(Failure::IntegrationUnreachable),
    }
}

/// Whether the mapped header `X-Amz-Invocation-Type` ([asynchronous invocation])
/// asks for an event. What neither waits nor is an event does not run the function.
///
/// [asynchronous invocation]: https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-integration-async.html
fn is_event(
    integration: &Integration,
    operation: &Operation,
    input: &Input<'_>,
) -> Result<bool, Failure> {
    let mapped = mapped(integration, operation, input)?;
    match last(&mapped.headers, "x-amz-invocation-type") {
        None | Some("RequestResponse") => Ok(false),
        Some("Event") => Ok(true),
        Some(_) => Err(Failure::IntegrationUnreachable),
    }
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
    respond_status(integration, operation, body, raw, true)
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

/// Maps through the integration response that the answer's status selects.
fn respond_status(
    integration: &Integration,
    operation: &Operation,
    request_body: &str,
    raw: Reply,
    replies: bool,
) -> Result<Reply, Failure> {
    let status = raw.status;
    let subject = || Some(status.to_string());
    respond(integration, operation, request_body, raw, subject, replies)
}

/// What became of an invocation.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Outcome {
    Raised,
    Result,
}

/// Maps through the integration response that the function's error selects, or
/// `$default` ([data transformations]). There is no status that a response could
/// set, so an error refuses a connect whatever is selected.
///
/// [data transformations]: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-data-transformations.html
fn respond_function(
    integration: &Integration,
    operation: &Operation,
    request_body: &str,
    payload: Vec<u8>,
    outcome: Outcome,
    replies: bool,
) -> Result<Reply, Failure> {
    let message = error_message(&payload);
    let failed = outcome == Outcome::Raised || message.is_some();
    if failed && integration.responses.is_empty() {
        return Err(Failure::IntegrationError);
    }
    let status = if failed { Failure::IntegrationError.status() } else { 200 };
    let raw = Reply { status, body: Some(payload), ..Reply::default() };
    let subject = || message.or_else(|| failed.then(String::new));
    match respond(integration, operation, request_body, raw, subject, replies) {
        Err(Failure::IntegrationMalformed) if failed => Err(Failure::IntegrationError),
        other => other,
    }
}

/// `errorMessage` of a function's result.
fn error_message(payload: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Result {
        #[serde(rename = "errorMessage")]
        message: Option<Json>,
    }
    if !is_object(payload) {
        return None;
    }
    let result: Result = serde_json::from_slice(payload).ok()?;
    result.message.map(|message| selection_text(&message))
}

/// Chooses the integration response by a subject and maps through it.
fn respond(
    integration: &Integration,
    operation: &Operation,
    request_body: &str,
    raw: Reply,
    subject: impl FnOnce() -> Option<String>,
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
        select_response(&integration.responses, subject).ok_or(Failure::IntegrationMalformed)?;
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

/// The first matching pattern in order, then `$default`; without a subject no pattern matches.
fn select_response(
    responses: &[IntegrationResponse],
    subject: impl FnOnce() -> Option<String>,
) -> Option<&IntegrationResponse> {
    let subject = LazyCell::new(subject);
    let pattern = responses.iter().find(|response| match &response.key {
        ResponseKey::Pattern(regex) => subject.as_ref().is_some_and(|text| regex.is_match(text)),
        ResponseKey::Default => false,
    });
    pattern
        .or_else(|| responses.iter().find(|response| matches!(response.key, ResponseKey::Default)))
}

fn response_value(source: &ResponseSource, raw: &Reply, input: &Input<'_>) -> Option<String> {
    match source {
        ResponseSource::Static(text) => Some(text.clone()),
        ResponseSource::Header(name) => last(&raw.headers, name).map(str::to_owned),
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
struct Mapped {
    headers: Vec<(String, String)>,
    /// Encoded pairs, `&` between them.
    query: String,
    /// Encoded as one segment each.
    path_values: Vec<(String, String)>,
}

fn mapped(
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
fn add_own_headers(operation: &Operation, headers: &mut Vec<(String, String)>) {
    let api_id = &operation.connection.api_id;
    if !has(&headers, "user-agent") {
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

fn has(headers: &[(String, String)], name: &str) -> bool {
    last(headers, name).is_some()
}

/// The last value of a header.
fn last<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
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
fn filled(text: &str, values: &[(String, String)]) -> String {
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
fn joined(first: &str, second: &str) -> String {
    let separator = if first.is_empty() || second.is_empty() { "" } else { "&" };
    format!("{first}{separator}{second}")
}
