//! Requests and responses, frame by frame (RFC 9114 §4).

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use super::*;
use crate::message::{HeadError, Protocol};
use crate::output::RequestFailure;

/// A server after these frames on request stream 0.
fn server(frames: &[&[u8]], fin: bool) -> Alone {
    let mut server = Alone::new(Side::Server);
    for bytes in frames {
        server.feed(bidi(0), bytes, false);
    }
    if fin {
        server.feed(bidi(0), &[], true);
    }
    server
}

fn head(lines: &[(&str, &str)]) -> Vec<u8> {
    Alone::new(Side::Server).head(lines)
}

fn response(status: u16) -> Response<()> {
    Response::builder().status(status).body(()).unwrap()
}

/// A client that asked for this, after these frames of the answer.
fn client(request: Request<()>, frames: &[&[u8]], fin: bool) -> Alone {
    let mut client = Alone::new(Side::Client);
    client.ask(0, request);
    for bytes in frames {
        client.feed(bidi(0), bytes, false);
    }
    if fin {
        client.feed(bidi(0), &[], true);
    }
    client
}

fn get() -> Request<()> {
    Request::get("https://a.example/").body(()).unwrap()
}

const MALFORMED: (Option<Code>, Option<Code>) = (Some(Code::H3_MESSAGE_ERROR), Some(Code::H3_MESSAGE_ERROR));

#[test]
fn malformed_requests_are_errors_of_their_stream() {
    let twice = [&GET[..], &[(":path", "/")]].concat();
    let late = [&[("accept", "x")][..], &GET].concat();
    for lines in [
        &twice[..],
        &GET[1..],
        &[&GET[..], &[(":foo", "x")]].concat(),
        &[&GET[..], &[(":autority", "x")]].concat(),
        &late,
        &[&GET[..], &[("Accept", "x")]].concat(),
        &[&GET[..], &[("connection", "close")]].concat(),
        &[&GET[..], &[("x", "a\r\nb")]].concat(),
        &[&GET[..], &[("host", "b.example")]].concat(),
        &[&GET[..], &[("content-length", "1"), ("content-length", "1")]].concat(),
        &[],
    ] {
        let server = server(&[&head(lines)], false);
        assert_eq!(server.given_up(bidi(0)), MALFORMED, "{lines:?}");
        assert_eq!((server.closed(), server.told().len()), (None, 0), "the application never hears of it");
        assert_eq!(server.machine.open_requests(), 0);
    }
}

#[test]
fn malformed_responses_are_errors_of_their_stream() {
    for lines in [
        &[("x", "y")][..],
        &[(":status", "200"), (":status", "200")],
        &[(":status", "20")],
        &[(":status", "101")],
        &[(":status", "200"), (":path", "/")],
        &[(":status", "200"), ("Upper", "x")],
        &[(":status", "200"), ("transfer-encoding", "chunked")],
    ] {
        let client = client(get(), &[&head(lines)], false);
        // The request is complete, so only the response can be stopped.
        assert_eq!(client.given_up(bidi(0)), (None, Some(Code::H3_MESSAGE_ERROR)), "{lines:?}");
        assert_eq!(client.error().unwrap().code, Code::H3_MESSAGE_ERROR);
        assert_eq!(client.machine.open_requests(), 0);
    }
}

#[test]
fn frames_out_of_order_close_the_connection() {
    // h3spec: DATA before HEADERS, CANCEL_PUSH on a request stream.
    assert_eq!(server(&[&frame(0, b"x")], false).closed(), Some(Code::H3_FRAME_UNEXPECTED));
    assert_eq!(server(&[&head(&GET), &frame(3, &[0])], false).closed(), Some(Code::H3_FRAME_UNEXPECTED));
    let interim = head(&[(":status", "103")]);
    assert_eq!(client(get(), &[&interim, &frame(0, b"x")], false).closed(), Some(Code::H3_FRAME_UNEXPECTED));
}

