//! Traffic that checks itself, a proxy that spoils it, and waiting for numbers that are flushed now and then.

#![allow(unreachable_pub, reason = "a module of several test binaries")]
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use quicast::telemetry::Registry;
use quicast::{Connection, Endpoint, RecvStream, SendStream, TransportConfig};

use crate::support::*;

/// Longer than a whole test takes on a busy machine; only a test that fails waits for it.
pub const ENDLESS: Duration = Duration::from_secs(25);

/// Gives up where a test would hang.
pub async fn within<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(2 * ENDLESS, what).await.expect("it takes too long")
}

/// A client and a server of one shard, with these settings, connected; the server accepts.
pub struct Pair {
    pub server: Endpoint,
    pub client: Endpoint,
    pub here: Connection,
    pub there: Connection,
}

impl Pair {
    pub async fn new() -> Self {
        Self::with(TransportConfig::default(), TransportConfig::default()).await
    }

    /// The settings of the client and of the server.
    pub async fn with(client: TransportConfig, server: TransportConfig) -> Self {
        let server = crate::support::server().transport_config(server).shards(1).start().unwrap();
        let address = server.local_addr();
        Self::through(client, server, address).await
    }

    /// Connected through this address, which leads to the server.
    pub async fn through(client: TransportConfig, server: Endpoint, address: SocketAddr) -> Self {
        let client =
            Endpoint::builder().listen(LOCALHOST).client_config(client_tls()).transport_config(client).start().unwrap();
        let (there, here) =
            tokio::join!(async { server.accept().await.unwrap().accept().unwrap().await.unwrap() }, async {
                client.connect(address, "localhost").await.unwrap()
            },);
        Self { server, client, here, there }
    }

    /// A bidirectional stream, at both ends, once the server has read the first byte.
    pub async fn stream(&self) -> ((SendStream, RecvStream), (SendStream, RecvStream)) {
        let mut here = self.here.open_bi().await.unwrap();
        here.0.write_all(&[0]).await.unwrap();
        let mut there = self.there.accept_bi().await.unwrap();
        assert_eq!(here.0.id(), there.0.id());
        there.1.read_exact(&mut [1]).await.unwrap();
        (here, there)
    }
}

/// Bytes that say where they belong.
pub fn pattern(seed: u64, offset: u64, length: usize) -> Bytes {
    (offset..offset + length as u64)
        .map(|at| (((at + seed) / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (8 * ((at + seed) % 8))) as u8)
        .collect::<Vec<u8>>()
        .into()
}

/// Sends this many bytes of the pattern, and their end.
pub async fn send_pattern(send: &mut SendStream, seed: u64, length: u64) -> Result<(), quicast::WriteError> {
    let mut offset = 0;
    while offset < length {
        let size = (length - offset).min(64 * 1024) as usize;
        send.write_chunk(pattern(seed, offset, size)).await?;
        offset += size as u64;
    }
    send.finish().await
}

/// Reads to the end, and checks each byte. Returns how many there were.
pub async fn check_pattern(receive: &mut RecvStream, seed: u64) -> Result<u64, quicast::ReadError> {
    let mut offset = 0;
    while let Some(chunk) = receive.read_chunk(usize::MAX).await? {
        assert!(chunk == pattern(seed, offset, chunk.len()), "other bytes than were sent, from {offset} on");
        offset += chunk.len() as u64;
    }
    Ok(offset)
}

/// Sends this many bytes on a stream of its own and checks what an echo gives back.
pub async fn echoed(
    connection: &Connection,
    seed: u64,
    length: u64,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (mut send, mut receive) = connection.open_bi().await?;
    let (sent, received) = tokio::join!(send_pattern(&mut send, seed, length), check_pattern(&mut receive, seed));
    sent?;
    assert_eq!(received?, length);
    Ok(())
}

/// Echoes on connections until it is told to stop; whatever comes back other than it was sent fails the test.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    tasks: tokio::task::JoinSet<()>,
}

