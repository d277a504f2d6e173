//! What a peer said, in borrowed bytes.

use crate::{Opcode, Violation};

/// One whole message or control frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event<'a> {
    /// A binary message, all fragments joined.
    Binary(&'a [u8]),
    /// The peer closes; nothing after it is read. `None`: without a code.
    Close(Option<Close<'a>>),
    /// A ping of at most 125 bytes; RFC 6455 §5.5.2 wants a pong of the same bytes.
    Ping(&'a [u8]),
    /// A pong of at most 125 bytes, asked for or not.
    Pong(&'a [u8]),
    /// A text message, all fragments joined.
    Text(&'a str),
}

impl<'a> Event<'a> {
    /// Reads the unmasked payload of a whole frame.
    pub(crate) fn parse(opcode: Opcode, payload: &'a [u8]) -> Result<Self, Violation> {
        match opcode {
            Opcode::Text => utf8(payload).map(Self::Text),
            // A continuation is never whole: its message is joined elsewhere.
            Opcode::Binary | Opcode::Continuation => Ok(Self::Binary(payload)),
            Opcode::Ping => Ok(Self::Ping(payload)),
            Opcode::Pong => Ok(Self::Pong(payload)),
            Opcode::Close => Close::parse(payload).map(Self::Close),
        }
    }
}

/// Payload of a Close frame ([RFC 6455 §5.5.1]).
///
/// [RFC 6455 §5.5.1]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Close<'a> {
    /// Why the peer closes; one that [`is_close_code`] accepts.
    pub code: u16,
    /// The peer's words, at most 123 bytes; may be empty.
    pub reason: &'a str,
}

impl<'a> Close<'a> {
    fn parse(payload: &'a [u8]) -> Result<Option<Self>, Violation> {
        if payload.is_empty() {
            return Ok(None);
        }
        let (code, reason) = payload.split_first_chunk().ok_or(Violation::CloseTruncated)?;
        let code = u16::from_be_bytes(*code);
        if !is_close_code(code) {
            return Err(Violation::CloseCodeInvalid);
        }
        Ok(Some(Self { code, reason: utf8(reason)? }))
    }
}

/// Whether `code` may stand in a Close frame: the codes of [RFC 6455 §7.4.1] and of
/// the [IANA registry], less those that never travel, and the two private ranges.
///
/// [RFC 6455 §7.4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
/// [IANA registry]: https://www.iana.org/assignments/websocket/websocket.xhtml#close-code-number
pub fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

fn utf8(bytes: &[u8]) -> Result<&str, Violation> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| Violation::Utf8Invalid)
}
