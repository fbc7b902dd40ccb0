//! DATAGRAM frames (RFC 9221): two bounded queues.

use std::collections::VecDeque;

use bytes::Bytes;
use codec::cursor::Writer;
use codec::frame::{Datagram, Frame};

use crate::lazy::Untouched;
use crate::limits;
use crate::token::{Token, Tokens};

/// Why a datagram was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SendDatagramError {
    /// The peer does not accept DATAGRAM frames (RFC 9221 §3).
    Unsupported,
    /// It does not fit in a packet, or is larger than the peer permits; this many bytes would.
    TooLarge(usize),
}

impl std::fmt::Display for SendDatagramError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsupported => f.write_str("the peer does not accept datagrams (RFC 9221 section 3)"),
            Self::TooLarge(maximum) => write!(f, "the datagram is too large: at most {maximum} bytes fit"),
        }
    }
}

impl std::error::Error for SendDatagramError {}

/// What waits to be sent, and what waits to be read.
#[derive(Debug, Default)]
pub(crate) struct Datagrams {
    outgoing: Queue,
    incoming: Queue,
}

impl Untouched for Datagrams {
    const VALUE: &'static Self = &Self { outgoing: Queue::EMPTY, incoming: Queue::EMPTY };
}

/// First in, first out; when full, the oldest goes: a late datagram is worth least.
#[derive(Debug, Default)]
struct Queue {
    queue: VecDeque<Bytes>,
    bytes: usize,
}

impl Queue {
    const EMPTY: Self = Self { queue: VecDeque::new(), bytes: 0 };

    /// Adds one and says how many had to go for it.
    fn push(&mut self, data: Bytes) -> u64 {
        let mut dropped = 0;
        self.bytes += data.len();
        self.queue.push_back(data);
        while self.queue.len() > limits::DATAGRAMS || self.bytes > limits::DATAGRAM_BYTES && self.queue.len() > 1 {
            if self.pop().is_some() {
                dropped += 1;
            }
        }
        dropped
    }

    fn pop(&mut self) -> Option<Bytes> {
        let data = self.queue.pop_front()?;
        self.bytes -= data.len();
        Some(data)
    }
}

impl Datagrams {
    /// Queues one for sending; says how many older ones were dropped for it.
    pub(crate) fn send(&mut self, data: Bytes) -> u64 {
        self.outgoing.push(data)
    }

    /// Keeps one that arrived; says how many older ones were dropped for it.
    pub(crate) fn receive(&mut self, data: Bytes) -> u64 {
        self.incoming.push(data)
    }

    /// The oldest that arrived.
    pub(crate) fn read(&mut self) -> Option<Bytes> {
        self.incoming.pop()
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.outgoing.queue.is_empty()
    }

    /// Writes as many as fit. One that does not fit an empty packet any more (the path shrank) is dropped; the number
    /// of those is returned.
    pub(crate) fn write_frames(&mut self, writer: &mut Writer<'_>, tokens: &mut Tokens, empty_packet: bool) -> u64 {
        let mut dropped = 0;
        let mut fresh = empty_packet;
        while let Some(data) = self.outgoing.queue.front() {
            if (Frame::Datagram(Datagram { data })).encode(writer).is_ok() {
                tokens.push(Token::Datagram);
                fresh = false;
            } else if fresh {
                dropped += 1;
            } else {
                break;
            }
            let _sent_or_dropped = self.outgoing.pop();
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_when_a_queue_is_full() {
        let mut datagrams = Datagrams::default();
        for number in 0..limits::DATAGRAMS {
            assert_eq!(datagrams.receive(Bytes::from(vec![u8::try_from(number).unwrap()])), 0);
        }
        assert_eq!(datagrams.receive(Bytes::from_static(&[255])), 1);
        assert_eq!(datagrams.read().unwrap()[0], 1);
        assert_eq!(datagrams.receive(vec![0; limits::DATAGRAM_BYTES].into()), limits::DATAGRAMS as u64 - 1);
    }

    #[test]
    fn one_that_no_longer_fits_is_dropped_and_counted() {
        let mut datagrams = Datagrams::default();
        datagrams.send(vec![1; 100].into());
        datagrams.send(vec![2; 10].into());
        let mut tokens = Tokens::new();
        assert_eq!(datagrams.write_frames(&mut Writer::new(&mut [0; 50]), &mut tokens, true), 1);
        assert_eq!(tokens.len(), 1);
        assert!(!datagrams.has_pending());
    }
}
