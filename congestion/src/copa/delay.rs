//! [`Delays`]: the RTTs that Copa compares, each the least or the most of a time that passes.

use core::time::Duration;

use codec::Time;

use crate::{Observed, Snapshot};

/// For so long the least RTT is remembered (section 2.1).
const MINIMUM_MEMORY: Duration = Duration::from_secs(10);
/// For so many smoothed RTTs the largest one is remembered (section 2.2).
const MAXIMUM_MEMORY: u32 = 4;
/// A queue is nearly empty below a quarter of the largest queueing delay. Section 2.2 has a tenth, which flows that do not
/// overshoot do not come to: two of them would take each other for somebody who fills the queue. CUBIC leaves more than that.
const NEARLY_EMPTY_DIVISOR: u32 = 4;
/// No RTT is longer than this.
const LONGEST: Duration = Duration::from_secs(3600);

/// What is known of the path's delays.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delays {
    minimum: Extreme,
    standing: Extreme,
    /// The least of a whole smoothed RTT.
    round: Extreme,
    /// The longest, as the time by which it falls short of [`LONGEST`].
    shortfall: Extreme,
    /// Delay up to this is not taken for a queue.
    noise: Duration,
}

impl Delays {
    pub(super) fn new(noise: Duration) -> Self {
        Self { noise, ..Self::default() }
    }

    pub(super) fn from_snapshot(snapshot: &Snapshot, now: Time, noise: Duration) -> Self {
        let mut delays = Self::new(noise);
        if let (Some(minimum), Some(smoothed)) = (snapshot.minimum_rtt, snapshot.smoothed_rtt) {
            delays.minimum.add(now, minimum.min(LONGEST), MINIMUM_MEMORY);
            delays.take(now, smoothed, smoothed);
        }
        delays
    }

    pub(super) fn on_observed(&mut self, observed: &Observed) {
        if let Some(sample) = observed.rtt_sample {
            self.take(observed.now, sample, observed.rtt.smoothed);
        }
    }

    fn take(&mut self, now: Time, sample: Duration, smoothed: Duration) {
        let (sample, smoothed) = (sample.min(LONGEST), smoothed.min(LONGEST));
        self.minimum.add(now, sample, MINIMUM_MEMORY);
        self.standing.add(now, sample, smoothed / 2);
        self.round.add(now, sample, smoothed);
        self.shortfall.add(now, LONGEST.saturating_sub(sample), smoothed * MAXIMUM_MEMORY);
    }

    /// RTTmin, of the last ten seconds; `None` before the first sample.
    pub(super) fn minimum(&self) -> Option<Duration> {
        self.minimum.least()
    }

    /// RTTstanding, the least of the last half smoothed RTT; `None` before the first sample.
    pub(super) fn standing(&self) -> Option<Duration> {
        self.standing.least()
    }

    /// dq, the standing queueing delay, less what is noise.
    pub(super) fn queueing(&self) -> Duration {
        let standing = self.standing().unwrap_or_default();
        standing.saturating_sub(self.minimum().unwrap_or_default()).saturating_sub(self.noise)
    }

    /// The queueing delay that was there throughout the last smoothed RTT, less what is noise.
    pub(super) fn queueing_throughout(&self) -> Duration {
        let least = self.round.least().unwrap_or_default();
        least.saturating_sub(self.minimum().unwrap_or_default()).saturating_sub(self.noise)
    }

    /// Whether a sample shows a queue that is nearly empty, compared with its fullest in the last four RTTs. One packet in it,
    /// which takes so long, is none.
    pub(super) fn is_nearly_empty(&self, sample: Duration, packet: Duration) -> bool {
        let minimum = self.minimum().unwrap_or_default();
        let longest = LONGEST.saturating_sub(self.shortfall.least().unwrap_or(LONGEST));
        let fullest = longest.saturating_sub(minimum);
        sample.saturating_sub(minimum) <= (fullest / NEARLY_EMPTY_DIVISOR).max(self.noise).max(packet)
    }
}

/// The least of the samples of a time that passes: the best, the best since that one, and the best since that one.
///
/// When the best is too old, the next takes its place. What is kept is never older than the memory and never less than the
/// true least; it may be a little more where more than three would have to be kept.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extreme {
    best: [Option<(Time, Duration)>; 3],
}

impl Extreme {
    pub(super) fn least(&self) -> Option<Duration> {
        let [best, ..] = self.best;
        best.map(|(_, sample)| sample)
    }

