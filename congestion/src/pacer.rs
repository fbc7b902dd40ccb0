//! [`Pacer`]: a token bucket over a [`Window`] (RFC 9002 §7.7).

use core::time::Duration;

use codec::Time;

use crate::Window;
use crate::arithmetic::NANOSECONDS;

/// The process's timers may be this late; what a sender that waits for one earns meanwhile is not lost to it.
pub const TIMER_LATENESS: Duration = Duration::from_millis(2);

/// Says how many bytes may leave now, or when.
///
/// The bucket fills with the window's rate. It is full with one quantum, so that after a pause no more than that leaves at
/// once. Only while the sender is waiting for a moment that [`next_release`](Self::next_release) named does it go on filling,
/// to what the rate yields in [`TIMER_LATENESS`]: a timer that fires late does not cost throughput. From its beginning, or
/// from any pause, never more than `rate * time + quantum` leaves.
///
/// Probes and packets that only acknowledge do not ask; the bytes of those that are in flight are to be told all the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pacer {
    window: Window,
    /// Bytes times [`NANOSECONDS`]; negative after more left than there was.
    tokens: i128,
    filled_at: Time,
    waiting: bool,
    /// The turn that ended the last wait: what was earned by waiting is good for that turn only.
    released_at: Option<Time>,
}

impl Pacer {
    /// A pacer that lets everything pass until it hears of a window with a rate.
    pub fn new() -> Self {
        Self::default()
    }

    /// The window it paces by.
    pub const fn window(&self) -> Window {
        self.window
    }

    /// The rate, in bytes a second; 0 if everything passes.
    pub const fn rate(&self) -> u64 {
        self.window.pacing_rate
    }

    /// From now on this window holds. What was earned at the old rate stays earned. A quantum below one datagram counts as one
    /// datagram, since otherwise nothing could ever leave.
    pub fn set_window(&mut self, now: Time, window: Window, datagram_size: u16) {
        let was_paced = self.window.pacing_rate != 0;
        self.settle(now);
        self.window = Window { quantum: window.quantum.max(u64::from(datagram_size)).max(1), ..window };
        if !was_paced {
            self.tokens = scaled(self.window.quantum);
        }
        self.tokens = self.tokens.min(self.capacity(now));
    }

    /// How many bytes may leave now; `u64::MAX` if nothing is paced.
    pub fn available(&self, now: Time) -> u64 {
        if self.window.pacing_rate == 0 {
            return u64::MAX;
        }
        let bytes = self.tokens_at(now) / i128::from(NANOSECONDS);
        u64::try_from(bytes.max(0)).unwrap_or(u64::MAX)
    }

    /// So many bytes left. They may be more than were available; the difference has to be earned first.
    pub fn on_sent(&mut self, now: Time, bytes: u64) {
        self.settle(now);
        let deepest = -self.capacity(now);
        self.tokens = self.tokens.saturating_sub(scaled(bytes)).max(deepest);
        if self.waiting {
            self.waiting = false;
            self.released_at = Some(now);
        }
    }

    /// The first moment at which `wanted` bytes, or a quantum if that is less, may leave; `now` if they may already.
    pub fn next_release(&mut self, now: Time, wanted: u64) -> Time {
        let rate = self.window.pacing_rate;
        if rate == 0 {
            return now;
        }
        let missing = scaled(wanted.min(self.window.quantum)) - self.tokens_at(now);
        if missing <= 0 {
            return now;
        }
        // What was earned so far is settled before the bucket becomes deeper.
        self.settle(now);
        self.waiting = true;
        let rate = i128::from(rate);
        let wait = (missing + rate - 1) / rate;
        self.filled_at + Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    fn settle(&mut self, now: Time) {
        self.tokens = self.tokens_at(now);
        self.filled_at = self.filled_at.max(now);
    }

    fn tokens_at(&self, now: Time) -> i128 {
        let elapsed = i128::from(now.as_nanos().saturating_sub(self.filled_at.as_nanos()));
        let earned = i128::from(self.window.pacing_rate).saturating_mul(elapsed);
        self.tokens.saturating_add(earned).min(self.capacity(now))
    }

    fn capacity(&self, now: Time) -> i128 {
        let quantum = scaled(self.window.quantum);
        if !self.waiting && self.released_at != Some(now) {
            return quantum;
        }
        let lateness = i128::try_from(TIMER_LATENESS.as_nanos()).unwrap_or(0);
        quantum.max(i128::from(self.window.pacing_rate) * lateness)
    }
}

fn scaled(bytes: u64) -> i128 {
    i128::from(bytes) * i128::from(NANOSECONDS)
}
