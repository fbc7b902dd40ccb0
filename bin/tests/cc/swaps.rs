//! Swaps under load: many connections that transfer, all of which get another controller again and again.
//!
//! `QUICAST_FULL=1` is the long form; `SIM_SEED=N` takes another order of controllers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quicast::{Algorithm, Connection, Endpoint};
use tokio::task::JoinSet;

use super::support::{Folder, Server, ask, http};

/// Bytes of a stream.
const BYTES: usize = 32 * 1024;

/// How often, with how many connections.
struct Size {
    connections: usize,
    swaps: usize,
}

fn size() -> Size {
    let is_full = std::env::var_os("QUICAST_FULL").is_some_and(|value| value != "0");
    Size { connections: 200, swaps: if is_full { 1000 } else { 100 } }
}

/// Bytes that are others on each stream of each connection.
fn content(connection: usize, round: u64) -> Vec<u8> {
    let mut state = (connection as u64) << 32 | round;
    let word = |_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)).to_le_bytes()
    };
    (0..BYTES / 8).flat_map(word).collect()
}

/// Sends and takes back stream after stream until it is told to stop. How many came back, every byte right.
async fn transfer(connection: Connection, number: usize, stop: Arc<AtomicBool>) -> u64 {
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        let content = content(number, round);
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        let (sent, back) = tokio::join!(
            async {
                send.write_all(&content).await.unwrap();
                send.finish().await
            },
            receive.read_to_end(BYTES + 1)
        );
        sent.unwrap();
        assert!(back.unwrap() == content, "connection {number}, stream {round}: other bytes came back");
        round += 1;
    }
    connection.close(0, b"done");
    round
}

async fn connect(server: std::net::SocketAddr, count: usize) -> (Endpoint, Vec<Connection>) {
    let tls = tls::development::insecure_client_config(&[b"echo"]).unwrap();
    let endpoint = Endpoint::builder().listen("127.0.0.1:0".parse().unwrap()).client_config(Arc::new(tls));
    let endpoint = endpoint.start().unwrap();
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(endpoint.connect(server, "localhost").await.unwrap());
    }
    (endpoint, connections)
}

/// The upper end of the bucket that so much of a histogram lies below, in seconds.
fn quantile(metrics: &str, name: &str, share: f64) -> Option<f64> {
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for line in metrics.lines().filter_map(|line| line.strip_prefix(&format!("{name}_bucket"))) {
        let bound = line.split("le=\"").nth(1)?.split('"').next()?.parse().unwrap_or(f64::INFINITY);
        let count: f64 = line.rsplit(' ').next()?.parse().ok()?;
        match buckets.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, sum)) => *sum += count,
            None => buckets.push((bound, count)),
        }
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let all = buckets.last()?.1;
    buckets.iter().find(|(_, count)| *count >= all * share).map(|(bound, _)| *bound)
}

#[test]
fn many_connections_change_controllers_in_mid_transfer_and_lose_nothing() {
    let Size { connections, swaps } = size();
    let folder = Folder::new();
    let server = Server::start(&folder, &["--no-tcp"]);
    let (admin, token) = (server.admin(), server.token());
    let address = server.address().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (endpoint, handles) = runtime.block_on(connect(address, connections));
    // A handshake is over for the client first.
    while ask(admin, "GET", "/api/v1/congestion", None, "").1["total"] != connections {}
    let stop = Arc::new(AtomicBool::new(false));
    let mut transfers = JoinSet::new();
    for (number, connection) in handles.into_iter().enumerate() {
        transfers.spawn_on(transfer(connection, number, stop.clone()), runtime.handle());
    }
    // A controller that sends at a fixed rate is no neighbour for others.
    let algorithms: Vec<Algorithm> =
        Algorithm::ALL.into_iter().filter(|algorithm| algorithm.name() != "fixed").collect();
    let seed: u64 = std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    eprintln!("SIM_SEED={seed}");
    let (mut state, began, mut scraped) = (seed, Instant::now(), None::<Instant>);
    let mut swapped = 0;
    while swapped < swaps {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let algorithm = algorithms[(state >> 33) as usize % algorithms.len()];
        let order = format!("{{\"algorithm\":\"{}\"}}", algorithm.name());
        let (status, answer) = ask(admin, "PUT", "/api/v1/congestion", Some(&token), &order);
        if status != 429 {
            assert_eq!(
                (status, &answer["matched"], &answer["refused_total"]),
                (200, &connections.into(), &0.into()),
                "{answer}"
            );
            assert_eq!(answer["changed"], connections);
            swapped += 1;
        }
        if scraped.is_none_or(|at| at.elapsed() >= Duration::from_secs(1)) {
            let (status, _, _) =
                http(admin, &format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"));
            assert_eq!(status, 200);
            scraped = Some(Instant::now());
        }
        assert!(transfers.try_join_next().is_none(), "a transfer ended");
    }
    let took = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    let rounds = runtime.block_on(transfers.join_all());
    assert!(rounds.iter().all(|rounds| *rounds > 0), "{rounds:?}");
    runtime.block_on(endpoint.wait_idle());
    let wanted = (swaps * connections) as f64;
    let name = "quicast_congestion_switch_duration_seconds";
    // What is counted is flushed now and then, and a text of metrics is good for a second.
    let metrics = loop {
        let (_, _, metrics) =
            http(admin, &format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"));
        let counts = metrics.lines().filter(|line| line.starts_with(&format!("{name}_count")));
        let count: f64 = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
        // A change to the same controller counts too: it is a new one of its kind.
        if count >= wanted {
            break metrics;
        }
    };
    let shown = |share| quantile(&metrics, name, share).map_or(f64::NAN, |seconds| seconds * 1e3);
    let moved = rounds.iter().sum::<u64>() as f64 * 2.0 * BYTES as f64 / took.as_secs_f64() / 1e6;
    eprintln!(
        "{connections} connections, {swaps} swaps of all in {:.1} s, {moved:.0} MB/s both ways; a swap took at most {} ms (p50), {} ms (p99)",
        took.as_secs_f64(),
        shown(0.5),
        shown(0.99)
    );
}
