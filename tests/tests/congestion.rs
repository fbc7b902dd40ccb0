//! NewReno and CUBIC over the simulated bottleneck, and what holds for every controller.

use std::time::Duration;

use congestion::Algorithm;
use quicast_tests::congestion::{Path, SEEDS, for_grid, seeds_for};
use quicast_tests::{for_seeds, is_full};
use sim::{Change, Discipline, Flow, Host, Loss, Scenario, Simulation, Source, megabits};

const NEW_RENO: Algorithm = Algorithm::NEW_RENO;
const CUBIC: Algorithm = Algorithm::CUBIC;
/// Those that RFC 9002 §7 and RFC 9438 say everything of.
const CLASSIC: [Algorithm; 2] = [NEW_RENO, CUBIC];

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// One flow of a sawtooth that falls to `beta` of its top uses, of a path with a queue of `queue` products, all if the
/// bottom still fills it, and else what is missing below 1: the lesser half of the triangle from `beta (1 + queue)` up.
fn sawtooth(beta: f64, queue: f64) -> f64 {
    let bottom = (beta * (1.0 + queue)).min(1.0);
    let top = 1.0 + queue;
    // The window grows evenly from bottom to top; below 1 the path is used by so much.
    1.0 - (1.0 - bottom) * (1.0 - bottom) / (2.0 * (top - bottom)).max(1e-9)
}

#[test]
fn newreno_and_cubic_fill_a_path_as_their_sawtooth_says() {
    for_grid(|path, seed| {
        for algorithm in CLASSIC {
            let report = path.run(vec![path.flow(algorithm)], seed);
            let beta = if algorithm == CUBIC { 0.7 } else { 0.5 };
            // A burst of the pacer finds no room if the queue has less than that.
            let burst = path.burst() as f64;
            let queue = (path.link().queue as f64 - burst) / path.product();
            // A tenth less, because recovery takes a round trip in which nothing grows. NewReno's growth by a datagram a round
            // trip needs more time than there is to fill what its slow start left: a third less.
            let grows_slowly = algorithm == NEW_RENO && path.product() > 500.0 * 1_452.0;
            // With less than two bursts of queue it is the bursts that are dropped as often as the top of the sawtooth.
            let is_shallow = (path.link().queue as f64) < 2.0 * burst;
            let missing = if grows_slowly {
                0.35
            } else if is_shallow {
                0.15
            } else {
                0.1
            };
            let least = sawtooth(beta, queue) - missing;
            let used = path.used(&report);
            assert!(used >= least, "{algorithm} on {path}: {used:.3} for {least:.3}");
        }
    });
}

/// RFC 9438 §5.1 with its constants: the average window in datagrams if one packet in `1/p` is lost. Where that is less than
/// what Reno gets, CUBIC is to get as much as Reno (§4.3).
fn cubic_window(round_trip: Duration, probability: f64) -> f64 {
    let cubic = 1.054 * (round_trip.as_secs_f64() / probability).powf(0.75);
    cubic.max(reno_window(probability))
}

/// RFC 5681's response function, as RFC 9438 §5.1 uses it.
fn reno_window(probability: f64) -> f64 {
    1.224 / probability.sqrt()
}

#[test]
fn average_windows_follow_the_response_functions() {
    // The rate is out of reach, so that there is no queue and no loss but the given.
    for (rtt, one_in) in
        [(50, 10_000), (50, 1_000), (50, 100), (50, 20), (100, 10_000), (100, 1_000), (100, 100), (100, 20)]
    {
        let path = Path::new(10_000, rtt, 1.0);
        let probability = 1.0 / f64::from(one_in);
        // The functions are for acknowledgements of single packets.
        let host = Host { packets_per_acknowledgement: 1, ..Host::new() };
        for algorithm in CLASSIC {
            // Nothing grows in the round trip of recovery, which counts for more the shorter the sawtooth.
            for (loss, tolerance) in [
                (Loss::Every(one_in), if algorithm == NEW_RENO && one_in < 100 { 0.3 } else { 0.25 }),
                // The functions are for losses at even distances; by chance they come together or far apart, and growth is
                // not linear.
                (Loss::Random(1_000_000 / one_in), 0.4),
            ] {
                let link = path.link().with_loss(loss);
                // A thousand losses or so, but not less than a minute.
                let expected = if algorithm == CUBIC {
                    cubic_window(path.round_trip, probability)
                } else {
                    reno_window(probability)
                };
                let packets_a_second = expected / path.round_trip.as_secs_f64();
                let long = (f64::from(one_in) * if is_full() { 1_000.0 } else { 100.0 } / packets_a_second).max(60.0);
                let report =
                    path.run_over(link, vec![Flow::new(algorithm).between(host)], Duration::from_secs_f64(long), 0);
                let settled = Duration::from_secs_f64(long / 10.0);
                let window = report.flows[0].mean_window_between(settled, report.duration) / 1_452.0;
                let off = window / expected;
                assert!(
                    (off - 1.0).abs() <= tolerance,
                    "{algorithm}, {rtt} ms, {loss:?}: {window:.1} for {expected:.1}"
                );
            }
        }
    }
}

