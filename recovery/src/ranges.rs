//! [`Ranges`]: a bounded set of numbers that forgets from the bottom.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// A set of numbers as ascending ranges with gaps between them, at most a given number of them.
///
/// When it is full, the lowest range is forgotten, and every number up to its end counts as contained from then on:
/// that is how a receiver keeps its promise to accept no number twice with little memory (RFC 9000 §13.2.3).
/// Numbers come nearly in order, so the common insertion lengthens the last range and costs nothing else.
#[derive(Clone, Debug)]
pub struct Ranges {
    /// Ascending, never adjacent: start and end, both inclusive.
    ranges: Vec<(u64, u64)>,
    /// Numbers below count as contained.
    floor: u64,
    limit: usize,
}

impl Ranges {
    /// An empty set that keeps at most `limit` ranges, but at least one.
    pub const fn new(limit: usize) -> Self {
        Self { ranges: Vec::new(), floor: 0, limit: if limit == 0 { 1 } else { limit } }
    }

    /// Whether the number was inserted, or is too low to tell.
    pub fn contains(&self, number: u64) -> bool {
        match self.ranges.last() {
            Some(&(_, end)) if number > end => false,
            Some(&(start, _)) if number >= start => true,
            _ => number < self.floor || self.range_with(number).is_some(),
        }
    }

    /// The start of the range that contains the number.
    pub fn start_of(&self, number: u64) -> Option<u64> {
        match self.ranges.last() {
            Some(&(start, end)) if number >= start => (number <= end).then_some(start),
            _ => self.range_with(number).map(|(start, _)| start),
        }
    }

    /// Inserts a number. `false` if it was contained.
    pub fn insert(&mut self, number: u64) -> bool {
        if let Some((_, end)) = self.ranges.last_mut()
            && end.checked_add(1) == Some(number)
        {
            *end = number;
            return true;
        }
        if number < self.floor {
            return false;
        }
        let above = self.ranges.partition_point(|&(start, _)| start <= number);
        let joins_above = self.ranges.get(above).is_some_and(|&(start, _)| number.checked_add(1) == Some(start));
        let below = above.checked_sub(1).and_then(|below| self.ranges.get_mut(below));
        let joins_below = match below {
            Some((_, end)) if number <= *end => return false,
            Some((_, end)) if end.checked_add(1) == Some(number) => {
                *end = number;
                true
            }
            _ => false,
        };
        match (joins_below, joins_above) {
            (true, true) => {
                let (_, end) = self.ranges.remove(above);
                if let Some(below) = above.checked_sub(1).and_then(|below| self.ranges.get_mut(below)) {
                    below.1 = end;
                }
            }
            (true, false) => {}
            (false, true) => {
                if let Some(range) = self.ranges.get_mut(above) {
                    range.0 = number;
                }
            }
            (false, false) => self.insert_range(above, number),
        }
        true
    }

    fn insert_range(&mut self, position: usize, number: u64) {
        let mut position = position;
        if self.ranges.len() >= self.limit {
            // The new one may itself be the lowest: then it is the one that is forgotten at once.
            let lowest_end = if position == 0 { number } else { self.ranges.remove(0).1 };
            self.floor = lowest_end.saturating_add(1);
            if position == 0 {
                return;
            }
            position -= 1;
        }
        self.ranges.insert(position, (number, number));
    }

    /// Forgets all numbers up to this one; they count as contained.
    pub fn remove_up_to(&mut self, number: u64) {
        self.floor = self.floor.max(number.saturating_add(1));
        let whole = self.ranges.partition_point(|&(_, end)| end <= number);
        self.ranges.drain(..whole);
        if let Some((start, _)) = self.ranges.first_mut() {
            *start = (*start).max(self.floor);
        }
    }

    /// The largest number.
    pub fn largest(&self) -> Option<u64> {
        self.ranges.last().map(|&(_, end)| end)
    }

    /// Numbers below this count as contained, whether they were inserted or not.
    pub const fn floor(&self) -> u64 {
        self.floor
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether there are no ranges.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges, ascending; reversed they are in the order of an ACK frame.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = RangeInclusive<u64>> + ExactSizeIterator + Clone + '_ {
        self.ranges.iter().map(|&(start, end)| start..=end)
    }

