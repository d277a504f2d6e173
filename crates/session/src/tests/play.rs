//! Plays scripts against a session.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use api_model::api::Stage;
use expect_test::Expect;
use websocket::{Event, write};

use super::world::{self, Way, mock, route};
use crate::connection::{Connection, Id};
use crate::error::{CloseCause, Failure};
use crate::integration::{Call, Reply};
use crate::renewal::Renewed;
use crate::session::{Environment, Invocation, Limits, Session, Work};

pub(super) fn limits() -> Limits {
    Limits {
        framing: websocket::Limits::default(),
        idle: Duration::from_secs(600),
        age: Duration::from_secs(7200),
        ping_interval: None,
    }
}

/// Routes of every kind, without `$default`.
pub(super) fn stage() -> Stage {
    STAGE.clone()
}

/// Made once: it holds templates of 128 KB.
static STAGE: LazyLock<Stage> = LazyLock::new(new_stage);

fn new_stage() -> Stage {
    let pong = r#"{"type":"pong","at":"$context.requestTimeEpoch"}"#;
    let ok = r#"{"statusCode":200}"#;
    world::stage(
        "$request.body.action",
        vec![
            route("$connect", Way::Two, Some(mock(ok, "connect"))),
            route("$disconnect", Way::Two, Some(mock(ok, "disconnect"))),
            route("bad", Way::One, Some(mock("$util.parseJson('no')", "unreachable"))),
            route("big", Way::Two, Some(mock(ok, &"x".repeat(131_073)))),
            route("busy", Way::Two, Some(mock(ok, pong))),
            route("full", Way::Two, Some(mock(ok, &"x".repeat(131_072)))),
            route("mock", Way::Two, Some(mock(ok, pong))),
            route("mute", Way::One, Some(mock(ok, pong))),
            route("none", Way::Two, None),
            route("one", Way::One, Some(world::function())),
            route("two", Way::Two, Some(world::function())),
        ],
    )
}

/// The same with a two-way `$default` that leads to a function.
pub(super) fn stage_with_default() -> Stage {
    let mut stage = stage();
    let default = route("$default", Way::Two, Some(world::function()));
    stage.routes.insert(default.key.clone(), Arc::new(default));
    stage
}

#[track_caller]
pub(super) fn check(script: &str, want: Expect) {
    check_with(&limits(), script, want);
}

#[track_caller]
pub(super) fn check_with(limits: &Limits, script: &str, want: Expect) {
    want.assert_eq(&play(script, &stage(), limits));
}

/// Plays `script` and returns all that the session did, one line per moment.
pub(super) fn play(script: &str, stage: &Stage, limits: &Limits) -> String {
    let mut player = Player::new(stage, limits.clone());
    for line in script.trim().lines() {
        let line = line.trim_start();
        let (time, event) = line.split_once(' ').unwrap_or((line, "wait"));
        player.advance(moment(time));
        player.act(event);
    }
    player.transcript
}

struct Player {
    session: Session,
    limits: Limits,
    outside: Outside,
    peer: websocket::Connection,
    epoch: Instant,
    /// Since the start.
    now: Duration,
    work: Vec<Work>,
    /// How much of it is written down.
    noted: usize,
    was_closed: bool,
    transcript: String,
}

impl Player {
    fn new(stage: &Stage, limits: Limits) -> Self {
        #[expect(clippy::disallowed_methods, reason = "an arbitrary epoch; time is simulated")]
        let epoch = Instant::now();
        Self {
            session: Session::open(Arc::new(world::connection()), None, epoch),
            limits,
            outside: Outside {
                stage: RefCell::new(Some(Arc::new(stage.clone()))),
                room: Cell::new(usize::MAX),
                renews: Cell::new(false),
                ids: Cell::new(0),
                failures: RefCell::default(),
            },
            peer: websocket::Connection::client(),
            epoch,
            now: Duration::ZERO,
            work: Vec::new(),
            noted: 0,
            was_closed: false,
            transcript: String::new(),
        }
    }

    /// Fires every timer that is due until `to`.
    fn advance(&mut self, to: Duration) {
        let until = self.epoch + to;
        for _ in 0..10_000 {
            let Some(due) = self.session.poll_timeout(&self.limits).filter(|due| *due <= until)
            else {
                self.now = to;
                return;
            };
            // What is due since a while fires now.
            let due = due.max(self.epoch + self.now);
            self.now = due - self.epoch;
            let mut out = Vec::new();
            self.session.handle_timeout(due, &self.limits, &mut out);
            self.note(out);
        }
        panic!("the timers never rest");
    }

