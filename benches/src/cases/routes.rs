//! Whose datagram it is: the router of a shard with few and with many connections.

use std::hint::black_box;

use codec::{ConnectionId, packet};
use quicast_tests::pair::CLIENT;
use transport::router::{LOCAL_ID_LENGTH, Route, Router, RouterSeeds};

use crate::{Case, Work};

pub(super) const CASES: &[Case] = &[
    Case::new("routes/10", "a datagram among 10 connections", 10_000, || look_up(10)),
    Case::new("routes/1000", "a datagram among 1,000 connections", 10_000, || look_up(1_000)),
    Case::new("routes/100000", "a datagram among 100,000 connections", 10_000, || look_up(100_000)),
];

/// The first byte of a short header, and the id: what is looked at.
type Beginning = [u8; 1 + LOCAL_ID_LENGTH];

fn look_up(connections: u32) -> Work {
    let mut router = Router::new(RouterSeeds { own: 1, peer: [2, 3] });
    let mut state = 1;
    let mut beginnings: Vec<Beginning> = Vec::new();
    for key in 0..connections {
        let bytes = quicast_tests::settings::splitmix(&mut state).to_be_bytes();
        router.add(ConnectionId::new(&bytes).expect("it is short enough"), key).expect("all differ");
        let mut beginning = [0x40; 1 + LOCAL_ID_LENGTH];
        beginning[1..].copy_from_slice(&bytes);
        beginnings.push(beginning);
    }
    let mut at = 0;
    Box::new(move |operations| {
        for _ in 0..operations {
            // Not in the order in which they lie.
            at = (at + 7_919) % beginnings.len();
            let peek = packet::peek(&beginnings[at], LOCAL_ID_LENGTH).expect("it is a short header");
            let route = router.route(&peek, CLIENT);
            assert!(matches!(black_box(route), Route::Connection(_)), "all are known");
        }
    })
}
