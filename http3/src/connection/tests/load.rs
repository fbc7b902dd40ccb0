//! Each bound: as much as it says is served, and one more is handled as it says.

use std::time::Duration;

use http::{Request, Response};

use super::*;
use crate::limits;

pub(super) fn get() -> Request<()> {
    Request::get("https://a.example/").body(()).unwrap()
}

pub(super) fn hits(alone: &mut Alone, limit: Limit) -> u64 {
    alone.machine.take_stats().map_or(0, |stats| stats.limit(limit))
}

#[test]
fn what_is_kept_for_a_stream_is_small() {
    assert!(size_of::<exchange::Exchange>() <= 288, "{}", size_of::<exchange::Exchange>());
    assert!(size_of::<Event>() <= 64 && size_of::<Output>() <= 80, "{} {}", size_of::<Event>(), size_of::<Output>());
}

/// Feeds one until the connection closes, and says how many were accepted.
fn accepted(alone: &mut Alone, mut feed: impl FnMut(&mut Alone, u64)) -> u64 {
    for count in 0..3000 {
        feed(alone, count);
        if alone.machine.is_closed() {
            assert_eq!(alone.closed(), Some(Code::H3_EXCESSIVE_LOAD));
            assert_eq!(hits(alone, Limit::Glitches), 1);
            return count;
        }
    }
    panic!("never closed");
}

#[test]
fn a_thousand_elements_may_be_ignored() {
    let control = |bytes: Vec<u8>| move |alone: &mut Alone, _| alone.control(&bytes);
    let request = |bytes: Vec<u8>| move |alone: &mut Alone, _| alone.feed(bidi(0), &bytes, false);
    for side in [Side::Server, Side::Client] {
        let head: &[(&str, &str)] = if side == Side::Server { &GET } else { &OK };
        let begun = || {
            let mut alone = Alone::new(side);
            alone.message(0, head, false);
            alone
        };
        assert_eq!(accepted(&mut begun(), control(frame(0x21, b"x"))), limits::GLITCHES);
        assert_eq!(accepted(&mut begun(), control(frame(0x0a, b""))), limits::GLITCHES);
        assert_eq!(accepted(&mut begun(), request(frame(0x21, b"x"))), limits::GLITCHES);
        assert_eq!(accepted(&mut begun(), request(frame(0x00, b""))), limits::GLITCHES);
        let unknown = |alone: &mut Alone, count| alone.feed(uni(alone.peer(), 1 + count), &[0x21], false);
        assert_eq!(accepted(&mut begun(), unknown), limits::GLITCHES);
        if side == Side::Server {
            assert_eq!(accepted(&mut begun(), control(frame(0x0d, &[9]))), limits::GLITCHES);
            assert_eq!(accepted(&mut begun(), control(frame(0xf0700, b"\x00u=1"))), limits::GLITCHES);
        }
    }
}

#[test]
fn slow_glitches_are_served_for_ever() {
    let mut server = Alone::new(Side::Server);
    for _ in 0..20_000 {
        server.now += Duration::from_secs(1) / 33;
        server.control(&frame(0x21, b"x"));
    }
    assert_eq!(server.closed(), None);
}

#[test]
fn content_is_no_glitch() {
    let mut server = Alone::new(Side::Server);
    server.message(0, &GET, false);
    for _ in 0..5000 {
        server.feed(bidi(0), &frame(0, b"x"), false);
    }
    assert_eq!((server.closed(), server.told().len()), (None, 5001));
}

/// Requests that their client gives up at once; how many until the connection closes.
fn rapid_resets(server: &mut Alone, step: Duration, answer: bool) -> Option<u64> {
    for index in 0..2000 {
        server.now += step;
        server.message(index, &GET, false);
        if answer {
            server.machine.send_response(server.now, bidi(index), &Response::new(()), false).unwrap();
        }
        server.machine.handle_reset(server.now, bidi(index), Code::H3_REQUEST_CANCELLED.0);
        server.machine.handle_stop_sending(server.now, bidi(index), Code::H3_REQUEST_CANCELLED.0);
        server.drain();
        assert!(server.machine.is_closed() || server.machine.open_requests() == 0);
        if server.machine.is_closed() {
            assert_eq!(server.closed(), Some(Code::H3_EXCESSIVE_LOAD));
            assert_eq!(hits(server, Limit::RapidResets), 1);
            return Some(index);
        }
    }
    None
}

