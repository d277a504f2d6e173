//! Calls of AWS services, signed with [Signature Version 4].
//!
//! A call goes to the configured endpoint of its service, else to AWS itself, and there only with
//! the credentials of the environment. Nothing is sent twice, no redirect is followed.
//!
//! [Signature Version 4]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html

mod ask;
#[cfg(test)]
pub(crate) mod server;
pub(crate) mod service;

use std::fmt;
use std::sync::LazyLock;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_lc_rs::rand;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use session::Failure;
use session::integration::{Answer, AwsCall};

use crate::client::{ANSWER_BYTES_MAX, Client};
use crate::settings::Integrations;

pub(crate) use ask::{Operation, Refused, element};

/// Makes the call of an integration.
pub(crate) async fn call(aws: &AwsClient, call: AwsCall) -> Result<Answer, Failure> {
    let outgoing = Outgoing {
        service: &call.service,
        subdomain: call.subdomain.as_deref(),
        region: &call.region,
        is_unsigned: call.role.is_none(),
        method: &call.method,
        path: &call.path,
        query: &call.query,
        headers: &call.headers,
        body: Bytes::from(call.body),
    };
    let received = aws.send(outgoing, ANSWER_BYTES_MAX).await.map_err(|error| {
        tracing::warn!(service = %call.service, error = %error, "call of a service failed");
        match error {
            CallError::Malformed => Failure::TemplateFailed,
            CallError::NoWay | CallError::Unreachable => Failure::IntegrationUnreachable,
            CallError::Unreadable => Failure::IntegrationMalformed,
        }
    })?;
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = received.headers.iter();
    let headers = headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    Ok(Answer::Http { status: received.status, headers, body: received.body.into() })
}

/// Reaches AWS's services, or what stands in for them.
pub(crate) struct AwsClient {
    client: Client,
    integrations: Integrations,
    /// Those of the environment, if they may be used; else what keeps them from being used.
    ambient: Option<Result<Credentials, String>>,
    /// Made up at this start: they open nothing, but services want to see some.
    local: &'static Credentials,
}

impl AwsClient {
    /// Takes the credentials from the environment, where `look` finds a variable, if the
    /// configuration says so.
    pub(crate) fn new(
        integrations: &Integrations,
        client: Client,
        look: &dyn Fn(&str) -> Option<String>,
    ) -> Self {
        Self {
            client,
            integrations: integrations.clone(),
            ambient: integrations.is_ambient.then(|| ambient(look)),
            local: &LOCAL,
        }
    }

    /// The settings it was made from.
    pub(crate) fn integrations(&self) -> &Integrations {
        &self.integrations
    }

    /// Whether calls of a service have somewhere to go, by any of the service's names.
    ///
    /// # Errors
    ///
    /// What is missing, as a sentence without its subject.
    pub(crate) fn check(&self, service: &str) -> Result<(), String> {
        let name = service::canonical(service);
        match (&self.ambient, self.integrations.endpoint(name)) {
            (Some(Ok(_)), _) | (None, Some(_)) => Ok(()),
            (Some(Err(missing)), _) => {
                Err(format!("needs the credentials of the environment, and {missing}"))
            }
            (None, None) => Err(format!(
                "needs `[integrations.endpoints] {name} = \"http://…\"`, or `[integrations] credentials = \"environment\"` to call AWS itself"
            )),
        }
    }

    /// Signs a request and sends it; the answer may have any status.
    pub(crate) async fn send(
        &self,
        outgoing: Outgoing<'_>,
        answer_bytes_max: usize,
    ) -> Result<Received, CallError> {
        let request = self.request(outgoing)?;
        let response = self.client.request(request).await;
        let (head, body) = response.map_err(|_| CallError::Unreachable)?.into_parts();
        let body = Limited::new(body, answer_bytes_max).collect().await;
        let body = body.map_err(|_| CallError::Unreadable)?.to_bytes();
        Ok(Received { status: head.status.as_u16(), headers: head.headers, body })
    }

