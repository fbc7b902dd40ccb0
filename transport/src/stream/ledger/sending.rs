//! The sending half of one stream (RFC 9000 §3.1): what waits, what was lost, how far it is acknowledged.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::error::TransportError;
use crate::flow::Credit;
use crate::limits;

use super::send_buffer::SendBuffer;

/// A stream's bytes until they are acknowledged, and which of them are to be sent again.
#[derive(Debug)]
pub(super) struct Sending {
    /// The peer's limit; what is used of it is what was sent.
    pub(super) credit: Credit,
    pub(super) end: End,
    /// The code of our RESET_STREAM: nothing else is sent any more.
    pub(super) reset: Option<u64>,
    buffer: SendBuffer,
    /// None until something was: most streams have nothing to drop here.
    lost: Option<VecDeque<Piece>>,
    granted: u64,
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
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) fin: bool,
}

impl Sending {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            credit: Credit::new(limit),
            end: End::Open,
            reset: None,
            buffer: SendBuffer::default(),
            lost: None,
            granted: limit.min(limits::SEND_AHEAD),
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
        self.buffer.push(data);
        if fin {
            self.end = End::Queued;
        }
        Ok(())
    }

    /// Up to which offset bytes were handed over.
    pub(super) const fn written(&self) -> u64 {
        self.buffer.written()
    }

    /// Up to which offset bytes may be handed over, as the keeper of the bytes was told.
    pub(super) const fn granted(&self) -> u64 {
        self.granted
    }

    /// Bytes that were never sent.
    pub(super) const fn queued(&self) -> u64 {
        self.buffer.unsent()
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
        let waits = self.written() == self.granted && (raised || self.queued() == 0);
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

    /// Reads the next `length` queued bytes, piece by piece. The caller has used credit for them.
    pub(super) fn send(&mut self, length: usize, each: impl FnMut(&[u8])) {
        self.buffer.send(length, each);
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
            length += piece.length as usize;
            fin = piece.fin;
        }
        Some((first.offset, length, fin))
    }

    /// Reads the first `length` bytes of the run, piece by piece, for they are to be lost no more; with `fin`, which only
    /// the whole run has, its end too.
    pub(super) fn send_again(&mut self, length: usize, fin: bool, each: impl FnMut(&[u8])) {
        let Some(lost) = self.lost.as_mut() else { return };
        let Some(first) = lost.front() else { return };
        self.buffer.send_again(first.offset, length, each);
        let mut left = length;
        while let Some(front) = lost.front_mut() {
            if front.length as usize > left {
                front.offset = front.offset.saturating_add(left as u64);
                front.length -= left as u32;
                return;
            }
            left -= front.length as usize;
            let is_last = left == 0 && front.fin == fin;
            lost.pop_front();
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
    pub(super) fn on_acknowledged(&mut self, offset: u64, length: u64, fin: bool) {
        self.buffer.acknowledge(offset, length);
        debug_assert!(
            self.buffer.acknowledged() <= self.credit.used(),
            "each byte is in one token, so it arrives once"
        );
        if fin && self.end == End::Sent {
            self.end = End::Acknowledged;
        }
    }

    /// Whether everything, the end included, arrived.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.end == End::Acknowledged && self.buffer.acknowledged() == self.credit.used()
    }

    /// Abandons what was not sent and what was lost. Returns how many bytes that were.
    pub(super) fn abandon(&mut self, code: u64) -> u64 {
        self.reset = Some(code);
        let lost: u64 = self.lost.iter().flatten().map(|piece| u64::from(piece.length)).sum();
        let dropped = self.queued().saturating_add(lost);
        self.buffer.forget();
        self.lost = None;
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(offset: u64, length: u32, fin: bool) -> Piece {
        Piece { offset, length, fin }
    }

    #[test]
    fn bytes_beyond_the_credit_or_after_the_end_are_a_fault_of_ours() {
        let mut sending = Sending::new(10);
        assert!(sending.write(Bytes::from_static(&[0; 11]), false).is_err());
        sending.write(Bytes::from_static(&[0; 10]), true).unwrap();
        assert!(sending.write(Bytes::new(), false).is_err());
    }

    #[test]
    fn credit_is_announced_in_quarters_or_when_it_ran_out() {
        let mut sending = Sending::new(u64::MAX >> 2);
        assert_eq!(sending.granted(), limits::SEND_AHEAD);
        sending.write(Bytes::from(vec![0; limits::SEND_AHEAD as usize - 1]), false).unwrap();
        sending.credit.consume(limits::SEND_AHEAD / 4 - 1).unwrap();
        sending.send(limits::SEND_AHEAD as usize / 4 - 1, |_| ());
        assert_eq!(sending.grant(true), None);
        sending.write(Bytes::from_static(&[0]), false).unwrap();
        assert_eq!(sending.grant(false), None, "there is still something to send");
        let until = limits::SEND_AHEAD + limits::SEND_AHEAD / 4 - 1;
        assert_eq!(sending.grant(true), Some(until));
        sending.credit.consume(limits::SEND_AHEAD / 4).unwrap();
        sending.send(limits::SEND_AHEAD as usize / 4, |_| ());
        assert_eq!(sending.grant(false), Some(until + limits::SEND_AHEAD / 4));
    }

    #[test]
    fn who_has_nothing_left_to_send_gets_the_smallest_credit() {
        let mut sending = Sending::new(10);
        sending.write(Bytes::from_static(&[0; 10]), false).unwrap();
        sending.credit.raise(11);
        assert_eq!(sending.grant(false), None);
        sending.credit.consume(10).unwrap();
        sending.send(10, |_| ());
        assert_eq!(sending.grant(false), Some(11));
    }

    #[test]
    fn lost_pieces_that_touch_are_one_run_and_come_apart_anywhere() {
        let mut sending = Sending::new(1000);
        let bytes: Vec<u8> = (0..45).collect();
        sending.write(Bytes::from(bytes.clone()), true).unwrap();
        sending.send(45, |_| ());
        for lost in [piece(0, 10, false), piece(10, 10, false), piece(40, 5, true)] {
            sending.on_lost(lost);
        }
        assert_eq!(sending.lost_run(1000), Some((0, 20, false)));
        assert_eq!(sending.lost_run(5), Some((0, 10, false)));
        let mut taken = Vec::new();
        let mut take = |sending: &mut Sending, length, fin| {
            sending.send_again(length, fin, |part| taken.extend_from_slice(part));
        };
        take(&mut sending, 15, false);
        assert_eq!(sending.lost_run(1000), Some((15, 5, false)));
        take(&mut sending, 5, false);
        assert_eq!(sending.lost_run(1000), Some((40, 5, true)));
        take(&mut sending, 5, true);
        assert_eq!(taken, [&bytes[..20], &bytes[40..]].concat());
        assert!(!sending.has_lost());
    }

    #[test]
    fn an_end_that_was_lost_alone_joins_the_bytes_before_it() {
        let mut sending = Sending::new(1000);
        sending.write(Bytes::from_static(&[7; 10]), true).unwrap();
        sending.send(10, |_| ());
        sending.on_lost(piece(0, 10, false));
        sending.on_lost(piece(10, 0, true));
        assert_eq!(sending.lost_run(1000), Some((0, 10, true)));
        let mut taken = 0;
        sending.send_again(10, true, |part| taken += part.len());
        assert_eq!((taken, sending.has_lost()), (10, false));
    }
}
