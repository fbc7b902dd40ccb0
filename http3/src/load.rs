//! What a peer may make us do for nothing: ignored elements, and requests that are cancelled before they are answered
//! (RFC 9114 §10.5).

use std::collections::VecDeque;
use std::time::Duration;

use codec::Time;

use crate::limits;

/// A bucket of elements that are to be ignored.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Glitches {
    /// When the bucket would be full again, if nothing more came.
    full: Time,
}

impl Glitches {
    /// One more. Whether it is within what is permitted.
    #[must_use]
    pub(crate) fn admit(&mut self, now: Time) -> bool {
        let each = Duration::from_nanos(1_000_000_000 / limits::GLITCHES_PER_SECOND);
        let full = self.full.max(now) + each;
        let admitted = full - now <= each.saturating_mul(u32::try_from(limits::GLITCHES).unwrap_or(u32::MAX));
        if admitted {
            self.full = full;
        }
        admitted
    }
}

/// The newest requests that were cancelled before they were answered.
#[derive(Debug, Default)]
pub(crate) struct RapidResets {
    requests: u64,
    /// The number and the time of each; the oldest first, never more than one above the bound.
    cancelled: VecDeque<(u64, Time)>,
}

impl RapidResets {
    /// A request begins. Says its number.
    pub(crate) const fn on_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// The request with this number was cancelled. Whether that is within what is permitted.
    #[must_use]
    pub(crate) fn admit(&mut self, number: u64, now: Time) -> bool {
        let requests = self.requests;
        let counts = |(number, time): &(u64, Time)| {
            requests.saturating_sub(*number) < limits::RAPID_RESET_REQUESTS
                && now.saturating_since(*time) <= limits::RAPID_RESET_TIME
        };
        // Numbers need not come in order, so each is asked.
        self.cancelled.retain(counts);
        self.cancelled.push_back((number, now));
        self.cancelled.len() <= limits::RAPID_RESETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_thousand_glitches_at_once_are_admitted_and_33_a_second() {
        let mut glitches = Glitches::default();
        let mut now = Time::ZERO + SECOND;
        let admitted = |glitches: &mut Glitches, now| (0..5000).take_while(|_| glitches.admit(now)).count();
        assert_eq!(admitted(&mut glitches, now), 1000);
        assert!(!glitches.admit(now));
        now += SECOND;
        assert_eq!(admitted(&mut glitches, now), 33);
        now += SECOND * 10;
        assert_eq!(admitted(&mut glitches, now), 330);
        now += SECOND * 1000;
        assert_eq!(admitted(&mut glitches, now), 1000);
        for _ in 0..33 * 100 {
            now += SECOND / 33;
            assert!(glitches.admit(now), "in the long run");
        }
    }

    #[test]
    fn half_of_the_last_requests_may_be_cancelled() {
        let mut resets = RapidResets::default();
        let now = Time::ZERO;
        for index in 0..100_000 {
            let number = resets.on_request();
            // Every other.
            assert!(index % 2 == 0 || resets.admit(number, now), "{index}");
        }
        let mut resets = RapidResets::default();
        let cancelled = (0..1000)
            .take_while(|_| {
                let number = resets.on_request();
                resets.admit(number, now)
            })
            .count();
        assert_eq!(cancelled, limits::RAPID_RESETS);
        assert!(resets.cancelled.len() <= limits::RAPID_RESETS + 1);
    }

    #[test]
    fn cancellations_count_for_ten_seconds() {
        let mut resets = RapidResets::default();
        let mut now = Time::ZERO;
        for _ in 0..10_000 {
            // 99 or 100 in any ten seconds.
            now += Duration::from_millis(101);
            let number = resets.on_request();
            assert!(resets.admit(number, now));
        }
        let cancelled = (0..1000).take_while(|_| resets.admit(0, now) && resets.admit(10_000, now)).count();
        assert!(cancelled < 10, "numbers long past do not count, new ones do: {cancelled}");
    }
}
