//! Connection ids given and taken back (RFC 9000 §19.15, §19.16).

use super::{Fault, FrameType};
use crate::cursor::{BufferFull, Reader, Writer};
use crate::ids::{ConnectionId, ResetToken};
use crate::varint::VarInt;

/// One more id under which the receiver may send (RFC 9000 §19.15).
#[derive(Clone, Copy, Debug)]
pub struct NewConnectionId {
    /// The number of the id.
    pub sequence: u64,
    /// Ids with smaller numbers are no longer to be used; at most `sequence`.
    pub retire_prior_to: u64,
    /// The id; 1 to 20 bytes.
    pub id: ConnectionId,
    /// What a stateless reset for this id ends in.
    pub reset_token: ResetToken,
}

impl NewConnectionId {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        let sequence = reader.varint()?;
        let retire_prior_to = reader.varint()?;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.15
        //# Receiving a value in the Retire
        //# Prior To field that is greater than that in the Sequence Number field MUST be
        //# treated as a connection error of type FRAME_ENCODING_ERROR.
        if retire_prior_to > sequence {
            return Err(Fault::encoding("the id retires itself"));
        }
        let length = reader.u8()?;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.15
        //# Values
        //# less than 1 and greater than 20 are invalid and MUST be treated as a
        //# connection error of type FRAME_ENCODING_ERROR.
        if length == 0 || usize::from(length) > ConnectionId::MAX_LENGTH {
            return Err(Fault::encoding("a connection id has 1 to 20 bytes"));
        }
        let id = ConnectionId::new(reader.bytes(usize::from(length))?);
        let id = id.ok_or(Fault::encoding("a connection id has 1 to 20 bytes"))?;
        Ok(Self { sequence, retire_prior_to, id, reset_token: ResetToken(reader.array()?) })
    }

    pub(super) const fn encoded_size(&self) -> usize {
        let numbers = VarInt::size_of(self.sequence) + VarInt::size_of(self.retire_prior_to);
        1 + numbers + 1 + self.id.len() + ResetToken::LENGTH
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        w.varint(FrameType::NEW_CONNECTION_ID.0)?;
        w.varint(self.sequence)?;
        w.varint(self.retire_prior_to)?;
        // At most 20.
        w.u8(self.id.len() as u8)?;
        w.bytes(self.id.as_bytes())?;
        w.bytes(&self.reset_token.0)
    }
}

/// The sender will not use an id any more (RFC 9000 §19.16).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetireConnectionId {
    /// The number of the id.
    pub sequence: u64,
}

impl RetireConnectionId {
    #[inline]
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(Self { sequence: reader.varint()? })
    }

    pub(super) const fn encoded_size(&self) -> usize {
        1 + VarInt::size_of(self.sequence)
    }

    pub(super) fn write(&self, w: &mut Writer<'_>) -> Result<(), BufferFull> {
        w.varint(FrameType::RETIRE_CONNECTION_ID.0)?;
        w.varint(self.sequence)
    }
}
