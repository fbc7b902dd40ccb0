//! Binding: one UDP socket a shard, all on one port, each getting the datagrams of its shard's connections.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::io::{BoundSocket, KernelBuffers};
use super::udp::BoundUdp;

/// Bytes asked of the kernel for each direction of a socket: what a burst at 10 Gbit/s needs to survive 5 ms without a reader.
pub(crate) const KERNEL_BUFFER: usize = 7 << 20;

/// Binds a socket for each shard, in the order of the shards.
///
/// Port 0 takes a free one, the same for all. The unspecified IPv6 address hears IPv4 as well.
///
/// # Errors
///
/// What the kernel says, above all that the port is in use: also when it is in use by another process that would share it.
pub(crate) fn bind(mut address: SocketAddr, shards: usize, wanted: usize) -> io::Result<Vec<BoundSocket>> {
    if shards <= 1 {
        let socket = bind_one(address, false, wanted)?;
        warn_of_small_buffers(socket.kernel_buffers());
        return Ok(vec![BoundSocket::Udp(socket)]);
    }
    // Whoever runs under the same user may share a port, and would be given a part of the datagrams: a second server on
    // the same port by mistake must fail, not break both. So the port is first taken for a moment alone.
    drop(socket(address, false)?);
    let mut sockets = Vec::with_capacity(shards);
    for _ in 0..shards {
        let socket = bind_one(address, true, wanted)?;
        address = socket.local_address();
        sockets.push(socket);
    }
    if let Some(socket) = sockets.first() {
        warn_of_small_buffers(socket.kernel_buffers());
    }
    // One program serves the whole group; without it, the kernel spreads by address and the dispatchers forward.
    let steered = sockets.last().is_some_and(|socket| steer(socket.socket(), shards).is_ok());
    for socket in &mut sockets {
        socket.reuseport_filter = steered;
    }
    Ok(sockets.into_iter().map(BoundSocket::Udp).collect())
}

/// Uses a socket that somebody else has bound.
pub(crate) fn adopt(socket: UdpSocket, wanted: usize) -> io::Result<BoundSocket> {
    Ok(BoundSocket::Udp(prepare(socket, wanted)?))
}

fn bind_one(address: SocketAddr, share_port: bool, wanted: usize) -> io::Result<BoundUdp> {
    prepare(socket(address, share_port)?, wanted)
}

