//! Label values that more than one layer uses. What only one layer says stands in that layer's module.

use crate::family::Label as _;
use crate::layer::label;

label! {
    /// Which side of the connection this endpoint is.
    Role { Client = "client", Server = "server", }
}

label! {
    /// Which way it went on the wire.
    Direction { Sent = "sent", Received = "received", }
}

label! {
    /// Who began it.
    Initiator { Local = "local", Peer = "peer", }
}

label! {
    /// A packet number space (RFC 9000 §12.3).
    Space { Initial = "initial", Handshake = "handshake", Application = "application", }
}

label! {
    /// The congestion controllers there are: the names that `congestion::Controller::name` gives; what an application brings
    /// along is `other`.
    Algorithm { NewReno = "newreno", Cubic = "cubic", Bbr = "bbr", Pcc = "pcc", Copa = "copa", Prague = "prague", Ledbat = "ledbat", Fixed = "fixed", Other = "other", }
}

label! {
    /// The application protocols that this project speaks; what an application brings along is `other`.
    Alpn { H3 = "h3", HqInterop = "hq-interop", Echo = "echo", Perf = "perf", Other = "other", }
}

impl Alpn {
    /// The label of a negotiated protocol.
    pub fn of(protocol: &[u8]) -> Self {
        match protocol {
            b"h3" => Self::H3,
            b"hq-interop" => Self::HqInterop,
            b"echo" => Self::Echo,
            b"perf" => Self::Perf,
            _ => Self::Other,
        }
    }
}

impl Algorithm {
    /// The label of a controller.
    pub fn of(name: &str) -> Self {
        Self::named(name).unwrap_or(Self::Other)
    }
}

/// The label `shard`: a number for each of the first eight shards, and one word for all beyond, so that a process with
/// many cores does not multiply its series.
pub const SHARDS: [&str; 9] = ["0", "1", "2", "3", "4", "5", "6", "7", "other"];

/// The label of one shard.
pub const fn shard(index: usize) -> &'static str {
    if index < SHARDS.len() - 1 { SHARDS[index] } else { SHARDS[SHARDS.len() - 1] }
}

/// The label `certificate`: the first eight of the configuration, in its order.
pub const CERTIFICATES: [&str; 8] = ["0", "1", "2", "3", "4", "5", "6", "7"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_beyond_the_eighth_share_a_label() {
        assert_eq!(shard(0), "0");
        assert_eq!(shard(7), "7");
        assert_eq!(shard(8), "other");
        assert_eq!(shard(255), "other");
    }

    #[test]
    fn a_protocol_that_is_not_ours_is_other() {
        assert_eq!(Alpn::of(b"h3"), Alpn::H3);
        assert_eq!(Alpn::of(b"h3-29"), Alpn::Other);
        assert_eq!(Alpn::of(b"\xff\"\n"), Alpn::Other);
    }
}
