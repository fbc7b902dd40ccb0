//! [`Endpoint`]: where connections begin.

mod builder;
mod connecting;
mod error;

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use congestion::Rules;
use parking_lot::RwLock;
use telemetry::Registry;
use tls::pki_types::ServerName;
use tokio::sync::oneshot;

pub use self::builder::EndpointBuilder;
pub(crate) use self::connecting::Begun;
pub use self::connecting::Connecting;
pub use self::error::{BuildError, ConnectError, RebindError};
use super::connection::{Connection, ConnectionInfo};
use super::incoming::Incoming;
use crate::congestion::policy::Policy;
use crate::connection::messages::ApplyRules;
use crate::directory::Directory;
use crate::dispatcher::messages::{Connect, ConnectOrder};
use crate::socket::bind;
use crate::socket::messages::Rebind;
use crate::warden::{Abandoned, Drain, Reach, Refuse};

/// A UDP port, or several, that QUIC connections begin and end at: as a client, as a server, or both.
///
/// It runs on threads of its own; handles work from any runtime and any thread, and are cheap to clone. When the last
/// handle is dropped, connections go on until they end; no new ones are accepted.
///
/// ```no_run
/// # async fn example(config: std::sync::Arc<quicast::tls::ServerConfig>) -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint = quicast::Endpoint::server(config, "127.0.0.1:4433".parse()?)?;
/// while let Some(incoming) = endpoint.accept().await {
///     let connection = incoming.accept()?.await?;
///     let (mut send, mut receive) = connection.accept_bi().await?;
///     send.write_all(&receive.read_to_end(1024).await?).await?;
///     send.finish().await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    reach: Reach,
    directory: Arc<Directory>,
    registry: Registry,
    transport: Arc<transport::Config>,
    client: RwLock<Option<Arc<tls::ClientConfig>>>,
    /// Which connection gets which congestion controller.
    policy: Arc<Policy>,
    /// Each with as many shards as the others.
    addresses: RwLock<Vec<SocketAddr>>,
    socket_buffer: usize,
    /// Makes connections spread over the shards.
    turn: AtomicUsize,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.reach.abandoned.do_send(Abandoned);
    }
}

impl Inner {
    /// Which shards the sockets of an address belong to.
    fn shards_of(&self, address: usize) -> std::ops::Range<usize> {
        let each = self.reach.shards.len() / self.addresses.read().len().max(1);
        address * each..(address + 1) * each
    }

    /// Starts a connection on a shard whose socket can reach the server.
    pub(super) fn begin(
        &self,
        mut order: ConnectOrder,
    ) -> Result<oneshot::Receiver<Result<Begun, ConnectError>>, ConnectError> {
        if self.directory.is_closed() {
            return Err(ConnectError::Closed);
        }
        let remote = order.remote;
        let addresses = self.addresses.read().clone();
        let reaches = |local: &SocketAddr| local.is_ipv4() == remote.is_ipv4();
        // A socket of the unspecified IPv6 address speaks IPv4 too, in mapped addresses.
        let maps = |local: &SocketAddr| local.is_ipv6() && local.ip().is_unspecified() && remote.is_ipv4();
        let place = addresses.iter().position(reaches).or_else(|| addresses.iter().position(maps));
        let place = place.ok_or(ConnectError::NoSocket { remote })?;
        if let (Some(SocketAddr::V6(_)), IpAddr::V4(ip)) = (addresses.get(place), remote.ip()) {
            order.remote = SocketAddr::new(ip.to_ipv6_mapped().into(), remote.port());
        }
        let shards = self.shards_of(place);
        let shard = shards.start + self.turn.fetch_add(1, Ordering::Relaxed) % shards.len().max(1);
        let shard = self.reach.shards.get(shard).ok_or(ConnectError::NoSocket { remote })?;
        let (reply, answer) = oneshot::channel();
        shard.connect.do_send(Connect { order: Box::new(order), reply });
        Ok(answer)
    }
}

impl Endpoint {
    /// Everything that can be chosen.
    pub fn builder() -> EndpointBuilder {
        EndpointBuilder::new()
    }

    /// A server at this address, with a shard for each processor. Port 0 takes a free one, see [`Self::local_addr`].
    ///
    /// # Errors
    /// [`BuildError`]: the port is in use, or the TLS settings cannot be used for QUIC.
    pub fn server(config: Arc<tls::ServerConfig>, address: SocketAddr) -> Result<Self, BuildError> {
        Self::builder().listen(address).server_config(config).start()
    }

    /// A client that sends from this address; port 0 takes a free one. Give it TLS settings with
    /// [`Self::set_client_config`], or use [`Self::connect_with`].
    ///
    /// # Errors
    /// [`BuildError`]: the address cannot be used.
    pub fn client(address: SocketAddr) -> Result<Self, BuildError> {
        Self::builder().listen(address).start()
    }

    /// The next client that wants to connect, or `None` once the endpoint is closed. Nobody comes here if the endpoint
    /// has a [service](EndpointBuilder::service).
    pub async fn accept(&self) -> Option<Incoming> {
        poll_fn(|context| self.inner.directory.poll_accept(context)).await
    }

    /// Connects to a server at this address that proves to be `server_name`: a DNS name or an IP address.
    pub fn connect(&self, address: SocketAddr, server_name: &str) -> Connecting {
        match self.inner.client.read().clone() {
            Some(config) => self.connect_with(config, address, server_name),
            None => Connecting::failed(ConnectError::NoClientConfig),
        }
    }

