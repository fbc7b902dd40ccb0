//! A dispatcher whose socket, timer and pacer are recorders.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use congestion::{Algorithm, Registry};
use transport::Connection as Machine;
use transport::endpoint::{Endpoint, Retry, Secrets, Settings};

use super::*;
use crate::batch::{ReceivePool, SendPool};
use crate::congestion::policy::Policy;
use crate::meter::Meter;
use crate::recorder::{Recorder, paused, settle};
use crate::socket::DISPATCHER_BATCHES;
use crate::stage::Singletons;

const SERVER: ([u8; 4], u16) = ([192, 0, 2, 1], 443);
const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 2], 50_000);

fn certificate() -> tls::Certificate {
    tls::development::certificate(&["localhost"], tls::pki_types::UnixTime::now()).unwrap()
}

fn machine(server: bool, shards: usize) -> Endpoint {
    let server = server.then(|| Arc::new(tls::development::server_config(&certificate(), &[b"test"]).unwrap()));
    let settings = Settings { config: Arc::default(), server, retry: Retry::Never, resets: true, shard: 0, shards };
    Endpoint::new(settings, &Secrets { ids: [1; 32], resets: [2; 32], tokens: [3; 32] }, &[4; 32])
}

/// A client's connection, and its first datagram.
fn client() -> (Machine, Vec<u8>) {
    let order = Client {
        remote: SERVER.into(),
        server_name: "localhost".try_into().unwrap(),
        tls: Arc::new(tls::development::insecure_client_config(&[b"test"]).unwrap()),
        config: Arc::default(),
        negotiated: None,
        token: Bytes::new(),
    };
    let mut connection = machine(false, 1).connect(clock::now(), 0, order).unwrap();
    let datagram = transmit(&mut connection);
    (*connection, datagram)
}

fn transmit(connection: &mut Machine) -> Vec<u8> {
    let now = clock::now();
    connection.end_turn(now);
    let mut buffer = vec![0; 65_536];
    let transmit = connection.poll_transmit(now, &mut buffer).expect("something to send");
    buffer.truncate(transmit.length);
    buffer
}

struct Scene {
    dispatcher: Addr<DispatcherActor>,
    parts: DispatcherParts,
    sent: Recorder<SendDatagrams>,
    down: Recorder<Down>,
    forwarded: Recorder<DatagramsForwarded>,
}

impl Scene {
    fn new(service: Option<Service>) -> Self {
        let meter = Meter::for_tests();
        let pools = (ReceivePool::new(&meter, 8), SendPool::new(&meter, 8));
        let policy = Policy::new(Registry::default(), Algorithm::default());
        let stage = Stage::new(0, Rc::clone(&meter), pools.0, pools.1, policy);
        let (sent, down, forwarded) = (Recorder::start(), Recorder::start(), Recorder::start());
        let decisions: Recorder<DecideIncoming> = Recorder::start();
        let other = Forwarding { recipient: forwarded.recipient(), window: Window::new(1) };
        let forwarding: ForwardingTable =
            [ArcSwapOption::empty(), ArcSwapOption::from(Some(Arc::new(other)))].into_iter().collect();
        let parts = DispatcherParts {
            roster: Roster::new(machine(true, 2)),
            directory: Arc::default(),
            transport: Arc::default(),
            forwarding,
            service,
            owner: down.recipient(),
            decisions: decisions.recipient(),
            credit: Credit::new(&meter, Edge::SocketDispatcher, DISPATCHER_BATCHES),
            stage: Rc::clone(&stage),
        };
        let dispatcher = DispatcherActor::new(parts.clone()).start();
        stage.set_singletons(Singletons {
            datagrams: sent.recipient(),
            routes: dispatcher.clone().recipient(),
            down: dispatcher.clone().recipient(),
            register_timer: Recorder::start().recipient(),
            deregister_timer: Recorder::start().recipient(),
            deadline: Recorder::start().recipient(),
            register_pacer: Recorder::start().recipient(),
            deregister_pacer: Recorder::start().recipient(),
            wanted: Recorder::start().recipient(),
        });
        Self { dispatcher, parts, sent, down, forwarded }
    }

