//! The peer's half of a request stream (RFC 9114 §4.1).

use bytes::Bytes;
use codec::{Side, StreamId};

use super::Connection;
use super::exchange::{Exchange, Hold, Receive, Send};
use crate::error::{Code, ConnectionError, Error, StreamError};
use crate::frame::{Frame, FrameKind, FrameType, Item};
use crate::legality::judge;
use crate::limits::{self, Limit};
use crate::message::{self, Asked, Protocol};
use crate::output::{Event, Output};
use crate::priority::{Priority, PriorityParameters};
use crate::qpack::{self, Decoded, Fields};
use crate::stats::Tunnel;

/// What is to be done after an item of a stream was looked at.
enum Next {
    /// Read on.
    Read,
    /// Nothing now, or never.
    Rest,
}

impl Connection {
    /// The peer opened a bidirectional stream, unless it is known or was.
    pub(super) fn open_exchange(&mut self, stream: StreamId) -> Result<(), ConnectionError> {
        if stream.initiator() == self.side {
            return Ok(());
        }
        if self.side == Side::Client {
            //= https://www.rfc-editor.org/rfc/rfc9114#section-6.1
            //# Clients MUST treat receipt of a
            //# server-initiated bidirectional stream as a connection error of type
            //# H3_STREAM_CREATION_ERROR unless such an extension has been
            //# negotiated.
            return Err(ConnectionError::new(
                Code::H3_STREAM_CREATION_ERROR,
                "a bidirectional stream that the server opened",
            ));
        }
        if stream.index() < self.next_request {
            return Ok(());
        }
        self.next_request = stream.index().saturating_add(1);
        if self.goaway_sent.is_some_and(|id| stream.as_u64() >= id) {
            self.reject(stream);
            return Ok(());
        }
        let number = self.resets.on_request();
        self.stats().requests += 1;
        let key = self.exchanges.insert(Exchange::new(stream, number, self.now, &self.config));
        self.watch(key);
        Ok(())
    }

    /// A request that comes too late.
    fn reject(&mut self, stream: StreamId) {
        //= https://www.rfc-editor.org/rfc/rfc9114#section-5.2
        //# Upon sending a GOAWAY frame, the endpoint SHOULD explicitly cancel
        //# (see Sections {{<request-cancellation}} and {{<frame-cancel-push}}) any requests
        //# or pushes that have identifiers greater than or equal to the one indicated, in
        //# order to clean up transport state for the affected streams.
        //= https://www.rfc-editor.org/rfc/rfc9114#section-4.1.1
        //# The server SHOULD abort its response
        //# stream with the error code H3_REQUEST_REJECTED.
        let code = Code::H3_REQUEST_REJECTED;
        self.stats().on_error_sent(code);
        self.decoder.cancel(stream.as_u64());
        self.outbox.push(Output::Reset { stream, code });
        self.outbox.push(Output::Stop { stream, code });
    }

    /// Bytes of a request stream.
    pub(super) fn receive(&mut self, stream: StreamId, data: Bytes, fin: bool) -> Result<(), ConnectionError> {
        let Some(key) = self.exchanges.find(stream) else { return Ok(()) };
        let Some(exchange) = self.exchanges.get_mut(key) else { return Ok(()) };
        if exchange.receive == Receive::Done || exchange.fin {
            return Ok(());
        }
        exchange.fin = fin;
        let content = exchange.receive != Receive::Head;
        exchange.receipt.on_bytes(self.now, data.len(), content, &self.config);
        self.read_from(key, data)?;
        self.watch(key);
        Ok(())
    }

    /// Reads bytes that arrived, or holds them; then what is at the end of the stream, if they are the last.
    fn read_from(&mut self, key: usize, data: Bytes) -> Result<(), ConnectionError> {
        let Some(exchange) = self.exchanges.get_mut(key) else { return Ok(()) };
        exchange.charged = exchange.charged.saturating_add(data.len() as u64);
        if exchange.is_held() {
            exchange.kept.push_back(data);
            return Ok(());
        }
        let result = self.read_items(key, data);
        self.judge_exchange(key, result)
    }

