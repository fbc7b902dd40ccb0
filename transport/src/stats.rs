//! [`Stats`]: what a connection counted since it was last asked. Plain integers; the shell adds them to its metrics once
//! a turn.

use std::time::Duration;

use codec::frame::FrameType;
use codec::packet::PacketKind;
use recovery::SpaceId;

use crate::lazy::{Lazy, Untouched};
use crate::limits::Limit;
use crate::stream::ledger::LedgerStats;

/// Why a packet for this connection was forgotten.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(usize)]
pub enum PacketDrop {
    /// It was there before.
    Duplicate,
    /// It did not open: corrupted, injected, or protected with keys that are gone.
    Undecryptable,
    /// Its keys are not there yet, or no longer.
    KeysUnavailable,
    /// Its header made no sense.
    Malformed,
    /// It came with ids that this connection does not expect at this point.
    UnexpectedConnectionId,
    /// The connection was over.
    AfterClose,
    /// Anything else: an unknown path, a Retry or Version Negotiation that must be ignored.
    Other,
}

impl PacketDrop {
    /// How many there are.
    pub const COUNT: usize = 7;
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Duplicate,
        Self::Undecryptable,
        Self::KeysUnavailable,
        Self::Malformed,
        Self::UnexpectedConnectionId,
        Self::AfterClose,
        Self::Other,
    ];

    /// The label of `quicast_codec_packets_dropped_total{reason}`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Undecryptable => "undecryptable",
            Self::KeysUnavailable => "keys_unavailable",
            Self::Malformed => "malformed",
            Self::UnexpectedConnectionId => "unexpected_cid",
            Self::AfterClose => "after_close",
            Self::Other => "other",
        }
    }
}

/// What kept the sender from sending more at the end of a turn.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(usize)]
pub enum SendLimit {
    /// There was nothing more to send.
    #[default]
    Application,
    /// The congestion window.
    Congestion,
    /// The pacer.
    Pacing,
    /// The peer's limit for the connection.
    FlowConnection,
    /// The peer's limit for streams.
    FlowStream,
    /// The peer's address is not validated.
    Amplification,
    /// No buffer to send with.
    Socket,
}

impl SendLimit {
    /// How many there are.
    pub const COUNT: usize = 7;
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Application,
        Self::Congestion,
        Self::Pacing,
        Self::FlowConnection,
        Self::FlowStream,
        Self::Amplification,
        Self::Socket,
    ];

    /// The label of `quicast_connection_send_limited_seconds_total{limit}`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Congestion => "congestion",
            Self::Pacing => "pacing",
            Self::FlowConnection => "flow_connection",
            Self::FlowStream => "flow_stream",
            Self::Amplification => "amplification",
            Self::Socket => "socket",
        }
    }
}

/// Counters since the last `take_stats`.
#[derive(Clone, Debug)]
pub struct Stats {
    /// Packets accepted, by [`kind_index`].
    pub packets_received: [u64; 6],
    /// Packets sent, by [`kind_index`].
    pub packets_sent: [u64; 6],
    /// Packets forgotten, by [`PacketDrop`].
    pub packets_dropped: [u64; PacketDrop::COUNT],
    /// Packets that did not open, by the level of their protection.
    pub decrypt_failures: [u64; 4],
    /// Frames accepted, by [`FrameType::index`].
    pub frames_received: [u64; FrameType::COUNT],
    /// Frames sent, by [`FrameType::index`].
    pub frames_sent: [u64; FrameType::COUNT],
    /// Packets newly acknowledged, by [`SpaceId::index`].
    pub packets_acknowledged: [u64; 3],
    /// Packets declared lost because later ones were acknowledged, by [`SpaceId::index`].
    pub packets_lost_by_packet_threshold: [u64; 3],
    /// Packets declared lost because they were late, by [`SpaceId::index`].
    pub packets_lost_by_time_threshold: [u64; 3],
    /// Bytes of packets declared lost.
    pub lost_bytes: u64,
    /// Packets declared lost that were acknowledged after all.
    pub spurious_losses: u64,
    /// Probe timeouts, by [`SpaceId::index`].
    pub probe_timeouts: [u64; 3],
    /// Times persistent congestion was established.
    pub persistent_congestion: u64,
    /// Times ECN was found to work on a path.
    pub ecn_capable: u64,
    /// Times ECN was found not to work on a path.
    pub ecn_failed: u64,
    /// A sample of the delay that acknowledgements name, of those sent and of those received.
    pub ack_delays: [Option<Duration>; 2],
    /// UDP payload bytes sent.
    pub bytes_sent: u64,
    /// UDP payload bytes received.
    pub bytes_received: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Key updates that we began.
    pub key_updates_local: u64,
    /// Key updates that the peer began.
    pub key_updates_peer: u64,
    /// What packet protection cost, if it is [measured](crate::Connection::measure_crypto).
    pub crypto_time: tls::CryptoTime,
    /// Paths validated.
    pub paths_validated: u64,
    /// Paths whose validation failed.
    pub paths_failed: u64,
    /// Times the peer's address changed, by [`crate::path::MigrationKind`].
    pub migrations: [u64; 3],
    /// Probes for a larger datagram that arrived.
    pub mtu_probes_acknowledged: u64,
    /// Probes for a larger datagram that did not.
    pub mtu_probes_lost: u64,
    /// The size that a search for larger datagrams ended with.
    pub mtu_found: Option<u16>,
    /// Times large datagrams stopped arriving.
    pub mtu_black_holes: u64,
    /// Times a send was held back by the anti-amplification limit.
    pub amplification_blocked: u64,
    /// Connection ids we issued.
    pub connection_ids_issued: u64,
    /// Connection ids of ours that the peer retired.
    pub connection_ids_retired: u64,
    /// DATAGRAM frames lost here: not sent in time, or not read in time.
    pub datagrams_dropped: [u64; 2],
    /// Bounds that were hit, by [`Limit`].
    pub limit_hits: [u64; Limit::ALL.len()],
    /// Nanoseconds that sending was held back, by [`SendLimit`].
    pub limited_nanoseconds: [u64; SendLimit::COUNT],
    /// What the streams counted.
    pub streams: Lazy<LedgerStats>,
}

