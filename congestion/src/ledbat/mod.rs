//! LEDBAT++ (draft-irtf-iccrg-ledbat-plus-plus, on RFC 6817): background transfers that give way to everything else.

mod delay;
mod slowdown;
#[cfg(test)]
mod tests;

use core::time::Duration;

use codec::Time;

use crate::arithmetic::mul_div;
use crate::scaled::{FRACTION_BITS, limit, scale};
use crate::window::{minimum_window, quantum};
use crate::{
    Controller, Events, InitialConditions, Observed, Parameter, Parameters, PathModel, RecoveryPeriod, Signal,
    Snapshot, Unit, Window,
};
use delay::Delays;
use slowdown::Slowdown;

/// Thousandths of a ratio, as parameters are given.
const THOUSAND: u64 = 1000;
/// The share of the target, in thousandths, that ends the slow start after a slowdown.
const RAMP_EXIT: u64 = 2000;

/// A sender for what nobody waits for: it fills the path as long as nobody else wants it, keeps the queue that it makes at a
/// target delay, and leaves when others queue.
///
/// Round trips instead of LEDBAT's one-way delays, so acknowledgements that come late look like a queue and make it give way
/// more, never less. The base delay is the least RTT of ten minutes; the delay of now is the least of the last four samples.
/// With `GAIN = 1 / min(16, ceil(2 * TARGET / base))`, for each window that is acknowledged (draft §4):
///
/// * slow start grows the window by `GAIN` of what is acknowledged, and the first one ends when three quarters of the target
///   are queued (or something is lost or marked);
/// * the window grows by `GAIN` datagrams; above the target it loses `W * (delay / TARGET - 1)` once a round trip, but never more
///   than half;
/// * a loss or a mark (ECN-CE) halves it, once a round trip.
///
/// *Slowdowns* cure the latecomer's advantage: who comes when others keep a queue takes that queue for the path. So two round
/// trips after the first slow start the window is two datagrams for two round trips and then grows back by slow start; this is
/// repeated after nine times as long as it took, so that it costs at most a tenth. Where the flow was silent for two round trips
/// of its own accord, that counts as one. A slowdown is also in time for the base delay: the next comes within ten minutes.
///
/// Where the draft leaves a choice: it begins with two datagrams, whatever the initial window, unless one is asked for; what a turn
/// acknowledges is taken as its share of the round trip, so that batches and single acknowledgements come to the same, but what is
/// lost to delay is lost at once, and not again before its effect can be seen; the window
/// doesn't move in the recovery period. Three quarters of the target end only the first slow start: after a slowdown, the queue
/// that others of its kind keep would. There it takes twice the target, which none of its kind makes.
///
/// Hand-off, from a [`Snapshot`]: the window is taken as it is, and the least RTT is the base delay until ten minutes have passed.
/// In slow start without a threshold the first slow start goes on; with one, the window grows back to it. In congestion avoidance the
/// threshold is the snapshot's but not above the window, and the first slowdown comes two round trips later, as after a slow
/// start: what the predecessor took for the least RTT may be a queue. After another LEDBAT++ it comes when that one's next would have
/// come at the latest. The recovery period goes on; bandwidth and pacing rate are not used. To a [`Snapshot`]: in a
/// slowdown, the threshold is the window that it will grow back to, and it says that it is in slow start;
/// `saturation_window` is the window before the last loss or mark.
#[derive(Clone, Debug)]
pub struct Ledbat {
    path: PathModel,
    recovery: RecoveryPeriod,
    delays: Delays,
    slowdown: Slowdown,
    settings: Settings,
    /// The window, [scaled](crate::scaled).
    window: u64,
    /// `ssthresh` in bytes; `u64::MAX` is infinite.
    slow_start_threshold: u64,
    saturation_window: Option<u64>,
    /// When the delay last made it give way.
    decreased_at: Option<Time>,
    last_reduction: Option<Time>,
    /// When something was in flight last.
    busy_at: Time,
    untouched: Option<InitialConditions>,
    events: Events,
}

/// The parameters.
#[derive(Clone, Copy, Debug)]
struct Settings {
    target: Duration,
    most_gain_divisor: u64,
    /// The draft's Constant, in thousandths.
    decrease: u64,
    /// The share of the target that ends the first slow start, in thousandths.
    slow_start_exit: u64,
    slows_down: bool,
    interval: u32,
}

