//! Key updates and the limits of keys (RFC 9001 §6).

use std::time::Duration;

use codec::frame::Frame;
use codec::{Side, TransportErrorCode};
use quicast_tests::Puppet;
use quicast_tests::puppet::{Forged, Stage};
use recovery::SpaceId;
use tls::{KeyUpdateError, Level, Limits};
use transport::connection::State;
use transport::stats::PacketDrop;

use crate::support::*;

const SPACE: SpaceId = SpaceId::Application;

/// The puppet takes its next keys, whether or not it may: whatever it still owes is overlooked.
fn update(puppet: &mut Puppet) {
    let sent = puppet.next_numbers[SPACE.index()] - 1;
    puppet.keys.on_acknowledged(sent);
    puppet.keys.set_pto(Duration::ZERO);
    puppet.keys.on_tick(puppet.now);
    puppet.keys.initiate_key_update(puppet.now).unwrap();
}

/// A packet that waits to be sent, with the number that is next plus `ahead`.
fn held_back(puppet: &mut Puppet, ahead: u64, payload: &[u8]) -> Vec<u8> {
    let next = puppet.next_numbers[SPACE.index()];
    let packet = puppet.seal(&Forged { number: Some(next + ahead), ..Forged::new(SPACE, payload) });
    if ahead > 0 {
        puppet.next_numbers[SPACE.index()] = next;
    }
    packet
}

/// An ACK frame for one number.
fn acknowledgement(number: u64) -> Vec<u8> {
    raw(&[0x02, number, 0, 0, 0])
}

fn last_heard(puppet: &Puppet) -> u64 {
    puppet.heard.iter().filter(|heard| heard.space == SPACE).map(|heard| heard.number).max().unwrap()
}

#[test]
fn an_update_of_the_puppets_is_answered_with_new_keys() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        for updates in 1..=5 {
            update(&mut puppet);
            assert_goes_on(&mut puppet);
            puppet.acknowledge_all();
            assert_eq!(puppet.victim().stats.key_updates, (0, updates), "{victim:?}");
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-6.4
//= type=test
//# An
//# endpoint that successfully removes protection with old keys when newer keys were
//# used for packets with lower packet numbers MUST treat this as a connection error
//# of type KEY_UPDATE_ERROR.
#[test]
fn old_keys_on_a_higher_number_are_a_key_update_error() {
    for victim in SIDES {
        for ahead in [1, 2, 100] {
            let mut puppet = puppet(victim, Stage::Established);
            let old = held_back(&mut puppet, ahead, &[1]);
            update(&mut puppet);
            puppet.say(SPACE, &[Frame::Ping]);
            assert_eq!(puppet.victim().ending(), "open");
            puppet.send(old);
            assert_closed(&mut puppet, TransportErrorCode::KEY_UPDATE_ERROR);
        }
    }
}

#[test]
fn old_keys_on_a_lower_number_are_read_for_a_while_and_then_dropped() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let [early, late] = [(); 2].map(|()| held_back(&mut puppet, 0, &[0x1]));
        update(&mut puppet);
        puppet.say(SPACE, &[Frame::Ping]);
        let pings = puppet.victim().stats.frames_received[1];
        puppet.send(early);
        assert_eq!(puppet.victim().stats.frames_received[1], pings + 1, "{victim:?}");
        puppet.acknowledge_all();
        puppet.advance(Duration::from_secs(10));
        drops(&mut puppet, PacketDrop::Undecryptable, |puppet| puppet.send(late));
    }
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-6.2
//= type=test
//# An endpoint that receives an acknowledgment that is carried in a packet
//# protected with old keys where any acknowledged packet was protected with newer
//# keys MAY treat that as a connection error of type KEY_UPDATE_ERROR.
#[test]
fn an_acknowledgement_under_old_keys_of_a_packet_under_new_ones_is_a_key_update_error() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        // The victim's next packet will be under new keys.
        let next = last_heard(&puppet) + 1;
        let old = held_back(&mut puppet, 0, &acknowledgement(next));
        update(&mut puppet);
        puppet.say(SPACE, &[Frame::Ping]);
        puppet.say(SPACE, &[Frame::Ping]);
        puppet.advance(Duration::from_millis(30));
        assert!(last_heard(&puppet) >= next, "{victim:?} said nothing");
        puppet.send(old);
        assert_closed(&mut puppet, TransportErrorCode::KEY_UPDATE_ERROR);
    }
}

