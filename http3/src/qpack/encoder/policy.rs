//! What is worth a place in the dynamic table, and what must never get one.
//!
//! A line earns its place by *heat*: how often it was used, each use counting half as much after [`HALF_LIFE`] sections. A
//! new line begins with the chance that it comes back, which is learnt for each name: dates and paths have little,
//! languages and hosts much. Heat is weighed by how much of an entry's size is text that is saved, since every entry
//! counts 32 bytes beyond it; what is worth more than the newcomer is inserted again instead of evicted.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use super::table::Hashes;
use crate::qpack::field::{FieldRef, OVERHEAD};

/// Cookies that are shorter are never indexed: they have so little entropy that they could be guessed.
const SHORT_COOKIE: usize = 20;

/// Whether a line must never be indexed, because it is marked so or for what it is.
pub(super) fn is_sensitive(field: &FieldRef<'_>) -> bool {
    //= https://www.rfc-editor.org/rfc/rfc9204#section-7.1.3
    //# An encoder might also choose not to index values for fields that are considered
    //# to be highly valuable or sensitive to recovery, such as the Cookie or
    //# Authorization header fields.
    match field.name {
        _ if field.sensitive => true,
        b"authorization" | b"proxy-authorization" => true,
        b"cookie" => field.value.len() < SHORT_COOKIE,
        _ => false,
    }
}

/// Fields whose values change from message to message: until it is known better, they are thought not to come back.
fn is_changing(name: &[u8]) -> bool {
    matches!(
        name,
        b":path"
            | b"age"
            | b"content-disposition"
            | b"content-length"
            | b"content-range"
            | b"date"
            | b"etag"
            | b"if-modified-since"
            | b"if-none-match"
            | b"last-modified"
            | b"location"
            | b"range"
            | b"set-cookie"
    )
}

/// One use, now.
pub(super) const USE: u32 = 1 << 12;
/// How many sections make a use count half.
const HALF_LIFE: u64 = 4;
/// Lines that were not in the table and are remembered for a while.
const HISTORY: usize = 16;
/// Names about which something is remembered.
const NAMES: usize = 64;
/// Of how many lines with a name the chance of its values is a mean.
const MEMORY: u32 = 6;
/// The chance of a name that is not known, and of one whose values change.
const UNKNOWN: u32 = USE / 2;
const CHANGING: u32 = USE * 3 / 20;
/// How much likelier it is that a line comes back that did so before.
const CAME_BACK: u32 = 4;

/// How hot something is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heat {
    amount: u32,
    /// In which section.
    at: u64,
}

impl Heat {
    pub(super) const fn new(amount: u32, now: u64) -> Self {
        Self { amount, at: now }
    }

    /// How hot it is now: half of it after each half-life, and in between on a straight line.
    fn now(self, now: u64) -> u32 {
        let elapsed = now.saturating_sub(self.at);
        let halvings = u32::try_from(elapsed / HALF_LIFE).ok();
        let halved = halvings.and_then(|halvings| self.amount.checked_shr(halvings)).unwrap_or(0);
        let rest = u64::from(halved / 2) * (elapsed % HALF_LIFE) / HALF_LIFE;
        halved.saturating_sub(rest.try_into().unwrap_or(u32::MAX))
    }

    /// It was used once more.
    pub(super) fn add_use(&mut self, now: u64) {
        *self = Self { amount: self.now(now).saturating_add(USE), at: now };
    }

    /// What the place of an entry with so many bytes of text is worth.
    pub(super) fn worth(self, text: usize, now: u64) -> u32 {
        let (text, size) = (text as u64, (text + OVERHEAD) as u64);
        (u64::from(self.now(now)) * text / size).try_into().unwrap_or(u32::MAX)
    }
}

