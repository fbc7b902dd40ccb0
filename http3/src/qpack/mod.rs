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
