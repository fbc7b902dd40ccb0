//! What all connections of a run share: what is to be done, until when, and what was counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::http::Request;
use parking_lot::Mutex;
use quicast::{ConnectError, Connection, Endpoint};

use super::expect::Expected;
use super::schedule::Schedule;
use super::tally::Tallies;
use super::target::Content;

/// A server that can be connected to.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) endpoint: Endpoint,
    pub(super) remote: SocketAddr,
    pub(super) name: String,
    /// What it is asked for, in turns.
    pub(super) requests: Vec<Request<Content>>,
}

impl Server {
    pub(super) async fn connect(&self) -> Result<Connection, ConnectError> {
        self.endpoint.connect(self.remote, &self.name).await
    }
}

/// One of the connections that there are to be: what stays when it is opened again.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) server: Arc<Server>,
    /// When its requests are due, if they are not made one after the other.
    pub(super) schedule: Option<Mutex<Schedule>>,
    /// Its connection now, or the last one.
    pub(super) connection: Mutex<Connection>,
    /// Whose turn it is of the server's URLs.
    turn: AtomicUsize,
}

impl Slot {
    pub(super) fn new(number: usize, server: Arc<Server>, schedule: Option<Schedule>, connection: Connection) -> Self {
        let (schedule, connection) = (schedule.map(Mutex::new), Mutex::new(connection));
        Self { server, schedule, connection, turn: AtomicUsize::new(number) }
    }

    /// What is asked for next.
    pub(super) fn request(&self) -> Option<Request<Content>> {
        let all = &self.server.requests;
        let turn = if all.len() == 1 { 0 } else { self.turn.fetch_add(1, Ordering::Relaxed) % all.len().max(1) };
        all.get(turn).cloned()
    }
}

/// What is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    /// Requests that may be under way on each connection.
    pub(super) streams: u32,
    pub(super) expect: Expected,
    pub(super) timeout: Duration,
    pub(super) began: Instant,
    /// What begins before does not count.
    pub(super) measured_from: Instant,
    /// None begins later.
    pub(super) until: Option<Instant>,
    /// Requests that are left to be begun, if they are counted and not scheduled.
    pub(super) tickets: Option<Tickets>,
    pub(super) tallies: Tallies,
    pub(super) connections: Connections,
    stopped: AtomicBool,
}

/// What happened to connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    pub(super) opened: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) reopened: AtomicU64,
    pub(super) failed: AtomicU64,
}

/// So many may begin, whoever comes first.
#[derive(Debug)]
pub(super) struct Tickets(AtomicU64);

impl Tickets {
    pub(super) const fn new(count: u64) -> Self {
        Self(AtomicU64::new(count))
    }

    fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    fn give_back(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What of a run is long, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    pub(super) warm_up: Duration,
    pub(super) time: Option<Duration>,
    /// Only if it is not scheduled.
    pub(super) tickets: Option<u64>,
}

impl Plan {
    /// It begins now.
    pub(super) fn new(streams: u32, expect: Expected, timeout: Duration, length: Length) -> Self {
        let began = Instant::now();
        let measured_from = began + length.warm_up;
        Self {
            streams,
            expect,
            timeout,
            began,
            measured_from,
            until: length.time.map(|time| measured_from + time),
            tickets: length.tickets.map(Tickets::new),
            tallies: Tallies::default(),
            connections: Connections::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Whether a request may begin now that is made as soon as there is room; if so, whether it counts.
    pub(super) fn next(&self, now: Instant) -> Option<bool> {
        if self.is_past(now) {
            return None;
        }
        if now < self.measured_from {
            return Some(false);
        }
        self.tickets.as_ref().is_none_or(Tickets::take).then_some(true)
    }

    /// The server has done nothing with it.
    pub(super) fn give_back(&self) {
        if let Some(tickets) = &self.tickets {
            tickets.give_back();
        }
    }

    /// Whether no request begins any more, however many are left.
    pub(super) fn is_past(&self, now: Instant) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.until.is_some_and(|until| now >= until)
    }

    /// Whether this connection has nothing left to begin.
    pub(super) fn is_over(&self, slot: &Slot) -> bool {
        self.is_past(Instant::now())
            || match &slot.schedule {
                Some(schedule) => schedule.lock().peek().is_none(),
                None => self.tickets.as_ref().is_some_and(|tickets| tickets.left() == 0),
            }
    }

    /// No request begins any more.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_as_many_as_were_given() {
        let tickets = Tickets::new(2);
        assert_eq!([tickets.take(), tickets.take(), tickets.take()], [true, true, false]);
        tickets.give_back();
        assert_eq!((tickets.left(), tickets.take(), tickets.take()), (1, true, false));
    }
}
