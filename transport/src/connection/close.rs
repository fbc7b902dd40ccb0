//! The end: closing, draining, drained (RFC 9000 §10).

use std::net::{IpAddr, SocketAddr};

use bytes::{Bytes, BytesMut};
use codec::cursor::Writer;
use codec::frame::{ApplicationClose, ConnectionClose, Frame};
use codec::packet::{self, Packet, VersionNegotiation};
use codec::{Time, TransportErrorCode};
use recovery::{SentPacket, SpaceId};
use tls::TAG_LENGTH;

use super::Connection;
use super::packet::{Unsealed, kind_of, level_of};
use super::receive;
use super::state::Trigger;
use crate::error::TransportError;
use crate::limits;
use crate::output::{CloseReason, Event, Transmit};
use crate::stats::{PacketDrop, kind_index};
use crate::token::Tokens;
use crate::version_negotiation::{self, Attempt, Judgement};

/// Which kind of code a CONNECTION_CLOSE carries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CloseCode {
    /// The application's own.
    Application(u64),
    /// The transport's.
    Transport(TransportErrorCode),
}

/// What is left of a connection that is over.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) reason: CloseReason,
    /// The frame to say, unless we are silent.
    frame: Option<CloseFrame>,
    /// When the connection may be forgotten.
    until: Option<Time>,
    /// Whether the frame is to be sent now.
    pending: bool,
    /// Datagrams received since, and at how many of them the frame is said again.
    heard: u64,
    answer_at: u64,
}

#[derive(Clone, Debug)]
struct CloseFrame {
    code: CloseCode,
    frame_type: u64,
    reason: Bytes,
}

impl Closing {
    /// The peer closed: nothing is said any more.
    pub(super) const fn draining(reason: CloseReason) -> Self {
        Self { reason, frame: None, until: None, pending: false, heard: 0, answer_at: 1 }
    }

    const fn saying(reason: CloseReason, frame: CloseFrame) -> Self {
        Self { reason, frame: Some(frame), until: None, pending: true, heard: 0, answer_at: 1 }
    }
}

impl Connection {
    /// Closes the connection in the application's name. `reason` is cut to [`limits::REASON_BYTES`].
    pub fn close(&mut self, now: Time, code: u64, reason: &[u8]) {
        self.now = now;
        if !self.move_on(Trigger::Close) {
            return;
        }
        let reason = Bytes::copy_from_slice(reason.get(..limits::REASON_BYTES).unwrap_or(reason));
        let frame = CloseFrame { code: CloseCode::Application(code), frame_type: 0, reason: reason.clone() };
        self.enter_closing(now, Closing::saying(CloseReason::LocalApplication { code, reason }, frame));
    }

    /// Closes the connection because something of ours failed (INTERNAL_ERROR).
    pub fn close_internal(&mut self, now: Time, reason: &'static str) {
        self.fail(now, TransportError::internal(reason), None);
    }

    /// The peer said that it has lost the connection (RFC 9000 §10.3).
    pub fn handle_stateless_reset(&mut self, now: Time) {
        self.now = now;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1
        //# If the last 16 bytes of the datagram are identical in value to a stateless reset
        //# token, the endpoint MUST enter the draining period and not send any further
        //# packets on this connection.
        if self.move_on(Trigger::PeerClosed) {
            self.enter_closing(now, Closing::draining(CloseReason::StatelessReset));
        }
    }

    /// Closes the connection because the peer broke a rule, or keys are worn out.
    pub(super) fn fail(&mut self, now: Time, error: TransportError, detail: Option<String>) {
        if !self.move_on(Trigger::Close) {
            return;
        }
        let detail = detail.or_else(|| self.tls_failure.take());
        let words = detail.as_deref().unwrap_or(error.reason).as_bytes();
        let frame = CloseFrame {
            code: CloseCode::Transport(error.code),
            frame_type: error.frame_type.unwrap_or(0),
            reason: Bytes::copy_from_slice(words.get(..limits::REASON_BYTES).unwrap_or(words)),
        };
        self.enter_closing(now, Closing::saying(CloseReason::LocalTransport { error, detail }, frame));
    }

    /// Ends the connection without a word.
    pub(super) fn end_silently(&mut self, reason: CloseReason) {
        if self.move_on(Trigger::Silence) {
            let now = self.now;
            self.enter_closing(now, Closing::draining(reason));
            self.events.push_back(Event::Drained);
        }
    }

