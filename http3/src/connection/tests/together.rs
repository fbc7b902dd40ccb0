//! Two machines against each other ([`Pair`]).

use std::time::Duration;

use http::{HeaderValue, Method, Request};
use proptest::prelude::*;

use super::pair::*;
use super::*;
use crate::limits;

#[test]
fn requests_and_responses_arrive_as_they_were_sent() {
    let mut pair = Pair::new(1);
    let upload = Bytes::from(vec![9; 100_000]);
    let head = Request::post("https://a.example/upload?x=1")
        .header("x-answer", "100001")
        .header("x-interim", "3")
        .header("cookie", "a=1")
        .header("authorization", "secret")
        .body(())
        .unwrap();
    pair.request(head, Some((upload.clone(), true)));
    pair.run();
    let [client, server] = &pair.ends;
    let Some(Event::Request { head, .. }) = server.events.iter().find(|event| name(event) == "request") else {
        panic!()
    };
    assert_eq!((head.method(), head.uri().to_string().as_str()), (&Method::POST, "https://a.example/upload?x=1"));
    assert_eq!(
        (&head.headers()["cookie"], &head.headers()["authorization"]),
        (&HeaderValue::from_static("a=1"), &HeaderValue::from_static("secret"))
    );
    assert_eq!(server.received[&bidi(0)], upload);
    assert_eq!(server.trailers[&bidi(0)], trailers());
    assert_eq!(client.interim, 3);
    assert_eq!(client.received[&bidi(0)], answer(bidi(0), 100_001));
    assert_eq!(client.trailers[&bidi(0)], trailers());
    assert_eq!((client.finished.len(), server.finished.len()), (1, 1));
    pair.check_nothing_is_left();
}

#[test]
fn nothing_is_left_of_ten_thousand_requests() {
    let mut pair = Pair::new(2);
    for round in 0..100 {
        for index in 0..100 {
            pair.request(asking((round * index) % 300), None);
        }
        pair.run();
        pair.check_nothing_is_left();
        for end in &mut pair.ends {
            // A transport forgets streams that are over; what was told is of no use here.
            end.pipes.retain(|_, pipe| !pipe.over);
            end.events.clear();
            end.received.clear();
            end.trailers.clear();
        }
    }
    assert_eq!(pair.ends[CLIENT].finished.len(), 10_000);
    assert!(pair.ends.iter().all(|end| end.ended.is_empty()));
    let [(client, _), (server, decoder)] = [CLIENT, SERVER].map(|side| pair.ends[side].machine.qpack_stats());
    assert_eq!((client.sections, decoder.sections), (10_000, 10_000));
    assert!(server.dynamic_lines > 5000, "the dynamic tables are used: {}", server.dynamic_lines);
}

#[test]
fn sections_that_wait_for_the_encoder_stream_stay_charged() {
    let mut pair = Pair::with(3, Config { grease: false, ..Config::default() });
    pair.request(asking(0), None);
    pair.run();
    // Now both tables are in use; the client's encoder stream is held up.
    pair.withheld = vec![uni(Side::Client, 1)];
    for index in 0..8 {
        let mut head = asking(index);
        *head.uri_mut() = format!("https://a.example/some/path/that/is/asked/for/again/{}", index / 4).parse().unwrap();
        pair.request(head, Some((Bytes::from(vec![7; 1000]), false)));
    }
    pair.run();
    let before = pair.ends[SERVER].finished.len();
    let held = pair.ends[SERVER].machine.held_bytes();
    assert!(before < 9 && held > 1000, "some wait: {before} did not, {held} bytes are held");
    let charged: u64 = pair.ends[CLIENT].pipes.values().map(|pipe| pipe.delivered - pipe.consumed).sum();
    assert!(charged >= held);
    pair.withheld.clear();
    pair.run();
    assert_eq!((pair.ends[CLIENT].finished.len(), pair.ends[SERVER].finished.len()), (9, 9));
    assert!(pair.ends[SERVER].received.values().all(|content| content.len() == 1000));
    pair.check_nothing_is_left();
}

