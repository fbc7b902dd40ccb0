//! What is worth a place in the dynamic table, and what must never get one.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use super::table::Hashes;

/// Cookies that are shorter are never indexed: they have so little entropy that they could be guessed.
const SHORT_COOKIE: usize = 20;

/// Whether a line must never be indexed although nobody marked it.
pub(super) fn is_sensitive(name: &[u8], value: &[u8]) -> bool {
    //= https://www.rfc-editor.org/rfc/rfc9204#section-7.1.3
    //# An encoder might also choose not to index values for fields that are considered
    //# to be highly valuable or sensitive to recovery, such as the Cookie or
    //# Authorization header fields.
    match name {
        b"authorization" | b"proxy-authorization" => true,
        b"cookie" => value.len() < SHORT_COOKIE,
        _ => false,
    }
}

/// Fields whose values change from message to message. They are inserted only when a value comes back.
fn is_changing(name: &[u8]) -> bool {
    matches!(
        name,
        b":path"
            | b"age"
            | b"content-length"
            | b"content-md5"
            | b"content-range"
            | b"date"
            | b"etag"
            | b"if-modified-since"
            | b"if-none-match"
            | b"last-modified"
            | b"location"
            | b"range"
            | b"set-cookie"
            | b"content-disposition"
    )
}

/// Lines that were not in the table and are remembered for a while.
const HISTORY: usize = 128;
/// Names about which something is remembered.
const NAMES: usize = 64;

/// What is remembered of a name.
#[derive(Clone, Copy, Debug, Default)]
struct Name {
    hash: u32,
    /// Lines with this name, and among them those with a value that was there before.
    lines: u16,
    repeats: u16,
}

/// What is known of the lines that were encoded.
#[derive(Debug)]
pub(super) struct Policy {
    hasher: FixedState,
    history: Box<[u32; HISTORY]>,
    next: usize,
    names: Box<[Name; NAMES]>,
}

impl Policy {
    pub(super) fn new() -> Self {
        Self {
            hasher: FixedState::with_seed(0x9204),
            history: Box::new([0; HISTORY]),
            next: 0,
            names: Box::new([Name::default(); NAMES]),
        }
    }

    /// The hashes of a line; `known_name` is the index of its name in the static table.
    #[inline]
    pub(super) fn hashes(&self, known_name: Option<u8>, name: &[u8], value: &[u8]) -> Hashes {
        let name = match known_name {
            Some(index) => u32::from(index).wrapping_add(1).wrapping_mul(0x9e37_79b1),
            None => self.hash(0, name),
        };
        Hashes { name, line: self.hash(name, value) }
    }

    #[inline]
    fn hash(&self, seed: u32, bytes: &[u8]) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u32(seed);
        hasher.write(bytes);
        let hash = hasher.finish();
        (hash ^ hash >> 32) as u32
    }

    /// A line was found in the table.
    #[inline]
    pub(super) fn on_found(&mut self, hashes: Hashes) {
        let name = self.name(hashes.name);
        name.lines += 1;
        name.repeats += 1;
    }

    /// A line was not found in the table: whether it was there before.
    pub(super) fn on_missing(&mut self, hashes: Hashes) -> bool {
        let seen = self.history.contains(&hashes.line);
        if !seen {
            if let Some(place) = self.history.get_mut(self.next) {
                *place = hashes.line;
            }
            self.next = (self.next + 1) % HISTORY;
        }
        let name = self.name(hashes.name);
        name.lines += 1;
        name.repeats += u16::from(seen);
        seen
    }

    fn name(&mut self, hash: u32) -> &mut Name {
        let place = (hash >> 16) as usize % NAMES;
        #[expect(clippy::indexing_slicing, reason = "the remainder is below the length")]
        let name = &mut self.names[place];
        if name.hash != hash {
            *name = Name { hash, lines: 0, repeats: 0 };
        }
        if name.lines >= 64 {
            name.lines /= 2;
            name.repeats /= 2;
        }
        name
    }

    /// Whether a line that was not there before is likely to come back.
    pub(super) fn may_come_back(&mut self, hashes: Hashes, name: &[u8]) -> bool {
        if is_changing(name) {
            return false;
        }
        let known = self.name(hashes.name);
        // Names that are new get the benefit of the doubt.
        (known.repeats + 2) * 8 >= known.lines
    }
}
