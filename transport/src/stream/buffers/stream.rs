//! [`StreamBuffers`]: the bytes of one stream, both halves.

use bytes::Bytes;
use codec::{Side, StreamId};

use super::event::{BufferConfig, BufferCounters, Read, ReadError, StreamEvent, WriteError};
use super::reassembly::Kept;
use super::receive::ReceiveHalf;
use super::send::SendHalf;
use crate::limits;
use crate::stream::{StreamInput, StreamOutput};

/// The bytes of one stream: what arrived and was not read, what was written and not handed on.
///
/// Has the same methods as [`super::Streams`] without the id, and is the same inside or outside of it: taken out with
/// [`super::Streams::take`], it goes on where it was. Feed it, then drain [`Self::poll_output`], then
/// [`Self::poll_event`]. After [`StreamEvent::Closed`] there is nothing left to do with it.
#[derive(Debug)]
pub struct StreamBuffers {
    id: StreamId,
    receive: Option<ReceiveHalf>,
    send: Option<SendHalf>,
    events: u8,
    life: Life,
    /// Bytes moved at which it is reported as promotable; none once that was said.
    promotion: Option<u64>,
    /// Only of one that was taken out.
    apart: Option<Box<Apart>>,
    stream_gaps_hit: u64,
    connection_gaps_hit: u64,
}

/// What only a stream that was taken out counts by itself.
#[derive(Debug, Default)]
struct Apart {
    /// What was counted before; counters start again then.
    counted: BufferCounters,
    reported: BufferCounters,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Life {
    Open,
    /// `Closed` is on its way.
    Closing,
    /// `Closed` was said.
    Closed,
}

/// The waiting events, a bit each, in the order in which they are said.
mod event {
    pub(super) const OPENED: u8 = 1 << 0;
    pub(super) const READABLE: u8 = 1 << 1;
    pub(super) const RECEIVE_RESET: u8 = 1 << 2;
    pub(super) const WRITABLE: u8 = 1 << 3;
    pub(super) const STOPPED: u8 = 1 << 4;
    pub(super) const FINISHED: u8 = 1 << 5;
    pub(super) const PROMOTABLE: u8 = 1 << 6;
    pub(super) const CLOSED: u8 = 1 << 7;
}

impl StreamBuffers {
    /// A stream seen from `side`, that may hand on `credit` bytes at first. If the peer opened it, that is its first event.
    pub(super) fn new(side: Side, id: StreamId, credit: u64, config: &BufferConfig) -> Self {
        let is_ours = id.initiator() == side;
        Self {
            id,
            receive: id.may_receive(side).then(|| ReceiveHalf::new(config.consumed)),
            send: id.may_send(side).then(|| SendHalf::new(config.backlog, credit, !is_ours)),
            events: if is_ours { 0 } else { event::OPENED },
            life: Life::Open,
            promotion: Some(config.promotion),
            apart: None,
            stream_gaps_hit: 0,
            connection_gaps_hit: 0,
        }
    }

    /// Which stream it is.
    pub const fn id(&self) -> StreamId {
        self.id
    }

    /// Takes a fact from the connection. One of another stream, or one that comes late, is ignored.
    pub fn handle_input(&mut self, input: StreamInput) {
        self.on_input(input, true);
    }

    /// The next wish for the connection.
    pub fn poll_output(&mut self) -> Option<StreamOutput> {
        let output = self.next_output();
        if output.is_some() {
            self.settle();
        }
        output
    }

    /// The next event for the application. Events appear while outputs are polled, so drain those first.
    pub fn poll_event(&mut self) -> Option<StreamEvent> {
        let id = self.id;
        while self.events != 0 {
            let next = 1 << self.events.trailing_zeros();
            self.events &= !next;
            return Some(match next {
                event::OPENED => StreamEvent::Opened { id },
                // Said late, it may be true no longer.
                event::READABLE if !self.is_readable() => continue,
                event::READABLE => StreamEvent::Readable { id },
                event::RECEIVE_RESET => {
                    StreamEvent::ReceiveReset { id, code: self.receive.as_ref().map_or(0, ReceiveHalf::reset_code) }
                }
                event::WRITABLE if self.writable() == 0 => continue,
                event::WRITABLE => StreamEvent::Writable { id },
                event::STOPPED => {
                    let code = self.send.as_ref().and_then(SendHalf::stop_code).unwrap_or(0);
                    StreamEvent::Stopped { id, code }
                }
                event::FINISHED => StreamEvent::Finished { id },
                event::PROMOTABLE if self.life != Life::Open => continue,
                event::PROMOTABLE => StreamEvent::Promotable { id },
                _ => {
                    self.life = Life::Closed;
                    StreamEvent::Closed { id }
                }
            });
        }
        None
    }

    /// Takes all of `data`, if there is any room.
    pub fn write(&mut self, data: Bytes) -> Result<(), WriteError> {
        let result = self.send.as_mut().ok_or(WriteError::Unknown)?.write(data);
        self.settle();
        result
    }

