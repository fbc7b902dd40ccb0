//! The test bench: connections joined without sockets, clocks or threads, in virtual time.
//!
//! **What it is.** Everything that the tests of more than one crate share. **What it isn't**: nothing here is part of
//! quicast; it may panic, and does, when a promise is broken.
//!
//! ```text
//!  Application ─ writes, reads ─▶ Streams ─▶ Connection ─▶ Host ─▶ datagrams ─▶ Pair     (no delay, no loss)
//!                                                                          └──▶ Network  (anything may happen)
//! ```
//!
//! | Module | What |
//! |---|---|
//! | [`endpoint`] | a node: a connection with its stream buffers and its congestion controller, driven as the actors do it |
//! | [`application`] | what runs on a node: sends patterns, echoes, checks every byte |
//! | [`congestion`] | paths and bounds for controllers over the simulated bottleneck |
//! | [`host`] | an address with a router and any number of nodes; a server accepts |
//! | [`pair`] | two hosts, datagrams carried at once or after a fixed delay |
//! | [`network`] | two hosts and everything that can go wrong between them, from a seed |
//! | [`puppet`] | a peer that says whatever a test wants it to say |
//! | [`seeds`] | many seeds on all cores, the failing one named; `SIM_SEED`, `SIM_SEEDS` |
//!
//! Meet these types first: [`Pair`], [`Network`], [`Node`], [`Application`], [`Puppet`].
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test bench panics where a promise is broken")]

pub mod application;
pub mod congestion;
pub mod endpoint;
pub mod host;
pub mod network;
pub mod pair;
pub mod puppet;
pub mod seeds;
pub mod settings;

pub use application::{Application, Plan};
pub use endpoint::{Datagram, Node};
pub use host::Host;
pub use network::{Conditions, Network, Weather};
pub use pair::Pair;
pub use puppet::Puppet;
pub use seeds::{for_each_seed, for_seeds, is_full};
pub use settings::{Settings, credentials};