/// What is remembered of a name.
#[derive(Clone, Copy, Debug, Default)]
struct Name {
    hash: u32,
    /// How often a line with this name has a value that was there before: [`USE`] if always.
    chance: u32,
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
            hasher: FixedState::with_seed(9204),
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
    pub(super) fn on_found(&mut self, hashes: Hashes, name: &[u8]) {
        self.name(hashes.name, name).learn(true);
    }

    /// A line was not found in the table. Returns how hot it is to begin with.
    pub(super) fn on_missing(&mut self, hashes: Hashes, name: &[u8]) -> u32 {
        let was_there = self.history.contains(&hashes.line);
        if !was_there && let Some(place) = self.history.get_mut(self.next) {
            *place = hashes.line;
            self.next = (self.next + 1) % HISTORY;
        }
        let name = self.name(hashes.name, name);
        name.learn(was_there);
        // One that came back already has shown more.
        if was_there { name.chance * CAME_BACK } else { name.chance }
    }

    #[inline]
    fn name(&mut self, hash: u32, text: &[u8]) -> &mut Name {
        let place = (hash >> 16) as usize % NAMES;
        #[expect(clippy::indexing_slicing, reason = "the remainder is below the length")]
        let name = &mut self.names[place];
        if name.hash != hash {
            *name = Name { hash, chance: if is_changing(text) { CHANGING } else { UNKNOWN } };
        }
        name
    }
}

impl Name {
    #[inline]
    fn learn(&mut self, was_there: bool) {
        self.chance -= self.chance / MEMORY;
        if was_there {
            self.chance += USE / MEMORY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_halves_and_goes_out() {
        let heat = Heat::new(USE, 100);
        assert_eq!((heat.now(100), heat.now(100 + HALF_LIFE)), (USE, USE / 2));
        assert_eq!((heat.now(102), heat.now(106)), (USE * 3 / 4, USE * 3 / 8));
        assert_eq!((heat.now(100 + 40 * HALF_LIFE), heat.now(u64::MAX), heat.now(0)), (0, 0, USE));
        let mut heat = heat;
        heat.add_use(100 + HALF_LIFE);
        assert_eq!(heat.now(100 + HALF_LIFE), USE * 3 / 2);
        assert_eq!((heat.worth(32, 104), heat.worth(96, 104), heat.worth(0, 104)), (USE * 3 / 4, USE * 9 / 8, 0));
    }

    #[test]
    fn the_chance_of_a_name_is_learnt() {
        let mut policy = Policy::new();
        let line = |policy: &Policy, name: &str, value: u32| {
            policy.hashes(None, name.as_bytes(), value.to_string().as_bytes())
        };
        // Values that always change.
        let chances: Vec<u32> = (0..40).map(|value| policy.on_missing(line(&policy, "x-id", value), b"x-id")).collect();
        assert!(chances[0] > USE * 2 / 5 && chances.is_sorted_by(|one, next| one >= next), "{chances:?}");
        assert!(chances[39] < USE / 100, "{chances:?}");
        // One that is found again and again.
        (0..40).for_each(|_| policy.on_found(line(&policy, "x-host", 1), b"x-host"));
        assert!(policy.on_missing(line(&policy, "x-host", 2), b"x-host") > USE * 3 / 4);
        // A date is not expected to come back, until it does.
        let date = policy.on_missing(line(&policy, "date", 1), b"date");
        assert!(date < USE / 5 && policy.on_missing(line(&policy, "date", 1), b"date") > date * 4);
    }

    #[test]
    fn what_was_there_is_remembered_for_a_while() {
        let mut policy = Policy::new();
        let mut missing = |value: u32| {
            let hashes = policy.hashes(Some(1), b":path", &value.to_be_bytes());
            policy.on_missing(hashes, b":path")
        };
        missing(0);
        let last = (1..HISTORY as u32).map(&mut missing).last();
        let again = missing(0);
        assert!(Some(again) > last);
        // It was not new, so it is as old as before, and the next one takes its place.
        let new = missing(1000);
        assert!(missing(0) < new && new < again);
    }
}
