//! Streams: ids, states, final sizes, limits (RFC 9000 §2 to §4, §19.4, §19.5, §19.8 to §19.14).

use bytes::Bytes;
use codec::frame::{Frame, ResetStream, StopSending};
use codec::{Direction, Side, StreamId, TransportErrorCode};
use quicast_tests::puppet::Stage;
use quicast_tests::{Puppet, Settings};
use recovery::SpaceId;
use transport::limits;

use crate::support::*;

const WINDOW: u64 = limits::STREAM_WINDOW;
const CONNECTION: u64 = limits::CONNECTION_WINDOW;

closes! {
    // ── Flow control ─────────────────────────────────────────────────────────────────────────────────────────────
    //= https://www.rfc-editor.org/rfc/rfc9000#section-4.1
    //= type=test
    //# A receiver MUST close the connection with an error of type FLOW_CONTROL_ERROR if
    //# the sender violates the advertised connection or stream data limits; see
    //# {{error-handling}} for details on error handling.
    stream_data_far_beyond_the_window(Client, Server; Established, Application) FLOW_CONTROL_ERROR =>
        |victim| stream(theirs(victim, 0), 100_000_000, b"x", false);
    stream_data_one_byte_beyond_the_window(Client, Server; Established, Application) FLOW_CONTROL_ERROR =>
        |victim| stream(theirs(victim, 0), WINDOW, b"x", false);
    unidirectional_data_one_byte_beyond_the_window(Client, Server; Established, Application) FLOW_CONTROL_ERROR =>
        |victim| stream(theirs_uni(victim, 0), WINDOW, b"x", false);
    an_end_beyond_the_window(Client, Server; Established, Application) FLOW_CONTROL_ERROR =>
        |victim| stream(theirs(victim, 0), WINDOW + 1, b"", true);
    an_empty_frame_beyond_the_window(Client, Server; Established, Application) FLOW_CONTROL_ERROR =>
        |victim| stream(theirs(victim, 0), WINDOW + 1, b"", false);
    a_reset_whose_final_size_is_beyond_the_window(Client, Server; Established, Application) FLOW_CONTROL_ERROR =>
        |victim| reset(theirs(victim, 0), WINDOW + 1);
    a_reset_with_the_largest_final_size(Client, Server; Established, Application) FLOW_CONTROL_ERROR =>
        |victim| reset(theirs(victim, 0), MAXIMUM);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.9
    //= type=test
    //# An endpoint MUST terminate a connection with an error of type FLOW_CONTROL_ERROR
    //# if it receives more data than the maximum data value that it has sent.
    many_streams_beyond_the_window_of_the_connection(Client, Server; Established, Application) FLOW_CONTROL_ERROR =>
        |victim| (0..=CONNECTION / WINDOW).flat_map(|index| stream(theirs(victim, index), WINDOW - 1, b"x", false)).collect();
    //= https://www.rfc-editor.org/rfc/rfc9000#section-4.5
    //= type=test
    //# The
    //# receiver MUST use the final size of the stream to account for all bytes sent on
    //# the stream in its connection-level flow controller.
    final_sizes_of_reset_streams_count_for_the_window_of_the_connection(Client, Server; Established, Application)
        FLOW_CONTROL_ERROR => |victim| {
            // Open streams take up the whole window, so nothing that a reset frees can hide it.
            let full = (0..CONNECTION / WINDOW).flat_map(|index| stream(theirs(victim, index), WINDOW - 1, b"x", false));
            full.chain(reset(theirs_uni(victim, 0), 1)).collect()
        };

    // ── Limits of streams ────────────────────────────────────────────────────────────────────────────────────────
    //= https://www.rfc-editor.org/rfc/rfc9000#section-4.6
    //= type=test
    //# An endpoint that
    //# receives a frame with a stream ID exceeding the limit it has sent MUST treat
    //# this as a connection error of type STREAM_LIMIT_ERROR; see {{error-handling}}
    //# for details on error handling.
    a_stream_far_beyond_the_limit(Client, Server; Established, Application) STREAM_LIMIT_ERROR =>
        |victim| stream(theirs(victim, 250_000_000), 0, b"x", false);
    the_first_bidirectional_stream_beyond_the_limit(Client, Server; Established, Application) STREAM_LIMIT_ERROR =>
        |victim| stream(theirs(victim, limits::STREAMS), 0, b"x", false);
    the_first_unidirectional_stream_beyond_the_limit(Client, Server; Established, Application) STREAM_LIMIT_ERROR =>
        |victim| stream(theirs_uni(victim, limits::STREAMS), 0, b"x", false);
    the_largest_stream_id(Client, Server; Established, Application) STREAM_LIMIT_ERROR =>
        |victim| stream(theirs(victim, (1 << 60) - 1), 0, b"x", false);
    a_reset_of_a_stream_beyond_the_limit(Client, Server; Established, Application) STREAM_LIMIT_ERROR =>
        |victim| reset(theirs(victim, limits::STREAMS), 0);
    a_stop_of_a_stream_beyond_the_limit(Client, Server; Established, Application) STREAM_LIMIT_ERROR =>
        |victim| raw(&[0x05, theirs(victim, limits::STREAMS).as_u64(), 7]);
    credit_for_a_stream_beyond_the_limit(Client, Server; Established, Application) STREAM_LIMIT_ERROR =>
        |victim| raw(&[0x11, theirs(victim, limits::STREAMS).as_u64(), 1000]);
    a_blocked_stream_beyond_the_limit(Client, Server; Established, Application) STREAM_LIMIT_ERROR =>
        |victim| raw(&[0x15, theirs(victim, limits::STREAMS).as_u64(), 1000]);
    a_blocked_unidirectional_stream_beyond_the_limit(Client, Server; Established, Application) STREAM_LIMIT_ERROR =>
        |victim| raw(&[0x15, theirs_uni(victim, limits::STREAMS).as_u64(), 1000]);

    // ── States ───────────────────────────────────────────────────────────────────────────────────────────────────
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.8
    //= type=test
    //# An endpoint MUST terminate the connection with error STREAM_STATE_ERROR if it
    //# receives a STREAM frame for a locally initiated stream that has not yet been
    //# created, or for a send-only stream.
    data_on_a_stream_that_the_victim_has_not_opened(Client, Server; Established, Application) STREAM_STATE_ERROR =>
        |victim| stream(own(victim, 0), 0, b"x", false);
    data_on_a_stream_that_only_the_victim_sends_on(Client, Server; Established, Application) STREAM_STATE_ERROR =>
        |victim| stream(own_uni(victim, 0), 0, b"x", false);
    data_on_a_far_stream_that_only_the_victim_sends_on(Client, Server; Established, Application) STREAM_STATE_ERROR =>
        |victim| stream(own_uni(victim, 1 << 50), 0, b"x", false);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.4
    //= type=test
    //# An endpoint that receives a RESET_STREAM frame for a send-only stream MUST
    //# terminate the connection with error STREAM_STATE_ERROR.
    a_reset_of_a_stream_that_only_the_victim_sends_on(Client, Server; Established, Application) STREAM_STATE_ERROR =>
        |victim| reset(own_uni(victim, 0), 0);
    a_reset_of_a_stream_that_the_victim_has_not_opened(Client, Server; Established, Application) STREAM_STATE_ERROR =>
        |victim| reset(own(victim, 25), 0);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.5
    //= type=test
    //# Receiving a STOP_SENDING frame for a
    //# locally initiated stream that has not yet been created MUST be treated as a
    //# connection error of type STREAM_STATE_ERROR.
    a_stop_of_a_stream_that_the_victim_has_not_opened(Client, Server; Established, Application) STREAM_STATE_ERROR =>
        |victim| raw(&[0x05, own(victim, 25).as_u64(), 7]);
    a_stop_of_a_unidirectional_stream_that_the_victim_has_not_opened(Client, Server; Established, Application)
        STREAM_STATE_ERROR => |victim| raw(&[0x05, own_uni(victim, 0).as_u64(), 7]);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.5
    //= type=test
    //# An endpoint that receives a
    //# STOP_SENDING frame for a receive-only stream MUST terminate the connection with
    //# error STREAM_STATE_ERROR.
    a_stop_of_a_stream_that_only_the_puppet_sends_on(Client, Server; Established, Application) STREAM_STATE_ERROR =>
        |victim| raw(&[0x05, theirs_uni(victim, 0).as_u64(), 7]);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.10
    //= type=test
    //# Receiving a MAX_STREAM_DATA frame for a
    //# locally initiated stream that has not yet been created MUST be treated as a
    //# connection error of type STREAM_STATE_ERROR.
    credit_for_a_stream_that_the_victim_has_not_opened(Client, Server; Established, Application) STREAM_STATE_ERROR =>
        |victim| raw(&[0x11, own(victim, 25).as_u64(), 1000]);
    credit_for_a_unidirectional_stream_that_the_victim_has_not_opened(Client, Server; Established, Application)
        STREAM_STATE_ERROR => |victim| raw(&[0x11, own_uni(victim, 0).as_u64(), 1000]);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.10
    //= type=test
    //# An endpoint that receives a
    //# MAX_STREAM_DATA frame for a receive-only stream MUST terminate the connection
    //# with error STREAM_STATE_ERROR.
    credit_for_a_stream_that_only_the_puppet_sends_on(Client, Server; Established, Application) STREAM_STATE_ERROR =>
        |victim| raw(&[0x11, theirs_uni(victim, 0).as_u64(), 1000]);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.13
    //= type=test
    //# An endpoint that receives a STREAM_DATA_BLOCKED frame for a send-only stream
    //# MUST terminate the connection with error STREAM_STATE_ERROR.
    a_blocked_stream_that_only_the_victim_sends_on(Client, Server; Established, Application) STREAM_STATE_ERROR =>
        |victim| raw(&[0x15, own_uni(victim, 0).as_u64(), 1000]);
    a_blocked_stream_that_the_victim_has_not_opened(Client, Server; Established, Application) STREAM_STATE_ERROR =>
        |victim| raw(&[0x15, own(victim, 0).as_u64(), 1000]);

    // ── Final sizes ──────────────────────────────────────────────────────────────────────────────────────────────
    //= https://www.rfc-editor.org/rfc/rfc9000#section-4.5
    //= type=test
    //# Once a final size for a stream is known, it cannot change.  If a RESET_STREAM or
    //# STREAM frame is received indicating a change in the final size for the stream, an
    //# endpoint SHOULD respond with an error of type FINAL_SIZE_ERROR; see
    //# {{error-handling}} for details on error handling.
    a_second_end_before_the_first(Client, Server; Established, Application) FINAL_SIZE_ERROR => |victim| join(&[
        &stream(theirs(victim, 0), 10, b"", true),
        &stream(theirs(victim, 0), 5, b"", true),
    ]);
    a_second_end_after_the_first(Client, Server; Established, Application) FINAL_SIZE_ERROR => |victim| join(&[
        &stream(theirs(victim, 0), 10, b"", true),
        &stream(theirs(victim, 0), 15, b"", true),
    ]);
    data_after_the_end(Client, Server; Established, Application) FINAL_SIZE_ERROR => |victim| join(&[
        &stream(theirs_uni(victim, 0), 10, b"", true),
        &stream(theirs_uni(victim, 0), 10, b"x", false),
    ]);
    data_across_the_end(Client, Server; Established, Application) FINAL_SIZE_ERROR => |victim| join(&[
        &stream(theirs(victim, 0), 0, b"abc", true),
        &stream(theirs(victim, 0), 1, b"bcd", false),
    ]);
    an_end_before_data_that_came(Client, Server; Established, Application) FINAL_SIZE_ERROR => |victim| join(&[
        &stream(theirs(victim, 0), 10, b"x", false),
        &stream(theirs(victim, 0), 10, b"", true),
    ]);
    a_reset_with_another_size_than_the_end(Client, Server; Established, Application) FINAL_SIZE_ERROR => |victim| join(&[
        &stream(theirs(victim, 0), 10, b"", true),
        &reset(theirs(victim, 0), 11),
    ]);
    a_reset_with_a_smaller_size_than_the_end(Client, Server; Established, Application) FINAL_SIZE_ERROR =>
        |victim| join(&[&stream(theirs(victim, 0), 10, b"", true), &reset(theirs(victim, 0), 9)]);
    a_reset_before_data_that_came(Client, Server; Established, Application) FINAL_SIZE_ERROR => |victim| join(&[
        &stream(theirs(victim, 0), 0, b"0123456789", false),
        &reset(theirs(victim, 0), 9),
    ]);
    a_second_reset_with_another_size(Client, Server; Established, Application) FINAL_SIZE_ERROR =>
        |victim| join(&[&reset(theirs(victim, 0), 10), &reset(theirs(victim, 0), 11)]);
    a_second_reset_with_a_smaller_size(Client, Server; Established, Application) FINAL_SIZE_ERROR =>
        |victim| join(&[&reset(theirs(victim, 0), 10), &reset(theirs(victim, 0), 9)]);
    an_end_with_another_size_than_the_reset(Client, Server; Established, Application) FINAL_SIZE_ERROR =>
        |victim| join(&[&reset(theirs(victim, 0), 10), &stream(theirs(victim, 0), 9, b"", true)]);
    data_beyond_a_reset(Client, Server; Established, Application) FINAL_SIZE_ERROR =>
        |victim| join(&[&reset(theirs(victim, 0), 10), &stream(theirs(victim, 0), 10, b"x", false)]);
}

