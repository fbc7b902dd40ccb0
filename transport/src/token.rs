//! [`Token`]: what a sent packet meant to whoever filled it.

use bytes::Bytes;
use codec::{Direction, StreamId};
use recovery::SpaceId;
use smallvec::SmallVec;

/// One thing a packet carried. When the packet is acknowledged or lost, it goes back to its owner.
///
/// A token is in exactly one place: in a packet in flight, or waiting to be sent again. So nothing is counted twice.
#[derive(Clone, Debug)]
pub enum Token {
    /// An ACK frame: once the peer has it, ranges up to `largest` need not be reported again (RFC 9000 §13.2.4).
    Ack {
        /// The space whose packets were acknowledged.
        space: SpaceId,
        /// The largest packet number reported.
        largest: u64,
    },
    /// CRYPTO bytes.
    Crypto {
        /// The space they travel in.
        space: SpaceId,
        /// Where they belong, and the bytes. They are apart because there are few: every packet in flight has room for
        /// two tokens.
        piece: Box<(u64, Bytes)>,
    },
    /// STREAM bytes.
    Stream {
        /// Of which stream.
        id: StreamId,
        /// Where they belong.
        offset: u64,
        /// How many; none when only the end was sent.
        length: u32,
        /// Whether the frame carried the end of the stream.
        fin: bool,
    },
    /// RESET_STREAM.
    ResetStream {
        /// Of which stream.
        id: StreamId,
    },
    /// STOP_SENDING.
    StopSending {
        /// On which stream.
        id: StreamId,
    },
    /// MAX_DATA.
    MaxData {
        /// The limit that was announced.
        maximum: u64,
    },
    /// MAX_STREAM_DATA.
    MaxStreamData {
        /// On which stream.
        id: StreamId,
        /// The limit that was announced.
        maximum: u64,
    },
    /// MAX_STREAMS.
    MaxStreams {
        /// Of which kind.
        direction: Direction,
        /// The limit that was announced.
        maximum: u64,
    },
    /// DATA_BLOCKED.
    DataBlocked {
        /// The limit we are blocked at.
        limit: u64,
    },
    /// STREAM_DATA_BLOCKED.
    StreamDataBlocked {
        /// On which stream.
        id: StreamId,
        /// The limit we are blocked at.
        limit: u64,
    },
    /// STREAMS_BLOCKED.
    StreamsBlocked {
        /// Of which kind.
        direction: Direction,
        /// The limit we are blocked at.
        limit: u64,
    },
    /// NEW_CONNECTION_ID.
    NewConnectionId {
        /// Its sequence number.
        sequence: u64,
    },
    /// RETIRE_CONNECTION_ID.
    RetireConnectionId {
        /// The sequence number of the id that is given up.
        sequence: u64,
    },
    /// NEW_TOKEN.
    NewToken {
        /// The token.
        token: Box<Bytes>,
    },
    /// HANDSHAKE_DONE.
    HandshakeDone,
    /// PING, or anything else that only had to be acknowledged.
    Ping,
    /// A DATAGRAM frame: never sent again (RFC 9221 §5).
    Datagram,
}

/// The tokens of one packet.
pub type Tokens = SmallVec<[Token; 2]>;

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn a_token_is_three_words() {
        assert_eq!(size_of::<Token>(), 24);
    }
}