#[test]
fn an_acknowledgement_under_old_keys_of_a_packet_under_old_ones_is_in_order() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let last = last_heard(&puppet);
        let old = held_back(&mut puppet, 0, &acknowledgement(last));
        update(&mut puppet);
        puppet.say(SPACE, &[Frame::Ping]);
        puppet.say(SPACE, &[Frame::Ping]);
        puppet.send(old);
        assert_goes_on(&mut puppet);
    }
}

/// The victim updated its keys, and the puppet goes on with the old ones although it acknowledges packets under the new.
#[test]
fn a_peer_that_acknowledges_an_update_without_following_is_a_key_update_error() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let next = last_heard(&puppet) + 1;
        let held = held_back(&mut puppet, 0, &acknowledgement(next));
        let now = puppet.now;
        puppet.victim().connection.update_keys(now).unwrap();
        // Under old keys at both ends: the victim answers under new ones, which the puppet follows by reading them.
        let pings = [(); 2].map(|()| held_back(&mut puppet, 0, &[1]));
        for ping in pings {
            puppet.send(ping);
        }
        assert!(last_heard(&puppet) >= next);
        puppet.send(held);
        assert_closed(&mut puppet, TransportErrorCode::KEY_UPDATE_ERROR);
    }
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-6.2
//= type=test
//# An endpoint MAY
//# treat such consecutive key updates as a connection error of type
//# KEY_UPDATE_ERROR.
#[test]
fn an_update_on_top_of_one_that_was_not_followed_is_a_key_update_error() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        puppet.keys.set_pto(Duration::ZERO);
        let now = puppet.now;
        puppet.victim().connection.update_keys(now).unwrap();
        // Under the old keys; the answer is under new ones, which the puppet has from then on.
        let pings = [(); 2].map(|()| held_back(&mut puppet, 0, &[1]));
        for ping in pings {
            puppet.send(ping);
        }
        assert!(puppet.keys.key_phase(), "{victim:?} has not updated");
        // What it seals with them is never sent, and then it goes on to the next.
        puppet.seal(&Forged::new(SPACE, &[1]));
        update(&mut puppet);
        puppet.say(SPACE, &[Frame::Ping]);
        assert_closed(&mut puppet, TransportErrorCode::KEY_UPDATE_ERROR);
    }
}

#[test]
fn a_packet_with_the_other_phase_that_does_not_open_updates_nothing() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        for _ in 0..100 {
            // The bit is changed under the same keys: nobody vouches for it.
            drops(&mut puppet, PacketDrop::Undecryptable, |puppet| {
                let mut packet = puppet.seal(&Forged::new(SPACE, &[1; 20]));
                packet[0] ^= 0x04;
                puppet.send(packet);
            });
        }
        assert_eq!(puppet.victim().stats.key_updates, (0, 0), "{victim:?}");
    }
}

#[test]
fn a_flip_of_the_phase_that_comes_twice_is_one_update() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        update(&mut puppet);
        let packet = puppet.seal(&Forged::new(SPACE, &[1]));
        puppet.send(packet.clone());
        drops(&mut puppet, PacketDrop::Duplicate, |puppet| puppet.send(packet));
        assert_eq!(puppet.victim().stats.key_updates, (0, 1), "{victim:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-6.1
//= type=test
//# An endpoint MUST NOT initiate a key update prior to having confirmed the
//# handshake
#[test]
fn the_victim_updates_nothing_before_the_handshake_is_confirmed() {
    let mut puppet = puppet(Side::Client, Stage::Complete);
    let now = puppet.now;
    assert_eq!(puppet.victim().connection.state(), State::Connected);
    assert_eq!(puppet.victim().connection.update_keys(now), Err(KeyUpdateError::NotConfirmed));
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-6.1
//= type=test
//# An endpoint MUST NOT initiate a subsequent
//# key update unless it has received an acknowledgment for a packet that was sent
//# protected with keys from the current key phase.
#[test]
fn the_victim_updates_nothing_until_the_last_update_is_acknowledged() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let now = puppet.now;
        puppet.victim().connection.update_keys(now).unwrap();
        assert_eq!(puppet.victim().connection.update_keys(now), Err(KeyUpdateError::NotAcknowledged));
        puppet.say(SPACE, &[Frame::Ping]);
        puppet.say(SPACE, &[Frame::Ping]);
        let now = puppet.now;
        assert_eq!(puppet.victim().connection.update_keys(now), Err(KeyUpdateError::NotAcknowledged));
    }
}

