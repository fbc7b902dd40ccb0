//! Prague: a scalable congestion control for L4S (RFC 9330, RFC 9331, draft-briscoe-iccrg-prague-congestion-control).

mod marks;
#[cfg(test)]
mod tests;

use core::time::Duration;

use codec::Time;

use crate::arithmetic::{NANOSECONDS, mul_div};
use crate::cubic::curve;
use crate::cubic::stage::Stage;
use crate::hystart::{CSS_GROWTH_DIVISOR, Growth, HyStart};
use crate::scaled::{FRACTION_BITS, limit, scale};
use crate::window::{MAXIMUM_QUANTUM, MAXIMUM_WINDOW, UNPACED_BELOW, minimum_window};
use crate::{
    Controller, Events, InitialConditions, Marking, Observed, Parameter, Parameters, PathModel, RecoveryPeriod, Signal,
    Snapshot, Unit, Window,
};
use marks::Marks;

/// What leaves at once is what the rate yields in a millisecond over this: 250 µs (draft §2.4.5).
const BURSTS_A_MILLISECOND: u64 = 4;
/// The rate is the window over the RTT and this fraction more. Far less than others take, since the queue is shallow; but
/// not nothing, or whoever is late once would never catch up.
const PACING_MARGIN: u64 = 32;
/// The window never falls below this fraction of a datagram, so that the next packet is not too far away to learn from.
const LEAST_WINDOW_DIVISOR: u64 = 16;

/// A flow that hears no mark for so many (virtual) round trips, and for as many more as a lone flow needs at most between two marks, has
/// the link no longer for itself to share but to find.
const QUIET_ROUNDS: u64 = 8;
/// What a round trip is taken for before the first sample, to spread the initial window.
const GUESS: Duration = Duration::from_millis(25);
/// What leaves at once before the first sample, in datagrams: a flight of the handshake.
const FIRST_BURST: u64 = 4;

/// A sender that answers to *how many* packets are marked instead of whether one is, and so keeps an L4S queue at
/// a fraction of a millisecond.
///
/// Its packets are marked ECT(1), which takes them to the low-latency queue. There, marks are frequent and reductions small:
///
/// * `alpha` is the share of marked packets, averaged with a gain of 1/16 once a virtual round trip. It begins at one, so that the
///   first mark halves the window (and ends slow start).
/// * A turn with a mark reduces the window by `alpha / 2`, at most once a virtual round trip; after the first, once in two.
/// * The window grows by a datagram for each window that is acknowledged unmarked. It does not wait for a
///   reduction's round trip to end.
/// * The virtual round trip is 25 ms where the real one is less; the growth is then less by the square of their ratio. So all
///   flows below 25 ms get the same share of a link (RFC 9331 §4.3: RTT-independence).
/// * Packets leave at the window's rate with at most 250 µs of it back to back.
/// * The window has a fraction: where less than two datagrams fit in a round trip, they leave at that rate.
///
/// Where the bottleneck does not mark, it is a classic sender as RFC 9331 §4.3 requires: until the first mark, and from each
/// loss to the next mark, it is CUBIC (RFC 9438): 0.7 of the window on a loss, and CUBIC's curve from there. Its first
/// slow start ends with HyStart++. A loss and a mark in one round trip reduce it to what the loss alone would.
///
/// The draft leaves open how a flow finds capacity that became free, since a datagram a round trip takes minutes on long paths. Here, one
/// that was not marked for eight round trips and twice the time that lone flows have between marks (the root of half the
/// window, in datagrams) goes on as CUBIC, towards the window at which it was marked last.
///
/// What it does not do: detect a classic (RFC 3168) queue that marks. In one, alone or among its like, it fills the link with little
/// more queue than that allows; beside classic flows in the *same* queue it takes more than its share. That is RFC 9331 §4.3's
/// open question; use it where you know the path, or where a few milliseconds matter more.
///
/// Hand-off, from a [`Snapshot`]: the window is taken as it is. `ecn_rate` becomes `alpha`, but only another Prague's, because the marks
/// that a classic sender gets are of another kind; otherwise `alpha` begins at one again. It begins as CUBIC with `saturation_window`
/// as W_max until the first mark, except after a Prague that had left that mode. In slow start the threshold is taken and HyStart++
/// starts afresh; otherwise the threshold is not above the window. The recovery period goes on, and a mark on what was sent before
/// `last_reduction` asks for nothing more. Bandwidth is not used; the pacing rate only for a window below two datagrams. To a
/// [`Snapshot`]: `saturation_window` is W_max where it is classic, `ecn_rate` is `alpha`; the recovery period is that of losses.
#[derive(Clone, Debug)]
pub struct Prague {
    path: PathModel,
    recovery: RecoveryPeriod,
    marks: Marks,
    hystart: HyStart,
    settings: Settings,
    /// The window, [scaled](crate::scaled). It may be below the minimum: then only the rate tells.
    window: u64,
    /// `ssthresh` in bytes; `u64::MAX` is infinite.
    slow_start_threshold: u64,
    /// CUBIC, where the path does not mark.
    classic: Option<Classic>,
    /// The last reduction because of a mark: when, and the window (scaled) before it.
    mark_response: Option<(Time, u64)>,
    /// Marks of packets that were sent no later ask for nothing more.
    marks_answered: Option<Time>,
    last_reduction: Option<Time>,
    last_turn: Time,
    /// Nothing was in flight after the last turn.
    was_idle: bool,
    untouched: Option<InitialConditions>,
    events: Events,
}

