//! `CongestionActor`: around the congestion controller of one path of one connection.
//!
//! Owns a `Box<dyn congestion::Controller>`, the [`Chronicle`] of the path's controllers, and a controller that only watches,
//! if one was asked for. **In**: [`Observed`](messages::Observed), at most one a turn; [`GiveWay`], once. **Out**:
//! `WindowUpdated` to the connection, one for each; `ControllerGaveWay` when another is to go on: because it was asked for, a
//! trial failed, or the controller panicked. What is observed after that goes back, for the successor to hear. Ends when its
//! path or the connection ends, or the successor has taken its place.

pub(crate) mod messages;
pub(crate) mod policy;
mod shadow;
mod tally;

use std::rc::Rc;
use std::time::Duration;

use ::congestion::{Cause, Chronicle, Controller, Snapshot};
use actix::{Actor, ActorContext, Context, Handler, Recipient};
use codec::Time;
use telemetry::actor::{ActorType, StopReason};
use telemetry::congestion::TrialVerdict;

use self::messages::{DatagramSizeChanged, GiveWay, NewPath, Observed, Report, SetShadow};
use self::shadow::Shadow;
use self::tally::Tally;
use crate::api::congestion::CongestionReport;
use crate::clock;
use crate::connection::messages::{ControllerGaveWay, GaveWay, Successor, WindowUpdated};
use crate::down::Stop;
use crate::guard::Guarded;
use crate::meter::Meter;

/// How old the snapshot may be that survives a panic.
const SNAPSHOT_AGE: Duration = Duration::from_millis(10);

/// Whom the actor speaks to; given at construction.
#[derive(Clone, Debug)]
pub(crate) struct Neighbours {
    pub(crate) window: Recipient<WindowUpdated>,
    pub(crate) gave_way: Recipient<ControllerGaveWay>,
}

/// What goes from a controller's keeper to its successor's.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) controller: Box<dyn Controller>,
    pub(crate) chronicle: Box<Chronicle>,
    pub(crate) shadow: Option<Box<Shadow>>,
}

impl Seat {
    /// For the first controller of a path.
    pub(crate) fn new(algorithm: ::congestion::Algorithm, controller: Box<dyn Controller>, now: Time) -> Self {
        let meter = ::congestion::chronicle::RateMeter::new(now);
        Self { controller, chronicle: Box::new(Chronicle::new(algorithm, meter)), shadow: None }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct CongestionActor {
    path: u32,
    controller: Guarded<Box<dyn Controller>>,
    /// What the controller knew a moment ago.
    snapshot: Box<Snapshot>,
    /// `None` once another controller goes on.
    chronicle: Option<Box<Chronicle>>,
    shadow: Option<Box<Shadow>>,
    neighbours: Neighbours,
    meter: Rc<Meter>,
    tally: Tally,
    failed: bool,
}

impl CongestionActor {
    pub(crate) fn new(path: u32, seat: Seat, neighbours: Neighbours, meter: Rc<Meter>) -> Self {
        let now = clock::now();
        let Seat { controller, chronicle, shadow } = seat;
        Self {
            path,
            snapshot: Box::new(controller.snapshot(now)),
            tally: Tally::new(controller.as_ref(), &meter, now),
            controller: Guarded::new(controller),
            chronicle: Some(chronicle),
            shadow,
            neighbours,
            meter,
            failed: false,
        }
    }

    /// Runs `work` behind the boundary. If the controller panics, NewReno goes on from what it knew.
    fn run<R>(&mut self, work: impl FnOnce(&mut Box<dyn Controller>) -> R) -> Option<R> {
        let started = self.meter.handled(ActorType::Congestion);
        let result = self.controller.run(work);
        self.meter.done(ActorType::Congestion, started);
        match result {
            Ok(result) => Some(result),
            Err(gone) => {
                if gone.now {
                    self.failed = true;
                    self.give_way(Cause::Panicked);
                }
                None
            }
        }
    }

    /// Starts a successor and hands everything to it. A controller that panics while it starts is none; the present one
    /// stays.
    fn give_way(&mut self, cause: Cause) {
        let Some(chronicle) = self.chronicle.take() else { return };
        let kept = chronicle.clone();
        let (snapshot, now) = (*self.snapshot, clock::now());
        let mut succession = Guarded::new(chronicle);
        let what = match succession.run(|chronicle| chronicle.succeed(cause, &snapshot, now)) {
            Ok((controller, change)) => {
                let chronicle = succession.take().unwrap_or(kept);
                let seat = Seat { controller, chronicle, shadow: self.shadow.take() };
                GaveWay::Successor(Box::new(Successor { seat, change }))
            }
            Err(_) => {
                self.chronicle = Some(kept);
                GaveWay::Refused
            }
        };
        self.tell(what);
    }

    fn tell(&self, what: GaveWay) {
        self.meter.sent(ActorType::Connection);
        self.neighbours.gave_way.do_send(ControllerGaveWay { path: self.path, what });
    }
}

impl Actor for CongestionActor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.meter.started(ActorType::Congestion);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.tally.end(&self.meter, clock::now());
        self.controller.discard();
        drop(self.shadow.take());
        let reason = if self.failed { StopReason::Panic } else { StopReason::Done };
        self.meter.stopped(ActorType::Congestion, reason);
    }
}

