//! What [`Pcc`] does with its rate: starting, draining, trials, steps.

use core::time::Duration;

use codec::Time;

use super::interval::{Finished, Intervals, MAXIMUM_RTT, Purpose};
use super::utility::{MEGABIT, Measured, Regression, trust};
use super::{Pcc, seconds};
use crate::Observed;

/// The shortest interval: less is shorter than timers are late.
const LEAST_INTERVAL: Duration = Duration::from_millis(5);
/// Packets in an interval at least.
const LEAST_PACKETS: u64 = 10;
/// An interval that is judged before its end has so many packets.
pub(super) const LEAST_EARLY_PACKETS: f64 = 20.0;
/// ... and an RTT that grows by so much, in seconds a second, if it is judged by that.
const LEAST_EARLY_GRADIENT: f64 = 0.1;
/// Trials of one decision: two pairs.
const TRIALS: usize = 4;
/// Rates that differ by less than this part cannot be compared.
const LEAST_DIFFERENCE: f64 = 0.002;
/// How much slower than the rate it drains.
const DRAIN_GAIN: f64 = 0.5;
/// It drains for so many smoothed RTTs at most.
const DRAIN_ROUNDS: u32 = 3;

/// What it is doing with the rate.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// There is no RTT, and so no rate.
    Unmeasured,
    /// Doubling, while it is worth it.
    Starting {
        /// The best interval so far.
        previous: Option<Measured>,
        /// Intervals begun.
        begun: usize,
        /// Intervals of which all is known.
        known: usize,
    },
    /// Slower than the rate, until the queue that starting made is gone.
    Draining {
        /// Not before this: what was sent too fast has to be heard of.
        from: Time,
        /// In any case then.
        until: Time,
        /// The rate was between these, in bytes a second.
        bounds: (f64, f64),
    },
    /// Two pairs of trials around the rate, each in an order by lot.
    Probing { results: [Option<Measured>; TRIALS], begun: usize, order: u64 },
    /// A step was made, which has to prove worth more than this.
    Moving { from: Measured, begun: bool },
}

impl Pcc {
    /// The rate that the current interval is sent at.
    pub(super) fn sending_rate(&self) -> f64 {
        if matches!(self.phase, Phase::Draining { .. }) { self.rate * DRAIN_GAIN } else { self.sending }
    }

    /// Begins to measure, at `self.rate`.
    pub(super) fn begin(&mut self, now: Time, starting: bool, bytes_in_flight: u64) {
        self.intervals = Intervals::new(now, self.rate, bytes_in_flight);
        self.sending = self.rate;
        self.decision += 1;
        self.ascent.restart();
        self.restart_trend(now);
        if starting {
            self.phase = Phase::Starting { previous: None, begun: 0, known: 0 };
        } else {
            self.probe();
        }
        self.next_interval(now);
    }

    /// Takes in a turn.
    pub(super) fn steer(&mut self, observed: &Observed) {
        let now = observed.now;
        if matches!(self.phase, Phase::Unmeasured) {
            if let Some(rtt) = self.path.smoothed_rtt() {
                // What was sent in the first RTT arrived: the second takes twice as much, as in slow start.
                let window = self.window.congestion_window as f64;
                let gain = if self.ceiling.is_none() { 2.0 } else { 1.0 };
                self.rate = self.bounded(gain * window / seconds(rtt));
                self.begin(now, true, observed.bytes_in_flight);
            }
            return;
        }
        self.rate = self.bounded(self.rate);
        self.intervals.on_observed(observed);
        if let (Some(sample), Some(sent_at)) = (observed.rtt_sample, observed.largest_acknowledged_sent_at)
            && sent_at >= self.trend_start
        {
            let since = sent_at.saturating_since(self.trend_start).as_secs_f64();
            self.trend.add(since, sample.min(MAXIMUM_RTT).as_secs_f64());
        }
        let rtt = self.smoothed_rtt();
        let minimum = self.minimum_rtt();
        while let Some(finished) = self.intervals.poll_finished(&self.utility, rtt, minimum) {
            self.on_finished(now, &finished);
        }
        match self.phase {
            Phase::Starting { previous: Some(previous), .. } => self.judge_early(now, &previous),
            Phase::Draining { from, until, bounds } => {
                self.rate = self.bounded(self.delivered(bounds));
                let in_pipe = (self.rate * minimum) as u64;
                let heard = observed.largest_acknowledged_sent_at.is_some_and(|sent_at| sent_at >= from);
                if now >= until || (heard && observed.bytes_in_flight <= in_pipe) {
                    self.slow_start_threshold = Some(self.in_flight(self.rate));
                    self.restart_trend(now);
                    self.probe();
                    self.next_interval(now);
                }
            }
            Phase::Probing { .. } | Phase::Moving { .. } => self.brake_for_delay(now),
            _ => {}
        }
        if self.is_due(now) {
            self.next_interval(now);
        }
    }

