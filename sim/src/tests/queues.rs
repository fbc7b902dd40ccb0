//! The queues against their RFCs.

use congestion::Algorithm;

use super::bench::{alone, constant, milliseconds, scalable_rate, seconds};
use crate::{Discipline, Flow, FlowReport, Link, Scenario, Simulation, megabits};

#[test]
fn a_drop_tail_queue_is_filled_and_codel_keeps_it_near_five_milliseconds() {
    let link = Link::new(megabits(50), milliseconds(50)).with_queue_of(4.0);
    let tail = alone(link.clone(), Flow::new(Algorithm::CUBIC), seconds(30));
    assert!(tail.link.classic_wait.mean() > milliseconds(60), "{:?}", tail.link.classic_wait.mean());
    let codel = alone(link.with_discipline(Discipline::codel(false)), Flow::new(Algorithm::CUBIC), seconds(30));
    // RFC 8289 §4.4: at a target of 5 % of the interval utilisation suffers little.
    assert!(codel.utilisation_between(seconds(5), seconds(30)) > 0.85);
    let (mean, median) = (codel.link.classic_wait.mean(), codel.link.classic_wait.quantile(0.5));
    assert!(mean < milliseconds(10) && median < milliseconds(8), "{mean:?} {median:?}");
    assert!(codel.flows[0].dropped_packets > 0 && codel.flows[0].lost_packets == 0);
}

#[test]
fn codel_marks_instead_of_dropping() {
    let link = Link::new(megabits(50), milliseconds(50)).with_queue_of(4.0).with_discipline(Discipline::codel(true));
    let report = alone(link, Flow::new(Algorithm::CUBIC).with_ecn(), seconds(30));
    let flow = &report.flows[0];
    // The slow start's overshoot may fill the queue once.
    assert!(flow.marked_packets > 10 && flow.reported_marks == flow.marked_packets, "{flow:?}");
    assert!(flow.dropped_packets == 0, "{}", flow.dropped_packets);
    assert!(report.link.classic_wait.mean() < milliseconds(15), "{:?}", report.link.classic_wait.mean());
}

/// RFC 8289 §5.4: while nothing helps, the n-th drop comes interval / sqrt(n) after the one before.
#[test]
fn codel_drops_ever_more_often_who_does_not_listen() {
    let link = Link::new(megabits(10), milliseconds(20)).with_queue(1 << 30).with_discipline(Discipline::codel(false));
    let report = alone(link, Flow::new(constant(200_000)), seconds(10));
    // The sum of interval / sqrt(n) up to N is about 2 interval sqrt(N): 10 s hold some 2,500 drops.
    let drops = report.flows[0].dropped_packets;
    assert!((2_000..3_000).contains(&drops), "{drops}");
}

#[test]
fn codel_leaves_a_burst_alone_that_is_gone_within_its_interval() {
    // 62,500 bytes are 50 ms at this rate: a queue above the target, but not for 100 ms.
    let link = Link::new(megabits(10), milliseconds(20)).with_queue(1 << 30).with_discipline(Discipline::codel(false));
    let bursts = crate::Source::Messages { bytes: 62_500, every: milliseconds(500) };
    let report = alone(link, Flow::new(constant(200_000)).with_source(bursts), seconds(10));
    assert!(report.link.classic_wait.most() > milliseconds(40));
    assert_eq!(report.flows[0].dropped_packets, 0);
}

#[test]
fn the_classic_queue_of_dualpi2_is_held_at_its_target() {
    for ecn in [false, true] {
        let link =
            Link::new(megabits(50), milliseconds(30)).with_queue_of(8.0).with_discipline(Discipline::dual_queue());
        let flow = Flow { ecn, ..Flow::new(Algorithm::CUBIC) };
        let report = Scenario::new(link).with_many(4, &flow).lasting(seconds(40)).run();
        report.verify().unwrap();
        let wait = report.link.classic_wait.mean();
        // RFC 9332 appendix A: the controller holds 15 ms in the mean.
        assert!((milliseconds(10)..milliseconds(20)).contains(&wait), "{wait:?}");
        let (marked, dropped) =
            report.flows.iter().fold((0, 0), |sum, flow| (sum.0 + flow.marked_packets, sum.1 + flow.dropped_packets));
        // All but the first overshoot is marked, if it can be.
        assert!(if ecn { marked > 4 * dropped } else { dropped > 0 && marked == 0 }, "{marked} {dropped}");
    }
}

