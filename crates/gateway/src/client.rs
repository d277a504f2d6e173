//! Requests to back ends and invocations of functions.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use lambda_host::InvokeError;
use session::Failure;
use session::integration::{Answer, Call, HttpCall};

use crate::server::Gateway;
use crate::snapshot::{Callable, Snapshot};

pub use authorizer_lambda::https::client_from as client;
/// The client that integrations, Invoke APIs and built-in authorizers share: HTTP/1.1, no redirects,
/// no proxies.
pub use lambda_host::Client;

/// Largest answer of a back end that is read: far above what a client may get.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

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
            Call::Aws(_) | Call::Invoke { .. } => Err(Failure::IntegrationUnreachable),
            Call::Mock(reply) => Ok(Answer::Http {
                status: reply.status,
                headers: reply.headers,
                body: reply.body.unwrap_or_default(),
            }),
            Call::Function { arn, payload } => {
                invoke(snapshot, &arn, source_arn, payload, timeout).await.map(Answer::Function)
            }
            Call::Http(call) => send(&gateway.client, call).await,
        }
    };
    tokio::time::timeout(timeout, work).await.unwrap_or(Err(Failure::IntegrationTimeout))
}

async fn invoke(
    snapshot: &Snapshot,
    arn: &str,
    source_arn: &str,
    payload: Vec<u8>,
    timeout: Duration,
) -> Result<Vec<u8>, Failure> {
    let Some((function, callable)) = snapshot.function(arn, source_arn) else {
        return Err(Failure::IntegrationUnreachable);
    };
    match callable {
        Callable::Absent | Callable::Broken => Err(Failure::IntegrationUnreachable),
        Callable::Echo => Ok(echo(&payload)),
        Callable::Authorizer(handler) => {
            let now = crate::clock::epoch_seconds();
            // Boxed: rare as an integration, and large in every invocation's future.
            let answer = Box::pin(handler.handle_json(&payload, now)).await;
            answer.map_err(|_| Failure::IntegrationError)
        }
        Callable::Host(host) => match host.invoke(payload.into(), timeout).await {
            Ok(result) => Ok(result.into()),
            Err(error) => {
                tracing::warn!(function = %function.logical_id, error = %log_text(&error), "integration failed");
                Err(match error {
                    InvokeError::Function { .. } => Failure::IntegrationError,
                    InvokeError::NotInvocable { .. } => Failure::IntegrationUnreachable,
                    InvokeError::Timeout => Failure::IntegrationTimeout,
                    InvokeError::TooLarge => Failure::IntegrationMalformed,
                })
            }
        },
    }
}

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
