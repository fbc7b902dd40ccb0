//! How many streams there may be, and how fast new ones may come.

use std::time::Duration;

use super::pair::{Fate, Pair};
use super::*;
use crate::stream::ledger::Outcome;

#[test]
fn one_thousand_nine_hundred_and_ninety_nine_streams_pass_a_limit_of_one_hundred() {
    for direction in [Direction::Bidirectional, Direction::Unidirectional] {
        let mut pair = Pair::new([LocalLimits::default(); 2]);
        let mut opened = 0;
        for round in 0.. {
            assert!(round < 100_000, "credit comes back");
            let now = pair.now;
            while opened < 1_999
                && let Some(id) = pair.ends[0].open(direction)
            {
                opened += 1;
                pair.ends[0].write(now, id, 100, true);
            }
            let fate = if round % 7 == 3 { Fate::Lost } else { Fate::Arrives };
            pair.transmit(0, 1_200, fate);
            let ids: Vec<_> =
                pair.ends[1].streams.iter().filter(|(_, held)| !held.released).map(|(id, _)| *id).collect();
            for id in ids {
                pair.ends[1].write(now, id, 50, true);
                pair.ends[1].consume(now, id, u64::MAX);
            }
            pair.transmit(1, 1_200, fate);
            let [_, theirs] = pair.ends[1].ledger.open_streams();
            assert!(theirs.iter().all(|open| *open <= 100));
            if opened == 1_999 && !pair.ends[0].ledger.wants_to_send() {
                break;
            }
        }
        pair.finish();
        assert_eq!(pair.ends[1].streams.len(), 1_999);
        pair.assert_complete();
    }
}

#[test]
fn long_streams_do_not_keep_short_ones_from_passing() {
    let mut ledger = server();
    // Nine of ten stay open.
    for index in 0..9 {
        ledger.on_stream(NOW, bidi_of_client(index), 0, 1, false).unwrap();
    }
    for index in 9..100 {
        let id = bidi_of_client(index);
        ledger.on_stream(NOW, id, 0, 1, true).unwrap();
        write(&mut ledger, id, 1, true);
        output(&mut ledger, StreamOutput::Consumed { id, bytes: 1 });
        output(&mut ledger, StreamOutput::Released { id });
        let (_, tokens) = packet(&mut ledger, 1_200);
        acknowledge(&mut ledger, tokens);
        let (frames, _) = packet(&mut ledger, 1_200);
        assert_eq!(frames.last().unwrap(), &format!("max streams Bidirectional {}", index + 2));
    }
}

/// Opens and cancels as many streams as it may, as a hostile peer would, and returns how many those were.
fn cancel_all(ledger: &mut Ledger, now: Time, from: &mut u64) -> u64 {
    let mut count = 0;
    while ledger.on_reset_stream(bidi_of_client(*from), 7, 0).is_ok() {
        let id = bidi_of_client(*from);
        ledger.on_stop_sending(id, 7).unwrap();
        ledger.on_output(now, StreamOutput::Released { id }).unwrap();
        *from += 1;
        count += 1;
        let (_, tokens) = packet(ledger, 1_200);
        acknowledge(ledger, tokens);
        inputs(ledger);
        packet(ledger, 1_200);
    }
    count
}

#[test]
fn streams_that_are_cancelled_come_back_at_the_limit_per_round_trip() {
    let mut ledger = server_with(LocalLimits { initial_max_streams_bidi: 100, ..LOCAL }, PEER);
    ledger.set_rtt(Duration::from_millis(50));
    let mut next = 0;
    // The limit, and a bucket that was full.
    assert_eq!(cancel_all(&mut ledger, NOW, &mut next), 200);
    assert_eq!(ledger.take_stats().credit_delayed, 100);
    let mut now = NOW;
    for _ in 0..10 {
        let mut count = 0;
        let end = now + Duration::from_millis(50);
        while let Some(at) = ledger.deadline()
            && at <= end
        {
            assert!(at > now, "no deadline at once");
            now = at;
            ledger.on_deadline(now);
            packet(&mut ledger, 1_200);
            count += cancel_all(&mut ledger, now, &mut next);
        }
        now = end;
        assert!((90..=110).contains(&count), "{count} in one round trip");
    }
    assert_eq!(ledger.take_stats().closed[Outcome::ResetPeer as usize][1][0], next - 200 + 200 - 200);
}

#[test]
fn credit_is_returned_only_when_the_application_is_done() {
    let mut ledger = server_with(LocalLimits { initial_max_streams_uni: 1, ..LOCAL }, PEER);
    let id = uni_of_client(0);
    ledger.on_stream(NOW, id, 0, 1, true).unwrap();
    output(&mut ledger, StreamOutput::Consumed { id, bytes: 1 });
    assert!(!ledger.wants_to_send());
    output(&mut ledger, StreamOutput::Released { id });
    let (frames, tokens) = packet(&mut ledger, 1_200);
    assert_eq!(frames, ["max streams Unidirectional 2"]);
    lose(&mut ledger, tokens);
    assert_eq!(packet(&mut ledger, 1_200).0, ["max streams Unidirectional 2"]);

    // A bidirectional one also has to send its part.
    let mut ledger = server_with(LocalLimits { initial_max_streams_bidi: 1, ..LOCAL }, PEER);
    let id = bidi_of_client(0);
    ledger.on_stream(NOW, id, 0, 0, true).unwrap();
    output(&mut ledger, StreamOutput::Released { id });
    write(&mut ledger, id, 10, true);
    let (_, tokens) = packet(&mut ledger, 1_200);
    assert!(!ledger.wants_to_send());
    acknowledge(&mut ledger, tokens);
    assert_eq!(packet(&mut ledger, 1_200).0, ["max streams Bidirectional 2"]);
}
