//! Each formula of the draft against numbers worked by hand.

use proptest::prelude::*;

use super::path::SIZE;
use super::*;
use crate::{Delivery, RttView, Signal};
use model::MaximumBandwidth;

/// In ProbeBW on a path of 10 MB/s and 40 ms: a BDP of 400,000 bytes.
fn steady(parameters: &str) -> Bbr {
    let snapshot = Snapshot {
        taken_at: at(1000),
        controller: "cubic",
        congestion_window: 800_000,
        smoothed_rtt: Some(ms(40)),
        minimum_rtt: Some(ms(40)),
        bandwidth: 10_000_000,
        datagram_size: SIZE as u16,
        seed: 9,
        ..Snapshot::default()
    };
    let set = parameters.split(',').filter(|text| !text.is_empty()).fold(crate::Algorithm::BBR, |of, text| {
        let (name, value) = text.split_once('=').unwrap();
        of.with(name, value).unwrap()
    });
    Bbr::from_snapshot(&snapshot, at(1000), set.parameters())
}

/// An acknowledgement of packets sent a round trip ago, at the path's rate.
fn turn(milliseconds: u64, packets: u64) -> Observed {
    let rtt = RttView { latest: ms(40), smoothed: ms(40), variation: ms(5), minimum: ms(40) };
    Observed {
        now: at(milliseconds),
        acknowledged_bytes: packets * SIZE,
        acknowledged_packets: packets,
        largest_acknowledged_sent_at: Some(at(milliseconds - 40)),
        rtt,
        rtt_sample: Some(ms(40)),
        delivery: Some(Delivery {
            rate: 10_000_000,
            delivered: 400_000,
            interval: ms(40),
            in_flight_when_sent: 400_000,
            ..Delivery::default()
        }),
        prior_in_flight: 400_000,
        bytes_in_flight: 400_000,
        datagram_size: SIZE as u16,
        ..Observed::default()
    }
}

fn lost(observed: Observed, packets: u64) -> Observed {
    Observed {
        lost_packets: packets,
        lost_bytes: packets * SIZE,
        largest_lost_sent_at: observed.largest_acknowledged_sent_at,
        ..observed
    }
}

#[test]
fn gains_are_those_of_the_table() {
    let mut bbr = steady("");
    let table = [
        (Phase::Startup, 2770, 2000),
        (Phase::Drain, 500, 2000),
        (Phase::Down, 900, 2000),
        (Phase::Cruise, 1000, 2000),
        (Phase::Refill, 1000, 2000),
        (Phase::Up, 1250, 2250),
        (Phase::ProbeRtt, 1000, 500),
    ];
    for (phase, pacing, window) in table {
        bbr.phase = phase;
        assert_eq!((bbr.pacing_gain(), bbr.cwnd_gain()), (pacing, window), "{phase:?}");
    }
}

#[test]
fn volume_caps_are_those_of_the_table() {
    let mut bbr = steady("");
    bbr.inflight_longterm = 500_000;
    bbr.inflight_shortterm = 450_000;
    for (phase, cap) in [
        (Phase::Startup, 450_000),
        (Phase::Drain, 450_000),
        (Phase::Down, 450_000),
        // 85 % of 500,000.
        (Phase::Cruise, 425_000),
        (Phase::Refill, 450_000),
        // Half of 400,000 is less than that.
        (Phase::ProbeRtt, 200_000),
    ] {
        bbr.phase = phase;
        bbr.limits.window = 1_000_000;
        bbr.bound_window();
        assert_eq!(bbr.window().congestion_window, cap, "{phase:?}");
    }
    bbr.inflight_shortterm = INFINITE;
    for phase in [Phase::Down, Phase::Refill, Phase::Up] {
        bbr.phase = phase;
        bbr.limits.window = 1_000_000;
        bbr.bound_window();
        assert_eq!(bbr.window().congestion_window, 500_000, "{phase:?}");
    }
}

#[test]
fn the_pacing_rate_is_the_gain_times_the_bandwidth_less_one_percent() {
    let mut bbr = steady("");
    for (phase, rate) in
        [(Phase::Down, 8_910_000), (Phase::Cruise, 9_900_000), (Phase::Up, 12_375_000), (Phase::Drain, 4_950_000)]
    {
        bbr.phase = phase;
        bbr.set_pacing_rate();
        assert_eq!(bbr.window().pacing_rate, rate, "{phase:?}");
    }
    // Until the pipe was full it only rises.
    bbr.full_pipe.reached = false;
    bbr.limits.pacing_rate = 9_000_000;
    bbr.set_pacing_rate();
    assert_eq!(bbr.window().pacing_rate, 9_000_000);
}

