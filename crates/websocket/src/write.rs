//! Encoding of frames, appended to a buffer.
//!
//! The functions of this module write a server's frames; those of [`client`] write
//! masked ones. Each writes one frame; several may follow one another in a buffer
//! and go out in one write.

use crate::frame::{FIN, LENGTH_16, LENGTH_64, MASK};
use crate::{CONTROL_BYTES_MAX, Opcode, is_close_code, mask};

/// Appends a binary message.
pub fn binary(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, Fin::Last, Opcode::Binary, payload);
}

/// Appends a Close frame with an optional code and reason.
///
/// A code that must not be sent (such as 1005, see [`is_close_code`]) gives a frame
/// without payload. The reason is cut to 123 bytes, at a character.
pub fn close(out: &mut Vec<u8>, close: Option<(u16, &str)>) {
    let (payload, len) = close_payload(close);
    frame(out, Fin::Last, Opcode::Close, &payload[..len]);
}

/// Appends one frame, of whatever kind; for messages in several frames.
pub fn frame(out: &mut Vec<u8>, fin: Fin, opcode: Opcode, payload: &[u8]) {
    let (mut header, len) = header(opcode, payload.len());
    fin.apply(&mut header);
    out.reserve(len + payload.len());
    out.extend_from_slice(&header[..len]);
    out.extend_from_slice(payload);
}

/// The header of a server's unfragmented frame of `payload_bytes`: the first bytes of
/// the array, as many as the number says. For vectored writes, and for a message
/// encoded once and sent to many.
pub fn header(opcode: Opcode, payload_bytes: usize) -> ([u8; 10], usize) {
    let mut header = [0; 10];
    header[0] = FIN | opcode as u8;
    let len = if payload_bytes < usize::from(LENGTH_16) {
        header[1] = payload_bytes as u8;
        2
    } else if let Ok(short) = u16::try_from(payload_bytes) {
        header[1] = LENGTH_16;
        header[2..4].copy_from_slice(&short.to_be_bytes());
        4
    } else {
        header[1] = LENGTH_64;
        header[2..].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
        10
    };
    (header, len)
}

/// Appends a ping; of a payload above 125 bytes the first 125.
pub fn ping(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, Fin::Last, Opcode::Ping, control(payload));
}

/// Appends a pong; of a payload above 125 bytes the first 125.
pub fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    frame(out, Fin::Last, Opcode::Pong, control(payload));
}

/// Appends a text message.
pub fn text(out: &mut Vec<u8>, text: &str) {
    frame(out, Fin::Last, Opcode::Text, text.as_bytes());
}

/// Whether a frame ends its message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fin {
    /// It does; control frames always do.
    Last,
    /// Continuation frames follow.
    More,
}

impl Fin {
    fn apply(self, header: &mut [u8; 10]) {
        match self {
            Self::Last => {}
            Self::More => header[0] &= !FIN,
        }
    }
}

/// Masked frames, as a client must send them.
///
/// RFC 6455 §5.3 wants each `key` fresh and unpredictable.
pub mod client {
    use super::*;

    /// Appends a binary message.
    pub fn binary(out: &mut Vec<u8>, payload: &[u8], key: [u8; 4]) {
        frame(out, Fin::Last, Opcode::Binary, payload, key);
    }

    /// Appends a Close frame under the rules of [`close`](super::close()).
    pub fn close(out: &mut Vec<u8>, close: Option<(u16, &str)>, key: [u8; 4]) {
        let (payload, len) = close_payload(close);
        frame(out, Fin::Last, Opcode::Close, &payload[..len], key);
    }

    /// Appends one frame, of whatever kind; for messages in several frames.
    pub fn frame(out: &mut Vec<u8>, fin: Fin, opcode: Opcode, payload: &[u8], key: [u8; 4]) {
        let (mut header, len) = header(opcode, payload.len());
        fin.apply(&mut header);
        header[1] |= MASK;
        out.reserve(len + key.len() + payload.len());
        out.extend_from_slice(&header[..len]);
        out.extend_from_slice(&key);
        let at = out.len();
        out.extend_from_slice(payload);
        mask::apply(&mut out[at..], key, 0);
    }

    /// Appends a ping; of a payload above 125 bytes the first 125.
    pub fn ping(out: &mut Vec<u8>, payload: &[u8], key: [u8; 4]) {
        frame(out, Fin::Last, Opcode::Ping, control(payload), key);
    }

    /// Appends a pong; of a payload above 125 bytes the first 125.
    pub fn pong(out: &mut Vec<u8>, payload: &[u8], key: [u8; 4]) {
        frame(out, Fin::Last, Opcode::Pong, control(payload), key);
    }

    /// Appends a text message.
    pub fn text(out: &mut Vec<u8>, text: &str, key: [u8; 4]) {
        frame(out, Fin::Last, Opcode::Text, text.as_bytes(), key);
    }
}

fn close_payload(close: Option<(u16, &str)>) -> ([u8; CONTROL_BYTES_MAX], usize) {
    let mut payload = [0; CONTROL_BYTES_MAX];
    let Some((code, reason)) = close.filter(|(code, _)| is_close_code(*code)) else {
        return (payload, 0);
    };
    let code = code.to_be_bytes();
    let reason = &reason[..reason.floor_char_boundary(CONTROL_BYTES_MAX - code.len())];
    let len = code.len() + reason.len();
    payload[..code.len()].copy_from_slice(&code);
    payload[code.len()..len].copy_from_slice(reason.as_bytes());
    (payload, len)
}

fn control(payload: &[u8]) -> &[u8] {
    &payload[..payload.len().min(CONTROL_BYTES_MAX)]
}
