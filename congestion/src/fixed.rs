//! A window that somebody chose: for measurements and tests, **not for the Internet**.

use codec::Time;

use crate::window::{MAXIMUM_QUANTUM, MAXIMUM_WINDOW, UNPACED_BELOW, initial_window, minimum_window, quantum};
use crate::{
    Controller, Events, InitialConditions, Observed, Parameter, Parameters, PathModel, RecoveryPeriod, Snapshot, Unit,
    Window,
};

/// A constant window, and a constant pacing rate if one is asked for.
///
/// **It is not for the Internet.** It answers neither to loss nor to marks, so it takes from every flow that does. It is
/// there to measure what else limits a transfer, to fill a test path by a known amount, and to compare against. Only
/// persistent congestion stops it (RFC 9002 §7.6): it falls to two datagrams and comes back by what is acknowledged.
///
/// Hand-off, from a [`Snapshot`]: the window is the snapshot's or the constant, whichever is less; from there it grows to the
/// constant by what is acknowledged, but not in the first round trip, not while the snapshot's recovery period goes on and not while
/// it isn't used. The
/// threshold, `saturation_window`, `last_reduction` and the recovery period are kept for the next controller; a window below
/// that threshold is said to be in slow start, so that a successor finds its way back to what the path sustained. The
/// snapshot's bandwidth and pacing rate are not used: the rate is the parameter's. To a [`Snapshot`]: the window of the
/// moment, and those kept.
#[derive(Clone, Debug)]
pub struct Fixed {
    path: PathModel,
    recovery: RecoveryPeriod,
    /// The parameter `window`, in bytes.
    constant: u64,
    /// The parameter `pacing_rate`, in bytes a second; 0 is none.
    pacing_rate: u64,
    congestion_window: u64,
    /// There was no predecessor.
    is_first: bool,
    /// Of the predecessor, or half the window at the last persistent congestion; `u64::MAX` is infinite.
    slow_start_threshold: u64,
    saturation_window: Option<u64>,
    last_reduction: Option<Time>,
    events: Events,
}

impl Fixed {
    /// The name it is asked for by.
    pub const NAME: &str = "fixed";
    /// What of it can be set.
    pub const PARAMETERS: &[Parameter] = &[
        Parameter {
            name: "window",
            about: "how much may be in flight, always; less than two datagrams counts as two",
            unit: Unit::Bytes,
            least: 1,
            most: MAXIMUM_WINDOW,
            default: 64 * 1024,
        },
        Parameter {
            name: "pacing_rate",
            about: "how fast it may leave; 0 is as fast as the window lets it",
            unit: Unit::BytesPerSecond,
            least: 0,
            most: 1 << 40,
            default: 0,
        },
    ];

    /// On a new path, with the whole window at once.
    pub fn new(conditions: &InitialConditions, parameters: &Parameters) -> Self {
        let path = PathModel::new(conditions);
        let constant = parameters.get(0);
        Self {
            congestion_window: constant.clamp(minimum_window(path.datagram_size()), MAXIMUM_WINDOW),
            path,
            recovery: RecoveryPeriod::default(),
            is_first: true,
            constant,
            pacing_rate: parameters.get(1),
            slow_start_threshold: u64::MAX,
            saturation_window: None,
            last_reduction: None,
            events: Events::default(),
        }
    }

    /// Where another controller was. See the type's documentation for what becomes of each field.
    pub fn from_snapshot(snapshot: &Snapshot, now: Time, parameters: &Parameters) -> Self {
        let before = snapshot.starting_window();
        let slow_start_threshold = if snapshot.in_slow_start {
            snapshot.slow_start_threshold.unwrap_or(u64::MAX)
        } else {
            snapshot.slow_start_threshold.unwrap_or(before).min(before)
        };
        let path = PathModel::from_snapshot(snapshot, now);
        let constant = parameters.get(0);
        Self {
            congestion_window: before.min(constant.max(minimum_window(path.datagram_size()))),
            path,
            recovery: RecoveryPeriod::from_snapshot(snapshot),
            is_first: false,
            constant,
            pacing_rate: parameters.get(1),
            slow_start_threshold,
            saturation_window: snapshot.saturation_window,
            last_reduction: snapshot.last_reduction,
            events: Events::default(),
        }
    }

    fn minimum_window(&self) -> u64 {
        minimum_window(self.path.datagram_size())
    }

    /// The constant, within what every window keeps to.
    fn target(&self) -> u64 {
        self.constant.clamp(self.minimum_window(), MAXIMUM_WINDOW)
    }

