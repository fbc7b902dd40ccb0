//! DATAGRAM frames (RFC 9221 §4).

use super::FrameType;
use super::stream::capacity_after;
use crate::cursor::{BufferFull, Writer};
use crate::varint::VarInt;

/// A datagram of the application, delivered once or not at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Datagram<'a> {
    /// The bytes; possibly none.
    pub data: &'a [u8],
}

impl Datagram<'_> {
    pub(super) const fn encoded_size(&self) -> usize {
        header_size(Some(self.data.len() as u64)) + self.data.len()
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        encode_header(w, Some(self.data.len() as u64))?;
        w.bytes(self.data)
    }
}

/// How many bytes a DATAGRAM frame has before its data. Without a `length` the data reach to the end of the packet.
#[inline]
pub const fn header_size(length: Option<u64>) -> usize {
    match length {
        Some(length) => 1 + VarInt::size_of(length),
        None => 1,
    }
}

/// Writes a DATAGRAM frame up to its data, so that they can be copied after it. All or nothing.
#[inline]
pub fn encode_header(w: &mut Writer<'_>, length: Option<u64>) -> Result<(), BufferFull> {
    if w.remaining() < header_size(length) {
        return Err(BufferFull);
    }
    match length {
        Some(length) => {
            w.varint(FrameType::DATAGRAM.0)?;
            w.varint(length)
        }
        // The type without the LEN bit (RFC 9221 §4).
        None => w.varint(FrameType::DATAGRAM.0 & !1),
    }
}

/// How many bytes of data fit with their header, Length field included, into `room` bytes; `None` if not even the header
/// of an empty frame does.
#[inline]
pub const fn capacity(room: usize) -> Option<usize> {
    capacity_after(room, header_size(None))
}
