//! What a rate was worth: the utility function, and what of its ingredients is noise.

use super::power::power;
use crate::Parameters;

/// The paper's unit of rates: a megabit a second, in bytes a second.
pub(super) const MEGABIT: f64 = 125_000.0;
/// How many standard errors an RTT gradient must be away from zero to count, squared.
const SIGNIFICANT_GRADIENT: f64 = 4.0;
/// So many standard errors, squared, leave half of a difference in loss believed.
const HALF_TRUST: f64 = 1.0;
/// How many standard errors apart, squared, two losses differ beyond doubt.
const CERTAIN_LOSS: f64 = 12.0;
/// By how many standard errors the true loss may be less than what is seen.
const DOUBT: f64 = 2.0;
/// A queue that stands above this part of the least RTT ...
const STANDING_QUEUE: f64 = 0.1;
/// ... makes loss cost so many times more for each least RTT that it is long.
const STANDING_BLAME: f64 = 10.0;
/// The threshold of RTT gradients is divided by this for all intervals of a decision together.
const TREND_DIVISOR: f64 = 10.0;
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
    /// By how many seconds the RTT grew each second; zero where that is noise. A negative one is no gain.
    pub gradient: f64,
    /// The queue that stood meanwhile: how much of the least RTT the RTT was above it.
    pub standing: f64,
}

impl Utility {
    pub(super) fn new(parameters: &Parameters) -> Self {
        let thousandths = |place| parameters.get(place) as f64 / 1000.0;
        Self { exponent: thousandths(0), delay: thousandths(1), loss: thousandths(2), least_gradient: thousandths(3) }
    }

    /// What the interval was worth, in the paper's terms: `x^t - b x dRTT/dT - c x L`, with x in Mbit/s.
    pub(super) fn of(&self, measured: &Measured) -> f64 {
        let rate = measured.rate / MEGABIT;
        let blame = 1.0 + STANDING_BLAME * (measured.standing - STANDING_QUEUE).clamp(0.0, 1.0);
        power(rate, self.exponent)
            - self.delay * rate * measured.gradient.max(0.0)
            - self.loss * blame * rate * measured.loss
    }

    /// The utilities of two intervals that are to be compared: as far as chance explains that their loss differs, both are
    /// given the loss of the two together. `trust` is what is left of the difference, see [`trust`].
    ///
    /// Without this, a path that loses one packet in a hundred tells nothing: among the 200 packets of an interval, two more
    /// or less are worth ten times as much as 5 % of the rate.
    pub(super) fn compare(&self, one: &Measured, other: &Measured, trust: f64) -> (f64, f64) {
        let loss = pooled(one, other);
        let of = |measured: &Measured| self.of(&Measured { loss: loss + (measured.loss - loss) * trust, ..*measured });
        (of(one), of(other))
    }

    /// As [`compare`](Self::compare), with nothing but certainty: loss that does not differ counts as little as it can be.
    pub(super) fn compare_in_doubt(&self, one: &Measured, other: &Measured) -> (f64, f64) {
        if standard_errors_squared(one, other) > CERTAIN_LOSS {
            return (self.of(one), self.of(other));
        }
        let loss = pooled(one, other);
        let variance = loss * (1.0 - loss) / (one.packets + other.packets).max(1.0);
        let loss = (loss - DOUBT * power(variance, 0.5)).max(0.0);
        (self.of(&Measured { loss, ..*one }), self.of(&Measured { loss, ..*other }))
    }

    /// The RTT's slope in one interval: none if it is below the threshold or not certain. It may be negative.
    pub(super) fn slope(&self, regression: &Regression, seconds: f64) -> f64 {
        let slope = certain(regression, seconds);
        if slope.abs() < self.least_gradient { 0.0 } else { slope }
    }

    /// The same over all intervals of a decision, whose length makes much less of a slope visible.
    pub(super) fn trend(&self, regression: &Regression, seconds: f64) -> f64 {
        let slope = certain(regression, seconds);
        if slope < self.least_gradient / TREND_DIVISOR { 0.0 } else { slope }
    }

    /// What of the difference in slope between the higher and the lower trials is the trials' own doing, given that of each
    /// pair: as much as the pairs agree.
    pub(super) fn own_slope(&self, differences: [f64; 2]) -> f64 {
        let [one, other] = differences;
        let (mean, apart) = ((one + other) / 2.0, (one - other) / 2.0);
        let square = mean * mean;
        let trusted = if square > 0.0 { mean * square / (square + apart * apart) } else { 0.0 };
        if trusted.abs() < self.least_gradient { 0.0 } else { trusted }
    }
}

/// A slope if it is certain, and more than what hosts and timers make of it in so many seconds; else zero.
fn certain(regression: &Regression, seconds: f64) -> f64 {
    let slope = regression.slope().unwrap_or(0.0);
    if (slope * seconds).abs() < LEAST_GROWTH || !regression.is_certain() { 0.0 } else { slope }
}

/// How much of the difference between the losses of two intervals is to be believed, from 0 to 1: half of it at one standard
/// error. The sign stays, so that what is too little to be seen at once is seen in the mean of many decisions.
pub(super) fn trust(one: &Measured, other: &Measured) -> f64 {
    let square = standard_errors_squared(one, other);
    if square.is_finite() { square / (square + HALF_TRUST) } else { 1.0 }
}

