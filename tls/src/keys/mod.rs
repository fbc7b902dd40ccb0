//! [`KeyRing`]: which keys exist now, and what may be done with them.

mod one_rtt;
#[cfg(test)]
mod tests;

use core::fmt;
use core::time::Duration;

use codec::{ConnectionId, Side, Time, Version};

use crate::TAG_LENGTH;
use crate::error::{KeyUpdateError, OpenError, SealError};
use crate::level::Level;
use crate::protection::limits::Limits;
use crate::protection::{self, Opened};
use crate::rustls::{DirectionalKeys, InitialSuite, KeyChange, Keys, NewKeys, PacketKey};
use one_rtt::OneRtt;

/// The keys of one connection: opens and seals its packets, and knows when keys come, change and go.
///
/// It starts with the Initial keys; the others come from [`Session::write`](crate::Session::write) through
/// [`Self::install`] and go through [`Self::discard`], which is the connection's decision (RFC 9001 §4.9). What needs no
/// decision happens here: a client's 0-RTT keys go when its 1-RTT keys come; a server's 0-RTT keys and the keys before a
/// key update go three probe timeouts after the first packet that did not need them; key updates of the peer are
/// answered (RFC 9001 §6.2).
///
/// A server opens no 1-RTT packet before [`Self::on_handshake_confirmed`], which at a server is the moment its
/// handshake completes (RFC 9001 §4.1.2, §5.7).
pub struct KeyRing {
    side: Side,
    version: Version,
    suite: InitialSuite,
    initial: Option<LevelKeys<Keys>>,
    zero_rtt: Option<LevelKeys<DirectionalKeys>>,
    handshake: Option<LevelKeys<Keys>>,
    one_rtt: Option<OneRtt>,
    discarded: [bool; Level::COUNT],
    zero_rtt_until: Option<Time>,
    confirmed: bool,
    integrity_limit_reached: bool,
    pto: Duration,
    limits: Limits,
    counters: Counters,
}

/// What a [`KeyRing`] has done, in plain numbers. Arrays are indexed by [`Level::index`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Packets opened.
    pub opened: [u64; Level::COUNT],
    /// Packets that keys existed for and that were not authentic, or too short to be.
    pub open_failures: [u64; Level::COUNT],
    /// Packets sealed.
    pub sealed: [u64; Level::COUNT],
    /// Packets that keys existed for and that were not sealed.
    pub seal_failures: [u64; Level::COUNT],
    /// Key updates that we began.
    pub key_updates_local: u64,
    /// Key updates that the peer began.
    pub key_updates_peer: u64,
}

/// Keys that are never updated, and how many packets they protected.
struct LevelKeys<K> {
    keys: K,
    sealed: u64,
}

impl<K> LevelKeys<K> {
    const fn new(keys: K) -> Self {
        Self { keys, sealed: 0 }
    }
}

impl KeyRing {
    /// The ring of a connection that begins: Initial keys for the destination connection id of the client's first
    /// Initial packet. `version` is one of those [known](Version::is_known).
    ///
    /// The AEAD of Initial packets is that of the enabled crypto feature; see [`Self::with_suite`].
    pub fn new(side: Side, version: Version, initial_destination: &ConnectionId) -> Self {
        Self::with_suite(InitialSuite::default(), side, version, initial_destination)
    }

    /// As [`Self::new`], with the AEAD of the user's own provider.
    pub fn with_suite(suite: InitialSuite, side: Side, version: Version, initial_destination: &ConnectionId) -> Self {
        let mut ring = Self {
            side,
            version,
            suite,
            initial: None,
            zero_rtt: None,
            handshake: None,
            one_rtt: None,
            discarded: [false; Level::COUNT],
            zero_rtt_until: None,
            confirmed: false,
            integrity_limit_reached: false,
            pto: INITIAL_PTO,
            limits: Limits::default(),
            counters: Counters::default(),
        };
        ring.set_initial(initial_destination);
        ring
    }

    /// New Initial keys: after a Retry they come from the connection id the server chose (RFC 9001 §5.2).
    pub fn set_initial(&mut self, destination: &ConnectionId) {
        self.initial = Some(LevelKeys::new(self.suite.keys(self.version, destination.as_bytes(), self.side)));
    }

