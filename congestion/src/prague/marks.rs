//! The share of packets that carry a congestion mark, smoothed: Prague's and DCTCP's `alpha`.

use core::time::Duration;

use codec::Time;

use crate::Observed;
use crate::arithmetic::mul_div;

/// `alpha` has so many fractional bits.
const ALPHA_BITS: u32 = 32;
/// An `alpha` of one.
const ONE: u64 = 1 << ALPHA_BITS;
/// One in a million, the unit of [`Snapshot::ecn_rate`](crate::Snapshot::ecn_rate).
const MILLION: u64 = 1_000_000;

/// The marks of a path, as a moving average over (virtual) round trips.
///
/// Counts of packets, so that one turn with a whole window and many turns with a packet each come to the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    alpha: u64,
    /// A mark was seen on this path; before that there is nothing to average.
    pub(super) seen: bool,
    /// Of the round trip that is under way.
    marked: u64,
    capable: u64,
    since: Time,
    /// Round trips since the last one with a mark.
    pub(super) quiet: u64,
}

impl Marks {
    /// No mark so far: `alpha` is one, so that the first halves the window.
    pub(super) const fn new(now: Time) -> Self {
        Self { alpha: ONE, seen: false, marked: 0, capable: 0, since: now, quiet: 0 }
    }

    /// Goes on from an average in parts of a million.
    pub(super) fn from_rate(rate: u32, now: Time) -> Self {
        Self { alpha: mul_div(u64::from(rate), ONE, MILLION).min(ONE), seen: true, ..Self::new(now) }
    }

    /// The average in parts of a million, rounded up: a mark that was seen is never none.
    pub(super) fn rate(&self) -> u32 {
        let rate = (u128::from(self.alpha) * u128::from(MILLION)).div_ceil(u128::from(ONE));
        u32::try_from(rate).unwrap_or(u32::MAX)
    }

    /// Takes in one turn. The average moves by a `gain_divisor`th of what is new when a round trip ended with this turn and
    /// at least `least` has passed.
    pub(super) fn on_turn(&mut self, observed: &Observed, round_ended: bool, least: Duration, gain_divisor: u64) {
        if round_ended && observed.now.saturating_since(self.since) >= least {
            self.since = observed.now;
            self.average(gain_divisor.max(1));
        }
        if observed.ecn_ce > 0 {
            self.seen = true;
            self.quiet = 0;
        }
        // The peer counts every packet that arrives, so a mark may be told with more packets than this turn's, or with fewer.
        self.marked = self.marked.saturating_add(observed.ecn_ce);
        self.capable = self.capable.saturating_add(observed.ecn_capable_packets);
    }

    fn average(&mut self, gain_divisor: u64) {
        let (marked, capable) = (core::mem::take(&mut self.marked), core::mem::take(&mut self.capable));
        if !self.seen || capable.max(marked) == 0 {
            return;
        }
        self.quiet = if marked == 0 { self.quiet.saturating_add(1) } else { 0 };
        let fraction = mul_div(marked, ONE, capable.max(marked));
        self.alpha = if fraction >= self.alpha {
            self.alpha + (fraction - self.alpha) / gain_divisor
        } else {
            self.alpha - (self.alpha - fraction).div_ceil(gain_divisor)
        };
    }

    /// `window * alpha / 2`: by how much a mark reduces it.
    pub(super) fn reduction(&self, window: u64) -> u64 {
        mul_div(window, self.alpha, 2 * ONE)
    }

