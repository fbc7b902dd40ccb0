//! Frames: what a packet's payload consists of (RFC 9000 §19, RFC 9221).
//!
//! [`iter`] reads a payload frame by frame; data stays where it lies. [`Frame::encode`] is the way back. What is checked
//! here is what a frame alone can break; what it may do to a connection is for the connection to judge.

pub mod ack;
pub mod close;
pub mod control;
pub mod crypto;
pub mod datagram;
pub mod flow;
pub mod ids;
pub mod path;
pub mod stream;

mod frame_type;
mod iter;

#[cfg(test)]
mod tests;

use core::fmt;

pub use ack::{Ack, AckRanges, EcnCounts, encode_ack};
pub use close::{ApplicationClose, ConnectionClose};
pub use control::{NewToken, ResetStream, StopSending};
pub use crypto::Crypto;
pub use datagram::Datagram;
pub use flow::{DataBlocked, MaxData, MaxStreamData, MaxStreams, StreamDataBlocked, StreamsBlocked};
pub use frame_type::FrameType;
pub use ids::{NewConnectionId, RetireConnectionId};
pub use iter::{Iter, iter};
pub use path::{PathChallenge, PathResponse};
pub use stream::Stream;

use crate::cursor::{BufferFull, UnexpectedEnd, Writer};
use crate::error_code::TransportErrorCode;

