//! What a rate was worth: the utility function, and what of its ingredients is noise.

use super::power::power;
use crate::Parameters;

/// The paper's unit of rates: a megabit a second, in bytes a second.
pub(super) const MEGABIT: f64 = 125_000.0;
/// How many standard errors an RTT gradient must be away from zero to count, squared.
const SIGNIFICANT_GRADIENT: f64 = 4.0;
/// How many standard errors two loss rates must be apart to count as different, squared.
pub(super) const SIGNIFICANT_LOSS: f64 = 4.0;
/// The same where many comparisons are made, each of which could end something.
pub(super) const CERTAIN_LOSS: f64 = 12.0;
/// An RTT that grew by less than this in a monitor interval, in seconds, grew by what hosts and their timers do to it.
const LEAST_GROWTH: f64 = 100e-6;

/// The utility function of the paper's section 3 and the threshold of section 5.
#[derive(Clone, Copy, Debug)]
pub(super) struct Utility {
    /// t, below one.
    exponent: f64,
    /// b.
    delay: f64,
    /// c.
    loss: f64,
    /// RTT gradients below this are none.
    least_gradient: f64,
}

/// What one monitor interval measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    /// The rate that was asked for, in bytes a second.
    pub rate: f64,
    /// Packets whose fate is known.
    pub packets: f64,
    /// The share of them that was lost or marked.
    pub loss: f64,
    /// The share of them that was marked.
    pub marks: f64,
    /// By how many seconds the RTT grew each second; zero where that is noise or less.
    pub gradient: f64,
}

impl Utility {
    pub(super) fn new(parameters: &Parameters) -> Self {
        let thousandths = |place| parameters.get(place) as f64 / 1000.0;
        Self { exponent: thousandths(0), delay: thousandths(1), loss: thousandths(2), least_gradient: thousandths(3) }
    }

    /// What the interval was worth, in the paper's terms: `x^t - b x dRTT/dT - c x L`, with x in Mbit/s.
    pub(super) fn of(&self, measured: &Measured) -> f64 {
        let rate = measured.rate / MEGABIT;
        power(rate, self.exponent) - self.delay * rate * measured.gradient - self.loss * rate * measured.loss
    }

    /// The utilities of two intervals that are to be compared: where their loss differs by no more than chance would have
    /// it, both are given the loss of the two together.
    ///
    /// Without this, a path that loses one packet in a hundred tells nothing: among the 200 packets of an interval, two more
    /// or less are worth ten times as much as 5 % of the rate.
    /// `significant` is the square of how many standard errors make a difference.
    pub(super) fn compare(&self, one: &Measured, other: &Measured, significant: f64) -> (f64, f64) {
        if Self::has_other_loss(one, other, significant) {
            return (self.of(one), self.of(other));
        }
        let loss = pooled(one, other);
        (self.of(&Measured { loss, ..*one }), self.of(&Measured { loss, ..*other }))
    }

    /// Whether chance alone would hardly make these two lose as differently as they do.
    pub(super) fn has_other_loss(one: &Measured, other: &Measured, significant: f64) -> bool {
        let loss = pooled(one, other);
        let variance =
            loss * (1.0 - loss).max(0.0) * (one.packets + other.packets) / (one.packets * other.packets).max(1.0);
        let difference = one.loss - other.loss;
        variance <= 0.0 || difference * difference > significant * variance
    }

    /// An RTT gradient as it counts: none if it is negative, below the threshold, or not certain.
    pub(super) fn filter(&self, regression: &Regression, seconds: f64) -> f64 {
        let gradient = regression.slope().unwrap_or(0.0);
        let grew = gradient * seconds;
        if gradient < self.least_gradient || grew < LEAST_GROWTH || !regression.is_certain() { 0.0 } else { gradient }
    }
}

/// The share of the packets of both that was lost or marked.
fn pooled(one: &Measured, other: &Measured) -> f64 {
    (one.loss * one.packets + other.loss * other.packets) / (one.packets + other.packets).max(1.0)
}

/// A straight line through points, by least squares. The points are not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Regression {
    count: f64,
    mean_x: f64,
    mean_y: f64,
    /// Sums of squares and products of the deviations from the means.
    xx: f64,
    xy: f64,
    yy: f64,
}

impl Regression {
    pub(super) fn add(&mut self, x: f64, y: f64) {
        self.count += 1.0;
        let (from_x, from_y) = (x - self.mean_x, y - self.mean_y);
        self.mean_x += from_x / self.count;
        self.mean_y += from_y / self.count;
        self.xx += from_x * (x - self.mean_x);
        self.xy += from_x * (y - self.mean_y);
        self.yy += from_y * (y - self.mean_y);
    }

