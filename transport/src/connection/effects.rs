//! What each frame does: one short method a family.

use bytes::Bytes;
use codec::frame::{self, Ack, Frame, FrameType, Stream};
use codec::{ConnectionId, Time, TransportErrorCode};
use congestion::{Delivery, Observed, RttView};
use recovery::{EcnVerdict, Outcome, SpaceId};

use super::packet::level_of;
use super::receive::{Contents, OpenedPacket, Origin, space};
use super::state::Trigger;
use super::{Closing, Connection};
use crate::error::TransportError;
use crate::limits::{self, Limit};
use crate::output::{CloseReason, Event};
use crate::path::{Migration, MigrationKind, ReceivedPacket};
use crate::stream::edge::StreamInput;
use crate::stream::ledger::Disposition;
use crate::token::Token;

impl Connection {
    /// Applies all frames of an opened packet, which lie in `whole`.
    pub(super) fn read_frames(
        &mut self,
        origin: Origin,
        whole: &Bytes,
        packet: &OpenedPacket,
        destination: &ConnectionId,
    ) -> Result<Contents, TransportError> {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-12.4
        //# An endpoint MUST treat receipt of a packet containing no frames as a
        //# connection error of type PROTOCOL_VIOLATION.
        let kind = packet.kind;
        if packet.payload.is_empty() {
            return Err(TransportError::protocol_violation("a packet without frames"));
        }
        let bytes = whole.get(packet.payload.clone()).unwrap_or_default();
        let mut contents = Contents { ack_eliciting: false, probing: true };
        // A piece of a buffer that is mostly empty is copied out of it, so that it does not hold the rest.
        let sparse = whole.len() < limits::COPIED_BELOW;
        for frame in frame::iter(bytes) {
            // By reference: a frame that moves is copied before its small fields have been stored.
            let frame = match &frame {
                Ok(frame) => frame,
                Err(error) => return Err(TransportError::new(error.code, error.reason).in_frame(error.frame_type)),
            };
            let frame_type = frame.frame_type();
            //= https://www.rfc-editor.org/rfc/rfc9000#section-12.4
            //# An endpoint MUST treat
            //# receipt of a frame in a packet type that is not permitted as a connection
            //# error of type PROTOCOL_VIOLATION.
            if !frame_type.may_travel_in(kind) {
                return Err(TransportError::protocol_violation("a frame in a packet that must not carry it")
                    .in_frame(frame_type.0));
            }
            self.stats.frames_received[frame_type.index()] += 1;
            contents.ack_eliciting |= frame.is_ack_eliciting();
            contents.probing &= frame.is_probing();
            match frame {
                Frame::Stream(stream) => self.on_stream(origin.now, whole, stream, sparse),
                Frame::Ack(ack) => self.on_ack(origin.now, packet, ack),
                other => self.on_control(origin, space(kind), other, destination),
            }
            .map_err(|error| error.in_frame(frame_type.0))?;
            if !self.state.is_open() {
                break;
            }
        }
        Ok(contents)
    }

    fn on_stream(&mut self, now: Time, whole: &Bytes, stream: &Stream<'_>, sparse: bool) -> Result<(), TransportError> {
        let length = stream.data.len() as u64;
        let disposition = self.ledger.on_stream(now, stream.id, stream.offset, length, stream.fin)?;
        while let Some(input) = self.ledger.poll_input() {
            self.stream_inputs.push(input);
        }
        if disposition == Disposition::Deliver {
            let data = if sparse { Bytes::copy_from_slice(stream.data) } else { whole.slice_ref(stream.data) };
            self.stream_inputs.push(StreamInput::Data { id: stream.id, offset: stream.offset, data, fin: stream.fin });
        }
        Ok(())
    }

