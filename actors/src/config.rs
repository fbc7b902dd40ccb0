//! The sizes of the windows between actors, and what a user may choose about an endpoint.
//!
//! Every number is a guess that was measured once; `docs/adr/0001-batch-and-credit-sizes.md` has the measurements.

use std::sync::Arc;
use std::time::Duration;

use crate::congestion::policy::Policy;

/// Batches of datagrams that may wait in a connection's mailbox. One is worked on, one waits, and two are for a socket
/// that reads twice while a turn takes long; more would only make what waits older than the peer's timeouts.
pub(crate) const INPUT_BATCHES: u32 = 4;

/// Runs of datagrams that other shards may have on their way to a shard. Forwarding is rare (a client that moved, on a
/// system that cannot steer), so this is for bursts of one such client.
pub(crate) const FORWARD_WINDOW: u32 = 64;

/// Datagrams that a dispatcher answers by itself (Retry, Version Negotiation, resets, refusals) for one read of the
/// socket: each takes a send buffer, and connections need the others.
pub(crate) const ANSWERS_PER_READ: usize = 16;

/// Times that a shard's single actors may be started anew within [`RESTART_PERIOD`]: what fails more often fails always.
pub(crate) const RESTARTS: usize = 3;
/// See [`RESTARTS`].
pub(crate) const RESTART_PERIOD: Duration = Duration::from_secs(60);

/// Address validation tokens that a client keeps for later connections, in all.
pub(crate) const KEPT_TOKENS: usize = 256;

/// When a server asks a client to prove its address before anything is kept for it (RFC 9000 §8.1.2). It costs the client
/// one round trip.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RetryPolicy {
    /// Never, but for attempts about which the application decides so. Forged addresses may then fill all places for
    /// handshakes, so that nobody else gets in; they cannot fill the memory.
    Never,
    /// When many handshakes are in progress, or datagrams wait for long: the default.
    #[default]
    UnderLoad,
    /// Always, except from clients with a token of an earlier connection.
    Always,
}

/// What all shards of an endpoint are told at their start.
#[derive(Clone, Debug)]
pub(crate) struct EndpointConfig {
    pub(crate) transport: Arc<transport::Config>,
    /// How connections are accepted; `None`: not at all.
    pub(crate) server: Option<Arc<tls::ServerConfig>>,
    pub(crate) retry: RetryPolicy,
    /// How long after the last datagram a socket looks for more without sleeping.
    pub(crate) busy_poll: Duration,
    /// Which connection gets which congestion controller.
    pub(crate) policy: Arc<Policy>,
    /// Shards in all, over all addresses.
    pub(crate) shards: usize,
}
