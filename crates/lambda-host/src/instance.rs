//! One instance: a child process, its Runtime API, and the invocations it has.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use uuid::Uuid;

use crate::InvokeError;
use crate::output;
use crate::pool::{End, InitFailure, Job, Pool, exited, stopped};
use crate::process::{self, Group, LOG_STREAM};
use crate::runtime::{self, Launch};
use crate::runtime_api;

/// Longest initialisation ([init phase]): 10 seconds.
///
/// [init phase]: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib
const INIT_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a runtime that has reported an error of its initialisation may take to end.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(1);

/// How long an instance may idle; Lambda keeps them for minutes.
const IDLE_TIME_MAX: Duration = Duration::from_secs(600);

/// How long an instance that was asked to end may take ([shutdown phase]): 2 seconds.
///
/// [shutdown phase]: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown
const TERMINATION_TIME_MAX: Duration = Duration::from_secs(2);

/// How long what a dead process has sent or printed may take to arrive: it is in the kernel's
/// buffers already.
const REST_TIME_MAX: Duration = Duration::from_millis(500);

/// How long the kernel may take to end a killed process.
const REAP_TIME_MAX: Duration = Duration::from_secs(5);

/// Connections of one instance to its Runtime API; runtimes use one per invocation at once.
const CONNECTIONS_MAX: usize = 64;

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

/// Starts an instance when it is needed, and looks after it until its end.
pub(crate) async fn run(pool: Arc<Pool>, number: u64, generation: u64) {
    if !pool.is_needed().await {
        return;
    }
    let (end, is_ready) = match Running::start(&pool, number).await {
        Ok(running) => running.live().await,
        Err(reason) => {
            let function = &pool.base.spec.name;
            tracing::warn!(target: "function", function, "cannot start: {reason}");
            (End::Init(InitFailure::Start(reason)), false)
        }
    };
    pool.ended(number, generation, &end, is_ready);
}

/// What the task of an instance owns.
struct Running {
    pool: Arc<Pool>,
    instance: Arc<Instance>,
    child: Child,
    listener: TcpListener,
    connections: JoinSet<()>,
    outputs: JoinSet<()>,
    mark: String,
    /// The task may be aborted.
    _killer: Killer,
}

/// What the task of an instance found.
enum Finding {
    /// Nothing to do until then.
    Wait(Instant),
    End(End),
    /// Invocations exceeded their time.
    TimedOut,
    /// There is nothing left to do, and there will be nothing.
    Terminate,
}

