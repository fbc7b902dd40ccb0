//! Transfers in a pair: nothing is lost, so that what is slow or stops is our own fault.

use std::time::Duration;

use codec::Side;
use quicast_tests::{Application, Pair, Plan, Settings};

/// Runs a plan of the client to its end and looks for leaks.
fn transfer(pair: &mut Pair, plan: Plan, limit: Duration) {
    pair.client().application = Application::planned(Side::Client, plan);
    pair.turn();
    let done = pair.run(limit, |pair| pair.client.nodes[0].application.is_done());
    assert!(done, "{}", pair.describe());
    pair.settle();
    for node in pair.client.nodes.iter().chain(&pair.server.nodes) {
        assert_eq!(node.ending(), "open");
        assert_eq!(node.connection.bytes_in_flight(), 0, "something is still in flight");
        assert_eq!(node.connection.ledger().send_buffered(), 0, "sent bytes are kept for ever");
        assert!(node.streams.is_empty(), "{} streams are left", node.streams.len());
        assert_eq!(node.connection.ledger().receive_charged(), 0);
        assert_eq!(node.stats.lost, 0, "on this wire nothing is lost: {}", pair.describe());
    }
}

#[test]
fn a_hundred_mebibytes_on_one_stream() {
    let mut pair = Pair::established(&Settings::new(1));
    transfer(&mut pair, Plan::one_way(1, 100 << 20), Duration::from_secs(600));
    assert_eq!(pair.server().application.received, 100 << 20);
}

#[test]
fn eight_streams_of_twenty_mebibytes_at_once() {
    let mut pair = Pair::established(&Settings::new(2));
    transfer(&mut pair, Plan::one_way(8, 20 << 20), Duration::from_secs(600));
    assert_eq!(pair.server().application.received, 160 << 20);
}

#[test]
fn two_thousand_short_streams_through_a_limit_of_a_hundred() {
    let mut pair = Pair::established(&Settings::new(3));
    transfer(&mut pair, Plan::echo(1_999, 32), Duration::from_secs(60));
    assert_eq!(pair.client().application.finished(), 1_999);
    assert_eq!(pair.server().application.peer_finished, 1_999);
}

#[test]
fn empty_streams_end() {
    let mut pair = Pair::established(&Settings::new(4));
    transfer(&mut pair, Plan::echo(300, 0), Duration::from_secs(60));
    transfer(&mut pair, Plan::one_way(300, 0), Duration::from_secs(60));
}

#[test]
fn both_ends_echo_at_once() {
    let mut pair = Pair::established(&Settings::new(5));
    pair.server().application.begin(Plan::echo(20, 1 << 20));
    transfer(&mut pair, Plan::echo(20, 1 << 20), Duration::from_secs(60));
    assert!(pair.server().application.is_done(), "{}", pair.describe());
}

#[test]
fn small_streams_leave_in_full_datagrams_of_one_batch() {
    for bytes in [64, 71, 100, 333, 700] {
        let mut pair = Pair::established(&Settings::new(1));
        let before = pair.client().stats.clone();
        let streams = (7_000 / (bytes + 8)).min(100);
        pair.client().application.begin(Plan::echo(streams, bytes));
        pair.turn();
        let after = &pair.client().stats;
        let (batches, datagrams) = (after.batches - before.batches, after.datagrams_sent - before.datagrams_sent);
        assert!(
            datagrams >= 4 && batches == 1,
            "{datagrams} datagrams in {batches} batches of streams of {bytes} bytes"
        );
        assert!(pair.run(Duration::from_secs(10), |pair| pair.client.nodes[0].application.is_done()));
    }
}
