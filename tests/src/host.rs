//! [`Host`]: an address with an endpoint, as a shard has it, and nodes behind it. A server's host accepts.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use codec::{Side, Time, Version};
use transport::endpoint::{self, Arrival, AttemptKey, Client, Endpoint, Output, Secrets};
use transport::output::{ReceivedDatagrams, RouteChange};
use transport::reset::ResetKey;

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
    /// What becomes of attempts to connect, and what runs on the connections.
    pub service: Option<Service>,
    /// Datagrams that nobody wanted.
    pub unclaimed: u64,
    /// What routes, accepts and answers before there is a connection.
    pub endpoint: Endpoint,
    reset_key: ResetKey,
    settings: Settings,
    side: Side,
    starts: u64,
    /// Nodes whose handshake is over, and that are over, as the endpoint was told.
    told: Vec<[bool; 2]>,
}

/// What becomes of an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Service {
    /// It is accepted and its streams are answered, see [`Application::answering`].
    Answer,
    /// It is accepted and left to the test, see [`Application::passive`].
    Passive,
    /// It is accepted, follows a plan, and answers.
    Plan(Plan),
    /// It is refused.
    Refuse,
    /// It must prove its address first.
    Retry,
}

impl Host {
    /// A host of this side at `address`.
    pub fn new(side: Side, address: SocketAddr, settings: Settings) -> Self {
        let secret = expand(settings.seed, if side.is_client() { 100 } else { 200 });
        Self {
            address,
            nodes: Vec::new(),
            outbox: VecDeque::new(),
            service: side.is_server().then_some(Service::Answer),
            unclaimed: 0,
            endpoint: begin(side, &settings, 0),
            reset_key: ResetKey::new(&secret),
            settings,
            side,
            starts: 0,
            told: Vec::new(),
        }
    }

    /// Begins a connection to `remote` and says its number.
    pub fn connect(&mut self, now: Time, remote: SocketAddr, application: Application) -> usize {
        self.connect_with(now, remote, application, Bytes::new(), None)
    }

    /// The same with a token of an earlier connection, and with the version that a Version Negotiation packet led to.
    pub fn connect_with(
        &mut self,
        now: Time,
        remote: SocketAddr,
        application: Application,
        token: Bytes,
        negotiated: Option<Version>,
    ) -> usize {
        assert_eq!(self.side, Side::Client, "servers do not connect");
        let key = self.nodes.len();
        let config = Arc::clone(&self.settings.client);
        let client = Client {
            remote,
            server_name: tls::pki_types::ServerName::try_from("localhost").unwrap(),
            tls: Arc::clone(&self.settings.client_tls),
            config: Arc::clone(&config),
            negotiated,
            token,
        };
        let connection = self.endpoint.connect(now, key, client).unwrap();
        self.add(Node::new(connection, &config, application, now));
        self.turn(now, key);
        key
    }

    fn add(&mut self, node: Node) {
        self.nodes.push(node);
        self.told.push([false; 2]);
    }

    /// Datagrams that arrived at one moment, in order. Runs of them are taken at once, as GRO delivers them.
    pub fn receive(&mut self, now: Time, datagrams: impl IntoIterator<Item = Datagram>) {
        let mut run: Option<ReceivedDatagrams> = None;
        let mut touched = Vec::new();
        for datagram in datagrams {
            match &mut run {
                Some(run) if takes(run, &datagram) => run.buffer.extend_from_slice(&datagram.bytes),
                _ => {
                    self.deliver(now, run.take(), &mut touched);
                    run = Some(ReceivedDatagrams {
                        remote: datagram.from,
                        local: None,
                        ecn: datagram.ecn,
                        segment_size: datagram.bytes.len(),
                        buffer: BytesMut::from(&datagram.bytes[..]),
                    });
                }
            }
        }
        self.deliver(now, run, &mut touched);
        for key in touched {
            self.turn(now, key);
        }
        self.answer(now);
    }

    fn deliver(&mut self, now: Time, run: Option<ReceivedDatagrams>, touched: &mut Vec<usize>) {
        let Some(run) = run else { return };
        let arrival = arrival(now);
        self.endpoint.handle_datagrams(&arrival, run);
        let mut wanted = false;
        while let Some(output) = self.endpoint.poll_output() {
            wanted = true;
            let key = match output {
                Output::Datagrams { key, datagrams } => {
                    self.nodes[key].connection.handle_datagrams(now, datagrams);
                    key
                }
                Output::Reset { key } => {
                    self.nodes[key].connection.handle_stateless_reset(now);
                    key
                }
                Output::Forward { .. } => panic!("there is one shard"),
                Output::Attempt(attempt) => match self.decide(&arrival, attempt) {
                    Some(key) => key,
                    None => continue,
                },
            };
            if !touched.contains(&key) {
                touched.push(key);
            }
        }
        self.unclaimed += u64::from(!wanted);
    }

