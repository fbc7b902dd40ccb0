//! Startup: doubles the rate each round, until the delivery rate stops growing or too much is lost (the draft's "Startup").

use super::congestion::RoundOfLosses;
use super::model::{INFINITE, rate, scaled};
use super::settings::STARTUP_FULL_LOSS_COUNT;
use super::{Bbr, Phase, Sample};
use core::time::Duration;

impl Bbr {
    /// InitPacingRate(): the window in a round trip, as fast as Startup goes.
    pub(super) fn init_pacing_rate(&mut self) {
        let rtt = self.path.smoothed_rtt().unwrap_or(Duration::from_millis(1));
        let nominal = rate(self.limits.window, rtt);
        self.limits.pacing_rate = scaled(nominal, self.settings.startup_pacing_gain).max(1);
    }

    /// EnterStartup().
    pub(super) const fn enter_startup(&mut self) {
        self.phase = Phase::Startup;
    }

    /// CheckFullBWReached().
    pub(super) fn check_full_bw_reached(&mut self, sample: &Sample) {
        if self.rounds.started && !sample.application_limited && sample.rate > 0 {
            self.full_pipe.on_round(sample.rate);
        }
    }

    /// CheckStartupDone().
    pub(super) fn check_startup_done(&mut self, sample: &Sample, round: Option<&RoundOfLosses>) {
        if self.phase != Phase::Startup {
            return;
        }
        if let Some(round) = round {
            self.check_startup_high_loss(sample, round);
        }
        if self.full_pipe.reached {
            self.enter_drain();
        }
    }

    /// CheckStartupHighLoss(), at the end of a round that began with the first of its losses: so recovery has lasted for a full
    /// round trip.
    fn check_startup_high_loss(&mut self, sample: &Sample, round: &RoundOfLosses) {
        let threshold = scaled(round.delivered.saturating_add(round.lost), self.settings.loss_threshold);
        if self.full_pipe.reached || round.ranges < STARTUP_FULL_LOSS_COUNT || round.lost <= threshold {
            return;
        }
        self.undo.phase = Some(Phase::Startup);
        self.full_pipe.declare();
        let safe = self.bdp(super::settings::ONE).max(self.latest.in_flight).max(self.min_pipe());
        self.inflight_longterm = if safe == INFINITE { INFINITE } else { safe };
        self.note_reduction(sample.now, round.is_marked());
    }
}
