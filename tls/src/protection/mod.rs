//! One whole packet, in place: header protection and AEAD (RFC 9001 §5.3, §5.4).
//!
//! ```text
//!                 packet_number_offset   payload_offset            the tag's 16 bytes
//!                          |                  |                           |
//! | first byte ... ids ... | packet number    | payload ................. | tag |
//! |<------ associated data, masked in part -->|<------- encrypted ------->|
//!                          |---- 4 bytes ---->|<- 16 bytes: sample ->|
//! ```

pub(crate) mod header;
pub(crate) mod limits;

use core::ops::Range;

use crate::TAG_LENGTH;
use crate::error::{OpenError, SealError};
use crate::rustls::{DirectionalKeys, HeaderKey, PacketKey};
use crate::stopwatch::Lap;
use header::SAMPLE_END;

/// A packet that was opened: authentic, and in plain text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opened {
    /// The whole packet number.
    pub number: u64,
    // In two bytes each: with them it is two words, which stay in registers.
    payload: (u16, u16),
    /// The peer began a key update with this packet (RFC 9001 §6.2); ours follow with the next packet sealed.
    pub key_phase_changed: bool,
    /// The packet came late, protected with the keys from before the last key update. What it may acknowledge is then
    /// limited: [`KeyRing::is_acknowledgement_allowed`](crate::KeyRing::is_acknowledgement_allowed).
    pub previous_keys: bool,
}

impl Opened {
    /// Where in the packet the frames are.
    #[inline]
    pub fn payload(&self) -> Range<usize> {
        self.payload.0.into()..self.payload.1.into()
    }
}

/// Encrypts the payload and masks the header.
#[inline]
pub(crate) fn seal(
    header_key: &HeaderKey,
    packet_key: &PacketKey,
    number: u64,
    packet: &mut [u8],
    packet_number_offset: usize,
    payload_offset: usize,
    lap: &mut Lap,
) -> Result<(), SealError> {
    let fits = packet_number_offset > 0
        && (packet_number_offset + 1..=packet_number_offset + 4).contains(&payload_offset)
        && packet.len() >= packet_number_offset + SAMPLE_END
        && packet.len() >= payload_offset + TAG_LENGTH;
    if !fits {
        return Err(SealError::Malformed);
    }
    let (header, body) = packet.split_at_mut(payload_offset);
    let Some((payload, tag)) = body.split_last_chunk_mut() else { return Err(SealError::Malformed) };
    //= https://www.rfc-editor.org/rfc/rfc9001#section-5.3
    //# The associated data, A, for the AEAD is the contents of the QUIC header,
    //# starting from the first byte of either the short or long header, up to and
    //# including the unprotected packet number.
    if !packet_key.seal(number, header, payload, tag) {
        return Err(SealError::Malformed);
    }
    lap.mark(|time| &mut time.seal);
    //= https://www.rfc-editor.org/rfc/rfc9001#section-5.4.1
    //# Header protection is applied after packet protection is applied
    let protected = header::protect(header_key, packet, packet_number_offset);
    lap.mark(|time| &mut time.header_protection);
    if protected { Ok(()) } else { Err(SealError::Malformed) }
}

/// Decrypts the payload of a packet whose header is already unmasked. False if it is not authentic.
#[inline]
pub(crate) fn open_payload(key: &PacketKey, packet: &mut [u8], number: u64, payload_offset: usize) -> bool {
    match packet.split_at_mut_checked(payload_offset) {
        Some((header, payload)) => key.open(number, header, payload),
        None => false,
    }
}

/// Unmasks the header and decrypts the payload with the only keys a level has. `None` if the packet is not authentic.
#[inline]
pub(crate) fn open(
    keys: &DirectionalKeys,
    packet: &mut [u8],
    packet_number_offset: usize,
    expected: u64,
    lap: &mut Lap,
) -> Option<header::Unprotected> {
    let unprotected = header::unprotect(&keys.header, packet, packet_number_offset, expected)?;
    lap.mark(|time| &mut time.header_protection);
    let is_authentic = open_payload(&keys.packet, packet, unprotected.number, unprotected.payload_offset);
    lap.mark(|time| &mut time.open);
    is_authentic.then_some(unprotected)
}

/// The last look at an authentic packet.
pub(crate) fn opened(
    unprotected: header::Unprotected,
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
    let offset = |offset| u16::try_from(offset).map_err(|_| OpenError::Undecryptable);
    let payload = (offset(unprotected.payload_offset)?, offset(packet.len() - TAG_LENGTH)?);
    Ok(Opened { number: unprotected.number, payload, key_phase_changed, previous_keys })
}
