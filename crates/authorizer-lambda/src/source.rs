//! Where keys, secrets and documents come from.

use std::pin::Pin;
use std::time::Duration;

use authorizer::Secret;
use authorizer::config::{KeySpec, Source};
use serde::Deserialize;

use crate::https::{self, Client};

/// Bytes of one content: any key, set of keys or configuration is much smaller.
pub(crate) const CONTENT_BYTES_MAX: usize = 256 * 1024;
/// How long an issuer may take to give its keys, and its metadata before.
const FETCH_TIME: Duration = Duration::from_secs(3);

/// What may be read. The caller decides what is reachable: the process environment of a deployed
/// function, or the environment and parameters of a function resource.
pub trait Sources: Send + Sync {
    /// The value of an environment variable.
    fn env(&self, name: &str) -> Result<Vec<u8>, SourceError>;
    /// The content of a file.
    fn file(&self, path: &str) -> Result<Vec<u8>, SourceError>;
    /// The value of an SSM parameter, decrypted.
    fn parameter<'a>(&'a self, name: &'a str) -> Reading<'a>;
    /// The value of a secret of Secrets Manager.
    fn secret<'a>(&'a self, id: &'a str) -> Reading<'a>;
    /// The client for published keys and delegates; made when the first of them is needed.
    fn client(&self) -> Result<Client, SourceError>;
}

/// A content that is on its way.
pub type Reading<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, SourceError>> + Send + 'a>>;

/// Why a content could not be had.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SourceError {
    /// There is no such thing.
    #[error("does not exist")]
    Absent,
    /// Asking failed; the text says why, without secrets.
    #[error("cannot be read: {0}")]
    Failed(String),
}

/// A content, and how long it stays fresh if its source says so.
pub(crate) struct Content {
    pub(crate) bytes: Secret,
    pub(crate) max_age: Option<Duration>,
}

/// Reads what `source` names; the error is a sentence that begins with the source.
pub(crate) async fn read(source: &Source, sources: &dyn Sources) -> Result<Content, String> {
    let bytes = match source {
        Source::Env(name) => sources.env(name),
        Source::File(path) => sources.file(path),
        Source::SecretsManager(id) => sources.secret(id).await,
        Source::Ssm(name) => sources.parameter(name).await,
    };
    let bytes = Secret::new(bytes.map_err(|error| format!("{source} {error}"))?);
    if CONTENT_BYTES_MAX < bytes.expose().len() {
        return Err(format!("{source} is longer than {CONTENT_BYTES_MAX} bytes"));
    }
    Ok(Content { bytes, max_age: None })
}

/// Reads the key, or set of keys, that `spec` names.
pub(crate) async fn read_key(spec: &KeySpec, sources: &dyn Sources) -> Result<Content, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{spec} cannot be read: {error}");
    match spec {
        KeySpec::Static(_, source) => read(source, sources).await,
        KeySpec::Jwks(url) => {
            let client = sources.client().map_err(|error| wrong(&error))?;
            fetch(&client, url).await.map_err(|error| wrong(&error))
        }
        KeySpec::Oidc(issuer) => {
            let client = sources.client().map_err(|error| wrong(&error))?;
            let work = discover(&client, issuer);
            let found = tokio::time::timeout(FETCH_TIME, work).await;
            let late = || Err(https::FetchError::Timeout.to_string());
            found.unwrap_or_else(|_| late()).map_err(|error| wrong(&error))
        }
    }
}

async fn fetch(client: &Client, url: &str) -> Result<Content, https::FetchError> {
    let fetched = https::get(client, url, CONTENT_BYTES_MAX, FETCH_TIME).await?;
    Ok(Content { bytes: Secret::new(fetched.body.to_vec()), max_age: fetched.max_age })
}

/// Finds and reads the key set of an OpenID provider ([Discovery §4]).
///
/// [Discovery §4]: https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig
async fn discover(client: &Client, issuer: &str) -> Result<Content, String> {
    #[derive(Deserialize)]
    struct Metadata {
        issuer: String,
        jwks_uri: String,
    }
    let at = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let metadata = fetch(client, &at).await.map_err(|error| format!("its metadata: {error}"))?;
    let metadata: Metadata = serde_json::from_slice(metadata.bytes.expose())
        .map_err(|_| "its metadata is no JSON object with `issuer` and `jwks_uri`".to_owned())?;
    if metadata.issuer != issuer {
        // Whoever answers there speaks for somebody else.
        return Err("its metadata names another `issuer`".to_owned());
    }
    if issuer.starts_with("https://") && !metadata.jwks_uri.starts_with("https://") {
        // Nobody out there may choose what is asked on this machine.
        return Err("its metadata names a key set that is not at an https address".to_owned());
    }
    let keys = fetch(client, &metadata.jwks_uri).await;
    keys.map_err(|error| format!("the key set that its metadata names: {error}"))
}
