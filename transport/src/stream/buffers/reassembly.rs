//! [`Reassembly`]: out-of-order bytes in, in-order chunks out.
//!
//! The connection has acknowledged the packets already, so nothing may be dropped here, whatever the pattern; and a peer
//! must not make us hold much more than the window it was given. So bytes are kept in one of three ways:
//!
//! ```text
//!            offset == next
//! piece ──┬──────────────────▶ ready   in order, waiting to be read: the piece itself; small ones share a buffer
//!         │  ahead, large
//!         ├──────────────────▶ runs    contiguous pieces by reference, at most STREAM_GAPS runs
//!         │  ahead, small or one run too many
//!         └──────────────────▶ pages   copied into dense pages, a bit for each byte: no gap costs anything
//! ```
//!
//! The in-order case looks at nothing but `ready`. After a loss everything up to the retransmission is one run that grows
//! at its end, and filling the gap moves the run over without touching bytes. Only small pieces (below
//! [`limits::COPIED_BELOW`]) and floods of gaps are ever copied.
//!
//! What that holds: a referenced piece has at least `COPIED_BELOW` bytes, so its bookkeeping is a tenth of it at most; a
//! page costs about 640 bytes for 512 of the window; a shared buffer is never more than twice its content. In the
//! worst mixture, one byte that costs two pages between referenced pieces, it stays below twice the window.

use std::collections::VecDeque;
use std::mem;

use bytes::{Buf, Bytes};

use super::pages::Pages;
use crate::limits;
use crate::stream::chunks::Chunks;

/// The bytes of one receiving half that the application has not read.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    /// Everything before it has arrived without a gap.
    next: u64,
    ready: Chunks,
    /// Small in-order pieces after `ready`, copied together.
    tail: Vec<u8>,
    /// Ordered, apart from each other, all of them beyond `next`.
    runs: VecDeque<Run>,
    pages: Pages,
    run_bytes: u64,
    copied: u64,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kept {
    /// As it should.
    Well,
    /// It would have been one run too many, and was copied instead.
    BeyondGapLimit,
}

/// Contiguous bytes ahead of their turn, in pieces of at least [`limits::COPIED_BELOW`] bytes.
#[derive(Debug)]
struct Run {
    start: u64,
    end: u64,
    chunks: Chunks,
}

/// Small pieces in order are collected in buffers of this size.
const TAIL: usize = 4096;

impl Reassembly {
    /// Takes a piece that belongs at `offset`. `may_add_run`: whether one more gap is within the limits.
    pub(super) fn insert(&mut self, mut offset: u64, mut data: Bytes, may_add_run: bool) -> Kept {
        if offset < self.next {
            let known = usize::try_from(self.next - offset).unwrap_or(usize::MAX);
            if known >= data.len() {
                return Kept::Well;
            }
            data.advance(known);
            offset = self.next;
        }
        // A piece that ends beyond what an offset can be (RFC 9000 §4.5) cannot have passed the connection.
        if offset.checked_add(data.len() as u64).is_none() {
            return Kept::Well;
        }
        if offset > self.next {
            return self.insert_ahead(offset, data, may_add_run);
        }
        self.append(data);
        if !self.runs.is_empty() || !self.pages.is_empty() {
            self.catch_up();
        }
        Kept::Well
    }

    /// The next at most `maximum` bytes in order.
    pub(super) fn read(&mut self, maximum: usize) -> Option<Bytes> {
        if self.ready.is_empty() {
            self.seal_tail();
        }
        self.ready.pop(maximum)
    }

    /// Forgets everything that is held.
    pub(super) fn clear(&mut self) {
        *self = Self { next: self.next, copied: self.copied, ..Self::default() };
    }

    /// Everything before this offset has arrived.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Whether there is something to read.
    pub(super) const fn is_readable(&self) -> bool {
        !self.ready.is_empty() || !self.tail.is_empty()
    }

    /// How many runs are kept ahead of a gap.
    pub(super) fn gaps(&self) -> usize {
        self.runs.len()
    }

    /// Bytes held, in order or not.
    pub(super) fn buffered(&self) -> u64 {
        (self.ready.len() + self.tail.len() + self.pages.len()) as u64 + self.run_bytes
    }

    /// Bytes that were copied so far.
    pub(super) const fn copied(&self) -> u64 {
        self.copied
    }

    /// Adds a piece that begins at `next`.
    fn append(&mut self, data: Bytes) {
        if data.len() < limits::COPIED_BELOW {
            self.append_copy(&data);
        } else {
            self.next += data.len() as u64;
            self.seal_tail();
            self.ready.push_back(data);
        }
    }

