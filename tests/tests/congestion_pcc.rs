//! PCC Vivace over the simulated bottleneck. Section numbers are of Dong et al., "PCC Vivace: Online-Learning Congestion
//! Control", NSDI 2018.

use std::sync::Mutex;
use std::time::Duration;

use congestion::Algorithm;
use quicast_tests::congestion::{Path, SEEDS, for_grid, seeds_for};
use quicast_tests::{for_seeds, is_full};
use sim::{Change, Discipline, Flow, Host, Report, Source, megabits};

const PCC: Algorithm = Algorithm::PCC;
const CUBIC: Algorithm = Algorithm::CUBIC;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The mean of what waits, in bytes, between these moments.
fn mean_queue(report: &Report, from: Duration, to: Duration) -> f64 {
    let inside = report.link.samples.iter().filter(|sample| (from..=to).contains(&sample.at));
    let (count, sum) = inside.fold((0.0, 0.0), |(count, sum), sample| (count + 1.0, sum + sample.queued_bytes as f64));
    sum / f64::max(count, 1.0)
}

/// Section 6.1: above 90 % of the path with a queue of a twentieth of the product and more.
#[test]
fn it_fills_a_path_whatever_its_queue_and_leaves_the_queue_empty() {
    for_grid(|path, seed| {
        let report = path.run(vec![path.flow(PCC)], seed);
        let used = path.used(&report);
        // A product of less than a datagram or so, in which a tenth more or less cannot be made: a trial is ten packets.
        let least = if path.product() < 2.0 * 1_452.0 { 0.8 } else { 0.9 };
        assert!(used >= least, "{path}, seed {seed}: {used:.3}");
        // What trials put in, others take out: a tenth of the product, or some packets.
        let queue = mean_queue(&report, path.settled(), report.duration);
        let most = (path.product() * 0.15).max(6.0 * f64::from(path.datagram_size()));
        assert!(queue <= most, "{path}, seed {seed}: {queue:.0} of {:.0}", path.product());
    });
}

/// Section 6.1.2: with c = 11.35 up to 5 % of loss are taken for random; 1 % costs next to nothing.
#[test]
fn random_loss_is_taken_for_what_it_is() {
    for path in [Path::new(50, 50, 1.0), Path::new(20, 30, 1.0), Path::new(50, 20, 0.5)] {
        for (millionths, least) in [(100, 0.88), (1_000, 0.88), (10_000, 0.8), (50_000, 0.1)] {
            // At 5 % the utility is flat: 0.9 x^-0.1 is 11.35 * 0.05 at 100 Mbit/s and 7 % more at 50, so that chance
            // decides how far it comes: between a fifth and all of the path, where CUBIC has a fiftieth.
            for_seeds(if is_full() { SEEDS } else { 4 }, |seed| {
                let link = path.link().with_random_loss(millionths);
                let report = path.run_over(link, vec![path.flow(PCC)], seconds(20), 1 + seed);
                let used = report.utilisation_between(seconds(6), seconds(20));
                assert!(used >= least, "{path}, {millionths} in a million, seed {seed}: {used:.3}");
            });
        }
    }
}

/// Section 6.1.3, by Jain's index. Sixteen flows need minutes: each sees of its trials what fifteen others do.
#[test]
fn equal_flows_share_equally() {
    for (path, flows, long) in [
        (Path::new(50, 30, 1.0), 2, 60),
        (Path::new(100, 20, 0.3), 2, 60),
        (Path::new(100, 50, 1.0), 4, 80),
        (Path::new(100, 20, 4.0), 4, 80),
        (Path::new(100, 20, 2.0), 16, 200),
    ] {
        // Who learns by trying has unlucky stretches: all seeds together keep the bound, each by itself a little less.
        let all = Mutex::new(Vec::new());
        for_seeds(if is_full() { SEEDS } else { 1 }, |seed| {
            let report = path.run_over(path.link(), vec![path.flow(PCC); flows], seconds(long), 1 + seed);
            let fairness = report.fairness_between(seconds(long / 2), seconds(long));
            assert!(fairness >= 0.83, "{flows} on {path}, seed {seed}: {fairness:.3}");
            all.lock().unwrap().push(fairness);
            let used = report.utilisation_between(seconds(long / 2), seconds(long));
            assert!(used >= 0.9, "{flows} on {path}, seed {seed}: {used:.3}");
        });
        let all = all.into_inner().unwrap();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        assert!(mean >= 0.9, "{flows} on {path}: {mean:.3}");
    }
}

