//! Whose datagram is it? The destination connection id, and nothing more.

use super::{LONG_FORM, PacketError, PacketKind, long, short};
use crate::cursor::Reader;
use crate::ids::ConnectionId;
use crate::version::Version;

/// The part of a datagram's first packet that routing needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Peek<'a> {
    /// A long header.
    Long {
        /// Its version; unknown ones are reported too, because they are answered by Version Negotiation.
        version: Version,
        /// What kind of packet it is, if the version is known here.
        kind: Option<PacketKind>,
        /// The destination id: up to 20 bytes in versions known here, up to 255 in others.
        destination: &'a [u8],
        /// The source id, as long.
        source: &'a [u8],
    },
    /// A short header: a 1-RTT packet, or a stateless reset.
    Short {
        /// The destination id, of the length that is issued here.
        destination: ConnectionId,
    },
}

/// Reads the connection ids of the first packet in `datagram`; `local_id_length` is the length of those issued here.
///
/// A packet that [`peek`] refuses cannot be for any connection, except that a datagram of any form may be a stateless
/// reset ([`super::stateless_reset::trailing_token`]).
#[inline]
pub fn peek(datagram: &[u8], local_id_length: usize) -> Result<Peek<'_>, PacketError> {
    let first = *datagram.first().ok_or(PacketError::Empty)?;
    let mut reader = Reader::new(datagram);
    if first & LONG_FORM == 0 {
        return Ok(Peek::Short { destination: short::read_destination(&mut reader, local_id_length)? });
    }
    let header = long::Invariants::read(&mut reader)?;
    Ok(Peek::Long {
        version: header.version,
        kind: header.kind()?,
        destination: header.destination,
        source: header.source,
    })
}
