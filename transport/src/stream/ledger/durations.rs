//! How long streams lived, without a list of them: a busy connection ends ten thousand between two looks.

use core::time::Duration;

use codec::Direction;
use smallvec::SmallVec;

/// Bits of a lifetime that are told apart below its highest.
const FRACTION: u32 = 3;
/// Lifetimes are told apart in 2^20ths of a second, so that a group ends exactly where a power of two seconds does.
const UNITS: u32 = 20;

/// Streams that lived about as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Group {
    direction: Direction,
    magnitude: u16,
    count: u64,
    total: Duration,
}

/// How many streams lived how long, by their direction: exact in number and sum, to an eighth in each lifetime.
///
/// At most 500 groups for each direction, however many streams there were; in practice a handful.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations(SmallVec<[Group; 1]>);

impl Durations {
    pub(super) const NONE: Self = Self(SmallVec::new_const());

    pub(super) fn add(&mut self, direction: Direction, lasted: Duration) {
        let magnitude = magnitude(lasted);
        let alike = |group: &&mut Group| group.magnitude == magnitude && group.direction == direction;
        match self.0.iter_mut().find(alike) {
            Some(group) => {
                group.count += 1;
                group.total = group.total.saturating_add(lasted);
            }
            None => self.0.push(Group { direction, magnitude, count: 1, total: lasted }),
        }
    }

    /// Direction, mean lifetime and number of those that lived about as long.
    pub fn iter(&self) -> impl Iterator<Item = (Direction, Duration, u64)> + '_ {
        self.0.iter().map(|group| {
            let mean = group.total.as_nanos() / u128::from(group.count.max(1));
            (group.direction, Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX)), group.count)
        })
    }
}

/// The highest bits of a lifetime, and how high they are.
fn magnitude(lasted: Duration) -> u16 {
    let fraction = (u64::from(lasted.subsec_nanos()) << UNITS) / 1_000_000_000;
    let units = (lasted.as_secs().min(u64::MAX >> UNITS) << UNITS) | fraction;
    let shift = units.checked_ilog2().unwrap_or(0).saturating_sub(FRACTION);
    // At most 60 shifts and 16 values of the four highest bits.
    (shift << (FRACTION + 1)) as u16 | (units >> shift) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    #[test]
    fn many_streams_that_live_alike_are_one_group() {
        let mut durations = Durations::default();
        for index in 0..100_000 {
            durations.add(Direction::Bidirectional, MILLISECOND + Duration::from_nanos(index % 1_000));
        }
        durations.add(Direction::Unidirectional, MILLISECOND);
        let groups: Vec<_> = durations.iter().collect();
        let mean = MILLISECOND + Duration::from_nanos(499);
        assert_eq!(groups, [(Direction::Bidirectional, mean, 100_000), (Direction::Unidirectional, MILLISECOND, 1)]);
    }

    #[test]
    fn lifetimes_are_told_apart_to_an_eighth() {
        let apart = |less: Duration, more: Duration| magnitude(less) != magnitude(more);
        assert!(apart(MILLISECOND, MILLISECOND * 9 / 8));
        assert!(apart(Duration::ZERO, Duration::from_micros(1)));
        assert!(apart(Duration::from_nanos(62_499_999), Duration::from_micros(62_500)));
        assert!(apart(Duration::from_nanos(14_999_999_999), Duration::from_secs(15)));
    }

    #[test]
    fn groups_are_bounded() {
        let mut durations = Durations::default();
        let mut lasted = Duration::from_nanos(1);
        while lasted < Duration::MAX / 2 {
            durations.add(Direction::Bidirectional, lasted);
            lasted += lasted / 32 + Duration::from_nanos(1);
        }
        durations.add(Direction::Bidirectional, Duration::MAX);
        assert!(durations.iter().count() <= 500, "{}", durations.iter().count());
    }
}