    fn request(&self, outgoing: Outgoing<'_>) -> Result<Request<Full<Bytes>>, CallError> {
        self.check(outgoing.service).map_err(|_| CallError::NoWay)?;
        let credentials = match &self.ambient {
            Some(Ok(ambient)) => ambient,
            Some(Err(_)) => return Err(CallError::NoWay),
            None => self.local,
        };
        let uri = self.address(&outgoing).ok_or(CallError::Malformed)?;
        let mut request = Request::new(Full::new(outgoing.body.clone()));
        *request.method_mut() =
            Method::from_bytes(outgoing.method.as_bytes()).map_err(|_| CallError::Malformed)?;
        *request.headers_mut() = headers(outgoing.headers).ok_or(CallError::Malformed)?;
        let authority = uri.authority().ok_or(CallError::Malformed)?;
        let host = HeaderValue::from_str(host_of(&uri, authority));
        request.headers_mut().insert(header::HOST, host.map_err(|_| CallError::Malformed)?);
        let loopback = on_loopback(authority);
        *request.uri_mut() = uri;
        let request = if outgoing.is_unsigned {
            request
        } else {
            signed(request, &outgoing, credentials).ok_or(CallError::Malformed)?
        };
        Ok(match loopback {
            Some(authority) => with_authority(request, authority).ok_or(CallError::Malformed)?,
            None => request,
        })
    }

    /// Where a call goes. Names that come from a template can only be parts of AWS's names.
    fn address(&self, outgoing: &Outgoing<'_>) -> Option<Uri> {
        let Outgoing { service, subdomain, path, query, .. } = *outgoing;
        let joined = subdomain.map(|subdomain| format!("{subdomain}-{service}"));
        let own = joined.as_deref().and_then(|name| self.integrations.endpoint(name));
        let endpoint = own.or_else(|| self.integrations.endpoint(service));
        if !path.is_empty() && !path.starts_with('/') {
            return None;
        }
        let path = match (subdomain, endpoint) {
            // What stands in for S3 has no name for each bucket.
            (Some(bucket), Some(_)) if service == "s3" => format!("/{bucket}{path}"),
            _ if path.is_empty() => "/".to_owned(),
            _ => path.to_owned(),
        };
        let base = match endpoint {
            Some(endpoint) => endpoint.to_owned(),
            None => address_at_aws(outgoing)?,
        };
        let rest = if query.is_empty() { path } else { format!("{path}?{query}") };
        // Alone, it cannot become a part of the host.
        rest.parse::<PathAndQuery>().ok()?;
        format!("{base}{rest}").parse().ok()
    }
}

impl fmt::Debug for AwsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsClient")
            .field("integrations", &self.integrations)
            .finish_non_exhaustive()
    }
}

/// A call before it is signed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outgoing<'a> {
    /// First label of the service's host, or any other of its names.
    pub(crate) service: &'a str,
    /// Labels before it.
    pub(crate) subdomain: Option<&'a str>,
    pub(crate) region: &'a str,
    /// Nobody's request, which services refuse or answer to everybody.
    pub(crate) is_unsigned: bool,
    pub(crate) method: &'a str,
    /// Encoded; starts with `/`, or is empty.
    pub(crate) path: &'a str,
    /// Encoded, without `?`.
    pub(crate) query: &'a str,
    pub(crate) headers: &'a [(String, String)],
    pub(crate) body: Bytes,
}

/// The answer to a call.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum CallError {
    /// A name, value or path that no request may hold.
    #[error("the call cannot be put into a request")]
    Malformed,
    /// No endpoint, and no leave or credentials to call AWS.
    #[error("no endpoint and no credentials")]
    NoWay,
    /// The connection failed, or ended before the answer began.
    #[error("not reached")]
    Unreachable,
    /// The answer is cut short or too long.
    #[error("the answer is cut short or too long")]
    Unreadable,
}

/// Labels of a host under AWS's own domain.
fn address_at_aws(outgoing: &Outgoing<'_>) -> Option<String> {
    let Outgoing { service, subdomain, region, .. } = *outgoing;
    let is_label = |label: &str| service::is_name(label) && !label.starts_with('-');
    let labels = subdomain.into_iter().flat_map(|subdomain| subdomain.split('.'));
    if !labels.chain([service, region]).all(is_label) {
        return None;
    }
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    // The service has a host of its own for calls that wait for the end of an execution.
    let is_sync = |(name, value): &(String, String)| {
        name.eq_ignore_ascii_case("x-amz-target") && value.ends_with(".StartSyncExecution")
    };
    let sync = if outgoing.headers.iter().any(is_sync) { "sync-" } else { "" };
    let dot = if subdomain.is_some() { "." } else { "" };
    let subdomain = subdomain.unwrap_or_default();
    Some(format!("https://{subdomain}{dot}{sync}{service}.{region}.{suffix}"))
}