    /// Takes keys that the handshake produced.
    pub fn install(&mut self, change: KeyChange) {
        match change.0 {
            NewKeys::ZeroRtt(keys) => self.zero_rtt = Some(LevelKeys::new(keys)),
            NewKeys::Handshake(keys) => self.handshake = Some(LevelKeys::new(keys)),
            NewKeys::OneRtt { keys, next } => {
                self.one_rtt = Some(OneRtt::new(keys, next));
                //= https://www.rfc-editor.org/rfc/rfc9001#section-5.6
                //# Once a client has installed 1-RTT keys, it MUST NOT send any more 0-RTT
                //# packets.
                if self.side.is_client() {
                    self.discard(Level::ZeroRtt);
                }
            }
        }
    }

    /// Forgets the keys of a level, for good.
    pub fn discard(&mut self, level: Level) {
        match level {
            Level::Initial => self.initial = None,
            Level::ZeroRtt => {
                self.zero_rtt = None;
                self.zero_rtt_until = None;
            }
            Level::Handshake => self.handshake = None,
            Level::OneRtt => self.one_rtt = None,
        }
        if let Some(discarded) = self.discarded.get_mut(level.index()) {
            *discarded = true;
        }
    }

    /// Lowers the limits on the use of keys. Values above what the cipher suite allows change nothing.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The probe timeout from now on: old keys are kept three times as long.
    pub fn set_pto(&mut self, pto: Duration) {
        self.pto = pto;
    }

    /// The handshake is confirmed (RFC 9001 §4.1.2): key updates may begin, and a server may open 1-RTT packets.
    pub fn on_handshake_confirmed(&mut self) {
        self.confirmed = true;
    }

    /// The peer has acknowledged our 1-RTT packet `number`. To be called at least with the largest of each ACK frame.
    pub fn on_acknowledged(&mut self, number: u64) {
        if let Some(one_rtt) = &mut self.one_rtt {
            one_rtt.on_acknowledged(number);
        }
    }

    /// Forgets old keys whose time has come, see [`Self::deadline`].
    pub fn on_tick(&mut self, now: Time) {
        if self.zero_rtt_until.is_some_and(|until| until <= now) {
            self.discard(Level::ZeroRtt);
        }
        if let Some(one_rtt) = &mut self.one_rtt {
            one_rtt.on_tick(now);
        }
    }

    /// When [`Self::on_tick`] has something to do.
    pub fn deadline(&self) -> Option<Time> {
        let previous = self.one_rtt.as_ref().and_then(OneRtt::deadline);
        [self.zero_rtt_until, previous].into_iter().flatten().min()
    }

    /// Opens one packet in place.
    ///
    /// `packet` is one whole packet, not a datagram of several. `expected_number` is one more than the largest number
    /// received in the packet's number space. The header is unmasked and the payload decrypted where they are.
    ///
    /// # Errors
    /// See [`OpenError`]. After [`OpenError::Undecryptable`] only the last 16 bytes are as they arrived.
    pub fn open(
        &mut self,
        level: Level,
        packet: &mut [u8],
        packet_number_offset: usize,
        expected_number: u64,
        now: Time,
    ) -> Result<Opened, OpenError> {
        if self.integrity_limit_reached {
            return Err(OpenError::IntegrityLimit);
        }
        if !self.can_open(level) {
            return Err(OpenError::KeysUnavailable);
        }
        let last = last_bytes(packet);
        // Header protection, packet number and payload together, without a way out in between that would take less time
        // (RFC 9001 §9.5).
        let opened = match level {
            Level::Initial => open_with(
                self.initial.as_ref().map(|level| &level.keys.remote),
                packet,
                packet_number_offset,
                expected_number,
            ),
            Level::ZeroRtt => open_with(
                self.zero_rtt.as_ref().map(|level| &level.keys),
                packet,
                packet_number_offset,
                expected_number,
            ),
            Level::Handshake => open_with(
                self.handshake.as_ref().map(|level| &level.keys.remote),
                packet,
                packet_number_offset,
                expected_number,
            ),
            Level::OneRtt => match &mut self.one_rtt {
                Some(one_rtt) => {
                    one_rtt.on_tick(now);
                    one_rtt.open(packet, packet_number_offset, expected_number, now + self.pto * 3)
                }
                None => Err(OpenError::KeysUnavailable),
            },
        };
        match opened {
            Ok(opened) => {
                self.on_opened(level, &opened, now);
                Ok(opened)
            }
            Err(OpenError::Undecryptable) => {
                if let (Some(last), Some(tail)) = (last, packet.last_chunk_mut()) {
                    *tail = last;
                }
                Err(self.on_failure(level))
            }
            Err(violation) => Err(violation),
        }
    }

