use std::vec::Vec;

use super::*;
use crate::{Algorithm, Cubic, RttView};

const SEGMENT: u64 = 1200;
const DEFAULTS: Parameters = Parameters::defaults(Ledbat::PARAMETERS);

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A path whose queue the test decides.
struct Bench {
    controller: Ledbat,
    now: Time,
    base: Duration,
    queue: Duration,
}

impl Bench {
    fn new(base: Duration, parameters: &Parameters) -> Self {
        let now = Time::from_nanos(1_000_000_000);
        let conditions = InitialConditions { datagram_size: SEGMENT as u16, now, ..InitialConditions::default() };
        Self { controller: Ledbat::new(&conditions, parameters), now, base, queue: Duration::ZERO }
    }

    /// In congestion avoidance with that window, slowdowns off unless asked for.
    fn avoiding(base: Duration, segments: u64, algorithm: &str) -> Self {
        let algorithm: Algorithm = algorithm.parse().unwrap();
        let mut bench = Self::new(base, algorithm.parameters());
        let snapshot = Snapshot {
            congestion_window: segments * SEGMENT,
            slow_start_threshold: Some(segments * SEGMENT),
            smoothed_rtt: Some(base),
            minimum_rtt: Some(base),
            datagram_size: SEGMENT as u16,
            ..Snapshot::default()
        };
        bench.controller = Ledbat::from_snapshot(&snapshot, bench.now, algorithm.parameters());
        bench
    }

    fn rtt(&self) -> Duration {
        self.base + self.queue
    }

    fn segments(&self) -> u64 {
        self.controller.congestion_window() / SEGMENT
    }

    fn observed(&self) -> Observed {
        let (window, rtt) = (self.controller.congestion_window(), self.rtt());
        Observed {
            now: self.now,
            rtt: RttView { latest: rtt, smoothed: rtt, variation: rtt / 8, minimum: self.base },
            prior_in_flight: window,
            bytes_in_flight: window,
            ..Observed::default()
        }
    }

    fn acknowledged(&self, bytes: u64) -> Observed {
        Observed {
            acknowledged_bytes: bytes,
            acknowledged_packets: bytes.div_ceil(SEGMENT),
            largest_acknowledged_sent_at: Some(self.now.saturating_before(self.rtt() - Duration::from_nanos(1))),
            rtt_sample: Some(self.rtt()),
            ..self.observed()
        }
    }

    /// A round trip: the whole window acknowledged, in so many turns.
    fn round(&mut self, turns: u64) -> u64 {
        let window = self.controller.congestion_window();
        for turn in 0..turns {
            self.now += self.rtt() / turns as u32;
            let bytes = window * (turn + 1) / turns - window * turn / turns;
            let observed = self.acknowledged(bytes);
            self.controller.on_observed(&observed);
        }
        self.controller.congestion_window()
    }

    fn lose(&mut self) -> u64 {
        let largest_lost_sent_at = Some(self.now.saturating_before(Duration::from_nanos(1)));
        let observed = Observed { lost_packets: 1, lost_bytes: SEGMENT, largest_lost_sent_at, ..self.observed() };
        self.controller.on_observed(&observed).congestion_window
    }
}

#[test]
fn the_gain_is_one_over_twice_the_target_in_base_delays_but_at_least_a_sixteenth() {
    // min(16, ceil(2 * 60 ms / base))
    for (base, divisor) in [(1, 16), (7, 16), (8, 15), (50, 3), (60, 2), (119, 2), (120, 1), (300, 1)] {
        let bench = Bench::avoiding(ms(base), 100, "ledbat");
        assert_eq!(bench.controller.gain_divisor(), divisor, "{base} ms");
    }
    assert_eq!(Bench::avoiding(ms(50), 100, "ledbat:target=10").controller.gain_divisor(), 1);
    assert_eq!(Bench::avoiding(ms(1), 100, "ledbat:gain_divisor=4").controller.gain_divisor(), 4);
}