#[test]
fn sections_that_cannot_be_decoded_close_the_connection() {
    // h3spec: index 99 of the static table. Then a line of the dynamic table that is not there, and nothing at all.
    for section in [&[0, 0, 0xff, 0x24][..], &[0, 0, 0x80], &[]] {
        let server = server(&[&frame(1, section)], false);
        assert_eq!(server.closed(), Some(Code::QPACK_DECOMPRESSION_FAILED), "{section:?}");
    }
}

#[test]
fn a_request_is_told_in_its_parts() {
    let post = [&[(":method", "POST"), ("content-length", "5"), ("priority", "u=1, i")][..], &GET[1..]].concat();
    let mut post = post;
    post.sort_by_key(|(name, _)| !name.starts_with(':'));
    let server = server(
        &[&head(&post), &frame(0, b"he"), &frame(0x21, b"?"), &frame(0, b"llo"), &head(&[("x-sum", "1")])],
        true,
    );
    assert_eq!(server.told(), ["request", "data", "data", "trailers", "finished"]);
    let Event::Request { stream, head, priority } = &server.events[0] else { panic!() };
    assert_eq!((*stream, head.method(), *priority), (bidi(0), &Method::POST, Priority::new(1, true)));
    assert_eq!(server.machine.open_requests(), 1, "it is not answered");
}

#[test]
fn bytes_are_consumed_when_they_are_taken() {
    let head = head(&GET);
    let mut server = server(&[&head, &frame(0, b"hello")], false);
    assert_eq!(server.consumed(bidi(0)), head.len() as u64 + 2, "what frames the data");
    assert_eq!(server.machine.held_bytes(), 0, "the data are with the application");
    server.machine.data_consumed(server.now, bidi(0), 5);
    server.drain();
    assert_eq!(server.consumed(bidi(0)), head.len() as u64 + 7);

    // A section that is not whole stays charged.
    let mut server = Alone::new(Side::Server);
    server.feed(bidi(0), &head[..5], false);
    server.feed(bidi(0), &head[5..7], false);
    assert_eq!((server.consumed(bidi(0)), server.machine.held_bytes()), (0, 7));
    server.feed(bidi(0), &head[7..], false);
    assert_eq!((server.consumed(bidi(0)), server.machine.held_bytes()), (head.len() as u64, 0));
}

#[test]
fn what_comes_whole_is_consumed_even_if_it_is_refused() {
    // Everything of the stream came, so there is nobody to be told to stop, and no leak in the connection's window.
    let bytes = [head(&GET[1..]), frame(0, &[7; 100])].concat();
    let mut server = Alone::new(Side::Server);
    server.feed(bidi(0), &bytes, true);
    assert_eq!(server.given_up(bidi(0)), (Some(Code::H3_MESSAGE_ERROR), None));
    assert_eq!(server.consumed(bidi(0)), bytes.len() as u64);
}

#[test]
fn an_incomplete_request_is_aborted() {
    let server_ = server(&[], true);
    assert_eq!(server_.given_up(bidi(0)), (Some(Code::H3_REQUEST_INCOMPLETE), None));
    let server_ = server(&[&frame(0x21, b"x")], true);
    assert_eq!(server_.given_up(bidi(0)), (Some(Code::H3_REQUEST_INCOMPLETE), None));
    let client_ = client(get(), &[&head(&[(":status", "100")])], true);
    assert_eq!(client_.error().unwrap().code, Code::H3_MESSAGE_ERROR);
    // In the middle of a frame it is an error of the connection.
    for partial in [&frame(0, b"hello")[..4], &[0x00], &[0x21, 0x05, 1]] {
        assert_eq!(server(&[&head(&GET), partial], true).closed(), Some(Code::H3_FRAME_ERROR));
        let client = client(get(), &[&head(&OK), partial], true);
        assert_eq!(client.closed(), Some(Code::H3_FRAME_ERROR));
    }
}