    /// Whether the current interval is long enough, and what comes next can come.
    fn is_due(&mut self, now: Time) -> bool {
        let waits = match self.phase {
            // The next doubling needs to know of the last one.
            Phase::Starting { begun, known, .. } => begun > known.saturating_add(1),
            // Nothing comes next before these are known.
            Phase::Probing { begun, .. } => begun > TRIALS,
            Phase::Moving { begun, .. } => begun && self.intervals.current().purpose.trial.is_none(),
            Phase::Unmeasured | Phase::Draining { .. } => true,
        };
        let start = self.intervals.current().start;
        let enough = LEAST_PACKETS.saturating_mul(u64::from(self.path.datagram_size()));
        let is_held = self.intervals.current().purpose.trial.is_none() && self.recovery.is_under_way();
        !waits
            && !is_held
            && !self.intervals.is_full()
            && now.saturating_since(start) >= self.length
            && (self.intervals.sent() >= enough || !self.intervals.is_current_used(now))
    }

    /// Begins the interval that is next in this phase.
    pub(super) fn next_interval(&mut self, now: Time) {
        let (used, held) = (self.intervals.is_current_used(now), self.recovery.is_under_way());
        let decision = self.decision;
        let idle = (None, self.rate);
        let (trial, rate) = match &mut self.phase {
            Phase::Unmeasured | Phase::Draining { .. } => idle,
            // A loss response is under way: what is sent until it ends is no trial.
            _ if held => idle,
            Phase::Starting { begun, .. } => {
                *begun += 1;
                if *begun > 1 && used {
                    self.rate *= 2.0;
                }
                (Some(*begun), self.rate)
            }
            Phase::Probing { begun, order, .. } => {
                let trial = *begun;
                *begun += 1;
                let sign = if is_high(trial, *order) { 1.0 } else { -1.0 };
                if trial < TRIALS { (Some(trial), self.rate * (1.0 + sign * self.epsilon)) } else { idle }
            }
            Phase::Moving { begun: true, .. } => idle,
            Phase::Moving { begun, .. } => {
                *begun = true;
                (Some(0), self.rate)
            }
        };
        self.rate = self.bounded(self.rate);
        self.sending = self.bounded(rate);
        self.length = self.draw_length();
        self.intervals.begin(now, Purpose { decision, trial }, self.sending);
    }

    /// 1 to 1.25 RTT, by lot, so that flows do not make their trials in step.
    fn draw_length(&mut self) -> Duration {
        let rtt = self.smoothed_rtt().min(Duration::from_secs(60));
        let lot = u32::try_from(self.chance.below(256)).unwrap_or(0);
        (rtt + rtt * lot / 1024).max(LEAST_INTERVAL)
    }

    fn on_finished(&mut self, now: Time, finished: &Finished) {
        let Purpose { decision, trial: Some(trial) } = finished.purpose else { return };
        if decision != self.decision {
            return;
        }
        match (&mut self.phase, finished.measured) {
            (Phase::Starting { previous, known, .. }, Some(measured)) => {
                *known += 1;
                let Some(before) = *previous else {
                    *previous = Some(measured);
                    return;
                };
                let (was, is) = self.utility.compare_in_doubt(&before, &measured);
                if is > was || measured.rate <= before.rate {
                    *previous = Some(measured);
                } else {
                    self.end_starting(now, &before, &measured);
                }
            }
            (Phase::Starting { known, .. }, None) => *known += 1,
            (Phase::Probing { results, .. }, Some(measured)) => {
                if let Some(result) = results.get_mut(trial) {
                    *result = Some(measured);
                }
                self.decide(now);
            }
            (Phase::Moving { from, .. }, Some(measured)) => {
                let from = *from;
                self.judge_step(now, &from, &measured);
            }
            (Phase::Probing { .. }, None) => {
                self.probe();
                self.next_interval(now);
            }
            (Phase::Moving { begun, .. }, None) => {
                *begun = false;
                self.decision += 1;
                self.next_interval(now);
            }
            (Phase::Unmeasured | Phase::Draining { .. }, _) => {}
        }
    }

    /// Ends starting before an interval is over, if what is known of it already is worth less than the one before.
    fn judge_early(&mut self, now: Time, previous: &Measured) {
        let Some(interval) = self.intervals.oldest_of(self.decision) else { return };
        let mut measured = interval.measure(&self.utility, self.minimum_rtt());
        if measured.gradient < LEAST_EARLY_GRADIENT {
            measured.gradient = 0.0;
        }
        let (was, is) = self.utility.compare_in_doubt(previous, &measured);
        if measured.packets >= LEAST_EARLY_PACKETS && measured.rate > previous.rate && is < was {
            self.end_starting(now, previous, &measured);
        }
    }

    /// Starting has found what the path carries: between the last rate that was worth it and the first that was not.
    pub(super) fn end_starting(&mut self, now: Time, good: &Measured, bad: &Measured) {
        let window = self.in_flight(self.rate);
        let bounds = (good.rate, bad.rate.max(good.rate));
        self.rate = self.bounded(self.delivered(bounds));
        self.reduced(now, window);
        // What was sent too fast and is going to be found lost was answered with this.
        self.recovery.begin(now);
        self.events.loss += u64::from(bad.loss > 0.0);
        self.slow_start_threshold = Some(self.in_flight(self.rate));
        self.decision += 1;
        self.ascent.restart();
        let rounds = self.smoothed_rtt().min(Duration::from_secs(60)) * DRAIN_ROUNDS;
        self.phase = Phase::Draining { from: now, until: now + rounds, bounds };
        self.next_interval(now);
    }

