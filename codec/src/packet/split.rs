//! One datagram, its coalesced packets (RFC 9000 §12.2).

use super::{Packet, PacketError, decode};
use crate::ids::ConnectionId;

/// The packets of a datagram, each with its offset in it; see [`split`].
#[derive(Clone, Debug)]
pub struct Split<'a> {
    rest: &'a [u8],
    offset: usize,
    local_id_length: usize,
    first: Option<ConnectionId>,
}

/// Takes `datagram` apart. Yields each packet with the offset of its first byte, to which the packet's own offsets are
/// relative. What cannot be read ends the walk with an error; a packet for another destination than the first is
/// reported as [`PacketError::OtherDestination`] and passed over.
pub const fn split(datagram: &[u8], local_id_length: usize) -> Split<'_> {
    Split { rest: datagram, offset: 0, local_id_length, first: None }
}

impl<'a> Iterator for Split<'a> {
    type Item = Result<(usize, Packet<'a>), PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let packet = match decode(self.rest, self.local_id_length) {
            Ok(packet) => packet,
            Err(error) => {
                self.rest = &[];
                return Some(Err(error));
            }
        };
        let offset = self.offset;
        let destination = match &packet {
            Packet::Protected(header) => {
                // `end` is never 0, so each step makes progress.
                self.rest = self.rest.get(header.end..).unwrap_or_default();
                self.offset = self.offset.saturating_add(header.end);
                header.destination
            }
            //= https://www.rfc-editor.org/rfc/rfc9000#section-12.2
            //# Retry packets ({{packet-retry}}), Version Negotiation packets
            //# ({{packet-version}}), and packets with a short header ({{short-header}}) do not
            //# contain a Length field and so cannot be followed by other packets in the same
            //# UDP datagram.
            Packet::Retry(retry) => {
                self.rest = &[];
                retry.destination
            }
            Packet::VersionNegotiation(_) => {
                self.rest = &[];
                if self.first.is_some() {
                    return Some(Err(PacketError::OtherDestination));
                }
                return Some(Ok((offset, packet)));
            }
        };
        //= https://www.rfc-editor.org/rfc/rfc9000#section-12.2
        //# Receivers SHOULD ignore any subsequent packets
        //# with a different Destination Connection ID than the first packet in the
        //# datagram.
        if *self.first.get_or_insert(destination) != destination {
            return Some(Err(PacketError::OtherDestination));
        }
        Some(Ok((offset, packet)))
    }
}

impl core::iter::FusedIterator for Split<'_> {}
