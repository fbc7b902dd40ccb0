//! What a dispatcher counts: the machine's plain numbers, added to the metric handles at each flush of the meter.

use std::fmt;
use std::rc::Rc;

use codec::Side;
use telemetry::connection::RefusedReason;
use telemetry::dispatcher::{DropReason, Outcome, TokenKind, TokenResult};
use telemetry::labels::{Direction, Role};
use telemetry::{Label as _, ShardMetrics, Share};
use transport::accept;
use transport::endpoint::{Counts, Endpoint};

use super::roster::SharedRoster;
use crate::meter::{Meter, Tally};

/// The handles of a shard, as far as the dispatcher writes to them.
pub(super) struct Counting {
    meter: Rc<Meter>,
    roster: SharedRoster,
    routes: Share,
    clients: Share,
    servers: Share,
}

impl Counting {
    pub(super) fn new(meter: &Rc<Meter>, roster: &SharedRoster) -> Rc<Self> {
        let dispatcher = &meter.metrics().dispatcher;
        let counting = Rc::new(Self {
            roster: Rc::clone(roster),
            routes: dispatcher.routes.share(),
            clients: dispatcher.handshakes[Role::Client].share(),
            servers: dispatcher.handshakes[Role::Server].share(),
            meter: Rc::clone(meter),
        });
        meter.add_tally(&counting);
        counting
    }

    /// Datagrams that were dropped because their connection, or another shard, cannot keep up.
    pub(super) fn mailbox_full(&self, datagrams: u64) {
        let dispatcher = &self.meter.metrics().dispatcher;
        dispatcher.drops[DropReason::MailboxFull].add(datagrams);
        dispatcher.datagrams[Outcome::Dropped].add(datagrams);
    }

    /// Adds what the machine has counted.
    fn count(&self, endpoint: &mut Endpoint) {
        let Counts {
            outcomes,
            drops,
            retries,
            version_negotiations,
            refused,
            resets_sent,
            resets_received,
            tokens,
            limit_hits,
        } = endpoint.take_counts();
        let dispatcher = &self.meter.metrics().dispatcher;
        dispatcher.datagrams[Outcome::Connection].add(outcomes.connection);
        dispatcher.datagrams[Outcome::NewConnection].add(outcomes.new_connection);
        dispatcher.datagrams[Outcome::OtherWorker].add(outcomes.other_shard);
        dispatcher.datagrams[Outcome::Stateless].add(outcomes.stateless);
        dispatcher.datagrams[Outcome::Dropped].add(outcomes.dropped);
        dispatcher.drops.add_all(&drops);
        dispatcher.retries.add(retries);
        dispatcher.version_negotiations.add(version_negotiations);
        dispatcher.stateless_resets[Direction::Sent].add(resets_sent);
        dispatcher.stateless_resets[Direction::Received].add(resets_received);
        for (kind, counts) in TokenKind::ALL.iter().zip(tokens) {
            dispatcher.tokens[(*kind, TokenResult::Valid)].add(counts.valid);
            for (result, count) in FAULTS.iter().zip(counts.invalid) {
                dispatcher.tokens[(*kind, *result)].add(count);
            }
        }
        let connection = &self.meter.metrics().connection;
        let because = if endpoint.is_draining() { RefusedReason::Shutdown } else { RefusedReason::Policy };
        connection.refused[because].add(refused);
        connection.refused[RefusedReason::Overload].add(drops[accept::DropReason::Refused as usize]);
        for (hits, count) in connection.limit_hits.iter().zip(limit_hits) {
            hits.add(count);
        }
        self.levels(endpoint);
    }

    /// Says how many there are of what comes and goes: also between flushes, as handshakes are shorter than that.
    pub(super) fn levels(&self, endpoint: &Endpoint) {
        self.routes.set(endpoint.routes() as u64);
        self.clients.set(endpoint.handshakes(Side::Client) as u64);
        self.servers.set(endpoint.handshakes(Side::Server) as u64);
    }
}

impl Tally for Counting {
    fn flush(&self, _: &ShardMetrics) {
        // Nobody flushes from within the dispatcher.
        if let Ok(mut roster) = self.roster.try_borrow_mut() {
            self.count(&mut roster.endpoint);
        }
    }
}

impl fmt::Debug for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counting")
    }
}

/// In the order of `transport::address_tokens::TokenFault`.
const FAULTS: [TokenResult; 4] =
    [TokenResult::Expired, TokenResult::WrongAddress, TokenResult::Reused, TokenResult::Malformed];
