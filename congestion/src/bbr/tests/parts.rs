//! The parts of the model, each for itself.

use proptest::prelude::*;

use super::*;
use model::{Aggregation, FullPipe, MaximumBandwidth, MinimumRtt, Rounds, scaled, volume};

#[test]
fn the_filter_of_max_bw_remembers_two_cycles_and_no_empty_one() {
    let mut filter = MaximumBandwidth::new(50);
    filter.update(40);
    filter.advance();
    filter.update(30);
    assert_eq!(filter.best(), 50);
    filter.advance();
    assert_eq!(filter.best(), 30);
    filter.advance();
    assert_eq!(filter.best(), 30, "a cycle without a sample");
}

#[test]
fn the_pipe_is_full_after_three_rounds_without_a_quarter_more() {
    let mut pipe = FullPipe::default();
    for (rate, count) in [(100, 0), (125, 0), (155, 1), (125, 2), (157, 0), (158, 1), (190, 2)] {
        pipe.on_round(rate);
        assert_eq!((pipe.count, pipe.now), (count, false), "{rate}");
    }
    pipe.on_round(100);
    assert!(pipe.now && pipe.reached);
    pipe.reset(0);
    assert!(!pipe.now && pipe.reached, "that it was ever full is remembered");
}

#[test]
fn a_round_passes_when_something_sent_in_it_is_acknowledged() {
    let mut rounds = Rounds::new(at(10));
    assert!(!rounds.update(at(20), Some(at(9))));
    assert!(rounds.update(at(30), Some(at(10))));
    assert!(!rounds.update(at(40), Some(at(29))));
    assert!(!rounds.update(at(40), None));
    rounds.start(at(50));
    assert!(!rounds.update(at(60), Some(at(49))));
    assert!(rounds.update(at(60), Some(at(50))));
    assert_eq!(rounds.count, 2);
}

#[test]
fn aggregation_is_what_the_bandwidth_does_not_explain() {
    // 1 MB/s: a thousand bytes a millisecond.
    let mut aggregation = Aggregation::new(at(0));
    aggregation.on_acknowledged(at(10), 5_000, 1_000_000, 100_000, 1);
    assert_eq!(aggregation.extra(false), 5_000, "an episode begins with what it brings");
    aggregation.on_acknowledged(at(12), 5_000, 1_000_000, 100_000, 1);
    assert_eq!(aggregation.extra(false), 8_000);
    aggregation.on_acknowledged(at(30), 1_000, 1_000_000, 100_000, 2);
    assert_eq!((aggregation.extra(false), aggregation.extra(true)), (8_000, 1_000));
    // No more than the window; and ten rounds are remembered.
    aggregation.on_acknowledged(at(31), 40_000, 1_000_000, 20_000, 3);
    assert_eq!(aggregation.extra(false), 20_000);
    for round in 4..=12 {
        aggregation.on_acknowledged(at(40 + round * 2_000_000), 1, 1_000_000, 20_000, round);
        assert_eq!(aggregation.extra(false), 20_000, "round {round}");
    }
    aggregation.on_acknowledged(at(60_000_000), 1, 1_000_000, 20_000, 13);
    assert_eq!(aggregation.extra(false), 1);
    aggregation.on_acknowledged(at(90_000_000), 7, 1_000_000, 20_000, 1 << 40);
    assert_eq!(aggregation.extra(false), 7);
}

#[test]
fn the_least_rtt_is_kept_for_ten_seconds_and_that_of_probes_for_five() {
    let mut minimum = MinimumRtt::new(at(0), None);
    let mut update = |now, sample| {
        minimum.update(at(now), Some(ms(sample)), Duration::from_secs(5), Duration::from_secs(10));
        (minimum.minimum, minimum.probe_expired)
    };
    assert_eq!(update(1, 50), (Some(ms(50)), false));
    assert_eq!(update(5000, 60), (Some(ms(50)), false));
    assert_eq!(update(5002, 60), (Some(ms(50)), true), "five seconds without a lower one");
    assert_eq!(update(9000, 70), (Some(ms(50)), false));
    assert_eq!(update(10_001, 80), (Some(ms(50)), false), "not yet ten");
    assert_eq!(update(10_002, 80).0, Some(ms(60)), "what the last probe saw");
    assert_eq!(update(10_003, 40).0, Some(ms(40)));
}

proptest! {
    #[test]
    fn gains_and_volumes_saturate(rate: u64, nanoseconds: u64, thousandths in 0_u64..5000) {
        let time = Duration::from_nanos(nanoseconds);
        let exact = u128::from(rate) * u128::from(nanoseconds) / 1_000_000_000;
        prop_assert_eq!(u128::from(volume(rate, time)), exact.min(u128::from(u64::MAX)));
        if rate < u64::MAX / 5 {
            prop_assert_eq!(scaled(rate, thousandths), (u128::from(rate) * u128::from(thousandths) / 1000) as u64);
        }
        prop_assert_eq!(scaled(INFINITE, thousandths), INFINITE);
    }
}
