use proptest::prelude::*;

use super::*;

mod orderings;

fn peer_stream(index: u64) -> StreamId {
    StreamId::new(Side::Client, Direction::Bidirectional, index)
}

fn our_stream(index: u64) -> StreamId {
    StreamId::new(Side::Server, Direction::Bidirectional, index)
}

/// A server's streams, with credit to open ten of each kind.
fn streams() -> Streams {
    let mut streams = Streams::new(Side::Server, BufferConfig::default());
    for direction in [Direction::Bidirectional, Direction::Unidirectional] {
        streams.handle_input(StreamInput::OpenLimit { direction, limit: 10, credit: 1000 });
    }
    events(&mut streams);
    streams
}

fn opened(streams: &mut Streams, index: u64) -> StreamId {
    let id = peer_stream(index);
    streams.handle_input(StreamInput::Opened { id, credit: 1000 });
    id
}

fn data(id: StreamId, offset: u64, data: &[u8], fin: bool) -> StreamInput {
    StreamInput::Data { id, offset, data: Bytes::copy_from_slice(data), fin }
}

fn events(streams: &mut Streams) -> Vec<StreamEvent> {
    std::iter::from_fn(|| streams.poll_event()).collect()
}

fn outputs(streams: &mut Streams) -> Vec<String> {
    std::iter::from_fn(|| streams.poll_output()).map(describe).collect()
}

fn describe(output: StreamOutput) -> String {
    match output {
        StreamOutput::Write { id, data, fin } => {
            format!("{id} write {}{}", String::from_utf8_lossy(&data), if fin { " fin" } else { "" })
        }
        StreamOutput::Reset { id, code } => format!("{id} reset {code}"),
        StreamOutput::Stop { id, code } => format!("{id} stop {code}"),
        StreamOutput::Consumed { id, bytes } => format!("{id} consumed {bytes}"),
        StreamOutput::Released { id } => format!("{id} released"),
        StreamOutput::OpenWanted { direction, limit } => format!("more than {limit} {direction:?} wanted"),
        StreamOutput::Prioritize { id, priority } => format!("{id} has {priority:?}"),
    }
}

#[test]
fn streams_open_in_order_within_the_limit() {
    let mut streams = Streams::new(Side::Server, BufferConfig::default());
    let bidirectional = Direction::Bidirectional;
    assert_eq!(streams.open(bidirectional), None);
    streams.handle_input(StreamInput::OpenLimit { direction: bidirectional, limit: 2, credit: 5 });
    assert_eq!(events(&mut streams), [StreamEvent::OpenPermitted { direction: bidirectional }]);
    assert_eq!(streams.open(bidirectional), Some(our_stream(0)));
    assert_eq!(streams.open(bidirectional), Some(our_stream(1)));
    assert_eq!(streams.open(bidirectional), None);
    assert_eq!(streams.open(Direction::Unidirectional), None);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-4.6
    //= type=test
    //# MAX_STREAMS frames that do not increase the stream limit MUST be
    //# ignored.
    streams.handle_input(StreamInput::OpenLimit { direction: bidirectional, limit: 1, credit: 5 });
    assert_eq!(events(&mut streams), []);
    assert_eq!(streams.open(bidirectional), None);
}

#[test]
fn a_request_and_its_answer() {
    let mut streams = streams();
    let id = opened(&mut streams, 0);
    streams.handle_input(data(id, 0, b"request", true));
    assert_eq!(events(&mut streams), [StreamEvent::Opened { id }, StreamEvent::Readable { id }]);
    assert_eq!(streams.read(id, 100), Ok(Read::Data(Bytes::from_static(b"request"))));
    assert_eq!(streams.read(id, 100), Ok(Read::Finished));
    streams.write(id, Bytes::from_static(b"answer")).unwrap();
    streams.finish(id).unwrap();
    assert_eq!(outputs(&mut streams), ["0 consumed 7", "0 released", "0 write answer fin"]);
    assert_eq!(events(&mut streams), []);
    streams.handle_input(StreamInput::Acknowledged { id });
    assert_eq!(outputs(&mut streams), [""; 0]);
    assert_eq!(events(&mut streams), [StreamEvent::Finished { id }, StreamEvent::Closed { id }]);
    assert!(streams.is_empty() && !streams.contains(id));
    let expected = BufferCounters { delivered: 7, handed_on: 6, copied: 7, ..BufferCounters::default() };
    assert_eq!(streams.counters(), expected);
}

