//! [`Level`]: the four encryption levels (RFC 9001 §2.1).

use core::fmt;

/// Which keys protect a packet (RFC 9001 §4, table 1).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Keys that anyone can compute who sees the client's first packet (RFC 9001 §5.2).
    Initial,
    /// The client's early data, which can be replayed (RFC 9001 §4.6).
    ZeroRtt,
    /// Keys agreed, peer not yet authenticated.
    Handshake,
    /// The keys of the connection's life, updated now and then (RFC 9001 §6).
    OneRtt,
}

impl Level {
    /// How many levels there are.
    pub const COUNT: usize = 4;
    /// All of them, in the order of the handshake.
    pub const ALL: [Self; Self::COUNT] = [Self::Initial, Self::ZeroRtt, Self::Handshake, Self::OneRtt];

    /// A dense number below [`Self::COUNT`], for tables.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::ZeroRtt => "zero_rtt",
            Self::Handshake => "handshake",
            Self::OneRtt => "one_rtt",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
