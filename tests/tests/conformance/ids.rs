//! Connection ids: those the puppet gives, and those of the victim that it gives back (RFC 9000 §5.1, §19.15, §19.16).

use std::collections::BTreeMap;
use std::time::Duration;

use codec::frame::{Frame, NewConnectionId, RetireConnectionId};
use codec::{ConnectionId, ResetToken, Side, TransportErrorCode};
use quicast_tests::puppet::{Forged, Stage};
use quicast_tests::{Puppet, Settings};
use recovery::SpaceId;
use transport::limits;
use transport::stats::PacketDrop;

use crate::support::*;

/// NEW_CONNECTION_ID whose id and token follow from the number.
fn new_id(sequence: u64, retire_prior_to: u64) -> Vec<u8> {
    bytes(&[given(sequence, retire_prior_to)])
}

fn given(sequence: u64, retire_prior_to: u64) -> Frame<'static> {
    Frame::NewConnectionId(NewConnectionId {
        sequence,
        retire_prior_to,
        id: id_of(sequence),
        reset_token: token_of(sequence),
    })
}

fn id_of(sequence: u64) -> ConnectionId {
    ConnectionId::new(&(0x1d1d_0000_0000_0000 + sequence).to_be_bytes()).unwrap()
}

fn token_of(sequence: u64) -> ResetToken {
    let mut token = [0x70; 16];
    token[..8].copy_from_slice(&sequence.to_be_bytes());
    ResetToken(token)
}

