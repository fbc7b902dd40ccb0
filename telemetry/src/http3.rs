//! HTTP/3: frames, errors, tunnels and datagrams.

use crate::family::Family;
use crate::handle::Counter;
use crate::labels::Direction;
use crate::layer::{label, layer};

label! {
    /// A frame of HTTP/3 by its name; the types that HTTP/2 had, and those without meaning, are `reserved`.
    FrameType {
        Data = "data", Headers = "headers", CancelPush = "cancel_push", Settings = "settings",
        PushPromise = "push_promise", Goaway = "goaway", MaxPushId = "max_push_id",
        PriorityUpdate = "priority_update", Reserved = "reserved", Unknown = "unknown",
    }
}

label! {
    /// An error code by its name in RFC 9114 §8.1, RFC 9204 §6 and RFC 9297 §2.1; what the peer invents is `other`.
    ErrorCode {
        NoError = "h3_no_error", GeneralProtocolError = "h3_general_protocol_error",
        InternalError = "h3_internal_error", StreamCreationError = "h3_stream_creation_error",
        ClosedCriticalStream = "h3_closed_critical_stream", FrameUnexpected = "h3_frame_unexpected",
        FrameError = "h3_frame_error", ExcessiveLoad = "h3_excessive_load", IdError = "h3_id_error",
        SettingsError = "h3_settings_error", MissingSettings = "h3_missing_settings",
        RequestRejected = "h3_request_rejected", RequestCancelled = "h3_request_cancelled",
        RequestIncomplete = "h3_request_incomplete", MessageError = "h3_message_error",
        ConnectError = "h3_connect_error", VersionFallback = "h3_version_fallback",
        DatagramError = "h3_datagram_error", QpackDecompressionFailed = "qpack_decompression_failed",
        QpackEncoderStreamError = "qpack_encoder_stream_error",
        QpackDecoderStreamError = "qpack_decoder_stream_error", Other = "other",
    }
}

label! {
    /// What a CONNECT request is for: its `:protocol`, or that it has none.
    Tunnel {
        WebTransport = "webtransport", WebSocket = "websocket", ConnectUdp = "connect_udp",
        ConnectTcp = "connect_tcp", Other = "other",
    }
}

label! {
    /// How a CONNECT request was answered.
    Answer { Accepted = "accepted", Refused = "refused", }
}

label! {
    /// What became of an HTTP datagram.
    DatagramFate { Sent = "sent", Received = "received", Dropped = "dropped", }
}

layer! {
    /// What the HTTP/3 connections of a shard say and hear.
    Http3Metrics of "http3" {
        frames: Family<(Direction, FrameType), Counter> = "quicast_http3_frames_total" by ["direction", "frame"],
            "HTTP/3 frames by name.";
        errors: Family<(Direction, ErrorCode), Counter> = "quicast_http3_errors_total" by ["direction", "code"],
            "Errors of streams and connections by the RFC's name of the code.";
        connects: Family<(Tunnel, Answer), Counter> = "quicast_http3_connect_requests_total" by ["protocol", "result"],
            "CONNECT requests, plain and extended, by their answer.";
        datagrams: Family<DatagramFate, Counter> = "quicast_http3_datagrams_total" by ["direction"],
            "HTTP datagrams; dropped are those whose request is not open, that nobody took in time, or that could not be sent.";
    }
}
