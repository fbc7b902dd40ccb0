//! The draft's appendix, "BBR Example Test Cases", each of its cases by name.

use std::vec::Vec;

use super::path::{LINK, Link, Path, SIZE};
use super::*;

const LONG: Duration = Duration::from_secs(20);

#[test]
fn exiting_startup_on_bandwidth_plateau() {
    let mut path = Path::new(LINK);
    let mut rounds = Vec::new();
    while path.bbr.phase() == Phase::Startup {
        path.until(LONG, |path| path.bbr.rounds.started || path.bbr.phase() != Phase::Startup);
        rounds.push((path.last.delivery.unwrap().rate, path.bbr.full_pipe.count));
    }
    assert_eq!(path.bbr.phase(), Phase::Drain);
    assert!(path.bbr.full_pipe.now && path.bbr.full_pipe.reached);
    let close = path.bbr.maximum_bandwidth() as f64 / LINK.rate as f64;
    assert!((0.98..1.02).contains(&close), "{close}");
    // Three rounds with less than a quarter of growth over the last that had more.
    let counts: Vec<u8> = rounds.iter().rev().take(4).map(|(_, count)| *count).collect();
    assert_eq!(counts, [3, 2, 1, 0]);
    let baseline = rounds[rounds.len() - 4].0;
    assert!(rounds[rounds.len() - 3..].iter().all(|(rate, _)| *rate < baseline * 5 / 4), "{rounds:?}");
    assert_eq!(path.lost, 0);
}

#[test]
fn exiting_startup_on_loss_when_application_limited() {
    let mut path = Path::new(LINK);
    path.set_supply(Some(LINK.rate / 2));
    path.run(ms(1000));
    assert_eq!(path.bbr.phase(), Phase::Startup);
    path.link.loses_every = 3;
    path.until(LONG, |path| path.bbr.phase() != Phase::Startup);
    assert!(path.bbr.phase() == Phase::Drain || path.now == path.bbr.cycle.stamp(), "through Drain in one turn");
    assert!(path.last.delivery.is_none_or(|delivery| delivery.application_limited));
    assert!(path.bbr.full_pipe.now && path.bbr.full_pipe.reached);
    let bound = path.bbr.inflight_longterm().unwrap();
    assert!(bound >= path.bbr.bdp(1000), "max(BBR.bdp, BBR.inflight_latest): {bound}");
    // Two losses in a round exceed the threshold, but are under its criterion of six ranges, and do not end it.
    let mut path = Path::new(LINK);
    path.set_supply(Some(LINK.rate / 2));
    path.run(ms(1000));
    path.link.loses_every = 12;
    path.run(ms(2000));
    assert_eq!(path.bbr.phase(), Phase::Startup);
}

#[test]
fn exiting_drain_based_on_inflight() {
    let mut path = Path::new(LINK);
    path.until_phase(LONG, Phase::Drain);
    assert_eq!(path.bbr.pacing_gain(), 500);
    let started = path.bbr.rounds.count;
    let mut before = path.in_flight;
    while path.bbr.phase() == Phase::Drain {
        before = path.in_flight;
        assert!(before > path.bbr.inflight(path.bbr.bandwidth(), 1000), "in flight {before}, still in Drain");
        path.until(LONG, |_| true);
    }
    assert!(path.bbr.phase().is_probe_bw());
    assert!(path.in_flight <= path.bbr.inflight(path.bbr.bandwidth(), 1000), "in flight {}", path.in_flight);
    assert!(path.bbr.rounds.count <= started + 3 && before > path.in_flight);
}

#[test]
fn exiting_drain_based_on_time() {
    // Acknowledgements come late, so that more than a BDP stays in flight however little is sent.
    let mut path = Path::new(LINK);
    path.until_phase(LONG, Phase::Drain);
    let started = path.bbr.drain_start_round;
    assert_eq!(started, path.bbr.rounds.count);
    path.link.rate = LINK.rate / 4;
    path.link.queue *= 4;
    while path.bbr.phase() == Phase::Drain {
        assert!(path.in_flight > path.bbr.inflight(path.bbr.bandwidth(), 1000));
        assert!(path.bbr.rounds.count <= started + 3);
        path.until(LONG, |_| true);
    }
    assert_eq!((path.bbr.phase(), path.bbr.rounds.count), (Phase::Down, started + 4));
    assert!(path.in_flight > path.bbr.inflight(path.bbr.bandwidth(), 1000));
}

