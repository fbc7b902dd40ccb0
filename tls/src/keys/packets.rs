//! Opening and sealing packets with the keys there are.

use codec::Time;

use super::KeyRing;
use crate::error::{OpenError, SealError};
use crate::level::Level;
use crate::protection::{self, Opened};
use crate::rustls::{DirectionalKeys, HeaderKey, PacketKey};
use crate::stopwatch::Lap;

impl KeyRing {
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
        let mut lap = self.stopwatch.open();
        // Header protection, packet number and payload together, without a way out in between that would take less time
        // (RFC 9001 §9.5).
        let mut result = match level {
            Level::Initial => open_with(
                self.initial.as_ref().map(|level| &level.keys.remote),
                packet,
                packet_number_offset,
                expected_number,
                &mut lap,
            ),
            Level::ZeroRtt => open_with(
                self.zero_rtt.as_ref().map(|level| &level.keys),
                packet,
                packet_number_offset,
                expected_number,
                &mut lap,
            ),
            Level::Handshake => open_with(
                self.handshake.as_ref().map(|level| &level.keys.remote),
                packet,
                packet_number_offset,
                expected_number,
                &mut lap,
            ),
            Level::OneRtt => match &mut self.one_rtt {
                Some(one_rtt) => {
                    one_rtt.on_tick(now);
                    one_rtt.open(packet, packet_number_offset, expected_number, (now, self.pto), &mut lap)
                }
                None => Err(OpenError::KeysUnavailable),
            },
        };
        self.stopwatch.add(&lap);
        // Looked at where it is, and not taken apart and put together again, which would wait for its parts.
        match &result {
            Ok(opened) => self.on_opened(level, opened, now),
            Err(OpenError::Undecryptable) => {
                if let (Some(last), Some(tail)) = (last, packet.last_chunk_mut()) {
                    *tail = last;
                }
                result = Err(self.on_failure(level));
            }
            Err(_) => {}
        }
        result
    }

    /// Seals one packet in place.
    ///
    /// `packet` is the header, the payload, and [`TAG_LENGTH`](crate::TAG_LENGTH) bytes of room. The header's Key Phase bit is
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
        let mut lap = self.stopwatch.seal();
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
                Some(one_rtt) => (Some(one_rtt.local()), one_rtt.sealed()),
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
            protection::seal(header_key, packet_key, number, packet, packet_number_offset, payload_offset, &mut lap)
        };
        self.stopwatch.add(&lap);
        if result.is_ok() {
            self.on_sealed(level, number);
        }
        result
    }

    fn on_opened(&mut self, level: Level, opened: &Opened, now: Time) {
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
        if let Some(failures) = self.counters.open_failures.get_mut(level.index()) {
            *failures += 1;
        }
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
}

fn open_with(
    keys: Option<&DirectionalKeys>,
    packet: &mut [u8],
    packet_number_offset: usize,
    expected_number: u64,
    lap: &mut Lap,
) -> Result<Opened, OpenError> {
    let keys = keys.ok_or(OpenError::KeysUnavailable)?;
    let unprotected =
        protection::open(keys, packet, packet_number_offset, expected_number, lap).ok_or(OpenError::Undecryptable)?;
    protection::opened(unprotected, packet, false, false)
}

fn local(level: Option<(&DirectionalKeys, u64)>) -> (Option<(&HeaderKey, &PacketKey)>, u64) {
    level.map_or((None, 0), |(keys, sealed)| (Some((&keys.header, &keys.packet)), sealed))
}

fn last_bytes(packet: &[u8]) -> Option<[u8; 16]> {
    packet.last_chunk().copied()
}