closes! {
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.15
    //= type=test
    //# Receiving a value in the Retire
    //# Prior To field that is greater than that in the Sequence Number field MUST be
    //# treated as a connection error of type FRAME_ENCODING_ERROR.
    an_id_that_retires_itself(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| join(&[&raw(&[0x18, 1, 2, 8]), &[0x18; 8], &[0x99; 16]]);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.15
    //= type=test
    //# Values
    //# less than 1 and greater than 20 are invalid and MUST be treated as a
    //# connection error of type FRAME_ENCODING_ERROR.
    an_empty_new_id(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| join(&[&raw(&[0x18, 1, 0, 0]), &[0x99; 16]]);
    a_new_id_of_21_bytes(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| join(&[&raw(&[0x18, 1, 0, 21]), &[0x18; 21], &[0x99; 16]]);
    a_new_id_of_255_bytes(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| join(&[&raw(&[0x18, 1, 0]), &[255], &[0x18; 255], &[0x99; 16]]);
    a_new_id_without_a_whole_reset_token(Client, Server; Established, Application) FRAME_ENCODING_ERROR =>
        |_| join(&[&raw(&[0x18, 1, 0, 8]), &[0x18; 8], &[0x99; 15]]);

    //= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1
    //= type=test
    //# After
    //# processing a NEW_CONNECTION_ID frame and adding and retiring active connection
    //# IDs, if the number of active connection IDs exceeds the value advertised in its
    //# active_connection_id_limit transport parameter, an endpoint MUST close the
    //# connection with an error of type CONNECTION_ID_LIMIT_ERROR.
    one_id_more_than_the_limit(Client, Server; Established, Application) CONNECTION_ID_LIMIT_ERROR =>
        |_| (1..=limits::ACTIVE_CONNECTION_IDS).flat_map(|sequence| new_id(sequence, 0)).collect();
    one_id_more_than_the_limit_after_others_were_retired(Client, Server; Established, Application)
        CONNECTION_ID_LIMIT_ERROR => |_| {
            let first = (1..limits::ACTIVE_CONNECTION_IDS).flat_map(|sequence| new_id(sequence, 0));
            first.chain(new_id(10, 1)).chain(new_id(11, 1)).collect()
        };

    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.15
    //= type=test
    //# If an endpoint receives a NEW_CONNECTION_ID frame that repeats a previously
    //# issued connection ID with a different Stateless Reset Token field value or a
    //# different Sequence Number field value, or if a sequence number is used for
    //# different connection IDs, the endpoint MAY treat that receipt as a connection
    //# error of type PROTOCOL_VIOLATION.
    a_sequence_number_of_two_ids(Client, Server; Established, Application) PROTOCOL_VIOLATION => |_| join(&[
        &new_id(1, 0),
        &bytes(&[Frame::NewConnectionId(NewConnectionId {
            sequence: 1, retire_prior_to: 0, id: id_of(2), reset_token: token_of(1),
        })]),
    ]);
    an_id_of_two_sequence_numbers(Client, Server; Established, Application) PROTOCOL_VIOLATION => |_| join(&[
        &new_id(1, 0),
        &bytes(&[Frame::NewConnectionId(NewConnectionId {
            sequence: 2, retire_prior_to: 0, id: id_of(1), reset_token: token_of(2),
        })]),
    ]);
    an_id_of_two_reset_tokens(Client, Server; Established, Application) PROTOCOL_VIOLATION => |_| join(&[
        &new_id(1, 0),
        &bytes(&[Frame::NewConnectionId(NewConnectionId {
            sequence: 1, retire_prior_to: 0, id: id_of(1), reset_token: token_of(2),
        })]),
    ]);
    the_handshakes_id_under_another_number(Client, Server; Established, Application) PROTOCOL_VIOLATION =>
        |_| join(&[&raw(&[0x18, 1, 0, 8]), &[0xc1; 8], &[0x99; 16]]);
    another_id_under_the_number_of_the_handshakes(Client, Server; Established, Application) PROTOCOL_VIOLATION =>
        |_| new_id(0, 0);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-10.3.2
    //= type=test
    //# Endpoints are not required to compare new values against all previous values,
    //# but a duplicate value MAY be treated as a connection error of type
    //# PROTOCOL_VIOLATION.
    a_reset_token_of_two_ids(Client, Server; Established, Application) PROTOCOL_VIOLATION => |_| join(&[
        &new_id(1, 0),
        &bytes(&[Frame::NewConnectionId(NewConnectionId {
            sequence: 2, retire_prior_to: 0, id: id_of(2), reset_token: token_of(1),
        })]),
    ]);

    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.16
    //= type=test
    //# Receipt of a RETIRE_CONNECTION_ID frame containing a sequence number greater
    //# than any previously sent to the peer MUST be treated as a connection error of
    //# type PROTOCOL_VIOLATION.
    retiring_an_id_that_was_never_issued(Client, Server; Established, Application) PROTOCOL_VIOLATION =>
        |_| raw(&[0x19, 100]);
    retiring_the_next_id_before_it_is_issued(Client, Server; Established, Application) PROTOCOL_VIOLATION =>
        |_| raw(&[0x19, limits::ISSUED_CONNECTION_IDS]);
    retiring_the_largest_number(Client, Server; Established, Application) PROTOCOL_VIOLATION =>
        |_| raw(&[0x19, MAXIMUM]);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-19.16
    //= type=test
    //# The sequence number specified in a RETIRE_CONNECTION_ID frame MUST NOT refer
    //# to the Destination Connection ID field of the packet in which the frame is
    //# contained.
    retiring_the_id_that_the_packet_uses(Client, Server; Established, Application) PROTOCOL_VIOLATION =>
        |_| raw(&[0x19, 0]);
}

tolerates! {
    as_many_ids_as_the_limit(Client, Server; Established, Application) =>
        |_| (1..limits::ACTIVE_CONNECTION_IDS).flat_map(|sequence| new_id(sequence, 0)).collect();
    the_same_id_again(Client, Server; Established, Application) =>
        |_| join(&[&new_id(1, 0), &new_id(1, 0), &new_id(1, 0)]);
    an_id_of_one_byte_and_one_of_20(Client, Server; Established, Application) => |_| join(&[
        &raw(&[0x18, 1, 0, 1]), &[0x18; 1], &[0x98; 16],
        &raw(&[0x18, 2, 0, 20]), &[0x18; 20], &[0x99; 16],
    ]);
}

/// The victim's ids by number, as it announced them.
fn announced(puppet: &Puppet) -> BTreeMap<u64, (ConnectionId, ResetToken)> {
    puppet
        .heard_frames(SpaceId::Application)
        .filter_map(|frame| match frame {
            Frame::NewConnectionId(new) => Some((new.sequence, (new.id, new.reset_token))),
            _ => None,
        })
        .collect()
}

fn retired(puppet: &Puppet) -> Vec<u64> {
    puppet
        .heard_frames(SpaceId::Application)
        .filter_map(|frame| match frame {
            Frame::RetireConnectionId(retire) => Some(retire.sequence),
            _ => None,
        })
        .collect()
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.2
//= type=test
//# An endpoint MUST NOT forget a connection ID without retiring it, though it MAY
//# choose to treat having connection IDs in need of retirement that exceed this
//# limit as a connection error of type CONNECTION_ID_LIMIT_ERROR.
#[test]
fn ids_that_are_retired_faster_than_acknowledged_exceed_the_queue() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        // Nothing of the victim's is acknowledged any more.
        let mut sequence = 0;
        while puppet.close_code().is_none() {
            sequence += 1;
            assert!(sequence <= limits::RETIRED_CONNECTION_IDS as u64 + 1, "{victim:?}: the queue has no end");
            puppet.say(SpaceId::Application, &[given(sequence, sequence)]);
        }
        assert_eq!(sequence, limits::RETIRED_CONNECTION_IDS as u64 + 1, "{victim:?}");
        assert_closed(&mut puppet, TransportErrorCode::CONNECTION_ID_LIMIT_ERROR);
    }
}

#[test]
fn ids_below_what_is_retired_fill_the_same_queue() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        puppet.say(SpaceId::Application, &[given(100, 100)]);
        let mut said = 0;
        while puppet.close_code().is_none() {
            said += 1;
            assert!(said < 20, "{victim:?}: the queue has no end");
            puppet.say(SpaceId::Application, &[given(said, 0)]);
        }
        assert_closed(&mut puppet, TransportErrorCode::CONNECTION_ID_LIMIT_ERROR);
    }
}

#[test]
fn ids_that_are_retired_and_acknowledged_may_go_on_for_ever() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        for sequence in 1..=100 {
            puppet.source = id_of(sequence);
            puppet.say(SpaceId::Application, &[given(sequence, sequence)]);
            puppet.acknowledge(SpaceId::Application);
        }
        assert_goes_on(&mut puppet);
        let mut given_back = retired(&puppet);
        given_back.dedup();
        assert_eq!(given_back, (0..100).collect::<Vec<_>>(), "{victim:?}");
        assert_eq!(puppet.heard.last().unwrap().destination, id_of(100));
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-19.15
//= type=test
//# An endpoint that receives a NEW_CONNECTION_ID frame with a sequence number
//# smaller than the Retire Prior To field of a previously received
//# NEW_CONNECTION_ID frame MUST send a corresponding RETIRE_CONNECTION_ID frame
//# that retires the newly received connection ID, unless it has already done so
//# for that sequence number.
#[test]
fn an_id_that_came_too_late_is_given_back_at_once() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        puppet.say(SpaceId::Application, &[given(3, 3)]);
        puppet.say(SpaceId::Application, &[given(2, 0)]);
        puppet.acknowledge(SpaceId::Application);
        assert_eq!(retired(&puppet), [0, 2], "{victim:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-19.15
//= type=test
//# An endpoint that is sending packets with a
//# zero-length Destination Connection ID MUST treat receipt of a NEW_CONNECTION_ID
//# frame as a connection error of type PROTOCOL_VIOLATION.
#[test]
fn a_peer_without_ids_may_not_give_any() {
    for victim in SIDES {
        let mut puppet = crate::parameters::without_ids(victim);
        puppet.say(SpaceId::Application, &[given(1, 0)]);
        assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
    }
}

#[test]
fn a_peer_may_do_without_ids() {
    for victim in SIDES {
        let mut puppet = crate::parameters::without_ids(victim);
        assert_goes_on(&mut puppet);
        assert!(puppet.heard.last().unwrap().destination.is_empty());
    }
}

#[test]
fn retiring_an_id_twice_is_a_repetition() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        for _ in 0..3 {
            puppet.say(SpaceId::Application, &[Frame::RetireConnectionId(RetireConnectionId { sequence: 1 })]);
        }
        assert_goes_on(&mut puppet);
        //= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1
        //= type=test
        //# An endpoint SHOULD supply a new connection ID when the peer retires a connection
        //# ID.
        let numbers: Vec<u64> = announced(&puppet).into_keys().collect();
        assert_eq!(numbers, (1..=limits::ISSUED_CONNECTION_IDS).collect::<Vec<_>>(), "{victim:?}");
    }
}