#[test]
fn content_is_as_long_as_content_length_says() {
    let lines = [&GET[..], &[("content-length", "5")]].concat();
    let head_ = head(&lines);
    for (content, ends, wrong) in [(4, true, true), (5, true, false), (6, false, true), (0, true, true)] {
        let data = frame(0, &vec![1; content]);
        let server = server(&[&head_, &data], ends);
        let error = server.error().map(|error| error.code);
        assert_eq!(error, wrong.then_some(Code::H3_MESSAGE_ERROR), "{content}");
    }
    // Too much is known before it comes, too little when trailers come.
    let more = server(&[&head_, &[0x00, 0x06]], false);
    assert_eq!(more.error().unwrap().code, Code::H3_MESSAGE_ERROR);
    let less = server(&[&head_, &frame(0, b"four"), &head(&[("x", "y")])], false);
    assert_eq!(less.error().unwrap().code, Code::H3_MESSAGE_ERROR);
    let lines = [(":status", "200"), ("content-length", "5")];
    let short = client(get(), &[&head(&lines), &frame(0, b"four")], true);
    assert_eq!(short.error().unwrap().code, Code::H3_MESSAGE_ERROR);
    let complete = client(get(), &[&head(&lines), &frame(0, b"fives")], true);
    assert_eq!((complete.error(), complete.told().last()), (None, Some(&"finished")));
}

#[test]
fn some_responses_have_no_content() {
    let head_request = Request::head("https://a.example/").body(()).unwrap();
    let lines = [(":status", "200"), ("content-length", "5")];
    assert_eq!(client(head_request.clone(), &[&head(&lines)], true).error(), None);
    let with = client(head_request, &[&head(&lines), &frame(0, b"fives")], true);
    assert_eq!(with.error().unwrap().code, Code::H3_MESSAGE_ERROR);
    for status in ["204", "304"] {
        let with = client(get(), &[&head(&[(":status", status)]), &frame(0, b"x")], false);
        assert_eq!(with.error().unwrap().code, Code::H3_MESSAGE_ERROR, "{status}");
        assert_eq!(client(get(), &[&head(&[(":status", status)])], true).error(), None);
    }
}

#[test]
fn interim_responses_come_before_the_final_one() {
    let client_ = client(
        get(),
        &[&head(&[(":status", "100")]), &head(&[(":status", "103"), ("link", "</x>")]), &head(&OK)],
        true,
    );
    assert_eq!(client_.told(), ["opened", "informational", "informational", "response", "finished"]);
    // After the final response, a head is taken for trailers, and has a pseudo-header field.
    let client_ = client(get(), &[&head(&OK), &head(&[(":status", "103")])], false);
    assert_eq!(client_.error().unwrap().code, Code::H3_MESSAGE_ERROR);
}

#[test]
fn a_response_is_written_in_its_parts() {
    let mut server = server(&[&head(&GET)], true);
    let now = server.now;
    let machine = &mut server.machine;
    assert_eq!(machine.send_data(now, bidi(0), &mut Bytes::from_static(b"x"), false), Err(SendError::Order));
    assert_eq!(machine.send_informational(now, bidi(0), &response(200)), Err(HeadError::WrongStatus.into()));
    assert_eq!(machine.send_response(now, bidi(0), &response(103), false), Err(HeadError::WrongStatus.into()));
    assert_eq!(machine.send_response(now, bidi(0), &response(101), false), Err(HeadError::SwitchingProtocols.into()));
    machine.send_informational(now, bidi(0), &response(103)).unwrap();
    machine.send_response(now, bidi(0), &response(200), false).unwrap();
    assert_eq!(machine.send_informational(now, bidi(0), &response(103)), Err(SendError::Order));
    assert_eq!(machine.send_response(now, bidi(0), &response(200), false), Err(SendError::Order));
    let payload = Bytes::from_static(b"hello");
    machine.send_data(now, bidi(0), &mut payload.clone(), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("1"));
    machine.send_trailers(now, bidi(0), &trailers).unwrap();
    assert_eq!(machine.finish(now, bidi(0)), Err(SendError::Finished));
    server.drain();
    // The payload was not copied, and everything before it is one piece.
    let writes: Vec<&Bytes> = server
        .outputs
        .iter()
        .filter_map(|output| match output {
            Output::Write { data, .. } => Some(data),
            _ => None,
        })
        .collect();
    assert_eq!(writes.len(), 3);
    assert_eq!(writes[1].as_ptr(), payload.as_ptr());
    let (bytes, fin) = server.written(bidi(0));
    assert!(fin);
    server.take_writes();
    assert_eq!(server.machine.open_requests(), 0);
    let client = client(get(), &[&bytes], true);
    assert_eq!(client.told(), ["opened", "informational", "response", "data", "trailers", "finished"]);
}

