//! Where the numbers are: atomics, one cache line each, so that shards which count side by side do not disturb each other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use metrics::{CounterFn, GaugeFn, HistogramFn};

/// A whole number that grows.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct CounterCell(AtomicU64);

impl CounterCell {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl CounterFn for CounterCell {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }
}

/// A float, kept as its bits.
#[derive(Debug, Default)]
struct Float(AtomicU64);

impl Float {
    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    fn change(&self, change: impl Fn(f64) -> f64) {
        let mut bits = self.0.load(Ordering::Relaxed);
        loop {
            let changed = change(f64::from_bits(bits)).to_bits();
            match self.0.compare_exchange_weak(bits, changed, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(current) => bits = current,
            }
        }
    }
}

/// A float that goes up and down, and remembers that it did.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct GaugeCell {
    value: Float,
    moved: AtomicBool,
}

impl GaugeCell {
    pub(crate) fn get(&self) -> f64 {
        self.value.get()
    }

    pub(crate) fn has_moved(&self) -> bool {
        self.moved.load(Ordering::Relaxed)
    }

    fn note(&self, value: f64) {
        if value != 0.0 && !self.has_moved() {
            self.moved.store(true, Ordering::Relaxed);
        }
    }
}

impl GaugeFn for GaugeCell {
    fn increment(&self, value: f64) {
        self.note(value);
        self.value.change(|current| current + value);
    }

    fn decrement(&self, value: f64) {
        self.note(value);
        self.value.change(|current| current - value);
    }

    fn set(&self, value: f64) {
        self.note(value);
        self.value.set(value);
    }
}

/// The largest value since it was last taken.
#[derive(Debug, Default)]
pub(crate) struct PeakCell(GaugeCell);

impl PeakCell {
    pub(crate) fn take(&self) -> f64 {
        f64::from_bits(self.0.value.0.swap(0, Ordering::Relaxed))
    }

    pub(crate) fn has_moved(&self) -> bool {
        self.0.has_moved()
    }
}

impl GaugeFn for PeakCell {
    fn increment(&self, value: f64) {
        self.0.increment(value);
    }

    fn decrement(&self, value: f64) {
        self.0.decrement(value);
    }

    fn set(&self, value: f64) {
        self.0.note(value);
        self.0.value.change(|current| current.max(value));
    }
}

/// How often a value fell into each bucket, and their sum. It never grows, whatever is recorded.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct HistogramCell {
    bounds: &'static [f64],
    counts: Box<[AtomicU64]>,
    sum: Float,
}

impl HistogramCell {
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(), sum: Float::default() }
    }

    /// Each bound with how many values were not above it; the last is infinite, so its number is that of all values.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut total = 0;
        self.bounds.iter().copied().chain([f64::INFINITY]).zip(&self.counts).map(move |(bound, count)| {
            total += count.load(Ordering::Relaxed);
            (bound, total)
        })
    }

    pub(crate) fn sum(&self) -> f64 {
        self.sum.get()
    }

    pub(crate) fn has_moved(&self) -> bool {
        self.counts.iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }

    fn add(&self, value: f64, count: u64) {
        // What is not a number falls into no bucket and would spoil the sum for good.
        if value.is_nan() {
            return;
        }
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(cell) = self.counts.get(bucket) {
            cell.fetch_add(count, Ordering::Relaxed);
            self.sum.change(|sum| sum + value * count as f64);
        }
    }
}

impl HistogramFn for HistogramCell {
    fn record(&self, value: f64) {
        self.add(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        self.add(value, count as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_belongs_to_that_bucket() {
        let cell = HistogramCell::new(&[1.0, 2.0]);
        cell.record(1.0);
        cell.record(1.5);
        cell.record_many(5.0, 1_000_000);
        assert_eq!(cell.cumulative().collect::<Vec<_>>(), [(1.0, 1), (2.0, 2), (f64::INFINITY, 1_000_002)]);
        assert!((cell.sum() - 5_000_002.5).abs() < 1e-6);
    }

    #[test]
    fn what_is_not_a_number_is_not_recorded() {
        let cell = HistogramCell::new(&[1.0]);
        cell.record(f64::NAN);
        assert!(!cell.has_moved());
        assert!(cell.sum().abs() < f64::EPSILON);
    }

    #[test]
    fn a_peak_is_the_largest_until_it_is_taken() {
        let cell = PeakCell::default();
        for value in [3.0, 7.0, 5.0] {
            cell.set(value);
        }
        assert!((cell.take() - 7.0).abs() < f64::EPSILON);
        assert!(cell.take().abs() < f64::EPSILON);
        assert!(cell.has_moved());
    }

    #[test]
    fn a_gauge_that_returned_to_zero_has_moved() {
        let cell = GaugeCell::default();
        cell.set(0.0);
        assert!(!cell.has_moved());
        cell.increment(1.0);
        cell.decrement(1.0);
        assert!(cell.has_moved());
        assert!(cell.get().abs() < f64::EPSILON);
    }

    #[test]
    fn threads_that_add_at_once_lose_nothing() {
        let (counter, gauge) = (CounterCell::default(), GaugeCell::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        counter.increment(1);
                        gauge.increment(0.5);
                    }
                });
            }
        });
        assert_eq!(counter.get(), 40_000);
        assert!((gauge.get() - 20_000.0).abs() < 1e-6);
    }
}
