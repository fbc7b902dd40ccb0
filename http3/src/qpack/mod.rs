//! QPACK: field compression for HTTP/3 (RFC 9204), both sides.
//!
//! A connection has one [`Encoder`] for the sections it sends and one [`Decoder`] for those it receives. They are
//! independent of each other and know no streams but by their numbers: the caller carries the bytes.
//!
//! ```text
//! fields ── Encoder::encode ──▶ section (request stream) ──▶ Decoder::decode ──▶ Fields, or Blocked
//!           poll_instructions ▶ encoder stream (type 0x02) ▶ receive ─────────▶ poll_unblocked ─▶ Fields
//!           receive ◀────────── decoder stream (type 0x03) ◀ poll_instructions
//! ```
//!
//! **What it isn't**: it does not judge names and values, opens no streams and knows no flow control. The caller sends what
//! is polled, gives what arrives in order, closes the connection with a [`ConnectionError`], gives up a stream with a
//! [`StreamError`], and keeps sections that wait charged to their streams ([`Decoder::blocked_bytes`]).
//!
//! Meet these first: [`Encoder::encode`] and `encoder/lines.rs`, which decides what a line becomes; `encoder/policy.rs`,
//! which knows what is worth a place in the table; [`Decoder::decode`] and `decoder/section.rs`, where limits are judged
//! line by line.
//!
//! | RFC 9204 | here |
//! |---|---|
//! | §2.1.1, §2.1.2, §2.1.3, §2.1.4 | `encoder/table.rs`, `encoder/outstanding.rs`, [`Encoder::instruction_credit`], [`Encoder::receive`] |
//! | §2.2.1, §2.2.2, §2.2.3 | `decoder/blocked.rs`, [`Decoder::poll_instructions`], `decoder/section.rs` |
//! | §3.1; §3.2 | `static_table.rs`; `encoder/table.rs`, `decoder/table.rs` |
//! | §4.1.1; §4.1.2 | `integer.rs`; `literal.rs`, `huffman/` |
//! | §4.3, §4.4; §4.5 | `instruction.rs`; `encoder/section.rs`, `decoder/section.rs` |
//! | §6; §7.1.3; §7.3, §7.4 | [`error`]; `encoder/policy.rs`; [`limits`] |
//!
//! Tested with the exchange of appendix B, byte for byte; with what two other encoders made of real traffic; with both ends
//! over a network that delays, reorders, splits and cancels; with bytes at random; and each bound at its edge.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod decoder;
pub mod encoder;
pub mod error;
pub mod field;
mod huffman;
mod instruction;
mod integer;
pub mod limits;
mod literal;
mod static_table;
mod wire;

pub use decoder::{Decoded, Decoder, DecoderConfig, DecoderStats};
pub use encoder::{Encoded, Encoder, EncoderConfig, EncoderStats};
pub use error::{ConnectionError, DecodeError, StreamError};
pub use field::{Field, FieldRef, Fields};

#[cfg(test)]
mod tests;
