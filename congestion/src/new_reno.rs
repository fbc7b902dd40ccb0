//! NewReno as RFC 9002 §7 and its appendix B have it: additive increase, halving.

use codec::Time;

use crate::window::{MAXIMUM_WINDOW, minimum_window};
use crate::{
    Controller, Events, InitialConditions, Observed, Parameter, Parameters, PathModel, RecoveryPeriod, Signal,
    Snapshot, Window,
};

/// RFC 9002's own controller.
///
/// Hand-off, from a [`Snapshot`]: the window is taken as it is; the threshold is the snapshot's, but not above the window
/// unless the snapshot was in slow start; the recovery period goes on; bandwidth and pacing rate are not used (the rate is
/// made of window and RTT again). To a [`Snapshot`]: `saturation_window` is the window before the last reduction.
#[derive(Clone, Debug)]
pub struct NewReno {
    path: PathModel,
    recovery: RecoveryPeriod,
    congestion_window: u64,
    /// `ssthresh`; `u64::MAX` is infinite.
    slow_start_threshold: u64,
    /// Bytes acknowledged towards the next datagram's growth (RFC 3465 §2.1).
    credit: u64,
    saturation_window: Option<u64>,
    last_reduction: Option<Time>,
    untouched: Option<InitialConditions>,
    events: Events,
}

impl NewReno {
    /// The name it is asked for by.
    pub const NAME: &str = "newreno";
    /// Nothing of it can be set.
    pub const PARAMETERS: &[Parameter] = &[];

    /// On a new path, in slow start.
    pub fn new(conditions: &InitialConditions, _: &Parameters) -> Self {
        let path = PathModel::new(conditions);
        Self {
            congestion_window: conditions.window(),
            path,
            recovery: RecoveryPeriod::default(),
            slow_start_threshold: u64::MAX,
            credit: 0,
            saturation_window: None,
            last_reduction: None,
            untouched: Some(*conditions),
            events: Events::default(),
        }
    }

    /// Where another controller was. See the type's documentation for what becomes of each field.
    pub fn from_snapshot(snapshot: &Snapshot, now: Time, _: &Parameters) -> Self {
        let congestion_window = snapshot.starting_window();
        let slow_start_threshold = if snapshot.in_slow_start {
            snapshot.slow_start_threshold.unwrap_or(u64::MAX)
        } else {
            snapshot.slow_start_threshold.unwrap_or(congestion_window).min(congestion_window)
        };
        Self {
            path: PathModel::from_snapshot(snapshot, now),
            recovery: RecoveryPeriod::from_snapshot(snapshot),
            congestion_window,
            slow_start_threshold,
            credit: 0,
            saturation_window: snapshot.saturation_window,
            last_reduction: snapshot.last_reduction,
            untouched: None,
            events: Events::default(),
        }
    }

    const fn in_slow_start(&self) -> bool {
        self.congestion_window < self.slow_start_threshold
    }

    fn minimum_window(&self) -> u64 {
        minimum_window(self.path.datagram_size())
    }

    fn reduce(&mut self, now: Time, signal: Signal) {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.3.2
        //# On entering a recovery period, a sender MUST set the slow start
        //# threshold to half the value of the congestion window when loss is
        //# detected.
        self.saturation_window = Some(self.congestion_window);
        self.slow_start_threshold = (self.congestion_window / 2).max(self.minimum_window());
        self.congestion_window = self.slow_start_threshold;
        self.credit = 0;
        self.recovery.begin(now);
        self.last_reduction = Some(now);
        match signal {
            Signal::Loss => self.events.loss += 1,
            Signal::EcnCe => self.events.ecn_ce += 1,
        }
    }

    fn collapse(&mut self, now: Time) {
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2
        //# When persistent congestion is declared, the sender's congestion
        //# window MUST be reduced to the minimum congestion window
        //# (kMinimumWindow), similar to a TCP sender's response on an RTO
        self.congestion_window = self.minimum_window();
        self.credit = 0;
        self.recovery.forget();
        self.last_reduction = Some(now);
        self.events.persistent += 1;
    }

    fn grow(&mut self, acknowledged_bytes: u64) {
        // More than a window cannot have been in flight for a round trip; a peer that claims so gains nothing.
        let acknowledged = acknowledged_bytes.min(self.congestion_window);
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.3.1
        //# While a sender is in slow start, the congestion window increases by
        //# the number of bytes acknowledged when each acknowledgment is
        //# processed.
        let slow_start = acknowledged.min(self.slow_start_threshold.saturating_sub(self.congestion_window));
        self.congestion_window = self.congestion_window.saturating_add(slow_start).min(MAXIMUM_WINDOW);
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.3.3
        //# A sender in congestion avoidance uses an Additive Increase
        //# Multiplicative Decrease (AIMD) approach that MUST limit the increase
        //# to the congestion window to at most one maximum datagram size for
        //# each congestion window that is acknowledged.
        self.credit += acknowledged - slow_start;
        if self.credit >= self.congestion_window {
            self.credit -= self.congestion_window;
            let datagram_size = u64::from(self.path.datagram_size());
            self.congestion_window = self.congestion_window.saturating_add(datagram_size).min(MAXIMUM_WINDOW);
        }
    }
}

