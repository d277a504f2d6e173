//! A WebSocket client that can also misbehave ([RFC 6455]).
//!
//! It shares no code with the gateway, so an error there cannot hide here.
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455

use std::io;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use super::http::{Message, Wire, request_bytes};

/// The client's nonce; a constant, so that transcripts do not change.
pub(crate) const KEY: &str = "q0x2Jm1oY2hhbGxlbmdlMQ==";

/// Masking key of every frame; any value is legal for a test client.
const MASK: [u8; 4] = [0x5a, 0x17, 0xc3, 0x2e];

/// Largest message a test reads.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// An open connection.
pub(crate) struct Client {
    wire: Wire,
}

/// One frame as it travels.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) masked: bool,
    pub(crate) payload: Vec<u8>,
}

/// What arrives at the client, fragments joined.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Incoming {
    Binary(Vec<u8>),
    /// Status, if any, and reason.
    Close(Option<u16>, String),
    /// The stream ended.
    End,
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Text(String),
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { fin: true, rsv: 0, opcode, masked: true, payload: payload.into() }
    }

    pub(crate) fn close(code: Option<u16>, reason: &str) -> Self {
        let mut payload = code.map(|c| c.to_be_bytes().to_vec()).unwrap_or_default();
        payload.extend_from_slice(reason.as_bytes());
        Self::new(8, payload)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let length = self.payload.len();
        let mut bytes = head_bytes(self.fin, self.rsv, self.opcode, self.masked, length as u64);
        if self.masked {
            bytes.extend(self.payload.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
        } else {
            bytes.extend_from_slice(&self.payload);
        }
        bytes
    }
}

/// Bytes of a frame head that announces `length` bytes of payload.
pub(crate) fn head_bytes(fin: bool, rsv: u8, opcode: u8, masked: bool, length: u64) -> Vec<u8> {
    let mut bytes = vec![(u8::from(fin) << 7) | (rsv << 4) | opcode];
    let mask_bit = u8::from(masked) << 7;
    if length < 126 {
        bytes.push(mask_bit | length as u8);
    } else if length <= u64::from(u16::MAX) {
        bytes.push(mask_bit | 126);
        bytes.extend_from_slice(&(length as u16).to_be_bytes());
    } else {
        bytes.push(mask_bit | 127);
        bytes.extend_from_slice(&length.to_be_bytes());
    }
    if masked {
        bytes.extend_from_slice(&MASK);
    }
    bytes
}

impl Client {
    /// Sends an upgrade; the second part is the client when the answer is 101.
    ///
    /// A header of `headers` replaces the default of the same name; an empty
    /// value removes it.
    pub(crate) fn open(
        address: SocketAddr,
        target: &str,
        headers: &[(String, String)],
    ) -> io::Result<(Message, Option<Self>)> {
        Self::open_over(Wire::connect(address)?, address, target, headers)
    }

    /// [`Client::open`] on a connection that is there already.
    pub(crate) fn open_over(
        mut wire: Wire,
        address: SocketAddr,
        target: &str,
        headers: &[(String, String)],
    ) -> io::Result<(Message, Option<Self>)> {
        wire.write(&request_bytes("GET", target, &upgrade_headers(address, headers), &[]))?;
        let answer = wire.read_response()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let open = answer.status() == 101;
        Ok((answer, open.then_some(Self { wire })))
    }

    /// A client over `wire`, on which the handshake is done.
    pub(crate) fn over(wire: Wire) -> Self {
        Self { wire }
    }

    pub(crate) fn send_text(&mut self, text: &str) -> io::Result<()> {
        self.send(&Frame::new(1, text))
    }

    pub(crate) fn send(&mut self, frame: &Frame) -> io::Result<()> {
        self.wire.write(&frame.encode())
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write(bytes)
    }

    pub(crate) fn abort(&self) {
        self.wire.abort();
    }

    /// Next message or control frame; a reset counts as the end.
    pub(crate) fn receive(&mut self) -> io::Result<Incoming> {
        let mut kind = 0;
        let mut whole = Vec::new();
        loop {
            let frame = match self.receive_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(Incoming::End),
                Err(error) if is_reset(&error) => return Ok(Incoming::End),
                Err(error) => return Err(error),
            };
            match frame.opcode {
                8 => return Ok(close_of(&frame.payload)),
                9 => return Ok(Incoming::Ping(frame.payload)),
                10 => return Ok(Incoming::Pong(frame.payload)),
                1 | 2 => kind = frame.opcode,
                _ => {}
            }
            whole.extend_from_slice(&frame.payload);
            if MESSAGE_BYTES_MAX < whole.len() {
                return Err(io::Error::other("message too large for a test"));
            }
            if frame.fin {
                return Ok(match kind {
                    2 => Incoming::Binary(whole),
                    _ => Incoming::Text(String::from_utf8(whole).map_err(io::Error::other)?),
                });
            }
        }
    }

    /// Next frame as it travelled; a server must not mask.
    pub(crate) fn receive_frame(&mut self) -> io::Result<Option<Frame>> {
        let Some(head) = self.wire.read_exact(2)? else { return Ok(None) };
        if head[1] & 0x80 != 0 {
            return Err(io::Error::other("server sent a masked frame"));
        }
        let length = match head[1] & 0x7f {
            126 => self.number(2)?,
            127 => self.number(8)?,
            short => u64::from(short),
        };
        let length = usize::try_from(length).map_err(io::Error::other)?;
        if MESSAGE_BYTES_MAX < length {
            return Err(io::Error::other("frame too large for a test"));
        }
        let payload = self.wire.read_exact(length)?.unwrap_or_default();
        Ok(Some(Frame {
            fin: head[0] & 0x80 != 0,
            rsv: head[0] >> 4 & 7,
            opcode: head[0] & 15,
            masked: false,
            payload,
        }))
    }

    fn number(&mut self, bytes: usize) -> io::Result<u64> {
        let read = self.wire.read_exact(bytes)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(read.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }
}

/// Headers of a browser-like upgrade with `overrides` applied.
pub(crate) fn upgrade_headers(
    address: SocketAddr,
    overrides: &[(String, String)],
) -> Vec<(String, String)> {
    let host = address.to_string();
    let defaults = [
        ("Host", host.as_str()),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
        ("User-Agent", "demo-client/1.0"),
    ];
    let mut headers: Vec<(String, String)> = defaults
        .iter()
        .filter(|(name, _)| !overrides.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)))
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    headers.extend(overrides.iter().filter(|(_, value)| !value.is_empty()).cloned());
    headers
}

/// `Sec-WebSocket-Accept` for [`KEY`] ([RFC 6455 §4.2.2]).
///
/// [RFC 6455 §4.2.2]: https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
pub(crate) fn accept_value() -> String {
    let mut hash = Sha1::new();
    hash.update(KEY);
    hash.update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

fn close_of(payload: &[u8]) -> Incoming {
    match payload {
        [] => Incoming::Close(None, String::new()),
        [one] => Incoming::Close(Some(u16::from(*one)), "malformed close frame".to_owned()),
        [high, low, reason @ ..] => Incoming::Close(
            Some(u16::from_be_bytes([*high, *low])),
            String::from_utf8_lossy(reason).into_owned(),
        ),
    }
}

fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
    )
}
