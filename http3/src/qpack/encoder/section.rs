//! How the lines of one section are represented, and how that is written (RFC 9204 §4.5).

use bytes::BytesMut;
use smallvec::SmallVec;

use crate::qpack::field::FieldRef;
use crate::qpack::{integer, literal};

/// Where the name of a literal line comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Name {
    /// The static table, at this index.
    Static(u8),
    /// The dynamic table, at this absolute index.
    Dynamic(u64),
    /// Nowhere: it is literal, too.
    Literal,
}

/// How a line is represented.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Representation {
    /// By its index in the static table.
    Static(u8),
    /// By its absolute index in the dynamic table.
    Dynamic(u64),
    /// By a literal value.
    Literal(Name),
    /// By a literal value that must never be indexed.
    NeverIndexed(Name),
}

/// A section before it is written: its prefix depends on all its lines.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    lines: SmallVec<[(FieldRef<'a>, Representation); 16]>,
    /// One more than the highest absolute index referred to.
    pub(super) required_insert_count: u64,
    /// The lowest absolute index referred to; without any, `u64::MAX`.
    pub(super) lowest: u64,
    literal_bytes: usize,
}

impl<'a> Plan<'a> {
    pub(super) fn new() -> Self {
        Self { lines: SmallVec::new(), required_insert_count: 0, lowest: u64::MAX, literal_bytes: 0 }
    }

    /// Adds a line.
    #[inline]
    pub(super) fn push(&mut self, field: FieldRef<'a>, representation: Representation) {
        if let Representation::Dynamic(absolute)
        | Representation::Literal(Name::Dynamic(absolute))
        | Representation::NeverIndexed(Name::Dynamic(absolute)) = representation
        {
            self.required_insert_count = self.required_insert_count.max(absolute + 1);
            self.lowest = self.lowest.min(absolute);
        }
        if let Representation::Literal(name) | Representation::NeverIndexed(name) = representation {
            self.literal_bytes += field.value.len() + 8;
            self.literal_bytes += if name == Name::Literal { field.name.len() + 8 } else { 0 };
        }
        self.lines.push((field, representation));
    }

    /// Writes it; `max_entries` is the number of entries that fit into the largest table that the peer permits.
    pub(super) fn write(&self, max_entries: u64, out: &mut BytesMut) {
        out.reserve(16 + self.lines.len() * 2 + self.literal_bytes);
        let base = self.base();
        self.write_prefix(max_entries, base, out);
        for (field, representation) in &self.lines {
            match *representation {
                // Indexed Field Line (§4.5.2), with Post-Base Index (§4.5.3).
                Representation::Static(index) => integer::write(0xc0, 6, u64::from(index), out),
                Representation::Dynamic(absolute) if absolute < base => {
                    integer::write(0x80, 6, base - absolute - 1, out);
                }
                Representation::Dynamic(absolute) => integer::write(0x10, 4, absolute - base, out),
                Representation::Literal(name) => write_literal(field, name, base, false, out),
                Representation::NeverIndexed(name) => write_literal(field, name, base, true, out),
            }
        }
    }

    /// The Base with which references are shortest: below it, 63 entries can be referred to in one byte, and from it on,
    /// another 15.
    const fn base(&self) -> u64 {
        const BELOW: u64 = 63;
        const FROM: u64 = 15;
        let distance = self.required_insert_count.saturating_sub(self.lowest);
        let from = distance.saturating_sub(BELOW);
        self.required_insert_count - if from < FROM { from } else { FROM }
    }

    fn write_prefix(&self, max_entries: u64, base: u64, out: &mut BytesMut) {
        let required = self.required_insert_count;
        //= https://www.rfc-editor.org/rfc/rfc9204#section-4.5.1.1
        //# The encoder transforms the Required Insert Count as follows before encoding:
        let encoded = match max_entries.checked_mul(2) {
            Some(full_range) if required > 0 => required.checked_rem(full_range).unwrap_or(0) + 1,
            _ => 0,
        };
        integer::write(0, 8, encoded, out);
        match required.checked_sub(base) {
            None | Some(0) => integer::write(0, 7, base - required, out),
            Some(above) => integer::write(0x80, 7, above - 1, out),
        }
    }

    /// How many of its lines are represented by static index, by dynamic index and by literal value.
    pub(super) fn sources(&self) -> [u64; 3] {
        let mut sources = [0; 3];
        let [statics, dynamics, literals] = &mut sources;
        for (_, representation) in &self.lines {
            match representation {
                Representation::Static(_) => *statics += 1,
                Representation::Dynamic(_) => *dynamics += 1,
                Representation::Literal(_) | Representation::NeverIndexed(_) => *literals += 1,
            }
        }
        sources
    }
}

/// Literal Field Line with Name Reference (§4.5.4), with Post-Base Name Reference (§4.5.5), with Literal Name (§4.5.6).
fn write_literal(field: &FieldRef<'_>, name: Name, base: u64, never_indexed: bool, out: &mut BytesMut) {
    let flag = |bit: u8| if never_indexed { bit } else { 0 };
    match name {
        Name::Static(index) => integer::write(0x50 | flag(0x20), 4, u64::from(index), out),
        Name::Dynamic(absolute) if absolute < base => {
            integer::write(0x40 | flag(0x20), 4, base - absolute - 1, out);
        }
        Name::Dynamic(absolute) => integer::write(flag(0x08), 3, absolute - base, out),
        Name::Literal => literal::write(0x20 | flag(0x10), 3, field.name, out),
    }
    literal::write(0, 7, field.value, out);
}
