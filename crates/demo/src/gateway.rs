//! The back end's own calls to the gateway: pushes and closures, signed ([SigV4]), and the
//! question why a handshake was refused.
//!
//! [SigV4]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::rooms::Announcement;
use crate::settings::{Admin, ApiStage, GatewayAddress, Secrets};

/// How long one call to the gateway may take.
const CALL_TIME: Duration = Duration::from_secs(5);

/// How long an idle connection to the gateway is kept.
const POOL_IDLE_TIME: Duration = Duration::from_secs(30);

/// Calls of one announcement that run at once.
const CALLS_AT_ONCE: usize = 16;

/// Longest answer that is read, in bytes: the gateway remembers 1,000 refusals of a few hundred
/// bytes, and the question names one attempt.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Why a call failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum CallError {
    /// The connection does not exist any more (410).
    #[error("the connection is gone")]
    Gone,
    /// The gateway answered something else.
    #[error("the gateway answered {0}")]
    Refused(StatusCode),
    /// The request could not be signed.
    #[error("the call cannot be signed")]
    Signature,
    /// No answer, or none in time.
    #[error("the gateway does not answer")]
    Unreachable,
}

/// What the gateway remembers of a refused handshake.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(crate) struct RefusedAttempt {
    pub(crate) attempt: Option<String>,
    pub(crate) status: Value,
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) rule: Value,
}

/// A client of one gateway.
pub(crate) struct Gateway {
    client: Client<HttpConnector, Full<Bytes>>,
    credentials: Credentials,
    pub(crate) address: GatewayAddress,
}

impl Gateway {
    pub(crate) fn new(address: GatewayAddress, secrets: &Secrets) -> Self {
        let secret = String::from_utf8_lossy(secrets.management_secret.expose()).into_owned();
        let credentials =
            Credentials::new(secrets.management_id.clone(), secret, None, None, "demo");
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIME)
            .pool_max_idle_per_host(CALLS_AT_ONCE)
            .build_http();
        Self { client, credentials, address }
    }

    /// Sends an announcement to each of its targets; the ids that are gone come back.
    pub(crate) async fn announce(self: &Arc<Self>, announcement: Announcement) -> Vec<String> {
        let body = Bytes::from(announcement.body.to_string());
        let mut targets = announcement.targets.into_iter();
        let mut calls = JoinSet::new();
        let mut gone = Vec::new();
        loop {
            for (id, api) in targets.by_ref().take(CALLS_AT_ONCE - calls.len()) {
                let (gateway, body) = (self.clone(), body.clone());
                calls.spawn(async move {
                    let result = gateway.post(&api, &id, body).await;
                    (id, result)
                });
            }
            match calls.join_next().await {
                None => return gone,
                Some(Ok((id, Err(CallError::Gone)))) => gone.push(id),
                Some(Ok((_, Err(error)))) => tracing::warn!(%error, "a push failed"),
                Some(Ok((_, Ok(()))) | Err(_)) => {}
            }
        }
    }

    /// Sends a text to one connection ([PostToConnection]).
    ///
    /// [PostToConnection]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
    pub(crate) async fn post(
        &self,
        api: &ApiStage,
        connection_id: &str,
        body: Bytes,
    ) -> Result<(), CallError> {
        let path = format!("@connections/{}", segment(connection_id));
        self.call(Method::POST, api, &path, body).await
    }

    /// Closes every connection of a principal and refuses the tokens issued to it so far.
    pub(crate) async fn close_principal(
        &self,
        api: &ApiStage,
        principal: &str,
    ) -> Result<(), CallError> {
        let path = format!("@principals/{}", segment(principal));
        self.call(Method::DELETE, api, &path, Bytes::new()).await
    }

    async fn call(
        &self,
        method: Method,
        api: &ApiStage,
        path: &str,
        body: Bytes,
    ) -> Result<(), CallError> {
        let base = &self.address.endpoint;
        let uri = format!("{base}/_aws/execute-api/{}/{}/{path}", api.api_id, api.stage);
        let request = self.signed(method, &uri, body).ok_or(CallError::Signature)?;
        let answer = timeout(CALL_TIME, self.client.request(request)).await;
        let Ok(Ok(response)) = answer else { return Err(CallError::Unreachable) };
        match response.status() {
            StatusCode::GONE => Err(CallError::Gone),
            status if status.is_success() => Ok(()),
            status => Err(CallError::Refused(status)),
        }
    }

    fn signed(&self, method: Method, uri: &str, body: Bytes) -> Option<Request<Full<Bytes>>> {
        let identity = self.credentials.clone().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.address.region)
            .name("execute-api")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .ok()?;
        let signable = SignableRequest::new(
            method.as_str(),
            uri,
            std::iter::empty(),
            SignableBody::Bytes(&body),
        );
        let (instructions, _) = sign(signable.ok()?, &params.into()).ok()?.into_parts();
        let request = Request::builder().method(method).uri(uri);
        let mut request = request.body(Full::new(body.clone())).ok()?;
        instructions.apply_to_request_http1x(&mut request);
        Some(request)
    }

    /// Asks the admin listener why an attempt was refused; `None` if it does not know of it.
    pub(crate) async fn refusal(
        &self,
        admin: &Admin,
        attempt: &str,
    ) -> Result<Option<RefusedAttempt>, CallError> {
        let uri = format!("{}/refusals?attempt={}", admin.address, segment(attempt));
        let request = Request::builder()
            .uri(uri)
            .header(AUTHORIZATION, format!("Bearer {}", admin.token))
            .body(Full::default());
        let request = request.map_err(|_| CallError::Unreachable)?;
        let answer = timeout(CALL_TIME, async {
            let response = self.client.request(request).await.ok()?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
            Some((status, body.collect().await.ok()?.to_bytes()))
        });
        let Ok(Some((status, body))) = answer.await else { return Err(CallError::Unreachable) };
        if status != StatusCode::OK {
            return Err(CallError::Refused(status));
        }
        let known: Vec<RefusedAttempt> =
            serde_json::from_slice(&body).map_err(|_| CallError::Refused(status))?;
        Ok(known.into_iter().find(|refused| refused.attempt.as_deref() == Some(attempt)))
    }
}

/// One path segment or query value: all but [unreserved characters] percent-encoded.
///
/// [unreserved characters]: https://www.rfc-editor.org/rfc/rfc3986#section-2.3
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_stays_one_segment() {
        assert_eq!(segment(r#"x","role":"admin"#), "x%22%2C%22role%22%3A%22admin");
        assert_eq!(segment("a/b?c#d%é"), "a%2Fb%3Fc%23d%25%C3%A9");
        assert_eq!(segment("L0SM9cOFvHcCIhw="), "L0SM9cOFvHcCIhw%3D");
    }
}
