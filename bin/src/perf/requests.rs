//! `requests`: question and answer, so many under way at all times, each on a new stream.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quicast::{Connection, RecvStream, SendStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::arguments::Requests;
use super::client::{Stage, on_shard};
use super::latency::Latency;
use super::measure::Begun;
use super::pattern::{self, Depth};
use super::report::{Figure, Report};
use super::{exchange, plot};
use crate::error::Failure;

/// How long it may take until the server has permitted the streams that are to be open meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// Carries it out.
pub(crate) async fn run(stage: &Stage, arguments: &Requests) -> Result<Report, Failure> {
    let open = on_shard(&stage.connection, {
        let count = arguments.open_streams;
        move |connection| open_streams(connection, count)
    });
    // Held until the end.
    let open = open.await?;
    let begun = Begun::now(stage).await;
    let plan = Plan {
        request: request(arguments.request, arguments.response),
        response: arguments.response,
        depth: stage.depth,
        until: begun.at() + arguments.time.seconds,
    };
    let outstanding = arguments.outstanding;
    let latency = on_shard(&stage.connection, move |connection| ask(connection, outstanding, plan)).await?;
    let cost = begun.end(stage).await;
    drop(open);
    if let Some(path) = &arguments.plot {
        let title = format!("Latency of requests, {outstanding} under way");
        plot::latency(title, &latency.curve()).write(path)?;
    }
    let count = latency.count();
    let each = |seconds: f64| Figure::Microseconds(seconds * 1e6 / count as f64);
    let percentile = |percentile| latency.percentile(percentile).map(Figure::Microseconds);
    let report = cost
        .report("requests")
        .with("outstanding", Figure::Count(outstanding.into()))
        .with("request_bytes", Figure::Count(arguments.request))
        .with("response_bytes", Figure::Count(arguments.response))
        .with("open_streams", Figure::Count(arguments.open_streams.into()))
        .with("count", Figure::Count(count))
        .with("requests_per_second", Figure::Number(count as f64 / cost.seconds))
        .maybe("p50_us", percentile(50.0))
        .maybe("p90_us", percentile(90.0))
        .maybe("p99_us", percentile(99.0))
        .maybe("p999_us", percentile(99.9))
        .maybe("max_us", percentile(100.0))
        .with("client_cpu_us_per_request", each(cost.client.cpu_seconds))
        .maybe("server_cpu_us_per_request", cost.server.map(|server| each(server.cpu_seconds)));
    Ok(cost.add_sides(report))
}

/// What every request is.
#[derive(Clone, Debug)]
struct Plan {
    request: Bytes,
    response: u64,
    depth: Depth,
    /// None begins later.
    until: Instant,
}

/// The number of bytes wanted, and the pattern.
fn request(length: u64, wanted: u64) -> Bytes {
    let number = exchange::number(wanted);
    let payload = length.saturating_sub(number.len() as u64);
    let mut request = BytesMut::from(number);
    let mut offset = 0;
    while offset < payload {
        let piece = pattern::piece(offset, payload - offset);
        offset += piece.len() as u64;
        request.extend_from_slice(&piece);
    }
    request.freeze()
}

async fn ask(connection: Connection, outstanding: u32, plan: Plan) -> Result<Latency, Failure> {
    let latency = Rc::new(RefCell::new(Latency::new()?));
    let mut tasks = JoinSet::new();
    for _ in 0..outstanding {
        let (connection, plan, latency) = (connection.clone(), plan.clone(), latency.clone());
        tasks.spawn_local(async move {
            let mut began = Instant::now();
            while began < plan.until {
                one(&connection, &plan).await?;
                let now = Instant::now();
                latency.borrow_mut().record(now - began);
                began = now;
            }
            Ok::<(), Failure>(())
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.map_err(Failure::failed)??;
    }
    let all = latency.borrow().clone();
    Ok(all)
}

async fn one(connection: &Connection, plan: &Plan) -> Result<(), Failure> {
    let (mut send, mut receive) = exchange::open(connection).await?;
    send.write_chunk(plan.request.clone()).await.map_err(|error| exchange::not_written(&send, &error))?;
    drop(send.finish());
    exchange::answer(&mut receive, plan.response, plan.depth, |_| ()).await
}

/// Streams that the server knows, and that wait for the rest of their number.
async fn open_streams(connection: Connection, count: u32) -> Result<Vec<(SendStream, RecvStream)>, Failure> {
    let mut streams = Vec::new();
    for _ in 0..count {
        let Ok(stream) = timeout(PATIENCE, exchange::open(&connection)).await else {
            let permitted = streams.len();
            return Err(Failure::failed(format_args!(
                "--open-streams {count}: the server permits {permitted} streams; start it with a greater --streams-allowed"
            )));
        };
        let (mut send, receive) = stream?;
        send.write_chunk(Bytes::from_static(&[0])).await.map_err(|error| exchange::not_written(&send, &error))?;
        streams.push((send, receive));
    }
    Ok(streams)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_its_number_and_the_pattern() {
        assert_eq!(request(8, 5)[..], [0, 0, 0, 0, 0, 0, 0, 5]);
        let long = request(1_000_000, 1 << 40);
        assert_eq!(long.len(), 1_000_000);
        assert_eq!(long[..10], [0, 0, 1, 0, 0, 0, 0, 0, 0, 1]);
        assert!(long[8..].iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
    }
}
