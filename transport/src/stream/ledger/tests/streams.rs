//! The life of single streams: resets, stops, credit for what was consumed, and when a stream is gone.

use super::*;
use crate::stream::ledger::{Disposition, Outcome};

const PACKET: usize = 1_200;

#[test]
fn a_frame_opens_all_streams_below_it() {
    let mut ledger = server_with(LOCAL, PeerLimits { initial_max_stream_data_bidi_local: 70, ..PEER });
    ledger.on_stream(NOW, bidi_of_client(1), 0, 1, false).unwrap();
    ledger.on_stream(NOW, uni_of_client(0), 0, 1, false).unwrap();
    assert_eq!(inputs(&mut ledger), ["opened 0 credit 70", "opened 4 credit 70", "opened 2 credit 0"]);
    assert_eq!(ledger.take_stats().opened, [[0, 0], [2, 1]]);
}

#[test]
fn a_request_and_its_answer_leave_nothing_behind() {
    let mut ledger = server();
    let id = bidi_of_client(0);
    assert_eq!(ledger.on_stream(NOW, id, 0, 100, true), Ok(Disposition::Deliver));
    write(&mut ledger, id, 50, true);
    let (_, tokens) = packet(&mut ledger, PACKET);
    acknowledge(&mut ledger, tokens);
    assert_eq!(ledger.receive_charged(), 100);
    output(&mut ledger, StreamOutput::Consumed { id, bytes: 100 });
    assert!(ledger.is_open(id));
    output(&mut ledger, StreamOutput::Released { id });
    assert!(!ledger.is_open(id));
    assert_eq!(ledger.receive_charged(), 0);
    let stats = ledger.take_stats();
    assert_eq!((stats.bytes_received, stats.bytes_consumed), (100, 100));
    assert_eq!(stats.closed[Outcome::Finished as usize], [[0, 0], [1, 0]]);
}

#[test]
fn what_concerns_a_stream_that_is_gone_is_ignored() {
    let mut ledger = server();
    let id = bidi_of_client(0);
    ledger.on_stream(NOW, id, 0, 10, true).unwrap();
    write(&mut ledger, id, 10, true);
    output(&mut ledger, StreamOutput::Released { id });
    let (_, tokens) = packet(&mut ledger, PACKET);
    acknowledge(&mut ledger, tokens.clone());
    inputs(&mut ledger);
    assert_eq!(ledger.on_stream(NOW, id, 0, 10, true), Ok(Disposition::Ignore));
    ledger.on_reset_stream(id, 7, 10).unwrap();
    ledger.on_stop_sending(id, 7).unwrap();
    ledger.on_max_stream_data(id, 1 << 40).unwrap();
    ledger.on_stream_data_blocked(id, 7).unwrap();
    for wish in [
        StreamOutput::Write { id, data: Bytes::from_static(b"late"), fin: true },
        StreamOutput::Reset { id, code: 7 },
        StreamOutput::Stop { id, code: 7 },
        StreamOutput::Consumed { id, bytes: 7 },
        StreamOutput::Released { id },
    ] {
        output(&mut ledger, wish);
    }
    for token in [Token::ResetStream { id }, Token::StopSending { id }, Token::MaxStreamData { id, maximum: 1_000 }] {
        ledger.on_lost(token.clone());
        ledger.on_acknowledged(token);
    }
    lose(&mut ledger, tokens);
    assert_eq!(inputs(&mut ledger), [""; 0]);
    assert_eq!((ledger.open_streams(), ledger.send_buffered()), ([[0, 0], [0, 0]], 0));
}

