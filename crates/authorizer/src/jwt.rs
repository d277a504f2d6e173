//! The second step of the decision: the token itself ([RFC 7515], [RFC 7519], [RFC 8725]).
//!
//! The key decides the algorithm; the token can only agree. Nothing the token says makes a request
//! leave the process.
//!
//! [RFC 7515]: https://www.rfc-editor.org/rfc/rfc7515
//! [RFC 7519]: https://www.rfc-editor.org/rfc/rfc7519
//! [RFC 8725]: https://www.rfc-editor.org/rfc/rfc8725

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::carrier::Evidence;
use crate::config::issuer::normal_type;
use crate::config::{Audience, Config, Issuer, IssuerName};
use crate::crypto::Algorithm;
use crate::denial::Denial;
use crate::json::{self, Member, Object, Value};
use crate::key::KeySet;

/// Bytes of the longest signature that any key can make: RSA of 8192 bits.
const SIGNATURE_BYTES_MAX: usize = 1024;

/// The claims of a token whose signature, times, issuer, audience and type were checked, or for
/// which the delegate vouches.
///
/// There is no other way to make one: a value of this type is the proof.
pub struct VerifiedClaims {
    text: String,
    members: Vec<Member>,
    /// Position of the issuer in the configuration; `None` if a delegate vouches.
    issuer: Option<usize>,
    expires_at: u64,
    issued_at: Option<u64>,
}

impl VerifiedClaims {
    /// The claim `name` as it is spelled.
    pub(crate) fn find(&self, name: &str) -> Option<Value<'_>> {
        Object { text: &self.text, members: &self.members }.find(name)
    }

    /// The claim `name`, if it is a string and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.find(name)?.string().filter(|text| !text.is_empty())
    }

    /// Position of the issuer in [`Config::issuers`]; `None` if a delegate vouches.
    pub fn issuer(&self) -> Option<usize> {
        self.issuer
    }

    /// `exp`, in epoch seconds.
    pub fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// `iat`, in epoch seconds.
    pub fn issued_at(&self) -> Option<u64> {
        self.issued_at
    }
}

impl fmt::Debug for VerifiedClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedClaims")
            .field("issuer", &self.issuer)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Checks the token of `evidence` at the time `now` in epoch seconds.
pub(crate) fn verify(
    config: &Config,
    evidence: &Evidence<'_>,
    keys: &KeySet,
    now: u64,
) -> Result<VerifiedClaims, Denial> {
    let parts = Parts::split(&evidence.token)?;
    let header = decode_text(parts.header)?;
    let header_members = json::members(&header).map_err(|_| Denial::TokenMalformed)?;
    let header = Header::read(Object { text: &header, members: &header_members })?;
    let text = decode_text(parts.claims)?;
    let members = json::members(&text).map_err(|_| Denial::TokenMalformed)?;
    let claims = Object { text: &text, members: &members };

    let (position, issuer) = find_issuer(config, claims)?;
    if let Some(wanted) = &issuer.typ
        && header.typ.is_none_or(|typ| normal_type(&typ) != *wanted)
    {
        return Err(Denial::TokenType);
    }
    let key = keys.find(position, header.algorithm, header.kid.as_deref())?;
    let mut signature = [0; SIGNATURE_BYTES_MAX + 2];
    let length = URL_SAFE_NO_PAD
        .decode_slice(parts.signature, &mut signature)
        .map_err(|_| Denial::TokenMalformed)?;
    if !key.verify(parts.signed.as_bytes(), &signature[..length]) {
        return Err(Denial::TokenSignature);
    }

    let times = Times::read(claims)?;
    times.check(config.leeway, now)?;
    check_audience(issuer, claims)?;
    if let Some(life_max) = config.query_life_max.filter(|_| evidence.by_query) {
        times.check_life(life_max)?;
    }
    let Times { expires_at, issued_at, .. } = times;
    Ok(VerifiedClaims { text, members, issuer: Some(position), expires_at, issued_at })
}

/// The issuer, by position, of a token that names a key which `keys` do not have. The token is not
/// verified: the answer is good for asking that issuer for its present keys, and nothing else.
pub(crate) fn unknown_key(
    config: &Config,
    evidence: &Evidence<'_>,
    keys: &KeySet,
) -> Option<usize> {
    let parts = Parts::split(&evidence.token).ok()?;
    let header = decode_text(parts.header).ok()?;
    let members = json::members(&header).ok()?;
    let header = Header::read(Object { text: &header, members: &members }).ok()?;
    let text = decode_text(parts.claims).ok()?;
    let members = json::members(&text).ok()?;
    let (position, _) = find_issuer(config, Object { text: &text, members: &members }).ok()?;
    (!keys.has(position, header.kid.as_deref()?)).then_some(position)
}

/// Claims that a delegate vouches for, at the time `now` in epoch seconds. `issuer` is left out:
/// none was asked.
pub(crate) fn vouched(
    config: &Config,
    evidence: &Evidence<'_>,
    text: String,
    now: u64,
) -> Result<VerifiedClaims, Denial> {
    let members = json::members(&text).map_err(|_| Denial::TokenMalformed)?;
    let claims = Object { text: &text, members: &members };
    let times = Times::read(claims)?;
    times.check(config.leeway, now)?;
    if let Some(life_max) = config.query_life_max.filter(|_| evidence.by_query) {
        times.check_life(life_max)?;
    }
    let Times { expires_at, issued_at, .. } = times;
    Ok(VerifiedClaims { text, members, issuer: None, expires_at, issued_at })
}

