//! What to do with a datagram that belongs to nobody (RFC 9000 §5.2.2, §8.1).
//!
//! ```text
//!                  ┌─ short header ──────────────────────▶ StatelessReset
//!  Route::Unknown ─┤─ unknown version ───────────────────▶ VersionNegotiation
//!                  └─ Initial ─ too many? ─ token? ─ load? ▶ Accept, Retry, Refuse, InvalidToken
//!       (and whatever is too small, too frequent, malformed or from a forbidden port: Drop)
//! ```
//! [`Acceptor::decide`] answers with a [`Decision`]; [`answer`] writes the datagrams that some decisions ask for. No
//! cryptography is done for what is dropped, and none but one token's for what is retried. Only what comes with a token
//! that proves nothing is opened before it is answered or accepted: the token may have been spoiled on its way.

pub mod answer;
pub mod ports;
pub mod rate;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use codec::packet::{self, Packet, PacketError, PacketKind, Peek, stateless_reset};
use codec::{ConnectionId, Side, Time, Version};
use tls::{InitialSuite, KeyRing, Level};

use crate::address_tokens::{AddressTokens, Presented, TokenFault, TokenKind, Valid};
use crate::limits;
use crate::router::LOCAL_ID_LENGTH;
use rate::{RateLimit, SourceLimits};

/// The smallest UDP payload that an Initial packet may travel in (RFC 9000 §14.1).
pub const SMALLEST_INITIAL_DATAGRAM: usize = 1200;
/// The shortest destination id that a client may make up (RFC 9000 §7.2).
pub const SHORTEST_FIRST_DESTINATION: usize = 8;

/// Why a datagram is dropped: the label of `quicast_dispatcher_drops_total{reason}`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(usize)]
pub enum DropReason {
    /// Too few bytes for any packet, or for a stateless reset in answer.
    TooShort,
    /// For a connection that is not here, and not to be answered.
    UnknownConnectionId,
    /// Of a version that is not known here, and too small to be answered; or an answer itself.
    UnsupportedVersion,
    /// An Initial in a datagram of less than 1200 bytes (RFC 9000 §14.1).
    InitialTooSmall,
    /// The connection's actor cannot keep up. Never decided here.
    MailboxFull,
    /// Too many of its kind, or from its network.
    RateLimited,
    /// A new attempt when there is no room for one.
    Refused,
    /// No packet at all, or one that no client may send.
    Malformed,
    /// From a port that no client uses.
    Blocked,
    /// A new attempt while the server is being stopped.
    Draining,
}

impl DropReason {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 10] = [
        Self::TooShort,
        Self::UnknownConnectionId,
        Self::UnsupportedVersion,
        Self::InitialTooSmall,
        Self::MailboxFull,
        Self::RateLimited,
        Self::Refused,
        Self::Malformed,
        Self::Blocked,
        Self::Draining,
    ];

    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooShort => "too_short",
            Self::UnknownConnectionId => "unknown_cid",
            Self::UnsupportedVersion => "unsupported_version",
            Self::InitialTooSmall => "initial_too_small",
            Self::MailboxFull => "mailbox_full",
            Self::RateLimited => "rate_limited",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::Blocked => "blocked",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for DropReason {}

/// A client's first packet, as far as it can be read without keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// Its version.
    pub version: Version,
    /// Where it went.
    pub destination: ConnectionId,
    /// Whom it is from.
    pub source: ConnectionId,
    /// Its address.
    pub remote: SocketAddr,
}

/// A new connection, as [`Acceptor::decide`] permits it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Accepted {
    /// The Initial packet. Its `destination` makes the Initial keys, and is the name by which the client's further
    /// packets are found (see [`Router::add_initial`](crate::router::Router::add_initial)).
    pub attempt: Attempt,
    /// Where the client's first Initial went, before a Retry if there was one: to be sent back in the transport
    /// parameters (RFC 9000 §7.3).
    pub original_destination: ConnectionId,
    /// The source id of our Retry, if there was one: also to be sent back.
    pub retry_source: Option<ConnectionId>,
    /// Whether the client's address is proven by a token.
    pub validated: bool,
}

