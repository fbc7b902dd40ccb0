//! The inbox of `ConnectionActor`.

use std::rc::Rc;

use actix::{Message, Recipient};
use bytes::Bytes;
use codec::{StreamId, Time};
use congestion::Window;
use smallvec::SmallVec;
use tokio::sync::oneshot;
use transport::output::ReceivedDatagrams;
use transport::stream::StreamOutput;

use crate::api::congestion::SetCongestionError;
use crate::meter::Meter;
use crate::streams::messages::StreamsInput;

/// Datagrams for one connection, in arrival order.
///
/// From: the dispatcher, at most one for each connection and socket read. Batch: the datagrams of one socket read.
/// Credit: [`INPUT_BATCHES`](crate::config::INPUT_BATCHES) for each connection, given back when the turn is done. Without
/// credit: dropped and counted (`mailbox_full`); QUIC repeats.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct ConnectionInput {
    pub(crate) at: Time,
    pub(crate) datagrams: Box<SmallVec<[ReceivedDatagrams; 1]>>,
}

/// What the keepers of the streams' bytes wish.
///
/// From: `StreamsActor` and each `StreamActor`, at most one a turn. Batch: what one turn made. Credit: the send credit of
/// each stream, which the connection grants.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StreamsOutput {
    pub(crate) outputs: Vec<StreamOutput>,
}

/// The congestion controller's answer to `Observed`. From: the current path's `CongestionActor`, one for each question.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct WindowUpdated {
    pub(crate) path: u32,
    pub(crate) window: Window,
    pub(crate) state: &'static str,
}

/// A controller gives way to another. From: a `CongestionActor`; the successor once in its life.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct ControllerGaveWay {
    pub(crate) path: u32,
    pub(crate) what: GaveWay,
}

/// See [`ControllerGaveWay`].
#[derive(Debug)]
pub(crate) enum GaveWay {
    /// This one goes on.
    Successor(Box<Successor>),
    /// The successor has not heard of this yet.
    Unheard(Box<congestion::Observed>),
    /// The successor is to have this one watch, or none.
    Shadow(Option<Box<congestion::Algorithm>>),
    /// The one that was ordered cannot be started; nothing has changed by it.
    Refused,
}

/// A controller that goes on from another, and what comes with it.
#[derive(Debug)]
pub(crate) struct Successor {
    pub(crate) seat: crate::congestion::Seat,
    pub(crate) change: congestion::Change,
}

/// A stream has an actor of its own now: its facts go there. From: `StreamsActor`, once a stream.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Promoted {
    pub(crate) id: StreamId,
    pub(crate) inputs: Recipient<StreamsInput>,
}

/// Close the connection with the application's code. From: handles. Without credit: repeated ones change nothing.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct CloseConnection {
    pub(crate) code: u64,
    pub(crate) reason: Bytes,
    /// Not before everything that was finished is acknowledged.
    pub(crate) when_idle: bool,
}

/// Go on with another congestion controller. From: handles, one at a time.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct SetCongestion {
    pub(crate) order: Box<congestion::Order>,
    pub(crate) reply: oneshot::Sender<Result<congestion::Change, SetCongestionError>>,
}

/// Look at the endpoint's rules for controllers. From: handles, when the rules are others now or a choice is given up.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct ApplyRules {
    /// What a person or the application chose is forgotten.
    pub(crate) clear_choice: bool,
}

/// Say how things are with the controller. From: handles.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct ReportCongestion {
    pub(crate) reply: oneshot::Sender<crate::api::congestion::CongestionReport>,
}

/// Send a DATAGRAM frame. From: handles; the queue is the machine's, which drops the oldest.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct SendDatagram {
    pub(crate) data: Bytes,
}

/// Begin a key update (RFC 9001 §6). From: handles.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct UpdateKeys {
    pub(crate) reply: oneshot::Sender<Result<(), tls::KeyUpdateError>>,
}

/// Start a task of the application on this thread. From: handles.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct RunTask(pub(crate) Task);

/// What is run on a shard.
pub(crate) type Task = Box<dyn FnOnce(&Rc<Meter>) + Send>;

impl std::fmt::Debug for RunTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RunTask")
    }
}

/// The peer's stateless reset arrived (RFC 9000 §10.3). From: the dispatcher.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StatelessResetReceived;

/// The shard's single actors were started anew: register again, and say again what was last asked of them. From: the
/// shard, after one of them panicked.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StageRestarted;

/// The endpoint's socket is another one now: what is sent leaves from another address. From: the shard, after it told the
/// socket.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct LocalAddressChanged;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_small() {
        fn size<T>() -> usize {
            size_of::<T>()
        }
        let sizes = [
            size::<ConnectionInput>(),
            size::<StreamsOutput>(),
            size::<WindowUpdated>(),
            size::<ControllerGaveWay>(),
            size::<Promoted>(),
            size::<CloseConnection>(),
            size::<SetCongestion>(),
            size::<SendDatagram>(),
            size::<UpdateKeys>(),
            size::<RunTask>(),
        ];
        assert!(sizes.iter().all(|size| *size <= 64), "{sizes:?}");
    }
}
