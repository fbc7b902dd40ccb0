//! Stateless resets (RFC 9000 §10.3): who has lost a connection says so, and is believed only with the right token.

use std::time::Duration;

use codec::Side;
use quicast_tests::endpoint::Datagram;
use quicast_tests::pair::{CLIENT, SERVER};
use quicast_tests::{Application, Pair, Plan, Settings};
use transport::connection::State;
use transport::output::CloseReason;

#[test]
fn a_server_that_has_crashed_resets_its_client() {
    let mut pair = Pair::established(&Settings::new(1));
    pair.server.crash();
    pair.client().application.begin(Plan::echo(1, 10_000));
    let now = pair.now;
    pair.client.turn(now, 0);
    pair.run(Duration::from_secs(1), |pair| pair.client.nodes[0].close_reason().is_some());
    let context = pair.describe();
    assert_eq!(pair.client().close_reason(), Some(&CloseReason::StatelessReset), "{context}");
    assert_eq!(pair.now - now, pair.delay * 2, "at once");
    assert_eq!(pair.client().connection.state(), State::Draining);
}

/// A client tells the server no token in the handshake; only those of its further ids are known. So the server believes
/// it once it sends to such an id.
#[test]
fn a_client_that_has_crashed_resets_its_server_if_it_can() {
    let mut pair = Pair::established(&Settings::new(1));
    let server_sends_to = pair.server().connection.remote();
    assert_eq!(server_sends_to, CLIENT);
    pair.client.crash();
    pair.server().application = Application::planned(Side::Server, Plan::echo(1, 10_000));
    let now = pair.now;
    pair.server.turn(now, 0);
    pair.run(Duration::from_secs(100), |pair| pair.server.nodes[0].close_reason().is_some());
    assert!(
        matches!(pair.server().close_reason(), Some(CloseReason::StatelessReset | CloseReason::IdleTimeout)),
        "{}",
        pair.describe()
    );
}

#[test]
fn resets_do_not_answer_each_other_for_ever() {
    // Both ends have forgotten everything: one datagram between them must not start an endless exchange.
    let mut pair = Pair::established(&Settings::new(1));
    pair.client().application.begin(Plan::echo(1, 10));
    pair.turn();
    pair.client.crash();
    pair.server.crash();
    let began = pair.now;
    pair.run(Duration::from_secs(10), |_| false);
    assert!(pair.carried() < 60, "{} datagrams since {began:?}", pair.carried());
}

fn inject(pair: &mut Pair, token: [u8; 16], length: usize) {
    let mut bytes = vec![0x55; length];
    bytes[0] = 0x40;
    let at = length - 16;
    bytes[at..].copy_from_slice(&token);
    let now = pair.now;
    pair.client.receive(now, [Datagram { from: SERVER, to: CLIENT, ecn: None, bytes }]);
}

#[test]
fn any_other_token_changes_nothing() {
    let mut pair = Pair::established(&Settings::new(1));
    for byte in 0..=255 {
        inject(&mut pair, [byte; 16], 40);
    }
    assert_eq!(pair.client().ending(), "open");
    pair.client().application.begin(Plan::echo(1, 10_000));
    pair.turn();
    assert!(pair.run(Duration::from_secs(2), |pair| pair.client.nodes[0].application.is_done()));
}

#[test]
fn the_right_token_is_believed_in_any_datagram_long_enough() {
    for length in [21, 22, 43, 100, 1200] {
        let mut pair = Pair::established(&Settings::new(1));
        // An id that the client knows and uses: the server's first.
        let id = pair.client().connection.current_destination();
        let token = pair.server.reset_key().token(&id);
        inject(&mut pair, token.0, length);
        assert_eq!(pair.client().close_reason(), Some(&CloseReason::StatelessReset), "{length}");
        // Nothing is said any more.
        let sent = pair.client().stats.datagrams_sent;
        pair.run(Duration::from_secs(10), |_| false);
        assert_eq!(pair.client().stats.datagrams_sent, sent);
    }
}

/// Addressed to an id that the client has, so that the connection itself must find the token.
#[test]
fn a_reset_that_looks_like_a_packet_for_the_connection_is_found() {
    let mut pair = Pair::established(&Settings::new(1));
    let id = pair.client().connection.current_destination();
    let token = pair.server.reset_key().token(&id);
    let own = pair.client().connection.first_id();
    let mut bytes = vec![0x41; 60];
    bytes[1..=own.len()].copy_from_slice(own.as_bytes());
    bytes[44..].copy_from_slice(&token.0);
    let now = pair.now;
    pair.client.receive(now, [Datagram { from: SERVER, to: CLIENT, ecn: None, bytes }]);
    assert_eq!(pair.client().close_reason(), Some(&CloseReason::StatelessReset));
}

#[test]
fn packets_that_want_an_answer_are_as_long_as_a_reset_of_theirs_could_be() {
    // RFC 9000 §10.3: our ids have 8 bytes, so 30.
    let mut pair = Pair::established(&Settings::new(1));
    pair.confirm();
    pair.settle();
    for side in [Side::Client, Side::Server] {
        let now = pair.now;
        let connection = &mut pair.node(side).connection;
        connection.send_datagram(bytes::Bytes::from_static(b"x")).unwrap();
        connection.end_turn(now);
        let mut buffer = vec![0; 65_536];
        let transmit = connection.poll_transmit(now, &mut buffer).unwrap();
        assert!(transmit.length >= 30, "{side:?}: {transmit:?}");
    }
}
