//! [`Time`]: nanoseconds on the endpoint's own clock.

use core::fmt;
use core::num::NonZeroU64;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A moment on the endpoint's own monotonic clock, in nanoseconds since an origin that only the shell knows.
///
/// Eight bytes and `Copy`, so that it travels in every message and lives in every sent packet; `Option<Time>` is as small,
/// because deadlines are many and mostly not set. All arithmetic saturates: a machine never panics because a peer named an
/// absurd duration.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Time(
    // One more than the nanoseconds.
    NonZeroU64,
);

impl Time {
    /// The origin of the clock.
    pub const ZERO: Self = Self(NonZeroU64::MIN);
    /// Later than anything that happens.
    pub const MAX: Self = Self(NonZeroU64::MAX);

    /// The moment `nanoseconds` after the origin.
    pub const fn from_nanos(nanoseconds: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanoseconds))
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// The moment `duration` before this one, not before the origin.
    pub fn saturating_before(self, duration: Duration) -> Self {
        Self::from_nanos(self.as_nanos().saturating_sub(nanoseconds(duration)))
    }
}

impl Default for Time {
    fn default() -> Self {
        Self::ZERO
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(duration)))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Self> for Time {
    type Output = Duration;

    /// Saturates at zero.
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_nanos(self.as_nanos()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_moment_takes_as_little_room_as_one() {
        assert_eq!(size_of::<Option<Time>>(), 8);
        assert!(None < Some(Time::ZERO) && Time::ZERO < Time::MAX);
        assert_eq!(Time::default().as_nanos(), 0);
        for nanoseconds in [0, 1, u64::MAX - 1] {
            assert_eq!(Time::from_nanos(nanoseconds).as_nanos(), nanoseconds);
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Time::MAX + Duration::MAX, Time::MAX);
        assert_eq!(Time::ZERO - Time::MAX, Duration::ZERO);
        assert_eq!(Time::from_nanos(5).saturating_before(Duration::from_nanos(9)), Time::ZERO);
        assert_eq!((Time::from_nanos(5) + Duration::from_nanos(9)).as_nanos(), 14);
    }
}
