//! Probe timeouts (RFC 9002 §6.2, appendix A.8).

use super::*;

#[test]
fn the_timeout_is_the_round_trip_its_variation_and_the_peers_delay() {
    let mut bench = Bench::measured();
    assert_eq!(bench.recovery.pto(), ms(100 + 4 * 50 + 25));
    bench.send(200);
    assert_eq!(bench.deadline(200), Some((at(525), DeadlineKind::Probe, SPACE)));
    bench.recovery.set_peer_ack_delay(ms(5), 3);
    assert_eq!(bench.deadline(200), Some((at(505), DeadlineKind::Probe, SPACE)));
}

//= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1
//= type=test
//# When the PTO is armed for Initial or Handshake packet number spaces, the
//# max_ack_delay in the PTO period computation is set to 0
#[test]
fn handshake_packets_are_not_expected_to_be_delayed() {
    let mut bench = Bench::new(Side::Server);
    bench.send_in(SpaceId::Initial, 0);
    assert_eq!(bench.deadline(0), Some((at(999), DeadlineKind::Probe, SpaceId::Initial)));
}

#[test]
fn with_several_spaces_the_earlier_one_probes() {
    let mut bench = Bench::new(Side::Server);
    bench.send_in(SpaceId::Initial, 5);
    bench.send_in(SpaceId::Handshake, 2);
    assert_eq!(bench.deadline(5), Some((at(1001), DeadlineKind::Probe, SpaceId::Handshake)));
}

//= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1
//= type=test
//# An endpoint MUST NOT set its PTO timer for the Application Data packet number
//# space until the handshake is confirmed.
#[test]
fn the_application_does_not_probe_before_the_handshake_is_confirmed() {
    let mut bench = Bench::new(Side::Server);
    bench.send(0);
    assert_eq!(bench.deadline(0), None);
    bench.recovery.on_handshake_confirmed();
    assert_eq!(bench.deadline(0), Some((at(1024), DeadlineKind::Probe, SPACE)));
}

//= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1
//= type=test
//# When a PTO timer expires, the PTO backoff MUST be increased, resulting in the
//# PTO period being set to twice its current value.
#[test]
fn every_timeout_doubles_the_next_and_an_answer_ends_that() {
    let mut bench = Bench::measured();
    bench.send(1000);
    bench.fire(1324);
    assert_eq!(bench.outcome.probes, None, "too early");
    bench.fire(1325);
    assert_eq!(bench.outcome.probes, Some((SPACE, 2)));
    assert_eq!(bench.recovery.pto_count(), 1);
    bench.send(1325);
    assert_eq!(bench.deadline(1325), Some((at(1325 + 650), DeadlineKind::Probe, SPACE)));
    bench.fire(1975);
    assert_eq!(bench.recovery.pto_count(), 2);
    assert_eq!(bench.deadline(1975), Some((at(1325 + 1300), DeadlineKind::Probe, SPACE)));
    assert!(bench.outcome.lost.is_empty(), "a timeout is no loss");
    bench.ack(&[2..=2], 2000);
    assert_eq!(bench.recovery.pto_count(), 0);
}

#[test]
fn the_back_off_stops_at_two_to_the_sixteenth_and_saturates() {
    let mut bench = Bench::measured();
    bench.send(1000);
    bench.recovery.pto_count = u32::MAX;
    assert_eq!(bench.deadline(1000), Some((at(1000) + ms(325) * (1 << 16), DeadlineKind::Probe, SPACE)));
    bench.recovery.set_peer_ack_delay(Duration::MAX, u8::MAX);
    assert_eq!(bench.deadline(1000).map(|(at, ..)| at), Some(Time::MAX));
    bench.outcome.clear();
    bench.recovery.on_deadline(Time::MAX, &mut bench.outcome);
    assert_eq!(bench.outcome.probes, Some((SPACE, 2)));
    assert_eq!(bench.recovery.pto_count(), u32::MAX);
}

//= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1
//= type=test
//# a client does not reset the PTO backoff factor on
//# receiving acknowledgments in Initial packets.
#[test]
fn a_client_keeps_backing_off_until_the_server_is_known_to_believe_its_address() {
    let mut bench = Bench::new(Side::Client);
    bench.send_in(SpaceId::Initial, 0);
    bench.fire(999);
    assert_eq!(bench.recovery.pto_count(), 1);
    bench.ack_in(SpaceId::Initial, &[0..=0], 1000);
    assert_eq!(bench.recovery.pto_count(), 1);
    bench.send_in(SpaceId::Handshake, 1000);
    bench.ack_in(SpaceId::Handshake, &[0..=0], 1100);
    assert_eq!(bench.recovery.pto_count(), 0);
}

//= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2.1
//= type=test
//# the client MUST set the PTO timer
//# if the client has not received an acknowledgment for any of its Handshake
//# packets and the handshake is not confirmed
#[test]
fn a_client_probes_with_nothing_in_flight_so_that_the_server_may_send() {
    let mut bench = Bench::new(Side::Client);
    bench.send_in(SpaceId::Initial, 0);
    bench.ack_in(SpaceId::Initial, &[0..=0], 100);
    assert_eq!(bench.deadline(150), Some((at(400), DeadlineKind::Probe, SpaceId::Initial)));
    assert_eq!(bench.deadline(399), Some((at(400), DeadlineKind::Probe, SpaceId::Initial)), "asking does not move it");
    bench.fire(400);
    assert_eq!(bench.outcome.probes, Some((SpaceId::Initial, 1)));
    assert_eq!(bench.deadline(400), Some((at(1000), DeadlineKind::Probe, SpaceId::Initial)));
    bench.recovery.on_handshake_keys();
    assert_eq!(bench.deadline(400), Some((at(1000), DeadlineKind::Probe, SpaceId::Handshake)));
    bench.recovery.set_peer_completed_address_validation(true);
    assert_eq!(bench.deadline(400), None);
}

#[test]
fn a_client_that_has_sent_nothing_counts_from_when_it_was_first_asked_to_act() {
    let mut bench = Bench::new(Side::Client);
    assert_eq!(bench.deadline(100).map(|(at, ..)| at), Some(at(1099)));
    bench.fire(100);
    assert_eq!(bench.outcome.probes, None);
    assert_eq!(bench.deadline(800).map(|(at, ..)| at), Some(at(1099)));
}

#[test]
fn early_data_in_flight_does_not_stop_a_client_from_probing() {
    let mut bench = Bench::new(Side::Client);
    bench.send_in(SpaceId::Initial, 0);
    bench.send(0);
    bench.ack_in(SpaceId::Initial, &[0..=0], 100);
    assert_eq!(bench.deadline(100), Some((at(400), DeadlineKind::Probe, SpaceId::Initial)));
}

#[test]
fn a_server_with_nothing_in_flight_waits() {
    let mut bench = Bench::new(Side::Server);
    bench.send_in(SpaceId::Initial, 0);
    bench.ack_in(SpaceId::Initial, &[0..=0], 100);
    assert_eq!(bench.deadline(100), None);
    bench.fire(100_000);
    assert_eq!(bench.outcome.probes, None);
}

//= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2.1
//= type=test
//# If no additional data can be
//# sent, the server's PTO timer MUST NOT be armed until datagrams have been
//# received from the client
#[test]
fn a_server_that_may_not_send_does_not_probe_and_then_probes_at_once() {
    let mut bench = Bench::new(Side::Server);
    bench.send_in(SpaceId::Handshake, 0);
    bench.recovery.set_amplification_blocked(true);
    assert_eq!(bench.deadline(5000), None);
    bench.fire(5000);
    assert_eq!(bench.outcome.probes, None);
    bench.recovery.set_amplification_blocked(false);
    assert_eq!(bench.deadline(5000), Some((at(999), DeadlineKind::Probe, SpaceId::Handshake)));
    bench.fire(5000);
    assert_eq!(bench.outcome.probes, Some((SpaceId::Handshake, 2)));
}

//= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1
//= type=test
//# The PTO timer MUST NOT be set if a timer is set for time threshold
//# loss detection
#[test]
fn while_a_packet_is_late_there_is_no_probe() {
    let mut bench = Bench::measured();
    bench.send(200);
    bench.send(200);
    bench.ack(&[2..=2], 250);
    let (due, kind, _) = bench.deadline(250).unwrap();
    assert_eq!(kind, DeadlineKind::Loss);
    assert!(due < at(200) + bench.recovery.pto());
}

#[test]
fn a_probe_carries_what_the_oldest_packets_carried() {
    let mut bench = Bench::measured();
    bench.send_ack_only(200);
    for _ in 0..3 {
        bench.send(200);
    }
    let taken: Vec<_> = core::iter::from_fn(|| bench.recovery.take_probe_tokens(SPACE)).flatten().collect();
    assert_eq!(taken, [2_000_002, 2_000_003, 2_000_004]);
    assert_eq!(bench.recovery.bytes_in_flight(), 3000, "they are still in flight");
    bench.ack(&[1..=4], 300);
    assert_eq!(bench.outcome.acknowledged, [2_000_001], "and come back without what was taken");
    assert_eq!(bench.outcome.newly_acknowledged_packets, 4);
    assert_eq!(bench.recovery.bytes_in_flight(), 0);
}