impl Handler<Observed> for CongestionActor {
    type Result = ();

    fn handle(&mut self, Observed(observed): Observed, _: &mut Context<Self>) {
        if self.chronicle.is_none() {
            return self.tell(GaveWay::Unheard(observed));
        }
        let now = observed.now;
        let stale = now.saturating_since(self.snapshot.taken_at) >= SNAPSHOT_AGE;
        let answer = self.run(|controller| {
            let window = controller.on_observed(&observed);
            let snapshot = stale.then(|| controller.snapshot(now));
            (window, controller.state(), controller.events(), snapshot)
        });
        let Some((window, state, events, snapshot)) = answer else {
            return self.tell(GaveWay::Unheard(observed));
        };
        if let Some(snapshot) = snapshot {
            *self.snapshot = snapshot;
        }
        self.meter.sent(ActorType::Connection);
        self.neighbours.window.do_send(WindowUpdated { path: self.path, window, state });
        let is_due = self.tally.count(&self.meter, &observed, window, state, events);
        if let Some(shadow) = &mut self.shadow
            && !shadow.observe(&observed, is_due.then_some(&self.meter))
        {
            self.shadow = None;
        }
        let verdict = self.chronicle.as_mut().and_then(|chronicle| chronicle.observe(&observed));
        if let Some(verdict) = verdict {
            self.meter.metrics().congestion.trials[TrialVerdict::of(verdict.name())].add(1);
            if verdict.is_rollback() {
                self.refresh(now);
                self.give_way(Cause::TrialFailed);
            }
        }
    }
}

impl CongestionActor {
    fn watch(&mut self, algorithm: Option<Box<::congestion::Algorithm>>, now: Time) {
        self.shadow = algorithm.and_then(|algorithm| Shadow::start(*algorithm, &self.snapshot, now)).map(Box::new);
    }

    /// Takes a snapshot of now. False if the controller is gone.
    fn refresh(&mut self, now: Time) -> bool {
        let Some(snapshot) = self.run(|controller| controller.snapshot(now)) else { return false };
        *self.snapshot = snapshot;
        true
    }
}

impl Handler<DatagramSizeChanged> for CongestionActor {
    type Result = ();

    fn handle(&mut self, DatagramSizeChanged(size): DatagramSizeChanged, _: &mut Context<Self>) {
        let answer = self.run(|controller| (controller.on_datagram_size(size), controller.state()));
        if let Some((window, state)) = answer.filter(|_| self.chronicle.is_some()) {
            self.meter.sent(ActorType::Connection);
            self.neighbours.window.do_send(WindowUpdated { path: self.path, window, state });
        }
    }
}

impl Handler<GiveWay> for CongestionActor {
    type Result = ();

    fn handle(&mut self, GiveWay(order): GiveWay, _: &mut Context<Self>) {
        // If another successor is on its way already, the connection gives the order to that one's keeper.
        if self.chronicle.is_some() && self.refresh(clock::now()) {
            self.give_way(Cause::Ordered(*order));
        }
    }
}

impl Handler<NewPath> for CongestionActor {
    type Result = ();

    fn handle(&mut self, NewPath { path, controller }: NewPath, _: &mut Context<Self>) {
        // Who gave way already has nobody to answer for; the connection gives the successor a new start.
        let Some(chronicle) = &mut self.chronicle else { return };
        let now = clock::now();
        chronicle.restart(now);
        self.path = path;
        self.tally.end(&self.meter, now);
        self.tally = Tally::new(controller.as_ref(), &self.meter, now);
        self.controller.discard();
        self.controller = Guarded::new(controller);
        let shadow = self.shadow.take().map(|shadow| Box::new(shadow.algorithm()));
        if self.refresh(now) {
            self.watch(shadow, now);
        }
    }
}

impl Handler<SetShadow> for CongestionActor {
    type Result = ();

    fn handle(&mut self, SetShadow(algorithm): SetShadow, _: &mut Context<Self>) {
        if self.chronicle.is_none() {
            return self.tell(GaveWay::Shadow(algorithm));
        }
        let now = clock::now();
        if self.refresh(now) {
            self.watch(algorithm, now);
        }
    }
}

impl Handler<Report> for CongestionActor {
    type Result = ();

    /// Who asks while another controller takes over is answered nothing, and may ask again.
    fn handle(&mut self, Report { is_chosen, reply }: Report, _: &mut Context<Self>) {
        let now = clock::now();
        let Some((window, state)) = self.run(|controller| (controller.window(), controller.state())) else { return };
        let Some(chronicle) = &self.chronicle else { return };
        let report = CongestionReport {
            now,
            algorithm: chronicle.algorithm(),
            is_chosen,
            is_on_trial: chronicle.is_on_trial(),
            state,
            window,
            rates: chronicle.rates(),
            changes: chronicle.changes().collect(),
            shadow: self.shadow.as_ref().map(|shadow| shadow.report()),
        };
        let _caller_gone = reply.send(report);
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

    fn handle(&mut self, _: crate::down::Panic, _: &mut Context<Self>) {
        self.run(|_| panic!("injected into a Congestion actor"));
    }
}
