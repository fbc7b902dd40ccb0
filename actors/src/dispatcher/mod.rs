//! `DispatcherActor`: around `transport::endpoint::Endpoint`, the machine that knows whose each datagram is.
//!
//! Owns the shard's connections, in a [`Roster`] that outlives it. **In**: `DatagramsReceived` from the socket,
//! [`DatagramsForwarded`] from other shards, [`RoutesChanged`] and `Down` from connections, [`Connect`] and
//! [`DecideIncoming`] from applications by way of the shard. **Out**: `ConnectionInput`, one for each connection and read
//! of the socket; Retry, Version Negotiation, refusals and stateless resets to the socket; attempts to the application.
//! Ends when its shard says so. Overload: what a connection has no credit for is dropped and counted; new attempts are
//! retried or dropped before any cryptography; answers without a send buffer are not given.

mod counting;
pub(crate) mod messages;
pub(crate) mod roster;
#[cfg(test)]
mod tests;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Recipient};
use arc_swap::ArcSwapOption;
use codec::{Side, Time};
use smallvec::SmallVec;
use telemetry::actor::{ActorType, Edge, StopReason};
use tokio::sync::oneshot;
use transport::endpoint::{AcceptError, Arrival, AttemptKey, Client, NewConnection, Output};
use transport::output::{CloseReason, ReceivedDatagrams};

use self::counting::Counting;
use self::messages::{
    Connect, ConnectOrder, DatagramsForwarded, DecideIncoming, HandshakeOver, RoutesChanged, StopAccepting, Verdict,
    Window,
};
use self::roster::{Roster, SharedRoster, count};
use crate::api::connection::Connection;
use crate::api::endpoint::{Begun, ConnectError};
use crate::api::incoming::Incoming;
use crate::clock;
use crate::config::ANSWERS_PER_READ;
use crate::connection::messages::StatelessResetReceived;
use crate::credit::Credit;
use crate::directory::{Directory, ServerKey};
use crate::down::{Cause, Child, Down, Stop};
use crate::meter::Tally as _;
use crate::port::{ConnectionPort, Facts};
use crate::socket::messages::{DatagramsReceived, OutgoingBatch, SendDatagrams};
use crate::stage::Stage;

/// What runs on each accepted connection, on its shard.
pub(crate) type Service = Arc<dyn Fn(Connection) -> Pin<Box<dyn Future<Output = ()>>> + Send + Sync>;

/// How to reach the dispatcher of another shard. Replaced when it is started anew.
#[derive(Debug)]
pub(crate) struct Forwarding {
    pub(crate) recipient: Recipient<DatagramsForwarded>,
    pub(crate) window: Window,
}

/// One place for each shard of the endpoint.
pub(crate) type ForwardingTable = Arc<[ArcSwapOption<Forwarding>]>;

/// What a dispatcher works with; the shard keeps it for the next one.
#[derive(Clone)]
pub(crate) struct DispatcherParts {
    pub(crate) stage: Rc<Stage>,
    pub(crate) roster: SharedRoster,
    pub(crate) directory: Arc<Directory>,
    /// The settings of accepted connections.
    pub(crate) transport: Arc<transport::Config>,
    pub(crate) forwarding: ForwardingTable,
    /// Accepts every attempt at once, to be served here; `None`: the application decides.
    pub(crate) service: Option<Service>,
    /// Hears of the dispatcher's end.
    pub(crate) owner: Recipient<Down>,
    /// Takes the application's decisions to whoever is the dispatcher then.
    pub(crate) decisions: Recipient<DecideIncoming>,
    /// Credit of the socket, given back for each read.
    pub(crate) credit: Credit,
}

/// See the [module](self).
pub(crate) struct DispatcherActor {
    parts: DispatcherParts,
    counting: Rc<Counting>,
    handshakes: Option<Rc<Recipient<HandshakeOver>>>,
    sweep_planned: bool,
}

impl DispatcherActor {
    pub(crate) fn new(parts: DispatcherParts) -> Self {
        let counting = Counting::new(&parts.stage.meter, &parts.roster);
        Self { parts, counting, handshakes: None, sweep_planned: false }
    }

