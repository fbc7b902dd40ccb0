//! What can go wrong, by whom it is told: a handshake, an opened packet, a sealed packet, a key update.

use alloc::string::String;
use core::fmt;

use codec::{TransportErrorCode, Version};

use crate::alert::Alert;

/// The handshake failed, and the connection with it: close with this code (RFC 9001 §4.8).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsError {
    /// CRYPTO_ERROR plus the alert, or PROTOCOL_VIOLATION where RFC 9001 says so.
    pub code: TransportErrorCode,
    /// What was wrong, for our own log and for the peer's.
    pub reason: String,
}

impl TlsError {
    pub(crate) fn alert(alert: Alert, reason: impl Into<String>) -> Self {
        Self { code: TransportErrorCode::crypto(alert.code()), reason: reason.into() }
    }

    pub(crate) fn violation(reason: impl Into<String>) -> Self {
        Self { code: TransportErrorCode::PROTOCOL_VIOLATION, reason: reason.into() }
    }

    /// The alert that the code stands for, if it is a CRYPTO_ERROR.
    pub fn as_alert(&self) -> Option<Alert> {
        self.code.alert().map(Alert::from_code)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_alert() {
            Some(alert) => write!(f, "TLS alert {alert}: {}", self.reason),
            None => write!(f, "{}: {}", self.code, self.reason),
        }
    }
}

impl core::error::Error for TlsError {}

/// A handshake could not even begin: the configuration does not fit QUIC.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SessionError {
    /// The QUIC version's keys are not known here.
    #[error("QUIC version {0} is not supported")]
    UnsupportedVersion(Version),
    /// QUIC requires ALPN (RFC 9001 §8.1), and the configuration names no protocol.
    #[error("no application protocol is configured: fill `alpn_protocols`, QUIC requires ALPN")]
    NoApplicationProtocols,
    /// The TLS library refuses the configuration.
    #[error("the TLS configuration cannot be used for QUIC: {0}")]
    Configuration(String),
}

/// Why a received packet was not opened.
///
/// The first two are facts about bytes that nobody vouches for: the packet is discarded and nothing else happens. The
/// others close the connection, see [`Self::close_code`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum OpenError {
    /// There are no keys for this level, not yet or no longer. The packet is as it was.
    KeysUnavailable,
    /// Not authentic, or too short to be. The packet's bytes are spoilt, but for the last 16, which a stateless reset
    /// token may be in.
    Undecryptable,
    /// Authentic, and its reserved bits are not zero (RFC 9000 §17.2, §17.3.1).
    ReservedBits,
    /// Authentic, and its keys are not those which the peer may use now (RFC 9001 §6.2, §6.4).
    KeyUpdate,
    /// More packets failed authentication than the AEAD bears (RFC 9001 §6.6); no more are opened.
    IntegrityLimit,
}

impl OpenError {
    /// The code to close the connection with, or `None` if the packet is only to be discarded.
    pub const fn close_code(self) -> Option<TransportErrorCode> {
        match self {
            Self::KeysUnavailable | Self::Undecryptable => None,
            Self::ReservedBits => Some(TransportErrorCode::PROTOCOL_VIOLATION),
            Self::KeyUpdate => Some(TransportErrorCode::KEY_UPDATE_ERROR),
            Self::IntegrityLimit => Some(TransportErrorCode::AEAD_LIMIT_REACHED),
        }
    }

    /// A word for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeysUnavailable => "keys_unavailable",
            Self::Undecryptable => "undecryptable",
            Self::ReservedBits => "reserved_bits",
            Self::KeyUpdate => "key_update",
            Self::IntegrityLimit => "integrity_limit",
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeysUnavailable => "no keys for this packet",
            Self::Undecryptable => "the packet is not authentic",
            Self::ReservedBits => "the reserved bits of the header are not zero",
            Self::KeyUpdate => "the packet is protected with keys that may not be used now",
            Self::IntegrityLimit => "too many packets failed authentication",
        })
    }
}

impl core::error::Error for OpenError {}

/// Why a packet was not sealed. Nothing may be sent of it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SealError {
    /// There are no keys for this level, not yet or no longer, or this side never seals at it.
    KeysUnavailable,
    /// The keys have protected as many packets as the AEAD bears (RFC 9001 §6.6).
    ConfidentialityLimit,
    /// The offsets do not describe a packet with room for the tag and the header protection sample: a fault of ours.
    Malformed,
}

impl SealError {
    /// The code to close the connection with, or `None` if only this packet cannot be.
    pub const fn close_code(self) -> Option<TransportErrorCode> {
        match self {
            Self::KeysUnavailable => None,
            Self::ConfidentialityLimit => Some(TransportErrorCode::AEAD_LIMIT_REACHED),
            Self::Malformed => Some(TransportErrorCode::INTERNAL_ERROR),
        }
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeysUnavailable => "no keys for this packet",
            Self::ConfidentialityLimit => "the keys have protected as many packets as they may",
            Self::Malformed => "the packet has no room for its tag or is too short to be protected",
        })
    }
}

impl core::error::Error for SealError {}

/// Why a key update cannot begin now (RFC 9001 §6.1). Nothing changed; try again later.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeyUpdateError {
    /// There are no 1-RTT keys.
    KeysUnavailable,
    /// The handshake is not confirmed.
    NotConfirmed,
    /// No packet of the current key phase is acknowledged yet.
    NotAcknowledged,
    /// The last update is less than three PTO old.
    TooSoon,
}

impl fmt::Display for KeyUpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeysUnavailable => "there are no 1-RTT keys",
            Self::NotConfirmed => "the handshake is not confirmed",
            Self::NotAcknowledged => "no packet of the current key phase is acknowledged yet",
            Self::TooSoon => "the last key update was less than three probe timeouts ago",
        })
    }
}

impl core::error::Error for KeyUpdateError {}
