//! [`Meter`]: how a shard's actors count themselves without paying for it.
//!
//! A message costs a few plain additions here; what they add up to goes to the metric handles at [`Meter::flush`], four
//! times a second while anything happens. The timer actor does that: the first thing counted after a quiet time wakes it.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use codec::Time;
use telemetry::actor::{ActorType, Edge, StopReason};
use telemetry::connection::Buffer;
use telemetry::{Label, ShardMetrics, Share};
use transport::stream::buffers::BufferCounters;

use crate::clock;

/// One message in so many is timed.
const SAMPLED: u64 = 64;
const ACTORS: usize = ActorType::NAMES.len();
const EDGES: usize = Edge::NAMES.len();

/// A shard's counters. Shared by its actors; given to them at construction.
#[derive(Debug)]
pub(crate) struct Meter {
    metrics: Rc<ShardMetrics>,
    actors: [ActorCells; ACTORS],
    edges: [EdgeCells; EDGES],
    buffered_receive: Buffered,
    buffered_send: Buffered,
    tallies: RefCell<Vec<Weak<dyn Tally>>>,
    attention: Cell<Attention>,
    /// Counts everything that is counted, to see whether anything was.
    activity: Cell<u64>,
    flushed_activity: Cell<u64>,
    waker: RefCell<Option<Waker>>,
    #[cfg(test)]
    registry: Option<telemetry::Registry>,
}

/// What somebody on the shard counts in plain numbers of its own.
pub(crate) trait Tally: Debug {
    /// Adds what was counted since the last time to the metrics.
    fn flush(&self, metrics: &ShardMetrics);

    /// Nothing has happened on the shard for a while: memory that only traffic needs may go.
    fn give_back(&self) {}
}

/// When the handling of a message began that is being timed. Give it to [`Meter::done`].
#[derive(Clone, Copy, Debug)]
#[must_use = "the handling has an end, too"]
pub(crate) struct Started(Time);

#[derive(Debug)]
struct ActorCells {
    live: Cell<u64>,
    enqueued: Cell<u64>,
    handled: Cell<u64>,
    reported_enqueued: Cell<u64>,
    reported_handled: Cell<u64>,
    peak: Cell<u64>,
    /// The number of the message whose waiting is being timed, and since when.
    waiting: Cell<Option<(u64, Time)>>,
    live_share: Share,
    mailbox_share: Share,
}

#[derive(Debug)]
struct EdgeCells {
    free: Cell<u64>,
    full: Cell<u64>,
    share: Share,
}

#[derive(Debug)]
struct Buffered {
    /// Adds up differences that may be negative, so it wraps around on the way.
    bytes: Cell<u64>,
    share: Share,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Attention {
    /// Nothing was counted since the last flush, and nobody looks.
    Quiet,
    /// Something was; nobody has noticed yet.
    Stirred,
    /// Flushes are planned.
    Watched,
}

impl Meter {
    pub(crate) fn new(metrics: Rc<ShardMetrics>) -> Rc<Self> {
        Rc::new(Self::over(metrics))
    }

    fn over(metrics: Rc<ShardMetrics>) -> Self {
        let actor = |actor: &ActorType| ActorCells {
            live: Cell::new(0),
            enqueued: Cell::new(0),
            handled: Cell::new(0),
            reported_enqueued: Cell::new(0),
            reported_handled: Cell::new(0),
            peak: Cell::new(0),
            waiting: Cell::new(None),
            live_share: metrics.actor.live[*actor].share(),
            mailbox_share: metrics.actor.mailbox_messages[*actor].share(),
        };
        let edge = |edge: &Edge| EdgeCells {
            free: Cell::new(0),
            full: Cell::new(0),
            share: metrics.actor.edge_credit[*edge].share(),
        };
        let buffered = |buffer| Buffered { bytes: Cell::new(0), share: metrics.connection.buffered[buffer].share() };
        Self {
            actors: std::array::from_fn(|index| actor(&ActorType::ALL[index])),
            edges: std::array::from_fn(|index| edge(&Edge::ALL[index])),
            buffered_receive: buffered(Buffer::StreamReceive),
            buffered_send: buffered(Buffer::StreamSend),
            tallies: RefCell::default(),
            attention: Cell::new(Attention::Quiet),
            activity: Cell::new(0),
            flushed_activity: Cell::new(0),
            waker: RefCell::new(None),
            #[cfg(test)]
            registry: None,
            metrics,
        }
    }

    /// The handles of the shard, for what is counted by its own name.
    pub(crate) fn metrics(&self) -> &ShardMetrics {
        &self.metrics
    }

    /// From now on this is flushed, too, as long as its owner keeps it, whenever anything is counted here.
    pub(crate) fn add_tally<T: Tally + 'static>(&self, tally: &Rc<T>) {
        let tally: Weak<T> = Rc::downgrade(tally);
        self.tallies.borrow_mut().push(tally);
    }

