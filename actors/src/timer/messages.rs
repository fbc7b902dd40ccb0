//! What the timer actor hears, and what it says.
//!
//! No edge here needs credit: a connection says at most one thing a turn, and hears at most one for each it said.

use actix::{Message, Recipient};
use codec::Time;

/// Somebody will want to be woken. The recipient is told under this key and generation until [`Deregister`].
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
    pub(crate) recipient: Recipient<DeadlineReached>,
}

/// Nobody is to be woken under this key and generation any more. From: a connection, once, at its end.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Deregister {
    pub(crate) key: usize,
    pub(crate) generation: u32,
}

/// A registered deadline is now this; it takes the place of the one before.
///
/// From: a connection, at most one a turn, and only when it became earlier or much later, or there was none: one that moved
/// a little later is found out when the earlier one is reached. After [`DeadlineReached`] there is none.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct DeadlineChanged {
    pub(crate) key: usize,
    pub(crate) generation: u32,
    pub(crate) at: Time,
}

/// A deadline was reached. To: whoever registered it.
///
/// From: the timer, once for each deadline announced, never early.
#[derive(Clone, Copy, Debug, Eq, Message, PartialEq)]
#[rtype(result = "()")]
pub(crate) struct DeadlineReached {
    /// What time it is; not before the deadline.
    pub(crate) at: Time,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_small() {
        assert!(size_of::<Register>() <= 64);
        assert!(size_of::<Deregister>() <= 64);
        assert!(size_of::<DeadlineChanged>() <= 64);
        assert!(size_of::<DeadlineReached>() <= 64);
    }
}
