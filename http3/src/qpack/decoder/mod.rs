//! [`Decoder`]: sections to fields, and the dynamic table that follows the peer's encoder.

mod blocked;
mod section;
mod table;

use bytes::{Buf, Bytes, BytesMut};
use codec::cursor::Reader;

use self::blocked::{Blocked, Held};
use self::section::{Prefix, Scratch, Section};
use self::table::{Entry, Table};
use super::error::{ConnectionError, DecodeError, H3_EXCESSIVE_LOAD, StreamError};
use super::field::{Fields, OVERHEAD};
use super::instruction::{DecoderInstruction, EncoderInstruction, NameIndex, Permitted};
use super::literal::Literal;
use super::wire::Fault;
use super::{limits, static_table};

/// What a [`Decoder`] permits. The first two are to be sent as SETTINGS, the third as
/// SETTINGS_MAX_FIELD_SECTION_SIZE (RFC 9114 §7.2.4.1).
#[derive(Clone, Debug)]
pub struct DecoderConfig {
    /// SETTINGS_QPACK_MAX_TABLE_CAPACITY in bytes.
    pub max_table_capacity: u64,
    /// SETTINGS_QPACK_BLOCKED_STREAMS.
    pub max_blocked_streams: u64,
    /// The largest decoded section in bytes: each line with its name, its value and 32.
    pub max_field_section_bytes: usize,
    /// Most lines of a section.
    pub max_fields: usize,
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self {
            max_table_capacity: limits::TABLE_CAPACITY,
            max_blocked_streams: limits::BLOCKED_STREAMS,
            max_field_section_bytes: limits::FIELD_SECTION_BYTES,
            max_fields: limits::FIELDS,
        }
    }
}

/// What became of a section.
#[derive(Debug, Eq, PartialEq)]
pub enum Decoded {
    /// Its fields.
    Fields(Fields),
    /// It waits for the encoder stream, and is kept. [`Decoder::poll_unblocked`] gives its fields later.
    Blocked,
}

/// What a [`Decoder`] counted since it was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DecoderStats {
    /// Bytes of sections after decompression: names and values.
    pub raw_bytes: u64,
    /// Bytes of sections before decompression, without the instructions.
    pub encoded_bytes: u64,
    /// Bytes received on the encoder stream.
    pub instruction_bytes: u64,
    /// Field lines that referred to a whole line of the static table.
    pub static_lines: u64,
    /// Field lines that referred to a whole line of the dynamic table.
    pub dynamic_lines: u64,
    /// Field lines with a literal value.
    pub literal_lines: u64,
    /// Lines that were inserted into the dynamic table, duplicates included.
    pub insertions: u64,
    /// Sections that had to wait.
    pub blocked_sections: u64,
    /// Sections that were refused because of a limit.
    pub limited_sections: u64,
    /// Sections that were decoded.
    pub sections: u64,
}

/// Decompresses field sections (RFC 9204 §2.2).
#[derive(Debug)]
pub struct Decoder {
    config: DecoderConfig,
    table: Table,
    /// The beginning of an instruction of the encoder stream whose end did not come yet.
    partial: Vec<u8>,
    blocked: Blocked,
    /// Instructions for the decoder stream, but for the Insert Count Increment.
    instructions: BytesMut,
    /// Whether one was dropped because there were too many.
    is_overrun: bool,
    /// What the peer's encoder knows of our Insert Count when it has read `instructions` (§2.1.4).
    known_received_count: u64,
    scratch: Scratch,
    stats: DecoderStats,
}

impl Decoder {
    /// A decoder with an empty table.
    pub fn new(config: DecoderConfig) -> Self {
        let max_table_capacity = config.max_table_capacity.min(limits::TABLE_CAPACITY_MAXIMUM);
        Self {
            config: DecoderConfig { max_table_capacity, ..config },
            table: Table::default(),
            partial: Vec::new(),
            blocked: Blocked::default(),
            instructions: BytesMut::new(),
            is_overrun: false,
            known_received_count: 0,
            scratch: Scratch::default(),
            stats: DecoderStats::default(),
        }
    }

