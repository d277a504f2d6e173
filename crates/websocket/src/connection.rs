//! The receiving half of one connection.

use std::ops::Range;
use std::{fmt, mem};

use crate::frame::{Header, Role};
use crate::pending::{Assembled, Pending, Unread};
use crate::{Event, Limits, Opcode, Violation, mask};

/// One connection as far as framing goes: its role and what is incomplete.
///
/// Without anything incomplete it owns no heap. It reads only; what is written
/// needs no state, see [`write`](mod@crate::write).
pub struct Connection {
    is_closed: bool,
    pending: Option<Box<Pending>>,
    role: Role,
}

impl Connection {
    /// The server's end: every frame must be masked.
    pub fn server() -> Self {
        Self { is_closed: false, pending: None, role: Role::Server }
    }

    /// The client's end: no frame may be masked.
    pub fn client() -> Self {
        Self { is_closed: false, pending: None, role: Role::Client }
    }

    /// Reads what has arrived; call [`Incoming::next`] until it returns `None`.
    ///
    /// `input` is unmasked in place and may be reused as soon as the [`Incoming`]
    /// is gone. `limits` may change between calls. After a violation or a Close
    /// frame all input is ignored.
    #[inline]
    pub fn receive<'a>(&'a mut self, input: &'a mut [u8], limits: &Limits) -> Incoming<'a> {
        let unread = match &mut self.pending {
            Some(pending) => mem::take(&mut pending.unread),
            None => Unread::default(),
        };
        Incoming { assembled: None, at: 0, connection: self, input, limits: *limits, unread }
    }

    /// Whether a Close frame or a violation ended the reading.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Heap held for what is incomplete, in bytes; 0 when nothing is.
    pub fn pending_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.bytes())
    }

    /// Ends the reading when `event` is the last one.
    fn conclude<'a>(
        &mut self,
        event: Result<Event<'a>, Violation>,
    ) -> Option<Result<Event<'a>, Violation>> {
        if matches!(event, Err(_) | Ok(Event::Close(_))) {
            self.is_closed = true;
            self.pending = None;
        }
        Some(event)
    }

    /// Reads `bytes` from `at`, which is before their end, as far as one frame goes.
    #[inline]
    fn advance(
        &mut self,
        bytes: &mut [u8],
        at: &mut usize,
        limits: &Limits,
    ) -> Result<Option<Found>, Violation> {
        let mut message = None;
        if let Some(pending) = &mut self.pending {
            if pending.is_in_payload() {
                return Ok(pending.fill(bytes, at, limits)?.map(Found::Assembled));
            }
            if !pending.header().is_empty() {
                return self.resume_header(bytes, at, limits);
            }
            message = pending.progress();
        }
        let rest = &bytes[*at..];
        match Header::parse(rest, self.role, message, limits)? {
            Some(header) => {
                *at += header.bytes;
                self.begin(&header, bytes, at, limits)
            }
            None => {
                let pending = self.pending.get_or_insert_default();
                rest.iter().for_each(|byte| pending.push_header(*byte));
                *at = bytes.len();
                Ok(None)
            }
        }
    }

    /// Continues a header whose start came with an earlier read.
    fn resume_header(
        &mut self,
        bytes: &mut [u8],
        at: &mut usize,
        limits: &Limits,
    ) -> Result<Option<Found>, Violation> {
        let pending = self.pending.get_or_insert_default();
        while let Some(byte) = bytes.get(*at) {
            pending.push_header(*byte);
            *at += 1;
            let header = Header::parse(pending.header(), self.role, pending.progress(), limits)?;
            if let Some(header) = header {
                pending.clear_header();
                return self.begin(&header, bytes, at, limits);
            }
        }
        Ok(None)
    }

    /// Starts the payload, which begins at `at`; a whole one is not copied.
    #[inline]
    fn begin(
        &mut self,
        header: &Header,
        bytes: &mut [u8],
        at: &mut usize,
        limits: &Limits,
    ) -> Result<Option<Found>, Violation> {
        let stands_alone = header.is_final && header.opcode != Opcode::Continuation;
        if stands_alone && header.payload_bytes <= bytes.len() - *at {
            let payload = *at..*at + header.payload_bytes;
            *at = payload.end;
            mask::apply(&mut bytes[payload.clone()], header.key, 0);
            return Ok(Some(Found::Whole { opcode: header.opcode, payload }));
        }
        let pending = self.pending.get_or_insert_default();
        pending.start(header);
        Ok(pending.fill(bytes, at, limits)?.map(Found::Assembled))
    }
}

