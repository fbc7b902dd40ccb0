//! [`Observed`]: everything a controller ever hears.

use core::time::Duration;

use codec::Time;

/// What one turn showed of the path, or several quiet ones together.
///
/// Losses, ECN marks, spurious losses, and acknowledgements of a window that was full or of a sender that waits for the
/// pacer are told in their turn. Acknowledgements of a window that was not full may be kept for up to seven turns, or until
/// the connection rests, and told with what follows: bytes and packets are sums then, the RTT sample is the last one, and
/// the delivery sample the fastest.
///
/// Bytes are those of packets that count as in flight (RFC 9002 §2): UDP payload, without IP and UDP headers. PMTU probes
/// count as acknowledged but their loss is not reported here (RFC 9000 §14.4).
///
/// Two things a controller often wants are not fields because they follow from these: a *round trip* has passed when
/// `largest_acknowledged_sent_at` is not before the moment the round began ([`PathModel`](crate::PathModel) does it), and the
/// bytes *sent* since the last turn are `prior_in_flight` less the last turn's `bytes_in_flight`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observed {
    /// The moment of the turn, of several that of the last; not before that of the last report.
    pub now: Time,
    /// Bytes newly acknowledged.
    pub acknowledged_bytes: u64,
    /// Packets newly acknowledged.
    pub acknowledged_packets: u64,
    /// When the latest-sent of the newly acknowledged packets was sent.
    pub largest_acknowledged_sent_at: Option<Time>,
    /// Bytes newly declared lost.
    pub lost_bytes: u64,
    /// Packets newly declared lost.
    pub lost_packets: u64,
    /// When the latest-sent of the packets newly declared lost was sent.
    pub largest_lost_sent_at: Option<Time>,
    /// These losses establish persistent congestion (RFC 9002 §7.6).
    pub persistent_congestion: bool,
    /// By how much the peer's count of packets marked Congestion Experienced grew; 0 while ECN is not validated.
    pub ecn_ce: u64,
    /// Newly acknowledged packets that were sent ECN-capable: what `ecn_ce` is a fraction of.
    pub ecn_capable_packets: u64,
    /// Packets acknowledged in this turn that had been declared lost earlier.
    pub spurious: u64,
    /// The connection's RTT estimate after this turn.
    pub rtt: RttView,
    /// The RTT that this turn measured, without the peer's acknowledgement delay where that is known; `None` if it measured none.
    pub rtt_sample: Option<Duration>,
    /// How fast the path delivered, if this turn could tell.
    pub delivery: Option<Delivery>,
    /// Bytes in flight after this turn's acknowledgements and losses, before anything new is sent.
    pub bytes_in_flight: u64,
    /// Bytes in flight before them.
    pub prior_in_flight: u64,
    /// Since the last turn, something else than the window limited what was sent: the application, flow control, or the
    /// pacer. Whose rate is its own, so that the pacer may hold it back for long, asks
    /// [`Delivery::application_limited`] instead, which the pacer does not set (RFC 9002 §7.8).
    pub application_limited: bool,
    /// The path's maximum datagram size in bytes; 0 if it is not said.
    pub datagram_size: u16,
}

impl Observed {
    /// Whether packets were declared lost.
    pub const fn has_loss(&self) -> bool {
        self.lost_packets > 0 || self.lost_bytes > 0
    }

    /// When the latest-sent lost packet was sent; if that is not said, one smoothed RTT ago.
    pub fn lost_sent_at(&self) -> Time {
        self.largest_lost_sent_at.unwrap_or_else(|| self.now.saturating_before(self.rtt.smoothed))
    }

    /// When the packet whose acknowledgement carried a mark was sent; if that is not said, one smoothed RTT ago.
    pub fn acknowledged_sent_at(&self) -> Time {
        self.largest_acknowledged_sent_at.unwrap_or_else(|| self.now.saturating_before(self.rtt.smoothed))
    }
}

/// The connection's RTT estimate (RFC 9002 §5). Before the first sample `smoothed` is the initial guess.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RttView {
    /// The latest sample.
    pub latest: Duration,
    /// `smoothed_rtt`.
    pub smoothed: Duration,
    /// `rttvar`.
    pub variation: Duration,
    /// `min_rtt`: the least seen on this path.
    pub minimum: Duration,
}

/// One delivery-rate sample (draft-ietf-ccwg-bbr, "Delivery Rate Samples"), for the latest-sent packet acknowledged this turn.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Delivery {
    /// `delivered` over `interval`, in bytes a second.
    pub rate: u64,
    /// Bytes delivered between the sending and the acknowledgement of the packet.
    pub delivered: u64,
    /// The time that took: the longer of the sending and the acknowledging side.
    pub interval: Duration,
    /// The application held the sender back when the packet left, so the path may be faster than `rate`.
    pub application_limited: bool,
    /// All bytes delivered on this path so far.
    pub total_delivered: u64,
    /// What `total_delivered` was when the packet was sent.
    pub prior_delivered: u64,
    /// Bytes in flight when the packet was sent, itself included.
    pub in_flight_when_sent: u64,
    /// Bytes declared lost between the sending and the acknowledgement of the packet.
    pub lost: u64,
}
