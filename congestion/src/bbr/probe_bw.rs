//! ProbeBW: DOWN, CRUISE, REFILL and UP, and what the probes teach (the draft's "ProbeBW").

use core::time::Duration;

use codec::Time;

use super::model::{INFINITE, scaled};
use super::settings::{MAXIMUM_UP_ROUNDS, ONE};
use super::{Bbr, Phase, Sample};

/// BBR.ack_phase: what acknowledgements are feedback of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AckPhase {
    /// No probe.
    Init,
    /// The pipe is being filled.
    Refilling,
    /// A probe has begun to send, nothing of it was acknowledged yet.
    ProbeStarting,
    /// A probe.
    ProbeFeedback,
    /// A probe that has ended.
    ProbeStopping,
}

/// What a cycle of ProbeBW remembers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cycle {
    pub(super) ack_phase: AckPhase,
    /// BBR.is_bw_probe_sample.
    pub(super) is_probe_sample: bool,
    /// BBR.bw_probe_up_acked, in bytes.
    up_acked: u64,
    /// BBR.probe_up_acked_per_inc, in bytes, or [`INFINITE`].
    up_acked_per_increase: u64,
    up_rounds: u8,
    rounds_since_up: u64,
    /// BBR.bw_probe_wait.
    pub(super) wait: Duration,
    stamp: Time,
    /// BBR.prev_probe_too_high.
    pub(super) was_too_high: bool,
    /// BBR.prev_probe_precautionary.
    was_precautionary: bool,
}

impl Cycle {
    pub(super) const fn new(now: Time) -> Self {
        Self {
            ack_phase: AckPhase::Init,
            is_probe_sample: false,
            up_acked: 0,
            up_acked_per_increase: INFINITE,
            up_rounds: 0,
            rounds_since_up: 0,
            wait: Duration::ZERO,
            stamp: now,
            was_too_high: false,
            was_precautionary: false,
        }
    }

    #[cfg(test)]
    pub(super) const fn rounds_since_up(&self) -> u64 {
        self.rounds_since_up
    }

    #[cfg(test)]
    pub(super) const fn stamp(&self) -> Time {
        self.stamp
    }

    #[cfg(test)]
    pub(super) const fn up_rounds(&self) -> u8 {
        self.up_rounds
    }

    /// A round trip ended.
    pub(super) const fn on_round(&mut self) {
        self.rounds_since_up = self.rounds_since_up.saturating_add(1);
    }
}

impl Bbr {
    /// StartProbeBW_DOWN().
    pub(super) fn start_down(&mut self, now: Time) {
        self.reset_congestion_signals();
        self.cycle.up_acked_per_increase = INFINITE;
        self.pick_probe_wait();
        self.cycle.stamp = now;
        self.cycle.ack_phase = AckPhase::ProbeStopping;
        self.rounds.start(now);
        self.phase = Phase::Down;
    }

    /// StartProbeBW_CRUISE().
    pub(super) const fn start_cruise(&mut self) {
        self.phase = Phase::Cruise;
    }

    /// StartProbeBW_REFILL().
    pub(super) const fn start_refill(&mut self, now: Time) {
        self.reset_short_term_model();
        self.cycle.up_rounds = 0;
        self.cycle.up_acked = 0;
        self.cycle.was_precautionary = false;
        self.cycle.ack_phase = AckPhase::Refilling;
        self.rounds.start(now);
        self.phase = Phase::Refill;
    }

    /// StartProbeBW_UP().
    fn start_up(&mut self, sample: &Sample) {
        self.cycle.is_probe_sample = true;
        self.cycle.ack_phase = AckPhase::ProbeStarting;
        self.rounds.start(sample.now);
        self.full_pipe.reset(sample.rate);
        self.phase = Phase::Up;
        self.raise_inflight_longterm_slope();
    }

    /// UpdateProbeBWCyclePhase().
    pub(super) fn update_probe_bw_cycle_phase(&mut self, sample: &Sample) {
        if !self.full_pipe.reached || self.adapt_long_term_model(sample) {
            return;
        }
        match self.phase {
            Phase::Down => {
                if self.is_time_to_probe_bw(sample.now) {
                    self.start_refill(sample.now);
                } else if self.is_time_to_cruise(sample) {
                    self.start_cruise();
                }
            }
            Phase::Cruise => {
                if self.is_time_to_probe_bw(sample.now) {
                    self.start_refill(sample.now);
                }
            }
            Phase::Refill => {
                if self.rounds.started {
                    self.start_up(sample);
                }
            }
            Phase::Up => {
                if self.is_time_to_go_down(sample) {
                    self.cycle.was_too_high = false;
                    self.start_down(sample.now);
                }
            }
            Phase::Startup | Phase::Drain | Phase::ProbeRtt => {}
        }
    }

