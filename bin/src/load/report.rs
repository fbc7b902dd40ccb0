//! What a run was like.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quicast::ConnectionInfo;

use super::arguments::{Arrivals, Load};
use super::plan::{Plan, Slot};
use super::tally::{Fault, Tally};
use crate::perf::latency::Latency;
use crate::perf::measure;
use crate::perf::report::{Figure, Report};
use crate::perf::statistics::Statistics;

/// Everything that is known of a run.
pub(super) struct Run<'a> {
    pub(super) arguments: &'a Load,
    pub(super) plan: &'a Plan,
    pub(super) slots: &'a [Arc<Slot>],
    pub(super) tally: &'a Tally,
    /// When the last request had its end.
    pub(super) ended: Instant,
    /// What this process used and counted.
    pub(super) client: Statistics,
    /// Each slot's last connection.
    pub(super) connections: &'a [ConnectionInfo],
}

/// The names of percentiles, of the whole time and of that to the head.
const PERCENTILES: [(f64, &str, &str); 5] = [
    (50.0, "p50_us", "first_byte_p50_us"),
    (90.0, "p90_us", "first_byte_p90_us"),
    (99.0, "p99_us", "first_byte_p99_us"),
    (99.9, "p999_us", "first_byte_p999_us"),
    (100.0, "max_us", "first_byte_max_us"),
];

impl Run<'_> {
    /// How long it was measured.
    fn seconds(&self) -> f64 {
        self.ended.saturating_duration_since(self.plan.measured_from).as_secs_f64()
    }

    /// Requests that were due, or asked for, and not begun.
    pub(super) fn not_begun(&self) -> u64 {
        let now = self.ended.saturating_duration_since(self.plan.began);
        let scheduled = self.slots.iter().filter_map(|slot| slot.schedule.as_ref());
        let scheduled: u64 = scheduled.map(|schedule| schedule.lock().rest(now)).sum();
        scheduled + self.plan.tickets.as_ref().map_or(0, super::plan::Tickets::left)
    }

    pub(super) fn title(&self) -> String {
        let Load { connections, streams, rate, .. } = self.arguments;
        match rate {
            Some(rate) => format!("Latency of HTTP/3 requests, {rate} a second on {connections} connections"),
            None => format!("Latency of HTTP/3 requests, {connections} connections with {streams} streams"),
        }
    }

    pub(super) fn report(&self) -> Report {
        let (tally, seconds) = (self.tally, self.seconds());
        let each = |total: f64| total / tally.answered as f64;
        let mut report = Report::new("load")
            .with("seconds", Figure::Seconds(seconds))
            .with("connections", Figure::Count(self.arguments.connections.into()))
            .with("streams", Figure::Count(self.arguments.streams.into()));
        if let Some(rate) = self.arguments.rate {
            let arrivals = match self.arguments.arrivals {
                Arrivals::Constant => "constant",
                Arrivals::Poisson => "poisson",
            };
            report = report.with("rate", Figure::Number(rate)).with("arrivals", Figure::Words(arrivals));
        }
        report = report
            .with("requests", Figure::Count(tally.begun))
            .with("answers", Figure::Count(tally.answered))
            .with("requests_per_second", Figure::Number(tally.answered as f64 / seconds))
            .with("bytes", Figure::Bytes(tally.bytes))
            .with("bytes_per_second", Figure::BytesPerSecond(tally.bytes as f64 / seconds));
        report = add_latency(report, &tally.total, |(_, total, _)| total);
        report = add_latency(report, &tally.first, |(_, _, first)| first);
        report = self.add_ends(report);
        report = self.add_connections(report);
        report = report
            .with("client_cpu_seconds", Figure::Seconds(self.client.cpu_seconds))
            .with("client_cpu_us_per_request", Figure::Microseconds(each(self.client.cpu_seconds * 1e6)));
        measure::add_client(report, &self.client)
    }

    /// What became of requests.
    fn add_ends(&self, mut report: Report) -> Report {
        let tally = self.tally;
        let names = ["status_1xx", "status_2xx", "status_3xx", "status_4xx", "status_5xx"];
        for (name, count) in names.into_iter().zip(tally.statuses).skip(1) {
            report = report.with(name, Figure::Count(count));
        }
        report = report.with("failed", Figure::Count(tally.failed()));
        for (fault, name) in Fault::ALL {
            let count = tally.faults.get(fault as usize).copied().unwrap_or(0);
            if count > 0 {
                report = report.with(name, Figure::Count(count));
            }
        }
        report = report.with("not_begun", Figure::Count(self.not_begun()));
        if self.arguments.rate.is_some() {
            report = report
                .with("begun_late", Figure::Count(tally.late))
                .with("begun_late_max_us", Figure::Microseconds(tally.latest.as_secs_f64() * 1e6));
        }
        for (name, count) in [("retried", tally.retried), ("unfinished", tally.unfinished())] {
            if count > 0 {
                report = report.with(name, Figure::Count(count));
            }
        }
        report
    }

    /// What became of connections.
    fn add_connections(&self, report: Report) -> Report {
        let count = |counter: &AtomicU64| Figure::Count(counter.load(Ordering::Relaxed));
        let counts = &self.plan.connections;
        let number = u32::try_from(self.connections.len()).unwrap_or(u32::MAX).max(1);
        let mean = self.connections.iter().map(|info| info.smoothed_rtt).sum::<Duration>() / number;
        let least = self.connections.iter().map(|info| info.minimum_rtt).min();
        let microseconds = |time: Duration| Figure::Microseconds(time.as_secs_f64() * 1e6);
        report
            .with("connections_opened", count(&counts.opened))
            .with("connections_lost", count(&counts.lost))
            .with("connections_reopened", count(&counts.reopened))
            .with("connections_failed", count(&counts.failed))
            .with("rtt_us", microseconds(mean))
            .maybe("rtt_min_us", least.map(microseconds))
    }
}

fn add_latency(
    mut report: Report,
    latency: &Latency,
    name: impl Fn((f64, &'static str, &'static str)) -> &'static str,
) -> Report {
    for percentile in PERCENTILES {
        report = report.maybe(name(percentile), latency.percentile(percentile.0).map(Figure::Microseconds));
    }
    report
}
