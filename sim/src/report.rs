//! [`Report`]: what came of it.

use std::fmt;
use std::time::Duration;

use congestion::{Algorithm, Events};

use crate::histogram::Histogram;

/// What came of a scenario. Rates are in bytes a second.
#[derive(Clone, Debug)]
pub struct Report {
    /// How long it lasted.
    pub duration: Duration,
    /// Its seed.
    pub seed: u64,
    /// Each flow, in the order of the scenario.
    pub flows: Vec<FlowReport>,
    /// The bottleneck.
    pub link: LinkReport,
    /// Events that were simulated: what a run costs.
    pub events: u64,
}

impl Report {
    /// The share of the link that was used from the beginning to the end, from 0 to 1.
    pub fn utilisation(&self) -> f64 {
        self.link.sent_bytes as f64 / self.link.offered_bytes.max(1.0)
    }

    /// The share of the link that was used between these moments, as far as the samples tell.
    pub fn utilisation_between(&self, from: Duration, to: Duration) -> f64 {
        let series = |value: fn(&LinkSample) -> f64| {
            between(self.link.samples.iter().map(|sample| (sample.at, value(sample))), from, to)
        };
        series(|sample| sample.sent_bytes as f64) / series(|sample| sample.offered_bytes).max(1.0)
    }

    /// What all flows together had delivered between these moments, in bytes a second.
    pub fn goodput_between(&self, from: Duration, to: Duration) -> f64 {
        self.flows.iter().map(|flow| flow.goodput_between(from, to)).sum()
    }

    /// Jain's index of the flows' goodput between these moments: 1 if they are all equal, 1/n if one has all.
    pub fn fairness_between(&self, from: Duration, to: Duration) -> f64 {
        let goodput: Vec<f64> = self.flows.iter().map(|flow| flow.goodput_between(from, to)).collect();
        jain(&goodput)
    }

    /// Nothing was lost for good, no window was too small, no flow stands still.
    ///
    /// # Errors
    /// The first fault, and whose it is.
    pub fn verify(&self) -> Result<(), FlowFault> {
        for (index, flow) in self.flows.iter().enumerate() {
            if let Some(fault) = flow.faults.first() {
                return Err(FlowFault { flow: index, name: flow.name.clone(), fault: *fault });
            }
        }
        Ok(())
    }
}

/// Jain's index: the square of the sum over the number times the sum of the squares. 1 for nothing.
pub fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    if squares <= 0.0 { 1.0 } else { sum * sum / (shares.len() as f64 * squares) }
}

/// What came of a flow.
#[derive(Clone, Debug)]
pub struct FlowReport {
    /// What it is called.
    pub name: String,
    /// What controlled it at the end.
    pub algorithm: Algorithm,
    /// When it began.
    pub start: Duration,
    /// When all that it had to send was acknowledged.
    pub completed: Option<Duration>,
    /// Bytes that arrived for the first time.
    pub delivered_bytes: u64,
    /// Bytes that arrived again.
    pub repeated_bytes: u64,
    /// Packets sent.
    pub sent_packets: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes that were sent again.
    pub retransmitted_bytes: u64,
    /// Packets that the queue dropped.
    pub dropped_packets: u64,
    /// Bytes that the queue dropped.
    pub dropped_bytes: u64,
    /// Packets that were lost behind the queue.
    pub lost_packets: u64,
    /// Bytes that were lost behind the queue.
    pub lost_bytes: u64,
    /// Packets that the queue marked.
    pub marked_packets: u64,
    /// Marks that the sender heard of.
    pub reported_marks: u64,
    /// Packets that the sender declared lost.
    pub declared_lost_packets: u64,
    /// Bytes that the sender declared lost.
    pub declared_lost_bytes: u64,
    /// Packets that the sender declared lost wrongly.
    pub spurious_losses: u64,
    /// Times that nothing was heard for a probe timeout.
    pub probe_timeouts: u64,
    /// Times that congestion was persistent.
    pub persistent_congestion: u64,
    /// Turns in which the controller was told something.
    pub turns: u64,
    /// What the controller of the end counted.
    pub events: Events,
    /// The round trips, as measured at each acknowledgement.
    pub rtt: Histogram,
    /// The series, evenly spaced.
    pub samples: Vec<Sample>,
    /// Changes of controller and state, the first being the beginning.
    pub states: Vec<StateChange>,
    /// How long it was in which state.
    pub state_times: Vec<(&'static str, Duration)>,
    /// Changes of the controller.
    pub swaps: Vec<SwapReport>,
    /// What must not be.
    pub faults: Vec<Fault>,
}

impl FlowReport {
    /// What was delivered between these moments, in bytes a second: as exact as the samples are dense.
    pub fn goodput_between(&self, from: Duration, to: Duration) -> f64 {
        let series = self.samples.iter().map(|sample| (sample.at, sample.delivered_bytes as f64));
        between(series, from, to) / to.saturating_sub(from).as_secs_f64().max(1e-9)
    }

    /// The mean window between these moments, in bytes.
    pub fn mean_window_between(&self, from: Duration, to: Duration) -> f64 {
        let inside = self.samples.iter().filter(|sample| (from..=to).contains(&sample.at));
        let (count, sum) =
            inside.fold((0_u32, 0.0), |(count, sum), sample| (count + 1, sum + sample.congestion_window as f64));
        sum / f64::from(count.max(1))
    }

