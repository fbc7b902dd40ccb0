//! Every metric this project exports: its name, its help text, its labels, once, here.
//!
//! It is not a place where anything is measured or decided: machines count in plain integers, actors add them up once a
//! turn, and this crate says what the sums are called and keeps them.
//!
//! ```text
//! a layer's table ─▶ handles, by shard ──(once a turn)──▶ Registry ──(a scrape)──▶ text for Prometheus
//!        └─────────▶ docs/metrics.md, the golden list
//! ```
//! Meet these first: [`Registry`] holds every series of an endpoint and renders them; [`ShardMetrics`] is all handles of
//! one shard; [`socket::SocketMetrics`] shows what a layer's table looks like; [`family::Family`] is a metric with labels.
//!
//! | Question | Where |
//! |---|---|
//! | a new metric | one row in its layer's table |
//! | a new label value | one variant in its `label!` set |
//! | a new layer | a module with a table, and its line in `catalogue.rs` and in [`ShardMetrics`] |
//! | what a turn calls | [`handle`] |
//! | the text that is scraped | `exposition.rs` |
//! | what may stand still, and why | [`still`] |
//!
//! The crates that count do not know this one. A process that has a recorder of its own gives that to
//! [`ShardMetrics::new`] instead of a [`Registry`].
//!
//! Tested by a golden list of all names, types, labels and help (`tests/names.rs`), by rendering what was counted, and by
//! the end-to-end tests, which ask [`Registry::unmoved`] at their end.

mod catalogue;
mod cell;
mod exposition;
mod layer;
mod registry;

pub mod actor;
pub mod admin;
pub mod codec;
pub mod congestion;
pub mod connection;
pub mod dispatcher;
pub mod family;
pub mod handle;
pub mod http;
pub mod http3;
pub mod labels;
pub mod metric;
pub mod pacer;
pub mod path;
pub mod process;
pub mod qpack;
pub mod recovery;
pub mod runtime;
pub mod socket;
pub mod still;
pub mod stream;
pub mod timer;
pub mod tls;

pub use catalogue::{all, golden, page};
pub use family::{Family, Label, PerShard};
pub use handle::{Counter, Gauge, Histogram, Level, Peak, Seconds, Share};
pub use metric::{Kind, Metric};
pub use metrics::Recorder;
pub use registry::{AlreadyInstalled, Build, Registry, Setup};

/// The most series an endpoint may have, however many shards and certificates it has: HTTP/3 and QPACK are the last layers.
pub const SERIES_LIMIT: usize = 2_200;

/// All handles of one shard. Its actors share it behind an `Rc` or an `Arc`.
///
/// Making it looks up every series by name; holding it costs nothing.
#[derive(Debug)]
#[expect(missing_docs, reason = "each field is the layer of its name")]
pub struct ShardMetrics {
    pub socket: socket::SocketMetrics,
    pub dispatcher: dispatcher::DispatcherMetrics,
    pub tls: tls::TlsMetrics,
    pub codec: codec::CodecMetrics,
    pub recovery: recovery::RecoveryMetrics,
    pub congestion: congestion::CongestionMetrics,
    pub pacer: pacer::PacerMetrics,
    pub timer: timer::TimerMetrics,
    pub path: path::PathMetrics,
    pub connection: connection::ConnectionMetrics,
    pub stream: stream::StreamMetrics,
    pub http3: http3::Http3Metrics,
    pub qpack: qpack::QpackMetrics,
    pub actor: actor::ActorMetrics,
    pub runtime: runtime::RuntimeMetrics,
}

impl ShardMetrics {
    /// Asks a [`Registry`], or any other recorder, for the handles of a shard.
    pub fn new(recorder: &dyn Recorder, shard: usize) -> Self {
        Self {
            socket: socket::SocketMetrics::new(recorder, shard),
            dispatcher: dispatcher::DispatcherMetrics::new(recorder, shard),
            tls: tls::TlsMetrics::new(recorder, shard),
            codec: codec::CodecMetrics::new(recorder, shard),
            recovery: recovery::RecoveryMetrics::new(recorder, shard),
            congestion: congestion::CongestionMetrics::new(recorder, shard),
            pacer: pacer::PacerMetrics::new(recorder, shard),
            timer: timer::TimerMetrics::new(recorder, shard),
            path: path::PathMetrics::new(recorder, shard),
            connection: connection::ConnectionMetrics::new(recorder, shard),
            stream: stream::StreamMetrics::new(recorder, shard),
            http3: http3::Http3Metrics::new(recorder, shard),
            qpack: qpack::QpackMetrics::new(recorder, shard),
            actor: actor::ActorMetrics::new(recorder, shard),
            runtime: runtime::RuntimeMetrics::new(recorder, shard),
        }
    }
}
