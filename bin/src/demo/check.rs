//! `demo --once`: does everything work on this machine? One line for each check.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{Request, StatusCode};
use bytes::Bytes;
use quicast::http3::{self, RequestSender};
use quicast::{Algorithm, CloseReason};
use serde_json::json;
use tokio::time::timeout;

use super::{Stage, scrape};
use crate::cc::client::Client;
use crate::echo::datagrams;
use crate::echo::transfer::{self, Meter};
use crate::error::Failure;
use crate::{out, units};

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(60);
const TEN_MEGABYTES: u64 = 10 << 20;

/// What a check has to say, or why it failed.
type Outcome = Result<String, Failure>;

/// Runs all checks, even if one fails.
pub(super) async fn run(stage: &Stage) -> Result<(), Failure> {
    let mut failed = 0;
    let mut tell = |name: &str, outcome: &Outcome| match outcome {
        Ok(detail) => out::line(format_args!("ok      {name:<24} {detail}")),
        Err(failure) => {
            failed += 1;
            out::line(format_args!("FAILED  {name:<24} {failure}"));
        }
    };
    tell("echo", &patiently(echo(stage)).await);
    tell("100 streams", &patiently(streams(stage)).await);
    tell("datagrams", &patiently(datagrams(stage)).await);
    tell("key update", &patiently(key_update(stage)).await);
    tell("controller swap", &patiently(swap(stage)).await);
    tell("swap over HTTP", &patiently(swap_over_http(stage)).await);
    tell("https", &patiently(https(stage)).await);
    tell("http/3", &patiently(http3(stage)).await);
    tell("metrics", &patiently(metrics(stage)).await);
    tell("health", &patiently(health(stage)).await);
    tell("clean close", &patiently(close(stage)).await);
    match failed {
        0 => Ok(()),
        1 => Err(Failure::failed("one check failed")),
        several => Err(Failure::failed(format_args!("{several} checks failed"))),
    }
}

async fn patiently(check: impl Future<Output = Outcome>) -> Outcome {
    let seconds = PATIENCE.as_secs();
    timeout(PATIENCE, check).await.unwrap_or_else(|_| Err(Failure::failed(format_args!("not done after {seconds} s"))))
}

async fn echo(stage: &Stage) -> Outcome {
    let began = Instant::now();
    transfer::run(stage.connection(), TEN_MEGABYTES, 1, &Meter::default()).await?;
    let rate = TEN_MEGABYTES as f64 * 8.0 / began.elapsed().as_secs_f64();
    Ok(format!("{} there and back, every byte right, {}", units::bytes(TEN_MEGABYTES), units::rate(rate)))
}

async fn streams(stage: &Stage) -> Outcome {
    transfer::run(stage.connection(), 1 << 20, 100, &Meter::default()).await?;
    Ok("100 at once, every byte right".to_owned())
}

async fn datagrams(stage: &Stage) -> Outcome {
    let (counted, size) = datagrams::run(stage.connection(), 64 << 10).await?;
    Ok(format!("{} of {} came back, {size} bytes each", counted.returned, counted.sent))
}

async fn key_update(stage: &Stage) -> Outcome {
    let before = stage.connection().stats().totals.key_updates;
    stage.connection().force_key_update().await.map_err(Failure::failed)?;
    transfer::run(stage.connection(), 1 << 20, 1, &Meter::default()).await?;
    let updates = totals_after(stage, |now| now > before).await;
    if updates > before { Ok("new keys, nothing lost".to_owned()) } else { Err(Failure::failed("the keys stayed")) }
}

/// The connection's numbers are a tenth of a second old at most: so a few looks are enough.
async fn totals_after(stage: &Stage, enough: impl Fn(u64) -> bool) -> u64 {
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..20 {
        ticks.tick().await;
        // Something must happen on the connection for its numbers to be new.
        stage.connection().send_datagram(Bytes::from_static(b"tick")).ok();
        if enough(stage.connection().stats().totals.key_updates) {
            break;
        }
    }
    stage.connection().stats().totals.key_updates
}

/// Swaps forth and back while ten megabytes are on their way.
async fn swap(stage: &Stage) -> Outcome {
    let meter = Meter::default();
    let swaps = async {
        let mut done = Vec::new();
        let algorithms: Vec<Algorithm> = super::on_show().chain([Algorithm::default()]).collect();
        for (part, algorithm) in algorithms.iter().copied().enumerate() {
            meter.reached((part as u64 + 1) * TEN_MEGABYTES / (algorithms.len() as u64 + 1)).await;
            let change = stage.swap(algorithm).await?;
            if change.to != algorithm {
                return Err(Failure::failed(format_args!("asked for {algorithm}, got {}", change.to)));
            }
            done.push(change.to.name());
        }
        Ok(done)
    };
    let transfer = transfer::run(stage.connection(), TEN_MEGABYTES, 4, &meter);
    let (done, ()) = tokio::try_join!(swaps, transfer)?;
    Ok(format!("{} in mid-transfer, every byte right", done.join(", ")))
}