impl Traffic {
    pub fn on<'a>(connections: impl IntoIterator<Item = &'a Connection>) -> Self {
        let (stop, bytes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for (number, connection) in connections.into_iter().enumerate() {
            let (connection, stop, bytes) = (connection.clone(), Arc::clone(&stop), Arc::clone(&bytes));
            tasks.spawn(async move {
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // Short and long streams in turn: the long ones are promoted.
                    let length = if round % 4 == 3 { 700_000 } else { 40_000 };
                    echoed(&connection, number as u64 + round * 7, length).await.unwrap();
                    bytes.fetch_add(length, Ordering::Relaxed);
                }
            });
        }
        Self { stop, bytes, tasks }
    }

    /// Waits until this many more bytes came back.
    pub async fn goes_on(&self, more: u64) {
        let until = self.bytes.load(Ordering::Relaxed) + more;
        eventually("traffic to go on", || self.bytes.load(Ordering::Relaxed) >= until).await;
    }

    /// All of it came back.
    pub async fn end(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(result) = self.tasks.join_next().await {
            result.unwrap();
        }
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Waits until it is so. Counters are flushed four times a second, so there is nothing to be woken by.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while !is_so() {
            ticks.tick().await;
        }
    };
    assert!(tokio::time::timeout(ENDLESS, waiting).await.is_ok(), "waited in vain for {what}");
}

/// Waits until a series has at least this value, and returns it.
pub async fn at_least(registry: &Registry, name: &str, labels: &[&str], value: f64) -> f64 {
    let read = || registry.value(name, labels).unwrap_or_else(|| panic!("no series {name} {labels:?}"));
    eventually(&format!("{name}{labels:?} >= {value}, it is {}", read()), || read() >= value).await;
    read()
}

/// Waits until a gauge says so.
pub async fn falls_to(registry: &Registry, name: &str, labels: &[&str], value: f64) {
    let read = || registry.value(name, labels).unwrap_or_else(|| panic!("no series {name} {labels:?}"));
    eventually(&format!("{name}{labels:?} <= {value}"), || read() <= value).await;
}

/// Panics of actors in an endpoint, by type.
pub fn panics(registry: &Registry) -> Vec<(&'static str, f64)> {
    use telemetry::Label as _;
    let actors = telemetry::actor::ActorType::ALL.iter();
    let counts = actors.map(|actor| {
        (actor.as_str(), registry.value("quicast_actor_stops_total", &[actor.as_str(), "panic"]).unwrap())
    });
    counts.filter(|(_, count)| *count > 0.0).collect()
}

/// A small generator of numbers, so that a test that fails can be repeated.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What a proxy does with a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    Forward,
    Drop,
    Twice,
    /// Held back until the next one has passed.
    Late,
    /// Held back until many more have passed.
    VeryLate,
}

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    ToServer,
    ToClient,
}

type Judge = Box<dyn FnMut(Way, &mut Vec<u8>) -> Fate + Send>;

/// Stands between one client and a server, and decides about each datagram. Its threads end with it.
pub struct Proxy {
    pub address: SocketAddr,
    judge: Arc<Mutex<Judge>>,
    upstream: Arc<Mutex<UdpSocket>>,
    client: Arc<Mutex<Option<SocketAddr>>>,
    over: Arc<AtomicBool>,
    server: SocketAddr,
    front: UdpSocket,
}

impl Proxy {
    pub fn new(server: SocketAddr) -> Self {
        let front = socket();
        let proxy = Self {
            address: front.local_addr().unwrap(),
            judge: Arc::new(Mutex::new(Box::new(|_, _| Fate::Forward))),
            upstream: Arc::new(Mutex::new(socket())),
            client: Arc::default(),
            over: Arc::default(),
            server,
            front,
        };
        let (front, judge, upstream) = (proxy.front.try_clone().unwrap(), proxy.judge.clone(), proxy.upstream.clone());
        let (client, over) = (proxy.client.clone(), proxy.over.clone());
        std::thread::spawn(move || {
            pump(&over, &front, |datagram, from| {
                *client.lock().unwrap() = Some(from);
                let fate = judge.lock().unwrap()(Way::ToServer, datagram);
                let upstream = upstream.lock().unwrap().try_clone().unwrap();
                (fate, Some((upstream, server)))
            });
        });
        proxy.answers();
        proxy
    }