    /// The best delivery rate of the last rounds, within these bounds; the lower one if it is not known.
    fn delivered(&self, bounds: (f64, f64)) -> f64 {
        let (least, most) = bounds;
        (self.path.bandwidth() as f64).clamp(least, most.max(least))
    }

    /// The rate changed: how the RTT goes on is to be seen.
    pub(super) fn restart_trend(&mut self, now: Time) {
        self.trend = Regression::default();
        self.trend_start = now;
    }

    /// Begins two pairs of trials around the rate.
    pub(super) fn probe(&mut self) {
        self.decision += 1;
        self.phase = Phase::Probing { results: [None; TRIALS], begun: 0, order: self.chance.next() };
    }

    /// Makes a step once all four trials are known, if both pairs say the same.
    fn decide(&mut self, now: Time) {
        let Phase::Probing { results: [Some(first), Some(second), Some(third), Some(fourth)], .. } = self.phase else {
            return;
        };
        let ordered = |one: Measured, other: Measured| if one.rate > other.rate { (one, other) } else { (other, one) };
        let pairs = [ordered(first, second), ordered(third, fourth)];
        let (high, low) = (together(&pairs.map(|(high, _)| high)), together(&pairs.map(|(_, low)| low)));
        // Whether loss differs, all four tell together; which way is better, each pair has to say.
        let trust = trust(&high, &low);
        let trend = self.utility.trend(&self.trend, now.saturating_since(self.trend_start).as_secs_f64());
        let own = self.utility.own_slope(pairs.map(|(high, low)| high.gradient - low.gradient)) / 2.0;
        let gradients = pairs.map(|(high, low)| {
            let (high, low) = (Measured { gradient: trend + own, ..high }, Measured { gradient: trend - own, ..low });
            let (more, less) = self.utility.compare(&high, &low, trust);
            (more - less) / ((high.rate - low.rate).max(1.0) / MEGABIT)
        });
        if (gradients[0] > 0.0) != (gradients[1] > 0.0) {
            self.probe();
            self.next_interval(now);
            return;
        }
        let up = gradients[0] > 0.0;
        let (chosen, refused) = if up { (high, low) } else { (low, high) };
        self.step(now, (gradients[0] + gradients[1]) / 2.0, &chosen, &refused);
    }

    /// One more step in the same direction, or the last one is taken back.
    fn judge_step(&mut self, now: Time, from: &Measured, measured: &Measured) {
        let (was, is) = self.utility.compare(from, measured, trust(from, measured));
        let difference = measured.rate - from.rate;
        if difference.abs() < LEAST_DIFFERENCE * from.rate {
            self.probe();
            self.next_interval(now);
            return;
        }
        let gradient = (is - was) / (difference / MEGABIT);
        if self.ascent.is_upwards() == Some(gradient > 0.0) {
            self.step(now, gradient, measured, from);
            return;
        }
        if is < was {
            self.count_reduction(now, from.rate, measured);
            self.rate = self.bounded(from.rate);
            self.restart_trend(now);
        }
        self.probe();
        self.next_interval(now);
    }

    fn step(&mut self, now: Time, gradient: f64, from: &Measured, refused: &Measured) {
        let rate = self.ascent.step(self.rate, gradient);
        self.count_reduction(now, rate, refused);
        self.rate = self.bounded(rate);
        self.decision += 1;
        self.phase = Phase::Moving { from: *from, begun: false };
        self.next_interval(now);
        self.restart_trend(now);
    }

    /// Notes a reduction to `rate`, if it is one; `because` is the interval that was worth less.
    fn count_reduction(&mut self, now: Time, rate: f64, because: &Measured) {
        if rate < self.rate {
            self.reduced(now, self.in_flight(self.rate));
            self.events.loss += u64::from(because.loss > because.marks);
            self.events.ecn_ce += u64::from(because.marks > 0.0 && because.marks >= because.loss);
        }
    }

    pub(super) fn reduced(&mut self, now: Time, window_before: u64) {
        self.saturation_window = Some(window_before);
        self.last_reduction = Some(now);
    }
}

/// Whether this trial is the higher of its pair.
const fn is_high(trial: usize, order: u64) -> bool {
    let first_is_high = (order >> (trial / 2)) & 1 == 1;
    trial.is_multiple_of(2) == first_is_high
}

/// Two intervals at the same rate as one.
fn together(both: &[Measured; 2]) -> Measured {
    let [one, other] = both;
    let packets = one.packets + other.packets;
    let mean = |one_is: f64, other_is: f64| (one_is * one.packets + other_is * other.packets) / packets.max(1.0);
    Measured {
        rate: (one.rate + other.rate) / 2.0,
        packets,
        loss: mean(one.loss, other.loss),
        marks: mean(one.marks, other.marks),
        gradient: (one.gradient + other.gradient) / 2.0,
        standing: (one.standing + other.standing) / 2.0,
    }
}
