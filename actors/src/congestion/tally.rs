//! [`Tally`]: counts what a controller does, in the metrics of its name.

use std::rc::Rc;
use std::time::Duration;

use ::congestion::{Controller, Events, Observed, Window};
use codec::Time;
use telemetry::congestion::{Signal, State};
use telemetry::labels::Algorithm;
use telemetry::{Label as _, Share};

use crate::meter::Meter;

/// How often the window is sampled.
const SAMPLE_PERIOD: Duration = Duration::from_secs(1);

/// What was counted last, so that only differences are added.
#[derive(Debug)]
pub(super) struct Tally {
    label: Algorithm,
    events: Events,
    state: Option<(State, Time)>,
    sampled: Time,
    /// Counts the connection among those of this controller.
    _present: Share,
    in_flight: Share,
}

impl Tally {
    pub(super) fn new(controller: &dyn Controller, meter: &Rc<Meter>, now: Time) -> Self {
        let label = Algorithm::of(controller.name());
        let present = meter.metrics().congestion.connections[label].share();
        present.set(1);
        Self {
            label,
            events: controller.events(),
            state: State::named(controller.state()).map(|state| (state, now)),
            sampled: now,
            _present: present,
            in_flight: meter.metrics().recovery.bytes_in_flight[label].share(),
        }
    }

    /// A turn. True once a second, when the window is sampled.
    pub(super) fn count(
        &mut self,
        meter: &Rc<Meter>,
        observed: &Observed,
        window: Window,
        state: &'static str,
        events: Events,
    ) -> bool {
        let (label, now) = (self.label, observed.now);
        let metrics = &meter.metrics().congestion;
        let Events { loss, ecn_ce, persistent, spurious_undo } = events;
        metrics.events[(label, Signal::Loss)].add(loss.saturating_sub(self.events.loss));
        metrics.events[(label, Signal::EcnCe)].add(ecn_ce.saturating_sub(self.events.ecn_ce));
        metrics.events[(label, Signal::Persistent)].add(persistent.saturating_sub(self.events.persistent));
        metrics.events[(label, Signal::SpuriousUndo)].add(spurious_undo.saturating_sub(self.events.spurious_undo));
        self.events = events;
        self.in_flight.set(observed.bytes_in_flight);
        let state = State::named(state);
        let is_due = now.saturating_since(self.sampled) >= SAMPLE_PERIOD;
        if is_due || state != self.state.map(|(state, _)| state) {
            self.add_state_time(meter, now);
            self.state = state.map(|state| (state, now));
        }
        if is_due {
            self.sampled = now;
            metrics.window[label].record_size(window.congestion_window);
            if let Some(delivery) = &observed.delivery {
                metrics.delivery_rate[label].record_size(delivery.rate);
            }
            meter.metrics().pacer.rate[label].record_size(window.pacing_rate);
        }
        is_due
    }

    /// The controller is gone.
    pub(super) fn end(&mut self, meter: &Rc<Meter>, now: Time) {
        self.add_state_time(meter, now);
        self.state = None;
        self.in_flight.set(0);
    }

    fn add_state_time(&self, meter: &Rc<Meter>, now: Time) {
        if let Some((state, since)) = self.state {
            meter.metrics().congestion.state_time[(self.label, state)].add(now.saturating_since(since));
        }
    }
}
