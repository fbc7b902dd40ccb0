//! What happens to flows: beginnings, ends, swaps, other paths; and that nothing is lost whatever happens.

use std::time::Duration;

use congestion::Algorithm;
use proptest::prelude::*;

use super::bench::{alone, constant, milliseconds, seconds};
use crate::{Change, Discipline, Fault, Flow, Host, Link, Loss, Scenario, Simulation, Source, megabits};

#[test]
fn classic_controllers_fill_a_plain_link() {
    for algorithm in [Algorithm::NEW_RENO, Algorithm::CUBIC] {
        let report = alone(Link::new(megabits(50), milliseconds(50)), Flow::new(algorithm), seconds(20));
        let used = report.utilisation_between(seconds(5), seconds(20));
        assert!(used > 0.95, "{algorithm}: {used}");
    }
}

#[test]
fn a_transfer_ends_and_a_flow_that_is_stopped_says_no_more() {
    let link = Link::new(megabits(20), milliseconds(40));
    let report = alone(link.clone(), Flow::new(Algorithm::CUBIC).sending(1_000_000), seconds(20));
    let flow = &report.flows[0];
    assert_eq!(flow.delivered_bytes, 1_000_000);
    // 0.4 s at the link's rate, and some round trips of slow start.
    assert!((milliseconds(440)..milliseconds(800)).contains(&flow.completed.unwrap()), "{:?}", flow.completed);
    let stopped = Flow::new(Algorithm::CUBIC).starting(seconds(2)).stopping(seconds(5));
    let report = alone(link, stopped, seconds(20));
    let flow = &report.flows[0];
    assert_eq!(
        (flow.goodput_between(seconds(0), seconds(2)), flow.goodput_between(seconds(7), seconds(20))),
        (0.0, 0.0)
    );
    assert!(flow.completed.unwrap() < seconds(6));
}

#[test]
fn a_change_of_the_link_is_felt() {
    let link = Link::new(megabits(50), milliseconds(20))
        .with_change(Change { at: seconds(10), rate: Some(megabits(10)), ..Change::default() })
        .with_change(Change { at: seconds(20), round_trip: Some(milliseconds(120)), ..Change::default() })
        .with_change(Change { at: seconds(30), loss: Some(Loss::Random(1_000_000)), ..Change::default() })
        .with_change(Change { at: seconds(35), loss: Some(Loss::None), ..Change::default() });
    let report = alone(link, Flow::new(Algorithm::CUBIC), seconds(50));
    let goodput = |from, to| report.goodput_between(seconds(from), seconds(to));
    assert!(goodput(2, 10) > megabits(45) as f64);
    assert!((0.9 * megabits(10) as f64..1.01 * megabits(10) as f64).contains(&goodput(12, 20)), "{}", goodput(12, 20));
    let rtt = report.flows[0].samples.iter().find(|sample| sample.at >= seconds(25)).unwrap().smoothed_rtt;
    assert!(rtt >= milliseconds(120), "{rtt:?}");
    assert_eq!(goodput(31, 35), 0.0);
    assert!(report.flows[0].probe_timeouts > 0 && goodput(40, 50) > 0.5 * megabits(10) as f64, "{}", goodput(40, 50));
    // What the link could have carried is counted piece by piece.
    let offered = megabits(50) * 10 + megabits(10) * 40;
    assert!((report.link.offered_bytes / offered as f64 - 1.0).abs() < 1e-6);
}

#[test]
fn a_migration_begins_anew_and_loses_nothing() {
    let link = Link::new(megabits(20), milliseconds(200)).with_change(Change {
        at: seconds(5),
        round_trip: Some(milliseconds(20)),
        ..Change::default()
    });
    let flow = Flow::new(Algorithm::CUBIC).migrating(seconds(5)).sending(20_000_000);
    let report = Scenario::new(link).with(flow).lasting(seconds(20)).sampled(20_000).run();
    report.verify().unwrap();
    let flow = &report.flows[0];
    assert_eq!(flow.delivered_bytes, 20_000_000);
    let later = |at| flow.samples.iter().find(|sample| sample.at >= at).unwrap();
    let (before, after) = (later(milliseconds(4999)), later(milliseconds(5005)));
    assert!(before.congestion_window > 20 * 1452 && after.congestion_window < 15_000, "{before:?} {after:?}");
    let rtt = later(milliseconds(5500)).smoothed_rtt;
    assert!(rtt < milliseconds(120), "{rtt:?}");
}

