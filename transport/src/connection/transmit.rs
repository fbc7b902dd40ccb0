//! The way out: what may leave now, in which datagrams. Packets are built in `packet.rs`.

use codec::Time;
use recovery::SpaceId;
use tls::Level;

use super::Connection;
use super::state::State;
use crate::limits::Limit;
use crate::output::{Transmit, TransmitWanted};
use crate::path::OffPath;
use crate::stats::SendLimit;

/// A packet is not begun in less room than this: a long header, a few frames, a tag.
const SMALLEST_PACKET: usize = 100;
/// Segments of one GSO send (UDP_MAX_SEGMENTS of the kernel).
const SEGMENTS: usize = 64;

/// What may be put in a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Permission {
    /// Anything.
    Everything,
    /// Only what does not count as in flight: acknowledgements.
    Acknowledgements,
}

impl Connection {
    /// Fills `buffer` with datagrams for one address, as many as may leave now. Call again until it returns `None`.
    ///
    /// All datagrams but the last are of the same size, whatever that is, and the last is no longer. `buffer` should have room
    /// for 64 KiB; less gives smaller batches.
    pub fn poll_transmit(&mut self, now: Time, buffer: &mut [u8]) -> Option<Transmit> {
        self.now = now;
        match self.state {
            State::Closing => return self.transmit_close(now, buffer),
            State::Draining | State::Drained => return None,
            State::Handshaking | State::Connected | State::Confirmed => {}
        }
        let transmit = self
            .transmit_off_path(now, buffer)
            .or_else(|| self.transmit_current(now, buffer))
            .or_else(|| self.transmit_mtu_probe(now, buffer));
        if !self.state.is_open() {
            // Sealing found that the keys are worn out.
            return self.transmit_close(now, buffer);
        }
        transmit
    }

    /// Whether [`Self::poll_transmit`] may find something, to be asked before a buffer is taken for it. If not, that is
    /// noted as it would be there.
    pub fn may_transmit(&mut self, now: Time) -> bool {
        self.now = now;
        let acknowledges = self.received[SpaceId::Application].is_ack_due(now);
        let waits = acknowledges || self.paths.has_off_path() || self.waits_for_window(now);
        if !waits {
            self.wanted = None;
            if !self.awaiting_window {
                self.on_window_unused(now);
            }
        }
        waits
    }

    /// Whether there is anything that the pacer or the window must permit.
    pub fn wants_to_transmit(&self) -> bool {
        SpaceId::ALL.into_iter().any(|space| self.wants_to_send(space))
    }

    /// Whether a larger window, or another state of the connection, may let something out.
    pub(super) fn waits_for_window(&self, now: Time) -> bool {
        self.state != State::Confirmed
            || self.wants_to_send(SpaceId::Application)
            || self.probes[SpaceId::Application.index()] > 0
            || self.paths.mtu_may_probe(now)
    }

    /// There is nothing to send: if the window would let something out, it is not the window that holds it back.
    pub(super) fn on_window_unused(&mut self, now: Time) {
        if self.recovery.bytes_in_flight() < self.window.congestion_window && !self.recovery.is_full() {
            self.on_nothing_to_send(now);
        }
    }

    fn transmit_current(&mut self, now: Time, buffer: &mut [u8]) -> Option<Transmit> {
        self.wanted = None;
        self.marking = self.config.ecn && self.recovery.marks_ecn();
        let size = usize::from(self.paths.current().datagram_size());
        let mut segment_size = 0;
        let mut used = 0;
        for _ in 0..SEGMENTS {
            let room = if used == 0 { size } else { segment_size };
            let Some(datagram) = buffer.get_mut(used..used + room) else { break };
            let Some(length) = self.build_datagram(now, datagram) else { break };
            if used == 0 {
                segment_size = length;
            }
            used += length;
            self.count_datagram(length);
            // One that is shorter than those before it is the last that the kernel takes with them. If they are all shorter
            // than the path permits, it is because the next DATAGRAM frame did not fit: it may fill one as long as they are.
            if length < segment_size || length < size && !self.datagrams.has_pending() {
                break;
            }
        }
        if used == 0 {
            return None;
        }
        Some(self.transmit_of(segment_size, used))
    }

    fn transmit_of(&self, segment_size: usize, length: usize) -> Transmit {
        let path = self.paths.current();
        Transmit {
            remote: path.remote(),
            local: path.local(),
            ecn: self.marking.then(|| self.recovery.ecn_codepoint()),
            segment_size,
            length,
        }
    }

    fn count_datagram(&mut self, length: usize) {
        self.stats.datagrams_sent += 1;
        self.stats.bytes_sent += length as u64;
    }