    /// Counts a message and handles it.
    fn handle_with<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        let meter = Rc::clone(&self.parts.stage.meter);
        let started = meter.handled(ActorType::Dispatcher);
        let result = work(self);
        meter.done(ActorType::Dispatcher, started);
        result
    }

    /// Drains the machine: runs to their connections, new attempts to whoever decides, answers to the socket.
    fn drain(&mut self, arrival: &Arrival) {
        let roster = Rc::clone(&self.parts.roster);
        let mut roster = roster.borrow_mut();
        while let Some(output) = roster.endpoint.poll_output() {
            match output {
                Output::Datagrams { key, datagrams } => roster.collect(key, datagrams),
                Output::Reset { key } => {
                    if let Some(entry) = roster.get_any(key) {
                        self.parts.stage.meter.sent(ActorType::Connection);
                        entry.address.do_send(StatelessResetReceived);
                    }
                }
                Output::Forward { shard, datagrams } => self.forward(arrival.now, shard, datagrams),
                Output::Attempt(attempt) => self.on_attempt(&mut roster, arrival, attempt),
            }
        }
        let dropped = roster.deliver(arrival.now, &self.parts.stage.meter);
        self.counting.mailbox_full(dropped);
        self.answer(&mut roster, arrival);
    }

    /// Sends what the machine says by itself.
    fn answer(&self, roster: &mut Roster, arrival: &Arrival) {
        let stage = &self.parts.stage;
        let mut batches: SmallVec<[OutgoingBatch; 1]> = SmallVec::new();
        while roster.endpoint.wants_to_answer() {
            let buffer = if batches.len() < ANSWERS_PER_READ { stage.send_pool.take() } else { None };
            let Some(mut buffer) = buffer else {
                // Whoever hears nothing asks again.
                roster.endpoint.drop_answers();
                stage.meter.edge_full(Edge::DispatcherSocket);
                break;
            };
            match roster.endpoint.poll_answer(arrival.unix_time, &mut buffer) {
                Some(transmit) => batches.push(OutgoingBatch { transmit, buffer }),
                None => stage.send_pool.give_back(buffer),
            }
        }
        if let (false, Some(singletons)) = (batches.is_empty(), stage.singletons()) {
            stage.meter.sent(ActorType::Socket);
            singletons.datagrams.do_send(SendDatagrams { batches });
        }
    }

    /// Names of connections that ended are forgotten in time, also when nothing else happens. One timer for all of them.
    fn plan_sweep(&mut self, context: &mut Context<Self>) {
        let Some(at) = self.parts.roster.borrow().endpoint.deadline() else { return };
        if std::mem::replace(&mut self.sweep_planned, true) {
            return;
        }
        context.run_later(at.saturating_since(clock::now()), |actor, context| {
            actor.sweep_planned = false;
            let mut roster = actor.parts.roster.borrow_mut();
            roster.endpoint.handle_deadline(clock::now());
            actor.counting.levels(&roster.endpoint);
            drop(roster);
            actor.plan_sweep(context);
        });
    }

    fn forward(&mut self, at: Time, shard: usize, datagrams: ReceivedDatagrams) {
        let forwarding = self.parts.forwarding.get(shard).and_then(|place| place.load_full());
        let permit = forwarding.as_ref().and_then(|forwarding| forwarding.window.try_take());
        match (forwarding, permit) {
            (Some(forwarding), Some(permit)) => {
                forwarding.recipient.do_send(DatagramsForwarded { at, datagrams: Box::new(datagrams), permit });
            }
            _ => {
                self.parts.stage.meter.edge_full(Edge::DispatcherDispatcher);
                self.counting.mailbox_full(count(&datagrams));
            }
        }
    }

    fn on_attempt(&mut self, roster: &mut Roster, arrival: &Arrival, attempt: AttemptKey) {
        let Some(service) = self.parts.service.clone() else {
            if let Some(facts) = roster.endpoint.attempt(attempt) {
                self.parts.directory.offer(Incoming::new(attempt, *facts, self.parts.decisions.clone()));
            }
            return;
        };
        match self.accept(roster, arrival, attempt, None) {
            Ok(begun) => serve(service, begun),
            Err(error) => tracing::warn!(%error, "a connection could not begin"),
        }
    }

    /// Begins the connection of an attempt, and gives it what its client sent.
    fn accept(
        &mut self,
        roster: &mut Roster,
        arrival: &Arrival,
        attempt: AttemptKey,
        tls: Option<Arc<tls::ServerConfig>>,
    ) -> Result<Begun, ConnectError> {
        let key = roster.next_key();
        let NewConnection { connection, datagrams, remote } =
            roster.endpoint.accept(arrival, attempt, key, tls).map_err(|error| match error {
                AcceptError::Over => ConnectError::AttemptOver,
                AcceptError::NotAServer => ConnectError::NotAServer,
                AcceptError::Session(error) => ConnectError::Tls(error),
            })?;
        let facts = Facts::new(remote, self.parts.transport.congestion.name());
        let port = ConnectionPort::new(Side::Server, self.parts.directory.next_id(), facts, &self.parts.transport);
        let begun = self.begin(roster, connection, port, None);
        for run in datagrams {
            roster.collect(key, run);
        }
        Ok(begun)
    }

    fn connect(&mut self, roster: &mut Roster, order: ConnectOrder) -> Result<Begun, ConnectError> {
        let ConnectOrder { remote, server_name, tls, transport, negotiated, token } = order;
        let server: ServerKey = (server_name.to_str().into_owned(), remote.port());
        let facts = Facts::new(remote, transport.congestion.name());
        let port = ConnectionPort::new(Side::Client, self.parts.directory.next_id(), facts, &transport);
        let client = Client { remote, server_name, tls, config: transport, negotiated, token };
        let key = roster.next_key();
        let machine = roster.endpoint.connect(clock::now(), key, client).map_err(ConnectError::Tls)?;
        Ok(self.begin(roster, machine, port, Some(server)))
    }

    fn begin(
        &self,
        roster: &mut Roster,
        machine: Box<transport::Connection>,
        port: Arc<ConnectionPort>,
        server: Option<ServerKey>,
    ) -> Begun {
        // Before the actor starts, which would close what nobody holds.
        let begun = Begun { connection: Connection::new(Arc::clone(&port)), port: Arc::clone(&port) };
        self.parts.directory.add(Arc::clone(&port), server);
        let (key, generation) = roster.start(&self.parts.stage, machine, Arc::clone(&port));
        self.watch(key, generation, port);
        self.counting.levels(&roster.endpoint);
        begun
    }

    /// Lets the dispatcher hear when the handshake is over.
    fn watch(&self, key: usize, generation: u32, port: Arc<ConnectionPort>) {
        let Some(recipient) = self.handshakes.clone() else { return };
        actix::spawn(async move {
            // However it ended: it is no longer in progress.
            let _either_way = poll_fn(|context| port.poll_connected(context)).await;
            recipient.do_send(HandshakeOver { key, generation });
        });
    }
}

