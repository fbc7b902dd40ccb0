//! `CongestionActor`: around the congestion controller of one path of one connection.
//!
//! Owns a `Box<dyn congestion::Controller>`. **In**: [`Observed`](messages::Observed), at most one a turn. **Out**:
//! `WindowUpdated` to the connection, one for each; `SnapshotTaken`, once, when another controller is to go on. Ends when
//! its path or the connection ends, or a successor takes its place. If the controller panics, the last snapshot survives
//! it and the connection goes on with NewReno.

pub(crate) mod messages;

use std::rc::Rc;
use std::time::Duration;

use ::congestion::{Controller, Events, Snapshot};
use actix::{Actor, ActorContext, Context, Handler, Recipient};
use codec::Time;
use telemetry::actor::{ActorType, StopReason};
use telemetry::congestion::{Signal, State};
use telemetry::labels::Algorithm;
use telemetry::{Label as _, Share};

use self::messages::{DatagramSizeChanged, Observed, TakeSnapshot};
use crate::clock;
use crate::connection::messages::{SnapshotTaken, WindowUpdated};
use crate::down::Stop;
use crate::guard::Guarded;
use crate::meter::Meter;

/// How old the snapshot may be that survives a panic.
const SNAPSHOT_AGE: Duration = Duration::from_millis(10);
/// How often the window is sampled.
const SAMPLE_PERIOD: Duration = Duration::from_secs(1);

/// Whom the actor speaks to; given at construction.
#[derive(Clone, Debug)]
pub(crate) struct Neighbours {
    pub(crate) window: Recipient<WindowUpdated>,
    pub(crate) snapshot: Recipient<SnapshotTaken>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct CongestionActor {
    path: u32,
    controller: Guarded<Box<dyn Controller>>,
    /// What the controller knew a moment ago.
    snapshot: Box<Snapshot>,
    neighbours: Neighbours,
    meter: Rc<Meter>,
    label: Option<Algorithm>,
    events: Events,
    state: Option<(State, Time)>,
    sampled: Time,
    failed: bool,
    /// Counts the connection among those of this controller.
    present: Option<Share>,
    in_flight: Option<Share>,
}

impl CongestionActor {
    pub(crate) fn new(path: u32, controller: Box<dyn Controller>, neighbours: Neighbours, meter: Rc<Meter>) -> Self {
        let now = clock::now();
        let label = Algorithm::named(controller.name());
        let congestion = &meter.metrics().congestion;
        let present = label.map(|label| {
            let share = congestion.connections[label].share();
            share.set(1);
            share
        });
        let in_flight = label.map(|label| meter.metrics().recovery.bytes_in_flight[label].share());
        Self {
            path,
            snapshot: Box::new(controller.snapshot(now)),
            state: State::named(controller.state()).map(|state| (state, now)),
            controller: Guarded::new(controller),
            neighbours,
            meter,
            label,
            events: Events::default(),
            sampled: now,
            failed: false,
            present,
            in_flight,
        }
    }

    fn run<R>(&mut self, context: &mut Context<Self>, work: impl FnOnce(&mut Box<dyn Controller>) -> R) -> Option<R> {
        let started = self.meter.handled(ActorType::Congestion);
        let result = self.controller.run(work);
        self.meter.done(ActorType::Congestion, started);
        match result {
            Ok(result) => Some(result),
            Err(gone) => {
                if gone.now {
                    self.failed = true;
                    self.hand_over();
                    context.stop();
                }
                None
            }
        }
    }

    fn hand_over(&mut self) {
        self.meter.sent(ActorType::Connection);
        self.neighbours.snapshot.do_send(SnapshotTaken {
            path: self.path,
            snapshot: self.snapshot.clone(),
            failed: self.failed,
        });
    }

