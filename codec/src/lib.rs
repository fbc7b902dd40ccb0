//! The QUIC wire format: bytes in, values out, and back.
//!
//! This crate knows what a packet header or a frame looks like. It does not know what they mean, has no keys,
//! no connection, no clock and no socket. It never allocates while decoding and never panics on any input.
#![no_std]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

extern crate alloc;

pub mod cursor;
pub mod error_code;
pub mod frame;
pub mod ids;
pub mod packet;
pub mod parameters;
pub mod time;
pub mod varint;
pub mod version;

pub use error_code::TransportErrorCode;
pub use ids::{ConnectionId, Direction, ResetToken, Side, StreamId};
pub use time::Time;
pub use varint::VarInt;
pub use version::Version;
