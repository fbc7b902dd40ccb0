//! SETTINGS (RFC 9114 §7.2.4): what an endpoint says of itself, once.

use bytes::BytesMut;
use codec::VarInt;
use codec::cursor::Reader;

use crate::error::{Code, ConnectionError};
use crate::frame::{FrameType, put_frame_header, put_varint};
use crate::grease::Grease;
use crate::limits;

const QPACK_MAX_TABLE_CAPACITY: u64 = 0x01;
const MAX_FIELD_SECTION_SIZE: u64 = 0x06;
const QPACK_BLOCKED_STREAMS: u64 = 0x07;
const ENABLE_CONNECT_PROTOCOL: u64 = 0x08;
const H3_DATAGRAM: u64 = 0x33;

/// What an endpoint permits or supports. The default is what holds for one that has said nothing yet.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    /// Bytes of the dynamic table that its decoder keeps (RFC 9204 §5).
    pub qpack_max_table_capacity: u64,
    /// Streams that may wait for the encoder stream (RFC 9204 §5).
    pub qpack_blocked_streams: u64,
    /// The largest field section it wants to see, in bytes, with 32 for each line (RFC 9114 §4.2.2); `None`: any.
    pub max_field_section_size: Option<u64>,
    /// Whether requests may be extended CONNECT (RFC 9220 §3). Only that of a server means something.
    pub enable_connect_protocol: bool,
    /// Whether HTTP datagrams may be sent to it in DATAGRAM frames (RFC 9297 §2.1.1).
    pub h3_datagram: bool,
}

impl Settings {
    /// Reads the payload of a SETTINGS frame.
    pub fn decode(payload: &[u8]) -> Result<Self, ConnectionError> {
        let mut settings = Self::default();
        let mut seen = [0; limits::SETTINGS];
        let mut count = 0;
        let mut reader = Reader::new(payload);
        while !reader.is_empty() {
            let (Ok(identifier), Ok(value)) = (reader.varint(), reader.varint()) else {
                //= https://www.rfc-editor.org/rfc/rfc9114#section-7.1
                //# A frame payload that contains additional bytes after the
                //# identified fields or a frame payload that terminates before the end of the
                //# identified fields MUST be treated as a connection error of type
                //# H3_FRAME_ERROR.
                return Err(ConnectionError::new(Code::H3_FRAME_ERROR, "SETTINGS ends within a parameter"));
            };
            //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4
            //# A receiver MAY treat the presence of duplicate setting identifiers as a
            //# connection error of type H3_SETTINGS_ERROR.
            if seen.iter().take(count).any(|earlier| *earlier == identifier) {
                return Err(ConnectionError::new(Code::H3_SETTINGS_ERROR, "a setting occurs twice"));
            }
            let Some(place) = seen.get_mut(count) else {
                return Err(ConnectionError::new(Code::H3_EXCESSIVE_LOAD, "SETTINGS has too many parameters"));
            };
            *place = identifier;
            count += 1;
            settings.set(identifier, value)?;
        }
        Ok(settings)
    }

    fn set(&mut self, identifier: u64, value: u64) -> Result<(), ConnectionError> {
        match identifier {
            QPACK_MAX_TABLE_CAPACITY => self.qpack_max_table_capacity = value,
            MAX_FIELD_SECTION_SIZE => self.max_field_section_size = Some(value),
            QPACK_BLOCKED_STREAMS => self.qpack_blocked_streams = value,
            ENABLE_CONNECT_PROTOCOL => self.enable_connect_protocol = boolean(value)?,
            //= https://www.rfc-editor.org/rfc/rfc9297#section-2.1.1
            //# If the SETTINGS_H3_DATAGRAM setting is received with a value that is neither 0
            //# nor 1, the receiver MUST terminate the connection with error H3_SETTINGS_ERROR.
            H3_DATAGRAM => self.h3_datagram = boolean(value)?,
            //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.1
            //# These
            //# reserved settings MUST NOT be sent, and their receipt MUST be treated as a
            //# connection error of type H3_SETTINGS_ERROR.
            0x00 | 0x02..=0x05 => {
                return Err(ConnectionError::new(Code::H3_SETTINGS_ERROR, "a setting of HTTP/2 is not one of HTTP/3"));
            }
            //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4
            //# An implementation MUST ignore any parameter with an identifier it does
            //# not understand.
            _ => {}
        }
        Ok(())
    }