    fn act(&mut self, event: &str) {
        let now = self.epoch + self.now;
        let (name, rest) = event.split_once(' ').unwrap_or((event, ""));
        let mut out = Vec::new();
        match name {
            "answer" => self.answer(rest, &mut out),
            "batch" | "binary" | "bytes" | "close" | "more" | "ping" | "pong" | "text" => {
                let mut input = frames(name, rest);
                self.session.handle_bytes(
                    now,
                    &mut input,
                    &self.outside,
                    &self.limits,
                    &mut out,
                    &mut self.work,
                );
            }
            "delete" => self.session.handle_close(now, CloseCause::Deleted, &mut out),
            "drain" => self.session.handle_close(now, CloseCause::Drain, &mut out),
            "expires" => {
                let connection = Arc::clone(self.session.connection());
                self.session = Session::open(connection, Some(self.epoch + moment(rest)), now);
            }
            "gone" => self.session.handle_gone(),
            "push" => {
                let mut frame = Vec::new();
                write::text(&mut frame, rest);
                self.session.handle_push(now, &frame, &mut out);
            }
            "renewal" => self.outside.renews.set(rest == "on"),
            "renewed" => self.renewed(rest, &mut out),
            "room" => self.outside.room.set(rest.parse().unwrap()),
            "unserve" => *self.outside.stage.borrow_mut() = None,
            "wait" => {}
            other => panic!("unknown event: {other}"),
        }
        self.note(out);
        if self.session.has_more() && name != "room" {
            self.line("more waits");
        }
        if name == "wait"
            && let Some(due) = self.session.poll_timeout(&self.limits)
        {
            self.line(&format!("due {}", shown(due - self.epoch)));
        }
    }

    /// `<number> <body>`, `<number> !binary <body>`, `<number> !<failure>`, or `<number>`
    /// for no body.
    fn answer(&mut self, rest: &str, out: &mut Vec<u8>) {
        let (number, body) = match rest.split_once(' ') {
            Some((number, body)) => (number, Some(body)),
            None => (rest, None),
        };
        let invocations = self.work.iter().filter_map(|work| match work {
            Work::Invocation(invocation) => Some(invocation),
            Work::Renewal(_) => None,
        });
        let invocation = nth(invocations, number);
        let reply = match body {
            Some("!timeout") => Err(Failure::IntegrationTimeout),
            Some("!error") => Err(Failure::IntegrationError),
            body => {
                let text = body.map(|body| body.strip_prefix("!binary ").unwrap_or(body));
                Ok(Reply {
                    body: text.map(|text| text.as_bytes().to_vec()),
                    is_binary: text != body,
                    ..Reply::default()
                })
            }
        };
        self.session.handle_reply(
            self.epoch + self.now,
            invocation.operation.request_id,
            invocation.route.two_way,
            reply,
            out,
        );
    }

    /// `<number> until <time>`, or `<number> !<what came of it>`.
    fn renewed(&mut self, rest: &str, out: &mut Vec<u8>) {
        let (number, outcome) = rest.split_once(' ').unwrap();
        let renewals = self.work.iter().filter_map(|work| match work {
            Work::Invocation(_) => None,
            Work::Renewal(renewal) => Some(renewal),
        });
        let request_id = nth(renewals, number).request_id;
        let renewed = match outcome {
            "!changed" => Renewed::Ended(CloseCause::Changed),
            "!error" => Renewed::Refused(Failure::AuthorizerError),
            "!invalid" => Renewed::Refused(Failure::Unauthorized),
            "!revoked" => Renewed::Ended(CloseCause::Deleted),
            until => {
                let at = moment(until.strip_prefix("until ").unwrap());
                let epoch_seconds = world::NOW / 1000 + at.as_secs();
                Renewed::Until { expires_at: self.epoch + at, epoch_seconds }
            }
        };
        self.session.handle_renewal(self.epoch + self.now, request_id, renewed, out);
    }

    /// Writes down what one step did; frames of one output stand in one line.
    fn note(&mut self, mut out: Vec<u8>) {
        let mut frames = Vec::new();
        let limits = websocket::Limits {
            binary: websocket::Binary::Accept,
            frame_bytes: usize::MAX / 4,
            message_bytes: usize::MAX / 4,
            ..websocket::Limits::default()
        };
        let mut incoming = self.peer.receive(&mut out, &limits);
        while let Some(event) = incoming.next() {
            frames.push(described(event.unwrap()));
        }
        drop(incoming);
        let failures: Vec<_> = self.outside.failures.borrow_mut().drain(..).collect();
        for failure in failures {
            self.line(&format!("failed {}", failure.code()));
        }
        if !frames.is_empty() {
            self.line(&frames.join(" + "));
        }
        let begun: Vec<String> = self.work[self.noted..].iter().map(described_work).collect();
        self.noted = self.work.len();
        begun.iter().for_each(|work| self.line(work));
        if self.session.is_closed() && !self.was_closed {
            self.was_closed = true;
            let (code, reason) = self.session.ended();
            let line = format!("closed {code} {reason}");
            self.line(&line);
        }
    }

    fn line(&mut self, text: &str) {
        writeln!(self.transcript, "{} {}", shown(self.now), text.trim_end()).unwrap();
    }
}

