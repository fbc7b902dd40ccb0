//! The application's edge: what handles and actors share about a connection and its streams.
//!
//! Bytes cross through a bounded [`StreamPort`] a stream (two queues of `Bytes` and the wakers of whoever waits); the
//! mailbox carries only "there is work", at most one such message at a time for each connection. So a handle works from
//! any thread and any runtime, and on the connection's own shard it costs no hop between threads.
//!
//! Received bytes stay charged to the peer's flow-control windows until the application takes them from the port.

mod connection;
mod stream;

pub(crate) use connection::{ConnectionPort, Facts, Orders};
pub(crate) use stream::{ReceiveEnd, SendEnd, StreamPort, WriteRefusal};
