//! BBRv3 (draft-ietf-ccwg-bbr): a model of the path instead of a reaction to loss.

mod congestion;
mod drain;
mod flight;
mod limits;
mod model;
mod phase;
mod probe_bw;
mod probe_rtt;
mod sample;
mod settings;
mod startup;
#[cfg(test)]
mod tests;

use core::time::Duration;

use codec::Time;

use crate::chance::Chance;
use crate::window::minimum_window;
use crate::{
    Controller, Events, InitialConditions, Observed, Parameter, Parameters, PathModel, RecoveryPeriod, Snapshot, Window,
};

use congestion::{Latest, LossRound, Undo};
use flight::FlightLog;
use model::{Aggregation, FullPipe, INFINITE, MaximumBandwidth, MinimumRtt, Rounds};
pub use phase::Phase;
use probe_bw::Cycle;
use probe_rtt::{HeldBack, ProbeRtt};
use sample::Sample;
use settings::Settings;

/// BBRv3, the draft's controller.
///
/// It measures how fast the path delivers and how long it takes when nothing waits, sends at that rate, and keeps no more than
/// twice their product in flight. Now and then it sends a little faster, to find more, and a little slower, to drain what it
/// made wait. Losses and marks bound it once they exceed 2 % of a round trip, and within that slow it down by their share.
///
/// # Turns instead of packets
///
/// The draft is written for each packet; a turn may acknowledge one or a window of them. Where that matters:
///
/// * A round trip has passed when a packet is acknowledged that was sent after the turn in which it began. It is what
///   comparing P.delivered with C.delivered says, and holds also in turns without a delivery sample.
/// * Lost packets of one turn are what the draft calls a packet that is an offload burst: HandleLostPacket runs once, with the
///   volume in flight at the latest of them, and InflightAtLoss finds the share of them that fitted. What was in flight, and
///   lost, when they left is remembered in sixteenths of a round trip, as a controller sees no packet.
/// * Separate ranges lost (Startup's third criterion) are not told. A turn counts for as many as it can hold: one more than the
///   packets it acknowledged, at most the packets lost.
/// * "In flight is no more than" looks at what a turn's acknowledgements left, "has reached" at what there was before them.
/// * The controller is not told of sending. A flow was idle if it was limited by its application and nothing was told for a round
///   trip before the packet left that is acknowledged now; the pacing rate for a restart holds from the moment at which nothing is known to be in flight. A
///   ProbeRTT that ended during the pause ends with the first acknowledgement.
/// * Whether the application held the sender back is what recovery says of each packet (RS.is_app_limited); of a lost packet,
///   what it says of the newest one acknowledged.
/// * Packets sent in ProbeRTT and the round after are known by the time they were sent, since recovery cannot be told to mark
///   them as application-limited.
///
/// # Choices
///
/// * Losses of packets that ProbeRTT held back (sent in it, or in the round after) lower the short-term bounds by the share that
///   was lost, or by beta if that is less; not to what was delivered, which is what ProbeRTT let leave. Otherwise a single loss
///   then would halve the rate until the next probe.
/// * A mark (ECN-CE) is a loss that arrived: marked bytes count as lost against the threshold, in Startup and while probing;
///   otherwise they are not part of what the round delivered, so the bounds fall by the share that was marked. The draft
///   demands that marks are treated as congestion and leaves open how. Packets are marked ECT(0).
/// * Persistent congestion (RFC 9002 §7.6) is the draft's retransmission timeout. The window falls to two datagrams and grows by
///   what is acknowledged; it is given back only if all of it proves spurious, since one packet that came through does not
///   speak for the window.
/// * Until there is an RTT sample the pacing rate assumes a millisecond; the first sample corrects it.
/// * Bursts are those of `docs/adr/0007-bursts.md`, but no more than an eighth of the window, which is a quarter of the
///   bandwidth-delay product; so a queue that holds as much is not overrun by them.
/// * Reno's clock, which asks for a probe after as many rounds as a window has datagrams, counts four at least.
/// * Where the smoothed RTT is below [`UNPACED_BELOW`](crate::window::UNPACED_BELOW), no timer could pace: the window alone limits, and is one
///   bandwidth-delay product while a queue is to be drained.
/// * The rate is never below one datagram a round trip, whatever was measured.
///
/// # Hand-off
///
/// From a [`Snapshot`]: the window is taken as it is. In slow start it begins in Startup, with `bandwidth` as its best sample.
/// Otherwise the pipe counts as filled, and it begins in ProbeBW: `bandwidth` (or else window over smoothed RTT) is max_bw,
/// `minimum_rtt` is min_rtt, `saturation_window`, if it isn't below the window, is inflight_longterm, and the short-term bounds of a
/// BBR are its `slow_start_threshold` and `pacing_rate`. From a BBR it goes on in CRUISE, from others in DOWN, to drain the queue
/// that they live on. Only if neither bandwidth nor RTT is known does it begin in Startup. The recovery period goes on. Loss
/// and mark rates are kept for the next snapshot.
///
/// To a [`Snapshot`]: `congestion_window` is what the path carried: no more than was in flight in the last two rounds or a
/// bandwidth-delay product, of which BBR's own window is twice; in Startup and ProbeRTT it is the window. `bandwidth` is max_bw, `minimum_rtt` is min_rtt,
/// `saturation_window` inflight_longterm, `slow_start_threshold` inflight_shortterm, `pacing_rate` the rate of CRUISE, in Startup its own.
#[derive(Clone, Debug)]
pub struct Bbr {
    settings: Settings,
    path: PathModel,
    recovery: RecoveryPeriod,
    chance: Chance,
    phase: Phase,
    drain_start_round: u64,
    rounds: Rounds,
    max_bw: MaximumBandwidth,
    /// BBR.bw_shortterm in bytes a second, or [`INFINITE`].
    bw_shortterm: u64,
    /// BBR.inflight_shortterm in bytes, or [`INFINITE`].
    inflight_shortterm: u64,
    /// BBR.inflight_longterm in bytes, or [`INFINITE`].
    inflight_longterm: u64,
    full_pipe: FullPipe,
    aggregation: Aggregation,
    min_rtt: MinimumRtt,
    latest: Latest,
    losses: LossRound,
    flight: FlightLog,
    undo: Undo,
    cycle: Cycle,
    probe_rtt: ProbeRtt,
    held_back: HeldBack,
    limits: Limits,
    initial_window: u64,
    /// C.delivered and C.lost (with what was marked) since this controller started, in bytes.
    delivered: u64,
    lost: u64,
    /// BBR.idle_restart.
    idle_restart: bool,
    last_turn: Time,
    /// RS.is_app_limited of the newest sample.
    is_application_limited: bool,
    untouched: Option<InitialConditions>,
    last_reduction: Option<Time>,
    events: Events,
}

