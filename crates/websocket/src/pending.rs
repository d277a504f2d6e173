//! What a connection keeps between two reads.

use std::{fmt, mem, str};

use crate::frame::{HEADER_BYTES_MAX, Header, Progress};
use crate::{Event, Limits, Opcode, Violation, mask};

/// The incomplete rest of a read and the message whose fragments still arrive.
///
/// Buffers grow with the bytes received, never with a length announced.
#[derive(Default)]
pub(crate) struct Pending {
    /// Payload of a control frame that has begun; at most 125 bytes.
    control: Vec<u8>,
    /// A frame whose header is complete and whose payload is not.
    frame: Option<Frame>,
    header: [u8; HEADER_BYTES_MAX],
    /// How much of `header` has arrived.
    header_bytes: u8,
    message: Option<Message>,
    /// What a caller left.
    pub(crate) unread: Unread,
}

impl Pending {
    /// Whether nothing is kept.
    pub(crate) fn is_idle(&self) -> bool {
        self.frame.is_none()
            && self.header_bytes == 0
            && self.message.is_none()
            && self.unread.is_empty()
    }

    /// Heap in use, this struct included, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let message = self.message.as_ref().map_or(0, |message| message.body.capacity());
        size_of::<Self>() + self.control.capacity() + self.unread.bytes.capacity() + message
    }

    /// How far the fragmented message under way is.
    pub(crate) fn progress(&self) -> Option<Progress> {
        self.message.as_ref().map(|message| message.progress)
    }

    /// Whether bytes now belong to the payload of a frame.
    pub(crate) fn is_in_payload(&self) -> bool {
        self.frame.is_some()
    }

    /// The part of a header that has arrived.
    pub(crate) fn header(&self) -> &[u8] {
        &self.header[..usize::from(self.header_bytes)]
    }

    /// Adds one byte to a header that lacks some.
    pub(crate) fn push_header(&mut self, byte: u8) {
        self.header[usize::from(self.header_bytes)] = byte;
        self.header_bytes += 1;
    }

    /// Forgets the part of a header, which has been read or refused.
    pub(crate) fn clear_header(&mut self) {
        self.header_bytes = 0;
    }

    /// Starts the payload of a frame.
    pub(crate) fn start(&mut self, header: &Header) {
        if !header.opcode.is_control() {
            let message = self.message.get_or_insert_with(|| Message::new(header.opcode));
            message.progress.bytes += header.payload_bytes;
            message.progress.fragments += 1;
        }
        self.frame = Some(Frame {
            is_final: header.is_final,
            key: header.key,
            opcode: header.opcode,
            payload_bytes: header.payload_bytes,
            received: 0,
        });
    }

    /// Takes what belongs to the frame under way from `bytes`, starting at `at`.
    pub(crate) fn fill(
        &mut self,
        bytes: &mut [u8],
        at: &mut usize,
        limits: &Limits,
    ) -> Result<Option<Assembled>, Violation> {
        let Some(frame) = &mut self.frame else { return Ok(None) };
        let rest = &mut bytes[*at..];
        let taken = rest.len().min(frame.payload_bytes - frame.received);
        let part = &mut rest[..taken];
        mask::apply(part, frame.key, frame.received);
        frame.received += taken;
        *at += taken;
        let Frame { is_final, opcode, payload_bytes, received, .. } = *frame;
        let is_whole = received == payload_bytes;
        if is_whole {
            self.frame = None;
        }
        if opcode.is_control() {
            self.control.extend_from_slice(part);
            let payload = is_whole.then(|| mem::take(&mut self.control));
            return Ok(payload.map(|payload| Assembled::Control(opcode, payload)));
        }
        if let Some(message) = &mut self.message {
            message.body.push(part, limits.message_bytes)?;
        }
        if !(is_whole && is_final) {
            return Ok(None);
        }
        self.message.take().map(|message| message.body.finish()).transpose()
    }
}

impl fmt::Debug for Pending {
    /// Sizes only: payloads may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

/// A message or control frame that did not come in one piece.
pub(crate) enum Assembled {
    Binary(Vec<u8>),
    Control(Opcode, Vec<u8>),
    Text(String),
}

impl Assembled {
    /// The event that borrows it.
    pub(crate) fn event(&self) -> Result<Event<'_>, Violation> {
        match self {
            Self::Binary(bytes) => Ok(Event::Binary(bytes)),
            Self::Control(opcode, payload) => Event::parse(*opcode, payload),
            Self::Text(text) => Ok(Event::Text(text)),
        }
    }
}

