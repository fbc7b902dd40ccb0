//! The short header of 1-RTT packets (RFC 9000 §17.3.1).

use super::{FIXED_BIT, LONG_FORM, PacketError, PacketKind, ProtectedHeader};
use crate::cursor::Reader;
use crate::ids::ConnectionId;
use crate::version::Version;

/// The latency spin bit (RFC 9000 §17.4).
pub(super) const SPIN_BIT: u8 = 0x20;
/// The key phase (RFC 9000 §17.3.1); under header protection.
pub(super) const KEY_PHASE_BIT: u8 = 0x04;

/// The spin bit in the first byte of a 1-RTT packet (RFC 9000 §17.4). Header protection does not cover it.
#[inline]
pub const fn spin_bit(first_byte: u8) -> bool {
    first_byte & SPIN_BIT != 0
}

/// Reads a short header; the packet takes up the rest of the datagram.
#[inline]
pub(super) fn decode(datagram: &[u8], local_id_length: usize) -> Result<ProtectedHeader, PacketError> {
    let mut reader = Reader::new(datagram);
    let destination = read_destination(&mut reader, local_id_length)?;
    let packet_number_offset = reader.position();
    Ok(ProtectedHeader {
        kind: PacketKind::OneRtt,
        version: Version::NEGOTIATION,
        destination,
        source: ConnectionId::EMPTY,
        token: 0..0,
        packet_number_offset,
        end: datagram.len(),
    })
}

/// Where the packet number begins in a datagram that is one 1-RTT packet to `destination`; `None` if it is anything else
/// (RFC 9000 §17.3.1). For who has just read a datagram to that id: most that follow are alike.
#[inline]
pub fn one_rtt_to(datagram: &[u8], destination: &ConnectionId) -> Option<usize> {
    let (first, rest) = datagram.split_first()?;
    let is_short = first & (LONG_FORM | FIXED_BIT) == FIXED_BIT;
    (is_short && rest.starts_with(destination.as_bytes())).then_some(1 + destination.len())
}

/// Reads the first byte and the destination.
#[inline]
pub(super) fn read_destination(reader: &mut Reader<'_>, local_id_length: usize) -> Result<ConnectionId, PacketError> {
    //= https://www.rfc-editor.org/rfc/rfc9000#section-17.3.1
    //# Packets containing a zero value
    //# for this bit are not valid packets in this version and MUST be discarded.
    if reader.u8()? & FIXED_BIT == 0 {
        return Err(PacketError::FixedBitZero);
    }
    ConnectionId::new(reader.bytes(local_id_length)?).ok_or(PacketError::ConnectionIdTooLong)
}
