//! [`Paths`]: which path is used, and when another is (RFC 9000 §9).
//!
//! ```text
//!  datagram from          first packet of it       its challenge
//!  an unknown address ──▶ candidate ──opened────▶ path ──answered──▶ validated path
//!                          │  ▲ overwritten by      │ newest non-probing packet: becomes the current path,
//!                          └──┘ the next one        │ and the path before it is challenged
//!                                                   ▼ not answered in three probe timeouts: forgotten,
//!                                                     and if it was current, back to the last validated one
//! ```
//!
//! What is not authenticated makes no path: a spoofed datagram occupies only the candidate's place. What is
//! authenticated makes at most one new path in a probe timeout, and there are never more than [`PATHS`]: when there are,
//! one makes way for a newer one, once a second.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use codec::{Side, Time};

use super::mtu::{MtuConfig, MtuDiscovery};
use super::outcome::{Ended, Migration, MigrationKind, PathStats, ReceivedPacket};
use super::{DropReason, OffPath, Path, PathIndex, search};
use crate::accept::ports;
use crate::error::TransportError;
use crate::limits::{PATH_RESPONSES, PATHS};
use crate::peer_ids::PeerIds;

/// The paths of one connection.
#[derive(Debug)]
pub struct Paths {
    pub(super) side: Side,
    pub(super) current: Path,
    pub(super) others: Vec<Path>,
    // An address of which a datagram came that was not authenticated yet.
    candidate: Option<Box<Path>>,
    // The last path that was validated and wide enough, while the current one is not.
    pub(super) fallback: Option<PathIndex>,
    pub(super) confirmed: bool,
    peer_stays: bool,
    pub(super) we_stay: bool,
    next_path_at: Time,
    // When a new path may take the place of another.
    next_replacement_at: Time,
    mtu_config: MtuConfig,
    peer_maximum: u64,
    stats: PathStats,
}

impl Paths {
    /// The paths of a connection between `remote` and us. A client's server counts as validated, a server's client
    /// does not before [`Self::validate_current`].
    pub fn new(side: Side, remote: SocketAddr, local: Option<IpAddr>, mtu: MtuConfig) -> Self {
        let current = Path::new(PathIndex::FIRST, remote, local, side.is_client(), MtuDiscovery::new(mtu));
        Self {
            side,
            current,
            others: Vec::new(),
            candidate: None,
            fallback: None,
            confirmed: false,
            peer_stays: false,
            we_stay: false,
            next_path_at: Time::ZERO,
            next_replacement_at: Time::ZERO,
            mtu_config: mtu,
            peer_maximum: u64::MAX,
            stats: PathStats::default(),
        }
    }

    /// The path that everything goes.
    pub const fn current(&self) -> &Path {
        &self.current
    }

    /// The search for the datagram size of the current path. It rests until the path is validated.
    pub const fn mtu(&mut self) -> &mut MtuDiscovery {
        &mut self.current.mtu
    }

    /// The path of this name. Candidates are none.
    pub fn path(&self, index: PathIndex) -> Option<&Path> {
        std::iter::once(&self.current).chain(&self.others).find(|path| path.index == index)
    }

    /// How many paths there are: the current one and up to two others.
    pub fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// What happened so far.
    pub const fn stats(&self) -> &PathStats {
        &self.stats
    }

    /// The handshake, or a token, has proven that the peer is where its packets come from (RFC 9000 §8.1).
    //= https://www.rfc-editor.org/rfc/rfc9000#section-8.1
    //# Once an
    //# endpoint has successfully processed a Handshake packet from the peer, it can
    //# consider the peer address to have been validated.
    pub fn validate_current(&mut self) {
        self.current.amplification.validate();
        self.current.validated = true;
        self.current.proven = true;
    }

    /// The handshake is confirmed: paths may change from now on, and larger datagrams be tried.
    pub fn on_handshake_confirmed(&mut self) {
        self.confirmed = true;
        self.current.mtu.start();
    }

