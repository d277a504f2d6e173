//! One instance: a child process and the invocations it has.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::InvokeError;
use crate::pool::{Job, Pool, TIME_MAX};
use crate::process::{self, Group};

pub(crate) use life::run;

mod life;

/// Longest initialisation ([init phase]): 10 seconds.
///
/// [init phase]: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib
const INIT_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a runtime that has reported an error of its initialisation may take to end.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(1);

/// A child process and its invocations.
pub(crate) struct Instance {
    pub(crate) number: u64,
    /// Where its Runtime API listens.
    pub(crate) address: SocketAddr,
    group: OnceLock<Group>,
    work: Mutex<Work>,
    /// Something changed that its task must know: see [`Work::armed`].
    wake: Notify,
    started: Instant,
    /// Somebody else's connection has been told of.
    had_stranger: AtomicBool,
}

struct Work {
    phase: Phase,
    flights: Vec<Flight>,
    /// The last request id: what is printed between two invocations belongs to the first.
    last_id: Option<Arc<str>>,
    /// Requests for an event that wait, or have been called and not got it.
    seats: usize,
    has_begun: bool,
    has_served: bool,
    /// Until when a runtime without an invocation must ask for one: the time of its last one goes
    /// on until then, as on Lambda.
    owed: Option<Instant>,
    idle_since: Instant,
    /// When the instance's task looks after it again. It is woken for what must be seen earlier,
    /// so that it sleeps through most invocations.
    armed: Option<Instant>,
    /// Every change is to be seen.
    watched: bool,
}

impl Work {
    /// See [`Work::owed`]; a request that waits is enough.
    fn owed(&self) -> Option<Instant> {
        self.owed.filter(|_| self.seats == 0)
    }
}

#[derive(Clone, Debug)]
enum Phase {
    Initialising {
        until: Instant,
    },
    /// It reported an error.
    Failed {
        error: InvokeError,
        until: Instant,
    },
    /// It asked for an event, this long after its start.
    Ready {
        init: Duration,
    },
}

/// An invocation that a runtime has.
struct Flight {
    id: Arc<str>,
    job: Job,
    begun: Instant,
    deadline: Instant,
    is_cold: bool,
}

/// What a runtime is told with its event.
pub(crate) struct Event {
    pub(crate) id: Arc<str>,
    pub(crate) payload: Bytes,
    /// How long it may take.
    pub(crate) time: Duration,
}

impl Instance {
    fn new(number: u64, address: SocketAddr) -> Self {
        let started = Instant::now();
        let work = Work {
            phase: Phase::Initialising { until: started + INIT_TIME_MAX },
            flights: Vec::new(),
            last_id: None,
            seats: 0,
            has_begun: false,
            has_served: false,
            owed: None,
            idle_since: started,
            armed: None,
            watched: false,
        };
        let (group, wake) = (OnceLock::new(), Notify::new());
        let had_stranger = AtomicBool::new(false);
        Self { number, address, group, work: Mutex::new(work), wake, started, had_stranger }
    }

    /// Kills the process and its group.
    pub(crate) fn kill(&self) {
        if let Some(group) = self.group.get() {
            group.kill();
        }
    }

    /// Whether the process at the other end of a connection is this instance's.
    pub(crate) fn owns(&self, peer: SocketAddr) -> bool {
        self.group
            .get()
            .is_some_and(|group| process::is_held_by(peer, self.address, group.leader()))
    }

    /// Notes somebody else's connection. Returns whether it is the first one.
    pub(crate) fn note_stranger(&self) -> bool {
        !self.had_stranger.swap(true, Ordering::Relaxed)
    }

    /// Invocations that the runtime has.
    pub(crate) fn busy(&self) -> usize {
        self.work.lock().flights.len()
    }

    /// Whether the runtime waits for an event, and has none.
    pub(crate) fn is_idle(&self) -> bool {
        let work = self.work.lock();
        work.flights.is_empty() && 0 < work.seats
    }

    /// Whether the runtime has answered, and not asked for its next event.
    pub(crate) fn is_returning(&self) -> bool {
        let work = self.work.lock();
        matches!(work.phase, Phase::Ready { .. }) && work.flights.is_empty() && work.seats == 0
    }

    /// Notes that the runtime asks for an event. Returns whether it is the first time.
    pub(crate) fn become_ready(&self) -> bool {
        let mut work = self.work.lock();
        if matches!(work.phase, Phase::Ready { .. }) {
            return false;
        }
        work.phase = Phase::Ready { init: self.started.elapsed() };
        work.idle_since = Instant::now();
        true
    }

    /// Whether it has taken an invocation.
    fn has_begun(&self) -> bool {
        self.work.lock().has_begun
    }

    /// Whether it has given an answer.
    pub(crate) fn has_served(&self) -> bool {
        self.work.lock().has_served
    }

