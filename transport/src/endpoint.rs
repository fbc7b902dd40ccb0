//! [`Endpoint`]: what a shard does with datagrams before a connection sees them, without sockets and clocks.
//!
//! ```text
//!                    ┌──────────────────────────── Endpoint ────────────────────────────┐
//! handle_datagrams ─▶ Router ─ known ─────────────────────────────────────▶ Output::Datagrams, Reset
//!                    │   └─ unknown ─ another shard's ─────────────────────▶ Output::Forward
//!                    │         └─ Acceptor ─ new ─▶ Waiting ───────────────▶ Output::Attempt ─ decided ─▶ accept, refuse, …
//!                    │               └─ Retry, Version Negotiation, … ─────▶ poll_answer
//!                    └──────────────────────────────────────────────────────────────────┘
//! ```
//! It joins the [`Router`], the [`Acceptor`], the address tokens and the stateless resets of one shard. Connections are
//! made here and live elsewhere, under keys that their keeper chooses.

mod answers;
mod counts;
mod handshakes;
mod interface;
mod waiting;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use codec::packet::{self, PacketKind, Peek};
use codec::{ConnectionId, Side, Time, Version};
use tls::{InitialSuite, SessionError};

use crate::accept::{self, Acceptor, Decision, DropReason, Load, Policy};
use crate::address_tokens::{AddressTokens, TokenKeys};
use crate::config::Config;
use crate::connection::{Beginning, ClientBeginning, Connection, ServerBeginning};
use crate::limits::{self, Limit};
use crate::local_ids::LocalIds;
use crate::output::{CloseReason, ReceivedDatagrams};
use crate::random::Random;
use crate::reset::ResetKey;
use crate::router::{
    Farewell, IdGenerator, LOCAL_ID_LENGTH, NameTaken, Route, RouteChange, Router, RouterSeeds, shard_of,
};
use answers::{Answer, Answers};
use counts::Reported;
pub use counts::{Counts, Outcomes};
use handshakes::{Handshake, Handshakes};
pub use interface::{AcceptError, AlreadyValidated, Arrival, Client, NewConnection, Output, Retry, Secrets, Settings};
pub use waiting::{Attempt, AttemptKey};
use waiting::{Waiting, WaitingAttempt};

/// How long the names of a connection that was closed are remembered after its end, so that packets of it that are still
/// on their way are neither answered with resets nor taken for a new attempt.
const CLOSED_MEMORY: Duration = Duration::from_secs(3);

/// Who is known by a name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Owner {
    Connection(usize),
    Waiting(AttemptKey),
}

/// Where a run of datagrams goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Target {
    Owner(Owner),
    Shard(usize),
    /// Nowhere: dropped, or answered already.
    Nowhere,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Endpoint {
    settings: Settings,
    router: Router<Owner>,
    acceptor: Acceptor,
    generator: IdGenerator,
    reset_key: Arc<ResetKey>,
    random: Random,
    waiting: Waiting,
    handshakes: Handshakes,
    draining: bool,
    outputs: VecDeque<Output>,
    answers: Answers,
    counts: Counts,
    reported: Reported,
}

impl Endpoint {
    /// An endpoint without connections. `seed` must be unpredictable, and another for each shard.
    pub fn new(settings: Settings, secrets: &Secrets, seed: &[u8; 32]) -> Self {
        let mut random = Random::new(seed);
        let mut two = || [random.number(), random.number()];
        let policy = Policy {
            accepts: settings.server.is_some(),
            versions: settings.config.versions.clone(),
            always_retry: settings.retry == Retry::Always,
            resets: settings.resets,
        };
        let seeds = RouterSeeds { own: two()[0], peer: two() };
        let tokens = AddressTokens::new(TokenKeys::new(&secrets.tokens), two());
        let acceptor = Acceptor::new(policy, tokens, two());
        // The sequence of ids is another one after each start, because its secret is of no use for anything else.
        let generator = IdGenerator::new(&secrets.ids, settings.shard, settings.shards);
        Self {
            router: Router::new(seeds),
            acceptor,
            generator,
            reset_key: Arc::new(ResetKey::new(&secrets.resets)),
            random,
            waiting: Waiting::new(limits::INCOMING_BYTES_ALL / settings.shards.max(1)),
            handshakes: Handshakes::new(seeds.own),
            draining: false,
            outputs: VecDeque::new(),
            answers: Answers::default(),
            counts: Counts::default(),
            reported: Reported::default(),
            settings,
        }
    }