#[test]
fn content_of_ours_is_as_long_as_we_said() {
    let with_length = || Response::builder().header("content-length", "5").body(()).unwrap();
    let begun = |head: &Response<()>, asked: &[(&str, &str)]| {
        let mut server = server(&[&self::head(asked)], true);
        server.machine.send_response(server.now, bidi(0), head, false).unwrap();
        server
    };
    let mut server_ = begun(&with_length(), &GET);
    let send = |server: &mut Alone, data: &'static [u8], end| {
        server.machine.send_data(server.now, bidi(0), &mut Bytes::from_static(data), end)
    };
    assert_eq!(send(&mut server_, b"sixsix", false), Err(SendError::ContentLength));
    assert_eq!(send(&mut server_, b"four", true), Err(SendError::ContentLength));
    assert_eq!(server_.machine.finish(server_.now, bidi(0)), Err(SendError::ContentLength));
    assert_eq!(server_.machine.send_trailers(server_.now, bidi(0), &HeaderMap::new()), Err(SendError::ContentLength));
    assert_eq!(send(&mut server_, b"four", false), Ok(()));
    assert_eq!(send(&mut server_, b"+", true), Ok(()));
    let mut early = server(&[&head(&GET)], true);
    assert_eq!(early.machine.send_response(early.now, bidi(0), &with_length(), true), Err(SendError::ContentLength));

    for mut none in [
        begun(&response(204), &GET),
        begun(&response(304), &GET),
        begun(&with_length(), &[&[(":method", "HEAD")], &GET[1..]].concat()),
    ] {
        assert_eq!(send(&mut none, b"x", true), Err(SendError::NoContent));
        assert_eq!(send(&mut none, b"", true), Ok(()));
    }
    let mut client = Alone::new(Side::Client);
    let post = Request::post("https://a.example/").header("content-length", "5").body(()).unwrap();
    assert_eq!(client.machine.request(post.clone(), true), Err(RequestError::ContentLength));
    client.ask(0, post);
    assert_eq!(send(&mut client, b"sixsix", false), Err(SendError::ContentLength));
    assert_eq!(send(&mut client, b"fives", true), Ok(()));
}

#[test]
fn heads_respect_what_the_peer_accepts() {
    let mut client = Alone::silent(Side::Client, plain());
    let large = || Request::get("https://a.example/").header("x", "y".repeat(200)).body(()).unwrap();
    client.ask(0, large());
    // A request that waits for its stream while the settings come is refused then.
    let waiting = client.machine.request(large(), true).unwrap();
    client.control(&frame(0x04, &[&[0x06][..], &varint(300)].concat()));
    client.machine.handle_opened(client.now, Opening::Request(waiting), bidi(1));
    client.drain();
    let Some(Event::RequestFailed { key, reason }) = client.events.last() else { panic!("{:?}", client.told()) };
    assert_eq!(*key, waiting);
    assert!(matches!(reason, RequestFailure::Head(HeadError::TooLarge(_, 300))));
    assert_eq!(client.given_up(bidi(1)), (Some(Code::H3_REQUEST_CANCELLED), Some(Code::H3_REQUEST_CANCELLED)));
    client.ask(2, get());
    assert_eq!(client.machine.open_requests(), 2);
}

