use super::*;
use crate::{Algorithm, Cubic, RttView};

const SEGMENT: u64 = 1200;
const DEFAULTS: Parameters = Parameters::defaults(Prague::PARAMETERS);

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A path with a fixed RTT that marks what the test says.
struct Bench {
    controller: Prague,
    now: Time,
    rtt: Duration,
}

impl Bench {
    fn new(rtt: Duration, segments: u64) -> Self {
        let now = Time::from_nanos(1_000_000_000);
        let initial_window = Some(segments * SEGMENT);
        let conditions =
            InitialConditions { datagram_size: SEGMENT as u16, initial_window, now, ..InitialConditions::default() };
        Self { controller: Prague::new(&conditions, &DEFAULTS), now, rtt }
    }

    /// In congestion avoidance, as another Prague left it that knew marks at that rate.
    fn scalable(rtt: Duration, segments: u64, ecn_rate: u32) -> Self {
        let mut bench = Self::new(rtt, segments);
        let snapshot = Snapshot {
            controller: Prague::NAME,
            congestion_window: segments * SEGMENT,
            slow_start_threshold: Some(segments * SEGMENT),
            smoothed_rtt: Some(rtt),
            minimum_rtt: Some(rtt),
            ecn_rate,
            datagram_size: SEGMENT as u16,
            ..Snapshot::default()
        };
        bench.controller = Prague::from_snapshot(&snapshot, bench.now, &DEFAULTS);
        bench
    }

    fn observed(&self) -> Observed {
        let window = self.controller.window().congestion_window;
        Observed {
            now: self.now,
            rtt: RttView { latest: self.rtt, smoothed: self.rtt, variation: self.rtt / 8, minimum: self.rtt },
            prior_in_flight: window,
            bytes_in_flight: window,
            datagram_size: SEGMENT as u16,
            ..Observed::default()
        }
    }

    /// So many bytes are acknowledged, of which so many packets were marked.
    fn acknowledged(&self, bytes: u64, ecn_ce: u64) -> Observed {
        let packets = bytes.div_ceil(SEGMENT);
        Observed {
            acknowledged_bytes: bytes,
            acknowledged_packets: packets,
            ecn_ce,
            ecn_capable_packets: packets,
            largest_acknowledged_sent_at: Some(self.now.saturating_before(self.rtt - Duration::from_nanos(1))),
            rtt_sample: Some(self.rtt),
            ..self.observed()
        }
    }

    /// A round trip in which the whole window is acknowledged in so many turns.
    fn round(&mut self, turns: u64, marked: u64) -> u64 {
        let window = self.controller.actual_window();
        for turn in 0..turns {
            self.now += self.rtt / turns as u32;
            let bytes = window * (turn + 1) / turns - window * turn / turns;
            let observed = self.acknowledged(bytes, if turn == 0 { marked } else { 0 });
            self.controller.on_observed(&observed);
        }
        self.controller.actual_window()
    }

    fn lose(&mut self, sent_before: Duration) -> u64 {
        let largest_lost_sent_at = Some(self.now.saturating_before(sent_before));
        let observed = Observed { lost_packets: 1, lost_bytes: SEGMENT, largest_lost_sent_at, ..self.observed() };
        self.controller.on_observed(&observed).congestion_window
    }
}

#[test]
fn its_packets_are_ect_1() {
    assert_eq!(Bench::new(ms(50), 10).controller.marking(), Marking::Scalable);
}

#[test]
fn the_first_mark_ends_slow_start_and_halves() {
    let mut bench = Bench::new(ms(50), 10);
    assert_eq!(bench.round(1, 0), 20 * SEGMENT);
    assert_eq!(bench.round(1, 0), 40 * SEGMENT);
    assert_eq!(bench.controller.state(), "slow_start");
    bench.now += bench.rtt;
    let marked = bench.acknowledged(SEGMENT, 1);
    bench.controller.on_observed(&marked);
    assert_eq!((bench.controller.actual_window(), bench.controller.state()), (20 * SEGMENT, "congestion_avoidance"));
    assert!(bench.controller.classic.is_none());
    assert_eq!(bench.controller.events(), Events { ecn_ce: 1, ..Events::default() });
}