/// The parameters.
#[derive(Clone, Copy, Debug)]
struct Settings {
    virtual_rtt: Duration,
    gain_divisor: u64,
    finds_delay: bool,
}

/// CUBIC's variables (RFC 9438 §4.1.2), in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Classic {
    /// cwnd_prior.
    prior_window: u64,
    /// W_max; 0 while it is undefined.
    saturation: u64,
    stage: Option<Stage>,
}

impl Settings {
    fn new(parameters: &Parameters) -> Self {
        Self {
            virtual_rtt: Duration::from_millis(parameters.get(0)),
            gain_divisor: parameters.get(1).max(1),
            finds_delay: parameters.is_on(2),
        }
    }
}

impl Prague {
    /// The name it is asked for by.
    pub const NAME: &str = "prague";
    /// What of it can be set.
    pub const PARAMETERS: &[Parameter] = &[
        Parameter {
            name: "virtual_rtt",
            about: "flows with a shorter round trip share a link as if theirs were this; 0: each by its own round trip",
            unit: Unit::Milliseconds,
            least: 0,
            most: 100,
            default: 25,
        },
        Parameter {
            name: "gain_divisor",
            about: "over how many round trips the share of marked packets is averaged",
            unit: Unit::Count,
            least: 1,
            most: 256,
            default: 16,
        },
        Parameter {
            name: "hystart",
            about: "whether the first slow start ends when delays grow (RFC 9406), before anything is lost",
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
            marks: Marks::new(conditions.now),
            hystart: HyStart::default(),
            settings: Settings::new(parameters),
            window: scale(conditions.window()),
            slow_start_threshold: u64::MAX,
            classic: Some(Classic::default()),
            mark_response: None,
            marks_answered: None,
            last_reduction: None,
            last_turn: conditions.now,
            was_idle: true,
            untouched: Some(*conditions),
            events: Events::default(),
        }
    }

