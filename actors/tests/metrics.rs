//! Every metric moves: what can happen to an endpoint happens here, and then each has counted something, or there is a
//! reason for its silence (`telemetry/src/still.rs`).

#![allow(clippy::print_stdout, reason = "what a failed run is repeated with, and what it did")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

mod support;
mod traffic;

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quicast::{
    Algorithm, CloseReason, CongestionOrder, ConnectError, Connection, Endpoint, RetryPolicy, TransportConfig,
    TrialBounds, Trigger,
};
use support::*;
use telemetry::actor::ActorType;
use telemetry::{Registry, SERIES_LIMIT};
use traffic::*;

/// Long enough that what is sampled once a second is sampled.
const SAMPLED: Duration = Duration::from_millis(1_300);

/// Echoes until so much time has passed and so many bytes came back.
async fn busy(connection: &Connection, least: u64) {
    let (begun, mut sent) = (Instant::now(), 0);
    while begun.elapsed() < SAMPLED || sent < least {
        echoed(connection, sent, 300_000).await.unwrap();
        sent += 300_000;
    }
}

fn quick() -> TransportConfig {
    TransportConfig { max_idle_timeout: Duration::from_millis(250), ..TransportConfig::default() }
}

fn client_with(config: TransportConfig) -> Endpoint {
    Endpoint::builder().listen(LOCALHOST).client_config(client_tls()).transport_config(config).start().unwrap()
}

fn of(endpoints: &[&Endpoint]) -> Vec<Registry> {
    endpoints.iter().map(|endpoint| endpoint.metrics().clone()).collect()
}

/// Nothing is wrong: streams of all kinds and ends, datagrams, key updates, other controllers.
async fn a_clear_day() -> Vec<Registry> {
    let keep = TransportConfig { keep_alive: Some(Duration::from_millis(100)), ..TransportConfig::default() };
    let pair = Pair::with(keep, TransportConfig::default()).await;
    let accepting = tokio::spawn(echo(pair.there.clone()));
    busy(&pair.here, 2_000_000).await;
    // One at a time: until the second comes before the first is done.
    loop {
        let (first, second) =
            (pair.here.set_congestion(Algorithm::NEW_RENO), pair.here.set_congestion(Algorithm::NEW_RENO));
        if let (_, Err(quicast::SetCongestionError::Busy)) = tokio::join!(first, second) {
            break;
        }
    }
    busy(&pair.here, 0).await;
    for algorithm in [Algorithm::NEW_RENO, Algorithm::CUBIC, Algorithm::CUBIC] {
        pair.here.set_congestion(algorithm).await.unwrap();
        pair.there.set_congestion(algorithm).await.unwrap();
    }
    pair.here.set_shadow_congestion(Some(Algorithm::NEW_RENO));
    let trial = Some(TrialBounds { period: Duration::from_millis(100), ..TrialBounds::default() });
    let order = CongestionOrder { algorithm: Algorithm::CUBIC, trial, trigger: Trigger::Library };
    pair.here.set_congestion(order).await.unwrap();
    busy(&pair.here, 0).await;
    pair.here.force_key_update().await.unwrap();
    echoed(&pair.here, 1, 10_000).await.unwrap();
    // More datagrams than are kept, at either end.
    for registry in [pair.client.metrics(), pair.server.metrics()] {
        let dropped = "quicast_connection_datagram_frames_dropped_total";
        eventually("datagrams to be dropped", || {
            for _ in 0..500 {
                pair.here.send_datagram(Bytes::from_static(&[7; 1_000])).unwrap();
            }
            registry.sum(dropped).is_some_and(|dropped| dropped > 0.0)
        })
        .await;
    }
    let mut uni = pair.here.open_uni().await.unwrap();
    uni.write_all(b"one way").await.unwrap();
    let mut there = pair.there.accept_uni().await.unwrap();
    uni.reset(3).unwrap();
    assert!(there.read_to_end(100).await.is_err());
    let mut uni = pair.there.open_uni().await.unwrap();
    uni.write_all(b"the other").await.unwrap();
    pair.here.accept_uni().await.unwrap().stop(4);
    assert_eq!(uni.stopped().await.unwrap(), Some(4));
    // Silence, but for what keeps the connection alive.
    at_least(pair.client.metrics(), "quicast_timer_expirations_total", &["keep_alive"], 1.0).await;
    // One stream is open when all ends.
    let mut left = pair.here.open_bi().await.unwrap();
    left.0.write_all(b"never finished").await.unwrap();
    pair.here.close(9, b"over");
    assert!(matches!(pair.here.set_congestion(Algorithm::CUBIC).await, Err(quicast::SetCongestionError::Closed)));
    accepting.await.unwrap();
    pair.client.wait_idle().await;
    of(&[&pair.client, &pair.server])
}

