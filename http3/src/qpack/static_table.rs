//! The static table (RFC 9204 §3.1, appendix A).

use bytes::Bytes;

/// Its lines, by their index.
#[rustfmt::skip]
const LINES: [(&str, &str); 99] = [
    (":authority", ""),
    (":path", "/"),
    ("age", "0"),
    ("content-disposition", ""),
    ("content-length", "0"),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("referer", ""),
    ("set-cookie", ""),
    (":method", "CONNECT"),
    (":method", "DELETE"),
    (":method", "GET"),
    (":method", "HEAD"),
    (":method", "OPTIONS"),
    (":method", "POST"),
    (":method", "PUT"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "103"),
    (":status", "200"),
    (":status", "304"),
    (":status", "404"),
    (":status", "503"),
    ("accept", "*/*"),
    ("accept", "application/dns-message"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-ranges", "bytes"),
    ("access-control-allow-headers", "cache-control"),
    ("access-control-allow-headers", "content-type"),
    ("access-control-allow-origin", "*"),
    ("cache-control", "max-age=0"),
    ("cache-control", "max-age=2592000"),
    ("cache-control", "max-age=604800"),
    ("cache-control", "no-cache"),
    ("cache-control", "no-store"),
    ("cache-control", "public, max-age=31536000"),
    ("content-encoding", "br"),
    ("content-encoding", "gzip"),
    ("content-type", "application/dns-message"),
    ("content-type", "application/javascript"),
    ("content-type", "application/json"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("content-type", "image/gif"),
    ("content-type", "image/jpeg"),
    ("content-type", "image/png"),
    ("content-type", "text/css"),
    ("content-type", "text/html; charset=utf-8"),
    ("content-type", "text/plain"),
    ("content-type", "text/plain;charset=utf-8"),
    ("range", "bytes=0-"),
    ("strict-transport-security", "max-age=31536000"),
    ("strict-transport-security", "max-age=31536000; includesubdomains"),
    ("strict-transport-security", "max-age=31536000; includesubdomains; preload"),
    ("vary", "accept-encoding"),
    ("vary", "origin"),
    ("x-content-type-options", "nosniff"),
    ("x-xss-protection", "1; mode=block"),
    (":status", "100"),
    (":status", "204"),
    (":status", "206"),
    (":status", "302"),
    (":status", "400"),
    (":status", "403"),
    (":status", "421"),
    (":status", "425"),
    (":status", "500"),
    ("accept-language", ""),
    ("access-control-allow-credentials", "FALSE"),
    ("access-control-allow-credentials", "TRUE"),
    ("access-control-allow-headers", "*"),
    ("access-control-allow-methods", "get"),
    ("access-control-allow-methods", "get, post, options"),
    ("access-control-allow-methods", "options"),
    ("access-control-expose-headers", "content-length"),
    ("access-control-request-headers", "content-type"),
    ("access-control-request-method", "get"),
    ("access-control-request-method", "post"),
    ("alt-svc", "clear"),
    ("authorization", ""),
    ("content-security-policy", "script-src 'none'; object-src 'none'; base-uri 'none'"),
    ("early-data", "1"),
    ("expect-ct", ""),
    ("forwarded", ""),
    ("if-range", ""),
    ("origin", ""),
    ("purpose", "prefetch"),
    ("server", ""),
    ("timing-allow-origin", "*"),
    ("upgrade-insecure-requests", "1"),
    ("user-agent", ""),
    ("x-forwarded-for", ""),
    ("x-frame-options", "deny"),
    ("x-frame-options", "sameorigin"),
];

/// How many there are.
pub(super) const LENGTH: u64 = LINES.len() as u64;

/// What the static table has of a field line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Match {
    /// All of it, at this index.
    Line(u8),
    /// Its name, at this index.
    Name(u8),
    /// Nothing.
    None,
}

/// The name and the value at an index, or `None` if there is no such line.
#[inline]
pub(super) fn line(index: u64) -> Option<(Bytes, Bytes)> {
    let (name, value) = entry(index)?;
    Some((Bytes::from_static(name.as_bytes()), Bytes::from_static(value.as_bytes())))
}

/// The name at an index, or `None` if there is no such line.
#[inline]
pub(super) fn name(index: u64) -> Option<Bytes> {
    entry(index).map(|(name, _)| Bytes::from_static(name.as_bytes()))
}

fn entry(index: u64) -> Option<&'static (&'static str, &'static str)> {
    usize::try_from(index).ok().and_then(|index| LINES.get(index))
}