#[test]
fn half_of_the_last_requests_may_be_given_up_at_once() {
    let mut server = Alone::new(Side::Server);
    assert_eq!(rapid_resets(&mut server, Duration::ZERO, false), Some(limits::RAPID_RESETS as u64));
    // Answered ones do not count, nor do those that are spread over time.
    assert_eq!(rapid_resets(&mut Alone::new(Side::Server), Duration::ZERO, true), None);
    assert_eq!(rapid_resets(&mut Alone::new(Side::Server), Duration::from_millis(101), false), None);
    // Nor is it too much if every other request is given up.
    let mut server = Alone::new(Side::Server);
    for index in 0..2000 {
        server.message(index, &GET, false);
        if index % 2 == 0 {
            server.machine.handle_reset(server.now, bidi(index), 0x10c);
        } else {
            server.machine.send_response(server.now, bidi(index), &Response::new(()), true).unwrap();
        }
        server.drain();
        server.take_writes();
        server.outputs.clear();
    }
    assert_eq!(server.closed(), None);
    // A client counts nothing: servers may refuse.
    let mut client = Alone::new(Side::Client);
    for index in 0..300 {
        client.ask(index, get());
        client.machine.handle_reset(client.now, bidi(index), 0x10b);
        client.drain();
    }
    assert_eq!(client.closed(), None);
}

#[test]
fn interim_responses_up_to_the_bound() {
    let mut client = Alone::new(Side::Client);
    for _ in 0..limits::INTERIM_RESPONSES {
        client.message(0, &[(":status", "103")], false);
    }
    client.message(0, &OK, false);
    let interim = client.told().iter().filter(|name| **name == "informational").count();
    assert_eq!((interim, client.told().last(), client.error()), (8, Some(&"response"), None));
    let mut client = Alone::new(Side::Client);
    for _ in 0..=limits::INTERIM_RESPONSES {
        client.message(0, &[(":status", "103")], false);
    }
    assert_eq!(client.error().unwrap().code, Code::H3_EXCESSIVE_LOAD);
    assert_eq!((client.closed(), hits(&mut client, Limit::InterimResponses)), (None, 1));
}

/// A value that makes a section of GET this large.
fn filling(size: usize) -> String {
    let get: usize = GET.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
    "v".repeat(size - get - 33)
}

#[test]
fn field_sections_up_to_the_bound() {
    // As large as may be.
    let (fits, too_large) = (filling(limits::FIELD_SECTION), filling(limits::FIELD_SECTION + 1));
    let mut server = Alone::new(Side::Server);
    server.message(0, &[&GET[..], &[("x", &fits)]].concat(), false);
    assert_eq!(server.told(), ["request"]);
    // One byte more is answered with 431, and the connection goes on.
    server.message(1, &[&GET[..], &[("x", &too_large)]].concat(), false);
    assert_eq!((server.told().len(), hits(&mut server, Limit::FieldSection)), (1, 1));
    assert_eq!(server.given_up(bidi(1)), (None, Some(Code::H3_NO_ERROR)));
    let (answer, fin) = server.written(bidi(1));
    assert!(fin);
    server.take_writes();
    assert_eq!(server.machine.open_requests(), 1);
    let mut client = Alone::new(Side::Client);
    client.ask(0, get());
    client.feed(bidi(0), &answer, true);
    let Event::Response { head, .. } = &client.events[1] else { panic!("{:?}", client.told()) };
    assert_eq!(head.status(), 431);

    // As many lines as may be.
    let many = vec![("x", "y"); limits::FIELDS];
    server.message(2, &[&GET[..], &many[4..]].concat(), false);
    assert_eq!(server.told(), ["request", "request"]);
    server.message(3, &[&GET[..], &many[3..]].concat(), false);
    assert_eq!((server.told().len(), hits(&mut server, Limit::FieldSection)), (2, 1));
    // Crumbs count, each.
    let crumbs = vec![("cookie", "a=b"); limits::FIELDS];
    server.message(4, &[&GET[..], &crumbs[3..]].concat(), false);
    assert_eq!((server.told().len(), server.closed()), (2, None));
}