impl Settings {
    fn new(parameters: &Parameters) -> Self {
        Self {
            target: Duration::from_millis(parameters.get(0).max(1)),
            most_gain_divisor: parameters.get(1).max(1),
            decrease: parameters.get(2),
            slow_start_exit: parameters.get(3),
            slows_down: parameters.is_on(4),
            interval: u32::try_from(parameters.get(5)).unwrap_or(u32::MAX).max(1),
        }
    }
}

impl Ledbat {
    /// The name it is asked for by.
    pub const NAME: &str = "ledbat";
    /// What of it can be set.
    pub const PARAMETERS: &[Parameter] = &[
        Parameter {
            name: "target",
            about: "how long packets may wait in the queue that it makes",
            unit: Unit::Milliseconds,
            least: 1,
            most: 1000,
            default: 60,
        },
        Parameter {
            name: "gain_divisor",
            about: "how many times more slowly than others it grows at most, on the shortest paths",
            unit: Unit::Count,
            least: 1,
            most: 64,
            default: 16,
        },
        Parameter {
            name: "decrease",
            about: "how strongly it answers to delay above the target, as a share of the window",
            unit: Unit::Thousandths,
            least: 100,
            most: 4000,
            default: 1000,
        },
        Parameter {
            name: "slow_start_exit",
            about: "at which share of the target the first slow start ends",
            unit: Unit::Thousandths,
            least: 50,
            most: 1000,
            default: 750,
        },
        Parameter {
            name: "slowdowns",
            about: "whether it leaves the queue now and then, so that latecomers have no advantage",
            unit: Unit::Switch,
            least: 0,
            most: 1,
            default: 1,
        },
        Parameter {
            name: "slowdown_interval",
            about: "how many times as long as a slowdown takes until the next one",
            unit: Unit::Count,
            least: 1,
            most: 1000,
            default: 9,
        },
    ];