    /// Bytes of the peer's encoder stream, in order, in pieces of any length. Sections may be unblocked by them.
    ///
    /// An instruction is kept until it is whole, up to [`limits::PARTIAL_INSTRUCTION`] bytes.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), ConnectionError> {
        self.check_instructions()?;
        self.stats.instruction_bytes = self.stats.instruction_bytes.saturating_add(bytes.len() as u64);
        if self.partial.is_empty() {
            let rest = self.apply_all(bytes)?;
            self.partial.extend_from_slice(rest);
        } else {
            let mut partial = std::mem::take(&mut self.partial);
            partial.extend_from_slice(bytes);
            let rest = self.apply_all(&partial)?.len();
            let applied = partial.len().saturating_sub(rest);
            partial.drain(..applied);
            partial.shrink_to(rest.saturating_mul(2));
            self.partial = partial;
        }
        if self.partial.len() > limits::PARTIAL_INSTRUCTION {
            return Err(ConnectionError::encoder_stream("an instruction of the encoder stream does not end"));
        }
        Ok(())
    }

    /// Does what all whole instructions say, and returns what is left.
    fn apply_all<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], ConnectionError> {
        let mut reader = Reader::new(bytes);
        loop {
            let rest = reader.as_slice();
            if rest.is_empty() {
                return Ok(rest);
            }
            let permitted = Permitted { string: self.longest_string(), entries: self.table.entries() };
            match EncoderInstruction::read(permitted, &mut reader) {
                Ok(instruction) => self.apply(instruction)?,
                Err(Fault::End) => return Ok(rest),
                Err(fault) => return Err(refuse_instruction(fault)),
            }
        }
    }

    /// The most that fits into an entry beside what every entry has.
    const fn longest_string(&self) -> usize {
        self.table.capacity().saturating_sub(OVERHEAD)
    }

    fn apply(&mut self, instruction: EncoderInstruction<'_>) -> Result<(), ConnectionError> {
        let entry = match instruction {
            EncoderInstruction::SetCapacity(capacity) => return self.set_capacity(capacity),
            EncoderInstruction::InsertWithName(name, value) => {
                let name = match name {
                    NameIndex::Static(index) => static_table::name(index).ok_or(NO_SUCH_LINE)?,
                    NameIndex::Relative(index) => self.table.relative(index).ok_or(NO_SUCH_LINE)?.name.clone(),
                };
                let value = self.string(value, name.len())?;
                Entry { name, value }
            }
            EncoderInstruction::InsertWithLiteral(name, value) => {
                let name = self.string(name, 0)?;
                let value = self.string(value, name.len())?;
                Entry { name, value }
            }
            EncoderInstruction::Duplicate(index) => self.table.relative(index).ok_or(NO_SUCH_LINE)?.clone(),
        };
        //= https://www.rfc-editor.org/rfc/rfc9204#section-3.2.2
        //# It is an
        //# error if the encoder attempts to add an entry that is larger than the dynamic
        //# table capacity; the decoder MUST treat this as a connection error of type
        //# QPACK_ENCODER_STREAM_ERROR.
        self.table.insert(entry).map_err(|_| TOO_LARGE_ENTRY)?;
        self.stats.insertions = self.stats.insertions.saturating_add(1);
        Ok(())
    }

    fn set_capacity(&mut self, capacity: u64) -> Result<(), ConnectionError> {
        //= https://www.rfc-editor.org/rfc/rfc9204#section-4.3.1
        //# The decoder MUST treat a new dynamic table capacity value that
        //# exceeds this limit as a connection error of type QPACK_ENCODER_STREAM_ERROR.
        let permitted = usize::try_from(capacity).ok().filter(|_| capacity <= self.config.max_table_capacity);
        let capacity = permitted.ok_or(ConnectionError::encoder_stream(
            "the dynamic table is given more capacity than SETTINGS_QPACK_MAX_TABLE_CAPACITY permits",
        ))?;
        self.table.set_capacity(capacity);
        Ok(())
    }

    /// A string of an entry that is to have `beside` bytes more, in an allocation of its own and of its size.
    fn string(&mut self, literal: Literal<'_>, beside: usize) -> Result<Bytes, ConnectionError> {
        let limit = self.longest_string().saturating_sub(beside);
        self.scratch.string(literal, limit).map_err(refuse_instruction)
    }

    /// One whole encoded section of a stream. Sections of one stream come in order; while one of them waits, those
    /// after it do.
    ///
    /// After a [`StreamError`] the stream is to be given up, with [`Self::cancel`].
    pub fn decode(&mut self, stream_id: u64, section: Bytes) -> Result<Decoded, DecodeError> {
        self.check_instructions()?;
        let mut reader = Reader::new(&section);
        let max_entries = self.config.max_table_capacity / OVERHEAD as u64;
        let prefix = Prefix::read(&mut reader, max_entries, self.table.inserted())?;
        if prefix.required_insert_count > self.table.inserted() || self.blocked.sections_of(stream_id) > 0 {
            let read = reader.position();
            return self.hold(stream_id, prefix, section, read).map(|()| Decoded::Blocked);
        }
        self.finish(stream_id, prefix, reader, section.len()).map(Decoded::Fields)
    }

    /// Keeps a section that cannot be decoded now.
    fn hold(&mut self, id: u64, prefix: Prefix, mut section: Bytes, read: usize) -> Result<(), DecodeError> {
        let sections = self.blocked.sections_of(id);
        //= https://www.rfc-editor.org/rfc/rfc9204#section-2.1.2
        //# If a decoder encounters
        //# more blocked streams than it promised to support, it MUST treat this as a
        //# connection error of type QPACK_DECOMPRESSION_FAILED.
        if sections == 0 && self.blocked.streams() as u64 >= self.config.max_blocked_streams {
            return Err(ConnectionError::decompression(
                "more streams wait for the encoder stream than SETTINGS_QPACK_BLOCKED_STREAMS permits",
            )
            .into());
        }
        if sections >= limits::BLOCKED_SECTIONS_PER_STREAM {
            self.stats.limited_sections = self.stats.limited_sections.saturating_add(1);
            return Err(StreamError::TooManyBlocked.into());
        }
        let bytes = section.len();
        // Encoded, a line takes less than the 32 bytes that it counts beyond its text; so what is longer than a decoded
        // section may be would not become one, unless its strings were coded to be longer.
        if bytes > self.config.max_field_section_bytes {
            self.stats.limited_sections = self.stats.limited_sections.saturating_add(1);
            return Err(StreamError::TooLarge.into());
        }
        section.advance(read);
        self.stats.blocked_sections = self.stats.blocked_sections.saturating_add(1);
        self.blocked.push(id, Held { prefix, lines: section, bytes });
        Ok(())
    }

    /// Decodes a section whose prefix was read, and acknowledges it.
    fn finish(&mut self, id: u64, prefix: Prefix, mut lines: Reader<'_>, bytes: usize) -> Result<Fields, DecodeError> {
        let section = Section { table: &self.table, config: &self.config, stats: &mut self.stats, prefix };
        let decoded = section.decode(&mut lines, &mut self.scratch);
        // A section that a limit refuses is not looked at again either, so its references end, too.
        if !matches!(decoded, Err(DecodeError::Connection(_))) {
            self.acknowledge(id, prefix.required_insert_count);
        }
        match &decoded {
            Ok(fields) => {
                self.stats.sections = self.stats.sections.saturating_add(1);
                let text = fields.size().saturating_sub(fields.len().saturating_mul(OVERHEAD));
                self.stats.raw_bytes = self.stats.raw_bytes.saturating_add(text as u64);
                self.stats.encoded_bytes = self.stats.encoded_bytes.saturating_add(bytes as u64);
            }
            Err(DecodeError::Stream(error)) if error.is_limit() => {
                self.stats.limited_sections = self.stats.limited_sections.saturating_add(1);
            }
            Err(_) => {}
        }
        decoded
    }

    fn acknowledge(&mut self, stream_id: u64, required_insert_count: u64) {
        //= https://www.rfc-editor.org/rfc/rfc9204#section-2.2.2.1
        //# After the decoder finishes decoding a field section encoded using
        //# representations containing dynamic table references, it MUST emit a Section
        //# Acknowledgment instruction ({{header-acknowledgment}}).
        if required_insert_count > 0 {
            DecoderInstruction::SectionAcknowledgment(stream_id).write(&mut self.instructions);
            self.known_received_count = self.known_received_count.max(required_insert_count);
        }
    }

    /// The next section that no longer waits, with its stream. To be called until `None` after [`Self::receive`].
    pub fn poll_unblocked(&mut self) -> Option<(u64, Result<Fields, DecodeError>)> {
        let (id, held) = self.blocked.pop(self.table.inserted())?;
        Some((id, self.finish(id, held.prefix, Reader::new(&held.lines), held.bytes)))
    }

    /// The stream was reset, or is no longer read, before its last section was decoded (RFC 9204 §2.2.2.2). What of it
    /// waits is dropped.
    pub fn cancel(&mut self, stream_id: u64) {
        self.blocked.remove(stream_id);
        //= https://www.rfc-editor.org/rfc/rfc9204#section-2.2.2.2
        //# A decoder with a
        //# maximum dynamic table capacity ({{maximum-dynamic-table-capacity}}) equal to
        //# zero MAY omit sending Stream Cancellations, because the encoder cannot have any
        //# dynamic table references.
        if self.config.max_table_capacity > 0 {
            self.is_overrun |= self.instructions.len() > limits::DECODER_INSTRUCTIONS;
            if !self.is_overrun {
                DecoderInstruction::StreamCancellation(stream_id).write(&mut self.instructions);
            }
        }
    }

    /// How many bytes [`Self::poll_instructions`] would return now, or a few less; zero if it would return nothing.
    pub fn instruction_bytes(&self) -> usize {
        let increment = self.table.inserted() > self.known_received_count;
        self.instructions.len() + usize::from(increment)
    }

    /// Bytes for the decoder stream, in order; to be taken whole. Call it once a turn, or later: what it says of
    /// insertions is put together then.
    pub fn poll_instructions(&mut self) -> Option<Bytes> {
        let increment = self.table.inserted().saturating_sub(self.known_received_count);
        if increment > 0 {
            DecoderInstruction::InsertCountIncrement(increment).write(&mut self.instructions);
            self.known_received_count = self.table.inserted();
        }
        if self.instructions.is_empty() { None } else { Some(self.instructions.split().freeze()) }
    }

    /// Refuses to go on if what the peer makes us answer is not taken from us.
    fn check_instructions(&self) -> Result<(), ConnectionError> {
        //= https://www.rfc-editor.org/rfc/rfc9204#section-7.3
        //# Implementations should limit the size of unsent data, especially on the decoder
        //# stream where flexibility to choose what to send is limited.
        if self.is_overrun || self.instructions.len() > limits::DECODER_INSTRUCTIONS {
            let reason = "sections and resets come, and the decoder stream gets no credit";
            return Err(ConnectionError::new(H3_EXCESSIVE_LOAD, reason));
        }
        Ok(())
    }

    /// Bytes of sections that wait. They should stay charged to their streams' flow control (RFC 9204 §2.2.1).
    pub const fn blocked_bytes(&self) -> usize {
        self.blocked.bytes()
    }

    /// Bytes of sections of one stream that wait.
    pub fn blocked_bytes_of(&self, stream_id: u64) -> usize {
        self.blocked.bytes_of(stream_id)
    }

    /// Streams that wait.
    pub const fn blocked_streams(&self) -> usize {
        self.blocked.streams()
    }

    /// The bytes that the dynamic table holds, as its size is counted (RFC 9204 §3.2.1).
    pub const fn table_bytes(&self) -> u64 {
        self.table.size() as u64
    }

    /// How many lines were ever inserted into the dynamic table: its Insert Count (RFC 9204 §1.1).
    pub const fn insert_count(&self) -> u64 {
        self.table.inserted()
    }

    /// What was counted since the decoder was made.
    pub const fn stats(&self) -> DecoderStats {
        self.stats
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(DecoderConfig::default())
    }
}

