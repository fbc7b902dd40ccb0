//! What a congestion controller is told, and when.

use std::time::Duration;

use congestion::Observed;
use quicast_tests::{Pair, Plan, Settings};

/// Runs this plan at the client, and a few seconds of silence; returns what its controller was told.
fn told(pair: &mut Pair, plan: Plan) -> Vec<Observed> {
    // What came before is told when the connection rests.
    pair.run(Duration::from_secs(5), |_| false);
    pair.client().observed = Some(Vec::new());
    pair.client().application.begin(plan);
    pair.turn();
    assert!(pair.run(Duration::from_secs(60), |pair| pair.client.nodes[0].application.is_done()));
    pair.run(Duration::from_secs(5), |_| false);
    let Some(observed) = pair.client().observed.take() else { panic!("nothing was observed") };
    observed
}

fn small_requests(streams: u64) -> Plan {
    Plan { concurrency: 1, ..Plan::echo(streams, 100) }
}

#[test]
fn news_of_a_window_that_nobody_waits_for_is_told_together() {
    let mut pair = Pair::established(&Settings::new(1));
    let before = pair.client().stats.datagrams_sent;
    let told = told(&mut pair, small_requests(80));
    let sent = pair.client().stats.datagrams_sent - before;
    let packets: u64 = told.iter().map(|observed| observed.acknowledged_packets).sum();
    assert!((80..=sent).contains(&packets), "each acknowledgement is told in the end: {packets} of {sent}");
    assert!((8..=16).contains(&told.len()), "eight turns at once: {}", told.len());
    for observed in &told {
        assert!(observed.application_limited && observed.rtt_sample.is_some() && observed.delivery.is_some());
        assert_eq!(observed.prior_in_flight, observed.bytes_in_flight + observed.acknowledged_bytes);
    }
}

#[test]
fn news_that_matters_is_told_at_once() {
    // A full window: each turn that brings acknowledgements.
    let mut pair = Pair::established(&Settings::new(1));
    let bulk = told(&mut pair, Plan::one_way(1, 3_000_000));
    let turns = bulk.windows(2).filter(|pair| pair[1].now > pair[0].now).count();
    assert!(bulk.iter().any(|observed| !observed.application_limited));
    assert!(turns > 20, "{turns}");
    // A loss, in the midst of quiet: as soon as it is known.
    let mut pair = Pair::established(&Settings::new(1));
    let next = pair.carried_to(true);
    pair.lose(true, [next + 10]);
    let told = told(&mut pair, small_requests(40));
    let lost: u64 = told.iter().map(|observed| observed.lost_packets).sum();
    assert_eq!(lost, pair.client().stats.lost);
    assert!(lost > 0, "the loss took place");
    let quiet: Vec<u64> =
        told.iter().filter(|observed| !observed.has_loss()).map(|observed| observed.acknowledged_packets).collect();
    let loss: Vec<u64> =
        told.iter().filter(|observed| observed.has_loss()).map(|observed| observed.acknowledged_packets).collect();
    assert!(quiet.iter().any(|packets| *packets >= 8), "{quiet:?}");
    assert!(loss.iter().all(|packets| *packets < 8), "{loss:?}");
}