/// What to do with a datagram that belongs to nobody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Begin a connection.
    Accept(Accepted),
    /// Send a Retry ([`answer::retry`]).
    Retry(Attempt),
    /// Send CONNECTION_REFUSED in an Initial ([`answer::close`]).
    Refuse(Attempt),
    /// Send INVALID_TOKEN in an Initial ([`answer::close`]).
    InvalidToken(Attempt),
    /// Send a Version Negotiation packet ([`version_negotiation::write`](crate::version_negotiation::write)).
    VersionNegotiation,
    /// Send a stateless reset for this id ([`ResetKey::write`](crate::reset::ResetKey::write)).
    StatelessReset(ConnectionId),
    /// Nothing.
    Drop(DropReason),
}

/// How busy the endpoint is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Load {
    /// Handshakes in progress.
    pub handshakes: usize,
    /// Those of them whose client's address is not proven.
    pub unvalidated: usize,
    /// Attempts that wait for the application's decision.
    pub waiting: usize,
    /// How long the datagrams handled now have waited.
    pub backlog: Duration,
    /// Whether the server is being stopped.
    pub draining: bool,
}

/// What the user decided.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whether new connections are accepted at all; a client's socket accepts none.
    pub accepts: bool,
    /// The versions that are spoken.
    pub versions: Vec<Version>,
    /// Whether every client must prove its address first.
    pub always_retry: bool,
    /// Whether stateless resets are sent: not while another process still owns some of the connections
    /// (RFC 9000 §21.11).
    pub resets: bool,
}

/// Tokens that clients brought, for counters.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TokenCounts {
    /// Valid ones.
    pub valid: u64,
    /// By fault, in the order of [`TokenFault`]'s variants.
    pub invalid: [u64; 4],
}

/// Decides about new attempts, for one shard.
#[derive(Debug)]
pub struct Acceptor {
    policy: Policy,
    tokens: AddressTokens,
    sources: SourceLimits,
    negotiations: RateLimit,
    resets: RateLimit,
    refusals: RateLimit,
    retrying: bool,
    counts: [TokenCounts; 2],
}

impl Acceptor {
    /// An acceptor with this policy. `seeds` must be unpredictable.
    pub fn new(policy: Policy, tokens: AddressTokens, seeds: [u64; 2]) -> Self {
        let per_second = |limit| RateLimit::new(limit, limit);
        Self {
            policy,
            tokens,
            sources: SourceLimits::new(seeds),
            negotiations: per_second(limits::VERSION_NEGOTIATIONS_PER_SECOND),
            resets: per_second(limits::STATELESS_RESETS_PER_SECOND),
            refusals: per_second(limits::REFUSALS_PER_SECOND),
            retrying: false,
            counts: [TokenCounts::default(); 2],
        }
    }

    /// The policy, to be changed.
    pub const fn policy_mut(&mut self) -> &mut Policy {
        &mut self.policy
    }

    /// The judge of tokens, with the keys that make them.
    pub const fn tokens(&self) -> &AddressTokens {
        &self.tokens
    }

    /// The tokens of one kind that clients brought.
    pub const fn token_counts(&self, kind: TokenKind) -> &TokenCounts {
        match kind {
            TokenKind::Retry => &self.counts[0],
            TokenKind::NewToken => &self.counts[1],
        }
    }

    /// What to do with a datagram that no route leads anywhere and that is no stateless reset. `unix_time` is the time
    /// since 1970.
    pub fn decide(
        &mut self,
        now: Time,
        unix_time: Duration,
        datagram: &[u8],
        remote: SocketAddr,
        load: &Load,
    ) -> Decision {
        if ports::is_blocked(remote.port()) {
            return Decision::Drop(DropReason::Blocked);
        }
        match packet::peek(datagram, LOCAL_ID_LENGTH) {
            Err(PacketError::Empty | PacketError::Truncated) => Decision::Drop(DropReason::TooShort),
            Err(_) => Decision::Drop(DropReason::Malformed),
            Ok(Peek::Short { destination }) => self.on_short(now, destination, datagram.len()),
            Ok(Peek::Long { .. }) if !self.policy.accepts => Decision::Drop(DropReason::UnknownConnectionId),
            Ok(Peek::Long { version, .. }) if !self.policy.versions.contains(&version) => {
                self.on_unknown_version(now, version, datagram.len())
            }
            //= https://www.rfc-editor.org/rfc/rfc9000#section-5.2.2
            //# Clients are not able
            //# to send Handshake packets prior to receiving a server response, so servers
            //# SHOULD ignore any such packets.
            Ok(Peek::Long { kind, .. }) if kind != Some(PacketKind::Initial) => {
                Decision::Drop(DropReason::UnknownConnectionId)
            }
            Ok(Peek::Long { .. }) => self.on_initial(now, unix_time, datagram, remote, load),
        }
    }

