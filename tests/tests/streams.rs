//! Streams that do not simply run to their end: half-closed, reset and stopped, in every order, from either side.

use std::time::Duration;

use bytes::Bytes;
use codec::{Direction, Side, StreamId};
use quicast_tests::application::{check, pattern};
use quicast_tests::host::Service;
use quicast_tests::{Application, Conditions, Network, Pair, Settings, Weather, for_each_seed};
use transport::stream::buffers::{Read, ReadError, Streams};

/// A pair whose test does all reading and writing.
fn passive() -> Pair {
    let mut pair = Pair::unconnected(&Settings::new(1));
    pair.server.service = Some(Service::Passive);
    pair.client.connect(pair.now, quicast_tests::pair::SERVER, Application::passive(Side::Client));
    pair.confirm();
    pair
}

/// What one side may do to a stream of its own or of the peer's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Deed {
    Write,
    Finish,
    Reset,
    Stop,
    ReadAll,
}

const DEEDS: [Deed; 5] = [Deed::Write, Deed::Finish, Deed::Reset, Deed::Stop, Deed::ReadAll];

fn act(streams: &mut Streams, id: StreamId, deed: Deed) {
    match deed {
        Deed::Write => {
            // It may be stopped, reset or finished by now; that is what is tried here.
            let _refused = streams.write(id, pattern(id, 0, 5_000)).is_err();
        }
        Deed::Finish => {
            let _refused = streams.finish(id).is_err();
        }
        Deed::Reset => streams.reset(id, 7),
        Deed::Stop => streams.stop(id, 9),
        Deed::ReadAll => while let Ok(Read::Data(_)) = streams.read(id, usize::MAX) {},
    }
}

/// Whatever was done, both ends then give the stream up, and nothing of it may be left.
fn give_up(pair: &mut Pair, id: StreamId) {
    for side in [Side::Client, Side::Server] {
        let streams = &mut pair.node(side).streams;
        let _refused = streams.finish(id).is_err();
        act(streams, id, Deed::ReadAll);
    }
    pair.turn();
    pair.settle();
    for side in [Side::Client, Side::Server] {
        act(&mut pair.node(side).streams, id, Deed::ReadAll);
    }
    pair.turn();
    pair.settle();
    let context = pair.describe();
    for side in [Side::Client, Side::Server] {
        let node = pair.node(side);
        assert_eq!(node.ending(), "open", "{context}");
        assert!(node.streams.is_empty(), "{side:?} keeps a stream: {context}");
        assert!(!node.connection.ledger().is_open(id), "{side:?} keeps the numbers of a stream: {context}");
        assert_eq!(node.connection.ledger().receive_charged(), 0, "{side:?}: {context}");
        assert_eq!(node.connection.ledger().send_buffered(), 0, "{side:?}: {context}");
        assert_eq!(node.connection.bytes_in_flight(), 0, "{side:?}: {context}");
    }
}

#[test]
fn every_three_deeds_of_either_side_in_every_order() {
    let deeds: Vec<(Side, Deed)> =
        [Side::Client, Side::Server].into_iter().flat_map(|side| DEEDS.map(|deed| (side, deed))).collect();
    let mut pair = passive();
    for first in &deeds {
        for second in &deeds {
            for third in &deeds {
                for settles in [false, true] {
                    // The client opens it and says a little, so that the server knows it.
                    let id = pair.client().streams.open(Direction::Bidirectional).expect("streams are given back");
                    pair.client().streams.write(id, Bytes::from_static(b"hello")).unwrap();
                    pair.turn();
                    pair.settle();
                    for (side, deed) in [first, second, third] {
                        act(&mut pair.node(*side).streams, id, *deed);
                        pair.turn();
                        if settles {
                            pair.settle();
                        }
                    }
                    give_up(&mut pair, id);
                }
            }
        }
    }
}

#[test]
fn a_half_closed_stream_still_carries_the_other_way() {
    let mut pair = passive();
    let id = pair.client().streams.open(Direction::Bidirectional).unwrap();
    pair.client().streams.finish(id).unwrap();
    pair.turn();
    pair.settle();
    assert_eq!(pair.server().streams.read(id, 10), Ok(Read::Finished));
    pair.server().streams.write(id, pattern(id, 0, 50_000)).unwrap();
    pair.server().streams.finish(id).unwrap();
    pair.turn();
    pair.settle();
    let mut read = 0;
    loop {
        match pair.client().streams.read(id, usize::MAX).unwrap() {
            Read::Data(data) => {
                check(id, read, &data);
                read += data.len() as u64;
            }
            Read::Finished => break,
            Read::Blocked => panic!("blocked after {read}"),
        }
    }
    assert_eq!(read, 50_000);
    give_up(&mut pair, id);
}

