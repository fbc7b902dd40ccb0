//! What an actor holds to count with: one handle for each series it moves, looked up once, when it starts.
//!
//! Each is a thin coat around a handle of the `metrics` crate, so any recorder can stand behind it. A handle costs an
//! atomic operation: machines count in plain integers, and a turn adds the sum.

use std::cell::Cell;
use std::time::Duration;

use metrics::{Key, Metadata, Recorder};

use crate::metric::Kind;

/// A handle that can be asked of a recorder.
pub trait Handle: Sized {
    /// Which kind of metric it moves.
    const KIND: Kind;

    /// The handle of one series.
    fn register(recorder: &dyn Recorder, key: &Key) -> Self;
}

const METADATA: Metadata<'static> = Metadata::new(module_path!(), metrics::Level::INFO, Some(module_path!()));

/// Counts whole things.
#[derive(Clone, Debug)]
pub struct Counter(metrics::Counter);

impl Counter {
    /// Adds what a turn has counted; nothing happens, and nothing is paid, for zero.
    pub fn add(&self, count: u64) {
        if count > 0 {
            self.0.increment(count);
        }
    }
}

impl Handle for Counter {
    const KIND: Kind = Kind::Counter;

    fn register(recorder: &dyn Recorder, key: &Key) -> Self {
        Self(recorder.register_counter(key, &METADATA))
    }
}

/// Counts seconds in fractions.
///
/// The counters of the `metrics` crate are whole numbers, so a gauge stands behind it that only grows; the exposition
/// says `counter`.
#[derive(Clone, Debug)]
pub struct Seconds(metrics::Gauge);

impl Seconds {
    /// Adds time that has passed.
    pub fn add(&self, time: Duration) {
        if !time.is_zero() {
            self.0.increment(time.as_secs_f64());
        }
    }
}

impl Handle for Seconds {
    const KIND: Kind = Kind::Seconds;

    fn register(recorder: &dyn Recorder, key: &Key) -> Self {
        Self(recorder.register_gauge(key, &METADATA))
    }
}

/// A value that one writer sets.
#[derive(Clone, Debug)]
pub struct Gauge(metrics::Gauge);

impl Gauge {
    /// Sets it. With several writers the last one wins: they want a [`Level`].
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }
}

impl Handle for Gauge {
    const KIND: Kind = Kind::Gauge;

    fn register(recorder: &dyn Recorder, key: &Key) -> Self {
        Self(recorder.register_gauge(key, &METADATA))
    }
}

/// A value that is the sum of many writers' shares: bytes in flight over all connections, say.
#[derive(Clone, Debug)]
pub struct Level(metrics::Gauge);

impl Level {
    /// One more.
    pub fn increment(&self) {
        self.0.increment(1.0);
    }

    /// One less.
    pub fn decrement(&self) {
        self.0.decrement(1.0);
    }

    /// A new writer's share, which is zero and is taken back when it is dropped.
    pub fn share(&self) -> Share {
        Share { level: self.0.clone(), last: Cell::new(0) }
    }
}

impl Handle for Level {
    const KIND: Kind = Kind::Gauge;

    fn register(recorder: &dyn Recorder, key: &Key) -> Self {
        Self(recorder.register_gauge(key, &METADATA))
    }
}

/// What one writer adds to a [`Level`]. It remembers what it said last, so that it can say the new value and be right.
#[derive(Debug)]
pub struct Share {
    level: metrics::Gauge,
    last: Cell<u64>,
}

impl Share {
    /// Replaces this writer's share; nothing happens, and nothing is paid, if it is unchanged.
    pub fn set(&self, value: u64) {
        let last = self.last.replace(value);
        if value > last {
            self.level.increment(as_float(value - last));
        } else if value < last {
            self.level.decrement(as_float(last - value));
        }
    }

    /// The share as it was last said.
    pub fn get(&self) -> u64 {
        self.last.get()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// The largest value since the last scrape, over all writers.
#[derive(Clone, Debug)]
pub struct Peak(metrics::Gauge);

impl Peak {
    /// Keeps the value if it is the largest.
    pub fn observe(&self, value: u64) {
        self.0.set(as_float(value));
    }
}

impl Handle for Peak {
    const KIND: Kind = Kind::Peak;

    fn register(recorder: &dyn Recorder, key: &Key) -> Self {
        Self(recorder.register_gauge(key, &METADATA))
    }
}

/// Counts how often a value falls into each bucket.
#[derive(Clone, Debug)]
pub struct Histogram(metrics::Histogram);

impl Histogram {
    /// One value, in the unit of the metric's name.
    pub fn record(&self, value: f64) {
        self.0.record(value);
    }

    /// One time, in seconds.
    pub fn record_time(&self, time: Duration) {
        self.0.record(time.as_secs_f64());
    }

    /// One size.
    pub fn record_size(&self, size: u64) {
        self.0.record(as_float(size));
    }

    /// The same value many times, at the price of once.
    pub fn record_many(&self, value: f64, count: u64) {
        if count > 0 {
            self.0.record_many(value, usize::try_from(count).unwrap_or(usize::MAX));
        }
    }
}

impl Handle for Histogram {
    const KIND: Kind = Kind::Histogram;

    fn register(recorder: &dyn Recorder, key: &Key) -> Self {
        Self(recorder.register_histogram(key, &METADATA))
    }
}

/// Exact up to 2^53, which no count of ours passes: as bytes that would be eight pebibytes in one gauge.
fn as_float(value: u64) -> f64 {
    value as f64
}
