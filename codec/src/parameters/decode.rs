//! Reading transport parameters, with every rule of RFC 9000 §18.2 that they alone can break.

use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use super::{MAX_PARAMETERS, MAX_SIZE, ParameterError, PreferredAddress, TransportParameters, VersionInformation, id};
use crate::cursor::{Reader, UnexpectedEnd};
use crate::frame::flow::MAX_STREAM_COUNT;
use crate::ids::{ConnectionId, ResetToken, Side};
use crate::version::Version;

/// The smallest max_udp_payload_size (RFC 9000 §18.2).
const MIN_UDP_PAYLOAD_SIZE: u64 = 1200;
/// The largest ack_delay_exponent (RFC 9000 §18.2).
const MAX_ACK_DELAY_EXPONENT: u64 = 20;
/// The first max_ack_delay that is too large (RFC 9000 §18.2).
const MAX_ACK_DELAY_BOUND: u64 = 1 << 14;
/// The smallest active_connection_id_limit (RFC 9000 §18.2).
const MIN_ACTIVE_CONNECTION_ID_LIMIT: u64 = 2;

/// What is wrong with the value of a parameter.
type Reason = &'static str;

impl TransportParameters {
    /// Reads the parameters that `peer_side` sent, an extension of a TLS message.
    pub fn decode(bytes: &[u8], peer_side: Side) -> Result<Self, ParameterError> {
        if bytes.len() > MAX_SIZE {
            return Err(ParameterError { id: None, reason: "more than 4096 bytes" });
        }
        let mut parameters = Self::default();
        let mut reader = Reader::new(bytes);
        // One bit for each known parameter that was seen.
        let mut seen = 0_u32;
        for _ in 0..=MAX_PARAMETERS {
            if reader.is_empty() {
                return parameters.check_together(peer_side).map(|()| parameters);
            }
            // Identifier and length take up a byte each, or more: each step makes progress.
            let id = reader.varint().map_err(|UnexpectedEnd| end_within(None))?;
            let value = reader.prefixed().map_err(|UnexpectedEnd| end_within(Some(id)))?;
            let fault = |reason| ParameterError { id: Some(id), reason };
            //= https://www.rfc-editor.org/rfc/rfc9000#section-7.4
            //# An endpoint SHOULD treat receipt of duplicate transport
            //# parameters as a connection error of type TRANSPORT_PARAMETER_ERROR.
            let repeated = match id::KNOWN.iter().position(|known| *known == id) {
                Some(index) => {
                    let bit = 1 << index;
                    let repeated = seen & bit != 0;
                    seen |= bit;
                    repeated
                }
                None => parameters.unknown.iter().any(|(other, _)| *other == id),
            };
            if repeated {
                return Err(fault("sent more than once"));
            }
            check_sender(id, peer_side).map_err(fault)?;
            parameters.read_value(id, value).map_err(fault)?;
        }
        Err(ParameterError { id: None, reason: "more than 64 parameters" })
    }

    fn read_value(&mut self, id: u64, value: &[u8]) -> Result<(), Reason> {
        match id {
            id::ORIGINAL_DESTINATION_CONNECTION_ID => {
                self.original_destination_connection_id = Some(connection_id(value)?);
            }
            id::INITIAL_SOURCE_CONNECTION_ID => self.initial_source_connection_id = Some(connection_id(value)?),
            id::RETRY_SOURCE_CONNECTION_ID => self.retry_source_connection_id = Some(connection_id(value)?),
            id::STATELESS_RESET_TOKEN => {
                let token = value.try_into().map_err(|_| "a stateless reset token has 16 bytes")?;
                self.stateless_reset_token = Some(ResetToken(token));
            }
            id::PREFERRED_ADDRESS => self.preferred_address = Some(preferred_address(value)?),
            id::VERSION_INFORMATION => self.version_information = Some(version_information(value)?),
            id::DISABLE_ACTIVE_MIGRATION => self.disable_active_migration = flag(value)?,
            id::GREASE_QUIC_BIT => self.grease_quic_bit = flag(value)?,
            _ if id::KNOWN.contains(&id) => self.read_integer(id, integer(value)?)?,
            //= https://www.rfc-editor.org/rfc/rfc9000#section-7.4.2
            //# An endpoint MUST ignore transport parameters that it does
            //# not support.
            _ => self.unknown.push((id, Vec::from(value))),
        }
        Ok(())
    }

