//! What becomes of each line of a section: what it refers to, what is inserted for it, and what must move for that
//! (RFC 9204 §2.1).

use super::policy::{Heat, USE};
use super::section::{Line, Name, Representation};
use super::table::NoRoom;
use super::{Dynamic, EncoderStats, Instructions};
use crate::qpack::field::OVERHEAD;
use crate::qpack::instruction::{NameIndex, write_capacity, write_duplicate, write_insert, write_insert_with_name};

/// The most that an instruction takes beyond the strings in it: an index and two lengths, and a new capacity before it.
const INSTRUCTION_OVERHEAD: usize = 40;
/// How many entries are inserted again, rather than evicted, to make room for one.
const MOST_RENEWED: usize = 4;
/// The part of the table, as a divisor, that is about to be evicted: what is referred to there is inserted again.
const DRAINING: u64 = 10;
/// The part of the streams that may be put at risk, as a divisor, which all sections may use; the rest is for those that
/// save more than others.
const FREE_RISKS: u64 = 4;
/// How many sections the mean of what they save is about.
const SAVINGS: u64 = 32;
/// The parts of what a section saves that are counted, so that the mean is not rounded to nothing.
const SAVING_PARTS: u64 = 16;

/// What a new line must be worth: if the decoder may be blocked, so that the line is written once, as an instruction; and
/// if not, so that it is written twice.
const WORTH_ONCE: u32 = USE * 2 / 5;
const WORTH_TWICE: u32 = USE * 9 / 10;
/// The same while the table is not full.
const WORTH_FREE: u32 = USE / 10;

/// The lines of one section, and all that is needed to decide about them.
pub(super) struct Lines<'a> {
    pub(super) dynamic: &'a mut Dynamic,
    pub(super) instructions: &'a mut Instructions,
    pub(super) stats: &'a mut EncoderStats,
    /// Whether the section may refer to the dynamic table.
    pub(super) may_refer: bool,
    /// Whether it may refer to entries that the decoder might not have.
    pub(super) may_risk: bool,
}

