//! Handshakes (RFC 9001 §4): in a pair, step by step, and through bad networks.

use std::time::Duration;

use codec::Side;
use codec::frame::{Crypto, Frame};
use quicast_tests::endpoint::Node;
use quicast_tests::puppet::Stage;
use quicast_tests::{
    Application, Conditions, Network, Pair, Plan, Puppet, Settings, Weather, for_each_seed, for_seeds,
};
use recovery::SpaceId;
use transport::connection::State;
use transport::limits;

#[test]
fn two_machines_shake_hands_and_echo() {
    let mut pair = Pair::with(&Settings::new(1), Application::planned(Side::Client, Plan::echo(3, 10_000)));
    pair.confirm();
    let done = pair.run(Duration::from_secs(5), |pair| pair.client.nodes[0].application.is_done());
    assert!(done, "{}", pair.describe());
}

#[test]
fn the_largest_first_datagrams_shake_hands_and_carry_streams() {
    let settings = Settings::new(1).map(|config| {
        config.initial_datagram_size = limits::FIRST_DATAGRAM;
        config.maximum_datagram_size = limits::FIRST_DATAGRAM;
    });
    assert_eq!(settings.client.check(), Ok(()));
    let mut pair = Pair::with(&settings, Application::planned(Side::Client, Plan::echo(3, 100_000)));
    pair.confirm();
    let done = pair.run(Duration::from_secs(5), |pair| pair.client.nodes[0].application.is_done());
    assert!(done, "{}", pair.describe());
}

#[test]
fn a_handshake_takes_one_round_trip_and_agrees_on_everything() {
    let mut pair = Pair::new(&Settings::new(1));
    let began = pair.now;
    assert!(pair.run(Duration::from_secs(1), |pair| pair.client.nodes[0].was_connected()));
    assert_eq!(pair.now - began, pair.delay * 2);
    assert!(pair.run(Duration::from_secs(1), |pair| pair.server.nodes[0].was_confirmed()));
    assert_eq!(pair.now - began, pair.delay * 3);
    assert!(pair.run(Duration::from_secs(1), |pair| pair.client.nodes[0].was_confirmed()));
    assert_eq!(pair.now - began, pair.delay * 4);
    for side in [Side::Client, Side::Server] {
        let data = pair.node(side).connection.handshake_data().unwrap().clone();
        assert_eq!(data.alpn.as_deref(), Some(&b"bench"[..]));
        assert!(!data.resumed);
        assert!(data.cipher_suite.is_some());
    }
    assert_eq!(pair.server().connection.handshake_data().unwrap().server_name.as_deref(), Some("localhost"));
}

#[test]
fn nothing_is_lost_or_probed_in_a_good_network() {
    let mut pair = Pair::established(&Settings::new(1));
    pair.run(Duration::from_secs(2), |_| false);
    for side in [Side::Client, Side::Server] {
        let stats = &pair.node(side).stats;
        assert_eq!((stats.lost, stats.probe_timeouts, stats.spurious), (0, 0, 0), "{stats:?}");
        assert_eq!(stats.dropped, [0; 7], "{stats:?}");
        assert_eq!(stats.mtu_probes_acknowledged, 1);
        assert_eq!(stats.ecn, (1, 0), "ECN works here");
    }
    // Client: Initial, Handshake and 1-RTT; little else for a handshake.
    assert!(pair.client().stats.datagrams_sent <= 8, "{:?}", pair.client().stats);
    assert!(pair.server().stats.datagrams_sent <= 10, "{:?}", pair.server().stats);
}

fn shakes_hands(seed: u64, conditions: Conditions) {
    // That a handshake ends well is said of the stack, not of the ten seconds that it has by default.
    let settings = Settings::new(seed).patient();
    let mut network = Network::new(&settings, conditions, Weather::default(), Application::answering(Side::Client));
    let done = network.run(Duration::from_secs(600), |network| {
        network.client.nodes[0].was_confirmed() || network.client.nodes[0].close_reason().is_some()
    });
    assert!(done && network.client().was_confirmed(), "{}", network.describe());
}

#[test]
fn a_third_may_be_lost() {
    for_each_seed(|seed| shakes_hands(seed, Conditions { loss: 333, ..Conditions::default() }));
}

#[test]
fn a_third_may_be_lost_and_the_rest_reordered_and_corrupted() {
    for_seeds(100, |seed| {
        shakes_hands(
            seed,
            Conditions { loss: 250, corrupt: 50, reorder: 200, duplicate: 100, ..Conditions::default() },
        );
    });
}

#[test]
fn round_trips_may_be_long() {
    for_seeds(50, |seed| {
        shakes_hands(seed, Conditions { delay: Duration::from_millis(750), loss: 50, ..Conditions::default() });
    });
}

