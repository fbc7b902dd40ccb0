//! Integer arithmetic that the response functions share: nothing overflows, nothing is a float.

/// Nanoseconds in a second.
pub(crate) const NANOSECONDS: u64 = 1_000_000_000;

/// `a * b / divisor`, rounded down, without overflow on the way; saturates. A divisor of zero counts as one.
pub(crate) fn mul_div(a: u64, b: u64, divisor: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    u64::try_from(product / u128::from(divisor.max(1))).unwrap_or(u64::MAX)
}

/// The largest `r` with `r * r * r <= value`.
pub(crate) fn cube_root(value: u128) -> u64 {
    // Bit by bit from the top: 43 steps, because 2^129 is the first cube of a power of two beyond u128.
    let mut root: u128 = 0;
    for bit in (0..43).rev() {
        let candidate = root | (1 << bit);
        if candidate.checked_pow(3).is_some_and(|cube| cube <= value) {
            root = candidate;
        }
    }
    u64::try_from(root).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mul_div_saturates_and_survives_a_zero_divisor() {
        assert_eq!(mul_div(7, 3, 2), 10);
        assert_eq!(mul_div(u64::MAX, u64::MAX, 1), u64::MAX);
        assert_eq!(mul_div(5, 5, 0), 25);
        assert_eq!(mul_div(u64::MAX, u64::MAX, u64::MAX), u64::MAX);
    }

    #[test]
    fn cubes_have_their_roots() {
        for root in [0, 1, 2, 3, 10, 4217, 1_000_000, 6_981_463_658_331] {
            let cube = u128::from(root).pow(3);
            assert_eq!(cube_root(cube), root);
            assert_eq!(cube_root(cube + 1), root.max(1), "one more than the cube of {root}");
        }
        assert_eq!(cube_root(u128::MAX), 6_981_463_658_331);
    }

    proptest! {
        #[test]
        fn the_cube_root_is_the_largest_whose_cube_fits(value: u128) {
            let root = u128::from(cube_root(value));
            prop_assert!(root.pow(3) <= value);
            prop_assert!((root + 1).checked_pow(3).is_none_or(|cube| cube > value));
        }
    }
}