    /// An actor was started.
    pub(crate) fn started(&self, actor: ActorType) {
        let cells = &self.actors[actor.index()];
        cells.live.set(cells.live.get() + 1);
        cells.live_share.set(cells.live.get());
        self.metrics.actor.starts[actor].add(1);
        self.touch();
    }

    /// An actor has stopped.
    pub(crate) fn stopped(&self, actor: ActorType, reason: StopReason) {
        let cells = &self.actors[actor.index()];
        cells.live.set(cells.live.get().saturating_sub(1));
        cells.live_share.set(cells.live.get());
        if cells.live.get() == 0 {
            cells.flush(&self.metrics, actor);
            cells.settle();
        }
        self.metrics.actor.stops[(actor, reason)].add(1);
        self.touch();
    }

    /// A message was put into the mailbox of an actor of this shard.
    pub(crate) fn sent(&self, to: ActorType) {
        let cells = &self.actors[to.index()];
        let number = cells.enqueued.get() + 1;
        cells.enqueued.set(number);
        cells.peak.set(cells.peak.get().max(number - cells.handled.get()));
        if number.is_multiple_of(SAMPLED) && cells.waiting.get().is_none() {
            cells.waiting.set(Some((number, clock::now())));
        }
        self.touch();
    }

    /// A handler begins. Whoever calls it calls [`Self::done`] at the handler's end.
    ///
    /// A message that nobody announced, because it came from another thread, counts as sent now.
    pub(crate) fn handled(&self, actor: ActorType) -> Option<Started> {
        let cells = &self.actors[actor.index()];
        let number = cells.handled.get() + 1;
        cells.handled.set(number);
        cells.enqueued.set(cells.enqueued.get().max(number));
        self.touch();
        // Which of the mailboxes of a type the numbered message is in is not known: the waiting time is that of the type's
        // messages as if they stood in one queue.
        if let Some((_, since)) = cells.waiting.get().filter(|(waiting, _)| number >= *waiting) {
            cells.waiting.set(None);
            self.metrics.actor.mailbox_wait[actor].record_time(clock::now() - since);
        }
        number.is_multiple_of(SAMPLED).then(|| Started(clock::now()))
    }

    /// A handler ends.
    pub(crate) fn done(&self, actor: ActorType, started: Option<Started>) {
        if let Some(Started(at)) = started {
            self.metrics.actor.handle_duration[actor].record_time(clock::now() - at);
        }
    }

    /// Bytes in stream buffers became more or fewer: the differences of the two gauges, wrapping where they fall.
    pub(crate) fn buffers(&self, changes: &BufferCounters) {
        self.buffered_receive.change(changes.buffered_receive);
        self.buffered_send.change(changes.buffered_send);
        self.touch();
    }

    /// Credit of an edge was granted or given back.
    pub(crate) fn credit_freed(&self, edge: Edge, count: u32) {
        let free = &self.edges[edge.index()].free;
        free.set(free.get() + u64::from(count));
        self.touch();
    }

    /// Credit of an edge was spent, or its owner is gone.
    pub(crate) fn credit_taken(&self, edge: Edge, count: u32) {
        let free = &self.edges[edge.index()].free;
        free.set(free.get().saturating_sub(u64::from(count)));
        self.touch();
    }

    /// A sender had no credit.
    pub(crate) fn edge_full(&self, edge: Edge) {
        let full = &self.edges[edge.index()].full;
        full.set(full.get() + 1);
        self.touch();
    }

    /// Senders had no credit so many times, counted where there is no meter.
    pub(crate) fn edges_full(&self, edge: Edge, times: u64) {
        if times > 0 {
            let full = &self.edges[edge.index()].full;
            full.set(full.get() + times);
            self.touch();
        }
    }

    /// Adds everything counted since the last time to the handles.
    ///
    /// Returns whether anything was counted at all. If nothing was, the mailboxes are empty: what still seems to wait went
    /// down with an actor that stopped.
    pub(crate) fn flush(&self) -> bool {
        let begun = clock::now();
        let active = self.activity.get() != self.flushed_activity.get();
        for (cells, actor) in self.actors.iter().zip(ActorType::ALL) {
            cells.flush(&self.metrics, *actor);
            if !active {
                cells.settle();
            }
        }
        for (cells, edge) in self.edges.iter().zip(Edge::ALL) {
            cells.share.set(cells.free.get());
            self.metrics.actor.edge_full[*edge].add(cells.full.take());
        }
        self.buffered_receive.flush();
        self.buffered_send.flush();
        self.each_tally(|tally| tally.flush(&self.metrics));
        self.flushed_activity.set(self.activity.get());
        if active {
            self.metrics.runtime.flush_duration.record_time(clock::now() - begun);
        }
        active
    }

