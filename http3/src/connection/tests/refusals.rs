//! Messages of ours that cannot be sent on, and what comes of them.

use http::{Request, Response};

use super::load::get;
use super::*;
use crate::limits;
use crate::message::HeadError;

fn status(status: u16) -> Response<()> {
    Response::builder().status(status).body(()).unwrap()
}

/// A server with a request to be answered.
fn asked() -> Alone {
    let mut server = Alone::new(Side::Server);
    server.message(0, &GET, true);
    server.outputs.clear();
    server
}

#[test]
fn as_many_interim_responses_are_sent_as_are_taken() {
    let mut server = asked();
    // What is refused is none of them.
    assert_eq!(
        server.machine.send_informational(server.now, bidi(0), &status(200)),
        Err(SendError::Head(HeadError::WrongStatus))
    );
    assert_eq!(
        server.machine.send_informational(server.now, bidi(0), &status(101)),
        Err(SendError::Head(HeadError::SwitchingProtocols))
    );
    for _ in 0..limits::INTERIM_RESPONSES {
        server.machine.send_informational(server.now, bidi(0), &status(103)).unwrap();
    }
    let one_more = server.machine.send_informational(server.now, bidi(0), &status(103));
    assert_eq!(one_more, Err(SendError::TooManyInterim));
    // The final one is another matter, and a client takes all of them.
    server.machine.send_response(server.now, bidi(0), &status(200), true).unwrap();
    server.drain();
    let mut client = Alone::new(Side::Client);
    client.ask(0, get());
    client.feed(bidi(0), &server.written(bidi(0)).0, true);
    let told = [vec!["opened"], vec!["informational"; 8], vec!["response", "finished"]].concat();
    assert_eq!((client.told(), client.error()), (told, None));
}

#[test]
fn a_response_whose_head_is_all_of_it_is_complete_when_content_is_refused() {
    let mut server = asked();
    server.machine.send_response(server.now, bidi(0), &status(204), false).unwrap();
    let error = server.machine.send_data(server.now, bidi(0), &mut Bytes::from_static(b"x"), false).unwrap_err();
    assert_eq!(error, SendError::NoContent);
    server.machine.conclude(server.now, bidi(0), error);
    server.drain();
    server.take_writes();
    assert!(server.written(bidi(0)).1);
    assert_eq!((server.given_up(bidi(0)), server.machine.open_requests()), ((None, None), 0));
}

#[test]
fn a_message_that_breaks_the_rules_is_our_own_fault() {
    for error in [SendError::Order, SendError::ContentLength, SendError::Head(HeadError::WrongStatus)] {
        let mut server = asked();
        server.machine.conclude(server.now, bidi(0), error);
        server.drain();
        assert_eq!(server.given_up(bidi(0)), (Some(Code::H3_INTERNAL_ERROR), None), "{error}");
        assert_eq!(server.machine.open_requests(), 0);
    }
    // What is over is over.
    for error in [SendError::Gone, SendError::Finished] {
        let mut server = asked();
        server.machine.conclude(server.now, bidi(0), error);
        server.drain();
        assert_eq!((server.given_up(bidi(0)), server.machine.open_requests()), ((None, None), 1));
    }
}

#[test]
fn whoever_has_no_end_for_what_it_sends_says_so_with_the_code_of_its_side() {
    let mut server = asked();
    server.machine.abort(bidi(0));
    server.drain();
    assert_eq!(server.given_up(bidi(0)), (Some(Code::H3_INTERNAL_ERROR), None));
    let mut client = Alone::new(Side::Client);
    client.ask(0, Request::post("https://a.example/").body(()).unwrap());
    client.machine.abort(bidi(0));
    client.drain();
    // What the server answers is still awaited.
    assert_eq!(client.given_up(bidi(0)), (Some(Code::H3_REQUEST_CANCELLED), None));
    assert_eq!(client.machine.open_requests(), 1);
}

#[test]
fn datagrams_that_may_not_be_sent_are_counted() {
    let mut server = asked();
    assert!(server.machine.send_datagram(bidi(0), Bytes::from_static(b"x")).is_err());
    assert!(server.machine.send_datagram(bidi(7), Bytes::from_static(b"x")).is_err());
    let datagrams = server.machine.take_stats().unwrap().datagrams;
    assert_eq!((datagrams.sent, datagrams.received, datagrams.dropped), (0, 0, 2));
}
