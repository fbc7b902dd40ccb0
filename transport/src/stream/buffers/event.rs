//! What the buffers tell the application's side, and what it may be answered.

use bytes::Bytes;
use codec::{Direction, StreamId};

use crate::limits;

/// Bytes that a stream has moved, in both directions together, when it deserves an actor of its own.
pub const PROMOTION_BYTES: u64 = 256 * 1024;

/// What may be tuned.
#[derive(Clone, Copy, Debug)]
pub struct BufferConfig {
    /// Bytes of one stream that the application may write ahead of what may be handed on. A write is taken whole as
    /// long as there is any room, so that one write may exceed it.
    pub backlog: usize,
    /// A stream that has moved this many bytes is reported as [`StreamEvent::Promotable`], once.
    pub promotion: u64,
    /// Consumed bytes are reported when there are this many of them, or when nothing is left to read. A 16th of the
    /// first window of a stream by default: the peer never waits, and a report is not made for every packet.
    pub consumed: u64,
}

impl Default for BufferConfig {
    fn default() -> Self {
        Self { backlog: 256 * 1024, promotion: PROMOTION_BYTES, consumed: limits::STREAM_WINDOW / 16 }
    }
}

/// Something the application should know. Edge-triggered: said once, when it becomes true.
///
/// Of each stream at most one of each kind waits to be polled, so there are never more than eight times as many as
/// streams.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StreamEvent {
    /// The peer opened this stream. In the order of the numbers; always the first event of a stream.
    Opened {
        /// Which.
        id: StreamId,
    },
    /// The limit rose: more streams of this kind may be opened here.
    OpenPermitted {
        /// Of which kind.
        direction: Direction,
    },
    /// There is something to read (bytes, or the end), and there was not before. Read until [`Read::Blocked`] or
    /// [`Read::Finished`]: what is left unread is not announced again.
    Readable {
        /// Which stream.
        id: StreamId,
    },
    /// The room for writing had been used up, and now there is some again.
    Writable {
        /// Which stream.
        id: StreamId,
    },
    /// The end of the sending half, or its reset, is acknowledged: nothing more happens on it.
    Finished {
        /// Which stream.
        id: StreamId,
    },
    /// The peer no longer wants what is written here. The sending half is reset already.
    Stopped {
        /// Which stream.
        id: StreamId,
        /// The code of the peer's application.
        code: u64,
    },
    /// The peer abandoned its sending half; what was not read is gone.
    ReceiveReset {
        /// Which stream.
        id: StreamId,
        /// The code of the peer's application.
        code: u64,
    },
    /// The stream has moved so much that it should have an actor of its own: see `Streams::take`.
    Promotable {
        /// Which stream.
        id: StreamId,
    },
    /// Both halves are over and everything is said: the stream is forgotten. Always its last event.
    Closed {
        /// Which stream.
        id: StreamId,
    },
}

/// What a read found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Read {
    /// The next bytes of the stream.
    Data(Bytes),
    /// The end: there are no more bytes, and there never will be.
    Finished,
    /// Nothing now. [`StreamEvent::Readable`] will tell.
    Blocked,
}

/// Why nothing can be read any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReadError {
    /// The peer reset its sending half with this code.
    Reset(u64),
    /// We stopped the receiving half.
    Stopped,
    /// There is no such stream here, no longer, or it has no receiving half.
    Unknown,
}

/// Why bytes were not taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WriteError {
    /// There is no room; here are the bytes back. [`StreamEvent::Writable`] will tell.
    Full(Bytes),
    /// The end has been written already.
    Finished,
    /// We reset the sending half.
    Reset,
    /// The peer does not want any more, and gave this code.
    Stopped(u64),
    /// There is no such stream here, no longer, or it has no sending half.
    Unknown,
}

/// Plain numbers for gauges and counters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct BufferCounters {
    /// Gauge: received bytes that were not read yet, in order or not.
    pub buffered_receive: u64,
    /// Gauge: written bytes that were not handed on yet.
    pub buffered_send: u64,
    /// Gauge: gaps before runs of bytes that arrived out of order and are kept by reference.
    pub gaps: u64,
    /// Counter: bytes given to the application.
    pub delivered: u64,
    /// Counter: bytes handed on for sending.
    pub handed_on: u64,
    /// Counter: received bytes that were copied, because they came in small pieces or with too many gaps.
    pub copied: u64,
    /// Counter: pieces that were copied because of [`limits::STREAM_GAPS`].
    pub stream_gaps_hit: u64,
    /// Counter: pieces that were copied because of [`limits::CONNECTION_GAPS`].
    pub connection_gaps_hit: u64,
}

impl BufferCounters {
    /// Counts bytes that leave the backlog for the connection.
    pub(super) const fn hand_on(&mut self, bytes: u64) {
        self.buffered_send = self.buffered_send.wrapping_sub(bytes);
        self.handed_on = self.handed_on.wrapping_add(bytes);
    }

    /// Adds what a stream's numbers have changed by. Gauges may fall, so this is arithmetic that wraps around.
    #[inline]
    pub(super) const fn move_by(&mut self, before: &Self, after: &Self) {
        const fn change(total: u64, before: u64, after: u64) -> u64 {
            total.wrapping_sub(before).wrapping_add(after)
        }
        self.buffered_receive = change(self.buffered_receive, before.buffered_receive, after.buffered_receive);
        self.buffered_send = change(self.buffered_send, before.buffered_send, after.buffered_send);
        self.gaps = change(self.gaps, before.gaps, after.gaps);
        self.delivered = change(self.delivered, before.delivered, after.delivered);
        self.handed_on = change(self.handed_on, before.handed_on, after.handed_on);
        self.copied = change(self.copied, before.copied, after.copied);
        self.stream_gaps_hit = change(self.stream_gaps_hit, before.stream_gaps_hit, after.stream_gaps_hit);
        self.connection_gaps_hit =
            change(self.connection_gaps_hit, before.connection_gaps_hit, after.connection_gaps_hit);
    }
}
