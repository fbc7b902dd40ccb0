//! [`FrameReader`]: the bytes of a stream, in pieces of any length, to frames.

use bytes::{Buf, Bytes, BytesMut};
use codec::cursor::Reader;

use super::{Frame, FrameKind, FrameType};
use crate::error::{Code, ConnectionError};
use crate::limits;

/// Two variable-length integers.
const HEADER: usize = 16;

/// What a reader found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Item {
    /// A frame begins. Whether it is permitted here is to be judged now: no byte of its payload was looked at.
    Begin {
        /// Its type.
        frame_type: FrameType,
        /// How many bytes its payload has, as the peer says.
        length: u64,
    },
    /// The next bytes of a DATA frame; never none.
    Data(Bytes),
    /// The end of a frame whose payload was collected.
    Frame(Frame),
}

/// Reads frames. Holds at most the payload of one that is not complete.
#[derive(Debug)]
pub struct FrameReader {
    state: State,
}

#[derive(Debug)]
enum State {
    /// In the type and the length.
    Header { bytes: [u8; HEADER], length: u8 },
    /// Behind them.
    Begun { kind: FrameKind, length: u64 },
    /// In the payload of DATA.
    Data { remaining: u64 },
    /// In a payload that is dropped.
    Skip { remaining: u64 },
    /// In a payload that is kept until it is complete.
    Collect { kind: FrameKind, remaining: usize, bytes: BytesMut },
}

impl State {
    const BETWEEN: Self = Self::Header { bytes: [0; HEADER], length: 0 };
}

impl Default for FrameReader {
    fn default() -> Self {
        Self::new()
    }
}

impl FrameReader {
    /// A reader at the beginning of a frame.
    pub const fn new() -> Self {
        Self { state: State::BETWEEN }
    }

    /// Whether the bytes so far end with a frame's end.
    pub const fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Header { length: 0, .. })
    }

    /// Whether bytes of a payload are kept here.
    pub const fn is_collecting(&self) -> bool {
        matches!(self.state, State::Collect { .. })
    }

    /// How many bytes it has made room for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        if let State::Collect { bytes, .. } = &self.state { bytes.capacity() } else { 0 }
    }

    /// The stream ended.
    pub fn finish(&self) -> Result<(), ConnectionError> {
        if self.is_between_frames() {
            return Ok(());
        }
        //= https://www.rfc-editor.org/rfc/rfc9114#section-7.1
        //# When a stream terminates cleanly, if the last frame on the stream was truncated,
        //# this MUST be treated as a connection error of type H3_FRAME_ERROR.
        Err(ConnectionError::new(Code::H3_FRAME_ERROR, "the stream ends within a frame"))
    }

    /// Drops the payload of the frame that was announced last, instead of reading it.
    pub fn skip(&mut self) {
        if let State::Begun { length, .. } = self.state {
            self.state = State::Skip { remaining: length };
        }
    }

    /// The next thing in `bytes`, which are those that follow the earlier ones; what was read is taken off their front.
    /// `None`: all were read. To be called until then, also when `bytes` are empty.
    pub fn read(&mut self, bytes: &mut Bytes) -> Result<Option<Item>, ConnectionError> {
        loop {
            match &mut self.state {
                State::Header { .. } => {
                    let Some((frame_type, length)) = self.read_header(bytes) else { return Ok(None) };
                    let frame_type = FrameType(frame_type);
                    self.state = State::Begun { kind: frame_type.kind(), length };
                    return Ok(Some(Item::Begin { frame_type, length }));
                }
                State::Begun { kind, length } => self.state = begin(*kind, *length)?,
                State::Data { remaining: 0 } | State::Skip { remaining: 0 } => self.state = State::BETWEEN,
                State::Data { remaining } => {
                    let data = take(bytes, remaining);
                    return Ok(if data.is_empty() { None } else { Some(Item::Data(data)) });
                }
                State::Skip { remaining } => {
                    if take(bytes, remaining).is_empty() {
                        return Ok(None);
                    }
                }
                State::Collect { kind, remaining, bytes: collected } => {
                    let Some(payload) = collect(bytes, remaining, collected) else { return Ok(None) };
                    let frame = parse(*kind, payload)?;
                    self.state = State::BETWEEN;
                    return Ok(frame.map(Item::Frame));
                }
            }
        }
    }

    /// Type and length. What is not enough is kept.
    fn read_header(&mut self, bytes: &mut Bytes) -> Option<(u64, u64)> {
        let State::Header { bytes: kept, length } = &mut self.state else { return None };
        if *length == 0 {
            // Nearly always it is all there.
            let mut reader = Reader::new(bytes);
            if let (Ok(frame_type), Ok(payload)) = (reader.varint(), reader.varint()) {
                bytes.advance(reader.position());
                return Some((frame_type, payload));
            }
        }
        while let Some(place) = kept.get_mut(usize::from(*length)).filter(|_| bytes.has_remaining()) {
            *place = bytes.get_u8();
            *length += 1;
            let mut reader = Reader::new(kept.get(..usize::from(*length)).unwrap_or_default());
            if let (Ok(frame_type), Ok(payload)) = (reader.varint(), reader.varint()) {
                return Some((frame_type, payload));
            }
        }
        None
    }
}

