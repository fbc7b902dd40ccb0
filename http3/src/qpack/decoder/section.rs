//! One encoded field section, from its prefix to its last line (RFC 9204 §4.5).

use bytes::Bytes;
use codec::cursor::Reader;

use super::table::{Entry, Table};
use super::{DecoderConfig, DecoderStats};
use crate::qpack::error::{ConnectionError, DecodeError, StreamError};
use crate::qpack::field::{Field, Fields, OVERHEAD};
use crate::qpack::literal::Literal;
use crate::qpack::wire::Fault;
use crate::qpack::{integer, static_table};

/// The prefix of a section.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Prefix {
    pub(super) required_insert_count: u64,
    base: u64,
}

impl Prefix {
    /// Reads it. `max_entries` is the number of entries that fit into the largest table, `inserted` the Insert Count.
    pub(super) fn read(reader: &mut Reader<'_>, max_entries: u64, inserted: u64) -> Result<Self, DecodeError> {
        let first = reader.u8().map_err(|end| refuse(end.into()))?;
        let encoded = integer::read(first, 8, reader).map_err(refuse)?;
        let required_insert_count = required_insert_count(encoded, max_entries, inserted)?;
        let first = reader.u8().map_err(|end| refuse(end.into()))?;
        let delta = integer::read(first, 7, reader).map_err(refuse)?;
        let base = if first & 0x80 == 0 {
            required_insert_count.checked_add(delta)
        } else {
            //= https://www.rfc-editor.org/rfc/rfc9204#section-4.5.1.2
            //# An endpoint MUST treat a field block with a Sign bit of 1 as
            //# invalid if the value of Required Insert Count is less than or equal to the value
            //# of Delta Base.
            required_insert_count.checked_sub(delta).and_then(|it| it.checked_sub(1))
        };
        let base =
            base.ok_or(ConnectionError::decompression("the Base of a field section is negative or too large"))?;
        Ok(Self { required_insert_count, base })
    }
}

/// Gives the Required Insert Count back its upper bits (§4.5.1.1).
fn required_insert_count(encoded: u64, max_entries: u64, inserted: u64) -> Result<u64, ConnectionError> {
    //= https://www.rfc-editor.org/rfc/rfc9204#section-4.5.1.1
    //# If the decoder encounters a value of EncodedInsertCount that
    //# could not have been produced by a conformant encoder, it MUST treat this as a
    //# connection error of type QPACK_DECOMPRESSION_FAILED.
    const IMPOSSIBLE: ConnectionError =
        ConnectionError::decompression("the Required Insert Count of a field section is impossible");
    if encoded == 0 {
        return Ok(0);
    }
    let full_range = max_entries.saturating_mul(2);
    if encoded > full_range {
        return Err(IMPOSSIBLE);
    }
    let maximum = inserted.saturating_add(max_entries);
    let wrapped = maximum.checked_div(full_range).ok_or(IMPOSSIBLE)?.saturating_mul(full_range);
    let mut count = wrapped.saturating_add(encoded - 1);
    if count > maximum {
        if count <= full_range {
            return Err(IMPOSSIBLE);
        }
        count -= full_range;
    }
    if count == 0 { Err(IMPOSSIBLE) } else { Ok(count) }
}

/// What a fault in a section means.
fn refuse(fault: Fault) -> DecodeError {
    match fault {
        Fault::End => ConnectionError::decompression("a field section ends before its last line does").into(),
        Fault::Huffman => ConnectionError::decompression("a string in a field section is not Huffman-coded").into(),
        //= https://www.rfc-editor.org/rfc/rfc9204#section-7.4
        //# If an implementation encounters a value larger than it is able to decode, this
        //# MUST be treated as a stream error of type QPACK_DECOMPRESSION_FAILED if on a
        //# request stream or a connection error of the appropriate type if on the encoder
        //# or decoder stream.
        Fault::IntegerTooLarge => StreamError::IntegerTooLarge.into(),
        Fault::StringTooLong => StreamError::TooLarge.into(),
        Fault::NoSuchLine => NO_STATIC_LINE.into(),
    }
}

