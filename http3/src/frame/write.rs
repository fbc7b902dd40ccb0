//! Frames to bytes.

use bytes::{BufMut, BytesMut};
use codec::VarInt;
use codec::cursor::Writer;

use super::FrameType;

/// Appends a variable-length integer in its shortest encoding. `number` must be below 2^62.
pub fn put_varint(out: &mut BytesMut, number: u64) {
    let mut buffer = [0; 8];
    let mut writer = Writer::new(&mut buffer);
    // Eight bytes hold any integer.
    if writer.varint(number).is_ok() {
        out.extend_from_slice(writer.written());
    }
}

/// Appends the type of a frame and the length of its payload, which follows.
pub fn put_frame_header(out: &mut BytesMut, frame_type: FrameType, length: u64) {
    put_varint(out, frame_type.0);
    put_varint(out, length);
}

/// Appends a frame whose payload is one integer: GOAWAY, MAX_PUSH_ID or CANCEL_PUSH.
pub fn put_integer_frame(out: &mut BytesMut, frame_type: FrameType, number: u64) {
    put_frame_header(out, frame_type, VarInt::size_of(number) as u64);
    put_varint(out, number);
}

/// Appends PRIORITY_UPDATE for a request (RFC 9218 §7.2).
pub fn put_priority_update(out: &mut BytesMut, stream: u64, value: &[u8]) {
    let length = VarInt::size_of(stream).saturating_add(value.len());
    put_frame_header(out, FrameType::PRIORITY_UPDATE, length as u64);
    put_varint(out, stream);
    out.extend_from_slice(value);
}

/// The place where a HEADERS frame begins whose field section is written straight behind its header, before its length
/// is known.
#[derive(Debug)]
#[must_use = "the length of the frame is not written yet"]
pub struct HeadersPlace {
    start: usize,
}

impl HeadersPlace {
    /// Bytes of a header: the type, and a length of two bytes, which says up to 16,383. That a shorter one would do for
    /// the smallest sections is not worth moving them.
    const HEADER: usize = 3;
    /// Bytes more for a length of four, which says up to 2^30-1.
    const MORE: usize = 2;

    /// Leaves room for the header at the end of `out`.
    pub fn begin(out: &mut BytesMut) -> Self {
        let start = out.len();
        out.put_bytes(0, Self::HEADER);
        Self { start }
    }

    /// Writes the header, now that the section stands behind it, and says how long the section is. `None` if it is
    /// longer than 2^30-1 bytes; then it is taken off again.
    pub fn end(self, out: &mut BytesMut) -> Option<usize> {
        let written = self.write(out);
        if written.is_none() {
            out.truncate(self.start);
        }
        written
    }

    fn write(&self, out: &mut BytesMut) -> Option<usize> {
        let behind = self.start.checked_add(Self::HEADER)?;
        let section = out.len().checked_sub(behind)?;
        if let Some(length) = u16::try_from(section).ok().filter(|length| *length < 1 << 14) {
            let [high, low] = (length | 0x4000).to_be_bytes();
            out.get_mut(self.start..behind)?.copy_from_slice(&[0x01, high, low]);
            return Some(section);
        }
        let length = u32::try_from(section).ok().filter(|length| *length < 1 << 30)?;
        out.put_bytes(0, Self::MORE);
        let moved = behind.checked_add(Self::MORE)?;
        out.copy_within(behind..behind.checked_add(section)?, moved);
        let [first, second, third, last] = (length | 0x8000_0000).to_be_bytes();
        out.get_mut(self.start..moved)?.copy_from_slice(&[0x01, first, second, third, last]);
        Some(section)
    }
}
