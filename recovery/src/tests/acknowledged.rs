//! Acknowledgements and losses (RFC 9002 §5, §6.1, §7.6).

use super::*;

#[test]
fn tokens_come_back_with_the_acknowledgement() {
    let mut bench = Bench::confirmed();
    for _ in 0..5 {
        bench.send(0);
    }
    assert_eq!(bench.recovery.bytes_in_flight(), 5000);
    bench.ack(&[4..=4, 1..=2], 10);
    let mut acknowledged = bench.outcome.acknowledged.clone();
    acknowledged.sort_unstable();
    assert_eq!(acknowledged, [2_000_001, 2_000_002, 2_000_004]);
    assert_eq!(bench.outcome.newly_acknowledged_packets, 3);
    assert_eq!(bench.outcome.acknowledged_bytes, 3000);
    assert_eq!(bench.outcome.prior_in_flight, Some(5000));
    assert_eq!(bench.outcome.largest_newly_acknowledged, Some(4));
    assert_eq!(bench.recovery.largest_acknowledged(SPACE), Some(4));
}

#[test]
fn an_acknowledgement_that_comes_twice_counts_once() {
    let mut bench = Bench::measured();
    bench.ack(&[0..=0], 500);
    assert_eq!(bench.outcome.newly_acknowledged_packets, 0);
    assert_eq!(bench.outcome.rtt_sample, None);
    assert_eq!(bench.recovery.rtt().latest(), ms(100));
}

//= https://www.rfc-editor.org/rfc/rfc9002#section-5.1
//= type=test
//# an ACK frame
//# SHOULD NOT be used to update RTT estimates if it does not newly acknowledge the
//# largest acknowledged packet.
#[test]
fn only_a_newly_acknowledged_largest_packet_is_measured() {
    let mut bench = Bench::measured();
    bench.send(200);
    bench.send(210);
    bench.ack(&[2..=2], 250);
    assert_eq!(bench.outcome.rtt_sample, Some(ms(40)));
    bench.ack(&[1..=2], 260);
    assert_eq!(bench.outcome.newly_acknowledged_packets, 1);
    assert_eq!(bench.outcome.rtt_sample, None);
}

//= https://www.rfc-editor.org/rfc/rfc9002#section-5.1
//= type=test
//# An RTT sample MUST NOT be generated on receiving an ACK frame that does not
//# newly acknowledge at least one ack-eliciting packet.
#[test]
fn packets_that_elicit_nothing_are_not_measured_alone() {
    let mut bench = Bench::measured();
    bench.send_ack_only(200);
    bench.ack(&[0..=1], 900);
    assert_eq!(bench.outcome.rtt_sample, None);
    bench.send(1000);
    bench.send_ack_only(1010);
    bench.ack(&[0..=3], 1100);
    assert_eq!(bench.outcome.rtt_sample, Some(ms(90)), "but with one that does");
}

fn smoothed_after_a_delay_of(confirmed: bool, space: SpaceId, raw: u64) -> Duration {
    let mut bench = Bench::new(Side::Server);
    bench.recovery.set_peer_ack_delay(ms(25), 3);
    if confirmed {
        bench.recovery.on_handshake_confirmed();
    }
    bench.send_in(space, 0);
    bench.ack_in(space, &[0..=0], 100);
    bench.send_in(space, 200);
    bench.report(space, Report { largest: 1, delay: raw, ecn: None }, &[0..=1], 380).unwrap();
    bench.recovery.rtt().smoothed()
}

#[test]
fn the_peers_delay_is_scaled_by_its_exponent() {
    // 1,000 units of 8 us; an eighth of 180 - 8 weighs in.
    assert_eq!(smoothed_after_a_delay_of(true, SPACE, 1000), Duration::from_micros(109_000));
}

//= https://www.rfc-editor.org/rfc/rfc9002#section-5.3
//= type=test
//# MUST use the lesser of the acknowledgment delay and the peer's max_ack_delay
//# after the handshake is confirmed
#[test]
fn the_peers_delay_is_limited_only_once_the_handshake_is_confirmed() {
    let raw = 40_000 / 8;
    assert_eq!(smoothed_after_a_delay_of(true, SPACE, raw), (ms(700) + ms(155)) / 8);
    assert_eq!(smoothed_after_a_delay_of(false, SPACE, raw), (ms(700) + ms(140)) / 8);
}

