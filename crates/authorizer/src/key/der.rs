//! The little of DER ([X.690]) that public keys need.
//!
//! [X.690]: https://www.itu.int/rec/T-REC-X.690

use super::{KeyError, Kind, Parsed};
use crate::crypto::Algorithm;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const NULL: u8 = 0x05;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;

const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// Reads a `SubjectPublicKeyInfo` ([RFC 5280 §4.1.2.7]).
///
/// [RFC 5280 §4.1.2.7]: https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.7
pub(super) fn parse_spki(der: &[u8]) -> Result<Parsed, KeyError> {
    read_spki(der).ok_or_else(|| {
        KeyError::new("is not a public key of a supported kind (RSA, P-256, P-384, P-521, Ed25519)")
    })
}

/// Reads an `RSAPublicKey` ([RFC 8017 A.1.1]).
///
/// [RFC 8017 A.1.1]: https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1.1
pub(super) fn parse_rsa(der: &[u8]) -> Result<Parsed, KeyError> {
    let kind = || {
        let (body, rest) = take(der, SEQUENCE)?;
        let (modulus, body) = take(body, INTEGER)?;
        let (exponent, body) = take(body, INTEGER)?;
        let whole = rest.is_empty() && body.is_empty();
        whole.then(|| rsa(unsigned(modulus)?, unsigned(exponent)?)).flatten()
    };
    let kind = kind().ok_or_else(|| KeyError::new("is not a valid RSA public key"))?;
    Ok(Parsed { kind, algorithm: None, kid: None })
}

/// An RSA key from modulus and exponent, both big-endian and without leading zeros.
pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Kind> {
    const EXPONENT_BYTES_MAX: usize = 8;
    let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    let minimal = |number: &[u8]| number.first().is_some_and(|first| *first != 0);
    // An exponent of 1 makes every signature valid.
    if ![modulus, exponent].into_iter().all(|n| odd(n) && minimal(n))
        || exponent == [1]
        || EXPONENT_BYTES_MAX < exponent.len()
    {
        return None;
    }
    let modulus_bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
    let mut body = Vec::new();
    for number in [modulus, exponent] {
        let padded = [&[0][..usize::from(number[0] & 0x80 != 0)], number].concat();
        put(&mut body, INTEGER, &padded);
    }
    let mut der = Vec::new();
    put(&mut der, SEQUENCE, &body);
    Some(Kind::Rsa { der, modulus_bits })
}

fn read_spki(der: &[u8]) -> Option<Parsed> {
    let (info, rest) = take(der, SEQUENCE)?;
    let (algorithm, info) = take(info, SEQUENCE)?;
    let (bits, info) = take(info, BIT_STRING)?;
    let (oid, parameters) = take(algorithm, OID)?;
    let key = bits.strip_prefix(&[0])?;
    if !rest.is_empty() || !info.is_empty() {
        return None;
    }
    let kind = match oid {
        RSA_ENCRYPTION => {
            let (null, rest) = take(parameters, NULL)?;
            if !null.is_empty() || !rest.is_empty() {
                return None;
            }
            return parse_rsa(key).ok();
        }
        EC_PUBLIC_KEY => {
            let (curve, rest) = take(parameters, OID)?;
            let (algorithm, bytes) = match curve {
                P256 => (Algorithm::Es256, 65),
                P384 => (Algorithm::Es384, 97),
                P521 => (Algorithm::Es512, 133),
                _ => return None,
            };
            if !rest.is_empty() || key.len() != bytes || key[0] != 4 {
                return None;
            }
            Kind::Ec(key.to_vec(), algorithm)
        }
        ED25519 if parameters.is_empty() && key.len() == 32 => Kind::Ed25519(key.to_vec()),
        _ => return None,
    };
    Some(Parsed { kind, algorithm: None, kid: None })
}

/// Whether `bytes` are one DER element such as keys and certificates are: a SEQUENCE that begins
/// with a SEQUENCE or an INTEGER, from the first byte to the last. Random bytes are that once in
/// millions.
pub(super) fn is_document(bytes: &[u8]) -> bool {
    take(bytes, SEQUENCE).is_some_and(|(body, rest)| {
        rest.is_empty() && (take(body, SEQUENCE).is_some() || take(body, INTEGER).is_some())
    })
}

/// The content of the first element, which must have `tag`, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&length, rest) = rest.split_first()?;
            (usize::from(length).max(0x80), rest)
        }
        0x82 => {
            let (&length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(length)).max(0x100), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// The bytes of a positive INTEGER without the zero that keeps it positive.
fn unsigned(integer: &[u8]) -> Option<&[u8]> {
    match integer {
        [0, rest @ ..] if rest.first().is_some_and(|first| 0x80 <= *first) => Some(rest),
        [0x01..=0x7f, ..] => Some(integer),
        _ => None,
    }
}

fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    match content.len() {
        length @ 0..=0x7f => out.push(length as u8),
        length @ 0x80..=0xff => out.extend([0x81, length as u8]),
        length => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend_from_slice(content);
}
