//! [`Incoming`]: the socket as a stream of batches.
//!
//! One batch is one `recvmmsg`: up to 16 buffers, each with up to 64 datagrams of one sender; one with nothing in it takes
//! a place like any other. After each batch the stream lets everybody else on the thread run.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use futures_core::Stream;
use telemetry::ShardMetrics;
use telemetry::socket::{Codepoint, Operation};
use tokio::time::{Sleep, sleep};
use transport::output::ReceivedDatagrams;

use super::io::{Received, SocketIo};
use super::messages::DatagramsReceived;
use super::send::error_label;
use super::tally::SocketTally;
use super::udp::RECEIVE_MESSAGES;
use crate::batch::{BUFFER_SIZE, ReceivePool};
use crate::clock;
use crate::credit::Credit;
use crate::meter::{Meter, Tally};

/// A buffer that is filled less than this is not lent: what is in it is copied, so that a lone datagram does not keep 64 KiB
/// from being used. It is cheaper as well (`docs/adr/0001-batch-and-credit-sizes.md`).
const COPIED_BELOW: usize = BUFFER_SIZE / 4;
/// Errors in a row after which the socket is left alone for a while.
const ERRORS_IN_A_ROW: u32 = 16;
const ERRORS_PAUSE: Duration = Duration::from_millis(10);

pub(super) struct Incoming {
    socket: Rc<RefCell<SocketIo>>,
    pool: ReceivePool,
    credit: Credit,
    meter: Rc<Meter>,
    tally: Rc<SocketTally>,
    offer: Rc<Offer>,
    /// What the last call said about the buffers.
    received: Vec<Received>,
    /// Others' turn.
    yields: bool,
    pause: Option<Pin<Box<Sleep>>>,
    errors: u32,
}

/// What the next call may fill. A shard that comes to rest takes it away.
#[derive(Debug)]
struct Offer {
    pool: ReceivePool,
    /// Whole buffers.
    buffers: RefCell<Vec<BytesMut>>,
    /// How many there should be: doubled whenever all were filled, so that a quiet endpoint does not hold a megabyte.
    size: Cell<usize>,
}

impl Offer {
    /// Makes buffers ready. There is always one, or what one connection's application does not read would stop all others.
    fn prepare(&self) {
        let mut buffers = self.buffers.borrow_mut();
        while buffers.len() < self.size.get()
            && let Some(buffer) = self.pool.take()
        {
            buffers.push(buffer);
        }
        if buffers.is_empty() {
            buffers.push(BytesMut::zeroed(BUFFER_SIZE));
        }
    }

    fn take_back(&self) {
        for buffer in self.buffers.borrow_mut().drain(..) {
            self.pool.give_back(buffer);
        }
    }
}

impl Tally for Offer {
    fn flush(&self, _: &ShardMetrics) {}

    fn give_back(&self) {
        self.size.set(1);
        self.take_back();
        self.pool.rest();
    }
}

impl Incoming {
    pub(super) fn new(
        socket: Rc<RefCell<SocketIo>>,
        pool: ReceivePool,
        credit: Credit,
        meter: Rc<Meter>,
        tally: Rc<SocketTally>,
    ) -> Self {
        let offer = Rc::new(Offer {
            pool: pool.clone(),
            buffers: RefCell::new(Vec::with_capacity(RECEIVE_MESSAGES)),
            size: Cell::new(1),
        });
        meter.add_tally(&offer);
        Self {
            socket,
            pool,
            credit,
            meter,
            tally,
            offer,
            received: Vec::with_capacity(RECEIVE_MESSAGES),
            yields: false,
            pause: None,
            errors: 0,
        }
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }

    /// Counts an error, and decides whether to go on at once. None of them ends anything: on a socket that all
    /// connections share, an error is about a datagram or about a stranger.
    fn on_error(&mut self, error: &io::Error) {
        self.meter.metrics().socket.errors[(Operation::Receive, error_label(error))].add(1);
        self.errors += 1;
        if self.errors >= ERRORS_IN_A_ROW {
            self.errors = 0;
            self.pause = Some(Box::pin(sleep(ERRORS_PAUSE)));
        }
    }

    fn batch(&mut self) -> DatagramsReceived {
        let at = clock::now();
        self.count();
        let size = &self.offer.size;
        if self.received.len() == size.get() {
            size.set((size.get() * 2).min(RECEIVE_MESSAGES));
        }
        let Self { received, offer, pool, .. } = self;
        let mut buffers = offer.buffers.borrow_mut();
        let batch = received.iter().zip(buffers.iter_mut()).map(|(received, buffer)| ReceivedDatagrams {
            remote: received.remote,
            local: received.local,
            ecn: received.ecn,
            segment_size: received.segment_size,
            buffer: cut(pool, buffer, received.length),
        });
        let batch = batch.collect();
        DatagramsReceived { at, batch }
    }

    fn count(&self) {
        let metrics = &self.meter.metrics().socket;
        let (mut datagrams, mut bytes) = (0, 0);
        for received in &self.received {
            let count = datagrams_in(received);
            datagrams += count;
            bytes += received.length as u64;
            self.tally.marked(codepoint(received), count);
        }
        self.tally.received(datagrams, bytes, &metrics.receive_batch);
    }
}

impl Stream for Incoming {
    type Item = DatagramsReceived;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<DatagramsReceived>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.yields) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            ready!(this.poll_pause(cx));
            ready!(this.credit.poll_available(cx));
            this.offer.prepare();
            let result = {
                let mut buffers = this.offer.buffers.borrow_mut();
                this.socket.borrow_mut().poll_receive(cx, &mut buffers, &mut this.received)
            };
            match ready!(result) {
                Ok(()) => {
                    this.errors = 0;
                    if let Some(latency) = this.socket.borrow_mut().take_receive_latency() {
                        this.meter.metrics().socket.receive_latency.record_time(latency);
                    }
                    this.yields = true;
                    return Poll::Ready(Some(this.batch()));
                }
                Err(error) => this.on_error(&error),
            }
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.offer.take_back();
    }
}

/// What a buffer was filled with, to travel: lent, if there is another buffer to take its place, else copied.
fn cut(pool: &ReceivePool, buffer: &mut BytesMut, length: usize) -> BytesMut {
    if length >= COPIED_BELOW
        && let Some(replacement) = pool.take()
    {
        return pool.lend(std::mem::replace(buffer, replacement), length);
    }
    BytesMut::from(&buffer[..length])
}

/// An empty datagram is one, too.
fn datagrams_in(received: &Received) -> u64 {
    received.length.div_ceil(received.segment_size.max(1)).max(1) as u64
}

fn codepoint(received: &Received) -> Codepoint {
    match received.ecn {
        None => Codepoint::NotEct,
        Some(recovery::Ecn::Ect0) => Codepoint::Ect0,
        Some(recovery::Ecn::Ect1) => Codepoint::Ect1,
        Some(recovery::Ecn::Ce) => Codepoint::Ce,
    }
}
