//! The form of frames (RFC 9000 §12.4, §19), and frames that one side must not send.

use codec::frame::{Frame, MaxData, MaxStreamData, PathChallenge, PathResponse};
use codec::{Side, TransportErrorCode};
use quicast_tests::puppet::{Forged, Stage};
use quicast_tests::{Puppet, Settings};
use recovery::SpaceId;

use crate::support::*;

closes! {
    //= https://www.rfc-editor.org/rfc/rfc9000#section-12.4
    //= type=test
    //# An endpoint MUST treat the receipt of a frame of unknown type as a connection
    //# error of type FRAME_ENCODING_ERROR.
    a_frame_of_type_0x20_is_unknown(Client, Server; Established, Application) FRAME_ENCODING_ERROR => |_| raw(&[0x20]);
    a_frame_of_type_0x1f_is_unknown(Client, Server; Established, Application) FRAME_ENCODING_ERROR => |_| raw(&[0x1f]);
    a_frame_of_type_0x2f_is_unknown(Client, Server; Established, Application) FRAME_ENCODING_ERROR => |_| raw(&[0x2f]);
    a_frame_of_type_0x32_is_unknown(Client, Server; Established, Application) FRAME_ENCODING_ERROR => |_| raw(&[0x32]);
    a_frame_of_a_type_of_two_bytes_is_unknown(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| raw(&[0x40]);
    a_frame_of_the_largest_type_is_unknown(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| raw(&[MAXIMUM]);
    an_unknown_frame_in_a_handshake_packet(Client, Server; Handshake, Handshake) FRAME_ENCODING_ERROR => |_| raw(&[0x20]);
    an_unknown_frame_in_an_initial_packet(Client, Server; Start, Initial) FRAME_ENCODING_ERROR => |_| raw(&[0x20]);
    an_unknown_frame_after_good_ones(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| raw(&[0, 1, 0, 0x21]);

    //= https://www.rfc-editor.org/rfc/rfc9000#section-12.4
    //= type=test
    //# An endpoint MUST treat receipt of a packet containing no frames as a
    //# connection error of type PROTOCOL_VIOLATION.
    a_one_rtt_packet_without_frames(Client, Server; Established, Application) PROTOCOL_VIOLATION => |_| Vec::new();
    a_handshake_packet_without_frames(Client, Server; Handshake, Handshake) PROTOCOL_VIOLATION => |_| Vec::new();

    // ── Numbers out of range ─────────────────────────────────────────────────────────────────────────────────────
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.11
    //= type=test
    //# Receipt of a frame that permits opening of a stream larger than this limit MUST be treated as a connection
    //# error of type FRAME_ENCODING_ERROR.
    max_streams_beyond_2_to_the_60_bidirectional(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| raw(&[0x12, (1 << 60) + 1]);
    max_streams_beyond_2_to_the_60_unidirectional(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| raw(&[0x13, (1 << 60) + 1]);
    streams_blocked_beyond_2_to_the_60_bidirectional(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| raw(&[0x16, (1 << 60) + 1]);
    streams_blocked_beyond_2_to_the_60_unidirectional(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| raw(&[0x17, (1 << 60) + 1]);
    crypto_beyond_the_largest_offset(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| join(&[&raw(&[0x06, MAXIMUM, 1]), b"x"]);
    crypto_beyond_the_largest_offset_in_a_handshake_packet(Client, Server; Handshake, Handshake) FRAME_ENCODING_ERROR =>
        |_| join(&[&raw(&[0x06, MAXIMUM, 1]), b"x"]);
    crypto_beyond_the_largest_offset_in_an_initial_packet(Client, Server; Start, Initial) FRAME_ENCODING_ERROR =>
        |_| join(&[&raw(&[0x06, MAXIMUM, 1]), b"x"]);
    stream_data_beyond_the_largest_offset(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |victim| join(&[&raw(&[0x0e, theirs(victim, 0).as_u64(), MAXIMUM, 1]), b"x"]);

    // ── Acknowledgements ─────────────────────────────────────────────────────────────────────────────────────────
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.3.1
    //= type=test
    //# If any computed packet number is negative, an endpoint MUST generate a
    //# connection error of type FRAME_ENCODING_ERROR.
    an_acknowledgement_whose_first_range_is_negative(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| raw(&[0x02, 0, 0, 0, 1]);
    an_acknowledgement_whose_gap_is_negative(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| raw(&[0x02, 1, 0, 1, 0, 0, 0]);
    an_acknowledgement_whose_second_range_is_negative(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| raw(&[0x02, 2, 0, 1, 0, 0, 1]);
    an_acknowledgement_with_the_largest_first_range(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| raw(&[0x02, MAXIMUM - 1, 0, 0, MAXIMUM]);
    an_acknowledgement_of_more_ranges_than_there_are(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| raw(&[0x02, 0, 0, MAXIMUM, 0]);
    an_acknowledgement_with_ecn_counts_that_end(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| raw(&[0x03, 0, 0, 0, 0, 1, 1]);
    a_negative_acknowledgement_in_a_handshake_packet(Client, Server; Handshake, Handshake) FRAME_ENCODING_ERROR =>
        |_| raw(&[0x02, 0, 0, 0, 1]);
    a_negative_acknowledgement_in_an_initial_packet(Client, Server; Start, Initial) FRAME_ENCODING_ERROR =>
        |_| raw(&[0x02, 0, 0, 0, 1]);

    //= https://www.rfc-editor.org/rfc/rfc9000#section-13.1
    //= type=test
    //# An endpoint SHOULD treat receipt of an acknowledgment for a packet it did not
    //# send as a connection error of type PROTOCOL_VIOLATION, if it is able to detect
    //# the condition.
    an_acknowledgement_of_a_one_rtt_packet_that_was_not_sent(Client, Server; Established, Application)
        PROTOCOL_VIOLATION => |_| raw(&[0x02, 1000, 0, 0, 0]);
    an_acknowledgement_of_the_largest_number(Client, Server; Established, Application)
        PROTOCOL_VIOLATION => |_| raw(&[0x02, MAXIMUM, 0, 0, 0]);
    an_acknowledgement_of_everything_there_could_be(Client, Server; Established, Application)
        PROTOCOL_VIOLATION => |_| raw(&[0x02, MAXIMUM, 0, 0, MAXIMUM]);
    an_acknowledgement_with_ecn_of_what_was_not_sent(Client, Server; Established, Application)
        PROTOCOL_VIOLATION => |_| raw(&[0x03, 1000, 0, 0, 0, 1, 0, 0]);
    an_acknowledgement_of_a_handshake_packet_that_was_not_sent(Client, Server; Handshake, Handshake)
        PROTOCOL_VIOLATION => |_| raw(&[0x02, 1000, 0, 0, 0]);
    an_acknowledgement_of_an_initial_packet_that_was_not_sent(Client, Server; Start, Initial)
        PROTOCOL_VIOLATION => |_| raw(&[0x02, 1000, 0, 0, 0]);
    an_acknowledgement_to_a_server_that_has_sent_nothing(Server; Start, Initial)
        PROTOCOL_VIOLATION => |_| raw(&[0x02, 0, 0, 0, 0]);

    // ── Frames of one side ───────────────────────────────────────────────────────────────────────────────────────
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.7
    //= type=test
    //# A server MUST treat receipt
    //# of a NEW_TOKEN frame as a connection error of type PROTOCOL_VIOLATION.
    new_token_to_a_server(Server; Established, Application) PROTOCOL_VIOLATION => |_| join(&[&raw(&[0x07, 3]), b"abc"]);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.7
    //= type=test
    //# A client MUST treat
    //# receipt of a NEW_TOKEN frame with an empty Token field as a connection error of
    //# type FRAME_ENCODING_ERROR.
    new_token_without_a_token(Client; Established, Application) FRAME_ENCODING_ERROR => |_| raw(&[0x07, 0]);
    new_token_that_ends_early(Client; Established, Application) FRAME_ENCODING_ERROR => |_| raw(&[0x07, 3]);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.20
    //= type=test
    //# A
    //# server MUST treat receipt of a HANDSHAKE_DONE frame as a connection error of
    //# type PROTOCOL_VIOLATION.
    handshake_done_to_a_server(Server; Established, Application) PROTOCOL_VIOLATION => |_| raw(&[0x1e]);
    handshake_done_in_a_handshake_packet(Client, Server; Handshake, Handshake) PROTOCOL_VIOLATION => |_| raw(&[0x1e]);
    path_challenge_in_a_handshake_packet(Client, Server; Handshake, Handshake) PROTOCOL_VIOLATION =>
        |_| bytes(&[Frame::PathChallenge(PathChallenge { data: [1; 8] })]);
    an_application_close_in_a_handshake_packet(Client, Server; Handshake, Handshake) PROTOCOL_VIOLATION =>
        |_| raw(&[0x1d, 0, 0]);
    an_application_close_in_an_initial_packet(Client, Server; Start, Initial) PROTOCOL_VIOLATION =>
        |_| raw(&[0x1d, 0, 0]);
    a_datagram_frame_in_a_handshake_packet(Client, Server; Handshake, Handshake) PROTOCOL_VIOLATION =>
        |_| raw(&[0x31, 0]);
    a_stream_frame_in_an_initial_packet(Client, Server; Start, Initial) PROTOCOL_VIOLATION =>
        |victim| stream(theirs(victim, 0), 0, b"x", false);
}

tolerates! {
    max_streams_of_exactly_2_to_the_60(Client, Server; Established, Application) => |_| raw(&[0x12, 1 << 60, 0x13, 1 << 60]);
    streams_blocked_at_exactly_2_to_the_60(Client, Server; Established, Application) =>
        |_| raw(&[0x16, 1 << 60, 0x17, 1 << 60]);
    a_token_for_a_client(Client; Established, Application) => |_| join(&[&raw(&[0x07, 3]), b"abc"]);
    handshake_done_said_again(Client; Established, Application) => |_| raw(&[0x1e]);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-4.1
    //= type=test
    //# A sender MUST ignore any MAX_STREAM_DATA or MAX_DATA frames that do
    //# not increase flow control limits.
    limits_that_do_not_rise(Client, Server; Established, Application) => |victim| join(&[
        &stream(theirs(victim, 0), 0, b"x", false),
        &bytes(&[
            Frame::MaxData(MaxData { maximum: 0 }),
            Frame::MaxStreamData(MaxStreamData { id: theirs(victim, 0), maximum: 0 }),
        ]),
        &raw(&[0x12, 0, 0x13, 0]),
    ]);
    // §19.18 permits closing; off-path duplicates make it unwise.
    a_path_response_that_answers_nothing(Client, Server; Established, Application) =>
        |_| bytes(&[Frame::PathResponse(PathResponse { data: [9; 8] })]);
    a_packet_of_padding_alone(Client, Server; Established, Application) => |_| vec![0; 100];
}

/// Every frame type of RFC 9000 in one well-formed instance, and those of RFC 9221.
pub(crate) fn one_of_each() -> Vec<Vec<u8>> {
    let mut all = vec![
        raw(&[0x00]),
        raw(&[0x01]),
        raw(&[0x02, 0, 0, 0, 0]),
        raw(&[0x03, 0, 0, 0, 0, 0, 0, 0]),
        raw(&[0x04, 0, 7, 0]),
        raw(&[0x05, 0, 7]),
        join(&[&raw(&[0x06, 0, 4]), b"data"]),
        join(&[&raw(&[0x07, 5]), b"token"]),
    ];
    for kind in 0x08..=0x0f {
        let offset: &[u64] = if kind & 0x04 != 0 { &[0] } else { &[] };
        let length: &[u64] = if kind & 0x02 != 0 { &[4] } else { &[] };
        all.push(join(&[&raw(&[kind, 0]), &raw(offset), &raw(length), b"data"]));
    }
    all.extend([
        raw(&[0x10, 1000]),
        raw(&[0x11, 0, 1000]),
        raw(&[0x12, 5]),
        raw(&[0x13, 5]),
        raw(&[0x14, 1000]),
        raw(&[0x15, 0, 1000]),
        raw(&[0x16, 5]),
        raw(&[0x17, 5]),
        join(&[&raw(&[0x18, 1, 0, 8]), &[0x18; 8], &[0x99; 16]]),
        raw(&[0x19, 1]),
        join(&[&raw(&[0x1a]), &[7; 8]]),
        join(&[&raw(&[0x1b]), &[7; 8]]),
        join(&[&raw(&[0x1c, 0, 0, 3]), b"bye"]),
        join(&[&raw(&[0x1d, 0, 3]), b"bye"]),
        raw(&[0x1e]),
        join(&[&raw(&[0x30]), b"data"]),
        join(&[&raw(&[0x31, 4]), b"data"]),
    ]);
    all
}

/// Whether the frame takes up what the packet has, so that none of its beginnings is cut short.
fn takes_the_rest(frame: &[u8], kept: usize) -> bool {
    match frame[0] {
        0x00 | 0x01 | 0x1e | 0x30 => true,
        // Without a length, stream data may end anywhere after the header.
        0x08 | 0x09 => kept >= 2,
        0x0c | 0x0d => kept >= 3,
        _ => false,
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-20.1
//= type=test
//# FRAME_ENCODING_ERROR (0x07):
#[test]
fn a_frame_that_ends_with_its_packet_before_its_own_end_is_malformed() {
    let mut cases = 0;
    for frame in one_of_each() {
        for kept in 1..frame.len() {
            if takes_the_rest(&frame, kept) {
                continue;
            }
            let victim = if kept % 2 == 0 { Side::Client } else { Side::Server };
            closes(
                victim,
                Stage::Established,
                SpaceId::Application,
                &frame[..kept],
                TransportErrorCode::FRAME_ENCODING_ERROR,
            );
            cases += 1;
        }
    }
    assert!(cases > 100, "{cases}");
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-12.4
//= type=test
//# An endpoint
//# MAY treat the receipt of a frame type that uses a longer encoding than
//# necessary as a connection error of type PROTOCOL_VIOLATION.
#[test]
fn a_frame_type_in_more_bytes_than_it_needs_is_a_violation() {
    for frame in one_of_each() {
        for longer in [vec![0x40, frame[0]], vec![0x80, 0, 0, frame[0]], vec![0xc0, 0, 0, 0, 0, 0, 0, frame[0]]] {
            let victim = if longer.len() == 2 { Side::Server } else { Side::Client };
            let payload = join(&[&longer, &frame[1..]]);
            closes(victim, Stage::Established, SpaceId::Application, &payload, TransportErrorCode::PROTOCOL_VIOLATION);
        }
    }
}

#[test]
fn a_frame_type_that_ends_with_the_packet_is_malformed() {
    for victim in SIDES {
        for payload in [[0x40].as_slice(), &[0x80, 0, 0], &[0xc0, 0, 0, 0, 0, 0, 0]] {
            closes(victim, Stage::Established, SpaceId::Application, payload, TransportErrorCode::FRAME_ENCODING_ERROR);
        }
    }
}

#[test]
fn an_initial_packet_without_frames_is_a_violation() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Start);
        let mut datagram = puppet.seal(&Forged { size: 0, ..Forged::new(SpaceId::Initial, &[]) });
        datagram.extend(puppet.seal(&Forged::new(SpaceId::Initial, &[1])));
        puppet.send(datagram);
        assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
    }
}

#[test]
fn the_close_names_the_frame_that_caused_it() {
    for victim in SIDES {
        for (payload, frame_type) in [
            (raw(&[0x02, 0, 0, 0, 1]), 0x02),
            (raw(&[0x12, MAXIMUM]), 0x12),
            (raw(&[0x20]), 0x20),
            (raw(&[0x40]), 0x40),
            (raw(&[0x19, 100]), 0x19),
            (Vec::new(), 0),
        ] {
            let mut puppet = puppet(victim, Stage::Established);
            puppet.say_bytes(SpaceId::Application, &payload);
            let said = close_frames(&puppet);
            assert!(!said.is_empty() && said.iter().all(|(_, named)| *named == frame_type), "{payload:x?}: {said:x?}");
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc9221#section-3
//= type=test
//# An endpoint that receives a DATAGRAM frame when it has not
//# indicated support via the transport parameter MUST terminate the connection
//# with an error of type PROTOCOL_VIOLATION.
#[test]
fn a_datagram_frame_that_was_not_offered_is_a_violation() {
    for victim in SIDES {
        for payload in [raw(&[0x30]), raw(&[0x31, 0]), join(&[&raw(&[0x31, 4]), b"data"])] {
            let settings = Settings::new(1).map(|config| config.datagrams = false);
            let mut puppet = Puppet::at(&settings, victim, Stage::Established);
            puppet.say_bytes(SpaceId::Application, &payload);
            assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
        }
    }
}
