//! How the end of an actor is told: to its owner, with the cause.

use actix::Message;
use codec::StreamId;

/// Which child ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Child {
    /// A connection, by its key on the shard and the generation of the key.
    Connection { key: usize, generation: u32 },
    /// A connection's keeper of short streams.
    Streams,
    /// A stream with an actor of its own.
    Stream(StreamId),
    /// One of a shard's single actors.
    Socket,
    /// Likewise.
    Dispatcher,
    /// Likewise.
    Pacer,
    /// Likewise.
    Timer,
}

/// Why it ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Cause {
    /// Its work was done.
    Finished,
    /// It panicked: a fault of ours.
    Panicked,
}

/// An actor ended. From: the actor itself, once, as its last word. To: its owner. No credit: at most one a child.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Down {
    pub(crate) child: Child,
    pub(crate) cause: Cause,
}

/// Ends an actor in good order. From: its owner.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Stop;

/// Makes an actor panic in its handler, to show what that costs. Only in builds with fault injection.
#[cfg(feature = "fault-injection")]
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Panic;