/// A flow that comes later gets its share, and those that were there make room.
#[test]
fn a_flow_that_comes_later_is_let_in() {
    let path = Path::new(50, 30, 1.0);
    for_seeds(if is_full() { SEEDS } else { 3 }, |seed| {
        let flows = vec![path.flow(PCC), path.flow(PCC).starting(seconds(20))];
        let report = path.run_over(path.link(), flows, seconds(120), 1 + seed);
        let fairness = report.fairness_between(seconds(80), seconds(120));
        assert!(fairness >= 0.8, "seed {seed}: {fairness:.3}");
    });
}

/// Section 6.2: beside a flow that fills the queue it takes what is left, because the growing RTT is a cost; with a short queue
/// it holds its own.
#[test]
fn beside_cubic_it_yields_in_long_queues_and_holds_its_own_in_short_ones() {
    for (queue, range) in [(0.5, 0.15..0.85), (2.0, 0.0..0.5)] {
        let path = Path::new(20, 20, queue);
        for_seeds(if is_full() { SEEDS } else { 3 }, |seed| {
            let report = path.run_over(path.link(), vec![path.flow(PCC), path.flow(CUBIC)], seconds(60), 1 + seed);
            let [pcc, cubic] = [0, 1].map(|flow| report.flows[flow].goodput_between(seconds(20), seconds(60)));
            let share = pcc / (pcc + cubic);
            assert!(range.contains(&share), "{path}, seed {seed}: {share:.3}");
            assert!(pcc > 0.0 && pcc + cubic > 0.9 * path.rate(), "{path}, seed {seed}: {pcc} {cubic}");
        });
    }
}

/// RFC 9002 §7.1: a mark is a loss to the utility, and the queue stays short.
#[test]
fn marks_are_obeyed() {
    let path = Path::new(50, 40, 4.0);
    let link = path.link().with_discipline(Discipline::codel(true));
    for_seeds(if is_full() { SEEDS } else { 4 }, |seed| {
        for other in [PCC, CUBIC] {
            let flows = vec![path.flow(PCC).with_ecn(), path.flow(other).with_ecn()];
            let report = path.run_over(link.clone(), flows, seconds(30), 1 + seed);
            assert!(report.flows.iter().any(|flow| flow.reported_marks > 0), "{other}, seed {seed}");
            let wait = report.link.classic_wait.mean();
            assert!(wait < milliseconds(15), "{other}, seed {seed}: {wait:?}");
            let used = report.utilisation_between(seconds(5), seconds(30));
            assert!(used > 0.85, "{other}, seed {seed}: {used:.3}");
            assert!(report.flows[0].loss_share() < 0.01, "{other}, seed {seed}: {}", report.flows[0].loss_share());
        }
    });
}

/// RFC 9002 §7.8: what the application did not send proves nothing.
#[test]
fn an_application_that_writes_little_does_not_inflate_the_rate() {
    let path = Path::new(100, 40, 1.0);
    for_seeds(SEEDS, |seed| {
        for source in [Source::Rate(125_000), Source::Messages { bytes: 30_000, every: milliseconds(200) }] {
            let report = path.run_over(path.link(), vec![path.flow(PCC).with_source(source)], seconds(30), seed);
            let flow = &report.flows[0];
            // 30,000 bytes are in flight at most. Starting doubles a rate of which half was used, and the window is twice
            // what the rate has in flight.
            let window = flow.largest_window_between(seconds(1), seconds(30));
            assert!(window <= 2 * 2 * 2 * 30_000, "{source:?}, seed {seed}: {window}");
            assert_eq!(flow.declared_lost_packets, 0, "{source:?}, seed {seed}");
        }
    });
}