/// Little is permitted, so there is waiting for it.
async fn a_narrow_gate() -> Vec<Registry> {
    let narrow = TransportConfig {
        receive_window: 20_000,
        stream_receive_window: 12_000,
        receive_window_maximum: 20_000,
        max_concurrent_bidirectional_streams: 2,
        max_concurrent_unidirectional_streams: 1,
        ..TransportConfig::default()
    };
    let server = server().transport_config(narrow).shards(1).service(echo).start().unwrap();
    let client = client();
    let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
    tokio::join!(
        async { echoed(&connection, 1, 200_000).await.unwrap() },
        async { echoed(&connection, 2, 200_000).await.unwrap() },
        async { echoed(&connection, 3, 200_000).await.unwrap() },
    );
    let unread = connection.open_uni().await.unwrap();
    let opening = connection.open_uni();
    tokio::select! {
        _ = opening => panic!("one is open, and nobody accepts it"),
        _ = at_least(server.metrics(), "quicast_connection_flow_control_blocked_total", &["received", "streams_uni"], 1.0) => {}
    }
    drop(unread);
    connection.close(0, b"");
    client.wait_idle().await;
    of(&[&client, &server])
}

/// Loss, duplicates, disorder, bits that flip, other addresses, marks of congestion, and a path that becomes narrow.
async fn a_bad_way() -> Vec<Registry> {
    let server = server().shards(1).service(echo).start().unwrap();
    let client = client();
    let proxy = Proxy::new(server.local_addr());
    let mut chance = Chance(1);
    proxy.judge(move |_, datagram| match chance.below(40) {
        0..3 => Fate::Drop,
        3..5 => Fate::Twice,
        5..8 => Fate::Late,
        8 => {
            if let Some(last) = datagram.last_mut() {
                *last ^= 1;
            }
            Fate::Forward
        }
        _ => Fate::Forward,
    });
    let connection = client.connect(proxy.address, "localhost").await.unwrap();
    busy(&connection, 1_000_000).await;
    connection.set_congestion(Algorithm::NEW_RENO).await.unwrap();
    busy(&connection, 1_000_000).await;
    // The client appears at another address.
    proxy.rebind();
    echoed(&connection, 1, 500_000).await.unwrap();
    at_least(server.metrics(), "quicast_path_validations_total", &["ok"], 1.0).await;
    // A datagram that arrives when it has been given up.
    for (far, near) in [(server.metrics(), &connection), (client.metrics(), &connection)] {
        let mut held = 0;
        proxy.judge(move |_, _| {
            held += 1;
            if held % 30 == 0 { Fate::VeryLate } else { Fate::Forward }
        });
        let spurious = "quicast_recovery_packets_spuriously_lost_total";
        while far.sum(spurious) == Some(0.0) {
            echoed(near, 2, 1_000_000).await.unwrap();
        }
    }
    // Nothing arrives any more, for longer than a few probes take, until that is what it is taken for.
    let persistent = |end: &Endpoint| end.metrics().sum("quicast_recovery_persistent_congestion_total").unwrap();
    while persistent(&client) + persistent(&server) == 0.0 {
        let traffic = Traffic::on([&connection]);
        traffic.goes_on(1_000_000).await;
        proxy.judge(|_, _| Fate::Drop);
        // Whoever had something to send when it became silent.
        let probes = |end: &Endpoint| end.metrics().value("quicast_recovery_pto_expirations_total", &["application"]);
        let expirations = || probes(&client).unwrap() + probes(&server).unwrap();
        let before = expirations();
        eventually("probes", || expirations() >= before + 4.0).await;
        proxy.calm();
        traffic.end().await;
    }
    // Large datagrams no longer fit.
    proxy.judge(|_, datagram| if datagram.len() > 1_250 { Fate::Drop } else { Fate::Forward });
    while client.metrics().sum("quicast_path_mtu_black_holes_total") == Some(0.0) {
        echoed(&connection, 4, 300_000).await.unwrap();
    }
    connection.close(0, b"");
    client.wait_idle().await;
    of(&[&client, &server])
}

