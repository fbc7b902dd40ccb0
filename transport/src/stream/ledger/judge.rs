//! Frames of the peer, judged in the turn of their packet: each error here closes the connection.

use codec::frame::flow::MAX_STREAM_COUNT;
use codec::{Direction, StreamId, Time};

use super::table::{Control, Slot, Stream};
use super::{Disposition, Ledger, Outcome, index};
use crate::error::TransportError;
use crate::limits::{self, Limit};
use crate::stream::StreamInput;

use super::receiving::Receiving;
use super::sending::Sending;

impl Ledger {
    /// A STREAM frame with `length` bytes. If it opens streams, [`StreamInput::Opened`] comes out before this returns,
    /// so drain [`Self::poll_input`] and then deliver the bytes, if they are wanted.
    ///
    /// # Errors
    ///
    /// STREAM_STATE_ERROR on a stream that only we send on or that we have not opened, STREAM_LIMIT_ERROR,
    /// FINAL_SIZE_ERROR, FLOW_CONTROL_ERROR.
    pub fn on_stream(
        &mut self,
        now: Time,
        id: StreamId,
        offset: u64,
        length: u64,
        fin: bool,
    ) -> Result<Disposition, TransportError> {
        self.now = now;
        let Some(slot) = self.receiving_slot(id)? else { return Ok(Disposition::Ignore) };
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.8
        //# Receipt of a frame that exceeds this limit MUST be treated as a
        //# connection error of type FRAME_ENCODING_ERROR or FLOW_CONTROL_ERROR.
        // No window reaches that far, so an end that saturates is beyond the window.
        let end = offset.saturating_add(length);
        let Some(growth) = self.judge_end(slot, end, fin)? else { return Ok(Disposition::Ignore) };
        let Some(receiving) = self.table.receiving(slot) else { return Ok(Disposition::Ignore) };
        if fin {
            receiving.final_size = Some(end);
        }
        self.stats.bytes_received += growth;
        if receiving.discards() {
            //= https://www.rfc-editor.org/rfc/rfc9000#section-3.5
            //# STREAM frames received after sending a STOP_SENDING frame are still counted
            //# toward connection and stream flow control, even though these frames can be
            //# discarded upon receipt.
            receiving.window.discard(growth);
            self.window.discard(growth);
            self.stats.bytes_consumed += growth;
            self.finish(slot);
            return Ok(Disposition::Ignore);
        }
        receiving.window.receive(now, growth);
        self.window.receive(now, growth);
        if fin {
            self.table.forget(slot, Control::MaxStreamData);
        }
        Ok(if length == 0 && !fin { Disposition::Ignore } else { Disposition::Deliver })
    }

    /// A RESET_STREAM frame.
    ///
    /// # Errors
    ///
    /// As [`Self::on_stream`].
    pub fn on_reset_stream(&mut self, id: StreamId, code: u64, final_size: u64) -> Result<(), TransportError> {
        let Some(slot) = self.receiving_slot(id)? else { return Ok(()) };
        let Some(growth) = self.judge_end(slot, final_size, true)? else { return Ok(()) };
        //= https://www.rfc-editor.org/rfc/rfc9000#section-4.5
        //# The
        //# receiver MUST use the final size of the stream to account for all bytes sent on
        //# the stream in its connection-level flow controller.
        // What did not come will not come, so its room is free at once. What came stays charged until it is let go.
        self.window.discard(growth);
        let Some(stream) = self.table.get_mut(slot) else { return Ok(()) };
        stream.ends_by(Outcome::ResetPeer);
        let Some(receiving) = &mut stream.receiving else { return Ok(()) };
        receiving.final_size = Some(final_size);
        receiving.reset = true;
        if !receiving.released {
            self.inputs.push_back(StreamInput::Reset { id, code });
        }
        self.table.forget(slot, Control::MaxStreamData);
        //= https://www.rfc-editor.org/rfc/rfc9000#section-3.5
        //# STOP_SENDING SHOULD only be sent for a stream that has not been reset by the
        //# peer.
        self.table.forget(slot, Control::StopSending);
        self.finish(slot);
        Ok(())
    }

