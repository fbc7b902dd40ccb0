//! Whole shards under paused time, joined by wires in memory.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::*;
use crate::api::connection::Connection;
use crate::congestion::policy::Policy;
use crate::dispatcher::messages::ConnectOrder;
use crate::recorder::{Recorder, paused};
use crate::socket::memory::{MemorySocket, Wire, WireDatagrams};

const PROTOCOL: &[u8] = b"test";

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 4433))
}

/// What the shards of one endpoint share.
struct Shared {
    config: EndpointConfig,
    directory: Arc<Directory>,
    forwarding: ForwardingTable,
    registry: telemetry::Registry,
    service: Option<Service>,
}

impl Shared {
    fn new(shards: usize, server: Option<Arc<tls::ServerConfig>>, service: Option<Service>) -> Self {
        Self {
            config: EndpointConfig {
                transport: Arc::default(),
                server,
                retry: RetryPolicy::Never,
                busy_poll: Duration::ZERO,
                policy: Policy::new(congestion::Registry::default(), congestion::Algorithm::default()),
                shards,
            },
            directory: Arc::default(),
            forwarding: (0..shards).map(|_| arc_swap::ArcSwapOption::empty()).collect(),
            registry: telemetry::Registry::new(&telemetry::Setup { shards, ..telemetry::Setup::default() }),
            service,
        }
    }

    fn start(&self, shard: usize, local: SocketAddr) -> Place {
        let (socket, wire) = MemorySocket::new(local, 1_000);
        let down = Recorder::start();
        let mut actor = Shard::new(ShardParts {
            shard,
            config: self.config.clone(),
            secrets: Secrets { ids: [1; 32], resets: [2; 32], tokens: [3; 32] },
            seed: [local.ip().to_canonical().is_ipv4() as u8 + shard as u8; 32],
            socket: BoundSocket::Memory(socket),
            registry: self.registry.clone(),
            directory: Arc::clone(&self.directory),
            forwarding: Arc::clone(&self.forwarding),
            service: self.service.clone(),
            owner: down.recipient(),
        })
        .unwrap();
        actor.virtual_time = true;
        let meter = Rc::clone(&actor.stage.meter);
        Place { shard: actor.start(), local, wire, down, meter }
    }
}

/// A shard, and where it is.
struct Place {
    shard: Addr<Shard>,
    local: SocketAddr,
    wire: Wire,
    down: Recorder<ShardDown>,
    meter: Rc<Meter>,
}

/// A client and two shards of a server. What the client sends goes to one of them.
struct World {
    server: Shared,
    places: [Place; 2],
    client: Place,
    goes_to: Rc<Cell<usize>>,
}

/// Carries what one sends to the other, after a millisecond.
fn carry(from: &Place, to: Vec<Wire>, choose: Rc<Cell<usize>>) {
    let (wire, sender) = (from.wire.clone(), from.local);
    actix::spawn(async move {
        loop {
            let datagrams = wire.sent().await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            to[choose.get()].deliver(WireDatagrams { remote: sender, local: None, ..datagrams });
        }
    });
}

impl World {
    fn new() -> Self {
        let certificate = tls::development::certificate(&["localhost"], tls::pki_types::UnixTime::now()).unwrap();
        let tls = Arc::new(tls::development::server_config(&certificate, &[PROTOCOL]).unwrap());
        let server = Shared::new(2, Some(tls), Some(Arc::new(|connection| Box::pin(echo(connection)))));
        // Both are the same to the client, as in a group of sockets with one port.
        let places = [server.start(0, address(1)), server.start(1, address(1))];
        let client = Shared::new(1, None, None).start(0, address(2));
        let goes_to = Rc::new(Cell::new(0));
        carry(&client, places.iter().map(|place| place.wire.clone()).collect(), Rc::clone(&goes_to));
        for place in &places {
            carry(place, vec![client.wire.clone()], Rc::default());
        }
        Self { server, places, client, goes_to }
    }

    async fn connect(&self) -> Connection {
        let order = ConnectOrder {
            remote: address(1),
            server_name: "localhost".try_into().unwrap(),
            tls: Arc::new(tls::development::insecure_client_config(&[PROTOCOL]).unwrap()),
            transport: Arc::default(),
            negotiated: None,
            token: Bytes::new(),
        };
        let (reply, answer) = oneshot::channel();
        self.client.shard.do_send(Connect { order: Box::new(order), reply });
        let begun = answer.await.unwrap().unwrap();
        poll_fn(|context| begun.port.poll_connected(context)).await.unwrap();
        begun.connection
    }

