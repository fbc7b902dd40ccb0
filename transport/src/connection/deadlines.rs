//! Every deadline of a connection: one list, each with its reason.

use std::time::Duration;

use codec::Time;
use recovery::{DeadlineKind, SpaceId};

use super::Connection;
use super::crypto::CryptoStream;
use super::packet::level_of;
use super::state::State;
use crate::limits::{self, Limit};
use crate::output::{CloseReason, DeadlineReason};
use crate::stream::edge::StreamInput;
use crate::token::Token;

/// The first of several moments, and of equal ones the one that was considered first.
struct Earliest(Option<(Time, DeadlineReason)>);

impl Earliest {
    #[inline]
    fn consider(&mut self, at: Option<Time>, reason: DeadlineReason) {
        if let Some(at) = at
            && self.0.is_none_or(|(first, _)| at < first)
        {
            self.0 = Some((at, reason));
        }
    }
}

impl Connection {
    /// When the connection wants to be called again, if nothing else happens, and why.
    pub fn deadline(&self) -> Option<(Time, DeadlineReason)> {
        if !self.state.is_open() {
            return self.closing_deadline().map(|at| (at, DeadlineReason::Close));
        }
        let mut earliest = Earliest(None);
        if let Some(deadline) = self.recovery.deadline(self.now) {
            let reason = match deadline.kind {
                DeadlineKind::Loss => DeadlineReason::Loss,
                DeadlineKind::Probe => DeadlineReason::Probe,
            };
            earliest.consider(Some(deadline.at), reason);
        }
        for received in self.received.iter() {
            earliest.consider(received.ack_deadline(), DeadlineReason::AckDelay);
        }
        earliest.consider(self.idle_deadline, DeadlineReason::Idle);
        earliest.consider(self.keep_alive_deadline, DeadlineReason::KeepAlive);
        earliest.consider(self.handshake_deadline, DeadlineReason::Close);
        earliest.consider(self.rest_deadline, DeadlineReason::Rest);
        earliest.consider(self.paths.deadline(), DeadlineReason::PathValidation);
        earliest.consider(self.keys.deadline(), DeadlineReason::KeyDiscard);
        earliest.consider(self.ledger.deadline(), DeadlineReason::PathValidation);
        earliest.0
    }

    /// A moment that [`Self::deadline`] named has come, or any other: whatever is due is done.
    pub fn handle_deadline(&mut self, now: Time) {
        self.now = now;
        if !self.state.is_open() {
            if self.closing_deadline().is_some_and(|at| at <= now) {
                self.on_closing_over();
            }
            return;
        }
        let due = |deadline: Option<Time>| deadline.is_some_and(|at| at <= now);
        if due(self.idle_deadline) {
            //= https://www.rfc-editor.org/rfc/rfc9000#section-10.1
            //# If a max_idle_timeout is specified by either endpoint in its transport
            //# parameters ({{transport-parameter-definitions}}), the connection is silently
            //# closed and its state is discarded when it remains idle for longer than the
            //# minimum of the max_idle_timeout value advertised by both endpoints.
            self.end_silently(CloseReason::IdleTimeout);
            return;
        }
        if due(self.handshake_deadline) {
            self.stats.hit(Limit::HandshakeTime);
            self.end_silently(CloseReason::HandshakeTimeout);
            return;
        }
        if due(self.keep_alive_deadline) {
            self.on_keep_alive(now);
        }
        if due(self.paths.deadline()) {
            self.on_path_deadline(now);
        }
        if due(self.keys.deadline()) {
            self.keys.on_tick(now);
        }
        if due(self.rest_deadline) {
            self.on_rest_deadline(now);
        }
        if due(self.ledger.deadline()) {
            self.ledger.on_deadline(now);
        }
        if due(self.recovery.deadline(now).map(|deadline| deadline.at)) {
            self.on_recovery_deadline(now);
        }
    }

