//! [`Application`]: what runs on a node. Sends patterns on streams of its own, answers those of the peer, and checks
//! every byte that comes back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::OnceLock;

use bytes::Bytes;
use codec::{Direction, Side, StreamId};
use transport::stream::StreamInput;
use transport::stream::buffers::{Read, ReadError, StreamEvent, Streams, WriteError};

/// What an application does with streams of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Plan {
    /// How many it opens in all.
    pub streams: u64,
    /// Bytes that it writes on each.
    pub bytes: u64,
    /// Of which kind they are: bidirectional ones are echoed.
    pub direction: Direction,
    /// Open at once, at most.
    pub concurrency: usize,
}

impl Plan {
    /// This many streams, of this many bytes each, that are echoed.
    pub const fn echo(streams: u64, bytes: u64) -> Self {
        Self { streams, bytes, direction: Direction::Bidirectional, concurrency: usize::MAX }
    }

    /// This many streams, of this many bytes each, one way.
    pub const fn one_way(streams: u64, bytes: u64) -> Self {
        Self { streams, bytes, direction: Direction::Unidirectional, concurrency: usize::MAX }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub struct Application {
    side: Side,
    plan: Option<Plan>,
    /// Whether streams of the peer are answered; if not, they are left to the test.
    answers: bool,
    opened: u64,
    own: BTreeMap<StreamId, Own>,
    theirs: BTreeMap<StreamId, Theirs>,
    finished: u64,
    /// Bytes of the peer's unidirectional streams, and of echoes of ours.
    pub received: u64,
    /// Streams of the peer that were read to their end.
    pub peer_finished: u64,
    /// What the buffers said and nobody took yet, if the test wants to see it.
    pub events: Vec<StreamEvent>,
    /// Whether `events` are kept.
    pub keep_events: bool,
    work: VecDeque<StreamId>,
}

/// A stream that we opened.
#[derive(Debug, Default)]
struct Own {
    written: u64,
    finished_writing: bool,
    read: u64,
    ended: bool,
    acknowledged: bool,
}

/// A stream that the peer opened.
#[derive(Debug, Default)]
struct Theirs {
    read: u64,
    /// What was read and could not be written back yet.
    held: Option<Bytes>,
    ended: bool,
}

impl Application {
    /// One that answers and opens nothing.
    pub fn answering(side: Side) -> Self {
        Self::new(side, None, true)
    }

    /// One that does nothing by itself: the test reads and writes.
    pub fn passive(side: Side) -> Self {
        Self { keep_events: true, ..Self::new(side, None, false) }
    }

    /// One that follows a plan, and answers.
    pub fn planned(side: Side, plan: Plan) -> Self {
        Self::new(side, Some(plan), true)
    }

    fn new(side: Side, plan: Option<Plan>, answers: bool) -> Self {
        Self {
            side,
            plan,
            answers,
            opened: 0,
            own: BTreeMap::new(),
            theirs: BTreeMap::new(),
            finished: 0,
            received: 0,
            peer_finished: 0,
            events: Vec::new(),
            keep_events: false,
            work: VecDeque::new(),
        }
    }

    /// Sets what is to be sent from now on, in addition to what was.
    pub fn begin(&mut self, plan: Plan) {
        let streams = self.opened + plan.streams;
        self.plan = Some(Plan { streams, ..plan });
    }

    /// Whether the plan is fulfilled: all is written, acknowledged and, where it is echoed, read back.
    pub fn is_done(&self) -> bool {
        self.plan.is_none_or(|plan| self.finished >= plan.streams)
    }

    /// How many streams of the plan are over.
    pub const fn finished(&self) -> u64 {
        self.finished
    }

    /// Whether anything of any stream is still going on here.
    pub fn is_idle(&self) -> bool {
        self.is_done() && self.own.is_empty() && self.theirs.is_empty()
    }

    /// Does what can be done now. Says whether anything happened.
    pub fn turn(&mut self, streams: &mut Streams) -> bool {
        let mut busy = false;
        while let Some(event) = streams.poll_event() {
            busy = true;
            if self.keep_events {
                self.events.push(event);
            }
            self.on_event(event);
        }
        busy |= self.open_more(streams);
        while let Some(id) = self.work.pop_front() {
            busy = true;
            if id.initiator() == self.side { self.advance_own(streams, id) } else { self.answer(streams, id) }
        }
        streams.flush_consumed();
        busy
    }

    fn on_event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Opened { id } if self.answers => {
                self.theirs.insert(id, Theirs::default());
                self.work.push_back(id);
            }
            StreamEvent::Readable { id } | StreamEvent::Writable { id } | StreamEvent::ReceiveReset { id, .. } => {
                self.work.push_back(id);
            }
            StreamEvent::Finished { id } => {
                if let Some(own) = self.own.get_mut(&id) {
                    own.acknowledged = true;
                    self.work.push_back(id);
                }
            }
            StreamEvent::Closed { id } => {
                self.theirs.remove(&id);
            }
            _ => {}
        }
    }