#[test]
fn a_frame_that_says_to_be_too_long_is_refused_before_it_comes() {
    let mut server = Alone::new(Side::Server);
    let mut bytes = varint(0x01);
    bytes.extend(varint((1 << 62) - 1));
    server.feed(bidi(0), &bytes, false);
    assert_eq!(server.given_up(bidi(0)), (None, Some(Code::H3_NO_ERROR)));
    assert_eq!(server.machine.held_bytes(), 0);
    let (answer, fin) = server.written(bidi(0));
    assert!(!answer.is_empty() && fin);
    let mut bytes = varint(0x01);
    bytes.extend(varint(limits::FIELD_SECTION as u64));
    server.feed(bidi(1), &bytes, false);
    assert_eq!(server.given_up(bidi(1)), (None, None), "as long as the bound is not too long");
}

#[test]
fn responses_and_trailers_that_are_too_large_are_malformed() {
    let large = "v".repeat(limits::FIELD_SECTION);
    for side in [Side::Server, Side::Client] {
        let mut alone = Alone::new(side);
        alone.message(0, if side == Side::Server { &GET } else { &OK }, false);
        alone.message(0, &[("x", &large)], false);
        assert_eq!(alone.error().unwrap().code, Code::H3_MESSAGE_ERROR);
        assert_eq!((alone.closed(), hits(&mut alone, Limit::FieldSection)), (None, 1));
    }
    let mut client = Alone::new(Side::Client);
    client.message(0, &[(":status", "200"), ("x", &large)], false);
    assert_eq!(client.error().unwrap().code, Code::H3_MESSAGE_ERROR);
    let mut client = Alone::new(Side::Client);
    client.message(0, &[(":status", "103"), ("x", &large)], false);
    assert_eq!(client.error().unwrap().code, Code::H3_MESSAGE_ERROR);
}

#[test]
fn sections_that_nobody_polls_are_not_decoded_without_end() {
    let mut server = Alone::new(Side::Server);
    let value = filling(limits::FIELD_SECTION);
    let head = server.head(&[&GET[..], &[("x", &value)]].concat());
    let whole = (limits::UNDISPATCHED_FIELDS / limits::FIELD_SECTION) as u64;
    for index in 0..100 {
        server.machine.handle_data(server.now, bidi(index), Bytes::from([head.clone(), frame(0, b"x")].concat()), true);
    }
    assert_eq!(server.machine.undispatched, limits::UNDISPATCHED_FIELDS);
    let held = (100 - whole) * (head.len() as u64 + 3);
    assert_eq!(server.machine.held_bytes(), held, "all others are held as they came, and stay charged");
    let mut consumed = 0;
    while let Some(output) = server.machine.poll_output() {
        if let Output::Consumed { bytes, .. } = output {
            consumed += bytes;
        }
    }
    // Their data wait in events.
    assert_eq!(consumed, whole * (head.len() as u64 + 2));
    assert_eq!(hits(&mut server, Limit::UndispatchedFields), 100 - whole);
    // Polled, all of them come, in their order, and no more at once than may.
    let mut streams = Vec::new();
    while let Some(event) = server.machine.poll_event() {
        assert!(server.machine.undispatched <= limits::UNDISPATCHED_FIELDS);
        if let Event::Request { stream, .. } = event {
            streams.push(stream.index());
        }
    }
    assert_eq!(streams, (0..100).collect::<Vec<_>>());
    assert_eq!((server.machine.held_bytes(), server.machine.undispatched), (0, 0));
}

#[test]
fn as_many_sections_wait_for_the_encoder_stream_as_we_said() {
    // They need one insertion that never comes.
    let waiting = frame(1, &[0x02, 0x00, 0x80]);
    for side in [Side::Server, Side::Client] {
        let mut alone = Alone::new(side);
        let blocked = qpack::limits::BLOCKED_STREAMS;
        for index in 0..=blocked {
            if side == Side::Client {
                alone.ask(index, get());
            }
            assert_eq!(alone.closed(), None, "{index}");
            alone.feed(bidi(index), &waiting, false);
            alone.feed(bidi(index), &frame(0, b"behind"), true);
        }
        assert_eq!(alone.closed(), Some(Code::QPACK_DECOMPRESSION_FAILED));
        assert_eq!(alone.consumed(bidi(0)), 0);
    }
}