    pub(super) fn add(&mut self, now: Time, sample: Duration, memory: Duration) {
        let new = Some((now, sample));
        let is_old =
            |kept: Option<(Time, Duration)>, age: Duration| kept.is_none_or(|(at, _)| now.saturating_since(at) > age);
        let is_better = |kept: Option<(Time, Duration)>| kept.is_none_or(|(_, least)| sample <= least);
        let [first, second, third] = &mut self.best;
        // All three too old, as after a pause: what they knew is void.
        if is_better(*first) || is_old(*third, memory) {
            self.best = [new; 3];
            return;
        }
        if is_better(*second) {
            (*second, *third) = (new, new);
        } else if is_better(*third) {
            *third = new;
        }
        if is_old(*first, memory) {
            (*first, *second, *third) = (*second, *third, new);
            if is_old(*first, memory) {
                (*first, *second) = (*second, *third);
            }
        } else if second == first && is_old(*second, memory / 4) {
            // The second and third are of the later quarters, so that there is something to fall back to.
            (*second, *third) = (new, new);
        } else if third == second && is_old(*third, memory / 2) {
            *third = new;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::RttView;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn at(milliseconds: u64) -> Time {
        Time::ZERO + ms(milliseconds)
    }

    fn turn(now: u64, sample: u64) -> Observed {
        let rtt = RttView { smoothed: ms(100), ..RttView::default() };
        Observed { now: at(now), rtt_sample: Some(ms(sample)), rtt, ..Observed::default() }
    }

    #[test]
    fn the_least_of_a_time_that_passes() {
        let mut extreme = Extreme::default();
        assert_eq!(extreme.least(), None);
        for (now, sample, least) in
            [(0, 5, 5), (10, 7, 5), (40, 6, 5), (100, 8, 5), (101, 9, 6), (141, 9, 8), (900, 20, 20)]
        {
            extreme.add(at(now), ms(sample), ms(100));
            assert_eq!(extreme.least(), Some(ms(least)), "at {now}");
        }
    }

    #[test]
    fn the_standing_rtt_is_of_half_an_rtt_and_the_least_of_ten_seconds() {
        let mut delays = Delays::new(Duration::ZERO);
        assert_eq!((delays.minimum(), delays.standing(), delays.queueing()), (None, None, Duration::ZERO));
        delays.on_observed(&turn(0, 80));
        for now in [30, 60, 90, 120] {
            delays.on_observed(&turn(now, 100));
        }
        assert_eq!((delays.minimum(), delays.standing()), (Some(ms(80)), Some(ms(100))));
        assert_eq!(delays.queueing(), ms(20));
        for step in 0..400 {
            delays.on_observed(&turn(150 + step * 30, 100));
        }
        assert_eq!(delays.minimum(), Some(ms(100)), "after ten seconds the path is another");
        assert_eq!(delays.queueing(), Duration::ZERO);
    }

    #[test]
    fn noise_is_no_queue() {
        let mut delays = Delays::new(Duration::from_micros(100));
        for (now, micros, expected) in [(0, 80_000, 0), (60, 80_090, 0), (120, 80_350, 250)] {
            let sample = Some(Duration::from_micros(micros));
            delays.on_observed(&Observed { rtt_sample: sample, ..turn(now, 0) });
            assert_eq!(delays.queueing(), Duration::from_micros(expected));
        }
    }

    #[test]
    fn nearly_empty_is_a_quarter_of_the_fullest() {
        let mut delays = Delays::new(Duration::ZERO);
        delays.on_observed(&turn(0, 80));
        delays.on_observed(&turn(50, 180));
        assert!(delays.is_nearly_empty(ms(105), ms(1)));
        assert!(!delays.is_nearly_empty(ms(106), ms(1)));
        // The 180 are forgotten after four RTTs.
        for step in 0..20 {
            delays.on_observed(&turn(100 + step * 30, 100));
        }
        assert!(delays.is_nearly_empty(ms(85), ms(2)) && !delays.is_nearly_empty(ms(86), ms(2)));
    }

    proptest! {
        #[test]
        fn what_is_kept_is_young_and_not_less_than_the_least(
            steps in proptest::collection::vec((0_u64..40, 0_u64..1000), 1..200),
        ) {
            let mut extreme = Extreme::default();
            let (mut now, mut seen) = (0, std::vec::Vec::new());
            for (step, sample) in steps {
                now += step;
                seen.push((now, ms(sample)));
                extreme.add(at(now), ms(sample), ms(100));
                let young = || seen.iter().filter(|(at, _)| now - at <= 100).map(|(_, sample)| *sample);
                let least = extreme.least().unwrap();
                prop_assert!(young().any(|sample| sample == least), "{least:?} of {:?}", young().collect::<std::vec::Vec<_>>());
                prop_assert!(least <= young().next_back().unwrap());
            }
        }
    }
}
