//! ProbeRTT: half of the pipe is left empty for a moment, to see the least RTT; and the restart after a pause (the draft's
//! "ProbeRTT" and "Restarting From Idle").

use codec::Time;

use super::probe_bw::AckPhase;
use super::settings::{ONE, PROBE_RTT_DURATION};
use super::{Bbr, Phase, Sample};
use crate::Observed;

/// What a ProbeRTT remembers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProbeRtt {
    /// BBR.probe_rtt_done_stamp.
    done_at: Option<Time>,
    round_done: bool,
}

/// Packets that ProbeRTT held back: those sent in it and in the round trip after it. Their rate says nothing of the path.
///
/// MarkConnectionAppLimited() in the draft's HandleProbeRTT marks them as they are sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeldBack {
    from: Option<Time>,
    until: Option<Time>,
}

impl HeldBack {
    pub(super) fn covers(&self, sent_at: Time) -> bool {
        self.from.is_some_and(|from| sent_at >= from) && self.until.is_none_or(|until| sent_at < until)
    }

    const fn begin(&mut self, now: Time) {
        *self = Self { from: Some(now), until: None };
    }

    /// A round began outside of ProbeRTT.
    fn end(&mut self, now: Time) {
        if self.from.is_some() && self.until.is_none() {
            self.until = Some(now);
        }
    }
}

impl Bbr {
    /// UpdateMinRTT().
    pub(super) fn update_min_rtt(&mut self, sample: &Sample) {
        let (interval, length) = (self.settings.probe_rtt_interval, self.settings.min_rtt_filter_length());
        self.min_rtt.update(sample.now, sample.rtt, interval, length);
    }

    /// CheckProbeRTT().
    pub(super) fn check_probe_rtt(&mut self, sample: &Sample) {
        if self.phase != Phase::ProbeRtt && self.rounds.started {
            self.held_back.end(sample.now);
        }
        if self.phase != Phase::ProbeRtt && self.min_rtt.probe_expired && !self.idle_restart {
            self.save_window();
            // EnterProbeRTT().
            self.phase = Phase::ProbeRtt;
            self.probe_rtt = ProbeRtt::default();
            self.held_back.begin(sample.now);
            self.cycle.ack_phase = AckPhase::ProbeStopping;
            self.rounds.start(sample.now);
        }
        if self.phase == Phase::ProbeRtt {
            self.handle_probe_rtt(sample);
        }
    }

    /// HandleProbeRTT().
    fn handle_probe_rtt(&mut self, sample: &Sample) {
        match self.probe_rtt.done_at {
            None => {
                if sample.in_flight <= self.probe_rtt_window() {
                    self.probe_rtt = ProbeRtt { done_at: Some(sample.now + PROBE_RTT_DURATION), round_done: false };
                    self.rounds.start(sample.now);
                }
            }
            Some(done_at) => {
                self.probe_rtt.round_done |= self.rounds.started;
                // CheckProbeRTTDone().
                if self.probe_rtt.round_done && sample.now > done_at {
                    self.min_rtt.probe_stamp = sample.now;
                    self.restore_window();
                    self.exit_probe_rtt(sample.now);
                }
            }
        }
    }

    /// ExitProbeRTT().
    fn exit_probe_rtt(&mut self, now: Time) {
        self.reset_short_term_model();
        if self.full_pipe.reached {
            self.start_down(now);
            self.start_cruise();
        } else {
            self.rounds.start(now);
            self.enter_startup();
        }
    }

    /// HandleRestartFromIdle(), as far as the first turn after a pause can do it: the round trip that ended it began when the
    /// first packet left. The application was the limit, and the turn before was a round trip and more earlier: so little or
    /// nothing was in flight for a while, even if that was not told.
    pub(super) fn restart_from_idle(&mut self, observed: &Observed) {
        if observed.acknowledged_bytes == 0 {
            return;
        }
        let round_trip = observed.rtt_sample.unwrap_or(observed.rtt.smoothed);
        let left_at = observed.now.saturating_before(round_trip);
        let is_limited = observed.application_limited || self.is_application_limited;
        if is_limited && left_at.saturating_since(self.last_turn) >= observed.rtt.smoothed {
            self.idle_restart = true;
            self.aggregation.restart(left_at);
        }
    }

    /// If nothing is in flight any more, what leaves next is paced at exactly the bandwidth: SetPacingRateWithGain(1). In UP
    /// only if the application is the limit; where a turn acknowledges all that is in flight, it could not probe else.
    pub(super) fn pace_restart(&mut self, observed: &Observed) {
        let probes = self.phase == Phase::Up && !self.is_application_limited;
        if observed.bytes_in_flight == 0 && observed.application_limited && self.phase.is_probe_bw() && !probes {
            self.set_pacing_rate_with_gain(ONE);
        }
    }
}
