//! Writing packet headers: the counterpart of `long` and `short`.

use core::num::NonZeroU16;

use super::short::{KEY_PHASE_BIT, SPIN_BIT};
use super::{FIXED_BIT, LONG_FORM, PacketKind, long, number};
use crate::cursor::{BufferFull, Writer};
use crate::ids::ConnectionId;
use crate::varint::VarInt;
use crate::version::Version;

/// Bytes of the Length field as we write it: two, so that it can be filled in when the packet is complete.
const LENGTH_FIELD: usize = 2;
/// The first byte, the version and the lengths of the two ids of a long header (RFC 9000 §17.2).
const LONG_FIXED: usize = 1 + 4 + 1 + 1;
/// The largest number that a variable-length integer of two bytes carries (RFC 9000 §16).
const MAX_LENGTH: usize = 0x3fff;

/// The header of a packet that is to be sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Header<'a> {
    /// RFC 9000 §17.2.2.
    Initial {
        /// The version in use.
        version: Version,
        /// Whom it is for.
        destination: ConnectionId,
        /// Whom it is from.
        source: ConnectionId,
        /// From a Retry packet or a NEW_TOKEN frame; empty from servers.
        token: &'a [u8],
    },
    /// RFC 9000 §17.2.3.
    ZeroRtt {
        /// The version in use.
        version: Version,
        /// Whom it is for.
        destination: ConnectionId,
        /// Whom it is from.
        source: ConnectionId,
    },
    /// RFC 9000 §17.2.4.
    Handshake {
        /// The version in use.
        version: Version,
        /// Whom it is for.
        destination: ConnectionId,
        /// Whom it is from.
        source: ConnectionId,
    },
    /// RFC 9000 §17.3.1.
    OneRtt {
        /// Whom it is for.
        destination: ConnectionId,
        /// The latency spin bit (RFC 9000 §17.4).
        spin: bool,
        /// The key phase (RFC 9001 §6).
        key_phase: bool,
    },
}

impl Header<'_> {
    /// The kind of packet.
    #[inline]
    pub const fn kind(&self) -> PacketKind {
        match self {
            Self::Initial { .. } => PacketKind::Initial,
            Self::ZeroRtt { .. } => PacketKind::ZeroRtt,
            Self::Handshake { .. } => PacketKind::Handshake,
            Self::OneRtt { .. } => PacketKind::OneRtt,
        }
    }

    /// How many bytes come before the payload.
    #[inline]
    pub const fn encoded_size(&self, number_length: usize) -> usize {
        let before_number = match self {
            Self::OneRtt { destination, .. } => 1 + destination.len(),
            Self::ZeroRtt { destination, source, .. } | Self::Handshake { destination, source, .. } => {
                LONG_FIXED + destination.len() + source.len() + LENGTH_FIELD
            }
            Self::Initial { destination, source, token, .. } => {
                let token = VarInt::size_of(token.len() as u64) + token.len();
                LONG_FIXED + destination.len() + source.len() + token + LENGTH_FIELD
            }
        };
        before_number + number_length
    }

    /// Writes the header of packet `number`, of which `number_length` (1 to 4) bytes are sent. All or nothing, and within
    /// the first 64 KiB of the buffer.
    ///
    /// The Length field of a long header stays open until [`WrittenHeader::finish`].
    #[inline]
    pub fn encode(&self, w: &mut Writer<'_>, number: u64, number_length: usize) -> Result<WrittenHeader, BufferFull> {
        debug_assert!((1..=number::MAX_LENGTH).contains(&number_length), "a packet number has 1 to 4 bytes");
        let number_length = number_length.clamp(1, number::MAX_LENGTH);
        if w.remaining() < self.encoded_size(number_length) {
            return Err(BufferFull);
        }
        let start = w.position();
        // Between 0 and 3; the reserved bits stay zero.
        let number_bits = (number_length - 1) as u8;
        let length_offset = match *self {
            Self::OneRtt { destination, spin, key_phase } => {
                let spin = if spin { SPIN_BIT } else { 0 };
                let key_phase = if key_phase { KEY_PHASE_BIT } else { 0 };
                w.u8(FIXED_BIT | spin | key_phase | number_bits)?;
                w.bytes(destination.as_bytes())?;
                None
            }
            Self::Initial { version, destination, source, token } => {
                write_long(w, self.kind(), number_bits, version, &destination, &source)?;
                w.varint(token.len() as u64)?;
                w.bytes(token)?;
                Some(write_length(w)?)
            }
            Self::ZeroRtt { version, destination, source } | Self::Handshake { version, destination, source } => {
                write_long(w, self.kind(), number_bits, version, &destination, &source)?;
                Some(write_length(w)?)
            }
        };
        let packet_number_offset = w.position();
        number::write(w, number, number_length)?;
        // All of them fit if the last does.
        let payload_offset = u16::try_from(w.position()).ok().and_then(NonZeroU16::new).ok_or(BufferFull)?;
        Ok(WrittenHeader {
            start: start as u16,
            length_offset: length_offset.unwrap_or(0) as u16,
            packet_number_offset: packet_number_offset as u16,
            payload_offset,
        })
    }
}

fn write_long(
    w: &mut Writer<'_>,
    kind: PacketKind,
    number_bits: u8,
    version: Version,
    destination: &ConnectionId,
    source: &ConnectionId,
) -> Result<(), BufferFull> {
    let first = LONG_FORM | FIXED_BIT | long::type_bits(version, kind) << 4 | number_bits;
    long::write_invariants(w, first, version, destination.as_bytes(), source.as_bytes())
}

/// Leaves room for the Length field; returns where it is.
fn write_length(w: &mut Writer<'_>) -> Result<usize, BufferFull> {
    let offset = w.position();
    w.zeros(LENGTH_FIELD)?;
    Ok(offset)
}

/// Where the parts of a header are that was just written, counted from the start of the [`Writer`]'s buffer.
// One word, which stays in a register: a datagram has less than 64 KiB.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WrittenHeader {
    start: u16,
    /// 0 if there is none: there it cannot be.
    length_offset: u16,
    packet_number_offset: u16,
    /// Never 0, so that not having written a header is as small.
    payload_offset: NonZeroU16,
}

impl WrittenHeader {
    /// The first byte of the packet.
    #[inline]
    pub fn start(&self) -> usize {
        self.start.into()
    }

    /// The Length field of a long header.
    #[inline]
    pub fn length_offset(&self) -> Option<usize> {
        (self.length_offset > 0).then_some(self.length_offset.into())
    }

    /// The packet number.
    #[inline]
    pub fn packet_number_offset(&self) -> usize {
        self.packet_number_offset.into()
    }

    /// The payload.
    #[inline]
    pub fn payload_offset(&self) -> usize {
        self.payload_offset.get().into()
    }

    /// Fills in the Length field. `buffer` is the writer's; `end` is where the packet ends in it, AEAD tag included.
    ///
    /// From the packet number to `end` there are at most 16383 bytes. Nothing happens to a short header.
    #[inline]
    pub fn finish(&self, buffer: &mut [u8], end: usize) {
        let Some(offset) = self.length_offset() else { return };
        let length = end.saturating_sub(self.packet_number_offset());
        debug_assert!(length <= MAX_LENGTH, "a long header packet of {length} bytes does not fit its Length field");
        // A variable-length integer of two bytes (RFC 9000 §16); bounded, so the conversion is lossless.
        let field = 0x4000 | length.min(MAX_LENGTH) as u16;
        if let Some(bytes) = buffer.get_mut(offset..).and_then(|bytes| bytes.first_chunk_mut()) {
            *bytes = field.to_be_bytes();
        }
    }
}
