//! Network paths: who is at the other end, how much may be sent to it, how large a datagram fits.
//!
//! [`Path`] is one path; [`Paths`] are those of one connection, of which one is current: it carries everything but
//! challenges and answers to them. [`amplification`] is the account of what came and went, [`validation`] the proof
//! that the peer is at an address, [`migration`] the rules for moving from one path to another, [`client`] the moves that
//! a client makes itself, [`mtu`] the search for the datagram size.

pub mod amplification;
pub mod client;
pub mod migration;
pub mod mtu;
pub mod outcome;
pub mod validation;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use codec::{ConnectionId, Time};

use crate::limits::PATHS;
use amplification::Amplification;
pub use client::may_use_preferred_address;
pub use migration::Paths;
use mtu::{MtuConfig, MtuDiscovery};
pub use outcome::{Ended, Migration, MigrationKind, MigrationRefused, PathStats, ReceivedPacket};
use validation::{INITIAL_PTO, Validation};

/// Names one path of a connection for as long as the path exists; the name may then be used again.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PathIndex(u8);

impl PathIndex {
    /// The path of the handshake.
    pub const FIRST: Self = Self(0);

    /// How many names there are: one more than paths, for the candidate.
    pub const NAMES: usize = PATHS + 1;

    /// All names there are.
    pub fn all() -> impl Iterator<Item = Self> {
        // A handful, so nothing is cut off.
        (0..Self::NAMES as u8).map(Self)
    }

    /// A number below [`Self::NAMES`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Why a datagram, or what it would have changed, was ignored. Never closes a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum DropReason {
    /// A client's datagram from an address that is not its server's (RFC 9000 §9).
    UnknownServer,
    /// From another address before the handshake was confirmed (RFC 9000 §9).
    DuringHandshake,
    /// From another host after we said that the peer must stay (disable_active_migration, RFC 9000 §18.2).
    MigrationDisabled,
    /// From a port that only servers of other protocols send from.
    BlockedPort,
    /// From a loopback address on a connection that began elsewhere (RFC 9000 §21.5.6).
    Loopback,
    /// The connection has as many paths as it may, and none that can make way yet.
    TooManyPaths,
    /// Another new path was begun less than a probe timeout ago.
    TooOften,
    /// The peer gave no id that could be used there (RFC 9000 §9.5).
    NoConnectionId,
}

impl DropReason {
    /// Its name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownServer => "unknown_server",
            Self::DuringHandshake => "during_handshake",
            Self::MigrationDisabled => "migration_disabled",
            Self::BlockedPort => "blocked_port",
            Self::Loopback => "loopback",
            Self::TooManyPaths => "too_many_paths",
            Self::TooOften => "too_often",
            Self::NoConnectionId => "no_connection_id",
        }
    }
}

impl std::fmt::Display for DropReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for DropReason {}

/// The frames that go one certain path.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PathFrames {
    /// Data of a PATH_CHALLENGE.
    pub challenge: Option<[u8; 8]>,
    /// Data of a PATH_RESPONSE.
    pub response: Option<[u8; 8]>,
}

/// A datagram that is to be sent now, on its own, on one certain path: a 1-RTT packet with these frames and PADDING.
///
/// Neither frame is ever sent again by recovery. The challenge makes the packet ack-eliciting.
#[derive(Clone, Copy, Debug)]
pub struct OffPath {
    /// Which path. It may be the current one.
    pub index: PathIndex,
    /// Where to.
    pub remote: SocketAddr,
    /// From where, if it matters.
    pub local: Option<IpAddr>,
    /// To which id of the peer.
    pub destination: ConnectionId,
    /// What to say.
    pub frames: PathFrames,
    /// Exactly how large the datagram shall be, in bytes: 1200, or less where the amplification limit leaves less.
    pub size: usize,
}

/// One path.
#[derive(Clone, Debug)]
pub struct Path {
    index: PathIndex,
    remote: SocketAddr,
    local: Option<IpAddr>,
    amplification: Amplification,
    // Whether the peer answered a challenge sent here, or the handshake proved it.
    validated: bool,
    // Whether that was with datagrams of 1200 bytes, so that the path can be used for QUIC.
    proven: bool,
    validation: Option<Validation>,
    response: Option<[u8; 8]>,
    // The sequence number of our id that the peer last used here.
    peer_uses: u64,
    // When it is forgotten, unless it is current or the one to fall back to.
    expires: Option<Time>,
    mtu: MtuDiscovery,
}