    /// From now on this decides.
    pub fn judge(&self, judge: impl FnMut(Way, &mut Vec<u8>) -> Fate + Send + 'static) {
        *self.judge.lock().unwrap() = Box::new(judge);
    }

    /// Lets everything pass.
    pub fn calm(&self) {
        self.judge(|_, _| Fate::Forward);
    }

    /// The server sees the client at another address from now on, as behind a NAT that forgot.
    pub fn rebind(&self) {
        *self.upstream.lock().unwrap() = socket();
        self.answers();
    }

    fn answers(&self) {
        let (upstream, front) = (self.upstream.lock().unwrap().try_clone().unwrap(), self.front.try_clone().unwrap());
        let (judge, client, over) = (self.judge.clone(), self.client.clone(), self.over.clone());
        std::thread::spawn(move || {
            pump(&over, &upstream, |datagram, _| {
                let fate = judge.lock().unwrap()(Way::ToClient, datagram);
                (fate, client.lock().unwrap().map(|client| (front.try_clone().unwrap(), client)))
            });
        });
    }

    pub fn server(&self) -> SocketAddr {
        self.server
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind(LOCALHOST).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    socket
}

fn pump(
    over: &AtomicBool,
    from: &UdpSocket,
    mut decide: impl FnMut(&mut Vec<u8>, SocketAddr) -> (Fate, Option<(UdpSocket, SocketAddr)>),
) {
    let mut buffer = vec![0; 65_536];
    let mut late: Vec<(u32, Vec<u8>)> = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let Ok((length, source)) = from.recv_from(&mut buffer) else { continue };
        let mut datagram = buffer[..length].to_vec();
        let (fate, Some((to, address))) = decide(&mut datagram, source) else { continue };
        // A datagram that cannot be sent is lost, like others.
        let send = |datagram: &[u8]| drop(to.send_to(datagram, address));
        match fate {
            Fate::Forward => send(&datagram),
            Fate::Twice => {
                send(&datagram);
                send(&datagram);
            }
            Fate::Drop => {}
            Fate::Late => late.push((2, datagram)),
            Fate::VeryLate => late.push((12, datagram)),
        }
        late.retain_mut(|(more, datagram)| {
            *more -= 1;
            if *more == 0 {
                send(datagram);
            }
            *more > 0
        });
    }
}

/// An Initial of version 1 with ids of its own, which nobody can decrypt. What it costs to find that out is the point.
pub fn initial(number: u32) -> Vec<u8> {
    let mut datagram = vec![0xc3, 0, 0, 0, 1, 8];
    datagram.extend(u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    datagram.extend([8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0x44, 0x80]);
    datagram.resize(1_200, 0x5a);
    datagram
}

/// Lets so many strangers come at once to a server that asks for proof of addresses, that it has more to answer than it
/// answers at once.
pub async fn crowd(server: &Endpoint) {
    let socket = socket();
    let state = quinn_udp::UdpSocketState::new((&socket).into()).unwrap();
    let strangers: Vec<u8> = (0..40).flat_map(initial).collect();
    // One piece for the kernel, and one read for the server.
    let transmit = quinn_udp::Transmit {
        destination: server.local_addr(),
        ecn: None,
        contents: &strangers,
        segment_size: Some(1_200),
        src_ip: None,
    };
    state.try_send((&socket).into(), &transmit).unwrap();
    at_least(server.metrics(), "quicast_edge_full_total", &["dispatcher_socket"], 1.0).await;
}

/// Resident memory of this process in bytes.
pub fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
