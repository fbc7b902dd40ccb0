//! NewReno as RFC 9002 §7 and its appendix B have it: additive increase, halving.

use codec::Time;

use crate::window::{MAXIMUM_WINDOW, minimum_window};
use crate::{Controller, Events, InitialConditions, Observed, PathModel, RecoveryPeriod, Signal, Snapshot, Window};

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

    /// On a new path, in slow start.
    pub fn new(conditions: &InitialConditions) -> Self {
        let path = PathModel::new(conditions.datagram_size, conditions.now);
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
    pub fn from_snapshot(snapshot: &Snapshot, now: Time) -> Self {
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