/// Headers that belong to the connection, the signature or the framing.
const OWN: [HeaderName; 11] = [
    header::AUTHORIZATION,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("x-amz-date"),
    HeaderName::from_static("x-amz-security-token"),
];

/// `None` if a name or value is not allowed in a request.
fn headers(list: &[(String, String)]) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in list {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
        if !OWN.contains(&name) && name != CONTENT_HASH {
            map.append(name, value);
        }
    }
    Some(map)
}

const CONTENT_HASH: &str = "x-amz-content-sha256";

/// The host as signatures and `Host` have it: without a default port.
fn host_of<'u>(uri: &Uri, authority: &'u Authority) -> &'u str {
    let default = if uri.scheme_str() == Some("http") { 80 } else { 443 };
    match authority.port_u16() {
        Some(port) if port != default => authority.as_str(),
        _ => authority.host(),
    }
}

/// Names below `localhost` are this machine ([RFC 6761 §6.3]), whatever a name server says.
///
/// [RFC 6761 §6.3]: https://www.rfc-editor.org/rfc/rfc6761#section-6.3
fn on_loopback(authority: &Authority) -> Option<String> {
    let host = authority.host().to_ascii_lowercase();
    let port = authority.port().map(|port| format!(":{port}")).unwrap_or_default();
    host.ends_with(".localhost").then(|| format!("localhost{port}"))
}

fn with_authority(mut request: Request<Full<Bytes>>, to: String) -> Option<Request<Full<Bytes>>> {
    let mut parts = request.uri().clone().into_parts();
    parts.authority = Some(to.parse().ok()?);
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    Some(request)
}

/// The request with its signature of this moment.
fn signed(
    mut request: Request<Full<Bytes>>,
    outgoing: &Outgoing<'_>,
    credentials: &Credentials,
) -> Option<Request<Full<Bytes>>> {
    let joined = outgoing.subdomain.map(|subdomain| format!("{subdomain}-{}", outgoing.service));
    let name = joined.as_deref().filter(|name| service::signing_name(name) != *name);
    let name = service::signing_name(name.unwrap_or(outgoing.service));
    let mut settings = SigningSettings::default();
    if name == "s3" {
        // Keys of objects are signed as they are.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    let identity = credentials.clone().into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(outgoing.region)
        .name(name)
        .time(SystemTime::now())
        .settings(settings)
        .build()
        .ok()?;
    let mut pairs = Vec::new();
    for (name, value) in request.headers() {
        pairs.push((name.as_str(), std::str::from_utf8(value.as_bytes()).ok()?));
    }
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.uri().to_string(),
        pairs.into_iter(),
        SignableBody::Bytes(&outgoing.body),
    );
    let (instructions, _) = sign(signable.ok()?, &params.into()).ok()?.into_parts();
    instructions.apply_to_request_http1x(&mut request);
    Some(request)
}

fn ambient(look: &dyn Fn(&str) -> Option<String>) -> Result<Credentials, String> {
    let set = |variable: &str| look(variable).filter(|value| !value.is_empty());
    let needed = |variable| set(variable).ok_or(variable);
    match (needed("AWS_ACCESS_KEY_ID"), needed("AWS_SECRET_ACCESS_KEY")) {
        (Ok(id), Ok(secret)) => {
            let token = set("AWS_SESSION_TOKEN");
            let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
            if !is_plain(&id) || !token.as_deref().is_none_or(is_plain) {
                return Err("AWS_ACCESS_KEY_ID or AWS_SESSION_TOKEN is malformed".to_owned());
            }
            Ok(Credentials::new(id, secret, token, None, "environment"))
        }
        (Err(first), Err(second)) => Err(format!("{first} and {second} are not set")),
        (Err(one), Ok(_)) | (Ok(_), Err(one)) => Err(format!("{one} is not set")),
    }
}

/// A random key pair of this start in the alphabet of AWS's own, which every emulator accepts.
static LOCAL: LazyLock<Credentials> = LazyLock::new(|| {
    let mut id = [0; 8];
    let mut secret = [0; 20];
    rand::fill(&mut id).expect("the system has randomness");
    rand::fill(&mut secret).expect("the system has randomness");
    let id = format!("WSGA{}", hex::encode_upper(id));
    Credentials::new(id, hex::encode(secret), None, None, "local")
});

#[cfg(test)]
mod tests;