    /// IsTimeToProbeBW(): the wall clock, or Reno's clock.
    fn is_time_to_probe_bw(&self, now: Time) -> bool {
        if now > self.cycle.stamp + self.cycle.wait {
            return true;
        }
        // IsRenoCoexistenceProbeTime(): Reno would have gained a window of its own after as many rounds as it has datagrams. Its
        // window is no smaller than what BBR has at least, or a path of less than a datagram would be probed without a pause.
        let reno = self.target_inflight().max(self.min_pipe()) / self.datagram();
        let rounds = reno.min(self.settings.probe_bw_rounds);
        self.cycle.rounds_since_up >= rounds
    }

    /// PickProbeWait().
    fn pick_probe_wait(&mut self) {
        self.cycle.rounds_since_up = self.chance.below(2);
        let least = self.settings.probe_bw_wait;
        let nanoseconds = u64::try_from(least.as_nanos() / 2).unwrap_or(u64::MAX);
        self.cycle.wait = least + Duration::from_nanos(self.chance.below(nanoseconds.saturating_add(1)));
    }

    /// IsTimeToCruise().
    fn is_time_to_cruise(&self, sample: &Sample) -> bool {
        sample.in_flight <= self.inflight_with_headroom() && sample.in_flight <= self.inflight(self.max_bw.best(), ONE)
    }

    /// IsTimeToGoDown().
    fn is_time_to_go_down(&mut self, sample: &Sample) -> bool {
        if self.cycle.was_too_high && sample.has_reached_longterm {
            self.cycle.was_precautionary = true;
            return true;
        }
        if self.is_window_limited() && self.limits.window >= self.inflight_longterm {
            // The bandwidth is what inflight_longterm lets through.
            self.full_pipe.reset(sample.rate);
            return false;
        }
        self.full_pipe.now
    }

    /// InflightWithHeadroom(), in bytes.
    pub(super) fn inflight_with_headroom(&self) -> u64 {
        if self.inflight_longterm == INFINITE {
            return INFINITE;
        }
        let headroom = scaled(self.inflight_longterm, self.settings.headroom).max(self.datagram());
        self.inflight_longterm.saturating_sub(headroom).max(self.min_pipe())
    }

    /// RaiseInflightLongtermSlope().
    fn raise_inflight_longterm_slope(&mut self) {
        let growth = 1_u64 << self.cycle.up_rounds.min(MAXIMUM_UP_ROUNDS);
        self.cycle.up_rounds = self.cycle.up_rounds.saturating_add(1).min(MAXIMUM_UP_ROUNDS);
        self.cycle.up_acked_per_increase = (self.limits.window / growth).max(self.datagram());
    }

    /// ProbeInflightLongtermUpward(). A batch raises it as often as its packets would have.
    fn probe_inflight_longterm_upward(&mut self, sample: &Sample) {
        if !self.is_window_limited() || self.limits.window < self.inflight_longterm {
            return;
        }
        self.cycle.up_acked = self.cycle.up_acked.saturating_add(sample.newly_acked);
        let per_increase = self.cycle.up_acked_per_increase.max(1);
        let increases = self.cycle.up_acked / per_increase;
        self.cycle.up_acked %= per_increase;
        let raised = self.inflight_longterm.saturating_add(increases.saturating_mul(self.datagram()));
        self.inflight_longterm = raised.min(crate::window::MAXIMUM_WINDOW);
        if self.rounds.started {
            self.raise_inflight_longterm_slope();
        }
    }

    /// AdaptLongTermModel(). True if it decided a transition.
    fn adapt_long_term_model(&mut self, sample: &Sample) -> bool {
        if self.cycle.ack_phase == AckPhase::ProbeStarting && self.rounds.started {
            self.cycle.ack_phase = AckPhase::ProbeFeedback;
        }
        if self.cycle.ack_phase == AckPhase::ProbeStopping && self.rounds.started {
            self.cycle.is_probe_sample = false;
            self.cycle.ack_phase = AckPhase::Init;
            if self.phase.is_probe_bw() {
                if !sample.application_limited {
                    self.max_bw.advance();
                }
                if self.cycle.was_precautionary && !self.cycle.was_too_high {
                    self.start_refill(sample.now);
                    return true;
                }
            }
        }
        if self.is_inflight_too_high(sample.lost, sample.in_flight_when_sent) || self.inflight_longterm == INFINITE {
            return false;
        }
        self.inflight_longterm =
            self.inflight_longterm.max(sample.in_flight_when_sent.min(crate::window::MAXIMUM_WINDOW));
        if self.phase == Phase::Up {
            self.probe_inflight_longterm_upward(sample);
        }
        false
    }
}
