//! [`SendBuffer`]: a stream's bytes from when they are written until they are acknowledged.
//!
//! The bytes of a packet are found again by their offset, so a packet in flight remembers numbers only: it costs no
//! reference to the bytes, neither when it is sent nor when it is acknowledged.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::limits;
use crate::stream::chunks::KEPT_CAPACITY;

/// Pieces of a stream in order: first what was sent and is not acknowledged, then what was not sent.
#[derive(Debug, Default)]
pub(super) struct SendBuffer {
    /// The oldest piece; empty only when there is none. Most streams are a request or an answer in one piece.
    first: Bytes,
    /// The others, each with the offset at which it begins.
    rest: Option<VecDeque<(u64, Bytes)>>,
    /// Offset of the oldest piece, and of the end of the last one.
    range: Range<u64>,
    /// The next byte to be sent for the first time.
    sent: u64,
    /// The piece in which that is: 0 is the oldest.
    sending: usize,
    /// Up to where all bytes were acknowledged.
    acknowledged: u64,
    /// What was acknowledged beyond a gap, in order, not touching. Seldom anything.
    #[expect(clippy::box_collection, reason = "nothing for most streams, of which there are many")]
    apart: Option<Box<VecDeque<Range<u64>>>>,
}

impl SendBuffer {
    /// Appends, joining small pieces, so that bytes written one by one do not cost a buffer each.
    pub(super) fn push(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let begins = self.range.end;
        self.range.end = begins.saturating_add(data.len() as u64);
        if self.first.is_empty() {
            self.range.start = begins;
            self.first = data;
            return;
        }
        let (start, last) = match self.rest.as_mut().and_then(VecDeque::back_mut) {
            Some((start, last)) => (*start, last),
            None => (self.range.start, &mut self.first),
        };
        if start >= self.sent && last.len() + data.len() <= limits::COPIED_BELOW {
            let mut joined = mem::take(last).try_into_mut().unwrap_or_else(|last| BytesMut::from(&last[..]));
            joined.extend_from_slice(&data);
            *last = joined.freeze();
        } else {
            self.rest.get_or_insert_default().push_back((begins, data));
        }
    }

    /// Bytes that were never sent.
    pub(super) const fn unsent(&self) -> u64 {
        self.range.end.saturating_sub(self.sent)
    }

    /// Up to which offset bytes were written.
    pub(super) const fn written(&self) -> u64 {
        self.range.end
    }

    /// Reads the next `length` bytes that were never sent, piece by piece: now they were.
    pub(super) fn send(&mut self, length: usize, mut each: impl FnMut(&[u8])) {
        let until = self.sent.saturating_add(length as u64).min(self.range.end);
        while self.sent < until {
            let Some((start, piece)) = self.piece(self.sending) else { return };
            let Some((part, ends)) = part(start, piece, self.sent, until) else { return };
            each(part);
            self.sent = self.sent.saturating_add(part.len() as u64);
            self.sending += usize::from(ends);
        }
    }

    /// Reads `length` bytes at `offset` that were sent before, piece by piece.
    pub(super) fn send_again(&self, offset: u64, length: usize, mut each: impl FnMut(&[u8])) {
        let (mut at, until) = (offset, offset.saturating_add(length as u64));
        let later = self.rest.as_ref().map_or(0, |rest| rest.partition_point(|(start, _)| *start <= offset));
        for index in later.. {
            let Some((start, piece)) = self.piece(index) else { return };
            let Some((part, _)) = part(start, piece, at, until) else { return };
            each(part);
            at = at.saturating_add(part.len() as u64);
        }
    }

    /// Bytes arrived. Pieces that are needed no more are let go.
    pub(super) fn acknowledge(&mut self, offset: u64, length: u64) {
        let arrived = offset..offset.saturating_add(length);
        if length == 0 {
            return;
        }
        if offset != self.acknowledged {
            keep_apart(self.apart.get_or_insert_default(), arrived);
            return;
        }
        self.acknowledged = arrived.end;
        if let Some(apart) = &mut self.apart {
            while let Some(next) = apart.pop_front_if(|next| next.start == self.acknowledged) {
                self.acknowledged = next.end;
            }
            if apart.is_empty() {
                self.apart = None;
            }
        }
        self.let_go();
    }

    /// Up to where all bytes were acknowledged.
    pub(super) const fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Drops all bytes. What was sent before may still be acknowledged.
    pub(super) fn forget(&mut self) {
        (self.first, self.rest) = (Bytes::new(), None);
        (self.range, self.sending) = (self.sent..self.sent, 0);
    }

    fn let_go(&mut self) {
        while !self.first.is_empty() && self.range.start.saturating_add(self.first.len() as u64) <= self.acknowledged {
            let next = self.rest.as_mut().and_then(VecDeque::pop_front);
            (self.range.start, self.first) = next.unwrap_or((self.range.end, Bytes::new()));
            self.sending = self.sending.saturating_sub(1);
        }
        self.rest.take_if(|rest| rest.is_empty() && rest.capacity() > KEPT_CAPACITY);
    }

    fn piece(&self, index: usize) -> Option<(u64, &Bytes)> {
        match index.checked_sub(1) {
            None => Some((self.range.start, &self.first)),
            Some(index) => self.rest.as_ref()?.get(index).map(|(start, piece)| (*start, piece)),
        }
    }

    #[cfg(test)]
    fn pieces(&self) -> usize {
        usize::from(!self.first.is_empty()) + self.rest.as_ref().map_or(0, VecDeque::len)
    }
}

