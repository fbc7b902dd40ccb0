//! [`ConnectionPort`]: what the handles of a connection share with its actors.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix::Recipient;
use codec::{Direction, Side, StreamId};
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;
use transport::connection::HandshakeData;
use transport::output::CloseReason;
use transport::stream::Priority;

use super::stream::StreamPort;
use crate::connection::ConnectionOrders;
use crate::streams::messages::StreamsWork;

/// Consumed bytes of a connection that are always worth a message by themselves.
const REPORT_CONSUMED: u64 = 32 * 1024;
/// What is consumed is told at the latest when it is this part of the smallest window, so that no peer ever waits for
/// credit that nobody reports.
const REPORT_PART: u64 = 8;

/// Priorities of streams without a handle that are changed at once.
#[cfg(feature = "http3")]
const PRIORITIES: usize = 256;

/// A stream that the peer opened.
pub(crate) type Accepted = Arc<StreamPort>;
/// A stream that the application opened.
pub(crate) type Opened = Arc<StreamPort>;

/// Who hears what handles want. Known once the connection's actors run.
#[derive(Clone, Debug)]
pub(crate) struct Orders {
    pub(crate) work: Recipient<StreamsWork>,
    pub(crate) connection: ConnectionOrders,
}

/// How many streams of each kind may be opened here, and how many were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OpenPermits {
    limit: u64,
    opened: u64,
    /// Somebody waits for more, and the actor was or will be told.
    wanted: bool,
}

/// What the application did since the actor last looked.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Streams that it opened, in the order of their numbers.
    pub(crate) opened: Vec<Opened>,
    /// Streams that it wrote to, read from, or ended.
    pub(crate) streams: Vec<Arc<StreamPort>>,
    /// Of which kinds of streams it waits for more than these.
    pub(crate) wanted: SmallVec<[(Direction, u64); 2]>,
    /// Streams whose handles are gone, and how urgent what waits on them is.
    pub(crate) priorities: Vec<(StreamId, Priority)>,
}

/// What anyone may ask about a connection, kept up to date by its actor.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) remote: SocketAddr,
    pub(crate) state: &'static str,
    pub(crate) congestion: &'static str,
    pub(crate) congestion_state: &'static str,
    pub(crate) congestion_window: u64,
    pub(crate) pacing_rate: u64,
    pub(crate) bytes_in_flight: u64,
    pub(crate) smoothed_rtt: Duration,
    pub(crate) minimum_rtt: Duration,
    pub(crate) latest_rtt: Duration,
    pub(crate) datagram_size: u16,
    pub(crate) max_datagram: Option<usize>,
    pub(crate) limited_by: &'static str,
    pub(crate) counters: crate::api::connection::ConnectionStats,
}

/// One connection between application and actors.
#[derive(Debug)]
pub(crate) struct ConnectionPort {
    side: Side,
    id: u64,
    /// Consumed bytes from which on the actor is told of them.
    report_from: u64,
    /// Handles that are left; with the last one the connection closes.
    handles: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    orders: Option<Arc<Orders>>,
    handshake: Option<Arc<HandshakeData>>,
    closed: Option<CloseReason>,
    facts: Facts,
    permits: [OpenPermits; 2],
    openers: [Vec<Waker>; 2],
    accepted: [VecDeque<Accepted>; 2],
    acceptors: [Vec<Waker>; 2],
    token: Option<bytes::Bytes>,
    datagrams: VecDeque<bytes::Bytes>,
    datagram_readers: Vec<Waker>,
    /// Who waits for the handshake or the end.
    watchers: Vec<Waker>,
    work: Work,
    /// A message about work is on its way.
    told: bool,
    /// Bytes consumed since the actor last looked.
    unreported: u64,
}

impl State {
    /// Takes out what holds on to the connection: streams that nobody will accept or look at any more.
    fn clear(&mut self) -> ([VecDeque<Accepted>; 2], Work) {
        (std::mem::take(&mut self.accepted), std::mem::take(&mut self.work))
    }
}

const fn index(direction: Direction) -> usize {
    match direction {
        Direction::Bidirectional => 0,
        Direction::Unidirectional => 1,
    }
}

impl Facts {
    /// What is known of a connection to this address before its first turn.
    pub(crate) fn new(remote: SocketAddr, congestion: &'static str) -> Self {
        Self {
            remote,
            state: "handshaking",
            congestion,
            congestion_state: "slow_start",
            congestion_window: 0,
            pacing_rate: 0,
            bytes_in_flight: 0,
            smoothed_rtt: Duration::ZERO,
            minimum_rtt: Duration::ZERO,
            latest_rtt: Duration::ZERO,
            datagram_size: 1200,
            max_datagram: None,
            limited_by: "application",
            counters: crate::api::connection::ConnectionStats::default(),
        }
    }
}

