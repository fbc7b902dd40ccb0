//! [`EndpointBuilder`]: everything that can be chosen about an endpoint.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use codec::Version;
use congestion::Factory;
use parking_lot::RwLock;
use telemetry::{Build, Registry, Setup};
use tls::pki_types::ServerName;
use transport::endpoint::Secrets;
use transport::router::IdGenerator;

use super::{BuildError, Connection, Endpoint, Inner};
use crate::config::{EndpointConfig, RetryPolicy};
use crate::congestion::policy::Policy;
use crate::directory::Directory;
use crate::dispatcher::{ForwardingTable, Service};
use crate::shard::ShardParts;
use crate::socket::bind;
use crate::socket::io::BoundSocket;
use crate::warden::{self, Seed};

/// What is longer than this has nothing to do with the time of waking up.
const LONGEST_BUSY_POLL: Duration = Duration::from_millis(1);

/// Makes an [`Endpoint`]. Nothing happens before [`start`](Self::start).
#[must_use = "nothing happens before it is started"]
pub struct EndpointBuilder {
    addresses: Vec<SocketAddr>,
    socket: Option<UdpSocket>,
    server: Option<Arc<tls::ServerConfig>>,
    client: Option<Arc<tls::ClientConfig>>,
    transport: transport::Config,
    shards: Option<usize>,
    retry: RetryPolicy,
    busy_poll: Duration,
    service: Option<Service>,
    reset_key: Option<[u8; 32]>,
    socket_buffer: usize,
    certificates: usize,
    build: Build,
    controllers: Vec<&'static dyn Factory>,
}

impl fmt::Debug for EndpointBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointBuilder")
            .field("addresses", &self.addresses)
            .field("transport", &self.transport)
            .field("shards", &self.shards)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

impl EndpointBuilder {
    pub(super) fn new() -> Self {
        Self {
            addresses: Vec::new(),
            socket: None,
            server: None,
            client: None,
            transport: transport::Config::default(),
            shards: None,
            retry: RetryPolicy::default(),
            busy_poll: Duration::ZERO,
            service: None,
            reset_key: None,
            socket_buffer: bind::KERNEL_BUFFER,
            certificates: 0,
            build: Build { version: env!("CARGO_PKG_VERSION").to_owned(), ..Build::default() },
            controllers: Vec::new(),
        }
    }