#[test]
fn what_slow_start_sent_too_much_is_answered_once() {
    let mut bench = Bench::new(ms(50), 100);
    bench.now += bench.rtt;
    bench.controller.on_observed(&bench.acknowledged(SEGMENT, 1));
    assert_eq!(bench.controller.actual_window(), 50 * SEGMENT);
    // Sent within a round trip after the answer: the queue that slow start made still stands.
    bench.now += bench.rtt + ms(49);
    bench.controller.on_observed(&bench.acknowledged(SEGMENT, 1));
    assert_eq!(bench.controller.actual_window(), 50 * SEGMENT);
    bench.now += ms(2);
    bench.controller.on_observed(&bench.acknowledged(SEGMENT, 1));
    assert!(bench.controller.actual_window() < 30 * SEGMENT);
}

#[test]
fn a_path_that_marks_no_more_is_looked_through_as_cubic_does() {
    let mut bench = Bench::scalable(ms(50), 100, 200_000);
    bench.round(10, 1);
    assert_eq!(bench.controller.actual_window() / SEGMENT, 91);
    // A lone flow of 90 to 113 datagrams is marked after the root of half of that, seven or so; it waits for that and eight more.
    let mut rounds = 0;
    while bench.controller.classic.is_none() {
        bench.round(10, 0);
        rounds += 1;
    }
    assert!((14..=17).contains(&rounds), "{rounds}");
    let window = bench.controller.actual_window();
    assert!(window.abs_diff((91 + rounds) * SEGMENT) < 2 * SEGMENT, "a datagram a round trip until then");
    let saturation = bench.controller.classic.map_or(0, |classic| classic.saturation);
    assert!(saturation.abs_diff(window) < SEGMENT, "it has come back to where it was marked last: {saturation}");
    for _ in 0..200 {
        bench.round(10, 0);
    }
    // Ten seconds on: 0.4 * 10^3 above its plateau.
    let grown = (bench.controller.actual_window() - window) / SEGMENT;
    assert!((350..500).contains(&grown), "{grown}");
    bench.round(10, 1);
    assert!(bench.controller.classic.is_none());
}

#[test]
fn before_the_first_sample_the_initial_window_is_spread_over_twelve_milliseconds() {
    let controller = Bench::new(ms(50), 10).controller;
    let expected = Window { congestion_window: 12_000, pacing_rate: 960_000, quantum: 4800 };
    assert_eq!(controller.window(), expected);
}

#[test]
fn a_mark_takes_half_of_alpha_once_a_round_trip_and_growth_goes_on() {
    // alpha 0.1: five in a hundred.
    let mut bench = Bench::scalable(ms(50), 100, 100_000);
    bench.now += bench.rtt;
    for packet in 0..10 {
        bench.now += ms(1);
        bench.controller.on_observed(&bench.acknowledged(SEGMENT, 1));
        let window = bench.controller.actual_window();
        // Marked packets are no reason to grow.
        assert_eq!(window, 114_000, "packet {packet}");
    }
    assert_eq!(bench.controller.state(), "congestion_avoidance");
    // In the same round trip, the unmarked rest of the window adds a datagram.
    bench.controller.on_observed(&bench.acknowledged(114_000, 0));
    assert_eq!(bench.controller.actual_window(), 115_200);
    bench.now += bench.rtt;
    bench.controller.on_observed(&bench.acknowledged(SEGMENT, 1));
    assert!(bench.controller.actual_window() < 111_000, "the next round trip's mark is answered again");
    assert_eq!(bench.controller.events().ecn_ce, 2);
}

