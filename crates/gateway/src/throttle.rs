//! Token buckets for requests and connections ([throttling]).
//!
//! A bucket is the generic cell rate algorithm: one number, the time at which
//! the bucket will be full again. Taking a token moves it one interval ahead,
//! and is refused when that would lie more than the burst ahead of now.
//!
//! [throttling]: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-protect.html

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tokens that come back in one second. Zero, negative or not a number: none ever.
    pub per_second: f64,
    /// Tokens in a full bucket. Zero refuses everything.
    pub burst: u32,
}

impl Rate {
    /// Nanoseconds between two tokens; `None` when the rate lets nothing pass.
    fn interval(self) -> Option<u64> {
        let usable = self.per_second > 0.0 && self.burst > 0;
        // The cast saturates: rates below one token in 584 years get that interval.
        usable.then(|| ((NANOS_PER_SECOND / self.per_second).round() as u64).clamp(1, INTERVAL_MAX))
    }
}

/// A token bucket that any number of threads draw from, without a lock.
///
/// Times are measured from any fixed start, the same for all callers.
#[derive(Debug)]
pub struct Bucket {
    /// When the bucket is full again, in nanoseconds since the start.
    full_at: AtomicU64,
    /// Nanoseconds per token, or [`REFUSE_ALL`].
    interval: AtomicU64,
    burst: AtomicU64,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate: Rate) -> Self {
        Self {
            full_at: AtomicU64::new(0),
            interval: AtomicU64::new(rate.interval().unwrap_or(REFUSE_ALL)),
            burst: AtomicU64::new(u64::from(rate.burst)),
        }
    }

    /// Takes one token at `now`; `false` when there is none.
    ///
    /// A clock that steps back gains nobody a token.
    pub fn take(&self, now: Duration) -> bool {
        let interval = self.interval.load(Ordering::Relaxed);
        if interval == REFUSE_ALL {
            return false;
        }
        let now = nanos(now);
        let latest =
            now.saturating_add(interval.saturating_mul(self.burst.load(Ordering::Relaxed)));
        self.full_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
                let next = full_at.max(now).checked_add(interval)?;
                (next <= latest).then_some(next)
            })
            .is_ok()
    }

    /// Changes rate and burst. Tokens already taken stay taken, as far as the
    /// new burst holds as many.
    ///
    /// A thread that takes at the same moment may still get one token by the old rate.
    pub fn set_rate(&self, rate: Rate, now: Duration) {
        let interval = rate.interval().unwrap_or(REFUSE_ALL);
        let burst = u64::from(rate.burst);
        let burst_before = self.burst.swap(burst, Ordering::Relaxed);
        let before = self.interval.swap(interval, Ordering::Relaxed);
        if before == interval && burst_before <= burst || interval == REFUSE_ALL {
            return; // A reload that changed nothing must not round the debt.
        }
        let now = nanos(now);
        let rescale = |full_at: u64| {
            let taken = full_at.saturating_sub(now).div_ceil(before).min(burst);
            Some(now.saturating_add(taken.saturating_mul(interval)))
        };
        // The closure never declines, so there is no failure to look at.
        let _ = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rescale);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

const NANOS_PER_SECOND: f64 = 1e9;
/// Longest time between two tokens: 30 years, so that sums of times stay far from overflow.
const INTERVAL_MAX: u64 = 30 * 365 * 86_400 * 1_000_000_000;
/// In place of an interval: no token ever.
const REFUSE_ALL: u64 = u64::MAX;

#[cfg(test)]
mod tests;
