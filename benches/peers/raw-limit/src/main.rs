//! What the machine can do at best: protected datagrams over loopback, and nothing that makes them a protocol.
//!
//! One side seals packets of a QUIC short header back to back and sends 64 KB of them in one call (UDP_SEGMENT); the other
//! receives them together (UDP_GRO) and opens each in place. There are no frames, no recovery and no congestion control:
//! only a credit message now and then, so that the receiver's socket does not overflow. What is lost stays lost.

mod packet;
mod receiver;
mod sender;

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use common::{Command, Direction, Failure, Workload, outcome, unsupported};
use quinn_udp::UdpSocketState;

/// How many batches may be under way: enough for both sides to work at the same time, little enough to stay in the cache.
const BATCHES_UNDER_WAY: u64 = 8;

/// How long one waits for the other before something must have been lost.
const PATIENCE: Duration = Duration::from_millis(20);

fn main() -> std::process::ExitCode {
    common::drive(|command| match command {
        Command::Server(server) => {
            let socket = Socket::bind(server.listen)?;
            common::announce(socket.udp.local_addr()?)?;
            sender::serve(&socket)
        }
        Command::Client(client) => {
            let Workload::Bulk { streams: 1, bytes, direction: Direction::Down, connections: 1 } = client.workload
            else {
                return unsupported("raw-limit", "anything but bulk, down, on one stream");
            };
            let any = if client.server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = Socket::bind(any.parse()?)?;
            socket.udp.connect(client.server)?;
            outcome::print(&receiver::run(&socket, bytes, client.mtu)?)
        }
    })
}

/// A socket with segmentation and coalescing.
struct Socket {
    udp: UdpSocket,
    state: UdpSocketState,
}

impl Socket {
    fn bind(address: SocketAddr) -> Result<Self, Failure> {
        let udp = UdpSocket::bind(address)?;
        // The system gives what it permits; the credit is far below it.
        socket2::SockRef::from(&udp).set_recv_buffer_size(4 << 20)?;
        let state = UdpSocketState::new((&udp).into())?;
        // A side without anything to do sleeps in the call.
        udp.set_nonblocking(false)?;
        udp.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { udp, state })
    }
}

/// Whether a call ended without anything to report.
fn is_nothing(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
}

/// What the receiver tells the sender.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Message {
    /// Begin, with datagrams of this size.
    Start(u64),
    /// Packets below this number may be sent.
    Credit(u64),
    /// It is enough.
    Stop,
}

impl Message {
    fn encode(self) -> [u8; 9] {
        let (kind, number) = match self {
            Self::Start(size) => (0, size),
            Self::Credit(packets) => (1, packets),
            Self::Stop => (2, 0),
        };
        let mut bytes = [kind; 9];
        bytes[1..].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, number) = bytes.split_first()?;
        let number = u64::from_be_bytes(number.try_into().ok()?);
        match kind {
            0 => Some(Self::Start(number)),
            1 => Some(Self::Credit(number)),
            2 => Some(Self::Stop),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_were() {
        for message in [Message::Start(1452), Message::Credit(u64::MAX), Message::Stop] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        assert_eq!(Message::decode(&[9; 9]), None);
        assert_eq!(Message::decode(b"short"), None);
    }
}