/// What decoding needs beside the section, and keeps from one to the next.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// All literal strings of the section.
    text: Vec<u8>,
    /// Which of them belong to which line.
    pieces: Vec<Piece>,
}

/// Literal strings of one line, as places in [`Scratch::text`].
#[derive(Debug)]
struct Piece {
    line: usize,
    start: usize,
    /// Where the value begins. If the line's name is not literal, this is `start`.
    value: usize,
    end: usize,
}

/// How much of [`Scratch`] is kept for the next section, in bytes and in pieces; an idle connection should hold little.
const SCRATCH_KEPT: usize = 1024;
const PIECES_KEPT: usize = 32;
/// For how many lines room is made before any is decoded.
const FIRST_LINES: usize = 16;

/// Reads the lines of one section.
pub(super) struct Section<'a> {
    pub(super) table: &'a Table,
    pub(super) config: &'a DecoderConfig,
    pub(super) stats: &'a mut DecoderStats,
    pub(super) prefix: Prefix,
}

impl Section<'_> {
    /// Decodes what follows the prefix. Limits are judged line by line, so what is kept is never more than they permit.
    pub(super) fn decode(mut self, reader: &mut Reader<'_>, scratch: &mut Scratch) -> Result<Fields, DecodeError> {
        scratch.text.clear();
        scratch.pieces.clear();
        let room = reader.remaining().min(FIRST_LINES).min(self.config.max_fields);
        let mut fields = Fields { lines: Vec::with_capacity(room), size: 0 };
        while !reader.is_empty() {
            if fields.lines.len() >= self.config.max_fields {
                return Err(StreamError::TooManyFields.into());
            }
            let left = self.config.max_field_section_bytes.checked_sub(fields.size);
            let left = left.and_then(|left| left.checked_sub(OVERHEAD)).ok_or(StreamError::TooLarge)?;
            let (field, size) = self.line(reader, left, fields.lines.len(), scratch)?;
            if size > left {
                return Err(StreamError::TooLarge.into());
            }
            fields.size = fields.size.saturating_add(size).saturating_add(OVERHEAD);
            fields.lines.push(field);
        }
        scratch.hand_out(&mut fields.lines);
        Ok(fields)
    }

    /// Reads one line, and the bytes of its name and value, which may be more than are `left` only if none were copied.
    /// What is literal of it is empty until all lines are there.
    #[inline]
    fn line(
        &mut self,
        reader: &mut Reader<'_>,
        left: usize,
        line: usize,
        scratch: &mut Scratch,
    ) -> Result<(Field, usize), DecodeError> {
        let first = reader.u8().map_err(|end| refuse(end.into()))?;
        if first & 0x80 != 0 {
            // Indexed Field Line (§4.5.2).
            let index = integer::read(first, 6, reader).map_err(refuse)?;
            return if first & 0x40 != 0 { self.static_line(index) } else { self.dynamic_line(self.relative(index)?) };
        }
        if first & 0xf0 == 0x10 {
            // Indexed Field Line with Post-Base Index (§4.5.3).
            let index = integer::read(first, 4, reader).map_err(refuse)?;
            return self.dynamic_line(self.post_base(index)?);
        }
        self.stats.literal_lines += 1;
        let start = scratch.text.len();
        let (name, sensitive) = if first & 0x40 != 0 {
            // Literal Field Line with Name Reference (§4.5.4).
            let index = integer::read(first, 4, reader).map_err(refuse)?;
            let name = if first & 0x10 != 0 {
                static_table::name(index).ok_or(NO_STATIC_LINE)?
            } else {
                self.relative(index)?.name.clone()
            };
            (name, first & 0x20 != 0)
        } else if first & 0x20 != 0 {
            // Literal Field Line with Literal Name (§4.5.6).
            let name = Literal::read(first, 3, left, reader).map_err(refuse)?;
            name.decode(left, &mut scratch.text).map_err(refuse)?;
            (Bytes::new(), first & 0x10 != 0)
        } else {
            // Literal Field Line with Post-Base Name Reference (§4.5.5).
            let index = integer::read(first, 3, reader).map_err(refuse)?;
            (self.post_base(index)?.name.clone(), first & 0x08 != 0)
        };
        let value = scratch.text.len();
        let named = name.len().saturating_add(value.saturating_sub(start));
        let left = left.checked_sub(named).ok_or(StreamError::TooLarge)?;
        let literal = Literal::read_whole(left, reader).map_err(refuse)?;
        literal.decode(left, &mut scratch.text).map_err(refuse)?;
        let end = scratch.text.len();
        scratch.pieces.push(Piece { line, start, value, end });
        let size = named.saturating_add(end.saturating_sub(value));
        Ok((Field { name, value: Bytes::new(), sensitive }, size))
    }

    fn static_line(&mut self, index: u64) -> Result<(Field, usize), DecodeError> {
        self.stats.static_lines += 1;
        let (name, value) = static_table::line(index).ok_or(NO_STATIC_LINE)?;
        let size = name.len() + value.len();
        Ok((Field { name, value, sensitive: false }, size))
    }

    fn dynamic_line(&mut self, entry: &Entry) -> Result<(Field, usize), DecodeError> {
        self.stats.dynamic_lines += 1;
        let size = entry.name.len() + entry.value.len();
        Ok((Field { name: entry.name.clone(), value: entry.value.clone(), sensitive: false }, size))
    }
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-3.1
//# When the decoder encounters an invalid static table index in a field line
//# representation, it MUST treat this as a connection error of type
//# QPACK_DECOMPRESSION_FAILED.
const NO_STATIC_LINE: ConnectionError =
    ConnectionError::decompression("a field line refers to a line that the static table does not have");

