//! BBRv3 (draft-ietf-ccwg-bbr) over the simulated bottleneck. The draft's own example test cases are tried beside the code, with
//! everything in sight; here is what they add up to.

use std::sync::Mutex;
use std::time::Duration;

use congestion::Algorithm;
use quicast_tests::congestion::{Path, SEEDS, grid, seeds_for};
use quicast_tests::{for_seeds, is_full};
use sim::{Change, Discipline, Flow, Scenario, Simulation, Source, megabits};

const BBR: Algorithm = Algorithm::BBR;
const CUBIC: Algorithm = Algorithm::CUBIC;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A few seeds, unless the long forms are run.
fn few(seeds: u64) -> u64 {
    if is_full() { SEEDS } else { seeds }
}

/// It paces at 99 % of the bandwidth, gives 2 % to ProbeRTT ("ProbeRTT Design Rationale"), a tenth of a round trip or two to
/// ProbeBW_DOWN. Where the queue is shorter than half of what a probe adds, probes lose, and it cruises at 85 % of what proved to be
/// too much (BBR.Headroom), which is the product and the queue, for three seconds or 63 round trips.
#[test]
fn it_fills_a_path_but_for_margin_headroom_and_its_probes_for_the_rtt() {
    for path in grid().filter(|path| is_full() || path.packets() <= 400_000) {
        for_seeds(few((100_000 / path.packets()).clamp(1, 8)), |seed| {
            let report = path.run(vec![path.flow(BBR)], seed);
            let used = path.used(&report);
            let queue = path.link().queue as f64 / path.product();
            let least = if queue >= 0.5 { 0.9 } else { 0.85 * 0.97 * 0.9 };
            assert!(used >= least, "{path}: {used:.3} for {least:.3}");
        });
    }
}

/// "Achieved with average packet loss rates of up to 1%" ("High-Level Design Goals"): above BBR.LossThresh of 2 % it is to give way.
#[test]
fn random_loss_of_a_percent_leaves_four_fifths() {
    let path = Path::new(50, 50, 1.0);
    for (millionths, mean_at_least, each_at_least, seeds) in
        [(100, 0.94, 0.9, 2), (1_000, 0.9, 0.85, 2), (10_000, 0.8, 0.5, 12), (50_000, 0.015, 0.01, SEEDS)]
    {
        let all = Mutex::new(Vec::new());
        for_seeds(few(seeds), |seed| {
            let link = path.link().with_random_loss(millionths);
            let report = path.run_over(link, vec![path.flow(BBR)], seconds(40), 1 + seed);
            let used = report.utilisation_between(seconds(5), seconds(40));
            assert!(used > each_at_least, "one of 10^6 / {millionths}: {used:.3}");
            all.lock().unwrap().push(used);
        });
        let all = all.into_inner().unwrap();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        assert!(mean >= mean_at_least, "{millionths} in a million: {mean:.3} of {all:.3?}");
    }
}

/// What CUBIC makes of the same: RFC 9438 §5.1 says 12 to 13 datagrams at one in a hundred, 6 % of this path.
#[test]
fn random_loss_costs_cubic_ten_times_as_much() {
    let path = Path::new(50, 50, 1.0);
    for_seeds(seeds_for(400_000), |seed| {
        let goodput = |algorithm| {
            let link = path.link().with_random_loss(10_000);
            let report = path.run_over(link, vec![path.flow(algorithm)], seconds(30), 1 + seed);
            report.goodput_between(seconds(5), seconds(30))
        };
        let (bbr, cubic) = (goodput(BBR), goodput(CUBIC));
        assert!(bbr > 6.0 * cubic, "{bbr:.0} for {cubic:.0}");
    });
}

#[test]
fn equal_flows_share_about_equally() {
    let paths = [Path::new(50, 40, 0.5), Path::new(50, 40, 1.0), Path::new(50, 40, 4.0), Path::new(100, 40, 0.5)];
    // Many flows in a deep queue take longest.
    let end = if is_full() { 120 } else { 75 };
    for path in paths.into_iter().take(if is_full() { 4 } else { 3 }) {
        for flows in [2, 4, 16] {
            for_seeds(few(1), |seed| {
                // Convergence takes some of its cycles of two to three seconds.
                let report = path.run_over(path.link(), vec![path.flow(BBR); flows], seconds(end), 1 + seed);
                let fairness = report.fairness_between(seconds(35), seconds(end));
                assert!(fairness >= 0.85, "{flows} on {path}: {fairness:.3}");
                let used = report.utilisation_between(seconds(35), seconds(end));
                assert!(used >= 0.95, "{flows} on {path}: {used:.3}");
            });
        }
    }
}

