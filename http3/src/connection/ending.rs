//! How requests and the connection end (RFC 9114 §4.1.1, §5, §8).

use codec::{Side, StreamId};

use super::Connection;
use super::exchange::{Exchanges, Hold, Receive, Send};
use crate::error::{Code, ConnectionError, StreamError};
use crate::limits::Limit;
use crate::output::{EndReason, Event, Output};
use crate::qpack;

/// What the peer does to a request stream.
impl Connection {
    /// The peer reset its half.
    pub(super) fn on_reset(&mut self, stream: StreamId, code: Code) -> Result<(), ConnectionError> {
        let Some(key) = self.exchanges.find(stream) else { return Ok(()) };
        let Some(exchange) = self.exchanges.get_mut(key) else { return Ok(()) };
        if exchange.receive == Receive::Done {
            // It was complete.
            return Ok(());
        }
        // The transport has nothing more of it: what is held counts as consumed there.
        exchange.fin = false;
        exchange.charged = 0;
        let reason = match (self.side, code) {
            //= https://www.rfc-editor.org/rfc/rfc9114#section-4.1.1
            //# The client can treat requests
            //# rejected by the server as though they had never been sent at all, thereby
            //# allowing them to be retried later.
            (Side::Client, Code::H3_REQUEST_REJECTED) => EndReason::Unprocessed,
            _ => EndReason::Reset(code),
        };
        let answer = self.cancel_code(key);
        self.decoder.cancel(stream.as_u64());
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.receive = Receive::Done;
        }
        self.on_cancelled_by_peer(key)?;
        self.end_exchange(key, answer, reason);
        Ok(())
    }

    /// The peer does not want our half.
    pub(super) fn on_stopped(&mut self, stream: StreamId, code: Code) -> Result<(), ConnectionError> {
        let Some(key) = self.exchanges.find(stream) else { return Ok(()) };
        let Some(exchange) = self.exchanges.get(key) else { return Ok(()) };
        if !exchange.is_sending() {
            return Ok(());
        }
        if self.side == Side::Server {
            // A client that does not want the response does not want the request.
            self.on_cancelled_by_peer(key)?;
            let answer = self.cancel_code(key);
            self.forget_sending(key);
            self.end_exchange(key, answer, EndReason::Stopped(code));
            return Ok(());
        }
        //= https://www.rfc-editor.org/rfc/rfc9114#section-4.1
        //# Clients MUST NOT discard complete responses as a result of
        //# having their request terminated abruptly, though clients can always discard
        //# responses at their discretion for other reasons.
        self.forget_sending(key);
        self.push_event(Event::SendStopped { stream, code });
        self.free_if_over(key);
        Ok(())
    }

    /// A client gave up a request. Too many of them, before they are answered, are too much.
    fn on_cancelled_by_peer(&mut self, key: usize) -> Result<(), ConnectionError> {
        let Some(exchange) = self.exchanges.get(key) else { return Ok(()) };
        if self.side == Side::Client || Self::is_answered(exchange) {
            return Ok(());
        }
        if self.resets.admit(exchange.number, self.now) {
            return Ok(());
        }
        self.on_limit(Limit::RapidResets);
        Err(ConnectionError::new(Code::H3_EXCESSIVE_LOAD, "too many requests are cancelled before they are answered"))
    }

    /// The code with which we give up a request.
    pub(super) fn cancel_code(&self, key: usize) -> Code {
        //= https://www.rfc-editor.org/rfc/rfc9114#section-4.1.1
        //# Servers MUST NOT use the H3_REQUEST_REJECTED error code for requests that were
        //# partially or fully processed.
        match self.exchanges.get(key) {
            Some(exchange) if self.side == Side::Server && !exchange.known => Code::H3_REQUEST_REJECTED,
            //= https://www.rfc-editor.org/rfc/rfc9114#section-4.1.1
            //# Client SHOULD use the error code H3_REQUEST_CANCELLED to cancel requests.
            _ => Code::H3_REQUEST_CANCELLED,
        }
    }
}

/// Orders of the application.
impl Connection {
    /// Gives up a request, both halves, with the code that fits. No event follows.
    pub fn cancel(&mut self, stream: StreamId) {
        if let Some(key) = self.exchanges.find(stream) {
            let code = self.cancel_code(key);
            self.abandon(key, code);
            self.free(key);
        }
    }

    /// Abandons our half of a request stream. The peer's half goes on.
    pub fn reset(&mut self, stream: StreamId, code: Code) {
        if let Some(key) = self.exchanges.find(stream) {
            if self.reset_sending(key, code) {
                self.stats().on_error_sent(code);
            }
            self.free_if_over(key);
        }
    }

    /// Tells the peer that the rest of its half of a request stream is not wanted; no further event tells of it. A server
    /// that answers without reading all of the request uses H3_NO_ERROR (RFC 9114 §4.1).
    pub fn stop(&mut self, stream: StreamId, code: Code) {
        if let Some(key) = self.exchanges.find(stream) {
            if self.stop_receiving(key, code) {
                self.stats().on_error_sent(code);
            }
            self.free_if_over(key);
        }
    }

    /// The application reads no more of the peer's half of a request stream: as [`Self::stop`], with the code that fits.
    pub fn stop_reading(&mut self, stream: StreamId) {
        let code = match self.side {
            //= https://www.rfc-editor.org/rfc/rfc9114#section-4.1
            //# The error
            //# code H3_NO_ERROR SHOULD be used when requesting that the client stop sending on
            //# the request stream.
            Side::Server => Code::H3_NO_ERROR,
            Side::Client => Code::H3_REQUEST_CANCELLED,
        };
        self.stop(stream, code);
    }

