//! The decision of a WebSocket authorizer: who may open a connection, and as whom.
//!
//! A browser cannot add headers to a handshake, so its token travels in a cookie, in the query or
//! in `Sec-WebSocket-Protocol`. Cookies come along with whatever page opens the socket, so Origin
//! and CSRF rules guard them. The decision is three pure steps in a row, and the first failure is
//! the answer:
//!
//! 1. [`Authorizer::read`]: what the request carries, unambiguously ([`Evidence`]);
//! 2. [`Authorizer::verify`]: the token's signature, times, issuer and audience
//!    ([`VerifiedClaims`]);
//! 3. [`Authorizer::grant`]: the CSRF value bound to the token's session, required claims and
//!    scopes, and what the back end learns ([`Grant`]).
//!
//! There is no clock, file, socket or environment in here: time, keys and values are arguments.
//!
//! ```
//! # #[cfg(feature = "aws-lc-rs")] {
//! use authorizer::{Authorizer, AwsLc, Config, Denial, KeySet, Request};
//!
//! let (config, _warnings) = Config::read(&serde_json::json!({
//!     "sources": ["header:Authorization"],
//!     "issuers": [{
//!         "issuer": "https://login.example.com", "audience": ["chat"],
//!         "algorithms": ["HS256"], "keys": ["hmac:env:JWT_SECRET"],
//!     }],
//! }))
//! .expect("a valid configuration");
//! let mut keys = KeySet::builder(&config, &AwsLc);
//! keys.add(0, 0, b"what JWT_SECRET holds: 32 random bytes or more");
//! let (keys, _warnings) = keys.build().expect("valid keys");
//!
//! let request = Request {
//!     headers: &[("Authorization", b"Bearer x.y.z")],
//!     query: &[],
//!     method_arn: "arn:aws:execute-api:us-east-1:111122223333:a1b2c3d4e5/dev/$connect",
//! };
//! let verdict = Authorizer::new(config).authorize(&request, &keys, 1_800_000_000);
//! assert_eq!(verdict.unwrap_err(), Denial::TokenMalformed);
//! # }
//! ```

mod carrier;
pub mod config;
mod cookie;
mod crypto;
mod csrf;
mod delegate;
mod denial;
mod grant;
mod json;
mod jwt;
pub mod key;
#[cfg(feature = "aws-lc-rs")]
pub mod mint;
mod origin;
mod protocol;
mod request;
mod secret;

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;

#[cfg(feature = "aws-lc-rs")]
pub use aws_lc::AwsLc;
pub use carrier::{Credential, Evidence};
pub use config::{Config, ConfigError, Warning};
pub use crypto::{Algorithm, Material, Provider, Verify};
pub use delegate::{DELEGATE_ANSWER_BYTES_MAX, DelegateAnswer, Rejected};
pub use denial::Denial;
pub use grant::{CsrfOutcome, Grant};
pub use jwt::VerifiedClaims;
pub use key::KeySet;
pub use protocol::Protocol;
pub use request::Request;
pub use secret::Secret;

/// The decision under one configuration.
#[derive(Clone, Debug)]
pub struct Authorizer {
    config: Config,
}

impl Authorizer {
    /// The decision under `config`.
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A text that differs when the configuration does, for keys of caches; without secrets, but
    /// not for people. Keys have their own generation.
    pub fn config_fingerprint(&self) -> &str {
        &self.config.text
    }

    /// All three steps; `now` in epoch seconds.
    pub fn authorize(
        &self,
        request: &Request<'_>,
        keys: &KeySet,
        now: u64,
    ) -> Result<Grant, Denial> {
        let evidence = self.read(request)?;
        let claims = self.verify(&evidence, keys, now)?;
        self.grant(evidence, &claims, keys)
    }

    /// Step one: the token, the Origin, and the CSRF value as far as the request alone tells.
    /// Cheap; costs no cryptography.
    pub fn read<'a>(&self, request: &Request<'a>) -> Result<Evidence<'a>, Denial> {
        carrier::read(&self.config, request)
    }

    /// Step two: the token; `now` in epoch seconds. Where a delegate is configured there are no
    /// keys, and every token is refused here.
    pub fn verify(
        &self,
        evidence: &Evidence<'_>,
        keys: &KeySet,
        now: u64,
    ) -> Result<VerifiedClaims, Denial> {
        jwt::verify(&self.config, evidence, keys, now)
    }

    /// Step two where a delegate is configured: what it answered when it was asked about
    /// [`Evidence::credential`] and nothing else; `now` in epoch seconds.
    pub fn accept_delegate(
        &self,
        evidence: &Evidence<'_>,
        answer: DelegateAnswer<'_>,
        now: u64,
    ) -> Result<VerifiedClaims, Rejected> {
        delegate::accept(&self.config, evidence, answer, now)
    }

    /// The position, in [`Config::issuers`], of the issuer that a refused token names, if the token
    /// also names a key that `keys` lack: that issuer may have new ones. Nothing is verified here.
    pub fn unknown_key(&self, evidence: &Evidence<'_>, keys: &KeySet) -> Option<usize> {
        jwt::unknown_key(&self.config, evidence, keys)
    }

    /// Step one for a token that came over an open connection, to renew its session. The sender
    /// was let in before, so there is no carrier, Origin or CSRF value to look at; the grant's
    /// `tokenSource` means nothing.
    pub fn renewal<'a>(&self, token: &'a str) -> Result<Evidence<'a>, Denial> {
        carrier::renewal(&self.config, token)
    }

    /// Step three: the CSRF value against the claims, required claims and scopes, and the grant.
    pub fn grant(
        &self,
        evidence: Evidence<'_>,
        claims: &VerifiedClaims,
        keys: &KeySet,
    ) -> Result<Grant, Denial> {
        grant::grant(&self.config, evidence, claims, keys)
    }
}

#[cfg(test)]
mod tests;
