//! The dynamic table as the decoder keeps it (RFC 9204 §3.2).

use std::collections::VecDeque;

use bytes::Bytes;

use crate::qpack::field::OVERHEAD;

/// A line of the dynamic table. Name and value are kept apart, so that an entry that only shares a name with an evicted
/// one keeps nothing else of it alive.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Bytes,
    pub(super) value: Bytes,
}

impl Entry {
    //= https://www.rfc-editor.org/rfc/rfc9204#section-3.2.1
    //# The size of an entry is the sum of its name's length in bytes, its value's
    //# length in bytes, and 32 additional bytes.
    fn size(&self) -> usize {
        self.name.len().saturating_add(self.value.len()).saturating_add(OVERHEAD)
    }
}

/// An entry that the table has no room for, even when it is empty.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct LargerThanTable;

/// Entries in the order of their insertion, the oldest in front.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: VecDeque<Entry>,
    /// How many were ever inserted: the Insert Count.
    inserted: u64,
    size: usize,
    capacity: usize,
}

impl Table {
    /// Adds an entry; the oldest make room for it.
    pub(super) fn insert(&mut self, entry: Entry) -> Result<(), LargerThanTable> {
        let size = entry.size();
        //= https://www.rfc-editor.org/rfc/rfc9204#section-3.2.2
        //# Before a new entry is added to the dynamic table, entries are evicted from the
        //# end of the dynamic table until the size of the dynamic table is less than or
        //# equal to (table capacity - size of new entry).
        let room_for_others = self.capacity.checked_sub(size).ok_or(LargerThanTable)?;
        self.evict_down_to(room_for_others);
        self.entries.push_back(entry);
        self.size += size;
        self.inserted += 1;
        Ok(())
    }

    /// Changes the capacity in bytes; the oldest entries go if it is now too small.
    pub(super) fn set_capacity(&mut self, capacity: usize) {
        //= https://www.rfc-editor.org/rfc/rfc9204#section-3.2.2
        //# Whenever the dynamic table capacity is reduced by the encoder
        //# ({{set-dynamic-capacity}}), entries are evicted from the end of the dynamic
        //# table until the size of the dynamic table is less than or equal to the new table
        //# capacity.
        self.evict_down_to(capacity);
        self.capacity = capacity;
    }

    fn evict_down_to(&mut self, size: usize) {
        while self.size > size {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.size = self.size.saturating_sub(oldest.size());
        }
    }

    /// The entry with this absolute index, if it was inserted and not evicted.
    #[inline]
    pub(super) fn get(&self, absolute: u64) -> Option<&Entry> {
        let evicted = self.inserted - self.entries.len() as u64;
        let place = absolute.checked_sub(evicted)?;
        self.entries.get(usize::try_from(place).ok()?)
    }

    /// The entry that was inserted so many before the newest one.
    pub(super) fn relative(&self, relative: u64) -> Option<&Entry> {
        self.get(self.inserted.checked_sub(relative)?.checked_sub(1)?)
    }

    /// The Insert Count.
    #[inline]
    pub(super) const fn inserted(&self) -> u64 {
        self.inserted
    }

    /// How many entries there are.
    pub(super) fn entries(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) const fn size(&self) -> usize {
        self.size
    }

    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: &str) -> Entry {
        Entry { name: Bytes::from_static(b"name"), value: Bytes::copy_from_slice(value.as_bytes()) }
    }

    #[test]
    fn the_oldest_make_room() {
        let mut table = Table::default();
        assert_eq!(table.insert(entry("")), Err(LargerThanTable));
        table.set_capacity(80);
        table.insert(entry("one!")).unwrap();
        table.insert(entry("two!")).unwrap();
        assert_eq!((table.size(), table.inserted()), (80, 2));
        table.insert(entry("")).unwrap();
        assert_eq!((table.size(), table.inserted()), (76, 3));
        assert!(table.get(0).is_none() && table.get(3).is_none());
        assert_eq!(table.get(1).unwrap().value, "two!");
        assert_eq!(table.relative(0).unwrap().value, "");
        assert_eq!(table.relative(1).unwrap().value, "two!");
        assert!(table.relative(2).is_none() && table.relative(u64::MAX).is_none());
    }

    #[test]
    fn an_entry_as_large_as_the_table_is_kept_alone_and_a_larger_one_refused() {
        let mut table = Table::default();
        table.set_capacity(40);
        table.insert(entry("")).unwrap();
        table.insert(entry("1234")).unwrap();
        assert_eq!((table.size(), table.inserted()), (40, 2));
        assert!(table.get(0).is_none());
        assert_eq!(table.insert(entry("12345")), Err(LargerThanTable));
        assert_eq!(table.get(1).unwrap().value, "1234");
    }

    #[test]
    fn less_capacity_evicts_and_more_brings_nothing_back() {
        let mut table = Table::default();
        table.set_capacity(120);
        for value in ["1", "2", "3"] {
            table.insert(entry(value)).unwrap();
        }
        table.set_capacity(37);
        assert_eq!((table.size(), table.get(2).unwrap().value.as_ref()), (37, &b"3"[..]));
        table.set_capacity(0);
        table.set_capacity(120);
        assert_eq!((table.size(), table.inserted()), (0, 3));
        assert!(table.get(2).is_none());
    }
}
