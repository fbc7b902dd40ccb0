//! [`KeyRing`]: which keys exist now, and what may be done with them.

mod one_rtt;
mod packets;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use codec::{ConnectionId, Side, Time, Version};

use crate::error::KeyUpdateError;
use crate::level::Level;
use crate::protection::Opened;
use crate::protection::limits::Limits;
use crate::rustls::{DirectionalKeys, InitialSuite, KeyChange, Keys, NewKeys};
use crate::stopwatch::{CryptoTime, NanosecondClock, Stopwatch};
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
    initial: Option<Box<LevelKeys<Keys>>>,
    zero_rtt: Option<Box<LevelKeys<DirectionalKeys>>>,
    handshake: Option<Box<LevelKeys<Keys>>>,
    one_rtt: Option<OneRtt>,
    discarded: [bool; Level::COUNT],
    zero_rtt_until: Option<Time>,
    confirmed: bool,
    integrity_limit_reached: bool,
    pto: Duration,
    limits: Limits,
    counters: Counters,
    stopwatch: Stopwatch,
}

/// What a [`KeyRing`] has done, in plain numbers. Arrays are indexed by [`Level::index`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Packets that keys existed for and that were not authentic, or too short to be.
    pub open_failures: [u64; Level::COUNT],
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
    fn new(keys: K) -> Box<Self> {
        Box::new(Self { keys, sealed: 0 })
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
            stopwatch: Stopwatch::default(),
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
    pub fn is_nearly_exhausted(&self) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc9001#section-6.6
        //# It is RECOMMENDED that endpoints immediately close the connection with a
        //# connection error of type AEAD_LIMIT_REACHED before reaching a state where key
        //# updates are not possible.
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

    /// Puts away what can be made again, because nothing has happened for a while.
    pub fn rest(&mut self) {
        if let Some(one_rtt) = &mut self.one_rtt {
            one_rtt.rest();
        }
    }

    /// Measures from now on what packet protection costs, with this clock, on one packet in [`SAMPLED`](crate::SAMPLED) of
    /// each direction. `phase` says how many packets pass before the first; it should be random.
    pub fn measure(&mut self, clock: NanosecondClock, phase: u64) {
        self.stopwatch = Stopwatch::new(clock, phase);
    }

    /// What packet protection has cost since this was last asked, scaled up to all packets.
    pub fn take_crypto_time(&mut self) -> CryptoTime {
        self.stopwatch.take()
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
