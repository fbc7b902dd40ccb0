//! Prague over the simulated bottleneck: what RFC 9331 and draft-briscoe-iccrg-prague-congestion-control promise.

use std::sync::Mutex;
use std::time::Duration;

use congestion::Algorithm;
use quicast_tests::congestion::{Path, SEEDS, for_grid, seeds_for};
use quicast_tests::{for_seeds, is_full};
use sim::{Discipline, Flow, Link, Report, Source};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The L4S link of a path: DualPI2 with the constants of RFC 9332, and a tenth of a second of queue.
fn l4s(path: &Path) -> Link {
    let queue = (path.rate() / 10.0) as u64;
    path.link().with_discipline(Discipline::dual_queue()).with_queue(queue)
}

fn prague(path: &Path) -> Flow {
    path.flow(Algorithm::PRAGUE).with_ecn()
}

fn share(report: &Report, flow: usize, from: Duration) -> f64 {
    report.flows[flow].goodput_between(from, report.duration)
}

/// Where nothing marks it is CUBIC, so 0.7 of the window and what the queue holds remain after a loss: with half a BDP of queue that
/// is the whole path, with a tenth it is 0.77 of it, and on the way back the mean is at least 0.885; a twentieth is for noise. A queue
/// of a few datagrams overflows with the burst that a single acknowledgement releases, whatever it is in round trips.
#[test]
fn it_fills_a_path_that_does_not_mark() {
    for_grid(|path, seed| {
        let report = path.run(vec![path.flow(Algorithm::PRAGUE)], seed);
        let used = path.used(&report);
        let queue = path.link().queue;
        let least = match path.queue {
            // Below a millisecond nothing is paced: a window at once, up to 64 KiB, into a queue of less.
            _ if path.round_trip <= ms(1) && queue < 65_536 && path.megabits >= 1_000 => 0.2,
            share if share < 0.5 || queue < 8 * u64::from(path.datagram_size()) => 0.84,
            _ => 0.97,
        };
        assert!(used > least, "{path}: {used}");
    });
}

/// RFC 9330 §5.1 and the draft's aim: full throughput with less than a millisecond of queue on average and 2 ms for 99 of a
/// hundred packets, as long as a datagram takes well below a millisecond.
#[test]
fn it_fills_an_l4s_link_with_less_than_two_milliseconds_of_queue() {
    let rates: &[u64] = if is_full() { &[40, 100, 1_000, 10_000] } else { &[40, 100] };
    for rate in rates {
        for round_trip in [1, 5, 20, 50] {
            let path = Path::new(*rate, round_trip, 4.0);
            // After the first mark has halved a window of thousands of datagrams, CUBIC's way back takes its time (K of RFC 9438).
            let duration = path.duration() * if path.megabits >= 1_000 { 8 } else { 3 };
            for_seeds(seeds_for(3 * path.packets()), |seed| {
                let report = path.run_over(l4s(&path), vec![prague(&path)], duration, seed);
                let used = report.utilisation_between(duration / 2, duration);
                let wait = &report.link.low_latency_wait;
                assert!(used > 0.97, "{path}: {used}");
                assert!(wait.mean() < ms(1) && wait.quantile(0.99) < ms(2), "{path}: {wait:?}");
                assert_eq!(report.flows[0].declared_lost_packets, 0, "{path}");
            });
        }
    }
}

/// A long path: found after the first mark by what the draft leaves open (growth as CUBIC's where nothing is marked).
#[test]
fn it_finds_a_long_path_again_that_the_first_mark_made_it_leave() {
    let path = Path::new(100, 300, 1.0);
    for_seeds(3, |seed| {
        let report = path.run_over(l4s(&path), vec![prague(&path)], s(90), seed);
        let used = report.utilisation_between(s(50), s(90));
        assert!(used > 0.95, "{used}");
        // Of all packets, the overshoot of slow start is more than a hundredth here: it takes a round trip to hear of.
        assert!(
            report.link.low_latency_wait.quantile(0.95) < ms(2),
            "{:?}",
            report.link.low_latency_wait.quantile(0.95)
        );
    });
}

#[test]
fn equal_flows_get_equal_shares() {
    let path = Path::new(100, 20, 1.0);
    for flows in [2, 4, 16] {
        for_seeds(if is_full() { SEEDS } else { 4 }, |seed| {
            let report = path.run_over(l4s(&path), vec![prague(&path); flows], s(20), seed);
            let fairness = report.fairness_between(s(8), s(20));
            assert!(fairness > 0.98, "{flows} flows, marked: {fairness}");
            assert!(report.utilisation_between(s(8), s(20)) > 0.95);
            // Where nothing marks, CUBIC's sawtooth of five seconds evens out over several of them.
            let report = path.run_over(path.link(), vec![path.flow(Algorithm::PRAGUE); flows], s(45), seed);
            let fairness = report.fairness_between(s(15), s(45));
            assert!(fairness > 0.9, "{flows} flows, dropped: {fairness}");
            assert!(report.utilisation_between(s(15), s(45)) > 0.97);
        });
    }
}

