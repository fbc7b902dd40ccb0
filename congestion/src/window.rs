//! [`Window`]: everything a controller ever says, and how a window becomes a pacing rate (RFC 9002 §7.2, §7.7).

use core::time::Duration;

use crate::arithmetic::{NANOSECONDS, mul_div};

/// The smallest maximum datagram size QUIC allows, in bytes (RFC 9000 §14).
pub const MINIMUM_DATAGRAM_SIZE: u16 = 1200;
/// No window is larger than this, in bytes: a tebibyte, beyond every path.
pub const MAXIMUM_WINDOW: u64 = 1 << 40;
/// What one call to the socket carries at most with segmentation offload, and so the most that leaves at once, in bytes.
pub const MAXIMUM_QUANTUM: u64 = 64 * 1024;
/// So many bursts of a controller that measures its own queue are an RTT at least.
const SHORT_QUANTA: u64 = 32;
/// A burst that the window cuts short is worth waiting for while it is less than one in so many of the window.
const PORTIONS: u64 = 4;
/// Below this RTT a path is not paced: no timer is fine enough to spread a window over it.
pub const UNPACED_BELOW: Duration = Duration::from_millis(1);

/// How much may be in flight, how fast it may leave, and in what portions.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Window {
    /// Bytes that may be in flight; never below two datagrams.
    pub congestion_window: u64,
    /// Bytes a second that may leave; 0 means that the window alone limits.
    pub pacing_rate: u64,
    /// Bytes that may leave at once, back to back; at least one datagram.
    pub quantum: u64,
}

impl Window {
    /// The window of a controller that has no rate of its own: the window spread over the RTT, a little faster than that.
    ///
    /// `ramping` is slow start, where the window doubles each RTT and so must the rate. What leaves at once is the initial
    /// window, or what the rate yields in a millisecond if that is more (`docs/adr/0007-bursts.md`).
    /// Without a sample (`None`) and on paths below [`UNPACED_BELOW`] there is no rate.
    pub fn paced(congestion_window: u64, smoothed_rtt: Option<Duration>, datagram_size: u16, ramping: bool) -> Self {
        let Some(rtt) = smoothed_rtt.filter(|rtt| *rtt >= UNPACED_BELOW) else {
            return Self {
                congestion_window,
                pacing_rate: 0,
                quantum: MAXIMUM_QUANTUM.max(minimum_window(datagram_size)),
            };
        };
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.7
        //# Using a value for N that is small, but at least 1 (for example, 1.25)
        //# ensures that variations in RTT do not result in underutilization of
        //# the congestion window.
        let quarters = if ramping { 8 } else { 5 };
        let nanoseconds = u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX).max(1);
        let pacing_rate = mul_div(congestion_window.saturating_mul(quarters) / 4, NANOSECONDS, nanoseconds).max(1);
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.7
        //# Senders SHOULD limit bursts to the initial congestion window; see
        //# Section 7.2.  A sender with knowledge that the network path to the
        //# receiver can absorb larger bursts MAY use a higher limit.
        Self { congestion_window, pacing_rate, quantum: quantum(pacing_rate, initial_window(datagram_size)) }
    }

    /// The least room in the window that is worth a burst, if more than that waits to be sent: a quantum, or a quarter of the
    /// window. In bytes. Less than a quarter free means that acknowledgements are on their way, which make room for more.
    pub fn portion(&self) -> u64 {
        self.quantum.min(self.congestion_window / PORTIONS)
    }
}

/// The portion for a rate: what it releases in a millisecond, at most [`MAXIMUM_QUANTUM`], at least `floor`. In bytes.
pub fn quantum(pacing_rate: u64, floor: u64) -> u64 {
    (pacing_rate / 1000).min(MAXIMUM_QUANTUM).max(floor)
}

/// The portion for a controller that measures the queue its own bursts make: no more than what the rate yields in a thirty-second
/// of the RTT, and only two datagrams at least. Below [`UNPACED_BELOW`] it is as any other. In bytes.
pub fn short_quantum(pacing_rate: u64, rtt: Duration, datagram_size: u16) -> u64 {
    let floor = minimum_window(datagram_size);
    if rtt < UNPACED_BELOW {
        return quantum(pacing_rate, floor);
    }
    let nanoseconds = u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX);
    quantum(pacing_rate, floor).min(mul_div(pacing_rate / SHORT_QUANTA, nanoseconds, NANOSECONDS)).max(floor)
}

/// kInitialWindow in bytes, for a maximum datagram size.
pub fn initial_window(datagram_size: u16) -> u64 {
    //= https://www.rfc-editor.org/rfc/rfc9002#section-7.2
    //# Endpoints SHOULD use an initial congestion window of ten times the
    //# maximum datagram size (max_datagram_size), while limiting the window to
    //# the larger of 14,720 bytes or twice the maximum datagram size.
    let size = u64::from(datagram_size.max(MINIMUM_DATAGRAM_SIZE));
    (10 * size).min((2 * size).max(14_720))
}

