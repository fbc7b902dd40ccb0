//! [`Reader`] and [`Writer`]: moving through a slice, every step checked, nothing allocated.

use core::fmt;

use crate::varint::VarInt;

/// The bytes ended before the field did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnexpectedEnd;

impl fmt::Display for UnexpectedEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes end before the field does")
    }
}

impl core::error::Error for UnexpectedEnd {}

/// The buffer has no room for what was to be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BufferFull;

impl fmt::Display for BufferFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the buffer has no room left")
    }
}

impl core::error::Error for BufferFull {}

/// Reads fields from the front of a slice. A read that fails consumes nothing.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the first of `bytes`.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, length: bytes.len() }
    }

    /// How many bytes were read.
    #[inline]
    pub const fn position(&self) -> usize {
        // `rest` is always a suffix of the first slice, so this cannot underflow.
        self.length - self.rest.len()
    }

    /// How many bytes are left.
    #[inline]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether none are left.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes that are left, without reading them.
    #[inline]
    pub const fn as_slice(&self) -> &'a [u8] {
        self.rest
    }

    /// The next byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, UnexpectedEnd> {
        self.array::<1>().map(u8::from_be_bytes)
    }

    /// The next two bytes in network byte order.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, UnexpectedEnd> {
        self.array().map(u16::from_be_bytes)
    }

    /// The next four bytes in network byte order.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, UnexpectedEnd> {
        self.array().map(u32::from_be_bytes)
    }

    /// A variable-length integer, in any of its encodings (RFC 9000 §16); always below 2^62.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, UnexpectedEnd> {
        let (&first, rest) = self.rest.split_first().ok_or(UnexpectedEnd)?;
        match first >> 6 {
            0 => {
                self.rest = rest;
                Ok(u64::from(first))
            }
            1 => self.array().map(|bytes| u64::from(u16::from_be_bytes(bytes) & 0x3fff)),
            2 => self.array().map(|bytes| u64::from(u32::from_be_bytes(bytes) & 0x3fff_ffff)),
            _ => self.array().map(|bytes| u64::from_be_bytes(bytes) & VarInt::MAX.into_inner()),
        }
    }

    /// The next `length` bytes.
    #[inline]
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], UnexpectedEnd> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(UnexpectedEnd)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// As many bytes as a variable-length integer in front of them says.
    #[inline]
    pub fn prefixed(&mut self) -> Result<&'a [u8], UnexpectedEnd> {
        let before = self.rest;
        let length = self.varint()?;
        usize::try_from(length).map_err(|_| UnexpectedEnd).and_then(|length| self.bytes(length)).inspect_err(|_| {
            self.rest = before;
        })
    }

    /// The next `N` bytes as an array.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], UnexpectedEnd> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(UnexpectedEnd)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// All bytes that are left; the reader is empty afterwards.
    #[inline]
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }
}

/// Writes fields to a slice, front to back. A write that does not fit writes nothing.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    position: usize,
}

