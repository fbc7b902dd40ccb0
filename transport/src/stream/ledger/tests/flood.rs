//! Peers that send what they may while nothing leaves or nobody takes it: memory stays bounded.

use codec::TransportErrorCode;

use super::pair::{Fate, Pair};
use super::*;
use crate::limits::{CONTROL_FRAMES, Limit};

#[test]
fn an_application_that_never_lets_go_holds_no_more_than_the_limits() {
    let mut pair = Pair::new([LocalLimits::default(), LOCAL]);
    pair.ends[1].releases = false;
    let mut opened = 0;
    for _ in 0..1_000 {
        let now = pair.now;
        for direction in [Direction::Bidirectional, Direction::Unidirectional] {
            if let Some(id) = pair.ends[0].open(direction) {
                opened += 1;
                pair.ends[0].write(now, id, 190, opened % 2 == 0);
                if opened % 3 == 0 {
                    pair.ends[0].reset(now, id);
                }
            }
        }
        pair.transmit(0, 1_200, Fate::Arrives);
        pair.transmit(1, 1_200, Fate::Arrives);
        pair.wait(std::time::Duration::from_millis(10));
    }
    assert_eq!(opened, LOCAL.initial_max_streams_bidi + LOCAL.initial_max_streams_uni);
    assert_eq!(pair.ends[1].ledger.open_streams()[1], [10, 5]);
    assert!(pair.ends[1].ledger.receive_charged() <= LOCAL.initial_max_data);
}

#[test]
fn stopped_streams_up_to_the_bound_wait_for_their_reset_and_one_more_closes_the_connection() {
    let mut ledger = server();
    let count = CONTROL_FRAMES as u64;
    write(&mut ledger, uni_of_server(count), 1, false);
    for index in 0..count {
        ledger.on_stop_sending(uni_of_server(index), 7).unwrap();
    }
    assert_eq!(ledger.control_frames(), CONTROL_FRAMES);
    let error = ledger.on_stop_sending(uni_of_server(count), 7).unwrap_err();
    assert_eq!(error.code, TransportErrorCode::INTERNAL_ERROR);
    assert!(ledger.take_stats().limit_hits().any(|hit| hit == (Limit::ControlFrames, 1)));
}

#[test]
fn repeated_frames_queue_nothing_while_nothing_leaves() {
    let mut ledger = server();
    let id = bidi_of_client(9);
    for round in 0..10_000_u64 {
        ledger.on_stream(NOW, id, 0, 500, false).unwrap();
        ledger.on_stream_data_blocked(id, round).unwrap();
        ledger.on_max_stream_data(id, (1 << 30) + round).unwrap();
        ledger.on_max_data((1 << 30) + round);
        ledger.on_data_blocked(round);
        ledger.on_streams_blocked(Direction::Bidirectional, round);
        ledger.on_stop_sending(id, round).unwrap();
        assert!(inputs(&mut ledger).len() <= 11);
    }
    assert_eq!((ledger.open_streams(), ledger.control_frames()), ([[0, 0], [10, 0]], 1));
    let stats = ledger.take_stats();
    assert_eq!((stats.data_blocked_received, stats.streams_blocked_received), (10_000, [10_000, 0]));
    assert_eq!((stats.stream_data_blocked_received, stats.bytes_received), (10_000, 500));
}

#[test]
fn an_application_that_consumes_while_nothing_leaves_queues_one_frame_for_each_limit() {
    let mut ledger = server();
    for index in 0..3 {
        let id = bidi_of_client(index);
        ledger.on_stream(NOW, id, 0, 1_000, false).unwrap();
        for _ in 0..1_000 {
            output(&mut ledger, StreamOutput::Consumed { id, bytes: 1 });
        }
    }
    assert_eq!(ledger.control_frames(), 3 + 1);
}

#[test]
fn streams_whose_data_never_leave_are_forgotten_with_their_reset() {
    // The peer permits no data at all, and acknowledges resets: nothing may pile up in the queue of those that wait.
    let mut ledger = server_with(LOCAL, PeerLimits { initial_max_data: 0, ..PEER });
    for index in 0..1_000 {
        let id = uni_of_server(index);
        write(&mut ledger, id, 1_000, true);
        ledger.on_stop_sending(id, 7).unwrap();
        let (frames, tokens) = packet(&mut ledger, 1_200);
        assert_eq!(frames, [format!("reset {id} code 7 size 0")]);
        acknowledge(&mut ledger, tokens);
        inputs(&mut ledger);
    }
    assert_eq!((ledger.open_streams(), ledger.send_buffered()), ([[0, 0], [0, 0]], 0));
    assert!(!ledger.wants_to_send());
}
