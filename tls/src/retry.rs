//! The integrity tag of Retry packets (RFC 9001 §5.8, RFC 9369 §3.3.3).
//!
//! Its key is in the RFC: the tag proves only that whoever sent the Retry saw the client's Initial.

use alloc::vec::Vec;

use codec::{ConnectionId, Version};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::TAG_LENGTH;

/// The 16 bytes that end a Retry packet.
///
/// `retry_without_tag` is the whole packet up to them, `original_destination` the destination connection id of the
/// client's first Initial. Every version but 2 uses the key of version 1.
pub fn integrity_tag(
    version: Version,
    original_destination: &ConnectionId,
    retry_without_tag: &[u8],
) -> [u8; TAG_LENGTH] {
    // The computation cannot fail: the key has the algorithm's length and there is nothing to encrypt. Should it ever,
    // the peer ignores this tag and the client tries again.
    compute(version, original_destination, retry_without_tag).unwrap_or_default()
}

/// Whether `tag` is the integrity tag of the Retry packet whose other bytes are `retry_without_tag`. Takes the same
/// time whichever bytes differ.
#[must_use]
pub fn verify(
    version: Version,
    original_destination: &ConnectionId,
    retry_without_tag: &[u8],
    tag: &[u8; TAG_LENGTH],
) -> bool {
    let Some(expected) = compute(version, original_destination, retry_without_tag) else { return false };
    let difference = expected.iter().zip(tag).fold(0, |difference, (a, b)| difference | (a ^ b));
    // Keeps the compiler from leaving the loop at the first difference.
    core::hint::black_box(difference) == 0
}

/// AEAD_AES_128_GCM over nothing, with the Retry pseudo-packet as associated data.
fn compute(
    version: Version,
    original_destination: &ConnectionId,
    retry_without_tag: &[u8],
) -> Option<[u8; TAG_LENGTH]> {
    let mut pseudo_packet = Vec::with_capacity(1 + original_destination.len() + retry_without_tag.len());
    pseudo_packet.push(u8::try_from(original_destination.len()).ok()?);
    pseudo_packet.extend_from_slice(original_destination.as_bytes());
    pseudo_packet.extend_from_slice(retry_without_tag);

    let (key, nonce) = secret(version);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).ok()?);
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let tag = key.seal_in_place_separate_tag(nonce, Aad::from(pseudo_packet), &mut []).ok()?;
    tag.as_ref().try_into().ok()
}

/// Key and nonce.
fn secret(version: Version) -> (&'static [u8; 16], &'static [u8; 12]) {
    match version {
        Version::V2 => (
            &[0x8f, 0xb4, 0xb0, 0x1b, 0x56, 0xac, 0x48, 0xe2, 0x60, 0xfb, 0xcb, 0xce, 0xad, 0x7c, 0xcc, 0x92],
            &[0xd8, 0x69, 0x69, 0xbc, 0x2d, 0x7c, 0x6d, 0x99, 0x90, 0xef, 0xb0, 0x4a],
        ),
        _ => (
            &[0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a, 0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e],
            &[0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb],
        ),
    }
}
