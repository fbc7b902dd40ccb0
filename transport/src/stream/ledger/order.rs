//! Wishes of the keeper of the bytes. A wish about a stream that is gone came too late, which is normal.

use bytes::Bytes;
use codec::{Direction, StreamId, Time, VarInt};

use super::receiving::Receiving;
use super::sending::{End, Sending};
use super::table::{Control, List, Slot, Stream};
use super::{Ledger, Outcome, index};
use crate::error::TransportError;
use crate::stream::{Priority, StreamInput, StreamOutput};

impl Ledger {
    /// A wish of the keeper of the bytes.
    ///
    /// # Errors
    ///
    /// INTERNAL_ERROR if it asks for what was never permitted: a fault of ours.
    pub fn on_output(&mut self, now: Time, output: StreamOutput) -> Result<(), TransportError> {
        self.now = now;
        match output {
            StreamOutput::Write { id, data, fin } => self.write(id, data, fin),
            StreamOutput::Reset { id, code } => self.reset(id, code),
            StreamOutput::Stop { id, code } => self.stop(id, code),
            StreamOutput::Consumed { id, bytes } => self.consumed(id, bytes),
            StreamOutput::Released { id } => self.release(id),
            StreamOutput::Prioritize { id, priority } => self.prioritize(id, priority),
            StreamOutput::OpenWanted { direction, limit } => {
                // If there are more by now, that is on its way to whoever waits.
                if self.ours[index(direction)].limit() <= limit {
                    self.on_open_wanted(direction);
                }
                Ok(())
            }
        }
    }

    /// Somebody waits to open a stream, and the limit does not permit it: the peer is told, once for each limit.
    pub fn on_open_wanted(&mut self, direction: Direction) {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-4.6
        //# An endpoint that is unable to open a new stream due to the peer's limits SHOULD
        //# send a STREAMS_BLOCKED frame ({{frame-streams-blocked}}).
        self.ours[index(direction)].on_wanted();
    }

    fn write(&mut self, id: StreamId, data: Bytes, fin: bool) -> Result<(), TransportError> {
        if !id.may_send(self.side) {
            return Err(TransportError::internal("written on a stream that only the peer sends on"));
        }
        let Some(slot) = self.ordered_slot(id)? else { return Ok(()) };
        let Some(sending) = self.table.sending(slot) else { return Ok(()) };
        if sending.reset.is_some() {
            return Ok(());
        }
        let length = data.len() as u64;
        sending.write(data, fin)?;
        self.send_buffered = self.send_buffered.saturating_add(length);
        let (queued, mentioned) = (sending.queued() > 0, sending.credit.used() > 0);
        if queued {
            // The bytes tell the peer what an empty frame would.
            self.table.unlist(List::Bare, slot);
            self.table.enlist(List::Ready, slot);
        } else if fin || !mentioned {
            // An end alone; or nothing at all, which tells the peer that the stream is open.
            self.table.enlist(List::Bare, slot);
        }
        self.judge_blocked(slot);
        Ok(())
    }

    fn reset(&mut self, id: StreamId, code: u64) -> Result<(), TransportError> {
        let Some(slot) = self.ordered_slot(id)? else { return Ok(()) };
        if self.table.sending(slot).is_some_and(|sending| sending.reset.is_none()) {
            self.reset_sending(slot, code, Outcome::ResetLocal);
        }
        Ok(())
    }

    fn stop(&mut self, id: StreamId, code: u64) -> Result<(), TransportError> {
        let Some(slot) = self.ordered_slot(id)? else { return Ok(()) };
        let Some(receiving) = self.table.receiving(slot) else { return Ok(()) };
        if receiving.stopped.is_some() || receiving.released {
            return Ok(());
        }
        receiving.stopped = Some(code.min(VarInt::MAX.into_inner()));
        let reset = receiving.reset;
        self.forgive(slot)?;
        self.table.forget(slot, Control::MaxStreamData);
        //= https://www.rfc-editor.org/rfc/rfc9000#section-3.5
        //# If the stream is in the "Recv" or "Size Known" state, the transport SHOULD
        //# signal this by sending a STOP_SENDING frame to prompt closure of the stream in
        //# the opposite direction.
        if !reset {
            self.table.want(slot, Control::StopSending);
        }
        if let Some(stream) = self.table.get_mut(slot) {
            stream.ends_by(Outcome::StoppedLocal);
        }
        Ok(())
    }

