//! Path validation (RFC 9000 §19.17, §19.18).

use super::FrameType;
use crate::cursor::{BufferFull, Writer};

/// Bytes of either frame: the type and eight bytes of data.
pub(super) const ENCODED_SIZE: usize = 1 + 8;

/// Asks whoever is at the other end of a path to answer (RFC 9000 §19.17).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PathChallenge {
    /// Unpredictable.
    pub data: [u8; 8],
}

/// The answer to a [`PathChallenge`] (RFC 9000 §19.18).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PathResponse {
    /// The data of the challenge.
    pub data: [u8; 8],
}

pub(super) fn write(w: &mut Writer<'_>, frame_type: FrameType, data: &[u8; 8]) -> Result<(), BufferFull> {
    w.varint(frame_type.0)?;
    w.bytes(data)
}
