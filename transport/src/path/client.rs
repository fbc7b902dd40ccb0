//! Migrations that a client begins (RFC 9000 §9.2, §9.6).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use codec::Time;

use super::{MigrationRefused, PathIndex, Paths};
use crate::accept::ports;
use crate::peer_ids::PeerIds;

impl Paths {
    /// A client begins to probe the path from another local address, or to another of the server's: a challenge goes
    /// there. Nothing else does until [`Self::migrate`].
    ///
    /// # Errors
    /// Why it may not.
    pub fn open(
        &mut self,
        now: Time,
        remote: SocketAddr,
        local: Option<IpAddr>,
        pto: Duration,
        ids: &mut PeerIds,
    ) -> Result<PathIndex, MigrationRefused> {
        if self.side.is_server() {
            return Err(MigrationRefused::ServersStay);
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-9
        //# An endpoint MUST NOT initiate connection migration
        //# before the handshake is confirmed, as defined in Section 4.1.2 of [QUIC-TLS].
        if !self.confirmed {
            return Err(MigrationRefused::NotConfirmed);
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-9
        //# If the peer sent the disable_active_migration transport parameter, an endpoint
        //# also MUST NOT send packets (including probing packets; see Section 9.1) from a
        //# different local address to the address the peer used during the handshake,
        //# unless the endpoint has acted on a preferred_address transport parameter from
        //# the peer.
        if self.we_stay && remote == self.current.remote {
            return Err(MigrationRefused::Disabled);
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-9.5
        //# An endpoint SHOULD NOT initiate migration with a peer that has requested a
        //# zero-length connection ID, because traffic over the new path might be trivially
        //# linkable to traffic over the old one.
        if ids.is_without_ids() {
            return Err(MigrationRefused::NoConnectionId);
        }
        let index = self.free_index().filter(|_| !self.is_full()).ok_or(MigrationRefused::TooManyPaths)?;
        ids.assign(index).map_err(|_| MigrationRefused::NoConnectionId)?;
        let mut path = self.make(index, remote, local, true);
        path.validated = false;
        path.proven = false;
        path.challenge(now, pto);
        self.others.push(path);
        Ok(index)
    }

    /// A client makes a path that it opened the current one. It need not be validated first, unless it leads to
    /// another address of the server. Returns whether congestion control and round-trip estimate start again.
    ///
    /// # Errors
    /// Why it may not.
    pub fn migrate(
        &mut self,
        now: Time,
        index: PathIndex,
        pto: Duration,
        ids: &mut PeerIds,
    ) -> Result<bool, MigrationRefused> {
        if self.side.is_server() {
            return Err(MigrationRefused::ServersStay);
        }
        let place = self.others.iter().position(|path| path.index == index).ok_or(MigrationRefused::UnknownPath)?;
        let path = self.others.get(place).ok_or(MigrationRefused::UnknownPath)?;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-9.6.2
        //# A client that migrates to a preferred address MUST validate the address it
        //# chooses before migrating; see Section 21.5.3.
        if path.remote != self.current.remote && !path.validated {
            return Err(MigrationRefused::NotValidated);
        }
        Ok(self.make_current(now, place, pto, ids))
    }

    /// A client's own address changed under all of its paths: nothing can be sent from where it was. The connection goes
    /// on at once, to the same address of the server, under an id that was not used before; the new path is challenged.
    /// There is no way back. Returns whether congestion control and round-trip estimate start again.
    ///
    /// # Errors
    /// Why that may not be. Packets go on under the id there is, then, as after a NAT's rebinding.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-9.5
    //# An endpoint MUST NOT reuse a connection ID when sending from
    //# more than one local address -- for example, when initiating
    //# connection migration as described in Section 9.2 or when probing a
    //# new network path as described in Section 9.1.
    pub fn relocate(&mut self, now: Time, pto: Duration, ids: &mut PeerIds) -> Result<bool, MigrationRefused> {
        if self.side.is_server() {
            return Err(MigrationRefused::ServersStay);
        }
        // The system chooses the source address again: the one there was may be gone.
        self.current.local = None;
        for path in &mut self.others {
            path.local = None;
        }
        let index = self.open(now, self.current.remote, None, pto, ids)?;
        let restart = self.migrate(now, index, pto, ids)?;
        self.fallback = None;
        Ok(restart)
    }
}

/// Whether a client may try the address that a server prefers (RFC 9000 §9.6): not if a public server points it at a
/// host that is only the client's to reach.
//= https://www.rfc-editor.org/rfc/rfc9000#section-21.5.6
//# Endpoints SHOULD NOT allow connections or migration to a loopback address if the
//# same service was previously available at a different interface or if the address
//# was provided by a service at a non-loopback address.
pub fn may_use_preferred_address(server: IpAddr, preferred: SocketAddr) -> bool {
    let address = preferred.ip().to_canonical();
    let unusable = address.is_unspecified() || address.is_multicast() || ports::is_blocked(preferred.port());
    !unusable && reach(address) >= reach(server.to_canonical())
}

/// How far an address reaches: this host, this link or site, everywhere.
fn reach(address: IpAddr) -> u8 {
    let (host, site) = match address {
        IpAddr::V4(address) => (address.is_loopback(), address.is_private() || address.is_link_local()),
        IpAddr::V6(address) => (address.is_loopback(), address.is_unique_local() || address.is_unicast_link_local()),
    };
    match (host, site) {
        (true, _) => 0,
        (_, true) => 1,
        _ => 2,
    }
}
