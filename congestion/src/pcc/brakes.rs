//! What [`Pcc`] does without asking its utility: the path takes much less than it is given.

use codec::Time;

use super::steering::{LEAST_EARLY_PACKETS, Phase};
use super::utility::Measured;
use super::{Pcc, Round};
use crate::Observed;

/// A round that loses one packet in so many loses too much to wait for the utility to tell.
const HEAVY_LOSS: u64 = 3;
/// Fewer packets lost in a round are no heavy loss.
const LEAST_HEAVY_PACKETS: u64 = 8;
/// An RTT that grows by so much, in seconds a second, does not wait for the trials of a decision.
const STEEP_TREND: f64 = 0.2;

impl Pcc {
    /// Halves the rate if a round loses so much that no utility has to be asked.
    pub(super) fn brake(&mut self, observed: &Observed, round_ended: bool) {
        if round_ended {
            self.round = Round::default();
        }
        self.round.acknowledged = self.round.acknowledged.saturating_add(observed.acknowledged_packets);
        self.round.lost = self.round.lost.saturating_add(observed.lost_packets);
        let Round { acknowledged, lost } = self.round;
        let heavy = lost >= LEAST_HEAVY_PACKETS && lost >= acknowledged.saturating_add(lost) / HEAVY_LOSS;
        if !heavy || !observed.has_loss() || self.recovery.covers(observed.lost_sent_at()) {
            return;
        }
        let now = observed.now;
        self.round = Round::default();
        if matches!(self.phase, Phase::Unmeasured) {
            self.ceiling = Some((self.window.congestion_window / 2).max(self.minimum_window()));
            self.window.congestion_window = self.ceiling.unwrap_or_default();
            self.events.loss += 1;
            self.recovery.begin(now);
            return;
        }
        if let Phase::Starting { previous: Some(good), .. } = self.phase {
            let bad = Measured { rate: self.rate, loss: 1.0, ..good };
            self.end_starting(now, &good, &bad);
            return;
        }
        self.reduced(now, self.in_flight(self.rate));
        self.rate = self.bounded(self.rate / 2.0);
        self.slow_start_threshold = Some(self.in_flight(self.rate));
        self.events.loss += 1;
        self.recovery.begin(now);
        self.ascent.restart();
        self.restart_trend(now);
        self.probe();
        self.next_interval(now);
    }

    /// Takes the rate back to what the path delivers, if the RTT grows so fast that waiting for a decision, which takes six of
    /// them, would make a queue of seconds: the path has become slower.
    pub(super) fn brake_for_delay(&mut self, now: Time) {
        let slope = self.utility.trend(&self.trend, now.saturating_since(self.trend_start).as_secs_f64());
        if slope < STEEP_TREND || self.trend.count() < LEAST_EARLY_PACKETS || self.recovery.is_under_way() {
            return;
        }
        // A queue that is fed at a rate x and emptied at C grows the RTT by (x - C) / C each second.
        self.reduced(now, self.in_flight(self.rate));
        self.rate = self.bounded(self.rate / (1.0 + slope.min(1.0)));
        self.ascent.restart();
        self.restart_trend(now);
        self.probe();
        self.next_interval(now);
    }

    /// Persistent congestion: everything learnt is void.
    pub(super) fn collapse(&mut self, now: Time, bytes_in_flight: u64) {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2
        //# When persistent congestion is declared, the sender's congestion
        //# window MUST be reduced to the minimum congestion window
        //# (kMinimumWindow), similar to a TCP sender's response on an RTO
        let floor = self.minimum_window();
        self.window.congestion_window = floor;
        self.ceiling = Some(floor);
        self.recovery.forget();
        self.last_reduction = Some(now);
        self.events.persistent += 1;
        if !matches!(self.phase, Phase::Unmeasured) {
            self.rate = self.bounded(0.0);
            self.begin(now, true, bytes_in_flight);
        }
    }
}
