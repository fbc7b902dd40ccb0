//! The stream actors' half of streams: bytes, no limits to judge (RFC 9000 §2, §3).
//!
//! A [`Streams`] keeps what arrived until the application reads it, and what the application wrote until it may be handed
//! to the connection. It trusts the connection to have judged flow control and final sizes, and it trusts nothing else:
//! facts may come late, twice, or for a stream that is gone, and are ignored then.
//!
//! ```text
//! StreamInput ──▶ receive ─ reassembly ──▶ read     application
//! StreamOutput ◀─ send ──── backlog ◀───── write
//! ```
//!
//! | File | What |
//! |---|---|
//! | `event.rs` | what the application hears, and how reads and writes may end |
//! | `entries.rs` | how a stream is found, what it moved is counted, and it is queued for polling |
//! | `stream.rs` | both halves of one stream: what an actor of its own gets |
//! | `receive.rs`, `send.rs` | each half as a transition table |
//! | `reassembly.rs`, `pages.rs` | out-of-order bytes to in-order chunks, in bounded memory |
//! | `backlog.rs` | written bytes that wait for credit |
//! | `table.rs` | how a transition table is written |

mod backlog;
mod entries;
mod event;
mod pages;
mod reassembly;
mod receive;
mod send;
mod stream;
mod table;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;
use codec::{Direction, Side, StreamId};
use foldhash::fast::FixedState;

pub use event::{BufferConfig, BufferCounters, PROMOTION_BYTES, Read, ReadError, StreamEvent, WriteError};
pub use stream::StreamBuffers;

use super::places::Places;
use super::{StreamInput, StreamOutput};
use crate::limits;
use entries::Entry;
use stream::stream_of;

/// The bytes of all streams of a connection, but those that were taken out.
///
/// Feed it with any method, then drain [`Self::poll_output`], then [`Self::poll_event`]: polling outputs may raise events.
#[derive(Debug)]
pub struct Streams {
    side: Side,
    config: BufferConfig,
    entries: Places<Entry>,
    // Ids are given out in order and only within the limits, so nobody can choose them to collide: a fixed hash is enough.
    index: HashMap<StreamId, usize, FixedState>,
    /// The place of the stream that was asked for last: what happens to one stream comes in runs.
    recent: usize,
    opening: [Opening; 2],
    /// Whether the limit rose, and nobody was told.
    rose: [bool; 2],
    /// How many streams of each direction the peer has opened.
    peer_opened: [u64; 2],
    /// Streams with something to poll. An entry that is gone is skipped.
    outputs: VecDeque<StreamId>,
    events: VecDeque<StreamId>,
    totals: BufferCounters,
    reported: BufferCounters,
    /// Streams that have consumed bytes which are not reported yet.
    unflushed: Vec<StreamId>,
}

/// Streams of ours, of one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Opening {
    opened: u64,
    limit: u64,
    credit: u64,
}

impl Streams {
    /// No streams yet.
    pub fn new(side: Side, config: BufferConfig) -> Self {
        Self {
            side,
            config,
            entries: Places::new(),
            index: HashMap::with_hasher(FixedState::default()),
            recent: 0,
            opening: [Opening::default(); 2],
            rose: [false; 2],
            peer_opened: [0; 2],
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            totals: BufferCounters::default(),
            reported: BufferCounters::default(),
            unflushed: Vec::new(),
        }
    }

    /// Takes a fact from the connection. What is about a stream that is not here is ignored: if it was taken out, see
    /// [`Self::contains`] and pass it on.
    pub fn handle_input(&mut self, input: StreamInput) {
        match input {
            StreamInput::Opened { id, credit } => self.on_opened(id, credit),
            StreamInput::OpenLimit { direction, limit, credit } => self.on_open_limit(direction, limit, credit),
            StreamInput::Rest => self.shrink(),
            input => {
                if let Some(id) = stream_of(&input) {
                    let permits_gap = self.totals.gaps < limits::CONNECTION_GAPS as u64;
                    match input {
                        StreamInput::Credit { .. } | StreamInput::Acknowledged { .. } => {
                            self.with(id, |buffers, _| buffers.on_input(input, permits_gap));
                        }
                        StreamInput::Data { .. } => {
                            self.count_received(id, |buffers| buffers.on_input(input, permits_gap));
                        }
                        _ => {
                            self.count(id, |buffers| buffers.on_input(input, permits_gap));
                        }
                    }
                }
            }
        }
    }