#[test]
fn unmarked_windows_add_a_datagram_in_batches_of_any_size() {
    for turns in [1, 9, 100] {
        let mut bench = Bench::scalable(ms(50), 100, 10_000);
        for round in 1..=10 {
            let window = bench.round(turns, 0);
            assert!(window.abs_diff((100 + round) * SEGMENT) < 60, "{turns} turns, round {round}: {window}");
        }
    }
}

/// The steady state of DCTCP and Prague: with a share p of the packets marked, W = 2 / p.
#[test]
fn the_window_settles_at_two_over_the_share_of_marks() {
    for one_in in [10_u64, 50, 200] {
        let mut bench = Bench::scalable(ms(50), one_in, 1_000_000 / one_in as u32);
        let (mut packets, mut sum, mut rounds) = (0_u64, 0_u64, 0_u64);
        for round in 0..2000 {
            let window = bench.controller.actual_window().div_ceil(SEGMENT);
            let mut left = window;
            while left > 0 {
                bench.now += bench.rtt / window as u32;
                packets += 1;
                left -= 1;
                let observed = bench.acknowledged(SEGMENT, u64::from(packets % one_in == 0));
                bench.controller.on_observed(&observed);
            }
            if round >= 500 {
                sum += bench.controller.actual_window();
                rounds += 1;
            }
        }
        let average = sum as f64 / rounds as f64 / SEGMENT as f64;
        let off = average / (2 * one_in) as f64;
        assert!((0.85..1.15).contains(&off), "one in {one_in}: {average}");
    }
}

#[test]
fn below_the_virtual_round_trip_growth_is_less_by_the_square() {
    for (rtt, divisor) in [(25, 1), (50, 1), (5, 25), (10, 6)] {
        let mut bench = Bench::scalable(ms(rtt), 100, 10_000);
        for _ in 0..divisor {
            bench.round(1, 0);
        }
        let grown = bench.controller.actual_window() - 100 * SEGMENT;
        let expected = SEGMENT * divisor * rtt.min(25) * rtt.min(25) / 625;
        assert!(grown.abs_diff(expected) <= divisor, "{rtt} ms: {grown} for {expected}");
    }
}

#[test]
fn below_the_virtual_round_trip_marks_are_answered_once_in_it() {
    let mut bench = Bench::scalable(ms(5), 100, 200_000);
    for _ in 0..20 {
        bench.round(1, 1);
    }
    // 100 ms, 25 ms apart.
    assert_eq!(bench.controller.events().ecn_ce, 4);
    let off: Algorithm = "prague:virtual_rtt=0".parse().unwrap();
    let snapshot = bench.controller.snapshot(bench.now);
    bench.controller = Prague::from_snapshot(&snapshot, bench.now, off.parameters());
    for _ in 0..20 {
        bench.round(1, 1);
    }
    assert_eq!(bench.controller.events().ecn_ce, 20);
}

#[test]
fn a_loss_is_answered_as_cubic_does() {
    let mut bench = Bench::scalable(ms(50), 100, 10_000);
    assert_eq!(bench.lose(Duration::ZERO), 70 * SEGMENT);
    assert_eq!(bench.controller.state(), "recovery");
    assert_eq!(bench.lose(ms(1)), 70 * SEGMENT, "once a round trip");
    bench.now += bench.rtt;
    bench.round(1, 0);
    let snapshot = bench.controller.snapshot(bench.now);
    assert_eq!(snapshot.saturation_window, Some(100 * SEGMENT));
    // And from there it goes its curve's way: the same window as a CUBIC that takes over here.
    let cubic = Parameters::defaults(Cubic::PARAMETERS);
    let mut model = Cubic::from_snapshot(&snapshot, bench.now, &cubic);
    bench.controller = Prague::from_snapshot(&snapshot, bench.now, &DEFAULTS);
    for _ in 0..100 {
        bench.now += bench.rtt / 4;
        let observed = bench.acknowledged(20 * SEGMENT, 0);
        bench.controller.on_observed(&observed);
        assert_eq!(bench.controller.actual_window(), model.on_observed(&observed).congestion_window);
    }
    assert!(bench.controller.actual_window() > 80 * SEGMENT);
    // Until the path marks.
    bench.now += bench.rtt;
    bench.controller.on_observed(&bench.acknowledged(SEGMENT, 1));
    assert!(bench.controller.classic.is_none());
}

