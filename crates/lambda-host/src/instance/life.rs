//! The life of an instance: from the start of its process to the end of all it left.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::{INIT_TIME_MAX, Instance, Phase};
use crate::output;
use crate::pool::{End, InitFailure, Pool, exited, stopped};
use crate::process::{self, Group, LOG_STREAM};
use crate::runtime::{self, Launch};
use crate::runtime_api;

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

/// Wait after a connection could not be accepted: where files have run out, asking again at once
/// only turns in a circle.
const ACCEPT_DELAY: Duration = Duration::from_millis(50);

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
                    let Ok((stream, peer)) = accepted else {
                        sleep(ACCEPT_DELAY).await;
                        continue;
                    };
                    let pool = Arc::clone(&self.pool);
                    let instance = Arc::clone(&self.instance);
                    self.connections.spawn(runtime_api::serve(pool, instance, stream, peer));
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
                if self.instance.has_begun() { End::Expected } else { End::Crashed }
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
