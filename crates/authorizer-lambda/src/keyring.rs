//! The keys in use, and where they come from: read before the first request, refreshed without a
//! restart, kept while their source is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use authorizer::config::{KeySpec, Source};
use authorizer::{AwsLc, Config, ConfigError, KeySet, Secret, Warning};
use futures_util::future::join_all;
use parking_lot::Mutex;

use crate::source::{Content, Sources, read, read_key};

/// How long a content counts as fresh: `max-age`, within this range; its start without one.
const FRESH_SECONDS: std::ops::RangeInclusive<u64> = 300..=3600;
/// Least time between two fetches that unknown key names ask for: anybody can make up names.
const UNKNOWN_SECONDS: u64 = 10;
/// Pause after the first failure; it doubles with every further one, up to the second number.
const RETRY_SECONDS: (u64, u64) = (10, 300);

/// One generation of keys.
#[derive(Debug)]
pub struct Keys {
    /// Unique in this process, and rising; part of a cache's key, so that no verdict outlives the
    /// keys it was made with.
    pub generation: u64,
    /// The keys.
    pub set: KeySet,
}

impl Keys {
    fn new(set: KeySet) -> Arc<Self> {
        static GENERATIONS: AtomicU64 = AtomicU64::new(1);
        Arc::new(Self { generation: GENERATIONS.fetch_add(1, Ordering::Relaxed), set })
    }
}

/// Keys and their sources. All times are epoch seconds that the caller brings.
pub(crate) struct Keyring {
    keys: ArcSwap<Keys>,
    sources: Arc<dyn Sources>,
    /// Never held while a source is asked.
    slots: Mutex<Vec<Slot>>,
    /// Held by the one that refreshes what is due.
    refreshing: Flight,
    /// For each issuer, held by the one that looks for a key.
    finding: Vec<Flight>,
    /// When the first content ceases to be fresh.
    due_at: AtomicU64,
    /// For each issuer, when its keys become too old to be believed; last, the CSRF secret.
    stale_at: Vec<AtomicU64>,
}

/// One question at a time; who waits for it finds the answer.
type Flight = tokio::sync::Mutex<()>;

/// One content and its age.
struct Slot {
    place: Place,
    content: Secret,
    fresh_until: u64,
    /// When it is read next.
    due_at: u64,
    /// Failures since it was read.
    failures: u32,
    /// When an unknown name last asked for it.
    asked_at: Option<u64>,
}

#[derive(Clone)]
enum Place {
    Csrf(Source),
    Key { issuer: usize, key: usize, spec: KeySpec },
}

impl Keyring {
    /// Reads everything that `config` names, all at once, and tells everything that is wrong.
    pub(crate) async fn load(
        config: &Config,
        sources: Arc<dyn Sources>,
        now: u64,
    ) -> Result<(Self, Vec<Warning>), Vec<ConfigError>> {
        let places = places(config);
        let contents = join_all(places.iter().map(|place| place.read(&*sources))).await;
        let (mut slots, mut errors) = (Vec::new(), Vec::new());
        for (place, content) in places.into_iter().zip(contents) {
            match content {
                Ok(content) => slots.push(Slot::new(place, content, now)),
                Err(message) => errors.push(ConfigError::new(place.path(), message)),
            }
        }
        let (set, warnings) =
            build(config, &slots, if errors.is_empty() { Stage::Load } else { Stage::Incomplete })
                .map_err(|more| {
                    errors.extend(more);
                    errors
                })?;
        let issuers = config.issuers().len();
        let ring = Self {
            keys: ArcSwap::new(Keys::new(set)),
            sources,
            due_at: AtomicU64::new(0),
            stale_at: (0..=issuers).map(|_| AtomicU64::new(0)).collect(),
            refreshing: Flight::default(),
            finding: (0..issuers).map(|_| Flight::default()).collect(),
            slots: Mutex::default(),
        };
        ring.note_ages(config, &slots);
        *ring.slots.lock() = slots;
        Ok((ring, warnings))
    }

    /// The present keys.
    pub(crate) fn keys(&self) -> Arc<Keys> {
        self.keys.load_full()
    }

    /// Whether the keys of `issuer`, or of nobody, and the CSRF secret are too old to be believed.
    pub(crate) fn is_stale(&self, issuer: Option<usize>, now: u64) -> bool {
        let csrf = self.stale_at.len() - 1;
        let is_over = |at: &AtomicU64| at.load(Ordering::Relaxed) <= now;
        [issuer, Some(csrf)].into_iter().flatten().any(|n| self.stale_at.get(n).is_none_or(is_over))
    }

    /// When the first of all keys becomes too old to be believed.
    pub(crate) fn stale_at(&self) -> u64 {
        self.stale_at.iter().map(|at| at.load(Ordering::Relaxed)).min().unwrap_or(u64::MAX)
    }

