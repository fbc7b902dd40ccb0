//! Silence (RFC 9000 §10.1): timeouts, keep-alive, and times that are far apart.

use std::time::Duration;

use codec::{Direction, Side};
use quicast_tests::application::pattern;
use quicast_tests::puppet::Stage;
use quicast_tests::{Application, Conditions, Network, Pair, Plan, Puppet, Settings, Weather};
use recovery::SpaceId;
use transport::Config;
use transport::connection::State;
use transport::output::{CloseReason, DeadlineReason};

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[test]
fn silence_ends_a_connection_without_a_word() {
    let settings = Settings::new(1).map(|config| config.max_idle_timeout = Duration::from_secs(30));
    let mut pair = Pair::established(&settings);
    pair.run(Duration::from_secs(1), |_| false);
    let sent = (pair.client().stats.datagrams_sent, pair.server().stats.datagrams_sent);
    pair.run(Duration::from_secs(28), |_| false);
    assert_eq!(pair.client().ending(), "open");
    pair.run(Duration::from_secs(2), |_| false);
    for side in [Side::Client, Side::Server] {
        assert_eq!(pair.node(side).close_reason(), Some(&CloseReason::IdleTimeout));
        assert_eq!(pair.node(side).connection.state(), State::Drained);
        assert!(pair.node(side).is_drained());
    }
    assert_eq!(sent, (pair.client().stats.datagrams_sent, pair.server().stats.datagrams_sent));
}

#[test]
fn a_quiet_connection_rests_and_works_as_before_when_it_wakes() {
    let mut pair = Pair::established(&Settings::new(1));
    for seed in 0..3 {
        pair.client().application.begin(Plan::echo(seed, 300_000));
        pair.turn();
        assert!(pair.run(Duration::from_secs(10), |pair| pair.client.nodes[0].application.is_done()));
        pair.run(Duration::from_secs(5), |_| false);
        // Nothing is planned any more but the end: whatever wakes it is traffic.
        for side in [Side::Client, Side::Server] {
            let (now, node) = (pair.now, pair.node(side));
            assert!(node.connection.deadline().is_some_and(|(at, reason)| reason == DeadlineReason::Idle && at > now));
        }
        // Keys that were put away are made again, also for an update.
        let now = pair.now;
        pair.client().connection.update_keys(now).unwrap();
        pair.turn();
    }
    // The last one is told with the next packet, which never comes.
    assert_eq!(pair.server().stats.key_updates.1, 2);
}

#[test]
fn a_connection_that_was_not_used_yet_keeps_no_packets_for_its_rest() {
    let mut pair = Pair::established(&Settings::new(1));
    // Less than it takes to come to rest.
    let is_empty = pair.run(Duration::from_millis(800), |pair| {
        [&pair.client.nodes[0], &pair.server.nodes[0]].iter().all(|node| node.connection.sent_packets() == 0)
    });
    assert!(is_empty);
}

#[test]
fn the_smaller_timeout_holds_and_zero_is_none() {
    for (client, server, holds) in [(10, 60, Some(10)), (60, 10, Some(10)), (0, 20, Some(20)), (0, 0, None)] {
        let config = |seconds| Config { max_idle_timeout: Duration::from_secs(seconds), ..Config::default() };
        let mut pair = Pair::established(&Settings::with(1, config(client), config(server)));
        let began = pair.now;
        let over = pair.run(WEEK, |pair| pair.client.nodes[0].close_reason().is_some());
        assert_eq!(over, holds.is_some());
        if let Some(seconds) = holds {
            let lasted = (pair.now - began).as_secs_f64();
            assert!((f64::from(seconds) - lasted).abs() < 1.0, "{client} and {server}: {lasted}");
        } else {
            // A week later it still works.
            pair.client().application.begin(Plan::echo(1, 100_000));
            pair.turn();
            assert!(pair.run(Duration::from_secs(10), |pair| pair.client.nodes[0].application.is_done()));
        }
    }
}

#[test]
fn a_word_now_and_then_keeps_a_connection() {
    let client = Config { keep_alive: Some(Duration::from_secs(20)), ..Config::default() };
    let mut pair = Pair::established(&Settings::with(1, client, Config::default()));
    let before = pair.client().stats.datagrams_sent;
    pair.run(Duration::from_secs(3600), |_| false);
    assert_eq!(pair.client().ending(), "open");
    assert_eq!(pair.server().ending(), "open");
    let sent = pair.client().stats.datagrams_sent - before;
    assert!((180..=200).contains(&sent), "{sent} datagrams in an hour");
}