#[test]
fn consuming_returns_credit_in_quarters_at_both_levels() {
    let mut ledger = server();
    let id = bidi_of_client(0);
    ledger.set_rtt(std::time::Duration::ZERO);
    ledger.on_stream(NOW, id, 0, 1_000, false).unwrap();
    output(&mut ledger, StreamOutput::Consumed { id, bytes: 249 });
    assert!(!ledger.wants_to_send());
    output(&mut ledger, StreamOutput::Consumed { id, bytes: 1 });
    let (frames, tokens) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["max stream data 0 1250"]);
    output(&mut ledger, StreamOutput::Consumed { id, bytes: 500 });
    assert_eq!(packet(&mut ledger, PACKET).0, ["max data 3750", "max stream data 0 1750"]);
    lose(&mut ledger, tokens);
    assert!(!ledger.wants_to_send(), "a newer limit is on its way");
}

#[test]
fn a_lost_limit_is_sent_again_as_it_is_now() {
    let mut ledger = server();
    let id = bidi_of_client(0);
    ledger.set_rtt(std::time::Duration::ZERO);
    ledger.on_stream(NOW, id, 0, 1_000, false).unwrap();
    output(&mut ledger, StreamOutput::Consumed { id, bytes: 800 });
    let (frames, tokens) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["max data 3800", "max stream data 0 1800"]);
    output(&mut ledger, StreamOutput::Consumed { id, bytes: 1 });
    assert!(!ledger.wants_to_send());
    lose(&mut ledger, tokens);
    let (frames, tokens) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["max data 3801", "max stream data 0 1801"]);
    // The size is known: nobody needs the stream's limit any more.
    ledger.on_stream(NOW, id, 1_000, 0, true).unwrap();
    lose(&mut ledger, tokens);
    assert_eq!(packet(&mut ledger, PACKET).0, ["max data 3801"]);
}

#[test]
fn a_fast_reader_gets_a_larger_window() {
    let mut ledger = server_with(LocalLimits { maximum_window: 100_000, ..LOCAL }, PEER);
    let id = bidi_of_client(0);
    ledger.on_stream(NOW, id, 0, 1_000, false).unwrap();
    output(&mut ledger, StreamOutput::Consumed { id, bytes: 1_000 });
    assert_eq!(packet(&mut ledger, PACKET).0, ["max data 4000", "max stream data 0 3000"]);
}

#[test]
fn a_reset_of_ours_replaces_all_that_waits_and_is_sent_until_it_arrives() {
    let mut ledger = server();
    let id = uni_of_server(0);
    write(&mut ledger, id, 3_000, false);
    let (_, data) = packet(&mut ledger, PACKET);
    output(&mut ledger, StreamOutput::Reset { id, code: 42 });
    assert_eq!(ledger.send_buffered(), 1_198, "what is in flight");
    let (frames, reset) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["reset 3 code 42 size 1198"]);
    lose(&mut ledger, data);
    assert!(!ledger.wants_to_send());
    assert_eq!(ledger.send_buffered(), 0);
    lose(&mut ledger, reset);
    write(&mut ledger, id, 10, false);
    output(&mut ledger, StreamOutput::Reset { id, code: 43 });
    let (frames, reset) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["reset 3 code 42 size 1198"], "its content never changes");
    acknowledge(&mut ledger, reset);
    assert_eq!(inputs(&mut ledger), ["acknowledged 3"]);
    assert_eq!(ledger.take_stats().closed[Outcome::ResetLocal as usize], [[0, 1], [0, 0]]);
}

