//! Another controller goes on, and what that did to the flow.

use codec::Time;
use congestion::Algorithm;

use super::RunningFlow;
use crate::link::BEGINNING;
use crate::report::{Fault, SwapReport};

/// What is still to be measured after a swap: until when, and how much had arrived and left by then.
#[derive(Clone, Copy, Debug)]
pub(super) struct AfterSwap {
    pub(super) round_ends: Time,
    pub(super) ends: Time,
    delivered: u64,
    sent: u64,
}

impl RunningFlow {
    pub(super) fn swap(&mut self, now: Time, to: Algorithm) {
        let round = self.sender.rtt().smoothed;
        let in_flight_before = self.sender.bytes_in_flight();
        let before = self.sender.window();
        let snapshot = self.sender.swap(now, &to);
        let after = self.sender.window();
        if in_flight_before != self.sender.bytes_in_flight() {
            self.faults.push(Fault::SwapChangedInFlight { at: now.saturating_since(BEGINNING) });
        }
        let two_rounds = round * 2;
        let delivered = self.receiver.delivered;
        let goodput_before = self
            .delivered_at(now.saturating_before(two_rounds))
            .map_or(0.0, |earlier| delivered.saturating_sub(earlier) as f64 / two_rounds.as_secs_f64().max(1e-9));
        // One that is cut short by the next keeps zeros.
        self.after_swap = Some(AfterSwap {
            round_ends: now + round,
            ends: now + two_rounds,
            delivered,
            sent: self.sender.counts.sent_bytes,
        });
        self.swaps.push(SwapReport {
            at: now.saturating_since(BEGINNING),
            from: self.algorithm,
            to,
            window_before: before.congestion_window,
            window_after: after.congestion_window,
            pacing_before: before.pacing_rate,
            pacing_after: after.pacing_rate,
            bytes_in_flight: in_flight_before,
            was_in_recovery: snapshot.in_recovery,
            was_in_slow_start: snapshot.in_slow_start,
            round,
            sent_in_next_round: 0,
            goodput_before,
            goodput_after: 0.0,
        });
        self.algorithm = to;
        self.note_state(now);
    }

    pub(super) fn measure_swap(&mut self, now: Time) {
        let (Some(after), Some(swap)) = (self.after_swap.as_mut(), self.swaps.last_mut()) else { return };
        if after.round_ends <= now {
            after.round_ends = Time::MAX;
            swap.sent_in_next_round = self.sender.counts.sent_bytes - after.sent;
        }
        if after.ends <= now {
            let took = (swap.round * 2).as_secs_f64().max(1e-9);
            swap.goodput_after = (self.receiver.delivered - after.delivered) as f64 / took;
            self.after_swap = None;
        }
    }

    /// How much had arrived at that moment, as far as that is remembered.
    fn delivered_at(&self, at: Time) -> Option<u64> {
        let place = self.deliveries.partition_point(|(then, _)| *then <= at);
        self.deliveries.get(place.checked_sub(1)?).map(|(_, delivered)| *delivered)
    }
}