    /// A request for an event waits.
    pub(crate) fn sit(&self) {
        let mut work = self.work.lock();
        work.seats += 1;
        work.owed = None;
    }

    /// A request for an event has got it, or is gone.
    pub(crate) fn stand(&self) {
        self.work.lock().seats -= 1;
    }

    /// See [`Work::seats`].
    pub(crate) fn seats(&self) -> usize {
        self.work.lock().seats
    }

    /// The invocation that output belongs to.
    fn request_id(&self) -> Option<Arc<str>> {
        let work = self.work.lock();
        match work.flights.as_slice() {
            [] => work.last_id.clone(),
            [flight] => Some(Arc::clone(&flight.id)),
            // Which of them printed cannot be told.
            [_, _, ..] => None,
        }
    }

    /// The runtime gets `job`; from now on its time counts.
    pub(crate) fn begin(&self, job: Job, time: Duration) -> Event {
        let id: Arc<str> = random_id().to_string().into();
        let begun = Instant::now();
        let event = Event { id: Arc::clone(&id), payload: job.payload.clone(), time };
        let mut work = self.work.lock();
        let deadline = begun + time.min(TIME_MAX);
        if work.watched || work.armed.is_none_or(|armed| deadline < armed) {
            self.wake.notify_one();
        }
        let is_cold = !std::mem::replace(&mut work.has_begun, true);
        work.flights.push(Flight { id, job, begun, deadline, is_cold });
        event
    }

    /// Ends invocation `id`. Returns whether the runtime had it.
    pub(crate) fn finish(&self, pool: &Pool, id: &str, result: Result<Bytes, InvokeError>) -> bool {
        let mut work = self.work.lock();
        let Some(at) = work.flights.iter().position(|flight| *flight.id == *id) else {
            return false;
        };
        let flight = work.flights.swap_remove(at);
        work.last_id = Some(Arc::clone(&flight.id));
        work.owed = Some(flight.deadline);
        work.idle_since = Instant::now();
        work.has_served = true;
        if work.watched {
            self.wake.notify_one();
        }
        let init = match work.phase {
            Phase::Ready { init } if flight.is_cold => Some(init),
            _ => None,
        };
        drop(work);
        report(pool, &flight, init, result.as_ref().err());
        // The caller may be gone.
        let _ = flight.job.reply.send(result);
        true
    }

    /// Notes that the runtime cannot initialise. Returns whether it was initialising.
    pub(crate) fn fail_init(&self, error: InvokeError) -> bool {
        let mut work = self.work.lock();
        if !matches!(work.phase, Phase::Initialising { .. }) {
            return false;
        }
        work.phase = Phase::Failed { error, until: Instant::now() + LEAVE_TIME_MAX };
        self.wake.notify_one();
        true
    }

    /// Ends the invocations that exceeded their time ([timeouts]); there is none if the runtime
    /// has answered, but does not ask for more.
    ///
    /// [timeouts]: https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html
    fn fail_late(&self, pool: &Pool) {
        let now = Instant::now();
        let ids = self.ids(|flight| flight.deadline <= now);
        if ids.is_empty() {
            tracing::warn!(
                target: "function",
                function = pool.base.spec.name,
                request_id = self.request_id().as_deref(),
                "the runtime has answered, but asks for no other event: replaced"
            );
        }
        let seconds = pool.base.spec.timeout.as_secs_f64();
        for id in ids {
            let message = format!("Task timed out after {seconds:.2} seconds");
            let function = &pool.base.spec.name;
            tracing::warn!(target: "function", function, request_id = &*id, "{message}");
            self.finish(pool, &id, Err(InvokeError::raised("Sandbox.Timedout", &message)));
        }
    }

    fn fail_all(&self, pool: &Pool, error: impl Fn(&str) -> InvokeError) {
        for id in self.ids(|_| true) {
            self.finish(pool, &id, Err(error(&id)));
        }
    }

    fn ids(&self, which: impl Fn(&Flight) -> bool) -> Vec<Arc<str>> {
        let work = self.work.lock();
        let flights = work.flights.iter().filter(|flight| which(flight));
        flights.map(|flight| Arc::clone(&flight.id)).collect()
    }
}

/// A random id that costs no system call.
pub(crate) fn random_id() -> Uuid {
    uuid::Builder::from_random_bytes(rand::random()).into_uuid()
}

/// Logs what Lambda's `REPORT` line says.
fn report(pool: &Pool, flight: &Flight, init: Option<Duration>, error: Option<&InvokeError>) {
    // To the microsecond.
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1000.0;
    tracing::debug!(
        target: "function",
        function = pool.base.spec.name,
        request_id = &*flight.id,
        cold = init.is_some(),
        init_ms = init.map(milliseconds),
        duration_ms = milliseconds(flight.begun.elapsed()),
        error = error.map(tracing::field::display),
        "REPORT"
    );
}
