//! Instructions of the encoder stream (RFC 9204 §4.3) and of the decoder stream (§4.4).

use bytes::BytesMut;
use codec::cursor::Reader;

use super::integer;
use super::literal::{self, Literal};
use super::static_table;
use super::wire::Fault;

/// Where a name stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NameIndex {
    /// In the static table.
    Static(u64),
    /// In the dynamic table; 0 is the newest entry.
    Relative(u64),
}

/// What an encoder tells a decoder about the dynamic table.
#[derive(Clone, Copy, Debug)]
pub(super) enum EncoderInstruction<'a> {
    /// Set Dynamic Table Capacity (§4.3.1).
    SetCapacity(u64),
    /// Insert with Name Reference (§4.3.2).
    InsertWithName(NameIndex, Literal<'a>),
    /// Insert with Literal Name (§4.3.3).
    InsertWithLiteral(Literal<'a>, Literal<'a>),
    /// Duplicate (§4.3.4); 0 is the newest entry.
    Duplicate(u64),
}

/// What the table permits the next instruction, so that one that breaks it is refused before its end comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permitted {
    /// Bytes of a string, decoded: an entry with a longer one does not fit.
    pub(super) string: usize,
    /// Entries in the table.
    pub(super) entries: u64,
}

impl<'a> EncoderInstruction<'a> {
    /// Reads one.
    pub(super) fn read(permitted: Permitted, reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let first = reader.u8()?;
        Ok(if first & 0x80 != 0 {
            let index = integer::read(first, 6, reader)?;
            let (name, lines) = if first & 0x40 != 0 {
                (NameIndex::Static(index), static_table::LENGTH)
            } else {
                (NameIndex::Relative(index), permitted.entries)
            };
            if index >= lines {
                return Err(Fault::NoSuchLine);
            }
            Self::InsertWithName(name, Literal::read_whole(permitted.string, reader)?)
        } else if first & 0x40 != 0 {
            let name = Literal::read(first, 5, permitted.string, reader)?;
            Self::InsertWithLiteral(name, Literal::read_whole(permitted.string, reader)?)
        } else if first & 0x20 != 0 {
            Self::SetCapacity(integer::read(first, 5, reader)?)
        } else {
            let index = integer::read(first, 5, reader)?;
            if index >= permitted.entries {
                return Err(Fault::NoSuchLine);
            }
            Self::Duplicate(index)
        })
    }
}

/// Writes Set Dynamic Table Capacity.
pub(super) fn write_capacity(capacity: u64, out: &mut BytesMut) {
    integer::write(0x20, 5, capacity, out);
}

/// Writes Insert with Name Reference.
pub(super) fn write_insert_with_name(name: NameIndex, value: &[u8], out: &mut BytesMut) {
    match name {
        NameIndex::Static(index) => integer::write(0xc0, 6, index, out),
        NameIndex::Relative(index) => integer::write(0x80, 6, index, out),
    }
    literal::write(0, 7, value, out);
}

/// Writes Insert with Literal Name.
pub(super) fn write_insert(name: &[u8], value: &[u8], out: &mut BytesMut) {
    literal::write(0x40, 5, name, out);
    literal::write(0, 7, value, out);
}

/// Writes Duplicate.
pub(super) fn write_duplicate(relative: u64, out: &mut BytesMut) {
    integer::write(0, 5, relative, out);
}

/// What a decoder tells an encoder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum DecoderInstruction {
    /// Section Acknowledgment of the earliest section of a stream that was not (§4.4.1).
    SectionAcknowledgment(u64),
    /// Stream Cancellation (§4.4.2).
    StreamCancellation(u64),
    /// Insert Count Increment (§4.4.3).
    InsertCountIncrement(u64),
}

impl DecoderInstruction {
    /// Appends it.
    pub(super) fn write(self, out: &mut BytesMut) {
        match self {
            Self::SectionAcknowledgment(stream) => integer::write(0x80, 7, stream, out),
            Self::StreamCancellation(stream) => integer::write(0x40, 6, stream, out),
            Self::InsertCountIncrement(increment) => integer::write(0, 6, increment, out),
        }
    }

    const fn of(first: u8, value: u64) -> Self {
        match first >> 6 {
            0 => Self::InsertCountIncrement(value),
            1 => Self::StreamCancellation(value),
            _ => Self::SectionAcknowledgment(value),
        }
    }
}

/// Takes a decoder stream apart, byte by byte: an instruction is a single integer, so nothing needs to be kept but that.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DecoderInstructions {
    begun: Option<(u8, integer::Partial)>,
}

impl DecoderInstructions {
    /// One more byte; the instruction that it ends.
    #[inline]
    pub(super) fn add(&mut self, byte: u8) -> Result<Option<DecoderInstruction>, Fault> {
        let (first, progress) = match self.begun.take() {
            None => (byte, integer::Partial::begin(byte, if byte & 0x80 == 0 { 6 } else { 7 })),
            Some((first, partial)) => (first, partial.add(byte)?),
        };
        match progress {
            integer::Progress::Whole(value) => Ok(Some(DecoderInstruction::of(first, value))),
            integer::Progress::More(partial) => {
                self.begun = Some((first, partial));
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoder_instruction() -> impl Strategy<Value = DecoderInstruction> {
        let number = (0_u32..62, any::<u64>()).prop_map(|(shift, number)| (number & integer::MAXIMUM) >> shift);
        (0..3, number).prop_map(|(kind, number)| match kind {
            0 => DecoderInstruction::SectionAcknowledgment(number),
            1 => DecoderInstruction::StreamCancellation(number),
            _ => DecoderInstruction::InsertCountIncrement(number),
        })
    }

    proptest! {
        #[test]
        fn decoder_instructions_come_back(sent in proptest::collection::vec(decoder_instruction(), 0..20)) {
            let mut out = BytesMut::new();
            sent.iter().for_each(|instruction| instruction.write(&mut out));
            let mut parser = DecoderInstructions::default();
            let mut received = Vec::new();
            for byte in out {
                received.extend(parser.add(byte).unwrap());
            }
            prop_assert_eq!(received, sent);
        }

        #[test]
        fn any_encoder_stream_makes_progress_or_an_error(bytes: Vec<u8>, string in 0_usize..100, entries in 0_u64..100) {
            let mut reader = Reader::new(&bytes);
            loop {
                let before = reader.position();
                if EncoderInstruction::read(Permitted { string, entries }, &mut reader).is_err() {
                    break;
                }
                prop_assert!(reader.position() > before);
            }
        }
    }

    #[test]
    fn a_decoder_stream_of_endless_integers_is_refused() {
        let mut parser = DecoderInstructions::default();
        assert_eq!(parser.add(0xff), Ok(None));
        let refused = (0..20).find_map(|_| parser.add(0xff).err());
        assert_eq!(refused, Some(Fault::IntegerTooLarge));
    }
}
