//! The QUIC wire format: bytes in, values out, and back.
//!
//! This crate knows what a packet header or a frame looks like. It does not know what they mean, has no keys,
//! no connection, no clock and no socket. It never panics on any input and never allocates while it decodes packets
//! and frames (transport parameters, once in a connection, are kept in bounded vectors).
//!
//! ```text
//! in   datagram ─ packet::peek ─▶ whose is it?
//!      datagram ─ packet::decode, split ─▶ ProtectedHeader ─(tls opens)─▶ payload ─ frame::iter ─▶ Frame
//! out  Header::encode ─▶ WrittenHeader;  Frame::encode, encode_ack ─▶ payload;  WrittenHeader::finish ─(tls seals)─▶
//! ```
//!
//! Meet these first: [`cursor::Reader`] and [`cursor::Writer`], through which all bytes go; [`packet::Packet`];
//! [`frame::Frame`]; [`parameters::TransportParameters`]. [`Time`], [`ConnectionId`], [`StreamId`] and
//! [`TransportErrorCode`] are the words that all other crates share.
//!
//! Errors come in two kinds. A [`packet::PacketError`] is about bytes that nobody vouches for: drop them. A
//! [`frame::FrameError`] or [`parameters::ParameterError`] is about authenticated ones: the connection closes with exactly
//! the code that the RFC names.
//!
//! | RFC | here |
//! |---|---|
//! | 8999 §5, 9000 §17.2, 9369 §3.2 | `packet/long.rs`, `packet/header.rs`, [`packet::peek`] |
//! | 9000 §17.3 | `packet/short.rs`, `packet/header.rs` |
//! | 8999 §6, 9000 §17.2.1; §17.2.5; §10.3 | [`packet::VersionNegotiation`]; [`packet::Retry`]; [`packet::stateless_reset`] |
//! | 9000 §12.2 | [`packet::split`] |
//! | 9000 §17.1, A.2, A.3 | [`packet::number`] |
//! | 9000 §12.4, §12.5 | [`frame::FrameType`], [`frame::iter()`] |
//! | 9000 §19, 9221 §4 | [`frame`], one file for each family |
//! | 9000 §18, 9221 §3, 9287 §3, 9368 §3 | [`parameters`] |
//! | 9000 §16; §2.1; §5.1; §15; §20.1 | [`varint`]; [`ids`]; [`version`]; [`error_code`] |
//!
//! Tested with the RFCs' own examples (`tests/rfc_vectors.rs`), a table of malformations with the exact code of each, and
//! properties: what is written is read again, arbitrary bytes never panic, and every loop over them makes progress.
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
