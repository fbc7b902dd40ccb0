//! How the lines of one section are represented, and how that is written (RFC 9204 §4.5).

use bytes::BytesMut;
use smallvec::SmallVec;

use super::table::Hashes;
use crate::qpack::field::FieldRef;
use crate::qpack::static_table::{self, Match};
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

/// A line, and what is known of it.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) field: FieldRef<'a>,
    pub(super) hashes: Hashes,
    /// The index of its name in the static table.
    pub(super) known_name: Option<u8>,
    pub(super) representation: Representation,
}

/// A section before it is written: its prefix depends on all its lines.
#[derive(Debug, Default)]
pub(super) struct Plan<'a> {
    lines: SmallVec<[Line<'a>; 16]>,
}

/// What a section refers to in the dynamic table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct References {
    /// One more than the highest absolute index; without any, zero.
    pub(super) required_insert_count: u64,
    /// The lowest absolute index; without any, `u64::MAX`.
    pub(super) lowest: u64,
}

impl<'a> Plan<'a> {
    /// Adds a line, represented as without a dynamic table. One that is sensitive must never be indexed.
    pub(super) fn push(&mut self, field: FieldRef<'a>, is_sensitive: bool) {
        let literal = if is_sensitive { Representation::NeverIndexed } else { Representation::Literal };
        let (known_name, representation) = match static_table::find(field.name, field.value) {
            Match::Line(index) if !is_sensitive => (Some(index), Representation::Static(index)),
            Match::Line(index) | Match::Name(index) => (Some(index), literal(Name::Static(index))),
            Match::None => (None, literal(Name::Literal)),
        };
        self.lines.push(Line { field, hashes: Hashes::default(), known_name, representation });
    }

    pub(super) fn lines(&self) -> &[Line<'a>] {
        &self.lines
    }

    pub(super) fn lines_mut(&mut self) -> &mut [Line<'a>] {
        &mut self.lines
    }

    /// What it refers to.
    pub(super) fn references(&self) -> References {
        let none = References { required_insert_count: 0, lowest: u64::MAX };
        self.lines.iter().filter_map(|line| line.representation.reference()).fold(none, |references, absolute| {
            References {
                required_insert_count: references.required_insert_count.max(absolute + 1),
                lowest: references.lowest.min(absolute),
            }
        })
    }

    /// Writes it; `max_entries` is the number of entries that fit into the largest table that the peer permits.
    pub(super) fn write(&self, max_entries: u64, out: &mut BytesMut) {
        let references = self.references();
        self.write_from(references.base(), references.required_insert_count, max_entries, out);
    }