#[test]
fn a_tunnel_carries_data_and_nothing_else() {
    let connect = head(&[(":method", "CONNECT"), (":authority", "a.example:443")]);
    let mut server_ = server(&[&connect, &frame(0, b"early")], false);
    assert_eq!(server_.told(), ["request", "data"]);
    server_.machine.send_response(server_.now, bidi(0), &response(200), false).unwrap();
    server_.machine.send_data(server_.now, bidi(0), &mut Bytes::from_static(b"hello"), false).unwrap();
    assert_eq!(server_.machine.send_trailers(server_.now, bidi(0), &HeaderMap::new()), Err(SendError::Order));
    server_.feed(bidi(0), &[], true);
    assert_eq!(server_.told().last(), Some(&"finished"));
    let stats = server_.machine.take_stats().unwrap();
    assert_eq!(stats.tunnels(crate::stats::Tunnel::ConnectTcp).accepted, 1);

    let refused = server(&[&connect, &head(&[("x", "y")])], false);
    assert_eq!(refused.closed(), Some(Code::H3_FRAME_UNEXPECTED));

    // A client that was not connected reads a response like any other.
    let ask = || Request::connect("a.example:443").body(()).unwrap();
    let mut proxied = client(ask(), &[&head(&[(":status", "407")]), &frame(0, b"x"), &head(&[("x", "y")])], true);
    assert_eq!(proxied.told(), ["opened", "response", "data", "trailers", "finished"]);
    let stats = proxied.machine.take_stats().unwrap();
    assert_eq!(stats.tunnels(crate::stats::Tunnel::ConnectTcp).refused, 1);
    // Any 2xx connects; what comes then is no content.
    let connected = client(ask(), &[&head(&[(":status", "204")]), &frame(0, b"x")], true);
    assert_eq!(connected.told(), ["opened", "response", "data", "finished"]);
    let connected = client(ask(), &[&head(&OK), &head(&[("x", "y")])], false);
    assert_eq!(connected.closed(), Some(Code::H3_FRAME_UNEXPECTED));
}

#[test]
fn extended_connect_needs_the_servers_leave() {
    let ask = || Request::connect("https://a.example/chat").extension(Protocol::WEBSOCKET).body(()).unwrap();
    let mut client = Alone::silent(Side::Client, plain());
    let refused = Err(RequestError::Head(HeadError::ExtendedConnect));
    assert_eq!(client.machine.request(ask(), false), refused, "not before the settings come");
    client.control(&frame(0x04, &[]));
    assert_eq!(client.machine.request(ask(), false), refused);
    let mut client = Alone::silent(Side::Client, plain());
    client.control(&frame(0x04, &[0x08, 1]));
    client.ask(0, ask());
    let (bytes, _) = client.written(bidi(0));

    let mut server_ = server(&[&bytes], false);
    let Event::Request { head, .. } = &server_.events[0] else { panic!() };
    assert_eq!(head.extensions().get::<Protocol>(), Some(&Protocol::WEBSOCKET));
    server_.machine.cancel(bidi(0));
    let stats = server_.machine.take_stats().unwrap();
    assert_eq!(stats.tunnels(crate::stats::Tunnel::WebSocket).refused, 1);

    // A server that did not give leave takes it for a field that requests do not have.
    let mut strict = Alone::silent(Side::Server, Config { enable_connect_protocol: false, ..plain() });
    strict.feed(bidi(0), &bytes, false);
    assert_eq!(strict.given_up(bidi(0)), MALFORMED);
}