    /// Seals one packet in place.
    ///
    /// `packet` is the header, the payload, and [`TAG_LENGTH`] bytes of room. The header's Key Phase bit is
    /// [`Self::key_phase`]. From the packet number on, the packet has at least 20 bytes (RFC 9001 §5.4.2): pad a payload
    /// that is shorter than 4 bytes less the packet number's length.
    ///
    /// # Errors
    /// See [`SealError`]. The packet must not be sent then.
    pub fn seal(
        &mut self,
        level: Level,
        number: u64,
        packet: &mut [u8],
        packet_number_offset: usize,
        payload_offset: usize,
    ) -> Result<(), SealError> {
        let limits = self.limits;
        let (keys, sealed): (Option<(&_, &PacketKey)>, u64) = match level {
            Level::Initial => local(self.initial.as_ref().map(|level| (&level.keys.local, level.sealed))),
            //= https://www.rfc-editor.org/rfc/rfc9001#section-5.6
            //# A server MUST NOT use 0-RTT keys to protect packets
            Level::ZeroRtt if self.side.is_client() => {
                local(self.zero_rtt.as_ref().map(|level| (&level.keys, level.sealed)))
            }
            Level::ZeroRtt => (None, 0),
            Level::Handshake => local(self.handshake.as_ref().map(|level| (&level.keys.local, level.sealed))),
            Level::OneRtt => match &mut self.one_rtt {
                Some(one_rtt) => {
                    one_rtt.derive_next();
                    (Some(one_rtt.local()), one_rtt.sealed())
                }
                None => (None, 0),
            },
        };
        let Some((header_key, packet_key)) = keys else { return Err(SealError::KeysUnavailable) };
        //= https://www.rfc-editor.org/rfc/rfc9001#section-6.6
        //# If
        //# the total number of encrypted packets with the same key exceeds the
        //# confidentiality limit for the selected AEAD, the endpoint MUST stop using those
        //# keys.
        let result = if sealed >= limits.confidentiality(packet_key.confidentiality_limit()) {
            Err(SealError::ConfidentialityLimit)
        } else {
            protection::seal(header_key, packet_key, number, packet, packet_number_offset, payload_offset)
        };
        match result {
            Ok(()) => self.on_sealed(level, number),
            Err(_) => count(&mut self.counters.seal_failures, level),
        }
        result
    }

    /// Begins a key update (RFC 9001 §6.1): the next packet is sealed with new keys.
    ///
    /// # Errors
    /// If it is not permitted now; see [`KeyUpdateError`].
    pub fn initiate_key_update(&mut self, now: Time) -> Result<(), KeyUpdateError> {
        let one_rtt = self.one_rtt.as_mut().ok_or(KeyUpdateError::KeysUnavailable)?;
        //= https://www.rfc-editor.org/rfc/rfc9001#section-6.1
        //# An endpoint MUST NOT initiate a key update prior to having confirmed the
        //# handshake
        if !self.confirmed {
            return Err(KeyUpdateError::NotConfirmed);
        }
        one_rtt.on_tick(now);
        one_rtt.initiate()?;
        self.counters.key_updates_local += 1;
        Ok(())
    }

    /// Whether the 1-RTT keys have protected so many packets that an update should begin.
    pub fn should_update(&self) -> bool {
        self.one_rtt.as_ref().is_some_and(|one_rtt| {
            one_rtt.sealed() >= self.limits.update_after(one_rtt.local().1.confidentiality_limit())
        })
    }

