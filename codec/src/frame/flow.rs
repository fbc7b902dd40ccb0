//! The limits of flow control, and the complaints about them (RFC 9000 §19.9 to §19.14).

use super::{Fault, FrameType};
use crate::cursor::{BufferFull, Reader, Writer};
use crate::ids::{Direction, StreamId};
use crate::varint::VarInt;

/// The most streams of one kind that a connection can have: more would not have a number (RFC 9000 §4.6).
pub const MAX_STREAM_COUNT: u64 = 1 << 60;

/// How many bytes the receiver may send on all streams together (RFC 9000 §19.9).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MaxData {
    /// The limit in bytes, counted from the start of the connection.
    pub maximum: u64,
}

impl MaxData {
    #[inline]
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(Self { maximum: reader.varint()? })
    }

    pub(super) const fn encoded_size(&self) -> usize {
        1 + VarInt::size_of(self.maximum)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        w.varint(FrameType::MAX_DATA.0)?;
        w.varint(self.maximum)
    }
}

/// How many bytes the receiver may send on one stream (RFC 9000 §19.10).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MaxStreamData {
    /// Which stream.
    pub id: StreamId,
    /// The limit in bytes, counted from the start of the stream.
    pub maximum: u64,
}

impl MaxStreamData {
    #[inline]
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(Self { id: StreamId::from_u64(reader.varint()?), maximum: reader.varint()? })
    }

    pub(super) const fn encoded_size(&self) -> usize {
        1 + VarInt::size_of(self.id.as_u64()) + VarInt::size_of(self.maximum)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        w.varint(FrameType::MAX_STREAM_DATA.0)?;
        w.varint(self.id.as_u64())?;
        w.varint(self.maximum)
    }
}

/// How many streams the receiver may open (RFC 9000 §19.11).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MaxStreams {
    /// Of which kind of streams.
    pub direction: Direction,
    /// The limit, counted from the start of the connection; at most 2^60.
    pub maximum: u64,
}

impl MaxStreams {
    #[inline]
    pub(super) fn read(reader: &mut Reader<'_>, direction: Direction) -> Result<Self, Fault> {
        let maximum = reader.varint()?;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.11
        //# Receipt of a frame that permits opening of a stream larger
        //# than this limit MUST be treated as a connection error of type
        //# FRAME_ENCODING_ERROR.
        if maximum > MAX_STREAM_COUNT {
            return Err(Fault::encoding("more than 2^60 streams are permitted"));
        }
        Ok(Self { direction, maximum })
    }

    pub(super) const fn encoded_size(&self) -> usize {
        1 + VarInt::size_of(self.maximum)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        w.varint(max_streams_type(self.direction).0)?;
        w.varint(self.maximum)
    }
}

pub(super) const fn max_streams_type(direction: Direction) -> FrameType {
    match direction {
        Direction::Bidirectional => FrameType::MAX_STREAMS_BIDI,
        Direction::Unidirectional => FrameType::MAX_STREAMS_UNI,
    }
}

/// The sender has more to send than MAX_DATA permits (RFC 9000 §19.12).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DataBlocked {
    /// The limit that was reached.
    pub limit: u64,
}

impl DataBlocked {
    #[inline]
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(Self { limit: reader.varint()? })
    }

    pub(super) const fn encoded_size(&self) -> usize {
        1 + VarInt::size_of(self.limit)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        w.varint(FrameType::DATA_BLOCKED.0)?;
        w.varint(self.limit)
    }
}

/// The sender has more to send than MAX_STREAM_DATA permits (RFC 9000 §19.13).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StreamDataBlocked {
    /// Which stream.
    pub id: StreamId,
    /// The limit that was reached.
    pub limit: u64,
}

impl StreamDataBlocked {
    #[inline]
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(Self { id: StreamId::from_u64(reader.varint()?), limit: reader.varint()? })
    }

    pub(super) const fn encoded_size(&self) -> usize {
        1 + VarInt::size_of(self.id.as_u64()) + VarInt::size_of(self.limit)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        w.varint(FrameType::STREAM_DATA_BLOCKED.0)?;
        w.varint(self.id.as_u64())?;
        w.varint(self.limit)
    }
}

/// The sender would open more streams than MAX_STREAMS permits (RFC 9000 §19.14).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StreamsBlocked {
    /// Of which kind of streams.
    pub direction: Direction,
    /// The limit that was reached; at most 2^60.
    pub limit: u64,
}

impl StreamsBlocked {
    #[inline]
    pub(super) fn read(reader: &mut Reader<'_>, direction: Direction) -> Result<Self, Fault> {
        let limit = reader.varint()?;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.14
        //# Receipt of
        //# a frame that encodes a larger stream ID MUST be treated as a connection error
        //# of type STREAM_LIMIT_ERROR or FRAME_ENCODING_ERROR.
        if limit > MAX_STREAM_COUNT {
            return Err(Fault::encoding("more than 2^60 streams are named as the limit"));
        }
        Ok(Self { direction, limit })
    }

    pub(super) const fn encoded_size(&self) -> usize {
        1 + VarInt::size_of(self.limit)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        w.varint(streams_blocked_type(self.direction).0)?;
        w.varint(self.limit)
    }
}

pub(super) const fn streams_blocked_type(direction: Direction) -> FrameType {
    match direction {
        Direction::Bidirectional => FrameType::STREAMS_BLOCKED_BIDI,
        Direction::Unidirectional => FrameType::STREAMS_BLOCKED_UNI,
    }
}
