//! Peers that take their time: a request has to come within so much of it, and at its end it is given up.

use std::time::Duration;

use http::Response;

use super::load::{get, hits};
use super::*;
use crate::limits;

const SECOND: Duration = Duration::from_secs(1);
/// The smallest step of time.
const TICK: Duration = Duration::from_nanos(1);
const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "https"), (":authority", "a.example"), (":path", "/")];

/// A server, at some time.
fn server() -> Alone {
    server_with(plain())
}

fn server_with(config: Config) -> Alone {
    let mut server = Alone::silent(Side::Server, config);
    server.control(&frame(0x04, &[]));
    server.now += SECOND * 100;
    server.outputs.clear();
    server.events.clear();
    server
}

/// A server to which a request with content has begun to come.
fn uploaded_to() -> Alone {
    let mut server = server();
    server.message(0, &POST, false);
    server
}

/// Lets time go by, and looks.
fn wait(server: &mut Alone, time: Duration) {
    server.now += time;
    // As whoever sets an alarm does: not before it is asked to.
    if server.machine.deadline().is_some_and(|deadline| deadline <= server.now) {
        server.machine.handle_deadline(server.now);
    }
    server.drain();
}

/// Content comes, and the application takes it at once.
fn upload(server: &mut Alone, bytes: usize) {
    server.feed(bidi(0), &frame(0, &vec![7; bytes]), false);
    server.machine.data_consumed(server.now, bidi(0), bytes as u64);
    server.drain();
}

fn is_open(server: &Alone) -> bool {
    server.given_up(bidi(0)) == (None, None) && server.machine.open_requests() == 1
}

/// It is given up with this code, both halves, for this reason, and for none before.
fn assert_ended(server: &mut Alone, code: Code, limit: Limit) {
    assert_eq!(server.given_up(bidi(0)), (Some(code), Some(code)));
    let told = server.events.iter().any(|event| matches!(event, Event::Ended { reason: EndReason::Slow, .. }));
    // Whoever never heard of it hears no end.
    assert_eq!(told, code == Code::H3_REQUEST_CANCELLED);
    assert_eq!((server.closed(), server.machine.open_requests(), server.machine.held_bytes()), (None, 0, 0));
    let stats = server.machine.take_stats().unwrap();
    for other in Limit::ALL {
        assert_eq!(stats.limit(other), u64::from(other == limit), "{}", other.as_str());
    }
}

#[test]
fn a_head_has_ten_seconds_from_its_first_byte_on() {
    for early in [true, false] {
        let mut server = server();
        let head = server.head(&GET);
        // Open, and nothing said: it has time.
        server.machine.handle_stream_opened(server.now, bidi(0));
        wait(&mut server, SECOND * 20);
        server.feed(bidi(0), &head[..1], false);
        // A byte a second does not help.
        for byte in 1..10 {
            wait(&mut server, SECOND);
            server.feed(bidi(0), &head[byte..=byte], false);
        }
        wait(&mut server, SECOND - TICK);
        assert!(is_open(&server));
        if early {
            server.feed(bidi(0), &head[10..], true);
            wait(&mut server, SECOND * 3600);
            assert_eq!(server.told(), ["request", "finished"]);
            assert!(is_open(&server));
        } else {
            wait(&mut server, TICK);
            assert_ended(&mut server, Code::H3_REQUEST_REJECTED, Limit::HeadersTime);
        }
    }
}

#[test]
fn a_head_that_waits_for_the_encoder_stream_has_no_more_time() {
    let mut server = server();
    // It needs one insertion that never comes, and all of the stream is there.
    server.feed(bidi(0), &frame(1, &[0x02, 0x00, 0x80]), true);
    wait(&mut server, limits::HEADERS_TIME - TICK);
    assert_eq!(server.machine.open_requests(), 1);
    wait(&mut server, TICK);
    // Nothing is asked to stop: all has come.
    assert_eq!(server.given_up(bidi(0)), (Some(Code::H3_REQUEST_REJECTED), None));
    assert_eq!((server.machine.open_requests(), server.machine.held_bytes()), (0, 0));
    assert_eq!(hits(&mut server, Limit::HeadersTime), 1);
}

