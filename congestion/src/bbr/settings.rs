//! What of BBR can be set, and what of it cannot.

use core::time::Duration;

use crate::{Parameter, Parameters, Unit};

/// What of it can be set, in the order in which [`Settings::read`] finds it.
pub(super) const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "startup_pacing_gain",
        about: "how many times the measured bandwidth is sent while the capacity is looked for; 4 ln 2 doubles it each round",
        unit: Unit::Thousandths,
        least: 1500,
        most: 4000,
        default: 2770,
    },
    Parameter {
        name: "cwnd_gain",
        about: "how many bandwidth-delay products may be in flight; what is beyond one is the longest queue it makes",
        unit: Unit::Thousandths,
        least: 1250,
        most: 4000,
        default: 2000,
    },
    Parameter {
        name: "loss_threshold",
        about: "share of a round trip's packets whose loss or marking means that too much was in flight",
        unit: Unit::Thousandths,
        least: 1,
        most: 250,
        default: 20,
    },
    Parameter {
        name: "beta",
        about: "what a round trip with losses leaves at least of the short-term bounds",
        unit: Unit::Thousandths,
        least: 300,
        most: 950,
        default: 700,
    },
    Parameter {
        name: "headroom",
        about: "share of what proved to fit into the path that is left to others while cruising",
        unit: Unit::Thousandths,
        least: 0,
        most: 500,
        default: 150,
    },
    Parameter {
        name: "probe_rtt_interval",
        about: "how old the least RTT may grow before the queue is drained to measure it again; the draft asks all flows for 5 s",
        unit: Unit::Milliseconds,
        least: 1000,
        most: 60_000,
        default: 5000,
    },
    Parameter {
        name: "probe_bw_wait",
        about: "how long at least to wait between probes for more bandwidth; up to half of it more by lot",
        unit: Unit::Milliseconds,
        least: 200,
        most: 30_000,
        default: 2000,
    },
    Parameter {
        name: "probe_bw_rounds",
        about: "after how many round trips at the latest more bandwidth is probed for; more is gentler to Reno and CUBIC",
        unit: Unit::Count,
        least: 4,
        most: 1000,
        default: 63,
    },
];

/// A gain or share of one, in thousandths.
pub(super) const ONE: u64 = 1000;

/// BBR.DrainPacingGain.
pub(super) const DRAIN_PACING_GAIN: u64 = 500;
/// The pacing gain of ProbeBW_DOWN: the least with which the shares of flows converge, for a gain of 1.25 in ProbeBW_UP.
pub(super) const DOWN_PACING_GAIN: u64 = 900;
/// The pacing gain of ProbeBW_UP.
pub(super) const UP_PACING_GAIN: u64 = 1250;
/// ProbeBW_UP allows so much more of a BDP in flight than the other phases do: 2.25 for 2.
pub(super) const UP_EXTRA_CWND_GAIN: u64 = 250;
/// BBR.ProbeRTTCwndGain.
pub(super) const PROBE_RTT_CWND_GAIN: u64 = 500;
/// What BBR.PacingMarginPercent leaves: it paces 1 % below the bandwidth.
pub(super) const PACING_MARGIN: u64 = 990;
/// BBR.ProbeRTTDuration.
pub(super) const PROBE_RTT_DURATION: Duration = Duration::from_millis(200);
/// BBRStartupFullLossCnt: so many separate ranges must be lost in a round for Startup to end by losses.
pub(super) const STARTUP_FULL_LOSS_COUNT: u64 = 6;
/// Rounds with less than a quarter of growth after which the pipe is full.
pub(super) const FULL_ROUNDS: u8 = 3;
/// Growth that shows that the pipe is not full: 25 %.
pub(super) const FULL_GROWTH: u64 = 1250;
/// Drain takes no longer than so many rounds.
pub(super) const DRAIN_ROUNDS: u64 = 3;
/// BBR.MinPipeCwnd, in datagrams.
pub(super) const MIN_PIPE_DATAGRAMS: u64 = 4;
/// BBR.ExtraAckedFilterLen, in rounds.
pub(super) const EXTRA_ACKED_ROUNDS: usize = 10;
/// The growth of inflight_longterm doubles each round, but not beyond 2^30.
pub(super) const MAXIMUM_UP_ROUNDS: u8 = 30;

/// The values of [`PARAMETERS`], each within its bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// BBR.StartupPacingGain, in thousandths.
    pub(super) startup_pacing_gain: u64,
    /// BBR.DefaultCwndGain, in thousandths.
    pub(super) cwnd_gain: u64,
    /// BBR.LossThresh, in thousandths.
    pub(super) loss_threshold: u64,
    /// BBR.Beta, in thousandths.
    pub(super) beta: u64,
    /// BBR.Headroom, in thousandths.
    pub(super) headroom: u64,
    /// BBR.ProbeRTTInterval.
    pub(super) probe_rtt_interval: Duration,
    /// The least of T_bbr.
    pub(super) probe_bw_wait: Duration,
    /// The bound of T_reno.
    pub(super) probe_bw_rounds: u64,
}

impl Settings {
    pub(super) fn read(parameters: &Parameters) -> Self {
        let value = |place: usize| {
            let bounds = PARAMETERS.get(place).map_or((0, u64::MAX), |parameter| (parameter.least, parameter.most));
            parameters.get(place).clamp(bounds.0, bounds.1)
        };
        Self {
            startup_pacing_gain: value(0),
            cwnd_gain: value(1),
            loss_threshold: value(2),
            beta: value(3),
            headroom: value(4),
            probe_rtt_interval: Duration::from_millis(value(5)),
            probe_bw_wait: Duration::from_millis(value(6)),
            probe_bw_rounds: value(7),
        }
    }

    /// BBR.MinRTTFilterLen: twice the interval, so that the filter remembers the ProbeRTT before the last.
    pub(super) fn min_rtt_filter_length(&self) -> Duration {
        self.probe_rtt_interval.saturating_mul(2)
    }
}
