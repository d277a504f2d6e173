//! One JSON Web Key ([RFC 7517], [RFC 7518 §6], [RFC 8037 §2]).
//!
//! [RFC 7517]: https://www.rfc-editor.org/rfc/rfc7517
//! [RFC 7518 §6]: https://www.rfc-editor.org/rfc/rfc7518#section-6
//! [RFC 8037 §2]: https://www.rfc-editor.org/rfc/rfc8037#section-2

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{KEYS_MAX, KeyError, Kind, Parsed, der};
use crate::crypto::Algorithm;
use crate::json::{self, Object};
use crate::secret::Secret;

/// Whether `content` is a JSON object with a `kty`.
pub(super) fn is_jwk(content: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(content) else { return false };
    json::members(text).is_ok_and(|members| {
        let object = Object { text, members: &members };
        object.find("kty").is_some() || object.find("keys").is_some()
    })
}

/// The keys of a JWK set, as they are spelled ([RFC 7517 §5]).
///
/// [RFC 7517 §5]: https://www.rfc-editor.org/rfc/rfc7517#section-5
pub(super) fn parse_set(content: &[u8]) -> Result<Vec<String>, KeyError> {
    let text = std::str::from_utf8(content).map_err(|_| KeyError::new("is not text"))?;
    let members = json::members(text)
        .map_err(|_| KeyError::new("is not a JSON object without duplicate members"))?;
    let keys = Object { text, members: &members }.find("keys").and_then(|value| value.items());
    let keys = keys.ok_or_else(|| KeyError::new("is not a set of keys: `keys` is no array"))?;
    if KEYS_MAX < keys.len() {
        return Err(KeyError::new(format!("has more than {KEYS_MAX} keys")));
    }
    Ok(keys.into_iter().map(str::to_owned).collect())
}

/// Reads a key that is meant for signatures.
pub(super) fn parse(content: &[u8]) -> Result<Parsed, KeyError> {
    let text = std::str::from_utf8(content).map_err(|_| KeyError::new("is not text"))?;
    let members = json::members(text)
        .map_err(|_| KeyError::new("is not a JSON object without duplicate members"))?;
    let object = Object { text, members: &members };
    if object.find("keys").is_some() && object.find("kty").is_none() {
        return Err(KeyError::new("is a set of keys, not one key"));
    }
    if object.find("d").is_some() {
        return Err(KeyError::new("is a private key, which has no business here")
            .with_hint("leave out `d` and what follows from it"));
    }
    check_use(object)?;
    let algorithm = match text_of(object, "alg")? {
        Some(name) => Some(Algorithm::parse(&name).ok_or_else(|| {
            KeyError::new("has an `alg` that is not a supported signature algorithm")
        })?),
        None => None,
    };
    let kid = text_of(object, "kid")?.map(Cow::into_owned);
    Ok(Parsed { kind: read_kind(object)?, algorithm, kid })
}

fn check_use(object: Object<'_>) -> Result<(), KeyError> {
    if text_of(object, "use")?.is_some_and(|usage| usage != "sig") {
        return Err(KeyError::new("has a `use` other than `sig`"));
    }
    let operations = object.find("key_ops").map(|value| value.strings().unwrap_or_default());
    match operations {
        Some(operations) if !operations.iter().any(|op| op == "verify" || op == "sign") => {
            Err(KeyError::new("has `key_ops` without `verify`"))
        }
        _ => Ok(()),
    }
}

fn read_kind(object: Object<'_>) -> Result<Kind, KeyError> {
    let kty = text_of(object, "kty")?.ok_or_else(|| KeyError::new("has no `kty`"))?;
    let crv = text_of(object, "crv")?;
    match (kty.as_ref(), crv.as_deref()) {
        ("EC", Some("P-256")) => ec(object, 32, Algorithm::Es256),
        ("EC", Some("P-384")) => ec(object, 48, Algorithm::Es384),
        ("EC", Some("P-521")) => ec(object, 66, Algorithm::Es512),
        ("OKP", Some("Ed25519")) => Ok(Kind::Ed25519(bytes_of(object, "x", Some(32))?)),
        ("RSA", None) => {
            let (modulus, exponent) = (bytes_of(object, "n", None)?, bytes_of(object, "e", None)?);
            der::rsa(&modulus, &exponent)
                .ok_or_else(|| KeyError::new("is not a valid RSA public key"))
        }
        ("oct", None) => Ok(Kind::Secret(Secret::new(bytes_of(object, "k", None)?))),
        _ => Err(KeyError::new("is not of a supported kind")
            .with_hint("EC with P-256, P-384 or P-521, OKP with Ed25519, RSA, oct")),
    }
}

fn ec(object: Object<'_>, bytes: usize, algorithm: Algorithm) -> Result<Kind, KeyError> {
    let (x, y) = (bytes_of(object, "x", Some(bytes))?, bytes_of(object, "y", Some(bytes))?);
    Ok(Kind::Ec([&[4], x.as_slice(), y.as_slice()].concat(), algorithm))
}

fn bytes_of(object: Object<'_>, name: &str, length: Option<usize>) -> Result<Vec<u8>, KeyError> {
    let text = text_of(object, name)?;
    let bytes = text.and_then(|text| URL_SAFE_NO_PAD.decode(text.as_ref()).ok());
    bytes
        .filter(|bytes| length.map_or(!bytes.is_empty(), |length| bytes.len() == length))
        .ok_or_else(|| KeyError::new(format!("has no valid `{name}`")))
}

fn text_of<'a>(object: Object<'a>, name: &str) -> Result<Option<Cow<'a, str>>, KeyError> {
    match object.find(name) {
        None => Ok(None),
        Some(value) => match value.string() {
            Some(text) => Ok(Some(text)),
            None => Err(KeyError::new(format!("has a `{name}` that is not a string"))),
        },
    }
}
