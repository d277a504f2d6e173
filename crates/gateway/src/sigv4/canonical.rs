//! The canonical request.

use super::Received;
use super::parse::{Signature, decoded, pairs};

/// Whether values of credentials are written out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Show {
    /// For hashing.
    All,
    /// For error texts.
    Masked,
}

/// What the client should have hashed.
pub(super) struct Canonical<'a> {
    pub(super) received: &'a Received<'a>,
    pub(super) signature: &'a Signature<'a>,
    pub(super) body_hash: &'a str,
}

impl Canonical<'_> {
    /// The six parts, one under the other.
    pub(super) fn text(&self, show: Show) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(self.received.method.as_bytes());
        out.push(b'\n');
        self.path(&mut out);
        out.push(b'\n');
        self.query(&mut out, show);
        out.push(b'\n');
        self.headers(&mut out, show);
        out.push(b'\n');
        out.extend_from_slice(self.signature.signed_headers.join(";").as_bytes());
        out.push(b'\n');
        out.extend_from_slice(self.body_hash.as_bytes());
        out
    }

    fn path(&self, out: &mut Vec<u8>) {
        match self.received.raw_path {
            "" => out.push(b'/'),
            path => encode(out, path.as_bytes(), b"/"),
        }
    }

    fn query(&self, out: &mut Vec<u8>, show: Show) {
        let encoded = |text: &[u8]| {
            let mut out = Vec::with_capacity(text.len());
            encode(&mut out, text, b"");
            out
        };
        let mut parameters = Vec::new();
        for (name, value) in pairs(self.received.raw_query) {
            let name = decoded(name);
            if *name == *b"X-Amz-Signature" {
                continue;
            }
            let hide = show == Show::Masked
                && SECRET_PARAMETERS.iter().any(|s| name.eq_ignore_ascii_case(s));
            let value = if hide { MASK.to_vec() } else { encoded(&decoded(value)) };
            parameters.push((encoded(&name), value));
        }
        parameters.sort();
        for (index, (name, value)) in parameters.iter().enumerate() {
            if index != 0 {
                out.push(b'&');
            }
            out.extend_from_slice(name);
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }

    fn headers(&self, out: &mut Vec<u8>, show: Show) {
        for name in &self.signature.signed_headers {
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
            if show == Show::Masked && SECRET_HEADERS.contains(name) {
                out.extend_from_slice(MASK);
            } else {
                for (index, value) in self.received.headers.get_all(*name).iter().enumerate() {
                    if index != 0 {
                        out.push(b',');
                    }
                    collapse(out, value.as_bytes());
                }
            }
            out.push(b'\n');
        }
    }
}

const MASK: &[u8] = b"***";
const SECRET_HEADERS: [&str; 5] =
    ["authorization", "cookie", "sec-websocket-protocol", "x-amz-security-token", "x-api-key"];
const SECRET_PARAMETERS: [&[u8]; 3] = [b"X-Amz-Security-Token", b"access_token", b"csrf_token"];

/// Percent-encodes all but the unreserved characters of RFC 3986 and `keep`.
fn encode(out: &mut Vec<u8>, text: &[u8], keep: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
            out.push(byte);
        } else {
            out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
}

/// Trims, and turns each run of spaces and tabs into one space.
fn collapse(out: &mut Vec<u8>, value: &[u8]) {
    let words = value.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index != 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}
