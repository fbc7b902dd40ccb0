//! The way in: datagrams → coalesced packets → opened packets → frames.

use std::net::SocketAddr;

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use codec::packet::{self, Packet, PacketKind, ProtectedHeader};
use codec::{ConnectionId, Time};
use recovery::{Ecn, SpaceId};
use smallvec::SmallVec;
use tls::{Level, OpenError};

use super::Connection;
use crate::accept::SMALLEST_INITIAL_DATAGRAM;
use crate::error::TransportError;
use crate::limits::{self, Limit};
use crate::output::ReceivedDatagrams;
use crate::path::PathIndex;
use crate::stats::{PacketDrop, kind_index};

/// Where a datagram came from, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) now: Time,
    pub(super) path: PathIndex,
    pub(super) remote: SocketAddr,
    pub(super) ecn: Option<Ecn>,
}

/// A packet that opened.
#[derive(Clone, Debug)]
pub(super) struct OpenedPacket {
    pub(super) kind: PacketKind,
    /// Its number, and how its keys stand to newer ones.
    pub(super) opened: tls::Opened,
    /// In the buffer that it was opened in.
    pub(super) payload: Range<usize>,
    /// Which of the run's [`Ids`] its header had. Nearly always the same ones, which are therefore not copied for each.
    ids: usize,
}

impl OpenedPacket {
    /// One that starts at `base` of its buffer.
    fn new(kind: PacketKind, opened: tls::Opened, base: usize, ids: usize) -> Self {
        let payload = opened.payload();
        Self { kind, opened, payload: base + payload.start..base + payload.end, ids }
    }
}

/// The connection ids of a header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Ids {
    source: ConnectionId,
    destination: ConnectionId,
}

/// A packet whose keys are not there yet.
#[derive(Debug)]
pub(super) struct EarlyPacket {
    origin: Origin,
    level: Level,
    bytes: BytesMut,
}

impl EarlyPacket {
    pub(super) const fn is_one_rtt(&self) -> bool {
        matches!(self.level, Level::OneRtt)
    }
}

/// What a packet's frames amounted to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Contents {
    pub(super) ack_eliciting: bool,
    /// Whether all frames were probing frames (RFC 9000 §9.1).
    pub(super) probing: bool,
}

impl Connection {
    /// Datagrams that were routed here. One buffer holds datagrams of one address.
    pub fn handle_datagrams(&mut self, now: Time, datagrams: ReceivedDatagrams) {
        self.now = now;
        let ReceivedDatagrams { remote, local, ecn, segment_size, mut buffer } = datagrams;
        let segment_size = if segment_size == 0 { buffer.len().max(1) } else { segment_size };
        let count = buffer.len().div_ceil(segment_size) as u64;
        self.stats.datagrams_received += count;
        self.stats.bytes_received += buffer.len() as u64;
        if !self.state.is_open() {
            self.stats.packets_dropped[PacketDrop::AfterClose as usize] += count;
            self.on_datagrams_after_close(now, remote, local, &mut buffer, segment_size);
            return;
        }
        let Ok(path) = self.paths.on_datagram(remote, local, buffer.len()) else {
            self.stats.packets_dropped[PacketDrop::Other as usize] += count;
            return;
        };
        self.recovery.set_amplification_blocked(false);
        let origin = Origin { now, path, remote, ecn };
        if self.state.is_established() && self.early.is_empty() {
            self.open_run(origin, segment_size, buffer);
        } else {
            // Each packet may bring the keys of the next one.
            while !buffer.is_empty() {
                let datagram = buffer.split_to(segment_size.min(buffer.len()));
                self.read_datagram_by_packet(origin, datagram);
            }
        }
    }

    /// The way of bulk: everything in the buffer is opened in place, then read, then the buffer is given back whole.
    fn open_run(&mut self, origin: Origin, segment_size: usize, mut buffer: BytesMut) {
        let mut opened = std::mem::take(&mut self.opened);
        let mut expected = self.received[SpaceId::Application].expected();
        let mut ids = SmallVec::new();
        let mut failure = None;
        let mut start = 0;
        while start < buffer.len() && failure.is_none() {
            let end = (start + segment_size).min(buffer.len());
            let datagram = &mut buffer[start..end];
            failure = self.open_datagram(origin, datagram, start, &mut expected, &mut ids, &mut opened).err();
            start = end;
        }
        let whole = buffer.freeze();
        for packet in &opened {
            if self.state.is_open()
                && let Some(ids) = ids.get(packet.ids)
            {
                self.read_packet(origin, &whole, packet, ids);
            } else {
                self.stats.drop_packet(PacketDrop::AfterClose);
            }
        }
        opened.clear();
        self.opened = opened;
        if let Some(error) = failure {
            self.fail(origin.now, error, None);
        }
    }