#[test]
fn equal_flows_share_equally() {
    for (path, long) in [
        (Path::new(50, 30, 1.0), 60),
        (Path::new(50, 30, 0.25), 60),
        (Path::new(100, 10, 2.0), 240),
        // Convergence takes hundreds of round trips, so a long path is looked at for longer.
        (Path::new(20, 100, 1.0), 240),
    ] {
        for flows in [2, 4, 16] {
            for algorithm in CLASSIC {
                for_seeds(if is_full() { SEEDS } else { 2 }, |seed| {
                    // Without any noise the queue is full at the same flow's turn again and again (Floyd and Jacobson, "On
                    // Traffic Phase Effects in Packet-Switched Gateways", 1992).
                    let link = path.link().with_jitter(path.round_trip / 50, false);
                    let report = path.run_over(link, vec![path.flow(algorithm); flows], seconds(long), 1 + seed);
                    let fairness = report.fairness_between(seconds(long / 4), seconds(long));
                    assert!(fairness >= 0.9, "{flows} of {algorithm} on {path}: {fairness:.3}");
                });
            }
        }
    }
}

/// RFC 9438 §4.3 and §5.2: where Reno does well CUBIC takes no more, and where Reno does not it takes what is left.
#[test]
fn cubic_is_friendly_to_newreno_where_that_does_well_and_faster_where_it_does_not() {
    let ratio = |path: Path, long: u64, seed: u64| {
        let flows = vec![path.flow(CUBIC), path.flow(NEW_RENO)];
        let report = path.run_over(path.link(), flows, seconds(long), seed);
        let [cubic, reno] = [0, 1].map(|flow| report.flows[flow].goodput_between(seconds(long / 5), seconds(long)));
        cubic / reno
    };
    // Products of 17, 34 and 26 datagrams, all in the Reno-friendly region.
    for path in [Path::new(10, 20, 1.0), Path::new(10, 40, 1.0), Path::new(30, 10, 2.0)] {
        for_seeds(SEEDS, |seed| {
            let ratio = ratio(path, 100, seed);
            assert!((0.6..1.7).contains(&ratio), "{path}: {ratio:.2}");
        });
    }
    // A product of 3,400 datagrams: after a loss NewReno needs minutes, CUBIC half of one.
    let path = Path::new(400, 100, 1.0);
    for_seeds(if is_full() { SEEDS } else { 1 }, |seed| {
        let ratio = ratio(path, 100, seed);
        assert!(ratio > 2.0, "{path}: {ratio:.2}");
    });
}

/// RFC 9002 §7.8, for every controller whose window is no constant.
#[test]
fn an_application_that_writes_little_does_not_inflate_the_window() {
    let path = Path::new(100, 40, 1.0);
    for algorithm in CLASSIC {
        for_seeds(SEEDS, |seed| {
            for source in [
                Source::Rate(125_000),
                Source::Messages { bytes: 30_000, every: milliseconds(200) },
                Source::Messages { bytes: 3_000, every: milliseconds(20) },
            ] {
                let report =
                    path.run_over(path.link(), vec![path.flow(algorithm).with_source(source)], seconds(60), seed);
                let flow = &report.flows[0];
                // 30,000 bytes are in flight at most; twice that, and the first window, may be allowed.
                let window = flow.largest_window_between(seconds(1), seconds(60));
                assert!(window <= 2 * 30_000 + 14_520, "{algorithm}, {source:?}: {window}");
                let goodput = flow.goodput_between(seconds(5), seconds(60));
                let wanted = if matches!(source, Source::Rate(_)) { 125_000.0 } else { 150_000.0 };
                assert!((goodput / wanted - 1.0).abs() < 0.02, "{algorithm}, {source:?}: {goodput}");
                assert_eq!(flow.declared_lost_packets, 0, "{algorithm}, {source:?}");
            }
        });
    }
}

