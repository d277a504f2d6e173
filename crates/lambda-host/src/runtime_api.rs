//! The [Runtime API] of one instance.
//!
//! Each instance has a listener of its own on 127.0.0.1, which closes with the instance. Runtimes
//! find it by `AWS_LAMBDA_RUNTIME_API`, an address without a path, so it holds no secret; every
//! process of this machine can find it in the list of sockets. Therefore the process at the other
//! end of each connection must be the instance's or descend from it, by what the kernel says about
//! the socket; other connections are closed unread. Web pages are refused by their headers.
//!
//! [Runtime API]: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::instance::{Instance, random_id};
use crate::output;
use crate::pool::{Next, Pool};
use crate::{InvokeError, RESULT_BYTES_MAX, error_message};

/// Longest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Largest body that is read, in bytes, though most of it goes nowhere: a runtime reads why its
/// result is refused only after it has sent it.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Serves a connection that was accepted from `peer`, if it is the instance's.
pub(crate) async fn serve(
    pool: Arc<Pool>,
    instance: Arc<Instance>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let asked = Arc::clone(&instance);
    let owns = tokio::task::spawn_blocking(move || asked.owns(peer));
    if !owns.await.unwrap_or(false) {
        if instance.note_stranger() {
            let function = &pool.base.spec.name;
            tracing::warn!(target: "function", function, "another process called its Runtime API");
        }
        return;
    }
    // Answers are small and awaited.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let (pool, instance) = (&pool, &instance);
        async move { Ok::<_, Infallible>(answer(pool, instance, request).await) }
    });
    // An error is the end of the connection, whose invocation has its own deadline.
    let _ = http1::Builder::new()
        .auto_date_header(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

type Answer = Response<Full<Bytes>>;

async fn answer(pool: &Arc<Pool>, instance: &Instance, request: Request<Incoming>) -> Answer {
    if !is_local(request.headers(), instance.address) {
        return error(StatusCode::FORBIDDEN, "Forbidden", "Forbidden");
    }
    let path = request.uri().path().to_owned();
    let Some(path) = path.strip_prefix("/2018-06-01/runtime/") else { return not_found() };
    match (request.method(), path) {
        (&Method::GET, "invocation/next") => next(pool, instance).await,
        (&Method::POST, "init/error") => init_error(pool, instance, request).await,
        (&Method::POST, path) => {
            let invocation = path.strip_prefix("invocation/").and_then(|path| path.split_once('/'));
            match invocation {
                Some((id, "response")) => response(pool, instance, id, request).await,
                Some((id, "error")) => invocation_error(pool, instance, id, request).await,
                _ => not_found(),
            }
        }
        _ => not_found(),
    }
}

/// Whether a request comes from a program that means this very listener: no web page, nor
/// somebody behind a proxy.
fn is_local(headers: &HeaderMap, address: SocketAddr) -> bool {
    let refused = |name: &HeaderName| {
        matches!(name.as_str(), "origin" | "forwarded" | "via")
            || name.as_str().starts_with("x-forwarded-")
    };
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(Ok(host)), None) = (hosts.next().map(HeaderValue::to_str), hosts.next()) else {
        return false;
    };
    let (name, port) = host.split_once(':').unwrap_or((host, "80"));
    (name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost"))
        && port.parse() == Ok(address.port())
        && !headers.keys().any(refused)
        && headers.get_all("sec-fetch-site").iter().all(|site| site == "none")
}

/// [Next invocation]: waits until there is one.
///
/// [Next invocation]: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-next
async fn next(pool: &Arc<Pool>, instance: &Instance) -> Answer {
    let event = match pool.next(instance).await {
        Next::Event(event) => event,
        Next::Refused => {
            let message = "the invocations that the runtime has must be answered first";
            return error(StatusCode::FORBIDDEN, "InvalidStateTransition", message);
        }
    };
    let spec = &pool.base.spec;
    let deadline_ms = since_epoch().saturating_add(event.time).as_millis();
    let text =
        |value: &str| HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static(""));
    let mut response = Response::new(Full::new(event.payload));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("lambda-runtime-aws-request-id", text(&event.id));
    headers.insert("lambda-runtime-invocation-id", text(&event.id));
    headers.insert("lambda-runtime-deadline-ms", text(&deadline_ms.to_string()));
    headers.insert("lambda-runtime-invoked-function-arn", text(&spec.arn));
    headers.insert("lambda-runtime-trace-id", text(&trace_id()));
    response
}

