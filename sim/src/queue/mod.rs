//! What waits before the link, and who of it is dropped or marked.

mod codel;
mod drop_tail;
mod dual;

use codec::Time;

use crate::chance::Chance;
use crate::link::Discipline;
use crate::packet::Packet;

use codel::CoDel;
use drop_tail::DropTail;
use dual::DualQueue;

/// The queue of a link.
#[derive(Clone, Debug)]
pub(crate) enum Queue {
    DropTail(DropTail),
    CoDel(CoDel),
    Dual(Box<DualQueue>),
}

/// Who did not make it through the queue, for the count.
pub(crate) type Dropped = Vec<Packet>;

impl Queue {
    pub(crate) fn new(discipline: Discipline, limit: u64, chance: Chance, now: Time) -> Self {
        match discipline {
            Discipline::DropTail => Self::DropTail(DropTail::new(limit)),
            Discipline::CoDel { target, interval, ecn } => Self::CoDel(CoDel::new(limit, target, interval, ecn)),
            Discipline::DualQueue { target, ramp_start, ramp_range, ecn } => {
                let law = dual::Law { target, ramp_start, ramp_range, ecn };
                Self::Dual(Box::new(DualQueue::new(limit, law, chance, now)))
            }
        }
    }

    /// A packet comes. If there is no room, it is among the dropped.
    pub(crate) fn push(&mut self, packet: Packet, dropped: &mut Dropped) {
        match self {
            Self::DropTail(queue) => queue.push(packet, dropped),
            Self::CoDel(queue) => queue.push(packet, dropped),
            Self::Dual(queue) => queue.push(packet, dropped),
        }
    }

    /// The next packet to be sent, marked if it is to be.
    pub(crate) fn pop(&mut self, now: Time, dropped: &mut Dropped) -> Option<Packet> {
        match self {
            Self::DropTail(queue) => queue.pop(),
            Self::CoDel(queue) => queue.pop(now, dropped),
            Self::Dual(queue) => queue.pop(now, dropped),
        }
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::DropTail(queue) => queue.bytes(),
            Self::CoDel(queue) => queue.bytes(),
            Self::Dual(queue) => queue.bytes(),
        }
    }

    pub(crate) fn set_limit(&mut self, bytes: u64) {
        match self {
            Self::DropTail(queue) => queue.set_limit(bytes),
            Self::CoDel(queue) => queue.set_limit(bytes),
            Self::Dual(queue) => queue.set_limit(bytes),
        }
    }
}
