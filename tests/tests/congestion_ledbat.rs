//! LEDBAT++ over the simulated bottleneck: what draft-irtf-iccrg-ledbat-plus-plus promises.

use std::time::Duration;

use congestion::Algorithm;
use quicast_tests::congestion::{Path, SEEDS, for_grid};
use quicast_tests::{for_seeds, is_full};
use sim::{Discipline, Report, Source};

const TARGET: Duration = ms(60);

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn seeds(some: u64) -> u64 {
    if is_full() { SEEDS } else { some }
}

fn goodput(report: &Report, flow: usize, from: Duration) -> f64 {
    report.flows[flow].goodput_between(from, report.duration)
}

/// `GAIN`, with which Reno's one datagram a round trip is multiplied.
fn gain(round_trip: Duration) -> f64 {
    1.0 / (2.0 * TARGET.as_secs_f64() / round_trip.as_secs_f64()).ceil().min(16.0)
}

/// The slowdowns take a tenth at most (draft §4.4), so nine tenths remain where the queue has room for the target. Where it has not, it
/// is an AIMD that halves: with a queue of one BDP that keeps the path full, with half of one, three quarters of it at the least
/// moment; with a tenth, 0.55, and the slow way back after each slowdown that overflows the queue, which the short run counts in full.
#[test]
fn alone_it_fills_a_path_but_for_its_slowdowns() {
    for_grid(|path, seed| {
        let report = path.run_over(path.link(), vec![path.flow(Algorithm::LEDBAT)], path.duration() * 2, seed);
        let used = report.utilisation_between(path.settled(), report.duration);
        let least = match path.queue {
            // Below a millisecond nothing is paced: a window at once, up to 64 KiB, into a queue of less.
            _ if path.round_trip <= ms(1) && path.link().queue < 65_536 && path.megabits >= 1_000 => 0.2,
            queue if queue < 0.5 => 0.35,
            queue if queue < 1.0 => 0.7,
            // The longest: half of the overshoot of slow start, and then a datagram a round trip.
            _ if path.round_trip > ms(200) => 0.75,
            _ => 0.85,
        };
        assert!(used > least, "{path}: {used}");
    });
}

/// Draft §4.2: the queue stays about the target, and nothing is lost where it has room for that.
#[test]
fn the_queue_is_the_target_and_no_more() {
    for (rate, round_trip, queue) in [(10, 20, 6.0), (50, 10, 12.0), (100, 50, 4.0), (100, 1, 150.0)] {
        let path = Path::new(rate, round_trip, queue);
        for_seeds(seeds(3), |seed| {
            let report = path.run_over(path.link(), vec![path.flow(Algorithm::LEDBAT)], s(60), seed);
            let wait = &report.link.classic_wait;
            assert!((ms(40)..ms(62)).contains(&wait.mean()), "{path}: {:?}", wait.mean());
            assert!(wait.quantile(0.99) < ms(80), "{path}: {:?}", wait.quantile(0.99));
            assert_eq!(report.flows[0].declared_lost_packets, 0, "{path}");
            assert!(report.utilisation_between(s(10), s(60)) > 0.88, "{path}");
        });
    }
    let path = Path::new(50, 10, 12.0);
    let lower: Algorithm = "ledbat:target=20ms".parse().unwrap();
    let report = path.run_over(path.link(), vec![path.flow(lower)], s(30), 1);
    assert!(report.link.classic_wait.mean() < ms(22), "{:?}", report.link.classic_wait.mean());
}

#[test]
fn the_slowdowns_cost_a_tenth_at_most() {
    let path = Path::new(50, 20, 6.0);
    for_seeds(seeds(4), |seed| {
        let run = |algorithm: &str| {
            let flow = path.flow(algorithm.parse().unwrap());
            path.run_over(path.link(), vec![flow], s(120), seed).utilisation_between(s(5), s(120))
        };
        let (with, without) = (run("ledbat"), run("ledbat:slowdowns=off"));
        assert!(without > 0.99, "{without}");
        assert!(with > 0.9 * without, "{with} with, {without} without");
        assert!(run("ledbat:slowdown_interval=2") < with, "more often costs more");
    });
}

#[test]
fn equal_flows_get_equal_shares() {
    let path = Path::new(100, 20, 6.0);
    for flows in [2, 4, 16] {
        for_seeds(seeds(3), |seed| {
            let report = path.run_over(path.link(), vec![path.flow(Algorithm::LEDBAT); flows], s(60), seed);
            let fairness = report.fairness_between(s(20), s(60));
            assert!(fairness > 0.9, "{flows} flows: {fairness}");
            assert!(report.utilisation_between(s(20), s(60)) > 0.9);
        });
    }
}

