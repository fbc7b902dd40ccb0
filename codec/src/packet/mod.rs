//! Packets as they lie in a datagram: which kinds there are, and how a datagram is taken apart.
//!
//! [`peek`] tells whose datagram it is. [`decode`] reads the header of the first packet as far as it can be read
//! without keys, and says where the next one begins; [`split`] does so for all of them. [`Header::encode`] is the way back.
//!
//! Nothing here is authenticated, so every [`PacketError`] is a reason to drop, never to close a connection.

pub mod number;
pub mod stateless_reset;

mod header;
mod long;
mod peek;
mod retry;
mod short;
mod split;
mod version_negotiation;

#[cfg(test)]
mod tests;

use core::fmt;
use core::ops::Range;

pub use header::{Header, WrittenHeader};
pub use peek::{Peek, peek};
pub use retry::Retry;
pub use short::{one_rtt_to, spin_bit};
pub use split::{Split, split};
pub use version_negotiation::{VersionNegotiation, Versions};

use crate::cursor::UnexpectedEnd;
use crate::ids::ConnectionId;
use crate::version::Version;

/// The kinds of packets (RFC 9000 §17).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PacketKind {
    /// The first packets of a handshake, under keys anyone can derive (RFC 9000 §17.2.2).
    Initial,
    /// The client's early data (RFC 9000 §17.2.3).
    ZeroRtt,
    /// The rest of the handshake (RFC 9000 §17.2.4).
    Handshake,
    /// Everything after it, under the short header (RFC 9000 §17.3.1).
    OneRtt,
    /// A server asks the client to prove its address (RFC 9000 §17.2.5).
    Retry,
    /// A server lists the versions it knows (RFC 9000 §17.2.1).
    VersionNegotiation,
}

impl PacketKind {
    /// How many kinds there are.
    pub const COUNT: usize = 6;

    /// Its name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::ZeroRtt => "0rtt",
            Self::Handshake => "handshake",
            Self::OneRtt => "1rtt",
            Self::Retry => "retry",
            Self::VersionNegotiation => "version_negotiation",
        }
    }

    /// A dense number for counters, below [`Self::COUNT`].
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Why the bytes are no packet for us. Always: drop it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PacketError {
    /// There are no bytes.
    Empty,
    /// The bytes end before the header does, or before the packet that it announces.
    Truncated,
    /// The fixed bit is zero (RFC 9000 §17.2, §17.3.1). We do not announce `grease_quic_bit` (RFC 9287), so no peer
    /// may clear it.
    FixedBitZero,
    /// A connection id of more than 20 bytes in a version that forbids it (RFC 9000 §17.2).
    ConnectionIdTooLong,
    /// A version whose layout is not known here.
    UnknownVersion,
    /// A Retry packet without a token (RFC 9000 §17.2.5.2).
    EmptyRetryToken,
    /// A Version Negotiation packet without versions, or with a part of one (RFC 8999 §6).
    MalformedVersionNegotiation,
    /// A coalesced packet for another connection id than the datagram's first (RFC 9000 §12.2).
    OtherDestination,
}

impl PacketError {
    /// Its name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Truncated => "truncated",
            Self::FixedBitZero => "fixed_bit_zero",
            Self::ConnectionIdTooLong => "connection_id_too_long",
            Self::UnknownVersion => "unknown_version",
            Self::EmptyRetryToken => "empty_retry_token",
            Self::MalformedVersionNegotiation => "malformed_version_negotiation",
            Self::OtherDestination => "other_destination",
        }
    }
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for PacketError {}

impl From<UnexpectedEnd> for PacketError {
    fn from(_: UnexpectedEnd) -> Self {
        Self::Truncated
    }
}

/// A packet, read as far as that goes without keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Packet<'a> {
    /// An Initial, 0-RTT, Handshake or 1-RTT packet, still under its protection.
    Protected(ProtectedHeader),
    /// A Retry packet.
    Retry(Retry<'a>),
    /// A Version Negotiation packet.
    VersionNegotiation(VersionNegotiation<'a>),
}

/// The header of a protected packet, without what header protection hides (the packet number, its length, the key
/// phase, the reserved bits).
///
/// Offsets count from the start of the slice that was given to [`decode`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProtectedHeader {
    /// Initial, 0-RTT, Handshake or 1-RTT.
    pub kind: PacketKind,
    /// The version of a long header; [`Version::NEGOTIATION`] (zero) in a 1-RTT packet, which names none.
    pub version: Version,
    /// Whom it is for.
    pub destination: ConnectionId,
    /// Whom it is from; empty in a 1-RTT packet, which does not say.
    pub source: ConnectionId,
    /// Where an Initial's token lies; empty elsewhere.
    pub token: Range<usize>,
    /// Where the packet number begins.
    pub packet_number_offset: usize,
    /// Where the packet ends and the next coalesced one begins. Never before `packet_number_offset`, which is never 0.
    pub end: usize,
}

/// The form bit: 1 in long headers (RFC 8999 §5).
pub(crate) const LONG_FORM: u8 = 0x80;
/// The fixed bit, 1 in every packet but Version Negotiation (RFC 9000 §17.2, §17.3.1).
pub(crate) const FIXED_BIT: u8 = 0x40;

/// Reads the header of the first packet in `datagram`. `local_id_length` is the length of the connection ids issued
/// here, which a short header does not tell.
///
/// Whether a protected packet is long enough to be opened is found out by who opens it.
#[inline]
pub fn decode(datagram: &[u8], local_id_length: usize) -> Result<Packet<'_>, PacketError> {
    match datagram.first() {
        None => Err(PacketError::Empty),
        Some(first) if first & LONG_FORM == 0 => short::decode(datagram, local_id_length).map(Packet::Protected),
        Some(_) => long::decode(datagram),
    }
}