/// The loss that flows cause each other is "considerably lower" than 2 % on average ("Algorithm Overview") as long as 2 % of
/// what a flow has in flight is a packet at least. Of sixteen flows here each has twenty.
#[test]
fn flows_together_lose_less_than_the_threshold() {
    let path = Path::new(100, 40, 1.0);
    for (flows, most) in [(2, 0.008), (4, 0.01), (16, 0.03)] {
        for_seeds(few(1), |seed| {
            let report = path.run_over(path.link(), vec![path.flow(BBR); flows], seconds(60), 1 + seed);
            let (mut lost, mut delivered) = (0, 0);
            for flow in &report.flows {
                let settled = flow.samples.iter().find(|sample| sample.at >= seconds(20)).unwrap();
                lost += flow.declared_lost_bytes - settled.declared_lost_bytes;
                delivered += flow.delivered_bytes - settled.delivered_bytes;
            }
            let share = lost as f64 / (lost + delivered) as f64;
            assert!(share < most, "{flows}: {share:.4}");
        });
    }
}

/// "Bandwidth Probing and Coexistence with Reno/CUBIC": CUBIC goes on working. Where the queue holds twice the product they
/// share about equally; where it holds less CUBIC has the losses of BBR's probes.
#[test]
fn cubic_goes_on_working_beside_it() {
    for (path, cubic_at_least, bbr_at_least) in [
        (Path::new(20, 40, 1.0), 0.2, 0.3),
        (Path::new(20, 40, 4.0), 0.35, 0.35),
        (Path::new(40, 10, 2.0), 0.35, 0.35),
        (Path::new(100, 40, 1.0), 0.08, 0.3),
        (Path::new(100, 40, 4.0), 0.35, 0.35),
    ] {
        for_seeds(few(1), |seed| {
            let report = path.run_over(path.link(), vec![path.flow(BBR), path.flow(CUBIC)], seconds(90), 1 + seed);
            let [bbr, cubic] =
                [0, 1].map(|flow| report.flows[flow].goodput_between(seconds(20), seconds(90)) / path.rate());
            assert!(bbr >= bbr_at_least && cubic >= cubic_at_least, "{path}: BBR {bbr:.2}, CUBIC {cubic:.2}");
        });
    }
}

/// In flight is no more than 2 products in most phases and 2.25 in ProbeBW_UP ("Summary of Control Behavior"), however deep the
/// queue; and mostly one.
#[test]
fn its_queue_is_bounded_by_the_cwnd_gain_and_mostly_empty() {
    for path in [Path::new(10, 40, 16.0), Path::new(50, 40, 16.0), Path::new(100, 10, 16.0)] {
        for_seeds(few(5), |seed| {
            let report = path.run(vec![path.flow(BBR)], seed);
            let most = report.link.most_queued as f64 / path.product();
            // What is aggregated (BBR.extra_acked) and a burst come on top; Startup's queue is a product.
            assert!(most <= 1.5, "{path}: {most:.2} products");
            let mean = report.link.classic_wait.mean();
            assert!(mean < path.round_trip / 3, "{path}: {mean:?}");
            assert_eq!(report.flows[0].declared_lost_packets, 0, "{path}");
        });
    }
    // Four flows each think that they have a little more than they do; the queue is CUBIC's only in its dreams.
    let path = Path::new(100, 40, 16.0);
    for_seeds(few(1), |seed| {
        let report = path.run_over(path.link(), vec![path.flow(BBR); 4], seconds(40), 1 + seed);
        let most = report.link.classic_wait.quantile(0.99);
        assert!(most < path.round_trip.mul_f64(2.25), "{most:?}");
    });
}

