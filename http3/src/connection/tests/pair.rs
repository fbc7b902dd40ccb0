//! Two machines over a transport of ordered streams: pieces of any length, streams in any order, credit now or later.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response};
use proptest::prelude::*;

use super::*;
use crate::grease::Grease;
use crate::limits;

/// One direction of a stream.
#[derive(Default)]
struct Pipe {
    bytes: VecDeque<Bytes>,
    fin: bool,
    reset: Option<Code>,
    /// The receiver does not want it.
    stop: Option<Code>,
    /// Whether its end was delivered.
    over: bool,
    /// Whether the receiver asked to stop, so that nothing is counted any more.
    uncounted: bool,
    delivered: u64,
    consumed: u64,
}

impl Pipe {
    fn pending(&self) -> usize {
        self.bytes.iter().map(Bytes::len).sum()
    }
}

/// An end: the machine, its streams' sending halves, and its application.
struct End {
    machine: Connection,
    /// What this end sends.
    pipes: BTreeMap<StreamId, Pipe>,
    opened: [u64; 2],
    /// Streams of the peer that were reported, by direction.
    reported: [u64; 2],
    events: Vec<Event>,
    /// Bytes to be sent, by stream, with whether trailers follow.
    bodies: BTreeMap<StreamId, (Bytes, bool)>,
    /// The same for requests that have no stream yet.
    waiting: BTreeMap<crate::RequestKey, (Bytes, bool)>,
    /// What came.
    received: BTreeMap<StreamId, Vec<u8>>,
    trailers: BTreeMap<StreamId, HeaderMap>,
    finished: Vec<StreamId>,
    ended: Vec<(StreamId, EndReason)>,
    interim: u32,
    datagrams: VecDeque<Bytes>,
}

struct Pair {
    ends: [End; 2],
    now: Time,
    chance: Grease,
    /// Bytes that a delivery has at most.
    longest: u64,
    /// Streams whose bytes are not delivered for now.
    withheld: Vec<StreamId>,
    /// Whether the server only takes requests, and answers nothing.
    mute: bool,
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("x-sum"), HeaderValue::from_static("42"))])
}

impl End {
    fn new(machine: Connection) -> Self {
        Self {
            machine,
            pipes: BTreeMap::new(),
            opened: [0; 2],
            reported: [0; 2],
            events: Vec::new(),
            bodies: BTreeMap::new(),
            waiting: BTreeMap::new(),
            received: BTreeMap::new(),
            trailers: BTreeMap::new(),
            finished: Vec::new(),
            ended: Vec::new(),
            interim: 0,
            datagrams: VecDeque::new(),
        }
    }

    /// Sends as much as there is room for.
    fn push_bodies(&mut self, now: Time) {
        let streams: Vec<StreamId> = self.bodies.keys().copied().collect();
        for stream in streams {
            let (data, with_trailers) = self.bodies.get_mut(&stream).unwrap();
            let sent = self.machine.send_data(now, stream, data, !*with_trailers);
            let done = match sent {
                Ok(()) if !data.is_empty() => false,
                Ok(()) if *with_trailers => {
                    self.machine.send_trailers(now, stream, &trailers()).unwrap();
                    true
                }
                Ok(()) => true,
                Err(error) => {
                    assert_eq!(error, SendError::Gone);
                    true
                }
            };
            if done {
                self.bodies.remove(&stream);
            }
        }
    }
}

impl Pair {
    fn new(seed: u64) -> Self {
        Self::with(seed, Config { enable_connect_protocol: true, ..Config::default() })
    }

    fn with(seed: u64, config: Config) -> Self {
        let mut chance = Grease::new(seed);
        let client = Connection::client(config.clone(), chance.next());
        let server = Connection::server(config, chance.next());
        let longest = 1 + chance.next() % 40_000;
        Self {
            ends: [End::new(client), End::new(server)],
            now: Time::ZERO,
            chance,
            longest,
            withheld: Vec::new(),
            mute: false,
        }
    }

    /// Carries out what a machine wants, and lets its application act, until there is nothing more.
    fn settle(&mut self, side: usize) {
        loop {
            let now = self.now;
            let end = &mut self.ends[side];
            let events: Vec<Event> = std::iter::from_fn(|| end.machine.poll_event()).collect();
            let outputs: Vec<Output> = std::iter::from_fn(|| end.machine.poll_output()).collect();
            if events.is_empty() && outputs.is_empty() {
                return;
            }
            for output in outputs {
                self.carry_out(side, output);
            }
            for event in events {
                self.on_event(side, event);
            }
            self.ends[side].push_bodies(now);
        }
    }