fn socket(address: SocketAddr, share_port: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    if share_port {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn prepare(socket: UdpSocket, wanted: usize) -> io::Result<BoundUdp> {
    socket.set_nonblocking(true)?;
    let granted = enlarge(&socket, wanted)?;
    BoundUdp::new(socket, granted)
}

/// Asks for large buffers: with the privilege to exceed the system's bound, if we have it, else up to that bound.
fn enlarge(socket: &UdpSocket, wanted: usize) -> io::Result<KernelBuffers> {
    let reference = SockRef::from(socket);
    if !force(socket, wanted) {
        // Refused or cut: what counts is what is granted, which is read below.
        reference.set_recv_buffer_size(wanted).or_else(ignore)?;
        reference.set_send_buffer_size(wanted).or_else(ignore)?;
    }
    let (receive, send) = (reference.recv_buffer_size()?, reference.send_buffer_size()?);
    Ok(KernelBuffers { wanted, receive: receive / RESERVED, send: send / RESERVED })
}

fn warn_of_small_buffers(granted: KernelBuffers) {
    let KernelBuffers { wanted, receive, send } = granted;
    if receive < wanted || send < wanted {
        tracing::warn!(
            wanted,
            receive,
            send,
            "the kernel grants smaller socket buffers than are good for fast transfers; \
             raise net.core.rmem_max and net.core.wmem_max"
        );
    }
}

fn ignore(_: io::Error) -> io::Result<()> {
    Ok(())
}

/// Linux reserves and reports the double of what it grants.
const RESERVED: usize = if cfg!(target_os = "linux") { 2 } else { 1 };

#[cfg(target_os = "linux")]
fn force(socket: &UdpSocket, wanted: usize) -> bool {
    use nix::sys::socket::{setsockopt, sockopt};
    setsockopt(socket, sockopt::RcvBufForce, &wanted).is_ok()
        && setsockopt(socket, sockopt::SndBufForce, &wanted).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn force(_: &UdpSocket, _: usize) -> bool {
    false
}

/// Gives each datagram to the socket of the shard that its destination connection id names: the id's first byte modulo the
/// number of shards, as `transport::router::shard_of` says. What is too short goes to the first.
///
/// The program sees the datagram from the first byte of the UDP payload. A client's first id is random, so new
/// connections spread over all shards.
#[cfg(target_os = "linux")]
fn steer(socket: &UdpSocket, shards: usize) -> io::Result<()> {
    use nix::libc::{
        BPF_A, BPF_ABS, BPF_ALU, BPF_B, BPF_JA, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_MOD, BPF_RET, sock_filter,
        sock_fprog,
    };
    use nix::sys::socket::{setsockopt, sockopt};

    /// The header form bit, RFC 8999 §5.1.
    const LONG_HEADER: u32 = 0x80;
    /// After the first byte, the version and the length of the id (RFC 8999 §5.1).
    const LONG_DESTINATION: u32 = 6;
    /// After the first byte (RFC 8999 §5.2).
    const SHORT_DESTINATION: u32 = 1;

    let step = |code: u32, jump_if: u8, jump_else: u8, value: u32| sock_filter {
        code: code as u16,
        jt: jump_if,
        jf: jump_else,
        k: value,
    };
    let modulus = u32::try_from(shards).unwrap_or(u32::MAX);
    let mut program = [
        step(BPF_LD | BPF_B | BPF_ABS, 0, 0, 0),
        step(BPF_JMP | BPF_JSET | BPF_K, 0, 2, LONG_HEADER),
        step(BPF_LD | BPF_B | BPF_ABS, 0, 0, LONG_DESTINATION),
        step(BPF_JMP | BPF_JA, 0, 0, 1),
        step(BPF_LD | BPF_B | BPF_ABS, 0, 0, SHORT_DESTINATION),
        step(BPF_ALU | BPF_MOD | BPF_K, 0, 0, modulus),
        step(BPF_RET | BPF_A, 0, 0, 0),
    ];
    let length = program.len() as u16;
    setsockopt(socket, sockopt::AttachReusePortCbpf, &sock_fprog { len: length, filter: program.as_mut_ptr() })?;
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn steer(_: &UdpSocket, _: usize) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    const LOCALHOST: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

    fn udp(socket: &BoundSocket) -> &UdpSocket {
        match socket {
            BoundSocket::Udp(udp) => udp.socket(),
            BoundSocket::Memory(_) => panic!("not bound by us"),
        }
    }

    #[test]
    fn each_datagram_goes_to_the_shard_that_its_destination_id_names() {
        const SHARDS: usize = 3;
        let sockets = bind(LOCALHOST.into(), SHARDS, KERNEL_BUFFER).unwrap();
        let sender = UdpSocket::bind(LOCALHOST).unwrap();
        let ports: Vec<_> = sockets.iter().map(BoundSocket::local_address).collect();
        assert!(ports.windows(2).all(|pair| pair[0] == pair[1]));
        for first in 0..=255_u8 {
            let long = [0xc0, 0, 0, 0, 1, 8, first, 9, 9, 9];
            let short = [0x40, first, 9, 9, 9, 9, 9];
            for datagram in [&long[..], &short[..]] {
                sender.send_to(datagram, ports[0]).unwrap();
                let socket = udp(&sockets[usize::from(first) % SHARDS]);
                socket.set_nonblocking(false).unwrap();
                socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let mut buffer = [0; 16];
                let (length, _) = socket.recv_from(&mut buffer).expect("a datagram at this shard");
                assert_eq!(&buffer[..length], datagram);
            }
        }
        sender.send_to(&[], ports[0]).unwrap();
        sender.send_to(&[0xc0], ports[0]).unwrap();
        let socket = udp(&sockets[0]);
        assert_eq!(socket.recv_from(&mut [0; 16]).unwrap().0, 0);
        assert_eq!(socket.recv_from(&mut [0; 16]).unwrap().0, 1);
    }

    #[test]
    fn a_port_that_others_share_is_not_taken() {
        let first = bind(LOCALHOST.into(), 2, KERNEL_BUFFER).unwrap();
        let again = bind(first[0].local_address(), 2, KERNEL_BUFFER);
        assert_eq!(again.map_err(|error| error.kind()).unwrap_err(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn granted_buffers_can_be_read() {
        let sockets = bind(LOCALHOST.into(), 1, 100_000).unwrap();
        let BoundSocket::Udp(socket) = &sockets[0] else { panic!("not bound by us") };
        assert_eq!(socket.kernel_buffers(), KernelBuffers { wanted: 100_000, receive: 100_000, send: 100_000 });
    }
}
