//! [`Random`]: unpredictable numbers from a seed that the shell provides.

use ring::digest;

/// A generator of unpredictable bytes: SHA-256 over the seed and a counter.
///
/// All inputs have one length, so none is the beginning of another, and what HMAC adds against that (three more runs of
/// the compression function) is not needed.
///
/// Used for what an attacker must not guess (PATH_CHALLENGE data, skipped packet numbers): a few times a second for each
/// connection, never once a packet. The same seed gives the same bytes, which is what makes simulations repeatable.
pub struct Random {
    seed: [u8; 32],
    counter: u64,
}

impl Random {
    /// The generator of this seed.
    pub const fn new(seed: &[u8; 32]) -> Self {
        Self { seed: *seed, counter: 0 }
    }

    /// The next `N` bytes, at most 32.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        const { assert!(N <= 32, "one block at a time") };
        self.counter = self.counter.wrapping_add(1);
        let mut input = [0; 40];
        let (seed, counter) = input.split_at_mut(32);
        seed.copy_from_slice(&self.seed);
        counter.copy_from_slice(&self.counter.to_be_bytes());
        let block = digest::digest(&digest::SHA256, &input);
        let mut bytes = [0; N];
        for (to, from) in bytes.iter_mut().zip(block.as_ref()) {
            *to = *from;
        }
        bytes
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        u64::from_be_bytes(self.bytes())
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_repeats_and_numbers_do_not() {
        let mut one = Random::new(&[7; 32]);
        let mut two = Random::new(&[7; 32]);
        let first: [u8; 8] = one.bytes();
        assert_eq!(first, two.bytes());
        assert_ne!(first, one.bytes());
        assert_ne!(Random::new(&[8; 32]).number(), Random::new(&[7; 32]).number());
    }
}