    fn on_ack(&mut self, now: Time, packet: &OpenedPacket, ack: &Ack<'_>) -> Result<(), TransportError> {
        let space = space(packet.kind);
        //= https://www.rfc-editor.org/rfc/rfc9001#section-6.2
        //# An endpoint that receives an acknowledgment that is carried in a packet
        //# protected with old keys where any acknowledged packet was protected with newer
        //# keys MAY treat that as a connection error of type KEY_UPDATE_ERROR.
        if space == SpaceId::Application && !self.keys.is_acknowledgement_allowed(&packet.opened, ack.largest) {
            return Err(TransportError::new(TransportErrorCode::KEY_UPDATE_ERROR, "an acknowledgement under old keys"));
        }
        let prior = self.recovery.bytes_in_flight();
        let mut outcome = self.outcome.take().unwrap_or_default();
        let result = self.recovery.on_ack(space, ack, now, &mut outcome);
        //= https://www.rfc-editor.org/rfc/rfc9000#section-13.1
        //# An endpoint SHOULD treat receipt of an acknowledgment for a packet it did not
        //# send as a connection error of type PROTOCOL_VIOLATION, if it is able to detect
        //# the condition.
        result.map_err(|error| TransportError::protocol_violation(error.as_str()))?;
        if let Some(peer) = self.peer.as_ref().filter(|_| space == SpaceId::Application) {
            let microseconds = ack.delay.saturating_mul(1 << peer.ack_delay_exponent.min(20));
            self.stats.ack_delays[1] = Some(std::time::Duration::from_micros(microseconds));
        }
        if space == SpaceId::Application
            && let Some(largest) = outcome.largest_newly_acknowledged
        {
            self.keys.on_acknowledged(largest);
        }
        if space == SpaceId::Handshake && outcome.newly_acknowledged_packets > 0 {
            self.recovery.set_peer_completed_address_validation(true);
        }
        self.apply_outcome(now, space, prior, outcome);
        Ok(())
    }

    /// Gives every token back to its owner and adds the rest up for the congestion controller.
    pub(super) fn apply_outcome(
        &mut self,
        now: Time,
        space: SpaceId,
        prior_in_flight: u64,
        mut outcome: Box<Outcome<Token>>,
    ) {
        for token in outcome.acknowledged.drain(..) {
            self.on_token_acknowledged(token);
        }
        for token in outcome.lost.drain(..) {
            self.on_token_lost(token);
        }
        self.count_outcome(now, space, &outcome);
        if outcome.newly_acknowledged_packets > 0 && space == SpaceId::Application {
            // What a probe was to find out is known, if it had to wait for an address to be proven: no timeout excuses it
            // from the window any more.
            self.probes[space.index()] = 0;
        }
        let noteworthy = outcome.acknowledged_bytes > 0
            || outcome.lost_bytes > 0
            || outcome.ecn_ce > 0
            || outcome.persistent_congestion
            || outcome.spurious > 0;
        if noteworthy {
            self.observe(now, prior_in_flight, &outcome);
        }
        if let Some((space, count)) = outcome.probes {
            self.probes[space.index()] = count;
            self.stats.probe_timeouts[space.index()] += 1;
        }
        if outcome.lost_bytes > 0 && space != SpaceId::Application {
            // "or when entering recovery" (RFC 9002 §7): what the handshake lost must not wait behind 1-RTT packets that
            // the peer cannot read, and so will not acknowledge, before it has it.
            self.probes[space.index()] = self.probes[space.index()].max(1);
        }
        if let Some(size) = outcome.mtu_probe_acknowledged {
            self.stats.mtu_probes_acknowledged += 1;
            if self.paths.mtu().on_probe_acknowledged(size).is_some() {
                self.after_datagram_size_changed();
            }
        }
        if let Some(size) = outcome.mtu_probe_lost {
            self.stats.mtu_probes_lost += 1;
            self.paths.mtu().on_probe_lost(size);
        }
        outcome.clear();
        self.outcome = Some(outcome);
    }

    fn count_outcome(&mut self, now: Time, space: SpaceId, outcome: &Outcome<Token>) {
        let index = space.index();
        self.stats.packets_acknowledged[index] += outcome.newly_acknowledged_packets;
        self.stats.packets_lost_by_packet_threshold[index] += outcome.lost_packets_by_packet_threshold;
        self.stats.packets_lost_by_time_threshold[index] += outcome.lost_packets_by_time_threshold;
        self.stats.lost_bytes += outcome.lost_bytes;
        self.stats.spurious_losses += outcome.spurious;
        self.stats.persistent_congestion += u64::from(outcome.persistent_congestion);
        match outcome.ecn {
            Some(EcnVerdict::Capable) => self.stats.ecn_capable += 1,
            Some(EcnVerdict::Failed(_)) => self.stats.ecn_failed += 1,
            None => {}
        }
        if outcome.rtt_sample.is_some() {
            let smoothed = self.recovery.rtt().smoothed();
            self.ledger.set_rtt(smoothed);
            self.keys.set_pto(self.recovery.pto());
        }
        if space == SpaceId::Application {
            let mtu = self.paths.mtu();
            mtu.on_packet_acknowledged(outcome.largest_acknowledged_size, now);
            if mtu.on_packet_lost(outcome.smallest_lost_size, now).is_some() {
                self.stats.mtu_black_holes += 1;
                self.after_datagram_size_changed();
            }
        }
    }