    /// The largest window of the samples between these moments, in bytes.
    pub fn largest_window_between(&self, from: Duration, to: Duration) -> u64 {
        let inside = self.samples.iter().filter(|sample| (from..=to).contains(&sample.at));
        inside.map(|sample| sample.congestion_window).max().unwrap_or_default()
    }

    /// Of the packets that the sender knows the fate of, the share that it declared lost.
    pub fn loss_share(&self) -> f64 {
        self.declared_lost_packets as f64 / (self.sent_packets.max(1)) as f64
    }
}

/// By how much a growing series grew between two moments; between its points it grows evenly.
fn between(series: impl Iterator<Item = (Duration, f64)> + Clone, from: Duration, to: Duration) -> f64 {
    let at = |moment: Duration| {
        let mut before = (Duration::ZERO, 0.0);
        for point in series.clone() {
            if point.0 >= moment {
                let gap = (point.0 - before.0).as_secs_f64();
                let share = if gap > 0.0 { (moment - before.0).as_secs_f64() / gap } else { 1.0 };
                return before.1 + (point.1 - before.1) * share;
            }
            before = point;
        }
        before.1
    };
    at(to) - at(from)
}

/// A flow at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When, since the beginning.
    pub at: Duration,
    /// The window in bytes.
    pub congestion_window: u64,
    /// The pacing rate in bytes a second; 0 if the window alone limits.
    pub pacing_rate: u64,
    /// Bytes in flight.
    pub bytes_in_flight: u64,
    /// The smoothed round trip; zero before the first sample.
    pub smoothed_rtt: Duration,
    /// The newest sample of the round trip.
    pub latest_rtt: Duration,
    /// Bytes that had arrived for the first time.
    pub delivered_bytes: u64,
    /// Bytes that the sender had declared lost.
    pub declared_lost_bytes: u64,
    /// The controller.
    pub controller: &'static str,
    /// What it was doing.
    pub state: &'static str,
}

/// A change of what a controller is doing, or of the controller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StateChange {
    /// When, since the beginning.
    pub at: Duration,
    /// The controller from then on.
    pub controller: &'static str,
    /// Its state from then on.
    pub state: &'static str,
}

/// What a change of the controller did.
#[derive(Clone, Copy, Debug)]
pub struct SwapReport {
    /// When, since the beginning.
    pub at: Duration,
    /// Who was replaced.
    pub from: Algorithm,
    /// By whom.
    pub to: Algorithm,
    /// The window before, in bytes.
    pub window_before: u64,
    /// The window after, in bytes.
    pub window_after: u64,
    /// The pacing rate before, in bytes a second.
    pub pacing_before: u64,
    /// The pacing rate after, in bytes a second.
    pub pacing_after: u64,
    /// Bytes in flight, before and after.
    pub bytes_in_flight: u64,
    /// A recovery period was under way.
    pub was_in_recovery: bool,
    /// The one that was replaced was in slow start.
    pub was_in_slow_start: bool,
    /// The smoothed round trip at the time.
    pub round: Duration,
    /// Bytes that left in the round trip after it.
    pub sent_in_next_round: u64,
    /// Bytes a second that arrived in the two round trips before it.
    pub goodput_before: f64,
    /// Bytes a second that arrived in the two round trips after it; 0 if it ended, or another swap came, before them.
    pub goodput_after: f64,
}

/// The bottleneck's part.
#[derive(Clone, Debug)]
pub struct LinkReport {
    /// Bytes that it sent, whether they arrived or not.
    pub sent_bytes: u64,
    /// Bytes that it could have sent.
    pub offered_bytes: f64,
    /// The most bytes that waited at once.
    pub most_queued: u64,
    /// How long packets waited that were not sent as ECT(1).
    pub classic_wait: Histogram,
    /// How long packets waited that were sent as ECT(1).
    pub low_latency_wait: Histogram,
    /// The series, evenly spaced.
    pub samples: Vec<LinkSample>,
}

/// The bottleneck at a moment.
#[derive(Clone, Copy, Debug)]
pub struct LinkSample {
    /// When, since the beginning.
    pub at: Duration,
    /// Bytes that waited.
    pub queued_bytes: u64,
    /// Its rate in bytes a second.
    pub rate: u64,
    /// Bytes that it had sent.
    pub sent_bytes: u64,
    /// Bytes that it could have sent.
    pub offered_bytes: f64,
}

/// What must not be, whatever the controller does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// A piece of data is not acknowledged, in no packet, and does not wait to be sent again.
    Forgotten {
        /// Its number.
        piece: u64,
    },
    /// All was acknowledged, but not all arrived.
    Missing {
        /// How much is missing.
        bytes: u64,
    },
    /// Data waits, nothing is in flight, and nothing will ever wake the sender.
    Stalled {
        /// How much waits.
        bytes: u64,
    },
    /// The window was below two datagrams.
    WindowBelowMinimum {
        /// When, since the beginning.
        at: Duration,
        /// The window in bytes.
        window: u64,
    },
    /// A change of the controller changed what is in flight.
    SwapChangedInFlight {
        /// When, since the beginning.
        at: Duration,
    },
}

/// A fault and the flow that has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FlowFault {
    /// The place of the flow.
    pub flow: usize,
    /// What it is called.
    pub name: String,
    /// The fault.
    pub fault: Fault,
}

impl fmt::Display for FlowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flow {} ({}): {:?}", self.flow, self.name, self.fault)
    }
}

impl std::error::Error for FlowFault {}
