//! What came of a simulation: a table for people, or one line of JSON.

use std::fmt;
use std::time::Duration;

use ::sim::{Discipline, FlowReport, Histogram, Loss, MILLION, Report, Scenario, SwapReport};
use serde::Serialize;
use serde_json::{Value, json};

use crate::units;

/// A simulation that is over.
pub(super) struct Told<'a> {
    scenario: &'a Scenario,
    report: &'a Report,
}

impl<'a> Told<'a> {
    pub(super) const fn new(scenario: &'a Scenario, report: &'a Report) -> Self {
        Self { scenario, report }
    }

    /// From when to when a flow had something to say.
    fn span(&self, place: usize) -> (Duration, Duration) {
        let (Some(flow), Some(report)) = (self.scenario.flows.get(place), self.report.flows.get(place)) else {
            return (Duration::ZERO, self.report.duration);
        };
        let stop = flow.stop.unwrap_or(self.report.duration).min(self.report.duration);
        (flow.start.min(stop), report.completed.unwrap_or(stop).min(self.report.duration))
    }

    /// Bytes a second while it had something to say.
    fn goodput(&self, place: usize) -> f64 {
        let (from, to) = self.span(place);
        let delivered = self.report.flows.get(place).map_or(0, |flow| flow.delivered_bytes);
        delivered as f64 / to.saturating_sub(from).as_secs_f64().max(1e-9)
    }

    /// While all of the flows had something to say, how equal they were; `None` if that is never.
    fn fairness(&self) -> Option<(f64, Duration, Duration)> {
        let spans = (0..self.report.flows.len()).map(|place| self.span(place));
        let both = spans.reduce(|all, one| (all.0.max(one.0), all.1.min(one.1)))?;
        let is_worth_it = self.report.flows.len() > 1 && both.1 > both.0;
        is_worth_it.then(|| (self.report.fairness_between(both.0, both.1), both.0, both.1))
    }

    /// The same as one value, with as many samples as were taken.
    pub(super) fn json(&self, samples: u32) -> Value {
        let Self { scenario, report } = self;
        let flows: Vec<Value> = (0..).zip(&report.flows).map(|(place, flow)| self.flow_json(place, flow)).collect();
        let link = &report.link;
        let series: Vec<LinkPoint> = link
            .samples
            .iter()
            .map(|sample| LinkPoint {
                seconds: sample.at.as_secs_f64(),
                queued_bytes: sample.queued_bytes,
                rate_bytes_per_second: sample.rate,
            })
            .collect();
        json!({
            "workload": "sim",
            "seed": report.seed,
            "seconds": report.duration.as_secs_f64(),
            "samples": samples,
            "utilisation": report.utilisation(),
            "fairness": self.fairness().map(|(fairness, _, _)| fairness),
            "link": {
                "rate_bytes_per_second": scenario.link.rate,
                "round_trip_seconds": scenario.link.round_trip.as_secs_f64(),
                "queue_bytes": scenario.link.queue,
                "aqm": scenario.link.discipline.name(),
                "sent_bytes": link.sent_bytes,
                "most_queued_bytes": link.most_queued,
                "classic_wait": times(&link.classic_wait),
                "low_latency_wait": times(&link.low_latency_wait),
                "series": series,
            },
            "flows": flows,
        })
    }

    fn flow_json(&self, place: usize, flow: &FlowReport) -> Value {
        let states = flow.state_times.iter().map(|(state, time)| ((*state).to_owned(), json!(time.as_secs_f64())));
        let mut goodput = (Duration::ZERO, 0);
        let points = flow.samples.iter().map(|sample| {
            let took = sample.at.saturating_sub(goodput.0).as_secs_f64();
            let bytes = sample.delivered_bytes.saturating_sub(goodput.1);
            goodput = (sample.at, sample.delivered_bytes);
            FlowPoint {
                seconds: sample.at.as_secs_f64(),
                window_bytes: sample.congestion_window,
                pacing_bytes_per_second: sample.pacing_rate,
                in_flight_bytes: sample.bytes_in_flight,
                rtt_seconds: sample.smoothed_rtt.as_secs_f64(),
                goodput_bytes_per_second: if took > 0.0 { bytes as f64 / took } else { 0.0 },
                controller: sample.controller,
                state: sample.state,
            }
        });
        let points: Vec<FlowPoint> = points.collect();
        json!({
            "name": flow.name,
            "controller": flow.algorithm.to_string(),
            "completed_seconds": flow.completed.map(|time| time.as_secs_f64()),
            "goodput_bytes_per_second": self.goodput(place),
            "delivered_bytes": flow.delivered_bytes,
            "sent_bytes": flow.sent_bytes,
            "sent_packets": flow.sent_packets,
            "retransmitted_bytes": flow.retransmitted_bytes,
            "declared_lost_packets": flow.declared_lost_packets,
            "spurious_losses": flow.spurious_losses,
            "dropped_packets": flow.dropped_packets,
            "lost_packets": flow.lost_packets,
            "marked_packets": flow.marked_packets,
            "probe_timeouts": flow.probe_timeouts,
            "persistent_congestion": flow.persistent_congestion,
            "turns": flow.turns,
            "rtt": times(&flow.rtt),
            "state_seconds": states.collect::<serde_json::Map<String, Value>>(),
            "swaps": flow.swaps.iter().map(swap_json).collect::<Vec<Value>>(),
            "series": points,
        })
    }

