//! What the ledger counts.

use crate::lazy::Untouched;
use crate::limits::Limit;

use super::durations::Durations;

/// One number for each kind of stream: first by who opened it (0: we, 1: the peer), then by direction (0:
/// bidirectional, 1: unidirectional).
pub type ByKind = [[u64; 2]; 2];

/// How a stream ended: the first thing that was not the plain end of both halves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(usize)]
pub enum Outcome {
    /// Everything was sent and received.
    #[default]
    Finished,
    /// We reset what we sent.
    ResetLocal,
    /// The peer reset what it sent.
    ResetPeer,
    /// We asked the peer to stop sending.
    StoppedLocal,
    /// The peer asked us to stop sending.
    StoppedPeer,
    /// The connection ended first.
    ConnectionClosed,
}

impl Outcome {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 6] = [
        Self::Finished,
        Self::ResetLocal,
        Self::ResetPeer,
        Self::StoppedLocal,
        Self::StoppedPeer,
        Self::ConnectionClosed,
    ];

    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::ResetLocal => "reset_local",
            Self::ResetPeer => "reset_peer",
            Self::StoppedLocal => "stopped_local",
            Self::StoppedPeer => "stopped_peer",
            Self::ConnectionClosed => "connection_closed",
        }
    }
}

/// Counters since they were last taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LedgerStats {
    /// Streams that came into being.
    pub opened: ByKind,
    /// Streams that are gone, by [`Outcome`].
    pub closed: [ByKind; Outcome::ALL.len()],
    /// Bytes by which received streams grew; what arrived twice counts once.
    pub bytes_received: u64,
    /// Received bytes for whose room the application or a discarded stream made up.
    pub bytes_consumed: u64,
    /// Bytes that were sent, each counted once.
    pub bytes_sent: u64,
    /// Bytes that the peer acknowledged.
    pub bytes_acknowledged: u64,
    /// Bytes that were sent again.
    pub bytes_retransmitted: u64,
    /// DATA_BLOCKED frames written.
    pub data_blocked_sent: u64,
    /// STREAM_DATA_BLOCKED frames written.
    pub stream_data_blocked_sent: u64,
    /// STREAMS_BLOCKED frames written, by direction (0: bidirectional, 1: unidirectional).
    pub streams_blocked_sent: [u64; 2],
    /// DATA_BLOCKED frames of the peer.
    pub data_blocked_received: u64,
    /// STREAM_DATA_BLOCKED frames of the peer.
    pub stream_data_blocked_received: u64,
    /// STREAMS_BLOCKED frames of the peer, by direction.
    pub streams_blocked_received: [u64; 2],
    /// How long the streams lived that are gone, and their direction.
    pub durations: Durations,
    /// Streams whose credit was not returned at once, because the peer cancels faster than a round trip permits.
    pub credit_delayed: u64,
    hits: [u64; HITS.len()],
}

impl Untouched for LedgerStats {
    const VALUE: &'static Self = &Self::NOTHING;
}

impl Default for LedgerStats {
    fn default() -> Self {
        Self::NOTHING
    }
}

impl LedgerStats {
    const NOTHING: Self = Self {
        opened: [[0; 2]; 2],
        closed: [[[0; 2]; 2]; Outcome::ALL.len()],
        bytes_received: 0,
        bytes_consumed: 0,
        bytes_sent: 0,
        bytes_acknowledged: 0,
        bytes_retransmitted: 0,
        data_blocked_sent: 0,
        stream_data_blocked_sent: 0,
        streams_blocked_sent: [0; 2],
        data_blocked_received: 0,
        stream_data_blocked_received: 0,
        streams_blocked_received: [0; 2],
        durations: Durations::NONE,
        credit_delayed: 0,
        hits: [0; HITS.len()],
    };

    /// How often the peer ran into a bound.
    pub fn limit_hits(&self) -> impl Iterator<Item = (Limit, u64)> + '_ {
        HITS.into_iter().zip(self.hits)
    }

    pub(super) fn hit(&mut self, limit: Limit) {
        if let Some(position) = HITS.iter().position(|counted| *counted == limit) {
            self.hits[position] += 1;
        }
    }
}

/// The bounds that a ledger enforces.
const HITS: [Limit; 4] = [Limit::Streams, Limit::StreamWindow, Limit::ConnectionWindow, Limit::ControlFrames];