#[test]
fn codes_of_resets_and_stops_arrive() {
    let mut pair = passive();
    let id = pair.client().streams.open(Direction::Bidirectional).unwrap();
    pair.client().streams.write(id, Bytes::from_static(b"x")).unwrap();
    pair.turn();
    pair.settle();
    pair.client().streams.reset(id, 0x1234);
    pair.client().streams.stop(id, 0x5678);
    pair.turn();
    pair.settle();
    assert_eq!(pair.server().streams.read(id, 10), Err(ReadError::Reset(0x1234)));
    let stopped = pair.server().streams.write(id, Bytes::from_static(b"y"));
    assert_eq!(stopped, Err(transport::stream::buffers::WriteError::Stopped(0x5678)));
    give_up(&mut pair, id);
}

#[test]
fn what_is_not_read_holds_the_peer_up_and_what_is_read_lets_it_go_on() {
    let mut pair = passive();
    let id = pair.client().streams.open(Direction::Unidirectional).unwrap();
    let mut written = 0;
    // Until nothing more is taken.
    for _ in 0..200 {
        while pair.client().streams.writable(id) > 0 {
            pair.client().streams.write(id, pattern(id, written, 16_384)).unwrap();
            written += 16_384;
        }
        pair.turn();
        pair.settle();
    }
    let held = pair.server().streams.counters().buffered_receive;
    assert_eq!(held, transport::limits::STREAM_WINDOW, "exactly one window is held");
    let mut read = 0;
    while let Ok(Read::Data(data)) = pair.server().streams.read(id, usize::MAX) {
        check(id, read, &data);
        read += data.len() as u64;
    }
    pair.turn();
    pair.settle();
    assert!(pair.server().streams.counters().buffered_receive > 0, "it went on");
    pair.client().streams.reset(id, 1);
    pair.turn();
    pair.settle();
    assert_eq!(pair.server().streams.read(id, 10), Err(ReadError::Reset(1)));
    give_up(&mut pair, id);
}

/// Random deeds on many streams through a bad network; then everything is given up, and nothing may be left.
#[test]
fn random_deeds_through_a_bad_network_leave_nothing() {
    for_each_seed(|seed| {
        let conditions = Conditions { loss: 80, reorder: 100, duplicate: 50, corrupt: 10, ..Conditions::default() };
        let settings = Settings::new(seed);
        let application = Application::passive(Side::Client);
        let mut network = Network::new(&settings, conditions, Weather::default(), application);
        network.server.service = Some(Service::Passive);
        let connected = network.run(Duration::from_secs(20), |network| {
            network.client.nodes[0].was_confirmed() || network.client.nodes[0].close_reason().is_some()
        });
        assert!(connected && network.client().was_confirmed(), "{}", network.describe());
        let mut random = seed;
        let mut draw = |limit: u64| quicast_tests::settings::splitmix(&mut random) % limit;
        let mut opened = Vec::new();
        for _ in 0..150 {
            let is_client = draw(2) == 0;
            let node = if is_client { network.client() } else { network.server() };
            if opened.is_empty() || draw(4) == 0 {
                let direction = if draw(3) == 0 { Direction::Unidirectional } else { Direction::Bidirectional };
                if let Some(id) = node.streams.open(direction) {
                    node.streams.write(id, pattern(id, 0, draw(3_000) as usize)).unwrap();
                    opened.push(id);
                }
            } else {
                let id = opened[draw(opened.len() as u64) as usize];
                act(&mut node.streams, id, DEEDS[draw(5) as usize]);
            }
            let now = network.now;
            let key = if is_client { 0 } else { network.server_key().unwrap_or(0) };
            let host = if is_client { &mut network.client } else { &mut network.server };
            host.turn(now, key);
            network.run(Duration::from_millis(draw(15)), |_| false);
        }
        network.set_conditions([Conditions::default(); 2]);
        for _ in 0..20 {
            for is_client in [true, false] {
                let now = network.now;
                let key = if is_client { 0 } else { network.server_key().unwrap_or(0) };
                let host = if is_client { &mut network.client } else { &mut network.server };
                for id in &opened {
                    let streams = &mut host.nodes[key].streams;
                    let _refused = streams.finish(*id).is_err();
                    act(streams, *id, Deed::ReadAll);
                }
                host.turn(now, key);
            }
            network.run(Duration::from_millis(500), |_| false);
        }
        network.check_no_leaks();
    });
}
