//! [`RateMeter`]: what a sender lately achieved, so that two controllers can be compared.

use core::time::Duration;

use codec::Time;

use crate::Observed;
use crate::arithmetic::{NANOSECONDS, mul_div};

/// So much busy time is in the newer of the meter's two parts; what is older than two of them is forgotten.
pub const METERED: Duration = Duration::from_secs(5);
/// No gap between two turns counts as more busy time than this: a sender that waited longer was not busy.
const LONGEST_GAP: Duration = Duration::from_secs(1);
/// One in a million, the unit of [`Rates::loss_rate`].
const MILLION: u64 = 1_000_000;

/// What a sender achieved in some time in which the network, not the application, was its limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rates {
    /// Bytes acknowledged in a second.
    pub goodput: u64,
    /// Packets lost in a million.
    pub loss_rate: u32,
    /// The smoothed RTT at the end; zero before the first sample.
    pub smoothed_rtt: Duration,
    /// How much time that was.
    pub busy: Duration,
}

/// Adds up turns. Time in which the application held the sender back does not count, and neither does what was then sent:
/// it says nothing about a controller.
#[derive(Clone, Copy, Debug)]
pub struct RateMeter {
    newer: Sums,
    older: Sums,
    last_turn: Time,
    smoothed_rtt: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    busy: Duration,
    bytes: u64,
    packets: u64,
    lost: u64,
}

impl RateMeter {
    /// Begins now.
    pub fn new(now: Time) -> Self {
        Self { newer: Sums::default(), older: Sums::default(), last_turn: now, smoothed_rtt: Duration::ZERO }
    }

    /// Takes in one turn.
    pub fn observe(&mut self, observed: &Observed) {
        let elapsed = observed.now.saturating_since(self.last_turn);
        self.last_turn = self.last_turn.max(observed.now);
        self.smoothed_rtt = observed.rtt.smoothed;
        // Who waits for the pacer did not fill the window; the delivery sample knows whether there was nothing to send.
        let limited = observed.delivery.map_or(observed.application_limited, |delivery| delivery.application_limited);
        if limited {
            return;
        }
        let sums = &mut self.newer;
        sums.busy = sums.busy.saturating_add(elapsed.min(LONGEST_GAP));
        sums.bytes = sums.bytes.saturating_add(observed.acknowledged_bytes);
        sums.lost = sums.lost.saturating_add(observed.lost_packets);
        let packets = observed.acknowledged_packets.saturating_add(observed.lost_packets);
        sums.packets = sums.packets.saturating_add(packets);
        if sums.busy >= METERED {
            self.older = core::mem::take(sums);
        }
    }

    /// What was achieved in the last five to ten busy seconds, or since it began.
    pub fn rates(&self) -> Rates {
        let busy = self.newer.busy.saturating_add(self.older.busy);
        let nanoseconds = u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX);
        let packets = self.newer.packets.saturating_add(self.older.packets);
        let lost = self.newer.lost.saturating_add(self.older.lost);
        let bytes = self.newer.bytes.saturating_add(self.older.bytes);
        Rates {
            goodput: if nanoseconds == 0 { 0 } else { mul_div(bytes, NANOSECONDS, nanoseconds) },
            loss_rate: if packets == 0 {
                0
            } else {
                u32::try_from(mul_div(lost, MILLION, packets)).unwrap_or(u32::MAX)
            },
            smoothed_rtt: self.smoothed_rtt,
            busy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Delivery;

    fn turn(milliseconds: u64, bytes: u64) -> Observed {
        Observed {
            now: Time::from_nanos(milliseconds * 1_000_000),
            acknowledged_bytes: bytes,
            acknowledged_packets: 99,
            lost_packets: 1,
            ..Observed::default()
        }
    }

    #[test]
    fn bytes_and_losses_are_put_over_busy_time() {
        let mut meter = RateMeter::new(Time::ZERO);
        assert_eq!(meter.rates(), Rates::default());
        for hundred in 1..=20 {
            meter.observe(&turn(hundred * 100, 100_000));
        }
        let rates = meter.rates();
        assert_eq!((rates.goodput, rates.loss_rate, rates.busy), (1_000_000, 10_000, Duration::from_secs(2)));
    }

    #[test]
    fn time_in_which_the_application_was_the_limit_says_nothing() {
        let mut meter = RateMeter::new(Time::ZERO);
        meter.observe(&turn(100, 100_000));
        meter.observe(&Observed { application_limited: true, ..turn(50_000, 7) });
        meter.observe(&turn(50_100, 100_000));
        assert_eq!(meter.rates().goodput, 1_000_000);
        // A sender that only waited for the pacer was busy.
        let delivery = Some(Delivery { application_limited: false, ..Delivery::default() });
        meter.observe(&Observed { application_limited: true, delivery, ..turn(50_200, 100_000) });
        assert_eq!(meter.rates().busy, Duration::from_millis(300));
        // A gap that nobody explains counts as a second.
        meter.observe(&turn(99_000, 0));
        assert_eq!(meter.rates().busy, Duration::from_millis(1300));
    }

    #[test]
    fn what_is_long_past_is_forgotten() {
        let mut meter = RateMeter::new(Time::ZERO);
        for tenth in 1..=100 {
            meter.observe(&turn(tenth * 100, 100_000));
        }
        for tenth in 101..=200 {
            meter.observe(&turn(tenth * 100, 10_000));
        }
        assert_eq!(meter.rates().goodput, 100_000);
    }
}
