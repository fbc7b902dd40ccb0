//! Copa: a window that moves towards the rate `1 / (delta * queueing delay)` (Arun, Balakrishnan, "Copa: Practical Delay-Based
//! Congestion Control for the Internet", NSDI 2018). Section numbers without a document are the paper's.

mod delay;
mod mode;
mod parameters;
#[cfg(test)]
mod tests;
mod velocity;

use core::time::Duration;

use codec::Time;

use crate::arithmetic::{NANOSECONDS, mul_div};
use crate::window::{MAXIMUM_QUANTUM, MAXIMUM_WINDOW, UNPACED_BELOW, minimum_window, short_quantum};
use crate::{
    Controller, Events, InitialConditions, Observed, Parameter, Parameters, PathModel, RecoveryPeriod, Signal,
    Snapshot, Window,
};

use delay::Delays;
use mode::{Mode, THOUSAND};
use parameters::PARAMETERS;
use velocity::Velocity;

/// Binary places of the window: a step of one packet a round trip is less than a byte an acknowledgement on fast paths.
const FRACTION_BITS: u32 = 16;
/// However high the velocity, no more than this part of the window is added in a round trip: it takes one to hear of the queue,
/// and short queues hold a tenth of a window.
const MOST_GROWTH: u64 = 8;
/// How many quarters of a window may leave in an RTTstanding in slow start, and later.
const PACING_QUARTERS: [u64; 2] = [8, 5];

/// Small rounds are counted together until they have so many packets.
const LEAST_ROUND_PACKETS: u64 = 40;
/// Fewer packets lost in a round are not too many, whatever their share is.
const LEAST_HEAVY_PACKETS: u64 = 8;

/// Copa.
///
/// Where the paper leaves a choice, or practice asks for one:
///
/// * Slow start ends when the queue has been there for a whole RTT, not half of one, because its own bursts are queues of half an
///   RTT. The window is then the best delivery rate of the last rounds times the least RTT, at least half of what it was.
/// * Delay up to 100 µs (a parameter) is not taken for a queue: on fast paths it is worth more packets than 1/delta. A queue is
///   nearly empty below a quarter of its largest, not a tenth, or with one packet in it: flows that overshoot less leave more.
/// * Velocity is held where it overshoots, since a queue is heard of a round trip late: a step against the direction of the last
///   round trip has velocity one; a step down takes no more than half of the queue in a round trip, one up adds no more than an
///   eighth of the window, and below what the last rounds delivered no more than half of what is missing.
/// * It is paced with 2 windows an RTTstanding in slow start only, later with 1.25: half an RTT's burst at twice the rate
///   overflows short queues.
/// * A loss is no signal in default mode, unless a round loses more than 15 % of its packets (a parameter): then the window
///   is halved, once a round trip. In competitive mode a loss halves 1/delta, once a round trip. Persistent congestion leaves
///   two datagrams.
/// * A mark (ECN-CE) is never chance: it halves the window in default mode, and 1/delta in competitive mode, once a round trip.
/// * Paths below 1 ms are not paced, as for every window.
///
/// Hand-off, from a [`Snapshot`]: the window is taken as it is; slow start goes on if the snapshot was in it; the least and the
/// smoothed RTT are the first samples; velocity and mode begin anew, in default mode; the recovery period goes on, and the window does
/// not grow before its end. Bandwidth and pacing rate are not used. To a [`Snapshot`]: the threshold is the window that slow start
/// ended with; `saturation_window` is the window before the last reduction.
#[derive(Clone, Debug)]
pub struct Copa {
    path: PathModel,
    recovery: RecoveryPeriod,
    delays: Delays,
    mode: Mode,
    velocity: Velocity,
    /// Scaled by [`FRACTION_BITS`].
    window: u64,
    in_slow_start: bool,
    /// In thousandths.
    tolerated_loss: u64,
    round: Round,
    slow_start_threshold: Option<u64>,
    saturation_window: Option<u64>,
    last_reduction: Option<Time>,
    untouched: Option<InitialConditions>,
    events: Events,
}