/// A fresh [tracing header] of something that is not traced.
///
/// [tracing header]: https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
fn trace_id() -> String {
    let seconds = since_epoch().as_secs();
    let root = random_id().simple().to_string();
    format!("Root=1-{seconds:08x}-{};Parent={:016x};Sampled=0", &root[..24], rand::random::<u64>())
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// [Invocation response]; a streamed one is taken as a whole.
///
/// [Invocation response]: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-response
async fn response(
    pool: &Pool,
    instance: &Instance,
    id: &str,
    request: Request<Incoming>,
) -> Answer {
    let result = match read(request.into_body()).await {
        Ok(Body { bytes, failure: None }) => Ok(bytes),
        Ok(Body { failure: Some(kind), .. }) => Err(InvokeError::raised(&kind, &kind)),
        Err(Unread::TooLarge) => Err(InvokeError::TooLarge),
        Err(Unread::Broken) => return bad_request("the request ended too early"),
    };
    let is_too_large = result == Err(InvokeError::TooLarge);
    if !instance.finish(pool, id, result) {
        return invalid_id();
    }
    if is_too_large { too_large() } else { accepted() }
}

/// [Invocation error].
///
/// [Invocation error]: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-invokeerror
async fn invocation_error(
    pool: &Pool,
    instance: &Instance,
    id: &str,
    request: Request<Incoming>,
) -> Answer {
    let error = match failure(request).await {
        Ok(error) => error,
        Err(answer) => return answer,
    };
    if let InvokeError::Function { message, .. } = &error {
        let (function, shown) = (&pool.base.spec.name, output::escape(message.as_bytes()));
        tracing::warn!(target: "function", function, request_id = id, "raised: {shown}");
    }
    match instance.finish(pool, id, Err(error)) {
        true => accepted(),
        false => invalid_id(),
    }
}

/// [Initialization error].
///
/// [Initialization error]: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-initerror
async fn init_error(pool: &Pool, instance: &Instance, request: Request<Incoming>) -> Answer {
    let failure = match failure(request).await {
        Ok(failure) => failure,
        Err(answer) => return answer,
    };
    if let InvokeError::Function { message, .. } = &failure {
        let (function, shown) = (&pool.base.spec.name, output::escape(message.as_bytes()));
        tracing::warn!(target: "function", function, "cannot initialise: {shown}");
    }
    if !instance.fail_init(failure) {
        let message = "the runtime has been initialised";
        return error(StatusCode::FORBIDDEN, "InvalidStateTransition", message);
    }
    accepted()
}

/// The error that a runtime reports; one without a message is told by its type.
async fn failure(request: Request<Incoming>) -> Result<InvokeError, Answer> {
    let (head, body) = request.into_parts();
    let body = match read(body).await {
        Ok(body) => body.bytes,
        Err(Unread::TooLarge) => return Err(too_large()),
        Err(Unread::Broken) => return Err(bad_request("the request ended too early")),
    };
    if !error_message(&body).is_empty() {
        return Ok(InvokeError::from_document(body));
    }
    let kind = error_type(&head.headers).unwrap_or_else(|| "Runtime.Unknown".to_owned());
    Ok(InvokeError::raised(&kind, &kind))
}

fn error_type(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(ERROR_TYPE)?.to_str().ok()?;
    Some(name.chars().take(256).collect())
}

const ERROR_TYPE: &str = "lambda-runtime-function-error-type";

/// The body of a request.
struct Body {
    bytes: Bytes,
    /// An error that a stream ended with, told by its [trailers].
    ///
    /// [trailers]: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
    failure: Option<String>,
}

enum Unread {
    Broken,
    /// More than a result may have.
    TooLarge,
}

async fn read(mut body: Incoming) -> Result<Body, Unread> {
    let mut first = Bytes::new();
    let mut bytes = BytesMut::new();
    let mut length = 0;
    let mut failure = None;
    while let Some(frame) = body.frame().await {
        match frame.map_err(|_| Unread::Broken)?.into_data() {
            Ok(data) => {
                length += data.len();
                if BODY_BYTES_MAX < length {
                    return Err(Unread::TooLarge);
                }
                if length == data.len() {
                    // Most bodies are one piece, which needs no copy.
                    first = data;
                } else if length <= RESULT_BYTES_MAX {
                    if bytes.is_empty() {
                        bytes.extend_from_slice(&std::mem::take(&mut first));
                    }
                    bytes.extend_from_slice(&data);
                }
            }
            Err(frame) => failure = frame.trailers_ref().and_then(error_type),
        }
    }
    if RESULT_BYTES_MAX < length {
        return Err(Unread::TooLarge);
    }
    let bytes = if bytes.is_empty() { first } else { bytes.freeze() };
    Ok(Body { bytes, failure })
}

fn accepted() -> Answer {
    json_answer(StatusCode::ACCEPTED, &json!({ "status": "OK" }))
}

fn invalid_id() -> Answer {
    error(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID")
}

fn bad_request(message: &str) -> Answer {
    error(StatusCode::BAD_REQUEST, "InvalidRequest", message)
}

fn not_found() -> Answer {
    error(StatusCode::NOT_FOUND, "NotFound", "no such resource")
}

fn too_large() -> Answer {
    let message = format!("Exceeded maximum allowed payload size ({RESULT_BYTES_MAX} bytes).");
    error(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", &message)
}

fn error(status: StatusCode, kind: &str, message: &str) -> Answer {
    json_answer(status, &json!({ "errorMessage": message, "errorType": kind }))
}

fn json_answer(status: StatusCode, value: &Value) -> Answer {
    let mut response = Response::new(Full::new(value.to_string().into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&str, &str)], want: bool) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let got = is_local(&map, "127.0.0.1:9001".parse().unwrap());
        assert_eq!(got, want, "{headers:?}");
    }

    #[test]
    fn only_who_names_the_listener_and_is_no_page_is_local() {
        check(&[("host", "127.0.0.1:9001")], true);
        check(&[("host", "LocalHost:9001")], true);
        check(&[("host", "127.0.0.1:9001"), ("sec-fetch-site", "none")], true);
        check(&[], false);
        check(&[("host", "127.0.0.1")], false);
        check(&[("host", "127.0.0.1:9002")], false);
        check(&[("host", "evil.example:9001")], false);
        check(&[("host", "127.0.0.1:9001"), ("host", "127.0.0.1:9001")], false);
        check(&[("host", "127.0.0.1:9001"), ("origin", "http://localhost")], false);
        check(&[("host", "127.0.0.1:9001"), ("sec-fetch-site", "same-origin")], false);
        check(&[("host", "127.0.0.1:9001"), ("x-forwarded-for", "::1")], false);
        check(&[("host", "127.0.0.1:9001"), ("via", "1.1 proxy")], false);
        check(&[("host", "127.0.0.1:9001"), ("forwarded", "for=::1")], false);
    }

    #[test]
    fn a_trace_id_has_the_form_of_the_header() {
        let id = trace_id();
        let fields: Vec<&str> = id.split([';', '=', '-']).collect();
        let [root, version, time, unique, parent, span, sampled, no] = fields[..] else {
            panic!("{id}");
        };
        assert_eq!((root, version, parent, sampled, no), ("Root", "1", "Parent", "Sampled", "0"));
        assert_eq!((time.len(), unique.len(), span.len()), (8, 24, 16));
    }
}
