//! [`FrameType`]: names, numbers, and which frame may travel in which packet (RFC 9000 §12.4).

use core::fmt;

use crate::packet::PacketKind;

/// The type that a frame begins with, flags included (RFC 9000 §12.4 table 3).
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FrameType(pub u64);

impl FrameType {
    /// PADDING (RFC 9000 §19.1).
    pub const PADDING: Self = Self(0x00);
    /// PING (RFC 9000 §19.2).
    pub const PING: Self = Self(0x01);
    /// ACK without ECN counts (RFC 9000 §19.3).
    pub const ACK: Self = Self(0x02);
    /// ACK with ECN counts (RFC 9000 §19.3).
    pub const ACK_ECN: Self = Self(0x03);
    /// RESET_STREAM (RFC 9000 §19.4).
    pub const RESET_STREAM: Self = Self(0x04);
    /// STOP_SENDING (RFC 9000 §19.5).
    pub const STOP_SENDING: Self = Self(0x05);
    /// CRYPTO (RFC 9000 §19.6).
    pub const CRYPTO: Self = Self(0x06);
    /// NEW_TOKEN (RFC 9000 §19.7).
    pub const NEW_TOKEN: Self = Self(0x07);
    /// The first of the eight STREAM types (RFC 9000 §19.8).
    pub const STREAM: Self = Self(0x08);
    /// MAX_DATA (RFC 9000 §19.9).
    pub const MAX_DATA: Self = Self(0x10);
    /// MAX_STREAM_DATA (RFC 9000 §19.10).
    pub const MAX_STREAM_DATA: Self = Self(0x11);
    /// MAX_STREAMS for bidirectional streams (RFC 9000 §19.11).
    pub const MAX_STREAMS_BIDI: Self = Self(0x12);
    /// MAX_STREAMS for unidirectional streams (RFC 9000 §19.11).
    pub const MAX_STREAMS_UNI: Self = Self(0x13);
    /// DATA_BLOCKED (RFC 9000 §19.12).
    pub const DATA_BLOCKED: Self = Self(0x14);
    /// STREAM_DATA_BLOCKED (RFC 9000 §19.13).
    pub const STREAM_DATA_BLOCKED: Self = Self(0x15);
    /// STREAMS_BLOCKED for bidirectional streams (RFC 9000 §19.14).
    pub const STREAMS_BLOCKED_BIDI: Self = Self(0x16);
    /// STREAMS_BLOCKED for unidirectional streams (RFC 9000 §19.14).
    pub const STREAMS_BLOCKED_UNI: Self = Self(0x17);
    /// NEW_CONNECTION_ID (RFC 9000 §19.15).
    pub const NEW_CONNECTION_ID: Self = Self(0x18);
    /// RETIRE_CONNECTION_ID (RFC 9000 §19.16).
    pub const RETIRE_CONNECTION_ID: Self = Self(0x19);
    /// PATH_CHALLENGE (RFC 9000 §19.17).
    pub const PATH_CHALLENGE: Self = Self(0x1a);
    /// PATH_RESPONSE (RFC 9000 §19.18).
    pub const PATH_RESPONSE: Self = Self(0x1b);
    /// CONNECTION_CLOSE with a transport error code (RFC 9000 §19.19).
    pub const CONNECTION_CLOSE: Self = Self(0x1c);
    /// CONNECTION_CLOSE with the application's code (RFC 9000 §19.19).
    pub const APPLICATION_CLOSE: Self = Self(0x1d);
    /// HANDSHAKE_DONE (RFC 9000 §19.20).
    pub const HANDSHAKE_DONE: Self = Self(0x1e);
    /// DATAGRAM with a length (RFC 9221 §4); 0x30 is the one without.
    pub const DATAGRAM: Self = Self(0x31);

    /// How many names there are; [`Self::index`] is below it.
    pub const COUNT: usize = 25;

    /// All names by [`Self::index`]: the label of metrics. Frames with the same name differ only in flags. The last one
    /// stands for all types that are not known here, which no [`super::Frame`] has.
    pub const NAMES: [&'static str; Self::COUNT] = [
        "padding",
        "ping",
        "ack",
        "reset_stream",
        "stop_sending",
        "crypto",
        "new_token",
        "stream",
        "max_data",
        "max_stream_data",
        "max_streams_bidi",
        "max_streams_uni",
        "data_blocked",
        "stream_data_blocked",
        "streams_blocked_bidi",
        "streams_blocked_uni",
        "new_connection_id",
        "retire_connection_id",
        "path_challenge",
        "path_response",
        "connection_close",
        "application_close",
        "handshake_done",
        "datagram",
        "unknown",
    ];

    /// A dense number for counters.
    #[inline]
    pub const fn index(self) -> usize {
        // The bounds in the patterns make each conversion lossless.
        match self.0 {
            0x00..=0x02 => self.0 as usize,
            0x03..=0x07 => self.0 as usize - 1,
            0x08..=0x0f => 7,
            0x10..=0x1e => self.0 as usize - 8,
            0x30..=0x31 => 23,
            _ => Self::COUNT - 1,
        }
    }