/// How a payload of this length is to be read. Here, before anything is kept, lengths are judged.
fn begin(kind: FrameKind, length: u64) -> Result<State, ConnectionError> {
    let collected = match kind {
        FrameKind::Data => return Ok(State::Data { remaining: length }),
        // Who reads does not permit these, or ignores them.
        FrameKind::PushPromise | FrameKind::Http2 | FrameKind::Reserved | FrameKind::Unknown => {
            return Ok(State::Skip { remaining: length });
        }
        //= https://www.rfc-editor.org/rfc/rfc9114#section-10.8
        //# An implementation MUST
        //# ensure that the length of a frame exactly matches the length of the fields it
        //# contains.
        FrameKind::CancelPush | FrameKind::Goaway | FrameKind::MaxPushId
            if !(1..=limits::INTEGER_FRAME).contains(&length) =>
        {
            return Err(misfit());
        }
        FrameKind::Settings if length > limits::SETTINGS_FRAME => {
            return Err(ConnectionError::new(Code::H3_EXCESSIVE_LOAD, "SETTINGS is too long"));
        }
        _ => usize::try_from(length).ok(),
    };
    match collected {
        Some(remaining) => Ok(State::Collect { kind, remaining, bytes: BytesMut::new() }),
        None => Ok(State::Skip { remaining: length }),
    }
}

/// Up to `remaining` bytes off the front.
fn take(bytes: &mut Bytes, remaining: &mut u64) -> Bytes {
    let length = usize::try_from(*remaining).unwrap_or(usize::MAX).min(bytes.len());
    *remaining = remaining.saturating_sub(length as u64);
    bytes.split_to(length)
}

/// The whole payload, if it is there now; a slice of `bytes` if it came at once.
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

fn parse(kind: FrameKind, payload: Bytes) -> Result<Option<Frame>, ConnectionError> {
    Ok(Some(match kind {
        FrameKind::Headers => Frame::Headers(payload),
        FrameKind::Settings => Frame::Settings(payload),
        FrameKind::CancelPush => Frame::CancelPush(integer(&payload)?),
        FrameKind::Goaway => Frame::Goaway(integer(&payload)?),
        FrameKind::MaxPushId => Frame::MaxPushId(integer(&payload)?),
        FrameKind::PriorityUpdate | FrameKind::PriorityUpdatePush => {
            let mut reader = Reader::new(&payload);
            let element = reader.varint().map_err(|_| misfit())?;
            let value = payload.slice(reader.position()..);
            Frame::PriorityUpdate { push: kind == FrameKind::PriorityUpdatePush, element, value }
        }
        FrameKind::Data | FrameKind::PushPromise | FrameKind::Http2 | FrameKind::Reserved | FrameKind::Unknown => {
            return Ok(None);
        }
    }))
}

/// The one integer that is the whole payload.
fn integer(payload: &[u8]) -> Result<u64, ConnectionError> {
    let mut reader = Reader::new(payload);
    match reader.varint() {
        Ok(number) if reader.is_empty() => Ok(number),
        _ => Err(misfit()),
    }
}

fn misfit() -> ConnectionError {
    //= https://www.rfc-editor.org/rfc/rfc9114#section-7.1
    //# A frame payload that contains additional bytes after the
    //# identified fields or a frame payload that terminates before the end of the
    //# identified fields MUST be treated as a connection error of type
    //# H3_FRAME_ERROR.
    ConnectionError::new(Code::H3_FRAME_ERROR, "the length of the frame does not fit its fields")
}