    /// Nothing has happened for a while: whoever keeps memory for traffic gives it back.
    pub(crate) fn give_back(&self) {
        self.each_tally(|tally| {
            tally.give_back();
            tally.flush(&self.metrics);
        });
    }

    fn each_tally(&self, then: impl Fn(&dyn Tally)) {
        self.tallies.borrow_mut().retain(|tally| {
            let tally = tally.upgrade();
            if let Some(tally) = &tally {
                then(&**tally);
            }
            tally.is_some()
        });
    }

    /// Ready when something is counted after [`Self::rest`]; from then on somebody else has to plan the flushes.
    pub(crate) fn poll_stirred(&self, cx: &Context<'_>) -> Poll<()> {
        if self.attention.get() == Attention::Stirred {
            self.attention.set(Attention::Watched);
            return Poll::Ready(());
        }
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// No more flushes are planned.
    pub(crate) fn rest(&self) {
        self.attention.set(Attention::Quiet);
    }

    fn touch(&self) {
        self.activity.set(self.activity.get().wrapping_add(1));
        if self.attention.get() == Attention::Quiet {
            self.attention.set(Attention::Stirred);
            if let Some(waker) = self.waker.borrow().as_ref() {
                waker.wake_by_ref();
            }
        }
    }
}

/// The bytes that one keeper of streams holds, as far as it told. With the keeper they are gone, however it ends.
#[derive(Debug)]
pub(crate) struct BufferShare {
    meter: Rc<Meter>,
    receive: u64,
    send: u64,
}

impl BufferShare {
    pub(crate) const fn new(meter: Rc<Meter>) -> Self {
        Self { meter, receive: 0, send: 0 }
    }

    /// Where it is counted.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The same, to keep.
    pub(crate) fn shared_meter(&self) -> Rc<Meter> {
        Rc::clone(&self.meter)
    }

    /// As [`Meter::buffers`].
    pub(crate) fn change(&mut self, changes: &BufferCounters) {
        self.receive = self.receive.wrapping_add(changes.buffered_receive);
        self.send = self.send.wrapping_add(changes.buffered_send);
        self.meter.buffers(changes);
    }
}

impl Drop for BufferShare {
    fn drop(&mut self) {
        self.meter.buffers(&BufferCounters {
            buffered_receive: self.receive.wrapping_neg(),
            buffered_send: self.send.wrapping_neg(),
            ..BufferCounters::default()
        });
    }
}

impl ActorCells {
    fn flush(&self, metrics: &ShardMetrics, actor: ActorType) {
        let (enqueued, handled) = (self.enqueued.get(), self.handled.get());
        metrics.actor.messages_enqueued[actor].add(enqueued - self.reported_enqueued.replace(enqueued));
        metrics.actor.messages_handled[actor].add(handled - self.reported_handled.replace(handled));
        self.mailbox_share.set(enqueued - handled);
        let peak = self.peak.replace(enqueued - handled);
        if peak > 0 {
            metrics.actor.mailbox_high_watermark[actor].observe(peak);
        }
    }

    /// Nothing waits: what was counted as waiting is gone.
    fn settle(&self) {
        // The counters stay true (enqueued and never handled), only the backlog is forgotten.
        let lost = self.enqueued.get() - self.handled.get();
        self.enqueued.set(self.enqueued.get() - lost);
        self.reported_enqueued.set(self.reported_enqueued.get().saturating_sub(lost));
        self.mailbox_share.set(0);
        self.peak.set(0);
        self.waiting.set(None);
    }
}

impl Buffered {
    fn change(&self, difference: u64) {
        self.bytes.set(self.bytes.get().wrapping_add(difference));
    }

    fn flush(&self) {
        // Below zero only while the halves of a move from one actor to another are under way.
        let bytes = self.bytes.get();
        self.share.set(if bytes > u64::MAX / 2 { 0 } else { bytes });
    }
}

#[cfg(test)]
impl Meter {
    /// A meter with a registry of its own.
    pub(crate) fn for_tests() -> Rc<Self> {
        let registry = telemetry::Registry::new(&telemetry::Setup { shards: 1, ..telemetry::Setup::default() });
        let metrics = Rc::new(ShardMetrics::new(&registry, 0));
        Rc::new(Self { registry: Some(registry), ..Self::over(metrics) })
    }

    /// Flushes, and looks up a series by its name and labels as the exposition writes them.
    pub(crate) fn value(&self, series: &str) -> f64 {
        self.flush();
        self.flushed_value(series)
    }

