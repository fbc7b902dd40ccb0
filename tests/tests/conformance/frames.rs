//! The form of frames (RFC 9000 §12.4, §19), and frames that one side must not send.

use std::time::Duration;

use codec::cursor::Writer;
use codec::frame::{Frame, MaxData, MaxStreamData, PathChallenge, PathResponse, encode_ack};
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

/// Makes the victim send until it leaves out a number, which it does now and then, and says which.
fn skipped_number(puppet: &mut Puppet) -> u64 {
    for _ in 0..2_000 {
        puppet.say(SpaceId::Application, &[Frame::Ping]);
        puppet.say(SpaceId::Application, &[Frame::Ping]);
        let mut numbers =
            puppet.heard.iter().rev().filter(|heard| heard.space == SpaceId::Application).map(|heard| heard.number);
        if let (Some(last), Some(before)) = (numbers.next(), numbers.next())
            && last == before + 2
        {
            return before + 1;
        }
    }
    panic!("no number was ever left out");
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-21.4
//= type=test
//# An endpoint SHOULD skip packet numbers when sending packets to detect this
//# behavior.
#[test]
fn an_acknowledgement_of_a_number_that_was_left_out_is_a_violation() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let skipped = skipped_number(&mut puppet);
        puppet.say_bytes(SpaceId::Application, &raw(&[0x02, skipped, 0, 0, 0]));
        assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
    }
}

#[test]
fn an_acknowledgement_of_a_range_across_a_number_that_was_left_out_is_a_violation() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let skipped = skipped_number(&mut puppet);
        puppet.say_bytes(SpaceId::Application, &raw(&[0x02, skipped + 1, 0, 0, 2]));
        assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
    }
}

#[test]
fn an_acknowledgement_of_the_numbers_around_one_that_was_left_out_is_in_order() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let skipped = skipped_number(&mut puppet);
        let mut buffer = [0; 64];
        let mut writer = Writer::new(&mut buffer);
        encode_ack(&mut writer, 0, [skipped + 1..=skipped + 1, skipped - 1..=skipped - 1].into_iter(), None).unwrap();
        puppet.say_bytes(SpaceId::Application, writer.written());
        assert_goes_on(&mut puppet);
    }
}

// ── How often the victim acknowledges ────────────────────────────────────────────────────────────────────────────

fn acknowledgements(puppet: &Puppet) -> usize {
    puppet.heard_frames(SpaceId::Application).filter(|frame| matches!(frame, Frame::Ack(_))).count()
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.2
//= type=test
//# A receiver SHOULD send an ACK frame after receiving at least two ack-eliciting
//# packets.
#[test]
fn every_second_ack_eliciting_packet_is_acknowledged_at_once() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let before = acknowledgements(&puppet);
        for _ in 0..100 {
            puppet.say(SpaceId::Application, &[Frame::Ping]);
        }
        assert_eq!(acknowledgements(&puppet) - before, 50, "{victim:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1
//= type=test
//# An endpoint MUST acknowledge all ack-eliciting Initial and Handshake packets
//# immediately and all ack-eliciting 0-RTT and 1-RTT packets within its advertised
//# max_ack_delay
#[test]
fn a_single_packet_is_acknowledged_within_the_announced_delay_and_not_twice() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let before = acknowledgements(&puppet);
        puppet.say(SpaceId::Application, &[Frame::Ping]);
        assert_eq!(acknowledgements(&puppet), before, "{victim:?}");
        puppet.advance(Duration::from_millis(25));
        assert_eq!(acknowledgements(&puppet), before + 1, "{victim:?}");
        puppet.advance(Duration::from_secs(2));
        assert_eq!(acknowledgements(&puppet), before + 1, "{victim:?}");
    }
}

#[test]
fn handshake_packets_are_acknowledged_at_once() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Handshake);
        let before = puppet.heard_frames(SpaceId::Handshake).filter(|frame| matches!(frame, Frame::Ack(_))).count();
        puppet.say(SpaceId::Handshake, &[Frame::Ping]);
        let after = puppet.heard_frames(SpaceId::Handshake).filter(|frame| matches!(frame, Frame::Ack(_))).count();
        assert_eq!(after, before + 1, "{victim:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1
//= type=test
//# An endpoint MUST NOT send a non-ack-eliciting packet in response to a
//# non-ack-eliciting packet, even if there are packet gaps that precede the
//# received packet.
#[test]
fn acknowledgements_are_not_acknowledged() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let before = puppet.heard.len();
        for _ in 0..50 {
            puppet.acknowledge(SpaceId::Application);
            puppet.next_numbers[SpaceId::Application.index()] += 2;
            puppet.say_bytes(SpaceId::Application, &[0; 30]);
        }
        puppet.advance(Duration::from_secs(1));
        assert_eq!(puppet.heard.len(), before, "{victim:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1
//= type=test
//# In order to assist loss detection at the sender, an endpoint SHOULD generate and
//# send an ACK frame without delay when it receives an ack-eliciting packet either:
#[test]
fn a_packet_out_of_order_is_acknowledged_at_once() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        for _ in 0..2 {
            puppet.say(SpaceId::Application, &[Frame::Ping]);
        }
        let before = acknowledgements(&puppet);
        puppet.next_numbers[SpaceId::Application.index()] += 5;
        puppet.say(SpaceId::Application, &[Frame::Ping]);
        assert_eq!(acknowledgements(&puppet), before + 1, "{victim:?}: a gap");
        let late = puppet.next_numbers[SpaceId::Application.index()] - 3;
        puppet.forge(&Forged { number: Some(late), ..Forged::new(SpaceId::Application, &[1]) });
        assert_eq!(acknowledgements(&puppet), before + 2, "{victim:?}: a late packet");
    }
}