#[test]
fn a_mark_and_a_loss_in_one_round_trip_come_to_what_the_loss_asks_for() {
    // alpha 0.2 takes a tenth; the loss 0.3 of what was before, not of the rest.
    let mut bench = Bench::scalable(ms(50), 100, 200_000);
    bench.now += bench.rtt;
    bench.controller.on_observed(&bench.acknowledged(SEGMENT, 1));
    assert_eq!(bench.controller.actual_window(), 90 * SEGMENT);
    assert_eq!(bench.lose(ms(10)), 70 * SEGMENT);
    // Marks on what was sent before the loss was found ask for nothing more.
    let old = Observed { largest_acknowledged_sent_at: Some(bench.now), ..bench.acknowledged(SEGMENT, 1) };
    assert_eq!(bench.controller.on_observed(&old).congestion_window, 70 * SEGMENT);
    // alpha one has taken half: the loss takes nothing more.
    let mut bench = Bench::new(ms(50), 100);
    bench.now += bench.rtt;
    bench.controller.on_observed(&bench.acknowledged(SEGMENT, 1));
    assert_eq!(bench.lose(ms(10)), 50 * SEGMENT);
    assert_eq!(bench.controller.state(), "recovery");
}

#[test]
fn without_marks_the_first_slow_start_ends_with_the_delay() {
    let mut bench = Bench::new(ms(50), 10);
    bench.round(10, 0);
    bench.round(10, 0);
    bench.rtt = ms(70);
    bench.round(10, 0);
    bench.round(10, 0);
    assert_eq!(bench.controller.state(), "conservative_slow_start");
    for _ in 0..6 {
        bench.round(10, 0);
    }
    assert_eq!(bench.controller.state(), "congestion_avoidance");
    assert!(bench.controller.classic.is_some());
}

#[test]
fn persistent_congestion_leaves_two_datagrams() {
    let mut bench = Bench::scalable(ms(50), 100, 10_000);
    let persistent = Observed {
        lost_packets: 10,
        largest_lost_sent_at: Some(bench.now),
        persistent_congestion: true,
        ..bench.observed()
    };
    assert_eq!(bench.controller.on_observed(&persistent).congestion_window, 2 * SEGMENT);
    assert_eq!((bench.controller.state(), bench.controller.slow_start_threshold), ("slow_start", 70 * SEGMENT));
    for segments in [4, 8, 16, 32, 64, 70] {
        bench.now += bench.rtt;
        assert_eq!(bench.round(1, 0), segments * SEGMENT);
    }
}

#[test]
fn nothing_grows_while_the_application_is_the_limit() {
    for mut bench in [Bench::new(ms(50), 100), Bench::scalable(ms(50), 100, 10_000)] {
        for _ in 0..20 {
            bench.now += bench.rtt;
            let (application_limited, prior_in_flight) = (true, 50 * SEGMENT);
            let observed = Observed { application_limited, prior_in_flight, ..bench.acknowledged(50 * SEGMENT, 0) };
            assert_eq!(bench.controller.on_observed(&observed).congestion_window, 100 * SEGMENT);
        }
    }
}

#[test]
fn the_rate_is_the_window_and_a_burst_is_a_quarter_of_a_millisecond() {
    // 2 MB in 50 ms: 40 MB/s and a thirty-second more.
    let window = Bench::scalable(ms(50), 1667, 10_000).controller.window();
    assert_eq!(window.pacing_rate, 41_258_250);
    assert_eq!(window.quantum, 10_314);
    assert_eq!(Bench::scalable(ms(50), 100, 10_000).controller.window().quantum, 1200, "at least a datagram");
    let mut ramping = Bench::new(ms(50), 100);
    ramping.controller.on_observed(&Observed { acknowledged_bytes: 0, ..ramping.acknowledged(0, 0) });
    assert_eq!(ramping.controller.window().pacing_rate, 4_800_000);
    let short = Bench::scalable(Duration::from_micros(100), 100, 10_000).controller.window();
    assert_eq!((short.pacing_rate, short.quantum), (0, 65_536));
}

