//! `StreamsActor`: keeps the bytes of all short streams of one connection.
//!
//! Owns the machine `transport::stream::buffers::Streams`, the application's ports of those streams, and the actors of
//! streams that grew long. **In**: [`StreamsInput`](messages::StreamsInput) from the connection,
//! [`StreamsWork`](messages::StreamsWork) from handles. **Out**: `StreamsOutput` and `Promoted` to the connection; bytes
//! and ends into ports. Ends when the connection ends. Overload: what it holds is bounded by the flow-control windows and
//! by what ports hold ([`crate::port`]); a slow reader makes the peer wait, nobody else.

pub(crate) mod messages;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Recipient};
use bytes::Bytes;
use codec::StreamId;
use telemetry::actor::{ActorType, Edge, StopReason};
use transport::output::CloseReason;
use transport::stream::buffers::{StreamEvent, Streams};
use transport::stream::edge::{StreamInput, StreamOutput};

use self::messages::{CloseWhenIdle, ConnectionEnded, StreamClosed, StreamsInput, StreamsWork};
use crate::connection::messages::{CloseConnection, Promoted, StreamsOutput};
use crate::down::{Cause, Child, Down, Stop};
use crate::guard::Guarded;
use crate::meter::{BufferShare, Meter};
use crate::port::{ConnectionPort, ReceiveEnd, SendEnd, StreamPort};
use crate::stream::StreamActor;
use crate::turn::{self, Turn, Turns};

/// Whom the actor speaks to; given at construction.
#[derive(Clone, Debug)]
pub(crate) struct Neighbours {
    pub(crate) outputs: Recipient<StreamsOutput>,
    pub(crate) promoted: Recipient<Promoted>,
    pub(crate) close: Recipient<CloseConnection>,
    pub(crate) down: Recipient<Down>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct StreamsActor {
    state: Guarded<State>,
    neighbours: Rc<Neighbours>,
    meter: Rc<Meter>,
    turn: Turn,
    ended: Option<Cause>,
}

#[derive(Debug)]
struct State {
    machine: Streams,
    port: Arc<ConnectionPort>,
    ports: HashMap<StreamId, Arc<StreamPort>, foldhash::fast::FixedState>,
    promoted: HashMap<StreamId, Addr<StreamActor>, foldhash::fast::FixedState>,
    outputs: Vec<StreamOutput>,
    /// Reused from one stream to the next: what was received or written. Empty in between.
    chunks: Vec<Bytes>,
    close_when_idle: bool,
    neighbours: Rc<Neighbours>,
    held: BufferShare,
}

impl StreamsActor {
    pub(crate) fn new(machine: Streams, port: Arc<ConnectionPort>, neighbours: Neighbours, meter: Rc<Meter>) -> Self {
        let neighbours = Rc::new(neighbours);
        let state = State {
            machine,
            port,
            ports: HashMap::default(),
            promoted: HashMap::default(),
            outputs: Vec::new(),
            chunks: Vec::new(),
            close_when_idle: false,
            neighbours: neighbours.clone(),
            held: BufferShare::new(meter.clone()),
        };
        Self { state: Guarded::new(state), neighbours, meter, turn: Turn::None, ended: None }
    }

    /// Feeds the machine behind the panic boundary and opens a turn, at whose end everything is sent.
    fn feed(&mut self, context: &mut Context<Self>, work: impl FnOnce(&mut State, &mut Context<Self>)) {
        let started = self.meter.handled(ActorType::Streams);
        let result = self.state.run(|state| work(state, context));
        self.meter.done(ActorType::Streams, started);
        match result {
            Ok(()) => self.turn.open(),
            Err(gone) => self.fail(context, gone.now),
        }
    }

    fn fail(&mut self, context: &mut Context<Self>, now: bool) {
        if now {
            self.ended = Some(Cause::Panicked);
            context.stop();
        }
    }
}

impl State {
    fn on_input(&mut self, input: StreamInput) {
        if let StreamInput::OpenLimit { direction, limit, .. } = input {
            self.machine.handle_input(input);
            self.port.permit(direction, limit);
            return;
        }
        if let StreamInput::Rest = input {
            self.machine.handle_input(input);
            self.rest();
            return;
        }
        if !self.promoted.is_empty()
            && let Some(actor) = input.id().and_then(|id| self.promoted.get(&id))
        {
            // The connection did not know yet where the stream went.
            self.held.meter().sent(ActorType::Stream);
            actor.do_send(StreamsInput { inputs: vec![input] });
            return;
        }
        self.machine.handle_input(input);
    }

    /// Gives back room that only traffic needs.
    fn rest(&mut self) {
        self.ports.shrink_to_fit();
        self.promoted.shrink_to_fit();
        self.chunks = Vec::new();
    }

