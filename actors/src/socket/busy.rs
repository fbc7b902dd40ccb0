//! [`BusyPoll`]: looking again and again for a while instead of sleeping.
//!
//! Going to sleep and being woken is half of the latency of a lone request. For a bounded time after the last datagram, sent
//! or received, the socket is read without waiting for the kernel to say that there is something; the thread's other
//! tasks run in between. It burns the processor that it waits on, so it is off unless it is asked for.

use std::task::Waker;
use std::time::Duration;

use codec::Time;

use crate::clock;

#[derive(Debug)]
pub(super) struct BusyPoll {
    /// Zero: never.
    span: Duration,
    until: Time,
    /// Who waits for the kernel, and would rather look.
    sleeper: Option<Waker>,
}

impl BusyPoll {
    pub(super) const fn new(span: Duration) -> Self {
        Self { span, until: Time::ZERO, sleeper: None }
    }

    /// Whether to look again at once.
    pub(super) fn is_on(&self) -> bool {
        !self.span.is_zero() && clock::now() < self.until
    }

    /// A datagram came or went: an answer may follow soon.
    pub(super) fn stir(&mut self) {
        if !self.span.is_zero() {
            self.until = clock::now() + self.span;
            if let Some(sleeper) = self.sleeper.take() {
                sleeper.wake();
            }
        }
    }

    /// The reader goes to sleep.
    pub(super) fn sleep(&mut self, sleeper: &Waker) {
        if !self.span.is_zero() {
            self.sleeper = Some(sleeper.clone());
        }
    }
}