    /// On a new path, in slow start.
    pub fn new(conditions: &InitialConditions, parameters: &Parameters) -> Self {
        Self {
            path: PathModel::new(conditions),
            recovery: RecoveryPeriod::default(),
            delays: Delays::new(conditions.now, None),
            slowdown: Slowdown::Unplanned,
            settings: Settings::new(parameters),
            window: scale(starting_window(conditions)),
            slow_start_threshold: u64::MAX,
            saturation_window: None,
            decreased_at: None,
            last_reduction: None,
            busy_at: conditions.now,
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
        let mut ledbat = Self {
            path: PathModel::from_snapshot(snapshot, now),
            recovery: RecoveryPeriod::from_snapshot(snapshot),
            delays: Delays::new(now, snapshot.minimum_rtt),
            slowdown: Slowdown::Unplanned,
            settings: Settings::new(parameters),
            window: scale(window),
            slow_start_threshold,
            saturation_window: snapshot.saturation_window,
            decreased_at: None,
            last_reduction: snapshot.last_reduction,
            busy_at: now,
            untouched: None,
            events: Events::default(),
        };
        ledbat.slowdown = if !ledbat.settings.slows_down || slow_start_threshold == u64::MAX {
            Slowdown::Unplanned
        } else if ledbat.in_slow_start() {
            Slowdown::Ramp { since: now }
        } else if snapshot.controller == Self::NAME {
            ledbat.usual_slowdown(now)
        } else {
            Slowdown::first(now, snapshot.smoothed_rtt)
        };
        ledbat
    }

    const fn congestion_window(&self) -> u64 {
        self.window >> FRACTION_BITS
    }

    const fn in_slow_start(&self) -> bool {
        self.congestion_window() < self.slow_start_threshold
    }

    fn minimum_window(&self) -> u64 {
        minimum_window(self.path.datagram_size())
    }

    /// `1 / GAIN`.
    fn gain_divisor(&self) -> u64 {
        let most = self.settings.most_gain_divisor;
        let Some(base) = self.delays.base() else { return most };
        let divisor = (2 * self.settings.target.as_nanos()).div_ceil(base.as_nanos().max(1));
        u64::try_from(divisor).unwrap_or(u64::MAX).clamp(1, most)
    }

    /// How long packets wait in queues now.
    fn queueing(&self) -> Duration {
        let within = self.path.smoothed_rtt().unwrap_or(Duration::MAX);
        self.delays.queueing(within).unwrap_or_default()
    }

    fn reduce(&mut self, now: Time, signal: Signal) {
        // In the frozen part of a slowdown, what overflowed a queue is the window from before it.
        let frozen = matches!(self.slowdown, Slowdown::Frozen { .. });
        let window = if frozen { self.slow_start_threshold } else { self.congestion_window() };
        self.saturation_window = Some(window);
        self.end_first_slow_start(now);
        // "cwnd = min(cwnd, max(cwnd/2, MIN_CWND * MSS)), at most once a RTT" (RFC 6817 §2.4.2, on loss).
        self.slow_start_threshold = (window / 2).max(self.minimum_window());
        self.window = self.window.min(scale(self.slow_start_threshold));
        self.recovery.begin(now);
        self.last_reduction = Some(now);
        match signal {
            Signal::Loss => self.events.loss += 1,
            Signal::EcnCe => self.events.ecn_ce += 1,
        }
    }

    fn collapse(&mut self, now: Time) {
        self.end_first_slow_start(now);
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2
        //# When persistent congestion is declared, the sender's congestion
        //# window MUST be reduced to the minimum congestion window
        //# (kMinimumWindow), similar to a TCP sender's response on an RTO
        self.window = scale(self.minimum_window());
        self.recovery.forget();
        self.last_reduction = Some(now);
        self.events.persistent += 1;
    }

    /// What follows when the capacity is known, whoever found it; nothing if it was known.
    fn end_first_slow_start(&mut self, now: Time) {
        if self.slow_start_threshold == u64::MAX {
            self.slow_start_threshold = self.congestion_window();
            if self.settings.slows_down {
                self.slowdown = Slowdown::first(now, self.path.smoothed_rtt());
            }
        }
    }

    /// The next slowdown, as if one of usual length had just ended.
    fn usual_slowdown(&self, now: Time) -> Slowdown {
        let datagrams = self.congestion_window() / u64::from(self.path.datagram_size());
        let took = slowdown::estimate(datagrams, self.gain_divisor(), self.path.smoothed_rtt());
        Slowdown::after(now, took, self.settings.interval)
    }

    /// Begins and ends slowdowns.
    fn slow_down(&mut self, observed: &Observed, is_used: bool) {
        let now = observed.now;
        let rtt = self.path.smoothed_rtt();
        let silent = observed.prior_in_flight == 0 || now.saturating_since(self.busy_at) >= slowdown::round_trips(rtt);
        match self.slowdown {
            // The queue has seen nothing of this flow for as long as a slowdown would last.
            Slowdown::Planned(_) if silent => self.slowdown = self.usual_slowdown(now),
            Slowdown::Planned(_) if self.slowdown.is_due(now) && is_used && !self.in_slow_start() => {
                self.slow_start_threshold = self.congestion_window();
                self.window = scale(self.minimum_window());
                self.slowdown = Slowdown::freeze(now, rtt);
            }
            Slowdown::Frozen { since, until } if until <= now => self.slowdown = Slowdown::Ramp { since },
            _ => {}
        }
        if let Slowdown::Ramp { since } = self.slowdown
            && !self.in_slow_start()
        {
            self.slowdown = Slowdown::after(now, now.saturating_since(since), self.settings.interval);
        }
    }

    fn adjust(&mut self, observed: &Observed, is_used: bool) {
        if matches!(self.slowdown, Slowdown::Frozen { .. }) {
            return;
        }
        // More than a window cannot have been in flight for a round trip; a peer that claims so gains nothing.
        let acknowledged = observed.acknowledged_bytes.min(self.congestion_window());
        if !self.in_slow_start() {
            self.avoid_congestion(observed, acknowledged, is_used);
            return;
        }
        let is_first = self.slow_start_threshold == u64::MAX;
        let exit = if is_first { self.settings.slow_start_exit } else { RAMP_EXIT };
        if nanoseconds(self.queueing()) > nanoseconds(self.settings.target) / THOUSAND * exit {
            self.end_first_slow_start(observed.now);
            self.slow_start_threshold = self.congestion_window();
        } else if is_used {
            let by = scale(acknowledged) / self.gain_divisor();
            self.window = limit(self.window.saturating_add(by).min(scale(self.slow_start_threshold).max(self.window)));
        }
    }

    /// Moves the window towards the one that makes the target delay:
    /// `W += max(GAIN - Constant * W * (delay / TARGET - 1), -W / 2)` in a round trip (draft §4.2).
    fn avoid_congestion(&mut self, observed: &Observed, acknowledged: u64, is_used: bool) {
        let (delay, target) = (nanoseconds(self.queueing()), nanoseconds(self.settings.target));
        // What is queued now is the work of packets that left a round trip ago. Until one is acknowledged that left after the
        // last decrease, its effect is not to be seen, and decreasing again would be for nothing.
        let is_seen = self.decreased_at.is_none_or(|at| observed.acknowledged_sent_at() > at);
        if delay > target && is_seen && acknowledged > 0 {
            let excess = mul_div(self.window, delay - target, target);
            let decrease = mul_div(excess, self.settings.decrease, THOUSAND).min(self.window / 2);
            self.window = self.window.saturating_sub(decrease).max(scale(self.minimum_window()));
            // Who gave way does not come back by slow start.
            self.slow_start_threshold = self.slow_start_threshold.min(self.congestion_window());
            self.decreased_at = Some(observed.now);
        }
        if is_used {
            let gain = scale(u64::from(self.path.datagram_size())) / self.gain_divisor();
            self.window = limit(self.window.saturating_add(mul_div(gain, scale(acknowledged), self.window).min(gain)));
        }
    }
}

impl Controller for Ledbat {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn state(&self) -> &'static str {
        if self.recovery.is_under_way() {
            "recovery"
        } else if matches!(self.slowdown, Slowdown::Frozen { .. }) {
            "probe_rtt"
        } else if self.in_slow_start() {
            "slow_start"
        } else {
            "congestion_avoidance"
        }
    }