#[test]
fn waiting_streams_can_be_given_up() {
    let mut pair = Pair::with(4, Config { grease: false, ..Config::default() });
    pair.request(asking(0), None);
    pair.run();
    pair.withheld = vec![uni(Side::Client, 1)];
    for _ in 0..4 {
        let mut head = asking(7);
        *head.uri_mut() = "https://a.example/asked/for/again".parse().unwrap();
        pair.request(head, Some((Bytes::from(vec![7; 500]), false)));
    }
    pair.run();
    assert!(pair.ends[SERVER].machine.held_bytes() > 500);
    for index in 1..5 {
        pair.ends[CLIENT].machine.cancel(bidi(index));
    }
    pair.run();
    assert_eq!(pair.ends[SERVER].machine.held_bytes(), 0);
    pair.withheld.clear();
    pair.request(asking(3), None);
    pair.run();
    pair.check_nothing_is_left();
    assert_eq!(pair.ends[CLIENT].received[&bidi(5)], answer(bidi(5), 3));
}

#[test]
fn a_tunnel_carries_bytes_and_datagrams_both_ways() {
    let mut pair = Pair::new(5);
    pair.run();
    let head =
        Request::connect("https://a.example/x").extension(crate::message::Protocol::CONNECT_UDP).body(()).unwrap();
    pair.ends[CLIENT].machine.request(head, false).unwrap();
    pair.run();
    let stream = bidi(0);
    for (side, bytes) in [(CLIENT, &b"to the server"[..]), (SERVER, b"to the client")] {
        let now = pair.now;
        let machine = &mut pair.ends[side].machine;
        machine.send_data(now, stream, &mut Bytes::from_static(bytes), false).unwrap();
        machine.send_datagram(stream, Bytes::from_static(bytes)).unwrap();
    }
    pair.run();
    for side in [CLIENT, SERVER] {
        let datagram = pair.ends[side].datagrams.pop_front().unwrap();
        let now = pair.now;
        pair.ends[1 - side].machine.handle_datagram(now, datagram);
        pair.settle(1 - side);
    }
    assert_eq!(pair.ends[SERVER].received[&stream], b"to the server");
    assert_eq!(pair.ends[CLIENT].received[&stream], b"to the client");
    assert!(pair.ends.iter().all(|end| end.events.iter().any(|event| name(event) == "datagram")));
    for side in [CLIENT, SERVER] {
        let now = pair.now;
        pair.ends[side].machine.finish(now, stream).unwrap();
    }
    pair.run();
    pair.check_nothing_is_left();
    let accepted = |end: &mut End| end.machine.take_stats().unwrap().tunnels(crate::stats::Tunnel::ConnectUdp).accepted;
    assert!(pair.ends.iter_mut().all(|end| accepted(end) == 1));
}