    /// The peer's transport parameters: the largest UDP payload it takes, and whether it forbids us to migrate.
    pub fn on_peer_parameters(&mut self, max_udp_payload_size: u64, disable_active_migration: bool) {
        self.peer_maximum = max_udp_payload_size;
        self.current.mtu.set_peer_maximum(max_udp_payload_size);
        self.we_stay = disable_active_migration;
    }

    /// We announced disable_active_migration: only rebindings of the peer's port are followed.
    pub const fn forbid_migration(&mut self) {
        self.peer_stays = true;
    }

    /// Datagrams of `bytes` bytes together came from `remote` to `local`. To be called before any packet in them is
    /// opened; all bytes count, whatever they turn out to be.
    ///
    /// # Errors
    /// Why the datagrams are to be dropped unread.
    pub fn on_datagram(
        &mut self,
        remote: SocketAddr,
        local: Option<IpAddr>,
        bytes: usize,
    ) -> Result<PathIndex, DropReason> {
        let known = if self.current.is_at(remote, local) {
            Some(&mut self.current)
        } else {
            self.others.iter_mut().find(|path| path.is_at(remote, local))
        };
        if let Some(path) = known {
            path.amplification.on_received(bytes as u64);
            return Ok(path.index);
        }
        if self.side.is_client() {
            return self.of_known_server(remote);
        }
        self.may_begin(remote)?;
        let candidate = self.candidate.take().filter(|candidate| candidate.is_at(remote, local));
        let index = candidate.as_ref().map(|candidate| candidate.index).or_else(|| self.free_index());
        let index = index.ok_or(DropReason::TooManyPaths)?;
        let mut candidate = candidate.unwrap_or_else(|| Box::new(self.make(index, remote, local, false)));
        candidate.amplification.on_received(bytes as u64);
        self.candidate = Some(candidate);
        Ok(index)
    }