#[test]
fn a_swap_changes_the_controller_and_nothing_else() {
    let link = Link::new(megabits(20), milliseconds(40));
    let flow =
        Flow::new(Algorithm::CUBIC).swapping(seconds(5), Algorithm::NEW_RENO).swapping(seconds(8), Algorithm::CUBIC);
    let report = alone(link, flow, seconds(20));
    let flow = &report.flows[0];
    let names: Vec<_> = flow.swaps.iter().map(|swap| (swap.from.name(), swap.to.name(), swap.at)).collect();
    assert_eq!(names, [("cubic", "newreno", seconds(5)), ("newreno", "cubic", seconds(8))]);
    for swap in &flow.swaps {
        assert!(swap.window_after <= swap.window_before && swap.bytes_in_flight > 0, "{swap:?}");
        assert!(swap.goodput_after > 0.9 * swap.goodput_before, "{swap:?}");
        assert!(swap.sent_in_next_round > 0 && swap.sent_in_next_round <= 2 * swap.window_before, "{swap:?}");
    }
    assert_eq!(flow.algorithm, Algorithm::CUBIC);
    assert!(flow.states.iter().any(|change| change.controller == "newreno" && change.at == seconds(5)));
    let total: Duration = flow.state_times.iter().map(|(_, time)| *time).sum();
    assert_eq!(total, seconds(20));
}

#[test]
fn an_application_that_writes_little_is_not_held_up_and_its_window_is_not_inflated() {
    let link = Link::new(megabits(50), milliseconds(40));
    for source in [Source::Rate(125_000), Source::Messages { bytes: 12_500, every: milliseconds(100) }] {
        let report = alone(link.clone(), Flow::new(Algorithm::CUBIC).with_source(source), seconds(30));
        let goodput = report.goodput_between(seconds(5), seconds(25));
        assert!((goodput / 125_000.0 - 1.0).abs() < 0.02, "{source:?}: {goodput}");
        let window = report.flows[0].largest_window_between(seconds(5), seconds(30));
        assert!(window <= 40_000, "{source:?}: {window}");
        assert!(report.flows[0].rtt.quantile(0.5) < milliseconds(70));
    }
    let on_off = Source::OnOff { on: milliseconds(500), off: milliseconds(500) };
    let report = alone(link, Flow::new(constant(100_000)).with_source(on_off), seconds(10));
    // 2.5 MB a second for half of the time.
    let goodput = report.goodput_between(seconds(2), seconds(10));
    assert!((goodput / 1_250_000.0 - 1.0).abs() < 0.1, "{goodput}");
}

#[test]
fn jitter_delays_and_only_disorder_makes_losses_that_were_none() {
    let link = Link::new(megabits(20), milliseconds(40)).with_queue_of(4.0);
    let flow = Flow::new(constant(100_000));
    let plain = alone(link.clone(), flow.clone(), seconds(10));
    let jitter = alone(link.clone().with_jitter(milliseconds(10), false), flow.clone(), seconds(10));
    let disorder = alone(link.with_jitter(milliseconds(10), true), flow, seconds(10));
    assert!(jitter.flows[0].rtt.mean() > plain.flows[0].rtt.mean() + milliseconds(1));
    assert_eq!((plain.flows[0].declared_lost_packets, jitter.flows[0].declared_lost_packets), (0, 0));
    assert!(disorder.flows[0].spurious_losses > 100, "{}", disorder.flows[0].spurious_losses);
    assert_eq!(disorder.flows[0].lost_packets, 0);
}

#[test]
fn coalescing_and_coarse_timers_cost_delay_not_throughput() {
    let link = Link::new(megabits(100), milliseconds(10)).with_queue_of(2.0);
    let host = Host { coalescing: Duration::from_micros(500), timer: milliseconds(1), ..Host::new() };
    let fine = alone(link.clone(), Flow::new(Algorithm::CUBIC), seconds(10));
    let coarse = alone(link.clone(), Flow::new(Algorithm::CUBIC).between(host), seconds(10));
    assert!(coarse.flows[0].turns < fine.flows[0].turns / 2, "{} {}", coarse.flows[0].turns, fine.flows[0].turns);
    assert!(coarse.utilisation_between(seconds(2), seconds(10)) > 0.95);
    // A packet that comes alone waits at both ends.
    let host = Host { packets_per_acknowledgement: 1, ..host };
    let lone = Flow::new(Algorithm::CUBIC).with_source(Source::Rate(29_040)).between(host);
    let rtt = alone(link, lone, seconds(10)).flows[0].rtt.clone();
    assert!(rtt.least() >= milliseconds(11) && rtt.most() < milliseconds(12), "{:?} {:?}", rtt.least(), rtt.most());
}

