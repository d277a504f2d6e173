//! What the operator decided: the `[authorizer]` tables, from their outside spelling to a value
//! in which nothing is left to check.

pub(crate) mod issuer;
pub(crate) mod read;
pub(crate) mod table;

use std::fmt;

use serde_json::Value;

pub use self::issuer::{Audience, Issuer, IssuerName, KeyKind, KeySpec, Source};
pub(crate) use self::read::{KUBERNETES_PREFIX, SOURCES_MAX, is_token};
use crate::origin::Origins;

/// A valid configuration of the decision.
///
/// It holds no secret: keys are named by where they come from, and arrive in a
/// [`KeySet`](crate::KeySet).
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) sources: Vec<Carrier>,
    /// As configured, such as `cookie:JWT`.
    pub(crate) source_names: Vec<String>,
    /// Cookies that the decision reads, whose presence asks for an Origin: those of `sources`, in
    /// their order, then that of the CSRF rule unless it is off; none without the former.
    pub(crate) cookie_names: Vec<String>,
    pub(crate) protocol: ProtocolRules,
    pub(crate) origins: Origins,
    pub(crate) csrf: Csrf,
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) delegate: Option<Delegate>,
    pub(crate) stale_max: u64,
    pub(crate) leeway: u64,
    pub(crate) token_bytes_max: usize,
    pub(crate) query_life_max: Option<u64>,
    pub(crate) principal_claim: String,
    pub(crate) context_claims: Vec<String>,
    pub(crate) context_structured: Structured,
    pub(crate) required_claims: Vec<(String, Vec<Value>)>,
    pub(crate) required_scopes: Vec<String>,
    pub(crate) report_only: ReportOnly,
    pub(crate) cache: Cache,
    /// The tree this was read from, as text without insignificant differences.
    pub(crate) text: String,
}

impl Config {
    /// Reads the content of the `[authorizer]` table (a TOML table maps onto a JSON value without
    /// loss here). Returns every error at once, or the configuration and its warnings.
    pub fn read(tree: &Value) -> Result<(Self, Vec<Warning>), Vec<ConfigError>> {
        read::read(tree)
    }

    /// The issuers, in the order of the configuration; a [`KeySet`](crate::KeySet) has keys for
    /// each, by position.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// Whom to ask instead of verifying tokens here; `None` when they are verified here.
    pub fn delegate(&self) -> Option<&Delegate> {
        self.delegate.as_ref()
    }

    /// How long keys from elsewhere serve when they are fresh no more, in seconds: while their
    /// source is down. Default a day.
    pub fn stale_max(&self) -> u64 {
        self.stale_max
    }

    /// Where the CSRF secret comes from; `None` when the mode needs none.
    pub fn csrf_secret(&self) -> Option<&Source> {
        self.csrf.secret.as_ref()
    }

    /// What a gateway's verdict cache may keep.
    pub fn cache(&self) -> Cache {
        self.cache
    }

    /// Names of the query parameters that carry tokens or CSRF values: to be masked in logs.
    pub fn secret_parameters(&self) -> impl Iterator<Item = &str> {
        let tokens = self.sources.iter().filter_map(|carrier| match carrier {
            Carrier::Query(name) => Some(name.as_str()),
            Carrier::Cookie(_) | Carrier::Header(_) | Carrier::Protocol => None,
        });
        let submitted = self.csrf.submit.iter().filter_map(|submit| match submit {
            Submit::Query(name) => Some(name.as_str()),
            Submit::Protocol(_) => None,
        });
        tokens.chain(submitted)
    }

    /// Names of the headers, besides the well-known ones, that carry tokens: to be masked in logs.
    pub fn secret_headers(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().filter_map(|carrier| match carrier {
            Carrier::Header(name) => Some(name.as_str()),
            Carrier::Cookie(_) | Carrier::Protocol | Carrier::Query(_) => None,
        })
    }

    pub(crate) fn has_cookie_source(&self) -> bool {
        self.sources.iter().any(|carrier| matches!(carrier, Carrier::Cookie(_)))
    }
}

/// `[authorizer.delegate]`: the back end that knows the sessions.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delegate {
    /// What is asked, by GET: https, or http to this machine.
    pub url: String,
    /// Names of the cookies that are sent; a request with any of them is one with cookies.
    /// Default: the cookies of `sources`.
    pub cookies: Vec<String>,
    /// How long an answer may take, in milliseconds. Default 1000.
    pub timeout_millis: u64,
    /// What stands before the principal claim in `principalId`.
    pub principal_prefix: String,
}

impl Delegate {
    /// What stands for it where an issuer would: the URL without its query, which may hold a
    /// credential.
    pub(crate) fn name(&self) -> &str {
        self.url.split('?').next().unwrap_or_default()
    }
}

/// A place in which a token may travel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Carrier {
    Cookie(String),
    /// Lower case.
    Header(String),
    Protocol,
    Query(String),
}

impl fmt::Display for Carrier {
    /// As configured: `cookie:JWT`, `protocol`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Header(name) if name == "authorization" => f.write_str("header:Authorization"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Protocol => f.write_str("protocol"),
            Self::Query(name) => write!(f, "query:{name}"),
        }
    }
}

/// How tokens look in `Sec-WebSocket-Protocol`.
#[derive(Clone, Debug)]
pub(crate) struct ProtocolRules {
    /// Entries that announce a token in the next entry.
    pub(crate) markers: Vec<String>,
    /// Beginnings of an entry that goes on with a token.
    pub(crate) prefixes: Vec<String>,
    /// Whether an entry that is a token and nothing else counts.
    pub(crate) bare: bool,
}

/// The CSRF rule.
#[derive(Clone, Debug)]
pub(crate) struct Csrf {
    pub(crate) mode: CsrfMode,
    pub(crate) cookie: String,
    pub(crate) submit: Vec<Submit>,
    pub(crate) secret: Option<Source>,
    pub(crate) session_claim: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CsrfMode {
    Claim,
    Off,
    Signed,
    Submit,
}

/// Where the client repeats the CSRF cookie's value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Submit {
    /// A subprotocol entry that begins so.
    Protocol(String),
    Query(String),
}

/// What becomes of a context claim that is an array or object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Structured {
    Json,
    Refuse,
}

/// Rules that log and let pass.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct ReportOnly {
    pub(crate) csrf: bool,
    pub(crate) origin: bool,
}

/// `[authorizer.cache]`: what a gateway may keep of verdicts. The decision itself keeps nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cache {
    /// Longest life of a cached verdict in seconds; 0 turns the cache off. Default 300.
    pub ttl_seconds: u64,
    /// Largest size of the cache in bytes. Default 64 MiB.
    pub bytes_max: u64,
}

/// One mistake in the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    /// Where, such as `authorizer.issuers[0].algorithms`.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to write instead, if there is something to say.
    pub hint: Option<String>,
}

impl ConfigError {
    /// An error without a hint.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), hint: None }
    }

    /// The error with `hint`.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Something the operator should know, although it is allowed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Warning {
    /// Where, such as `authorizer.csrf.mode`.
    pub path: String,
    /// What it means.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

#[cfg(test)]
mod tests;
