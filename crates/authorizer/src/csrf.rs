//! The CSRF rule: a double-submitted value, signed for the session of the token.
//!
//! Cookies travel with whatever page opens the socket. Only a page that may read the second
//! cookie can repeat its value, and only the login can sign one for the token's session, so a
//! cookie that a sibling subdomain plants is of no use.

use crate::config::{Csrf, CsrfMode, Submit};
use crate::crypto::Verify;
use crate::denial::Denial;
use crate::protocol::Offer;
use crate::request::Request;
use crate::secret::is_equal;

/// Least and most bytes of the random part.
pub(crate) const RANDOM_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
/// Bytes of the HMAC-SHA256.
const MAC_BYTES: usize = 32;

/// Checks that the value of the cookie was submitted too, where the mode asks for that; returns
/// the value.
pub(crate) fn check_submitted<'a>(
    rule: &Csrf,
    request: &Request<'a>,
    offer: &Offer<'a>,
    cookie: Option<&'a [u8]>,
) -> Result<&'a [u8], Denial> {
    let cookie = cookie.filter(|value| !value.is_empty()).ok_or(Denial::CsrfMissing)?;
    if rule.mode == CsrfMode::Claim {
        return Ok(cookie);
    }
    let mut found = false;
    for submit in &rule.submit {
        let value = match submit {
            Submit::Protocol(prefix) => only(offer.csrf_values(prefix))?,
            Submit::Query(name) => only(request.parameter(name))?,
        };
        let Some(value) = value else { continue };
        if value.is_empty() {
            return Err(Denial::CsrfMissing);
        }
        if !is_equal(value.as_bytes(), cookie) {
            return Err(Denial::CsrfMismatch);
        }
        found = true;
    }
    if found { Ok(cookie) } else { Err(Denial::CsrfMissing) }
}

/// Checks that `value` is signed by `key` for `session`: `hex(mac) "." hex(random)` in lower case,
/// the mac over [`message`].
pub(crate) fn check_signature(value: &[u8], session: &str, key: &dyn Verify) -> Result<(), Denial> {
    let parts = || {
        let text = std::str::from_utf8(value).ok()?;
        let (mac, random) = text.split_once('.')?;
        let fits = random.len().is_multiple_of(2) && RANDOM_BYTES.contains(&(random.len() / 2));
        if !fits
            || mac.len() != 2 * MAC_BYTES
            || !random.bytes().all(|digit| nibble(digit).is_some())
        {
            return None;
        }
        let mut raw = [0; MAC_BYTES];
        for (byte, digits) in raw.iter_mut().zip(mac.as_bytes().as_chunks::<2>().0) {
            *byte = nibble(digits[0])? << 4 | nibble(digits[1])?;
        }
        Some((raw, random))
    };
    match parts() {
        Some((mac, random)) if key.verify(&message(session, random), &mac) => Ok(()),
        _ => Err(Denial::CsrfSignature),
    }
}

/// What is signed: `len(session)!session!len(hex)!hex`, lengths in bytes. The lengths keep one
/// pair of session and random part from standing for another.
pub(crate) fn message(session: &str, random_hex: &str) -> Vec<u8> {
    let lengths = (session.len().to_string(), random_hex.len().to_string());
    [&lengths.0, "!", session, "!", &lengths.1, "!", random_hex].concat().into_bytes()
}

/// The value of a lower-case hexadecimal digit.
fn nibble(digit: u8) -> Option<u8> {
    const NONE: u8 = 0xff;
    const VALUES: [u8; 256] = {
        let mut values = [NONE; 256];
        let mut n = 0;
        while n < 16 {
            values[b"0123456789abcdef"[n] as usize] = n as u8;
            n += 1;
        }
        values
    };
    Some(VALUES[usize::from(digit)]).filter(|value| *value != NONE)
}

fn only<'a>(mut values: impl Iterator<Item = &'a str>) -> Result<Option<&'a str>, Denial> {
    let value = values.next();
    match values.next() {
        Some(_) => Err(Denial::CsrfAmbiguous),
        None => Ok(value),
    }
}
