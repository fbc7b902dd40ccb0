//! The streams that are open, found by id, and the queues of those that want to send.
//!
//! A stream is found by one fast hash of its id; the queues are links inside the streams, so that joining, leaving and
//! taking turns cost the same however many streams there are, and a stream that is gone leaves nothing behind.

use std::collections::HashMap;

use codec::{Side, StreamId, Time};
use foldhash::fast::FixedState;

use super::receiving::Receiving;
use super::sending::Sending;
use super::stats::{ByKind, Outcome};
use crate::stream::places::{KEPT, Places};

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
    controls: u8,
    links: [Links; LISTS],
}

impl Stream {
    pub(super) const fn new(id: StreamId, since: Time, sending: Option<Sending>, receiving: Option<Receiving>) -> Self {
        Self {
            id,
            since,
            sending,
            receiving,
            outcome: Outcome::Finished,
            blocked: false,
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

/// A queue of streams.
#[derive(Clone, Copy, Debug)]
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
struct Links {
    listed: bool,
    previous: Option<Slot>,
    next: Option<Slot>,
}

impl Links {
    const UNLISTED: Self = Self { listed: false, previous: None, next: None };
}

/// The ends of one queue.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    first: Option<Slot>,
    last: Option<Slot>,
}

/// Where in the table a stream is. Valid until the stream is removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Slot(u32);

/// All open streams.
#[derive(Debug, Default)]
pub(super) struct Table {
    streams: Places<Stream>,
    slots: HashMap<StreamId, Slot, FixedState>,
    lists: [Ends; LISTS],
    waiting: [usize; Control::ALL.len()],
    open: ByKind,
}

impl Table {
    /// Adds a stream of `side`'s connection. Returns its place, or `None` if no more can be numbered.
    pub(super) fn insert(&mut self, side: Side, stream: Stream) -> Option<Slot> {
        let id = stream.id;
        let slot = Slot(u32::try_from(self.streams.next()).ok()?);
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
        self.streams.remove(slot.0 as usize);
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
    }

    /// Where the stream is, if it is open.
    pub(super) fn find(&self, id: StreamId) -> Option<Slot> {
        self.slots.get(&id).copied()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Stream> {
        self.streams.get(slot.0 as usize)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Stream> {
        self.streams.get_mut(slot.0 as usize)
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
        self.streams.iter().filter_map(|(key, _)| u32::try_from(key).ok().map(Slot)).collect()
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

    /// The stream whose turn it is.
    pub(super) const fn first(&self, list: List) -> Option<Slot> {
        self.lists[list as usize].first
    }

    /// Puts a stream at the end of a queue, unless it is in it.
    pub(super) fn enlist(&mut self, list: List, slot: Slot) {
        let last = self.lists[list as usize].last;
        let Some(links) = self.links(list, Some(slot)) else { return };
        if links.listed {
            return;
        }
        *links = Links { listed: true, previous: last, next: None };
        if let Some(links) = self.links(list, last) {
            links.next = Some(slot);
        } else {
            self.lists[list as usize].first = Some(slot);
        }
        self.lists[list as usize].last = Some(slot);
    }

    /// Takes a stream out of a queue, if it is in it.
    pub(super) fn unlist(&mut self, list: List, slot: Slot) {
        let Some(links) = self.links(list, Some(slot)) else { return };
        if !links.listed {
            return;
        }
        let Links { previous, next, .. } = std::mem::replace(links, Links::UNLISTED);
        match self.links(list, previous) {
            Some(links) => links.next = next,
            None => self.lists[list as usize].first = next,
        }
        match self.links(list, next) {
            Some(links) => links.previous = previous,
            None => self.lists[list as usize].last = previous,
        }
    }

    /// Moves the first stream of a queue to its end: the next one's turn.
    pub(super) fn rotate(&mut self, list: List) {
        let Ends { first, last } = self.lists[list as usize];
        // Alone, a stream's turn is followed by its own.
        if let Some(first) = first
            && Some(first) != last
        {
            self.unlist(list, first);
            self.enlist(list, first);
        }
    }

    fn links(&mut self, list: List, slot: Option<Slot>) -> Option<&mut Links> {
        Some(&mut self.get_mut(slot?)?.links[list as usize])
    }
}

/// Who opened the stream, as an index of [`ByKind`].
pub(super) fn initiator(side: Side, id: StreamId) -> usize {
    usize::from(id.initiator() != side)
}

#[cfg(test)]
mod tests {
    use codec::Direction;

    use super::*;

    fn stream(index: u64) -> Stream {
        Stream::new(StreamId::new(Side::Client, Direction::Bidirectional, index), Time::ZERO, None, None)
    }

    fn order(table: &mut Table) -> Vec<u64> {
        let mut indices = Vec::new();
        while let Some(slot) = table.first(List::Ready) {
            indices.push(table.get(slot).unwrap().id.index());
            table.unlist(List::Ready, slot);
        }
        indices
    }

    #[test]
    fn queues_keep_their_order_and_a_removed_stream_leaves_them() {
        let mut table = Table::default();
        let slots: Vec<_> = (0..5).map(|index| table.insert(Side::Client, stream(index)).unwrap()).collect();
        for slot in &slots {
            table.enlist(List::Ready, *slot);
            table.enlist(List::Ready, *slot);
            table.enlist(List::Bare, *slot);
        }
        table.rotate(List::Ready);
        for removed in [2, 4] {
            table.remove(Side::Client, slots[removed]).unwrap();
        }
        assert_eq!(order(&mut table), [1, 3, 0]);
        assert_eq!(table.open(), [[3, 0], [0, 0]]);
        assert!(table.find(stream(2).id).is_none());
        assert_eq!(table.find(stream(3).id), Some(slots[3]));
    }

    #[test]
    fn an_idle_table_has_no_room_once_it_is_told_to_shrink() {
        let mut table = Table::default();
        let slots: Vec<_> = (0..1000).map(|index| table.insert(Side::Client, stream(index)).unwrap()).collect();
        for slot in &slots[1..] {
            table.remove(Side::Client, *slot).unwrap();
        }
        table.shrink();
        assert_eq!((table.streams.capacity(), table.find(stream(0).id)), (1, Some(slots[0])));
        assert!(table.slots.capacity() < 4, "{}", table.slots.capacity());
        table.remove(Side::Client, slots[0]).unwrap();
        table.shrink();
        assert_eq!((table.streams.capacity(), table.slots.capacity()), (0, 0));
    }

    #[test]
    fn whoever_is_alone_in_a_queue_stays_there_when_turns_are_taken() {
        let mut table = Table::default();
        let slots: Vec<_> = (0..2).map(|index| table.insert(Side::Client, stream(index)).unwrap()).collect();
        table.rotate(List::Ready);
        table.enlist(List::Ready, slots[0]);
        table.rotate(List::Ready);
        table.enlist(List::Ready, slots[1]);
        table.rotate(List::Ready);
        assert_eq!(order(&mut table), [1, 0]);
    }

    #[test]
    fn a_control_frame_is_wanted_once_and_counted_until_forgotten() {
        let mut table = Table::default();
        let slot = table.insert(Side::Client, stream(0)).unwrap();
        table.want(slot, Control::ResetStream);
        table.want(slot, Control::ResetStream);
        table.want(slot, Control::StopSending);
        assert_eq!((table.control_frames(), table.waiting(Control::ResetStream)), (2, 1));
        table.forget(slot, Control::ResetStream);
        assert_eq!(table.first(List::Control), Some(slot));
        table.forget(slot, Control::StopSending);
        assert_eq!((table.control_frames(), table.first(List::Control)), (0, None));
        table.want(slot, Control::MaxStreamData);
        table.remove(Side::Client, slot).unwrap();
        assert_eq!((table.control_frames(), table.first(List::Control)), (0, None));
    }
}
