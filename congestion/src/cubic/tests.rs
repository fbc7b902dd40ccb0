use std::vec::Vec;

use proptest::prelude::*;

use super::curve::Curve;
use super::*;
use crate::RttView;
use crate::arithmetic::mul_div;

const DEFAULTS: Parameters = Parameters::defaults(Cubic::PARAMETERS);

const SEGMENT: u64 = 1200;
const RTT: Duration = Duration::from_millis(100);

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// W_cubic(t) straight from Figure 1 of RFC 9438, in segments and seconds.
fn formula(t: f64, saturation: f64, start: f64) -> f64 {
    let k = ((saturation - start) / 0.4).cbrt();
    0.4 * (t - k).powi(3) + saturation
}

/// A path with a fixed RTT whose application always has more to send: one turn a `step`, each acknowledging what that time carries.
struct Bench {
    controller: Cubic,
    now: Time,
    rtt: Duration,
}

impl Bench {
    fn new(window_segments: u64) -> Self {
        let now = Time::from_nanos(1_000_000_000);
        let initial_window = Some(window_segments * SEGMENT);
        let conditions =
            InitialConditions { datagram_size: SEGMENT as u16, initial_window, now, ..InitialConditions::default() };
        let controller = Cubic::new(&conditions, &DEFAULTS);
        Self { controller, now, rtt: RTT }
    }

    /// In congestion avoidance just after a reduction from that window.
    fn reduced_from(window_segments: u64) -> Self {
        let mut bench = Self::new(window_segments);
        bench.lose(1);
        bench.now += bench.rtt;
        bench.acknowledge(SEGMENT); // ends the recovery period
        assert_eq!(bench.controller.state(), "congestion_avoidance");
        bench
    }

    fn observed(&self) -> Observed {
        let window = self.controller.window().congestion_window;
        Observed {
            now: self.now,
            rtt: RttView { latest: self.rtt, smoothed: self.rtt, variation: self.rtt / 8, minimum: self.rtt },
            prior_in_flight: window,
            bytes_in_flight: window,
            datagram_size: SEGMENT as u16,
            ..Observed::default()
        }
    }

    fn acknowledged(&self, bytes: u64) -> Observed {
        Observed {
            acknowledged_bytes: bytes,
            acknowledged_packets: bytes.div_ceil(SEGMENT),
            // Of packets sent since the last reduction, if there was time for that.
            largest_acknowledged_sent_at: Some(self.now.saturating_before(self.rtt - Duration::from_nanos(1))),
            rtt_sample: Some(self.rtt),
            ..self.observed()
        }
    }

    fn acknowledge(&mut self, bytes: u64) -> Window {
        let observed = self.acknowledged(bytes);
        self.controller.on_observed(&observed)
    }

    /// Packets sent a moment ago are lost.
    fn lose(&mut self, packets: u64) -> Window {
        let observed = Observed {
            lost_packets: packets,
            lost_bytes: packets * SEGMENT,
            largest_lost_sent_at: Some(self.now.saturating_before(Duration::from_nanos(1))),
            ..self.observed()
        };
        self.controller.on_observed(&observed)
    }

    /// One turn each `step`.
    fn run(&mut self, for_: Duration, step: Duration) {
        let end = self.now + for_;
        while self.now < end {
            self.now += step;
            let window = self.controller.window().congestion_window;
            self.acknowledge(mul_div(window, step.as_nanos() as u64, self.rtt.as_nanos() as u64));
        }
    }

    fn segments(&self) -> f64 {
        self.controller.shape.window as f64 / f64::from(1 << FRACTION_BITS) / SEGMENT as f64
    }
}

#[test]
fn the_curve_passes_through_the_points_of_the_formula() {
    for (saturation, start) in [(100, 70), (1000, 700), (20, 14), (100_000, 70_000)] {
        let curve = Curve::new(start * SEGMENT, saturation * SEGMENT, SEGMENT as u16);
        for t in [0.0, 0.1, 1.0, 2.5, 4.217, 10.0, 60.0] {
            let expected = formula(t, saturation as f64, start as f64) * SEGMENT as f64;
            let actual = curve.window_at(seconds(t)) as f64;
            assert!((actual - expected).abs() <= 1.0 + expected * 1e-5, "{saturation} at {t}: {actual} for {expected}");
        }
    }
}

