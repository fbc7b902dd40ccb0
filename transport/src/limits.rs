//! Every bound that a peer can run into, in one place.
//!
//! Each is a promise: what is below it is served, what is above it is handled as its line says, and memory does not grow
//! with what a peer sends. The machine that enforces a bound counts the hit under the name in [`Limit`].

use std::time::Duration;

/// CRYPTO bytes kept in the Initial space before they can be read; more is CRYPTO_BUFFER_EXCEEDED (RFC 9000 §7.5).
pub const CRYPTO_BUFFER_INITIAL: u64 = 16 * 1024;
/// The same in the Handshake space, where certificate chains travel.
pub const CRYPTO_BUFFER_HANDSHAKE: u64 = 64 * 1024;
/// The same in the Application space, where only tickets travel.
pub const CRYPTO_BUFFER_APPLICATION: u64 = 16 * 1024;
/// Gaps in one CRYPTO stream; more is CRYPTO_BUFFER_EXCEEDED.
pub const CRYPTO_GAPS: usize = 64;

/// Packets that came before their keys, kept for each connection; more are dropped.
pub const EARLY_PACKETS: usize = 10;
/// Bytes of such packets kept for each connection; more are dropped.
pub const EARLY_BYTES: usize = 16 * 1024;

/// How often what was said in a handshake is said again before its probe timeout, because the peer shows that it misses
/// it (RFC 9002 §6.2.3).
pub const HASTENED: u8 = 3;

/// Bytes of Initial datagrams kept for one attempt that the application has not decided about.
pub const INCOMING_BYTES: usize = 16 * 1024;
/// Bytes of Initial datagrams kept for all such attempts of an endpoint.
pub const INCOMING_BYTES_ALL: usize = 64 * 1024 * 1024;
/// Attempts that wait for the application's decision; more are dropped.
pub const INCOMING: usize = 1024;
/// Handshakes in progress from unvalidated addresses from which on every new attempt gets a Retry (RFC 9000 §8.1.2).
pub const HANDSHAKES_BEFORE_RETRY: usize = 1000;
/// Handshakes in progress from which on new attempts are dropped before any cryptography.
pub const HANDSHAKES: usize = 4000;
/// New attempts from one /32 or /56 in a second, in the long run.
pub const ATTEMPTS_PER_SOURCE_PER_SECOND: u32 = 50;
/// New attempts from one /32 or /56 at once.
pub const ATTEMPTS_PER_SOURCE_BURST: u32 = 200;
/// How old datagrams may be when they are looked at before new attempts get a Retry.
pub const BACKLOG_BEFORE_RETRY: Duration = Duration::from_millis(50);
/// How old they may be before new attempts are dropped.
pub const BACKLOG_BEFORE_DROP: Duration = Duration::from_millis(250);
/// Attempts that are told in a second that they are refused, which costs the derivation of Initial keys; more are dropped.
pub const REFUSALS_PER_SECOND: u32 = 100;
/// Connections that ended and whose ids are still known, so that late packets are not taken for new ones; the oldest goes.
pub const CLOSED_CONNECTIONS: usize = 1024;
/// The largest UDP payload that a connection may begin with. Its first datagrams are full, of packets with long headers,
/// whose length is written in 14 bits (at most 16,383 bytes from the packet number on). Larger ones are probed for later.
pub const FIRST_DATAGRAM: u16 = 16_000;
/// The smallest one (RFC 9000 §14.1).
pub const FIRST_DATAGRAM_LEAST: u16 = 1200;

/// How long a handshake may take, whatever the peer sends meanwhile.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// Challenges waiting for our PATH_RESPONSE on one path; the newest wins.
pub const PATH_RESPONSES_PER_PATH: usize = 1;
/// The same over all paths of a connection; more are ignored.
pub const PATH_RESPONSES: usize = 4;
/// Paths of a connection that are known at once; datagrams from further addresses are dropped.
pub const PATHS: usize = 3;
/// How often more is sent to an unvalidated address than came from it (RFC 9000 §8).
pub const AMPLIFICATION_FACTOR: u64 = 3;

/// Connection ids of the peer that we keep (our active_connection_id_limit, RFC 9000 §18.2); more is
/// CONNECTION_ID_LIMIT_ERROR.
pub const ACTIVE_CONNECTION_IDS: u64 = 4;
/// Retired ids whose RETIRE_CONNECTION_ID is not acknowledged; more is CONNECTION_ID_LIMIT_ERROR (RFC 9000 §5.1.2).
pub const RETIRED_CONNECTION_IDS: usize = 8;
/// Connection ids that we issue at most, whatever the peer permits.
pub const ISSUED_CONNECTION_IDS: u64 = 4;

/// Control frames waiting to be sent, of all kinds together; more closes the connection.
pub const CONTROL_FRAMES: usize = 512;
/// Sent packets remembered for each connection; no more are sent until some are acknowledged or lost.
pub const SENT_PACKETS: usize = 25_000;
/// ACK-only packets after which one must be ack-eliciting, so that the peer's acknowledgement lets us forget them.
pub const ACK_ONLY_PACKETS: u32 = 24;

