//! Header protection of one packet (RFC 9001 §5.4).

use codec::packet::number;

use crate::rustls::HeaderKey;

/// The sample begins where the payload would if the packet number had its full length (RFC 9001 §5.4.2).
const SAMPLE_START: usize = 4;
/// Where the sample ends, counted from the packet number; no packet may be shorter.
pub(crate) const SAMPLE_END: usize = SAMPLE_START + 16;

const LONG_HEADER: u8 = 0x80;
const KEY_PHASE: u8 = 0x04;
const LONG_RESERVED: u8 = 0x0c;
const SHORT_RESERVED: u8 = 0x18;
const NUMBER_LENGTH: u8 = 0x03;

/// What stood behind the mask. Not authentic until the payload has been opened.
#[derive(Clone, Copy)]
pub(crate) struct Unprotected {
    pub(crate) number: u64,
    pub(crate) payload_offset: usize,
    first: u8,
}

impl Unprotected {
    /// The Key Phase bit of a short header.
    #[inline]
    pub(crate) fn key_phase(&self) -> bool {
        self.first & KEY_PHASE != 0
    }

    /// Whether the reserved bits are zero.
    #[inline]
    pub(crate) fn reserved_bits_are_zero(&self) -> bool {
        let reserved = if self.first & LONG_HEADER != 0 { LONG_RESERVED } else { SHORT_RESERVED };
        self.first & reserved == 0
    }
}

/// Unmasks the header in place. `None`, and nothing changed, if the packet is too short for a sample.
#[inline]
pub(crate) fn unprotect(
    key: &HeaderKey,
    packet: &mut [u8],
    packet_number_offset: usize,
    expected: u64,
) -> Option<Unprotected> {
    let (first, number_bytes, sample) = parts(packet, packet_number_offset)?;
    if !key.unprotect(sample, first, number_bytes) {
        return None;
    }
    let first = *first;
    let length = usize::from(first & NUMBER_LENGTH) + 1;
    let truncated = number_bytes.iter().take(length).fold(0, |number, &byte| number << 8 | u32::from(byte));
    Some(Unprotected {
        number: number::expand(truncated, length, expected),
        payload_offset: packet_number_offset + length,
        first,
    })
}

/// Masks the header in place. False, and nothing changed, if the packet is too short for a sample.
#[inline]
pub(crate) fn protect(key: &HeaderKey, packet: &mut [u8], packet_number_offset: usize) -> bool {
    match parts(packet, packet_number_offset) {
        Some((first, number_bytes, sample)) => key.protect(sample, first, number_bytes),
        None => false,
    }
}

/// The first byte, the 4 bytes from the packet number on, and the sample after them.
#[inline]
fn parts(packet: &mut [u8], packet_number_offset: usize) -> Option<(&mut u8, &mut [u8], &[u8])> {
    //= https://www.rfc-editor.org/rfc/rfc9001#section-5.4.2
    //# An endpoint MUST discard packets that are not long enough to contain a complete
    //# sample.
    let protected = packet_number_offset.checked_add(SAMPLE_END)?;
    let (header, rest) = packet.get_mut(..protected)?.split_at_mut_checked(packet_number_offset)?;
    let (number, sample) = rest.split_at_mut_checked(SAMPLE_START)?;
    Some((header.first_mut()?, number, sample))
}
