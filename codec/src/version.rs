//! QUIC versions: what we speak, and which numbers are reserved (RFC 9000 §15, RFC 9369).

use core::fmt;

/// The 32-bit version of a long header packet.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Version(pub u32);

impl Version {
    /// The version field of a Version Negotiation packet (RFC 8999 §6).
    pub const NEGOTIATION: Self = Self(0);
    /// QUIC version 1 (RFC 9000 §15).
    pub const V1: Self = Self(0x0000_0001);
    /// QUIC version 2 (RFC 9369 §3).
    pub const V2: Self = Self(0x6b33_43cf);

    /// Whether it is of the form `0x?a?a?a?a`, kept free to exercise version negotiation (RFC 9000 §15).
    pub const fn is_reserved(self) -> bool {
        self.0 & 0x0f0f_0f0f == 0x0a0a_0a0a
    }

    /// A reserved version made from `seed`, to be offered so that peers keep tolerating unknown ones.
    pub const fn grease(seed: u32) -> Self {
        Self(seed & 0xf0f0_f0f0 | 0x0a0a_0a0a)
    }

    /// Whether the packet layout and keys of this version are known here.
    pub const fn is_known(self) -> bool {
        matches!(self, Self::V1 | Self::V2)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V1 => f.write_str("v1"),
            Self::V2 => f.write_str("v2"),
            Self(number) => write!(f, "{number:#010x}"),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_versions_are_recognised() {
        assert!(Version(0x1a2a_3a4a).is_reserved());
        assert!(Version::grease(0xffff_ffff).is_reserved());
        assert!(!Version::V1.is_reserved());
        assert!(!Version::V2.is_reserved());
    }
}
