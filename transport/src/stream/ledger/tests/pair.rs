//! Two ledgers with an application each, joined by a pipe that loses and reorders packets.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use codec::frame::{self, Frame};
use rangemap::RangeSet;

use super::*;
use crate::stream::ledger::Disposition;

/// What the application of one side knows of one stream.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Sending: how much was written, up to where it may be, and whether that is over.
    pub(super) written: u64,
    pub(super) credit: u64,
    pub(super) ended: bool,
    pub(super) cancelled: bool,
    pub(super) acknowledged: bool,
    /// Receiving.
    pub(super) arrived: RangeSet<u64>,
    pub(super) consumed: u64,
    pub(super) size: Option<u64>,
    pub(super) stopped: bool,
    pub(super) released: bool,
}

impl Held {
    fn readable(&self) -> u64 {
        self.arrived.get(&self.consumed).map_or(0, |range| range.end - self.consumed)
    }

    /// Bytes that are kept: all that arrived and were not consumed.
    fn held(&self) -> u64 {
        if self.released || self.stopped {
            return 0;
        }
        let arrived: u64 = self.arrived.iter().map(|range| range.end - range.start).sum();
        arrived - self.consumed
    }
}

/// A ledger and its application.
#[derive(Debug)]
pub(super) struct End {
    pub(super) side: Side,
    pub(super) ledger: Ledger,
    pub(super) streams: BTreeMap<StreamId, Held>,
    /// For each direction: how many streams were opened, may be, and with how much credit.
    pub(super) opened: [u64; 2],
    pub(super) limit: [u64; 2],
    first_credit: [u64; 2],
    /// Whether it lets go of streams that ended.
    pub(super) releases: bool,
}

impl End {
    fn new(side: Side, local: LocalLimits) -> Self {
        Self {
            side,
            ledger: Ledger::new(side, local),
            streams: BTreeMap::new(),
            opened: [0; 2],
            limit: [0; 2],
            first_credit: [0; 2],
            releases: true,
        }
    }

    /// Opens a stream, if one may be opened.
    pub(super) fn open(&mut self, direction: Direction) -> Option<StreamId> {
        let kind = super::super::index(direction);
        if self.opened[kind] >= self.limit[kind] {
            self.ledger.on_open_wanted(direction);
            return None;
        }
        let id = StreamId::new(self.side, direction, self.opened[kind]);
        self.opened[kind] += 1;
        self.streams.insert(id, Held { credit: self.first_credit[kind], ..Held::default() });
        Some(id)
    }

    /// Writes up to `length` bytes, as the credit permits.
    pub(super) fn write(&mut self, now: Time, id: StreamId, length: u64, fin: bool) {
        let Some(held) = self.streams.get_mut(&id) else { return };
        if held.ended || held.cancelled || !id.may_send(self.side) {
            return;
        }
        let length = length.min(held.credit - held.written);
        let data: Bytes = (held.written..held.written + length).map(|at| pattern(id, self.side, at)).collect();
        held.written += length;
        held.ended = fin;
        self.ledger.on_output(now, StreamOutput::Write { id, data, fin }).unwrap();
        self.drain(now);
    }

    pub(super) fn reset(&mut self, now: Time, id: StreamId) {
        let Some(held) = self.streams.get_mut(&id) else { return };
        if !held.cancelled && id.may_send(self.side) {
            held.cancelled = true;
            self.ledger.on_output(now, StreamOutput::Reset { id, code: 1 }).unwrap();
            self.drain(now);
        }
    }

    pub(super) fn stop(&mut self, now: Time, id: StreamId) {
        let Some(held) = self.streams.get_mut(&id) else { return };
        if !held.stopped && !held.released && id.may_receive(self.side) {
            held.stopped = true;
            held.released = true;
            self.ledger.on_output(now, StreamOutput::Stop { id, code: 2 }).unwrap();
            self.ledger.on_output(now, StreamOutput::Released { id }).unwrap();
            self.drain(now);
        }
    }

    pub(super) fn prioritize(&mut self, now: Time, id: StreamId, priority: Priority) {
        if id.may_send(self.side) {
            self.ledger.on_output(now, StreamOutput::Prioritize { id, priority }).unwrap();
            self.drain(now);
        }
    }

    /// Consumes up to `length` bytes that are in order, and lets go of a stream that was read to its end.
    pub(super) fn consume(&mut self, now: Time, id: StreamId, length: u64) {
        let Some(held) = self.streams.get_mut(&id) else { return };
        if held.released {
            return;
        }
        let bytes = length.min(held.readable());
        held.consumed += bytes;
        if bytes > 0 {
            self.ledger.on_output(now, StreamOutput::Consumed { id, bytes }).unwrap();
        }
        if held.size == Some(held.consumed) && self.releases {
            held.released = true;
            self.ledger.on_output(now, StreamOutput::Released { id }).unwrap();
        }
        self.drain(now);
    }