/// What became of the packets of the round under way, and of those before it if they are few.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    acknowledged: u64,
    lost: u64,
    has_loss: bool,
}

impl Round {
    /// Begins anew, but goes on counting until there are enough packets for a share of them.
    fn end(&mut self) {
        if self.acknowledged.saturating_add(self.lost) >= LEAST_ROUND_PACKETS {
            *self = Self::default();
        }
        self.has_loss = false;
    }
}

impl Copa {
    /// The name it is asked for by.
    pub const NAME: &str = "copa";
    /// What of it can be set.
    pub const PARAMETERS: &[Parameter] = PARAMETERS;

    /// On a new path, in slow start.
    pub fn new(conditions: &InitialConditions, parameters: &Parameters) -> Self {
        let inverse_delta = THOUSAND * THOUSAND / parameters.get(0).max(1);
        Self {
            path: PathModel::new(conditions),
            recovery: RecoveryPeriod::default(),
            delays: Delays::new(noise(parameters)),
            mode: Mode::new(inverse_delta, parameters.is_on(1)),
            velocity: Velocity::new(conditions.window()),
            window: scale(conditions.window()),
            in_slow_start: true,
            tolerated_loss: parameters.get(3),
            round: Round::default(),
            slow_start_threshold: None,
            saturation_window: None,
            last_reduction: None,
            untouched: Some(*conditions),
            events: Events::default(),
        }
    }

    /// Where another controller was. See the type's documentation for what becomes of each field.
    pub fn from_snapshot(snapshot: &Snapshot, now: Time, parameters: &Parameters) -> Self {
        let window = snapshot.starting_window();
        let conditions = InitialConditions { initial_window: Some(window), now, ..InitialConditions::default() };
        Self {
            path: PathModel::from_snapshot(snapshot, now),
            recovery: RecoveryPeriod::from_snapshot(snapshot),
            delays: Delays::from_snapshot(snapshot, now, noise(parameters)),
            velocity: Velocity::new(window),
            window: scale(window),
            in_slow_start: snapshot.in_slow_start,
            slow_start_threshold: snapshot.slow_start_threshold,
            saturation_window: snapshot.saturation_window,
            last_reduction: snapshot.last_reduction,
            untouched: None,
            ..Self::new(&conditions, parameters)
        }
    }

    const fn congestion_window(&self) -> u64 {
        self.window >> FRACTION_BITS
    }

    fn minimum_window(&self) -> u64 {
        minimum_window(self.path.datagram_size())
    }

    /// Whether the current rate is not above the target rate: `window / RTTstanding <= size / (delta * dq)`.
    fn is_below_target(&self) -> bool {
        let standing = self.delays.standing().unwrap_or_default().as_nanos();
        let queueing =
            if self.in_slow_start { self.delays.queueing_throughout() } else { self.delays.queueing() }.as_nanos();
        let target = standing.saturating_mul(u128::from(self.mode.inverse_delta())) / u128::from(THOUSAND);
        u128::from(self.congestion_window()).saturating_mul(queueing)
            <= u128::from(self.path.datagram_size()).saturating_mul(target)
    }

    /// Moves the window for so many bytes acknowledged: by `velocity / delta` packets for each window of them.
    fn step(&mut self, acknowledged: u64, up: bool) {
        let window = self.congestion_window().max(1);
        // More than a window cannot have been in flight for a round trip; a peer that claims so gains nothing.
        let acknowledged = acknowledged.min(window);
        let step = mul_div(self.mode.inverse_delta(), u64::from(self.path.datagram_size()), THOUSAND);
        let known = self.known_window();
        let most = if !up {
            step.max(self.queued(window) / 2)
        } else if window < known {
            step.max((known - window) / 2)
        } else {
            step.max(window / MOST_GROWTH)
        };
        let in_round = step.saturating_mul(self.velocity.for_step(up)).min(most).min(window / 2);
        let change = mul_div(scale(in_round), acknowledged, window);
        self.window = if up { self.window.saturating_add(change) } else { self.window.saturating_sub(change) };
        self.limit();
        if window < known && self.congestion_window() >= known {
            // What lies beyond is not known: slowly again.
            self.velocity = Velocity::new(self.congestion_window());
        }
    }

