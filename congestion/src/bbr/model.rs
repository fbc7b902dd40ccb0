//! The parts of the model of the path, each with what it remembers: bandwidth, full pipe, aggregation, least RTT, rounds
//! (the draft's "Updating Network Path Model Parameters").

use core::time::Duration;

use codec::Time;

use super::settings::{EXTRA_ACKED_ROUNDS, FULL_GROWTH, FULL_ROUNDS, ONE};
use crate::arithmetic::{NANOSECONDS, mul_div};

/// A bound that is not set.
pub(super) const INFINITE: u64 = u64::MAX;

/// Packet-timed round trips: BBR.round_count, BBR.round_start, BBR.next_round_delivered.
///
/// The draft asks whether P.delivered of the newest acknowledged packet has reached what C.delivered was when the round began,
/// that is, whether the packet was sent after that turn. The time it was sent at says the same, and says it also in turns
/// that bring no delivery sample or that of another packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    began_at: Time,
    pub(super) count: u64,
    /// This turn began a round.
    pub(super) started: bool,
}

impl Rounds {
    pub(super) const fn new(now: Time) -> Self {
        Self { began_at: now, count: 0, started: false }
    }

    /// StartRound().
    pub(super) const fn start(&mut self, now: Time) {
        self.began_at = now;
    }

    /// UpdateRound(). True if a round ended.
    pub(super) fn update(&mut self, now: Time, sent_at: Option<Time>) -> bool {
        self.started = sent_at.is_some_and(|sent_at| sent_at >= self.began_at);
        if self.started {
            self.start(now);
            self.count = self.count.saturating_add(1);
        }
        self.started
    }
}

/// BBR.max_bw_filter: the best of this probing cycle and of the one before, in bytes a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MaximumBandwidth {
    previous: u64,
    current: u64,
}

impl MaximumBandwidth {
    pub(super) const fn new(bandwidth: u64) -> Self {
        Self { previous: 0, current: bandwidth }
    }

    /// BBR.max_bw; 0 before the first sample.
    pub(super) fn best(&self) -> u64 {
        self.previous.max(self.current)
    }

    pub(super) fn update(&mut self, rate: u64) {
        self.current = self.current.max(rate);
    }

    /// AdvanceMaxBwFilter(). A cycle that brought no sample does not make it forget.
    pub(super) const fn advance(&mut self) {
        if self.current > 0 {
            self.previous = self.current;
            self.current = 0;
        }
    }
}

/// The full-pipe estimator: BBR.full_bw, full_bw_count, full_bw_now, full_bw_reached.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FullPipe {
    /// BBR.full_bw, in bytes a second.
    pub(super) baseline: u64,
    pub(super) count: u8,
    /// Full since it began to look.
    pub(super) now: bool,
    /// Full at any time.
    pub(super) reached: bool,
}

impl FullPipe {
    /// ResetFullBW().
    pub(super) const fn reset(&mut self, baseline: u64) {
        self.baseline = baseline;
        self.count = 0;
        self.now = false;
    }

    /// CheckFullBWReached(), in a turn that began a round, with a sample that the application did not limit.
    pub(super) fn on_round(&mut self, rate: u64) {
        if self.now {
            return;
        }
        if rate >= mul_div(self.baseline, FULL_GROWTH, ONE) {
            self.reset(rate);
            return;
        }
        self.count = self.count.saturating_add(1);
        if self.count >= FULL_ROUNDS {
            self.declare();
        }
    }

    pub(super) const fn declare(&mut self) {
        self.now = true;
        self.reached = true;
    }
}

/// BBR.extra_acked: how much more than the bandwidth explains is acknowledged at once, at most, of the last rounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aggregation {
    started_at: Time,
    delivered: u64,
    /// The most of each round, at the round's number.
    most: [u64; EXTRA_ACKED_ROUNDS],
    round: u64,
}

