//! The kernel's UDP socket: `recvmmsg` with GRO, `sendmsg` with GSO, ECN and packet information both ways, through
//! `quinn-udp`.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use codec::Time;
use nix::errno::Errno;
#[cfg(target_os = "linux")]
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSocketState};
use recovery::Ecn;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::busy::BusyPoll;
use super::io::{KernelBuffers, KernelCounters, Offloads, Outgoing, Received, SendError};
use super::kernel;
use crate::clock;

/// Receive buffers filled by one call, at most.
pub(crate) const RECEIVE_MESSAGES: usize = 16;
/// Bytes of control messages that a look at a datagram has room for.
#[cfg(target_os = "linux")]
const CONTROL: usize = 256;
/// One receive call in so many measures how long the kernel kept the first datagram.
pub(crate) const RECEIVE_SAMPLED: u32 = 64;
/// After so many refusals without a success between, segmentation offload is left alone …
const REFUSALS: u8 = 3;
/// … for so long. A route may have changed since.
const OFFLOAD_PAUSE: Duration = Duration::from_secs(60);

/// A bound UDP socket.
#[derive(Debug)]
pub(crate) struct BoundUdp {
    socket: UdpSocket,
    local: SocketAddr,
    granted: KernelBuffers,
    /// Whether the kernel gives each datagram to the right socket of the group.
    pub(super) reuseport_filter: bool,
}

impl BoundUdp {
    pub(super) fn new(socket: UdpSocket, granted: KernelBuffers) -> io::Result<Self> {
        let local = socket.local_addr()?;
        Ok(Self { socket, local, granted, reuseport_filter: false })
    }

    pub(super) const fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    pub(super) const fn local_address(&self) -> SocketAddr {
        self.local
    }

    pub(super) const fn kernel_buffers(&self) -> KernelBuffers {
        self.granted
    }
}

/// A UDP socket in use.
#[derive(Debug)]
pub(crate) struct UdpIo {
    /// Woken for what arrives alone: to be told of room, too, would be a wake-up for every datagram that has left.
    socket: AsyncFd<UdpSocket>,
    /// While there is no room to send: the same socket, woken for that.
    writer: Option<AsyncFd<UdpSocket>>,
    state: UdpSocketState,
    local: SocketAddr,
    granted: KernelBuffers,
    reuseport_filter: bool,
    inode: Option<u64>,
    /// Receive calls until the next that is measured.
    until_sample: u32,
    receive_latency: Option<Duration>,
    refusals: u8,
    paused_until: Option<Time>,
    busy: BusyPoll,
}

impl UdpIo {
    pub(super) fn new(bound: BoundUdp, busy_poll: Duration) -> io::Result<Self> {
        let BoundUdp { socket, local, granted, reuseport_filter } = bound;
        let state = state(&socket)?;
        let inode = kernel::inode(&socket);
        let socket = watch(socket, Interest::READABLE)?;
        Ok(Self {
            socket,
            writer: None,
            state,
            local,
            granted,
            reuseport_filter,
            inode,
            until_sample: 0,
            receive_latency: None,
            refusals: 0,
            paused_until: None,
            busy: BusyPoll::new(busy_poll),
        })
    }

    pub(super) const fn kernel_buffers(&self) -> KernelBuffers {
        self.granted
    }

    pub(super) fn offloads(&self) -> Offloads {
        Offloads {
            gso: self.segments() > 1,
            gro: self.state.gro_segments() > 1,
            ecn: true,
            packet_information: true,
            reuseport_filter: self.reuseport_filter,
        }
    }

    pub(super) fn kernel_counters(&self) -> Option<KernelCounters> {
        kernel::counters(self.local.is_ipv6(), self.inode?)
    }

    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &mut [BytesMut],
        received: &mut Vec<Received>,
    ) -> Poll<io::Result<()>> {
        let result = loop {
            if self.busy.is_on() {
                match receive(&self.state, self.socket.get_ref(), buffers, received) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        // Others first.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    result => break result,
                }
            }
            let Poll::Ready(ready) = self.socket.poll_read_ready(cx) else {
                self.busy.sleep(cx.waker());
                return Poll::Pending;
            };
            let (mut ready, socket) = (ready?, self.socket.get_ref());
            if self.until_sample == 0 {
                self.receive_latency = waited(socket).ok();
            }
            match receive(&self.state, socket, buffers, received) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Ok(()) if received.len() < buffers.len().min(RECEIVE_MESSAGES) => {
                    // The kernel had no more: asking again would only hear that. (No error can hide behind what came: an
                    // unconnected socket without IP_RECVERR reports none of the network's.)
                    ready.clear_ready();
                    break Ok(());
                }
                result => break result,
            }
        };
        self.until_sample = self.until_sample.checked_sub(1).unwrap_or(RECEIVE_SAMPLED - 1);
        self.busy.stir();
        Poll::Ready(result)
    }

    pub(super) fn take_receive_latency(&mut self) -> Option<Duration> {
        self.receive_latency.take()
    }

    pub(super) fn send(&mut self, outgoing: &Outgoing<'_>) -> Result<(), SendError> {
        let several = outgoing.datagrams() > 1;
        let transmit = Transmit {
            destination: outgoing.remote,
            ecn: outgoing.ecn.map(codepoint),
            contents: outgoing.bytes,
            segment_size: several.then_some(outgoing.segment_size),
            src_ip: outgoing.local,
        };
        match self.state.try_send(self.socket.get_ref().into(), &transmit) {
            Ok(()) => {
                self.busy.stir();
                if several {
                    self.refusals = 0;
                }
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(SendError::Blocked),
            Err(error) if matches!(errno(&error), Some(Errno::EINVAL | Errno::EIO)) => {
                self.renew();
                if !several {
                    return Err(SendError::Lost(error));
                }
                self.refusals = self.refusals.saturating_add(1);
                if self.refusals >= REFUSALS {
                    self.refusals = 0;
                    self.paused_until = Some(clock::now() + OFFLOAD_PAUSE);
                }
                Err(SendError::NotSegmented(error))
            }
            Err(error) => Err(SendError::Lost(error)),
        }
    }

    pub(super) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.writer.is_none() {
            let socket = self.socket.get_ref().try_clone()?;
            // What became of it meanwhile is told at once.
            self.writer = Some(watch(socket, Interest::WRITABLE)?);
        }
        let ready =
            self.writer.as_ref().map_or(Poll::Ready(Ok(())), |writer| writer.poll_write_ready(cx).map_ok(|_| ()));
        if ready.is_ready() {
            self.writer = None;
        }
        ready
    }

    pub(super) fn segments(&self) -> usize {
        if self.paused_until.is_some_and(|until| clock::now() < until) { 1 } else { self.state.max_gso_segments() }
    }

    /// After EINVAL or EIO, `quinn-udp` uses neither segmentation offload nor ECN on a socket any more, for good. But it
    /// may have been a matter of one destination (a smaller MTU, an address of ours that is gone), which must not slow down
    /// all others.
    fn renew(&mut self) {
        if let Ok(state) = state(self.socket.get_ref()) {
            self.state = state;
        }
    }
}