#[test]
fn it_begins_with_two_datagrams_and_grows_by_the_gain() {
    let mut bench = Bench::new(ms(60), &DEFAULTS);
    assert_eq!((bench.segments(), bench.controller.state()), (2, "slow_start"));
    // GAIN is 1/2: half as much again each round trip.
    let windows: Vec<u64> = (0..5).map(|_| bench.round(1)).collect();
    assert_eq!(windows, [3600, 5400, 8100, 12_150, 18_225]);
    let asked = InitialConditions { datagram_size: 1200, initial_window: Some(9000), ..InitialConditions::default() };
    assert_eq!(Ledbat::new(&asked, &DEFAULTS).congestion_window(), 9000);
}

#[test]
fn three_quarters_of_the_target_end_the_first_slow_start() {
    let mut bench = Bench::new(ms(120), &DEFAULTS);
    bench.round(4);
    bench.queue = ms(45);
    bench.round(4);
    assert_eq!(bench.controller.state(), "slow_start", "exactly three quarters do not");
    bench.queue = ms(46);
    let before = bench.round(4);
    bench.round(4);
    assert_eq!(bench.controller.state(), "congestion_avoidance");
    assert!(bench.segments() <= before / SEGMENT + 1);
}

#[test]
fn below_the_target_a_round_trip_adds_the_gain_in_batches_of_any_size() {
    // GAIN is 1/2 of a datagram.
    for turns in [1, 7, 100] {
        let mut bench = Bench::avoiding(ms(60), 100, "ledbat:slowdowns=off");
        bench.queue = ms(30);
        for round in 1..=10 {
            let window = bench.round(turns);
            let expected = 100 * SEGMENT + round * SEGMENT / 2;
            assert!(window.abs_diff(expected) < 60, "{turns} turns, round {round}: {window} for {expected}");
        }
    }
}

#[test]
fn above_the_target_it_loses_the_excess_share_but_at_most_half() {
    // W += GAIN - W * (delay / TARGET - 1): 75 ms is a quarter too much, 600 ms nine times.
    // The half is of the window alone.
    for (queue, expected) in [(60, 120_600), (75, 90_600), (600, 60_600)] {
        let mut bench = Bench::avoiding(ms(60), 100, "ledbat:slowdowns=off");
        bench.queue = ms(queue);
        assert_eq!(bench.round(1), expected, "{queue} ms");
    }
    let mut gentle = Bench::avoiding(ms(60), 100, "ledbat:slowdowns=off,decrease=0.5");
    gentle.queue = ms(75);
    assert_eq!(gentle.round(1), 105_600);
}

#[test]
fn it_gives_way_again_when_the_effect_can_be_seen() {
    let mut bench = Bench::avoiding(ms(60), 100, "ledbat:slowdowns=off");
    bench.queue = ms(90);
    let mut windows: Vec<u64> = Vec::new();
    for _ in 0..30 {
        bench.now += bench.rtt() / 10;
        let observed = bench.acknowledged(SEGMENT);
        windows.push(bench.controller.on_observed(&observed).congestion_window);
    }
    let decreases = windows.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert_eq!((windows[0], decreases), (60_012, 2), "{windows:?}");
}

#[test]
fn who_gave_way_does_not_come_back_by_slow_start() {
    let mut bench = Bench::avoiding(ms(60), 100, "ledbat:slowdowns=off");
    bench.queue = ms(90);
    bench.round(1);
    bench.queue = ms(10);
    let before = bench.round(1);
    assert_eq!(bench.controller.state(), "congestion_avoidance");
    assert!(bench.round(10) <= before + SEGMENT);
}

#[test]
fn bursts_are_of_two_datagrams_so_that_they_measure_no_queue_of_their_own() {
    let bench = Bench::avoiding(ms(60), 50, "ledbat");
    assert_eq!(bench.controller.window().quantum, 2 * SEGMENT);
    assert_eq!(Bench::avoiding(ms(60), 100_000, "ledbat").controller.window().quantum, 65_536);
}

#[test]
fn a_queue_that_stays_takes_it_down_to_two_datagrams_and_no_further() {
    let mut bench = Bench::avoiding(ms(20), 1000, "ledbat");
    bench.queue = ms(200);
    for _ in 0..60 {
        bench.round(3);
        assert!(bench.segments() >= 2);
    }
    assert_eq!(bench.segments(), 2);
}

