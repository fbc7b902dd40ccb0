//! CUBIC (RFC 9438), with HyStart++ for the first slow start (RFC 9406).

pub(crate) mod curve;
pub(crate) mod stage;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use core::time::Duration;

use codec::Time;

use crate::hystart::{CSS_GROWTH_DIVISOR, Growth, HyStart};
use crate::scaled::{FRACTION_BITS, limit, scale};
use crate::window::{MAXIMUM_WINDOW, minimum_window};
use crate::{
    Controller, Events, InitialConditions, Observed, Parameter, Parameters, PathModel, RecoveryPeriod, Signal,
    Snapshot, Unit, Window,
};

pub use stage::Region;
use stage::Stage;

/// RFC 9438's controller.
///
/// Where the RFC leaves a choice: the reduction is taken from the window, not the flight size (and the window does not grow
/// while it isn't used, as §4.6 then asks); a mark (ECN-CE) reduces as a loss does; fast convergence is on; a reduction is taken
/// back when everything believed lost in it arrived after all (§4.9.2).
///
/// Hand-off, from a [`Snapshot`]: the window is taken as it is, and the saturation window becomes W_max, so that the curve goes
/// on towards it; without one the curve starts on its plateau (K = 0), as after HyStart++. In slow start the threshold is
/// taken too and HyStart++ starts afresh; otherwise it begins in congestion avoidance, at the beginning of a stage. The
/// recovery period goes on. Bandwidth and pacing rate are not used. To a [`Snapshot`]: `saturation_window` is W_max.
#[derive(Clone, Debug)]
pub struct Cubic {
    path: PathModel,
    recovery: RecoveryPeriod,
    hystart: HyStart,
    /// The parameter `hystart`.
    finds_delay: bool,
    /// The parameter `fast_convergence`.
    converges: bool,
    shape: Shape,
    /// What the last reduction changed, while it can be taken back.
    undo: Option<Box<Undo>>,
    last_reduction: Option<Time>,
    last_turn: Time,
    /// Nothing was in flight after the last turn.
    was_idle: bool,
    untouched: Option<InitialConditions>,
    events: Events,
}

/// The variables of RFC 9438 §4.1.2: all that a spurious congestion event has to restore.
#[derive(Clone, Copy, Debug)]
struct Shape {
    /// cwnd, scaled by [`FRACTION_BITS`].
    window: u64,
    /// ssthresh in bytes; `u64::MAX` is infinite.
    slow_start_threshold: u64,
    /// cwnd_prior in bytes.
    prior_window: u64,
    /// W_max in bytes; 0 while it is undefined.
    saturation: u64,
    stage: Option<Stage>,
}

#[derive(Clone, Copy, Debug)]
struct Undo {
    shape: Shape,
    recovery: RecoveryPeriod,
    lost: u64,
    spurious: u64,
}

impl Cubic {
    /// The name it is asked for by.
    pub const NAME: &str = "cubic";
    /// What of it can be set.
    pub const PARAMETERS: &[Parameter] = &[
        Parameter {
            name: "hystart",
            about: "whether the first slow start ends when delays grow (RFC 9406), before anything is lost",
            unit: Unit::Switch,
            least: 0,
            most: 1,
            default: 1,
        },
        Parameter {
            name: "fast_convergence",
            about: "whether a flow that finds less than before leaves room for new ones (RFC 9438 §4.7)",
            unit: Unit::Switch,
            least: 0,
            most: 1,
            default: 1,
        },
    ];

    /// On a new path, in slow start.
    pub fn new(conditions: &InitialConditions, parameters: &Parameters) -> Self {
        Self {
            path: PathModel::new(conditions),
            recovery: RecoveryPeriod::default(),
            hystart: HyStart::default(),
            finds_delay: parameters.is_on(0),
            converges: parameters.is_on(1),
            shape: Shape {
                window: scale(conditions.window()),
                slow_start_threshold: u64::MAX,
                prior_window: 0,
                saturation: 0,
                stage: None,
            },
            undo: None,
            last_reduction: None,
            last_turn: conditions.now,
            was_idle: true,
            untouched: Some(*conditions),
            events: Events::default(),
        }
    }

    /// Where another controller was. See the type's documentation for what becomes of each field.
    pub fn from_snapshot(snapshot: &Snapshot, now: Time, parameters: &Parameters) -> Self {
        let window = snapshot.starting_window();
        let slow_start_threshold = if snapshot.in_slow_start {
            snapshot.slow_start_threshold.unwrap_or(u64::MAX)
        } else {
            snapshot.slow_start_threshold.unwrap_or(window).min(window)
        };
        let saturation = snapshot.saturation_window.unwrap_or(0).min(MAXIMUM_WINDOW);
        Self {
            path: PathModel::from_snapshot(snapshot, now),
            recovery: RecoveryPeriod::from_snapshot(snapshot),
            hystart: HyStart::default(),
            finds_delay: parameters.is_on(0),
            converges: parameters.is_on(1),
            shape: Shape {
                window: scale(window),
                slow_start_threshold,
                prior_window: saturation.max(window),
                saturation,
                stage: None,
            },
            undo: None,
            last_reduction: snapshot.last_reduction,
            last_turn: now,
            was_idle: false,
            untouched: None,
            events: Events::default(),
        }
    }