/// Draft §3.2 and §4.4: who comes when another's queue stands takes it for the path, and starves the other. The slowdowns show both how
/// long the path is.
#[test]
fn the_slowdowns_take_the_latecomers_advantage_away() {
    let path = Path::new(20, 20, 8.0);
    for_seeds(seeds(3), |seed| {
        let fairness = |algorithm: &str| {
            let flow = path.flow(algorithm.parse().unwrap());
            let flows = vec![flow.clone(), flow.starting(s(20))];
            path.run_over(path.link(), flows, s(160), seed).fairness_between(s(100), s(160))
        };
        let (with, without) = (fairness("ledbat"), fairness("ledbat:slowdowns=off"));
        assert!(with > 0.9, "{with}");
        assert!(without < 0.7, "{without} without slowdowns");
    });
}

/// What it is for: a tenth of the link at most beside CUBIC, where the queue has room for the target and it has seen the path without
/// CUBIC's queue; and CUBIC is hardly slower than alone.
#[test]
fn it_gives_way_to_cubic() {
    for (rate, round_trip, queue) in [(20, 20, 5.0), (100, 50, 2.5), (10, 100, 1.5)] {
        let path = Path::new(rate, round_trip, queue);
        for (first, second) in [(0, 0), (20, 0)] {
            for_seeds(seeds(2), |seed| {
                let cubic = path.flow(Algorithm::CUBIC).starting(s(first));
                let flows = vec![path.flow(Algorithm::LEDBAT).starting(s(second)), cubic];
                let report = path.run_over(path.link(), flows, s(100), seed);
                let (ledbat, cubic) = (goodput(&report, 0, s(40)), goodput(&report, 1, s(40)));
                assert!(ledbat < 0.1 * path.rate(), "{path}, CUBIC at {first} s: {:.3}", ledbat / path.rate());
                assert!(cubic > 0.88 * path.rate(), "{path}, CUBIC at {first} s: {:.3}", cubic / path.rate());
            });
        }
    }
}

/// What the draft cannot cure: who comes when CUBIC's queue stands, and never sees the path without it, takes that queue for the path. It
/// still grows only by `GAIN` and loses half where CUBIC loses 0.3, so it gets well below an equal share.
#[test]
fn beside_a_cubic_that_was_there_first_it_gets_less_than_its_share() {
    let path = Path::new(20, 20, 5.0);
    for_seeds(seeds(6), |seed| {
        let flows = vec![path.flow(Algorithm::LEDBAT).starting(s(20)), path.flow(Algorithm::CUBIC)];
        let report = path.run_over(path.link(), flows, s(100), seed);
        let ledbat = goodput(&report, 0, s(40)) / path.rate();
        assert!(ledbat < 0.45, "{ledbat}");
    });
}

#[test]
fn it_takes_the_link_back_when_the_others_have_gone() {
    let path = Path::new(20, 20, 6.0);
    for_seeds(seeds(4), |seed| {
        let cubic = path.flow(Algorithm::CUBIC).starting(s(10)).stopping(s(30));
        let report = path.run_over(path.link(), vec![path.flow(Algorithm::LEDBAT), cubic], s(120), seed);
        let between = |from, to| report.flows[0].goodput_between(s(from), s(to)) / path.rate();
        assert!(between(20, 30) < 0.15, "{}", between(20, 30));
        // A sixth of a datagram each round trip: 140 datagrams take a minute of round trips of 20 to 80 ms.
        assert!(between(90, 120) > 0.85, "{}", between(90, 120));
    });
}

/// AIMD with an increase of `GAIN` and a decrease of a half: a mean window of `(1.5 GAIN / p)^0.5` datagrams, less what the slowdowns
/// take, and more where losses are so rare that slow start after a slowdown does the growing.
#[test]
fn random_loss_costs_it_what_the_gain_says() {
    for (loss, round_trip) in [(100, 20), (1_000, 20), (10_000, 20), (50_000, 20), (1_000, 100), (10_000, 100)] {
        let path = Path::new(1_000, round_trip, 1.0);
        for_seeds(seeds(3), |seed| {
            let link = path.link().with_random_loss(loss);
            let report = path.run_over(link, vec![path.flow(Algorithm::LEDBAT)], s(120), seed);
            let window = goodput(&report, 0, s(20)) * path.round_trip.as_secs_f64() / 1452.0;
            let expected = (1.5 * gain(path.round_trip) / f64::from(loss) * 1e6).sqrt();
            let off = window / expected;
            assert!((0.5..1.3).contains(&off), "{loss} in a million, {round_trip} ms: {window} for {expected}");
        });
    }
}

#[test]
fn marks_are_obeyed_as_losses_are() {
    let path = Path::new(20, 20, 6.0);
    for_seeds(seeds(4), |seed| {
        let link = path.link().with_discipline(Discipline::codel(true));
        let report = path.run_over(link, vec![path.flow(Algorithm::LEDBAT).with_ecn()], s(60), seed);
        let flow = &report.flows[0];
        assert!(flow.events.ecn_ce > 5 && flow.events.loss == 0, "{:?}", flow.events);
        assert!(report.link.classic_wait.mean() < ms(12), "{:?}", report.link.classic_wait.mean());
        assert!(report.utilisation_between(s(10), s(60)) > 0.75);
    });
}