#[test]
fn a_reset_may_be_the_first_thing_the_peer_hears_of_a_stream() {
    let mut ledger = server();
    output(&mut ledger, StreamOutput::Reset { id: uni_of_server(1), code: 42 });
    assert_eq!(packet(&mut ledger, PACKET).0, ["reset 7 code 42 size 0"]);
    assert_eq!(ledger.open_streams(), [[0, 2], [0, 0]]);
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-3.5
//= type=test
//# An endpoint that receives a STOP_SENDING frame MUST send a RESET_STREAM
//# frame if the stream is in the "Ready" or "Send" state.
//
//= https://www.rfc-editor.org/rfc/rfc9000#section-3.5
//= type=test
//# An endpoint SHOULD copy the error code from the STOP_SENDING frame to the
//# RESET_STREAM frame it sends, but it can use any application error code.
#[test]
fn stop_sending_is_answered_with_a_reset_of_the_same_code() {
    let mut ledger = server();
    // Ready: nothing was sent, or even opened.
    ledger.on_stop_sending(bidi_of_client(0), 5).unwrap();
    // Send.
    write(&mut ledger, uni_of_server(0), 3_000, false);
    assert_eq!(packet(&mut ledger, PACKET).0, ["reset 0 code 5 size 0", "stream 3 0+1194"]);
    ledger.on_stop_sending(uni_of_server(0), 6).unwrap();
    ledger.on_stop_sending(uni_of_server(0), 9).unwrap();
    assert_eq!(inputs(&mut ledger), ["opened 0 credit 393216", "stopped 0 code 5", "stopped 3 code 6"]);
    let (frames, tokens) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["reset 3 code 6 size 1194"]);
    acknowledge(&mut ledger, tokens);
    assert_eq!(inputs(&mut ledger), ["acknowledged 3"]);
    assert_eq!(ledger.take_stats().closed[Outcome::StoppedPeer as usize], [[0, 1], [0, 0]]);
}

#[test]
fn stop_sending_after_everything_arrived_changes_nothing() {
    let mut ledger = server();
    let id = bidi_of_server(0);
    write(&mut ledger, id, 10, true);
    let (_, tokens) = packet(&mut ledger, PACKET);
    acknowledge(&mut ledger, tokens);
    inputs(&mut ledger);
    ledger.on_stop_sending(id, 5).unwrap();
    assert_eq!((inputs(&mut ledger).len(), ledger.wants_to_send()), (0, false));
}

#[test]
fn data_that_arrives_after_the_reset_of_ours_ends_the_stream_as_well() {
    let mut ledger = server();
    let id = uni_of_server(0);
    write(&mut ledger, id, 10, true);
    let (_, data) = packet(&mut ledger, PACKET);
    output(&mut ledger, StreamOutput::Reset { id, code: 42 });
    acknowledge(&mut ledger, data);
    assert_eq!(inputs(&mut ledger), ["acknowledged 3"]);
    assert!(!ledger.wants_to_send(), "the reset is not needed any more");
}

#[test]
fn a_stopped_stream_takes_no_more_room_and_is_asked_for_its_end_until_that_is_known() {
    let mut ledger = server();
    let id = uni_of_client(0);
    ledger.on_stream(NOW, id, 0, 100, false).unwrap();
    output(&mut ledger, StreamOutput::Stop { id, code: 42 });
    output(&mut ledger, StreamOutput::Released { id });
    assert_eq!(ledger.receive_charged(), 0);
    let (frames, tokens) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["stop 2 code 42"]);
    assert_eq!(ledger.on_stream(NOW, id, 100, 900, false), Ok(Disposition::Ignore));
    assert_eq!(ledger.receive_charged(), 0);
    output(&mut ledger, StreamOutput::Consumed { id, bytes: 100 });
    lose(&mut ledger, tokens);
    let (frames, tokens) = packet(&mut ledger, PACKET);
    assert_eq!(frames, ["max data 4000", "stop 2 code 42"], "the stream's own limit is not raised");
    ledger.on_reset_stream(id, 42, 1_000).unwrap();
    lose(&mut ledger, tokens.into_iter().filter(|token| matches!(token, Token::StopSending { .. })));
    assert!(!ledger.is_open(id));
    assert_eq!(packet(&mut ledger, PACKET).0, ["max streams Unidirectional 6"]);
    assert_eq!(ledger.take_stats().closed[Outcome::StoppedLocal as usize], [[0, 0], [0, 1]]);
}

