//! [`Alarm`]: wakes an actor at a time, to well under a millisecond.
//!
//! Tokio's own timer counts milliseconds, which is too coarse for pacing and makes loss detection late (measured:
//! `docs/adr/0003-timer-source.md`). Paused time, on the other hand, only tokio's timer knows; tests use that.

use std::cell::RefCell;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use codec::Time;
use futures_core::Stream;
use tokio::time::Sleep;

use crate::clock;

/// One alarm, set again and again.
#[derive(Debug)]
pub(crate) struct Alarm {
    source: Source,
    wanted: Option<Time>,
    /// When the source will fire; it may be earlier than wanted, never later.
    armed: Option<Time>,
}

enum Source {
    #[cfg(target_os = "linux")]
    Timerfd(tokio::io::unix::AsyncFd<KernelTimer>),
    Virtual(Pin<Box<Sleep>>),
}

impl Alarm {
    /// The kernel's timer; where there is none, tokio's.
    pub(crate) fn new() -> Self {
        Self::over(Source::timerfd().unwrap_or_else(Source::of_tokio))
    }

    /// Tokio's timer, which follows paused time.
    pub(crate) fn of_tokio() -> Self {
        Self::over(Source::of_tokio())
    }

    const fn over(source: Source) -> Self {
        Self { source, wanted: None, armed: None }
    }

    /// Wakes at this time instead of any before; `None` does not wake.
    ///
    /// The system call is made when the alarm is polled next, at most one however often it was set again. One that is
    /// only put off costs none: it will wake for nothing once.
    pub(crate) const fn set(&mut self, at: Option<Time>) {
        self.wanted = at;
    }

    /// Ready at the time that was set, or later: the time it is. Then it has to be set again.
    pub(crate) fn poll_fired(&mut self, cx: &mut Context<'_>) -> Poll<Time> {
        loop {
            if let Some(wanted) = self.wanted {
                let now = clock::now();
                if wanted <= now {
                    self.wanted = None;
                    // It may have fired, too; it is to be set anew in any case.
                    self.armed = self.armed.filter(|armed| *armed > now);
                    return Poll::Ready(now);
                }
                if self.armed.is_none_or(|armed| wanted < armed) {
                    self.source.arm(wanted, now);
                    self.armed = Some(wanted);
                }
            }
            if self.armed.is_none() || self.source.poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.armed = None;
        }
    }
}

impl Source {
    #[cfg(target_os = "linux")]
    #[expect(deprecated, reason = "its worry is a descriptor that changes or is closed meanwhile; this one is owned")]
    fn timerfd() -> Option<Self> {
        use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
        use tokio::io::{Interest, unix::AsyncFd};
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).ok()?;
        AsyncFd::with_interest(KernelTimer(timer), Interest::READABLE).ok().map(Self::Timerfd)
    }

    #[cfg(not(target_os = "linux"))]
    const fn timerfd() -> Option<Self> {
        None
    }

    fn of_tokio() -> Self {
        Self::Virtual(Box::pin(tokio::time::sleep(std::time::Duration::ZERO)))
    }

    fn arm(&mut self, at: Time, now: Time) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Timerfd(timer) => {
                use nix::sys::timerfd::{Expiration, TimerSetTimeFlags};
                // Counted from a reading before the call, so it is late by the time in between, never early. Zero would
                // switch it off, and `at` lies in the future.
                let expiration = Expiration::OneShot((at - now).into());
                // The arguments are valid; if the kernel refuses all the same, nothing better is left than to wait for what
                // is armed.
                timer.get_ref().0.set(expiration, TimerSetTimeFlags::empty()).ok();
            }
            Self::Virtual(sleep) => {
                debug_assert!(at > now, "what is due is not waited for");
                sleep.as_mut().reset(clock::instant(at));
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Timerfd(timer) => loop {
                let Poll::Ready(Ok(mut guard)) = timer.poll_read_ready(cx) else { return Poll::Pending };
                let fired = timer.get_ref().0.wait().is_ok();
                guard.clear_ready();
                if fired {
                    return Poll::Ready(());
                }
            },
            Self::Virtual(sleep) => sleep.as_mut().poll(cx),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(target_os = "linux")]
            Self::Timerfd(_) => "Timerfd",
            Self::Virtual(_) => "Virtual",
        })
    }
}

