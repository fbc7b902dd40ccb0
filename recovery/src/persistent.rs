//! [`Persistent`]: whether all packets of a long time were lost (RFC 9002 §7.6).

use alloc::boxed::Box;
use core::time::Duration;

use codec::Time;

use crate::SpaceId;

/// Send times of acknowledged packets that are kept to compare losses of other spaces with.
const REMEMBERED: usize = 16;

/// Follows, in each space, the run of lost packets that no acknowledged packet interrupts.
///
/// A space reports its packets in the order they were sent, so a run is exact within it. Across spaces, which only
/// exist side by side during the handshake, the last few acknowledged send times are compared (RFC 9002 §7.6.2
/// permits to consider one space alone).
#[derive(Clone, Debug)]
pub(crate) struct Persistent {
    /// When the first ack-eliciting packet of the run was sent.
    runs: [Option<Time>; 3],
    /// Of the handshake.
    acknowledged: Option<Box<Acknowledged>>,
}

/// When the last few packets were sent that were acknowledged beside another space.
#[derive(Clone, Debug)]
struct Acknowledged {
    /// `Time::MAX` where there is none: it lies between no two others.
    sent_at: [Time; REMEMBERED],
    oldest: usize,
}

impl Persistent {
    pub(crate) const fn new() -> Self {
        Self { runs: [None; 3], acknowledged: None }
    }

    /// Going through a space in order, an acknowledged packet was met: the run ends.
    pub(crate) const fn interrupt(&mut self, space: SpaceId) {
        *self.run(space) = None;
    }

    /// A packet was acknowledged while more than one space exists.
    pub(crate) fn on_acknowledged_beside(&mut self, sent_at: Time) {
        let none = || Box::new(Acknowledged { sent_at: [Time::MAX; REMEMBERED], oldest: 0 });
        let known = self.acknowledged.get_or_insert_with(none);
        known.sent_at[known.oldest] = sent_at;
        known.oldest = (known.oldest + 1) % REMEMBERED;
    }

    /// Going through a space in order, an ack-eliciting packet is lost. Whether that makes congestion persistent,
    /// which needs all packets of longer than `duration` to be lost.
    pub(crate) fn on_lost(
        &mut self,
        space: SpaceId,
        sent_at: Time,
        first_rtt_sample_at: Option<Time>,
        duration: Duration,
    ) -> bool {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2
        //# The persistent congestion period SHOULD NOT start until there is at least one
        //# RTT sample.
        if first_rtt_sample_at.is_none_or(|first| sent_at <= first) {
            return false;
        }
        let Self { runs, acknowledged } = self;
        let beside = |start| acknowledged.iter().flat_map(|known| known.sent_at).any(|at| start < at && at < sent_at);
        let run = &mut runs[space.index()];
        let start = match *run {
            Some(start) if !beside(start) => start,
            _ => {
                *run = Some(sent_at);
                return false;
            }
        };
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2
        //# the duration between the send times of these two packets exceeds the
        //# persistent congestion duration
        let persistent = sent_at.saturating_since(start) > duration;
        if persistent {
            *run = None;
        }
        persistent
    }

    /// From here on there is one space.
    pub(crate) fn leave_handshake(&mut self) {
        self.acknowledged = None;
    }

    const fn run(&mut self, space: SpaceId) -> &mut Option<Time> {
        &mut self.runs[space.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: SpaceId = SpaceId::Application;
    const SIX: Duration = Duration::from_secs(6);

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn lost(persistent: &mut Persistent, seconds: u64) -> bool {
        persistent.on_lost(SPACE, at(seconds), Some(Time::ZERO), SIX)
    }

    #[test]
    fn the_example_of_section_7_6_3_is_persistent_congestion() {
        let mut persistent = Persistent::new();
        persistent.interrupt(SPACE);
        let found = [1, 2, 3, 4, 5, 6, 8].map(|second| lost(&mut persistent, second));
        assert_eq!(found, [false, false, false, false, false, false, true]);
    }

    #[test]
    fn exactly_the_duration_is_not_enough() {
        let mut persistent = Persistent::new();
        assert!(!lost(&mut persistent, 1));
        assert!(!lost(&mut persistent, 7));
    }

    #[test]
    fn an_acknowledged_packet_between_them_ends_the_run() {
        let mut persistent = Persistent::new();
        assert!(!lost(&mut persistent, 1));
        persistent.interrupt(SPACE);
        assert!(!lost(&mut persistent, 8));
        assert!(!lost(&mut persistent, 14));
        assert!(lost(&mut persistent, 15));
    }

    #[test]
    fn an_acknowledged_packet_of_another_space_ends_the_run_too() {
        let mut persistent = Persistent::new();
        persistent.on_acknowledged_beside(at(5));
        assert!(!lost(&mut persistent, 1));
        assert!(!lost(&mut persistent, 8));
        assert!(lost(&mut persistent, 15), "the run began again at 8");
    }

    //= https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2
    //= type=test
    //# The persistent congestion period SHOULD NOT start until there is at least one
    //# RTT sample.
    #[test]
    fn packets_sent_before_the_first_sample_do_not_count() {
        let mut persistent = Persistent::new();
        assert!(!persistent.on_lost(SPACE, at(1), None, SIX));
        assert!(!persistent.on_lost(SPACE, at(2), Some(at(2)), SIX));
        assert!(!persistent.on_lost(SPACE, at(9), Some(at(2)), SIX));
        assert!(persistent.on_lost(SPACE, at(16), Some(at(2)), SIX));
    }

    #[test]
    fn it_is_declared_once_for_a_run() {
        let mut persistent = Persistent::new();
        assert!(!lost(&mut persistent, 1));
        assert!(lost(&mut persistent, 8));
        assert!(!lost(&mut persistent, 9));
        assert!(!lost(&mut persistent, 10));
    }
}
