//! The QUIC machines (RFC 9000): a router, a connection, the two halves of a stream, without sockets, clocks or threads.
//!
//! Everything is driven the same way: call a `handle_*` method with what happened and when, then drain every
//! `poll_*` until it returns `None`. **Always drain completely before the next `handle_*`.**

pub mod accept;
pub mod address_tokens;
pub mod config;
pub mod connection;
mod datagrams;
pub mod endpoint;
pub mod error;
pub mod flow;
pub mod lazy;
pub mod limits;
pub mod local_ids;
pub mod output;
pub mod path;
pub mod peer_ids;
pub mod random;
pub mod reset;
pub mod router;
pub mod stats;
pub mod stream;
pub mod token;
pub mod version_negotiation;
pub mod wheel;

pub use config::Config;
pub use connection::Connection;
pub use datagrams::SendDatagramError;
pub use error::TransportError;
pub use token::{Token, Tokens};