#[test]
fn extra_distance_is_in_the_round_trip_and_flows_share_the_link() {
    let link = Link::new(megabits(20), milliseconds(10));
    let far = Flow::new(constant(20_000)).farther(milliseconds(90));
    let report = Scenario::new(link).with(Flow::new(constant(20_000))).with(far).lasting(seconds(10)).run();
    let [near, far] = [0, 1].map(|flow| report.flows[flow].rtt.least());
    assert!((milliseconds(10)..milliseconds(12)).contains(&near), "{near:?}");
    assert!((milliseconds(100)..milliseconds(102)).contains(&far), "{far:?}");
    let [near, far] = [0, 1].map(|flow| report.flows[flow].goodput_between(seconds(2), seconds(10)));
    assert!((near + far) < megabits(20) as f64 * 1.001 && near > 5.0 * far);
}

#[test]
fn a_window_that_is_too_small_is_found() {
    let report = Scenario::new(Link::new(megabits(10), milliseconds(10))).with(Flow::new(constant(2_000))).run();
    let fault = report.verify().unwrap_err();
    assert!(matches!(fault.fault, Fault::WindowBelowMinimum { window: 2_000, .. }), "{fault}");
}

#[test]
fn a_simulation_may_be_looked_at_in_between_and_every_turn_be_heard() {
    let scenario = Scenario::new(Link::new(megabits(10), milliseconds(20))).with(Flow::new(Algorithm::CUBIC));
    let mut simulation = Simulation::new(&scenario);
    let (mut turns, mut acknowledged) = (0, 0);
    simulation.run_until_hearing(seconds(3), &mut |turn| {
        turns += 1;
        acknowledged += turn.observed.acknowledged_bytes;
        assert_eq!(turn.after, turn.controller.window());
    });
    assert_eq!(simulation.elapsed(), seconds(3));
    let delivered = simulation.delivered_bytes(0);
    assert!(acknowledged <= delivered + 1452 && delivered <= acknowledged + 200_000, "{acknowledged} {delivered}");
    assert!(simulation.bytes_in_flight(0) > 0 && simulation.controller(0).is_some());
    simulation.run_until(seconds(10));
    let report = simulation.report();
    assert!(report.flows[0].turns > turns);
    assert_eq!(report.flows[0].delivered_bytes, Scenario { ..scenario }.run().flows[0].delivered_bytes);
}

fn disciplines() -> impl Strategy<Value = Discipline> {
    prop_oneof![
        Just(Discipline::DropTail),
        Just(Discipline::codel(true)),
        Just(Discipline::codel(false)),
        Just(Discipline::dual_queue()),
    ]
}

fn losses() -> impl Strategy<Value = Loss> {
    prop_oneof![
        Just(Loss::None),
        (0_u32..300_000).prop_map(Loss::Random),
        (0_u32..100_000, 1_u32..8).prop_map(|(share, length)| Loss::bursts(share, length)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_link_does_every_byte_arrives(
        (rate, rtt, queue) in (1_u64..200, 0_u64..300, 1_500_u64..1_000_000),
        (discipline, loss) in (disciplines(), losses()),
        (jitter, reorders, acknowledgement_loss) in (0_u64..50, any::<bool>(), 0_u32..300_000),
        (every, coalescing, timer) in (1_u64..20, 0_u64..5, 0_u64..5),
        swaps in prop::collection::vec((0_u64..20_000, 0_usize..Algorithm::ALL.len()), 0..10),
        (migration, ecn, seed) in (0_u64..20_000, any::<bool>(), any::<u64>()),
    ) {
        let mut link = Link::new(megabits(rate), milliseconds(rtt))
            .with_queue(queue)
            .with_discipline(discipline)
            .with_loss(loss)
            .with_jitter(milliseconds(jitter), reorders);
        link.acknowledgement_loss = acknowledgement_loss;
        let host = Host {
            packets_per_acknowledgement: every,
            coalescing: milliseconds(coalescing),
            timer: milliseconds(timer),
            ..Host::new()
        };
        let mut flow = Flow { ecn, ..Flow::new(Algorithm::CUBIC).sending(300_000).between(host).migrating(milliseconds(migration)) };
        for (at, to) in swaps {
            flow = flow.swapping(milliseconds(at), Algorithm::ALL[to]);
        }
        let report = Scenario::new(link).with_many(2, &flow).lasting(seconds(100_000)).seeded(seed).run();
        prop_assert_eq!(report.verify(), Ok(()));
        for flow in &report.flows {
            prop_assert!(flow.completed.is_some(), "{} bytes", flow.delivered_bytes);
            prop_assert_eq!(flow.delivered_bytes, 300_000);
        }
    }
}