    fn collapse(&mut self, now: Time) {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2
        //# When persistent congestion is declared, the sender's congestion
        //# window MUST be reduced to the minimum congestion window
        //# (kMinimumWindow), similar to a TCP sender's response on an RTO
        self.slow_start_threshold = (self.congestion_window / 2).max(self.minimum_window());
        self.congestion_window = self.minimum_window();
        self.recovery.forget();
        self.last_reduction = Some(now);
        self.events.persistent += 1;
    }
}

impl Controller for Fixed {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn state(&self) -> &'static str {
        if self.recovery.is_under_way() {
            "recovery"
        } else if self.congestion_window < self.target() {
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
        // A successor first sees a round trip of its own.
        let may_grow = self.recovery.on_acknowledged(observed) && (self.is_first || self.path.rounds() > 0);
        if observed.persistent_congestion {
            self.collapse(observed.now);
        } else if may_grow && self.path.is_window_used(observed, self.congestion_window) {
            // More than a window cannot have been in flight for a round trip; a peer that claims so gains nothing.
            let by = observed.acknowledged_bytes.min(self.congestion_window);
            self.congestion_window = (self.congestion_window + by).min(self.target().max(self.congestion_window));
        }
        self.window()
    }

    fn window(&self) -> Window {
        let congestion_window = self.congestion_window;
        let datagram_size = self.path.datagram_size();
        let is_short = self.path.smoothed_rtt().is_none_or(|rtt| rtt < UNPACED_BELOW);
        let quantum = match self.pacing_rate {
            0 if is_short => MAXIMUM_QUANTUM.max(minimum_window(datagram_size)),
            // Waiting for room for a longer burst would leave a part of the window unused.
            0 => minimum_window(datagram_size),
            rate => quantum(rate, initial_window(datagram_size)),
        };
        Window { congestion_window, pacing_rate: self.pacing_rate, quantum }
    }

    fn snapshot(&self, now: Time) -> Snapshot {
        Snapshot {
            controller: Self::NAME,
            congestion_window: self.congestion_window,
            slow_start_threshold: (self.slow_start_threshold != u64::MAX).then_some(self.slow_start_threshold),
            in_slow_start: self.congestion_window < self.slow_start_threshold,
            saturation_window: self.saturation_window,
            pacing_rate: self.pacing_rate,
            recovery_start: self.recovery.start(),
            in_recovery: self.recovery.is_under_way(),
            last_reduction: self.last_reduction,
            ..self.path.snapshot(now)
        }
    }

    fn on_datagram_size(&mut self, datagram_size: u16) -> Window {
        self.path.set_datagram_size(datagram_size);
        self.congestion_window = self.congestion_window.max(self.minimum_window());
        self.window()
    }

