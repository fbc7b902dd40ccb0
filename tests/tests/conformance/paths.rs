//! Addresses and path validation (RFC 9000 §8.2, §9), as far as a rule can be broken.

use std::net::SocketAddr;
use std::time::Duration;

use codec::frame::{Frame, NewConnectionId, PathChallenge, PathResponse};
use codec::{ConnectionId, ResetToken, Side};
use quicast_tests::pair::{CLIENT, SERVER, address};
use quicast_tests::puppet::{Forged, Stage};
use quicast_tests::{Puppet, Settings};
use recovery::SpaceId;
use transport::limits;
use transport::stats::PacketDrop;

use crate::support::*;

const SPACE: SpaceId = SpaceId::Application;

fn challenge(data: u8) -> Frame<'static> {
    Frame::PathChallenge(PathChallenge { data: [data; 8] })
}

/// Gives the victim a spare id, so that it may use another path.
fn with_spare_id(victim: Side) -> Puppet {
    let mut puppet = puppet(victim, Stage::Established);
    let new = |sequence: u64| {
        Frame::NewConnectionId(NewConnectionId {
            sequence,
            retire_prior_to: 0,
            id: ConnectionId::new(&[0xa0 + sequence as u8; 8]).unwrap(),
            reset_token: ResetToken([sequence as u8; 16]),
        })
    };
    puppet.say(SPACE, &[new(1), new(2), new(3)]);
    puppet.acknowledge_all();
    puppet
}

/// The PATH_RESPONSEs that were heard, with where they went.
fn responses(puppet: &Puppet) -> Vec<([u8; 8], SocketAddr)> {
    let mut all = Vec::new();
    for heard in &puppet.heard {
        all.extend(heard.frames().filter_map(|frame| match frame {
            Frame::PathResponse(response) => Some((response.data, heard.to)),
            _ => None,
        }));
    }
    all
}

/// The PATH_CHALLENGEs that were heard, with where they went and how large the datagram was.
fn challenges(puppet: &Puppet) -> Vec<([u8; 8], SocketAddr, usize)> {
    let mut all = Vec::new();
    for heard in &puppet.heard {
        all.extend(heard.frames().filter_map(|frame| match frame {
            Frame::PathChallenge(challenge) => Some((challenge.data, heard.to, heard.datagram)),
            _ => None,
        }));
    }
    all
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2
//= type=test
//# On receiving a PATH_CHALLENGE frame, an endpoint MUST respond by echoing the
//# data contained in the PATH_CHALLENGE frame in a PATH_RESPONSE frame.
#[test]
fn a_challenge_is_answered_once_at_once_and_in_a_large_datagram() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let home = puppet.address;
        puppet.say(SPACE, &[challenge(7)]);
        assert_eq!(responses(&puppet), [([7; 8], home)], "{victim:?}");
        //= https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2
        //= type=test
        //# An endpoint MUST expand datagrams that contain a PATH_RESPONSE frame to at
        //# least the smallest allowed maximum datagram size of 1200 bytes.
        assert!(puppet.heard.last().unwrap().datagram >= 1200);
        //= https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2
        //= type=test
        //# An endpoint MUST NOT send more than one PATH_RESPONSE frame in response to one
        //# PATH_CHALLENGE frame; see {{retransmission-of-information}}.
        puppet.advance(Duration::from_secs(5));
        assert_eq!(responses(&puppet).len(), 1, "{victim:?}");
    }
}

#[test]
fn of_many_challenges_in_one_packet_the_newest_is_answered_and_the_rest_is_counted() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let home = puppet.address;
        let many: Vec<Frame<'_>> = (0..50).map(challenge).collect();
        puppet.say(SPACE, &many);
        assert_eq!(responses(&puppet), [([49; 8], home)], "{victim:?}");
        assert_eq!(puppet.victim().stats.limit_hits[limits::Limit::PathResponses as usize], 49);
        assert_goes_on(&mut puppet);
    }
}

#[test]
fn responses_that_answer_nothing_are_ignored() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        for data in 0..100 {
            puppet.say(SPACE, &[Frame::PathResponse(PathResponse { data: [data; 8] })]);
        }
        assert_goes_on(&mut puppet);
        assert_eq!(puppet.victim().stats.paths_validated, 0, "{victim:?}");
    }
}