    /// The same with other TLS settings than the endpoint's.
    pub fn connect_with(&self, config: Arc<tls::ClientConfig>, address: SocketAddr, server_name: &str) -> Connecting {
        let Ok(name) = ServerName::try_from(server_name.to_owned()) else {
            return Connecting::failed(ConnectError::InvalidServerName(server_name.to_owned()));
        };
        let server = (name.to_str().into_owned(), address.port());
        let order = ConnectOrder {
            remote: address,
            server_name: name,
            tls: config,
            transport: Arc::clone(&self.inner.transport),
            negotiated: None,
            token: self.inner.directory.take_token(&server).unwrap_or_default(),
        };
        Connecting::begin(Arc::clone(&self.inner), order)
    }

    /// From now on [`Self::connect`] uses these TLS settings.
    pub fn set_client_config(&self, config: Arc<tls::ClientConfig>) {
        *self.inner.client.write() = Some(config);
    }

    /// The address that the endpoint listens at, the first if there are several. With the port that it got.
    pub fn local_addr(&self) -> SocketAddr {
        let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
        self.inner.addresses.read().first().copied().unwrap_or(unspecified)
    }

    /// All addresses that the endpoint listens at.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.inner.addresses.read().clone()
    }

    /// Goes on from another address, as when a device changes networks. Connections of clients move along (RFC 9000 §9).
    /// Port 0 takes a free one.
    ///
    /// # Errors
    /// [`RebindError`] if the address cannot be used, or the endpoint has several: which one should change?
    pub fn rebind(&self, address: SocketAddr) -> Result<SocketAddr, RebindError> {
        let mut addresses = self.inner.addresses.write();
        let [current] = addresses.as_mut_slice() else { return Err(RebindError::SeveralAddresses) };
        let shards = &self.inner.reach.shards;
        let sockets = bind::bind(address, shards.len(), self.inner.socket_buffer)
            .map_err(|source| RebindError::Listen { address, source })?;
        for (shard, socket) in shards.iter().zip(sockets) {
            *current = socket.local_address();
            shard.rebind.do_send(Rebind { socket });
        }
        Ok(*current)
    }

    /// Goes on with a socket that is bound already.
    ///
    /// # Errors
    /// [`RebindError`] if the endpoint has more than one socket, or this one cannot be used.
    pub fn rebind_socket(&self, socket: UdpSocket) -> Result<SocketAddr, RebindError> {
        let mut addresses = self.inner.addresses.write();
        let ([current], [shard]) = (addresses.as_mut_slice(), self.inner.reach.shards.as_slice()) else {
            return Err(RebindError::SeveralAddresses);
        };
        let socket = bind::adopt(socket, self.inner.socket_buffer).map_err(RebindError::Socket)?;
        *current = socket.local_address();
        shard.rebind.do_send(Rebind { socket });
        Ok(*current)
    }

    /// What is known about all connections there are, in the order of their beginning.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.inner.directory.connections().iter().map(|port| ConnectionInfo::of(port)).collect()
    }

    /// A handle of the connection with this number ([`Connection::stable_id`]), if there is one.
    pub fn connection(&self, id: u64) -> Option<Connection> {
        self.inner.directory.connection(id).map(Connection::new)
    }

    /// The congestion controllers that can be asked for by name: those that come along, and those that were
    /// [added](EndpointBuilder::congestion_controller).
    pub fn algorithms(&self) -> &congestion::Registry {
        self.inner.policy.registry()
    }

    /// The rules by which connections get a congestion controller. At first there are none: all get the one of the transport's
    /// settings.
    pub fn congestion_rules(&self) -> Arc<Rules> {
        self.inner.policy.rules()
    }

    /// From now on these rules say which congestion controller a connection gets when its handshake is complete; with
    /// `live`, at once for the connections there are, too, unless their controller was [chosen](Connection::set_congestion).
    /// Returns the rules of before.
    pub fn set_congestion_rules(&self, rules: Rules, live: bool) -> Arc<Rules> {
        let before = self.inner.policy.set_rules(rules);
        if live {
            for port in self.inner.directory.connections() {
                if let Some(orders) = port.orders() {
                    orders.connection.apply_rules(ApplyRules { clear_choice: false });
                }
            }
        }
        before
    }

    /// Every metric of the endpoint.
    pub fn metrics(&self) -> &Registry {
        &self.inner.registry
    }

    /// Closes all connections at once, with the application's code, and refuses new ones. Then
    /// [`wait_idle`](Self::wait_idle), so that the peers hear of it.
    pub fn close(&self, code: u64, reason: &[u8]) {
        self.inner.directory.close();
        self.inner.reach.refuse.do_send(Refuse);
        let code = code.min(codec::VarInt::MAX.into_inner());
        self.inner.directory.close_connections(code, &Bytes::copy_from_slice(reason));
    }

    /// Waits until no connection is left, their closing periods included.
    pub async fn wait_idle(&self) {
        poll_fn(|context| self.inner.directory.poll_idle(context)).await;
    }

    /// Refuses new connections, waits so long for those there are to end, closes the rest, and ends the endpoint's
    /// threads. Returns when they have ended.
    pub async fn shutdown(&self, within: Duration) {
        self.inner.directory.close();
        self.inner.reach.drain.do_send(Drain { within });
        poll_fn(|context| self.inner.directory.poll_gone(context)).await;
    }

    /// Makes an actor panic, to show what that costs: one of those of which every shard has one, or one of a connection.
    #[cfg(feature = "fault-injection")]
    #[doc(hidden)]
    pub fn inject_panic(&self, actor: telemetry::actor::ActorType, connection: Option<u64>) {
        for shard in &self.inner.reach.shards {
            shard.inject.do_send(crate::shard::InjectPanic { actor, connection });
        }
    }
}
