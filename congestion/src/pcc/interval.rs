//! [`Intervals`]: monitor intervals, from the sending of their first packet to the fate of their last.

use core::time::Duration;

use codec::Time;

use super::utility::{Measured, Regression, Utility};
use crate::Observed;

/// So many intervals can wait for their acknowledgements; while they do, the last one is prolonged.
pub(super) const MAXIMUM_INTERVALS: usize = 12;
/// An interval in which less than this part of the rate was sent says nothing about the rate. Half of it may be missing because
/// timers are coarse ...
const USED: f64 = 0.5;
/// ... but not an eighth where the delivery samples do not say whether the application was the limit.
const USED_BLINDLY: f64 = 0.875;
/// After the last packet of an interval, packets of so much of an RTT have to be heard of before its losses are all known.
const REORDERING_DIVISOR: u32 = 8;

/// What an interval is sent for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Purpose {
    /// Counts the decisions; what was sent for an earlier one is of no interest any more.
    pub decision: u64,
    /// Which of the decision's intervals it is; `None` while the decision waits for the others.
    pub trial: Option<usize>,
}

/// One monitor interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    pub purpose: Purpose,
    /// Bytes a second.
    pub rate: f64,
    pub start: Time,
    end: Option<Time>,
    sent: u64,
    acknowledged_bytes: u64,
    acknowledged_packets: u64,
    lost_bytes: u64,
    lost_packets: u64,
    marked_packets: u64,
    /// RTT over sending time, both in seconds.
    rtt: Regression,
    /// The sending time of the latest point of it.
    heard_until: f64,
    /// Whether the application was the limit when a packet was sent; `None` if no packet told.
    limited: Option<bool>,
}

/// An interval whose packets have all been heard of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finished {
    pub purpose: Purpose,
    /// `None` if the application or the window, not the rate, limited what was sent.
    pub measured: Option<Measured>,
}

impl Interval {
    fn new(purpose: Purpose, rate: f64, start: Time) -> Self {
        Self {
            purpose,
            rate,
            start,
            end: None,
            sent: 0,
            acknowledged_bytes: 0,
            acknowledged_packets: 0,
            lost_bytes: 0,
            lost_packets: 0,
            marked_packets: 0,
            rtt: Regression::default(),
            heard_until: 0.0,
            limited: None,
        }
    }

    fn is_known(&self, latest_heard: Option<Time>, rtt: Duration) -> bool {
        let Some(end) = self.end else { return false };
        let all = self.acknowledged_bytes.saturating_add(self.lost_bytes) >= self.sent;
        latest_heard.is_some_and(|heard| heard >= end + rtt / REORDERING_DIVISOR || (all && heard >= end))
    }

    /// What is known of it by now, whether or not all of it is.
    pub(super) fn measure(&self, utility: &Utility, minimum: f64) -> Measured {
        let packets = self.acknowledged_packets.saturating_add(self.lost_packets) as f64;
        let bad = self.lost_packets.saturating_add(self.marked_packets) as f64;
        let loss = (bad / packets.max(1.0)).min(1.0);
        let marks = (self.marked_packets as f64 / packets.max(1.0)).min(1.0);
        Measured {
            rate: self.rate,
            packets,
            loss,
            marks,
            gradient: utility.slope(&self.rtt, self.heard_until),
            standing: self.rtt.mean_y() / minimum.max(1e-6) - 1.0,
        }
    }

    /// Whether what was sent is what the rate is: neither the application nor the window held it back.
    ///
    /// [`Observed::application_limited`] is not asked: who waits for the pacer does not fill the window, and is not limited.
    fn is_used(&self) -> bool {
        match self.limited {
            Some(limited) => !limited && self.has_sent(self.end, USED),
            None => self.has_sent(self.end, USED_BLINDLY),
        }
    }

    /// Whether this part of the rate was sent up to that moment.
    fn has_sent(&self, until: Option<Time>, part: f64) -> bool {
        let seconds = until.unwrap_or(self.start).saturating_since(self.start).as_secs_f64();
        self.sent as f64 >= self.rate * seconds * part
    }
}

/// The interval that is being sent and those whose acknowledgements are still to come, in the order of sending.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intervals {
    ring: [Interval; MAXIMUM_INTERVALS],
    first: usize,
    count: usize,
    bytes_in_flight: u64,
    /// When the latest-sent packet was sent whose fate is known.
    latest_heard: Option<Time>,
}

impl Intervals {
    pub(super) fn new(now: Time, rate: f64, bytes_in_flight: u64) -> Self {
        let interval = Interval::new(Purpose::default(), rate, now);
        Self { ring: [interval; MAXIMUM_INTERVALS], first: 0, count: 1, bytes_in_flight, latest_heard: None }
    }

    fn at(&mut self, place: usize) -> &mut Interval {
        let index = (self.first + place) % MAXIMUM_INTERVALS;
        &mut self.ring[index]
    }

