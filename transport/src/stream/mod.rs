//! Streams, in two halves (RFC 9000 §2, §3): the connection's half is numbers ([`ledger`]), the stream actors' half is
//! bytes ([`buffers`]). What passes between them is in [`edge`].

pub mod buffers;
mod chunks;
pub mod edge;
pub mod ledger;
mod places;
mod priority;

pub use edge::{StreamInput, StreamOutput};
pub use priority::Priority;
