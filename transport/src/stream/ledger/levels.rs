//! The queues of streams with a priority: a set of them for each urgency.
//!
//! A connection on which nobody sets priorities has none of this, and neither has one that rests. Which stream is next is
//! known at once: a bit for each urgency says whether anything waits, and each queue knows its first. Streams that are
//! sent one after the other stand in the order of their ids; one that joins at either end, as they nearly always do, moves
//! no other.

use std::collections::VecDeque;

use codec::StreamId;

use super::table::{Ends, Links, List, Slot, Table};
use crate::stream::Priority;
use crate::stream::priority::{DEFAULT_LEVEL, LEVELS};

/// Bytes of new data after which the next stream has its turn: what the smallest datagram carries.
const TURN: u64 = 1_000;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// Which levels have streams in a queue here: a bit each, sixteen for each [`List`] that there is for urgencies.
    busy: u64,
    /// The levels at which those that take turns come before those that are sent one after the other.
    shared_next: u16,
    levels: Option<Box<[Level; LEVELS]>>,
}

/// The queues of one urgency. Those of links are in [`Table`] for the urgency of streams without a priority.
#[derive(Debug, Default)]
struct Level {
    lists: [Ends; QUEUES],
    /// Bytes of new data that the first of those that take turns has sent in its turn.
    turn: u64,
    /// Streams with new data that are sent one after the other.
    ordered: VecDeque<(StreamId, Slot)>,
    /// Bytes of new data that they have sent since it was their turn.
    ordered_turn: u64,
}

/// Every [`List`] but that of control frames.
const QUEUES: usize = 3;

impl Levels {
    /// Whether nothing waits here: all that waits has no priority. That is what most connections pay for priorities.
    #[inline]
    pub(super) const fn is_quiet(&self) -> bool {
        self.busy == 0
    }

    /// The levels at which streams are to be looked for, a bit each: those that are busy, and that of streams without a
    /// priority.
    #[inline]
    pub(super) const fn mask(&self) -> u16 {
        (self.busy | self.busy >> 16 | self.busy >> 32) as u16 | bit(DEFAULT_LEVEL)
    }

    /// Whether any stream is in such a queue here.
    pub(super) const fn has(&self, list: List) -> bool {
        match queue(list) {
            Some(queue) => (self.busy >> (16 * queue)) as u16 != 0,
            None => false,
        }
    }

    /// Whether there are queues here at all.
    #[cfg(test)]
    pub(super) const fn has_room(&self) -> bool {
        self.levels.is_some()
    }

    /// Frees what an idle connection does not need.
    pub(super) fn shrink(&mut self) {
        if self.is_quiet() {
            *self = Self::default();
        }
    }

    pub(super) fn ends(&mut self, list: List, level: usize) -> Option<&mut Ends> {
        self.levels.as_mut()?.get_mut(level)?.lists.get_mut(queue(list)?)
    }

    pub(super) fn turn(&mut self, level: usize) -> Option<&mut u64> {
        Some(&mut self.levels.as_mut()?.get_mut(level)?.turn)
    }

    fn level(&self, level: usize) -> Option<&Level> {
        self.levels.as_ref()?.get(level)
    }

    fn level_mut(&mut self, level: usize) -> Option<&mut Level> {
        self.levels.get_or_insert_default().get_mut(level)
    }

    /// Looks anew whether a queue is empty.
    fn judge(&mut self, list: List, level: usize) {
        let Some(queue) = queue(list) else { return };
        let is_busy = self.level(level).is_some_and(|level| {
            level.lists.get(queue).is_some_and(|ends| ends.first.is_some())
                || list == List::Ready && !level.ordered.is_empty()
        });
        let bit = (bit(level) as u64) << (16 * queue);
        self.busy = if is_busy { self.busy | bit } else { self.busy & !bit };
    }
}

impl Table {
    /// Whether any stream is in such a queue, whatever its urgency.
    pub(super) const fn has(&self, list: List) -> bool {
        self.first(list).is_some() || self.levels.has(list)
    }

    /// The first stream of each such queue, the most urgent first.
    pub(super) fn firsts(&self, list: List) -> impl Iterator<Item = Slot> {
        each(self.levels.mask()).filter_map(move |level| match list {
            List::Ready => self.first_ready(level),
            _ => self.first_of(list, level),
        })
    }

    /// The first stream of a queue of links.
    #[inline]
    pub(super) fn first_of(&self, list: List, level: usize) -> Option<Slot> {
        if level == DEFAULT_LEVEL { self.first(list) } else { self.first_by_priority(list, level) }
    }

    #[inline(never)]
    fn first_by_priority(&self, list: List, level: usize) -> Option<Slot> {
        self.levels.level(level)?.lists.get(queue(list)?)?.first
    }

    /// The stream of this urgency whose new data is sent next.
    #[inline]
    pub(super) fn first_ready(&self, level: usize) -> Option<Slot> {
        if self.levels.is_quiet() { self.first_of(List::Ready, level) } else { self.first_ready_of_both(level) }
    }

    #[inline(never)]
    fn first_ready_of_both(&self, level: usize) -> Option<Slot> {
        let shared = self.first_of(List::Ready, level);
        let ordered = self.levels.level(level).and_then(|level| level.ordered.front()).map(|(_, slot)| *slot);
        //= https://www.rfc-editor.org/rfc/rfc9218#section-10
        //# It is RECOMMENDED that servers avoid such starvation where possible.
        match (ordered, shared) {
            (Some(_), Some(shared)) if self.levels.shared_next & bit(level) != 0 => Some(shared),
            (ordered, shared) => ordered.or(shared),
        }
    }

