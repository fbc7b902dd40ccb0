//! `Shard`: one thread's worth of an endpoint: a socket, the four single actors around it, and its connections.
//!
//! Owns the four, and keeps what must survive them: the socket, the buffer pools, the routes and the connections'
//! addresses. **In**: `Down` of the four; orders of applications ([`Connect`], [`DecideIncoming`]) for whoever is the
//! dispatcher then; [`StopAccepting`], [`Rebind`], [`Stop`] from the warden. **Out**: [`ShardDown`] to the warden.
//!
//! If one of the four panics, all four are started anew over what was kept, and every connection is told
//! ([`StageRestarted`](crate::connection::messages::StageRestarted)): they share state, so none of them can be trusted
//! alone. What fails more than [`RESTARTS`] times in [`RESTART_PERIOD`] fails for good, and the endpoint with it.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Recipient};
use codec::Time;
use telemetry::ShardMetrics;
use telemetry::actor::{ActorType, Edge};
use transport::endpoint::{self, Endpoint, Secrets};
use transport::output::CloseReason;

use crate::alarm::Alarm;
use crate::batch::{RECEIVE_BUFFERS, ReceivePool, SEND_BUFFERS, SendPool};
use crate::clock;
use crate::config::{EndpointConfig, FORWARD_WINDOW, RESTART_PERIOD, RESTARTS, RetryPolicy};
use crate::credit::Credit;
use crate::directory::Directory;
use crate::dispatcher::messages::{Connect, DecideIncoming, StopAccepting, Window};
use crate::dispatcher::roster::{Roster, SharedRoster};
use crate::dispatcher::{DispatcherActor, DispatcherParts, Forwarding, ForwardingTable, Service};
use crate::down::{Cause, Child, Down, Stop};
use crate::meter::Meter;
use crate::pacer::PacerActor;
use crate::socket::io::BoundSocket;
use crate::socket::messages::Rebind;
use crate::socket::{DISPATCHER_BATCHES, SharedSocket, SocketActor, SocketParts};
use crate::stage::{Singletons, Stage};
use crate::timer::TimerActor;
use crate::warden::ShardDown;

/// What a shard is started with, on its own thread.
pub(crate) struct ShardParts {
    /// Its number.
    pub(crate) shard: usize,
    pub(crate) config: EndpointConfig,
    pub(crate) secrets: Secrets,
    /// Unpredictable, and another for each shard.
    pub(crate) seed: [u8; 32],
    pub(crate) socket: BoundSocket,
    pub(crate) registry: telemetry::Registry,
    pub(crate) directory: Arc<Directory>,
    pub(crate) forwarding: ForwardingTable,
    pub(crate) service: Option<Service>,
    /// The warden.
    pub(crate) owner: Recipient<ShardDown>,
}

/// The four, of whom there is one each.
struct Four {
    socket: Addr<SocketActor>,
    dispatcher: Addr<DispatcherActor>,
    pacer: Addr<PacerActor>,
    timer: Addr<TimerActor>,
}

/// See the [module](self).
pub(crate) struct Shard {
    stage: Rc<Stage>,
    roster: SharedRoster,
    socket: SharedSocket,
    directory: Arc<Directory>,
    transport: Arc<transport::Config>,
    forwarding: ForwardingTable,
    /// Of this shard, for others that forward to it.
    window: Window,
    service: Option<Service>,
    owner: Recipient<ShardDown>,
    four: Option<Four>,
    restarts: VecDeque<Time>,
    failed: bool,
    stopping: bool,
    /// Whether alarms follow tokio's clock, which tests can pause.
    virtual_time: bool,
}

