//! String literals (RFC 9204 §4.1.2): a bit that says whether the string is Huffman-coded, its length, its bytes.

use bytes::BytesMut;
use codec::cursor::Reader;

use super::huffman;
use super::integer;
use super::wire::Fault;

/// A string as it is on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Literal<'a> {
    bytes: &'a [u8],
    is_coded: bool,
}

impl<'a> Literal<'a> {
    /// Reads the rest of a string whose `first` byte was read: above the low `bits`, which begin its length, stands the
    /// bit that says that it is coded.
    ///
    /// The length is compared with `limit`, the most bytes that the string may have when it is decoded, before its bytes
    /// are looked for.
    #[inline]
    pub(super) fn read(first: u8, bits: u32, limit: usize, reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let is_coded = first >> bits & 1 == 1;
        let length = integer::read(first, bits, reader)?;
        let length = usize::try_from(length).map_err(|_| Fault::StringTooLong)?;
        let least = if is_coded { huffman::least_decoded(length) } else { length };
        if least > limit {
            return Err(Fault::StringTooLong);
        }
        Ok(Self { bytes: reader.bytes(length)?, is_coded })
    }

    /// The same for a string that begins with a whole byte.
    #[inline]
    pub(super) fn read_whole(limit: usize, reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let first = reader.u8()?;
        Self::read(first, 7, limit, reader)
    }

    /// Appends the string to `out`, at most `limit` bytes.
    #[inline]
    pub(super) fn decode(&self, limit: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.is_coded {
            return huffman::decode(self.bytes, limit, out);
        }
        if self.bytes.len() > limit {
            return Err(Fault::StringTooLong);
        }
        out.extend_from_slice(self.bytes);
        Ok(())
    }
}

/// Writes `text` as a string whose first byte begins with `flags` and has `bits` for its length; coded if that is
/// shorter.
#[inline]
pub(super) fn write(flags: u8, bits: u32, text: &[u8], out: &mut BytesMut) {
    let coded = huffman::length(text);
    if coded < text.len() {
        integer::write(flags | 1 << bits, bits, coded as u64, out);
        huffman::encode(text, out);
    } else {
        integer::write(flags, bits, text.len() as u64, out);
        out.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_length_above_the_limit_is_refused_before_its_bytes_come() {
        let read = |bytes: &[u8], limit| Literal::read_whole(limit, &mut Reader::new(bytes)).map(|it| it.bytes.len());
        assert_eq!(read(&[5], 5), Err(Fault::End));
        assert_eq!(read(&[6], 5), Err(Fault::StringTooLong));
        // 18 coded bytes are at least 5 decoded ones, 19 are 5, 20 are 6.
        assert_eq!(read(&[0x80 | 19], 5), Err(Fault::End));
        assert_eq!(read(&[0x80 | 20], 5), Err(Fault::StringTooLong));
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert_eq!(read(&huge, usize::MAX), Err(Fault::End));
    }

    proptest! {
        #[test]
        fn strings_come_back(text: Vec<u8>, bits in 3_u32..=7) {
            let mut out = BytesMut::new();
            write(0, bits, &text, &mut out);
            let mut reader = Reader::new(&out);
            let first = reader.u8().unwrap();
            let literal = Literal::read(first, bits, text.len(), &mut reader).unwrap();
            prop_assert!(reader.is_empty());
            let mut decoded = vec![1, 2];
            literal.decode(text.len(), &mut decoded).unwrap();
            prop_assert_eq!(&decoded[2..], &text[..]);
        }

        #[test]
        fn they_are_never_longer_than_their_text(text: Vec<u8>) {
            let mut out = BytesMut::new();
            write(0, 7, &text, &mut out);
            let mut plain = BytesMut::new();
            integer::write(0, 7, text.len() as u64, &mut plain);
            prop_assert!(out.len() <= plain.len() + text.len());
        }
    }
}
