//! The slowdowns: moments in which a flow leaves the queue, so that all who share it can see how long the path is without it.

use core::time::Duration;

use codec::Time;

/// The window is frozen for so many round trips, and the first slowdown comes so many after the first slow start.
const ROUND_TRIPS: u32 = 2;
/// However long a slowdown took, the next one comes within this: the base delay is forgotten after ten minutes.
const LATEST: Duration = Duration::from_secs(600);
/// A round trip before the first sample: RFC 9002's initial guess.
const GUESS: Duration = Duration::from_millis(333);

/// Where a flow is between one slowdown and the next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Slowdown {
    /// None is planned: the first slow start goes on, or they are switched off.
    Unplanned,
    /// The next one begins at this moment.
    Planned(Time),
    /// The window is two datagrams, and stays that.
    Frozen { since: Time, until: Time },
    /// The window is on its way back to the threshold.
    Ramp { since: Time },
}

impl Slowdown {
    /// The first, soon after the first slow start has ended or somebody else's flow was taken over.
    pub(super) fn first(now: Time, rtt: Option<Duration>) -> Self {
        Self::Planned(now + round_trips(rtt))
    }

    /// The one after a slowdown that took so long: after `interval` times that.
    pub(super) fn after(now: Time, took: Duration, interval: u32) -> Self {
        Self::Planned(now + took.saturating_mul(interval).min(LATEST))
    }

    /// One that begins now.
    pub(super) fn freeze(now: Time, rtt: Option<Duration>) -> Self {
        Self::Frozen { since: now, until: now + round_trips(rtt) }
    }

    /// Whether it is time for the planned one.
    pub(super) fn is_due(&self, now: Time) -> bool {
        matches!(self, Self::Planned(at) if *at <= now)
    }
}

/// The two round trips that both pauses last.
pub(super) fn round_trips(rtt: Option<Duration>) -> Duration {
    rtt.unwrap_or(GUESS).saturating_mul(ROUND_TRIPS)
}

/// How long a slowdown from and to this window takes, in datagrams, if nothing comes in between: two round trips, and as many
/// as slow start needs with this gain.
pub(super) fn estimate(datagrams: u64, gain_divisor: u64, rtt: Option<Duration>) -> Duration {
    let rtt = rtt.unwrap_or(GUESS);
    let (mut window, mut rounds) = (2 * gain_divisor.max(1), ROUND_TRIPS);
    // In units of 1/divisor datagram, so that the growth of a round is a whole number.
    while window < datagrams.saturating_mul(gain_divisor) && rounds < 1000 {
        window = window.saturating_add((window / gain_divisor.max(1)).max(1));
        rounds += 1;
    }
    rtt.saturating_mul(rounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Option<Duration> = Some(Duration::from_millis(50));

    fn at(milliseconds: u64) -> Time {
        Time::from_nanos(milliseconds * 1_000_000)
    }

    #[test]
    fn each_comes_when_the_draft_says() {
        assert_eq!(Slowdown::first(at(1000), RTT), Slowdown::Planned(at(1100)));
        assert_eq!(Slowdown::freeze(at(1100), RTT), Slowdown::Frozen { since: at(1100), until: at(1200) });
        assert_eq!(Slowdown::after(at(1500), Duration::from_millis(400), 9), Slowdown::Planned(at(5100)));
        assert_eq!(Slowdown::after(at(0), Duration::from_secs(3600), 9), Slowdown::Planned(at(600_000)));
        assert!(!Slowdown::first(at(1000), RTT).is_due(at(1099)));
        assert!(Slowdown::first(at(1000), RTT).is_due(at(1100)));
        assert!(!Slowdown::freeze(at(1000), RTT).is_due(at(9000)) && !Slowdown::Unplanned.is_due(at(9000)));
    }

    #[test]
    fn the_estimate_is_the_time_that_slow_start_needs() {
        // 2, 4, 8, ... 128 datagrams: six doublings and the two frozen round trips.
        assert_eq!(estimate(128, 1, RTT), Duration::from_millis(8 * 50));
        // 1.5 to the power of 11 is 86, from two datagrams that is 128 in eleven rounds.
        assert_eq!(estimate(128, 2, RTT), Duration::from_millis(13 * 50));
        assert_eq!(estimate(0, 16, RTT), Duration::from_millis(2 * 50));
        assert_eq!(estimate(u64::MAX, 0, None), Duration::from_millis(333 * 2));
        assert!(estimate(u64::MAX, 16, Some(Duration::MAX)) > Duration::from_secs(1));
    }
}