    /// Builds the next datagram for the current path and says how long it is.
    fn build_datagram(&mut self, now: Time, datagram: &mut [u8]) -> Option<usize> {
        if self.is_silenced(now) {
            return None;
        }
        let room = self.amplification_room(now, datagram.len())?;
        self.fill_probes();
        // Asked once a datagram: nothing in here adds to it.
        let wants = SpaceId::ALL.map(|space| self.wants_to_send(space));
        let permission = self.permission(now, room, wants);
        let mut length = 0;
        let mut in_flight = false;
        let spaces = SpaceId::ALL.map(|space| self.may_send(now, space, wants[space.index()], permission));
        for space in SpaceId::ALL {
            if !spaces[space.index()] || room - length < SMALLEST_PACKET && length > 0 {
                continue;
            }
            let later = SpaceId::ALL.into_iter().skip(space.index() + 1).any(|later| spaces[later.index()]);
            // A datagram with an Initial is padded in its last packet (RFC 9000 §14.1).
            let initial = spaces[SpaceId::Initial.index()];
            let pad = initial && (!later || self.fills(space, room - length));
            let content = self.content(now, space, permission);
            if let Some(built) = self.build_packet(now, space, &mut datagram[..room], length, content, pad) {
                length = built.end;
                in_flight |= built.in_flight;
            }
        }
        if length == 0 {
            return None;
        }
        self.paths.on_sent(length);
        if in_flight {
            self.pacer.on_sent(now, length as u64);
        }
        Some(length)
    }

    /// Whether the peer has acknowledged so little that nothing more can be remembered: then not even acknowledgements
    /// are sent, only probes, and those come to an end (see [`PROBE_TIMEOUTS`](crate::limits::PROBE_TIMEOUTS)).
    fn is_silenced(&mut self, now: Time) -> bool {
        let silenced = self.recovery.is_full() && self.probes.iter().all(|probes| *probes == 0);
        if silenced {
            self.stats.hit(Limit::SentPackets);
            self.limit_by(now, SendLimit::Congestion);
        }
        silenced
    }

    /// Whether what waits in `space` leaves no room for another packet behind it.
    fn fills(&self, space: SpaceId, room: usize) -> bool {
        self.crypto[space].pending_bytes() + SMALLEST_PACKET * 2 > room
    }

    /// How much of `wanted` may be sent to an address that is perhaps not the peer's (RFC 9000 §8).
    fn amplification_room(&mut self, now: Time, wanted: usize) -> Option<usize> {
        let available = self.paths.current().sendable();
        if available >= wanted as u64 {
            // Perhaps on another path than the one that was blocked: its timer runs again.
            self.recovery.set_amplification_blocked(false);
            return Some(wanted);
        }
        let available = usize::try_from(available).unwrap_or(usize::MAX);
        // Datagrams with ack-eliciting Initials must be full; after that, a small one may serve to validate the path.
        if self.keys.can_seal(Level::Initial) || available < SMALLEST_PACKET {
            if SpaceId::ALL.into_iter().any(|space| self.wants_to_send(space) || self.probes[space.index()] > 0) {
                self.stats.amplification_blocked += 1;
                self.stats.hit(Limit::Amplification);
                self.recovery.set_amplification_blocked(true);
                self.limit_by(now, SendLimit::Amplification);
            }
            return None;
        }
        Some(available)
    }

    /// What window and pacer permit for a datagram of `size` bytes.
    fn permission(&mut self, now: Time, size: usize, wants: [bool; 3]) -> Permission {
        let size = size as u64;
        let handshakes = wants[SpaceId::Initial.index()] || wants[SpaceId::Handshake.index()];
        let wants = handshakes || wants[SpaceId::Application.index()];
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7
        //# An endpoint MUST NOT send a packet if it would cause bytes_in_flight (see
        //# {{vars-of-interest}}) to be larger than the congestion window, unless the packet
        //# is sent on a PTO timer expiration (see {{pto}}) or when entering recovery (see
        //# {{recovery-period}}).
        let wanted = self.recovery.bytes_in_flight().saturating_add(size + self.reserved(size, handshakes));
        let fits = wanted <= self.window.congestion_window;
        if !fits || self.recovery.is_full() {
            if wants {
                self.window_was_full = true;
                self.limit_by(now, SendLimit::Congestion);
            }
            return Permission::Acknowledgements;
        }
        if self.awaiting_window {
            return Permission::Acknowledgements;
        }
        let burst = if handshakes { size } else { self.burst(now, size) };
        if burst < size {
            self.window_was_full = true;
            self.limit_by(now, SendLimit::Congestion);
            return Permission::Acknowledgements;
        }
        if self.pacer.available(now) < burst {
            if wants {
                self.limit_by(now, SendLimit::Pacing);
                self.want_transmit(now, size, burst);
            }
            return Permission::Acknowledgements;
        }
        if !wants {
            self.on_nothing_to_send(now);
        }
        Permission::Everything
    }

