//! HTTP/3 (RFC 9114) and QPACK (RFC 9204) over any transport that has streams.
//!
//! This crate knows no QUIC packets, no clock, no sockets and no actors: bytes of streams go in, what they mean comes out.

pub mod qpack;
