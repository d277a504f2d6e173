//! Open connections by id, and the mailbox of each.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use session::{CloseCause, Connection};

/// All open connections, sharded by id so that no lock is shared by all.
#[derive(Debug)]
pub(crate) struct Registry {
    shards: Box<[Shard]>,
    hasher: RandomState,
    count: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

type Shard = Mutex<HashMap<Box<str>, Arc<Slot>>>;

/// One open connection.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Its facts.
    pub connection: Arc<Connection>,
    /// The peer that counts against the limit of its address.
    pub address: IpAddr,
    /// `sid` of the token that opened it, if it had one.
    pub session_id: Option<String>,
    /// Whether the built-in authorizer let it in, which alone can renew a session.
    pub is_renewable: bool,
    last_active: AtomicU64,
    mailbox: Mutex<Mailbox>,
    /// Wakes the socket's task.
    pub waker: AtomicWaker,
}

/// What others left for a connection.
#[derive(Debug, Default)]
struct Mailbox {
    /// Encoded frames, back to back; allocated while there are any.
    frames: Vec<u8>,
    close: Option<CloseCause>,
    /// The socket's task has ended; nothing is taken out any more.
    is_shut: bool,
}

/// Whether a push was taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pushed {
    /// It will be written.
    Taken,
    /// Too much waits for this client already.
    Full,
    /// The connection is closing.
    Gone,
}

/// Why a connection was not registered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooMany;

/// Shards of the map: enough that two cores seldom meet.
const SHARDS: usize = 64;

impl Default for Registry {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            count: AtomicUsize::new(0),
            by_address: Mutex::default(),
        }
    }
}

impl Registry {
    /// Adds a connection unless a limit is reached.
    pub(crate) fn insert(
        &self,
        slot: Arc<Slot>,
        max: usize,
        address_max: usize,
    ) -> Result<(), TooMany> {
        if max <= self.count.fetch_add(1, Ordering::Relaxed) {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(TooMany);
        }
        {
            let mut by_address = self.by_address.lock();
            let count = by_address.entry(slot.address).or_default();
            if address_max <= *count {
                drop(by_address);
                self.count.fetch_sub(1, Ordering::Relaxed);
                return Err(TooMany);
            }
            *count += 1;
        }
        let id: Box<str> = slot.connection.id.as_str().into();
        self.shard(&id).lock().insert(id, slot);
        Ok(())
    }

    /// The connection with this id, if it is open.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Slot>> {
        self.shard(id).lock().get(id).cloned()
    }

    /// Forgets a connection; its mailbox takes nothing any more.
    pub(crate) fn remove(&self, slot: &Slot) {
        slot.mailbox.lock().is_shut = true;
        if self.shard(&slot.connection.id).lock().remove(&*slot.connection.id).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
            let mut by_address = self.by_address.lock();
            if let Some(count) = by_address.get_mut(&slot.address) {
                *count -= 1;
                if *count == 0 {
                    by_address.remove(&slot.address);
                }
            }
        }
    }

    /// How many connections are open.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Every connection for which `wanted` holds, at the moment of asking.
    pub(crate) fn select(&self, wanted: impl Fn(&Slot) -> bool) -> Vec<Arc<Slot>> {
        let mut found = Vec::new();
        for shard in &self.shards {
            found.extend(shard.lock().values().filter(|slot| wanted(slot)).cloned());
        }
        found
    }

    fn shard(&self, id: &str) -> &Shard {
        let hash = self.hasher.hash_one(id);
        &self.shards[usize::try_from(hash % SHARDS as u64).expect("below the number of shards")]
    }
}

impl Slot {
    /// A connection that opens now.
    pub(crate) fn new(
        connection: Arc<Connection>,
        address: IpAddr,
        session_id: Option<String>,
        is_renewable: bool,
    ) -> Self {
        let last_active = AtomicU64::new(connection.connected_at);
        Self {
            connection,
            address,
            session_id,
            is_renewable,
            last_active,
            mailbox: Mutex::default(),
            waker: AtomicWaker::new(),
        }
    }

    /// When a message last went either way, milliseconds since 1970.
    pub(crate) fn last_active(&self) -> u64 {
        self.last_active.load(Ordering::Relaxed)
    }

    /// A message went either way.
    pub(crate) fn touch(&self, epoch_ms: u64) {
        self.last_active.store(epoch_ms, Ordering::Relaxed);
    }

    /// Leaves an encoded frame for the client.
    pub(crate) fn push(&self, frame: &[u8], bytes_max: usize) -> Pushed {
        {
            let mut mailbox = self.mailbox.lock();
            if mailbox.is_shut || mailbox.close.is_some() {
                return Pushed::Gone;
            }
            if bytes_max < mailbox.frames.len() + frame.len() {
                return Pushed::Full;
            }
            mailbox.frames.extend_from_slice(frame);
        }
        self.waker.wake();
        Pushed::Taken
    }

    /// Asks the connection to close; `false` if it already is.
    pub(crate) fn close(&self, cause: CloseCause) -> bool {
        {
            let mut mailbox = self.mailbox.lock();
            if mailbox.is_shut || mailbox.close.is_some() {
                return false;
            }
            mailbox.close = Some(cause);
        }
        self.waker.wake();
        true
    }

    /// Whether a close was asked for or has happened.
    pub(crate) fn is_closing(&self) -> bool {
        let mailbox = self.mailbox.lock();
        mailbox.is_shut || mailbox.close.is_some()
    }

    /// Whether frames wait.
    pub(crate) fn has_frames(&self) -> bool {
        !self.mailbox.lock().frames.is_empty()
    }

    /// Whether a close was asked for.
    pub(crate) fn close_cause(&self) -> Option<CloseCause> {
        self.mailbox.lock().close
    }

    /// What was left for the socket: frames, then a close.
    pub(crate) fn take(&self) -> (Vec<u8>, Option<CloseCause>) {
        let mut mailbox = self.mailbox.lock();
        (std::mem::take(&mut mailbox.frames), mailbox.close)
    }
}
