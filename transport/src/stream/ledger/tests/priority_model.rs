//! The order in which bytes leave, beside a model that looks at every stream each time it has to choose one.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Write { stream: u64, length: u64, fin: bool },
    Prioritize { stream: u64, priority: Priority },
    Reset { stream: u64 },
    Transmit { room: usize },
    Settle { which: usize, arrives: bool },
    Credit { bytes: u64 },
    StreamCredit { stream: u64, bytes: u64 },
}

fn priority() -> impl Strategy<Value = Priority> {
    // Few urgencies, so that streams meet.
    let urgency = prop_oneof![Just(0_u8), Just(3), Just(4), Just(7)];
    prop_oneof![
        9 => (urgency, any::<bool>()).prop_map(|(urgency, incremental)| Priority::new(urgency, incremental)),
        1 => Just(Priority::BEFORE_ALL),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let stream = 0..10_u64;
    prop_oneof![
        8 => (stream.clone(), 0..4_000_u64, prop::bool::weighted(0.1))
            .prop_map(|(stream, length, fin)| Step::Write { stream, length, fin }),
        3 => (stream.clone(), priority()).prop_map(|(stream, priority)| Step::Prioritize { stream, priority }),
        1 => stream.clone().prop_map(|stream| Step::Reset { stream }),
        10 => (40..2_000_usize).prop_map(|room| Step::Transmit { room }),
        4 => (any::<usize>(), prop::bool::weighted(0.6)).prop_map(|(which, arrives)| Step::Settle { which, arrives }),
        2 => (0..20_000_u64).prop_map(|bytes| Step::Credit { bytes }),
        2 => (stream, 0..8_000_u64).prop_map(|(stream, bytes)| Step::StreamCredit { stream, bytes }),
    ]
}

/// What waits on a stream, and since when, in steps of the model.
#[derive(Debug)]
struct Waiting {
    priority: Priority,
    /// Written, and sent.
    written: u64,
    sent: u64,
    fin: bool,
    over: bool,
    granted: u64,
    limit: u64,
    lost: VecDeque<(u64, u64, bool)>,
    lost_since: Option<u64>,
    bare_since: Option<u64>,
    ready_since: Option<u64>,
}

/// Which bytes are next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    Lost(StreamId),
    Bare(StreamId),
    New(StreamId),
}

#[derive(Debug, Default)]
struct Model {
    streams: BTreeMap<StreamId, Waiting>,
    clock: u64,
    credit: u64,
    used: u64,
    /// For each level: whose turn of those that share it is, and how much of it is over; how much is of those that do not
    /// share; and whether sharing comes next.
    turns: BTreeMap<usize, (Option<StreamId>, u64, u64, bool)>,
}

impl Model {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    fn next(&self) -> Option<Next> {
        for level in 0..9 {
            let here = || self.streams.iter().filter(move |(_, stream)| stream.priority.level() == level);
            let oldest = |since: fn(&Waiting) -> Option<u64>| {
                here().filter_map(|(id, stream)| Some((since(stream)?, *id))).min().map(|(_, id)| id)
            };
            if let Some(id) = oldest(|stream| stream.lost_since) {
                return Some(Next::Lost(id));
            }
            if let Some(id) = oldest(|stream| stream.bare_since) {
                return Some(Next::Bare(id));
            }
            if self.used == self.credit {
                continue;
            }
            let shared = oldest(|stream| stream.ready_since.filter(|_| stream.priority.is_incremental()));
            let ordered = here().find(|(_, stream)| stream.ready_since.is_some() && !stream.priority.is_incremental());
            let shared_next = self.turns.get(&level).is_some_and(|turn| turn.3);
            let chosen =
                if shared_next { shared.or(ordered.map(|(id, _)| *id)) } else { ordered.map(|(id, _)| *id).or(shared) };
            if let Some(id) = chosen {
                return Some(Next::New(id));
            }
        }
        None
    }

