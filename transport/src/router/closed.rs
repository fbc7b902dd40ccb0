//! Connections that ended a moment ago: a bounded memory of their names and of one last datagram each.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use codec::{ConnectionId, Time};
use smallvec::SmallVec;

use crate::limits::{AMPLIFICATION_FACTOR, CLOSED_CONNECTIONS};

/// What a connection leaves behind.
#[derive(Clone, Debug)]
pub struct Farewell {
    /// How long its names are kept: three probe timeouts after the close (RFC 9000 §10.2).
    pub until: Time,
    /// The datagram with its CONNECTION_CLOSE, if it may still be sent: none when draining.
    pub datagram: Option<Bytes>,
    /// Where the peer was. Datagrams from elsewhere are not answered.
    pub remote: SocketAddr,
}

/// Names one connection that ended; means nothing once its time is over.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ClosedKey(u64);

/// All that one connection is known by.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) own: SmallVec<[u64; 4]>,
    pub(super) first: Option<(ConnectionId, SocketAddr)>,
    pub(super) tokens: SmallVec<[u64; 2]>,
}

impl Names {
    pub(super) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.first.is_none() && self.tokens.is_empty()
    }
}

#[derive(Debug, Default)]
pub(super) struct Closed {
    entries: VecDeque<Entry>,
    // The key of the front entry; keys count up, so each finds its place.
    first: u64,
}

#[derive(Debug)]
struct Entry {
    names: Names,
    farewell: Farewell,
    datagrams: u64,
    received: u64,
    sent: u64,
}

impl Closed {
    /// Remembers one more. Returns the names of the one that had to be forgotten for it.
    pub(super) fn push(&mut self, names: Names, farewell: Farewell) -> (ClosedKey, Option<Names>) {
        let evicted = if self.entries.len() >= CLOSED_CONNECTIONS { self.pop() } else { None };
        let key = ClosedKey(self.first.wrapping_add(self.entries.len() as u64));
        self.entries.push_back(Entry { names, farewell, datagrams: 0, received: 0, sent: 0 });
        (key, evicted)
    }

    /// The names of the oldest, if its time is over.
    pub(super) fn pop_expired(&mut self, now: Time) -> Option<Names> {
        if self.entries.front()?.farewell.until > now { None } else { self.pop() }
    }

    /// When the oldest is forgotten.
    pub(super) fn next(&self) -> Option<Time> {
        self.entries.front().map(|entry| entry.farewell.until)
    }

    pub(super) fn answer(&mut self, now: Time, key: ClosedKey, remote: SocketAddr, bytes: usize) -> Option<Bytes> {
        let place = usize::try_from(key.0.wrapping_sub(self.first)).ok()?;
        let entry = self.entries.get_mut(place)?;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-10.2.1
        //# An
        //# endpoint in the closing state MUST either discard packets received from an
        //# unvalidated address or limit the cumulative size of packets it sends to an
        //# unvalidated address to three times the size of packets it receives from that
        //# address.
        if entry.farewell.remote != remote {
            return None;
        }
        entry.datagrams = entry.datagrams.saturating_add(1);
        entry.received = entry.received.saturating_add(bytes as u64);
        //= https://www.rfc-editor.org/rfc/rfc9000#section-10.2.1
        //# An endpoint SHOULD limit the rate at which it generates packets in the closing
        //# state.
        if entry.farewell.until <= now || !entry.datagrams.is_power_of_two() {
            return None;
        }
        let datagram = entry.farewell.datagram.as_ref()?;
        let sent = entry.sent.saturating_add(datagram.len() as u64);
        //= https://www.rfc-editor.org/rfc/rfc9000#section-10.2.1
        //# To avoid being used for an
        //# amplification attack, such endpoints MUST limit the cumulative size of packets
        //# it sends to three times the cumulative size of the packets that are received
        //# and attributed to the connection.
        if sent > entry.received.saturating_mul(AMPLIFICATION_FACTOR) {
            return None;
        }
        entry.sent = sent;
        Some(datagram.clone())
    }

    fn pop(&mut self) -> Option<Names> {
        let entry = self.entries.pop_front()?;
        self.first = self.first.wrapping_add(1);
        Some(entry.names)
    }
}