impl Shard {
    /// Makes a shard of this thread, which must be an actix arbiter's.
    ///
    /// # Errors
    /// If the socket cannot be registered with the thread's runtime.
    pub(crate) fn new(parts: ShardParts) -> std::io::Result<Self> {
        let ShardParts { shard, config, secrets, seed, socket, registry, directory, forwarding, service, owner } =
            parts;
        let meter = Meter::new(Rc::new(ShardMetrics::new(&registry, shard)));
        let receive_pool = ReceivePool::new(&meter, RECEIVE_BUFFERS);
        let send_pool = SendPool::new(&meter, SEND_BUFFERS);
        let settings = endpoint::Settings {
            config: Arc::clone(&config.transport),
            server: config.server,
            retry: match config.retry {
                RetryPolicy::Never => endpoint::Retry::Never,
                RetryPolicy::UnderLoad => endpoint::Retry::UnderLoad,
                RetryPolicy::Always => endpoint::Retry::Always,
            },
            resets: true,
            shard,
            shards: config.shards,
        };
        Ok(Self {
            stage: Stage::new(shard, meter, receive_pool, send_pool, config.policy),
            roster: Roster::new(Endpoint::new(settings, &secrets, &seed)),
            socket: SharedSocket::new(socket, config.busy_poll)?,
            directory,
            transport: config.transport,
            forwarding,
            window: Window::new(FORWARD_WINDOW),
            service,
            owner,
            four: None,
            restarts: VecDeque::new(),
            failed: false,
            stopping: false,
            virtual_time: false,
        })
    }

    /// Starts the four over what the shard keeps.
    fn start_four(&mut self, context: &Context<Self>) {
        let address = context.address();
        let owner: Recipient<Down> = address.clone().recipient();
        let Stage { meter, receive_pool, send_pool, .. } = &*self.stage;
        let alarm = || if self.virtual_time { Alarm::of_tokio() } else { Alarm::new() };
        let credit = Credit::new(meter, Edge::SocketDispatcher, DISPATCHER_BATCHES);
        let timer = TimerActor::new(Rc::clone(meter), alarm(), owner.clone()).start();
        let pacer = PacerActor::new(Rc::clone(meter), alarm(), owner.clone()).start();
        let parts = DispatcherParts {
            stage: Rc::clone(&self.stage),
            roster: Rc::clone(&self.roster),
            directory: Arc::clone(&self.directory),
            transport: Arc::clone(&self.transport),
            forwarding: Arc::clone(&self.forwarding),
            service: self.service.clone(),
            owner: owner.clone(),
            decisions: address.recipient(),
            credit: credit.clone(),
        };
        let dispatcher = DispatcherActor::new(parts).start();
        let socket = SocketActor::new(SocketParts {
            socket: self.socket.clone(),
            receive_pool: receive_pool.clone(),
            send_pool: send_pool.clone(),
            credit,
            dispatcher: dispatcher.clone().recipient(),
            owner,
            meter: Rc::clone(meter),
        })
        .start();
        self.stage.set_singletons(Singletons {
            datagrams: socket.clone().recipient(),
            routes: dispatcher.clone().recipient(),
            down: dispatcher.clone().recipient(),
            register_timer: timer.clone().recipient(),
            deregister_timer: timer.clone().recipient(),
            deadline: timer.clone().recipient(),
            register_pacer: pacer.clone().recipient(),
            deregister_pacer: pacer.clone().recipient(),
            wanted: pacer.clone().recipient(),
        });
        if let Some(place) = self.forwarding.get(self.stage.shard) {
            let recipient = dispatcher.clone().recipient();
            place.store(Some(Arc::new(Forwarding { recipient, window: self.window.clone() })));
        }
        self.four = Some(Four { socket, dispatcher, pacer, timer });
    }

    fn stop_four(&mut self) {
        let Some(Four { socket, dispatcher, pacer, timer }) = self.four.take() else { return };
        dispatcher.do_send(Stop);
        pacer.do_send(Stop);
        timer.do_send(Stop);
        // Last, and by its own mailbox, so that what was said before still leaves.
        socket.do_send(Stop);
    }

    /// One of the four panicked.
    fn restart(&mut self, context: &mut Context<Self>, child: Child) {
        let now = clock::now();
        self.restarts.push_back(now);
        while self.restarts.front().is_some_and(|at| *at + RESTART_PERIOD <= now) {
            self.restarts.pop_front();
        }
        self.stop_four();
        if self.restarts.len() > RESTARTS {
            tracing::error!(shard = self.stage.shard, ?child, "failed too often; the endpoint ends");
            self.failed = true;
            context.stop();
            return;
        }
        tracing::error!(shard = self.stage.shard, ?child, "panicked; the shard's single actors are started anew");
        self.start_four(context);
        self.roster.borrow_mut().tell_restarted(&self.stage.meter);
        // Buffers that went down with the socket make room, and nobody else would tell who waits.
        self.stage.send_pool.tell_all();
    }
}

