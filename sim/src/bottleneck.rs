//! [`Bottleneck`]: the link at work: queue, transmission, losses on the way, changes.

use std::time::Duration;

use codec::Time;

use crate::chance::{Chance, MILLION};
use crate::histogram::Histogram;
use crate::link::{BEGINNING, Change, Link, Loss, moment};
use crate::packet::{Codepoint, Packet};
use crate::queue::{Dropped, Queue};

/// What became of the packets of one flow at the link.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fate {
    pub(crate) dropped_packets: u64,
    pub(crate) dropped_bytes: u64,
    pub(crate) lost_packets: u64,
    pub(crate) lost_bytes: u64,
    pub(crate) marked_packets: u64,
}

/// A packet that left the link, and how long it travels from there to the receiver, besides what its flow adds.
#[derive(Debug)]
pub(crate) struct Departed {
    pub(crate) packet: Packet,
    pub(crate) delay: Duration,
}

/// The link at work.
#[derive(Clone, Debug)]
pub(crate) struct Bottleneck {
    link: Link,
    /// The changes that are still to come.
    changes: std::vec::IntoIter<Change>,
    next_change: Option<Change>,
    queue: Queue,
    sending: Option<Packet>,
    departs_at: Time,
    /// Of the bytes times 10^9 that were sent: what was not a whole nanosecond at the rate.
    carry: u64,
    in_bad_state: bool,
    since_loss: u32,
    chance: Chance,
    dropped: Dropped,
    pub(crate) fates: Vec<Fate>,
    /// Bytes that left, whether they arrived or not.
    pub(crate) sent_bytes: u64,
    /// Bytes that could have left up to `offered_until`.
    offered_bytes: f64,
    offered_until: Time,
    pub(crate) most_queued: u64,
    pub(crate) waits: [Histogram; 2],
}

impl Bottleneck {
    pub(crate) fn new(link: Link, flows: usize, seed: u64) -> Self {
        let mut changes = link.changes.clone();
        changes.sort_by_key(|change| change.at);
        let mut changes = changes.into_iter();
        Self {
            queue: Queue::new(link.discipline, link.queue, Chance::new(seed, 1), BEGINNING),
            next_change: changes.next(),
            changes,
            link,
            sending: None,
            departs_at: Time::MAX,
            carry: 0,
            in_bad_state: false,
            since_loss: 0,
            chance: Chance::new(seed, 2),
            dropped: Dropped::new(),
            fates: vec![Fate::default(); flows],
            sent_bytes: 0,
            offered_bytes: 0.0,
            offered_until: BEGINNING,
            most_queued: 0,
            waits: [Histogram::default(), Histogram::default()],
        }
    }

    /// When it has something to do.
    pub(crate) fn next_at(&self) -> Time {
        let change = self.next_change.map_or(Time::MAX, |change| moment(change.at));
        self.departs_at.min(change)
    }

    /// A packet comes to the queue.
    pub(crate) fn push(&mut self, now: Time, mut packet: Packet) {
        packet.queued_at = now;
        if self.sending.is_none() && self.queue.bytes() == 0 {
            // It finds the link idle and waits for nothing.
            self.begin(now, packet);
            return;
        }
        self.queue.push(packet, &mut self.dropped);
        self.most_queued = self.most_queued.max(self.queue.bytes());
        self.count_dropped();
    }

    /// What is due now; the packet that left, if one did and was not lost.
    pub(crate) fn act(&mut self, now: Time) -> Option<Departed> {
        while let Some(change) = self.next_change
            && moment(change.at) <= now
        {
            self.offer(now);
            self.link.rate = change.rate.unwrap_or(self.link.rate).max(1);
            self.link.round_trip = change.round_trip.unwrap_or(self.link.round_trip);
            self.link.loss = change.loss.unwrap_or(self.link.loss);
            if let Some(queue) = change.queue {
                self.link.queue = queue;
                self.queue.set_limit(queue);
            }
            self.next_change = self.changes.next();
        }
        if self.departs_at > now {
            return None;
        }
        self.departs_at = Time::MAX;
        let packet = self.sending.take()?;
        self.sent_bytes += u64::from(packet.bytes);
        if let Some(next) = self.queue.pop(now, &mut self.dropped) {
            self.begin(now, next);
        }
        self.count_dropped();
        if self.is_lost() {
            if let Some(fate) = self.fates.get_mut(packet.flow as usize) {
                fate.lost_packets += 1;
                fate.lost_bytes += u64::from(packet.bytes);
            }
            return None;
        }
        let jitter = u64::try_from(self.link.jitter.as_nanos()).unwrap_or(u64::MAX);
        let jitter = if jitter == 0 { 0 } else { self.chance.below(jitter.saturating_add(1)) };
        Some(Departed { packet, delay: self.link.round_trip / 2 + Duration::from_nanos(jitter) })
    }

    /// How long an acknowledgement takes back, besides what its flow adds; `None` if it is lost.
    pub(crate) fn way_back(&mut self) -> Option<Duration> {
        if self.chance.happens(self.link.acknowledgement_loss) {
            return None;
        }
        Some(self.link.round_trip - self.link.round_trip / 2)
    }

    pub(crate) const fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) fn queued_bytes(&self) -> u64 {
        self.queue.bytes()
    }

    /// Bytes that the link could have carried from the beginning until now.
    pub(crate) fn offered_bytes(&mut self, now: Time) -> f64 {
        self.offer(now);
        self.offered_bytes
    }

    fn offer(&mut self, now: Time) {
        self.offered_bytes += now.saturating_since(self.offered_until).as_secs_f64() * self.link.rate as f64;
        self.offered_until = self.offered_until.max(now);
    }

    fn begin(&mut self, now: Time, packet: Packet) {
        self.waits[usize::from(packet.scalable)].record(now.saturating_since(packet.queued_at));
        if packet.codepoint == Codepoint::Ce
            && let Some(fate) = self.fates.get_mut(packet.flow as usize)
        {
            fate.marked_packets += 1;
        }
        let work = u64::from(packet.bytes) * 1_000_000_000 + self.carry;
        self.carry = work % self.link.rate;
        self.departs_at = now + Duration::from_nanos(work / self.link.rate);
        self.sending = Some(packet);
    }

    fn count_dropped(&mut self) {
        for packet in self.dropped.drain(..) {
            if let Some(fate) = self.fates.get_mut(packet.flow as usize) {
                fate.dropped_packets += 1;
                fate.dropped_bytes += u64::from(packet.bytes);
            }
        }
    }

    fn is_lost(&mut self) -> bool {
        match self.link.loss {
            Loss::None => false,
            Loss::Random(millionths) => self.chance.happens(millionths),
            Loss::Every(packets) => {
                self.since_loss += 1;
                let is_lost = packets > 0 && self.since_loss >= packets;
                if is_lost {
                    self.since_loss = 0;
                }
                is_lost
            }
            Loss::Bursts { to_bad, to_good, good, bad } => {
                let is_lost = self.chance.happens(if self.in_bad_state { bad } else { good });
                let turns = self.chance.happens(if self.in_bad_state { to_good } else { to_bad }.min(MILLION));
                self.in_bad_state ^= turns;
                is_lost
            }
        }
    }
}
