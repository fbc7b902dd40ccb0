//! The connection's half of streams: numbers, no bytes to reassemble (RFC 9000 §2 to §4).
//!
//! A [`Ledger`] knows how far each stream was received, sent, consumed and acknowledged, what either end permits, and
//! who opened what. It judges the peer's frames in the turn of their packet, because breaking a limit is an error of
//! the connection; it writes all frames that concern streams; and it keeps the bytes that wait to be sent or sent
//! again. Received bytes go past it to the keeper of the stream's buffers.
//!
//! ```text
//! frames of the peer ─ on_stream, on_max_data … ─▶ ┌────────┐ ─ poll_input ──▶ StreamInput  to the keeper of the bytes
//! StreamOutput ─────── on_output ────────────────▶ │ Ledger │ ─ write_control ▶ MAX_DATA, RESET_STREAM …
//! tokens ───────────── on_acknowledged, on_lost ─▶ │        │ ─ write_streams ▶ STREAM frames, the most urgent first
//! time ─────────────── on_deadline ──────────────▶ └────────┘ ─ deadline ─────▶ when credit is owed
//! ```
//!
//! | File | What |
//! |---|---|
//! | `judge.rs` | frames of the peer, and the errors they deserve |
//! | `order.rs` | wishes of the keeper of the bytes |
//! | `write.rs` | frames into packets |
//! | `settle.rs` | what became of packets |
//! | `ending.rs` | when a half is over, and what is counted then |
//! | `sending.rs`, `receiving.rs` | the two halves of one stream |
//! | `send_buffer.rs` | the bytes of the one, until they are acknowledged |
//! | `concurrency.rs` | how many streams the peer may open |
//! | `table.rs`, `levels.rs` | the streams, and who is next to send |
//! | `stats.rs`, `durations.rs` | what is counted |
//!
//! A stream is in the table from its first mention until both halves are over; a lower index than the next that is not
//! in the table is a stream that is gone, and frames, wishes and tokens of such a stream are normal and ignored.
//! Memory is bounded by the streams that are open and by the credit either end gave. Received bytes count against both
//! windows until their keeper says that they are consumed or let go, so what is charged is never less than what is held.

mod concurrency;
mod durations;
mod ending;
mod judge;
mod levels;
mod order;
mod receiving;
mod send_buffer;
mod sending;
mod settle;
mod stats;
mod table;
mod write;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use codec::{Direction, Side, StreamId, Time};

use crate::flow::{Credit, Window};
use crate::lazy::Lazy;
use crate::limits;
use crate::stream::StreamInput;

use concurrency::{OurStreams, PeerStreams};
use table::{List, Table};

pub use durations::Durations;
pub use stats::{ByKind, LedgerStats, Outcome};

/// What we permit the peer, as our transport parameters say it (RFC 9000 §18.2), and how far that may grow.
#[derive(Clone, Copy, Debug)]
pub struct LocalLimits {
    /// Bytes on all streams together.
    pub initial_max_data: u64,
    /// Bytes on each bidirectional stream that we open.
    pub initial_max_stream_data_bidi_local: u64,
    /// Bytes on each bidirectional stream that the peer opens.
    pub initial_max_stream_data_bidi_remote: u64,
    /// Bytes on each unidirectional stream that the peer opens.
    pub initial_max_stream_data_uni: u64,
    /// Bidirectional streams that the peer may have open at once.
    pub initial_max_streams_bidi: u64,
    /// Unidirectional streams that the peer may have open at once.
    pub initial_max_streams_uni: u64,
    /// Bytes up to which the window of the connection, and that of each stream, may grow.
    pub maximum_window: u64,
}

impl Default for LocalLimits {
    fn default() -> Self {
        Self {
            initial_max_data: limits::CONNECTION_WINDOW,
            initial_max_stream_data_bidi_local: limits::STREAM_WINDOW,
            initial_max_stream_data_bidi_remote: limits::STREAM_WINDOW,
            initial_max_stream_data_uni: limits::STREAM_WINDOW,
            initial_max_streams_bidi: limits::STREAMS,
            initial_max_streams_uni: limits::STREAMS,
            maximum_window: limits::WINDOW_MAXIMUM,
        }
    }
}

/// What the peer permits us at first, as its transport parameters say it (RFC 9000 §18.2): "local" is the peer there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PeerLimits {
    /// Bytes on all streams together.
    pub initial_max_data: u64,
    /// Bytes on each bidirectional stream that the peer opens.
    pub initial_max_stream_data_bidi_local: u64,
    /// Bytes on each bidirectional stream that we open.
    pub initial_max_stream_data_bidi_remote: u64,
    /// Bytes on each unidirectional stream that we open.
    pub initial_max_stream_data_uni: u64,
    /// Bidirectional streams that we may open.
    pub initial_max_streams_bidi: u64,
    /// Unidirectional streams that we may open.
    pub initial_max_streams_uni: u64,
}

