//! The Version Negotiation packet (RFC 8999 §6, RFC 9000 §17.2.1).

use super::long::{self, Invariants};
use super::{FIXED_BIT, LONG_FORM, PacketError};
use crate::cursor::{BufferFull, Reader, Writer};
use crate::version::Version;

/// A Version Negotiation packet. It is not protected: a client believes it only if both ids are its own, in reverse,
/// and only before any other packet came (RFC 9000 §6.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct VersionNegotiation<'a> {
    /// The source id of the packet that it answers; up to 255 bytes.
    pub destination: &'a [u8],
    /// The destination id of the packet that it answers; up to 255 bytes.
    pub source: &'a [u8],
    versions: &'a [[u8; 4]],
}

impl<'a> VersionNegotiation<'a> {
    pub(super) fn read(header: &Invariants<'a>, reader: &mut Reader<'a>) -> Result<Self, PacketError> {
        let (versions, partial) = reader.rest().as_chunks();
        //= https://www.rfc-editor.org/rfc/rfc8999#section-6
        //# An endpoint MUST ignore a packet that contains no Supported Version
        //# fields or contains a truncated Supported Version value.
        if versions.is_empty() || !partial.is_empty() {
            return Err(PacketError::MalformedVersionNegotiation);
        }
        Ok(Self { destination: header.destination, source: header.source, versions })
    }

    /// The versions that the server says it knows, in its order; at least one.
    pub fn versions(&self) -> Versions<'a> {
        Versions { rest: self.versions.iter() }
    }

    /// Writes a Version Negotiation packet; `random` fills the unused bits. Ids of more than 255 bytes do not fit.
    /// All or nothing.
    pub fn encode(
        w: &mut Writer<'_>,
        random: u8,
        destination: &[u8],
        source: &[u8],
        versions: &[Version],
    ) -> Result<(), BufferFull> {
        //= https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1
        //# Where QUIC might be multiplexed
        //# with other protocols (see {{?RFC7983}}), servers SHOULD set the most significant
        //# bit of this field (0x40) to 1 so that Version Negotiation packets appear to have
        //# the Fixed Bit field.
        let first = random | LONG_FORM | FIXED_BIT;
        let start = w.position();
        long::write_invariants(w, first, Version::NEGOTIATION, destination, source)
            .and_then(|()| versions.iter().try_for_each(|version| w.u32(version.0)))
            .inspect_err(|_| w.truncate(start))
    }
}

/// The versions in a Version Negotiation packet, in its order.
#[derive(Clone, Debug)]
pub struct Versions<'a> {
    rest: core::slice::Iter<'a, [u8; 4]>,
}

impl Iterator for Versions<'_> {
    type Item = Version;

    fn next(&mut self) -> Option<Version> {
        self.rest.next().map(|bytes| Version(u32::from_be_bytes(*bytes)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rest.size_hint()
    }
}

impl ExactSizeIterator for Versions<'_> {}