    /// Where another controller was. See the type's documentation for what becomes of each field.
    pub fn from_snapshot(snapshot: &Snapshot, now: Time, parameters: &Parameters) -> Self {
        let starting_window = snapshot.starting_window();
        let slow_start_threshold = if snapshot.in_slow_start {
            snapshot.slow_start_threshold.unwrap_or(u64::MAX)
        } else {
            snapshot.slow_start_threshold.unwrap_or(starting_window).min(starting_window)
        };
        let was_prague = snapshot.controller == Self::NAME;
        let marked = was_prague && snapshot.ecn_rate > 0;
        let saturation = snapshot.saturation_window.unwrap_or(0).min(MAXIMUM_WINDOW);
        let classic = Classic { prior_window: saturation.max(starting_window), saturation, stage: None };
        let mut window = scale(starting_window);
        if let Some(rtt) = snapshot.smoothed_rtt.filter(|_| was_prague && snapshot.pacing_rate > 0) {
            let paced = mul_div(scale(snapshot.pacing_rate), nanoseconds(rtt), NANOSECONDS);
            // A larger one is told by the window itself, without the rounding.
            if paced < scale(minimum_window(snapshot.starting_datagram_size())) {
                window = window.min(paced.max(least_window(snapshot.starting_datagram_size())));
            }
        }
        Self {
            path: PathModel::from_snapshot(snapshot, now),
            recovery: RecoveryPeriod::from_snapshot(snapshot),
            marks: if marked { Marks::from_rate(snapshot.ecn_rate, now) } else { Marks::new(now) },
            hystart: HyStart::default(),
            settings: Settings::new(parameters),
            window,
            slow_start_threshold,
            classic: (!marked || saturation > 0).then_some(classic),
            mark_response: snapshot.last_reduction.map(|at| (at, window)),
            marks_answered: snapshot.last_reduction,
            last_reduction: snapshot.last_reduction,
            last_turn: now,
            was_idle: false,
            untouched: None,
            events: Events::default(),
        }
    }

    /// The window that counts: with its fraction, and also below two datagrams.
    const fn actual_window(&self) -> u64 {
        self.window >> FRACTION_BITS
    }

    const fn in_slow_start(&self) -> bool {
        self.actual_window() < self.slow_start_threshold
    }

    /// The slow start in which the path's capacity is not known at all.
    const fn in_first_slow_start(&self) -> bool {
        self.slow_start_threshold == u64::MAX
    }

    fn minimum_window(&self) -> u64 {
        minimum_window(self.path.datagram_size())
    }

    /// Answers to a mark, unless the last answer was less than a (virtual) round trip ago.
    fn on_mark(&mut self, observed: &Observed) {
        let answered = self.marks_answered.is_some_and(|at| observed.acknowledged_sent_at() <= at);
        let is_early = |at: Time| observed.now.saturating_since(at) < self.settings.virtual_rtt;
        if answered || self.mark_response.is_some_and(|(at, _)| is_early(at)) {
            return;
        }
        self.mark_response = Some((observed.now, self.window));
        // What slow start sent too much is still in the queue when the next packets come to it, and marks them once more.
        let until = if self.in_first_slow_start() { observed.now + observed.rtt.smoothed } else { observed.now };
        self.marks_answered = Some(until);
        let least = least_window(self.path.datagram_size()).min(self.window);
        self.window = self.window.saturating_sub(self.marks.reduction(self.window)).max(least);
        self.slow_start_threshold = self.actual_window();
        self.classic = None;
        self.last_reduction = Some(observed.now);
        self.events.ecn_ce += 1;
    }

    /// Answers to a loss as a classic sender.
    fn on_loss(&mut self, observed: &Observed) {
        // A mark in the same round trip has reduced the window already: together they come to what the loss alone asks for.
        let answered = self.mark_response.filter(|(at, _)| observed.lost_sent_at() <= *at);
        let before = answered.map_or(self.window, |(_, window)| window.max(self.window)) >> FRACTION_BITS;
        let former = self.classic.map_or(0, |classic| classic.saturation);
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.7
        //# With Fast Convergence, when a congestion event occurs, W_max is
        //# updated as follows, before the window reduction described in
        //# Section 4.6.
        let saturation = if before < former { curve::converge(before) } else { before };
        let reduced = scale(curve::decrease(before).max(self.minimum_window()));
        self.window = self.window.min(reduced);
        self.slow_start_threshold = self.actual_window();
        self.classic = Some(Classic { prior_window: before, saturation, stage: None });
        self.recovery.begin(observed.now);
        self.last_reduction = Some(observed.now);
        self.events.loss += 1;
    }

