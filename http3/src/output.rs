//! What a [`Connection`](crate::Connection) wants done ([`Output`]), and what it tells ([`Event`]).

use bytes::Bytes;
use codec::{Direction, StreamId};
use http::{HeaderMap, Request, Response};

use crate::error::{Code, ConnectionError, StreamError};
use crate::message::HeadError;
use crate::priority::Priority;
use crate::settings::Settings;

/// A request of ours, from [`Connection::request`](crate::Connection::request) until it has a stream.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RequestKey(pub u64);

/// What a stream is opened for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Opening {
    /// Our control stream. The connection cannot live without it.
    Control,
    /// The stream of our QPACK encoder.
    QpackEncoder,
    /// The stream of our QPACK decoder.
    QpackDecoder,
    /// A stream without meaning. It need not be opened.
    Grease,
    /// A request.
    Request(RequestKey),
}

impl Opening {
    /// Of which kind the stream is.
    pub const fn direction(self) -> Direction {
        match self {
            Self::Request(_) => Direction::Bidirectional,
            _ => Direction::Unidirectional,
        }
    }

    /// Whether what comes on other streams cannot be understood before what comes on this one: it goes before all others.
    pub const fn goes_first(self) -> bool {
        matches!(self, Self::Control | Self::QpackEncoder | Self::QpackDecoder)
    }
}

/// An order to the transport. To be carried out in the order in which they are polled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    /// Open a stream, as soon as the peer permits, and report it with
    /// [`Connection::handle_opened`](crate::Connection::handle_opened).
    Open(Opening),
    /// Send these bytes after all earlier ones, and report with
    /// [`Connection::handle_sent`](crate::Connection::handle_sent) when the transport took them.
    Write {
        /// On which stream.
        stream: StreamId,
        /// The bytes; may be empty when only the end is to be sent.
        data: Bytes,
        /// Whether the stream ends after them.
        fin: bool,
    },
    /// Abandon the sending half. What was written and not sent may be forgotten.
    Reset {
        /// Which stream.
        stream: StreamId,
        /// The code of RESET_STREAM.
        code: Code,
    },
    /// Ask the peer to stop sending. What still arrives is not wanted, and all bytes of the stream count as consumed.
    Stop {
        /// Which stream.
        stream: StreamId,
        /// The code of STOP_SENDING.
        code: Code,
    },
    /// These received bytes are held no longer: flow-control credit may be returned to the peer.
    Consumed {
        /// Of which stream.
        stream: StreamId,
        /// How many since the last report.
        bytes: u64,
    },
    /// Send a datagram: both parts, one after the other. It may be dropped.
    Datagram {
        /// What stands before the payload.
        prefix: Bytes,
        /// What the application gave.
        payload: Bytes,
    },
    /// Close the connection. Always the last.
    Close {
        /// The code of CONNECTION_CLOSE.
        code: Code,
        /// For people.
        reason: &'static str,
    },
}

/// Something the application should know.
///
/// Events of one stream come in order. A request ends with [`Self::Ended`], or when both halves are complete: the peer's
/// with [`Self::Finished`], ours when everything is sent.
#[derive(Debug)]
pub enum Event {
    /// Our request has its stream, and its head is on the way.
    RequestOpened {
        /// What [`Connection::request`](crate::Connection::request) returned.
        key: RequestKey,
        /// Its stream.
        stream: StreamId,
    },
    /// Our request was given up before it had a stream. Nothing of it was sent.
    RequestFailed {
        /// What [`Connection::request`](crate::Connection::request) returned.
        key: RequestKey,
        /// Why.
        reason: RequestFailure,
    },
    /// A request begins.
    Request {
        /// Its stream.
        stream: StreamId,
        /// Method, target, fields; see [`RequestHead::head`](crate::message::RequestHead::head).
        head: Box<Request<()>>,
        /// How its response is to be scheduled.
        priority: Priority,
    },
    /// An interim response (1xx) to a request of ours.
    Informational {
        /// Its stream.
        stream: StreamId,
        /// Status and fields.
        head: Box<Response<()>>,
    },
    /// The final response to a request of ours begins.
    Response {
        /// Its stream.
        stream: StreamId,
        /// Status and fields.
        head: Box<Response<()>>,
    },
    /// The next bytes of the peer's content, or of the tunnel. They stay charged to the peer until
    /// [`Connection::data_consumed`](crate::Connection::data_consumed).
    Data {
        /// Of which stream.
        stream: StreamId,
        /// The bytes: a slice of what was received. Never empty.
        data: Bytes,
    },
    /// The peer's trailers. Only [`Self::Finished`] follows.
    Trailers {
        /// Of which stream.
        stream: StreamId,
        /// The fields.
        trailers: Box<HeaderMap>,
    },
    /// The peer's message is complete. Nothing more comes on this stream.
    Finished {
        /// Which stream.
        stream: StreamId,
    },
    /// The peer does not want the rest of our request; what it answers still comes (RFC 9114 §4.1). The sending half is
    /// over.
    SendStopped {
        /// Which stream.
        stream: StreamId,
        /// The code of STOP_SENDING.
        code: Code,
    },
    /// There is room again for what is to be sent, after it had been used up.
    Writable {
        /// Which stream.
        stream: StreamId,
    },
    /// The request and its response are given up, both halves. Always the last event of its stream.
    Ended {
        /// Which stream.
        stream: StreamId,
        /// Why.
        reason: EndReason,
    },
    /// The response to a request is to be scheduled anew: what is still to come of it, and what the transport has and did
    /// not send yet. So it may come after the last event of its stream.
    PriorityChanged {
        /// Which stream.
        stream: StreamId,
        /// How.
        priority: Priority,
    },
    /// An HTTP datagram.
    Datagram {
        /// The request that it belongs to.
        stream: StreamId,
        /// What it carries; possibly nothing.
        payload: Bytes,
    },
    /// The peer's settings.
    Settings(Settings),
    /// The peer shuts the connection down: no further request will be answered (RFC 9114 §5.2). Those that are known not
    /// to be have ended with [`EndReason::Unprocessed`].
    Goaway {
        /// At a client, the first stream that is not processed; at a server, a push ID, which means nothing.
        id: u64,
    },
    /// After a GOAWAY of either side, the last request is over: the connection may be closed.
    Drained,
    /// The connection is closed for an error of the peer's. Always the last event.
    Closed(ConnectionError),
}

/// Why a request was given up before it had a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RequestFailure {
    /// The server shuts the connection down. The request may be made again on another one.
    GoingAway,
    /// What the server said since it was made forbids it.
    Head(HeadError),
}

/// Why a request ended before it was complete.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EndReason {
    /// The peer reset its half of the stream, with this code.
    Reset(Code),
    /// The peer, a client, no longer wants the response, and said this code.
    Stopped(Code),
    /// What the peer sent is wrong.
    Error(StreamError),
    /// The server did nothing with it: it rejected it, or named it in GOAWAY.
    Unprocessed,
    /// The peer took nothing of the response for [`limits::BLOCKED_TIME`](crate::limits::BLOCKED_TIME).
    Blocked,
    /// The peer, a client, sent its request too slowly ([`limits::CONTENT_RATE`](crate::limits::CONTENT_RATE),
    /// [`limits::REQUEST_TIME`](crate::limits::REQUEST_TIME)).
    Slow,
}

impl EndReason {
    /// Whether a request that ended so may be made again on another connection, whatever its method is
    /// (RFC 9114 §4.1.1).
    pub fn may_be_retried(self) -> bool {
        self == Self::Unprocessed
    }
}
