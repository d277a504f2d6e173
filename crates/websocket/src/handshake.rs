//! The header values of the opening handshake ([RFC 6455 §4]).
//!
//! [RFC 6455 §4]: https://www.rfc-editor.org/rfc/rfc6455#section-4

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};
use thiserror::Error;

/// Answer to a `Sec-WebSocket-Key`: the ASCII value of `Sec-WebSocket-Accept`
/// ([RFC 6455 §4.2.2]).
///
/// [RFC 6455 §4.2.2]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
pub fn accept_key(key: &str) -> [u8; 28] {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; 28];
    STANDARD.encode_slice(digest, &mut accept).expect("20 bytes are 28 characters of base64");
    accept
}

/// Whether `key` may stand in `Sec-WebSocket-Key`: the one base64 spelling of exactly
/// 16 bytes ([RFC 6455 §4.2.1]).
///
/// [RFC 6455 §4.2.1]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
pub fn is_key(key: &str) -> bool {
    let mut nonce = [0; 18];
    key.len() == 24 && STANDARD.decode_slice(key, &mut nonce) == Ok(16)
}

/// Reads a `Sec-WebSocket-Protocol` request header: the subprotocols a client offers,
/// its favourite first ([RFC 6455 §11.3.4]).
///
/// Elements without text are skipped, as [RFC 9110 §5.6.1.2] asks. Join several
/// headers of that name with commas first.
///
/// # Errors
///
/// See [`ProtocolsError`].
///
/// [RFC 6455 §11.3.4]: https://www.rfc-editor.org/rfc/rfc6455#section-11.3.4
/// [RFC 9110 §5.6.1.2]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1.2
pub fn parse_protocols(header: &str) -> Result<Vec<&str>, ProtocolsError> {
    let elements = header.split(',').map(|element| element.trim_matches(WHITESPACE));
    let protocols: Vec<&str> = elements.filter(|element| !element.is_empty()).collect();
    if protocols.is_empty() {
        return Err(ProtocolsError::Empty);
    }
    if !protocols.iter().all(|protocol| is_protocol(protocol)) {
        return Err(ProtocolsError::NotAToken);
    }
    // Sorted, because a header of thousands must not cost the square of that.
    let mut sorted = protocols.clone();
    sorted.sort_unstable();
    if sorted.array_windows().any(|[left, right]| left == right) {
        return Err(ProtocolsError::Repeated);
    }
    Ok(protocols)
}

/// Whether `protocol` can be the name of a subprotocol: a token of [RFC 9110 §5.6.2].
///
/// [RFC 9110 §5.6.2]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
pub fn is_protocol(protocol: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !protocol.is_empty() && protocol.bytes().all(is_token)
}

/// Why a `Sec-WebSocket-Protocol` header is refused.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ProtocolsError {
    /// It offers nothing.
    #[error("no subprotocol offered")]
    Empty,
    /// An element has characters that a name cannot have.
    #[error("subprotocol is not a token")]
    NotAToken,
    /// A name stands twice; RFC 6455 §4.1 forbids it.
    #[error("subprotocol offered twice")]
    Repeated,
}

/// What RFC 6455 §1.3 appends to the key before it is hashed.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const WHITESPACE: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_is_answered() {
        assert_eq!(&accept_key("dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[track_caller]
    fn check_key(key: &str, want: bool) {
        assert_eq!(is_key(key), want, "key: {key:?}");
    }

    #[test]
    fn a_key_is_sixteen_bytes_in_canonical_base64() {
        check_key("dGhlIHNhbXBsZSBub25jZQ==", true);
        check_key("AAAAAAAAAAAAAAAAAAAAAA==", true);
        check_key("////++++////++++////+w==", true);
        check_key("", false);
        check_key("dGhlIHNhbXBsZSBub25jZR==", false); // stray bits
        check_key("dGhlIHNhbXBsZSBub25jZQ=", false);
        check_key("dGhlIHNhbXBsZSBub25jZQ", false);
        check_key("dGhlIHNhbXBsZSBub25jZTEx", false); // 18 bytes
        check_key("dGhlIHNhbXBsZSBub25jZTE=", false); // 17 bytes
        check_key("dGhlIHNhbXBsZSBub25jZQ== ", false);
        check_key("dGhlIHNhbXBsZSBub25j-_==", false); // the alphabet of URLs
        check_key("dGhlIHNhbXBsZSBub2é=====", false);
    }

    #[track_caller]
    fn check_protocols(header: &str, want: Result<&[&str], ProtocolsError>) {
        assert_eq!(parse_protocols(header).as_deref(), want.as_ref().copied(), "{header:?}");
    }

    #[test]
    fn protocols_are_distinct_tokens_in_order() {
        check_protocols("chat", Ok(&["chat"]));
        check_protocols("chat.v2 ,\tchat.v1", Ok(&["chat.v2", "chat.v1"]));
        check_protocols(", a,,b ,", Ok(&["a", "b"]));
        check_protocols("Chat, chat", Ok(&["Chat", "chat"]));
        check_protocols("", Err(ProtocolsError::Empty));
        check_protocols(" , ", Err(ProtocolsError::Empty));
        check_protocols("a b", Err(ProtocolsError::NotAToken));
        check_protocols("a;b", Err(ProtocolsError::NotAToken));
        check_protocols("\"a\"", Err(ProtocolsError::NotAToken));
        check_protocols("a, b=", Err(ProtocolsError::NotAToken));
        check_protocols("é", Err(ProtocolsError::NotAToken));
        check_protocols("a\r\nb", Err(ProtocolsError::NotAToken));
        check_protocols("a,b, a", Err(ProtocolsError::Repeated));
    }
}
