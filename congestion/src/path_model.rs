//! [`PathModel`]: what every controller wants to remember of the turns, whatever it does about them.

use core::time::Duration;

use codec::Time;

use crate::window::{MAXIMUM_WINDOW, MINIMUM_DATAGRAM_SIZE};
use crate::{InitialConditions, Observed, RttView, Snapshot};

/// Round trips that one half of the bandwidth filter covers.
const BANDWIDTH_ROUNDS: u64 = 5;
/// One in a million, the unit of [`Snapshot::loss_rate`].
const MILLION: u64 = 1_000_000;

/// What the turns so far say about the path: round trips, RTT, bandwidth, loss and mark rates, and how much was in flight.
///
/// Embed one, call [`observe`](Self::observe) first in every turn, and let it fill its part of the [`Snapshot`].
#[derive(Clone, Copy, Debug)]
pub struct PathModel {
    datagram_size: u16,
    seed: u64,
    rtt: Option<RttView>,
    rounds: u64,
    round_start: Time,
    in_flight_this_round: u64,
    in_flight_last_round: u64,
    bandwidth: [u64; 2],
    packets: RoundPackets,
    loss_rate: u32,
    ecn_rate: u32,
}

/// Counts of the round that is under way.
#[derive(Clone, Copy, Debug, Default)]
struct RoundPackets {
    acknowledged: u64,
    lost: u64,
    ecn_capable: u64,
    ecn_ce: u64,
}

impl PathModel {
    /// A path of which nothing is known.
    pub fn new(conditions: &InitialConditions) -> Self {
        Self {
            datagram_size: conditions.datagram_size.max(MINIMUM_DATAGRAM_SIZE),
            seed: conditions.seed,
            rtt: None,
            rounds: 0,
            round_start: conditions.now,
            in_flight_this_round: 0,
            in_flight_last_round: 0,
            bandwidth: [0; 2],
            packets: RoundPackets::default(),
            loss_rate: 0,
            ecn_rate: 0,
        }
    }

    /// What a predecessor knew. Its window counts as having been in flight, so that the first turns may grow it.
    pub fn from_snapshot(snapshot: &Snapshot, now: Time) -> Self {
        let rtt = snapshot.smoothed_rtt.map(|smoothed| {
            let minimum = snapshot.minimum_rtt.unwrap_or(smoothed);
            RttView { latest: smoothed, smoothed, variation: smoothed / 2, minimum }
        });
        let (datagram_size, seed) = (snapshot.datagram_size, snapshot.seed);
        let conditions = InitialConditions { datagram_size, seed, now, initial_window: None };
        Self {
            rtt,
            in_flight_last_round: snapshot.starting_window(),
            bandwidth: [snapshot.bandwidth, 0],
            loss_rate: snapshot.loss_rate,
            ecn_rate: snapshot.ecn_rate,
            ..Self::new(&conditions)
        }
    }

    /// Takes in one turn. True if a round trip ended with it: a packet sent since the round began was acknowledged. What the
    /// turn brought belongs to the new round.
    pub fn observe(&mut self, observed: &Observed) -> bool {
        if observed.rtt_sample.is_some() {
            self.rtt = Some(observed.rtt);
        }
        let ended = observed.largest_acknowledged_sent_at.is_some_and(|sent_at| sent_at >= self.round_start);
        if ended {
            self.begin_round(observed.now);
        }
        let packets = &mut self.packets;
        packets.acknowledged = packets.acknowledged.saturating_add(observed.acknowledged_packets);
        packets.lost = packets.lost.saturating_add(observed.lost_packets);
        packets.ecn_capable = packets.ecn_capable.saturating_add(observed.ecn_capable_packets);
        packets.ecn_ce = packets.ecn_ce.saturating_add(observed.ecn_ce);
        self.in_flight_this_round = self.in_flight_this_round.max(observed.prior_in_flight);
        if let Some(delivery) = observed.delivery
            && (!delivery.application_limited || delivery.rate > self.bandwidth())
        {
            self.bandwidth[0] = self.bandwidth[0].max(delivery.rate);
        }
        ended
    }

    fn begin_round(&mut self, now: Time) {
        self.round_start = now;
        self.rounds = self.rounds.saturating_add(1);
        self.in_flight_last_round = core::mem::take(&mut self.in_flight_this_round);
        let packets = core::mem::take(&mut self.packets);
        let sent = packets.acknowledged.saturating_add(packets.lost);
        self.loss_rate = smooth(self.loss_rate, packets.lost, sent);
        self.ecn_rate = smooth(self.ecn_rate, packets.ecn_ce, packets.ecn_capable.max(packets.acknowledged));
        if self.rounds.is_multiple_of(BANDWIDTH_ROUNDS) {
            self.bandwidth = [0, self.bandwidth[0]];
        }
    }

