//! Every bound on what a TCP client can make the server keep or wait for, in one place.

use std::time::Duration;

/// The bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at once, over all addresses, WebSockets included; more wait in the kernel.
    pub(crate) connections: usize,
    /// How long a connection may take from its first packet to the end of the TLS handshake.
    pub(crate) handshake: Duration,
    /// How long a request's head may take to arrive; and of HTTP/1.1, how long a connection may wait for its next request,
    /// of HTTP/2 for its first.
    pub(crate) headers: Duration,
    /// HTTP/2: how long a connection may wait for its next request.
    pub(crate) requestless: Duration,
    /// How a request must come after its head.
    pub(crate) pace: Pace,
    /// How long a connection may be open without a byte in either direction.
    pub(crate) idle: Duration,
}

impl Limits {
    /// What `quicast serve` uses.
    pub(crate) const SERVER: Self = Self {
        connections: 1_024,
        handshake: Duration::from_secs(10),
        headers: Duration::from_secs(10),
        requestless: Duration::from_secs(60),
        pace: Pace { grace: Duration::from_secs(10), bytes_per_second: 1024, age: Duration::from_secs(300) },
        idle: Duration::from_secs(300),
    };
}

/// How a request must come after its head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How long a body may be waited for before a rate is asked of it.
    pub(crate) grace: Duration,
    /// The least rate of a body, over the time for which it was waited for.
    pub(crate) bytes_per_second: u64,
    /// How long it may take from a request's head until its body is complete and its answer has begun.
    pub(crate) age: Duration,
}

/// Bytes of a request's line and headers (HTTP/1.1), or of its decoded headers (HTTP/2).
pub(crate) const HEADER_BYTES: u32 = 32 * 1024;
/// Header lines of a request.
pub(crate) const HEADER_LINES: usize = 100;
/// HTTP/1.1: bytes read ahead, and bytes written and not sent.
pub(crate) const BUFFER: usize = 128 * 1024;
/// HTTP/2: requests of a connection at once.
pub(crate) const STREAMS: u32 = 256;
/// HTTP/2: bytes that a request's body may be ahead of whoever reads it; and of all bodies together.
pub(crate) const STREAM_WINDOW: u32 = 1 << 20;
pub(crate) const CONNECTION_WINDOW: u32 = 4 << 20;
/// HTTP/2: bytes of one answer that wait for the client.
pub(crate) const SEND_BUFFER: usize = 128 * 1024;
/// Connections that the kernel keeps until they are accepted.
pub(crate) const BACKLOG: i32 = 1_024;