    fn read_integer(&mut self, id: u64, value: u64) -> Result<(), Reason> {
        let field = match id {
            id::MAX_IDLE_TIMEOUT => &mut self.max_idle_timeout,
            id::MAX_UDP_PAYLOAD_SIZE => {
                //= https://www.rfc-editor.org/rfc/rfc9000#section-18.2
                //# Values below 1200 are invalid.
                check(value >= MIN_UDP_PAYLOAD_SIZE, "below 1200")?;
                &mut self.max_udp_payload_size
            }
            id::INITIAL_MAX_DATA => &mut self.initial_max_data,
            id::INITIAL_MAX_STREAM_DATA_BIDI_LOCAL => &mut self.initial_max_stream_data_bidi_local,
            id::INITIAL_MAX_STREAM_DATA_BIDI_REMOTE => &mut self.initial_max_stream_data_bidi_remote,
            id::INITIAL_MAX_STREAM_DATA_UNI => &mut self.initial_max_stream_data_uni,
            //= https://www.rfc-editor.org/rfc/rfc9000#section-4.6
            //# If
            //# either is received, the connection MUST be closed immediately with a connection
            //# error of type TRANSPORT_PARAMETER_ERROR if the offending value was received in a
            //# transport parameter
            id::INITIAL_MAX_STREAMS_BIDI => {
                check(value <= MAX_STREAM_COUNT, "above 2^60")?;
                &mut self.initial_max_streams_bidi
            }
            id::INITIAL_MAX_STREAMS_UNI => {
                check(value <= MAX_STREAM_COUNT, "above 2^60")?;
                &mut self.initial_max_streams_uni
            }
            id::ACK_DELAY_EXPONENT => {
                //= https://www.rfc-editor.org/rfc/rfc9000#section-18.2
                //# Values above 20 are invalid.
                check(value <= MAX_ACK_DELAY_EXPONENT, "above 20")?;
                self.ack_delay_exponent = u8::try_from(value).map_err(|_| "above 20")?;
                return Ok(());
            }
            id::MAX_ACK_DELAY => {
                //= https://www.rfc-editor.org/rfc/rfc9000#section-18.2
                //# Values of
                //# 2<sup>14</sup> or greater are invalid.
                check(value < MAX_ACK_DELAY_BOUND, "2^14 or more")?;
                &mut self.max_ack_delay
            }
            id::ACTIVE_CONNECTION_ID_LIMIT => {
                //= https://www.rfc-editor.org/rfc/rfc9000#section-18.2
                //# An endpoint that receives a value less than 2 MUST close the connection
                //# with an error of type TRANSPORT_PARAMETER_ERROR.
                check(value >= MIN_ACTIVE_CONNECTION_ID_LIMIT, "below 2")?;
                &mut self.active_connection_id_limit
            }
            id::MAX_DATAGRAM_FRAME_SIZE => {
                // 0 is the default: no support (RFC 9221 §3).
                self.max_datagram_frame_size = (value > 0).then_some(value);
                return Ok(());
            }
            // All known parameters that are not integers were read by the caller.
            _ => return Ok(()),
        };
        *field = value;
        Ok(())
    }

    /// The rules that more than one parameter, or the sender, take part in.
    fn check_together(&self, peer_side: Side) -> Result<(), ParameterError> {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-18.2
        //# A server that chooses
        //# a zero-length connection ID MUST NOT provide a preferred address.
        let no_id = self.initial_source_connection_id.is_some_and(|id| id.is_empty());
        if self.preferred_address.is_some() && no_id {
            let reason = "sent by a server that chose a connection id of no bytes";
            return Err(ParameterError { id: Some(id::PREFERRED_ADDRESS), reason });
        }
        //= https://www.rfc-editor.org/rfc/rfc9368#section-4
        //# If a server receives Version
        //# Information where the Chosen Version is not included in Available Versions, it
        //# MUST treat it as a parsing failure.
        let versions = self.version_information.as_ref();
        if peer_side.is_client() && versions.is_some_and(|versions| !versions.available.contains(&versions.chosen)) {
            let reason = "the chosen version is not among the available ones";
            return Err(ParameterError { id: Some(id::VERSION_INFORMATION), reason });
        }
        Ok(())
    }
}

const fn end_within(id: Option<u64>) -> ParameterError {
    ParameterError { id, reason: "the extension ends within a parameter" }
}

const fn check(holds: bool, reason: Reason) -> Result<(), Reason> {
    if holds { Ok(()) } else { Err(reason) }
}

