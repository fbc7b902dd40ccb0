//! [`power`]: a positive number to a fractional power, without a mathematics library.

/// Terms of both series: the first one left out is below one in 10^16.
const TERMS: u32 = 13;
/// The bits of an `f64` below its exponent.
const MANTISSA_BITS: u32 = 52;
/// What an `f64`'s exponent is written with in excess.
const EXPONENT_BIAS: i64 = 1023;

/// `base` to the power of `exponent`, for bases from 10^-12 to 10^12 and exponents from 0 to 2: to one part in 10^13.
///
/// Arguments beyond that are taken as the nearest that are not; a base that is no number is the least.
pub(super) fn power(base: f64, exponent: f64) -> f64 {
    let base = if base >= 1e-12 { base.min(1e12) } else { 1e-12 };
    let exponent = if exponent >= 0.0 { exponent.min(2.0) } else { 0.0 };
    exponential(logarithm(base) * exponent)
}

/// The natural logarithm of a normal positive number.
fn logarithm(value: f64) -> f64 {
    let bits = value.to_bits();
    let mut exponent = i64::try_from(bits >> MANTISSA_BITS).unwrap_or(0) - EXPONENT_BIAS;
    let mut mantissa = f64::from_bits(bits & ((1 << MANTISSA_BITS) - 1) | (1023 << MANTISSA_BITS));
    if mantissa > core::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)), whose argument is below 0.172 here.
    let argument = (mantissa - 1.0) / (mantissa + 1.0);
    let square = argument * argument;
    let mut sum = 0.0;
    for term in (0..TERMS).rev() {
        sum = sum * square + 1.0 / f64::from(2 * term + 1);
    }
    2.0 * argument * sum + exponent as f64 * core::f64::consts::LN_2
}

/// e to a power between -60 and 60.
fn exponential(power: f64) -> f64 {
    let halves = power / core::f64::consts::LN_2;
    // To the nearest whole number; the conversion cuts off towards zero.
    let whole = (if halves < 0.0 { halves - 0.5 } else { halves + 0.5 }) as i64;
    // What is left is at most ln 2 / 2 = 0.347.
    let rest = power - whole as f64 * core::f64::consts::LN_2;
    let mut sum = 1.0;
    for term in (1..=TERMS).rev() {
        sum = 1.0 + sum * rest / f64::from(term);
    }
    let exponent = u64::try_from(whole + EXPONENT_BIAS).unwrap_or(0);
    sum * f64::from_bits(exponent << MANTISSA_BITS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn worked_numbers() {
        // 2^0.9, 10^0.9, 100^0.9, 10000^0.9.
        for (base, expected) in [
            (1.0, 1.0),
            (2.0, 1.866_065_983_073_615),
            (10.0, 7.943_282_347_242_816),
            (100.0, 63.095_734_448_019_33),
            (10_000.0, 3_981.071_705_534_973),
        ] {
            let off = power(base, 0.9) / expected - 1.0;
            assert!(off.abs() < 1e-13, "{base}: {off}");
        }
    }

    #[test]
    fn the_edges_are_numbers() {
        for base in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, f64::MIN_POSITIVE, f64::MAX] {
            for exponent in [f64::NAN, f64::INFINITY, -1.0, 0.0, 0.9, 2.0, 1e300] {
                let result = power(base, exponent);
                assert!(result.is_finite() && result > 0.0, "{base} ^ {exponent} = {result}");
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_the_librarys_power(magnitude in -12.0_f64..12.0, exponent in 0.0_f64..2.0) {
            let base = 10.0_f64.powf(magnitude).clamp(1e-12, 1e12);
            let expected = base.powf(exponent);
            let off = power(base, exponent) / expected - 1.0;
            prop_assert!(off.abs() < 1e-13, "{base} ^ {exponent}: {off}");
        }
    }
}
