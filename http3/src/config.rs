//! [`Config`]: what may be chosen.

use std::time::Duration;

use crate::limits;
use crate::qpack;
use crate::settings::Settings;

/// How a [`Connection`](crate::Connection) behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bytes of the dynamic table that the peer's encoder may use (RFC 9204 §3.2.3).
    pub qpack_max_table_capacity: u64,
    /// Streams that may wait for the peer's encoder stream (RFC 9204 §2.1.2).
    pub qpack_blocked_streams: u64,
    /// Bytes of the dynamic table that our encoder uses, if the peer permits as much.
    pub qpack_encoder_capacity: u64,
    /// The largest field section that is accepted, in bytes, with 32 for each line.
    pub max_field_section_size: usize,
    /// The most lines of a field section that are accepted.
    pub max_fields: usize,
    /// Whether clients may use extended CONNECT (RFC 9220). Of a server only.
    pub enable_connect_protocol: bool,
    /// Whether HTTP datagrams are accepted (RFC 9297). The transport has to support DATAGRAM frames then.
    pub h3_datagram: bool,
    /// Whether elements without meaning are sent, so that peers stay used to ignoring them (RFC 9114 §7.2.8).
    pub grease: bool,
    /// How long a response may wait without the transport taking a byte of it.
    pub blocked_time: Duration,
    /// Of a server: how long the head of a request may take to come, from the first byte of its stream on. Like the times
    /// below, `Duration::MAX` is for ever.
    pub headers_time: Duration,
    /// Of a server: the bytes of content that have to come each second until a request is answered, while the application
    /// waits for some. Zero: none have to.
    pub content_rate: u64,
    /// Of a server: for how long fewer may come.
    pub content_grace: Duration,
    /// Of a server: how long a request may take to come, without the time in which the application has content that it did
    /// not take. Servers that accept long uploads, or talk with their clients through long requests, want more. The time of
    /// the response does not count, and tunnels may take theirs.
    pub request_time: Duration,
    /// At a client that sends 0-RTT: the server's settings from the connection of the ticket (RFC 9114 §7.2.4.2).
    pub remembered: Option<Settings>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            qpack_max_table_capacity: qpack::limits::TABLE_CAPACITY,
            qpack_blocked_streams: qpack::limits::BLOCKED_STREAMS,
            qpack_encoder_capacity: qpack::limits::TABLE_CAPACITY,
            max_field_section_size: limits::FIELD_SECTION,
            max_fields: limits::FIELDS,
            enable_connect_protocol: false,
            //= https://www.rfc-editor.org/rfc/rfc9297#section-2.1.1
            //# It is RECOMMENDED that implementations that support receiving HTTP/3 Datagrams
            //# always send the SETTINGS_H3_DATAGRAM setting with a value of 1,
            //# even if the application does not intend to use HTTP/3 Datagrams.
            h3_datagram: true,
            grease: true,
            blocked_time: limits::BLOCKED_TIME,
            headers_time: limits::HEADERS_TIME,
            content_rate: limits::CONTENT_RATE,
            content_grace: limits::CONTENT_GRACE,
            request_time: limits::REQUEST_TIME,
            remembered: None,
        }
    }
}

impl Config {
    pub(crate) fn encoder(&self) -> qpack::EncoderConfig {
        qpack::EncoderConfig { max_table_capacity: self.qpack_encoder_capacity, ..qpack::EncoderConfig::default() }
    }

    pub(crate) fn decoder(&self) -> qpack::DecoderConfig {
        qpack::DecoderConfig {
            max_table_capacity: self.qpack_max_table_capacity,
            max_blocked_streams: self.qpack_blocked_streams,
            max_field_section_bytes: self.max_field_section_size,
            max_fields: self.max_fields,
        }
    }

    /// What is said of it. `server`: extended CONNECT is for servers to permit.
    pub(crate) fn settings(&self, server: bool) -> Settings {
        Settings {
            qpack_max_table_capacity: self.qpack_max_table_capacity.min(qpack::limits::TABLE_CAPACITY_MAXIMUM),
            qpack_blocked_streams: self.qpack_blocked_streams,
            max_field_section_size: Some(self.max_field_section_size as u64),
            enable_connect_protocol: server && self.enable_connect_protocol,
            h3_datagram: self.h3_datagram,
        }
    }
}