#[test]
fn a_stream_that_is_gone_is_a_normal_thing_to_hear_of() {
    let mut streams = streams();
    let id = opened(&mut streams, 0);
    streams.drop_receive(id);
    streams.drop_send(id);
    outputs(&mut streams);
    streams.handle_input(StreamInput::Acknowledged { id });
    assert_eq!(events(&mut streams).last(), Some(&StreamEvent::Closed { id }));
    for id in [id, peer_stream(9), our_stream(0)] {
        streams.handle_input(StreamInput::Acknowledged { id });
        streams.handle_input(data(id, 5, b"x", true));
        streams.handle_input(StreamInput::Reset { id, code: 1 });
        streams.handle_input(StreamInput::Stopped { id, code: 1 });
        streams.handle_input(StreamInput::Credit { id, until: 1 });
        streams.handle_input(StreamInput::Opened { id: our_stream(0), credit: 1 });
        streams.reset(id, 1);
        streams.stop(id, 1);
        streams.drop_send(id);
        streams.drop_receive(id);
        assert_eq!(streams.read(id, 1), Err(ReadError::Unknown));
        assert_eq!(streams.write(id, Bytes::new()), Err(WriteError::Unknown));
        assert_eq!((streams.finish(id), streams.writable(id)), (Err(WriteError::Unknown), 0));
        assert!(streams.take(id).is_none());
    }
    streams.handle_input(StreamInput::Opened { id, credit: 1 });
    assert_eq!((events(&mut streams), outputs(&mut streams), streams.len()), (vec![], vec![], 0));
}

#[test]
fn readable_is_said_once_for_everything_that_comes_before_it_is_read() {
    let mut streams = streams();
    let id = opened(&mut streams, 0);
    events(&mut streams);
    streams.handle_input(data(id, 3, b"def", false));
    assert_eq!(events(&mut streams), [], "out of order");
    streams.handle_input(data(id, 0, b"abc", false));
    assert_eq!(events(&mut streams), [StreamEvent::Readable { id }]);
    streams.handle_input(data(id, 6, b"ghi", false));
    assert_eq!(events(&mut streams), [], "there was something to read already");
    while matches!(streams.read(id, 2), Ok(Read::Data(_))) {}
    streams.handle_input(data(id, 9, b"", true));
    assert_eq!(events(&mut streams), [StreamEvent::Readable { id }], "the end is something to read");
    streams.handle_input(data(id, 9, b"", true));
    assert_eq!(events(&mut streams), []);
}

#[test]
fn what_was_read_before_it_was_announced_is_not_announced() {
    let mut streams = streams();
    let id = opened(&mut streams, 0);
    events(&mut streams);
    streams.handle_input(data(id, 0, b"abc", false));
    streams.read(id, 100).unwrap();
    assert_eq!(events(&mut streams), []);
}

#[test]
fn a_reset_replaces_what_was_readable() {
    let mut streams = streams();
    let id = opened(&mut streams, 0);
    streams.handle_input(data(id, 0, b"abc", false));
    streams.handle_input(StreamInput::Reset { id, code: 7 });
    assert_eq!(events(&mut streams), [StreamEvent::Opened { id }, StreamEvent::ReceiveReset { id, code: 7 }]);
    assert_eq!(streams.counters().buffered_receive, 0);
    assert_eq!(streams.read(id, 100), Err(ReadError::Reset(7)));
    assert_eq!(outputs(&mut streams), ["0 released"]);
}

#[test]
fn who_fills_the_backlog_is_told_when_half_of_it_is_free() {
    let config = BufferConfig { backlog: 10, ..BufferConfig::default() };
    let mut streams = Streams::new(Side::Server, config);
    let id = opened(&mut streams, 0);
    streams.handle_input(StreamInput::Opened { id: peer_stream(1), credit: 0 });
    events(&mut streams);
    assert_eq!(streams.writable(id), 1010);
    streams.write(id, Bytes::from(vec![b'a'; 1010])).unwrap();
    assert_eq!(streams.write(id, Bytes::from_static(b"b")), Err(WriteError::Full(Bytes::from_static(b"b"))));
    outputs(&mut streams);
    assert_eq!((streams.counters().buffered_send, streams.writable(id)), (10, 0));
    streams.handle_input(StreamInput::Credit { id, until: 1004 });
    outputs(&mut streams);
    assert_eq!(events(&mut streams), []);
    streams.handle_input(StreamInput::Credit { id, until: 1005 });
    assert_eq!(outputs(&mut streams), ["0 write a"]);
    assert_eq!(events(&mut streams), [StreamEvent::Writable { id }]);
    streams.handle_input(StreamInput::Credit { id, until: 1010 });
    outputs(&mut streams);
    assert_eq!(events(&mut streams), [], "nobody waits");
}

