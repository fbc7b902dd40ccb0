//! [`Host`]: an address with a router, and nodes behind it. A server's host accepts.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use codec::packet::{self, Packet, PacketKind, Peek};
use codec::{ConnectionId, Side, Time};
use transport::connection::{Beginning, ClientBeginning, Connection, ServerBeginning};
use transport::local_ids::LocalIds;
use transport::output::RouteChange;
use transport::reset::ResetKey;
use transport::router::{IdGenerator, LOCAL_ID_LENGTH, Route, Router, RouterSeeds};

use crate::application::{Application, Plan};
use crate::endpoint::{Datagram, Node};
use crate::settings::{Settings, expand};

/// See the [module](self).
#[derive(Debug)]
pub struct Host {
    /// Where it is.
    pub address: SocketAddr,
    /// Its connections, in the order in which they began. Those that are over stay, to be looked at.
    pub nodes: Vec<Node>,
    /// Datagrams that want to leave.
    pub outbox: VecDeque<Datagram>,
    /// What new connections of a server run; none: a server that accepts nothing.
    pub service: Option<Service>,
    /// Datagrams that nobody wanted.
    pub unclaimed: u64,
    router: Router<usize>,
    generator: IdGenerator,
    reset_key: Arc<ResetKey>,
    settings: Settings,
    side: Side,
    started: u64,
}

/// What runs on an accepted connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Service {
    /// Answers streams, see [`Application::answering`].
    Answer,
    /// Leaves everything to the test, see [`Application::passive`].
    Passive,
    /// Follows a plan, and answers.
    Plan(Plan),
}

impl Host {
    /// A host of this side at `address`.
    pub fn new(side: Side, address: SocketAddr, settings: Settings) -> Self {
        let purpose = if side.is_client() { 100 } else { 200 };
        let secret = expand(settings.seed, purpose);
        Self {
            address,
            nodes: Vec::new(),
            outbox: VecDeque::new(),
            service: side.is_server().then_some(Service::Answer),
            unclaimed: 0,
            router: Router::new(RouterSeeds { own: settings.seed, peer: [settings.seed, 1] }),
            generator: IdGenerator::new(&secret, 0, 1),
            reset_key: Arc::new(ResetKey::new(&secret)),
            settings,
            side,
            started: 0,
        }
    }

    /// Begins a connection to `remote` and says its number.
    pub fn connect(&mut self, now: Time, remote: SocketAddr, application: Application) -> usize {
        let version = self.settings.client.versions[0];
        let random = expand(self.settings.seed, 1_000 + self.started);
        let client = ClientBeginning {
            server_name: tls::pki_types::ServerName::try_from("localhost").unwrap(),
            tls: Arc::clone(&self.settings.client_tls),
            version,
            token: Bytes::new(),
            original_destination: ConnectionId::new(&random[..8]).unwrap(),
            negotiated: false,
        };
        self.connect_with(now, remote, application, client)
    }

    /// The same, with everything that a client may choose.
    pub fn connect_with(
        &mut self,
        now: Time,
        remote: SocketAddr,
        application: Application,
        client: ClientBeginning,
    ) -> usize {
        assert_eq!(self.side, Side::Client, "servers do not connect");
        let key = self.nodes.len();
        let beginning = self.beginning(now, remote, key);
        let config = Arc::clone(&beginning.config);
        let connection = Connection::client(beginning, client).unwrap();
        self.nodes.push(Node::new(connection, &config, application, now));
        self.turn(now, key);
        key
    }

    fn beginning(&mut self, now: Time, remote: SocketAddr, key: usize) -> Beginning {
        let id = self.generator.next_id();
        self.router.add(id, key).unwrap();
        let config = if self.side.is_client() { &self.settings.client } else { &self.settings.server };
        self.started += 1;
        let purpose = 10_000 + 2 * self.started + u64::from(self.side.is_server());
        Beginning {
            config: Arc::clone(config),
            remote,
            local: None,
            local_ids: LocalIds::new(id, self.generator.fork(), Arc::clone(&self.reset_key)),
            seed: expand(self.settings.seed, purpose),
            now,
        }
    }