    /// Bytes that may be written now; a write may go beyond it once.
    pub fn writable(&self) -> usize {
        self.send.as_ref().map_or(0, SendHalf::writable)
    }

    /// Ends the sending half after what was written.
    pub fn finish(&mut self) -> Result<(), WriteError> {
        let result = self.send.as_mut().ok_or(WriteError::Unknown)?.finish();
        self.settle();
        result
    }

    /// Abandons the sending half with this code. Nothing happens if it is over, or everything was acknowledged.
    pub fn reset(&mut self, code: u64) {
        if let Some(send) = &mut self.send {
            send.reset(code);
            self.settle();
        }
    }

    /// The application gave up its handle for writing: the half is reset with code 0, unless its end was written.
    pub fn drop_send(&mut self) {
        if let Some(send) = &mut self.send
            && !send.is_finished()
        {
            self.reset(0);
        }
    }

    /// The next bytes, at most `maximum`; fewer if the next piece is shorter. Never copies.
    pub fn read(&mut self, maximum: usize) -> Result<Read, ReadError> {
        let result = self.receive.as_mut().ok_or(ReadError::Unknown)?.read(maximum);
        self.settle();
        result
    }

    /// Moves all bytes that are in order to the end of `chunks`, for somebody who holds them for the application and says
    /// later what was consumed ([`Self::consume`]); until then they stay charged to the peer. Whether the end comes after
    /// them.
    pub fn take_readable(&mut self, chunks: &mut Vec<Bytes>) -> bool {
        let Some(receive) = &mut self.receive else { return false };
        while let Some(data) = receive.take() {
            chunks.push(data);
        }
        let complete = receive.is_complete();
        self.settle();
        complete
    }

    /// So many of the bytes that were taken have left the process.
    pub fn consume(&mut self, bytes: u64) {
        if let Some(receive) = &mut self.receive {
            receive.consume(bytes);
            self.settle();
        }
    }

    /// The application has seen the end of what was taken, or the reset.
    pub fn release(&mut self) {
        if let Some(receive) = &mut self.receive {
            receive.release();
            self.settle();
        }
    }

    /// The application wants it to have an actor of its own, however little it moves: reported once, as if it had moved
    /// enough.
    pub const fn isolate(&mut self) {
        if self.promotion.take().is_some() {
            self.events |= event::PROMOTABLE;
        }
    }

    /// Whether something that was finished or reset here is not acknowledged yet.
    pub fn is_sending(&self) -> bool {
        self.send.as_ref().is_some_and(|send| send.is_ended() && !send.is_over())
    }

    /// By how much gauges and counters have changed since the last call; gauges may shrink, so differences wrap around.
    pub fn take_changes(&mut self) -> BufferCounters {
        let now = self.counters();
        let mut changes = BufferCounters::default();
        let apart = self.apart.get_or_insert_default();
        changes.move_by(&apart.reported, &now);
        apart.reported = now;
        changes
    }

    /// Gives up the receiving half with this code: what was not read is dropped, and the peer is asked to stop unless it
    /// has nothing more to send.
    pub fn stop(&mut self, code: u64) {
        if let Some(receive) = &mut self.receive {
            receive.stop(code);
            self.settle();
        }
    }

    /// The application gave up its handle for reading: the half is stopped with code 0.
    pub fn drop_receive(&mut self) {
        self.stop(0);
    }

    /// Reports what was consumed, however little: call it when the application is idle.
    pub fn flush_consumed(&mut self) {
        if let Some(receive) = &mut self.receive {
            receive.flush_consumed();
        }
    }

    /// Whether a read would give something.
    pub fn is_readable(&self) -> bool {
        self.receive.as_ref().is_some_and(ReceiveHalf::is_readable)
    }

    /// Gauges as they are, and counters since it was made or taken out.
    pub fn counters(&self) -> BufferCounters {
        let mut counters = self.totals();
        if let Some(Apart { counted, .. }) = self.apart.as_deref() {
            counters.delivered -= counted.delivered;
            counters.handed_on -= counted.handed_on;
            counters.copied -= counted.copied;
            counters.stream_gaps_hit -= counted.stream_gaps_hit;
            counters.connection_gaps_hit -= counted.connection_gaps_hit;
        }
        counters
    }

    /// [`Self::handle_input`], told whether the connection's limit of gaps permits one more.
    pub(super) fn on_input(&mut self, input: StreamInput, connection_permits_gap: bool) {
        if stream_of(&input) != Some(self.id) {
            return;
        }
        let was_readable = self.is_readable();
        match input {
            StreamInput::Data { offset, data, fin, .. } => self.on_data(offset, data, fin, connection_permits_gap),
            StreamInput::Reset { code, .. } => {
                if self.receive.as_mut().is_some_and(|receive| receive.on_reset(code)) {
                    self.events |= event::RECEIVE_RESET;
                    self.events &= !event::READABLE;
                }
            }
            StreamInput::Stopped { code, .. } => {
                if self.send.as_mut().is_some_and(|send| send.on_stopped(code)) {
                    self.events |= event::STOPPED;
                }
            }
            StreamInput::Credit { until, .. } => {
                if let Some(send) = &mut self.send {
                    send.on_credit(until);
                }
            }
            StreamInput::Acknowledged { .. } => {
                if self.send.as_mut().is_some_and(SendHalf::on_acknowledged) {
                    self.events |= event::FINISHED;
                }
            }
            StreamInput::Opened { .. } | StreamInput::OpenLimit { .. } | StreamInput::Rest => {}
        }
        if !was_readable && self.is_readable() && self.events & event::RECEIVE_RESET == 0 {
            self.events |= event::READABLE;
        }
        self.settle();
    }