#[test]
fn less_than_two_datagrams_in_a_round_trip_are_paced() {
    let mut bench = Bench::scalable(Duration::from_micros(500), 2, 1_000_000);
    let mut least = u64::MAX;
    for _ in 0..2000 {
        bench.now += bench.rtt;
        let window = bench.controller.on_observed(&bench.acknowledged(SEGMENT, 1));
        assert_eq!(window.congestion_window, 2 * SEGMENT);
        assert!(window.quantum >= SEGMENT);
        least = least.min(window.pacing_rate);
    }
    // A sixteenth of a datagram each half millisecond, and the margin.
    assert_eq!(least, 154_687);
    // Hands on its rate, and finds back when nothing is marked.
    let snapshot = bench.controller.snapshot(bench.now);
    let successor = Prague::from_snapshot(&snapshot, bench.now, &DEFAULTS);
    assert!(successor.window().pacing_rate.abs_diff(snapshot.pacing_rate) <= snapshot.pacing_rate / 16);
    let off: Algorithm = "prague:virtual_rtt=0".parse().unwrap();
    bench.controller = Prague::from_snapshot(&snapshot, bench.now, off.parameters());
    for _ in 0..5 {
        bench.now += bench.rtt;
        bench.controller.on_observed(&bench.acknowledged(SEGMENT, 0));
    }
    assert!(bench.controller.actual_window() > 2 * SEGMENT);
}

#[test]
fn a_successor_goes_on_with_the_same_window_and_alpha() {
    let mut bench = Bench::scalable(ms(50), 100, 80_000);
    for _ in 0..30 {
        bench.round(10, 4);
    }
    let snapshot = bench.controller.snapshot(bench.now);
    let mut successor = Prague::from_snapshot(&snapshot, bench.now, &DEFAULTS);
    assert_eq!(successor.state(), "congestion_avoidance");
    assert_eq!(successor.window().congestion_window, bench.controller.window().congestion_window);
    assert_eq!(successor.snapshot(bench.now).ecn_rate, snapshot.ecn_rate);
    // The next mark takes the same from both.
    bench.now += bench.rtt * 2;
    let marked = bench.acknowledged(SEGMENT, 1);
    let (same, next) = (bench.controller.on_observed(&marked), successor.on_observed(&marked));
    // But for the counts of the round trip in which it took over.
    let differs = same.congestion_window.abs_diff(next.congestion_window);
    assert!(differs <= same.congestion_window / 250, "{same:?} {next:?}");
}

#[test]
fn the_marks_of_a_classic_predecessor_are_of_another_kind() {
    let snapshot = Snapshot {
        controller: Cubic::NAME,
        congestion_window: 100 * SEGMENT,
        slow_start_threshold: Some(100 * SEGMENT),
        saturation_window: Some(120 * SEGMENT),
        ecn_rate: 100,
        recovery_start: Some(Time::from_nanos(5)),
        in_recovery: true,
        last_reduction: Some(Time::from_nanos(5)),
        datagram_size: SEGMENT as u16,
        ..Snapshot::default()
    };
    let successor = Prague::from_snapshot(&snapshot, Time::from_nanos(9), &DEFAULTS);
    assert_eq!(successor.state(), "recovery");
    assert_eq!(successor.marks.reduction(1000), 500);
    let handed_on = successor.snapshot(Time::from_nanos(9));
    assert_eq!((handed_on.saturation_window, handed_on.in_recovery), (Some(120 * SEGMENT), true));
    assert_eq!(
        (handed_on.recovery_start, handed_on.last_reduction),
        (snapshot.recovery_start, snapshot.last_reduction)
    );
}