#[test]
fn a_client_keeps_the_response_when_its_request_is_stopped() {
    let post = Request::post("https://a.example/").body(()).unwrap();
    let mut client = client(post, &[], false);
    client.machine.handle_stop_sending(client.now, bidi(0), Code::H3_NO_ERROR.0);
    client.drain();
    assert_eq!(client.told(), ["opened", "stopped"]);
    assert_eq!(client.machine.finish(client.now, bidi(0)), Err(SendError::Gone));
    client.feed(bidi(0), &[head(&OK), frame(0, b"complete")].concat(), true);
    assert_eq!(client.told(), ["opened", "stopped", "response", "data", "finished"]);
    assert_eq!(client.machine.open_requests(), 0);
}

#[test]
fn a_request_ends_with_the_code_that_fits() {
    // Given up by a server that did nothing with it, and by one that did.
    let mut unread = server(&[&head(&GET)[..4]], false);
    unread.machine.cancel(bidi(0));
    unread.drain();
    let rejected = Some(Code::H3_REQUEST_REJECTED);
    assert_eq!(unread.given_up(bidi(0)), (rejected, rejected));
    let mut read = server(&[&head(&GET)], false);
    read.machine.cancel(bidi(0));
    read.drain();
    let cancelled = Some(Code::H3_REQUEST_CANCELLED);
    assert_eq!(read.given_up(bidi(0)), (cancelled, cancelled));
    // By its client, which resets, or stops, or both.
    for (reset, stop, told) in [
        (true, false, EndReason::Reset(Code::H3_REQUEST_CANCELLED)),
        (false, true, EndReason::Stopped(Code::H3_NO_ERROR)),
    ] {
        let mut server = server(&[&head(&GET)], false);
        if reset {
            server.machine.handle_reset(server.now, bidi(0), Code::H3_REQUEST_CANCELLED.0);
        }
        if stop {
            server.machine.handle_stop_sending(server.now, bidi(0), 0x21);
        }
        server.drain();
        assert!(
            matches!(server.events.last(), Some(Event::Ended { reason, .. }) if *reason == told),
            "{:?}",
            server.events
        );
        let (was_reset, was_stopped) = server.given_up(bidi(0));
        assert_eq!((was_reset.is_some(), was_stopped.is_some()), (reset, stop), "the other half");
        assert_eq!(server.machine.open_requests(), 0);
    }
    // By the server of a client: rejected ones may be made again.
    for (code, reason) in [
        (0x10b, EndReason::Unprocessed),
        (0x10c, EndReason::Reset(Code::H3_REQUEST_CANCELLED)),
        (0x21, EndReason::Reset(Code::H3_NO_ERROR)),
    ] {
        let mut client = client(Request::post("https://a.example/").body(()).unwrap(), &[], false);
        client.machine.handle_reset(client.now, bidi(0), code);
        client.drain();
        let Some(Event::Ended { reason: told, .. }) = client.events.last() else { panic!() };
        assert_eq!((*told, told.may_be_retried()), (reason, code == 0x10b));
        assert_eq!(client.given_up(bidi(0)).0, cancelled);
        assert_eq!(client.machine.open_requests(), 0);
    }
}

#[test]
fn nobody_is_stopped_who_has_said_everything() {
    let mut server = server(&[&head(&GET)], false);
    server.machine.send_response(server.now, bidi(0), &response(200), true).unwrap();
    server.drain();
    server.take_writes();
    server.machine.handle_stop_sending(server.now, bidi(0), 0x10c);
    server.feed(bidi(0), &frame(0, b"still read"), true);
    assert_eq!(server.told(), ["request", "data", "finished"]);
    let mut client = client(get(), &[], false);
    client.machine.handle_stop_sending(client.now, bidi(0), 0x100);
    client.feed(bidi(0), &head(&OK), true);
    assert_eq!(client.told(), ["opened", "response", "finished"]);
}

