//! From the model to the control parameters: pacing rate, send quantum, window (the draft's "Updating Control Parameters").

use super::model::{INFINITE, rate, scaled, volume};
use super::settings::{
    DOWN_PACING_GAIN, DRAIN_PACING_GAIN, MIN_PIPE_DATAGRAMS, ONE, PACING_MARGIN, PROBE_RTT_CWND_GAIN,
    UP_EXTRA_CWND_GAIN, UP_PACING_GAIN,
};
use super::{Bbr, Phase};
use crate::arithmetic::mul_div;
use crate::window::{self, MAXIMUM_QUANTUM, MAXIMUM_WINDOW, UNPACED_BELOW, initial_window, minimum_window};
use crate::{Observed, Window};

/// A burst is no more than one in so many of the window: a quarter of what the path holds.
const WINDOW_BURSTS: u64 = 8;

impl Bbr {
    /// BBR.pacing_gain, in thousandths.
    pub(super) const fn pacing_gain(&self) -> u64 {
        match self.phase {
            Phase::Startup => self.settings.startup_pacing_gain,
            Phase::Drain => DRAIN_PACING_GAIN,
            Phase::Down => DOWN_PACING_GAIN,
            Phase::Cruise | Phase::Refill | Phase::ProbeRtt => ONE,
            Phase::Up => UP_PACING_GAIN,
        }
    }

    /// BBR.cwnd_gain, in thousandths.
    pub(super) const fn cwnd_gain(&self) -> u64 {
        match self.phase {
            Phase::Startup | Phase::Drain | Phase::Down | Phase::Cruise | Phase::Refill => self.settings.cwnd_gain,
            Phase::Up => self.settings.cwnd_gain + UP_EXTRA_CWND_GAIN,
            Phase::ProbeRtt => PROBE_RTT_CWND_GAIN,
        }
    }

    /// SetPacingRate().
    pub(super) fn set_pacing_rate(&mut self) {
        self.set_pacing_rate_with_gain(self.pacing_gain());
    }

    /// SetPacingRateWithGain().
    pub(super) fn set_pacing_rate_with_gain(&mut self, gain: u64) {
        let bandwidth = self.bandwidth();
        if bandwidth == 0 {
            return;
        }
        let paced = self.with_margin(scaled(bandwidth, gain));
        if self.full_pipe.reached || paced > self.limits.pacing_rate {
            self.limits.pacing_rate = paced;
        }
    }

    /// A little below the bandwidth; but a rate below one datagram a round trip would be no sending at all.
    fn with_margin(&self, bandwidth: u64) -> u64 {
        let least = self.path.smoothed_rtt().map_or(0, |rtt| rate(self.datagram(), rtt));
        scaled(bandwidth, PACING_MARGIN).max(least).max(1)
    }

    /// BDPMultiple(gain) at the flow's bandwidth, in bytes.
    pub(super) fn bdp(&self, gain: u64) -> u64 {
        self.bdp_of(self.bandwidth(), gain)
    }

    fn bdp_of(&self, bandwidth: u64, gain: u64) -> u64 {
        match self.min_rtt.minimum {
            Some(minimum) if bandwidth > 0 => scaled(volume(bandwidth, minimum).min(MAXIMUM_WINDOW), gain),
            _ => self.initial_window,
        }
    }

    /// Inflight(gain) at a bandwidth, in bytes.
    pub(super) fn inflight(&self, bandwidth: u64, gain: u64) -> u64 {
        self.quantization_budget(self.bdp_of(bandwidth, gain))
    }

    /// QuantizationBudget(), in bytes.
    fn quantization_budget(&self, volume: u64) -> u64 {
        let room_to_probe = if self.phase == Phase::Up { 2 * self.datagram() } else { 0 };
        volume.max(self.send_quantum()).max(self.min_pipe()).saturating_add(room_to_probe)
    }

    /// C.send_quantum as the draft computes it, which for QUIC is BBR.offload_budget too: a millisecond's worth.
    fn send_quantum(&self) -> u64 {
        window::quantum(self.limits.pacing_rate, minimum_window(self.path.datagram_size()))
    }

    /// TargetInflight(), in bytes.
    pub(super) fn target_inflight(&self) -> u64 {
        self.bdp(ONE).min(self.limits.window)
    }

    /// BBR.MinPipeCwnd, in bytes.
    pub(super) fn min_pipe(&self) -> u64 {
        MIN_PIPE_DATAGRAMS * self.datagram()
    }

    /// BBR.max_inflight, in bytes.
    pub(super) fn max_inflight(&self) -> u64 {
        let volume = self.bdp(self.cwnd_gain()).saturating_add(self.extra_acknowledged());
        self.quantization_budget(volume).min(MAXIMUM_WINDOW)
    }

    /// SetCwnd(), but for the bounds: `acknowledged` is RS.newly_acked.
    pub(super) fn set_window(&mut self, acknowledged: u64) {
        // More than a window cannot have been in flight; a peer that claims so gains nothing.
        let acknowledged = acknowledged.min(self.limits.window);
        let max_inflight = self.max_inflight();
        let mut window = self.limits.window;
        if self.full_pipe.reached {
            window = window.saturating_add(acknowledged).min(max_inflight);
        } else if window < max_inflight || self.delivered < self.initial_window {
            window = window.saturating_add(acknowledged).min(MAXIMUM_WINDOW);
        }
        self.limits.window = window.max(self.min_pipe());
    }

