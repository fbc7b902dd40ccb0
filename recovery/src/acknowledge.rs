//! What an ACK frame does (RFC 9002 appendix A.7).

use core::fmt;
use core::ops::RangeInclusive;
use core::time::Duration;

use codec::Time;
use codec::frame::{Ack, EcnCounts};

use crate::sent::{Facts, State};
use crate::{Outcome, Recovery, SpaceId};

/// An ACK that no honest peer sends: the connection closes with PROTOCOL_VIOLATION (RFC 9000 §13.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AckError {
    /// A number that was not sent yet.
    NeverSent,
    /// A number that was left out on purpose: the peer acknowledges what it did not receive.
    Skipped,
}

impl AckError {
    /// The reason for the peer and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeverSent => "acknowledges a packet that was never sent",
            Self::Skipped => "acknowledges a packet number that was skipped",
        }
    }
}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for AckError {}

/// The fields of an ACK frame besides its ranges.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) largest: u64,
    pub(crate) delay: u64,
    pub(crate) ecn: Option<EcnCounts>,
}

/// What was found while the ranges were gone through.
#[derive(Default)]
struct Newly {
    packets: u64,
    bytes: u64,
    /// Of those in flight on the current path that are no probes for larger datagrams.
    largest_size: u16,
    of_earlier_paths: u64,
    awaited: u32,
    marked: u64,
    spurious: u64,
    /// A number that was never sent is among them: the rest was not looked at.
    skipped: bool,
    /// An ack-eliciting packet of the current path is among them.
    ack_eliciting: bool,
    largest: Option<u64>,
    /// The packet with the largest acknowledged number, if it is new and of the current path.
    largest_sent_at: Option<Time>,
    /// The last sent of those in flight on the current path.
    newest: Option<Facts>,
    mtu_probe: Option<u16>,
}

