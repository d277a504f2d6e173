//! Functions behind the [Invoke API].
//!
//! [Invoke API]: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;

use crate::{Function, Invocation, InvokeError, RESULT_BYTES_MAX};

/// The HTTP client that invocations share.
pub type Client = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A function at a URL.
#[derive(Clone, Debug)]
pub struct InvokeUrl {
    uri: Uri,
    client: Client,
}

/// A URL that cannot be invoked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{url}` is not an http:// or https:// URL")]
pub struct UrlError {
    /// The text.
    pub url: String,
}

impl InvokeUrl {
    /// A function named `name` at `url`. A URL without a path gets the one of
    /// the Invoke API; any other path is used as it is.
    pub fn new(url: &str, name: &str, client: Client) -> Result<Self, UrlError> {
        let error = || UrlError { url: url.to_owned() };
        let base: Uri = url.parse().map_err(|_| error())?;
        if !matches!(base.scheme_str(), Some("http" | "https")) || base.authority().is_none() {
            return Err(error());
        }
        let uri = match base.path() {
            "" | "/" => {
                let base = url.trim_end_matches('/');
                format!("{base}/2015-03-31/functions/{name}/invocations")
                    .parse()
                    .map_err(|_| error())?
            }
            _ => base,
        };
        Ok(Self { uri, client })
    }

    async fn post(&self, payload: Bytes) -> Result<Bytes, InvokeError> {
        let request = Request::post(self.uri.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(Full::new(payload))
            .map_err(|error| not_invocable(&error))?;
        let response = self.client.request(request).await.map_err(|error| not_invocable(&error))?;
        let (head, body) = response.into_parts();
        let body = match Limited::new(body, RESULT_BYTES_MAX).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(InvokeError::TooLarge),
            Err(_) => return Err(not_invocable(&"the connection ended within the answer")),
        };
        // An emulator may tell a function's error with a status of its own.
        if head.headers.contains_key("x-amz-function-error") || is_bare_error(&body) {
            return Err(InvokeError::from_document(body));
        }
        if head.status != StatusCode::OK {
            return Err(not_invocable(&format_args!("the endpoint answered {}", head.status)));
        }
        Ok(body)
    }
}

impl Function for InvokeUrl {
    fn invoke(&self, payload: Bytes, timeout: Duration) -> Invocation<'_> {
        Box::pin(async move {
            match tokio::time::timeout(timeout, self.post(payload)).await {
                Ok(result) => result,
                Err(_) => Err(InvokeError::Timeout),
            }
        })
    }
}

fn not_invocable(reason: &impl std::fmt::Display) -> InvokeError {
    InvokeError::NotInvocable { reason: reason.to_string() }
}

/// Emulators leave the error header out: an object with exactly the members of
/// an error is one. Taking it for one can only refuse, never let in.
fn is_bare_error(body: &[u8]) -> bool {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(body) else { return false };
    object.contains_key("errorMessage")
        && object.keys().all(|key| {
            matches!(
                key.as_str(),
                "errorMessage" | "errorType" | "stackTrace" | "requestId" | "trace" | "cause"
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error_message;

    #[test]
    fn only_an_object_of_error_members_is_a_bare_error() {
        assert!(is_bare_error(br#"{"errorMessage":"Unauthorized","errorType":"Error"}"#));
        assert!(!is_bare_error(br#"{"errorMessage":"x","statusCode":200}"#));
        assert!(!is_bare_error(br#"{"statusCode":200}"#));
        assert!(!is_bare_error(b"[]"));
        assert_eq!(error_message(br#"{"errorMessage":"Unauthorized"}"#), "Unauthorized");
    }
}
