//! [`Outcome`]: what an acknowledgement or a deadline came to.

use alloc::vec::Vec;
use core::mem::take;
use core::time::Duration;

use codec::Time;

use crate::SpaceId;
use crate::delivery::DeliverySample;
use crate::ecn::EcnVerdict;

/// What became of packets, for their owners and for the congestion controller.
///
/// Everything is added to what is there, so that one `Outcome` serves for all ACKs of a turn; [`clear`](Self::clear)
/// empties it and keeps the memory. Numbers speak of the current path only, unless their line says otherwise; tokens
/// come back from all paths.
#[derive(Clone, Debug)]
pub struct Outcome<T> {
    /// Tokens of packets that arrived. All paths.
    pub acknowledged: Vec<T>,
    /// Tokens of packets that are lost. All paths.
    pub lost: Vec<T>,
    /// Tokens of packets that nothing will be heard of any more, because their keys or their packets were given up.
    /// All paths.
    pub discarded: Vec<T>,
    /// Packets newly acknowledged, those that carry only ACKs included.
    pub newly_acknowledged_packets: u64,
    /// Bytes of packets in flight that were newly acknowledged.
    pub acknowledged_bytes: u64,
    /// Packets lost because enough later ones arrived.
    pub lost_packets_by_packet_threshold: u64,
    /// Packets lost because they were sent long ago and a later one arrived.
    pub lost_packets_by_time_threshold: u64,
    /// Bytes of both, without probes for larger datagrams.
    pub lost_bytes: u64,
    /// The largest of the newly acknowledged packets in flight, in bytes; probes for larger datagrams do not count.
    pub largest_acknowledged_size: u16,
    /// The smallest of the lost packets, in bytes; 0 if none was lost.
    pub smallest_lost_size: u16,
    /// When the last sent of the lost packets was sent.
    pub largest_lost_sent_at: Option<Time>,
    /// When the last sent of the newly acknowledged packets in flight was sent.
    pub largest_acknowledged_sent_at: Option<Time>,
    /// The largest newly acknowledged number. All paths.
    pub largest_newly_acknowledged: Option<u64>,
    /// All packets of a long time were lost (RFC 9002 §7.6): back to the minimum window.
    pub persistent_congestion: bool,
    /// The newest RTT sample, as measured.
    pub rtt_sample: Option<Duration>,
    /// Packets newly reported as marked CE on a path that reports truthfully.
    pub ecn_ce: u64,
    /// Something became known about ECN on the path.
    pub ecn: Option<EcnVerdict>,
    /// The newest measurement of the delivery rate.
    pub delivery: Option<DeliverySample>,
    /// A probe timeout expired: send this many ack-eliciting packets in this space, whatever the window says.
    pub probes: Option<(SpaceId, u8)>,
    /// Packets acknowledged after they were declared lost.
    pub spurious: u64,
    /// The largest probe for a larger datagram that arrived, in bytes.
    pub mtu_probe_acknowledged: Option<u16>,
    /// The smallest probe for a larger datagram that was lost, in bytes.
    pub mtu_probe_lost: Option<u16>,
    /// Bytes in flight before the first event since the last `clear`.
    pub prior_in_flight: Option<u64>,
    /// Packets in flight on earlier paths that were newly acknowledged.
    pub acknowledged_packets_of_earlier_paths: u64,
    /// Packets in flight on earlier paths that are lost.
    pub lost_packets_of_earlier_paths: u64,
}

impl<T> Outcome<T> {
    /// Nothing happened yet.
    pub const fn new() -> Self {
        Self {
            acknowledged: Vec::new(),
            lost: Vec::new(),
            discarded: Vec::new(),
            newly_acknowledged_packets: 0,
            acknowledged_bytes: 0,
            lost_packets_by_packet_threshold: 0,
            lost_packets_by_time_threshold: 0,
            lost_bytes: 0,
            largest_acknowledged_size: 0,
            smallest_lost_size: 0,
            largest_lost_sent_at: None,
            largest_acknowledged_sent_at: None,
            largest_newly_acknowledged: None,
            persistent_congestion: false,
            rtt_sample: None,
            ecn_ce: 0,
            ecn: None,
            delivery: None,
            probes: None,
            spurious: 0,
            mtu_probe_acknowledged: None,
            mtu_probe_lost: None,
            prior_in_flight: None,
            acknowledged_packets_of_earlier_paths: 0,
            lost_packets_of_earlier_paths: 0,
        }
    }

    /// Forgets everything and keeps the memory of the lists.
    pub fn clear(&mut self) {
        *self = Self {
            acknowledged: emptied(take(&mut self.acknowledged)),
            lost: emptied(take(&mut self.lost)),
            discarded: emptied(take(&mut self.discarded)),
            ..Self::new()
        };
    }

    /// Packets lost on the current path, without probes for larger datagrams.
    pub const fn lost_packets(&self) -> u64 {
        self.lost_packets_by_packet_threshold.saturating_add(self.lost_packets_by_time_threshold)
    }
}

fn emptied<T>(mut list: Vec<T>) -> Vec<T> {
    list.clear();
    list
}

impl<T> Default for Outcome<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clearing_forgets_all_and_keeps_the_memory() {
        let mut outcome = Outcome::new();
        outcome.acknowledged.extend(0..100);
        outcome.lost.extend(0..100);
        outcome.spurious = 3;
        let capacity = outcome.acknowledged.capacity();
        outcome.clear();
        assert!(outcome.acknowledged.is_empty() && outcome.lost.is_empty());
        assert_eq!(outcome.spurious, 0);
        assert_eq!(outcome.acknowledged.capacity(), capacity);
    }
}
