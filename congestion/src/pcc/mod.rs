//! PCC Vivace: a rate that climbs the gradient of its own utility (Dong, Meng, Zarchy, Arslan, Gilad, Godfrey, Schapira,
//! "PCC Vivace: Online-Learning Congestion Control", NSDI 2018). Section numbers without a document are the paper's.
//!
//! ```text
//!  turns ─▶ Intervals ── Measured { rate, loss, RTT gradient } ─▶ Utility ─▶ starting: twice the rate, while it is worth more
//!           (by sending time)                                         └────▶ Ascent: two pairs of trials, then steps
//! ```

mod ascent;
mod brakes;
mod interval;
mod parameters;
mod power;
mod steering;
#[cfg(test)]
mod tests;
mod utility;

use core::time::Duration;

use codec::Time;

use crate::chance::Chance;
use crate::window::{MAXIMUM_WINDOW, UNPACED_BELOW, minimum_window, short_quantum};
use crate::{
    Controller, Events, InitialConditions, Observed, Parameter, Parameters, PathModel, RecoveryPeriod, Snapshot, Window,
};

use ascent::Ascent;
use interval::Intervals;
use parameters::PARAMETERS;
use steering::Phase;
use utility::{Regression, Utility};

/// The window is what the rate has in flight times this: it holds a sender back only where acknowledgements stay away.
const WINDOW_GAIN: f64 = 2.0;
/// No rate is higher than this, in bytes a second.
const MAXIMUM_RATE: f64 = 1e12;

/// PCC Vivace.
///
/// It sends at a rate; the window, twice what that rate has in flight, bounds what an outage can cost. Where the paper leaves a
/// choice, or one turn for several packets needs one:
///
/// * What counts for a monitor interval is when packets were sent; a turn tells that of its latest packet only, so at an edge
///   a turn counts whole for the later interval. An interval lasts 1 to 1.25 RTT, 5 ms and ten packets at least. One in which
///   the application limited the sender, or less than half of the rate was sent, is repeated.
/// * Starting doubles each interval as soon as the last but one is known to have been worth it, and ends before an interval is
///   over if that already is not, but not for what chance explains. It drains the queue it made for a round trip or more, and goes
///   on with the best delivery rate of the last rounds.
/// * After two pairs of trials that agree, each further step needs one interval; the first that was worth less is taken back.
/// * A negative RTT gradient is no gain. Gradients count if they are two standard errors from zero, 100 µs and 1 % at least, and in
///   trials as far as both pairs agree on them. How the RTT goes on over a whole decision counts from a tenth of that on: what
///   many flows together do too much is less than what each could see of itself in a trial.
/// * Losses of two trials that differ by chance are believed to differ half as much at one standard error. Loss costs up to
///   eleven times as much while a queue stands that is longer than a tenth of the least RTT: then it is not the path's. Without it,
///   flows would fill the queue until a packet in twenty is lost.
/// * The first step is in proportion to the root of the rate, not the same at every rate: a step of 1 Mbit/s is nothing to a
///   gigabit, and too much for flows that share ten megabits to become equal. A step down undoes one up.
/// * A mark (ECN-CE) is a lost packet to the utility.
/// * If a third of a round's packets is lost, the rate is halved at once, once a round trip. If the RTT grows by a fifth of a
///   second each second, the rate becomes at once what that says the path delivers: the path has become slower.
///
/// Where others fill the queue, as CUBIC does, it takes what they leave: the RTT that they make grow is its own cost.
///
/// Hand-off, from a [`Snapshot`]: the rate is the window over the smoothed RTT, or the bandwidth if that is known and less; the
/// window is the snapshot's for a round trip; starting goes on if the snapshot was in slow start, otherwise trials begin, as soon as a
/// recovery period that is under way has ended; the thresholds are kept for the next. To a [`Snapshot`]: the window is the rate times
/// the smoothed RTT; `in_slow_start` is the starting phase; `saturation_window` is that window before the last step
/// down.
#[derive(Clone, Debug)]
pub struct Pcc {
    path: PathModel,
    recovery: RecoveryPeriod,
    utility: Utility,
    ascent: Ascent,
    intervals: Intervals,
    phase: Phase,
    /// Counts the decisions about the rate.
    decision: u64,
    epsilon: f64,
    /// Bytes a second: what trials are made around.
    rate: f64,
    /// Bytes a second: what the current interval is sent at.
    sending: f64,
    /// RTT over sending time since the rate changed.
    trend: Regression,
    trend_start: Time,
    /// The least length of the current interval.
    length: Duration,
    chance: Chance,
    round: Round,
    /// No window above this until a round trip has passed.
    ceiling: Option<u64>,
    window: Window,
    slow_start_threshold: Option<u64>,
    saturation_window: Option<u64>,
    last_reduction: Option<Time>,
    untouched: Option<InitialConditions>,
    events: Events,
}

