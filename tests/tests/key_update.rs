//! Key updates (RFC 9001 §6): from either end, from both at once, in every order, through bad networks.

use std::time::Duration;

use codec::Side;
use codec::frame::Frame;
use quicast_tests::puppet::{Forged, Stage};
use quicast_tests::{Application, Conditions, Network, Pair, Plan, Puppet, Settings, Weather, for_each_seed};
use recovery::SpaceId;

#[test]
fn either_end_updates_and_both_go_on() {
    for side in [Side::Client, Side::Server] {
        let mut pair = Pair::established(&Settings::new(1));
        for times in 1..=5 {
            let now = pair.now;
            pair.node(side).connection.update_keys(now).expect("the update before is acknowledged");
            pair.client().application.begin(Plan::echo(2, 50_000));
            pair.turn();
            assert!(pair.run(Duration::from_secs(5), |pair| pair.client.nodes[0].application.is_done()));
            pair.run(Duration::from_secs(5), |_| false);
            assert_eq!(pair.node(side).stats.key_updates, (times, 0));
            assert_eq!(pair.node(side.peer()).stats.key_updates, (0, times));
        }
        assert_eq!(pair.client().stats.dropped, [0; 7]);
        assert_eq!(pair.server().stats.dropped, [0; 7]);
    }
}

#[test]
fn both_ends_update_at_once() {
    let mut pair = Pair::established(&Settings::new(1));
    let now = pair.now;
    pair.client().connection.update_keys(now).unwrap();
    pair.server().connection.update_keys(now).unwrap();
    pair.client().application.begin(Plan::echo(2, 50_000));
    pair.server().application.begin(Plan::echo(2, 50_000));
    pair.turn();
    assert!(pair.run(Duration::from_secs(5), |pair| {
        pair.client.nodes[0].application.is_done() && pair.server.nodes[0].application.is_done()
    }));
    assert_eq!(pair.client().ending(), "open");
    assert_eq!(pair.client().stats.dropped, [0; 7]);
}

#[test]
fn a_second_update_waits_until_the_first_is_acknowledged() {
    let mut pair = Pair::established(&Settings::new(1));
    let now = pair.now;
    pair.client().connection.update_keys(now).unwrap();
    assert!(pair.client().connection.update_keys(now).is_err());
}

#[test]
fn none_before_the_handshake_is_confirmed() {
    let mut pair = Pair::new(&Settings::new(1));
    let now = pair.now;
    assert!(pair.client().connection.update_keys(now).is_err());
    pair.run(pair.delay * 2, |pair| pair.client.nodes[0].was_connected());
    let now = pair.now;
    assert!(pair.client().connection.update_keys(now).is_err());
}

#[test]
fn updates_go_on_while_datagrams_are_lost_and_overtake_each_other() {
    for_each_seed(|seed| {
        let conditions = Conditions {
            loss: 50,
            reorder: 200,
            jitter: Duration::from_millis(5),
            duplicate: 50,
            corrupt: 10,
            ..Conditions::default()
        };
        let application = Application::planned(Side::Client, Plan::echo(3, 60_000));
        let mut network = Network::new(&Settings::new(seed), conditions, Weather::default(), application);
        let mut updates = 0;
        for round in 0..400 {
            if network.run(Duration::from_millis(40), |network| network.client.nodes[0].application.is_done()) {
                break;
            }
            let (now, both) = (network.now, round % 3 == 0);
            if round % 2 == 0 || both {
                updates += u32::from(network.client().connection.update_keys(now).is_ok());
            }
            if (round % 2 == 1 || both) && !network.server.nodes.is_empty() {
                updates += u32::from(network.server().connection.update_keys(now).is_ok());
            }
        }
        let done = network.run(Duration::from_secs(60), |network| network.client.nodes[0].application.is_done());
        assert!(done, "{}", network.describe());
        assert!(updates > 0, "no update was possible");
        network.check_no_leaks();
    });
}

#[test]
fn packets_under_the_old_keys_that_were_on_their_way_are_read_for_a_while() {
    for victim in [Side::Client, Side::Server] {
        let mut puppet = Puppet::at(&Settings::new(1), victim, Stage::Established);
        // It must be acknowledged under the first keys before there can be others.
        puppet.say(SpaceId::Application, &[Frame::Ping]);
        puppet.advance(Duration::from_millis(30));
        let dropped = puppet.victim().stats.dropped;
        let old: Vec<Vec<u8>> =
            (0..3).map(|_| puppet.seal(&Forged::new(SpaceId::Application, &[1, 0, 0, 0]))).collect();
        puppet.keys.initiate_key_update(puppet.now).unwrap();
        puppet.say(SpaceId::Application, &[Frame::Ping]);
        assert_eq!(puppet.victim().stats.key_updates, (0, 1));
        for packet in old {
            puppet.send(packet);
        }
        assert_eq!(puppet.close_code(), None, "{victim:?}");
        assert_eq!(puppet.victim().stats.dropped, dropped, "{victim:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-6.2
//= type=test
//# An endpoint that receives an acknowledgment that is carried in a packet
//# protected with old keys where any acknowledged packet was protected with newer
//# keys MAY treat that as a connection error of type KEY_UPDATE_ERROR.
#[test]
fn a_peer_that_never_updates_its_own_keys_is_found_out() {
    for victim in [Side::Client, Side::Server] {
        let mut puppet = Puppet::at(&Settings::new(1), victim, Stage::Established);
        let next = puppet.victim_next_number(SpaceId::Application);
        // An acknowledgement of what is yet to come, under the old keys.
        let acknowledgement = [0x02, 0x40 | (next >> 8) as u8, next as u8, 0, 0, 0, 0, 0];
        let packet = puppet.seal(&Forged::new(SpaceId::Application, &acknowledgement));
        let now = puppet.now;
        puppet.victim().connection.update_keys(now).unwrap();
        puppet.victim().application.begin(Plan::one_way(1, 10));
        puppet.turn();
        assert_eq!(puppet.victim_next_number(SpaceId::Application), next + 1);
        puppet.send(packet);
        assert_eq!(puppet.close_code().as_deref(), Some("KEY_UPDATE_ERROR"), "{victim:?}");
    }
}
