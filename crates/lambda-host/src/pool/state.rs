//! What a pool knows: who asks, who waits, and how starts went.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::InvokeError;
use crate::instance::Instance;

/// How long an invocation waits for a busy instance before another one is started: as long as an
/// interpreter takes to start, longer than most handlers take.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long it waits if an instance has answered and not asked for its next event yet. Some never
/// do: they await what their handler left behind.
const RETURN_PATIENCE: Duration = Duration::from_millis(250);

/// Delay of the start after a failure; it doubles with each further one.
const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// Longest delay of a start after failures.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct State {
    /// Runtimes that wait for an event; the last one is served first.
    pub(super) idle: Vec<Parked>,
    /// By arrival.
    pub(super) waiting: BTreeMap<u64, Job>,
    pub(super) waiting_bytes: usize,
    /// Invocations that ever arrived.
    pub(super) arrivals: u64,
    /// Requests for an event that ever waited.
    pub(super) polls: u64,
    /// Instances that were ever wanted.
    pub(super) numbers: u64,
    /// Instances that are wanted or started, but have not asked for an event.
    pub(super) starting: usize,
    /// Instances that have asked for an event.
    pub(super) ready: usize,
    pub(super) cold_starts: u64,
    /// Instances with a process.
    pub(super) instances: HashMap<u64, Arc<Instance>>,
    /// One per instance.
    pub(super) tasks: JoinSet<()>,
    pub(super) trouble: Trouble,
    pub(super) closed: bool,
}

/// Failures in a row.
#[derive(Default)]
pub(super) struct Trouble {
    pub(super) failures: u32,
    /// Instances of an older generation were started before the last failure: that they fail as
    /// well is no news.
    pub(super) generation: u64,
    pub(super) since: Option<Instant>,
}

/// A runtime's request for an event.
pub(super) struct Parked {
    pub(super) instance: u64,
    pub(super) poll: u64,
    pub(super) sender: oneshot::Sender<Job>,
}

/// An invocation on its way to an instance.
pub(crate) struct Job {
    pub(crate) payload: Bytes,
    pub(crate) reply: oneshot::Sender<Result<Bytes, InvokeError>>,
    pub(super) arrival: u64,
    pub(super) since: Instant,
}

impl State {
    /// Gives `job` to the last runtime that asked. Returns it if there is none.
    pub(super) fn offer(&mut self, mut job: Job) -> Option<Job> {
        while let Some(parked) = self.idle.pop() {
            match parked.sender.send(job) {
                Ok(()) => return None,
                Err(back) => job = back,
            }
        }
        Some(job)
    }

    /// How long an invocation waits before an instance is started for it.
    pub(super) fn patience(&self) -> Duration {
        if self.ready == 0 {
            Duration::ZERO
        } else if self.instances.values().any(|instance| instance.is_returning()) {
            RETURN_PATIENCE
        } else {
            PATIENCE
        }
    }

    pub(super) fn enqueue(&mut self, job: Job) {
        self.waiting_bytes += job.payload.len();
        self.waiting.insert(job.arrival, job);
    }

    pub(super) fn dequeue(&mut self) -> Option<Job> {
        let (_, job) = self.waiting.pop_first()?;
        self.waiting_bytes -= job.payload.len();
        Some(job)
    }

    pub(super) fn clear(&mut self) -> impl Iterator<Item = Job> + use<> {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting).into_values()
    }
}

impl Trouble {
    /// When the next start may be.
    pub(super) fn earliest(&self) -> Option<Instant> {
        let doublings = self.failures.checked_sub(1)?;
        let factor = 2u32.saturating_pow(doublings);
        Some(self.since? + BACKOFF_MIN.saturating_mul(factor).min(BACKOFF_MAX))
    }
}
