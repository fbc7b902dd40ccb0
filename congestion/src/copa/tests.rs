//! Turns made by hand, each with the numbers that the formulas give.

use super::*;
use crate::{Delivery, RttView};

const SIZE: u64 = 1200;
const RTT: Duration = Duration::from_millis(50);

struct Bench {
    controller: Copa,
    now: Time,
    rtt: Duration,
    round_start: Time,
    /// Bytes a second.
    bandwidth: u64,
}

fn defaults() -> Parameters {
    Parameters::defaults(PARAMETERS)
}

fn at_the_beginning() -> Time {
    Time::from_nanos(1_000_000_000)
}

fn snapshot(window: u64) -> Snapshot {
    Snapshot {
        controller: "cubic",
        congestion_window: window,
        slow_start_threshold: Some(window),
        smoothed_rtt: Some(RTT),
        minimum_rtt: Some(RTT),
        datagram_size: 1200,
        ..Snapshot::default()
    }
}

impl Bench {
    fn new() -> Self {
        let now = at_the_beginning();
        let conditions = InitialConditions { datagram_size: 1200, now, ..InitialConditions::default() };
        Self { controller: Copa::new(&conditions, &defaults()), now, rtt: RTT, round_start: now, bandwidth: 0 }
    }

    fn from(snapshot: &Snapshot) -> Self {
        let now = at_the_beginning();
        let controller = Copa::from_snapshot(snapshot, now, &defaults());
        Self { controller, now, rtt: RTT, round_start: now, bandwidth: 0 }
    }

    fn packets(&self) -> f64 {
        self.controller.window as f64 / 65_536.0 / SIZE as f64
    }

    fn observed(&self) -> Observed {
        let window = self.controller.congestion_window();
        Observed {
            now: self.now,
            rtt: RttView { latest: self.rtt, smoothed: self.rtt, variation: Duration::ZERO, minimum: RTT },
            prior_in_flight: window,
            ..Observed::default()
        }
    }

    /// A turn that acknowledges so many bytes, sent one RTT before.
    fn acknowledged(&self, bytes: u64) -> Observed {
        let delivery = Delivery { rate: self.bandwidth, ..Delivery::default() };
        Observed {
            acknowledged_bytes: bytes,
            acknowledged_packets: bytes.div_ceil(SIZE),
            largest_acknowledged_sent_at: Some(self.round_start),
            rtt_sample: Some(self.rtt),
            delivery: (self.bandwidth > 0).then_some(delivery),
            ..self.observed()
        }
    }

    /// A round trip, acknowledged in `turns` turns.
    fn round(&mut self, turns: u32) {
        let (start, window) = (self.now, self.controller.congestion_window());
        for turn in 1..=turns {
            self.now = start + self.rtt * turn / turns;
            let observed = self.acknowledged(window / u64::from(turns));
            self.controller.on_observed(&observed);
        }
        self.round_start = self.now;
    }

    fn lose(&mut self, packets: u64) -> u64 {
        self.now += Duration::from_millis(1);
        let observed = Observed {
            lost_packets: packets,
            lost_bytes: packets * SIZE,
            largest_lost_sent_at: Some(self.now.saturating_before(Duration::from_nanos(1))),
            ..self.observed()
        };
        self.controller.on_observed(&observed).congestion_window
    }
}

#[test]
fn slow_start_doubles_until_the_queue_has_been_there_for_a_round_trip() {
    let mut bench = Bench::new();
    for expected in [20.0, 40.0, 80.0] {
        bench.round(10);
        assert!((bench.packets() - expected).abs() < 0.01, "{}", bench.packets());
    }
    assert_eq!(bench.controller.state(), "slow_start");
    // 5 ms of queue, and a path that delivers 80 packets in an RTT. Half an RTT of it is no sign yet.
    (bench.rtt, bench.bandwidth) = (Duration::from_millis(55), 80 * SIZE * 20);
    let start = bench.now;
    bench.now = start + bench.rtt / 2;
    bench.controller.on_observed(&bench.acknowledged(SIZE));
    assert_eq!(bench.controller.state(), "slow_start");
    bench.now = start + bench.rtt + Duration::from_millis(5);
    bench.controller.on_observed(&bench.acknowledged(SIZE));
    assert_ne!(bench.controller.state(), "slow_start");
    assert!((bench.packets() - 80.0).abs() < 0.1, "{}", bench.packets());
    assert!(bench.controller.snapshot(bench.now).slow_start_threshold.is_some());
}

