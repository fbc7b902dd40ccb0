//! What takes too long: responses that the peer does not take, and requests that do not come (RFC 9114 §10.5).

use std::time::Duration;

use codec::{Side, StreamId, Time};

use super::Connection;
use super::exchange::{Exchange, Hold, Receive, Send};
use crate::config::Config;
use crate::error::Code;
use crate::limits::Limit;
use crate::output::EndReason;

/// How long a request may still take to come, at a server.
///
/// Only the time counts in which we wait for the peer: while the application has content that it did not take, the peer may
/// be waiting for credit, and it is the application's time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receipt {
    /// By when something has to have come: the whole head, once its first byte is there, and then more content.
    patience: Option<Time>,
    /// By when all of the request has to be there.
    age: Time,
    /// Content that the application has not taken.
    unread: u64,
    /// Since when there has been some.
    since: Time,
}

impl Receipt {
    /// The stream was opened.
    pub(super) fn new(now: Time, config: &Config) -> Self {
        Self { patience: None, age: now + config.request_time, unread: 0, since: now }
    }

    /// Bytes came. Each kilobyte is worth a second, but nobody has more patience than at first: who sent much at once has
    /// to go on, too.
    pub(super) fn on_bytes(&mut self, now: Time, bytes: usize, content: bool, config: &Config) {
        self.patience = Some(match self.patience {
            None => now + config.headers_time,
            Some(patience) if content => (patience + worth(bytes, config)).min(now + config.content_grace),
            Some(patience) => patience,
        });
    }

    /// The head is complete.
    pub(super) fn on_head(&mut self, now: Time, config: &Config) {
        self.patience = Some(now + config.content_grace);
    }

    /// The application has this much more content.
    pub(super) const fn on_content(&mut self, now: Time, bytes: usize) {
        if self.unread == 0 {
            self.since = now;
        }
        self.unread = self.unread.saturating_add(bytes as u64);
    }

    /// The application took some of it.
    fn on_taken(&mut self, now: Time, bytes: u64, config: &Config) {
        let before = self.unread;
        self.unread = before.saturating_sub(bytes);
        if before > 0 && self.unread == 0 {
            let waited = now.saturating_since(self.since);
            self.age += waited;
            // It waited as long as we did not, and may have us wait as long.
            let later = |patience: Time| (patience + waited.saturating_mul(2)).min(now + config.content_grace);
            self.patience = self.patience.map(later);
        }
    }
}

/// The time that bytes of content may take.
fn worth(bytes: usize, config: &Config) -> Duration {
    let nanoseconds = (bytes as u64).saturating_mul(1_000_000_000).checked_div(config.content_rate);
    nanoseconds.map_or(Duration::MAX, Duration::from_nanos)
}

/// What an exchange is given up for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Overdue {
    /// The peer takes nothing of the response.
    Response,
    /// The head of the request does not come.
    Head,
    /// Too little of its content comes.
    Content,
    /// It has been coming for too long.
    Age,
}

impl Overdue {
    const fn limit(self) -> Limit {
        match self {
            Self::Response => Limit::BlockedTime,
            Self::Head => Limit::HeadersTime,
            Self::Content => Limit::ContentRate,
            Self::Age => Limit::RequestTime,
        }
    }
}

impl Exchange {
    /// What is next to be too late, and when.
    fn due(&self, config: &Config) -> Option<(Time, Overdue)> {
        let response = (self.unsent > 0 && self.is_sending()).then(|| self.progress + config.blocked_time);
        let response = response.map(|at| (at, Overdue::Response));
        [response, self.receipt_due(config)].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// What of the request is. Nothing of a tunnel: its bytes come when they come. And nothing that waits for ourselves.
    fn receipt_due(&self, config: &Config) -> Option<(Time, Overdue)> {
        let Receipt { patience, age, unread, .. } = self.receipt;
        let is_ours = unread > 0 || matches!(self.hold, Hold::Undispatched(_));
        let is_here = self.fin && !self.is_held();
        let next = match self.receive {
            Receive::Tunnel | Receive::Done => return None,
            _ if is_ours || is_here => return None,
            Receive::Head => patience.map(|at| (at, Overdue::Head)),
            // Whoever answers before all has come talks with the peer, and either may take its time.
            Receive::Content | Receive::Trailed if config.content_rate == 0 || self.send != Send::Head => None,
            Receive::Content | Receive::Trailed => patience.map(|at| (at, Overdue::Content)),
        };
        Some(next.filter(|(at, _)| *at <= age).unwrap_or((age, Overdue::Age)))
    }
}

impl Connection {
    /// When [`Self::handle_deadline`] should be called, if nothing happens before. It may be earlier than need be.
    pub fn deadline(&self) -> Option<Time> {
        [self.next_check, self.feedback.due()].into_iter().flatten().min()
    }

    /// Time has come for what [`Self::deadline`] said. What is to be done then is polled.
    pub fn handle_deadline(&mut self, now: Time) {
        self.now = now;
        if self.next_check.is_none_or(|check| now < check) {
            return;
        }
        let mut overdue = Vec::new();
        self.next_check = None;
        if self.side == Side::Server {
            for (key, exchange) in self.exchanges.iter() {
                match exchange.due(&self.config) {
                    Some((at, what)) if at <= now => overdue.push((key, what)),
                    Some((at, _)) => self.next_check = Some(self.next_check.map_or(at, |next| next.min(at))),
                    None => {}
                }
            }
        }
        for (key, what) in overdue {
            self.give_up(key, what);
        }
    }

    fn give_up(&mut self, key: usize, what: Overdue) {
        self.on_limit(what.limit());
        // H3_EXCESSIVE_LOAD would say that the peer means harm: mostly it is a bad network.
        let (code, reason) = match what {
            Overdue::Response => (Code::H3_REQUEST_CANCELLED, EndReason::Blocked),
            // Rejected, if no application knows of it: then it may be made again.
            Overdue::Head | Overdue::Content | Overdue::Age => (self.cancel_code(key), EndReason::Slow),
        };
        self.end_exchange(key, code, reason);
    }

    /// An exchange may be overdue sooner than anything that is known of. Only a server gives up: who asks waits as long as
    /// it likes.
    pub(super) fn watch(&mut self, key: usize) {
        if self.side == Side::Server
            && let Some((at, _)) = self.exchanges.get(key).and_then(|exchange| exchange.due(&self.config))
        {
            self.next_check = Some(self.next_check.map_or(at, |next| next.min(at)));
        }
    }

    /// The application took these bytes of [`Event::Data`](crate::Event::Data), or let them go: credit may be returned to
    /// the peer.
    pub fn data_consumed(&mut self, now: Time, stream: StreamId, bytes: u64) {
        if self.closed {
            return;
        }
        self.now = now;
        self.outbox.consumed(stream, bytes);
        if self.side == Side::Server
            && let Some(key) = self.exchanges.find(stream)
            && let Some(exchange) = self.exchanges.get_mut(key)
        {
            exchange.receipt.on_taken(now, bytes, &self.config);
            self.watch(key);
        }
    }
}
