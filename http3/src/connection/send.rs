//! Our half of a request stream: responses of a server, content and trailers of both (RFC 9114 §4.1).

use std::fmt;

use bytes::Bytes;
use codec::{Side, StreamId, Time};
use http::{HeaderMap, Response, StatusCode};

use super::exchange::{Exchange, Send};
use super::{Connection, put_grease_frame};
use crate::error::Code;
use crate::frame::{FrameType, HeadersPlace, put_frame_header};
use crate::limits;
use crate::message::{self, Asked, Content, HeadError, Lines};
use crate::output::Event;
use crate::priority::{Priority, PriorityParameters};

/// Why something was not sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SendError {
    /// There is no such stream, no longer, or its sending half is over: the peer does not want it.
    Gone,
    /// The end was sent already.
    Finished,
    /// The head of the response has to be sent before it, or was sent already.
    Order,
    /// The head cannot be sent.
    Head(HeadError),
    /// It would be more content than Content-Length says, or the end before all of it was sent. The stream should be
    /// reset.
    ContentLength,
    /// The response has no content: it is one to HEAD, or has status 204 or 304. Finish it.
    NoContent,
    /// As many interim responses as a client has to take were sent already ([`limits::INTERIM_RESPONSES`]).
    TooManyInterim,
    /// The peer has not said that it accepts this.
    Unsupported,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the stream is gone"),
            Self::Finished => f.write_str("the end was sent already"),
            Self::Order => f.write_str("one final head comes first, then content, then trailers"),
            Self::Head(error) => error.fmt(f),
            Self::ContentLength => f.write_str("the content is not as long as Content-Length says"),
            Self::NoContent => f.write_str("this response has no content"),
            Self::TooManyInterim => f.write_str("so many interim responses are too many"),
            Self::Unsupported => f.write_str("the peer has not said that it accepts this"),
        }
    }
}

impl std::error::Error for SendError {}

impl From<HeadError> for SendError {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl Connection {
    /// An interim response (1xx, not 101) to a request.
    pub fn send_informational(&mut self, now: Time, stream: StreamId, head: &Response<()>) -> Result<(), SendError> {
        self.now = now;
        let key = self.answerable(stream)?;
        let lines = message::interim_lines(head)?;
        let Some(exchange) = self.exchanges.get(key) else { return Err(SendError::Gone) };
        if exchange.interim >= limits::INTERIM_RESPONSES {
            return Err(SendError::TooManyInterim);
        }
        self.put_section(key, &lines)?;
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.interim += 1;
        }
        Ok(())
    }

    /// What comes of a message that cannot be sent on, for this reason: the rest of it is not sent. The peer hears that it
    /// is complete if it is, and otherwise that it is not.
    pub fn conclude(&mut self, now: Time, stream: StreamId, error: SendError) {
        self.now = now;
        match error {
            // The head is the whole of it.
            SendError::NoContent => {
                let _over = self.finish(now, stream);
            }
            // It is over, whoever ended it.
            SendError::Gone | SendError::Finished => {}
            SendError::Order
            | SendError::Head(_)
            | SendError::ContentLength
            | SendError::TooManyInterim
            | SendError::Unsupported => self.reset(stream, Code::H3_INTERNAL_ERROR),
        }
    }

    /// The application has no end for what it sends: it failed. The peer's half goes on.
    pub fn abort(&mut self, stream: StreamId) {
        let code = match self.side {
            Side::Server => Code::H3_INTERNAL_ERROR,
            Side::Client => Code::H3_REQUEST_CANCELLED,
        };
        self.reset(stream, code);
    }

