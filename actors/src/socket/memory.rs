//! A socket without a network: two queues in memory. Tests and simulated networks stand at the other end, the [`Wire`].
//!
//! What goes in comes out in order and unchanged; whatever else a network does, its simulation does between wires.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use nix::errno::Errno;
use parking_lot::Mutex;
use recovery::Ecn;

use super::io::{KernelCounters, Outgoing, Received, SendError};

/// Datagrams of one size on a wire, back to back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct WireDatagrams {
    /// The other end: who sent what arrives, to whom goes what is sent.
    pub(crate) remote: SocketAddr,
    /// Our address, where it is said.
    pub(crate) local: Option<IpAddr>,
    pub(crate) ecn: Option<Ecn>,
    /// Bytes of each datagram but the last.
    pub(crate) segment_size: usize,
    pub(crate) bytes: Bytes,
}

/// The socket's end.
#[derive(Debug)]
pub(crate) struct MemorySocket {
    local: SocketAddr,
    wire: Wire,
}

/// The network's end. Cloning gives another handle to the same one.
#[derive(Clone, Debug)]
pub(crate) struct Wire(Arc<Shared>);

#[derive(Debug)]
struct Shared(Mutex<State>);

#[derive(Debug)]
struct State {
    /// How many entries each queue holds.
    room: usize,
    segments: usize,
    arriving: VecDeque<WireDatagrams>,
    leaving: VecDeque<WireDatagrams>,
    drops: u64,
    receive_errors: VecDeque<Errno>,
    send_errors: VecDeque<Errno>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    network: Option<Waker>,
}

impl MemorySocket {
    /// A socket of this address, and its wire. Each queue holds so many entries: as in a kernel, what arrives beyond
    /// that is dropped and counted, and what is to leave beyond that has to wait.
    pub(crate) fn new(local: SocketAddr, room: usize) -> (Self, Wire) {
        let state = State {
            room,
            segments: 64,
            arriving: VecDeque::new(),
            leaving: VecDeque::new(),
            drops: 0,
            receive_errors: VecDeque::new(),
            send_errors: VecDeque::new(),
            reader: None,
            writer: None,
            network: None,
        };
        let wire = Wire(Arc::new(Shared(Mutex::new(state))));
        (Self { local, wire: wire.clone() }, wire)
    }

    pub(super) const fn local_address(&self) -> SocketAddr {
        self.local
    }

    pub(super) fn counters(&self) -> KernelCounters {
        let state = self.wire.0.0.lock();
        let waiting: usize = state.arriving.iter().map(|datagrams| datagrams.bytes.len()).sum();
        KernelCounters { drops: state.drops, receive_queue: waiting as u64 }
    }

    pub(super) fn segments(&self) -> usize {
        self.wire.0.0.lock().segments
    }

    pub(super) fn poll_receive(
        &self,
        cx: &Context<'_>,
        buffers: &mut [BytesMut],
        received: &mut Vec<Received>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.wire.0.0.lock();
        if let Some(error) = state.receive_errors.pop_front() {
            return Poll::Ready(Err(error.into()));
        }
        for buffer in buffers {
            let Some(datagrams) = state.arriving.pop_front() else { break };
            let length = datagrams.bytes.len().min(buffer.len());
            buffer[..length].copy_from_slice(&datagrams.bytes[..length]);
            received.push(Received {
                remote: datagrams.remote,
                local: datagrams.local,
                ecn: datagrams.ecn,
                segment_size: datagrams.segment_size,
                length,
            });
        }
        if received.is_empty() {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn send(&self, outgoing: &Outgoing<'_>) -> Result<(), SendError> {
        let mut state = self.wire.0.0.lock();
        if state.leaving.len() >= state.room {
            return Err(SendError::Blocked);
        }
        if let Some(error) = state.send_errors.pop_front() {
            return Err(match error {
                Errno::EIO | Errno::EINVAL if outgoing.datagrams() > 1 => SendError::NotSegmented(error.into()),
                Errno::EAGAIN => SendError::Blocked,
                error => SendError::Lost(error.into()),
            });
        }
        state.leaving.push_back(WireDatagrams {
            remote: outgoing.remote,
            local: outgoing.local,
            ecn: outgoing.ecn,
            segment_size: outgoing.segment_size,
            bytes: Bytes::copy_from_slice(outgoing.bytes),
        });
        wake(&mut state.network);
        Ok(())
    }

    pub(super) fn poll_writable(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.wire.0.0.lock();
        if state.leaving.len() < state.room {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Wire {
    /// Lets datagrams arrive at the socket; `false` if there was no room and they are dropped.
    pub(crate) fn deliver(&self, datagrams: WireDatagrams) -> bool {
        let mut state = self.0.0.lock();
        if state.arriving.len() >= state.room {
            let lost = datagrams.bytes.len().div_ceil(datagrams.segment_size.max(1)).max(1);
            state.drops += lost as u64;
            return false;
        }
        state.arriving.push_back(datagrams);
        wake(&mut state.reader);
        true
    }

    /// What the socket has sent, the oldest first.
    pub(crate) fn take(&self) -> Option<WireDatagrams> {
        let mut state = self.0.0.lock();
        let datagrams = state.leaving.pop_front();
        if datagrams.is_some() {
            wake(&mut state.writer);
        }
        datagrams
    }

    /// Like [`Self::take`], but waits for something to be sent.
    pub(crate) async fn sent(&self) -> WireDatagrams {
        std::future::poll_fn(|cx| {
            // First the waker, so that nothing is missed that another thread sends between the two.
            self.0.0.lock().network = Some(cx.waker().clone());
            self.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Datagrams that have arrived and were not read yet.
    pub(crate) fn waiting(&self) -> usize {
        self.0.0.lock().arriving.len()
    }

    /// The next call that receives says this.
    pub(crate) fn fail_receive(&self, error: Errno) {
        let mut state = self.0.0.lock();
        state.receive_errors.push_back(error);
        wake(&mut state.reader);
    }

    /// The next call that sends says this.
    pub(crate) fn fail_send(&self, error: Errno) {
        self.0.0.lock().send_errors.push_back(error);
    }

    /// How many datagrams may leave in one call from now on.
    pub(crate) fn set_segments(&self, segments: usize) {
        self.0.0.lock().segments = segments;
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
