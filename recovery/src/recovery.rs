//! [`Recovery`]: the three spaces and the path they share.

use core::time::Duration;

use codec::{Side, Time};
use smallvec::SmallVec;

use crate::delivery::Delivery;
use crate::ecn;
use crate::persistent::Persistent;
use crate::sent::{Facts, SentPacket, State};
use crate::space::Space;
use crate::{Config, Outcome, Rtt, SpaceId, Spaces};

/// Everything sent and not yet judged, in all three spaces (RFC 9002 appendix A).
///
/// `T` is what a packet carried, to whoever filled it; recovery only stores it and gives it back, once, in an
/// [`Outcome`] or for a probe.
#[derive(Debug)]
pub struct Recovery<T: 'static> {
    pub(crate) config: Config,
    pub(crate) side: Side,
    pub(crate) spaces: Spaces<Space<T>>,
    pub(crate) rtt: Rtt,
    pub(crate) delivery: Delivery,
    pub(crate) ecn: ecn::Validation,
    pub(crate) persistent: Persistent,
    pub(crate) bytes_in_flight: u64,
    pub(crate) pto_count: u32,
    /// When the timer was last set anew, which is where a timer without packets starts.
    pub(crate) timer_set_at: Option<Time>,
    pub(crate) peer_max_ack_delay: Duration,
    pub(crate) peer_ack_delay_exponent: u8,
    pub(crate) handshake_confirmed: bool,
    pub(crate) has_handshake_keys: bool,
    pub(crate) peer_completed_address_validation: bool,
    pub(crate) amplification_blocked: bool,
}

