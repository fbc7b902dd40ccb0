//! Connection: how many there are, how they end, and which of our bounds their peers ran into.

use crate::family::Family;
use crate::handle::{Counter, Histogram, Level};
use crate::labels::{Alpn, Direction, Role};
use crate::layer::{label, layer};

label! {
    /// A QUIC version that we speak.
    Version { V1 = "v1", V2 = "v2", }
}

label! {
    /// Why a connection was refused.
    RefusedReason {
        Limit = "limit", Overload = "overload", Policy = "policy", NoAlpn = "no_alpn", Shutdown = "shutdown",
    }
}

label! {
    /// Why a connection ended.
    CloseCause {
        LocalApplication = "local_application", PeerApplication = "peer_application",
        LocalTransport = "local_transport", PeerTransport = "peer_transport", IdleTimeout = "idle_timeout",
        HandshakeTimeout = "handshake_timeout", StatelessReset = "stateless_reset",
        VersionMismatch = "version_mismatch", Shutdown = "shutdown",
    }
}

label! {
    /// A transport error code by its name in RFC 9000 §20.1 and RFC 9368; TLS alerts are one, and what the peer invents is
    /// `other`.
    ErrorCode {
        NoError = "no_error", InternalError = "internal_error", ConnectionRefused = "connection_refused",
        FlowControlError = "flow_control_error", StreamLimitError = "stream_limit_error",
        StreamStateError = "stream_state_error", FinalSizeError = "final_size_error",
        FrameEncodingError = "frame_encoding_error", TransportParameterError = "transport_parameter_error",
        ConnectionIdLimitError = "connection_id_limit_error", ProtocolViolation = "protocol_violation",
        InvalidToken = "invalid_token", ApplicationError = "application_error",
        CryptoBufferExceeded = "crypto_buffer_exceeded", KeyUpdateError = "key_update_error",
        AeadLimitReached = "aead_limit_reached", NoViablePath = "no_viable_path",
        VersionNegotiationError = "version_negotiation_error", CryptoError = "crypto_error", Other = "other",
    }
}

impl ErrorCode {
    /// The label of a code from the wire.
    pub fn of(code: u64) -> Self {
        use crate::family::Label as _;
        const NAMED: usize = ErrorCode::CryptoError as usize;
        match code {
            0x0100..=0x01ff => Self::CryptoError,
            _ => usize::try_from(code)
                .ok()
                .filter(|code| *code < NAMED)
                .and_then(|code| Self::ALL.get(code).copied())
                .unwrap_or(Self::Other),
        }
    }
}

label! {
    /// Which limit somebody was blocked by (RFC 9000 §4).
    BlockedScope {
        Connection = "connection", Stream = "stream", StreamsBidi = "streams_bidi", StreamsUni = "streams_uni",
    }
}

label! {
    /// What happened to a connection ID.
    IdEvent { Issued = "issued", Retired = "retired", }
}

label! {
    /// Why a DATAGRAM frame was lost on our side.
    DatagramDrop { QueueFull = "queue_full", TooLarge = "too_large", Expired = "expired", }
}

label! {
    /// What a connection keeps bytes for.
    Buffer {
        StreamSend = "stream_send", StreamReceive = "stream_receive", Crypto = "crypto", Datagram = "datagram",
        PacketPool = "packet_pool",
    }
}

