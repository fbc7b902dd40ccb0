//! HTTP/3 (RFC 9114) and QPACK (RFC 9204) over any transport that has streams.
//!
//! This crate knows no QUIC packets, no clock, no sockets and no actors: bytes of streams go in, what they mean comes out.
//!
//! ```text
//! in   bytes of a stream ─ frame ─▶ field section ─ qpack ─▶ field lines ─ message ─▶ http::Request, http::Response
//!                                └▶ DATA, as slices
//! out  http::Request, http::Response ─ message ─▶ field lines ─ qpack ─▶ section ─ frame ─▶ bytes of a stream
//! ```
//!
//! Begin with [`Connection`]: one machine for both roles, which joins the others. [`Output`] is what it wants done, and
//! [`Event`] what it tells. Errors are of two types: a [`StreamError`] ends one request, a [`ConnectionError`] all of them.
//! What a peer may make us keep or do is bounded in [`limits`].
//!
//! | RFC | here |
//! |---|---|
//! | 9114 §4 | [`message`] |
//! | 9114 §5, §6 | [`connection`] |
//! | 9114 §7.1, §7.2 | [`frame`]; [`legality`]: which is permitted where |
//! | 9114 §7.2.4, 9220 §3 | [`settings`] |
//! | 9114 §8 | [`error`] |
//! | 9114 §10.5 | [`limits`] |
//! | 9204 | [`qpack`] |
//! | 9218 | [`priority`] |
//! | 9297 §2; §3 | [`datagram`]; [`capsule`] |

pub mod capsule;
pub mod config;
pub mod connection;
pub mod datagram;
pub mod error;
pub mod frame;
mod grease;
pub mod legality;
pub mod limits;
mod load;
pub mod message;
mod outbox;
pub mod output;
pub mod priority;
pub mod qpack;
pub mod settings;
pub mod stats;

pub use config::Config;
pub use connection::Connection;
pub use error::{Code, ConnectionError, Error, StreamError};
pub use grease::Grease;
pub use limits::Limit;
pub use output::{EndReason, Event, Opening, Output, RequestFailure, RequestKey};
pub use priority::Priority;
pub use settings::Settings;
pub use stats::Stats;