    fn on_keep_alive(&mut self, now: Time) {
        let index = SpaceId::Application.index();
        self.ping[index] = true;
        self.keep_alive_deadline = self.config.keep_alive.map(|period| now + period);
        //= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1
        //# An endpoint MUST NOT set its PTO timer for the Application Data packet number
        //# space until the handshake is confirmed.
        // So if a client's address changes under it now while its window is full, nothing is left that leaves by itself:
        // the server's HANDSHAKE_DONE goes to the old address for ever. The word that keeps the connection alive stands in
        // for the probe then. Once confirmed, the window is its bound like everybody's, and probes empty that in the end;
        // until then acknowledgements, which are not bound by it, keep the way open and tell where we are.
        let size = u64::from(self.paths.current().datagram_size());
        let is_full = self.recovery.bytes_in_flight().saturating_add(size) > self.window.congestion_window;
        if self.state == State::Connected {
            self.probes[index] = self.probes[index].max(1);
        } else if is_full {
            self.received[SpaceId::Application].repeat();
        }
    }

    fn on_recovery_deadline(&mut self, now: Time) {
        let prior = self.recovery.bytes_in_flight();
        let mut outcome = self.outcome.take().unwrap_or_default();
        let space = self.recovery.deadline(now).map_or(SpaceId::Application, |deadline| deadline.space);
        self.recovery.on_deadline(now, &mut outcome);
        let probes = outcome.probes;
        self.apply_outcome(now, space, prior, outcome);
        if self.paths.mtu().on_probe_timeouts(self.recovery.pto_count(), now).is_some() {
            self.stats.mtu_black_holes += 1;
            self.after_datagram_size_changed();
        }
        if self.recovery.pto_count() > limits::PROBE_TIMEOUTS {
            self.stats.hit(Limit::ProbeTimeouts);
            self.end_silently(CloseReason::IdleTimeout);
            return;
        }
        if let Some((space, _)) = probes {
            self.probe_other_spaces(space);
        }
    }

    /// A probe of one space is due: the others of the handshake go with it, if something of theirs is in flight.
    fn probe_other_spaces(&mut self, due: SpaceId) {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.4
        //# In addition to sending data in the packet number space for which the timer
        //# expired, the sender SHOULD send ack-eliciting packets from other packet number
        //# spaces with in-flight data, coalescing packets if possible.
        let probes = self.probes[due.index()];
        for space in [SpaceId::Initial, SpaceId::Handshake] {
            if self.recovery.has_ack_eliciting_in_flight(space) {
                self.probes[space.index()] = self.probes[space.index()].max(probes);
            }
        }
    }

    /// The peer misses something that we said in the handshake: it is said again now, not only at the probe timeout.
    //= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.3
    //# To speed up handshake completion under these conditions, an endpoint MAY, for a
    //# limited number of times per connection, send a packet containing
    //# unacknowledged CRYPTO data earlier than the PTO expiry, subject to the address
    //# validation limits
    pub(super) fn hasten_handshake(&mut self) {
        let Some(handshake) = &mut self.handshake else { return };
        // No probe timeout has expired, so the window holds.
        let size = u64::from(self.paths.current().datagram_size());
        let fits = self.recovery.bytes_in_flight().saturating_add(size) <= self.window.congestion_window;
        if handshake.hastened >= limits::HASTENED || !fits {
            return;
        }
        let mut hastens = false;
        for space in [SpaceId::Initial, SpaceId::Handshake] {
            // A client that has no Handshake keys elicits at least an acknowledgement.
            let elicits =
                self.side.is_client() && space == SpaceId::Initial && !self.keys.can_open(level_of(SpaceId::Handshake));
            if elicits || self.recovery.has_ack_eliciting_in_flight(space) {
                self.probes[space.index()] = self.probes[space.index()].max(1);
                hastens = true;
            }
        }
        handshake.hastened += u8::from(hastens);
    }

