//! `ConnectionActor`: around one `transport::Connection`.
//!
//! Owns the machine, the connection's `StreamsActor` and the `CongestionActor` of its current path. **In**:
//! [`ConnectionInput`] from the dispatcher, [`StreamsOutput`] from the keepers of the streams' bytes, [`WindowUpdated`],
//! `DeadlineReached`, `TransmitGranted`, orders of the application. **Out**, once a turn and in this order: routes,
//! stream facts, events, what the controller must hear, deadlines, datagrams. Ends when the machine is drained, or when
//! it panics: then its routes go, and the peer gets a stateless reset. Overload: input beyond its credit is dropped by
//! the dispatcher; without a send buffer it builds nothing.

mod count;
mod handlers;
pub(crate) mod messages;
mod orders;
mod outbox;
mod succession;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Recipient};
use codec::{StreamId, Time};
use congestion::Algorithm;
use telemetry::actor::{ActorType, StopReason};
use transport::Connection;
use transport::output::CloseReason;
use transport::stream::buffers::{BufferConfig, Streams};

pub(crate) use self::orders::ConnectionOrders;
pub(crate) use self::outbox::Outbox;
use self::succession::Switch;
use crate::api::congestion::SetCongestionError;
use crate::clock;
use crate::congestion::{CongestionActor, Seat};
use crate::credit::Credit;
use crate::down::{Cause, Child, Down, Stop};
use crate::guard::Guarded;
use crate::pacer::messages::{Deregister as DeregisterPacer, Register as RegisterPacer, TransmitGranted};
use crate::port::{ConnectionPort, Orders};
use crate::stage::Stage;
use crate::streams::StreamsActor;
use crate::streams::messages::{ConnectionEnded, StreamsInput};
use crate::timer::messages::{DeadlineReached, Deregister as DeregisterTimer, Register as RegisterTimer};
use crate::turn::{self, Turn, Turns};

/// Everything that a connection's actor begins with.
#[derive(Debug)]
pub(crate) struct Start {
    /// The machine: a client's that has said nothing, or a server's that was given nothing.
    pub(crate) machine: Box<Connection>,
    /// Shared with the application's handles.
    pub(crate) port: Arc<ConnectionPort>,
    /// The shard.
    pub(crate) stage: Rc<Stage>,
    /// The connection's key on the shard, and which use of the key it is.
    pub(crate) key: usize,
    pub(crate) generation: u32,
    /// What the dispatcher takes before it sends a [`ConnectionInput`]; given back when the turn is done.
    pub(crate) input_credit: Credit,
    /// The controller that the first path begins with, by the same settings as the machine's first window.
    pub(crate) controller: Box<dyn congestion::Controller>,
    /// How streams are kept.
    pub(crate) buffers: BufferConfig,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ConnectionActor {
    state: Guarded<State>,
    stage: Rc<Stage>,
    port: Arc<ConnectionPort>,
    key: usize,
    generation: u32,
    input_credit: Credit,
    /// Input batches of this turn, whose credit is given back at its end.
    inputs: u32,
    streams: Option<Addr<StreamsActor>>,
    congestion: Option<Addr<CongestionActor>>,
    /// Which controller's answers count: one up for each new one.
    path: u32,
    /// Until the actor has started.
    first: Option<Box<First>>,
    turn: Turn,
    failed: bool,
    switch: Option<Switch>,
    /// A person or the application chose the controller: rules do not apply.
    chosen: bool,
    /// The rules are others now, or apply again; they are asked when the switch under way is over.
    apply_rules_later: bool,
    armed: Option<Time>,
    waits_for_buffer: bool,
}

/// What the other actors of a connection are started with.
#[derive(Debug)]
struct First {
    controller: Box<dyn congestion::Controller>,
    buffers: BufferConfig,
}

/// What is behind the panic boundary.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) machine: Box<Connection>,
    /// Streams with an actor of their own.
    pub(crate) promoted: HashMap<StreamId, Rc<Recipient<StreamsInput>>, foldhash::fast::FixedState>,
    pub(crate) count: count::Count,
}

impl ConnectionActor {
    /// Starts the actors of a connection on the current shard.
    pub(crate) fn start(start: Start) -> Addr<Self> {
        let Start { mut machine, port, stage, key, generation, input_credit, controller, buffers } = start;
        machine.measure_crypto(clock::nanoseconds);
        let congestion = (controller.name(), controller.state());
        let count = count::Count::new(&machine, port.clone(), congestion, stage.meter.clone(), clock::now());
        let state = State { machine, promoted: HashMap::default(), count };
        let actor = Self {
            state: Guarded::new(state),
            stage,
            port,
            key,
            generation,
            input_credit,
            inputs: 0,
            streams: None,
            congestion: None,
            path: 0,
            first: Some(Box::new(First { controller, buffers })),
            turn: Turn::None,
            failed: false,
            switch: None,
            chosen: false,
            apply_rules_later: false,
            armed: None,
            waits_for_buffer: false,
        };
        Actor::start(actor)
    }

