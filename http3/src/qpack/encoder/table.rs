//! The dynamic table as the encoder keeps it: what the decoder has or will have, how to find a line in it, and what may
//! be evicted (RFC 9204 §2.1.1, §3.2).

use std::collections::VecDeque;

use super::policy::Heat;
use crate::qpack::field::OVERHEAD;

/// What a line is found by. Lines with the same hashes are compared.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Hashes {
    pub(super) name: u32,
    pub(super) line: u32,
}

/// A line of the table.
#[derive(Debug)]
struct Entry {
    /// Name and value, one after the other.
    text: Box<[u8]>,
    name_length: usize,
    hashes: Hashes,
    /// The entry before this one in its bucket of lines and in its bucket of names: its absolute index and one, truncated;
    /// it may be evicted by now.
    next_line: u32,
    next_name: u32,
    /// Bytes that were inserted before it, since the beginning.
    position: u64,
    /// Sections that are not acknowledged and whose lowest reference is this entry. Entries go in order, so those that a
    /// section refers to are kept when its lowest one is.
    pins: u32,
    heat: Heat,
}

impl Entry {
    fn size(&self) -> usize {
        self.text.len() + OVERHEAD
    }

    fn name(&self) -> &[u8] {
        self.text.get(..self.name_length).unwrap_or_default()
    }

    fn value(&self) -> &[u8] {
        self.text.get(self.name_length..).unwrap_or_default()
    }
}

/// The table, and two indices of it. An index is an array of buckets, each with the newest entry of its chain; a chain
/// runs to older entries and ends with the first that is evicted, so that eviction has nothing to remove from it. A search
/// takes no more steps than there are entries, whatever names and values the peer chose.
#[derive(Debug)]
pub(super) struct Table {
    entries: VecDeque<Entry>,
    inserted: u64,
    size: usize,
    capacity: usize,
    /// Bytes that were inserted since the beginning.
    position: u64,
    lines: Box<[u32]>,
    names: Box<[u32]>,
}

/// Why an entry cannot be inserted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NoRoom {
    /// Sections that are not acknowledged refer to this entry, which would have to go.
    Pinned(u64),
    /// It is too large, or entries would have to go that the decoder might not have or that are needed now.
    Kept,
}

/// What a lookup is about.
#[derive(Clone, Copy)]
enum Index {
    Lines,
    Names,
}

impl Table {
    /// An empty table; `capacity` in bytes.
    pub(super) fn new(capacity: usize) -> Self {
        // An entry has about 64 bytes, so chains are about as long as one.
        let buckets = (capacity / 64).next_power_of_two();
        Self {
            entries: VecDeque::new(),
            inserted: 0,
            size: 0,
            capacity,
            position: 0,
            lines: vec![0; buckets].into_boxed_slice(),
            names: vec![0; buckets].into_boxed_slice(),
        }
    }

    /// The newest entry with this name and value whose absolute index is below `below`.
    #[inline]
    pub(super) fn find(&self, hashes: Hashes, name: &[u8], value: &[u8], below: u64) -> Option<u64> {
        self.search(Index::Lines, hashes.line, below, |entry| {
            entry.hashes == hashes && entry.value() == value && entry.name() == name
        })
    }

    /// The newest entry with this name whose absolute index is below `below`.
    #[inline]
    pub(super) fn find_name(&self, hashes: Hashes, name: &[u8], below: u64) -> Option<u64> {
        self.search(Index::Names, hashes.name, below, |entry| entry.hashes.name == hashes.name && entry.name() == name)
    }

    #[inline]
    fn search(&self, index: Index, hash: u32, below: u64, is_it: impl Fn(&Entry) -> bool) -> Option<u64> {
        let buckets = match index {
            Index::Lines => &self.lines,
            Index::Names => &self.names,
        };
        let mut next = *buckets.get(hash as usize & (buckets.len() - 1))?;
        // How old the entry was that was looked at; each must be older than the last.
        let mut age = 0;
        loop {
            let older = (self.inserted as u32).wrapping_add(1).wrapping_sub(next);
            if older <= age || older as usize > self.entries.len() {
                return None;
            }
            age = older;
            let entry = self.entries.get(self.entries.len() - age as usize)?;
            let absolute = self.inserted - u64::from(age);
            if absolute < below && is_it(entry) {
                return Some(absolute);
            }
            next = match index {
                Index::Lines => entry.next_line,
                Index::Names => entry.next_name,
            };
        }
    }

