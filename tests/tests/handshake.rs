//! Handshakes in a pair (RFC 9001 §4).

use std::time::Duration;

use quicast_tests::{Application, Pair, Plan, Settings};

#[test]
fn two_machines_shake_hands_and_echo() {
    let mut pair = Pair::with(&Settings::new(1), Application::planned(codec::Side::Client, Plan::echo(3, 10_000)));
    pair.confirm();
    assert!(pair.run(Duration::from_secs(5), |pair| pair.client.nodes[0].application.is_done()), "{}", pair.describe());
}
