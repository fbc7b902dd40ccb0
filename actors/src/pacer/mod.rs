//! The pacer actor: lets connections send when their time has come.
//!
//! It keeps the times that connections computed themselves (`congestion::Pacer`); here is only the wheel and the alarm,
//! one of each for a shard. It does not run while nobody wants to send later.
//!
//! **In**: [`Register`], [`Deregister`],
//! [`TransmitWanted`], [`Stop`]. **Out**: [`TransmitGranted`].
//!
//! It ends when it is told to. Overloaded, it is late, and says how late; what was late may then leave at once, within the
//! burst that a connection's own pacer allows.

pub(crate) mod messages;

#[cfg(test)]
mod tests;

use std::rc::Rc;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Recipient, StreamHandler};
use telemetry::actor::{ActorType, StopReason};

use crate::alarm::{Alarm, AlarmFired, Alarms};
use crate::clock;
use crate::down::{Cause, Child, Down, Stop};
use crate::meter::Meter;
use crate::timer::table::{Due, Table};
use messages::{Deregister, Register, TransmitGranted, TransmitWanted};

/// The datagrams in which a burst is counted: those that every path carries (RFC 9000 §14). Larger ones make fewer.
const DATAGRAM: u64 = 1_200;

/// See the [module](self).
pub(crate) struct PacerActor {
    meter: Rc<Meter>,
    owner: Recipient<Down>,
    alarms: Alarms,
    wishes: Table<TransmitGranted, u64>,
}

impl PacerActor {
    pub(crate) fn new(meter: Rc<Meter>, alarm: Alarm, owner: Recipient<Down>) -> Self {
        Self { meter, owner, alarms: Alarms::new(alarm), wishes: Table::new(clock::now()) }
    }

    /// After anything that may have moved the next wish.
    fn rearm(&self) {
        self.alarms.set(self.wishes.next());
    }
}

impl Actor for PacerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.meter.started(ActorType::Pacer);
        ctx.add_stream(self.alarms.clone());
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        let panicked = std::thread::panicking();
        self.meter.stopped(ActorType::Pacer, if panicked { StopReason::Panic } else { StopReason::Done });
        let cause = if panicked { Cause::Panicked } else { Cause::Finished };
        self.owner.do_send(Down { child: Child::Pacer, cause });
    }
}

impl StreamHandler<AlarmFired> for PacerActor {
    fn handle(&mut self, AlarmFired { now }: AlarmFired, _: &mut Context<Self>) {
        let meter = &self.meter;
        let metrics = &meter.metrics().pacer;
        let mut released = 0_u64;
        self.wishes.expire(now, |Due { planned, recipient, payload: bytes }| {
            recipient.do_send(TransmitGranted { bytes: *bytes });
            meter.sent(ActorType::Connection);
            metrics.lateness.record_time(now - planned);
            released = released.saturating_add(*bytes);
        });
        if released > 0 {
            metrics.burst.record_size(released.div_ceil(DATAGRAM));
        }
        self.rearm();
    }
}

impl Handler<Register> for PacerActor {
    type Result = ();

    fn handle(&mut self, message: Register, _: &mut Context<Self>) {
        let started = self.meter.handled(ActorType::Pacer);
        self.wishes.register(message.key, message.generation, message.recipient);
        self.rearm();
        self.meter.done(ActorType::Pacer, started);
    }
}

impl Handler<Deregister> for PacerActor {
    type Result = ();

    fn handle(&mut self, message: Deregister, _: &mut Context<Self>) {
        let started = self.meter.handled(ActorType::Pacer);
        self.wishes.deregister(message.key, message.generation);
        self.rearm();
        self.meter.done(ActorType::Pacer, started);
    }
}

impl Handler<TransmitWanted> for PacerActor {
    type Result = ();

    fn handle(&mut self, message: TransmitWanted, _: &mut Context<Self>) {
        let started = self.meter.handled(ActorType::Pacer);
        self.wishes.set(message.key, message.generation, message.at, message.bytes);
        self.rearm();
        self.meter.done(ActorType::Pacer, started);
    }
}

impl Handler<Stop> for PacerActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

#[cfg(feature = "fault-injection")]
impl Handler<crate::down::Panic> for PacerActor {
    type Result = ();

    #[expect(clippy::panic, reason = "that is the order")]
    fn handle(&mut self, _: crate::down::Panic, _: &mut Context<Self>) {
        panic!("as ordered");
    }
}
