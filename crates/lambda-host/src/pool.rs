//! The instances of a function, and the invocations that wait for one.
//!
//! A runtime asks for its next event, an invocation asks for a runtime: whoever comes second
//! meets the first under one lock. The last runtime to ask is served first, so that few instances
//! stay warm; waiting invocations are served in order.
//!
//! An instance is started for invocations that no instance took within [`PATIENCE`], or at once if
//! there is none. While starts fail, there is one at a time, each later than the last one by a
//! growing delay; a process that ends with an invocation, or after one, has started well.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use uuid::Uuid;

use crate::InvokeError;
use crate::instance::{self, Event, Instance};
use crate::local::{Base, Instances};
use crate::process;

pub(crate) use state::Job;
use state::{Parked, State};

mod state;

/// Invocations of a function that may wait for an instance. A gateway's sockets are bounded by
/// its open files, of which 20,000 are usual: all of them may be closed at once.
pub(crate) const WAITING_MAX: usize = 20_000;

/// Bytes of the payloads that may wait.
pub(crate) const WAITING_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Instances of a function that start at once, at least: one that hangs delays no other.
const STARTS_MIN: usize = 2;

/// Failed initialisations in a row after which those who wait are told: Lambda, too, tries a
/// second time within the invocation.
const INIT_ATTEMPTS: u32 = 2;

/// Longest time that is counted; a day is for ever, and no clock overflows.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(86_400);

/// How long instances may take beyond the grace of a stop; they are being killed by then.
const KILL_TIME_MAX: Duration = Duration::from_secs(5);

/// The instances of a function.
pub(crate) struct Pool {
    pub(crate) base: Arc<Base>,
    /// Stands in the log stream's name of each instance.
    pub(crate) mark: String,
    state: Mutex<State>,
    /// The end of the grace, from [`Pool::stop`] on.
    stopping: OnceLock<Instant>,
    /// The stop began, or nothing waits any more since.
    drained: Notify,
    starts_max: usize,
}

/// What a runtime that asks for an event gets.
pub(crate) enum Next {
    Event(Event),
    /// It has as many invocations as it may have.
    Refused,
}

/// How an instance ended.
#[derive(Debug)]
pub(crate) enum End {
    /// It was told to, or after it had taken an invocation. No more processes end so than there
    /// are invocations, and a delay would let one client's keep those of all others waiting.
    Expected,
    /// It asked for an event, and ended before it had one.
    Crashed,
    /// Before it asked for an event.
    Init(InitFailure),
}

/// Why an instance did not become ready.
#[derive(Clone, Debug)]
pub(crate) enum InitFailure {
    /// The runtime said so.
    Error(InvokeError),
    /// The process ended; the text says how.
    Exit(String),
    /// There was no process.
    Start(String),
}

impl InitFailure {
    fn error(&self) -> InvokeError {
        match self {
            Self::Error(error) => error.clone(),
            Self::Exit(how) => exited(&Uuid::new_v4().to_string(), how),
            Self::Start(reason) => not_invocable(reason),
        }
    }
}