    fn append_copy(&mut self, data: &[u8]) {
        let length = self.tail.len() + data.len();
        if length > TAIL {
            self.seal_tail();
        } else if length > self.tail.capacity() && !self.tail.is_empty() {
            // Doubled, so that many pieces are not copied many times, but never beyond what it may hold.
            self.tail.reserve_exact((length.max(self.tail.capacity() * 2)).min(TAIL) - self.tail.len());
        }
        self.tail.extend_from_slice(data);
        self.next += data.len() as u64;
        self.copied += data.len() as u64;
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            self.ready.push_back(Bytes::from(mem::take(&mut self.tail)));
        }
    }

    /// Moves to `ready` what has become in order.
    fn catch_up(&mut self) {
        loop {
            if let Some(run) = self.runs.pop_front_if(|run| run.start <= self.next) {
                self.append_run(run);
                continue;
            }
            // Borrowed apart from the rest while the page's bytes are copied.
            let mut pages = mem::take(&mut self.pages);
            let taken = pages.take(self.next, |bytes| self.append_copy(bytes));
            self.pages = pages;
            if taken == 0 {
                break;
            }
        }
        if !self.pages.is_empty() {
            self.pages.discard_below(self.next);
        }
    }

    fn append_run(&mut self, mut run: Run) {
        self.run_bytes -= run.end - run.start;
        let known = usize::try_from(self.next - run.start).unwrap_or(usize::MAX);
        run.chunks.advance(known);
        // The first may have become small; the others go over as they are.
        if let Some(first) = run.chunks.pop(usize::MAX) {
            self.append(first);
        }
        if !run.chunks.is_empty() {
            self.seal_tail();
            self.next = run.end;
            self.ready.append(run.chunks);
        }
    }

    /// Keeps those parts of a piece beyond `next` that are not in a run already.
    fn insert_ahead(&mut self, mut offset: u64, mut data: Bytes, may_add_run: bool) -> Kept {
        let mut kept = Kept::Well;
        while !data.is_empty() {
            let index = self.first_run_ending_after(offset);
            let length = data.len() as u64;
            let (part, is_new) = match self.runs.get(index) {
                Some(run) if run.start <= offset => (length.min(run.end - offset), false),
                Some(run) => (length.min(run.start - offset), true),
                None => (length, true),
            };
            // `part` is at most `data.len()`.
            let bytes = data.split_to(usize::try_from(part).unwrap_or(usize::MAX).min(data.len()));
            if is_new && self.place(index, offset, bytes, may_add_run) == Kept::BeyondGapLimit {
                kept = Kept::BeyondGapLimit;
            }
            offset += part;
        }
        kept
    }

    /// Keeps a piece that touches no run's bytes; `index` is that of the first run behind it.
    fn place(&mut self, index: usize, offset: u64, data: Bytes, may_add_run: bool) -> Kept {
        let end = offset + data.len() as u64;
        if data.len() < limits::COPIED_BELOW || self.pages.reach_into(offset, end) {
            self.copy_ahead(offset, &data);
            return Kept::Well;
        }
        let joins_left = index.checked_sub(1).filter(|left| self.runs.get(*left).is_some_and(|run| run.end == offset));
        let joins_right = self.runs.get(index).is_some_and(|run| run.start == end);
        if joins_left.is_none() && !joins_right && !may_add_run {
            self.copy_ahead(offset, &data);
            return Kept::BeyondGapLimit;
        }
        self.run_bytes += data.len() as u64;
        let right = if joins_right { self.runs.remove(index) } else { None };
        let mut run = Run { start: offset, end, chunks: Chunks::one(data) };
        if let Some(right) = right {
            run.end = right.end;
            run.chunks.append(right.chunks);
        }
        match joins_left.and_then(|left| self.runs.get_mut(left)) {
            Some(left) => {
                left.end = run.end;
                left.chunks.append(run.chunks);
            }
            None => self.runs.insert(index, run),
        }
        Kept::Well
    }

    fn copy_ahead(&mut self, offset: u64, data: &[u8]) {
        self.copied += data.len() as u64;
        self.pages.write(offset, data);
    }

    /// Usually the one past the last: pieces come in order after a gap.
    fn first_run_ending_after(&self, offset: u64) -> usize {
        if self.runs.back().is_none_or(|run| run.end <= offset) {
            return self.runs.len();
        }
        self.runs.partition_point(|run| run.end <= offset)
    }
}

#[cfg(test)]
mod tests;