#[test]
fn exiting_probe_up_on_bandwidth_plateau() {
    let mut path = Path::new(LINK);
    path.until_phase(LONG, Phase::Up);
    assert_eq!((path.bbr.pacing_gain(), path.bbr.cwnd_gain()), (1250, 2250));
    let started = path.bbr.rounds.count;
    path.until(LONG, |path| path.bbr.phase() != Phase::Up);
    assert_eq!(path.bbr.phase(), Phase::Down);
    assert!(path.bbr.full_pipe.now);
    assert_eq!((path.bbr.full_pipe.count, path.bbr.rounds.count - started), (3, 3));
    assert_eq!((path.lost, path.bbr.inflight_longterm()), (0, None));
}

#[test]
fn exiting_probe_up_on_loss_when_application_limited() {
    let mut path = Path::new(LINK);
    path.until_phase(LONG, Phase::Up);
    path.set_supply(Some(LINK.rate * 9 / 10));
    path.run(ms(100));
    assert_eq!(path.bbr.phase(), Phase::Up);
    path.link.loses_every = 10;
    path.until(ms(400), |path| path.bbr.phase() != Phase::Up);
    assert!(path.now == path.bbr.cycle.stamp(), "to Down, and if little is in flight at once on to Cruise");
    assert!(path.bbr.cycle.was_too_high && !path.bbr.cycle.is_probe_sample);
    // "Updated appropriately": the pseudocode does not take a bound from packets that the application limited.
    assert_eq!(path.bbr.inflight_longterm(), None);
}

#[test]
fn never_exiting_probe_up_or_startup_when_application_limited_with_no_loss() {
    let mut path = Path::with(LINK, "probe_rtt_interval=60s");
    path.set_supply(Some(LINK.rate / 4));
    path.run(Duration::from_secs(30));
    assert_eq!((path.bbr.phase(), path.phases.len()), (Phase::Startup, 0));

    let mut path = Path::with(LINK, "probe_rtt_interval=60s");
    path.until_phase(LONG, Phase::Up);
    path.set_supply(Some(LINK.rate / 4));
    path.run(Duration::from_secs(30));
    assert_eq!(path.bbr.phase(), Phase::Up);
}

#[test]
fn exiting_probe_down_on_inflight() {
    let mut path = Path::new(Link { queue: 30_000, ..LINK });
    path.until_phase(LONG, Phase::Cruise);
    path.until(LONG, |path| path.bbr.phase() == Phase::Down && path.bbr.inflight_longterm().is_some());
    assert_eq!(path.bbr.pacing_gain(), 900);
    let target = |path: &Path| {
        let bbr = &path.bbr;
        bbr.inflight_with_headroom().min(bbr.inflight(bbr.maximum_bandwidth(), 1000))
    };
    while path.bbr.phase() == Phase::Down {
        assert!(path.in_flight > target(&path) || path.bbr.cycle.ack_phase == probe_bw::AckPhase::ProbeStopping);
        path.until(LONG, |_| true);
    }
    assert_eq!(path.bbr.phase(), Phase::Cruise);
    assert!(path.in_flight <= target(&path));
}

#[test]
fn exiting_probe_down_after_max_time() {
    let mut path = Path::with(LINK, "probe_rtt_interval=60s");
    path.until_phase(LONG, Phase::Up);
    path.until_phase(LONG, Phase::Down);
    // A tenth less than it believes, on top of its pacing at nine tenths: the queue stays, and so does what is in flight.
    path.link.rate = LINK.rate * 8 / 10;
    let (began, wait) = (path.now, path.bbr.cycle.wait);
    path.until(LONG, |path| path.bbr.phase() != Phase::Down);
    assert_eq!(path.bbr.phase(), Phase::Refill, "past Cruise");
    let by_rounds = path.bbr.target_inflight() / SIZE;
    assert!(path.now - began > wait || path.bbr.cycle.rounds_since_up() >= by_rounds.min(63), "{wait:?}");
}

