//! 1-RTT keys and their updates (RFC 9001 §6).
//!
//! ```text
//!            our update, or an authentic packet of the next phase
//! previous ◀───────────── current ◀───────────── next ◀─ derived a PTO after the first packet of the current phase
//!    │ opens what comes late; gone 3 PTO after the first packet of the current phase
//! ```

use alloc::vec::Vec;
use core::time::Duration;

use codec::Time;

use crate::error::{KeyUpdateError, OpenError};
use crate::protection::header::{self, Unprotected};
use crate::protection::{self, Opened};
use crate::rustls::{HeaderKey, Keys, PacketKey, PacketKeys, Secrets};
use crate::stopwatch::Lap;

pub(super) struct OneRtt {
    local_header: HeaderKey,
    remote_header: HeaderKey,
    current: PacketKeys,
    /// Of the next phase, to open packets with. Its other half is made when it begins.
    next: Option<PacketKey>,
    /// From when on the next keys exist before a packet is looked at; `None` until a packet of the current phase has come.
    derive_from: Option<Time>,
    previous: Option<Previous>,
    secrets: Secrets,
    phase: bool,
    /// False until the first key update.
    updated: bool,
    /// Packets sealed with the current keys.
    sealed: u64,
    first_sealed: Option<u64>,
    /// Whether the peer has acknowledged a packet sealed with the current keys.
    acknowledged: bool,
    /// Lowest and highest number opened with the current keys.
    opened: Option<(u64, u64)>,
    /// Keeps the protected payload for a second attempt while there are previous keys.
    scratch: Vec<u8>,
}

/// Keys from before the last update.
struct Previous {
    remote: PacketKey,
    /// `None` until a packet of the current phase has come.
    until: Option<Time>,
}

/// Which keys to try.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Generation {
    Previous,
    Current,
    Next,
}

impl OneRtt {
    pub(super) fn new(keys: Keys, secrets: Secrets) -> Self {
        Self {
            local_header: keys.local.header,
            remote_header: keys.remote.header,
            current: PacketKeys { local: keys.local.packet, remote: keys.remote.packet },
            next: None,
            derive_from: None,
            previous: None,
            secrets,
            phase: false,
            updated: false,
            sealed: 0,
            first_sealed: None,
            acknowledged: false,
            opened: None,
            scratch: Vec::new(),
        }
    }

    /// Opens one packet. If it is the first of the current phase, the previous keys are kept for three `pto` from `now`.
    pub(super) fn open(
        &mut self,
        packet: &mut [u8],
        packet_number_offset: usize,
        expected: u64,
        (now, pto): (Time, Duration),
        lap: &mut Lap,
    ) -> Result<Opened, OpenError> {
        //= https://www.rfc-editor.org/rfc/rfc9001#section-9.5
        //# After receiving a key update, an endpoint SHOULD
        //# generate and save the next set of receive packet protection keys
        // Here, at the beginning, and not when the update arrived: the time it takes belongs to no packet in particular.
        if self.derive_from.is_some_and(|from| from <= now) {
            self.derive_next();
        }
        let unprotected = header::unprotect(&self.remote_header, packet, packet_number_offset, expected)
            .ok_or(OpenError::Undecryptable)?;
        lap.mark(|time| &mut time.header_protection);
        let flipped = unprotected.key_phase() != self.phase;
        //= https://www.rfc-editor.org/rfc/rfc9001#section-6.3
        //# For a short period after a key update completes, up to the PTO,
        //# endpoints MAY defer generation of the next set of receive packet protection
        //# keys.
        // And after the handshake: most connections are over before their first update, and many within a round trip.
        if flipped {
            self.derive_next();
        }
        let attempt = self.attempt(packet, &unprotected, flipped);
        lap.mark(|time| &mut time.open);
        let generation = attempt.ok_or(OpenError::Undecryptable)?;
        let number = unprotected.number;
        match generation {
            Generation::Current => self.on_current(number, now, pto),
            Generation::Previous => {
                //= https://www.rfc-editor.org/rfc/rfc9001#section-6.4
                //# An
                //# endpoint that successfully removes protection with old keys when newer keys were
                //# used for packets with lower packet numbers MUST treat this as a connection error
                //# of type KEY_UPDATE_ERROR.
                if self.opened.is_some_and(|(lowest, _)| number > lowest) {
                    return Err(OpenError::KeyUpdate);
                }
            }
            Generation::Next => {
                if !self.may_peer_update(number) {
                    return Err(OpenError::KeyUpdate);
                }
                self.rotate();
                self.on_current(number, now, pto);
            }
        }
        let (changed, previous) = (generation == Generation::Next, generation == Generation::Previous);
        protection::opened(unprotected, packet, changed, previous)
    }

    pub(super) fn initiate(&mut self) -> Result<(), KeyUpdateError> {
        //= https://www.rfc-editor.org/rfc/rfc9001#section-6.1
        //# An endpoint MUST NOT initiate a subsequent
        //# key update unless it has received an acknowledgment for a packet that was sent
        //# protected with keys from the current key phase.
        // We wait for it before the first update too: then the peer is known to have 1-RTT keys.
        if !self.acknowledged {
            return Err(KeyUpdateError::NotAcknowledged);
        }
        //= https://www.rfc-editor.org/rfc/rfc9001#section-6.5
        //# Endpoints SHOULD wait three times the PTO before initiating a
        //# key update after receiving an acknowledgment that confirms that the previous key
        //# update was received.
        // The acknowledgement came with the first packet of the phase or after it, and the previous keys are kept for
        // three PTO from then.
        if self.previous.is_some() {
            return Err(KeyUpdateError::TooSoon);
        }
        self.derive_next();
        self.rotate();
        Ok(())
    }