impl Running {
    async fn start(pool: &Arc<Pool>, number: u64) -> Result<Self, String> {
        let base = Arc::clone(&pool.base);
        let launch = tokio::task::spawn_blocking(move || {
            runtime::launch(&base.spec, &base.prepared, &*base.surroundings)
        });
        let launch = launch.await.map_err(|error| error.to_string())?;
        let launch = launch.map_err(|error| error.to_string())?;
        let listen = async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            io::Result::Ok((listener.local_addr()?, listener))
        };
        let (address, listener) = listen.await.map_err(|error| error.to_string())?;
        let mark = format!("{}{number:016x}", pool.mark);
        let mut child = command(&launch, address, &mark)
            .spawn()
            .map_err(|error| format!("{}: {error}", launch.program.display()))?;
        let instance = Arc::new(Instance::new(number, address));
        if let Some(group) = child.id().and_then(Group::new) {
            let leader = group.leader();
            instance.group.get_or_init(|| group);
            if process::LIMITED
                && let Err(error) = process::limit(leader, pool.base.spec.memory_mb)
            {
                let function = &pool.base.spec.name;
                tracing::warn!(target: "function", function, "cannot limit memory: {error}");
            }
        }
        pool.started(&instance);
        let mut outputs = JoinSet::new();
        let current = |instance: &Arc<Instance>| {
            let instance = Arc::clone(instance);
            move || instance.request_id()
        };
        if let Some(pipe) = child.stdout.take() {
            let gate = Arc::clone(&pool.base.gate);
            outputs.spawn(output::pump(pipe, "stdout", gate, current(&instance)));
        }
        if let Some(pipe) = child.stderr.take() {
            let gate = Arc::clone(&pool.base.gate);
            outputs.spawn(output::pump(pipe, "stderr", gate, current(&instance)));
        }
        let connections = JoinSet::new();
        let pool = Arc::clone(pool);
        let _killer = Killer(Arc::clone(&instance));
        Ok(Self { pool, instance, child, listener, connections, outputs, mark, _killer })
    }

    /// Serves the process to its end. Returns how it ended, and whether it was ready before.
    async fn live(mut self) -> (End, bool) {
        let pool = Arc::clone(&self.pool);
        let end = loop {
            let drained = pool.drained();
            let until = match self.look() {
                Finding::End(end) => break end,
                Finding::TimedOut => {
                    self.instance.fail_late(&self.pool);
                    break End::Expected;
                }
                Finding::Terminate => {
                    if self.terminate().await {
                        break End::Expected;
                    }
                    // An invocation comes first; it is about to begin.
                    tokio::task::yield_now().await;
                    continue;
                }
                Finding::Wait(until) => until,
            };
            // An end first: nothing else matters after it.
            tokio::select! {
                biased;
                status = self.child.wait() => break self.exited(status).await,
                () = drained => {}
                () = self.instance.wake.notified() => {}
                accepted = self.listener.accept(), if self.connections.len() < CONNECTIONS_MAX => {
                    if let Ok((stream, peer)) = accepted {
                        let pool = Arc::clone(&self.pool);
                        let instance = Arc::clone(&self.instance);
                        self.connections.spawn(runtime_api::serve(pool, instance, stream, peer));
                    }
                }
                Some(_) = self.connections.join_next() => {}
                () = sleep_until(until) => {}
            }
        };
        self.clear(end).await
    }

    /// What there is to do now.
    fn look(&self) -> Finding {
        let stop = self.pool.stopping();
        // Asked before the lock: a pool's lock goes before an instance's.
        let is_draining = stop.is_some() && !self.pool.has_waiting();
        let mut work = self.instance.work.lock();
        let now = Instant::now();
        work.watched = stop.is_some();
        if stop.is_some_and(|deadline| deadline <= now) {
            return Finding::End(End::Expected);
        }
        let until = match &work.phase {
            Phase::Failed { error, until } if *until <= now => {
                return Finding::End(End::Init(InitFailure::Error(error.clone())));
            }
            Phase::Initialising { until } if *until <= now => {
                let how =
                    format!("Init timed out after {:.2} seconds", INIT_TIME_MAX.as_secs_f64());
                return Finding::End(End::Init(InitFailure::Exit(how)));
            }
            Phase::Initialising { .. } if is_draining => return Finding::End(End::Expected),
            Phase::Failed { until, .. } | Phase::Initialising { until } => *until,
            Phase::Ready { .. } => match work.flights.iter().map(|flight| flight.deadline).min() {
                Some(deadline) if deadline <= now => return Finding::TimedOut,
                Some(deadline) => deadline,
                None if work.owed().is_some_and(|owed| owed <= now) => return Finding::TimedOut,
                None if is_draining || work.idle_since + IDLE_TIME_MAX <= now => {
                    return Finding::Terminate;
                }
                None => work.owed().unwrap_or(work.idle_since + IDLE_TIME_MAX),
            },
        };
        let until = stop.map_or(until, |deadline| until.min(deadline));
        work.armed = Some(until);
        Finding::Wait(until)
    }

    /// Asks an idle process to end, and waits for it. Returns whether it was idle.
    async fn terminate(&mut self) -> bool {
        if !self.pool.retire(&self.instance) {
            return false;
        }
        if let Some(group) = self.instance.group.get() {
            group.terminate();
        }
        let most = Instant::now() + TERMINATION_TIME_MAX;
        let until = self.pool.stopping().map_or(most, |deadline| deadline.min(most));
        let _ = timeout_at(until, self.child.wait()).await;
        true
    }

    /// The process ended by itself.
    async fn exited(&mut self, status: io::Result<ExitStatus>) -> End {
        if let Some(group) = self.instance.group.get() {
            group.bury();
        }
        // It may have answered before.
        let rest = async { while self.connections.join_next().await.is_some() {} };
        let _ = timeout(REST_TIME_MAX, rest).await;
        let how = describe(status);
        let function = &self.pool.base.spec.name;
        let phase = self.instance.work.lock().phase.clone();
        match phase {
            Phase::Failed { error, .. } => End::Init(InitFailure::Error(error)),
            Phase::Initialising { .. } => {
                tracing::warn!(target: "function", function, "{how}, before it was ready");
                End::Init(InitFailure::Exit(how))
            }
            Phase::Ready { .. } => {
                tracing::warn!(
                    target: "function",
                    function,
                    request_id = self.instance.request_id().as_deref(),
                    "{how}"
                );
                self.instance.fail_all(&self.pool, |id| exited(id, &how));
                End::Crashed
            }
        }
    }

    /// Ends all that is left.
    async fn clear(mut self, end: End) -> (End, bool) {
        drop(self.listener);
        self.instance.kill();
        let _ = timeout(REAP_TIME_MAX, self.child.wait()).await;
        if let Some(group) = self.instance.group.get() {
            group.bury();
        }
        self.connections.shutdown().await;
        self.instance.fail_all(&self.pool, |id| match self.pool.stopping() {
            Some(_) => stopped(),
            None => exited(id, &format!("{EXITED} signal: killed")),
        });
        let mark = self.mark;
        let _ = tokio::task::spawn_blocking(move || process::sweep(&mark)).await;
        let outputs = &mut self.outputs;
        let rest = async { while outputs.join_next().await.is_some() {} };
        let _ = timeout(REST_TIME_MAX, rest).await;
        let is_ready = matches!(self.instance.work.lock().phase, Phase::Ready { .. });
        (end, is_ready)
    }
}