    fn collapse(&mut self, now: Time) {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2
        //# When persistent congestion is declared, the sender's congestion
        //# window MUST be reduced to the minimum congestion window
        //# (kMinimumWindow), similar to a TCP sender's response on an RTO
        self.window = self.window.min(scale(self.minimum_window()));
        self.classic = Some(Classic { prior_window: self.minimum_window(), ..Classic::default() });
        self.recovery.forget();
        self.last_reduction = Some(now);
        self.events.persistent += 1;
    }

    fn grow(&mut self, observed: &Observed, round_ended: bool) {
        let mut growth = Growth::Full;
        if self.settings.finds_delay && self.in_first_slow_start() {
            growth = self.hystart.on_turn(round_ended, observed.rtt_sample);
            if growth == Growth::Ended {
                // It found the capacity of a queue that does not mark; CUBIC starts on its plateau.
                self.slow_start_threshold = self.actual_window();
                self.classic = Some(Classic { prior_window: self.actual_window(), ..Classic::default() });
            }
        }
        let may_grow = self.recovery.on_acknowledged(observed);
        if !may_grow || !self.is_window_used(observed) {
            return;
        }
        let unmarked = Marks::unmarked(observed, observed.acknowledged_bytes);
        if self.in_slow_start() {
            self.slow_start(growth, unmarked);
        } else if self.classic.is_some() || self.is_quiet() {
            self.avoid_congestion_as_cubic(observed);
        } else {
            self.avoid_congestion(unmarked);
        }
    }

    /// Whether the path marks no more: a flow alone on a link is marked after the root of half its window in round trips.
    fn is_quiet(&self) -> bool {
        let virtual_rtt = nanoseconds(self.settings.virtual_rtt);
        let rtt = self.path.smoothed_rtt().map_or(virtual_rtt, nanoseconds).max(1);
        let window = mul_div(self.actual_window(), virtual_rtt.max(rtt), rtt);
        self.marks.quiet >= QUIET_ROUNDS + (window / (2 * u64::from(self.path.datagram_size()))).isqrt()
    }

    /// Whether acknowledgements are evidence that the path carries the window. At a rate that is hardly more than the window over
    /// the round trip, the pacer often ends a turn before the window does; three quarters in flight are use enough. Slow start is
    /// paced at twice that.
    fn is_window_used(&self, observed: &Observed) -> bool {
        let window = self.actual_window();
        let is_mostly = !self.in_slow_start() && observed.prior_in_flight >= window - window / 4;
        is_mostly || self.path.is_window_used(observed, window)
    }

    fn slow_start(&mut self, growth: Growth, acknowledged: u64) {
        let window = self.actual_window();
        // More than a window cannot have been in flight for a round trip; a peer that claims so gains nothing.
        let acknowledged = acknowledged.min(window);
        let by = match growth {
            Growth::Full => acknowledged,
            Growth::Conservative => acknowledged / CSS_GROWTH_DIVISOR,
            Growth::Ended => return,
        };
        let by = by.min(self.slow_start_threshold.saturating_sub(window));
        self.window = limit(self.window.saturating_add(scale(by)));
    }

    fn avoid_congestion_as_cubic(&mut self, observed: &Observed) {
        let elapsed = observed.now.saturating_since(self.last_turn);
        // After a pause, no more than the round trip that ended it.
        let longest = if self.was_idle { observed.rtt.latest.max(observed.rtt.smoothed) } else { elapsed };
        let rtt = self.path.smoothed_rtt().unwrap_or_default();
        let marked_at = self.mark_response.map_or(0, |(_, window)| window >> FRACTION_BITS);
        let prior_window = marked_at.max(self.actual_window());
        let classic = self.classic.get_or_insert(Classic { prior_window, saturation: marked_at, stage: None });
        let mut stage = if let Some(mut stage) = classic.stage {
            stage.elapsed = stage.elapsed.saturating_add(elapsed.min(longest));
            stage
        } else {
            let stage = Stage::begin(self.window, classic.saturation, self.path.datagram_size());
            classic.saturation = stage.plateau();
            stage
        };
        self.window = stage.grow(self.window, classic.prior_window, rtt, observed.acknowledged_bytes);
        classic.stage = Some(stage);
    }

