//! The workloads over any stack that has tasks and streams: what differs between stacks is behind four traits.
//!
//! Everything runs as tasks of one thread. A task is spawned for each stream or loop of requests, as the stacks advise.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::arguments::{Client, Direction, Workload};
use crate::outcome::{self, Latencies, Stopwatch};
use crate::pattern::{self, Check};
use crate::request::{self, Reader};
use crate::{Failure, unsupported};

/// A client's stack.
pub trait Stack: Send + Sync + Sized + 'static {
    /// Its connections.
    type Connection: Connection;

    /// Its name.
    const NAME: &'static str;

    /// Another client with a memory of tickets of its own, if the stack has such.
    ///
    /// # Errors
    /// It cannot be made.
    fn with_tickets(&self) -> Result<Option<Self>, Failure>;

    /// A connection that is established.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, Failure>> + Send;

    /// Waits for the next ticket.
    fn ticket(&self) -> impl Future<Output = ()> + Send;
}

/// A connection that is established.
pub trait Connection: Clone + Send + Sync + 'static {
    /// The half of a stream that sends.
    type Sender: Sender;
    /// The half that receives.
    type Receiver: Receiver;

    /// Opens a bidirectional stream, as soon as the peer permits one.
    fn open(&self) -> impl Future<Output = Result<(Self::Sender, Self::Receiver), Failure>> + Send;

    /// Closes the connection, without waiting.
    fn close(self);
}

/// The half of a stream that sends.
pub trait Sender: Send + 'static {
    /// Sends bytes, as soon as there is room.
    fn send(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), Failure>> + Send;

    /// There is no more to send.
    ///
    /// # Errors
    /// The stream or connection is closed.
    fn finish(&mut self) -> Result<(), Failure>;
}

/// The half of a stream that receives.
pub trait Receiver: Send + 'static {
    /// The next bytes in order; none at the end.
    fn receive(&mut self) -> impl Future<Output = Result<Option<Bytes>, Failure>> + Send;
}

/// Answers one stream.
///
/// # Errors
/// The connection is closed, or what came is not the pattern.
pub async fn serve(mut sender: impl Sender, mut receiver: impl Receiver, every_byte: bool) -> Result<(), Failure> {
    let mut reader = Reader::new(every_byte);
    while let Some(bytes) = receiver.receive().await? {
        reader.read(&bytes)?;
    }
    let length = reader.response().ok_or("a stream ended before it said how much it wants")?;
    send_pattern(&mut sender, length).await?;
    sender.finish()
}

/// Ends the server when a stream went wrong in a way that is no closed connection.
pub fn judge(result: Result<(), Failure>) {
    if let Err(failure) = result
        && failure.is::<pattern::Mismatch>()
    {
        eprintln!("{failure}");
        std::process::exit(1);
    }
}

async fn send_pattern(sender: &mut impl Sender, length: u64) -> Result<(), Failure> {
    let mut position = 0;
    while position < length {
        let chunk = pattern::chunk(position, length - position);
        position += chunk.len() as u64;
        sender.send(chunk).await?;
    }
    Ok(())
}

/// Does what the client is told, and prints how it went.
///
/// # Errors
/// A connection failed, or what came is not the pattern.
pub async fn run<S: Stack>(stack: S, client: &Client) -> Result<(), Failure> {
    let outcome = match client.workload {
        Workload::Bulk { streams, bytes, direction, connections } => {
            bulk(&stack, Bulk { streams, bytes, direction, every_byte: client.verify }, connections).await?
        }
        Workload::Requests { outstanding, time, request, response } => {
            let connection = stack.connect().await?;
            let stopwatch = Stopwatch::new();
            let end = stopwatch.start() + time;
            let request = request::small(request, response);
            let each = (0..outstanding)
                .map(|_| tokio::spawn(requests(connection.clone(), request.clone(), response, end)))
                .collect();
            let mut latencies = Latencies::new()?;
            for one in all(each).await? {
                latencies.merge(&one)?;
            }
            let outcome = stopwatch.stop("requests", &latencies.fields(outstanding));
            connection.close();
            outcome
        }
        Workload::Handshakes { parallel, time, resumed } => {
            let stack = Arc::new(stack);
            let mut clients = Vec::new();
            for _ in 0..parallel {
                clients.push(if resumed { first_ticket(&*stack).await? } else { stack.clone() });
            }
            let stopwatch = Stopwatch::new();
            let end = stopwatch.start() + time;
            let each = clients.into_iter().map(|client| tokio::spawn(handshakes(client, resumed, end))).collect();
            let count: u64 = all(each).await?.into_iter().sum();
            stopwatch.stop("handshakes", &json!({ "parallel": parallel, "resumed": resumed, "count": count }))
        }
        Workload::Idle { connections } => return idle(&stack, connections).await,
    };
    outcome::print(&outcome)
}

