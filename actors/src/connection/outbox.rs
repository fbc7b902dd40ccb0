//! One turn's outputs, grouped by receiver, sent in a fixed order: routes (so that an id is known before a packet reveals
//! it), stream facts, events, congestion, deadlines and pacing, datagrams.

use std::rc::Rc;
use std::time::Duration;

use actix::{ActorContext, AsyncContext, Context, Recipient};
use codec::Time;
use smallvec::SmallVec;
use telemetry::actor::ActorType;
use transport::output::{Event, RouteChange, TransmitWanted};
use transport::stream::StreamInput;

use super::{ConnectionActor, State};
use crate::congestion::messages::{DatagramSizeChanged, Observed};
use crate::dispatcher::messages::RoutesChanged;
use crate::pacer::messages::TransmitWanted as TransmitWantedMessage;
use crate::socket::messages::{OutgoingBatch, SendDatagrams};
use crate::stage::Stage;
use crate::streams::messages::StreamsInput;
use crate::timer::messages::DeadlineChanged;
use crate::turn::Turns;

/// Send buffers that one turn fills at most, so that a turn stays short; the rest follows in the next one.
const BUFFERS_PER_TURN: usize = 2;

/// By how much a deadline must have become later for the timer to be told.
const WORTH_TELLING: Duration = Duration::from_millis(16);

/// Whether the timer, which wakes the connection at `armed`, must hear that its deadline is `at`.
///
/// One that is a little later is not worth a message: the earlier one fires, finds nothing to do, and arms the later. One
/// that is much later is: a message costs less than to be woken for nothing. A handshake that was just completed has a
/// probe timeout of a few milliseconds, and is not to be woken then if it has been closed meanwhile.
fn is_worth_telling(armed: Option<Time>, at: Time) -> bool {
    armed.is_none_or(|armed| at < armed || armed + WORTH_TELLING < at)
}

/// What came out of a machine. The shard has one, which it lends to each turn: it is large, and its room is used again.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    routes: SmallVec<[RouteChange; 4]>,
    inputs: Vec<StreamInput>,
    /// For streams with actors of their own.
    promoted: Vec<(Rc<Recipient<StreamsInput>>, Vec<StreamInput>)>,
    events: SmallVec<[Event; 2]>,
    observed: Option<Box<congestion::Observed>>,
    deadline: Option<Time>,
    wanted: Option<TransmitWanted>,
    batches: SmallVec<[OutgoingBatch; 1]>,
    /// There was no buffer for more.
    starved: bool,
    /// There is more to send, but this turn has been long enough.
    more: bool,
}

impl Outbox {
    /// Drains the machine to the end, into an empty outbox.
    pub(super) fn drain(&mut self, state: &mut State, now: Time, stage: &Stage) {
        let State { machine, promoted, count } = state;
        machine.end_turn(now);
        machine.take_stream_inputs(&mut self.inputs);
        if !promoted.is_empty() {
            self.sort_promoted(promoted);
        }
        self.observed = machine.take_observed();
        self.transmit(machine, now, stage);
        while let Some(change) = machine.poll_route() {
            self.routes.push(change);
        }
        while let Some(event) = machine.poll_event() {
            if matches!(event, Event::Datagrams) {
                count.receive_datagrams(machine);
            } else {
                self.events.push(event);
            }
        }
        self.deadline = machine.deadline().map(|(at, _)| at);
        self.wanted = machine.transmit_wanted();
        count.turn(machine, now);
    }

    fn transmit(&mut self, machine: &mut transport::Connection, now: Time, stage: &Stage) {
        for _ in 0..BUFFERS_PER_TURN {
            if !machine.may_transmit(now) {
                return;
            }
            let Some(mut buffer) = stage.send_pool.take() else {
                self.starved = machine.wants_to_transmit();
                if self.starved {
                    machine.handle_no_buffer(now);
                }
                return;
            };
            let Some(transmit) = machine.poll_transmit(now, &mut buffer) else {
                stage.send_pool.give_back(buffer);
                return;
            };
            self.batches.push(OutgoingBatch { transmit, buffer });
        }
        self.more = true;
    }

