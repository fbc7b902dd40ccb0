//! Turns as a path without surprises brings them, and what the rate does.

use std::vec::Vec;

use super::utility::MEGABIT;
use super::*;
use crate::{Delivery, RttView};

const SIZE: u64 = 1200;
const RTT: Duration = Duration::from_millis(50);

/// A path of so much bandwidth with a queue that is never full, in steps of a millisecond.
struct Bench {
    controller: Pcc,
    now: Time,
    /// Bytes a second.
    bandwidth: f64,
    /// Of a hundred packets, so many are lost.
    loses: u64,
    queue: f64,
    /// Bytes sent in each millisecond, with the RTT they are going to have.
    sent: Vec<(Time, u64, Duration)>,
    heard: usize,
    in_flight: u64,
    credit: f64,
    packets: u64,
    /// Bytes a second that the application has, if it is not more than the rate.
    application: f64,
}

impl Bench {
    fn new(megabits: f64) -> Self {
        let now = Time::from_nanos(1_000_000_000);
        let conditions = InitialConditions { datagram_size: 1200, initial_window: None, now, seed: 7 };
        Self::with(Pcc::new(&conditions, &Parameters::defaults(PARAMETERS)), now, megabits)
    }

    fn with(controller: Pcc, now: Time, megabits: f64) -> Self {
        Self {
            controller,
            now,
            bandwidth: megabits * MEGABIT,
            loses: 0,
            queue: 0.0,
            sent: Vec::new(),
            heard: 0,
            in_flight: 0,
            credit: 0.0,
            packets: 0,
            application: f64::INFINITY,
        }
    }

    fn run(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.now += Duration::from_millis(1);
            self.hear();
            self.send();
        }
    }

    fn send(&mut self) {
        let window = self.controller.window();
        let rate = if window.pacing_rate == 0 { f64::INFINITY } else { window.pacing_rate as f64 };
        let room = window.congestion_window.saturating_sub(self.in_flight);
        self.credit = (self.credit + rate.min(self.application) / 1000.0).min(room as f64);
        let bytes = (self.credit as u64 / SIZE) * SIZE;
        self.credit -= bytes as f64;
        self.queue = (self.queue + bytes as f64 - self.bandwidth / 1000.0).max(0.0);
        let rtt = RTT + Duration::from_secs_f64(self.queue / self.bandwidth);
        self.sent.push((self.now, bytes, rtt));
        self.in_flight += bytes;
    }

    fn hear(&mut self) {
        let (mut acknowledged, mut lost, mut newest) = (0, 0, None);
        let prior_in_flight = self.in_flight;
        while let Some((at, bytes, rtt)) = self.sent.get(self.heard).copied()
            && at + rtt <= self.now
        {
            self.heard += 1;
            for _ in 0..bytes / SIZE {
                self.packets += 1;
                // Spread evenly: 37 and 100 have no common divisor.
                if self.packets * 37 % 100 < self.loses { lost += 1 } else { acknowledged += 1 }
            }
            newest = if bytes > 0 { Some((at, rtt)) } else { newest };
        }
        let Some((at, sample)) = newest else { return };
        self.in_flight -= (acknowledged + lost) * SIZE;
        let rate = (self.bandwidth as u64).min((acknowledged * SIZE) * 1000);
        let observed = Observed {
            now: self.now,
            acknowledged_bytes: acknowledged * SIZE,
            acknowledged_packets: acknowledged,
            largest_acknowledged_sent_at: (acknowledged > 0).then_some(at),
            lost_bytes: lost * SIZE,
            lost_packets: lost,
            largest_lost_sent_at: (lost > 0).then_some(at),
            rtt: RttView { latest: sample, smoothed: sample, variation: sample / 8, minimum: RTT },
            rtt_sample: (acknowledged > 0).then_some(sample),
            delivery: Some(Delivery { rate, application_limited: self.application.is_finite(), ..Delivery::default() }),
            bytes_in_flight: self.in_flight,
            prior_in_flight,
            application_limited: true,
            ..Observed::default()
        };
        self.controller.on_observed(&observed);
    }

    fn megabits(&self) -> f64 {
        self.controller.rate / MEGABIT
    }
}

#[test]
fn starting_doubles_each_interval_and_ends_with_what_the_path_delivers() {
    let mut bench = Bench::new(50.0);
    bench.run(52);
    // The initial window in an RTT, and twice that in the next.
    let first = bench.megabits();
    assert!((first - 2.0 * 12_000.0 / 0.05 / MEGABIT).abs() < 0.1, "{first}");
    assert_eq!(bench.controller.state(), "slow_start");
    bench.run(160);
    let later = bench.megabits() / first;
    assert!((3.9..8.1).contains(&later), "{later}");
    bench.run(500);
    assert_ne!(bench.controller.state(), "slow_start");
    assert!((40.0..55.0).contains(&bench.megabits()), "{}", bench.megabits());
    assert!(bench.controller.snapshot(bench.now).slow_start_threshold.is_some());
    // Its queue is gone, and no other comes.
    bench.run(1000);
    for _ in 0..50 {
        bench.run(100);
        assert!((42.0..55.0).contains(&bench.megabits()), "{}", bench.megabits());
        assert!(bench.queue / bench.bandwidth < 0.01, "{}", bench.queue);
    }
}