    fn carry_out(&mut self, side: usize, output: Output) {
        let now = self.now;
        let own = if side == CLIENT { Side::Client } else { Side::Server };
        match output {
            Output::Open(opening) => {
                let end = &mut self.ends[side];
                let direction = opening.direction();
                let next = &mut end.opened[usize::from(direction == Direction::Unidirectional)];
                let stream = StreamId::new(own, direction, *next);
                *next += 1;
                end.machine.handle_opened(now, opening, stream);
            }
            Output::Write { stream, data, fin } => {
                let pipe = self.ends[side].pipes.entry(stream).or_default();
                assert!(!pipe.fin, "{stream:?}: bytes after the end");
                assert!(pipe.reset.is_none(), "{stream:?}: bytes after a reset");
                pipe.bytes.push_back(data);
                pipe.fin = fin;
            }
            Output::Reset { stream, code } => {
                let pipe = self.ends[side].pipes.entry(stream).or_default();
                assert!(pipe.reset.is_none(), "{stream:?}: reset twice");
                pipe.reset = Some(code);
                pipe.bytes.clear();
            }
            Output::Stop { stream, code } => {
                let pipe = self.ends[1 - side].pipes.entry(stream).or_default();
                assert!(pipe.stop.is_none(), "{stream:?}: stopped twice");
                pipe.stop = Some(code);
                pipe.uncounted = true;
            }
            Output::Consumed { stream, bytes } => {
                let pipe = self.ends[1 - side].pipes.get_mut(&stream).unwrap();
                pipe.consumed += bytes;
                assert!(pipe.uncounted || pipe.consumed <= pipe.delivered, "{stream:?}: more than came");
            }
            Output::Datagram { prefix, payload } => {
                self.ends[side].datagrams.push_back([&prefix[..], &payload[..]].concat().into());
            }
            Output::Close { code, reason } => panic!("{own:?} closes: {code} {reason}"),
        }
    }

    fn on_event(&mut self, side: usize, event: Event) {
        let now = self.now;
        let mute = self.mute;
        let end = &mut self.ends[side];
        match &event {
            Event::Data { stream, data } => {
                end.received.entry(*stream).or_default().extend_from_slice(data);
                end.machine.data_consumed(*stream, data.len() as u64);
            }
            Event::Request { stream, head, .. } if !mute => {
                let stream = *stream;
                let interim = head.headers().get("x-interim").map_or(0, |count| count.as_bytes()[0] - b'0');
                for _ in 0..interim {
                    let hint = Response::builder().status(103).header("link", "</x>").body(()).unwrap();
                    end.machine.send_informational(now, stream, &hint).unwrap();
                }
                let length: usize =
                    head.headers().get("x-answer").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
                let mut response = Response::builder().status(200).header("server", "quicast");
                if head.method() != Method::CONNECT {
                    response = response.header("content-length", length);
                }
                end.machine.send_response(now, stream, &response.body(()).unwrap(), false).unwrap();
                if head.method() != Method::CONNECT {
                    let length = if head.method() == Method::HEAD { 0 } else { length };
                    end.bodies.insert(stream, (answer(stream, length), length % 2 == 1));
                }
            }
            Event::RequestOpened { key, stream } => {
                if let Some(body) = end.waiting.remove(key) {
                    end.bodies.insert(*stream, body);
                }
            }
            Event::Informational { .. } => end.interim += 1,
            Event::Trailers { stream, trailers } => {
                end.trailers.insert(*stream, (**trailers).clone());
            }
            Event::Finished { stream } => end.finished.push(*stream),
            Event::Ended { stream, reason } => {
                end.bodies.remove(stream);
                end.ended.push((*stream, *reason));
            }
            _ => {}
        }
        self.ends[side].events.push(event);
    }

