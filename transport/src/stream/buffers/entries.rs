//! How a stream is found, what it moved is counted, and it is queued for polling.

use codec::StreamId;

use super::event::BufferCounters;
use super::{StreamBuffers, Streams};
use crate::stream::places::KEPT;

/// A stream, and in which queues it is.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) buffers: StreamBuffers,
    pub(super) has_output_queued: bool,
    pub(super) has_event_queued: bool,
    pub(super) has_unflushed_queued: bool,
}

impl Streams {
    pub(super) fn add(&mut self, id: StreamId, credit: u64) {
        let buffers = StreamBuffers::new(self.side, id, credit, &self.config);
        let has_event_queued = buffers.has_event();
        if has_event_queued {
            self.events.push_back(id);
        }
        let entry = Entry { buffers, has_output_queued: false, has_event_queued, has_unflushed_queued: false };
        let key = self.entries.insert(entry);
        self.index.insert(id, key);
    }

    /// Forgets a stream: what it holds is dropped.
    pub(super) fn remove(&mut self, id: StreamId) {
        if let Some(key) = self.leave(id) {
            self.entries.remove(key);
        }
    }

    /// Takes a stream out of everything but its place, which is returned.
    pub(super) fn leave(&mut self, id: StreamId) -> Option<usize> {
        let key = self.index.remove(&id)?;
        // A map's room is up to twice what was asked for.
        if self.index.is_empty() && self.index.capacity() > 2 * KEPT {
            self.index.shrink_to(KEPT);
        }
        let entry = self.entries.get(key)?;
        if entry.has_unflushed_queued {
            self.unflushed.retain(|unflushed| *unflushed != id);
        }
        let left = entry.buffers.totals();
        self.totals.buffered_receive -= left.buffered_receive;
        self.totals.buffered_send -= left.buffered_send;
        self.totals.gaps -= left.gaps;
        Some(key)
    }

    pub(super) fn entry(&mut self, id: StreamId) -> Option<&mut Entry> {
        let key = self.key(id)?;
        self.entries.get_mut(key)
    }

    pub(super) fn get(&self, id: StreamId) -> Option<&StreamBuffers> {
        let is_it = |entry: &&Entry| entry.buffers.id() == id;
        let recent = self.entries.get(self.recent).filter(is_it);
        recent.or_else(|| self.entries.get(*self.index.get(&id)?)).map(|entry| &entry.buffers)
    }

    /// Where the stream is, if it is here.
    fn key(&mut self, id: StreamId) -> Option<usize> {
        if self.entries.get(self.recent).is_none_or(|entry| entry.buffers.id() != id) {
            self.recent = *self.index.get(&id)?;
        }
        Some(self.recent)
    }

    /// Does something with a stream that is here, and queues it for polling. What that moved is counted by the action.
    #[inline]
    pub(super) fn with<R>(
        &mut self,
        id: StreamId,
        action: impl FnOnce(&mut StreamBuffers, &mut BufferCounters) -> R,
    ) -> Option<R> {
        let key = self.key(id)?;
        let entry = self.entries.get_mut(key)?;
        let expected = cfg!(debug_assertions).then(|| (self.totals, entry.buffers.totals()));
        let result = action(&mut entry.buffers, &mut self.totals);
        if let Some((mut expected, before)) = expected {
            expected.move_by(&before, &entry.buffers.totals());
            debug_assert_eq!(self.totals, expected, "each action counts what it moved");
        }
        if !entry.has_output_queued && entry.buffers.has_output() {
            entry.has_output_queued = true;
            self.outputs.push_back(id);
        }
        if !entry.has_event_queued && entry.buffers.has_event() {
            entry.has_event_queued = true;
            self.events.push_back(id);
        }
        Some(result)
    }

    /// [`Self::with`], for an action that may move anything of the receiving half.
    #[inline]
    pub(super) fn count_received<R>(
        &mut self,
        id: StreamId,
        action: impl FnOnce(&mut StreamBuffers) -> R,
    ) -> Option<R> {
        self.with(id, |buffers, totals| {
            let before = buffers.receive_totals();
            let result = action(buffers);
            totals.move_by(&before, &buffers.receive_totals());
            result
        })
    }

    /// [`Self::with`], for an action that may move anything.
    pub(super) fn count<R>(&mut self, id: StreamId, action: impl FnOnce(&mut StreamBuffers) -> R) -> Option<R> {
        self.with(id, |buffers, totals| {
            let before = buffers.totals();
            let result = action(buffers);
            totals.move_by(&before, &buffers.totals());
            result
        })
    }

    pub(super) fn remember_to_flush(&mut self, id: StreamId) {
        if let Some(entry) = self.entry(id)
            && !entry.has_unflushed_queued
        {
            entry.has_unflushed_queued = true;
            self.unflushed.push(id);
        }
    }
}
