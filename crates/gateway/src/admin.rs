//! The admin listener: `/health`, `/ready` and `/refusals`.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use session::text::form_decode;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::id;
use crate::local;
use crate::server::Gateway;
use crate::sigv4::Secret;

/// The token that opens the admin listener: 43 characters of base64url.
#[derive(Clone, Debug)]
pub struct AdminToken(Secret);

impl AdminToken {
    /// A configured token.
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// A fresh token of 32 random bytes.
    pub fn fresh() -> Self {
        Self(Secret::new(URL_SAFE_NO_PAD.encode(id::random::<32>())))
    }

    /// The token itself, for the address that is printed once.
    pub fn expose(&self) -> &str {
        str::from_utf8(self.0.expose()).unwrap_or_default()
    }
}

/// Requests to the admin listener that are served at once.
const REQUESTS_MAX: usize = 64;
/// How long a client of the admin listener may take for its request.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Accepts until the task is ended.
pub(crate) async fn accept(gateway: Arc<Gateway>, listener: TcpListener, token: AdminToken) {
    let token = Arc::new(token);
    let places = Arc::new(Semaphore::new(REQUESTS_MAX));
    let mut clients = tokio::task::JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (gateway, token) = (Arc::clone(&gateway), Arc::clone(&token));
                clients.spawn(async move {
                    serve(gateway, stream, token).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept failed on the admin listener");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(gateway: Arc<Gateway>, stream: TcpStream, token: Arc<AdminToken>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(&gateway, &token, &request);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "admin connection ended");
    }
}

fn answer(
    gateway: &Gateway,
    token: &AdminToken,
    request: &Request<Incoming>,
) -> Response<Full<Bytes>> {
    if local::check(request.headers()).is_err() {
        return text(403, "forbidden\n");
    }
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        "/health" | "/ready" | "/refusals" if !is_read => text(405, "method not allowed\n"),
        "/health" => text(200, "ok\n"),
        "/ready" if gateway.is_draining() => text(503, "draining\n"),
        "/ready" => text(200, "ready\n"),
        _ if !local::has_token(request.headers(), token.expose().as_bytes()) => {
            let mut response = text(401, "the admin token is missing or wrong\n");
            let bearer = header::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
            response
        }
        "/refusals" => refusals(gateway, request.uri().query().unwrap_or_default()),
        _ => text(404, "not found\n"),
    }
}

fn refusals(gateway: &Gateway, query: &str) -> Response<Full<Bytes>> {
    let attempt = query.split('&').find_map(|pair| pair.strip_prefix("attempt=")).map(form_decode);
    let list = gateway.journal.list(attempt.as_deref());
    let body = serde_json::to_vec(&list).expect("text and numbers serialise");
    plain(200, "application/json", body)
}

fn text(status: u16, body: &'static str) -> Response<Full<Bytes>> {
    plain(status, "text/plain; charset=utf-8", body.into())
}

fn plain(status: u16, content_type: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CACHE_CONTROL, "no-store")
        .header("x-content-type-options", "nosniff")
        .body(Full::from(body))
        .expect("status and headers are valid")
}