/// The server's end goes on with each controller in turn while ten megabytes come back; then all of it is taken back.
async fn swap_over_http(stage: &Stage) -> Outcome {
    let client = Client::new(&stage.admin.url(), stage.admin.token_file())?;
    let meter = Meter::default();
    let algorithms: Vec<Algorithm> = super::on_show().collect();
    let swaps = async {
        let mut last = None;
        for (part, algorithm) in algorithms.iter().enumerate() {
            meter.reached((part as u64 + 1) * TEN_MEGABYTES / (algorithms.len() as u64 + 1)).await;
            let order = json!({ "algorithm": algorithm.name(), "where": { "alpn": "echo", "role": "server" } });
            let answer = client.put("/api/v1/congestion", &order).await?;
            if answer["changed"] != 1 {
                return Err(Failure::failed(format_args!("asked for {algorithm}, got {answer}")));
            }
            last = answer["change"].as_u64();
        }
        Ok(last.unwrap_or_default())
    };
    let transfer = transfer::run(stage.connection(), TEN_MEGABYTES, 4, &meter);
    let (last, ()) = tokio::try_join!(swaps, transfer)?;
    let undone = client.delete(&format!("/api/v1/congestion/changes/{last}")).await?;
    if undone["undone"] != 1 {
        return Err(Failure::failed(format_args!("change {last} is not taken back: {undone}")));
    }
    Ok(format!("{} swaps in mid-transfer, the last taken back, every byte right", algorithms.len()))
}

/// A browser comes over TCP first, and is told where HTTP/3 is.
async fn https(stage: &Stage) -> Outcome {
    let Some(address) = stage.tcp.addresses().first() else { return Err(Failure::failed("there is no TCP")) };
    let (head, page) = scrape::get_secure(*address, &stage.certificate, "/").await?;
    let advertised = format!("alt-svc: h3=\":{}\"", address.port());
    if !head.contains(&advertised) {
        return Err(Failure::failed(format_args!("the answer does not say {advertised}")));
    }
    Ok(format!("{} over TCP, which says where HTTP/3 is", units::bytes(page.len() as u64)))
}

/// The same site over HTTP/3, on a connection of its own.
async fn http3(stage: &Stage) -> Outcome {
    let Some(address) = stage.server.endpoint.local_addrs().first().copied() else {
        return Err(Failure::failed("there is no UDP"));
    };
    let chain = stage.certificate.certificate.chain();
    let tls = tls::development::client_config(chain, &[http3::ALPN]).map_err(Failure::failed)?;
    let connecting = stage.client.endpoint.connect_with(Arc::new(tls), address, "localhost");
    let requests = http3::connect(connecting.await.map_err(Failure::failed)?).map_err(Failure::failed)?;
    let (port, path) = (address.port(), format!("/bytes/{TEN_MEGABYTES}"));
    let (page, bytes) = tokio::try_join!(fetch(&requests, port, "/"), fetch(&requests, port, &path))?;
    if bytes != TEN_MEGABYTES {
        return Err(Failure::failed(format_args!("{bytes} of {TEN_MEGABYTES} bytes came")));
    }
    requests.shut_down().await;
    // The server has its last word with that connection before others are counted.
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while stage.server.endpoint.connections().len() > 1 {
        ticks.tick().await;
    }
    Ok(format!("a page of {} and {} at once", units::bytes(page), units::bytes(bytes)))
}

/// How many bytes an answer has.
async fn fetch(requests: &RequestSender, port: u16, path: &str) -> Result<u64, Failure> {
    let request =
        Request::get(format!("https://localhost:{port}{path}")).body(http3::Empty).map_err(Failure::failed)?;
    let mut response = requests.send(request).await.map_err(Failure::failed)?;
    if response.status() != StatusCode::OK {
        return Err(Failure::failed(format_args!("{path} is answered with {}", response.status())));
    }
    let mut count = 0;
    while let Some(bytes) = response.body_mut().chunk().await.map_err(Failure::failed)? {
        count += bytes.len() as u64;
    }
    Ok(count)
}

/// What must have moved by now, one of each layer that the checks went through.
const MOVED: [&str; 7] = [
    "quicast_socket_received_bytes_total",
    "quicast_socket_sent_datagrams_total",
    "quicast_connections",
    "quicast_codec_packets_received_total",
    "quicast_congestion_switches_total",
    "quicast_http_requests_total",
    "quicast_admin_requests_total",
];

async fn metrics(stage: &Stage) -> Outcome {
    // Counters are flushed four times a second, and an exposition may be as old as that: so a few looks are enough.
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let mut still = None;
    for _ in 0..20 {
        ticks.tick().await;
        let text = scrape::get(stage.admin.address(), "/metrics").await?;
        let moved = |name: &str| {
            text.lines().any(|line| {
                line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']) && !rest.ends_with(" 0"))
            })
        };
        still = MOVED.into_iter().find(|name| !moved(name));
        if still.is_none() {
            return Ok(format!("{} lines, the counters of every layer moved", text.lines().count()));
        }
    }
    Err(Failure::failed(format_args!("{} did not move", still.unwrap_or_default())))
}

async fn health(stage: &Stage) -> Outcome {
    for path in ["/healthz", "/readyz", "/", "/api/v1/connections"] {
        scrape::get(stage.admin.address(), path).await?;
    }
    Ok("/healthz and /readyz say yes".to_owned())
}

/// The server hears of the close at once, not by a timeout.
async fn close(stage: &Stage) -> Outcome {
    let before = stage.server.endpoint.connections().len();
    stage.connection().close(0, b"done");
    match stage.connection().closed().await {
        CloseReason::LocalApplication { code: 0, .. } => {}
        other => return Err(crate::echo::ended(&other)),
    }
    let limit = Duration::from_secs(3);
    timeout(limit, stage.server.endpoint.wait_idle())
        .await
        .map_err(|_| Failure::failed("the server still waits for the client after 3 s"))?;
    Ok(format!("{before} connection before, none now"))
}
