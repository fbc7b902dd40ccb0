//! One network path: who is at the other end, how much may be sent to it, how large a datagram fits.

pub mod mtu;