    // ── What happened ────────────────────────────────────────────────────────────────────────────────────────────

    /// Datagrams came. Those of one connection that follow each other stay together.
    pub fn handle_datagrams(&mut self, arrival: &Arrival, datagrams: ReceivedDatagrams) {
        let ReceivedDatagrams { remote, local, ecn, segment_size, mut buffer } = datagrams;
        if buffer.is_empty() {
            // RFC 9000 §5.2: not even a first byte, so no packet at all.
            self.drop_datagram(DropReason::TooShort);
            return;
        }
        let segment_size = if segment_size == 0 { buffer.len() } else { segment_size };
        let whole = |buffer: BytesMut| ReceivedDatagrams { remote, local, ecn, segment_size, buffer };
        let mut run = 0;
        let mut current = Target::Nowhere;
        let mut id = None;
        while run < buffer.len() {
            let end = (run + segment_size).min(buffer.len());
            let datagram = buffer.get(run..end).unwrap_or_default();
            let this = short_id(datagram);
            // A train of 1-RTT packets names its connection once.
            let target = match (current, this) {
                (Target::Owner(_), Some(this)) if id == Some(this) => current,
                _ => self.target(arrival, datagram, remote, local),
            };
            let length = end - run;
            if target != current && run > 0 {
                let before = buffer.split_to(run);
                self.emit(current, whole(before));
                run = 0;
            }
            (current, id) = (target, this);
            run += length;
        }
        self.emit(current, whole(buffer));
    }

    /// A connection says which ids lead to it.
    ///
    /// # Errors
    /// [`NameTaken`] if the id is another's: a fault of ours.
    pub fn handle_route(&mut self, key: usize, change: RouteChange) -> Result<(), NameTaken> {
        self.router.apply(Owner::Connection(key), change)
    }

    /// The handshake of a connection is complete, or failed.
    pub fn handle_handshake_over(&mut self, key: usize) {
        self.handshakes.end(key);
    }

    /// A connection is over; its key may be used again. `reason` says how it ended.
    pub fn handle_ended(&mut self, now: Time, key: usize, remote: SocketAddr, reason: &CloseReason) {
        self.handshakes.end(key);
        let owner = Owner::Connection(key);
        match reason {
            // The peer may believe that it lives on. A stateless reset is the only word it can get.
            CloseReason::IdleTimeout | CloseReason::HandshakeTimeout | CloseReason::Internal => {
                self.router.forget(owner);
            }
            // The closing period is over; what still comes was long on its way.
            _ => {
                let farewell = Farewell { until: now + CLOSED_MEMORY, datagram: None, remote };
                self.router.retire(now, owner, farewell);
            }
        }
    }

    /// When [`Self::handle_deadline`] has something to do next: names of connections that ended are to be forgotten.
    pub fn deadline(&self) -> Option<Time> {
        self.router.deadline()
    }

    /// Time went by: names of connections that ended, and attempts whose clients have given up, are forgotten.
    pub fn handle_deadline(&mut self, now: Time) {
        self.expire(now);
        self.router.expire(now);
    }

    /// From now on new attempts are refused.
    pub const fn start_draining(&mut self) {
        self.draining = true;
    }

    /// From now on new attempts are ignored, as if nobody listened; those that wait are forgotten.
    pub fn stop_accepting(&mut self) {
        self.acceptor.policy_mut().accepts = false;
        while let Some((key, _)) = self.waiting.pop() {
            self.router.forget(Owner::Waiting(key));
        }
    }

    // ── Decisions about attempts ─────────────────────────────────────────────────────────────────────────────────

    /// An attempt that waits, or `None` if it is over.
    pub fn attempt(&self, key: AttemptKey) -> Option<&Attempt> {
        self.waiting.get(key)
    }

