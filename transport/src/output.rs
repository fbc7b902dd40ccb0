//! What comes in and out of a connection: datagrams, events, deadlines, wishes.

use std::net::{IpAddr, SocketAddr};

use bytes::{Bytes, BytesMut};
use codec::{Time, TransportErrorCode, Version};
use recovery::Ecn;

use crate::error::TransportError;

/// Datagrams of one size from one address, back to back in one buffer, as GRO delivers them.
#[derive(Debug)]
pub struct ReceivedDatagrams {
    /// Who sent them.
    pub remote: SocketAddr,
    /// The address they were sent to, where the kernel says.
    pub local: Option<IpAddr>,
    /// Their ECN mark; `None` is Not-ECT.
    pub ecn: Option<Ecn>,
    /// Bytes of each of them but the last, which may be shorter. Zero counts as one datagram of the whole buffer.
    pub segment_size: usize,
    /// The bytes.
    pub buffer: BytesMut,
}

/// Datagrams to send, back to back in the buffer that was given to `poll_transmit`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Transmit {
    /// Where to.
    pub remote: SocketAddr,
    /// From which of our addresses, if it matters.
    pub local: Option<IpAddr>,
    /// The ECN mark of all of them.
    pub ecn: Option<Ecn>,
    /// Bytes of each of them but the last, which may be shorter.
    pub segment_size: usize,
    /// Bytes of all of them together.
    pub length: usize,
}

impl Transmit {
    /// How many datagrams it is.
    pub const fn datagrams(&self) -> usize {
        self.length.div_ceil(if self.segment_size == 0 { 1 } else { self.segment_size })
    }
}

pub use crate::router::RouteChange;

/// Something that whoever owns the connection wants to know.
#[derive(Clone, Debug)]
pub enum Event {
    /// The handshake is complete: the application may use the connection.
    Connected,
    /// The handshake is confirmed (RFC 9001 §4.1.2).
    Confirmed,
    /// The connection is over for the application; nothing more is delivered.
    Closed(CloseReason),
    /// Nothing is left to do: it can be dropped.
    Drained,
    /// The peer is now reached at another address. With `restart`, congestion control must begin anew (RFC 9000 §9.4).
    PathChanged {
        /// The peer's address.
        remote: SocketAddr,
        /// Whether the path's capacity is unknown.
        restart: bool,
    },
    /// Datagrams of this many bytes fit the path from now on.
    DatagramSize(u16),
    /// A DATAGRAM frame arrived, or there is room again to send some.
    Datagrams,
    /// The server gave a token for later connections to it (RFC 9000 §8.1.3).
    NewToken(Bytes),
}

/// Why a connection ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CloseReason {
    /// The application here closed it.
    LocalApplication {
        /// Its code.
        code: u64,
        /// Its words.
        reason: Bytes,
    },
    /// The application at the other end closed it.
    PeerApplication {
        /// Its code.
        code: u64,
        /// Its words.
        reason: Bytes,
    },
    /// We closed it because of a violation or failure.
    LocalTransport {
        /// Which.
        error: TransportError,
        /// What TLS had to say, if it was TLS.
        detail: Option<String>,
    },
    /// The peer closed it because of a violation or failure.
    PeerTransport {
        /// The code it gave.
        code: TransportErrorCode,
        /// The frame it named.
        frame_type: u64,
        /// Its words.
        reason: Bytes,
    },
    /// Nothing was heard for the idle timeout.
    IdleTimeout,
    /// The handshake took too long.
    HandshakeTimeout,
    /// The peer has lost the connection's state.
    StatelessReset,
    /// No version in common; these are the peer's.
    VersionMismatch {
        /// What the peer speaks.
        versions: Vec<Version>,
        /// The version with which another attempt is worth while, if there is one in common after all.
        retry_with: Option<Version>,
    },
    /// The actor that kept the connection failed: a fault of ours.
    Internal,
}

impl CloseReason {
    /// The label of `quicast_connections_closed_total{cause}`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::LocalApplication { .. } => "local_application",
            Self::PeerApplication { .. } => "peer_application",
            Self::LocalTransport { .. } | Self::Internal => "local_transport",
            Self::PeerTransport { .. } => "peer_transport",
            Self::IdleTimeout => "idle_timeout",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::StatelessReset => "stateless_reset",
            Self::VersionMismatch { .. } => "version_mismatch",
        }
    }
}

impl std::error::Error for CloseReason {}

impl std::fmt::Display for CloseReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        fn words(reason: &Bytes) -> String {
            String::from_utf8_lossy(reason).chars().filter(|character| !character.is_control()).collect()
        }
        match self {
            Self::LocalApplication { code, reason } => {
                write!(f, "closed by this application with code {code}: {}", words(reason))
            }
            Self::PeerApplication { code, reason } => {
                write!(f, "closed by the peer's application with code {code}: {}", words(reason))
            }
            Self::LocalTransport { error, detail: None } => write!(f, "closed because the peer broke a rule: {error}"),
            Self::LocalTransport { error, detail: Some(detail) } => write!(f, "closed with {}: {detail}", error.code),
            Self::PeerTransport { code, reason, .. } => write!(f, "closed by the peer with {code}: {}", words(reason)),
            Self::IdleTimeout => f.write_str("nothing was heard from the peer for the idle timeout"),
            Self::HandshakeTimeout => f.write_str("the handshake took too long"),
            Self::StatelessReset => f.write_str("the peer no longer knows the connection (stateless reset)"),
            Self::VersionMismatch { versions, .. } => {
                write!(f, "no QUIC version in common; the peer speaks {versions:?}")
            }
            Self::Internal => f.write_str("an internal failure of quicast ended the connection"),
        }
    }
}

/// Why the connection wants to be called again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DeadlineReason {
    /// Packets may have to be declared lost.
    Loss,
    /// A probe timeout.
    Probe,
    /// Silence lasted too long.
    Idle,
    /// An acknowledgement is due.
    AckDelay,
    /// A closed connection may be forgotten, or a handshake took too long.
    Close,
    /// A path's validation is to be repeated or given up, or the ledger owes credit.
    PathValidation,
    /// Larger datagrams are to be tried.
    MtuProbe,
    /// Old keys are to be forgotten.
    KeyDiscard,
    /// The peer (or a NAT) is to be reminded that we exist.
    KeepAlive,
    /// It is to be looked whether the connection is quiet enough to give memory back.
    Rest,
}

impl DeadlineReason {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Loss,
        Self::Probe,
        Self::Idle,
        Self::AckDelay,
        Self::Close,
        Self::PathValidation,
        Self::MtuProbe,
        Self::KeyDiscard,
        Self::KeepAlive,
        Self::Rest,
    ];

    /// The label of `quicast_timer_expirations_total{timer}`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Probe => "pto",
            Self::Idle => "idle",
            Self::AckDelay => "ack_delay",
            Self::Close => "close",
            Self::PathValidation => "path_validation",
            Self::MtuProbe => "mtu_probe",
            Self::KeyDiscard => "key_discard",
            Self::Rest => "rest",
            Self::KeepAlive => "keep_alive",
        }
    }
}

/// The pacer's permission is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TransmitWanted {
    /// When the bytes may leave.
    pub at: Time,
    /// How many.
    pub bytes: u64,
}
