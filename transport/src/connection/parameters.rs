//! Transport parameters: ours from the settings, the peer's checked and applied (RFC 9000 §7.3, §7.4, §18.2).

use std::time::Duration;

use codec::parameters::{TransportParameters, VersionInformation};
use codec::{ConnectionId, Side, Version};

use super::Connection;
use super::handshake::Handshake;
use crate::config::Config;
use crate::error::TransportError;
use crate::limits;
use crate::stream::ledger::{LocalLimits, PeerLimits};
use crate::version_negotiation::{self, Offer};

/// What we announce, but for what only a server knows.
pub(super) fn ours(config: &Config, source: ConnectionId) -> TransportParameters {
    TransportParameters {
        max_idle_timeout: millis(config.max_idle_timeout),
        max_udp_payload_size: config.max_udp_payload_size,
        initial_max_data: config.receive_window,
        initial_max_stream_data_bidi_local: config.stream_receive_window,
        initial_max_stream_data_bidi_remote: config.stream_receive_window,
        initial_max_stream_data_uni: config.stream_receive_window,
        initial_max_streams_bidi: config.max_concurrent_bidirectional_streams,
        initial_max_streams_uni: config.max_concurrent_unidirectional_streams,
        max_ack_delay: millis(config.max_ack_delay),
        active_connection_id_limit: limits::ACTIVE_CONNECTION_IDS,
        initial_source_connection_id: Some(source),
        max_datagram_frame_size: config.datagrams.then_some(65_535),
        ..TransportParameters::default()
    }
}

/// The same with the versions in use and on offer (RFC 9368 §3).
///
/// TLS is bound to one version, so a client's first flight can be converted to no other: it offers only the one it
/// chose. A server says what it would answer to.
pub(super) fn with_versions(
    own: TransportParameters,
    side: Side,
    chosen: Version,
    config: &Config,
) -> TransportParameters {
    let available = if side.is_client() { vec![chosen] } else { config.versions.clone() };
    TransportParameters { version_information: Some(VersionInformation { chosen, available }), ..own }
}

/// The limits that the ledger holds the peer to.
pub(super) fn local_limits(config: &Config) -> LocalLimits {
    LocalLimits {
        initial_max_data: config.receive_window,
        initial_max_stream_data_bidi_local: config.stream_receive_window,
        initial_max_stream_data_bidi_remote: config.stream_receive_window,
        initial_max_stream_data_uni: config.stream_receive_window,
        initial_max_streams_bidi: config.max_concurrent_bidirectional_streams,
        initial_max_streams_uni: config.max_concurrent_unidirectional_streams,
        maximum_window: config.receive_window_maximum,
    }
}

/// Checks the ids that authenticate the handshake's packets.
pub(super) fn check(peer: &TransportParameters, side: Side, handshake: &Handshake) -> Result<(), TransportError> {
    //= https://www.rfc-editor.org/rfc/rfc9000#section-7.3
    //# An endpoint MUST treat the absence of the
    //# initial_source_connection_id transport parameter from either endpoint or the
    //# absence of the original_destination_connection_id transport parameter from the
    //# server as a connection error of type TRANSPORT_PARAMETER_ERROR.
    if peer.initial_source_connection_id.is_none() {
        return Err(TransportError::transport_parameter("initial_source_connection_id is missing"));
    }
    if peer.initial_source_connection_id != handshake.peer_source {
        return Err(TransportError::transport_parameter(
            "initial_source_connection_id is not the one packets came from",
        ));
    }
    if side.is_client() {
        if peer.original_destination_connection_id != Some(handshake.original_destination) {
            return Err(TransportError::transport_parameter(
                "original_destination_connection_id is missing or not the one of the first Initial",
            ));
        }
        if peer.retry_source_connection_id != handshake.retry_source {
            return Err(TransportError::transport_parameter(
                "retry_source_connection_id does not match whether and from where a Retry came",
            ));
        }
    }
    Ok(())
}

/// Checks the peer's version information (RFC 9368 §4).
pub(super) fn check_versions(
    peer: &TransportParameters,
    side: Side,
    version: Version,
    handshake: &Handshake,
    config: &Config,
) -> Result<(), TransportError> {
    let information = peer.version_information.as_ref();
    match side {
        Side::Server => version_negotiation::check_client(information, version),
        Side::Client => version_negotiation::check_server(
            information,
            &Offer {
                attempted: handshake.first_version,
                available: &[handshake.first_version],
                in_use: version,
                negotiated: handshake.negotiated,
                supported: &config.versions,
            },
        ),
    }
}

/// What of the peer's transport parameters is asked for again. All others have taken effect where they belong.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerFacts {
    pub(super) max_idle_timeout: Duration,
    pub(super) max_datagram_frame_size: Option<u64>,
    pub(super) ack_delay_exponent: u8,
}

impl Connection {
    /// Lets the peer's parameters take effect.
    pub(super) fn apply_peer_parameters(&mut self, peer: &TransportParameters) {
        self.ledger.set_peer_limits(PeerLimits {
            initial_max_data: peer.initial_max_data,
            initial_max_stream_data_bidi_local: peer.initial_max_stream_data_bidi_local,
            initial_max_stream_data_bidi_remote: peer.initial_max_stream_data_bidi_remote,
            initial_max_stream_data_uni: peer.initial_max_stream_data_uni,
            initial_max_streams_bidi: peer.initial_max_streams_bidi,
            initial_max_streams_uni: peer.initial_max_streams_uni,
        });
        self.recovery.set_peer_ack_delay(Duration::from_millis(peer.max_ack_delay), peer.ack_delay_exponent);
        self.local_ids.set_peer_limit(peer.active_connection_id_limit);
        if let Some(token) = peer.stateless_reset_token {
            self.peer_ids.set_first_reset_token(token);
        }
        self.paths.on_peer_parameters(peer.max_udp_payload_size, peer.disable_active_migration);
        self.peer = Some(PeerFacts {
            max_idle_timeout: Duration::from_millis(peer.max_idle_timeout),
            max_datagram_frame_size: peer.max_datagram_frame_size,
            ack_delay_exponent: peer.ack_delay_exponent,
        });
    }

    /// The idle timeout that holds for both: the smaller of the two that are not zero (RFC 9000 §10.1).
    pub(super) fn idle_timeout(&self) -> Option<Duration> {
        let ours = self.config.max_idle_timeout;
        let theirs = self.peer.map_or(Duration::ZERO, |peer| peer.max_idle_timeout);
        let agreed = match (ours.is_zero(), theirs.is_zero()) {
            (true, true) => return None,
            (true, false) => theirs,
            (false, true) => ours,
            (false, false) => ours.min(theirs),
        };
        //= https://www.rfc-editor.org/rfc/rfc9000#section-10.1
        //# To avoid excessively small idle timeout periods, endpoints MUST
        //# increase the idle timeout period to be at least three times the
        //# current Probe Timeout (PTO).
        Some(agreed.max(self.recovery.pto() * 3))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
