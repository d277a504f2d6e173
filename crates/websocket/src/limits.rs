//! What one connection may send.

/// Bounds of what a peer may send; every number is inclusive.
///
/// The defaults are the [quotas of API Gateway WebSocket APIs].
///
/// [quotas of API Gateway WebSocket APIs]: https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Whether binary messages are delivered; default [`Binary::Refuse`].
    pub binary: Binary,
    /// Most frames one message may consist of; default [`FRAGMENTS_MAX`].
    pub fragments_max: usize,
    /// Largest payload of one data frame, in bytes; default [`FRAME_BYTES_MAX`].
    pub frame_bytes: usize,
    /// Largest payload of one message, in bytes over all its fragments; default
    /// [`MESSAGE_BYTES_MAX`].
    pub message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            binary: Binary::Refuse,
            fragments_max: FRAGMENTS_MAX,
            frame_bytes: FRAME_BYTES_MAX,
            message_bytes: MESSAGE_BYTES_MAX,
        }
    }
}

/// What happens to a binary message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Binary {
    /// It is delivered.
    Accept,
    /// Its first header ends the connection with 1003, as on AWS.
    Refuse,
}

/// Default of [`Limits::frame_bytes`]: 32 KiB, the quota of AWS.
pub const FRAME_BYTES_MAX: usize = 32 * 1024;

/// Default of [`Limits::message_bytes`]: 128 KiB, the quota of AWS.
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024;

/// Default of [`Limits::fragments_max`]: a message of [`MESSAGE_BYTES_MAX`] may
/// come in frames of 32 bytes; beyond it (a million empty fragments) a message
/// costs headers and yields nothing.
pub const FRAGMENTS_MAX: usize = 4096;

/// Largest payload of a control frame, in bytes ([RFC 6455 §5.5]).
///
/// [RFC 6455 §5.5]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5
pub const CONTROL_BYTES_MAX: usize = 125;