    /// A counter of the server's.
    fn count(&self, name: &str, labels: &[&str]) -> f64 {
        for place in &self.places {
            place.meter.flush();
        }
        self.server.registry.value(name, labels).unwrap()
    }
}

async fn echo(connection: Connection) {
    while let Ok((mut send, mut receive)) = connection.accept_bi().await {
        let Ok(data) = receive.read_to_end(1_000_000).await else { return };
        if send.write_all(&data).await.is_err() {
            return;
        }
        actix::spawn(send.finish());
    }
}

async fn round_trip(connection: &Connection, length: usize) {
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(&vec![7; length]).await.unwrap();
    actix::spawn(send.finish());
    assert_eq!(receive.read_to_end(length).await.unwrap().len(), length);
}

#[test]
fn what_lands_on_the_wrong_shard_is_forwarded() {
    paused(async {
        let world = World::new();
        let connection = world.connect().await;
        round_trip(&connection, 10_000).await;
        assert_eq!(world.count("quicast_dispatcher_datagrams_total", &["other_worker"]), 0.0);
        world.goes_to.set(1);
        round_trip(&connection, 50_000).await;
        assert!(world.count("quicast_dispatcher_datagrams_total", &["other_worker"]) > 0.0);
        assert_eq!(world.count("quicast_dispatcher_drops_total", &["mailbox_full"]), 0.0);
        assert_eq!(world.server.directory.connections().len(), 1);
        // A new client is served by the shard that it landed on.
        let second = world.connect().await;
        round_trip(&second, 1_000).await;
    });
}

#[test]
fn a_shard_that_is_told_to_stop_ends_its_connections_and_says_so() {
    paused(async {
        let mut world = World::new();
        let _connection = world.connect().await;
        let theirs = world.server.directory.connections().remove(0);
        world.places[0].shard.do_send(Stop);
        let ShardDown { shard, cause } = world.places[0].down.next().await;
        assert_eq!((shard, cause), (0, Cause::Finished));
        assert!(theirs.close_reason().is_some());
        assert!(world.server.directory.connections().is_empty());
        assert!(world.server.forwarding[0].load().is_none() && world.server.forwarding[1].load().is_some());
    });
}

#[test]
fn the_four_are_started_anew_three_times_a_minute_and_no_more() {
    paused(async {
        let mut world = World::new();
        let connection = world.connect().await;
        let panicked = Down { child: Child::Pacer, cause: Cause::Panicked };
        for _ in 0..3 {
            world.places[0].shard.do_send(panicked);
            round_trip(&connection, 20_000).await;
        }
        tokio::time::sleep(RESTART_PERIOD).await;
        assert_eq!(world.places[0].down.all().await.len(), 0);
        let connection = world.connect().await;
        for _ in 0..3 {
            world.places[0].shard.do_send(panicked);
            round_trip(&connection, 20_000).await;
        }
        world.places[0].shard.do_send(panicked);
        assert_eq!(world.places[0].down.next().await.cause, Cause::Panicked);
        assert!(world.server.directory.connections().is_empty());
    });
}

#[test]
fn a_shard_that_accepts_no_more_keeps_what_it_has() {
    paused(async {
        let world = World::new();
        let connection = world.connect().await;
        for place in &world.places {
            place.shard.do_send(StopAccepting { say_so: true });
        }
        let (reply, answer) = oneshot::channel();
        let order = ConnectOrder {
            remote: address(1),
            server_name: "localhost".try_into().unwrap(),
            tls: Arc::new(tls::development::insecure_client_config(&[PROTOCOL]).unwrap()),
            transport: Arc::default(),
            negotiated: None,
            token: Bytes::new(),
        };
        world.client.shard.do_send(Connect { order: Box::new(order), reply });
        let begun = answer.await.unwrap().unwrap();
        let refused = poll_fn(|context| begun.port.poll_connected(context)).await.unwrap_err();
        assert!(matches!(refused, CloseReason::PeerTransport { .. }), "{refused}");
        round_trip(&connection, 10_000).await;
    });
}
