//! What the transport says, and the peer's unidirectional streams (RFC 9114 §6.2).

use bytes::{Buf, Bytes};
use codec::cursor::Reader;
use codec::{Direction, Side, StreamId, Time};
use smallvec::SmallVec;

use super::{CONTROL, Connection, PUSH, QPACK_DECODER, QPACK_ENCODER};
use crate::error::{Code, ConnectionError};
use crate::frame::{FrameReader, Item};
use crate::output::Output;

/// The longest stream type.
const TYPE: usize = 8;

/// The peer's unidirectional streams.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// Those that are read. Each of the three that a peer may have at most once, and those whose type is not known yet:
    /// as many as the transport permits it to open.
    streams: SmallVec<[(StreamId, Kind); 3]>,
    /// The index of the next one.
    next: u64,
    /// The types that came.
    has_control: bool,
    has_encoder: bool,
    has_decoder: bool,
    pub(super) settings_came: bool,
}

#[derive(Debug)]
enum Kind {
    /// In its type.
    Typing {
        bytes: [u8; TYPE],
        length: u8,
    },
    /// Frames; with the bytes that a frame holds that is not complete.
    Control {
        reader: FrameReader,
        charged: u64,
    },
    Encoder,
    Decoder,
}

impl Incoming {
    fn position(&self, stream: StreamId) -> Option<usize> {
        self.streams.iter().position(|(id, _)| *id == stream)
    }

    fn kind(&mut self, stream: StreamId) -> Option<&mut Kind> {
        self.streams.iter_mut().find(|(id, _)| *id == stream).map(|(_, kind)| kind)
    }

    pub(super) fn held_bytes(&self) -> u64 {
        let held = |kind: &Kind| if let Kind::Control { charged, .. } = kind { *charged } else { 0 };
        self.streams.iter().map(|(_, kind)| held(kind)).sum()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    #[cfg(test)]
    pub(super) fn is_unknown(&self, stream: StreamId) -> bool {
        stream.index() >= self.next
    }
}

/// What the transport says.
impl Connection {
    /// The peer opened a stream. Optional: bytes of a stream open it, too.
    pub fn handle_stream_opened(&mut self, now: Time, stream: StreamId) {
        if self.closed {
            return;
        }
        self.now = now;
        let opened = match stream.direction() {
            Direction::Bidirectional => self.open_exchange(stream),
            Direction::Unidirectional => {
                self.open_incoming(stream);
                Ok(())
            }
        };
        self.close_on(opened);
    }

    /// How many request streams the peer may have opened in all, from the first of the connection on: what MAX_STREAMS
    /// says. Optional: a client that names a stream beyond it is told so.
    pub const fn handle_request_limit(&mut self, streams: u64) {
        self.request_limit = Some(streams);
    }

    /// The next bytes of a stream of the peer, or of a request stream, in order. `fin`: the stream ends after them.
    pub fn handle_data(&mut self, now: Time, stream: StreamId, data: Bytes, fin: bool) {
        self.handle_stream_opened(now, stream);
        if self.closed {
            return;
        }
        let read = match stream.direction() {
            Direction::Bidirectional => self.receive(stream, data, fin),
            Direction::Unidirectional => self.read_incoming(stream, data, fin),
        };
        self.close_on(read);
    }

    /// The peer abandoned its sending half (RESET_STREAM).
    pub fn handle_reset(&mut self, now: Time, stream: StreamId, code: u64) {
        self.handle_stream_opened(now, stream);
        if self.closed {
            return;
        }
        self.stats().on_error_received(Code(code));
        let result = match stream.direction() {
            Direction::Bidirectional => self.on_reset(stream, Code(code).meaning()),
            Direction::Unidirectional => self.end_incoming(stream),
        };
        self.close_on(result);
    }

    /// The peer does not want what we send (STOP_SENDING). The transport has answered with RESET_STREAM.
    pub fn handle_stop_sending(&mut self, now: Time, stream: StreamId, code: u64) {
        self.handle_stream_opened(now, stream);
        if self.closed {
            return;
        }
        self.stats().on_error_received(Code(code));
        let critical = [self.ours.control, self.ours.encoder, self.ours.decoder];
        let result = match stream.direction() {
            Direction::Bidirectional => self.on_stopped(stream, Code(code).meaning()),
            Direction::Unidirectional if critical.contains(&Some(stream)) => Err(closed_critical()),
            Direction::Unidirectional => Ok(()),
        };
        self.close_on(result);
    }