    /// Takes what the ledger has to say.
    fn drain(&mut self, now: Time) {
        while let Some(input) = self.ledger.poll_input() {
            match input {
                StreamInput::Rest => {}
                StreamInput::Opened { id, credit } => {
                    let before = self.streams.insert(id, Held { credit, ..Held::default() });
                    assert!(before.is_none(), "a stream is opened once");
                }
                StreamInput::Data { .. } => unreachable!(),
                StreamInput::Reset { id, .. } => {
                    let held = self.streams.get_mut(&id).unwrap();
                    if !held.released && self.releases {
                        held.released = true;
                        self.ledger.on_output(now, StreamOutput::Released { id }).unwrap();
                    }
                }
                StreamInput::Stopped { id, .. } => {
                    let held = self.streams.get_mut(&id).unwrap();
                    assert!(!held.acknowledged);
                    held.cancelled = true;
                }
                StreamInput::Credit { id, until } => {
                    let held = self.streams.get_mut(&id).unwrap();
                    assert!(until >= held.credit, "credit never shrinks");
                    held.credit = until;
                }
                StreamInput::OpenLimit { direction, limit, credit } => {
                    let kind = super::super::index(direction);
                    assert!(limit >= self.limit[kind]);
                    self.limit[kind] = limit;
                    self.first_credit[kind] = credit;
                }
                StreamInput::Acknowledged { id } => {
                    let held = self.streams.get_mut(&id).unwrap();
                    assert!(!held.acknowledged, "said once");
                    held.acknowledged = true;
                }
            }
        }
    }

    fn on_frame(&mut self, now: Time, frame: &Frame<'_>) {
        match frame {
            Frame::Padding { .. } => {}
            Frame::Stream(stream) => {
                let length = stream.data.len() as u64;
                let wanted = self.ledger.on_stream(now, stream.id, stream.offset, length, stream.fin).unwrap();
                self.drain(now);
                if wanted == Disposition::Deliver {
                    self.deliver(stream.id, stream.offset, stream.data, stream.fin);
                }
            }
            Frame::ResetStream(reset) => self.ledger.on_reset_stream(reset.id, reset.code, reset.final_size).unwrap(),
            Frame::StopSending(stop) => self.ledger.on_stop_sending(stop.id, stop.code).unwrap(),
            Frame::MaxData(max) => self.ledger.on_max_data(max.maximum),
            Frame::MaxStreamData(max) => self.ledger.on_max_stream_data(max.id, max.maximum).unwrap(),
            Frame::MaxStreams(max) => self.ledger.on_max_streams(max.direction, max.maximum),
            Frame::DataBlocked(blocked) => self.ledger.on_data_blocked(blocked.limit),
            Frame::StreamDataBlocked(blocked) => {
                self.ledger.on_stream_data_blocked(blocked.id, blocked.limit).unwrap();
            }
            Frame::StreamsBlocked(blocked) => self.ledger.on_streams_blocked(blocked.direction, blocked.limit),
            other => unreachable!("{other:?}"),
        }
        self.drain(now);
    }

    fn deliver(&mut self, id: StreamId, offset: u64, data: &[u8], fin: bool) {
        for (at, byte) in (offset..).zip(data) {
            assert_eq!(*byte, pattern(id, self.side.peer(), at), "{id} at {at}");
        }
        let held = self.streams.get_mut(&id).unwrap();
        let end = offset + data.len() as u64;
        if !data.is_empty() {
            held.arrived.insert(offset..end);
        }
        if fin {
            assert!(held.size.is_none_or(|size| size == end));
            held.size = Some(end);
        }
    }

    /// Credit is returned for nothing that is still held, and nothing is counted twice.
    fn check(&self) {
        let held: u64 = self.streams.values().map(Held::held).sum();
        assert!(self.ledger.receive_charged() >= held, "charged {} held {held}", self.ledger.receive_charged());
    }
}

/// The byte of a stream at an offset, so that a byte in the wrong place is seen.
fn pattern(id: StreamId, sender: Side, at: u64) -> u8 {
    let mixed =
        (id.as_u64() * 2 + u64::from(sender.is_server()) + 1).wrapping_mul(0x9e37_79b9).wrapping_add(at * 0x85eb);
    (mixed >> 7) as u8
}

#[derive(Debug)]
struct Packet {
    from: usize,
    bytes: Vec<u8>,
    tokens: Tokens,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Arrives,
    Lost,
    Later,
}

/// Both ends, and what is between them.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) now: Time,
    pub(super) ends: [End; 2],
    in_flight: VecDeque<Packet>,
}

impl Pair {
    pub(super) fn new(local: [LocalLimits; 2]) -> Self {
        let mut ends = [End::new(Side::Client, local[0]), End::new(Side::Server, local[1])];
        for (at, end) in ends.iter_mut().enumerate() {
            let peer = &local[1 - at];
            end.ledger.set_peer_limits(PeerLimits {
                initial_max_data: peer.initial_max_data,
                initial_max_stream_data_bidi_local: peer.initial_max_stream_data_bidi_local,
                initial_max_stream_data_bidi_remote: peer.initial_max_stream_data_bidi_remote,
                initial_max_stream_data_uni: peer.initial_max_stream_data_uni,
                initial_max_streams_bidi: peer.initial_max_streams_bidi,
                initial_max_streams_uni: peer.initial_max_streams_uni,
            });
            end.ledger.set_rtt(Duration::from_millis(10));
            end.drain(NOW);
        }
        Self { now: NOW, ends, in_flight: VecDeque::new() }
    }

