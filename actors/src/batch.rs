//! The buffers that datagrams arrive in and leave in: two bounded pools a shard.
//!
//! Both hand out in the order in which buffers came back. A receive buffer comes back by itself, when the last slice of
//! it is dropped, on whatever thread that happens; the pool finds out by asking the oldest first, which is the likeliest
//! to be free. (A pool that asked the newest first was measured to grow to 24,000 buffers.) A send buffer is given back by
//! the socket when the kernel has its bytes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::Recipient;
use bytes::BytesMut;
use telemetry::actor::{ActorType, Edge};
use telemetry::connection::Buffer;
use telemetry::socket::BufferState;
use telemetry::{ShardMetrics, Share};

use crate::meter::{Meter, Tally};
use crate::socket::messages::BuffersFreed;

/// Bytes of a buffer: the most that one GSO send or GRO read moves.
pub(crate) const BUFFER_SIZE: usize = 65_536;
/// Receive buffers of a shard, at most. See `docs/adr/0001-batch-and-credit-sizes.md` for this and the next.
pub(crate) const RECEIVE_BUFFERS: usize = 256;
/// Send buffers of a shard, at most.
pub(crate) const SEND_BUFFERS: usize = 64;

/// Buffers that a shard on which nothing happens keeps, each way: what a lone request needs.
const KEPT: usize = 1;
/// How many buffers that are still in use are asked before a new one is made, or none is given.
const ASKED: usize = 4;

/// Buffers to receive into. Cloning gives another handle to the same pool.
#[derive(Clone, Debug)]
pub(crate) struct ReceivePool(Rc<ReceiveBuffers>);

#[derive(Debug)]
struct ReceiveBuffers {
    bound: usize,
    /// Buffers that were never lent or were given back, whole.
    free: RefCell<VecDeque<BytesMut>>,
    /// What is left of buffers whose filled part was lent: each keeps its allocation, and becomes whole when it is alone.
    lent: RefCell<VecDeque<BytesMut>>,
    made: Cell<usize>,
    free_share: Share,
    used_share: Share,
}

impl ReceivePool {
    /// An empty pool that will make at most so many buffers.
    pub(crate) fn new(meter: &Meter, bound: usize) -> Self {
        let levels = &meter.metrics().socket.buffers;
        let pool = Rc::new(ReceiveBuffers {
            bound,
            free: RefCell::default(),
            lent: RefCell::default(),
            made: Cell::new(0),
            free_share: levels[BufferState::Free].share(),
            used_share: levels[BufferState::Used].share(),
        });
        meter.add_tally(&pool);
        Self(pool)
    }

    /// A buffer of [`BUFFER_SIZE`] bytes whose content means nothing; `None` if all there may be are in use.
    pub(crate) fn take(&self) -> Option<BytesMut> {
        let pool = &*self.0;
        pool.free.borrow_mut().pop_front().or_else(|| self.reclaim()).or_else(|| self.make())
    }

    /// Takes back a buffer that was not lent.
    pub(crate) fn give_back(&self, buffer: BytesMut) {
        debug_assert_eq!(buffer.len(), BUFFER_SIZE, "only whole buffers are given back");
        self.0.free.borrow_mut().push_back(buffer);
    }

    /// Cuts off the filled part of a buffer, to travel. The buffer is used again when all of that part is dropped.
    pub(crate) fn lend(&self, mut buffer: BytesMut, filled: usize) -> BytesMut {
        let part = buffer.split_to(filled.min(buffer.len()));
        buffer.clear();
        self.0.lent.borrow_mut().push_back(buffer);
        part
    }

    /// Nothing happens: one buffer is enough.
    pub(crate) fn rest(&self) {
        self.0.rest();
    }

    fn reclaim(&self) -> Option<BytesMut> {
        let mut lent = self.0.lent.borrow_mut();
        for _ in 0..ASKED.min(lent.len()) {
            let mut buffer = lent.pop_front()?;
            if buffer.try_reclaim(BUFFER_SIZE) {
                // Costs as much as clearing the part that was filled; the kernel's copy then finds the lines in the cache.
                buffer.resize(BUFFER_SIZE, 0);
                return Some(buffer);
            }
            lent.push_back(buffer);
        }
        None
    }