tolerates! {
    stream_data_to_the_last_byte_of_the_window(Client, Server; Established, Application) =>
        |victim| stream(theirs(victim, 0), WINDOW - 1, b"x", false);
    an_end_at_the_end_of_the_window(Client, Server; Established, Application) =>
        |victim| stream(theirs(victim, 0), WINDOW, b"", true);
    a_reset_at_the_end_of_the_window(Client, Server; Established, Application) => |victim| reset(theirs(victim, 0), WINDOW);
    streams_to_the_last_byte_of_the_window_of_the_connection(Client, Server; Established, Application) =>
        |victim| (0..CONNECTION / WINDOW).flat_map(|index| stream(theirs(victim, index), WINDOW - 1, b"x", false)).collect();
    the_last_streams_within_the_limit(Client, Server; Established, Application) => |victim| join(&[
        &stream(theirs(victim, limits::STREAMS - 1), 0, b"x", false),
        &stream(theirs_uni(victim, limits::STREAMS - 1), 0, b"x", false),
    ]);
    the_same_end_twice(Client, Server; Established, Application) => |victim| join(&[
        &stream(theirs(victim, 0), 10, b"", true),
        &stream(theirs(victim, 0), 10, b"", true),
        &stream(theirs(victim, 0), 9, b"x", true),
        &stream(theirs(victim, 0), 0, b"0123456789", false),
    ]);
    the_same_reset_twice(Client, Server; Established, Application) =>
        |victim| join(&[&reset(theirs(victim, 0), 10), &reset(theirs(victim, 0), 10)]);
    a_reset_with_the_size_of_the_end(Client, Server; Established, Application) =>
        |victim| join(&[&stream(theirs(victim, 0), 0, b"ab", true), &reset(theirs(victim, 0), 2)]);
    late_data_of_a_reset_stream(Client, Server; Established, Application) =>
        |victim| join(&[&reset(theirs(victim, 0), 10), &stream(theirs(victim, 0), 3, b"x", false)]);
    frames_that_open_a_stream_without_data(Client, Server; Established, Application) => |victim| raw(&[
        0x11, theirs(victim, 5).as_u64(), 1 << 20,
        0x15, theirs(victim, 6).as_u64(), 1000,
        0x05, theirs(victim, 7).as_u64(), 3,
        0x15, theirs_uni(victim, 7).as_u64(), 1000,
    ]);
    the_end_and_a_stop_of_a_stream_that_was_never_used(Client, Server; Established, Application) =>
        |victim| join(&[&stream(theirs(victim, 0), 0, b"", true), &raw(&[0x05, theirs(victim, 0).as_u64(), 7])]);
}