#[test]
fn entering_and_exiting_probe_rtt() {
    let mut path = Path::new(LINK);
    path.until_phase(LONG, Phase::Cruise);
    let stamp = path.bbr.min_rtt.probe_stamp;
    path.until_phase(LONG, Phase::ProbeRtt);
    assert!(path.now - stamp > Duration::from_secs(5) && path.now - stamp < ms(5100), "{:?}", path.now - stamp);
    assert_eq!((path.bbr.cwnd_gain(), path.bbr.state()), (500, "probe_rtt"));
    let (began, bdp) = (path.now, path.bbr.bdp(1000));
    path.until(LONG, |path| path.bbr.phase() != Phase::ProbeRtt);
    assert_eq!(path.bbr.phase(), Phase::Cruise);
    let lasted = path.now - began;
    assert!(lasted > ms(200) && lasted < ms(400), "{lasted:?}");
    assert!(path.bbr.window().congestion_window > bdp, "the window is back");
    let close = path.bbr.minimum_rtt().unwrap().as_secs_f64() / LINK.rtt.as_secs_f64();
    assert!((1.0..1.05).contains(&close), "{close}");
    // What it sent then does not lower the estimate, and it goes on at full rate.
    path.run(ms(500));
    assert!(path.run(Duration::from_secs(2)) > 0.95);
}

#[test]
fn skipping_probe_rtt_due_to_application_limited_sending() {
    let mut path = Path::new(LINK);
    path.until_phase(LONG, Phase::Cruise);
    path.set_supply(Some(0));
    path.run(Duration::from_secs(6));
    assert_eq!(path.in_flight, 0);
    let (phase, changes) = (path.bbr.phase(), path.phases.len());
    assert!(phase.is_probe_bw());
    // It will leave at exactly the bandwidth.
    let expected = path.bbr.bandwidth() * 99 / 100;
    assert!(path.bbr.window().pacing_rate.abs_diff(expected) <= 1);
    path.set_supply(None);
    path.run(ms(300));
    assert!(path.phases[changes..].iter().all(|(_, phase)| *phase != Phase::ProbeRtt), "{:?}", path.phases);
    assert!(path.now - path.bbr.min_rtt.probe_stamp < ms(300), "the pause was the probe");
}

#[test]
fn achieving_expected_startup_bandwidth_on_a_link_with_aggregation() {
    let link = Link { slot: ms(20), ..LINK };
    let mut path = Path::new(link);
    path.until(LONG, |path| path.bbr.phase() == Phase::Drain);
    let close = path.bbr.maximum_bandwidth() as f64 / link.rate as f64;
    assert!((0.9..1.25).contains(&close), "capped by the send rate, and yet all of it: {close}");
    let (window, bdp) = (path.bbr.window().congestion_window, path.bbr.bdp(1000));
    assert!(path.bbr.extra_acknowledged() > 0 && window > 2 * bdp, "{window} for {bdp}");
}

#[test]
fn achieving_expected_cruise_bandwidth_on_a_link_with_aggregation() {
    let mut path = Path::new(LINK);
    path.until_phase(LONG, Phase::Cruise);
    path.link.slot = ms(30);
    path.run(ms(1000));
    let extra = path.bbr.extra_acknowledged();
    // A slot of the link's rate is 37,500 bytes.
    assert!((30_000..60_000).contains(&extra), "{extra}");
    let used = path.run(Duration::from_secs(3));
    assert!(used > 0.93, "{used}");
    let window = path.bbr.max_inflight();
    assert!(window >= path.bbr.bdp(path.bbr.cwnd_gain()) + extra.min(30_000), "{window}");
}

