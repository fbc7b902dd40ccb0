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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(nanoseconds: u64) -> Time {
        Time::from_nanos(nanoseconds)
    }

    fn expired(wheel: &mut Wheel<usize>, now: Time) -> Vec<(usize, Time)> {
        let mut due = Vec::new();
        wheel.expire(now, &mut due);
        due
    }

    #[test]
    fn an_entry_fires_exactly_at_its_time_and_once() {
        let mut wheel = Wheel::new(at(0));
        assert!(wheel.set(3, at(100_001)));
        assert_eq!(wheel.next(), Some(at(100_001)));
        assert_eq!(expired(&mut wheel, at(100_000)), []);
        assert_eq!(expired(&mut wheel, at(100_001)), [(3, at(100_001))]);
        assert_eq!(expired(&mut wheel, at(100_002)), []);
        assert!(wheel.is_empty());
    }

    #[test]
    fn a_time_in_the_past_is_due_at_once_and_keeps_its_plan() {
        let mut wheel = Wheel::new(at(1_000_000_000));
        wheel.set(0, at(5));
        assert_eq!(wheel.next(), Some(at(5)));
        assert_eq!(expired(&mut wheel, at(1_000_000_000)), [(0, at(5))]);
    }

    #[test]
    fn times_hours_and_centuries_ahead_are_kept() {
        let mut wheel = Wheel::new(at(123));
        let day = at(123) + Duration::from_secs(86_400);
        wheel.set(0, day);
        wheel.set(1, Time::MAX);
        assert_eq!(wheel.next(), Some(day));
        assert_eq!(expired(&mut wheel, at(day.as_nanos() - 1)), []);
        assert_eq!(expired(&mut wheel, day), [(0, day)]);
        assert_eq!(wheel.next(), Some(Time::MAX));
        assert_eq!(expired(&mut wheel, Time::MAX), [(1, Time::MAX)]);
    }

    #[test]
    fn setting_again_moves_and_cancelling_forgets() {
        let mut wheel = Wheel::new(at(0));
        wheel.set(7, at(1_000_000));
        wheel.set(7, at(9_000_000));
        assert_eq!((wheel.len(), wheel.next()), (1, Some(at(9_000_000))));
        wheel.set(7, at(2_000_000));
        assert_eq!((wheel.deadline(7), wheel.next()), (Some(at(2_000_000)), Some(at(2_000_000))));
        assert_eq!(wheel.cancel(7), Some(at(2_000_000)));
        assert_eq!(wheel.cancel(7), None);
        assert_eq!((wheel.len(), wheel.next()), (0, None));
        assert_eq!(expired(&mut wheel, at(u64::MAX)), []);
    }

    #[test]
    fn a_clock_that_steps_back_neither_loses_nor_advances_anything() {
        let mut wheel = Wheel::new(at(0));
        assert_eq!(expired(&mut wheel, at(10_000_000_000)), []);
        wheel.set(0, at(6_000_000_000));
        assert_eq!(expired(&mut wheel, at(5_000_000_000)), []);
        assert_eq!(expired(&mut wheel, at(6_000_000_000)), [(0, at(6_000_000_000))]);
    }

    #[test]
    fn a_cancelled_crowd_wakes_nobody_more_than_once() {
        let mut wheel = Wheel::new(at(0));
        let idle = 30_000_000_000;
        for key in 0..10_000 {
            wheel.set(key, at(idle + 1_000 * key as u64));
        }
        wheel.cancel(0);
        let stale = wheel.next().unwrap();
        assert!(stale <= at(idle + 1_000));
        assert_eq!(expired(&mut wheel, stale), []);
        assert_eq!(wheel.next(), Some(at(idle + 1_000)));
    }

    #[test]
    fn an_index_that_no_list_can_hold_is_refused() {
        let mut wheel = Wheel::new(at(0));
        assert!(!wheel.set(u32::MAX, at(1)));
        assert!(wheel.is_empty());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(usize, u64),
        Cancel(usize),
        Expire(u64),
        ExpireAtNext,
    }

    /// Distances of every magnitude, so that every level is used.
    fn distance() -> impl Strategy<Value = u64> {
        (0_u32..52, any::<u64>()).prop_map(|(bits, noise)| (1_u64 << bits) | (noise & ((1 << bits) - 1)))
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0_usize..40, distance()).prop_map(|(key, distance)| Step::Set(key, distance)),
            1 => (0_usize..40).prop_map(Step::Cancel),
            2 => distance().prop_map(Step::Expire),
            1 => Just(Step::ExpireAtNext),
        ]
    }

    proptest! {
        #[test]
        fn behaves_as_a_sorted_map(origin in 0..(u64::MAX / 2), steps in prop::collection::vec(step(), 1..200)) {
            let mut wheel = Wheel::new(at(origin));
            let mut oracle: BTreeMap<usize, Time> = BTreeMap::new();
            let mut now = at(origin);
            for step in steps {
                match step {
                    Step::Set(key, distance) => {
                        // Now and then before `now`.
                        let when = at((now.as_nanos() - 1_000_000.min(now.as_nanos())).saturating_add(distance));
                        prop_assert!(wheel.set(key, when));
                        oracle.insert(key, when);
                    }
                    Step::Cancel(key) => prop_assert_eq!(wheel.cancel(key), oracle.remove(&key)),
                    Step::Expire(_) | Step::ExpireAtNext => {
                        now = match step {
                            Step::Expire(distance) => at(now.as_nanos().saturating_add(distance)),
                            _ => wheel.next().unwrap_or(now).max(now),
                        };
                        let mut due = expired(&mut wheel, now);
                        let mut expected: Vec<_> = oracle.iter().map(|(key, time)| (*key, *time)).filter(|(_, time)| *time <= now).collect();
                        oracle.retain(|_, time| *time > now);
                        due.sort_unstable();
                        expected.sort_unstable();
                        prop_assert_eq!(due, expected);
                    }
                }
                let earliest = oracle.values().min().copied();
                prop_assert_eq!(wheel.len(), oracle.len());
                prop_assert_eq!(wheel.next().is_some(), earliest.is_some());
                prop_assert!(wheel.next() <= earliest);
                if oracle.len() <= LOOKED_AT {
                    prop_assert_eq!(wheel.next(), earliest);
                }
                for (key, time) in &oracle {
                    prop_assert_eq!(wheel.deadline(*key), Some(*time));
                }
            }
        }

        #[test]
        fn expires_in_order_to_within_a_slot(times in prop::collection::vec(distance(), 1..100)) {
            let mut wheel = Wheel::new(at(0));
            for (key, time) in times.iter().enumerate() {
                wheel.set(key, at(*time));
            }
            let due = expired(&mut wheel, Time::MAX);
            prop_assert!(due.windows(2).all(|pair| tick(pair[0].1) <= tick(pair[1].1)));
        }

        #[test]
        fn waking_at_next_reaches_every_entry_with_few_idle_wakes(times in prop::collection::vec(distance(), 1..100)) {
            let mut wheel = Wheel::new(at(0));
            for (key, time) in times.iter().enumerate() {
                wheel.set(key, at(*time));
            }
            let mut wakes = 0;
            while let Some(next) = wheel.next() {
                prop_assert!(!expired(&mut wheel, next).is_empty(), "woken for nothing at {next:?}");
                wakes += 1;
            }
            prop_assert!(wakes <= times.len());
        }
    }
}
