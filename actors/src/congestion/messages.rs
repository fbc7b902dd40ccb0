//! The inbox of `CongestionActor`.

use actix::Message;
use congestion::{Algorithm, Order};
use tokio::sync::oneshot;

use crate::api::congestion::CongestionReport;

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

/// Say what you know and give way: the controller of this order goes on from it. From: the connection, once.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct GiveWay(pub(crate) Box<Order>);

/// Have this controller watch, or none: it hears what the real one hears, and only says what it would do. From: the
/// connection.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct SetShadow(pub(crate) Option<Box<Algorithm>>);

/// The path is another one, of which nothing is known: go on with this controller, and answer for this path. From: the
/// connection.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct NewPath {
    pub(crate) path: u32,
    pub(crate) controller: Box<dyn congestion::Controller>,
}

/// Say how things are. From: the connection, on behalf of a handle.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Report {
    /// What the connection knows: whether a person or the application chose the controller.
    pub(crate) is_chosen: bool,
    pub(crate) reply: oneshot::Sender<CongestionReport>,
}
