//! GOAWAY and the end of the connection (RFC 9114 §5).

use http::{Request, Response};

use super::*;
use crate::output::RequestFailure;

fn get() -> Request<()> {
    Request::get("https://a.example/").body(()).unwrap()
}

fn answer(server: &mut Alone, index: u64) {
    server.machine.send_response(server.now, bidi(index), &Response::new(()), true).unwrap();
    server.drain();
    server.take_writes();
}

fn goaway(id: u64) -> Vec<u8> {
    frame(0x07, &varint(id))
}

#[test]
fn a_server_shuts_down_in_two_steps() {
    let mut server = Alone::new(Side::Server);
    server.message(0, &GET, true);
    server.machine.announce_goaway();
    assert!(server.machine.is_going_away());
    // On their way still: served.
    server.message(1, &GET, true);
    assert_eq!(server.told(), ["request", "finished", "request", "finished"]);
    server.machine.goaway();
    server.machine.goaway();
    server.machine.announce_goaway();
    server.drain();
    let control = server.written(uni(Side::Server, 0)).0;
    assert_eq!(control, [goaway((1 << 62) - 4), goaway(8)].concat(), "ids never grow");
    // Too late.
    server.message(2, &GET, true);
    let rejected = Some(Code::H3_REQUEST_REJECTED);
    assert_eq!(server.given_up(bidi(2)), (rejected, rejected));
    assert_eq!(server.machine.open_requests(), 2);
    answer(&mut server, 0);
    assert_eq!(server.told().last(), Some(&"finished"));
    answer(&mut server, 1);
    assert_eq!(server.told().last(), Some(&"drained"));
    server.machine.close(Code::H3_NO_ERROR, "done");
    server.machine.close(Code::H3_NO_ERROR, "done");
    server.drain();
    assert_eq!(server.outputs.last(), Some(&Output::Close { code: Code::H3_NO_ERROR, reason: "done" }));
    assert_eq!(server.outputs.iter().filter(|output| matches!(output, Output::Close { .. })).count(), 1);
}

#[test]
fn an_idle_server_is_drained_at_once() {
    let mut server = Alone::new(Side::Server);
    server.machine.announce_goaway();
    server.drain();
    assert!(server.told().is_empty(), "requests may be on their way");
    server.machine.goaway();
    server.drain();
    assert_eq!(server.told(), ["drained"]);
    assert!(server.written(uni(Side::Server, 0)).0.ends_with(&goaway(0)));
}

#[test]
fn a_client_learns_what_was_not_processed() {
    let mut client = Alone::new(Side::Client);
    client.ask(0, get());
    client.ask(1, Request::post("https://a.example/").body(()).unwrap());
    client.ask(2, get());
    let waiting = client.machine.request(get(), true).unwrap();
    client.events.clear();
    client.control(&goaway((1 << 62) - 4));
    assert_eq!(client.told(), ["goaway", "failed"]);
    assert!(
        matches!(client.events[1], Event::RequestFailed { key, reason: RequestFailure::GoingAway } if key == waiting)
    );
    assert_eq!(client.machine.request(get(), true), Err(RequestError::GoingAway));
    // Its stream may still come.
    client.machine.handle_opened(client.now, Opening::Request(waiting), bidi(3));
    client.drain();
    assert_eq!(client.given_up(bidi(3)).0, Some(Code::H3_REQUEST_CANCELLED));

    client.control(&goaway(4));
    let unprocessed: Vec<u64> = client
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Ended { stream, reason } if reason.may_be_retried() => Some(stream.index()),
            _ => None,
        })
        .collect();
    assert_eq!(unprocessed, [1, 2]);
    assert_eq!(client.machine.open_requests(), 1);
    let answer = client.head(&OK);
    client.feed(bidi(0), &answer, true);
    assert_eq!(&client.told()[5..], ["response", "finished", "drained"]);
}

#[test]
fn ids_of_goaway_name_requests_and_never_grow() {
    for id in [1, 2, 3, 5] {
        let mut client = Alone::new(Side::Client);
        client.control(&goaway(id));
        assert_eq!(client.closed(), Some(Code::H3_ID_ERROR));
    }
    for side in [Side::Server, Side::Client] {
        let mut alone = Alone::new(side);
        for id in [12, 8, 8] {
            alone.control(&goaway(id));
        }
        assert_eq!(alone.closed(), None);
        alone.control(&goaway(12));
        assert_eq!(alone.closed(), Some(Code::H3_ID_ERROR));
    }
    // From a client it is a push ID, any number.
    let mut server = Alone::new(Side::Server);
    server.control(&goaway((1 << 62) - 1));
    server.control(&goaway(3));
    assert_eq!((server.closed(), server.told()), (None, vec!["goaway", "goaway"]));
    server.message(0, &GET, true);
    assert_eq!(server.told().last(), Some(&"finished"), "its requests are served");
}

#[test]
fn a_client_takes_its_leave() {
    let mut client = Alone::new(Side::Client);
    client.ask(0, get());
    client.outputs.clear();
    client.machine.announce_goaway();
    client.machine.goaway();
    client.drain();
    assert_eq!(client.written(uni(Side::Client, 0)).0, [goaway((1 << 62) - 1), goaway(0)].concat());
    let answer = client.head(&OK);
    client.feed(bidi(0), &answer, true);
    assert_eq!(client.told().last(), Some(&"drained"));
}

#[test]
fn a_request_that_has_no_stream_yet_can_be_given_up() {
    let mut client = Alone::new(Side::Client);
    let key = client.machine.request(get(), true).unwrap();
    client.machine.cancel_request(key);
    assert_eq!(client.machine.open_requests(), 0);
    client.machine.handle_opened(client.now, Opening::Request(key), bidi(0));
    client.drain();
    let cancelled = Some(Code::H3_REQUEST_CANCELLED);
    assert_eq!(client.given_up(bidi(0)), (cancelled, cancelled));
    assert!(client.events.is_empty());
}

#[test]
fn nothing_is_kept_and_nothing_happens_after_the_end() {
    for side in [Side::Server, Side::Client] {
        for by in 0..3 {
            let mut alone = Alone::new(side);
            alone.message(0, if side == Side::Server { &GET } else { &OK }, false);
            match by {
                0 => alone.control(&frame(0x04, &[])),
                1 => alone.machine.handle_closed(),
                _ => alone.machine.close(Code::H3_NO_ERROR, "bye"),
            }
            alone.drain();
            assert!(alone.machine.is_closed());
            assert_eq!((alone.machine.open_requests(), alone.machine.held_bytes()), (0, 0));
            alone.outputs.clear();
            alone.events.clear();
            let head = alone.head(&GET);
            alone.feed(bidi(1), &head, true);
            alone.feed(uni(alone.peer(), 0), &frame(0x21, b"x"), false);
            alone.machine.handle_reset(alone.now, bidi(0), 0);
            alone.machine.handle_stop_sending(alone.now, uni(side, 0), 0);
            alone.machine.handle_datagram(alone.now, Bytes::new());
            alone.machine.handle_opened(alone.now, Opening::Control, uni(side, 0));
            alone.machine.data_consumed(alone.now, bidi(0), 5);
            alone.machine.goaway();
            alone.machine.announce_goaway();
            assert_eq!(alone.machine.request(get(), true), Err(RequestError::Closed));
            assert_eq!(alone.machine.finish(alone.now, bidi(0)), Err(SendError::Gone));
            alone.drain();
            assert!(alone.outputs.is_empty() && alone.events.is_empty(), "{:?} {:?}", alone.outputs, alone.events);
        }
    }
}