#[test]
fn the_delay_of_initial_packets_is_ignored() {
    assert_eq!(smoothed_after_a_delay_of(false, SpaceId::Initial, 5000), (ms(700) + ms(180)) / 8);
    assert_eq!(smoothed_after_a_delay_of(false, SpaceId::Handshake, 5000), (ms(700) + ms(140)) / 8);
}

#[test]
fn a_delay_beyond_all_numbers_is_ignored() {
    assert_eq!(smoothed_after_a_delay_of(false, SPACE, u64::MAX), (ms(700) + ms(180)) / 8);
}

#[test]
fn three_later_packets_make_one_lost() {
    let mut bench = Bench::confirmed();
    for _ in 0..6 {
        bench.send(0);
    }
    bench.ack(&[2..=2], 1);
    assert_eq!(bench.outcome.lost, Vec::<u64>::new());
    bench.ack(&[4..=4], 1);
    assert_eq!(bench.outcome.lost, [2_000_000, 2_000_001]);
    assert_eq!(bench.outcome.lost_packets_by_packet_threshold, 2);
    assert_eq!(bench.outcome.lost_bytes, 2000);
    assert_eq!(bench.outcome.largest_lost_sent_at, Some(at(0)));
    assert_eq!(bench.recovery.bytes_in_flight(), 2000);
}

#[test]
fn nine_eighths_of_a_round_trip_make_one_lost() {
    let mut bench = Bench::measured();
    bench.send(200);
    bench.send(200);
    bench.ack(&[2..=2], 300);
    assert_eq!(bench.outcome.lost, Vec::<u64>::new());
    let due = at(200) + Duration::from_micros(112_500);
    assert_eq!(bench.deadline(300), Some((due, DeadlineKind::Loss, SPACE)));
    bench.fire(312);
    assert!(bench.outcome.lost.is_empty());
    bench.fire(313);
    assert_eq!(bench.outcome.lost, [2_000_001]);
    assert_eq!((bench.outcome.lost_packets_by_time_threshold, bench.outcome.lost_bytes), (1, 1000));
    assert_eq!((bench.outcome.probes, bench.deadline(313)), (None, None));
}

#[test]
fn nothing_is_lost_before_something_later_is_acknowledged() {
    let mut bench = Bench::measured();
    bench.send(200);
    bench.fire(100_000);
    assert!(bench.outcome.lost.is_empty());
    assert_eq!(bench.recovery.bytes_in_flight(), 1000);
}

#[test]
fn a_lost_packet_that_arrives_is_spurious_once() {
    let mut bench = Bench::measured();
    for _ in 0..5 {
        bench.send(200);
    }
    bench.ack(&[4..=5], 300);
    assert_eq!(bench.outcome.lost_packets(), 2);
    bench.ack(&[1..=5], 305);
    assert_eq!(bench.outcome.spurious, 2);
    assert!(bench.outcome.acknowledged.contains(&2_000_003) && !bench.outcome.acknowledged.contains(&2_000_001));
    bench.ack(&[1..=5], 306);
    assert_eq!(bench.outcome.spurious, 0);
}