    fn left(&mut self, id: StreamId) {
        for turn in self.turns.values_mut().filter(|turn| turn.0 == Some(id)) {
            (turn.0, turn.1) = (None, 0);
        }
    }

    fn write(&mut self, id: StreamId, length: u64, fin: bool) {
        let now = self.tick();
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.written += length;
        stream.fin |= fin;
        if stream.written > stream.sent {
            stream.bare_since = None;
            stream.ready_since.get_or_insert(now);
        } else if fin || stream.sent == 0 {
            stream.bare_since.get_or_insert(now);
        }
    }

    fn prioritize(&mut self, id: StreamId, priority: Priority) {
        let now = self.tick();
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.priority == priority {
            return;
        }
        stream.priority = priority;
        for since in [&mut stream.lost_since, &mut stream.bare_since, &mut stream.ready_since] {
            *since = since.map(|_| now);
        }
        self.left(id);
    }

    fn reset(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.over = true;
            (stream.lost_since, stream.bare_since, stream.ready_since) = (None, None, None);
            stream.lost.clear();
            self.left(id);
        }
    }

    fn lose(&mut self, id: StreamId, offset: u64, length: u64, fin: bool) {
        let now = self.tick();
        if let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.over) {
            stream.lost.push_back((offset, length, fin));
            stream.lost_since.get_or_insert(now);
        }
    }

    /// A frame left: it must be the next one, and what follows from it is done.
    fn sent(&mut self, id: StreamId, offset: u64, length: u64, fin: bool) {
        let now = self.tick();
        let next = self.next();
        match next {
            Some(Next::Lost(expected)) => {
                let stream = self.streams.get_mut(&id).unwrap();
                assert_eq!((id, offset), (expected, stream.lost.front().map_or(0, |lost| lost.0)), "lost");
                let mut left = length;
                while let Some(front) = stream.lost.front_mut() {
                    if front.1 > left {
                        front.0 += left;
                        front.1 -= left;
                        break;
                    }
                    left -= front.1;
                    let is_last = left == 0 && front.2 == fin;
                    stream.lost.pop_front();
                    if is_last {
                        break;
                    }
                }
                if stream.lost.is_empty() {
                    stream.lost_since = None;
                }
            }
            Some(Next::Bare(expected)) => {
                let stream = self.streams.get_mut(&id).unwrap();
                assert_eq!((id, offset, length), (expected, stream.sent, 0), "bare");
                stream.bare_since = None;
            }
            Some(Next::New(expected)) => {
                let stream = self.streams.get_mut(&id).unwrap();
                assert_eq!((id, offset), (expected, stream.sent), "new");
                assert!(length > 0);
                stream.sent += length;
                self.used += length;
                assert!(stream.sent <= stream.written.min(stream.limit) && self.used <= self.credit);
                let is_empty = stream.sent == stream.written;
                let turn = self.turns.entry(stream.priority.level()).or_default();
                if stream.priority.is_incremental() {
                    *turn = (Some(id), if turn.0 == Some(id) { turn.1 + length } else { length }, turn.2, turn.3);
                    let is_over = is_empty || turn.1 >= 1_000;
                    if is_over {
                        *turn = (None, 0, turn.2, false);
                        stream.ready_since = Some(now);
                    }
                } else {
                    turn.2 += length;
                    if turn.2 >= 1_000 {
                        (turn.2, turn.3) = (0, true);
                    }
                }
                if is_empty {
                    stream.ready_since = None;
                }
            }
            None => panic!("nothing is to be sent, and {id} was"),
        }
    }
}

/// The ledger, the model, and what is on its way.
struct Both {
    ledger: Ledger,
    model: Model,
    in_flight: Vec<Tokens>,
}

