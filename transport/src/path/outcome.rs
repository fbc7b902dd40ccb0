//! What goes into [`Paths`](super::Paths) and what comes out.

use super::{DropReason, PathIndex};

/// An authenticated 1-RTT packet, as far as paths are concerned.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedPacket {
    /// The path it came on, as [`Paths::on_datagram`](super::Paths::on_datagram) said.
    pub path: PathIndex,
    /// Whether its number is larger than all before.
    pub largest: bool,
    /// Whether it held nothing but probing frames (RFC 9000 §9.1).
    pub probing: bool,
    /// The sequence number of our id that it was sent to.
    pub destination: u64,
}

/// What a packet changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Migration {
    /// The current path is what it was.
    None,
    /// Another path is current.
    Migrated {
        /// Whether congestion control and the round-trip estimate start again: more than the port changed
        /// (RFC 9000 §9.4).
        restart: bool,
        /// Of which kind it looks.
        kind: MigrationKind,
    },
    /// The packet asked for what is not granted; nothing changed.
    Refused(DropReason),
}

/// Why the peer's address changed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum MigrationKind {
    /// On purpose: it also changed the connection id that it sends to.
    Active,
    /// Without its knowledge: it sends to the same id.
    NatRebinding,
    /// To the address that the server prefers (RFC 9000 §9.6).
    PreferredAddress,
}

impl MigrationKind {
    /// The label of `quicast_path_migrations_total{kind}`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::NatRebinding => "nat_rebinding",
            Self::PreferredAddress => "preferred_address",
        }
    }
}

/// Why a client cannot use another path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MigrationRefused {
    /// Only clients begin migrations (RFC 9000 §9).
    ServersStay,
    /// The handshake is not confirmed (RFC 9000 §9).
    NotConfirmed,
    /// The server said disable_active_migration.
    Disabled,
    /// There is no connection id for it, or the server has none (RFC 9000 §9.5).
    NoConnectionId,
    /// The connection has as many paths as it may.
    TooManyPaths,
    /// There is no such path.
    UnknownPath,
    /// The path to a preferred address is not validated (RFC 9000 §9.6.2).
    NotValidated,
}

impl std::fmt::Display for MigrationRefused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ServersStay => "only a client can migrate",
            Self::NotConfirmed => "the handshake is not confirmed",
            Self::Disabled => "the server does not permit migration",
            Self::NoConnectionId => "the server has given no connection id for another path",
            Self::TooManyPaths => "the connection has as many paths as it may",
            Self::UnknownPath => "there is no such path",
            Self::NotValidated => "the path is not validated",
        })
    }
}

impl std::error::Error for MigrationRefused {}

/// What time brought to an end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ended {
    /// Validations that failed.
    pub failed: u64,
    /// The current path was one of them and the last validated path is current again; whether congestion control and
    /// the round-trip estimate start again.
    pub went_back: Option<bool>,
    /// There is no validated path to go back to: the connection is to be forgotten silently (RFC 9000 §9.3.2).
    pub nowhere_to_go: bool,
}

/// What happened so far; counts only ever grow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PathStats {
    /// Paths validated by an answered challenge.
    pub validated: u64,
    /// Validations given up.
    pub failed: u64,
    /// Migrations to another path, returns included.
    pub migrations: u64,
    /// Returns to the last validated path after a failed validation.
    pub returns: u64,
    /// New paths that were refused.
    pub refused: u64,
    /// Challenges that will not be answered because newer ones took their place.
    pub challenges_ignored: u64,
    /// PATH_RESPONSE frames that answered nothing.
    pub responses_unmatched: u64,
}
