//! [`Receiver`]: what arrived, and when to say so (RFC 9000 §13.2).

use std::collections::VecDeque;

use codec::Time;
use codec::cursor::Writer;
use codec::frame::{EcnCounts, encode_ack};
use recovery::Ranges;
use smallvec::SmallVec;

use super::sender::ACK_DELAY_EXPONENT;
use crate::packet::{Codepoint, Packet};
use crate::scenario::Host;

/// Ranges of numbers that are remembered, as `recovery` does.
const RANGES: usize = recovery::received::RANGES;
/// The longest ACK frame: the type, five numbers and the counts, and two numbers for each further range.
const LONGEST: usize = 1 + 7 * 8 + 2 * 8 * RANGES;

/// An ACK frame on its way.
pub(crate) type Acknowledgement = SmallVec<[u8; 48]>;

#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    host: Host,
    ranges: Ranges,
    largest: Option<(u64, Time)>,
    counts: EcnCounts,
    /// Packets of which no acknowledgement told, and when the first of them arrived.
    unreported: u64,
    unreported_since: Time,
    immediate: bool,
    pieces: Pieces,
    /// Bytes of pieces that arrived for the first time.
    pub(crate) delivered: u64,
    /// Bytes of pieces that had arrived before.
    pub(crate) repeated: u64,
}

impl Receiver {
    pub(crate) fn new(host: Host) -> Self {
        Self {
            host,
            ranges: Ranges::new(RANGES),
            largest: None,
            counts: EcnCounts::default(),
            unreported: 0,
            unreported_since: Time::ZERO,
            immediate: false,
            pieces: Pieces::default(),
            delivered: 0,
            repeated: 0,
        }
    }

    pub(crate) fn on_packet(&mut self, now: Time, packet: &Packet) {
        if let Some(number) = packet.heard_up_to {
            self.ranges.remove_up_to(number);
        }
        let in_order = self.largest.is_none_or(|(largest, _)| packet.number == largest + 1);
        if !self.ranges.insert(packet.number) {
            return;
        }
        if self.largest.is_none_or(|(largest, _)| packet.number > largest) {
            self.largest = Some((packet.number, now));
        }
        match packet.codepoint {
            Codepoint::NotCapable => {}
            Codepoint::Ect0 => self.counts.ect0 += 1,
            Codepoint::Ect1 => self.counts.ect1 += 1,
            Codepoint::Ce => self.counts.ce += 1,
        }
        if self.unreported == 0 {
            self.unreported_since = now;
        }
        self.unreported += 1;
        self.immediate |= packet.immediate || !in_order || packet.codepoint == Codepoint::Ce;
        if let Some(piece) = packet.piece {
            let bytes = u64::from(packet.bytes);
            if self.pieces.insert(piece) {
                self.delivered += bytes;
            } else {
                self.repeated += bytes;
            }
        }
    }

    /// When an acknowledgement is due; [`Time::MAX`] if none is owed.
    pub(crate) fn due_at(&self) -> Time {
        if self.unreported == 0 {
            return Time::MAX;
        }
        if self.immediate || self.unreported >= self.host.packets_per_acknowledgement {
            return self.unreported_since;
        }
        self.unreported_since + self.host.max_ack_delay
    }

    /// The acknowledgement that is due now, if one is.
    pub(crate) fn poll_acknowledgement(&mut self, now: Time) -> Option<Acknowledgement> {
        if self.due_at() > now {
            return None;
        }
        let (_, at) = self.largest?;
        let waited = u64::try_from(now.saturating_since(at).as_micros()).unwrap_or(u64::MAX);
        let EcnCounts { ect0, ect1, ce } = self.counts;
        let mut buffer = [0; LONGEST];
        let mut writer = Writer::new(&mut buffer);
        let ecn = (ect0 > 0 || ect1 > 0 || ce > 0).then_some(self.counts);
        encode_ack(&mut writer, waited >> ACK_DELAY_EXPONENT, self.ranges.iter().rev(), ecn).ok()?;
        self.unreported = 0;
        self.immediate = false;
        Some(SmallVec::from_slice(writer.written()))
    }
}

/// Which pieces arrived.
#[derive(Clone, Debug, Default)]
struct Pieces {
    /// All before this did.
    first_missing: u64,
    /// Of those from there on.
    arrived: VecDeque<bool>,
}

impl Pieces {
    /// Whether it is new.
    fn insert(&mut self, piece: u64) -> bool {
        let Some(place) = piece.checked_sub(self.first_missing) else { return false };
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        if self.arrived.len() <= place {
            self.arrived.resize(place + 1, false);
        }
        if let Some(arrived) = self.arrived.get_mut(place)
            && std::mem::replace(arrived, true)
        {
            return false;
        }
        while self.arrived.front() == Some(&true) {
            self.arrived.pop_front();
            self.first_missing += 1;
        }
        true
    }
}
