//! What is sent, in which order, and what happens when it is lost.

use super::*;
use crate::limits::SEND_AHEAD;
use crate::stream::ledger::FlowBlocked;

const PACKET: usize = 1_200;

#[test]
fn a_whole_stream_goes_in_one_frame_and_is_acknowledged_once() {
    let mut ledger = server();
    write(&mut ledger, uni_of_server(0), 100, true);
    assert!(ledger.wants_to_send());
    let (frames, tokens) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["stream 3 0+100 fin"]);
    assert!(!ledger.wants_to_send());
    assert_eq!(ledger.send_buffered(), 100);
    acknowledge(&mut ledger, tokens);
    assert_eq!(inputs(&mut ledger), ["acknowledged 3"]);
    assert_eq!((ledger.open_streams(), ledger.send_buffered()), ([[0, 0], [0, 0]], 0));
    let stats = ledger.take_stats();
    assert_eq!((stats.bytes_sent, stats.bytes_acknowledged, stats.closed[0]), (100, 100, [[0, 1], [0, 0]]));
}

#[test]
fn the_last_frame_fills_its_packet_without_a_length() {
    // Type, id: two bytes before the data.
    for length in PACKET - 10..PACKET + 10 {
        let mut ledger = server();
        write(&mut ledger, uni_of_server(0), length, true);
        let (frames, tokens) = packet(&mut ledger, PACKET);
        let rest = match length {
            0..=1196 => {
                assert_eq!(frames, [format!("stream 3 0+{length} fin")]);
                0
            }
            1197 => {
                assert_eq!(frames, ["padding 1", "stream 3 0+1197 fin"]);
                0
            }
            1198 => {
                assert_eq!(frames, ["stream 3 0+1198 fin"]);
                0
            }
            _ => {
                assert_eq!(frames, ["stream 3 0+1198"]);
                length - 1198
            }
        };
        assert_eq!(tokens.len(), 1);
        let expected = if rest == 0 { vec![] } else { vec![format!("stream 3 1198+{rest} fin")] };
        assert_eq!(packet(&mut ledger, PACKET).0, expected);
    }
}

#[test]
fn writes_are_joined_into_one_frame_with_one_token() {
    let mut ledger = server();
    for _ in 0..3 {
        write(&mut ledger, uni_of_server(0), 600, false);
    }
    let (frames, tokens) = packet(&mut ledger, 1_500);
    assert_eq!(frames, ["stream 3 0+1498"]);
    let ranges: Vec<_> = tokens
        .iter()
        .map(|token| match token {
            Token::Stream { offset, length, .. } => (*offset, *length),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ranges, [(0, 1_498)]);
    acknowledge(&mut ledger, tokens);
    assert_eq!(ledger.send_buffered(), 302);
}

#[test]
fn streams_take_turns_of_a_packet() {
    let mut ledger = server();
    for index in 0..3 {
        write(&mut ledger, uni_of_server(index), 3_000, true);
    }
    let mut packets = Vec::new();
    while ledger.has_unblocked_data() {
        packets.push(packet(&mut ledger, PACKET).0.join(", "));
    }
    assert_eq!(
        packets,
        [
            "stream 3 0+1198",
            "stream 7 0+1198",
            "stream 11 0+1198",
            "stream 3 1198+1196",
            "stream 7 1198+1196",
            "stream 11 1198+1196",
            "stream 3 2394+606 fin, stream 7 2394+584",
            "stream 7 2978+22 fin, stream 11 2394+606 fin",
        ]
    );
}

#[test]
fn small_streams_share_a_packet() {
    let mut ledger = server();
    for index in 0..3 {
        write(&mut ledger, uni_of_server(index), 100, true);
    }
    assert_eq!(packet(&mut ledger, PACKET).0, ["stream 3 0+100 fin", "stream 7 0+100 fin", "stream 11 0+100 fin"]);
}

#[test]
fn a_few_bytes_at_the_end_of_a_packet_are_not_worth_a_frame() {
    let mut ledger = server();
    write(&mut ledger, uni_of_server(0), 1_180, true);
    write(&mut ledger, uni_of_server(1), 1_000, true);
    assert_eq!(packet(&mut ledger, PACKET).0, ["stream 3 0+1180 fin"]);
    assert_eq!(packet(&mut ledger, 10).0, ["stream 7 0+8"], "but a tiny packet still makes progress");
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-13.3
//= type=test
//# Endpoints SHOULD prioritize retransmission of data over sending new data, unless
//# priorities specified by the application indicate otherwise; see
//# {{stream-prioritization}}.
#[test]
fn what_was_lost_goes_before_what_is_new_and_fits_packets_of_any_size() {
    let mut ledger = server();
    write(&mut ledger, uni_of_server(0), 2_000, true);
    let (_, first) = packet(&mut ledger, PACKET);
    let (_, second) = packet(&mut ledger, PACKET);
    write(&mut ledger, uni_of_server(1), 100, false);
    lose(&mut ledger, first);
    lose(&mut ledger, second);
    assert_eq!(packet(&mut ledger, 1_002).0, ["stream 3 0+1000"]);
    assert_eq!(packet(&mut ledger, 1_500).0, ["stream 3 1000+1000 fin", "stream 7 0+100"]);
    assert_eq!(ledger.take_stats().bytes_retransmitted, 2_000);
    assert_eq!(ledger.send_buffered(), 2_100);
}

#[test]
fn an_end_that_comes_late_is_sent_alone_even_when_the_connection_is_blocked() {
    let mut ledger = server_with(LOCAL, PeerLimits { initial_max_data: 10, ..PEER });
    write(&mut ledger, uni_of_server(0), 10, false);
    write(&mut ledger, uni_of_server(1), 10, false);
    assert_eq!(packet(&mut ledger, PACKET).0, ["stream 3 0+10"]);
    write(&mut ledger, uni_of_server(0), 0, true);
    assert!(ledger.has_unblocked_data());
    let (frames, tokens) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["data blocked 10", "stream 3 10+0 fin"]);
    assert!(!ledger.has_unblocked_data());
    lose(&mut ledger, tokens.into_iter().filter(|token| matches!(token, Token::Stream { .. })));
    assert_eq!(packet(&mut ledger, PACKET).0, ["stream 3 10+0 fin"]);
}

#[test]
fn an_empty_write_tells_the_peer_that_the_stream_is_open() {
    let mut ledger = server();
    write(&mut ledger, bidi_of_server(0), 0, false);
    let (frames, tokens) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["stream 1 0+0"]);
    lose(&mut ledger, tokens);
    let (frames, tokens) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["stream 1 0+0"]);
    acknowledge(&mut ledger, tokens);
    assert_eq!(inputs(&mut ledger), [""; 0], "that is not the end");
}

