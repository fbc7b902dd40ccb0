//! Which packets arrived, which are lost, and when to ask again (RFC 9002; RFC 9000 §13).
//!
//! This crate remembers what was sent and what was received in the three packet number spaces. It is told facts and
//! answers with an [`Outcome`]. It does not know what a token stands for, how large the window is, how a frame is
//! written or what time it is: it is told.
//!
//! ```text
//! on_sent ────▶ ┌──────────┐ ─▶ Outcome: tokens acknowledged, lost, discarded ─▶ their owners
//! on_ack ─────▶ │ Recovery │ ─▶ Outcome: bytes, RTT, ECN, delivery rate ───────▶ the congestion controller
//! on_deadline ▶ └──────────┘ ─▶ Outcome: probes to send; deadline() ───────────▶ the connection and its timer
//!
//! on_packet ──▶ ┌──────────┐ ─▶ is_new(): process the packet, or drop it as a duplicate
//! end_of_turn ▶ │ Received │ ─▶ ranges(), ecn_counts(), delay(): what an ACK frame says
//!               └──────────┘ ─▶ is_ack_due(), ack_deadline(): when it has to leave
//! ```
//!
//! Meet these types first: [`Recovery`], [`SentPacket`], [`Outcome`], [`Received`], [`Rtt`].
//!
//! | RFC | where |
//! |---|---|
//! | 9002 §5 round-trip time | [`rtt`] |
//! | 9002 §6.1 loss | [`loss`], `timer.rs` |
//! | 9002 §6.2 probe timeout | `timer.rs` |
//! | 9002 §6.3, §6.4 Retry, discarded keys | [`Recovery::forget`], [`Recovery::discard`] |
//! | 9002 §7.6 persistent congestion | `persistent.rs` |
//! | 9000 §9.4 a new path | [`Recovery::restart_path`] |
//! | 9000 §13.2 generating acknowledgements | [`received`], [`ranges`] |
//! | 9000 §13.4 ECN | [`ecn`] |
//! | draft-ietf-ccwg-bbr, delivery rate samples | [`delivery`] |
//!
//! Tested by the RFCs' own examples and rules as named sentences, by properties against `rangemap`, and by random
//! histories against a model that does everything the slow way (`model.rs`).
#![no_std]

extern crate alloc;

mod acknowledge;
mod config;
pub mod delivery;
pub mod ecn;
pub mod loss;
#[cfg(test)]
mod model;
mod outcome;
mod persistent;
pub mod ranges;
pub mod received;
mod recovery;
pub mod rtt;
mod sent;
mod space;
pub mod space_id;
pub mod spaces;
#[cfg(test)]
mod tests;
mod timer;

pub use acknowledge::AckError;
pub use config::Config;
pub use delivery::DeliverySample;
pub use ecn::{Ecn, EcnCounts, EcnVerdict};
pub use outcome::Outcome;
pub use ranges::Ranges;
pub use received::Received;
pub use recovery::Recovery;
pub use rtt::Rtt;
pub use sent::SentPacket;
pub use space_id::SpaceId;
pub use spaces::Spaces;
pub use timer::{Deadline, DeadlineKind};