    /// Of so many bytes that this turn acknowledged, those that were not marked: only they are a reason to grow.
    pub(super) fn unmarked(observed: &Observed, bytes: u64) -> u64 {
        let packets = observed.ecn_capable_packets.max(observed.acknowledged_packets).max(observed.ecn_ce);
        bytes - mul_div(bytes, observed.ecn_ce, packets).min(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(milliseconds: u64, ecn_ce: u64, ecn_capable_packets: u64) -> Observed {
        let now = Time::from_nanos(milliseconds * 1_000_000);
        Observed { now, ecn_ce, ecn_capable_packets, acknowledged_packets: ecn_capable_packets, ..Observed::default() }
    }

    const NO_TIME: Duration = Duration::ZERO;

    #[test]
    fn alpha_is_one_until_a_mark_is_seen_and_then_moves_by_a_sixteenth() {
        let mut marks = Marks::new(Time::ZERO);
        for round in 1..50 {
            marks.on_turn(&turn(10 * round, 0, 100), true, NO_TIME, 16);
        }
        assert_eq!(marks.reduction(1000), 500);
        marks.on_turn(&turn(500, 25, 100), true, NO_TIME, 16);
        assert_eq!(marks.rate(), 1_000_000, "the round with the mark has not ended");
        marks.on_turn(&turn(510, 0, 100), true, NO_TIME, 16);
        // 1 + (0.25 - 1) / 16
        assert_eq!(marks.rate(), 953_125);
        marks.on_turn(&turn(520, 0, 100), true, NO_TIME, 16);
        // and nothing marked in the next: * 15/16
        assert_eq!(marks.rate(), 893_555);
        assert_eq!(marks.reduction(1_000_000), 446_777);
    }

    #[test]
    fn a_batch_and_its_packets_one_by_one_come_to_the_same() {
        let (mut batch, mut single) = (Marks::new(Time::ZERO), Marks::new(Time::ZERO));
        for round in 0..20 {
            batch.on_turn(&turn(100 * round, 10, 80), true, NO_TIME, 16);
            for packet in 0..80 {
                let marked = u64::from(packet % 8 == 0);
                single.on_turn(&turn(100 * round + packet, marked, 1), packet == 0, NO_TIME, 16);
            }
        }
        assert_eq!(batch.rate(), single.rate());
        // 1/8 + 7/8 * (15/16)^19
        assert_eq!(batch.rate(), 381_722);
    }

    #[test]
    fn short_round_trips_are_taken_together_until_a_virtual_one_has_passed() {
        let mut marks = Marks::from_rate(0, Time::ZERO);
        let virtual_rtt = Duration::from_millis(25);
        for round in 1..25 {
            marks.on_turn(&turn(round, 1, 2), true, virtual_rtt, 16);
            assert_eq!(marks.rate(), 0);
        }
        marks.on_turn(&turn(25, 1, 2), true, virtual_rtt, 16);
        assert_eq!(marks.rate(), 31_250);
    }

    #[test]
    fn alpha_reaches_its_ends() {
        let mut marks = Marks::from_rate(500_000, Time::ZERO);
        for round in 1..1000 {
            marks.on_turn(&turn(round, 0, 10), true, NO_TIME, 16);
        }
        assert_eq!(marks.rate(), 0);
        for round in 1000..3000 {
            marks.on_turn(&turn(round, 10, 10), true, NO_TIME, 16);
        }
        assert!(marks.rate() >= 999_999, "{}", marks.rate());
        marks.on_turn(&turn(4000, 0, 0), true, NO_TIME, 16);
        assert!(marks.rate() >= 999_999, "a round without packets says nothing");
        assert_eq!(Marks::from_rate(u32::MAX, Time::ZERO).rate(), 1_000_000);
    }

    #[test]
    fn marked_bytes_are_no_reason_to_grow() {
        assert_eq!(Marks::unmarked(&turn(0, 0, 10), 12_000), 12_000);
        assert_eq!(Marks::unmarked(&turn(0, 3, 10), 12_000), 8_400);
        assert_eq!(Marks::unmarked(&turn(0, 50, 10), 12_000), 0);
        assert_eq!(Marks::unmarked(&turn(0, 0, 0), 12_000), 12_000);
        assert_eq!(Marks::unmarked(&turn(0, u64::MAX, u64::MAX), u64::MAX), 0);
    }
}