/// Whether the bytes of a STREAM frame are wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Disposition {
    /// They go to the keeper of the stream's bytes.
    Deliver,
    /// Nobody waits for them: the stream is gone, reset or stopped, or the frame says nothing new.
    Ignore,
}

/// Which of the peer's limits keeps us from sending.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FlowBlocked {
    /// That of the connection (MAX_DATA).
    Connection,
    /// That of each stream that could send (MAX_STREAM_DATA).
    Stream,
}

/// The numbers of all streams of a connection.
///
/// After each method that takes `&mut self`, drain [`Self::poll_input`].
#[derive(Debug)]
pub struct Ledger {
    side: Side,
    local: LocalLimits,
    peer: PeerLimits,
    table: Table,
    // Streams that we open, by direction.
    ours: [OurStreams; 2],
    // Streams that the peer opens, by direction.
    theirs: [PeerStreams; 2],
    credit: Credit,
    window: Window,
    // The standing first credit was raised after it was announced, so streams that open are told theirs.
    first_credit_changed: bool,
    inputs: VecDeque<StreamInput>,
    // The latest moment we were told of. Being a little behind only delays credit, until `deadline`.
    now: Time,
    round_trip: Duration,
    // Streams that have sent all that the peer permits on them.
    blocked_streams: usize,
    send_buffered: u64,
    stats: Lazy<LedgerStats>,
}

impl Ledger {
    /// No streams. The peer's limits are all zero until [`Self::set_peer_limits`].
    pub fn new(side: Side, local: LocalLimits) -> Self {
        Self {
            side,
            local,
            peer: PeerLimits::default(),
            table: Table::default(),
            ours: Default::default(),
            theirs: [PeerStreams::new(local.initial_max_streams_bidi), PeerStreams::new(local.initial_max_streams_uni)],
            credit: Credit::new(0),
            window: Window::new(local.initial_max_data, local.maximum_window),
            first_credit_changed: false,
            inputs: VecDeque::new(),
            now: Time::ZERO,
            round_trip: INITIAL_ROUND_TRIP,
            blocked_streams: 0,
            send_buffered: 0,
            stats: Lazy::new(),
        }
    }

    /// What the peer's transport parameters permit. Says [`StreamInput::OpenLimit`] for both directions.
    ///
    /// May be called twice, with limits remembered for 0-RTT and then with the true ones: a limit never shrinks. When
    /// 0-RTT is rejected its streams never existed (RFC 9001 §4.6.2): begin with a new ledger then, and forget the
    /// tokens of what was sent.
    pub fn set_peer_limits(&mut self, limits: PeerLimits) {
        let before = self.peer;
        self.peer = before.raised_to(&limits);
        self.credit.raise(self.peer.initial_max_data);
        self.ours[index(Direction::Bidirectional)].raise(self.peer.initial_max_streams_bidi);
        self.ours[index(Direction::Unidirectional)].raise(self.peer.initial_max_streams_uni);
        if before != PeerLimits::default() && before != self.peer {
            self.first_credit_changed = true;
        }
        for direction in DIRECTIONS {
            self.push_open_limit(direction);
        }
        for slot in self.table.slots() {
            if let Some(id) = self.table.get(slot).map(|stream| stream.id) {
                self.raise_stream_credit(slot, self.first_limit(id));
            }
        }
    }

    /// The smoothed round trip, for the pace of credit. Until the first call, RFC 9002's 333 ms.
    pub const fn set_rtt(&mut self, smoothed: Duration) {
        self.round_trip = smoothed;
    }

    /// Bounds how far the windows may grow from now on: the endpoint's memory is running short, or no longer is.
    pub fn set_maximum_window(&mut self, maximum: u64) {
        self.local.maximum_window = maximum;
        self.window.set_size_maximum(maximum);
        for slot in self.table.slots() {
            if let Some(receiving) = self.table.receiving(slot) {
                receiving.window.set_size_maximum(maximum);
            }
        }
    }

    /// The next fact for the keeper of the bytes, in order.
    pub fn poll_input(&mut self) -> Option<StreamInput> {
        self.inputs.pop_front()
    }

    /// When credit that is owed can be given: [`Self::on_deadline`] is due then.
    pub fn deadline(&self) -> Option<Time> {
        self.theirs.iter().filter_map(|streams| streams.deadline(self.round_trip)).min()
    }

    /// Gives what credit can be given by now.
    pub fn on_deadline(&mut self, now: Time) {
        self.now = now;
        for streams in &mut self.theirs {
            streams.settle(now, self.round_trip);
        }
    }

    /// Whether there is anything to write that may be written now.
    pub fn wants_to_send(&self) -> bool {
        self.has_control_frames() || self.has_unblocked_data()
    }

    /// Whether STREAM frames may be written now, as far as flow control is concerned.
    pub fn has_unblocked_data(&self) -> bool {
        self.table.first(List::Retransmit).is_some()
            || self.table.first(List::Bare).is_some()
            || (self.credit.available() > 0 && self.table.first(List::Ready).is_some())
            || !self.table.levels.is_quiet() && self.has_unblocked_data_by_priority()
    }