impl ConnectionPort {
    pub(crate) fn new(side: Side, id: u64, facts: Facts, config: &transport::Config) -> Arc<Self> {
        let state = State {
            orders: None,
            handshake: None,
            closed: None,
            facts,
            permits: Default::default(),
            openers: Default::default(),
            accepted: Default::default(),
            acceptors: Default::default(),
            token: None,
            datagrams: VecDeque::new(),
            datagram_readers: Vec::new(),
            watchers: Vec::new(),
            work: Work::default(),
            told: false,
            unreported: 0,
        };
        let window = config.stream_receive_window.min(config.receive_window);
        let report_from = REPORT_CONSUMED.min(window / REPORT_PART);
        Arc::new(Self { side, id, report_from, handles: AtomicUsize::new(0), state: Mutex::new(state) })
    }

    /// The number of the connection in this process: the key of the admin interface.
    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    /// Consumed bytes from which on the actor is told of them.
    pub(super) const fn report_from(&self) -> u64 {
        self.report_from
    }

    pub(crate) const fn side(&self) -> Side {
        self.side
    }

    // ── The application's side ───────────────────────────────────────────────────────────────────────────────────

    pub(crate) fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// A token for later connections came from the server.
    pub(crate) fn keep_token(&self, token: bytes::Bytes) {
        self.state.lock().token = Some(token);
    }

    /// The newest token that the server gave, to be used once.
    pub(crate) fn take_token(&self) -> Option<bytes::Bytes> {
        self.state.lock().token.take()
    }

    /// One handle less; with the last one the connection is closed (code 0), as nobody could use it any more.
    pub(crate) fn drop_handle(&self) {
        // Each handle was added once; whoever takes the last one away does what is below.
        if self.handles.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let mut state = self.state.lock();
        if state.closed.is_some() {
            let leftovers = state.clear();
            drop(state);
            drop(leftovers);
            return;
        }
        let orders = state.orders.clone();
        drop(state);
        if let Some(orders) = orders {
            orders.connection.close_when_idle();
        }
    }

    pub(crate) fn orders(&self) -> Option<Arc<Orders>> {
        self.state.lock().orders.clone()
    }