    /// What became of reading: an error of the stream ends the exchange, one of the connection is passed on.
    fn judge_exchange(&mut self, key: usize, result: Result<(), Error>) -> Result<(), ConnectionError> {
        match result {
            Ok(()) => Ok(()),
            Err(Error::Connection(error)) => Err(error),
            Err(Error::Stream(error)) => {
                self.fail_exchange(key, error);
                Ok(())
            }
        }
    }

    fn read_items(&mut self, key: usize, mut data: Bytes) -> Result<(), Error> {
        loop {
            let Some(exchange) = self.exchanges.get_mut(key) else { return Ok(()) };
            if exchange.is_held() {
                // It comes before what was kept, and that is all that is left.
                exchange.kept.push_front(data);
                return Ok(());
            }
            let next = match exchange.reader.read(&mut data)? {
                Some(Item::Begin { frame_type, length }) => self.on_begin(key, frame_type, length)?,
                Some(Item::Data(data)) => self.on_data(key, data)?,
                Some(Item::Frame(Frame::Headers(section))) => self.on_section(key, section)?,
                // Not permitted there, so it was refused when it began.
                Some(Item::Frame(_)) => Next::Read,
                None => match exchange.kept.pop_front() {
                    Some(piece) => {
                        data = piece;
                        Next::Read
                    }
                    None => {
                        let read = exchange.settle();
                        self.outbox.consumed(exchange.stream, read);
                        return self.on_end(key);
                    }
                },
            };
            if matches!(next, Next::Rest) {
                return Ok(());
            }
        }
    }

    /// A frame begins.
    fn on_begin(&mut self, key: usize, frame_type: FrameType, length: u64) -> Result<Next, Error> {
        let kind = frame_type.kind();
        self.stats().on_frame_received(kind);
        let Some(exchange) = self.exchanges.get_mut(key) else { return Ok(Next::Rest) };
        let place = exchange.receive.place();
        if !judge(self.side, place, kind).is_read()? {
            self.on_glitch()?;
            return Ok(Next::Read);
        }
        if kind == FrameKind::Data {
            if exchange.receive == Receive::Content {
                exchange.content.received(length)?;
            }
            if length == 0 {
                self.on_glitch()?;
            }
        } else if length > self.config.max_field_section_size as u64 {
            // Nothing of it is kept.
            exchange.reader.skip();
            return self.on_too_large(key);
        }
        Ok(Next::Read)
    }

    fn on_data(&mut self, key: usize, data: Bytes) -> Result<Next, Error> {
        let Some(exchange) = self.exchanges.get_mut(key) else { return Ok(Next::Rest) };
        let stream = exchange.stream;
        exchange.charged = exchange.charged.saturating_sub(data.len() as u64);
        exchange.receipt.on_content(self.now, data.len());
        self.push_event(Event::Data { stream, data });
        Ok(Next::Read)
    }

    /// An encoded field section is there.
    fn on_section(&mut self, key: usize, section: Bytes) -> Result<Next, Error> {
        let full = self.undispatched >= limits::UNDISPATCHED_FIELDS;
        let Some(exchange) = self.exchanges.get_mut(key) else { return Ok(Next::Rest) };
        let stream = exchange.stream;
        if full {
            exchange.hold = Hold::Undispatched(section);
            self.stalled.push_back(stream);
            self.on_limit(Limit::UndispatchedFields);
            return Ok(Next::Read);
        }
        match self.decoder.decode(stream.as_u64(), section) {
            Ok(Decoded::Fields(fields)) => self.on_fields(key, fields),
            Ok(Decoded::Blocked) => {
                exchange.hold = Hold::Blocked;
                Ok(Next::Read)
            }
            Err(error) => self.on_undecodable(key, error),
        }
    }

    fn on_undecodable(&mut self, key: usize, error: qpack::DecodeError) -> Result<Next, Error> {
        match error {
            qpack::DecodeError::Connection(error) => Err(ConnectionError::from(error).into()),
            qpack::DecodeError::Stream(error) if error.is_limit() => self.on_too_large(key),
            qpack::DecodeError::Stream(error) => {
                Err(StreamError::new(Code(error.code()), "a field section cannot be decoded").into())
            }
        }
    }