/// Gaps in the data of one stream; pieces that would make more are copied into dense pages, so that what they hold stays
/// in proportion to the window.
pub const STREAM_GAPS: usize = 1000;
/// The same over all streams of a connection.
pub const CONNECTION_GAPS: usize = 4096;
/// Received pieces smaller than this are copied, so that a byte never holds a receive buffer.
pub const COPIED_BELOW: usize = 1024;
/// Bytes of one stream that are handed over for sending before they leave: enough for more to come while they do, or the last
/// batch of each turn would be a small one; not more than stays in a processor's cache.
pub const SEND_AHEAD: u64 = 384 * 1024;

/// Streams of each kind that a peer may have open at once.
pub const STREAMS: u64 = 100;
/// First flow-control window of a stream, in bytes.
pub const STREAM_WINDOW: u64 = 256 * 1024;
/// First flow-control window of a connection, in bytes.
pub const CONNECTION_WINDOW: u64 = 1024 * 1024;
/// The largest that auto-tuning makes the window of a connection or of a stream, in bytes.
pub const WINDOW_MAXIMUM: u64 = 16 * 1024 * 1024;

/// DATAGRAM frames kept in each direction; the oldest is dropped.
pub const DATAGRAMS: usize = 128;
/// Bytes of DATAGRAM frames kept in each direction; the oldest are dropped.
pub const DATAGRAM_BYTES: usize = 64 * 1024;

/// Bytes of a reason phrase that are kept and sent.
pub const REASON_BYTES: usize = 512;
/// Probe timeouts in a row after which the connection is given up.
pub const PROBE_TIMEOUTS: u32 = 10;

/// How long a Retry token is good for.
pub const RETRY_TOKEN_LIFETIME: Duration = Duration::from_secs(5);
/// How long a NEW_TOKEN token is good for.
pub const NEW_TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Used tokens remembered, so that none is used twice; when full, tokens are refused.
pub const USED_TOKENS: usize = 16_384;
/// Version Negotiation packets in a second.
pub const VERSION_NEGOTIATIONS_PER_SECOND: u32 = 100;
/// Stateless resets in a second.
pub const STATELESS_RESETS_PER_SECOND: u32 = 50;

/// The bounds that are counted, one name each: the label of `quicast_limit_hits_total{limit}`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(usize)]
#[expect(missing_docs, reason = "each variant is the constant of the same name above")]
pub enum Limit {
    CryptoBuffer,
    CryptoGaps,
    EarlyPackets,
    IncomingBytes,
    Incoming,
    Handshakes,
    AttemptsPerSource,
    HandshakeTime,
    PathResponses,
    Paths,
    Amplification,
    ActiveConnectionIds,
    RetiredConnectionIds,
    ControlFrames,
    SentPackets,
    StreamGaps,
    ConnectionGaps,
    Streams,
    StreamWindow,
    ConnectionWindow,
    Datagrams,
    ProbeTimeouts,
    UsedTokens,
    VersionNegotiations,
    StatelessResets,
}

impl Limit {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 25] = [
        Self::CryptoBuffer,
        Self::CryptoGaps,
        Self::EarlyPackets,
        Self::IncomingBytes,
        Self::Incoming,
        Self::Handshakes,
        Self::AttemptsPerSource,
        Self::HandshakeTime,
        Self::PathResponses,
        Self::Paths,
        Self::Amplification,
        Self::ActiveConnectionIds,
        Self::RetiredConnectionIds,
        Self::ControlFrames,
        Self::SentPackets,
        Self::StreamGaps,
        Self::ConnectionGaps,
        Self::Streams,
        Self::StreamWindow,
        Self::ConnectionWindow,
        Self::Datagrams,
        Self::ProbeTimeouts,
        Self::UsedTokens,
        Self::VersionNegotiations,
        Self::StatelessResets,
    ];

    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CryptoBuffer => "crypto_buffer",
            Self::CryptoGaps => "crypto_gaps",
            Self::EarlyPackets => "early_packets",
            Self::IncomingBytes => "incoming_bytes",
            Self::Incoming => "incoming",
            Self::Handshakes => "handshakes",
            Self::AttemptsPerSource => "attempts_per_source",
            Self::HandshakeTime => "handshake_time",
            Self::PathResponses => "path_responses",
            Self::Paths => "paths",
            Self::Amplification => "amplification",
            Self::ActiveConnectionIds => "active_connection_ids",
            Self::RetiredConnectionIds => "retired_connection_ids",
            Self::ControlFrames => "control_frames",
            Self::SentPackets => "sent_packets",
            Self::StreamGaps => "stream_gaps",
            Self::ConnectionGaps => "connection_gaps",
            Self::Streams => "streams",
            Self::StreamWindow => "stream_window",
            Self::ConnectionWindow => "connection_window",
            Self::Datagrams => "datagrams",
            Self::ProbeTimeouts => "probe_timeouts",
            Self::UsedTokens => "used_tokens",
            Self::VersionNegotiations => "version_negotiations",
            Self::StatelessResets => "stateless_resets",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Limit;

    #[test]
    fn limits_are_listed_in_the_order_of_their_discriminants() {
        for (index, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, index, "{}", limit.as_str());
        }
    }
}