#[test]
fn k_for_a_hundred_segments_is_the_cube_root_of_seventy_five() {
    // W_max 100, cwnd_epoch 70: K = cbrt(30 / 0.4) = cbrt(75) = 4.217 s; there W_cubic is W_max.
    let curve = Curve::new(70 * SEGMENT, 100 * SEGMENT, SEGMENT as u16);
    assert_eq!(curve.window_at(seconds(75_f64.cbrt())), 100 * SEGMENT);
    assert!(curve.window_at(seconds(4.0)) < 100 * SEGMENT);
    assert!(curve.window_at(seconds(5.0)) > 100 * SEGMENT);
}

#[test]
fn a_curve_without_a_saturation_window_starts_on_its_plateau() {
    let curve = Curve::new(50 * SEGMENT, 0, SEGMENT as u16);
    assert_eq!(curve.window_at(Duration::ZERO), 50 * SEGMENT);
    assert_eq!(curve.window_at(seconds(10.0)), 450 * SEGMENT); // 50 + 0.4 * 1000
}

#[test]
fn loss_leaves_seven_tenths_and_only_once_in_a_round_trip() {
    let mut bench = Bench::new(100);
    assert_eq!(bench.lose(1).congestion_window, 70 * SEGMENT);
    assert_eq!(bench.controller.state(), "recovery");
    bench.now += Duration::from_millis(10);
    let old =
        Observed { largest_lost_sent_at: Some(bench.now.saturating_before(RTT)), lost_packets: 5, ..bench.observed() };
    assert_eq!(bench.controller.on_observed(&old).congestion_window, 70 * SEGMENT);
    assert_eq!(bench.controller.events().loss, 1);
    bench.now += RTT;
    assert_eq!(bench.lose(1).congestion_window, 49 * SEGMENT);
}

#[test]
fn a_mark_reduces_as_a_loss_does_and_only_once_in_a_round_trip() {
    let mut bench = Bench::new(100);
    bench.now += RTT;
    let marked = Observed { ecn_ce: 1, ..bench.acknowledged(SEGMENT) };
    assert_eq!(bench.controller.on_observed(&marked).congestion_window, 70 * SEGMENT);
    bench.now += RTT / 2;
    let again = Observed { ecn_ce: 7, ..bench.acknowledged(SEGMENT) };
    assert_eq!(bench.controller.on_observed(&again).congestion_window, 70 * SEGMENT);
    bench.now += RTT;
    let later = Observed { ecn_ce: 1, ..bench.acknowledged(SEGMENT) };
    assert_eq!(bench.controller.on_observed(&later).congestion_window, 49 * SEGMENT);
    assert_eq!(bench.controller.events(), Events { ecn_ce: 2, ..Events::default() });
}

#[test]
fn fast_convergence_lowers_the_plateau_when_saturation_comes_earlier() {
    let mut bench = Bench::reduced_from(100);
    assert_eq!(bench.controller.shape.saturation, 100 * SEGMENT);
    bench.now += RTT;
    bench.lose(1); // at 70, below W_max
    assert_eq!(bench.controller.shape.saturation, curve::converge(70 * SEGMENT));
}