impl Pool {
    pub(crate) fn new(base: Arc<Base>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            base,
            mark: Uuid::new_v4().simple().to_string()[..16].to_owned(),
            state: Mutex::default(),
            stopping: OnceLock::new(),
            drained: Notify::new(),
            starts_max: cores.max(STARTS_MIN),
        }
    }

    /// Invocations at once within one instance.
    pub(crate) fn per_instance(&self) -> usize {
        self.base.spec.invocations_per_instance.max(1) as usize
    }

    /// When the grace of a stop ends, if there is a stop.
    pub(crate) fn stopping(&self) -> Option<Instant> {
        self.stopping.get().copied()
    }

    /// Ends when the stop begins, and when nothing waits any more since.
    pub(crate) fn drained(&self) -> Notified<'_> {
        self.drained.notified()
    }

    pub(crate) async fn invoke(
        self: &Arc<Self>,
        payload: Bytes,
        patience: Duration,
    ) -> Result<Bytes, InvokeError> {
        let (reply, answer) = oneshot::channel();
        let ticket = Ticket { pool: self, arrival: self.submit(payload, reply)? };
        match timeout(patience, answer).await {
            Ok(Ok(result)) => {
                ticket.used();
                result
            }
            Ok(Err(_)) => Err(not_invocable("the instance went away")),
            Err(_) => Err(InvokeError::Timeout),
        }
    }

    /// Hands an invocation to an idle instance, or lets it wait. Returns its number.
    fn submit(
        self: &Arc<Self>,
        payload: Bytes,
        reply: oneshot::Sender<Result<Bytes, InvokeError>>,
    ) -> Result<u64, InvokeError> {
        if self.base.spec.instances_max == 0 {
            return Err(not_invocable("throttled: its reserved concurrency is 0"));
        }
        let mut state = self.state.lock();
        if state.closed {
            return Err(not_invocable("the function is being stopped"));
        }
        state.arrivals += 1;
        let arrival = state.arrivals;
        let job = Job { payload, reply, arrival, since: Instant::now() };
        if let Some(job) = state.offer(job) {
            if WAITING_MAX <= state.waiting.len()
                || WAITING_BYTES_MAX < state.waiting_bytes + job.payload.len()
            {
                return Err(not_invocable("throttled: too many invocations wait"));
            }
            state.enqueue(job);
            self.start_instances(&mut state);
        }
        Ok(arrival)
    }

    /// Starts as many instances as those who wait need.
    fn start_instances(self: &Arc<Self>, state: &mut State) {
        let starts_max = if state.trouble.failures == 0 { self.starts_max } else { 1 };
        let wanted = state.waiting.len().div_ceil(self.per_instance()).min(starts_max);
        while state.starting < wanted
            && state.starting + state.ready < self.base.spec.instances_max as usize
        {
            state.starting += 1;
            state.numbers += 1;
            let pool = Arc::clone(self);
            let generation = state.trouble.generation;
            let number = state.numbers;
            while state.tasks.try_join_next().is_some() {}
            state.tasks.spawn(instance::run(pool, number, generation));
        }
    }

    /// Waits until another instance is needed. Returns whether it still is; if not, the instance
    /// counts no longer.
    pub(crate) async fn is_needed(&self) -> bool {
        loop {
            let drained = self.drained();
            let later = {
                let mut state = self.state.lock();
                let now = Instant::now();
                let later = match state.waiting.first_key_value() {
                    None => {
                        state.starting -= 1;
                        return false;
                    }
                    Some((_, job)) => job.since + state.patience(),
                };
                let later = later.max(state.trouble.earliest().unwrap_or(now));
                if later <= now {
                    return true;
                }
                later
            };
            tokio::select! {
                biased;
                () = drained => {}
                () = sleep_until(later) => {}
            }
        }
    }

    /// Notes the process of an instance.
    pub(crate) fn started(&self, instance: &Arc<Instance>) {
        self.state.lock().instances.insert(instance.number, Arc::clone(instance));
    }

    /// The next invocation for `instance`, which thereby is ready.
    ///
    /// # Cancel safety
    /// No invocation is lost if the future is dropped.
    pub(crate) async fn next(self: &Arc<Self>, instance: &Instance) -> Next {
        let time = self.base.spec.timeout;
        loop {
            let (poll, receiver) = {
                let mut state = self.state.lock();
                if instance.become_ready() {
                    state.starting -= 1;
                    state.ready += 1;
                    state.cold_starts += 1;
                } else if instance.has_served() {
                    state.trouble.failures = 0;
                }
                let busy = instance.busy();
                if self.per_instance() <= busy {
                    return Next::Refused;
                }
                if let Some(job) = state.dequeue() {
                    self.start_instances(&mut state);
                    self.tell_if_drained(&state);
                    return Next::Event(instance.begin(job, time));
                }
                // A runtime that asks again has lost its former connection.
                let parked = |parked: &Parked| parked.instance == instance.number;
                let count = state.idle.iter().filter(|entry| parked(entry)).count();
                if self.per_instance() <= busy + count
                    && let Some(oldest) = state.idle.iter().position(parked)
                {
                    state.idle.remove(oldest);
                }
                let (sender, receiver) = oneshot::channel();
                state.polls += 1;
                let poll = state.polls;
                state.idle.push(Parked { instance: instance.number, poll, sender });
                instance.sit();
                (poll, receiver)
            };
            let mut seat = Seat { pool: self, instance, poll, receiver: Some(receiver) };
            let receiver = seat.receiver.as_mut().expect("only dropping a seat empties it");
            match receiver.await {
                Ok(job) if job.reply.is_closed() => {}
                Ok(job) => return Next::Event(instance.begin(job, time)),
                // Another request took its place, or the instance is to end: there will be no
                // answer on this connection.
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// Takes the seats of an idle `instance`, so that it gets no more invocations. Returns whether
    /// it was idle.
    pub(crate) fn retire(&self, instance: &Instance) -> bool {
        let mut state = self.state.lock();
        let parked = |parked: &Parked| parked.instance == instance.number;
        let seats = state.idle.iter().filter(|entry| parked(entry)).count();
        // A runtime that is called, but has not got its invocation, has left its seat only here.
        let is_idle = instance.busy() == 0 && instance.seats() == seats;
        if is_idle {
            state.idle.retain(|entry| !parked(entry));
        }
        is_idle
    }

    /// Whether invocations wait.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.state.lock().waiting.is_empty()
    }

    /// Notes the end of instance `number`, and starts another one if it is needed.
    pub(crate) fn ended(self: &Arc<Self>, number: u64, generation: u64, end: &End, is_ready: bool) {
        let mut state = self.state.lock();
        state.instances.remove(&number);
        state.idle.retain(|parked| parked.instance != number);
        if is_ready {
            state.ready -= 1;
        } else {
            state.starting -= 1;
        }
        if !matches!(end, End::Expected) && generation == state.trouble.generation {
            let trouble = &mut state.trouble;
            trouble.generation += 1;
            trouble.failures = trouble.failures.saturating_add(1);
            trouble.since = Some(Instant::now());
        }
        let is_over = self.stopping().is_some_and(|deadline| deadline <= Instant::now());
        let given_up = match end {
            End::Init(failure) if INIT_ATTEMPTS <= state.trouble.failures && state.ready == 0 => {
                state.clear().map(|job| (job, failure.error())).collect()
            }
            _ if is_over => state.clear().map(|job| (job, stopped())).collect(),
            _ => Vec::new(),
        };
        self.start_instances(&mut state);
        self.tell_if_drained(&state);
        drop(state);
        for (job, error) in given_up {
            // Whoever asked may be gone.
            let _ = job.reply.send(Err(error));
        }
    }

    pub(crate) async fn stop(&self, grace: Duration) {
        let deadline = Instant::now() + grace.min(TIME_MAX);
        if std::mem::replace(&mut self.state.lock().closed, true) {
            return;
        }
        self.stopping.get_or_init(|| deadline);
        self.drained.notify_waiters();
        loop {
            let mut tasks = std::mem::take(&mut self.state.lock().tasks);
            if tasks.is_empty() {
                break;
            }
            let all = async { while tasks.join_next().await.is_some() {} };
            if timeout_at(deadline + KILL_TIME_MAX, all).await.is_err() {
                tasks.shutdown().await;
            }
        }
        self.abandon();
    }

    fn tell_if_drained(&self, state: &State) {
        if state.closed && state.waiting.is_empty() {
            self.drained.notify_waiters();
        }
    }

    /// Ends everything now.
    pub(crate) fn abandon(&self) {
        let (instances, jobs) = {
            let mut state = self.state.lock();
            state.closed = true;
            state.tasks.abort_all();
            let jobs: Vec<Job> = state.clear().collect();
            (std::mem::take(&mut state.instances), jobs)
        };
        for instance in instances.values() {
            instance.kill();
        }
        if !instances.is_empty() {
            process::sweep(&self.mark);
        }
        for job in jobs {
            let _ = job.reply.send(Err(stopped()));
        }
    }

    pub(crate) fn instances(&self) -> Instances {
        let state = self.state.lock();
        Instances {
            running: state.instances.len(),
            busy: state.instances.values().filter(|instance| 0 < instance.busy()).count(),
            idle: state.instances.values().filter(|instance| instance.is_idle()).count(),
            cold_starts: state.cold_starts,
            waiting: state.waiting.len(),
        }
    }
}

/// The place of an invocation that waits; dropping it gives the place up.
struct Ticket<'a> {
    pool: &'a Pool,
    arrival: u64,
}