#[test]
fn consumed_bytes_of_a_reader_that_pauses_are_reported_when_asked() {
    let mut streams = streams();
    let id = opened(&mut streams, 0);
    streams.handle_input(data(id, 0, &[1; 100], false));
    streams.read(id, 60).unwrap();
    streams.read(id, 1).unwrap();
    assert_eq!(outputs(&mut streams), [""; 0]);
    streams.flush_consumed();
    streams.flush_consumed();
    assert_eq!(outputs(&mut streams), ["0 consumed 61"]);
    streams.read(id, 1).unwrap();
    assert_eq!(streams.unflushed.len(), 1);
    assert!(streams.take(id).is_some());
    assert_eq!(streams.unflushed.len(), 0, "nothing is remembered of a stream that is not here");
}

#[test]
fn a_stream_is_not_closed_before_the_connection_has_heard_everything() {
    let mut streams = streams();
    let id = StreamId::new(Side::Client, Direction::Unidirectional, 0);
    streams.handle_input(StreamInput::Opened { id, credit: 0 });
    streams.stop(id, 5);
    assert_eq!(events(&mut streams), [StreamEvent::Opened { id }]);
    assert_eq!(outputs(&mut streams), ["2 stop 5", "2 released"]);
    assert_eq!(events(&mut streams), [StreamEvent::Closed { id }]);
}

#[test]
fn a_stream_that_was_taken_out_early_does_not_ask_for_it() {
    let mut streams = Streams::new(Side::Server, BufferConfig { promotion: 8, ..BufferConfig::default() });
    let id = opened(&mut streams, 0);
    let mut taken = streams.take(id).unwrap();
    taken.write(Bytes::from_static(b"0123456789")).unwrap();
    assert!(taken.poll_output().is_some());
    assert_eq!((taken.poll_event(), taken.poll_event()), (Some(StreamEvent::Opened { id }), None));
}

#[test]
fn giving_up_a_handle_of_a_stream_of_ours_that_nobody_knows_announces_it() {
    let mut streams = streams();
    let id = streams.open(Direction::Bidirectional).unwrap();
    streams.drop_receive(id);
    assert_eq!(outputs(&mut streams), ["1 write ", "1 stop 0", "1 released"]);
    streams.drop_send(id);
    assert_eq!(outputs(&mut streams), ["1 reset 0"]);
    let id = streams.open(Direction::Unidirectional).unwrap();
    streams.drop_receive(id);
    assert_eq!(streams.read(id, 1), Err(ReadError::Unknown));
    streams.drop_send(id);
    assert_eq!(outputs(&mut streams), ["3 write ", "3 reset 0"]);
}

#[test]
fn gaps_over_all_streams_are_limited() {
    const STEP: usize = limits::COPIED_BELOW + 1;
    let mut streams = streams();
    let piece = Bytes::from(vec![0; limits::COPIED_BELOW]);
    let mut inserted = 0;
    for index in 0..8 {
        let id = opened(&mut streams, index);
        for number in 0..limits::STREAM_GAPS {
            let offset = (1 + number * STEP) as u64;
            streams.handle_input(StreamInput::Data { id, offset, data: piece.clone(), fin: false });
            inserted += piece.len() as u64;
        }
    }
    let counters = streams.counters();
    assert_eq!(counters.gaps, limits::CONNECTION_GAPS as u64);
    assert!(counters.connection_gaps_hit > 0);
    assert_eq!(counters.stream_gaps_hit, 0);
    assert_eq!(counters.buffered_receive, inserted, "nothing is lost");
    let last = peer_stream(7);
    streams.stop(peer_stream(0), 0);
    streams.handle_input(data(last, 0, &[0], false));
    assert_eq!(streams.counters().gaps, (limits::CONNECTION_GAPS - limits::STREAM_GAPS) as u64);
    let Ok(Read::Data(read)) = streams.read(last, usize::MAX) else { panic!() };
    assert!(read.len() > limits::COPIED_BELOW);
}