/// Runs the service once the handshake is complete, on this shard. If it panics, it takes its connection along.
fn serve(service: Service, Begun { connection, port }: Begun) {
    actix::spawn(async move {
        if poll_fn(|context| port.poll_connected(context)).await.is_ok() {
            service(connection).await;
        }
    });
}

/// What the machine wants to know about datagrams that were read at this time.
fn arrival(at: Time, forwarded: bool) -> Arrival {
    Arrival { now: at, unix_time: clock::unix_time(), backlog: clock::now() - at, forwarded }
}

impl Actor for DispatcherActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.parts.stage.meter.started(ActorType::Dispatcher);
        self.handshakes = Some(Rc::new(context.address().recipient()));
        self.recover(&context.address());
        self.plan_sweep(context);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        let panicked = std::thread::panicking();
        let reason = if panicked { StopReason::Panic } else { StopReason::Done };
        self.counting.flush(self.parts.stage.meter.metrics());
        self.parts.stage.meter.stopped(ActorType::Dispatcher, reason);
        let cause = if panicked { Cause::Panicked } else { Cause::Finished };
        self.parts.owner.do_send(Down { child: Child::Dispatcher, cause });
    }
}

impl DispatcherActor {
    /// Looks at what the dispatcher before left behind: some connections may have ended meanwhile, and nobody watches
    /// the handshakes.
    fn recover(&self, address: &Addr<Self>) {
        let roster = self.parts.roster.borrow();
        for (key, entry) in roster.iter() {
            if entry.address.connected() {
                self.watch(key, entry.generation, Arc::clone(&entry.port));
            } else {
                let child = Child::Connection { key, generation: entry.generation };
                address.do_send(Down { child, cause: Cause::Finished });
            }
        }
    }
}

impl Handler<DatagramsReceived> for DispatcherActor {
    type Result = ();

    fn handle(&mut self, message: DatagramsReceived, _: &mut Context<Self>) {
        self.handle_with(|actor| {
            let arrival = arrival(message.at, false);
            for datagrams in message.batch {
                actor.parts.roster.borrow_mut().endpoint.handle_datagrams(&arrival, datagrams);
            }
            actor.drain(&arrival);
            actor.parts.credit.give_back();
        });
    }
}

impl Handler<DatagramsForwarded> for DispatcherActor {
    type Result = ();

    fn handle(&mut self, message: DatagramsForwarded, _: &mut Context<Self>) {
        self.handle_with(|actor| {
            let DatagramsForwarded { at, datagrams, permit } = message;
            let arrival = arrival(at, true);
            actor.parts.roster.borrow_mut().endpoint.handle_datagrams(&arrival, *datagrams);
            actor.drain(&arrival);
            drop(permit);
        });
    }
}

