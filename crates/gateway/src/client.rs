//! Requests to back ends and invocations of functions.

use std::sync::Arc;
use std::time::Duration;

use api_model::api::Function;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use lambda_host::{Function as _, InvokeError};
use session::Failure;
use session::integration::{Answer, Call, HttpCall};

use crate::aws;
use crate::server::Gateway;
use crate::snapshot::{Callable, Snapshot};

pub use authorizer_lambda::https::client_from as client;
/// The client that integrations, Invoke APIs and built-in authorizers share: HTTP/1.1, no redirects,
/// no proxies.
pub use lambda_host::Client;

/// Largest answer of a back end that is read: far above what a client may get.
pub(crate) const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Makes the call of an operation and waits at most `timeout`, the wait for a
/// place among all calls included.
pub(crate) async fn perform(
    gateway: &Gateway,
    snapshot: &Snapshot,
    call: Call,
    source_arn: &str,
    timeout: Duration,
) -> Result<Answer, Failure> {
    let work = async {
        let Ok(_place) = gateway.integrations.acquire().await else {
            return Err(Failure::IntegrationUnreachable);
        };
        match call {
            // Boxed: rare, and large in every invocation's future.
            Call::Aws(call) => Box::pin(aws::call(&snapshot.aws, *call)).await,
            Call::Mock(reply) => Ok(Answer::Http {
                status: reply.status,
                headers: reply.headers,
                body: reply.body.unwrap_or_default(),
            }),
            Call::Function { arn, payload } => {
                let found = snapshot.function(&arn, source_arn);
                let invoked = invoke(found, payload, timeout).await;
                invoked.map(Answer::Function).map_err(|error| failure(&error))
            }
            Call::Http(call) => send(&gateway.client, call).await,
            Call::Invoke { arn, payload, is_event: true } => {
                hand_over(gateway, snapshot, &arn, source_arn, payload).await
            }
            Call::Invoke { arn, payload, is_event: false } => {
                match invoke(snapshot.function(&arn, source_arn), payload, timeout).await {
                    Ok(result) => Ok(Answer::Function(result)),
                    Err(InvokeError::Function { document, .. }) => {
                        Ok(Answer::FunctionError(document.into()))
                    }
                    Err(error) => Err(failure(&error)),
                }
            }
        }
    };
    tokio::time::timeout(timeout, work).await.unwrap_or(Err(Failure::IntegrationTimeout))
}

/// Gives a function the event of its event source; `None` if it failed.
pub(crate) async fn handle(snapshot: &Snapshot, arn: &str, event: Vec<u8>) -> Option<Vec<u8>> {
    invoke(snapshot.own_function(arn), event, EVENT_TIME).await.ok()
}

/// Invokes a function; a failure is logged.
async fn invoke(
    found: Option<(&Function, &Callable)>,
    payload: Vec<u8>,
    timeout: Duration,
) -> Result<Vec<u8>, InvokeError> {
    let Some((function, callable)) = found else { return Err(absent()) };
    let result = match callable {
        Callable::Absent | Callable::Broken => Err(absent()),
        Callable::Echo => Ok(echo(&payload)),
        Callable::Authorizer(handler) => {
            let now = crate::clock::epoch_seconds();
            // Boxed: rare as an integration, and large in every invocation's future.
            let answer = Box::pin(handler.handle_json(&payload, now)).await;
            answer.map_err(|error| InvokeError::raised("Error", &error.to_string()))
        }
        Callable::Host(host) => host.invoke(payload.into(), timeout).await.map(Into::into),
        Callable::Local(local) => {
            local.messages.invoke(payload.into(), timeout).await.map(Into::into)
        }
    };
    result.inspect_err(|error| {
        tracing::warn!(function = %function.logical_id, error = %log_text(error), "integration failed");
    })
}

fn absent() -> InvokeError {
    InvokeError::NotInvocable { reason: "nothing here can run it".to_owned() }
}