#[test]
fn correctly_managing_sub_packet_bdps() {
    // 64 kbit/s and 40 ms: 320 bytes.
    let link = Link { rate: 8_000, queue: 20_000, ..LINK };
    let mut path = Path::new(link);
    path.until(Duration::from_secs(60), |path| path.bbr.phase().is_probe_bw());
    let used = path.run(Duration::from_secs(30));
    assert!(used > 0.9, "{used}");
    path.until_phase(LONG, Phase::ProbeRtt);
    path.until(LONG, |path| path.bbr.phase() != Phase::ProbeRtt || path.bbr.window().congestion_window == 4 * SIZE);
    assert_eq!(path.bbr.phase(), Phase::ProbeRtt, "the floor");
    path.until(LONG, |path| path.bbr.phase() != Phase::ProbeRtt);
    // Four packets in flight take 640 ms for the round trip: more than a packet each is never measured.
    assert!(path.bbr.window().congestion_window <= 13 * SIZE, "{:?}", path.bbr.window());
    let close = path.bbr.window().pacing_rate as f64 / link.rate as f64;
    assert!((0.8..1.3).contains(&close), "{close}");
}

#[test]
fn increasing_bandwidth_10x_and_ensuring_full_bandwidth_is_reached() {
    // A queue that is too short for twice the BDP, so that inflight_longterm is set.
    let mut path = Path::new(Link { queue: 30_000, ..LINK });
    path.until(LONG, |path| path.bbr.phase() == Phase::Cruise && path.bbr.inflight_longterm().is_some());
    path.link.rate = LINK.rate * 10;
    path.link.queue = 300_000;
    let mut fastest = 0;
    let began = path.now;
    while path.bbr.maximum_bandwidth() < path.link.rate * 9 / 10 {
        let before = path.bbr.cycle.up_rounds();
        path.until(Duration::from_secs(30), |path| path.bbr.rounds.started);
        assert!(path.now - began < Duration::from_secs(30));
        if path.bbr.phase() == Phase::Up && path.bbr.cycle.up_rounds() > before && before > 0 {
            fastest = fastest.max(path.bbr.cycle.up_rounds());
        }
    }
    // The step doubles each round: 450 KB more in datagrams of 1200 bytes need at least eight.
    assert!(fastest >= 5, "{fastest}");
    assert!(path.run(Duration::from_secs(3)) > 0.85);
}

#[test]
fn decreasing_bandwidth_10x_and_ensuring_max_bandwidth_adapts_down() {
    let fast = Link { rate: LINK.rate * 10, queue: 500_000, ..LINK };
    let mut path = Path::new(fast);
    path.until_phase(LONG, Phase::Cruise);
    path.link = Link { queue: 50_000, ..LINK };
    path.until(ms(2000), |path| path.bbr.bw_shortterm != INFINITE);
    let began = path.now;
    path.until(ms(3000), |path| path.bbr.bandwidth() < LINK.rate * 3 / 2);
    assert!(path.now - began < ms(2000), "{:?}", path.now - began);
    // Two cycles forget what was.
    path.until(LONG, |path| path.bbr.maximum_bandwidth() < LINK.rate * 11 / 10);
    assert!(path.run(Duration::from_secs(3)) > 0.9);
}

#[test]
fn handling_token_bucket_policers() {
    let mut path = Path::new(Link { policer: Some(100_000), ..LINK });
    path.until(LONG, |path| path.bbr.phase().is_probe_bw());
    path.until(LONG, |path| path.bbr.inflight_shortterm().is_some() && path.bbr.bw_shortterm != INFINITE);
    path.run(Duration::from_secs(15));
    let (lost, delivered) = (path.lost, path.delivered);
    let used = path.run(Duration::from_secs(30));
    let share = (path.lost - lost) as f64 / (path.lost - lost + path.delivered - delivered) as f64;
    assert!(used > 0.8, "{used}");
    assert!(share < 0.05, "{share}");
}

/// Reorders packets in UP until some count as lost although they arrive.
fn into_spurious_recovery(path: &mut Path) -> (u64, u64, u64) {
    path.until_phase(LONG, Phase::Up);
    path.run(ms(60));
    assert_eq!(path.bbr.phase(), Phase::Up);
    let saved = (path.bbr.bw_shortterm, path.bbr.inflight_shortterm, path.bbr.inflight_longterm);
    path.link.late = ms(25);
    path.run(ms(8));
    path.link.late = Duration::ZERO;
    saved
}

