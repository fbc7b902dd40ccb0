//! [`detect`]: whether one packet is lost (RFC 9002 §6.1).

use core::time::Duration;

use codec::Time;

use crate::Rtt;

/// Why a packet was declared lost: the label of metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trigger {
    /// Enough later packets were acknowledged (RFC 9002 §6.1.1).
    PacketThreshold,
    /// A later packet was acknowledged, and this one was sent long ago (RFC 9002 §6.1.2).
    TimeThreshold,
}

/// What is known of a packet that is not acknowledged although a later one is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It is lost.
    Lost(Trigger),
    /// It may only be late; it is lost if nothing is heard of it until then.
    Late {
        /// When it is lost.
        until: Time,
    },
    /// Nothing that was sent after it is acknowledged.
    Unknown,
}

/// How much reordering is tolerated before a packet counts as lost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Thresholds {
    /// How many packets later an acknowledged one must have been sent.
    pub packets: u64,
    /// How long ago a packet must have been sent.
    pub delay: Duration,
}

/// Decides about one unacknowledged packet (RFC 9002 §6.1).
///
/// For packets of one space in the order of their numbers, once the answer isn't [`Fate::Lost`] it is not for any
/// later packet either: later packets have larger numbers and were sent later.
pub fn detect(number: u64, sent_at: Time, largest_acknowledged: u64, now: Time, thresholds: Thresholds) -> Fate {
    //= https://www.rfc-editor.org/rfc/rfc9002#section-6.1
    //# The packet is unacknowledged, in flight, and was sent prior to an
    //# acknowledged packet.
    let Some(distance) = largest_acknowledged.checked_sub(number) else { return Fate::Unknown };
    if distance == 0 {
        return Fate::Unknown;
    }
    if distance >= thresholds.packets {
        return Fate::Lost(Trigger::PacketThreshold);
    }
    //= https://www.rfc-editor.org/rfc/rfc9002#section-6.1.2
    //# Once a later packet within the same packet number space has been acknowledged,
    //# an endpoint SHOULD declare an earlier packet lost if it was sent a threshold
    //# amount of time in the past.
    let until = sent_at + thresholds.delay;
    if until <= now { Fate::Lost(Trigger::TimeThreshold) } else { Fate::Late { until } }
}

/// The time threshold of a path (RFC 9002 §6.1.2): `eighths / 8` of the larger of the two estimates.
pub fn delay(rtt: &Rtt, eighths: u32, granularity: Duration) -> Duration {
    //= https://www.rfc-editor.org/rfc/rfc9002#section-6.1.2
    //# To avoid declaring packets as lost too early, this
    //# time threshold MUST be set to at least the local timer granularity, as
    //# indicated by the kGranularity constant.
    let longest = crate::rtt::nanoseconds(rtt.smoothed().max(rtt.latest()));
    let scaled = (u128::from(longest) * u128::from(eighths)) >> 3;
    Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX)).max(granularity)
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { packets: 3, delay: Duration::from_nanos(100) };

    fn at(n: u64) -> Time {
        Time::from_nanos(n)
    }

    #[test]
    fn a_packet_is_lost_when_the_third_later_one_is_acknowledged() {
        assert_eq!(detect(7, at(50), 10, at(50), THRESHOLDS), Fate::Lost(Trigger::PacketThreshold));
        assert_eq!(detect(8, at(50), 10, at(50), THRESHOLDS), Fate::Late { until: at(150) });
    }

    #[test]
    fn a_packet_is_lost_when_it_was_sent_long_before_an_acknowledged_one() {
        assert_eq!(detect(9, at(50), 10, at(149), THRESHOLDS), Fate::Late { until: at(150) });
        assert_eq!(detect(9, at(50), 10, at(150), THRESHOLDS), Fate::Lost(Trigger::TimeThreshold));
    }

    #[test]
    fn nothing_is_lost_while_nothing_later_is_acknowledged() {
        assert_eq!(detect(10, at(0), 10, Time::MAX, THRESHOLDS), Fate::Unknown);
        assert_eq!(detect(11, at(0), 10, Time::MAX, THRESHOLDS), Fate::Unknown);
    }

    #[test]
    fn a_packet_of_the_first_moment_is_not_lost_by_the_clock_starting() {
        let thresholds = Thresholds { packets: 3, delay: Duration::from_secs(1) };
        assert_eq!(detect(0, Time::ZERO, 1, at(5), thresholds), Fate::Late { until: at(1_000_000_000) });
    }

    #[test]
    fn the_delay_is_nine_eighths_of_the_larger_estimate_and_at_least_the_granularity() {
        let granularity = Duration::from_millis(1);
        let mut rtt = Rtt::new(Duration::from_millis(333));
        rtt.update(Duration::from_millis(80), Duration::ZERO, at(1));
        assert_eq!(delay(&rtt, 9, granularity), Duration::from_millis(90));
        rtt.update(Duration::from_millis(160), Duration::ZERO, at(1));
        assert_eq!(delay(&rtt, 9, granularity), Duration::from_millis(180));
        rtt.update(Duration::from_millis(8), Duration::ZERO, at(1));
        assert_eq!(delay(&rtt, 9, granularity), rtt.smoothed() * 9 / 8);
        let quick = Rtt::new(Duration::ZERO);
        assert_eq!(delay(&quick, 9, granularity), granularity);
    }

    #[test]
    fn absurd_delays_saturate() {
        let rtt = Rtt::new(Duration::MAX);
        assert_eq!(delay(&rtt, u32::MAX, Duration::ZERO), Duration::from_nanos(u64::MAX));
        let thresholds = Thresholds { packets: u64::MAX, delay: Duration::MAX };
        assert_eq!(detect(0, at(9), u64::MAX - 1, at(9), thresholds), Fate::Late { until: Time::MAX });
    }
}
