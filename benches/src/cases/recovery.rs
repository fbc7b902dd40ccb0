//! Acknowledgements: an ACK costs as much as it has ranges and newly acknowledged packets, however wide the ranges are.

use std::ops::RangeInclusive;

use codec::cursor::Writer;
use codec::frame::{self, Ack, Frame, encode_ack};
use codec::{Side, Time};
use recovery::{Config, Outcome, Recovery, SentPacket, SpaceId};
use smallvec::smallvec;

use crate::{Case, Work};

pub(super) const CASES: &[Case] = &[
    Case { parts: 2, ..Case::new("recovery/ranges/1", "2 packets, an ACK of 1 range, one of all", 2_000, || gaps(1)) },
    Case {
        parts: 64,
        ..Case::new("recovery/ranges/32", "64 packets, an ACK of 32 ranges, one of all", 100, || gaps(32))
    },
    Case {
        parts: 2_000,
        ..Case::new("recovery/ranges/1000", "2,000 packets, an ACK of 1,000 ranges, one of all", 5, || gaps(1_000))
    },
    Case::new("recovery/packets/1", "1 packet sent, and an ACK of it", 2_000, || packets(1)),
    Case { parts: 10, ..Case::new("recovery/packets/10", "10 packets sent, and an ACK of them", 500, || packets(10)) },
    Case {
        parts: 100,
        ..Case::new("recovery/packets/100", "100 packets sent, and an ACK of them", 50, || packets(100))
    },
    Case {
        parts: 1_000,
        ..Case::new("recovery/packets/1000", "1,000 packets sent, and an ACK of them", 5, || packets(1_000))
    },
    Case::new("recovery/old/10", "an ACK of 10 packets that were acknowledged before", 2_000, || old(10)),
    Case::new("recovery/old/1000", "an ACK of 1,000 packets that were acknowledged before", 2_000, || old(1_000)),
    Case::new("recovery/old/100000", "an ACK of 100,000 packets that were acknowledged before", 2_000, || old(100_000)),
];

const SPACE: SpaceId = SpaceId::Application;

struct Sender {
    recovery: Recovery<u64>,
    outcome: Outcome<u64>,
    now: Time,
    frame: Vec<u8>,
}

impl Sender {
    fn new() -> Self {
        let mut recovery = Recovery::new(Side::Client, Config::default());
        recovery.on_handshake_confirmed();
        Self {
            recovery,
            outcome: Outcome::new(),
            now: Time::ZERO + std::time::Duration::from_secs(1),
            frame: vec![0; 8_192],
        }
    }

    /// Sends so many packets and says the first one's number.
    fn send(&mut self, packets: u64) -> u64 {
        let first = self.recovery.next_number(SPACE);
        for number in first..first + packets {
            let packet = SentPacket {
                number,
                at: self.now,
                bytes: 1_452,
                ack_eliciting: true,
                in_flight: true,
                ecn: false,
                mtu_probe: false,
                tokens: smallvec![number],
            };
            self.recovery.on_sent(SPACE, packet);
        }
        first
    }

    fn acknowledge(&mut self, ranges: impl Iterator<Item = RangeInclusive<u64>> + Clone) {
        let mut writer = Writer::new(&mut self.frame);
        encode_ack(&mut writer, 0, ranges, None).expect("there is room");
        let length = writer.position();
        self.hear(length);
    }

    fn hear(&mut self, length: usize) {
        self.now += std::time::Duration::from_micros(50);
        let heard = self.recovery.on_ack(SPACE, &ack(&self.frame[..length]), self.now, &mut self.outcome);
        assert!(heard.is_ok(), "only what was sent is acknowledged");
        self.outcome.clear();
    }
}

fn ack(frame: &[u8]) -> Ack<'_> {
    match frame::iter(frame).next() {
        Some(Ok(Frame::Ack(ack))) => ack,
        other => panic!("an ACK frame was written, and {other:?} was read"),
    }
}

/// Every second packet is acknowledged, each a range of its own, and then all.
fn gaps(ranges: u64) -> Work {
    let mut sender = Sender::new();
    Box::new(move |operations| {
        for _ in 0..operations {
            let first = sender.send(2 * ranges);
            sender.acknowledge((0..ranges).rev().map(|range| first + 2 * range..=first + 2 * range));
            sender.acknowledge(std::iter::once(first..=first + 2 * ranges - 1));
        }
    })
}

fn packets(packets: u64) -> Work {
    let mut sender = Sender::new();
    Box::new(move |operations| {
        for _ in 0..operations {
            let first = sender.send(packets);
            sender.acknowledge(std::iter::once(first..=first + packets - 1));
        }
    })
}

fn old(packets: u64) -> Work {
    let mut sender = Sender::new();
    // In portions, because no more is remembered.
    for _ in 0..packets.div_ceil(10_000) {
        let first = sender.send(packets.min(10_000));
        sender.acknowledge(std::iter::once(first..=first + packets.min(10_000) - 1));
    }
    let mut writer = Writer::new(&mut sender.frame);
    encode_ack(&mut writer, 0, std::iter::once(0..=packets - 1), None).expect("there is room");
    let length = writer.position();
    Box::new(move |operations| {
        for _ in 0..operations {
            sender.hear(length);
        }
    })
}