/// The item with this number; the first is 1.
fn nth<T>(mut items: impl Iterator<Item = T>, number: &str) -> T {
    items.nth(number.parse::<usize>().unwrap() - 1).unwrap()
}

fn described_work(work: &Work) -> String {
    match work {
        Work::Invocation(invocation) => called(invocation),
        Work::Renewal(renewal) => {
            format!("verify {}", renewal.token.as_deref().unwrap_or("nothing"))
        }
    }
}

fn called(invocation: &Invocation) -> String {
    let kind = match &invocation.call {
        Call::Function { payload, .. } => {
            let event: serde_json::Value = serde_json::from_slice(payload).unwrap();
            let is_base64 = event["isBase64Encoded"] == true;
            format!("call{}", if is_base64 { " base64" } else { "" })
        }
        Call::Aws(_) | Call::Http(_) | Call::Invoke { .. } | Call::Mock(_) => {
            "other call".to_owned()
        }
    };
    format!("{kind} {} {}", invocation.route.key, invocation.body)
}

fn described(event: Event<'_>) -> String {
    match event {
        Event::Text(text) if 200 < text.len() => format!("text of {} bytes", text.len()),
        Event::Text(text) => format!("text {text}"),
        Event::Binary(bytes) => format!("binary {bytes:?}"),
        Event::Ping(payload) => format!("ping {}", String::from_utf8_lossy(payload)),
        Event::Pong(payload) => format!("pong {}", String::from_utf8_lossy(payload)),
        Event::Close(None) => "close".to_owned(),
        Event::Close(Some(close)) => format!("close {} {}", close.code, close.reason),
    }
    .trim_end()
    .to_owned()
}

/// What the client writes in one go.
fn frames(name: &str, rest: &str) -> Vec<u8> {
    const KEY: [u8; 4] = [7, 11, 13, 17];
    let mut input = Vec::new();
    match name {
        "batch" => rest.split(" | ").for_each(|text| match text.split_once(' ') {
            Some((kind, rest)) if matches!(kind, "close" | "ping" | "bytes") => {
                input.extend(frames(kind, rest));
            }
            _ if text == "close" => input.extend(frames("close", "")),
            _ => write::client::text(&mut input, text, KEY),
        }),
        "more" => {}
        "binary" => write::client::binary(&mut input, rest.as_bytes(), KEY),
        "bytes" => input.extend(rest.split(' ').map(|hex| u8::from_str_radix(hex, 16).unwrap())),
        "close" => {
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            write::client::close(&mut input, code.parse().ok().map(|code| (code, reason)), KEY);
        }
        "ping" => write::client::ping(&mut input, rest.as_bytes(), KEY),
        "pong" => write::client::pong(&mut input, rest.as_bytes(), KEY),
        _ => write::client::text(&mut input, rest, KEY),
    }
    input
}

fn moment(text: &str) -> Duration {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    match (digits.parse::<u64>(), &text[digits.len()..]) {
        (Ok(number), "ms") => Duration::from_millis(number),
        (Ok(number), "s") => Duration::from_secs(number),
        (Ok(number), "m") => Duration::from_secs(number * 60),
        // Minutes and seconds together: `27m59s`.
        _ => {
            let (minutes, rest) = text.split_once('m').unwrap();
            moment(&format!("{minutes}m")) + moment(rest)
        }
    }
}

fn shown(time: Duration) -> String {
    match time.as_millis() {
        0 => "0s".to_owned(),
        millis if millis % 60_000 == 0 => format!("{}m", millis / 60_000),
        millis if millis % 1000 == 0 => format!("{}s", millis / 1000),
        millis => format!("{millis}ms"),
    }
}

/// The gateway around the session. Requests to route `busy` are never admitted.
struct Outside {
    stage: RefCell<Option<Arc<Stage>>>,
    /// Invocations that may be begun in all.
    room: Cell<usize>,
    renews: Cell<bool>,
    ids: Cell<u8>,
    failures: RefCell<Vec<Failure>>,
}

impl Environment for Outside {
    fn stage(&self, _: &Connection) -> Option<Arc<Stage>> {
        self.stage.borrow().clone()
    }

    fn admit(&self, _: &Stage, route_key: &str) -> bool {
        route_key != "busy"
    }

    fn has_room(&self, _: usize, invocations: usize) -> bool {
        invocations < self.room.get()
    }

    fn request_id(&self) -> Id {
        self.ids.set(self.ids.get() + 1);
        Id::request([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, self.ids.get()])
    }

    fn message_id(&self) -> Id {
        Id::message([0; 13])
    }

    fn epoch_ms(&self) -> u64 {
        world::NOW
    }

    fn failed(&self, _: &Connection, _: Id, failure: Failure) {
        self.failures.borrow_mut().push(failure);
    }

    fn renews(&self) -> bool {
        self.renews.get()
    }
}