    fn consumed(&mut self, id: StreamId, bytes: u64) -> Result<(), TransportError> {
        let Some(slot) = self.ordered_slot(id)? else { return Ok(()) };
        match self.table.receiving(slot) {
            // Once stopped or released, all that came was counted, and all that comes is counted as it comes.
            Some(receiving) if receiving.stopped.is_none() && !receiving.released => self.consume(slot, bytes),
            _ => Ok(()),
        }
    }

    fn release(&mut self, id: StreamId) -> Result<(), TransportError> {
        let Some(slot) = self.ordered_slot(id)? else { return Ok(()) };
        if let Some(receiving) = self.table.receiving(slot)
            && !receiving.released
        {
            receiving.released = true;
            self.forgive(slot)?;
            self.finish(slot);
        }
        Ok(())
    }

    fn prioritize(&mut self, id: StreamId, priority: Priority) -> Result<(), TransportError> {
        if !id.may_send(self.side) {
            return Err(TransportError::internal("a priority for a stream that only the peer sends on"));
        }
        if let Some(slot) = self.ordered_slot(id)? {
            self.table.set_priority(slot, priority);
        }
        Ok(())
    }

    /// The stream of a wish, which opens it if it is ours; `None` if it is gone.
    fn ordered_slot(&mut self, id: StreamId) -> Result<Option<Slot>, TransportError> {
        if let Some(slot) = self.table.find(id) {
            return Ok(Some(slot));
        }
        let direction = index(id.direction());
        if id.initiator() != self.side {
            if id.index() >= self.theirs[direction].opened() {
                return Err(TransportError::internal("a wish about a stream that the peer has not opened"));
            }
            return Ok(None);
        }
        while self.ours[direction].opened() <= id.index() {
            let next = StreamId::new(self.side, id.direction(), self.ours[direction].opened());
            //= https://www.rfc-editor.org/rfc/rfc9000#section-4.6
            //# Endpoints MUST NOT exceed the limit set by their peer.
            if self.ours[direction].open().is_err() {
                return Err(TransportError::internal("a stream opened beyond the peer's limit"));
            }
            self.open_here(next)?;
        }
        Ok(self.table.find(id))
    }

    fn open_here(&mut self, id: StreamId) -> Result<(), TransportError> {
        let sending = Sending::new(self.first_limit(id));
        if self.first_credit_changed {
            // The stream may have been opened there under the first of two announcements.
            self.inputs.push_back(StreamInput::Credit { id, until: sending.granted() });
        }
        let receiving = (id.direction() == Direction::Bidirectional).then(|| Receiving::new(self.first_window(id)));
        self.insert(Stream::new(id, self.now, Some(sending), receiving))?;
        Ok(())
    }

    /// Adds a stream to the table.
    pub(super) fn insert(&mut self, stream: Stream) -> Result<Slot, TransportError> {
        let id = stream.id;
        self.stats.opened[super::table::initiator(self.side, id)][index(id.direction())] += 1;
        self.table.insert(self.side, stream).ok_or(TransportError::internal("too many streams are open"))
    }

    /// Gives up the sending half: what waits is forgotten and RESET_STREAM is sent instead.
    pub(super) fn reset_sending(&mut self, slot: Slot, code: u64, outcome: Outcome) {
        let Some(stream) = self.table.get_mut(slot) else { return };
        stream.ends_by(outcome);
        let Some(sending) = &mut stream.sending else { return };
        let dropped = sending.abandon(code.min(VarInt::MAX.into_inner()));
        self.send_buffered = self.send_buffered.saturating_sub(dropped);
        self.leave_queues(slot);
        self.judge_blocked(slot);
        self.table.want(slot, Control::ResetStream);
    }