#[test]
fn the_window_moves_by_two_packets_a_round_trip_in_turns_of_any_size() {
    for turns in [1, 7, 100] {
        let mut bench = Bench::from(&snapshot(100 * SIZE));
        bench.round(turns);
        // No queue: the target rate is infinite. v / delta = 2.
        assert!((bench.packets() - 102.0).abs() < 0.05, "{turns}: {}", bench.packets());
    }
}

/// `window / RTTstanding = 1 / (delta * dq)`: with 100 packets in 60 ms, that is dq = 1.2 ms, and 0.1 ms of noise.
#[test]
fn the_direction_changes_where_the_rate_is_the_target_rate() {
    for (micros, up) in [(61_240, true), (61_360, false)] {
        let mut bench = Bench::from(&Snapshot {
            minimum_rtt: Some(Duration::from_millis(60)),
            smoothed_rtt: Some(Duration::from_micros(micros)),
            ..snapshot(100 * SIZE)
        });
        bench.rtt = Duration::from_micros(micros);
        bench.controller.on_observed(&bench.acknowledged(10 * SIZE));
        assert_eq!(bench.packets() > 100.0, up, "{micros}: {}", bench.packets());
    }
}

#[test]
fn velocity_doubles_after_three_round_trips_and_no_step_is_more_than_an_eighth() {
    let mut bench = Bench::from(&snapshot(100 * SIZE));
    let mut grown = std::vec::Vec::new();
    for _ in 0..10 {
        let before = bench.packets();
        bench.round(50);
        grown.push((bench.packets() - before).round() as u64);
    }
    assert_eq!(grown[..7], [2, 2, 2, 2, 4, 8, 15], "{grown:?}");
    // 1/8 of the window, acknowledgement by acknowledgement.
    let before = bench.packets();
    bench.round(50);
    assert!((0.12..0.135).contains(&(bench.packets() / before - 1.0)), "{}", bench.packets() / before);
}

#[test]
fn below_what_was_delivered_half_of_the_rest_is_added_and_beyond_it_it_is_slow_again() {
    let mut bench = Bench::from(&snapshot(100 * SIZE));
    bench.bandwidth = 200 * SIZE * 20;
    for _ in 0..30 {
        let before = bench.packets();
        bench.round(50);
        let most = (before / 8.0).max(2.0).max((200.0 - before) / 2.0);
        assert!(bench.packets() - before < most * 1.05, "{before} to {}", bench.packets());
        if before < 200.0 && bench.packets() >= 200.0 {
            assert_eq!(bench.controller.velocity.for_step(true), 1);
            return;
        }
    }
    panic!("it never came to what was delivered: {}", bench.packets());
}

#[test]
fn a_queue_is_left_by_no_more_than_half_of_it_in_a_round_trip() {
    let mut bench = Bench::from(&snapshot(100 * SIZE));
    bench.controller.mode = Mode::new(2000, false);
    bench.rtt = RTT * 2;
    for _ in 0..20 {
        let before = bench.packets();
        // Half of the window waits.
        bench.round(50);
        assert!(before - bench.packets() <= (before / 4.0).max(2.0) * 1.2, "{before} to {}", bench.packets());
    }
    assert!(bench.packets() < 10.0, "{}", bench.packets());
}