    /// An authenticated 1-RTT packet was read to its end. To be called after its frames took effect, for each packet.
    ///
    /// `pto` is the connection's probe timeout.
    pub fn on_packet(&mut self, now: Time, packet: ReceivedPacket, pto: Duration, ids: &mut PeerIds) -> Migration {
        if packet.path == self.current.index {
            self.current.peer_uses = packet.destination;
            return Migration::None;
        }
        if let Err(reason) = self.promote(now, packet, pto, ids) {
            self.stats.refused += 1;
            return Migration::Refused(reason);
        }
        let Some(place) = self.others.iter().position(|path| path.index == packet.path) else {
            return Migration::None;
        };
        // What a client opened is kept until it says otherwise.
        if let Some(path) = self.others.get_mut(place).filter(|_| self.side.is_server()) {
            path.keep(now, pto);
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-9.3
        //# An endpoint only changes the address to which it sends packets in response to
        //# the highest-numbered non-probing packet.
        if self.side.is_client() || packet.probing || !packet.largest {
            return Migration::None;
        }
        let kind = if packet.destination == self.current.peer_uses {
            MigrationKind::NatRebinding
        } else {
            MigrationKind::Active
        };
        let restart = self.make_current(now, place, pto, ids);
        self.current.peer_uses = packet.destination;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-9.3.3
        //# In response to an apparent migration, endpoints MUST validate the previously
        //# active path using a PATH_CHALLENGE frame.
        if let Some(previous) = self.others.get_mut(place) {
            previous.challenge(now, pto);
        }
        Migration::Migrated { restart, kind }
    }

    /// A PATH_CHALLENGE came on a path. Whether it will be answered: one on each path is, the newest.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2
    //# A PATH_RESPONSE frame MUST be sent on the network path where the PATH_CHALLENGE
    //# frame was received.
    pub fn on_challenge(&mut self, path: PathIndex, data: [u8; 8]) -> bool {
        let waiting = self.all().filter(|path| path.response.is_some()).count();
        let Some(path) = self.all_mut().find(|known| known.index == path) else { return false };
        let replaces = path.response.is_some();
        // There are fewer paths than answers that may wait, so this says only what holds anyway.
        if !replaces && waiting >= PATH_RESPONSES {
            self.stats.challenges_ignored += 1;
            return false;
        }
        path.response = Some(data);
        self.stats.challenges_ignored += u64::from(replaces);
        !replaces
    }

    /// A PATH_RESPONSE came, on whatever path. Which path it validated, if it answered one of our challenges; one that
    /// answers nothing is ignored, since it may be late.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-8.2.3
    //# A PATH_RESPONSE
    //# frame received on any network path validates the path on which the
    //# PATH_CHALLENGE was sent.
    pub fn on_path_response(&mut self, now: Time, data: [u8; 8], pto: Duration) -> Option<PathIndex> {
        let matching = std::iter::once(&mut self.current)
            .chain(&mut self.others)
            .find_map(|path| Some((path.validation.as_ref()?.answered(data)?, path)));
        let Some((answered, path)) = matching else {
            self.stats.responses_unmatched += 1;
            return None;
        };
        path.amplification.validate();
        path.validated = true;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-8.2.3
        //# However,
        //# the endpoint MUST initiate another path validation with an expanded datagram to
        //# verify that the path supports the required MTU.
        path.validation = if answered.expanded { None } else { Some(super::Validation::start(now, pto)) };
        if answered.expanded {
            path.proven = true;
            path.mtu.start();
        }
        let index = path.index;
        self.stats.validated += 1;
        if self.current.proven {
            self.settle(now, pto);
        }
        Some(index)
    }

    /// A datagram of `bytes` bytes was sent on the current path.
    pub fn on_sent(&mut self, bytes: usize) {
        self.current.amplification.on_sent(bytes as u64);
    }

    /// A datagram of `bytes` bytes was sent on this path.
    pub fn on_sent_to(&mut self, index: PathIndex, bytes: usize) {
        if let Some(path) = self.all_mut().find(|path| path.index == index) {
            path.amplification.on_sent(bytes as u64);
        }
    }

    /// Whether [`Self::poll_off_path`] has something, so that transmitting is worth while.
    pub fn has_frames(&self) -> bool {
        std::iter::once(&self.current).chain(&self.others).any(Path::has_frames)
    }

    /// The next datagram that has to go one certain path; to be sent before anything else, so that the first on a new
    /// path is a challenge. `random` gives the data of a challenge and is asked only if there is one.
    ///
    /// What is returned is taken: it must be sent, and its size told to [`Self::on_sent_to`].
    pub fn poll_off_path(&mut self, now: Time, ids: &PeerIds, random: impl FnOnce() -> [u8; 8]) -> Option<OffPath> {
        let path = std::iter::once(&mut self.current)
            .chain(&mut self.others)
            .find(|path| path.has_frames() && ids.id(path.index).is_some())?;
        let destination = ids.id(path.index)?;
        let (frames, size) = path.take_frames(now, random)?;
        Some(OffPath { index: path.index, remote: path.remote, local: path.local, destination, frames, size })
    }

    /// Whether [`Self::poll_off_path`] may have something.
    pub fn has_off_path(&self) -> bool {
        self.current.has_frames() || self.others.iter().any(Path::has_frames)
    }

    /// Whether the search for larger datagrams may send a probe on the current path now.
    pub fn mtu_may_probe(&self, now: Time) -> bool {
        self.current.mtu.may_probe(now)
    }

    /// When [`Self::on_deadline`] is to be called.
    pub fn deadline(&self) -> Option<Time> {
        let others = self.others.iter().filter_map(|path| {
            if self.is_kept(path) { path.validation.as_ref().map(super::Validation::deadline) } else { path.deadline() }
        });
        self.current.validation.as_ref().map(super::Validation::deadline).into_iter().chain(others).min()
    }

    /// Time went by: challenges are repeated, validations given up, paths forgotten.
    ///
    /// # Errors
    /// CONNECTION_ID_LIMIT_ERROR if a forgotten path's id cannot be given back (see [`PeerIds::release`]).
    pub fn on_deadline(&mut self, now: Time, pto: Duration, ids: &mut PeerIds) -> Result<Ended, TransportError> {
        let mut ended = Ended::default();
        if self.current.validation.as_mut().is_some_and(|validation| validation.on_deadline(now)) {
            self.current.validation = None;
            ended.failed += 1;
            self.leave_current(now, pto, ids, &mut ended)?;
        }
        let mut place = 0;
        while let Some(path) = self.others.get_mut(place) {
            let failed = path.validation.as_mut().is_some_and(|validation| validation.on_deadline(now));
            if failed {
                path.validation = None;
                ended.failed += 1;
            }
            let expired = path.expires.is_some_and(|expires| expires <= now) && path.validation.is_none();
            if (failed || expired) && Some(path.index) != self.fallback {
                let gone = self.others.remove(place);
                ids.release(gone.index)?;
            } else {
                place += 1;
            }
        }
        self.stats.failed += ended.failed;
        Ok(ended)
    }

    /// What of a datagram may be said before any packet of it is authenticated.
    fn may_begin(&self, remote: SocketAddr) -> Result<(), DropReason> {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-9
        //# The design of QUIC relies on endpoints retaining a stable address for the
        //# duration of the handshake.
        if !self.confirmed {
            return Err(DropReason::DuringHandshake);
        }
        if ports::is_blocked(remote.port()) {
            return Err(DropReason::BlockedPort);
        }
        let (before, after) = (self.current.remote.ip().to_canonical(), remote.ip().to_canonical());
        //= https://www.rfc-editor.org/rfc/rfc9000#section-21.5.6
        //# Endpoints SHOULD NOT allow connections or migration to a loopback address if the
        //# same service was previously available at a different interface or if the address
        //# was provided by a service at a non-loopback address.
        if after.is_loopback() && !before.is_loopback() {
            return Err(DropReason::Loopback);
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-9
        //# If the peer violates this requirement, the endpoint MUST either drop
        //# the incoming packets on that path without generating a Stateless Reset or
        //# proceed with path validation and allow the peer to migrate.
        if self.peer_stays && before != after {
            return Err(DropReason::MigrationDisabled);
        }
        Ok(())
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-9
    //# If a
    //# client receives packets from an unknown server address, the client MUST discard
    //# these packets.
    fn of_known_server(&self, remote: SocketAddr) -> Result<PathIndex, DropReason> {
        // Our own address may change under us; the path stays the one it is.
        let mut paths = std::iter::once(&self.current).chain(&self.others);
        paths.find(|path| path.remote == remote).map(Path::index).ok_or(DropReason::UnknownServer)
    }

    /// Makes the candidate a path, now that a packet from there is authentic.
    fn promote(
        &mut self,
        now: Time,
        packet: ReceivedPacket,
        pto: Duration,
        ids: &mut PeerIds,
    ) -> Result<(), DropReason> {
        if self.candidate.as_ref().is_none_or(|candidate| candidate.index != packet.path) {
            return Ok(());
        }
        let Some(mut path) = self.candidate.take().map(|candidate| *candidate) else { return Ok(()) };
        if now < self.next_path_at {
            return Err(DropReason::TooOften);
        }
        let same_id = packet.destination == self.current.peer_uses;
        if self.peer_stays && !same_id {
            return Err(DropReason::MigrationDisabled);
        }
        if self.is_full() {
            self.make_room(now, ids)?;
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-9.3
        //# If the recipient has no unused connection IDs from the peer, it will
        //# not be able to send anything on the new path until the peer provides one; see
        //# Section 9.5.
        let id = if same_id { ids.share(self.current.index, path.index) } else { ids.assign(path.index) };
        id.map_err(|_| DropReason::NoConnectionId)?;
        // A probe timeout grows with every variation of the round trip, and nothing shrinks it while the peer moves on
        // faster than it can be answered.
        self.next_path_at = now + pto.min(NEW_PATH_PAUSE);
        self.next_replacement_at = now + NEW_PATH_PAUSE;
        path.peer_uses = packet.destination;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-9
        //# An endpoint MUST perform path validation (Section 8.2) if it
        //# detects any change to a peer's address, unless it has previously validated that
        //# address.
        path.challenge(now, pto);
        // The same network, as far as one can tell. Whether still larger datagrams fit is looked for once the path is
        // validated.
        if !path.is_elsewhere(&self.current) {
            let initial = self.current.datagram_size();
            path.mtu = search(MtuConfig { initial, ..self.mtu_config }, self.peer_maximum);
        }
        self.others.push(path);
        Ok(())
    }

    /// There are as many paths as may be: the one that is missed least makes way for a newer one, once a second. That is
    /// one that was never validated, if there is one, and else the one that would be forgotten first; never the current
    /// one, and never the one to fall back to.
    fn make_room(&mut self, now: Time, ids: &mut PeerIds) -> Result<(), DropReason> {
        if now < self.next_replacement_at || !ids.may_release() {
            return Err(DropReason::TooManyPaths);
        }
        let dispensable = self.others.iter().enumerate().filter(|(_, path)| !self.is_kept(path));
        let place = dispensable.min_by_key(|(_, path)| (path.validated, path.expires)).map(|(place, _)| place);
        let gone = self.others.remove(place.ok_or(DropReason::TooManyPaths)?);
        ids.release(gone.index).map_err(|_| DropReason::NoConnectionId)
    }

    /// Makes the path at `place` current and puts the current one there. Whether everything starts again.
    pub(super) fn make_current(&mut self, now: Time, place: usize, pto: Duration, ids: &mut PeerIds) -> bool {
        let Some(next) = self.others.get_mut(place) else { return false };
        std::mem::swap(&mut self.current, next);
        next.keep(now, pto);
        // Where our own address changed, the exception for a peer's port does not apply.
        let restart = self.side.is_client() || next.is_elsewhere(&self.current);
        if next.proven || next.validated && self.fallback.is_none() {
            self.fallback = Some(next.index);
        }
        self.current.expires = None;
        ids.set_current(self.current.index);
        self.stats.migrations += 1;
        if self.current.proven {
            self.settle(now, pto);
        } else {
            self.current.challenge(now, pto);
        }
        restart
    }

    /// The current path is validated and wide enough: no other is needed any more.
    fn settle(&mut self, now: Time, pto: Duration) {
        if let Some(fallback) = self.fallback.take()
            && let Some(path) = self.others.iter_mut().find(|path| path.index == fallback)
        {
            path.keep(now, pto);
        }
    }

    /// The validation of the current path failed.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-9.3.2
    //# To protect the connection from failing due to such a spurious migration, an
    //# endpoint MUST revert to using the last validated peer address when validation
    //# of a new peer address fails.
    fn leave_current(
        &mut self,
        now: Time,
        pto: Duration,
        ids: &mut PeerIds,
        ended: &mut Ended,
    ) -> Result<(), TransportError> {
        let fallback = self.fallback.and_then(|index| self.others.iter().position(|path| path.index == index));
        let Some(place) = fallback else {
            // A path that was validated before stays in use; only losses tell whether it is dead.
            ended.nowhere_to_go = !self.current.proven;
            return Ok(());
        };
        ended.went_back = Some(self.make_current(now, place, pto, ids));
        self.fallback = None;
        self.stats.returns += 1;
        if let Some(failed) = self.others.get(place).map(Path::index) {
            self.others.remove(place);
            ids.release(failed)?;
        }
        Ok(())
    }

    pub(super) fn make(&self, index: PathIndex, remote: SocketAddr, local: Option<IpAddr>, validated: bool) -> Path {
        let mtu = MtuConfig { initial: super::mtu::BASE, ..self.mtu_config };
        Path::new(index, remote, local, validated, search(mtu, self.peer_maximum))
    }

    pub(super) fn is_full(&self) -> bool {
        self.count() >= PATHS
    }

    pub(super) fn free_index(&self) -> Option<PathIndex> {
        PathIndex::all().find(|index| self.path(*index).is_none())
    }

    fn is_kept(&self, path: &Path) -> bool {
        self.fallback == Some(path.index)
    }

    fn all(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&self.current).chain(&self.others).chain(self.candidate.as_deref())
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Path> {
        std::iter::once(&mut self.current).chain(&mut self.others).chain(self.candidate.as_deref_mut())
    }
}

/// How long at most one new path follows another, and at least one takes the place of another: a peer whose address
/// changes this often can still be reached.
const NEW_PATH_PAUSE: Duration = Duration::from_secs(1);
