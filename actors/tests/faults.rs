//! Actors that panic: who notices, and who must not. Needs the feature `fault-injection`.

#![cfg(feature = "fault-injection")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod support;

use quicast::telemetry::actor::ActorType;
use quicast::telemetry::{Label as _, Registry};
use quicast::{CloseReason, Connection, Endpoint};
use support::*;

/// A server of one shard, a client, and two connections between them, with the server's numbers of them.
async fn stage() -> (Endpoint, Endpoint, [(Connection, u64); 2]) {
    let (server, client) = (server().shards(1).service(echo).start().unwrap(), client());
    let mut connections = Vec::new();
    for _ in 0..2 {
        let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
        round_trip(&connection, 1_000).await.unwrap();
        let number = server.connections().last().unwrap().id;
        connections.push((connection, number));
    }
    (server, client, connections.try_into().unwrap())
}

/// Panics of this type of actor so far. The counters are at most a quarter of a second old.
async fn panics(registry: &Registry, actor: ActorType) -> f64 {
    let counted = || registry.value("quicast_actor_stops_total", &[actor.as_str(), "panic"]).unwrap();
    until(|| counted() > 0.0).await;
    counted()
}

#[tokio::test]
async fn a_single_actor_that_panics_costs_no_connection_anything() {
    for actor in [ActorType::Socket, ActorType::Dispatcher, ActorType::Pacer, ActorType::Timer] {
        in_time(async {
            let (server, _client, [(first, _), (second, _)]) = stage().await;
            server.inject_panic(actor, None);
            assert_eq!(panics(server.metrics(), actor).await, 1.0, "{actor:?}");
            tokio::try_join!(round_trip(&first, 300_000), round_trip(&second, 300_000)).unwrap();
            // Whoever comes now is let in, too.
            let third = _client.connect(server.local_addr(), "localhost").await.unwrap();
            round_trip(&third, 10_000).await.unwrap();
            assert!(first.close_reason().is_none() && second.close_reason().is_none());
            let others = ActorType::ALL.iter().filter(|other| **other != actor);
            for other in others {
                let value = server.metrics().value("quicast_actor_stops_total", &[other.as_str(), "panic"]);
                assert_eq!(value, Some(0.0), "{other:?} panicked with {actor:?}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_single_actor_that_panics_in_the_middle_of_a_transfer_only_delays_it() {
    for actor in [ActorType::Socket, ActorType::Dispatcher, ActorType::Pacer, ActorType::Timer] {
        in_time(async {
            let (server, _client, [(first, _), (second, _)]) = stage().await;
            let inject = async {
                for _ in 0..2 {
                    // What is small comes back while what is large is on its way.
                    round_trip(&first, 1_000).await?;
                    server.inject_panic(actor, None);
                }
                Ok(())
            };
            tokio::try_join!(round_trip(&first, 8_000_000), round_trip(&second, 8_000_000), inject).unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn a_connection_that_panics_takes_only_itself_along_and_its_peer_is_told_by_a_reset() {
    in_time(async {
        let (server, _client, [(first, number), (second, _)]) = stage().await;
        server.inject_panic(ActorType::Connection, Some(number));
        assert_eq!(panics(server.metrics(), ActorType::Connection).await, 1.0);
        // The next packet finds nobody, and is answered with a stateless reset.
        assert!(round_trip(&first, 1_000).await.is_err());
        assert_eq!(first.closed().await, CloseReason::StatelessReset);
        round_trip(&second, 100_000).await.unwrap();
        assert_eq!(server.connections().len(), 1);
        second.close(0, b"");
        server.wait_idle().await;
    })
    .await;
}

#[tokio::test]
async fn streams_that_panic_close_their_connection_and_no_other() {
    in_time(async {
        let (server, _client, [(first, number), (second, _)]) = stage().await;
        server.inject_panic(ActorType::Streams, Some(number));
        let CloseReason::PeerTransport { code, .. } = first.closed().await else {
            panic!("{:?}", first.close_reason())
        };
        assert_eq!(code.to_string(), "INTERNAL_ERROR");
        round_trip(&second, 100_000).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_congestion_controller_that_panics_is_replaced() {
    in_time(async {
        let (server, _client, [(first, number), _]) = stage().await;
        server.inject_panic(ActorType::Congestion, Some(number));
        assert_eq!(panics(server.metrics(), ActorType::Congestion).await, 1.0);
        let congestion = || server.connections().into_iter().find(|info| info.id == number).map(|info| info.congestion);
        // What is said about a connection is a little old.
        while congestion() != Some("newreno") {
            round_trip(&first, 50_000).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_long_stream_that_panics_closes_its_connection() {
    in_time(async {
        let (server, _client, [(first, number), (second, _)]) = stage().await;
        let (mut send, mut receive) = first.open_bi().await.unwrap();
        // Long enough to be promoted to an actor of its own.
        let data = vec![7; 600_000];
        let reading = async { receive.read_exact(&mut vec![0; 600_000]).await };
        let (written, read) = tokio::join!(send.write_all(&data), reading);
        written.unwrap();
        read.unwrap();
        server.inject_panic(ActorType::Stream, Some(number));
        assert!(matches!(first.closed().await, CloseReason::PeerTransport { .. }));
        round_trip(&second, 100_000).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_actor_that_always_panics_ends_its_endpoint_and_nobody_hangs() {
    in_time(async {
        let (server, client, [(first, _), _]) = stage().await;
        let accepting = {
            let server = server.clone();
            tokio::spawn(async move { server.accept().await.is_none() })
        };
        for restart in 1..=4 {
            server.inject_panic(ActorType::Timer, None);
            let stops = || server.metrics().value("quicast_actor_stops_total", &["timer", "panic"]).unwrap();
            until(|| stops() >= f64::from(restart)).await;
        }
        server.wait_idle().await;
        assert!(accepting.await.unwrap(), "nobody comes any more");
        assert!(server.connections().is_empty());
        first.close(0, b"");
        client.wait_idle().await;
    })
    .await;
}

#[tokio::test]
async fn a_service_that_panics_takes_only_its_connection_along() {
    in_time(async {
        let service = |connection: Connection| async move {
            if connection.accept_uni().await.is_ok() {
                panic!("a bug in an application");
            }
        };
        let server = server().shards(1).service(service).start().unwrap();
        let client = client();
        let first = client.connect(server.local_addr(), "localhost").await.unwrap();
        let second = client.connect(server.local_addr(), "localhost").await.unwrap();
        first.open_uni().await.unwrap().write_all(b"x").await.unwrap();
        assert!(matches!(first.closed().await, CloseReason::PeerApplication { .. }));
        // The other connection still acknowledges what it is sent.
        let (mut send, _receive) = second.open_bi().await.unwrap();
        send.write_all(b"x").await.unwrap();
        send.finish().await.unwrap();
        assert_eq!(second.close_reason(), None);
    })
    .await;
}
