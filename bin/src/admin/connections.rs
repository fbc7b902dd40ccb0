//! Connections as JSON.

use quicast::ConnectionInfo;
use serde::{Deserialize, Serialize};

/// At most so many in one answer.
const LIMIT: usize = 1000;

/// Which connections are asked for: those that fit everything that is given.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    alpn: Option<String>,
    cc: Option<String>,
    state: Option<String>,
    role: Option<String>,
    limit: Option<usize>,
}

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct Connections {
    /// How many fit, even if fewer are shown.
    total: usize,
    connections: Vec<Shown>,
}

/// One connection, in base units.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    id: u64,
    role: &'static str,
    state: &'static str,
    remote: String,
    alpn: String,
    server_name: Option<String>,
    congestion: Congestion,
    smoothed_rtt_seconds: f64,
    minimum_rtt_seconds: f64,
    latest_rtt_seconds: f64,
    datagram_size: u16,
    limited_by: &'static str,
    totals: Totals,
}

#[derive(Debug, Serialize)]
struct Congestion {
    algorithm: &'static str,
    state: &'static str,
    window_bytes: u64,
    bytes_in_flight: u64,
    pacing_bytes_per_second: u64,
}

#[derive(Debug, Serialize)]
struct Totals {
    bytes_sent: u64,
    bytes_received: u64,
    datagrams_sent: u64,
    datagrams_received: u64,
    packets_sent: u64,
    packets_received: u64,
    packets_lost: u64,
    spurious_losses: u64,
    stream_bytes_acknowledged: u64,
    stream_bytes_consumed: u64,
    stream_bytes_retransmitted: u64,
    probe_timeouts: u64,
    key_updates: u64,
    migrations: u64,
}

impl Query {
    fn fits(&self, info: &ConnectionInfo) -> bool {
        let is =
            |wanted: &Option<String>, found: &[u8]| wanted.as_deref().is_none_or(|wanted| wanted.as_bytes() == found);
        is(&self.alpn, &info.alpn)
            && is(&self.cc, info.congestion.as_bytes())
            && is(&self.state, info.state.as_bytes())
            && is(&self.role, role(info).as_bytes())
    }

    /// Those that fit, in the order of their numbers.
    pub(super) fn choose(&self, mut all: Vec<ConnectionInfo>) -> Connections {
        all.retain(|info| self.fits(info));
        all.sort_unstable_by_key(|info| info.id);
        let total = all.len();
        let connections = all.iter().take(self.limit.unwrap_or(LIMIT).min(LIMIT)).map(Shown::new).collect();
        Connections { total, connections }
    }
}

pub(super) fn role(info: &ConnectionInfo) -> &'static str {
    if info.is_server { "server" } else { "client" }
}

impl Shown {
    pub(super) fn new(info: &ConnectionInfo) -> Self {
        let totals = &info.totals;
        Self {
            id: info.id,
            role: role(info),
            state: info.state,
            remote: info.remote.to_string(),
            alpn: String::from_utf8_lossy(&info.alpn).into_owned(),
            server_name: info.server_name.clone(),
            congestion: Congestion {
                algorithm: info.congestion,
                state: info.congestion_state,
                window_bytes: info.congestion_window,
                bytes_in_flight: info.bytes_in_flight,
                pacing_bytes_per_second: info.pacing_rate,
            },
            smoothed_rtt_seconds: info.smoothed_rtt.as_secs_f64(),
            minimum_rtt_seconds: info.minimum_rtt.as_secs_f64(),
            latest_rtt_seconds: info.latest_rtt.as_secs_f64(),
            datagram_size: info.datagram_size,
            limited_by: info.limited_by,
            totals: Totals {
                bytes_sent: totals.bytes_sent,
                bytes_received: totals.bytes_received,
                datagrams_sent: totals.datagrams_sent,
                datagrams_received: totals.datagrams_received,
                packets_sent: totals.packets_sent,
                packets_received: totals.packets_received,
                packets_lost: totals.packets_lost,
                spurious_losses: totals.spurious_losses,
                stream_bytes_acknowledged: totals.stream_bytes_acknowledged,
                stream_bytes_consumed: totals.stream_bytes_consumed,
                stream_bytes_retransmitted: totals.stream_bytes_retransmitted,
                probe_timeouts: totals.probe_timeouts,
                key_updates: totals.key_updates,
                migrations: totals.migrations,
            },
        }
    }
}
