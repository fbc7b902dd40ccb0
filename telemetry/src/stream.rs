//! Stream: how many, how they end, and how much useful went through them.

use crate::family::Family;
use crate::handle::{Counter, Histogram, Level};
use crate::labels::Initiator;
use crate::layer::{label, layer};

label! {
    /// Whether a stream goes both ways.
    StreamType { Bidirectional = "bidi", Unidirectional = "uni", }
}

label! {
    /// How a stream ended.
    StreamOutcome {
        Finished = "finished", ResetLocal = "reset_local", ResetPeer = "reset_peer", StoppedLocal = "stopped_local",
        StoppedPeer = "stopped_peer", ConnectionClosed = "connection_closed",
    }
}

layer! {
    /// What the streams of a shard carry.
    StreamMetrics of "stream" {
        open: Family<(StreamType, Initiator), Level> = "quicast_streams" by ["type", "initiator"],
            "Open streams.";
        opened: Family<(StreamType, Initiator), Counter> = "quicast_streams_opened_total" by ["type", "initiator"],
            "Streams opened.";
        closed: Family<StreamOutcome, Counter> = "quicast_streams_closed_total" by ["outcome"],
            "How they ended.";
        received_bytes: Counter = "quicast_stream_received_bytes_total",
            "Stream payload delivered to the application (goodput in).";
        sent_bytes: Counter = "quicast_stream_sent_bytes_total",
            "Stream payload acknowledged by the peer (goodput out).";
        duration: Family<StreamType, Histogram> = "quicast_stream_duration_seconds" by ["type"] in DURATION,
            "Open to closed.";
    }
}
