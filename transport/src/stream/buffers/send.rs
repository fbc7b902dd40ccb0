//! [`SendHalf`]: the sending half of a stream (RFC 9000 §3.1), up to where its bytes are handed to the connection.

use bytes::Bytes;
use codec::StreamId;

use super::backlog::Backlog;
use super::event::WriteError;
use super::table::transitions;
use crate::stream::StreamOutput;

transitions! {
    /// RFC 9000 §3.1, figure 2, where "sent" is "handed to the connection", which repeats what is lost.
    states SendState {
        /// Nothing was handed on.
        Ready,
        /// Bytes were handed on, more may come.
        Send,
        /// The application wrote the end; it was not handed on yet.
        Finishing,
        /// The end was handed on.
        DataSent,
        /// Everything is acknowledged.
        DataRecvd,
        /// Abandoned, by the application or because the peer asked.
        ResetSent,
        /// The reset is acknowledged.
        ResetRecvd,
    }
    /// What may happen to a sending half.
    events SendEvent {
        /// Bytes were handed on.
        HandOn { Ready => Send, }
        /// The application wrote the end.
        Finish { Ready => Finishing, Send => Finishing, }
        /// The end was handed on.
        HandOnEnd { Finishing => DataSent, }
        /// The application abandoned it.
        Reset { Ready => ResetSent, Send => ResetSent, Finishing => ResetSent, DataSent => ResetSent, }
        /// STOP_SENDING; the connection has answered it.
        Stopped { Ready => ResetSent, Send => ResetSent, Finishing => ResetSent, DataSent => ResetSent, }
        /// The end or the reset is acknowledged, and with the end all bytes.
        Acknowledged { DataSent => DataRecvd, ResetSent => ResetRecvd, }
    }
}

/// The sending half: bytes the application wrote, until they are handed on.
#[derive(Debug)]
pub(super) struct SendHalf {
    state: SendState,
    backlog: Backlog,
    handed_on: u64,
    /// Bytes up to this offset may be handed on.
    credit_until: u64,
    /// Whether the connection knows the stream: a stream of ours is opened by the first thing said about it.
    announced: bool,
    /// The reset that the connection was not told of.
    reset: Option<u64>,
    /// The peer's reason.
    stopped: Option<u64>,
}

impl SendHalf {
    pub(super) fn new(backlog: usize, credit: u64, announced: bool) -> Self {
        Self {
            state: SendState::Ready,
            backlog: Backlog::new(backlog),
            handed_on: 0,
            credit_until: credit,
            announced,
            reset: None,
            stopped: None,
        }
    }

    /// Takes bytes of the application.
    pub(super) fn write(&mut self, data: Bytes) -> Result<(), WriteError> {
        self.check()?;
        let credit = self.credit();
        self.backlog.write(data, credit).map_err(WriteError::Full)
    }

    /// The application has written everything.
    pub(super) fn finish(&mut self) -> Result<(), WriteError> {
        self.check()?;
        self.state.on(SendEvent::Finish);
        Ok(())
    }

    /// The application abandons it. Returns whether that changed anything.
    pub(super) fn reset(&mut self, code: u64) -> bool {
        let changed = self.state.on(SendEvent::Reset);
        if changed {
            self.reset = Some(code);
            self.backlog.clear();
        }
        changed
    }

    /// The peer wants no more. Returns whether that is news for the application.
    pub(super) fn on_stopped(&mut self, code: u64) -> bool {
        let changed = self.state.on(SendEvent::Stopped);
        if changed {
            self.stopped = Some(code);
            self.announced = true;
            self.backlog.clear();
        }
        changed
    }

    /// More may be handed on.
    pub(super) fn on_credit(&mut self, until: u64) {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-4.1
        //# A sender MUST ignore any MAX_STREAM_DATA or MAX_DATA frames that do
        //# not increase flow control limits.
        self.credit_until = self.credit_until.max(until);
    }

    /// Everything is acknowledged. Returns whether that ended the half.
    pub(super) fn on_acknowledged(&mut self) -> bool {
        let ended = self.state.on(SendEvent::Acknowledged);
        // Acknowledged before the connection heard of our reset: there is nothing left to abandon.
        if ended {
            self.reset = None;
        }
        ended
    }

    /// The next thing to tell the connection.
    pub(super) fn poll_output(&mut self, id: StreamId) -> Option<StreamOutput> {
        if !self.has_output() {
            return None;
        }
        if self.announced
            && let Some(code) = self.reset.take()
        {
            return Some(StreamOutput::Reset { id, code });
        }
        let data = self.backlog.pop(self.credit()).unwrap_or_default();
        self.handed_on += data.len() as u64;
        self.announced = true;
        let fin = self.state == SendState::Finishing && self.backlog.is_empty();
        self.state.on(if fin { SendEvent::HandOnEnd } else { SendEvent::HandOn });
        Some(StreamOutput::Write { id, data, fin })
    }

    pub(super) fn has_output(&self) -> bool {
        if self.reset.is_some() {
            return true;
        }
        let has_bytes = !self.backlog.is_empty();
        let is_ended = self.state == SendState::Finishing;
        // A stream of ours that waits for its first credit must be known to the connection, or none would ever come.
        (has_bytes && (self.credit() > 0 || !self.announced)) || (is_ended && !has_bytes)
    }

    /// Tells the connection of the stream although nothing is to be sent on it yet.
    pub(super) fn poll_announcement(&mut self, id: StreamId) -> Option<StreamOutput> {
        if self.announced {
            return None;
        }
        self.announced = true;
        Some(StreamOutput::Write { id, data: Bytes::new(), fin: false })
    }