    fn write_link(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = &self.scenario.link;
        let product = link.bandwidth_delay_product();
        let queue = if product > 0 {
            format!("{} ({:.2} bdp)", units::bytes(link.queue), link.queue as f64 / product as f64)
        } else {
            units::bytes(link.queue)
        };
        let rate = units::rate(link.rate as f64 * 8.0);
        write!(f, "link      {rate}, {}, queue {queue}, {}", units::time(link.round_trip), name(link.discipline))?;
        let percent = |millionths: u32| f64::from(millionths) * 100.0 / f64::from(MILLION);
        match link.loss {
            Loss::Random(millionths) if millionths > 0 => write!(f, ", loss {}%", percent(millionths))?,
            Loss::Bursts { to_bad, to_good, .. } => {
                let share = f64::from(to_bad) / f64::from((to_bad + to_good).max(1)) * 100.0;
                let length = f64::from(MILLION) / f64::from(to_good.max(1));
                write!(f, ", loss {share:.2}% in bursts of {length:.0}")?;
            }
            _ => {}
        }
        if !link.jitter.is_zero() {
            write!(f, ", jitter {}", units::time(link.jitter))?;
        }
        writeln!(f)?;
        let (seconds, seed) = (units::time(self.report.duration), self.report.seed);
        writeln!(f, "time      {seconds}, seed {seed}")?;
        write!(f, "used      {:.1} %", self.report.utilisation() * 100.0)?;
        let link = &self.report.link;
        for (what, wait) in [("queue", &link.classic_wait), ("low-latency queue", &link.low_latency_wait)] {
            if wait.count() > 0 {
                let (mean, p99) = (units::time(wait.mean()), units::time(wait.quantile(0.99)));
                write!(f, "; {what}: {mean} on average, p99 {p99}")?;
            }
        }
        writeln!(f)?;
        if let Some((fairness, from, to)) = self.fairness() {
            let (from, to) = (units::time(from), units::time(to));
            writeln!(f, "fairness  {fairness:.3} (Jain, {from} to {to})")?;
        }
        Ok(())
    }

    fn write_flows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.report.flows.iter().map(|flow| flow.name.chars().count()).max().unwrap_or(0).max(4);
        writeln!(
            f,
            "\n{:width$}  {:>12}  {:>6}  {:>7}  {:>7}  {:>8}  {:>8}  {:>7}  {:>8}",
            "flow", "goodput", "share", "lost", "again", "RTT p50", "RTT p99", "marked", "done"
        )?;
        let total: f64 = (0..self.report.flows.len()).map(|place| self.delivered(place)).sum();
        for (place, flow) in (0..).zip(&self.report.flows) {
            let percent = |part: u64, of: u64| format!("{:.2} %", part as f64 * 100.0 / of.max(1) as f64);
            let share = format!("{:.1} %", self.delivered(place) * 100.0 / total.max(1.0));
            writeln!(
                f,
                "{:width$}  {:>12}  {share:>6}  {:>7}  {:>7}  {:>8}  {:>8}  {:>7}  {:>8}",
                flow.name,
                units::rate(self.goodput(place) * 8.0),
                percent(flow.declared_lost_packets, flow.sent_packets),
                percent(flow.retransmitted_bytes, flow.sent_bytes),
                units::time(flow.rtt.quantile(0.5)),
                units::time(flow.rtt.quantile(0.99)),
                percent(flow.marked_packets, flow.sent_packets),
                flow.completed.map_or_else(|| "-".to_owned(), units::time),
            )?;
        }
        writeln!(f)?;
        for flow in &self.report.flows {
            let total: Duration = flow.state_times.iter().map(|(_, time)| *time).sum();
            let states = flow.state_times.iter().map(|(state, time)| {
                format!("{state} {:.0} %", time.as_secs_f64() * 100.0 / total.as_secs_f64().max(1e-9))
            });
            write!(f, "{:width$}  {}", flow.name, states.collect::<Vec<_>>().join(", "))?;
            let counts = [
                (flow.probe_timeouts, "probe timeouts"),
                (flow.persistent_congestion, "times persistent congestion"),
                (flow.spurious_losses, "spurious losses"),
            ];
            for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
                write!(f, "; {count} {what}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    fn write_swaps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for flow in &self.report.flows {
            for swap in flow.swaps.iter().take(MOST_SWAPS) {
                write_swap(f, &flow.name, swap)?;
            }
            if flow.swaps.len() > MOST_SWAPS {
                writeln!(f, "swap      {}: {} more (all of them: --json)", flow.name, flow.swaps.len() - MOST_SWAPS)?;
            }
        }
        Ok(())
    }

