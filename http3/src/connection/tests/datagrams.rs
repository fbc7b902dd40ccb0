//! HTTP datagrams, and priorities (RFC 9297 §2, RFC 9218 §7).

use http::{Request, Response};

use super::*;
use crate::message::Protocol;

const CHAT: [(&str, &str); 5] = [
    (":method", "CONNECT"),
    (":protocol", "connect-udp"),
    (":scheme", "https"),
    (":authority", "a.example"),
    (":path", "/chat"),
];

/// A server whose peer accepts datagrams, with an extended CONNECT on stream 0 and a GET on stream 4.
fn server() -> Alone {
    let mut server = Alone::silent(Side::Server, plain());
    server.control(&frame(0x04, &[0x33, 1]));
    server.message(0, &CHAT, false);
    server.message(1, &GET, false);
    server.events.clear();
    server
}

fn datagram(alone: &mut Alone, bytes: &[u8]) {
    alone.machine.handle_datagram(alone.now, Bytes::copy_from_slice(bytes));
    alone.drain();
}

#[test]
fn datagrams_reach_their_request() {
    let mut server = server();
    datagram(&mut server, b"\x00hello");
    datagram(&mut server, b"\x00");
    let Event::Datagram { stream, payload } = &server.events[0] else { panic!("{:?}", server.told()) };
    assert_eq!((*stream, &payload[..]), (bidi(0), &b"hello"[..]));
    assert_eq!(server.told(), ["datagram", "datagram"]);
    assert_eq!(server.machine.take_stats().unwrap().datagrams.received, 2);
}

#[test]
fn datagrams_without_a_request_are_dropped() {
    let mut server = server();
    datagram(&mut server, b"\x07not open");
    server.machine.handle_stream_opened(server.now, bidi(2));
    datagram(&mut server, b"\x02no head yet");
    server.feed(bidi(0), &[], true);
    datagram(&mut server, b"\x00closed");
    assert_eq!((server.told(), server.closed()), (vec!["finished"], None));
    assert_eq!(server.machine.take_stats().unwrap().datagrams.dropped, 3);
}

#[test]
fn datagrams_for_other_requests_end_them() {
    let mut server = server();
    datagram(&mut server, b"\x01hello");
    assert_eq!(server.given_up(bidi(1)), (Some(Code::H3_DATAGRAM_ERROR), Some(Code::H3_DATAGRAM_ERROR)));
    assert_eq!(server.error().unwrap().code, Code::H3_DATAGRAM_ERROR);
    // Unless the application knows what they are for.
    server.message(2, &GET, false);
    server.machine.accept_datagrams(bidi(2));
    datagram(&mut server, b"\x02hello");
    assert_eq!(server.told().last(), Some(&"datagram"));
}

#[test]
fn datagrams_that_name_no_stream_close_the_connection() {
    for (bytes, code) in [
        (&b""[..], Code::H3_DATAGRAM_ERROR),
        (&[0x40], Code::H3_DATAGRAM_ERROR),
        (&[0xd0, 0, 0, 0, 0, 0, 0, 0], Code::H3_DATAGRAM_ERROR),
    ] {
        let mut server = server();
        datagram(&mut server, bytes);
        assert_eq!(server.closed(), Some(code));
    }
    let mut server = server();
    server.machine.handle_request_limit(100);
    datagram(&mut server, &[&varint(99)[..], b"x"].concat());
    assert_eq!(server.closed(), None);
    datagram(&mut server, &[&varint(100)[..], b"x"].concat());
    assert_eq!(server.closed(), Some(Code::H3_ID_ERROR));
    // Not ours, if we never said that we take any.
    let mut other = Alone::silent(Side::Server, Config { h3_datagram: false, ..plain() });
    datagram(&mut other, b"");
    assert_eq!(other.closed(), None);
}

#[test]
fn datagrams_are_sent_when_both_ends_take_them() {
    let payload = || Bytes::from_static(b"hello");
    let mut server = server();
    server.machine.send_datagram(bidi(0), payload()).unwrap();
    assert_eq!(server.machine.send_datagram(bidi(1), payload()), Err(SendDatagramError::NotForThis));
    assert_eq!(server.machine.send_datagram(bidi(9), payload()), Err(SendDatagramError::Gone));
    server.outputs.clear();
    server.drain();
    assert_eq!(server.outputs, [Output::Datagram { prefix: Bytes::from_static(&[0]), payload: payload() }]);
    assert_eq!(server.machine.take_stats().unwrap().datagrams.sent, 1);
    // Not after our half is over.
    server.machine.send_response(server.now, bidi(0), &Response::new(()), true).unwrap();
    assert_eq!(server.machine.send_datagram(bidi(0), payload()), Err(SendDatagramError::Gone));
    // Not before the peer's settings, and not if they say nothing of it.
    let mut silent = Alone::silent(Side::Server, plain());
    silent.message(0, &CHAT, false);
    assert_eq!(silent.machine.send_datagram(bidi(0), payload()), Err(SendDatagramError::Unsupported));
    silent.control(&frame(0x04, &[]));
    assert_eq!(silent.machine.send_datagram(bidi(0), payload()), Err(SendDatagramError::Unsupported));
    let mut deaf = Alone::silent(Side::Server, Config { h3_datagram: false, ..plain() });
    deaf.control(&frame(0x04, &[0x33, 1]));
    deaf.message(0, &CHAT, false);
    assert_eq!(deaf.machine.send_datagram(bidi(0), payload()), Err(SendDatagramError::Unsupported));

    let mut client = Alone::silent(Side::Client, plain());
    client.control(&frame(0x04, &[0x33, 1, 0x08, 1]));
    client.ask(0, Request::connect("https://a.example/chat").extension(Protocol::CONNECT_UDP).body(()).unwrap());
    client.machine.send_datagram(bidi(0), payload()).unwrap();
    datagram(&mut client, b"\x00back");
    assert_eq!(client.told().last(), Some(&"datagram"));
}