#[test]
fn content_has_ten_seconds_to_begin() {
    let mut server = uploaded_to();
    wait(&mut server, limits::CONTENT_GRACE - TICK);
    assert!(is_open(&server));
    wait(&mut server, TICK);
    assert_ended(&mut server, Code::H3_REQUEST_CANCELLED, Limit::ContentRate);
}

#[test]
fn a_kibibyte_a_second_is_enough() {
    let mut server = uploaded_to();
    // A frame's header, two bytes, is not worth the difference.
    let rate = limits::CONTENT_RATE as usize;
    for _ in 0..limits::REQUEST_TIME.as_secs() - 1 {
        wait(&mut server, SECOND);
        upload(&mut server, rate);
        assert!(is_open(&server));
    }
}

#[test]
fn half_a_kibibyte_a_second_is_too_little_after_twenty_seconds() {
    let mut server = uploaded_to();
    let mut seconds = 0;
    while is_open(&server) && seconds < 100 {
        upload(&mut server, limits::CONTENT_RATE as usize / 2);
        wait(&mut server, SECOND);
        seconds += 1;
    }
    assert_eq!(seconds, 20, "ten seconds, and half a second more for each second but the first");
    assert_ended(&mut server, Code::H3_REQUEST_CANCELLED, Limit::ContentRate);
}

#[test]
fn who_sent_much_at_once_has_no_more_patience_than_others() {
    let mut server = uploaded_to();
    wait(&mut server, SECOND * 9);
    upload(&mut server, 1 << 20);
    wait(&mut server, limits::CONTENT_GRACE - TICK);
    assert!(is_open(&server));
    wait(&mut server, TICK);
    assert_ended(&mut server, Code::H3_REQUEST_CANCELLED, Limit::ContentRate);
}

#[test]
fn a_service_that_reads_slowly_is_not_its_clients_guilt() {
    let mut server = uploaded_to();
    wait(&mut server, SECOND * 4);
    server.feed(bidi(0), &frame(0, &[7; 100]), false);
    // Not even for hours, and not if it takes a part.
    wait(&mut server, SECOND * 3600);
    server.machine.data_consumed(server.now, bidi(0), 99);
    wait(&mut server, SECOND * 3600);
    assert!(is_open(&server));
    // Then there is as much patience as at first, and no more.
    server.machine.data_consumed(server.now, bidi(0), 1);
    server.drain();
    wait(&mut server, limits::CONTENT_GRACE - TICK);
    assert!(is_open(&server));
    wait(&mut server, TICK);
    assert_ended(&mut server, Code::H3_REQUEST_CANCELLED, Limit::ContentRate);
}

#[test]
fn a_drop_now_and_then_buys_no_time_by_being_read_at_leisure() {
    let mut server = uploaded_to();
    let mut seconds = 0;
    while is_open(&server) && seconds < 100 {
        // One byte, which the application takes a millisecond later.
        server.feed(bidi(0), &frame(0, b"x"), false);
        wait(&mut server, Duration::from_millis(1));
        server.machine.data_consumed(server.now, bidi(0), 1);
        wait(&mut server, SECOND);
        seconds += 1;
    }
    assert_eq!(seconds, 11, "ten seconds, and a few milliseconds for each byte");
    assert_ended(&mut server, Code::H3_REQUEST_CANCELLED, Limit::ContentRate);
}

#[test]
fn a_request_has_five_minutes_to_come_however_much_comes() {
    let mut server = server();
    // From the opening of its stream on.
    server.machine.handle_stream_opened(server.now, bidi(0));
    wait(&mut server, SECOND * 5);
    server.message(0, &POST, false);
    for _ in 0..limits::REQUEST_TIME.as_secs() - 6 {
        wait(&mut server, SECOND);
        upload(&mut server, 10_000);
    }
    wait(&mut server, SECOND - TICK);
    assert!(is_open(&server));
    wait(&mut server, TICK);
    assert_ended(&mut server, Code::H3_REQUEST_CANCELLED, Limit::RequestTime);
}

#[test]
fn a_stream_on_which_nothing_is_said_has_five_minutes() {
    let mut server = server();
    server.machine.handle_stream_opened(server.now, bidi(0));
    wait(&mut server, limits::REQUEST_TIME - TICK);
    assert!(is_open(&server));
    wait(&mut server, TICK);
    assert_ended(&mut server, Code::H3_REQUEST_REJECTED, Limit::RequestTime);
}

