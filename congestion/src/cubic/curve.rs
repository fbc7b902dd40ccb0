//! The numbers of RFC 9438 in integers: the curve W_cubic, its K, and the two factors.

use core::time::Duration;

use crate::arithmetic::{cube_root, mul_div};

/// Microseconds in a second, cubed.
const SECOND_CUBED: u128 = 1_000_000_000_000_000_000;
/// C is 0.4 segments a second cubed: this over [`C_DIVISOR`].
const C: u128 = 4;
const C_DIVISOR: u128 = 10;
/// The curve is not followed further than this from its plateau: 10,000 seconds, in microseconds. The window is beyond every
/// path long before, and the cube still fits.
const FURTHEST: u64 = 10_000_000_000;

/// `bytes` times beta_cubic, 0.7.
pub(crate) fn decrease(bytes: u64) -> u64 {
    mul_div(bytes, 7, 10)
}

/// `bytes` times (1 + beta_cubic) / 2, 0.85: the plateau under fast convergence.
pub(crate) fn converge(bytes: u64) -> u64 {
    mul_div(bytes, 85, 100)
}

/// `bytes` times alpha_cubic: 3 * (1 - 0.7) / (1 + 0.7) = 9/17.
pub(super) fn alpha(bytes: u64) -> u64 {
    mul_div(bytes, 9, 17)
}

/// One stage of congestion avoidance on the curve: where its plateau is and how far away in time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Curve {
    /// W_max for this stage, in bytes.
    plateau: u64,
    /// K in microseconds: when the plateau is reached.
    k: u64,
    segment: u64,
}

impl Curve {
    /// The curve that goes from `window` towards `saturation` (both in bytes). From above the saturation window, and where there
    /// is none, it starts on its plateau: K is 0.
    pub(super) fn new(window: u64, saturation: u64, datagram_size: u16) -> Self {
        let segment = u64::from(datagram_size).max(1);
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.10
        //# is set to the congestion window size at the beginning of the current
        //# congestion avoidance stage.
        if saturation <= window {
            return Self { plateau: window, k: 0, segment };
        }
        let seconds_cubed = u128::from(saturation - window) * C_DIVISOR * SECOND_CUBED / (C * u128::from(segment));
        Self { plateau: saturation, k: cube_root(seconds_cubed), segment }
    }

    /// W_max of this stage, in bytes.
    pub(super) const fn plateau(&self) -> u64 {
        self.plateau
    }

    /// W_cubic(t) in bytes: `C * (t - K)^3 + W_max`.
    pub(super) fn window_at(&self, elapsed: Duration) -> u64 {
        let t = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let distance = u128::from(t.abs_diff(self.k).min(FURTHEST));
        let cube = distance * distance * distance;
        let offset = cube * C / C_DIVISOR * u128::from(self.segment) / SECOND_CUBED;
        let offset = u64::try_from(offset).unwrap_or(u64::MAX);
        if t < self.k { self.plateau.saturating_sub(offset) } else { self.plateau.saturating_add(offset) }
    }
}
