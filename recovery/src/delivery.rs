//! [`DeliverySample`]: at which rate the path delivered, measured at each acknowledgement (draft-ietf-ccwg-bbr,
//! "Delivery Rate Samples").

use core::time::Duration;

use codec::Time;

/// How much was delivered in how long, as one ACK shows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeliverySample {
    /// Bytes delivered in the interval: RS.delivered.
    pub delivered: u64,
    /// How long that took: the longer of sending them and hearing of them. RS.interval; never shorter than the
    /// least round trip.
    pub interval: Duration,
    /// The rate may say more about the application than about the path: RS.is_app_limited.
    pub application_limited: bool,
    /// Bytes that had been delivered when the newest acknowledged packet was sent: RS.prior_delivered.
    pub prior_delivered: u64,
    /// Bytes delivered up to now, over the life of the connection: C.delivered.
    pub total_delivered: u64,
    /// Bytes in flight just after the newest acknowledged packet was sent: RS.tx_in_flight.
    pub in_flight_at_send: u64,
    /// Bytes declared lost between the sending of the newest acknowledged packet and now: RS.lost.
    pub lost: u64,
}

impl DeliverySample {
    /// Bytes a second: RS.delivery_rate. Zero if no time passed.
    pub fn rate(&self) -> u64 {
        let bytes = u128::from(self.delivered).saturating_mul(1_000_000_000);
        bytes.checked_div(self.interval.as_nanos()).map_or(0, |rate| u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

/// What a packet remembers of the moment it was sent (the draft's per-packet state).
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtSend {
    delivered: u64,
    lost: u64,
    delivered_at: Time,
    first_sent_at: Time,
    in_flight_and_limited: u64,
}

impl AtSend {
    /// Of a number that was never sent.
    pub(crate) const NONE: Self =
        Self { delivered: 0, lost: 0, delivered_at: Time::ZERO, first_sent_at: Time::ZERO, in_flight_and_limited: 0 };

    // One word for two: a small field that was just stored would hold up who copies the whole.
    const LIMITED: u64 = 1 << 63;

    const fn in_flight(&self) -> u64 {
        self.in_flight_and_limited & !Self::LIMITED
    }

    const fn application_limited(&self) -> bool {
        self.in_flight_and_limited & Self::LIMITED != 0
    }
}

/// The draft's per-connection state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivery {
    delivered: u64,
    lost: u64,
    delivered_at: Time,
    first_sent_at: Time,
    /// Once so much is delivered, samples speak of the path again; zero if they do.
    application_limited_until: u64,
}

impl Delivery {
    /// A packet of `bytes` leaves at `at`, while `in_flight` bytes are under way.
    pub(crate) fn on_sent(&mut self, at: Time, bytes: u64, in_flight: u64) -> AtSend {
        if in_flight == 0 {
            self.first_sent_at = at;
            self.delivered_at = at;
        }
        let limited = if self.application_limited_until == 0 { 0 } else { AtSend::LIMITED };
        AtSend {
            delivered: self.delivered,
            lost: self.lost,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            in_flight_and_limited: in_flight.saturating_add(bytes).min(!AtSend::LIMITED) | limited,
        }
    }

    pub(crate) const fn on_lost(&mut self, bytes: u64) {
        self.lost = self.lost.saturating_add(bytes);
    }

    /// `bytes` were newly acknowledged; of those packets, `newest` was the last to be sent, at `sent_at`.
    pub(crate) fn on_acknowledged(
        &mut self,
        bytes: u64,
        newest: AtSend,
        sent_at: Time,
        now: Time,
        minimum_rtt: Duration,
    ) -> Option<DeliverySample> {
        self.delivered = self.delivered.saturating_add(bytes);
        let ack_elapsed = now.saturating_since(newest.delivered_at);
        let send_elapsed = sent_at.saturating_since(newest.first_sent_at);
        self.delivered_at = now;
        self.first_sent_at = sent_at;
        if self.delivered > self.application_limited_until {
            self.application_limited_until = 0;
        }
        let interval = send_elapsed.max(ack_elapsed);
        // Shorter than the path can be: several acknowledgements came at once, and the rate would be too high.
        (interval >= minimum_rtt && !interval.is_zero()).then(|| DeliverySample {
            delivered: self.delivered.saturating_sub(newest.delivered),
            interval,
            application_limited: newest.application_limited(),
            prior_delivered: newest.delivered,
            total_delivered: self.delivered,
            in_flight_at_send: newest.in_flight(),
            lost: self.lost.saturating_sub(newest.lost),
        })
    }

    /// There is nothing to send although more could be in flight.
    pub(crate) fn on_application_limited(&mut self, in_flight: u64) {
        self.application_limited_until = self.delivered.saturating_add(in_flight).max(1);
    }

    pub(crate) const fn is_application_limited(&self) -> bool {
        self.application_limited_until != 0
    }

    /// A new path: what was delivered stays counted, the clock starts again.
    pub(crate) const fn restart_path(&mut self, now: Time) {
        self.delivered_at = now;
        self.first_sent_at = now;
        self.application_limited_until = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Time {
        Time::from_nanos(milliseconds * 1_000_000)
    }

    #[test]
    fn a_paced_flow_is_measured_at_its_rate() {
        let mut delivery = Delivery::default();
        // 1,000 bytes every 10 ms, acknowledged 50 ms later: 100,000 bytes a second.
        let mut sent = alloc::vec::Vec::new();
        let mut last = None;
        for step in 0..20_u64 {
            if let Some(acknowledged) = step.checked_sub(5) {
                let packet = sent[usize::try_from(acknowledged).unwrap()];
                let rtt = Duration::from_millis(50);
                last = delivery.on_acknowledged(1000, packet, at(acknowledged * 10), at(step * 10), rtt);
            }
            sent.push(delivery.on_sent(at(step * 10), 1000, step.min(5) * 1000));
        }
        let last = last.unwrap();
        assert_eq!(last.rate(), 100_000);
        assert_eq!(last.total_delivered, 15_000);
        assert!(!last.application_limited);
    }

    #[test]
    fn an_interval_shorter_than_the_path_gives_no_sample() {
        let mut delivery = Delivery::default();
        let packet = delivery.on_sent(at(0), 1000, 0);
        assert_eq!(delivery.on_acknowledged(1000, packet, at(0), at(5), Duration::from_millis(6)), None);
    }

    #[test]
    fn time_without_anything_in_flight_does_not_lower_the_rate() {
        let mut delivery = Delivery::default();
        let first = delivery.on_sent(at(0), 1000, 0);
        delivery.on_acknowledged(1000, first, at(0), at(10), Duration::ZERO);
        let later = delivery.on_sent(at(5000), 1000, 0);
        let sample = delivery.on_acknowledged(1000, later, at(5000), at(5010), Duration::ZERO).unwrap();
        assert_eq!((sample.delivered, sample.interval), (1000, Duration::from_millis(10)));
    }

    #[test]
    fn packets_of_an_idle_application_are_marked_until_they_are_delivered() {
        let mut delivery = Delivery::default();
        delivery.on_application_limited(0);
        let limited = delivery.on_sent(at(0), 1000, 0);
        let sample = delivery.on_acknowledged(1000, limited, at(0), at(10), Duration::ZERO).unwrap();
        assert!(sample.application_limited);
        assert!(!delivery.is_application_limited());
        let free = delivery.on_sent(at(20), 1000, 0);
        assert!(!delivery.on_acknowledged(1000, free, at(20), at(30), Duration::ZERO).unwrap().application_limited);
    }

    #[test]
    fn bytes_lost_meanwhile_are_told() {
        let mut delivery = Delivery::default();
        let packet = delivery.on_sent(at(0), 1000, 3000);
        delivery.on_lost(2000);
        let sample = delivery.on_acknowledged(1000, packet, at(0), at(10), Duration::ZERO).unwrap();
        assert_eq!((sample.lost, sample.in_flight_at_send), (2000, 4000));
    }

    #[test]
    fn absurd_numbers_saturate() {
        let mut delivery = Delivery { delivered: u64::MAX - 1, lost: u64::MAX, ..Delivery::default() };
        let packet = delivery.on_sent(Time::ZERO, u64::MAX, u64::MAX);
        delivery.on_lost(u64::MAX);
        delivery.on_application_limited(u64::MAX);
        let sample = delivery.on_acknowledged(u64::MAX, packet, Time::MAX, Time::from_nanos(1), Duration::ZERO);
        assert!(sample.is_some());
        let sample = DeliverySample { delivered: u64::MAX, interval: Duration::from_nanos(1), ..sample.unwrap() };
        assert_eq!(sample.rate(), u64::MAX);
        assert_eq!(DeliverySample { interval: Duration::ZERO, ..sample }.rate(), 0);
    }
}