    /// Likewise, as it was flushed last.
    pub(crate) fn flushed_value(&self, series: &str) -> f64 {
        let text = self.registry.as_ref().map(telemetry::Registry::render).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no series {series}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_is_what_was_sent_and_not_handled() {
        let meter = Meter::for_tests();
        for _ in 0..3 {
            meter.sent(ActorType::Timer);
        }
        meter.done(ActorType::Timer, meter.handled(ActorType::Timer));
        assert_eq!(meter.value("quicast_actor_mailbox_messages{actor=\"timer\"}"), 2.0);
        assert_eq!(meter.value("quicast_actor_messages_enqueued_total{actor=\"timer\"}"), 3.0);
        assert_eq!(meter.value("quicast_actor_messages_handled_total{actor=\"timer\"}"), 1.0);
    }

    #[test]
    fn a_message_from_another_thread_is_counted_when_it_is_handled() {
        let meter = Meter::for_tests();
        meter.done(ActorType::Stream, meter.handled(ActorType::Stream));
        assert_eq!(meter.value("quicast_actor_messages_enqueued_total{actor=\"stream\"}"), 1.0);
        assert_eq!(meter.value("quicast_actor_mailbox_messages{actor=\"stream\"}"), 0.0);
    }

    #[test]
    fn messages_that_went_down_with_their_actor_do_not_wait_forever() {
        let meter = Meter::for_tests();
        meter.started(ActorType::Pacer);
        meter.sent(ActorType::Pacer);
        assert_eq!(meter.value("quicast_actor_mailbox_messages{actor=\"pacer\"}"), 1.0);
        meter.stopped(ActorType::Pacer, StopReason::Panic);
        assert_eq!(meter.value("quicast_actor_mailbox_messages{actor=\"pacer\"}"), 0.0);
        assert_eq!(meter.value("quicast_actors{actor=\"pacer\"}"), 0.0);
        assert_eq!(meter.value("quicast_actor_stops_total{actor=\"pacer\",reason=\"panic\"}"), 1.0);
        meter.sent(ActorType::Pacer);
        assert_eq!(meter.value("quicast_actor_messages_enqueued_total{actor=\"pacer\"}"), 2.0);
    }

    #[test]
    fn one_message_in_sixty_four_is_timed() {
        let meter = Meter::for_tests();
        for _ in 0..128 {
            meter.sent(ActorType::Socket);
            meter.done(ActorType::Socket, meter.handled(ActorType::Socket));
        }
        assert_eq!(meter.value("quicast_actor_handle_duration_seconds_count{actor=\"socket\"}"), 2.0);
        assert_eq!(meter.value("quicast_actor_mailbox_wait_seconds_count{actor=\"socket\"}"), 2.0);
    }

    #[test]
    fn buffered_bytes_rise_and_fall() {
        let meter = Meter::for_tests();
        let more = BufferCounters { buffered_receive: 100, buffered_send: 7, ..BufferCounters::default() };
        meter.buffers(&more);
        let fewer = BufferCounters { buffered_receive: 60_u64.wrapping_neg(), ..BufferCounters::default() };
        meter.buffers(&fewer);
        assert_eq!(meter.value("quicast_connection_buffered_bytes{buffer=\"stream_receive\"}"), 40.0);
        assert_eq!(meter.value("quicast_connection_buffered_bytes{buffer=\"stream_send\"}"), 7.0);
    }

    #[test]
    fn what_a_keeper_held_is_gone_with_it() {
        let meter = Meter::for_tests();
        let mut share = BufferShare::new(Rc::clone(&meter));
        share.change(&BufferCounters { buffered_receive: 100, buffered_send: 7, ..BufferCounters::default() });
        share.change(&BufferCounters { buffered_receive: 60_u64.wrapping_neg(), ..BufferCounters::default() });
        assert_eq!(meter.value("quicast_connection_buffered_bytes{buffer=\"stream_receive\"}"), 40.0);
        drop(share);
        assert_eq!(meter.value("quicast_connection_buffered_bytes{buffer=\"stream_receive\"}"), 0.0);
        assert_eq!(meter.value("quicast_connection_buffered_bytes{buffer=\"stream_send\"}"), 0.0);
    }

    #[test]
    fn the_first_thing_counted_after_a_rest_is_noticed() {
        let meter = Meter::for_tests();
        let cx = Context::from_waker(Waker::noop());
        assert!(meter.poll_stirred(&cx).is_pending());
        meter.sent(ActorType::Timer);
        assert!(meter.poll_stirred(&cx).is_ready());
        meter.sent(ActorType::Timer);
        assert!(meter.poll_stirred(&cx).is_pending(), "somebody watches already");
        assert!(meter.flush());
        assert!(!meter.flush());
        meter.rest();
        assert!(meter.poll_stirred(&cx).is_pending());
        meter.sent(ActorType::Timer);
        assert!(meter.poll_stirred(&cx).is_ready());
    }
}
