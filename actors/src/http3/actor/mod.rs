//! `Http3Actor`: keeps one HTTP/3 connection.
//!
//! Owns the machine `http3::Connection`, the handles of the connection's streams, and the ports of its exchanges. **In**:
//! [`Http3Work`], when somebody rang the [`Bell`]. **Out**: bytes into streams, messages into ports, requests to the
//! service. Ends when the connection ends. Overload: what it holds is charged to the peer's flow-control windows, or waits
//! in ports, which are bounded; the machine bounds everything else.

mod application;
mod machine;
mod transport;

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, SpawnHandle};
use codec::Direction;
use http3::{Code, Opening, RequestKey};
use telemetry::actor::{ActorType, StopReason};

use super::bell::{Bell, Source};
use super::count::{COUNT_AGE, Count};
use super::handle::Shared;
use super::messages::Http3Work;
use super::port::Held;
use super::server::Dispatch;
use super::streams::Streams;
use crate::api::connection::Connection;
use crate::clock;
use crate::guard::Guarded;
use crate::meter::Meter;

/// See the module.
pub(crate) struct Http3Actor {
    state: Guarded<State>,
    connection: Connection,
    shared: Arc<Shared>,
    meter: Rc<Meter>,
    /// When the machine is asked again, at the latest when it wants to be, and who does it.
    alarm: Option<(codec::Time, SpawnHandle)>,
    /// What happens is about to be added to the metrics.
    counting: bool,
    panicked: bool,
}

struct State {
    machine: http3::Connection,
    connection: Connection,
    shared: Arc<Shared>,
    bell: Arc<Bell>,
    dispatch: Option<Dispatch>,
    streams: Streams,
    /// Requests that have no stream yet.
    requests: HashMap<RequestKey, Held, foldhash::fast::FixedState>,
    /// Streams that are to be opened, by direction.
    openings: [VecDeque<Opening>; 2],
    wakers: Wakers,
    count: Count,
    /// Reused from turn to turn.
    sources: Vec<Source>,
    /// Whether so many requests wait for a stream that the machine took no further ones.
    held_back: bool,
    over: bool,
}

/// Who rings for what is not one stream's.
struct Wakers {
    accept: [Waker; 2],
    open: [Waker; 2],
    datagrams: Waker,
    closed: Waker,
}

const DIRECTIONS: [Direction; 2] = [Direction::Bidirectional, Direction::Unidirectional];

const fn index(direction: Direction) -> usize {
    match direction {
        Direction::Bidirectional => 0,
        Direction::Unidirectional => 1,
    }
}

impl Http3Actor {
    /// To be called on the connection's shard.
    pub(crate) fn start(
        machine: http3::Connection,
        connection: Connection,
        shared: Arc<Shared>,
        dispatch: Option<Dispatch>,
        meter: Rc<Meter>,
    ) {
        let bell = shared.bell().clone();
        let wakers = Wakers {
            accept: DIRECTIONS.map(|direction| bell.waker(Source::Accept(direction))),
            open: DIRECTIONS.map(|direction| bell.waker(Source::Open(direction))),
            datagrams: bell.waker(Source::Datagrams),
            closed: bell.waker(Source::Closed),
        };
        let state = State {
            machine,
            connection: connection.clone(),
            shared: shared.clone(),
            bell: bell.clone(),
            streams: Streams::default(),
            requests: HashMap::default(),
            openings: Default::default(),
            wakers,
            count: Count::new(meter.clone(), shared.clone(), dispatch.is_none()),
            dispatch,
            sources: Vec::new(),
            held_back: false,
            over: false,
        };
        let actor = Self {
            state: Guarded::new(state),
            connection,
            shared,
            meter,
            alarm: None,
            counting: false,
            panicked: false,
        };
        let address = actor.start();
        bell.hang(address.recipient());
        for direction in DIRECTIONS {
            bell.ring(Source::Accept(direction));
        }
        bell.ring(Source::Datagrams);
        bell.ring(Source::Closed);
    }

    fn work(&mut self, context: &mut Context<Self>, work: impl FnOnce(&mut State)) {
        let started = self.meter.handled(ActorType::Http3);
        let result = self.state.run(|state| {
            work(state);
            (state.machine.deadline(), state.over)
        });
        self.meter.done(ActorType::Http3, started);
        self.plan_count(context);
        match result {
            Ok((_, true)) => context.stop(),
            Ok((deadline, false)) => self.set_alarm(context, deadline),
            Err(gone) if gone.now => {
                self.panicked = true;
                self.connection.close(Code::H3_INTERNAL_ERROR.0, b"internal error");
                context.stop();
            }
            Err(_) => {}
        }
    }

    /// Has what this turn counted added to the metrics together with what comes soon after it.
    fn plan_count(&mut self, context: &mut Context<Self>) {
        if !std::mem::replace(&mut self.counting, true) {
            context.run_later(COUNT_AGE, |actor, _| {
                actor.counting = false;
                actor.add_counts();
            });
        }
    }

    fn add_counts(&mut self) {
        // What a connection counted whose state is gone went with it.
        let _gone = self.state.run(|state| state.count.add_all(&mut state.machine));
    }

    /// Sees to it that the machine is asked again by then. An alarm that is earlier than it need be stays: when it comes, the
    /// next one is set, and most deadlines are gone before they come.
    fn set_alarm(&mut self, context: &mut Context<Self>, deadline: Option<codec::Time>) {
        if let Some(at) = deadline
            && self.alarm.is_none_or(|(earlier, _)| at < earlier)
        {
            if let Some((_, handle)) = self.alarm.take() {
                context.cancel_future(handle);
            }
            let delay = at.saturating_since(clock::now());
            let handle = context.run_later(delay, |actor, context| {
                actor.alarm = None;
                actor.work(context, |state| {
                    state.machine.handle_deadline(clock::now());
                    state.drain();
                });
            });
            self.alarm = Some((at, handle));
        }
    }
}

impl Actor for Http3Actor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.meter.started(ActorType::Http3);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.add_counts();
        self.meter.stopped(ActorType::Http3, if self.panicked { StopReason::Panic } else { StopReason::Done });
        self.state.discard();
        self.shared.end();
    }
}

impl Handler<Http3Work> for Http3Actor {
    type Result = ();

    fn handle(&mut self, _: Http3Work, context: &mut Context<Self>) {
        self.work(context, State::turn);
    }
}

impl State {
    /// Looks at everything that was rung for.
    fn turn(&mut self) {
        let mut sources = std::mem::take(&mut self.sources);
        self.bell.take(&mut sources);
        for source in sources.drain(..) {
            match source {
                Source::Accept(direction) => self.accept(direction),
                Source::Open(direction) => self.open(direction),
                Source::Datagrams => self.read_datagrams(),
                Source::Stream(id) => self.on_stream(id),
                Source::Exchange(id) => self.on_exchange(id),
                Source::Wishes => self.on_wishes(),
                Source::Closed => self.on_closed(),
            }
            self.drain();
            if let Source::Stream(id) = source {
                self.free_if_over(id);
            }
            if self.over {
                break;
            }
        }
        self.sources = sources;
        if self.held_back && self.machine.may_request() && !self.over {
            self.on_wishes();
        }
    }
}
