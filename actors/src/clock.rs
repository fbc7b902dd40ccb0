//! The one place that reads the clock.
//!
//! [`now`] follows tokio's clock, so that a test that pauses tokio's time pauses ours: then it is a test's time that
//! stands in messages, deadlines and packets.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use codec::Time;
use tokio::time::Instant;

/// How long before its first reading the clock's origin lies, so that a runtime whose paused time began a little earlier
/// than the process first asked still reads a time after the origin.
const HEAD_START: Duration = Duration::from_secs(3_600);

/// One origin for all shards: times may be compared across them.
static ORIGIN: OnceLock<Instant> = OnceLock::new();

fn origin() -> Instant {
    *ORIGIN.get_or_init(|| {
        let first = Instant::now();
        first.checked_sub(HEAD_START).unwrap_or(first)
    })
}

/// What time it is.
pub(crate) fn now() -> Time {
    Time::ZERO + Instant::now().saturating_duration_since(origin())
}

/// The same as a plain number, for machines that time what they do.
pub(crate) fn nanoseconds() -> u64 {
    now().as_nanos()
}

/// The same moment on tokio's clock. What lies beyond its range is a century away.
pub(crate) fn instant(at: Time) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
    let since = Duration::from_nanos(at.as_nanos()).min(CENTURY);
    origin().checked_add(since).unwrap_or_else(Instant::now)
}

/// Time since 1970 by the system's wall clock: for what outlives the process, such as address validation tokens.
pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paused_time_moves_only_when_it_is_advanced() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let before = now();
            assert_eq!(now(), before);
            tokio::time::advance(Duration::from_millis(7)).await;
            assert_eq!(now() - before, Duration::from_millis(7));
        });
    }

    #[test]
    fn a_time_and_its_instant_are_the_same_moment() {
        let time = now();
        assert_eq!(instant(time) - origin(), Duration::from_nanos(time.as_nanos()));
        assert!(instant(Time::MAX) > Instant::now());
    }
}
