//! What is counted: plain numbers, taken now and then.

use crate::error::Code;
use crate::frame::{FrameKind, FrameType};
use crate::limits::Limit;

/// The protocols of CONNECT that are told apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(usize)]
#[expect(missing_docs, reason = "the protocols' names")]
pub enum Tunnel {
    WebTransport,
    WebSocket,
    ConnectUdp,
    /// CONNECT without a `:protocol`.
    ConnectTcp,
    Other,
}

impl Tunnel {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 5] = [Self::WebTransport, Self::WebSocket, Self::ConnectUdp, Self::ConnectTcp, Self::Other];

    /// The one with this `:protocol`, or without any.
    pub(crate) fn of(protocol: Option<&str>) -> Self {
        match protocol {
            Some("webtransport") => Self::WebTransport,
            Some("websocket") => Self::WebSocket,
            Some("connect-udp") => Self::ConnectUdp,
            Some(_) => Self::Other,
            None => Self::ConnectTcp,
        }
    }

    /// The label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebTransport => "webtransport",
            Self::WebSocket => "websocket",
            Self::ConnectUdp => "connect_udp",
            Self::ConnectTcp => "connect_tcp",
            Self::Other => "other",
        }
    }
}

/// Both directions of something.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Directions<T> {
    /// Of ours.
    pub sent: T,
    /// Of the peer's.
    pub received: T,
}

/// CONNECT requests by their answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Answers {
    /// With a 2xx status.
    pub accepted: u64,
    /// With another status, or with none.
    pub refused: u64,
}

/// HTTP datagrams.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Datagrams {
    /// Handed over for sending.
    pub sent: u64,
    /// Handed to the application.
    pub received: u64,
    /// Received for a request that is not open (or not yet), or not to be sent for its request.
    pub dropped: u64,
}

/// What QPACK holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct QpackLevels {
    /// Bytes in the dynamic table of what we send, as RFC 9204 §3.2.1 counts them.
    pub encoder_table_bytes: u64,
    /// Bytes in the dynamic table of what we receive.
    pub decoder_table_bytes: u64,
    /// Streams that wait for the peer's encoder stream.
    pub blocked_streams: usize,
}

/// How many codes have a name, and one for those that have none.
const CODES: usize = Code::ALL.len() + 1;

/// What happened since the last [`Connection::take_stats`](crate::Connection::take_stats).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    frames: Directions<[u64; FrameKind::ALL.len()]>,
    errors: Directions<[u64; CODES]>,
    tunnels: [Answers; Tunnel::ALL.len()],
    limits: [u64; Limit::ALL.len()],
    /// HTTP datagrams.
    pub datagrams: Datagrams,
    /// Requests that began.
    pub requests: u64,
    /// Elements that were ignored.
    pub glitches: u64,
}

impl Stats {
    /// Frames of this kind.
    pub fn frames(&self, kind: FrameKind) -> Directions<u64> {
        let of = |counts: &[u64]| counts.get(kind as usize).copied().unwrap_or_default();
        Directions { sent: of(&self.frames.sent), received: of(&self.frames.received) }
    }

    /// Errors of streams and connections with this code: how many it was said to the peer, and by it. All codes without a
    /// name are one.
    pub fn errors(&self, code: Code) -> Directions<u64> {
        let of = |counts: &[u64]| counts.get(code.index()).copied().unwrap_or_default();
        Directions { sent: of(&self.errors.sent), received: of(&self.errors.received) }
    }

    /// CONNECT requests of this protocol.
    pub fn tunnels(&self, tunnel: Tunnel) -> Answers {
        self.tunnels.get(tunnel as usize).copied().unwrap_or_default()
    }

    /// How often this bound was hit.
    pub fn limit(&self, limit: Limit) -> u64 {
        self.limits.get(limit as usize).copied().unwrap_or_default()
    }

    pub(crate) fn on_frame_sent(&mut self, frame_type: FrameType) {
        add(&mut self.frames.sent, frame_type.kind() as usize);
    }

    pub(crate) fn on_frame_received(&mut self, kind: FrameKind) {
        add(&mut self.frames.received, kind as usize);
    }

    pub(crate) fn on_error_sent(&mut self, code: Code) {
        add(&mut self.errors.sent, code.index());
    }

    pub(crate) fn on_error_received(&mut self, code: Code) {
        add(&mut self.errors.received, code.index());
    }

    pub(crate) fn on_limit(&mut self, limit: Limit) {
        add(&mut self.limits, limit as usize);
    }

    pub(crate) fn on_tunnel(&mut self, tunnel: Tunnel, accepted: bool) {
        if let Some(answers) = self.tunnels.get_mut(tunnel as usize) {
            *if accepted { &mut answers.accepted } else { &mut answers.refused } += 1;
        }
    }
}

fn add(counts: &mut [u64], index: usize) {
    if let Some(count) = counts.get_mut(index) {
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_its_own_counter() {
        let mut stats = Stats::default();
        for (index, tunnel) in Tunnel::ALL.into_iter().enumerate() {
            assert_eq!(tunnel as usize, index);
            stats.on_tunnel(tunnel, index % 2 == 0);
            assert_eq!(stats.tunnels(tunnel).accepted, 1 - index as u64 % 2);
            let protocol = tunnel.as_str().replace('_', "-");
            let protocol = Some(&protocol[..]).filter(|_| tunnel != Tunnel::ConnectTcp);
            assert_eq!(Tunnel::of(protocol), tunnel);
        }
        for code in Code::ALL.iter().copied().chain([Code(0xbad)]) {
            stats.on_error_sent(code);
            stats.on_error_received(code);
            assert_eq!(stats.errors(code), Directions { sent: 1, received: 1 });
        }
        for limit in Limit::ALL {
            stats.on_limit(limit);
            assert_eq!(stats.limit(limit), 1);
        }
        stats.on_frame_sent(FrameType::GOAWAY);
        stats.on_frame_received(FrameKind::Unknown);
        assert_eq!(stats.frames(FrameKind::Goaway), Directions { sent: 1, received: 0 });
        assert_eq!(stats.frames(FrameKind::Unknown), Directions { sent: 0, received: 1 });
    }
}