    /// The region of congestion avoidance; `None` in slow start, in recovery, and before the first growth after it.
    pub fn region(&self) -> Option<Region> {
        if self.recovery.is_under_way() { None } else { self.shape.stage.map(|stage| stage.region) }
    }

    const fn congestion_window(&self) -> u64 {
        self.shape.window >> FRACTION_BITS
    }

    const fn in_slow_start(&self) -> bool {
        self.congestion_window() < self.shape.slow_start_threshold
    }

    /// The slow start in which the path's capacity is not known at all; HyStart++ is for this one only (RFC 9406 §4.3).
    const fn in_first_slow_start(&self) -> bool {
        self.shape.slow_start_threshold == u64::MAX
    }

    fn minimum_window(&self) -> u64 {
        minimum_window(self.path.datagram_size())
    }

    fn reduce(&mut self, now: Time, signal: Signal) {
        let before = Undo { shape: self.shape, recovery: self.recovery, lost: 0, spurious: 0 };
        let window = self.congestion_window();
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.7
        //# With Fast Convergence, when a congestion event occurs, W_max is
        //# updated as follows, before the window reduction described in
        //# Section 4.6.
        self.shape.saturation =
            if window < self.shape.saturation && self.converges { curve::converge(window) } else { window };
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.6
        //# In case of packet loss, the sender MUST reduce cwnd and ssthresh
        //# immediately upon entering loss recovery
        self.shape.prior_window = window;
        self.shape.slow_start_threshold = curve::decrease(window).max(self.minimum_window());
        self.shape.window = scale(self.shape.slow_start_threshold);
        self.shape.stage = None;
        self.recovery.begin(now);
        self.last_reduction = Some(now);
        match signal {
            Signal::Loss => {
                self.events.loss += 1;
                self.undo = Some(Box::new(before));
            }
            Signal::EcnCe => {
                // A mark is never spurious.
                self.events.ecn_ce += 1;
                self.undo = None;
            }
        }
    }

    fn collapse(&mut self, now: Time) {
        self.shape.window = scale(self.minimum_window());
        self.shape.stage = None;
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.8
        //# During the first congestion avoidance stage after a timeout, CUBIC
        //# increases its congestion window size using
        self.shape.saturation = 0;
        self.recovery.forget();
        self.undo = None;
        self.last_reduction = Some(now);
        self.events.persistent += 1;
    }

    /// Counts what the last reduction was made for, and takes the reduction back once all of it proved to have arrived.
    fn on_spurious(&mut self, observed: &Observed) {
        let Some(undo) = &mut self.undo else { return };
        undo.lost = undo.lost.saturating_add(observed.lost_packets);
        undo.spurious = undo.spurious.saturating_add(observed.spurious);
        if observed.has_loss() || observed.ecn_ce > 0 || undo.spurious == 0 || undo.spurious < undo.lost {
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.9.2
        //# Once the previously declared packet loss is confirmed to be spurious,
        //# CUBIC MAY restore the original values of the above-mentioned
        //# variables as follows if the current cwnd is lower than cwnd_prior.
        let undo = **undo;
        self.undo = None;
        if self.congestion_window() < self.shape.prior_window {
            self.shape = undo.shape;
            self.recovery = undo.recovery;
            self.events.spurious_undo += 1;
        }
    }

    fn slow_start(&mut self, growth: Growth, acknowledged_bytes: u64) {
        let window = self.congestion_window();
        // More than a window cannot have been in flight for a round trip; a peer that claims so gains nothing.
        let acknowledged = acknowledged_bytes.min(window);
        let by = match growth {
            Growth::Full => acknowledged,
            Growth::Conservative => acknowledged / CSS_GROWTH_DIVISOR,
            Growth::Ended => return,
        };
        let by = by.min(self.shape.slow_start_threshold.saturating_sub(window));
        self.shape.window = limit(self.shape.window.saturating_add(scale(by)));
    }

    /// HyStart++ found the path's capacity without losing anything.
    const fn end_slow_start(&mut self) {
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.10
        //# In this special case, CUBIC sets cwnd_prior = cwnd and switches to
        //# congestion avoidance.
        self.shape.prior_window = self.congestion_window();
        self.shape.slow_start_threshold = self.congestion_window();
        self.shape.saturation = 0;
        self.shape.stage = None;
    }

    /// Grows in congestion avoidance, `elapsed` after the last turn that did.
    fn avoid_congestion(&mut self, elapsed: Duration, acknowledged_bytes: u64) {
        let mut stage = if let Some(mut stage) = self.shape.stage {
            stage.elapsed = stage.elapsed.saturating_add(elapsed);
            stage
        } else {
            let stage = Stage::begin(self.shape.window, self.shape.saturation, self.path.datagram_size());
            self.shape.saturation = stage.plateau();
            stage
        };
        let rtt = self.path.smoothed_rtt().unwrap_or_default();
        self.shape.window = stage.grow(self.shape.window, self.shape.prior_window, rtt, acknowledged_bytes);
        self.shape.stage = Some(stage);
    }

    /// How much of the time since the last turn counts as t: all, but after a pause no more than the round trip that ended it.
    fn counted(&self, observed: &Observed) -> Duration {
        let elapsed = observed.now.saturating_since(self.last_turn);
        if self.was_idle { elapsed.min(observed.rtt.latest.max(observed.rtt.smoothed)) } else { elapsed }
    }
}

impl Controller for Cubic {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn state(&self) -> &'static str {
        if self.recovery.is_under_way() {
            "recovery"
        } else if !self.in_slow_start() {
            "congestion_avoidance"
        } else if self.in_first_slow_start() && self.hystart.is_conservative() {
            "conservative_slow_start"
        } else {
            "slow_start"
        }
    }