/// Ten seconds, whatever the peer says meanwhile.
#[test]
fn a_handshake_that_does_not_end_is_given_up_after_ten_seconds() {
    // The client hears nothing at all.
    let mut pair = Pair::new(&Settings::new(1));
    pair.open = [true, false];
    let began = pair.now;
    let over = |node: &Node| node.connection.state() == State::Drained;
    assert!(pair.run(Duration::from_secs(60), |pair| over(&pair.client.nodes[0])));
    assert_eq!(pair.now - began, Duration::from_secs(10));
    assert!(pair.client().ending().contains("handshake took too long"), "{}", pair.client().ending());
    assert!(pair.run(Duration::from_secs(60), |pair| over(&pair.server.nodes[0])));
    assert_eq!(pair.now - began, Duration::from_secs(10) + pair.delay);
}

#[test]
fn any_single_datagram_of_the_handshake_may_be_lost() {
    for lost in 0..12 {
        for to_server in [true, false] {
            let mut pair = Pair::with(&Settings::new(lost), Application::planned(Side::Client, Plan::echo(1, 100)));
            pair.lose(to_server, [lost]);
            let done = pair.run(Duration::from_secs(9), |pair| pair.client.nodes[0].application.is_done());
            assert!(done, "without number {lost}, to server: {to_server}: {}", pair.describe());
        }
    }
}

#[test]
fn any_two_datagrams_of_the_handshake_may_be_lost() {
    for first in 0..6 {
        for second in 0..6 {
            for ways in [[true, true], [true, false], [false, false]] {
                let mut pair = Pair::with(&Settings::new(1), Application::planned(Side::Client, Plan::echo(1, 100)));
                pair.lose(ways[0], [first]);
                pair.lose(ways[1], [second]);
                let done = pair.run(Duration::from_secs(9), |pair| pair.client.nodes[0].application.is_done());
                assert!(done, "without {first} and {second}, {ways:?}: {}", pair.describe());
            }
        }
    }
}

fn crypto_frames(puppet: &Puppet, space: SpaceId) -> usize {
    puppet.heard_frames(space).filter(|frame| matches!(frame, Frame::Crypto(_))).count()
}

//= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.3
//= type=test
//# To speed up handshake completion under these conditions, an endpoint MAY, for a
//# limited number of times per connection, send a packet containing
//# unacknowledged CRYPTO data earlier than the PTO expiry
#[test]
fn a_client_that_repeats_itself_is_answered_again_at_once_and_not_for_ever() {
    let mut puppet = Puppet::at(&Settings::new(1), Side::Server, Stage::Start);
    let hello = puppet.take_tls(SpaceId::Initial);
    let hello = [Frame::Crypto(Crypto { offset: 0, data: &hello })];
    puppet.say(SpaceId::Initial, &hello);
    let first = [SpaceId::Initial, SpaceId::Handshake].map(|space| crypto_frames(&puppet, space));
    assert!(first[0] > 0 && first[1] > 0, "{first:?}");
    puppet.say(SpaceId::Initial, &hello);
    let again = [SpaceId::Initial, SpaceId::Handshake].map(|space| crypto_frames(&puppet, space));
    assert!(again[0] > first[0] && again[1] > first[1], "{again:?} after {first:?}");
    for _ in 0..20 {
        puppet.say(SpaceId::Initial, &hello);
    }
    let all = crypto_frames(&puppet, SpaceId::Initial);
    assert!(all <= first[0] + usize::from(limits::HASTENED), "{all} times after {first:?}");
}

//= https://www.rfc-editor.org/rfc/rfc9002#section-6.2.3
//= type=test
//# When a
//# client receives Handshake or 1-RTT packets prior to obtaining Handshake keys,
//# it may assume some or all of the server's Initial packets were lost.
#[test]
fn a_client_that_hears_what_it_cannot_read_yet_says_again_what_is_not_acknowledged() {
    let mut puppet = Puppet::at(&Settings::new(1), Side::Client, Stage::Start);
    let before = crypto_frames(&puppet, SpaceId::Initial);
    puppet.say(SpaceId::Handshake, &[Frame::Ping]);
    assert!(crypto_frames(&puppet, SpaceId::Initial) > before);
    for _ in 0..20 {
        puppet.say(SpaceId::Handshake, &[Frame::Ping]);
    }
    let most = before + usize::from(limits::HASTENED) * 2;
    assert!(crypto_frames(&puppet, SpaceId::Initial) <= most);
    // Nothing of this stands in the way of the handshake.
    puppet.finish_handshake();
    assert!(puppet.victim().was_connected(), "{}", puppet.victim().ending());
}
