//! HTTP/3 (RFC 9114) and QPACK (RFC 9204) over any transport that has streams.
//!
//! This crate knows no QUIC packets, no clock, no sockets and no actors: bytes of streams go in, what they mean comes out.

pub mod capsule;
pub mod datagram;
pub mod error;
pub mod frame;
mod grease;
pub mod limits;
pub mod message;
pub mod priority;
pub mod qpack;
pub mod settings;

pub use error::{Code, ConnectionError, Error, StreamError};
pub use grease::Grease;
pub use limits::Limit;
pub use priority::Priority;
pub use settings::Settings;
