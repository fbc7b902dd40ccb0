//! [`Decoder`]: sections to fields, and the dynamic table that follows the peer's encoder.

use bytes::Bytes;

use super::error::{ConnectionError, DecodeError};
use super::field::Fields;
use super::limits;

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
#[derive(Debug, Default)]
pub struct Decoder {}

impl Decoder {
    /// A decoder with an empty table.
    pub fn new(_config: DecoderConfig) -> Self {
        Self {}
    }

    /// Bytes of the peer's encoder stream, in order, in pieces of any length. Sections may be unblocked by them.
    pub fn receive(&mut self, _bytes: &[u8]) -> Result<(), ConnectionError> {
        Ok(())
    }

    /// One whole encoded section of a stream. Sections of one stream come in order; while one of them waits, those
    /// after it do.
    pub fn decode(&mut self, _stream_id: u64, _section: Bytes) -> Result<Decoded, DecodeError> {
        Ok(Decoded::Blocked)
    }

    /// The next section that no longer waits, with its stream. To be called until `None` after [`Self::receive`].
    pub fn poll_unblocked(&mut self) -> Option<(u64, Result<Fields, DecodeError>)> {
        None
    }

    /// The stream was reset, or is no longer read, before its last section was decoded (RFC 9204 §2.2.2.2). What of it
    /// waits is dropped.
    pub fn cancel(&mut self, _stream_id: u64) {}

    /// Bytes for the decoder stream, in order; to be taken whole. Call it once a turn: what it says of insertions is
    /// put together then.
    pub fn poll_instructions(&mut self) -> Option<Bytes> {
        None
    }

    /// Bytes of sections that wait. They should stay charged to their streams' flow control (RFC 9204 §2.2.1).
    pub fn blocked_bytes(&self) -> usize {
        0
    }

    /// Bytes of sections of one stream that wait.
    pub fn blocked_bytes_of(&self, _stream_id: u64) -> usize {
        0
    }

    /// Streams that wait.
    pub fn blocked_streams(&self) -> usize {
        0
    }

    /// The bytes that the dynamic table holds, as its size is counted (RFC 9204 §3.2.1).
    pub fn table_bytes(&self) -> u64 {
        0
    }

    /// What was counted since the decoder was made.
    pub fn stats(&self) -> DecoderStats {
        DecoderStats::default()
    }
}