/// A router on the way wipes ECN marks away.
async fn a_router_that_wipes() -> Vec<Registry> {
    let server = server().shards(1).service(echo).start().unwrap();
    let client = client();
    let proxy = Proxy::new(server.local_addr());
    let connection = client.connect(proxy.address, "localhost").await.unwrap();
    let failed = || client.metrics().value("quicast_recovery_ecn_validation_total", &["failed"]).unwrap();
    while failed() == 0.0 {
        echoed(&connection, 1, 100_000).await.unwrap();
    }
    connection.close(0, b"");
    client.wait_idle().await;
    of(&[&client, &server])
}

/// A long header of this version and type, with these ids and a token, padded.
fn long_header(version: u32, first: u8, token: &[u8], length: usize) -> Vec<u8> {
    let mut datagram = vec![first];
    datagram.extend(version.to_be_bytes());
    datagram.extend([8, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 7, 6, 5, 4, 3, 2, 1]);
    datagram.push(token.len() as u8);
    datagram.extend(token);
    datagram.extend([0x44, 0x00]);
    datagram.resize(length, 0x5a);
    datagram
}

/// What the internet sends to every port.
async fn strangers() -> Vec<Registry> {
    let server = server().shards(1).service(echo).start().unwrap();
    let raw = UdpSocket::bind(LOCALHOST).unwrap();
    raw.connect(server.local_addr()).unwrap();
    raw.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let metrics = server.metrics();
    let send = |datagram: &[u8]| assert_eq!(raw.send(datagram).unwrap(), datagram.len());
    let mut answer = [0; 2_000];
    send(&long_header(0x1a2a_3a4a, 0xc0, &[], 1_200));
    assert!(raw.recv(&mut answer).unwrap() > 0, "a Version Negotiation");
    assert_eq!(answer[1..5], [0; 4]);
    // A short header that belongs to nobody: answered with a reset.
    let mut short = vec![0x5a; 200];
    short[0] = 0x40;
    send(&short);
    assert!(raw.recv(&mut answer).unwrap() >= 21, "a stateless reset");
    // Tokens that nobody gave.
    send(&long_header(1, 0xc3, b"\x01no token of ours, but as long as one of them", 1_200));
    send(&[]);
    send(&[0x40]);
    send(&long_header(1, 0xc3, &[], 300));
    send(&long_header(0x1a2a_3a4a, 0xc0, &[], 300));
    send(&[0xc0; 1_200]);
    for _ in 0..400 {
        send(&long_header(0x1a2a_3a4a, 0xc0, &[], 1_200));
        send(&short);
    }
    // A mark that only routers set.
    socket2::SockRef::from(&raw).set_tos_v4(3).unwrap();
    send(&short);
    at_least(metrics, "quicast_socket_ecn_received_datagrams_total", &["ce"], 1.0).await;
    for reason in ["too_short", "initial_too_small", "unsupported_version", "rate_limited", "malformed"] {
        at_least(metrics, "quicast_dispatcher_drops_total", &[reason], 1.0).await;
    }
    for limit in ["version_negotiations", "stateless_resets"] {
        at_least(metrics, "quicast_limit_hits_total", &[limit], 1.0).await;
    }
    of(&[&server])
}

