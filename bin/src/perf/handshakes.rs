//! `handshakes`: connections that are made and closed, over and over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quicast::{Connection, Endpoint};
use rustls::ClientConfig;
use rustls::client::Resumption;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::arguments::Handshakes;
use super::client::{Stage, not_connected, on_shard};
use super::latency::Latency;
use super::measure::Begun;
use super::report::{Figure, Report};
use super::tickets::Tickets;
use crate::error::Failure;

/// How long a ticket may take to come.
const PATIENCE: Duration = Duration::from_secs(2);

/// Carries it out.
pub(crate) async fn run(stage: &Stage, arguments: &Handshakes) -> Result<Report, Failure> {
    let mut loops = Vec::new();
    for _ in 0..arguments.parallel {
        loops.push(Loop::new(stage, arguments.resumed).await?);
    }
    let begun = Begun::now(stage).await;
    let until = begun.at() + arguments.time.seconds;
    // Where all of the endpoint's connections live: it has one shard.
    let latency = on_shard(&stage.connection, move |_| shake_hands(loops, until)).await?;
    let cost = begun.end(stage).await;
    let count = latency.count();
    let each = |seconds: f64| Figure::Microseconds(seconds * 1e6 / count as f64);
    let percentile = |percentile| latency.percentile(percentile).map(Figure::Microseconds);
    Ok(cost
        .report("handshakes")
        .with("parallel", Figure::Count(arguments.parallel.into()))
        .with("resumed", Figure::Truth(arguments.resumed))
        .with("count", Figure::Count(count))
        .with("handshakes_per_second", Figure::Number(count as f64 / cost.seconds))
        .maybe("p50_us", percentile(50.0))
        .maybe("p99_us", percentile(99.0))
        .with("client_cpu_us_per_handshake", each(cost.client.cpu_seconds))
        .maybe("server_cpu_us_per_handshake", cost.server.map(|server| each(server.cpu_seconds))))
}

async fn shake_hands(loops: Vec<Loop>, until: Instant) -> Result<Latency, Failure> {
    let mut tasks = JoinSet::new();
    for one in loops {
        tasks.spawn_local(one.run(until));
    }
    let mut all = Latency::new()?;
    while let Some(result) = tasks.join_next().await {
        all.add(&result.map_err(Failure::failed)??)?;
    }
    Ok(all)
}

/// One connection after the other.
#[derive(Debug)]
struct Loop {
    endpoint: Endpoint,
    tls: Arc<ClientConfig>,
    /// Its own, so that it never takes another loop's.
    tickets: Option<Arc<Tickets>>,
    remote: SocketAddr,
    name: String,
}

impl Loop {
    async fn new(stage: &Stage, resumed: bool) -> Result<Self, Failure> {
        let (endpoint, remote, name) = (stage.endpoint.clone(), stage.remote, stage.name.clone());
        if !resumed {
            return Ok(Self { endpoint, tls: stage.tls.clone(), tickets: None, remote, name });
        }
        let tickets = Arc::new(Tickets::default());
        let mut tls = (*stage.tls).clone();
        tls.resumption = Resumption::store(tickets.clone());
        let this = Self { endpoint, tls: Arc::new(tls), tickets: Some(tickets), remote, name };
        // The first has nothing to resume, and gets the ticket for the next.
        let first = this.connect().await?;
        this.leave(&first).await?;
        Ok(this)
    }

    async fn run(self, until: Instant) -> Result<Latency, Failure> {
        let mut latency = Latency::new()?;
        loop {
            let began = Instant::now();
            if began >= until {
                return Ok(latency);
            }
            let connection = self.connect().await?;
            latency.record(began.elapsed());
            let resumed = connection.handshake_data().is_some_and(|data| data.resumed);
            if self.tickets.is_some() && !resumed {
                return Err(Failure::failed(
                    "the server has forgotten a session and did not resume it; try fewer at once (--parallel)",
                ));
            }
            self.leave(&connection).await?;
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let connecting = self.endpoint.connect_with(self.tls.clone(), self.remote, &self.name);
        connecting.await.map_err(|error| not_connected(self.remote, &error))
    }

    /// Closes the connection, once there is a ticket for the next if one is needed.
    async fn leave(&self, connection: &Connection) -> Result<(), Failure> {
        if let Some(tickets) = &self.tickets {
            let came = timeout(PATIENCE, tickets.at_least(1)).await;
            came.map_err(|_| {
                Failure::failed("the server gives no tickets to resume sessions with; leave out --resumed")
            })?;
        }
        connection.close(0, b"done");
        Ok(())
    }
}