    fn on_observed(&mut self, observed: &Observed) -> Window {
        if observed.datagram_size != 0 && observed.datagram_size != self.path.datagram_size() {
            self.on_datagram_size(observed.datagram_size);
        }
        let round_ended = self.path.observe(observed);
        if observed.acknowledged_bytes > 0 || observed.has_loss() {
            self.untouched = None;
        }
        if let Some(signal) = self.recovery.signal(observed) {
            self.reduce(observed.now, signal);
        } else if observed.ecn_ce > 0 {
            self.undo = None;
        }
        self.on_spurious(observed);
        if observed.persistent_congestion {
            self.collapse(observed.now);
        } else {
            self.grow(observed, round_ended);
        }
        self.last_turn = self.last_turn.max(observed.now);
        self.was_idle = observed.bytes_in_flight == 0;
        self.window()
    }

    fn window(&self) -> Window {
        let ramping = self.in_slow_start();
        Window::paced(self.congestion_window(), self.path.smoothed_rtt(), self.path.datagram_size(), ramping)
    }

    fn snapshot(&self, now: Time) -> Snapshot {
        let threshold = self.shape.slow_start_threshold;
        Snapshot {
            controller: Self::NAME,
            congestion_window: self.congestion_window(),
            slow_start_threshold: (threshold != u64::MAX).then_some(threshold),
            in_slow_start: self.in_slow_start(),
            saturation_window: (self.shape.saturation != 0).then_some(self.shape.saturation),
            pacing_rate: self.window().pacing_rate,
            recovery_start: self.recovery.start(),
            in_recovery: self.recovery.is_under_way(),
            last_reduction: self.last_reduction,
            ..self.path.snapshot(now)
        }
    }

    fn on_datagram_size(&mut self, datagram_size: u16) -> Window {
        let before = self.path.datagram_size();
        self.path.set_datagram_size(datagram_size);
        if let Some(conditions) = &mut self.untouched {
            conditions.datagram_size = datagram_size;
            self.shape.window = scale(conditions.window());
        }
        self.shape.window = self.shape.window.max(scale(self.minimum_window()));
        if self.path.datagram_size() != before {
            // The curve is measured in segments: a new stage begins where the window is now.
            self.shape.stage = None;
        }
        self.window()
    }

    fn events(&self) -> Events {
        self.events
    }
}

impl Cubic {
    fn grow(&mut self, observed: &Observed, round_ended: bool) {
        let mut growth = Growth::Full;
        if self.finds_delay && self.in_first_slow_start() {
            growth = self.hystart.on_turn(round_ended, observed.rtt_sample);
            if growth == Growth::Ended {
                self.end_slow_start();
            }
        }
        if !self.recovery.on_acknowledged(observed) || !self.path.is_window_used(observed, self.congestion_window()) {
            return;
        }
        if self.in_slow_start() {
            self.slow_start(growth, observed.acknowledged_bytes);
        } else {
            //= https://www.rfc-editor.org/rfc/rfc9438#section-4.2
            //# The elapsed time t in Figure 1 MUST NOT include periods during which
            //# cwnd has not been updated due to application-limited behavior
            self.avoid_congestion(self.counted(observed), observed.acknowledged_bytes);
        }
    }
}