#[test]
fn the_first_rate_is_the_initial_window_in_a_millisecond_and_then_in_the_first_round_trip() {
    let conditions = InitialConditions { datagram_size: SIZE as u16, now: at(1000), ..InitialConditions::default() };
    let mut bbr = Bbr::new(&conditions, &DEFAULTS);
    assert_eq!(bbr.window().pacing_rate, 33_240_000);
    assert!(bbr.window().quantum >= 12_000, "the first flight waits for no timer");
    let first = Observed { delivery: None, acknowledged_bytes: 0, acknowledged_packets: 0, ..turn(1040, 0) };
    bbr.on_observed(&first);
    // 2.77 * 12,000 / 0.04.
    assert_eq!(bbr.window().pacing_rate, 831_000);
}

#[test]
fn the_send_quantum_is_a_millisecond_and_a_burst_no_more_than_an_eighth_of_the_window() {
    let mut bbr = steady("");
    // 8.91 MB/s: 8,910 bytes in a millisecond; the initial window is more, an eighth of 800,000 more than that.
    assert_eq!(bbr.window().quantum, 12_000);
    bbr.limits.window = 40_000;
    assert_eq!(bbr.window().quantum, 5_000);
    bbr.limits.window = 4 * SIZE;
    assert_eq!(bbr.window().quantum, 2 * SIZE);
    bbr.limits.window = 1 << 30;
    bbr.limits.pacing_rate = 1_000_000_000;
    assert_eq!(bbr.window().quantum, 65_536);
}

#[test]
fn max_inflight_is_the_gain_times_the_bdp_and_what_is_aggregated() {
    let mut bbr = steady("");
    bbr.phase = Phase::Cruise;
    assert_eq!((bbr.bdp(1000), bbr.max_inflight()), (400_000, 800_000));
    bbr.aggregation.on_acknowledged(at(1001), 50_000, 10_000_000, 800_000, 0);
    assert_eq!(bbr.max_inflight(), 850_000);
    bbr.phase = Phase::Up;
    // 2.25 times, and two datagrams to probe with.
    assert_eq!(bbr.max_inflight(), 950_000 + 2 * SIZE);
    let mut gained = steady("cwnd_gain=3");
    gained.phase = Phase::Cruise;
    assert_eq!(gained.max_inflight(), 1_200_000);
    // On a path of nothing, four datagrams.
    gained.max_bw = MaximumBandwidth::new(1);
    gained.set_pacing_rate();
    assert_eq!(gained.max_inflight(), 4 * SIZE.max(gained.window().pacing_rate / 4000));
}

#[test]
fn headroom_is_fifteen_percent_but_one_datagram_at_least() {
    let mut bbr = steady("");
    assert_eq!(bbr.inflight_with_headroom(), INFINITE);
    bbr.inflight_longterm = 100_000;
    assert_eq!(bbr.inflight_with_headroom(), 85_000);
    bbr.inflight_longterm = 7_000;
    assert_eq!(bbr.inflight_with_headroom(), 5_800);
    bbr.inflight_longterm = 5_000;
    assert_eq!(bbr.inflight_with_headroom(), 4 * SIZE);
    let mut bbr = steady("headroom=0.5");
    bbr.inflight_longterm = 100_000;
    assert_eq!(bbr.inflight_with_headroom(), 50_000);
}

#[test]
fn a_round_with_losses_lowers_the_short_term_bounds_to_what_was_delivered_but_not_below_beta() {
    let mut bbr = steady("");
    bbr.phase = Phase::Cruise;
    bbr.limits.window = 500_000;
    bbr.on_observed(&lost(turn(1050, 1), 4));
    assert_eq!(bbr.bw_shortterm, INFINITE, "not before the round ends");
    let slower = Delivery { rate: 9_000_000, delivered: 360_000, interval: ms(40), ..Delivery::default() };
    bbr.latest = Latest::default();
    bbr.on_observed(&Observed { delivery: Some(slower), ..turn(1090, 1) });
    assert_eq!((bbr.bw_shortterm, bbr.inflight_shortterm), (9_000_000, 360_000));
    assert_eq!(bbr.bandwidth(), 9_000_000);
    // A round that delivered next to nothing: 0.7 of what there was.
    bbr.on_observed(&lost(Observed { delivery: None, ..turn(1100, 1) }, 4));
    bbr.latest = Latest::default();
    bbr.on_observed(&Observed { delivery: None, ..turn(1150, 1) });
    assert_eq!((bbr.bw_shortterm, bbr.inflight_shortterm), (6_300_000, 252_000));
    assert_eq!(bbr.window().congestion_window, 252_000);
    assert_eq!((bbr.events().loss, bbr.events().ecn_ce), (2, 0));
    assert_eq!(bbr.maximum_bandwidth(), 10_000_000, "the long-term model stays");
}

