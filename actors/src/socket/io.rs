//! [`SocketIo`]: what the socket actor reads from and writes to: a UDP socket, or a piece of memory in its place.
//!
//! Everything here is one system call at a time. What to do about its result is the actor's.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use recovery::Ecn;

#[cfg(test)]
use super::memory::MemorySocket;
use super::udp::{BoundUdp, UdpIo};

/// A socket that has its address already but is not used yet. It may go to another thread.
#[derive(Debug)]
pub(crate) enum BoundSocket {
    /// The kernel's.
    Udp(BoundUdp),
    /// A simulated one.
    #[cfg(test)]
    Memory(MemorySocket),
}

impl BoundSocket {
    /// The address that it is bound to.
    pub(crate) fn local_address(&self) -> SocketAddr {
        match self {
            Self::Udp(udp) => udp.local_address(),
            #[cfg(test)]
            Self::Memory(memory) => memory.local_address(),
        }
    }
}

/// What the kernel has granted to a socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct KernelBuffers {
    /// Bytes asked for, each way.
    pub(crate) wanted: usize,
    /// Bytes of datagrams that may wait to be read. The kernel reserves the double, for its own book-keeping.
    pub(crate) receive: usize,
    /// Bytes of datagrams that may wait to be sent, likewise.
    pub(crate) send: usize,
}

/// What the kernel has counted about a socket.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct KernelCounters {
    /// Datagrams dropped since it was bound, for lack of room.
    pub(crate) drops: u64,
    /// Bytes that wait to be read.
    pub(crate) receive_queue: u64,
}

/// Which of the kernel's offers are in use.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Offloads {
    pub(crate) gso: bool,
    pub(crate) gro: bool,
    pub(crate) ecn: bool,
    pub(crate) packet_information: bool,
    pub(crate) reuseport_filter: bool,
}

/// What is said about a filled receive buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) remote: SocketAddr,
    pub(crate) local: Option<IpAddr>,
    pub(crate) ecn: Option<Ecn>,
    /// Bytes of each datagram but the last.
    pub(crate) segment_size: usize,
    pub(crate) length: usize,
}

/// One call's worth of datagrams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) remote: SocketAddr,
    pub(crate) local: Option<IpAddr>,
    pub(crate) ecn: Option<Ecn>,
    pub(crate) segment_size: usize,
    pub(crate) bytes: &'a [u8],
}

impl Outgoing<'_> {
    /// How many datagrams it is. An empty one is one, too.
    pub(crate) const fn datagrams(&self) -> usize {
        if self.segment_size == 0 || self.bytes.len() <= self.segment_size {
            return 1;
        }
        self.bytes.len().div_ceil(self.segment_size)
    }
}

/// Why datagrams did not leave.
#[derive(Debug)]
pub(crate) enum SendError {
    /// There is no room: try again when the socket is writable.
    Blocked,
    /// Not several at once: send them one by one.
    NotSegmented(io::Error),
    /// They are lost.
    Lost(io::Error),
}

/// A socket in use, on the thread that uses it.
#[derive(Debug)]
pub(crate) enum SocketIo {
    /// The kernel's.
    Udp(Box<UdpIo>),
    /// A simulated one.
    #[cfg(test)]
    Memory(MemorySocket),
}

impl SocketIo {
    /// Registers the socket with the runtime of this thread.
    ///
    /// `busy_poll`: how long after the last datagram it is looked for more without sleeping.
    pub(crate) fn new(bound: BoundSocket, busy_poll: Duration) -> io::Result<Self> {
        Ok(match bound {
            BoundSocket::Udp(udp) => Self::Udp(Box::new(UdpIo::new(udp, busy_poll)?)),
            #[cfg(test)]
            BoundSocket::Memory(memory) => Self::Memory(memory),
        })
    }

    /// What the kernel has granted; nothing for a simulated one.
    pub(crate) fn kernel_buffers(&self) -> Option<KernelBuffers> {
        match self {
            Self::Udp(udp) => Some(udp.kernel_buffers()),
            #[cfg(test)]
            Self::Memory(_) => None,
        }
    }

    pub(crate) fn offloads(&self) -> Offloads {
        match self {
            Self::Udp(udp) => udp.offloads(),
            #[cfg(test)]
            Self::Memory(_) => {
                Offloads { gso: true, gro: true, ecn: true, packet_information: true, reuseport_filter: false }
            }
        }
    }

    /// What the kernel counted; costs a look through `/proc/net/udp`.
    pub(crate) fn kernel_counters(&self) -> Option<KernelCounters> {
        match self {
            Self::Udp(udp) => udp.kernel_counters(),
            #[cfg(test)]
            Self::Memory(memory) => Some(memory.counters()),
        }
    }

    /// Fills buffers, the first ones first, and says what is in each; at least one unless it is an error.
    ///
    /// `received` has as many places as there are buffers.
    pub(crate) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &mut [BytesMut],
        received: &mut Vec<Received>,
    ) -> Poll<io::Result<()>> {
        received.clear();
        match self {
            Self::Udp(udp) => udp.poll_receive(cx, buffers, received),
            #[cfg(test)]
            Self::Memory(memory) => memory.poll_receive(cx, buffers, received),
        }
    }

    /// How long the first datagram of the last call had waited in the kernel, if that was measured: on one call in
    /// [`RECEIVE_SAMPLED`](super::udp::RECEIVE_SAMPLED). It is said once.
    pub(crate) fn take_receive_latency(&mut self) -> Option<Duration> {
        match self {
            Self::Udp(udp) => udp.take_receive_latency(),
            #[cfg(test)]
            Self::Memory(_) => None,
        }
    }

    /// Sends datagrams: all of them or none.
    pub(crate) fn send(&mut self, outgoing: &Outgoing<'_>) -> Result<(), SendError> {
        if outgoing.remote.port() == 0 {
            // Who sends from port 0 cannot be answered. The kernel says EINVAL, as it does where segmentation offload is
            // not possible, and a stranger must not be able to make us believe that.
            return Err(SendError::Lost(io::Error::from(nix::errno::Errno::EINVAL)));
        }
        match self {
            Self::Udp(udp) => udp.send(outgoing),
            #[cfg(test)]
            Self::Memory(memory) => memory.send(outgoing),
        }
    }

    /// Ready when sending may work again after [`SendError::Blocked`].
    pub(crate) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Udp(udp) => udp.poll_writable(cx),
            #[cfg(test)]
            Self::Memory(memory) => memory.poll_writable(cx),
        }
    }

    /// How many datagrams may leave in one call.
    pub(crate) fn segments(&self) -> usize {
        match self {
            Self::Udp(udp) => udp.segments(),
            #[cfg(test)]
            Self::Memory(memory) => memory.segments(),
        }
    }
}