#[test]
fn a_flow_that_does_not_use_its_window_gives_way_but_does_not_grow() {
    let mut bench = Bench::avoiding(ms(60), 100, "ledbat:slowdowns=off");
    for queue in [0, 0, 0, 120] {
        bench.queue = ms(queue);
        bench.now += bench.rtt();
        let observed = Observed { application_limited: true, ..bench.acknowledged(10 * SEGMENT) };
        bench.controller.on_observed(&observed);
        assert!(bench.controller.congestion_window() <= 100 * SEGMENT);
    }
    // Twice the target: by half at once.
    assert_eq!(bench.controller.congestion_window(), 60_000);
}

#[test]
fn a_loss_or_a_mark_halves_it_once_a_round_trip() {
    let mut bench = Bench::avoiding(ms(60), 100, "ledbat");
    assert_eq!(bench.lose(), 50 * SEGMENT);
    assert_eq!(bench.controller.state(), "recovery");
    let covered = Observed {
        lost_packets: 5,
        largest_lost_sent_at: Some(bench.now.saturating_before(ms(1))),
        ..bench.acknowledged(0)
    };
    assert_eq!(bench.controller.on_observed(&covered).congestion_window, 50 * SEGMENT);
    bench.now += bench.rtt();
    let marked = Observed { ecn_ce: 1, ecn_capable_packets: 10, ..bench.acknowledged(10 * SEGMENT) };
    assert_eq!(bench.controller.on_observed(&marked).congestion_window, 25 * SEGMENT);
    assert_eq!(bench.controller.events(), Events { loss: 1, ecn_ce: 1, ..Events::default() });
}

#[test]
fn persistent_congestion_leaves_two_datagrams_and_the_way_back() {
    let mut bench = Bench::avoiding(ms(60), 100, "ledbat");
    let persistent = Observed {
        lost_packets: 10,
        largest_lost_sent_at: Some(bench.now),
        persistent_congestion: true,
        ..bench.observed()
    };
    assert_eq!(bench.controller.on_observed(&persistent).congestion_window, 2 * SEGMENT);
    assert_eq!((bench.controller.slow_start_threshold, bench.controller.state()), (50 * SEGMENT, "slow_start"));
}