/// The three segments of the compact form ([RFC 7515 §7.1]).
///
/// [RFC 7515 §7.1]: https://www.rfc-editor.org/rfc/rfc7515#section-7.1
struct Parts<'a> {
    /// Header and claims with the dot between: what is signed.
    signed: &'a str,
    header: &'a str,
    claims: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, Denial> {
        let parts = || {
            let mut dots = memchr::memchr_iter(b'.', token.as_bytes());
            let (first, second) = (dots.next()?, dots.next()?);
            let is_whole = 0 < first && first + 1 < second && dots.next().is_none();
            is_whole.then(|| Self {
                signed: &token[..second],
                header: &token[..first],
                claims: &token[first + 1..second],
                signature: &token[second + 1..],
            })
        };
        parts().ok_or(Denial::TokenMalformed)
    }
}

/// What of the JOSE header the decision looks at.
struct Header<'a> {
    algorithm: Algorithm,
    kid: Option<Cow<'a, str>>,
    typ: Option<Cow<'a, str>>,
}

impl<'a> Header<'a> {
    fn read(object: Object<'a>) -> Result<Self, Denial> {
        let (mut algorithm, mut kid, mut typ) = (None, None, None);
        for (name, value) in object.iter() {
            match name.as_ref() {
                "alg" => algorithm = Some(value.string().ok_or(Denial::TokenMalformed)?),
                "kid" => kid = Some(value.string().ok_or(Denial::TokenMalformed)?),
                "typ" => typ = Some(value.string().ok_or(Denial::TokenMalformed)?),
                "crit" => return Err(Denial::TokenCritical),
                "b64" if value.raw() != "true" => return Err(Denial::TokenCritical),
                "jku" | "jwk" | "x5c" | "x5u" => return Err(Denial::TokenKey),
                _ => {}
            }
        }
        let algorithm = algorithm.ok_or(Denial::TokenMalformed)?;
        let algorithm = Algorithm::parse(&algorithm).ok_or(Denial::TokenAlgorithm)?;
        Ok(Self { algorithm, kid, typ })
    }
}

/// The issuer's entry; one that names it goes before `"any"`.
fn find_issuer<'c>(config: &'c Config, claims: Object<'_>) -> Result<(usize, &'c Issuer), Denial> {
    let iss = match claims.find("iss") {
        Some(value) => Some(value.string().ok_or(Denial::TokenMalformed)?),
        None => None,
    };
    let entries = || config.issuers.iter().enumerate();
    let named = entries().find(|(_, issuer)| match &issuer.issuer {
        IssuerName::Named(name) => iss.as_deref() == Some(name),
        IssuerName::Any => false,
    });
    let any = || entries().find(|(_, issuer)| issuer.issuer == IssuerName::Any);
    named.or_else(any).ok_or(Denial::TokenIssuer)
}

/// The registered times ([RFC 7519 §4.1.4–4.1.6]), in epoch seconds.
///
/// [RFC 7519 §4.1.4–4.1.6]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1.4
struct Times {
    expires_at: u64,
    not_before: Option<u64>,
    issued_at: Option<u64>,
}

impl Times {
    fn read(claims: Object<'_>) -> Result<Self, Denial> {
        let seconds = |name| {
            let value = claims.find(name).map(|v| v.seconds().ok_or(Denial::TokenMalformed));
            value.transpose()
        };
        Ok(Self {
            expires_at: seconds("exp")?.ok_or(Denial::TokenMalformed)?,
            not_before: seconds("nbf")?,
            issued_at: seconds("iat")?,
        })
    }

    fn check(&self, leeway: u64, now: u64) -> Result<(), Denial> {
        if self.expires_at.saturating_add(leeway) <= now {
            return Err(Denial::TokenExpired);
        }
        let is_early = |time: Option<u64>| time.is_some_and(|t| now.saturating_add(leeway) < t);
        if is_early(self.not_before) || is_early(self.issued_at) {
            return Err(Denial::TokenNotYetValid);
        }
        Ok(())
    }

    fn check_life(&self, life_max: u64) -> Result<(), Denial> {
        match self.issued_at {
            Some(issued_at) if self.expires_at.saturating_sub(issued_at) <= life_max => Ok(()),
            _ => Err(Denial::TokenLife),
        }
    }
}

/// `aud` is a string or an array of strings ([RFC 7519 §4.1.3]).
///
/// [RFC 7519 §4.1.3]: https://www.rfc-editor.org/rfc/rfc7519#section-4.1.3
fn check_audience(issuer: &Issuer, claims: Object<'_>) -> Result<(), Denial> {
    let Audience::OneOf(wanted) = &issuer.audience else { return Ok(()) };
    let is_wanted = |text: &Cow<'_, str>| wanted.iter().any(|audience| audience == text);
    let value = claims.find("aud").ok_or(Denial::TokenAudience)?;
    let fits = match value.string() {
        Some(one) => is_wanted(&one),
        None => value.strings().ok_or(Denial::TokenMalformed)?.iter().any(is_wanted),
    };
    if fits { Ok(()) } else { Err(Denial::TokenAudience) }
}

fn decode_text(segment: &str) -> Result<String, Denial> {
    let bytes = URL_SAFE_NO_PAD.decode(segment).map_err(|_| Denial::TokenMalformed)?;
    String::from_utf8(bytes).map_err(|_| Denial::TokenMalformed)
}