impl Untouched for Stats {
    const VALUE: &'static Self = &Self::NOTHING;
}

impl Default for Stats {
    fn default() -> Self {
        Self::NOTHING
    }
}

impl Stats {
    const NOTHING: Self = {
        Self {
            packets_received: [0; 6],
            packets_sent: [0; 6],
            packets_dropped: [0; PacketDrop::COUNT],
            decrypt_failures: [0; 4],
            frames_received: [0; FrameType::COUNT],
            frames_sent: [0; FrameType::COUNT],
            packets_acknowledged: [0; 3],
            packets_lost_by_packet_threshold: [0; 3],
            packets_lost_by_time_threshold: [0; 3],
            lost_bytes: 0,
            spurious_losses: 0,
            probe_timeouts: [0; 3],
            persistent_congestion: 0,
            ecn_capable: 0,
            ecn_failed: 0,
            ack_delays: [None; 2],
            bytes_sent: 0,
            bytes_received: 0,
            datagrams_sent: 0,
            datagrams_received: 0,
            key_updates_local: 0,
            key_updates_peer: 0,
            crypto_time: tls::CryptoTime { seal: 0, open: 0, header_protection: 0 },
            paths_validated: 0,
            paths_failed: 0,
            migrations: [0; 3],
            mtu_probes_acknowledged: 0,
            mtu_probes_lost: 0,
            mtu_found: None,
            mtu_black_holes: 0,
            amplification_blocked: 0,
            connection_ids_issued: 0,
            connection_ids_retired: 0,
            datagrams_dropped: [0; 2],
            limit_hits: [0; Limit::ALL.len()],
            limited_nanoseconds: [0; SendLimit::COUNT],
            streams: Lazy::new(),
        }
    };
}

impl Stats {
    pub(crate) fn drop_packet(&mut self, reason: PacketDrop) {
        self.packets_dropped[reason as usize] += 1;
    }

    pub(crate) fn hit(&mut self, limit: Limit) {
        self.limit_hits[limit as usize] += 1;
    }
}

/// The place of a packet kind in [`Stats::packets_received`] and [`Stats::packets_sent`].
pub const fn kind_index(kind: PacketKind) -> usize {
    match kind {
        PacketKind::Initial => 0,
        PacketKind::ZeroRtt => 1,
        PacketKind::Handshake => 2,
        PacketKind::OneRtt => 3,
        PacketKind::Retry => 4,
        PacketKind::VersionNegotiation => 5,
    }
}

/// The labels of [`kind_index`], in order.
pub const KIND_LABELS: [&str; 6] = ["initial", "zero_rtt", "handshake", "one_rtt", "retry", "version_negotiation"];

/// The labels of [`SpaceId::index`], in order.
pub const SPACE_LABELS: [&str; 3] =
    [SpaceId::Initial.as_str(), SpaceId::Handshake.as_str(), SpaceId::Application.as_str()];
