//! Bytes as unreliable datagrams (RFC 9221), there and back.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use quicast::{Connection, SendDatagramError};
use tokio::time::timeout;

use super::pattern::Pattern;
use super::report::Datagrams;
use crate::error::Failure;

/// How many may be on their way: more would drop each other in the queue that waits for the congestion window.
const WINDOW: usize = 16;
/// The number in front of each, in bytes.
const NUMBER: usize = 8;

/// Sends about `bytes` bytes and counts what comes back right.
///
/// # Errors
/// The server takes no datagrams, one came back wrong, or the connection ended.
pub(crate) async fn run(connection: &Connection, bytes: u64) -> Result<(Datagrams, u64), Failure> {
    let size = connection
        .max_datagram_size()
        .filter(|size| *size > NUMBER)
        .ok_or_else(|| Failure::failed("the server takes no datagrams (RFC 9221); leave out --datagrams"))?;
    let count = bytes.div_ceil(size as u64).max(1);
    let mut flight = Flight { connection, size, waiting: BTreeSet::new(), counted: Datagrams::default() };
    for number in 0..count {
        while flight.waiting.len() >= WINDOW {
            flight.receive().await?;
        }
        flight.send(number)?;
    }
    while !flight.waiting.is_empty() {
        flight.receive().await?;
    }
    let Datagrams { sent, returned } = flight.counted;
    if returned == 0 {
        return Err(Failure::failed(format_args!("none of {sent} datagrams came back; is it an echo server?")));
    }
    Ok((flight.counted, size as u64))
}

struct Flight<'a> {
    connection: &'a Connection,
    size: usize,
    waiting: BTreeSet<u64>,
    counted: Datagrams,
}

impl Flight<'_> {
    fn send(&mut self, number: u64) -> Result<(), Failure> {
        // The path may have become narrower meanwhile.
        let size = self.size.min(self.connection.max_datagram_size().unwrap_or(self.size)).max(NUMBER);
        match self.connection.send_datagram(datagram(number, size)) {
            Ok(()) => {
                self.waiting.insert(number);
                self.counted.sent += 1;
                Ok(())
            }
            Err(SendDatagramError::Closed) => match self.connection.close_reason() {
                Some(reason) => Err(super::ended(&reason)),
                None => Err(Failure::failed(SendDatagramError::Closed)),
            },
            Err(error) => Err(Failure::failed(error)),
        }
    }

    /// The next that comes back; all that wait are lost if nothing comes for a while.
    async fn receive(&mut self) -> Result<(), Failure> {
        let patience = (self.connection.rtt() * 4).max(Duration::from_millis(500));
        let Ok(arrived) = timeout(patience, self.connection.read_datagram()).await else {
            self.waiting.clear();
            return Ok(());
        };
        let arrived = arrived.map_err(|reason| super::ended(&reason))?;
        let number = check(&arrived).ok_or_else(|| Failure::failed("a datagram came back wrong"))?;
        if self.waiting.remove(&number) {
            self.counted.returned += 1;
        }
        Ok(())
    }
}

fn datagram(number: u64, size: usize) -> Bytes {
    let mut datagram = BytesMut::with_capacity(size);
    datagram.extend_from_slice(&number.to_be_bytes());
    datagram.extend_from_slice(&Pattern::new(number).chunk(0, size - NUMBER));
    datagram.freeze()
}

fn check(datagram: &[u8]) -> Option<u64> {
    let (number, rest) = datagram.split_first_chunk::<NUMBER>()?;
    let number = u64::from_be_bytes(*number);
    // A chunk ends where the block does: such a datagram is shorter, not wrong.
    Pattern::new(number).check(0, rest).ok().map(|()| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_recognized_and_a_damaged_one_is_not() {
        for number in [0, 1, 70_000] {
            assert_eq!(check(&datagram(number, 1200)), Some(number));
        }
        let mut damaged = datagram(5, 1200).to_vec();
        damaged[600] ^= 1;
        assert_eq!(check(&damaged), None);
        assert_eq!(check(b"short"), None);
    }
}
