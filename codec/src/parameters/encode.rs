//! Writing transport parameters, greased if asked to.

use alloc::vec::Vec;
use core::ops::Range;

use super::{PreferredAddress, TransportParameters, VersionInformation, id};
use crate::cursor::Writer;
use crate::ids::{ConnectionId, ResetToken, Side};
use crate::varint::VarInt;

/// Asks for a reserved parameter among the others and for an order that is different each time, so that peers keep
/// tolerating both (RFC 9000 §18.1).
#[derive(Clone, Copy, Debug)]
pub struct Grease {
    /// Where all the variety comes from.
    pub seed: u64,
}

impl TransportParameters {
    /// The extension that `side` sends. Parameters with their default value are left out, and those that only a server
    /// may send if `side` is the client. With `grease`, a reserved parameter of 0 to 15 bytes is added and the order
    /// shuffled.
    pub fn encode(&self, side: Side, grease: Option<Grease>) -> Vec<u8> {
        let mut out = Parameters::default();
        if side.is_server() {
            self.write_of_servers(&mut out);
        }
        let default = Self::default();
        out.integer(id::MAX_IDLE_TIMEOUT, self.max_idle_timeout, default.max_idle_timeout);
        out.integer(id::MAX_UDP_PAYLOAD_SIZE, self.max_udp_payload_size, default.max_udp_payload_size);
        out.integer(id::INITIAL_MAX_DATA, self.initial_max_data, 0);
        out.integer(id::INITIAL_MAX_STREAM_DATA_BIDI_LOCAL, self.initial_max_stream_data_bidi_local, 0);
        out.integer(id::INITIAL_MAX_STREAM_DATA_BIDI_REMOTE, self.initial_max_stream_data_bidi_remote, 0);
        out.integer(id::INITIAL_MAX_STREAM_DATA_UNI, self.initial_max_stream_data_uni, 0);
        out.integer(id::INITIAL_MAX_STREAMS_BIDI, self.initial_max_streams_bidi, 0);
        out.integer(id::INITIAL_MAX_STREAMS_UNI, self.initial_max_streams_uni, 0);
        out.integer(id::ACK_DELAY_EXPONENT, self.ack_delay_exponent.into(), default.ack_delay_exponent.into());
        out.integer(id::MAX_ACK_DELAY, self.max_ack_delay, default.max_ack_delay);
        out.flag(id::DISABLE_ACTIVE_MIGRATION, self.disable_active_migration);
        let limit = self.active_connection_id_limit;
        out.integer(id::ACTIVE_CONNECTION_ID_LIMIT, limit, default.active_connection_id_limit);
        out.connection_id(id::INITIAL_SOURCE_CONNECTION_ID, self.initial_source_connection_id);
        out.integer(id::MAX_DATAGRAM_FRAME_SIZE, self.max_datagram_frame_size.unwrap_or(0), 0);
        out.flag(id::GREASE_QUIC_BIT, self.grease_quic_bit);
        if let Some(versions) = &self.version_information {
            out.version_information(versions);
        }
        for (id, value) in &self.unknown {
            out.bytes(*id, value);
        }
        match grease {
            None => out.bytes,
            Some(Grease { seed }) => out.greased(Noise(seed)),
        }
    }

    fn write_of_servers(&self, out: &mut Parameters) {
        out.connection_id(id::ORIGINAL_DESTINATION_CONNECTION_ID, self.original_destination_connection_id);
        out.connection_id(id::RETRY_SOURCE_CONNECTION_ID, self.retry_source_connection_id);
        if let Some(ResetToken(token)) = &self.stateless_reset_token {
            out.bytes(id::STATELESS_RESET_TOKEN, token);
        }
        if let Some(address) = &self.preferred_address {
            out.preferred_address(address);
        }
    }
}

/// Encoded parameters, and where each one lies.
#[derive(Default)]
struct Parameters {
    bytes: Vec<u8>,
    each: Vec<(u64, Range<usize>)>,
}

impl Parameters {
    fn bytes(&mut self, id: u64, value: &[u8]) {
        let start = self.bytes.len();
        varint(&mut self.bytes, id);
        varint(&mut self.bytes, value.len() as u64);
        self.bytes.extend_from_slice(value);
        self.each.push((id, start..self.bytes.len()));
    }

    fn integer(&mut self, id: u64, value: u64, default: u64) {
        if value != default {
            let mut bytes = Vec::with_capacity(8);
            varint(&mut bytes, value);
            self.bytes(id, &bytes);
        }
    }

    fn flag(&mut self, id: u64, value: bool) {
        if value {
            self.bytes(id, &[]);
        }
    }

    fn connection_id(&mut self, id: u64, value: Option<ConnectionId>) {
        if let Some(value) = value {
            self.bytes(id, value.as_bytes());
        }
    }

    fn preferred_address(&mut self, address: &PreferredAddress) {
        let mut value = Vec::with_capacity(64);
        let ipv4 = address.ipv4.map_or(([0; 4], 0), |address| (address.ip().octets(), address.port()));
        value.extend_from_slice(&ipv4.0);
        value.extend_from_slice(&ipv4.1.to_be_bytes());
        let ipv6 = address.ipv6.map_or(([0; 16], 0), |address| (address.ip().octets(), address.port()));
        value.extend_from_slice(&ipv6.0);
        value.extend_from_slice(&ipv6.1.to_be_bytes());
        // At most 20.
        value.push(address.id.len() as u8);
        value.extend_from_slice(address.id.as_bytes());
        value.extend_from_slice(&address.reset_token.0);
        self.bytes(id::PREFERRED_ADDRESS, &value);
    }

    fn version_information(&mut self, versions: &VersionInformation) {
        let all = core::iter::once(&versions.chosen).chain(&versions.available);
        let value: Vec<u8> = all.flat_map(|version| version.0.to_be_bytes()).collect();
        self.bytes(id::VERSION_INFORMATION, &value);
    }

    /// Adds a reserved parameter and shuffles.
    fn greased(mut self, mut noise: Noise) -> Vec<u8> {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-18.1
        //# Transport parameters with an identifier of the form `31 * N + 27` for integer
        //# values of N are reserved to exercise the requirement that unknown transport
        //# parameters be ignored.
        let reserved = 31 * noise.below(VarInt::MAX.into_inner() / 31 - 1) + 27;
        let value = noise.next().to_be_bytes().repeat(2);
        let length = usize::try_from(noise.below(16)).unwrap_or(0);
        if self.each.iter().all(|(id, _)| *id != reserved) {
            self.bytes(reserved, value.get(..length).unwrap_or_default());
        }
        for last in (1..self.each.len()).rev() {
            let other = usize::try_from(noise.below(last as u64 + 1)).unwrap_or(last);
            self.each.swap(last, other);
        }
        self.each.iter().flat_map(|(_, range)| self.bytes.get(range.clone()).unwrap_or_default()).copied().collect()
    }
}

fn varint(out: &mut Vec<u8>, value: u64) {
    let mut buffer = [0; 8];
    let mut w = Writer::new(&mut buffer);
    // No variable-length integer is longer than 8 bytes.
    if w.varint(value).is_ok() {
        out.extend_from_slice(w.written());
    }
}

/// SplitMix64: enough variety for greasing, no secrets.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `bound`, which is not zero.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
