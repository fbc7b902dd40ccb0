//! Why an endpoint could not be made, or a connection not begin. Each says what to do about it.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use transport::output::CloseReason;

/// Why an endpoint could not be started.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The address cannot be listened at.
    #[error("cannot listen on {address}: {}", Advice(source))]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A socket that was given cannot be used.
    #[error("the given socket cannot be used: {0}")]
    Socket(#[source] io::Error),
    /// A server needs an address that clients know.
    #[error("a server needs an address: give one with EndpointBuilder::listen, for example 127.0.0.1:4433")]
    NoAddress,
    /// A service accepts connections, which needs a certificate.
    #[error("a service needs the TLS settings of a server: give them with EndpointBuilder::server_config")]
    ServiceWithoutServer,
    /// The TLS settings of the server cannot be used for QUIC.
    #[error("the server's TLS settings cannot be used: {0}")]
    ServerTls(#[source] tls::SessionError),
    /// The TLS settings of the client cannot be used for QUIC.
    #[error("the client's TLS settings cannot be used: {0}")]
    ClientTls(#[source] tls::SessionError),
    /// No version is to be spoken.
    #[error("the transport settings name no QUIC version that is known here: leave `versions` at its default")]
    NoVersions,
    /// No connection can be had with the transport settings.
    #[error(transparent)]
    Transport(transport::config::ConfigError),
    /// A congestion controller of one's own cannot be added.
    #[error("{0}")]
    Congestion(#[from] congestion::RegisterError),
    /// Connection ids have one byte for the shard.
    #[error("{shards} shards for {addresses} addresses are too many: at most 255 in all")]
    TooManyShards {
        /// Shards for each address.
        shards: usize,
        /// How many addresses.
        addresses: usize,
    },
    /// A given socket is one, so it can have one shard only.
    #[error("a given socket has one shard: leave out EndpointBuilder::shards, or let the endpoint bind with listen")]
    SocketWithShards,
    /// The system gives no random numbers.
    #[error("the system gives no random numbers, without which there is no security")]
    NoRandomness,
    /// The endpoint's threads could not be started.
    #[error("the endpoint's threads could not be started: {0}")]
    Threads(#[source] io::Error),
}

/// What the system's errors mean for somebody who wants to listen.
struct Advice<'a>(&'a io::Error);

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            io::ErrorKind::AddrInUse => f.write_str(
                "the port is in use by another program; choose another with EndpointBuilder::listen, or port 0 for any \
                 that is free",
            ),
            io::ErrorKind::PermissionDenied => f.write_str(
                "not permitted; ports below 1024 need a privilege: choose a higher one, or grant CAP_NET_BIND_SERVICE",
            ),
            io::ErrorKind::AddrNotAvailable => {
                f.write_str("this machine has no such address; 0.0.0.0 and [::] stand for all that it has")
            }
            _ => self.0.fmt(f),
        }
    }
}

/// Why a connection did not come about.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConnectError {
    /// The endpoint was closed or shut down, or it failed.
    #[error("the endpoint is closed")]
    Closed,
    /// There are no TLS settings.
    #[error(
        "no TLS settings for clients: give them with EndpointBuilder::client_config or Endpoint::set_client_config, or \
         use connect_with"
    )]
    NoClientConfig,
    /// It is neither a DNS name nor an IP address.
    #[error("{0:?} is neither a DNS name nor an IP address, so no server can prove to be it")]
    InvalidServerName(String),
    /// No socket of the endpoint can reach the address.
    #[error("{remote} cannot be reached: no socket of the endpoint is of its address family")]
    NoSocket {
        /// The address.
        remote: SocketAddr,
    },
    /// The TLS settings cannot be used for QUIC.
    #[error("{0}")]
    Tls(#[source] tls::SessionError),
    /// The client has given up meanwhile.
    #[error("the attempt is over: the client has given up meanwhile")]
    AttemptOver,
    /// Nothing can be accepted without TLS settings.
    #[error("the endpoint has no TLS settings of a server")]
    NotAServer,
    /// The handshake failed.
    #[error("the connection could not be made: {0}")]
    Failed(CloseReason),
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        let kind = match &error {
            ConnectError::Failed(CloseReason::IdleTimeout | CloseReason::HandshakeTimeout) => io::ErrorKind::TimedOut,
            ConnectError::Failed(_) => io::ErrorKind::ConnectionRefused,
            ConnectError::InvalidServerName(_) | ConnectError::NoClientConfig | ConnectError::Tls(_) => {
                io::ErrorKind::InvalidInput
            }
            _ => io::ErrorKind::NotConnected,
        };
        Self::new(kind, error)
    }
}

/// Why an endpoint stays where it is.
#[derive(Debug, thiserror::Error)]
pub enum RebindError {
    /// The new address cannot be listened at.
    #[error("cannot listen on {address}: {}", Advice(source))]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The given socket cannot be used.
    #[error("the given socket cannot be used: {0}")]
    Socket(#[source] io::Error),
    /// It is not said which address should change.
    #[error("the endpoint listens at several addresses or with several sockets; only one can be exchanged")]
    SeveralAddresses,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_to_do() {
        let address = SocketAddr::from(([127, 0, 0, 1], 4433));
        let in_use = BuildError::Listen { address, source: io::ErrorKind::AddrInUse.into() };
        assert!(in_use.to_string().starts_with(
            "cannot listen on 127.0.0.1:4433: the port is in use by another program; choose another with"
        ));
        let no_alpn = BuildError::ServerTls(tls::SessionError::NoApplicationProtocols);
        assert!(no_alpn.to_string().contains("fill `alpn_protocols`"), "{no_alpn}");
    }
}