/// Tokens: good ones, used ones, and such as belong to another address.
async fn tokens() -> Vec<Registry> {
    let server = server().shards(1).retry(RetryPolicy::Always).start().unwrap();
    let accepting = tokio::spawn(accept_and_echo(server.clone()));
    let client = client();
    for _ in 0..2 {
        let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
        echoed(&connection, 1, 1_000).await.unwrap();
        connection.close(0, b"");
        client.wait_idle().await;
    }
    let tokens = "quicast_dispatcher_tokens_total";
    for kind in ["retry", "new_token"] {
        at_least(server.metrics(), tokens, &[kind, "valid"], 1.0).await;
    }
    // The client's address changes between the Retry and its answer.
    let moved = client_with(quick());
    let proxy = Arc::new(Proxy::new(server.local_addr()));
    let weak = Arc::downgrade(&proxy);
    let mut seen = 0;
    proxy.judge(move |way, _| {
        if way == Way::ToClient {
            seen += 1;
            if let Some(proxy) = weak.upgrade().filter(|_| seen == 1) {
                std::thread::spawn(move || proxy.rebind()).join().unwrap();
            }
        }
        Fate::Forward
    });
    let error = moved.connect(proxy.address, "localhost").await.unwrap_err();
    assert!(matches!(error, ConnectError::Failed(_)), "{error}");
    at_least(server.metrics(), tokens, &["retry", "wrong_address"], 1.0).await;
    accepting.abort();
    of(&[&server, &client, &moved])
}

/// Connections that do not come to be, and such as end without a word.
async fn failures() -> Vec<Registry> {
    let server = server().shards(1).transport_config(quick()).start().unwrap();
    let address = server.local_addr();
    let (client, silent) = (client(), client_with(quick()));
    let refused = {
        let client = client.clone();
        tokio::spawn(async move { client.connect(address, "localhost").await })
    };
    server.accept().await.unwrap().refuse();
    assert!(refused.await.unwrap().is_err());
    let accepting = tokio::spawn(accept_and_echo(server.clone()));
    // Another name, another protocol.
    assert!(client.connect(address, "elsewhere.example").await.is_err());
    let other = Arc::new(tls::development::client_config(certificate().chain(), &[b"other"]).unwrap());
    assert!(client.connect_with(other, address, "localhost").await.is_err());
    // Nobody answers.
    let nobody = UdpSocket::bind(LOCALHOST).unwrap();
    let hasty =
        client_with(TransportConfig { handshake_timeout: Duration::from_millis(200), ..TransportConfig::default() });
    let error = hasty.connect(nobody.local_addr().unwrap(), "localhost").await.unwrap_err();
    assert!(matches!(error, ConnectError::Failed(CloseReason::HandshakeTimeout)), "{error}");
    // Silence.
    let connection = silent.connect(address, "localhost").await.unwrap();
    assert_eq!(connection.closed().await, CloseReason::IdleTimeout);
    silent.wait_idle().await;
    // The other end is going away.
    let last = client.connect(address, "localhost").await.unwrap();
    let draining = {
        let server = server.clone();
        tokio::spawn(async move { server.shutdown(PATIENCE).await })
    };
    while client.connect(address, "localhost").await.is_ok() {}
    last.close(0, b"");
    draining.await.unwrap();
    client.shutdown(Duration::ZERO).await;
    accepting.abort();
    of(&[&server, &client, &silent, &hasty])
}

/// Not the same version; and version 2.
async fn versions() -> Vec<Registry> {
    let only = |version| TransportConfig { versions: vec![version], ..TransportConfig::default() };
    let second = server().shards(1).transport_config(only(codec::Version::V2)).service(echo).start().unwrap();
    let first_client = client_with(only(codec::Version::V1));
    let error = first_client.connect(second.local_addr(), "localhost").await.unwrap_err();
    assert!(matches!(error, ConnectError::Failed(CloseReason::VersionMismatch { .. })), "{error}");
    let second_client = client_with(only(codec::Version::V2));
    let connection = second_client.connect(second.local_addr(), "localhost").await.unwrap();
    echoed(&connection, 1, 1_000).await.unwrap();
    connection.close(0, b"");
    second_client.wait_idle().await;
    of(&[&second, &first_client, &second_client])
}