#[test]
fn handling_spurious_fast_recovery() {
    let mut path = Path::new(LINK);
    let saved = into_spurious_recovery(&mut path);
    path.until(ms(200), |path| path.bbr.phase() == Phase::Down);
    assert!(path.lost > 0 && path.bbr.recovery.is_under_way());
    let undo = path.bbr.undo;
    assert_eq!(undo.saved(), (Some(Phase::Up), saved.0, saved.1, saved.2));
    path.until(ms(200), |path| path.bbr.events().spurious_undo == 1);
    assert_eq!(path.bbr.phase(), Phase::Refill, "returning to ProbeBW by starting a refill phase");
    assert_eq!((path.bbr.bw_shortterm, path.bbr.inflight_shortterm, path.bbr.inflight_longterm), saved);
    path.until_phase(ms(200), Phase::Up);
}

#[test]
fn handling_spurious_rto_recovery() {
    let mut path = Path::new(LINK);
    path.until_phase(LONG, Phase::Up);
    path.run(ms(60));
    let window = path.bbr.window().congestion_window;
    path.lose_everything(true);
    assert_eq!(path.bbr.window().congestion_window, 2 * SIZE);
    assert_eq!((path.bbr.phase(), path.bbr.undo.saved().0), (Phase::Down, Some(Phase::Up)));
    path.until(ms(500), |path| path.bbr.events().spurious_undo == 1);
    assert!(path.bbr.window().congestion_window >= window);
    path.until_phase(ms(500), Phase::Up);
}

#[test]
fn entering_and_exiting_probe_rtt_during_startup() {
    let mut path = Path::new(LINK);
    path.set_supply(Some(LINK.rate / 4));
    path.until_phase(LONG, Phase::ProbeRtt);
    assert!(!path.bbr.full_pipe.reached);
    path.until(ms(500), |path| path.bbr.phase() != Phase::ProbeRtt);
    assert_eq!(path.bbr.phase(), Phase::Startup);
    path.set_supply(None);
    path.until_phase(LONG, Phase::Drain);
    let close = path.bbr.maximum_bandwidth() as f64 / LINK.rate as f64;
    assert!((0.98..1.02).contains(&close), "{close}");
}

#[test]
fn handling_loss_during_probe_up_after_inflight_longterm_is_set() {
    let mut path = Path::new(Link { queue: 30_000, ..LINK });
    path.until(LONG, |path| path.bbr.phase() == Phase::Cruise && path.bbr.inflight_longterm().is_some());
    path.until(LONG, |path| path.bbr.phase() == Phase::Up && !path.bbr.cycle.was_too_high);
    let (bound, target) = (path.bbr.inflight_longterm().unwrap(), path.bbr.target_inflight());
    path.link.loses_every = 5;
    path.until(ms(300), |path| path.bbr.phase() != Phase::Up);
    assert_eq!(path.bbr.phase(), Phase::Down);
    assert!(path.bbr.cycle.was_too_high && !path.bbr.full_pipe.now);
    let lowered = path.bbr.inflight_longterm().unwrap();
    assert!(lowered >= target * 7 / 10 && lowered != bound, "{bound} became {lowered}");
}

#[test]
fn handling_application_limited_sending_during_probe_refill() {
    let mut path = Path::new(LINK);
    path.until_phase(LONG, Phase::Refill);
    let before = path.bbr.maximum_bandwidth();
    path.set_supply(Some(LINK.rate / 4));
    path.until(ms(500), |path| path.bbr.phase() != Phase::Refill);
    assert_eq!((path.bbr.phase(), path.bbr.maximum_bandwidth()), (Phase::Up, before));
    path.set_supply(None);
    path.until(LONG, |path| path.bbr.phase() != Phase::Up);
    assert_eq!(path.bbr.phase(), Phase::Down);
    let close = path.bbr.maximum_bandwidth() as f64 / LINK.rate as f64;
    assert!((0.98..1.02).contains(&close), "{close}");
}
