//! Every bound that a peer can run into in QPACK, in one place. Those with "default" can be configured.

/// Default capacity of a dynamic table in bytes, of either side (SETTINGS_QPACK_MAX_TABLE_CAPACITY, RFC 9204 §5).
pub const TABLE_CAPACITY: u64 = 4096;
/// The largest capacity that can be configured, of either side; more is taken for this.
pub const TABLE_CAPACITY_MAXIMUM: u64 = 64 * 1024;

/// Default number of streams that may wait for the encoder stream (SETTINGS_QPACK_BLOCKED_STREAMS, RFC 9204 §5); more
/// is QPACK_DECOMPRESSION_FAILED (§2.1.2).
pub const BLOCKED_STREAMS: u64 = 16;
/// Sections of one stream that wait: interim responses, the response, trailers. More is a stream error.
pub const BLOCKED_SECTIONS_PER_STREAM: usize = 10;

/// Default size of a decoded section in bytes, each line with its name, its value and 32 (RFC 9114 §4.2.2); more is a
/// stream error.
pub const FIELD_SECTION_BYTES: usize = 16 * 1024;
/// Default number of lines in a section; more is a stream error.
pub const FIELDS: usize = 100;

/// Bytes of one instruction of the encoder stream that are kept until the rest of it comes; more is
/// QPACK_ENCODER_STREAM_ERROR.
pub const PARTIAL_INSTRUCTION: usize = 64 * 1024;
/// Bytes of instructions for the encoder stream that wait to be sent; with that many, nothing more is inserted, so that a
/// peer that gives no credit for that stream gets literals (RFC 9204 §2.1.3).
pub const ENCODER_INSTRUCTIONS: usize = 64 * 1024;
/// Bytes of instructions for the decoder stream that wait to be sent; more closes the connection with
/// H3_EXCESSIVE_LOAD (RFC 9204 §7.3).
pub const DECODER_INSTRUCTIONS: usize = 64 * 1024;

/// Sections that refer to the dynamic table and are not acknowledged; with that many, sections are sent without such
/// references (RFC 9204 §7.3).
pub const OUTSTANDING_SECTIONS: usize = 256;