    /// One read of the socket.
    fn receive(&self, datagrams: &[&[u8]]) {
        assert!(self.parts.credit.try_take());
        let batch = datagrams.iter().map(|bytes| ReceivedDatagrams {
            remote: SocketAddr::from(CLIENT),
            local: None,
            ecn: None,
            segment_size: bytes.len(),
            buffer: BytesMut::from(*bytes),
        });
        self.dispatcher.do_send(DatagramsReceived { at: clock::now(), batch: batch.collect() });
    }

    fn value(&self, series: &str) -> f64 {
        self.parts.stage.meter.value(series)
    }
}

#[test]
fn an_attempt_is_offered_to_the_application_and_answered_once_it_is_accepted() {
    paused(async {
        let mut scene = Scene::new(None);
        let (_machine, first) = client();
        scene.receive(&[&first]);
        let incoming = poll_fn(|context| scene.parts.directory.poll_accept(context)).await.unwrap();
        assert_eq!(incoming.remote_address(), SocketAddr::from(CLIENT));
        assert_eq!(scene.sent.all().await.len(), 0, "nothing is said before it is decided");
        assert_eq!(
            scene.value("quicast_edge_credit{edge=\"socket_dispatcher\"}"),
            f64::from(DISPATCHER_BATCHES),
            "the read is done with"
        );

        let attempt = incoming.key();
        let (reply, answer) = oneshot::channel();
        scene.dispatcher.do_send(DecideIncoming { attempt, verdict: Verdict::Accept { tls: None, reply } });
        let begun = answer.await.unwrap().unwrap();
        let flight = scene.sent.next().await;
        assert_eq!(flight.batches[0].transmit.remote, SocketAddr::from(CLIENT));
        assert_eq!(scene.value("quicast_dispatcher_handshakes_in_progress{role=\"server\"}"), 1.0);
        assert_eq!(scene.parts.directory.connections().len(), 1);
        drop((begun, incoming));
    });
}

#[test]
fn a_service_is_given_its_connection_when_the_handshake_is_complete() {
    paused(async {
        let (sender, mut served) = tokio::sync::mpsc::unbounded_channel();
        let service: Service = Arc::new(move |connection| {
            let sender = sender.clone();
            Box::pin(async move {
                sender.send(connection.stable_id()).ok();
                connection.closed().await;
            })
        });
        let mut scene = Scene::new(Some(service));
        let (mut machine, first) = client();
        scene.receive(&[&first]);
        let flight = scene.sent.next().await;
        assert!(served.try_recv().is_err());
        for batch in flight.batches {
            machine.handle_datagrams(
                clock::now(),
                ReceivedDatagrams {
                    remote: SERVER.into(),
                    local: None,
                    ecn: None,
                    segment_size: batch.transmit.segment_size,
                    buffer: BytesMut::from(&batch.buffer[..batch.transmit.length]),
                },
            );
        }
        let finished = transmit(&mut machine);
        scene.receive(&[&finished]);
        assert_eq!(served.recv().await, Some(1));
        settle().await;
        assert_eq!(scene.value("quicast_dispatcher_handshakes_in_progress{role=\"server\"}"), 0.0);
    });
}