    /// BoundCwndForProbeRTT() and BoundCwndForModel(). Never raises the window.
    pub(super) fn bound_window(&mut self) {
        let mut cap = match self.phase {
            Phase::Down | Phase::Refill | Phase::Up => self.inflight_longterm,
            Phase::ProbeRtt => self.inflight_with_headroom().min(self.probe_rtt_window()),
            Phase::Cruise => self.inflight_with_headroom(),
            Phase::Startup | Phase::Drain => INFINITE,
        };
        if self.is_unpaced() && matches!(self.phase, Phase::Drain | Phase::Down) {
            // Nothing else slows it down here.
            cap = cap.min(self.inflight(self.max_bw.best(), ONE));
        }
        let cap = cap.min(self.inflight_shortterm).max(self.min_pipe());
        self.limits.window = self.limits.window.min(cap);
    }

    /// ProbeRTTCwnd(), in bytes.
    pub(super) fn probe_rtt_window(&self) -> u64 {
        self.bdp(PROBE_RTT_CWND_GAIN).max(self.min_pipe())
    }

    /// SaveCwnd().
    pub(super) fn save_window(&mut self) {
        let window = self.limits.window;
        let is_modulated = self.recovery.is_under_way() || self.phase == Phase::ProbeRtt;
        self.limits.prior_window = if is_modulated { self.limits.prior_window.max(window) } else { window };
    }

    /// RestoreCwnd().
    pub(super) fn restore_window(&mut self) {
        self.limits.window = self.limits.window.max(self.limits.prior_window);
    }

    /// C.is_cwnd_limited: the window was full at some point of the last round trip.
    pub(super) const fn is_window_limited(&self) -> bool {
        self.limits.filled[0] || self.limits.filled[1]
    }

    /// C.inflight before this turn, in bytes. Several turns told together say what was in flight before them and what was sent
    /// meanwhile, which may be more than was ever in flight at once.
    fn prior_in_flight(&self, observed: &Observed) -> u64 {
        observed.prior_in_flight.min(self.limits.window.max(observed.bytes_in_flight))
    }

    /// Whether so much was in flight before this turn. A sender that has more to send leaves room that is not worth a burst
    /// ([`Window::portion`]), or not enough for a datagram.
    pub(super) fn has_reached(&self, observed: &Observed, volume: u64) -> bool {
        let room = if observed.application_limited { self.datagram() } else { self.control().portion() };
        self.prior_in_flight(observed).saturating_add(room.max(self.datagram())) > volume
    }

    /// Takes in how much of the window was used since the last turn.
    pub(super) fn note_use_of_window(&mut self, observed: &Observed) {
        let in_flight = self.prior_in_flight(observed);
        self.flight.on_sent(in_flight);
        self.limits.in_flight[0] = self.limits.in_flight[0].max(in_flight);
        self.limits.filled[0] |= !observed.application_limited && self.has_reached(observed, self.limits.window);
    }

    /// A round ended.
    pub(super) const fn begin_round_of_use(&mut self) {
        self.limits.filled = [false, self.limits.filled[0]];
        self.limits.in_flight = [0, self.limits.in_flight[0]];
    }

    fn is_unpaced(&self) -> bool {
        self.path.smoothed_rtt().is_some_and(|rtt| rtt < UNPACED_BELOW)
    }

    /// What it says: C.cwnd, C.pacing_rate, and what leaves at once.
    pub(super) fn control(&self) -> Window {
        let congestion_window = self.limits.window;
        let size = self.path.datagram_size();
        if self.is_unpaced() {
            return Window { congestion_window, pacing_rate: 0, quantum: MAXIMUM_QUANTUM.max(minimum_window(size)) };
        }
        let pacing_rate = self.limits.pacing_rate;
        Window { congestion_window, pacing_rate, quantum: self.burst(pacing_rate) }
    }

    /// What leaves at once, in bytes: the initial window or a millisecond's worth, but less where the path is short of that. The
    /// first flight waits for no timer.
    fn burst(&self, pacing_rate: u64) -> u64 {
        let size = self.path.datagram_size();
        let burst = window::quantum(pacing_rate, initial_window(size));
        if self.path.smoothed_rtt().is_none() {
            return burst;
        }
        burst.min(self.limits.window / WINDOW_BURSTS).max(minimum_window(size))
    }

    /// The window for a snapshot: what the path carried.
    pub(super) fn carried(&self) -> u64 {
        let carried = match self.phase {
            Phase::Startup | Phase::ProbeRtt => INFINITE,
            Phase::Drain | Phase::Down => self.inflight(self.bandwidth(), ONE),
            Phase::Cruise | Phase::Refill | Phase::Up => {
                let in_flight = self.limits.in_flight[0].max(self.limits.in_flight[1]);
                self.inflight(self.bandwidth(), ONE).max(in_flight)
            }
        };
        carried.min(self.limits.window).max(minimum_window(self.path.datagram_size()))
    }

    /// The pacing rate for a snapshot: that of cruising, so that a successor neither repeats a probe nor a pause.
    pub(super) fn handed_over_rate(&self) -> u64 {
        let bandwidth = self.bandwidth();
        if self.full_pipe.reached && bandwidth > 0 { self.with_margin(bandwidth) } else { self.limits.pacing_rate }
    }
}

/// The bandwidth that a rate was paced by, the other way round.
pub(super) fn without_margin(pacing_rate: u64) -> u64 {
    mul_div(pacing_rate, ONE, PACING_MARGIN).saturating_add(1)
}
