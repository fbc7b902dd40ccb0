//! The inbox of `Http3Actor`.

use actix::Message;

/// Somebody rang: look at the bell.
///
/// From: streams, services, handles, on any thread; at most one on its way for each connection. No credit needed.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Http3Work;