    /// Whether the application waits for room and should be woken.
    pub(super) fn take_relief(&mut self) -> bool {
        let credit = self.credit();
        matches!(self.state, SendState::Ready | SendState::Send) && self.backlog.take_relief(credit)
    }

    /// Bytes that may be written now.
    pub(super) fn writable(&self) -> usize {
        if self.check().is_ok() { self.backlog.room(self.credit()) } else { 0 }
    }

    /// Whether nothing more happens.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, SendState::DataRecvd | SendState::ResetRecvd)
    }

    /// Whether the end was written.
    pub(super) const fn is_finished(&self) -> bool {
        matches!(self.state, SendState::Finishing | SendState::DataSent | SendState::DataRecvd)
    }

    /// Whether the application ended it, well or not.
    pub(super) const fn is_ended(&self) -> bool {
        !matches!(self.state, SendState::Ready | SendState::Send)
    }

    pub(super) const fn stop_code(&self) -> Option<u64> {
        self.stopped
    }

    pub(super) const fn handed_on(&self) -> u64 {
        self.handed_on
    }

    pub(super) const fn buffered(&self) -> u64 {
        self.backlog.len() as u64
    }

    const fn credit(&self) -> u64 {
        self.credit_until.saturating_sub(self.handed_on)
    }

    const fn check(&self) -> Result<(), WriteError> {
        match self.state {
            SendState::Ready | SendState::Send => Ok(()),
            SendState::Finishing | SendState::DataSent | SendState::DataRecvd => Err(WriteError::Finished),
            SendState::ResetSent | SendState::ResetRecvd => Err(match self.stopped {
                Some(code) => WriteError::Stopped(code),
                None => WriteError::Reset,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_event_of_the_sending_half() {
        assert_eq!(SendState::table(), include_str!("snapshots/send.txt"));
    }

    fn outputs(half: &mut SendHalf) -> String {
        let mut all = Vec::new();
        while let Some(output) = half.poll_output(StreamId::from_u64(0)) {
            all.push(match output {
                StreamOutput::Write { data, fin, .. } => format!("{}{}", data.len(), if fin { " fin" } else { "" }),
                StreamOutput::Reset { code, .. } => format!("reset {code}"),
                other => panic!("{other:?}"),
            });
        }
        assert!(!half.has_output());
        all.join(", ")
    }

    #[test]
    fn bytes_are_handed_on_up_to_the_credit_and_without_copies() {
        let mut half = SendHalf::new(100, 10, true);
        let written = Bytes::from(vec![7; 25]);
        half.write(written.clone()).unwrap();
        let Some(StreamOutput::Write { data, fin: false, .. }) = half.poll_output(StreamId::from_u64(0)) else {
            panic!()
        };
        assert_eq!((data.as_ptr(), data.len()), (written.as_ptr(), 10));
        assert_eq!(outputs(&mut half), "");
        half.on_credit(5);
        assert_eq!(outputs(&mut half), "", "a smaller credit is old news");
        half.on_credit(12);
        assert_eq!(outputs(&mut half), "2");
        half.finish().unwrap();
        assert_eq!(outputs(&mut half), "", "the end waits for the bytes before it");
        half.on_credit(1000);
        assert_eq!(outputs(&mut half), "13 fin");
        assert_eq!(half.write(Bytes::from_static(b"x")), Err(WriteError::Finished));
        assert!(half.on_acknowledged());
        assert!(half.is_over());
    }

    #[test]
    fn the_end_alone_needs_no_credit() {
        let mut half = SendHalf::new(100, 0, false);
        half.finish().unwrap();
        assert_eq!(outputs(&mut half), "0 fin");
        assert_eq!(half.finish(), Err(WriteError::Finished));
        assert_eq!(outputs(&mut half), "");
    }

    #[test]
    fn a_stream_that_waits_for_its_first_credit_is_announced() {
        let mut half = SendHalf::new(100, 0, false);
        assert_eq!(outputs(&mut half), "");
        half.write(Bytes::from_static(b"abc")).unwrap();
        half.finish().unwrap();
        assert_eq!(outputs(&mut half), "0");
        half.on_credit(3);
        assert_eq!(outputs(&mut half), "3 fin");
    }

    #[test]
    fn a_reset_forgets_what_was_not_handed_on() {
        let mut half = SendHalf::new(100, 1, false);
        half.write(Bytes::from_static(b"abc")).unwrap();
        assert!(half.reset(4));
        assert!(!half.reset(5));
        assert_eq!(outputs(&mut half), "0, reset 4", "announced first, so that there is something to reset");
        assert_eq!(half.buffered(), 0);
        assert_eq!(half.write(Bytes::from_static(b"x")), Err(WriteError::Reset));
        assert!(!half.on_stopped(1));
        assert!(half.on_acknowledged());
        assert!(!half.on_acknowledged());
    }

    #[test]
    fn a_stop_of_the_peer_needs_no_reset_of_ours() {
        let mut half = SendHalf::new(100, 1, true);
        half.write(Bytes::from_static(b"abc")).unwrap();
        assert!(half.on_stopped(9));
        assert!(!half.reset(4));
        assert_eq!(outputs(&mut half), "");
        assert_eq!(half.write(Bytes::from_static(b"x")), Err(WriteError::Stopped(9)));
        assert_eq!(half.writable(), 0);
    }

    #[test]
    fn an_acknowledgement_of_everything_overtakes_our_reset() {
        let mut half = SendHalf::new(100, 10, true);
        half.write(Bytes::from_static(b"abc")).unwrap();
        half.finish().unwrap();
        outputs(&mut half);
        half.reset(4);
        assert!(half.on_acknowledged());
        assert_eq!(outputs(&mut half), "");
    }
}
