//! Requests that leave the process: HTTPS with verified names, bounded in size and time.
//!
//! Plain HTTP goes to this machine only. Redirects are not followed, proxies not asked.

use std::error::Error;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::uri::{Authority, Uri};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};

mod freshness;
#[cfg(test)]
pub(crate) mod server;

/// A client whose clones share one pool of connections.
pub type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Connections kept open to one host while they are idle: what a busy gateway has in flight to one
/// back end.
const IDLE_PER_HOST_MAX: usize = 256;
/// How long an idle connection is kept: less than servers keep theirs.
const IDLE: Duration = Duration::from_secs(30);
/// How long a TCP connect may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How we introduce ourselves; some servers refuse who does not.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("wsgate/", env!("CARGO_PKG_VERSION")));

/// Makes a client: HTTP/1.1, no redirects, no proxies. Nothing is sent or resolved yet.
///
/// `roots` is a bundle of certificates in PEM, such as the file that `SSL_CERT_FILE` names; only
/// they are trusted then. Without it, the public authorities known when this was compiled are.
///
/// # Errors
///
/// [`RootsError`], if `roots` has nothing that could be trusted.
pub fn client(roots: Option<&[u8]>) -> Result<Client, RootsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default protocol versions");
    let config = match roots {
        Some(pem) => config.with_root_certificates(parse_roots(pem)?),
        None => config.with_webpki_roots(),
    };
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIME));
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(config.with_no_client_auth())
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .build(https))
}

/// Makes a client that trusts what `SSL_CERT_FILE` names, as other programs do; without that
/// variable, the public authorities. `variable` looks into the environment.
pub fn client_from(
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Client, crate::SourceError> {
    let failed = |path: &OsString, reason: &dyn std::fmt::Display| {
        crate::SourceError::Failed(format!("SSL_CERT_FILE {}: {reason}", path.display()))
    };
    let Some(path) = variable("SSL_CERT_FILE").filter(|path| !path.is_empty()) else {
        return Ok(client(None).expect("only a bundle can be wrong"));
    };
    let pem = std::fs::read(&path).map_err(|error| failed(&path, &error))?;
    client(Some(&pem)).map_err(|error| failed(&path, &error))
}

/// Why a bundle of certificates cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RootsError {
    /// There is no `CERTIFICATE` section.
    #[error("the bundle holds no certificate")]
    Empty,
    /// A section is cut short or not base64.
    #[error("the bundle is not PEM")]
    Malformed,
    /// There are certificates, none of which can be an authority.
    #[error("no certificate of the bundle can be used")]
    Unusable,
}

/// Certificates in odd encodings are common in bundles of a system and are left out; a bundle that
/// was cut short is refused.
fn parse_roots(pem: &[u8]) -> Result<RootCertStore, RootsError> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|_| RootsError::Malformed)?;
    if certificates.is_empty() {
        return Err(RootsError::Empty);
    }
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates) {
        (0, _) => Err(RootsError::Unusable),
        _ => Ok(roots),
    }
}

/// Why there is no answer. Texts hold nothing that a server sent, but for its status.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FetchError {
    /// `http://` to another machine.
    #[error("the address must be https (http only to this machine)")]
    AddressInsecure,
    /// No URL, or one with user or password.
    #[error("the address is no https URL of host, port and path")]
    AddressMalformed,
    /// The connection ended before the whole answer was there, or the answer is not HTTP.
    #[error("the answer is cut short or not HTTP")]
    AnswerBroken,
    /// The body is longer than allowed.
    #[error("the answer is longer than {bytes_max} bytes")]
    AnswerTooLong {
        /// What is allowed.
        bytes_max: usize,
    },
    /// The certificate is over or not valid yet, by this machine's clock.
    #[error("the server's certificate is expired or not valid yet")]
    CertificateExpired,
    /// The certificate is one of other hosts.
    #[error("the server's certificate is not for this host name")]
    CertificateForeign,
    /// No trusted authority issued the certificate.
    #[error("the server's certificate comes from no trusted authority")]
    CertificateUntrusted,
    /// Status 3xx.
    #[error("answered {0}, and redirects are not followed")]
    Redirect(StatusCode),
    /// A status that is neither 200 nor a redirect.
    #[error("answered {0}")]
    Status(StatusCode),
    /// The answer was not complete in time.
    #[error("no complete answer in time")]
    Timeout,
    /// Client and server found no common ground in TLS.
    #[error("the TLS handshake failed")]
    Tls,
    /// The host name has no address, or nobody listens there.
    #[error("no connection")]
    Unreachable,
}

/// The content of a 200.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) body: Bytes,
    /// How long it stays fresh from now on, by `Cache-Control`; zero if it must not be kept.
    /// `None` if the server says nothing.
    pub(crate) max_age: Option<Duration>,
}