//= https://www.rfc-editor.org/rfc/rfc9204#section-2.2.3
//# If the decoder encounters a reference in an encoder instruction to a dynamic
//# table entry that has already been evicted, it MUST treat this as a connection
//# error of type QPACK_ENCODER_STREAM_ERROR.
//= https://www.rfc-editor.org/rfc/rfc9204#section-3.1
//# If this index is received on the encoder stream,
//# this MUST be treated as a connection error of type QPACK_ENCODER_STREAM_ERROR.
const NO_SUCH_LINE: ConnectionError =
    ConnectionError::encoder_stream("an instruction refers to a line that its table does not have");

const TOO_LARGE_ENTRY: ConnectionError =
    ConnectionError::encoder_stream("an insertion is larger than the capacity of the dynamic table");

/// What a fault on the encoder stream means.
const fn refuse_instruction(fault: Fault) -> ConnectionError {
    match fault {
        Fault::End => ConnectionError::encoder_stream("an instruction ends before its last field does"),
        Fault::Huffman => ConnectionError::encoder_stream("a string in an instruction is not Huffman-coded"),
        Fault::IntegerTooLarge => ConnectionError::encoder_stream("an integer in an instruction has more than 62 bits"),
        Fault::StringTooLong => TOO_LARGE_ENTRY,
        Fault::NoSuchLine => NO_SUCH_LINE,
    }
}

#[cfg(test)]
mod tests;
