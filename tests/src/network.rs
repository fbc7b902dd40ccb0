//! [`Network`]: a client and a server, and everything that can go wrong between them.
//!
//! Virtual time jumps from event to event; every whim follows from a seed. In every step the promises of both ends are
//! checked: [`Node`] checks its own, the network that no more than three times what came from an address is sent to it
//! before it has proven itself (RFC 9000 §8).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use codec::{Side, Time};
use recovery::Ecn;

use crate::application::Application;
use crate::endpoint::{Datagram, Node};
use crate::host::Host;
use crate::pair::{CLIENT, SERVER};
use crate::settings::{Settings, splitmix};

/// What a link does to datagrams of one direction. Chances are in a thousand.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// How long each is on its way, at least.
    pub delay: Duration,
    /// By how much that varies: datagrams overtake each other within it.
    pub jitter: Duration,
    /// How many are lost, each by itself.
    pub loss: u32,
    /// How often a burst of losses begins.
    pub burst: u32,
    /// How many datagrams in a row a burst takes, at most.
    pub burst_length: u32,
    /// How many are held up and overtaken by later ones.
    pub reorder: u32,
    /// For how long those are held up.
    pub reorder_delay: Duration,
    /// How many arrive twice.
    pub duplicate: u32,
    /// How many arrive with a bit or more changed.
    pub corrupt: u32,
    /// Bytes in a second that fit; zero: any number.
    pub bandwidth: u64,
    /// Datagrams that wait for bandwidth, at most; more are lost.
    pub queue: usize,
    /// Bytes of the largest UDP payload that passes.
    pub mtu: usize,
    /// How many ECN-capable datagrams are marked Congestion Experienced.
    pub mark: u32,
    /// Whether ECN marks are removed.
    pub bleach: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss: 0,
            burst: 0,
            burst_length: 0,
            reorder: 0,
            reorder_delay: Duration::from_millis(15),
            duplicate: 0,
            corrupt: 0,
            bandwidth: 0,
            queue: 1000,
            mtu: 1472,
            mark: 0,
            bleach: false,
        }
    }
}

/// What the network does besides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// The client's NAT forgets its binding this often, once the handshake is confirmed (before that, addresses are fixed:
    /// RFC 9000 §9): later datagrams come from another port.
    pub rebinding: Option<Duration>,
    /// The client's address changes with the port.
    pub roaming: bool,
    /// The first binding is forgotten at the moment of the server's confirmation, so that the client does not hear of it.
    pub early: bool,
    /// For how long datagrams pass, and for how long none does, in turn.
    pub blackholes: Option<(Duration, Duration)>,
}

#[derive(Debug)]
struct Link {
    conditions: Conditions,
    random: u64,
    /// Losses that the present burst still takes.
    burst: u32,
    /// When it is over whatever was lost.
    burst_ends: Time,
    /// When the last datagram in the queue has left it.
    free_at: Time,
    waiting: std::collections::VecDeque<Time>,
}

/// How long a burst of losses lasts at most.
const BURST: Duration = Duration::from_millis(100);

/// What became of datagrams; for assertions that a case did what it says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fates {
    /// Arrived.
    pub delivered: u64,
    /// Lost by chance, in bursts or in blackholes.
    pub lost: u64,
    /// Lost because the queue was full.
    pub overflowed: u64,
    /// Lost because they were too large.
    pub too_large: u64,
    /// Changed.
    pub corrupted: u64,
    /// Sent to an address that is no longer the client's.
    pub misdirected: u64,
    /// Marked Congestion Experienced.
    pub marked: u64,
}

/// What came from and went to an address of the client's.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    received: u64,
    sent: u64,
    /// The client has received something there, so what it says from there may prove it.
    reached: bool,
    proven: bool,
}

#[derive(Debug)]
struct Arrival {
    to_server: bool,
    proof: bool,
    datagram: Datagram,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Network {
    /// The client's host, with one connection.
    pub client: Host,
    /// The server's host.
    pub server: Host,
    /// Now.
    pub now: Time,
    /// What became of datagrams.
    pub fates: Fates,
    /// What the network does besides.
    pub weather: Weather,
    links: [Link; 2],
    wire: BinaryHeap<Reverse<(Time, u64)>>,
    arrivals: BTreeMap<u64, Arrival>,
    sent: u64,
    started: Time,
    confirmed_at: Option<Time>,
    accounts: BTreeMap<SocketAddr, Account>,
}

impl Network {
    /// A client that begins to connect through a network with these conditions both ways.
    pub fn new(settings: &Settings, conditions: Conditions, weather: Weather, application: Application) -> Self {
        Self::asymmetric(settings, [conditions; 2], weather, application)
    }

