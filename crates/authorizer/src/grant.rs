//! The third step of the decision: what the verified claims are good for.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value as Json;

use crate::carrier::{CsrfEvidence, Evidence, report};
use crate::config::{Config, CsrfMode, Issuer, IssuerName, Structured};
use crate::csrf;
use crate::denial::Denial;
use crate::json::Value;
use crate::jwt::VerifiedClaims;
use crate::key::KeySet;
use crate::protocol::Protocol;
use crate::secret::is_equal;

/// Names that the context, or AWS beside it, uses itself.
pub(crate) const RESERVED_NAMES: [&str; 6] =
    ["csrf", "expiresAt", "integrationLatency", "issuer", "principalId", "tokenSource"];

/// Bytes of the answer that API Gateway takes from an authorizer ([quotas]), as JSON.
///
/// [quotas]: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
const ANSWER_BYTES_MAX: usize = 8 * 1024;
/// What of it is neither principal nor context: names, braces, the policy and its ARN.
const ANSWER_FRAME_BYTES: usize = 512;
/// What JSON adds to a member of the context: four quotes, a colon and a comma.
const MEMBER_FRAME_BYTES: usize = 6;

/// Leave to open a connection.
#[derive(Clone, Eq, PartialEq)]
pub struct Grant {
    /// The prefix of the issuer and the principal claim. Never empty.
    pub principal_id: String,
    /// Flat strings for the back end: the configured claims the token has, in the order of the
    /// configuration, then `issuer`, `expiresAt`, `tokenSource` and `csrf`.
    pub context: Vec<(String, String)>,
    /// When the session ends: `exp` + leeway, in epoch seconds.
    pub deadline: u64,
    /// `iat`, in epoch seconds, if the token has one.
    pub issued_at: Option<u64>,
    /// Whether a delegate vouches: the session was good when it was asked, whatever `issued_at`
    /// leaves open.
    pub is_vouched: bool,
    /// `sid`, if the token has one and it is a string.
    pub session: Option<String>,
    /// The source that carried the token, as configured, such as `cookie:JWT`.
    pub token_source: String,
    /// The CSRF rule that held.
    pub csrf: CsrfOutcome,
    /// Rules that were broken but only report. A grant with any must not be cached.
    pub report_only_hits: Vec<Denial>,
    /// What to do with the subprotocols.
    pub protocol: Protocol,
}

impl fmt::Debug for Grant {
    /// Without the values of the claims, which are personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.context.iter().map(|(name, _)| name).collect();
        f.debug_struct("Grant")
            .field("principal_id", &self.principal_id)
            .field("context", &names)
            .field("deadline", &self.deadline)
            .field("token_source", &self.token_source)
            .field("csrf", &self.csrf)
            .field("report_only_hits", &self.report_only_hits)
            .finish_non_exhaustive()
    }
}

/// Which CSRF rule a granted request passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CsrfOutcome {
    /// The cookie equals the token's `csrf` claim.
    Claim,
    /// The token did not come from a cookie.
    None,
    /// The rule is off, or was broken and only reports.
    Off,
    /// The submitted value equals the cookie and is signed for the session.
    Signed,
    /// The submitted value equals the cookie.
    Submit,
}

impl CsrfOutcome {
    /// The word that stands in the context.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::None => "none",
            Self::Off => "off",
            Self::Signed => "signed",
            Self::Submit => "submit",
        }
    }
}

pub(crate) fn grant(
    config: &Config,
    mut evidence: Evidence<'_>,
    claims: &VerifiedClaims,
    keys: &KeySet,
) -> Result<Grant, Denial> {
    let mut hits = std::mem::take(&mut evidence.report_only_hits);
    let csrf = check_csrf(config, evidence.csrf, claims, keys);
    let csrf = report(csrf, config.report_only.csrf, &mut hits)?.unwrap_or(CsrfOutcome::Off);
    check_required_claims(config, claims)?;
    check_required_scopes(config, claims)?;

    // Evidence and claims of another configuration name nothing here.
    let (prefix, issuer_name) = match (claims.issuer(), &config.delegate) {
        (Some(position), None) => {
            let issuer = config.issuers.get(position).ok_or(Denial::TokenIssuer)?;
            (&issuer.principal_prefix, name_of(issuer, claims))
        }
        (None, Some(delegate)) => {
            let named = claims.text("iss").map(Cow::into_owned);
            (&delegate.principal_prefix, named.unwrap_or_else(|| delegate.name().to_owned()))
        }
        (Some(_), Some(_)) | (None, None) => return Err(Denial::TokenIssuer),
    };
    let source = config.source_names.get(evidence.source).ok_or(Denial::TokenMissing)?;
    let principal = claims.text(&config.principal_claim).ok_or(Denial::ClaimPrincipal)?;
    let token_source = source.clone();
    let mut context = Vec::with_capacity(config.context_claims.len() + 4);
    for name in &config.context_claims {
        if let Some(text) = claims.find(name).map(|v| flat(config, v)).transpose()?.flatten() {
            context.push((name.clone(), text));
        }
    }
    context.push(("issuer".to_owned(), issuer_name));
    context.push(("expiresAt".to_owned(), claims.expires_at().to_string()));
    context.push(("tokenSource".to_owned(), token_source.clone()));
    context.push(("csrf".to_owned(), csrf.name().to_owned()));
    let principal_id = [prefix.as_str(), &principal].concat();
    if !fits_an_answer(&principal_id, &context) {
        return Err(Denial::ClaimContextTooLong);
    }
    Ok(Grant {
        principal_id,
        context,
        deadline: claims.expires_at().saturating_add(config.leeway),
        issued_at: claims.issued_at(),
        is_vouched: config.delegate.is_some(),
        session: claims.text("sid").map(Cow::into_owned),
        token_source,
        csrf,
        report_only_hits: hits,
        protocol: evidence.protocol(),
    })
}

