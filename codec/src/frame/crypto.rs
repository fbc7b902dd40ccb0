//! CRYPTO frames (RFC 9000 §19.6).

use super::stream::{capacity_after, check_end};
use super::{Fault, FrameType};
use crate::cursor::{BufferFull, Reader, Writer};
use crate::varint::VarInt;

/// Bytes of the handshake, in a stream of their own for each encryption level.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Crypto<'a> {
    /// Where in that stream `data` begins. With the length of `data` at most 2^62-1.
    pub offset: u64,
    /// The bytes; possibly none.
    pub data: &'a [u8],
}

impl<'a> Crypto<'a> {
    #[inline]
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let offset = reader.varint()?;
        let data = reader.prefixed()?;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.6
        //# Receipt of a frame that exceeds this
        //# limit MUST be treated as a connection error of type FRAME_ENCODING_ERROR or
        //# CRYPTO_BUFFER_EXCEEDED.
        check_end(offset, data)?;
        Ok(Self { offset, data })
    }

    pub(super) const fn encoded_size(&self) -> usize {
        header_size(self.offset, self.data.len() as u64) + self.data.len()
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        encode_header(w, self.offset, self.data.len() as u64)?;
        w.bytes(self.data)
    }
}

/// How many bytes a CRYPTO frame has before its data.
#[inline]
pub const fn header_size(offset: u64, length: u64) -> usize {
    1 + VarInt::size_of(offset) + VarInt::size_of(length)
}

/// Writes a CRYPTO frame up to its data, so that they can be copied after it. All or nothing.
#[inline]
pub fn encode_header(w: &mut Writer<'_>, offset: u64, length: u64) -> Result<(), BufferFull> {
    if w.remaining() < header_size(offset, length) {
        return Err(BufferFull);
    }
    w.varint(FrameType::CRYPTO.0)?;
    w.varint(offset)?;
    w.varint(length)
}

/// How many bytes of data fit with their header into `room` bytes; `None` if not even the header of an empty frame does.
#[inline]
pub const fn capacity(room: usize, offset: u64) -> Option<usize> {
    capacity_after(room, 1 + VarInt::size_of(offset))
}
