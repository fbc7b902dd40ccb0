//! [`Pages`]: bytes at any offset, copied into small dense pages with one bit for each byte that is there.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Bytes that arrived ahead of their turn in pieces too small, or too scattered, to be kept as they came.
///
/// Whatever the pattern, a page costs [`PAGE`] bytes, an eighth of it for the bits, and a few words, and there is at most
/// one for each [`PAGE`] bytes of the flow-control window.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// By number: page `n` holds the bytes from `n * PAGE` on. None is without a byte.
    pages: BTreeMap<u64, Box<Page>>,
    bytes: usize,
}

/// Bytes of a page. Half of [`crate::limits::COPIED_BELOW`], so that a page for one byte between two referenced pieces
/// costs less than those do.
pub(super) const PAGE: usize = 512;

const WORDS: usize = PAGE / 64;

#[derive(Debug)]
struct Page {
    bytes: [u8; PAGE],
    present: [u64; WORDS],
}

impl Pages {
    /// Copies `data` to `offset`.
    pub(super) fn write(&mut self, mut offset: u64, mut data: &[u8]) {
        while !data.is_empty() {
            let (number, start) = place(offset);
            let (now, later) = data.split_at(data.len().min(PAGE - start));
            self.bytes += self.pages.entry(number).or_default().write(start, now);
            offset = offset.saturating_add(now.len() as u64);
            data = later;
        }
    }

    /// Whether a page has been made for any byte of `start..end`.
    pub(super) fn reach_into(&self, start: u64, end: u64) -> bool {
        !self.pages.is_empty() && self.pages.range(place(start).0..=place(end.saturating_sub(1)).0).next().is_some()
    }

    /// Gives the bytes from `offset` on, as far as they are there without a gap and on one page, to `take`, and forgets
    /// them. Returns how many.
    pub(super) fn take(&mut self, offset: u64, take: impl FnOnce(&[u8])) -> usize {
        let (number, start) = place(offset);
        let Entry::Occupied(mut entry) = self.pages.entry(number) else { return 0 };
        let page = entry.get_mut();
        let end = start + page.run(start);
        take(page.bytes.get(start..end).unwrap_or_default());
        self.bytes -= page.forget(start, end);
        if page.is_empty() {
            entry.remove();
        }
        end - start
    }

    /// Forgets everything before `offset`.
    pub(super) fn discard_below(&mut self, offset: u64) {
        let (number, end) = place(offset);
        while let Some(mut entry) = self.pages.first_entry()
            && *entry.key() <= number
        {
            let below = if *entry.key() < number { PAGE } else { end };
            self.bytes -= entry.get_mut().forget(0, below);
            if !entry.get().is_empty() {
                return;
            }
            entry.remove();
        }
    }

    /// How many bytes are there.
    pub(super) const fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// What the heap holds for it, index and allocator included, rounded up.
    #[cfg(test)]
    pub(super) fn heap(&self) -> usize {
        self.pages.len() * (size_of::<Page>() + 16 + 2 * (size_of::<u64>() + size_of::<Box<Page>>()))
    }
}

impl Page {
    /// Copies `data` to `start`; both fit. Returns how many of the bytes were not there before.
    fn write(&mut self, start: usize, data: &[u8]) -> usize {
        let end = start + data.len();
        if let Some(target) = self.bytes.get_mut(start..end) {
            target.copy_from_slice(data);
        }
        let mut new = 0;
        for (word, mask) in self.present.iter_mut().zip(masks(start, end)) {
            new += (mask & !*word).count_ones() as usize;
            *word |= mask;
        }
        new
    }

    /// Forgets the bytes of `start..end`. Returns how many there were.
    fn forget(&mut self, start: usize, end: usize) -> usize {
        let mut forgotten = 0;
        for (word, mask) in self.present.iter_mut().zip(masks(start, end)) {
            forgotten += (mask & *word).count_ones() as usize;
            *word &= !mask;
        }
        forgotten
    }

    /// How many bytes from `start` on are there without a gap.
    fn run(&self, start: usize) -> usize {
        let mut run = 0;
        for (index, word) in self.present.iter().enumerate().skip(start / 64) {
            let skipped = start.saturating_sub(index * 64);
            let ones = (word >> skipped).trailing_ones() as usize;
            run += ones;
            if skipped + ones < 64 {
                break;
            }
        }
        run
    }

    fn is_empty(&self) -> bool {
        self.present.iter().all(|word| *word == 0)
    }
}

impl Default for Page {
    fn default() -> Self {
        Self { bytes: [0; PAGE], present: [0; WORDS] }
    }
}

/// On which page a byte is, and where there.
const fn place(offset: u64) -> (u64, usize) {
    (offset / PAGE as u64, (offset % PAGE as u64) as usize)
}

/// For each word, the bits of `start..end` in it.
fn masks(start: usize, end: usize) -> impl Iterator<Item = u64> {
    (0..WORDS).map(move |word| {
        let bits_below = |position: usize| match position.saturating_sub(word * 64) {
            count @ 0..64 => (1_u64 << count) - 1,
            _ => u64::MAX,
        };
        bits_below(end) & !bits_below(start)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(pages: &mut Pages, offset: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let count = pages.take(offset, |taken| bytes.extend_from_slice(taken));
        assert_eq!(count, bytes.len());
        bytes
    }

    #[test]
    fn a_byte_is_found_where_it_was_put_and_only_once() {
        let mut pages = Pages::default();
        pages.write(1000, b"x");
        assert_eq!(taken(&mut pages, 999), b"");
        assert_eq!(taken(&mut pages, 1000), b"x");
        assert_eq!(taken(&mut pages, 1000), b"");
        assert!(pages.is_empty());
        assert_eq!(pages.heap(), 0);
    }

    #[test]
    fn bytes_that_are_there_already_are_not_counted_twice() {
        let mut pages = Pages::default();
        pages.write(10, &[1; 10]);
        pages.write(15, &[1; 10]);
        assert_eq!(pages.len(), 15);
        pages.discard_below(20);
        assert_eq!(pages.len(), 5);
        assert!(pages.reach_into(0, 1));
        assert!(!pages.reach_into(512, 600));
        pages.discard_below(25);
        assert_eq!(pages.heap(), 0);
    }

    proptest! {
        #[test]
        fn pages_agree_with_a_plain_array(
            pieces in prop::collection::vec((0..2000_usize, 1..700_usize), 1..20),
            discarded in 0..3000_usize,
        ) {
            let original: Vec<u8> = (0..3000_u32).map(|number| (number % 251) as u8).collect();
            let mut present = vec![false; original.len()];
            let mut pages = Pages::default();
            for (start, length) in pieces {
                pages.write(start as u64, &original[start..start + length]);
                present[start..start + length].fill(true);
                prop_assert_eq!(pages.len(), present.iter().filter(|there| **there).count());
            }
            pages.discard_below(discarded as u64);
            present[..discarded].fill(false);
            prop_assert_eq!(pages.len(), present.iter().filter(|there| **there).count());
            let mut offset = 0;
            while offset < original.len() {
                let bytes = taken(&mut pages, offset as u64);
                let end = offset + bytes.len();
                prop_assert_eq!(&bytes[..], &original[offset..end]);
                prop_assert!(present[offset..end].iter().all(|there| *there));
                if bytes.is_empty() {
                    prop_assert!(!present[offset]);
                }
                offset = end.max(offset + 1);
            }
            prop_assert!(pages.is_empty());
            prop_assert_eq!(pages.heap(), 0);
        }
    }
}
