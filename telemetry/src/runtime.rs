//! Runtime: whether the threads keep up, and what counting costs.

use crate::family::PerShard;
use crate::handle::{Histogram, Seconds};
use crate::layer::layer;

layer! {
    /// How one shard's thread is doing.
    RuntimeMetrics of "runtime" {
        loop_lag: PerShard<Histogram> = "quicast_runtime_loop_lag_seconds" by ["shard"] in TURN,
            "How late a 100 ms tick is on each arbiter.";
        busy: PerShard<Seconds> = "quicast_runtime_busy_seconds_total" by ["shard"],
            "Time each arbiter was not parked.";
        flush_duration: Histogram = "quicast_metrics_flush_duration_seconds" in TURN,
            "Time to fold shard-local counters into the recorder.";
    }
}