/// A frame. Data is borrowed from the payload.
///
/// Numbers that came from a payload are below 2^62; numbers to be encoded must be too.
#[derive(Clone, Debug)]
pub enum Frame<'a> {
    /// A run of PADDING frames, `length` bytes long (RFC 9000 §19.1).
    Padding {
        /// How many PADDING frames follow each other.
        length: usize,
    },
    /// PING (RFC 9000 §19.2).
    Ping,
    /// ACK (RFC 9000 §19.3).
    Ack(Ack<'a>),
    /// RESET_STREAM (RFC 9000 §19.4).
    ResetStream(ResetStream),
    /// STOP_SENDING (RFC 9000 §19.5).
    StopSending(StopSending),
    /// CRYPTO (RFC 9000 §19.6).
    Crypto(Crypto<'a>),
    /// NEW_TOKEN (RFC 9000 §19.7).
    NewToken(NewToken<'a>),
    /// STREAM (RFC 9000 §19.8).
    Stream(Stream<'a>),
    /// MAX_DATA (RFC 9000 §19.9).
    MaxData(MaxData),
    /// MAX_STREAM_DATA (RFC 9000 §19.10).
    MaxStreamData(MaxStreamData),
    /// MAX_STREAMS (RFC 9000 §19.11).
    MaxStreams(MaxStreams),
    /// DATA_BLOCKED (RFC 9000 §19.12).
    DataBlocked(DataBlocked),
    /// STREAM_DATA_BLOCKED (RFC 9000 §19.13).
    StreamDataBlocked(StreamDataBlocked),
    /// STREAMS_BLOCKED (RFC 9000 §19.14).
    StreamsBlocked(StreamsBlocked),
    /// NEW_CONNECTION_ID (RFC 9000 §19.15).
    NewConnectionId(NewConnectionId),
    /// RETIRE_CONNECTION_ID (RFC 9000 §19.16).
    RetireConnectionId(RetireConnectionId),
    /// PATH_CHALLENGE (RFC 9000 §19.17).
    PathChallenge(PathChallenge),
    /// PATH_RESPONSE (RFC 9000 §19.18).
    PathResponse(PathResponse),
    /// CONNECTION_CLOSE of type 0x1c (RFC 9000 §19.19).
    ConnectionClose(ConnectionClose<'a>),
    /// CONNECTION_CLOSE of type 0x1d (RFC 9000 §19.19).
    ApplicationClose(ApplicationClose<'a>),
    /// HANDSHAKE_DONE (RFC 9000 §19.20).
    HandshakeDone,
    /// DATAGRAM (RFC 9221 §4).
    Datagram(Datagram<'a>),
}

impl Frame<'_> {
    /// The type as [`Self::encode`] writes it. (A received STREAM or DATAGRAM frame may have come without the bits for
    /// length and offset; see [`Iter::frame_type`].)
    #[inline]
    pub fn frame_type(&self) -> FrameType {
        match self {
            Self::Padding { .. } => FrameType::PADDING,
            Self::Ping => FrameType::PING,
            Self::Ack(ack) => ack.frame_type(),
            Self::ResetStream(_) => FrameType::RESET_STREAM,
            Self::StopSending(_) => FrameType::STOP_SENDING,
            Self::Crypto(_) => FrameType::CRYPTO,
            Self::NewToken(_) => FrameType::NEW_TOKEN,
            Self::Stream(frame) => stream::frame_type(frame.offset, true, frame.fin),
            Self::MaxData(_) => FrameType::MAX_DATA,
            Self::MaxStreamData(_) => FrameType::MAX_STREAM_DATA,
            Self::MaxStreams(frame) => flow::max_streams_type(frame.direction),
            Self::DataBlocked(_) => FrameType::DATA_BLOCKED,
            Self::StreamDataBlocked(_) => FrameType::STREAM_DATA_BLOCKED,
            Self::StreamsBlocked(frame) => flow::streams_blocked_type(frame.direction),
            Self::NewConnectionId(_) => FrameType::NEW_CONNECTION_ID,
            Self::RetireConnectionId(_) => FrameType::RETIRE_CONNECTION_ID,
            Self::PathChallenge(_) => FrameType::PATH_CHALLENGE,
            Self::PathResponse(_) => FrameType::PATH_RESPONSE,
            Self::ConnectionClose(_) => FrameType::CONNECTION_CLOSE,
            Self::ApplicationClose(_) => FrameType::APPLICATION_CLOSE,
            Self::HandshakeDone => FrameType::HANDSHAKE_DONE,
            Self::Datagram(_) => FrameType::DATAGRAM,
        }
    }

    /// Whether a packet with it must be acknowledged: all but PADDING, ACK and CONNECTION_CLOSE (RFC 9000 §12.4,
    /// "Spec" N).
    #[inline]
    pub const fn is_ack_eliciting(&self) -> bool {
        !matches!(self, Self::Padding { .. } | Self::Ack(_) | Self::ConnectionClose(_) | Self::ApplicationClose(_))
    }

    /// Whether it only probes a path: PADDING, NEW_CONNECTION_ID, PATH_CHALLENGE and PATH_RESPONSE (RFC 9000 §9.1).
    #[inline]
    pub const fn is_probing(&self) -> bool {
        matches!(self, Self::Padding { .. } | Self::NewConnectionId(_) | Self::PathChallenge(_) | Self::PathResponse(_))
    }

    /// How many bytes [`Self::encode`] writes.
    #[inline]
    pub fn encoded_size(&self) -> usize {
        match self {
            Self::Padding { length } => *length,
            Self::Ping | Self::HandshakeDone => 1,
            Self::Ack(frame) => frame.encoded_size(),
            Self::ResetStream(frame) => frame.encoded_size(),
            Self::StopSending(frame) => frame.encoded_size(),
            Self::Crypto(frame) => frame.encoded_size(),
            Self::NewToken(frame) => frame.encoded_size(),
            Self::Stream(frame) => frame.encoded_size(),
            Self::MaxData(frame) => frame.encoded_size(),
            Self::MaxStreamData(frame) => frame.encoded_size(),
            Self::MaxStreams(frame) => frame.encoded_size(),
            Self::DataBlocked(frame) => frame.encoded_size(),
            Self::StreamDataBlocked(frame) => frame.encoded_size(),
            Self::StreamsBlocked(frame) => frame.encoded_size(),
            Self::NewConnectionId(frame) => frame.encoded_size(),
            Self::RetireConnectionId(frame) => frame.encoded_size(),
            Self::PathChallenge(_) | Self::PathResponse(_) => path::ENCODED_SIZE,
            Self::ConnectionClose(frame) => frame.encoded_size(),
            Self::ApplicationClose(frame) => frame.encoded_size(),
            Self::Datagram(frame) => frame.encoded_size(),
        }
    }

    /// Writes the frame; STREAM and DATAGRAM with their length. All or nothing.
    ///
    /// Writes what it is told: whether the peer may be sent this is not checked here.
    #[inline]
    pub fn encode(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        let start = w.position();
        self.write(w).inspect_err(|_| w.truncate(start))
    }

    #[inline]
    fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        match self {
            Self::Padding { length } => w.zeros(*length),
            Self::Ping | Self::HandshakeDone => w.varint(self.frame_type().0),
            Self::Ack(frame) => frame.write(w),
            Self::ResetStream(frame) => frame.write(w),
            Self::StopSending(frame) => frame.write(w),
            Self::Crypto(frame) => frame.write(w),
            Self::NewToken(frame) => frame.write(w),
            Self::Stream(frame) => frame.write(w),
            Self::MaxData(frame) => frame.write(w),
            Self::MaxStreamData(frame) => frame.write(w),
            Self::MaxStreams(frame) => frame.write(w),
            Self::DataBlocked(frame) => frame.write(w),
            Self::StreamDataBlocked(frame) => frame.write(w),
            Self::StreamsBlocked(frame) => frame.write(w),
            Self::NewConnectionId(frame) => frame.write(w),
            Self::RetireConnectionId(frame) => frame.write(w),
            Self::PathChallenge(frame) => path::write(w, FrameType::PATH_CHALLENGE, &frame.data),
            Self::PathResponse(frame) => path::write(w, FrameType::PATH_RESPONSE, &frame.data),
            Self::ConnectionClose(frame) => frame.write(w),
            Self::ApplicationClose(frame) => frame.write(w),
            Self::Datagram(frame) => frame.write(w),
        }
    }
}

/// A payload that breaks the rules. The packet was authentic, so the connection closes with this.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameError {
    /// With which code the connection closes.
    pub code: TransportErrorCode,
    /// The type of the frame at fault; 0 if it could not be read (RFC 9000 §19.19).
    pub frame_type: u64,
    /// What is wrong.
    pub reason: &'static str,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} in {} (type {:#x}): {}",
            self.code,
            FrameType(self.frame_type).name(),
            self.frame_type,
            self.reason
        )
    }
}

impl core::error::Error for FrameError {}

/// A [`FrameError`] before it is known in which frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    code: TransportErrorCode,
    reason: &'static str,
}

impl Fault {
    const fn encoding(reason: &'static str) -> Self {
        Self { code: TransportErrorCode::FRAME_ENCODING_ERROR, reason }
    }
}

impl From<UnexpectedEnd> for Fault {
    fn from(_: UnexpectedEnd) -> Self {
        Self::encoding("the payload ends within the frame")
    }
}
