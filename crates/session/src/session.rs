//! An open connection as a state machine.
//!
//! A [`Session`] has three kinds of methods:
//!
//! - `handle_*` takes what the outside observed, and when; it appends what is
//!   to be written to `out`, so that all frames of one read leave in one write;
//! - [`Session::poll_timeout`] says when [`Session::handle_timeout`] is due;
//! - plain getters take `&self` and may be called at any time.
//!
//! `now` must never run backwards between calls.
//!
//! ```text
//!          message, push       close / timeout / drain        echo, or patience over
//!  Open ────────────────▶ Open ───────────────────────▶ Closing ────────────────▶ Closed
//!    └───────────────── client's close, violation, transport gone ──────────────────▲
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_model::api::{Route, Stage};
use websocket::{Event, write};

use crate::connection::{Connection, Id, Kind, Operation, RouteKey};
use crate::error::{ABNORMAL, CloseCause, Failure, NO_STATUS};
use crate::integration::{self, Call, Reply};
use crate::renewal::{self, Renewal, Renewed};
use crate::route::{self, Selected};

/// State of one open connection.
#[derive(Debug)]
pub struct Session {
    connection: Arc<Connection>,
    framing: websocket::Connection,
    state: State,
    opened_at: Instant,
    /// Last message in either direction; only those count against idleness.
    active_at: Instant,
    /// Last time anything at all came from the client.
    heard_at: Instant,
    /// When the gateway last asked whether the client is there.
    pinged_at: Option<Instant>,
    /// When the session's credentials end.
    expires_at: Option<Instant>,
    /// The last attempt to renew them; most connections never make one.
    attempt: Option<Box<Attempt>>,
    /// Code and reason for the DISCONNECT event.
    ended: Option<Box<(u16, String)>>,
    /// Whether complete messages wait because there was no room for their replies.
    has_more: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Open,
    /// The gateway sent a Close frame and waits for the client's until then.
    Closing(Instant),
    Closed,
}

/// One attempt to renew a session.
#[derive(Debug)]
struct Attempt {
    began_at: Instant,
    is_under_way: bool,
}

/// What a session asks of the gateway: shared state, clocks and randomness.
pub trait Environment {
    /// The stage as it is served now; `None` if it is served no more.
    fn stage(&self, connection: &Connection) -> Option<Arc<Stage>>;
    /// Takes one request from the buckets of account, stage and route.
    fn admit(&self, stage: &Stage, route_key: &str) -> bool;
    /// A fresh request id.
    fn request_id(&self) -> Id;
    /// A fresh message id.
    fn message_id(&self) -> Id;
    /// Milliseconds since 1970.
    fn epoch_ms(&self) -> u64;
    /// The client sent a message, whatever comes of it.
    fn touched(&self) {}
    /// Whether one more message may be answered, with so many bytes and
    /// invocations that wait already.
    fn has_room(&self, _out_bytes: usize, _invocations: usize) -> bool {
        true
    }
    /// A message failed before its integration was called.
    fn failed(&self, connection: &Connection, request_id: Id, failure: Failure);
    /// Whether a message that selects [`route::SESSION`] renews the session
    /// instead of taking a route.
    fn renews(&self) -> bool {
        false
    }
}

/// Limits of every connection.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Limits of frames and messages.
    pub framing: websocket::Limits,
    /// Longest time without a message in either direction. AWS: 10 minutes.
    pub idle: Duration,
    /// Longest life of a connection. AWS: 2 hours.
    pub age: Duration,
    /// How long a client may be silent before it is pinged; `None` never pings.
    pub ping_interval: Option<Duration>,
}

/// Work that the gateway must do for a message, and report back.
#[derive(Debug)]
pub enum Work {
    /// Asking an integration; the answer goes to [`Session::handle_reply`].
    Invocation(Invocation),
    /// Verifying a fresh token; the outcome goes to [`Session::handle_renewal`].
    Renewal(Renewal),
}

/// What to ask of an integration.
pub struct Invocation {
    /// The operation.
    pub operation: Operation,
    /// Its route.
    pub route: Arc<Route>,
    /// What to ask.
    pub call: Call,
    /// The message, which response templates may select by.
    pub body: String,
}

