//! Bits that change on the way, one by one.

use std::time::Duration;

use codec::Side;
use quicast_tests::{Application, Pair, Plan, Settings};

/// Any one bit of the client's first Initial may change: what the server makes of it must not keep the client from
/// connecting with the Initials that follow.
#[test]
fn a_spoiled_first_initial_does_not_stand_in_the_way_of_the_next() {
    // All of the header and a little more.
    for bit in 0..64 * 8 {
        let mut pair = Pair::with(&Settings::new(1), Application::planned(Side::Client, Plan::echo(1, 100)));
        pair.client.outbox[0].bytes[bit / 8] ^= 1 << (bit % 8);
        let done = pair.run(Duration::from_secs(9), |pair| {
            pair.client.nodes[0].application.is_done() || pair.client.nodes[0].close_reason().is_some()
        });
        // A spoiled version is answered with Version Negotiation, which cannot be told from a true one.
        let is_version = (1..5).contains(&(bit / 8));
        assert!(done && (is_version || pair.client().application.is_done()), "bit {bit}: {}", pair.describe());
    }
}
