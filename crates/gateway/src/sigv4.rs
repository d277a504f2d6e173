//! Verification of requests signed with Signature Version 4 ([SigV4]), in the
//! `Authorization` header or in the query string.
//!
//! The canonical path is the received one with every segment encoded once
//! more, so each spelling of an id (`=` or `%3D`, `@` or `%40`) verifies as its
//! client signed it. Only signatures over the body's own hash are accepted.
//!
//! [SigV4]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

mod canonical;
mod parse;
mod refusal;

use std::fmt;

use aws_lc_rs::{constant_time, digest, hmac};
use http::HeaderMap;
use zeroize::Zeroizing;

use canonical::{Canonical, Show};
use parse::{Form, Signature};
pub use refusal::{Incomplete, Invalid, Refusal};

/// How far the signer's clock may be off, in seconds.
pub const SKEW_SECONDS: i64 = 300;
/// Longest life of a signed URL, in seconds: seven days.
pub const EXPIRES_SECONDS_MAX: i64 = 604_800;

/// A request as it arrived.
#[derive(Clone, Copy)]
pub struct Received<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The path of the request line, undecoded.
    pub raw_path: &'a str,
    /// What follows the `?` of the request line, undecoded; empty without one.
    pub raw_query: &'a str,
    /// All headers, `Host` included.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
    /// Time of arrival in seconds since 1970.
    pub now: i64,
}

impl fmt::Debug for Received<'_> {
    /// Leaves out query, headers and body, which carry credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("method", &self.method)
            .field("raw_path", &self.raw_path)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// What a signature must be made for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The region, such as `us-east-1`.
    pub region: &'a str,
    /// The signing name, such as `execute-api`.
    pub service: &'a str,
}

/// A key that may sign.
#[derive(Clone, Debug)]
pub struct Key {
    /// The access key id, which travels in the clear.
    pub id: String,
    /// The secret access key.
    pub secret: Secret,
    /// The token that must come along when the key is a temporary one.
    pub session_token: Option<Secret>,
    /// When the key ends, in seconds since 1970.
    pub expires_at: Option<i64>,
}

/// Bytes that are wiped on drop and never shown.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over the secret's bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
    }

    /// The bytes themselves, for use as a key.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Compares in time that depends on the lengths alone.
    pub fn is(&self, other: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.0, other).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Finds the key that signed `received`, and checks the signature.
///
/// `find_key` is asked at most once, with the access key id. The time grows
/// with the request's length.
pub fn verify<'k>(
    received: &Received<'_>,
    scope: Scope<'_>,
    find_key: impl FnOnce(&str) -> Option<&'k Key>,
) -> Result<&'k Key, Refusal> {
    let signature = parse::signature(received)?;
    check_scope(&signature, scope)?;
    check_time(&signature, received.now)?;
    check_coverage(&signature, received)?;
    let key = find_key(&signature.key_id).ok_or(Refusal::UnrecognizedClient)?;

    let body_hash = hex::encode(digest::digest(&digest::SHA256, received.body));
    let canonical = Canonical { received, signature: &signature, body_hash: &body_hash };
    let text = canonical.text(Show::All);
    let to_sign = string_to_sign(&signature, scope, &text);
    let expected = hmac::sign(&signing_key(key, &signature, scope), to_sign.as_bytes());
    let same = constant_time::verify_slices_are_equal(expected.as_ref(), &signature.value).is_ok();
    if !same || !declared_hash_is(received, &body_hash) {
        return Err(Refusal::InvalidSignature(Invalid::Mismatch {
            canonical_request: String::from_utf8_lossy(&canonical.text(Show::Masked)).into_owned(),
            string_to_sign: to_sign,
        }));
    }
    // Only who holds the secret learns more about the key.
    check_token(key, &signature)?;
    if key.expires_at.is_some_and(|end| end <= received.now) {
        return Err(Refusal::ExpiredToken);
    }
    Ok(key)
}

fn check_scope(signature: &Signature<'_>, scope: Scope<'_>) -> Result<(), Refusal> {
    let invalid = if signature.region != scope.region {
        Invalid::Region
    } else if signature.service != scope.service {
        Invalid::Service { expected: scope.service.to_owned() }
    } else if signature.terminator != TERMINATOR {
        Invalid::Terminator
    } else if signature.day != signature.time[..8] {
        Invalid::Day
    } else {
        return Ok(());
    };
    Err(Refusal::InvalidSignature(invalid))
}

fn check_time(signature: &Signature<'_>, now: i64) -> Result<(), Refusal> {
    let life = match signature.form {
        Form::Query { expires_seconds: Some(seconds) } => seconds,
        Form::Header | Form::Query { expires_seconds: None } => SKEW_SECONDS,
    };
    let invalid = if signature.epoch > now.saturating_add(SKEW_SECONDS) {
        Invalid::NotYetCurrent { signed: signature.epoch, now }
    } else if signature.epoch.saturating_add(life) < now {
        Invalid::Expired { signed: signature.epoch, now, life_seconds: life }
    } else {
        return Ok(());
    };
    Err(Refusal::InvalidSignature(invalid))
}

/// `Host`, the date and every `x-amz-*` header must be under the signature.
fn check_coverage(signature: &Signature<'_>, received: &Received<'_>) -> Result<(), Refusal> {
    let signed = |name: &str| signature.signed_headers.binary_search(&name).is_ok();
    let amz = received.headers.keys().map(http::HeaderName::as_str);
    let missing = (!signed("host"))
        .then_some("host")
        .or_else(|| signature.date_header.filter(|name| !signed(name)))
        .or_else(|| amz.filter(|name| name.starts_with("x-amz-")).find(|name| !signed(name)));
    match missing {
        None => Ok(()),
        Some(name) => {
            Err(Refusal::InvalidSignature(Invalid::HeaderNotSigned { name: name.to_owned() }))
        }
    }
}

fn check_token(key: &Key, signature: &Signature<'_>) -> Result<(), Refusal> {
    let same = match (&key.session_token, &signature.session_token) {
        (None, None) => true,
        (Some(token), Some(given)) => token.is(given),
        (Some(_), None) | (None, Some(_)) => false,
    };
    if same { Ok(()) } else { Err(Refusal::UnrecognizedClient) }
}

/// Where a hash of the body is declared, it is the true one; `UNSIGNED-PAYLOAD` never is.
fn declared_hash_is(received: &Received<'_>, body_hash: &str) -> bool {
    received.headers.get_all("x-amz-content-sha256").iter().all(|value| value == body_hash)
}

fn string_to_sign(signature: &Signature<'_>, scope: Scope<'_>, canonical: &[u8]) -> String {
    let hash = hex::encode(digest::digest(&digest::SHA256, canonical));
    let Scope { region, service } = scope;
    let (time, day) = (&signature.time, &signature.day);
    format!("{ALGORITHM}\n{time}\n{day}/{region}/{service}/{TERMINATOR}\n{hash}")
}

fn signing_key(key: &Key, signature: &Signature<'_>, scope: Scope<'_>) -> hmac::Key {
    let mut first = Zeroizing::new(b"AWS4".to_vec());
    first.extend_from_slice(key.secret.expose());
    let mut key = hmac::Key::new(hmac::HMAC_SHA256, &first);
    for part in [signature.day.as_str(), scope.region, scope.service, TERMINATOR] {
        let next = hmac::sign(&key, part.as_bytes());
        key = hmac::Key::new(hmac::HMAC_SHA256, next.as_ref());
    }
    key
}

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";

#[cfg(test)]
mod tests;