    /// Whether the 1-RTT keys are nearly used up, so that the connection should close with AEAD_LIMIT_REACHED while it
    /// still can, unless a key update can begin now.
    ///
    /// ```text
    //= https://www.rfc-editor.org/rfc/rfc9001#section-6.6
    //# It is RECOMMENDED that endpoints immediately close the connection with a
    //# connection error of type AEAD_LIMIT_REACHED before reaching a state where key
    //# updates are not possible.
    /// ```
    pub fn is_nearly_exhausted(&self) -> bool {
        self.one_rtt.as_ref().is_some_and(|one_rtt| {
            one_rtt.sealed() >= self.limits.exhausted_after(one_rtt.local().1.confidentiality_limit())
        })
    }

    /// Whether packets of this level can be opened now.
    pub fn can_open(&self, level: Level) -> bool {
        match level {
            Level::Initial => self.initial.is_some(),
            //= https://www.rfc-editor.org/rfc/rfc9001#section-5.6
            //# A client MUST NOT attempt to
            //# decrypt 0-RTT packets it receives and instead MUST discard them.
            Level::ZeroRtt => self.side.is_server() && self.zero_rtt.is_some(),
            Level::Handshake => self.handshake.is_some(),
            //= https://www.rfc-editor.org/rfc/rfc9001#section-5.7
            //# A server MUST NOT process incoming 1-RTT protected
            //# packets before the TLS handshake is complete.
            Level::OneRtt => self.one_rtt.is_some() && (self.side.is_client() || self.confirmed),
        }
    }

    /// Whether packets of this level can be sealed now.
    pub fn can_seal(&self, level: Level) -> bool {
        match level {
            Level::Initial => self.initial.is_some(),
            Level::ZeroRtt => self.side.is_client() && self.zero_rtt.is_some(),
            Level::Handshake => self.handshake.is_some(),
            Level::OneRtt => self.one_rtt.is_some(),
        }
    }

    /// Whether the keys of this level are gone for good, so that a packet for it need not be kept for later.
    pub fn is_discarded(&self, level: Level) -> bool {
        self.discarded.get(level.index()).copied().unwrap_or_default()
    }

    /// The Key Phase bit of the next 1-RTT packet to be sealed.
    pub fn key_phase(&self) -> bool {
        self.one_rtt.as_ref().is_some_and(OneRtt::key_phase)
    }

    /// Whether an acknowledgement of our packet `largest` may have travelled in `packet`.
    ///
    /// A peer that acknowledges a packet protected with new keys in one protected with old keys has not updated its
    /// own: KEY_UPDATE_ERROR (RFC 9001 §6.2).
    pub fn is_acknowledgement_allowed(&self, packet: &Opened, largest: u64) -> bool {
        !packet.previous_keys || !self.one_rtt.as_ref().is_some_and(|one_rtt| one_rtt.is_of_current_phase(largest))
    }

    /// What has been done so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many key updates began here, and how many at the peer.
    pub fn key_updates(&self) -> (u64, u64) {
        (self.counters.key_updates_local, self.counters.key_updates_peer)
    }

    fn on_opened(&mut self, level: Level, opened: &Opened, now: Time) {
        count(&mut self.counters.opened, level);
        if opened.key_phase_changed {
            self.counters.key_updates_peer += 1;
        }
        //= https://www.rfc-editor.org/rfc/rfc9001#section-4.9.3
        //# After receiving a 1-RTT packet, servers MUST discard 0-RTT keys
        //# within a short time; the RECOMMENDED time period is three times the Probe
        //# Timeout
        if level == Level::OneRtt && self.zero_rtt.is_some() && self.zero_rtt_until.is_none() {
            self.zero_rtt_until = Some(now + self.pto * 3);
        }
    }