impl Actor for Shard {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.start_four(context);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        let failed = self.failed || std::thread::panicking();
        if let Some(place) = self.forwarding.get(self.stage.shard) {
            place.store(None);
        }
        {
            let roster = self.roster.borrow();
            for (_, entry) in roster.iter() {
                // Does nothing where the connection is over already.
                entry.port.end(CloseReason::Internal);
                self.directory.remove(entry.port.id());
            }
            roster.stop_all();
        }
        self.stop_four();
        let cause = if failed { Cause::Panicked } else { Cause::Finished };
        self.owner.do_send(ShardDown { shard: self.stage.shard, cause });
    }
}

impl Handler<Down> for Shard {
    type Result = ();

    /// One of the four ended. Panicked: all are started anew. Finished: it was told to.
    fn handle(&mut self, message: Down, context: &mut Context<Self>) {
        if message.cause == Cause::Panicked && !self.stopping {
            self.restart(context, message.child);
        }
    }
}

impl Handler<Connect> for Shard {
    type Result = ();

    fn handle(&mut self, message: Connect, _: &mut Context<Self>) {
        if let Some(four) = &self.four {
            self.stage.meter.sent(ActorType::Dispatcher);
            four.dispatcher.do_send(message);
        }
    }
}

impl Handler<DecideIncoming> for Shard {
    type Result = ();

    fn handle(&mut self, message: DecideIncoming, _: &mut Context<Self>) {
        if let Some(four) = &self.four {
            self.stage.meter.sent(ActorType::Dispatcher);
            four.dispatcher.do_send(message);
        }
    }
}

impl Handler<StopAccepting> for Shard {
    type Result = ();

    fn handle(&mut self, message: StopAccepting, _: &mut Context<Self>) {
        if let Some(four) = &self.four {
            four.dispatcher.do_send(message);
        }
    }
}

impl Handler<Rebind> for Shard {
    type Result = ();

    fn handle(&mut self, message: Rebind, _: &mut Context<Self>) {
        if let Some(four) = &self.four {
            four.socket.do_send(message);
            // What they send on hearing this comes after the order to the socket.
            self.roster.borrow().tell_moved(&self.stage.meter);
        }
    }
}

impl Handler<Stop> for Shard {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Context<Self>) {
        self.stopping = true;
        context.stop();
    }
}

#[cfg(feature = "fault-injection")]
mod fault {
    use actix::Message;

    use super::*;
    use crate::connection::PanicChild;
    use crate::down::Panic;

    /// Makes an actor of the shard panic: one of the four, or one of this connection's if it lives here.
    #[derive(Clone, Copy, Debug, Message)]
    #[rtype(result = "()")]
    pub(crate) struct InjectPanic {
        pub(crate) actor: ActorType,
        pub(crate) connection: Option<u64>,
    }

    impl Handler<InjectPanic> for Shard {
        type Result = ();

        fn handle(&mut self, message: InjectPanic, _: &mut Context<Self>) {
            let Some(four) = &self.four else { return };
            match message.actor {
                ActorType::Socket => four.socket.do_send(Panic),
                ActorType::Dispatcher => four.dispatcher.do_send(Panic),
                ActorType::Pacer => four.pacer.do_send(Panic),
                ActorType::Timer => four.timer.do_send(Panic),
                actor => {
                    let roster = self.roster.borrow();
                    let mut hit = roster.iter().filter(|(_, entry)| Some(entry.port.id()) == message.connection);
                    if let Some((_, entry)) = hit.next() {
                        entry.address.do_send(PanicChild(actor));
                    }
                }
            }
        }
    }
}

#[cfg(feature = "fault-injection")]
pub(crate) use fault::InjectPanic;