    /// Datagrams that arrived at one moment, in order. Runs of them are given to a connection at once, as GRO does.
    pub fn receive(&mut self, now: Time, datagrams: impl IntoIterator<Item = Datagram>) {
        let mut run: Option<Run> = None;
        let mut touched = Vec::new();
        for datagram in datagrams {
            let Some(key) = self.target(now, &datagram) else { continue };
            if !touched.contains(&key) {
                touched.push(key);
            }
            match &mut run {
                Some(run) if run.takes(key, &datagram) => run.all.extend_from_slice(&datagram.bytes),
                _ => {
                    self.deliver(now, run.take());
                    run = Some(Run {
                        key,
                        segment_size: datagram.bytes.len(),
                        first: datagram.clone(),
                        all: datagram.bytes,
                    });
                }
            }
        }
        self.deliver(now, run);
        for key in touched {
            self.turn(now, key);
        }
    }

    fn deliver(&mut self, now: Time, run: Option<Run>) {
        let Some(Run { key, segment_size, first, all }) = run else { return };
        self.nodes[key].handle_datagrams(now, first.from, first.ecn, segment_size, &all);
    }

    /// Whose datagram it is; a new connection's, if it is an attempt.
    fn target(&mut self, now: Time, datagram: &Datagram) -> Option<usize> {
        let Ok(peek) = packet::peek(&datagram.bytes, LOCAL_ID_LENGTH) else {
            self.unclaimed += 1;
            return None;
        };
        let found = match self.router.route(&peek, datagram.from) {
            Route::Connection(key) => Some(key),
            Route::Closed(_) => None,
            Route::Unknown => match peek {
                Peek::Long { kind: Some(PacketKind::Initial), .. } => self.accept(now, datagram),
                _ => self.router.reset_target(&datagram.bytes),
            },
        };
        self.unclaimed += u64::from(found.is_none());
        found
    }

    fn accept(&mut self, now: Time, datagram: &Datagram) -> Option<usize> {
        let service = self.service?;
        let Ok(Packet::Protected(header)) = packet::decode(&datagram.bytes, LOCAL_ID_LENGTH) else { return None };
        if datagram.bytes.len() < 1200 || header.destination.len() < 8 {
            return None;
        }
        let key = self.nodes.len();
        self.router.add_initial(header.destination, datagram.from, key).ok()?;
        let beginning = self.beginning(now, datagram.from, key);
        let config = Arc::clone(&beginning.config);
        let server = ServerBeginning {
            tls: Arc::clone(&self.settings.server_tls),
            version: header.version,
            original_destination: header.destination,
            retry_source: None,
            peer_source: header.source,
            validated: false,
            reset_token: beginning.local_ids.first_reset_token(),
        };
        let connection = Connection::server(beginning, server).unwrap();
        let application = match service {
            Service::Answer => Application::answering(Side::Server),
            Service::Passive => Application::passive(Side::Server),
            Service::Plan(plan) => Application::planned(Side::Server, plan),
        };
        self.nodes.push(Node::new(connection, &config, application, now));
        Some(key)
    }

    /// Ends a turn of a node: to be called after anything was done to it from outside.
    pub fn turn(&mut self, now: Time, key: usize) {
        let Self { nodes, router, outbox, address, .. } = self;
        let mut route = |change: RouteChange| router.apply(key, change).unwrap();
        nodes[key].turn(now, *address, &mut route, outbox);
        if nodes[key].is_drained() {
            router.forget(key);
        }
    }

    /// When any node wants to be called.
    pub fn deadline(&self) -> Option<Time> {
        self.nodes.iter().filter_map(Node::deadline).min()
    }

    /// Does what is due.
    pub fn handle_time(&mut self, now: Time) {
        for key in 0..self.nodes.len() {
            if self.nodes[key].deadline().is_some_and(|at| at <= now) {
                self.nodes[key].handle_time(now);
                self.turn(now, key);
            }
        }
    }

    /// Forgets everything about all connections without a word, as a crash does.
    pub fn crash(&mut self) {
        for (key, _) in self.nodes.drain(..).enumerate() {
            self.router.forget(key);
        }
        self.outbox.clear();
    }

    /// The key of the host's stateless resets.
    pub fn reset_key(&self) -> &ResetKey {
        &self.reset_key
    }

    /// The settings that its connections begin with.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// Datagrams of one address and size for one node, back to back.
#[derive(Debug)]
struct Run {
    key: usize,
    segment_size: usize,
    first: Datagram,
    all: Vec<u8>,
}

impl Run {
    /// Whether the next datagram can be part of it: the last one before it must have been whole.
    fn takes(&self, key: usize, next: &Datagram) -> bool {
        key == self.key
            && next.from == self.first.from
            && next.ecn == self.first.ecn
            && self.all.len().is_multiple_of(self.segment_size)
            && next.bytes.len() <= self.segment_size
            && self.all.len() + next.bytes.len() <= 64 * 1024
    }
}