    /// `None` for fewer than two points, or all at one x.
    pub(super) fn slope(&self) -> Option<f64> {
        (self.count >= 2.0 && self.xx > 0.0).then(|| self.xy / self.xx)
    }

    /// Whether the slope is more than two standard errors away from zero. Three points are the fewest that can tell.
    pub(super) fn is_certain(&self) -> bool {
        if self.count < 3.0 || self.xx <= 0.0 {
            return false;
        }
        // slope^2 > 4 * residuals / ((n - 2) xx), with residuals = yy - xy^2 / xx, multiplied by xx.
        let explained = self.xy * self.xy / self.xx;
        let residuals = (self.yy - explained).max(0.0);
        explained * (self.count - 2.0) > SIGNIFICANT_GRADIENT * residuals
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::PARAMETERS;
    use super::*;

    fn utility() -> Utility {
        Utility::new(&Parameters::defaults(PARAMETERS))
    }

    fn measured(megabits: f64, loss: f64, gradient: f64) -> Measured {
        Measured { rate: megabits * MEGABIT, packets: 200.0, loss, marks: 0.0, gradient }
    }

    #[test]
    fn the_papers_formula() {
        // 10^0.9 = 7.943; 900 * 10 * 0.02 = 180; 11.35 * 10 * 0.01 = 1.135.
        for (loss, gradient, expected) in [(0.0, 0.0, 7.943), (0.0, 0.02, 7.943 - 180.0), (0.01, 0.0, 7.943 - 1.135)] {
            assert!((utility().of(&measured(10.0, loss, gradient)) - expected).abs() < 0.001);
        }
    }

    /// Section 3: with c = 11.35, more is better as long as less than 5 % are lost (at 100 Mbit/s, where 0.9 x^-0.1 = 0.568).
    #[test]
    fn up_to_five_percent_of_random_loss_more_is_better() {
        let worth = |megabits, loss| utility().of(&measured(megabits, loss, 0.0));
        assert!(worth(90.0, 0.049) > worth(85.0, 0.049));
        assert!(worth(110.0, 0.051) < worth(105.0, 0.051));
    }

    #[test]
    fn loss_that_differs_by_chance_is_taken_as_the_same() {
        // 2 and 4 of 200: pooled 3 of 200, standard error 1.2 %, difference 1 %.
        let (more, less) = utility().compare(&measured(10.5, 0.02, 0.0), &measured(9.5, 0.01, 0.0), SIGNIFICANT_LOSS);
        let expected = utility().of(&measured(10.5, 0.015, 0.0));
        assert!((more - expected).abs() < 1e-9 && more > less);
        // 2 and 12 of 200 differ: pooled 7 of 200, standard error 1.8 %, difference 5 %.
        let (more, less) = utility().compare(&measured(10.5, 0.06, 0.0), &measured(9.5, 0.01, 0.0), SIGNIFICANT_LOSS);
        assert!((more - utility().of(&measured(10.5, 0.06, 0.0))).abs() < 1e-9 && more < less);
    }

    #[test]
    fn a_gradient_counts_from_the_threshold_on_if_it_is_certain() {
        let line = |slope: f64, noise: f64| {
            let mut regression = Regression::default();
            for index in 0..20 {
                let x = f64::from(index) * 0.005;
                regression.add(x, 0.05 + slope * x + if index % 2 == 0 { noise } else { -noise });
            }
            utility().filter(&regression, 0.1)
        };
        assert!((line(0.05, 0.0) - 0.05).abs() < 1e-9);
        assert!(line(0.009, 0.0).abs() < f64::EPSILON, "below 1 %");
        assert!(line(-0.5, 0.0).abs() < f64::EPSILON, "a queue that empties is no penalty");
        assert!(line(0.05, 0.01).abs() < f64::EPSILON, "10 ms to and fro hide 5 ms of growth");
        assert!(line(0.5, 0.01) > 0.4);
        assert!(utility().filter(&Regression::default(), 0.1).abs() < f64::EPSILON);
    }

    #[test]
    fn growth_of_less_than_a_hundred_microseconds_is_none() {
        let mut regression = Regression::default();
        for index in 0..20 {
            let x = f64::from(index) * 0.000_25;
            regression.add(x, 0.02 * x);
        }
        assert!(utility().filter(&regression, 0.004).abs() < f64::EPSILON);
        assert!((utility().filter(&regression, 0.006) - 0.02).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn the_regression_finds_the_line(slope in -1.0_f64..1.0, offset in -1.0_f64..1.0, count in 3_u32..200) {
            let mut regression = Regression::default();
            for index in 0..count {
                let x = f64::from(index) / 100.0;
                regression.add(x, offset + slope * x);
            }
            let found = regression.slope().unwrap();
            prop_assert!((found - slope).abs() < 1e-9, "{found} for {slope}");
        }
    }
}