/// Sixteen flows add sixteen datagrams each round trip, 0.5 ms of 400 Mbit/s.
#[test]
fn many_flows_keep_the_queue_short_as_well() {
    let path = Path::new(400, 20, 1.0);
    for_seeds(if is_full() { SEEDS } else { 2 }, |seed| {
        let report = path.run_over(l4s(&path), vec![prague(&path); 16], s(10), seed);
        assert!(report.link.low_latency_wait.quantile(0.99) < ms(2), "{:?}", report.link.low_latency_wait);
        assert!(report.utilisation_between(s(3), s(10)) > 0.95);
    });
}

/// RFC 9331 §4.3: the share of a link should not depend on the round trip below 25 ms. By their own round trips, the two
/// flows' shares would be as five to one.
#[test]
fn flows_of_five_and_of_twenty_five_milliseconds_get_the_same() {
    for rate in [40, 200] {
        let path = Path::new(rate, 5, 1.0);
        for_seeds(if is_full() { SEEDS } else { 3 }, |seed| {
            let ratio = |algorithm: Algorithm| {
                let flow = path.flow(algorithm).with_ecn();
                let flows = vec![flow.clone(), flow.farther(ms(20))];
                let report = path.run_over(l4s(&path), flows, s(40), seed);
                share(&report, 0, s(15)) / share(&report, 1, s(15))
            };
            let (virtual_rtt, own) = (ratio(Algorithm::PRAGUE), ratio("prague:virtual_rtt=0".parse().unwrap()));
            assert!((0.55..1.8).contains(&virtual_rtt), "{path}: {virtual_rtt}");
            assert!(own > 2.0 * virtual_rtt, "{path}: {virtual_rtt}, and {own} without");
        });
    }
}