#[test]
fn marks_lower_the_bounds_by_the_share_that_was_marked() {
    let mut bbr = steady("");
    bbr.phase = Phase::Cruise;
    bbr.limits.window = 400_000;
    bbr.on_observed(&Observed { ecn_ce: 10, ecn_capable_packets: 10, ..turn(1050, 10) });
    // A hundred packets of a round that began with the marks, ten marked before them.
    bbr.on_observed(&turn(1060, 40));
    bbr.on_observed(&turn(1090, 50));
    assert_eq!(bbr.bw_shortterm, 9_000_000);
    assert_eq!((bbr.events().loss, bbr.events().ecn_ce), (0, 1));
    assert!(bbr.recovery.start().is_some(), "at most one response a round trip");
}

#[test]
fn marks_beyond_the_threshold_end_a_probe_as_losses_do() {
    let mut bbr = steady("");
    bbr.phase = Phase::Up;
    bbr.flight = FlightLog::new(at(900), 400_000);
    bbr.cycle.is_probe_sample = true;
    bbr.cycle.ack_phase = probe_bw::AckPhase::ProbeFeedback;
    // 2 % of 400,000 bytes are six packets.
    bbr.on_observed(&Observed { ecn_ce: 6, ecn_capable_packets: 10, ..turn(1050, 10) });
    assert_eq!(bbr.phase(), Phase::Up);
    bbr.on_observed(&Observed { ecn_ce: 1, ecn_capable_packets: 10, ..turn(1051, 10) });
    assert!(matches!(bbr.phase(), Phase::Down | Phase::Cruise));
    assert!(bbr.cycle.was_too_high && bbr.inflight_longterm().is_some());
    assert_eq!(bbr.events().ecn_ce, 1);
}

#[test]
fn two_percent_are_tolerated_and_more_are_not() {
    let bbr = steady("");
    assert!(!bbr.is_inflight_too_high(8_000, 400_000));
    assert!(bbr.is_inflight_too_high(8_001, 400_000));
    assert!(steady("loss_threshold=0.1").is_inflight_too_high(40_001, 400_000));
    assert!(!steady("loss_threshold=0.1").is_inflight_too_high(40_000, 400_000));
}

#[test]
fn what_was_safe_of_a_burst_is_where_its_losses_crossed_the_threshold() {
    let mut bbr = steady("");
    bbr.cycle.is_probe_sample = true;
    bbr.phase = Phase::Refill;
    bbr.flight = FlightLog::new(at(900), 400_000);
    // A burst of 100 packets, the first losses: (0.02 * 280,000 - 0) / 0.98 = 5,714 of its 120,000 bytes fitted.
    bbr.on_observed(&lost(turn(1050, 1), 100));
    assert_eq!(bbr.inflight_longterm(), Some(280_000 + 5_714));
}

#[test]
fn what_was_too_much_is_not_lowered_below_beta_times_the_target() {
    let mut bbr = steady("");
    bbr.cycle.is_probe_sample = true;
    bbr.phase = Phase::Refill;
    bbr.flight = FlightLog::new(at(900), 100_000);
    let delivery = Delivery { in_flight_when_sent: 100_000, ..turn(1050, 1).delivery.unwrap() };
    let small = Observed { prior_in_flight: 100_000, delivery: Some(delivery), ..turn(1050, 1) };
    bbr.on_observed(&lost(small, 10));
    assert_eq!(bbr.inflight_longterm(), Some(280_000));
}

#[test]
fn the_growth_of_inflight_longterm_doubles_each_round() {
    let mut bbr = steady("");
    bbr.phase = Phase::Refill;
    bbr.rounds.start(at(1000));
    bbr.inflight_longterm = 400_000;
    bbr.limits.window = 400_000;
    let mut grown = [0; 6];
    for (round, grown) in grown.iter_mut().enumerate() {
        let before = bbr.inflight_longterm;
        // A window is acknowledged in a round, in twenty turns; it is always full.
        for step in 0..20_u64 {
            let now = 1041 + round as u64 * 41 + step * 2;
            let window = bbr.limits.window;
            let delivery = Delivery { rate: 10_000_000 + now * 100_000, ..turn(now, 1).delivery.unwrap() };
            let full = Observed {
                prior_in_flight: window,
                acknowledged_bytes: window / 20,
                delivery: Some(Delivery { in_flight_when_sent: 0, ..delivery }),
                ..turn(now, 1)
            };
            bbr.on_observed(&full);
            bbr.limits.window = bbr.inflight_longterm;
        }
        *grown = (bbr.inflight_longterm - before) / SIZE;
    }
    assert_eq!(bbr.phase(), Phase::Up);
    // 1, 2, 4, 8, ... with the first round's turns before UP began, and rounding.
    assert!(grown.windows(2).skip(2).all(|pair| (pair[0] * 3 / 2..=pair[0] * 5 / 2).contains(&pair[1])), "{grown:?}");
    assert!(grown[5] >= 12, "{grown:?}");
}