    #[cold]
    fn has_unblocked_data_by_priority(&self) -> bool {
        self.table.has(List::Retransmit)
            || self.table.has(List::Bare)
            || (self.credit.available() > 0 && self.table.has(List::Ready))
    }

    /// Which of the peer's limits keeps us from sending new data, if one does.
    pub fn blocked_by(&self) -> Option<FlowBlocked> {
        if self.is_connection_blocked() {
            Some(FlowBlocked::Connection)
        } else if self.blocked_streams > 0 && !self.table.has(List::Ready) {
            Some(FlowBlocked::Stream)
        } else {
            None
        }
    }

    /// Control frames that wait to be written, of all kinds together. They are marks on streams, not a queue: at most
    /// four for each open stream, six for the connection.
    pub fn control_frames(&self) -> usize {
        self.table.control_frames() + self.connection_control_frames()
    }

    /// Frees the room that nothing needs now: the connection has been quiet for a while.
    pub fn shrink(&mut self) {
        self.table.shrink();
        self.inputs.shrink_to_fit();
    }

    /// What was counted since the last call.
    pub fn take_stats(&mut self) -> Lazy<LedgerStats> {
        self.stats.take()
    }

    /// Whether the stream is in the table: it was opened and is not over.
    pub fn is_open(&self, id: StreamId) -> bool {
        self.table.find(id).is_some()
    }

    /// Whether any stream was ever opened.
    pub fn was_used(&self) -> bool {
        self.ours.iter().any(|streams| streams.opened() > 0) || self.theirs.iter().any(|streams| streams.opened() > 0)
    }

    /// Streams in the table.
    pub fn open_streams(&self) -> ByKind {
        self.table.open()
    }

    /// Bytes that wait to be sent, to be acknowledged or to be sent again.
    pub const fn send_buffered(&self) -> u64 {
        self.send_buffered
    }

    /// Received bytes that count against the connection's window: at least as many as anyone holds.
    pub const fn receive_charged(&self) -> u64 {
        self.window.charged()
    }

    /// The size that the connection's window has grown to, in bytes.
    pub const fn receive_window(&self) -> u64 {
        self.window.size()
    }

    /// The send credit that a stream of this id begins with.
    fn first_limit(&self, id: StreamId) -> u64 {
        match (id.direction(), id.initiator() == self.side) {
            (Direction::Bidirectional, true) => self.peer.initial_max_stream_data_bidi_remote,
            (Direction::Bidirectional, false) => self.peer.initial_max_stream_data_bidi_local,
            (Direction::Unidirectional, _) => self.peer.initial_max_stream_data_uni,
        }
    }

    /// The window that a stream of this id begins with.
    fn first_window(&self, id: StreamId) -> Window {
        let size = match (id.direction(), id.initiator() == self.side) {
            (Direction::Bidirectional, true) => self.local.initial_max_stream_data_bidi_local,
            (Direction::Bidirectional, false) => self.local.initial_max_stream_data_bidi_remote,
            (Direction::Unidirectional, _) => self.local.initial_max_stream_data_uni,
        };
        Window::new(size, self.local.maximum_window)
    }

    fn push_open_limit(&mut self, direction: Direction) {
        let limit = self.ours[index(direction)].limit();
        let credit = self.first_limit(StreamId::new(self.side, direction, 0)).min(limits::SEND_AHEAD);
        self.inputs.push_back(StreamInput::OpenLimit { direction, limit, credit });
    }

    /// Whether there is new data, and the connection's credit is used up.
    fn is_connection_blocked(&self) -> bool {
        self.credit.available() == 0 && self.table.has(List::Ready)
    }
}

impl PeerLimits {
    fn raised_to(&self, other: &Self) -> Self {
        Self {
            initial_max_data: self.initial_max_data.max(other.initial_max_data),
            initial_max_stream_data_bidi_local: self
                .initial_max_stream_data_bidi_local
                .max(other.initial_max_stream_data_bidi_local),
            initial_max_stream_data_bidi_remote: self
                .initial_max_stream_data_bidi_remote
                .max(other.initial_max_stream_data_bidi_remote),
            initial_max_stream_data_uni: self.initial_max_stream_data_uni.max(other.initial_max_stream_data_uni),
            initial_max_streams_bidi: self.initial_max_streams_bidi.max(other.initial_max_streams_bidi),
            initial_max_streams_uni: self.initial_max_streams_uni.max(other.initial_max_streams_uni),
        }
    }
}

/// Where a direction's entry is in an array of both.
const fn index(direction: Direction) -> usize {
    match direction {
        Direction::Bidirectional => 0,
        Direction::Unidirectional => 1,
    }
}

const DIRECTIONS: [Direction; 2] = [Direction::Bidirectional, Direction::Unidirectional];

/// kInitialRtt, RFC 9002 §6.2.2.
const INITIAL_ROUND_TRIP: Duration = Duration::from_millis(333);
