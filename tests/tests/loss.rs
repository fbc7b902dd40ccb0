//! Transfers through networks of every kind of weather: each arrives whole, with an end, without a leak.

use std::time::Duration;

use codec::Side;
use quicast_tests::{Application, Conditions, Network, Plan, Settings, Weather, for_each_seed};

/// Both ways: a plan of the client that is echoed, to its end, then a look for leaks.
fn transfers(settings: &Settings, conditions: Conditions, weather: Weather, plan: Plan) -> Network {
    let application = Application::planned(Side::Client, plan);
    let mut network = Network::new(settings, conditions, weather, application);
    let done = network.run(Duration::from_secs(600), |network| {
        let client = &network.client.nodes[0];
        client.application.is_done() || client.close_reason().is_some()
    });
    assert!(done && network.client().application.is_done(), "not done: {}", network.describe());
    network.check_no_leaks();
    network
}

fn echoes(conditions: Conditions) {
    for_each_seed(|seed| {
        transfers(&Settings::new(seed), conditions, Weather::default(), Plan::echo(4, 60_000));
    });
}

#[test]
fn without_any_loss() {
    echoes(Conditions::default());
}

#[test]
fn a_hundredth_is_lost() {
    echoes(Conditions { loss: 10, ..Conditions::default() });
}

#[test]
fn a_tenth_is_lost() {
    echoes(Conditions { loss: 100, ..Conditions::default() });
}

#[test]
fn three_tenths_are_lost() {
    for_each_seed(|seed| {
        let conditions = Conditions { loss: 300, ..Conditions::default() };
        // A transfer that arrives whole is said of the stack, not of its timeouts.
        transfers(&Settings::new(seed).patient(), conditions, Weather::default(), Plan::echo(2, 10_000));
    });
}

#[test]
fn bursts_are_lost() {
    echoes(Conditions { burst: 15, burst_length: 12, loss: 10, ..Conditions::default() });
}

#[test]
fn datagrams_overtake_each_other() {
    echoes(Conditions { jitter: Duration::from_millis(8), reorder: 100, ..Conditions::default() });
}

#[test]
fn datagrams_arrive_twice() {
    echoes(Conditions { duplicate: 200, jitter: Duration::from_millis(2), ..Conditions::default() });
}

#[test]
fn two_hundredths_are_corrupted() {
    echoes(Conditions { corrupt: 20, ..Conditions::default() });
}

#[test]
fn everything_at_once() {
    echoes(Conditions {
        loss: 50,
        burst: 5,
        burst_length: 8,
        reorder: 50,
        jitter: Duration::from_millis(3),
        duplicate: 50,
        corrupt: 20,
        mark: 20,
        ..Conditions::default()
    });
}

#[test]
fn a_round_trip_of_a_second_and_a_half() {
    echoes(Conditions { delay: Duration::from_millis(750), loss: 10, ..Conditions::default() });
}

#[test]
fn a_bottleneck_of_ten_megabits_with_a_short_queue() {
    for_each_seed(|seed| {
        let conditions = Conditions { bandwidth: 1_250_000, queue: 25, ..Conditions::default() };
        let network = transfers(&Settings::new(seed), conditions, Weather::default(), Plan::one_way(1, 1_000_000));
        assert!(network.fates.overflowed > 0, "the queue never overflowed");
    });
}

#[test]
fn a_path_of_1280_bytes() {
    echoes(Conditions { mtu: 1280 - 48, loss: 10, ..Conditions::default() });
}

#[test]
fn congestion_is_marked_instead_of_lost() {
    echoes(Conditions { mark: 100, ..Conditions::default() });
}

#[test]
fn marks_are_bleached() {
    echoes(Conditions { bleach: true, loss: 10, ..Conditions::default() });
}

#[test]
fn blackholes_of_two_seconds() {
    for_each_seed(|seed| {
        let weather =
            Weather { blackholes: Some((Duration::from_secs(5), Duration::from_secs(2))), ..Weather::default() };
        // Slow enough to live through several of them.
        let conditions = Conditions { bandwidth: 20_000, queue: 50, ..Conditions::default() };
        let network = transfers(&Settings::new(seed), conditions, weather, Plan::echo(2, 150_000));
        assert!(network.fates.lost > 0);
    });
}