impl<T: 'static> Recovery<T> {
    /// An ACK frame arrived, in a packet that could be opened.
    ///
    /// It costs as much as it has ranges and newly acknowledged packets, however wide the ranges are.
    ///
    /// # Errors
    ///
    /// If it acknowledges what was not sent; the caller closes with PROTOCOL_VIOLATION. Tokens found before that are in
    /// the outcome.
    pub fn on_ack(
        &mut self,
        space: SpaceId,
        ack: &Ack<'_>,
        now: Time,
        outcome: &mut Outcome<T>,
    ) -> Result<(), AckError> {
        let report = Report { largest: ack.largest, delay: ack.delay, ecn: ack.ecn };
        self.acknowledge(space, report, ack.ranges(), now, outcome)
    }

    pub(crate) fn acknowledge(
        &mut self,
        id: SpaceId,
        report: Report,
        ranges: impl Iterator<Item = RangeInclusive<u64>>,
        now: Time,
        outcome: &mut Outcome<T>,
    ) -> Result<(), AckError> {
        if self.space(id).discarded {
            return Ok(());
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-13.1
        //# An endpoint SHOULD treat receipt of an acknowledgment for a packet it did not
        //# send as a connection error of type PROTOCOL_VIOLATION, if it is able to detect
        //# the condition.
        if report.largest >= self.next_number(id) {
            return Err(AckError::NeverSent);
        }
        outcome.prior_in_flight.get_or_insert(self.bytes_in_flight);
        let newly = self.take_acknowledged(id, report.largest, ranges, outcome);
        self.count(id, &newly, outcome);
        if newly.skipped {
            return Err(AckError::Skipped);
        }
        let increases_largest = self.space(id).largest_acknowledged.is_none_or(|largest| report.largest > largest);
        if increases_largest {
            self.space_mut(id).largest_acknowledged = Some(report.largest);
        }
        if newly.largest.is_none() {
            return Ok(());
        }
        self.measure(id, report, &newly, now, outcome);
        let finding = self.ecn.on_ack(id, newly.marked, report.ecn, increases_largest);
        outcome.ecn = finding.verdict.or(outcome.ecn);
        outcome.ecn_ce += finding.ce;
        self.detect_losses(id, now, outcome);
        if id == SpaceId::Handshake {
            self.peer_completed_address_validation = true;
        }
        //= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1
        //# a client does not reset the PTO backoff factor on
        //# receiving acknowledgments in Initial packets.
        if self.peer_completed_address_validation {
            self.pto_count = 0;
        }
        self.timer_set_at = Some(now);
        Ok(())
    }

    /// Marks the packets of the ranges, takes their tokens, and sums up.
    fn take_acknowledged(
        &mut self,
        id: SpaceId,
        largest: u64,
        ranges: impl Iterator<Item = RangeInclusive<u64>>,
        outcome: &mut Outcome<T>,
    ) -> Newly {
        let mut newly = Newly::default();
        let beside = !self.handshake_confirmed;
        let Self { spaces, persistent, .. } = self;
        let space = &mut spaces[id];
        let path_start = space.path_start;
        let floor = space.floor();
        for range in ranges {
            if *range.end() < floor {
                break;
            }
            if space.skipped.any_in(&range) {
                newly.skipped = true;
                break;
            }
            for (number, slot) in space.sent.range_mut(&range) {
                if slot.state != State::Outstanding {
                    continue;
                }
                slot.state = State::Acknowledged;
                outcome.acknowledged.extend(slot.tokens.drain(..));
                newly.add(number, &slot.facts, number >= path_start, number == largest);
                if beside {
                    persistent.on_acknowledged_beside(slot.facts.at);
                }
            }
            if !space.lost.is_empty() {
                newly.spurious += space.lost.remove(&range);
            }
        }
        newly
    }

    /// Adds up what was acknowledged.
    fn count(&mut self, id: SpaceId, newly: &Newly, outcome: &mut Outcome<T>) {
        self.bytes_in_flight = self.bytes_in_flight.saturating_sub(newly.bytes);
        let space = self.space_mut(id);
        space.awaited = space.awaited.saturating_sub(newly.awaited);
        if newly.spurious > 0 {
            outcome.spurious += newly.spurious;
            self.persistent.interrupt(id);
        }
        outcome.newly_acknowledged_packets += newly.packets;
        outcome.acknowledged_packets_of_earlier_paths += newly.of_earlier_paths;
        outcome.acknowledged_bytes += newly.bytes;
        outcome.largest_acknowledged_size = outcome.largest_acknowledged_size.max(newly.largest_size);
        outcome.largest_newly_acknowledged = outcome.largest_newly_acknowledged.max(newly.largest);
        outcome.mtu_probe_acknowledged = outcome.mtu_probe_acknowledged.max(newly.mtu_probe);
    }

    /// Takes the samples that the ACK allows: of the round trip and of the delivery rate.
    fn measure(&mut self, id: SpaceId, report: Report, newly: &Newly, now: Time, outcome: &mut Outcome<T>) {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-5.1
        //# An RTT sample MUST NOT be generated on receiving an ACK frame that does not
        //# newly acknowledge at least one ack-eliciting packet.
        if let (Some(sent_at), true) = (newly.largest_sent_at, newly.ack_eliciting) {
            //= https://www.rfc-editor.org/rfc/rfc9002#section-5.1
            //# latest_rtt = ack_time - send_time_of_largest_acked
            let sample = now.saturating_since(sent_at);
            if !self.is_mostly_waiting(sample, report.delay) {
                self.rtt.update(sample, self.peer_delay(id, report.delay), now);
                outcome.rtt_sample = Some(sample);
            }
        }
        if let Some(newest) = newly.newest {
            outcome.largest_acknowledged_sent_at = outcome.largest_acknowledged_sent_at.max(Some(newest.at));
            let minimum = self.rtt.minimum();
            let sample = self.delivery.on_acknowledged(newly.bytes, newest.rate, newest.at, now, minimum);
            outcome.delivery = sample.or(outcome.delivery);
        }
    }

    /// Whether a sample measures how long the handshake took rather than the round trip: the first one there is, of which
    /// the peer says that it spent most of the time waiting for keys. A first sample is taken as it is, so this one would
    /// make a probe timeout of three times what was lost already.
    //= https://www.rfc-editor.org/rfc/rfc9002#section-5.3
    //# Therefore, prior to handshake
    //# confirmation, an endpoint MAY ignore RTT samples if adjusting the RTT sample for
    //# acknowledgment delay causes the sample to be less than the min_rtt.
    fn is_mostly_waiting(&self, sample: Duration, raw: u64) -> bool {
        // There is no min_rtt yet that could be undercut.
        let delay = self.said_delay(raw);
        !self.handshake_confirmed && !self.rtt.has_sample() && delay > self.peer_max_ack_delay && delay >= sample / 2
    }

    /// How long the peer says it waited.
    fn said_delay(&self, raw: u64) -> Duration {
        Duration::from_micros(raw.saturating_mul(1 << self.peer_ack_delay_exponent.min(20)))
    }

    /// How long the peer says it waited, as far as it is taken into account (RFC 9002 §5.3).
    fn peer_delay(&self, id: SpaceId, raw: u64) -> Duration {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-5.3
        //# MAY ignore the acknowledgment delay for Initial packets
        if id == SpaceId::Initial {
            return Duration::ZERO;
        }
        let delay = self.said_delay(raw);
        //= https://www.rfc-editor.org/rfc/rfc9002#section-5.3
        //# MUST use the lesser of the acknowledgment delay and the peer's max_ack_delay
        //# after the handshake is confirmed
        if self.handshake_confirmed { delay.min(self.peer_max_ack_delay) } else { delay }
    }
}

impl Newly {
    /// Adds a packet; they come in the order of falling numbers.
    fn add(&mut self, number: u64, facts: &Facts, on_current_path: bool, is_largest: bool) {
        self.largest = self.largest.max(Some(number));
        self.awaited += u32::from(facts.is_awaited());
        if !on_current_path {
            self.of_earlier_paths += u64::from(facts.in_flight());
            return;
        }
        if facts.is_aside() {
            return;
        }
        self.packets += 1;
        self.marked += u64::from(facts.ecn());
        self.ack_eliciting |= facts.ack_eliciting();
        if is_largest {
            self.largest_sent_at = Some(facts.at);
        }
        if facts.in_flight() {
            self.bytes += u64::from(facts.bytes());
            self.newest.get_or_insert(*facts);
            if facts.mtu_probe() {
                self.mtu_probe = self.mtu_probe.max(Some(facts.bytes()));
            } else {
                self.largest_size = self.largest_size.max(facts.bytes());
            }
        }
    }
}
