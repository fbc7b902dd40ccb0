//! One packet: header, frames, seal, and what is remembered of it.

use codec::Time;
use codec::cursor::Writer;
use codec::frame::{Frame, FrameType, NewToken, PathChallenge, PathResponse, encode_ack};
use codec::packet::{Header, PacketKind, number};
use recovery::{SentPacket, SpaceId};
use tls::{Level, SealError, TAG_LENGTH};

use super::Connection;
use super::transmit::Permission;
use crate::error::TransportError;
use crate::limits;
use crate::path::OffPath;
use crate::stats::kind_index;
use crate::token::{Token, Tokens};

/// What goes into a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content {
    /// The acknowledgement that waits.
    acknowledgement: bool,
    /// Everything else.
    data: bool,
}

/// A packet that was sealed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Built {
    /// Where it ends in the datagram.
    pub(super) end: usize,
    /// Whether it counts as in flight.
    pub(super) in_flight: bool,
}

impl Connection {
    pub(super) fn content(&self, now: Time, space: SpaceId, permission: Permission) -> Content {
        let received = &self.received[space];
        let probe = self.probes[space.index()] > 0;
        // A probe repeats the acknowledgement too: what was lost may have carried it.
        let acknowledgement =
            received.has_unsent_ack() || received.is_ack_due(now) || probe && received.largest().is_some();
        Content { acknowledgement, data: permission == Permission::Everything || probe }
    }

