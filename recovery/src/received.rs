//! [`Received`]: the numbers that arrived in one space, and when to say so (RFC 9000 §13.2).

use core::ops::RangeInclusive;
use core::time::Duration;

use codec::Time;

use crate::ecn::{Ecn, EcnCounts};
use crate::{Ranges, SpaceId};

/// Ranges of received numbers that are kept for one space; the lowest make room (RFC 9000 §13.2.3).
pub const RANGES: usize = 64;
/// Ack-eliciting packets after which an acknowledgement is due (RFC 9000 §13.2.2).
const ACK_ELICITING_PACKETS: u64 = 2;

/// The packets received in one space: which numbers were seen, and when the peer must hear of them.
///
/// Ask [`is_new`](Self::is_new) before a packet's frames are looked at, call [`on_packet`](Self::on_packet) when they
/// are understood, and [`end_of_turn`](Self::end_of_turn) when all datagrams at hand are processed: so a burst of
/// packets is answered by one ACK.
#[derive(Clone, Debug)]
pub struct Received {
    space: SpaceId,
    ranges: Ranges,
    /// Of the largest number; survives the forgetting of ranges.
    largest: Option<(u64, Time)>,
    largest_ack_eliciting: Option<u64>,
    counts: EcnCounts,
    /// Ack-eliciting packets that no ACK of ours reported, and when the first of them arrived.
    unreported: u64,
    unreported_since: Time,
    /// One of them must not wait.
    immediate: bool,
    due: bool,
    deadline: Option<Time>,
    ack_sent_at: Option<Time>,
}

impl Received {
    /// A space in which nothing arrived.
    pub const fn new(space: SpaceId) -> Self {
        Self {
            space,
            ranges: Ranges::new(RANGES),
            largest: None,
            largest_ack_eliciting: None,
            counts: EcnCounts { ect0: 0, ect1: 0, ce: 0 },
            unreported: 0,
            unreported_since: Time::ZERO,
            immediate: false,
            due: false,
            deadline: None,
            ack_sent_at: None,
        }
    }