    /// The one that is being sent.
    pub(super) fn current(&mut self) -> &mut Interval {
        self.at(self.count.saturating_sub(1))
    }

    /// The one that was sent when this packet was; packets from before the first belong to none.
    fn of(&mut self, sent_at: Time) -> Option<&mut Interval> {
        let place = (0..self.count).rev().find(|place| self.at(*place).start <= sent_at)?;
        let interval = self.at(place);
        // A gap is possible only at the front, where finished ones were taken away.
        interval.end.is_none_or(|end| sent_at < end).then_some(interval)
    }

    /// Adds a turn to the intervals to which it belongs: to the current one what was sent since the last turn, to those in
    /// which they were sent the packets acknowledged and lost.
    ///
    /// A turn tells the sending time of one packet only, so at the edge of two intervals a turn's packets count for the later one.
    pub(super) fn on_observed(&mut self, observed: &Observed) {
        let sent = observed.prior_in_flight.saturating_sub(self.bytes_in_flight);
        self.bytes_in_flight = observed.bytes_in_flight;
        let current = self.current();
        current.sent = current.sent.saturating_add(sent);
        if observed.acknowledged_packets > 0 {
            let sent_at = observed.acknowledged_sent_at();
            self.latest_heard = self.latest_heard.max(Some(sent_at));
            if let Some(interval) = self.of(sent_at) {
                interval.acknowledged_bytes = interval.acknowledged_bytes.saturating_add(observed.acknowledged_bytes);
                interval.acknowledged_packets =
                    interval.acknowledged_packets.saturating_add(observed.acknowledged_packets);
                // What arrived after all was not lost.
                interval.lost_packets = interval.lost_packets.saturating_sub(observed.spurious);
                if let Some(delivery) = observed.delivery {
                    interval.limited = Some(interval.limited.unwrap_or(false) || delivery.application_limited);
                }
                interval.marked_packets = interval.marked_packets.saturating_add(observed.ecn_ce);
                if let Some(sample) = observed.rtt_sample {
                    let since = sent_at.saturating_since(interval.start).as_secs_f64();
                    interval.rtt.add(since, sample.min(MAXIMUM_RTT).as_secs_f64());
                    interval.heard_until = interval.heard_until.max(since);
                }
            }
        }
        if observed.has_loss() {
            let sent_at = observed.lost_sent_at();
            self.latest_heard = self.latest_heard.max(Some(sent_at));
            if let Some(interval) = self.of(sent_at) {
                interval.lost_bytes = interval.lost_bytes.saturating_add(observed.lost_bytes);
                interval.lost_packets = interval.lost_packets.saturating_add(observed.lost_packets.max(1));
            }
        }
    }

    /// Takes away the oldest interval if all of it is known, within what reordering `rtt` leaves room for.
    pub(super) fn poll_finished(&mut self, utility: &Utility, rtt: Duration, minimum: f64) -> Option<Finished> {
        let latest_heard = self.latest_heard;
        let oldest = *self.at(0);
        if !oldest.is_known(latest_heard, rtt) {
            return None;
        }
        self.first = (self.first + 1) % MAXIMUM_INTERVALS;
        self.count -= 1;
        let measured = (oldest.is_used() && oldest.acknowledged_packets.saturating_add(oldest.lost_packets) > 0)
            .then(|| oldest.measure(utility, minimum));
        Some(Finished { purpose: oldest.purpose, measured })
    }

    /// The oldest interval that was sent for this decision, if any of it was heard of.
    pub(super) fn oldest_of(&mut self, decision: u64) -> Option<Interval> {
        let places = 0..self.count;
        let found = places.map(|place| *self.at(place));
        found.into_iter().find(|interval| {
            interval.purpose.decision == decision
                && interval.purpose.trial.is_some()
                && interval.rtt != Regression::default()
        })
    }

    /// Whether one more would make the oldest be forgotten.
    pub(super) const fn is_full(&self) -> bool {
        self.count >= MAXIMUM_INTERVALS
    }

    /// Ends the current interval and begins another.
    pub(super) fn begin(&mut self, now: Time, purpose: Purpose, rate: f64) {
        self.current().end = Some(now);
        if self.is_full() {
            self.first = (self.first + 1) % MAXIMUM_INTERVALS;
        } else {
            self.count += 1;
        }
        *self.current() = Interval::new(purpose, rate, now);
    }

    /// Bytes sent in the current interval, as of the last turn.
    pub(super) fn sent(&mut self) -> u64 {
        self.current().sent
    }

    /// Whether the rate of the current interval was made use of up to now.
    pub(super) fn is_current_used(&mut self, now: Time) -> bool {
        self.current().has_sent(Some(now), USED)
    }
}

/// Longer samples are taken as this long, so that sums of their squares stay numbers.
pub(super) const MAXIMUM_RTT: Duration = Duration::from_secs(3600);
