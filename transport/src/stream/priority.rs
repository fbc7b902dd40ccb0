//! [`Priority`]: which stream's bytes leave first.

/// When a stream's bytes are sent, compared with those of the connection's other streams (RFC 9000 §2.3; the scale is that
/// of RFC 9218 §4).
///
/// All that can be sent of a more urgent stream is sent before anything of a less urgent one, be it new or sent again.
/// Among streams of one urgency, *incremental* ones share: each sends a packet's worth, then it is the next one's turn.
/// The others are sent one after the other, in the order of their ids. Where there are both, half is theirs and half is
/// shared by the incremental ones, so that neither waits for ever.
///
/// The default, of streams of which nobody said anything, is urgency 3 and incremental: taking turns.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Priority(u8);

impl Priority {
    /// The least urgent.
    pub const LEAST_URGENT: u8 = 7;
    /// Before all that [`Self::new`] can say: for streams without which the others mean nothing.
    pub const BEFORE_ALL: Self = Self(SHARES);

    /// `urgency` is 0, the most urgent, to 7; what is above is taken for 7.
    pub const fn new(urgency: u8, incremental: bool) -> Self {
        let urgency = if urgency > Self::LEAST_URGENT { Self::LEAST_URGENT } else { urgency };
        let level = (urgency + 1) << 1;
        Self(if incremental { level | SHARES } else { level })
    }

    /// Whether it takes turns with others of its urgency.
    pub const fn is_incremental(self) -> bool {
        self.0 & SHARES != 0
    }

    /// Where it stands, from 0 to [`LEVELS`] - 1: the smaller is sent first.
    pub(super) const fn level(self) -> usize {
        (self.0 >> 1) as usize
    }

    /// Whether it is what streams have of which nobody said anything.
    pub(super) const fn is_default(self) -> bool {
        self.0 == Self::new(DEFAULT_URGENCY, true).0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::new(DEFAULT_URGENCY, true)
    }
}

/// The bit of incremental streams; the level stands above it.
const SHARES: u8 = 1;

/// RFC 9218 §4.1: "The default is 3."
const DEFAULT_URGENCY: u8 = 3;

/// How many levels there are: that before all, and one for each urgency.
pub(super) const LEVELS: usize = Priority::LEAST_URGENT as usize + 2;

/// The level of streams of which nobody said anything.
pub(super) const DEFAULT_LEVEL: usize = DEFAULT_URGENCY as usize + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_urgency_has_its_level_and_nothing_is_less_urgent_than_the_last() {
        assert_eq!(Priority::BEFORE_ALL.level(), 0);
        for urgency in 0..=7 {
            for incremental in [false, true] {
                let priority = Priority::new(urgency, incremental);
                assert_eq!((priority.level(), priority.is_incremental()), (usize::from(urgency) + 1, incremental));
                assert_eq!(priority.is_default(), urgency == 3 && incremental);
            }
        }
        assert_eq!(Priority::new(8, true), Priority::new(7, true));
        assert_eq!(Priority::new(255, false).level(), LEVELS - 1);
        assert_eq!(Priority::default().level(), DEFAULT_LEVEL);
    }
}
