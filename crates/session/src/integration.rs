//! What an operation asks of its integration, and what the answer means
//! ([integrations]).
//!
//! [integrations]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-routes-integrations.html

mod request;
mod response;
mod service;

use std::fmt;

use api_model::api::{Integration, Passthrough, Target, Templates};
use api_model::expression::Subject;

use crate::connection::{Names, Operation};
use crate::error::Failure;
use crate::event::{parse_proxy_result, proxy_event};
use crate::mapping::{Input, render};
use request::{http_call, last, mapped};
use response::{Outcome, respond_function, respond_status};

pub use service::AwsCall;

/// What the gateway must do for an operation.
#[derive(Clone, PartialEq)]
pub enum Call {
    /// Ask an AWS service.
    Aws(Box<AwsCall>),
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
            let call = service::service_call(integration, target, operation, &input, body)?;
            Ok(Call::Aws(Box::new(call)))
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
