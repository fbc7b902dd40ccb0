//! Windows in bytes with a fraction, for algorithms whose steps are smaller than a byte.

use crate::window::MAXIMUM_WINDOW;

/// So many fractional bits: one packet grows a large window by less than a byte. The largest window still fits with room for
/// a factor of 256.
pub(crate) const FRACTION_BITS: u32 = 16;

/// Bytes, scaled by [`FRACTION_BITS`].
pub(crate) const fn scale(bytes: u64) -> u64 {
    bytes.saturating_mul(1 << FRACTION_BITS)
}

/// A scaled window that is no larger than any may be.
pub(crate) fn limit(scaled: u64) -> u64 {
    scaled.min(scale(MAXIMUM_WINDOW))
}
