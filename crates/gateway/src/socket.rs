//! The task of one connection: the only place where a session meets a socket.
//!
//! An idle connection owns no buffer: reads go through one that all connections
//! of a thread share, and only what the peer does not take at once is kept.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use api_model::api::Stage;
use session::error::ABNORMAL;
use session::integration::{self, Reply};
use session::{
    CloseCause, Connection, Environment, Failure, Id, Invocation, Kind, Operation, Renewal,
    Renewed, Session, Work,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinSet;
use tokio::time::Sleep;

use crate::authorize::rule;
use crate::client::perform;
use crate::clock;
use crate::connect::ask;
use crate::id;
use crate::journal::Entry;
use crate::registry::Slot;
use crate::renewal::renew;
use crate::server::Gateway;
use crate::snapshot::Snapshot;
use crate::stream::Stream;

/// Invocations and renewals of one connection that may run at once; the client waits beyond it.
const IN_FLIGHT_MAX: usize = 16;
/// Bytes that one read takes at most; shared by all connections of a thread.
const READ_BYTES: usize = 64 * 1024;
/// How long a closing connection may take to accept its last bytes.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);
/// Reads of one connection before others get their turn.
const READS_PER_TURN: usize = 8;

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::new(Buffers {
        input: vec![0; READ_BYTES].into_boxed_slice(),
        output: Vec::new(),
        work: Vec::new(),
    });
}

struct Buffers {
    input: Box<[u8]>,
    output: Vec<u8>,
    work: Vec<Work>,
}

/// Drives a connection from the 101 to its DISCONNECT. `early` are bytes that
/// came with the handshake.
pub(crate) async fn run(
    gateway: Arc<Gateway>,
    mut stream: Stream,
    early: Vec<u8>,
    slot: Arc<Slot>,
    session: Session,
) {
    stream.stop_recording();
    let connection = &slot.connection;
    let is_served =
        gateway.snapshot.load().router.stage(&connection.api_id, &connection.stage).is_some();
    if gateway.is_draining() || !is_served {
        // The drain or reload began while the handshake was under way and has not seen this one.
        slot.close(CloseCause::Drain);
    }
    let mut socket = Socket {
        gateway,
        stream,
        slot,
        session,
        pending: Vec::new(),
        written: 0,
        needs_flush: false,
        invocations: None,
        timer: None,
        closing_since: None,
    };
    socket.drive(early).await;
    let Socket { gateway, slot, session, invocations, stream, .. } = socket;
    gateway.registry.remove(&slot);
    let is_gone = session.ended() == ABNORMAL;
    // Boxed: what the end of a connection needs is not there while it is open.
    let finish = Box::pin(finish(gateway, slot, session, invocations));
    match is_gone && stream.is_plain() {
        // Nobody is left to wait for, nor to be told.
        true => {
            drop(stream);
            finish.await;
        }
        false => drop(tokio::join!(finish, Box::pin(shut(stream)))),
    }
}

/// Ends the transport: a peer that does not listen any more has a while.
///
/// What the peer still sends is read away first: closing with unread bytes
/// resets the connection, and the peer would lose the Close frame it was sent.
async fn shut(mut stream: Stream) {
    let shutdown = poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx));
    if !matches!(tokio::time::timeout(WRITE_PATIENCE, shutdown).await, Ok(Ok(()))) {
        return;
    }
    let mut left = LINGER_BYTES;
    let drained = poll_fn(|cx| {
        loop {
            let read = BUFFERS.with_borrow_mut(|buffers| {
                let mut buf = ReadBuf::new(&mut buffers.input);
                let polled = ready!(Pin::new(&mut stream).poll_read(cx, &mut buf));
                Poll::Ready(polled.map(|()| buf.filled().len()))
            });
            match ready!(read) {
                Ok(count) if 0 < count && count < left => left -= count,
                Ok(_) | Err(_) => return Poll::Ready(()),
            }
        }
    });
    drop(tokio::time::timeout(LINGER_TIME, drained).await);
}

/// How long a closed connection is read away.
const LINGER_TIME: Duration = Duration::from_secs(2);
/// How much of a closed connection is read away.
const LINGER_BYTES: usize = 1024 * 1024;

/// Runs `$disconnect`, and the invocations that are still under way to their end.
async fn finish(
    gateway: Arc<Gateway>,
    slot: Arc<Slot>,
    session: Session,
    invocations: Option<Box<JoinSet<Outcome>>>,
) {
    let (code, reason) = session.ended();
    tracing::info!(connection_id = %slot.connection.id, code, reason, "disconnected");
    disconnect(&gateway, &slot.connection, code, reason.to_owned()).await;
    if let Some(mut invocations) = invocations {
        while invocations.join_next().await.is_some() {}
    }
}

