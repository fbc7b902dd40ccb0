//! The streams that are open, found by id, and the queues of those that want to send.
//!
//! A stream is found by one fast hash of its id; the queues are links inside the streams, so that joining, leaving and
//! taking turns cost the same however many streams there are, and a stream that is gone leaves nothing behind. Streams
//! with a priority have queues of their own: see [`super::levels`].

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::num::NonZeroU32;

use codec::{Side, StreamId, Time};
use foldhash::fast::FixedState;

use super::levels::Levels;
use super::receiving::Receiving;
use super::sending::Sending;
use super::stats::{ByKind, Outcome};
use crate::stream::Priority;
use crate::stream::places::{KEPT, Places};
use crate::stream::priority::DEFAULT_LEVEL;

/// One stream: the halves that are not over.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: StreamId,
    /// When it came into being.
    pub(super) since: Time,
    /// `None`: we never send on it, or everything sent is acknowledged.
    pub(super) sending: Option<Sending>,
    /// `None`: the peer never sends on it, or the application is done with it.
    pub(super) receiving: Option<Receiving>,
    /// What is counted when it is gone.
    pub(super) outcome: Outcome,
    /// Whether everything the peer permits was sent.
    pub(super) blocked: bool,
    pub(super) priority: Priority,
    controls: u8,
    pub(super) links: [Links; LISTS],
}

impl Stream {
    pub(super) fn new(id: StreamId, since: Time, sending: Option<Sending>, receiving: Option<Receiving>) -> Self {
        Self {
            id,
            since,
            sending,
            receiving,
            outcome: Outcome::Finished,
            blocked: false,
            priority: Priority::default(),
            controls: 0,
            links: [Links::UNLISTED; LISTS],
        }
    }

    /// Remembers how the stream ends, unless something ended it before.
    pub(super) fn ends_by(&mut self, outcome: Outcome) {
        if self.outcome == Outcome::Finished {
            self.outcome = outcome;
        }
    }

    /// Whether this control frame waits to be written.
    pub(super) const fn wants(&self, control: Control) -> bool {
        self.controls & control.bit() != 0
    }
}

/// What is counted of a stream that is gone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epitaph {
    pub(super) id: StreamId,
    pub(super) since: Time,
    pub(super) outcome: Outcome,
}

/// A queue of streams. All but the first exist once for each urgency.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
pub(super) enum List {
    /// Streams with control frames.
    Control,
    /// Streams with bytes that were lost.
    Retransmit,
    /// Streams whose end (or whose opening) is to be sent without bytes: flow control does not hold it back.
    Bare,
    /// Streams with bytes that were never sent.
    Ready,
}

const LISTS: usize = 4;

/// A control frame that a stream can want to send. The order is that in which they are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Control {
    ResetStream,
    StopSending,
    MaxStreamData,
    StreamDataBlocked,
}

impl Control {
    pub(super) const ALL: [Self; 4] =
        [Self::ResetStream, Self::StopSending, Self::MaxStreamData, Self::StreamDataBlocked];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A stream's neighbours in one queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) listed: bool,
    previous: Option<Slot>,
    next: Option<Slot>,
}

impl Links {
    pub(super) const UNLISTED: Self = Self { listed: false, previous: None, next: None };
    /// In a queue that is none of links.
    pub(super) const ELSEWHERE: Self = Self { listed: true, previous: None, next: None };
}

/// The ends of one queue.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    pub(super) first: Option<Slot>,
    last: Option<Slot>,
}

/// Where in the table a stream is, counted from 1. Valid until the stream is removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Slot(NonZeroU32);

impl Slot {
    fn new(key: usize) -> Option<Self> {
        u32::try_from(key).ok()?.checked_add(1).and_then(NonZeroU32::new).map(Self)
    }