    /// The window that the best delivery rate of the last rounds fills without a queue, in bytes.
    fn known_window(&self) -> u64 {
        mul_div(self.path.bandwidth(), nanoseconds(self.delays.minimum()), NANOSECONDS)
    }

    /// What of a window waits in the queue, in bytes.
    fn queued(&self, window: u64) -> u64 {
        mul_div(window, nanoseconds(Some(self.delays.queueing())), nanoseconds(self.delays.standing()))
    }

    fn limit(&mut self) {
        self.window = self.window.clamp(scale(self.minimum_window()), scale(MAXIMUM_WINDOW));
    }

    /// What one datagram takes at the best delivery rate of the last rounds; zero if that is not known.
    fn packet_time(&self) -> Duration {
        let bandwidth = self.path.bandwidth();
        let takes = mul_div(u64::from(self.path.datagram_size()), NANOSECONDS, bandwidth);
        if bandwidth == 0 { Duration::ZERO } else { Duration::from_nanos(takes) }
    }

    fn end_slow_start(&mut self) {
        let window = self.congestion_window();
        self.window = scale(self.known_window().clamp(window / 2, window));
        self.limit();
        self.in_slow_start = false;
        self.slow_start_threshold = Some(self.congestion_window());
        self.saturation_window = Some(window);
        self.velocity = Velocity::new(self.congestion_window());
        self.mode.on_nearly_empty();
    }

    /// The response to loss and marks, at most once a round trip.
    fn respond(&mut self, observed: &Observed) {
        let Some(signal) = self.recovery.signal(observed) else { return };
        let Round { acknowledged, lost, .. } = self.round;
        let tolerated = mul_div(acknowledged.saturating_add(lost), self.tolerated_loss, THOUSAND);
        let is_heavy = lost >= LEAST_HEAVY_PACKETS && lost > tolerated;
        let competed = self.mode.on_congestion();
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.1
        //# If a path has been validated to support Explicit Congestion Notification (ECN)
        //# {{!RFC3168}} {{?RFC8311}}, QUIC treats a Congestion Experienced (CE) codepoint
        //# in the IP header as a signal of congestion.
        if is_heavy || (signal == Signal::EcnCe && !competed) {
            self.halve();
        } else if !competed {
            // Taken for chance.
            return;
        }
        self.recovery.begin(observed.now);
        self.last_reduction = Some(observed.now);
        match signal {
            Signal::Loss => self.events.loss += 1,
            Signal::EcnCe => self.events.ecn_ce += 1,
        }
    }

    fn halve(&mut self) {
        let window = self.congestion_window();
        self.saturation_window = Some(window);
        self.window = scale(window / 2);
        self.limit();
        self.in_slow_start = false;
        self.slow_start_threshold = Some(self.congestion_window());
        self.velocity = Velocity::new(self.congestion_window());
        self.round = Round::default();
    }

    fn collapse(&mut self, now: Time) {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2
        //# When persistent congestion is declared, the sender's congestion
        //# window MUST be reduced to the minimum congestion window
        //# (kMinimumWindow), similar to a TCP sender's response on an RTO
        self.saturation_window = Some(self.congestion_window());
        self.window = scale(self.minimum_window());
        self.in_slow_start = true;
        self.velocity = Velocity::new(self.congestion_window());
        self.recovery.forget();
        self.last_reduction = Some(now);
        self.events.persistent += 1;
    }

