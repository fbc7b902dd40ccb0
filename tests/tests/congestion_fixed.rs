//! The constant window over the simulated bottleneck.

use std::time::Duration;

use congestion::Algorithm;
use quicast_tests::congestion::{Path, SEEDS};
use quicast_tests::{for_seeds, is_full};
use sim::{Change, Discipline, Loss, Source};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn seeds(some: u64) -> u64 {
    if is_full() { SEEDS } else { some }
}

fn fixed(window: f64) -> Algorithm {
    let text = format!("fixed:window={}", window as u64);
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A window a round trip, or the link: W/RTT below the BDP, all above it, if the queue holds the rest.
#[test]
fn a_window_of_w_carries_w_over_rtt() {
    for rate in [10, 100, 1_000] {
        for round_trip in [1, 20, 100] {
            for share in [0.25, 0.5, 1.5] {
                let path = Path::new(rate, round_trip, 1.0);
                // At least three datagrams: an acknowledgement of a single one waits for a second or for 25 ms.
                let window = (path.product() * share).max(6.0 * 1452.0);
                let link = path.link().with_queue((1.5 * path.product() + 20_000.0) as u64);
                let report = path.run_over(link, vec![path.flow(fixed(window))], s(10), 0);
                let carried = report.goodput_between(s(3), s(10));
                // The window is filled in whole datagrams, and the first bit waits for the last.
                let round_trip = path.round_trip.as_secs_f64() + 1452.0 / path.rate();
                let expected = ((window / 1452.0).floor() * 1452.0 / round_trip).min(path.rate());
                let off = carried / expected;
                assert!((0.9..1.02).contains(&off), "{path}, {share} BDP: {carried} for {expected}");
                assert_eq!(report.flows[0].declared_lost_packets, 0);
            }
        }
    }
}

#[test]
fn a_pacing_rate_is_kept() {
    let path = Path::new(100, 20, 1.0);
    let paced: Algorithm = "fixed:window=1000000,pacing_rate=2500000".parse().unwrap();
    for_seeds(seeds(4), |seed| {
        let report = path.run_over(path.link(), vec![path.flow(paced)], s(10), seed);
        let carried = report.goodput_between(s(2), s(10));
        assert!((0.97..1.001).contains(&(carried / 2_500_000.0)), "{carried}");
        assert!(report.link.classic_wait.quantile(0.99) < ms(2));
    });
}

/// The reason why it is not for the Internet.
#[test]
fn neither_loss_nor_marks_slow_it_down() {
    let path = Path::new(100, 20, 1.0);
    let window = path.product() / 2.0;
    for loss in [100, 1_000, 10_000, 50_000] {
        for_seeds(seeds(2), |seed| {
            let report = path.run_over(path.link().with_random_loss(loss), vec![path.flow(fixed(window))], s(20), seed);
            let carried = report.goodput_between(s(2), s(20)) / (window / path.round_trip.as_secs_f64());
            // Half of the link; what is lost is sent again, and a lost packet fills the window until it is found.
            assert!(carried > 0.85, "{loss} in a million: {carried}");
            assert_eq!(report.flows[0].events.loss, 0);
        });
    }
    let marking = path.link().with_discipline(Discipline::codel(true)).with_queue_of(4.0);
    let report = path.run_over(marking, vec![path.flow(fixed(2.0 * path.product())).with_ecn()], s(10), 1);
    assert!(report.flows[0].marked_packets > 100 && report.utilisation_between(s(2), s(10)) > 0.99);
}

#[test]
fn flows_share_a_link_as_their_windows() {
    let path = Path::new(100, 20, 4.0);
    for flows in [2, 4, 16] {
        for_seeds(seeds(2), |seed| {
            let window = 3.0 * path.product() / flows as f64;
            let report = path.run_over(path.link(), vec![path.flow(fixed(window)); flows], s(20), seed);
            let fairness = report.fairness_between(s(5), s(20));
            assert!(fairness > 0.97, "{flows}: {fairness}");
        });
    }
    let unequal = vec![path.flow(fixed(2.0 * path.product())), path.flow(fixed(path.product()))];
    let report = path.run_over(path.link(), unequal, s(20), 1);
    let ratio = report.flows[0].goodput_between(s(5), s(20)) / report.flows[1].goodput_between(s(5), s(20));
    assert!((1.9..2.1).contains(&ratio), "{ratio}");
}

/// An outage of three seconds is persistent congestion (RFC 9002 §7.6): the window falls to two datagrams and comes back by what is
/// acknowledged.
#[test]
fn an_outage_is_answered_and_got_over() {
    let path = Path::new(20, 20, 2.0);
    let dark = |at, loss| Change { at, loss: Some(loss), ..Change::default() };
    for_seeds(seeds(4), |seed| {
        let link = path.link().with_change(dark(s(5), Loss::Random(1_000_000))).with_change(dark(s(8), Loss::None));
        let report = path.run_over(link, vec![path.flow(fixed(path.product()))], s(30), seed);
        let flow = &report.flows[0];
        assert!(flow.events.persistent >= 1, "{:?}", flow.events);
        assert!(flow.samples.iter().any(|sample| sample.congestion_window <= 4 * 1452));
        let used = report.utilisation_between(s(20), s(30));
        // A seed lengthens the round trip by up to a tenth, and a window of one product does not fill that.
        assert!(used > 0.85, "{used}");
    });
}

#[test]
fn an_application_that_writes_little_gets_through_at_once() {
    let path = Path::new(100, 20, 1.0);
    let flow = path.flow(fixed(1e6)).with_source(Source::Messages { bytes: 100_000, every: ms(500) });
    let report = path.run_over(path.link(), vec![flow], s(10), 1);
    assert_eq!(report.flows[0].declared_lost_packets, 0);
    assert!(report.goodput_between(s(2), s(10)) > 0.95 * 200_000.0);
}

#[test]
fn it_takes_over_from_cubic_and_hands_back_what_the_path_sustained() {
    let path = Path::new(100, 20, 1.0);
    for_seeds(seeds(4), |seed| {
        let flow = path.flow(Algorithm::CUBIC).swapping(s(8), fixed(60_000.0)).swapping(s(16), Algorithm::CUBIC);
        let report = path.run_over(path.link(), vec![flow], s(24), seed);
        let swaps = &report.flows[0].swaps;
        assert!(swaps[0].window_after == 60_000 && swaps[0].window_before > 60_000, "{:?}", swaps[0]);
        assert_eq!(swaps[1].window_after, 60_000);
        let expected = 60_000.0 / path.round_trip.as_secs_f64() / path.rate();
        let held = report.utilisation_between(s(10), s(16));
        assert!((0.85..1.15).contains(&(held / expected)), "{held} for {expected}");
        // Slow start to the threshold of before: well within a second.
        let after = report.utilisation_between(s(17), s(24));
        assert!(after > 0.95, "{after}");
    });
}