    /// Whether the turn's acknowledgements are evidence that the path carries the window: the sender made use of it.
    pub fn is_window_used(&self, observed: &Observed, congestion_window: u64) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.8
        //# When this occurs, the congestion window SHOULD NOT be increased in
        //# either slow start or congestion avoidance.
        // The second half holds even where nobody says that the application was the limit, as for a controller that only
        // watches another's connection: nothing grows beyond twice what was in flight within two round trips.
        let in_flight = self.in_flight_this_round.max(self.in_flight_last_round);
        !observed.application_limited && congestion_window < in_flight.saturating_mul(2).min(MAXIMUM_WINDOW)
    }

    /// The maximum datagram size, in bytes.
    pub const fn datagram_size(&self) -> u16 {
        self.datagram_size
    }

    /// The maximum datagram size changed; less than QUIC allows is taken as the least it allows.
    pub fn set_datagram_size(&mut self, datagram_size: u16) {
        self.datagram_size = datagram_size.max(MINIMUM_DATAGRAM_SIZE);
    }

    /// What the controllers of this path draw lots from.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The RTT estimate as of the last turn with a sample; `None` before the first.
    pub const fn rtt(&self) -> Option<RttView> {
        self.rtt
    }

    /// The smoothed RTT; `None` before the first sample.
    pub fn smoothed_rtt(&self) -> Option<Duration> {
        self.rtt.map(|rtt| rtt.smoothed)
    }

    /// Round trips that have ended.
    pub const fn rounds(&self) -> u64 {
        self.rounds
    }

    /// The best delivery rate of the last five to ten round trips, in bytes a second; 0 if there was none.
    pub fn bandwidth(&self) -> u64 {
        self.bandwidth[0].max(self.bandwidth[1])
    }

    /// A snapshot with everything that this model knows; the controller fills in the rest.
    pub fn snapshot(&self, now: Time) -> Snapshot {
        Snapshot {
            taken_at: now,
            smoothed_rtt: self.smoothed_rtt(),
            minimum_rtt: self.rtt.map(|rtt| rtt.minimum),
            bandwidth: self.bandwidth(),
            loss_rate: self.loss_rate,
            ecn_rate: self.ecn_rate,
            datagram_size: self.datagram_size,
            seed: self.seed,
            ..Snapshot::default()
        }
    }
}

/// An eighth of the new rate, seven of the old, in parts of a million. A round without packets says nothing.
fn smooth(old: u32, part: u64, whole: u64) -> u32 {
    if whole == 0 {
        return old;
    }
    let new = crate::arithmetic::mul_div(part.min(whole), MILLION, whole);
    u32::try_from((u64::from(old) * 7 + new) / 8).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Delivery;

    fn at(milliseconds: u64) -> Time {
        Time::from_nanos(milliseconds * 1_000_000)
    }

    fn turn(now: u64, sent_at: u64) -> Observed {
        Observed {
            now: at(now),
            acknowledged_packets: 10,
            largest_acknowledged_sent_at: Some(at(sent_at)),
            ..Observed::default()
        }
    }

    #[test]
    fn a_round_ends_when_something_sent_in_it_is_acknowledged() {
        let mut path = PathModel::new(&InitialConditions { datagram_size: 1200, ..InitialConditions::default() });
        assert!(path.observe(&turn(100, 0)));
        assert!(!path.observe(&turn(110, 50)));
        assert!(!path.observe(&turn(150, 99)));
        assert!(path.observe(&turn(200, 100)));
        assert!(!path.observe(&Observed { now: at(900), ..Observed::default() }));
        assert_eq!(path.rounds(), 2);
    }

    #[test]
    fn the_bandwidth_is_the_best_of_the_last_rounds_and_is_forgotten() {
        let mut path = PathModel::new(&InitialConditions { datagram_size: 1200, ..InitialConditions::default() });
        let deliver = |path: &mut PathModel, round: u64, rate, application_limited| {
            let delivery = Some(Delivery { rate, application_limited, ..Delivery::default() });
            path.observe(&Observed { delivery, ..turn(round * 100 + 100, round * 100) });
        };
        deliver(&mut path, 0, 1000, false);
        deliver(&mut path, 1, 500, false);
        deliver(&mut path, 2, 900, true);
        assert_eq!(path.bandwidth(), 1000);
        deliver(&mut path, 3, 2000, true);
        assert_eq!(path.bandwidth(), 2000, "even a held-back sender proves what the path can do");
        for round in 4..16 {
            deliver(&mut path, round, 300, false);
        }
        assert_eq!(path.bandwidth(), 300);
    }

    #[test]
    fn loss_and_mark_rates_are_smoothed_over_rounds() {
        let mut path = PathModel::new(&InitialConditions { datagram_size: 1200, ..InitialConditions::default() });
        for round in 0..100 {
            let half = Observed {
                lost_packets: 10,
                ecn_ce: 1,
                ecn_capable_packets: 10,
                ..turn(round * 100 + 100, round * 100)
            };
            path.observe(&half);
        }
        let snapshot = path.snapshot(at(0));
        assert!((490_000..=500_000).contains(&snapshot.loss_rate), "{}", snapshot.loss_rate);
        assert!((99_000..=100_000).contains(&snapshot.ecn_rate), "{}", snapshot.ecn_rate);
    }

    #[test]
    fn before_the_first_sample_there_is_no_rtt() {
        let mut path = PathModel::new(&InitialConditions { datagram_size: 1200, ..InitialConditions::default() });
        let guess = RttView { smoothed: Duration::from_millis(333), ..RttView::default() };
        path.observe(&Observed { rtt: guess, ..turn(100, 0) });
        assert_eq!(path.smoothed_rtt(), None);
        path.observe(&Observed { rtt: guess, rtt_sample: Some(Duration::from_millis(333)), ..turn(100, 0) });
        assert_eq!(path.smoothed_rtt(), Some(Duration::from_millis(333)));
    }
}
