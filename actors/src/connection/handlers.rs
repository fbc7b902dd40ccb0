//! What a connection's actor does with each message: feed the machine, open a turn.

use std::rc::Rc;

use actix::{ActorContext, Context, Handler};
use telemetry::actor::ActorType;

use super::ConnectionActor;
use super::messages::{
    CloseConnection, ConnectionInput, LocalAddressChanged, Promoted, RunTask, SendDatagram, StageRestarted,
    StatelessResetReceived, StreamsOutput, UpdateKeys, WindowUpdated,
};
use crate::clock;
use crate::down::{Cause, Child, Down, Stop};
use crate::pacer::messages::TransmitGranted;
use crate::socket::messages::BuffersFreed;
use crate::streams::messages::CloseWhenIdle;
use crate::timer::messages::DeadlineReached;

impl Handler<ConnectionInput> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, input: ConnectionInput, context: &mut Context<Self>) {
        self.inputs += 1;
        self.feed(context, |state| {
            for datagrams in *input.datagrams {
                state.machine.handle_datagrams(input.at, datagrams);
            }
        });
    }
}

impl Handler<StreamsOutput> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, mut message: StreamsOutput, context: &mut Context<Self>) {
        let now = clock::now();
        self.feed(context, |state| state.machine.handle_streams(now, &mut message.outputs));
    }
}

impl Handler<WindowUpdated> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, message: WindowUpdated, context: &mut Context<Self>) {
        // An earlier path's controller has nothing to say about this one.
        if message.path == self.path {
            let now = clock::now();
            self.feed_perhaps(context, |state| {
                state.count.congestion_state = message.state;
                state.machine.handle_window(now, message.window)
            });
        }
    }
}

impl Handler<DeadlineReached> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, message: DeadlineReached, context: &mut Context<Self>) {
        self.armed = None;
        let now = clock::now().max(message.at);
        self.feed(context, |state| {
            if let Some((at, reason)) = state.machine.deadline()
                && at <= now
            {
                state.count.expired(reason);
            }
            state.machine.handle_deadline(now);
        });
    }
}

impl Handler<TransmitGranted> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, _: TransmitGranted, context: &mut Context<Self>) {
        let now = clock::now();
        self.feed(context, |state| {
            state.count.granted();
            state.machine.handle_granted(now);
        });
    }
}

impl Handler<BuffersFreed> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, _: BuffersFreed, context: &mut Context<Self>) {
        self.waits_for_buffer = false;
        let now = clock::now();
        self.feed(context, |state| state.machine.handle_granted(now));
    }
}

impl Handler<StatelessResetReceived> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, _: StatelessResetReceived, context: &mut Context<Self>) {
        let now = clock::now();
        self.feed(context, |state| state.machine.handle_stateless_reset(now));
    }
}

impl Handler<CloseConnection> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, message: CloseConnection, context: &mut Context<Self>) {
        if message.when_idle {
            if let Some(streams) = &self.streams {
                self.stage.meter.sent(ActorType::Streams);
                streams.do_send(CloseWhenIdle);
            }
            return;
        }
        let now = clock::now();
        self.feed(context, |state| state.machine.close(now, message.code, &message.reason));
    }
}

impl Handler<SendDatagram> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, message: SendDatagram, context: &mut Context<Self>) {
        self.feed(context, |state| {
            if state.machine.send_datagram(message.data).is_err() {
                // The handle has checked; the path became smaller meanwhile.
                state.count.datagram_too_large();
            }
        });
    }
}

impl Handler<RunTask> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, RunTask(task): RunTask, _: &mut Context<Self>) {
        task(&self.stage.meter);
    }
}

impl Handler<UpdateKeys> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, message: UpdateKeys, context: &mut Context<Self>) {
        let now = clock::now();
        self.feed(context, |state| {
            let _caller_gone = message.reply.send(state.machine.update_keys(now));
        });
    }
}

impl Handler<Promoted> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, message: Promoted, context: &mut Context<Self>) {
        self.feed(context, |state| {
            state.promoted.insert(message.id, Rc::new(message.inputs));
        });
    }
}

impl Handler<Down> for ConnectionActor {
    type Result = ();

    /// A child ended. Streams, finished: the connection is over already. Streams, panicked: bytes are lost, so the
    /// connection closes with INTERNAL_ERROR. A stream, finished: forgotten. A stream, panicked: as for Streams.
    fn handle(&mut self, message: Down, context: &mut Context<Self>) {
        if let Child::Stream(id) = message.child {
            self.feed(context, |state| {
                state.promoted.remove(&id);
            });
        }
        if message.cause == Cause::Panicked {
            tracing::error!(shard = self.stage.shard, connection = self.port.id(), child = ?message.child, "a stream's actor panicked");
            let now = clock::now();
            self.feed(context, |state| state.machine.close_internal(now, "the keeper of a stream failed"));
        }
    }
}

impl Handler<StageRestarted> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, _: StageRestarted, context: &mut Context<Self>) {
        self.waits_for_buffer = false;
        self.register(context);
        let now = clock::now();
        self.feed(context, |state| {
            // What was in the mailbox of a dispatcher that panicked is lost, changes of routes among it.
            state.machine.announce_routes();
            state.machine.handle_granted(now);
        });
    }
}

impl Handler<LocalAddressChanged> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, _: LocalAddressChanged, context: &mut Context<Self>) {
        let now = clock::now();
        self.feed(context, |state| state.machine.handle_local_address_changed(now));
    }
}

impl Handler<Stop> for ConnectionActor {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Context<Self>) {
        context.stop();
    }
}

#[cfg(feature = "fault-injection")]
mod fault {
    use super::*;
    use crate::down::Panic;

    /// Makes a child of the connection panic instead of itself.
    #[derive(Clone, Copy, Debug, actix::Message)]
    #[rtype(result = "()")]
    pub(crate) struct PanicChild(pub(crate) ActorType);

    impl Handler<Panic> for ConnectionActor {
        type Result = ();

        fn handle(&mut self, _: Panic, context: &mut Context<Self>) {
            self.feed(context, |_| panic!("injected into a Connection actor"));
        }
    }

    impl Handler<PanicChild> for ConnectionActor {
        type Result = ();

        fn handle(&mut self, message: PanicChild, context: &mut Context<Self>) {
            match message.0 {
                ActorType::Streams => self.streams.iter().for_each(|actor| actor.do_send(Panic)),
                ActorType::Congestion => self.congestion.iter().for_each(|actor| actor.do_send(Panic)),
                ActorType::Stream => self.streams.iter().for_each(|actor| actor.do_send(crate::streams::PanicPromoted)),
                _ => actix::AsyncContext::notify(context, Panic),
            }
        }
    }
}

#[cfg(feature = "fault-injection")]
pub(crate) use fault::PanicChild;
