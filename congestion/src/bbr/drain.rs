//! Drain: sends at half the rate, until the queue that Startup made is gone (the draft's "Drain").

use super::settings::{DRAIN_ROUNDS, ONE};
use super::{Bbr, Phase, Sample};

impl Bbr {
    /// EnterDrain().
    pub(super) const fn enter_drain(&mut self) {
        self.phase = Phase::Drain;
        self.drain_start_round = self.rounds.count;
    }

    /// CheckDrainDone().
    pub(super) fn check_drain_done(&mut self, sample: &Sample) {
        if self.phase != Phase::Drain {
            return;
        }
        let is_drained = sample.in_flight <= self.inflight(self.bandwidth(), ONE);
        if is_drained || self.rounds.count > self.drain_start_round.saturating_add(DRAIN_ROUNDS) {
            // EnterProbeBW().
            self.start_down(sample.now);
        }
    }
}