    /// Delivers one piece of one stream of one direction. Whether there was any.
    fn step(&mut self) -> bool {
        let mut ready: Vec<(usize, StreamId)> = Vec::new();
        for (side, end) in self.ends.iter().enumerate() {
            ready.extend(
                end.pipes
                    .iter()
                    .filter(|(stream, pipe)| {
                        let has = !pipe.bytes.is_empty() || ((pipe.fin || pipe.reset.is_some()) && !pipe.over);
                        (has && !self.withheld.contains(stream)) || pipe.stop.is_some()
                    })
                    .map(|(stream, _)| (side, *stream)),
            );
        }
        if ready.is_empty() {
            return false;
        }
        let (from, stream) = ready[(self.chance.next() % ready.len() as u64) as usize];
        let (now, to) = (self.now, 1 - from);
        self.report(if self.ends[from].pipes[&stream].stop.is_some() { from } else { to }, stream);
        let length = (1 + self.chance.next() % self.longest) as usize;
        let pipe = self.ends[from].pipes.get_mut(&stream).unwrap();
        if let Some(code) = pipe.stop.take() {
            // The sender's transport answers with a reset, unless everything is sent.
            if !pipe.over {
                pipe.bytes.clear();
                pipe.reset.get_or_insert(code);
                self.ends[from].machine.handle_stop_sending(now, stream, code.0);
            }
            self.settle(from);
        } else if let Some(code) = pipe.reset {
            pipe.over = true;
            pipe.uncounted = true;
            self.ends[to].machine.handle_reset(now, stream, code.0);
            self.settle(to);
        } else {
            let mut piece = pipe.bytes.pop_front().unwrap_or_default();
            if piece.len() > length {
                pipe.bytes.push_front(piece.split_off(length));
            }
            let fin = pipe.fin && pipe.bytes.is_empty();
            pipe.over = fin;
            pipe.delivered += piece.len() as u64;
            let uncounted = pipe.uncounted;
            self.ends[from].machine.handle_sent(now, stream, piece.len() as u64);
            if !uncounted {
                self.ends[to].machine.handle_data(now, stream, piece, fin);
            }
            self.settle(from);
            self.settle(to);
        }
        self.check_accounts();
        true
    }

    /// What is held is charged, always.
    fn check_accounts(&self) {
        for side in [CLIENT, SERVER] {
            let charged: u64 = self.ends[1 - side]
                .pipes
                .values()
                .filter(|pipe| !pipe.uncounted)
                .map(|pipe| pipe.delivered - pipe.consumed)
                .sum();
            assert!(charged >= self.ends[side].machine.held_bytes());
        }
    }

    fn run(&mut self) {
        self.settle(CLIENT);
        self.settle(SERVER);
        while self.step() {}
    }

    fn request(&mut self, head: Request<()>, body: Option<(Bytes, bool)>) -> crate::RequestKey {
        let key = self.ends[CLIENT].machine.request(head, body.is_none()).unwrap();
        if let Some(body) = body {
            self.ends[CLIENT].waiting.insert(key, body);
        }
        key
    }

    /// A stream of the peer opens all before it, as in QUIC.
    fn report(&mut self, to: usize, stream: StreamId) {
        let own = if to == CLIENT { Side::Client } else { Side::Server };
        let end = &mut self.ends[to];
        let reported = &mut end.reported[usize::from(stream.direction() == Direction::Unidirectional)];
        while stream.initiator() != own && *reported <= stream.index() {
            end.machine.handle_stream_opened(self.now, StreamId::new(own.peer(), stream.direction(), *reported));
            *reported += 1;
        }
    }

    /// Nothing of any request is left, and everything that came is consumed.
    fn check_nothing_is_left(&self) {
        for end in &self.ends {
            let left: Vec<_> = end.machine.exchanges.iter().map(|(_, exchange)| exchange).collect();
            assert!(left.is_empty(), "{left:?}");
            assert_eq!((end.machine.open_requests(), end.machine.held_bytes()), (0, 0));
            assert_eq!(end.machine.incoming.len(), 3);
            assert!(end.machine.stalled.is_empty() && end.machine.early_priorities.is_empty());
            assert_eq!(end.machine.undispatched, 0);
            assert!(end.bodies.is_empty());
            for (stream, pipe) in &end.pipes {
                assert_eq!(pipe.pending(), 0, "{stream:?}");
                assert!(pipe.uncounted || pipe.consumed == pipe.delivered, "{stream:?}");
            }
        }
    }
}

/// The content of an answer.
fn answer(stream: StreamId, length: usize) -> Bytes {
    (0..length).map(|index| (index as u64).wrapping_mul(31).wrapping_add(stream.index()) as u8).collect()
}

fn asking(length: usize) -> Request<()> {
    Request::get("https://a.example/").header("x-answer", length.to_string()).body(()).unwrap()
}

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
