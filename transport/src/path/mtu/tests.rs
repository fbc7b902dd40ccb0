use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> Time {
    Time::from_nanos(seconds * 1_000_000_000)
}

fn searching(maximum: u16) -> MtuDiscovery {
    let mut mtu = MtuDiscovery::new(MtuConfig { maximum, ..MtuConfig::default() });
    mtu.start();
    mtu
}

/// Sends probes over a path that carries `carries` bytes until nothing more is to be tried. Returns how many.
fn search(mtu: &mut MtuDiscovery, carries: u16, now: Time) -> usize {
    let mut probes = 0;
    while let Some(size) = mtu.next_probe(now) {
        assert!(size > mtu.current() && size <= mtu.maximum(), "{size}: {mtu:?}");
        mtu.on_probe_sent(size);
        assert_eq!(mtu.next_probe(now), None, "one probe at a time");
        if size <= carries {
            assert_eq!(mtu.on_probe_acknowledged(size), Some(size));
        } else {
            mtu.on_probe_lost(size);
        }
        probes += 1;
        assert!(probes < 100, "a search without end: {mtu:?}");
    }
    probes
}

#[test]
fn an_ethernet_path_takes_one_probe() {
    let mut mtu = searching(DEFAULT_MAXIMUM);
    assert_eq!(mtu.current(), 1200);
    assert_eq!(search(&mut mtu, 1452, at(0)), 1);
    assert_eq!(mtu.current(), 1452);
    let ended = MtuCounters { probes_acknowledged: 1, searches_ended: 1, ended_with: 1452, ..MtuCounters::default() };
    assert_eq!(mtu.counters(), ended);
}

#[test]
fn nothing_is_probed_before_the_handshake_is_done_or_where_it_is_not_wanted() {
    let mut mtu = MtuDiscovery::new(MtuConfig::default());
    assert_eq!(mtu.next_probe(at(0)), None);
    let mut mtu = MtuDiscovery::new(MtuConfig { search: false, ..MtuConfig::default() });
    mtu.start();
    assert_eq!(mtu.next_probe(at(0)), None);
    assert_eq!(mtu.counters(), MtuCounters::default());
}

#[test]
fn three_losses_of_a_size_end_the_search_below_it() {
    let mut mtu = searching(1452);
    for _ in 0..2 {
        assert_eq!(mtu.next_probe(at(0)), Some(1452));
        mtu.on_probe_sent(1452);
        mtu.on_probe_lost(1452);
    }
    assert_eq!(mtu.next_probe(at(0)), Some(1452));
    mtu.on_probe_sent(1452);
    mtu.on_probe_lost(1452);
    assert_eq!(mtu.next_probe(at(0)), Some(1372));
    assert_eq!(mtu.counters().probes_lost, 3);
}

#[test]
fn a_size_that_the_own_host_refuses_is_not_tried_again() {
    let mut mtu = searching(65_527);
    assert_eq!(mtu.next_probe(at(0)), Some(65_527));
    mtu.on_probe_sent(65_527);
    mtu.on_probe_refused(65_527);
    assert_eq!(mtu.next_probe(at(0)), Some(65_487));
}

#[test]
fn the_peer_and_the_configuration_limit_the_size() {
    let mut mtu = searching(9000);
    mtu.set_peer_maximum(1400);
    search(&mut mtu, u16::MAX, at(0));
    assert_eq!(mtu.current(), 1400);
    let mut mtu = MtuDiscovery::new(MtuConfig { initial: 1400, maximum: 1452, search: true });
    assert_eq!(mtu.current(), 1400);
    mtu.set_peer_maximum(0);
    assert_eq!((mtu.current(), mtu.maximum()), (1200, 1200));
    mtu.start();
    assert_eq!(mtu.next_probe(at(0)), None);
    let mtu = MtuDiscovery::new(MtuConfig { initial: 9000, maximum: 0, search: true });
    assert_eq!(mtu.current(), 1200);
}

#[test]
fn a_finished_search_is_made_again_after_ten_minutes() {
    let mut mtu = searching(1452);
    search(&mut mtu, 1300, at(0));
    let before = mtu.current();
    assert!((1285..=1300).contains(&before), "{before}");
    assert_eq!(mtu.next_probe(at(599)), None);
    search(&mut mtu, 1452, at(600));
    assert_eq!((mtu.current(), mtu.counters().searches_ended), (1452, 2));
}

