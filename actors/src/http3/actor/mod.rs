//! `Http3Actor`: keeps one HTTP/3 connection.
//!
//! Owns the machine `http3::Connection`, the handles of the connection's streams, and the ports of its exchanges. **In**:
//! [`Http3Work`], when somebody rang the [`Bell`]. **Out**: bytes into streams, messages into ports, requests to the
//! service. Ends when the connection ends. Overload: what it holds is charged to the peer's flow-control windows, or waits
//! in ports, which are bounded; the machine bounds everything else.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, SpawnHandle};
use codec::{Direction, StreamId};
use http3::connection::SendError;
use http3::{Code, Event, Opening, Output, RequestKey};
use telemetry::actor::{ActorType, StopReason};

use super::bell::{Bell, Source};
use super::count::{COUNT_AGE, Count};
use super::error::Error;
use super::handle::{Shared, Wish};
use super::messages::Http3Work;
use super::port::{ExchangePort, Held, Part, Piece};
use super::server::{self, Dispatch};
use super::streams::{Read, Stream, Streams};
use crate::api::connection::Connection;
use crate::api::recv_stream::RecvStream;
use crate::api::send_stream::SendStream;
use crate::clock;
use crate::guard::Guarded;
use crate::meter::Meter;

/// See the module.
pub(crate) struct Http3Actor {
    state: Guarded<State>,
    connection: Connection,
    shared: Arc<Shared>,
    meter: Rc<Meter>,
    /// When the machine wants to be asked again, and who does it.
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
            dispatch,
            streams: Streams::default(),
            requests: HashMap::default(),
            openings: Default::default(),
            wakers,
            count: Count::new(meter.clone()),
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

