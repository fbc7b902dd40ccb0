//! The client's address changes under it (RFC 9000 §9.3): NAT bindings that are forgotten, hosts that roam.

use std::time::Duration;

use codec::frame::Frame;
use codec::{Direction, Side};
use quicast_tests::application::pattern;
use quicast_tests::pair::address;
use quicast_tests::puppet::Stage;
use quicast_tests::{Application, Conditions, Network, Plan, Puppet, Settings, Weather, for_each_seed};
use recovery::SpaceId;
use transport::Config;

/// A client that only listens is lost with its binding, since the server's datagrams go nowhere then: it says a word
/// twice a second.
fn settings(seed: u64) -> Settings {
    let client = Config { keep_alive: Some(Duration::from_millis(500)), ..Config::default() };
    Settings::with(seed, client, Config::default())
}

fn survives(seed: u64, conditions: Conditions, weather: Weather, plan: Plan) -> Network {
    let application = Application::planned(Side::Client, plan);
    let mut network = Network::new(&settings(seed), conditions, weather, application);
    let done = network.run(Duration::from_secs(600), |network| {
        let client = &network.client.nodes[0];
        client.application.is_done() || client.close_reason().is_some()
    });
    assert!(done && network.client().application.is_done(), "not done: {}", network.describe());
    network
}

/// Slow enough that a transfer lives through several bindings; the queue is half a second. (A path is kept for three probe
/// timeouts and there are three at most, so a server cannot follow a client whose address changes faster than that.)
fn slow() -> Conditions {
    Conditions { bandwidth: 40_000, queue: 15, loss: 5, ..Conditions::default() }
}

#[test]
fn a_binding_that_is_forgotten_every_two_seconds() {
    for_each_seed(|seed| {
        let weather = Weather { rebinding: Some(Duration::from_secs(2)), ..Weather::default() };
        let mut network = survives(seed, slow(), weather, Plan::echo(3, 100_000));
        assert!(network.server().stats.migrations >= 2, "{}", network.describe());
        assert!(network.server().stats.paths_validated >= 2, "{}", network.describe());
        network.check_no_leaks();
    });
}

#[test]
fn a_host_that_roams_every_two_seconds() {
    for_each_seed(|seed| {
        let weather = Weather { rebinding: Some(Duration::from_secs(2)), roaming: true, ..Weather::default() };
        let mut network = survives(seed, slow(), weather, Plan::echo(3, 100_000));
        assert!(network.server().stats.migrations >= 2, "{}", network.describe());
        network.check_no_leaks();
    });
}

#[test]
fn a_download_survives_when_the_client_only_acknowledges() {
    for_each_seed(|seed| {
        let weather = Weather { rebinding: Some(Duration::from_secs(2)), ..Weather::default() };
        let mut network = Network::new(&settings(seed), slow(), weather, Application::answering(Side::Client));
        network.server.service = Some(quicast_tests::host::Service::Plan(Plan::one_way(2, 200_000)));
        let done = network.run(Duration::from_secs(600), |network| {
            network.server_key().is_some_and(|key| network.server.nodes[key].application.is_done())
        });
        assert!(done, "not done: {}", network.describe());
        assert_eq!(network.client().application.received, 400_000);
        network.check_no_leaks();
    });
}

#[test]
fn bindings_change_while_datagrams_are_lost_and_overtake_each_other() {
    for_each_seed(|seed| {
        let weather = Weather { rebinding: Some(Duration::from_secs(2)), ..Weather::default() };
        let conditions = Conditions { loss: 50, reorder: 100, jitter: Duration::from_millis(5), ..slow() };
        let mut network = survives(seed, conditions, weather, Plan::echo(2, 60_000));
        network.check_no_leaks();
    });
}

#[test]
fn bindings_and_blackholes() {
    for_each_seed(|seed| {
        let weather = Weather {
            rebinding: Some(Duration::from_secs(3)),
            blackholes: Some((Duration::from_secs(5), Duration::from_secs(2))),
            ..Weather::default()
        };
        let mut network = survives(seed, slow(), weather, Plan::echo(2, 150_000));
        network.check_no_leaks();
    });
}

/// The server's HANDSHAKE_DONE goes to the old binding, and so do its acknowledgements: what the client sends by itself
/// must tell the server where it is, however full its window is.
#[test]
fn a_binding_changes_before_the_client_knows_that_the_handshake_is_done() {
    for_each_seed(|seed| {
        let weather = Weather { rebinding: Some(Duration::from_secs(2)), early: true, ..Weather::default() };
        let conditions = Conditions { loss: 200, ..slow() };
        let mut network = survives(seed, conditions, weather, Plan::echo(2, 30_000));
        network.check_no_leaks();
    });
}

/// On an address that is not proven, the amplification limit stops everything, the probe timer included (RFC 9002
/// §6.2.2.1). Back on the proven one it must run again.
#[test]
fn a_server_that_returns_to_the_last_proven_address_probes_there() {
    let mut puppet = Puppet::at(&Settings::new(1), Side::Server, Stage::Established);
    let home = puppet.address;
    puppet.address = address(1, 1, 60_000);
    puppet.say(SpaceId::Application, &[Frame::Ping]);
    puppet.address = home;
    let streams = &mut puppet.victim().streams;
    let id = streams.open(Direction::Unidirectional).unwrap();
    streams.write(id, pattern(id, 0, 60_000)).unwrap();
    puppet.turn();
    puppet.advance(Duration::from_secs(4));
    assert_eq!(puppet.victim().connection.remote(), home, "nobody answered from the other address");
    puppet.heard.clear();
    puppet.advance(Duration::from_secs(4));
    assert!(puppet.heard.iter().any(|heard| heard.to == home), "no probe");
}