    /// The next wish for the connection: all of one stream, then those of the next.
    pub fn poll_output(&mut self) -> Option<StreamOutput> {
        while let Some(id) = self.outputs.front().copied() {
            let output = self.with(id, |buffers, totals| {
                let output = buffers.poll_output();
                if let Some(StreamOutput::Write { data, .. }) = &output {
                    totals.hand_on(data.len() as u64);
                }
                output
            });
            if let Some(output) = output.flatten() {
                return Some(output);
            }
            self.outputs.pop_front();
            if let Some(entry) = self.entry(id) {
                entry.has_output_queued = false;
            }
        }
        None
    }

    /// The next event for the application.
    pub fn poll_event(&mut self) -> Option<StreamEvent> {
        for direction in [Direction::Bidirectional, Direction::Unidirectional] {
            if std::mem::take(&mut self.rose[index_of(direction)]) {
                return Some(StreamEvent::OpenPermitted { direction });
            }
        }
        while let Some(id) = self.events.front().copied() {
            if let Some(event) = self.entry(id).and_then(|entry| entry.buffers.poll_event()) {
                if matches!(event, StreamEvent::Closed { .. }) {
                    self.remove(id);
                }
                return Some(event);
            }
            self.events.pop_front();
            if let Some(entry) = self.entry(id) {
                entry.has_event_queued = false;
            }
        }
        None
    }

    /// Opens the next stream of this kind, if the peer permits one more now.
    pub fn open(&mut self, direction: Direction) -> Option<StreamId> {
        let side = self.side;
        let opening = self.opening_of(direction);
        //= https://www.rfc-editor.org/rfc/rfc9000#section-4.6
        //# Endpoints MUST NOT exceed the limit set by their peer.
        if opening.opened >= opening.limit {
            return None;
        }
        let id = StreamId::new(side, direction, opening.opened);
        opening.opened += 1;
        let credit = opening.credit;
        self.add(id, credit);
        Some(id)
    }

    /// Takes all of `data` for this stream, if there is any room.
    pub fn write(&mut self, id: StreamId, data: Bytes) -> Result<(), WriteError> {
        let length = data.len() as u64;
        let written = self.with(id, |buffers, totals| {
            let written = buffers.write(data);
            if written.is_ok() {
                totals.buffered_send += length;
            }
            written
        });
        written.unwrap_or(Err(WriteError::Unknown))
    }

    /// Bytes that may be written now; a write may go beyond it once. Zero if the stream is not here.
    pub fn writable(&self, id: StreamId) -> usize {
        self.get(id).map_or(0, StreamBuffers::writable)
    }

    /// Ends the sending half after what was written.
    pub fn finish(&mut self, id: StreamId) -> Result<(), WriteError> {
        self.with(id, |buffers, _| buffers.finish()).unwrap_or(Err(WriteError::Unknown))
    }

    /// Abandons the sending half with this code. Nothing happens if it is over or not here.
    pub fn reset(&mut self, id: StreamId, code: u64) {
        self.count(id, |buffers| buffers.reset(code));
    }

    /// The application gave up its handle for writing: the half is reset with code 0, unless its end was written.
    pub fn drop_send(&mut self, id: StreamId) {
        self.count(id, StreamBuffers::drop_send);
    }

    /// The next bytes, at most `maximum`; fewer if the next piece is shorter. Never copies.
    pub fn read(&mut self, id: StreamId, maximum: usize) -> Result<Read, ReadError> {
        let (result, is_unreported) = self
            .count_received(id, |buffers| (buffers.read(maximum), buffers.has_unreported()))
            .unwrap_or((Err(ReadError::Unknown), false));
        if is_unreported {
            self.remember_to_flush(id);
        }
        result
    }

    /// Moves all bytes that are in order to the end of `chunks`: see [`StreamBuffers::take_readable`].
    pub fn take_readable(&mut self, id: StreamId, chunks: &mut Vec<Bytes>) -> bool {
        self.count_received(id, |buffers| buffers.take_readable(chunks)).unwrap_or(false)
    }