    fn on_failure(&mut self, level: Level) -> OpenError {
        count(&mut self.counters.open_failures, level);
        let suite = match level {
            Level::Initial => self.initial.as_ref().map(|level| level.keys.remote.packet.integrity_limit()),
            Level::ZeroRtt => self.zero_rtt.as_ref().map(|level| level.keys.packet.integrity_limit()),
            Level::Handshake => self.handshake.as_ref().map(|level| level.keys.remote.packet.integrity_limit()),
            Level::OneRtt => self.one_rtt.as_ref().map(|one_rtt| one_rtt.local().1.integrity_limit()),
        };
        //= https://www.rfc-editor.org/rfc/rfc9001#section-6.6
        //# If the total number of received packets that fail authentication within the
        //# connection, across all keys, exceeds the integrity limit for the selected AEAD,
        //# the endpoint MUST immediately close the connection with a connection error of
        //# type AEAD_LIMIT_REACHED and not process any more packets.
        let failures: u64 = self.counters.open_failures.iter().sum();
        self.integrity_limit_reached = failures > self.limits.integrity(suite.unwrap_or(u64::MAX));
        if self.integrity_limit_reached { OpenError::IntegrityLimit } else { OpenError::Undecryptable }
    }

    fn on_sealed(&mut self, level: Level, number: u64) {
        count(&mut self.counters.sealed, level);
        let sealed = match level {
            Level::Initial => self.initial.as_mut().map(|level| &mut level.sealed),
            Level::ZeroRtt => self.zero_rtt.as_mut().map(|level| &mut level.sealed),
            Level::Handshake => self.handshake.as_mut().map(|level| &mut level.sealed),
            Level::OneRtt => return self.one_rtt.as_mut().map_or((), |one_rtt| one_rtt.on_sealed(number)),
        };
        if let Some(sealed) = sealed {
            *sealed += 1;
        }
    }

    /// The ring of a connection whose handshake is over, with 1-RTT keys alone.
    pub(crate) fn established(side: Side, version: Version, keys: Keys, next: crate::rustls::Secrets) -> Self {
        let mut ring = Self::new(side, version, &ConnectionId::EMPTY);
        ring.install(KeyChange(NewKeys::OneRtt { keys, next }));
        for level in [Level::Initial, Level::ZeroRtt, Level::Handshake] {
            ring.discard(level);
        }
        ring.on_handshake_confirmed();
        ring
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the keys themselves.
        f.debug_struct("KeyRing")
            .field("side", &self.side)
            .field("version", &self.version)
            .field("can_seal", &Level::ALL.map(|level| self.can_seal(level)))
            .field("can_open", &Level::ALL.map(|level| self.can_open(level)))
            .field("key_phase", &self.key_phase())
            .finish_non_exhaustive()
    }
}

/// The probe timeout before the first round trip is measured: kInitialRtt three times over (RFC 9002 §6.2.2).
const INITIAL_PTO: Duration = Duration::from_millis(999);

fn open_with(
    keys: Option<&DirectionalKeys>,
    packet: &mut [u8],
    packet_number_offset: usize,
    expected_number: u64,
) -> Result<Opened, OpenError> {
    let keys = keys.ok_or(OpenError::KeysUnavailable)?;
    let unprotected =
        protection::open(keys, packet, packet_number_offset, expected_number).ok_or(OpenError::Undecryptable)?;
    opened(unprotected, packet, false, false)
}

/// The last look at an authentic packet.
fn opened(
    unprotected: protection::header::Unprotected,
    packet: &[u8],
    key_phase_changed: bool,
    previous_keys: bool,
) -> Result<Opened, OpenError> {
    //= https://www.rfc-editor.org/rfc/rfc9000#section-17.2
    //# An endpoint MUST treat receipt of a packet that has a non-zero value for these bits after
    //# removing both packet and header protection as a connection error of type
    //# PROTOCOL_VIOLATION.
    if !unprotected.reserved_bits_are_zero() {
        return Err(OpenError::ReservedBits);
    }
    let payload = unprotected.payload_offset..packet.len() - TAG_LENGTH;
    Ok(Opened { number: unprotected.number, payload, key_phase_changed, previous_keys })
}

fn local(level: Option<(&DirectionalKeys, u64)>) -> (Option<(&crate::rustls::HeaderKey, &PacketKey)>, u64) {
    level.map_or((None, 0), |(keys, sealed)| (Some((&keys.header, &keys.packet)), sealed))
}

fn last_bytes(packet: &[u8]) -> Option<[u8; 16]> {
    packet.last_chunk().copied()
}

fn count(counters: &mut [u64; Level::COUNT], level: Level) {
    if let Some(counter) = counters.get_mut(level.index()) {
        *counter += 1;
    }
}
