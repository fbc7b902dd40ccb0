//! Actors that panic under traffic: what is lost is what the design says may be lost, and nobody else notices.

#![allow(clippy::print_stdout, reason = "what a failed run is repeated with, and what it did")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod support;
mod traffic;

use std::sync::Once;
use std::time::Duration;

use quicast::{Algorithm, CloseReason, Connection, Endpoint, TransportConfig, WriteError};
use support::*;
use telemetry::Label as _;
use telemetry::actor::ActorType;
use traffic::*;

/// Panics that are ordered are not printed; others are.
fn quiet() {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let words =
                payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
            if !words.is_some_and(|words| words.starts_with("injected") || words.starts_with("as ordered")) {
                usual(info);
            }
        }));
    });
}

/// A server of one shard that echoes, a client, and connections with the server's numbers of them.
struct Stage {
    server: Endpoint,
    client: Endpoint,
    connections: Vec<(Connection, u64)>,
}

impl Stage {
    async fn with(connections: usize) -> Self {
        quiet();
        let server = server().shards(1).service(echo).start().unwrap();
        // Who waits for credit has nothing to send, and would not hear of a server's fall before its idle timeout.
        let config = TransportConfig { keep_alive: Some(Duration::from_millis(100)), ..TransportConfig::default() };
        let client =
            Endpoint::builder().listen(LOCALHOST).client_config(client_tls()).transport_config(config).start().unwrap();
        let mut stage = Self { server, client, connections: Vec::new() };
        for _ in 0..connections {
            let connection = stage.connect().await;
            stage.connections.push(connection);
        }
        stage
    }

    /// Another connection, and the server's number of it.
    async fn connect(&self) -> (Connection, u64) {
        let before: Vec<u64> = self.server.connections().iter().map(|info| info.id).collect();
        let connection = self.client.connect(self.server.local_addr(), "localhost").await.unwrap();
        echoed(&connection, 1, 1_000).await.unwrap();
        let number = self.server.connections().iter().map(|info| info.id).find(|id| !before.contains(id));
        (connection, number.unwrap())
    }

    /// All but the first.
    fn others(&self) -> impl Iterator<Item = &Connection> {
        self.connections.iter().skip(1).map(|(connection, _)| connection)
    }

    /// Counted so often so far, at the server.
    async fn counted(&self, actor: ActorType, times: f64) {
        let counted =
            at_least(self.server.metrics(), "quicast_actor_stops_total", &[actor.as_str(), "panic"], times).await;
        assert_eq!(counted, times);
    }