    fn on_short(&mut self, now: Time, destination: ConnectionId, length: usize) -> Decision {
        if stateless_reset::length_in_answer_to(length).is_none() {
            return Decision::Drop(DropReason::TooShort);
        }
        if !self.policy.resets {
            return Decision::Drop(DropReason::UnknownConnectionId);
        }
        if !self.resets.take(now) {
            return Decision::Drop(DropReason::RateLimited);
        }
        Decision::StatelessReset(destination)
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-5.2.2
    //# If a server receives a packet that indicates an unsupported version and if the
    //# packet is large enough to initiate a new connection for any supported version,
    //# the server SHOULD send a Version Negotiation packet as described in Section 6.1.
    fn on_unknown_version(&mut self, now: Time, version: Version, length: usize) -> Decision {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-6.1
        //# An endpoint MUST NOT
        //# send a Version Negotiation packet in response to receiving a Version Negotiation
        //# packet.
        //= https://www.rfc-editor.org/rfc/rfc9000#section-5.2.2
        //# Servers MUST drop smaller packets that specify unsupported
        //# versions.
        if version == Version::NEGOTIATION || length < SMALLEST_INITIAL_DATAGRAM {
            return Decision::Drop(DropReason::UnsupportedVersion);
        }
        if !self.negotiations.take(now) {
            return Decision::Drop(DropReason::RateLimited);
        }
        Decision::VersionNegotiation
    }

    fn on_initial(
        &mut self,
        now: Time,
        unix_time: Duration,
        datagram: &[u8],
        remote: SocketAddr,
        load: &Load,
    ) -> Decision {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-14.1
        //# A server MUST discard an Initial packet that is carried in a UDP datagram with a
        //# payload that is smaller than the smallest allowed maximum datagram size of 1200
        //# bytes.
        if datagram.len() < SMALLEST_INITIAL_DATAGRAM {
            return Decision::Drop(DropReason::InitialTooSmall);
        }
        let Ok(Packet::Protected(header)) = packet::decode(datagram, LOCAL_ID_LENGTH) else {
            return Decision::Drop(DropReason::Malformed);
        };
        //= https://www.rfc-editor.org/rfc/rfc9000#section-7.2
        //# This Destination Connection ID
        //# MUST be at least 8 bytes in length.
        if header.destination.len() < SHORTEST_FIRST_DESTINATION {
            return Decision::Drop(DropReason::Malformed);
        }
        let token = datagram.get(header.token.clone()).unwrap_or_default();
        let attempt =
            Attempt { version: header.version, destination: header.destination, source: header.source, remote };
        let admission = self.admission(load);
        if let Admission::Drop = admission {
            return Decision::Drop(DropReason::Refused);
        }
        // Nobody else can send from a loopback address, and who measures a server from the same machine is no flood.
        let within_limits = remote.ip().to_canonical().is_loopback() || self.sources.take(now, remote.ip());
        // Too many come from there. Whoever sends with forged addresses cannot have obeyed a Retry, so whoever did is
        // heard all the same.
        if !within_limits && TokenKind::of(token) != Some(TokenKind::Retry) {
            return Decision::Drop(DropReason::RateLimited);
        }
        if load.draining {
            return self.close(now, Decision::Refuse(attempt), DropReason::Draining);
        }
        let proof = self.verify(token, &attempt, unix_time);
        if !within_limits && !matches!(proof, Proof::Retry { .. }) {
            return Decision::Drop(DropReason::RateLimited);
        }
        self.decide_attempt(now, attempt, proof, admission)
    }

    fn decide_attempt(&mut self, now: Time, attempt: Attempt, proof: Proof, admission: Admission) -> Decision {
        match (proof, admission) {
            (Proof::Retry { original_destination }, _) => Decision::Accept(Accepted {
                attempt,
                original_destination,
                retry_source: Some(attempt.destination),
                validated: true,
            }),
            //= https://www.rfc-editor.org/rfc/rfc9000#section-8.1.2
            //# If a server receives a client Initial that contains an invalid Retry token but
            //# is otherwise valid, it knows the client will not accept another Retry token.
            //= https://www.rfc-editor.org/rfc/rfc9000#section-8.1.2
            //# Instead, the server SHOULD immediately close (Section 10.2)
            //# the connection with an INVALID_TOKEN error.
            (Proof::InvalidRetry, _) => self.close(now, Decision::InvalidToken(attempt), DropReason::RateLimited),
            //= https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3
            //# If the token is invalid, then the server SHOULD proceed as if the
            //# client did not have a validated address, including potentially sending a Retry
            //# packet.
            (Proof::None, Admission::Retry) => Decision::Retry(attempt),
            (Proof::NewToken | Proof::None, _) => Decision::Accept(Accepted {
                attempt,
                original_destination: attempt.destination,
                retry_source: None,
                validated: matches!(proof, Proof::NewToken),
            }),
        }
    }

    fn close(&mut self, now: Time, decision: Decision, otherwise: DropReason) -> Decision {
        if self.refusals.take(now) { decision } else { Decision::Drop(otherwise) }
    }

    //= https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3
    //# When a server receives an Initial packet with an address validation token, it
    //# MUST attempt to validate the token, unless it has already completed address
    //# validation.
    fn verify(&mut self, token: &[u8], attempt: &Attempt, unix_time: Duration) -> Proof {
        if token.is_empty() {
            return Proof::None;
        }
        let Attempt { version, destination, source, remote } = *attempt;
        let presented = Presented { remote, version, destination, source };
        let result = self.tokens.verify(token, &presented, unix_time);
        let kind = match &result {
            Ok(Valid::Retry { .. }) => Some(TokenKind::Retry),
            Ok(Valid::NewToken) => Some(TokenKind::NewToken),
            // What is not from here was most likely meant for the next connection too.
            Err((kind, _)) => *kind,
        };
        let counts = &mut self.counts[usize::from(kind != Some(TokenKind::Retry))];
        match &result {
            Ok(_) => counts.valid += 1,
            Err((_, fault)) => counts.invalid[*fault as usize] += 1,
        }
        match result {
            Ok(Valid::Retry { original_destination }) => Proof::Retry { original_destination },
            Ok(Valid::NewToken) => Proof::NewToken,
            Err((Some(TokenKind::Retry), _)) => Proof::InvalidRetry,
            Err(_) => Proof::None,
        }
    }

    /// What the load permits. Once Retry is demanded it stays so until the load is half of what began it.
    fn admission(&mut self, load: &Load) -> Admission {
        let part = if self.retrying { 2 } else { 1 };
        self.retrying = load.unvalidated >= limits::HANDSHAKES_BEFORE_RETRY / part
            || load.backlog > limits::BACKLOG_BEFORE_RETRY / part as u32;
        admission(load, self.retrying || self.policy.always_retry)
    }
}

/// Whether the Initial at the beginning of a datagram brings a token.
pub(crate) fn has_token(datagram: &[u8]) -> bool {
    matches!(packet::decode(datagram, LOCAL_ID_LENGTH), Ok(Packet::Protected(header)) if !header.token.is_empty())
}

/// Whether the Initial at the beginning of a client's datagram opens with the keys of its destination id: those are no
/// secret, but what was changed on the way does not. Costs the derivation of keys and one packet.
pub(crate) fn is_authentic(datagram: &[u8], suite: InitialSuite) -> bool {
    let Ok(Packet::Protected(header)) = packet::decode(datagram, LOCAL_ID_LENGTH) else { return false };
    let Some(packet) = datagram.get(..header.end) else { return false };
    let mut copy = packet.to_vec();
    let mut keys = KeyRing::with_suite(suite, Side::Server, header.version, &header.destination);
    // No packet of this attempt was opened before, and clients begin at small numbers.
    keys.open(Level::Initial, &mut copy, header.packet_number_offset, 0, Time::ZERO).is_ok()
}

/// What the load permits to a new attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Admission {
    /// Anybody.
    Accept,
    /// Those who prove their address.
    Retry,
    /// Nobody.
    Drop,
}

fn admission(load: &Load, retry: bool) -> Admission {
    let full = load.handshakes >= limits::HANDSHAKES
        || load.waiting >= limits::INCOMING
        || load.backlog > limits::BACKLOG_BEFORE_DROP;
    match (full, retry) {
        (true, _) => Admission::Drop,
        (false, true) => Admission::Retry,
        (false, false) => Admission::Accept,
    }
}

/// What a token proves.
#[derive(Clone, Copy, Debug)]
enum Proof {
    /// That the client obeyed our Retry.
    Retry { original_destination: ConnectionId },
    /// That the client was here before.
    NewToken,
    /// That the client, or somebody, misuses one.
    InvalidRetry,
    /// Nothing.
    None,
}

const _: () = assert!(TokenFault::Malformed as usize == 3, "the counters have a place for each fault");

#[cfg(test)]
mod tests;