    fn observe(&mut self, now: Time, prior_in_flight: u64, outcome: &Outcome<Token>) {
        let rtt = self.recovery.rtt();
        let view = RttView {
            latest: rtt.latest(),
            smoothed: rtt.smoothed(),
            variation: rtt.variation(),
            minimum: rtt.minimum(),
        };
        let datagram_size = self.paths.current().datagram_size();
        let observed =
            self.observed.get_or_insert_with(|| Box::new(Observed { now, prior_in_flight, ..Observed::default() }));
        self.has_news = true;
        observed.now = now;
        observed.rtt = view;
        observed.datagram_size = datagram_size;
        observed.acknowledged_bytes += outcome.acknowledged_bytes;
        observed.acknowledged_packets += outcome.newly_acknowledged_packets;
        observed.lost_bytes += outcome.lost_bytes;
        observed.lost_packets += outcome.lost_packets_by_packet_threshold + outcome.lost_packets_by_time_threshold;
        observed.ecn_ce += outcome.ecn_ce;
        observed.spurious += outcome.spurious;
        observed.persistent_congestion |= outcome.persistent_congestion;
        observed.largest_acknowledged_sent_at =
            observed.largest_acknowledged_sent_at.max(outcome.largest_acknowledged_sent_at);
        observed.largest_lost_sent_at = observed.largest_lost_sent_at.max(outcome.largest_lost_sent_at);
        observed.rtt_sample = outcome.rtt_sample.or(observed.rtt_sample);
        if let Some(sample) = &outcome.delivery {
            let rate = sample.rate();
            // Of several turns the one that delivered fastest says most about the path.
            if self.observed_turns > 0 && observed.delivery.is_some_and(|before| before.rate > rate) {
                return;
            }
            observed.delivery = Some(Delivery {
                rate,
                delivered: sample.delivered,
                interval: sample.interval,
                application_limited: sample.application_limited,
                total_delivered: sample.total_delivered,
                prior_delivered: sample.prior_delivered,
                in_flight_when_sent: sample.in_flight_at_send,
                lost: sample.lost,
            });
        }
    }

    fn on_token_acknowledged(&mut self, token: Token) {
        match token {
            Token::Ack { space, largest } => self.received(space).on_ack_acknowledged(largest),
            Token::NewConnectionId { sequence } => self.local_ids.on_acknowledged(sequence),
            Token::RetireConnectionId { sequence } => self.peer_ids.on_acknowledged(sequence),
            Token::Crypto { .. } | Token::NewToken { .. } | Token::HandshakeDone | Token::Ping | Token::Datagram => {}
            Token::Stream { .. }
            | Token::ResetStream { .. }
            | Token::StopSending { .. }
            | Token::MaxData { .. }
            | Token::MaxStreamData { .. }
            | Token::MaxStreams { .. }
            | Token::DataBlocked { .. }
            | Token::StreamDataBlocked { .. }
            | Token::StreamsBlocked { .. } => self.ledger.on_acknowledged(token),
        }
    }

    pub(super) fn on_token_lost(&mut self, token: Token) {
        match token {
            //= https://www.rfc-editor.org/rfc/rfc9000#section-13.3
            //# ACK frames carry the most recent set of acknowledgments and the
            //# acknowledgment delay from the largest acknowledged packet, as described in
            //# {{sending-acknowledgments}}.
            Token::Ack { .. } | Token::Ping => {}
            // Not sent again (RFC 9221 §5.2).
            Token::Datagram => {}
            Token::Crypto { space, piece } => self.crypto(space).on_lost(*piece),
            Token::NewToken { token } => self.new_tokens.push_back(*token),
            Token::HandshakeDone => self.handshake_done = true,
            Token::NewConnectionId { sequence } => self.local_ids.on_lost(sequence),
            Token::RetireConnectionId { sequence } => self.peer_ids.on_lost(sequence),
            Token::Stream { .. }
            | Token::ResetStream { .. }
            | Token::StopSending { .. }
            | Token::MaxData { .. }
            | Token::MaxStreamData { .. }
            | Token::MaxStreams { .. }
            | Token::DataBlocked { .. }
            | Token::StreamDataBlocked { .. }
            | Token::StreamsBlocked { .. } => self.ledger.on_lost(token),
        }
    }