#[test]
fn what_a_section_refers_to_goes_before_it() {
    let mut client = Alone::silent(Side::Client, plain());
    client.control(&frame(0x04, &[&[0x01][..], &varint(4096), &[0x07, 16]].concat()));
    client.outputs.clear();
    for index in 0..3 {
        let head = Request::get("https://a.example/").header("x-again", "and again").body(()).unwrap();
        client.ask(index, head);
    }
    let encoder = uni(Side::Client, 1);
    let mut instructions_first = 0;
    for pair in client.outputs.windows(2) {
        if let [Output::Write { stream: first, .. }, Output::Write { stream: second, .. }] = pair {
            assert!(*second != encoder || *first == encoder, "instructions behind a section: {pair:?}");
            instructions_first += u32::from(*first == encoder && second.direction() == Direction::Bidirectional);
        }
    }
    assert!(instructions_first > 0, "{:?}", client.outputs);
}

#[test]
fn half_a_stream_can_be_ended_alone() {
    let mut server = server(&[&head(&GET)], false);
    server.machine.stop(bidi(0), Code::H3_NO_ERROR);
    server.drain();
    assert_eq!(server.given_up(bidi(0)), (None, Some(Code::H3_NO_ERROR)));
    // The reset with which the client's transport answers changes nothing.
    server.machine.handle_reset(server.now, bidi(0), 0x100);
    server.feed(bidi(0), b"whatever", true);
    server.machine.send_response(server.now, bidi(0), &response(200), true).unwrap();
    server.drain();
    assert_eq!(server.machine.open_requests(), 1, "its bytes are not sent yet");
    server.take_writes();
    assert_eq!(server.machine.open_requests(), 0);
    assert_eq!(server.told(), ["request"]);

    let mut client = client(Request::post("https://a.example/").body(()).unwrap(), &[], false);
    client.machine.reset(bidi(0), Code::H3_REQUEST_CANCELLED);
    client.feed(bidi(0), &head(&OK), true);
    assert_eq!(client.given_up(bidi(0)), (Some(Code::H3_REQUEST_CANCELLED), None));
    assert_eq!(client.told(), ["opened", "response", "finished"]);
}

#[test]
fn frames_without_meaning_are_sent_once() {
    let config = Config { grease: true, ..plain() };
    let mut client = Alone::silent(Side::Client, config.clone());
    let mut server = Alone::silent(Side::Server, config);
    for index in 0..2 {
        let key = client.machine.request(get(), true).unwrap();
        client.machine.handle_opened(client.now, Opening::Request(key), bidi(index));
        client.drain();
        let (bytes, fin) = client.written(bidi(index));
        server.feed(bidi(index), &bytes, fin);
        server.machine.send_response(server.now, bidi(index), &response(200), true).unwrap();
        server.drain();
        let (bytes, fin) = server.written(bidi(index));
        client.feed(bidi(index), &bytes, fin);
    }
    assert_eq!(client.told(), ["opened", "response", "finished", "opened", "response", "finished"]);
    for alone in [&mut client, &mut server] {
        let stats = alone.machine.take_stats().unwrap();
        let reserved = stats.frames(crate::frame::FrameKind::Reserved);
        // On the control stream, which was not carried over, and on the first request.
        assert_eq!((reserved.sent, reserved.received), (2, 1));
    }
}

#[test]
fn roles_keep_to_their_own() {
    let mut server = Alone::new(Side::Server);
    assert_eq!(server.machine.request(get(), true), Err(RequestError::Closed));
    assert!(!server.machine.priority_update(bidi(0), Priority::default()));
    let mut client = client(get(), &[], false);
    assert_eq!(client.machine.send_response(client.now, bidi(0), &Response::new(()), true), Err(SendError::Gone));
    assert_eq!(
        client.machine.send_response(client.now, bidi(0), &response(StatusCode::OK.as_u16()), true),
        Err(SendError::Gone)
    );
}
