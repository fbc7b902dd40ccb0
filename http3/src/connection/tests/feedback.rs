//! When what the QPACK decoder says leaves.

use std::time::Duration;

use http::Response;

use super::pair::*;
use super::*;
use crate::limits;

/// On the peer's encoder stream: its type, a capacity of 100 bytes, and the line `x: y` (RFC 9204 §4.3).
const INSERTION: &[u8] = b"\x02\x3f\x45\x41x\x01y";
/// HEADERS of GET https://localhost/ with that line (RFC 9204 §4.5).
const REQUEST: &[u8] = b"\x01\x11\x02\x00\xd1\xd7\x50\x09localhost\xc1\x80";
/// Half of what waiting is permitted.
const MOMENT: Duration = Duration::from_micros(limits::FEEDBACK_DELAY.as_micros() as u64 / 2);

/// A server whose client has inserted a line.
fn server() -> Alone {
    let mut server = Alone::new(Side::Server);
    server.now += Duration::from_secs(1);
    server.feed(uni(Side::Client, 1), INSERTION, false);
    server
}

fn said(server: &Alone) -> Vec<u8> {
    server.written(uni(Side::Server, 2)).0
}

fn wait(server: &mut Alone, time: Duration) {
    server.now += time;
    server.machine.handle_deadline(server.now);
    server.drain();
}

#[test]
fn a_section_is_acknowledged_with_the_response_and_with_the_insertion() {
    let mut server = server();
    wait(&mut server, MOMENT);
    server.feed(bidi(0), REQUEST, true);
    wait(&mut server, MOMENT.saturating_sub(Duration::from_nanos(1)));
    assert_eq!((said(&server), server.told()), (vec![], vec!["request", "finished"]));
    server.machine.send_response(server.now, bidi(0), &Response::new(()), true).unwrap();
    server.drain();
    // Section Acknowledgment of stream 0, which says that the insertion came, too.
    assert_eq!(said(&server), [0x80]);
    assert!(server.written(bidi(0)).1);
    server.take_writes();
    assert_eq!(server.machine.feedback.due(), None);
}

#[test]
fn a_section_is_acknowledged_in_time_if_nothing_else_leaves() {
    let mut server = server();
    server.feed(bidi(0), REQUEST, true);
    assert_eq!(server.machine.feedback.due(), Some(server.now + limits::FEEDBACK_DELAY));
    wait(&mut server, limits::FEEDBACK_DELAY - Duration::from_nanos(1));
    assert_eq!(said(&server), []);
    wait(&mut server, Duration::from_nanos(1));
    assert_eq!((said(&server), server.machine.feedback.due()), (vec![0x80], None));
}

#[test]
fn an_insertion_is_acknowledged_in_time_if_nobody_refers_to_it() {
    let mut server = server();
    wait(&mut server, limits::FEEDBACK_DELAY - Duration::from_nanos(1));
    assert_eq!(said(&server), []);
    wait(&mut server, Duration::from_nanos(1));
    assert_eq!((said(&server), server.machine.feedback.due()), (vec![0x01], None));
}

#[test]
fn what_waits_does_not_wait_longer_for_what_comes_later() {
    let mut server = server();
    for index in 0..4 {
        server.feed(bidi(index), REQUEST, true);
        wait(&mut server, limits::FEEDBACK_DELAY / 4);
    }
    assert_eq!(said(&server), [0x80, 0x84, 0x88, 0x8c]);
}

#[test]
fn what_leaves_without_what_waits_is_nothing() {
    // Other things than responses take it along as well: a reset, a frame of the control stream.
    let acts: [fn(&mut Connection); 2] =
        [|machine| machine.reset(bidi(0), Code::H3_INTERNAL_ERROR), |machine| machine.goaway()];
    for act in acts {
        let mut server = server();
        server.feed(bidi(0), REQUEST, true);
        act(&mut server.machine);
        server.drain();
        assert_eq!(said(&server), [0x80]);
    }
    // Credit does not: the transport sends it when it is worth it.
    let mut server = server();
    server.feed(bidi(0), REQUEST, true);
    server.machine.data_consumed(server.now, bidi(0), 1);
    server.drain();
    assert_eq!(said(&server), []);
}

#[test]
fn so_many_sections_wait_and_with_one_more_all_are_acknowledged() {
    let mut server = server();
    let mut index = 0;
    while said(&server).is_empty() && index < 100 {
        let waiting = server.machine.decoder.instruction_bytes();
        assert!(waiting < limits::FEEDBACK_BYTES, "{waiting} bytes wait");
        server.feed(bidi(index), REQUEST, true);
        index += 1;
    }
    let said = said(&server).len();
    assert!((limits::FEEDBACK_BYTES..limits::FEEDBACK_BYTES + 2).contains(&said), "{said}");
    assert_eq!((index, server.machine.feedback.due()), (48, None), "32 with a byte each, and 16 with two");
}

#[test]
fn nothing_is_said_on_a_connection_that_is_over() {
    let mut server = server();
    server.feed(bidi(0), REQUEST, true);
    server.machine.handle_closed();
    wait(&mut server, limits::FEEDBACK_DELAY);
    assert_eq!((said(&server), server.machine.feedback.due()), (vec![], None));
}

#[test]
fn requests_one_after_the_other_cost_a_turn_of_sending_each_way() {
    let mut pair = Pair::with(7, Config { grease: false, ..Config::default() });
    for _ in 0..20 {
        pair.request(asking(64), None);
        pair.run_now();
    }
    let before = pair.turns;
    for _ in 0..100 {
        pair.request(asking(64), None);
        pair.run_now();
    }
    let referred = pair.ends[SERVER].machine.qpack_stats().1.dynamic_lines;
    assert!(referred >= 100, "the dynamic table is used, so that there is something to acknowledge: {referred}");
    // The request, with what was to be said of the last response; the response, with what is to be said of the request.
    assert_eq!([pair.turns[CLIENT] - before[CLIENT], pair.turns[SERVER] - before[SERVER]], [100, 100]);
    pair.run();
    pair.check_nothing_is_left();
}
