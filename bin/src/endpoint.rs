//! The endpoints that the commands use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use quicast::{Connection, Endpoint, RetryPolicy, TransportConfig};
use rustls::{ClientConfig, ServerConfig};
use tls::KeyUpdateError;

use crate::error::Failure;
use crate::services::Services;

/// What a server endpoint is made of.
#[derive(Debug)]
pub(crate) struct ServerSettings {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) tls: ServerConfig,
    pub(crate) transport: TransportConfig,
    pub(crate) shards: Option<u16>,
    pub(crate) busy_poll: Option<Duration>,
    pub(crate) retry: bool,
    pub(crate) reset_key: Option<[u8; 32]>,
}

/// Starts a server's endpoint.
///
/// Each connection is served on the thread that it lives on: its bytes change threads nowhere, which costs the server a
/// fifth less of the processor than a runtime of its own for the services.
pub(crate) fn server(settings: ServerSettings, services: Services) -> Result<Endpoint, Failure> {
    let mut builder = Endpoint::builder().server_config(Arc::new(settings.tls)).transport_config(settings.transport);
    for address in settings.addresses {
        builder = builder.listen(address);
    }
    if let Some(shards) = settings.shards {
        builder = builder.shards(usize::from(shards));
    }
    builder = builder.busy_poll(settings.busy_poll.unwrap_or_default());
    builder = builder.service(move |connection| services.clone().serve(connection));
    if let Some(secret) = settings.reset_key {
        builder = builder.reset_key(secret);
    }
    if settings.retry {
        builder = builder.retry(RetryPolicy::Always);
    }
    builder.start().map_err(|error| Failure::failed(format_args!("cannot start the server: {error}")))
}

/// What a client's endpoint is made of besides TLS.
#[derive(Clone, Debug)]
pub(crate) struct ClientSettings {
    pub(crate) transport: TransportConfig,
    pub(crate) busy_poll: Option<Duration>,
    /// Each with a thread of its own; one is enough for one connection.
    pub(crate) sockets: u16,
}

impl ClientSettings {
    /// One socket.
    pub(crate) const fn new(transport: TransportConfig) -> Self {
        Self { transport, busy_poll: None, sockets: 1 }
    }
}

/// Starts a client's endpoint.
pub(crate) fn client(local: SocketAddr, tls: Arc<ClientConfig>, settings: ClientSettings) -> Result<Endpoint, Failure> {
    let ClientSettings { transport, busy_poll, sockets } = settings;
    let builder = Endpoint::builder().listen(local).client_config(tls).transport_config(transport);
    let builder = builder.shards(usize::from(sockets)).busy_poll(busy_poll.unwrap_or_default());
    builder.start().map_err(|error| Failure::failed(format_args!("cannot open a UDP socket: {error}")))
}

/// Goes on from another local port, as if a NAT had chosen it.
pub(crate) fn rebind(endpoint: &Endpoint, remote: SocketAddr) -> Result<(), Failure> {
    let local: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    endpoint
        .rebind(SocketAddr::new(local, 0))
        .map(drop)
        .map_err(|error| Failure::failed(format_args!("cannot change the local port: {error}")))
}

/// How often a key update that cannot begin yet is tried again, and for how long.
const KEY_UPDATE_PAUSE: Duration = Duration::from_millis(10);
const KEY_UPDATE_PATIENCE: u32 = 500;

/// Begins a key update as soon as one may begin: the handshake must be confirmed, the last update acknowledged and three
/// probe timeouts old, whichever side began it (RFC 9001 section 6).
pub(crate) async fn update_keys(connection: &Connection) -> Result<(), KeyUpdateError> {
    let mut ticks = tokio::time::interval(KEY_UPDATE_PAUSE);
    let mut result = Ok(());
    for _ in 0..KEY_UPDATE_PATIENCE {
        ticks.tick().await;
        result = connection.force_key_update().await;
        if result.is_ok() || connection.close_reason().is_some() {
            break;
        }
    }
    result
}