    const fn key(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// All open streams.
#[derive(Debug, Default)]
pub(super) struct Table {
    streams: Places<Stream>,
    slots: HashMap<StreamId, Slot, FixedState>,
    /// Those of streams without a priority, and that of control frames.
    lists: [Ends; LISTS],
    /// Bytes of new data that the first of them has sent in its turn.
    pub(super) turn: u64,
    /// The queues of the others.
    pub(super) levels: Levels,
    waiting: [usize; Control::ALL.len()],
    open: ByKind,
}

impl Table {
    /// Adds a stream of `side`'s connection. Returns its place, or `None` if no more can be numbered.
    pub(super) fn insert(&mut self, side: Side, stream: Stream) -> Option<Slot> {
        let id = stream.id;
        let slot = Slot::new(self.streams.next())?;
        self.streams.insert(stream);
        self.slots.insert(id, slot);
        self.open[initiator(side, id)][super::index(id.direction())] += 1;
        Some(slot)
    }

    /// Takes a stream out of the table and out of all queues. Says what is left to say of it.
    pub(super) fn remove(&mut self, side: Side, slot: Slot) -> Option<Epitaph> {
        let stream = self.get(slot)?;
        let Stream { id, since, outcome, controls, .. } = *stream;
        let is_listed = stream.links.iter().any(|links| links.listed);
        // Most are in no queue any more and want nothing.
        if is_listed {
            for list in [List::Control, List::Retransmit, List::Bare, List::Ready] {
                self.unlist(list, slot);
            }
        }
        if controls != 0 {
            for control in Control::ALL {
                self.forget(slot, control);
            }
        }
        self.streams.remove(slot.key());
        self.slots.remove(&id);
        self.open[initiator(side, id)][super::index(id.direction())] -= 1;
        // A map's room is up to twice what was asked for.
        if self.slots.is_empty() && self.slots.capacity() > 2 * KEPT {
            self.slots.shrink_to(KEPT);
        }
        Some(Epitaph { id, since, outcome })
    }

    /// Frees the room that the streams of now do not need.
    pub(super) fn shrink(&mut self) {
        self.streams.shrink();
        self.slots.shrink_to_fit();
        self.levels.shrink();
    }

    /// Where the stream is, if it is open.
    pub(super) fn find(&self, id: StreamId) -> Option<Slot> {
        self.slots.get(&id).copied()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Stream> {
        self.streams.get(slot.key())
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Stream> {
        self.streams.get_mut(slot.key())
    }

    /// The sending half, if it is not over.
    pub(super) fn sending(&mut self, slot: Slot) -> Option<&mut Sending> {
        self.get_mut(slot)?.sending.as_mut()
    }

    /// The receiving half, if it is not over.
    pub(super) fn receiving(&mut self, slot: Slot) -> Option<&mut Receiving> {
        self.get_mut(slot)?.receiving.as_mut()
    }

    /// The places of all streams.
    pub(super) fn slots(&self) -> Vec<Slot> {
        self.streams.iter().filter_map(|(key, _)| Slot::new(key)).collect()
    }

    /// How many streams are open.
    pub(super) const fn open(&self) -> ByKind {
        self.open
    }

    /// Marks a control frame as wanted; it stays one frame however often it is wanted.
    pub(super) fn want(&mut self, slot: Slot, control: Control) {
        let Some(stream) = self.get_mut(slot) else { return };
        if !stream.wants(control) {
            stream.controls |= control.bit();
            self.waiting[control as usize] += 1;
            self.enlist(List::Control, slot);
        }
    }

    /// Takes the mark away: the frame is written, or no longer needed.
    pub(super) fn forget(&mut self, slot: Slot, control: Control) {
        let Some(stream) = self.get_mut(slot) else { return };
        if stream.wants(control) {
            stream.controls &= !control.bit();
            let none_left = stream.controls == 0;
            self.waiting[control as usize] -= 1;
            if none_left {
                self.unlist(List::Control, slot);
            }
        }
    }

    /// How many frames of this kind are wanted.
    pub(super) const fn waiting(&self, control: Control) -> usize {
        self.waiting[control as usize]
    }

    /// How many control frames are wanted.
    pub(super) fn control_frames(&self) -> usize {
        self.waiting.iter().sum()
    }

    /// The first stream of a queue of those without a priority.
    pub(super) const fn first(&self, list: List) -> Option<Slot> {
        self.lists[list as usize].first
    }

    /// Whether not more than one stream is in a queue of those without a priority.
    #[inline]
    pub(super) fn is_alone(&self, list: List) -> bool {
        let Ends { first, last } = self.lists[list as usize];
        first == last
    }

    /// Puts a stream at the end of a queue of its urgency, unless it is in it.
    pub(super) fn enlist(&mut self, list: List, slot: Slot) {
        let Some(stream) = self.get_mut(slot) else { return };
        if stream.links[list as usize].listed {
            return;
        }
        if stream.priority.is_default() || list == List::Control {
            self.link(list, DEFAULT_LEVEL, slot);
        } else {
            self.enlist_by_priority(list, slot);
        }
    }

    /// Takes a stream out of a queue, if it is in it.
    pub(super) fn unlist(&mut self, list: List, slot: Slot) {
        let Some(stream) = self.get_mut(slot) else { return };
        if !stream.links[list as usize].listed {
            return;
        }
        if stream.priority.is_default() || list == List::Control {
            self.unlink(list, DEFAULT_LEVEL, slot);
        } else {
            self.unlist_by_priority(list, slot);
        }
    }

    /// Moves the first stream of a queue of those that take turns to its end: the next one's turn.
    pub(super) fn rotate(&mut self, level: usize) {
        let Some(Ends { first, last }) = self.ends(List::Ready, level).copied() else { return };
        // Alone, a stream's turn is followed by its own.
        if let Some(first) = first
            && Some(first) != last
        {
            self.unlink(List::Ready, level, first);
            self.link(List::Ready, level, first);
        }
    }

    /// Adds a stream that is in no such queue to the end of one.
    pub(super) fn link(&mut self, list: List, level: usize, slot: Slot) {
        let Some(last) = self.ends(list, level).map(|ends| ends.last) else { return };
        if let Some(links) = self.links(list, Some(slot)) {
            *links = Links { listed: true, previous: last, next: None };
        }
        if let Some(links) = self.links(list, last) {
            links.next = Some(slot);
        } else if let Some(ends) = self.ends(list, level) {
            ends.first = Some(slot);
        }
        if let Some(ends) = self.ends(list, level) {
            ends.last = Some(slot);
        }
    }

    /// Takes a stream out of the queue that it is in. Whoever was first in it has its turn no longer.
    pub(super) fn unlink(&mut self, list: List, level: usize, slot: Slot) {
        let Some(links) = self.links(list, Some(slot)) else { return };
        let Links { previous, next, .. } = std::mem::replace(links, Links::UNLISTED);
        if let Some(links) = self.links(list, previous) {
            links.next = next;
        } else {
            if let Some(ends) = self.ends(list, level) {
                ends.first = next;
            }
            if list == List::Ready {
                *self.turn(level) = 0;
            }
        }
        if let Some(links) = self.links(list, next) {
            links.previous = previous;
        } else if let Some(ends) = self.ends(list, level) {
            ends.last = previous;
        }
    }

    /// The ends of a queue of links.
    #[inline]
    fn ends(&mut self, list: List, level: usize) -> Option<&mut Ends> {
        if level == DEFAULT_LEVEL { Some(&mut self.lists[list as usize]) } else { self.levels.ends(list, level) }
    }

    /// Bytes of new data that the first of those that take turns has sent in its turn.
    pub(super) fn turn(&mut self, level: usize) -> &mut u64 {
        if level == DEFAULT_LEVEL { &mut self.turn } else { self.levels.turn(level).unwrap_or(&mut self.turn) }
    }

    fn links(&mut self, list: List, slot: Option<Slot>) -> Option<&mut Links> {
        Some(&mut self.get_mut(slot?)?.links[list as usize])
    }
}

/// Who opened the stream, as an index of [`ByKind`].
pub(super) fn initiator(side: Side, id: StreamId) -> usize {
    usize::from(id.initiator() != side)
}