    fn write_from(&self, base: u64, required_insert_count: u64, max_entries: u64, out: &mut BytesMut) {
        out.reserve(PREFIX_ROOM + self.lines.iter().map(Line::room).sum::<usize>());
        write_prefix(base, required_insert_count, max_entries, out);
        for Line { field, representation, .. } in &self.lines {
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
}

/// Bytes that are reserved for the prefix, and for the indices and lengths of a line; they seldom take more.
const PREFIX_ROOM: usize = 8;
const LINE_ROOM: usize = 4;

impl Line<'_> {
    fn room(&self) -> usize {
        let strings = match self.representation {
            Representation::Static(_) | Representation::Dynamic(_) => 0,
            Representation::Literal(Name::Literal) | Representation::NeverIndexed(Name::Literal) => {
                self.field.name.len() + self.field.value.len()
            }
            Representation::Literal(_) | Representation::NeverIndexed(_) => self.field.value.len(),
        };
        strings + LINE_ROOM
    }
}

impl Representation {
    /// The absolute index that it refers to in the dynamic table.
    const fn reference(self) -> Option<u64> {
        match self {
            Self::Dynamic(absolute)
            | Self::Literal(Name::Dynamic(absolute))
            | Self::NeverIndexed(Name::Dynamic(absolute)) => Some(absolute),
            _ => None,
        }
    }
}

impl References {
    /// The Base with which references are shortest: below it, 63 entries can be referred to in one byte, and from it on,
    /// another 15.
    const fn base(self) -> u64 {
        const BELOW: u64 = 63;
        const FROM: u64 = 15;
        let distance = self.required_insert_count.saturating_sub(self.lowest);
        let from = distance.saturating_sub(BELOW);
        self.required_insert_count - if from < FROM { from } else { FROM }
    }
}

fn write_prefix(base: u64, required_insert_count: u64, max_entries: u64, out: &mut BytesMut) {
    //= https://www.rfc-editor.org/rfc/rfc9204#section-4.5.1.1
    //# The encoder transforms the Required Insert Count as follows before encoding:
    let encoded = match required_insert_count.checked_rem(max_entries.saturating_mul(2)) {
        Some(remainder) if required_insert_count > 0 => remainder + 1,
        _ => 0,
    };
    integer::write(0, 8, encoded, out);
    match required_insert_count.checked_sub(base) {
        None | Some(0) => integer::write(0, 7, base - required_insert_count, out),
        Some(above) => integer::write(0x80, 7, above - 1, out),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn plan<'a>(lines: &[(&'a str, &'a str, Representation)]) -> Plan<'a> {
        let mut plan = Plan::default();
        for (name, value, representation) in lines {
            plan.push(FieldRef::new(name.as_bytes(), value.as_bytes()), false);
            plan.lines.last_mut().unwrap().representation = *representation;
        }
        plan
    }

    fn written(plan: &Plan<'_>, base: Option<u64>, max_entries: u64) -> Vec<u8> {
        let mut out = BytesMut::new();
        match base {
            Some(base) => plan.write_from(base, plan.references().required_insert_count, max_entries, &mut out),
            None => plan.write(max_entries, &mut out),
        }
        out.to_vec()
    }

    #[test]
    fn the_sections_of_rfc_9204_appendix_b() {
        // The table of the examples has 220 bytes, and so six entries.
        let dynamic = Representation::Dynamic;
        let first = plan(&[(":authority", "www.example.com", dynamic(0)), (":path", "/sample/path", dynamic(1))]);
        assert_eq!(written(&first, Some(0), 6), [0x03, 0x81, 0x10, 0x11]);
        let second = plan(&[
            (":authority", "www.example.com", dynamic(3)),
            (":path", "/", Representation::Static(1)),
            ("custom-key", "custom-value", dynamic(2)),
        ]);
        assert_eq!(written(&second, Some(4), 6), [0x05, 0x00, 0x80, 0xc1, 0x81]);
        assert_eq!(written(&second, None, 6), [0x05, 0x00, 0x80, 0xc1, 0x81]);
        // B.1 has no string that the Huffman code makes shorter but is not coded; ours is.
        let literal = plan(&[(":path", "~{}~", Representation::Literal(Name::Static(1)))]);
        assert_eq!(written(&literal, None, 6), [0x00, 0x00, 0x51, 0x04, 0x7e, 0x7b, 0x7d, 0x7e]);
    }

    #[test]
    fn the_bits_of_each_representation() {
        let of =
            |representation, base| written(&plan(&[("{}", "~{}~", representation)]), Some(base), 100)[2..].to_vec();
        let value = [0x04, 0x7e, 0x7b, 0x7d, 0x7e];
        let with = |first: &[u8]| [first, &value].concat();
        assert_eq!(of(Representation::Static(17), 0), [0xd1]);
        assert_eq!(of(Representation::Dynamic(2), 3), [0x80]);
        assert_eq!(of(Representation::Dynamic(2), 1), [0x11]);
        assert_eq!(of(Representation::Literal(Name::Static(5)), 0), with(&[0x55]));
        assert_eq!(of(Representation::NeverIndexed(Name::Static(5)), 0), with(&[0x75]));
        assert_eq!(of(Representation::Literal(Name::Dynamic(2)), 3), with(&[0x40]));
        assert_eq!(of(Representation::NeverIndexed(Name::Dynamic(2)), 3), with(&[0x60]));
        assert_eq!(of(Representation::Literal(Name::Dynamic(2)), 1), with(&[0x01]));
        assert_eq!(of(Representation::NeverIndexed(Name::Dynamic(2)), 1), with(&[0x09]));
        assert_eq!(of(Representation::Literal(Name::Literal), 0), with(&[0x22, 0x7b, 0x7d]));
        assert_eq!(of(Representation::NeverIndexed(Name::Literal), 0), with(&[0x32, 0x7b, 0x7d]));
    }

    #[test]
    fn the_base_makes_78_entries_reachable_in_one_byte() {
        for (entries, longer) in [(63, 0), (78, 0), (79, 1), (80, 2)] {
            let lines: Vec<_> = (100..100 + entries).map(|at| ("", "", Representation::Dynamic(at))).collect();
            let bytes = written(&plan(&lines), None, 128);
            assert_eq!(bytes.len() as u64, 2 + entries + longer, "{entries}");
        }
    }

    #[test]
    fn the_required_insert_count_wraps_around() {
        for (count, encoded) in [(1, 2), (11, 12), (12, 1), (13, 2), (1200, 1)] {
            let plan = plan(&[("", "", Representation::Dynamic(count - 1))]);
            assert_eq!(written(&plan, None, 6)[0], encoded, "{count}");
        }
        assert_eq!(written(&plan(&[]), None, 6), [0, 0]);
    }
}