/// The moments (since the beginning, in milliseconds) and the new states of a flow that always has more to send.
fn states(bench: &mut Bench, rounds: u64) -> Vec<(u64, &'static str)> {
    let start = bench.now;
    let mut states: Vec<(u64, &'static str)> = std::vec![(0, bench.controller.state())];
    for _ in 0..rounds {
        bench.round(10);
        let state = bench.controller.state();
        if states.last().is_some_and(|last| last.1 != state) {
            states.push(((bench.now - start).as_millis() as u64, state));
        }
    }
    states
}

#[test]
fn it_slows_down_two_round_trips_after_slow_start_and_then_a_tenth_of_the_time() {
    let mut bench = Bench::new(ms(120), &DEFAULTS);
    for _ in 0..6 {
        bench.round(10);
    }
    bench.queue = ms(50);
    bench.round(10);
    assert_eq!(bench.controller.state(), "congestion_avoidance");
    assert!((129..256).contains(&bench.segments()), "{}", bench.segments());
    bench.queue = ms(0);
    let seen = states(&mut bench, 150);
    // Two round trips of 120 ms with the two datagrams; then 2, 4, 8, ... 256 datagrams in seven more; then nine times that.
    let slowdowns: Vec<u64> = seen.iter().filter(|(_, state)| *state == "probe_rtt").map(|(at, _)| *at).collect();
    let ramps: Vec<u64> = seen.iter().filter(|(_, state)| *state == "slow_start").map(|(at, _)| *at).collect();
    let ends: Vec<u64> =
        seen.iter().skip(1).filter(|(_, state)| *state == "congestion_avoidance").map(|(at, _)| *at).collect();
    assert!(slowdowns.len() >= 2 && ramps.len() >= 2 && ends.len() >= 2, "{seen:?}");
    assert!((240..=480).contains(&slowdowns[0]), "{seen:?}");
    for at in 0..2 {
        assert!((240..=360).contains(&(ramps[at] - slowdowns[at])), "{seen:?}");
        assert!((720..=960).contains(&(ends[at] - ramps[at])), "{seen:?}");
    }
    let (took, apart) = (ends[0] - slowdowns[0], slowdowns[1] - ends[0]);
    // The states are read once a round trip.
    assert!(((took - 120) * 9..=took * 9 + 120).contains(&apart), "{apart} ms after one that took {took} ms");
}

#[test]
fn a_slowdown_ends_with_the_window_that_it_began_with() {
    let mut bench = Bench::avoiding(ms(60), 100, "ledbat");
    bench.round(10);
    bench.round(10);
    assert_eq!((bench.controller.state(), bench.segments()), ("probe_rtt", 2));
    let snapshot = bench.controller.snapshot(bench.now);
    assert!(snapshot.in_slow_start && snapshot.slow_start_threshold.is_some_and(|threshold| threshold > 99 * SEGMENT));
    for _ in 0..14 {
        bench.round(10);
    }
    assert_eq!(bench.controller.state(), "congestion_avoidance");
    assert!((100..=102).contains(&bench.segments()), "{}", bench.segments());
}

#[test]
fn a_queue_that_none_of_its_kind_makes_ends_the_way_back() {
    let mut bench = Bench::avoiding(ms(60), 100, "ledbat");
    for _ in 0..6 {
        bench.round(10);
    }
    assert_eq!(bench.controller.state(), "slow_start");
    bench.queue = ms(100);
    bench.round(10);
    assert_eq!(bench.controller.state(), "slow_start", "another LEDBAT++ may have made this one");
    bench.queue = ms(130);
    bench.round(10);
    assert_eq!(bench.controller.state(), "congestion_avoidance");
    assert!(bench.segments() < 20, "{}", bench.segments());
}

#[test]
fn a_loss_found_while_frozen_is_answered_from_the_window_before() {
    let mut bench = Bench::avoiding(ms(60), 100, "ledbat");
    bench.round(10);
    bench.round(10);
    assert_eq!(bench.controller.state(), "probe_rtt");
    assert_eq!(bench.lose(), 2 * SEGMENT);
    assert!(bench.controller.slow_start_threshold.abs_diff(50 * SEGMENT) <= SEGMENT);
}

#[test]
fn silence_of_two_round_trips_is_a_slowdown() {
    let mut bench = Bench::avoiding(ms(60), 100, "ledbat");
    let rest = Observed { bytes_in_flight: 0, ..bench.acknowledged(SEGMENT) };
    bench.controller.on_observed(&rest);
    bench.now += Duration::from_secs(3);
    bench.controller.on_observed(&bench.acknowledged(SEGMENT));
    for _ in 0..20 {
        bench.round(10);
        assert_eq!(bench.controller.state(), "congestion_avoidance");
    }
}

#[test]
fn the_successor_of_another_kind_slows_down_soon_and_that_of_its_own_kind_when_it_would_have() {
    let now = Time::from_nanos(1_000_000_000);
    let snapshot = |controller| Snapshot {
        controller,
        congestion_window: 128 * SEGMENT,
        slow_start_threshold: Some(100 * SEGMENT),
        smoothed_rtt: Some(ms(120)),
        minimum_rtt: Some(ms(120)),
        recovery_start: Some(now),
        in_recovery: true,
        datagram_size: SEGMENT as u16,
        ..Snapshot::default()
    };
    let other = Ledbat::from_snapshot(&snapshot(Cubic::NAME), now, &DEFAULTS);
    assert_eq!((other.state(), other.congestion_window()), ("recovery", 128 * SEGMENT));
    assert_eq!(other.slowdown, Slowdown::Planned(now + ms(240)));
    let same = Ledbat::from_snapshot(&snapshot(Ledbat::NAME), now, &DEFAULTS);
    // Two round trips and six doublings, nine times.
    assert_eq!(same.slowdown, Slowdown::Planned(now + ms(9 * 8 * 120)));
    let off: Algorithm = "ledbat:slowdowns=off".parse().unwrap();
    assert_eq!(Ledbat::from_snapshot(&snapshot(Cubic::NAME), now, off.parameters()).slowdown, Slowdown::Unplanned);
}
