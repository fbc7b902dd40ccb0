//! [`Chance`]: numbers drawn from a seed, for controllers that draw lots and for tests.

/// Numbers from a seed (splitmix64). The same seed gives the same numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next of all numbers.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// The next of the numbers below the bound; 0 if there are none.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_splitmixs() {
        let mut chance = Chance::new(1_234_567);
        let first = [chance.next(), chance.next(), chance.next()];
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn every_number_below_the_bound_comes_about_as_often() {
        let mut chance = Chance::new(7);
        let mut counts = [0_u32; 5];
        for _ in 0..10_000 {
            counts[chance.below(5) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (1900..2100).contains(count)), "{counts:?}");
        assert_eq!(chance.below(0), 0);
    }
}
