//! [`Chunks`]: consecutive bytes in pieces, taken from the front.

use std::collections::VecDeque;
use std::mem;

use bytes::{Buf, Bytes};

/// A queue of `Bytes`. One piece costs no allocation of its own: most streams are a request or an answer that fits a
/// packet.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// The first piece; empty only when there is none.
    front: Bytes,
    /// None until there are two: a stream that ends then has no queue to drop.
    rest: Option<VecDeque<Bytes>>,
    bytes: usize,
}

impl Chunks {
    /// A queue of one piece.
    pub(super) fn one(chunk: Bytes) -> Self {
        Self { bytes: chunk.len(), front: chunk, rest: None }
    }

    /// Adds a piece at the end.
    #[inline]
    pub(super) fn push_back(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.bytes += chunk.len();
        if self.front.is_empty() {
            self.front = chunk;
        } else {
            self.rest.get_or_insert_default().push_back(chunk);
        }
    }

    /// Takes at most `maximum` bytes of the first piece: all of it if it is not longer. Never copies.
    #[inline]
    pub(super) fn pop(&mut self, maximum: usize) -> Option<Bytes> {
        if self.front.is_empty() || maximum == 0 {
            return None;
        }
        if self.front.len() <= maximum {
            return Some(self.pop_first());
        }
        self.bytes -= maximum;
        Some(self.front.split_to(maximum))
    }

    /// Takes the first piece whole.
    fn pop_first(&mut self) -> Bytes {
        let next = self.next();
        let taken = mem::replace(&mut self.front, next);
        self.bytes -= taken.len();
        taken
    }

    /// Drops the first `count` bytes.
    pub(super) fn advance(&mut self, mut count: usize) {
        while count > 0 && !self.front.is_empty() {
            if count < self.front.len() {
                self.front.advance(count);
                self.bytes -= count;
                return;
            }
            count -= self.front.len();
            self.bytes -= self.front.len();
            self.front = self.next();
        }
    }

    /// Moves everything of `later` behind what is here. Costs the number of pieces of the shorter queue.
    pub(super) fn append(&mut self, mut later: Self) {
        if later.is_empty() {
            return;
        }
        self.bytes += later.bytes;
        if self.front.is_empty() {
            self.front = later.front;
            self.rest = later.rest;
            return;
        }
        let rest = self.rest.get_or_insert_default();
        let mut others = later.rest.take().unwrap_or_default();
        if rest.len() >= others.len() {
            rest.push_back(later.front);
            rest.append(&mut others);
        } else {
            others.push_front(later.front);
            for chunk in rest.drain(..).rev() {
                others.push_front(chunk);
            }
            *rest = others;
        }
    }

    /// How many bytes in all.
    pub(super) const fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing.
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The room of the queue itself, in pieces: what a test watches to see that nothing is allocated.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.rest.as_ref().map_or(0, VecDeque::capacity)
    }

    /// The pieces.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        [&self.front].into_iter().chain(self.rest.iter().flatten())
    }

    /// The piece after the first one. A queue that once held a whole window does not keep the room for it.
    #[inline]
    fn next(&mut self) -> Bytes {
        let Some(rest) = &mut self.rest else { return Bytes::new() };
        let next = rest.pop_front().unwrap_or_default();
        if rest.is_empty() && rest.capacity() > KEPT_CAPACITY {
            self.rest = None;
        }
        next
    }
}

/// Pieces for which an empty queue keeps the room: one batch of datagrams.
pub(super) const KEPT_CAPACITY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(chunks: &mut Chunks) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(chunk) = chunks.pop(usize::MAX) {
            all.extend_from_slice(&chunk);
        }
        assert!(chunks.is_empty());
        all
    }

    #[test]
    fn pieces_come_out_in_their_order_whichever_queue_was_longer() {
        for (left, right) in [(0, 0), (0, 3), (3, 0), (1, 1), (1, 5), (5, 1), (4, 4)] {
            let mut chunks = Chunks::default();
            let mut later = Chunks::default();
            for number in 0..left {
                chunks.push_back(Bytes::copy_from_slice(&[number]));
            }
            for number in left..left + right {
                later.push_back(Bytes::copy_from_slice(&[number]));
            }
            chunks.append(later);
            assert_eq!(chunks.len(), usize::from(left + right));
            assert_eq!(bytes(&mut chunks), (0..left + right).collect::<Vec<u8>>());
        }
    }

    #[test]
    fn pop_splits_and_advance_skips_over_pieces() {
        let mut chunks = Chunks::one(Bytes::from_static(b"abc"));
        chunks.push_back(Bytes::from_static(b"def"));
        chunks.push_back(Bytes::new());
        assert_eq!(chunks.pop(0), None);
        assert_eq!(chunks.pop(1).unwrap(), "a");
        chunks.advance(3);
        assert_eq!(chunks.len(), 2);
        assert_eq!(bytes(&mut chunks), b"ef");
        chunks.advance(1);
        assert_eq!(chunks.pop(1), None);
    }

    #[test]
    fn a_single_piece_costs_no_allocation_and_a_burst_is_not_kept() {
        let mut chunks = Chunks::one(Bytes::from_static(b"abc"));
        assert_eq!(chunks.capacity(), 0);
        for _ in 0..1000 {
            chunks.push_back(Bytes::from_static(b"abc"));
        }
        while chunks.pop(usize::MAX).is_some() {}
        assert!(chunks.capacity() <= KEPT_CAPACITY, "{}", chunks.capacity());
    }
}
