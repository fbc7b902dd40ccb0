//! Bytes that can be checked when they come back, at the price of a comparison.
//!
//! A block of pseudo-random bytes, repeated. Its length is prime, so that a piece put in the wrong place (by a power of
//! two, or by the size of a packet) does not look right; each stream begins elsewhere in it, so that streams cannot be
//! taken for one another.

use std::sync::OnceLock;

use bytes::Bytes;

/// The largest prime below 2^20.
const LENGTH: usize = 1_048_573;

/// What one stream carries: byte `n` of it is always the same.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    block: Bytes,
    start: u64,
}

impl Pattern {
    pub(crate) fn new(stream: u64) -> Self {
        static BLOCK: OnceLock<Bytes> = OnceLock::new();
        // Another prime, far from the sizes of chunks.
        Self { block: BLOCK.get_or_init(block).clone(), start: stream.wrapping_mul(611_953) % LENGTH as u64 }
    }

    /// Bytes from `offset`, at most `maximum` and at least one unless that is zero; nothing is copied.
    pub(crate) fn chunk(&self, offset: u64, maximum: usize) -> Bytes {
        let from = self.position(offset);
        self.block.slice(from..LENGTH.min(from + maximum))
    }

    /// Compares what arrived at `offset`. The error is where it differs.
    pub(crate) fn check(&self, offset: u64, arrived: &[u8]) -> Result<(), u64> {
        let mut at = offset;
        let mut rest = arrived;
        while !rest.is_empty() {
            let expected = self.chunk(at, rest.len());
            let (now, later) = rest.split_at(expected.len());
            if now != expected {
                let same = now.iter().zip(&expected).take_while(|(found, wanted)| found == wanted).count();
                return Err(at + same as u64);
            }
            at += now.len() as u64;
            rest = later;
        }
        Ok(())
    }

    fn position(&self, offset: u64) -> usize {
        // Below LENGTH, which fits.
        ((offset % LENGTH as u64 + self.start) % LENGTH as u64) as usize
    }
}

/// Marsaglia's xorshift, 64 bits.
fn block() -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(LENGTH).collect::<Vec<u8>>().into()
}

/// Different on each stream, for the check of [`Pattern::check`] over a whole stream: counts, and remembers the first
/// difference.
#[derive(Debug)]
pub(crate) struct Checker {
    pattern: Pattern,
    offset: u64,
}

impl Checker {
    pub(crate) fn new(stream: u64) -> Self {
        Self { pattern: Pattern::new(stream), offset: 0 }
    }

    /// The next bytes of the stream. The error is the offset of the first byte that is wrong.
    pub(crate) fn add(&mut self, arrived: &[u8]) -> Result<(), u64> {
        self.pattern.check(self.offset, arrived)?;
        self.offset += arrived.len() as u64;
        Ok(())
    }

    /// How many bytes were right.
    pub(crate) const fn count(&self) -> u64 {
        self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_in_any_pieces_is_recognized() {
        let (pattern, mut checker) = (Pattern::new(3), Checker::new(3));
        let mut offset = 0;
        for size in [1, 1200, 65_536, 1_000_000, 7].into_iter().cycle().take(50) {
            let chunk = pattern.chunk(offset, size);
            offset += chunk.len() as u64;
            checker.add(&chunk).unwrap();
        }
        assert_eq!(checker.count(), offset);
    }

    #[test]
    fn a_wrong_byte_a_wrong_place_and_a_wrong_stream_are_found() {
        let pattern = Pattern::new(0);
        let mut damaged = pattern.chunk(100, 5000).to_vec();
        damaged[4321] ^= 1;
        assert_eq!(pattern.check(100, &damaged), Err(4421));
        for shift in [1, 1200, 1 << 16, 1 << 20, 1 << 30] {
            assert!(pattern.check(shift, &pattern.chunk(0, 64)).is_err(), "{shift}");
        }
        assert!(Pattern::new(1).check(0, &pattern.chunk(0, 64)).is_err());
    }
}