/// Kills the process of an instance when its task is dropped.
struct Killer(Arc<Instance>);

impl Drop for Killer {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// How Lambda begins to say that a runtime ended.
const EXITED: &str = "Runtime exited with error:";

/// The end of a process in Lambda's words.
fn describe(status: io::Result<ExitStatus>) -> String {
    use std::os::unix::process::ExitStatusExt;
    let Ok(status) = status else { return "Runtime exited without providing a reason".to_owned() };
    match (status.code(), status.signal()) {
        (Some(0), _) => "Runtime exited without providing a reason".to_owned(),
        (Some(code), _) => format!("{EXITED} exit status {code}"),
        (None, Some(signal)) => match SIGNALS.iter().find(|(number, _)| *number == signal) {
            Some((_, name)) => format!("{EXITED} signal: {name}"),
            None => format!("{EXITED} signal: {signal}"),
        },
        (None, None) => "Runtime exited without providing a reason".to_owned(),
    }
}

/// Signals by the names that Lambda prints.
const SIGNALS: [(i32, &str); 7] = [
    (4, "illegal instruction"),
    (5, "trace/breakpoint trap"),
    (6, "aborted"),
    (8, "floating point exception"),
    (9, "killed"),
    (11, "segmentation fault"),
    (15, "terminated"),
];

fn command(launch: &Launch, address: SocketAddr, mark: &str) -> Command {
    let date = jiff::Timestamp::now().strftime("%Y/%m/%d");
    let mut command = Command::new(&launch.program);
    command
        .args(&launch.arguments)
        .current_dir(&launch.directory)
        .env_clear()
        .envs(launch.environment.iter().map(|(name, value)| (name, value)))
        .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
        .env(LOG_STREAM, format!("{date}/[$LATEST]{mark}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    command
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
        Self { number, address, group, work: Mutex::new(work), wake, started }
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
        let id: Arc<str> = Uuid::new_v4().to_string().into();
        let begun = Instant::now();
        let event = Event { id: Arc::clone(&id), payload: job.payload.clone(), time };
        let mut work = self.work.lock();
        let deadline = begun + time;
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

/// Logs what Lambda's `REPORT` line says.
fn report(pool: &Pool, flight: &Flight, init: Option<Duration>, error: Option<&InvokeError>) {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
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
