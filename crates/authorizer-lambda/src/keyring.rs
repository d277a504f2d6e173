//! The keys in use, and where they come from: read before the first request, refreshed without a
//! restart, kept while their source is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use authorizer::config::{KeySpec, Source};
use authorizer::{AwsLc, Config, ConfigError, KeySet, Secret, Warning};
use futures_util::future::join_all;
use tokio::sync::Mutex;

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
    /// Held by the one that refreshes.
    slots: Mutex<Vec<Slot>>,
    /// When the first content ceases to be fresh.
    due_at: AtomicU64,
    /// For each issuer, when its keys become too old to be believed; last, the CSRF secret.
    stale_at: Vec<AtomicU64>,
}

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
        let (set, warnings) = build(config, &slots, errors.is_empty()).map_err(|more| {
            errors.extend(more);
            errors
        })?;
        let issuers = config.issuers().len();
        let ring = Self {
            keys: ArcSwap::new(Keys::new(set)),
            sources,
            due_at: AtomicU64::new(0),
            stale_at: (0..=issuers).map(|_| AtomicU64::new(0)).collect(),
            slots: Mutex::default(),
        };
        ring.note_ages(config, &slots);
        *ring.slots.lock().await = slots;
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

    /// When [`Keyring::refresh_due`] has something to do.
    pub(crate) fn due_at(&self) -> u64 {
        self.due_at.load(Ordering::Relaxed)
    }

    /// Reads again what is not fresh any more. What cannot be read stays as it is.
    pub(crate) async fn refresh_due(&self, config: &Config, now: u64) {
        if now < self.due_at() {
            return;
        }
        let mut slots = self.slots.lock().await;
        let due = (0..slots.len()).filter(|n| slots[*n].due_at <= now).collect();
        self.refresh(config, &mut slots, due, now).await;
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
        let mut slots = self.slots.lock().await;
        if self.keys.load().generation == seen {
            let is_asked = |slot: &Slot| match &slot.place {
                Place::Key { issuer: of, spec, .. } => {
                    let rested = slot.asked_at.is_none_or(|at| at + UNKNOWN_SECONDS <= now);
                    *of == issuer && is_published(spec) && rested
                }
                Place::Csrf(_) => false,
            };
            let asked: Vec<usize> = (0..slots.len()).filter(|n| is_asked(&slots[*n])).collect();
            asked.iter().for_each(|n| slots[*n].asked_at = Some(now));
            self.refresh(config, &mut slots, asked, now).await;
        }
        let keys = self.keys();
        (keys.generation != seen).then_some(keys)
    }

    async fn refresh(&self, config: &Config, slots: &mut [Slot], wanted: Vec<usize>, now: u64) {
        let reading = wanted.iter().map(|n| slots[*n].place.read(&*self.sources));
        let contents = join_all(reading).await;
        for (n, content) in wanted.into_iter().zip(contents) {
            let path = slots[n].place.path();
            let content = match content {
                Ok(content) => content,
                Err(reason) => {
                    tracing::warn!(path, reason, "keys not refreshed; the old ones serve on");
                    slots[n].failed(now);
                    continue;
                }
            };
            if content.bytes == slots[n].content {
                slots[n].read_at(now, content.max_age);
                continue;
            }
            let old = std::mem::replace(&mut slots[n].content, content.bytes);
            match build(config, slots, true) {
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
        self.note_ages(config, slots);
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

/// Makes a set of all contents. `is_whole` is false if some are missing: then only what is wrong
/// with the others is told.
fn build(
    config: &Config,
    slots: &[Slot],
    is_whole: bool,
) -> Result<(KeySet, Vec<Warning>), Vec<ConfigError>> {
    let provider = AwsLc;
    let mut builder = KeySet::builder(config, &provider);
    // The operator's own first: what an issuer publishes can then take no name and no room of them.
    let (own, published): (Vec<&Slot>, Vec<&Slot>) =
        slots.iter().partition(|slot| slot.place.source().is_some());
    for slot in own.into_iter().chain(published) {
        match slot.place {
            Place::Csrf(_) => builder.csrf_secret(slot.content.expose()),
            Place::Key { issuer, key, .. } => builder.add(issuer, key, slot.content.expose()),
        }
    }
    if is_whole { builder.build() } else { Err(builder.errors()) }
}

#[cfg(test)]
mod tests;