/// Whether `peer_side` may send the parameter.
fn check_sender(id: u64, peer_side: Side) -> Result<(), Reason> {
    let only_from_servers = matches!(
        id,
        id::ORIGINAL_DESTINATION_CONNECTION_ID
            | id::PREFERRED_ADDRESS
            | id::RETRY_SOURCE_CONNECTION_ID
            | id::STATELESS_RESET_TOKEN
    );
    //= https://www.rfc-editor.org/rfc/rfc9000#section-18.2
    //# A server MUST treat
    //# receipt of any of these transport parameters as a connection error of type
    //# TRANSPORT_PARAMETER_ERROR.
    check(!(only_from_servers && peer_side.is_client()), "sent by a client")
}

/// A value that is one variable-length integer.
fn integer(value: &[u8]) -> Result<u64, Reason> {
    let mut reader = Reader::new(value);
    match reader.varint() {
        Ok(number) if reader.is_empty() => Ok(number),
        _ => Err("not one variable-length integer"),
    }
}

/// A value of no bytes.
fn flag(value: &[u8]) -> Result<bool, Reason> {
    check(value.is_empty(), "has a value").map(|()| true)
}

fn connection_id(value: &[u8]) -> Result<ConnectionId, Reason> {
    ConnectionId::new(value).ok_or("a connection id has at most 20 bytes")
}

fn preferred_address(value: &[u8]) -> Result<PreferredAddress, Reason> {
    let mut reader = Reader::new(value);
    let address = read_preferred_address(&mut reader).map_err(|UnexpectedEnd| "too short")??;
    check(reader.is_empty(), "too long")?;
    Ok(address)
}

fn read_preferred_address(reader: &mut Reader<'_>) -> Result<Result<PreferredAddress, Reason>, UnexpectedEnd> {
    let ipv4 = SocketAddrV4::new(Ipv4Addr::from(reader.array::<4>()?), reader.u16()?);
    let ipv6 = SocketAddrV6::new(Ipv6Addr::from(reader.array::<16>()?), reader.u16()?, 0, 0);
    let length = reader.u8()?;
    //= https://www.rfc-editor.org/rfc/rfc9000#section-18.2
    //# Similarly,
    //# a server MUST NOT include a zero-length connection ID in this transport
    //# parameter.  A client MUST treat a violation of these requirements as a
    //# connection error of type TRANSPORT_PARAMETER_ERROR.
    if length == 0 || usize::from(length) > ConnectionId::MAX_LENGTH {
        return Ok(Err("a connection id has 1 to 20 bytes"));
    }
    let id = connection_id(reader.bytes(usize::from(length))?);
    let reset_token = ResetToken(reader.array()?);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-18.2
    //# Servers MAY choose to only send
    //# a preferred address of one address family by sending an all-zero address and
    //# port (0.0.0.0:0 or \[::]:0) for the other family.
    let ipv4 = (!ipv4.ip().is_unspecified() || ipv4.port() != 0).then_some(ipv4);
    let ipv6 = (!ipv6.ip().is_unspecified() || ipv6.port() != 0).then_some(ipv6);
    Ok(id.map(|id| PreferredAddress { ipv4, ipv6, id, reset_token }))
}

fn version_information(value: &[u8]) -> Result<VersionInformation, Reason> {
    let (versions, partial) = value.as_chunks::<4>();
    //= https://www.rfc-editor.org/rfc/rfc9368#section-4
    //# If that leads to a parsing failure (for example, if it is too short or if
    //# its length is not divisible by four), then the endpoint MUST close the
    //# connection; if the connection was using QUIC version 1, that connection closure
    //# MUST use a transport error of type TRANSPORT_PARAMETER_ERROR.
    check(partial.is_empty(), "the length is not divisible by four")?;
    let mut versions = versions.iter().map(|bytes| Version(u32::from_be_bytes(*bytes)));
    let chosen = versions.next().ok_or("no chosen version")?;
    let available: Vec<_> = versions.collect();
    //= https://www.rfc-editor.org/rfc/rfc9368#section-4
    //# If an endpoint
    //# receives a Chosen Version equal to zero, or any Available Version equal to zero,
    //# it MUST treat it as a parsing failure.
    let zero = Version::NEGOTIATION;
    check(chosen != zero && !available.contains(&zero), "a version is zero")?;
    Ok(VersionInformation { chosen, available })
}