    /// Closes the connection: H3_NO_ERROR at the end of a graceful shutdown.
    pub fn close(&mut self, code: Code, reason: &'static str) {
        if !self.closed {
            self.stats().on_error_sent(code);
            self.outbox.push(Output::Close { code, reason });
            self.forget();
        }
    }
}

/// The ways out of the table.
impl Connection {
    /// What the peer sent on the stream is wrong.
    pub(super) fn fail_exchange(&mut self, key: usize, error: StreamError) {
        self.end_exchange(key, error.code, EndReason::Error(error));
    }

    /// Ends both halves, and tells the application if it knows of the request.
    pub(super) fn end_exchange(&mut self, key: usize, code: Code, reason: EndReason) {
        let Some(exchange) = self.exchanges.get(key) else { return };
        let (stream, known) = (exchange.stream, exchange.known);
        self.abandon(key, code);
        if known {
            self.push_event(Event::Ended { stream, reason });
        }
        self.free(key);
    }

    /// Ends what is not over of both halves.
    fn abandon(&mut self, key: usize, code: Code) {
        let said = self.reset_sending(key, code);
        let said = self.stop_receiving(key, code) || said;
        if said {
            self.stats().on_error_sent(code);
        }
    }

    /// Resets our half, if it is not over. Whether it was not.
    fn reset_sending(&mut self, key: usize, code: Code) -> bool {
        let Some(exchange) = self.exchanges.get(key) else { return false };
        let stream = exchange.stream;
        let is_sending = exchange.is_sending();
        if is_sending {
            self.forget_sending(key);
            self.outbox.push(Output::Reset { stream, code });
        }
        is_sending
    }

    /// Nothing more is sent.
    fn forget_sending(&mut self, key: usize) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        exchange.send = Send::Over;
        exchange.unsent = 0;
        exchange.wants_room = false;
    }

    /// Stops the peer's half, if it is not over. Whether the peer hears of it.
    pub(super) fn stop_receiving(&mut self, key: usize, code: Code) -> bool {
        let Some(exchange) = self.exchanges.get_mut(key) else { return false };
        if exchange.receive == Receive::Done {
            return false;
        }
        let (stream, fin, held) = (exchange.stream, exchange.fin, exchange.charged);
        exchange.receive = Receive::Done;
        exchange.hold = Hold::None;
        exchange.kept.clear();
        exchange.charged = 0;
        //= https://www.rfc-editor.org/rfc/rfc9204#section-4.4.2
        //# When a stream is reset or reading is abandoned, the decoder emits a Stream
        //# Cancellation instruction.
        self.decoder.cancel(stream.as_u64());
        if fin {
            // All of it is here, and let go.
            self.outbox.consumed(stream, held);
        } else {
            self.outbox.push(Output::Stop { stream, code });
        }
        !fin
    }

    /// Forgets an exchange of which both halves are over.
    pub(super) fn free_if_over(&mut self, key: usize) {
        let is_over =
            |exchange: &super::exchange::Exchange| exchange.receive == Receive::Done && !exchange.is_sending();
        if self.exchanges.get(key).is_some_and(is_over) {
            self.free(key);
        }
    }

    fn free(&mut self, key: usize) {
        let Some(exchange) = self.exchanges.get_mut(key) else { return };
        let (stream, known) = (exchange.stream, exchange.known);
        if let Some(tunnel) = exchange.tunnel.take() {
            self.stats().on_tunnel(tunnel, false);
        }
        if !known && self.side == Side::Server {
            let _forgotten = self.take_priority(stream);
        }
        self.exchanges.remove(key);
        if self.exchanges.is_empty() {
            self.next_check = None;
        }
        self.on_exchange_over();
    }

    /// Whether that was the last one.
    pub(super) fn on_exchange_over(&mut self) {
        let ends = match self.side {
            Side::Server => self.goaway_sent.is_some_and(|id| id.div_ceil(4) <= self.next_request),
            Side::Client => self.goaway_received.is_some() || self.goaway_sent == Some(0),
        };
        if ends && !self.drained && self.exchanges.is_empty() && self.pending.is_empty() {
            self.drained = true;
            self.push_event(Event::Drained);
        }
    }

    /// Closes the connection for an error of the peer's.
    pub(super) fn close_with(&mut self, error: ConnectionError) {
        if self.closed {
            return;
        }
        self.stats().on_error_sent(error.code);
        // What waits to be sent is of no use any more.
        self.outbox.clear();
        self.outbox.push(Output::Close { code: error.code, reason: error.reason });
        self.forget();
        self.push_event(Event::Closed(error));
    }

    /// Gives back everything that is kept for streams.
    pub(super) fn forget(&mut self) {
        self.closed = true;
        self.exchanges = Exchanges::default();
        self.stalled.clear();
        self.incoming = super::incoming::Incoming::default();
        self.pending = super::requests::Pending::default();
        self.early_priorities.clear();
        self.next_check = None;
        self.feedback = super::feedback::Feedback::default();
        self.encoder = qpack::Encoder::new(qpack::EncoderConfig { max_table_capacity: 0, max_blocked_streams: 0 });
        self.decoder = qpack::Decoder::new(qpack::DecoderConfig {
            max_table_capacity: 0,
            max_blocked_streams: 0,
            ..self.config.decoder()
        });
    }
}