    fn on_observed(&mut self, observed: &Observed) -> Window {
        if observed.datagram_size != 0 && observed.datagram_size != self.path.datagram_size() {
            self.on_datagram_size(observed.datagram_size);
        }
        self.path.observe(observed);
        if observed.acknowledged_bytes > 0 || observed.has_loss() {
            self.untouched = None;
        }
        if let Some(rtt) = observed.rtt_sample {
            self.delays.on_sample(observed.now, rtt);
        }
        if let Some(signal) = self.recovery.signal(observed) {
            self.reduce(observed.now, signal);
        }
        if observed.persistent_congestion {
            self.collapse(observed.now);
        } else {
            let is_used = self.path.is_window_used(observed, self.congestion_window());
            if self.recovery.on_acknowledged(observed) {
                self.adjust(observed, is_used);
            }
            self.slow_down(observed, is_used && observed.acknowledged_bytes > 0);
        }
        if observed.bytes_in_flight > 0 || observed.acknowledged_bytes > 0 {
            self.busy_at = self.busy_at.max(observed.now);
        }
        self.window()
    }

    fn window(&self) -> Window {
        // Where slow start doubles the window in a round trip, so must the rate.
        let ramping = self.in_slow_start() && self.gain_divisor() < 4;
        let datagram_size = self.path.datagram_size();
        let mut window = Window::paced(self.congestion_window(), self.path.smoothed_rtt(), datagram_size, ramping);
        if window.pacing_rate > 0 {
            // A packet of a longer burst waits behind the burst, and that is no queue that others could make room in.
            window.quantum = quantum(window.pacing_rate, minimum_window(datagram_size));
        }
        window
    }

    fn snapshot(&self, now: Time) -> Snapshot {
        Snapshot {
            controller: Self::NAME,
            congestion_window: self.congestion_window(),
            slow_start_threshold: (self.slow_start_threshold != u64::MAX).then_some(self.slow_start_threshold),
            in_slow_start: self.in_slow_start(),
            saturation_window: self.saturation_window,
            pacing_rate: self.window().pacing_rate,
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
            self.window = scale(starting_window(conditions));
        }
        self.window = self.window.max(scale(self.minimum_window()));
        self.window()
    }

    fn events(&self) -> Events {
        self.events
    }
}

/// Two datagrams, or what is asked for.
fn starting_window(conditions: &InitialConditions) -> u64 {
    let initial_window = conditions.initial_window.or(Some(0));
    InitialConditions { initial_window, ..*conditions }.window()
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
