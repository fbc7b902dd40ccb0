//! Long headers: what all versions share, then Initial, 0-RTT, Handshake and Retry (RFC 8999 §5.1, RFC 9000 §17.2).

use super::{FIXED_BIT, Packet, PacketError, PacketKind, ProtectedHeader, Retry, VersionNegotiation};
use crate::cursor::{BufferFull, Reader, Writer};
use crate::ids::ConnectionId;
use crate::version::Version;

/// The fields of a long header that no version may change (RFC 8999 §5.1).
pub(super) struct Invariants<'a> {
    pub(super) first: u8,
    pub(super) version: Version,
    /// Up to 255 bytes.
    pub(super) destination: &'a [u8],
    /// Up to 255 bytes.
    pub(super) source: &'a [u8],
}

impl<'a> Invariants<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, PacketError> {
        Ok(Self {
            first: reader.u8()?,
            version: Version(reader.u32()?),
            destination: read_id(reader)?,
            source: read_id(reader)?,
        })
    }

    /// The kind of packet, after the checks that a version known here asks for; `None` in a version that is not.
    pub(super) fn kind(&self) -> Result<Option<PacketKind>, PacketError> {
        if self.version == Version::NEGOTIATION {
            return Ok(Some(PacketKind::VersionNegotiation));
        }
        if !self.version.is_known() {
            return Ok(None);
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-17.2
        //# Packets containing a zero value for this bit are not
        //# valid packets in this version and MUST be discarded.
        if self.first & FIXED_BIT == 0 {
            return Err(PacketError::FixedBitZero);
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-17.2
        //# Endpoints that receive a version 1 long header with a value larger than 20
        //# MUST drop the packet.
        if self.destination.len() > ConnectionId::MAX_LENGTH || self.source.len() > ConnectionId::MAX_LENGTH {
            return Err(PacketError::ConnectionIdTooLong);
        }
        Ok(Some(kind_of(self.version, self.first >> 4)))
    }
}

fn read_id<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], PacketError> {
    let length = reader.u8()?;
    Ok(reader.bytes(usize::from(length))?)
}

/// What the two type bits mean (RFC 9000 §17.2 table 5, RFC 9369 §3.2).
const fn kind_of(version: Version, type_bits: u8) -> PacketKind {
    match (version, type_bits & 0b11) {
        (Version::V2, 0b01) | (Version::V1, 0b00) => PacketKind::Initial,
        (Version::V2, 0b10) | (Version::V1, 0b01) => PacketKind::ZeroRtt,
        (Version::V2, 0b11) | (Version::V1, 0b10) => PacketKind::Handshake,
        _ => PacketKind::Retry,
    }
}

/// The two type bits of a kind of long header packet. 1-RTT and Version Negotiation have none and give 0.
pub(super) const fn type_bits(version: Version, kind: PacketKind) -> u8 {
    let in_version_1 = match kind {
        PacketKind::Initial => 0b00,
        PacketKind::ZeroRtt => 0b01,
        PacketKind::Handshake => 0b10,
        PacketKind::Retry => 0b11,
        PacketKind::OneRtt | PacketKind::VersionNegotiation => return 0,
    };
    // Version 2 turned the wheel by one.
    if matches!(version, Version::V2) { (in_version_1 + 1) & 0b11 } else { in_version_1 }
}

/// Reads a packet with a long header.
pub(super) fn decode(datagram: &[u8]) -> Result<Packet<'_>, PacketError> {
    let mut reader = Reader::new(datagram);
    let header = Invariants::read(&mut reader)?;
    let kind = match header.kind()? {
        None => return Err(PacketError::UnknownVersion),
        Some(PacketKind::VersionNegotiation) => {
            return VersionNegotiation::read(&header, &mut reader).map(Packet::VersionNegotiation);
        }
        Some(PacketKind::Retry) => return Retry::read(&header, datagram, &mut reader).map(Packet::Retry),
        Some(kind) => kind,
    };
    let mut token = 0..0;
    if kind == PacketKind::Initial {
        let length = reader.prefixed()?.len();
        let end = reader.position();
        token = end.saturating_sub(length)..end;
    }
    let length = reader.varint()?;
    let packet_number_offset = reader.position();
    // Checks that the packet is all there.
    reader.bytes(usize::try_from(length).map_err(|_| PacketError::Truncated)?)?;
    Ok(Packet::Protected(ProtectedHeader {
        kind,
        version: header.version,
        destination: inline(header.destination)?,
        source: inline(header.source)?,
        token,
        packet_number_offset,
        end: reader.position(),
    }))
}

pub(super) fn inline(id: &[u8]) -> Result<ConnectionId, PacketError> {
    ConnectionId::new(id).ok_or(PacketError::ConnectionIdTooLong)
}

/// Writes the fields that all long headers share. Ids of more than 255 bytes do not fit.
pub(super) fn write_invariants(
    w: &mut Writer<'_>,
    first: u8,
    version: Version,
    destination: &[u8],
    source: &[u8],
) -> Result<(), BufferFull> {
    w.u8(first)?;
    w.u32(version.0)?;
    for id in [destination, source] {
        w.u8(u8::try_from(id.len()).map_err(|_| BufferFull)?)?;
        w.bytes(id)?;
    }
    Ok(())
}
