//! What the pacer actor hears, and what it says.
//!
//! No edge here needs credit: a connection has at most one wish at a time, and hears one grant for each.

use actix::{Message, Recipient};
use codec::Time;

/// Somebody will want to send. Grants go to the recipient under this key and generation until [`Deregister`].
///
/// From: a connection, once in its life, and again when the shard's singletons were started anew. A new generation takes
/// the place of an old one with the same key.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Register {
    /// Its number on the shard.
    pub(crate) key: usize,
    /// Which of the connections that had that number.
    pub(crate) generation: u32,
    pub(crate) recipient: Recipient<TransmitGranted>,
}

/// Nothing is to be granted under this key and generation any more. From: a connection, once, at its end.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Deregister {
    pub(crate) key: usize,
    pub(crate) generation: u32,
}

/// A connection wants to send so much, not before that time. It takes the place of an earlier wish.
///
/// From: a connection, at most one a turn. It is granted once, and then a new wish is needed.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct TransmitWanted {
    pub(crate) key: usize,
    pub(crate) generation: u32,
    pub(crate) at: Time,
    pub(crate) bytes: u64,
}

/// The bytes may leave now. To: the connection that wanted it.
///
/// From: the pacer, once for each wish, never early.
#[derive(Clone, Copy, Debug, Eq, Message, PartialEq)]
#[rtype(result = "()")]
pub(crate) struct TransmitGranted {
    /// As many as were wanted.
    pub(crate) bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_small() {
        assert!(size_of::<Register>() <= 64);
        assert!(size_of::<Deregister>() <= 64);
        assert!(size_of::<TransmitWanted>() <= 64);
        assert!(size_of::<TransmitGranted>() <= 64);
    }
}