    /// Builds a packet of `space` at `position` of `datagram`, or nothing if there is nothing to put in it.
    pub(super) fn build_packet(
        &mut self,
        now: Time,
        space: SpaceId,
        datagram: &mut [u8],
        position: usize,
        content: Content,
        pad: bool,
    ) -> Option<Built> {
        let mut tokens = Tokens::new();
        let (number, needed) = self.next_number(space);
        let room = datagram.len().checked_sub(TAG_LENGTH)?;
        let mut writer = Writer::new(datagram.get_mut(position..room)?);
        let destination = self.peer_ids.current();
        let fills = space == SpaceId::Application && content.data && self.ledger.fills(writer.remaining());
        let number_length = if fills { self.aligned_length(needed, writer.remaining()) } else { needed };
        let header = self.encode_header(space, destination, &mut writer, number, number_length)?;
        let eliciting = self.write_frames(now, space, &mut writer, &mut tokens, content);
        if writer.position() == header.payload_offset() {
            return None;
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-14.1
        //# Similarly, a
        //# server MUST expand the payload of all UDP datagrams carrying ack-eliciting
        //# Initial packets to at least the smallest allowed maximum datagram size of 1200
        //# bytes.
        // Others it does not expand: PADDING would count as in flight and, since nobody acknowledges it, fill the window.
        let pad = pad && (self.side.is_client() || space != SpaceId::Initial || eliciting);
        // Header protection takes its sample four bytes behind the start of the packet number (RFC 9001 §5.4.2).
        let payload = writer.position() - header.payload_offset();
        let sample = number::MAX_LENGTH.saturating_sub(number_length + payload);
        //= https://www.rfc-editor.org/rfc/rfc9000#section-10.3
        //# To achieve that end, the endpoint SHOULD ensure that all
        //# packets it sends are at least 22 bytes longer than the minimum connection ID
        //# length that it requests the peer to include in its packets, adding PADDING
        //# frames as necessary.
        // Not where nothing else needs an acknowledgement, for the reason above.
        let disguised = if eliciting { self.local_ids.length() + DISGUISE } else { 0 };
        let missing = sample.max(disguised.saturating_sub(writer.position() + TAG_LENGTH)).min(writer.remaining());
        let padding = if pad { writer.remaining() } else { missing };
        if padding > 0 {
            pad_with(&mut writer, padding);
            self.stats.frames_sent[FrameType::PADDING.index()] += 1;
        }
        let end = position + writer.position() + TAG_LENGTH;
        let packet = Unsealed { space, number, header: &header, eliciting, in_flight: eliciting || pad };
        self.finish_packet(now, datagram.get_mut(position..)?, end - position, &packet, &mut tokens)?;
        Some(Built { end, in_flight: eliciting || pad })
    }

    /// A packet of path frames alone, filling `datagram`.
    pub(super) fn build_path_packet(&mut self, now: Time, datagram: &mut [u8], off_path: &OffPath) -> Option<usize> {
        let frames = off_path.frames;
        self.build_padded(now, datagram, off_path.destination, move |writer| {
            let challenge = frames.challenge.map(|data| Frame::PathChallenge(PathChallenge { data }));
            let response = frames.response.map(|data| Frame::PathResponse(PathResponse { data }));
            for frame in challenge.iter().chain(&response) {
                frame.encode(writer).ok()?;
            }
            Some(challenge.map_or(FrameType::PATH_RESPONSE, |_| FrameType::PATH_CHALLENGE))
        })
    }

    /// A packet of PING and PADDING, filling `datagram`, whose loss means nothing but that it is too large.
    pub(super) fn build_mtu_probe(&mut self, now: Time, datagram: &mut [u8]) -> Option<usize> {
        let destination = self.peer_ids.current();
        self.build_padded(now, datagram, destination, |writer| {
            Frame::Ping.encode(writer).ok()?;
            Some(FrameType::PING)
        })
    }

    fn build_padded(
        &mut self,
        now: Time,
        datagram: &mut [u8],
        destination: codec::ConnectionId,
        write: impl FnOnce(&mut Writer<'_>) -> Option<FrameType>,
    ) -> Option<usize> {
        let (number, number_length) = self.next_number(SpaceId::Application);
        let room = datagram.len().checked_sub(TAG_LENGTH)?;
        let length = datagram.len();
        let mut writer = Writer::new(datagram.get_mut(..room)?);
        let header = self.encode_header(SpaceId::Application, destination, &mut writer, number, number_length)?;
        let frame_type = write(&mut writer)?;
        let rest = writer.remaining();
        pad_with(&mut writer, rest);
        self.stats.frames_sent[frame_type.index()] += 1;
        self.stats.frames_sent[FrameType::PADDING.index()] += 1;
        let probe = frame_type == FrameType::PING;
        let mut tokens = Tokens::new();
        tokens.push(Token::Ping);
        let packet = Unsealed {
            space: SpaceId::Application,
            number,
            header: &header,
            eliciting: true,
            // What goes to another address does not fill the current path.
            in_flight: probe,
        };
        self.seal(datagram, length, &packet)?;
        self.recovery.on_sent(
            SpaceId::Application,
            SentPacket {
                number,
                at: now,
                bytes: u16::try_from(length).unwrap_or(u16::MAX),
                ack_eliciting: true,
                in_flight: probe,
                ecn: false,
                mtu_probe: probe,
                tokens,
            },
        );
        self.stats.packets_sent[kind_index(PacketKind::OneRtt)] += 1;
        self.after_ack_eliciting(now);
        Some(length)
    }

    fn finish_packet(
        &mut self,
        now: Time,
        bytes: &mut [u8],
        length: usize,
        packet: &Unsealed<'_>,
        tokens: &mut Tokens,
    ) -> Option<()> {
        self.seal(bytes, length, packet)?;
        let space = packet.space;
        self.count_tokens(tokens);
        for token in tokens.iter() {
            if let Token::Ack { largest, .. } = token {
                self.received[space].on_ack_sent(*largest, now);
            }
        }
        self.recovery.on_sent(
            space,
            SentPacket {
                number: packet.number,
                at: now,
                bytes: u16::try_from(length).unwrap_or(u16::MAX),
                ack_eliciting: packet.eliciting,
                in_flight: packet.in_flight,
                ecn: self.marking,
                mtu_probe: false,
                // Moved here and not before: by now they have been stored.
                tokens: std::mem::take(tokens),
            },
        );
        let kind = kind_of(space);
        self.stats.packets_sent[kind_index(kind)] += 1;
        if packet.eliciting {
            self.ack_only_packets = 0;
            let probes = &mut self.probes[space.index()];
            *probes = probes.saturating_sub(1);
            self.after_ack_eliciting(now);
        } else {
            self.ack_only_packets += 1;
        }
        if space == SpaceId::Handshake && self.side.is_client() {
            //= https://www.rfc-editor.org/rfc/rfc9001#section-4.9.1
            //# Thus, a client MUST discard Initial keys when it first sends a Handshake packet
            self.discard_space(SpaceId::Initial);
        }
        Some(())
    }

    pub(super) fn seal(&mut self, bytes: &mut [u8], length: usize, packet: &Unsealed<'_>) -> Option<()> {
        let sealed = bytes.get_mut(..length)?;
        packet.header.finish(sealed, length);
        let level = level_of(packet.space);
        let header = packet.header;
        match self.keys.seal(level, packet.number, sealed, header.packet_number_offset(), header.payload_offset()) {
            Ok(()) => Some(()),
            Err(SealError::KeysUnavailable) => {
                debug_assert!(false, "a packet was built for a level without keys");
                None
            }
            Err(error) => {
                if let Some(code) = error.close_code() {
                    self.fail(self.now, TransportError::new(code, "the keys have protected all they may"), None);
                }
                None
            }
        }
    }

    /// The next packet number of a space and how many bytes of it travel. Now and then one is left out.
    pub(super) fn next_number(&mut self, space: SpaceId) -> (u64, usize) {
        let mut next = self.recovery.next_number(space);
        if space == SpaceId::Application && next >= self.next_skipped {
            //= https://www.rfc-editor.org/rfc/rfc9000#section-21.4
            //# An endpoint MAY skip packet numbers when sending
            //# packets to detect this behavior.
            self.recovery.skip_number(space);
            let window = self.window.congestion_window / u64::from(self.paths.current().datagram_size()).max(1);
            self.next_skipped = next + 20 + window / 2 + self.random.number() % (window + 64);
            next = self.recovery.next_number(space);
        }
        (next, number::length_for(next, self.recovery.largest_acknowledged(space)))
    }

    /// How many bytes of a packet number travel in a short header packet that fills `room` bytes: perhaps more than are
    /// needed, so that its payload is whole AES blocks.
    ///
    /// An odd byte costs the cipher a whole block, and AES-GCM's fast loop, which takes several blocks at once, the more
    /// the worse the remainder is. In a datagram of 1,452 bytes with an id of 8 and a number of 2 bytes the payload has
    /// 1,425, one more than 89 blocks: the third byte of the number, which carries nothing, saves 4.5 % of the time of a
    /// bulk transfer. RFC 9000 §17.1 demands a length that is able to represent enough, and permits more.
    fn aligned_length(&self, needed: usize, room: usize) -> usize {
        let rest = room.saturating_sub(1 + self.peer_ids.current().len());
        number::length_for_blocks(needed, rest, CIPHER_BLOCK)
    }

    pub(super) fn encode_header(
        &self,
        space: SpaceId,
        destination: codec::ConnectionId,
        writer: &mut Writer<'_>,
        number: u64,
        number_length: usize,
    ) -> Option<codec::packet::WrittenHeader> {
        let version = self.version;
        let source = self.local_ids.first();
        let header = match space {
            SpaceId::Initial => {
                let token = self.handshake.as_ref().map_or(&[][..], |handshake| &handshake.token);
                Header::Initial { version, destination, source, token }
            }
            SpaceId::Handshake => Header::Handshake { version, destination, source },
            SpaceId::Application => Header::OneRtt { destination, spin: false, key_phase: self.keys.key_phase() },
        };
        header.encode(writer, number, number_length).ok()
    }

    /// Writes what goes into a packet; says whether it must be acknowledged.
    fn write_frames(
        &mut self,
        now: Time,
        space: SpaceId,
        writer: &mut Writer<'_>,
        tokens: &mut Tokens,
        content: Content,
    ) -> bool {
        let start = writer.position();
        if content.acknowledgement {
            self.write_ack(now, space, writer, tokens);
        }
        let acknowledgement_only = writer.position();
        if content.data {
            self.crypto[space].write_frames(writer, tokens);
            if space == SpaceId::Application && self.state.is_established() {
                self.write_application(writer, tokens);
            }
        }
        let index = space.index();
        let probe = self.probes[index] > 0 && writer.position() == acknowledgement_only;
        // Now and then an acknowledgement is itself acknowledged, or we would remember it for ever (RFC 9000 §13.2.4).
        let reminder = writer.position() == acknowledgement_only
            && acknowledgement_only > start
            && self.ack_only_packets >= limits::ACK_ONLY_PACKETS
            && space == SpaceId::Application;
        if (probe || content.data && (reminder || self.ping[index])) && Frame::Ping.encode(writer).is_ok() {
            self.ping[index] = false;
            tokens.push(Token::Ping);
        }
        writer.position() > acknowledgement_only
    }

    fn write_ack(&mut self, now: Time, space: SpaceId, writer: &mut Writer<'_>, tokens: &mut Tokens) {
        let received = &self.received[space];
        let Some(largest) = received.largest() else { return };
        let delay = u64::try_from(received.delay(now).as_micros()).unwrap_or(u64::MAX) >> ACK_DELAY_EXPONENT;
        if encode_ack(writer, delay, received.ranges(), received.ecn_counts()).is_ok_and(|ranges| ranges > 0) {
            tokens.push(Token::Ack { space, largest });
            self.stats.ack_delays[0] = Some(std::time::Duration::from_micros(delay << ACK_DELAY_EXPONENT));
        }
    }

    fn write_application(&mut self, writer: &mut Writer<'_>, tokens: &mut Tokens) {
        // What does not fit here may fit a datagram of the path's size, unless this is one and has nothing else in it.
        let whole =
            writer.position() + writer.remaining() + TAG_LENGTH >= usize::from(self.paths.current().datagram_size());
        let fresh = whole && tokens.is_empty();
        if self.handshake_done && Frame::HandshakeDone.encode(writer).is_ok() {
            self.handshake_done = false;
            tokens.push(Token::HandshakeDone);
        }
        self.local_ids.write_frames(writer, tokens);
        self.peer_ids.write_frames(writer, tokens);
        self.ledger.write_control(writer, tokens);
        while let Some(token) = self.new_tokens.front() {
            if Frame::NewToken(NewToken { token }).encode(writer).is_err() {
                break;
            }
            tokens.extend(self.new_tokens.pop_front().map(|token| Token::NewToken { token: Box::new(token) }));
        }
        if self.datagrams.has_pending() {
            let dropped = self.datagrams.write_frames(writer, tokens, fresh);
            self.stats.datagrams_dropped[0] += dropped;
        }
        self.ledger.write_streams(writer, tokens);
    }

    fn after_ack_eliciting(&mut self, now: Time) {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-10.1
        //# An endpoint also restarts its idle timer when sending an ack-eliciting packet if no
        //# other ack-eliciting packets have been sent since last receiving and processing a
        //# packet.
        if !self.sent_since_received {
            self.sent_since_received = true;
            self.restart_idle(now);
        }
    }

    fn count_tokens(&mut self, tokens: &Tokens) {
        for token in tokens {
            let frame_type = match token {
                Token::Ack { .. } => FrameType::ACK,
                Token::Crypto { .. } => FrameType::CRYPTO,
                Token::Stream { .. } => FrameType::STREAM,
                Token::ResetStream { .. } => FrameType::RESET_STREAM,
                Token::StopSending { .. } => FrameType::STOP_SENDING,
                Token::MaxData { .. } => FrameType::MAX_DATA,
                Token::MaxStreamData { .. } => FrameType::MAX_STREAM_DATA,
                Token::MaxStreams { direction: codec::Direction::Bidirectional, .. } => FrameType::MAX_STREAMS_BIDI,
                Token::MaxStreams { .. } => FrameType::MAX_STREAMS_UNI,
                Token::DataBlocked { .. } => FrameType::DATA_BLOCKED,
                Token::StreamDataBlocked { .. } => FrameType::STREAM_DATA_BLOCKED,
                Token::StreamsBlocked { direction: codec::Direction::Bidirectional, .. } => {
                    FrameType::STREAMS_BLOCKED_BIDI
                }
                Token::StreamsBlocked { .. } => FrameType::STREAMS_BLOCKED_UNI,
                Token::NewConnectionId { .. } => FrameType::NEW_CONNECTION_ID,
                Token::RetireConnectionId { .. } => FrameType::RETIRE_CONNECTION_ID,
                Token::NewToken { .. } => FrameType::NEW_TOKEN,
                Token::HandshakeDone => FrameType::HANDSHAKE_DONE,
                Token::Ping => FrameType::PING,
                Token::Datagram => FrameType::DATAGRAM,
            };
            self.stats.frames_sent[frame_type.index()] += 1;
        }
    }
}

/// A packet whose bytes are written but not protected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unsealed<'a> {
    pub(super) space: SpaceId,
    pub(super) number: u64,
    pub(super) header: &'a codec::packet::WrittenHeader,
    pub(super) eliciting: bool,
    pub(super) in_flight: bool,
}

pub(super) const fn kind_of(space: SpaceId) -> PacketKind {
    match space {
        SpaceId::Initial => PacketKind::Initial,
        SpaceId::Handshake => PacketKind::Handshake,
        SpaceId::Application => PacketKind::OneRtt,
    }
}

pub(super) const fn level_of(space: SpaceId) -> Level {
    match space {
        SpaceId::Initial => Level::Initial,
        SpaceId::Handshake => Level::Handshake,
        SpaceId::Application => Level::OneRtt,
    }
}

/// PADDING to the end: frames of one zero byte each.
fn pad_with(writer: &mut Writer<'_>, length: usize) {
    let padded = writer.zeros(length);
    debug_assert!(padded.is_ok(), "padding is never asked for beyond the room");
}

/// Bytes of an AES block.
const CIPHER_BLOCK: usize = 16;
/// By how much packets are longer than our ids, so that a stateless reset may be any of them (RFC 9000 §10.3).
const DISGUISE: usize = 22;
/// Our ack_delay_exponent is the default (RFC 9000 §18.2), so it is not announced.
const ACK_DELAY_EXPONENT: u8 = 3;