impl<'a> Writer<'a> {
    /// A writer at the first byte of `buffer`.
    #[inline]
    pub const fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, position: 0 }
    }

    /// How many bytes were written.
    #[inline]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// How many bytes there is room for.
    #[inline]
    pub const fn remaining(&self) -> usize {
        // `position` never passes the end of the buffer.
        self.buffer.len() - self.position
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self, value: u8) -> Result<(), BufferFull> {
        self.bytes(&[value])
    }

    /// Two bytes in network byte order.
    #[inline]
    pub fn u16(&mut self, value: u16) -> Result<(), BufferFull> {
        self.bytes(&value.to_be_bytes())
    }

    /// Four bytes in network byte order.
    #[inline]
    pub fn u32(&mut self, value: u32) -> Result<(), BufferFull> {
        self.bytes(&value.to_be_bytes())
    }

    /// The shortest variable-length integer for `value` (RFC 9000 §16). `value` must be at most 2^62-1; a larger one
    /// is a mistake of the caller and written as 2^62-1.
    #[inline]
    pub fn varint(&mut self, value: u64) -> Result<(), BufferFull> {
        debug_assert!(value <= VarInt::MAX.into_inner(), "{value} does not fit in a variable-length integer");
        // The masks keep the length bits clear; the arms make each conversion lossless.
        match VarInt::size_of(value) {
            1 => self.u8((value & 0x3f) as u8),
            2 => self.u16((value & 0x3fff) as u16 | 0x4000),
            4 => self.u32((value & 0x3fff_ffff) as u32 | 0x8000_0000),
            _ => self.bytes(&(value.min(VarInt::MAX.into_inner()) | 0xc000_0000_0000_0000).to_be_bytes()),
        }
    }

    /// These bytes.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), BufferFull> {
        self.take(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// `length` bytes that are zero.
    #[inline]
    pub fn zeros(&mut self, length: usize) -> Result<(), BufferFull> {
        self.take(length)?.fill(0);
        Ok(())
    }

    /// The next `length` bytes of the buffer, to be filled by the caller. They count as written.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&mut [u8], BufferFull> {
        let end = self.position.checked_add(length).ok_or(BufferFull)?;
        let bytes = self.buffer.get_mut(self.position..end).ok_or(BufferFull)?;
        self.position = end;
        Ok(bytes)
    }

    /// What was written.
    #[inline]
    pub fn written(&self) -> &[u8] {
        self.buffer.get(..self.position).unwrap_or_default()
    }

    /// What was written, to be changed in place.
    #[inline]
    pub fn written_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(..self.position).unwrap_or_default()
    }

    /// Goes back to an earlier `position`; a later one changes nothing.
    #[inline]
    pub fn truncate(&mut self, position: usize) {
        self.position = self.position.min(position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn a_failed_read_consumes_nothing() {
        let mut reader = Reader::new(&[0x40]);
        assert_eq!(reader.varint(), Err(UnexpectedEnd));
        assert_eq!(reader.u16(), Err(UnexpectedEnd));
        assert_eq!(reader.bytes(2), Err(UnexpectedEnd));
        assert_eq!(reader.bytes(usize::MAX), Err(UnexpectedEnd));
        assert_eq!(reader.position(), 0);
        assert_eq!(reader.u8(), Ok(0x40));
        assert!(reader.is_empty());
        let mut reader = Reader::new(&[2, 7]);
        assert_eq!(reader.prefixed(), Err(UnexpectedEnd));
        assert_eq!(reader.position(), 0);
        let mut reader = Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
        assert_eq!(reader.prefixed(), Err(UnexpectedEnd));
        assert_eq!(reader.position(), 0);
    }

    #[test]
    fn a_failed_write_writes_nothing() {
        let mut buffer = [9; 3];
        let mut writer = Writer::new(&mut buffer);
        assert_eq!(writer.u32(1), Err(BufferFull));
        assert_eq!(writer.zeros(usize::MAX), Err(BufferFull));
        assert_eq!(writer.position(), 0);
        writer.u16(0x0102).unwrap();
        assert_eq!(writer.varint(64), Err(BufferFull));
        assert_eq!(writer.remaining(), 1);
        writer.truncate(5);
        assert_eq!(writer.written(), [1, 2]);
        writer.truncate(1);
        assert_eq!(writer.written(), [1]);
        assert_eq!(buffer, [1, 2, 9]);
    }

    proptest! {
        #[test]
        fn varints_come_back_and_are_shortest(shift in 0_u32..62, bits: u64) {
            let value = (bits & VarInt::MAX.into_inner()) >> shift;
            let mut buffer = [0; 8];
            let mut writer = Writer::new(&mut buffer);
            writer.varint(value).unwrap();
            prop_assert_eq!(writer.position(), VarInt::size_of(value));
            let mut reader = Reader::new(writer.written());
            prop_assert_eq!(reader.varint(), Ok(value));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn a_reader_never_passes_the_end(bytes: Vec<u8>, reads in proptest::collection::vec(0_u8..6, 0..20)) {
            let mut reader = Reader::new(&bytes);
            for read in reads {
                let before = reader.position();
                let advanced = match read {
                    0 => reader.u8().is_ok(),
                    1 => reader.u16().is_ok(),
                    2 => reader.u32().is_ok(),
                    3 => reader.varint().is_ok_and(|value| value <= VarInt::MAX.into_inner()),
                    4 => reader.prefixed().is_ok(),
                    _ => reader.array::<8>().is_ok(),
                };
                prop_assert_eq!(advanced, reader.position() > before);
                prop_assert_eq!(reader.position() + reader.remaining(), bytes.len());
            }
        }

        #[test]
        fn what_is_written_is_read(value8: u8, value16: u16, value32: u32, data: Vec<u8>) {
            let mut buffer = vec![0; data.len() + 7];
            let mut writer = Writer::new(&mut buffer);
            writer.u8(value8).unwrap();
            writer.u16(value16).unwrap();
            writer.u32(value32).unwrap();
            writer.bytes(&data).unwrap();
            prop_assert_eq!(writer.remaining(), 0);
            let mut reader = Reader::new(&buffer);
            prop_assert_eq!(reader.u8(), Ok(value8));
            prop_assert_eq!(reader.u16(), Ok(value16));
            prop_assert_eq!(reader.u32(), Ok(value32));
            prop_assert_eq!(reader.rest(), &data[..]);
        }
    }
}