#[test]
fn a_connection_that_cannot_keep_up_loses_datagrams_which_are_counted() {
    paused(async {
        let scene = Scene::new(Some(Arc::new(|_| Box::pin(async {}))));
        let (_machine, first) = client();
        scene.receive(&[&first]);
        settle().await;
        let deliver_two_runs = || {
            let mut roster = scene.parts.roster.borrow_mut();
            for _ in 0..2 {
                let buffer = BytesMut::zeroed(30);
                let remote = CLIENT.into();
                roster.collect(0, ReceivedDatagrams { remote, local: None, ecn: None, segment_size: 10, buffer });
            }
            roster.deliver(clock::now(), &scene.parts.stage.meter)
        };
        for expected in [0, 0, 0, 0, 6] {
            assert_eq!(deliver_two_runs(), expected, "two runs of one read are one message");
        }
        assert_eq!(scene.value("quicast_edge_full_total{edge=\"dispatcher_connection\"}"), 1.0);
        settle().await;
        assert_eq!(deliver_two_runs(), 0, "credit comes back with the turn");
    });
}

#[test]
fn another_shard_is_sent_no_more_than_it_can_take() {
    paused(async {
        let mut scene = Scene::new(None);
        let mut generator = transport::router::IdGenerator::new(&[9; 32], 1, 2);
        let datagram = [&[0x40][..], generator.next_id().as_bytes(), &[0; 50]].concat();
        scene.receive(&[&datagram, &datagram]);
        let forwarded = scene.forwarded.next().await;
        assert_eq!(forwarded.datagrams.buffer, datagram[..]);
        assert_eq!(scene.value("quicast_dispatcher_drops_total{reason=\"mailbox_full\"}"), 1.0);
        assert_eq!(scene.value("quicast_edge_full_total{edge=\"dispatcher_dispatcher\"}"), 1.0);
        drop(forwarded);
        scene.receive(&[&datagram]);
        scene.forwarded.next().await;
    });
}

#[test]
fn a_lost_connection_is_answered_with_resets_and_told_to_nobody_twice() {
    paused(async {
        let mut scene = Scene::new(Some(Arc::new(|connection| Box::pin(async move { drop(connection) }))));
        let (_machine, first) = client();
        scene.receive(&[&first]);
        let flight = scene.sent.next().await;
        let packet = &flight.batches[0].buffer[..flight.batches[0].transmit.segment_size];
        let Ok(codec::packet::Packet::Protected(header)) = codec::packet::decode(packet, 8) else {
            panic!("no packet");
        };
        let (key, generation) = {
            let roster = scene.parts.roster.borrow();
            let (key, entry) = roster.iter().next().unwrap();
            (key, entry.generation)
        };
        let child = Child::Connection { key, generation };
        for _ in 0..2 {
            scene.dispatcher.do_send(Down { child, cause: Cause::Panicked });
        }
        scene.dispatcher.do_send(RoutesChanged { key, generation, changes: Box::default() });
        settle().await;
        assert!(scene.parts.directory.connections().is_empty());
        scene.sent.all().await;
        let late = [&[0x40][..], header.source.as_bytes(), &[0; 60]].concat();
        scene.receive(&[&late]);
        let reset = scene.sent.next().await;
        assert!(reset.batches[0].transmit.length < late.len());
        assert_eq!(scene.value("quicast_dispatcher_stateless_resets_total{direction=\"sent\"}"), 1.0);
    });
}

#[test]
fn a_dispatcher_that_is_stopped_says_so_and_leaves_its_connections_to_the_next() {
    paused(async {
        let mut scene = Scene::new(Some(Arc::new(|_| Box::pin(std::future::pending()))));
        let (_machine, first) = client();
        scene.receive(&[&first]);
        settle().await;
        scene.dispatcher.do_send(Stop);
        let down = scene.down.next().await;
        assert_eq!((down.child, down.cause), (Child::Dispatcher, Cause::Finished));
        let next = DispatcherActor::new(scene.parts.clone()).start();
        scene.dispatcher = next;
        scene.sent.all().await;
        scene.receive(&[&first]);
        settle().await;
        assert_eq!(scene.value("quicast_dispatcher_datagrams_total{outcome=\"connection\"}"), 1.0);
        assert_eq!(scene.parts.directory.connections().len(), 1, "the same connection, not another");
    });
}