impl Path {
    /// The size of a datagram that proves that a path can be used for QUIC (RFC 9000 §8.2.1, §14).
    pub const PROVEN_SIZE: usize = 1200;
    /// A datagram with a challenge and an answer needs no more than this, whatever the connection id.
    const SMALLEST_DATAGRAM: u64 = 64;

    fn new(index: PathIndex, remote: SocketAddr, local: Option<IpAddr>, validated: bool, mtu: MtuDiscovery) -> Self {
        Self {
            index,
            remote,
            local,
            amplification: Amplification::new(validated),
            validated,
            proven: validated,
            validation: None,
            response: None,
            peer_uses: 0,
            expires: None,
            mtu,
        }
    }

    /// Its name.
    pub const fn index(&self) -> PathIndex {
        self.index
    }

    /// The peer's address.
    pub const fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Our address, where it is known.
    pub const fn local(&self) -> Option<IpAddr> {
        self.local
    }

    /// Whether the peer has proven that it is reached here.
    pub const fn is_validated(&self) -> bool {
        self.validated
    }

    /// How many bytes may be sent now; `u64::MAX` where nothing limits it (RFC 9000 §8).
    pub const fn sendable(&self) -> u64 {
        self.amplification.allowance()
    }

    /// The largest datagram to send, in bytes.
    pub const fn datagram_size(&self) -> u16 {
        self.mtu.current()
    }

    /// The search for that size.
    pub const fn mtu(&self) -> &MtuDiscovery {
        &self.mtu
    }

    fn is_at(&self, remote: SocketAddr, local: Option<IpAddr>) -> bool {
        // Where either does not know our address, there is but one.
        self.remote == remote && (self.local == local || self.local.is_none() || local.is_none())
    }

    /// Whether the two differ in more than the peer's port, so that they may have nothing in common.
    fn is_elsewhere(&self, other: &Self) -> bool {
        self.remote.ip().to_canonical() != other.remote.ip().to_canonical()
            || self.local.is_some() && other.local.is_some() && self.local != other.local
    }

    fn challenge(&mut self, now: Time, pto: Duration) {
        if self.validation.is_none() {
            self.validation = Some(Validation::start(now, pto));
        }
    }

    /// It was heard of, or was current until now: it is kept a while longer.
    fn keep(&mut self, now: Time, pto: Duration) {
        self.expires = Some(now + pto.max(INITIAL_PTO).saturating_mul(3));
    }

    fn has_frames(&self) -> bool {
        self.sendable() >= Self::SMALLEST_DATAGRAM
            && (self.response.is_some() || self.validation.as_ref().is_some_and(Validation::is_wanted))
    }

    /// Takes what is to be sent here, if anything may be. `random` is asked only for a challenge.
    fn take_frames(&mut self, now: Time, random: impl FnOnce() -> [u8; 8]) -> Option<(PathFrames, usize)> {
        if !self.has_frames() {
            return None;
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-8.2.1
        //# An endpoint MUST expand datagrams that contain a PATH_CHALLENGE frame to at
        //# least the smallest allowed maximum datagram size of 1200 bytes, unless the
        //# anti-amplification limit for the path does not permit sending a datagram of
        //# this size.
        let size = usize::try_from(self.sendable()).unwrap_or(usize::MAX).min(Self::PROVEN_SIZE);
        let wanted = self.validation.as_mut().filter(|validation| validation.is_wanted());
        //= https://www.rfc-editor.org/rfc/rfc9000#section-8.2.1
        //# The endpoint MUST use unpredictable data in every PATH_CHALLENGE frame so that
        //# it can associate the peer's response with the corresponding PATH_CHALLENGE.
        let challenge = wanted.map(|validation| {
            let data = random();
            validation.on_sent(now, data, size == Self::PROVEN_SIZE);
            data
        });
        //= https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2
        //# An endpoint MUST NOT send more than one PATH_RESPONSE frame in response to one
        //# PATH_CHALLENGE frame; see {{retransmission-of-information}}.
        Some((PathFrames { challenge, response: self.response.take() }, size))
    }

    /// While a challenge is out the path stays, however long ago it was last heard of.
    fn deadline(&self) -> Option<Time> {
        self.validation.as_ref().map(Validation::deadline).or(self.expires)
    }
}

/// The search for the datagram size of a new path.
fn search(config: MtuConfig, peer_maximum: u64) -> MtuDiscovery {
    let mut mtu = MtuDiscovery::new(config);
    mtu.set_peer_maximum(peer_maximum);
    mtu
}

#[cfg(test)]
mod tests;