//= https://www.rfc-editor.org/rfc/rfc9002#section-6.4
//= type=test
//# The sender MUST discard all recovery state associated with those packets
//# and MUST remove them from the count of bytes in flight.
#[test]
fn discarded_keys_take_their_packets_with_them() {
    let mut bench = Bench::new(Side::Client);
    bench.send_in(SpaceId::Initial, 0);
    bench.send_in(SpaceId::Handshake, 0);
    bench.fire(999);
    bench.outcome.clear();
    bench.recovery.discard(SpaceId::Initial, &mut bench.outcome);
    assert_eq!(bench.outcome.discarded, [0]);
    assert!(bench.outcome.lost.is_empty() && bench.outcome.acknowledged.is_empty());
    assert_eq!(bench.outcome.lost_packets(), 0);
    assert_eq!(bench.recovery.bytes_in_flight(), 1000);
    assert_eq!(bench.recovery.pto_count(), 0);
    assert_eq!(bench.deadline(999).map(|(_, _, space)| space), Some(SpaceId::Handshake));
    bench.ack_in(SpaceId::Initial, &[0..=0], 1000);
    assert_eq!(bench.outcome.newly_acknowledged_packets, 0);
}

#[test]
fn after_a_retry_numbers_go_on() {
    let mut bench = Bench::new(Side::Client);
    bench.send_in(SpaceId::Initial, 0);
    bench.recovery.forget(SpaceId::Initial, &mut bench.outcome);
    assert_eq!(bench.outcome.discarded, [0]);
    assert_eq!(bench.recovery.bytes_in_flight(), 0);
    assert_eq!(bench.recovery.next_number(SpaceId::Initial), 1);
    bench.send_in(SpaceId::Initial, 50);
    bench.ack_in(SpaceId::Initial, &[0..=1], 100);
    assert_eq!(bench.outcome.acknowledged, [1]);
    assert_eq!(bench.outcome.rtt_sample, Some(ms(50)));
}

#[test]
fn the_first_probes_are_marked_and_later_ones_are_not() {
    let mut bench = Bench::new(Side::Client);
    let mut now = 0;
    let mut marked = vec![];
    for _ in 0..4 {
        marked.push(bench.recovery.marks_ecn());
        let packet = SentPacket { ecn: bench.recovery.marks_ecn(), ..bench.packet(SpaceId::Initial, now) };
        bench.recovery.on_sent(SpaceId::Initial, packet);
        now += 100_000;
        bench.fire(now);
    }
    assert_eq!(marked, [true, true, false, false]);
}

#[test]
fn round_trips_of_weeks_and_times_at_the_end_of_time_are_endured() {
    let week = 7 * 24 * 3600 * 1000;
    let mut bench = Bench::confirmed();
    bench.send(0);
    bench.ack(&[0..=0], 8 * week);
    assert_eq!(bench.recovery.rtt().smoothed(), ms(8 * week));
    for step in 0..5 {
        bench.send(9 * week + step);
    }
    bench.ack(&[2..=2], 17 * week);
    for _ in 0..40 {
        let deadline = bench.recovery.deadline(at(17 * week)).unwrap();
        bench.recovery.on_deadline(deadline.at, &mut bench.outcome);
    }
    let packet = SentPacket { at: Time::MAX, bytes: u16::MAX, ..bench.packet(SPACE, 0) };
    bench.recovery.on_sent(SPACE, packet);
    bench.recovery.on_application_limited();
    bench.recovery.restart_path(Time::MAX, true);
    for now in [Time::MAX, Time::ZERO] {
        let packet = SentPacket { at: now, ..bench.packet(SPACE, 0) };
        bench.recovery.on_sent(SPACE, packet);
        let largest = bench.recovery.next_number(SPACE) - 1;
        let report = Report { largest, delay: u64::MAX, ecn: None };
        bench
            .recovery
            .acknowledge(SPACE, report, core::iter::once(largest..=largest), now, &mut bench.outcome)
            .unwrap();
        bench.recovery.on_deadline(Time::MAX, &mut bench.outcome);
        assert!(bench.recovery.deadline(now).is_none_or(|deadline| deadline.at <= Time::MAX));
    }
}