#[test]
fn a_loss_is_chance_and_a_round_that_loses_much_is_not() {
    let mut bench = Bench::from(&snapshot(100 * SIZE));
    bench.round(10);
    bench.round(10);
    // 110 packets were acknowledged since they were counted anew: 17 of 127 are below 15 %, 20 of 130 above.
    bench.lose(7);
    bench.lose(10);
    assert!(bench.packets() > 103.0);
    assert_eq!(bench.controller.events(), Events::default());
    let before = bench.packets();
    bench.lose(3);
    assert!((bench.packets() - before / 2.0).abs() < 0.1, "{}", bench.packets());
    assert_eq!((bench.controller.events().loss, bench.controller.state()), (1, "recovery"));
    // Not again for what was sent before.
    let observed =
        Observed { lost_packets: 50, lost_bytes: 50 * SIZE, largest_lost_sent_at: Some(bench.now), ..bench.observed() };
    bench.controller.on_observed(&observed);
    assert!((bench.packets() - before / 2.0).abs() < 0.1, "{}", bench.packets());
}

#[test]
fn small_rounds_are_counted_together() {
    let mut bench = Bench::from(&snapshot(4 * SIZE));
    // Each round acknowledges four, and two are lost: a third of all.
    for round in 1..=8 {
        bench.rtt = RTT + Duration::from_micros(u64::from(round == 1));
        bench.round(1);
        bench.lose(2);
        if bench.controller.events().loss > 0 {
            assert_eq!(round, 4, "eight are enough");
            return;
        }
    }
    panic!("nobody answers");
}

fn competing() -> Bench {
    let mut bench = Bench::from(&snapshot(100 * SIZE));
    bench.round(10);
    // A queue of 50 ms that is never empty.
    bench.rtt = RTT * 2;
    for _ in 0..7 {
        bench.round(10);
    }
    assert_eq!(bench.controller.state(), "congestion_avoidance");
    bench
}

#[test]
fn a_loss_in_competitive_mode_halves_one_over_delta_once_a_round_trip() {
    let mut bench = competing();
    for _ in 0..20 {
        bench.round(10);
    }
    let inverse = bench.controller.mode.inverse_delta();
    assert!(inverse > 15_000, "{inverse}");
    bench.lose(1);
    assert_eq!(bench.controller.mode.inverse_delta(), inverse / 2);
    let observed = Observed {
        lost_packets: 1,
        lost_bytes: SIZE,
        largest_lost_sent_at: Some(bench.now.saturating_before(Duration::from_millis(5))),
        ..bench.observed()
    };
    bench.controller.on_observed(&observed);
    assert_eq!(bench.controller.mode.inverse_delta(), inverse / 2);
    assert_eq!(bench.controller.events().loss, 1);
    // An empty queue ends it.
    bench.rtt = RTT;
    bench.round(10);
    assert_eq!(bench.controller.mode.inverse_delta(), 2000);
}

#[test]
fn a_mark_halves_the_window_in_default_mode_and_one_over_delta_in_competitive_mode() {
    let mut bench = Bench::from(&snapshot(100 * SIZE));
    bench.now += RTT;
    bench.round_start = bench.now.saturating_before(Duration::from_millis(10));
    let marked = Observed { ecn_ce: 1, ..bench.acknowledged(SIZE) };
    bench.controller.on_observed(&marked);
    assert!((bench.packets() - 50.0).abs() < 0.1, "{}", bench.packets());
    assert_eq!(bench.controller.events(), Events { ecn_ce: 1, ..Events::default() });

    let mut bench = competing();
    let (before, window) = (bench.controller.mode.inverse_delta(), bench.packets());
    bench.now += RTT;
    bench.round_start = bench.now;
    let marked = Observed { ecn_ce: 1, ..bench.acknowledged(SIZE) };
    bench.controller.on_observed(&marked);
    assert!(bench.controller.mode.inverse_delta() <= (before / 2 + THOUSAND).max(2000));
    assert!(bench.packets() > window * 0.9);
    assert_eq!(bench.controller.events().ecn_ce, 1);
}