    /// Its name, one of [`Self::NAMES`].
    pub fn name(self) -> &'static str {
        Self::NAMES.get(self.index()).copied().unwrap_or("unknown")
    }

    /// Whether the type is known here.
    #[inline]
    pub const fn is_known(self) -> bool {
        matches!(self.0, 0x00..=0x1e | 0x30..=0x31)
    }

    /// Whether the frame may be in a packet of this kind. If not, the connection closes with PROTOCOL_VIOLATION.
    ///
    /// Table 3 of RFC 9000 §12.4, except that RETIRE_CONNECTION_ID may not travel in 0-RTT packets, as §12.5 says; and
    /// RFC 9221 §4.
    //= https://www.rfc-editor.org/rfc/rfc9000#section-12.4
    //# An endpoint MUST treat receipt of
    //# a frame in a packet type that is not permitted as a connection error of type
    //# PROTOCOL_VIOLATION.
    #[inline]
    pub const fn may_travel_in(self, kind: PacketKind) -> bool {
        match kind {
            PacketKind::OneRtt => self.is_known(),
            // PADDING, PING, ACK, CRYPTO and CONNECTION_CLOSE of type 0x1c.
            PacketKind::Initial | PacketKind::Handshake => matches!(self.0, 0x00..=0x03 | 0x06 | 0x1c),
            // All but ACK, CRYPTO, NEW_TOKEN, RETIRE_CONNECTION_ID, PATH_RESPONSE and HANDSHAKE_DONE.
            PacketKind::ZeroRtt => {
                matches!(self.0, 0x00 | 0x01 | 0x04 | 0x05 | 0x08..=0x18 | 0x1a | 0x1c | 0x1d | 0x30 | 0x31)
            }
            PacketKind::Retry | PacketKind::VersionNegotiation => false,
        }
    }
}

impl fmt::Debug for FrameType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:#04x})", self.name(), self.0)
    }
}

impl fmt::Display for FrameType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PacketKind::{Handshake, Initial, OneRtt, Retry, VersionNegotiation, ZeroRtt};

    /// RFC 9000 §12.4 table 3, column "Pkts"; RETIRE_CONNECTION_ID as §12.5 has it; DATAGRAM from RFC 9221 §4.
    const TABLE: [(u64, u64, &str, &str); 24] = [
        (0x00, 0x00, "IH01", "padding"),
        (0x01, 0x01, "IH01", "ping"),
        (0x02, 0x03, "IH_1", "ack"),
        (0x04, 0x04, "__01", "reset_stream"),
        (0x05, 0x05, "__01", "stop_sending"),
        (0x06, 0x06, "IH_1", "crypto"),
        (0x07, 0x07, "___1", "new_token"),
        (0x08, 0x0f, "__01", "stream"),
        (0x10, 0x10, "__01", "max_data"),
        (0x11, 0x11, "__01", "max_stream_data"),
        (0x12, 0x12, "__01", "max_streams_bidi"),
        (0x13, 0x13, "__01", "max_streams_uni"),
        (0x14, 0x14, "__01", "data_blocked"),
        (0x15, 0x15, "__01", "stream_data_blocked"),
        (0x16, 0x16, "__01", "streams_blocked_bidi"),
        (0x17, 0x17, "__01", "streams_blocked_uni"),
        (0x18, 0x18, "__01", "new_connection_id"),
        (0x19, 0x19, "___1", "retire_connection_id"),
        (0x1a, 0x1a, "__01", "path_challenge"),
        (0x1b, 0x1b, "___1", "path_response"),
        (0x1c, 0x1c, "IH01", "connection_close"),
        (0x1d, 0x1d, "__01", "application_close"),
        (0x1e, 0x1e, "___1", "handshake_done"),
        (0x30, 0x31, "__01", "datagram"),
    ];

    #[test]
    fn each_frame_travels_only_where_table_3_permits() {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-12.4
        //= type=test
        //# An endpoint MUST treat receipt of
        //# a frame in a packet type that is not permitted as a connection error of type
        //# PROTOCOL_VIOLATION.
        for (first, last, packets, name) in TABLE {
            for number in first..=last {
                let frame = FrameType(number);
                assert_eq!(frame.name(), name);
                for (kind, letter) in [(Initial, 'I'), (Handshake, 'H'), (ZeroRtt, '0'), (OneRtt, '1')] {
                    assert_eq!(frame.may_travel_in(kind), packets.contains(letter), "{frame:?} in {kind:?}");
                }
                assert!(!frame.may_travel_in(Retry) && !frame.may_travel_in(VersionNegotiation));
            }
        }
    }

    #[test]
    fn unknown_types_travel_nowhere() {
        for number in (0x1f..0x30).chain(0x32..0x100).chain([u64::MAX]) {
            let frame = FrameType(number);
            assert!(!frame.is_known());
            assert_eq!((frame.index(), frame.name()), (FrameType::COUNT - 1, "unknown"));
            for kind in [Initial, Handshake, ZeroRtt, OneRtt, Retry, VersionNegotiation] {
                assert!(!frame.may_travel_in(kind));
            }
        }
    }

    #[test]
    fn indexes_are_dense_and_in_the_order_of_the_names() {
        for (index, (number, _, _, name)) in TABLE.into_iter().enumerate() {
            assert_eq!(FrameType(number).index(), index);
            assert_eq!(FrameType::NAMES[index], name);
        }
    }
}