impl Handler<RoutesChanged> for DispatcherActor {
    type Result = ();

    fn handle(&mut self, message: RoutesChanged, _: &mut Context<Self>) {
        self.handle_with(|actor| {
            let mut roster = actor.parts.roster.borrow_mut();
            if roster.get(message.key, message.generation).is_none() {
                return;
            }
            for change in *message.changes {
                if roster.endpoint.handle_route(message.key, change).is_err() {
                    tracing::error!("an id was issued twice");
                }
            }
        });
    }
}

impl Handler<HandshakeOver> for DispatcherActor {
    type Result = ();

    fn handle(&mut self, message: HandshakeOver, _: &mut Context<Self>) {
        self.handle_with(|actor| {
            let mut roster = actor.parts.roster.borrow_mut();
            if roster.get(message.key, message.generation).is_some() {
                roster.endpoint.handle_handshake_over(message.key);
                actor.counting.levels(&roster.endpoint);
            }
        });
    }
}

impl Handler<Connect> for DispatcherActor {
    type Result = ();

    fn handle(&mut self, message: Connect, _: &mut Context<Self>) {
        self.handle_with(|actor| {
            let roster = Rc::clone(&actor.parts.roster);
            let mut roster = roster.borrow_mut();
            let result = actor.connect(&mut roster, *message.order);
            drop(roster);
            reply(message.reply, result);
        });
    }
}

impl Handler<DecideIncoming> for DispatcherActor {
    type Result = ();

    fn handle(&mut self, message: DecideIncoming, _: &mut Context<Self>) {
        self.handle_with(|actor| {
            let arrival = arrival(clock::now(), false);
            let roster = Rc::clone(&actor.parts.roster);
            let mut borrowed = roster.borrow_mut();
            match message.verdict {
                Verdict::Accept { tls, reply: to } => {
                    let result = actor.accept(&mut borrowed, &arrival, message.attempt, tls);
                    drop(borrowed);
                    actor.drain(&arrival);
                    reply(to, result);
                    return;
                }
                Verdict::Refuse => borrowed.endpoint.refuse(message.attempt),
                Verdict::Retry => {
                    // Whoever may not be retried was kept from asking for it by the handle.
                    let _already_validated = borrowed.endpoint.retry(message.attempt);
                }
                Verdict::Ignore => borrowed.endpoint.ignore(message.attempt),
            }
            drop(borrowed);
            actor.drain(&arrival);
        });
    }
}

/// Answers; if nobody waits for it any more, the handle is dropped, and the connection closes.
fn reply(to: oneshot::Sender<Result<Begun, ConnectError>>, result: Result<Begun, ConnectError>) {
    let _caller_gone = to.send(result);
}

impl Handler<StopAccepting> for DispatcherActor {
    type Result = ();

    fn handle(&mut self, message: StopAccepting, _: &mut Context<Self>) {
        let mut roster = self.parts.roster.borrow_mut();
        if message.say_so {
            roster.endpoint.start_draining();
        } else {
            roster.endpoint.stop_accepting();
        }
    }
}

impl Handler<Down> for DispatcherActor {
    type Result = ();

    /// A connection ended. Drained: its names are remembered for a moment. Idle, or panicked: they are forgotten, and the
    /// peer gets stateless resets. Anything else is not a child of ours.
    fn handle(&mut self, message: Down, context: &mut Context<Self>) {
        self.handle_with(|actor| {
            let Child::Connection { key, generation } = message.child else { return };
            let mut roster = actor.parts.roster.borrow_mut();
            let Some(entry) = roster.remove(key, generation) else { return };
            let reason = match message.cause {
                Cause::Finished => entry.port.close_reason().unwrap_or(CloseReason::Internal),
                Cause::Panicked => CloseReason::Internal,
            };
            let remote = entry.port.facts().remote;
            roster.endpoint.handle_ended(clock::now(), key, remote, &reason);
            actor.counting.levels(&roster.endpoint);
            drop(roster);
            actor.parts.directory.remove(entry.port.id());
        });
        self.plan_sweep(context);
    }
}

impl Handler<Stop> for DispatcherActor {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Context<Self>) {
        context.stop();
    }
}

#[cfg(feature = "fault-injection")]
impl Handler<crate::down::Panic> for DispatcherActor {
    type Result = ();

    #[expect(clippy::panic, reason = "that is the order")]
    fn handle(&mut self, _: crate::down::Panic, _: &mut Context<Self>) {
        panic!("as ordered");
    }
}
