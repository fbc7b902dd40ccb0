//! The rules of RFC 9002 as sentences, on the whole machine.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use core::time::Duration;

use codec::cursor::Writer;
use codec::frame::{EcnCounts, Frame, encode_ack};
use codec::{Side, Time};
use smallvec::smallvec;

use crate::acknowledge::Report;
use crate::{AckError, Config, DeadlineKind, EcnVerdict, Outcome, Recovery, SentPacket, SpaceId};

mod acknowledged;
mod paths;
mod probes;

const SPACE: SpaceId = SpaceId::Application;

fn at(milliseconds: u64) -> Time {
    Time::from_nanos(milliseconds * 1_000_000)
}

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A recovery whose tokens are `space * 1,000,000 + number`, and the outcome of what was done to it last.
struct Bench {
    recovery: Recovery<u64>,
    outcome: Outcome<u64>,
}

impl Bench {
    fn new(side: Side) -> Self {
        Self { recovery: Recovery::new(side, Config::default()), outcome: Outcome::new() }
    }

    /// A server whose handshake is confirmed and whose peer delays by at most 25 ms.
    fn confirmed() -> Self {
        let mut bench = Self::new(Side::Server);
        bench.recovery.on_handshake_confirmed();
        bench
    }

    /// One with an RTT sample of 100 ms from packet 0, which was sent at `at(0)`.
    fn measured() -> Self {
        let mut bench = Self::confirmed();
        bench.send(0);
        bench.ack(&[0..=0], 100);
        bench
    }

    fn packet(&self, space: SpaceId, milliseconds: u64) -> SentPacket<u64> {
        let number = self.recovery.next_number(space);
        SentPacket {
            number,
            at: at(milliseconds),
            bytes: 1000,
            ack_eliciting: true,
            in_flight: true,
            ecn: false,
            mtu_probe: false,
            tokens: smallvec![space.index() as u64 * 1_000_000 + number],
        }
    }

    fn send_in(&mut self, space: SpaceId, milliseconds: u64) {
        let packet = self.packet(space, milliseconds);
        self.recovery.on_sent(space, packet);
    }

    fn send(&mut self, milliseconds: u64) {
        self.send_in(SPACE, milliseconds);
    }

    fn send_ack_only(&mut self, milliseconds: u64) {
        let packet = SentPacket { ack_eliciting: false, in_flight: false, ..self.packet(SPACE, milliseconds) };
        self.recovery.on_sent(SPACE, packet);
    }

    fn report(
        &mut self,
        space: SpaceId,
        report: Report,
        ranges: &[RangeInclusive<u64>],
        milliseconds: u64,
    ) -> Result<(), AckError> {
        self.outcome.clear();
        let ranges = ranges.iter().cloned();
        self.recovery.acknowledge(space, report, ranges, at(milliseconds), &mut self.outcome)
    }

    fn ack_in(&mut self, space: SpaceId, ranges: &[RangeInclusive<u64>], milliseconds: u64) {
        let report = Report { largest: *ranges[0].end(), delay: 0, ecn: None };
        self.report(space, report, ranges, milliseconds).unwrap();
    }

    fn ack(&mut self, ranges: &[RangeInclusive<u64>], milliseconds: u64) {
        self.ack_in(SPACE, ranges, milliseconds);
    }

    fn fire(&mut self, milliseconds: u64) {
        self.outcome.clear();
        self.recovery.on_deadline(at(milliseconds), &mut self.outcome);
    }

    fn deadline(&self, milliseconds: u64) -> Option<(Time, DeadlineKind, SpaceId)> {
        self.recovery.deadline(at(milliseconds)).map(|deadline| (deadline.at, deadline.kind, deadline.space))
    }

    fn visited(&self) -> u64 {
        self.recovery.space(SPACE).sent.visited
    }
}
