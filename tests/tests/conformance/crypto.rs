//! CRYPTO frames: buffers, gaps, and data of levels that are over (RFC 9000 §7.5, RFC 9001 §4.1.3).

use codec::frame::{Crypto, Frame};
use codec::{Side, TransportErrorCode};
use quicast_tests::puppet::Stage;
use recovery::SpaceId;
use transport::limits;

use crate::handshake::{impostor, message, say_crypto};
use crate::impostor::Impostor;
use crate::support::*;

//= https://www.rfc-editor.org/rfc/rfc9000#section-7.5
//= type=test
//# If an endpoint does not expand its buffer, it MUST
//# close the connection with a CRYPTO_BUFFER_EXCEEDED error code.
#[test]
fn handshake_data_beyond_the_buffer_exceeds_it_and_up_to_it_does_not() {
    let cases = [
        (Stage::Start, SpaceId::Initial, limits::CRYPTO_BUFFER_INITIAL),
        (Stage::Handshake, SpaceId::Handshake, limits::CRYPTO_BUFFER_HANDSHAKE),
        (Stage::Complete, SpaceId::Application, limits::CRYPTO_BUFFER_APPLICATION),
        (Stage::Established, SpaceId::Application, limits::CRYPTO_BUFFER_APPLICATION),
    ];
    for victim in SIDES {
        for (stage, space, limit) in cases {
            let mut puppet = puppet(victim, stage);
            let end = puppet.crypto_offset(space) + limit;
            puppet.say(space, &[Frame::Crypto(Crypto { offset: end - 1, data: b"x" })]);
            assert_goes_on(&mut puppet);
            puppet.say(space, &[Frame::Crypto(Crypto { offset: end, data: b"x" })]);
            assert_closed(&mut puppet, TransportErrorCode::CRYPTO_BUFFER_EXCEEDED);
        }
    }
}

#[test]
fn handshake_data_in_too_many_pieces_exceeds_the_buffer() {
    for victim in SIDES {
        for (stage, space) in [
            (Stage::Start, SpaceId::Initial),
            (Stage::Handshake, SpaceId::Handshake),
            (Stage::Established, SpaceId::Application),
        ] {
            let mut puppet = puppet(victim, stage);
            let from = puppet.crypto_offset(space) + 1;
            for piece in 0..limits::CRYPTO_GAPS as u64 {
                puppet.say(space, &[Frame::Crypto(Crypto { offset: from + 2 * piece, data: b"x" })]);
            }
            assert_goes_on(&mut puppet);
            let offset = from + 2 * limits::CRYPTO_GAPS as u64;
            puppet.say(space, &[Frame::Crypto(Crypto { offset, data: b"x" })]);
            assert_closed(&mut puppet, TransportErrorCode::CRYPTO_BUFFER_EXCEEDED);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-4.1.3
//= type=test
//# If the packet is from a previously installed encryption level,
//# it MUST NOT contain data that extends past the end of previously
//# received data in that flow.
#[test]
fn initial_data_after_the_level_is_over_is_a_violation() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Handshake);
        let end = puppet.crypto_offset(SpaceId::Initial);
        assert!(end > 0);
        puppet.say(SpaceId::Initial, &[Frame::Crypto(Crypto { offset: end - 5, data: b"again" })]);
        assert_eq!(puppet.victim().ending(), "open");
        puppet.say(SpaceId::Initial, &[Frame::Crypto(Crypto { offset: end, data: b"x" })]);
        assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
    }
}

#[test]
fn initial_data_beyond_a_gap_after_the_level_is_over_is_a_violation() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Handshake);
        let offset = puppet.crypto_offset(SpaceId::Initial) + 100;
        puppet.say(SpaceId::Initial, &[Frame::Crypto(Crypto { offset, data: b"x" })]);
        assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
    }
}

#[test]
fn initial_data_beyond_a_gap_when_the_level_ends_is_a_violation() {
    for victim in SIDES {
        let Impostor { mut puppet, flight } = impostor(victim);
        let (_, hello) = &flight[0];
        puppet.say(SpaceId::Initial, &[Frame::Crypto(Crypto { offset: hello.len() as u64 + 100, data: b"x" })]);
        assert_eq!(puppet.victim().ending(), "open");
        puppet.say(SpaceId::Initial, &[Frame::Crypto(Crypto { offset: 0, data: hello })]);
        assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
    }
}

#[test]
fn handshake_data_after_the_handshake_is_a_violation_while_its_keys_are_there() {
    let mut puppet = puppet(Side::Client, Stage::Complete);
    let offset = puppet.crypto_offset(SpaceId::Handshake);
    puppet.say(SpaceId::Handshake, &[Frame::Crypto(Crypto { offset, data: b"x" })]);
    assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-4.1.3
//= type=test
//# When TLS provides keys for a higher encryption level,
//# if there is data from a previous encryption level that TLS has not consumed,
//# this MUST be treated as a connection error of type PROTOCOL_VIOLATION.
#[test]
fn data_behind_the_hello_is_a_violation() {
    for victim in SIDES {
        let mut impostor = impostor(victim);
        impostor.flight[0].1.extend(message(22, b"more"));
        let mut puppet = impostor.say();
        assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
    }
}

#[test]
fn an_empty_crypto_frame_does_nothing_anywhere() {
    for victim in SIDES {
        for (stage, space) in [
            (Stage::Start, SpaceId::Initial),
            (Stage::Handshake, SpaceId::Handshake),
            (Stage::Established, SpaceId::Application),
        ] {
            let mut puppet = puppet(victim, stage);
            say_crypto(&mut puppet, space, b"");
            assert_goes_on(&mut puppet);
        }
    }
}

#[test]
fn handshake_data_in_any_order_makes_a_handshake() {
    for victim in SIDES {
        let mut impostor = impostor(victim);
        if victim.is_client() {
            impostor.keep_encrypted_extensions();
        }
        let Impostor { mut puppet, flight } = impostor;
        let (_, initial) = &flight[0];
        let pieces: Vec<(u64, &[u8])> =
            initial.chunks(40).enumerate().map(|(index, piece)| (40 * index as u64, piece)).collect();
        for (offset, data) in pieces.iter().rev() {
            puppet.say(SpaceId::Initial, &[Frame::Crypto(Crypto { offset: *offset, data })]);
            puppet.say(SpaceId::Initial, &[Frame::Crypto(Crypto { offset: *offset, data })]);
        }
        let unopened = puppet.unopened.len();
        let heard = puppet.heard.clone();
        eprintln!("{} {heard:?} {:?} {unopened}", initial.len(), puppet.victim().stats);
        assert_eq!(puppet.victim().ending(), "open", "{victim:?}");
        // Both have Handshake keys now: a server says so by itself, a client once it hears something.
        if victim.is_server() {
            let destinations: Vec<_> = puppet.heard_frames(SpaceId::Initial).collect();
            assert!(destinations.iter().any(|frame| matches!(frame, Frame::Crypto(_))));
        } else {
            puppet.say(SpaceId::Handshake, &[Frame::Ping]);
            assert!(puppet.heard.iter().any(|heard| heard.space == SpaceId::Handshake));
        }
    }
}
