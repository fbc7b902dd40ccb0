//! Transport parameters: what each end tells the other in the handshake (RFC 9000 §7.4, §18; RFC 9221 §3, RFC 9287 §3,
//! RFC 9368 §3).
//!
//! [`TransportParameters::decode`] checks all that can be checked without the connection. That the connection ids are the
//! right ones, and the versions, is for the connection to say (RFC 9000 §7.3, RFC 9368 §4).

mod decode;
mod encode;

#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::fmt;
use core::net::{SocketAddrV4, SocketAddrV6};

pub use encode::Grease;

use crate::error_code::TransportErrorCode;
use crate::ids::{ConnectionId, ResetToken};
use crate::version::Version;

/// How many parameters a peer may send.
pub const MAX_PARAMETERS: usize = 64;
/// How many bytes they may take up altogether.
pub const MAX_SIZE: usize = 4096;

/// The transport parameters of one end. Those that are absent have their default value.
///
/// Times are in milliseconds, data limits in bytes. Numbers that came from a peer are below 2^62; numbers to be encoded
/// must be too.
#[derive(Clone, Debug)]
pub struct TransportParameters {
    /// The destination id of the client's first Initial. Only from servers.
    pub original_destination_connection_id: Option<ConnectionId>,
    /// After how many milliseconds of silence the connection is given up; 0 if never.
    pub max_idle_timeout: u64,
    /// What a stateless reset for the id of the handshake ends in. Only from servers.
    pub stateless_reset_token: Option<ResetToken>,
    /// The largest UDP payload that the sender is willing to receive; at least 1200, by default 65527.
    pub max_udp_payload_size: u64,
    /// The first limit for data on all streams together.
    pub initial_max_data: u64,
    /// The first limit for data on each bidirectional stream that the sender of the parameters opens.
    pub initial_max_stream_data_bidi_local: u64,
    /// The first limit for data on each bidirectional stream that the receiver of the parameters opens.
    pub initial_max_stream_data_bidi_remote: u64,
    /// The first limit for data on each unidirectional stream that the receiver of the parameters opens.
    pub initial_max_stream_data_uni: u64,
    /// How many bidirectional streams the receiver of the parameters may open at first; at most 2^60.
    pub initial_max_streams_bidi: u64,
    /// How many unidirectional streams the receiver of the parameters may open at first; at most 2^60.
    pub initial_max_streams_uni: u64,
    /// The delay in the sender's ACK frames is in units of this power of two microseconds; at most 20, by default 3.
    pub ack_delay_exponent: u8,
    /// How many milliseconds the sender may hold an acknowledgement; less than 2^14, by default 25.
    pub max_ack_delay: u64,
    /// The receiver shall not change its address while it talks to the sender's address of the handshake.
    pub disable_active_migration: bool,
    /// Where the server would rather be spoken to. Only from servers.
    pub preferred_address: Option<PreferredAddress>,
    /// How many connection ids the sender is willing to keep; at least 2, the default.
    pub active_connection_id_limit: u64,
    /// The source id of the sender's first Initial.
    pub initial_source_connection_id: Option<ConnectionId>,
    /// The source id of the server's Retry. Only from servers.
    pub retry_source_connection_id: Option<ConnectionId>,
    /// The largest DATAGRAM frame, header included, that the sender is willing to receive; `None` if none (RFC 9221 §3).
    pub max_datagram_frame_size: Option<u64>,
    /// The sender understands packets whose fixed bit is zero (RFC 9287 §3).
    pub grease_quic_bit: bool,
    /// The version in use and those that could have been (RFC 9368 §3).
    pub version_information: Option<VersionInformation>,
    /// Parameters that are not known here, as they came; among them those reserved for greasing (RFC 9000 §18.1). At
    /// most [`MAX_PARAMETERS`] and [`MAX_SIZE`] bytes.
    pub unknown: Vec<(u64, Vec<u8>)>,
}

impl Default for TransportParameters {
    /// What holds if no parameter is sent (RFC 9000 §18.2).
    fn default() -> Self {
        Self {
            original_destination_connection_id: None,
            max_idle_timeout: 0,
            stateless_reset_token: None,
            max_udp_payload_size: 65527,
            initial_max_data: 0,
            initial_max_stream_data_bidi_local: 0,
            initial_max_stream_data_bidi_remote: 0,
            initial_max_stream_data_uni: 0,
            initial_max_streams_bidi: 0,
            initial_max_streams_uni: 0,
            ack_delay_exponent: 3,
            max_ack_delay: 25,
            disable_active_migration: false,
            preferred_address: None,
            active_connection_id_limit: 2,
            initial_source_connection_id: None,
            retry_source_connection_id: None,
            max_datagram_frame_size: None,
            grease_quic_bit: false,
            version_information: None,
            unknown: Vec::new(),
        }
    }
}