#[test]
fn the_window_follows_the_curve_concave_then_convex() {
    // Large enough not to be Reno's: 10,000 segments, K = cbrt(3000 / 0.4) = 19.57 s.
    let mut bench = Bench::reduced_from(10_000);
    let step = Duration::from_millis(5);
    bench.run(step, step); // the stage begins with its first growth
    let mut growth = Vec::new();
    for second in 1..=30 {
        let before = bench.segments();
        bench.run(Duration::from_secs(1), step);
        growth.push(bench.segments() - before);
        let expected = formula(f64::from(second), 10_000.0, 7_000.0);
        let off = (bench.segments() - expected).abs() / expected;
        assert!(off < 0.01, "after {second} s: {} for {expected}", bench.segments());
        let region = if bench.segments() < 10_000.0 { Region::Concave } else { Region::Convex };
        assert_eq!(bench.controller.region(), Some(region), "after {second} s");
    }
    assert!(growth[..18].windows(2).all(|pair| pair[1] < pair[0]), "concave grows ever more slowly: {growth:?}");
    assert!(growth[20..].windows(2).all(|pair| pair[1] > pair[0]), "convex grows ever faster: {growth:?}");
}

#[test]
fn batches_grow_the_window_as_single_packets_do() {
    for segments in [50, 500, 5_000] {
        let mut fine = Bench::reduced_from(segments);
        let mut coarse = Bench::reduced_from(segments);
        fine.run(Duration::from_secs(20), Duration::from_millis(2));
        coarse.run(Duration::from_secs(20), RTT);
        let (fine, coarse) = (fine.segments(), coarse.segments());
        assert!((fine - coarse).abs() / fine < 0.02, "{segments}: {fine} packet by packet, {coarse} in batches");
    }
}

#[test]
fn small_windows_grow_as_reno_would() {
    // Reno-friendly: 9/17 segments a round trip until the old window is reached, then one.
    let mut bench = Bench::reduced_from(20);
    bench.rtt = Duration::from_millis(10);
    bench.run(Duration::from_millis(50), Duration::from_millis(1));
    assert_eq!(bench.controller.region(), Some(Region::RenoFriendly));
    assert!((bench.segments() - (14.0 + 5.0 * 9.0 / 17.0)).abs() < 0.2, "{}", bench.segments());
    bench.run(Duration::from_millis(100), Duration::from_millis(1));
    assert!(bench.segments() > 19.0 && bench.controller.region() == Some(Region::RenoFriendly));
    bench.run(Duration::from_millis(20), Duration::from_millis(1));
    let before = bench.segments();
    bench.run(Duration::from_millis(100), Duration::from_millis(1));
    assert!((bench.segments() - before - 10.0).abs() < 0.3, "{} after {before}", bench.segments());
}

#[test]
fn one_window_of_acknowledgements_never_grows_by_more_than_half() {
    let mut bench = Bench::reduced_from(100);
    bench.acknowledge(SEGMENT);
    // A stage that has lasted an hour is far up the curve.
    bench.now += Duration::from_secs(3600);
    let before = bench.segments();
    bench.acknowledge(before as u64 * SEGMENT);
    assert!(bench.segments() <= before * 1.65, "{} after {before}", bench.segments());
}

#[test]
fn nothing_grows_while_the_application_is_the_limit_and_time_stands_still() {
    let mut bench = Bench::reduced_from(1_000);
    bench.run(Duration::from_secs(1), Duration::from_millis(10));
    let before = (bench.segments(), bench.controller.shape.stage.unwrap().elapsed);
    for _ in 0..1_000 {
        bench.now += Duration::from_millis(10);
        let observed = Observed { application_limited: true, ..bench.acknowledged(10 * SEGMENT) };
        bench.controller.on_observed(&observed);
    }
    assert_eq!((bench.segments(), bench.controller.shape.stage.unwrap().elapsed), before);
    // Ten seconds later it goes on where it was, not ten seconds up the curve.
    bench.run(Duration::from_millis(100), Duration::from_millis(10));
    assert!(bench.segments() - before.0 < 20.0, "{} after {}", bench.segments(), before.0);
}

#[test]
fn a_pause_is_no_time_on_the_curve() {
    let mut bench = Bench::reduced_from(1_000);
    bench.run(Duration::from_secs(1), Duration::from_millis(10));
    let elapsed = bench.controller.shape.stage.unwrap().elapsed;
    let idle = Observed { bytes_in_flight: 0, ..bench.acknowledged(SEGMENT) };
    bench.controller.on_observed(&idle);
    bench.now += Duration::from_secs(3600);
    bench.acknowledge(100 * SEGMENT);
    assert_eq!(bench.controller.shape.stage.unwrap().elapsed, elapsed + RTT);
}