/// Fetches `url`, within `timeout` in all; only 200 is an answer.
pub(crate) async fn get(
    client: &Client,
    url: &str,
    bytes_max: usize,
    timeout: Duration,
) -> Result<Fetched, FetchError> {
    let uri: Uri = url.parse().map_err(|_| FetchError::AddressMalformed)?;
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri;
    let work = async {
        let (head, body) = exchange(client, request).await?.into_parts();
        match head.status {
            StatusCode::OK => {}
            status if status.is_redirection() => return Err(FetchError::Redirect(status)),
            status => return Err(FetchError::Status(status)),
        }
        let body = read(body, bytes_max).await?;
        Ok(Fetched { body, max_age: freshness::max_age(&head.headers) })
    };
    tokio::time::timeout(timeout, work).await.unwrap_or(Err(FetchError::Timeout))
}

/// An answer of any status. No `Debug`: body and headers may be secret.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Sends a request as it is, but for `Host` and `User-Agent`, and reads the answer, within
/// `timeout` in all.
pub(crate) async fn send(
    client: &Client,
    request: Request<Full<Bytes>>,
    bytes_max: usize,
    timeout: Duration,
) -> Result<Answer, FetchError> {
    let work = async {
        let (head, body) = exchange(client, request).await?.into_parts();
        let body = read(body, bytes_max).await?;
        Ok(Answer { status: head.status, headers: head.headers, body })
    };
    tokio::time::timeout(timeout, work).await.unwrap_or(Err(FetchError::Timeout))
}

/// How a host is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// By its address or name.
    Direct,
    /// By the loopback addresses: whatever a name server says, plain text stays on this machine
    /// ([RFC 6761 §6.3](https://www.rfc-editor.org/rfc/rfc6761#section-6.3)).
    Loopback,
}

/// The way to `uri`, if a request may go there: https, or http to this machine.
pub(crate) fn way(uri: &Uri) -> Result<Way, FetchError> {
    let authority = uri.authority().ok_or(FetchError::AddressMalformed)?;
    let host = authority.host().to_ascii_lowercase();
    // A port that is no number would be taken for none.
    let is_plain = authority.as_str().len() == host.len() || authority.port_u16().is_some();
    if host.is_empty() || !is_plain || authority.as_str().contains('@') {
        return Err(FetchError::AddressMalformed);
    }
    match uri.scheme_str() {
        Some("https") => Ok(Way::Direct),
        Some("http") if host == "localhost" || host.ends_with(".localhost") => Ok(Way::Loopback),
        Some("http") if is_loopback_address(&host) => Ok(Way::Direct),
        Some("http") => Err(FetchError::AddressInsecure),
        _ => Err(FetchError::AddressMalformed),
    }
}

fn is_loopback_address(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
        None => host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
    }
}

async fn exchange(
    client: &Client,
    mut request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, FetchError> {
    let way = way(request.uri())?;
    request.headers_mut().entry(USER_AGENT).or_insert(AGENT);
    match way {
        Way::Direct => client.request(request).await.map_err(|error| explain(&error)),
        Way::Loopback => on_loopback(client, request).await,
    }
}

/// Servers on `localhost` listen on one of the two addresses, or on both.
async fn on_loopback(
    client: &Client,
    mut request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, FetchError> {
    let authority = request.uri().authority().ok_or(FetchError::AddressMalformed)?;
    let port = authority.port_u16().unwrap_or(80);
    let name = match port {
        80 => authority.host(),
        _ => authority.as_str(),
    };
    let name = HeaderValue::from_str(name).map_err(|_| FetchError::AddressMalformed)?;
    request.headers_mut().entry(HOST).or_insert(name);
    let mut second = request.clone();
    *request.uri_mut() = with_authority(request.uri(), &format!("127.0.0.1:{port}"))?;
    match client.request(request).await {
        Err(error) if error.is_connect() => {}
        answer => return answer.map_err(|error| explain(&error)),
    }
    *second.uri_mut() = with_authority(second.uri(), &format!("[::1]:{port}"))?;
    client.request(second).await.map_err(|error| explain(&error))
}

fn with_authority(uri: &Uri, authority: &str) -> Result<Uri, FetchError> {
    let mut parts = uri.clone().into_parts();
    let authority: Authority = authority.parse().map_err(|_| FetchError::AddressMalformed)?;
    parts.authority = Some(authority);
    Uri::from_parts(parts).map_err(|_| FetchError::AddressMalformed)
}

async fn read(body: Incoming, bytes_max: usize) -> Result<Bytes, FetchError> {
    let body = Limited::new(body, bytes_max).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            FetchError::AnswerTooLong { bytes_max }
        } else {
            FetchError::AnswerBroken
        }
    })?;
    Ok(body.to_bytes())
}

fn explain(error: &legacy::Error) -> FetchError {
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(reason)) => match reason {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => FetchError::CertificateExpired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                FetchError::CertificateForeign
            }
            _ => FetchError::CertificateUntrusted,
        },
        Some(_) => FetchError::Tls,
        None if error.is_connect() => FetchError::Unreachable,
        None => FetchError::AnswerBroken,
    }
}

fn tls_error<'e>(mut error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    loop {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // An `io::Error` skips what it wraps when asked for its source.
        error = match error.downcast_ref::<io::Error>() {
            Some(wrapper) => wrapper.get_ref()?,
            None => error.source()?,
        };
    }
}

#[cfg(test)]
mod tests;
