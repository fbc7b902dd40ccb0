//! Codec: the mix of packets and frames.

use crate::family::Family;
use crate::handle::Counter;
use crate::layer::{label, layer};

label! {
    /// A packet type (RFC 9000 §17).
    PacketType {
        Initial = "initial", ZeroRtt = "zero_rtt", Handshake = "handshake", OneRtt = "one_rtt", Retry = "retry",
        VersionNegotiation = "version_negotiation",
    }
}

label! {
    /// Why a connection discarded a packet.
    PacketDrop {
        Duplicate = "duplicate", Undecryptable = "undecryptable", KeysUnavailable = "keys_unavailable",
        Malformed = "malformed", UnexpectedConnectionId = "unexpected_cid", ReservedBits = "reserved_bits",
        AfterClose = "after_close", Other = "other",
    }
}

label! {
    /// A frame by its name in RFC 9000 §19 and RFC 9221, in the order of `codec::frame::FrameType::index`;
    /// the last stands for types that no machine knows.
    FrameType {
        Padding = "padding", Ping = "ping", Ack = "ack", ResetStream = "reset_stream", StopSending = "stop_sending",
        Crypto = "crypto", NewToken = "new_token", Stream = "stream", MaxData = "max_data",
        MaxStreamData = "max_stream_data", MaxStreamsBidi = "max_streams_bidi", MaxStreamsUni = "max_streams_uni",
        DataBlocked = "data_blocked", StreamDataBlocked = "stream_data_blocked",
        StreamsBlockedBidi = "streams_blocked_bidi", StreamsBlockedUni = "streams_blocked_uni",
        NewConnectionId = "new_connection_id", RetireConnectionId = "retire_connection_id",
        PathChallenge = "path_challenge", PathResponse = "path_response", ConnectionClose = "connection_close",
        ApplicationClose = "application_close", HandshakeDone = "handshake_done", Datagram = "datagram",
        Unknown = "unknown",
    }
}

layer! {
    /// What the connections of a shard read and write.
    CodecMetrics of "codec" {
        packets_received: Family<PacketType, Counter> = "quicast_codec_packets_received_total" by ["type"],
            "QUIC packets accepted.";
        packets_sent: Family<PacketType, Counter> = "quicast_codec_packets_sent_total" by ["type"],
            "QUIC packets sent.";
        packets_dropped: Family<PacketDrop, Counter> = "quicast_codec_packets_dropped_total" by ["reason"],
            "Packets a connection discarded.";
        frames_received: Family<FrameType, Counter> = "quicast_codec_frames_received_total" by ["frame"],
            "Frames by RFC 9000/9221 name.";
        frames_sent: Family<FrameType, Counter> = "quicast_codec_frames_sent_total" by ["frame"],
            "Frames by name.";
    }
}