impl fmt::Debug for Invocation {
    /// The message's size only: messages may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invocation")
            .field("operation", &self.operation)
            .field("route", &self.route)
            .field("call", &self.call)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// How long a client may take to answer the gateway's Close frame.
pub(crate) const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

impl Session {
    /// Starts a connection whose handshake was accepted.
    pub fn open(connection: Arc<Connection>, expires_at: Option<Instant>, now: Instant) -> Self {
        Self {
            connection,
            framing: websocket::Connection::server(),
            state: State::Open,
            opened_at: now,
            active_at: now,
            heard_at: now,
            pinged_at: None,
            expires_at,
            attempt: None,
            ended: None,
            has_more: false,
        }
    }

    /// Bytes came from the client. Replies that are known at once are appended
    /// to `out`, the others become `work`. Where the environment has no
    /// room, the rest waits: see [`Session::has_more`].
    pub fn handle_bytes(
        &mut self,
        now: Instant,
        input: &mut [u8],
        environment: &impl Environment,
        limits: &Limits,
        out: &mut Vec<u8>,
        work: &mut Vec<Work>,
    ) {
        if !input.is_empty() {
            self.heard_at = now;
            self.pinged_at = None;
        }
        // The framing is moved out so that events may borrow it while `self` acts.
        let mut framing = std::mem::replace(&mut self.framing, websocket::Connection::server());
        let mut incoming = framing.receive(input, &limits.framing);
        self.has_more = false;
        loop {
            if !environment.has_room(out.len(), work.len()) {
                self.has_more = true;
                break;
            }
            let Some(event) = incoming.next() else { break };
            match event {
                Ok(Event::Text(text)) => {
                    self.handle_message(now, text, false, environment, out, work);
                }
                Ok(Event::Binary(bytes)) => {
                    let text =
                        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
                    self.handle_message(now, &text, true, environment, out, work);
                }
                Ok(Event::Ping(payload)) => {
                    // Whether pings count against idleness is unconfirmed on AWS; they do here.
                    self.active_at = now;
                    if self.state == State::Open {
                        write::pong(out, payload);
                    }
                }
                Ok(Event::Pong(_)) => {}
                Ok(Event::Close(close)) => {
                    let close = close.map(|close| (close.code, close.reason));
                    self.handle_close_frame(close, out);
                }
                Err(violation) => {
                    self.end(violation.close_code(), violation.reason());
                    if self.state == State::Open {
                        write::close(out, Some((violation.close_code(), violation.reason())));
                    }
                    self.state = State::Closed;
                }
            }
            if self.state == State::Closed {
                break;
            }
        }
        drop(incoming);
        self.framing = framing;
    }

    /// An invocation ended. On a two-way route the reply goes to the client; a
    /// failure goes to the client on any route.
    pub fn handle_reply(
        &mut self,
        now: Instant,
        request_id: Id,
        two_way: bool,
        reply: Result<Reply, Failure>,
        out: &mut Vec<u8>,
    ) {
        if self.state == State::Open {
            self.send_reply(now, request_id, two_way, reply, out);
        }
    }

    /// `@connections` POST: a text message that the caller has encoded.
    pub fn handle_push(&mut self, now: Instant, frame: &[u8], out: &mut Vec<u8>) {
        if self.state == State::Open {
            self.active_at = now;
            out.extend_from_slice(frame);
        }
    }

    /// The gateway wants the connection closed.
    pub fn handle_close(&mut self, now: Instant, cause: CloseCause, out: &mut Vec<u8>) {
        if self.state != State::Open {
            return;
        }
        let (code, reason) = cause.close();
        self.end(code, reason);
        write::close(out, Some((code, reason)));
        self.state = State::Closing(now + CLOSE_PATIENCE);
    }