    /// Takes the facts of promoted streams out, each for its own actor.
    fn sort_promoted(
        &mut self,
        promoted: &std::collections::HashMap<codec::StreamId, Rc<Recipient<StreamsInput>>, foldhash::fast::FixedState>,
    ) {
        let mut rest = Vec::new();
        let mut last = None;
        for input in self.inputs.drain(..) {
            let Some(recipient) = input.id().and_then(|id| promoted.get(&id).map(|recipient| (id, recipient))) else {
                rest.push(input);
                continue;
            };
            let (id, recipient) = recipient;
            match self.promoted.last_mut() {
                Some((_, inputs)) if last == Some(id) => inputs.push(input),
                _ => {
                    self.promoted.push((recipient.clone(), vec![input]));
                    last = Some(id);
                }
            }
        }
        self.inputs = rest;
    }
}

impl ConnectionActor {
    /// Sends what a turn made, and leaves the outbox empty.
    pub(super) fn flush(&mut self, context: &mut Context<Self>, outbox: &mut Outbox) {
        let meter = self.stage.meter.clone();
        let Some(singletons) = self.stage.singletons() else {
            *outbox = Outbox::default();
            return;
        };
        if !outbox.routes.is_empty() {
            meter.sent(ActorType::Dispatcher);
            let changes = Box::new(std::mem::take(&mut outbox.routes));
            singletons.routes.do_send(RoutesChanged { key: self.key, generation: self.generation, changes });
        }
        if !outbox.inputs.is_empty() {
            let inputs = std::mem::take(&mut outbox.inputs);
            if let Some(streams) = &self.streams {
                meter.sent(ActorType::Streams);
                streams.do_send(StreamsInput { inputs });
            }
        }
        for (recipient, inputs) in outbox.promoted.drain(..) {
            meter.sent(ActorType::Stream);
            recipient.do_send(StreamsInput { inputs });
        }
        let mut drained = false;
        for event in outbox.events.drain(..) {
            drained |= matches!(event, Event::Drained);
            self.on_event(context, event);
        }
        if let (Some(observed), Some(congestion)) = (outbox.observed.take(), &self.congestion) {
            meter.sent(ActorType::Congestion);
            congestion.do_send(Observed(observed));
        }
        let (key, generation) = (self.key, self.generation);
        if let Some(at) = outbox.deadline.take()
            && is_worth_telling(self.armed, at)
        {
            self.armed = Some(at);
            meter.sent(ActorType::Timer);
            singletons.deadline.do_send(DeadlineChanged { key, generation, at });
        }
        if let Some(TransmitWanted { at, bytes }) = outbox.wanted.take() {
            meter.sent(ActorType::Pacer);
            singletons.wanted.do_send(TransmitWantedMessage { key, generation, at, bytes });
        }
        if !outbox.batches.is_empty() {
            meter.sent(ActorType::Socket);
            singletons.datagrams.do_send(SendDatagrams { batches: std::mem::take(&mut outbox.batches) });
        }
        let more = std::mem::take(&mut outbox.more);
        if std::mem::take(&mut outbox.starved) && !std::mem::replace(&mut self.waits_for_buffer, true) {
            self.stage.send_pool.wait(context.address().recipient());
        }
        if drained {
            context.stop();
        } else if more {
            self.go_on_later(context);
        }
    }

    fn on_event(&mut self, context: &mut Context<Self>, event: Event) {
        match event {
            Event::Connected => {
                let data = self.state.get().and_then(|state| state.machine.handshake_data()).cloned();
                self.port.set_handshake(data.unwrap_or_default());
                self.apply_rules();
            }
            Event::Confirmed | Event::Datagrams | Event::Drained => {}
            Event::Closed(reason) => self.end(reason),
            Event::PathChanged { remote, restart } => {
                self.port.update_facts(|facts| facts.remote = remote);
                if restart {
                    self.restart_congestion(context);
                }
            }
            Event::DatagramSize(size) => {
                if let Some(congestion) = &self.congestion {
                    self.stage.meter.sent(ActorType::Congestion);
                    congestion.do_send(DatagramSizeChanged(size));
                }
            }
            Event::NewToken(token) => self.port.keep_token(token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timer_hears_of_deadlines_that_are_earlier_or_much_later() {
        let at = |milliseconds| Time::ZERO + Duration::from_millis(milliseconds);
        assert!(is_worth_telling(None, at(100)));
        for (told, deadline) in [(true, 99), (false, 100), (false, 116), (true, 117)] {
            assert_eq!(is_worth_telling(Some(at(100)), at(deadline)), told, "{deadline}");
        }
    }
}
