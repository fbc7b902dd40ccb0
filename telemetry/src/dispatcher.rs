//! Dispatcher: where each datagram went, and why some went nowhere.

use crate::family::{Family, PerShard};
use crate::handle::{Counter, Level};
use crate::labels::{Direction, Role};
use crate::layer::{label, layer};

label! {
    /// Where a datagram went.
    Outcome {
        Connection = "connection", NewConnection = "new_connection", OtherWorker = "other_worker",
        Stateless = "stateless", Dropped = "dropped",
    }
}

label! {
    /// Why a datagram was dropped before a connection saw it.
    DropReason {
        TooShort = "too_short", UnknownConnectionId = "unknown_cid", UnsupportedVersion = "unsupported_version",
        InitialTooSmall = "initial_too_small", MailboxFull = "mailbox_full", RateLimited = "rate_limited",
        Refused = "refused", Malformed = "malformed", Blocked = "blocked", Draining = "draining",
    }
}

label! {
    /// Where an address-validation token came from (RFC 9000 §8.1).
    TokenKind { Retry = "retry", NewToken = "new_token", }
}

label! {
    /// What became of an address-validation token.
    TokenResult {
        Valid = "valid", Expired = "expired", WrongAddress = "wrong_address", Reused = "reused",
        Malformed = "malformed",
    }
}

layer! {
    /// What one shard's dispatcher decides.
    DispatcherMetrics of "dispatcher" {
        datagrams: Family<Outcome, Counter> = "quicast_dispatcher_datagrams_total" by ["outcome"],
            "Where each datagram went.";
        drops: Family<DropReason, Counter> = "quicast_dispatcher_drops_total" by ["reason"],
            "Datagrams dropped before a connection saw them.";
        routes: PerShard<Level> = "quicast_dispatcher_cid_table_entries" by ["shard"],
            "Connection IDs routed by this shard.";
        handshakes: Family<Role, Level> = "quicast_dispatcher_handshakes_in_progress" by ["role"],
            "Half-open connections.";
        retries: Counter = "quicast_dispatcher_retries_sent_total",
            "Retry packets sent.";
        tokens: Family<(TokenKind, TokenResult), Counter> = "quicast_dispatcher_tokens_total" by ["kind", "result"],
            "Address validation tokens presented.";
        version_negotiations: Counter = "quicast_dispatcher_version_negotiations_sent_total",
            "Version Negotiation packets sent.";
        stateless_resets: Family<Direction, Counter> = "quicast_dispatcher_stateless_resets_total" by ["direction"],
            "Stateless resets.";
        amplification_blocked: Counter = "quicast_dispatcher_amplification_blocked_total",
            "Times a send was held by the 3x anti-amplification limit.";
    }
}