/// The control parameters: C.cwnd and what it was, C.pacing_rate.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// C.cwnd, in bytes.
    window: u64,
    /// BBR.prior_cwnd, in bytes.
    prior_window: u64,
    /// C.pacing_rate, in bytes a second.
    pacing_rate: u64,
    /// The window was filled in this round, and in the last.
    filled: [bool; 2],
    /// The most in flight of this round and the last, in bytes.
    in_flight: [u64; 2],
}

impl Bbr {
    /// The name it is asked for by.
    pub const NAME: &str = "bbr";
    /// What of it can be set.
    pub const PARAMETERS: &[Parameter] = settings::PARAMETERS;

    /// On a new path, in Startup.
    pub fn new(conditions: &InitialConditions, parameters: &Parameters) -> Self {
        let path = PathModel::new(conditions);
        let mut bbr = Self::begin(path, conditions.window(), conditions.now, parameters);
        bbr.untouched = Some(*conditions);
        bbr
    }

    /// Where another controller was. See the type's documentation for what becomes of each field.
    pub fn from_snapshot(snapshot: &Snapshot, now: Time, parameters: &Parameters) -> Self {
        let window = snapshot.starting_window();
        let mut bbr = Self::begin(PathModel::from_snapshot(snapshot, now), window, now, parameters);
        bbr.recovery = RecoveryPeriod::from_snapshot(snapshot);
        bbr.last_reduction = snapshot.last_reduction;
        bbr.limits.in_flight = [0, window];
        bbr.min_rtt = MinimumRtt::new(now, snapshot.minimum_rtt.or(snapshot.smoothed_rtt));
        let over_rtt = snapshot.smoothed_rtt.map_or(0, |rtt| model::rate(window, rtt));
        let bandwidth = if snapshot.bandwidth > 0 { snapshot.bandwidth } else { over_rtt };
        if snapshot.in_slow_start || bandwidth == 0 {
            bbr.max_bw = MaximumBandwidth::new(snapshot.bandwidth);
            return bbr;
        }
        bbr.max_bw = MaximumBandwidth::new(bandwidth);
        bbr.full_pipe.reached = true;
        bbr.inflight_longterm = snapshot.saturation_window.filter(|full| *full >= window).unwrap_or(INFINITE);
        bbr.start_down(now);
        if snapshot.controller == Self::NAME {
            if let Some(bound) = snapshot.slow_start_threshold {
                bbr.inflight_shortterm = bound;
                bbr.bw_shortterm = limits::without_margin(snapshot.pacing_rate).min(bandwidth);
            }
            bbr.phase = Phase::Cruise;
        }
        bbr.set_pacing_rate();
        bbr
    }