    fn move_window(&mut self, observed: &Observed, may_grow: bool) {
        let up = self.is_below_target();
        if !up && self.in_slow_start {
            self.end_slow_start();
        }
        if observed.acknowledged_bytes == 0 || self.delays.standing().is_none() {
            return;
        }
        if !up {
            self.step(observed.acknowledged_bytes, false);
        } else if !may_grow || !self.path.is_window_used(observed, self.congestion_window()) {
            // Nothing is known of a larger window.
        } else if self.in_slow_start {
            let acknowledged = observed.acknowledged_bytes.min(self.congestion_window());
            self.window = self.window.saturating_add(scale(acknowledged));
            self.limit();
        } else {
            self.step(observed.acknowledged_bytes, true);
        }
    }
}

impl Controller for Copa {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn state(&self) -> &'static str {
        if self.recovery.is_under_way() {
            "recovery"
        } else if self.in_slow_start {
            "slow_start"
        } else if self.mode.is_competing() {
            "congestion_avoidance"
        } else {
            "probe_bw"
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
        self.delays.on_observed(observed);
        if round_ended {
            self.velocity.on_round(self.congestion_window());
            if !self.in_slow_start {
                self.mode.on_round(!self.round.has_loss);
            }
            self.round.end();
        }
        self.round.acknowledged = self.round.acknowledged.saturating_add(observed.acknowledged_packets);
        // What arrived after all was not lost.
        self.round.lost = self.round.lost.saturating_add(observed.lost_packets).saturating_sub(observed.spurious);
        self.round.has_loss |= observed.has_loss();
        if observed.rtt_sample.is_some_and(|sample| self.delays.is_nearly_empty(sample, self.packet_time())) {
            self.mode.on_nearly_empty();
        }
        self.respond(observed);
        if observed.persistent_congestion {
            self.collapse(observed.now);
        } else {
            let may_grow = self.recovery.on_acknowledged(observed);
            self.move_window(observed, may_grow);
        }
        self.window()
    }

    fn window(&self) -> Window {
        let (congestion_window, datagram_size) = (self.congestion_window(), self.path.datagram_size());
        let standing =
            self.delays.standing().filter(|_| self.path.smoothed_rtt().is_some_and(|rtt| rtt >= UNPACED_BELOW));
        let Some(standing) = standing else {
            let quantum = MAXIMUM_QUANTUM.max(self.minimum_window());
            return Window { congestion_window, pacing_rate: 0, quantum };
        };
        let [opening, later] = PACING_QUARTERS;
        let quarters = if self.in_slow_start { opening } else { later };
        let pacing_rate =
            mul_div(congestion_window.saturating_mul(quarters) / 4, NANOSECONDS, nanoseconds(Some(standing))).max(1);
        Window { congestion_window, pacing_rate, quantum: short_quantum(pacing_rate, standing, datagram_size) }
    }

    fn snapshot(&self, now: Time) -> Snapshot {
        Snapshot {
            controller: Self::NAME,
            congestion_window: self.congestion_window(),
            slow_start_threshold: self.slow_start_threshold,
            in_slow_start: self.in_slow_start,
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
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.2
        //# If the maximum datagram size changes during the connection, the
        //# initial congestion window SHOULD be recalculated with the new size.
        if let Some(conditions) = &mut self.untouched {
            conditions.datagram_size = datagram_size;
            self.window = scale(conditions.window());
        }
        self.limit();
        self.window()
    }

    fn events(&self) -> Events {
        self.events
    }
}

const fn scale(bytes: u64) -> u64 {
    let most = u64::MAX >> FRACTION_BITS;
    (if bytes < most { bytes } else { most }) << FRACTION_BITS
}

/// A delay as a whole number; zero where there is none yet.
fn nanoseconds(delay: Option<Duration>) -> u64 {
    u64::try_from(delay.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

fn noise(parameters: &Parameters) -> Duration {
    Duration::from_micros(parameters.get(2))
}
