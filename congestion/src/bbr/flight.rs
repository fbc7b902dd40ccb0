//! [`FlightLog`]: what was in flight, and had been lost, when a packet left that is found lost now.

use core::time::Duration;

use codec::Time;

/// Marks that are remembered. Each covers a sixteenth of a round trip, so the log reaches two round trips back.
const MARKS: usize = 32;
/// Parts of a round trip that one mark covers.
pub(super) const PARTS: u32 = 16;

/// The draft remembers P.tx_in_flight and P.lost of each packet. A controller sees turns, not packets: it remembers of each
/// sixteenth of a round trip what was lost before it and how much was in flight in it at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlightLog {
    marks: [Mark; MARKS],
    /// Where the newest is.
    newest: usize,
}

/// One part of a round trip.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Mark {
    from: Time,
    /// C.lost when it began, in bytes.
    pub(super) lost: u64,
    /// C.inflight at most, in bytes.
    pub(super) in_flight: u64,
}

impl FlightLog {
    pub(super) fn new(now: Time, in_flight: u64) -> Self {
        // Earlier than this nothing is known: all marks say the same, so whichever is found is right.
        Self { marks: [Mark { from: now, in_flight, ..Mark::default() }; MARKS], newest: 0 }
    }

    /// A turn begins: what was sent since the last one brought so much in flight.
    pub(super) fn on_sent(&mut self, in_flight: u64) {
        if let Some(mark) = self.marks.get_mut(self.newest) {
            mark.in_flight = mark.in_flight.max(in_flight);
        }
    }

    /// A turn ends, after which packets leave.
    pub(super) fn end_turn(&mut self, now: Time, lost: u64, in_flight: u64, smoothed_rtt: Option<Duration>) {
        let began = self.marks.get(self.newest).map_or(Time::ZERO, |mark| mark.from);
        if now < began + smoothed_rtt.unwrap_or_default() / PARTS {
            return;
        }
        self.newest = (self.newest + 1) % MARKS;
        if let Some(mark) = self.marks.get_mut(self.newest) {
            *mark = Mark { from: now, lost, in_flight };
        }
    }

    /// The part of a round trip in which a packet left, or the oldest one that is remembered.
    pub(super) fn at(&self, sent_at: Time) -> Mark {
        let backwards = (0..MARKS).map(|back| (self.newest + MARKS - back) % MARKS);
        let mut found = Mark::default();
        for mark in backwards.filter_map(|place| self.marks.get(place)) {
            found = *mark;
            if mark.from <= sent_at {
                break;
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(16);

    fn at(milliseconds: u64) -> Time {
        Time::from_nanos(milliseconds * 1_000_000)
    }

    #[test]
    fn a_packet_is_found_in_the_part_in_which_it_left() {
        let mut log = FlightLog::new(at(0), 0);
        for turn in 1..=20 {
            log.on_sent(turn * 1000);
            log.end_turn(at(turn), turn * 10, turn * 900, Some(RTT));
        }
        // Sent after the turn at 4 ms, before that at 5 ms, which found 5000 bytes in flight.
        let found = log.at(Time::from_nanos(4_500_000));
        assert_eq!(found, Mark { from: at(4), lost: 40, in_flight: 5000 });
        // After the last turn nothing was told yet.
        assert_eq!(log.at(at(99)).in_flight, 18_000);
    }

    #[test]
    fn turns_within_a_sixteenth_of_a_round_trip_are_one_part_and_its_peak_counts() {
        let mut log = FlightLog::new(at(0), 0);
        log.end_turn(at(10), 7, 100, Some(RTT));
        for (turn, in_flight) in [(1, 300), (2, 500), (3, 400)] {
            log.on_sent(in_flight);
            log.end_turn(Time::from_nanos(10_000_000 + turn * 300_000), 8, 0, Some(RTT));
        }
        assert_eq!((log.at(at(10)).in_flight, log.at(at(10)).lost), (500, 7));
    }

    #[test]
    fn what_left_before_the_oldest_part_is_taken_as_of_that() {
        let mut log = FlightLog::new(at(0), 11);
        for turn in 1..100 {
            log.end_turn(at(turn), turn, turn, Some(RTT));
        }
        let oldest = log.at(at(1));
        assert_eq!(oldest.from, at(99 - MARKS as u64 + 1));
        assert_eq!(FlightLog::new(at(5), 11).at(at(0)).in_flight, 11);
    }
}
