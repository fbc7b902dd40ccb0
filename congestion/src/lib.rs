//! How much may be in flight, and when the next byte may leave (RFC 9002 §7, RFC 9438, RFC 9406).
//!
//! A [`Controller`] hears once a turn what the path did (bytes acknowledged, lost, marked, and how long they took) and keeps
//! one number: the window. A [`Pacer`] spreads that window over time. Neither sees a packet, a clock or a socket.
//!
//! What it isn't: it does not decide which packet is lost (that is `recovery`), does not hold packets back (that is the
//! connection), and has no randomness but a seed's, no allocation per turn or lock. Floating point is in [`pcc`] only, whose
//! utility is not made for integers.
//!
//! ```text
//!  acknowledgements, losses, marks                         bytes that leave
//!        │ one Observed a turn                                    │
//!        ▼                                                        ▼
//!   Controller ── Window { congestion_window, pacing_rate, quantum } ─▶ Pacer ─▶ "n bytes now" or "not before t"
//!        │
//!        └── Snapshot ─▶ Algorithm::start_from ─▶ another Controller, in the middle of the connection
//! ```
//!
//! Meet these types first: [`Controller`] (the trait), [`Observed`] (all it ever hears), [`Window`] (all it ever says),
//! [`Snapshot`] (what it hands to its successor), [`Algorithm`] (who can be asked for by name).
//!
//! To add an algorithm: implement [`Controller`], building on [`PathModel`] and [`RecoveryPeriod`] where they fit, run it
//! through [`conformance::check`], and, if it lives here, add a line to `algorithm/built_in.rs`; your own, write a [`Factory`]
//! for it and [`register`](Registry::register) that.
//!
//! | Specification | Where |
//! |---|---|
//! | RFC 9002 §7.2 initial and minimum window, §7.3 states, §7.6 persistent congestion | [`new_reno`], [`recovery_period`] |
//! | RFC 9002 §7.7 pacing | [`window`] (the rate), [`pacer`] (the bucket) |
//! | RFC 9002 §7.8 an underused window does not grow | [`path_model`] |
//! | RFC 9438 CUBIC | [`cubic`] |
//! | RFC 9406 HyStart++ | [`hystart`] |
//! | draft-ietf-ccwg-bbr BBRv3 | [`bbr`] |
//! | Arun, Balakrishnan, Copa, NSDI 2018 | [`copa`] |
//! | Dong et al., PCC Vivace, NSDI 2018 | [`pcc`] |
//! | RFC 9331 and draft-briscoe-iccrg-prague-congestion-control, Prague for L4S | [`prague`] |
//! | RFC 6817 and draft-irtf-iccrg-ledbat-plus-plus, LEDBAT++ | [`ledbat`] |
//! | no specification: a constant window for tests | [`fixed`] |
//!
//! Tested against points of the RFC's own formulas, by properties over arbitrary schedules and arbitrary [`Observed`],
//! and by running every algorithm over a modelled bottleneck (`src/bottleneck.rs`).
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod algorithm;
mod arithmetic;
pub mod bbr;
mod chance;
pub mod chronicle;
pub mod conformance;
mod controller;
pub mod copa;
pub mod cubic;
pub mod fixed;
pub mod hystart;
pub mod ledbat;
pub mod new_reno;
mod observed;
pub mod pacer;
pub mod path_model;
pub mod pcc;
pub mod prague;
pub mod recovery_period;
pub mod rule;
mod scaled;
mod snapshot;
pub mod window;

#[cfg(test)]
mod bottleneck;

pub use algorithm::{
    Algorithm, AlgorithmError, Factory, InitialConditions, MAXIMUM_PARAMETERS, Parameter, Parameters, RegisterError,
    Registry, Unit, UnknownName,
};
pub use bbr::Bbr;
pub use chronicle::{Cause, Change, Chronicle, Order, Rates, TrialBounds, Trigger, Verdict};
pub use controller::{Controller, Events, Marking};
pub use copa::Copa;
pub use cubic::Cubic;
pub use fixed::Fixed;
pub use ledbat::Ledbat;
pub use new_reno::NewReno;
pub use observed::{Delivery, Observed, RttView};
pub use pacer::Pacer;
pub use path_model::PathModel;
pub use pcc::Pcc;
pub use prague::Prague;
pub use recovery_period::{RecoveryPeriod, Signal};
pub use rule::{Facts, Rule, Rules, Selector};
pub use snapshot::Snapshot;
pub use window::{MINIMUM_DATAGRAM_SIZE, Window, initial_window, minimum_window};
