//! What goes into an endpoint and comes out of it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use codec::{Time, Version};
use tls::SessionError;

use super::AttemptKey;
#[cfg(doc)]
use super::Endpoint;
#[cfg(doc)]
use crate::accept::Policy;
use crate::config::Config;
use crate::connection::Connection;
use crate::output::ReceivedDatagrams;

/// What the user decided about an endpoint.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The settings of connections.
    pub config: Arc<Config>,
    /// How connections are accepted; `None`: not at all.
    pub server: Option<Arc<tls::ServerConfig>>,
    /// When clients must prove their address first.
    pub retry: Retry,
    /// Whether stateless resets are sent (see [`Policy::resets`]).
    pub resets: bool,
    /// The number of this shard.
    pub shard: usize,
    /// How many shards there are.
    pub shards: usize,
}

/// When clients must prove their address before a connection begins (RFC 9000 §8.1.2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Retry {
    /// Never, but for attempts about which the application decides so.
    Never,
    /// When many handshakes are in progress, or datagrams wait for long.
    #[default]
    UnderLoad,
    /// Always.
    Always,
}

/// What all shards of an endpoint share, and the process that takes over after a restart. All unpredictable.
#[derive(Clone)]
pub struct Secrets {
    /// Makes connection ids.
    pub ids: [u8; 32],
    /// Makes stateless reset tokens.
    pub resets: [u8; 32],
    /// Makes address validation tokens.
    pub tokens: [u8; 32],
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets(..)")
    }
}

/// When datagrams came, and how.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Now.
    pub now: Time,
    /// The time since 1970, for tokens.
    pub unix_time: Duration,
    /// How long the datagrams have waited to be handled.
    pub backlog: Duration,
    /// Whether another shard sent them here: they are not sent on once more.
    pub forwarded: bool,
}

/// What comes of datagrams.
#[derive(Debug)]
pub enum Output {
    /// These are the connection's.
    Datagrams {
        /// Whose.
        key: usize,
        /// A run of datagrams as they came.
        datagrams: ReceivedDatagrams,
    },
    /// The peer of this connection has lost its state (RFC 9000 §10.3).
    Reset {
        /// Whose peer.
        key: usize,
    },
    /// These are for a connection on this other shard.
    Forward {
        /// Which shard.
        shard: usize,
        /// The datagrams.
        datagrams: ReceivedDatagrams,
    },
    /// A client wants to connect: [`Endpoint::accept`], [`refuse`](Endpoint::refuse), [`retry`](Endpoint::retry) or
    /// [`ignore`](Endpoint::ignore) it. What it sends meanwhile is kept.
    Attempt(AttemptKey),
}

/// To which server to connect, and how.
#[derive(Clone, Debug)]
pub struct Client {
    /// The server's address.
    pub remote: SocketAddr,
    /// Who the server must prove to be.
    pub server_name: tls::pki_types::ServerName<'static>,
    /// The settings of TLS.
    pub tls: Arc<tls::ClientConfig>,
    /// The settings of the connection.
    pub config: Arc<Config>,
    /// The version that a Version Negotiation packet led to; `None` on the first attempt.
    pub negotiated: Option<Version>,
    /// A token of an earlier connection to the server (RFC 9000 §8.1.3), or nothing.
    pub token: Bytes,
}

/// A connection that begins with an attempt.
#[derive(Debug)]
pub struct NewConnection {
    /// The connection, which was given nothing yet.
    pub connection: Box<Connection>,
    /// What the client sent so far: to be given to the connection next.
    pub datagrams: Vec<ReceivedDatagrams>,
    /// The client.
    pub remote: SocketAddr,
}

/// Why an attempt was not accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AcceptError {
    /// It was decided before, or its time is over.
    Over,
    /// The endpoint accepts no connections.
    NotAServer,
    /// TLS cannot begin with the settings.
    Session(SessionError),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over => f.write_str("the attempt is over: the client has given up, or it was decided about before"),
            Self::NotAServer => f.write_str("the endpoint has no TLS settings of a server"),
            Self::Session(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AcceptError {}

/// Why a client was not asked to prove its address: it has done so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AlreadyValidated;

impl fmt::Display for AlreadyValidated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client has proven its address already, and may be asked only once (RFC 9000 section 8.1.2)")
    }
}

impl std::error::Error for AlreadyValidated {}
