//! What to do with a datagram that belongs to nobody.
pub mod ports;
pub mod rate;