    /// What handles did since the last time.
    fn on_work(&mut self) {
        let work = self.port.take_work();
        for port in work.opened {
            let opened = self.machine.open(port.id().direction());
            debug_assert_eq!(opened, Some(port.id()), "the port permits what the machine permits, in its order");
            self.ports.insert(port.id(), port);
        }
        for (direction, limit) in work.wanted {
            self.outputs.push(StreamOutput::OpenWanted { direction, limit });
        }
        for port in work.streams {
            if !self.promoted.contains_key(&port.id()) {
                self.on_stream_work(&port);
            }
        }
        // Said after the last thing that the streams' handles said.
        for (id, priority) in work.priorities {
            self.outputs.push(StreamOutput::Prioritize { id, priority });
        }
    }

    fn on_stream_work(&mut self, port: &Arc<StreamPort>) {
        let id = port.id();
        let room = self.machine.writable(id);
        let wishes = port.take_work(room, &mut self.chunks);
        self.held.meter().edges_full(Edge::ApplicationStreams, wishes.waits);
        if let Some(priority) = wishes.priority {
            // Before what was written, which comes out of the machine at the end of the turn.
            self.outputs.push(StreamOutput::Prioritize { id, priority });
        }
        if wishes.isolate {
            self.machine.isolate(id);
        }
        if wishes.consumed > 0 {
            self.machine.consume(id, wishes.consumed);
        }
        if let Some(code) = wishes.stop {
            self.machine.stop(id, code);
        }
        if wishes.released {
            self.machine.release(id);
        }
        if let Some(code) = wishes.reset {
            self.machine.reset(id, code);
        }
        self.write(id, wishes.finish);
    }

    /// Moves what the application wrote into the machine.
    fn write(&mut self, id: StreamId, finish: bool) {
        for data in self.chunks.drain(..) {
            // Stopped or reset meanwhile: the port hears of it as an event.
            let _over = self.machine.write(id, data);
        }
        if finish {
            // A refusal means that the half is over already, of which an event tells.
            let _over = self.machine.finish(id);
        }
    }

    fn on_event(&mut self, event: StreamEvent, context: &mut Context<StreamsActor>) {
        match event {
            StreamEvent::Opened { id } => {
                let port = Arc::new(StreamPort::new(id, self.port.clone()));
                self.ports.insert(id, port.clone());
                self.port.offer(port);
            }
            StreamEvent::OpenPermitted { .. } => {}
            StreamEvent::Readable { id } => self.deliver(id),
            StreamEvent::Writable { id } => {
                let room = self.machine.writable(id);
                if let Some(finish) = self.ports.get(&id).map(|port| port.take_written(room, &mut self.chunks)) {
                    self.write(id, finish);
                }
            }
            StreamEvent::Finished { id } => self.end_send(id, SendEnd::Acknowledged),
            StreamEvent::Stopped { id, code } => self.end_send(id, SendEnd::Stopped(code)),
            StreamEvent::ReceiveReset { id, code } => {
                if let Some(port) = self.ports.get(&id) {
                    port.deliver(&mut self.chunks, Some(ReceiveEnd::Reset(code)));
                }
                self.machine.release(id);
            }
            StreamEvent::Promotable { id } => self.promote(id, context),
            StreamEvent::Closed { id } => {
                self.ports.remove(&id);
            }
        }
    }

    fn end_send(&mut self, id: StreamId, end: SendEnd) {
        if let Some(port) = self.ports.get(&id) {
            port.end_send(end);
        }
    }

    fn deliver(&mut self, id: StreamId) {
        let finished = self.machine.take_readable(id, &mut self.chunks);
        if let Some(port) = self.ports.get(&id) {
            port.deliver(&mut self.chunks, finished.then_some(ReceiveEnd::Finished));
        }
        self.chunks.clear();
    }

    /// Gives a stream that grew long, or that is to be alone, an actor of its own.
    fn promote(&mut self, id: StreamId, context: &mut Context<StreamsActor>) {
        let Some(port) = self.ports.get(&id).cloned() else { return };
        let Some(buffers) = self.machine.take(id) else { return };
        self.ports.remove(&id);
        let neighbours = crate::stream::Neighbours {
            outputs: self.neighbours.outputs.clone(),
            closed: context.address().recipient(),
            down: self.neighbours.down.clone(),
        };
        let actor = StreamActor::new(buffers, port, neighbours, self.held.shared_meter()).start();
        self.neighbours.promoted.do_send(Promoted { id, inputs: actor.clone().recipient() });
        self.held.meter().sent(ActorType::Connection);
        self.promoted.insert(id, actor);
    }

    fn end_turn(&mut self, context: &mut Context<StreamsActor>) -> Vec<StreamOutput> {
        // Events lead to outputs, and the last output of a stream to its last event: that it is closed.
        loop {
            while let Some(event) = self.machine.poll_event() {
                self.on_event(event, context);
            }
            let said = self.outputs.len();
            while let Some(output) = self.machine.poll_output() {
                self.outputs.push(output);
            }
            if self.outputs.len() == said {
                break;
            }
        }
        self.held.change(&self.machine.take_changes());
        if self.close_when_idle && self.is_idle() {
            self.close_when_idle = false;
            self.neighbours.close.do_send(CloseConnection { code: 0, reason: Bytes::new(), when_idle: false });
        }
        std::mem::take(&mut self.outputs)
    }