    /// The final response to a request. `end`: it has no content and no trailers.
    pub fn send_response(
        &mut self,
        now: Time,
        stream: StreamId,
        head: &Response<()>,
        end: bool,
    ) -> Result<(), SendError> {
        self.now = now;
        let key = self.answerable(stream)?;
        let status = head.status();
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(HeadError::WrongStatus.into());
        }
        let lines = message::response_lines(head)?;
        let promised = self.promise(key, head);
        if end && promised.finished().is_err() {
            return Err(SendError::ContentLength);
        }
        self.put_section(key, &lines)?;
        self.on_answered(key, head, promised);
        if end {
            self.put_end(key);
        }
        Ok(())
    }

    /// What a response says of its content.
    fn promise(&self, key: usize, head: &Response<()>) -> Content {
        let asked = self.exchanges.get(key).map_or(Asked::Ordinary, |exchange| exchange.asked);
        let status = head.status();
        if asked == Asked::Connect && status.is_success() {
            return Content::Any;
        }
        let without = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if asked == Asked::Head || without {
            return Content::Never;
        }
        message::content_length(head.headers()).map_or(Content::Any, Content::Exactly)
    }

    fn on_answered(&mut self, key: usize, head: &Response<()>, promised: Content) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.send = Send::Content;
        exchange.promised = promised;
        let (tunnelled, before) = (exchange.asked == Asked::Connect, exchange.priority);
        if let Some(tunnel) = exchange.tunnel.take() {
            self.stats().on_tunnel(tunnel, head.status().is_success());
        }
        //= https://www.rfc-editor.org/rfc/rfc9218#section-8
        //# An origin can use the Priority response header field to indicate its view on how
        //# an HTTP response should be prioritized.
        if let Some(parameters) = PriorityParameters::of_head(head.headers()) {
            self.set_priority(key, before.changed_by(parameters));
        }
        if !tunnelled && std::mem::take(&mut self.grease_exchange) {
            self.put_grease(key);
        }
    }

    /// Remembers a priority, and tells it if it is another one.
    pub(super) fn set_priority(&mut self, key: usize, priority: Priority) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if std::mem::replace(&mut exchange.priority, priority) != priority {
            let stream = exchange.stream;
            self.push_event(Event::PriorityChanged { stream, priority });
        }
    }

    /// Content, or bytes of a tunnel. As much as there is room for is taken off the front of `data`, and is not copied;
    /// when something is left, [`Event::Writable`] tells when to try again. `end`: the message ends after all of `data`,
    /// without trailers; it holds if all was taken.
    pub fn send_data(&mut self, now: Time, stream: StreamId, data: &mut Bytes, end: bool) -> Result<(), SendError> {
        self.now = now;
        let key = self.writable(stream)?;
        let Some(exchange) = self.exchanges.get_mut(key) else { return Err(SendError::Gone) };
        let room = usize::try_from(exchange.room()).unwrap_or(usize::MAX);
        let taken = room.min(data.len());
        // Judged for all of it, so that what is wrong is wrong at once.
        let mut promised = exchange.promised;
        promised.received(data.len() as u64).map_err(|_| misfit(promised))?;
        if end {
            promised.finished().map_err(|_| SendError::ContentLength)?;
        }
        exchange.promised.received(taken as u64).map_err(|_| misfit(promised))?;
        if taken < data.len() {
            exchange.wants_room = true;
        }
        if taken > 0 {
            self.put_data(key, data.split_to(taken));
        }
        if end && data.is_empty() {
            self.put_end(key);
        }
        Ok(())
    }

    /// Trailers, and the end.
    pub fn send_trailers(&mut self, now: Time, stream: StreamId, trailers: &HeaderMap) -> Result<(), SendError> {
        self.now = now;
        let key = self.writable(stream)?;
        let Some(exchange) = self.exchanges.get(key) else { return Err(SendError::Gone) };
        if exchange.asked == Asked::Connect {
            return Err(SendError::Order);
        }
        exchange.promised.finished().map_err(|_| SendError::ContentLength)?;
        let lines = message::trailer_lines(trailers);
        // A section without lines says nothing.
        if !lines.is_empty() {
            self.put_section(key, &lines)?;
        }
        self.put_end(key);
        Ok(())
    }

    /// The end of the message, without trailers.
    pub fn finish(&mut self, now: Time, stream: StreamId) -> Result<(), SendError> {
        self.send_data(now, stream, &mut Bytes::new(), true)
    }

    /// How many bytes [`Self::send_data`] would take now; zero if the stream is gone.
    pub fn room(&self, stream: StreamId) -> usize {
        let room = self.exchanges.of(stream).map_or(0, Exchange::room);
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// The transport took this many bytes of what was written to the stream, under the peer's flow-control credit.
    pub fn handle_sent(&mut self, now: Time, stream: StreamId, bytes: u64) {
        self.now = now;
        let Some(key) = self.exchanges.find(stream) else { return };
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let bytes = bytes.min(exchange.unsent);
        exchange.unsent -= bytes;
        exchange.sent = exchange.sent.saturating_add(bytes);
        exchange.progress = now;
        // Half of what may wait has gone: worth a turn.
        if exchange.wants_room && exchange.room() >= exchange.unsent {
            exchange.wants_room = false;
            self.push_event(Event::Writable { stream });
        }
        self.free_if_over(key);
    }

    /// A response without content, by ourselves; the rest of the request is not read.
    pub(super) fn refuse_with_status(&mut self, key: usize, status: StatusCode) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        let stream = exchange.stream;
        let mut head = Response::new(());
        *head.status_mut() = status;
        if exchange.send == Send::Head && self.send_response(self.now, stream, &head, true).is_ok() {
            //= https://www.rfc-editor.org/rfc/rfc9114#section-4.1
            //# The error
            //# code H3_NO_ERROR SHOULD be used when requesting that the client stop sending on
            //# the request stream.
            self.stop_receiving(key, Code::H3_NO_ERROR);
            self.free_if_over(key);
        } else {
            self.cancel(stream);
        }
    }

    /// A request that was not answered yet.
    fn answerable(&self, stream: StreamId) -> Result<usize, SendError> {
        let key = self.exchanges.find(stream).filter(|_| self.side == Side::Server).ok_or(SendError::Gone)?;
        match self.exchanges.get(key).map(|exchange| exchange.send) {
            Some(Send::Head) => Ok(key),
            Some(Send::Content) => Err(SendError::Order),
            Some(Send::Finished) => Err(SendError::Finished),
            Some(Send::Over) | None => Err(SendError::Gone),
        }
    }

    /// A stream whose head was sent, and not the end.
    fn writable(&self, stream: StreamId) -> Result<usize, SendError> {
        let key = self.exchanges.find(stream).ok_or(SendError::Gone)?;
        match self.exchanges.get(key).map(|exchange| exchange.send) {
            Some(Send::Content) => Ok(key),
            Some(Send::Head) => Err(SendError::Order),
            Some(Send::Finished) => Err(SendError::Finished),
            Some(Send::Over) | None => Err(SendError::Gone),
        }
    }

    /// Writes something small to a stream, and counts it.
    fn put(&mut self, key: usize, write: impl FnOnce(&mut Self, StreamId)) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        let stream = exchange.stream;
        let before = self.outbox.room(stream).len();
        write(self, stream);
        let written = self.outbox.room(stream).len().saturating_sub(before);
        self.on_written(key, written as u64);
    }

    /// A frame without meaning, once in a connection.
    pub(super) fn put_grease(&mut self, key: usize) {
        self.put(key, |connection, stream| {
            let frame_type = put_grease_frame(&mut connection.grease, connection.outbox.room(stream));
            connection.stats().on_frame_sent(frame_type);
        });
    }

    /// Encodes a field section into a HEADERS frame.
    pub(super) fn put_section(&mut self, key: usize, lines: &Lines<'_>) -> Result<(), HeadError> {
        let Some(exchange) = self.exchanges.get(key) else { return Ok(()) };
        let stream = exchange.stream;
        //= https://www.rfc-editor.org/rfc/rfc9114#section-4.2.2
        //# An
        //# implementation that has received this parameter SHOULD NOT send an HTTP message
        //# header that exceeds the indicated size, as the peer will likely refuse to
        //# process it.
        if let Some(limit) = self.peer_settings().and_then(|settings| settings.max_field_section_size) {
            let size: usize = lines.iter().map(crate::qpack::FieldRef::size).sum();
            if size as u64 > limit {
                return Err(HeadError::TooLarge(size as u64, limit));
            }
        }
        let room = self.outbox.room(stream);
        let before = room.len();
        let place = HeadersPlace::begin(room);
        self.encoder.encode(stream.as_u64(), lines.iter().copied(), room);
        let section = place.end(room);
        let written = room.len().saturating_sub(before);
        // Before the section, so that the peer need not wait for them.
        if let Some(encoder) = self.ours.encoder
            && let Some(instructions) = self.encoder.poll_instructions()
        {
            self.outbox.write_first(encoder, instructions);
        }
        if section.is_none() {
            self.encoder.retract(stream.as_u64());
            return Err(HeadError::TooLarge(u64::MAX, 1 << 30));
        }
        self.stats().on_frame_sent(FrameType::HEADERS);
        self.on_written(key, written as u64);
        Ok(())
    }

    fn put_data(&mut self, key: usize, data: Bytes) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        let stream = exchange.stream;
        let length = data.len() as u64;
        self.put(key, |connection, stream| {
            put_frame_header(connection.outbox.room(stream), FrameType::DATA, length);
        });
        self.stats().on_frame_sent(FrameType::DATA);
        self.outbox.write(stream, data, false);
        self.on_written(key, length);
    }

    pub(super) fn put_end(&mut self, key: usize) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.send = Send::Finished;
        exchange.wants_room = false;
        let stream = exchange.stream;
        self.outbox.finish(stream);
        self.free_if_over(key);
    }

    /// Bytes wait for the transport to take them.
    fn on_written(&mut self, key: usize, bytes: u64) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        if exchange.unsent == 0 {
            exchange.progress = self.now;
        }
        exchange.unsent = exchange.unsent.saturating_add(bytes);
        self.watch(key);
    }
}

/// Why content is not taken.
fn misfit(promised: Content) -> SendError {
    if promised == Content::Never { SendError::NoContent } else { SendError::ContentLength }
}