    /// Window and pacer would let more out than there is.
    pub(super) fn on_nothing_to_send(&mut self, now: Time) {
        let limit = match self.ledger.blocked_by() {
            Some(crate::stream::ledger::FlowBlocked::Connection) => SendLimit::FlowConnection,
            Some(crate::stream::ledger::FlowBlocked::Stream) => SendLimit::FlowStream,
            None => SendLimit::Application,
        };
        self.limit_by(now, limit);
        if limit == SendLimit::Application && self.state.is_established() {
            self.recovery.on_application_limited();
        }
    }

    /// What application data leaves of the window until the handshake is confirmed: it is not acknowledged before the peer
    /// has read our handshake, which must therefore never wait behind it.
    fn reserved(&self, size: u64, handshakes: bool) -> u64 {
        if self.state == State::Connected && !handshakes { 2 * size } else { 0 }
    }

    /// How much must be allowed to leave so that a datagram of `size` does: the datagram alone, if it goes on with what left
    /// in this turn or not much waits; else a whole burst. 0 if the window has less room than is worth one.
    ///
    /// With one datagram a turn a byte costs eight times what it does with forty.
    fn burst(&self, now: Time, size: u64) -> u64 {
        if self.pacer.is_bursting(now) {
            return size;
        }
        let waits = |bytes: u64| usize::try_from(bytes).is_ok_and(|bytes| self.ledger.fills(bytes));
        let (portion, room) = (self.window.portion(), self.room());
        if room < portion && waits(portion) {
            // Three quarters of the window are in flight, or lost: an acknowledgement or a probe comes in any case.
            return 0;
        }
        let whole = self.window.quantum.min(room).max(size);
        if waits(whole) { whole } else { size }
    }

    /// What the window still lets out.
    fn room(&self) -> u64 {
        self.window.congestion_window.saturating_sub(self.recovery.bytes_in_flight())
    }

    fn want_transmit(&mut self, now: Time, size: u64, burst: u64) {
        // Two of little: a message's last datagrams do not wait for the time of a whole burst.
        let bytes = burst.max(self.room().min(2 * size));
        self.wanted = Some(TransmitWanted { at: self.pacer.next_release(now, bytes), bytes });
    }

    /// Whether a packet of `space` is to be built now.
    fn may_send(&self, now: Time, space: SpaceId, wants: bool, permission: Permission) -> bool {
        let level = match space {
            SpaceId::Initial => Level::Initial,
            SpaceId::Handshake => Level::Handshake,
            SpaceId::Application => Level::OneRtt,
        };
        if !self.keys.can_seal(level) {
            return false;
        }
        let data = wants && (permission == Permission::Everything || self.probes[space.index()] > 0);
        data || self.received[space].is_ack_due(now)
    }

    /// Whether `space` has anything to send that must be acknowledged.
    pub(super) fn wants_to_send(&self, space: SpaceId) -> bool {
        let index = space.index();
        self.crypto[space].has_pending()
            || self.ping[index]
            || space == SpaceId::Application
                && self.state.is_established()
                && (self.handshake_done
                    || self.ledger.wants_to_send()
                    || self.local_ids.has_pending()
                    || self.peer_ids.has_pending()
                    || self.datagrams.has_pending()
                    || !self.new_tokens.is_empty())
    }

    /// A challenge or an answer for an address that is not the current one (RFC 9000 §8.2, §9.3.3).
    fn transmit_off_path(&mut self, now: Time, buffer: &mut [u8]) -> Option<Transmit> {
        if !self.keys.can_seal(Level::OneRtt) || !self.state.is_established() || self.recovery.is_full() {
            return None;
        }
        let Self { paths, peer_ids, random, .. } = self;
        let off_path = paths.poll_off_path(now, peer_ids, || random.bytes())?;
        let datagram = buffer.get_mut(..off_path.size)?;
        let built = self.build_path_packet(now, datagram, &off_path)?;
        self.paths.on_sent_to(off_path.index, built);
        self.count_datagram(built);
        let OffPath { remote, local, .. } = off_path;
        Some(Transmit { remote, local, ecn: None, segment_size: built, length: built })
    }

    /// A datagram larger than the path is known to carry (RFC 9000 §14.3).
    fn transmit_mtu_probe(&mut self, now: Time, buffer: &mut [u8]) -> Option<Transmit> {
        if self.state != State::Confirmed || self.awaiting_window || self.recovery.is_full() {
            return None;
        }
        // A probe is in flight like anything else, so it waits for the window; it is too rare to wait for the pacer.
        if self.room() < u64::from(self.config.maximum_datagram_size) {
            return None;
        }
        let size = self.paths.mtu().next_probe(now)?;
        let datagram = buffer.get_mut(..usize::from(size))?;
        let built = self.build_mtu_probe(now, datagram)?;
        self.pacer.on_sent(now, built as u64);
        self.paths.mtu().on_probe_sent(size);
        self.paths.on_sent(built);
        self.count_datagram(built);
        Some(Transmit { ecn: None, ..self.transmit_of(built, built) })
    }
}
