//! [`Grease`]: elements without meaning, sent so that peers stay used to ignoring them (RFC 9114 §7.2.8).

/// Numbers from a seed. Not for secrets.
#[derive(Clone, Debug)]
pub struct Grease(u64);

impl Grease {
    /// The sequence that belongs to this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits (splitmix64: a counter, and two rounds that mix its bits).
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number that nobody may give a meaning, for frames, settings, streams and errors.
    pub const fn number(&mut self) -> u64 {
        // Any multiple would do; with these it takes four bytes.
        (self.next() >> 40) * 0x1f + 0x21
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::is_reserved;

    #[test]
    fn numbers_have_no_meaning_and_follow_from_the_seed() {
        let (mut one, mut other) = (Grease::new(7), Grease::new(8));
        let numbers: Vec<u64> = (0..1000).map(|_| one.number()).collect();
        assert!(numbers.iter().all(|number| is_reserved(*number) && *number < 1 << 30));
        assert!((0..1000).map(|_| other.number()).ne(numbers.iter().copied()));
        let mut again = Grease::new(7);
        assert!((0..1000).map(|_| again.number()).eq(numbers.iter().copied()));
    }
}