#[test]
fn a_shutdown_loses_no_request() {
    for seed in 0..50 {
        let mut pair = Pair::new(seed);
        for index in 0..20 {
            pair.request(asking(index * 50), None);
        }
        pair.settle(CLIENT);
        pair.settle(SERVER);
        for _ in 0..seed * 3 {
            pair.step();
        }
        pair.ends[SERVER].machine.announce_goaway();
        pair.settle(SERVER);
        for _ in 0..seed {
            pair.step();
        }
        pair.ends[SERVER].machine.goaway();
        pair.run();
        let [client, server] = &pair.ends;
        let retried = client.ended.iter().filter(|(_, reason)| reason.may_be_retried()).count();
        assert_eq!(client.ended.len(), retried, "nothing else ends");
        assert_eq!(client.finished.len() + retried, 20, "seed {seed}");
        assert_eq!(server.finished.len(), client.finished.len());
        for end in &pair.ends {
            assert_eq!(end.events.iter().filter(|event| name(event) == "drained").count(), 1, "seed {seed}");
        }
        pair.check_nothing_is_left();
    }
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let mut pair = Pair::new(6);
    for _ in 0..20 {
        pair.request(asking(1_000_000), None);
    }
    pair.withheld = (0..20).map(bidi).collect();
    // Requests go, responses do not: nothing but what a transport without credit would hold.
    pair.settle(CLIENT);
    pair.settle(SERVER);
    let heads: Vec<(StreamId, Vec<Bytes>)> =
        pair.ends[CLIENT].pipes.iter().map(|(stream, pipe)| (*stream, pipe.bytes.iter().cloned().collect())).collect();
    for (stream, pieces) in heads {
        if stream.direction() == Direction::Bidirectional {
            let now = pair.now;
            pair.ends[SERVER].machine.handle_data(now, stream, pieces.concat().into(), true);
            pair.ends[CLIENT].pipes.get_mut(&stream).unwrap().delivered += pieces.concat().len() as u64;
            pair.settle(SERVER);
        }
    }
    let held: usize = pair.ends[SERVER].pipes.values().map(Pipe::pending).sum();
    assert!(held as u64 <= 20 * (limits::BLOCKED_STREAM + 512) + 4096, "{held}");
    pair.now += limits::BLOCKED_TIME;
    let now = pair.now;
    pair.ends[SERVER].machine.handle_deadline(now);
    pair.settle(SERVER);
    assert_eq!(pair.ends[SERVER].ended.len(), 20);
    assert_eq!(pair.ends[SERVER].machine.open_requests(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_order_and_any_pieces_give_the_same(
        seed: u64,
        requests in proptest::collection::vec((0_usize..5000, proptest::option::of(0_usize..5000), 0_u8..4, any::<bool>()), 1..12),
        cancelled in proptest::collection::vec((0_u64..12, any::<bool>(), 0_usize..200), 0..4),
        withheld in proptest::option::of(0_u64..3),
    ) {
        let mut pair = Pair::new(seed);
        pair.longest = 1 + seed % 700;
        pair.withheld.extend(withheld.map(|index| uni(Side::Client, index)));
        for (length, upload, interim, head_only) in &requests {
            let method = match (head_only, upload) {
                (true, None) => Method::HEAD,
                (_, None) => Method::GET,
                _ => Method::PUT,
            };
            let head = Request::builder()
                .method(method)
                .uri(format!("https://a.example/{}", length % 7))
                .header("x-answer", length.to_string())
                .header("x-interim", interim.to_string())
                .header("user-agent", "quicast tests")
                .body(())
                .unwrap();
            pair.request(head, upload.map(|length| (Bytes::from(vec![length as u8; length]), length % 2 == 1)));
        }
        pair.settle(CLIENT);
        pair.settle(SERVER);
        for (index, by_client, after) in cancelled {
            for _ in 0..after {
                pair.step();
            }
            let side = if by_client { CLIENT } else { SERVER };
            pair.ends[side].machine.cancel(bidi(index));
            pair.ends[side].bodies.remove(&bidi(index));
            pair.settle(side);
        }
        pair.run();
        pair.withheld.clear();
        pair.run();
        pair.check_nothing_is_left();
        let [client, server] = &pair.ends;
        for (index, (length, upload, _, head_only)) in requests.iter().enumerate() {
            let stream = bidi(index as u64);
            // What was complete is right.
            if client.finished.contains(&stream) {
                let expected = if *head_only && upload.is_none() { 0 } else { *length };
                prop_assert_eq!(client.received.get(&stream).map_or(0, Vec::len), expected);
                prop_assert_eq!(client.received.get(&stream).cloned().unwrap_or_default(), answer(stream, expected));
                prop_assert_eq!(client.trailers.contains_key(&stream), expected % 2 == 1);
            }
            if server.finished.contains(&stream) {
                prop_assert_eq!(server.received.get(&stream).map_or(0, Vec::len), upload.unwrap_or(0));
            }
        }
        pair.now += Duration::from_secs(60);
        let now = pair.now;
        pair.ends[SERVER].machine.handle_deadline(now);
        prop_assert_eq!(pair.ends[SERVER].machine.deadline(), None);
    }
}