/// A puppet whose victim has opened a stream of each direction, and sent three bytes on it.
fn with_open_streams(victim: Side) -> (Puppet, [StreamId; 2]) {
    let mut puppet = puppet(victim, Stage::Established);
    let opened = [Direction::Bidirectional, Direction::Unidirectional].map(|direction| {
        let id = puppet.victim().streams.open(direction).unwrap();
        puppet.victim().streams.write(id, Bytes::from_static(b"abc")).unwrap();
        id
    });
    puppet.turn();
    (puppet, opened)
}

#[test]
fn frames_on_streams_that_the_victim_opened_are_judged_by_direction() {
    for victim in SIDES {
        for (payload, code) in [
            (stream(own(victim, 0), 0, b"x", false), None),
            (stream(own(victim, 0), WINDOW, b"x", false), Some(TransportErrorCode::FLOW_CONTROL_ERROR)),
            (stream(own(victim, 1), 0, b"x", false), Some(TransportErrorCode::STREAM_STATE_ERROR)),
            (stream(own_uni(victim, 0), 0, b"x", false), Some(TransportErrorCode::STREAM_STATE_ERROR)),
            (reset(own(victim, 0), 0), None),
            (reset(own(victim, 0), WINDOW + 1), Some(TransportErrorCode::FLOW_CONTROL_ERROR)),
            (reset(own_uni(victim, 0), 0), Some(TransportErrorCode::STREAM_STATE_ERROR)),
            (raw(&[0x05, own(victim, 0).as_u64(), 7]), None),
            (raw(&[0x05, own_uni(victim, 0).as_u64(), 7]), None),
            (raw(&[0x05, own_uni(victim, 1).as_u64(), 7]), Some(TransportErrorCode::STREAM_STATE_ERROR)),
            (raw(&[0x11, own(victim, 0).as_u64(), MAXIMUM]), None),
            (raw(&[0x11, own_uni(victim, 0).as_u64(), MAXIMUM]), None),
            (raw(&[0x11, own_uni(victim, 1).as_u64(), 1]), Some(TransportErrorCode::STREAM_STATE_ERROR)),
            (raw(&[0x15, own(victim, 0).as_u64(), 1]), None),
            (raw(&[0x15, own_uni(victim, 0).as_u64(), 1]), Some(TransportErrorCode::STREAM_STATE_ERROR)),
        ] {
            let (mut puppet, _) = with_open_streams(victim);
            puppet.say_bytes(SpaceId::Application, &payload);
            match code {
                Some(code) => assert_closed(&mut puppet, code),
                None => assert_goes_on(&mut puppet),
            }
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-4.5
//= type=test
//# A receiver SHOULD treat
//# receipt of data at or beyond the final size as an error of type
//# FINAL_SIZE_ERROR, even after a stream is closed.
#[test]
fn a_final_size_that_changes_in_a_later_packet_is_an_error() {
    for victim in SIDES {
        for second in [
            stream(theirs(victim, 0), 10, b"x", false),
            stream(theirs(victim, 0), 4, b"x", true),
            reset(theirs(victim, 0), 4),
            reset(theirs(victim, 0), 40),
        ] {
            let mut puppet = puppet(victim, Stage::Established);
            puppet.say_bytes(SpaceId::Application, &stream(theirs(victim, 0), 0, b"0123456789", true));
            puppet.say_bytes(SpaceId::Application, &second);
            assert_closed(&mut puppet, TransportErrorCode::FINAL_SIZE_ERROR);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-3.5
//= type=test
//# STREAM frames received after sending a STOP_SENDING frame are still counted
//# toward connection and stream flow control, even though these frames can be
//# discarded upon receipt.
#[test]
fn data_on_a_stopped_stream_is_held_to_its_limits() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        puppet.say_bytes(SpaceId::Application, &stream(theirs(victim, 0), 0, b"x", false));
        puppet.victim().streams.stop(theirs(victim, 0), 5);
        puppet.turn();
        assert!(puppet.heard_frames(SpaceId::Application).any(|frame| matches!(frame, Frame::StopSending(_))));
        puppet.say_bytes(SpaceId::Application, &stream(theirs(victim, 0), 100, b"x", false));
        assert_goes_on(&mut puppet);
        puppet.say_bytes(SpaceId::Application, &stream(theirs(victim, 0), 16 * CONNECTION, b"x", false));
        assert_closed(&mut puppet, TransportErrorCode::FLOW_CONTROL_ERROR);
    }
}

#[test]
fn a_stopped_streams_final_size_may_not_change_either() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        puppet.say_bytes(SpaceId::Application, &stream(theirs(victim, 0), 0, b"x", false));
        puppet.victim().streams.stop(theirs(victim, 0), 5);
        puppet.turn();
        puppet.say_bytes(SpaceId::Application, &stream(theirs(victim, 0), 50, b"", true));
        puppet.say_bytes(SpaceId::Application, &reset(theirs(victim, 0), 51));
        // The stream may be gone by now, in which case nobody knows its size; but nothing worse happens.
        let code = puppet.close_code();
        assert!(code.is_none() || code.as_deref() == Some("FINAL_SIZE_ERROR"), "{code:?}");
    }
}

#[test]
fn a_smaller_limit_of_streams_is_enforced_as_announced() {
    for victim in SIDES {
        for (limit, direction) in
            [(0, Direction::Bidirectional), (3, Direction::Bidirectional), (0, Direction::Unidirectional)]
        {
            let settings = Settings::new(1).map(|config| {
                config.max_concurrent_bidirectional_streams = limit;
                config.max_concurrent_unidirectional_streams = limit;
            });
            if limit > 0 {
                let mut puppet = Puppet::at(&settings, victim, Stage::Established);
                let last = StreamId::new(victim.peer(), direction, limit - 1);
                puppet.say_bytes(SpaceId::Application, &stream(last, 0, b"x", false));
                assert_goes_on(&mut puppet);
            }
            let mut puppet = Puppet::at(&settings, victim, Stage::Established);
            let beyond = StreamId::new(victim.peer(), direction, limit);
            puppet.say_bytes(SpaceId::Application, &stream(beyond, 0, b"x", false));
            assert_closed(&mut puppet, TransportErrorCode::STREAM_LIMIT_ERROR);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-3.5
//= type=test
//# An endpoint that receives a STOP_SENDING frame MUST send a RESET_STREAM
//# frame if the stream is in the "Ready" or "Send" state.
#[test]
fn a_stop_is_answered_with_a_reset_of_the_same_code() {
    for victim in SIDES {
        let (mut puppet, ids) = with_open_streams(victim);
        for id in ids {
            puppet.say(SpaceId::Application, &[Frame::StopSending(StopSending { id, code: 77 })]);
            let answered = puppet.heard_frames(SpaceId::Application).any(|frame| {
                matches!(frame, Frame::ResetStream(ResetStream { id: of, code: 77, final_size: 3 }) if of == id)
            });
            assert!(answered, "{victim:?} {id:?}");
        }
        assert_goes_on(&mut puppet);
    }
}