    /// The server rejected 0-RTT: what was remembered of it does not hold, and what was sent never was.
    pub fn handle_early_data_rejected(&mut self) {
        self.config.remembered = None;
    }

    /// The transport's connection is over. Nothing more comes of this one, and what waits to be polled stays.
    pub fn handle_closed(&mut self) {
        self.forget();
    }

    pub(super) fn close_on(&mut self, result: Result<(), ConnectionError>) {
        if let Err(error) = result {
            self.close_with(error);
        }
    }
}

/// The peer's unidirectional streams.
impl Connection {
    fn open_incoming(&mut self, stream: StreamId) {
        // One that we know or knew, or one of ours.
        if stream.initiator() == self.side || stream.index() < self.incoming.next {
            return;
        }
        self.incoming.next = stream.index().saturating_add(1);
        self.incoming.streams.push((stream, Kind::Typing { bytes: [0; TYPE], length: 0 }));
    }

    fn read_incoming(&mut self, stream: StreamId, mut data: Bytes, fin: bool) -> Result<(), ConnectionError> {
        let arrived = data.len() as u64;
        let Some(kind) = self.incoming.kind(stream) else { return Ok(()) };
        if let Kind::Typing { bytes, length } = kind {
            if let Some(number) = read_type(bytes, length, &mut data) {
                self.begin_incoming(stream, number, fin.then_some(arrived))?;
            } else {
                self.outbox.consumed(stream, arrived);
            }
            if self.incoming.kind(stream).is_none_or(|kind| matches!(kind, Kind::Typing { .. })) {
                //= https://www.rfc-editor.org/rfc/rfc9114#section-6.2
                //# A receiver MUST tolerate unidirectional streams being closed or reset prior to
                //# the reception of the unidirectional stream header.
                return if fin { self.end_incoming(stream) } else { Ok(()) };
            }
        }
        match self.incoming.kind(stream) {
            Some(Kind::Control { .. }) => self.read_control(stream, data, arrived)?,
            Some(Kind::Encoder) => {
                self.outbox.consumed(stream, arrived);
                self.decoder.receive(&data)?;
                self.resume();
            }
            Some(Kind::Decoder) => {
                self.outbox.consumed(stream, arrived);
                self.encoder.receive(&data)?;
            }
            Some(Kind::Typing { .. }) | None => {}
        }
        if fin && !self.closed { self.end_incoming(stream) } else { Ok(()) }
    }

    /// The type of a stream is known. `whole`: how many bytes came with it, if they are the last.
    fn begin_incoming(&mut self, stream: StreamId, number: u64, whole: Option<u64>) -> Result<(), ConnectionError> {
        let (seen, kind) = match number {
            CONTROL => (&mut self.incoming.has_control, Kind::Control { reader: FrameReader::new(), charged: 0 }),
            QPACK_ENCODER => (&mut self.incoming.has_encoder, Kind::Encoder),
            QPACK_DECODER => (&mut self.incoming.has_decoder, Kind::Decoder),
            PUSH => return Err(self.refuse_push()),
            _ => return self.refuse_unknown(stream, whole),
        };
        if std::mem::replace(seen, true) {
            //= https://www.rfc-editor.org/rfc/rfc9114#section-6.2.1
            //# Only one control
            //# stream per peer is permitted; receipt of a second stream claiming to be a
            //# control stream MUST be treated as a connection error of type
            //# H3_STREAM_CREATION_ERROR.
            //= https://www.rfc-editor.org/rfc/rfc9204#section-4.2
            //# Receipt
            //# of a second instance of either stream type MUST be treated as a connection error
            //# of type H3_STREAM_CREATION_ERROR.
            return Err(ConnectionError::new(Code::H3_STREAM_CREATION_ERROR, "a critical stream for the second time"));
        }
        if let Some(place) = self.incoming.kind(stream) {
            *place = kind;
        }
        Ok(())
    }

