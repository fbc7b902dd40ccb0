//! What can be wrong: errors of the connection and errors of one stream, which are different types.

use std::fmt;

/// The decoder failed to interpret a field section (RFC 9204 §6).
pub const QPACK_DECOMPRESSION_FAILED: u64 = 0x200;
/// The decoder failed to interpret an instruction on the encoder stream (RFC 9204 §6).
pub const QPACK_ENCODER_STREAM_ERROR: u64 = 0x201;
/// The encoder failed to interpret an instruction on the decoder stream (RFC 9204 §6).
pub const QPACK_DECODER_STREAM_ERROR: u64 = 0x202;
/// The peer's behaviour makes us do or keep too much (RFC 9114 §8.1).
pub const H3_EXCESSIVE_LOAD: u64 = 0x107;

/// The connection must be closed with this: the tables of both ends can no longer be the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConnectionError {
    code: u64,
    reason: &'static str,
}

impl ConnectionError {
    pub(super) const fn new(code: u64, reason: &'static str) -> Self {
        Self { code, reason }
    }

    /// QPACK_DECOMPRESSION_FAILED.
    pub(super) const fn decompression(reason: &'static str) -> Self {
        Self::new(QPACK_DECOMPRESSION_FAILED, reason)
    }

    /// QPACK_ENCODER_STREAM_ERROR.
    pub(super) const fn encoder_stream(reason: &'static str) -> Self {
        Self::new(QPACK_ENCODER_STREAM_ERROR, reason)
    }

    /// QPACK_DECODER_STREAM_ERROR.
    pub(super) const fn decoder_stream(reason: &'static str) -> Self {
        Self::new(QPACK_DECODER_STREAM_ERROR, reason)
    }

    /// The application's code of the CONNECTION_CLOSE frame: one of the constants of this module.
    pub const fn code(&self) -> u64 {
        self.code
    }

    /// What the peer did, for the reason phrase; never bytes of the peer's.
    pub const fn reason(&self) -> &'static str {
        self.reason
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:#x})", self.reason, self.code)
    }
}

impl std::error::Error for ConnectionError {}

/// One stream cannot be used; the connection goes on, and both tables are still the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamError {
    /// The section is larger than `max_field_section_bytes`. A server may answer with status 431, "Request Header Fields
    /// Too Large" (RFC 9114 §4.2.2).
    TooLarge,
    /// The section has more lines than `max_fields`. The same answer fits.
    TooManyFields,
    /// More sections of the stream wait for the encoder stream than
    /// [`BLOCKED_SECTIONS_PER_STREAM`](super::limits::BLOCKED_SECTIONS_PER_STREAM).
    TooManyBlocked,
    /// It holds an integer that is larger than 62 bits (RFC 9204 §7.4).
    IntegerTooLarge,
}

impl StreamError {
    /// The application's code of RESET_STREAM and STOP_SENDING.
    pub const fn code(&self) -> u64 {
        match self {
            Self::TooLarge | Self::TooManyFields | Self::TooManyBlocked => H3_EXCESSIVE_LOAD,
            Self::IntegerTooLarge => QPACK_DECOMPRESSION_FAILED,
        }
    }

    /// Whether a limit of ours was exceeded, in a section that was otherwise well-formed as far as it was read.
    pub const fn is_limit(&self) -> bool {
        !matches!(self, Self::IntegerTooLarge)
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the field section is too large",
            Self::TooManyFields => "the field section has too many lines",
            Self::TooManyBlocked => "too many field sections of the stream wait for the encoder stream",
            Self::IntegerTooLarge => "an integer in the field section has more than 62 bits",
        })
    }
}

impl std::error::Error for StreamError {}

/// Why a field section was not decoded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DecodeError {
    /// The connection must be closed.
    Connection(ConnectionError),
    /// This stream cannot be used.
    Stream(StreamError),
}

impl DecodeError {
    /// The application's code.
    pub const fn code(&self) -> u64 {
        match self {
            Self::Connection(error) => error.code(),
            Self::Stream(error) => error.code(),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => error.fmt(f),
            Self::Stream(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DecodeError {}

impl From<ConnectionError> for DecodeError {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

impl From<StreamError> for DecodeError {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}