    /// A datagram for each window acknowledged unmarked, less below the virtual RTT: by the square of the ratio, since of the same
    /// growth of the *rate* a shorter round trip makes less window, and has more round trips to do it in.
    fn avoid_congestion(&mut self, acknowledged: u64) {
        let datagram = scale(u64::from(self.path.datagram_size()));
        let by = mul_div(datagram, scale(acknowledged).min(self.window), self.window);
        let virtual_rtt = nanoseconds(self.settings.virtual_rtt);
        let rtt = self.path.smoothed_rtt().map_or(virtual_rtt, nanoseconds).min(virtual_rtt);
        let by = if rtt < virtual_rtt { mul_div(mul_div(by, rtt, virtual_rtt), rtt, virtual_rtt) } else { by };
        self.window = limit(self.window.saturating_add(by));
    }
}

impl Controller for Prague {
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
        self.marks.on_turn(observed, round_ended, self.settings.virtual_rtt, self.settings.gain_divisor);
        match self.recovery.signal(observed) {
            Some(Signal::Loss) => self.on_loss(observed),
            Some(Signal::EcnCe) => self.on_mark(observed),
            None => {}
        }
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
        let minimum = self.minimum_window();
        let congestion_window = self.actual_window().max(minimum);
        let unpaced = Window { congestion_window, pacing_rate: 0, quantum: MAXIMUM_QUANTUM.max(minimum) };
        let Some(rtt) = self.path.smoothed_rtt() else {
            // The initial window at once would be marked for nothing, and the first mark ends slow start.
            let pacing_rate = mul_div(2 * congestion_window, NANOSECONDS, nanoseconds(GUESS)).max(1);
            return Window { congestion_window, pacing_rate, quantum: FIRST_BURST * minimum / 2 };
        };
        // No timer is fine enough for the shortest paths, but less than two datagrams a round trip can only be paced.
        if rtt < UNPACED_BELOW && self.window >= scale(minimum) {
            return unpaced;
        }
        let window = if self.in_slow_start() { 2 * self.window } else { self.window + self.window / PACING_MARGIN };
        let pacing_rate = mul_div(window, NANOSECONDS, scale(nanoseconds(rtt).max(1))).max(1);
        let burst = (pacing_rate / (1000 * BURSTS_A_MILLISECOND)).min(MAXIMUM_QUANTUM);
        Window { congestion_window, pacing_rate, quantum: burst.max(u64::from(self.path.datagram_size())) }
    }

    fn snapshot(&self, now: Time) -> Snapshot {
        let path = self.path.snapshot(now);
        Snapshot {
            controller: Self::NAME,
            congestion_window: self.window().congestion_window,
            slow_start_threshold: (!self.in_first_slow_start()).then_some(self.slow_start_threshold),
            in_slow_start: self.in_slow_start(),
            saturation_window: self.classic.map(|classic| classic.saturation).filter(|saturation| *saturation > 0),
            pacing_rate: self.window().pacing_rate,
            ecn_rate: if self.marks.seen { self.marks.rate() } else { path.ecn_rate },
            recovery_start: self.recovery.start(),
            in_recovery: self.recovery.is_under_way(),
            last_reduction: self.last_reduction,
            ..path
        }
    }

    fn on_datagram_size(&mut self, datagram_size: u16) -> Window {
        let before = self.path.datagram_size();
        self.path.set_datagram_size(datagram_size);
        if let Some(conditions) = &mut self.untouched {
            conditions.datagram_size = datagram_size;
            self.window = scale(conditions.window());
        }
        self.window = self.window.max(least_window(self.path.datagram_size()));
        if let Some(classic) = &mut self.classic
            && self.path.datagram_size() != before
        {
            // The curve is measured in segments: a new stage begins where the window is now.
            classic.stage = None;
        }
        self.window()
    }

    fn marking(&self) -> Marking {
        Marking::Scalable
    }

    fn events(&self) -> Events {
        self.events
    }
}

/// The least window, scaled.
fn least_window(datagram_size: u16) -> u64 {
    scale(u64::from(datagram_size)) / LEAST_WINDOW_DIVISOR
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