#[test]
fn retiring_one_of_the_victims_ids_in_a_packet_to_it_is_a_violation_whichever_it_is() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let (sequence, (id, _)) = announced(&puppet).into_iter().next().unwrap();
        puppet.destination = id;
        puppet.say(SpaceId::Application, &[Frame::Ping]);
        assert_goes_on(&mut puppet);
        puppet.say(SpaceId::Application, &[Frame::RetireConnectionId(RetireConnectionId { sequence })]);
        assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
    }
}

#[test]
fn retiring_the_handshakes_id_in_a_packet_to_another_is_in_order() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        puppet.destination = announced(&puppet)[&1].0;
        puppet.say(SpaceId::Application, &[Frame::RetireConnectionId(RetireConnectionId { sequence: 0 })]);
        assert_goes_on(&mut puppet);
    }
}

#[test]
fn a_packet_to_a_retired_id_is_nobodys() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let first = puppet.destination;
        puppet.destination = announced(&puppet)[&1].0;
        puppet.say(SpaceId::Application, &[Frame::RetireConnectionId(RetireConnectionId { sequence: 0 })]);
        let (unclaimed, received) = (puppet.victim_host.unclaimed, puppet.victim().stats.frames_received.clone());
        puppet.forge(&Forged { destination: Some(first), ..Forged::new(SpaceId::Application, &[1]) });
        assert_eq!(puppet.victim_host.unclaimed, unclaimed + 1, "{victim:?}");
        assert_eq!(puppet.victim().stats.frames_received, received);
        assert_goes_on(&mut puppet);
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-7.2
//= type=test
//# Any further changes to the Destination Connection ID are only
//# permitted if the values are taken from NEW_CONNECTION_ID frames; if
//# subsequent Initial packets include a different Source Connection ID, they MUST
//# be discarded.
#[test]
fn long_headers_from_another_id_are_dropped() {
    let other = ConnectionId::new(&[0xee; 8]);
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Start);
        puppet.say(SpaceId::Initial, &[Frame::Ping]);
        drops(&mut puppet, PacketDrop::UnexpectedConnectionId, |puppet| {
            puppet.forge(&Forged { source: other, ..Forged::new(SpaceId::Initial, &[1]) });
        });
    }
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Handshake);
        drops(&mut puppet, PacketDrop::UnexpectedConnectionId, |puppet| {
            puppet.forge(&Forged { source: other, ..Forged::new(SpaceId::Handshake, &[1]) });
        });
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1
//= type=test
//# An endpoint MUST NOT provide more connection IDs than the peer's
//# limit.
#[test]
fn the_victim_gives_no_more_ids_than_it_may() {
    for victim in SIDES {
        for (limit, make) in [
            (2, (|own| own.active_connection_id_limit = 2) as fn(&mut codec::parameters::TransportParameters)),
            (3, |own| own.active_connection_id_limit = 3),
            (limits::ISSUED_CONNECTION_IDS, |own| own.active_connection_id_limit = 1 << 40),
        ] {
            let puppet = Puppet::with_parameters(&Settings::new(1), victim, Stage::Established, make);
            assert_eq!(announced(&puppet).len() as u64, limit - 1, "{victim:?}");
        }
    }
}

