//! When to look for losses, and when to probe (RFC 9002 §6.2, appendix A.8 and A.9).

use core::time::Duration;

use codec::Time;

use crate::loss::{self, Fate, Thresholds, Trigger};
use crate::rtt::nanoseconds;
use crate::sent::{Facts, State};
use crate::{Outcome, Recovery, SpaceId};

/// Doublings of the probe timeout at most: more would be years.
const BACK_OFF: u32 = 16;
/// kPacketThreshold may not be less (RFC 9002 §6.1.1).
const LEAST_PACKET_THRESHOLD: u64 = 3;
/// Probe timeouts for which a lost packet is remembered, to recognise it should it arrive.
const LOST_REMEMBERED: u32 = 3;

/// The next thing that time alone brings about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deadline {
    /// When; may be past, then at once.
    pub at: Time,
    /// What.
    pub kind: DeadlineKind,
    /// In which space.
    pub space: SpaceId,
}

/// What happens at a [`Deadline`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeadlineKind {
    /// A packet that is late will be lost (RFC 9002 §6.1.2).
    Loss,
    /// Nothing was heard for a probe timeout (RFC 9002 §6.2).
    Probe,
}

impl<T: 'static> Recovery<T> {
    /// The probe timeout of the Application space, max_ack_delay included, without back-off: the unit of many other
    /// timeouts (RFC 9000 §10.2, RFC 9001 §6.1).
    pub fn pto(&self) -> Duration {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1
        //# PTO = smoothed_rtt + max(4*rttvar, kGranularity) + max_ack_delay
        self.rtt.probe_timeout(self.config.granularity).saturating_add(self.peer_max_ack_delay)
    }

    /// Probe timeouts in a row without an answer.
    pub const fn pto_count(&self) -> u32 {
        self.pto_count
    }

    /// When to call [`on_deadline`](Self::on_deadline) if nothing else happens before. Ask again after everything that
    /// was sent, received or set.
    pub fn deadline(&self, now: Time) -> Option<Deadline> {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1
        //# The PTO timer MUST NOT be set if a timer is set for time threshold
        //# loss detection
        if let Some((at, space)) = self.earliest_loss() {
            return Some(Deadline { at, kind: DeadlineKind::Loss, space });
        }
        let (at, space, _) = self.earliest_probe(now)?;
        Some(Deadline { at, kind: DeadlineKind::Probe, space })
    }

    /// Time has passed: declares packets lost that are overdue, or asks for probes in [`Outcome::probes`]. Does
    /// nothing before the [`deadline`](Self::deadline).
    pub fn on_deadline(&mut self, now: Time, outcome: &mut Outcome<T>) {
        outcome.prior_in_flight.get_or_insert(self.bytes_in_flight);
        if let Some((at, space)) = self.earliest_loss() {
            if at <= now {
                self.detect_losses(space, now, outcome);
            }
            return;
        }
        let Some((at, space, packets)) = self.earliest_probe(now) else { return };
        if at > now {
            self.timer_set_at.get_or_insert(now);
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1
        //# When a PTO timer expires, the PTO backoff MUST be increased, resulting in the
        //# PTO period being set to twice its current value.
        self.pto_count = self.pto_count.saturating_add(1);
        self.timer_set_at = Some(now);
        outcome.probes = Some((space, packets));
    }

    fn earliest_loss(&self) -> Option<(Time, SpaceId)> {
        SpaceId::ALL.into_iter().filter_map(|id| Some((self.space(id).loss_at?, id))).min_by_key(|&(at, _)| at)
    }

    /// When to probe, where, and with how many packets.
    fn earliest_probe(&self, now: Time) -> Option<(Time, SpaceId, u8)> {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2.1
        //# If no additional data can be
        //# sent, the server's PTO timer MUST NOT be armed until datagrams have been
        //# received from the client
        if self.amplification_blocked {
            return None;
        }
        let mut earliest: Option<(Time, SpaceId, u8)> = None;
        for id in SpaceId::ALL {
            let space = self.space(id);
            //= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1
            //# An endpoint MUST NOT set its PTO timer for the Application Data packet number
            //# space until the handshake is confirmed.
            if space.awaited == 0 || (id == SpaceId::Application && !self.handshake_confirmed) {
                continue;
            }
            let at = space.last_ack_eliciting_at + self.backed_off(id);
            if earliest.is_none_or(|(earliest, _, _)| at < earliest) {
                earliest = Some((at, id, 2));
            }
        }
        if earliest.is_some() || self.peer_completed_address_validation {
            return earliest;
        }
        //= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2.1
        //# the client MUST set the PTO timer
        //# if the client has not received an acknowledgment for any of its Handshake
        //# packets and the handshake is not confirmed
        let id = if self.has_handshake_keys { SpaceId::Handshake } else { SpaceId::Initial };
        Some((self.timer_set_at.unwrap_or(now) + self.backed_off(id), id, 1))
    }

    /// The probe timeout of a space, with back-off.
    fn backed_off(&self, space: SpaceId) -> Duration {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1
        //# When the PTO is armed for Initial or Handshake packet number spaces, the
        //# max_ack_delay in the PTO period computation is set to 0
        let period = match space {
            SpaceId::Initial | SpaceId::Handshake => self.rtt.probe_timeout(self.config.granularity),
            SpaceId::Application => self.pto(),
        };
        Duration::from_nanos(nanoseconds(period).saturating_mul(1 << self.pto_count.min(BACK_OFF)))
    }

    /// Declares packets lost, from the oldest on, until one is not (RFC 9002 appendix A.10).
    pub(crate) fn detect_losses(&mut self, id: SpaceId, now: Time, outcome: &mut Outcome<T>) {
        let Some(largest) = self.space(id).largest_acknowledged else { return };
        let thresholds = Thresholds {
            packets: self.config.packet_threshold.max(LEAST_PACKET_THRESHOLD),
            delay: loss::delay(&self.rtt, self.config.time_threshold_eighths, self.config.granularity),
        };
        let pto = self.pto();
        let space = self.space_mut(id);
        space.loss_at = None;
        space.lost.forget_before(now.saturating_before(pto.saturating_mul(LOST_REMEMBERED)));
        loop {
            let space = self.space_mut(id);
            let number = space.sent.first();
            let Some(slot) = space.sent.front_mut() else { break };
            match slot.state {
                State::Skipped => {}
                State::Acknowledged => self.persistent.interrupt(id),
                State::Outstanding => match loss::detect(number, slot.facts.at, largest, now, thresholds) {
                    Fate::Unknown => break,
                    Fate::Late { until } => {
                        space.loss_at = Some(until);
                        break;
                    }
                    Fate::Lost(trigger) => {
                        let facts = slot.facts;
                        outcome.lost.extend(slot.tokens.drain(..));
                        self.on_lost(Lost { id, number, facts, trigger, now, pto }, outcome);
                    }
                },
            }
            self.space_mut(id).sent.pop();
        }
    }

    fn on_lost(&mut self, lost: Lost, outcome: &mut Outcome<T>) {
        let Lost { id, number, facts, trigger, now, pto } = lost;
        let space = self.space_mut(id);
        if facts.is_awaited() {
            space.awaited = space.awaited.saturating_sub(1);
        }
        if number < space.path_start {
            outcome.lost_packets_of_earlier_paths += u64::from(facts.in_flight());
            return;
        }
        if facts.ecn() {
            outcome.ecn = self.ecn.on_lost().or(outcome.ecn);
        }
        if !facts.in_flight() {
            return;
        }
        let bytes = u64::from(facts.bytes());
        self.bytes_in_flight = self.bytes_in_flight.saturating_sub(bytes);
        if facts.mtu_probe() {
            //= https://www.rfc-editor.org/rfc/rfc9000#section-14.4
            //# Loss of a QUIC packet that is carried in a PMTU probe is therefore not a
            //# reliable indication of congestion and SHOULD NOT trigger a congestion control
            //# reaction
            outcome.mtu_probe_lost =
                Some(outcome.mtu_probe_lost.map_or(facts.bytes(), |least| least.min(facts.bytes())));
            return;
        }
        self.space_mut(id).lost.push(number, now);
        match trigger {
            Trigger::PacketThreshold => outcome.lost_packets_by_packet_threshold += 1,
            Trigger::TimeThreshold => outcome.lost_packets_by_time_threshold += 1,
        }
        outcome.lost_bytes += bytes;
        outcome.smallest_lost_size = match outcome.smallest_lost_size {
            0 => facts.bytes(),
            smallest => smallest.min(facts.bytes()),
        };
        outcome.largest_lost_sent_at = outcome.largest_lost_sent_at.max(Some(facts.at));
        self.delivery.on_lost(bytes);
        let duration = pto.saturating_mul(self.config.persistent_congestion_threshold);
        if facts.ack_eliciting() && self.persistent.on_lost(id, facts.at, self.rtt.first_sample_at(), duration) {
            outcome.persistent_congestion = true;
            self.rtt.restart_minimum();
        }
    }
}

/// A packet that is just declared lost.
struct Lost {
    id: SpaceId,
    number: u64,
    facts: Facts,
    trigger: Trigger,
    now: Time,
    pto: Duration,
}