#[test]
fn an_application_that_writes_little_does_not_inflate_the_window() {
    let path = Path::new(100, 40, 1.0);
    for_seeds(SEEDS, |seed| {
        for source in [
            Source::Rate(125_000),
            Source::Messages { bytes: 30_000, every: milliseconds(200) },
            Source::Messages { bytes: 3_000, every: milliseconds(20) },
        ] {
            let report = path.run_over(path.link(), vec![path.flow(BBR).with_source(source)], seconds(60), seed);
            let flow = &report.flows[0];
            let window = flow.largest_window_between(seconds(1), seconds(60));
            // 30,000 bytes are in flight at most; the window is twice that, and what is acknowledged at once (BBR.extra_acked), and
            // the first window, from which it grows while less than it was acknowledged.
            assert!(window <= 3 * 30_000 + 14_520, "{source:?}: {window}");
            let goodput = flow.goodput_between(seconds(5), seconds(60));
            let wanted = if matches!(source, Source::Rate(_)) { 125_000.0 } else { 150_000.0 };
            assert!((goodput / wanted - 1.0).abs() < 0.02, "{source:?}: {goodput}");
            assert_eq!(flow.declared_lost_packets, 0, "{source:?}");
            // "Verify that as long as there is no loss ... the connection stays in PROBE_UP (or STARTUP) indefinitely."
            assert!(flow.states.iter().all(|change| matches!(change.state, "startup" | "probe_rtt")), "{source:?}");
        }
    });
}

/// "Restarting From Idle": the pace is exactly the bandwidth, so what leaves after a pause makes no queue but a burst.
#[test]
fn after_a_pause_it_paces_at_the_bandwidth() {
    let path = Path::new(50, 40, 1.0);
    for_seeds(few(10), |seed| {
        let source = Source::OnOff { on: seconds(8), off: seconds(7) };
        let scenario =
            Scenario::new(path.link()).with(path.flow(BBR).with_source(source)).lasting(seconds(23)).seeded(seed);
        let mut simulation = Simulation::new(&scenario);
        simulation.run_until(seconds(15));
        assert_eq!((simulation.bytes_in_flight(0), simulation.queued_bytes()), (0, 0));
        let window = simulation.controller(0).unwrap().window();
        let (rate, phase) = (window.pacing_rate as f64 / path.rate(), simulation.controller(0).unwrap().state());
        // In ProbeBW_UP it goes on probing, if the last acknowledgements before the pause are not told before its end.
        assert!(rate > 0.89 && rate < 1.25, "{rate:.3}");
        assert_eq!(phase, "probe_bw");
        let mut most_queued = 0;
        for step in 0..400 {
            simulation.run_until(seconds(15) + Duration::from_micros(100 * step));
            most_queued = most_queued.max(simulation.queued_bytes());
        }
        let faster = (rate - 1.0).max(0.0) * path.product();
        assert!(most_queued <= window.quantum + 2 * 1_452 + faster as u64, "{most_queued} for {window:?}");
        simulation.run_until(seconds(23));
        let report = simulation.report();
        report.verify().unwrap();
        let used = report.utilisation_between(milliseconds(15_200), seconds(19));
        assert!(used > 0.9, "a full pipe after a round trip: {used:.3}");
        // "The idleness is deemed a sufficient attempt to coordinate to drain the queue."
        let probed = report.flows[0]
            .states
            .iter()
            .any(|change| change.at > seconds(15) && change.at < seconds(17) && change.state == "probe_rtt");
        assert!(!probed);
    });
}

/// "The congestion controller response MUST treat any CE marks as congestion": what is marked counts as what is lost does.
#[test]
fn marks_are_obeyed_as_losses_are() {
    let path = Path::new(50, 40, 4.0);
    for_seeds(few(3), |seed| {
        let run = |discipline: Discipline, ecn: bool| {
            let flow = Flow { ecn, ..path.flow(BBR) };
            path.run_over(path.link().with_discipline(discipline), vec![flow; 4], seconds(30), seed)
        };
        let (marked, dropped, neither) = (
            run(Discipline::codel(true), true),
            run(Discipline::codel(false), false),
            run(Discipline::DropTail, false),
        );
        for flow in &marked.flows {
            assert!(flow.reported_marks > 0 && flow.events.ecn_ce > 0, "{:?}", flow.events);
            assert!(flow.events.ecn_ce <= flow.reported_marks, "at most one answer a mark");
            // The first packets of a path are not all marked (RFC 9000 §13.4.2).
            let early = flow.samples.iter().find(|sample| sample.at >= seconds(3)).unwrap();
            assert_eq!(flow.declared_lost_bytes, early.declared_lost_bytes);
        }
        let wait = |report: &sim::Report| report.link.classic_wait.mean();
        assert!(wait(&marked) < wait(&neither) / 2, "{:?}, without marks {:?}", wait(&marked), wait(&neither));
        assert!(wait(&marked) < 2 * wait(&dropped), "{:?}, with drops {:?}", wait(&marked), wait(&dropped));
        let used = marked.utilisation_between(seconds(5), seconds(30));
        assert!(used > 0.9, "{used:.3}");
    });
}

