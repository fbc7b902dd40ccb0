//! Prefixed integers (RFC 9204 §4.1.1, RFC 7541 §5.1): the low bits of a byte, and if they do not suffice, seven bits in
//! each byte that follows.

use bytes::{BufMut, BytesMut};
use codec::cursor::Reader;

use super::wire::Fault;

/// The largest integer that is read: 62 bits.
pub(super) const MAXIMUM: u64 = (1 << 62) - 1;

/// Seven bits a byte: how many bytes after the first may follow. Nine hold 63 bits, one more would only hold zeros.
const CONTINUATION_BITS: u32 = 63;

/// An integer whose bytes come one by one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Partial {
    value: u64,
    shift: u32,
}

/// What is known of an integer after a byte of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Progress {
    /// It is this one.
    Whole(u64),
    /// More bytes follow.
    More(Partial),
}

impl Partial {
    /// The first byte, of which the low `bits` belong to the integer.
    #[inline]
    pub(super) const fn begin(first: u8, bits: u32) -> Progress {
        let mask = prefix_mask(bits);
        let value = first as u64 & mask;
        if value < mask { Progress::Whole(value) } else { Progress::More(Self { value, shift: 0 }) }
    }

    /// One more byte.
    #[inline]
    pub(super) fn add(self, byte: u8) -> Result<Progress, Fault> {
        //= https://www.rfc-editor.org/rfc/rfc9204#section-4.1.1
        //# QPACK implementations MUST be able to decode integers up to and including 62
        //# bits long.
        if self.shift >= CONTINUATION_BITS {
            return Err(Fault::IntegerTooLarge);
        }
        let value = self.value.checked_add(u64::from(byte & 0x7f) << self.shift).filter(|value| *value <= MAXIMUM);
        let value = value.ok_or(Fault::IntegerTooLarge)?;
        Ok(if byte & 0x80 == 0 {
            Progress::Whole(value)
        } else {
            Progress::More(Self { value, shift: self.shift + 7 })
        })
    }
}

const fn prefix_mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// Reads the rest of an integer whose `first` byte, of which the low `bits` belong to it, was read.
#[inline]
pub(super) fn read(first: u8, bits: u32, reader: &mut Reader<'_>) -> Result<u64, Fault> {
    match Partial::begin(first, bits) {
        Progress::Whole(value) => Ok(value),
        Progress::More(partial) => read_on(partial, reader),
    }
}

fn read_on(mut partial: Partial, reader: &mut Reader<'_>) -> Result<u64, Fault> {
    loop {
        match partial.add(reader.u8()?)? {
            Progress::Whole(value) => return Ok(value),
            Progress::More(more) => partial = more,
        }
    }
}

/// Writes `value` in the low `bits` of a byte whose other bits are `flags`, and in bytes after it.
#[inline]
pub(super) fn write(flags: u8, bits: u32, value: u64, out: &mut BytesMut) {
    debug_assert!(value <= MAXIMUM, "{value} has more than 62 bits");
    let mask = prefix_mask(bits);
    if value < mask {
        out.put_u8(flags | (value & 0xff) as u8);
        return;
    }
    out.put_u8(flags | (mask & 0xff) as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8((rest & 0x7f) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(bytes: &[u8], bits: u32) -> Result<(u64, usize), Fault> {
        let mut reader = Reader::new(bytes);
        let first = reader.u8()?;
        let value = read(first, bits, &mut reader)?;
        Ok((value, reader.position()))
    }

    #[test]
    fn the_examples_of_rfc_7541_appendix_c_1() {
        for (flags, bits, value, bytes) in
            [(0b1010_0000, 5, 10, &[0b1010_1010_u8][..]), (0, 5, 1337, &[0x1f, 0x9a, 0x0a]), (0, 8, 42, &[0x2a])]
        {
            let mut out = BytesMut::new();
            write(flags, bits, value, &mut out);
            assert_eq!(out, bytes);
            assert_eq!(decode(bytes, bits), Ok((value, bytes.len())));
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc9204#section-4.1.1
    //= type=test
    //# QPACK implementations MUST be able to decode integers up to and including 62
    //# bits long.
    #[test]
    fn integers_of_62_bits_are_read_and_larger_ones_refused() {
        for bits in 3..=8 {
            let mut out = BytesMut::new();
            write(0, bits, MAXIMUM, &mut out);
            assert_eq!(decode(&out, bits), Ok((MAXIMUM, out.len())));
            // One more: the encoding of the maximum, with one added to its first continuation byte, which does not carry.
            let above = MAXIMUM + 1 - prefix_mask(bits);
            let mut bytes = vec![prefix_mask(bits) as u8];
            bytes.extend((0..9).map(|at| (above >> (7 * at)) as u8 & 0x7f | if at < 8 { 0x80 } else { 0 }));
            assert_eq!(decode(&bytes, bits), Err(Fault::IntegerTooLarge));
        }
    }

    #[test]
    fn endless_continuations_are_refused_and_not_read_to_their_end() {
        let mut zeros = vec![0x80; 1000];
        zeros[0] = 0xff;
        assert_eq!(decode(&zeros, 8), Err(Fault::IntegerTooLarge));
        zeros.truncate(10);
        assert_eq!(decode(&zeros, 8), Err(Fault::End));
        let mut ones = vec![0xff; 1000];
        ones[0] = 0x7f;
        assert_eq!(decode(&ones, 7), Err(Fault::IntegerTooLarge));
    }

    proptest! {
        #[test]
        fn integers_come_back(shift in 0_u32..62, number: u64, bits in 1_u32..=8, after: Vec<u8>) {
            let value = (number & MAXIMUM) >> shift;
            let mut out = BytesMut::new();
            write(0, bits, value, &mut out);
            let end = out.len();
            prop_assert!(end <= 10 && (end == 1) == (value < prefix_mask(bits)));
            for cut in 0..end {
                prop_assert_eq!(decode(&out[..cut], bits), Err(Fault::End));
            }
            out.extend_from_slice(&after);
            prop_assert_eq!(decode(&out, bits), Ok((value, end)));
        }
    }
}
