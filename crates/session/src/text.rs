//! Text encodings of `$util` and of parameter mapping.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// JavaScript string escapes as Apache Commons Lang 2 makes them, the
/// apostrophe and the slash included.
pub(crate) fn escape_javascript(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            '/' => out.push_str("\\/"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04X}").expect("writing to a string");
                }
            }
        }
    }
    out
}

/// `application/x-www-form-urlencoded`, as Java's `URLEncoder`.
pub(crate) fn form_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => write!(out, "%{byte:02X}").expect("writing to a string"),
        }
    }
    out
}

/// Percent-encoding of one URL component: everything but unreserved characters.
pub(crate) fn component_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'~' | b'_' => {
                out.push(char::from(byte));
            }
            _ => write!(out, "%{byte:02X}").expect("writing to a string"),
        }
    }
    out
}

/// Decodes `application/x-www-form-urlencoded`: `+` is a space, a broken escape stays as it
/// is, bytes that are not UTF-8 become U+FFFD.
pub fn form_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        match bytes[index] {
            b'+' => out.push(b' '),
            b'%' => match escaped(bytes, index) {
                Some(byte) => {
                    out.push(byte);
                    index += 2;
                }
                None => out.push(b'%'),
            },
            byte => out.push(byte),
        }
        index += 1;
    }
    match String::from_utf8(out) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

fn escaped(bytes: &[u8], index: usize) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let high = digit(*bytes.get(index + 1)?)?;
    let low = digit(*bytes.get(index + 2)?)?;
    u8::try_from(high * 16 + low).ok()
}

pub(crate) fn base64_encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn base64_decode(text: &str) -> Option<String> {
    let bytes = STANDARD.decode(text).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_like_commons_lang() {
        assert_eq!(
            escape_javascript("a\"b'c\\d/e\n\u{1}é😀"),
            "a\\\"b\\'c\\\\d\\/e\\n\\u0001\\u00E9\\uD83D\\uDE00"
        );
    }

    #[test]
    fn form_encoding_round_trips() {
        assert_eq!(form_encode("a b&c=d/é*~"), "a+b%26c%3Dd%2F%C3%A9*%7E");
        assert_eq!(form_decode("a%2Bb+c%zz%"), "a+b c%zz%");
        assert_eq!(form_decode(&form_encode("a b&c=d/é*~")), "a b&c=d/é*~");
    }
}