    /// The same with conditions to the server and to the client.
    pub fn asymmetric(
        settings: &Settings,
        conditions: [Conditions; 2],
        weather: Weather,
        application: Application,
    ) -> Self {
        let started = Time::ZERO + Duration::from_secs(1);
        let mut seed = settings.seed ^ 0x5151;
        let links = conditions.map(|conditions| Link {
            conditions,
            random: splitmix(&mut seed),
            burst: 0,
            burst_ends: started,
            free_at: started,
            waiting: std::collections::VecDeque::new(),
        });
        let mut network = Self {
            client: Host::new(Side::Client, CLIENT, settings.clone()),
            server: Host::new(Side::Server, SERVER, settings.clone()),
            now: started,
            fates: Fates::default(),
            weather,
            links,
            wire: BinaryHeap::new(),
            arrivals: BTreeMap::new(),
            sent: 0,
            started,
            confirmed_at: None,
            accounts: BTreeMap::new(),
        };
        network.client.connect(started, SERVER, application);
        network
    }

    /// Changes the conditions from now on: to the server, to the client.
    pub fn set_conditions(&mut self, conditions: [Conditions; 2]) {
        for (link, conditions) in self.links.iter_mut().zip(conditions) {
            link.conditions = conditions;
            link.burst = 0;
        }
    }

    /// The client's connection.
    pub fn client(&mut self) -> &mut Node {
        &mut self.client.nodes[0]
    }

    /// The server's connection that the client's is joined to. (A spoiled first Initial makes others, which lead nowhere.)
    ///
    /// # Panics
    /// If there is none.
    pub fn server(&mut self) -> &mut Node {
        let key = self.server_key().expect("the server has accepted");
        &mut self.server.nodes[key]
    }

    /// Its number on the server's host, if there is one.
    pub fn server_key(&self) -> Option<usize> {
        let connected = self.server.nodes.iter().position(Node::was_connected);
        connected.or(self.server.nodes.len().checked_sub(1))
    }

    /// Runs until `until` or for `limit`. Says whether it was `until`.
    pub fn run(&mut self, limit: Duration, until: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            self.collect();
            if until(self) {
                return true;
            }
            let wire = self.wire.peek().map(|Reverse((at, _))| *at);
            let next = [wire, self.client.deadline(), self.server.deadline()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return false;
            };
            self.now = self.now.max(next);
            self.step();
        }
    }

    fn step(&mut self) {
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        while self.wire.peek().is_some_and(|Reverse((at, _))| *at <= self.now) {
            let Some(Reverse((_, key))) = self.wire.pop() else { break };
            let Some(Arrival { to_server: is_to_server, proof, mut datagram }) = self.arrivals.remove(&key) else {
                continue;
            };
            if is_to_server {
                let account = self.accounts.entry(datagram.from).or_default();
                account.received += datagram.bytes.len() as u64;
                account.proven |= proof;
                to_server.push(datagram);
            } else if datagram.to == self.binding() {
                self.accounts.entry(datagram.to).or_default().reached = true;
                datagram.to = CLIENT;
                to_client.push(datagram);
            } else {
                trace(self.now, "to a forgotten binding", std::slice::from_ref(&datagram));
                self.fates.misdirected += 1;
                continue;
            }
            self.fates.delivered += 1;
        }
        trace(self.now, "to server", &to_server);
        trace(self.now, "to client", &to_client);
        self.server.receive(self.now, to_server);
        self.client.receive(self.now, to_client);
        self.server.handle_time(self.now);
        self.client.handle_time(self.now);
        let decides = if self.weather.early { &self.server } else { &self.client };
        if self.confirmed_at.is_none() && decides.nodes.iter().any(Node::was_confirmed) {
            self.confirmed_at = Some(self.now);
        }
        if is_traced() {
            for node in self.client.nodes.iter().chain(&self.server.nodes) {
                eprintln!("  {}", describe(node));
            }
        }
    }

