//! [`Space`]: what recovery knows of one packet number space.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::ops::RangeInclusive;

use codec::Time;

use crate::SpaceId;
use crate::sent::Ring;
use crate::spaces::PerSpace;

/// Skipped numbers that are remembered for each space.
const SKIPPED: usize = 8;
/// Lost packets that are remembered for each space, to recognise them should they arrive after all.
const LOST: usize = 2048;

/// One packet number space: its packets, and what was heard of them.
#[derive(Debug)]
pub(crate) struct Space<T> {
    pub(crate) sent: Ring<T>,
    pub(crate) skipped: Skipped,
    pub(crate) lost: LostPackets,
    pub(crate) largest_acknowledged: Option<u64>,
    /// The first number of the current path.
    pub(crate) path_start: u64,
    /// Ack-eliciting packets in flight, on all paths.
    pub(crate) awaited: u32,
    pub(crate) last_ack_eliciting_at: Time,
    /// When the oldest packet that is late will be lost.
    pub(crate) loss_at: Option<Time>,
    pub(crate) discarded: bool,
}

impl<T: 'static> PerSpace for Space<T> {
    const GONE: &'static Self = &Self::empty(true);

    fn new(_: SpaceId) -> Self {
        Self::empty(false)
    }

    fn gone() -> Self {
        Self::empty(true)
    }
}

impl<T> Space<T> {
    const fn empty(discarded: bool) -> Self {
        Self {
            sent: Ring::new(),
            skipped: Skipped::new(),
            lost: LostPackets::new(),
            largest_acknowledged: None,
            path_start: 0,
            awaited: 0,
            last_ack_eliciting_at: Time::ZERO,
            loss_at: None,
            discarded,
        }
    }

    /// Everything of which an ACK could still tell something has at least this number.
    pub(crate) fn floor(&self) -> u64 {
        self.sent.first().min(self.lost.first()).min(self.skipped.first())
    }
}

/// The last few numbers that were left out on purpose (RFC 9000 §21.4).
#[derive(Debug)]
pub(crate) struct Skipped(
    /// Most connections never send so many packets that one is left out.
    Option<Box<Numbers>>,
);

#[derive(Debug)]
struct Numbers {
    /// Ascending from `oldest` on, cyclically; `NONE` where there is none yet.
    numbers: [u64; SKIPPED],
    oldest: usize,
}

/// No packet number: they are below 2^62.
const NONE: u64 = u64::MAX;

impl Skipped {
    const fn new() -> Self {
        Self(None)
    }

    pub(crate) fn push(&mut self, number: u64) {
        let none = || Box::new(Numbers { numbers: [NONE; SKIPPED], oldest: 0 });
        let known = self.0.get_or_insert_with(none);
        known.numbers[known.oldest] = number;
        known.oldest = (known.oldest + 1) % SKIPPED;
    }

    pub(crate) fn any_in(&self, numbers: &RangeInclusive<u64>) -> bool {
        self.0.as_ref().is_some_and(|known| known.numbers.iter().any(|number| numbers.contains(number)))
    }

    fn first(&self) -> u64 {
        self.0.as_ref().map_or(NONE, |known| known.numbers[known.oldest].min(known.numbers[0]))
    }
}

/// Packets that were declared lost not long ago, in ascending order.
#[derive(Debug)]
pub(crate) struct LostPackets {
    packets: VecDeque<LostPacket>,
}

#[derive(Clone, Copy, Debug)]
struct LostPacket {
    number: u64,
    declared_at: Time,
}

impl LostPackets {
    const fn new() -> Self {
        Self { packets: VecDeque::new() }
    }

    pub(crate) fn push(&mut self, number: u64, declared_at: Time) {
        if self.packets.len() >= LOST {
            self.packets.pop_front();
        }
        self.packets.push_back(LostPacket { number, declared_at });
    }

    /// Forgets what was declared lost before this moment.
    pub(crate) fn forget_before(&mut self, moment: Time) {
        while self.packets.front().is_some_and(|packet| packet.declared_at < moment) {
            self.packets.pop_front();
        }
    }

    /// Takes out the packets of these numbers and says how many they were.
    pub(crate) fn remove(&mut self, numbers: &RangeInclusive<u64>) -> u64 {
        let start = self.packets.partition_point(|packet| packet.number < *numbers.start());
        let end = self.packets.partition_point(|packet| packet.number <= *numbers.end());
        if start >= end {
            return 0;
        }
        self.packets.drain(start..end).len() as u64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.packets = VecDeque::new();
    }

    pub(crate) fn shrink(&mut self) {
        self.packets.shrink_to_fit();
    }

    fn first(&self) -> u64 {
        self.packets.front().map_or(u64::MAX, |packet| packet.number)
    }
}
