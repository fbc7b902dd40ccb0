//! `StreamActor`: keeps the bytes of one long stream.
//!
//! Owns the same buffers that the stream had in its connection's `StreamsActor`, from which it came whole. **In**:
//! [`StreamsInput`] from the connection (and, for a while, forwarded by `StreamsActor`), [`StreamWork`] from handles.
//! **Out**: `StreamsOutput` to the connection; bytes and ends into its port. Ends when both halves are over. Overload: a
//! busy or slow reader of this stream holds up nobody else.

pub(crate) mod messages;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Recipient};
use bytes::Bytes;
use telemetry::actor::{ActorType, Edge, StopReason};
use transport::output::CloseReason;
use transport::stream::buffers::{StreamBuffers, StreamEvent};
use transport::stream::edge::StreamOutput;

use self::messages::StreamWork;
use crate::connection::messages::StreamsOutput;
use crate::down::{Cause, Child, Down};
use crate::guard::Guarded;
use crate::meter::{BufferShare, Meter};
use crate::port::{ReceiveEnd, SendEnd, StreamPort};
use crate::streams::messages::{ConnectionEnded, StreamClosed, StreamsInput};
use crate::turn::{self, Turn, Turns};

/// Whom the actor speaks to; given at construction.
#[derive(Clone, Debug)]
pub(crate) struct Neighbours {
    pub(crate) outputs: Recipient<StreamsOutput>,
    pub(crate) closed: Recipient<StreamClosed>,
    pub(crate) down: Recipient<Down>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct StreamActor {
    state: Guarded<State>,
    port: Arc<StreamPort>,
    neighbours: Neighbours,
    meter: Rc<Meter>,
    turn: Turn,
    ended: Option<Cause>,
}

#[derive(Debug)]
struct State {
    buffers: StreamBuffers,
    port: Arc<StreamPort>,
    chunks: Vec<Bytes>,
    outputs: Vec<StreamOutput>,
    over: bool,
    held: BufferShare,
}

impl StreamActor {
    pub(crate) fn new(buffers: StreamBuffers, port: Arc<StreamPort>, neighbours: Neighbours, meter: Rc<Meter>) -> Self {
        let state = State {
            buffers,
            port: port.clone(),
            chunks: Vec::new(),
            outputs: Vec::new(),
            over: false,
            held: BufferShare::new(meter.clone()),
        };
        Self { state: Guarded::new(state), port, neighbours, meter, turn: Turn::None, ended: None }
    }

    fn feed(&mut self, context: &mut Context<Self>, work: impl FnOnce(&mut State)) {
        let started = self.meter.handled(ActorType::Stream);
        let result = self.state.run(work);
        self.meter.done(ActorType::Stream, started);
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
    fn on_work(&mut self) {
        let mut written = Vec::new();
        let wishes = self.port.take_work(self.buffers.writable(), &mut written);
        self.held.meter().edges_full(Edge::ApplicationStreams, wishes.waits);
        if let Some(priority) = wishes.priority {
            // Before what was written, which comes out of the buffers at the end of the turn.
            self.outputs.push(StreamOutput::Prioritize { id: self.buffers.id(), priority });
        }
        if wishes.consumed > 0 {
            self.buffers.consume(wishes.consumed);
        }
        if let Some(code) = wishes.stop {
            self.buffers.stop(code);
        }
        if wishes.released {
            self.buffers.release();
        }
        if let Some(code) = wishes.reset {
            self.buffers.reset(code);
        }
        self.write(written, wishes.finish);
    }

    /// Moves what the application wrote into the buffers.
    fn write(&mut self, written: Vec<Bytes>, finish: bool) {
        for data in written {
            // Stopped or reset meanwhile: the port hears of it as an event.
            let _over = self.buffers.write(data);
        }
        if finish {
            // A refusal means that the half is over already, of which an event tells.
            let _over = self.buffers.finish();
        }
    }

    fn on_event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Opened { .. } | StreamEvent::OpenPermitted { .. } | StreamEvent::Promotable { .. } => {}
            StreamEvent::Readable { .. } => {
                let finished = self.buffers.take_readable(&mut self.chunks);
                self.port.deliver(&mut self.chunks, finished.then_some(ReceiveEnd::Finished));
                self.chunks.clear();
            }
            StreamEvent::Writable { .. } => {
                let mut written = Vec::new();
                let finish = self.port.take_written(self.buffers.writable(), &mut written);
                self.write(written, finish);
            }
            StreamEvent::Finished { .. } => self.port.end_send(SendEnd::Acknowledged),
            StreamEvent::Stopped { code, .. } => self.port.end_send(SendEnd::Stopped(code)),
            StreamEvent::ReceiveReset { code, .. } => {
                self.port.deliver(&mut self.chunks, Some(ReceiveEnd::Reset(code)));
                self.buffers.release();
            }
            StreamEvent::Closed { .. } => self.over = true,
        }
    }

