//! [`SendQueue`]: batches on their way to the kernel.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use nix::errno::Errno as Code;
use telemetry::socket::{Errno, Operation};

use super::io::{Outgoing, SendError, SocketIo};
use super::messages::OutgoingBatch;
use super::tally::SocketTally;
use super::udp::errno;
use crate::batch::SendPool;
use crate::meter::Meter;

/// The most bytes that one call can send: an IPv4 packet without its headers and that of UDP.
const CALL_BYTES: usize = 65_535 - 20 - 8;
/// Calls after which others on the thread have their turn.
const CALLS: usize = 16;

/// Batches that were not sent completely yet, in order. Bounded, because each occupies a buffer of the pool.
pub(super) struct SendQueue {
    socket: Rc<RefCell<SocketIo>>,
    pool: SendPool,
    meter: Rc<Meter>,
    tally: Rc<SocketTally>,
    queue: VecDeque<Sending>,
    pub(super) waiting: Rc<Cell<Waiting>>,
}

#[derive(Debug)]
struct Sending {
    batch: OutgoingBatch,
    /// How many of its bytes are with the kernel, or lost.
    sent: usize,
    /// The kernel refused to cut it up.
    one_by_one: bool,
}

/// What sending waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Waiting {
    /// Nothing is left to send.
    Nothing,
    /// The others' turn, which has not begun yet.
    Others,
    /// The next turn.
    Turn,
    /// Room in the kernel.
    Room,
}

enum Progress {
    Done,
    Blocked,
    OutOfCalls,
}

impl SendQueue {
    pub(super) fn new(socket: Rc<RefCell<SocketIo>>, pool: SendPool, meter: Rc<Meter>, tally: Rc<SocketTally>) -> Self {
        Self { socket, pool, meter, tally, queue: VecDeque::new(), waiting: Rc::new(Cell::new(Waiting::Nothing)) }
    }

    pub(super) fn push(&mut self, batch: OutgoingBatch) {
        self.queue.push_back(Sending { batch, sent: 0, one_by_one: false });
    }

    /// Sends, unless it has to wait.
    pub(super) fn send(&mut self) {
        if self.waiting.get() == Waiting::Nothing {
            self.resume();
        }
    }

    /// Sends until all is sent, or it has to wait.
    pub(super) fn resume(&mut self) {
        let mut calls = CALLS;
        while let Some(sending) = self.queue.front_mut() {
            match sending.advance(&mut self.socket.borrow_mut(), &self.meter, &self.tally, &mut calls) {
                Progress::Done => {
                    if let Some(sending) = self.queue.pop_front() {
                        self.pool.give_back(sending.batch.buffer);
                    }
                }
                Progress::Blocked => return self.waiting.set(Waiting::Room),
                Progress::OutOfCalls => return self.waiting.set(Waiting::Others),
            }
        }
        self.waiting.set(Waiting::Nothing);
    }

    /// Drops what waits; its buffers make room in the pool.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.pool.tell_all();
    }
}

impl Sending {
    fn advance(&mut self, socket: &mut SocketIo, meter: &Meter, tally: &SocketTally, calls: &mut usize) -> Progress {
        let metrics = &meter.metrics().socket;
        let OutgoingBatch { transmit, buffer } = &self.batch;
        let bytes = &buffer[..transmit.length.min(buffer.len())];
        while self.sent < bytes.len() {
            let Some(left) = calls.checked_sub(1) else { return Progress::OutOfCalls };
            let segment_size = if transmit.segment_size == 0 { bytes.len() } else { transmit.segment_size };
            let segments = if self.one_by_one { 1 } else { socket.segments().min(CALL_BYTES / segment_size).max(1) };
            let end = (self.sent + segments * segment_size).min(bytes.len());
            let outgoing = Outgoing {
                remote: transmit.remote,
                local: transmit.local,
                ecn: transmit.ecn,
                segment_size,
                bytes: &bytes[self.sent..end],
            };
            match socket.send(&outgoing) {
                Ok(()) => {
                    tally.sent(outgoing.datagrams() as u64, outgoing.bytes.len() as u64, &metrics.send_batch);
                    self.sent = end;
                }
                Err(SendError::Blocked) => {
                    metrics.errors[(Operation::Send, Errno::Again)].add(1);
                    return Progress::Blocked;
                }
                Err(SendError::NotSegmented(error)) => {
                    metrics.errors[(Operation::Send, error_label(&error))].add(1);
                    self.one_by_one = true;
                }
                // Too large for the path, no room at the device, nobody there, a firewall: to QUIC it is all loss.
                Err(SendError::Lost(error)) => {
                    metrics.errors[(Operation::Send, error_label(&error))].add(1);
                    self.sent = end;
                }
            }
            *calls = left;
        }
        Progress::Done
    }
}

/// Tells when sending is to be resumed.
pub(super) struct Resumptions {
    pub(super) socket: Rc<RefCell<SocketIo>>,
    pub(super) waiting: Rc<Cell<Waiting>>,
}

impl Stream for Resumptions {
    type Item = ();

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        match self.waiting.get() {
            // Only a message changes that, and then this is polled.
            Waiting::Nothing => Poll::Pending,
            Waiting::Others => {
                self.waiting.set(Waiting::Turn);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Waiting::Turn => Poll::Ready(Some(())),
            // An error is the runtime's end: the stream ends, too.
            Waiting::Room => Poll::Ready(ready!(self.socket.borrow_mut().poll_writable(cx)).ok()),
        }
    }
}

/// The label of an error.
pub(super) fn error_label(error: &io::Error) -> Errno {
    match errno(error) {
        Some(Code::EAGAIN) => Errno::Again,
        Some(Code::EMSGSIZE) => Errno::MessageSize,
        Some(Code::ENOBUFS) => Errno::NoBuffers,
        Some(Code::ECONNREFUSED) => Errno::ConnectionRefused,
        Some(Code::EPERM) => Errno::NotPermitted,
        _ => Errno::Other,
    }
}