    /// Sends one packet, if there is something to send. Returns whether there was.
    pub(super) fn transmit(&mut self, from: usize, room: usize, fate: Fate) -> bool {
        let ledger = &mut self.ends[from].ledger;
        if !ledger.wants_to_send() {
            return false;
        }
        let mut bytes = vec![0; room];
        let mut w = Writer::new(&mut bytes);
        let mut tokens = Tokens::new();
        ledger.write_control(&mut w, &mut tokens);
        ledger.write_streams(&mut w, &mut tokens);
        let length = w.position();
        bytes.truncate(length);
        assert!(length > 0, "who wants to send has something to write");
        self.ends[from].drain(self.now);
        let packet = Packet { from, bytes, tokens };
        match fate {
            Fate::Arrives => self.arrive(packet),
            Fate::Lost => self.lose(packet),
            Fate::Later => self.in_flight.push_back(packet),
        }
        self.ends.iter().for_each(End::check);
        true
    }

    /// One of the delayed packets arrives or is lost.
    pub(super) fn settle(&mut self, which: usize, arrives: bool) {
        if self.in_flight.is_empty() {
            return;
        }
        let packet = self.in_flight.remove(which % self.in_flight.len()).unwrap();
        if arrives {
            self.arrive(packet)
        } else {
            self.lose(packet)
        }
        self.ends.iter().for_each(End::check);
    }

    /// Lets time pass, with the deadlines in it.
    pub(super) fn wait(&mut self, duration: Duration) {
        self.now += duration;
        for end in &mut self.ends {
            while end.ledger.deadline().is_some_and(|at| at <= self.now) {
                let before = end.ledger.deadline();
                end.ledger.on_deadline(self.now);
                assert!(end.ledger.deadline() != before, "a deadline that is served moves");
            }
        }
    }

    /// Ends and reads everything, without loss, until nothing moves any more.
    pub(super) fn finish(&mut self) {
        while !self.in_flight.is_empty() {
            self.settle(0, true);
        }
        for round in 0.. {
            assert!(round < 10_000, "it comes to an end: {self:?}");
            self.wait(Duration::from_millis(10));
            let mut moved = false;
            for at in 0..2 {
                let now = self.now;
                let ids: Vec<_> = self.ends[at].streams.keys().copied().collect();
                for id in ids {
                    self.ends[at].write(now, id, 0, true);
                    self.ends[at].consume(now, id, u64::MAX);
                }
                while self.transmit(at, 1_200, Fate::Arrives) {
                    moved = true;
                }
            }
            if !moved && self.ends.iter().all(|end| end.ledger.deadline().is_none()) {
                break;
            }
        }
    }

    /// Every byte written is where it belongs, and no ledger remembers anything.
    pub(super) fn assert_complete(&mut self) {
        for at in 0..2 {
            for (id, held) in &self.ends[at].streams {
                let other = &self.ends[1 - at].streams[id];
                let side = self.ends[at].side;
                if id.may_send(side) && !held.cancelled && !other.stopped {
                    assert_eq!(other.size, Some(held.written), "{id}");
                    let whole: Vec<Range<u64>> = (held.written > 0).then_some(0..held.written).into_iter().collect();
                    assert_eq!(other.arrived.iter().cloned().collect::<Vec<_>>(), whole, "{id}");
                    assert_eq!(other.consumed, held.written, "{id}");
                }
                assert!(!id.may_send(side) || held.acknowledged, "{id}");
                assert!(!id.may_receive(side) || held.released, "{id}");
            }
            let end = &mut self.ends[at];
            assert_eq!(end.ledger.open_streams(), [[0, 0], [0, 0]]);
            assert_eq!((end.ledger.send_buffered(), end.ledger.receive_charged()), (0, 0));
            assert_eq!(end.ledger.control_frames(), 0);
            assert_eq!(end.ledger.blocked_by(), None);
            let stats = end.ledger.take_stats();
            let sum = |by_kind: &super::super::ByKind| by_kind.iter().flatten().sum::<u64>();
            assert_eq!(sum(&stats.opened), stats.closed.iter().map(sum).sum::<u64>());
            assert_eq!(sum(&stats.opened), end.streams.len() as u64);
        }
    }

    fn arrive(&mut self, packet: Packet) {
        let now = self.now;
        for frame in frame::iter(&packet.bytes) {
            self.ends[1 - packet.from].on_frame(now, &frame.unwrap());
        }
        let sender = &mut self.ends[packet.from];
        acknowledge(&mut sender.ledger, packet.tokens);
        sender.drain(now);
    }

    fn lose(&mut self, packet: Packet) {
        let sender = &mut self.ends[packet.from];
        lose(&mut sender.ledger, packet.tokens);
        sender.drain(self.now);
    }
}