    /// Begins the connection of an attempt, under this key, with the endpoint's settings of TLS or these.
    ///
    /// # Errors
    /// [`AcceptError`]. If TLS is at fault, the client is told that it is refused.
    pub fn accept(
        &mut self,
        arrival: &Arrival,
        attempt: AttemptKey,
        key: usize,
        tls: Option<Arc<tls::ServerConfig>>,
    ) -> Result<NewConnection, AcceptError> {
        let WaitingAttempt { attempt, datagrams } = self.take(attempt).ok_or(AcceptError::Over)?;
        let tls = tls.or_else(|| self.settings.server.clone()).ok_or(AcceptError::NotAServer)?;
        let Attempt { accepted, local } = attempt;
        let remote = accepted.attempt.remote;
        let config = Arc::clone(&self.settings.config);
        let beginning = self.beginning(arrival.now, config, remote, local);
        let first = beginning.local_ids.first();
        let server = ServerBeginning {
            tls,
            version: accepted.attempt.version,
            original_destination: accepted.original_destination,
            retry_source: accepted.retry_source,
            peer_source: accepted.attempt.source,
            validated: accepted.validated,
            reset_token: beginning.local_ids.first_reset_token(),
        };
        let mut connection = match Connection::server(beginning, server) {
            Ok(connection) => connection,
            Err(error) => {
                self.answers.push(Answer::Refuse(accepted.attempt), remote, local);
                return Err(AcceptError::Session(error));
            }
        };
        // Sent once the handshake is done, which proves the address that the token is for.
        let keys = self.acceptor.tokens().keys();
        let nonce = self.random.bytes();
        let token = keys.new_token(accepted.attempt.version, remote.ip(), arrival.unix_time, nonce);
        connection.send_new_token(Bytes::from(token));
        let owner = Owner::Connection(key);
        // Free both: the one was the attempt's a moment ago, the other is fresh.
        let named = self.router.add_initial(accepted.attempt.destination, remote, owner);
        let routed = self.router.add(first, owner);
        debug_assert!(named.is_ok() && routed.is_ok(), "the names of a new connection are free");
        let kind = if accepted.validated { Handshake::Validated } else { Handshake::Unvalidated };
        self.handshakes.begin(key, kind);
        Ok(NewConnection { connection, datagrams, remote })
    }

    /// Tells the client of an attempt that it is refused (CONNECTION_REFUSED).
    pub fn refuse(&mut self, attempt: AttemptKey) {
        if let Some(WaitingAttempt { attempt, .. }) = self.take(attempt) {
            let initial = attempt.accepted.attempt;
            self.answers.push(Answer::Refuse(initial), initial.remote, attempt.local);
        }
    }

    /// Asks the client of an attempt to prove its address and to try again.
    ///
    /// # Errors
    /// [`AlreadyValidated`]; the attempt goes on waiting.
    pub fn retry(&mut self, attempt: AttemptKey) -> Result<(), AlreadyValidated> {
        if self.waiting.get(attempt).is_some_and(|attempt| !attempt.may_retry()) {
            return Err(AlreadyValidated);
        }
        if let Some(WaitingAttempt { attempt, .. }) = self.take(attempt) {
            let initial = attempt.accepted.attempt;
            self.answers.push(Answer::Retry(initial), initial.remote, attempt.local);
        }
        Ok(())
    }

    /// Forgets an attempt without a word.
    pub fn ignore(&mut self, attempt: AttemptKey) {
        let _forgotten = self.take(attempt);
    }

    /// Begins a connection to a server, under this key.
    ///
    /// # Errors
    /// If TLS cannot begin with the settings.
    pub fn connect(&mut self, now: Time, key: usize, client: Client) -> Result<Box<Connection>, SessionError> {
        let Client { remote, server_name, tls, config, negotiated, token } = client;
        let first_choice = config.versions.first().copied().unwrap_or(Version::V1);
        let beginning = self.beginning(now, config, remote, None);
        let first = beginning.local_ids.first();
        let random: [u8; LOCAL_ID_LENGTH] = self.random.bytes();
        let client = ClientBeginning {
            server_name,
            tls,
            version: negotiated.unwrap_or(first_choice),
            token,
            original_destination: ConnectionId::new(&random).unwrap_or(ConnectionId::EMPTY),
            negotiated: negotiated.is_some(),
        };
        let connection = Connection::client(beginning, client)?;
        let routed = self.router.add(first, Owner::Connection(key));
        debug_assert!(routed.is_ok(), "the id of a new connection is free");
        self.handshakes.begin(key, Handshake::Client);
        Ok(connection)
    }