    fn set_alarm(&mut self, context: &mut Context<Self>, deadline: Option<codec::Time>) {
        if self.alarm.map(|(at, _)| at) == deadline {
            return;
        }
        if let Some((_, handle)) = self.alarm.take() {
            context.cancel_future(handle);
        }
        if let Some(at) = deadline {
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

    // ── From the transport ───────────────────────────────────────────────────────────────────────────────────────

    fn accept(&mut self, direction: Direction) {
        loop {
            let mut context = TaskContext::from_waker(&self.wakers.accept[index(direction)]);
            let Poll::Ready(Ok(port)) = self.connection.poll_accept(&mut context, direction) else { return };
            let id = port.id();
            let send = (direction == Direction::Bidirectional).then(|| SendStream::new(port.clone()));
            let stream = Stream::new(self.bell.waker(Source::Stream(id)), send, Some(RecvStream::new(port)));
            self.streams.insert(id, stream);
            self.machine.handle_stream_opened(clock::now(), id);
            self.on_stream(id);
            self.drain();
        }
    }

    fn open(&mut self, direction: Direction) {
        while !self.openings[index(direction)].is_empty() {
            let mut context = TaskContext::from_waker(&self.wakers.open[index(direction)]);
            let Poll::Ready(Ok(port)) = self.connection.poll_open(&mut context, direction) else { return };
            let Some(opening) = self.openings[index(direction)].pop_front() else { return };
            let id = port.id();
            let receive = (direction == Direction::Bidirectional).then(|| RecvStream::new(port.clone()));
            let stream = Stream::new(self.bell.waker(Source::Stream(id)), Some(SendStream::new(port)), receive);
            if matches!(opening, Opening::Control | Opening::QpackEncoder | Opening::QpackDecoder) {
                stream.put_before_all();
            }
            self.streams.insert(id, stream);
            self.machine.handle_opened(clock::now(), opening, id);
            // Nothing has come yet: whoever rings when it does is set up.
            self.on_stream(id);
        }
    }

    fn on_stream(&mut self, id: StreamId) {
        let now = clock::now();
        while let Some(read) = self.streams.get_mut(&id).and_then(Stream::read) {
            match read {
                Read::Data(data) => self.machine.handle_data(now, id, data, false),
                Read::End => {
                    self.machine.handle_data(now, id, bytes::Bytes::new(), true);
                    break;
                }
                Read::Reset(code) => {
                    self.machine.handle_reset(now, id, code);
                    break;
                }
            }
        }
        match self.streams.get_mut(&id).and_then(Stream::stopped) {
            // What comes of it, the machine says: until then the exchange is known.
            Some(code) => self.machine.handle_stop_sending(now, id, code),
            None => self.flush(id),
        }
    }

    fn read_datagrams(&mut self) {
        loop {
            let mut context = TaskContext::from_waker(&self.wakers.datagrams);
            let Poll::Ready(Ok(datagram)) = self.connection.poll_datagram(&mut context) else { return };
            self.machine.handle_datagram(clock::now(), datagram);
        }
    }

    fn on_closed(&mut self) {
        let Poll::Ready(reason) = self.connection.poll_closed(&mut TaskContext::from_waker(&self.wakers.closed)) else {
            return;
        };
        self.machine.handle_closed();
        self.fail_all(&Error::Connection(reason));
        self.over = true;
    }

    // ── From the application ─────────────────────────────────────────────────────────────────────────────────────

    fn on_exchange(&mut self, id: StreamId) {
        let Some(port) = self.port(id).cloned() else { return };
        let wishes = port.take_wishes();
        if wishes.consumed > 0 {
            self.machine.data_consumed(id, wishes.consumed);
        }
        if wishes.cancel {
            self.machine.cancel(id);
            self.forget(id, &Error::Cancelled);
            return;
        }
        if wishes.stop {
            self.machine.stop_reading(id);
        }
        if let Some(priority) = wishes.priority {
            // Over meanwhile: then there is nothing to hurry.
            let _over = self.machine.priority_update(id, priority);
        }
        for payload in wishes.datagrams {
            // It may be dropped: too large, or not accepted by the peer.
            let _dropped = self.machine.send_datagram(id, payload);
        }
        self.send(id, &port);
    }

    /// Gives the machine what it has room for.
    fn send(&mut self, id: StreamId, port: &Arc<ExchangePort>) {
        let now = clock::now();
        while let Some(part) = port.next_part() {
            let sent = match part {
                Part::Interim(head) => self.machine.send_informational(now, id, &head),
                Part::Head(head, end) => self.machine.send_response(now, id, &head, end),
                Part::Data(mut data) => {
                    let sent = self.machine.send_data(now, id, &mut data, false);
                    if sent.is_ok() && !data.is_empty() {
                        port.put_back(data);
                        return;
                    }
                    sent
                }
                Part::Trailers(trailers) => self.machine.send_trailers(now, id, &trailers),
                Part::End => self.machine.finish(now, id),
                Part::Reset(code) => {
                    self.machine.reset(id, code);
                    port.end_send(Error::Cancelled);
                    return;
                }
            };
            match sent {
                Ok(()) => {}
                // A response to HEAD, say: the head is the whole of it.
                Err(SendError::NoContent) => {
                    let _finished = self.machine.finish(now, id);
                    port.end_send(Error::Unsendable("this response has no content"));
                    return;
                }
                Err(SendError::Gone | SendError::Finished) => {
                    port.end_send(Error::Cancelled);
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, stream = id.as_u64(), "a message cannot be sent");
                    self.machine.reset(id, Code::H3_INTERNAL_ERROR);
                    port.end_send(Error::Unsendable("the message breaks the rules of HTTP"));
                    return;
                }
            }
        }
    }

    fn on_wishes(&mut self) {
        while let Some(wish) = self.shared.next_wish(self.machine.may_request()) {
            match wish {
                Wish::Request { head, end, port } => match self.machine.request(*head, end) {
                    Ok(key) => _ = self.requests.insert(key, Held(port)),
                    Err(error) => {
                        use http3::connection::RequestError;
                        let error = match error {
                            RequestError::GoingAway => Error::Unprocessed,
                            RequestError::Closed => Error::Cancelled,
                            RequestError::TooMany => Error::Unsendable("too many requests wait for a stream"),
                            RequestError::Head(_) => Error::Unsendable("the request breaks the rules of HTTP"),
                            RequestError::ContentLength => Error::Unsendable("Content-Length, and no content"),
                        };
                        port.end_send(error.clone());
                        port.end(Err(error));
                    }
                },
                Wish::AnnounceGoaway => self.machine.announce_goaway(),
                Wish::Goaway => self.machine.goaway(),
                #[cfg(feature = "fault-injection")]
                Wish::Panic => panic!("injected"),
            }
            self.drain();
        }
        self.held_back = !self.machine.may_request();
    }

    // ── From the machine ─────────────────────────────────────────────────────────────────────────────────────────

    /// Carries out what the machine wants, and tells what it says.
    fn drain(&mut self) {
        loop {
            if let Some(event) = self.machine.poll_event() {
                self.on_event(event);
            } else if let Some(output) = self.machine.poll_output() {
                self.on_output(output);
            } else {
                return;
            }
        }
    }

    fn on_output(&mut self, output: Output) {
        match output {
            Output::Open(opening) => {
                let direction = opening.direction();
                self.openings[index(direction)].push_back(opening);
                self.open(direction);
            }
            Output::Write { stream, data, fin } => {
                if let Some(held) = self.streams.get_mut(&stream) {
                    held.write(data, fin);
                    self.flush(stream);
                }
            }
            Output::Reset { stream, code } => {
                if let Some(held) = self.streams.get_mut(&stream) {
                    held.reset(code.0);
                }
                self.free_if_over(stream);
            }
            Output::Stop { stream, code } => {
                if let Some(held) = self.streams.get_mut(&stream) {
                    held.stop(code.0);
                }
                self.free_if_over(stream);
            }
            Output::Consumed { stream, bytes } => {
                if let Some(held) = self.streams.get_mut(&stream) {
                    held.consume(bytes);
                }
                self.free_if_over(stream);
            }
            Output::Datagram { prefix, payload } => {
                let datagram = [&prefix[..], &payload[..]].concat();
                // It may be dropped: too large, or the connection is over.
                let _dropped = self.connection.send_datagram(datagram.into());
            }
            Output::Close { code, reason } => self.connection.close(code.0, reason.as_bytes()),
        }
    }

    fn flush(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let wrote = stream.flush();
        let now = clock::now();
        if wrote.bytes > 0 {
            self.machine.handle_sent(now, id, wrote.bytes);
        }
        match wrote.stopped {
            Some(code) => self.machine.handle_stop_sending(now, id, code),
            None => self.free_if_over(id),
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Request { stream, head, priority } => self.on_request(stream, *head, priority),
            Event::RequestOpened { key, stream } => {
                if let Some(port) = self.requests.remove(&key) {
                    let waits = port.0.begin(stream);
                    if let Some(held) = self.streams.get_mut(&stream) {
                        held.exchange = Some(port);
                    }
                    if waits {
                        self.bell.ring(Source::Exchange(stream));
                    }
                }
            }
            Event::RequestFailed { key, reason } => {
                if let Some(Held(port)) = &self.requests.remove(&key) {
                    let error = Error::from(reason);
                    port.end_send(error.clone());
                    port.end(Err(error));
                }
            }
            Event::Informational { stream, head } => self.with_port(stream, |port| port.give_head(*head, true)),
            Event::Response { stream, head } => self.with_port(stream, |port| port.give_head(*head, false)),
            Event::Data { stream, data } => {
                let unwanted = match self.port(stream) {
                    Some(port) => port.give(Piece::Data(data)),
                    None => data.len() as u64,
                };
                if unwanted > 0 {
                    self.machine.data_consumed(stream, unwanted);
                }
            }
            Event::Trailers { stream, trailers } => {
                self.with_port(stream, |port| _ = port.give(Piece::Trailers(*trailers)));
            }
            Event::Finished { stream } => {
                self.with_port(stream, |port| port.end(Ok(())));
                self.free_if_over(stream);
            }
            Event::SendStopped { stream, code } => {
                self.with_port(stream, |port| port.end_send(Error::Stopped(code)));
                self.free_if_over(stream);
            }
            Event::Writable { stream } => {
                if let Some(port) = self.port(stream).cloned() {
                    self.send(stream, &port);
                }
            }
            Event::Ended { stream, reason } => self.forget(stream, &Error::from(reason)),
            Event::Datagram { stream, payload } => self.with_port(stream, |port| _ = port.give_datagram(payload)),
            Event::PriorityChanged { stream, priority } => self.set_priority(stream, priority),
            Event::Settings(settings) => self.shared.on_settings(settings),
            Event::Goaway { .. } => self.shared.on_goaway(),
            Event::Drained => self.machine.close(Code::H3_NO_ERROR, ""),
            Event::Closed(error) => self.fail_all(&Error::Protocol(error)),
        }
    }

    fn on_request(&mut self, stream: StreamId, head: http::Request<()>, priority: http3::Priority) {
        let Some(dispatch) = &self.dispatch else { return };
        let port = ExchangePort::new(self.bell.clone(), Some(stream));
        let mut request = server::with_body(head, &port);
        request.extensions_mut().insert(priority);
        let task = dispatch(request, port.clone());
        if let Some(held) = self.streams.get_mut(&stream) {
            held.set_priority(priority);
            held.exchange = Some(Held(port));
            held.task = Some(task);
        }
    }

    /// A response is wanted sooner or later than was said.
    fn set_priority(&self, stream: StreamId, priority: http3::Priority) {
        let is_held = self.streams.get(&stream).is_some_and(|held| held.set_priority(priority));
        if !is_held {
            // All of it was written, and some of it may wait.
            self.connection.set_stream_priority(stream, priority.urgency(), priority.is_incremental());
        }
    }

    fn port(&self, stream: StreamId) -> Option<&Arc<ExchangePort>> {
        self.streams.get(&stream)?.exchange.as_ref().map(|Held(port)| port)
    }

    fn with_port(&self, stream: StreamId, work: impl FnOnce(&ExchangePort)) {
        if let Some(port) = self.port(stream) {
            work(port);
        }
    }

    fn free_if_over(&mut self, id: StreamId) {
        if self.streams.get(&id).is_some_and(Stream::is_over) {
            self.streams.remove(&id);
        }
    }

    /// An exchange is over before its end. What the machine still has to say of its stream, it says.
    fn forget(&mut self, id: StreamId, error: &Error) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if let Some(task) = stream.task.take() {
            task.abort();
        }
        if let Some(Held(port)) = &stream.exchange.take() {
            port.end_send(error.clone());
            port.end(Err(error.clone()));
        }
        self.free_if_over(id);
    }

    fn fail_all(&mut self, error: &Error) {
        let ids: Vec<StreamId> = self.streams.keys().copied().collect();
        for id in ids {
            self.forget(id, error);
        }
        let requests = std::mem::take(&mut self.requests);
        requests.into_values().for_each(|held| {
            held.0.end_send(error.clone());
            held.0.end(Err(error.clone()));
        });
    }
}