#[test]
fn persistent_congestion_leaves_two_datagrams_and_slow_start() {
    let mut bench = Bench::from(&snapshot(100 * SIZE));
    let observed = Observed { lost_packets: 9, lost_bytes: 9 * SIZE, persistent_congestion: true, ..bench.observed() };
    assert_eq!(bench.controller.on_observed(&observed).congestion_window, 2 * SIZE);
    assert_eq!((bench.controller.state(), bench.controller.events().persistent), ("slow_start", 1));
}

#[test]
fn nothing_grows_while_the_application_is_the_limit() {
    let mut bench = Bench::from(&snapshot(100 * SIZE));
    for _ in 0..50 {
        bench.now += RTT;
        bench.round_start = bench.now.saturating_before(RTT);
        let observed = Observed { application_limited: true, ..bench.acknowledged(10 * SIZE) };
        bench.controller.on_observed(&observed);
        assert!((bench.packets() - 100.0).abs() < 0.01);
    }
}

#[test]
fn a_recovery_period_goes_on_and_nothing_grows_in_it() {
    let now = at_the_beginning();
    let before = Snapshot { recovery_start: Some(now), in_recovery: true, ..snapshot(100 * SIZE) };
    let mut bench = Bench::from(&before);
    assert_eq!(bench.controller.state(), "recovery");
    bench.now = now + RTT / 2;
    bench.round_start = now.saturating_before(RTT / 2);
    bench.controller.on_observed(&bench.acknowledged(50 * SIZE));
    assert!((bench.packets() - 100.0).abs() < 0.01, "{}", bench.packets());
    let snapshot = bench.controller.snapshot(bench.now);
    assert_eq!((snapshot.in_recovery, snapshot.recovery_start), (true, Some(now)));
    bench.round_start = now + Duration::from_nanos(1);
    bench.controller.on_observed(&bench.acknowledged(SIZE));
    assert_eq!(bench.controller.state(), "probe_bw");
}

#[test]
fn a_successor_takes_the_window_and_starts_with_the_snapshots_delays() {
    let mut bench = Bench::from(&snapshot(100 * SIZE));
    bench.round(10);
    let snapshot = bench.controller.snapshot(bench.now);
    let next = Copa::from_snapshot(&snapshot, bench.now, &defaults());
    assert_eq!(next.window().congestion_window, snapshot.congestion_window);
    assert_eq!((next.delays.minimum(), next.delays.standing()), (Some(RTT), Some(RTT)));
    assert_eq!(next.window().pacing_rate, bench.controller.window().pacing_rate);
}

#[test]
fn the_rate_is_twice_the_window_an_rtt_in_slow_start_and_a_quarter_more_than_it_later() {
    let mut bench = Bench::new();
    assert_eq!(bench.controller.window(), Window { congestion_window: 12_000, pacing_rate: 0, quantum: 65_536 });
    bench.round(1);
    // 20 packets in 50 ms, twice.
    let window = bench.controller.window();
    assert_eq!((window.pacing_rate, window.quantum), (2 * 20 * SIZE * 20, 2400));
    let later = Bench::from(&snapshot(100 * SIZE)).controller.window();
    assert_eq!(later.pacing_rate, 100 * SIZE * 20 * 5 / 4);
    let short = Snapshot { smoothed_rtt: Some(Duration::from_micros(999)), ..snapshot(100 * SIZE) };
    assert_eq!(Bench::from(&short).controller.window().pacing_rate, 0, "too short to be paced");
}

#[test]
fn delta_is_a_parameter() {
    let mut parameters = crate::Algorithm::COPA.with("delta", "0.1").unwrap();
    parameters = parameters.with("competitive", "off").unwrap();
    let mut bench = Bench::from(&snapshot(100 * SIZE));
    bench.controller = Copa::from_snapshot(&snapshot(100 * SIZE), bench.now, parameters.parameters());
    bench.round(10);
    assert!((bench.packets() - 110.0).abs() < 0.6, "{}", bench.packets());
}