    // ── What came of it ──────────────────────────────────────────────────────────────────────────────────────────
    // wants_to_answer and poll_answer are in answers.rs, take_counts is in counts.rs.

    /// The next result of [`Self::handle_datagrams`].
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether new attempts are refused.
    pub const fn is_draining(&self) -> bool {
        self.draining
    }

    /// Names that lead somewhere, those of ended connections included.
    pub fn routes(&self) -> usize {
        self.router.len()
    }

    /// Handshakes in progress on this shard, of this side.
    pub const fn handshakes(&self, side: Side) -> usize {
        match side {
            Side::Client => self.handshakes.count(Handshake::Client),
            Side::Server => self.handshakes.count(Handshake::Validated) + self.handshakes.count(Handshake::Unvalidated),
        }
    }

    /// Attempts that wait to be decided about.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    // ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────

    /// Whose datagram it is. What is nobody's is dealt with at once.
    fn target(&mut self, arrival: &Arrival, datagram: &[u8], remote: SocketAddr, local: Option<IpAddr>) -> Target {
        let peek = packet::peek(datagram, LOCAL_ID_LENGTH).ok();
        match peek.map_or(Route::Unknown, |peek| self.router.route(&peek, remote)) {
            Route::Connection(owner) => return Target::Owner(owner),
            Route::Closed(closed) => {
                match self.router.answer_closed(arrival.now, closed, remote, datagram.len()) {
                    Some(farewell) => self.answer(Answer::Farewell(farewell), remote, local),
                    None => self.drop_datagram(DropReason::UnknownConnectionId),
                }
                return Target::Nowhere;
            }
            Route::Unknown => {}
        }
        if let Some(Owner::Connection(key)) = self.router.reset_target(datagram) {
            self.counts.outcomes.connection += 1;
            self.counts.resets_received += 1;
            self.outputs.push_back(Output::Reset { key });
            return Target::Nowhere;
        }
        if let Some(shard) = peek.and_then(|peek| self.other_shard(arrival, &peek)) {
            return Target::Shard(shard);
        }
        self.decide(arrival, datagram, remote, local)
    }

    /// The shard that issued the id, if it is another one.
    fn other_shard(&self, arrival: &Arrival, peek: &Peek<'_>) -> Option<usize> {
        let Settings { shard, shards, .. } = self.settings;
        let id = match *peek {
            Peek::Short { destination } => destination,
            // Where a client's first packet lands is as good as anywhere: the id is the client's own.
            Peek::Long { kind: Some(PacketKind::Initial), .. } if self.settings.server.is_some() => return None,
            Peek::Long { destination, .. } if destination.len() == LOCAL_ID_LENGTH => ConnectionId::new(destination)?,
            Peek::Long { .. } => return None,
        };
        let owner = shard_of(&id, shards);
        (owner != shard && !arrival.forwarded).then_some(owner)
    }

    fn decide(&mut self, arrival: &Arrival, datagram: &[u8], remote: SocketAddr, local: Option<IpAddr>) -> Target {
        self.expire(arrival.now);
        let load = self.load(arrival);
        match self.acceptor.decide(arrival.now, arrival.unix_time, datagram, remote, &load) {
            // A token that proves nothing may have been a Retry's before a bit of it flipped on the way. A connection that
            // began without that would contradict what the client knows of its ids.
            Decision::Accept(accepted)
                if !accepted.validated && accept::has_token(datagram) && !self.is_authentic(datagram) =>
            {
                self.drop_datagram(DropReason::Malformed);
            }
            Decision::Accept(accepted) => {
                let key = self.waiting.begin(arrival.now, Attempt { accepted, local });
                let owner = Owner::Waiting(key);
                if self.router.add_initial(accepted.attempt.destination, remote, owner).is_err() {
                    let _forgotten = self.waiting.take(key);
                    self.drop_datagram(DropReason::Refused);
                    return Target::Nowhere;
                }
                self.outputs.push_back(Output::Attempt(key));
                return Target::Owner(owner);
            }
            Decision::Retry(attempt) => self.answer(Answer::Retry(attempt), remote, local),
            Decision::Refuse(attempt) => self.answer(Answer::Refuse(attempt), remote, local),
            Decision::InvalidToken(attempt) if self.is_authentic(datagram) => {
                self.answer(Answer::InvalidToken(attempt), remote, local);
            }
            // A bit that flipped on the way is no reason to end the attempt: the client sends it again.
            Decision::InvalidToken(_) => self.drop_datagram(DropReason::Malformed),
            Decision::VersionNegotiation => {
                if let Ok(Peek::Long { destination, source, .. }) = packet::peek(datagram, LOCAL_ID_LENGTH) {
                    self.answer(Answer::version_negotiation(destination, source), remote, local);
                }
            }
            Decision::StatelessReset(destination) => {
                self.answer(Answer::Reset { destination, received: datagram.len() }, remote, local);
            }
            Decision::Drop(reason) => {
                self.count_limit(reason, datagram, &load);
                self.drop_datagram(reason);
            }
        }
        Target::Nowhere
    }

