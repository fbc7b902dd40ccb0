//! [`Encoder`]: fields to sections, and the dynamic table that the peer's decoder follows.

use bytes::{Bytes, BytesMut};

use super::error::ConnectionError;
use super::field::FieldRef;
use super::limits;

/// What an [`Encoder`] may do.
#[derive(Clone, Debug)]
pub struct EncoderConfig {
    /// The capacity of the dynamic table in bytes, if the peer permits as much. Zero: no dynamic table.
    pub max_table_capacity: u64,
    /// Streams that may be put at risk of waiting for the encoder stream, if the peer permits as many. Zero: only entries
    /// that the peer is known to have are referred to.
    pub max_blocked_streams: u64,
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self { max_table_capacity: limits::TABLE_CAPACITY, max_blocked_streams: u64::MAX }
    }
}

/// What became of a section that was encoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Encoded {
    /// Bytes that were appended.
    pub bytes: usize,
    /// How many insertions the decoder must have seen to read it; zero without references to the dynamic table.
    pub required_insert_count: u64,
}

/// What an [`Encoder`] counted since it was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct EncoderStats {
    /// Bytes of sections before compression: names and values.
    pub raw_bytes: u64,
    /// Bytes of sections after compression, without the instructions.
    pub encoded_bytes: u64,
    /// Bytes of instructions for the encoder stream.
    pub instruction_bytes: u64,
    /// Field lines that refer to a whole line of the static table.
    pub static_lines: u64,
    /// Field lines that refer to a whole line of the dynamic table.
    pub dynamic_lines: u64,
    /// Field lines with a literal value.
    pub literal_lines: u64,
    /// Lines that were inserted into the dynamic table, duplicates included.
    pub insertions: u64,
    /// Insertions that were duplicates.
    pub duplicates: u64,
    /// Sections that were encoded.
    pub sections: u64,
}

/// Compresses field sections (RFC 9204 §2.1).
#[derive(Debug, Default)]
pub struct Encoder {}

impl Encoder {
    /// An encoder that uses only the static table and literals until [`Self::peer_settings`] is called.
    pub fn new(_config: EncoderConfig) -> Self {
        Self {}
    }

    /// The peer's SETTINGS_QPACK_MAX_TABLE_CAPACITY and SETTINGS_QPACK_BLOCKED_STREAMS arrived (zero if it left them
    /// out). Only the first call counts.
    pub fn peer_settings(&mut self, _max_table_capacity: u64, _max_blocked_streams: u64) {}

    /// How many bytes the transport would take on the encoder stream now. Until the next call, no more than that is
    /// inserted (RFC 9204 §2.1.3). Optional: without it only [`limits::ENCODER_INSTRUCTIONS`] counts.
    pub fn instruction_credit(&mut self, _bytes: u64) {}

    /// Appends one encoded section for the stream to `out`. [`Self::poll_instructions`] may have something to send
    /// afterwards; sent before the section, it keeps the peer from waiting.
    pub fn encode<'a>(
        &mut self,
        _stream_id: u64,
        _fields: impl IntoIterator<Item = FieldRef<'a>>,
        _out: &mut BytesMut,
    ) -> Encoded {
        Encoded { bytes: 0, required_insert_count: 0 }
    }

    /// Bytes for the encoder stream, in order; to be taken whole.
    pub fn poll_instructions(&mut self) -> Option<Bytes> {
        None
    }

    /// Bytes of the peer's decoder stream, in order, in pieces of any length.
    pub fn receive(&mut self, _bytes: &[u8]) -> Result<(), ConnectionError> {
        Ok(())
    }

    /// Sections of this stream were encoded and no byte of them will ever be sent: nobody will acknowledge or cancel
    /// them. For a stream that was reset after it was begun, nothing is to be called: the peer's Stream Cancellation
    /// says when its references are gone (RFC 9204 §2.2.2.2).
    pub fn retract(&mut self, _stream_id: u64) {}

    /// The bytes that the dynamic table holds, as its size is counted (RFC 9204 §3.2.1).
    pub fn table_bytes(&self) -> u64 {
        0
    }

    /// What was counted since the encoder was made.
    pub fn stats(&self) -> EncoderStats {
        EncoderStats::default()
    }
}
