//! [`Histogram`]: how durations are distributed, in little memory.

use std::time::Duration;

/// Steps of one power of two: values are known to within one part in so many.
const STEPS: u64 = 64;
/// Powers of two above the first, of which the steps are nanoseconds.
const POWERS: u64 = 40;

/// How durations are distributed: to within 1.6 %, however many there are.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    sum: u128,
    least: Option<Duration>,
    most: Duration,
}

impl Histogram {
    /// Adds one.
    pub(crate) fn record(&mut self, duration: Duration) {
        let place = place_of(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
        self.count += 1;
        self.sum += duration.as_nanos();
        self.least = Some(self.least.map_or(duration, |least| least.min(duration)));
        self.most = self.most.max(duration);
    }

    /// How many there are.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Their mean; zero if there are none.
    pub fn mean(&self) -> Duration {
        let mean = self.sum.checked_div(u128::from(self.count)).unwrap_or_default();
        Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
    }

    /// The shortest; zero if there are none.
    pub fn least(&self) -> Duration {
        self.least.unwrap_or_default()
    }

    /// The longest; zero if there are none.
    pub const fn most(&self) -> Duration {
        self.most
    }

    /// The duration that this share of them, from 0 to 1, does not exceed; zero if there are none.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = (share.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(highest_of(place)).clamp(self.least(), self.most);
            }
        }
        self.most
    }
}

fn place_of(nanoseconds: u64) -> usize {
    let nanoseconds = nanoseconds.min((STEPS << POWERS) - 1);
    let power = u64::from((nanoseconds / STEPS).checked_ilog2().map_or(0, |power| power + 1));
    let step = if power == 0 { nanoseconds } else { (nanoseconds >> (power - 1)) - STEPS };
    (power * STEPS + step) as usize
}

/// The largest value of a place.
fn highest_of(place: usize) -> u64 {
    let (power, step) = (place as u64 / STEPS, place as u64 % STEPS);
    if power == 0 { step } else { ((STEPS + step + 1) << (power - 1)) - 1 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_is_known_to_within_a_part_in_sixty_four(nanoseconds in 0_u64..1 << 45) {
            let place = place_of(nanoseconds);
            let highest = highest_of(place);
            prop_assert!(nanoseconds <= highest && highest - nanoseconds <= nanoseconds / STEPS);
            prop_assert!(place == 0 || highest_of(place - 1) < nanoseconds);
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.mean(), histogram.quantile(0.5)), (Duration::ZERO, Duration::ZERO));
        for milliseconds in 1..=1000 {
            histogram.record(Duration::from_millis(milliseconds));
        }
        for (share, expected) in [(0.0, 1), (0.5, 500), (0.99, 990), (1.0, 1000)] {
            let found = histogram.quantile(share).as_secs_f64() * 1e3;
            assert!((found / f64::from(expected) - 1.0).abs() < 0.016, "{share}: {found}");
        }
        assert_eq!(histogram.mean(), Duration::from_nanos(500_500_000));
        assert_eq!((histogram.least(), histogram.most()), (Duration::from_millis(1), Duration::from_secs(1)));
        assert_eq!(histogram.count(), 1000);
    }
}
