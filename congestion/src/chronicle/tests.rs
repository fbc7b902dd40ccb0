use core::time::Duration;

use super::*;
use crate::{InitialConditions, RttView};

const RTT: Duration = Duration::from_millis(50);

struct Bench {
    chronicle: Chronicle,
    controller: Box<dyn Controller>,
    now: Time,
}

impl Bench {
    fn new() -> Self {
        let now = Time::from_nanos(1_000_000_000);
        let conditions = InitialConditions {
            datagram_size: 1200,
            initial_window: Some(120_000),
            now,
            ..InitialConditions::default()
        };
        let algorithm = Algorithm::CUBIC;
        let chronicle = Chronicle::new(algorithm, RateMeter::new(now));
        Self { chronicle, controller: algorithm.start(&conditions), now }
    }

    fn observed(&self, bytes: u64, lost: u64) -> Observed {
        Observed {
            now: self.now,
            acknowledged_bytes: bytes,
            acknowledged_packets: bytes / 1200,
            largest_acknowledged_sent_at: Some(self.now.saturating_before(RTT)),
            lost_packets: lost,
            lost_bytes: lost * 1200,
            largest_lost_sent_at: (lost > 0).then(|| self.now.saturating_before(RTT)),
            rtt: RttView { latest: RTT, smoothed: RTT, variation: RTT / 8, minimum: RTT },
            rtt_sample: Some(RTT),
            prior_in_flight: 120_000,
            bytes_in_flight: 120_000 - bytes.min(120_000),
            datagram_size: 1200,
            ..Observed::default()
        }
    }

    /// So many turns of ten milliseconds; the verdict if one came.
    fn run(&mut self, turns: u64, bytes: u64, lost: u64) -> Option<Verdict> {
        let mut verdict = None;
        for _ in 0..turns {
            self.now += Duration::from_millis(10);
            let observed = self.observed(bytes, lost);
            self.controller.on_observed(&observed);
            verdict = verdict.or(self.chronicle.observe(&observed));
        }
        verdict
    }

    fn succeed(&mut self, cause: Cause) -> Change {
        let snapshot = self.controller.snapshot(self.now);
        let (controller, change) = self.chronicle.succeed(cause, &snapshot, self.now);
        self.controller = controller;
        change
    }

    fn try_out(&mut self) -> Change {
        let bounds = TrialBounds { period: Duration::from_secs(2), ..TrialBounds::default() };
        self.succeed(Cause::Ordered(Order {
            algorithm: Algorithm::NEW_RENO,
            trial: Some(bounds),
            trigger: Trigger::Cli,
        }))
    }
}

#[test]
fn a_change_is_written_down_with_what_was_achieved_before_and_after() {
    let mut bench = Bench::new();
    bench.run(300, 12_000, 0);
    let change = bench.succeed(Cause::Ordered(Algorithm::NEW_RENO.into()));
    assert_eq!((change.from, change.to, change.trigger), (Algorithm::CUBIC, Algorithm::NEW_RENO, Trigger::Library));
    assert_eq!((change.before.goodput, change.before.loss_rate), (1_200_000, 0));
    assert_eq!(change.window_after, change.window_before);
    bench.run(300, 6_000, 0);
    let remembered: alloc::vec::Vec<Change> = bench.chronicle.changes().collect();
    assert_eq!((remembered.len(), remembered[0].after.goodput), (1, 600_000));
    bench.succeed(Cause::Ordered(Algorithm::CUBIC.into()));
    bench.run(300, 12_000, 0);
    let after: alloc::vec::Vec<u64> = bench.chronicle.changes().map(|change| change.after.goodput).collect();
    assert_eq!(after, [600_000, 1_200_000], "what was settled stays");
}

#[test]
fn sixteen_changes_are_remembered_and_a_seventeenth_takes_the_place_of_the_oldest() {
    let mut bench = Bench::new();
    for change in 0..REMEMBERED_CHANGES as u64 + 1 {
        bench.run(1, 1200 + change, 0);
        bench.succeed(Cause::Ordered(Algorithm::CUBIC.into()));
    }
    assert_eq!(bench.chronicle.changes().len(), REMEMBERED_CHANGES);
    let first = bench.chronicle.changes().next().unwrap();
    assert_eq!(first.at, Time::from_nanos(1_020_000_000), "the change of the second turn");
}