    /// Gives back room that no range is in.
    pub(crate) fn shrink(&mut self) {
        self.ranges.shrink_to_fit();
    }

    fn range_with(&self, number: u64) -> Option<(u64, u64)> {
        let above = self.ranges.partition_point(|&(start, _)| start <= number);
        let &(start, end) = self.ranges.get(above.checked_sub(1)?)?;
        (number <= end).then_some((start, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rangemap::RangeInclusiveSet;

    fn listed(ranges: &Ranges) -> Vec<RangeInclusive<u64>> {
        ranges.iter().collect()
    }

    #[test]
    fn numbers_in_order_are_one_range() {
        let mut ranges = Ranges::new(64);
        for number in 0..1000 {
            assert!(ranges.insert(number));
            assert!(!ranges.insert(number));
        }
        assert_eq!(listed(&ranges), [0..=999]);
    }

    #[test]
    fn a_number_that_fills_a_gap_joins_its_neighbours() {
        let mut ranges = Ranges::new(64);
        for number in [1, 3, 5, 4] {
            assert!(ranges.insert(number));
        }
        assert_eq!(listed(&ranges), [1..=1, 3..=5]);
        assert_eq!(ranges.start_of(5), Some(3));
        assert_eq!(ranges.start_of(2), None);
        assert_eq!(ranges.start_of(6), None);
    }

    #[test]
    fn the_lowest_range_makes_room_and_counts_as_seen() {
        let mut ranges = Ranges::new(2);
        for number in [10, 20, 30] {
            assert!(ranges.insert(number));
        }
        assert_eq!(listed(&ranges), [20..=20, 30..=30]);
        assert!(ranges.contains(3), "below what is kept nothing is new");
        assert!(!ranges.insert(10));
        assert!(!ranges.contains(11));
        assert!(ranges.insert(15), "accepted, and forgotten at once");
        assert!(ranges.contains(15));
        assert_eq!(listed(&ranges), [20..=20, 30..=30]);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let mut ranges = Ranges::new(2);
        assert!(ranges.insert(u64::MAX));
        assert!(ranges.insert(u64::MAX - 1));
        assert!(!ranges.insert(u64::MAX));
        assert!(ranges.insert(0));
        assert_eq!(listed(&ranges), [0..=0, u64::MAX - 1..=u64::MAX]);
        ranges.remove_up_to(u64::MAX);
        assert!(ranges.is_empty());
        assert!(ranges.contains(7));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64),
        RemoveUpTo(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![12 => (0..200_u64).prop_map(Step::Insert), 1 => (0..200_u64).prop_map(Step::RemoveUpTo)];
        proptest::collection::vec(step, 0..300)
    }

    proptest! {
        #[test]
        fn it_is_the_set_that_rangemap_is(steps in steps(), limit in 1..20_usize) {
            let mut ranges = Ranges::new(limit);
            let mut model = RangeInclusiveSet::new();
            let mut floor = 0;
            for step in steps {
                match step {
                    Step::Insert(number) => {
                        let new = number >= floor && !model.contains(&number);
                        prop_assert_eq!(ranges.contains(number), !new);
                        prop_assert_eq!(ranges.insert(number), new);
                        if new {
                            model.insert(number..=number);
                        }
                        if model.iter().count() > limit {
                            let lowest = model.first().unwrap().clone();
                            floor = lowest.end() + 1;
                            model.remove(lowest);
                        }
                    }
                    Step::RemoveUpTo(number) => {
                        ranges.remove_up_to(number);
                        floor = floor.max(number + 1);
                        model.remove(0..=number);
                    }
                }
                prop_assert!(ranges.iter().eq(model.iter().cloned()));
                prop_assert!(ranges.iter().rev().eq(model.iter().rev().cloned()));
                prop_assert_eq!(ranges.len(), model.iter().count());
                prop_assert_eq!(ranges.floor(), floor);
                prop_assert_eq!(ranges.largest(), model.last().map(|range| *range.end()));
                for number in 0..200 {
                    prop_assert_eq!(ranges.contains(number), number < floor || model.contains(&number));
                    prop_assert_eq!(ranges.start_of(number), model.get(&number).map(|range| *range.start()));
                }
            }
        }
    }
}