    /// A renewal was verified. Nothing but the session's end can move; the age
    /// limit stays.
    pub fn handle_renewal(
        &mut self,
        now: Instant,
        request_id: Id,
        renewed: Renewed,
        out: &mut Vec<u8>,
    ) {
        if let Some(attempt) = &mut self.attempt {
            attempt.is_under_way = false;
        }
        if self.state != State::Open {
            return;
        }
        match renewed {
            Renewed::Until { expires_at, epoch_seconds } => {
                self.expires_at = Some(expires_at);
                self.active_at = now;
                write::text(out, &renewal::notice(epoch_seconds));
            }
            Renewed::Refused(failure) => {
                self.send_reply(now, request_id, false, Err(failure), out);
            }
            Renewed::Ended(cause) => self.handle_close(now, cause, out),
        }
    }

    /// Time reached what [`Session::poll_timeout`] announced.
    pub fn handle_timeout(&mut self, now: Instant, limits: &Limits, out: &mut Vec<u8>) {
        match self.state {
            State::Closed => {}
            State::Closing(until) => {
                if until <= now {
                    self.state = State::Closed;
                }
            }
            State::Open if self.expires_at.is_some_and(|at| at <= now) => {
                self.handle_close(now, CloseCause::Expired, out);
            }
            State::Open
                if self.opened_at + limits.age <= now || self.active_at + limits.idle <= now =>
            {
                self.handle_close(now, CloseCause::Timeout, out);
            }
            State::Open => self.ping_if_due(now, limits, out),
        }
    }

    /// The transport is gone, cleanly or not.
    pub fn handle_gone(&mut self) {
        self.end(ABNORMAL.0, ABNORMAL.1);
        self.state = State::Closed;
    }

    /// When `handle_timeout` is due.
    pub fn poll_timeout(&self, limits: &Limits) -> Option<Instant> {
        match self.state {
            State::Closed => None,
            State::Closing(until) => Some(until),
            State::Open => {
                let due = (self.active_at + limits.idle).min(self.opened_at + limits.age);
                let due = self.expires_at.map_or(due, |at| at.min(due));
                Some(limits.ping_interval.map_or(due, |interval| due.min(self.ping_due(interval))))
            }
        }
    }

    /// Whether the connection takes messages and pushes.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether nothing more will be read; write what is left and let go.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether messages wait for room; `handle_bytes` without bytes goes on with them.
    pub fn has_more(&self) -> bool {
        self.has_more && !self.is_closed()
    }

    /// The connection's facts.
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Code and reason for the DISCONNECT event.
    pub fn ended(&self) -> (u16, &str) {
        match &self.ended {
            Some(ended) => (ended.0, &ended.1),
            None => ABNORMAL,
        }
    }

    /// Bytes held for a message that is not complete.
    pub fn pending_bytes(&self) -> usize {
        self.framing.pending_bytes()
    }

    fn handle_message(
        &mut self,
        now: Instant,
        text: &str,
        is_base64: bool,
        environment: &impl Environment,
        out: &mut Vec<u8>,
        work: &mut Vec<Work>,
    ) {
        if self.state != State::Open {
            return; // RFC 6455 §5.5.1: data after a Close frame is ignored.
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            // The timer has its turn after the messages that are already here.
            return self.handle_close(now, CloseCause::Expired, out);
        }
        self.active_at = now;
        environment.touched();
        let request_id = environment.request_id();
        let Some(stage) = environment.stage(&self.connection) else {
            return self.handle_close(now, CloseCause::Drain, out);
        };
        let outcome = self.begin(now, stage, text, is_base64, request_id, environment);
        let failure = match outcome {
            Ok(Work::Invocation(Invocation { route, call: Call::Mock(reply), .. })) => {
                return self.send_reply(now, request_id, route.two_way, Ok(reply), out);
            }
            Ok(more) => return work.push(more),
            Err(failure) => failure,
        };
        environment.failed(&self.connection, request_id, failure);
        self.send_reply(now, request_id, false, Err(failure), out);
    }

