//! Frames that end a stream, and the one that gives a token (RFC 9000 §19.4, §19.5, §19.7).

use super::{Fault, FrameType};
use crate::cursor::{BufferFull, Reader, Writer};
use crate::ids::StreamId;
use crate::varint::VarInt;

/// The sender gives up its half of a stream (RFC 9000 §19.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ResetStream {
    /// Which stream.
    pub id: StreamId,
    /// Why, in the application's words.
    pub code: u64,
    /// How many bytes of the stream count for flow control.
    pub final_size: u64,
}

impl ResetStream {
    #[inline]
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(Self { id: StreamId::from_u64(reader.varint()?), code: reader.varint()?, final_size: reader.varint()? })
    }

    pub(super) const fn encoded_size(&self) -> usize {
        1 + VarInt::size_of(self.id.as_u64()) + VarInt::size_of(self.code) + VarInt::size_of(self.final_size)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        w.varint(FrameType::RESET_STREAM.0)?;
        w.varint(self.id.as_u64())?;
        w.varint(self.code)?;
        w.varint(self.final_size)
    }
}

/// The sender will not read the rest of a stream (RFC 9000 §19.5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StopSending {
    /// Which stream.
    pub id: StreamId,
    /// Why, in the application's words.
    pub code: u64,
}

impl StopSending {
    #[inline]
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(Self { id: StreamId::from_u64(reader.varint()?), code: reader.varint()? })
    }

    pub(super) const fn encoded_size(&self) -> usize {
        1 + VarInt::size_of(self.id.as_u64()) + VarInt::size_of(self.code)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        w.varint(FrameType::STOP_SENDING.0)?;
        w.varint(self.id.as_u64())?;
        w.varint(self.code)
    }
}

/// A token for the client's next connection (RFC 9000 §19.7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NewToken<'a> {
    /// Opaque, and not empty.
    pub token: &'a [u8],
}

impl<'a> NewToken<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let token = reader.prefixed()?;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.7
        //# A client MUST treat receipt of a NEW_TOKEN frame with
        //# an empty Token field as a connection error of type FRAME_ENCODING_ERROR.
        if token.is_empty() {
            return Err(Fault::encoding("the token is empty"));
        }
        Ok(Self { token })
    }

    pub(super) const fn encoded_size(&self) -> usize {
        1 + VarInt::size_of(self.token.len() as u64) + self.token.len()
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        w.varint(FrameType::NEW_TOKEN.0)?;
        w.varint(self.token.len() as u64)?;
        w.bytes(self.token)
    }
}
