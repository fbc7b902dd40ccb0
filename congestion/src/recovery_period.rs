//! [`RecoveryPeriod`]: at most one response to congestion for each round trip (RFC 9002 §7.3.2).

use codec::Time;

use crate::{Observed, Snapshot};

/// Why the window is to be reduced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// Packets were lost.
    Loss,
    /// Packets were marked Congestion Experienced.
    EcnCe,
}

/// The recovery period: begins with a response, ends when a packet sent after that is acknowledged.
///
/// Its beginning is remembered after its end, because packets sent before it may still be found lost.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RecoveryPeriod {
    start: Option<Time>,
    under_way: bool,
}

impl RecoveryPeriod {
    /// Goes on with the period of a snapshot.
    pub const fn from_snapshot(snapshot: &Snapshot) -> Self {
        Self { start: snapshot.recovery_start, under_way: snapshot.in_recovery && snapshot.recovery_start.is_some() }
    }

    /// When it began: `congestion_recovery_start_time`.
    pub const fn start(&self) -> Option<Time> {
        self.start
    }

    /// Whether it has not ended yet.
    pub const fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// Whether a response to a packet sent then was already made.
    pub fn covers(&self, sent_at: Time) -> bool {
        self.start.is_some_and(|start| sent_at <= start)
    }

    /// Whether this turn asks for a response. Losses and marks of packets that an earlier response covers do not.
    pub fn signal(&self, observed: &Observed) -> Option<Signal> {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.3.2
        //# Therefore, during a recovery period, the congestion window does not
        //# change in response to new losses or increases in the ECN-CE count.
        if observed.has_loss() && !self.covers(observed.lost_sent_at()) {
            return Some(Signal::Loss);
        }
        (observed.ecn_ce > 0 && !self.covers(observed.acknowledged_sent_at())).then_some(Signal::EcnCe)
    }

    /// A response was made now.
    pub const fn begin(&mut self, now: Time) {
        self.start = Some(now);
        self.under_way = true;
    }

    /// Persistent congestion: the past no longer counts (`congestion_recovery_start_time = 0`).
    pub const fn forget(&mut self) {
        self.start = None;
        self.under_way = false;
    }

    /// Takes in the turn's acknowledgements. True if they may grow the window: they are of packets sent after the period began,
    /// and it had ended before this turn.
    ///
    /// The turn that ends the period does not grow the window: how many of its packets were sent before is not known.
    pub fn on_acknowledged(&mut self, observed: &Observed) -> bool {
        let covered = observed.largest_acknowledged_sent_at.is_some_and(|sent_at| self.covers(sent_at));
        if !self.under_way {
            return !covered;
        }
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.3.2
        //# A recovery period ends and the sender enters congestion avoidance
        //# when a packet sent during the recovery period is acknowledged.
        self.under_way = covered || observed.largest_acknowledged_sent_at.is_none();
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanoseconds: u64) -> Time {
        Time::from_nanos(nanoseconds)
    }

    fn lost(sent_at: u64) -> Observed {
        Observed { lost_packets: 1, largest_lost_sent_at: Some(at(sent_at)), ..Observed::default() }
    }

    fn acknowledged(sent_at: u64) -> Observed {
        Observed { acknowledged_packets: 1, largest_acknowledged_sent_at: Some(at(sent_at)), ..Observed::default() }
    }

    //= https://www.rfc-editor.org/rfc/rfc9002#section-7.3.2
    //= type=test
    //# Therefore, during a recovery period, the congestion window does not
    //# change in response to new losses or increases in the ECN-CE count.
    #[test]
    fn packets_sent_before_the_period_ask_for_nothing_more() {
        let mut period = RecoveryPeriod::default();
        assert_eq!(period.signal(&lost(5)), Some(Signal::Loss));
        period.begin(at(10));
        assert_eq!(period.signal(&lost(5)), None);
        assert_eq!(period.signal(&lost(10)), None);
        assert_eq!(period.signal(&Observed { ecn_ce: 9, ..acknowledged(10) }), None);
        assert_eq!(period.signal(&lost(11)), Some(Signal::Loss));
        assert_eq!(period.signal(&Observed { ecn_ce: 1, ..acknowledged(11) }), Some(Signal::EcnCe));
    }

    #[test]
    fn the_period_ends_with_an_acknowledgement_of_something_sent_in_it() {
        let mut period = RecoveryPeriod::default();
        assert!(period.on_acknowledged(&acknowledged(1)));
        period.begin(at(10));
        assert!(!period.on_acknowledged(&acknowledged(10)));
        assert!(!period.on_acknowledged(&Observed::default()));
        assert!(period.is_under_way());
        assert!(!period.on_acknowledged(&acknowledged(11)), "the turn that ends it does not grow the window");
        assert!(!period.is_under_way());
        assert!(period.on_acknowledged(&acknowledged(12)));
        assert!(!period.on_acknowledged(&acknowledged(9)), "a latecomer from before it does not either");
        assert_eq!(period.signal(&lost(9)), None);
    }

    #[test]
    fn a_loss_whose_time_is_not_told_counts_once_a_round_trip() {
        let rtt = crate::RttView { smoothed: core::time::Duration::from_nanos(100), ..crate::RttView::default() };
        let lost = |now| Observed { now: at(now), lost_packets: 1, rtt, ..Observed::default() };
        let mut period = RecoveryPeriod::default();
        assert_eq!(period.signal(&lost(1000)), Some(Signal::Loss));
        period.begin(at(1000));
        assert_eq!(period.signal(&lost(1100)), None);
        assert_eq!(period.signal(&lost(1101)), Some(Signal::Loss));
    }
}