#[test]
fn a_stream_that_moved_enough_is_promotable_once_and_goes_on_where_it_was() {
    let config = BufferConfig { promotion: 8, consumed: 100, ..BufferConfig::default() };
    let mut streams = Streams::new(Side::Server, config);
    let id = opened(&mut streams, 0);
    let other = opened(&mut streams, 1);
    events(&mut streams);
    streams.handle_input(data(id, 0, b"abcdef", false));
    streams.handle_input(data(id, 8, b"ijk", true));
    streams.read(id, 5).unwrap();
    streams.write(id, Bytes::from_static(b"123")).unwrap();
    assert_eq!(outputs(&mut streams), ["0 write 123"]);
    assert_eq!(events(&mut streams), [StreamEvent::Readable { id }, StreamEvent::Promotable { id }]);

    // It owes a report and a write, and has something to say.
    streams.write(id, Bytes::from(vec![b'4'; 2000])).unwrap();
    streams.flush_consumed();
    streams.handle_input(StreamInput::Stopped { id: other, code: 3 });
    let mut taken = streams.take(id).unwrap();
    assert!(streams.take(id).is_none() && !streams.contains(id));
    assert_eq!((streams.counters().buffered_receive, streams.counters().buffered_send), (0, 0));
    assert_eq!(outputs(&mut streams), [""; 0]);
    assert_eq!(events(&mut streams), [StreamEvent::Stopped { id: other, code: 3 }]);

    assert_eq!(taken.id(), id);
    let start = BufferCounters { buffered_receive: 4, buffered_send: 2000, ..BufferCounters::default() };
    assert_eq!(taken.counters(), start);
    let Some(StreamOutput::Consumed { bytes: 5, .. }) = taken.poll_output() else { panic!() };
    let Some(StreamOutput::Write { data: written, fin: false, .. }) = taken.poll_output() else { panic!() };
    assert_eq!((written.len(), taken.poll_output().is_none()), (997, true));
    taken.handle_input(data(id, 6, b"gh", false));
    taken.handle_input(data(other, 0, b"not mine", false));
    assert_eq!(taken.read(100), Ok(Read::Data(Bytes::from_static(b"f"))));
    assert_eq!(taken.read(100), Ok(Read::Data(Bytes::from_static(b"ghijk"))));
    assert_eq!(taken.read(100), Ok(Read::Finished));
    taken.finish().unwrap();
    taken.handle_input(StreamInput::Credit { id, until: 5000 });
    let rest: Vec<String> = std::iter::from_fn(|| taken.poll_output()).map(describe).collect();
    assert_eq!(rest, ["0 consumed 6", "0 released", &format!("0 write {} fin", "4".repeat(1003))]);
    taken.handle_input(StreamInput::Acknowledged { id });
    let said: Vec<StreamEvent> = std::iter::from_fn(|| taken.poll_event()).collect();
    assert_eq!(said, [StreamEvent::Finished { id }, StreamEvent::Closed { id }]);
    assert_eq!((taken.counters().delivered, taken.counters().handed_on), (6, 2000));
    assert_eq!((streams.counters().delivered, streams.counters().handed_on), (5, 3));
}

#[test]
fn what_was_not_yet_polled_moves_along() {
    let mut streams = streams();
    let id = opened(&mut streams, 0);
    streams.handle_input(data(id, 0, b"abc", false));
    streams.write(id, Bytes::from_static(b"xyz")).unwrap();
    let mut taken = streams.take(id).unwrap();
    assert_eq!((outputs(&mut streams), events(&mut streams)), (vec![], vec![]));
    assert_eq!(taken.poll_output().map(describe).unwrap(), "0 write xyz");
    assert_eq!(taken.poll_event(), Some(StreamEvent::Opened { id }));
    assert_eq!(taken.poll_event(), Some(StreamEvent::Readable { id }));
}

#[test]
fn buffers_can_move_to_another_thread_and_are_small() {
    const fn is_send<T: Send>() {}
    is_send::<StreamBuffers>();
    is_send::<Streams>();
    assert!(size_of::<StreamBuffers>() <= 480, "{}", size_of::<StreamBuffers>());
}

#[test]
fn waiting_events_are_bounded_by_the_streams() {
    let mut streams = streams();
    for index in 0..10 {
        let id = opened(&mut streams, index);
        for round in 0..100 {
            streams.handle_input(data(id, round, b"x", false));
            streams.read(id, 1).unwrap();
            streams.handle_input(data(id, round + 1, b"", false));
            streams.handle_input(StreamInput::Stopped { id, code: round });
            streams.handle_input(StreamInput::OpenLimit {
                direction: Direction::Bidirectional,
                limit: 100 * index + round,
                credit: 0,
            });
        }
        streams.handle_input(StreamInput::Acknowledged { id });
    }
    assert!(streams.events.len() <= 10 && streams.outputs.len() <= 10 && streams.unflushed.len() <= 10);
    assert_eq!(events(&mut streams).len(), 1 + 10 * 3, "opened, stopped, finished");
}

