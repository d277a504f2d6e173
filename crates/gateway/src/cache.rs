//! Cache of authorizer verdicts, with one question per key at a time.
//!
//! Grants and denials have stores of their own, so that a flood of made-up
//! credentials, which ends in denials, pushes no grant out. Errors are handed
//! to everyone who waited for them and then forgotten.
//!
//! ```text
//!  get_or_ask ─▶ stored and still good ──────────────────────────▶ Hit
//!            └─▶ nobody asks ─▶ ask ─▶ store ────────────────────▶ Asked
//!            └─▶ somebody asks ─▶ wait ─▶ their answer ──────────▶ Followed
//!                                  └─▶ they went away: ask ──────▶ Asked
//! ```

mod fingerprint;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::Expiry;
use moka::future::Cache;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::time::Instant;

pub use fingerprint::Fingerprint;

/// Callers that may wait for one answer; the next one is shed.
pub const FOLLOWERS_MAX: usize = 1000;
/// Longest life of a stored verdict: AWS's own limit for authorizer results.
pub const TTL_MAX: Duration = Duration::from_secs(3600);
/// Longest life of a stored denial: whoever got new rights waits no longer.
pub const DENIAL_TTL_MAX: Duration = Duration::from_secs(10);
/// Share of the bytes that denials may take.
pub const DENIAL_SHARE: u64 = 16;
/// Tags remembered as forgotten; beyond, the whole cache is cleared instead.
pub const FORGOTTEN_MAX: usize = 65_536;
/// Bytes that one entry costs beside its value.
const ENTRY_BYTES: usize = 400;

/// A key of the cache, made by [`Fingerprint`].
pub type Key = [u8; 32];

/// What asking brought.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome<V> {
    /// A refusal that will be the same for the same key; kept at most [`DENIAL_TTL_MAX`].
    Denial {
        /// The verdict.
        value: V,
        /// Its size in memory.
        bytes: usize,
        /// How long it may be reused.
        ttl: Duration,
    },
    /// A grant.
    Grant {
        /// The verdict.
        value: V,
        /// Its size in memory.
        bytes: usize,
        /// How long it may be reused, never beyond the grant's own end; kept at most [`TTL_MAX`].
        ttl: Duration,
        /// Under which name [`VerdictCache::forget`] finds it.
        tag: Arc<str>,
    },
    /// An error, or a verdict that must be asked for each time.
    Uncached(V),
}

/// A verdict and where it came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer<V> {
    /// The verdict.
    pub value: V,
    /// Where it came from.
    pub how: How,
    /// When its question was put; what was revoked later is not yet in it.
    pub asked_at: Instant,
}

/// Where an [`Answer`] came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum How {
    /// This caller asked.
    Asked,
    /// Another caller asked at the same time.
    Followed,
    /// It was stored.
    Hit,
}

/// [`FOLLOWERS_MAX`] callers already wait for this key.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("too many callers wait for this verdict")]
pub struct Shed;

/// Verdicts by key, bounded in bytes.
pub struct VerdictCache<V> {
    grants: Cache<Key, Entry<V>>,
    denials: Cache<Key, Entry<V>>,
    flights: Flights<V>,
    /// Verdicts stored so far: tells whether a look that found nothing is still good.
    stored: AtomicU64,
    /// Entries of an earlier generation do not exist any more.
    generation: AtomicU64,
    /// When each tag was forgotten; entries asked for before that do not exist any more.
    forgotten: Mutex<HashMap<Arc<str>, Instant>>,
}

