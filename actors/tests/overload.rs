//! More than can be served: floods, slow applications, garbage, and what is left when all have gone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod support;
mod traffic;

use std::net::UdpSocket;

use quicast::{Connection, Endpoint};
use support::*;
use traffic::*;

const MEBIBYTE: u64 = 1024 * 1024;

/// Sends this from many addresses of this machine, each with its own port, until it is told to stop.
fn flood(
    server: &Endpoint,
    count: u32,
    datagram: impl Fn(u32) -> Vec<u8> + Send + 'static,
) -> std::thread::JoinHandle<()> {
    let address = server.local_addr();
    std::thread::spawn(move || {
        let sockets: Vec<UdpSocket> = (0..200_u8)
            .map(|number| UdpSocket::bind(std::net::SocketAddr::from(([127, number, 7, 1 + number], 0))).unwrap())
            .collect();
        for number in 0..count {
            // A full buffer of the kernel is what a flood is about.
            drop(sockets[number as usize % sockets.len()].send_to(&datagram(number), address));
        }
    })
}

#[tokio::test]
async fn a_flood_of_initials_costs_live_connections_nothing_but_time() {
    within(async {
        let server = server().shards(1).service(echo).start().unwrap();
        let client = client();
        let mut connections = Vec::new();
        for _ in 0..3 {
            connections.push(client.connect(server.local_addr(), "localhost").await.unwrap());
        }
        let traffic = Traffic::on(&connections);
        traffic.goes_on(2_000_000).await;
        let before = resident();
        let flood = flood(&server, 100_000, initial);
        let mut most = 0;
        while !flood.is_finished() {
            traffic.goes_on(200_000).await;
            most = most.max(resident());
        }
        flood.join().unwrap();
        traffic.goes_on(2_000_000).await;
        traffic.end().await;
        assert!(most.saturating_sub(before) < 64 * MEBIBYTE, "{} MiB more", (most - before) / MEBIBYTE);
        let metrics = server.metrics();
        // A thousand handshakes are begun for addresses that nobody has proven, and none more.
        at_least(metrics, "quicast_dispatcher_retries_sent_total", &[], 5_000.0).await;
        let starts = metrics.value("quicast_actor_starts_total", &["connection"]).unwrap();
        assert!(starts < 1_100.0, "{starts} connections were begun");
        assert_eq!(panics(metrics), []);
        // Whoever comes now is let in.
        let late = client.connect(server.local_addr(), "localhost").await.unwrap();
        echoed(&late, 1, 100_000).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn many_handshakes_at_once_have_to_prove_their_addresses() {
    within(async {
        // Attempts wait for an application that does not come: as handshakes in progress they are limited.
        let server = server().shards(1).start().unwrap();
        let flood = flood(&server, 20_000, initial);
        eventually("the flood to end", || flood.is_finished()).await;
        let client = client();
        let accepting = tokio::spawn(accept_and_echo(server.clone()));
        let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
        echoed(&connection, 1, 10_000).await.unwrap();
        let metrics = server.metrics();
        let hits = |limit: &str| metrics.value("quicast_limit_hits_total", &[limit]).unwrap();
        eventually("a limit", || {
            hits("incoming") + hits("handshakes") + hits("attempts_per_source") > 0.0
                || metrics.sum("quicast_dispatcher_retries_sent_total") > Some(0.0)
        })
        .await;
        accepting.abort();
    })
    .await;
}

#[tokio::test]
async fn garbage_is_dropped_with_a_reason() {
    within(async {
        let server = server().shards(1).service(echo).start().unwrap();
        let client = client();
        let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
        let traffic = Traffic::on([&connection]);
        let flood = flood(&server, 30_000, |number| {
            let mut chance = Chance(number.into());
            let length = chance.below(1_400) as usize;
            (0..length).map(|_| chance.next() as u8).collect()
        });
        while !flood.is_finished() {
            traffic.goes_on(100_000).await;
        }
        flood.join().unwrap();
        traffic.end().await;
        let metrics = server.metrics();
        let outcomes = || metrics.value("quicast_dispatcher_datagrams_total", &["dropped"]).unwrap();
        eventually("drops", || outcomes() > 1_000.0).await;
        let lost = metrics.sum("quicast_dispatcher_drops_total").unwrap();
        assert!((lost - outcomes()).abs() <= lost * 0.2, "{lost} reasons for {} drops", outcomes());
        assert_eq!(panics(metrics), []);
    })
    .await;
}

#[tokio::test]
async fn whoever_is_without_credit_drops_or_waits_and_that_is_counted() {
    within(async {
        let retry = quicast::RetryPolicy::Always;
        let server = server().shards(1).retry(retry).service(echo).start().unwrap();
        let client = client();
        let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
        crowd(&server).await;
        // The connection lost nothing by it.
        echoed(&connection, 1, 1_000_000).await.unwrap();
        assert_eq!(panics(server.metrics()), []);
    })
    .await;
}

/// Reads nothing of a stream before its end is asked for, which is when the client says so by another stream.
async fn reluctant(connection: Connection) {
    let Ok((mut send, mut receive)) = connection.accept_bi().await else { return };
    if connection.accept_uni().await.is_err() {
        return;
    }
    while let Ok(Some(chunk)) = receive.read_chunk(1_000).await {
        if send.write_chunk(chunk).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
    drop(send.finish().await);
}

#[tokio::test]
async fn a_slow_application_makes_its_peer_wait_and_loses_nothing() {
    within(async {
        let server = server().shards(1).service(reluctant).start().unwrap();
        let client = client();
        let mut tasks = tokio::task::JoinSet::new();
        for seed in 0..10 {
            let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
            let (begin, metrics) = (connection.clone(), client.metrics().clone());
            tasks.spawn(async move { echoed(&connection, seed, MEBIBYTE).await.unwrap() });
            tasks.spawn(async move {
                // Each of them has filled a window.
                at_least(&metrics, "quicast_connection_flow_control_blocked_total", &["sent", "stream"], 10.0).await;
                drop(begin.open_uni().await.unwrap().finish());
            });
        }
        tasks.join_all().await;
        assert_eq!(panics(server.metrics()), []);
    })
    .await;
}

#[tokio::test]
async fn a_thousand_connections_come_and_go_and_leave_nothing_behind() {
    within(async {
        let server = server().shards(2).service(echo).start().unwrap();
        let client = client();
        for round in 0..20 {
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..50 {
                let (client, address) = (client.clone(), server.local_addr());
                tasks.spawn(async move {
                    let connection = client.connect(address, "localhost").await.unwrap();
                    // Some are promoted, some end in the middle.
                    let length = if number == 0 { 400_000 } else { 2_000 };
                    echoed(&connection, number, length).await.unwrap();
                    if number % 3 == 0 {
                        drop(connection.open_bi().await.unwrap().0.write_all(b"half").await);
                    }
                    connection.close(round, b"");
                });
            }
            tasks.join_all().await;
        }
        client.wait_idle().await;
        server.wait_idle().await;
        for registry in [client.metrics(), server.metrics()] {
            for actor in ["connection", "streams", "stream", "congestion"] {
                falls_to(registry, "quicast_actors", &[actor], 0.0).await;
            }
            let starts = registry.value("quicast_actor_starts_total", &["connection"]).unwrap();
            assert_eq!(starts, 1_000.0);
            for gauge in [
                "quicast_connections",
                "quicast_streams",
                "quicast_connection_buffered_bytes",
                "quicast_recovery_bytes_in_flight",
                "quicast_congestion_connections",
                "quicast_dispatcher_handshakes_in_progress",
                "quicast_dispatcher_cid_table_entries",
                "quicast_timers_armed",
                "quicast_actor_mailbox_messages",
            ] {
                eventually(&format!("{gauge} to be zero, it is {:?}", registry.sum(gauge)), || {
                    registry.sum(gauge) == Some(0.0)
                })
                .await;
            }
            assert_eq!(panics(registry), []);
        }
    })
    .await;
}