impl Ticket<'_> {
    /// The invocation was served.
    fn used(self) {
        std::mem::forget(self);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        if let Some(job) = state.waiting.remove(&self.arrival) {
            state.waiting_bytes -= job.payload.len();
            self.pool.tell_if_drained(&state);
        }
    }
}

/// The place of a runtime that waits for an event; dropping it gives the place up.
struct Seat<'a> {
    pool: &'a Arc<Pool>,
    instance: &'a Instance,
    poll: u64,
    receiver: Option<oneshot::Receiver<Job>>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.instance.stand();
        let Some(mut receiver) = self.receiver.take().filter(|receiver| !receiver.is_terminated())
        else {
            return;
        };
        receiver.close();
        let unseen = receiver.try_recv().ok();
        let mut state = self.pool.state.lock();
        state.idle.retain(|parked| parked.poll != self.poll);
        if let Some(job) = unseen.and_then(|job| state.offer(job)) {
            // It has been accepted, so it waits whatever the bound.
            state.enqueue(job);
            self.pool.start_instances(&mut state);
        }
    }
}

fn not_invocable(reason: &str) -> InvokeError {
    InvokeError::NotInvocable { reason: reason.to_owned() }
}

/// What an invocation gets whose runtime ended, in [Lambda's words].
///
/// [Lambda's words]: https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
pub(crate) fn exited(id: &str, how: &str) -> InvokeError {
    InvokeError::raised("Runtime.ExitError", &format!("RequestId: {id} Error: {how}"))
}

/// What an invocation gets that a stop overtook.
pub(crate) fn stopped() -> InvokeError {
    not_invocable("the function was stopped")
}
