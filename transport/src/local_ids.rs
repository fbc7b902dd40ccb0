//! [`LocalIds`]: the connection ids that we issued and the peer uses (RFC 9000 §5.1.1, §19.15, §19.16).

use std::sync::Arc;

use codec::cursor::Writer;
use codec::frame::{Frame, NewConnectionId};
use codec::{ConnectionId, ResetToken};
use smallvec::SmallVec;

use crate::error::TransportError;
use crate::limits::ISSUED_CONNECTION_IDS;
use crate::reset::ResetKey;
use crate::router::{IdGenerator, RouteChange, next_change};
use crate::token::{Token, Tokens};

/// The ids of one connection that lead to us.
///
/// As soon as the peer's limit is known, and whenever it retires one, new ids are made until the peer has as many as it
/// may. Each is first given to the router ([`Self::poll_route`]) and then announced ([`Self::next_frame`]), again if
/// the frame is lost.
#[derive(Debug)]
pub struct LocalIds {
    first: ConnectionId,
    active: SmallVec<[Issued; ISSUED_CONNECTION_IDS as usize]>,
    routes: Vec<RouteChange>,
    next_sequence: u64,
    // The sequence numbers below were sent to the peer, so it may name them.
    announced: u64,
    retire_prior_to: u64,
    peer_limit: u64,
    generator: IdGenerator,
    reset_key: Arc<ResetKey>,
}

#[derive(Clone, Copy, Debug)]
struct Issued {
    sequence: u64,
    id: ConnectionId,
    // Whether its NEW_CONNECTION_ID waits to be sent.
    unsent: bool,
}

impl LocalIds {
    /// The ids of a connection whose handshake uses `initial` as our source id. Its route is not reported again: who
    /// made the connection has added it.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1
    //# The
    //# sequence number of the initial connection ID is 0.
    pub fn new(initial: ConnectionId, generator: IdGenerator, reset_key: Arc<ResetKey>) -> Self {
        let mut active = SmallVec::new();
        active.push(Issued { sequence: 0, id: initial, unsent: false });
        Self {
            first: initial,
            active,
            routes: Vec::new(),
            next_sequence: 1,
            announced: 1,
            retire_prior_to: 0,
            // Until the peer says more, it keeps only the id of the handshake.
            peer_limit: 1,
            generator,
            reset_key,
        }
    }

    /// The source id of our long headers.
    pub const fn first(&self) -> ConnectionId {
        self.first
    }

    /// The length of all ids that lead here, which a short header does not tell.
    pub const fn length(&self) -> usize {
        self.first.len()
    }

    /// The reset token of [`Self::first`], for a server's transport parameters (RFC 9000 §18.2). Clients must not send
    /// it.
    pub fn first_reset_token(&self) -> ResetToken {
        self.reset_key.token(&self.first)
    }

    /// The peer keeps so many ids (its `active_connection_id_limit`). Makes what is missing.
    pub fn set_peer_limit(&mut self, active_connection_id_limit: u64) {
        self.peer_limit = self.peer_limit.max(active_connection_id_limit);
        self.issue();
    }

