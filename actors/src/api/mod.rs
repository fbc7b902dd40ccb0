//! What applications hold: handles that are `Send + Sync`, work from any runtime, and close what nobody holds any more.

pub mod congestion;
pub mod connection;
pub mod endpoint;
pub mod error;
pub mod incoming;
pub mod recv_stream;
pub mod send_stream;

pub use recv_stream::RecvStream;
pub use send_stream::SendStream;