#[test]
fn four_trials_lie_around_the_rate_two_above_and_two_below_and_steps_follow() {
    let mut bench = Bench::new(1000.0);
    let snapshot = Snapshot {
        congestion_window: 500_000,
        smoothed_rtt: Some(RTT),
        minimum_rtt: Some(RTT),
        datagram_size: 1200,
        seed: 3,
        ..Snapshot::default()
    };
    let parameters = Parameters::defaults(PARAMETERS);
    bench.controller = Pcc::from_snapshot(&snapshot, bench.now, &parameters);
    // 500 kB in 50 ms are 80 Mbit/s.
    assert!((bench.megabits() - 80.0).abs() < 1e-6);
    assert_eq!(bench.controller.state(), "probe_bw");
    let mut sending = Vec::new();
    while bench.controller.state() == "probe_bw" {
        bench.run(1);
        let rate = bench.controller.sending / MEGABIT;
        if sending.last() != Some(&rate) {
            sending.push(rate);
        }
    }
    let (high, low) = (84.0, 76.0);
    let of = |wanted: f64| sending.iter().filter(|rate| (*rate - wanted).abs() < 1e-6).count();
    // Two equal ones may follow each other.
    assert!(of(high) >= 1 && of(low) >= 1 && of(high) + of(low) >= 3, "{sending:?}");
    // x^0.9 from 76 to 84 Mbit/s: (53.93 - 49.28) / 8 = 0.5805; 0.03 times the root of 80 times that.
    assert!((bench.megabits() - 80.0 - 0.03 * 80.0_f64.sqrt() * 0.5805).abs() < 0.001, "{}", bench.megabits());
    assert_eq!(bench.controller.state(), "congestion_avoidance");
    bench.run(2000);
    assert!(bench.megabits() > 90.0, "steps become larger: {}", bench.megabits());
}

#[test]
fn a_rate_above_the_path_is_found_out_and_left() {
    let mut bench = Bench::new(50.0);
    bench.run(3000);
    bench.bandwidth = 25.0 * MEGABIT;
    bench.run(4000);
    assert!(bench.megabits() < 27.0, "{}", bench.megabits());
    assert!(bench.controller.snapshot(bench.now).last_reduction.is_some());
    bench.run(3000);
    assert!(bench.queue / bench.bandwidth < 0.05, "{}", bench.queue);
}

#[test]
fn one_percent_of_loss_is_taken_for_what_it_is_and_forty_are_not() {
    let mut bench = Bench::new(50.0);
    bench.loses = 1;
    bench.run(10_000);
    assert!(bench.megabits() > 40.0, "{}", bench.megabits());
    bench.loses = 40;
    let before = bench.controller.events().loss;
    bench.run(1000);
    assert!(bench.megabits() < 10.0 && bench.controller.events().loss > before, "{}", bench.megabits());
}

#[test]
fn what_the_application_limits_is_no_trial() {
    let mut bench = Bench::new(1000.0);
    bench.application = 8.0 * MEGABIT;
    bench.run(5000);
    // Starting doubles as long as half of the rate is used; what it hears then is that this was no trial.
    let after = bench.megabits();
    assert!(after < 8.0 * 4.0, "{after}");
    bench.run(20_000);
    assert!((bench.megabits() - after).abs() < 1e-9, "{} after {after}", bench.megabits());
}

#[test]
fn after_a_pause_it_goes_on_without_a_burst() {
    let mut bench = Bench::new(50.0);
    bench.run(3000);
    let before = bench.megabits();
    bench.application = 0.0;
    bench.run(10_000);
    bench.application = f64::INFINITY;
    bench.run(500);
    assert!((bench.megabits() / before - 1.0).abs() < 0.3, "{} after {before}", bench.megabits());
    // Half a millisecond's worth, and never unpaced.
    let window = bench.controller.window();
    assert!(window.quantum <= (window.pacing_rate / 500).max(2400), "{window:?}");
}