    /// Makes sure that there is something to say in the next probe of each space that owes one (RFC 9002 §6.2.4): what
    /// the oldest packet in flight said, or else a PING.
    ///
    /// Done for one probe at a time, so that two of them say the same if nothing else is in flight.
    pub(super) fn fill_probes(&mut self) {
        for space in SpaceId::ALL {
            if self.probes[space.index()] == 0 || !self.keys.can_seal(level_of(space)) {
                continue;
            }
            while !self.wants_to_send(space) {
                let Some(tokens) = self.recovery.take_probe_tokens(space) else {
                    self.ping[space.index()] = true;
                    break;
                };
                for token in tokens {
                    self.on_probe_token(token);
                }
            }
        }
    }

    fn on_probe_token(&mut self, token: Token) {
        match token {
            // Not worth a probe, and never repeated.
            Token::Datagram | Token::Ping | Token::Ack { .. } => {}
            token => self.on_token_lost(token),
        }
    }

    fn on_path_deadline(&mut self, now: Time) {
        let pto = self.recovery.pto();
        let ended = match self.paths.on_deadline(now, pto, &mut self.peer_ids) {
            Ok(ended) => ended,
            Err(error) => {
                self.fail(now, error, None);
                return;
            }
        };
        self.stats.paths_failed += ended.failed;
        if let Some(restart) = ended.went_back {
            self.after_path_changed(now, restart);
        }
        if ended.nowhere_to_go {
            self.end_silently(CloseReason::IdleTimeout);
        }
    }

    /// A sign of life, or something sent that must be answered (RFC 9000 §10.1).
    pub(super) fn restart_idle(&mut self, now: Time) {
        if self.state == State::Handshaking {
            return;
        }
        // All packets of a buffer have one time.
        if self.idle_since == Some(now) {
            return;
        }
        self.idle_since = Some(now);
        self.rest_deadline.get_or_insert(now + LOOK);
        self.idle_deadline = self.idle_timeout().map(|timeout| now + timeout);
        self.keep_alive_deadline = self.config.keep_alive.map(|period| now + period);
    }

    /// Gives back memory that only traffic needs, once there has been none for a while.
    fn on_rest_deadline(&mut self, now: Time) {
        let since = self.idle_since.unwrap_or(now);
        let is_busy = self.state != State::Confirmed || self.recovery.bytes_in_flight() > 0;
        self.rest_deadline = if since + LOOK > now {
            // Traffic goes on.
            Some(now + LOOK)
        } else if since + REST > now {
            Some(since + REST)
        } else {
            // What is in flight is acknowledged or lost before long, and the peer's next packet brings a new deadline.
            is_busy.then_some(now + REST)
        };
        if self.rest_deadline.is_some() {
            return;
        }
        // Nothing follows that it could be told with.
        self.has_news = self.observed.is_some();
        self.observed_turns = super::QUIET_TURNS;
        self.keys.rest();
        self.stream_inputs.push(StreamInput::Rest);
        self.shrink();
    }

    /// Gives the room of the handshake back as soon as nothing is in flight any more, if nothing was asked for yet.
    ///
    /// Of many connections that are opened at once, all would keep theirs until the first of them rests, in between what
    /// stays, where an allocator cannot return it to the system.
    pub(super) fn shrink_if_unused(&mut self) {
        let is_unused = !self.ledger.was_used() && self.datagrams.is_untouched();
        if is_unused && self.state == State::Confirmed && self.recovery.bytes_in_flight() == 0 {
            self.shrink();
        }
    }

    /// Only room is given back: whatever waits, from this very turn perhaps, stays.
    fn shrink(&mut self) {
        self.recovery.shrink();
        self.received.iter_mut().for_each(recovery::Received::shrink);
        self.crypto.iter_mut().for_each(CryptoStream::shrink);
        self.outcome = None;
        self.ledger.shrink();
        self.opened.shrink_to_fit();
        self.events.shrink_to_fit();
        self.early.shrink_to_fit();
        self.new_tokens.shrink_to_fit();
    }
}

/// How often it is looked whether there is still traffic: the turn of that look also tells the shell what was counted.
const LOOK: Duration = Duration::from_millis(250);
/// A connection without traffic for so long is taken to be idle.
const REST: Duration = Duration::from_secs(1);
