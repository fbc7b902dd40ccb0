//! HTTP datagrams in DATAGRAM frames (RFC 9297 §2).

use std::fmt;

use bytes::Bytes;
use codec::{StreamId, Time};

use super::Connection;
use super::exchange::Receive;
use crate::datagram;
use crate::error::{Code, ConnectionError, StreamError};
use crate::output::{Event, Output};

/// Why a datagram was not sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SendDatagramError {
    /// Not both ends have said that they accept HTTP datagrams (RFC 9297 §2.1.1): use capsules.
    Unsupported,
    /// The request is gone, or its sending half is over.
    Gone,
    /// The request has no use for datagrams: it is no extended CONNECT, and
    /// [`Connection::accept_datagrams`] was not called.
    NotForThis,
}

impl fmt::Display for SendDatagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsupported => "not both ends accept HTTP datagrams: use capsules",
            Self::Gone => "the request is gone, or nothing more is sent on it",
            Self::NotForThis => "the request has no use for datagrams",
        })
    }
}

impl std::error::Error for SendDatagramError {}

impl Connection {
    /// The payload of a DATAGRAM frame.
    pub fn handle_datagram(&mut self, now: Time, datagram: Bytes) {
        self.now = now;
        if !self.closed {
            let result = self.on_datagram(datagram);
            self.close_on(result);
        }
    }

    fn on_datagram(&mut self, datagram: Bytes) -> Result<(), ConnectionError> {
        if !self.local.h3_datagram {
            // Something else's.
            self.stats().datagrams.dropped += 1;
            return Ok(());
        }
        let (stream, payload) = datagram::decode(datagram)?;
        //= https://www.rfc-editor.org/rfc/rfc9297#section-2.1
        //# If an HTTP/3 Datagram is received and its Quarter Stream ID maps to a stream
        //# that cannot be created due to client-initiated bidirectional stream limits, it
        //# SHOULD be treated as an HTTP/3 connection error of type H3_ID_ERROR.
        if self.is_beyond_limit(stream) {
            return Err(ConnectionError::new(Code::H3_ID_ERROR, "a datagram for a stream beyond the limit"));
        }
        //= https://www.rfc-editor.org/rfc/rfc9297#section-2.1
        //# If a datagram is received after the corresponding stream's receive side is
        //# closed, the received datagrams MUST be silently dropped.
        //= https://www.rfc-editor.org/rfc/rfc9297#section-2.1
        //# If an HTTP/3 Datagram is received and its Quarter Stream ID maps to a stream
        //# that has not yet been created, the receiver SHALL either drop that datagram
        //# silently or buffer it temporarily (on the order of a round trip) while awaiting
        //# the creation of the corresponding stream.
        let key = self.exchanges.find(stream);
        let exchange = key.and_then(|key| self.exchanges.get(key));
        let Some(exchange) = exchange.filter(|exchange| exchange.known && exchange.receive != Receive::Done) else {
            self.stats().datagrams.dropped += 1;
            return Ok(());
        };
        if exchange.datagrams {
            self.stats().datagrams.received += 1;
            self.push_event(Event::Datagram { stream, payload });
        } else if let Some(key) = key {
            //= https://www.rfc-editor.org/rfc/rfc9297#section-2
            //# If an HTTP Datagram is received and it is associated with a request that has no
            //# known semantics for HTTP Datagrams, the receiver MUST terminate the request; if
            //# HTTP/3 is in use, the request stream MUST be aborted with H3_DATAGRAM_ERROR
            //# (0x33).
            self.stats().datagrams.dropped += 1;
            self.fail_exchange(key, StreamError::new(Code::H3_DATAGRAM_ERROR, "a datagram for a request without any"));
        }
        Ok(())
    }

    /// Datagrams belong to this request, though it is no extended CONNECT.
    pub fn accept_datagrams(&mut self, stream: StreamId) {
        if let Some(exchange) = self.exchanges.find(stream).and_then(|key| self.exchanges.get_mut(key)) {
            exchange.datagrams = true;
        }
    }

    /// Sends an HTTP datagram for a request. It may be lost; how large it may be, the transport knows.
    pub fn send_datagram(&mut self, stream: StreamId, payload: Bytes) -> Result<(), SendDatagramError> {
        let sent = self.try_send_datagram(stream, payload);
        if sent.is_err() {
            self.stats().datagrams.dropped += 1;
        }
        sent
    }

    fn try_send_datagram(&mut self, stream: StreamId, payload: Bytes) -> Result<(), SendDatagramError> {
        //= https://www.rfc-editor.org/rfc/rfc9297#section-2.1.1
        //# QUIC DATAGRAM frames MUST NOT be sent until the SETTINGS_H3_DATAGRAM setting
        //# has been both sent and received with a value of 1.
        let supported = self.local.h3_datagram && self.peer_settings().is_some_and(|settings| settings.h3_datagram);
        if !supported {
            return Err(SendDatagramError::Unsupported);
        }
        //= https://www.rfc-editor.org/rfc/rfc9297#section-2.1
        //# HTTP/3 Datagrams MUST NOT be sent unless the corresponding stream's send side is
        //# open.
        let exchange = self.exchanges.of(stream).filter(|exchange| exchange.may_write());
        match exchange {
            None => Err(SendDatagramError::Gone),
            Some(exchange) if !exchange.datagrams => Err(SendDatagramError::NotForThis),
            Some(_) => {
                let prefix = self.outbox.piece(|out| datagram::put_prefix(out, stream));
                self.outbox.push(Output::Datagram { prefix, payload });
                self.stats().datagrams.sent += 1;
                Ok(())
            }
        }
    }
}