    fn delivered(&self, place: usize) -> f64 {
        self.report.flows.get(place).map_or(0.0, |flow| flow.delivered_bytes as f64)
    }
}

/// So many swaps of a flow are told one by one.
const MOST_SWAPS: usize = 10;

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the last end of line, which whoever prints adds.
        let mut text = String::new();
        {
            use fmt::Write as _;
            write!(text, "{}", Lines(self))?;
        }
        f.write_str(text.trim_end())
    }
}

struct Lines<'a>(&'a Told<'a>);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_link(f)?;
        self.0.write_flows(f)?;
        self.0.write_swaps(f)
    }
}

fn write_swap(f: &mut fmt::Formatter<'_>, name: &str, swap: &SwapReport) -> fmt::Result {
    let (at, from, to) = (units::time(swap.at), swap.from, swap.to);
    let (before, after) = (units::bytes(swap.window_before), units::bytes(swap.window_after));
    let in_flight = units::bytes(swap.bytes_in_flight);
    write!(f, "swap      {name} at {at}: {from} to {to}, window {before} to {after}, {in_flight} in flight")?;
    if swap.goodput_after > 0.0 {
        let (before, after) = (units::rate(swap.goodput_before * 8.0), units::rate(swap.goodput_after * 8.0));
        write!(f, ", two round trips before {before}, after {after}")?;
    }
    writeln!(f, "{}", if swap.was_in_recovery { ", in recovery" } else { "" })
}

fn swap_json(swap: &SwapReport) -> Value {
    json!({
        "seconds": swap.at.as_secs_f64(),
        "from": swap.from.to_string(),
        "to": swap.to.to_string(),
        "window_before_bytes": swap.window_before,
        "window_after_bytes": swap.window_after,
        "in_flight_bytes": swap.bytes_in_flight,
        "was_in_recovery": swap.was_in_recovery,
        "was_in_slow_start": swap.was_in_slow_start,
        "sent_in_next_round_bytes": swap.sent_in_next_round,
        "goodput_before_bytes_per_second": swap.goodput_before,
        "goodput_after_bytes_per_second": swap.goodput_after,
    })
}

fn times(histogram: &Histogram) -> Value {
    if histogram.count() == 0 {
        return Value::Null;
    }
    let seconds = |share: f64| histogram.quantile(share).as_secs_f64();
    json!({
        "least_seconds": histogram.least().as_secs_f64(),
        "mean_seconds": histogram.mean().as_secs_f64(),
        "p50_seconds": seconds(0.5),
        "p90_seconds": seconds(0.9),
        "p99_seconds": seconds(0.99),
        "most_seconds": histogram.most().as_secs_f64(),
    })
}

const fn name(discipline: Discipline) -> &'static str {
    match discipline {
        Discipline::DropTail => "drop-tail",
        Discipline::CoDel { ecn: false, .. } => "CoDel",
        Discipline::CoDel { ecn: true, .. } => "CoDel with ECN",
        Discipline::DualQueue { .. } => "dual queue",
    }
}

#[derive(Serialize)]
struct LinkPoint {
    seconds: f64,
    queued_bytes: u64,
    rate_bytes_per_second: u64,
}

#[derive(Serialize)]
struct FlowPoint {
    seconds: f64,
    window_bytes: u64,
    pacing_bytes_per_second: u64,
    in_flight_bytes: u64,
    rtt_seconds: f64,
    goodput_bytes_per_second: f64,
    controller: &'static str,
    state: &'static str,
}
