//! The inbox of `CongestionActor`.

use actix::Message;

/// What one turn showed of the path.
///
/// From: the connection, at most one a turn. Credit: one; the connection sends nothing that needs permission before the
/// answer, and adds up what happens meanwhile.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Observed(pub(crate) Box<::congestion::Observed>);

/// Datagrams of this many bytes fit the path now. From: the connection.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct DatagramSizeChanged(pub(crate) u16);

/// Say what you know and end: another controller goes on from it. From: the connection, once.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct TakeSnapshot;
