//! [`Config`]: everything about a connection that its user may choose, with the defaults and why they are so.

use std::time::Duration;

use codec::Version;
use congestion::Algorithm;

use crate::limits;

/// How a connection behaves. Shared by all connections of an endpoint; what a peer may cost is bounded by
/// [`crate::limits`], whatever stands here.
#[derive(Clone, Debug)]
pub struct Config {
    /// Silence after which the connection is given up without a word (RFC 9000 §10.1). Zero: never. The smaller of
    /// both ends' values holds. Default 30 s, as the field has it.
    pub max_idle_timeout: Duration,
    /// How long a handshake may take, whatever the peer sends. At most [`limits::HANDSHAKE_TIME`], the default.
    pub handshake_timeout: Duration,
    /// Silence after which a PING is sent to keep the connection (and NAT bindings) alive. Default: none; it costs the
    /// peer's battery.
    pub keep_alive: Option<Duration>,
    /// First flow-control window of the connection in bytes. Default [`limits::CONNECTION_WINDOW`].
    pub receive_window: u64,
    /// First flow-control window of each stream in bytes. Default [`limits::STREAM_WINDOW`].
    pub stream_receive_window: u64,
    /// The largest that auto-tuning makes either window, in bytes. Default [`limits::WINDOW_MAXIMUM`].
    pub receive_window_maximum: u64,
    /// Bidirectional streams that the peer may have open at once. Default [`limits::STREAMS`].
    pub max_concurrent_bidirectional_streams: u64,
    /// Unidirectional streams that the peer may have open at once. Default [`limits::STREAMS`].
    pub max_concurrent_unidirectional_streams: u64,
    /// How long an acknowledgement may wait (RFC 9000 §13.2.1). Default 25 ms, the protocol's own.
    pub max_ack_delay: Duration,
    /// The congestion controller that connections start with. Default CUBIC.
    pub congestion: Algorithm,
    /// The congestion window that connections start with, in bytes; `None`: ten datagrams (RFC 9002 §7.2).
    pub initial_window: Option<u64>,
    /// The round trip that is assumed before one was measured (RFC 9002 §6.2.2). Default 333 ms.
    pub initial_rtt: Duration,
    /// UDP payload that connections start with, in bytes: [`limits::FIRST_DATAGRAM_LEAST`], the default, which every path
    /// of QUIC carries (RFC 9000 §14), to [`limits::FIRST_DATAGRAM`].
    pub initial_datagram_size: u16,
    /// UDP payload up to which larger datagrams are probed for, in bytes. Default 1452: Ethernet's 1500 without the
    /// headers of IPv6 and UDP.
    pub maximum_datagram_size: u16,
    /// The largest UDP payload that we accept, in bytes. Default 65,527.
    pub max_udp_payload_size: u64,
    /// Whether ECN is used where a path carries it (RFC 9000 §13.4). Default yes.
    pub ecn: bool,
    /// Whether DATAGRAM frames are accepted (RFC 9221). Default yes.
    pub datagrams: bool,
    /// Whether reserved values are sent so that peers keep tolerating unknown ones (RFC 9000 §15, §18.1). Default yes.
    pub grease: bool,
    /// The versions that are spoken, best first. Default version 1, then version 2.
    pub versions: Vec<Version>,
}

/// Why connections cannot be had with a [`Config`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ConfigError {
    /// [`Config::initial_datagram_size`] is none with which a handshake works.
    InitialDatagramSize(u16),
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::InitialDatagramSize(size) = self;
        write!(
            f,
            "the transport settings say initial_datagram_size: {size}, but connections begin with datagrams of {} to {} \
             bytes; choose one of these, and name a greater one as maximum_datagram_size, to be probed for",
            limits::FIRST_DATAGRAM_LEAST,
            limits::FIRST_DATAGRAM
        )
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Whether connections can be had with these settings.
    ///
    /// # Errors
    /// [`ConfigError`], which says what to change.
    pub fn check(&self) -> Result<(), ConfigError> {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-14
        //# QUIC MUST NOT be used if the network path cannot support a maximum datagram size
        //# of at least 1200 bytes.
        let sizes = limits::FIRST_DATAGRAM_LEAST..=limits::FIRST_DATAGRAM;
        if sizes.contains(&self.initial_datagram_size) {
            Ok(())
        } else {
            Err(ConfigError::InitialDatagramSize(self.initial_datagram_size))
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_idle_timeout: Duration::from_secs(30),
            handshake_timeout: limits::HANDSHAKE_TIME,
            keep_alive: None,
            receive_window: limits::CONNECTION_WINDOW,
            stream_receive_window: limits::STREAM_WINDOW,
            receive_window_maximum: limits::WINDOW_MAXIMUM,
            max_concurrent_bidirectional_streams: limits::STREAMS,
            max_concurrent_unidirectional_streams: limits::STREAMS,
            max_ack_delay: Duration::from_millis(25),
            congestion: Algorithm::CUBIC,
            initial_window: None,
            initial_rtt: Duration::from_millis(333),
            initial_datagram_size: limits::FIRST_DATAGRAM_LEAST,
            maximum_datagram_size: 1452,
            max_udp_payload_size: 65_527,
            ecn: true,
            datagrams: true,
            grease: true,
            versions: vec![Version::V1, Version::V2],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_begin_with_datagrams_that_a_long_header_can_fill() {
        let with = |initial_datagram_size| Config { initial_datagram_size, ..Config::default() }.check();
        assert_eq!(Config::default().check(), Ok(()));
        assert_eq!((with(1200), with(16_000)), (Ok(()), Ok(())));
        for size in [0, 1199, 16_001, u16::MAX] {
            let error = with(size).unwrap_err();
            assert_eq!(error, ConfigError::InitialDatagramSize(size));
            assert!(error.to_string().contains("1200 to 16000"), "{error}");
        }
    }
}
