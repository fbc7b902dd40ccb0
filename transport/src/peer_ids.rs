//! [`PeerIds`]: the connection ids that the peer gave us to reach it (RFC 9000 §5.1.1, §5.1.2, §19.15).

use codec::cursor::Writer;
use codec::frame::{Frame, NewConnectionId, RetireConnectionId};
use codec::{ConnectionId, ResetToken};
use smallvec::SmallVec;

use crate::error::TransportError;
use crate::limits::{ACTIVE_CONNECTION_IDS, RETIRED_CONNECTION_IDS};
use crate::path::PathIndex;
use crate::reset::{TokensInUse, is_same_token};
use crate::router::{RouteChange, next_change};
use crate::token::{Token, Tokens};

/// The peer's ids: which path uses which, which are spare, and which have to be given back.
///
/// Every way an id leaves goes through one queue of RETIRE_CONNECTION_ID frames whose bound is checked where it grows,
/// so that no kind of input can make it grow without the peer acknowledging (RFC 9000 §5.1.2).
#[derive(Debug)]
pub struct PeerIds {
    active: SmallVec<[Given; ACTIVE_CONNECTION_IDS as usize + 1]>,
    used_by: [Option<u64>; PathIndex::NAMES],
    current: PathIndex,
    tokens: TokensInUse,
    routes: Vec<RouteChange>,
    retiring: Vec<Retiring>,
    retire_prior_to: u64,
    seen: Seen,
    retired: u64,
}

/// There is no id that was not used elsewhere: nothing may be sent on the new path (RFC 9000 §9.5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NoConnectionId;

impl std::fmt::Display for NoConnectionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the peer has given no connection id that was not used on another path")
    }
}

impl std::error::Error for NoConnectionId {}

#[derive(Clone, Copy, Debug)]
struct Given {
    sequence: u64,
    id: ConnectionId,
    token: Option<ResetToken>,
}

#[derive(Clone, Copy, Debug)]
struct Retiring {
    sequence: u64,
    unsent: bool,
}

impl PeerIds {
    /// The ids of a connection whose first path sends to `initial`: what the client made up, or the source id of the
    /// client's Initial.
    pub fn new(initial: ConnectionId) -> Self {
        let mut active = SmallVec::new();
        active.push(Given { sequence: 0, id: initial, token: None });
        let mut used_by = [None; PathIndex::NAMES];
        used_by[PathIndex::FIRST.index()] = Some(0);
        Self {
            active,
            used_by,
            current: PathIndex::FIRST,
            tokens: TokensInUse::new(),
            routes: Vec::new(),
            retiring: Vec::new(),
            retire_prior_to: 0,
            seen: Seen::default(),
            retired: 0,
        }
    }

    /// The client heard from the server which id to use: in a Retry, and then in the first Initial. Only for as long
    /// as no other id was given.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-7.2
    //# A client MUST change the Destination Connection ID it uses for sending packets
    //# in response to only the first received Initial or Retry packet.
    pub fn replace_initial(&mut self, id: ConnectionId) {
        if let Some(given) = self.active.iter_mut().find(|given| given.sequence == 0) {
            given.id = id;
        }
    }

    /// The server's transport parameters gave the reset token of its first id (RFC 9000 §18.2).
    pub fn set_first_reset_token(&mut self, token: ResetToken) {
        if let Some(given) = self.active.iter_mut().find(|given| given.sequence == 0) {
            given.token = Some(token);
        }
        self.renew_tokens();
    }

    /// The server's transport parameters gave a second id with its preferred address.
    ///
    /// # Errors
    /// As [`Self::on_new_connection_id`].
    //= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1
    //# If the preferred_address
    //# transport parameter is sent, the sequence number of the supplied connection ID
    //# is 1.
    pub fn add_preferred(&mut self, id: ConnectionId, token: ResetToken) -> Result<(), TransportError> {
        self.on_new_connection_id(&NewConnectionId { sequence: 1, retire_prior_to: 0, id, reset_token: token })
    }

