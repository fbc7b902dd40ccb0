//! [`Incoming`]: somebody knocks.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix::Recipient;
use codec::ConnectionId;
use tokio::sync::oneshot;
use transport::endpoint::{Attempt, AttemptKey};

use super::endpoint::{ConnectError, Connecting};
use crate::dispatcher::messages::{DecideIncoming, Verdict};

/// A client's attempt to connect, to be decided about.
///
/// Whoever drops it refuses it. What the client sends meanwhile is kept, up to 16 KiB. After ten seconds the client has
/// given up, and accepting it fails.
#[derive(Debug)]
pub struct Incoming {
    key: AttemptKey,
    attempt: Attempt,
    decisions: Recipient<DecideIncoming>,
    decided: bool,
}

impl Incoming {
    pub(crate) const fn new(key: AttemptKey, attempt: Attempt, decisions: Recipient<DecideIncoming>) -> Self {
        Self { key, attempt, decisions, decided: false }
    }

    /// Begins the handshake; the connection is there when the returned future says so.
    ///
    /// # Errors
    /// [`ConnectError::Closed`] if the endpoint is gone.
    pub fn accept(self) -> Result<Connecting, ConnectError> {
        self.accept_as(None)
    }

    /// The same with other TLS settings than the endpoint's.
    ///
    /// # Errors
    /// [`ConnectError::Closed`] if the endpoint is gone.
    pub fn accept_with(self, config: Arc<tls::ServerConfig>) -> Result<Connecting, ConnectError> {
        self.accept_as(Some(config))
    }

    fn accept_as(mut self, tls: Option<Arc<tls::ServerConfig>>) -> Result<Connecting, ConnectError> {
        if !self.decisions.connected() {
            return Err(ConnectError::Closed);
        }
        let (reply, answer) = oneshot::channel();
        self.decide(Verdict::Accept { tls, reply });
        Ok(Connecting::accepted(answer))
    }

    /// Tells the client that it is refused (CONNECTION_REFUSED). It is told nothing if too many are.
    pub fn refuse(mut self) {
        self.decide(Verdict::Refuse);
    }

    /// Asks the client to prove its address (RFC 9000 §8.1.2); it comes again as another attempt, which
    /// [is validated](Self::remote_address_validated).
    ///
    /// # Errors
    /// [`RetryError`], with the attempt, if the client has done so already: it may be asked only once.
    pub fn retry(mut self) -> Result<(), RetryError> {
        if !self.may_retry() {
            return Err(RetryError(Box::new(self)));
        }
        self.decide(Verdict::Retry);
        Ok(())
    }

    /// Forgets the attempt without a word. The client tries again for a while, which makes new attempts.
    pub fn ignore(mut self) {
        self.decide(Verdict::Ignore);
    }

    /// The client's address. Anybody can pretend to have it, unless [it is validated](Self::remote_address_validated).
    pub const fn remote_address(&self) -> SocketAddr {
        self.attempt.accepted.attempt.remote
    }

    /// The address of ours that the client spoke to, where the system says.
    pub const fn local_ip(&self) -> Option<IpAddr> {
        self.attempt.local
    }

    /// Whether the client has shown that it is at its address, by a token.
    pub const fn remote_address_validated(&self) -> bool {
        self.attempt.accepted.validated
    }

    /// Whether [`Self::retry`] is possible.
    pub const fn may_retry(&self) -> bool {
        self.attempt.may_retry()
    }

    /// The connection id that the client's very first packet went to: the key of qlog files.
    pub const fn orig_dst_cid(&self) -> ConnectionId {
        self.attempt.accepted.original_destination
    }

    #[cfg(test)]
    pub(crate) const fn key(&self) -> AttemptKey {
        self.key
    }

    fn decide(&mut self, verdict: Verdict) {
        if !std::mem::replace(&mut self.decided, true) {
            self.decisions.do_send(DecideIncoming { attempt: self.key, verdict });
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.decide(Verdict::Refuse);
    }
}

/// The client has proven its address already, and may be asked only once (RFC 9000 §8.1.2).
#[derive(Debug, thiserror::Error)]
#[error("the client at {} has proven its address already, and may be asked only once", .0.remote_address())]
pub struct RetryError(Box<Incoming>);

impl RetryError {
    /// The attempt, which still waits to be decided about.
    pub fn into_incoming(self) -> Incoming {
        *self.0
    }
}
