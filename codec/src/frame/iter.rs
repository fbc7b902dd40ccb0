//! An opened payload, frame by frame.

use super::{
    Ack, ApplicationClose, ConnectionClose, Crypto, DataBlocked, Datagram, Fault, Frame, FrameError, FrameType,
    MaxData, MaxStreamData, MaxStreams, NewConnectionId, NewToken, PathChallenge, PathResponse, ResetStream,
    RetireConnectionId, StopSending, Stream, StreamDataBlocked, StreamsBlocked,
};
use crate::cursor::Reader;
use crate::error_code::TransportErrorCode;
use crate::ids::Direction;
use crate::varint::VarInt;

/// The frames of a payload; see [`iter()`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    reader: Reader<'a>,
    frame_type: FrameType,
}

/// Reads the frames of an opened packet's payload. Ends after the first error.
///
/// An empty payload yields nothing; the caller closes with PROTOCOL_VIOLATION (RFC 9000 §12.4).
#[inline]
pub const fn iter(payload: &[u8]) -> Iter<'_> {
    Iter { reader: Reader::new(payload), frame_type: FrameType::PADDING }
}

impl<'a> Iter<'a> {
    /// The type of the frame that was yielded last, as it was sent.
    #[inline]
    pub const fn frame_type(&self) -> FrameType {
        self.frame_type
    }

    /// How many bytes of the payload were read.
    #[inline]
    pub const fn position(&self) -> usize {
        self.reader.position()
    }

    #[inline]
    fn read(&mut self) -> Result<Frame<'a>, Fault> {
        let kind = self.read_type()?;
        self.frame_type = FrameType(kind);
        let reader = &mut self.reader;
        Ok(match kind {
            0x00 => Frame::Padding { length: skip_padding(reader).saturating_add(1) },
            0x01 => Frame::Ping,
            0x02 | 0x03 => Frame::Ack(Ack::read(reader, kind & 1 != 0)?),
            0x04 => Frame::ResetStream(ResetStream::read(reader)?),
            0x05 => Frame::StopSending(StopSending::read(reader)?),
            0x06 => Frame::Crypto(Crypto::read(reader)?),
            0x07 => Frame::NewToken(NewToken::read(reader)?),
            0x08..=0x0f => Frame::Stream(Stream::read(reader, kind)?),
            0x10 => Frame::MaxData(MaxData::read(reader)?),
            0x11 => Frame::MaxStreamData(MaxStreamData::read(reader)?),
            0x12 => Frame::MaxStreams(MaxStreams::read(reader, Direction::Bidirectional)?),
            0x13 => Frame::MaxStreams(MaxStreams::read(reader, Direction::Unidirectional)?),
            0x14 => Frame::DataBlocked(DataBlocked::read(reader)?),
            0x15 => Frame::StreamDataBlocked(StreamDataBlocked::read(reader)?),
            0x16 => Frame::StreamsBlocked(StreamsBlocked::read(reader, Direction::Bidirectional)?),
            0x17 => Frame::StreamsBlocked(StreamsBlocked::read(reader, Direction::Unidirectional)?),
            0x18 => Frame::NewConnectionId(NewConnectionId::read(reader)?),
            0x19 => Frame::RetireConnectionId(RetireConnectionId::read(reader)?),
            0x1a => Frame::PathChallenge(PathChallenge { data: reader.array()? }),
            0x1b => Frame::PathResponse(PathResponse { data: reader.array()? }),
            0x1c => Frame::ConnectionClose(ConnectionClose::read(reader)?),
            0x1d => Frame::ApplicationClose(ApplicationClose::read(reader)?),
            0x1e => Frame::HandshakeDone,
            0x30 => Frame::Datagram(Datagram { data: reader.rest() }),
            0x31 => Frame::Datagram(Datagram { data: reader.prefixed()? }),
            //= https://www.rfc-editor.org/rfc/rfc9000#section-12.4
            //# An endpoint MUST treat the receipt of a frame of unknown type as a connection
            //# error of type FRAME_ENCODING_ERROR.
            _ => return Err(Fault::encoding("unknown frame type")),
        })
    }

    /// The type, which must be in its shortest encoding.
    #[inline]
    fn read_type(&mut self) -> Result<u64, Fault> {
        let before = self.reader.position();
        let kind = self.reader.varint().map_err(|_| Fault::encoding("the payload ends within a frame type"))?;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-12.4
        //# An endpoint
        //# MAY treat the receipt of a frame type that uses a longer encoding than
        //# necessary as a connection error of type PROTOCOL_VIOLATION.
        if self.reader.position() - before != VarInt::size_of(kind) {
            self.frame_type = FrameType(kind);
            return Err(Fault {
                code: TransportErrorCode::PROTOCOL_VIOLATION,
                reason: "the frame type is not in its shortest encoding",
            });
        }
        Ok(kind)
    }
}

/// Reads zeros until something else comes, and returns how many: datagrams are mostly padding in a handshake.
fn skip_padding(reader: &mut Reader<'_>) -> usize {
    let rest = reader.as_slice();
    let (chunks, _) = rest.as_chunks::<16>();
    let whole = chunks.iter().take_while(|chunk| u128::from_ne_bytes(**chunk) == 0).count().saturating_mul(16);
    let tail = rest.get(whole..).unwrap_or_default().iter().take_while(|byte| **byte == 0).count();
    let length = whole.saturating_add(tail);
    // `length` was counted in `rest`, so these bytes are there.
    reader.bytes(length).map_or(0, <[u8]>::len)
}

impl<'a> Iterator for Iter<'a> {
    type Item = Result<Frame<'a>, FrameError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        // Until the type is read it is unknown, which is 0 in a CONNECTION_CLOSE frame.
        self.frame_type = FrameType::PADDING;
        // A type that was read is at least one byte, an error reads the rest: each step makes progress.
        Some(self.read().map_err(|fault| {
            self.reader.rest();
            FrameError { code: fault.code, frame_type: self.frame_type.0, reason: fault.reason }
        }))
    }
}

impl core::iter::FusedIterator for Iter<'_> {}
