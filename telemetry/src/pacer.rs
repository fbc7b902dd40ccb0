//! Pacer: how fast connections may send, and how well the pacer keeps its promises.

use crate::family::Family;
use crate::handle::Histogram;
use crate::labels::Algorithm;
use crate::layer::layer;

layer! {
    /// What one shard's pacer does.
    PacerMetrics of "pacer" {
        rate: Family<Algorithm, Histogram> = "quicast_pacer_rate_bytes_per_second" by ["cc"] in BYTES,
            "Pacing rate, one sample a connection a second.";
        burst: Histogram = "quicast_pacer_burst_datagrams" in BATCH,
            "Datagrams released at one pacing instant.";
        lateness: Histogram = "quicast_pacer_lateness_seconds" in LATENCY,
            "Actual minus planned release time.";
    }
}
