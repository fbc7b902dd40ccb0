//! A connection that moves (RFC 9000 §9.4).

use super::*;

//= https://www.rfc-editor.org/rfc/rfc9000#section-9.4
//= type=test
//# Packets sent on the old path MUST NOT contribute to congestion control or RTT
//# estimation for the new path.
#[test]
fn packets_of_an_earlier_path_return_their_tokens_and_nothing_else() {
    let mut bench = Bench::measured();
    for _ in 0..6 {
        let packet = SentPacket { ecn: true, ..bench.packet(SPACE, 200) };
        bench.recovery.on_sent(SPACE, packet);
    }
    bench.recovery.restart_path(at(210), false);
    assert_eq!(bench.recovery.bytes_in_flight(), 0);
    assert!(!bench.recovery.rtt().has_sample());
    bench.send(220);
    assert_eq!(bench.recovery.bytes_in_flight(), 1000);
    bench.ack(&[6..=6], 300);
    assert_eq!(bench.outcome.acknowledged, [2_000_006]);
    assert_eq!(bench.outcome.lost, [2_000_001, 2_000_002, 2_000_003]);
    assert_eq!(bench.outcome.acknowledged_packets_of_earlier_paths, 1);
    assert_eq!(bench.outcome.lost_packets_of_earlier_paths, 3);
    assert_eq!((bench.outcome.newly_acknowledged_packets, bench.outcome.acknowledged_bytes), (0, 0));
    assert_eq!((bench.outcome.lost_packets(), bench.outcome.lost_bytes), (0, 0));
    assert_eq!((bench.outcome.rtt_sample, bench.outcome.delivery), (None, None));
    assert_eq!((bench.outcome.largest_acknowledged_sent_at, bench.outcome.largest_lost_sent_at), (None, None));
    assert_eq!((bench.outcome.ecn, bench.outcome.ecn_ce), (None, 0));
    assert_eq!(bench.recovery.bytes_in_flight(), 1000);
    assert!(!bench.recovery.rtt().has_sample());
    bench.ack(&[7..=7], 320);
    assert_eq!(bench.outcome.rtt_sample, Some(ms(100)));
    assert_eq!(bench.recovery.bytes_in_flight(), 0);
}

#[test]
fn an_acknowledgement_whose_largest_packet_was_sent_elsewhere_is_not_measured() {
    let mut bench = Bench::measured();
    bench.send(200);
    let aside = SentPacket { in_flight: false, ..bench.packet(SPACE, 210) };
    bench.recovery.on_sent(SPACE, aside);
    assert_eq!(bench.recovery.bytes_in_flight(), 1000);
    bench.ack(&[1..=2], 900);
    assert_eq!(bench.outcome.rtt_sample, None);
    assert_eq!(bench.outcome.newly_acknowledged_packets, 1);
    assert_eq!(bench.outcome.acknowledged.len(), 2);
}

#[test]
fn a_packet_sent_elsewhere_moves_no_timer() {
    let mut bench = Bench::measured();
    let aside = SentPacket { in_flight: false, ..bench.packet(SPACE, 210) };
    bench.recovery.on_sent(SPACE, aside);
    assert_eq!(bench.deadline(210), None);
    assert_eq!(bench.recovery.take_probe_tokens(SPACE), None);
}

#[test]
fn what_was_in_flight_is_asked_for_again_on_the_new_path() {
    let mut bench = Bench::measured();
    bench.send(200);
    bench.recovery.restart_path(at(1000), false);
    assert_eq!(bench.deadline(1000), Some((at(1000 + 999 + 25), DeadlineKind::Probe, SPACE)));
    bench.fire(2024);
    assert_eq!(bench.outcome.probes, Some((SPACE, 2)));
    assert_eq!(bench.recovery.take_probe_tokens(SPACE).map(|tokens| tokens.to_vec()), Some(vec![2_000_001]));
}

#[test]
fn when_only_the_port_changed_the_estimate_may_stay() {
    let mut bench = Bench::measured();
    bench.recovery.restart_path(at(1000), true);
    assert_eq!(bench.recovery.rtt().smoothed(), ms(100));
}

#[test]
fn losses_of_an_earlier_path_are_no_persistent_congestion() {
    let mut bench = Bench::measured();
    for seconds in 1..20 {
        bench.send(seconds * 1000);
    }
    bench.recovery.restart_path(at(20_000), true);
    bench.send(20_000);
    bench.send(20_010);
    bench.ack(&[21..=21], 20_100);
    assert!(!bench.outcome.persistent_congestion);
    assert_eq!(bench.outcome.lost_packets_of_earlier_paths, 19);
}

#[test]
fn forgetting_packets_of_two_paths_takes_the_current_ones_out_of_flight() {
    let mut bench = Bench::measured();
    bench.send(200);
    bench.recovery.restart_path(at(300), false);
    bench.send(400);
    bench.send_in(SpaceId::Handshake, 400);
    bench.recovery.forget(SPACE, &mut bench.outcome);
    assert_eq!(bench.recovery.bytes_in_flight(), 1000);
}