    /// Feeds the machine behind the panic boundary and opens a turn, at whose end everything is sent.
    fn feed(&mut self, context: &mut Context<Self>, work: impl FnOnce(&mut State)) {
        self.feed_perhaps(context, |state| {
            work(state);
            true
        });
    }

    /// The same, with a turn only if the machine says that one is needed.
    fn feed_perhaps(&mut self, context: &mut Context<Self>, work: impl FnOnce(&mut State) -> bool) {
        let started = self.stage.meter.handled(ActorType::Connection);
        let result = self.state.run(work);
        self.stage.meter.done(ActorType::Connection, started);
        match result {
            Ok(true) => self.turn.open(),
            Ok(false) => {}
            Err(gone) => self.fail(context, gone.now),
        }
    }

    fn fail(&mut self, context: &mut Context<Self>, now: bool) {
        if now {
            self.failed = true;
            self.end(CloseReason::Internal);
            context.stop();
        }
    }

    /// The connection is over for the application.
    fn end(&mut self, reason: CloseReason) {
        self.port.end(reason.clone());
        if let Some(streams) = &self.streams {
            self.stage.meter.sent(ActorType::Streams);
            streams.do_send(ConnectionEnded { reason });
        }
        if let Some(switch) = self.switch.take() {
            switch.refuse(SetCongestionError::Closed);
        }
    }

    fn register(&mut self, context: &mut Context<Self>) {
        let Some(singletons) = self.stage.singletons() else { return };
        let (key, generation) = (self.key, self.generation);
        let address = context.address();
        let deadline: Recipient<DeadlineReached> = address.clone().recipient();
        let granted: Recipient<TransmitGranted> = address.recipient();
        self.armed = None;
        self.stage.meter.sent(ActorType::Timer);
        singletons.register_timer.do_send(RegisterTimer { key, generation, recipient: deadline });
        self.stage.meter.sent(ActorType::Pacer);
        singletons.register_pacer.do_send(RegisterPacer { key, generation, recipient: granted });
    }
}

impl Turns for ConnectionActor {
    fn turn(&mut self) -> &mut Turn {
        &mut self.turn
    }

    /// Drains the machine and sends: one message to each receiver.
    fn end_turn(&mut self, context: &mut Context<Self>) {
        for _ in 0..std::mem::take(&mut self.inputs) {
            self.input_credit.give_back();
        }
        let now = clock::now();
        let mut outbox = self.stage.lend_outbox();
        // If the machine panics, what it has said so far goes with it.
        match self.state.run(|state| outbox.drain(state, now, &self.stage)) {
            Ok(()) => {
                self.flush(context, &mut outbox);
                self.stage.take_outbox(outbox);
            }
            Err(gone) => self.fail(context, gone.now),
        }
    }
}

impl Actor for ConnectionActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.stage.meter.started(ActorType::Connection);
        let address = context.address();
        let Some(first) = self.first.take() else { return };
        let neighbours = crate::streams::Neighbours {
            outputs: address.clone().recipient(),
            promoted: address.clone().recipient(),
            close: address.clone().recipient(),
            down: address.clone().recipient(),
        };
        let machine = Streams::new(self.port.side(), first.buffers);
        let streams = StreamsActor::new(machine, self.port.clone(), neighbours, self.stage.meter.clone()).start();
        self.streams = Some(streams.clone());
        let algorithm = self.state.get().map_or_else(Algorithm::default, |state| state.machine.algorithm());
        self.start_congestion(context, Seat::new(algorithm, first.controller, clock::now()));
        self.register(context);
        self.port.connect_orders(Orders { work: streams.recipient(), connection: ConnectionOrders::new(address) });
        turn::end_turns(context);
        self.turn.open();
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        let failed = self.failed || std::thread::panicking();
        // What it counted last; nothing if it panicked, now or earlier.
        let _counted = self.state.run(|State { machine, count, .. }| count.add_all(machine));
        self.state.discard();
        self.end(CloseReason::Internal);
        self.port.disconnect();
        if let Some(congestion) = self.congestion.take() {
            congestion.do_send(Stop);
        }
        if let Some(streams) = self.streams.take() {
            streams.do_send(Stop);
        }
        let meter = &self.stage.meter;
        meter.stopped(ActorType::Connection, if failed { StopReason::Panic } else { StopReason::Done });
        let (key, generation) = (self.key, self.generation);
        if let Some(singletons) = self.stage.singletons() {
            meter.sent(ActorType::Timer);
            singletons.deregister_timer.do_send(DeregisterTimer { key, generation });
            meter.sent(ActorType::Pacer);
            singletons.deregister_pacer.do_send(DeregisterPacer { key, generation });
            meter.sent(ActorType::Dispatcher);
            let cause = if failed { Cause::Panicked } else { Cause::Finished };
            singletons.down.do_send(Down { child: Child::Connection { key, generation }, cause });
        }
    }
}

#[cfg(feature = "fault-injection")]
pub(crate) use self::handlers::PanicChild;
