//! The capsule protocol (RFC 9297 §3): typed pieces on the data stream of an extended CONNECT.
//!
//! A [`CapsuleReader`] takes the content of DATA frames in pieces of any length. Capsules of unknown types are skipped as
//! they come; those that we know are collected up to a bound.

use bytes::{Buf, Bytes, BytesMut};
use codec::cursor::Reader;

use crate::error::StreamError;
use crate::frame::put_varint;
use crate::limits;

#[cfg(test)]
mod tests;

/// The type of a capsule, as it was sent: any variable-length integer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CapsuleType(pub u64);

impl CapsuleType {
    /// An HTTP datagram (RFC 9297 §3.5).
    pub const DATAGRAM: Self = Self(0x00);
}

/// A capsule of a type that its reader knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Capsule {
    /// Its type.
    pub capsule_type: CapsuleType,
    /// Its value; a slice of what was given, if it came at once.
    pub value: Bytes,
}

/// Appends what stands before the value of a capsule.
pub fn put_capsule_header(out: &mut BytesMut, capsule_type: CapsuleType, length: u64) {
    put_varint(out, capsule_type.0);
    put_varint(out, length);
}

/// Two variable-length integers.
const HEADER: usize = 16;

/// Reads capsules. Holds at most one value, of at most [`limits::CAPSULE`] bytes.
#[derive(Debug)]
pub struct CapsuleReader {
    /// Besides DATAGRAM.
    known: &'static [CapsuleType],
    state: State,
    too_large: u64,
}

#[derive(Debug)]
enum State {
    /// In the type and the length.
    Header { bytes: [u8; HEADER], length: u8 },
    /// In a value that is dropped.
    Skip { remaining: u64 },
    /// In a value that is kept until it is complete.
    Collect { capsule_type: CapsuleType, remaining: usize, bytes: BytesMut },
}

impl State {
    const BETWEEN: Self = Self::Header { bytes: [0; HEADER], length: 0 };
}

impl Default for CapsuleReader {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl CapsuleReader {
    /// A reader at the beginning of a capsule, which knows DATAGRAM and these types.
    pub const fn new(known: &'static [CapsuleType]) -> Self {
        Self { known, state: State::BETWEEN, too_large: 0 }
    }

    /// The next capsule in `bytes`, which are those that follow the earlier ones; what was read is taken off their
    /// front. `None`: all were read. To be called until then, also when `bytes` are empty.
    pub fn read(&mut self, bytes: &mut Bytes) -> Option<Capsule> {
        loop {
            match &mut self.state {
                State::Header { .. } => {
                    let (capsule_type, length) = self.read_header(bytes)?;
                    self.state = self.begin(CapsuleType(capsule_type), length);
                }
                State::Skip { remaining: 0 } => self.state = State::BETWEEN,
                State::Skip { remaining } => {
                    if bytes.is_empty() {
                        return None;
                    }
                    let length = usize::try_from(*remaining).unwrap_or(usize::MAX).min(bytes.len());
                    *remaining = remaining.saturating_sub(length as u64);
                    bytes.advance(length);
                }
                State::Collect { capsule_type, remaining, bytes: collected } => {
                    let value = collect(bytes, remaining, collected)?;
                    let capsule = Capsule { capsule_type: *capsule_type, value };
                    self.state = State::BETWEEN;
                    return Some(capsule);
                }
            }
        }
    }

    /// The data stream ended cleanly.
    pub fn finish(&self) -> Result<(), StreamError> {
        if matches!(self.state, State::Header { length: 0, .. } | State::Skip { remaining: 0 }) {
            return Ok(());
        }
        //= https://www.rfc-editor.org/rfc/rfc9297#section-3.3
        //# If the receive side of a stream carrying capsules is terminated cleanly (for
        //# example, in HTTP/3 this is defined as receiving a QUIC STREAM frame with the FIN
        //# bit set) and the last capsule on the stream was truncated, this MUST be treated
        //# as if it were a malformed or incomplete message.
        Err(StreamError::malformed("the stream ends within a capsule"))
    }

    /// How many capsules of known types were skipped because they were too large.
    pub const fn too_large(&self) -> u64 {
        self.too_large
    }

    fn begin(&mut self, capsule_type: CapsuleType, length: u64) -> State {
        //= https://www.rfc-editor.org/rfc/rfc9297#section-3.2
        //# Endpoints which receive a Capsule with an unknown Capsule Type MUST silently
        //# drop that Capsule and skip over it to parse the next Capsule.
        if capsule_type != CapsuleType::DATAGRAM && !self.known.contains(&capsule_type) {
            return State::Skip { remaining: length };
        }
        //= https://www.rfc-editor.org/rfc/rfc9297#section-3.5
        //# if an incoming
        //# DATAGRAM capsule has a length that is known to be so large as to not be usable,
        //# the implementation SHOULD discard the capsule without buffering its contents
        //# into memory.
        match usize::try_from(length) {
            Ok(remaining) if length <= limits::CAPSULE => {
                State::Collect { capsule_type, remaining, bytes: BytesMut::new() }
            }
            _ => {
                self.too_large += 1;
                State::Skip { remaining: length }
            }
        }
    }

    /// Type and length. What is not enough is kept.
    fn read_header(&mut self, bytes: &mut Bytes) -> Option<(u64, u64)> {
        let State::Header { bytes: kept, length } = &mut self.state else { return None };
        while let Some(place) = kept.get_mut(usize::from(*length)).filter(|_| bytes.has_remaining()) {
            *place = bytes.get_u8();
            *length += 1;
            let mut reader = Reader::new(kept.get(..usize::from(*length)).unwrap_or_default());
            if let (Ok(capsule_type), Ok(value)) = (reader.varint(), reader.varint()) {
                return Some((capsule_type, value));
            }
        }
        None
    }
}

/// The whole value, if it is there now.
fn collect(bytes: &mut Bytes, remaining: &mut usize, collected: &mut BytesMut) -> Option<Bytes> {
    if collected.is_empty() && bytes.len() >= *remaining {
        return Some(bytes.split_to(*remaining));
    }
    // Room is made for what came, not for what was said to come.
    let piece = bytes.split_to(bytes.len().min(*remaining));
    *remaining -= piece.len();
    collected.extend_from_slice(&piece);
    (*remaining == 0).then(|| std::mem::take(collected).freeze())
}
