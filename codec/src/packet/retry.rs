//! The Retry packet (RFC 9000 §17.2.5).

use super::long::{self, Invariants};
use super::{FIXED_BIT, LONG_FORM, PacketError, PacketKind};
use crate::cursor::{BufferFull, Reader, Writer};
use crate::ids::ConnectionId;
use crate::version::Version;

const TAG_LENGTH: usize = 16;

/// A Retry packet. Nothing in it may be believed before its integrity tag is verified (RFC 9001 §5.8).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Retry<'a> {
    /// The version that the client tried.
    pub version: Version,
    /// The source id of the client's Initial.
    pub destination: ConnectionId,
    /// The id that the client shall use from now on.
    pub source: ConnectionId,
    /// What the client shall put into its next Initial; never empty.
    pub token: &'a [u8],
    /// The tag over `covered` and the client's first destination id.
    pub integrity_tag: [u8; TAG_LENGTH],
    /// The packet without the tag.
    pub covered: &'a [u8],
}

impl<'a> Retry<'a> {
    /// Bytes of the integrity tag (RFC 9001 §5.8).
    pub const TAG_LENGTH: usize = TAG_LENGTH;

    pub(super) fn read(
        header: &Invariants<'a>,
        datagram: &'a [u8],
        reader: &mut Reader<'a>,
    ) -> Result<Self, PacketError> {
        let (token, integrity_tag) = reader.rest().split_last_chunk::<TAG_LENGTH>().ok_or(PacketError::Truncated)?;
        //= https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2
        //# A client MUST discard a Retry packet with a zero-length Retry
        //# Token field.
        if token.is_empty() {
            return Err(PacketError::EmptyRetryToken);
        }
        let (covered, _) = datagram.split_last_chunk::<TAG_LENGTH>().ok_or(PacketError::Truncated)?;
        Ok(Self {
            version: header.version,
            destination: long::inline(header.destination)?,
            source: long::inline(header.source)?,
            token,
            integrity_tag: *integrity_tag,
            covered,
        })
    }

    /// Writes a Retry packet up to its integrity tag, which the caller computes over what was written and appends.
    /// `random` fills the four unused bits. All or nothing.
    pub fn encode(
        w: &mut Writer<'_>,
        version: Version,
        destination: &ConnectionId,
        source: &ConnectionId,
        token: &[u8],
        random: u8,
    ) -> Result<(), BufferFull> {
        let start = w.position();
        let first = LONG_FORM | FIXED_BIT | long::type_bits(version, PacketKind::Retry) << 4 | random & 0x0f;
        long::write_invariants(w, first, version, destination.as_bytes(), source.as_bytes())
            .and_then(|()| w.bytes(token))
            .inspect_err(|_| w.truncate(start))
    }
}