#[test]
fn a_controller_that_keeps_the_bounds_stays() {
    let mut bench = Bench::new();
    bench.run(300, 12_000, 0);
    assert!(bench.try_out().on_trial && bench.chronicle.is_on_trial());
    assert_eq!(bench.run(199, 11_000, 0), None, "not before the period is over");
    assert_eq!(bench.run(1, 11_000, 0), Some(Verdict::Kept));
    assert!(!bench.chronicle.is_on_trial());
    assert_eq!(bench.chronicle.changes().last().unwrap().verdict, Some(Verdict::Kept));
    assert_eq!(bench.chronicle.algorithm(), Algorithm::NEW_RENO);
}

#[test]
fn a_controller_with_less_goodput_or_more_loss_gives_way_to_its_predecessor() {
    for (bytes, lost, expected) in [(8_400, 0, Verdict::GoodputFell), (12_000, 1, Verdict::LossRose)] {
        let mut bench = Bench::new();
        bench.run(300, 12_000, 0);
        bench.try_out();
        assert_eq!(bench.run(250, bytes, lost), Some(expected));
        let window = bench.controller.window().congestion_window;
        let change = bench.succeed(Cause::TrialFailed);
        assert_eq!((change.to, change.trigger), (Algorithm::CUBIC, Trigger::Rollback));
        assert_eq!(change.window_after, window, "nothing leaves in a burst");
        assert!(!bench.chronicle.is_on_trial());
        let tried = bench.chronicle.changes().next().unwrap();
        assert_eq!((tried.verdict, tried.on_trial), (Some(expected), false));
    }
}

#[test]
fn after_a_rollback_the_window_of_before_is_reached_by_slow_start() {
    let mut bench = Bench::new();
    bench.run(100, 12_000, 0);
    let before = bench.try_out().window_before;
    bench.run(30, 1_200, 1);
    let collapsed = Observed { persistent_congestion: true, ..bench.observed(0, 1) };
    bench.controller.on_observed(&collapsed);
    assert_eq!(bench.chronicle.observe(&collapsed), Some(Verdict::PersistentCongestion), "at once");
    let change = bench.succeed(Cause::TrialFailed);
    assert!(change.window_after < before / 4, "{change:?}");
    bench.run(100, 12_000, 0);
    let window = bench.controller.window().congestion_window;
    assert!(window >= before, "{window} of {before}");
}

#[test]
fn a_trial_in_which_the_application_had_nothing_to_send_proves_nothing() {
    let mut bench = Bench::new();
    bench.run(300, 12_000, 0);
    bench.try_out();
    bench.now += Duration::from_secs(3);
    let idle = Observed { application_limited: true, ..bench.observed(1_200, 0) };
    assert_eq!(bench.chronicle.observe(&idle), Some(Verdict::Unproven));
    assert!(!bench.chronicle.is_on_trial());
}

#[test]
fn a_trial_ends_unproven_where_the_path_does() {
    let mut bench = Bench::new();
    bench.run(300, 12_000, 0);
    bench.try_out();
    bench.run(50, 1_200, 5);
    bench.chronicle.restart(bench.now);
    assert_eq!(bench.run(300, 12_000, 0), None);
    let change = bench.chronicle.changes().last().unwrap();
    assert_eq!((change.verdict, change.on_trial), (Some(Verdict::Unproven), false));
    assert_eq!(change.after.goodput, 1_200_000, "of the new path");
}

#[test]
fn a_choice_holds_through_rollbacks_and_panics_and_a_rule_is_none() {
    for trigger in [Trigger::Library, Trigger::Cli, Trigger::Api, Trigger::Dashboard] {
        assert!(trigger.leaves_choice(false), "{trigger}");
    }
    assert!(!Trigger::Config.leaves_choice(true));
    for trigger in [Trigger::Rollback, Trigger::Panic] {
        assert!(trigger.leaves_choice(true) && !trigger.leaves_choice(false), "{trigger}");
    }
}

#[test]
fn newreno_takes_the_place_of_a_controller_that_panicked() {
    let mut bench = Bench::new();
    bench.run(10, 12_000, 0);
    let change = bench.succeed(Cause::Panicked);
    assert_eq!((change.to, change.trigger), (Algorithm::NEW_RENO, Trigger::Panic));
    assert_eq!(change.window_after, change.window_before);
}
