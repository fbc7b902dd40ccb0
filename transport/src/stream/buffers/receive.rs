//! [`ReceiveHalf`]: the receiving half of a stream (RFC 9000 §3.2).

use bytes::Bytes;
use codec::StreamId;

use super::event::{Read, ReadError};
use super::reassembly::{Kept, Reassembly};
use super::table::transitions;
use crate::stream::StreamOutput;

transitions! {
    /// RFC 9000 §3.2, figure 3, and what happens when we stop the half ourselves.
    states ReceiveState {
        /// Bytes may come.
        Recv,
        /// The end is known, bytes are missing.
        SizeKnown,
        /// All bytes are here, not all are read.
        DataRecvd,
        /// The application has seen the end.
        DataRead,
        /// The peer reset it; the application has not heard of it.
        ResetRecvd,
        /// The application has seen the reset.
        ResetRead,
        /// We stopped it; whatever still comes is dropped.
        Stopped,
    }
    /// What may happen to a receiving half.
    events ReceiveEvent {
        /// A piece told the final size.
        End { Recv => SizeKnown, }
        /// The last missing byte arrived.
        AllReceived { SizeKnown => DataRecvd, }
        /// RESET_STREAM. When all bytes are here it is ignored, as §3.2 permits.
        Reset { Recv => ResetRecvd, SizeKnown => ResetRecvd, }
        /// The application read up to the end.
        EndRead { DataRecvd => DataRead, }
        /// The application was told of the reset.
        ResetSeen { ResetRecvd => ResetRead, }
        /// The application wants no more of it.
        Stop { Recv => Stopped, SizeKnown => Stopped, DataRecvd => DataRead, ResetRecvd => ResetRead, }
    }
}

/// The receiving half: bytes that arrived, until the application takes them.
#[derive(Debug)]
pub(super) struct ReceiveHalf {
    state: ReceiveState,
    reassembly: Reassembly,
    final_size: u64,
    reset_code: u64,
    delivered: u64,
    /// Consumed, and not reported.
    consumed: u64,
    /// Taken by somebody who has not said that they are consumed.
    held: u64,
    /// From how many consumed bytes on they are reported although there is more to read.
    report_from: u64,
    outputs: Pending,
}

/// What waits to be polled.
#[derive(Debug, Default)]
struct Pending {
    consumed: bool,
    stop: Option<u64>,
    released: bool,
}

impl ReceiveHalf {
    pub(super) fn new(report_from: u64) -> Self {
        Self {
            state: ReceiveState::Recv,
            reassembly: Reassembly::default(),
            final_size: u64::MAX,
            reset_code: 0,
            delivered: 0,
            consumed: 0,
            held: 0,
            report_from,
            outputs: Pending::default(),
        }
    }

    /// A piece arrived.
    pub(super) fn on_data(&mut self, offset: u64, mut data: Bytes, fin: bool, may_add_run: bool) -> Kept {
        // Once all bytes are here, or none are wanted, pieces are repetitions:
        //= https://www.rfc-editor.org/rfc/rfc9000#section-3.2
        //# After all data has been
        //# received, any STREAM or STREAM_DATA_BLOCKED frames for the stream can be
        //# discarded.
        if !matches!(self.state, ReceiveState::Recv | ReceiveState::SizeKnown) {
            return Kept::Well;
        }
        // The connection has judged offsets and the final size; what contradicts them cannot come, and is not kept.
        let within = usize::try_from(self.final_size.saturating_sub(offset)).unwrap_or(usize::MAX);
        data.truncate(within);
        if fin && self.state.on(ReceiveEvent::End) {
            self.final_size = offset.saturating_add(data.len() as u64);
        }
        let kept = if data.is_empty() { Kept::Well } else { self.reassembly.insert(offset, data, may_add_run) };
        if self.reassembly.next() >= self.final_size {
            self.state.on(ReceiveEvent::AllReceived);
        }
        kept
    }