    fn end_turn(&mut self) -> (Vec<StreamOutput>, bool) {
        let mut outputs = std::mem::take(&mut self.outputs);
        // Events lead to outputs, and the last output of a stream to its last event: that it is closed.
        loop {
            while let Some(event) = self.buffers.poll_event() {
                self.on_event(event);
            }
            let said = outputs.len();
            while let Some(output) = self.buffers.poll_output() {
                outputs.push(output);
            }
            if outputs.len() == said {
                break;
            }
        }
        self.held.change(&self.buffers.take_changes());
        (outputs, self.over)
    }
}

impl Turns for StreamActor {
    fn turn(&mut self) -> &mut Turn {
        &mut self.turn
    }

    fn end_turn(&mut self, context: &mut Context<Self>) {
        match self.state.run(State::end_turn) {
            Ok((outputs, over)) => {
                if !outputs.is_empty() {
                    self.meter.sent(ActorType::Connection);
                    self.neighbours.outputs.do_send(StreamsOutput { outputs });
                }
                if over {
                    context.stop();
                }
            }
            Err(gone) => self.fail(context, gone.now),
        }
    }
}

impl Actor for StreamActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        self.meter.started(ActorType::Stream);
        turn::end_turns(context);
        // From here on handles speak to this actor; what they wished while the stream moved is looked at now.
        self.port.move_to(context.address().recipient());
        self.feed(context, State::on_work);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        let cause = self.ended.unwrap_or(if std::thread::panicking() { Cause::Panicked } else { Cause::Finished });
        self.state.discard();
        if cause == Cause::Panicked {
            // Whoever waits for the stream would wait for ever.
            self.port.lose(&self.port.connection().close_reason().unwrap_or(CloseReason::Internal));
        }
        let reason = if cause == Cause::Panicked { StopReason::Panic } else { StopReason::Done };
        self.meter.stopped(ActorType::Stream, reason);
        self.neighbours.closed.do_send(StreamClosed { id: self.port.id() });
        self.neighbours.down.do_send(Down { child: Child::Stream(self.port.id()), cause });
    }
}

impl Handler<StreamsInput> for StreamActor {
    type Result = ();

    fn handle(&mut self, message: StreamsInput, context: &mut Context<Self>) {
        self.feed(context, |state| {
            for input in message.inputs {
                state.buffers.handle_input(input);
            }
        });
    }
}

impl Handler<StreamWork> for StreamActor {
    type Result = ();

    fn handle(&mut self, _: StreamWork, context: &mut Context<Self>) {
        self.feed(context, State::on_work);
    }
}

impl Handler<ConnectionEnded> for StreamActor {
    type Result = ();

    fn handle(&mut self, message: ConnectionEnded, context: &mut Context<Self>) {
        // What arrived before the end, in this very turn perhaps, is delivered before the end is told.
        let _nobody_sends = self.state.run(State::end_turn);
        self.port.lose(&message.reason);
        context.stop();
    }
}

#[cfg(feature = "fault-injection")]
impl Handler<crate::down::Panic> for StreamActor {
    type Result = ();

    fn handle(&mut self, _: crate::down::Panic, context: &mut Context<Self>) {
        self.feed(context, |_| panic!("injected into a Stream actor"));
    }
}