    fn begin(path: PathModel, window: u64, now: Time, parameters: &Parameters) -> Self {
        let mut bbr = Self {
            settings: Settings::read(parameters),
            recovery: RecoveryPeriod::default(),
            // A successor of itself must not repeat its predecessor's lots.
            chance: Chance::new(path.seed() ^ now.as_nanos()),
            phase: Phase::Startup,
            drain_start_round: 0,
            rounds: Rounds::new(now),
            max_bw: MaximumBandwidth::default(),
            bw_shortterm: INFINITE,
            inflight_shortterm: INFINITE,
            inflight_longterm: INFINITE,
            full_pipe: FullPipe::default(),
            aggregation: Aggregation::new(now),
            min_rtt: MinimumRtt::new(now, None),
            latest: Latest::default(),
            losses: LossRound::new(now),
            flight: FlightLog::new(now, window),
            undo: Undo::default(),
            cycle: Cycle::new(now),
            probe_rtt: ProbeRtt::default(),
            held_back: HeldBack::default(),
            limits: Limits { window, prior_window: 0, pacing_rate: 0, filled: [false; 2], in_flight: [0; 2] },
            initial_window: window,
            delivered: 0,
            lost: 0,
            idle_restart: false,
            last_turn: now,
            is_application_limited: false,
            untouched: None,
            last_reduction: None,
            events: Events::default(),
            path,
        };
        bbr.init_pacing_rate();
        bbr
    }

    /// Where in the state machine it is.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// BBR.max_bw: the most that the path delivered lately, in bytes a second; 0 before the first sample.
    pub fn maximum_bandwidth(&self) -> u64 {
        self.max_bw.best()
    }

    /// BBR.bw: the same, bounded by what recent losses leave, in bytes a second.
    pub fn bandwidth(&self) -> u64 {
        // BoundBWForModel().
        self.max_bw.best().min(self.bw_shortterm)
    }

    /// BBR.min_rtt: the least RTT of the last ten seconds; `None` before the first sample.
    pub const fn minimum_rtt(&self) -> Option<Duration> {
        self.min_rtt.minimum
    }

    /// BBR.inflight_longterm: what proved to be too much in flight, in bytes; `None` if nothing did.
    pub fn inflight_longterm(&self) -> Option<u64> {
        (self.inflight_longterm != INFINITE).then_some(self.inflight_longterm)
    }

    /// BBR.inflight_shortterm: what the losses since the last probe left, in bytes; `None` if there were none.
    pub fn inflight_shortterm(&self) -> Option<u64> {
        (self.inflight_shortterm != INFINITE).then_some(self.inflight_shortterm)
    }

    /// BBR.extra_acked: how much is acknowledged at once beyond what the bandwidth explains, in bytes.
    pub fn extra_acknowledged(&self) -> u64 {
        self.aggregation.extra(!self.full_pipe.reached)
    }

