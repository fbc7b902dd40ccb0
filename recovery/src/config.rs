//! [`Config`]: the constants of RFC 9002, as numbers that a test or an operator may change.

use core::time::Duration;

/// What [`Recovery`](crate::Recovery) is tuned with (RFC 9002 appendix A.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Config {
    /// The round-trip time that is assumed before the first sample: kInitialRtt, RFC 9002 §6.2.2.
    pub initial_rtt: Duration,
    /// How many packets later an acknowledged one must have been sent: kPacketThreshold, RFC 9002 §6.1.1. Values below
    /// 3 are taken as 3.
    pub packet_threshold: u64,
    /// The time threshold in eighths of a round trip, 9 for 9/8: kTimeThreshold, RFC 9002 §6.1.2.
    pub time_threshold_eighths: u32,
    /// What the shell's timers can tell apart: kGranularity, RFC 9002 §6.1.2.
    pub granularity: Duration,
    /// Probe timeouts that make congestion persistent: kPersistentCongestionThreshold, RFC 9002 §7.6.1.
    pub persistent_congestion_threshold: u32,
    /// Sent packets that are remembered at once, over all spaces; see [`Recovery::is_full`](crate::Recovery::is_full).
    pub sent_packets: usize,
}

impl Default for Config {
    /// The values that the RFC recommends, and 25,000 sent packets.
    fn default() -> Self {
        Self {
            initial_rtt: Duration::from_millis(333),
            packet_threshold: 3,
            time_threshold_eighths: 9,
            granularity: Duration::from_millis(1),
            persistent_congestion_threshold: 3,
            sent_packets: 25_000,
        }
    }
}