#[test]
fn time_in_which_the_service_does_not_read_is_no_age() {
    let mut server = uploaded_to();
    let rate = limits::CONTENT_RATE as usize;
    for _ in 0..limits::REQUEST_TIME.as_secs() - 1 {
        wait(&mut server, SECOND);
        server.feed(bidi(0), &frame(0, &vec![7; rate]), false);
        wait(&mut server, SECOND);
        server.machine.data_consumed(server.now, bidi(0), rate as u64);
        server.drain();
        assert!(is_open(&server));
    }
    wait(&mut server, SECOND);
    assert_ended(&mut server, Code::H3_REQUEST_CANCELLED, Limit::RequestTime);
}

#[test]
fn whoever_is_answered_before_the_end_may_take_time_and_not_for_ever() {
    let mut server = uploaded_to();
    server.machine.send_response(server.now, bidi(0), &Response::new(()), false).unwrap();
    server.drain();
    server.take_writes();
    server.outputs.clear();
    wait(&mut server, limits::REQUEST_TIME - TICK);
    assert!(is_open(&server));
    wait(&mut server, TICK);
    assert_ended(&mut server, Code::H3_REQUEST_CANCELLED, Limit::RequestTime);
}

#[test]
fn responses_and_tunnels_take_as_long_as_they_like() {
    // A request that is complete, and a response that goes on.
    let mut server = server();
    server.message(0, &GET, true);
    server.machine.send_response(server.now, bidi(0), &Response::new(()), false).unwrap();
    // A tunnel on which nothing is said.
    server.message(1, &[(":method", "CONNECT"), (":authority", "a.example:80")], false);
    server.machine.send_response(server.now, bidi(1), &Response::new(()), false).unwrap();
    // And a websocket that is not answered yet.
    let websocket = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/")];
    server.message(2, &[&websocket[..], &[(":authority", "a.example")]].concat(), false);
    for _ in 0..48 {
        server.machine.send_data(server.now, bidi(0), &mut Bytes::from_static(b"more"), false).unwrap();
        server.drain();
        server.take_writes();
        server.outputs.clear();
        wait(&mut server, SECOND * 1800);
        assert_eq!((server.outputs.len(), server.machine.open_requests()), (0, 3), "{:?}", server.outputs);
    }
}

#[test]
fn clients_wait_as_long_as_they_like() {
    let mut client = Alone::new(Side::Client);
    client.ask(0, get());
    client.message(0, &OK, false);
    client.feed(bidi(0), &frame(0, b"x"), false);
    wait(&mut client, SECOND * 3600);
    assert_eq!((client.machine.deadline(), client.machine.open_requests()), (None, 1));
}

#[test]
fn times_can_be_chosen_and_be_none() {
    let chosen = Config {
        headers_time: SECOND,
        content_grace: SECOND * 2,
        content_rate: 10,
        request_time: SECOND * 3,
        ..plain()
    };
    let mut server = server_with(chosen.clone());
    server.feed(bidi(0), &[0x01], false);
    wait(&mut server, SECOND);
    assert_ended(&mut server, Code::H3_REQUEST_REJECTED, Limit::HeadersTime);
    let mut server = server_with(chosen.clone());
    server.message(0, &POST, false);
    wait(&mut server, SECOND);
    // Eight bytes and two of the frame: another second.
    upload(&mut server, 8);
    wait(&mut server, SECOND * 2 - TICK);
    assert!(is_open(&server));
    wait(&mut server, TICK);
    assert_ended(&mut server, Code::H3_REQUEST_CANCELLED, Limit::ContentRate);

    let mut server = server_with(Config { content_rate: 0, ..chosen });
    server.message(0, &POST, false);
    wait(&mut server, SECOND * 3 - TICK);
    assert!(is_open(&server));
    wait(&mut server, TICK);
    assert_ended(&mut server, Code::H3_REQUEST_CANCELLED, Limit::RequestTime);

    let never = Config { headers_time: Duration::MAX, content_rate: 0, request_time: Duration::MAX, ..plain() };
    let mut server = server_with(never);
    server.feed(bidi(0), &[0x01], false);
    wait(&mut server, SECOND * 1_000_000);
    assert!(is_open(&server));
}