impl fmt::Debug for Connection {
    /// Sizes only: payloads may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.role)
            .field("is_closed", &self.is_closed)
            .field("pending_bytes", &self.pending_bytes())
            .finish()
    }
}

/// The events of one read; made by [`Connection::receive`].
///
/// Dropping it keeps everything not yet yielded, complete or not, for the next
/// [`Connection::receive`]. A caller that stops early must therefore not feed more
/// than it means to hold; with an empty `input` it goes on where it stopped.
pub struct Incoming<'a> {
    /// What the event last yielded borrows, if it came in several pieces.
    assembled: Option<Assembled>,
    /// Where reading goes on in `input`.
    at: usize,
    connection: &'a mut Connection,
    input: &'a mut [u8],
    limits: Limits,
    /// What an earlier caller left, read before `input`.
    unread: Unread,
}

impl Incoming<'_> {
    /// The next event, or why there will be no more; `None` until more bytes arrive.
    #[expect(clippy::should_implement_trait, reason = "an event borrows from self")]
    #[inline]
    pub fn next(&mut self) -> Option<Result<Event<'_>, Violation>> {
        self.assembled = None;
        match self.find() {
            Ok(None) => None,
            Ok(Some((source, Found::Whole { opcode, payload }))) => {
                let bytes = match source {
                    Source::Input => &self.input[payload],
                    Source::Unread => &self.unread.bytes[payload],
                };
                self.connection.conclude(Event::parse(opcode, bytes))
            }
            Ok(Some((_, Found::Assembled(assembled)))) => {
                let event = self.assembled.insert(assembled).event();
                self.connection.conclude(event)
            }
            Err(violation) => self.connection.conclude(Err(violation)),
        }
    }

    /// Reads up to the next whole message or control frame.
    #[inline]
    fn find(&mut self) -> Result<Option<(Source, Found)>, Violation> {
        while !self.connection.is_closed {
            let (source, bytes, at) = if self.unread.is_empty() {
                (Source::Input, &mut *self.input, &mut self.at)
            } else {
                (Source::Unread, self.unread.bytes.as_mut_slice(), &mut self.unread.at)
            };
            if *at == bytes.len() {
                break;
            }
            if let Some(found) = self.connection.advance(bytes, at, &self.limits)? {
                return Ok(Some((source, found)));
            }
        }
        Ok(None)
    }
}

impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        if self.connection.is_closed {
            return;
        }
        let mut unread = mem::take(&mut self.unread);
        unread.push(&self.input[self.at..]);
        if !unread.is_empty() {
            self.connection.pending.get_or_insert_default().unread = unread;
        } else if self.connection.pending.as_ref().is_some_and(|pending| pending.is_idle()) {
            self.connection.pending = None;
        }
    }
}

impl fmt::Debug for Incoming<'_> {
    /// Sizes only: payloads may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("connection", &self.connection)
            .field("input_bytes", &(self.input.len() - self.at))
            .finish_non_exhaustive()
    }
}

/// A whole message or control frame.
enum Found {
    /// It came in pieces.
    Assembled(Assembled),
    /// It lies in one piece in the bytes read.
    Whole { opcode: Opcode, payload: Range<usize> },
}

/// Where bytes are read from.
enum Source {
    Input,
    Unread,
}