#[test]
fn whoever_gives_up_a_stream_that_waits_makes_room_for_another() {
    let waiting = frame(1, &[0x02, 0x00, 0x80]);
    for act in 0..4 {
        let mut server = Alone::new(Side::Server);
        for index in 0..100 {
            server.feed(bidi(index), &waiting, false);
            match act {
                0 => server.machine.cancel(bidi(index)),
                1 => server.machine.stop(bidi(index), Code::H3_NO_ERROR),
                2 => server.machine.handle_reset(server.now, bidi(index), 0x10c),
                _ => server.machine.handle_stop_sending(server.now, bidi(index), 0x10c),
            }
            server.drain();
        }
        assert_eq!((server.closed(), server.machine.held_bytes()), (None, 0), "{act}");
        // And the peer's encoder hears of each: Stream Cancellation of stream 396.
        let (instructions, _) = server.written(uni(Side::Server, 2));
        assert!(instructions.ends_with(&[0x7f, 0xcd, 0x02]), "{act}: {instructions:x?}");
    }
}

#[test]
fn a_stream_that_is_given_up_while_it_waits_is_not_waited_for() {
    let mut server = Alone::new(Side::Server);
    let value = filling(limits::FIELD_SECTION);
    let head = server.head(&[&GET[..], &[("x", &value)]].concat());
    for index in 0..20 {
        server.machine.handle_data(server.now, bidi(index), Bytes::from(head.clone()), false);
    }
    server.machine.cancel(bidi(17));
    server.machine.handle_reset(server.now, bidi(18), 0x10c);
    server.drain();
    assert_eq!(server.events.iter().filter(|event| matches!(event, Event::Request { .. })).count(), 18);
    assert_eq!(server.machine.held_bytes(), 0);
}

/// A server that answers request 0 and has this much to say.
fn answering() -> Alone {
    let mut server = Alone::new(Side::Server);
    server.message(0, &GET, true);
    server.machine.send_response(server.now, bidi(0), &Response::new(()), false).unwrap();
    server
}

#[test]
fn a_peer_that_takes_nothing_makes_us_hold_little() {
    let mut server = answering();
    let mut data = Bytes::from(vec![7; 1 << 20]);
    server.machine.send_data(server.now, bidi(0), &mut data, true).unwrap();
    server.drain();
    let (written, fin) = server.written(bidi(0));
    assert!(!fin && (written.len() as u64) < limits::BLOCKED_STREAM + 16, "{}", written.len());
    assert_eq!(server.machine.room(bidi(0)), 0);
    // What it takes is permitted in addition, up to another bound.
    let mut most = 0;
    while !data.is_empty() {
        let before = server.written(bidi(0)).0.len() as u64;
        server.outputs.clear();
        server.events.clear();
        server.machine.handle_sent(server.now, bidi(0), before);
        server.drain();
        assert_eq!(server.told(), ["writable"]);
        server.machine.send_data(server.now, bidi(0), &mut data, true).unwrap();
        server.drain();
        most = most.max(server.written(bidi(0)).0.len() as u64);
    }
    assert!((limits::SEND_AHEAD..limits::SEND_AHEAD + 16).contains(&most), "{most}");
    assert!(server.written(bidi(0)).1);
}