#[test]
fn bytes_that_follow_an_empty_write_take_its_place() {
    let mut ledger = server_with(LOCAL, PeerLimits { initial_max_data: 0, ..PEER });
    write(&mut ledger, bidi_of_server(0), 0, false);
    write(&mut ledger, bidi_of_server(0), 10, false);
    assert!(!ledger.has_unblocked_data());
    ledger.on_max_data(10);
    assert_eq!(packet(&mut ledger, PACKET).0, ["stream 1 0+10"]);
}

#[test]
fn the_connection_limit_holds_across_streams_and_is_reported_once() {
    let mut ledger = server_with(LOCAL, PeerLimits { initial_max_data: 150, ..PEER });
    write(&mut ledger, uni_of_server(0), 100, false);
    write(&mut ledger, uni_of_server(1), 100, false);
    assert_eq!(ledger.blocked_by(), None);
    assert_eq!(packet(&mut ledger, PACKET).0, ["stream 3 0+100", "stream 7 0+50"]);
    assert_eq!(ledger.blocked_by(), Some(FlowBlocked::Connection));
    assert!(ledger.wants_to_send());
    let (frames, tokens) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["data blocked 150"]);
    assert!(!ledger.wants_to_send());
    lose(&mut ledger, tokens);
    let (frames, tokens) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["data blocked 150"]);
    ledger.on_max_data(149);
    assert!(!ledger.has_unblocked_data());
    ledger.on_max_data(160);
    assert_eq!(packet(&mut ledger, PACKET).0, ["stream 7 50+10"]);
    lose(&mut ledger, tokens);
    assert_eq!(packet(&mut ledger, PACKET).0, ["data blocked 160"]);
    assert_eq!(ledger.take_stats().data_blocked_sent, 3);
}

