//! What a workload cost: both processes before it and after it.

use std::time::Instant;

use quicast::Endpoint;

use super::client::Stage;
use super::report::{Figure, Report};
use super::statistics::{self, Statistics};

/// A workload that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    server: Option<Statistics>,
    client: Statistics,
    at: Instant,
}

/// What a workload cost.
#[derive(Clone, Debug)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    /// What the client's process added.
    pub(crate) client: Statistics,
    /// The client's memory before.
    pub(crate) client_resident_before: u64,
    /// What the server's process added, if it says so.
    pub(crate) server: Option<Statistics>,
    pub(crate) server_resident_before: u64,
}

impl Begun {
    /// From here on it is measured.
    pub(crate) async fn now(stage: &Stage) -> Self {
        let (server, ()) = tokio::join!(Statistics::of_server(&stage.connection), statistics::settled());
        Self { server, client: own(&stage.endpoint), at: Instant::now() }
    }

    /// When it began.
    pub(crate) const fn at(&self) -> Instant {
        self.at
    }

    /// Up to here it was measured.
    pub(crate) async fn end(self, stage: &Stage) -> Cost {
        let seconds = self.at.elapsed().as_secs_f64();
        let spent = Statistics::now(None);
        // Who did not know before does not know now.
        let server = match self.server {
            Some(before) => Statistics::of_server(&stage.connection).await.map(|after| after.since(&before)),
            None => None,
        };
        statistics::settled().await;
        let after =
            Statistics { cpu_seconds: spent.cpu_seconds, resident_bytes: spent.resident_bytes, ..own(&stage.endpoint) };
        let client = after.since(&self.client);
        Cost {
            seconds,
            client,
            client_resident_before: self.client.resident_bytes,
            server,
            server_resident_before: self.server.map_or(0, |before| before.resident_bytes),
        }
    }
}

fn own(endpoint: &Endpoint) -> Statistics {
    Statistics::now(Some(endpoint.metrics()))
}

impl Cost {
    /// A report that begins with what all workloads have.
    pub(crate) fn report(&self, workload: &'static str) -> Report {
        Report::new(workload)
            .with("seconds", Figure::Seconds(self.seconds))
            .with("client_cpu_seconds", Figure::Seconds(self.client.cpu_seconds))
            .maybe("server_cpu_seconds", self.server.map(|server| Figure::Seconds(server.cpu_seconds)))
    }

    /// How busy both sockets were.
    pub(crate) fn add_sides(&self, report: Report) -> Report {
        let mut report = add_client(report, &self.client);
        for (_, name, figure) in SIDES {
            report = report.maybe(name, self.server.as_ref().map(figure));
        }
        report
    }
}

/// How busy the client's socket was.
pub(crate) fn add_client(mut report: Report, client: &Statistics) -> Report {
    for (name, _, figure) in SIDES {
        report = report.with(name, figure(client));
    }
    report
}

/// What is told of each side: the client's name for it, the server's, and what it is.
type Side = (&'static str, &'static str, fn(&Statistics) -> Figure);

const SIDES: [Side; 8] = [
    ("client_datagrams_per_send_call", "server_datagrams_per_send_call", |side| {
        ratio(side.datagrams_sent, side.send_calls)
    }),
    ("client_datagrams_per_receive_call", "server_datagrams_per_receive_call", |side| {
        ratio(side.datagrams_received, side.receive_calls)
    }),
    ("client_datagrams_sent", "server_datagrams_sent", |side| Figure::Count(side.datagrams_sent)),
    ("client_datagrams_received", "server_datagrams_received", |side| Figure::Count(side.datagrams_received)),
    ("client_acks_sent", "server_acks_sent", |side| Figure::Count(side.acks_sent)),
    ("client_packets_lost", "server_packets_lost", |side| Figure::Count(side.packets_lost)),
    ("client_retransmitted_bytes", "server_retransmitted_bytes", |side| Figure::Bytes(side.retransmitted_bytes)),
    ("client_kernel_drops", "server_kernel_drops", |side| Figure::Count(side.kernel_drops)),
];

/// So many of these for each of those; nothing if there were none of those.
pub(crate) fn ratio(these: u64, those: u64) -> Figure {
    Figure::Number(these as f64 / those as f64)
}