    fn decide(&mut self, arrival: &Arrival, attempt: AttemptKey) -> Option<usize> {
        let application = match self.service {
            Some(Service::Answer) => Application::answering(Side::Server),
            Some(Service::Passive) => Application::passive(Side::Server),
            Some(Service::Plan(plan)) => Application::planned(Side::Server, plan),
            Some(Service::Retry) if self.endpoint.retry(attempt).is_ok() => return None,
            Some(Service::Retry) => Application::answering(Side::Server),
            Some(Service::Refuse) => {
                self.endpoint.refuse(attempt);
                return None;
            }
            None => {
                self.endpoint.ignore(attempt);
                return None;
            }
        };
        let key = self.nodes.len();
        let accepted = self.endpoint.accept(arrival, attempt, key, None).unwrap();
        let mut node = Node::new(accepted.connection, &self.settings.server, application, arrival.now);
        for datagrams in accepted.datagrams {
            node.connection.handle_datagrams(arrival.now, datagrams);
        }
        self.add(node);
        Some(key)
    }

    fn answer(&mut self, now: Time) {
        let mut buffer = vec![0; 1500];
        while let Some(transmit) = self.endpoint.poll_answer(arrival(now).unix_time, &mut buffer) {
            let bytes = buffer[..transmit.length].to_vec();
            self.outbox.push_back(Datagram { from: self.address, to: transmit.remote, ecn: transmit.ecn, bytes });
        }
    }

    /// Ends a turn of a node: to be called after anything was done to it from outside.
    pub fn turn(&mut self, now: Time, key: usize) {
        let Self { nodes, endpoint, outbox, address, told, .. } = self;
        let (node, [handshake, end]) = (&mut nodes[key], &mut told[key]);
        let mut route = |change: RouteChange| endpoint.handle_route(key, change).unwrap();
        node.turn(now, *address, &mut route, outbox);
        let over = node.close_reason().cloned();
        if !*handshake && (node.was_connected() || over.is_some()) {
            *handshake = true;
            endpoint.handle_handshake_over(key);
        }
        if let Some(reason) = over
            && !*end
            && node.is_drained()
        {
            *end = true;
            endpoint.handle_ended(now, key, node.connection.remote(), &reason);
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

    /// Forgets everything about all connections without a word, as a crash does, and begins anew with the same secrets.
    pub fn crash(&mut self) {
        self.starts += 1;
        self.endpoint = begin(self.side, &self.settings, self.starts);
        self.nodes.clear();
        self.told.clear();
        self.outbox.clear();
    }

    /// The key of the host's stateless resets.
    pub const fn reset_key(&self) -> &ResetKey {
        &self.reset_key
    }

    /// The settings that its connections begin with.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }
}

fn begin(side: Side, settings: &Settings, starts: u64) -> Endpoint {
    let config = if side.is_client() { &settings.client } else { &settings.server };
    let purpose = if side.is_client() { 100 } else { 200 };
    let secret = expand(settings.seed, purpose);
    let settings_of_endpoint = endpoint::Settings {
        config: Arc::clone(config),
        server: side.is_server().then(|| Arc::clone(&settings.server_tls)),
        retry: settings.retry,
        resets: true,
        shard: 0,
        shards: 1,
    };
    let secrets = Secrets { ids: secret, resets: secret, tokens: secret };
    Endpoint::new(settings_of_endpoint, &secrets, &expand(settings.seed, 1_000 * (starts + 1) + purpose))
}

/// The bench's clock: virtual time began at some moment of 2026.
fn arrival(now: Time) -> Arrival {
    let unix_time = Duration::from_secs(1_795_000_000) + Duration::from_nanos(now.as_nanos() / 2);
    Arrival { now, unix_time, backlog: Duration::ZERO, forwarded: false }
}

/// Whether the next datagram can be part of a run: the last one before it must have been whole.
fn takes(run: &ReceivedDatagrams, next: &Datagram) -> bool {
    next.from == run.remote
        && next.ecn == run.ecn
        && run.segment_size > 0
        && run.buffer.len().is_multiple_of(run.segment_size)
        && next.bytes.len() <= run.segment_size
        && run.buffer.len() + next.bytes.len() <= 64 * 1024
}
