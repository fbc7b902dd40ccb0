//! The client: receives, opens, counts, and gives credit.

use std::io::IoSliceMut;

use common::{Failure, Stopwatch};
use quinn_udp::RecvMeta;
use serde_json::{Value, json};

use crate::packet::Keys;
use crate::sender::datagrams_per_call;
use crate::{BATCHES_UNDER_WAY, Message, Socket, is_nothing};

/// After so many waits for nothing the sender is gone.
const WAITS: u32 = 100;

/// Receives at least so many bytes of payload, and says how it went.
pub(crate) fn run(socket: &Socket, bytes: u64, mtu: u16) -> Result<Value, Failure> {
    let keys = Keys::new()?;
    let batch = datagrams_per_call(socket, usize::from(mtu)) as u64;
    let mut buffer = vec![0; 1 << 16];
    let stopwatch = Stopwatch::new();
    socket.udp.send(&Message::Start(mtu.into()).encode())?;
    let (mut payload, mut packets, mut seen, mut said, mut waits) = (0_u64, 0_u64, 0_u64, 0_u64, 0);
    while payload < bytes {
        let mut meta = [RecvMeta::default()];
        let received = socket.state.recv((&socket.udp).into(), &mut [IoSliceMut::new(&mut buffer)], &mut meta);
        match received {
            Ok(_) => waits = 0,
            Err(error) if is_nothing(&error) && waits < WAITS => {
                waits += 1;
                if packets == 0 {
                    socket.udp.send(&Message::Start(mtu.into()).encode())?;
                }
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        for datagram in buffer[..meta[0].len].chunks_mut(meta[0].stride.max(1)) {
            let (number, length) = keys.open(datagram)?;
            seen = seen.max(u64::from(number) + 1);
            packets += 1;
            payload += length as u64;
        }
        if seen >= said + 2 * batch {
            said = seen;
            socket.udp.send(&Message::Credit(seen + BATCHES_UNDER_WAY * batch).encode())?;
        }
    }
    let outcome = json!({ "streams": 1, "bytes": payload, "lost_packets": seen.saturating_sub(packets) });
    let outcome = stopwatch.stop("bulk", &outcome);
    socket.udp.send(&Message::Stop.encode())?;
    Ok(outcome)
}