    /// Whether the Initial at the beginning of a datagram is what somebody sent, unchanged.
    fn is_authentic(&self, datagram: &[u8]) -> bool {
        let Some(server) = self.settings.server.as_deref() else { return false };
        accept::is_authentic(datagram, InitialSuite::of_server(server))
    }

    fn emit(&mut self, target: Target, datagrams: ReceivedDatagrams) {
        let count = datagrams.buffer.len().div_ceil(datagrams.segment_size.max(1)) as u64;
        match target {
            Target::Owner(Owner::Connection(key)) => {
                self.counts.outcomes.connection += count;
                self.outputs.push_back(Output::Datagrams { key, datagrams });
            }
            Target::Owner(Owner::Waiting(key)) => {
                self.counts.outcomes.new_connection += count;
                if !self.waiting.keep(key, datagrams) {
                    self.hit(Limit::IncomingBytes);
                }
            }
            Target::Shard(shard) => {
                self.counts.outcomes.other_shard += count;
                self.outputs.push_back(Output::Forward { shard, datagrams });
            }
            Target::Nowhere => {}
        }
    }

    /// How busy the endpoint is. Clients spread evenly over the shards, so all are taken to be as busy as this one.
    fn load(&self, arrival: &Arrival) -> Load {
        let shards = self.settings.shards.max(1);
        let load = Load {
            handshakes: self.handshakes(Side::Server).saturating_mul(shards),
            unvalidated: self.handshakes.count(Handshake::Unvalidated).saturating_mul(shards),
            waiting: self.waiting.len().saturating_mul(shards),
            backlog: arrival.backlog,
            draining: self.draining,
        };
        match self.settings.retry {
            Retry::UnderLoad | Retry::Always => load,
            // Only what demands a Retry is left out; what forbids new attempts still counts.
            Retry::Never => {
                let backlog = if load.backlog > limits::BACKLOG_BEFORE_DROP { load.backlog } else { Duration::ZERO };
                Load { unvalidated: 0, backlog, ..load }
            }
        }
    }

    fn beginning(&mut self, now: Time, config: Arc<Config>, remote: SocketAddr, local: Option<IpAddr>) -> Beginning {
        let first = self.generator.next_id();
        Beginning {
            config,
            remote,
            local,
            local_ids: LocalIds::new(first, self.generator.fork(), Arc::clone(&self.reset_key)),
            seed: self.random.bytes(),
            now,
        }
    }

    /// Takes an attempt out; its names are free again.
    fn take(&mut self, key: AttemptKey) -> Option<WaitingAttempt> {
        let taken = self.waiting.take(key)?;
        self.router.forget(Owner::Waiting(key));
        Some(taken)
    }

    /// Forgets attempts whose clients have given up.
    fn expire(&mut self, now: Time) {
        while let Some(key) = self.waiting.expired(now) {
            let _forgotten = self.take(key);
        }
    }
}

/// The destination id of a short header, for comparing only.
fn short_id(datagram: &[u8]) -> Option<[u8; LOCAL_ID_LENGTH]> {
    let (first, rest) = datagram.split_first()?;
    // RFC 8999 §5.1: the highest bit says which form the header has.
    (first & 0x80 == 0).then(|| rest.first_chunk().copied())?
}

#[cfg(test)]
mod tests;