    /// The peer retired an id, in a packet that was sent to `carried_by`. An id that is gone already is ignored: the
    /// frame was repeated.
    ///
    /// # Errors
    /// PROTOCOL_VIOLATION if we never sent it that id, if the packet itself used it, or if our ids are empty.
    pub fn on_retire(&mut self, sequence: u64, carried_by: &ConnectionId) -> Result<(), TransportError> {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.16
        //# An endpoint that provides a zero-length connection
        //# ID MUST treat receipt of a RETIRE_CONNECTION_ID frame as a connection error of
        //# type PROTOCOL_VIOLATION.
        if self.is_without_ids() {
            return Err(TransportError::protocol_violation("an empty connection id cannot be retired"));
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.16
        //# Receipt of a RETIRE_CONNECTION_ID frame containing a sequence number greater
        //# than any previously sent to the peer MUST be treated as a connection error of
        //# type PROTOCOL_VIOLATION.
        if sequence >= self.announced {
            return Err(TransportError::protocol_violation("a connection id was retired that was never issued"));
        }
        let Some(place) = self.active.iter().position(|issued| issued.sequence == sequence) else { return Ok(()) };
        let Some(issued) = self.active.get(place).copied() else { return Ok(()) };
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.16
        //# The sequence number specified in a RETIRE_CONNECTION_ID frame MUST NOT refer
        //# to the Destination Connection ID field of the packet in which the frame is
        //# contained.
        if issued.id == *carried_by {
            return Err(TransportError::protocol_violation("a packet retired the connection id it used"));
        }
        self.active.remove(place);
        self.routes.push(RouteChange::Remove(issued.id));
        //= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1
        //# An endpoint SHOULD supply a new connection ID when the peer retires a connection
        //# ID.
        self.issue();
        Ok(())
    }

    /// Asks the peer to retire every id it has, and gives it new ones. Nothing happens while it has not retired what it
    /// was asked to retire before.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.2
    //# Endpoints SHOULD NOT issue updates of the Retire Prior To field before receiving
    //# RETIRE_CONNECTION_ID frames that retire all connection IDs indicated by the
    //# previous Retire Prior To value.
    pub fn rotate(&mut self) {
        let waits = self.active.iter().any(|issued| issued.sequence < self.retire_prior_to);
        if waits || self.is_without_ids() || self.peer_limit < 2 {
            return;
        }
        self.retire_prior_to = self.next_sequence;
        self.issue();
    }

    /// The next change for the router. To be drained before any packet leaves.
    pub fn poll_route(&mut self) -> Option<RouteChange> {
        next_change(&mut self.routes)
    }

    /// The next NEW_CONNECTION_ID to send, if there is one. It stays the next until [`Self::on_sent`].
    pub fn next_frame(&self) -> Option<NewConnectionId> {
        let issued = self.active.iter().find(|issued| issued.unsent)?;
        Some(NewConnectionId {
            sequence: issued.sequence,
            retire_prior_to: self.retire_prior_to.min(issued.sequence),
            id: issued.id,
            reset_token: self.reset_key.token(&issued.id),
        })
    }

    /// Whether a NEW_CONNECTION_ID waits to be sent.
    pub fn has_pending(&self) -> bool {
        self.active.iter().any(|issued| issued.unsent)
    }

    /// Writes as many frames as wait and fit, and adds their tokens.
    pub fn write_frames(&mut self, writer: &mut Writer<'_>, tokens: &mut Tokens) {
        while let Some(frame) = self.next_frame() {
            if Frame::NewConnectionId(frame).encode(writer).is_err() {
                return;
            }
            self.on_sent(frame.sequence);
            tokens.push(Token::NewConnectionId { sequence: frame.sequence });
        }
    }

    /// The frame with this sequence number is in a packet.
    pub fn on_sent(&mut self, sequence: u64) {
        self.announced = self.announced.max(sequence.saturating_add(1)).min(self.next_sequence);
        self.mark(sequence, false);
    }

    /// The packet with this frame was lost: it is sent again, unless the peer retired the id meanwhile.
    pub fn on_lost(&mut self, sequence: u64) {
        self.mark(sequence, true);
    }

    /// The packet with this frame was acknowledged.
    pub fn on_acknowledged(&mut self, sequence: u64) {
        // A frame that was thought lost and has arrived need not be sent again.
        self.mark(sequence, false);
    }

    /// The number of the id that a packet was sent to, or `None` if it is not (or no longer) one of ours.
    pub fn sequence_of(&self, id: &ConnectionId) -> Option<u64> {
        self.active.iter().find(|issued| issued.id == *id).map(|issued| issued.sequence)
    }

    /// All ids that lead to us now.
    pub fn active(&self) -> impl Iterator<Item = &ConnectionId> {
        self.active.iter().map(|issued| &issued.id)
    }

    /// How many ids were issued in all, for counters.
    pub const fn issued(&self) -> u64 {
        self.next_sequence
    }

    /// Makes ids until the peer has as many as it keeps, or as we want to look after.
    fn issue(&mut self) {
        if self.is_without_ids() {
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1
        //# An endpoint MUST NOT provide more connection IDs than the peer's
        //# limit.
        let wanted = self.peer_limit.min(ISSUED_CONNECTION_IDS);
        while (self.kept_by_peer() as u64) < wanted {
            let id = self.generator.next_id();
            let sequence = self.next_sequence;
            //= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1
            //# The sequence number on each newly issued
            //# connection ID MUST increase by 1.
            self.next_sequence += 1;
            self.active.push(Issued { sequence, id, unsent: true });
            self.routes.push(RouteChange::Add(id));
        }
    }

    /// How many the peer has once it did what it was asked to.
    fn kept_by_peer(&self) -> usize {
        self.active.iter().filter(|issued| issued.sequence >= self.retire_prior_to).count()
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1
    //# An endpoint that selects a zero-length connection ID during the handshake
    //# cannot issue a new connection ID.
    const fn is_without_ids(&self) -> bool {
        self.first.is_empty()
    }

    fn mark(&mut self, sequence: u64, unsent: bool) {
        if let Some(issued) = self.active.iter_mut().find(|issued| issued.sequence == sequence && sequence != 0) {
            issued.unsent = unsent;
        }
    }
}

#[cfg(test)]
mod tests {
    use codec::TransportErrorCode;
    use proptest::prelude::*;

    use super::*;

    fn ids() -> LocalIds {
        let mut generator = IdGenerator::new(&[7; 32], 0, 1);
        LocalIds::new(generator.next_id(), generator, Arc::new(ResetKey::new(&[8; 32])))
    }

    fn send_all(ids: &mut LocalIds) -> Vec<NewConnectionId> {
        std::iter::from_fn(|| {
            let frame = ids.next_frame()?;
            ids.on_sent(frame.sequence);
            Some(frame)
        })
        .collect()
    }

    fn code(result: Result<(), TransportError>) -> TransportErrorCode {
        result.unwrap_err().code
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1
    //= type=test
    //# An endpoint MUST NOT provide more connection IDs than the peer's
    //# limit.
    #[test]
    fn the_peer_gets_as_many_ids_as_it_keeps_and_we_look_after() {
        for (limit, expected) in [(2, 1), (3, 2), (4, 3), (100, 3), (u64::MAX, 3)] {
            let mut ids = ids();
            assert!(ids.next_frame().is_none(), "not before the limit is known");
            ids.set_peer_limit(limit);
            let frames = send_all(&mut ids);
            assert_eq!(frames.len(), expected);
            assert!(frames.iter().map(|frame| frame.sequence).eq(1..=expected as u64));
            assert!(frames.iter().all(|frame| frame.retire_prior_to == 0 && frame.id.len() == 8));
        }
    }

    #[test]
    fn every_id_is_routed_before_it_is_announced() {
        let mut ids = ids();
        ids.set_peer_limit(4);
        let routed: Vec<ConnectionId> = std::iter::from_fn(|| ids.poll_route())
            .map(|change| match change {
                RouteChange::Add(id) => id,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(routed, send_all(&mut ids).iter().map(|frame| frame.id).collect::<Vec<_>>());
    }

    #[test]
    fn each_token_belongs_to_its_id() {
        let mut ids = ids();
        ids.set_peer_limit(4);
        let key = ResetKey::new(&[8; 32]);
        for frame in send_all(&mut ids) {
            assert!(crate::reset::is_same_token(&frame.reset_token, &key.token(&frame.id)));
        }
    }

    #[test]
    fn a_lost_frame_is_sent_again_and_an_acknowledged_one_is_not() {
        let mut ids = ids();
        ids.set_peer_limit(4);
        let sent = send_all(&mut ids);
        ids.on_lost(2);
        ids.on_acknowledged(1);
        let again = send_all(&mut ids);
        assert_eq!((again.len(), again[0].sequence, again[0].id), (1, 2, sent[1].id));
        ids.on_lost(3);
        ids.on_acknowledged(3);
        assert!(ids.next_frame().is_none(), "it arrived after all");
    }

    #[test]
    fn a_retired_id_is_unrouted_replaced_and_never_sent_again() {
        let mut ids = ids();
        ids.set_peer_limit(4);
        let sent = send_all(&mut ids);
        while ids.poll_route().is_some() {}
        ids.on_retire(2, &sent[0].id).unwrap();
        assert!(matches!(ids.poll_route(), Some(RouteChange::Remove(id)) if id == sent[1].id));
        assert!(matches!(ids.poll_route(), Some(RouteChange::Add(_))));
        ids.on_lost(2);
        assert_eq!(send_all(&mut ids).iter().map(|frame| frame.sequence).collect::<Vec<_>>(), [4]);
        ids.on_retire(2, &sent[0].id).unwrap();
        assert!(ids.poll_route().is_none() && ids.next_frame().is_none(), "the frame was repeated");
        assert_eq!(ids.sequence_of(&sent[1].id), None);
        assert_eq!(ids.sequence_of(&sent[2].id), Some(3));
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.16
    //= type=test
    //# Receipt of a RETIRE_CONNECTION_ID frame containing a sequence number greater
    //# than any previously sent to the peer MUST be treated as a connection error of
    //# type PROTOCOL_VIOLATION.
    #[test]
    fn retiring_what_was_never_sent_is_a_violation() {
        let mut ids = ids();
        let other = ConnectionId::new(&[1; 8]).unwrap();
        assert_eq!(code(ids.on_retire(1, &other)), TransportErrorCode::PROTOCOL_VIOLATION);
        ids.set_peer_limit(4);
        assert_eq!(code(ids.on_retire(1, &other)), TransportErrorCode::PROTOCOL_VIOLATION, "made, but not sent");
        send_all(&mut ids);
        assert_eq!(code(ids.on_retire(4, &other)), TransportErrorCode::PROTOCOL_VIOLATION);
        assert_eq!(code(ids.on_retire(u64::MAX, &other)), TransportErrorCode::PROTOCOL_VIOLATION);
        ids.on_retire(3, &other).unwrap();
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.16
    //= type=test
    //# The sequence number specified in a RETIRE_CONNECTION_ID frame MUST NOT refer
    //# to the Destination Connection ID field of the packet in which the frame is
    //# contained.
    #[test]
    fn a_packet_may_not_retire_the_id_it_uses() {
        let mut ids = ids();
        ids.set_peer_limit(4);
        let sent = send_all(&mut ids);
        assert_eq!(code(ids.on_retire(1, &sent[0].id)), TransportErrorCode::PROTOCOL_VIOLATION);
        ids.on_retire(0, &sent[0].id).unwrap();
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.16
    //= type=test
    //# An endpoint that provides a zero-length connection
    //# ID MUST treat receipt of a RETIRE_CONNECTION_ID frame as a connection error of
    //# type PROTOCOL_VIOLATION.
    #[test]
    fn an_empty_id_stays_alone() {
        let generator = IdGenerator::new(&[7; 32], 0, 1);
        let mut ids = LocalIds::new(ConnectionId::EMPTY, generator, Arc::new(ResetKey::new(&[8; 32])));
        ids.set_peer_limit(4);
        ids.rotate();
        assert!(ids.next_frame().is_none() && ids.poll_route().is_none());
        assert_eq!(code(ids.on_retire(0, &ConnectionId::EMPTY)), TransportErrorCode::PROTOCOL_VIOLATION);
    }

    #[test]
    fn rotation_replaces_all_and_waits_for_the_peer() {
        let mut ids = ids();
        ids.set_peer_limit(4);
        send_all(&mut ids);
        ids.rotate();
        let fresh = send_all(&mut ids);
        assert_eq!(fresh.len(), 4);
        assert!(fresh.iter().all(|frame| frame.retire_prior_to == 4));
        ids.rotate();
        assert!(ids.next_frame().is_none(), "the peer has not answered");
        for sequence in 0..4 {
            ids.on_retire(sequence, &fresh[0].id).unwrap();
        }
        assert!(ids.next_frame().is_none(), "it has its four");
        ids.rotate();
        assert_eq!(send_all(&mut ids).len(), 4);
    }

    proptest! {
        #[test]
        fn a_peer_that_retires_without_end_costs_no_memory(steps in proptest::collection::vec((0_u64..40, 0_u8..4), 500)) {
            let mut ids = ids();
            ids.set_peer_limit(4);
            let other = ConnectionId::new(&[1; 8]).unwrap();
            for (number, step) in steps {
                match step {
                    0 => { send_all(&mut ids); }
                    1 => ids.on_lost(number),
                    2 => ids.on_acknowledged(number),
                    _ => { let _ignored = ids.on_retire(number, &other); }
                }
                while ids.poll_route().is_some() {}
                prop_assert!(ids.active.len() <= 4);
            }
        }
    }
}
