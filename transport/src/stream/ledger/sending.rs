//! The sending half of one stream (RFC 9000 §3.1): what waits, what was lost, how far it is acknowledged.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::error::TransportError;
use crate::flow::Credit;
use crate::limits;
use crate::stream::chunks::Chunks;

/// A stream's bytes that wait to be sent, or to be sent again. Bytes in flight are in the tokens of their packets.
#[derive(Debug)]
pub(super) struct Sending {
    /// The peer's limit; what is used of it is what was sent.
    pub(super) credit: Credit,
    pub(super) end: End,
    /// The code of our RESET_STREAM: nothing else is sent any more.
    pub(super) reset: Option<u64>,
    queue: Chunks,
    /// None until something was: most streams have nothing to drop here.
    lost: Option<VecDeque<Piece>>,
    granted: u64,
    acknowledged: u64,
}

/// How far the end of the stream is on its way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// More may be written.
    Open,
    /// Nothing more will be written.
    Queued,
    /// FIN was sent.
    Sent,
    /// FIN was acknowledged.
    Acknowledged,
}

/// Bytes that were sent and lost.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) data: Bytes,
    pub(super) fin: bool,
}

impl Sending {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            credit: Credit::new(limit),
            end: End::Open,
            reset: None,
            queue: Chunks::default(),
            lost: None,
            granted: limit.min(limits::SEND_AHEAD),
            acknowledged: 0,
        }
    }

    /// Takes bytes that follow all earlier ones.
    pub(super) fn write(&mut self, data: Bytes, fin: bool) -> Result<(), TransportError> {
        if self.end != End::Open {
            return Err(TransportError::internal("written after the end of a stream"));
        }
        let length = data.len() as u64;
        if length > self.granted.saturating_sub(self.written()) {
            return Err(TransportError::internal("written beyond the send credit of a stream"));
        }
        self.enqueue(data);
        if fin {
            self.end = End::Queued;
        }
        Ok(())
    }

    /// Up to which offset bytes were handed over.
    pub(super) const fn written(&self) -> u64 {
        self.credit.used().saturating_add(self.queued())
    }

    /// Up to which offset bytes may be handed over, as the keeper of the bytes was told.
    pub(super) const fn granted(&self) -> u64 {
        self.granted
    }

    /// Bytes that were never sent.
    pub(super) const fn queued(&self) -> u64 {
        self.queue.len() as u64
    }

    /// The offset to which credit should be announced now, if it is worth a message: a quarter of what is sent ahead, or
    /// the keeper of the bytes has used up what it had and either all of it was sent or the peer has just `raised` its
    /// limit.
    pub(super) fn grant(&mut self, raised: bool) -> Option<u64> {
        if self.end != End::Open || self.reset.is_some() {
            return None;
        }
        let until = self.credit.limit().min(self.credit.used().saturating_add(limits::SEND_AHEAD));
        let gain = until.saturating_sub(self.granted);
        let waits = self.written() == self.granted && (raised || self.queue.is_empty());
        if gain >= limits::SEND_AHEAD / 4 || (gain > 0 && waits) {
            self.granted = until;
            return Some(until);
        }
        None
    }

    /// Whether the peer permits no more and the stream is not at its end.
    pub(super) fn is_blocked(&self) -> bool {
        self.credit.available() == 0 && self.end == End::Open && self.reset.is_none()
    }

    /// Takes the next `length` queued bytes, piece by piece. The caller has used credit for them.
    pub(super) fn take_queued(&mut self, mut length: usize, mut each: impl FnMut(Bytes)) {
        while let Some(piece) = self.queue.pop(length) {
            length -= piece.len();
            each(piece);
        }
    }

    /// Where the oldest loss begins, how many bytes follow without a gap (looking no further than `enough`), and
    /// whether the end follows them.
    pub(super) fn lost_run(&self, enough: usize) -> Option<(u64, usize, bool)> {
        let lost = self.lost.as_ref()?;
        let first = lost.front()?;
        let (mut length, mut fin) = (0, false);
        for piece in lost {
            if length >= enough || piece.offset != first.offset.saturating_add(length as u64) || fin {
                break;
            }
            length += piece.data.len();
            fin = piece.fin;
        }
        Some((first.offset, length, fin))
    }

    /// Takes the first `length` bytes of the run, piece by piece; with `fin`, which only the whole run has, its end too.
    pub(super) fn take_lost(&mut self, length: usize, fin: bool, mut each: impl FnMut(Piece)) {
        let Some(lost) = self.lost.as_mut() else { return };
        let mut left = length;
        while let Some(front) = lost.front_mut() {
            if front.data.len() > left {
                let data = front.data.split_to(left);
                let piece = Piece { offset: front.offset, data, fin: false };
                front.offset = front.offset.saturating_add(left as u64);
                each(piece);
                return;
            }
            let Some(piece) = lost.pop_front() else { return };
            left -= piece.data.len();
            let is_last = left == 0 && piece.fin == fin;
            each(piece);
            if is_last {
                return;
            }
        }
    }

    /// Bytes are to be sent again.
    pub(super) fn on_lost(&mut self, piece: Piece) {
        self.lost.get_or_insert_default().push_back(piece);
    }

    /// Whether bytes wait to be sent again.
    pub(super) fn has_lost(&self) -> bool {
        self.lost.as_ref().is_some_and(|lost| !lost.is_empty())
    }

    /// Bytes, and perhaps the end, arrived.
    pub(super) fn on_acknowledged(&mut self, length: u64, fin: bool) {
        self.acknowledged = self.acknowledged.saturating_add(length);
        debug_assert!(self.acknowledged <= self.credit.used(), "each byte is in one token, so it arrives once");
        if fin && self.end == End::Sent {
            self.end = End::Acknowledged;
        }
    }

    /// Whether everything, the end included, arrived.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.end == End::Acknowledged && self.acknowledged == self.credit.used()
    }

    /// Abandons what was not sent and what was lost. Returns how many bytes that were.
    pub(super) fn abandon(&mut self, code: u64) -> u64 {
        self.reset = Some(code);
        let lost: usize = self.lost.iter().flatten().map(|piece| piece.data.len()).sum();
        let dropped = self.queued().saturating_add(lost as u64);
        self.queue = Chunks::default();
        self.lost = None;
        dropped
    }

    /// Appends, joining small pieces, so that bytes written one by one do not cost a buffer each.
    fn enqueue(&mut self, data: Bytes) {
        if self.queue.is_empty() || data.is_empty() || self.queue.last_len() + data.len() > limits::COPIED_BELOW {
            self.queue.push_back(data);
            return;
        }
        self.queue.change_last(|last| {
            let mut joined = last.try_into_mut().unwrap_or_else(|last| BytesMut::from(&last[..]));
            joined.extend_from_slice(&data);
            joined.freeze()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(offset: u64, length: usize, fin: bool) -> Piece {
        Piece { offset, data: Bytes::from(vec![7; length]), fin }
    }

    #[test]
    fn bytes_beyond_the_credit_or_after_the_end_are_a_fault_of_ours() {
        let mut sending = Sending::new(10);
        assert!(sending.write(Bytes::from_static(&[0; 11]), false).is_err());
        sending.write(Bytes::from_static(&[0; 10]), true).unwrap();
        assert!(sending.write(Bytes::new(), false).is_err());
    }

    #[test]
    fn small_writes_are_joined() {
        let mut sending = Sending::new(u64::MAX >> 2);
        for byte in 0..100 {
            sending.write(Bytes::copy_from_slice(&[byte]), false).unwrap();
        }
        assert_eq!((sending.queue.pieces(), sending.queued()), (1, 100));
        let mut taken = Vec::new();
        sending.take_queued(60, |piece| taken.extend_from_slice(&piece));
        sending.take_queued(40, |piece| taken.extend_from_slice(&piece));
        assert_eq!(taken, (0..100).collect::<Vec<u8>>());
    }

    #[test]
    fn credit_is_announced_in_quarters_or_when_it_ran_out() {
        let mut sending = Sending::new(u64::MAX >> 2);
        assert_eq!(sending.granted(), limits::SEND_AHEAD);
        sending.write(Bytes::from(vec![0; limits::SEND_AHEAD as usize - 1]), false).unwrap();
        sending.credit.consume(limits::SEND_AHEAD / 4 - 1).unwrap();
        sending.take_queued(limits::SEND_AHEAD as usize / 4 - 1, |_| ());
        assert_eq!(sending.grant(true), None);
        sending.write(Bytes::from_static(&[0]), false).unwrap();
        assert_eq!(sending.grant(false), None, "there is still something to send");
        let until = limits::SEND_AHEAD + limits::SEND_AHEAD / 4 - 1;
        assert_eq!(sending.grant(true), Some(until));
        sending.credit.consume(limits::SEND_AHEAD / 4).unwrap();
        sending.take_queued(limits::SEND_AHEAD as usize / 4, |_| ());
        assert_eq!(sending.grant(false), Some(until + limits::SEND_AHEAD / 4));
    }

    #[test]
    fn who_has_nothing_left_to_send_gets_the_smallest_credit() {
        let mut sending = Sending::new(10);
        sending.write(Bytes::from_static(&[0; 10]), false).unwrap();
        sending.credit.raise(11);
        assert_eq!(sending.grant(false), None);
        sending.credit.consume(10).unwrap();
        sending.take_queued(10, |_| ());
        assert_eq!(sending.grant(false), Some(11));
    }

    #[test]
    fn lost_pieces_that_touch_are_one_run_and_come_apart_anywhere() {
        let mut sending = Sending::new(1000);
        for lost in [piece(0, 10, false), piece(10, 10, true), piece(40, 5, false)] {
            sending.on_lost(lost);
        }
        assert_eq!(sending.lost_run(1000), Some((0, 20, true)));
        assert_eq!(sending.lost_run(5), Some((0, 10, false)));
        let mut taken = Vec::new();
        let mut take = |sending: &mut Sending, length, fin| {
            sending.take_lost(length, fin, |piece| taken.push((piece.offset, piece.data.len(), piece.fin)));
        };
        take(&mut sending, 15, false);
        assert_eq!(sending.lost_run(1000), Some((15, 5, true)));
        take(&mut sending, 5, true);
        take(&mut sending, 5, false);
        assert_eq!(taken, [(0, 10, false), (10, 5, false), (15, 5, true), (40, 5, false)]);
        assert!(!sending.has_lost());
    }

    #[test]
    fn an_end_that_was_lost_alone_joins_the_bytes_before_it() {
        let mut sending = Sending::new(1000);
        sending.on_lost(piece(0, 10, false));
        sending.on_lost(piece(10, 0, true));
        assert_eq!(sending.lost_run(1000), Some((0, 10, true)));
        let mut taken = 0;
        sending.take_lost(10, true, |_| taken += 1);
        assert_eq!((taken, sending.has_lost()), (2, false));
    }
}
