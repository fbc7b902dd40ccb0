//! What the handshake agreed on, as closed sets of names for metrics and logs.

use core::fmt;

/// The cipher suite of Handshake, 0-RTT and 1-RTT packets.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum CipherSuite {
    /// TLS_AES_128_GCM_SHA256.
    Aes128Gcm,
    /// TLS_AES_256_GCM_SHA384.
    Aes256Gcm,
    /// TLS_CHACHA20_POLY1305_SHA256.
    ChaCha20Poly1305,
    /// One that only the user's own provider knows.
    Other,
}

impl CipherSuite {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Aes128Gcm, Self::Aes256Gcm, Self::ChaCha20Poly1305, Self::Other];

    /// The name of RFC 8446, or `other`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "TLS_AES_128_GCM_SHA256",
            Self::Aes256Gcm => "TLS_AES_256_GCM_SHA384",
            Self::ChaCha20Poly1305 => "TLS_CHACHA20_POLY1305_SHA256",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for CipherSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The group of the key exchange.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeyExchangeGroup {
    /// X25519.
    X25519,
    /// NIST P-256.
    Secp256r1,
    /// NIST P-384.
    Secp384r1,
    /// X25519 with ML-KEM-768, secure against quantum computers.
    X25519MlKem768,
    /// Any other.
    Other,
}

impl KeyExchangeGroup {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::X25519, Self::Secp256r1, Self::Secp384r1, Self::X25519MlKem768, Self::Other];

    /// The name in the TLS registry, in lower case, or `other`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X25519 => "x25519",
            Self::Secp256r1 => "secp256r1",
            Self::Secp384r1 => "secp384r1",
            Self::X25519MlKem768 => "x25519mlkem768",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for KeyExchangeGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What became of the client's early data (RFC 9001 §4.6).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum EarlyData {
    /// The client did not offer any.
    NotOffered,
    /// Offered, and the server's answer is not known yet.
    Offered,
    /// The server takes the 0-RTT packets.
    Accepted,
    /// The server ignores the 0-RTT packets; what they carried must be sent again.
    Rejected,
}

impl EarlyData {
    /// A word for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotOffered => "not_offered",
            Self::Offered => "offered",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}
