//! [`Pair`]: two machines over a transport of ordered streams: pieces of any length, streams in any order, credit now or
//! later.

use std::collections::{BTreeMap, VecDeque};

use http::{HeaderMap, HeaderValue, Method, Request, Response};

use super::*;
use crate::grease::Grease;

/// One direction of a stream.
#[derive(Default)]
pub(super) struct Pipe {
    pub(super) bytes: VecDeque<Bytes>,
    pub(super) fin: bool,
    pub(super) reset: Option<Code>,
    /// The receiver does not want it.
    pub(super) stop: Option<Code>,
    /// Whether its end was delivered.
    pub(super) over: bool,
    /// Whether the receiver asked to stop, so that nothing is counted any more.
    pub(super) uncounted: bool,
    pub(super) delivered: u64,
    pub(super) consumed: u64,
}

impl Pipe {
    pub(super) fn pending(&self) -> usize {
        self.bytes.iter().map(Bytes::len).sum()
    }
}

/// An end: the machine, its streams' sending halves, and its application.
pub(super) struct End {
    pub(super) machine: Connection,
    /// What this end sends.
    pub(super) pipes: BTreeMap<StreamId, Pipe>,
    pub(super) opened: [u64; 2],
    /// Streams of the peer that were reported, by direction.
    pub(super) reported: [u64; 2],
    pub(super) events: Vec<Event>,
    /// Bytes to be sent, by stream, with whether trailers follow.
    pub(super) bodies: BTreeMap<StreamId, (Bytes, bool)>,
    /// The same for requests that have no stream yet.
    pub(super) waiting: BTreeMap<crate::RequestKey, (Bytes, bool)>,
    /// What came.
    pub(super) received: BTreeMap<StreamId, Vec<u8>>,
    pub(super) trailers: BTreeMap<StreamId, HeaderMap>,
    pub(super) finished: Vec<StreamId>,
    pub(super) ended: Vec<(StreamId, EndReason)>,
    pub(super) interim: u32,
    pub(super) datagrams: VecDeque<Bytes>,
}

pub(super) struct Pair {
    pub(super) ends: [End; 2],
    pub(super) now: Time,
    pub(super) chance: Grease,
    /// Bytes that a delivery has at most.
    pub(super) longest: u64,
    /// Streams whose bytes are not delivered for now.
    pub(super) withheld: Vec<StreamId>,
    /// Whether the server only takes requests, and answers nothing.
    pub(super) mute: bool,
    /// How often something left an end: at least a datagram each time.
    pub(super) turns: [u64; 2],
}

pub(super) const CLIENT: usize = 0;
pub(super) const SERVER: usize = 1;

pub(super) fn trailers() -> HeaderMap {
    HeaderMap::from_iter([(http::HeaderName::from_static("x-sum"), HeaderValue::from_static("42"))])
}

impl End {
    pub(super) fn new(machine: Connection) -> Self {
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
    pub(super) fn push_bodies(&mut self, now: Time) {
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
    pub(super) fn new(seed: u64) -> Self {
        Self::with(seed, Config { enable_connect_protocol: true, ..Config::default() })
    }

    pub(super) fn with(seed: u64, config: Config) -> Self {
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
            turns: [0; 2],
        }
    }

    /// Carries out what a machine wants, and lets its application act, until there is nothing more.
    pub(super) fn settle(&mut self, side: usize) {
        loop {
            let now = self.now;
            let end = &mut self.ends[side];
            let events: Vec<Event> = std::iter::from_fn(|| end.machine.poll_event()).collect();
            let outputs: Vec<Output> = std::iter::from_fn(|| end.machine.poll_output()).collect();
            if events.is_empty() && outputs.is_empty() {
                return;
            }
            let leaves = |output: &Output| !matches!(output, Output::Open(_) | Output::Consumed { .. });
            self.turns[side] += u64::from(outputs.iter().any(leaves));
            for output in outputs {
                self.carry_out(side, output);
            }
            for event in events {
                self.on_event(side, event);
            }
            self.ends[side].push_bodies(now);
        }
    }

    pub(super) fn carry_out(&mut self, side: usize, output: Output) {
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

    pub(super) fn on_event(&mut self, side: usize, event: Event) {
        let now = self.now;
        let mute = self.mute;
        let end = &mut self.ends[side];
        match &event {
            Event::Data { stream, data } => {
                end.received.entry(*stream).or_default().extend_from_slice(data);
                end.machine.data_consumed(now, *stream, data.len() as u64);
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
    pub(super) fn step(&mut self) -> bool {
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
    pub(super) fn check_accounts(&self) {
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

    /// Until nothing more is to be done, and later, when what may wait a moment is due.
    pub(super) fn run(&mut self) {
        self.run_now();
        while let Some(due) = self.ends.iter().filter_map(|end| end.machine.feedback.due()).min() {
            self.now = self.now.max(due);
            for side in [CLIENT, SERVER] {
                self.ends[side].machine.handle_deadline(self.now);
            }
            self.run_now();
        }
    }

    /// Until nothing more is to be done now.
    pub(super) fn run_now(&mut self) {
        self.settle(CLIENT);
        self.settle(SERVER);
        while self.step() {}
    }

    pub(super) fn request(&mut self, head: Request<()>, body: Option<(Bytes, bool)>) -> crate::RequestKey {
        let key = self.ends[CLIENT].machine.request(head, body.is_none()).unwrap();
        if let Some(body) = body {
            self.ends[CLIENT].waiting.insert(key, body);
        }
        key
    }

    /// A stream of the peer opens all before it, as in QUIC.
    pub(super) fn report(&mut self, to: usize, stream: StreamId) {
        let own = if to == CLIENT { Side::Client } else { Side::Server };
        let end = &mut self.ends[to];
        let reported = &mut end.reported[usize::from(stream.direction() == Direction::Unidirectional)];
        while stream.initiator() != own && *reported <= stream.index() {
            end.machine.handle_stream_opened(self.now, StreamId::new(own.peer(), stream.direction(), *reported));
            *reported += 1;
        }
    }

    /// Nothing of any request is left, and everything that came is consumed.
    pub(super) fn check_nothing_is_left(&self) {
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
pub(super) fn answer(stream: StreamId, length: usize) -> Bytes {
    (0..length).map(|index| (index as u64).wrapping_mul(31).wrapping_add(stream.index()) as u8).collect()
}

pub(super) fn asking(length: usize) -> Request<()> {
    Request::get("https://a.example/").header("x-answer", length.to_string()).body(()).unwrap()
}