/// Ten times the bandwidth is found within some cycles, a tenth of it within two of them ("Increasing Bandwidth 10x", "Decreasing").
#[test]
fn a_change_of_the_bandwidth_is_found() {
    let path = Path::new(10, 40, 1.0);
    for_seeds(few(4), |seed| {
        let faster = Change { at: seconds(10), rate: Some(megabits(100)), queue: Some(500_000), ..Change::default() };
        let slower = Change { at: seconds(35), rate: Some(megabits(10)), queue: Some(50_000), ..Change::default() };
        let link = path.link().with_change(faster).with_change(slower);
        let report = path.run_over(link, vec![path.flow(BBR)], seconds(60), 1 + seed);
        let (up, down) = (
            report.utilisation_between(seconds(25), seconds(35)),
            report.utilisation_between(seconds(50), seconds(60)),
        );
        assert!(up > 0.85 && down > 0.85, "{up:.3} {down:.3}");
        let flow = &report.flows[0];
        let lost = |from: u64, to: u64| {
            let at = |at| {
                flow.samples.iter().find(|sample| sample.at >= seconds(at)).map(|sample| sample.declared_lost_bytes)
            };
            at(to).unwrap_or(flow.declared_lost_bytes) - at(from).unwrap_or(0)
        };
        assert!(lost(50, 60) < 12_500_000 / 50, "it adapted: {} lost", lost(50, 60));
    });
}

/// A hand-off in congestion avoidance does not search for the capacity again.
#[test]
fn it_takes_over_from_cubic_without_startup_and_hands_back_without_slow_start() {
    for path in [Path::new(20, 40, 1.0), Path::new(100, 20, 1.0), Path::new(50, 50, 4.0)] {
        for_seeds(few(4), |seed| {
            let flow = path.flow(CUBIC).swapping(seconds(12), BBR).swapping(seconds(24), CUBIC);
            let report = path.run_over(path.link(), vec![flow], seconds(36), 1 + seed);
            let flow = &report.flows[0];
            let after = flow.states.iter().filter(|change| change.at >= seconds(12));
            for change in after {
                assert!(!matches!(change.state, "startup" | "slow_start"), "{path}: {change:?}");
            }
            let first = flow.states.iter().find(|change| change.controller == "bbr").unwrap();
            assert_eq!((first.at, first.state), (seconds(12), "probe_bw"), "{path}");
            for swap in &flow.swaps {
                assert!(swap.window_after <= swap.window_before, "{path}: {swap:?}");
                // No burst: a window beyond the old one never leaves in the round after.
                assert!(swap.sent_in_next_round <= swap.window_before * 5 / 4 + 14_520, "{path}: {swap:?}");
                // ProbeRTT hands over half of the product, from which CUBIC has to grow; and after a probe that overflowed the
                // queue, what is beyond the product has to leave it first, and what was lost to be sent again.
                let before = flow.states.iter().rfind(|change| change.at < swap.at).map(|change| change.state);
                let least = match before {
                    Some("probe_rtt") => 0.4,
                    _ if swap.was_in_recovery => 0.6,
                    _ => 0.85,
                };
                assert!(swap.goodput_after >= least * swap.goodput_before, "{path}, from {before:?}: {swap:?}");
            }
            for (from, to) in [(12, 24), (24, 36)] {
                let used = report.utilisation_between(seconds(from), seconds(to));
                assert!(used > 0.85, "{path}, from {from} s: {used:.3}");
            }
        });
    }
}

/// A swap to itself costs at most a tenth of the goodput of the two rounds after it, against the same run without.
#[test]
fn a_swap_to_itself_costs_less_than_a_tenth() {
    for path in [Path::new(20, 40, 1.0), Path::new(50, 20, 0.5)] {
        for_seeds(few(8), |seed| {
            let at = seconds(10) + milliseconds(173 * seed);
            let run = |swaps: bool| {
                let flow = path.flow(BBR);
                let flow = if swaps { flow.swapping(at, BBR) } else { flow };
                let scenario = Scenario::new(path.link()).with(flow).lasting(seconds(16)).seeded(seed);
                let mut simulation = Simulation::new(&scenario);
                simulation.run_until(at);
                let before = simulation.delivered_bytes(0);
                simulation.run_until(at + path.round_trip * 2);
                simulation.delivered_bytes(0) - before
            };
            let (with, without) = (run(true), run(false));
            // Three packets of what is counted are chance.
            assert!(with + 3 * 1_452 >= without * 9 / 10, "{path}, {at:?}: {with} for {without}");
        });
    }
}
