//! The server: seals and sends as fast as it has credit.

use std::net::SocketAddr;

use common::Failure;
use quinn_udp::Transmit;

use crate::packet::{Keys, OVERHEAD};
use crate::{BATCHES_UNDER_WAY, Message, Socket, is_nothing};

/// The most that one UDP datagram of IPv4 holds, which bounds what one call may carry.
const CALL: usize = 65_507;

/// After so many waits for nothing the receiver is gone.
const WAITS: u32 = 100;

/// Serves one receiver after another.
pub(crate) fn serve(socket: &Socket) -> Result<(), Failure> {
    let mut buffer = [0; 64];
    loop {
        match socket.udp.recv_from(&mut buffer) {
            Ok((length, receiver)) => {
                if let Some(Message::Start(size)) = Message::decode(&buffer[..length]) {
                    send(socket, receiver, usize::try_from(size)?.clamp(2 * OVERHEAD, CALL))?;
                }
            }
            Err(error) if is_nothing(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// How many datagrams of this size go into one call.
pub(crate) fn datagrams_per_call(socket: &Socket, size: usize) -> usize {
    (CALL / size).min(socket.state.max_gso_segments()).max(1)
}

fn send(socket: &Socket, receiver: SocketAddr, size: usize) -> Result<(), Failure> {
    let keys = Keys::new()?;
    let batch = datagrams_per_call(socket, size);
    let mut buffer = vec![0; batch * size];
    let (mut next, mut waits) = (0_u32, 0);
    let mut credit = batch as u64 * BATCHES_UNDER_WAY;
    loop {
        while u64::from(next) + batch as u64 <= credit {
            for datagram in buffer.chunks_exact_mut(size) {
                keys.seal(next, datagram)?;
                next += 1;
            }
            let transmit = Transmit {
                destination: receiver,
                ecn: None,
                contents: &buffer,
                segment_size: Some(size),
                src_ip: None,
            };
            socket.state.try_send((&socket.udp).into(), &transmit)?;
        }
        let mut message = [0; 64];
        match socket.udp.recv_from(&mut message) {
            Ok((length, _)) => match Message::decode(&message[..length]) {
                Some(Message::Credit(packets)) => (credit, waits) = (credit.max(packets), 0),
                Some(Message::Stop) => return Ok(()),
                Some(Message::Start(_)) | None => {}
            },
            Err(error) if is_nothing(&error) => {
                // A whole flight or its credit was lost: another batch makes the receiver speak.
                (credit, waits) = (u64::from(next) + batch as u64, waits + 1);
                if waits > WAITS {
                    return Ok(());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}
