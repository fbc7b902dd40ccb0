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