label! {
    /// A bound that a peer can run into, in the order of `transport::limits::Limit`, and then of `http3::Limit`.
    Limit {
        CryptoBuffer = "crypto_buffer", CryptoGaps = "crypto_gaps", EarlyPackets = "early_packets",
        IncomingBytes = "incoming_bytes", Incoming = "incoming", Handshakes = "handshakes",
        AttemptsPerSource = "attempts_per_source", HandshakeTime = "handshake_time", PathResponses = "path_responses",
        Paths = "paths", Amplification = "amplification", ActiveConnectionIds = "active_connection_ids",
        RetiredConnectionIds = "retired_connection_ids", ControlFrames = "control_frames",
        SentPackets = "sent_packets", StreamGaps = "stream_gaps", ConnectionGaps = "connection_gaps",
        Streams = "streams", StreamWindow = "stream_window", ConnectionWindow = "connection_window",
        Datagrams = "datagrams", ProbeTimeouts = "probe_timeouts", UsedTokens = "used_tokens",
        VersionNegotiations = "version_negotiations", StatelessResets = "stateless_resets",
        Http3SettingsFrame = "http3_settings_frame", Http3PriorityUpdateFrame = "http3_priority_update_frame",
        Http3FieldSection = "http3_field_section", Http3UndispatchedFields = "http3_undispatched_fields",
        Http3InterimResponses = "http3_interim_responses", Http3BlockedTime = "http3_blocked_time",
        Http3Glitches = "http3_glitches", Http3RapidResets = "http3_rapid_resets",
        Http3EarlyPriorities = "http3_early_priorities", Http3PendingRequests = "http3_pending_requests",
        Http3HeadersTime = "http3_headers_time", Http3ContentRate = "http3_content_rate",
        Http3RequestTime = "http3_request_time",
    }
}

layer! {
    /// What the connections of a shard live through.
    ConnectionMetrics of "connection" {
        open: Family<(Role, Alpn), Level> = "quicast_connections" by ["role", "alpn"],
            "Open connections.";
        established: Family<(Role, Version, Alpn), Counter> =
            "quicast_connections_established_total" by ["role", "version", "alpn"],
            "Handshakes confirmed.";
        refused: Family<RefusedReason, Counter> = "quicast_connections_refused_total" by ["reason"],
            "Refused before or in handshake.";
        closed: Family<(Role, CloseCause), Counter> = "quicast_connections_closed_total" by ["role", "cause"],
            "Closed, by cause.";
        errors: Family<(Direction, ErrorCode), Counter> =
            "quicast_connection_transport_errors_total" by ["direction", "code"],
            "CONNECTION_CLOSE transport codes by RFC 9000 name (crypto_error folded into one; see tls_alerts_total).";
        duration: Family<Role, Histogram> = "quicast_connection_duration_seconds" by ["role"] in DURATION,
            "Lifetime at close.";
        flow_control_blocked: Family<(Direction, BlockedScope), Counter> =
            "quicast_connection_flow_control_blocked_total" by ["direction", "scope"],
            "*_BLOCKED frames.";
        ids: Family<IdEvent, Counter> = "quicast_connection_ids_total" by ["event"],
            "Connection IDs.";
        datagrams_dropped: Family<(Direction, DatagramDrop), Counter> =
            "quicast_connection_datagram_frames_dropped_total" by ["direction", "reason"],
            "DATAGRAM frames lost locally.";
        buffered: Family<Buffer, Level> = "quicast_connection_buffered_bytes" by ["buffer"],
            "Memory held for connections.";
        limit_hits: Family<Limit, Counter> = "quicast_limit_hits_total" by ["limit"],
            "Times a peer ran into one of our bounds, whatever followed (docs: transport/src/limits.rs, http3/src/limits.rs).";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_labelled_by_the_names_of_the_rfc() {
        assert_eq!(ErrorCode::of(0), ErrorCode::NoError);
        assert_eq!(ErrorCode::of(0x7), ErrorCode::FrameEncodingError);
        assert_eq!(ErrorCode::of(0xa), ErrorCode::ProtocolViolation);
        assert_eq!(ErrorCode::of(0x10), ErrorCode::NoViablePath);
        assert_eq!(ErrorCode::of(0x11), ErrorCode::VersionNegotiationError);
        assert_eq!(ErrorCode::of(0x178), ErrorCode::CryptoError);
    }

    #[test]
    fn a_code_that_the_peer_invents_is_other() {
        for code in [0x12, 0x13, 0xff, 0x200, u64::MAX] {
            assert_eq!(ErrorCode::of(code), ErrorCode::Other, "{code:#x}");
        }
    }
}