impl Controller for NewReno {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn state(&self) -> &'static str {
        if self.recovery.is_under_way() {
            "recovery"
        } else if self.in_slow_start() {
            "slow_start"
        } else {
            "congestion_avoidance"
        }
    }

    fn on_observed(&mut self, observed: &Observed) -> Window {
        if observed.datagram_size != 0 && observed.datagram_size != self.path.datagram_size() {
            self.on_datagram_size(observed.datagram_size);
        }
        self.path.observe(observed);
        if observed.acknowledged_bytes > 0 || observed.has_loss() {
            self.untouched = None;
        }
        if let Some(signal) = self.recovery.signal(observed) {
            self.reduce(observed.now, signal);
        }
        if observed.persistent_congestion {
            self.collapse(observed.now);
        } else if self.recovery.on_acknowledged(observed) && self.path.is_window_used(observed, self.congestion_window)
        {
            self.grow(observed.acknowledged_bytes);
        }
        self.window()
    }

    fn window(&self) -> Window {
        let ramping = self.in_slow_start();
        Window::paced(self.congestion_window, self.path.smoothed_rtt(), self.path.datagram_size(), ramping)
    }

    fn snapshot(&self, now: Time) -> Snapshot {
        Snapshot {
            controller: Self::NAME,
            congestion_window: self.congestion_window,
            slow_start_threshold: (self.slow_start_threshold != u64::MAX).then_some(self.slow_start_threshold),
            in_slow_start: self.in_slow_start(),
            saturation_window: self.saturation_window,
            pacing_rate: self.window().pacing_rate,
            recovery_start: self.recovery.start(),
            in_recovery: self.recovery.is_under_way(),
            last_reduction: self.last_reduction,
            ..self.path.snapshot(now)
        }
    }

    fn on_datagram_size(&mut self, datagram_size: u16) -> Window {
        self.path.set_datagram_size(datagram_size);
        //= https://www.rfc-editor.org/rfc/rfc9002#section-7.2
        //# If the maximum datagram size changes during the connection, the
        //# initial congestion window SHOULD be recalculated with the new size.
        if let Some(conditions) = &mut self.untouched {
            conditions.datagram_size = datagram_size;
            self.congestion_window = conditions.window();
        }
        self.congestion_window = self.congestion_window.max(self.minimum_window());
        self.window()
    }

    fn events(&self) -> Events {
        self.events
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::RttView;

    const SEGMENT: u64 = 1200;
    const RTT: Duration = Duration::from_millis(100);

    struct Bench {
        controller: NewReno,
        now: Time,
    }

    impl Bench {
        fn new(segments: u64) -> Self {
            let now = Time::from_nanos(1_000_000_000);
            let initial_window = Some(segments * SEGMENT);
            let conditions =
                InitialConditions { datagram_size: 1200, initial_window, now, ..InitialConditions::default() };
            Self { controller: NewReno::new(&conditions, &Parameters::default()), now }
        }

        fn observed(&self) -> Observed {
            let window = self.controller.congestion_window;
            Observed {
                now: self.now,
                rtt: RttView { latest: RTT, smoothed: RTT, variation: RTT / 8, minimum: RTT },
                prior_in_flight: window,
                ..Observed::default()
            }
        }

        fn acknowledged(&self, bytes: u64) -> Observed {
            let sent_at = self.now.saturating_before(RTT - Duration::from_nanos(1));
            Observed {
                acknowledged_bytes: bytes,
                acknowledged_packets: bytes.div_ceil(SEGMENT),
                largest_acknowledged_sent_at: Some(sent_at),
                rtt_sample: Some(RTT),
                ..self.observed()
            }
        }

        fn acknowledge(&mut self, bytes: u64) -> u64 {
            let observed = self.acknowledged(bytes);
            self.controller.on_observed(&observed).congestion_window
        }

        fn lose(&mut self) -> u64 {
            let largest_lost_sent_at = Some(self.now.saturating_before(Duration::from_nanos(1)));
            let observed = Observed { lost_packets: 1, lost_bytes: SEGMENT, largest_lost_sent_at, ..self.observed() };
            self.controller.on_observed(&observed).congestion_window
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc9002#section-7.3.2
    //= type=test
    //# On entering a recovery period, a sender MUST set the slow start
    //# threshold to half the value of the congestion window when loss is
    //# detected.
    #[test]
    fn loss_halves_the_window_once_in_a_round_trip() {
        let mut bench = Bench::new(100);
        assert_eq!(bench.lose(), 50 * SEGMENT);
        assert_eq!(bench.controller.state(), "recovery");
        bench.now += RTT;
        let covered = Observed {
            lost_packets: 30,
            largest_lost_sent_at: Some(bench.now.saturating_before(RTT)),
            ..bench.acknowledged(0)
        };
        assert_eq!(bench.controller.on_observed(&covered).congestion_window, 50 * SEGMENT);
        bench.now += RTT;
        assert_eq!(bench.lose(), 25 * SEGMENT);
        assert_eq!(bench.controller.events().loss, 2);
    }

    #[test]
    fn the_window_is_never_below_two_datagrams() {
        let mut bench = Bench::new(3);
        for _ in 0..10 {
            bench.now += RTT;
            assert_eq!(bench.lose(), 2 * SEGMENT);
        }
    }

    #[test]
    fn slow_start_adds_what_is_acknowledged() {
        let mut bench = Bench::new(10);
        bench.now += RTT;
        assert_eq!(bench.acknowledge(10 * SEGMENT), 20 * SEGMENT);
        assert_eq!(bench.acknowledge(SEGMENT / 2), 20 * SEGMENT + SEGMENT / 2);
        assert_eq!(bench.controller.state(), "slow_start");
    }

    //= https://www.rfc-editor.org/rfc/rfc9002#section-7.3.3
    //= type=test
    //# A sender in congestion avoidance uses an Additive Increase
    //# Multiplicative Decrease (AIMD) approach that MUST limit the increase
    //# to the congestion window to at most one maximum datagram size for
    //# each congestion window that is acknowledged.
    #[test]
    fn congestion_avoidance_adds_a_datagram_for_each_window_in_batches_of_any_size() {
        for batch in [1, 7, 50] {
            let mut bench = Bench::new(100);
            bench.lose();
            bench.now += RTT;
            bench.acknowledge(SEGMENT);
            assert_eq!(bench.controller.state(), "congestion_avoidance");
            let mut acknowledged = 0;
            for window in 50..60 {
                while acknowledged < window {
                    assert_eq!(bench.controller.congestion_window, window * SEGMENT, "batches of {batch}");
                    bench.now += Duration::from_millis(1);
                    bench.acknowledge(batch.min(window) * SEGMENT);
                    acknowledged += batch.min(window);
                }
                acknowledged -= window;
            }
        }
    }

    #[test]
    fn slow_start_stops_at_the_threshold_and_the_rest_counts_as_avoidance() {
        let mut bench = Bench::new(100);
        bench.now += RTT;
        let persistent = Observed {
            lost_packets: 1,
            largest_lost_sent_at: Some(bench.now.saturating_before(RTT)),
            persistent_congestion: true,
            ..bench.observed()
        };
        assert_eq!(bench.controller.on_observed(&persistent).congestion_window, 2 * SEGMENT);
        assert_eq!(bench.controller.slow_start_threshold, 50 * SEGMENT);
        for window in [4, 8, 16, 32, 50] {
            bench.now += RTT;
            let all = bench.controller.congestion_window;
            assert_eq!(bench.acknowledge(all), window * SEGMENT);
        }
        assert_eq!(bench.controller.credit, 14 * SEGMENT);
    }

    #[test]
    fn a_peer_that_claims_more_than_a_window_gains_no_more_than_a_window() {
        let mut bench = Bench::new(10);
        bench.now += RTT;
        assert_eq!(bench.acknowledge(u64::MAX), 20 * SEGMENT);
    }

    #[test]
    fn nothing_grows_while_the_application_is_the_limit() {
        let mut bench = Bench::new(10);
        for _ in 0..20 {
            bench.now += RTT;
            let observed = Observed { application_limited: true, ..bench.acknowledged(10 * SEGMENT) };
            assert_eq!(bench.controller.on_observed(&observed).congestion_window, 10 * SEGMENT);
        }
    }

    #[test]
    fn a_mark_halves_and_is_counted_as_such() {
        let mut bench = Bench::new(100);
        bench.now += RTT;
        let marked = Observed { ecn_ce: 3, ..bench.acknowledged(3 * SEGMENT) };
        assert_eq!(bench.controller.on_observed(&marked).congestion_window, 50 * SEGMENT);
        assert_eq!(bench.controller.events(), Events { ecn_ce: 1, ..Events::default() });
    }

    #[test]
    fn a_successor_goes_on_in_congestion_avoidance_with_the_same_window() {
        let mut bench = Bench::new(100);
        bench.lose();
        bench.now += RTT;
        bench.acknowledge(SEGMENT);
        let snapshot = bench.controller.snapshot(bench.now);
        let successor = NewReno::from_snapshot(&snapshot, bench.now, &Parameters::default());
        assert_eq!((successor.state(), successor.window()), ("congestion_avoidance", bench.controller.window()));
        assert_eq!(successor.snapshot(bench.now), snapshot);
    }
}
