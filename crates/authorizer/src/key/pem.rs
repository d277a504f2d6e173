//! One public key in PEM ([RFC 7468]).
//!
//! [RFC 7468]: https://www.rfc-editor.org/rfc/rfc7468

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{KeyError, Parsed, der};

/// Reads exactly one block, with nothing but white space around it.
pub(super) fn parse(content: &[u8]) -> Result<Parsed, KeyError> {
    let (label, der) = read_block(content).ok_or_else(|| {
        KeyError::new("is not one PEM document").with_hint("one -----BEGIN PUBLIC KEY----- block")
    })?;
    match label.as_str() {
        "PUBLIC KEY" => der::parse_spki(&der),
        "RSA PUBLIC KEY" => der::parse_rsa(&der),
        "CERTIFICATE" => Err(KeyError::new("is a certificate, not a public key")
            .with_hint("`openssl x509 -noout -pubkey` prints the key of a certificate")),
        _ if label.ends_with("PRIVATE KEY") => {
            Err(KeyError::new("is a private key, which has no business here")
                .with_hint("`openssl pkey -pubout` prints the public key"))
        }
        _ => Err(KeyError::new("is not a PUBLIC KEY or RSA PUBLIC KEY block")),
    }
}

/// The label and content of the one block.
pub(super) fn read_block(content: &[u8]) -> Option<(String, Vec<u8>)> {
    let text = std::str::from_utf8(content).ok()?.trim_ascii();
    let (label, rest) = text.strip_prefix("-----BEGIN ")?.split_once("-----")?;
    let body = rest.strip_suffix("-----")?.strip_suffix(label)?.strip_suffix("-----END ")?;
    let joined: String = body.split_ascii_whitespace().collect();
    Some((label.to_owned(), STANDARD.decode(joined).ok()?))
}
