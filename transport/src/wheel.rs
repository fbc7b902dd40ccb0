//! [`Wheel`]: a hierarchical timing wheel: key and [`Time`] in, keys due out. Used by the timer and the pacer actors.
//!
//! Eight levels of 64 slots; a slot of the lowest level is 2^16 ns (about 66 µs) wide, a slot of each further level as wide as
//! the whole level below it, so that every [`Time`] has its slot. An entry sits on the level of the highest digit (base 64)
//! in which its time differs from the wheel's own; as time reaches its slot it moves down, at most seven times. Entries are
//! links in an array indexed by key: setting, moving and cancelling are O(1) and allocate only when a key larger than any
//! before is used. While nothing is due, ten thousand entries cost nothing.
//!
//! The slots decide only where an entry is looked for: no entry is due before its exact time, and it is found by the first
//! [`expire`](Wheel::expire) at or after it.

#[cfg(test)]
mod tests;

use codec::Time;

/// Nanoseconds in a tick, as a power of two.
const TICK_BITS: u32 = 16;
/// Slots of a level, as a power of two.
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// 16 bits of tick and eight digits of six bits: all of a [`Time`].
const LEVELS: usize = 8;
/// No entry: the end of a list.
const NONE: u32 = u32::MAX;
/// When the earliest entry of a slot leaves, the new earliest is looked for among no more than so many.
const LOOKED_AT: usize = 16;

/// A key of a slab: small numbers, used again.
///
/// The wheel keeps one array element for every index up to the largest it has seen.
pub trait Key: Copy {
    /// The key's place in its slab; below `u32::MAX`.
    fn index(self) -> usize;
}

impl Key for usize {
    fn index(self) -> usize {
        self
    }
}

impl Key for u32 {
    fn index(self) -> usize {
        // A target whose addresses are shorter than 32 bits cannot hold the slab either.
        usize::try_from(self).unwrap_or(usize::MAX)
    }
}

/// Deadlines by key: at most one a key.
#[derive(Debug)]
pub struct Wheel<K> {
    /// The tick up to which everything has been looked at.
    elapsed: u64,
    levels: Box<[Level; LEVELS]>,
    entries: Vec<Option<Entry<K>>>,
    armed: usize,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    /// One bit for each slot that has entries.
    occupied: u64,
    slots: [Slot; SLOTS],
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    first: u32,
    /// No entry of the slot is earlier.
    earliest: Time,
}

#[derive(Clone, Copy, Debug)]
struct Entry<K> {
    key: K,
    at: Time,
    previous: u32,
    next: u32,
    level: u8,
    slot: u8,
}

impl<K: Key> Wheel<K> {
    /// An empty wheel whose time is `now`.
    pub fn new(now: Time) -> Self {
        let slot = Slot { first: NONE, earliest: Time::MAX };
        let level = Level { occupied: 0, slots: [slot; SLOTS] };
        Self { elapsed: tick(now), levels: Box::new([level; LEVELS]), entries: Vec::new(), armed: 0 }
    }

    /// How many keys have a deadline.
    pub const fn len(&self) -> usize {
        self.armed
    }

    /// Whether no key has a deadline.
    pub const fn is_empty(&self) -> bool {
        self.armed == 0
    }

    /// The deadline of a key.
    pub fn deadline(&self, key: K) -> Option<Time> {
        self.entries.get(key.index())?.as_ref().map(|entry| entry.at)
    }

    /// Sets the deadline of a key, or moves it, earlier or later. One in the past is due at the next [`expire`](Self::expire).
    ///
    /// Returns `false`, and does nothing, if the key's index is not below `u32::MAX`.
    pub fn set(&mut self, key: K, at: Time) -> bool {
        let Some(index) = u32::try_from(key.index()).ok().filter(|index| *index != NONE) else { return false };
        self.cancel(key);
        if self.entries.len() <= key.index() {
            self.entries.resize_with(key.index() + 1, || None);
        }
        self.link(index, key, at);
        self.armed += 1;
        true
    }

    /// Forgets the deadline of a key; returns it if there was one.
    pub fn cancel(&mut self, key: K) -> Option<Time> {
        let entry = self.entries.get_mut(key.index())?.take()?;
        self.armed -= 1;
        self.unlink(&entry);
        Some(entry.at)
    }

    /// No key is due before this; `None` if there is no deadline.
    ///
    /// This is the earliest deadline itself, except after the earliest of more than 16 deadlines that lie close together (in one slot)
    /// was cancelled or moved: then it may be the one that was cancelled. An [`expire`](Self::expire) at that time makes it exact.
    pub fn next(&self) -> Option<Time> {
        let (level, slot) = self.first_slot()?;
        Some(self.levels[level].slots[slot].earliest)
    }

