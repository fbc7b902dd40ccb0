//! [`Stage`]: one stage of congestion avoidance, from a reduction to the next (RFC 9438 §4.2 to §4.5).

use core::time::Duration;

use super::curve::{Curve, alpha};
use crate::arithmetic::mul_div;
use crate::scaled::{FRACTION_BITS, limit, scale};

/// A turn's acknowledgements are taken in no more steps than this, so that a batch grows the window as its packets one by one
/// would have.
const STEPS: u64 = 16;

/// In which region of RFC 9438 §4.2 congestion avoidance last was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Region {
    /// The estimate of what Reno would have is the larger (§4.3).
    RenoFriendly,
    /// Below the window at which the path was last full: ever more slowly towards it (§4.4).
    Concave,
    /// At it or beyond: ever faster away from it (§4.5).
    Convex,
}

/// One stage of congestion avoidance. Its windows are [scaled](crate::scaled).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    curve: Curve,
    segment: u64,
    /// t: how long the stage has lasted, without the time in which the window was not used or was in recovery.
    pub(crate) elapsed: Duration,
    /// W_est.
    estimate: u64,
    pub(crate) region: Region,
}

impl Stage {
    /// Begins at `window` (scaled) towards `saturation` (bytes).
    pub(crate) fn begin(window: u64, saturation: u64, datagram_size: u16) -> Self {
        let curve = Curve::new(window >> FRACTION_BITS, saturation, datagram_size);
        let region = if window < scale(curve.plateau()) { Region::Concave } else { Region::Convex };
        Self { curve, segment: u64::from(datagram_size), elapsed: Duration::ZERO, estimate: window, region }
    }

    /// W_max of this stage, in bytes.
    pub(crate) const fn plateau(&self) -> u64 {
        self.curve.plateau()
    }

    /// The window (scaled) after so many bytes were acknowledged at once; `prior` is cwnd_prior in bytes.
    pub(crate) fn grow(&mut self, window: u64, prior: u64, rtt: Duration, acknowledged_bytes: u64) -> u64 {
        let now = scale(self.curve.window_at(self.elapsed));
        let target = scale(self.curve.window_at(self.elapsed.saturating_add(rtt)));
        // More than a window cannot have been in flight for a round trip; a peer that claims so gains nothing.
        let mut left = acknowledged_bytes.min(window >> FRACTION_BITS);
        let step = left.div_ceil(STEPS).max(self.segment);
        let mut window = window;
        while left > 0 {
            let bytes = left.min(step);
            left -= bytes;
            self.estimate(window, prior, bytes);
            window = self.step(window, now, target, bytes);
        }
        window
    }

    /// Moves W_est as Reno's window would.
    fn estimate(&mut self, window: u64, prior: u64, bytes: u64) {
        let reno = mul_div(scale(self.segment), scale(bytes), window);
        // Once W_est reached the window before the reduction, alpha is set
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.3
        //# to 1 to ensure that it can achieve the same congestion window increment
        //# rate as Reno
        let reached = self.estimate >= scale(prior);
        self.estimate = limit(self.estimate.saturating_add(if reached { reno } else { alpha(reno) }));
    }

    fn step(&mut self, window: u64, now: u64, target: u64, bytes: u64) -> u64 {
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.3
        //# CUBIC checks whether W_cubic(t) is less than W_est.  If so, CUBIC is
        //# in the Reno-friendly region and cwnd SHOULD be set to W_est at each
        //# reception of a new ACK.
        if now < self.estimate {
            self.region = Region::RenoFriendly;
            return window.max(self.estimate);
        }
        self.region = if window < scale(self.plateau()) { Region::Concave } else { Region::Convex };
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.2
        //# The lower and upper bounds below ensure that CUBIC's congestion
        //# window increase rate is non-decreasing and is less than the increase
        //# rate of slow start
        let target = target.clamp(window, window.saturating_add(window / 2));
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.4
        //# In this region, cwnd MUST be incremented by
        // (target - cwnd) / cwnd for each segment acknowledged.
        limit(window.saturating_add(mul_div(target - window, scale(bytes), window)))
    }
}