#[test]
fn stopping_a_stream_whose_size_is_known_still_asks_once() {
    let mut ledger = server();
    let id = uni_of_client(0);
    ledger.on_stream(NOW, id, 500, 100, true).unwrap();
    output(&mut ledger, StreamOutput::Stop { id, code: 42 });
    output(&mut ledger, StreamOutput::Released { id });
    assert!(ledger.is_open(id));
    assert_eq!(packet(&mut ledger, PACKET).0, ["stop 2 code 42"]);
    assert!(!ledger.is_open(id));
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-3.5
//= type=test
//# STOP_SENDING SHOULD only be sent for a stream that has not been reset by the
//# peer.
#[test]
fn a_stop_is_not_sent_once_the_peer_has_reset_the_stream() {
    let mut ledger = server();
    for (index, reset_first) in [(0, false), (1, true)] {
        let id = uni_of_client(index);
        ledger.on_stream(NOW, id, 0, 1, false).unwrap();
        if reset_first {
            ledger.on_reset_stream(id, 7, 1).unwrap();
        }
        output(&mut ledger, StreamOutput::Stop { id, code: 42 });
        ledger.on_reset_stream(id, 7, 1).unwrap();
        assert!(!ledger.wants_to_send());
        output(&mut ledger, StreamOutput::Released { id });
        assert!(!ledger.is_open(id));
        packet(&mut ledger, PACKET);
    }
}

#[test]
fn a_reset_of_the_peer_frees_what_never_came_at_once_and_the_rest_when_it_is_let_go() {
    let mut ledger = server();
    let id = uni_of_client(0);
    ledger.on_stream(NOW, id, 0, 100, false).unwrap();
    inputs(&mut ledger);
    ledger.on_reset_stream(id, 42, 1_000).unwrap();
    ledger.on_reset_stream(id, 43, 1_000).unwrap();
    assert_eq!(inputs(&mut ledger), ["reset 2 code 42"]);
    assert_eq!(ledger.receive_charged(), 100);
    assert_eq!(ledger.on_stream(NOW, id, 100, 100, false), Ok(Disposition::Ignore));
    output(&mut ledger, StreamOutput::Consumed { id, bytes: 60 });
    assert_eq!(ledger.receive_charged(), 40);
    output(&mut ledger, StreamOutput::Released { id });
    assert_eq!((ledger.receive_charged(), ledger.is_open(id)), (0, false));
    assert_eq!(ledger.take_stats().closed[Outcome::ResetPeer as usize], [[0, 0], [0, 1]]);
}

#[test]
fn a_reset_after_a_stop_is_told_unless_nobody_listens() {
    let mut ledger = server();
    for (index, released) in [(0, false), (1, true)] {
        let id = uni_of_client(index);
        ledger.on_stream(NOW, id, 0, 1, false).unwrap();
        output(&mut ledger, StreamOutput::Stop { id, code: 42 });
        if released {
            output(&mut ledger, StreamOutput::Released { id });
        }
        inputs(&mut ledger);
        ledger.on_reset_stream(id, 42, 1).unwrap();
        assert_eq!(inputs(&mut ledger).len(), usize::from(!released));
    }
}

#[test]
fn empty_frames_are_ignored_unless_they_end_the_stream() {
    let mut ledger = server();
    assert_eq!(ledger.on_stream(NOW, bidi_of_client(0), 0, 0, false), Ok(Disposition::Ignore));
    assert_eq!(ledger.on_stream(NOW, bidi_of_client(0), 0, 0, true), Ok(Disposition::Deliver));
}

#[test]
fn the_end_of_the_connection_ends_all_streams() {
    let mut ledger = server();
    ledger.on_stream(NOW, bidi_of_client(2), 0, 10, false).unwrap();
    write(&mut ledger, uni_of_server(0), 10, false);
    let (_, tokens) = packet(&mut ledger, PACKET);
    ledger.on_connection_closed();
    assert_eq!((ledger.open_streams(), ledger.send_buffered(), inputs(&mut ledger).len()), ([[0, 0], [0, 0]], 0, 0));
    assert!(!ledger.wants_to_send());
    acknowledge(&mut ledger, tokens);
    assert_eq!(ledger.take_stats().closed[Outcome::ConnectionClosed as usize], [[0, 1], [3, 0]]);
}
