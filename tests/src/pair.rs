//! [`Pair`]: a client's and a server's host, joined by a wire on which nothing is lost and everything takes the same time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use codec::{Side, Time};

use crate::application::Application;
use crate::endpoint::{Datagram, Node};
use crate::host::Host;
use crate::settings::Settings;

/// See the [module](self).
#[derive(Debug)]
pub struct Pair {
    /// The client's host, with one connection.
    pub client: Host,
    /// The server's host.
    pub server: Host,
    /// Now.
    pub now: Time,
    /// How long a datagram is on its way.
    pub delay: Duration,
    /// Whether datagrams arrive: to the server, to the client. If not they are gone.
    pub open: [bool; 2],
    wire: VecDeque<(Time, Datagram)>,
    /// Numbers of datagrams to be lost, and of the next one: to the server, to the client.
    losing: [Vec<u64>; 2],
    carried: [u64; 2],
}

/// Where the client is.
pub const CLIENT: SocketAddr = address(10, 1, 50_000);
/// Where the server is.
pub const SERVER: SocketAddr = address(20, 1, 4433);

/// An address of the bench's networks.
pub const fn address(network: u8, host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, network, 0, host)), port)
}

impl Pair {
    /// A client that begins to connect, and a server that answers; a millisecond lies between them.
    pub fn new(settings: &Settings) -> Self {
        Self::with(settings, Application::answering(Side::Client))
    }

    /// The same with this application of the client.
    pub fn with(settings: &Settings, application: Application) -> Self {
        let mut pair = Self::unconnected(settings);
        pair.client.connect(pair.now, SERVER, application);
        pair
    }

    /// The same without a connection.
    pub fn unconnected(settings: &Settings) -> Self {
        Self {
            client: Host::new(Side::Client, CLIENT, settings.clone()),
            server: Host::new(Side::Server, SERVER, settings.clone()),
            now: Time::ZERO + Duration::from_secs(1),
            delay: Duration::from_millis(1),
            open: [true; 2],
            wire: VecDeque::new(),
            losing: Default::default(),
            carried: [0; 2],
        }
    }

    /// A pair whose handshake is confirmed at both ends and that has nothing left to say.
    pub fn established(settings: &Settings) -> Self {
        let mut pair = Self::new(settings);
        pair.confirm();
        pair
    }

    /// Runs until both ends have confirmed and are silent.
    ///
    /// # Panics
    /// If they do not.
    pub fn confirm(&mut self) {
        let until = |pair: &Self| {
            pair.client.nodes[0].was_confirmed() && pair.server.nodes.first().is_some_and(Node::was_confirmed)
        };
        assert!(self.run(Duration::from_secs(5), until), "no handshake: {}", self.describe());
        self.settle();
    }

    /// Runs for three round trips, so that what is said is heard and acknowledged.
    pub fn settle(&mut self) {
        let long = self.delay * 6 + Duration::from_millis(100);
        self.run(long, |_| false);
    }

    /// The client's connection.
    pub fn client(&mut self) -> &mut Node {
        &mut self.client.nodes[0]
    }

    /// The server's connection.
    ///
    /// # Panics
    /// If there is none yet.
    pub fn server(&mut self) -> &mut Node {
        &mut self.server.nodes[0]
    }

    /// The node of this side.
    pub fn node(&mut self, side: Side) -> &mut Node {
        if side.is_client() { self.client() } else { self.server() }
    }

    /// The host of this side.
    pub const fn host(&mut self, side: Side) -> &mut Host {
        if side.is_client() { &mut self.client } else { &mut self.server }
    }

    /// Ends a turn of both nodes, after the test did something to one of them.
    pub fn turn(&mut self) {
        for host in [&mut self.client, &mut self.server] {
            for key in 0..host.nodes.len() {
                host.turn(self.now, key);
            }
        }
        self.collect();
    }

    /// Runs until `until` or for `limit`. Says whether it was `until`.
    pub fn run(&mut self, limit: Duration, until: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            self.collect();
            if until(self) {
                return true;
            }
            let Some(next) = self.next().filter(|next| *next <= end) else {
                self.now = end;
                return false;
            };
            self.now = self.now.max(next);
            self.step();
        }
    }

    fn next(&self) -> Option<Time> {
        let arrival = self.wire.front().map(|(at, _)| *at);
        [arrival, self.client.deadline(), self.server.deadline()].into_iter().flatten().min()
    }

    fn step(&mut self) {
        let mut arrived: [Vec<Datagram>; 2] = Default::default();
        while self.wire.front().is_some_and(|(at, _)| *at <= self.now) {
            let Some((_, datagram)) = self.wire.pop_front() else { break };
            let to = usize::from(datagram.to != self.server.address);
            if self.open[to] {
                arrived[to].push(datagram);
            }
        }
        let [to_server, to_client] = arrived;
        self.server.receive(self.now, to_server);
        self.client.receive(self.now, to_client);
        self.server.handle_time(self.now);
        self.client.handle_time(self.now);
    }

    fn collect(&mut self) {
        let at = self.now + self.delay;
        for (way, host) in [&mut self.client, &mut self.server].into_iter().enumerate() {
            for datagram in host.outbox.drain(..) {
                let number = self.carried[way];
                self.carried[way] += 1;
                if !self.losing[way].contains(&number) {
                    self.wire.push_back((at, datagram));
                }
            }
        }
    }

    /// Loses these datagrams of one direction, counted from the first.
    pub fn lose(&mut self, to_server: bool, numbers: impl IntoIterator<Item = u64>) {
        self.losing[usize::from(!to_server)].extend(numbers);
    }

    /// How many datagrams were sent to the server, or to the client.
    pub const fn carried_to(&self, server: bool) -> u64 {
        self.carried[if server { 0 } else { 1 }]
    }

    /// How many datagrams both hosts have sent.
    pub const fn carried(&self) -> u64 {
        self.carried[0] + self.carried[1]
    }

    /// Puts a datagram on the wire that neither host sent.
    pub fn inject(&mut self, datagram: Datagram) {
        self.wire.push_back((self.now + self.delay, datagram));
    }

    /// Where both ends stand; for the messages of failed assertions.
    pub fn describe(&self) -> String {
        let describe = |node: &Node| {
            format!(
                "{:?} {:?} ({}), rtt {:?}, in flight {}, window {:?}, deadline {:?}, wanted {:?}, finished {}, stats {:?}",
                node.side(),
                node.connection.state(),
                node.ending(),
                node.connection.rtt().smoothed(),
                node.connection.bytes_in_flight(),
                node.connection.window(),
                node.connection.deadline(),
                node.connection.transmit_wanted(),
                node.application.finished(),
                node.stats,
            )
        };
        let nodes: Vec<String> = self.client.nodes.iter().chain(&self.server.nodes).map(describe).collect();
        format!("at {:?}: {}", self.now, nodes.join("\n  "))
    }
}