    /// Opens all packets of one datagram that starts at `base` of its buffer.
    fn open_datagram(
        &mut self,
        origin: Origin,
        datagram: &mut [u8],
        base: usize,
        expected: &mut u64,
        ids: &mut SmallVec<[Ids; 1]>,
        opened: &mut Vec<OpenedPacket>,
    ) -> Result<(), TransportError> {
        // The way of nearly every datagram: one 1-RTT packet to the same id as the one before.
        if let Some(last) = ids.last()
            && let Some(offset) = packet::one_rtt_to(datagram, &last.destination)
        {
            if let Some(found) = self.open_packet(origin, Level::OneRtt, datagram, offset, *expected)? {
                *expected = (*expected).max(found.number + 1);
                opened.push(OpenedPacket::new(PacketKind::OneRtt, found, base, ids.len() - 1));
            }
            return Ok(());
        }
        let mut position = 0;
        let mut first_destination = None;
        while position < datagram.len() {
            let rest = &mut datagram[position..];
            let header = match packet::decode(rest, self.local_ids.length()) {
                Ok(Packet::Protected(header)) => header,
                Ok(_) => {
                    self.stats.drop_packet(PacketDrop::Other);
                    return Ok(());
                }
                Err(_) => {
                    self.on_unreadable(origin, rest, PacketDrop::Malformed);
                    return Ok(());
                }
            };
            // As in `read_datagram_by_packet` (RFC 9000 §12.2).
            if *first_destination.get_or_insert(header.destination) != header.destination {
                self.stats.drop_packet(PacketDrop::UnexpectedConnectionId);
                return Ok(());
            }
            let packet = &mut rest[..header.end];
            let at = if header.kind == PacketKind::OneRtt { *expected } else { self.expected(&header) };
            if let Some(found) = self.open_protected(origin, &header, packet, at)? {
                if header.kind == PacketKind::OneRtt {
                    *expected = (*expected).max(found.number + 1);
                }
                let its = Ids { source: header.source, destination: header.destination };
                if ids.last() != Some(&its) {
                    ids.push(its);
                }
                opened.push(OpenedPacket::new(header.kind, found, base + position, ids.len() - 1));
            }
            position += header.end;
        }
        Ok(())
    }

    /// The way of the handshake: packet by packet, since each may change what the next one means.
    fn read_datagram_by_packet(&mut self, origin: Origin, mut datagram: BytesMut) {
        let mut first_destination = None;
        let size = datagram.len();
        while !datagram.is_empty() && self.state.is_open() {
            let header = match packet::decode(&datagram, self.local_ids.length()) {
                Ok(Packet::Protected(header)) => header,
                Ok(Packet::Retry(retry)) => {
                    if self.on_retry(&retry, origin.remote) {
                        self.stats.packets_received[kind_index(PacketKind::Retry)] += 1;
                    } else {
                        self.stats.drop_packet(PacketDrop::Other);
                    }
                    return;
                }
                Ok(Packet::VersionNegotiation(negotiation)) => {
                    self.on_version_negotiation(origin.now, &negotiation);
                    return;
                }
                Err(_) => {
                    self.on_unreadable(origin, &datagram, PacketDrop::Malformed);
                    return;
                }
            };
            //= https://www.rfc-editor.org/rfc/rfc9000#section-12.2
            //# Receivers SHOULD ignore any subsequent packets with a different Destination
            //# Connection ID than the first packet in the datagram.
            if *first_destination.get_or_insert(header.destination) != header.destination {
                self.stats.drop_packet(PacketDrop::UnexpectedConnectionId);
                return;
            }
            let mut packet = datagram.split_to(header.end);
            //= https://www.rfc-editor.org/rfc/rfc9000#section-14.1
            //# A server MUST discard an Initial packet that is carried in a UDP datagram with a
            //# payload that is smaller than the smallest allowed maximum datagram size of 1200
            //# bytes.
            if header.kind == PacketKind::Initial && self.side.is_server() && size < SMALLEST_INITIAL_DATAGRAM {
                self.stats.drop_packet(PacketDrop::Other);
                continue;
            }
            let expected = self.expected(&header);
            match self.open_protected(origin, &header, &mut packet, expected) {
                Ok(Some(found)) => self.read_alone(origin, &header, packet, found),
                Ok(None) if self.wants_later(level(header.kind)) => {
                    self.keep_early(origin, level(header.kind), packet);
                    //= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.3
                    //# When a
                    //# client receives Handshake or 1-RTT packets prior to obtaining Handshake keys,
                    //# it may assume some or all of the server's Initial packets were lost.
                    self.hasten_handshake();
                }
                Ok(None) => {}
                Err(error) => self.fail(origin.now, error, None),
            }
            self.read_early();
        }
    }