/// What became of the packets of the round under way.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    acknowledged: u64,
    lost: u64,
}

impl Pcc {
    /// The name it is asked for by.
    pub const NAME: &str = "pcc";
    /// What of it can be set.
    pub const PARAMETERS: &[Parameter] = PARAMETERS;

    /// On a new path, where the window alone limits until there is an RTT.
    pub fn new(conditions: &InitialConditions, parameters: &Parameters) -> Self {
        let path = PathModel::new(conditions);
        Self {
            recovery: RecoveryPeriod::default(),
            utility: Utility::new(parameters),
            ascent: Ascent::new(parameters.get(5) as f64 / 1000.0),
            intervals: Intervals::new(conditions.now, 0.0, 0),
            phase: Phase::Unmeasured,
            decision: 0,
            epsilon: parameters.get(4) as f64 / 1000.0,
            rate: 0.0,
            sending: 0.0,
            trend: Regression::default(),
            trend_start: conditions.now,
            length: Duration::ZERO,
            chance: Chance::new(conditions.seed),
            round: Round::default(),
            ceiling: None,
            window: Window::paced(conditions.window(), None, path.datagram_size(), false),
            slow_start_threshold: None,
            saturation_window: None,
            last_reduction: None,
            untouched: Some(*conditions),
            events: Events::default(),
            path,
        }
    }

    /// Where another controller was. See the type's documentation for what becomes of each field.
    pub fn from_snapshot(snapshot: &Snapshot, now: Time, parameters: &Parameters) -> Self {
        let window = snapshot.starting_window();
        let conditions = InitialConditions {
            datagram_size: snapshot.starting_datagram_size(),
            initial_window: Some(window),
            now,
            seed: snapshot.seed,
        };
        let mut pcc = Self {
            path: PathModel::from_snapshot(snapshot, now),
            recovery: RecoveryPeriod::from_snapshot(snapshot),
            ceiling: Some(window),
            slow_start_threshold: snapshot.slow_start_threshold,
            saturation_window: snapshot.saturation_window,
            last_reduction: snapshot.last_reduction,
            untouched: None,
            ..Self::new(&conditions, parameters)
        };
        // Not the same lots as whoever drew from this seed before.
        pcc.chance = Chance::new(snapshot.seed ^ now.as_nanos().rotate_left(32));
        if let Some(rtt) = snapshot.smoothed_rtt {
            let sustained = window as f64 / seconds(rtt);
            let bandwidth = snapshot.bandwidth as f64;
            pcc.rate = pcc.bounded(if bandwidth > 0.0 { sustained.min(bandwidth) } else { sustained });
            pcc.begin(now, snapshot.in_slow_start, window);
            pcc.publish(window, true);
        }
        pcc
    }

    fn minimum_window(&self) -> u64 {
        minimum_window(self.path.datagram_size())
    }

    fn smoothed_rtt(&self) -> Duration {
        self.path.smoothed_rtt().unwrap_or_default()
    }

    /// The least RTT of the path in seconds; a microsecond at least.
    fn minimum_rtt(&self) -> f64 {
        seconds(self.path.rtt().map_or_else(|| self.smoothed_rtt(), |rtt| rtt.minimum))
    }