    fn refuse_push(&self) -> ConnectionError {
        match self.side {
            //= https://www.rfc-editor.org/rfc/rfc9114#section-4.6
            //# A client MUST
            //# treat receipt of a push stream as a connection error of type H3_ID_ERROR
            //# when no MAX_PUSH_ID frame has been sent or when the stream
            //# references a push ID that is greater than the maximum push ID.
            Side::Client => ConnectionError::new(Code::H3_ID_ERROR, "a push stream, and no push ID was permitted"),
            //= https://www.rfc-editor.org/rfc/rfc9114#section-6.2.2
            //# Only servers can push; if a server receives a client-initiated push stream, this
            //# MUST be treated as a connection error of type H3_STREAM_CREATION_ERROR.
            Side::Server => ConnectionError::new(Code::H3_STREAM_CREATION_ERROR, "a push stream from a client"),
        }
    }

    fn refuse_unknown(&mut self, stream: StreamId, whole: Option<u64>) -> Result<(), ConnectionError> {
        //= https://www.rfc-editor.org/rfc/rfc9114#section-6.2
        //# Recipients of unknown stream types MUST either abort reading of the
        //# stream or discard incoming data without further processing.  If reading is
        //# aborted, the recipient SHOULD use the H3_STREAM_CREATION_ERROR error code or a
        //# reserved error code ({{http-error-codes}}).
        self.forget_incoming(stream);
        if let Some(bytes) = whole {
            self.outbox.consumed(stream, bytes);
        } else {
            let code = Code::H3_STREAM_CREATION_ERROR;
            self.stats().on_error_sent(code);
            self.outbox.push(Output::Stop { stream, code });
        }
        self.on_glitch()
    }

    fn read_control(&mut self, stream: StreamId, mut data: Bytes, arrived: u64) -> Result<(), ConnectionError> {
        let typed = arrived.saturating_sub(data.len() as u64);
        if let Some(Kind::Control { charged, .. }) = self.incoming.kind(stream) {
            *charged += typed;
        }
        while let Some(Kind::Control { reader, charged }) = self.incoming.kind(stream) {
            let before = data.len();
            let item = reader.read(&mut data)?;
            *charged += (before - data.len()) as u64;
            match item {
                None => break,
                Some(Item::Begin { frame_type, length }) => {
                    if !self.on_control_begin(frame_type, length)?
                        && let Some(Kind::Control { reader, .. }) = self.incoming.kind(stream)
                    {
                        reader.skip();
                    }
                }
                Some(Item::Frame(frame)) => self.on_control_frame(frame)?,
                // Not permitted there, so it was refused when it began.
                Some(Item::Data(_)) => {}
            }
        }
        if let Some(Kind::Control { reader, charged }) = self.incoming.kind(stream)
            && !reader.is_collecting()
        {
            let bytes = std::mem::take(charged);
            self.outbox.consumed(stream, bytes);
        }
        Ok(())
    }

    /// A unidirectional stream of the peer ended, cleanly or not.
    fn end_incoming(&mut self, stream: StreamId) -> Result<(), ConnectionError> {
        //= https://www.rfc-editor.org/rfc/rfc9114#section-6.2.1
        //# If either
        //# control stream is closed at any point, this MUST be treated as a connection
        //# error of type H3_CLOSED_CRITICAL_STREAM.
        //= https://www.rfc-editor.org/rfc/rfc9204#section-4.2
        //# Closure of either
        //# unidirectional stream type MUST be treated as a connection error of type
        //# H3_CLOSED_CRITICAL_STREAM.
        if self.incoming.kind(stream).is_some_and(|kind| !matches!(kind, Kind::Typing { .. })) {
            return Err(closed_critical());
        }
        self.forget_incoming(stream);
        Ok(())
    }

    fn forget_incoming(&mut self, stream: StreamId) {
        if let Some(position) = self.incoming.position(stream) {
            self.incoming.streams.swap_remove(position);
        }
    }
}

fn closed_critical() -> ConnectionError {
    ConnectionError::new(Code::H3_CLOSED_CRITICAL_STREAM, "a stream that the connection needs was closed")
}

/// The type of a stream, once all of its bytes came.
fn read_type(bytes: &mut [u8; TYPE], length: &mut u8, data: &mut Bytes) -> Option<u64> {
    while let Some(place) = bytes.get_mut(usize::from(*length)).filter(|_| data.has_remaining()) {
        *place = data.get_u8();
        *length += 1;
        if let Ok(number) = Reader::new(bytes.get(..usize::from(*length)).unwrap_or_default()).varint() {
            return Some(number);
        }
    }
    None
}
