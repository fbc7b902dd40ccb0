//! `datagrams`: unreliable datagrams (RFC 9221) there and back.
//!
//! The server sends each back. As many are under way as the queues at both ends hold, so that none is lost but on the way:
//! more would only push each other out of the queue that waits for the congestion window.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quicast::{Connection, SendDatagramError};
use tokio::time::timeout;

use super::arguments::Datagrams;
use super::client::{Stage, on_shard};
use super::measure::Begun;
use super::pattern::{self, Checker, Depth};
use super::report::{Figure, Report};
use crate::echo::ended;
use crate::error::Failure;

/// The number in front of each, in bytes.
const NUMBER: usize = 8;
/// What the queues of the library hold, in datagrams and in bytes.
const QUEUE: usize = 128;
const QUEUE_BYTES: usize = 64 * 1024;

/// Carries it out.
pub(crate) async fn run(stage: &Stage, arguments: &Datagrams) -> Result<Report, Failure> {
    let most = stage.connection.max_datagram_size().unwrap_or(0);
    if most < NUMBER {
        return Err(Failure::failed("the server takes no datagrams (RFC 9221)"));
    }
    let size = arguments.size.map_or(most, usize::from);
    if size > most {
        return Err(Failure::failed(format_args!("--size {size}: at most {most} bytes fit; give a greater --mtu")));
    }
    let begun = Begun::now(stage).await;
    let (until, depth) = (begun.at() + arguments.time.seconds, stage.depth);
    let counted = on_shard(&stage.connection, move |connection| flight(connection, size, depth, until)).await?;
    let cost = begun.end(stage).await;
    let lost = counted.sent.saturating_sub(counted.returned);
    let rate = counted.returned as f64 / cost.seconds;
    let report = cost
        .report("datagrams")
        .with("size", Figure::Count(size as u64))
        .with("sent", Figure::Count(counted.sent))
        .with("returned", Figure::Count(counted.returned))
        .with("lost", Figure::Count(lost))
        .with("lost_fraction", Figure::Number(lost as f64 / counted.sent as f64))
        .with("datagrams_per_second", Figure::Number(rate))
        .with("bits_per_second", Figure::BitsPerSecond(rate * size as f64 * 8.0));
    Ok(cost.add_sides(report))
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Counted {
    sent: u64,
    returned: u64,
    /// All before this number came back or are not waited for any more.
    horizon: u64,
}

impl Counted {
    const fn under_way(&self) -> u64 {
        self.sent - self.horizon
    }

    /// This number came back: who is earlier and did not is late, or lost.
    fn came(&mut self, number: u64) -> bool {
        let was_sent = number < self.sent;
        if was_sent {
            self.returned += 1;
            self.horizon = self.horizon.max(number + 1);
        }
        was_sent
    }
}

async fn flight(connection: Connection, size: usize, depth: Depth, until: Instant) -> Result<Counted, Failure> {
    let window = (QUEUE_BYTES / size).clamp(1, QUEUE) as u64;
    let mut counted = Counted::default();
    loop {
        let over = Instant::now() >= until;
        while !over && counted.under_way() < window {
            send(&connection, counted.sent, size)?;
            counted.sent += 1;
        }
        if over && counted.under_way() == 0 {
            return Ok(counted);
        }
        let patience = (connection.rtt() * 4).max(Duration::from_millis(200));
        let Ok(arrived) = timeout(patience, connection.read_datagram()).await else {
            counted.horizon = counted.sent;
            continue;
        };
        let arrived = arrived.map_err(|reason| ended(&reason))?;
        let is_right = number_of(&arrived, size, depth).is_some_and(|number| counted.came(number));
        if !is_right {
            return Err(Failure::failed("a datagram came back that is not as it was sent; is it a perf server?"));
        }
    }
}

fn send(connection: &Connection, number: u64, size: usize) -> Result<(), Failure> {
    connection.send_datagram(datagram(number, size)).map_err(|error| match (&error, connection.close_reason()) {
        (SendDatagramError::Closed, Some(reason)) => ended(&reason),
        (SendDatagramError::TooLarge { maximum }, _) => {
            Failure::failed(format_args!("the path has become narrower: at most {maximum} bytes fit; give --size"))
        }
        _ => Failure::failed(error),
    })
}

/// Its number, and the pattern from there on.
fn datagram(number: u64, size: usize) -> Bytes {
    let mut datagram = BytesMut::with_capacity(size);
    datagram.extend_from_slice(&number.to_be_bytes());
    datagram.extend_from_slice(&pattern::piece(number, (size - NUMBER) as u64));
    datagram.freeze()
}

/// The number of a datagram that is as it was sent.
fn number_of(datagram: &[u8], size: usize, depth: Depth) -> Option<u64> {
    let (number, payload) = datagram.split_first_chunk::<NUMBER>()?;
    let number = u64::from_be_bytes(*number);
    let as_sent = datagram.len() == size && Checker::at(depth, number).add(payload).is_ok();
    as_sent.then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_recognized_and_a_damaged_one_is_not() {
        for number in [0, 1, 250, 70_000] {
            assert_eq!(number_of(&datagram(number, 1200), 1200, Depth::Everything), Some(number));
            assert_eq!(number_of(&datagram(number, 8), 8, Depth::Ends), Some(number));
        }
        let mut damaged = datagram(5, 1200).to_vec();
        damaged[600] ^= 1;
        assert_eq!(number_of(&damaged, 1200, Depth::Everything), None);
        assert_eq!(number_of(&damaged, 1200, Depth::Ends), Some(5));
        assert_eq!(number_of(&datagram(5, 100), 1200, Depth::Ends), None);
        assert_eq!(number_of(b"short", 5, Depth::Ends), None);
    }

    #[test]
    fn what_is_overtaken_is_not_waited_for_and_counts_if_it_comes_all_the_same() {
        let mut counted = Counted { sent: 10, ..Counted::default() };
        assert!(counted.came(0) && counted.came(4));
        assert_eq!((counted.under_way(), counted.returned), (5, 2));
        assert!(counted.came(2) && !counted.came(10));
        assert_eq!((counted.under_way(), counted.returned), (5, 3));
    }
}
