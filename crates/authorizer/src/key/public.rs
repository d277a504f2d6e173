//! Documents that are no secret, whatever the configuration says: whoever has a public key could
//! sign with it, if it were taken for a shared one ([RFC 8725 §2.1]).
//!
//! [RFC 8725 §2.1]: https://www.rfc-editor.org/rfc/rfc8725#section-2.1

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::memmem;

use super::{KeyError, der, jwk};

/// Refuses `content` as a shared secret if it is a key or certificate in PEM, JSON, DER or a text
/// form of DER, or an SSH key; with white space, a byte order mark or quotes around it, or line
/// ends that are spelled out.
pub(super) fn refuse(content: &[u8]) -> Result<(), KeyError> {
    let start = strip(content);
    if is_pem(start) || memmem::find(start, b"---- BEGIN ").is_some() {
        return Err(KeyError::new("is a PEM document, not a shared secret").with_hint("pem:…"));
    }
    let object = start.strip_prefix(b"[").unwrap_or(start).trim_ascii();
    let object = object.strip_suffix(b"]").unwrap_or(object).trim_ascii();
    if object.starts_with(b"{") && jwk::is_jwk(object) {
        return Err(KeyError::new("is a JSON Web Key, not a bare secret").with_hint("jwk:…"));
    }
    if is_ssh(start) {
        return Err(KeyError::new("is an SSH public key, not a shared secret"));
    }
    let texts = [base64_of(start), hex_of(start)];
    let mut forms = texts.iter().flatten().map(Vec::as_slice).chain([content, start]);
    if forms.any(|form| der::is_document(form) || is_pem(form)) {
        return Err(KeyError::new("is a key or certificate in DER, not a shared secret")
            .with_hint("pem:… with its BEGIN and END lines"));
    }
    Ok(())
}

/// Without byte order mark, white space and quotes around.
fn strip(content: &[u8]) -> &[u8] {
    let start = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content).trim_ascii();
    match start {
        [b'"', inner @ .., b'"'] | [b'\'', inner @ .., b'\''] => inner.trim_ascii(),
        _ => start,
    }
}

/// A line of `authorized_keys`, or its middle, which begins with the length and name of the kind.
fn is_ssh(content: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 7] = [
        b"ssh-",
        b"sk-ssh-",
        b"ecdsa-sha2-",
        b"sk-ecdsa-sha2-",
        b"AAAAB3NzaC1",
        b"AAAAC3NzaC1",
        b"AAAAE2VjZHNhLXNoYTIt",
    ];
    BEGINNINGS.iter().any(|beginning| content.starts_with(beginning))
}

fn is_pem(content: &[u8]) -> bool {
    memmem::find(content, b"-----BEGIN ").is_some()
}

/// The bytes of base64 or base64url, with or without padding and line ends, also spelled out.
fn base64_of(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?.replace("\\n", "").replace("\\r", "");
    let digits = text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=');
    let digits: Vec<u8> = digits
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        })
        .collect();
    STANDARD_NO_PAD.decode(digits).ok()
}

/// The bytes of hexadecimal digits, with or without colons and spaces between.
fn hex_of(text: &[u8]) -> Option<Vec<u8>> {
    let mut digits = text.iter().filter(|byte| !byte.is_ascii_whitespace() && **byte != b':');
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let value = |digit: &u8| char::from(*digit).to_digit(16);
    while let Some(high) = digits.next() {
        bytes.push(u8::try_from(value(high)? << 4 | value(digits.next()?)?).ok()?);
    }
    Some(bytes)
}
