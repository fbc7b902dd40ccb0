//! What an endpoint counts.

use codec::packet::{self, Peek};

use super::Endpoint;
use crate::accept::{DropReason, Load, TokenCounts};
use crate::address_tokens::TokenKind;
use crate::limits::{self, Limit};
use crate::router::LOCAL_ID_LENGTH;

/// Where datagrams went.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Outcomes {
    /// To a connection.
    pub connection: u64,
    /// To an attempt that waits to be decided about.
    pub new_connection: u64,
    /// To another shard.
    pub other_shard: u64,
    /// They were answered without a connection.
    pub stateless: u64,
    /// Nowhere.
    pub dropped: u64,
}

/// What happened since the last time it was asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Where each datagram went.
    pub outcomes: Outcomes,
    /// Why datagrams were dropped, by [`DropReason`].
    pub drops: [u64; DropReason::ALL.len()],
    /// Retry packets sent.
    pub retries: u64,
    /// Version Negotiation packets sent.
    pub version_negotiations: u64,
    /// Attempts refused with CONNECTION_REFUSED.
    pub refused: u64,
    /// Stateless resets sent.
    pub resets_sent: u64,
    /// Stateless resets recognised.
    pub resets_received: u64,
    /// Tokens of Retry packets, then of NEW_TOKEN frames, that clients brought.
    pub tokens: [TokenCounts; 2],
    /// Bounds hit, by [`Limit`].
    pub limit_hits: [u64; Limit::ALL.len()],
}

impl Endpoint {
    /// What was counted since the last call.
    pub fn take_counts(&mut self) -> Counts {
        let kinds = [TokenKind::Retry, TokenKind::NewToken];
        let totals = kinds.map(|kind| *self.acceptor.token_counts(kind));
        let full = self.acceptor.tokens().times_full();
        let mut counts = std::mem::take(&mut self.counts);
        for ((count, total), reported) in counts.tokens.iter_mut().zip(totals).zip(&mut self.reported.tokens) {
            *count = difference(&total, &std::mem::replace(reported, total));
        }
        counts.limit_hits[Limit::UsedTokens as usize] += full - std::mem::replace(&mut self.reported.full, full);
        counts
    }

    pub(super) fn drop_datagram(&mut self, reason: DropReason) {
        self.counts.outcomes.dropped += 1;
        self.counts.drops[reason as usize] += 1;
    }

    pub(super) fn hit(&mut self, limit: Limit) {
        self.counts.limit_hits[limit as usize] += 1;
    }

    /// Which bound it was that made an attempt's datagram be dropped.
    pub(super) fn count_limit(&mut self, reason: DropReason, datagram: &[u8], load: &Load) {
        let known = |version| self.settings.config.versions.contains(&version);
        let limit = match (reason, packet::peek(datagram, LOCAL_ID_LENGTH)) {
            (DropReason::Refused, _) if load.handshakes >= limits::HANDSHAKES => Limit::Handshakes,
            (DropReason::Refused, _) if load.waiting >= limits::INCOMING => Limit::Incoming,
            (DropReason::RateLimited, Ok(Peek::Short { .. })) => Limit::StatelessResets,
            (DropReason::RateLimited, Ok(Peek::Long { version, .. })) if known(version) => Limit::AttemptsPerSource,
            (DropReason::RateLimited, Ok(Peek::Long { .. })) => Limit::VersionNegotiations,
            _ => return,
        };
        self.hit(limit);
    }
}

/// What take_counts has told already of what only grows.
#[derive(Debug, Default)]
pub(super) struct Reported {
    tokens: [TokenCounts; 2],
    full: u64,
}

fn difference(now: &TokenCounts, before: &TokenCounts) -> TokenCounts {
    let mut invalid = now.invalid;
    for (count, before) in invalid.iter_mut().zip(before.invalid) {
        *count -= before;
    }
    TokenCounts { valid: now.valid - before.valid, invalid }
}