impl<'a> Section<'a> {
    fn relative(&self, index: u64) -> Result<&'a Entry, ConnectionError> {
        let absolute = self.prefix.base.checked_sub(index).and_then(|it| it.checked_sub(1));
        self.entry(absolute)
    }

    fn post_base(&self, index: u64) -> Result<&'a Entry, ConnectionError> {
        self.entry(self.prefix.base.checked_add(index))
    }

    fn entry(&self, absolute: Option<u64>) -> Result<&'a Entry, ConnectionError> {
        //= https://www.rfc-editor.org/rfc/rfc9204#section-2.2.3
        //# If the decoder encounters a reference in a field line representation to a
        //# dynamic table entry that has already been evicted or that has an absolute
        //# index greater than or equal to the declared Required Insert Count
        //# ({{header-prefix}}), it MUST treat this as a connection error of type
        //# QPACK_DECOMPRESSION_FAILED.
        let known = absolute.filter(|absolute| *absolute < self.prefix.required_insert_count);
        let entry = known.and_then(|absolute| self.table.get(absolute));
        entry.ok_or(ConnectionError::decompression(
            "a field line refers to an entry that is evicted or not covered by the Required Insert Count",
        ))
    }
}

impl Scratch {
    /// A string of at most `limit` bytes, in an allocation of its own and of its size.
    pub(super) fn string(&mut self, literal: Literal<'_>, limit: usize) -> Result<Bytes, Fault> {
        self.text.clear();
        literal.decode(limit, &mut self.text)?;
        let string = Bytes::copy_from_slice(&self.text);
        self.text.clear();
        self.text.shrink_to(SCRATCH_KEPT);
        Ok(string)
    }

    /// Copies the literal strings of a section into one allocation of their exact size, and gives the lines their parts
    /// of it: a field that the application keeps holds its section's strings, not the datagram that brought them.
    fn hand_out(&mut self, lines: &mut [Field]) {
        if self.pieces.is_empty() {
            return;
        }
        let text = Bytes::copy_from_slice(&self.text);
        for piece in &self.pieces {
            let Some(line) = lines.get_mut(piece.line) else { continue };
            line.value = text.slice(piece.value..piece.end);
            if piece.start < piece.value {
                line.name = text.slice(piece.start..piece.value);
            }
        }
        self.text.clear();
        self.text.shrink_to(SCRATCH_KEPT);
        self.pieces.clear();
        self.pieces.shrink_to(PIECES_KEPT);
    }
}