    /// A rate within its bounds: two datagrams an RTT at least.
    fn bounded(&self, rate: f64) -> f64 {
        let least = self.minimum_window() as f64 / seconds(self.smoothed_rtt());
        if rate >= least { rate.min(MAXIMUM_RATE) } else { least.min(MAXIMUM_RATE) }
    }

    /// What a rate has in flight in a smoothed RTT, in bytes.
    fn in_flight(&self, rate: f64) -> u64 {
        let bytes = (rate * seconds(self.smoothed_rtt())) as u64;
        bytes.clamp(self.minimum_window(), MAXIMUM_WINDOW)
    }

    /// Makes the window of the rate. It is not above `most`, unless something arrived.
    fn publish(&mut self, most: u64, arrived: bool) {
        let sending = self.sending_rate();
        // No timer is fine enough to keep less than a millisecond in flight.
        let horizon = seconds(self.smoothed_rtt().max(UNPACED_BELOW));
        let mut window = (WINDOW_GAIN * sending.max(self.rate) * horizon).min(MAXIMUM_WINDOW as f64) as u64;
        if !arrived {
            window = window.min(most);
        }
        let window = window.min(self.ceiling.unwrap_or(u64::MAX)).clamp(self.minimum_window(), MAXIMUM_WINDOW);
        let pacing_rate = (sending as u64).max(1);
        let quantum = short_quantum(pacing_rate, self.smoothed_rtt(), self.path.datagram_size());
        self.window = Window { congestion_window: window, pacing_rate, quantum };
    }
}

impl Controller for Pcc {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn state(&self) -> &'static str {
        if self.recovery.is_under_way() {
            return "recovery";
        }
        match self.phase {
            Phase::Unmeasured | Phase::Starting { .. } => "slow_start",
            Phase::Draining { .. } => "drain",
            Phase::Probing { .. } => "probe_bw",
            Phase::Moving { .. } => "congestion_avoidance",
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
        let before = self.window.congestion_window;
        self.brake(observed, round_ended);
        if observed.persistent_congestion {
            self.collapse(observed.now, observed.bytes_in_flight);
        } else {
            let may_grow = self.recovery.on_acknowledged(observed);
            if round_ended && may_grow {
                self.ceiling = None;
            }
            self.steer(observed);
        }
        if !matches!(self.phase, Phase::Unmeasured) {
            self.publish(before, observed.acknowledged_bytes > 0);
        }
        self.window
    }

    fn window(&self) -> Window {
        self.window
    }

    fn snapshot(&self, now: Time) -> Snapshot {
        let measured = !matches!(self.phase, Phase::Unmeasured);
        let window = self.window.congestion_window;
        Snapshot {
            controller: Self::NAME,
            congestion_window: if measured { self.in_flight(self.rate).min(window) } else { window },
            slow_start_threshold: self.slow_start_threshold,
            in_slow_start: matches!(self.phase, Phase::Unmeasured | Phase::Starting { .. }),
            saturation_window: self.saturation_window,
            pacing_rate: self.window.pacing_rate,
            recovery_start: self.recovery.start(),
            in_recovery: self.recovery.is_under_way(),
            last_reduction: self.last_reduction,
            ..self.path.snapshot(now)
        }
    }

    fn on_datagram_size(&mut self, datagram_size: u16) -> Window {
        self.path.set_datagram_size(datagram_size);
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.2
        //# If the maximum datagram size changes during the connection, the
        //# initial congestion window SHOULD be recalculated with the new size.
        if let Some(conditions) = &mut self.untouched {
            conditions.datagram_size = datagram_size;
            self.window = Window::paced(conditions.window(), None, datagram_size, false);
        }
        let floor = self.minimum_window();
        self.window.congestion_window = self.window.congestion_window.max(floor);
        self.window.quantum = self.window.quantum.max(floor);
        self.window
    }

    fn events(&self) -> Events {
        self.events
    }
}

/// An RTT as a divisor: a microsecond at least.
fn seconds(rtt: Duration) -> f64 {
    rtt.clamp(Duration::from_micros(1), Duration::from_secs(3600)).as_secs_f64()
}
