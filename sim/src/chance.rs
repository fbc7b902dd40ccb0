//! [`Chance`]: numbers from a seed.

/// One in a million, the unit of probabilities.
pub const MILLION: u32 = 1_000_000;

/// Numbers from a seed (splitmix64): the same seed, the same numbers.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// Numbers of their own for each purpose: those that one part draws do not depend on how many another drew.
    pub(crate) const fn new(seed: u64, purpose: u64) -> Self {
        let mut chance = Self(seed ^ purpose.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        chance.0 = chance.next();
        chance
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below the bound; 0 if that is 0.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        // The upper half of the product: every number is as likely as every other, as nearly as matters here.
        ((self.next() as u128 * bound as u128) >> 64) as u64
    }

    /// True so many times in a million.
    pub(crate) const fn happens(&mut self, millionths: u32) -> bool {
        millionths > 0 && self.below(MILLION as u64) < millionths as u64
    }

    /// A number from 0 up to, not including, 1.
    pub(crate) const fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_what_they_say() {
        let mut chance = Chance::new(7, 1);
        for millionths in [0, 100, 10_000, 500_000, MILLION] {
            let hits = (0..1_000_000).filter(|_| chance.happens(millionths)).count() as f64;
            let expected = f64::from(millionths);
            // Five standard deviations of a binomial distribution.
            let spread = 5.0 * (expected * (1.0 - expected / 1e6)).sqrt();
            assert!((hits - expected).abs() <= spread, "{millionths}: {hits}");
        }
        let mean = (0..100_000).map(|_| chance.fraction()).sum::<f64>() / 1e5;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
    }

    #[test]
    fn purposes_draw_different_numbers() {
        assert_ne!(Chance::new(1, 1).next(), Chance::new(1, 2).next());
        assert_ne!(Chance::new(1, 1).next(), Chance::new(2, 1).next());
        assert_eq!(Chance::new(1, 1).next(), Chance::new(1, 1).next());
        assert_eq!(Chance::new(1, 1).below(0), 0);
    }
}
