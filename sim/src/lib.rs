//! Congestion control over a simulated bottleneck: packets in virtual time, and everything from a seed.
//!
//! One link that several flows share, with a queue that drops, delays or marks. Each flow is a sender with the real
//! `recovery` and the real `congestion` (controller and pacer), joined as `transport` joins them, and a receiver that
//! acknowledges as RFC 9000 §13.2 says. Streams, TLS and wire formats but the ACK frame are left out: bytes are numbers.
//!
//! ```text
//!  Application ─ bytes ─▶ Sender: recovery, Controller, Pacer ─▶ Bottleneck: queue, rate, loss ─▶ Pipe ─▶ Receiver
//!                            ▲                                                                              │
//!                            └───────────────────────────── Pipe ◀─ ACK frames ─────────────────────────────┘
//! ```
//!
//! Meet these types first: [`Scenario`] (a [`Link`], some [`Flow`]s, a seed), [`Report`] (what came of it), [`Simulation`]
//! (for who wants to look in between).
//!
//! ```
//! use std::time::Duration;
//! use quicast_sim::{Flow, Link, Scenario, megabits};
//! # use congestion::Algorithm;
//!
//! let link = Link::new(megabits(50), Duration::from_millis(50)).with_queue_of(1.0);
//! let report = Scenario::new(link).with(Flow::new(Algorithm::CUBIC)).run();
//! assert!(report.verify().is_ok() && report.utilisation() > 0.9);
//! ```
//!
//! No clock, no I/O, no threads: the same scenario with the same seed is the same to the nanosecond.

mod agenda;
mod bottleneck;
mod chance;
mod flow;
mod histogram;
mod link;
mod packet;
mod pipe;
mod queue;
mod report;
mod scenario;
mod simulation;
#[cfg(test)]
mod tests;

pub use chance::MILLION;
pub use flow::Turn;
pub use histogram::Histogram;
pub use link::{Change, Discipline, Link, Loss, megabits};
pub use report::{Fault, FlowFault, FlowReport, LinkReport, LinkSample, Report, Sample, StateChange, SwapReport, jain};
pub use scenario::{Flow, Host, MAXIMUM_SAMPLES, Scenario, Source, Swap};
pub use simulation::Simulation;