async fn disconnect(gateway: &Gateway, connection: &Arc<Connection>, code: u16, reason: String) {
    let snapshot = gateway.snapshot.load_full();
    let Some(stage) = snapshot.router.stage(&connection.api_id, &connection.stage) else { return };
    let Some(route) = stage.routes.get("$disconnect") else { return };
    let Some(integration) = &route.integration else { return };
    let operation = Operation {
        stage: Arc::clone(stage),
        connection: Arc::clone(connection),
        route_key: "$disconnect".into(),
        request_id: id::request_id(),
        time: clock::epoch_ms(),
        kind: Kind::Disconnect { code, reason },
    };
    let Ok(_place) = gateway.disconnects.acquire().await else { return };
    if let Err(failure) = ask(gateway, &snapshot, &operation, integration).await {
        tracing::warn!(request_id = %operation.request_id, code = failure.code(), "disconnect integration failed");
    }
}

/// What work brought.
enum Outcome {
    /// An integration's answer.
    Reply { request_id: Id, two_way: bool, reply: Result<Reply, Failure> },
    /// What came of a fresh token.
    Renewal { request_id: Id, renewed: Renewed },
}

struct Socket {
    gateway: Arc<Gateway>,
    stream: Stream,
    slot: Arc<Slot>,
    session: Session,
    /// Bytes that the peer has not taken yet; empty and without memory when idle.
    pending: Vec<u8>,
    /// How many of them were taken.
    written: usize,
    /// The transport may hold bytes of its own, as TLS does.
    needs_flush: bool,
    invocations: Option<Box<JoinSet<Outcome>>>,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the session closed with bytes still to be written.
    closing_since: Option<Instant>,
}

impl Socket {
    async fn drive(&mut self, mut early: Vec<u8>) {
        if !early.is_empty() {
            self.take_input(&mut early);
            drop(early);
        }
        poll_fn(|cx| self.poll(cx)).await;
    }