    /// The peer gave an id, and perhaps asked for others back.
    ///
    /// # Errors
    /// PROTOCOL_VIOLATION, FRAME_ENCODING_ERROR or CONNECTION_ID_LIMIT_ERROR, as RFC 9000 §19.15, §5.1.1 and §5.1.2
    /// say.
    pub fn on_new_connection_id(&mut self, frame: &NewConnectionId) -> Result<(), TransportError> {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.15
        //# An endpoint that is sending packets with a
        //# zero-length Destination Connection ID MUST treat receipt of a NEW_CONNECTION_ID
        //# frame as a connection error of type PROTOCOL_VIOLATION.
        if self.is_without_ids() {
            return Err(TransportError::protocol_violation("the peer uses an empty connection id and gave another"));
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.15
        //# Receiving a value in the Retire
        //# Prior To field that is greater than that in the Sequence Number field MUST be
        //# treated as a connection error of type FRAME_ENCODING_ERROR.
        if frame.retire_prior_to > frame.sequence {
            return Err(TransportError::frame_encoding("a connection id is to be retired before it is given"));
        }
        let known = self.is_known(frame)?;
        self.raise_retire_prior_to(frame.retire_prior_to)?;
        if !known {
            self.add(frame)?;
        }
        self.replace_lost();
        self.renew_tokens();
        //= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1
        //# After
        //# processing a NEW_CONNECTION_ID frame and adding and retiring active connection
        //# IDs, if the number of active connection IDs exceeds the value advertised in its
        //# active_connection_id_limit transport parameter, an endpoint MUST close the
        //# connection with an error of type CONNECTION_ID_LIMIT_ERROR.
        if self.active.len() as u64 > ACTIVE_CONNECTION_IDS {
            return Err(TransportError::connection_id_limit("more connection ids than our limit"));
        }
        Ok(())
    }

    /// The id that packets on the current path are sent to.
    ///
    /// Should the peer have taken it back without giving another, it is the first id that it has left; and the empty id
    /// if there is none at all, in which case the peer can only ignore us.
    pub fn current(&self) -> ConnectionId {
        let any = || self.active.first().map_or(ConnectionId::EMPTY, |given| given.id);
        self.id(self.current).unwrap_or_else(any)
    }

    /// Packets go this path from now on.
    pub(crate) const fn set_current(&mut self, path: PathIndex) {
        self.current = path;
    }

    /// The id that packets on this path are sent to; `None` if it lost its id and there was no other.
    pub fn id(&self, path: PathIndex) -> Option<ConnectionId> {
        self.given(path).map(|given| given.id)
    }

    /// The sequence number of the id that this path uses.
    pub fn sequence(&self, path: PathIndex) -> Option<u64> {
        self.used_by.get(path.index()).copied().flatten()
    }

    /// Gives a new path an id that no other path ever used.
    ///
    /// # Errors
    /// [`NoConnectionId`] if there is none; the path then has no id.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-9.5
    //# Similarly, an endpoint MUST NOT reuse a connection ID when sending to more than
    //# one destination address.
    pub fn assign(&mut self, path: PathIndex) -> Result<ConnectionId, NoConnectionId> {
        let spare = self.active.iter().find(|given| !self.is_used(given.sequence)).copied();
        // A peer without ids is reached without them, on every path (RFC 9000 §5.1.1).
        let spare = spare.or_else(|| self.active.first().copied().filter(|given| given.id.is_empty()));
        self.set(path, spare.map(|given| given.sequence));
        spare.map(|given| given.id).ok_or(NoConnectionId)
    }

    /// A new path goes on with the id of another: the peer's address changed, but it did not change the id that it
    /// sends to, so it does not know of a change.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-9.5
    //# Due to network changes outside the control of its
    //# peer, an endpoint might receive packets from a new source address with the same
    //# Destination Connection ID field value, in which case it MAY continue to use the
    //# current connection ID with the new remote address while still sending from the
    //# same local address.
    pub fn share(&mut self, from: PathIndex, to: PathIndex) -> Result<ConnectionId, NoConnectionId> {
        let sequence = self.sequence(from);
        self.set(to, sequence);
        self.id(to).ok_or(NoConnectionId)
    }

    /// A path is no longer used. Its id is given back, unless another path shares it.
    ///
    /// # Errors
    /// CONNECTION_ID_LIMIT_ERROR if too many were given back without being acknowledged.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.2
    //# Endpoints SHOULD retire connection IDs when they are no
    //# longer actively using either the local or destination address for which the
    //# connection ID was used.
    pub fn release(&mut self, path: PathIndex) -> Result<(), TransportError> {
        let Some(sequence) = self.sequence(path) else { return Ok(()) };
        self.set(path, None);
        if self.is_used(sequence) || self.is_without_ids() {
            return Ok(());
        }
        let Some(place) = self.active.iter().position(|given| given.sequence == sequence) else { return Ok(()) };
        self.active.remove(place);
        self.retire(sequence)
    }

    /// Whether a path's id can be given back without going beyond what may wait to be acknowledged.
    pub(crate) fn may_release(&self) -> bool {
        self.retiring.len() < RETIRED_CONNECTION_IDS
    }

    /// How many ids no path uses.
    pub fn spare(&self) -> usize {
        self.active.iter().filter(|given| !self.is_used(given.sequence)).count()
    }

    /// Whether the peer chose to have no ids.
    pub fn is_without_ids(&self) -> bool {
        self.active.iter().any(|given| given.id.is_empty())
    }

    /// The next change for the router: reset tokens of ids that came into use or went out of it.
    pub fn poll_route(&mut self) -> Option<RouteChange> {
        next_change(&mut self.routes)
    }

    /// The reset tokens of all ids in use.
    pub fn reset_tokens(&self) -> impl Iterator<Item = ResetToken> + '_ {
        self.tokens.iter()
    }

