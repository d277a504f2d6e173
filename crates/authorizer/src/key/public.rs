//! Documents that are no secret, whatever the configuration says: whoever has a public key could
//! sign with it, if it were taken for a shared one ([RFC 8725 §2.1]).
//!
//! [RFC 8725 §2.1]: https://www.rfc-editor.org/rfc/rfc8725#section-2.1

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use memchr::memmem;

use super::{KeyError, der, jwk};

/// Refuses `content` as a shared secret if it is a key or certificate in PEM, JSON, DER or the
/// bare base64 of DER, or an SSH key.
pub(super) fn refuse(content: &[u8]) -> Result<(), KeyError> {
    let start = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content).trim_ascii();
    if is_pem(start) {
        return Err(KeyError::new("is a PEM document, not a shared secret").with_hint("pem:…"));
    }
    if start.starts_with(b"{") && jwk::is_jwk(start) {
        return Err(KeyError::new("is a JSON Web Key, not a bare secret").with_hint("jwk:…"));
    }
    if start.starts_with(b"ssh-") || start.starts_with(b"ecdsa-sha2-") {
        return Err(KeyError::new("is an SSH public key, not a shared secret"));
    }
    let decoded = decode(start).unwrap_or_default();
    if der::is_document(content) || der::is_document(&decoded) || is_pem(&decoded) {
        return Err(KeyError::new("is a key or certificate in DER, not a shared secret")
            .with_hint("pem:… with its BEGIN and END lines"));
    }
    Ok(())
}

fn is_pem(content: &[u8]) -> bool {
    memmem::find(content, b"-----BEGIN ").is_some()
}

/// The bytes of base64 or base64url, with or without padding and line ends.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.iter().filter(|byte| !byte.is_ascii_whitespace() && **byte != b'=');
    let digits: Vec<u8> = digits
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    STANDARD_NO_PAD.decode(digits).ok()
}