    /// Counts what the controller did, in the metrics of its name.
    fn count(&mut self, now: Time, observed: &::congestion::Observed, answer: &Answer) {
        let Some(label) = self.label else { return };
        let metrics = &self.meter.metrics().congestion;
        let Events { loss, ecn_ce, persistent, spurious_undo } = answer.events;
        metrics.events[(label, Signal::Loss)].add(loss.saturating_sub(self.events.loss));
        metrics.events[(label, Signal::EcnCe)].add(ecn_ce.saturating_sub(self.events.ecn_ce));
        metrics.events[(label, Signal::Persistent)].add(persistent.saturating_sub(self.events.persistent));
        metrics.events[(label, Signal::SpuriousUndo)].add(spurious_undo.saturating_sub(self.events.spurious_undo));
        self.events = answer.events;
        if let Some(in_flight) = &self.in_flight {
            in_flight.set(observed.bytes_in_flight);
        }
        let state = State::named(answer.state);
        if now.saturating_since(self.sampled) >= SAMPLE_PERIOD || state != self.state.map(|(state, _)| state) {
            if let Some((state, since)) = self.state {
                metrics.state_time[(label, state)].add(now.saturating_since(since));
            }
            self.state = state.map(|state| (state, now));
        }
        if now.saturating_since(self.sampled) >= SAMPLE_PERIOD {
            self.sampled = now;
            metrics.window[label].record_size(answer.window.congestion_window);
            if let Some(delivery) = &observed.delivery {
                metrics.delivery_rate[label].record_size(delivery.rate);
            }
            self.meter.metrics().pacer.rate[label].record_size(answer.window.pacing_rate);
        }
    }
}

/// What a controller says after it was told something.
struct Answer {
    window: ::congestion::Window,
    state: &'static str,
    events: Events,
    snapshot: Option<Snapshot>,
}

impl Actor for CongestionActor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.meter.started(ActorType::Congestion);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        if let (Some(label), Some((state, since))) = (self.label, self.state) {
            let lasted = clock::now().saturating_since(since);
            self.meter.metrics().congestion.state_time[(label, state)].add(lasted);
        }
        self.controller.discard();
        let reason = if self.failed { StopReason::Panic } else { StopReason::Done };
        self.meter.stopped(ActorType::Congestion, reason);
        drop(self.present.take());
    }
}

impl Handler<Observed> for CongestionActor {
    type Result = ();

    fn handle(&mut self, Observed(observed): Observed, context: &mut Context<Self>) {
        let now = observed.now;
        let stale = now.saturating_since(self.snapshot.taken_at) >= SNAPSHOT_AGE;
        let answer = self.run(context, |controller| Answer {
            window: controller.on_observed(&observed),
            state: controller.state(),
            events: controller.events(),
            snapshot: stale.then(|| controller.snapshot(now)),
        });
        let Some(mut answer) = answer else { return };
        if let Some(snapshot) = answer.snapshot.take() {
            *self.snapshot = snapshot;
        }
        self.meter.sent(ActorType::Connection);
        self.neighbours.window.do_send(WindowUpdated { path: self.path, window: answer.window, state: answer.state });
        self.count(now, &observed, &answer);
    }
}

impl Handler<DatagramSizeChanged> for CongestionActor {
    type Result = ();

    fn handle(&mut self, DatagramSizeChanged(size): DatagramSizeChanged, context: &mut Context<Self>) {
        let answer = self.run(context, |controller| (controller.on_datagram_size(size), controller.state()));
        if let Some((window, state)) = answer {
            self.meter.sent(ActorType::Connection);
            self.neighbours.window.do_send(WindowUpdated { path: self.path, window, state });
        }
    }
}

impl Handler<TakeSnapshot> for CongestionActor {
    type Result = ();

    fn handle(&mut self, _: TakeSnapshot, context: &mut Context<Self>) {
        let now = clock::now();
        if let Some(snapshot) = self.run(context, |controller| controller.snapshot(now)) {
            *self.snapshot = snapshot;
            self.hand_over();
            context.stop();
        }
    }
}

impl Handler<Stop> for CongestionActor {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Context<Self>) {
        context.stop();
    }
}

#[cfg(feature = "fault-injection")]
impl Handler<crate::down::Panic> for CongestionActor {
    type Result = ();

    fn handle(&mut self, _: crate::down::Panic, context: &mut Context<Self>) {
        self.run(context, |_| panic!("injected into a Congestion actor"));
    }
}