// ── Datagrams from elsewhere ─────────────────────────────────────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc9000#section-9
//= type=test
//# If a client receives packets from an unknown server address, the client MUST
//# discard these packets.
#[test]
fn a_client_drops_what_comes_from_another_address_than_its_servers() {
    for (stage, space) in
        [(Stage::Start, SpaceId::Initial), (Stage::Handshake, SpaceId::Handshake), (Stage::Established, SPACE)]
    {
        let mut puppet = puppet(Side::Client, stage);
        for elsewhere in [address(66, 6, 4433), SocketAddr::new(SERVER.ip(), 4434)] {
            let before = dropped(&mut puppet, PacketDrop::Other);
            puppet.address = elsewhere;
            puppet.say_bytes(space, &[0x20]);
            puppet.say_bytes(space, &[0x1c, 0, 0, 0]);
            puppet.address = SERVER;
            assert_eq!(dropped(&mut puppet, PacketDrop::Other), before + 2, "{stage:?}");
            assert_goes_on(&mut puppet);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-9
//= type=test
//# The design of QUIC relies on endpoints retaining a stable address for the
//# duration of the handshake.
#[test]
fn a_server_drops_what_comes_from_another_address_before_the_handshake_is_confirmed() {
    for (stage, space) in [(Stage::Start, SpaceId::Initial), (Stage::Handshake, SpaceId::Handshake)] {
        let mut puppet = puppet(Side::Server, stage);
        if stage == Stage::Start {
            puppet.say(SpaceId::Initial, &[Frame::Ping]);
        }
        let before = dropped(&mut puppet, PacketDrop::Other);
        // The id that the server chose leads to it from anywhere.
        puppet.address = address(66, 6, 50_000);
        puppet.forge(&Forged::new(space, &[0x20]));
        puppet.address = CLIENT;
        assert_eq!(dropped(&mut puppet, PacketDrop::Other), before + 1, "{stage:?}");
        assert_goes_on(&mut puppet);
    }
}

#[test]
fn a_new_address_is_challenged_before_more_than_three_times_its_bytes_go_there() {
    let mut puppet = with_spare_id(Side::Server);
    let elsewhere = address(66, 6, 50_000);
    puppet.address = elsewhere;
    puppet.say(SPACE, &[Frame::Ping]);
    puppet.advance(Duration::from_secs(3));
    let received = 40;
    let sent: usize = puppet.heard.iter().filter(|heard| heard.to == elsewhere).map(|heard| heard.datagram).sum();
    assert!(sent <= 3 * received, "{sent} bytes to an address that nobody vouches for");
    assert!(challenges(&puppet).iter().any(|(_, to, _)| *to == elsewhere));
    //= https://www.rfc-editor.org/rfc/rfc9000#section-9.3.3
    //= type=test
    //# In response to an apparent migration, endpoints MUST validate the previously
    //# active path using a PATH_CHALLENGE frame.
    assert!(challenges(&puppet).iter().any(|(_, to, size)| *to == CLIENT && *size >= 1200));
}

#[test]
fn an_old_packet_from_a_new_address_moves_nobody() {
    let mut puppet = with_spare_id(Side::Server);
    let old = puppet.seal(&Forged::new(SPACE, &[1]));
    puppet.say(SPACE, &[Frame::Ping]);
    puppet.address = address(66, 6, 50_000);
    puppet.send(old);
    puppet.address = CLIENT;
    //= https://www.rfc-editor.org/rfc/rfc9000#section-9.3
    //= type=test
    //# An endpoint only changes the address to which it sends packets in response to
    //# the highest-numbered non-probing packet.
    assert_eq!(puppet.victim().connection.remote(), CLIENT);
    assert_eq!(puppet.victim().stats.migrations, 0);
    assert_goes_on(&mut puppet);
}

#[test]
fn a_probing_packet_from_a_new_address_moves_nobody_and_is_answered_there() {
    let mut puppet = with_spare_id(Side::Server);
    let elsewhere = address(66, 6, 50_000);
    puppet.address = elsewhere;
    puppet.forge(&Forged { size: 1200, ..Forged::new(SPACE, &bytes(&[challenge(3)])) });
    assert_eq!(puppet.victim().connection.remote(), CLIENT);
    assert_eq!(responses(&puppet), [([3; 8], elsewhere)]);
    puppet.address = CLIENT;
    assert_goes_on(&mut puppet);
}

#[test]
fn a_violation_from_a_new_address_closes_all_the_same() {
    let mut puppet = with_spare_id(Side::Server);
    puppet.address = address(66, 6, 50_000);
    puppet.say_bytes(SPACE, &[0x20]);
    assert_closed(&mut puppet, codec::TransportErrorCode::FRAME_ENCODING_ERROR);
}

#[test]
fn corrupted_datagrams_from_new_addresses_leave_no_trace() {
    let mut puppet = with_spare_id(Side::Server);
    for port in 0..200 {
        puppet.address = address(66, 6, 20_000 + port);
        let mut packet = puppet.seal(&Forged::new(SPACE, &[1; 30]));
        packet[30] ^= 1;
        puppet.send(packet);
    }
    puppet.address = CLIENT;
    assert_eq!(puppet.victim().connection.remote(), CLIENT);
    assert!(challenges(&puppet).is_empty());
    assert_eq!(dropped(&mut puppet, PacketDrop::Undecryptable), 200);
    assert_goes_on(&mut puppet);
}

#[test]
fn many_new_addresses_end_with_the_last_at_most_and_bounded_paths() {
    let mut puppet = with_spare_id(Side::Server);
    for port in 0..300 {
        puppet.address = address(66, 6, 20_000 + port);
        puppet.say(SPACE, &[Frame::Ping]);
        puppet.advance(Duration::from_millis(5));
    }
    puppet.address = CLIENT;
    assert_eq!(puppet.victim().ending(), "open");
    puppet.advance(Duration::from_secs(5));
    puppet.say(SPACE, &[Frame::Ping]);
    puppet.advance(Duration::from_secs(1));
    assert_eq!(puppet.victim().ending(), "open");
    assert_eq!(puppet.victim().connection.remote(), CLIENT);
}

#[test]
fn a_response_from_the_new_address_proves_it() {
    let mut puppet = with_spare_id(Side::Server);
    let elsewhere = address(66, 6, 50_000);
    puppet.address = elsewhere;
    puppet.forge(&Forged { size: 1200, ..Forged::new(SPACE, &[1]) });
    let (data, to, size) = *challenges(&puppet).first().expect("a challenge");
    assert_eq!((to, size >= 1200), (elsewhere, true));
    //= https://www.rfc-editor.org/rfc/rfc9000#section-8.2.3
    //= type=test
    //# Path validation succeeds when a PATH_RESPONSE frame is received that contains the
    //# data that was sent in a previous PATH_CHALLENGE frame.
    let mut wrong = data;
    wrong[0] ^= 1;
    puppet.say(SPACE, &[Frame::PathResponse(PathResponse { data: wrong })]);
    assert_eq!(puppet.victim().stats.paths_validated, 0);
    puppet.say(SPACE, &[Frame::PathResponse(PathResponse { data })]);
    assert_eq!(puppet.victim().stats.paths_validated, 1);
    puppet.say(SPACE, &[Frame::PathResponse(PathResponse { data })]);
    assert_eq!(puppet.victim().stats.paths_validated, 1, "said again, it proves nothing more");
    assert_eq!(puppet.victim().connection.remote(), elsewhere);
    assert_goes_on(&mut puppet);
}

// ── ECN ───────────────────────────────────────────────────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.2
//= type=test
//# If validation fails, then the endpoint MUST disable ECN.
#[test]
fn ecn_counts_that_cannot_be_are_never_fatal() {
    for victim in SIDES {
        for counts in [[0, 0, 0], [0, 5, 0], [MAXIMUM; 3], [MAXIMUM, 0, 0], [0, 0, MAXIMUM]] {
            let mut puppet = Puppet::at(&Settings::new(1), victim, Stage::Complete);
            let last = puppet.heard.iter().filter(|heard| heard.space == SPACE).map(|heard| heard.number).max();
            let Some(last) = last else { continue };
            let ack = raw(&[0x03, last, 0, 0, 0, counts[0], counts[1], counts[2]]);
            puppet.say_bytes(SPACE, &ack);
            // And then smaller than before.
            puppet.say_bytes(SPACE, &raw(&[0x03, last, 0, 0, 0, 0, 0, 0]));
            puppet.say_bytes(SPACE, &raw(&[0x02, last, 0, 0, 0]));
            assert_goes_on(&mut puppet);
        }
    }
}