#[test]
fn a_path_that_changes_its_rate_is_found_again() {
    let path = Path::new(20, 40, 2.0);
    let change = |at, rate| Change { at: seconds(at), rate: Some(megabits(rate)), ..Change::default() };
    let link = path.link().with_change(change(15, 5)).with_change(change(30, 60));
    for_seeds(if is_full() { SEEDS } else { 5 }, |seed| {
        let report = path.run_over(link.clone(), vec![path.flow(PCC)], seconds(60), 1 + seed);
        for (from, to, least) in [(5, 15, 0.85), (20, 30, 0.85), (45, 60, 0.8)] {
            let used = report.utilisation_between(seconds(from), seconds(to));
            assert!(used > least, "{from} to {to} s, seed {seed}: {used:.3}");
        }
        // And the queue that the slower path made is gone in ten seconds, mostly in five.
        let queue = mean_queue(&report, seconds(25), seconds(30));
        assert!(queue < 0.25 * megabits(5) as f64 * 0.04 + 10_000.0, "seed {seed}: {queue:.0}");
    });
}

/// A host whose timers are late by a millisecond, and that takes in a millisecond's acknowledgements in one turn.
#[test]
fn coarse_timers_and_large_turns_are_no_reason_to_be_slow() {
    let host = Host { coalescing: milliseconds(1), timer: milliseconds(1), ..Host::new() };
    for path in [Path::new(20, 40, 1.0), Path::new(300, 10, 1.0)] {
        for_seeds(if is_full() { SEEDS } else { 3 }, |seed| {
            let report = path.run_over(path.link(), vec![path.flow(PCC).between(host)], seconds(15), 1 + seed);
            let used = report.utilisation_between(seconds(5), seconds(15));
            // Half a trial's difference is within what late timers make of a rate.
            assert!(used > 0.6, "{path}, seed {seed}: {used:.3}");
        });
    }
}

/// Paths below a millisecond, as of a machine to itself: the rate is one that timers can keep.
#[test]
fn a_lan_is_filled() {
    let link = sim::Link::new(megabits(1_000), Duration::from_micros(200)).with_queue(1_000_000);
    for_seeds(if is_full() { SEEDS } else { 2 }, |seed| {
        let scenario = sim::Scenario::new(link.clone()).with(Flow::new(PCC)).lasting(seconds(3)).seeded(seed);
        let report = scenario.run();
        report.verify().unwrap();
        let used = report.utilisation_between(seconds(1), seconds(3));
        assert!(used > 0.8, "seed {seed}: {used:.3}");
    });
}

/// From CUBIC in full flight and back: the path stays full, and no swap begins with a larger window.
#[test]
fn a_hand_off_from_and_to_cubic_keeps_the_path_full() {
    let path = Path::new(50, 40, 1.0);
    for_seeds(seeds_for(60_000), |seed| {
        let mut flow = path.flow(CUBIC);
        for (at, to) in [(8_000, PCC), (12_000, CUBIC), (16_000, PCC)] {
            flow = flow.swapping(milliseconds(at + 17 * seed), to);
        }
        let report = path.run_over(path.link(), vec![flow], seconds(20), 1 + seed);
        for swap in &report.flows[0].swaps {
            assert!(swap.window_after <= swap.window_before, "seed {seed}: {swap:?}");
            assert!(swap.sent_in_next_round <= swap.window_before * 5 / 4, "seed {seed}: {swap:?}");
        }
        let used = report.utilisation_between(seconds(7), seconds(20));
        assert!(used > 0.88, "seed {seed}: {used:.3}");
    });
}