    /// Whether a packet of this number may be processed: it is no duplicate, and not so old that it cannot be told.
    pub fn is_new(&self, number: u64) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-12.3
        //# A receiver MUST discard a newly unprotected packet unless it is certain
        //# that it has not processed another packet with the same packet number from the
        //# same packet number space.
        !self.ranges.contains(number)
    }

    /// A packet was processed. `at` is when it arrived, `ecn` the mark in its IP header if it had one, `immediate`
    /// whether the peer or the connection wants an answer without delay. A number that is not new changes nothing.
    pub fn on_packet(&mut self, number: u64, at: Time, ack_eliciting: bool, ecn: Option<Ecn>, immediate: bool) {
        if !self.ranges.insert(number) {
            return;
        }
        if self.largest.is_none_or(|(largest, _)| number > largest) {
            self.largest = Some((number, at));
        }
        match ecn {
            None => {}
            Some(Ecn::Ect0) => self.counts.ect0 += 1,
            Some(Ecn::Ect1) => self.counts.ect1 += 1,
            Some(Ecn::Ce) => self.counts.ce += 1,
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1
        //# An endpoint MUST NOT send a non-ack-eliciting packet in response to a
        //# non-ack-eliciting packet, even if there are packet gaps that precede the
        //# received packet.
        if !ack_eliciting {
            return;
        }
        if self.unreported == 0 {
            self.unreported_since = at;
        }
        self.unreported += 1;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1
        //# An endpoint MUST acknowledge all ack-eliciting Initial and Handshake packets
        //# immediately
        let handshake = self.space != SpaceId::Application;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1
        //# Similarly, packets marked with the ECN Congestion Experienced (CE) codepoint in
        //# the IP header SHOULD be acknowledged immediately
        let congested = ecn == Some(Ecn::Ce);
        if handshake || congested || immediate || self.is_out_of_order(number) {
            self.immediate = true;
        }
        self.largest_ack_eliciting = self.largest_ack_eliciting.max(Some(number));
    }

    /// Whether an ack-eliciting packet came late or left a gap (RFC 9000 §13.2.1).
    fn is_out_of_order(&self, number: u64) -> bool {
        let Some(largest) = self.largest_ack_eliciting else { return false };
        //= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1
        //# when the received packet has a packet number less than another ack-eliciting
        //# packet that has been received
        //= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1
        //# when the packet has a packet number larger than the highest-numbered
        //# ack-eliciting packet that has been received and there are missing packets
        //# between that packet and this packet.
        number < largest
            || self
                .ranges
                .start_of(number)
                .is_none_or(|start| start > largest.saturating_add(1).max(self.ranges.floor()))
    }

    /// All packets at hand are processed: decides whether they are answered now or within `max_ack_delay`, the delay
    /// that we promised.
    pub fn end_of_turn(&mut self, now: Time, max_ack_delay: Duration) {
        if self.unreported == 0 || self.due {
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1
        //# all ack-eliciting 0-RTT and 1-RTT packets within its advertised
        //# max_ack_delay
        let deadline = self.unreported_since + max_ack_delay;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.2
        //# A receiver SHOULD send an ACK frame after receiving at least two ack-eliciting
        //# packets.
        self.due = self.immediate || self.unreported >= ACK_ELICITING_PACKETS || deadline <= now;
        self.deadline = (!self.due).then_some(deadline);
    }

    /// When the delayed acknowledgement must leave; `None` if none is owed or it is due already.
    pub const fn ack_deadline(&self) -> Option<Time> {
        self.deadline
    }

    /// Whether an ACK must be sent now, if need be in a packet of its own.
    pub fn is_ack_due(&self, now: Time) -> bool {
        self.due || self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Whether an ack-eliciting packet arrived that no ACK reported: one goes along with whatever is sent.
    pub const fn has_unsent_ack(&self) -> bool {
        self.unreported > 0
    }

    /// The largest number received.
    pub fn largest(&self) -> Option<u64> {
        self.largest.map(|(number, _)| number)
    }

    /// The number after the largest, which truncated numbers are expanded against (RFC 9000 appendix A.3).
    pub fn expected(&self) -> u64 {
        self.largest.map_or(0, |(number, _)| number.saturating_add(1))
    }

    /// The ranges of an ACK frame, largest first. Empty if the peer knows of everything.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u64>> + Clone + '_ {
        self.ranges.iter().rev()
    }

    /// The ECN section of an ACK frame, if any packet was marked.
    pub fn ecn_counts(&self) -> Option<EcnCounts> {
        let EcnCounts { ect0, ect1, ce } = self.counts;
        (ect0 > 0 || ect1 > 0 || ce > 0).then_some(self.counts)
    }

    /// How long ago the largest number arrived (RFC 9000 §13.2.5).
    pub fn delay(&self, now: Time) -> Duration {
        self.largest.map_or(Duration::ZERO, |(_, at)| now.saturating_since(at))
    }

    /// An ACK frame with everything up to `largest` was put into a packet. Keep `largest` with that packet, for
    /// [`on_ack_acknowledged`](Self::on_ack_acknowledged).
    pub fn on_ack_sent(&mut self, largest: u64, now: Time) {
        debug_assert!(self.largest().is_none_or(|received| largest <= received), "only what arrived is reported");
        self.unreported = 0;
        self.immediate = false;
        self.due = false;
        self.deadline = None;
        self.ack_sent_at = Some(now);
    }

    /// When the last ACK frame was sent.
    pub const fn ack_sent_at(&self) -> Option<Time> {
        self.ack_sent_at
    }

    /// The peer has an ACK frame of ours: numbers up to its `largest` need not be reported again.
    pub fn on_ack_acknowledged(&mut self, largest: u64) {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.4
        //# When a packet containing an ACK frame is acknowledged,
        //# the receiver can stop acknowledging packets less than or equal to the Largest
        //# Acknowledged field in the sent ACK frame.
        self.ranges.remove_up_to(largest);
    }
}
