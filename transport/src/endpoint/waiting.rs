//! Attempts that wait to be decided about, and what their clients sent so far.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::BytesMut;
use codec::Time;

use crate::accept::Accepted;
use crate::limits::{HANDSHAKE_TIME, INCOMING_BYTES};
use crate::output::ReceivedDatagrams;

/// Names an attempt to connect; never used again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AttemptKey(u64);

/// A client's attempt to connect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// What is known of it.
    pub accepted: Accepted,
    /// The address of ours that it went to, where the kernel says.
    pub local: Option<IpAddr>,
}

impl Attempt {
    /// Whether the client may be asked to prove its address: only once, and not if it has done so.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.1
    //# A server MAY send Retry packets in response to
    //# Initial and 0-RTT packets.
    pub const fn may_retry(&self) -> bool {
        !self.accepted.validated && self.accepted.retry_source.is_none()
    }
}

/// An attempt, and what its client sent.
#[derive(Debug)]
pub(super) struct WaitingAttempt {
    pub(super) attempt: Attempt,
    pub(super) datagrams: Vec<ReceivedDatagrams>,
}

#[derive(Debug)]
struct Entry {
    waiting: WaitingAttempt,
    bytes: usize,
    since: Time,
}

/// All of them, the oldest first.
#[derive(Debug)]
pub(super) struct Waiting {
    entries: BTreeMap<AttemptKey, Entry>,
    next: u64,
    bytes: usize,
    bytes_bound: usize,
}

impl Waiting {
    pub(super) const fn new(bytes_bound: usize) -> Self {
        Self { entries: BTreeMap::new(), next: 0, bytes: 0, bytes_bound }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn get(&self, key: AttemptKey) -> Option<&Attempt> {
        self.entries.get(&key).map(|entry| &entry.waiting.attempt)
    }

    pub(super) fn begin(&mut self, now: Time, attempt: Attempt) -> AttemptKey {
        let key = AttemptKey(self.next);
        self.next += 1;
        let waiting = WaitingAttempt { attempt, datagrams: Vec::new() };
        self.entries.insert(key, Entry { waiting, bytes: 0, since: now });
        key
    }

    /// Keeps a copy of datagrams, so that a small one does not hold a large receive buffer; `false` if there is no room.
    pub(super) fn keep(&mut self, key: AttemptKey, datagrams: ReceivedDatagrams) -> bool {
        let Some(entry) = self.entries.get_mut(&key) else { return false };
        let length = datagrams.buffer.len();
        if entry.bytes + length > INCOMING_BYTES || self.bytes + length > self.bytes_bound {
            return false;
        }
        entry.bytes += length;
        self.bytes += length;
        let buffer = BytesMut::from(datagrams.buffer.as_ref());
        entry.waiting.datagrams.push(ReceivedDatagrams { buffer, ..datagrams });
        true
    }

    pub(super) fn take(&mut self, key: AttemptKey) -> Option<WaitingAttempt> {
        let entry = self.entries.remove(&key)?;
        self.bytes -= entry.bytes;
        Some(entry.waiting)
    }

    pub(super) fn pop(&mut self) -> Option<(AttemptKey, WaitingAttempt)> {
        let key = *self.entries.first_key_value()?.0;
        Some((key, self.take(key)?))
    }

    /// The oldest, if its client has given up by now.
    pub(super) fn expired(&self, now: Time) -> Option<AttemptKey> {
        let (key, entry) = self.entries.first_key_value()?;
        (entry.since + HANDSHAKE_TIME <= now).then_some(*key)
    }
}
