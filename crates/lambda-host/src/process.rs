//! Processes of an instance: their group, their limits, and who holds a socket.
//!
//! An instance is a child process in a group of its own, and the group is killed as a whole. A
//! process that leaves the group (`setsid`) still carries the instance's environment: [`sweep`]
//! finds it by the log stream's name, which no two instances share. Only a process that has also
//! emptied its environment stays behind.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process_group};

pub(crate) use procfs::{is_held_by, sweep};

#[cfg_attr(not(target_os = "linux"), path = "process/elsewhere.rs")]
mod procfs;

/// The variable that tells an instance from all others.
pub(crate) const LOG_STREAM: &str = "AWS_LAMBDA_LOG_STREAM_NAME";

/// The process group of an instance; dropping it kills what is left of it.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Pid,
    gone: AtomicBool,
}

impl Group {
    /// The group that child `leader` leads.
    pub(crate) fn new(leader: u32) -> Option<Self> {
        let leader = Pid::from_raw(i32::try_from(leader).ok()?)?;
        Some(Self { leader, gone: AtomicBool::new(false) })
    }

    pub(crate) fn leader(&self) -> Pid {
        self.leader
    }

    /// Asks every process of the group to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends every process of the group.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Ends what the leader, which has been waited for, left behind. Later signals go nowhere:
    /// the number may belong to another process by then.
    pub(crate) fn bury(&self) {
        self.kill();
        self.gone.store(true, Ordering::Relaxed);
    }

    fn signal(&self, signal: Signal) {
        if !self.gone.load(Ordering::Relaxed) {
            // The only failure is that nobody is left.
            let _ = kill_process_group(self.leader, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Open files of an instance, as [on Lambda].
///
/// [on Lambda]: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const OPEN_FILES_MAX: u64 = 1024;

/// What a process maps beyond what it uses, in bytes. Lambda counts resident pages, `RLIMIT_DATA`
/// counts writable mappings. Measured: Node.js 20 with its pool of threads 40 MB, Python 3.11
/// next to nothing; each further thread has a stack of 2 to 8 MB.
const MEMORY_ALLOWANCE_BYTES: u64 = 256 * 1024 * 1024;

/// Limits memory, open files and core dumps of a process and of those it starts from now on.
#[cfg(target_os = "linux")]
pub(crate) fn limit(leader: Pid, memory_mb: u32) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
    let memory_bytes = u64::from(memory_mb) * 1024 * 1024 + MEMORY_ALLOWANCE_BYTES;
    for (resource, most) in
        [(Resource::Core, 0), (Resource::Nofile, OPEN_FILES_MAX), (Resource::Data, memory_bytes)]
    {
        // What this process may not exceed cannot be given.
        let most = getrlimit(resource).maximum.map_or(most, |own| own.min(most));
        prlimit(Some(leader), resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// Elsewhere nothing limits an instance.
#[cfg(not(target_os = "linux"))]
pub(crate) fn limit(_leader: Pid, _memory_mb: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether instances can be limited here.
pub(crate) const LIMITED: bool = cfg!(target_os = "linux");
