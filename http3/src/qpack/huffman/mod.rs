//! Huffman-coded strings (RFC 9204 §4.1.2, RFC 7541 §5.2).

mod code;

use bytes::{BufMut, BytesMut};

use self::code::{CODES, ENDS, LENGTHS, LONGEST, ORDER, SHORT, SHORTEST};
use super::wire::Fault;

/// How many bytes `text` takes when it is coded.
#[inline]
pub(super) fn length(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|byte| usize::from(at(&LENGTHS, *byte))).sum();
    bits.div_ceil(8)
}

/// The fewest bytes that a coded string of `length` bytes can stand for.
pub(super) const fn least_decoded(length: usize) -> usize {
    // The last byte may have up to seven bits of padding.
    (length.saturating_mul(8)).saturating_sub(7).div_ceil(LONGEST)
}

/// The most bytes that a coded string of `length` bytes can stand for.
pub(super) const fn most_decoded(length: usize) -> usize {
    length.saturating_mul(8) / SHORTEST
}

/// Appends `text`, coded.
pub(super) fn encode(text: &[u8], out: &mut BytesMut) {
    let (mut waiting, mut bits) = (0_u64, 0_u32);
    for byte in text {
        let length = u32::from(at(&LENGTHS, *byte));
        // At most 31 bits wait, and a code has at most 30.
        waiting = waiting << length | u64::from(at(&CODES, *byte));
        bits += length;
        if bits >= 32 {
            bits -= 32;
            out.put_u32((waiting >> bits & 0xffff_ffff) as u32);
        }
    }
    // As padding, the first bits of EOS, which are ones (RFC 7541 §5.2).
    let padding = bits.wrapping_neg() % 8;
    waiting = waiting << padding | ((1 << padding) - 1);
    bits += padding;
    while bits >= 8 {
        bits -= 8;
        out.put_u8((waiting >> bits & 0xff) as u8);
    }
}

/// Appends what `coded` stands for to `out`, at most `limit` bytes. After an error, `out` may hold a part of it.
pub(super) fn decode(coded: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    out.reserve(most_decoded(coded.len()).min(limit));
    let end = out.len().saturating_add(limit);
    let mut rest = coded;
    // The bits that are not decoded, beginning with the highest; all others are zero.
    let (mut waiting, mut bits) = (0_u64, 0_u32);
    loop {
        if bits <= 32 {
            if let Some((chunk, after)) = rest.split_first_chunk::<4>() {
                waiting |= u64::from(u32::from_be_bytes(*chunk)) << (32 - bits);
                bits += 32;
                rest = after;
            } else {
                for byte in std::mem::take(&mut rest) {
                    waiting |= u64::from(*byte) << (56 - bits);
                    bits += 8;
                }
            }
        }
        let short = at(&SHORT, (waiting >> 56) as u8);
        let (byte, length) =
            if short == 0 { long((waiting >> 32) as u32)? } else { ((short & 0xff) as u8, u32::from(short >> 8)) };
        if length > bits {
            return check_padding(waiting, bits);
        }
        if out.len() >= end {
            return Err(Fault::StringTooLong);
        }
        out.push(byte);
        waiting <<= length;
        bits -= length;
        if bits == 0 && rest.is_empty() {
            return Ok(());
        }
    }
}

/// The byte whose code of more than eight bits stands first, and its length.
#[cold]
fn long(first: u32) -> Result<(u8, u32), Fault> {
    let lengths = (0_u32..).zip(&ENDS).skip(9);
    for (length, end) in lengths {
        if u64::from(first) < end.below {
            let place = (first >> (32 - length)).wrapping_sub(end.offset);
            let byte = usize::try_from(place).ok().and_then(|place| ORDER.get(place));
            return byte.map(|byte| (*byte, length)).ok_or(Fault::Huffman);
        }
    }
    // What is left is EOS, which "MUST be treated as a decoding error" (RFC 7541 §5.2).
    Err(Fault::Huffman)
}

/// What is left must be the beginning of EOS, and less than a byte of it (RFC 7541 §5.2).
fn check_padding(waiting: u64, bits: u32) -> Result<(), Fault> {
    let ones = waiting.leading_ones();
    if bits < 8 && ones >= bits { Ok(()) } else { Err(Fault::Huffman) }
}

#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "every byte is below 256, and the compiler knows it")]
fn at<T: Copy>(table: &[T; 256], byte: u8) -> T {
    table[usize::from(byte)]
}

#[cfg(test)]
mod tests;