#[test]
fn a_window_that_is_not_used_does_not_grow_even_if_nobody_says_so() {
    let mut bench = Bench::new(10);
    for _ in 0..100 {
        bench.now += RTT;
        let observed = Observed { prior_in_flight: 5 * SEGMENT, ..bench.acknowledged(5 * SEGMENT) };
        bench.controller.on_observed(&observed);
    }
    assert_eq!(bench.segments(), 10.0);
}

#[test]
fn slow_start_doubles_in_a_round_trip_however_it_is_batched() {
    let mut bench = Bench::new(10);
    bench.now += RTT;
    bench.acknowledge(10 * SEGMENT);
    assert_eq!(bench.segments(), 20.0);
    for _ in 0..20 {
        bench.now += RTT / 20;
        bench.acknowledge(SEGMENT);
    }
    assert_eq!(bench.segments(), 40.0);
}

#[test]
fn a_reduction_is_taken_back_when_all_that_was_lost_arrives() {
    let mut bench = Bench::reduced_from(1_000);
    bench.run(Duration::from_secs(3), Duration::from_millis(10));
    let before = bench.controller.clone();
    bench.lose(3);
    bench.now += Duration::from_millis(50);
    let two = Observed { spurious: 2, ..bench.acknowledged(2 * SEGMENT) };
    bench.controller.on_observed(&two);
    assert_eq!(bench.controller.state(), "recovery", "one is still missing");
    let third = Observed { spurious: 1, largest_acknowledged_sent_at: None, ..bench.acknowledged(0) };
    bench.controller.on_observed(&third);
    assert_eq!(bench.controller.shape.window, before.shape.window);
    assert_eq!(bench.controller.shape.slow_start_threshold, before.shape.slow_start_threshold);
    assert_eq!(bench.controller.shape.saturation, before.shape.saturation);
    assert_eq!(bench.controller.recovery, before.recovery);
    assert_eq!(bench.controller.events().spurious_undo, 1);
}

#[test]
fn a_reduction_for_marks_or_real_losses_is_not_taken_back() {
    let mut bench = Bench::new(100);
    bench.lose(2);
    bench.now += Duration::from_millis(10);
    let marked = Observed { ecn_ce: 1, ..bench.observed() };
    bench.controller.on_observed(&marked);
    let all = Observed { spurious: 2, ..bench.observed() };
    assert_eq!(bench.controller.on_observed(&all).congestion_window, 70 * SEGMENT);

    let mut bench = Bench::new(100);
    bench.lose(2);
    let one = Observed { spurious: 1, ..bench.observed() };
    assert_eq!(bench.controller.on_observed(&one).congestion_window, 70 * SEGMENT);
}

#[test]
fn persistent_congestion_leaves_two_datagrams_and_slow_start_up_to_the_threshold() {
    let mut bench = Bench::new(100);
    let lost = Observed {
        lost_packets: 50,
        largest_lost_sent_at: Some(bench.now),
        persistent_congestion: true,
        ..bench.observed()
    };
    bench.now += RTT;
    assert_eq!(bench.controller.on_observed(&lost).congestion_window, 2 * SEGMENT);
    assert_eq!(bench.controller.state(), "slow_start");
    for _ in 0..6 {
        bench.now += RTT;
        let window = bench.controller.window().congestion_window;
        bench.acknowledge(window);
    }
    assert_eq!((bench.controller.state(), bench.segments()), ("congestion_avoidance", 70.0));
    // The first stage after it starts on its plateau: K = 0.
    bench.now += RTT;
    bench.acknowledge(SEGMENT);
    assert_eq!(bench.controller.shape.saturation, 70 * SEGMENT);
}