#[test]
fn the_stream_limit_is_reported_once_and_only_while_it_blocks() {
    let peer = PeerLimits { initial_max_stream_data_uni: 100, ..PEER };
    let mut ledger = server_with(LOCAL, peer);
    write(&mut ledger, uni_of_server(0), 100, false);
    assert_eq!(packet(&mut ledger, PACKET).0, ["stream 3 0+100"]);
    assert_eq!(ledger.blocked_by(), Some(FlowBlocked::Stream));
    let (frames, tokens) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["stream data blocked 3 100"]);
    lose(&mut ledger, tokens);
    let (frames, tokens) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["stream data blocked 3 100"], "it still blocks");
    ledger.on_max_stream_data(uni_of_server(0), 100).unwrap();
    assert_eq!(ledger.blocked_by(), Some(FlowBlocked::Stream));
    ledger.on_max_stream_data(uni_of_server(0), 101).unwrap();
    assert_eq!((inputs(&mut ledger), ledger.blocked_by()), (vec!["credit 3 until 101".to_owned()], None));
    lose(&mut ledger, tokens);
    assert!(!ledger.wants_to_send());
    write(&mut ledger, uni_of_server(0), 1, true);
    assert_eq!(packet(&mut ledger, PACKET).0, ["stream 3 100+1 fin"]);
    assert_eq!((ledger.blocked_by(), ledger.wants_to_send()), (None, false), "at its end nothing is blocked");
}

#[test]
fn credit_follows_what_is_sent() {
    let mut ledger = server();
    write(&mut ledger, uni_of_server(0), SEND_AHEAD as usize, false);
    assert_eq!(inputs(&mut ledger), [""; 0]);
    let mut announced = Vec::new();
    while ledger.has_unblocked_data() {
        packet(&mut ledger, PACKET);
        announced.extend(inputs(&mut ledger));
    }
    assert_eq!(announced.len(), 3, "one for each quarter that left: {announced:?}");
}

#[test]
fn streams_may_be_opened_as_the_peer_permits() {
    let mut ledger = Ledger::new(Side::Server, LOCAL);
    ledger.on_open_wanted(Direction::Bidirectional);
    assert_eq!(packet(&mut ledger, PACKET).0, ["streams blocked Bidirectional 0"]);
    ledger.set_peer_limits(PeerLimits { initial_max_stream_data_bidi_remote: 5, ..PEER });
    assert_eq!(inputs(&mut ledger), ["open limit bidi 1000 credit 5", "open limit uni 1000 credit 393216"]);
    ledger.on_max_streams(Direction::Bidirectional, 999);
    assert_eq!(inputs(&mut ledger), [""; 0]);
    ledger.on_max_streams(Direction::Bidirectional, 1_001);
    assert_eq!(inputs(&mut ledger), ["open limit bidi 1001 credit 5"]);
    ledger.on_open_wanted(Direction::Bidirectional);
    ledger.on_open_wanted(Direction::Bidirectional);
    let (frames, tokens) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["streams blocked Bidirectional 1001"]);
    lose(&mut ledger, tokens);
    assert_eq!(packet(&mut ledger, PACKET).0, ["streams blocked Bidirectional 1001"]);
}

#[test]
fn whoever_has_not_heard_of_the_newest_limit_does_not_wait_for_the_peer() {
    let mut ledger = server();
    ledger.on_max_streams(Direction::Bidirectional, 1_001);
    let wish = |limit| StreamOutput::OpenWanted { direction: Direction::Bidirectional, limit };
    ledger.on_output(Time::ZERO, wish(1_000)).unwrap();
    assert_eq!(packet(&mut ledger, PACKET).0, [""; 0]);
    ledger.on_output(Time::ZERO, wish(1_001)).unwrap();
    assert_eq!(packet(&mut ledger, PACKET).0, ["streams blocked Bidirectional 1001"]);
}

#[test]
fn limits_that_were_remembered_grow_to_the_true_ones() {
    let remembered =
        PeerLimits { initial_max_data: 10, initial_max_stream_data_uni: 10, initial_max_streams_uni: 3, ..PEER };
    let mut ledger = server_with(LOCAL, remembered);
    write(&mut ledger, uni_of_server(0), 10, false);
    ledger.set_peer_limits(PeerLimits { initial_max_data: 20, initial_max_stream_data_uni: 20, ..remembered });
    assert_eq!(
        inputs(&mut ledger),
        ["open limit bidi 1000 credit 393216", "open limit uni 3 credit 20", "credit 3 until 20"]
    );
    // Whoever opened it may have known the first of the two.
    write(&mut ledger, uni_of_server(1), 10, false);
    assert_eq!(inputs(&mut ledger), ["credit 7 until 20"]);
    ledger.set_peer_limits(PeerLimits::default());
    write(&mut ledger, uni_of_server(1), 10, false);
    assert_eq!(packet(&mut ledger, PACKET).0, ["stream 3 0+10", "stream 7 0+10"]);
}