    /// The peer reset its half. Returns whether that is news for the application.
    pub(super) fn on_reset(&mut self, code: u64) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-3.2
        //# An implementation MAY interrupt delivery of
        //# stream data, discard any data that was not consumed, and signal the receipt of
        //# the RESET_STREAM.
        if !self.state.on(ReceiveEvent::Reset) {
            return false;
        }
        self.reset_code = code;
        self.reassembly.clear();
        self.outputs.consumed = self.consumed > 0;
        true
    }

    /// The next at most `maximum` bytes.
    pub(super) fn read(&mut self, maximum: usize) -> Result<Read, ReadError> {
        if let Some(data) = self.reassembly.read(maximum) {
            self.delivered += data.len() as u64;
            self.consumed += data.len() as u64;
            // Only who has read everything can be waiting for the peer, and so can the peer for him.
            if self.consumed >= self.report_from || !self.reassembly.is_readable() {
                self.outputs.consumed = true;
            }
            return Ok(Read::Data(data));
        }
        if self.reassembly.is_readable() {
            // Nothing was asked for.
            return Ok(Read::Blocked);
        }
        match self.state {
            ReceiveState::Recv | ReceiveState::SizeKnown => Ok(Read::Blocked),
            ReceiveState::DataRecvd | ReceiveState::DataRead => {
                self.finish(ReceiveEvent::EndRead);
                Ok(Read::Finished)
            }
            ReceiveState::ResetRecvd | ReceiveState::ResetRead => {
                self.finish(ReceiveEvent::ResetSeen);
                Err(ReadError::Reset(self.reset_code))
            }
            ReceiveState::Stopped => Err(ReadError::Stopped),
        }
    }

    /// The next bytes in order, for somebody who holds them until they are consumed: they stay charged to the peer.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let data = self.reassembly.read(usize::MAX)?;
        self.delivered += data.len() as u64;
        self.held += data.len() as u64;
        Some(data)
    }

    /// So many of the bytes that were taken have left the process: the peer may send as many more.
    pub(super) fn consume(&mut self, bytes: u64) {
        let bytes = bytes.min(self.held);
        self.held -= bytes;
        self.consumed += bytes;
        self.outputs.consumed |= bytes > 0;
    }

    /// Whether everything up to the end was read or taken.
    pub(super) fn is_complete(&self) -> bool {
        !self.reassembly.is_readable() && matches!(self.state, ReceiveState::DataRecvd | ReceiveState::DataRead)
    }

    /// The application has seen the end, or the reset.
    pub(super) fn release(&mut self) {
        match self.state {
            ReceiveState::DataRecvd if !self.reassembly.is_readable() => self.finish(ReceiveEvent::EndRead),
            ReceiveState::ResetRecvd => self.finish(ReceiveEvent::ResetSeen),
            _ => {}
        }
    }

    /// The application wants no more. Nothing is sent if the peer has nothing more to send.
    pub(super) fn stop(&mut self, code: u64) {
        self.finish(ReceiveEvent::Stop);
        self.reassembly.clear();
        self.held = 0;
        if self.state == ReceiveState::Stopped && self.outputs.released {
            //= https://www.rfc-editor.org/rfc/rfc9000#section-3.3
            //# A receiver
            //# MAY send a STOP_SENDING frame in any state where it has not received a
            //# RESET_STREAM frame -- that is, states other than "Reset Recvd" or "Reset Read".
            self.outputs.stop.get_or_insert(code);
        }
    }

    /// Reports what was consumed, however little.
    pub(super) fn flush_consumed(&mut self) {
        self.outputs.consumed |= self.consumed > 0;
    }

    /// The next thing to tell the connection.
    pub(super) fn poll_output(&mut self, id: StreamId) -> Option<StreamOutput> {
        if self.outputs.consumed {
            self.outputs.consumed = false;
            let bytes = std::mem::take(&mut self.consumed);
            if bytes > 0 {
                return Some(StreamOutput::Consumed { id, bytes });
            }
        }
        if let Some(code) = self.outputs.stop.take() {
            return Some(StreamOutput::Stop { id, code });
        }
        if self.outputs.released {
            self.outputs.released = false;
            return Some(StreamOutput::Released { id });
        }
        None
    }

    /// Whether bytes were consumed that are not reported and need not be yet.
    pub(super) const fn has_unreported(&self) -> bool {
        self.consumed > 0 && !self.outputs.consumed
    }

    pub(super) const fn has_output(&self) -> bool {
        self.outputs.consumed || self.outputs.stop.is_some() || self.outputs.released
    }

    /// Whether a read would give something other than `Blocked`: bytes, the end, or the reset not yet seen.
    pub(super) fn is_readable(&self) -> bool {
        self.reassembly.is_readable() || matches!(self.state, ReceiveState::DataRecvd | ReceiveState::ResetRecvd)
    }

    /// Whether the application has nothing more to expect.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, ReceiveState::DataRead | ReceiveState::ResetRead | ReceiveState::Stopped)
    }

    pub(super) const fn reset_code(&self) -> u64 {
        self.reset_code
    }

    pub(super) const fn held(&self) -> u64 {
        self.held
    }

    pub(super) const fn delivered(&self) -> u64 {
        self.delivered
    }

    pub(super) const fn reassembly(&self) -> &Reassembly {
        &self.reassembly
    }

    fn finish(&mut self, event: ReceiveEvent) {
        if self.state.on(event) {
            self.outputs.released = true;
            self.flush_consumed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_event_of_the_receiving_half() {
        assert_eq!(ReceiveState::table(), include_str!("snapshots/receive.txt"));
    }

    fn half() -> (ReceiveHalf, StreamId) {
        (ReceiveHalf::new(100), StreamId::from_u64(0))
    }

    fn outputs(half: &mut ReceiveHalf, id: StreamId) -> String {
        let mut all = Vec::new();
        while let Some(output) = half.poll_output(id) {
            all.push(match output {
                StreamOutput::Consumed { bytes, .. } => format!("consumed {bytes}"),
                StreamOutput::Stop { code, .. } => format!("stop {code}"),
                StreamOutput::Released { .. } => "released".to_owned(),
                other => panic!("{other:?}"),
            });
        }
        assert!(!half.has_output());
        all.join(", ")
    }

    #[test]
    fn the_end_is_read_after_the_last_byte_and_releases_the_half_once() {
        let (mut half, id) = half();
        half.on_data(2, Bytes::from_static(b"cd"), true, true);
        assert_eq!(half.read(10), Ok(Read::Blocked));
        half.on_data(0, Bytes::from_static(b"ab"), false, true);
        assert_eq!(half.read(10), Ok(Read::Data(Bytes::from_static(b"abcd"))));
        assert!(half.is_readable());
        assert_eq!(outputs(&mut half, id), "consumed 4");
        assert_eq!(half.read(10), Ok(Read::Finished));
        assert_eq!(outputs(&mut half, id), "released");
        assert_eq!(half.read(10), Ok(Read::Finished));
        assert_eq!(outputs(&mut half, id), "");
        assert!(half.is_over());
    }

    #[test]
    fn data_and_then_a_reset_delivers_the_reset() {
        let (mut half, id) = half();
        half.on_data(0, Bytes::from_static(b"abcd"), false, true);
        assert_eq!(half.read(1), Ok(Read::Data(Bytes::from_static(b"a"))));
        assert_eq!(outputs(&mut half, id), "");
        assert!(half.on_reset(7));
        assert!(!half.on_reset(8));
        assert_eq!(half.reassembly().buffered(), 0);
        assert_eq!(outputs(&mut half, id), "consumed 1");
        assert_eq!(half.read(10), Err(ReadError::Reset(7)));
        assert_eq!(outputs(&mut half, id), "released");
        assert_eq!(half.read(10), Err(ReadError::Reset(7)));
    }

    #[test]
    fn a_reset_after_all_data_is_ignored() {
        let (mut half, _) = half();
        half.on_data(0, Bytes::from_static(b"abcd"), true, true);
        assert!(!half.on_reset(7));
        assert_eq!(half.read(10), Ok(Read::Data(Bytes::from_static(b"abcd"))));
        assert_eq!(half.read(10), Ok(Read::Finished));
    }

    #[test]
    fn consumed_bytes_are_reported_together() {
        let (mut half, id) = half();
        half.on_data(0, Bytes::from(vec![1; 300]), false, true);
        half.read(60).unwrap();
        assert_eq!(outputs(&mut half, id), "");
        half.read(60).unwrap();
        assert_eq!(outputs(&mut half, id), "consumed 120", "enough is reported although there is more to read");
        half.read(1).unwrap();
        assert_eq!(outputs(&mut half, id), "");
        half.flush_consumed();
        assert_eq!(outputs(&mut half, id), "consumed 1", "a word from outside is enough");
        half.read(170).unwrap();
        outputs(&mut half, id);
        half.read(9).unwrap();
        assert_eq!(outputs(&mut half, id), "consumed 9", "so is having read everything");
    }

    #[test]
    fn bytes_that_were_taken_stay_charged_until_they_are_consumed() {
        let (mut half, id) = half();
        half.on_data(0, Bytes::from_static(b"abcd"), true, true);
        assert_eq!(half.take().as_deref(), Some(&b"abcd"[..]));
        assert!(half.take().is_none() && half.is_complete());
        assert_eq!((outputs(&mut half, id).as_str(), half.held()), ("", 4));
        half.consume(3);
        assert_eq!(outputs(&mut half, id), "consumed 3");
        half.consume(7);
        assert_eq!(outputs(&mut half, id), "consumed 1", "no more than was taken");
        half.release();
        half.release();
        assert_eq!(outputs(&mut half, id), "released");
        assert!(half.is_over());
    }

    #[test]
    fn a_half_is_not_released_before_its_end_is_known() {
        let (mut half, id) = half();
        half.on_data(0, Bytes::from_static(b"ab"), false, true);
        half.take();
        half.release();
        assert!(!half.is_over() && !half.is_complete());
        assert!(half.on_reset(3));
        half.release();
        assert_eq!(outputs(&mut half, id), "released");
    }

    #[test]
    fn stopping_asks_the_peer_only_when_it_has_something_to_send() {
        let (mut stopped, id) = half();
        stopped.on_data(0, Bytes::from_static(b"ab"), false, true);
        stopped.read(1).unwrap();
        stopped.stop(5);
        stopped.stop(6);
        assert_eq!(outputs(&mut stopped, id), "consumed 1, stop 5, released");
        stopped.stop(6);
        stopped.on_data(2, Bytes::from_static(b"cd"), true, true);
        assert_eq!((stopped.read(1), stopped.reassembly().buffered()), (Err(ReadError::Stopped), 0));
        assert!(!stopped.on_reset(1));
        assert_eq!(outputs(&mut stopped, id), "");

        let (mut complete, id) = half();
        complete.on_data(0, Bytes::from_static(b"ab"), true, true);
        complete.stop(5);
        assert_eq!(outputs(&mut complete, id), "released");

        let (mut reset, id) = half();
        reset.on_reset(1);
        reset.stop(5);
        assert_eq!(outputs(&mut reset, id), "released");
    }

    #[test]
    fn what_contradicts_the_final_size_is_not_kept() {
        let (mut half, _) = half();
        half.on_data(4, Bytes::new(), true, true);
        half.on_data(2, Bytes::from_static(b"cdef"), true, true);
        half.on_data(9, Bytes::from_static(b"x"), false, true);
        half.on_data(u64::MAX, Bytes::from_static(b"x"), false, true);
        assert_eq!(half.reassembly().buffered(), 2);
        half.on_data(0, Bytes::from_static(b"ab"), false, true);
        assert_eq!(half.read(9), Ok(Read::Data(Bytes::from_static(b"abcd"))));
        assert_eq!(half.read(9), Ok(Read::Finished));
    }
}