    /// Routes a message and works out what to ask.
    fn begin(
        &mut self,
        now: Instant,
        stage: Arc<Stage>,
        text: &str,
        is_base64: bool,
        request_id: Id,
        environment: &impl Environment,
    ) -> Result<Work, Failure> {
        let Selected { route, is_session } = match is_base64 {
            true => Selected { route: stage.routes.get("$default"), is_session: false },
            false => route::select(&stage, text),
        };
        let key = route.map_or("$default", |route| route.key.as_str());
        if !environment.admit(&stage, key) {
            return Err(Failure::Throttled);
        }
        if is_session && environment.renews() {
            return self.begin_renewal(now, text, request_id).map(Work::Renewal);
        }
        let route = Arc::clone(route.ok_or(Failure::NoRoute)?);
        let integration = route.integration.as_ref().ok_or(Failure::IntegrationMalformed)?;
        let operation = Operation {
            stage,
            connection: Arc::clone(&self.connection),
            route_key: RouteKey::Of(Arc::clone(&route)),
            request_id,
            time: environment.epoch_ms(),
            kind: Kind::Message { message_id: environment.message_id() },
        };
        let call = integration::call(integration, &operation, Some(text), is_base64)?;
        let body = match call {
            Call::Mock(_) => String::new(),
            Call::Aws(_) | Call::Function { .. } | Call::Http(_) | Call::Invoke { .. } => {
                text.to_owned()
            }
        };
        Ok(Work::Invocation(Invocation { operation, route, call, body }))
    }

    /// One attempt at a time, and none soon after another.
    fn begin_renewal(
        &mut self,
        now: Instant,
        text: &str,
        request_id: Id,
    ) -> Result<Renewal, Failure> {
        let is_busy =
            |attempt: &Attempt| attempt.is_under_way || now < attempt.began_at + renewal::INTERVAL;
        if self.attempt.as_deref().is_some_and(is_busy) {
            return Err(Failure::Throttled);
        }
        self.attempt = Some(Box::new(Attempt { began_at: now, is_under_way: true }));
        Ok(Renewal::parse(text, request_id))
    }

    fn send_reply(
        &mut self,
        now: Instant,
        request_id: Id,
        two_way: bool,
        reply: Result<Reply, Failure>,
        out: &mut Vec<u8>,
    ) {
        match reply {
            Ok(_) if !two_way => {}
            // A two-way route without a body still answers: with an empty message.
            Ok(reply) => {
                let body = reply.body.unwrap_or_default();
                if REPLY_BYTES_MAX < body.len() {
                    return self.send_reply(
                        now,
                        request_id,
                        two_way,
                        Err(Failure::IntegrationMalformed),
                        out,
                    );
                }
                self.active_at = now;
                match reply.is_binary {
                    true => write::binary(out, &body),
                    false => write::text(out, &String::from_utf8_lossy(&body)),
                }
            }
            Err(failure) => {
                self.active_at = now;
                write::text(out, &failure.body(&self.connection.id, request_id.as_str()));
            }
        }
    }

    /// The client's Close frame is echoed: same code, same reason.
    fn handle_close_frame(&mut self, close: Option<(u16, &str)>, out: &mut Vec<u8>) {
        if self.state == State::Open {
            let (code, reason) = close.unwrap_or(NO_STATUS);
            self.end(code, reason);
            write::close(out, close);
        }
        self.state = State::Closed;
    }

    fn ping_due(&self, interval: Duration) -> Instant {
        self.pinged_at.map_or(self.heard_at, |at| at.max(self.heard_at)) + interval
    }

    /// Pings a silent client; one that did not even answer the last ping is gone.
    fn ping_if_due(&mut self, now: Instant, limits: &Limits, out: &mut Vec<u8>) {
        let Some(interval) = limits.ping_interval else { return };
        if now < self.ping_due(interval) {
            return;
        }
        if self.pinged_at.is_some() {
            return self.handle_gone();
        }
        self.pinged_at = Some(now);
        write::ping(out, b"");
    }

    /// Keeps the first reason: what follows is only its consequence.
    fn end(&mut self, code: u16, reason: &str) {
        self.ended.get_or_insert_with(|| Box::new((code, reason.to_owned())));
    }
}

/// Largest reply ([quotas]); a longer one becomes an error frame (unconfirmed on AWS).
///
/// [quotas]: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
pub(crate) const REPLY_BYTES_MAX: usize = 128 * 1024;