#[test]
fn each_end_notices_when_the_other_is_gone() {
    for side in [Side::Client, Side::Server] {
        let mut pair = Pair::established(&Settings::new(1));
        pair.open = [false; 2];
        let now = pair.now;
        let plan = Plan::echo(1, 1_000_000);
        pair.node(side).application = Application::planned(side, plan);
        pair.host(side).turn(now, 0);
        assert!(pair.run(Duration::from_secs(120), |pair| {
            pair.client.nodes.iter().chain(&pair.server.nodes).all(|node| node.close_reason().is_some())
        }));
        assert_eq!(pair.node(side).close_reason(), Some(&CloseReason::IdleTimeout));
        let took = pair.now - now;
        assert!(took >= Duration::from_secs(30) && took < Duration::from_secs(32), "{took:?}");
    }
}

/// What is sent does not keep a connection alive for ever if nothing comes back, and the other way round a peer that
/// only listens is not cut off.
#[test]
fn a_steady_download_is_never_idle() {
    let settings = Settings::new(1).map(|config| config.max_idle_timeout = Duration::from_secs(2));
    let conditions = Conditions { bandwidth: 20_000, queue: 20, ..Conditions::default() };
    let application = Application::planned(Side::Client, Plan::one_way(1, 400_000));
    let mut network = Network::new(&settings, conditions, Weather::default(), application);
    assert!(
        network.run(Duration::from_secs(100), |network| network.client.nodes[0].application.is_done()),
        "{}",
        network.describe()
    );
}

#[test]
fn a_round_trip_of_a_week_makes_nobody_panic() {
    let settings = Settings::new(1).map(|config| config.max_idle_timeout = Duration::ZERO);
    let mut pair = Pair::established(&settings);
    pair.delay = WEEK / 2;
    pair.client().application.begin(Plan::echo(1, 1_000));
    pair.turn();
    pair.run(WEEK * 4, |pair| pair.client.nodes[0].application.is_done());
    pair.delay = Duration::from_millis(1);
    pair.run(WEEK, |_| false);
    // The machine may have given up; it may not have panicked, and if it is open it works.
    if pair.client().ending() == "open" && pair.server().ending() == "open" {
        pair.client().application.begin(Plan::echo(1, 1_000));
        pair.turn();
        let done = pair.run(WEEK * 10, |pair| pair.client.nodes[0].application.is_done());
        assert!(done || pair.client().ending() != "open", "{}", pair.describe());
    }
}

#[test]
fn a_clock_that_jumps_to_the_end_of_time_makes_nobody_panic() {
    let mut pair = Pair::established(&Settings::new(1));
    pair.client().application.begin(Plan::echo(1, 100_000));
    pair.turn();
    pair.now = codec::Time::MAX;
    pair.run(Duration::from_secs(1), |_| false);
    let now = pair.now;
    pair.client().handle_time(now);
    pair.turn();
}

/// Before the handshake is confirmed there are no probes in the Application space (RFC 9002 §6.2.1), so that a client whose
/// window is full would say nothing at all, and a server could never learn that its address changed.
#[test]
fn the_word_that_keeps_a_connection_does_not_wait_for_a_full_window_before_the_handshake_is_confirmed() {
    let client = Config { keep_alive: Some(Duration::from_secs(1)), ..Config::default() };
    let settings = Settings::with(1, client, Config::default());
    let mut puppet = Puppet::at(&settings, Side::Client, Stage::Complete);
    let streams = &mut puppet.victim().streams;
    let id = streams.open(Direction::Bidirectional).unwrap();
    streams.write(id, pattern(id, 0, 60_000)).unwrap();
    puppet.turn();
    puppet.advance(Duration::from_millis(500));
    assert_eq!(puppet.victim().connection.state(), State::Connected);
    puppet.heard.clear();
    puppet.advance(Duration::from_secs(5));
    let times = puppet.heard.iter().filter(|heard| heard.space == SpaceId::Application).count();
    assert!((4..=6).contains(&times), "{times} packets in five seconds");
}

/// Probes are ever farther apart (RFC 9002 §6.2.1), farther than NATs remember. What is not in flight needs no window.
#[test]
fn with_a_full_window_acknowledgements_keep_the_way_open() {
    let client = Config { keep_alive: Some(Duration::from_secs(1)), ..Config::default() };
    let mut puppet = Puppet::at(&Settings::with(1, client, Config::default()), Side::Client, Stage::Established);
    let streams = &mut puppet.victim().streams;
    let id = streams.open(Direction::Bidirectional).unwrap();
    streams.write(id, pattern(id, 0, 60_000)).unwrap();
    puppet.turn();
    for second in 0..20 {
        puppet.heard.clear();
        puppet.advance(Duration::from_millis(1100));
        assert!(!puppet.heard.is_empty(), "silent in second {second}");
    }
}