impl<V: Clone + Send + Sync + 'static> VerdictCache<V> {
    /// An empty cache of `bytes_max` bytes for grants, and a [`DENIAL_SHARE`]th of that for denials.
    ///
    /// Zero stores nothing; callers of one key still share one question.
    pub fn new(bytes_max: u64) -> Self {
        Self {
            grants: store(bytes_max),
            denials: store(bytes_max / DENIAL_SHARE),
            flights: Flights::default(),
            stored: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            forgotten: Mutex::default(),
        }
    }

    /// Returns the stored verdict of `key`, or that of `ask`.
    ///
    /// While one caller asks, others with the same key wait for its answer,
    /// errors included.
    ///
    /// # Cancel safety
    ///
    /// A caller that goes away while it asks leaves the question to the next
    /// one waiting, whose own `ask` then runs.
    pub async fn get_or_ask<F>(&self, key: Key, ask: F) -> Result<Answer<V>, Shed>
    where
        F: Future<Output = Outcome<V>>,
    {
        let stored_before = self.stored.load(Ordering::Acquire);
        if let Some(hit) = self.stored(&key).await {
            return Ok(hit);
        }
        let seat = self.flights.board(key)?;
        let mut slot = seat.flight.lock().await;
        if let Some(answer) = &*slot {
            return Ok(Answer { how: How::Followed, ..answer.clone() });
        }
        // Another flight may have landed between the look and the seat.
        if self.stored.load(Ordering::Acquire) != stored_before
            && let Some(hit) = self.stored(&key).await
        {
            return Ok(hit);
        }
        let generation = self.generation.load(Ordering::Acquire);
        let asked_at = Instant::now();
        let outcome = ask.await;
        let value = self.store(key, outcome, generation, asked_at).await;
        let answer = Answer { value, how: How::Asked, asked_at };
        *slot = Some(answer.clone());
        seat.land();
        Ok(answer)
    }

    /// Forgets everything. Questions under way are answered, but not stored,
    /// and callers from now on do not wait for them.
    pub fn clear(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.flights.detach();
        self.grants.invalidate_all();
        self.denials.invalidate_all();
        self.forgotten.lock().clear();
    }

    /// Forgets the grants of one tag, those of questions under way included.
    pub fn forget(&self, tag: &str) {
        let now = Instant::now();
        let mut forgotten = self.forgotten.lock();
        if FORGOTTEN_MAX <= forgotten.len() {
            // What could not have been stored since is no longer of interest.
            forgotten.retain(|_, at| now.duration_since(*at) <= TTL_MAX);
        }
        let full = FORGOTTEN_MAX <= forgotten.len();
        if !full {
            forgotten.insert(tag.into(), now);
        }
        drop(forgotten);
        // A question may take long, so that its `asked_at` alone must not decide who joins it.
        self.flights.detach();
        if full {
            self.clear();
        }
    }

    async fn stored(&self, key: &Key) -> Option<Answer<V>> {
        for store in [&self.grants, &self.denials] {
            if let Some(entry) = store.get(key).await
                && self.is_good(&entry)
            {
                let Entry { value, asked_at, .. } = entry;
                return Some(Answer { value, how: How::Hit, asked_at });
            }
        }
        None
    }

    fn is_good(&self, entry: &Entry<V>) -> bool {
        entry.generation == self.generation.load(Ordering::Acquire)
            && Instant::now() < entry.expires_at
            && self.forgotten.lock().get(&entry.tag).is_none_or(|at| *at < entry.asked_at)
    }

    async fn store(&self, key: Key, outcome: Outcome<V>, generation: u64, asked_at: Instant) -> V {
        let (stores, value, bytes, ttl, tag) = match outcome {
            Outcome::Uncached(value) => return value,
            Outcome::Grant { value, bytes, ttl, tag } => {
                ([&self.grants, &self.denials], value, bytes, ttl.min(TTL_MAX), tag)
            }
            Outcome::Denial { value, bytes, ttl } => {
                ([&self.denials, &self.grants], value, bytes, ttl.min(DENIAL_TTL_MAX), "".into())
            }
        };
        let entry = Entry {
            value: value.clone(),
            bytes,
            ttl,
            expires_at: Instant::now() + ttl,
            generation,
            asked_at,
            tag,
        };
        if !ttl.is_zero() && self.is_good(&entry) {
            stores[0].insert(key, entry).await;
            stores[1].invalidate(&key).await;
            self.stored.fetch_add(1, Ordering::Release);
        }
        value
    }
}

impl<V> fmt::Debug for VerdictCache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerdictCache").field("generation", &self.generation).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    bytes: usize,
    ttl: Duration,
    /// Decides whether the entry is good; the store's own clock only frees memory.
    expires_at: Instant,
    generation: u64,
    asked_at: Instant,
    tag: Arc<str>,
}

fn store<V: Clone + Send + Sync + 'static>(bytes_max: u64) -> Cache<Key, Entry<V>> {
    Cache::builder()
        .max_capacity(bytes_max)
        .weigher(|_, entry: &Entry<V>| {
            let bytes = entry.bytes.saturating_add(entry.tag.len()).saturating_add(ENTRY_BYTES);
            u32::try_from(bytes).unwrap_or(u32::MAX)
        })
        .expire_after(Ttl)
        .build()
}

struct Ttl;

impl<V> Expiry<Key, Entry<V>> for Ttl {
    fn expire_after_create(
        &self,
        _: &Key,
        entry: &Entry<V>,
        _: std::time::Instant,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(
        &self,
        _: &Key,
        entry: &Entry<V>,
        _: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }
}

/// One question under way. Its lock belongs to whoever asks, and passes in
/// order of arrival: a leader that goes away hands the question on by dropping it.
type Flight<V> = Arc<tokio::sync::Mutex<Option<Answer<V>>>>;

/// The questions under way, by key.
struct Flights<V>(Mutex<HashMap<Key, (Flight<V>, usize)>>);

impl<V> Default for Flights<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V> Flights<V> {
    fn board(&self, key: Key) -> Result<Seat<'_, V>, Shed> {
        let mut flights = self.0.lock();
        let (flight, seats) = flights.entry(key).or_default();
        if FOLLOWERS_MAX < *seats {
            return Err(Shed);
        }
        *seats += 1;
        Ok(Seat { flights: self, key, flight: Arc::clone(flight) })
    }

    /// Lets nobody join what is under way.
    fn detach(&self) {
        self.0.lock().clear();
    }

    /// Removes the key's flight when `done` says so, given the seats taken.
    fn leave(&self, key: &Key, flight: &Flight<V>, done: impl FnOnce(&mut usize) -> bool) {
        let mut flights = self.0.lock();
        // A later flight of the same key is not this one's to touch.
        if let Some((current, seats)) = flights.get_mut(key)
            && Arc::ptr_eq(current, flight)
            && done(seats)
        {
            flights.remove(key);
        }
    }
}

/// A place in a flight, given back on drop.
struct Seat<'a, V> {
    flights: &'a Flights<V>,
    key: Key,
    flight: Flight<V>,
}

impl<V> Seat<'_, V> {
    /// The answer is there: later callers look in the store, or ask anew.
    fn land(&self) {
        self.flights.leave(&self.key, &self.flight, |_| true);
    }
}

impl<V> Drop for Seat<'_, V> {
    fn drop(&mut self) {
        self.flights.leave(&self.key, &self.flight, |seats| {
            *seats -= 1;
            *seats == 0
        });
    }
}

#[cfg(test)]
mod tests;
