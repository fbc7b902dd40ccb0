//! Priorities of streams over a slow link (RFC 9218 §10, RFC 9000 §2.3).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]

use std::collections::BTreeMap;
use std::time::Duration;

use codec::{Direction, Side, StreamId};
use quicast_tests::application::pattern;
use quicast_tests::host::Service;
use quicast_tests::pair::SERVER;
use quicast_tests::{Application, Conditions, Network, Pair, Settings, Weather};
use transport::stream::buffers::Read;
use transport::stream::{Priority, StreamOutput};

const LENGTH: usize = 40_000;

/// What has arrived of each stream, and in which order they were complete.
#[derive(Default)]
struct Arrived {
    bytes: BTreeMap<StreamId, usize>,
    complete: Vec<StreamId>,
}

impl Arrived {
    fn read(&mut self, streams: &mut transport::stream::buffers::Streams, ids: &[StreamId]) {
        for id in ids {
            loop {
                match streams.read(*id, usize::MAX) {
                    Ok(Read::Data(data)) => *self.bytes.entry(*id).or_default() += data.len(),
                    Ok(Read::Finished) if !self.complete.contains(id) => self.complete.push(*id),
                    _ => break,
                }
            }
        }
        streams.flush_consumed();
    }
}

/// Fifty responses on a link of 100 kB/s: the client's streams, and what arrived each time the client looked.
fn fifty(priority: impl Fn(u64) -> Priority) -> (Vec<StreamId>, Vec<StreamId>, Vec<BTreeMap<StreamId, usize>>) {
    let slow = Conditions { bandwidth: 100_000, queue: 20, ..Conditions::default() };
    let settings = Settings::new(1);
    let mut network = Network::asymmetric(
        &settings,
        [Conditions::default(), slow],
        Weather::default(),
        Application::passive(Side::Client),
    );
    network.server.service = Some(Service::Passive);
    let confirmed = |network: &Network| {
        network.client.nodes[0].was_confirmed() && network.server.nodes.first().is_some_and(|node| node.was_confirmed())
    };
    assert!(network.run(Duration::from_secs(5), confirmed), "{}", network.describe());
    let ids: Vec<StreamId> = (0..50)
        .map(|_| {
            let streams = &mut network.client().streams;
            let id = streams.open(Direction::Bidirectional).unwrap();
            streams.finish(id).unwrap();
            id
        })
        .collect();
    let now = network.now;
    network.client.turn(now, 0);
    network.run(Duration::from_secs(1), |_| false);
    let now = network.now;
    for id in &ids {
        let node = network.server();
        let priority = priority(id.index());
        node.connection.handle_streams(now, &mut vec![StreamOutput::Prioritize { id: *id, priority }]);
        node.streams.write(*id, pattern(*id, 0, LENGTH)).unwrap();
        node.streams.finish(*id).unwrap();
    }
    network.server.turn(now, 0);
    let (mut arrived, mut history) = (Arrived::default(), Vec::new());
    for _ in 0..2_000 {
        network.run(Duration::from_millis(50), |_| false);
        arrived.read(&mut network.client().streams, &ids);
        history.push(arrived.bytes.clone());
        let now = network.now;
        network.client.turn(now, 0);
        if arrived.complete.len() == ids.len() {
            return (ids, arrived.complete, history);
        }
    }
    panic!("{} of {} are complete: {}", arrived.complete.len(), ids.len(), network.describe());
}

/// Bytes of this stream at a moment.
fn of(bytes: &BTreeMap<StreamId, usize>, id: StreamId) -> usize {
    bytes.get(&id).copied().unwrap_or_default()
}

#[test]
fn of_fifty_responses_the_urgent_ones_are_complete_before_others_take_bandwidth() {
    // Every fifth is urgent.
    let (ids, complete, history) = fifty(|index| Priority::new(if index % 5 == 4 { 1 } else { 5 }, index % 2 == 0));
    let is_urgent = |id: &StreamId| id.index() % 5 == 4;
    assert!(complete[..10].iter().all(is_urgent), "{complete:?}");
    // What a queue and a window hold of them when the urgent ones have been sent.
    let still_urgent =
        history.iter().filter(|bytes| ids.iter().filter(|id| is_urgent(id)).any(|id| of(bytes, *id) < LENGTH / 2));
    let lazy = still_urgent.map(|bytes| ids.iter().filter(|id| !is_urgent(id)).map(|id| of(bytes, *id)).sum::<usize>());
    assert_eq!(lazy.max(), Some(0), "bytes of lazy responses while urgent ones were not half done");
}

#[test]
fn fifty_responses_that_are_not_incremental_are_complete_in_order() {
    let (ids, complete, history) = fifty(|_| Priority::new(3, false));
    assert_eq!(complete, ids);
    let most = history.iter().map(|bytes| ids.iter().filter(|id| (1..LENGTH).contains(&of(bytes, **id))).count()).max();
    assert!(most <= Some(3), "{most:?} were under way at once");
}

#[test]
fn fifty_incremental_responses_share_the_link_and_are_complete_about_together() {
    let (ids, _, history) = fifty(|_| Priority::new(3, true));
    for bytes in &history {
        let each = || ids.iter().map(|id| of(bytes, *id));
        let (least, most) = (each().min().unwrap_or_default(), each().max().unwrap_or_default());
        assert!(most - least <= 3_000, "{least} of one and {most} of another");
    }
}

#[test]
fn a_priority_that_changes_under_way_changes_what_leaves_next() {
    let mut pair = Pair::unconnected(&Settings::new(1));
    pair.server.service = Some(Service::Passive);
    pair.client.connect(pair.now, SERVER, Application::passive(Side::Client));
    pair.confirm();
    let ids: Vec<StreamId> = (0..3).map(|_| pair.client().streams.open(Direction::Unidirectional).unwrap()).collect();
    let set = |pair: &mut Pair, id, urgency| {
        let (now, priority) = (pair.now, Priority::new(urgency, false));
        pair.client().connection.handle_streams(now, &mut vec![StreamOutput::Prioritize { id, priority }]);
    };
    for id in &ids {
        set(&mut pair, *id, 4);
        pair.client().streams.write(*id, pattern(*id, 0, 60_000)).unwrap();
        pair.client().streams.finish(*id).unwrap();
    }
    pair.turn();
    // The first window is on its way.
    set(&mut pair, ids[2], 0);
    set(&mut pair, ids[0], 7);
    let (mut arrived, mut rounds) = (Arrived::default(), 0);
    while arrived.complete.len() < 3 {
        pair.run(Duration::from_millis(1), |_| false);
        arrived.read(&mut pair.server().streams, &ids);
        pair.turn();
        rounds += 1;
        assert!(rounds < 1_000, "{}", pair.describe());
    }
    assert_eq!(arrived.complete, [ids[2], ids[1], ids[0]]);
}
