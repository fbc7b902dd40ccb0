//! Requests of ours: until they have a stream, and their beginning (RFC 9114 §4.1).

use std::collections::VecDeque;
use std::fmt;

use codec::{Direction, Side, StreamId};
use http::Request;

use super::Connection;
use super::exchange::{Exchange, Receive, Send};
use crate::error::Code;
use crate::limits::{self, Limit};
use crate::message::{self, Asked, Content, HeadError, Protocol};
use crate::output::{Event, Opening, Output, RequestFailure, RequestKey};
use crate::stats::Tunnel;

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RequestError {
    /// The connection is closed, or a server's.
    Closed,
    /// The server shuts the connection down (RFC 9114 §5.2): use another one.
    GoingAway,
    /// [`limits::PENDING_REQUESTS`] wait for a stream already.
    TooMany,
    /// The head cannot be sent.
    Head(HeadError),
    /// It is to end without content, and Content-Length says that there is some.
    ContentLength,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection is closed, or a server's"),
            Self::GoingAway => f.write_str("the server shuts the connection down: use another one"),
            Self::TooMany => f.write_str("too many requests wait for a stream"),
            Self::Head(error) => error.fmt(f),
            Self::ContentLength => f.write_str("Content-Length says that there is content, and there is none"),
        }
    }
}

impl std::error::Error for RequestError {}

/// Requests that wait for their stream. Streams come in the order in which they were asked for, so nearly always it is
/// the first that has its turn.
#[derive(Debug, Default)]
pub(super) struct Pending {
    queue: VecDeque<(RequestKey, Request<()>, bool)>,
    next: u64,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    fn add(&mut self, head: Request<()>, end: bool) -> RequestKey {
        let key = RequestKey(self.next);
        self.next += 1;
        self.queue.push_back((key, head, end));
        key
    }

    fn take(&mut self, key: RequestKey) -> Option<(Request<()>, bool)> {
        let position = self.queue.iter().position(|(waiting, _, _)| *waiting == key)?;
        self.queue.remove(position).map(|(_, head, end)| (head, end))
    }

    pub(super) fn take_all(&mut self) -> Vec<RequestKey> {
        self.queue.drain(..).map(|(key, _, _)| key).collect()
    }
}

impl Connection {
    /// Makes a request. `end`: it has no content and no trailers. [`Event::RequestOpened`] tells its stream, and then
    /// content may be sent.
    ///
    /// An extended CONNECT, with a [`Protocol`] among the extensions, may be made after the server's settings came and
    /// permit it.
    pub fn request(&mut self, head: Request<()>, end: bool) -> Result<RequestKey, RequestError> {
        if self.closed || self.side == Side::Server {
            return Err(RequestError::Closed);
        }
        if self.goaway_received.is_some() {
            return Err(RequestError::GoingAway);
        }
        self.judge_protocol(&head).map_err(RequestError::Head)?;
        message::request_lines(&head).map_err(RequestError::Head)?;
        if end && promise(&head).finished().is_err() {
            return Err(RequestError::ContentLength);
        }
        if !self.may_request() {
            self.on_limit(Limit::PendingRequests);
            return Err(RequestError::TooMany);
        }
        let key = self.pending.add(head, end);
        self.outbox.push(Output::Open(Opening::Request(key)));
        Ok(key)
    }

    /// Whether one more request may wait for its stream ([`limits::PENDING_REQUESTS`]).
    pub fn may_request(&self) -> bool {
        self.pending.len() < limits::PENDING_REQUESTS
    }

    /// Gives up a request that has no stream yet. No event follows.
    pub fn cancel_request(&mut self, key: RequestKey) {
        if self.pending.take(key).is_some() {
            self.on_exchange_over();
        }
    }

    /// Whether the server has said that the request may be made.
    fn judge_protocol(&self, head: &Request<()>) -> Result<(), HeadError> {
        let settings = self.peer_settings();
        // RFC 8441 §3: not before the server has said so.
        if head.extensions().get::<Protocol>().is_some()
            && !settings.is_some_and(|settings| settings.enable_connect_protocol)
        {
            return Err(HeadError::ExtendedConnect);
        }
        Ok(())
    }

    /// A request has its stream.
    pub(super) fn begin_request(&mut self, key: RequestKey, stream: StreamId) {
        let is_request = stream.initiator() == Side::Client && stream.direction() == Direction::Bidirectional;
        debug_assert!(is_request, "{stream:?} is no request stream");
        let Some((head, end)) = self.pending.take(key) else {
            // It was given up meanwhile.
            self.discard(stream);
            return;
        };
        if let Err(error) = self.write_request(key, stream, &head, end) {
            self.discard(stream);
            self.push_event(Event::RequestFailed { key, reason: RequestFailure::Head(error) });
            self.on_exchange_over();
        }
    }

    /// Closes a stream on which nothing was sent.
    fn discard(&mut self, stream: StreamId) {
        let code = Code::H3_REQUEST_CANCELLED;
        self.outbox.push(Output::Reset { stream, code });
        self.outbox.push(Output::Stop { stream, code });
    }

    fn write_request(
        &mut self,
        request: RequestKey,
        stream: StreamId,
        head: &Request<()>,
        end: bool,
    ) -> Result<(), HeadError> {
        self.judge_protocol(head)?;
        let lines = message::request_lines(head)?;
        let mut exchange = Exchange::new(stream, 0, self.now, &self.config);
        exchange.receive = Receive::Head;
        exchange.known = true;
        exchange.asked = Asked::from(head.method());
        if exchange.asked == Asked::Connect {
            let protocol = head.extensions().get::<Protocol>();
            exchange.tunnel = Some(Tunnel::of(protocol.map(Protocol::as_str)));
            exchange.datagrams = protocol.is_some();
        }
        exchange.promised = promise(head);
        exchange.send = Send::Content;
        let key = self.exchanges.insert(exchange);
        if std::mem::take(&mut self.grease_exchange) {
            self.put_grease(key);
        }
        if let Err(error) = self.put_section(key, &lines) {
            self.exchanges.remove(key);
            return Err(error);
        }
        self.stats().requests += 1;
        self.push_event(Event::RequestOpened { key: request, stream });
        if end {
            self.put_end(key);
        }
        Ok(())
    }
}

/// What a request says of its content.
fn promise(head: &Request<()>) -> Content {
    match message::content_length(head.headers()) {
        Some(length) if Asked::from(head.method()) != Asked::Connect => Content::Exactly(length),
        _ => Content::Any,
    }
}