    fn events(&self) -> Events {
        self.events
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::{Algorithm, NewReno};

    const SEGMENT: u64 = 1200;

    fn at(milliseconds: u64) -> Time {
        Time::from_nanos(milliseconds * 1_000_000)
    }

    fn conditions() -> InitialConditions {
        InitialConditions { datagram_size: SEGMENT as u16, ..InitialConditions::default() }
    }

    fn fixed(text: &str) -> Fixed {
        let algorithm: Algorithm = text.parse().unwrap();
        Fixed::new(&conditions(), algorithm.parameters())
    }

    /// A turn that acknowledges so many bytes of a full window that was sent 10 ms ago.
    fn acknowledged(now: u64, bytes: u64) -> Observed {
        Observed {
            now: at(now),
            acknowledged_bytes: bytes,
            acknowledged_packets: bytes.div_ceil(SEGMENT),
            largest_acknowledged_sent_at: Some(at(now - 10)),
            prior_in_flight: u64::MAX,
            ..Observed::default()
        }
    }

    fn lost(now: u64, persistent_congestion: bool) -> Observed {
        let largest_lost_sent_at = Some(at(now - 10));
        let (lost_packets, lost_bytes) = (9, 9 * SEGMENT);
        Observed {
            now: at(now),
            lost_packets,
            lost_bytes,
            largest_lost_sent_at,
            persistent_congestion,
            ..Observed::default()
        }
    }

    #[test]
    fn the_window_and_the_rate_are_what_was_asked_for() {
        let default = Window { congestion_window: 65_536, pacing_rate: 0, quantum: 65_536 };
        assert_eq!(fixed("fixed").window(), default);
        let paced = fixed("fixed:window=1000000,pacing_rate=1250000").window();
        assert_eq!(paced, Window { congestion_window: 1_000_000, pacing_rate: 1_250_000, quantum: 12_000 });
        assert_eq!(fixed("fixed:window=1").window().congestion_window, 2 * SEGMENT, "RFC 9002's minimum holds");
    }

    #[test]
    fn neither_loss_nor_marks_nor_time_moves_it() {
        let mut fixed = fixed("fixed:window=100000");
        for turn in 0..100 {
            let now = 1000 + 20 * turn;
            assert_eq!(fixed.on_observed(&lost(now, false)).congestion_window, 100_000);
            let marked = Observed { ecn_ce: 5, ecn_capable_packets: 10, ..acknowledged(now, 10 * SEGMENT) };
            assert_eq!(fixed.on_observed(&marked).congestion_window, 100_000);
            assert_eq!(fixed.state(), "congestion_avoidance");
        }
        assert_eq!(fixed.events(), Events::default());
    }

    #[test]
    fn persistent_congestion_leaves_two_datagrams_and_acknowledgements_bring_the_rest_back() {
        let mut fixed = fixed("fixed:window=20000");
        assert_eq!(fixed.on_observed(&lost(1000, true)).congestion_window, 2 * SEGMENT);
        assert_eq!((fixed.state(), fixed.events().persistent), ("slow_start", 1));
        for (now, bytes, window) in
            [(1100, 2400, 4800), (1200, u64::MAX, 9600), (1300, 9600, 19_200), (1400, 9600, 20_000)]
        {
            assert_eq!(fixed.on_observed(&acknowledged(now, bytes)).congestion_window, window);
        }
        assert_eq!(fixed.state(), "congestion_avoidance");
    }

    #[test]
    fn a_successor_begins_with_no_more_than_the_snapshot_and_waits_for_its_recovery_period() {
        let snapshot = Snapshot {
            congestion_window: 30_000,
            slow_start_threshold: Some(30_000),
            saturation_window: Some(60_000),
            recovery_start: Some(at(1000)),
            in_recovery: true,
            last_reduction: Some(at(1000)),
            datagram_size: 1200,
            ..Snapshot::default()
        };
        let parameters = *Algorithm::FIXED.parameters();
        let mut successor = Fixed::from_snapshot(&snapshot, at(1005), &parameters);
        assert_eq!((successor.window().congestion_window, successor.state()), (30_000, "recovery"));
        let kept = successor.snapshot(at(1005));
        assert_eq!((kept.saturation_window, kept.slow_start_threshold), (Some(60_000), Some(30_000)));
        assert_eq!((kept.last_reduction, kept.in_recovery), (Some(at(1000)), true));
        // Of packets sent before the period began, then the one that ends it, then one of the second round trip.
        assert_eq!(successor.on_observed(&acknowledged(1010, 5000)).congestion_window, 30_000);
        assert_eq!(successor.on_observed(&acknowledged(1020, 5000)).congestion_window, 30_000);
        assert_eq!(successor.on_observed(&acknowledged(1030, 5000)).congestion_window, 35_000);
        let idle = Observed { application_limited: true, ..acknowledged(1040, 5000) };
        assert_eq!(successor.on_observed(&idle).congestion_window, 35_000, "an unused window does not grow");
    }

    #[test]
    fn a_successor_grows_after_a_round_trip_of_its_own() {
        let snapshot = Snapshot { congestion_window: 20_000, datagram_size: 1200, ..Snapshot::default() };
        let mut successor = Fixed::from_snapshot(&snapshot, at(1000), Algorithm::FIXED.parameters());
        for (now, window) in [(1005, 20_000), (1009, 20_000), (1010, 25_000), (1011, 30_000)] {
            assert_eq!(successor.on_observed(&acknowledged(now, 5000)).congestion_window, window, "at {now} ms");
        }
    }

    #[test]
    fn who_comes_after_a_smaller_constant_finds_back_to_what_the_path_sustained() {
        let before = Snapshot {
            congestion_window: 500_000,
            slow_start_threshold: Some(400_000),
            smoothed_rtt: Some(Duration::from_millis(50)),
            datagram_size: 1200,
            ..Snapshot::default()
        };
        let fixed = Fixed::from_snapshot(&before, at(0), Algorithm::FIXED.parameters());
        assert_eq!(fixed.window().congestion_window, 65_536);
        let after = NewReno::from_snapshot(&fixed.snapshot(at(0)), at(0), &Parameters::default());
        assert_eq!((after.state(), after.window().congestion_window), ("slow_start", 65_536));
        assert_eq!(after.snapshot(at(0)).slow_start_threshold, Some(400_000));
    }
}