fn failure(error: &InvokeError) -> Failure {
    match error {
        InvokeError::Function { .. } => Failure::IntegrationError,
        InvokeError::NotInvocable { .. } => Failure::IntegrationUnreachable,
        InvokeError::Timeout => Failure::IntegrationTimeout,
        InvokeError::TooLarge => Failure::IntegrationMalformed,
    }
}

/// Hands an event to a function and waits for no result ([asynchronous invocation]); it is tried
/// once.
///
/// [asynchronous invocation]: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html
async fn hand_over(
    gateway: &Gateway,
    snapshot: &Snapshot,
    arn: &str,
    source_arn: &str,
    payload: Vec<u8>,
) -> Result<Answer, Failure> {
    let Some((function, callable)) = snapshot.function(arn, source_arn) else {
        return Err(Failure::IntegrationUnreachable);
    };
    let host: Arc<dyn lambda_host::Function> = match callable {
        Callable::Host(host) => Arc::clone(host),
        Callable::Local(local) => Arc::clone(&local.messages) as Arc<dyn lambda_host::Function>,
        Callable::Absent | Callable::Broken => return Err(Failure::IntegrationUnreachable),
        Callable::Authorizer(_) | Callable::Echo => return Ok(Answer::Function(Vec::new())),
    };
    let place = Arc::clone(&gateway.events).acquire_owned().await;
    let place = place.map_err(|_| Failure::IntegrationUnreachable)?;
    let name = function.logical_id.clone();
    gateway.tasks.spawn(async move {
        if let Err(error) = host.invoke(payload.into(), EVENT_TIME).await {
            tracing::warn!(function = %name, error = %log_text(&error), "event was not handled");
        }
        drop(place);
    });
    Ok(Answer::Function(Vec::new()))
}

/// How long an event may wait for its function and run there: Lambda's longest `Timeout`.
const EVENT_TIME: Duration = Duration::from_secs(900);

/// The error without the function's own words, which may hold anything.
fn log_text(error: &InvokeError) -> String {
    error.to_string()
}

/// Answers an event's body, as a proxy result.
fn echo(event: &[u8]) -> Vec<u8> {
    #[derive(serde::Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        body: Option<std::borrow::Cow<'a, str>>,
        #[serde(default, rename = "isBase64Encoded")]
        is_base64: bool,
    }
    #[derive(serde::Serialize)]
    struct Answer<'a> {
        #[serde(rename = "statusCode")]
        status: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        body: Option<&'a str>,
        #[serde(rename = "isBase64Encoded")]
        is_base64: bool,
    }
    let event: Event<'_> =
        serde_json::from_slice(event).unwrap_or(Event { body: None, is_base64: false });
    let answer = Answer { status: 200, body: event.body.as_deref(), is_base64: event.is_base64 };
    serde_json::to_vec(&answer).expect("text and numbers serialise")
}

async fn send(client: &Client, call: HttpCall) -> Result<Answer, Failure> {
    let request = build(call).ok_or(Failure::TemplateFailed)?;
    let response = client.request(request).await.map_err(|error| {
        tracing::warn!(error = %error, "back end not reached");
        Failure::IntegrationUnreachable
    })?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| {
        tracing::warn!(error = %error, "answer of the back end not read");
        Failure::IntegrationMalformed
    })?;
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    Ok(Answer::Http { status: head.status.as_u16(), headers, body: body.to_bytes().into() })
}

/// `None` if a name, value or the URL is not allowed in a request.
fn build(call: HttpCall) -> Option<Request<Full<Bytes>>> {
    let method = Method::from_bytes(call.method.as_bytes()).ok()?;
    let uri: http::Uri = call.url.parse().ok()?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some();
    if !is_web {
        return None;
    }
    let mut request = Request::new(Full::new(Bytes::from(call.body)));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    for (name, value) in call.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request)
}