/// Bytes that a caller left, read before any others.
#[derive(Default)]
pub(crate) struct Unread {
    /// Where reading goes on.
    pub(crate) at: usize,
    pub(crate) bytes: Vec<u8>,
}

impl Unread {
    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Adds what was left of a further read. What has been read is dropped when it
    /// is the greater part, so that moving the rest stays linear.
    pub(crate) fn push(&mut self, rest: &[u8]) {
        if self.bytes.len() / 2 < self.at {
            self.bytes.drain(..self.at);
            self.at = 0;
        }
        self.bytes.extend_from_slice(rest);
    }
}

struct Frame {
    is_final: bool,
    key: [u8; 4],
    opcode: Opcode,
    payload_bytes: usize,
    /// How much of the payload has arrived.
    received: usize,
}

struct Message {
    body: Body,
    progress: Progress,
}

impl Message {
    fn new(opcode: Opcode) -> Self {
        let body = match opcode {
            Opcode::Text => Body::Text { text: String::new(), tail: Tail::default() },
            Opcode::Binary | Opcode::Close | Opcode::Continuation | Opcode::Ping | Opcode::Pong => {
                Body::Binary(Vec::new())
            }
        };
        Self { body, progress: Progress { bytes: 0, fragments: 0 } }
    }
}

enum Body {
    Binary(Vec<u8>),
    Text { tail: Tail, text: String },
}

impl Body {
    fn capacity(&self) -> usize {
        match self {
            Self::Binary(bytes) => bytes.capacity(),
            Self::Text { text, .. } => text.capacity(),
        }
    }

    /// Appends unmasked bytes; text is checked as far as it goes.
    fn push(&mut self, part: &[u8], bytes_max: usize) -> Result<(), Violation> {
        match self {
            Self::Binary(bytes) => {
                let more = growth(bytes.len(), bytes.capacity(), part.len(), bytes_max);
                bytes.reserve_exact(more);
                bytes.extend_from_slice(part);
                Ok(())
            }
            Self::Text { tail, text } => {
                let more = tail.bytes().len() + part.len();
                text.reserve_exact(growth(text.len(), text.capacity(), more, bytes_max));
                let part = tail.complete(part, text)?;
                match simdutf8::compat::from_utf8(part) {
                    Ok(whole) => text.push_str(whole),
                    Err(error) if error.error_len().is_none() => {
                        let (whole, rest) = part.split_at(error.valid_up_to());
                        let whole = simdutf8::basic::from_utf8(whole);
                        text.push_str(whole.map_err(|_| Violation::Utf8Invalid)?);
                        tail.keep(rest);
                    }
                    Err(_) => return Err(Violation::Utf8Invalid),
                }
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<Assembled, Violation> {
        match self {
            Self::Binary(bytes) => Ok(Assembled::Binary(bytes)),
            Self::Text { tail, text } if tail.bytes().is_empty() => Ok(Assembled::Text(text)),
            Self::Text { .. } => Err(Violation::Utf8Invalid),
        }
    }
}

/// How much to reserve beyond `len` for `more` bytes: double, so that trickling
/// stays linear, but not beyond the largest message.
fn growth(len: usize, capacity: usize, more: usize, bytes_max: usize) -> usize {
    let need = len + more;
    if need <= capacity {
        return 0;
    }
    need.max((2 * capacity).min(bytes_max)) - len
}

/// The start of a character that the end of a read cut: up to three bytes.
#[derive(Default)]
struct Tail {
    bytes: [u8; 4],
    len: u8,
}

impl Tail {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Keeps `rest`, which a UTF-8 check found cut short, so at most three bytes.
    fn keep(&mut self, rest: &[u8]) {
        self.bytes[..rest.len()].copy_from_slice(rest);
        self.len = rest.len() as u8;
    }

    /// Completes the character from the start of `part`, appends it to `text` and
    /// returns what follows it.
    fn complete<'a>(&mut self, part: &'a [u8], text: &mut String) -> Result<&'a [u8], Violation> {
        let mut part = part;
        while self.len != 0 {
            let Some((&byte, rest)) = part.split_first() else { break };
            part = rest;
            self.bytes[usize::from(self.len)] = byte;
            self.len += 1;
            match str::from_utf8(self.bytes()) {
                Ok(character) => {
                    text.push_str(character);
                    self.len = 0;
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(Violation::Utf8Invalid),
            }
        }
        Ok(part)
    }
}