/// A certificate that is longer than what may be sent to an address that nobody has proven.
async fn a_long_certificate() -> Vec<Registry> {
    use tls::development;
    let names: Vec<String> = (0..400).map(|number| format!("host-number-{number}.example")).collect();
    let names: Vec<&str> = std::iter::once("localhost").chain(names.iter().map(String::as_str)).collect();
    let certificate = development::certificate(&names, tls::pki_types::UnixTime::now()).unwrap();
    let server_tls = Arc::new(development::server_config(&certificate, &[PROTOCOL]).unwrap());
    let client_tls = Arc::new(development::client_config(certificate.chain(), &[PROTOCOL]).unwrap());
    let server =
        Endpoint::builder().listen(LOCALHOST).server_config(server_tls).shards(1).service(echo).start().unwrap();
    let client = Endpoint::builder().listen(LOCALHOST).client_config(client_tls).start().unwrap();
    let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
    echoed(&connection, 1, 1_000).await.unwrap();
    at_least(server.metrics(), "quicast_dispatcher_amplification_blocked_total", &[], 1.0).await;
    of(&[&server, &client])
}

/// Faults of ours. Only here actors panic.
async fn faults() -> Vec<Registry> {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let words = info.payload().downcast_ref::<&str>().copied();
        if !words.is_some_and(|words| words.starts_with("injected")) {
            usual(info);
        }
    }));
    let server = server().shards(1).service(echo).start().unwrap();
    // Who waits for an answer has nothing to send, and would not hear of a server's fall before its idle timeout.
    let keep = TransportConfig { keep_alive: Some(Duration::from_millis(100)), ..TransportConfig::default() };
    let client = client_with(keep);
    let mut killed = 0;
    while killed < 4 {
        let connections = connect(&client, &server, 4).await;
        // A client that does not know yet that its handshake is complete there speaks in long headers, and those are not
        // answered with resets.
        for connection in &connections {
            echoed(connection, 0, 1_000).await.unwrap();
        }
        let traffic: Vec<_> = connections
            .iter()
            .cloned()
            .map(|connection| tokio::spawn(async move { while echoed(&connection, 1, 500_000).await.is_ok() {} }))
            .collect();
        for info in server.connections() {
            server.inject_panic(ActorType::Connection, Some(info.id));
            killed += 1;
        }
        // The first ones wait to hear of it; so many after one another are not all reset.
        for connection in &connections {
            if killed <= 4 {
                assert_eq!(connection.closed().await, CloseReason::StatelessReset);
            }
            connection.close(0, b"");
        }
        for task in traffic {
            task.await.unwrap();
        }
        server.wait_idle().await;
    }
    of(&[&server, &client])
}

async fn connect(client: &Endpoint, server: &Endpoint, count: usize) -> Vec<Connection> {
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(client.connect(server.local_addr(), "localhost").await.unwrap());
    }
    connections
}

/// More to answer than is answered at once.
/// A server's address that nothing can be sent to.
async fn nowhere() -> Vec<Registry> {
    let short = Duration::from_millis(100);
    let config = TransportConfig { max_idle_timeout: short, handshake_timeout: short, ..TransportConfig::default() };
    let client = client_with(config);
    let nowhere = (LOCALHOST.ip(), 0).into();
    assert!(client.connect(nowhere, "localhost").await.is_err());
    client.wait_idle().await;
    of(&[&client])
}

async fn a_busy_shard() -> Vec<Registry> {
    let server = server().shards(1).retry(RetryPolicy::Always).service(echo).start().unwrap();
    let client = client();
    let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
    crowd(&server).await;
    echoed(&connection, 1, 100_000).await.unwrap();
    of(&[&server, &client])
}