/// A step of somebody who writes, and of the connection that gives credit.
#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    Credit(u64),
    Poll,
    Finish,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..400_usize).prop_map(Step::Write),
        3 => (0..3000_u64).prop_map(Step::Credit),
        2 => Just(Step::Poll),
        1 => Just(Step::Finish),
    ]
}

proptest! {
    #[test]
    fn credit_is_never_exceeded_and_bytes_leave_as_they_were_written(
        steps in prop::collection::vec(step(), 1..80),
        first_credit in 0..100_u64,
        backlog in 1..500_usize,
    ) {
        let direction = Direction::Unidirectional;
        let mut streams = Streams::new(Side::Client, BufferConfig { backlog, ..BufferConfig::default() });
        streams.handle_input(StreamInput::OpenLimit { direction, limit: 1, credit: first_credit });
        let id = streams.open(direction).unwrap();
        let (mut written, mut sent) = (Vec::new(), Vec::new());
        let (mut credit, mut is_finished, mut is_ended) = (first_credit, false, false);
        // In the end there is credit for everything.
        for step in steps.into_iter().chain([Step::Finish, Step::Credit(u64::MAX), Step::Poll]) {
            match step {
                Step::Write(length) => {
                    let piece: Vec<u8> = (0..length).map(|index| (written.len() + index) as u8).collect();
                    let room = streams.writable(id);
                    let expected = backlog + (credit as usize).saturating_sub(sent.len());
                    let queued = written.len() - sent.len();
                    prop_assert_eq!(room, if is_finished { 0 } else { expected.saturating_sub(queued) });
                    match streams.write(id, Bytes::from(piece.clone())) {
                        Ok(()) => {
                            prop_assert!(room > 0);
                            written.extend(piece);
                        }
                        Err(WriteError::Full(back)) => prop_assert_eq!((room, &back[..]), (0, &piece[..])),
                        Err(error) => prop_assert!(is_finished && error == WriteError::Finished),
                    }
                }
                Step::Credit(until) => {
                    streams.handle_input(StreamInput::Credit { id, until });
                    credit = credit.max(until);
                }
                Step::Finish => {
                    prop_assert_eq!(streams.finish(id).is_ok(), !is_finished);
                    is_finished = true;
                }
                Step::Poll => {
                    while let Some(output) = streams.poll_output() {
                        let StreamOutput::Write { data, fin, .. } = output else { panic!("{output:?}") };
                        prop_assert!(!is_ended);
                        is_ended = fin;
                        sent.extend_from_slice(&data);
                    }
                    prop_assert!(sent.len() as u64 <= credit);
                    prop_assert!(sent.len() == written.len() || sent.len() as u64 == credit, "all that may leave leaves");
                    prop_assert_eq!(is_ended, is_finished && sent.len() == written.len());
                }
            }
            prop_assert_eq!(streams.counters().buffered_send, (written.len() - sent.len()) as u64);
        }
        prop_assert_eq!(sent, written);
        prop_assert!(is_ended);
    }
}

#[test]
fn a_burst_of_streams_leaves_no_room_behind_when_it_is_quiet() {
    let mut streams = streams();
    for index in 0..1_000 {
        let id = opened(&mut streams, index);
        streams.handle_input(data(id, 0, b"abc", true));
        streams.read(id, 10).unwrap();
        streams.read(id, 10).unwrap();
        streams.reset(id, 0);
    }
    outputs(&mut streams);
    for index in 0..1_000 {
        streams.handle_input(StreamInput::Acknowledged { id: peer_stream(index) });
    }
    assert_eq!(events(&mut streams).len(), 3_000, "opened, finished, closed");
    assert!(streams.is_empty());
    assert!(streams.entries.capacity() <= crate::stream::places::KEPT, "{}", streams.entries.capacity());
    streams.shrink();
    assert_eq!((streams.entries.capacity(), streams.index.capacity()), (0, 0));
    assert_eq!((streams.outputs.capacity(), streams.events.capacity(), streams.unflushed.capacity()), (0, 0, 0));
    let id = opened(&mut streams, 1_000);
    assert_eq!(events(&mut streams), [StreamEvent::Opened { id }]);
}
