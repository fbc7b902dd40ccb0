//! Two endpoints on this machine, end to end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod support;

use std::time::Duration;

use quicast::{BuildError, CloseReason, ConnectError, Endpoint, RetryPolicy, RunError, TransportConfig, Version};
use support::*;

#[tokio::test]
async fn what_is_sent_comes_back() {
    in_time(async {
        let server = server().shards(1).start().unwrap();
        let accepting = tokio::spawn(accept_and_echo(server.clone()));
        let client = client();
        let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
        assert_eq!(connection.alpn(), PROTOCOL);
        for length in [0, 1, 1_000, 100_000, 3_000_000] {
            round_trip(&connection, length).await.unwrap();
        }
        connection.close(7, b"enough");
        client.wait_idle().await;
        server.shutdown(Duration::ZERO).await;
        accepting.await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_spread_over_the_shards_of_a_server_with_a_service() {
    in_time(async {
        let server = server().shards(3).service(echo).start().unwrap();
        let client = client();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..30 {
            let (client, address) = (client.clone(), server.local_addr());
            tasks.spawn(async move {
                let connection = client.connect(address, "localhost").await.unwrap();
                for _ in 0..5 {
                    round_trip(&connection, 20_000).await.unwrap();
                }
                connection
            });
        }
        let connections = tasks.join_all().await;
        assert_eq!(server.connections().len(), 30);
        assert_eq!(client.connections().len(), 30);
        drop(connections);
        client.wait_idle().await;
        server.wait_idle().await;
        let metrics = server.metrics();
        assert_eq!(metrics.sum("quicast_actor_stops_total").map(|stops| stops > 0.0), Some(true));
        server.shutdown(Duration::ZERO).await;
        assert_eq!(metrics.value("quicast_dispatcher_drops_total", &["mailbox_full"]), Some(0.0));
    })
    .await;
}

#[tokio::test]
async fn a_server_that_always_asks_for_proof_gets_it_once() {
    in_time(async {
        let server = server().shards(1).retry(RetryPolicy::Always).service(echo).start().unwrap();
        let client = client();
        let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
        round_trip(&connection, 10).await.unwrap();
        connection.close(0, b"");
        client.wait_idle().await;
        // The second connection brings the token that the first one was given.
        let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
        round_trip(&connection, 10).await.unwrap();
        connection.close(0, b"");
        client.wait_idle().await;
        let metrics = server.metrics().clone();
        server.shutdown(Duration::ZERO).await;
        assert_eq!(metrics.sum("quicast_dispatcher_retries_sent_total"), Some(1.0));
        assert_eq!(metrics.value("quicast_dispatcher_tokens_total", &["retry", "valid"]), Some(1.0));
        assert_eq!(metrics.value("quicast_dispatcher_tokens_total", &["new_token", "valid"]), Some(1.0));
    })
    .await;
}

#[tokio::test]
async fn the_application_may_refuse_retry_or_ignore() {
    in_time(async {
        let server = server().shards(1).start().unwrap();
        let client = client();
        let (first, second) = (client.clone(), client.clone());
        let address = server.local_addr();

        let refused = tokio::spawn(async move { first.connect(address, "localhost").await });
        server.accept().await.unwrap().refuse();
        let error = refused.await.unwrap().unwrap_err();
        assert!(matches!(&error, ConnectError::Failed(CloseReason::PeerTransport { .. })), "{error}");

        let retried = tokio::spawn(async move { second.connect(address, "localhost").await });
        let incoming = server.accept().await.unwrap();
        assert!(!incoming.remote_address_validated());
        let original = incoming.orig_dst_cid();
        incoming.retry().unwrap();
        let incoming = server.accept().await.unwrap();
        assert!(incoming.remote_address_validated() && !incoming.may_retry());
        assert_eq!(incoming.orig_dst_cid(), original);
        let incoming = incoming.retry().unwrap_err().into_incoming();
        incoming.ignore();
        // The client tries again by itself, with the same token, which is used up by now.
        let error = retried.await.unwrap().unwrap_err();
        assert!(matches!(&error, ConnectError::Failed(CloseReason::PeerTransport { .. })), "{error}");
    })
    .await;
}

#[tokio::test]
async fn the_end_is_told_to_both_sides() {
    in_time(async {
        let server = server().shards(1).start().unwrap();
        let client = client();
        let (there, here) =
            tokio::join!(async { server.accept().await.unwrap().accept().unwrap().await.unwrap() }, async {
                client.connect(server.local_addr(), "localhost").await.unwrap()
            },);
        here.close(42, b"because");
        let CloseReason::PeerApplication { code, reason } = there.closed().await else {
            panic!("{:?}", there.close_reason())
        };
        assert_eq!((code, &reason[..]), (42, &b"because"[..]));
        assert!(matches!(here.closed().await, CloseReason::LocalApplication { code: 42, .. }));
        assert_eq!(here.open_bi().await.err(), here.close_reason());
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_without_handles_goes_on_until_its_connections_end() {
    in_time(async {
        let server = server().shards(2).service(echo).start().unwrap();
        let client = client();
        let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
        drop((server, client));
        round_trip(&connection, 50_000).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_client_that_moves_takes_its_connections_along() {
    in_time(async {
        let server = server().shards(4).service(echo).start().unwrap();
        let client = client();
        let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
        round_trip(&connection, 1_000).await.unwrap();
        let before = client.local_addr();
        let after = client.rebind(LOCALHOST).unwrap();
        assert_ne!(before, after);
        for _ in 0..3 {
            round_trip(&connection, 100_000).await.unwrap();
        }
        assert_eq!(server.connections()[0].remote, after);
        connection.close(0, b"");
        client.wait_idle().await;
    })
    .await;
}

#[tokio::test]
async fn a_client_that_moves_while_it_only_listens_is_found_again() {
    in_time(async {
        // Says nothing before it sees the client elsewhere.
        let server = server()
            .shards(2)
            .service(|connection| async move {
                let Ok((mut send, mut receive)) = connection.accept_bi().await else { return };
                let _asked = receive.read_to_end(1).await;
                let address = connection.remote_address();
                until(|| connection.remote_address() != address).await;
                let _gone = send.write_all(b"welcome").await;
                let _gone = send.finish().await;
            })
            .start()
            .unwrap();
        let client = client();
        let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(b"?").await.unwrap();
        send.finish().await.unwrap();
        // Until the client has nothing left to acknowledge or to probe for: whatever it sent by itself would be a sign.
        quiet(&client).await;
        let after = client.rebind(LOCALHOST).unwrap();
        assert_eq!(receive.read_to_end(100).await.unwrap(), "welcome");
        assert_eq!(server.connections()[0].remote, after);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_drains_refuses_new_clients_and_lets_old_ones_finish() {
    in_time(async {
        let server = server().shards(1).service(echo).start().unwrap();
        let client = client();
        let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
        let address = server.local_addr();
        let draining = tokio::spawn(async move { server.shutdown(PATIENCE).await });
        // The order reaches the shard some time; until then clients are let in.
        while client.connect(address, "localhost").await.is_ok() {}
        round_trip(&connection, 10_000).await.unwrap();
        connection.close(0, b"");
        draining.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_client_tries_again_with_a_version_that_the_server_speaks() {
    in_time(async {
        let only_first = TransportConfig { versions: vec![Version::V1], ..TransportConfig::default() };
        let server = server().shards(1).transport_config(only_first).service(echo).start().unwrap();
        let second_first = TransportConfig { versions: vec![Version::V2, Version::V1], ..TransportConfig::default() };
        let client = Endpoint::builder().client_config(client_tls()).transport_config(second_first).start().unwrap();
        let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
        round_trip(&connection, 1_000).await.unwrap();
        let metrics = server.metrics().clone();
        server.shutdown(Duration::ZERO).await;
        assert_eq!(metrics.sum("quicast_dispatcher_version_negotiations_sent_total"), Some(1.0));

        let neither = TransportConfig { versions: vec![Version::V2], ..TransportConfig::default() };
        let only_first = TransportConfig { versions: vec![Version::V1], ..TransportConfig::default() };
        let server = support::server().shards(1).transport_config(only_first).start().unwrap();
        let client = Endpoint::builder().client_config(client_tls()).transport_config(neither).start().unwrap();
        let error = client.connect(server.local_addr(), "localhost").await.unwrap_err();
        assert!(matches!(&error, ConnectError::Failed(CloseReason::VersionMismatch { .. })), "{error}");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_names_no_address_reaches_servers_of_both_families() {
    in_time(async {
        let client = Endpoint::builder().client_config(client_tls()).start().unwrap();
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let server = Endpoint::builder().listen(address.parse().unwrap()).server_config(server_tls());
            // Not every machine has IPv6.
            let Ok(server) = server.service(echo).start() else { continue };
            let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
            round_trip(&connection, 1_000).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn one_endpoint_listens_at_several_addresses() {
    in_time(async {
        let server = server().listen(LOCALHOST).shards(2).service(echo).start().unwrap();
        let addresses = server.local_addrs();
        assert_eq!(addresses.len(), 2);
        let client = client();
        for address in addresses {
            for _ in 0..4 {
                let connection = client.connect(address, "localhost").await.unwrap();
                round_trip(&connection, 1_000).await.unwrap();
            }
        }
    })
    .await;
}

#[test]
fn mistakes_are_told_with_their_remedy() {
    let first = server().start().unwrap();
    let address = first.local_addr();
    for shards in [1, 2] {
        let error = Endpoint::builder().listen(address).server_config(server_tls()).shards(shards).start().unwrap_err();
        assert!(matches!(error, BuildError::Listen { .. }));
        assert!(error.to_string().contains("in use by another program; choose another"), "{error}");
    }
    let mut tls = (*server_tls()).clone();
    tls.alpn_protocols.clear();
    let error = Endpoint::server(tls.into(), LOCALHOST).unwrap_err();
    assert!(error.to_string().contains("fill `alpn_protocols`"), "{error}");
    let error = Endpoint::builder().server_config(server_tls()).start().unwrap_err();
    assert!(error.to_string().contains("EndpointBuilder::listen"), "{error}");
    let transport = TransportConfig { initial_datagram_size: 16_001, ..TransportConfig::default() };
    let error = Endpoint::builder().transport_config(transport).start().unwrap_err();
    assert!(error.to_string().contains("bytes; choose one of these"), "{error}");
    let error = Endpoint::builder().listen(LOCALHOST).service(|_| async {}).start().unwrap_err();
    assert!(error.to_string().contains("server_config"), "{error}");
}

#[tokio::test]
async fn a_client_says_why_it_cannot_connect() {
    in_time(async {
        let client = client();
        let nobody = std::net::UdpSocket::bind(LOCALHOST).unwrap().local_addr().unwrap();
        let error = client.connect(nobody, "not a name").await.unwrap_err();
        assert!(matches!(&error, ConnectError::InvalidServerName(_)), "{error}");
        let error = client.connect("[::1]:4433".parse().unwrap(), "localhost").await.unwrap_err();
        assert!(matches!(&error, ConnectError::NoSocket { .. }), "{error}");
        let bare = Endpoint::client(LOCALHOST).unwrap();
        let error = bare.connect(nobody, "localhost").await.unwrap_err();
        assert!(matches!(&error, ConnectError::NoClientConfig), "{error}");
        client.shutdown(Duration::ZERO).await;
        let error = client.connect(nobody, "localhost").await.unwrap_err();
        assert!(matches!(&error, ConnectError::Closed), "{error}");
    })
    .await;
}

#[test]
fn handles_may_be_sent_shared_and_cloned() {
    fn is<T: Send + Sync + Clone>() {}
    fn may_be_sent<T: Send>() {}
    is::<Endpoint>();
    is::<quicast::Connection>();
    may_be_sent::<quicast::Incoming>();
    may_be_sent::<quicast::Connecting>();
}

#[tokio::test]
async fn a_task_runs_on_the_thread_of_its_connection() {
    in_time(async {
        let server = server().shards(1).service(echo).start().unwrap();
        let client = client();
        let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
        let here = std::thread::current().id();
        let on_shard = || connection.run_on_shard(|_| async { std::thread::current().id() });
        let there = on_shard().await.unwrap();
        assert_ne!(there, here);
        assert_eq!(on_shard().await.unwrap(), there);
        // What it holds need not be `Send`.
        let echoed = connection.run_on_shard(|connection| async move {
            let length = std::rc::Rc::new(100_000);
            round_trip(&connection, *length).await.is_ok()
        });
        assert!(echoed.await.unwrap());
        let panics = connection.run_on_shard(|connection| async move {
            assert!(connection.close_reason().is_some(), "the connection is open");
        });
        assert_eq!(panics.await, Err(RunError::Ended));
        round_trip(&connection, 1_000).await.unwrap();
        connection.close(0, b"");
        client.wait_idle().await;
        assert_eq!(connection.run_on_shard(|_| async {}).await, Err(RunError::Closed));
    })
    .await;
}
