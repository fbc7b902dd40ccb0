//! The orders in which a stream may end: all of them, by either side, in the same packets and in packets of their own.

use std::collections::BTreeSet;

use bytes::Bytes;
use codec::frame::{Frame, ResetStream, StopSending, Stream};
use codec::{Direction, Side, StreamId};
use quicast_tests::puppet::Stage;
use quicast_tests::{Puppet, Settings};
use recovery::SpaceId;

use crate::support::*;

/// What can happen to a stream.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Act {
    /// The puppet sends data without the end.
    Data,
    /// The puppet sends the end.
    End,
    /// The puppet abandons its half.
    Reset,
    /// The puppet wants no more.
    Stop,
    /// The victim abandons its half.
    OwnReset,
    /// The victim wants no more.
    OwnStop,
}

impl Act {
    const ALL: [Self; 6] = [Self::Data, Self::End, Self::Reset, Self::Stop, Self::OwnReset, Self::OwnStop];

    /// The frame, if it is the puppet's act. All agree about the final size.
    fn frame(self, id: StreamId) -> Option<Frame<'static>> {
        Some(match self {
            Self::Data => Frame::Stream(Stream { id, offset: 0, fin: false, data: b"data" }),
            Self::End => Frame::Stream(Stream { id, offset: 4, fin: true, data: b"end" }),
            Self::Reset => Frame::ResetStream(ResetStream { id, code: 1, final_size: 7 }),
            Self::Stop => Frame::StopSending(StopSending { id, code: 2 }),
            Self::OwnReset | Self::OwnStop => return None,
        })
    }
}

fn permutations(of: &[Act]) -> Vec<Vec<Act>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (place, act) in of.iter().enumerate() {
        let mut rest = of.to_vec();
        rest.remove(place);
        all.extend(permutations(&rest).into_iter().map(|mut tail| {
            tail.insert(0, *act);
            tail
        }));
    }
    all
}

/// Lets everything in `order` happen to the stream, the puppet's neighbouring frames in one packet or each in its own.
fn perform(puppet: &mut Puppet, id: StreamId, order: &[Act], together: bool) {
    let mut waiting: Vec<Frame<'static>> = Vec::new();
    for act in order {
        if let Some(frame) = act.frame(id) {
            waiting.push(frame);
            if together {
                continue;
            }
        }
        if !waiting.is_empty() {
            puppet.say(SpaceId::Application, &waiting);
            waiting.clear();
        }
        match act {
            Act::OwnReset => puppet.victim().streams.reset(id, 3),
            Act::OwnStop => puppet.victim().streams.stop(id, 4),
            _ => continue,
        }
        puppet.turn();
    }
    if !waiting.is_empty() {
        puppet.say(SpaceId::Application, &waiting);
    }
}

/// All orders of the acts on a stream each, on one connection that must live through all of them without a leak.
fn all_orders(victim: Side, together: bool, initiator: Side) {
    let settings = Settings::new(1).map(|config| config.max_concurrent_bidirectional_streams = 800);
    let mut puppet = Puppet::with_parameters(&settings, victim, Stage::Established, |own| {
        own.initial_max_streams_bidi = 800;
    });
    let orders = permutations(&Act::ALL);
    assert_eq!(orders.len(), 720);
    for (index, order) in orders.iter().enumerate() {
        let id = StreamId::new(initiator, Direction::Bidirectional, index as u64);
        if initiator == victim {
            let opened = puppet.victim().streams.open(Direction::Bidirectional).unwrap();
            assert_eq!(opened, id);
            puppet.victim().streams.write(id, Bytes::from_static(b"x")).unwrap();
            puppet.turn();
        } else {
            // Streams begin at the puppet's first frame; the victim cannot act on one that it has not seen.
            puppet.say(SpaceId::Application, &[Frame::Stream(Stream { id, offset: 0, fin: false, data: b"d" })]);
        }
        perform(&mut puppet, id, order, together);
        assert_eq!(puppet.victim().ending(), "open", "{victim:?}, {order:?}");
        // Everything again: repeated frames of a stream that is ending or gone change nothing.
        let again: Vec<Frame<'static>> = Act::ALL.iter().filter_map(|act| act.frame(id)).collect();
        puppet.say(SpaceId::Application, &again);
        assert_eq!(puppet.victim().ending(), "open", "{victim:?}, {order:?}, said again");
        if index % 16 == 15 {
            puppet.acknowledge_all();
        }
    }
    puppet.acknowledge_all();
    let streams = &mut puppet.victim().streams;
    for index in 0..orders.len() as u64 {
        let id = StreamId::new(initiator, Direction::Bidirectional, index);
        streams.drop_receive(id);
        streams.drop_send(id);
    }
    puppet.turn();
    puppet.acknowledge_all();
    assert_goes_on(&mut puppet);
    let ledger = puppet.victim().connection.ledger();
    assert_eq!(ledger.receive_charged(), 0, "{victim:?}: received bytes stay charged");
    assert_eq!(ledger.send_buffered(), 0, "{victim:?}: bytes to send are kept");
    for index in 0..orders.len() as u64 {
        let id = StreamId::new(initiator, Direction::Bidirectional, index);
        assert!(!puppet.victim().connection.is_stream_known(id), "{victim:?}: {:?} stays", orders[index as usize]);
    }
}

#[test]
fn a_stream_of_the_puppets_ends_in_every_order_in_packets_of_their_own() {
    for victim in SIDES {
        all_orders(victim, false, victim.peer());
    }
}

#[test]
fn a_stream_of_the_puppets_ends_in_every_order_in_the_same_packets() {
    for victim in SIDES {
        all_orders(victim, true, victim.peer());
    }
}

#[test]
fn a_stream_of_the_victims_ends_in_every_order_in_packets_of_their_own() {
    for victim in SIDES {
        all_orders(victim, false, victim);
    }
}

#[test]
fn a_stream_of_the_victims_ends_in_every_order_in_the_same_packets() {
    for victim in SIDES {
        all_orders(victim, true, victim);
    }
}

/// The code of a stream that was reset and stopped says who did what first.
#[test]
fn a_victims_reset_names_the_code_of_whoever_came_first() {
    for victim in SIDES {
        for (order, code) in [([Act::OwnReset, Act::Stop], 3), ([Act::Stop, Act::OwnReset], 2)] {
            let mut puppet = puppet(victim, Stage::Established);
            let id = theirs(victim, 0);
            puppet.say(SpaceId::Application, &[Frame::Stream(Stream { id, offset: 0, fin: false, data: b"d" })]);
            perform(&mut puppet, id, &order, false);
            let codes: BTreeSet<u64> = puppet
                .heard_frames(SpaceId::Application)
                .filter_map(|frame| match frame {
                    Frame::ResetStream(reset) => Some(reset.code),
                    _ => None,
                })
                .collect();
            assert_eq!(codes, BTreeSet::from([code]), "{victim:?} {order:?}");
        }
    }
}