// ── Limits ───────────────────────────────────────────────────────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc9001#section-6.6
//= type=test
//# If the total number of received packets that fail authentication within the
//# connection, across all keys, exceeds the integrity limit for the selected AEAD,
//# the endpoint MUST immediately close the connection with a connection error of
//# type AEAD_LIMIT_REACHED and not process any more packets.
#[test]
fn one_forgery_more_than_the_integrity_limit_closes() {
    for victim in SIDES {
        for (stage, space) in
            [(Stage::Start, SpaceId::Initial), (Stage::Handshake, SpaceId::Handshake), (Stage::Established, SPACE)]
        {
            let mut puppet = puppet(victim, stage);
            if puppet.victim_host.nodes.is_empty() {
                puppet.say(SpaceId::Initial, &[Frame::Ping]);
            }
            puppet.victim().connection.set_key_limits(Limits { integrity: 20, ..Limits::default() });
            for _ in 0..20 {
                drops(&mut puppet, PacketDrop::Undecryptable, |puppet| forge(puppet, space));
            }
            forge(&mut puppet, space);
            assert_closed(&mut puppet, TransportErrorCode::AEAD_LIMIT_REACHED);
        }
    }
}

fn forge(puppet: &mut Puppet, space: SpaceId) {
    let mut packet = puppet.seal(&Forged::new(space, &[1; 40]));
    let last = packet.len() - 1;
    packet[last] ^= 1;
    puppet.send(packet);
}

#[test]
fn keys_are_renewed_before_they_are_worn_out() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let limits = Limits { update_after: 40, confidentiality: 80, ..Limits::default() };
        puppet.victim().connection.set_key_limits(limits);
        for _ in 0..200 {
            puppet.say(SPACE, &[Frame::Ping]);
            puppet.say(SPACE, &[Frame::Ping]);
            puppet.acknowledge(SPACE);
            puppet.advance(Duration::from_millis(20));
        }
        assert_eq!(puppet.victim().ending(), "open");
        let (own, _) = puppet.victim().stats.key_updates;
        assert!((3..=6).contains(&own), "{victim:?}: {own} updates");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-6.6
//= type=test
//# If
//# the total number of encrypted packets with the same key exceeds the
//# confidentiality limit for the selected AEAD, the endpoint MUST stop using those
//# keys.
#[test]
fn keys_that_cannot_be_renewed_close_the_connection_while_they_still_can() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let limits = Limits { update_after: 20, confidentiality: 64, ..Limits::default() };
        puppet.victim().connection.set_key_limits(limits);
        // The puppet follows the first update and acknowledges nothing of it, so that there cannot be a second.
        for _ in 0..200 {
            puppet.say(SPACE, &[Frame::Ping]);
            puppet.say(SPACE, &[Frame::Ping]);
            if puppet.close_code().is_some() {
                break;
            }
        }
        assert_closed(&mut puppet, TransportErrorCode::AEAD_LIMIT_REACHED);
    }
}

#[test]
fn handshake_keys_have_a_limit_too() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Handshake);
        assert!(puppet.keys.can_seal(Level::Handshake));
        puppet.victim().connection.set_key_limits(Limits { confidentiality: 30, ..Limits::default() });
        for _ in 0..100 {
            puppet.say(SpaceId::Handshake, &[Frame::Ping]);
        }
        assert_eq!(puppet.close_code().as_deref(), Some("AEAD_LIMIT_REACHED"), "{victim:?}");
    }
}