#[test]
fn an_application_that_writes_little_does_not_inflate_the_window() {
    let path = Path::new(100, 20, 6.0);
    for_seeds(4, |seed| {
        let flow = path.flow(Algorithm::LEDBAT).with_source(Source::Rate(path.rate() as u64 / 10));
        let report = path.run_over(path.link(), vec![flow], s(30), seed);
        let window = report.flows[0].largest_window_between(s(10), s(30)) as f64;
        // A tenth of it is in flight once slow start has caught up with the application, and twice that at most before.
        assert!(window < 0.5 * path.product(), "{window} of {}", path.product());
        let delivered = goodput(&report, 0, s(10));
        assert!(delivered > 0.09 * path.rate(), "{delivered}");
    });
}

#[test]
fn after_a_pause_it_goes_on_without_a_burst_and_without_a_slowdown() {
    let path = Path::new(50, 20, 6.0);
    for_seeds(4, |seed| {
        let flow = path.flow(Algorithm::LEDBAT).with_source(Source::OnOff { on: s(4), off: s(4) });
        let report = path.run_over(path.link(), vec![flow], s(64), seed);
        let flow = &report.flows[0];
        assert_eq!(flow.declared_lost_packets, 0);
        assert!(report.link.classic_wait.quantile(0.99) < ms(80));
        // Pauses are slowdowns: after the first, the window is never frozen for long.
        let frozen: Duration =
            flow.state_times.iter().filter(|(state, _)| *state == "probe_rtt").map(|(_, time)| *time).sum();
        assert!(frozen < ms(600), "{frozen:?}");
        assert!(report.utilisation_between(s(16), s(64)) > 0.4);
    });
}

/// A path that becomes longer: the base delay of before is forgotten after ten minutes, and until then it gives way too much.
#[test]
fn a_longer_route_is_found_out_after_ten_minutes() {
    let path = Path::new(10, 20, 20.0);
    let longer = sim::Change { at: s(60), round_trip: Some(ms(120)), ..sim::Change::default() };
    let link = path.link().with_change(longer);
    let report = path.run_over(link, vec![path.flow(Algorithm::LEDBAT)], s(900), 1);
    let between = |from, to| report.utilisation_between(s(from), s(to));
    assert!(between(10, 60) > 0.88, "{}", between(10, 60));
    assert!(between(100, 600) < 0.5, "100 ms more look like a queue: {}", between(100, 600));
    assert!(between(800, 900) > 0.85, "{}", between(800, 900));
}

#[test]
fn a_swap_to_itself_costs_less_than_a_tenth_of_two_round_trips() {
    let path = Path::new(50, 20, 6.0);
    for_seeds(seeds(6), |seed| {
        let at = s(8) + ms(137 * seed);
        let rounds = (at, at + ms(160));
        let run = |swaps: bool| {
            let flow = path.flow(Algorithm::LEDBAT);
            let flow = if swaps { flow.swapping(at, Algorithm::LEDBAT) } else { flow };
            path.run_over(path.link(), vec![flow], s(12), seed).goodput_between(rounds.0, rounds.1)
        };
        let (with, without) = (run(true), run(false));
        assert!(with > 0.9 * without, "{with} for {without}");
    });
}

/// From CUBIC, whose least round trip may be of a queue, and back.
#[test]
fn it_takes_over_from_cubic_and_hands_back() {
    let path = Path::new(50, 20, 6.0);
    for_seeds(seeds(4), |seed| {
        let flow = path.flow(Algorithm::CUBIC);
        let flow = flow.swapping(s(10), Algorithm::LEDBAT).swapping(s(40), Algorithm::CUBIC);
        let report = path.run_over(path.link(), vec![flow], s(60), seed);
        for swap in &report.flows[0].swaps {
            assert!(swap.window_after <= swap.window_before, "{swap:?}");
            assert!(swap.sent_in_next_round <= swap.window_before + 20_000, "{swap:?}");
        }
        let between = |from, to| report.utilisation_between(s(from), s(to));
        assert!(between(5, 10) > 0.97 && between(15, 40) > 0.85 && between(45, 60) > 0.95);
        // The queue goes down to the target and comes back.
        let mean_rtt = |from: u64, to: u64| {
            let inside = report.flows[0].samples.iter().filter(|sample| (s(from)..s(to)).contains(&sample.at));
            let (count, sum) =
                inside.fold((0_u32, Duration::ZERO), |(count, sum), sample| (count + 1, sum + sample.smoothed_rtt));
            sum / count.max(1)
        };
        assert!(mean_rtt(5, 10) > ms(90) && mean_rtt(20, 40) < ms(85), "{:?} {:?}", mean_rtt(5, 10), mean_rtt(20, 40));
    });
}
