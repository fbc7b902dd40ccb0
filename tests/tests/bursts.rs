//! Bursts: a sender that has much to send does not dribble, and one that has little does not wait.

use std::time::Duration;

use codec::Side;
use quicast_tests::{Application, Conditions, Network, Plan, Settings, Weather};

/// One way, from the client, on a path of so many bytes a second and 40 ms.
fn transfer(seed: u64, bandwidth: u64, plan: Plan) -> Network {
    let conditions = Conditions { bandwidth, queue: 200, delay: Duration::from_millis(20), ..Conditions::default() };
    let application = Application::planned(Side::Client, plan);
    let mut network = Network::new(&Settings::new(seed), conditions, Weather::default(), application);
    let done = network.run(Duration::from_secs(120), |network| network.client.nodes[0].application.is_done());
    assert!(done, "not done: {}", network.describe());
    network
}

//= https://www.rfc-editor.org/rfc/rfc9002#section-7.7
//= type=test
//# Senders SHOULD limit bursts to the initial congestion window
#[test]
fn bulk_leaves_in_bursts_of_about_the_initial_window() {
    // 8, 40 and 400 Mbit/s: a millisecond of them is one datagram, four, forty.
    for (seed, bandwidth) in [(1, 1_000_000), (2, 5_000_000), (3, 50_000_000)] {
        let mut network = transfer(seed, bandwidth, Plan::one_way(1, 4_000_000));
        let stats = &network.client().stats;
        let each = stats.datagrams_sent as f64 / stats.batches as f64;
        assert!(each > 7.0, "{each:.1} datagrams in a batch at {bandwidth} bytes a second");
    }
}

#[test]
fn a_message_of_a_few_datagrams_takes_no_longer_than_its_round_trips() {
    // 14 datagrams: the initial window and what its acknowledgement lets out, after one round trip of the handshake.
    let mut network = Network::new(
        &Settings::new(4),
        Conditions { delay: Duration::from_millis(20), ..Conditions::default() },
        Weather::default(),
        Application::planned(Side::Client, Plan::one_way(1, 14 * 1150)),
    );
    let done = network.run(Duration::from_millis(160), |network| {
        network.server_key().is_some() && network.client.nodes[0].application.is_done()
    });
    assert!(done, "not done: {}", network.describe());
}