    /// Whether this is the reset token of an id in use; what is spare or retired does not count (RFC 9000 §10.3.1).
    /// Compared in constant time.
    pub fn is_reset_token(&self, token: &ResetToken) -> bool {
        self.tokens.contains(token)
    }

    /// Whether a RETIRE_CONNECTION_ID waits to be sent.
    pub fn has_pending(&self) -> bool {
        self.retiring.iter().any(|retiring| retiring.unsent)
    }

    /// Writes as many RETIRE_CONNECTION_ID frames as wait and fit, and adds their tokens.
    pub fn write_frames(&mut self, writer: &mut Writer<'_>, tokens: &mut Tokens) {
        while let Some(sequence) = self.next_retire() {
            if Frame::RetireConnectionId(RetireConnectionId { sequence }).encode(writer).is_err() {
                return;
            }
            self.on_retire_sent(sequence);
            tokens.push(Token::RetireConnectionId { sequence });
        }
    }

    /// The next sequence number to give back in a RETIRE_CONNECTION_ID frame. It stays the next until
    /// [`Self::on_retire_sent`].
    pub fn next_retire(&self) -> Option<u64> {
        self.retiring.iter().find(|retiring| retiring.unsent).map(|retiring| retiring.sequence)
    }

    /// The frame is in a packet.
    pub fn on_retire_sent(&mut self, sequence: u64) {
        self.mark(sequence, false);
    }

    /// The packet with the frame was lost: it is sent again.
    pub fn on_lost(&mut self, sequence: u64) {
        self.mark(sequence, true);
    }

    /// The packet with the frame was acknowledged: the id is gone at both ends.
    pub fn on_acknowledged(&mut self, sequence: u64) {
        self.retiring.retain(|retiring| retiring.sequence != sequence);
    }

    /// How many ids were given back in all, for counters.
    pub const fn retired(&self) -> u64 {
        self.retired
    }

