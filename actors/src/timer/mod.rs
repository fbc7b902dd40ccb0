//! The timer actor: wakes connections at their deadlines.
//!
//! One wheel and one alarm for a shard. While nothing is due and nothing is counted it does not run at all, whatever the
//! number of connections.
//!
//! **In**: [`Register`], [`Deregister`],
//! [`DeadlineChanged`], [`Stop`]. **Out**: [`DeadlineReached`].
//!
//! It also does the shard's [`Housekeeping`]: while anything is counted, the counters go to the metric handles four times
//! a second, and ten times a second it is measured how late the thread is.
//!
//! It ends when it is told to. Overloaded, it is late, and says how late.

mod housekeeping;
pub(crate) mod messages;
pub(crate) mod table;

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Recipient, StreamHandler};
use codec::Time;
use futures_core::Stream;
use telemetry::Share;
use telemetry::actor::{ActorType, StopReason};

use crate::alarm::{Alarm, AlarmFired, Alarms};
use crate::clock;
use crate::down::{Cause, Child, Down, Stop};
use crate::meter::Meter;
use housekeeping::Housekeeping;
use messages::{DeadlineChanged, DeadlineReached, Deregister, Register};
use table::{Due, Table};

/// See the [module](self).
pub(crate) struct TimerActor {
    meter: Rc<Meter>,
    owner: Recipient<Down>,
    alarms: Alarms,
    deadlines: Table<DeadlineReached, ()>,
    housekeeping: Housekeeping,
    armed: Share,
}

impl TimerActor {
    pub(crate) fn new(meter: Rc<Meter>, alarm: Alarm, owner: Recipient<Down>) -> Self {
        Self {
            armed: meter.metrics().timer.armed.share(),
            meter,
            owner,
            alarms: Alarms::new(alarm),
            deadlines: Table::new(clock::now()),
            housekeeping: Housekeeping::default(),
        }
    }

    fn expire(&mut self, now: Time) {
        let meter = &self.meter;
        let lateness = &meter.metrics().timer.lateness;
        self.deadlines.expire(now, |Due { planned, recipient, .. }| {
            recipient.do_send(DeadlineReached { at: now });
            meter.sent(ActorType::Connection);
            lateness.record_time(now - planned);
        });
    }

    /// After anything that may have moved the next thing to do.
    fn rearm(&self) {
        self.alarms.set(self.deadlines.next().into_iter().chain(self.housekeeping.next()).min());
        self.armed.set(self.deadlines.armed() as u64);
    }
}

/// What the timer does something about besides messages.
enum Happening {
    /// It is time.
    Alarm(Time),
    /// Something is counted after a rest.
    Stirred,
}

/// Both in one stream, so that the alarm is looked at after everything that may have set it.
struct Happenings {
    meter: Rc<Meter>,
    alarms: Alarms,
}

impl Stream for Happenings {
    type Item = Happening;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Happening>> {
        if self.meter.poll_stirred(cx).is_ready() {
            return Poll::Ready(Some(Happening::Stirred));
        }
        Pin::new(&mut self.alarms).poll_next(cx).map(|fired| fired.map(|AlarmFired { now }| Happening::Alarm(now)))
    }
}

impl Actor for TimerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        // Whoever flushed before is gone: the next thing counted stirs this one.
        self.meter.rest();
        self.meter.started(ActorType::Timer);
        ctx.add_stream(Happenings { meter: Rc::clone(&self.meter), alarms: self.alarms.clone() });
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        let panicked = std::thread::panicking();
        self.meter.stopped(ActorType::Timer, if panicked { StopReason::Panic } else { StopReason::Done });
        self.meter.flush();
        let cause = if panicked { Cause::Panicked } else { Cause::Finished };
        self.owner.do_send(Down { child: Child::Timer, cause });
    }
}

impl StreamHandler<Happening> for TimerActor {
    fn handle(&mut self, happening: Happening, _: &mut Context<Self>) {
        match happening {
            Happening::Alarm(now) => {
                self.expire(now);
                self.housekeeping.run(now, &self.meter);
            }
            Happening::Stirred => self.housekeeping.begin(clock::now()),
        }
        self.rearm();
    }
}

impl Handler<Register> for TimerActor {
    type Result = ();

    fn handle(&mut self, message: Register, _: &mut Context<Self>) {
        let started = self.meter.handled(ActorType::Timer);
        self.deadlines.register(message.key, message.generation, message.recipient);
        self.rearm();
        self.meter.done(ActorType::Timer, started);
    }
}

impl Handler<Deregister> for TimerActor {
    type Result = ();

    fn handle(&mut self, message: Deregister, _: &mut Context<Self>) {
        let started = self.meter.handled(ActorType::Timer);
        self.deadlines.deregister(message.key, message.generation);
        self.rearm();
        self.meter.done(ActorType::Timer, started);
    }
}

impl Handler<DeadlineChanged> for TimerActor {
    type Result = ();

    fn handle(&mut self, message: DeadlineChanged, _: &mut Context<Self>) {
        let started = self.meter.handled(ActorType::Timer);
        self.deadlines.set(message.key, message.generation, message.at, ());
        self.rearm();
        self.meter.done(ActorType::Timer, started);
    }
}

impl Handler<Stop> for TimerActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

#[cfg(feature = "fault-injection")]
impl Handler<crate::down::Panic> for TimerActor {
    type Result = ();

    #[expect(clippy::panic, reason = "that is the order")]
    fn handle(&mut self, _: crate::down::Panic, _: &mut Context<Self>) {
        panic!("as ordered");
    }
}
