//! [`Rtt`]: the estimate of a path's round-trip time (RFC 9002 §5).

use core::time::Duration;

use codec::Time;

/// The round-trip time of one path: the latest sample, the least, a moving average and its variation (RFC 9002 §5).
#[derive(Clone, Copy, Debug)]
pub struct Rtt {
    // Nanoseconds, because they are added and compared for every acknowledgement.
    latest: u64,
    smoothed: u64,
    variation: u64,
    minimum: u64,
    first_sample_at: Option<Time>,
}

impl Rtt {
    /// An estimate without samples, as good as `initial` is (RFC 9002 §6.2.2).
    pub fn new(initial: Duration) -> Self {
        let initial = nanoseconds(initial);
        Self { latest: 0, smoothed: initial, variation: initial / 2, minimum: 0, first_sample_at: None }
    }

    /// The newest sample: latest_rtt. Zero before the first.
    pub const fn latest(&self) -> Duration {
        Duration::from_nanos(self.latest)
    }

    /// The moving average: smoothed_rtt. The initial estimate before the first sample.
    pub const fn smoothed(&self) -> Duration {
        Duration::from_nanos(self.smoothed)
    }

    /// The mean deviation: rttvar. Half of the initial estimate before the first sample.
    pub const fn variation(&self) -> Duration {
        Duration::from_nanos(self.variation)
    }

    /// The least sample, not adjusted by what the peer says of its delays: min_rtt. Zero before the first sample.
    pub const fn minimum(&self) -> Duration {
        Duration::from_nanos(self.minimum)
    }

    /// Whether a packet of this path was ever measured.
    pub const fn has_sample(&self) -> bool {
        self.first_sample_at.is_some()
    }

    /// When the first sample was taken.
    pub const fn first_sample_at(&self) -> Option<Time> {
        self.first_sample_at
    }

