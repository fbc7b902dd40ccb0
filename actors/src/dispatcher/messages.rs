//! What the dispatcher hears. What it says stands in the inboxes of those it says it to.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use actix::Message;
use codec::{Time, Version};
use smallvec::SmallVec;
use tokio::sync::oneshot;
use transport::endpoint::AttemptKey;
use transport::output::{ReceivedDatagrams, RouteChange};

use crate::api::endpoint::{Begun, ConnectError};

/// Which ids lead to a connection has changed.
///
/// From: a connection, at most one a turn, always before the datagrams that tell the peer. Batch: what one turn changed,
/// a handful. No credit: the machine issues at most as many ids as its peer may hold.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct RoutesChanged {
    pub(crate) key: usize,
    pub(crate) generation: u32,
    pub(crate) changes: Box<SmallVec<[RouteChange; 4]>>,
}

/// Datagrams that landed on another shard although their id says that they belong here.
///
/// From: the dispatchers of other shards. Batch: a run of datagrams with one destination id. Credit: a [`Window`] of
/// [`FORWARD_WINDOW`](crate::config::FORWARD_WINDOW) for each receiving shard, across threads. Without credit:
/// dropped and counted (`mailbox_full`); QUIC repeats.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct DatagramsForwarded {
    pub(crate) at: Time,
    pub(crate) datagrams: Box<ReceivedDatagrams>,
    /// The credit, given back when this is dropped, wherever that happens.
    pub(crate) permit: Permit,
}

/// A handshake is complete, or failed: it is no longer in progress.
///
/// From: the watcher that the dispatcher starts for each connection, once. No credit: one a connection.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct HandshakeOver {
    pub(crate) key: usize,
    pub(crate) generation: u32,
}

/// Begin a connection to a server. From: `Endpoint::connect`, through the shard. No credit: applications bound
/// themselves.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Connect {
    pub(crate) order: Box<ConnectOrder>,
    pub(crate) reply: oneshot::Sender<Result<Begun, ConnectError>>,
}

/// To which server, and how.
#[derive(Clone, Debug)]
pub(crate) struct ConnectOrder {
    pub(crate) remote: SocketAddr,
    pub(crate) server_name: tls::pki_types::ServerName<'static>,
    pub(crate) tls: Arc<tls::ClientConfig>,
    pub(crate) transport: Arc<transport::Config>,
    /// With which version, after the server said that it does not speak the one that was tried first.
    pub(crate) negotiated: Option<Version>,
    /// A token of an earlier connection, or nothing.
    pub(crate) token: bytes::Bytes,
}

/// What the application decided about an attempt. From: `Incoming`, through the shard, once each. No credit: bounded by
/// the attempts that may wait.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct DecideIncoming {
    pub(crate) attempt: AttemptKey,
    pub(crate) verdict: Verdict,
}

/// What shall become of an attempt.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Begin the connection, perhaps with other TLS settings than the endpoint's.
    Accept { tls: Option<Arc<tls::ServerConfig>>, reply: oneshot::Sender<Result<Begun, ConnectError>> },
    /// Say CONNECTION_REFUSED.
    Refuse,
    /// Ask for proof of the address.
    Retry,
    /// Say nothing.
    Ignore,
}

/// Accept no new connections any more. From: the shard, once or twice.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StopAccepting {
    /// Whether clients that try are told that they are refused, or nothing.
    pub(crate) say_so: bool,
}

/// Credit that reaches across threads. Cloning gives another handle to the same window.
#[derive(Clone, Debug)]
pub(crate) struct Window(Arc<AtomicU32>);

impl Window {
    pub(crate) fn new(size: u32) -> Self {
        Self(Arc::new(AtomicU32::new(size)))
    }

    /// Spends one; `None` if nothing is left.
    pub(crate) fn try_take(&self) -> Option<Permit> {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(1))
            .ok()
            .map(|_| Permit(Arc::clone(&self.0)))
    }
}

/// One unit of a [`Window`], given back when it is dropped: a mailbox that goes down with its actor loses no credit.
pub(crate) struct Permit(Arc<AtomicU32>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_small() {
        fn size<T>() -> usize {
            size_of::<T>()
        }
        let sizes = [
            size::<RoutesChanged>(),
            size::<DatagramsForwarded>(),
            size::<HandshakeOver>(),
            size::<Connect>(),
            size::<DecideIncoming>(),
        ];
        assert!(sizes.iter().all(|size| *size <= 64), "{sizes:?}");
    }

    #[test]
    fn credit_across_threads_comes_back_when_the_message_is_dropped() {
        let window = Window::new(2);
        let (first, second) = (window.try_take().unwrap(), window.try_take());
        assert!(second.is_some() && window.try_take().is_none());
        std::thread::spawn(move || drop(first)).join().unwrap();
        assert!(window.try_take().is_some());
    }
}