    fn expected(&self, header: &ProtectedHeader) -> u64 {
        self.received[space(header.kind)].expected()
    }

    /// Opens one packet in place. `Ok(None)`: it was forgotten, and counted, or its keys are still to come.
    fn open_protected(
        &mut self,
        origin: Origin,
        header: &ProtectedHeader,
        packet: &mut [u8],
        expected: u64,
    ) -> Result<Option<tls::Opened>, TransportError> {
        if header.kind != PacketKind::OneRtt && header.version != self.version {
            self.stats.drop_packet(PacketDrop::Other);
            return Ok(None);
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-17.2.2
        //# Initial packets sent by the server MUST set the Token Length field to 0; clients
        //# that receive an Initial packet with a non-zero Token Length field MUST either
        //# discard the packet or generate a connection error of type PROTOCOL_VIOLATION.
        if self.side.is_client() && !header.token.is_empty() {
            self.stats.drop_packet(PacketDrop::Malformed);
            return Ok(None);
        }
        let level = level(header.kind);
        if self.wants_later(level) {
            return Ok(None);
        }
        self.open_packet(origin, level, packet, header.packet_number_offset, expected)
    }

    fn open_packet(
        &mut self,
        origin: Origin,
        level: Level,
        packet: &mut [u8],
        packet_number_offset: usize,
        expected: u64,
    ) -> Result<Option<tls::Opened>, TransportError> {
        match self.keys.open(level, packet, packet_number_offset, expected, origin.now) {
            Ok(found) => Ok(Some(found)),
            Err(OpenError::KeysUnavailable) => {
                self.stats.drop_packet(PacketDrop::KeysUnavailable);
                Ok(None)
            }
            Err(OpenError::Undecryptable) => {
                self.stats.decrypt_failures[level.index()] += 1;
                self.on_unreadable(origin, packet, PacketDrop::Undecryptable);
                Ok(None)
            }
            Err(violation) => match violation.close_code() {
                Some(code) => Err(TransportError::new(code, violation.as_str())),
                None => Ok(None),
            },
        }
    }

    /// Whether packets of this level cannot be opened yet but will be.
    fn wants_later(&self, level: Level) -> bool {
        match level {
            Level::Initial | Level::ZeroRtt => false,
            Level::Handshake => self.handshake.is_some() && !self.keys.can_open(level),
            //= https://www.rfc-editor.org/rfc/rfc9001#section-5.7
            //# Even if it has 1-RTT secrets, a client MUST NOT process incoming 1-RTT
            //# protected packets before the TLS handshake is complete.
            Level::OneRtt => !self.state.is_established(),
        }
    }

    fn keep_early(&mut self, origin: Origin, level: Level, bytes: BytesMut) {
        let held: usize = self.early.iter().map(|packet| packet.bytes.len()).sum();
        if self.early.len() >= limits::EARLY_PACKETS || held + bytes.len() > limits::EARLY_BYTES {
            self.stats.hit(Limit::EarlyPackets);
            self.stats.drop_packet(PacketDrop::KeysUnavailable);
            return;
        }
        // A copy, so that a few packets do not hold a whole receive buffer.
        self.early.push(EarlyPacket { origin, level, bytes: BytesMut::from(&bytes[..]) });
    }

    /// Reads packets whose keys have come meanwhile.
    fn read_early(&mut self) {
        while let Some(index) = self.early.iter().position(|packet| !self.wants_later(packet.level)) {
            let EarlyPacket { origin, mut bytes, .. } = self.early.remove(index);
            let Ok(Packet::Protected(header)) = packet::decode(&bytes, self.local_ids.length()) else { continue };
            let expected = self.expected(&header);
            match self.open_protected(origin, &header, &mut bytes, expected) {
                Ok(Some(found)) => self.read_alone(origin, &header, bytes, found),
                Ok(None) => {}
                Err(error) => self.fail(origin.now, error, None),
            }
            if !self.state.is_open() {
                return;
            }
        }
    }

    /// A datagram, or the rest of one, that says nothing. It may be the peer's last word.
    fn on_unreadable(&mut self, origin: Origin, bytes: &[u8], reason: PacketDrop) {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1
        //# An endpoint detects a potential Stateless Reset using the trailing 16 bytes
        if let Some(token) = packet::stateless_reset::trailing_token(bytes)
            && self.peer_ids.is_reset_token(&token)
        {
            self.handle_stateless_reset(origin.now);
            return;
        }
        self.stats.drop_packet(reason);
    }

    /// Reads an opened packet that has its buffer to itself.
    fn read_alone(&mut self, origin: Origin, header: &ProtectedHeader, packet: BytesMut, opened: tls::Opened) {
        let ids = Ids { source: header.source, destination: header.destination };
        self.read_packet(origin, &packet.freeze(), &OpenedPacket::new(header.kind, opened, 0, 0), &ids);
    }

    /// Reads an opened packet: its number, its ids, its frames.
    fn read_packet(&mut self, origin: Origin, whole: &Bytes, packet: &OpenedPacket, ids: &Ids) {
        let space = space(packet.kind);
        let received = &self.received[space];
        let number = packet.opened.number;
        if !received.is_new(number) {
            self.stats.drop_packet(PacketDrop::Duplicate);
            return;
        }
        let newest = received.largest().is_none_or(|largest| number > largest);
        if !self.accepts_ids(packet.kind, &ids.source) {
            self.stats.drop_packet(PacketDrop::UnexpectedConnectionId);
            return;
        }
        let contents = match self.read_frames(origin, whole, packet, &ids.destination) {
            Ok(contents) => contents,
            Err(error) => {
                self.fail(origin.now, error, None);
                return;
            }
        };
        self.stats.packets_received[kind_index(packet.kind)] += 1;
        // The packet that completes the handshake takes its space along.
        if let Some(received) = self.received.get_mut(space) {
            received.on_packet(number, origin.now, contents.ack_eliciting, origin.ecn, false);
        }
        if !self.state.is_open() {
            return;
        }
        self.restart_idle(origin.now);
        self.sent_since_received = false;
        match packet.kind {
            PacketKind::Handshake if self.side.is_server() => {
                //= https://www.rfc-editor.org/rfc/rfc9001#section-4.9.1
                //# a server MUST discard Initial keys when it first
                //# successfully processes a Handshake packet.
                self.discard_space(SpaceId::Initial);
                //= https://www.rfc-editor.org/rfc/rfc9000#section-8.1
                //# Once an endpoint has successfully processed a Handshake packet from the peer, it can consider the peer
                //# address to have been validated.
                self.paths.validate_current();
            }
            PacketKind::OneRtt => self.on_one_rtt(origin, newest, contents.probing, &ids.destination),
            _ => {}
        }
    }

    /// Whether a long header packet carries the ids that this point of the handshake expects; takes the peer's first one.
    fn accepts_ids(&mut self, kind: PacketKind, source: &ConnectionId) -> bool {
        if kind == PacketKind::OneRtt {
            return true;
        }
        let Some(handshake) = &mut self.handshake else { return true };
        match handshake.peer_source {
            //= https://www.rfc-editor.org/rfc/rfc9000#section-7.2
            //# Any further changes to the Destination Connection ID are only
            //# permitted if the values are taken from NEW_CONNECTION_ID frames; if
            //# subsequent Initial packets include a different Source Connection ID, they MUST
            //# be discarded.
            Some(first) => first == *source,
            None => {
                handshake.peer_source = Some(*source);
                self.peer_ids.replace_initial(*source);
                true
            }
        }
    }
}

pub(super) const fn space(kind: PacketKind) -> SpaceId {
    match kind {
        PacketKind::Initial | PacketKind::Retry | PacketKind::VersionNegotiation => SpaceId::Initial,
        PacketKind::Handshake => SpaceId::Handshake,
        PacketKind::ZeroRtt | PacketKind::OneRtt => SpaceId::Application,
    }
}

const fn level(kind: PacketKind) -> Level {
    match kind {
        PacketKind::Initial | PacketKind::Retry | PacketKind::VersionNegotiation => Level::Initial,
        PacketKind::Handshake => Level::Handshake,
        PacketKind::ZeroRtt => Level::ZeroRtt,
        PacketKind::OneRtt => Level::OneRtt,
    }
}
