//! How long each of many things took.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::error::Failure;

/// The longest that is told apart, in nanoseconds: a minute.
const LONGEST: u64 = 60_000_000_000;
/// Significant figures that are kept.
const FIGURES: u8 = 3;

/// Durations, to three significant figures. Its size does not depend on their number.
#[derive(Clone, Debug)]
pub(crate) struct Latency {
    nanoseconds: Histogram<u64>,
}

impl Latency {
    pub(crate) fn new() -> Result<Self, Failure> {
        let nanoseconds = Histogram::new_with_bounds(1, LONGEST, FIGURES).map_err(Failure::failed)?;
        Ok(Self { nanoseconds })
    }

    /// One more. What took longer than a minute counts as a minute.
    pub(crate) fn record(&mut self, took: Duration) {
        self.nanoseconds.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(LONGEST));
    }

    /// All that another has recorded.
    pub(crate) fn add(&mut self, other: &Self) -> Result<(), Failure> {
        self.nanoseconds.add(&other.nanoseconds).map_err(Failure::failed)
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.nanoseconds.len()
    }

    /// What so many of a hundred did not exceed, in microseconds. Nothing if there were none.
    pub(crate) fn percentile(&self, percentile: f64) -> Option<f64> {
        (self.count() > 0).then(|| self.nanoseconds.value_at_percentile(percentile) as f64 / 1e3)
    }

    /// Points of a curve: of how many hundredths, and the microseconds that those did not exceed.
    ///
    /// From the least to the greatest, each point closer to 100 by the same factor, as far as there are samples to tell.
    pub(crate) fn curve(&self) -> Vec<(f64, f64)> {
        const PER_DECADE: f64 = 20.0;
        let decades = (self.count().max(10) as f64).log10();
        let steps = (decades * PER_DECADE) as u32;
        let percentiles = (0..=steps).map(|step| 100.0 - 100.0 / 10_f64.powf(f64::from(step) / PER_DECADE));
        percentiles.filter_map(|percentile| Some((percentile, self.percentile(percentile)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_recorded() {
        let mut latency = Latency::new().unwrap();
        assert_eq!((latency.percentile(50.0), latency.curve().len()), (None, 0));
        for microseconds in 1..=1000 {
            latency.record(Duration::from_micros(microseconds));
        }
        latency.record(Duration::from_secs(3600));
        assert_eq!(latency.count(), 1001);
        for (percentile, expected) in [(50.0, 501.0), (99.0, 991.0)] {
            let found = latency.percentile(percentile).unwrap();
            assert!((found - expected).abs() <= expected * 0.002, "{percentile}: {found}");
        }
        assert!(latency.percentile(100.0).unwrap() > 59_000_000.0);
    }

    #[test]
    fn a_curve_rises_towards_the_slowest() {
        let mut latency = Latency::new().unwrap();
        (1..=100_000).for_each(|microseconds| latency.record(Duration::from_micros(microseconds)));
        let curve = latency.curve();
        assert_eq!(curve.len(), 101);
        assert!(curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
        assert!(curve.last().unwrap().0 > 99.99);
    }
}