    /// When [`Keyring::refresh_due`] has something to do.
    pub(crate) fn due_at(&self) -> u64 {
        self.due_at.load(Ordering::Relaxed)
    }

    /// Reads again what is not fresh any more. What cannot be read stays as it is, also if the
    /// caller does not wait for the end.
    pub(crate) async fn refresh_due(&self, config: &Config, now: u64) {
        // A moment too far ahead was noted by a clock that has been set back since.
        if now < self.due_at() && self.due_at() <= now + FRESH_SECONDS.end() {
            return;
        }
        let _flight = self.refreshing.lock().await;
        let due = self.take(config, |slot| slot.is_due(now), |slot| slot.postpone(now));
        self.refresh(config, due, now).await;
    }

    /// Reads the published keys of `issuer` again, because a token names one that generation
    /// `seen` lacks: one caller at a time, the others wait for it, and not too often. Returns the
    /// keys if they are newer.
    pub(crate) async fn find_newer(
        &self,
        config: &Config,
        issuer: usize,
        seen: u64,
        now: u64,
    ) -> Option<Arc<Keys>> {
        let is_published = |spec: &KeySpec| matches!(spec, KeySpec::Jwks(_) | KeySpec::Oidc(_));
        if !config.issuers().get(issuer)?.keys.iter().any(is_published) {
            return None;
        }
        let _flight = self.finding.get(issuer)?.lock().await;
        if self.keys.load().generation == seen {
            let is_asked = |slot: &Slot| match &slot.place {
                Place::Key { issuer: of, spec, .. } => {
                    *of == issuer && is_published(spec) && slot.has_rested(now)
                }
                Place::Csrf(_) => false,
            };
            let asked = self.take(config, is_asked, |slot| slot.asked_at = Some(now));
            self.refresh(config, asked, now).await;
        }
        let keys = self.keys();
        (keys.generation != seen).then_some(keys)
    }

    /// The contents that are to be read, by position, with a note on each.
    fn take(
        &self,
        config: &Config,
        is_wanted: impl Fn(&Slot) -> bool,
        note: impl Fn(&mut Slot),
    ) -> Vec<(usize, Place)> {
        let mut slots = self.slots.lock();
        let wanted = slots.iter_mut().enumerate().filter(|(_, slot)| is_wanted(slot));
        let taken = wanted
            .map(|(n, slot)| {
                note(slot);
                (n, slot.place.clone())
            })
            .collect();
        self.note_ages(config, &slots);
        taken
    }

    async fn refresh(&self, config: &Config, wanted: Vec<(usize, Place)>, now: u64) {
        let reading = wanted.iter().map(|(_, place)| place.read(&*self.sources));
        let contents = join_all(reading).await;
        let mut slots = self.slots.lock();
        for ((n, place), content) in wanted.into_iter().zip(contents) {
            match content {
                Ok(content) => self.replace(config, &mut slots, n, content, now),
                Err(reason) => {
                    let path = place.path();
                    tracing::warn!(path, reason, "keys not refreshed; the old ones serve on");
                    slots[n].failed(now);
                }
            }
        }
        self.note_ages(config, &slots);
    }

    /// Puts one content in its place, and the keys of all in use if it is another.
    fn replace(&self, config: &Config, slots: &mut [Slot], n: usize, content: Content, now: u64) {
        let path = slots[n].place.path();
        if content.bytes == slots[n].content {
            return slots[n].read_at(now, content.max_age);
        }
        let old = std::mem::replace(&mut slots[n].content, content.bytes);
        match build(config, slots, Stage::Refresh) {
            Ok((set, warnings)) => {
                for warning in warnings {
                    tracing::warn!(path = warning.path, reason = warning.message, "keys");
                }
                slots[n].read_at(now, content.max_age);
                self.keys.store(Keys::new(set));
                tracing::info!(path, "new keys");
            }
            Err(errors) => {
                for error in errors {
                    tracing::warn!(
                        path = error.path,
                        reason = error.message,
                        "new keys cannot be used; the old ones serve on"
                    );
                }
                slots[n].content = old;
                slots[n].failed(now);
            }
        }
    }

