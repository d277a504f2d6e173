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
        let (mac, rest) = value.split_at_checked(2 * MAC_BYTES)?;
        let random = rest.strip_prefix(b".")?;
        let fits = random.len().is_multiple_of(2) && RANDOM_BYTES.contains(&(random.len() / 2));
        let nibbles = |digits: &[u8]| digits.iter().fold(0, |all, digit| all | nibble(*digit));
        if !fits || NOT_A_DIGIT <= nibbles(mac) | nibbles(random) {
            return None;
        }
        let mut raw = [0; MAC_BYTES];
        for (byte, digits) in raw.iter_mut().zip(mac.as_chunks::<2>().0) {
            *byte = nibble(digits[0]) << 4 | nibble(digits[1]);
        }
        Some((raw, std::str::from_utf8(random).ok()?))
    };
    match parts() {
        Some((mac, random)) if key.verify(&message(session, random), &mac) => Ok(()),
        _ => Err(Denial::CsrfSignature),
    }
}

/// What is signed: `len(session)!session!len(hex)!hex`, lengths in bytes. The lengths keep one
/// pair of session and random part from standing for another.
pub(crate) fn message(session: &str, random_hex: &str) -> Vec<u8> {
    /// Bytes of two lengths and three exclamation marks, at most.
    const REST: usize = 2 * DECIMAL_DIGITS + 3;
    let mut message = Vec::with_capacity(session.len() + random_hex.len() + REST);
    push_decimal(&mut message, session.len());
    for part in ["!", session, "!"] {
        message.extend_from_slice(part.as_bytes());
    }
    push_decimal(&mut message, random_hex.len());
    message.push(b'!');
    message.extend_from_slice(random_hex.as_bytes());
    message
}

/// Digits of the largest `usize`.
const DECIMAL_DIGITS: usize = 20;

/// As `write!` does it, in a tenth of the time.
fn push_decimal(text: &mut Vec<u8>, mut number: usize) {
    let mut digits = [0; DECIMAL_DIGITS];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return text.extend_from_slice(&digits[start..]);
        }
    }
}

/// Above the value of any digit, and of any number of them joined by `|`.
const NOT_A_DIGIT: u8 = 16;

/// The value of a lower-case hexadecimal digit, else [`NOT_A_DIGIT`].
fn nibble(digit: u8) -> u8 {
    const VALUES: [u8; 256] = {
        let mut values = [NOT_A_DIGIT; 256];
        let mut n = 0;
        while n < 16 {
            values[b"0123456789abcdef"[n] as usize] = n as u8;
            n += 1;
        }
        values
    };
    VALUES[usize::from(digit)]
}

fn only<'a>(mut values: impl Iterator<Item = &'a str>) -> Result<Option<&'a str>, Denial> {
    let value = values.next();
    match values.next() {
        Some(_) => Err(Denial::CsrfAmbiguous),
        None => Ok(value),
    }
}