    /// Forgets all but what closing needs.
    pub(super) fn enter_closing(&mut self, now: Time, mut closing: Closing) {
        if let Some(earlier) = self.closing.take() {
            // Closing already: the first reason stands.
            closing.reason = earlier.reason;
        } else {
            self.ledger.on_connection_closed();
            self.events.push_back(Event::Closed(closing.reason.clone()));
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-10.2
        //# The closing and draining connection states exist to ensure that connections
        //# close cleanly and that delayed or reordered packets are properly discarded.
        //# These states SHOULD persist for at least three times the current PTO interval as
        //# defined in {{QUIC-RECOVERY}}.
        closing.until = Some(shared_moment(now + self.recovery.pto() * 3));
        self.closing = Some(Box::new(closing));
        self.handshake_deadline = None;
        self.idle_deadline = None;
        self.keep_alive_deadline = None;
        self.session = None;
        self.early = Vec::new();
        self.wanted = None;
        self.observed = None;
        for crypto in self.crypto.iter_mut() {
            crypto.discard();
        }
    }

    /// When a closed connection may be forgotten.
    pub(super) fn closing_deadline(&self) -> Option<Time> {
        self.closing.as_ref().filter(|_| self.state != super::State::Drained).and_then(|closing| closing.until)
    }

    /// The closing or draining period is over.
    pub(super) fn on_closing_over(&mut self) {
        if self.move_on(Trigger::Expired) {
            self.events.push_back(Event::Drained);
        }
    }

    /// Datagrams that arrive after the end: a closing connection answers some of them with its last word.
    pub(super) fn on_datagrams_after_close(
        &mut self,
        now: Time,
        remote: SocketAddr,
        local: Option<IpAddr>,
        buffer: &mut BytesMut,
        segment_size: usize,
    ) {
        if self.state != super::State::Closing {
            return;
        }
        // The account of what may be sent to an unvalidated address goes on.
        let _known = self.paths.on_datagram(remote, local, buffer.len());
        for datagram in buffer.chunks_mut(segment_size) {
            if self.closes(now, datagram) {
                self.on_peer_closed_too();
                return;
            }
            let Some(closing) = &mut self.closing else { return };
            closing.heard += 1;
            //= https://www.rfc-editor.org/rfc/rfc9000#section-10.2.1
            //# An endpoint SHOULD limit the rate at which it generates packets in the closing
            //# state.
            if closing.heard >= closing.answer_at {
                closing.answer_at = closing.heard.saturating_mul(2);
                closing.pending = true;
            }
        }
    }

    /// Whether any packet of the datagram carries the peer's own CONNECTION_CLOSE.
    fn closes(&mut self, now: Time, mut datagram: &mut [u8]) -> bool {
        while let Ok(Packet::Protected(header)) = packet::decode(datagram, self.local_ids.length()) {
            let Some((packet, rest)) = datagram.split_at_mut_checked(header.end) else { return false };
            datagram = rest;
            let space = receive::space(header.kind);
            let expected = self.received[space].expected();
            let opened = self.keys.open(level_of(space), packet, header.packet_number_offset, expected, now);
            // The keys of this one may be gone, and those of the next not.
            let Ok(opened) = opened else { continue };
            let payload = packet.get(opened.payload()).unwrap_or_default();
            let closes = codec::frame::iter(payload)
                .map_while(Result::ok)
                .any(|frame| matches!(frame, Frame::ConnectionClose(_) | Frame::ApplicationClose(_)));
            if closes {
                return true;
            }
        }
        false
    }

    fn on_peer_closed_too(&mut self) {
        if self.move_on(Trigger::PeerClosed)
            && let Some(closing) = &mut self.closing
        {
            closing.pending = false;
        }
    }

    /// Says the last word, in a packet of each level that the peer may be able to read.
    pub(super) fn transmit_close(&mut self, now: Time, buffer: &mut [u8]) -> Option<Transmit> {
        let closing = self.closing.as_mut().filter(|closing| closing.pending)?;
        closing.pending = false;
        let frame = closing.frame.clone()?;
        let sendable = usize::try_from(self.paths.current().sendable()).unwrap_or(usize::MAX);
        let size = usize::from(self.paths.current().datagram_size()).min(sendable);
        let datagram = buffer.get_mut(..size)?;
        let spaces = SpaceId::ALL.map(|space| self.keys.can_seal(level_of(space)));
        let mut length = 0;
        for space in SpaceId::ALL {
            if !spaces[space.index()] {
                continue;
            }
            let last = !SpaceId::ALL.into_iter().skip(space.index() + 1).any(|later| spaces[later.index()]);
            let pad = last && spaces[SpaceId::Initial.index()];
            length = self.build_close_packet(now, space, datagram, length, &frame, pad).unwrap_or(length);
        }
        if length == 0 {
            return None;
        }
        self.paths.on_sent(length);
        self.stats.datagrams_sent += 1;
        self.stats.bytes_sent += length as u64;
        let path = self.paths.current();
        Some(Transmit { remote: path.remote(), local: path.local(), ecn: None, segment_size: length, length })
    }

    fn build_close_packet(
        &mut self,
        now: Time,
        space: SpaceId,
        datagram: &mut [u8],
        position: usize,
        close: &CloseFrame,
        pad: bool,
    ) -> Option<usize> {
        let (number, number_length) = self.next_number(space);
        let room = datagram.len().checked_sub(TAG_LENGTH)?;
        let mut writer = Writer::new(datagram.get_mut(position..room)?);
        let destination = self.peer_ids.current();
        let header = self.encode_header(space, destination, &mut writer, number, number_length)?;
        let frame = match (&close.code, space) {
            //= https://www.rfc-editor.org/rfc/rfc9000#section-10.2.3
            //# A CONNECTION_CLOSE of type 0x1d MUST be replaced by a CONNECTION_CLOSE of type
            //# 0x1c when sending the frame in Initial or Handshake packets.
            (CloseCode::Application(_), SpaceId::Initial | SpaceId::Handshake) => {
                Frame::ConnectionClose(ConnectionClose {
                    code: TransportErrorCode::APPLICATION_ERROR,
                    frame_type: 0,
                    reason: &[],
                })
            }
            (CloseCode::Application(code), SpaceId::Application) => {
                Frame::ApplicationClose(ApplicationClose { code: *code, reason: &close.reason })
            }
            (CloseCode::Transport(code), _) => Frame::ConnectionClose(ConnectionClose {
                code: *code,
                frame_type: close.frame_type,
                reason: &close.reason,
            }),
        };
        frame.encode(&mut writer).ok()?;
        self.stats.frames_sent[frame.frame_type().index()] += 1;
        if pad {
            let rest = writer.remaining();
            writer.zeros(rest).ok()?;
        }
        let length = writer.position() + TAG_LENGTH;
        let packet = Unsealed { space, number, header: &header, eliciting: false, in_flight: false };
        self.seal(datagram.get_mut(position..)?, length, &packet)?;
        self.recovery.on_sent(
            space,
            SentPacket {
                number,
                at: now,
                bytes: u16::try_from(length).unwrap_or(u16::MAX),
                ack_eliciting: false,
                in_flight: false,
                ecn: false,
                mtu_probe: false,
                tokens: Tokens::new(),
            },
        );
        self.stats.packets_sent[kind_index(kind_of(space))] += 1;
        Some(position + length)
    }

    /// A Version Negotiation packet (clients only; RFC 9000 §6.2).
    pub(super) fn on_version_negotiation(&mut self, _now: Time, packet: &VersionNegotiation<'_>) {
        let heard = SpaceId::ALL.into_iter().any(|space| self.received[space].largest().is_some());
        let Some(handshake) = &self.handshake else {
            self.stats.drop_packet(PacketDrop::Other);
            return;
        };
        let judgement = version_negotiation::judge(
            packet,
            &Attempt {
                version: self.version,
                destination: handshake.original_destination.as_bytes(),
                source: self.local_ids.first().as_bytes(),
                heard: heard || handshake.retry_source.is_some() || self.side.is_server(),
                negotiated: handshake.negotiated,
                supported: &self.config.versions,
            },
        );
        let (versions, retry_with) = match judgement {
            Judgement::Ignore => {
                self.stats.drop_packet(PacketDrop::Other);
                return;
            }
            Judgement::Retry(version) => (packet.versions().collect(), Some(version)),
            Judgement::Abandon { versions } => (versions, None),
        };
        self.stats.packets_received[kind_index(packet::PacketKind::VersionNegotiation)] += 1;
        self.end_silently(CloseReason::VersionMismatch { versions, retry_with });
    }
}

/// Connections that close within this time are forgotten together, at the end of it.
///
/// Each moment by itself is an interrupt, a system call and a turn of the timer; and nobody waits for it. A power of two, of
/// nanoseconds: 16.8 ms.
const FORGOTTEN_TOGETHER: u64 = 1 << 24;

/// The first of the moments at which closed connections are forgotten that is not before `at`.
const fn shared_moment(at: Time) -> Time {
    Time::from_nanos(at.as_nanos().saturating_add(FORGOTTEN_TOGETHER - 1) / FORGOTTEN_TOGETHER * FORGOTTEN_TOGETHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_close_at_about_the_same_time_are_forgotten_together_and_none_early() {
        let at = |nanoseconds| shared_moment(Time::from_nanos(nanoseconds)).as_nanos();
        let moment = 5 * FORGOTTEN_TOGETHER;
        assert_eq!([at(moment - 1), at(moment), at(moment - FORGOTTEN_TOGETHER + 1)], [moment; 3]);
        assert_eq!(at(moment + 1), moment + FORGOTTEN_TOGETHER);
        assert!(at(u64::MAX) > u64::MAX / 2, "nothing overflows");
    }
}
