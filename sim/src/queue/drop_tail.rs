//! [`DropTail`]: first in, first out, and whoever finds it full is dropped.

use std::collections::VecDeque;

use super::Dropped;
use crate::packet::Packet;

#[derive(Clone, Debug)]
pub(crate) struct DropTail {
    packets: VecDeque<Packet>,
    bytes: u64,
    limit: u64,
}

impl DropTail {
    pub(crate) const fn new(limit: u64) -> Self {
        Self { packets: VecDeque::new(), bytes: 0, limit }
    }

    pub(crate) fn push(&mut self, packet: Packet, dropped: &mut Dropped) {
        let bytes = self.bytes + u64::from(packet.bytes);
        if bytes > self.limit {
            dropped.push(packet);
            return;
        }
        self.bytes = bytes;
        self.packets.push_back(packet);
    }

    pub(crate) fn pop(&mut self) -> Option<Packet> {
        let packet = self.packets.pop_front()?;
        self.bytes -= u64::from(packet.bytes);
        Some(packet)
    }

    pub(crate) fn front(&self) -> Option<&Packet> {
        self.packets.front()
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) const fn set_limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }
}
