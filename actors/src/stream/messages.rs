//! The inbox of `StreamActor`, besides [`StreamsInput`](crate::streams::messages::StreamsInput).

use actix::Message;

/// The application did something with the stream: look at its port.
///
/// From: handles on any thread; at most one on its way for each stream. No credit needed.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StreamWork;