#[test]
fn a_probe_that_was_only_late_counts_after_all() {
    let mut mtu = searching(1452);
    for _ in 0..3 {
        let size = mtu.next_probe(at(0)).unwrap();
        mtu.on_probe_sent(size);
        mtu.on_probe_lost(size);
    }
    mtu.on_probe_sent(1372);
    assert_eq!(mtu.on_probe_acknowledged(1452), Some(1452));
    assert_eq!(mtu.current(), 1452);
    assert_eq!(mtu.on_probe_acknowledged(1372), None, "and a smaller one lowers nothing");
    assert_eq!(mtu.current(), 1452);
}

#[test]
fn large_packets_lost_turn_after_turn_while_small_ones_arrive_are_a_black_hole() {
    let mut mtu = searching(1452);
    search(&mut mtu, 1452, at(0));
    for turn in 1..=2 {
        mtu.on_packet_acknowledged(100, at(turn));
        assert_eq!(mtu.on_packet_lost(1452, at(turn)), None);
        assert_eq!(mtu.on_packet_lost(1452, at(turn)), None, "a turn counts once");
    }
    mtu.on_packet_acknowledged(1200, at(3));
    assert_eq!(mtu.on_packet_lost(1452, at(3)), Some(1200));
    assert_eq!((mtu.current(), mtu.counters().black_holes), (1200, 1));
    assert_eq!(mtu.next_probe(at(62)), None);
    search(&mut mtu, 1400, at(63));
    assert!(mtu.current() >= 1384);
}

#[test]
fn congestion_is_not_a_black_hole() {
    let mut mtu = searching(1452);
    search(&mut mtu, 1452, at(0));
    for turn in 1..100 {
        mtu.on_packet_acknowledged(1452, at(turn));
        for _ in 0..50 {
            assert_eq!(mtu.on_packet_lost(1452, at(turn)), None);
        }
    }
    // Two turns of nothing but loss, then one large packet gets through.
    for turn in [101, 102, 104, 105] {
        assert_eq!(mtu.on_packet_lost(1452, at(turn)), None);
        if turn == 102 {
            mtu.on_packet_acknowledged(1452, at(103));
        }
    }
    for turn in 200..300 {
        assert_eq!(mtu.on_packet_lost(1200, at(turn)), None, "packets of the base size are never too large");
    }
    assert_eq!((mtu.current(), mtu.counters().black_holes), (1452, 0));
}

#[test]
fn large_packets_that_arrive_but_are_smaller_do_not_hide_a_black_hole() {
    let mut mtu = searching(1452);
    search(&mut mtu, 1452, at(0));
    let mut fallen = None;
    for turn in 1..=3 {
        mtu.on_packet_acknowledged(1300, at(turn));
        fallen = mtu.on_packet_lost(1452, at(turn));
    }
    assert_eq!(fallen, Some(1200));
}

#[test]
fn silence_sends_large_packets_back_to_the_base_size() {
    let mut mtu = searching(1452);
    assert_eq!(mtu.on_probe_timeouts(9, at(0)), None, "already there");
    search(&mut mtu, 1452, at(0));
    assert_eq!(mtu.on_probe_timeouts(2, at(1)), None);
    assert_eq!(mtu.on_probe_timeouts(3, at(1)), Some(1200));
}

proptest! {
    #[test]
    fn every_search_ends_close_to_what_the_path_carries(carries in 1200_u16.., maximum in 1200_u16.., initial in 1200_u16..1300) {
        let carries = carries.max(initial);
        let mut mtu = MtuDiscovery::new(MtuConfig { initial, maximum, search: true });
        mtu.start();
        let probes = search(&mut mtu, carries, at(0));
        let best = carries.min(maximum);
        prop_assert!(mtu.current() <= best.max(initial.min(maximum)));
        prop_assert!(best - mtu.current() <= PRECISION, "{} of {best}", mtu.current());
        prop_assert!(probes <= 60);
    }

    #[test]
    fn whatever_is_reported_the_size_stays_within_its_bounds(reports in prop::collection::vec((0_u8..8, any::<u16>(), 0_u64..100), 0..200)) {
        let mut mtu = searching(1452);
        let mut now = Time::ZERO;
        for (report, size, seconds) in reports {
            now += Duration::from_secs(seconds);
            match report {
                0 => { mtu.on_probe_acknowledged(size); }
                1 => mtu.on_probe_lost(size),
                2 => mtu.on_probe_refused(size),
                3 => mtu.on_packet_acknowledged(size, now),
                4 => { mtu.on_packet_lost(size, now); }
                5 => { mtu.on_probe_timeouts(u32::from(size), now); }
                6 => mtu.set_peer_maximum(u64::from(size)),
                _ => if let Some(size) = mtu.next_probe(now) { mtu.on_probe_sent(size); }
            }
            prop_assert!(mtu.current() >= BASE && mtu.current() <= mtu.maximum());
        }
    }
}
