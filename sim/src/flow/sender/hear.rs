//! What a sender hears: acknowledgements, losses, time; and what it tells its controller of that.

use codec::Time;
use codec::frame::{self, Frame};
use congestion::{Delivery, Observed};
use recovery::Outcome;

use super::{QUIET_TURNS, SPACE, Sender, Token};

impl Sender {
    /// An ACK frame arrived.
    pub(crate) fn on_acknowledgement(&mut self, now: Time, bytes: &[u8]) {
        let mut outcome = std::mem::take(&mut self.outcome);
        let prior_in_flight = self.recovery.bytes_in_flight();
        for frame in frame::iter(bytes) {
            if let Ok(Frame::Ack(ack)) = frame {
                let result = self.recovery.on_ack(SPACE, &ack, now, &mut outcome);
                debug_assert!(result.is_ok(), "the receiver is honest: {result:?}");
            }
        }
        let is_news = outcome.largest_newly_acknowledged.is_some();
        self.apply(now, prior_in_flight, outcome);
        if is_news && !self.established {
            self.established = true;
            self.application.begin(now);
        }
    }

    /// Time has passed.
    pub(crate) fn on_deadline(&mut self, now: Time) {
        if self.wanted.is_some_and(|at| at <= now) {
            self.wanted = None;
        }
        if self.recovery.deadline(now).is_some_and(|deadline| deadline.at <= now) {
            let mut outcome = std::mem::take(&mut self.outcome);
            let prior_in_flight = self.recovery.bytes_in_flight();
            self.recovery.on_deadline(now, &mut outcome);
            self.apply(now, prior_in_flight, outcome);
        }
    }

    /// What the turns so far add up to is told to the controller, unless it may wait. Returns it, if it was.
    pub(crate) fn take_turn(&mut self, now: Time) -> Option<Observed> {
        if !std::mem::take(&mut self.has_news) {
            return None;
        }
        if self.observed_turns < QUIET_TURNS && self.is_quiet() {
            self.observed_turns += 1;
            return None;
        }
        let mut observed = self.observed.take()?;
        observed.bytes_in_flight = self.recovery.bytes_in_flight();
        if std::mem::take(&mut self.observed_turns) > 0 {
            let gone = observed.acknowledged_bytes.saturating_add(observed.lost_bytes);
            observed.prior_in_flight = observed.bytes_in_flight.saturating_add(gone);
        }
        observed.application_limited = !self.window_was_full;
        self.window_was_full = false;
        let window = self.controller.on_observed(&observed);
        self.counts.turns += 1;
        self.set_window(now, window);
        Some(observed)
    }

    /// Whether what was observed changes nothing now: see `transport`'s connection.
    fn is_quiet(&self) -> bool {
        !self.window_was_full
            && self.wanted.is_none()
            && self.observed.as_ref().is_some_and(|observed| {
                !observed.has_loss()
                    && observed.ecn_ce == 0
                    && observed.spurious == 0
                    && !observed.persistent_congestion
            })
    }

    /// Gives every token back and adds the rest up for the controller.
    fn apply(&mut self, now: Time, prior_in_flight: u64, mut outcome: Outcome<Token>) {
        let mut ecn_capable = 0;
        for token in outcome.acknowledged.drain(..) {
            ecn_capable += u64::from(token.ecn);
            if let Some(piece) = token.piece {
                self.ledger.on_acknowledged(piece.index);
            }
        }
        for token in outcome.lost.drain(..) {
            if let Some(piece) = token.piece {
                self.ledger.on_lost(piece);
            }
        }
        let lost_packets = outcome.lost_packets();
        self.counts.declared_lost_packets += lost_packets;
        self.counts.declared_lost_bytes += outcome.lost_bytes;
        self.counts.spurious += outcome.spurious;
        self.counts.persistent_congestion += u64::from(outcome.persistent_congestion);
        self.counts.ecn_ce += outcome.ecn_ce;
        if outcome.newly_acknowledged_packets > 0 {
            self.probes = 0;
        }
        let noteworthy = outcome.acknowledged_bytes > 0
            || outcome.lost_bytes > 0
            || outcome.ecn_ce > 0
            || outcome.persistent_congestion
            || outcome.spurious > 0;
        if noteworthy {
            self.observe(now, prior_in_flight, &outcome, ecn_capable);
        }
        self.rtt_sample = outcome.rtt_sample.or(self.rtt_sample);
        if let Some((_, count)) = outcome.probes {
            self.probes = count;
            self.counts.probe_timeouts += 1;
        }
        outcome.clear();
        self.outcome = outcome;
    }

    fn observe(&mut self, now: Time, prior_in_flight: u64, outcome: &Outcome<Token>, ecn_capable: u64) {
        let rtt = self.rtt();
        let datagram_size = self.datagram_size;
        let observed = self.observed.get_or_insert_with(|| Observed { now, prior_in_flight, ..Observed::default() });
        self.has_news = true;
        observed.now = now;
        observed.rtt = rtt;
        observed.datagram_size = datagram_size;
        observed.acknowledged_bytes += outcome.acknowledged_bytes;
        observed.acknowledged_packets += outcome.newly_acknowledged_packets;
        observed.ecn_capable_packets += ecn_capable;
        observed.lost_bytes += outcome.lost_bytes;
        observed.lost_packets += outcome.lost_packets();
        observed.ecn_ce += outcome.ecn_ce;
        observed.spurious += outcome.spurious;
        observed.persistent_congestion |= outcome.persistent_congestion;
        observed.largest_acknowledged_sent_at =
            observed.largest_acknowledged_sent_at.max(outcome.largest_acknowledged_sent_at);
        observed.largest_lost_sent_at = observed.largest_lost_sent_at.max(outcome.largest_lost_sent_at);
        observed.rtt_sample = outcome.rtt_sample.or(observed.rtt_sample);
        if let Some(sample) = &outcome.delivery {
            let rate = sample.rate();
            if self.observed_turns > 0 && observed.delivery.is_some_and(|before| before.rate > rate) {
                return;
            }
            observed.delivery = Some(Delivery {
                rate,
                delivered: sample.delivered,
                interval: sample.interval,
                application_limited: sample.application_limited,
                total_delivered: sample.total_delivered,
                prior_delivered: sample.prior_delivered,
                in_flight_when_sent: sample.in_flight_at_send,
                lost: sample.lost,
            });
        }
    }
}
