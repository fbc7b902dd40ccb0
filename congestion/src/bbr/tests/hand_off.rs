//! The hand-off: what becomes of each field of a snapshot, both ways.

use super::path::{LINK, Path, SIZE};
use super::*;
use crate::window::MAXIMUM_WINDOW;
use crate::{Algorithm, Cubic};

/// CUBIC in congestion avoidance at 100,000 bytes, on a path of 1 MB/s and 50 ms.
fn of_cubic() -> Snapshot {
    Snapshot {
        taken_at: at(5000),
        controller: Cubic::NAME,
        congestion_window: 100_000,
        slow_start_threshold: Some(70_000),
        saturation_window: Some(120_000),
        smoothed_rtt: Some(ms(80)),
        minimum_rtt: Some(ms(50)),
        bandwidth: 1_000_000,
        pacing_rate: 1_562_500,
        datagram_size: SIZE as u16,
        seed: 3,
        ..Snapshot::default()
    }
}

fn from(snapshot: &Snapshot) -> Bbr {
    Bbr::from_snapshot(snapshot, at(5000), &DEFAULTS)
}

#[test]
fn from_congestion_avoidance_it_begins_in_probe_bw_with_the_model_of_the_snapshot() {
    let bbr = from(&of_cubic());
    assert_eq!((bbr.phase(), bbr.state()), (Phase::Down, "probe_bw"));
    assert_eq!((bbr.maximum_bandwidth(), bbr.minimum_rtt()), (1_000_000, Some(ms(50))));
    assert_eq!(bbr.inflight_longterm(), Some(120_000));
    assert_eq!(bbr.inflight_shortterm(), None, "another's threshold is no bound of BBR's");
    assert_eq!(bbr.window().congestion_window, 100_000);
    // 90 % of the bandwidth, less the margin: no burst.
    assert_eq!(bbr.window().pacing_rate, 891_000);
    assert!(bbr.full_pipe.reached, "it does not look for the capacity again");
}

#[test]
fn without_a_bandwidth_it_is_the_window_over_the_rtt() {
    let bbr = from(&Snapshot { bandwidth: 0, ..of_cubic() });
    assert_eq!((bbr.phase(), bbr.maximum_bandwidth()), (Phase::Down, 1_250_000));
    // And of nothing at all it must begin to look, but with no more than it was given.
    let bbr = from(&Snapshot { bandwidth: 0, smoothed_rtt: None, minimum_rtt: None, ..of_cubic() });
    assert_eq!((bbr.phase(), bbr.window().congestion_window), (Phase::Startup, 100_000));
}

#[test]
fn from_slow_start_it_begins_in_startup() {
    let snapshot = Snapshot { in_slow_start: true, slow_start_threshold: None, saturation_window: None, ..of_cubic() };
    let bbr = from(&snapshot);
    assert_eq!((bbr.phase(), bbr.maximum_bandwidth()), (Phase::Startup, 1_000_000));
    assert_eq!(bbr.window().congestion_window, 100_000);
    assert!(!bbr.full_pipe.reached && bbr.snapshot(at(5000)).in_slow_start);
}

#[test]
fn a_saturation_window_below_the_window_says_nothing_any_more() {
    assert_eq!(from(&Snapshot { saturation_window: Some(99_999), ..of_cubic() }).inflight_longterm(), None);
    assert_eq!(from(&Snapshot { saturation_window: None, ..of_cubic() }).inflight_longterm(), None);
}

#[test]
fn a_recovery_period_goes_on() {
    let snapshot = Snapshot { recovery_start: Some(at(4990)), in_recovery: true, ..of_cubic() };
    let mut bbr = from(&snapshot);
    assert!(bbr.recovery.is_under_way());
    let lost = Observed {
        now: at(5001),
        lost_packets: 1,
        lost_bytes: SIZE,
        largest_lost_sent_at: Some(at(4980)),
        datagram_size: SIZE as u16,
        ..Observed::default()
    };
    bbr.on_observed(&lost);
    assert_eq!(bbr.recovery.start(), Some(at(4990)), "what was sent before it is covered by it");
    assert_eq!(bbr.snapshot(at(5001)).recovery_start, Some(at(4990)));
}