/// RFC 9002 §7.8, last paragraph, and §7.7: who begins again after a pause does not send its whole window at once.
#[test]
fn after_a_pause_the_window_leaves_in_a_round_trip_and_not_in_a_burst() {
    let path = Path::new(50, 40, 1.0);
    for algorithm in Algorithm::ALL {
        let on_off = Source::OnOff { on: seconds(8), off: seconds(7) };
        let scenario = Scenario::new(path.link()).with(path.flow(algorithm).with_source(on_off)).lasting(seconds(23));
        let mut simulation = Simulation::new(&scenario);
        // The handshake's round trip comes before the application begins.
        simulation.run_until(seconds(15));
        assert_eq!((simulation.bytes_in_flight(0), simulation.queued_bytes()), (0, 0), "{algorithm}");
        let window = simulation.controller(0).unwrap().window();
        let mut most_queued = 0;
        for step in 0..400 {
            simulation.run_until(seconds(15) + Duration::from_micros(100 * step));
            most_queued = most_queued.max(simulation.queued_bytes());
        }
        // A quantum at once, and what the rate has above the link's (RFC 9002 §7.7: a quarter of the window, or as much as
        // the window is above the product).
        let product = path.product() as u64;
        let above = (window.congestion_window / 4).max(window.congestion_window.saturating_sub(product));
        assert!(most_queued <= window.quantum + above, "{algorithm}: {most_queued} waited, {window:?}");
        simulation.run_until(seconds(23));
        let report = simulation.report();
        report.verify().unwrap();
    }
}

/// RFC 9002 §7.1 and RFC 8511 §3: a mark is an answer of the path like a loss, but nothing has to be sent again.
#[test]
fn marks_are_obeyed() {
    for algorithm in CLASSIC {
        for_seeds(SEEDS, |seed| {
            let path = Path::new(50, 40, 4.0);
            let link = path.link().with_discipline(Discipline::codel(true));
            let report = path.run_over(link, vec![path.flow(algorithm).with_ecn(); 2], seconds(30), seed);
            for flow in &report.flows {
                assert!(flow.reported_marks > 0 && flow.events.ecn_ce > 0, "{algorithm}: {:?}", flow.events);
                assert!(flow.events.ecn_ce <= flow.reported_marks, "{algorithm}: at most one answer a mark");
                // The first packets of a path are not all marked (RFC 9000 §13.4.2).
                let early = flow.samples.iter().find(|sample| sample.at >= seconds(3)).unwrap();
                assert_eq!(flow.declared_lost_bytes, early.declared_lost_bytes, "{algorithm}");
            }
            let wait = report.link.classic_wait.mean();
            assert!(wait < milliseconds(15), "{algorithm}: {wait:?}");
            let used = report.utilisation_between(seconds(5), seconds(30));
            assert!(used > 0.85, "{algorithm}: {used:.3}");
        });
    }
}

/// What holds for every controller, a constant window among them.
mod all {
    use super::*;

    /// Paths that are none of the grid's.
    fn harsh() -> Vec<(&'static str, sim::Link)> {
        let path = Path::new(20, 40, 1.0);
        let outage = |at: u64, loss: Loss| Change { at: seconds(at), loss: Some(loss), ..Change::default() };
        vec![
            ("one in twenty is lost", path.link().with_random_loss(50_000)),
            ("bursts are lost", path.link().with_loss(Loss::bursts(10_000, 3))),
            ("packets overtake each other", path.link().with_jitter(milliseconds(15), true)),
            ("the queue holds three packets", path.link().with_queue(4_500)),
            ("the queue holds a second", path.link().with_queue(2_500_000)),
            (
                "nothing arrives for three seconds",
                path.link().with_change(outage(1, Loss::Random(1_000_000))).with_change(outage(4, Loss::None)),
            ),
            (
                "the rate falls to a twentieth",
                path.link().with_change(Change { at: seconds(1), rate: Some(megabits(1)), ..Change::default() }),
            ),
            (
                "the round trip grows tenfold",
                path.link().with_change(Change {
                    at: seconds(1),
                    round_trip: Some(milliseconds(400)),
                    ..Change::default()
                }),
            ),
            ("acknowledgements are lost", sim::Link { acknowledgement_loss: 300_000, ..path.link() }),
            ("a dual queue", path.link().with_discipline(Discipline::dual_queue())),
            ("a queue with CoDel", path.link().with_discipline(Discipline::codel(true))),
        ]
    }