impl Both {
    fn new() -> Self {
        let peer = PeerLimits { initial_max_data: 10_000, initial_max_stream_data_uni: 6_000, ..PEER };
        let mut model = Model { credit: peer.initial_max_data, ..Model::default() };
        for index in 0..10 {
            let stream = Waiting {
                priority: Priority::default(),
                written: 0,
                sent: 0,
                fin: false,
                over: false,
                granted: peer.initial_max_stream_data_uni,
                limit: peer.initial_max_stream_data_uni,
                lost: VecDeque::new(),
                lost_since: None,
                bare_since: None,
                ready_since: None,
            };
            model.streams.insert(uni_of_server(index), stream);
        }
        Self { ledger: server_with(LOCAL, peer), model, in_flight: Vec::new() }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Write { stream, length, fin } => {
                let id = uni_of_server(stream);
                let Some(stream) = self.model.streams.get(&id).filter(|stream| !stream.fin && !stream.over) else {
                    return;
                };
                let length = length.min(stream.granted - stream.written);
                write(&mut self.ledger, id, length as usize, fin);
                self.model.write(id, length, fin);
            }
            Step::Prioritize { stream, priority } => {
                let id = uni_of_server(stream);
                output(&mut self.ledger, StreamOutput::Prioritize { id, priority });
                self.model.prioritize(id, priority);
            }
            Step::Reset { stream } => {
                output(&mut self.ledger, StreamOutput::Reset { id: uni_of_server(stream), code: 1 });
                self.model.reset(uni_of_server(stream));
            }
            Step::Transmit { room } => _ = self.transmit(room),
            Step::Settle { which, arrives } => {
                if self.in_flight.is_empty() {
                    return;
                }
                let tokens = self.in_flight.remove(which % self.in_flight.len());
                if arrives {
                    acknowledge(&mut self.ledger, tokens);
                } else {
                    for token in &tokens {
                        // An opening without bytes may be lost when all that followed it, the end too, has arrived.
                        if let Token::Stream { id, offset, length, fin } = *token
                            && self.ledger.is_open(id)
                        {
                            self.model.lose(id, offset, length.into(), fin);
                        }
                    }
                    lose(&mut self.ledger, tokens);
                }
            }
            Step::Credit { bytes } => {
                self.model.credit += bytes;
                self.ledger.on_max_data(self.model.credit);
            }
            Step::StreamCredit { stream, bytes } => {
                let id = uni_of_server(stream);
                let Some(stream) =
                    self.model.streams.get_mut(&id).filter(|stream| !stream.over && self.ledger.is_open(id))
                else {
                    return;
                };
                stream.limit += bytes;
                self.ledger.on_max_stream_data(id, stream.limit).unwrap();
            }
        }
        while let Some(input) = self.ledger.poll_input() {
            if let StreamInput::Credit { id, until } = input {
                self.model.streams.get_mut(&id).unwrap().granted = until;
            }
        }
        assert_eq!(self.ledger.has_unblocked_data(), self.model.next().is_some());
    }

    /// One packet. Says whether there was anything in it.
    fn transmit(&mut self, room: usize) -> bool {
        let mut buffer = vec![0; room];
        let mut w = Writer::new(&mut buffer);
        let mut tokens = Tokens::new();
        self.ledger.write_streams(&mut w, &mut tokens);
        let left = room - w.written().len();
        for frame in frame::iter(w.written()) {
            if let Frame::Stream(stream) = frame.unwrap() {
                self.model.sent(stream.id, stream.offset, stream.data.len() as u64, stream.fin);
            }
        }
        assert!(left < 64 || self.model.next().is_none(), "{left} bytes of room were left, and there is more to send");
        let is_empty = tokens.is_empty();
        self.in_flight.push(tokens);
        !is_empty
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn bytes_leave_in_the_order_of_the_model(steps in prop::collection::vec(step(), 0..200)) {
        let mut both = Both::new();
        for step in steps {
            both.apply(step);
        }
        // Whatever waits leaves when there is credit: nobody is forgotten in a queue.
        both.apply(Step::Credit { bytes: 1 << 20 });
        while both.transmit(1_200) {}
        prop_assert!(!both.ledger.has_unblocked_data());
        let waits = both.model.streams.values().any(|stream| !stream.over && (stream.sent < stream.written || !stream.lost.is_empty()));
        prop_assert!(!waits);
    }
}