    /// Whether an entry of `size` bytes can be inserted if only entries below `evictable` go that no section pins.
    pub(super) fn check_room(&self, size: usize, evictable: u64) -> Result<(), NoRoom> {
        let mut free = self.capacity.saturating_sub(self.size);
        let mut oldest = (self.oldest()..).zip(&self.entries);
        while free < size {
            //= https://www.rfc-editor.org/rfc/rfc9204#section-2.1.1
            //# If the dynamic table does not contain enough room for a new entry without
            //# evicting other entries, and the entries that would be evicted are not
            //# evictable, the encoder MUST NOT insert that entry into the dynamic table
            //# (including duplicates of existing entries).
            let (absolute, entry) = oldest.next().filter(|(absolute, _)| *absolute < evictable).ok_or(NoRoom::Kept)?;
            if entry.pins > 0 {
                return Err(NoRoom::Pinned(absolute));
            }
            free += entry.size();
        }
        Ok(())
    }

    /// Inserts a line, for which there is room, and returns its absolute index. The oldest entries make room.
    pub(super) fn insert(&mut self, hashes: Hashes, name: &[u8], value: &[u8], heat: Heat) -> u64 {
        let mut text = Vec::with_capacity(name.len() + value.len());
        text.extend_from_slice(name);
        text.extend_from_slice(value);
        self.push(hashes, text.into_boxed_slice(), name.len(), heat)
    }

    /// Inserts a line again, for which there is room, and returns its new absolute index.
    pub(super) fn duplicate(&mut self, absolute: u64) -> Option<u64> {
        let entry = self.entries.get(self.place(absolute)?)?;
        let (hashes, text, name_length, heat) = (entry.hashes, entry.text.clone(), entry.name_length, entry.heat);
        Some(self.push(hashes, text, name_length, heat))
    }

    fn push(&mut self, hashes: Hashes, text: Box<[u8]>, name_length: usize, heat: Heat) -> u64 {
        let size = text.len() + OVERHEAD;
        while self.capacity.saturating_sub(self.size) < size {
            let Some(oldest) = self.entries.pop_front() else { break };
            debug_assert_eq!(oldest.pins, 0, "an entry was evicted that an unacknowledged section refers to");
            self.size -= oldest.size();
        }
        let absolute = self.inserted;
        let link = (absolute as u32).wrapping_add(1);
        let next_line = swap(&mut self.lines, hashes.line, link);
        let next_name = swap(&mut self.names, hashes.name, link);
        let position = self.position;
        self.entries.push_back(Entry { text, name_length, hashes, next_line, next_name, position, pins: 0, heat });
        self.size += size;
        self.position += size as u64;
        self.inserted += 1;
        absolute
    }

    /// It was referred to.
    #[inline]
    pub(super) fn on_used(&mut self, absolute: u64, now: u64) {
        if let Some(entry) = self.place(absolute).and_then(|place| self.entries.get_mut(place)) {
            entry.heat.add_use(now);
        }
    }

    /// The entries that would go for a new one of `size` bytes, oldest first, with what they are worth.
    pub(super) fn would_go(&self, size: usize, now: u64) -> impl Iterator<Item = (u64, u32)> {
        let mut free = self.capacity.saturating_sub(self.size);
        (self.oldest()..).zip(&self.entries).map_while(move |(absolute, entry)| {
            let goes = free < size;
            free += entry.size();
            goes.then(|| (absolute, entry.heat.worth(entry.text.len(), now)))
        })
    }

    /// The size of an entry in bytes.
    pub(super) fn size_of(&self, absolute: u64) -> usize {
        self.place(absolute).and_then(|place| self.entries.get(place)).map_or(0, Entry::size)
    }

    /// How many bytes can be inserted before this entry goes.
    pub(super) fn bytes_before_eviction(&self, absolute: u64) -> u64 {
        let position = |entry: Option<&Entry>| entry.map_or(self.position, |entry| entry.position);
        let entry = position(self.place(absolute).and_then(|place| self.entries.get(place)));
        entry - position(self.entries.front()) + self.capacity.saturating_sub(self.size) as u64
    }

    /// A section whose lowest reference is this entry was sent.
    pub(super) fn pin(&mut self, absolute: u64) {
        if let Some(entry) = self.place(absolute).and_then(|place| self.entries.get_mut(place)) {
            entry.pins += 1;
        }
    }

    /// It was acknowledged or cancelled.
    pub(super) fn unpin(&mut self, absolute: u64) {
        if let Some(entry) = self.place(absolute).and_then(|place| self.entries.get_mut(place)) {
            entry.pins = entry.pins.saturating_sub(1);
        }
    }

    fn place(&self, absolute: u64) -> Option<usize> {
        usize::try_from(absolute.checked_sub(self.oldest())?).ok()
    }

