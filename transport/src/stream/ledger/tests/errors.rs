//! Each error that a frame of the peer deserves.

use codec::TransportErrorCode;

use super::*;
use crate::error::TransportError;
use crate::limits::Limit;
use crate::stream::ledger::Disposition;

fn code<T: std::fmt::Debug>(result: Result<T, TransportError>) -> TransportErrorCode {
    result.unwrap_err().code
}

fn hits(ledger: &mut Ledger, limit: Limit) -> u64 {
    ledger.take_stats().limit_hits().find(|(counted, _)| *counted == limit).unwrap().1
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-4.1
//= type=test
//# A receiver MUST close the connection with an error of type FLOW_CONTROL_ERROR if
//# the sender violates the advertised connection or stream data limits; see
//# {{error-handling}} for details on error handling.
#[test]
fn data_up_to_the_stream_limit_is_taken_and_one_byte_more_is_a_flow_control_error() {
    let mut ledger = server();
    assert_eq!(ledger.on_stream(NOW, bidi_of_client(0), 999, 1, false), Ok(Disposition::Deliver));
    let error = code(ledger.on_stream(NOW, bidi_of_client(0), 1_000, 1, false));
    assert_eq!(error, TransportErrorCode::FLOW_CONTROL_ERROR);
    assert_eq!(hits(&mut ledger, Limit::StreamWindow), 1);
}

#[test]
fn an_offset_far_beyond_all_limits_is_a_flow_control_error() {
    for offset in [100_000_000, (1 << 62) - 1, u64::MAX] {
        let error = code(server().on_stream(NOW, bidi_of_client(0), offset, 1, false));
        assert_eq!(error, TransportErrorCode::FLOW_CONTROL_ERROR);
    }
}

#[test]
fn data_up_to_the_connection_limit_is_taken_and_one_byte_more_is_a_flow_control_error() {
    let mut ledger = server();
    for index in 0..3 {
        ledger.on_stream(NOW, bidi_of_client(index), 0, 1_000, false).unwrap();
    }
    let error = code(ledger.on_stream(NOW, bidi_of_client(3), 0, 1, false));
    assert_eq!(error, TransportErrorCode::FLOW_CONTROL_ERROR);
    assert_eq!(hits(&mut ledger, Limit::ConnectionWindow), 1);
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-19.9
//= type=test
//# The sum of the final
//# sizes on all streams -- including streams in terminal states -- MUST NOT exceed
//# the value advertised by a receiver.
#[test]
fn final_sizes_of_reset_streams_count_towards_the_connection_limit() {
    let local = LocalLimits { initial_max_data: 2_500, ..LOCAL };
    let mut ledger = server_with(local, PEER);
    ledger.on_reset_stream(uni_of_client(0), 7, 1_000).unwrap();
    ledger.on_reset_stream(uni_of_client(1), 7, 1_000).unwrap();
    let error = code(ledger.on_reset_stream(uni_of_client(2), 7, 501));
    assert_eq!(error, TransportErrorCode::FLOW_CONTROL_ERROR);
    assert_eq!(ledger.on_reset_stream(uni_of_client(2), 7, 500), Ok(()));
}

#[test]
fn a_final_size_beyond_the_stream_limit_is_a_flow_control_error() {
    let error = code(server().on_reset_stream(bidi_of_client(0), 7, 1_001));
    assert_eq!(error, TransportErrorCode::FLOW_CONTROL_ERROR);
    let error = code(server().on_stream(NOW, bidi_of_client(0), 1_001, 0, true));
    assert_eq!(error, TransportErrorCode::FLOW_CONTROL_ERROR);
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-4.6
//= type=test
//# An endpoint that
//# receives a frame with a stream ID exceeding the limit it has sent MUST treat
//# this as a connection error of type STREAM_LIMIT_ERROR; see {{error-handling}}
//# for details on error handling.
#[test]
fn the_last_stream_of_the_limit_is_opened_and_the_next_is_a_stream_limit_error_whatever_frame_names_it() {
    type Named = fn(&mut Ledger, StreamId) -> Result<(), TransportError>;
    let frames: [Named; 5] = [
        |ledger, id| ledger.on_stream(NOW, id, 0, 1, false).map(|_| ()),
        |ledger, id| ledger.on_reset_stream(id, 7, 0),
        |ledger, id| ledger.on_stop_sending(id, 7),
        |ledger, id| ledger.on_max_stream_data(id, 7),
        |ledger, id| ledger.on_stream_data_blocked(id, 7),
    ];
    for frame in frames {
        let mut ledger = server();
        frame(&mut ledger, bidi_of_client(9)).unwrap();
        assert_eq!(ledger.open_streams(), [[0, 0], [10, 0]]);
        assert_eq!(code(frame(&mut ledger, bidi_of_client(10))), TransportErrorCode::STREAM_LIMIT_ERROR);
        assert_eq!(hits(&mut ledger, Limit::Streams), 1);
    }
    let mut ledger = server();
    let error = code(ledger.on_stream(NOW, uni_of_client(5), 0, 1, false));
    assert_eq!(error, TransportErrorCode::STREAM_LIMIT_ERROR);
    let error = code(ledger.on_stream(NOW, StreamId::from_u64(1_000_000_000), 0, 1, false));
    assert_eq!(error, TransportErrorCode::STREAM_LIMIT_ERROR);
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-19.4
//= type=test
//# An endpoint that receives a RESET_STREAM frame for a send-only stream MUST
//# terminate the connection with error STREAM_STATE_ERROR.
//
//= https://www.rfc-editor.org/rfc/rfc9000#section-19.13
//= type=test
//# An endpoint that receives a STREAM_DATA_BLOCKED frame for a send-only stream
//# MUST terminate the connection with error STREAM_STATE_ERROR.
#[test]
fn frames_of_a_sender_on_a_send_only_stream_are_stream_state_errors() {
    for opened in [false, true] {
        let mut ledger = server();
        if opened {
            write(&mut ledger, uni_of_server(0), 10, false);
        }
        let id = StreamId::from_u64(3);
        assert_eq!(code(ledger.on_stream(NOW, id, 0, 1, false)), TransportErrorCode::STREAM_STATE_ERROR);
        assert_eq!(code(ledger.on_reset_stream(id, 7, 0)), TransportErrorCode::STREAM_STATE_ERROR);
        assert_eq!(code(ledger.on_stream_data_blocked(id, 7)), TransportErrorCode::STREAM_STATE_ERROR);
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-19.5
//= type=test
//# An endpoint that receives a
//# STOP_SENDING frame for a receive-only stream MUST terminate the connection with
//# error STREAM_STATE_ERROR.
//
//= https://www.rfc-editor.org/rfc/rfc9000#section-19.10
//= type=test
//# An endpoint that receives a
//# MAX_STREAM_DATA frame for a receive-only stream MUST terminate the connection
//# with error STREAM_STATE_ERROR.
#[test]
fn frames_of_a_receiver_on_a_receive_only_stream_are_stream_state_errors() {
    let mut ledger = server();
    let id = StreamId::from_u64(2);
    assert_eq!(code(ledger.on_stop_sending(id, 7)), TransportErrorCode::STREAM_STATE_ERROR);
    assert_eq!(code(ledger.on_max_stream_data(id, 7)), TransportErrorCode::STREAM_STATE_ERROR);
    assert_eq!(ledger.open_streams(), [[0, 0], [0, 0]], "nothing was opened");
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-19.8
//= type=test
//# An endpoint MUST terminate the connection with error STREAM_STATE_ERROR if it
//# receives a STREAM frame for a locally initiated stream that has not yet been
//# created, or for a send-only stream.
//
//= https://www.rfc-editor.org/rfc/rfc9000#section-19.5
//= type=test
//# Receiving a STOP_SENDING frame for a
//# locally initiated stream that has not yet been created MUST be treated as a
//# connection error of type STREAM_STATE_ERROR.
//
//= https://www.rfc-editor.org/rfc/rfc9000#section-19.10
//= type=test
//# Receiving a MAX_STREAM_DATA frame for a
//# locally initiated stream that has not yet been created MUST be treated as a
//# connection error of type STREAM_STATE_ERROR.
#[test]
fn frames_on_a_stream_that_we_have_not_opened_are_stream_state_errors() {
    let mut ledger = server();
    for id in [StreamId::from_u64(1), StreamId::from_u64(101)] {
        assert_eq!(code(ledger.on_stream(NOW, id, 0, 1, false)), TransportErrorCode::STREAM_STATE_ERROR);
        assert_eq!(code(ledger.on_reset_stream(id, 7, 0)), TransportErrorCode::STREAM_STATE_ERROR);
        assert_eq!(code(ledger.on_stop_sending(id, 7)), TransportErrorCode::STREAM_STATE_ERROR);
        assert_eq!(code(ledger.on_max_stream_data(id, 7)), TransportErrorCode::STREAM_STATE_ERROR);
        assert_eq!(code(ledger.on_stream_data_blocked(id, 7)), TransportErrorCode::STREAM_STATE_ERROR);
    }
    write(&mut ledger, bidi_of_server(0), 1, false);
    assert_eq!(ledger.on_stream(NOW, bidi_of_server(0), 0, 1, false), Ok(Disposition::Deliver));
    assert_eq!(ledger.on_stop_sending(bidi_of_server(0), 7), Ok(()));
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-4.5
//= type=test
//# Once a final size for a stream is known, it cannot change.
#[test]
fn a_final_size_that_changes_is_a_final_size_error() {
    type Ending = fn(&mut Ledger, u64) -> Result<(), TransportError>;
    let endings: [Ending; 2] = [
        |ledger, size| ledger.on_stream(NOW, bidi_of_client(0), size, 0, true).map(|_| ()),
        |ledger, size| ledger.on_reset_stream(bidi_of_client(0), 7, size),
    ];
    for first in endings {
        for second in endings {
            for changed in [99, 101] {
                let mut ledger = server();
                first(&mut ledger, 100).unwrap();
                second(&mut ledger, 100).unwrap();
                assert_eq!(code(second(&mut ledger, changed)), TransportErrorCode::FINAL_SIZE_ERROR);
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
fn data_beyond_the_final_size_is_a_final_size_error() {
    let mut ledger = server();
    ledger.on_stream(NOW, bidi_of_client(0), 0, 100, true).unwrap();
    ledger.on_reset_stream(bidi_of_client(1), 7, 100).unwrap();
    for index in 0..2 {
        assert!(ledger.on_stream(NOW, bidi_of_client(index), 99, 1, false).is_ok());
        let error = code(ledger.on_stream(NOW, bidi_of_client(index), 100, 1, false));
        assert_eq!(error, TransportErrorCode::FINAL_SIZE_ERROR);
    }
}

#[test]
fn a_final_size_below_what_was_received_is_a_final_size_error() {
    let mut ledger = server();
    ledger.on_stream(NOW, bidi_of_client(0), 50, 50, false).unwrap();
    assert_eq!(code(ledger.on_stream(NOW, bidi_of_client(0), 0, 99, true)), TransportErrorCode::FINAL_SIZE_ERROR);
    assert_eq!(code(ledger.on_reset_stream(bidi_of_client(0), 7, 99)), TransportErrorCode::FINAL_SIZE_ERROR);
    assert_eq!(ledger.on_reset_stream(bidi_of_client(0), 7, 100), Ok(()));
}

#[test]
fn an_error_charges_nothing() {
    let mut ledger = server();
    ledger.on_stream(NOW, bidi_of_client(0), 0, 10, false).unwrap();
    assert!(ledger.on_stream(NOW, bidi_of_client(0), 10, 1_000, false).is_err());
    assert!(ledger.on_reset_stream(bidi_of_client(0), 7, 9).is_err());
    assert_eq!(ledger.receive_charged(), 10);
}

#[test]
fn wishes_for_what_was_never_permitted_are_internal_errors() {
    let mut ledger = server_with(LOCAL, PeerLimits { initial_max_streams_uni: 1, ..PEER });
    let write = |id, length: usize| StreamOutput::Write { id, data: Bytes::from(vec![0; length]), fin: false };
    for wish in [
        write(uni_of_server(1), 1),
        write(uni_of_client(0), 1),
        write(bidi_of_client(0), 1),
        write(uni_of_server(0), crate::limits::SEND_AHEAD as usize + 1),
        StreamOutput::Consumed { id: bidi_of_client(0), bytes: 0 },
    ] {
        assert_eq!(code(ledger.on_output(NOW, wish)), TransportErrorCode::INTERNAL_ERROR);
    }
    ledger.on_stream(NOW, bidi_of_client(0), 0, 10, false).unwrap();
    let wish = StreamOutput::Consumed { id: bidi_of_client(0), bytes: 11 };
    assert_eq!(code(ledger.on_output(NOW, wish)), TransportErrorCode::INTERNAL_ERROR);
}