#[test]
fn a_mark_is_a_lost_packet_to_the_utility() {
    let conditions = InitialConditions { datagram_size: 1200, ..InitialConditions::default() };
    let mut intervals = Intervals::new(conditions.now, MEGABIT, 0);
    intervals.begin(Time::from_nanos(1), interval::Purpose { decision: 1, trial: Some(0) }, MEGABIT);
    let turn = Observed {
        now: Time::from_nanos(50_000_000),
        acknowledged_packets: 98,
        acknowledged_bytes: 98 * SIZE,
        largest_acknowledged_sent_at: Some(Time::from_nanos(2)),
        lost_packets: 2,
        lost_bytes: 2 * SIZE,
        largest_lost_sent_at: Some(Time::from_nanos(2)),
        ecn_ce: 3,
        rtt_sample: Some(RTT),
        ..Observed::default()
    };
    intervals.on_observed(&turn);
    let utility = Utility::new(&Parameters::defaults(PARAMETERS));
    let measured = intervals.oldest_of(1).unwrap().measure(&utility, 0.05);
    assert!((measured.loss - 0.05).abs() < 1e-9 && (measured.marks - 0.03).abs() < 1e-9, "{measured:?}");
    assert!(intervals.oldest_of(2).is_none());
}

#[test]
fn persistent_congestion_begins_anew_with_two_datagrams() {
    let mut bench = Bench::new(50.0);
    bench.run(2000);
    let turn = Observed {
        now: bench.now,
        lost_packets: 100,
        lost_bytes: 100 * SIZE,
        persistent_congestion: true,
        rtt: RttView { smoothed: RTT, minimum: RTT, ..RttView::default() },
        ..Observed::default()
    };
    let window = bench.controller.on_observed(&turn);
    assert_eq!((window.congestion_window, bench.controller.state()), (2400, "slow_start"));
    assert_eq!(bench.controller.events().persistent, 1);
    bench.in_flight = 0;
    bench.sent.clear();
    bench.heard = 0;
    bench.run(2000);
    assert!(bench.megabits() > 30.0, "and finds the path again: {}", bench.megabits());
}

#[test]
fn a_recovery_period_goes_on_and_ends_before_a_trial_begins() {
    let now = Time::from_nanos(2_000_000_000);
    let snapshot = Snapshot {
        taken_at: now,
        controller: "cubic",
        congestion_window: 120_000,
        smoothed_rtt: Some(RTT),
        minimum_rtt: Some(RTT),
        bandwidth: 2_000_000,
        recovery_start: Some(now),
        in_recovery: true,
        datagram_size: 1200,
        ..Snapshot::default()
    };
    let controller = Pcc::from_snapshot(&snapshot, now, &Parameters::defaults(PARAMETERS));
    assert_eq!((controller.state(), controller.window().congestion_window), ("recovery", 120_000));
    // 120 kB in 50 ms are 2.4 MB/s, but no more than 2 MB/s were ever delivered.
    assert_eq!(controller.window().pacing_rate, 2_000_000);
    assert!(controller.snapshot(now).in_recovery);
    let mut bench = Bench::with(controller, now, 100.0);
    while bench.controller.state() == "recovery" {
        bench.run(1);
        assert_eq!(bench.controller.window().pacing_rate, 2_000_000);
        assert!(bench.controller.window().congestion_window <= 120_000);
        assert!(bench.now < now + RTT * 2);
    }
    bench.run(100);
    assert_ne!(bench.controller.window().pacing_rate, 2_000_000, "trials begin");
}

#[test]
fn a_successor_of_the_same_kind_goes_on_at_the_same_rate() {
    let mut bench = Bench::new(50.0);
    bench.run(3000);
    let (snapshot, before) = (bench.controller.snapshot(bench.now), bench.megabits());
    assert_eq!((snapshot.controller, snapshot.in_slow_start), ("pcc", false));
    assert!(snapshot.congestion_window <= bench.controller.window().congestion_window);
    let next = Pcc::from_snapshot(&snapshot, bench.now, &Parameters::defaults(PARAMETERS));
    assert!(next.window().congestion_window <= bench.controller.window().congestion_window);
    assert!((next.rate / MEGABIT / before - 1.0).abs() < 0.05, "{} after {before}", next.rate / MEGABIT);
}

#[test]
fn before_the_first_rtt_the_initial_window_leaves_unpaced() {
    let conditions = InitialConditions { datagram_size: 1200, ..InitialConditions::default() };
    let mut controller = Pcc::new(&conditions, &Parameters::defaults(PARAMETERS));
    assert_eq!(controller.window(), Window { congestion_window: 12_000, pacing_rate: 0, quantum: 65_536 });
    assert_eq!(controller.on_datagram_size(1472).congestion_window, 14_720);
    // Lost before anything is known of the RTT.
    let lost = |sent_at| Observed {
        now: Time::from_nanos(sent_at + 1_000_000_000),
        lost_packets: 10,
        lost_bytes: 14_720,
        largest_lost_sent_at: Some(Time::from_nanos(sent_at)),
        ..Observed::default()
    };
    assert_eq!(controller.on_observed(&lost(5)).congestion_window, 7360);
    assert_eq!(controller.on_observed(&lost(6)).congestion_window, 7360, "once a round trip");
}
