//! An alarm that is exact to some tens of microseconds: tokio's own timers are, by design, to a millisecond, which would be
//! most of a request's latency.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Who rings more often than this costs more than it is worth: what is due in between waits until then.
const CLOSEST: Duration = Duration::from_micros(50);

/// Waits for moments, one after the other.
pub(super) struct Alarm(AsyncFd<Timer>);

struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Alarm {
    /// One for the tasks of this thread.
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        #[expect(
            deprecated,
            reason = "the way without this is unsafe code; what is registered here owns its descriptor"
        )]
        AsyncFd::with_interest(Timer(timer), Interest::READABLE).map(Self)
    }

    /// Waits until then. If nobody waits any more, nothing rings.
    pub(super) async fn wait_until(&self, at: Instant) -> io::Result<()> {
        let mut left = at.saturating_duration_since(Instant::now());
        while !left.is_zero() {
            let time = Expiration::OneShot(TimeSpec::from_duration(left.max(CLOSEST)));
            self.0.get_ref().0.set(time, TimerSetTimeFlags::empty())?;
            let mut rung = self.0.readable().await?;
            // Setting it once more also takes away that it has rung.
            rung.clear_ready();
            left = at.saturating_duration_since(Instant::now());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_alarm_rings_when_it_should_and_again() {
        let alarm = Alarm::new().unwrap();
        for span in [0, 100, 3_000, 10, 20_000] {
            let at = Instant::now() + Duration::from_micros(span);
            alarm.wait_until(at).await.unwrap();
            assert!(Instant::now() >= at, "{span}");
        }
    }

    #[tokio::test]
    async fn an_alarm_that_was_given_up_does_not_ring_for_the_next() {
        let alarm = Alarm::new().unwrap();
        for _ in 0..3 {
            let soon = Instant::now() + Duration::from_millis(1);
            let late = Instant::now() + Duration::from_millis(30);
            tokio::select! {
                biased;
                _ = alarm.wait_until(soon) => {}
                () = std::future::ready(()) => {}
            }
            alarm.wait_until(late).await.unwrap();
            assert!(Instant::now() >= late);
        }
    }
}