/// Whether a function could return this; a gateway that asks in its own process lets no more pass.
fn fits_an_answer(principal_id: &str, context: &[(String, String)]) -> bool {
    let texts = || context.iter().flat_map(|(n, v)| [n.as_str(), v.as_str()]).chain([principal_id]);
    let frame = ANSWER_FRAME_BYTES + MEMBER_FRAME_BYTES * context.len();
    // A byte becomes six at most, and few answers come near.
    let longest = 6 * texts().map(str::len).sum::<usize>() + frame;
    longest <= ANSWER_BYTES_MAX
        || texts().map(json_bytes).sum::<usize>() + frame <= ANSWER_BYTES_MAX
}

/// Bytes of `text` in JSON, without its quotes.
fn json_bytes(text: &str) -> usize {
    text.bytes()
        .map(|byte| match byte {
            b'"' | b'\\' | 0x08 | b'\t' | b'\n' | 0x0c | b'\r' => 2,
            0..=0x1f => 6,
            _ => 1,
        })
        .sum()
}

fn name_of(issuer: &Issuer, claims: &VerifiedClaims) -> String {
    match &issuer.issuer {
        IssuerName::Named(name) => name.clone(),
        IssuerName::Any => claims.text("iss").unwrap_or_default().into_owned(),
    }
}

/// The part of the CSRF rule that needs the claims.
fn check_csrf(
    config: &Config,
    evidence: CsrfEvidence<'_>,
    claims: &VerifiedClaims,
    keys: &KeySet,
) -> Result<CsrfOutcome, Denial> {
    let value = match evidence {
        CsrfEvidence::None => return Ok(CsrfOutcome::None),
        CsrfEvidence::Off | CsrfEvidence::Reported => return Ok(CsrfOutcome::Off),
        CsrfEvidence::Value(value) => value,
    };
    match config.csrf.mode {
        CsrfMode::Claim => match claims.text("csrf") {
            Some(claim) if is_equal(claim.as_bytes(), value) => Ok(CsrfOutcome::Claim),
            _ => Err(Denial::CsrfMismatch),
        },
        CsrfMode::Off => Ok(CsrfOutcome::Off),
        CsrfMode::Signed => {
            let named = claims.find(&config.csrf.session_claim);
            let session = named.or_else(|| claims.find("jti")).and_then(Value::string);
            let session = session.filter(|session| !session.is_empty());
            let session = session.ok_or(Denial::CsrfSessionMissing)?;
            let key = keys.csrf.as_deref().ok_or(Denial::CsrfSignature)?;
            csrf::check_signature(value, &session, key)?;
            Ok(CsrfOutcome::Signed)
        }
        CsrfMode::Submit => Ok(CsrfOutcome::Submit),
    }
}

fn check_required_claims(config: &Config, claims: &VerifiedClaims) -> Result<(), Denial> {
    for (name, wanted) in &config.required_claims {
        let value = claims.find(name).ok_or(Denial::ClaimRequired)?;
        let fits = |wanted: &Json| match wanted {
            Json::String(text) => value.string().is_some_and(|value| value == *text),
            scalar => scalar.to_string().as_str() == value.raw(),
        };
        if !wanted.iter().any(fits) {
            return Err(Denial::ClaimRequired);
        }
    }
    Ok(())
}

/// Scopes stand in `scope`, separated by spaces ([RFC 8693 §4.2]), or in `scp`, as text or array.
///
/// [RFC 8693 §4.2]: https://www.rfc-editor.org/rfc/rfc8693#section-4.2
fn check_required_scopes(config: &Config, claims: &VerifiedClaims) -> Result<(), Denial> {
    if config.required_scopes.is_empty() {
        return Ok(());
    }
    let value = claims.find("scope").or_else(|| claims.find("scp"));
    let value = value.ok_or(Denial::ScopeRequired)?;
    let texts = match value.string() {
        Some(text) => vec![text],
        None => value.strings().ok_or(Denial::ScopeRequired)?,
    };
    let has = |wanted: &String| texts.iter().any(|text| text.split(' ').any(|s| s == wanted));
    if config.required_scopes.iter().all(has) { Ok(()) } else { Err(Denial::ScopeRequired) }
}

/// A claim as a flat string: text as it is, numbers and booleans as they are spelled; `null` is
/// as good as absent.
fn flat(config: &Config, value: Value<'_>) -> Result<Option<String>, Denial> {
    if let Some(text) = value.string() {
        return Ok(Some(text.into_owned()));
    }
    match (value.is_structured(), config.context_structured) {
        (true, Structured::Refuse) => Err(Denial::ClaimContext),
        (true, Structured::Json) | (false, _) => {
            Ok((value.raw() != "null").then(|| value.raw().to_owned()))
        }
    }
}