    /// Appends the whole SETTINGS frame. With `grease`, one setting without meaning is among them.
    pub fn encode(&self, grease: Option<&mut Grease>, out: &mut BytesMut) {
        let mut parameters: [Option<(u64, u64)>; 6] = [
            Some((QPACK_MAX_TABLE_CAPACITY, self.qpack_max_table_capacity)).filter(|(_, value)| *value != 0),
            self.max_field_section_size.map(|value| (MAX_FIELD_SECTION_SIZE, value)),
            Some((QPACK_BLOCKED_STREAMS, self.qpack_blocked_streams)).filter(|(_, value)| *value != 0),
            self.enable_connect_protocol.then_some((ENABLE_CONNECT_PROTOCOL, 1)),
            self.h3_datagram.then_some((H3_DATAGRAM, 1)),
            None,
        ];
        if let (Some(grease), [.., last]) = (grease, &mut parameters) {
            //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.1
            //# Endpoints SHOULD include at
            //# least one such setting in their SETTINGS frame.
            *last = Some((grease.number(), grease.next() & 0x3fff_ffff));
        }
        let parameters = parameters.into_iter().flatten();
        let length: usize =
            parameters.clone().map(|(identifier, value)| VarInt::size_of(identifier) + VarInt::size_of(value)).sum();
        put_frame_header(out, FrameType::SETTINGS, length as u64);
        for (identifier, value) in parameters {
            put_varint(out, identifier);
            put_varint(out, value);
        }
    }

    /// Whether what a client did under `self`, remembered from an earlier connection, is permitted by `now`, which the
    /// server says after it accepted 0-RTT.
    pub fn permits_early_data_of(&self, now: &Self) -> Result<(), ConnectionError> {
        //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2
        //# If 0-RTT data is accepted by the server, its SETTINGS frame MUST
        //# NOT reduce any limits or alter any values that might be violated by the client
        //# with its 0-RTT data.
        let sections = match (self.max_field_section_size, now.max_field_section_size) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(before), Some(now)) => before <= now,
        };
        //= https://www.rfc-editor.org/rfc/rfc9297#section-2.1.1
        //# If a client stores the value of the SETTINGS_H3_DATAGRAM setting with
        //# their 0-RTT state, they MUST validate that the new value of the
        //# SETTINGS_H3_DATAGRAM setting sent by the server in the handshake is greater than
        //# or equal to the stored value; if not, the client MUST terminate the connection
        //# with error H3_SETTINGS_ERROR.
        let kept = sections
            && self.qpack_max_table_capacity <= now.qpack_max_table_capacity
            && self.qpack_blocked_streams <= now.qpack_blocked_streams
            && self.enable_connect_protocol <= now.enable_connect_protocol
            && self.h3_datagram <= now.h3_datagram;
        if kept {
            return Ok(());
        }
        //= https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2
        //# If a server accepts 0-RTT but then sends settings that
        //# are not compatible with the previously specified settings, this MUST be treated
        //# as a connection error of type H3_SETTINGS_ERROR.
        Err(ConnectionError::new(Code::H3_SETTINGS_ERROR, "settings were reduced after 0-RTT was accepted"))
    }
}

const fn boolean(value: u64) -> Result<bool, ConnectionError> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(ConnectionError::new(Code::H3_SETTINGS_ERROR, "a setting is neither 0 nor 1")),
    }
}

#[cfg(test)]
mod tests;