impl Lines<'_> {
    /// Decides about all lines of a section, which are represented as without a dynamic table so far.
    pub(super) fn decide(&mut self, lines: &mut [Line<'_>]) {
        let saving = self.find_all(lines);
        self.may_risk = self.may_risk && self.is_worth_the_risk(saving);
        for at in 0..lines.len() {
            self.decide_one(at, lines);
        }
        for line in lines {
            if let Representation::Literal(Name::Literal) = line.representation {
                line.representation = Representation::Literal(self.name(line));
            } else if let Representation::NeverIndexed(Name::Literal) = line.representation {
                line.representation = Representation::NeverIndexed(self.name(line));
            }
        }
    }

    /// Finds out which lines the table has. Returns the bytes that are saved by those that the decoder might not have.
    fn find_all(&self, lines: &mut [Line<'_>]) -> u64 {
        let mut saving = 0;
        for line in lines {
            if let Representation::Static(_) = line.representation {
                continue;
            }
            line.hashes = self.dynamic.policy.hashes(line.known_name, line.field.name, line.field.value);
            if let Representation::Literal(_) = line.representation
                && let Some(newest) = self.find(line, u64::MAX)
            {
                if newest >= self.dynamic.known_received_count {
                    saving += line.field.value.len() as u64;
                }
                line.representation = Representation::Dynamic(newest);
            }
        }
        saving
    }

    /// While few streams are at risk, all may be. When many are, only those that save more than others did.
    fn is_worth_the_risk(&mut self, saving: u64) -> bool {
        let at_risk = self.dynamic.outstanding.streams_at_risk() as u64;
        let mean = self.dynamic.mean_saving;
        let is_worth = at_risk < self.dynamic.max_blocked_streams / FREE_RISKS || saving * SAVING_PARTS >= mean;
        if saving > 0 {
            self.dynamic.mean_saving = mean - mean / SAVINGS + saving * SAVING_PARTS / SAVINGS;
        }
        is_worth
    }

    fn find(&self, line: &Line<'_>, below: u64) -> Option<u64> {
        self.dynamic.table.find(line.hashes, line.field.name, line.field.value, below)
    }

    /// Entries below this one may be referred to.
    fn below(&self) -> u64 {
        match (self.may_refer, self.may_risk) {
            (false, _) => 0,
            (true, false) => self.dynamic.known_received_count,
            (true, true) => self.dynamic.table.inserted(),
        }
    }

    fn decide_one(&mut self, at: usize, lines: &mut [Line<'_>]) {
        let Some(line) = lines.get(at) else { return };
        let now = self.stats.sections;
        match line.representation {
            Representation::Static(_) | Representation::NeverIndexed(_) => {}
            Representation::Dynamic(absolute) => {
                self.dynamic.policy.on_found(line.hashes, line.field.name);
                self.dynamic.table.on_used(absolute, now);
                if self.is_draining(absolute) {
                    self.renew(absolute, lines);
                }
                self.settle(at, lines);
            }
            Representation::Literal(_) => {
                // A line before it may have been the same.
                let found = self.find(line, u64::MAX).or_else(|| self.insert(at, lines));
                if let (Some(absolute), Some(line)) = (found, lines.get_mut(at)) {
                    line.representation = Representation::Dynamic(absolute);
                    self.settle(at, lines);
                }
            }
        }
    }

    /// Lets a line that refers to an entry that it may not refer to, refer to an older one with the same text, or be
    /// literal.
    fn settle(&self, at: usize, lines: &mut [Line<'_>]) {
        let Some(line) = lines.get_mut(at) else { return };
        let Representation::Dynamic(absolute) = line.representation else { return };
        if absolute < self.below() && absolute >= self.dynamic.drained_below {
            return;
        }
        let older = self.find(line, self.below()).filter(|older| *older >= self.dynamic.drained_below);
        let name = line.known_name.map_or(Name::Literal, Name::Static);
        line.representation = older.map_or(Representation::Literal(name), Representation::Dynamic);
    }

    /// Whether an entry is so near to its eviction that it should not be referred to any more.
    fn is_draining(&self, absolute: u64) -> bool {
        let table = &self.dynamic.table;
        absolute < self.dynamic.drained_below
            || table.bytes_before_eviction(absolute) < table.capacity() as u64 / DRAINING
    }

    /// Inserts an entry again, so that the old one can go, and lets the lines of this section refer to the new one.
    fn renew(&mut self, absolute: u64, lines: &mut [Line<'_>]) -> bool {
        let others = |line: &&Line<'_>| !self.may_risk || line.representation != Representation::Dynamic(absolute);
        let lowest = lowest(lines.iter().filter(others));
        let relative = self.dynamic.table.inserted() - absolute - 1;
        if !self.may_insert(self.dynamic.table.size_of(absolute), 0, lowest) {
            return false;
        }
        let Some(duplicate) = self.dynamic.table.duplicate(absolute) else { return false };
        self.instructions.write(|out| write_duplicate(relative, out));
        self.stats.insertions += 1;
        self.stats.duplicates += 1;
        if self.may_risk {
            let same = lines.iter_mut().filter(|line| line.representation == Representation::Dynamic(absolute));
            same.for_each(|line| line.representation = Representation::Dynamic(duplicate));
        }
        true
    }

    /// Whether an entry of this size, with an instruction that has so many bytes of strings, may be inserted now. If only
    /// sections that are not acknowledged stand against it, no more of them will.
    fn may_insert(&mut self, size: usize, strings: usize, lowest: u64) -> bool {
        if !self.instructions.may_write(strings + INSTRUCTION_OVERHEAD) {
            return false;
        }
        match self.dynamic.table.check_room(size, lowest.min(self.dynamic.known_received_count)) {
            Ok(()) => true,
            Err(NoRoom::Kept) => false,
            Err(NoRoom::Pinned(absolute)) => {
                //= https://www.rfc-editor.org/rfc/rfc9204#section-2.1.1.1
                //# To ensure that the encoder is not prevented from adding new entries, the encoder
                //# can avoid referencing entries that are close to eviction.
                self.dynamic.drained_below = self.dynamic.drained_below.max(absolute + 1);
                false
            }
        }
    }

    /// Inserts a line if it is worth it and there is room.
    fn insert(&mut self, at: usize, lines: &mut [Line<'_>]) -> Option<u64> {
        let line = lines.get(at)?;
        let (field, hashes, known_name) = (line.field, line.hashes, line.known_name);
        let heat = Heat::new(self.dynamic.policy.on_missing(hashes, field.name), self.stats.sections);
        self.make_room(heat, field.size(), lines)?;
        let strings = field.name.len() + field.value.len();
        if !self.may_insert(field.size(), strings, lowest(lines.iter())) {
            return None;
        }
        let table = &mut self.dynamic.table;
        if !self.dynamic.is_capacity_set {
            self.dynamic.is_capacity_set = true;
            self.instructions.write(|out| write_capacity(table.capacity() as u64, out));
        }
        let name = known_name.map(|index| NameIndex::Static(u64::from(index))).or_else(|| {
            let found = table.find_name(hashes, field.name, u64::MAX)?;
            Some(NameIndex::Relative(table.inserted() - found - 1))
        });
        self.instructions.write(|out| match name {
            Some(name) => write_insert_with_name(name, field.value, out),
            None => write_insert(field.name, field.value, out),
        });
        self.stats.insertions += 1;
        let absolute = table.insert(hashes, field.name, field.value, heat);
        debug_assert!(table.oldest() <= self.dynamic.known_received_count, "an entry went before it was acknowledged");
        Some(absolute)
    }

    /// Inserts entries again that would go for a new one and are worth more. `None` if it is not worth it.
    fn make_room(&mut self, heat: Heat, size: usize, lines: &mut [Line<'_>]) -> Option<()> {
        let now = self.stats.sections;
        let table = &self.dynamic.table;
        let worth = heat.worth(size.saturating_sub(OVERHEAD), now);
        let least = match (self.may_risk, table.capacity().saturating_sub(table.size()) >= size) {
            (false, _) => WORTH_TWICE,
            (true, true) => WORTH_FREE,
            (true, false) => WORTH_ONCE,
        };
        if worth < least {
            return None;
        }
        let mut renewed = 0;
        loop {
            let stays = |(absolute, kept): &(u64, u32)| {
                // To insert an entry again has its price, too.
                *kept / 2 > worth || lines.iter().any(|line| line.representation == Representation::Dynamic(*absolute))
            };
            let Some((absolute, _)) = self.dynamic.table.would_go(size, now).find(stays) else { return Some(()) };
            if renewed == MOST_RENEWED || !self.renew(absolute, lines) {
                return None;
            }
            renewed += 1;
        }
    }

    /// Where the name of a literal line is taken from.
    fn name(&self, line: &Line<'_>) -> Name {
        let found = self.dynamic.table.find_name(line.hashes, line.field.name, self.below());
        found.filter(|absolute| !self.is_draining(*absolute)).map_or(Name::Literal, Name::Dynamic)
    }
}

/// The lowest entry that lines refer to.
fn lowest<'a, 'b: 'a>(lines: impl Iterator<Item = &'a Line<'b>>) -> u64 {
    let absolutes = lines.filter_map(|line| match line.representation {
        Representation::Dynamic(absolute) => Some(absolute),
        _ => None,
    });
    absolutes.min().unwrap_or(u64::MAX)
}
