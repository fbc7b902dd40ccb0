//! What a sender sends, and when: probes, what waits to be sent again, what is new.

use codec::Time;
use recovery::{Ecn, SentPacket};
use smallvec::smallvec;

use super::{Outgoing, PING, Piece, SPACE, Sender, Token};
use crate::packet::Codepoint;

impl Sender {
    /// The next packet that may leave now. Ask until there is none.
    pub(crate) fn poll_transmit(&mut self, now: Time) -> Option<Outgoing> {
        if !self.started {
            return None;
        }
        self.wanted = None;
        self.fill_probes(now);
        let waiting = self.waiting(now);
        let is_probe = self.probes > 0;
        if waiting == 0 && !self.ping {
            self.on_window_unused(now);
            return None;
        }
        if !is_probe && !self.may_send(now, waiting) {
            return None;
        }
        self.probes = self.probes.saturating_sub(1);
        Some(self.build(now))
    }

    /// A probe carries what is waiting, or else what was sent first, or else nothing (RFC 9002 §6.2.4).
    fn fill_probes(&mut self, now: Time) {
        if self.probes == 0 {
            return;
        }
        while self.waiting(now) == 0 && !self.ping {
            let Some(tokens) = self.recovery.take_probe_tokens(SPACE) else {
                self.ping = true;
                return;
            };
            for token in tokens {
                if let Some(piece) = token.piece {
                    self.ledger.on_lost(piece);
                }
            }
        }
    }

    /// What window and pacer permit, as `transport` asks them.
    fn may_send(&mut self, now: Time, waiting: u64) -> bool {
        let size = u64::from(self.datagram_size);
        if self.recovery.bytes_in_flight().saturating_add(size) > self.window.congestion_window
            || self.recovery.is_full()
        {
            self.window_was_full = true;
            return false;
        }
        let room = self.window.congestion_window.saturating_sub(self.recovery.bytes_in_flight());
        let burst = self.burst(now, size, room, waiting);
        if burst < size {
            self.window_was_full = true;
            return false;
        }
        if self.pacer.available(now) < burst {
            let bytes = burst.max(room.min(2 * size));
            self.wanted = Some(self.pacer.next_release(now, bytes));
            return false;
        }
        true
    }

    /// How much must be allowed to leave so that a datagram does; 0 if the window has less room than is worth a burst.
    fn burst(&self, now: Time, size: u64, room: u64, waiting: u64) -> u64 {
        if self.pacer.is_bursting(now) {
            return size;
        }
        let portion = self.window.portion();
        if room < portion && waiting >= portion {
            return 0;
        }
        let whole = self.window.quantum.min(room).max(size);
        if waiting >= whole { whole } else { size }
    }

    /// There is nothing to send: if the window would let something out, it is not the window that holds it back.
    fn on_window_unused(&mut self, now: Time) {
        if self.established && self.waiting(now) == 0 && self.bytes_in_flight() < self.window.congestion_window {
            self.recovery.on_application_limited();
        }
    }

    fn build(&mut self, now: Time) -> Outgoing {
        let size = u64::from(self.datagram_size);
        let immediate = !self.established;
        let piece = if let Some(piece) = self.ledger.front() {
            self.counts.retransmitted_bytes += u64::from(piece.bytes);
            Some(piece)
        } else {
            let bytes = if self.established { self.application.waiting(now).min(size) } else { 0 };
            self.application.take(bytes);
            let index = self.ledger.next();
            (bytes > 0).then(|| Piece { index, bytes: u16::try_from(bytes).unwrap_or(u16::MAX) })
        };
        self.ping = false;
        if let Some(piece) = piece {
            self.ledger.on_sent(piece.index);
        }
        let bytes = piece.map_or(if immediate { self.datagram_size } else { PING }, |piece| piece.bytes);
        let ecn = self.recovery.marks_ecn();
        let number = self.recovery.next_number(SPACE);
        self.recovery.on_sent(
            SPACE,
            SentPacket {
                number,
                at: now,
                bytes,
                ack_eliciting: true,
                in_flight: true,
                ecn,
                mtu_probe: false,
                tokens: smallvec![Token { piece, ecn }],
            },
        );
        self.pacer.on_sent(now, u64::from(bytes));
        self.counts.sent_packets += 1;
        self.counts.sent_bytes += u64::from(bytes);
        let codepoint = match self.recovery.ecn_codepoint() {
            _ if !ecn => Codepoint::NotCapable,
            Ecn::Ect1 => Codepoint::Ect1,
            Ecn::Ect0 | Ecn::Ce => Codepoint::Ect0,
        };
        Outgoing { number, bytes, codepoint, piece: piece.map(|piece| piece.index), immediate }
    }
}