/// Looks a field line up.
#[inline]
pub(super) fn find(name: &[u8], value: &[u8]) -> Match {
    let Some(first) = find_name(name) else { return Match::None };
    let mut index = first;
    loop {
        let Some((_, known)) = LINES.get(usize::from(index)) else { return Match::Name(first) };
        if known.as_bytes() == value {
            return Match::Line(index);
        }
        index = NEXT.get(usize::from(index)).copied().unwrap_or(NONE);
    }
}

/// The first index of a name.
#[inline]
fn find_name(name: &[u8]) -> Option<u8> {
    let mut slot = slot_of(name);
    loop {
        let index = SLOTS.get(slot).copied().filter(|index| *index != NONE)?;
        if LINES.get(usize::from(index)).is_some_and(|(known, _)| known.as_bytes() == name) {
            return Some(index);
        }
        slot = (slot + 1) % SLOTS.len();
    }
}

/// No index.
const NONE: u8 = u8::MAX;

/// For each index, the next one with the same name, or [`NONE`].
const NEXT: [u8; LINES.len()] = next_of_same_name();
/// The first index of each name, open-addressed by [`slot_of`]. Most slots are empty, so a search ends.
const SLOTS: [u8; 256] = slots();

/// Where a name is looked for: its length, its first, its last and its middle byte, mixed.
#[inline]
const fn slot_of(name: &[u8]) -> usize {
    let [first, .., last] = name else { return 0 };
    #[expect(clippy::indexing_slicing, reason = "half of the length is below the length")]
    let middle = name[name.len() / 2];
    let mixed = (name.len() as u32 & 0xff) | (*first as u32) << 8 | (middle as u32) << 16 | (*last as u32) << 24;
    (mixed.wrapping_mul(0x9e37_79b1) >> 24) as usize
}

#[expect(clippy::indexing_slicing, reason = "both have the length that is compared first")]
const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of bounds")]
const fn next_of_same_name() -> [u8; LINES.len()] {
    let mut next = [NONE; LINES.len()];
    let mut index = 0;
    while index < LINES.len() {
        let mut after = index + 1;
        while after < LINES.len() && !same(LINES[index].0, LINES[after].0) {
            after += 1;
        }
        if after < LINES.len() {
            next[index] = after as u8;
        }
        index += 1;
    }
    next
}

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of bounds")]
const fn slots() -> [u8; 256] {
    let mut slots = [NONE; 256];
    let mut index = 0;
    while index < LINES.len() {
        let mut slot = slot_of(LINES[index].0.as_bytes());
        while slots[slot] != NONE && !same(LINES[slots[slot] as usize].0, LINES[index].0) {
            slot = (slot + 1) % slots.len();
        }
        if slots[slot] == NONE {
            slots[slot] = index as u8;
        }
        index += 1;
    }
    slots
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_line_is_found_at_its_index() {
        for (index, (known, value)) in (0_u8..).zip(&LINES) {
            assert_eq!(find(known.as_bytes(), value.as_bytes()), Match::Line(index));
            assert_eq!(line(u64::from(index)).unwrap(), (Bytes::from(*known), Bytes::from(*value)));
            assert_eq!(name(u64::from(index)).unwrap(), *known);
        }
    }

    #[test]
    fn a_name_is_found_at_its_first_index() {
        for (known, _) in &LINES {
            let first = LINES.iter().position(|(other, _)| other == known).unwrap();
            assert_eq!(find(known.as_bytes(), b"no such value"), Match::Name(first as u8));
        }
        assert_eq!(find(b":status", b"418"), Match::Name(24));
    }

    #[test]
    fn what_is_not_in_it_is_not_found() {
        for name in ["", "x", ":", "Accept", "accept-", "accept-encodin", "user-agenT", "content-lengtg"] {
            assert_eq!(find(name.as_bytes(), b""), Match::None, "{name}");
        }
        assert_eq!((line(99), name(99), line(u64::MAX)), (None, None, None));
    }

    #[test]
    fn names_are_spread_over_the_slots() {
        let names: BTreeSet<&str> = LINES.iter().map(|(name, _)| *name).collect();
        assert_eq!(SLOTS.iter().filter(|index| **index != NONE).count(), names.len());
        let further = |name: &&str| {
            let found = find_name(name.as_bytes());
            let slot = SLOTS.iter().position(|index| Some(*index) == found).unwrap();
            (slot + SLOTS.len() - slot_of(name.as_bytes())) % SLOTS.len()
        };
        let further: usize = names.iter().map(further).sum();
        assert!(further < names.len() / 4, "{further} further slots are looked at for {} names", names.len());
    }
}