/// RFC 9331 §4.3: in a queue that drops it must coexist with classic flows. It answers as CUBIC does there, but with bursts of 250 µs
/// where CUBIC lets ten datagrams leave at once, so it loses less often: it gets about twice as much (the geometric mean). Single
/// runs, in which one of two sawtooths happens to meet all the drops for a minute, are far off.
#[test]
fn in_a_queue_that_drops_it_shares_with_cubic() {
    let seeds = if is_full() { SEEDS } else { 3 };
    let paths = [(20, 20, 1.0), (50, 50, 1.0), (100, 10, 2.0), (20, 100, 0.5)];
    let logarithms = Mutex::new(Vec::new());
    for (rate, round_trip, queue) in paths {
        let path = Path::new(rate, round_trip, queue);
        for_seeds(seeds, |seed| {
            let flows = vec![path.flow(Algorithm::PRAGUE), path.flow(Algorithm::CUBIC)];
            let report = path.run_over(path.link(), flows, s(90), seed);
            let ratio = share(&report, 0, s(20)) / share(&report, 1, s(20));
            assert!((0.5..30.0).contains(&ratio), "{path}: {ratio}");
            logarithms.lock().unwrap().push(ratio.ln());
        });
    }
    let logarithms = logarithms.into_inner().unwrap();
    let mean = (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp();
    assert!((0.8..3.0).contains(&mean), "{mean}");
}

/// RFC 9332's coupling (k = 2) makes the rates about equal where the round trips are; the classic flow has 15 ms of queue more.
#[test]
fn on_a_dual_queue_it_shares_with_cubic_and_does_not_wait_for_it() {
    for (rate, round_trip) in [(40, 20), (100, 10), (50, 50)] {
        let path = Path::new(rate, round_trip, 1.0);
        for_seeds(if is_full() { SEEDS } else { 3 }, |seed| {
            let flows = vec![prague(&path), path.flow(Algorithm::CUBIC).with_ecn()];
            let report = path.run_over(l4s(&path), flows, s(60), seed);
            let ratio = share(&report, 0, s(20)) / share(&report, 1, s(20));
            assert!((0.5..3.0).contains(&ratio), "{path}: {ratio}");
            let (low, classic) = (&report.link.low_latency_wait, &report.link.classic_wait);
            assert!(low.quantile(0.99) < ms(2) && classic.mean() > ms(5), "{path}: {low:?}");
            assert!(report.utilisation_between(s(20), s(60)) > 0.97);
        });
    }
}

/// RFC 9438 §5: the mean window, in datagrams, is the larger of `1.054 (RTT / p)^0.75` and Reno's `(1.5 / p)^0.5`.
#[test]
fn random_loss_costs_it_what_it_costs_cubic() {
    for (loss, round_trip) in [(100, 20), (1_000, 20), (10_000, 20), (50_000, 20), (1_000, 100), (10_000, 100)] {
        let path = Path::new(1_000, round_trip, 1.0);
        for_seeds(if is_full() { SEEDS } else { 3 }, |seed| {
            let link = path.link().with_random_loss(loss);
            let report = path.run_over(link, vec![path.flow(Algorithm::PRAGUE)], s(60), seed);
            let window = share(&report, 0, s(10)) * path.round_trip.as_secs_f64() / 1452.0;
            let probability = f64::from(loss) / 1e6;
            let cubic = 1.054 * (path.round_trip.as_secs_f64() / probability).powf(0.75);
            let off = window / cubic.max((1.5 / probability).sqrt());
            // At one in twenty, time-outs and windows of a few datagrams count, which the formulas don't know.
            let least = if loss < 50_000 { 0.75 } else { 0.5 };
            assert!(
                (least..1.35).contains(&off),
                "{loss} in a million, {round_trip} ms: {window}, {off} of the formula's"
            );
        });
    }
}

/// A classic queue that marks: no loss after slow start, and no more queue than it allows itself. Coexistence with others there is not promised.
#[test]
fn alone_in_a_classic_queue_that_marks_it_obeys_and_fills_it() {
    let path = Path::new(40, 20, 4.0);
    for_seeds(if is_full() { SEEDS } else { 4 }, |seed| {
        let link = path.link().with_discipline(Discipline::codel(true));
        let report = path.run_over(link, vec![prague(&path)], s(20), seed);
        let flow = &report.flows[0];
        assert!(flow.events.ecn_ce > 10 && flow.events.loss <= 1, "{:?}", flow.events);
        assert!(report.utilisation_between(s(5), s(20)) > 0.97);
        assert!(report.link.low_latency_wait.mean() < ms(15), "{:?}", report.link.low_latency_wait.mean());
    });
}

#[test]
fn an_application_that_writes_little_does_not_inflate_the_window() {
    let path = Path::new(100, 20, 1.0);
    for_seeds(4, |seed| {
        // A tenth of the link.
        let flow = prague(&path).with_source(Source::Rate(path.rate() as u64 / 10));
        let report = path.run_over(l4s(&path), vec![flow], s(20), seed);
        let window = report.flows[0].largest_window_between(s(10), s(20)) as f64;
        // A tenth of the BDP is in flight; nothing grows beyond twice that, or the initial window.
        assert!(window < 0.25 * path.product() + 30_000.0, "{window} of {}", path.product());
    });
}

#[test]
fn after_a_pause_nothing_bursts_into_the_l4s_queue() {
    let path = Path::new(100, 20, 1.0);
    for_seeds(4, |seed| {
        let flow = prague(&path).with_source(Source::OnOff { on: s(2), off: s(2) });
        let report = path.run_over(l4s(&path), vec![flow], s(24), seed);
        let flow = &report.flows[0];
        assert_eq!(flow.declared_lost_packets, 0);
        assert!(report.link.low_latency_wait.quantile(0.99) < ms(2), "{:?}", report.link.low_latency_wait);
        let used = report.utilisation_between(s(12), s(24));
        assert!(used > 0.4, "half of the time there is something to send: {used}");
    });
}

/// A timer that is a millisecond late, and turns of a millisecond: it still fills the link.
#[test]
fn late_timers_and_large_turns_cost_little() {
    let path = Path::new(100, 20, 1.0);
    for_seeds(4, |seed| {
        let mut flow = prague(&path);
        flow.host.timer = ms(1);
        flow.host.coalescing = ms(1);
        let report = path.run_over(l4s(&path), vec![flow], s(20), seed);
        let used = report.utilisation_between(s(8), s(20));
        assert!(used > 0.85, "{used}");
        assert!(report.link.low_latency_wait.quantile(0.99) < ms(3), "{:?}", report.link.low_latency_wait);
    });
}

#[test]
fn a_swap_to_itself_costs_less_than_a_tenth_of_two_round_trips() {
    let path = Path::new(100, 20, 1.0);
    for marked in [false, true] {
        for_seeds(if is_full() { SEEDS } else { 6 }, |seed| {
            let at = s(8) + ms(37 * seed);
            let (link, flow) =
                if marked { (l4s(&path), prague(&path)) } else { (path.link(), path.flow(Algorithm::PRAGUE)) };
            let rounds = (at, at + ms(80));
            let run =
                |flow: Flow| path.run_over(link.clone(), vec![flow], s(12), seed).goodput_between(rounds.0, rounds.1);
            let (with, without) = (run(flow.clone().swapping(at, Algorithm::PRAGUE)), run(flow));
            assert!(with > 0.9 * without, "marked {marked}: {with} for {without}");
        });
    }
}

#[test]
fn it_takes_over_from_cubic_and_hands_back() {
    let path = Path::new(100, 20, 1.0);
    for marked in [false, true] {
        for_seeds(if is_full() { SEEDS } else { 4 }, |seed| {
            let link = if marked { l4s(&path) } else { path.link() };
            let flow = path.flow(Algorithm::CUBIC).with_ecn();
            let flow = flow.swapping(s(5), Algorithm::PRAGUE).swapping(s(15), Algorithm::CUBIC);
            let report = path.run_over(link, vec![flow], s(25), seed);
            for swap in &report.flows[0].swaps {
                assert!(swap.window_after <= swap.window_before, "{swap:?}");
                assert!(swap.sent_in_next_round <= swap.window_before + 20_000, "{swap:?}");
            }
            for part in [(3, 5), (10, 15), (20, 25)] {
                let used = report.utilisation_between(s(part.0), s(part.1));
                assert!(used > 0.9, "marked {marked}, {part:?}: {used}");
            }
        });
    }
}