    /// One turn: what others left, new input, replies, output, timers. What
    /// others left goes first so that a busy client cannot starve a close.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.slot.waker.register(cx.waker());
            self.take_mailbox();
            let read = self.poll_read(cx);
            // After the read, so that invocations which it began wake this task.
            self.poll_invocations(cx);
            self.poll_write_or_end(cx);
            if self.session.is_closed() && self.is_written() {
                return Poll::Ready(());
            }
            // A turn that made room must go on: nothing else would wake it.
            let has_room = read == Reading::Blocked && self.may_read();
            let has_mail = self.is_written() && self.slot.has_frames();
            if self.poll_timer(cx).is_ready() || has_room || has_mail {
                continue;
            }
            return Poll::Pending;
        }
    }

    /// Takes what others left. Frames stay in the mailbox, where they count
    /// against its bound, until the peer has taken what was sent before.
    fn take_mailbox(&mut self) {
        if self.session.is_closed() || !self.is_written() && self.slot.close_cause().is_none() {
            return;
        }
        let (frames, close) = self.slot.take();
        let now = Instant::now();
        if !frames.is_empty() {
            self.session.handle_push(now, &frames, &mut self.pending);
        }
        if let Some(cause) = close {
            self.session.handle_close(now, cause, &mut self.pending);
        }
    }

    fn poll_invocations(&mut self, cx: &mut Context<'_>) {
        let Some(invocations) = &mut self.invocations else { return };
        loop {
            match invocations.poll_join_next(cx) {
                Poll::Ready(Some(Ok(outcome))) => {
                    let (now, out) = (Instant::now(), &mut self.pending);
                    match outcome {
                        Outcome::Reply { request_id, two_way, reply } => {
                            if let Err(failure) = reply {
                                self.gateway.failed(&self.slot.connection, request_id, failure);
                            }
                            self.session.handle_reply(now, request_id, two_way, reply, out);
                        }
                        Outcome::Renewal { request_id, renewed } => {
                            self.session.handle_renewal(now, request_id, renewed, out);
                        }
                    }
                }
                // A bug in one invocation ends that invocation only.
                Poll::Ready(Some(Err(error))) => tracing::error!(%error, "invocation ended early"),
                Poll::Ready(None) => {
                    self.invocations = None;
                    return;
                }
                Poll::Pending => return,
            }
        }
    }

    /// Whether there is room for what a read would bring.
    fn may_read(&self) -> bool {
        let busy = self.invocations.as_ref().is_some_and(|set| IN_FLIGHT_MAX <= set.len());
        !self.session.is_closed() && !busy && self.waiting() <= self.queue_bytes()
    }

    /// Reads while there is room.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Reading {
        for _ in 0..READS_PER_TURN {
            if !self.may_read() {
                return Reading::Blocked;
            }
            if self.session.has_more() {
                self.take_input(&mut []);
                self.poll_write_or_end(cx);
                continue;
            }
            let read = BUFFERS.with_borrow_mut(|buffers| {
                let mut buf = ReadBuf::new(&mut buffers.input);
                let polled = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf));
                Poll::Ready(polled.map(|()| buf.filled().len()))
            });
            match read {
                Poll::Pending => return Reading::Waiting,
                Poll::Ready(Ok(0) | Err(_)) => {
                    self.session.handle_gone();
                    return Reading::Waiting;
                }
                Poll::Ready(Ok(count)) => {
                    self.take_shared_input(count);
                    self.poll_write_or_end(cx);
                }
            }
        }
        cx.waker().wake_by_ref();
        Reading::Waiting
    }

    /// Gives the session what was read into the shared buffer.
    fn take_shared_input(&mut self, count: usize) {
        BUFFERS.with_borrow_mut(|buffers| {
            let Buffers { input, output, work } = buffers;
            self.feed(&mut input[..count], output, work);
        });
    }

    fn take_input(&mut self, input: &mut [u8]) {
        let (mut output, mut work) = (Vec::new(), Vec::new());
        self.feed(input, &mut output, &mut work);
    }

    fn feed(&mut self, input: &mut [u8], output: &mut Vec<u8>, work: &mut Vec<Work>) {
        let snapshot = self.gateway.snapshot.load();
        let limits = &snapshot.settings.limits.session;
        let environment = Shared {
            gateway: &self.gateway,
            snapshot: &snapshot,
            slot: &self.slot,
            in_flight: self.invocations.as_ref().map_or(0, |set| set.len()),
        };
        output.clear();
        self.session.handle_bytes(Instant::now(), input, &environment, limits, output, work);
        self.pending.extend_from_slice(output);
        if !work.is_empty() {
            let set = self.invocations.get_or_insert_default();
            for work in work.drain(..) {
                let (gateway, snapshot) = (Arc::clone(&self.gateway), Arc::clone(&snapshot));
                match work {
                    Work::Invocation(invocation) => {
                        set.spawn(invoke(gateway, snapshot, invocation));
                    }
                    Work::Renewal(renewal) => {
                        let slot = Arc::clone(&self.slot);
                        set.spawn(verify(gateway, slot, renewal));
                    }
                }
            }
        }
        if OUTPUT_KEPT_BYTES < output.capacity() {
            *output = Vec::new();
        }
    }

    /// Bytes that still have to be written.
    fn waiting(&self) -> usize {
        self.pending.len() - self.written
    }

    /// Whether the peer was sent everything, the transport's own bytes included.
    fn is_written(&self) -> bool {
        self.pending.is_empty() && !self.needs_flush
    }

    /// Forgets what cannot be written any more.
    fn drop_pending(&mut self) {
        self.pending = Vec::new();
        self.written = 0;
        self.needs_flush = false;
    }

    fn poll_write_or_end(&mut self, cx: &mut Context<'_>) {
        if self.poll_write(cx).is_err() {
            self.session.handle_gone();
            self.drop_pending();
        }
    }

    /// Writes and flushes what it can; `Err` means the peer is gone.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while 0 < self.waiting() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.pending[self.written..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.written += count;
                    self.needs_flush = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(()),
            }
        }
        if !self.pending.is_empty() {
            self.pending = Vec::new();
            self.written = 0;
        }
        if self.needs_flush
            && let Poll::Ready(flushed) = Pin::new(&mut self.stream).poll_flush(cx)
        {
            self.needs_flush = false;
            return flushed;
        }
        Ok(())
    }

    /// Fires the session's timer; `Ready` means something happened.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let snapshot = self.gateway.snapshot.load();
        let limits = &snapshot.settings.limits.session;
        let due = match self.session.poll_timeout(limits) {
            Some(due) => due,
            // Closed, but not everything is written yet.
            None => *self.closing_since.get_or_insert_with(Instant::now) + WRITE_PATIENCE,
        };
        let due = tokio::time::Instant::from_std(due);
        // The timer is only ever moved when it fires too early, not at each message.
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if due < timer.deadline() {
            timer.as_mut().reset(due);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if timer.deadline() < due && now < due.into_std() {
                timer.as_mut().reset(due);
                continue;
            }
            timer.as_mut().reset(due + Duration::from_millis(1));
            if self.session.is_closed() {
                self.drop_pending();
            } else {
                self.session.handle_timeout(now, limits, &mut self.pending);
            }
            return Poll::Ready(());
        }
    }

    fn queue_bytes(&self) -> usize {
        self.gateway.snapshot.load().settings.limits.queue_bytes
    }
}