    fn datagram(&self) -> u64 {
        u64::from(self.path.datagram_size())
    }

    /// UpdateOnACK(): UpdateModelAndState() and the growth of the window.
    fn on_acknowledged(&mut self, sample: &Sample) {
        self.delivered = self.delivered.saturating_add(sample.newly_acked);
        let round_of_losses = self.update_latest_delivery_signals(sample);
        self.update_congestion_signals(sample, round_of_losses.as_ref());
        let bandwidth = self.bandwidth();
        let Limits { window, .. } = self.limits;
        self.aggregation.on_acknowledged(sample.now, sample.newly_acked, bandwidth, window, self.rounds.count);
        self.check_full_bw_reached(sample);
        self.check_startup_done(sample, round_of_losses.as_ref());
        self.check_drain_done(sample);
        self.update_probe_bw_cycle_phase(sample);
        self.update_min_rtt(sample);
        self.check_probe_rtt(sample);
        if round_of_losses.is_some() {
            self.latest.advance(sample);
        }
        self.idle_restart = false;
    }
}

impl Controller for Bbr {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn state(&self) -> &'static str {
        match self.phase {
            Phase::Startup => "startup",
            Phase::Drain => "drain",
            Phase::Down | Phase::Cruise | Phase::Refill | Phase::Up => "probe_bw",
            Phase::ProbeRtt => "probe_rtt",
        }
    }

    fn on_observed(&mut self, observed: &Observed) -> Window {
        if observed.datagram_size != 0 && observed.datagram_size != self.path.datagram_size() {
            self.on_datagram_size(observed.datagram_size);
        }
        let is_first_sample = self.path.smoothed_rtt().is_none();
        self.path.observe(observed);
        let acknowledges = observed.acknowledged_bytes > 0;
        if acknowledges || observed.has_loss() {
            self.untouched = None;
        }
        if is_first_sample && self.path.smoothed_rtt().is_some() {
            self.init_pacing_rate();
        }
        if let Some(delivery) = &observed.delivery {
            self.is_application_limited = delivery.application_limited;
        }
        self.note_use_of_window(observed);
        self.restart_from_idle(observed);
        self.on_congestion(observed);
        if acknowledges {
            let sample = self.sample(observed);
            self.on_acknowledged(&sample);
            self.end_recovery(observed);
            self.set_window(observed.acknowledged_bytes);
        }
        self.on_spurious(observed);
        if observed.persistent_congestion {
            self.collapse(observed);
        }
        self.bound_window();
        self.set_pacing_rate();
        self.pace_restart(observed);
        self.last_turn = self.last_turn.max(observed.now);
        self.flight.end_turn(observed.now, self.lost, observed.bytes_in_flight, self.path.smoothed_rtt());
        self.window()
    }

    fn window(&self) -> Window {
        self.control()
    }

    fn snapshot(&self, now: Time) -> Snapshot {
        Snapshot {
            controller: Self::NAME,
            congestion_window: self.carried(),
            slow_start_threshold: self.inflight_shortterm(),
            in_slow_start: !self.full_pipe.reached,
            saturation_window: self.inflight_longterm(),
            minimum_rtt: self.min_rtt.minimum,
            bandwidth: self.max_bw.best(),
            pacing_rate: self.handed_over_rate(),
            recovery_start: self.recovery.start(),
            in_recovery: self.recovery.is_under_way(),
            last_reduction: self.last_reduction,
            ..self.path.snapshot(now)
        }
    }

    fn on_datagram_size(&mut self, datagram_size: u16) -> Window {
        self.path.set_datagram_size(datagram_size);
        if let Some(conditions) = &mut self.untouched {
            conditions.datagram_size = datagram_size;
            self.initial_window = conditions.window();
            self.limits.window = self.initial_window;
            self.init_pacing_rate();
        }
        self.limits.window = self.limits.window.max(minimum_window(self.path.datagram_size()));
        self.window()
    }

    fn events(&self) -> Events {
        self.events
    }
}