    /// Takes a sample in. `ack_delay` is what the peer says it waited, already limited by its max_ack_delay if that
    /// applies (RFC 9002 §5.3).
    pub fn update(&mut self, sample: Duration, ack_delay: Duration, now: Time) {
        let sample = nanoseconds(sample);
        self.latest = sample;
        if self.first_sample_at.is_none() {
            //= https://www.rfc-editor.org/rfc/rfc9002#section-5.2
            //# min_rtt MUST be set to the latest_rtt on the first RTT sample.
            self.minimum = sample;
            self.smoothed = sample;
            self.variation = sample / 2;
            self.first_sample_at = Some(now);
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc9002#section-5.2
        //# min_rtt MUST be
        //# set to the lesser of min_rtt and latest_rtt
        self.minimum = self.minimum.min(sample);
        //= https://www.rfc-editor.org/rfc/rfc9002#section-5.3
        //# MUST NOT subtract the acknowledgment delay from the RTT sample if the
        //# resulting value is smaller than the min_rtt.
        let ack_delay = nanoseconds(ack_delay);
        let adjusted =
            if sample >= self.minimum.saturating_add(ack_delay) { sample.saturating_sub(ack_delay) } else { sample };
        // The variation is taken against the average before this sample, as in appendix A.7 and RFC 6298.
        self.variation = weighted(self.variation, 3, self.smoothed.abs_diff(adjusted), 2);
        self.smoothed = weighted(self.smoothed, 7, adjusted, 3);
    }

    /// Lets the newest sample be the least one, because the path is no longer what it was.
    pub fn restart_minimum(&mut self) {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-5.2
        //# Endpoints SHOULD set the min_rtt to the newest RTT sample after persistent
        //# congestion is established.
        self.minimum = self.latest;
    }

    /// The probe timeout without the peer's delay and without back-off (RFC 9002 §6.2.1).
    pub fn probe_timeout(&self, granularity: Duration) -> Duration {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1
        //# The PTO period MUST be at least kGranularity to avoid the timer expiring
        //# immediately.
        let margin = self.variation.saturating_mul(4).max(nanoseconds(granularity));
        Duration::from_nanos(self.smoothed.saturating_add(margin))
    }
}

/// `(weight * old + new) / 2^shift`; the weights add up to `2^shift`, so the result fits whenever the inputs do.
fn weighted(old: u64, weight: u64, new: u64, shift: u32) -> u64 {
    let sum = u128::from(old) * u128::from(weight) + u128::from(new);
    u64::try_from(sum >> shift).unwrap_or(u64::MAX)
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn milliseconds(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn sampled(samples: &[(u64, u64)]) -> Rtt {
        let mut rtt = Rtt::new(milliseconds(333));
        for &(sample, delay) in samples {
            rtt.update(milliseconds(sample), milliseconds(delay), Time::from_nanos(1));
        }
        rtt
    }

    #[test]
    fn before_the_first_sample_the_initial_estimate_gives_a_timeout_of_a_second() {
        let rtt = Rtt::new(milliseconds(333));
        assert!(!rtt.has_sample());
        assert_eq!(rtt.smoothed(), milliseconds(333));
        assert_eq!(rtt.variation(), Duration::from_micros(166_500));
        assert_eq!(rtt.probe_timeout(milliseconds(1)), milliseconds(999));
    }

    #[test]
    fn the_first_sample_replaces_the_initial_estimate() {
        let rtt = sampled(&[(100, 40)]);
        assert_eq!(rtt.latest(), milliseconds(100));
        assert_eq!(rtt.smoothed(), milliseconds(100));
        assert_eq!(rtt.variation(), milliseconds(50));
        assert_eq!(rtt.minimum(), milliseconds(100));
        assert_eq!(rtt.first_sample_at(), Some(Time::from_nanos(1)));
    }

    #[test]
    fn later_samples_weigh_an_eighth_and_a_quarter() {
        let rtt = sampled(&[(100, 0), (180, 0)]);
        assert_eq!(rtt.smoothed(), milliseconds(110));
        // 3/4 * 50 + 1/4 * |100 - 180|
        assert_eq!(rtt.variation(), Duration::from_micros(57_500));
        assert_eq!(rtt.minimum(), milliseconds(100));
    }

    #[test]
    fn a_plausible_delay_is_subtracted() {
        let rtt = sampled(&[(100, 0), (180, 40)]);
        assert_eq!(rtt.latest(), milliseconds(180));
        assert_eq!(rtt.smoothed(), milliseconds(105));
    }

    //= https://www.rfc-editor.org/rfc/rfc9002#section-5.3
    //= type=test
    //# MUST NOT subtract the acknowledgment delay from the RTT sample if the
    //# resulting value is smaller than the min_rtt.
    #[test]
    fn a_delay_that_would_undercut_the_minimum_is_ignored() {
        let rtt = sampled(&[(100, 0), (108, 9)]);
        assert_eq!(rtt.smoothed(), milliseconds(101));
        let exactly = sampled(&[(100, 0), (108, 8)]);
        assert_eq!(exactly.smoothed(), milliseconds(100));
    }

    #[test]
    fn the_minimum_ignores_the_peers_delay_and_follows_smaller_samples() {
        let rtt = sampled(&[(100, 0), (90, 50), (95, 0)]);
        assert_eq!(rtt.minimum(), milliseconds(90));
    }

    #[test]
    fn after_persistent_congestion_the_newest_sample_is_the_minimum() {
        let mut rtt = sampled(&[(100, 0), (400, 0)]);
        rtt.restart_minimum();
        assert_eq!(rtt.minimum(), milliseconds(400));
    }

    #[test]
    fn a_steady_path_still_waits_for_the_granularity() {
        let mut rtt = sampled(&[(10, 0)]);
        for _ in 0..100 {
            rtt.update(milliseconds(10), Duration::ZERO, Time::ZERO);
        }
        assert!(rtt.variation() < Duration::from_micros(1));
        assert_eq!(rtt.probe_timeout(milliseconds(1)), milliseconds(11));
    }

    #[test]
    fn absurd_samples_saturate() {
        let mut rtt = Rtt::new(Duration::MAX);
        assert_eq!(rtt.probe_timeout(Duration::MAX), Duration::from_nanos(u64::MAX));
        for delay in [Duration::ZERO, Duration::MAX] {
            rtt.update(Duration::MAX, delay, Time::MAX);
            rtt.update(Duration::ZERO, delay, Time::MAX);
        }
        rtt.restart_minimum();
        let week = Duration::from_secs(8 * 7 * 24 * 3600);
        rtt.update(week, Duration::ZERO, Time::MAX);
        assert_eq!(rtt.latest(), week);
    }
}