    pub(super) fn has_output(&self) -> bool {
        self.receive.as_ref().is_some_and(ReceiveHalf::has_output)
            || self.send.as_ref().is_some_and(SendHalf::has_output)
    }

    /// Whether bytes were consumed that are not reported and need not be yet.
    pub(super) fn has_unreported(&self) -> bool {
        self.receive.as_ref().is_some_and(ReceiveHalf::has_unreported)
    }

    pub(super) const fn has_event(&self) -> bool {
        self.events != 0
    }

    /// Whether there is nothing left to do with it but to say so.
    pub(super) const fn is_closing(&self) -> bool {
        !matches!(self.life, Life::Open)
    }

    /// It goes to an actor of its own: counters start again, and it will not ask for one again.
    pub(super) fn leave(&mut self) {
        self.apart = Some(Box::new(Apart { counted: self.totals(), reported: BufferCounters::default() }));
        self.promotion = None;
        self.events &= !event::PROMOTABLE;
    }

    fn on_data(&mut self, offset: u64, data: Bytes, fin: bool, connection_permits_gap: bool) {
        let Some(receive) = &mut self.receive else { return };
        let stream_permits_gap = receive.reassembly().gaps() < limits::STREAM_GAPS;
        if receive.on_data(offset, data, fin, stream_permits_gap && connection_permits_gap) == Kept::BeyondGapLimit {
            if stream_permits_gap {
                self.connection_gaps_hit += 1;
            } else {
                self.stream_gaps_hit += 1;
            }
        }
    }

    fn next_output(&mut self) -> Option<StreamOutput> {
        if let Some(receive) = &mut self.receive
            && receive.has_output()
        {
            // The connection cannot stop a stream of ours that it does not know.
            if let Some(announcement) = self.send.as_mut().and_then(|send| send.poll_announcement(self.id)) {
                return Some(announcement);
            }
            return receive.poll_output(self.id);
        }
        self.send.as_mut()?.poll_output(self.id)
    }

    /// Raises the events that follow from what both halves have become.
    fn settle(&mut self) {
        if self.send.as_mut().is_some_and(SendHalf::take_relief) {
            self.events |= event::WRITABLE;
        }
        if self.promotion.is_some_and(|promotion| self.moved() >= promotion) {
            self.promotion = None;
            self.events |= event::PROMOTABLE;
        }
        let is_over = self.receive.as_ref().is_none_or(ReceiveHalf::is_over)
            && self.send.as_ref().is_none_or(SendHalf::is_over)
            && !self.has_output();
        if is_over && self.life == Life::Open {
            self.life = Life::Closing;
            self.events |= event::CLOSED;
        }
    }

    fn moved(&self) -> u64 {
        self.receive.as_ref().map_or(0, ReceiveHalf::delivered) + self.send.as_ref().map_or(0, SendHalf::handed_on)
    }

    /// Gauges, and counters since it was made.
    pub(super) fn totals(&self) -> BufferCounters {
        let mut totals = self.receive_totals();
        if let Some(send) = &self.send {
            totals.buffered_send = send.buffered();
            totals.handed_on = send.handed_on();
        }
        totals
    }

    /// Those of the receiving half alone.
    #[inline]
    pub(super) fn receive_totals(&self) -> BufferCounters {
        let mut totals = BufferCounters {
            stream_gaps_hit: self.stream_gaps_hit,
            connection_gaps_hit: self.connection_gaps_hit,
            ..BufferCounters::default()
        };
        if let Some(receive) = &self.receive {
            totals.buffered_receive = receive.reassembly().buffered() + receive.held();
            totals.gaps = receive.reassembly().gaps() as u64;
            totals.copied = receive.reassembly().copied();
            totals.delivered = receive.delivered();
        }
        totals
    }
}

/// Which stream a fact is about, unless it is about the connection.
pub(super) const fn stream_of(input: &StreamInput) -> Option<StreamId> {
    match input {
        StreamInput::Opened { id, .. }
        | StreamInput::Data { id, .. }
        | StreamInput::Reset { id, .. }
        | StreamInput::Stopped { id, .. }
        | StreamInput::Credit { id, .. }
        | StreamInput::Acknowledged { id } => Some(*id),
        StreamInput::OpenLimit { .. } | StreamInput::Rest => None,
    }
}