fn update(stream: u64, value: &[u8]) -> Vec<u8> {
    frame(0xf0700, &[&varint(stream), value].concat())
}

/// The priorities that were told, with the events that told them.
fn priorities(alone: &Alone) -> Vec<(&'static str, Priority)> {
    let of = |event: &Event| match event {
        Event::Request { priority, .. } => Some(("request", *priority)),
        Event::PriorityChanged { priority, .. } => Some(("changed", *priority)),
        _ => None,
    };
    alone.events.iter().filter_map(of).collect()
}

#[test]
fn a_priority_is_said_with_the_request_and_changed_later() {
    let mut server = Alone::new(Side::Server);
    server.message(0, &[&GET[..], &[("priority", "u=5, i")]].concat(), true);
    server.control(&update(0, b"u=2"));
    server.control(&update(0, b"u=2"));
    server.control(&update(0, b""));
    server.control(&update(0, b"not a dictionary!"));
    let response = Response::builder().header("priority", "u=0").body(()).unwrap();
    server.machine.send_response(server.now, bidi(0), &response, false).unwrap();
    server.drain();
    let expected = [
        ("request", Priority::new(5, true)),
        ("changed", Priority::new(2, false)),
        ("changed", Priority::default()),
        ("changed", Priority::new(0, false)),
    ];
    assert_eq!(priorities(&server), expected);
}

#[test]
fn a_priority_may_come_before_its_request_and_then_holds() {
    let mut server = Alone::new(Side::Server);
    server.control(&update(4, b"u=1"));
    server.control(&update(4, b"u=0, i"));
    server.message(0, &GET, true);
    server.message(1, &[&GET[..], &[("priority", "u=6")]].concat(), true);
    assert_eq!(priorities(&server), [("request", Priority::default()), ("request", Priority::new(0, true))]);
    assert!(server.machine.early_priorities.is_empty());
    // A stream that is open and has no head yet is the same; and one that ends so leaves nothing.
    server.machine.handle_stream_opened(server.now, bidi(2));
    server.control(&update(8, b"u=1"));
    server.machine.handle_reset(server.now, bidi(2), 0x10c);
    assert!(server.machine.early_priorities.is_empty());
}

#[test]
fn a_priority_of_no_request_is_an_error() {
    for stream in [1, 2, 3, 7] {
        let mut server = Alone::new(Side::Server);
        server.control(&update(stream, b"u=1"));
        assert_eq!(server.closed(), Some(Code::H3_ID_ERROR));
    }
    let mut server = Alone::new(Side::Server);
    server.machine.handle_request_limit(10);
    server.control(&update(36, b"u=1"));
    assert_eq!(server.closed(), None);
    server.control(&update(40, b"u=1"));
    assert_eq!(server.closed(), Some(Code::H3_ID_ERROR));
}

#[test]
fn a_priority_of_a_request_that_is_over_is_told_for_what_the_transport_still_holds_and_not_kept() {
    let mut server = Alone::new(Side::Server);
    server.message(0, &GET, true);
    server.machine.send_response(server.now, bidi(0), &Response::new(()), true).unwrap();
    server.drain();
    server.take_writes();
    server.control(&update(0, b"u=1"));
    assert!(server.machine.early_priorities.is_empty());
    assert_eq!(priorities(&server).len(), 2, "that of the request, and the change");
}

#[test]
fn a_client_says_how_urgent_a_response_is() {
    let mut client = Alone::new(Side::Client);
    client.ask(0, Request::get("https://a.example/").body(()).unwrap());
    assert!(client.machine.priority_update(bidi(0), Priority::new(1, true)));
    assert!(!client.machine.priority_update(bidi(1), Priority::default()));
    client.drain();
    assert_eq!(client.written(uni(Side::Client, 0)).0, update(0, b"u=1, i"));
}
