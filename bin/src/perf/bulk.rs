//! `bulk`: bytes on streams, as fast as they go.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quicast::Connection;
use tokio::task::JoinSet;

use super::arguments::{Bulk, Direction};
use super::client::{Stage, on_shard};
use super::measure::{Begun, Cost, ratio};
use super::pattern::{self, Depth};
use super::report::{Figure, Report};
use super::{exchange, plot};
use crate::error::Failure;
use crate::progress::Progress;

/// How often it is looked how far the bytes are.
const SAMPLE: Duration = Duration::from_millis(100);

/// What each connection does.
#[derive(Clone, Debug)]
struct Plan {
    direction: Direction,
    streams: u32,
    depth: Depth,
    /// Payload bytes of all streams so far.
    moved: Arc<AtomicU64>,
}

/// Carries it out.
pub(crate) async fn run(stage: &Stage, arguments: &Bulk) -> Result<Report, Failure> {
    let connections = stage.connections(arguments.connections).await?;
    let moved = Arc::new(AtomicU64::new(0));
    let plan = Plan { direction: arguments.direction, streams: arguments.streams, depth: stage.depth, moved };
    let progress = Progress::bytes(arguments.bytes, false);
    let mut samples = Vec::new();
    let begun = Begun::now(stage).await;
    let began = begun.at();
    let result = tokio::select! {
        result = transfer(&connections, arguments, &plan) => result,
        never = watch(stage, &plan.moved, began, &mut samples, &progress) => match never {},
    };
    let cost = begun.end(stage).await;
    progress.clear();
    result?;
    if plan.direction == Direction::Up {
        check_upload(&cost, arguments.bytes)?;
    }
    samples.push((cost.seconds, arguments.bytes));
    if let Some(path) = &arguments.plot {
        let Bulk { streams, connections, .. } = arguments;
        let way = arguments.direction.name();
        let title = format!("Throughput, {way} (streams on each connection: {streams}, connections: {connections})");
        plot::throughput(title, &samples).write(path)?;
    }
    Ok(report(&cost, arguments, stage.depth))
}

async fn transfer(connections: &[Connection], arguments: &Bulk, plan: &Plan) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    for (connection, bytes) in connections.iter().zip(shares(arguments.bytes, arguments.connections)) {
        let (connection, plan) = (connection.clone(), plan.clone());
        tasks.spawn(async move { on_shard(&connection, move |connection| share(connection, bytes, plan)).await });
    }
    while let Some(result) = tasks.join_next().await {
        result.map_err(Failure::failed)??;
    }
    Ok(())
}

/// The share of one connection.
async fn share(connection: Connection, bytes: u64, plan: Plan) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    for bytes in shares(bytes, plan.streams) {
        let (connection, plan) = (connection.clone(), plan.clone());
        tasks.spawn_local(async move {
            match plan.direction {
                Direction::Down => down(&connection, bytes, &plan).await,
                Direction::Up => up(&connection, bytes, &plan).await,
            }
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.map_err(Failure::failed)??;
    }
    Ok(())
}

/// Bytes after which the progress is told: for every packet, an atomic addition is 4 % of a client's time.
const COUNTED: u64 = 64 << 10;

async fn down(connection: &Connection, bytes: u64, plan: &Plan) -> Result<(), Failure> {
    let (mut send, mut receive) = exchange::open(connection).await?;
    send.write_chunk(exchange::number(bytes)).await.map_err(|error| exchange::not_written(&send, &error))?;
    drop(send.finish());
    let mut uncounted = 0;
    let result = exchange::answer(&mut receive, bytes, plan.depth, |came| {
        uncounted += came;
        if uncounted >= COUNTED {
            plan.moved.fetch_add(mem::take(&mut uncounted), Ordering::Relaxed);
        }
    });
    let result = result.await;
    plan.moved.fetch_add(uncounted, Ordering::Relaxed);
    result
}

async fn up(connection: &Connection, bytes: u64, plan: &Plan) -> Result<(), Failure> {
    let (mut send, mut receive) = exchange::open(connection).await?;
    let sent = async {
        send.write_chunk(exchange::number(0)).await?;
        pattern::send(&mut send, bytes, |taken| {
            plan.moved.fetch_add(taken, Ordering::Relaxed);
        })
        .await
    };
    sent.await.map_err(|error| exchange::not_written(&send, &error))?;
    drop(send.finish());
    // Its end says that the server has everything.
    exchange::answer(&mut receive, 0, plan.depth, |_| ()).await
}

/// What does not divide goes with the first.
fn shares(bytes: u64, parts: u32) -> impl Iterator<Item = u64> {
    let parts = u64::from(parts.max(1));
    let (each, rest) = (bytes / parts, bytes % parts);
    (0..parts).map(move |part| if part == 0 { each + rest } else { each })
}

/// The times and the bytes until then.
type Samples = Vec<(f64, u64)>;

async fn watch(
    stage: &Stage,
    moved: &AtomicU64,
    began: Instant,
    samples: &mut Samples,
    progress: &Progress,
) -> std::convert::Infallible {
    let mut ticks = tokio::time::interval(SAMPLE);
    loop {
        ticks.tick().await;
        let bytes = moved.load(Ordering::Relaxed);
        samples.push((began.elapsed().as_secs_f64(), bytes));
        progress.show(bytes, &stage.connection.stats());
    }
}

/// What the server says it got, if it is one that says so.
fn check_upload(cost: &Cost, bytes: u64) -> Result<(), Failure> {
    let Some(server) = &cost.server else { return Ok(()) };
    if server.payload_wrong > 0 {
        let wrong = server.payload_wrong;
        return Err(Failure::failed(format_args!("on {wrong} streams the server got other bytes than were sent")));
    }
    // Others may measure the same server at the same time.
    if server.payload_bytes < bytes {
        let got = server.payload_bytes;
        return Err(Failure::failed(format_args!("the server got {got} bytes of {bytes}")));
    }
    Ok(())
}

fn report(cost: &Cost, arguments: &Bulk, depth: Depth) -> Report {
    let bytes = arguments.bytes;
    let gigabytes = bytes as f64 / 1e9;
    let (client, server) = (&cost.client, cost.server.as_ref());
    let verified = match arguments.direction {
        Direction::Down => depth == Depth::Everything,
        Direction::Up => server.is_some_and(|server| server.payload_verified),
    };
    let per_ack = match arguments.direction {
        Direction::Down => ratio(client.datagrams_received, client.acks_sent),
        Direction::Up => ratio(client.datagrams_sent, client.acks_received),
    };
    let report = cost
        .report("bulk")
        .with("direction", Figure::Words(arguments.direction.name()))
        .with("streams", Figure::Count(arguments.streams.into()))
        .with("connections", Figure::Count(arguments.connections.into()))
        .with("bytes", Figure::Count(bytes))
        .with("verified", Figure::Truth(verified))
        .with("bits_per_second", Figure::BitsPerSecond(bytes as f64 * 8.0 / cost.seconds))
        .with("client_cpu_seconds_per_gb", Figure::Number(client.cpu_seconds / gigabytes))
        .maybe("server_cpu_seconds_per_gb", server.map(|server| Figure::Number(server.cpu_seconds / gigabytes)))
        .with("data_packets_per_ack", per_ack);
    cost.add_sides(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_all_there_is() {
        assert_eq!(shares(10, 3).collect::<Vec<_>>(), [4, 3, 3]);
        assert_eq!(shares(2, 4).collect::<Vec<_>>(), [2, 0, 0, 0]);
        assert_eq!(shares(1 << 40, 1000).sum::<u64>(), 1 << 40);
    }
}
