//! The inbox of `StreamsActor`.

use actix::Message;
use transport::output::CloseReason;
use transport::stream::StreamInput;

/// Facts about a connection's streams, of one turn, in order.
///
/// From: the connection (or `StreamsActor`, for a promoted stream), at most one a turn. Batch: what one turn's datagrams
/// carried, bounded by the datagrams of a turn. Credit: the bytes are charged to the flow-control windows, everything
/// else is bounded by the stream limits. Without credit: the peer waits.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StreamsInput {
    pub(crate) inputs: Vec<StreamInput>,
}

/// The application did something: look at the connection's port.
///
/// From: handles on any thread; at most one on its way for each connection. No credit needed.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StreamsWork;

/// The connection is over. From: the connection, once.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct ConnectionEnded {
    pub(crate) reason: CloseReason,
}

/// No handle is left: close the connection as soon as everything that was finished is acknowledged. From: the
/// connection, once.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct CloseWhenIdle;

/// A promoted stream is done and need not be known any more. From: its `StreamActor`, once.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StreamClosed {
    pub(crate) id: codec::StreamId,
}
