//! [`Received`]: the numbers that arrived in one space, and when to say so (RFC 9000 §13.2).

use core::ops::RangeInclusive;
use core::time::Duration;

use codec::Time;

use crate::ecn::{Ecn, EcnCounts};
use crate::spaces::PerSpace;
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

impl PerSpace for Received {
    const GONE: &'static Self = &Self::new(SpaceId::Handshake);

    fn new(space: SpaceId) -> Self {
        Self::new(space)
    }

    fn gone() -> Self {
        Self::new(SpaceId::Handshake)
    }
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

    /// Gives back room that no range is in.
    pub fn shrink(&mut self) {
        self.ranges.shrink();
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

    /// Says once more what arrived, with the next packet or in one of its own, if there is anything that the peer is not
    /// known to have heard. For who must say something but nothing that counts as in flight.
    pub fn repeat(&mut self) {
        self.due |= !self.ranges.is_empty();
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const DELAY: Duration = Duration::from_millis(25);

    fn at(milliseconds: u64) -> Time {
        Time::from_nanos(milliseconds * 1_000_000)
    }

    fn application() -> Received {
        Received::new(SpaceId::Application)
    }

    /// Ack-eliciting packets arrive at once, in this order; whether they are answered at once.
    fn answers_at_once(received: &mut Received, numbers: &[u64]) -> bool {
        for &number in numbers {
            received.on_packet(number, at(0), true, None, false);
        }
        received.end_of_turn(at(0), DELAY);
        received.is_ack_due(at(0))
    }

    fn listed(received: &Received) -> Vec<RangeInclusive<u64>> {
        received.ranges().collect()
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1
    //= type=test
    //# An endpoint MUST acknowledge all ack-eliciting Initial and Handshake packets
    //# immediately
    #[test]
    fn handshake_packets_are_answered_at_once() {
        for space in [SpaceId::Initial, SpaceId::Handshake] {
            assert!(answers_at_once(&mut Received::new(space), &[0]));
        }
    }

    #[test]
    fn a_single_packet_is_answered_within_the_delay_that_we_promised() {
        let mut received = application();
        received.on_packet(0, at(3), true, None, false);
        received.end_of_turn(at(4), DELAY);
        assert!(!received.is_ack_due(at(4)));
        assert!(received.has_unsent_ack());
        assert_eq!(received.ack_deadline(), Some(at(28)), "counted from the arrival, not from the turn");
        assert!(received.is_ack_due(at(28)));
        received.on_ack_sent(0, at(28));
        assert!(!received.has_unsent_ack() && !received.is_ack_due(at(100)));
        assert_eq!((received.ack_deadline(), received.ack_sent_at()), (None, Some(at(28))));
    }

    #[test]
    fn a_turn_that_came_late_answers_at_once() {
        let mut received = application();
        received.on_packet(0, at(0), true, None, false);
        received.end_of_turn(at(25), DELAY);
        assert!(received.is_ack_due(at(25)));
        assert_eq!(received.ack_deadline(), None);
    }

    #[test]
    fn the_second_packet_is_answered_at_once_in_the_same_turn_or_a_later_one() {
        assert!(answers_at_once(&mut application(), &[0, 1]));
        let mut received = application();
        assert!(!answers_at_once(&mut received, &[0]));
        assert!(answers_at_once(&mut received, &[1]));
    }

    #[test]
    fn a_burst_is_answered_once() {
        let mut received = application();
        let burst: Vec<u64> = (0..64).collect();
        assert!(answers_at_once(&mut received, &burst));
        received.on_ack_sent(63, at(0));
        received.end_of_turn(at(0), DELAY);
        assert!(!received.is_ack_due(at(1000)));
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1
    //= type=test
    //# when the received packet has a packet number less than another ack-eliciting
    //# packet that has been received
    #[test]
    fn a_late_packet_is_answered_at_once() {
        let mut received = application();
        answers_at_once(&mut received, &[0, 2]);
        received.on_ack_sent(2, at(0));
        assert!(answers_at_once(&mut received, &[1]));
    }

    #[test]
    fn a_packet_after_a_gap_is_answered_at_once() {
        let mut received = application();
        answers_at_once(&mut received, &[0]);
        received.on_ack_sent(0, at(0));
        assert!(answers_at_once(&mut received, &[2]));
        received.on_ack_sent(2, at(0));
        assert!(!answers_at_once(&mut received, &[3]), "the gap was reported, and nothing is missing since");
    }

    #[test]
    fn packets_that_elicit_nothing_fill_gaps() {
        let mut received = application();
        answers_at_once(&mut received, &[0]);
        received.on_ack_sent(0, at(0));
        received.on_packet(1, at(0), false, None, false);
        assert!(!answers_at_once(&mut received, &[2]));
    }

    #[test]
    fn numbers_that_the_peer_knows_to_have_arrived_are_no_gap() {
        let mut received = application();
        answers_at_once(&mut received, &[0]);
        received.on_packet(1, at(0), false, None, false);
        received.on_packet(2, at(0), false, None, false);
        received.on_ack_sent(2, at(0));
        received.on_ack_acknowledged(2);
        assert!(!answers_at_once(&mut received, &[3]));
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1
    //= type=test
    //# Similarly, packets marked with the ECN Congestion Experienced (CE) codepoint in
    //# the IP header SHOULD be acknowledged immediately
    #[test]
    fn congestion_is_reported_at_once() {
        let mut received = application();
        received.on_packet(0, at(0), true, Some(Ecn::Ce), false);
        received.end_of_turn(at(0), DELAY);
        assert!(received.is_ack_due(at(0)));
        assert_eq!(received.ecn_counts(), Some(EcnCounts { ect0: 0, ect1: 0, ce: 1 }));
    }

    #[test]
    fn who_asks_for_an_answer_gets_it_at_once() {
        let mut received = application();
        received.on_packet(0, at(0), true, None, true);
        received.end_of_turn(at(0), DELAY);
        assert!(received.is_ack_due(at(0)));
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1
    //= type=test
    //# An endpoint MUST NOT send a non-ack-eliciting packet in response to a
    //# non-ack-eliciting packet, even if there are packet gaps that precede the
    //# received packet.
    #[test]
    fn packets_that_elicit_nothing_are_never_answered() {
        let mut received = Received::new(SpaceId::Handshake);
        for number in [0, 5, 3] {
            received.on_packet(number, at(0), false, Some(Ecn::Ce), true);
        }
        received.end_of_turn(at(0), DELAY);
        assert!(!received.is_ack_due(Time::MAX));
        assert!(!received.has_unsent_ack());
        assert_eq!(listed(&received), [5..=5, 3..=3, 0..=0]);
    }

    #[test]
    fn duplicates_change_nothing() {
        let mut received = application();
        received.on_packet(7, at(1), true, Some(Ecn::Ect0), false);
        assert!(!received.is_new(7));
        received.on_packet(7, at(9), true, Some(Ecn::Ect0), true);
        assert_eq!(received.ecn_counts(), Some(EcnCounts { ect0: 1, ect1: 0, ce: 0 }));
        assert_eq!(received.delay(at(11)), Duration::from_millis(10));
        received.end_of_turn(at(9), DELAY);
        assert_eq!(received.ack_deadline(), Some(at(26)));
    }

    #[test]
    fn the_delay_is_that_of_the_largest_number() {
        let mut received = application();
        assert_eq!(received.delay(at(5)), Duration::ZERO);
        received.on_packet(3, at(1), true, None, false);
        received.on_packet(2, at(4), true, None, false);
        assert_eq!(received.delay(at(5)), Duration::from_millis(4));
        assert_eq!((received.largest(), received.expected()), (Some(3), 4));
    }

    #[test]
    fn what_the_peer_knows_is_not_reported_again_and_not_accepted_again() {
        let mut received = application();
        answers_at_once(&mut received, &[0, 1, 2, 5, 6]);
        received.on_ack_acknowledged(2);
        assert_eq!(listed(&received), [5..=6]);
        received.on_ack_acknowledged(5);
        assert_eq!(listed(&received), [6..=6]);
        assert!(!received.is_new(1) && !received.is_new(4) && received.is_new(7));
        received.on_ack_acknowledged(6);
        assert_eq!(listed(&received), []);
        assert_eq!(received.expected(), 7, "the largest number outlives its range");
    }

    #[test]
    fn at_most_64_ranges_are_kept_and_what_is_below_is_a_duplicate() {
        let mut received = application();
        for number in 0..=RANGES as u64 {
            received.on_packet(number * 2, at(0), true, None, false);
        }
        assert_eq!(received.ranges().count(), RANGES);
        assert!(!received.is_new(0));
        assert!(received.is_new(1), "between the forgotten range and the lowest that is kept");
        for number in 0..100_000 {
            received.on_packet(number * 3, at(0), true, None, false);
        }
        assert_eq!(received.ranges().count(), RANGES);
    }

    #[test]
    fn absurd_times_saturate() {
        let mut received = application();
        received.on_packet(u64::MAX, Time::MAX, true, None, false);
        received.end_of_turn(Time::ZERO, Duration::MAX);
        assert_eq!(received.ack_deadline(), Some(Time::MAX));
        assert_eq!(received.expected(), u64::MAX);
        assert_eq!(received.delay(Time::ZERO), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn no_number_is_accepted_twice(numbers in proptest::collection::vec(0..400_u64, 0..600), known in 0..50_u64) {
            let mut received = application();
            let mut accepted = alloc::collections::BTreeSet::new();
            for (turn, number) in numbers.into_iter().enumerate() {
                if received.is_new(number) {
                    prop_assert!(accepted.insert(number));
                    received.on_packet(number, at(turn as u64), number % 3 > 0, None, false);
                }
                prop_assert!(!received.is_new(number));
                if turn % 50 == 49 {
                    received.on_ack_acknowledged(known * turn as u64 / 50);
                }
                prop_assert_eq!(received.largest(), accepted.last().copied());
                for range in received.ranges() {
                    prop_assert!(range.into_iter().all(|number| accepted.contains(&number)));
                }
            }
        }
    }

    #[test]
    fn what_arrived_can_be_said_once_more() {
        let mut received = application();
        received.repeat();
        assert!(!received.is_ack_due(at(0)), "nothing arrived");
        received.on_packet(0, at(0), true, None, false);
        received.end_of_turn(at(0), DELAY);
        received.on_ack_sent(0, at(25));
        assert!(!received.is_ack_due(at(25)));
        received.repeat();
        received.end_of_turn(at(26), DELAY);
        assert!(received.is_ack_due(at(26)));
        received.on_ack_sent(0, at(26));
        assert!(!received.is_ack_due(at(26)));
        received.on_ack_acknowledged(0);
        received.repeat();
        assert!(!received.is_ack_due(at(27)), "the peer knows");
    }
}