/// More datagrams than the kernel keeps.
async fn a_small_buffer() -> Vec<Registry> {
    let server = server().shards(1).socket_buffer_size(4_096).service(echo).start().unwrap();
    let raw = UdpSocket::bind(LOCALHOST).unwrap();
    let drops = || server.metrics().sum("quicast_socket_kernel_drops_total").unwrap();
    eventually("the kernel to drop", || {
        for _ in 0..300 {
            // Refused when the buffers are full: that is what it is about.
            drop(raw.send_to(&[0; 1_200], server.local_addr()));
        }
        drops() > 0.0
    })
    .await;
    of(&[&server])
}

/// HTTP/3: requests and their answers, a request that is given up, a tunnel, and datagrams for requests that are over.
#[cfg(feature = "http3")]
async fn a_web_site() -> Vec<Registry> {
    use quicast::http3::{self, Protocol, RecvBody};
    use tls::development;
    let server_tls = Arc::new(development::server_config(certificate(), &[http3::ALPN]).unwrap());
    let client_tls = Arc::new(development::client_config(certificate().chain(), &[http3::ALPN]).unwrap());
    let server = Endpoint::builder().listen(LOCALHOST).server_config(server_tls).shards(1).start().unwrap();
    let client = Endpoint::builder().listen(LOCALHOST).client_config(client_tls).start().unwrap();
    let service = tower::service_fn(|request: http::Request<RecvBody>| async move {
        if request.uri().path() == "/never" {
            std::future::pending::<()>().await;
        }
        let lines = (0..40).fold(http::Response::builder(), |response, line| {
            response.header(format!("x-line-{line}"), "the same each time, so that it is worth a place in a table")
        });
        Ok::<_, std::convert::Infallible>(lines.body(http3::Empty).unwrap())
    });
    tokio::spawn(http3::serve(server.clone(), service));
    let connection = client.connect(server.local_addr(), "localhost").await.unwrap();
    let requests = http3::connect(connection.clone()).unwrap();
    requests.settings().await.unwrap();
    let get = |path| http::Request::get(format!("https://localhost{path}")).body(http3::Empty).unwrap();
    for _ in 0..20 {
        requests.send(get("/")).await.unwrap();
    }
    at_least(server.metrics(), "quicast_qpack_dynamic_table_bytes", &["encoder"], 1.0).await;
    at_least(client.metrics(), "quicast_qpack_dynamic_table_bytes", &["decoder"], 1.0).await;
    // It is answered, and nobody takes its bytes.
    let mut tunnel = http::Request::connect("https://localhost/").body(()).unwrap();
    tunnel.extensions_mut().insert(Protocol::WEBSOCKET);
    requests.upgrade(tunnel).await.unwrap();
    at_least(server.metrics(), "quicast_http3_connect_requests_total", &["websocket", "accepted"], 1.0).await;
    drop(tokio::time::timeout(Duration::from_millis(50), requests.send(get("/never"))).await);
    at_least(server.metrics(), "quicast_http3_errors_total", &["received", "h3_request_cancelled"], 1.0).await;
    // For a request that is over, as one byte says: quarter stream ID 0.
    at_least(server.metrics(), "quicast_http3_frames_total", &["received", "headers"], 22.0).await;
    eventually("a datagram of a request that is over", || {
        connection.send_datagram(Bytes::from_static(&[0, 1])).unwrap();
        server.metrics().value("quicast_http3_datagrams_total", &["dropped"]).is_some_and(|dropped| dropped > 0.0)
    })
    .await;
    at_least(client.metrics(), "quicast_actor_starts_total", &["http3"], 1.0).await;
    requests.shut_down().await;
    client.wait_idle().await;
    for endpoint in [&server, &client] {
        for gauge in ["quicast_qpack_dynamic_table_bytes", "quicast_qpack_blocked_streams"] {
            eventually("what the connection held to be taken back", || endpoint.metrics().sum(gauge) == Some(0.0))
                .await;
        }
    }
    of(&[&server, &client])
}