    fn on_control(
        &mut self,
        origin: Origin,
        space: SpaceId,
        frame: &Frame<'_>,
        destination: &ConnectionId,
    ) -> Result<(), TransportError> {
        match frame {
            Frame::Padding { .. } | Frame::Ping | Frame::Ack(_) | Frame::Stream(_) => Ok(()),
            Frame::Crypto(crypto) => self.on_crypto(origin.now, space, crypto.offset, crypto.data),
            Frame::ResetStream(frame) => self.ledger.on_reset_stream(frame.id, frame.code, frame.final_size),
            Frame::StopSending(frame) => self.ledger.on_stop_sending(frame.id, frame.code),
            Frame::MaxData(frame) => {
                self.ledger.on_max_data(frame.maximum);
                Ok(())
            }
            Frame::MaxStreamData(frame) => self.ledger.on_max_stream_data(frame.id, frame.maximum),
            Frame::MaxStreams(frame) => {
                self.ledger.on_max_streams(frame.direction, frame.maximum);
                Ok(())
            }
            Frame::DataBlocked(frame) => {
                self.ledger.on_data_blocked(frame.limit);
                Ok(())
            }
            Frame::StreamDataBlocked(frame) => self.ledger.on_stream_data_blocked(frame.id, frame.limit),
            Frame::StreamsBlocked(frame) => {
                self.ledger.on_streams_blocked(frame.direction, frame.limit);
                Ok(())
            }
            Frame::NewConnectionId(frame) => self.peer_ids.on_new_connection_id(frame),
            Frame::RetireConnectionId(frame) => self.local_ids.on_retire(frame.sequence, destination),
            Frame::PathChallenge(frame) => {
                if !self.paths.on_challenge(origin.path, frame.data) {
                    self.stats.hit(Limit::PathResponses);
                }
                Ok(())
            }
            Frame::PathResponse(frame) => {
                self.on_path_response(origin.now, frame.data);
                Ok(())
            }
            Frame::NewToken(frame) => self.on_new_token(frame.token),
            Frame::HandshakeDone => self.on_handshake_done(),
            Frame::Datagram(frame) => self.on_datagram_frame(frame.data),
            Frame::ConnectionClose(close) => {
                let reason = Bytes::copy_from_slice(truncated(close.reason));
                let reason = CloseReason::PeerTransport { code: close.code, frame_type: close.frame_type, reason };
                self.on_peer_closed(origin.now, reason);
                Ok(())
            }
            Frame::ApplicationClose(close) => {
                let reason = Bytes::copy_from_slice(truncated(close.reason));
                self.on_peer_closed(origin.now, CloseReason::PeerApplication { code: close.code, reason });
                Ok(())
            }
        }
    }

    fn on_peer_closed(&mut self, now: Time, reason: CloseReason) {
        if self.move_on(Trigger::PeerClosed) {
            self.enter_closing(now, Closing::draining(reason));
        }
    }

    fn on_new_token(&mut self, token: &[u8]) -> Result<(), TransportError> {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.7
        //# A server MUST treat receipt
        //# of a NEW_TOKEN frame as a connection error of type PROTOCOL_VIOLATION.
        if self.side.is_server() {
            return Err(TransportError::protocol_violation("NEW_TOKEN from a client"));
        }
        self.events.push_back(Event::NewToken(Bytes::copy_from_slice(token)));
        Ok(())
    }

    fn on_handshake_done(&mut self) -> Result<(), TransportError> {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.20
        //# A
        //# server MUST treat receipt of a HANDSHAKE_DONE frame as a connection error of
        //# type PROTOCOL_VIOLATION.
        if self.side.is_server() {
            return Err(TransportError::protocol_violation("HANDSHAKE_DONE from a client"));
        }
        if !self.state.is_established() {
            return Err(TransportError::protocol_violation("HANDSHAKE_DONE before the handshake was complete"));
        }
        self.on_handshake_confirmed();
        Ok(())
    }

