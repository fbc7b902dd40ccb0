//! What of the round trip is queue: the least RTT of ten minutes as the path's own, and a filter over the latest samples.

use core::time::Duration;

use codec::Time;

/// The base delay is the least of so many minutes (RFC 6817 §2.4.2, `BASE_HISTORY`).
pub(super) const BASE_HISTORY: usize = 10;
/// How long one place of the history lasts.
const MINUTE: Duration = Duration::from_secs(60);
/// The delay of now is the least of so many samples (RFC 6817 §2.4.2, `CURRENT_FILTER`).
pub(super) const CURRENT_FILTER: usize = 4;

/// The delays of a path.
///
/// Both memories forget: the base after ten minutes, so that a route that became longer is not taken for a queue for ever; a
/// sample after one RTT, so that a batch or a pause does not make the past look like now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delays {
    /// The least RTT of each minute, the current one first; `Duration::MAX` for a minute without samples.
    minutes: [Duration; BASE_HISTORY],
    minute_start: Time,
    /// The latest samples, the newest first.
    recent: [Option<Sample>; CURRENT_FILTER],
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Time,
    rtt: Duration,
}

impl Delays {
    /// A path of which at most the least RTT so far is known.
    pub(super) fn new(now: Time, minimum: Option<Duration>) -> Self {
        let mut minutes = [Duration::MAX; BASE_HISTORY];
        if let (Some(current), Some(minimum)) = (minutes.first_mut(), minimum) {
            *current = minimum;
        }
        Self { minutes, minute_start: now, recent: [None; CURRENT_FILTER] }
    }

    /// Takes in one sample.
    pub(super) fn on_sample(&mut self, now: Time, rtt: Duration) {
        let elapsed = now.saturating_since(self.minute_start).as_secs() / MINUTE.as_secs();
        if elapsed > 0 {
            let places = usize::try_from(elapsed).unwrap_or(BASE_HISTORY).min(BASE_HISTORY);
            self.minutes.rotate_right(places);
            self.minutes.iter_mut().take(places).for_each(|minute| *minute = Duration::MAX);
            self.minute_start = now;
        }
        if let Some(current) = self.minutes.first_mut() {
            *current = (*current).min(rtt);
        }
        self.recent.rotate_right(1);
        if let Some(newest) = self.recent.first_mut() {
            *newest = Some(Sample { at: now, rtt });
        }
    }

    /// The RTT of the path without a queue; `None` before the first sample.
    pub(super) fn base(&self) -> Option<Duration> {
        self.minutes.into_iter().min().filter(|base| *base != Duration::MAX)
    }

    /// The time that packets spend in queues now: the least of the last few samples, but only of those less than `within` before
    /// the newest, less the base.
    pub(super) fn queueing(&self, within: Duration) -> Option<Duration> {
        let newest = self.recent.first().copied().flatten()?.at;
        let fresh = self
            .recent
            .into_iter()
            .flatten()
            .filter(|sample| newest.saturating_since(sample.at) < within.max(Duration::from_nanos(1)));
        let current = fresh.map(|sample| sample.rtt).min()?;
        Some(current.saturating_sub(self.base()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_nanos(seconds * 1_000_000_000)
    }

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_queue_is_what_the_least_of_four_samples_has_over_the_base() {
        let mut delays = Delays::new(at(0), None);
        assert_eq!((delays.base(), delays.queueing(ms(100))), (None, None));
        for rtt in [50, 80, 90, 70, 110] {
            delays.on_sample(at(1), ms(rtt));
        }
        assert_eq!((delays.base(), delays.queueing(ms(100))), (Some(ms(50)), Some(ms(20))));
        delays.on_sample(at(1), ms(120));
        delays.on_sample(at(1), ms(130));
        delays.on_sample(at(1), ms(140));
        assert_eq!(delays.queueing(ms(100)), Some(ms(60)), "of 110, 120, 130, 140");
    }

    #[test]
    fn a_sample_that_is_older_than_a_round_trip_says_nothing_of_now() {
        let mut delays = Delays::new(at(0), Some(ms(40)));
        delays.on_sample(at(1), ms(50));
        delays.on_sample(at(3), ms(90));
        assert_eq!(delays.queueing(ms(100)), Some(ms(50)));
        assert_eq!(delays.queueing(ms(2000)), Some(ms(50)));
        assert_eq!(delays.queueing(ms(2001)), Some(ms(10)));
    }

    #[test]
    fn the_base_is_forgotten_after_ten_minutes() {
        let mut delays = Delays::new(at(0), Some(ms(20)));
        for minute in 1..10 {
            delays.on_sample(at(60 * minute), ms(50));
            assert_eq!(delays.base(), Some(ms(20)), "minute {minute}");
        }
        delays.on_sample(at(600), ms(50));
        assert_eq!(delays.base(), Some(ms(50)));
        // Nine minutes of silence keep one minute's, an hour's keep nothing.
        delays.on_sample(at(601), ms(30));
        delays.on_sample(at(601 + 540), ms(70));
        assert_eq!(delays.base(), Some(ms(30)));
        delays.on_sample(at(601 + 3600), ms(80));
        assert_eq!(delays.base(), Some(ms(80)));
    }

    #[test]
    fn no_time_and_no_sample_is_too_large() {
        let mut delays = Delays::new(Time::from_nanos(u64::MAX), Some(Duration::MAX));
        delays.on_sample(at(0), Duration::MAX);
        delays.on_sample(Time::from_nanos(u64::MAX), Duration::MAX);
        delays.on_sample(Time::from_nanos(u64::MAX), Duration::ZERO);
        assert_eq!((delays.base(), delays.queueing(Duration::MAX)), (Some(Duration::ZERO), Some(Duration::ZERO)));
    }
}