/// What a piece that begins at `start` has of the bytes from `at` to `until`, and whether it ends with them.
fn part(start: u64, piece: &Bytes, at: u64, until: u64) -> Option<(&[u8], bool)> {
    let within = |offset: u64| usize::try_from(offset.checked_sub(start)?).ok();
    let (from, to) = (within(at)?, within(until)?.min(piece.len()));
    let part = piece.get(from..to).filter(|part| !part.is_empty())?;
    Some((part, to == piece.len()))
}

/// Adds a range that touches none or borders on some. Acknowledgements nearly always come in order.
fn keep_apart(apart: &mut VecDeque<Range<u64>>, arrived: Range<u64>) {
    let index = apart.partition_point(|other| other.start < arrived.start);
    let joins_before = index.checked_sub(1).filter(|before| apart.get(*before).is_some_and(|b| b.end == arrived.start));
    let joins_after = apart.get(index).is_some_and(|after| after.start == arrived.end);
    match (joins_before, joins_after) {
        (None, false) => apart.insert(index, arrived),
        (None, true) => apart[index].start = arrived.start,
        (Some(before), false) => apart[before].end = arrived.end,
        (Some(before), true) => {
            apart[before].end = apart[index].end;
            apart.remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent(buffer: &mut SendBuffer, length: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        buffer.send(length, |part| taken.extend_from_slice(part));
        taken
    }

    fn sent_again(buffer: &SendBuffer, offset: u64, length: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        buffer.send_again(offset, length, |part| taken.extend_from_slice(part));
        taken
    }

    #[test]
    fn small_writes_are_joined_until_they_are_sent() {
        let mut buffer = SendBuffer::default();
        for byte in 0..100 {
            buffer.push(Bytes::copy_from_slice(&[byte]));
        }
        assert_eq!((buffer.pieces(), buffer.unsent()), (1, 100));
        assert_eq!(sent(&mut buffer, 60), (0..60).collect::<Vec<u8>>());
        buffer.push(Bytes::from_static(&[100]));
        assert_eq!((buffer.pieces(), buffer.unsent()), (2, 41));
        assert_eq!(sent(&mut buffer, 60), (60..=100).collect::<Vec<u8>>());
        assert_eq!(sent_again(&buffer, 98, 60), [98, 99, 100]);
    }

    #[test]
    fn a_piece_is_kept_until_all_of_it_is_acknowledged() {
        let mut buffer = SendBuffer::default();
        let piece = Bytes::from(vec![7; 3_000]);
        buffer.push(piece.clone());
        buffer.push(Bytes::from(vec![8; 3_000]));
        sent(&mut buffer, 6_000);
        buffer.acknowledge(0, 1_000);
        buffer.acknowledge(2_000, 2_000);
        assert!(!piece.is_unique());
        buffer.acknowledge(1_000, 1_000);
        assert!(piece.is_unique());
        assert_eq!((buffer.acknowledged(), buffer.pieces()), (4_000, 1));
        assert_eq!(sent_again(&buffer, 4_000, 2_000), [8; 2_000]);
        buffer.acknowledge(4_000, 2_000);
        assert_eq!((buffer.acknowledged(), buffer.pieces(), buffer.apart), (6_000, 0, None));
    }

    #[test]
    fn ranges_that_meet_become_one() {
        let mut apart = VecDeque::new();
        for start in [10, 30, 50, 40, 20, 0] {
            keep_apart(&mut apart, start..start + 10);
        }
        assert_eq!(apart.len(), 1);
        assert_eq!(apart[0], 0..60);
    }

    proptest! {
        /// Whatever is written, sent, lost and acknowledged, in pieces of any size: each offset keeps its byte.
        #[test]
        fn offsets_keep_their_bytes(
            writes in prop::collection::vec(1_usize..2_500, 1..12),
            steps in prop::collection::vec((1_usize..1_800, any::<prop::sample::Index>(), any::<bool>()), 1..60),
        ) {
            let mut buffer = SendBuffer::default();
            let byte = |offset: u64| (offset % 251) as u8;
            let bytes = |offset: u64, length: usize| (offset..offset + length as u64).map(byte).collect::<Vec<u8>>();
            let mut writes = writes.into_iter();
            let mut flying: Vec<(u64, usize)> = Vec::new();
            for (length, index, acknowledge) in steps {
                if let Some(write) = writes.next() {
                    buffer.push(Bytes::from(bytes(buffer.written(), write)));
                }
                let offset = buffer.written() - buffer.unsent();
                let taken = sent(&mut buffer, length);
                prop_assert_eq!(&taken, &bytes(offset, taken.len()));
                if !taken.is_empty() {
                    flying.push((offset, taken.len()));
                }
                if !flying.is_empty() {
                    let (offset, length) = flying[index.index(flying.len())];
                    prop_assert_eq!(sent_again(&buffer, offset, length), bytes(offset, length));
                    if acknowledge {
                        flying.swap_remove(index.index(flying.len()));
                        buffer.acknowledge(offset, length as u64);
                    }
                }
            }
            for (offset, length) in flying {
                buffer.acknowledge(offset, length as u64);
            }
            let until = buffer.written() - buffer.unsent();
            prop_assert_eq!(buffer.acknowledged(), until);
            prop_assert!(buffer.apart.is_none());
            prop_assert_eq!(buffer.pieces() == 0, buffer.unsent() == 0);
        }
    }
}