    fn on_datagram_frame(&mut self, data: &[u8]) -> Result<(), TransportError> {
        //= https://www.rfc-editor.org/rfc/rfc9221#section-3
        //# An endpoint that receives a DATAGRAM frame when it has not
        //# indicated support via the transport parameter MUST terminate the connection
        //# with an error of type PROTOCOL_VIOLATION.
        if !self.config.datagrams {
            return Err(TransportError::protocol_violation("a DATAGRAM frame that was not offered")
                .in_frame(FrameType::DATAGRAM.0));
        }
        let dropped = self.datagrams.receive(Bytes::copy_from_slice(data));
        if dropped > 0 {
            self.stats.datagrams_dropped[1] += dropped;
            self.stats.hit(Limit::Datagrams);
        }
        self.events.push_back(Event::Datagrams);
        Ok(())
    }

    /// A 1-RTT packet: the peer may have moved (RFC 9000 §9).
    pub(super) fn on_one_rtt(&mut self, origin: Origin, newest: bool, probing: bool, destination: &ConnectionId) {
        if newest && origin.path == self.paths.current().index() && *destination == self.peer_uses {
            // The way of every packet but the first from another address, or to another id.
            return;
        }
        if newest {
            self.peer_uses = *destination;
        }
        // An id that was retired meanwhile: the packet was on its way when that happened.
        let Some(destination) = self.local_ids.sequence_of(destination) else { return };
        let packet = ReceivedPacket { path: origin.path, largest: newest, probing, destination };
        let pto = self.recovery.pto();
        if let Migration::Migrated { restart, kind } = self.paths.on_packet(origin.now, packet, pto, &mut self.peer_ids)
        {
            self.stats.migrations[kind as usize] += 1;
            self.after_path_changed(origin.now, restart);
        }
    }

    fn on_path_response(&mut self, now: Time, data: [u8; 8]) {
        // One that matches nothing may be late or forged: it is ignored (RFC 9000 §19.18 permits closing).
        let pto = self.recovery.pto();
        if self.paths.on_path_response(now, data, pto).is_some() {
            self.stats.paths_validated += 1;
        }
    }

    /// Our own address changed: a client goes on from the new one (RFC 9000 §9.2). The server hears of it at once, even
    /// if there is nothing to say: what it sends goes nowhere until then. Does nothing on a server.
    pub fn handle_local_address_changed(&mut self, now: Time) {
        self.now = now;
        if self.side.is_server() || !self.state.is_open() {
            return;
        }
        let pto = self.recovery.pto();
        // Where it may not be a migration, it looks like a NAT's rebinding: better than silence.
        if let Ok(restart) = self.paths.relocate(now, pto, &mut self.peer_ids) {
            self.stats.migrations[MigrationKind::Active as usize] += 1;
            self.after_path_changed(now, restart);
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-9.2
        //# An endpoint can migrate a connection to a new local address by
        //# sending packets containing non-probing frames from that address.
        for space in SpaceId::ALL {
            self.ping[space.index()] = self.keys.can_seal(level_of(space));
        }
    }

    /// The current path is another one now.
    pub(super) fn after_path_changed(&mut self, now: Time, restart: bool) {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-9.4
        //# On confirming a peer's ownership of its new address, an endpoint MUST
        //# immediately reset the congestion controller and round-trip time estimator for
        //# the new path to initial values
        self.recovery.restart_path(now, !restart);
        // Whatever was true of the path before.
        self.recovery.set_amplification_blocked(false);
        if restart {
            self.observed = None;
            self.observed_turns = 0;
            self.awaiting_window = false;
            let controller = self.fresh_controller();
            self.handle_window(now, controller.window());
        }
        self.events.push_back(Event::PathChanged { remote: self.paths.current().remote(), restart });
    }

    pub(super) fn after_datagram_size_changed(&mut self) {
        let size = self.paths.current().datagram_size();
        self.events.push_back(Event::DatagramSize(size));
    }

    /// Takes what the id keepers have to say: routes, frames waiting.
    pub(super) fn drain_ids(&mut self) {
        while let Some(change) = self.local_ids.poll_route() {
            match change {
                crate::output::RouteChange::Add(_) => self.stats.connection_ids_issued += 1,
                crate::output::RouteChange::Remove(_) => self.stats.connection_ids_retired += 1,
                _ => {}
            }
            self.routes.push(change);
        }
        while let Some(change) = self.peer_ids.poll_route() {
            self.routes.push(change);
        }
    }
}

fn truncated(reason: &[u8]) -> &[u8] {
    reason.get(..limits::REASON_BYTES).unwrap_or(reason)
}