    /// The address that the client's NAT gives it now.
    pub fn binding(&self) -> SocketAddr {
        let mut address = CLIENT;
        if let (Some(period), Some(since)) = (self.weather.rebinding, self.confirmed_at) {
            let times = (self.now - since).as_nanos() / period.as_nanos().max(1) + u128::from(self.weather.early);
            address.set_port(CLIENT.port() + (times % 10_000) as u16);
            if self.weather.roaming && times > 0 {
                address.set_ip(std::net::Ipv4Addr::new(10, 99, (times >> 8) as u8, times as u8).into());
            }
        }
        address
    }

    fn is_dark(&self) -> bool {
        self.weather.blackholes.is_some_and(|(light, dark)| {
            let period = (light + dark).as_nanos().max(1);
            (self.now - self.started).as_nanos() % period >= light.as_nanos()
        })
    }

    fn collect(&mut self) {
        while let Some(mut datagram) = self.client.outbox.pop_front() {
            datagram.from = self.binding();
            let proof = self.accounts.entry(datagram.from).or_default().reached;
            self.carry(Arrival { to_server: true, proof, datagram });
        }
        while let Some(datagram) = self.server.outbox.pop_front() {
            let account = self.accounts.entry(datagram.to).or_default();
            account.sent += datagram.bytes.len() as u64;
            //= https://www.rfc-editor.org/rfc/rfc9000#section-8
            //= type=test
            //# Therefore,
            //# after receiving packets from an address that is not yet validated, an endpoint
            //# MUST limit the amount of data it sends to the unvalidated address to three times
            //# the amount of data received from that address.
            assert!(
                account.proven || account.sent <= 3 * account.received,
                "{} bytes were sent to {}, from where {} came",
                account.sent,
                datagram.to,
                account.received
            );
            self.carry(Arrival { to_server: false, proof: false, datagram });
        }
    }

    fn carry(&mut self, mut arrival: Arrival) {
        let dark = self.is_dark();
        let link = &mut self.links[usize::from(!arrival.to_server)];
        let conditions = link.conditions;
        let length = arrival.datagram.bytes.len();
        if length > conditions.mtu {
            self.fates.too_large += 1;
            return;
        }
        if dark || link.loses(self.now) {
            self.fates.lost += 1;
            return;
        }
        let Some(leaves) = link.queue(self.now, length) else {
            self.fates.overflowed += 1;
            return;
        };
        if link.chance(conditions.mark) && arrival.datagram.ecn.is_some() {
            arrival.datagram.ecn = Some(Ecn::Ce);
            self.fates.marked += 1;
        }
        if conditions.bleach {
            arrival.datagram.ecn = None;
        }
        let copies = 1 + u32::from(link.chance(conditions.duplicate));
        for _ in 0..copies {
            let link = &mut self.links[usize::from(!arrival.to_server)];
            let jitter = conditions.jitter.mul_f64(f64::from(link.below(1001)) / 1000.0);
            let held = if link.chance(conditions.reorder) { conditions.reorder_delay } else { Duration::ZERO };
            let mut datagram = arrival.datagram.clone();
            if link.chance(conditions.corrupt) {
                link.corrupt(&mut datagram.bytes);
                self.fates.corrupted += 1;
            }
            let at = leaves + conditions.delay + jitter + held;
            self.sent += 1;
            self.wire.push(Reverse((at, self.sent)));
            self.arrivals.insert(self.sent, Arrival { datagram, ..arrival });
        }
    }

    /// Runs with a perfect network until nothing is left to do, and checks that nothing is kept for ever: no bytes in
    /// flight, no bytes held, no streams.
    ///
    /// # Panics
    /// If something is left, or the connection is over.
    pub fn check_no_leaks(&mut self) {
        self.weather.blackholes = None;
        self.weather.rebinding = None;
        self.set_conditions([Conditions::default(); 2]);
        let quiet = self.run(Duration::from_secs(20), |network| {
            let server = network.server_key().map(|key| &network.server.nodes[key]);
            network.client.nodes.iter().chain(server).all(is_quiet)
        });
        assert!(quiet, "something is left: {}", self.describe());
    }