    /// A field section is larger than is permitted.
    fn on_too_large(&mut self, key: usize) -> Result<Next, Error> {
        self.on_limit(Limit::FieldSection);
        let Some(exchange) = self.exchanges.get(key) else { return Ok(Next::Rest) };
        if self.side == Side::Client || exchange.receive != Receive::Head {
            //= https://www.rfc-editor.org/rfc/rfc9114#section-10.5.1
            //# This setting is only advisory, so endpoints MAY
            //# choose to send field sections that exceed this limit and risk having the request
            //# or response being treated as malformed.
            return Err(StreamError::malformed("a field section larger than is permitted").into());
        }
        //= https://www.rfc-editor.org/rfc/rfc9114#section-4.2.2
        //# A server that
        //# receives a larger header section than it is willing to handle can send an HTTP 431 (Request
        //# Header Fields Too Large) status code ({{?RFC6585}}).
        self.refuse_with_status(key, http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        Ok(Next::Rest)
    }

    /// A field section was decoded: of which kind it is follows from where it stands.
    fn on_fields(&mut self, key: usize, fields: Fields) -> Result<Next, Error> {
        let Some(exchange) = self.exchanges.get(key) else { return Ok(Next::Rest) };
        match (exchange.receive, self.side) {
            (Receive::Head, Side::Server) => self.on_request(key, fields)?,
            (Receive::Head, Side::Client) => self.on_response(key, fields)?,
            _ => self.on_trailers(key, fields)?,
        }
        Ok(Next::Read)
    }

    fn on_request(&mut self, key: usize, fields: Fields) -> Result<(), Error> {
        let size = fields.size();
        let request = message::decode_request(fields, self.local.enable_connect_protocol)?;
        let asked = Asked::from(request.head.method());
        let Some(exchange) = self.exchanges.get_mut(key) else { return Ok(()) };
        let stream = exchange.stream;
        exchange.known = true;
        exchange.asked = asked;
        exchange.content = request.content;
        exchange.receive = Receive::Content;
        exchange.receipt.on_head(self.now, &self.config);
        if asked == Asked::Connect {
            let protocol = request.head.extensions().get::<Protocol>();
            exchange.receive = Receive::Tunnel;
            exchange.tunnel = Some(Tunnel::of(protocol.map(Protocol::as_str)));
            exchange.datagrams = protocol.is_some();
        }
        let parameters = PriorityParameters::of_head(request.head.headers()).unwrap_or_default();
        //= https://www.rfc-editor.org/rfc/rfc9218#section-7
        //# To solve this condition, for the purposes of
        //# scheduling, the most recently received PRIORITY_UPDATE frame can be considered
        //# as the most up-to-date information that overrides any other signal.
        let priority = self.take_priority(stream).unwrap_or_else(|| Priority::default().changed_by(parameters));
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.priority = priority;
        }
        self.push_fields(Event::Request { stream, head: Box::new(request.head), priority }, size);
        Ok(())
    }

    fn on_response(&mut self, key: usize, fields: Fields) -> Result<(), Error> {
        let size = fields.size();
        let Some(exchange) = self.exchanges.get_mut(key) else { return Ok(()) };
        let stream = exchange.stream;
        let response = message::decode_response(fields, exchange.asked)?;
        if response.is_interim() {
            exchange.interim += 1;
            if exchange.interim > limits::INTERIM_RESPONSES {
                self.on_limit(Limit::InterimResponses);
                return Err(StreamError::new(Code::H3_EXCESSIVE_LOAD, "too many interim responses").into());
            }
            self.push_fields(Event::Informational { stream, head: Box::new(response.head) }, size);
            return Ok(());
        }
        exchange.content = response.content;
        exchange.receive = if response.tunnel { Receive::Tunnel } else { Receive::Content };
        if let Some(tunnel) = exchange.tunnel.take() {
            self.stats().on_tunnel(tunnel, response.tunnel);
        }
        self.push_fields(Event::Response { stream, head: Box::new(response.head) }, size);
        Ok(())
    }

