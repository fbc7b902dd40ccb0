//! [`Quota`]: how many changes a second are taken.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many changes in any [`PERIOD`]; one that concerns many connections is one.
pub(super) const CHANGES: usize = 10;
const PERIOD: Duration = Duration::from_secs(1);

/// When the last changes were.
#[derive(Debug, Default)]
pub(super) struct Quota(Mutex<VecDeque<Instant>>);

impl Quota {
    /// Takes one more change, unless there were too many.
    pub(super) fn take(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while last.front().is_some_and(|at| now.saturating_duration_since(*at) >= PERIOD) {
            last.pop_front();
        }
        let there_is_room = last.len() < CHANGES;
        if there_is_room {
            last.push_back(now);
        }
        there_is_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_a_second_are_taken_and_the_eleventh_is_not() {
        let (quota, begin) = (Quota::default(), Instant::now());
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        for change in 0..10 {
            assert!(quota.take(at(change * 10)), "{change}");
        }
        assert!(!quota.take(at(999)));
        assert!(quota.take(at(1000)) && !quota.take(at(1000)), "the first was a second ago");
        assert!(quota.take(at(5000)));
    }
}
