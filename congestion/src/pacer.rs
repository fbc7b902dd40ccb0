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
    /// The turn in which something left last.
    burst_at: Option<Time>,
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

    /// Whether something left in the turn of this moment already. Who begins anew may want to wait for a whole quantum; who
    /// goes on should take what there is.
    pub fn is_bursting(&self, now: Time) -> bool {
        self.burst_at == Some(now)
    }

    /// So many bytes left. They may be more than were available; the difference has to be earned first.
    pub fn on_sent(&mut self, now: Time, bytes: u64) {
        self.settle(now);
        let deepest = -self.capacity(now);
        self.tokens = self.tokens.saturating_sub(scaled(bytes)).max(deepest);
        self.burst_at = Some(now);
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

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const SIZE: u16 = 1200;

    fn at(nanoseconds: u64) -> Time {
        Time::from_nanos(nanoseconds)
    }

    fn pacer(pacing_rate: u64, quantum: u64) -> Pacer {
        let mut pacer = Pacer::new();
        pacer.set_window(at(0), Window { congestion_window: 1 << 30, pacing_rate, quantum }, SIZE);
        pacer
    }

    #[test]
    fn without_a_rate_everything_passes() {
        let mut pacer = Pacer::new();
        assert_eq!(pacer.available(at(0)), u64::MAX);
        pacer.on_sent(at(0), 1 << 40);
        assert_eq!(pacer.available(at(0)), u64::MAX);
        assert_eq!(pacer.next_release(at(7), 1 << 20), at(7));
    }

    #[test]
    fn a_quantum_leaves_at_once_and_then_the_rate_holds() {
        let mut pacer = pacer(1_200_000, 2400);
        assert_eq!(pacer.available(at(0)), 2400);
        pacer.on_sent(at(0), 2400);
        assert_eq!(pacer.available(at(0)), 0);
        assert_eq!(pacer.next_release(at(0), 1200), at(1_000_000));
        assert_eq!(pacer.available(at(999_999)), 1199);
        assert_eq!(pacer.available(at(1_000_000)), 1200);
        assert_eq!(pacer.next_release(at(1_000_000), 1200), at(1_000_000));
    }

    #[test]
    fn a_burst_lasts_for_the_turn_in_which_it_began() {
        let mut pacer = pacer(1_200_000, 12_000);
        assert!(!pacer.is_bursting(at(0)));
        pacer.on_sent(at(0), 1200);
        assert!(pacer.is_bursting(at(0)) && !pacer.is_bursting(at(1)));
        // Also where nothing is paced: the next turn begins anew.
        let mut unpaced = Pacer::new();
        unpaced.on_sent(at(5), 1200);
        assert!(unpaced.is_bursting(at(5)) && !unpaced.is_bursting(at(6)));
    }

    #[test]
    fn a_pause_earns_one_quantum_and_no_more() {
        let mut pacer = pacer(1_200_000, 2400);
        pacer.on_sent(at(0), 2400);
        assert_eq!(pacer.available(at(3_600_000_000_000)), 2400);
    }

    #[test]
    fn what_was_earned_while_a_timer_was_late_is_not_lost_but_good_for_one_turn_only() {
        // 100 MB/s with 64 KiB at once: a timer every two milliseconds must still carry 100 MB/s.
        let rate = 100_000_000;
        let mut pacer = pacer(rate, 65_536);
        pacer.on_sent(at(0), 65_536);
        let mut sent = 0;
        for tick in 1..=500 {
            let now = at(tick * 2_000_000);
            assert!(pacer.next_release(now.min(at(tick * 2_000_000 - 1_999_999)), 65_536) < now);
            while pacer.available(now) >= u64::from(SIZE) {
                pacer.on_sent(now, u64::from(SIZE));
                sent += u64::from(SIZE);
            }
        }
        assert!(sent > rate * 99 / 100, "{sent} in a second of {rate}");
        pacer.next_release(at(1_000_000_000), 65_536);
        pacer.on_sent(at(1_002_000_000), 1);
        assert_eq!(pacer.available(at(2_000_000_000)), 65_536);
    }

    #[test]
    fn what_left_too_early_is_earned_first_but_never_more_than_a_quantum() {
        let mut pacer = pacer(1_000_000, 10_000);
        pacer.on_sent(at(0), 1 << 50);
        assert_eq!(pacer.next_release(at(0), 10_000), at(20_000_000));
    }

    #[test]
    fn a_quantum_smaller_than_a_datagram_does_not_starve() {
        let mut pacer = pacer(1_000_000, 0);
        assert_eq!(pacer.available(at(0)), u64::from(SIZE));
        pacer.on_sent(at(0), u64::from(SIZE));
        assert!(pacer.next_release(at(0), u64::from(SIZE)) < at(2_000_000));
    }

    #[test]
    fn a_new_rate_holds_from_its_moment_on() {
        let mut pacer = pacer(1_000_000, 100_000);
        pacer.on_sent(at(0), 100_000);
        let faster = Window { congestion_window: 1 << 30, pacing_rate: 10_000_000, quantum: 100_000 };
        pacer.set_window(at(1_000_000), faster, SIZE);
        assert_eq!(pacer.available(at(1_000_000)), 1000);
        assert_eq!(pacer.available(at(2_000_000)), 11_000);
        let smaller = Window { quantum: 2400, ..faster };
        pacer.set_window(at(2_000_000), smaller, SIZE);
        assert_eq!(pacer.available(at(2_000_000)), 2400);
    }

    proptest! {
        /// Whatever the schedule, at most `rate * time + quantum` leaves; and who comes back when told is never refused.
        #[test]
        fn releases_the_rate_times_the_time_and_never_starves(
            rate in 1_000_u64..10_000_000_000,
            quantum in 2_400_u64..70_000,
            steps in prop::collection::vec((0_u64..5_000_000, any::<bool>(), 1_u64..70_000), 1..200),
        ) {
            let mut pacer = pacer(rate, quantum);
            let (mut now, mut sent) = (0_u64, 0_u64);
            for (pause, patient, wanted) in steps {
                now += pause;
                if patient {
                    let release = pacer.next_release(at(now), wanted);
                    prop_assert!(release >= at(now));
                    let needed = (u128::from(wanted.min(quantum)) * 1_000_000_000).div_ceil(u128::from(rate));
                    prop_assert!(u128::from((release - at(now)).as_nanos() as u64) <= needed, "waits longer than it takes to earn it");
                    now = release.as_nanos();
                    prop_assert!(pacer.available(at(now)) >= wanted.min(quantum), "told to come back and refused");
                }
                let bytes = wanted.min(pacer.available(at(now)));
                pacer.on_sent(at(now), bytes);
                sent += bytes;
                let allowed = u128::from(rate) * u128::from(now) / 1_000_000_000 + u128::from(quantum);
                prop_assert!(u128::from(sent) <= allowed, "{sent} of {allowed}");
            }
        }

        #[test]
        fn a_sender_that_always_has_more_gets_the_whole_rate(
            rate in 10_000_u64..1_000_000_000,
            lateness in prop::collection::vec(0_u64..1_000_000, 50..100),
        ) {
            let quantum = crate::window::quantum(rate, 2400);
            let mut pacer = pacer(rate, quantum);
            // The first quantum was there from the beginning; it is not part of the rate.
            pacer.on_sent(at(0), quantum);
            let (mut now, mut sent) = (at(0), 0_u64);
            for late in lateness {
                now = pacer.next_release(now, u64::from(SIZE)) + Duration::from_nanos(late);
                while pacer.available(now) >= u64::from(SIZE) {
                    pacer.on_sent(now, u64::from(SIZE));
                    sent += u64::from(SIZE);
                }
            }
            let fair = u128::from(rate) * u128::from(now.as_nanos()) / 1_000_000_000;
            prop_assert!(u128::from(sent + u64::from(SIZE)) >= fair, "{sent} of {fair}");
        }

        #[test]
        fn no_window_and_no_time_makes_it_panic(calls: Vec<(u64, u64, u64, u64, u8)>) {
            let mut pacer = Pacer::new();
            for (now, pacing_rate, quantum, bytes, call) in calls {
                let now = at(now);
                match call % 4 {
                    0 => pacer.set_window(now, Window { congestion_window: bytes, pacing_rate, quantum }, SIZE),
                    1 => pacer.on_sent(now, bytes),
                    2 => prop_assert!(pacer.next_release(now, bytes) >= now),
                    _ => { pacer.available(now); }
                }
            }
        }
    }
}