    /// Appends every key that is due at `now`, with the time it was planned for, and forgets their deadlines.
    ///
    /// In the order of their times, to within one slot (66 µs). `now` may be earlier than in an earlier call; the wheel does not
    /// turn back.
    pub fn expire(&mut self, now: Time, due: &mut Vec<(K, Time)>) {
        let target = tick(now).max(self.elapsed);
        while let Some((level, slot)) = self.first_slot() {
            let start = self.slot_start(level, slot);
            if start > target {
                break;
            }
            if level > 0 {
                self.elapsed = start;
                self.move_down(level, slot);
            } else {
                self.elapsed = start;
                self.collect(slot, now, due);
                if start == target {
                    break;
                }
            }
        }
        self.elapsed = target;
    }

    /// The slot with the earliest entries: all on a level are earlier than all on the next.
    fn first_slot(&self) -> Option<(usize, usize)> {
        let level = self.levels.iter().position(|level| level.occupied != 0)?;
        Some((level, self.levels[level].occupied.trailing_zeros() as usize))
    }

    /// The first tick of a slot: the wheel's own time, with this level's digit replaced and those below it zero.
    const fn slot_start(&self, level: usize, slot: usize) -> u64 {
        let shift = SLOT_BITS * level as u32;
        let above = self.elapsed >> shift >> SLOT_BITS << SLOT_BITS;
        (above | slot as u64) << shift
    }

    fn link(&mut self, index: u32, key: K, at: Time) {
        let tick = tick(at).max(self.elapsed);
        let different = tick ^ self.elapsed;
        let level = if different == 0 { 0 } else { (different.ilog2() / SLOT_BITS) as usize };
        let slot = (tick >> (SLOT_BITS * level as u32)) as usize % SLOTS;
        let list = &mut self.levels[level];
        list.occupied |= 1 << slot;
        let head = &mut list.slots[slot];
        head.earliest = head.earliest.min(at);
        let next = core::mem::replace(&mut head.first, index);
        if let Some(next) = self.entry_mut(next) {
            next.previous = index;
        }
        self.entries[index as usize] =
            Some(Entry { key, at, previous: NONE, next, level: level as u8, slot: slot as u8 });
    }

    /// Takes an entry, already removed from the array, out of its list.
    fn unlink(&mut self, entry: &Entry<K>) {
        if let Some(next) = self.entry_mut(entry.next) {
            next.previous = entry.previous;
        }
        let (level, slot) = (usize::from(entry.level), usize::from(entry.slot));
        if let Some(previous) = self.entry_mut(entry.previous) {
            previous.next = entry.next;
        } else {
            self.levels[level].slots[slot].first = entry.next;
        }
        if self.levels[level].slots[slot].first == NONE {
            self.clear(level, slot);
        } else if entry.at == self.levels[level].slots[slot].earliest
            && let Some(earliest) = self.earliest(self.levels[level].slots[slot].first)
        {
            self.levels[level].slots[slot].earliest = earliest;
        }
    }

    /// The earliest of a list, if it is short.
    fn earliest(&self, first: u32) -> Option<Time> {
        let mut earliest = Time::MAX;
        let mut index = first;
        for _ in 0..LOOKED_AT {
            let Some(entry) = self.entry(index) else { return Some(earliest) };
            earliest = earliest.min(entry.at);
            index = entry.next;
        }
        (index == NONE).then_some(earliest)
    }

    fn clear(&mut self, level: usize, slot: usize) {
        self.levels[level].occupied &= !(1 << slot);
        self.levels[level].slots[slot] = Slot { first: NONE, earliest: Time::MAX };
    }

    /// Distributes the entries of a slot that time has reached over the levels below.
    fn move_down(&mut self, level: usize, slot: usize) {
        let mut index = self.levels[level].slots[slot].first;
        self.clear(level, slot);
        while let Some(entry) = self.entry(index).copied() {
            self.link(index, entry.key, entry.at);
            index = entry.next;
        }
    }

    /// Takes what is due at `now` out of a slot of the lowest level; the rest stays, and its earliest becomes exact.
    fn collect(&mut self, slot: usize, now: Time, due: &mut Vec<(K, Time)>) {
        let mut index = self.levels[0].slots[slot].first;
        self.clear(0, slot);
        while let Some(entry) = self.entry(index).copied() {
            if entry.at <= now {
                self.entries[index as usize] = None;
                self.armed -= 1;
                due.push((entry.key, entry.at));
            } else {
                self.link(index, entry.key, entry.at);
            }
            index = entry.next;
        }
    }

    fn entry(&self, index: u32) -> Option<&Entry<K>> {
        self.entries.get(index as usize)?.as_ref()
    }

    fn entry_mut(&mut self, index: u32) -> Option<&mut Entry<K>> {
        self.entries.get_mut(index as usize)?.as_mut()
    }
}

const fn tick(at: Time) -> u64 {
    at.as_nanos() >> TICK_BITS
}
