//! What a transfer was like: one line, or JSON.

use std::fmt;
use std::time::Duration;

use quicast::ConnectionInfo;
use serde::Serialize;

use crate::units;

/// What a transfer was like.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// Bytes sent. The same number came back, unless they went as datagrams.
    pub(crate) bytes: u64,
    /// Bytes that came back.
    pub(crate) bytes_returned: u64,
    /// From the first byte sent to the last one returned.
    pub(crate) seconds: f64,
    /// Of the bytes that came back: the rate of each direction.
    pub(crate) bits_per_second: f64,
    pub(crate) streams: u32,
    pub(crate) datagrams: Option<Datagrams>,
    pub(crate) rtt_seconds: f64,
    pub(crate) minimum_rtt_seconds: f64,
    pub(crate) packets_sent: u64,
    pub(crate) packets_lost: u64,
    pub(crate) congestion: &'static str,
    pub(crate) key_updates: u64,
    /// Whether the local port was changed on the way.
    pub(crate) rebound: bool,
    #[serde(skip)]
    fetched: bool,
}

/// How many datagrams went and came.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Datagrams {
    pub(crate) sent: u64,
    pub(crate) returned: u64,
}

/// What was counted while bytes went and came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) bytes: u64,
    pub(crate) bytes_returned: u64,
    pub(crate) streams: u32,
    pub(crate) datagrams: Option<Datagrams>,
    pub(crate) rebound: bool,
    /// Whether nothing but a request was sent.
    pub(crate) fetched: bool,
}

impl Report {
    pub(crate) fn new(counted: Counted, took: Duration, info: &ConnectionInfo) -> Self {
        let seconds = took.as_secs_f64();
        let Counted { bytes, bytes_returned, streams, datagrams, rebound, fetched } = counted;
        Self {
            bytes,
            bytes_returned,
            seconds,
            bits_per_second: if seconds > 0.0 { bytes_returned as f64 * 8.0 / seconds } else { 0.0 },
            streams,
            datagrams,
            rtt_seconds: info.smoothed_rtt.as_secs_f64(),
            minimum_rtt_seconds: info.minimum_rtt.as_secs_f64(),
            packets_sent: info.totals.packets_sent,
            packets_lost: info.totals.packets_lost,
            congestion: info.congestion,
            key_updates: info.totals.key_updates,
            rebound,
            fetched,
        }
    }
}

impl Report {
    fn rate(&self) -> String {
        units::rate(self.bits_per_second)
    }

    /// How the connection was.
    fn path(&self) -> String {
        let rtt = units::time(Duration::from_secs_f64(self.rtt_seconds));
        let Self { packets_lost, packets_sent, congestion, .. } = self;
        let mut text = format!(", rtt {rtt}, lost {packets_lost} of {packets_sent} packets, {congestion}");
        match self.key_updates {
            0 => {}
            1 => text.push_str(", 1 key update"),
            several => text.push_str(&format!(", {several} key updates")),
        }
        if self.rebound {
            text.push_str(", port changed");
        }
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.datagrams {
            None if self.fetched => {
                return write!(
                    f,
                    "{} bytes in {:.3} s: {}{}",
                    self.bytes_returned,
                    self.seconds,
                    self.rate(),
                    self.path()
                );
            }
            None => write!(f, "{} bytes there and back", self.bytes)?,
            Some(Datagrams { sent, returned }) => write!(f, "{returned} of {sent} datagrams came back")?,
        }
        if self.streams > 1 {
            write!(f, " on {} streams", self.streams)?;
        }
        write!(f, " in {:.3} s: {} each way{}", self.seconds, self.rate(), self.path())
    }
}