    /// Listens at this address, too. Port 0 takes a free one. `[::]` hears IPv4 as well. A client that listens nowhere
    /// sends from any address.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.addresses.push(address);
        self
    }

    /// Uses this socket instead of binding one. It has one shard.
    pub fn socket(mut self, socket: UdpSocket) -> Self {
        self.socket = Some(socket);
        self
    }

    /// Accepts connections, with these TLS settings. `alpn_protocols` must be filled.
    pub fn server_config(mut self, config: Arc<tls::ServerConfig>) -> Self {
        self.server = Some(config);
        self
    }

    /// Connects with these TLS settings. `alpn_protocols` must be filled.
    pub fn client_config(mut self, config: Arc<tls::ClientConfig>) -> Self {
        self.client = Some(config);
        self
    }

    /// The settings of all connections.
    pub fn transport_config(mut self, config: transport::Config) -> Self {
        self.transport = config;
        self
    }

    /// How many threads share the work, each with its own socket at each address; a connection lives on one of them.
    /// Default: one for each processor if connections are accepted, else one.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards.max(1));
        self
    }

    /// When clients must prove their address before anything is kept for them.
    pub const fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// For so long after the last datagram, sent or received, each of the endpoint's threads looks for more instead of
    /// sleeping, at most 1 ms. An answer that comes within that time is not delayed by waking up, which is about half of the
    /// latency of a lone request; the price is a processor that is busy as long as there is traffic. Default: not at all.
    pub const fn busy_poll(mut self, span: Duration) -> Self {
        self.busy_poll = span;
        self
    }

    /// Accepts every connection at once and runs this for it when its handshake is complete, on the thread that the
    /// connection lives on: no hop between threads for its bytes. It must not block. If it panics, its connection is
    /// closed, and nothing else happens. [`Endpoint::accept`] has nothing to do then.
    pub fn service<F, S>(mut self, service: S) -> Self
    where
        F: Future<Output = ()> + 'static,
        S: Fn(Connection) -> F + Send + Sync + 'static,
    {
        self.service = Some(Arc::new(move |connection| Box::pin(service(connection))));
        self
    }

    /// The secret that stateless resets are made from (RFC 9000 §10.3.2). With the same one after a restart, clients whose
    /// connections are gone hear of it at once instead of waiting for their timeouts. It must be unpredictable, and kept
    /// like a private key: who knows it can end every connection. Default: a new one each time.
    pub const fn reset_key(mut self, secret: [u8; 32]) -> Self {
        self.reset_key = Some(secret);
        self
    }

    /// Bytes of datagrams that may wait in the kernel, each way and for each socket. The system may grant less, which the
    /// metrics show. Default 7 MiB.
    pub const fn socket_buffer_size(mut self, bytes: usize) -> Self {
        self.socket_buffer = bytes;
        self
    }

    /// What the metric `quicast_build_info` says.
    pub fn build_info(mut self, build: Build) -> Self {
        self.build = build;
        self
    }

    /// How many certificates the metrics have room for.
    pub const fn certificates(mut self, certificates: usize) -> Self {
        self.certificates = certificates;
        self
    }

    /// Binds the sockets and starts the endpoint's threads. Takes a millisecond, in which the calling thread waits.
    ///
    /// # Errors
    /// [`BuildError`], which says what to do.
    pub fn start(self) -> Result<Endpoint, BuildError> {
        self.check()?;
        let threads = self.threads();
        let sockets = self.bind(threads)?;
        let shards = sockets.len();
        let addresses: Vec<SocketAddr> =
            sockets.chunks(threads).filter_map(|group| group.first()).map(BoundSocket::local_address).collect();
        let registry = Registry::new(&Setup { shards, certificates: self.certificates, build: self.build });
        let directory = Arc::new(Directory::default());
        let forwarding: ForwardingTable = (0..shards).map(|_| ArcSwapOption::empty()).collect();
        let mut algorithms = congestion::Registry::default();
        for factory in self.controllers {
            algorithms.register(factory)?;
        }
        let policy = Policy::new(algorithms, self.transport.congestion);
        let transport = Arc::new(self.transport);
        let config = EndpointConfig {
            transport: Arc::clone(&transport),
            server: self.server,
            retry: self.retry,
            busy_poll: self.busy_poll.min(LONGEST_BUSY_POLL),
            policy: Arc::clone(&policy),
            shards,
        };
        let resets = self.reset_key.map_or_else(random, Ok)?;
        let secrets = Secrets { ids: random()?, resets, tokens: random()? };
        let mut seeds: Vec<Seed> = Vec::with_capacity(shards);
        for (shard, socket) in sockets.into_iter().enumerate() {
            let (config, secrets, registry) = (config.clone(), secrets.clone(), registry.clone());
            let (directory, forwarding) = (Arc::clone(&directory), Arc::clone(&forwarding));
            let (service, seed) = (self.service.clone(), random()?);
            seeds.push(Box::new(move |owner| ShardParts {
                shard,
                config,
                secrets,
                seed,
                socket,
                registry,
                directory,
                forwarding,
                service,
                owner,
            }));
        }
        let reach =
            warden::start(seeds, threads, Arc::clone(&directory), registry.clone()).map_err(BuildError::Threads)?;
        let inner = Inner {
            reach,
            directory,
            registry,
            transport,
            policy,
            client: RwLock::new(self.client),
            addresses: RwLock::new(addresses),
            socket_buffer: self.socket_buffer,
            turn: AtomicUsize::new(0),
        };
        Ok(Endpoint { inner: Arc::new(inner) })
    }

    /// Adds a congestion controller of one's own. From then on it can be asked for by its name like those that come along.
    pub fn congestion_controller(mut self, factory: &'static dyn Factory) -> Self {
        self.controllers.push(factory);
        self
    }

    /// The same as [`Self::start`].
    ///
    /// # Errors
    /// [`BuildError`], which says what to do.
    pub fn build(self) -> Result<Endpoint, BuildError> {
        self.start()
    }

    fn check(&self) -> Result<(), BuildError> {
        let version = self.transport.versions.iter().copied().find(|version| version.is_known());
        let version = version.ok_or(BuildError::NoVersions)?;
        self.transport.check().map_err(BuildError::Transport)?;
        if let Some(config) = &self.server {
            if self.addresses.is_empty() && self.socket.is_none() {
                return Err(BuildError::NoAddress);
            }
            // Begins a handshake that goes nowhere: whatever is wrong is found now, not with the first client.
            tls::Session::server(Arc::clone(config), version, Vec::new()).map_err(BuildError::ServerTls)?;
        } else if self.service.is_some() {
            return Err(BuildError::ServiceWithoutServer);
        }
        if let Some(config) = &self.client {
            check_client(config, version)?;
        }
        if self.socket.is_some() && (self.shards.is_some_and(|shards| shards > 1) || !self.addresses.is_empty()) {
            return Err(BuildError::SocketWithShards);
        }
        let (shards, addresses) = (self.threads(), self.addresses.len().max(1));
        if shards.saturating_mul(addresses) > IdGenerator::SHARDS {
            return Err(BuildError::TooManyShards { shards, addresses });
        }
        Ok(())
    }

    fn threads(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        match (self.shards, &self.socket, &self.server) {
            (_, Some(_), _) => 1,
            (Some(shards), None, _) => shards,
            (None, None, Some(_)) => processors(),
            (None, None, None) => 1,
        }
    }

    /// Sockets in the order of the shards: all of the first address, all of the second, and so on.
    fn bind(&self, shards: usize) -> Result<Vec<BoundSocket>, BuildError> {
        if let Some(socket) = &self.socket {
            let socket = socket.try_clone().map_err(BuildError::Socket)?;
            return Ok(vec![bind::adopt(socket, self.socket_buffer).map_err(BuildError::Socket)?]);
        }
        let listen = |address| {
            bind::bind(address, shards, self.socket_buffer).map_err(|source| BuildError::Listen { address, source })
        };
        if self.addresses.is_empty() {
            // Any address; where there is no IPv6, any of IPv4.
            let [six, four] = [SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), SocketAddr::from(([0, 0, 0, 0], 0))];
            return listen(six).or_else(|_| listen(four));
        }
        let mut sockets = Vec::new();
        for address in &self.addresses {
            sockets.extend(listen(*address)?);
        }
        Ok(sockets)
    }
}

fn check_client(config: &Arc<tls::ClientConfig>, version: Version) -> Result<(), BuildError> {
    // Any name will do: nothing is sent.
    let Ok(name) = ServerName::try_from("localhost") else { return Ok(()) };
    tls::Session::client(Arc::clone(config), version, name, Vec::new()).map_err(BuildError::ClientTls)?;
    Ok(())
}

/// Unpredictable bytes, from the same source as TLS has its own.
fn random() -> Result<[u8; 32], BuildError> {
    let mut bytes = [0; 32];
    tls::provider().secure_random.fill(&mut bytes).map_err(|_| BuildError::NoRandomness)?;
    Ok(bytes)
}
