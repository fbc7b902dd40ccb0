//! Numbers at the ends of their ranges: permitted, and therefore to be lived with.

use std::time::Duration;

use bytes::Bytes;
use codec::frame::{ConnectionClose, Frame};
use codec::{Direction, Side, TransportErrorCode};
use quicast_tests::puppet::Stage;
use quicast_tests::{Puppet, Settings};
use recovery::SpaceId;
use transport::connection::State;

use crate::support::*;

const SPACE: SpaceId = SpaceId::Application;

tolerates! {
    credit_without_end(Client, Server; Established, Application) => |victim| join(&[
        &stream(theirs(victim, 0), 0, b"x", false),
        &raw(&[0x10, MAXIMUM, 0x11, theirs(victim, 0).as_u64(), MAXIMUM]),
    ]);
    reports_of_being_blocked_at_the_largest_numbers(Client, Server; Established, Application) =>
        |victim| raw(&[0x14, MAXIMUM, 0x15, theirs(victim, 0).as_u64(), MAXIMUM]);
    application_codes_of_the_largest_number(Client, Server; Established, Application) => |victim| raw(&[
        0x04, theirs(victim, 0).as_u64(), MAXIMUM, 0,
        0x05, theirs(victim, 1).as_u64(), MAXIMUM,
    ]);
    a_new_id_of_the_largest_number(Client, Server; Established, Application) =>
        |_| join(&[&raw(&[0x18, MAXIMUM, 0, 8]), &[0x18; 8], &[0x99; 16]]);
    a_datagram_frame_as_large_as_the_packet(Client, Server; Established, Application) =>
        |_| join(&[&raw(&[0x30]), &[7; 1150]]);
    a_thousand_frames_in_one_packet(Client, Server; Established, Application) => |_| vec![1; 1000];
    a_hundred_streams_in_one_packet(Client, Server; Established, Application) =>
        |victim| (0..100).flat_map(|index| stream(theirs(victim, index), 0, b"", true)).collect();
}

#[test]
fn an_acknowledgement_delay_of_the_largest_number_is_cut_to_what_was_announced() {
    for victim in SIDES {
        let make = |own: &mut codec::parameters::TransportParameters| own.ack_delay_exponent = 20;
        let mut puppet = Puppet::with_parameters(&Settings::new(1), victim, Stage::Established, make);
        for delay in [MAXIMUM, MAXIMUM >> 20, 1 << 44, 1 << 43] {
            puppet.say(SPACE, &[Frame::Ping]);
            puppet.say(SPACE, &[Frame::Ping]);
            let last = puppet.heard.last().unwrap().number;
            puppet.say_bytes(SPACE, &raw(&[0x02, last, delay, 0, 0]));
            assert_eq!(puppet.victim().ending(), "open", "{victim:?}");
        }
        assert!(puppet.victim().connection.rtt().smoothed() < Duration::from_secs(1));
        assert_goes_on(&mut puppet);
    }
}

#[test]
fn parameters_at_the_upper_ends_of_their_ranges_are_lived_with() {
    for victim in SIDES {
        let make = |own: &mut codec::parameters::TransportParameters| {
            own.max_idle_timeout = MAXIMUM;
            own.max_udp_payload_size = MAXIMUM;
            own.initial_max_data = MAXIMUM;
            own.initial_max_stream_data_bidi_local = MAXIMUM;
            own.initial_max_stream_data_bidi_remote = MAXIMUM;
            own.initial_max_stream_data_uni = MAXIMUM;
            own.initial_max_streams_bidi = 1 << 60;
            own.initial_max_streams_uni = 1 << 60;
            own.ack_delay_exponent = 20;
            own.max_ack_delay = (1 << 14) - 1;
            own.active_connection_id_limit = MAXIMUM;
            own.max_datagram_frame_size = Some(MAXIMUM);
        };
        let mut puppet = Puppet::with_parameters(&Settings::new(1), victim, Stage::Established, make);
        write_on_streams(&mut puppet);
        puppet.advance(Duration::from_secs(20));
        assert_goes_on(&mut puppet);
    }
}

#[test]
fn parameters_at_the_lower_ends_of_their_ranges_are_lived_with() {
    for victim in SIDES {
        let make = |own: &mut codec::parameters::TransportParameters| {
            own.max_idle_timeout = 0;
            own.max_udp_payload_size = 1200;
            own.initial_max_data = 0;
            own.initial_max_stream_data_bidi_local = 0;
            own.initial_max_stream_data_bidi_remote = 0;
            own.initial_max_stream_data_uni = 0;
            own.initial_max_streams_bidi = 1;
            own.initial_max_streams_uni = 1;
            own.ack_delay_exponent = 0;
            own.max_ack_delay = 0;
            own.active_connection_id_limit = 2;
            own.max_datagram_frame_size = Some(1);
        };
        let mut puppet = Puppet::with_parameters(&Settings::new(1), victim, Stage::Established, make);
        write_on_streams(&mut puppet);
        let _refused = puppet.victim().connection.send_datagram(Bytes::from_static(b"too long"));
        puppet.turn();
        //= https://www.rfc-editor.org/rfc/rfc9000#section-4.1
        //= type=test
        //# Senders MUST NOT send data in excess of either limit.
        for frame in puppet.heard_frames(SPACE) {
            if let Frame::Stream(stream) = frame {
                assert!(stream.data.is_empty(), "{victim:?}: {stream:?}");
            }
        }
        assert!(puppet.heard.iter().all(|heard| heard.datagram <= 1200), "{victim:?}");
        assert_goes_on(&mut puppet);
    }
}

/// The victim opens what it may and writes on it.
fn write_on_streams(puppet: &mut Puppet) {
    for direction in [Direction::Bidirectional, Direction::Unidirectional] {
        for _ in 0..20 {
            let Some(id) = puppet.victim().streams.open(direction) else { break };
            let _full = puppet.victim().streams.write(id, Bytes::from_static(&[7; 2000]));
            puppet.turn();
        }
    }
    for _ in 0..20 {
        puppet.acknowledge(SPACE);
        puppet.advance(Duration::from_millis(50));
    }
}

#[test]
fn a_close_with_the_largest_numbers_is_heard() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let close = ConnectionClose { code: TransportErrorCode(MAXIMUM), frame_type: MAXIMUM, reason: &[0xff; 900] };
        puppet.say(SPACE, &[Frame::ConnectionClose(close)]);
        assert_eq!(puppet.victim().connection.state(), State::Draining);
    }
}

/// RFC 9001 §5.7 at the other side: what a server says ahead of the end of the handshake is read after it.
#[test]
fn a_client_reads_application_packets_after_the_handshake_and_not_before() {
    for (payload, code) in [(vec![0x1e], None), (vec![0x20], Some(TransportErrorCode::FRAME_ENCODING_ERROR))] {
        let mut puppet = puppet(Side::Client, Stage::Handshake);
        puppet.say_bytes(SPACE, &payload);
        assert_eq!(puppet.victim().connection.state(), State::Handshaking);
        puppet.finish_handshake();
        match code {
            Some(code) => assert_closed(&mut puppet, code),
            None => assert!(puppet.victim().was_confirmed(), "HANDSHAKE_DONE was lost"),
        }
    }
}

#[test]
fn numbers_may_jump_as_far_as_four_bytes_reach() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        for jump in [1 << 8, 1 << 16, 1 << 24, (1 << 31) - 2, (1 << 31) - 2] {
            puppet.next_numbers[SPACE.index()] += jump;
            assert_goes_on(&mut puppet);
        }
    }
}