/// RFC 9332 §2.1: the low-latency queue is marked with twice the square root of the classic drop probability.
#[test]
fn the_queues_of_dualpi2_are_coupled_by_a_square() {
    let link = Link::new(megabits(50), milliseconds(30)).with_queue_of(8.0).with_discipline(Discipline::dual_queue());
    let scenario = Scenario::new(link)
        .with_many(4, &Flow::new(Algorithm::NEW_RENO))
        .with(Flow::new(scalable_rate(1_000_000, megabits(2))).with_ecn())
        .lasting(seconds(120));
    let mut simulation = Simulation::new(&scenario);
    // Of classic packets, dropped and sent; of low-latency packets, marked and sent.
    let mut counts = |until| {
        simulation.run_until(until);
        let report = simulation.report();
        let (classic, scalable) = report.flows.split_at(4);
        let sum = |of: fn(&FlowReport) -> u64| classic.iter().map(of).sum::<u64>() as f64;
        let (dropped, sent) = (sum(|flow| flow.dropped_packets), sum(|flow| flow.sent_packets));
        ([dropped, sent, scalable[0].marked_packets as f64, scalable[0].sent_packets as f64], report)
    };
    let (early, _) = counts(seconds(20));
    let (late, report) = counts(seconds(120));
    report.verify().unwrap();
    let [dropped, sent, marked, marks_of] = std::array::from_fn(|place| late[place] - early[place]);
    let (found, expected) = (marked / marks_of, 2.0 * (dropped / sent).sqrt());
    // The mean of a root is less than the root of a mean, the more so the more the probability varies.
    assert!((0.7..1.05).contains(&(found / expected)), "{found} for {expected}");
    assert_eq!(report.flows[4].dropped_packets, 0);
    let wait = report.link.low_latency_wait.quantile(0.99);
    assert!(wait < milliseconds(2), "{wait:?}");
    assert!(report.link.classic_wait.mean() > milliseconds(10));
}

#[test]
fn who_ignores_the_marks_of_the_low_latency_queue_is_dropped_at_last() {
    let link = Link::new(megabits(10), milliseconds(20)).with_queue_of(8.0).with_discipline(Discipline::dual_queue());
    let report = alone(link, Flow::new(scalable_rate(1_000_000, megabits(20))).with_ecn(), seconds(20));
    let flow = &report.flows[0];
    assert!(flow.marked_packets > flow.sent_packets / 10, "{}", flow.marked_packets);
    assert!(flow.dropped_packets > flow.sent_packets / 10, "{}", flow.dropped_packets);
}

#[test]
fn what_the_reports_say_of_a_queue_is_what_its_flows_saw() {
    let link = Link::new(megabits(20), milliseconds(40)).with_queue(50_000);
    let report = alone(link, Flow::new(constant(1_000_000)), seconds(10));
    assert!(report.link.most_queued <= 50_000 && report.link.most_queued > 48_000);
    let flow = &report.flows[0];
    // 50,000 bytes and the one that is being sent, at 2.5 MB a second.
    let most = report.link.classic_wait.most();
    assert!((milliseconds(19)..milliseconds(21)).contains(&most), "{most:?}");
    assert!(flow.rtt.quantile(0.5) > milliseconds(58) && flow.rtt.quantile(0.99) < milliseconds(90), "{:?}", flow.rtt);
    assert!(flow.declared_lost_packets >= flow.dropped_packets - flow.dropped_packets / 10);
}
