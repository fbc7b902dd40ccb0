//! [`Ascent`]: from a utility gradient to the next rate (the paper's section 4).

use super::power::power;
use super::utility::MEGABIT;

/// omega_0: the first step changes the rate by no more than this part of it.
const FIRST_BOUNDARY: f64 = 0.05;
/// delta: each step in the same direction that was cut short may be larger by this.
const BOUNDARY_STEP: f64 = 0.1;
/// No step changes the rate by more than this part of it.
const LAST_BOUNDARY: f64 = 0.5;

/// The steps up the utility, and how sure of their direction they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ascent {
    /// The step for a gradient of one at one Mbit/s, in Mbit/s.
    scale: f64,
    up: Option<bool>,
    /// tau: consecutive steps in that direction.
    steps: u32,
    /// Consecutive steps that were cut short.
    cut: f64,
}

impl Ascent {
    pub(super) const fn new(scale: f64) -> Self {
        Self { scale, up: None, steps: 0, cut: 0.0 }
    }

    /// Whether the last step was upwards; `None` before the first.
    pub(super) const fn is_upwards(&self) -> Option<bool> {
        self.up
    }

    /// Forgets how sure of its direction it was.
    pub(super) const fn restart(&mut self) {
        *self = Self::new(self.scale);
    }

    /// The rate to go to from this one, for a gradient in utility for each Mbit/s. Rates are in bytes a second.
    ///
    /// A step up and one down of the same size undo each other, so that steps by chance lead nowhere.
    pub(super) fn step(&mut self, rate: f64, gradient: f64) -> f64 {
        let up = gradient > 0.0;
        if self.up == Some(up) {
            self.steps = self.steps.saturating_add(1);
        } else {
            (self.up, self.steps, self.cut) = (Some(up), 1, 0.0);
        }
        let scale = self.scale * power(rate / MEGABIT, 0.5);
        let wanted = self.amplifier() * scale * gradient.abs() * MEGABIT;
        let boundary = (FIRST_BOUNDARY + self.cut * BOUNDARY_STEP).min(LAST_BOUNDARY);
        let change = if wanted > boundary * rate {
            self.cut += 1.0;
            boundary * rate
        } else {
            self.cut = cuts_for(wanted / rate);
            wanted
        };
        if up { rate + change } else { rate * rate / (rate + change) }
    }

    /// m(tau): tau up to three steps in one direction, then 2 tau - 3.
    fn amplifier(&self) -> f64 {
        let steps = f64::from(self.steps);
        if self.steps <= 3 { steps } else { 2.0 * steps - 3.0 }
    }
}

/// The least whole number of boundary steps that allows for this relative change.
fn cuts_for(change: f64) -> f64 {
    let mut cut = 0.0;
    while FIRST_BOUNDARY + cut * BOUNDARY_STEP < change.min(LAST_BOUNDARY) {
        cut += 1.0;
    }
    cut
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn steps_in_one_direction_grow_as_the_confidence_amplifier_does() {
        let mut ascent = Ascent::new(0.03);
        let rate = 900.0 * MEGABIT;
        let steps: Vec<f64> = (0..6).map(|_| (ascent.step(rate, 0.5) - rate) / MEGABIT).collect();
        // 0.03 times the root of 900 times 0.5 is 0.45; m = 1, 2, 3, 5, 7, 9.
        for (step, times) in steps.iter().zip([1.0, 2.0, 3.0, 5.0, 7.0, 9.0]) {
            assert!((step - 0.45 * times).abs() < 1e-6, "{steps:?}");
        }
        let back = ascent.step(rate, -0.5) / MEGABIT;
        assert!((back - 900.0 * 900.0 / 900.45).abs() < 1e-6, "another direction begins with one: {back}");
    }

    #[test]
    fn the_boundary_opens_while_steps_are_cut_and_closes_when_the_direction_changes() {
        let mut ascent = Ascent::new(0.03);
        let rate = 100.0 * MEGABIT;
        let steps: Vec<f64> = (0..7).map(|_| rate / ascent.step(rate, -4500.0) - 1.0).collect();
        for (step, expected) in steps.iter().zip([0.05, 0.15, 0.25, 0.35, 0.45, 0.5, 0.5]) {
            assert!((step - expected).abs() < 1e-9, "{steps:?}");
        }
        assert!((ascent.step(rate, 4500.0) / rate - 1.05).abs() < 1e-9);
    }

    #[test]
    fn a_step_that_fits_closes_the_boundary_to_what_it_needs() {
        let mut ascent = Ascent::new(0.03);
        let rate = 100.0 * MEGABIT;
        for _ in 0..4 {
            ascent.step(rate, 4500.0);
        }
        // 0.3 Mbit/s for a gradient of one. The fifth step: m = 7, 14.7 of 45 % wanted; the sixth: m = 9, 27 of now 15 %.
        assert!((ascent.step(rate, 7.0) / rate - 1.147).abs() < 1e-9);
        assert!((ascent.step(rate, 10.0) / rate - 1.15).abs() < 1e-9);
    }

    #[test]
    fn a_step_up_and_one_down_undo_each_other() {
        let rate = 10.0 * MEGABIT;
        let up = Ascent::new(0.03).step(rate, 1e9);
        assert!((Ascent::new(0.03).step(up, -1e9) / rate - 1.0).abs() < 1e-9);
    }
}
