//! [`SocketTally`]: what the socket counts at each call, added to the metrics at each flush of the meter.

use std::cell::Cell;

use telemetry::handle::Histogram;
use telemetry::socket::Codepoint;
use telemetry::{Label, ShardMetrics};

use crate::meter::Tally;

/// Batches of up to so many datagrams are counted here; larger ones are rare enough to be recorded one by one.
const SMALL_BATCH: usize = 64;

/// Plain numbers: an atomic operation for each of them at each call would be a tenth of what a lone request costs.
#[derive(Debug)]
pub(super) struct SocketTally {
    receive: Direction,
    send: Direction,
    marks: [Cell<u64>; Codepoint::NAMES.len()],
}

#[derive(Debug)]
pub(super) struct Direction {
    calls: Cell<u64>,
    datagrams: Cell<u64>,
    bytes: Cell<u64>,
    /// Calls by how many datagrams they moved.
    batches: [Cell<u32>; SMALL_BATCH + 1],
}

impl SocketTally {
    pub(super) fn new() -> Self {
        Self { receive: Direction::new(), send: Direction::new(), marks: Default::default() }
    }

    /// One call read so much.
    pub(super) fn received(&self, datagrams: u64, bytes: u64, batch: &Histogram) {
        self.receive.add(datagrams, bytes, batch);
    }

    /// One call sent so much.
    pub(super) fn sent(&self, datagrams: u64, bytes: u64, batch: &Histogram) {
        self.send.add(datagrams, bytes, batch);
    }

    /// So many datagrams arrived with this mark.
    pub(super) fn marked(&self, mark: Codepoint, datagrams: u64) {
        let count = &self.marks[mark.index()];
        count.set(count.get() + datagrams);
    }
}

impl Direction {
    fn new() -> Self {
        Self {
            calls: Cell::default(),
            datagrams: Cell::default(),
            bytes: Cell::default(),
            batches: std::array::from_fn(|_| Cell::default()),
        }
    }

    fn add(&self, datagrams: u64, bytes: u64, batch: &Histogram) {
        self.calls.set(self.calls.get() + 1);
        self.datagrams.set(self.datagrams.get() + datagrams);
        self.bytes.set(self.bytes.get() + bytes);
        match usize::try_from(datagrams).ok().and_then(|size| self.batches.get(size)) {
            Some(count) => count.set(count.get().saturating_add(1)),
            None => batch.record_size(datagrams),
        }
    }

    fn flush_batches(&self, batch: &Histogram) {
        for (size, count) in self.batches.iter().enumerate() {
            batch.record_many(size as f64, u64::from(count.take()));
        }
    }
}

impl Tally for SocketTally {
    fn flush(&self, metrics: &ShardMetrics) {
        let socket = &metrics.socket;
        socket.receive_calls.add(self.receive.calls.take());
        socket.received_datagrams.add(self.receive.datagrams.take());
        socket.received_bytes.add(self.receive.bytes.take());
        self.receive.flush_batches(&socket.receive_batch);
        socket.send_calls.add(self.send.calls.take());
        socket.sent_datagrams.add(self.send.datagrams.take());
        socket.sent_bytes.add(self.send.bytes.take());
        self.send.flush_batches(&socket.send_batch);
        for (mark, count) in Codepoint::ALL.iter().zip(&self.marks) {
            socket.ecn_received[*mark].add(count.take());
        }
    }
}
