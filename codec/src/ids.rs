//! The identifiers of the protocol: connection ids, stream ids, stateless reset tokens.

use core::fmt;

/// Which end of the connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Side {
    /// The endpoint that sent the first Initial.
    Client,
    /// The endpoint that answered it.
    Server,
}

impl Side {
    /// The other end.
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// Whether this is the client.
    pub const fn is_client(self) -> bool {
        matches!(self, Self::Client)
    }

    /// Whether this is the server.
    pub const fn is_server(self) -> bool {
        matches!(self, Self::Server)
    }
}

/// Whether data flows both ways on a stream (RFC 9000 §2.1).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Direction {
    /// Both ends send.
    Bidirectional,
    /// Only the initiator sends.
    Unidirectional,
}

/// A stream's number: 62 bits, the two lowest of which say who opened it and whether it is unidirectional
/// (RFC 9000 §2.1).
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamId(u64);

impl StreamId {
    /// The `index`-th stream (from zero) of its kind.
    pub const fn new(initiator: Side, direction: Direction, index: u64) -> Self {
        Self(
            index << 2
                | (matches!(direction, Direction::Unidirectional) as u64) << 1
                | matches!(initiator, Side::Server) as u64,
        )
    }

    /// The stream with this number, as read from a frame. Numbers above 2^62-1 cannot come from a varint.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number as it travels in frames.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Who opened it.
    pub const fn initiator(self) -> Side {
        if self.0 & 1 == 0 { Side::Client } else { Side::Server }
    }

    /// One way or both ways.
    pub const fn direction(self) -> Direction {
        if self.0 & 2 == 0 { Direction::Bidirectional } else { Direction::Unidirectional }
    }

    /// How many streams of its kind come before it.
    pub const fn index(self) -> u64 {
        self.0 >> 2
    }

    /// Whether `side` may send on it.
    pub fn may_send(self, side: Side) -> bool {
        self.direction() == Direction::Bidirectional || self.initiator() == side
    }

    /// Whether `side` may receive on it.
    pub fn may_receive(self, side: Side) -> bool {
        self.may_send(side.peer())
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} {}", self.initiator(), self.direction(), self.index())
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A connection id: 0 to 20 bytes, kept inline (RFC 9000 §5.1).
// Three words, aligned: 21 loose bytes are copied by stores that overlap, and who reads such a copy soon waits for them.
#[derive(Clone, Copy)]
#[repr(align(8))]
pub struct ConnectionId {
    length: u8,
    // Bytes past `length` are zero, so that comparison and hashing may look at all of them.
    bytes: [u8; Self::MAX_LENGTH],
}

impl ConnectionId {
    /// The longest connection id of QUIC version 1 (RFC 9000 §17.2).
    pub const MAX_LENGTH: usize = 20;
    /// The id of no bytes.
    pub const EMPTY: Self = Self { length: 0, bytes: [0; Self::MAX_LENGTH] };

    /// The id with these bytes, or `None` if there are more than [`Self::MAX_LENGTH`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut id = Self::EMPTY;
        id.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        // At most 20, so the conversion cannot fail.
        id.length = u8::try_from(bytes.len()).ok()?;
        Some(id)
    }

    /// The bytes of the id.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// How many bytes it has.
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether it has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl PartialEq for ConnectionId {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length && self.bytes == other.bytes
    }
}

impl Eq for ConnectionId {}

impl core::hash::Hash for ConnectionId {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// A stateless reset token: 16 bytes that only the endpoint that issued a connection id can know (RFC 9000 §10.3).
///
/// Not `PartialEq`: a token that came from the network is compared in constant time by whoever keeps tokens
/// (RFC 9000 §10.3.1).
#[derive(Clone, Copy)]
pub struct ResetToken(pub [u8; Self::LENGTH]);

impl ResetToken {
    /// Bytes in a token.
    pub const LENGTH: usize = 16;
}

impl fmt::Debug for ResetToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A token is a secret: who knows it can end the connection.
        f.write_str("ResetToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_ids_carry_initiator_and_direction() {
        // RFC 9000 §2.1, table 1.
        for (number, initiator, direction) in [
            (0, Side::Client, Direction::Bidirectional),
            (1, Side::Server, Direction::Bidirectional),
            (2, Side::Client, Direction::Unidirectional),
            (3, Side::Server, Direction::Unidirectional),
        ] {
            let id = StreamId::from_u64(number + 4 * 7);
            assert_eq!((id.initiator(), id.direction(), id.index()), (initiator, direction, 7));
            assert_eq!(StreamId::new(initiator, direction, 7), id);
        }
        assert!(StreamId::from_u64(3).may_send(Side::Server));
        assert!(!StreamId::from_u64(3).may_send(Side::Client));
        assert!(StreamId::from_u64(3).may_receive(Side::Client));
    }

    #[test]
    fn a_connection_id_has_at_most_20_bytes() {
        assert!(ConnectionId::new(&[7; 21]).is_none());
        let id = ConnectionId::new(&[7; 20]).unwrap();
        assert_eq!(id.as_bytes(), [7; 20]);
        assert_ne!(ConnectionId::new(&[0; 3]).unwrap(), ConnectionId::new(&[0; 4]).unwrap());
        assert!(ConnectionId::new(&[]).unwrap().is_empty());
    }
}