    /// Where both ends stand; for the messages of failed assertions.
    pub fn describe(&self) -> String {
        let nodes: Vec<String> = self.client.nodes.iter().chain(&self.server.nodes).map(describe).collect();
        format!("at {:?}, {:?}:\n  {}", self.now, self.fates, nodes.join("\n  "))
    }
}

/// Whether every step is to be told on standard error (`SIM_TRACE=1`, best with `SIM_SEED=`).
fn is_traced() -> bool {
    static TRACED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *TRACED.get_or_init(|| std::env::var_os("SIM_TRACE").is_some())
}

fn trace(now: Time, way: &str, datagrams: &[Datagram]) {
    if is_traced() && !datagrams.is_empty() {
        for datagram in datagrams {
            eprintln!("{now:?} {way}: {} -> {}, {} bytes", datagram.from, datagram.to, datagram.bytes.len());
        }
    }
}

/// Whether nothing is left of what a node's application did.
pub fn is_quiet(node: &Node) -> bool {
    let ledger = node.connection.ledger();
    node.connection.state().is_established()
        && node.connection.bytes_in_flight() == 0
        && ledger.send_buffered() == 0
        && ledger.receive_charged() == 0
        && node.streams.is_empty()
}

/// Where a node stands, on one line.
pub fn describe(node: &Node) -> String {
    let ledger = node.connection.ledger();
    format!(
        "{:?} {:?} ({}), rtt {:?}, in flight {}, {:?}, datagram {}, deadline {:?}, wanted {:?}, limited by {:?}, pto {}, \
         finished {}, peer's {}, streams {}, open {:?}, send buffered {}, charged {}, {:?}",
        node.side(),
        node.connection.state(),
        node.ending(),
        node.connection.rtt().smoothed(),
        node.connection.bytes_in_flight(),
        node.connection.window(),
        node.connection.datagram_size(),
        node.connection.deadline(),
        node.connection.transmit_wanted(),
        node.connection.limited_by(),
        node.connection.probe_timeouts(),
        node.application.finished(),
        node.application.peer_finished,
        node.streams.len(),
        ledger.open_streams(),
        ledger.send_buffered(),
        ledger.receive_charged(),
        node.stats,
    )
}

impl Link {
    fn below(&mut self, limit: u32) -> u32 {
        (splitmix(&mut self.random) % u64::from(limit)) as u32
    }

    /// Whether something of this chance in a thousand happens.
    fn chance(&mut self, thousandths: u32) -> bool {
        // Drawn always, so that a change of one chance does not change what else happens.
        self.below(1000) < thousandths
    }

    fn loses(&mut self, now: Time) -> bool {
        let (begins, alone) = (self.chance(self.conditions.burst), self.chance(self.conditions.loss));
        let length = 1 + self.below(self.conditions.burst_length.max(1));
        if self.burst == 0 && begins {
            self.burst = length;
            self.burst_ends = now + BURST;
        }
        if self.burst > 0 && now < self.burst_ends {
            self.burst -= 1;
            return true;
        }
        self.burst = 0;
        alone
    }

    /// When a datagram of `length` bytes has left the queue, or `None` if the queue is full.
    fn queue(&mut self, now: Time, length: usize) -> Option<Time> {
        if self.conditions.bandwidth == 0 {
            return Some(now);
        }
        while self.waiting.front().is_some_and(|leaves| *leaves <= now) {
            self.waiting.pop_front();
        }
        if self.waiting.len() >= self.conditions.queue {
            return None;
        }
        let takes = Duration::from_nanos(length as u64 * 1_000_000_000 / self.conditions.bandwidth);
        self.free_at = self.free_at.max(now) + takes;
        self.waiting.push_back(self.free_at);
        Some(self.free_at)
    }

    fn corrupt(&mut self, bytes: &mut Vec<u8>) {
        let times = 1 + self.below(3);
        for _ in 0..times {
            let length = u32::try_from(bytes.len()).unwrap().max(1);
            let (position, bit) = (self.below(length) as usize, self.below(8));
            if let Some(byte) = bytes.get_mut(position) {
                *byte ^= 1 << bit;
            }
        }
        if self.chance(100) {
            let length = self.below(u32::try_from(bytes.len()).unwrap().max(1)) as usize;
            bytes.truncate(length.max(1));
        }
    }
}
