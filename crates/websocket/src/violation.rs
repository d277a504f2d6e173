//! Why a connection must be closed.

use thiserror::Error;

/// The rule a peer broke.
///
/// Nothing is read from the peer afterwards. [`Violation::close_code`] and
/// [`Violation::reason`] are what the peer is told; [`Violation::code`] goes to the
/// log.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
pub enum Violation {
    /// A binary message where [`Binary::Refuse`](crate::Binary::Refuse) rules.
    #[error("binary messages are not accepted")]
    BinaryRefused,
    /// A close code that must not be sent ([`is_close_code`](crate::is_close_code)).
    #[error("close code must not be sent")]
    CloseCodeInvalid,
    /// A Close payload of one byte, half a code.
    #[error("close payload ends inside its code")]
    CloseTruncated,
    /// A continuation frame with no message to continue.
    #[error("continuation of no message")]
    ContinuationUnexpected,
    /// A control frame without FIN.
    #[error("control frame is fragmented")]
    ControlFragmented,
    /// A control frame above [`CONTROL_BYTES_MAX`](crate::CONTROL_BYTES_MAX).
    #[error("control frame is longer than 125 bytes")]
    ControlTooLong,
    /// More frames in a message than [`Limits::fragments_max`](crate::Limits::fragments_max).
    #[error("message has too many fragments")]
    FragmentsTooMany,
    /// A data frame above [`Limits::frame_bytes`](crate::Limits::frame_bytes).
    #[error("frame is too big")]
    FrameTooBig,
    /// A payload length of 2⁶³ or more.
    #[error("frame length has its top bit set")]
    LengthInvalid,
    /// A payload length in more bytes than it needs.
    #[error("frame length is not encoded minimally")]
    LengthNotMinimal,
    /// An unmasked frame from a client.
    #[error("client frame is not masked")]
    MaskMissing,
    /// A masked frame from a server.
    #[error("server frame is masked")]
    MaskUnexpected,
    /// A new message before the last fragment of the one under way.
    #[error("new message inside a fragmented one")]
    MessageInterrupted,
    /// A message above [`Limits::message_bytes`](crate::Limits::message_bytes).
    #[error("message is too big")]
    MessageTooBig,
    /// An opcode without a meaning.
    #[error("opcode is reserved")]
    OpcodeReserved,
    /// A reserved bit set although no extension was negotiated.
    #[error("reserved bit is set")]
    ReservedBit,
    /// A text message or close reason that is not UTF-8.
    #[error("text is not UTF-8")]
    Utf8Invalid,
}

impl Violation {
    /// Stable identifier for logs and metrics; never change a published one.
    pub fn code(self) -> &'static str {
        match self {
            Self::BinaryRefused => "binary_refused",
            Self::CloseCodeInvalid => "close_code_invalid",
            Self::CloseTruncated => "close_truncated",
            Self::ContinuationUnexpected => "continuation_unexpected",
            Self::ControlFragmented => "control_fragmented",
            Self::ControlTooLong => "control_too_long",
            Self::FragmentsTooMany => "fragments_too_many",
            Self::FrameTooBig => "frame_too_big",
            Self::LengthInvalid => "length_invalid",
            Self::LengthNotMinimal => "length_not_minimal",
            Self::MaskMissing => "mask_missing",
            Self::MaskUnexpected => "mask_unexpected",
            Self::MessageInterrupted => "message_interrupted",
            Self::MessageTooBig => "message_too_big",
            Self::OpcodeReserved => "opcode_reserved",
            Self::ReservedBit => "reserved_bit",
            Self::Utf8Invalid => "utf8_invalid",
        }
    }

    /// Code of the Close frame the peer is sent ([RFC 6455 §7.4.1]).
    ///
    /// [RFC 6455 §7.4.1]: https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1
    pub fn close_code(self) -> u16 {
        self.answer().0
    }

    /// Reason in the Close frame the peer is sent.
    pub fn reason(self) -> &'static str {
        self.answer().1
    }

    fn answer(self) -> (u16, &'static str) {
        match self {
            Self::CloseCodeInvalid
            | Self::CloseTruncated
            | Self::ContinuationUnexpected
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::LengthInvalid
            | Self::LengthNotMinimal
            | Self::MaskMissing
            | Self::MaskUnexpected
            | Self::MessageInterrupted
            | Self::OpcodeReserved
            | Self::ReservedBit => (1002, "Protocol error"),
            Self::BinaryRefused => (1003, "Binary is not supported"),
            Self::Utf8Invalid => (1007, "Invalid UTF-8"),
            Self::FragmentsTooMany => (1008, "Too many fragments"),
            Self::FrameTooBig | Self::MessageTooBig => (1009, "Message too big"),
        }
    }
}