    /// Whether the frame repeats an id that is active.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.15
    //# If an endpoint receives a NEW_CONNECTION_ID frame that repeats a previously
    //# issued connection ID with a different Stateless Reset Token field value or a
    //# different Sequence Number field value, or if a sequence number is used for
    //# different connection IDs, the endpoint MAY treat that receipt as a connection
    //# error of type PROTOCOL_VIOLATION.
    fn is_known(&self, frame: &NewConnectionId) -> Result<bool, TransportError> {
        let mut known = false;
        for given in &self.active {
            let same_sequence = given.sequence == frame.sequence;
            let same_id = given.id == frame.id;
            let same_token = given.token.map(|token| is_same_token(&token, &frame.reset_token));
            match (same_sequence, same_id, same_token) {
                (false, false, None | Some(false)) => {}
                (true, true, None | Some(true)) => known = true,
                //= https://www.rfc-editor.org/rfc/rfc9000#section-10.3.2
                //# Endpoints are not required to compare new values against all previous values,
                //# but a duplicate value MAY be treated as a connection error of type
                //# PROTOCOL_VIOLATION.
                (false, false, Some(true)) => {
                    return Err(TransportError::protocol_violation("two connection ids have one reset token"));
                }
                (true, ..) => {
                    return Err(TransportError::protocol_violation("a sequence number names two connection ids"));
                }
                (false, true, _) => {
                    return Err(TransportError::protocol_violation("a connection id has two sequence numbers"));
                }
            }
        }
        Ok(known)
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.2
    //# Upon receipt of an increased Retire Prior To field, the peer MUST stop using
    //# the corresponding connection IDs and retire them with RETIRE_CONNECTION_ID
    //# frames before adding the newly provided connection ID to the set of active
    //# connection IDs.
    fn raise_retire_prior_to(&mut self, retire_prior_to: u64) -> Result<(), TransportError> {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.15
        //# A receiver MUST ignore any
        //# Retire Prior To fields that do not increase the largest received Retire Prior To
        //# value.
        if retire_prior_to <= self.retire_prior_to {
            return Ok(());
        }
        self.retire_prior_to = retire_prior_to;
        while let Some(place) = self.active.iter().position(|given| given.sequence < retire_prior_to) {
            let Some(sequence) = self.active.get(place).map(|given| given.sequence) else { break };
            // Should this fail, the id stays: the CONNECTION_CLOSE has to go to some id that the peer knows.
            self.retire(sequence)?;
            self.active.remove(place);
        }
        Ok(())
    }

    fn add(&mut self, frame: &NewConnectionId) -> Result<(), TransportError> {
        match self.seen.standing(frame.sequence) {
            Standing::Retired => return Ok(()),
            //= https://www.rfc-editor.org/rfc/rfc9000#section-19.15
            //# An endpoint that receives a NEW_CONNECTION_ID frame with a sequence number
            //# smaller than the Retire Prior To field of a previously received
            //# NEW_CONNECTION_ID frame MUST send a corresponding RETIRE_CONNECTION_ID frame
            //# that retires the newly received connection ID, unless it has already done so
            //# for that sequence number.
            _ if frame.sequence < self.retire_prior_to => return self.retire(frame.sequence),
            // Too long ago to remember whether it was given back: it may not be used, and giving it back twice does
            // no harm.
            Standing::Forgotten => return self.retire(frame.sequence),
            Standing::New => {}
        }
        self.active.push(Given { sequence: frame.sequence, id: frame.id, token: Some(frame.reset_token) });
        Ok(())
    }

    /// Gives paths whose id was taken away another one, the current path first.
    fn replace_lost(&mut self) {
        for path in std::iter::once(self.current).chain(PathIndex::all()) {
            let lost = self.sequence(path);
            if lost.is_none() || self.given(path).is_some() {
                continue;
            }
            let spare = self.active.iter().map(|given| given.sequence).find(|sequence| !self.is_used(*sequence));
            let Some(spare) = spare else { return };
            // Paths that shared the old id are one path whose address changed: they share the new one.
            for used in self.used_by.iter_mut().filter(|used| **used == lost) {
                *used = Some(spare);
            }
        }
    }

    /// Puts an id into the queue of those to be given back: the only way into it.
    fn retire(&mut self, sequence: u64) -> Result<(), TransportError> {
        self.seen.retire(sequence);
        if self.retiring.iter().any(|retiring| retiring.sequence == sequence) {
            return Ok(());
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.2
        //# An endpoint MUST NOT forget a connection ID without retiring it, though it MAY
        //# choose to treat having connection IDs in need of retirement that exceed this
        //# limit as a connection error of type CONNECTION_ID_LIMIT_ERROR.
        if self.retiring.len() >= RETIRED_CONNECTION_IDS {
            return Err(TransportError::connection_id_limit("too many retired connection ids are not acknowledged"));
        }
        self.retiring.push(Retiring { sequence, unsent: true });
        self.retired = self.retired.saturating_add(1);
        Ok(())
    }

    fn given(&self, path: PathIndex) -> Option<&Given> {
        let sequence = self.sequence(path)?;
        self.active.iter().find(|given| given.sequence == sequence)
    }

    fn is_used(&self, sequence: u64) -> bool {
        self.used_by.contains(&Some(sequence))
    }

    fn set(&mut self, path: PathIndex, sequence: Option<u64>) {
        if let Some(used) = self.used_by.get_mut(path.index()) {
            *used = sequence;
        }
        self.renew_tokens();
    }

    fn renew_tokens(&mut self) {
        let Self { active, used_by, tokens, routes, .. } = self;
        let used = active.iter().filter(|given| used_by.contains(&Some(given.sequence)));
        tokens.update(used.filter_map(|given| given.token), routes);
    }

    fn mark(&mut self, sequence: u64, unsent: bool) {
        if let Some(retiring) = self.retiring.iter_mut().find(|retiring| retiring.sequence == sequence) {
            retiring.unsent = unsent;
        }
    }
}

/// Which of the last 128 sequence numbers were given back, so that a repeated frame does not bring one back to life.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    // Bit `n` stands for sequence number `base + n`.
    base: u64,
    retired: u128,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Standing {
    /// Never given back.
    New,
    /// Given back.
    Retired,
    /// Before the window.
    Forgotten,
}

impl Seen {
    fn standing(&self, sequence: u64) -> Standing {
        match sequence.checked_sub(self.base) {
            None => Standing::Forgotten,
            Some(offset) if offset < 128 && self.retired >> offset & 1 == 1 => Standing::Retired,
            Some(_) => Standing::New,
        }
    }

    fn retire(&mut self, sequence: u64) {
        let Some(offset) = sequence.checked_sub(self.base) else { return };
        // The window ends with the largest that was given back.
        let shift = offset.saturating_sub(127);
        self.base = self.base.saturating_add(shift);
        self.retired = if shift < 128 { self.retired >> shift } else { 0 };
        self.retired |= 1 << (offset - shift);
    }
}

#[cfg(test)]
mod tests;