/// Why a turn stopped reading.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reading {
    /// There is no room; nothing wakes the task when there is.
    Blocked,
    /// The socket, or the task itself, wakes the task.
    Waiting,
}

/// Capacity of a thread's output buffer that is kept between reads.
const OUTPUT_KEPT_BYTES: usize = 256 * 1024;

/// Asks the integration of one message.
async fn invoke(gateway: Arc<Gateway>, snapshot: Arc<Snapshot>, invocation: Invocation) -> Outcome {
    let Invocation { operation, route, call, body } = invocation;
    let request_id = operation.request_id;
    let two_way = route.two_way;
    let outcome = |reply| Outcome::Reply { request_id, two_way, reply };
    let Some(integration) = &route.integration else {
        return outcome(Err(Failure::IntegrationMalformed));
    };
    let source_arn = session::event::method_arn(&operation);
    let answer = perform(&gateway, &snapshot, call, &source_arn, integration.timeout).await;
    let reply = answer.and_then(|answer| {
        integration::reply(integration, &operation, Some(&body), answer, two_way)
    });
    let accepts_binary =
        snapshot.settings.limits.session.framing.binary == websocket::Binary::Accept;
    outcome(reply.map(|reply| Reply { is_binary: reply.is_binary && accepts_binary, ..reply }))
}

/// Asks the authorizer about a fresh token.
async fn verify(gateway: Arc<Gateway>, slot: Arc<Slot>, renewal: Renewal) -> Outcome {
    let request_id = renewal.request_id;
    Outcome::Renewal { request_id, renewed: renew(&gateway, &slot, renewal).await }
}

/// What a session may ask of the gateway.
struct Shared<'a> {
    gateway: &'a Gateway,
    snapshot: &'a Snapshot,
    slot: &'a Slot,
    /// Invocations that were under way before this read.
    in_flight: usize,
}

impl Environment for Shared<'_> {
    fn stage(&self, connection: &Connection) -> Option<Arc<Stage>> {
        self.snapshot.router.stage(&connection.api_id, &connection.stage).cloned()
    }

    fn admit(&self, stage: &Stage, route_key: &str) -> bool {
        self.snapshot.admit_route(stage, route_key, clock::uptime())
    }

    fn request_id(&self) -> Id {
        id::request_id()
    }

    fn message_id(&self) -> Id {
        id::message_id()
    }

    fn epoch_ms(&self) -> u64 {
        clock::epoch_ms()
    }

    fn touched(&self) {
        self.slot.touch(clock::epoch_ms());
    }

    fn has_room(&self, out_bytes: usize, invocations: usize) -> bool {
        out_bytes <= self.snapshot.settings.limits.queue_bytes
            && self.in_flight + invocations < IN_FLIGHT_MAX
    }

    fn failed(&self, connection: &Connection, request_id: Id, failure: Failure) {
        self.gateway.failed(connection, request_id, failure);
    }

    fn renews(&self) -> bool {
        self.slot.is_renewable && self.snapshot.settings.renewal
    }
}

impl Gateway {
    /// Notes that a message failed.
    pub(crate) fn failed(&self, connection: &Connection, request_id: Id, failure: Failure) {
        self.note(connection, request_id, "message", failure.code(), rule(failure));
    }

    /// Notes that a `what` failed, and why.
    pub(crate) fn note(
        &self,
        connection: &Connection,
        request_id: Id,
        what: &'static str,
        code: &'static str,
        rule: &'static str,
    ) {
        tracing::info!(%request_id, connection_id = %connection.id, code, "{what} failed");
        self.journal.add(Entry {
            request_id: request_id.to_string(),
            time: clock::epoch_ms(),
            host: connection.host.clone(),
            attempt: None,
            status: 200,
            code,
            rule: rule.to_owned(),
            path: vec![format!("{what} on connection {}", connection.id)],
        });
    }
}

/// Ends a connection whose transport vanished before the 101 was written.
pub(crate) async fn abandon(gateway: Arc<Gateway>, slot: Arc<Slot>, mut session: Session) {
    session.handle_gone();
    gateway.registry.remove(&slot);
    // Boxed: this future shares its memory with that of an open connection.
    Box::pin(finish(gateway, slot, session, None)).await;
}