    #[test]
    fn a_transfer_ends_whatever_the_path_does() {
        let path = Path::new(20, 40, 1.0);
        for (name, link) in harsh() {
            for algorithm in Algorithm::ALL {
                for_seeds(if is_full() { 10 * SEEDS } else { SEEDS }, |seed| {
                    let flow = Flow { ecn: seed % 2 == 0, ..path.flow(algorithm).sending(3_000_000) };
                    let report = path.run_over(link.clone(), vec![flow], seconds(600), 1 + seed);
                    // 1.2 s at the link's rate, 24 s at a twentieth of it; who reacts to loss alone gets 0.35 Mbit/s of a path
                    // that loses one packet in twenty.
                    // LEDBAT++ takes a longer route for a queue until ten minutes have passed, and keeps to two datagrams a
                    // round trip: 413 s. It also begins with two, and bursts of losses last by packets, not by time.
                    let most = if algorithm == Algorithm::LEDBAT { 450 } else { 120 };
                    let completed = report.flows[0].completed;
                    assert!(completed.is_some_and(|at| at < seconds(most)), "{algorithm}, {name}: {completed:?}");
                    assert_eq!(report.flows[0].delivered_bytes, 3_000_000);
                });
            }
        }
    }

    /// RFC 9002 §7.6: what was sent for a long time is lost, so nothing is known of the path any more.
    #[test]
    fn persistent_congestion_leaves_four_datagrams_at_most() {
        let path = Path::new(20, 40, 4.0);
        for algorithm in Algorithm::ALL {
            let loss = |at: u64, loss: Loss| Change { at: seconds(at), loss: Some(loss), ..Change::default() };
            let link = path.link().with_change(loss(10, Loss::Random(1_000_000))).with_change(loss(15, Loss::None));
            let scenario = Scenario::new(link).with(path.flow(algorithm)).lasting(seconds(60));
            let mut simulation = Simulation::new(&scenario);
            let mut seen = 0;
            simulation.run_until_hearing(seconds(60), &mut |turn| {
                if turn.observed.persistent_congestion {
                    seen += 1;
                    assert!(turn.after.congestion_window <= 4 * 1_452, "{algorithm}: {:?}", turn.after);
                }
            });
            assert!(seen > 0, "{algorithm}: congestion was never persistent");
            simulation.report().verify().unwrap();
        }
    }

    /// RFC 9002 §7: no more than the window is in flight, but for what was before it shrank, and for two probes.
    #[test]
    fn no_more_than_the_window_is_in_flight() {
        for algorithm in Algorithm::ALL {
            for_seeds(SEEDS, |seed| {
                let link = Path::new(20, 40, 0.5).link().with_random_loss(5_000);
                let scenario = Scenario::new(link).with(Flow::new(algorithm)).lasting(seconds(20)).seeded(seed);
                let mut simulation = Simulation::new(&scenario);
                let mut most = simulation.controller(0).unwrap().window().congestion_window;
                simulation.run_until_hearing(seconds(20), &mut |turn| {
                    let in_flight = turn.observed.bytes_in_flight;
                    assert!(in_flight <= most + 2 * 1_452, "{algorithm}: {in_flight} of {most} at {:?}", turn.at);
                    most = turn.after.congestion_window.max(turn.observed.bytes_in_flight);
                });
                simulation.report().verify().unwrap();
            });
        }
    }

    #[test]
    fn a_path_that_changes_its_rate_is_found_again() {
        let path = Path::new(10, 30, 1.0);
        for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| algorithm.name() != "fixed") {
            let faster =
                Change { at: seconds(20), rate: Some(megabits(40)), queue: Some(150_000), ..Change::default() };
            let slower = Change { at: seconds(60), rate: Some(megabits(5)), ..Change::default() };
            let link = path.link().with_change(faster).with_change(slower);
            for_seeds(seeds_for(300_000), |seed| {
                let report = path.run_over(link.clone(), vec![path.flow(algorithm)], seconds(100), seed);
                let (up, down) = (
                    report.utilisation_between(seconds(40), seconds(60)),
                    report.utilisation_between(seconds(70), seconds(100)),
                );
                assert!(up > 0.7 && down > 0.7, "{algorithm}: {up:.3} {down:.3}");
            });
        }
    }
}