#[test]
fn every_id_of_the_victims_has_its_own_reset_token() {
    for victim in SIDES {
        let puppet = puppet(victim, Stage::Established);
        let issued = announced(&puppet);
        let mut tokens: Vec<[u8; 16]> = issued.values().map(|(_, token)| token.0).collect();
        let count = tokens.len();
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!((tokens.len(), count), (count, limits::ISSUED_CONNECTION_IDS as usize - 1), "{victim:?}");
        for (id, token) in issued.values() {
            assert!(puppet.victim_host.reset_key().token(id).0 == token.0);
        }
    }
}

/// A stateless reset with this token, to be recognised by its end alone.
pub(crate) fn stateless_reset(token: ResetToken) -> Vec<u8> {
    let mut datagram = vec![0x5a; 60];
    datagram[0] = 0x41;
    datagram[44..].copy_from_slice(&token.0);
    datagram
}

#[test]
fn a_stateless_reset_with_the_token_of_an_id_in_use_ends_the_connection() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        puppet.source = id_of(1);
        puppet.say(SpaceId::Application, &[given(1, 1)]);
        puppet.acknowledge(SpaceId::Application);
        let heard = puppet.heard.len();
        puppet.send(stateless_reset(token_of(1)));
        assert_eq!(puppet.victim().ending(), "the peer no longer knows the connection (stateless reset)", "{victim:?}");
        //= https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1
        //= type=test
        //# If the last 16 bytes of the datagram are identical in value to a stateless reset
        //# token, the endpoint MUST enter the draining period and not send any further
        //# packets on this connection.
        puppet.say(SpaceId::Application, &[Frame::Ping]);
        puppet.advance(Duration::from_secs(60));
        assert_eq!(puppet.heard.len(), heard);
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1
//= type=test
//# An endpoint MUST NOT check for any stateless reset tokens associated with
//# connection IDs it has not used or for connection IDs that have been retired.
#[test]
fn a_stateless_reset_for_an_id_that_is_spare_or_retired_is_ignored() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        puppet.say(SpaceId::Application, &[given(1, 0), given(2, 0)]);
        let spare = token_of(2);
        puppet.send(stateless_reset(spare));
        assert_goes_on(&mut puppet);
        puppet.source = id_of(2);
        puppet.say(SpaceId::Application, &[given(3, 2)]);
        puppet.acknowledge(SpaceId::Application);
        puppet.send(stateless_reset(token_of(1)));
        assert_goes_on(&mut puppet);
    }
}

#[test]
fn a_stateless_reset_with_one_wrong_bit_is_nothing() {
    for bit in 0..128 {
        let victim = if bit % 2 == 0 { Side::Client } else { Side::Server };
        let mut puppet = puppet(victim, Stage::Established);
        puppet.source = id_of(1);
        puppet.say(SpaceId::Application, &[given(1, 1)]);
        let mut token = token_of(1).0;
        token[bit / 8] ^= 1 << (bit % 8);
        puppet.send(stateless_reset(ResetToken(token)));
        assert_eq!(puppet.victim().ending(), "open", "{victim:?}");
    }
}
