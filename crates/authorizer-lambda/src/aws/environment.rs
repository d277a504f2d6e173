//! What the environment of a function says about AWS.

use std::fmt;

use aws_credential_types::Credentials;
use http::uri::Uri;

use crate::https::{self, FetchError};

/// Everything that is wrong with the environment.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct AwsError(
    /// At least one, in the order of the variables in [`Aws::from_environment`].
    ///
    /// [`Aws::from_environment`]: super::Aws::from_environment
    pub Vec<Wrong>,
);

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, wrong) in self.0.iter().enumerate() {
            write!(f, "{}{wrong}", if number == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// What is wrong with one variable, which is named; its value is not.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Wrong {
    /// An endpoint to which nothing may be sent.
    #[error("{variable}: {reason}")]
    Endpoint {
        /// Its name.
        variable: &'static str,
        /// What a request would end with.
        reason: FetchError,
    },
    /// A value that does not fit in a request.
    #[error("{0} is malformed")]
    Malformed(&'static str),
    /// A variable that is needed.
    #[error("{0} is not set")]
    Missing(&'static str),
}

/// The valid environment.
pub(super) struct Environment {
    pub(super) credentials: Credentials,
    pub(super) region: String,
    pub(super) secrets_manager: Uri,
    pub(super) ssm: Uri,
}

const REGION: &str = "AWS_REGION";
const REGION_DEFAULT: &str = "AWS_DEFAULT_REGION";
const KEY_ID: &str = "AWS_ACCESS_KEY_ID";
const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
const TOKEN: &str = "AWS_SESSION_TOKEN";
const ENDPOINT: &str = "AWS_ENDPOINT_URL";
const ENDPOINT_SSM: &str = "AWS_ENDPOINT_URL_SSM";
const ENDPOINT_SECRETS_MANAGER: &str = "AWS_ENDPOINT_URL_SECRETS_MANAGER";

/// Longest name of a region: one label of a host name.
const REGION_BYTES_MAX: usize = 63;

pub(super) fn read(look: &dyn Fn(&str) -> Option<String>) -> Result<Environment, AwsError> {
    let set = |variable| look(variable).filter(|value| !value.is_empty());
    let mut wrong = Vec::new();
    let mut note = |result: Result<String, Wrong>| {
        result.map_err(|error| wrong.push(error)).unwrap_or_default()
    };
    let region = [REGION, REGION_DEFAULT]
        .into_iter()
        .find_map(|variable| Some((variable, set(variable)?)))
        .ok_or(Wrong::Missing(REGION))
        .and_then(|(variable, value)| checked(variable, value, is_region));
    let region = note(region);
    let key_id = set(KEY_ID).ok_or(Wrong::Missing(KEY_ID));
    let key_id = note(key_id.and_then(|value| checked(KEY_ID, value, is_key_id)));
    let secret = note(set(SECRET).ok_or(Wrong::Missing(SECRET)));
    let token = set(TOKEN).map(|value| note(checked(TOKEN, value, is_visible)));
    let mut endpoint = |own, service| {
        endpoint(&set, own, service, &region).map_err(|error| wrong.push(error)).ok()
    };
    let ssm = endpoint(ENDPOINT_SSM, "ssm");
    let secrets_manager = endpoint(ENDPOINT_SECRETS_MANAGER, "secretsmanager");
    match (ssm, secrets_manager) {
        (Some(ssm), Some(secrets_manager)) if wrong.is_empty() => Ok(Environment {
            credentials: Credentials::new(key_id, secret, token, None, "environment"),
            region,
            secrets_manager,
            ssm,
        }),
        _ => {
            // One variable may serve both services.
            wrong.dedup();
            Err(AwsError(wrong))
        }
    }
}

fn checked(
    variable: &'static str,
    value: String,
    is_valid: fn(&str) -> bool,
) -> Result<String, Wrong> {
    if is_valid(&value) { Ok(value) } else { Err(Wrong::Malformed(variable)) }
}

/// The region becomes a part of the host name.
fn is_region(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= REGION_BYTES_MAX && !text.starts_with('-') && text.bytes().all(is_allowed)
}

/// It stands between `=` and `/` in the header that carries the signature.
fn is_key_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `region` may be empty where it is known to be wrong.
fn endpoint(
    set: &dyn Fn(&'static str) -> Option<String>,
    own: &'static str,
    service: &str,
    region: &str,
) -> Result<Uri, Wrong> {
    let named = [own, ENDPOINT].into_iter().find_map(|variable| Some((variable, set(variable)?)));
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    let region = if region.is_empty() { "unknown" } else { region };
    let (variable, url) =
        named.unwrap_or_else(|| (REGION, format!("https://{service}.{region}.{suffix}")));
    let wrong = |reason| Wrong::Endpoint { variable, reason };
    let uri: Uri = url.parse().map_err(|_| wrong(FetchError::AddressMalformed))?;
    https::way(&uri).map_err(wrong)?;
    if uri.query().is_some() { Err(wrong(FetchError::AddressMalformed)) } else { Ok(uri) }
}