    fn on_trailers(&mut self, key: usize, fields: Fields) -> Result<(), Error> {
        let size = fields.size();
        let trailers = message::decode_trailers(fields)?;
        let Some(exchange) = self.exchanges.get_mut(key) else { return Ok(()) };
        let stream = exchange.stream;
        exchange.content.finished()?;
        exchange.receive = Receive::Trailed;
        self.push_fields(Event::Trailers { stream, trailers: Box::new(trailers) }, size);
        Ok(())
    }

    /// All bytes so far were read. If they were the last, the message is complete, or wrong.
    fn on_end(&mut self, key: usize) -> Result<(), Error> {
        let Some(exchange) = self.exchanges.get_mut(key) else { return Ok(()) };
        if !exchange.fin || exchange.receive == Receive::Done {
            return Ok(());
        }
        exchange.reader.finish()?;
        match exchange.receive {
            Receive::Head if self.side == Side::Server => {
                //= https://www.rfc-editor.org/rfc/rfc9114#section-4.1
                //# If a client-initiated stream terminates without enough of the HTTP
                //# message to provide a complete response, the server SHOULD abort its response
                //# stream with the error code H3_REQUEST_INCOMPLETE.
                let code = Code::H3_REQUEST_INCOMPLETE;
                return Err(StreamError::new(code, "the stream ended before a request did").into());
            }
            Receive::Head => return Err(StreamError::malformed("the stream ended before a response did").into()),
            Receive::Content => exchange.content.finished()?,
            Receive::Trailed | Receive::Tunnel | Receive::Done => {}
        }
        exchange.receive = Receive::Done;
        let stream = exchange.stream;
        self.push_event(Event::Finished { stream });
        self.free_if_over(key);
        Ok(())
    }

    /// Reads on where a section had to wait and need not any more.
    pub(super) fn resume(&mut self) {
        while !self.closed && self.undispatched < limits::UNDISPATCHED_FIELDS {
            let result = if let Some(stream) = self.stalled.pop_front() {
                self.resume_stalled(stream)
            } else if let Some((stream, section)) = self.decoder.poll_unblocked() {
                self.resume_blocked(StreamId::from_u64(stream), section)
            } else {
                return;
            };
            self.close_on(result);
        }
    }

    fn resume_stalled(&mut self, stream: StreamId) -> Result<(), ConnectionError> {
        let Some(key) = self.exchanges.find(stream) else { return Ok(()) };
        let Some(exchange) = self.exchanges.get_mut(key) else { return Ok(()) };
        let Hold::Undispatched(section) = std::mem::take(&mut exchange.hold) else { return Ok(()) };
        let next = self.on_section(key, section);
        self.read_held(key, next)
    }

    fn resume_blocked(
        &mut self,
        stream: StreamId,
        section: Result<Fields, qpack::DecodeError>,
    ) -> Result<(), ConnectionError> {
        let Some(key) = self.exchanges.find(stream) else {
            // It went, and what it waited for came too late.
            return match section {
                Err(qpack::DecodeError::Connection(error)) => Err(error.into()),
                _ => Ok(()),
            };
        };
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.hold = Hold::None;
        }
        let next = match section {
            Ok(fields) => self.on_fields(key, fields),
            Err(error) => self.on_undecodable(key, error),
        };
        self.read_held(key, next)
    }

    /// What waited behind a section, as far as no further one waits.
    fn read_held(&mut self, key: usize, next: Result<Next, Error>) -> Result<(), ConnectionError> {
        let result = match next {
            Ok(Next::Rest) => Ok(()),
            Ok(Next::Read) => self.read_items(key, Bytes::new()),
            Err(error) => Err(error),
        };
        self.judge_exchange(key, result)
    }

    /// Whether what an exchange sends is still of use: a response, once it is asked for.
    pub(super) fn is_answered(exchange: &Exchange) -> bool {
        exchange.send != Send::Head
    }
}