    /// Whether nothing that was finished is still on its way.
    fn is_idle(&self) -> bool {
        self.promoted.is_empty() && !self.machine.is_sending()
    }

    fn on_ended(&mut self, reason: &CloseReason) {
        // Streams that were opened but never used are known to the port alone.
        let work = self.port.take_work();
        for port in work.opened.iter().chain(&work.streams) {
            port.lose(reason);
        }
        #[expect(clippy::iter_over_hash_type, reason = "all of them are told, in whatever order")]
        for port in self.ports.values() {
            port.lose(reason);
        }
        #[expect(clippy::iter_over_hash_type, reason = "all of them are told, in whatever order")]
        for actor in self.promoted.values() {
            actor.do_send(ConnectionEnded { reason: reason.clone() });
        }
    }
}

impl Drop for State {
    /// However it comes to its end: nobody waits for a stream that nobody keeps. Does nothing where all are told already.
    fn drop(&mut self) {
        // First, so that no stream is opened that would not be seen here.
        self.port.end(CloseReason::Internal);
        let reason = self.port.close_reason().unwrap_or(CloseReason::Internal);
        self.on_ended(&reason);
    }
}

impl Turns for StreamsActor {
    fn turn(&mut self) -> &mut Turn {
        &mut self.turn
    }

    fn end_turn(&mut self, context: &mut Context<Self>) {
        let result = self.state.run(|state| state.end_turn(context));
        match result {
            Ok(outputs) if outputs.is_empty() => {}
            Ok(outputs) => {
                self.meter.sent(ActorType::Connection);
                self.neighbours.outputs.do_send(StreamsOutput { outputs });
            }
            Err(gone) => self.fail(context, gone.now),
        }
    }
}

impl Actor for StreamsActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.meter.started(ActorType::Streams);
        turn::end_turns(context);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        let cause = self.ended.unwrap_or(if std::thread::panicking() { Cause::Panicked } else { Cause::Finished });
        self.state.discard();
        let reason = if cause == Cause::Panicked { StopReason::Panic } else { StopReason::Done };
        self.meter.stopped(ActorType::Streams, reason);
        self.neighbours.down.do_send(Down { child: Child::Streams, cause });
    }
}

impl Handler<StreamsInput> for StreamsActor {
    type Result = ();

    fn handle(&mut self, message: StreamsInput, context: &mut Context<Self>) {
        self.feed(context, |state, _| {
            for input in message.inputs {
                state.on_input(input);
            }
        });
    }
}

impl Handler<StreamsWork> for StreamsActor {
    type Result = ();

    fn handle(&mut self, _: StreamsWork, context: &mut Context<Self>) {
        self.feed(context, |state, _| state.on_work());
    }
}

impl Handler<CloseWhenIdle> for StreamsActor {
    type Result = ();

    fn handle(&mut self, _: CloseWhenIdle, context: &mut Context<Self>) {
        self.feed(context, |state, _| state.close_when_idle = true);
    }
}

impl Handler<StreamClosed> for StreamsActor {
    type Result = ();

    fn handle(&mut self, message: StreamClosed, context: &mut Context<Self>) {
        self.feed(context, |state, _| {
            state.promoted.remove(&message.id);
        });
    }
}

impl Handler<ConnectionEnded> for StreamsActor {
    type Result = ();

    fn handle(&mut self, message: ConnectionEnded, context: &mut Context<Self>) {
        self.feed(context, |state, context| {
            // What arrived before the end, in this very turn perhaps, is delivered before the end is told.
            let _nobody_sends = state.end_turn(context);
            state.on_ended(&message.reason);
        });
        context.stop();
    }
}

impl Handler<Stop> for StreamsActor {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Context<Self>) {
        context.stop();
    }
}

#[cfg(feature = "fault-injection")]
impl Handler<crate::down::Panic> for StreamsActor {
    type Result = ();

    fn handle(&mut self, _: crate::down::Panic, context: &mut Context<Self>) {
        self.feed(context, |_, _| panic!("injected into a Streams actor"));
    }
}

/// Makes the promoted streams panic. Only in builds with fault injection.
#[cfg(feature = "fault-injection")]
#[derive(Clone, Copy, Debug, actix::Message)]
#[rtype(result = "()")]
pub(crate) struct PanicPromoted;

#[cfg(feature = "fault-injection")]
impl Handler<PanicPromoted> for StreamsActor {
    type Result = ();

    fn handle(&mut self, _: PanicPromoted, context: &mut Context<Self>) {
        self.feed(context, |state, _| {
            #[expect(clippy::iter_over_hash_type, reason = "all of them are to panic, in whatever order")]
            for actor in state.promoted.values() {
                actor.do_send(crate::down::Panic);
            }
        });
    }
}
