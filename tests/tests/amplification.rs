//! Three times what came, and no more, goes to an address that has not proven itself (RFC 9000 §8).

use std::time::Duration;

use codec::Side;
use quicast_tests::{Application, Conditions, Network, Pair, Settings, Weather, for_each_seed};
use transport::limits::Limit;

#[test]
fn a_server_whose_client_is_silent_stops_at_three_times() {
    let mut pair = Pair::new(&Settings::new(1));
    // The server's answers are lost, and the client says nothing more than its first Initial.
    pair.open = [true, false];
    pair.run(Duration::from_millis(1), |_| false);
    pair.open = [false, false];
    pair.run(Duration::from_secs(9), |_| false);
    let stats = pair.server().stats.clone();
    assert!(stats.bytes_sent <= 3 * 1200, "{} bytes were sent for 1200", stats.bytes_sent);
    assert!(stats.bytes_sent > 1200, "the flight was repeated");
    assert!(stats.limit_hits[Limit::Amplification as usize] > 0);
}

#[test]
fn the_limit_holds_in_every_handshake_through_a_bad_network() {
    // The network itself checks every datagram; here many handshakes have a hard time.
    for_each_seed(|seed| {
        let conditions = Conditions { loss: 300, duplicate: 100, reorder: 200, ..Conditions::default() };
        let application = Application::answering(Side::Client);
        let mut network = Network::new(&Settings::new(seed), conditions, Weather::default(), application);
        network.run(Duration::from_secs(30), |network| network.client.nodes[0].was_confirmed());
    });
}

/// The client must not wait for a server that may not speak: it probes although nothing of its own is in flight
/// (RFC 9002 §6.2.2.1).
#[test]
fn a_blocked_server_is_freed_by_its_client() {
    for lost in 0..4 {
        let mut pair = Pair::new(&Settings::new(1));
        // All that the server sends at first is lost.
        pair.lose(false, 0..=lost);
        pair.confirm();
    }
}

#[test]
fn a_new_address_is_sent_no_more_than_three_times_what_came_from_it() {
    // A download moves to another address and sends only acknowledgements from there; the network checks each datagram.
    for_each_seed(|seed| {
        let client = transport::Config { keep_alive: Some(Duration::from_millis(300)), ..transport::Config::default() };
        let settings = Settings::with(seed, client, transport::Config::default());
        let weather = Weather { rebinding: Some(Duration::from_secs(1)), roaming: true, ..Weather::default() };
        let conditions = Conditions { bandwidth: 200_000, queue: 20, ..Conditions::default() };
        let mut network = Network::new(&settings, conditions, weather, Application::answering(Side::Client));
        network.server.service = Some(quicast_tests::host::Service::Plan(quicast_tests::Plan::one_way(1, 500_000)));
        network.run(Duration::from_secs(60), |network| {
            network.server_key().is_some_and(|key| network.server.nodes[key].application.is_done())
        });
        assert!(network.server().application.is_done(), "{}", network.describe());
    });
}