    fn make(&self) -> Option<BytesMut> {
        let made = self.0.made.get();
        (made < self.0.bound).then(|| {
            self.0.made.set(made + 1);
            BytesMut::zeroed(BUFFER_SIZE)
        })
    }
}

impl Tally for ReceiveBuffers {
    fn give_back(&self) {
        self.rest();
    }

    fn flush(&self, _: &ShardMetrics) {
        // Lent buffers count as used until they are found to be free again.
        let free = self.free.borrow().len() + (self.bound - self.made.get());
        self.free_share.set(free as u64);
        self.used_share.set((self.bound - free.min(self.bound)) as u64);
    }
}

impl ReceiveBuffers {
    /// See [`ReceivePool::rest`].
    fn rest(&self) {
        let (mut free, mut lent) = (self.free.borrow_mut(), self.lent.borrow_mut());
        let before = free.len() + lent.len();
        // Reclaiming one that nobody reads any more costs nothing, and those that somebody reads go on counting.
        lent.retain_mut(|buffer| !buffer.try_reclaim(BUFFER_SIZE));
        free.truncate(KEPT);
        self.made.set(self.made.get().saturating_sub(before - free.len() - lent.len()));
        lent.shrink_to_fit();
        free.shrink_to_fit();
    }
}

/// A buffer of [`BUFFER_SIZE`] bytes to put datagrams into, back to back.
///
/// It is as many bytes long as it is large, always; what of it is to be sent is said beside it. A buffer that is dropped
/// instead of given back makes room for a new one, so that an actor that goes down does not shrink the pool.
pub(crate) struct SendBuffer {
    bytes: Vec<u8>,
    /// How many buffers of its pool there are. Counted on any thread, because messages carry buffers.
    existing: Arc<AtomicUsize>,
}

impl SendBuffer {
    /// A buffer of no pool.
    #[cfg(test)]
    pub(crate) fn detached() -> Self {
        Self::counted(&Arc::new(AtomicUsize::new(0)))
    }

    fn counted(existing: &Arc<AtomicUsize>) -> Self {
        existing.fetch_add(1, Ordering::Relaxed);
        Self { bytes: vec![0; BUFFER_SIZE], existing: Arc::clone(existing) }
    }
}