    fn open_more(&mut self, streams: &mut Streams) -> bool {
        let Some(plan) = self.plan else { return false };
        let before = self.opened;
        while self.opened < plan.streams && self.own.len() < plan.concurrency {
            let Some(id) = streams.open(plan.direction) else { break };
            self.opened += 1;
            self.own.insert(id, Own::default());
            self.work.push_back(id);
        }
        self.opened != before
    }

    fn advance_own(&mut self, streams: &mut Streams, id: StreamId) {
        let Some(plan) = self.plan else { return };
        let Some(own) = self.own.get_mut(&id) else { return };
        while own.written < plan.bytes {
            let left = usize::try_from(plan.bytes - own.written).unwrap_or(usize::MAX);
            let piece = pattern(id, own.written, left.min(PIECE));
            let length = piece.len() as u64;
            match streams.write(id, piece) {
                Ok(()) => own.written += length,
                Err(WriteError::Full(_)) => break,
                Err(error) => panic!("writing on {id:?} failed: {error:?}"),
            }
        }
        if own.written == plan.bytes && !own.finished_writing {
            own.finished_writing = true;
            streams.finish(id).unwrap();
        }
        if id.direction() == Direction::Unidirectional {
            own.ended = true;
        }
        while !own.ended {
            match streams.read(id, usize::MAX) {
                Ok(Read::Data(data)) => {
                    check(id, own.read, &data);
                    own.read += data.len() as u64;
                    self.received += data.len() as u64;
                }
                Ok(Read::Finished) => {
                    assert_eq!(own.read, plan.bytes, "{id:?} ended before its end came back");
                    own.ended = true;
                }
                Ok(Read::Blocked) => break,
                Err(error) => panic!("reading from {id:?} failed: {error:?}"),
            }
        }
        if own.ended && own.acknowledged {
            self.own.remove(&id);
            self.finished += 1;
        }
    }

    fn answer(&mut self, streams: &mut Streams, id: StreamId) {
        let Some(theirs) = self.theirs.get_mut(&id) else { return };
        let echoes = id.direction() == Direction::Bidirectional;
        loop {
            if let Some(held) = theirs.held.take() {
                match streams.write(id, held) {
                    Ok(()) => {}
                    Err(WriteError::Full(held)) => {
                        theirs.held = Some(held);
                        return;
                    }
                    // Stopped by the peer: what it still sends is read and dropped.
                    Err(_) => {}
                }
            }
            if theirs.ended {
                return;
            }
            match streams.read(id, usize::MAX) {
                Ok(Read::Data(data)) => {
                    check(id, theirs.read, &data);
                    theirs.read += data.len() as u64;
                    if echoes {
                        theirs.held = Some(data);
                    } else {
                        self.received += data.len() as u64;
                    }
                }
                Ok(Read::Finished) => {
                    theirs.ended = true;
                    self.peer_finished += 1;
                    if echoes {
                        // It may have been stopped meanwhile.
                        let _reset_already = streams.finish(id).is_err();
                    }
                }
                Ok(Read::Blocked) => return,
                Err(ReadError::Reset(code)) => {
                    theirs.ended = true;
                    streams.reset(id, code);
                }
                Err(ReadError::Stopped | ReadError::Unknown) => theirs.ended = true,
            }
        }
    }
}

/// Whether an input may be delivered twice without harm: all may (see `transport::stream::edge`).
pub const fn is_repeatable(input: &StreamInput) -> bool {
    !matches!(input, StreamInput::OpenLimit { .. })
}

/// Bytes of one write.
const PIECE: usize = 64 * 1024;
/// The pattern repeats after so many bytes: a prime, so that no buffer's size is a multiple of it.
const PERIOD: usize = 65_521;

/// `length` bytes of the pattern of stream `id` from `offset` on. At most 64 KiB.
pub fn pattern(id: StreamId, offset: u64, length: usize) -> Bytes {
    static PATTERN: OnceLock<Bytes> = OnceLock::new();
    let whole = PATTERN.get_or_init(|| {
        let mut state = 1;
        let period: Vec<u8> = (0..PERIOD).map(|_| crate::settings::splitmix(&mut state) as u8).collect();
        period.iter().cycle().take(PERIOD + PIECE).copied().collect()
    });
    let start = (offset.wrapping_add(id.as_u64().wrapping_mul(7919)) % PERIOD as u64) as usize;
    whole.slice(start..start + length.min(PIECE))
}

/// Checks that `data` is what the pattern has at `offset`.
///
/// # Panics
/// If it is not.
pub fn check(id: StreamId, offset: u64, data: &[u8]) {
    let mut at = offset;
    for piece in data.chunks(PIECE) {
        assert!(pattern(id, at, piece.len()) == piece, "{id:?}: other bytes than were sent, at {at} or later");
        at += piece.len() as u64;
    }
}
