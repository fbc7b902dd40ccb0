//! [`DualQueue`]: two queues, coupled so that flows of both get the same rate (RFC 9332, DualPI2).

use std::time::Duration;

use codec::Time;

use super::Dropped;
use super::drop_tail::DropTail;
use crate::chance::Chance;
use crate::packet::{Codepoint, Packet};

/// How often the probability is computed anew: Tupdate, RFC 9332 appendix A.1.
const UPDATE: Duration = Duration::from_millis(16);
/// Gain of the proportional and integral terms, in Hz: alpha and beta, for round trips of up to 100 ms.
const ALPHA: f64 = 0.16;
const BETA: f64 = 3.2;
/// How much more likely a mark is than the square root of a classic drop: k.
const COUPLING: f64 = 2.0;
/// Above this classic probability the marks have not helped and both queues drop: p_Cmax.
const OVERLOAD: f64 = 0.25;
/// Of a hundred bytes, how many the classic queue gets at least while both have packets.
const CLASSIC_SHARE: i64 = 10;

/// The constants that can be chosen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Law {
    pub(crate) target: Duration,
    pub(crate) ramp_start: Duration,
    pub(crate) ramp_range: Duration,
    pub(crate) ecn: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct DualQueue {
    low_latency: DropTail,
    classic: DropTail,
    /// Of both together, in bytes.
    limit: u64,
    law: Law,
    /// p' of the RFC: its square drops classic packets, `COUPLING` times it marks the others.
    probability: f64,
    previous_wait: Duration,
    updated_at: Time,
    credit: i64,
    chance: Chance,
}

impl DualQueue {
    pub(crate) fn new(limit: u64, law: Law, chance: Chance, now: Time) -> Self {
        Self {
            low_latency: DropTail::new(u64::MAX),
            classic: DropTail::new(u64::MAX),
            limit,
            law,
            probability: 0.0,
            previous_wait: Duration::ZERO,
            updated_at: now,
            credit: 0,
            chance,
        }
    }

    pub(crate) fn push(&mut self, packet: Packet, dropped: &mut Dropped) {
        self.update(packet.queued_at);
        if self.bytes() + u64::from(packet.bytes) > self.limit {
            dropped.push(packet);
        } else if packet.scalable {
            self.low_latency.push(packet, dropped);
        } else {
            self.classic.push(packet, dropped);
        }
    }

    pub(crate) fn pop(&mut self, now: Time, dropped: &mut Dropped) -> Option<Packet> {
        self.update(now);
        while let Some(mut packet) = self.schedule() {
            let survives = if packet.scalable {
                self.judge_low_latency(now, &mut packet)
            } else {
                self.judge_classic(&mut packet)
            };
            if survives {
                return Some(packet);
            }
            dropped.push(packet);
        }
        None
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.low_latency.bytes() + self.classic.bytes()
    }

    pub(crate) const fn set_limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    /// The proportional-integral controller, as often as it is due (RFC 9332 appendix A.1, `dualpi2_update`).
    fn update(&mut self, now: Time) {
        while now.saturating_since(self.updated_at) >= UPDATE {
            self.updated_at += UPDATE;
            let waits = |queue: &DropTail| {
                queue.front().map_or(Duration::ZERO, |packet| self.updated_at.saturating_since(packet.queued_at))
            };
            // Of both: a queue of packets that ignore their marks must be held as well.
            let wait = waits(&self.classic).max(waits(&self.low_latency));
            let error = wait.as_secs_f64() - self.law.target.as_secs_f64();
            let growth = wait.as_secs_f64() - self.previous_wait.as_secs_f64();
            self.probability = (self.probability + ALPHA * error + BETA * growth).clamp(0.0, 1.0);
            self.previous_wait = wait;
            if self.probability == 0.0 && wait.is_zero() {
                // Nothing changes until something comes: no need to go through a long pause step by step.
                self.updated_at = self.updated_at.max(now.saturating_before(UPDATE));
            }
        }
    }

    /// Whose turn it is: low latency first, but the classic queue is not starved.
    fn schedule(&mut self) -> Option<Packet> {
        let (low, classic) = (self.low_latency.front().is_some(), self.classic.front().is_some());
        if low && (!classic || self.credit <= 0) {
            let packet = self.low_latency.pop()?;
            self.credit = if classic { self.credit + CLASSIC_SHARE * i64::from(packet.bytes) } else { 0 };
            return Some(packet);
        }
        let packet = self.classic.pop()?;
        self.credit = if low { self.credit - (100 - CLASSIC_SHARE) * i64::from(packet.bytes) } else { 0 };
        Some(packet)
    }

    /// Marks or drops; whether it survives.
    fn judge_low_latency(&mut self, now: Time, packet: &mut Packet) -> bool {
        let coupled = self.probability * COUPLING;
        let overloaded = self.probability * self.probability > OVERLOAD;
        if overloaded && self.chance.fraction() < self.probability * self.probability {
            return false;
        }
        let native = self.ramp(now.saturating_since(packet.queued_at), self.low_latency.bytes());
        if self.chance.fraction() < native.max(coupled) {
            packet.codepoint = Codepoint::Ce;
        }
        true
    }

    fn judge_classic(&mut self, packet: &mut Packet) -> bool {
        if self.chance.fraction() >= self.probability * self.probability {
            return true;
        }
        let marks = self.law.ecn && packet.codepoint != Codepoint::NotCapable;
        let overloaded = self.probability * self.probability > OVERLOAD;
        if marks && !overloaded {
            packet.codepoint = Codepoint::Ce;
            return true;
        }
        false
    }

    /// The low-latency queue's own marking probability (`laqm`). Nobody is marked for waiting behind a single packet.
    fn ramp(&self, waited: Duration, behind: u64) -> f64 {
        if behind == 0 || waited < self.law.ramp_start {
            return 0.0;
        }
        let above = (waited - self.law.ramp_start).as_secs_f64();
        let range = self.law.ramp_range.as_secs_f64();
        if above >= range { 1.0 } else { above / range }
    }
}
