//! Sections that wait for the encoder stream (RFC 9204 §2.2.1).

use std::collections::VecDeque;

use bytes::Bytes;

use super::section::Prefix;

/// A section that waits.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) prefix: Prefix,
    /// What follows the prefix.
    pub(super) lines: Bytes,
    /// Its length with the prefix.
    pub(super) bytes: usize,
}

/// The sections of one stream, in order. The first waits for the encoder stream; those behind it may only wait for it.
#[derive(Debug)]
struct Stream {
    id: u64,
    sections: VecDeque<Held>,
}

/// All that wait, in the order in which their streams became blocked.
#[derive(Debug, Default)]
pub(super) struct Blocked {
    streams: Vec<Stream>,
    bytes: usize,
}

impl Blocked {
    /// Keeps a section, behind those that its stream has.
    pub(super) fn push(&mut self, id: u64, held: Held) {
        self.bytes = self.bytes.saturating_add(held.bytes);
        match self.streams.iter_mut().find(|stream| stream.id == id) {
            Some(stream) => stream.sections.push_back(held),
            None => self.streams.push(Stream { id, sections: VecDeque::from([held]) }),
        }
    }

    /// Takes the first section that waits for no more than `inserted` insertions.
    pub(super) fn pop(&mut self, inserted: u64) -> Option<(u64, Held)> {
        let is_ready = |held: &Held| held.prefix.required_insert_count <= inserted;
        let place = self.streams.iter().position(|stream| stream.sections.front().is_some_and(is_ready))?;
        let stream = self.streams.get_mut(place)?;
        let (id, held) = (stream.id, stream.sections.pop_front()?);
        if stream.sections.is_empty() {
            self.streams.remove(place);
        }
        self.bytes = self.bytes.saturating_sub(held.bytes);
        Some((id, held))
    }

    /// Forgets a stream.
    pub(super) fn remove(&mut self, id: u64) {
        self.bytes = self.bytes.saturating_sub(self.bytes_of(id));
        self.streams.retain(|stream| stream.id != id);
    }

    /// How many sections of a stream wait.
    pub(super) fn sections_of(&self, id: u64) -> usize {
        self.sections(id).count()
    }

    /// How many bytes of a stream wait.
    pub(super) fn bytes_of(&self, id: u64) -> usize {
        self.sections(id).map(|held| held.bytes).sum()
    }

    fn sections(&self, id: u64) -> impl Iterator<Item = &Held> {
        self.streams.iter().filter(move |stream| stream.id == id).flat_map(|stream| &stream.sections)
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) const fn streams(&self) -> usize {
        self.streams.len()
    }
}