/// A `timerfd` that tokio can wait for.
#[cfg(target_os = "linux")]
struct KernelTimer(nix::sys::timerfd::TimerFd);

#[cfg(target_os = "linux")]
impl std::os::fd::AsRawFd for KernelTimer {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        use std::os::fd::AsFd as _;
        self.0.as_fd().as_raw_fd()
    }
}

/// The alarm went off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AlarmFired {
    /// What time it is.
    pub(crate) now: Time,
}

/// An alarm as a stream for an actor's context. The actor keeps a clone to set it.
#[derive(Clone, Debug)]
pub(crate) struct Alarms(Rc<RefCell<Alarm>>);

impl Alarms {
    pub(crate) fn new(alarm: Alarm) -> Self {
        Self(Rc::new(RefCell::new(alarm)))
    }

    /// See [`Alarm::set`]. Call it in handlers of messages and of this stream: only after those it is polled.
    pub(crate) fn set(&self, at: Option<Time>) {
        self.0.borrow_mut().set(at);
    }
}

impl Stream for Alarms {
    type Item = AlarmFired;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<AlarmFired>> {
        self.0.borrow_mut().poll_fired(cx).map(|now| Some(AlarmFired { now }))
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use super::*;
    use crate::recorder::{paused, running};

    async fn fired(alarm: &mut Alarm) -> Time {
        poll_fn(|cx| alarm.poll_fired(cx)).await
    }

    #[test]
    fn virtual_time_fires_at_the_time_set_and_not_before() {
        paused(async {
            let mut alarm = Alarm::of_tokio();
            let begin = clock::now();
            for milliseconds in [5, 1, 700] {
                let at = clock::now() + Duration::from_millis(milliseconds);
                alarm.set(Some(at));
                assert!(fired(&mut alarm).await >= at);
            }
            assert!(clock::now() - begin < Duration::from_millis(710));
        });
    }

    #[test]
    fn an_alarm_set_to_earlier_fires_earlier_and_one_put_off_later() {
        paused(async {
            let mut alarm = Alarm::of_tokio();
            let begin = clock::now();
            alarm.set(Some(begin + Duration::from_secs(10)));
            assert!(poll_fn(|cx| Poll::Ready(alarm.poll_fired(cx).is_pending())).await);
            alarm.set(Some(begin + Duration::from_secs(1)));
            assert_eq!(fired(&mut alarm).await - begin, Duration::from_secs(1));
            alarm.set(Some(begin + Duration::from_secs(2)));
            assert!(poll_fn(|cx| Poll::Ready(alarm.poll_fired(cx).is_pending())).await);
            alarm.set(Some(begin + Duration::from_secs(5)));
            assert_eq!(fired(&mut alarm).await - begin, Duration::from_secs(5));
        });
    }

    #[test]
    fn what_is_past_fires_at_once() {
        paused(async {
            let mut alarm = Alarm::of_tokio();
            let now = clock::now();
            alarm.set(Some(now.saturating_before(Duration::from_secs(1))));
            assert_eq!(fired(&mut alarm).await, now);
        });
    }

    #[test]
    fn an_alarm_that_is_not_set_does_not_fire() {
        paused(async {
            let mut alarm = Alarm::of_tokio();
            alarm.set(Some(clock::now() + Duration::from_millis(1)));
            assert!(poll_fn(|cx| Poll::Ready(alarm.poll_fired(cx).is_pending())).await);
            alarm.set(None);
            let timeout = tokio::time::timeout(Duration::from_secs(1), fired(&mut alarm)).await;
            assert!(timeout.is_err());
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernels_timer_is_never_early() {
        running(async {
            let mut alarm = Alarm::new();
            assert!(matches!(alarm.source, Source::Timerfd(_)));
            for microseconds in [200, 1, 50, 3_000] {
                let at = clock::now() + Duration::from_micros(microseconds);
                alarm.set(Some(at));
                assert!(fired(&mut alarm).await >= at);
            }
            let soon = clock::now() + Duration::from_millis(2);
            alarm.set(Some(soon));
            assert!(poll_fn(|cx| Poll::Ready(alarm.poll_fired(cx).is_pending())).await);
            // Put off: the kernel's timer fires for nothing and is armed again.
            let later = soon + Duration::from_millis(2);
            alarm.set(Some(later));
            assert!(fired(&mut alarm).await >= later);
        });
    }
}