#[test]
fn hystart_leaves_slow_start_when_the_rtt_grows_and_nothing_is_lost() {
    let mut bench = Bench::new(10);
    bench.rtt = Duration::from_millis(50);
    let mut rounds = 0;
    while bench.controller.in_slow_start() {
        bench.run(bench.rtt, bench.rtt / 10);
        rounds += 1;
        assert!(rounds < 30, "still in slow start at {} segments", bench.segments());
        if rounds >= 3 {
            bench.rtt += Duration::from_millis(10);
        }
    }
    assert_eq!(bench.controller.events(), Events::default());
    assert_eq!(bench.controller.state(), "congestion_avoidance");
    assert_eq!(bench.controller.shape.slow_start_threshold, bench.controller.shape.prior_window);
}

#[test]
fn a_snapshot_of_slow_start_goes_on_in_slow_start_and_one_after_loss_does_not() {
    let bench = Bench::new(100);
    let successor = Cubic::from_snapshot(&bench.controller.snapshot(bench.now), bench.now, &DEFAULTS);
    assert_eq!((successor.state(), successor.window()), ("slow_start", bench.controller.window()));

    let bench = Bench::reduced_from(100);
    let successor = Cubic::from_snapshot(&bench.controller.snapshot(bench.now), bench.now, &DEFAULTS);
    assert_eq!((successor.state(), successor.window()), ("congestion_avoidance", bench.controller.window()));
    assert_eq!(successor.shape.saturation, 100 * SEGMENT);
}

#[test]
fn a_successor_respects_the_recovery_period_under_way() {
    let mut bench = Bench::new(100);
    bench.lose(1);
    bench.controller = Cubic::from_snapshot(&bench.controller.snapshot(bench.now), bench.now, &DEFAULTS);
    assert_eq!(bench.controller.state(), "recovery");
    let covered = Observed { largest_lost_sent_at: Some(bench.now), lost_packets: 9, ..bench.observed() };
    assert_eq!(bench.controller.on_observed(&covered).congestion_window, 70 * SEGMENT);
    let old = Observed { largest_acknowledged_sent_at: Some(bench.now), ..bench.acknowledged(50 * SEGMENT) };
    assert_eq!(bench.controller.on_observed(&old).congestion_window, 70 * SEGMENT);
    bench.now += RTT;
    bench.acknowledge(SEGMENT);
    assert_eq!(bench.controller.state(), "congestion_avoidance");
}

#[test]
fn the_initial_window_follows_the_datagram_size_until_something_is_acknowledged() {
    let conditions = InitialConditions { datagram_size: 1200, ..InitialConditions::default() };
    let mut controller = Cubic::new(&conditions, &DEFAULTS);
    assert_eq!(controller.window().congestion_window, 12_000);
    assert_eq!(controller.on_datagram_size(1452).congestion_window, 14_520);
    assert_eq!(controller.on_datagram_size(9000).congestion_window, 18_000);
    let mut bench = Bench::new(10);
    bench.now += RTT;
    bench.acknowledge(10 * SEGMENT);
    assert_eq!(bench.controller.on_datagram_size(1452).congestion_window, 24_000);
}

proptest! {
    #[test]
    fn the_curve_never_falls_and_never_overflows(window: u64, saturation: u64, size: u16, times: [u64; 8]) {
        let curve = Curve::new(window, saturation, size);
        let mut times = times;
        times.sort_unstable();
        let windows: Vec<u64> = times.iter().map(|time| curve.window_at(Duration::from_micros(*time))).collect();
        prop_assert!(windows.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn more_acknowledged_never_means_a_smaller_window(segments in 2_u64..5_000, age in 0_u64..100, less in 0_u64..6_000_000, more in 0_u64..6_000_000) {
        let mut bench = Bench::reduced_from(segments);
        bench.acknowledge(SEGMENT);
        bench.now += Duration::from_secs(age);
        let mut other = Bench { controller: bench.controller.clone(), now: bench.now, rtt: bench.rtt };
        let small = bench.acknowledge(less.min(more)).congestion_window;
        let large = other.acknowledge(less.max(more)).congestion_window;
        prop_assert!(small <= large + SEGMENT, "{small} > {large}");
    }
}
