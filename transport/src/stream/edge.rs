//! What a connection and the keeper of its streams' bytes tell each other.
//!
//! All of it may be delivered late: data carries its offset, credit is an absolute offset, and every other fact is true
//! forever once said. So a stream that moves to an actor of its own loses nothing if two routes overlap for a while.

use bytes::Bytes;
use codec::{Direction, StreamId};

use super::Priority;

/// A fact about a stream, from the connection to the keeper of its bytes.
#[derive(Clone, Debug)]
pub enum StreamInput {
    /// Nothing happens on the connection for now: room that only traffic needs may be given back.
    Rest,
    /// The peer opened the stream, by using it or one after it (RFC 9000 §3.2).
    Opened {
        /// Which.
        id: StreamId,
        /// How many bytes may be handed over for sending at once; zero on a stream that only receives.
        credit: u64,
    },
    /// Bytes arrived, already judged against flow control and final size. They may overlap earlier ones.
    Data {
        /// On which stream.
        id: StreamId,
        /// Where in the stream the first byte belongs.
        offset: u64,
        /// The bytes: a slice of the receive buffer.
        data: Bytes,
        /// Whether the stream ends after them.
        fin: bool,
    },
    /// The peer abandoned its sending half (RESET_STREAM, RFC 9000 §19.4).
    Reset {
        /// Which stream.
        id: StreamId,
        /// The application's code.
        code: u64,
    },
    /// The peer no longer wants what we send (STOP_SENDING, RFC 9000 §19.5). The connection has already answered with a
    /// RESET_STREAM; what was not sent is forgotten.
    Stopped {
        /// Which stream.
        id: StreamId,
        /// The application's code.
        code: u64,
    },
    /// Bytes up to this offset of the stream may be handed over for sending. Never shrinks; a smaller value is old news.
    Credit {
        /// Which stream.
        id: StreamId,
        /// The offset, counted from the start of the stream.
        until: u64,
    },
    /// Streams of this kind may be opened here until there are this many of them. Never shrinks.
    OpenLimit {
        /// Of which kind.
        direction: Direction,
        /// How many in all, from the first of the connection on.
        limit: u64,
        /// The send credit that each of them begins with.
        credit: u64,
    },
    /// Everything sent on the stream, and its end (or its reset), is acknowledged.
    Acknowledged {
        /// Which stream.
        id: StreamId,
    },
}

/// A wish concerning a stream, from the keeper of its bytes to the connection.
#[derive(Clone, Debug)]
pub enum StreamOutput {
    /// Send these bytes after all earlier ones. The first one opens a stream of ours. Never beyond the credit.
    Write {
        /// On which stream.
        id: StreamId,
        /// The bytes; may be empty when only the end is to be sent.
        data: Bytes,
        /// Whether the stream ends after them.
        fin: bool,
    },
    /// Abandon the sending half; forget what was not acknowledged.
    Reset {
        /// Which stream.
        id: StreamId,
        /// The application's code.
        code: u64,
    },
    /// Ask the peer to stop sending; bytes that still arrive are dropped, and count as consumed.
    Stop {
        /// Which stream.
        id: StreamId,
        /// The application's code.
        code: u64,
    },
    /// The application took these bytes: flow-control credit may be returned to the peer.
    Consumed {
        /// Of which stream.
        id: StreamId,
        /// How many since the last report.
        bytes: u64,
    },
    /// The application has seen the end of the receiving half, or stopped it: nothing of it is held any more. When the
    /// sending half is over as well, the peer may open another stream in its place.
    Released {
        /// Which stream.
        id: StreamId,
    },
    /// From now on the stream's bytes, also those that wait or are lost, are sent in this order. Opens a stream of ours;
    /// the peer hears of it with its first bytes.
    Prioritize {
        /// Which stream.
        id: StreamId,
        /// How urgent it is.
        priority: Priority,
    },
    /// Somebody waits to open a stream, and the last limit that was heard does not permit it.
    OpenWanted {
        /// Of which kind.
        direction: Direction,
        /// The last limit that was heard.
        limit: u64,
    },
}

impl StreamInput {
    /// The stream it is about, if it is about one.
    pub const fn id(&self) -> Option<StreamId> {
        match self {
            Self::Opened { id, .. }
            | Self::Data { id, .. }
            | Self::Reset { id, .. }
            | Self::Stopped { id, .. }
            | Self::Credit { id, .. }
            | Self::Acknowledged { id } => Some(*id),
            Self::OpenLimit { .. } | Self::Rest => None,
        }
    }
}