/// Registers a socket with the runtime of this thread, to be woken for this alone.
#[expect(deprecated, reason = "its worry is a descriptor that changes or is closed meanwhile; this one is owned")]
fn watch(socket: UdpSocket, interest: Interest) -> io::Result<AsyncFd<UdpSocket>> {
    AsyncFd::with_interest(socket, interest)
}

/// Switches the offloads on.
fn state<S: AsFd>(socket: &S) -> io::Result<UdpSocketState> {
    let state = UdpSocketState::new(socket.into())?;
    // `quinn-udp` 0.6.3 has room for 96 bytes of control messages. With the timestamp that it asks for, a datagram of a GRO
    // batch comes with 112 (IPv6: 120), and what does not fit is the ECN mark. The kernel goes on noting when datagrams
    // arrive, for `waited`.
    #[cfg(target_os = "linux")]
    setsockopt(socket, sockopt::ReceiveTimestampns, &false)?;
    Ok(state)
}

/// How long the next datagram has been waiting to be read.
///
/// It is looked at and left where it is. Only for this one look the socket says when it came.
#[cfg(target_os = "linux")]
fn waited<S: AsFd + AsRawFd>(socket: &S) -> io::Result<Duration> {
    setsockopt(socket, sockopt::ReceiveTimestampns, &true)?;
    let mut control = nix::cmsg_space!([u8; CONTROL]);
    let mut byte = [0];
    let mut slices = [IoSliceMut::new(&mut byte)];
    let peeked = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_PEEK);
    let arrived = peeked.map_err(io::Error::from).and_then(|message| {
        let mut messages = message.cmsgs()?;
        messages
            .find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(arrived) => Some(Duration::from(arrived)),
                _ => None,
            })
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    });
    setsockopt(socket, sockopt::ReceiveTimestampns, &false)?;
    Ok(clock::unix_time().saturating_sub(arrived?))
}

#[cfg(not(target_os = "linux"))]
fn waited<S: AsFd>(_: &S) -> io::Result<Duration> {
    Err(io::ErrorKind::Unsupported.into())
}

fn receive(
    state: &UdpSocketState,
    socket: &UdpSocket,
    buffers: &mut [BytesMut],
    received: &mut Vec<Received>,
) -> io::Result<()> {
    let mut metas = [RecvMeta::default(); RECEIVE_MESSAGES];
    let mut slices: [IoSliceMut<'_>; RECEIVE_MESSAGES] = std::array::from_fn(|_| IoSliceMut::new(&mut []));
    let count = buffers.len().min(RECEIVE_MESSAGES);
    for (slice, buffer) in slices.iter_mut().zip(buffers) {
        *slice = IoSliceMut::new(buffer);
    }
    let count = state.recv(socket.into(), &mut slices[..count], &mut metas[..count])?;
    received.extend(metas.iter().take(count).map(|meta| Received {
        remote: meta.addr,
        local: meta.dst_ip,
        ecn: meta.ecn.map(mark),
        segment_size: meta.stride,
        length: meta.len,
    }));
    Ok(())
}

pub(super) fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

const fn codepoint(ecn: Ecn) -> EcnCodepoint {
    match ecn {
        Ecn::Ect0 => EcnCodepoint::Ect0,
        Ecn::Ect1 => EcnCodepoint::Ect1,
        Ecn::Ce => EcnCodepoint::Ce,
    }
}

const fn mark(ecn: EcnCodepoint) -> Ecn {
    match ecn {
        EcnCodepoint::Ect0 => Ecn::Ect0,
        EcnCodepoint::Ect1 => Ecn::Ect1,
        EcnCodepoint::Ce => Ecn::Ce,
    }
}
