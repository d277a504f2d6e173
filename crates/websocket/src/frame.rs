//! Frame headers ([RFC 6455 §5.2]).
//!
//! [RFC 6455 §5.2]: https://www.rfc-editor.org/rfc/rfc6455#section-5.2

use crate::{Binary, CONTROL_BYTES_MAX, Limits, Violation};

/// What a frame carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opcode {
    /// First frame of a binary message.
    Binary = 0x2,
    /// End of the connection.
    Close = 0x8,
    /// A further frame of the message under way.
    Continuation = 0x0,
    /// A question whether the peer lives.
    Ping = 0x9,
    /// The answer to a ping.
    Pong = 0xA,
    /// First frame of a text message.
    Text = 0x1,
}

impl Opcode {
    /// Whether the frame is a control frame, which may stand between fragments.
    pub fn is_control(self) -> bool {
        match self {
            Self::Close | Self::Ping | Self::Pong => true,
            Self::Binary | Self::Continuation | Self::Text => false,
        }
    }

    fn parse(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }
}

/// Longest header: two bytes, a 64-bit length and a masking key.
pub const HEADER_BYTES_MAX: usize = 14;

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    Client,
    Server,
}

/// How much of a message has been announced so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) bytes: usize,
    pub(crate) fragments: usize,
}

/// The header of a frame that obeys every rule and limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    /// Length of the header itself, in bytes.
    pub(crate) bytes: usize,
    pub(crate) is_final: bool,
    /// All zero when the frame is not masked.
    pub(crate) key: [u8; 4],
    pub(crate) opcode: Opcode,
    pub(crate) payload_bytes: usize,
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` until it is whole.
    ///
    /// A rule is applied with the first byte that shows its breach, always in the
    /// same order, so that the verdict does not depend on how bytes arrive.
    #[inline]
    pub(crate) fn parse(
        bytes: &[u8],
        role: Role,
        message: Option<Progress>,
        limits: &Limits,
    ) -> Result<Option<Self>, Violation> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let is_final = first & FIN != 0;
        let opcode = opcode(first, message.is_some())?;
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        match (role, second & MASK != 0) {
            (Role::Server, false) => return Err(Violation::MaskMissing),
            (Role::Client, true) => return Err(Violation::MaskUnexpected),
            (Role::Server, true) | (Role::Client, false) => {}
        }
        let short = second & !MASK;
        if opcode.is_control() && CONTROL_BYTES_MAX < usize::from(short) {
            return Err(Violation::ControlTooLong);
        }
        if opcode == Opcode::Binary && limits.binary == Binary::Refuse {
            return Err(Violation::BinaryRefused);
        }
        let Some((payload_bytes, length_end)) = length(short, bytes)? else { return Ok(None) };
        if !opcode.is_control() {
            check_size(payload_bytes, message, limits)?;
        }
        // Larger than memory only where the limits are: then no such message can arrive.
        let payload_bytes = usize::try_from(payload_bytes).map_err(|_| Violation::MessageTooBig)?;
        let (key, header_bytes) = match role {
            Role::Client => ([0; 4], length_end),
            Role::Server => match bytes[length_end..].first_chunk() {
                Some(key) => (*key, length_end + key.len()),
                None => return Ok(None),
            },
        };
        Ok(Some(Self { bytes: header_bytes, is_final, key, opcode, payload_bytes }))
    }
}

/// The rules that the first byte alone can break.
fn opcode(first: u8, in_message: bool) -> Result<Opcode, Violation> {
    if first & RESERVED != 0 {
        return Err(Violation::ReservedBit);
    }
    let opcode = Opcode::parse(first & OPCODE).ok_or(Violation::OpcodeReserved)?;
    match opcode {
        Opcode::Close | Opcode::Ping | Opcode::Pong if first & FIN == 0 => {
            Err(Violation::ControlFragmented)
        }
        Opcode::Continuation if !in_message => Err(Violation::ContinuationUnexpected),
        Opcode::Binary | Opcode::Text if in_message => Err(Violation::MessageInterrupted),
        Opcode::Binary
        | Opcode::Close
        | Opcode::Continuation
        | Opcode::Ping
        | Opcode::Pong
        | Opcode::Text => Ok(opcode),
    }
}

/// The payload length and where it ends in the header; `None` until it is whole.
fn length(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    match short {
        LENGTH_16 => {
            let Some(length) = bytes[2..].first_chunk() else { return Ok(None) };
            let length = u64::from(u16::from_be_bytes(*length));
            if length < u64::from(LENGTH_16) {
                return Err(Violation::LengthNotMinimal);
            }
            Ok(Some((length, 4)))
        }
        LENGTH_64 => {
            let Some(length) = bytes[2..].first_chunk() else { return Ok(None) };
            let length = u64::from_be_bytes(*length);
            if length >> 63 != 0 {
                return Err(Violation::LengthInvalid);
            }
            if length <= u64::from(u16::MAX) {
                return Err(Violation::LengthNotMinimal);
            }
            Ok(Some((length, 10)))
        }
        short => Ok(Some((u64::from(short), 2))),
    }
}

fn check_size(
    payload_bytes: u64,
    message: Option<Progress>,
    limits: &Limits,
) -> Result<(), Violation> {
    let Progress { bytes, fragments } = message.unwrap_or(Progress { bytes: 0, fragments: 0 });
    if limits.fragments_max <= fragments {
        return Err(Violation::FragmentsTooMany);
    }
    if (limits.frame_bytes as u64) < payload_bytes {
        return Err(Violation::FrameTooBig);
    }
    if (limits.message_bytes as u64) < payload_bytes.saturating_add(bytes as u64) {
        return Err(Violation::MessageTooBig);
    }
    Ok(())
}

/// Bit of the first byte: the last frame of its message.
pub(crate) const FIN: u8 = 0x80;
/// Bits of the first byte that only extensions use.
const RESERVED: u8 = 0x70;
/// Bits of the first byte that hold the opcode.
const OPCODE: u8 = 0x0F;
/// Bit of the second byte: a masking key ends the header.
pub(crate) const MASK: u8 = 0x80;
/// Short length that announces a length in the next 16 bits.
pub(crate) const LENGTH_16: u8 = 126;
/// Short length that announces a length in the next 64 bits.
pub(crate) const LENGTH_64: u8 = 127;