    /// Makes sure that the keys of the next phase exist.
    pub(super) fn derive_next(&mut self) {
        if self.next.is_none() {
            self.next = Some(self.secrets.next_remote());
        }
    }

    /// Whether the keys of the next phase exist.
    #[cfg(test)]
    pub(super) fn has_next(&self) -> bool {
        self.next.is_some()
    }

    /// Nothing happens for a while: what can be made again is put away.
    ///
    /// It is made again before the next packet is looked at, whatever packet that is, so the time tells nothing.
    pub(super) fn rest(&mut self) {
        self.next = None;
        self.scratch = Vec::new();
    }

    pub(super) fn on_sealed(&mut self, number: u64) {
        self.sealed += 1;
        self.first_sealed.get_or_insert(number);
    }

    pub(super) fn on_acknowledged(&mut self, number: u64) {
        self.acknowledged |= self.is_of_current_phase(number);
    }

    pub(super) fn on_tick(&mut self, now: Time) {
        //= https://www.rfc-editor.org/rfc/rfc9001#section-6.5
        //# After this period,
        //# old read keys and their corresponding secrets SHOULD be discarded.
        if self.deadline().is_some_and(|until| until <= now) {
            self.previous = None;
            self.scratch = Vec::new();
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.previous.as_ref().and_then(|previous| previous.until)
    }

    pub(super) fn local(&self) -> (&HeaderKey, &PacketKey) {
        (&self.local_header, &self.current.local)
    }

    pub(super) fn sealed(&self) -> u64 {
        self.sealed
    }

    pub(super) fn key_phase(&self) -> bool {
        self.phase
    }

    /// Whether our packet `number` was sealed with the current keys.
    pub(super) fn is_of_current_phase(&self, number: u64) -> bool {
        self.first_sealed.is_some_and(|first| number >= first)
    }

    /// Which keys open the packet, if any.
    ///
    /// While there are previous keys, a packet that the first choice does not open is tried with a second, whatever its
    /// Key Phase bit says: forged packets take the same time in both phases (RFC 9001 §6.3).
    fn attempt(&mut self, packet: &mut [u8], unprotected: &Unprotected, flipped: bool) -> Option<Generation> {
        let (first, second) = self.candidates(unprotected.number, flipped);
        let offset = unprotected.payload_offset;
        if self.previous.is_none() {
            return self.try_open(first, packet, unprotected).then_some(first);
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(packet.get(offset..)?);
        if self.try_open(first, packet, unprotected) {
            return Some(first);
        }
        packet.get_mut(offset..)?.copy_from_slice(&self.scratch);
        // A packet of the current phase is never protected with other keys: the second attempt only takes its time.
        (self.try_open(second, packet, unprotected) && flipped).then_some(second)
    }

    //= https://www.rfc-editor.org/rfc/rfc9001#section-6.5
    //# A recovered packet number
    //# that is lower than any packet number from the current key phase uses the
    //# previous packet protection keys; a recovered packet number that is higher than
    //# any packet number from the current key phase requires the use of the next packet
    //# protection keys.
    fn candidates(&self, number: u64, flipped: bool) -> (Generation, Generation) {
        let is_newest = self.opened.is_some_and(|(_, highest)| number > highest);
        match flipped {
            false => (Generation::Current, Generation::Previous),
            true if self.previous.is_none() || is_newest => (Generation::Next, Generation::Previous),
            true => (Generation::Previous, Generation::Next),
        }
    }

    fn try_open(&self, generation: Generation, packet: &mut [u8], unprotected: &Unprotected) -> bool {
        let key = match generation {
            Generation::Previous => self.previous.as_ref().map(|previous| &previous.remote),
            Generation::Current => Some(&self.current.remote),
            Generation::Next => self.next.as_ref(),
        };
        key.is_some_and(|key| protection::open_payload(key, packet, unprotected.number, unprotected.payload_offset))
    }

    /// Whether the peer may have begun an update with the packet of this number.
    ///
    /// It may once it has an acknowledgement of a packet of the current phase, so we must have opened one and sent one
    /// since; the first update needs none.
    fn may_peer_update(&self, number: u64) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc9001#section-6.2
        //# An endpoint MAY
        //# treat such consecutive key updates as a connection error of type
        //# KEY_UPDATE_ERROR.
        let confirmed = !self.updated || self.opened.is_some() && self.sealed > 0;
        //= https://www.rfc-editor.org/rfc/rfc9001#section-6.4
        //# Packets with higher packet numbers MUST be protected with either the same or
        //# newer packet protection keys than packets with lower packet numbers.
        let in_order = self.opened.is_none_or(|(_, highest)| number > highest);
        confirmed && in_order
    }

    fn on_current(&mut self, number: u64, now: Time, pto: Duration) {
        self.derive_from.get_or_insert(now + pto);
        self.opened = Some(match self.opened {
            Some((lowest, highest)) => (lowest.min(number), highest.max(number)),
            None => (number, number),
        });
        //= https://www.rfc-editor.org/rfc/rfc9001#section-6.5
        //# An endpoint SHOULD retain old read keys for no more than three times the PTO
        //# after having received a packet protected using the new keys.
        if let Some(previous) = &mut self.previous {
            previous.until.get_or_insert(now + pto * 3);
        }
    }

    /// Both directions move on to the next keys (RFC 9001 §6).
    pub(super) fn rotate(&mut self) {
        let Some(remote) = self.next.take() else { return };
        let local = self.secrets.advance().local;
        let old = core::mem::replace(&mut self.current, PacketKeys { local, remote });
        self.derive_from = None;
        self.previous = Some(Previous { remote: old.remote, until: None });
        self.phase = !self.phase;
        self.updated = true;
        self.sealed = 0;
        self.first_sealed = None;
        self.acknowledged = false;
        self.opened = None;
    }
}
