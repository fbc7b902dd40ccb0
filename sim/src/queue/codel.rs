//! [`CoDel`]: whoever waited too long, for too long, is dropped or marked (RFC 8289).

use std::time::Duration;

use codec::Time;

use super::Dropped;
use super::drop_tail::DropTail;
use crate::packet::{Codepoint, Packet};

/// With no more than this in the queue nobody is dropped: MAXPACKET of RFC 8289 §5.3, in bytes.
const MAXIMUM_PACKET: u64 = 1500;

/// RFC 8289, with its names where it has some.
#[derive(Clone, Debug)]
pub(crate) struct CoDel {
    queue: DropTail,
    target: Duration,
    interval: Duration,
    ecn: bool,
    /// When the wait will have been above the target for an interval.
    first_above: Option<Time>,
    drop_next: Time,
    count: u32,
    last_count: u32,
    dropping: bool,
}

impl CoDel {
    pub(crate) const fn new(limit: u64, target: Duration, interval: Duration, ecn: bool) -> Self {
        Self {
            queue: DropTail::new(limit),
            target,
            interval,
            ecn,
            first_above: None,
            drop_next: Time::ZERO,
            count: 0,
            last_count: 0,
            dropping: false,
        }
    }

    pub(crate) fn push(&mut self, packet: Packet, dropped: &mut Dropped) {
        self.queue.push(packet, dropped);
    }

    /// `deque` of RFC 8289 §5.4.
    pub(crate) fn pop(&mut self, now: Time, dropped: &mut Dropped) -> Option<Packet> {
        let (mut packet, mut may_drop) = self.take(now);
        if self.dropping {
            self.dropping = may_drop;
            while self.dropping && now >= self.drop_next {
                let marked = self.strike(&mut packet, dropped);
                self.count = self.count.saturating_add(1);
                if marked {
                    self.drop_next = self.after(self.drop_next);
                    break;
                }
                (packet, may_drop) = self.take(now);
                self.dropping = may_drop;
                if may_drop {
                    self.drop_next = self.after(self.drop_next);
                }
            }
        } else if may_drop {
            if !self.strike(&mut packet, dropped) {
                packet = self.take(now).0;
            }
            self.dropping = true;
            // It was dropping a short while ago: it goes on nearly where it was.
            let delta = self.count.saturating_sub(self.last_count);
            let recently = now.saturating_since(self.drop_next) < self.interval * 16;
            self.count = if delta > 1 && recently { delta } else { 1 };
            self.drop_next = self.after(now);
            self.last_count = self.count;
        }
        packet
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.queue.bytes()
    }

    pub(crate) const fn set_limit(&mut self, bytes: u64) {
        self.queue.set_limit(bytes);
    }

    /// Marks the packet, if that is possible, or drops it. Whether it was marked.
    fn strike(&self, packet: &mut Option<Packet>, dropped: &mut Dropped) -> bool {
        if let Some(packet) = packet
            && self.ecn
            && packet.codepoint != Codepoint::NotCapable
        {
            packet.codepoint = Codepoint::Ce;
            return true;
        }
        dropped.extend(packet.take());
        false
    }

    /// `dodeque`: the next packet, and whether it may be dropped.
    fn take(&mut self, now: Time) -> (Option<Packet>, bool) {
        let Some(packet) = self.queue.pop() else {
            self.first_above = None;
            return (None, false);
        };
        let waited = now.saturating_since(packet.queued_at);
        if waited < self.target || self.queue.bytes() <= MAXIMUM_PACKET {
            self.first_above = None;
            return (Some(packet), false);
        }
        let first_above = *self.first_above.get_or_insert(now + self.interval);
        (Some(packet), now >= first_above)
    }

    /// `control_law`.
    fn after(&self, moment: Time) -> Time {
        let nanoseconds = self.interval.as_nanos() as f64 / f64::from(self.count.max(1)).sqrt();
        moment + Duration::from_nanos(nanoseconds as u64)
    }
}