    /// The absolute index of the oldest entry, or of the next one if there is none.
    pub(super) fn oldest(&self) -> u64 {
        self.inserted - self.entries.len() as u64
    }

    /// The Insert Count.
    pub(super) const fn inserted(&self) -> u64 {
        self.inserted
    }

    pub(super) const fn size(&self) -> usize {
        self.size
    }

    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }
}

/// Puts a link in front of a chain and returns the one that stood there.
fn swap(buckets: &mut [u32], hash: u32, link: u32) -> u32 {
    let bucket = hash as usize & buckets.len().wrapping_sub(1);
    buckets.get_mut(bucket).map_or(0, |bucket| std::mem::replace(bucket, link))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIKE: Hashes = Hashes { name: 7, line: 7 };

    /// A table in which every line has the same hashes.
    fn table(capacity: usize, values: &[&str]) -> Table {
        let mut table = Table::new(capacity);
        for value in values {
            table.insert(ALIKE, b"name", value.as_bytes(), Heat::default());
        }
        table
    }

    #[test]
    fn lines_with_the_same_hashes_are_told_apart() {
        let mut table = table(4096, &["0", "1", "2", "1"]);
        table.insert(ALIKE, b"other", b"1", Heat::default());
        let find = |value: &str, below| table.find(ALIKE, b"name", value.as_bytes(), below);
        assert_eq!((find("0", 5), find("1", 5), find("2", 5), find("3", 5)), (Some(0), Some(3), Some(2), None));
        // The newest that is old enough.
        assert_eq!((find("1", 3), find("1", 1), find("0", 0)), (Some(1), None, None));
        assert_eq!((table.find_name(ALIKE, b"name", 5), table.find_name(ALIKE, b"name", 2)), (Some(3), Some(1)));
        assert_eq!((table.find_name(ALIKE, b"other", 5), table.find_name(ALIKE, b"else", 5)), (Some(4), None));
        let unlike = Hashes { name: 7, line: 8 };
        assert_eq!(table.find(unlike, b"name", b"1", 5), None);
    }

    #[test]
    fn what_is_evicted_is_not_found() {
        // Each has 37 bytes, so three fit.
        let mut table = table(111, &["0", "1", "2", "3", "4"]);
        assert_eq!((table.oldest(), table.inserted(), table.size()), (2, 5, 111));
        assert_eq!(table.find(ALIKE, b"name", b"1", 9), None);
        assert_eq!(table.find(ALIKE, b"name", b"2", 9), Some(2));
        // Its own duplicate drives it out.
        assert_eq!(table.duplicate(2), Some(5));
        assert_eq!((table.find(ALIKE, b"name", b"2", 9), table.find(ALIKE, b"name", b"2", 5)), (Some(5), None));
        assert_eq!(table.duplicate(2), None);
    }

    #[test]
    fn links_survive_the_wrap_of_their_32_bits() {
        let mut table = table(111, &[]);
        table.inserted = u64::from(u32::MAX) - 2;
        for round in 0..8_u64 {
            let value = round.to_string();
            let absolute = table.insert(ALIKE, b"name", value.as_bytes(), Heat::default());
            for back in 0..=round {
                let found = table.find(ALIKE, b"name", (round - back).to_string().as_bytes(), u64::MAX);
                assert_eq!(found, (back < 3).then(|| absolute - back), "{round} {back}");
            }
        }
    }

    #[test]
    fn only_what_nobody_refers_to_may_go() {
        let mut table = table(111, &["0", "1", "2"]);
        assert_eq!(table.check_room(37, 3), Ok(()));
        assert_eq!(table.check_room(112, 3), Err(NoRoom::Kept));
        assert_eq!(table.check_room(37, 0), Err(NoRoom::Kept));
        table.pin(1);
        assert_eq!((table.check_room(37, 3), table.check_room(38, 3)), (Ok(()), Err(NoRoom::Pinned(1))));
        table.pin(1);
        table.unpin(1);
        assert_eq!(table.check_room(74, 3), Err(NoRoom::Pinned(1)));
        table.unpin(1);
        assert_eq!((table.check_room(74, 2), table.check_room(75, 2)), (Ok(()), Err(NoRoom::Kept)));
    }

    #[test]
    fn how_far_an_entry_is_from_its_end() {
        let table = table(120, &["0", "1", "2"]);
        assert_eq!([0, 1, 2].map(|absolute| table.bytes_before_eviction(absolute)), [9, 46, 83]);
        let going = |size| table.would_go(size, 0).map(|(absolute, _)| absolute).collect::<Vec<_>>();
        assert_eq!((going(9), going(10), going(46), going(47)), (vec![], vec![0], vec![0], vec![0, 1]));
    }
}