#[test]
fn it_hands_over_what_the_path_carried_and_not_twice_that() {
    let mut path = Path::new(LINK);
    path.until_phase(Duration::from_secs(10), Phase::Cruise);
    path.run(ms(300));
    let (window, bdp) = (path.bbr.window().congestion_window, path.bbr.bdp(1000));
    let snapshot = path.bbr.snapshot(path.now);
    assert!(window >= 2 * bdp && snapshot.congestion_window < window * 6 / 10, "{snapshot:?} of {window}");
    assert!(snapshot.congestion_window >= bdp);
    assert_eq!((snapshot.bandwidth, snapshot.minimum_rtt), (path.bbr.maximum_bandwidth(), path.bbr.minimum_rtt()));
    assert_eq!(
        (snapshot.slow_start_threshold, snapshot.saturation_window, snapshot.in_slow_start),
        (None, None, false)
    );
    assert_eq!(snapshot.pacing_rate, path.bbr.window().pacing_rate);
}

#[test]
fn its_own_bounds_survive_a_swap_to_itself_and_do_not_sink_with_each() {
    let mut path = Path::new(path::Link { queue: 30_000, ..LINK });
    path.until(Duration::from_secs(20), |path| {
        path.bbr.phase() == Phase::Cruise && path.bbr.inflight_longterm().is_some()
    });
    path.link.loses_every = 60;
    path.until(Duration::from_secs(5), |path| path.bbr.inflight_shortterm().is_some());
    let before = path.bbr.clone();
    for _ in 0..1000 {
        let snapshot = path.bbr.snapshot(path.now);
        path.bbr = Bbr::from_snapshot(&snapshot, path.now, &DEFAULTS);
    }
    assert_eq!(path.bbr.phase(), Phase::Cruise);
    assert_eq!(path.bbr.inflight_shortterm(), before.inflight_shortterm());
    assert_eq!(path.bbr.inflight_longterm(), before.inflight_longterm());
    assert!(path.bbr.bw_shortterm.abs_diff(before.bw_shortterm) * 1000 < before.bw_shortterm, "{:?}", path.bbr);
    assert!(path.bbr.window().pacing_rate.abs_diff(before.window().pacing_rate) * 1000 < before.window().pacing_rate);
}

#[test]
fn a_swap_to_itself_costs_less_than_a_tenth_of_two_rounds() {
    for phase in [Phase::Down, Phase::Cruise, Phase::Refill, Phase::Up] {
        let run = |swaps: bool| {
            let mut path = Path::new(LINK);
            path.until_phase(Duration::from_secs(10), phase);
            path.run(ms(20));
            if swaps {
                let snapshot = path.bbr.snapshot(path.now);
                path.bbr = Bbr::from_snapshot(&snapshot, path.now, &DEFAULTS);
            }
            path.run(LINK.rtt * 2)
        };
        let (with, without) = (run(true), run(false));
        assert!(with > without * 0.9, "{phase:?}: {with} for {without}");
    }
}

#[test]
fn lots_are_not_drawn_twice() {
    let mut first = from(&of_cubic());
    let mut second = Bbr::from_snapshot(&of_cubic(), at(5001), &DEFAULTS);
    assert_ne!(first.chance.next(), second.chance.next());
}

#[test]
fn the_window_is_within_its_bounds_whatever_the_snapshot() {
    for congestion_window in [0, 1, 2400, u64::MAX] {
        for bandwidth in [0, 1, u64::MAX] {
            for minimum_rtt in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
                let snapshot = Snapshot {
                    congestion_window,
                    bandwidth,
                    minimum_rtt,
                    saturation_window: Some(u64::MAX),
                    slow_start_threshold: Some(0),
                    controller: Bbr::NAME,
                    ..of_cubic()
                };
                let mut bbr = from(&snapshot);
                let expected = congestion_window.clamp(2 * SIZE, MAXIMUM_WINDOW);
                assert_eq!(bbr.window().congestion_window, expected);
                let turn = Observed {
                    now: at(5100),
                    acknowledged_bytes: SIZE,
                    acknowledged_packets: 1,
                    ..Observed::default()
                };
                let window = bbr.on_observed(&turn);
                assert!((2 * SIZE..=MAXIMUM_WINDOW).contains(&window.congestion_window) && window.pacing_rate > 0);
            }
        }
    }
}

#[test]
fn others_follow_it_in_congestion_avoidance() {
    let mut path = Path::new(LINK);
    path.until_phase(Duration::from_secs(10), Phase::Cruise);
    path.run(ms(300));
    let snapshot = path.bbr.snapshot(path.now);
    for algorithm in [Algorithm::CUBIC, Algorithm::NEW_RENO] {
        let next = algorithm.start_from(&snapshot, path.now);
        assert_eq!(
            (next.state(), next.window().congestion_window),
            ("congestion_avoidance", snapshot.congestion_window)
        );
    }
}