#[test]
fn a_response_that_is_not_taken_is_given_up() {
    let mut server = answering();
    let mut data = Bytes::from(vec![7; 1 << 20]);
    server.machine.send_data(server.now, bidi(0), &mut data, true).unwrap();
    server.drain();
    let deadline = server.machine.deadline().unwrap();
    assert_eq!(deadline, server.now + limits::BLOCKED_TIME);
    // A byte at a time is progress.
    server.now = deadline.saturating_before(Duration::from_secs(1));
    server.machine.handle_sent(server.now, bidi(0), 1);
    server.machine.handle_deadline(deadline);
    server.drain();
    assert_eq!(server.given_up(bidi(0)), (None, None));
    let deadline = server.machine.deadline().unwrap();
    assert_eq!(deadline, server.now + limits::BLOCKED_TIME);
    server.machine.handle_deadline(deadline.saturating_before(Duration::from_nanos(1)));
    assert_eq!(server.machine.open_requests(), 1);
    server.machine.handle_deadline(deadline);
    server.drain();
    assert_eq!(server.given_up(bidi(0)), (Some(Code::H3_REQUEST_CANCELLED), None));
    assert!(matches!(server.events.last(), Some(Event::Ended { reason: EndReason::Blocked, .. })));
    assert_eq!((server.machine.open_requests(), server.machine.deadline()), (0, None));
    assert_eq!(hits(&mut server, Limit::BlockedTime), 1);
}

#[test]
fn a_response_that_comes_late_has_its_time() {
    let mut server = answering();
    server.drain();
    server.take_writes();
    server.now += limits::BLOCKED_TIME * 3;
    server.machine.send_data(server.now, bidi(0), &mut Bytes::from_static(b"x"), false).unwrap();
    server.machine.handle_deadline(server.now);
    assert_eq!(server.machine.open_requests(), 1);
    server.machine.handle_deadline(server.now + limits::BLOCKED_TIME);
    assert_eq!(server.machine.open_requests(), 0);
}

#[test]
fn only_responses_that_wait_are_given_up() {
    // One that is complete and was taken, one that has nothing to say for now, and an upload.
    let mut server = answering();
    server.drain();
    server.take_writes();
    server.machine.handle_deadline(server.now + limits::BLOCKED_TIME * 2);
    assert_eq!((server.machine.open_requests(), server.machine.deadline()), (1, None));
    let mut client = Alone::new(Side::Client);
    client.ask(0, Request::post("https://a.example/").body(()).unwrap());
    client.machine.send_data(client.now, bidi(0), &mut Bytes::from(vec![7; 1 << 20]), true).unwrap();
    assert_eq!(client.machine.deadline(), None);
}

#[test]
fn priorities_are_kept_for_few_streams() {
    let mut server = Alone::new(Side::Server);
    let update = |index: u64, value: &[u8]| frame(0xf0700, &[&varint(index * 4), value].concat());
    for index in 0..limits::EARLY_PRIORITIES as u64 {
        server.control(&update(index, b"u=1"));
        server.control(&update(index, b"u=0"));
    }
    assert_eq!(hits(&mut server, Limit::EarlyPriorities), 0);
    server.control(&update(1000, b"u=0"));
    assert_eq!(hits(&mut server, Limit::EarlyPriorities), 1);
    // The oldest went.
    server.message(0, &GET, true);
    server.message(1, &GET, true);
    let priorities: Vec<u8> = server
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Request { priority, .. } => Some(priority.urgency()),
            _ => None,
        })
        .collect();
    assert_eq!(priorities, [3, 0]);
    assert_eq!(server.machine.early_priorities.len(), limits::EARLY_PRIORITIES - 1);
}

#[test]
fn priorities_too_long_are_ignored() {
    let mut server = Alone::new(Side::Server);
    server.message(0, &GET, true);
    let longest = |extra: usize| {
        let mut payload = vec![0];
        payload.extend(b"u=0, x=");
        payload.resize(limits::PRIORITY_UPDATE_FRAME as usize + extra, b'1');
        payload[8] = b'"';
        *payload.last_mut().unwrap() = b'"';
        frame(0xf0700, &payload)
    };
    server.control(&longest(1));
    assert_eq!(server.told(), ["request", "finished"]);
    assert_eq!(hits(&mut server, Limit::PriorityUpdateFrame), 1);
    server.control(&longest(0));
    assert_eq!(server.closed(), None);
    assert_eq!(hits(&mut server, Limit::PriorityUpdateFrame), 0);
}

#[test]
fn few_requests_wait_for_a_stream() {
    let mut client = Alone::new(Side::Client);
    for _ in 0..limits::PENDING_REQUESTS {
        client.machine.request(get(), true).unwrap();
    }
    assert_eq!(client.machine.request(get(), true), Err(RequestError::TooMany));
    assert_eq!(hits(&mut client, Limit::PendingRequests), 1);
}
