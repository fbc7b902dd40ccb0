//! Controllers are swapped in the middle of connections, whatever the network does: nothing is lost by it, and nothing
//! leaves that would not have left.

use std::time::Duration;

use codec::Side;
use congestion::Algorithm;
use quicast_tests::settings::splitmix;
use quicast_tests::{Application, Conditions, Host, Network, Plan, Settings, Weather, for_seeds};
use transport::Config;

/// Seeds of each case: a transfer takes longer than most.
const SEEDS: u64 = 60;

/// Swaps the controller of a host's connection that goes on, to one that the seed chooses.
fn swap(host: &mut Host, key: usize, now: codec::Time, chance: &mut u64) {
    let all = Algorithm::ALL;
    let algorithm = all[splitmix(chance) as usize % all.len()];
    let node = &mut host.nodes[key];
    if node.close_reason().is_some() || !node.was_connected() {
        return;
    }
    let (in_flight, window) = (node.connection.bytes_in_flight(), node.connection.window());
    node.swap(now, algorithm);
    assert_eq!(node.connection.bytes_in_flight(), in_flight, "{algorithm}");
    let after = node.connection.window();
    assert!(after.congestion_window <= window.congestion_window, "{algorithm}: {window:?} became {after:?}");
    assert_eq!(node.connection.algorithm(), algorithm);
    host.turn(now, key);
}

/// Runs an echo through the network while both ends swap every `period` or so.
fn storm(seed: u64, conditions: Conditions, weather: Weather, plan: Plan, period: Duration) -> Network {
    let keep = Config { keep_alive: Some(Duration::from_millis(500)), ..Config::default() };
    let settings = Settings::with(seed, keep, Config::default()).patient();
    let application = Application::planned(Side::Client, plan);
    let mut network = Network::new(&settings, conditions, weather, application);
    let mut chance = seed ^ 0x5a5a;
    let mut swaps = 0_u64;
    while !network.client.nodes[0].application.is_done() {
        assert!(swaps < 200_000 && network.client().close_reason().is_none(), "not done: {}", network.describe());
        let pause = period / 2 + period * (splitmix(&mut chance) % 1000) as u32 / 1000;
        network.run(pause, |network| network.client.nodes[0].application.is_done());
        let now = network.now;
        swap(&mut network.client, 0, now, &mut chance);
        if let Some(key) = network.server_key() {
            swap(&mut network.server, key, now, &mut chance);
        }
        swaps += 1;
    }
    assert!(swaps >= 20, "{swaps} swaps are no storm");
    network.check_no_leaks();
    network
}

#[test]
fn a_storm_of_swaps_on_a_bottleneck_that_loses() {
    for_seeds(SEEDS, |seed| {
        let conditions = Conditions { bandwidth: 1_000_000, queue: 40, loss: 10, ..Conditions::default() };
        storm(seed, conditions, Weather::default(), Plan::echo(3, 300_000), Duration::from_millis(10));
    });
}

#[test]
fn swaps_between_bursts_of_loss_and_blackholes() {
    for_seeds(SEEDS, |seed| {
        let conditions = Conditions {
            bandwidth: 500_000,
            queue: 25,
            burst: 2,
            burst_length: 40,
            reorder: 20,
            ..Conditions::default()
        };
        let blackholes = Some((Duration::from_millis(900), Duration::from_millis(600)));
        let weather = Weather { blackholes, ..Weather::default() };
        storm(seed, conditions, weather, Plan::echo(2, 200_000), Duration::from_millis(70));
    });
}

#[test]
fn swaps_while_the_client_roams() {
    for_seeds(SEEDS, |seed| {
        let conditions = Conditions { bandwidth: 60_000, queue: 15, loss: 5, ..Conditions::default() };
        let weather = Weather { rebinding: Some(Duration::from_secs(2)), roaming: true, ..Weather::default() };
        let mut network = storm(seed, conditions, weather, Plan::echo(2, 120_000), Duration::from_millis(150));
        assert!(network.server().stats.migrations >= 1, "{}", network.describe());
    });
}

#[test]
fn swaps_while_marks_are_made_and_codepoints_change() {
    for_seeds(SEEDS, |seed| {
        let conditions = Conditions { bandwidth: 1_000_000, queue: 40, mark: 20, ..Conditions::default() };
        storm(seed, conditions, Weather::default(), Plan::echo(2, 300_000), Duration::from_millis(30));
    });
}

#[test]
fn swaps_of_a_sender_that_rests_between_requests() {
    for_seeds(SEEDS, |seed| {
        let plan = Plan { concurrency: 1, ..Plan::echo(100, 3_000) };
        let conditions = Conditions { loss: 10, ..Conditions::default() };
        storm(seed, conditions, Weather::default(), plan, Duration::from_millis(25));
    });
}

/// What a swap does not change: a path that is new starts with the algorithm that was chosen last, not the configured one.
#[test]
fn a_new_path_starts_with_the_algorithm_that_was_chosen() {
    let conditions = Conditions { bandwidth: 60_000, queue: 15, ..Conditions::default() };
    let weather = Weather { rebinding: Some(Duration::from_secs(2)), roaming: true, ..Weather::default() };
    let keep = Config { keep_alive: Some(Duration::from_millis(500)), ..Config::default() };
    let settings = Settings::with(7, keep, Config::default());
    let application = Application::planned(Side::Client, Plan::echo(2, 120_000));
    let mut network = Network::new(&settings, conditions, weather, application);
    assert!(network.run(Duration::from_secs(5), |network| {
        network.server_key().is_some_and(|key| network.server.nodes[key].was_confirmed())
    }));
    let now = network.now;
    network.server().swap(now, Algorithm::NEW_RENO);
    assert!(network.run(Duration::from_secs(60), |network| {
        network.server_key().is_some_and(|key| network.server.nodes[key].stats.migrations >= 2)
    }));
    assert_eq!(network.server().connection.algorithm(), Algorithm::NEW_RENO);
}