    /// The stream whose turn it is has sent `length` bytes: the next one's turn comes when it has sent a packet's worth, or
    /// all that it had.
    #[inline]
    pub(super) fn take_turn(&mut self, slot: Slot, priority: Priority, length: u64, is_empty: bool) {
        if !priority.is_default() {
            self.take_turn_by_priority(slot, priority, length, is_empty);
            return;
        }
        self.turn = self.turn.saturating_add(length);
        if is_empty {
            self.unlist(List::Ready, slot);
        } else if self.turn >= TURN {
            self.turn = 0;
            if !self.is_alone(List::Ready) {
                self.rotate(DEFAULT_LEVEL);
            }
        } else {
            return;
        }
        self.levels.shared_next &= !bit(DEFAULT_LEVEL);
    }

    #[inline(never)]
    fn take_turn_by_priority(&mut self, slot: Slot, priority: Priority, length: u64, is_empty: bool) {
        let level = priority.level();
        if !priority.is_incremental() {
            self.take_ordered_turn(slot, level, length, is_empty);
            return;
        }
        let turn = self.turn(level);
        *turn = turn.saturating_add(length);
        let is_over = *turn >= TURN;
        if is_empty {
            self.unlist(List::Ready, slot);
        } else if is_over {
            *turn = 0;
            self.rotate(level);
        }
        if is_empty || is_over {
            self.levels.shared_next &= !bit(level);
        }
    }

    fn take_ordered_turn(&mut self, slot: Slot, level: usize, length: u64, is_empty: bool) {
        if let Some(queues) = self.levels.level_mut(level) {
            queues.ordered_turn = queues.ordered_turn.saturating_add(length);
            if queues.ordered_turn >= TURN {
                queues.ordered_turn = 0;
                self.levels.shared_next |= bit(level);
            }
        }
        if is_empty {
            self.unlist(List::Ready, slot);
        }
    }

    /// From now on the stream stands where this priority puts it, in all queues that it is in.
    pub(super) fn set_priority(&mut self, slot: Slot, priority: Priority) {
        let Some(stream) = self.get(slot) else { return };
        if stream.priority == priority {
            return;
        }
        let listed = URGENCY_LISTS.map(|list| stream.links[list as usize].listed);
        for list in URGENCY_LISTS {
            self.unlist(list, slot);
        }
        if let Some(stream) = self.get_mut(slot) {
            stream.priority = priority;
        }
        for (list, listed) in URGENCY_LISTS.into_iter().zip(listed) {
            if listed {
                self.enlist(list, slot);
            }
        }
    }

    /// As [`Self::enlist`], for a stream with a priority that is not in that queue.
    #[inline(never)]
    pub(super) fn enlist_by_priority(&mut self, list: List, slot: Slot) {
        let Some(stream) = self.get_mut(slot) else { return };
        let (id, priority) = (stream.id, stream.priority);
        let level = priority.level();
        if list == List::Ready && !priority.is_incremental() {
            stream.links[list as usize] = Links::ELSEWHERE;
            if let Some(queues) = self.levels.level_mut(level) {
                queues.insert(id, slot);
            }
        } else {
            // There is a place for it.
            let _made = self.levels.level_mut(level);
            self.link(list, level, slot);
        }
        self.levels.judge(list, level);
    }

    /// As [`Self::unlist`], for a stream with a priority that is in that queue.
    #[inline(never)]
    pub(super) fn unlist_by_priority(&mut self, list: List, slot: Slot) {
        let Some(stream) = self.get_mut(slot) else { return };
        let (id, priority) = (stream.id, stream.priority);
        let level = priority.level();
        if list == List::Ready && !priority.is_incremental() {
            stream.links[list as usize] = Links::UNLISTED;
            if let Some(queues) = self.levels.level_mut(level) {
                queues.remove(id);
            }
        } else {
            self.unlink(list, level, slot);
        }
        self.levels.judge(list, level);
    }
}

impl Level {
    //= https://www.rfc-editor.org/rfc/rfc9218#section-10
    //# Non-incremental responses of the same urgency SHOULD be served by prioritizing
    //# bandwidth allocation in ascending order of the stream ID, which corresponds to
    //# the order in which clients make requests.
    fn insert(&mut self, id: StreamId, slot: Slot) {
        let position = self.ordered.partition_point(|(other, _)| *other < id);
        self.ordered.insert(position, (id, slot));
    }

    fn remove(&mut self, id: StreamId) {
        // Whoever has sent all that it had was the first.
        if self.ordered.front().is_some_and(|(first, _)| *first == id) {
            self.ordered.pop_front();
        } else if let Ok(position) = self.ordered.binary_search_by_key(&id, |(other, _)| *other) {
            self.ordered.remove(position);
        }
    }
}

/// The queues that there are for each urgency.
const URGENCY_LISTS: [List; QUEUES] = [List::Retransmit, List::Bare, List::Ready];

/// Which of the queues of an urgency it is.
const fn queue(list: List) -> Option<usize> {
    match list {
        List::Control => None,
        List::Retransmit => Some(0),
        List::Bare => Some(1),
        List::Ready => Some(2),
    }
}

const fn bit(level: usize) -> u16 {
    1 << level
}

/// The levels whose bits are set, the first of them first.
fn each(mut mask: u16) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let level = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (level < LEVELS).then_some(level)
    })
}