#[test]
fn a_lost_packet_is_remembered_for_some_timeouts_only() {
    let mut bench = Bench::measured();
    for milliseconds in [200, 200, 200, 200, 5000] {
        bench.send(milliseconds);
    }
    bench.ack(&[2..=4], 300);
    assert_eq!(bench.outcome.lost_packets(), 1);
    bench.ack(&[5..=5], 5100);
    bench.ack(&[0..=5], 5101);
    assert_eq!(bench.outcome.spurious, 0);
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-13.1
//= type=test
//# An endpoint SHOULD treat receipt of an acknowledgment for a packet it did not
//# send as a connection error of type PROTOCOL_VIOLATION, if it is able to detect
//# the condition.
#[test]
fn what_was_never_sent_cannot_be_acknowledged() {
    let mut bench = Bench::measured();
    let report = Report { largest: 1, delay: 0, ecn: None };
    assert_eq!(bench.report(SPACE, report, &[0..=1], 200), Err(AckError::NeverSent));
    bench.send(300);
    assert_eq!(bench.report(SPACE, report, &[0..=1], 400), Ok(()));
}

#[test]
fn skipped_numbers_cannot_be_acknowledged_soon_or_later() {
    let mut bench = Bench::measured();
    bench.recovery.skip_number(SPACE);
    assert_eq!(bench.recovery.next_number(SPACE), 2);
    bench.send(200);
    bench.send(200);
    let report = Report { largest: 3, delay: 0, ecn: None };
    assert_eq!(bench.report(SPACE, report, &[1..=3], 300), Err(AckError::Skipped));
    let mut honest = Bench::measured();
    honest.recovery.skip_number(SPACE);
    honest.send(200);
    honest.ack(&[2..=2, 0..=0], 300);
    assert_eq!(honest.outcome.newly_acknowledged_packets, 1);
    let report = Report { largest: 2, delay: 0, ecn: None };
    assert_eq!(honest.report(SPACE, report, &[0..=2], 400), Err(AckError::Skipped));
}

#[test]
fn a_skip_in_the_middle_of_what_is_in_flight_is_no_packet() {
    let mut bench = Bench::measured();
    bench.send(200);
    bench.recovery.skip_number(SPACE);
    bench.send(200);
    bench.ack(&[3..=3, 1..=1], 300);
    assert_eq!(bench.outcome.newly_acknowledged_packets, 2);
    assert_eq!(bench.outcome.lost_packets(), 0);
    assert_eq!(bench.recovery.bytes_in_flight(), 0);
}

#[test]
fn a_wide_acknowledgement_costs_what_is_new_in_it() {
    let mut bench = Bench::confirmed();
    let mut packets = 0;
    for turn in 0..2000 {
        for _ in 0..20 {
            bench.send(turn);
            packets += 1;
        }
        bench.ack(&[0..=packets - 1], turn);
    }
    assert_eq!(bench.recovery.bytes_in_flight(), 0);
    assert!(bench.visited() <= packets * 2 + 2 * 2000, "{} slots for {packets} packets", bench.visited());
}

#[test]
fn many_narrow_ranges_and_old_gaps_cost_no_more() {
    let mut bench = Bench::confirmed();
    for _ in 0..20_000 {
        bench.send(0);
    }
    let odd: Vec<_> = (0..10_000_u64).rev().map(|half| half * 2 + 1..=half * 2 + 1).collect();
    bench.ack(&odd, 10);
    let visited = bench.visited();
    assert!(visited <= 40_010, "{visited}");
    for _ in 0..100 {
        bench.ack(&odd, 10);
    }
    assert!(bench.visited() - visited <= 400, "said again, it is not new: {}", bench.visited() - visited);
}

#[test]
fn the_widest_acknowledgement_of_the_wire_touches_nothing() {
    let mut bench = Bench::confirmed();
    for _ in 0..100 {
        bench.send(0);
    }
    let visited = bench.visited();
    let mut buffer = [0; 64];
    let mut writer = Writer::new(&mut buffer);
    let largest = (1 << 62) - 1;
    encode_ack(&mut writer, 0, core::iter::once(0..=largest), None).unwrap();
    let payload = writer.written().to_vec();
    let Some(Ok(Frame::Ack(ack))) = codec::frame::iter(&payload).next() else { panic!("an ACK frame") };
    assert_eq!(bench.recovery.on_ack(SPACE, &ack, at(1), &mut bench.outcome), Err(AckError::NeverSent));
    assert_eq!(bench.visited(), visited);
}

#[test]
fn an_acknowledgement_of_the_wire_is_understood() {
    let mut bench = Bench::confirmed();
    for _ in 0..10 {
        let packet = SentPacket { ecn: bench.recovery.marks_ecn(), ..bench.packet(SPACE, 0) };
        bench.recovery.on_sent(SPACE, packet);
    }
    let mut buffer = [0; 64];
    let mut writer = Writer::new(&mut buffer);
    let counts = EcnCounts { ect0: 4, ect1: 0, ce: 1 };
    encode_ack(&mut writer, 0, [7..=9, 4..=5].into_iter(), Some(counts)).unwrap();
    let payload = writer.written().to_vec();
    let Some(Ok(Frame::Ack(ack))) = codec::frame::iter(&payload).next() else { panic!("an ACK frame") };
    bench.recovery.on_ack(SPACE, &ack, at(40), &mut bench.outcome).unwrap();
    assert_eq!(bench.outcome.newly_acknowledged_packets, 5);
    assert_eq!(bench.outcome.rtt_sample, Some(ms(40)));
    assert_eq!(bench.outcome.ecn, Some(EcnVerdict::Capable));
    assert_eq!(bench.outcome.ecn_ce, 1);
    assert_eq!(bench.outcome.lost, [2_000_000, 2_000_001, 2_000_002, 2_000_003, 2_000_006]);
}

/// The example of section 7.6.3, with the packets sent at these seconds and lost, before the last at 12 s arrives.
fn after_the_example(lost_at: &[u64]) -> Bench {
    let mut bench = Bench::confirmed();
    bench.recovery.set_peer_ack_delay(ms(1400), 3);
    bench.send(0);
    bench.ack(&[0..=0], 200);
    // smoothed_rtt + max(4*rttvar, kGranularity) + max_ack_delay = 2, as the example assumes.
    assert_eq!(bench.recovery.pto(), ms(2000));
    for &seconds in lost_at {
        bench.send(10_000 + seconds * 1000);
    }
    bench.send(22_000);
    let last = bench.recovery.next_number(SPACE) - 1;
    bench.ack(&[last..=last], 22_200);
    assert_eq!(bench.outcome.lost_packets(), lost_at.len() as u64);
    bench
}

#[test]
fn the_example_of_section_7_6_3_is_persistent_congestion() {
    let bench = after_the_example(&[1, 2, 3, 4, 5, 6, 8]);
    assert!(bench.outcome.persistent_congestion);
    assert_eq!(bench.recovery.rtt().minimum(), ms(200));
    assert!(!after_the_example(&[1, 2, 3, 4, 5, 6]).outcome.persistent_congestion, "5 s are not enough");
    assert!(after_the_example(&[1, 8]).outcome.persistent_congestion, "two packets are");
}

#[test]
fn one_acknowledged_packet_in_between_prevents_persistent_congestion() {
    for acknowledged_between in [false, true] {
        let mut bench = Bench::measured();
        for step in 0..9 {
            bench.send(1000 + step * 150);
            if step == 4 && acknowledged_between {
                bench.ack(&[5..=5], 1700);
                assert!(!bench.outcome.persistent_congestion);
            }
        }
        bench.ack(&[9..=9], 2300);
        assert_eq!(bench.outcome.persistent_congestion, !acknowledged_between);
    }
}

#[test]
fn packets_from_before_the_first_sample_are_no_persistent_congestion() {
    let mut bench = Bench::confirmed();
    for seconds in 0..60 {
        bench.send(seconds * 1000);
    }
    bench.ack(&[59..=59], 59_010);
    assert_eq!(bench.outcome.lost_packets(), 59);
    assert!(!bench.outcome.persistent_congestion);
}

#[test]
fn a_lost_probe_for_a_larger_datagram_is_no_congestion() {
    let mut bench = Bench::measured();
    let probe = SentPacket { mtu_probe: true, bytes: 1400, ..bench.packet(SPACE, 200) };
    bench.recovery.on_sent(SPACE, probe);
    assert_eq!(bench.recovery.bytes_in_flight(), 1400);
    for _ in 0..3 {
        bench.send(200);
    }
    bench.ack(&[2..=4], 300);
    assert_eq!(bench.outcome.mtu_probe_lost, Some(1400));
    assert_eq!(bench.outcome.lost, [2_000_001]);
    assert_eq!((bench.outcome.lost_packets(), bench.outcome.lost_bytes), (0, 0));
    assert_eq!(bench.outcome.largest_lost_sent_at, None);
    assert_eq!(bench.recovery.bytes_in_flight(), 0);
    let probe = SentPacket { mtu_probe: true, bytes: 1300, ..bench.packet(SPACE, 400) };
    bench.recovery.on_sent(SPACE, probe);
    bench.ack(&[5..=5], 500);
    assert_eq!(bench.outcome.mtu_probe_acknowledged, Some(1300));
}

#[test]
fn lost_packets_that_were_not_in_flight_return_their_tokens_and_nothing_else() {
    let mut bench = Bench::measured();
    bench.send_ack_only(200);
    for _ in 0..3 {
        bench.send(200);
    }
    bench.ack(&[2..=4], 300);
    assert_eq!(bench.outcome.lost, [2_000_001]);
    assert_eq!((bench.outcome.lost_packets(), bench.outcome.lost_bytes), (0, 0));
}

#[test]
fn so_many_packets_are_remembered_and_no_more() {
    let mut bench = Bench::confirmed();
    bench.recovery.config.sent_packets = 3;
    bench.send(0);
    bench.send_in(SpaceId::Initial, 0);
    assert!(!bench.recovery.is_full());
    bench.send_ack_only(0);
    assert!(bench.recovery.is_full());
    bench.ack(&[0..=0], 1);
    assert!(!bench.recovery.is_full());
}

#[test]
fn the_delivery_rate_is_measured() {
    let mut bench = Bench::measured();
    for step in 0..300 {
        bench.send(200 + step);
        if step >= 50 {
            bench.ack(&[0..=step - 50 + 1], 200 + step);
        }
    }
    let sample = bench.outcome.delivery.unwrap();
    // From the answer before the packet was sent, 1 ms earlier, until its own, 50 ms later.
    assert_eq!((sample.interval, sample.delivered), (ms(51), 51_000));
    assert_eq!(sample.rate(), 1_000_000);
    assert!(!sample.application_limited);
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    /// Mostly numbers that may have been sent, sometimes any.
    fn numbers() -> impl Strategy<Value = u64> {
        prop_oneof![8 => 0..40_u64, 1 => any::<u64>()]
    }

    proptest! {
        #[test]
        fn arbitrary_acknowledgements_never_panic(
            reports in proptest::collection::vec((numbers(), any::<u64>(), any::<u64>(), numbers(), numbers()), 0..30),
            skipped in 0..30_u64,
        ) {
            let mut bench = Bench::confirmed();
            for step in 0..30 {
                if step == skipped {
                    bench.recovery.skip_number(SPACE);
                }
                let packet = SentPacket { ecn: step % 2 == 0, ..bench.packet(SPACE, step) };
                bench.recovery.on_sent(SPACE, packet);
            }
            for (largest, delay, nanoseconds, count, width) in reports {
                let lowest = largest.saturating_sub(width);
                let ranges = [lowest..=largest, 0..=lowest.saturating_sub(2)];
                let counts = EcnCounts { ect0: count, ect1: delay % 2, ce: count / 2 };
                let report = Report { largest, delay, ecn: (delay % 3 > 0).then_some(counts) };
                let now = Time::from_nanos(nanoseconds);
                let result = bench.recovery.acknowledge(SPACE, report, ranges.into_iter(), now, &mut bench.outcome);
                prop_assert_eq!(result == Err(AckError::NeverSent), largest >= bench.recovery.next_number(SPACE));
                bench.recovery.on_deadline(now, &mut bench.outcome);
                prop_assert!(bench.recovery.bytes_in_flight() <= 30_000);
            }
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc9002#section-5.3
//= type=test
//# Therefore, prior to handshake
//# confirmation, an endpoint MAY ignore RTT samples if adjusting the RTT sample for
//# acknowledgment delay causes the sample to be less than the min_rtt.
#[test]
fn a_first_sample_that_is_mostly_the_wait_for_keys_is_none() {
    // 3 s passed, of which the peer waited 2.98 s for keys: a probe timeout of 9 s would follow.
    let after = |delay: u64, confirmed: bool, samples: &[u64]| {
        let mut bench = Bench::new(Side::Client);
        for (number, sample) in samples.iter().enumerate() {
            bench.send(0);
            bench.ack(&[number as u64..=number as u64], *sample);
        }
        if confirmed {
            bench.recovery.on_handshake_confirmed();
        }
        bench.send(0);
        let number = samples.len() as u64;
        let report = Report { largest: number, delay: delay * 1000 / 8, ecn: None };
        bench.report(SPACE, report, &[number..=number], 3000).unwrap();
        assert_eq!(bench.outcome.newly_acknowledged_packets, 1);
        bench.outcome.rtt_sample.is_some()
    };
    assert!(!after(2980, false, &[]));
    assert!(!after(1500, false, &[]), "half of it");
    assert!(after(1499, false, &[]), "less than half");
    assert!(after(2980, false, &[20]), "the delay is subtracted from later ones");
    assert!(after(2980, true, &[]), "once the handshake is confirmed no key is waited for");
}

#[test]
fn a_short_first_sample_counts_whatever_the_peer_waited() {
    let mut bench = Bench::new(Side::Client);
    bench.send(0);
    // 24 of 25 ms, as a peer may always wait.
    let report = Report { largest: 0, delay: 3000, ecn: None };
    bench.report(SPACE, report, &[0..=0], 25).unwrap();
    assert_eq!(bench.recovery.rtt().smoothed(), ms(25));
}

#[test]
fn what_nobody_has_to_answer_is_forgotten_at_rest_and_may_be_answered_all_the_same() {
    let mut bench = Bench::measured();
    bench.send_ack_only(200);
    assert_eq!(bench.recovery.sent_packets(), 1);
    bench.recovery.shrink();
    assert_eq!((bench.recovery.sent_packets(), bench.recovery.next_number(SPACE)), (0, 2));
    bench.send(300);
    bench.send_ack_only(300);
    bench.recovery.shrink();
    assert_eq!(bench.recovery.sent_packets(), 2, "one of them is awaited");
    bench.ack(&[0..=3], 400);
    assert_eq!((bench.recovery.sent_packets(), bench.outcome.newly_acknowledged_packets), (0, 2));
}