/// All results, or the first failure.
async fn all<T>(tasks: Vec<JoinHandle<Result<T, Failure>>>) -> Result<Vec<T>, Failure> {
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        results.push(task.await??);
    }
    Ok(results)
}

#[derive(Clone, Copy)]
struct Bulk {
    streams: u64,
    bytes: u64,
    direction: Direction,
    every_byte: bool,
}

async fn bulk<S: Stack>(stack: &S, bulk: Bulk, connections: u64) -> Result<Value, Failure> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(stack.connect().await?);
    }
    let stopwatch = Stopwatch::new();
    let streams = open.iter().cycle().cloned().zip(0..bulk.streams);
    let each = streams.map(|(connection, stream)| tokio::spawn(bulk_stream(connection, bulk, stream))).collect();
    all(each).await?;
    let outcome = stopwatch.stop("bulk", &json!({ "streams": bulk.streams, "bytes": bulk.bytes }));
    open.into_iter().for_each(Connection::close);
    Ok(outcome)
}

async fn bulk_stream<C: Connection>(connection: C, bulk: Bulk, stream: u64) -> Result<(), Failure> {
    let bytes = request::share(bulk.bytes, bulk.streams, stream);
    let (up, down) = match bulk.direction {
        Direction::Down => (0, bytes),
        Direction::Up => (bytes, 0),
    };
    let (mut sender, mut receiver) = connection.open().await?;
    sender.send(request::small(0, down)).await?;
    send_pattern(&mut sender, up).await?;
    sender.finish()?;
    response(&mut receiver, down, bulk.every_byte).await
}

async fn response(receiver: &mut impl Receiver, length: u64, every_byte: bool) -> Result<(), Failure> {
    let mut check = Check::new(every_byte);
    while let Some(bytes) = receiver.receive().await? {
        check.read(&bytes)?;
    }
    Ok(check.end(length)?)
}

async fn requests<C: Connection>(
    connection: C,
    request: Bytes,
    length: u64,
    end: Instant,
) -> Result<Latencies, Failure> {
    let mut latencies = Latencies::new()?;
    let mut start = Instant::now();
    while start < end {
        let (mut sender, mut receiver) = connection.open().await?;
        sender.send(request.clone()).await?;
        sender.finish()?;
        response(&mut receiver, length, false).await?;
        let now = Instant::now();
        latencies.add(now - start);
        start = now;
    }
    Ok(latencies)
}

/// A client that has a ticket.
async fn first_ticket<S: Stack>(stack: &S) -> Result<Arc<S>, Failure> {
    let Some(client) = stack.with_tickets()? else { return unsupported(S::NAME, "resumption") };
    let connection = client.connect().await?;
    client.ticket().await;
    connection.close();
    Ok(Arc::new(client))
}

async fn handshakes<S: Stack>(stack: Arc<S>, resumed: bool, end: Instant) -> Result<u64, Failure> {
    let mut count = 0;
    while Instant::now() < end {
        let connection = stack.connect().await?;
        if resumed {
            // The ticket that this connection resumed with is spent: the next needs another.
            stack.ticket().await;
        }
        connection.close();
        count += 1;
    }
    Ok(count)
}

async fn idle<S: Stack>(stack: &S, connections: u64) -> Result<(), Failure> {
    let stopwatch = Stopwatch::new();
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(stack.connect().await?);
    }
    outcome::print(&stopwatch.stop("idle", &json!({ "connections": connections })))?;
    tokio::task::spawn_blocking(outcome::wait_for_the_end_of_input).await??;
    open.into_iter().for_each(Connection::close);
    Ok(())
}