    /// Everybody leaves; nothing is left over; nobody else panicked.
    async fn end(self, panicked: &[(&'static str, f64)]) {
        for (connection, _) in &self.connections {
            connection.close(0, b"");
        }
        self.client.wait_idle().await;
        self.server.wait_idle().await;
        for registry in [self.server.metrics(), self.client.metrics()] {
            for actor in ["connection", "streams", "stream", "congestion"] {
                falls_to(registry, "quicast_actors", &[actor], 0.0).await;
            }
            for actor in ["socket", "dispatcher", "pacer", "timer"] {
                falls_to(registry, "quicast_actors", &[actor], 1.0).await;
                assert_eq!(registry.value("quicast_actors", &[actor]), Some(1.0), "{actor}");
            }
        }
        assert_eq!(panics(self.server.metrics()), panicked);
        assert_eq!(panics(self.client.metrics()), []);
    }
}

/// The moments at which actors are killed: bytes that the others' traffic has moved meanwhile.
const MOMENTS: [u64; 3] = [0, 300_000, 3_000_000];

/// Keeps a long stream busy on a connection until it ends, and says how.
async fn until_it_ends(connection: Connection) -> CloseReason {
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    let sending = async {
        loop {
            match send.write_chunk(pattern(0, 0, 50_000)).await {
                Ok(()) => {}
                Err(WriteError::ConnectionLost(reason)) => return reason,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let reading = async { while let Ok(Some(_)) = receive.read_chunk(usize::MAX).await {} };
    tokio::join!(sending, reading).0
}

async fn keeper_of_bytes(actor: ActorType) {
    for moment in MOMENTS {
        within(async {
            let stage = Stage::with(4).await;
            let traffic = Traffic::on(stage.others());
            let (connection, number) = stage.connections[0].clone();
            let victim = tokio::spawn(until_it_ends(connection.clone()));
            // Long enough for an actor of its own.
            eventually("the victim's stream to be long", || {
                connection.stats().totals.stream_bytes_acknowledged > 1_000_000
            })
            .await;
            traffic.goes_on(moment).await;
            stage.server.inject_panic(actor, Some(number));
            // The peer hears the code.
            let CloseReason::PeerTransport { code, .. } = victim.await.unwrap() else { panic!("another end") };
            assert_eq!(code.to_string(), "INTERNAL_ERROR");
            traffic.goes_on(1_000_000).await;
            traffic.end().await;
            stage.counted(actor, 1.0).await;
            stage.end(&[(actor.as_str(), 1.0)]).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_long_stream_that_panics_closes_its_connection_with_internal_error() {
    keeper_of_bytes(ActorType::Stream).await;
}

#[tokio::test]
async fn streams_that_panic_close_their_connection_with_internal_error() {
    keeper_of_bytes(ActorType::Streams).await;
}

#[tokio::test]
async fn whoever_waits_for_streams_that_panicked_is_told() {
    quiet();
    for actor in [ActorType::Streams, ActorType::Stream, ActorType::Connection] {
        within(async {
            let pair = Pair::new().await;
            let (mut long_here, mut long_there) = pair.stream().await;
            let (sent, read) = tokio::join!(long_here.0.write_all(&[1; 600_000]), async {
                long_there.1.read_exact(&mut vec![0; 600_000]).await
            });
            sent.unwrap();
            read.unwrap();
            at_least(pair.server.metrics(), "quicast_actors", &["stream"], 1.0).await;
            let (_short_here, mut short_there) = pair.stream().await;
            let number = pair.server.connections()[0].id;
            // At the panicking end, handles wait for all there is to wait for.
            let waiting = async {
                tokio::join!(
                    long_there.1.read_chunk(1),
                    long_there.0.stopped(),
                    short_there.1.read_chunk(1),
                    short_there.0.finish(),
                    pair.there.accept_bi(),
                    pair.there.accept_uni(),
                    pair.there.read_datagram(),
                    pair.there.closed(),
                )
            };
            let inject = async { pair.server.inject_panic(actor, Some(number)) };
            let (ended, ()) = tokio::join!(waiting, inject);
            assert!(ended.0.is_err() && ended.1.is_err() && ended.2.is_err(), "{actor:?}");
            assert!(ended.4.is_err() && ended.5.is_err() && ended.6.is_err());
            assert!(pair.there.open_bi().await.is_err());
            drop((long_there, short_there, pair.there));
            pair.server.wait_idle().await;
            falls_to(pair.server.metrics(), "quicast_actors", &["stream"], 0.0).await;
            falls_to(pair.server.metrics(), "quicast_connection_buffered_bytes", &["stream_receive"], 0.0).await;
            falls_to(pair.server.metrics(), "quicast_connection_buffered_bytes", &["stream_send"], 0.0).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_connection_that_panics_is_reset_and_loses_its_routes() {
    for moment in MOMENTS {
        within(async {
            let stage = Stage::with(4).await;
            let traffic = Traffic::on(stage.others());
            let (victim, number) = stage.connections[0].clone();
            let victim = tokio::spawn(until_it_ends(victim));
            traffic.goes_on(moment).await;
            stage.server.inject_panic(ActorType::Connection, Some(number));
            assert_eq!(victim.await.unwrap(), CloseReason::StatelessReset);
            traffic.goes_on(1_000_000).await;
            traffic.end().await;
            assert_eq!(stage.server.connections().len(), 3);
            stage.counted(ActorType::Connection, 1.0).await;
            let registry = stage.server.metrics().clone();
            stage.end(&[("connection", 1.0)]).await;
            falls_to(&registry, "quicast_dispatcher_cid_table_entries", &["0"], 0.0).await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_congestion_controller_that_panics_is_replaced_by_newreno_and_the_transfer_completes() {
    for moment in MOMENTS {
        within(async {
            let stage = Stage::with(3).await;
            let number = stage.connections[0].1;
            let traffic = Traffic::on(stage.connections.iter().map(|(connection, _)| connection));
            traffic.goes_on(moment).await;
            let of_victim = || stage.server.connections().into_iter().find(|info| info.id == number).unwrap();
            assert_eq!(of_victim().congestion, "cubic");
            stage.server.inject_panic(ActorType::Congestion, Some(number));
            eventually("another controller", || of_victim().congestion == "newreno").await;
            // And it is as mortal, and may be chosen as before.
            stage.server.inject_panic(ActorType::Congestion, Some(number));
            stage.counted(ActorType::Congestion, 2.0).await;
            let handle = stage.server.connection(number).unwrap();
            assert_eq!(handle.set_congestion(Algorithm::CUBIC).await.unwrap().to, Algorithm::CUBIC);
            drop(handle);
            traffic.goes_on(2_000_000).await;
            traffic.end().await;
            stage.end(&[("congestion", 2.0)]).await;
        })
        .await;
    }
}

async fn singleton(actor: ActorType) {
    within(async {
        let mut stage = Stage::with(4).await;
        let traffic = Traffic::on(stage.connections.iter().map(|(connection, _)| connection));
        for (number, moment) in MOMENTS.into_iter().enumerate() {
            traffic.goes_on(moment).await;
            stage.server.inject_panic(actor, None);
            stage.counted(actor, number as f64 + 1.0).await;
            // Those that are there go on, and new ones are let in.
            traffic.goes_on(500_000).await;
            let another = stage.connect().await;
            stage.connections.push(another);
        }
        traffic.end().await;
        stage.end(&[(actor.as_str(), 3.0)]).await;
    })
    .await;
}

#[tokio::test]
async fn a_pacer_that_panics_is_started_anew() {
    singleton(ActorType::Pacer).await;
}

#[tokio::test]
async fn a_timer_that_panics_is_started_anew() {
    singleton(ActorType::Timer).await;
}

#[tokio::test]
async fn a_dispatcher_that_panics_is_started_anew() {
    singleton(ActorType::Dispatcher).await;
}

#[tokio::test]
async fn a_socket_that_panics_is_started_anew() {
    singleton(ActorType::Socket).await;
}

#[tokio::test]
async fn fifty_panics_at_random_end_well() {
    within(async {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_802);
        println!("SEED={seed}");
        let mut chance = Chance(seed);
        let mut stage = Stage::with(3).await;
        let survivors: Vec<Connection> = stage.connections.iter().map(|(connection, _)| connection.clone()).collect();
        let traffic = Traffic::on(&survivors);
        let mut counts = std::collections::BTreeMap::<&str, f64>::new();
        for kill in 0..50 {
            // Each shard may start its single actors anew three times a minute, so three of the fifty are of them.
            let actor = match kill {
                10 => ActorType::Dispatcher,
                25 => ActorType::Socket,
                40 => [ActorType::Timer, ActorType::Pacer][chance.below(2) as usize],
                _ => [ActorType::Connection, ActorType::Streams, ActorType::Stream, ActorType::Congestion]
                    [chance.below(4) as usize],
            };
            let (victim, number) = stage.connect().await;
            let mut ends = None;
            if actor == ActorType::Stream {
                // It has to be there to die.
                let live = stage.server.metrics().value("quicast_actor_starts_total", &["stream"]).unwrap();
                let transfer = echoed(&victim, 0, 400_000);
                transfer.await.unwrap();
                at_least(stage.server.metrics(), "quicast_actor_starts_total", &["stream"], live + 1.0).await;
                ends = Some(tokio::spawn(until_it_ends(victim.clone())));
                eventually("a long stream", || victim.stats().totals.stream_bytes_acknowledged > 1_500_000).await;
            } else if chance.one_in(2) {
                ends = Some(tokio::spawn(until_it_ends(victim.clone())));
                traffic.goes_on(chance.below(200_000)).await;
            }
            stage.server.inject_panic(actor, Some(number));
            let count = counts.entry(actor.as_str()).or_default();
            *count += 1.0;
            stage.counted(actor, *count).await;
            match actor {
                ActorType::Connection | ActorType::Streams | ActorType::Stream => {
                    // Whoever is dead is found out at the latest with the next packet.
                    let _refused = victim.send_datagram(bytes::Bytes::from_static(b"are you there?"));
                    let reason = victim.closed().await;
                    let told = matches!(reason, CloseReason::StatelessReset | CloseReason::PeerTransport { .. });
                    assert!(told, "{actor:?}: {reason}");
                }
                _ => {
                    echoed(&victim, 5, 50_000).await.unwrap();
                    victim.close(0, b"");
                }
            }
            if let Some(ends) = ends {
                ends.await.unwrap();
            }
        }
        traffic.goes_on(1_000_000).await;
        assert!(traffic.end().await > 0);
        stage.connections.clear();
        survivors.iter().for_each(|connection| connection.close(0, b""));
        let mut expected: Vec<(&str, f64)> = counts.into_iter().collect();
        let place = |name: &str| ActorType::ALL.iter().position(|actor| actor.as_str() == name);
        expected.sort_by_key(|(name, _)| place(name));
        tokio::time::timeout(Duration::from_secs(30), stage.end(&expected)).await.unwrap();
    })
    .await;
}
