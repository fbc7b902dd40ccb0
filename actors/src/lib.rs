//! quicast: a QUIC stack whose parts are actors.
//!
//! It is the library that people add: [`Endpoint`], [`Connection`], [`SendStream`], [`RecvStream`], for any async
//! runtime. It is also where the machines of the crate `transport` get mailboxes, threads, sockets and a clock. It decides
//! nothing about the protocol: an actor here feeds its machine, drains it, sends what came out (one message to each
//! receiver), and adds up the counters. An `if` about QUIC belongs into `transport`.
//!
//! ```text
//! Warden ─▶ Shard ─▶ Socket ──▶ Dispatcher ──▶ Connection ◀──▶ Streams ─▶ Stream (long ones)
//!   (1)    (a core)    ▲            │            │  ▲   │  ▲       ▲
//!                      └─ datagrams ┴────────────┘  │   │  │       └──▶ application, through ports
//!                                   Pacer, Timer ◀──┘   └──┴──▶ Congestion
//! ```
//!
//! | Actor | owned by | holds | who holds it |
//! |---|---|---|---|
//! | `warden` | its thread | every shard | [`Endpoint`] handles, by narrow recipients |
//! | `shard` | the warden | the four single actors, and what survives them | handles, for orders to its dispatcher |
//! | `socket`, `timer`, `pacer` | the shard | nobody | the shard's actors, through `stage` |
//! | `dispatcher` | the shard | the shard's connections | likewise; other shards, to forward |
//! | `connection` | the dispatcher | its streams and its controller | those, the timer and the pacer |
//! | `streams`, `stream`, `congestion` | the connection | long streams | the connection |
//!
//! `Addr` means "I own it"; everybody else holds a `Recipient` of one message. A shard is one thread: its actors share
//! state by `Rc`, given at construction (`stage::Stage`). Nothing but forwarded datagrams and the application's orders
//! crosses threads.
//!
//! When an actor panics, its owner hears `down::Down`: a connection's actors take only their connection along
//! (`guard`), the four single actors are started anew over the same socket and routes (`shard`).
//!
//! Meet these first: [`Endpoint`], then `dispatcher/mod.rs`, `connection/mod.rs`, and any `messages.rs`.
//!
//! Tested with recorders in the place of neighbours and under paused time (at the bottom of each file), and end to end
//! over loopback (`tests/`).

pub mod api;
#[cfg(feature = "http3")]
pub mod http3;

mod alarm;
mod batch;
mod clock;
mod config;
mod congestion;
mod connection;
mod credit;
mod directory;
mod dispatcher;
mod down;
mod guard;
mod meter;
mod pacer;
mod port;
#[cfg(test)]
mod recorder;
mod shard;
mod socket;
mod stage;
mod stream;
mod streams;
mod timer;
mod turn;
mod warden;

pub use api::congestion::{CongestionReport, SetCongestionError, ShadowReport};
pub use api::connection::{Connection, ConnectionInfo, ConnectionStats, RunError, SendDatagramError};
pub use api::endpoint::{BuildError, ConnectError, Connecting, Endpoint, EndpointBuilder, RebindError};
pub use api::error::{ReadError, ReadExactError, ReadToEndError, WriteError};
pub use api::incoming::{Incoming, RetryError};
pub use api::recv_stream::RecvStream;
pub use api::send_stream::SendStream;
pub use config::RetryPolicy;

/// The names of the wire that the interface speaks of.
pub use codec::{ConnectionId, StreamId, Version};
/// The settings of connections, and the facts about them.
pub use transport::Config as TransportConfig;
pub use transport::connection::HandshakeData;
pub use transport::output::CloseReason;

/// Congestion controllers: the trait to write one's own, those that come along, rules, trials.
pub use ::congestion as controllers;
pub use ::congestion::{Algorithm, Change as CongestionChange, Order as CongestionOrder, TrialBounds, Trigger};
/// Every metric, and the registry that [`Endpoint::metrics`] gives.
pub use telemetry;
/// TLS settings for QUIC, and development certificates.
pub use tls;
