//! [`Sample`]: the draft's rate sample, of a turn.

use core::time::Duration;

use codec::Time;

use super::Bbr;
use crate::Observed;

/// What a turn with acknowledgements says: the draft's rate sample, RS, and the connection's state as of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) now: Time,
    /// RS.newly_acked, in bytes.
    pub(super) newly_acked: u64,
    /// When the newest of the packets was sent.
    pub(super) sent_at: Option<Time>,
    /// RS.rtt.
    pub(super) rtt: Option<Duration>,
    /// RS.delivery_rate, in bytes a second; 0 if the turn gave none.
    pub(super) rate: u64,
    /// RS.delivered, in bytes.
    pub(super) delivered: u64,
    /// RS.is_app_limited.
    pub(super) application_limited: bool,
    /// The packet was sent in ProbeRTT or in the round after it.
    pub(super) is_held_back: bool,
    /// RS.tx_in_flight, in bytes.
    pub(super) in_flight_when_sent: u64,
    /// RS.lost, with what was marked, in bytes.
    pub(super) lost: u64,
    /// C.inflight after these acknowledgements, in bytes.
    pub(super) in_flight: u64,
    /// C.inflight before them had reached BBR.inflight_longterm.
    pub(super) has_reached_longterm: bool,
}

impl Bbr {
    /// The turn's rate sample.
    pub(super) fn sample(&self, observed: &Observed) -> Sample {
        let sent = self.flight.at(observed.acknowledged_sent_at());
        let delivery = observed.delivery.unwrap_or_default();
        let in_flight_when_sent =
            if delivery.in_flight_when_sent > 0 { delivery.in_flight_when_sent } else { sent.in_flight };
        let is_held_back = observed.largest_acknowledged_sent_at.is_some_and(|sent_at| self.held_back.covers(sent_at));
        Sample {
            now: observed.now,
            newly_acked: observed.acknowledged_bytes,
            sent_at: observed.largest_acknowledged_sent_at,
            rtt: observed.rtt_sample,
            rate: delivery.rate,
            delivered: delivery.delivered,
            application_limited: self.is_application_limited || is_held_back,
            is_held_back,
            in_flight_when_sent,
            lost: delivery.lost.max(self.lost.saturating_sub(sent.lost)),
            in_flight: observed.bytes_in_flight,
            has_reached_longterm: self.has_reached(observed, self.inflight_longterm),
        }
    }
}
