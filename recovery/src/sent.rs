//! [`SentPacket`], and the ring of those that were sent and not yet judged.

use alloc::collections::VecDeque;
use core::ops::RangeInclusive;

use codec::Time;
use smallvec::SmallVec;

use crate::delivery::AtSend;

/// A packet that has just left (RFC 9002 appendix A.1.1).
#[derive(Clone, Debug)]
pub struct SentPacket<T> {
    /// Its number, at least [`Recovery::next_number`](crate::Recovery::next_number); numbers left out count as skipped.
    pub number: u64,
    /// When it left.
    pub at: Time,
    /// Its size in bytes, header and tag included, UDP header not.
    pub bytes: u16,
    /// Whether the peer has to acknowledge it.
    pub ack_eliciting: bool,
    /// Whether it counts in flight: it is ack-eliciting or contains PADDING, and it travels on the current path.
    /// An ack-eliciting packet with `false` here is one that was sent to another address, such as a PATH_CHALLENGE on
    /// a path that is only being probed: it returns its tokens, but moves no timer, RTT or window.
    pub in_flight: bool,
    /// Whether it was marked ECT(0).
    pub ecn: bool,
    /// Whether it probes for a larger datagram: then its loss is no sign of congestion (RFC 9000 §14.4).
    pub mtu_probe: bool,
    /// What it carried; each comes back once.
    pub tokens: SmallVec<[T; 2]>,
}

/// What is remembered of a packet besides its tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) at: Time,
    pub(crate) rate: AtSend,
    /// Its size and marks: one word, since small fields that were just stored would hold up who copies them all.
    bytes_and_marks: u64,
}

const ACK_ELICITING: u64 = 1 << 16;
const IN_FLIGHT: u64 = 1 << 17;
const ECN: u64 = 1 << 18;
const MTU_PROBE: u64 = 1 << 19;

impl Facts {
    /// Of a number that was never sent.
    const NONE: Self = Self { at: Time::ZERO, rate: AtSend::NONE, bytes_and_marks: 0 };

    /// Of a packet that is about to be sent. The mark is only remembered of what is not sent aside, for that says nothing
    /// about this path's treatment of marks.
    pub(crate) fn of<T>(packet: &SentPacket<T>) -> Self {
        let mark = |is_set, mark| if is_set { mark } else { 0 };
        let is_aside = packet.ack_eliciting && !packet.in_flight;
        let marks = mark(packet.ack_eliciting, ACK_ELICITING)
            | mark(packet.in_flight, IN_FLIGHT)
            | mark(packet.ecn && !is_aside, ECN)
            | mark(packet.mtu_probe, MTU_PROBE);
        Self { at: packet.at, rate: AtSend::NONE, bytes_and_marks: u64::from(packet.bytes) | marks }
    }

    pub(crate) const fn bytes(&self) -> u16 {
        // The low 16 bits are the size.
        self.bytes_and_marks as u16
    }

    pub(crate) const fn ack_eliciting(&self) -> bool {
        self.bytes_and_marks & ACK_ELICITING != 0
    }

    pub(crate) const fn in_flight(&self) -> bool {
        self.bytes_and_marks & IN_FLIGHT != 0
    }

    pub(crate) const fn ecn(&self) -> bool {
        self.bytes_and_marks & ECN != 0
    }

    pub(crate) const fn mtu_probe(&self) -> bool {
        self.bytes_and_marks & MTU_PROBE != 0
    }

    /// Counts for the probe timeout: something of ours that the peer has to answer.
    pub(crate) const fn is_awaited(&self) -> bool {
        self.ack_eliciting() && self.in_flight()
    }

    /// Was sent to another address than the connection's.
    pub(crate) const fn is_aside(&self) -> bool {
        self.ack_eliciting() && !self.in_flight()
    }
}

/// What became of a number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// Sent, neither acknowledged nor lost.
    Outstanding,
    /// Acknowledged. It leaves the ring with the packets before it.
    Acknowledged,
    /// Never sent.
    Skipped,
}

/// One number of the ring. The number itself is its place.
#[derive(Debug)]
pub(crate) struct Slot<T> {
    pub(crate) facts: Facts,
    pub(crate) state: State,
    pub(crate) tokens: SmallVec<[T; 2]>,
}

impl<T> Slot<T> {
    const SKIPPED: Self = Self { facts: Facts::NONE, state: State::Skipped, tokens: SmallVec::new_const() };
}

/// Packets in the order of their numbers, each at `number - first`. Its front is outstanding, or it is empty, once
/// losses were looked for: so what an ACK touches is what it newly acknowledges, and a few.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    slots: VecDeque<Slot<T>>,
    first: u64,
    /// Slots that were looked at: what an ACK costs.
    #[cfg(test)]
    pub(crate) visited: u64,
}

impl<T> Ring<T> {
    pub(crate) const fn new() -> Self {
        Self {
            slots: VecDeque::new(),
            first: 0,
            #[cfg(test)]
            visited: 0,
        }
    }

    /// The number of the front.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    /// The number after the last.
    pub(crate) fn next(&self) -> u64 {
        self.first.saturating_add(self.slots.len() as u64)
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn push(&mut self, facts: Facts, tokens: SmallVec<[T; 2]>) {
        // Filled in where it is: put together elsewhere, it would be copied before its small fields have been stored.
        self.slots.push_back(Slot::SKIPPED);
        if let Some(slot) = self.slots.back_mut() {
            slot.facts = facts;
            slot.state = State::Outstanding;
            slot.tokens = tokens;
        }
    }

    /// Leaves a number out.
    pub(crate) fn push_hole(&mut self) {
        if self.slots.is_empty() {
            self.first = self.first.saturating_add(1);
        } else {
            self.slots.push_back(Slot::SKIPPED);
        }
    }

    pub(crate) fn front_mut(&mut self) -> Option<&mut Slot<T>> {
        #[cfg(test)]
        {
            self.visited += 1;
        }
        self.slots.front_mut()
    }

    pub(crate) fn pop(&mut self) {
        if self.slots.pop_front().is_some() {
            self.first = self.first.saturating_add(1);
        }
    }

    /// The slots of those numbers that are remembered, largest first. Costs nothing for the others.
    pub(crate) fn range_mut(
        &mut self,
        numbers: &RangeInclusive<u64>,
    ) -> impl Iterator<Item = (u64, &mut Slot<T>)> + '_ {
        let offset = |number: u64| usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let end = if *numbers.end() < self.first {
            0
        } else {
            offset(*numbers.end()).saturating_add(1).min(self.slots.len())
        };
        let start = offset(*numbers.start()).min(end);
        #[cfg(test)]
        {
            self.visited += (end - start) as u64;
        }
        let first = self.first.saturating_add(start as u64);
        self.slots.range_mut(start..end).enumerate().map(move |(i, slot)| (first.saturating_add(i as u64), slot)).rev()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot<T>> + '_ {
        self.slots.iter_mut()
    }

    /// Takes everything out, in order; numbers go on where they were.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = (u64, Slot<T>)> + '_ {
        let first = self.first;
        self.first = self.next();
        (first..).zip(self.slots.drain(..))
    }

    /// Forgets packets that nobody waits for, and gives back memory beyond what is used.
    pub(crate) fn shrink(&mut self) {
        // Nobody owes an answer to what does not ask for one.
        if self.slots.iter().all(|slot| !slot.facts.ack_eliciting()) {
            self.first = self.next();
            self.slots.clear();
        }
        self.slots.shrink_to_fit();
    }
}