    fn note_ages(&self, config: &Config, slots: &[Slot]) {
        let due = slots.iter().map(|slot| slot.due_at).min().unwrap_or(u64::MAX);
        self.due_at.store(due, Ordering::Relaxed);
        for (n, at) in self.stale_at.iter().enumerate() {
            let of_n = slots.iter().filter(|slot| match slot.place {
                Place::Csrf(_) => n == config.issuers().len(),
                Place::Key { issuer, .. } => n == issuer,
            });
            let stale = of_n.map(|slot| slot.stale_at(config.stale_max())).min();
            at.store(stale.unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("keys", &self.keys.load()).finish_non_exhaustive()
    }
}

impl Place {
    fn path(&self) -> String {
        match self {
            Self::Csrf(_) => "authorizer.csrf.secret".to_owned(),
            Self::Key { issuer, key, .. } => format!("authorizer.issuers[{issuer}].keys[{key}]"),
        }
    }

    async fn read(&self, sources: &dyn Sources) -> Result<Content, String> {
        match self {
            Self::Csrf(source) => read(source, sources).await,
            Self::Key { spec, .. } => read_key(spec, sources).await,
        }
    }

    fn source(&self) -> Option<&Source> {
        match self {
            Self::Csrf(source) | Self::Key { spec: KeySpec::Static(_, source), .. } => Some(source),
            Self::Key { spec: KeySpec::Jwks(_) | KeySpec::Oidc(_), .. } => None,
        }
    }
}

impl Slot {
    fn new(place: Place, content: Content, now: u64) -> Self {
        let mut slot = Self {
            place,
            content: content.bytes,
            fresh_until: now,
            due_at: now,
            failures: 0,
            asked_at: None,
        };
        slot.read_at(now, content.max_age);
        slot
    }

    fn read_at(&mut self, now: u64, max_age: Option<Duration>) {
        let (least, most) = FRESH_SECONDS.into_inner();
        let fresh = max_age.map_or(least, |age| age.as_secs().clamp(least, most));
        self.failures = 0;
        self.fresh_until = now + fresh;
        self.due_at = match self.place.source() {
            // A process cannot be given another environment.
            Some(Source::Env(_)) => u64::MAX,
            Some(Source::File(_) | Source::SecretsManager(_) | Source::Ssm(_)) | None => {
                now + fresh
            }
        };
    }

    /// Whether it is to be read; a moment too far ahead counts as past.
    fn is_due(&self, now: u64) -> bool {
        let is_possible = self.due_at == u64::MAX || self.due_at <= now + FRESH_SECONDS.end();
        self.due_at <= now || !is_possible
    }

    /// Notes that it is being read, so that one who gives up is not followed at once.
    fn postpone(&mut self, now: u64) {
        self.due_at = now + RETRY_SECONDS.0;
    }

    /// Whether an unknown name may ask for it.
    fn has_rested(&self, now: u64) -> bool {
        self.asked_at.is_none_or(|at| now < at || at + UNKNOWN_SECONDS <= now)
    }

    fn failed(&mut self, now: u64) {
        let (first, most) = RETRY_SECONDS;
        let pause = first.saturating_mul(1 << self.failures.min(16)).min(most);
        self.failures = self.failures.saturating_add(1);
        self.due_at = now + pause;
    }

    /// A file that is gone was put away by who runs this; a service that is down may hide that a
    /// key was withdrawn.
    fn stale_at(&self, stale_max: u64) -> u64 {
        match self.place.source() {
            Some(Source::Env(_) | Source::File(_)) => u64::MAX,
            Some(Source::SecretsManager(_) | Source::Ssm(_)) | None => {
                self.fresh_until.saturating_add(stale_max)
            }
        }
    }
}

fn places(config: &Config) -> Vec<Place> {
    let keys = config.issuers().iter().enumerate().flat_map(|(issuer, entry)| {
        let keys = entry.keys.iter().enumerate();
        keys.map(move |(key, spec)| Place::Key { issuer, key, spec: spec.clone() })
    });
    keys.chain(config.csrf_secret().cloned().map(Place::Csrf)).collect()
}

/// What a set is built for.
enum Stage {
    /// Some contents are missing: only what is wrong with the others is told.
    Incomplete,
    /// The start, at which every issuer must have a key.
    Load,
    /// Later: an issuer that publishes no usable key any more has none.
    Refresh,
}

/// Makes a set of all contents.
fn build(
    config: &Config,
    slots: &[Slot],
    stage: Stage,
) -> Result<(KeySet, Vec<Warning>), Vec<ConfigError>> {
    let provider = AwsLc;
    let mut builder = KeySet::builder(config, &provider);
    if let Stage::Refresh = stage {
        builder.allow_withdrawal();
    }
    // The operator's own first: what an issuer publishes can then take no name and no room of them.
    let (own, published): (Vec<&Slot>, Vec<&Slot>) =
        slots.iter().partition(|slot| slot.place.source().is_some());
    for slot in own.into_iter().chain(published) {
        match slot.place {
            Place::Csrf(_) => builder.csrf_secret(slot.content.expose()),
            Place::Key { issuer, key, .. } => builder.add(issuer, key, slot.content.expose()),
        }
    }
    match stage {
        Stage::Incomplete => Err(builder.errors()),
        Stage::Load | Stage::Refresh => builder.build(),
    }
}

#[cfg(test)]
mod tests;
