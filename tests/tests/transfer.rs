//! Transfers in a pair: nothing is lost, so that what is slow or stops is our own fault.

use std::time::Duration;

use bytes::Bytes;
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

/// The sizes of the batches in which these DATAGRAM frames leave, as (each, all).
fn batches(pair: &mut Pair, sizes: &[usize]) -> Vec<(usize, usize)> {
    let now = pair.now;
    let connection = &mut pair.client().connection;
    for &size in sizes {
        assert_eq!(connection.send_datagram(Bytes::from(vec![7; size])), Ok(()));
    }
    connection.end_turn(now);
    let mut buffer = vec![0; 64 * 1024];
    let mut batches = Vec::new();
    while let Some(transmit) = connection.poll_transmit(now, &mut buffer) {
        batches.push((transmit.segment_size, transmit.length));
    }
    batches
}

#[test]
fn datagrams_of_one_size_leave_in_one_batch_whatever_the_size() {
    let pair = || Pair::established(&Settings::new(6));
    // First byte, id, packet number and tag of the packet; type and length of each frame.
    let packet = |frames: usize, size: usize| 1 + 8 + 1 + 16 + frames * (3 + size);
    let (one, three) = (packet(1, 1000), packet(3, 400));
    assert_eq!(batches(&mut pair(), &[1000; 7]), [(one, 7 * one)], "one in each packet");
    assert_eq!(batches(&mut pair(), &[400; 9]), [(three, 3 * three)], "three in each packet");
    assert_eq!(batches(&mut pair(), &[400; 8]), [(three, 2 * three + packet(2, 400))], "the last may be shorter");
    let longer = packet(1, 1200);
    assert_eq!(batches(&mut pair(), &[1000, 1000, 1200, 1200]), [(one, 2 * one), (longer, 2 * longer)]);
    assert_eq!(batches(&mut pair(), &[1200, 1000, 1200]), [(longer, longer + one), (longer, longer)]);
}

#[test]
fn nothing_is_dropped_because_the_datagram_before_was_short() {
    let mut pair = Pair::established(&Settings::new(7));
    let most = pair.client().connection.max_datagram_length().unwrap();
    let sizes = [most, 800, 900, most, 1, most, 850, 850, 840];
    let packets: usize = batches(&mut pair, &sizes).iter().map(|(each, all)| all.div_ceil(*each)).sum();
    assert!(packets <= sizes.len());
    assert_eq!(pair.client().connection.take_stats().datagrams_dropped[0], 0);
    assert_eq!(pair.client().connection.sent_packets(), packets);
}
