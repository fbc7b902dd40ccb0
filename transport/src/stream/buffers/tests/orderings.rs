//! Every order in which things may happen to one stream.

use super::*;

/// What may happen, each once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Happening {
    Data,
    DataAndEnd,
    Reset,
    StopByUs,
    StopByPeer,
    Write,
    Finish,
    ResetByUs,
    /// The application reads whatever there is.
    Read,
}

const ALL: [Happening; 9] = [
    Happening::Data,
    Happening::DataAndEnd,
    Happening::Reset,
    Happening::StopByUs,
    Happening::StopByPeer,
    Happening::Write,
    Happening::Finish,
    Happening::ResetByUs,
    Happening::Read,
];

/// When outputs reach the connection, and its acknowledgement comes back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pace {
    /// After everything has happened.
    Late,
    /// After each thing; acknowledged after everything.
    AtOnce,
    /// After each thing, and acknowledged at once.
    AcknowledgedAtOnce,
}

/// The connection, as far as one stream sees it: checks that it is told nothing that it must not be told.
struct Connection {
    id: StreamId,
    is_known: bool,
    credit: u64,
    handed_on: u64,
    is_sending_over: bool,
    is_acknowledged: bool,
    is_stopped: bool,
    is_released: bool,
    consumed: u64,
    closed: u32,
}

impl Connection {
    fn drain(&mut self, streams: &mut Streams) {
        while let Some(output) = streams.poll_output() {
            assert!(self.is_known || matches!(output, StreamOutput::Write { .. }), "a write opens a stream of ours");
            self.is_known = true;
            match output {
                StreamOutput::Write { id, data, fin } => {
                    assert!(id == self.id && !self.is_sending_over);
                    self.handed_on += data.len() as u64;
                    assert!(self.handed_on <= self.credit);
                    self.is_sending_over = fin;
                }
                StreamOutput::Reset { .. } => {
                    assert!(!self.is_acknowledged);
                    self.is_sending_over = true;
                }
                StreamOutput::Stop { .. } => {
                    assert!(!std::mem::replace(&mut self.is_stopped, true) && !self.is_released)
                }
                StreamOutput::Consumed { bytes, .. } => {
                    assert!(bytes > 0 && !self.is_released);
                    self.consumed += bytes;
                }
                StreamOutput::Released { .. } => assert!(!std::mem::replace(&mut self.is_released, true)),
                StreamOutput::OpenWanted { .. } | StreamOutput::Prioritize { .. } => panic!("that is what handles say"),
            }
        }
        while let Some(event) = streams.poll_event() {
            assert_eq!(self.closed, 0, "{event:?} after the last");
            self.closed += u32::from(matches!(event, StreamEvent::Closed { .. }));
        }
    }

    fn acknowledge(&mut self, streams: &mut Streams) {
        if self.is_sending_over && !self.is_acknowledged {
            self.is_acknowledged = true;
            streams.handle_input(StreamInput::Acknowledged { id: self.id });
        }
        self.drain(streams);
    }
}

fn apply(streams: &mut Streams, connection: &mut Connection, happening: Happening) {
    let id = connection.id;
    match happening {
        Happening::Data => streams.handle_input(data(id, 0, b"abcd", false)),
        Happening::DataAndEnd => streams.handle_input(data(id, 2, b"cdef", true)),
        Happening::Reset => streams.handle_input(StreamInput::Reset { id, code: 1 }),
        Happening::StopByUs => streams.stop(id, 2),
        Happening::StopByPeer => {
            streams.handle_input(StreamInput::Stopped { id, code: 3 });
            connection.is_known = true;
            connection.is_sending_over |= id.may_send(Side::Server);
        }
        Happening::Write => drop(streams.write(id, Bytes::from_static(b"0123456789"))),
        Happening::Finish => drop(streams.finish(id)),
        Happening::ResetByUs => streams.reset(id, 4),
        Happening::Read => while matches!(streams.read(id, 3), Ok(Read::Data(_))) {},
    }
}