impl<T: 'static> Recovery<T> {
    /// A connection that sent nothing yet.
    pub fn new(side: Side, config: Config) -> Self {
        Self {
            rtt: Rtt::new(config.initial_rtt),
            config,
            side,
            spaces: Spaces::new(),
            delivery: Delivery::default(),
            ecn: ecn::Validation::new(),
            persistent: Persistent::new(),
            bytes_in_flight: 0,
            pto_count: 0,
            timer_set_at: None,
            // The defaults of RFC 9000 §18.2.
            peer_max_ack_delay: Duration::from_millis(25),
            peer_ack_delay_exponent: 3,
            handshake_confirmed: false,
            has_handshake_keys: false,
            // Servers are never in doubt: clients validate the server's address implicitly.
            peer_completed_address_validation: side == Side::Server,
            amplification_blocked: false,
        }
    }

    /// The round-trip time of the current path.
    pub const fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    /// Bytes in flight on the current path, in all spaces (RFC 9002 appendix B.2).
    pub const fn bytes_in_flight(&self) -> u64 {
        self.bytes_in_flight
    }

    /// The number of the next packet.
    pub fn next_number(&self, space: SpaceId) -> u64 {
        self.space(space).sent.next()
    }

    /// The largest number that the peer acknowledged; none in the spaces of a handshake that was left behind.
    pub fn largest_acknowledged(&self, space: SpaceId) -> Option<u64> {
        self.space(space).largest_acknowledged
    }

    /// Whether an ack-eliciting packet of the space is in flight, on whichever path.
    pub fn has_ack_eliciting_in_flight(&self, space: SpaceId) -> bool {
        self.space(space).awaited > 0
    }

    /// How many packets are remembered: those sent and not judged, and what lies between them.
    pub fn sent_packets(&self) -> usize {
        self.spaces.iter().map(|space| space.sent.len()).sum()
    }

    /// Whether so many sent packets are remembered that no more may be sent until some are acknowledged or lost.
    pub fn is_full(&self) -> bool {
        self.sent_packets() >= self.config.sent_packets
    }

    /// Whether the next packet should be marked, with [`ecn_codepoint`](Self::ecn_codepoint).
    pub fn marks_ecn(&self) -> bool {
        // Probes that follow an unanswered probe go without, should it be the mark that is swallowed.
        self.ecn.marks() && (self.pto_count < 2 || self.ecn.state() == ecn::State::Capable)
    }

    /// Where the validation of ECN on the current path stands.
    pub const fn ecn_state(&self) -> ecn::State {
        self.ecn.state()
    }

    /// The mark that packets are sent with.
    pub const fn ecn_codepoint(&self) -> ecn::Ecn {
        self.ecn.codepoint()
    }

    /// From now on packets are marked ECT(1), or ECT(0); the path is tested again if that is a change.
    pub const fn set_ecn_scalable(&mut self, scalable: bool) {
        self.ecn.set_scalable(scalable);
    }

    /// Marks no more packets of this path, because the shell cannot.
    pub const fn disable_ecn(&mut self) {
        self.ecn.disable();
    }

    /// Leaves the next number out: a peer that acknowledges it is lying (RFC 9000 §21.4). The last 8 are remembered.
    pub fn skip_number(&mut self, space: SpaceId) {
        let space = self.space_mut(space);
        space.skipped.push(space.sent.next());
        space.sent.push_hole();
    }

    /// A packet has left. Its number must not have been used before.
    pub fn on_sent(&mut self, space_id: SpaceId, packet: SentPacket<T>) {
        debug_assert!(packet.number >= self.next_number(space_id), "packet numbers only increase");
        debug_assert!(!self.space(space_id).discarded, "nothing is sent without keys");
        while self.next_number(space_id) < packet.number {
            self.skip_number(space_id);
        }
        let mut facts = Facts::of(&packet);
        let SentPacket { at, bytes, in_flight, tokens, .. } = packet;
        if in_flight {
            facts.rate = self.delivery.on_sent(at, u64::from(bytes), self.bytes_in_flight);
            self.bytes_in_flight = self.bytes_in_flight.saturating_add(u64::from(bytes));
            self.timer_set_at = Some(at);
        }
        if facts.ecn() {
            self.ecn.on_sent(space_id);
        }
        let space = self.space_mut(space_id);
        if facts.is_awaited() {
            space.awaited = space.awaited.saturating_add(1);
            space.last_ack_eliciting_at = at;
        }
        space.sent.push(facts, tokens);
    }

    /// Takes the tokens of the oldest ack-eliciting packet in flight that has some, so that a probe can carry the same
    /// again. The packet itself stays in flight (RFC 9002 §6.2.4).
    pub fn take_probe_tokens(&mut self, space: SpaceId) -> Option<SmallVec<[T; 2]>> {
        // Packets that are not outstanding have no tokens either.
        let mut slots = self.space_mut(space).sent.iter_mut();
        let slot = slots.find(|slot| slot.facts.is_awaited() && !slot.tokens.is_empty())?;
        Some(core::mem::take(&mut slot.tokens))
    }

    /// The keys of a space are gone: its packets are neither acknowledged nor lost any more, and their tokens end in
    /// [`Outcome::discarded`] (RFC 9002 §6.4).
    pub fn discard(&mut self, space_id: SpaceId, outcome: &mut Outcome<T>) {
        self.forget(space_id, outcome);
        let space = self.space_mut(space_id);
        space.discarded = true;
        space.sent.shrink();
        if self.space(SpaceId::Initial).discarded && self.space(SpaceId::Handshake).discarded {
            self.spaces.leave_handshake();
        }
    }

    /// The packets of a space will not be answered: after a Retry those of the Initial space, after a rejection of
    /// 0-RTT those of the Application space (RFC 9002 §6.3, §6.4). Their tokens end in [`Outcome::discarded`]; numbers
    /// go on.
    pub fn forget(&mut self, space_id: SpaceId, outcome: &mut Outcome<T>) {
        outcome.prior_in_flight.get_or_insert(self.bytes_in_flight);
        let mut in_flight = 0_u64;
        let space = self.space_mut(space_id);
        let path_start = space.path_start;
        for (number, mut slot) in space.sent.clear() {
            if slot.state == State::Outstanding && slot.facts.in_flight() && number >= path_start {
                in_flight = in_flight.saturating_add(u64::from(slot.facts.bytes()));
            }
            outcome.discarded.extend(slot.tokens.drain(..));
        }
        space.lost.clear();
        space.awaited = 0;
        //= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2
        //# When Initial or Handshake keys are discarded, the PTO and loss
        //# detection timers MUST be reset
        space.loss_at = None;
        self.pto_count = 0;
        self.persistent.interrupt(space_id);
        //= https://www.rfc-editor.org/rfc/rfc9002#section-6.4
        //# The sender MUST discard all recovery state associated with those packets
        //# and MUST remove them from the count of bytes in flight.
        self.bytes_in_flight = self.bytes_in_flight.saturating_sub(in_flight);
    }

    /// What the peer's transport parameters say of its acknowledgements (RFC 9000 §18.2).
    pub const fn set_peer_ack_delay(&mut self, max_ack_delay: Duration, exponent: u8) {
        self.peer_max_ack_delay = max_ack_delay;
        self.peer_ack_delay_exponent = exponent;
    }

    /// The handshake is confirmed (RFC 9001 §4.1.2): the Application space may probe, the peer's max_ack_delay counts.
    pub fn on_handshake_confirmed(&mut self) {
        self.handshake_confirmed = true;
        self.peer_completed_address_validation = true;
        // From here on there is one space, which needs no comparison with others.
        self.persistent.leave_handshake();
    }

    /// Handshake packets can be sent: a client's anti-deadlock probe is one of them (RFC 9002 §6.2.2.1).
    pub const fn on_handshake_keys(&mut self) {
        self.has_handshake_keys = true;
    }

    /// Whether the peer is known to be done with the validation of our address. A client learns it by itself from an
    /// acknowledged Handshake packet and from the confirmation; a server has nothing to learn.
    pub fn set_peer_completed_address_validation(&mut self, completed: bool) {
        self.peer_completed_address_validation = completed || self.side == Side::Server;
    }

    /// Whether nothing may be sent because the peer's address is not validated (RFC 9000 §8.1): then no probe is due.
    pub const fn set_amplification_blocked(&mut self, blocked: bool) {
        self.amplification_blocked = blocked;
    }

    /// There is nothing to send although the window has room: rates measured until what is in flight is delivered are
    /// the application's.
    pub fn on_application_limited(&mut self) {
        self.delivery.on_application_limited(self.bytes_in_flight);
    }

    /// Whether the rate is the application's at the moment.
    pub const fn is_application_limited(&self) -> bool {
        self.delivery.is_application_limited()
    }

    /// The connection moves to another path (RFC 9000 §9.4): packets sent so far still return their tokens, but no
    /// longer count in flight, for the RTT, for ECN or for congestion. `keep_rtt` if only the peer's port changed.
    pub fn restart_path(&mut self, now: Time, keep_rtt: bool) {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-9.4
        //# Packets sent on the old path MUST NOT contribute to congestion control or RTT
        //# estimation for the new path.
        for space in self.spaces.iter_mut() {
            space.path_start = space.sent.next();
            space.lost.clear();
            // What is still awaited is asked for again on the new path, in its own time.
            space.last_ack_eliciting_at = space.last_ack_eliciting_at.max(now);
        }
        self.bytes_in_flight = 0;
        self.pto_count = 0;
        self.timer_set_at = Some(now);
        self.persistent = Persistent::new();
        self.delivery.restart_path(now);
        self.ecn.restart_path();
        if !keep_rtt {
            self.rtt = Rtt::new(self.config.initial_rtt);
        }
    }

    /// Gives back memory that was needed for more packets than are in flight now.
    pub fn shrink(&mut self) {
        for space in self.spaces.iter_mut() {
            space.sent.shrink();
            space.lost.shrink();
        }
    }

    pub(crate) fn space(&self, id: SpaceId) -> &Space<T> {
        &self.spaces[id]
    }

    pub(crate) fn space_mut(&mut self, id: SpaceId) -> &mut Space<T> {
        &mut self.spaces[id]
    }
}
