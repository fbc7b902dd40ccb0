//! CONNECTION_CLOSE in its two forms (RFC 9000 §19.19).

use super::{Fault, FrameType};
use crate::cursor::{BufferFull, Reader, Writer};
use crate::error_code::TransportErrorCode;
use crate::varint::VarInt;

/// The connection is closed by QUIC (type 0x1c).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConnectionClose<'a> {
    /// Why.
    pub code: TransportErrorCode,
    /// The type of the frame at fault; 0 if none is known to be.
    pub frame_type: u64,
    /// Why, in words. Should be UTF-8, but the peer decides.
    pub reason: &'a [u8],
}

impl<'a> ConnectionClose<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        Ok(Self {
            code: TransportErrorCode(reader.varint()?),
            frame_type: reader.varint()?,
            reason: reader.prefixed()?,
        })
    }

    pub(super) const fn encoded_size(&self) -> usize {
        1 + VarInt::size_of(self.code.0) + VarInt::size_of(self.frame_type) + prefixed_size(self.reason)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        w.varint(FrameType::CONNECTION_CLOSE.0)?;
        w.varint(self.code.0)?;
        w.varint(self.frame_type)?;
        write_prefixed(w, self.reason)
    }
}

/// The connection is closed by the application (type 0x1d).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ApplicationClose<'a> {
    /// Why, in the application's numbers.
    pub code: u64,
    /// Why, in words. Should be UTF-8, but the peer decides.
    pub reason: &'a [u8],
}

impl<'a> ApplicationClose<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        Ok(Self { code: reader.varint()?, reason: reader.prefixed()? })
    }

    pub(super) const fn encoded_size(&self) -> usize {
        1 + VarInt::size_of(self.code) + prefixed_size(self.reason)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        w.varint(FrameType::APPLICATION_CLOSE.0)?;
        w.varint(self.code)?;
        write_prefixed(w, self.reason)
    }
}

const fn prefixed_size(bytes: &[u8]) -> usize {
    VarInt::size_of(bytes.len() as u64) + bytes.len()
}

fn write_prefixed(w: &mut Writer<'_>, bytes: &[u8]) -> Result<(), BufferFull> {
    w.varint(bytes.len() as u64)?;
    w.bytes(bytes)
}
