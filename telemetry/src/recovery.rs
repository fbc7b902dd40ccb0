//! Recovery: what was acknowledged, what was lost, and how long the way is.

use crate::family::Family;
use crate::handle::{Counter, Histogram, Level};
use crate::labels::{Algorithm, Direction, Role, Space};
use crate::layer::{label, layer};

label! {
    /// Which rule declared a packet lost (RFC 9002 §6).
    LossTrigger { PacketThreshold = "packet_threshold", TimeThreshold = "time_threshold", ProbeTimeout = "pto", }
}

label! {
    /// What became of ECN on a path (RFC 9000 §13.4.2).
    EcnValidation { Capable = "capable", Failed = "failed", NotSupported = "not_supported", }
}

layer! {
    /// What the connections of a shard learn about their packets.
    RecoveryMetrics of "recovery" {
        packets_acked: Family<Space, Counter> = "quicast_recovery_packets_acked_total" by ["space"],
            "Packets newly acknowledged.";
        packets_lost: Family<(Space, LossTrigger), Counter> =
            "quicast_recovery_packets_lost_total" by ["space", "trigger"],
            "Packets declared lost.";
        packets_spuriously_lost: Counter = "quicast_recovery_packets_spuriously_lost_total",
            "Declared lost, then acknowledged.";
        lost_bytes: Counter = "quicast_recovery_lost_bytes_total",
            "Bytes declared lost.";
        stream_retransmitted_bytes: Counter = "quicast_recovery_stream_retransmitted_bytes_total",
            "Stream bytes sent again.";
        pto_expirations: Family<Space, Counter> = "quicast_recovery_pto_expirations_total" by ["space"],
            "Probe timeouts.";
        persistent_congestion: Counter = "quicast_recovery_persistent_congestion_total",
            "Persistent congestion established.";
        smoothed_rtt: Family<Role, Histogram> = "quicast_recovery_smoothed_rtt_seconds" by ["role"] in ROUND_TRIP,
            "Smoothed RTT, one sample a connection a second.";
        min_rtt: Family<Role, Histogram> = "quicast_recovery_min_rtt_seconds" by ["role"] in ROUND_TRIP,
            "Minimum RTT at close.";
        ack_delay: Family<Direction, Histogram> = "quicast_recovery_ack_delay_seconds" by ["direction"] in LATENCY,
            "ACK delay field of sent and received ACKs (sampled).";
        bytes_in_flight: Family<Algorithm, Level> = "quicast_recovery_bytes_in_flight" by ["cc"],
            "Sum over connections.";
        ecn_validation: Family<EcnValidation, Counter> = "quicast_recovery_ecn_validation_total" by ["result"],
            "Path ECN validation outcome.";
    }
}