/// kMinimumWindow in bytes, for a maximum datagram size.
pub fn minimum_window(datagram_size: u16) -> u64 {
    //= https://www.rfc-editor.org/rfc/rfc9002#section-7.2
    //# The RECOMMENDED value is 2 * max_datagram_size.
    2 * u64::from(datagram_size.max(MINIMUM_DATAGRAM_SIZE))
}

#[cfg(test)]
mod tests {
    use super::*;

    //= https://www.rfc-editor.org/rfc/rfc9002#section-7.2
    //= type=test
    //# Endpoints SHOULD use an initial congestion window of ten times the
    //# maximum datagram size (max_datagram_size), while limiting the window to
    //# the larger of 14,720 bytes or twice the maximum datagram size.
    #[test]
    fn the_initial_window_is_ten_datagrams_within_bounds() {
        assert_eq!(initial_window(1200), 12_000);
        assert_eq!(initial_window(1472), 14_720);
        assert_eq!(initial_window(1500), 14_720);
        assert_eq!(initial_window(9000), 18_000);
        assert_eq!(initial_window(0), 12_000);
    }

    #[test]
    fn the_rate_is_the_window_over_the_rtt_and_a_quarter_more() {
        let window = Window::paced(100_000, Some(Duration::from_millis(100)), 1200, false);
        assert_eq!(window, Window { congestion_window: 100_000, pacing_rate: 1_250_000, quantum: 12_000 });
        let ramping = Window::paced(100_000, Some(Duration::from_millis(100)), 1200, true);
        assert_eq!(ramping, Window { congestion_window: 100_000, pacing_rate: 2_000_000, quantum: 12_000 });
    }

    //= https://www.rfc-editor.org/rfc/rfc9002#section-7.7
    //= type=test
    //# Senders SHOULD limit bursts to the initial congestion window
    #[test]
    fn the_initial_window_leaves_at_once_however_slow_the_path_is() {
        for (window, rtt) in [(2400, 10), (100_000, 5000), (1_000_000, 200)] {
            let window = Window::paced(window, Some(Duration::from_millis(rtt)), 1200, false);
            assert_eq!(window.quantum, initial_window(1200), "{window:?}");
        }
        // 40 MB/s: a millisecond of it is more.
        assert_eq!(Window::paced(320_000, Some(Duration::from_millis(10)), 1200, false).quantum, 40_000);
    }

    #[test]
    fn a_portion_is_a_quantum_of_a_large_window_and_a_quarter_of_a_small_one() {
        let window = |congestion_window| Window { congestion_window, pacing_rate: 1, quantum: 12_000 };
        assert_eq!([1_000_000, 48_000, 24_000, 2400].map(|size| window(size).portion()), [12_000, 12_000, 6000, 600]);
    }

    #[test]
    fn the_quantum_is_a_millisecond_of_the_rate_within_bounds() {
        assert_eq!(quantum(10_000_000, 2400), 10_000);
        assert_eq!(quantum(10_000, 2400), 2400);
        assert_eq!(quantum(u64::MAX, 2400), 65_536);
        assert_eq!(quantum(0, 131_070), 131_070);
    }

    #[test]
    fn a_short_quantum_is_a_thirty_second_of_the_rtt_at_most() {
        let quantum = |rate, micros| short_quantum(rate, Duration::from_micros(micros), 1200);
        // 40 MB/s: 40 kB in a millisecond, 32 ms and more have thirty-two of them.
        assert_eq!([100_000, 32_000, 16_000, 2000].map(|rtt| quantum(40_000_000, rtt)), [40_000, 40_000, 20_000, 2500]);
        assert_eq!(quantum(1_000_000, 100_000), 2400);
        assert_eq!(quantum(u64::MAX, 999), 65_536, "no timer spreads bursts over less than a millisecond");
        assert_eq!(quantum(0, 0), 2400);
        assert_eq!(short_quantum(u64::MAX, Duration::MAX, u16::MAX), 131_070);
    }

    #[test]
    fn a_path_without_a_sample_or_of_microseconds_is_not_paced() {
        for rtt in [None, Some(Duration::from_micros(999)), Some(Duration::ZERO)] {
            let window = Window::paced(100_000, rtt, 1200, true);
            assert_eq!((window.pacing_rate, window.quantum), (0, 65_536));
        }
    }

    #[test]
    fn no_window_and_no_rtt_overflows() {
        assert_eq!(Window::paced(u64::MAX, Some(Duration::MAX), u16::MAX, true).pacing_rate, 249_999_999);
        assert!(Window::paced(0, Some(Duration::MAX), 0, false).pacing_rate > 0);
    }
}
