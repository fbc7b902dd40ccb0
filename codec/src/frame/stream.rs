//! STREAM frames (RFC 9000 §19.8).

use super::{Fault, FrameType};
use crate::cursor::{BufferFull, Reader, Writer};
use crate::ids::StreamId;
use crate::varint::VarInt;

/// The flag for the end of the stream.
const FIN: u64 = 0x01;
/// The flag for a Length field.
const LEN: u64 = 0x02;
/// The flag for an Offset field.
const OFF: u64 = 0x04;

/// Bytes of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stream<'a> {
    /// Which stream.
    pub id: StreamId,
    /// Where in the stream `data` begins. With the length of `data` at most 2^62-1.
    pub offset: u64,
    /// Whether the stream ends after `data`.
    pub fin: bool,
    /// The bytes; possibly none.
    pub data: &'a [u8],
}

impl<'a> Stream<'a> {
    #[inline]
    pub(super) fn read(reader: &mut Reader<'a>, frame_type: u64) -> Result<Self, Fault> {
        let id = StreamId::from_u64(reader.varint()?);
        let offset = if frame_type & OFF != 0 { reader.varint()? } else { 0 };
        let data = if frame_type & LEN != 0 { reader.prefixed()? } else { reader.rest() };
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.8
        //# The largest offset delivered
        //# on a stream -- the sum of the offset and data length -- cannot exceed
        //# 2<sup>62</sup>-1, as it is not possible to provide flow control credit for that
        //# data.
        check_end(offset, data)?;
        Ok(Self { id, offset, fin: frame_type & FIN != 0, data })
    }

    #[inline]
    pub(super) const fn encoded_size(&self) -> usize {
        header_size(self.id, self.offset, Some(self.data.len() as u64)) + self.data.len()
    }

    #[inline]
    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        encode_header(w, self.id, self.offset, Some(self.data.len() as u64), self.fin)?;
        w.bytes(self.data)
    }
}

/// The end of stream data must be a number that can be written.
#[inline]
pub(super) const fn check_end(offset: u64, data: &[u8]) -> Result<(), Fault> {
    if offset.saturating_add(data.len() as u64) > VarInt::MAX.into_inner() {
        return Err(Fault::encoding("data ends beyond 2^62-1"));
    }
    Ok(())
}

#[inline]
pub(super) const fn frame_type(offset: u64, with_length: bool, fin: bool) -> FrameType {
    let off = if offset == 0 { 0 } else { OFF };
    let len = if with_length { LEN } else { 0 };
    FrameType(FrameType::STREAM.0 | off | len | if fin { FIN } else { 0 })
}

/// How many bytes a STREAM frame has before its data. Without a `length` the data reach to the end of the packet.
#[inline]
pub const fn header_size(id: StreamId, offset: u64, length: Option<u64>) -> usize {
    let offset = if offset == 0 { 0 } else { VarInt::size_of(offset) };
    let length = match length {
        Some(length) => VarInt::size_of(length),
        None => 0,
    };
    1 + VarInt::size_of(id.as_u64()) + offset + length
}

/// Writes a STREAM frame up to its data, so that they can be copied after it. All or nothing.
#[inline]
pub fn encode_header(
    w: &mut Writer<'_>,
    id: StreamId,
    offset: u64,
    length: Option<u64>,
    fin: bool,
) -> Result<(), BufferFull> {
    if w.remaining() < header_size(id, offset, length) {
        return Err(BufferFull);
    }
    w.varint(frame_type(offset, length.is_some(), fin).0)?;
    w.varint(id.as_u64())?;
    if offset != 0 {
        w.varint(offset)?;
    }
    length.map_or(Ok(()), |length| w.varint(length))
}

/// How many bytes of data fit with their header, Length field included, into `room` bytes; `None` if not even the header
/// of an empty frame does.
#[inline]
pub const fn capacity(room: usize, id: StreamId, offset: u64) -> Option<usize> {
    capacity_after(room, header_size(id, offset, None))
}

/// How many bytes of data fit into `room` after `fixed` bytes and their own length.
#[inline]
pub(super) const fn capacity_after(room: usize, fixed: usize) -> Option<usize> {
    let Some(room) = room.checked_sub(fixed) else { return None };
    // The largest length whose field has 1, 2, 4 or 8 bytes, the widest first; at each step either the data with this
    // field fill the room, or a narrower field is enough.
    match room {
        0 => None,
        1..=64 => Some(room - 1),
        // 64 bytes of data take a field of two: with 65 bytes of room, 63 fit whichever field is used.
        65..=16385 => Some(room - 2),
        16386..=16387 => Some(16383),
        16388..=0x4000_0003 => Some(room - 4),
        0x4000_0004..=0x4000_0007 => Some(0x3fff_ffff),
        _ => Some(room - 8),
    }
}
