//! The clocks of the gateway.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(crate) fn epoch_ms() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since 1970.
pub(crate) fn epoch_seconds() -> u64 {
    since_epoch().as_secs()
}

/// Time since the process first asked; never runs backwards.
pub(crate) fn uptime() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// When `epoch_seconds` is or was, by the present distance of the two clocks;
/// what has passed is now.
pub(crate) fn instant(epoch_seconds: u64) -> Instant {
    let left = epoch_seconds.saturating_mul(1000).saturating_sub(epoch_ms());
    Instant::now() + Duration::from_millis(left).min(FAR)
}

/// Longer than any connection lives: an [`Instant`] cannot hold everything.
const FAR: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
