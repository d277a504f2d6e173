//! The second step of the decision where a back end that knows the sessions stands in for the
//! verification of a token.

use crate::carrier::Evidence;
use crate::config::Config;
use crate::denial::Denial;
use crate::json::{self, Object};
use crate::jwt::{self, VerifiedClaims};

/// Bytes of the longest answer that is accepted: what a context may hold.
pub const DELEGATE_ANSWER_BYTES_MAX: usize = 8 * 1024;

/// What the delegate answered.
#[derive(Clone, Copy)]
pub struct DelegateAnswer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The whole body; may be cut off above [`DELEGATE_ANSWER_BYTES_MAX`], and is then refused.
    pub body: &'a [u8],
}

impl std::fmt::Debug for DelegateAnswer<'_> {
    /// Without the body, which is personal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DelegateAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Why a delegate's answer opens no connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rejected {
    /// The delegate knows the credential, or does not, and says no.
    Denied(Denial),
    /// The answer is no verdict at all; holds the reason, without any of its content.
    Failed(&'static str),
}

/// Reads the answer for `evidence` at the time `now` in epoch seconds.
pub(crate) fn accept(
    config: &Config,
    evidence: &Evidence<'_>,
    answer: DelegateAnswer<'_>,
    now: u64,
) -> Result<VerifiedClaims, Rejected> {
    if config.delegate.is_none() {
        return Err(Rejected::Failed("no delegate is configured"));
    }
    match answer.status {
        200 => {}
        401 => return Err(Rejected::Denied(Denial::TokenRefused)),
        403 => return Err(Rejected::Denied(Denial::ClaimRefused)),
        _ => return Err(Rejected::Failed("the delegate's status is not 200, 401 or 403")),
    }
    if !answer.content_type.is_some_and(is_json) {
        return Err(Rejected::Failed("the delegate's answer is not application/json"));
    }
    if DELEGATE_ANSWER_BYTES_MAX < answer.body.len() {
        return Err(Rejected::Failed("the delegate's answer is longer than 8 KiB"));
    }
    const MALFORMED: Rejected =
        Rejected::Failed("the delegate's answer is not a JSON object without duplicate members");
    let text = std::str::from_utf8(answer.body).map_err(|_| MALFORMED)?;
    let members = json::members(text).map_err(|_| MALFORMED)?;
    let claims = Object { text, members: &members };
    let principal = claims.find(&config.principal_claim).and_then(|value| value.string());
    if principal.is_none_or(|principal| principal.is_empty()) {
        return Err(Rejected::Failed("the delegate's answer lacks the principal claim"));
    }
    let expiry = claims.find("exp").map(|value| value.raw());
    if !expiry.is_some_and(|raw| raw.bytes().all(|digit| digit.is_ascii_digit())) {
        return Err(Rejected::Failed("the delegate's answer lacks `exp` as a whole number"));
    }
    match jwt::vouched(config, evidence, text.to_owned(), now) {
        Ok(claims) => Ok(claims),
        Err(Denial::TokenMalformed) => {
            Err(Rejected::Failed("`exp`, `nbf` or `iat` of the delegate's answer is no time"))
        }
        Err(denial) => Err(Rejected::Denied(denial)),
    }
}

/// `application/json`, with parameters or without ([RFC 9110 §8.3.1]).
///
/// [RFC 9110 §8.3.1]: https://www.rfc-editor.org/rfc/rfc9110#section-8.3.1
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case("application/json")
}