    /// So many of the bytes that were taken have left the process.
    pub fn consume(&mut self, id: StreamId, bytes: u64) {
        self.count_received(id, |buffers| buffers.consume(bytes));
    }

    /// The application has seen the end of what was taken, or the reset.
    pub fn release(&mut self, id: StreamId) {
        self.with(id, |buffers, _| buffers.release());
    }

    /// The application wants this stream to have an actor of its own: see [`StreamBuffers::isolate`].
    pub fn isolate(&mut self, id: StreamId) {
        self.with(id, |buffers, _| buffers.isolate());
    }

    /// Whether something that was finished or reset here is not acknowledged yet. Looks at every stream.
    pub fn is_sending(&self) -> bool {
        self.entries.iter().any(|(_, entry)| entry.buffers.is_sending())
    }

    /// By how much gauges and counters have changed since the last call; gauges may shrink, so differences wrap around.
    pub fn take_changes(&mut self) -> BufferCounters {
        let mut changes = BufferCounters::default();
        changes.move_by(&self.reported, &self.totals);
        self.reported = self.totals;
        changes
    }

    /// Gives up the receiving half with this code: what was not read is dropped, and the peer is asked to stop unless it
    /// has nothing more to send.
    pub fn stop(&mut self, id: StreamId, code: u64) {
        self.count(id, |buffers| buffers.stop(code));
    }

    /// The application gave up its handle for reading: the half is stopped with code 0.
    pub fn drop_receive(&mut self, id: StreamId) {
        self.count(id, StreamBuffers::drop_receive);
    }

    /// Reports what was consumed, however little: call it when the application is idle. Looks only at streams that were
    /// read in part since the last time.
    pub fn flush_consumed(&mut self) {
        let mut unflushed = std::mem::take(&mut self.unflushed);
        for id in unflushed.drain(..) {
            self.with(id, |buffers, _| buffers.flush_consumed());
            if let Some(entry) = self.entry(id) {
                entry.has_unflushed_queued = false;
            }
        }
        self.unflushed = unflushed;
    }

    /// Takes a stream out whole, with what it holds, what it owes and what it has to say, to live elsewhere. None if it
    /// is not here, or is over.
    pub fn take(&mut self, id: StreamId) -> Option<StreamBuffers> {
        if self.get(id)?.is_closing() {
            return None;
        }
        let key = self.leave(id)?;
        let mut buffers = self.entries.take(key)?.buffers;
        buffers.leave();
        Some(buffers)
    }

    /// Frees the room that nothing needs now: the connection has been quiet for a while.
    pub fn shrink(&mut self) {
        self.entries.shrink();
        self.index.shrink_to_fit();
        self.outputs.shrink_to_fit();
        self.events.shrink_to_fit();
        self.unflushed.shrink_to_fit();
    }

    /// Whether the stream is here. The owner of streams that were taken out passes on what comes for them: until the
    /// connection knows where they went, their inputs come here.
    pub fn contains(&self, id: StreamId) -> bool {
        self.index.contains_key(&id)
    }

    /// How many streams are here.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Gauges of the streams that are here, and counters of all that were here.
    pub const fn counters(&self) -> BufferCounters {
        self.totals
    }

    fn on_opened(&mut self, id: StreamId, credit: u64) {
        let opened = &mut self.peer_opened[index_of(id.direction())];
        // One of ours, or said before: the stream may have been and gone.
        if id.initiator() == self.side || id.index() < *opened {
            return;
        }
        *opened = id.index() + 1;
        self.add(id, credit);
    }

    fn on_open_limit(&mut self, direction: Direction, limit: u64, credit: u64) {
        let opening = self.opening_of(direction);
        opening.credit = opening.credit.max(credit);
        //= https://www.rfc-editor.org/rfc/rfc9000#section-4.6
        //# MAX_STREAMS frames that do not increase the stream limit MUST be
        //# ignored.
        if limit > opening.limit {
            opening.limit = limit;
            self.rose[index_of(direction)] = true;
        }
    }

    fn opening_of(&mut self, direction: Direction) -> &mut Opening {
        &mut self.opening[index_of(direction)]
    }
}

/// Where a direction's entry is in an array of both.
const fn index_of(direction: Direction) -> usize {
    match direction {
        Direction::Bidirectional => 0,
        Direction::Unidirectional => 1,
    }
}