#[test]
fn probes_wait_two_to_three_seconds_or_as_many_rounds_as_reno_would_need() {
    let mut bbr = steady("");
    for _ in 0..1000 {
        bbr.start_down(at(1000));
        assert!((ms(2000)..=ms(3000)).contains(&bbr.cycle.wait), "{:?}", bbr.cycle.wait);
    }
    // A BDP of 333 datagrams: 63 rounds. Rounds of 10 ms are sooner than two seconds.
    let mut bbr = steady("");
    bbr.start_cruise();
    let mut rounds = 0;
    let mut now = 1040;
    while bbr.phase() == Phase::Cruise {
        bbr.on_observed(&Observed { largest_acknowledged_sent_at: Some(at(now - 10)), ..turn(now, 10) });
        now += 10;
        rounds += 1;
    }
    assert!((61..=67).contains(&rounds), "{rounds}");
    let mut bbr = steady("probe_bw_wait=200");
    bbr.start_down(at(1000));
    assert!((ms(200)..=ms(300)).contains(&bbr.cycle.wait));
}

#[test]
fn persistent_congestion_leaves_two_datagrams_and_growth_by_what_is_acknowledged() {
    let mut bbr = steady("");
    bbr.on_observed(&Observed {
        persistent_congestion: true,
        acknowledged_bytes: 0,
        delivery: None,
        ..lost(turn(1100, 0), 50)
    });
    assert_eq!(bbr.window().congestion_window, 2 * SIZE);
    assert_eq!(bbr.events().persistent, 1);
    let mut now = 1150;
    let mut before = bbr.window().congestion_window;
    for _ in 0..3 {
        let acknowledged = before / SIZE;
        bbr.on_observed(&turn(now, acknowledged));
        let window = bbr.window().congestion_window;
        assert!(window <= (2 * before).max(4 * SIZE) && window > before, "{before} became {window}");
        before = window;
        now += 45;
    }
}

#[test]
fn paths_of_microseconds_are_not_paced_and_drain_by_their_window() {
    let mut bbr = steady("");
    let rtt = Duration::from_micros(200);
    let view = RttView { latest: rtt, smoothed: rtt, variation: rtt / 4, minimum: rtt };
    let near = |observed: Observed| Observed { rtt: view, rtt_sample: Some(rtt), ..observed };
    bbr.on_observed(&near(turn(1050, 10)));
    let window = bbr.window();
    assert_eq!((window.pacing_rate, window.quantum), (0, 65_536));
    // 10 MB/s and 200 us are 2,000 bytes; a millisecond of the rate is more, and the least that may be in flight.
    assert_eq!(bbr.min_rtt.minimum, Some(rtt));
    bbr.phase = Phase::Down;
    bbr.limits.window = 100_000;
    bbr.bound_window();
    assert_eq!(bbr.limits.window, bbr.inflight(10_000_000, 1000));
    assert!(bbr.limits.window < 11_000);
}

#[test]
fn a_mark_and_a_loss_of_one_round_trip_are_one_recovery_period() {
    let mut bbr = steady("");
    bbr.on_observed(&lost(turn(1050, 1), 1));
    assert_eq!(bbr.recovery.start(), Some(at(1050)));
    assert_eq!(bbr.recovery.signal(&Observed { ecn_ce: 1, ..turn(1060, 1) }), None);
    assert_eq!(bbr.recovery.signal(&lost(turn(1095, 1), 1)), Some(Signal::Loss));
}

proptest! {
    /// However the packets of a round come together in turns, the window and inflight_longterm end up the same.
    #[test]
    fn batches_grow_as_their_packets_would(sizes in prop::collection::vec(1_u64..40, 1..20)) {
        let total: u64 = sizes.iter().sum();
        let run = |sizes: &[u64]| {
            let mut bbr = steady("");
            bbr.start_cruise();
            bbr.limits.window = 300_000;
            for packets in sizes {
                bbr.on_observed(&Observed { largest_acknowledged_sent_at: Some(at(990)), ..turn(1045, *packets) });
            }
            bbr.window().congestion_window
        };
        let ones = std::vec![1; total as usize];
        prop_assert_eq!(run(&sizes), run(&ones));
    }
}