impl Aggregation {
    pub(super) const fn new(now: Time) -> Self {
        Self { started_at: now, delivered: 0, most: [0; EXTRA_ACKED_ROUNDS], round: 0 }
    }

    /// A pause ended then: what was delivered before it explains nothing.
    pub(super) const fn restart(&mut self, now: Time) {
        self.started_at = now;
        self.delivered = 0;
    }

    /// UpdateACKAggregation(): a turn of that round acknowledged so many bytes, at a bandwidth and a window.
    pub(super) fn on_acknowledged(&mut self, now: Time, acknowledged: u64, bandwidth: u64, window: u64, round: u64) {
        let mut expected = volume(bandwidth, now.saturating_since(self.started_at));
        if self.delivered <= expected {
            self.delivered = 0;
            self.started_at = now;
            expected = 0;
        }
        self.delivered = self.delivered.saturating_add(acknowledged);
        let extra = self.delivered.saturating_sub(expected).min(window);
        let rounds = EXTRA_ACKED_ROUNDS as u64;
        for passed in 0..round.saturating_sub(self.round).min(rounds) {
            *self.slot(round.saturating_sub(passed)) = 0;
        }
        self.round = self.round.max(round);
        let slot = self.slot(self.round);
        *slot = extra.max(*slot);
    }

    /// The most of the last rounds, or of this one alone, in bytes.
    pub(super) fn extra(&self, this_round_only: bool) -> u64 {
        let index = self.round % EXTRA_ACKED_ROUNDS as u64;
        let of = |(place, most): (usize, &u64)| (!this_round_only || place as u64 == index).then_some(*most);
        self.most.iter().enumerate().filter_map(of).max().unwrap_or(0)
    }

    fn slot(&mut self, round: u64) -> &mut u64 {
        // The remainder is below the length.
        &mut self.most[(round % EXTRA_ACKED_ROUNDS as u64) as usize]
    }
}

/// BBR.min_rtt and what schedules ProbeRTT.
#[derive(Clone, Copy, Debug)]
pub(super) struct MinimumRtt {
    /// BBR.min_rtt; `None` is infinite.
    pub(super) minimum: Option<Duration>,
    stamp: Time,
    probe_minimum: Option<Duration>,
    pub(super) probe_stamp: Time,
    /// BBR.probe_rtt_expired.
    pub(super) probe_expired: bool,
}

impl MinimumRtt {
    pub(super) const fn new(now: Time, minimum: Option<Duration>) -> Self {
        Self { minimum, stamp: now, probe_minimum: minimum, probe_stamp: now, probe_expired: false }
    }

    /// UpdateMinRTT().
    pub(super) fn update(&mut self, now: Time, sample: Option<Duration>, interval: Duration, filter_length: Duration) {
        self.probe_expired = now > self.probe_stamp + interval;
        if let Some(sample) = sample
            && (self.probe_expired || self.probe_minimum.is_none_or(|minimum| sample < minimum))
        {
            self.probe_minimum = Some(sample);
            self.probe_stamp = now;
        }
        let expired = now > self.stamp + filter_length;
        if let Some(probed) = self.probe_minimum
            && (expired || self.minimum.is_none_or(|minimum| probed < minimum))
        {
            self.minimum = Some(probed);
            self.stamp = self.probe_stamp;
        }
    }
}

/// What a rate carries in a time, in bytes.
pub(super) fn volume(rate: u64, time: Duration) -> u64 {
    mul_div(rate, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), NANOSECONDS)
}

/// The rate that carries a volume in a time, in bytes a second.
pub(super) fn rate(volume: u64, time: Duration) -> u64 {
    mul_div(volume, NANOSECONDS, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// So many thousandths of it. What is infinite stays infinite.
pub(super) fn scaled(value: u64, thousandths: u64) -> u64 {
    if value == INFINITE { INFINITE } else { mul_div(value, thousandths, ONE) }
}