fn run(id: StreamId, order: &[Happening], pace: Pace) {
    let mut streams = Streams::new(Side::Server, BufferConfig::default());
    streams.handle_input(StreamInput::OpenLimit { direction: id.direction(), limit: 1, credit: 4 });
    let is_ours = id.initiator() == Side::Server;
    if is_ours {
        assert_eq!(streams.open(id.direction()), Some(id));
    } else {
        streams.handle_input(StreamInput::Opened { id, credit: 4 });
    }
    let mut connection = Connection {
        id,
        is_known: !is_ours,
        credit: 4,
        handed_on: 0,
        is_sending_over: false,
        is_acknowledged: false,
        is_stopped: false,
        is_released: false,
        consumed: 0,
        closed: 0,
    };
    for happening in order {
        // The connection answers a stop itself, so it hears nothing of the half afterwards but what was on its way.
        if pace == Pace::Late && *happening == Happening::StopByPeer {
            connection.drain(&mut streams);
        }
        apply(&mut streams, &mut connection, *happening);
        match pace {
            Pace::Late => {}
            Pace::AtOnce => connection.drain(&mut streams),
            Pace::AcknowledgedAtOnce => {
                connection.drain(&mut streams);
                connection.acknowledge(&mut streams);
            }
        }
    }
    streams.drop_receive(id);
    streams.drop_send(id);
    connection.credit = 100;
    streams.handle_input(StreamInput::Credit { id, until: 100 });
    connection.drain(&mut streams);
    connection.acknowledge(&mut streams);
    assert_eq!(connection.closed, 1, "{order:?} {pace:?} {:?}", streams);
    assert_eq!(connection.is_released, id.may_receive(Side::Server));
    assert!(streams.is_empty() && streams.entries.iter().next().is_none());
    let counters = streams.counters();
    assert_eq!((counters.buffered_receive, counters.buffered_send, counters.gaps), (0, 0, 0));
    assert_eq!((counters.delivered, counters.handed_on), (connection.consumed, connection.handed_on));
}

/// Heap's algorithm.
fn permutations(items: &mut [Happening], length: usize, visit: &mut impl FnMut(&[Happening])) {
    if length <= 1 {
        return visit(items);
    }
    for index in 0..length {
        permutations(items, length - 1, visit);
        items.swap(if length.is_multiple_of(2) { index } else { 0 }, length - 1);
    }
}

fn in_every_order(id: StreamId, happenings: &[Happening], pace: Pace) {
    let mut count = 0;
    permutations(&mut happenings.to_vec(), happenings.len(), &mut |order| {
        run(id, order, pace);
        count += 1;
    });
    assert_eq!(count, (1..=happenings.len()).product::<usize>());
}

#[test]
fn in_no_order_is_anything_left_of_a_stream_of_the_peer() {
    in_every_order(peer_stream(0), &ALL, Pace::AtOnce);
}

#[test]
fn in_no_order_is_anything_left_when_all_happens_in_one_turn() {
    in_every_order(peer_stream(0), &ALL, Pace::Late);
}

#[test]
fn in_no_order_is_anything_left_when_acknowledgements_are_quick() {
    in_every_order(our_stream(0), &ALL, Pace::AcknowledgedAtOnce);
}

#[test]
fn in_no_order_is_anything_left_of_shorter_lives() {
    for left_out in ALL {
        let happenings: Vec<Happening> = ALL.into_iter().filter(|happening| *happening != left_out).collect();
        in_every_order(our_stream(0), &happenings[..6], Pace::AtOnce);
        in_every_order(our_stream(0), &happenings[2..], Pace::Late);
        in_every_order(peer_stream(0), &happenings[2..], Pace::AcknowledgedAtOnce);
    }
}

#[test]
fn in_no_order_is_anything_left_of_a_stream_with_one_half() {
    for initiator in [Side::Client, Side::Server] {
        let id = StreamId::new(initiator, Direction::Unidirectional, 0);
        for pace in [Pace::Late, Pace::AtOnce, Pace::AcknowledgedAtOnce] {
            in_every_order(id, &ALL[..7], pace);
            in_every_order(id, &ALL[2..], pace);
        }
    }
}