    pub(crate) fn facts(&self) -> Facts {
        self.state.lock().facts.clone()
    }

    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.state.lock().closed.clone()
    }

    pub(crate) fn handshake(&self) -> Option<Arc<HandshakeData>> {
        self.state.lock().handshake.clone()
    }

    /// Ready once the handshake is complete, or failed.
    pub(crate) fn poll_connected(&self, context: &mut Context<'_>) -> Poll<Result<(), CloseReason>> {
        let mut state = self.state.lock();
        if state.handshake.is_some() {
            return Poll::Ready(Ok(()));
        }
        if let Some(reason) = &state.closed {
            return Poll::Ready(Err(reason.clone()));
        }
        watch(&mut state.watchers, context);
        Poll::Pending
    }

    /// Ready once the connection is over.
    pub(crate) fn poll_closed(&self, context: &mut Context<'_>) -> Poll<CloseReason> {
        let mut state = self.state.lock();
        if let Some(reason) = &state.closed {
            return Poll::Ready(reason.clone());
        }
        watch(&mut state.watchers, context);
        Poll::Pending
    }

    /// Opens a stream as soon as the peer's limit permits.
    pub(crate) fn poll_open(
        self: &Arc<Self>,
        context: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<Result<Opened, CloseReason>> {
        let mut state = self.state.lock();
        if let Some(reason) = &state.closed {
            return Poll::Ready(Err(reason.clone()));
        }
        let connected = state.handshake.is_some();
        let permits = &mut state.permits[index(direction)];
        if permits.opened >= permits.limit {
            // Before the handshake nothing is permitted, and that is no news to the peer.
            let ask = connected && !std::mem::replace(&mut permits.wanted, true);
            let limit = permits.limit;
            watch(&mut state.openers[index(direction)], context);
            if ask {
                state.work.wanted.push((direction, limit));
                tell(state);
            }
            return Poll::Pending;
        }
        let id = StreamId::new(self.side, direction, permits.opened);
        permits.opened += 1;
        let port = Arc::new(StreamPort::new(id, self.clone()));
        // The actor learns of it with the first thing that is done with it.
        state.work.opened.push(port.clone());
        Poll::Ready(Ok(port))
    }

    /// The next stream that the peer opened.
    pub(crate) fn poll_accept(
        &self,
        context: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<Result<Accepted, CloseReason>> {
        let mut state = self.state.lock();
        if let Some(port) = state.accepted[index(direction)].pop_front() {
            return Poll::Ready(Ok(port));
        }
        if let Some(reason) = &state.closed {
            return Poll::Ready(Err(reason.clone()));
        }
        watch(&mut state.acceptors[index(direction)], context);
        Poll::Pending
    }

    /// The next received DATAGRAM frame.
    pub(crate) fn poll_datagram(&self, context: &mut Context<'_>) -> Poll<Result<bytes::Bytes, CloseReason>> {
        let mut state = self.state.lock();
        if let Some(datagram) = state.datagrams.pop_front() {
            return Poll::Ready(Ok(datagram));
        }
        if let Some(reason) = &state.closed {
            return Poll::Ready(Err(reason.clone()));
        }
        watch(&mut state.datagram_readers, context);
        Poll::Pending
    }

    /// A stream has work. Consumed bytes alone are reported when there are enough of them.
    pub(super) fn add_work(&self, stream: Option<Arc<StreamPort>>, urgent: bool, consumed: u64) {
        let mut state = self.state.lock();
        state.work.streams.extend(stream);
        state.unreported += consumed;
        if urgent || state.unreported >= self.report_from {
            tell(state);
        }
    }

    /// What waits on a stream of which there is no handle any more is sent in this order. It must have been opened; when
    /// it is over, or too many are changed at once, nothing happens.
    #[cfg(feature = "http3")]
    pub(crate) fn set_priority(&self, id: StreamId, priority: Priority) {
        let mut state = self.state.lock();
        if state.closed.is_none() && state.work.priorities.len() < PRIORITIES {
            state.work.priorities.push((id, priority));
            tell(state);
        }
    }

    // ── The actors' side ─────────────────────────────────────────────────────────────────────────────────────────

    /// The connection's actors run: this is how they are reached.
    pub(crate) fn connect_orders(&self, orders: Orders) {
        let mut state = self.state.lock();
        let abandoned = self.handles.load(Ordering::Acquire) == 0;
        let orders = Arc::new(orders);
        state.orders = Some(orders.clone());
        let idle = state.work.streams.is_empty() && state.work.wanted.is_empty();
        let pending = !idle && !state.told;
        state.told |= pending;
        drop(state);
        if pending {
            orders.work.do_send(StreamsWork);
        }
        if abandoned {
            // Nobody waited for it to start.
            orders.connection.close_when_idle();
        }
    }

    /// Looks at what the application did. It will tell of later work again.
    pub(crate) fn take_work(&self) -> Work {
        let mut state = self.state.lock();
        state.told = false;
        state.unreported = 0;
        std::mem::take(&mut state.work)
    }

    pub(crate) fn permit(&self, direction: Direction, limit: u64) {
        let mut state = self.state.lock();
        let permits = &mut state.permits[index(direction)];
        if limit > permits.limit {
            permits.limit = limit;
            permits.wanted = false;
        }
        let wakers = std::mem::take(&mut state.openers[index(direction)]);
        drop(state);
        wake(wakers);
    }

    pub(crate) fn offer(&self, port: Accepted) {
        let direction = index(port.id().direction());
        let mut state = self.state.lock();
        state.accepted[direction].push_back(port);
        let wakers = std::mem::take(&mut state.acceptors[direction]);
        drop(state);
        wake(wakers);
    }

    /// Keeps a received datagram; the bound is the machine's, which keeps as many ([`transport::limits::DATAGRAMS`]).
    /// Says how many older ones had to go.
    pub(crate) fn offer_datagram(&self, datagram: bytes::Bytes) -> u64 {
        let mut state = self.state.lock();
        state.datagrams.push_back(datagram);
        let mut dropped = 0;
        while state.datagrams.len() > transport::limits::DATAGRAMS {
            state.datagrams.pop_front();
            dropped += 1;
        }
        let wakers = std::mem::take(&mut state.datagram_readers);
        drop(state);
        wake(wakers);
        dropped
    }

    pub(crate) fn set_handshake(&self, data: Arc<HandshakeData>) {
        let mut state = self.state.lock();
        state.handshake = Some(data);
        let wakers = std::mem::take(&mut state.watchers);
        drop(state);
        wake(wakers);
    }

    pub(crate) fn update_facts(&self, update: impl FnOnce(&mut Facts)) {
        update(&mut self.state.lock().facts);
    }

    /// The connection is over: everyone who waits is told.
    pub(crate) fn end(&self, reason: CloseReason) {
        let mut state = self.state.lock();
        if state.closed.is_some() {
            return;
        }
        state.closed = Some(reason);
        let mut wakers = std::mem::take(&mut state.watchers);
        for list in 0..2 {
            wakers.append(&mut state.openers[list]);
            wakers.append(&mut state.acceptors[list]);
        }
        wakers.append(&mut state.datagram_readers);
        drop(state);
        wake(wakers);
    }

    /// The actors are gone for good: nothing is sent to them any more.
    pub(crate) fn disconnect(&self) {
        let mut state = self.state.lock();
        let orders = state.orders.take();
        let leftovers = (self.handles.load(Ordering::Acquire) == 0).then(|| state.clear());
        drop(state);
        drop((orders, leftovers));
    }
}

/// Lets the actor look at the work, unless it is about to.
fn tell(mut state: MutexGuard<'_, State>) {
    let Some(orders) = state.orders.clone().filter(|_| !state.told) else { return };
    state.told = true;
    drop(state);
    orders.work.do_send(StreamsWork);
}

fn watch(wakers: &mut Vec<Waker>, context: &Context<'_>) {
    let waker = context.waker();
    if !wakers.iter().any(|known| known.will_wake(waker)) {
        // Mostly it is the only one, and it may wait as long as the connection lives.
        wakers.reserve_exact(1);
        wakers.push(waker.clone());
    }
}

fn wake(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake();
    }
}
