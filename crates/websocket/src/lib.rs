//! WebSocket framing ([RFC 6455]) as a state machine over borrowed bytes: no
//! socket, no clock, no randomness, no task.
//!
//! The caller reads into a buffer that all connections of a thread share and
//! hands it to [`Connection::receive`]. Frames are unmasked in place and come out
//! as events that borrow from that buffer; the connection itself keeps only what
//! a read left incomplete and the message whose fragments are still arriving, and
//! frees both when they are done. An idle connection is a few bytes and no heap.
//!
//! ```
//! use websocket::{Connection, Event, Limits, write};
//!
//! let limits = Limits::default();
//! let mut connection = Connection::server();
//! let mut input = Vec::new();
//! write::client::text(&mut input, "hello", [1, 2, 3, 4]);
//!
//! let mut output = Vec::new();
//! let mut incoming = connection.receive(&mut input, &limits);
//! while let Some(event) = incoming.next() {
//!     match event {
//!         Ok(Event::Text(text)) => write::text(&mut output, text),
//!         Ok(Event::Binary(bytes)) => write::binary(&mut output, bytes),
//!         Ok(Event::Ping(payload)) => write::pong(&mut output, payload),
//!         Ok(Event::Pong(_)) => {}
//!         Ok(Event::Close(close)) => write::close(&mut output, close.map(|c| (c.code, c.reason))),
//!         Err(violation) => {
//!             write::close(&mut output, Some((violation.close_code(), violation.reason())));
//!         }
//!     }
//! }
//! assert_eq!(output, b"\x81\x05hello");
//! ```
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455

mod connection;
mod event;
mod frame;
pub mod handshake;
mod limits;
mod mask;
mod pending;
mod violation;
pub mod write;

pub use connection::{Connection, Incoming};
pub use event::{Close, Event, is_close_code};
pub use frame::{HEADER_BYTES_MAX, Opcode};
pub use limits::{
    Binary, CONTROL_BYTES_MAX, FRAGMENTS_MAX, FRAME_BYTES_MAX, Limits, MESSAGE_BYTES_MAX,
};
pub use violation::Violation;
