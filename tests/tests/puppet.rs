//! The puppet itself: it reaches every stage opposite either side, and what it says is heard.

use codec::Side;
use codec::frame::Frame;
use quicast_tests::puppet::Stage;
use quicast_tests::{Puppet, Settings};
use recovery::SpaceId;
use transport::connection::State;

#[test]
fn every_stage_is_reached_opposite_either_side() {
    for victim in [Side::Client, Side::Server] {
        for stage in [Stage::Start, Stage::Handshake, Stage::Complete, Stage::Established] {
            let mut puppet = Puppet::at(&Settings::new(1), victim, stage);
            assert_eq!(puppet.close_code(), None, "{victim:?} {stage:?}");
            let state = puppet.victim_host.nodes.first().map(|node| node.connection.state());
            let expected = match (stage, victim) {
                (Stage::Start, Side::Server) => None,
                (Stage::Start | Stage::Handshake, _) => Some(State::Handshaking),
                (Stage::Complete, Side::Client) => Some(State::Connected),
                _ => Some(State::Confirmed),
            };
            assert_eq!(state, expected, "{victim:?} {stage:?}");
        }
    }
}

#[test]
fn what_it_says_is_heard_in_every_space() {
    for victim in [Side::Client, Side::Server] {
        for (stage, space) in [
            (Stage::Start, SpaceId::Initial),
            (Stage::Handshake, SpaceId::Handshake),
            (Stage::Complete, SpaceId::Application),
            (Stage::Established, SpaceId::Application),
        ] {
            let mut puppet = Puppet::at(&Settings::new(1), victim, stage);
            puppet.say(space, &[Frame::Ping]);
            assert_eq!(puppet.close_code(), None, "{victim:?} {stage:?}");
            puppet.say_bytes(space, &[0x1f]);
            assert_eq!(puppet.close_code().as_deref(), Some("FRAME_ENCODING_ERROR"), "{victim:?} {stage:?}");
        }
    }
}
