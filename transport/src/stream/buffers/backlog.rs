//! [`Backlog`]: bytes the application wrote and that were not handed on yet.

use bytes::Bytes;

use crate::stream::chunks::Chunks;

/// What waits for credit, and how much of it there may be.
#[derive(Debug)]
pub(super) struct Backlog {
    chunks: Chunks,
    limit: usize,
    /// Whether the room was used up since the application was last told that there is some.
    starved: bool,
}

impl Backlog {
    pub(super) fn new(limit: usize) -> Self {
        // Without any room nothing could ever be written.
        Self { chunks: Chunks::default(), limit: limit.max(1), starved: false }
    }

    /// Bytes that may be written when `credit` bytes could be handed on at once.
    pub(super) fn room(&self, credit: u64) -> usize {
        let credit = usize::try_from(credit).unwrap_or(usize::MAX);
        self.limit.saturating_add(credit).saturating_sub(self.chunks.len())
    }

    /// Takes all of `data` if there is any room, or gives it back.
    pub(super) fn write(&mut self, data: Bytes, credit: u64) -> Result<(), Bytes> {
        if self.room(credit) == 0 {
            self.starved = true;
            return Err(data);
        }
        self.chunks.push_back(data);
        self.starved = self.room(credit) == 0;
        Ok(())
    }

    /// The next piece, of at most `credit` bytes. Never copies.
    pub(super) fn pop(&mut self, credit: u64) -> Option<Bytes> {
        self.chunks.pop(usize::try_from(credit).unwrap_or(usize::MAX))
    }

    /// Whether the application waits for room and there is enough again to be worth waking it: half of the limit.
    pub(super) fn take_relief(&mut self, credit: u64) -> bool {
        let relief = self.starved && self.room(credit) >= self.limit.div_ceil(2);
        self.starved &= !relief;
        relief
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.chunks = Chunks::default();
        self.starved = false;
    }

    pub(super) const fn len(&self) -> usize {
        self.chunks.len()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_write_may_exceed_the_room_and_the_next_comes_back() {
        let mut backlog = Backlog::new(10);
        assert_eq!(backlog.room(5), 15);
        assert_eq!(backlog.write(Bytes::from_static(&[1; 100]), 0), Ok(()));
        assert_eq!(backlog.write(Bytes::from_static(b"x"), 0), Err(Bytes::from_static(b"x")));
        assert_eq!(backlog.len(), 100);
    }

    #[test]
    fn relief_is_told_once_and_only_when_half_is_free() {
        let mut backlog = Backlog::new(10);
        backlog.write(Bytes::from_static(&[1; 9]), 0).unwrap();
        assert!(!backlog.take_relief(0), "nobody waits");
        backlog.write(Bytes::from_static(&[1; 1]), 0).unwrap();
        assert!(!backlog.take_relief(0));
        backlog.pop(4).unwrap();
        assert!(!backlog.take_relief(0));
        backlog.pop(1).unwrap();
        assert!(backlog.take_relief(0));
        assert!(!backlog.take_relief(0));
    }
}