    /// Takes the stream out of the queues of those that send STREAM frames.
    pub(super) fn leave_queues(&mut self, slot: Slot) {
        for list in [List::Retransmit, List::Bare, List::Ready] {
            self.table.unlist(list, slot);
        }
    }

    /// Says how much may be handed over for sending, if that is worth a message.
    pub(super) fn grant(&mut self, slot: Slot, raised: bool) {
        if let Some(stream) = self.table.get_mut(slot)
            && let Some(sending) = &mut stream.sending
            && let Some(until) = sending.grant(raised)
        {
            self.inputs.push_back(StreamInput::Credit { id: stream.id, until });
        }
    }

    /// The peer permits bytes up to `limit` on a stream.
    pub(super) fn raise_stream_credit(&mut self, slot: Slot, limit: u64) {
        let Some(sending) = self.table.sending(slot) else { return };
        //= https://www.rfc-editor.org/rfc/rfc9000#section-3.1
        //# The endpoint
        //# can safely ignore any MAX_STREAM_DATA frames it receives from its peer for a
        //# stream in this state.
        if sending.end == End::Open && sending.credit.raise(limit).is_some() {
            self.grant(slot, true);
            self.judge_blocked(slot);
        }
    }

    /// Looks whether the peer's limit for the stream is used up, and if so tells it once.
    pub(super) fn judge_blocked(&mut self, slot: Slot) {
        let Some(stream) = self.table.get_mut(slot) else { return };
        let blocked = stream.sending.as_ref().is_some_and(Sending::is_blocked);
        let report = blocked && stream.sending.as_ref().is_some_and(|sending| sending.credit.is_report_due());
        let was_blocked = std::mem::replace(&mut stream.blocked, blocked);
        match (was_blocked, blocked) {
            (false, true) => self.blocked_streams += 1,
            (true, false) => {
                self.blocked_streams = self.blocked_streams.saturating_sub(1);
                self.table.forget(slot, Control::StreamDataBlocked);
            }
            _ => {}
        }
        if report {
            //= https://www.rfc-editor.org/rfc/rfc9000#section-4.1
            //# A sender SHOULD send a STREAM_DATA_BLOCKED or
            //# DATA_BLOCKED frame to indicate to the receiver that it has data to write but is
            //# blocked by flow control limits.
            self.table.want(slot, Control::StreamDataBlocked);
        }
    }

    /// Nothing of a stream is held any more: what was received and not consumed counts as consumed.
    fn forgive(&mut self, slot: Slot) -> Result<(), TransportError> {
        let Some(receiving) = self.table.receiving(slot) else { return Ok(()) };
        let charged = receiving.window.charged();
        self.stats.bytes_consumed += charged;
        receiving
            .window
            .forgive(charged)
            .and(self.window.forgive(charged))
            .map_err(|_| TransportError::internal("a stream was charged more than its connection"))
    }

    /// Counts bytes of a stream as consumed, in its window and the connection's.
    fn consume(&mut self, slot: Slot, bytes: u64) -> Result<(), TransportError> {
        let Some(receiving) = self.table.receiving(slot) else { return Ok(()) };
        if receiving.window.consume(self.now, bytes, self.round_trip).is_err() {
            return Err(TransportError::internal("more bytes of a stream were consumed than received"));
        }
        if receiving.is_announcement_due() {
            self.table.want(slot, Control::MaxStreamData);
        }
        self.stats.bytes_consumed += bytes;
        self.window
            .consume(self.now, bytes, self.round_trip)
            .map_err(|_| TransportError::internal("more bytes of the connection were consumed than received"))
    }
}