/// By how many standard errors the losses of two intervals differ, squared; infinite if chance has no part in them.
fn standard_errors_squared(one: &Measured, other: &Measured) -> f64 {
    let loss = pooled(one, other);
    let variance =
        loss * (1.0 - loss).max(0.0) * (one.packets + other.packets) / (one.packets * other.packets).max(1.0);
    let difference = one.loss - other.loss;
    if variance > 0.0 { difference * difference / variance } else { f64::INFINITY }
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

    /// How many points there are.
    pub(super) const fn count(&self) -> f64 {
        self.count
    }

    pub(super) const fn mean_y(&self) -> f64 {
        self.mean_y
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
        Measured { rate: megabits * MEGABIT, packets: 200.0, loss, marks: 0.0, gradient, standing: 0.0 }
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
    fn loss_that_differs_by_chance_is_half_believed() {
        // 4 and 2 of 200: pooled 3 of 200, standard error 1.2 %, difference 1 %: 0.68 of one, squared.
        let (high, low) = (measured(10.5, 0.02, 0.0), measured(9.5, 0.01, 0.0));
        let square = 0.01 * 0.01 / (0.015 * 0.985 * 400.0 / 40_000.0);
        let believed = trust(&high, &low);
        assert!((believed - square / (square + 1.0)).abs() < 1e-9);
        let (more, less) = utility().compare(&high, &low, believed);
        assert!((more - utility().of(&measured(10.5, 0.015 + 0.005 * believed, 0.0))).abs() < 1e-9);
        assert!((less - utility().of(&measured(9.5, 0.015 - 0.005 * believed, 0.0))).abs() < 1e-9);
        // 12 and 2 of 200: 2.7 standard errors.
        assert!(trust(&measured(10.5, 0.06, 0.0), &low) > 0.85);
        // Nothing, and everything, is lost by no chance.
        assert!((trust(&measured(10.5, 0.0, 0.0), &measured(9.5, 0.0, 0.0)) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn in_doubt_loss_counts_as_little_as_it_can_be() {
        // 2 of 20 and 1 of 40: chance may well make them of one in a hundred.
        let mut twice = measured(8.0, 0.1, 0.0);
        twice.packets = 20.0;
        let mut once = measured(4.0, 0.025, 0.0);
        once.packets = 40.0;
        let (was, is) = utility().compare_in_doubt(&once, &twice);
        assert!(is > was, "starting goes on: {is} after {was}");
        // Half of 200 is beyond doubt.
        let (was, is) = utility().compare_in_doubt(&measured(4.0, 0.0, 0.0), &measured(8.0, 0.5, 0.0));
        assert!(is < was);
    }

    #[test]
    fn loss_while_a_queue_stands_costs_more() {
        let standing = |standing| utility().of(&Measured { standing, ..measured(10.0, 0.02, 0.0) });
        // 11.35 * 10 * 0.02 = 2.27 without a queue, six times that with one of 0.6 RTT, eleven times from 1.1 on.
        for (queue, times) in [(-0.5, 1.0), (0.1, 1.0), (0.6, 6.0), (1.1, 11.0), (9.0, 11.0)] {
            assert!((standing(queue) - (7.943 - 2.27 * times)).abs() < 0.001, "{queue}");
        }
    }

    #[test]
    fn a_slope_counts_from_the_threshold_on_if_it_is_certain() {
        let line = |slope: f64, noise: f64| {
            let mut regression = Regression::default();
            for index in 0..20 {
                let x = f64::from(index) * 0.005;
                regression.add(x, 0.05 + slope * x + if index % 2 == 0 { noise } else { -noise });
            }
            (utility().slope(&regression, 0.1), utility().trend(&regression, 0.1))
        };
        let is = |found: (f64, f64), slope: f64, trend: f64| {
            assert!((found.0 - slope).abs() < 1e-9 && (found.1 - trend).abs() < 1e-9, "{found:?}");
        };
        is(line(0.05, 0.0), 0.05, 0.05);
        // Below 1 % in an interval; in a whole decision, a tenth of that is seen.
        is(line(0.009, 0.0), 0.0, 0.009);
        is(line(-0.5, 0.0), -0.5, 0.0);
        // 10 ms to and fro hide 5 ms of growth.
        is(line(0.05, 0.01), 0.0, 0.0);
        assert!(line(0.5, 0.01).0 > 0.4);
        is((utility().slope(&Regression::default(), 0.1), 0.0), 0.0, 0.0);
        let negative = utility().of(&measured(10.0, 0.0, -0.5));
        assert!((negative - utility().of(&measured(10.0, 0.0, 0.0))).abs() < 1e-9, "a queue that empties is no gain");
    }

    #[test]
    fn growth_of_less_than_a_hundred_microseconds_is_none() {
        let mut regression = Regression::default();
        for index in 0..20 {
            let x = f64::from(index) * 0.000_25;
            regression.add(x, 0.02 * x);
        }
        assert!(utility().slope(&regression, 0.004).abs() < f64::EPSILON);
        assert!((utility().slope(&regression, 0.006) - 0.02).abs() < 1e-9);
    }

    #[test]
    fn of_a_difference_in_slope_counts_what_two_pairs_agree_on() {
        for (pairs, expected) in [
            ([0.05, 0.05], 0.05),
            ([0.06, 0.04], 0.05 * 25.0 / 26.0),
            ([0.1, 0.0], 0.025),
            ([0.05, -0.05], 0.0),
            ([0.005, 0.005], 0.0),
            ([-0.05, -0.05], -0.05),
            ([0.0, 0.0], 0.0),
        ] {
            assert!((utility().own_slope(pairs) - expected).abs() < 1e-9, "{pairs:?}");
        }
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