impl Drop for SendBuffer {
    fn drop(&mut self) {
        self.existing.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deref for SendBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for SendBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl fmt::Debug for SendBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendBuffer").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// Buffers to send from: the credit of connections with the socket. Cloning gives another handle to the same pool.
#[derive(Clone, Debug)]
pub(crate) struct SendPool(Rc<SendBuffers>);

#[derive(Debug)]
struct SendBuffers {
    meter: Rc<Meter>,
    bound: usize,
    free: RefCell<VecDeque<SendBuffer>>,
    existing: Arc<AtomicUsize>,
    waiting: RefCell<VecDeque<Recipient<BuffersFreed>>>,
    /// The credit that the meter knows of.
    reported: Cell<u32>,
    used_share: Share,
}

impl SendPool {
    /// An empty pool that will make at most so many buffers.
    pub(crate) fn new(meter: &Rc<Meter>, bound: usize) -> Self {
        let pool = Self(Rc::new(SendBuffers {
            meter: Rc::clone(meter),
            bound,
            free: RefCell::default(),
            existing: Arc::default(),
            waiting: RefCell::default(),
            reported: Cell::new(0),
            used_share: meter.metrics().connection.buffered[Buffer::PacketPool].share(),
        }));
        meter.add_tally(&pool.0);
        pool.count();
        pool
    }

    /// A buffer whose content means nothing; `None`, which is counted, if all there may be are in use.
    pub(crate) fn take(&self) -> Option<SendBuffer> {
        let pool = &*self.0;
        let make = || (pool.existing.load(Ordering::Relaxed) < pool.bound).then(|| SendBuffer::counted(&pool.existing));
        let buffer = pool.free.borrow_mut().pop_front().or_else(make);
        if buffer.is_none() {
            pool.meter.edge_full(Edge::ConnectionSocket);
        }
        self.count();
        buffer
    }

    /// Takes a buffer back. Whoever has waited longest is told.
    pub(crate) fn give_back(&self, buffer: SendBuffer) {
        let pool = &*self.0;
        let all_home = {
            let mut free = pool.free.borrow_mut();
            free.push_back(buffer);
            free.len() == pool.existing.load(Ordering::Relaxed)
        };
        self.count();
        if all_home {
            // Nothing will come back any more: whoever was told and did not take one must not keep the others waiting.
            self.tell_all();
        } else {
            self.tell_one();
        }
    }

    /// Tells the recipient once, when a buffer is back.
    ///
    /// Call it after [`Self::take`] found none, and not again before being told.
    pub(crate) fn wait(&self, recipient: Recipient<BuffersFreed>) {
        self.0.waiting.borrow_mut().push_back(recipient);
    }

    /// Tells all who wait: after an actor that held buffers went down, nobody may be left to give one back.
    pub(crate) fn tell_all(&self) {
        while self.tell_one() {}
    }

    fn tell_one(&self) -> bool {
        loop {
            let Some(recipient) = self.0.waiting.borrow_mut().pop_front() else { return false };
            if recipient.connected() {
                recipient.do_send(BuffersFreed);
                self.0.meter.sent(ActorType::Connection);
                return true;
            }
        }
    }

    fn count(&self) {
        let pool = &*self.0;
        let used = pool.existing.load(Ordering::Relaxed).saturating_sub(pool.free.borrow().len());
        let free = u32::try_from(pool.bound.saturating_sub(used)).unwrap_or(u32::MAX);
        let before = pool.reported.replace(free);
        if free > before {
            pool.meter.credit_freed(Edge::ConnectionSocket, free - before);
        } else if free < before {
            pool.meter.credit_taken(Edge::ConnectionSocket, before - free);
        }
    }
}

impl Tally for SendBuffers {
    fn give_back(&self) {
        let mut free = self.free.borrow_mut();
        free.truncate(KEPT);
        free.shrink_to_fit();
    }

    fn flush(&self, _: &ShardMetrics) {
        let free = self.free.borrow();
        let used = self.existing.load(Ordering::Relaxed).saturating_sub(free.len());
        self.used_share.set((used * BUFFER_SIZE) as u64);
    }
}

impl Drop for SendBuffers {
    fn drop(&mut self) {
        self.meter.credit_taken(Edge::ConnectionSocket, self.reported.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    #[test]
    fn a_receive_buffer_is_used_again_when_its_last_slice_is_dropped() {
        let meter = Meter::for_tests();
        let pool = ReceivePool::new(&meter, 1);
        let mut buffer = pool.take().unwrap();
        buffer[..5].copy_from_slice(b"hello");
        let allocation = buffer.as_ptr();
        let mut part = pool.lend(buffer, 5);
        let kept = part.split_to(2).freeze().slice(1..);
        drop(part);
        assert!(pool.take().is_none(), "a slice of the only buffer is still held");
        assert_eq!(&kept[..], b"e");
        let elsewhere = std::thread::spawn(move || drop(kept));
        elsewhere.join().unwrap();
        let again = pool.take().unwrap();
        assert_eq!((again.as_ptr(), again.len()), (allocation, BUFFER_SIZE));
    }

    #[test]
    fn a_receive_pool_grows_only_while_its_buffers_are_held_and_never_beyond_its_bound() {
        let meter = Meter::for_tests();
        let pool = ReceivePool::new(&meter, 8);
        for _ in 0..100 {
            drop(pool.lend(pool.take().unwrap(), BUFFER_SIZE));
        }
        assert_eq!(pool.0.made.get(), 1);
        let held: Vec<_> = std::iter::from_fn(|| Some(pool.lend(pool.take()?, 1_000))).collect();
        assert_eq!(held.len(), 8);
        assert_eq!(meter.value("quicast_socket_buffers{state=\"used\"}"), 8.0);
        assert_eq!(meter.value("quicast_socket_buffers{state=\"free\"}"), 0.0);
        drop(held);
        assert!(pool.take().is_some());
    }

    #[test]
    fn receive_buffers_come_back_first_in_first_out() {
        let meter = Meter::for_tests();
        let pool = ReceivePool::new(&meter, 2);
        let (first, second) = (pool.take().unwrap(), pool.take().unwrap());
        let allocations = [first.as_ptr(), second.as_ptr()];
        pool.give_back(first);
        pool.give_back(second);
        assert_eq!(pool.take().map(|buffer| buffer.as_ptr()), Some(allocations[0]));
        assert_eq!(pool.take().map(|buffer| buffer.as_ptr()), Some(allocations[1]));
    }

    #[test]
    fn pools_give_back_what_a_quiet_shard_does_not_need() {
        let meter = Meter::for_tests();
        let (receive, send) = (ReceivePool::new(&meter, 16), SendPool::new(&meter, 16));
        let taken: Vec<_> = std::iter::from_fn(|| receive.take()).collect();
        let mut held = None;
        for (index, buffer) in taken.into_iter().enumerate() {
            match index {
                0 => held = Some(receive.lend(buffer, 10)),
                1..4 => drop(receive.lend(buffer, 10)),
                _ => receive.give_back(buffer),
            }
        }
        let taken: Vec<_> = std::iter::from_fn(|| send.take()).collect();
        taken.into_iter().for_each(|buffer| send.give_back(buffer));
        meter.give_back();
        assert_eq!((receive.0.free.borrow().len(), send.0.free.borrow().len()), (KEPT, KEPT));
        assert_eq!(receive.0.made.get(), KEPT + 1, "the one that somebody reads is still there");
        assert_eq!(meter.value("quicast_socket_buffers{state=\"used\"}"), 1.0);
        drop(held);
        let again: Vec<_> = std::iter::from_fn(|| receive.take()).collect();
        assert_eq!(again.len(), 16);
        let again: Vec<_> = std::iter::from_fn(|| send.take()).collect();
        assert_eq!(again.len(), 16);
    }

    #[test]
    fn a_send_pool_is_bounded_and_says_so() {
        let meter = Meter::for_tests();
        let pool = SendPool::new(&meter, 2);
        let (first, second) = (pool.take().unwrap(), pool.take().unwrap());
        assert_eq!(first.len(), BUFFER_SIZE);
        assert!(pool.take().is_none());
        assert_eq!(meter.value("quicast_edge_full_total{edge=\"connection_socket\"}"), 1.0);
        assert_eq!(meter.value("quicast_edge_credit{edge=\"connection_socket\"}"), 0.0);
        assert_eq!(meter.value("quicast_connection_buffered_bytes{buffer=\"packet_pool\"}"), 131_072.0);
        pool.give_back(first);
        assert_eq!(meter.value("quicast_edge_credit{edge=\"connection_socket\"}"), 1.0);
        drop(second);
        assert!(pool.take().is_some() && pool.take().is_some(), "a buffer that was dropped makes room for a new one");
        drop(pool);
        assert_eq!(meter.value("quicast_edge_credit{edge=\"connection_socket\"}"), 0.0);
    }

    #[test]
    fn who_finds_the_send_pool_empty_is_told_once_in_the_order_of_waiting() {
        crate::recorder::paused(async {
            let meter = Meter::for_tests();
            let pool = SendPool::new(&meter, 2);
            let mut recorders = [Recorder::start(), Recorder::start()];
            let (first, second) = (pool.take().unwrap(), pool.take().unwrap());
            for recorder in &recorders {
                pool.wait(recorder.recipient());
            }
            pool.give_back(first);
            recorders[0].next().await;
            assert_eq!(recorders[1].all().await.len(), 0);
            let first = pool.take().unwrap();
            pool.give_back(second);
            recorders[1].next().await;
            pool.give_back(first);
            assert_eq!((recorders[0].all().await.len(), recorders[1].all().await.len()), (0, 0));
        });
    }

    #[test]
    fn nobody_is_left_waiting_when_all_send_buffers_are_home() {
        crate::recorder::paused(async {
            let meter = Meter::for_tests();
            let pool = SendPool::new(&meter, 1);
            let mut recorders = [Recorder::start(), Recorder::start()];
            let only = pool.take().unwrap();
            for recorder in &recorders {
                pool.wait(recorder.recipient());
            }
            pool.give_back(only);
            recorders[0].next().await;
            recorders[1].next().await;
        });
    }
}