    /// A STOP_SENDING frame. Answers with RESET_STREAM, unless everything arrived or the stream was reset before.
    ///
    /// # Errors
    ///
    /// STREAM_STATE_ERROR on a stream that only the peer sends on or that we have not opened, STREAM_LIMIT_ERROR;
    /// INTERNAL_ERROR if too many such answers wait to be sent.
    pub fn on_stop_sending(&mut self, id: StreamId, code: u64) -> Result<(), TransportError> {
        let Some(slot) = self.sending_slot(id)? else { return Ok(()) };
        if self.table.sending(slot).is_none_or(|sending| sending.reset.is_some()) {
            return Ok(());
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-3.5
        //# An endpoint that receives a STOP_SENDING frame MUST send a RESET_STREAM
        //# frame if the stream is in the "Ready" or "Send" state.
        //
        //= https://www.rfc-editor.org/rfc/rfc9000#section-3.5
        //# An endpoint SHOULD copy the error code from the STOP_SENDING frame to the
        //# RESET_STREAM frame it sends, but it can use any application error code.
        self.reset_sending(slot, code, Outcome::StoppedPeer);
        self.inputs.push_back(StreamInput::Stopped { id, code });
        if self.table.waiting(Control::ResetStream) > limits::CONTROL_FRAMES {
            self.stats.hit(Limit::ControlFrames);
            return Err(TransportError::internal("too many stopped streams wait for their reset to be sent"));
        }
        Ok(())
    }

    /// A MAX_DATA frame.
    pub fn on_max_data(&mut self, maximum: u64) {
        self.credit.raise(maximum);
    }

    /// A MAX_STREAM_DATA frame.
    ///
    /// # Errors
    ///
    /// STREAM_STATE_ERROR on a stream that only the peer sends on or that we have not opened, STREAM_LIMIT_ERROR.
    pub fn on_max_stream_data(&mut self, id: StreamId, maximum: u64) -> Result<(), TransportError> {
        if let Some(slot) = self.sending_slot(id)? {
            self.raise_stream_credit(slot, maximum);
        }
        Ok(())
    }

    /// A MAX_STREAMS frame. One above 2^60 is malformed, which was judged when it was decoded.
    pub fn on_max_streams(&mut self, direction: Direction, maximum: u64) {
        if self.ours[index(direction)].raise(maximum.min(MAX_STREAM_COUNT)) {
            self.push_open_limit(direction);
        }
    }

    /// A DATA_BLOCKED frame: good to know, nothing to do. Credit never waits for it.
    pub fn on_data_blocked(&mut self, _limit: u64) {
        self.stats.data_blocked_received += 1;
    }

    /// A STREAM_DATA_BLOCKED frame: it may open the stream, and is good to know otherwise.
    ///
    /// # Errors
    ///
    /// STREAM_STATE_ERROR on a stream that only we send on or that we have not opened, STREAM_LIMIT_ERROR.
    pub fn on_stream_data_blocked(&mut self, id: StreamId, _limit: u64) -> Result<(), TransportError> {
        self.receiving_slot(id)?;
        self.stats.stream_data_blocked_received += 1;
        Ok(())
    }

    /// A STREAMS_BLOCKED frame: good to know, nothing to do. Credit never waits for it either.
    pub fn on_streams_blocked(&mut self, direction: Direction, _limit: u64) {
        self.stats.streams_blocked_received[index(direction)] += 1;
    }

    /// The stream of a frame that comes from its sender; `None` if it is gone.
    fn receiving_slot(&mut self, id: StreamId) -> Result<Option<Slot>, TransportError> {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.4
        //# An endpoint that receives a RESET_STREAM frame for a send-only stream MUST
        //# terminate the connection with error STREAM_STATE_ERROR.
        //
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.8
        //# An endpoint MUST terminate the connection with error STREAM_STATE_ERROR if it
        //# receives a STREAM frame for a locally initiated stream that has not yet been
        //# created, or for a send-only stream.
        //
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.13
        //# An endpoint that receives a STREAM_DATA_BLOCKED frame for a send-only stream
        //# MUST terminate the connection with error STREAM_STATE_ERROR.
        if !id.may_receive(self.side) {
            return Err(TransportError::stream_state("a sender's frame on a stream that only we send on"));
        }
        self.judge_open(id)
    }

    /// The stream of a frame that comes from its receiver; `None` if it is gone.
    fn sending_slot(&mut self, id: StreamId) -> Result<Option<Slot>, TransportError> {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.5
        //# An endpoint that receives a
        //# STOP_SENDING frame for a receive-only stream MUST terminate the connection with
        //# error STREAM_STATE_ERROR.
        //
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.10
        //# An endpoint that receives a
        //# MAX_STREAM_DATA frame for a receive-only stream MUST terminate the connection
        //# with error STREAM_STATE_ERROR.
        if !id.may_send(self.side) {
            return Err(TransportError::stream_state("a receiver's frame on a stream that only the peer sends on"));
        }
        self.judge_open(id)
    }

    /// Finds a stream that a frame names, and opens it if the peer may.
    fn judge_open(&mut self, id: StreamId) -> Result<Option<Slot>, TransportError> {
        if let Some(slot) = self.table.find(id) {
            return Ok(Some(slot));
        }
        let direction = index(id.direction());
        if id.initiator() == self.side {
            //= https://www.rfc-editor.org/rfc/rfc9000#section-19.5
            //# Receiving a STOP_SENDING frame for a
            //# locally initiated stream that has not yet been created MUST be treated as a
            //# connection error of type STREAM_STATE_ERROR.
            //
            //= https://www.rfc-editor.org/rfc/rfc9000#section-19.10
            //# Receiving a MAX_STREAM_DATA frame for a
            //# locally initiated stream that has not yet been created MUST be treated as a
            //# connection error of type STREAM_STATE_ERROR.
            if id.index() >= self.ours[direction].opened() {
                return Err(TransportError::stream_state("a frame on a stream that we have not opened"));
            }
            return Ok(None);
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-4.6
        //# An endpoint that
        //# receives a frame with a stream ID exceeding the limit it has sent MUST treat
        //# this as a connection error of type STREAM_LIMIT_ERROR; see {{error-handling}}
        //# for details on error handling.
        if id.index() >= self.theirs[direction].announced() {
            self.stats.hit(Limit::Streams);
            return Err(TransportError::stream_limit("a stream beyond the limit we announced"));
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-3.2
        //# Before a stream is created, all streams of the same type with lower-numbered
        //# stream IDs MUST be created.
        while self.theirs[direction].opened() <= id.index() {
            let next = StreamId::new(id.initiator(), id.direction(), self.theirs[direction].opened());
            self.theirs[direction].open();
            self.open_for_peer(next)?;
        }
        Ok(self.table.find(id))
    }

    fn open_for_peer(&mut self, id: StreamId) -> Result<(), TransportError> {
        let sending = (id.direction() == Direction::Bidirectional).then(|| Sending::new(self.first_limit(id)));
        let credit = sending.as_ref().map_or(0, Sending::granted);
        let receiving = Receiving::new(self.first_window(id));
        self.insert(Stream::new(id, self.now, sending, Some(receiving)))?;
        self.inputs.push_back(StreamInput::Opened { id, credit });
        Ok(())
    }

    /// Judges the end that a frame names against final size and both windows. Returns by how much it grows what was
    /// received, or `None` if the frame says nothing new because the peer's half is over.
    fn judge_end(&mut self, slot: Slot, end: u64, last: bool) -> Result<Option<u64>, TransportError> {
        let Some(receiving) = self.table.receiving(slot) else { return Ok(None) };
        receiving.judge_size(end, last)?;
        if receiving.reset {
            return Ok(None);
        }
        //= https://www.rfc-editor.org/rfc/rfc9000#section-4.1
        //# A receiver MUST close the connection with an error of type FLOW_CONTROL_ERROR if
        //# the sender violates the advertised connection or stream data limits; see
        //# {{error-handling}} for details on error handling.
        let Ok(growth) = receiving.window.growth(end) else {
            self.stats.hit(Limit::StreamWindow);
            return Err(TransportError::flow_control("more data on a stream than we permitted"));
        };
        //= https://www.rfc-editor.org/rfc/rfc9000#section-19.9
        //# The sum of the final
        //# sizes on all streams -- including streams in terminal states -- MUST NOT exceed
        //# the value advertised by a receiver.
        if self.window.growth(self.window.received().saturating_add(growth)).is_err() {
            self.stats.hit(Limit::ConnectionWindow);
            return Err(TransportError::flow_control("more data on the connection than we permitted"));
        }
        Ok(Some(growth))
    }
}