/// Says which scene hangs, if one does.
async fn scene(name: &str, what: impl Future<Output = Vec<Registry>>) -> Vec<Registry> {
    let begun = Instant::now();
    let result = tokio::time::timeout(Duration::from_secs(40), what).await;
    let registries = result.unwrap_or_else(|_| panic!("{name} does not end"));
    println!("{name} took {:?}", begun.elapsed());
    registries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_moves_or_has_a_reason_not_to() {
    let (mut calm, mut panicked) = (Vec::new(), Vec::new());
    within(async {
        let (one, two, three, four) = tokio::join!(
            scene("a_clear_day", a_clear_day()),
            scene("a_narrow_gate", a_narrow_gate()),
            scene("a_bad_way", a_bad_way()),
            scene("a_router_that_wipes", a_router_that_wipes())
        );
        for registries in [one, two, three, four] {
            calm.extend(registries);
        }
        let (one, two, three, four) = tokio::join!(
            scene("strangers", strangers()),
            scene("tokens", tokens()),
            scene("failures", failures()),
            scene("versions", versions())
        );
        for registries in [one, two, three, four] {
            calm.extend(registries);
        }
        let (one, two, three, four) = tokio::join!(
            scene("a_long_certificate", a_long_certificate()),
            scene("a_busy_shard", a_busy_shard()),
            scene("nowhere", nowhere()),
            scene("a_small_buffer", a_small_buffer())
        );
        for registries in [one, two, three, four] {
            calm.extend(registries);
        }
        calm.extend(scene("a_web_site", a_web_site()).await);
        panicked = scene("faults", faults()).await;
    })
    .await;
    for registry in &calm {
        assert_eq!(panics(registry), []);
    }
    let all: Vec<&Registry> = calm.iter().chain(&panicked).collect();
    for registry in &all {
        assert_eq!(registry.moved_although_excused(), [""; 0], "their excuse is out of date");
        assert!(registry.series_count() <= SERIES_LIMIT, "{} series", registry.series_count());
    }
    // One endpoint is not enough for everything: a metric has moved if it has moved anywhere.
    let unmoved: BTreeSet<&str> = all
        .iter()
        .map(|registry| registry.unmoved().into_iter().collect::<BTreeSet<_>>())
        .reduce(|some, more| some.intersection(&more).copied().collect())
        .unwrap();
    // These move by chance or by the machine's settings, so they can neither be required nor excused.
    let by_chance = [
        // Zero where no limit is set.
        "process_virtual_memory_max_bytes",
        // Only when a datagram comes between a panic and its being known.
        "quicast_actor_mailbox_rejections_total",
        // Sampled: only when a field section comes before the instructions that it needs.
        "quicast_qpack_blocked_streams",
    ];
    let unmoved: Vec<&str> = unmoved.into_iter().filter(|name| !by_chance.contains(name)).collect();
    assert_eq!(unmoved, [""; 0], "never moved");
    labels(&all);
}

/// Each value of these labels was counted somewhere.
fn labels(all: &[&Registry]) {
    let mut still = Vec::new();
    for metric in telemetry::all() {
        let telemetry::Kind::Counter = metric.kind else { continue };
        let text: BTreeSet<String> = all
            .iter()
            .flat_map(|registry| {
                registry
                    .render()
                    .lines()
                    .filter(|line| line.starts_with(metric.name))
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .filter(|line| !line.ends_with(" 0"))
            .filter_map(|line| line.rsplit_once(' ').map(|(series, _)| series.to_owned()))
            .collect();
        for (label, values) in metric.labels.iter().zip(metric.values) {
            let telemetry::metric::Values::Closed(names) = values else { continue };
            for name in *names {
                if !text.iter().any(|series| series.contains(&format!("{label}=\"{name}\""))) {
                    still.push(format!("{}{{{label}={name}}}", metric.name));
                }
            }
        }
    }
    println!("label values that nothing counted: {still:#?}");
}
