//! What a process has used and counted so far, of both ends: a server says its own to a client that asks.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use quicast::Connection;
use serde::{Deserialize, Serialize};
use telemetry::Registry;
use tokio::time::timeout;

use super::exchange;

/// The number of bytes wanted that asks for these statistics instead: an extension of ours.
pub(crate) const WANTED: u64 = u64::MAX;
/// How long a server is waited for that may never have heard of the extension.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest answer, in bytes: who knows nothing of the extension may begin to send what was asked for.
const LONGEST: usize = 64 * 1024;

/// Totals since the process began.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Statistics {
    /// Processor time of all threads, in the kernel's name too.
    pub(crate) cpu_seconds: f64,
    /// Memory that is really there, now.
    pub(crate) resident_bytes: u64,
    pub(crate) send_calls: u64,
    pub(crate) receive_calls: u64,
    pub(crate) datagrams_sent: u64,
    pub(crate) datagrams_received: u64,
    /// ACK frames.
    pub(crate) acks_sent: u64,
    pub(crate) acks_received: u64,
    pub(crate) packets_lost: u64,
    pub(crate) retransmitted_bytes: u64,
    /// Datagrams that found no room in the kernel's buffer.
    pub(crate) kernel_drops: u64,
    /// Payload that clients sent.
    pub(crate) payload_bytes: u64,
    /// Streams of them that carried something else than the pattern.
    pub(crate) payload_wrong: u64,
    /// Whether every byte of it is compared.
    pub(crate) payload_verified: bool,
}

/// Waits until what was counted has come to the metrics: they are flushed four times a second, and a connection's own counts
/// a quarter of a second after its traffic.
pub(crate) async fn settled() {
    tokio::time::sleep(Duration::from_millis(600)).await;
}

impl Statistics {
    /// Of this process, and of an endpoint in it.
    pub(crate) fn now(registry: Option<&Registry>) -> Self {
        let count = |value: Option<f64>| value.map_or(0, |value| value as u64);
        let sum = |name| count(registry.and_then(|registry| registry.sum(name)));
        let acks = |name| count(registry.and_then(|registry| registry.value(name, &["ack"])));
        Self {
            cpu_seconds: cpu_seconds(),
            resident_bytes: resident_bytes(),
            send_calls: sum("quicast_socket_send_calls_total"),
            receive_calls: sum("quicast_socket_receive_calls_total"),
            datagrams_sent: sum("quicast_socket_sent_datagrams_total"),
            datagrams_received: sum("quicast_socket_received_datagrams_total"),
            acks_sent: acks("quicast_codec_frames_sent_total"),
            acks_received: acks("quicast_codec_frames_received_total"),
            packets_lost: sum("quicast_recovery_packets_lost_total"),
            retransmitted_bytes: sum("quicast_recovery_stream_retransmitted_bytes_total"),
            kernel_drops: sum("quicast_socket_kernel_drops_total"),
            ..Self::default()
        }
    }

    /// Asks a server for its own. `None` if it does not know the question, or takes too long.
    pub(crate) async fn of_server(connection: &Connection) -> Option<Self> {
        timeout(PATIENCE, ask(connection)).await.ok().flatten()
    }

    /// With what another endpoint of this process counted. What the process used is the same.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            send_calls: self.send_calls + other.send_calls,
            receive_calls: self.receive_calls + other.receive_calls,
            datagrams_sent: self.datagrams_sent + other.datagrams_sent,
            datagrams_received: self.datagrams_received + other.datagrams_received,
            acks_sent: self.acks_sent + other.acks_sent,
            acks_received: self.acks_received + other.acks_received,
            packets_lost: self.packets_lost + other.packets_lost,
            retransmitted_bytes: self.retransmitted_bytes + other.retransmitted_bytes,
            kernel_drops: self.kernel_drops + other.kernel_drops,
            ..*self
        }
    }

    /// What was added since then. Memory is what it is now.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            resident_bytes: self.resident_bytes,
            send_calls: self.send_calls.saturating_sub(before.send_calls),
            receive_calls: self.receive_calls.saturating_sub(before.receive_calls),
            datagrams_sent: self.datagrams_sent.saturating_sub(before.datagrams_sent),
            datagrams_received: self.datagrams_received.saturating_sub(before.datagrams_received),
            acks_sent: self.acks_sent.saturating_sub(before.acks_sent),
            acks_received: self.acks_received.saturating_sub(before.acks_received),
            packets_lost: self.packets_lost.saturating_sub(before.packets_lost),
            retransmitted_bytes: self.retransmitted_bytes.saturating_sub(before.retransmitted_bytes),
            kernel_drops: self.kernel_drops.saturating_sub(before.kernel_drops),
            payload_bytes: self.payload_bytes.saturating_sub(before.payload_bytes),
            payload_wrong: self.payload_wrong.saturating_sub(before.payload_wrong),
            payload_verified: self.payload_verified,
        }
    }
}

async fn ask(connection: &Connection) -> Option<Statistics> {
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    send.write_chunk(exchange::number(WANTED)).await.ok()?;
    drop(send.finish());
    let answer = receive.read_to_end(LONGEST).await.ok()?;
    serde_json::from_slice(&answer).ok()
}

fn cpu_seconds() -> f64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0.0, |usage| {
        let microseconds = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        microseconds as f64 / 1e6
    })
}

/// From `VmRSS:    1234 kB`; 0 where the system does not say it like this.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_uses() {
        let before = Statistics::now(None);
        assert!(before.cpu_seconds >= 0.0 && before.resident_bytes > 1 << 16, "{before:?}");
        let later = Statistics { send_calls: 7, payload_bytes: 9, ..before };
        let added = later.since(&Statistics { send_calls: 3, ..before });
        assert_eq!((added.send_calls, added.payload_bytes, added.cpu_seconds), (4, 9, 0.0));
        assert_eq!(added.resident_bytes, before.resident_bytes);
        let both = later.and(&Statistics { send_calls: 2, cpu_seconds: 100.0, ..before });
        assert_eq!((both.send_calls, both.cpu_seconds), (9, before.cpu_seconds));
    }

    #[test]
    fn an_answer_of_another_release_is_understood() {
        let answer = r#"{"cpu_seconds": 1.5, "something_new": 3}"#;
        let read: Statistics = serde_json::from_str(answer).unwrap();
        assert_eq!(read, Statistics { cpu_seconds: 1.5, ..Statistics::default() });
    }
}