/// Where a server would rather be spoken to after the handshake (RFC 9000 §9.6, §18.2).
#[derive(Clone, Copy, Debug)]
pub struct PreferredAddress {
    /// Its IPv4 address, unless it was all zero.
    pub ipv4: Option<SocketAddrV4>,
    /// Its IPv6 address, unless it was all zero.
    pub ipv6: Option<SocketAddrV6>,
    /// The connection id with sequence number 1; 1 to 20 bytes.
    pub id: ConnectionId,
    /// What a stateless reset for this id ends in.
    pub reset_token: ResetToken,
}

/// The version in use, and those that could have been (RFC 9368 §3).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VersionInformation {
    /// The version that the sender has chosen for this connection.
    pub chosen: Version,
    /// From a client: the versions its first flight is compatible with, best first. From a server: all that it has fully
    /// deployed. Reserved versions may be among them.
    pub available: Vec<Version>,
}

/// Transport parameters that break the rules: the connection closes with TRANSPORT_PARAMETER_ERROR.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParameterError {
    /// The parameter at fault, if it is a single one whose identifier could be read.
    pub id: Option<u64>,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl ParameterError {
    /// With which code the connection closes.
    pub const CODE: TransportErrorCode = TransportErrorCode::TRANSPORT_PARAMETER_ERROR;

    /// The name of the parameter at fault, if the RFCs name it.
    pub const fn parameter(&self) -> Option<&'static str> {
        match self.id {
            Some(id) => id::name(id),
            None => None,
        }
    }
}

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.parameter(), self.id) {
            (Some(name), _) => write!(f, "{name}: {}", self.reason),
            (None, Some(id)) => write!(f, "transport parameter {id:#x}: {}", self.reason),
            (None, None) => write!(f, "transport parameters: {}", self.reason),
        }
    }
}

impl core::error::Error for ParameterError {}

macro_rules! identifiers {
    ($($constant:ident = $id:literal, $name:literal;)*) => {
        /// The identifiers of the parameters that are known here.
        pub(crate) mod id {
            $(pub(crate) const $constant: u64 = $id;)*

            /// All of them, in their order.
            pub(crate) const KNOWN: &[u64] = &[$($id),*];

            /// The name that the RFCs give a parameter.
            pub(crate) const fn name(id: u64) -> Option<&'static str> {
                match id {
                    $($id => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

identifiers! {
    ORIGINAL_DESTINATION_CONNECTION_ID = 0x00, "original_destination_connection_id";
    MAX_IDLE_TIMEOUT = 0x01, "max_idle_timeout";
    STATELESS_RESET_TOKEN = 0x02, "stateless_reset_token";
    MAX_UDP_PAYLOAD_SIZE = 0x03, "max_udp_payload_size";
    INITIAL_MAX_DATA = 0x04, "initial_max_data";
    INITIAL_MAX_STREAM_DATA_BIDI_LOCAL = 0x05, "initial_max_stream_data_bidi_local";
    INITIAL_MAX_STREAM_DATA_BIDI_REMOTE = 0x06, "initial_max_stream_data_bidi_remote";
    INITIAL_MAX_STREAM_DATA_UNI = 0x07, "initial_max_stream_data_uni";
    INITIAL_MAX_STREAMS_BIDI = 0x08, "initial_max_streams_bidi";
    INITIAL_MAX_STREAMS_UNI = 0x09, "initial_max_streams_uni";
    ACK_DELAY_EXPONENT = 0x0a, "ack_delay_exponent";
    MAX_ACK_DELAY = 0x0b, "max_ack_delay";
    DISABLE_ACTIVE_MIGRATION = 0x0c, "disable_active_migration";
    PREFERRED_ADDRESS = 0x0d, "preferred_address";
    ACTIVE_CONNECTION_ID_LIMIT = 0x0e, "active_connection_id_limit";
    INITIAL_SOURCE_CONNECTION_ID = 0x0f, "initial_source_connection_id";
    RETRY_SOURCE_CONNECTION_ID = 0x10, "retry_source_connection_id";
    VERSION_INFORMATION = 0x11, "version_information";
    MAX_DATAGRAM_FRAME_SIZE = 0x20, "max_datagram_frame_size";
    GREASE_QUIC_BIT = 0x2ab2, "grease_quic_bit";
}
