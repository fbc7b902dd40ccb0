//! Micro-benchmarks: each [`Case`] stands here once and is measured in two ways.
//!
//! ```text
//! cases/*.rs ─▶ Case ─┬─▶ benches/cases.rs         criterion: nanoseconds, on this machine, today
//!                     └─▶ bin/instructions.rs      callgrind: instructions, the same on a busy machine
//! ```
//!
//! **What it isn't**: nothing here is part of quicast, and nothing of quicast may be changed or opened for its sake.
//! `wire.rs` is the pair of connections that the cases of `cases/pair.rs` run on.
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up says so and stops")]

pub mod cases;
pub mod wire;

/// Does the operation so many times. What it needs was made ready before.
pub type Work = Box<dyn FnMut(u64)>;

/// Something that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// `layer/what/how_many`.
    pub name: &'static str,
    /// What one operation is.
    pub operation: &'static str,
    /// How many operations the instructions are counted of; 0 if they are not.
    pub operations: u64,
    /// Bytes of payload in an operation, if that says something; otherwise 0.
    pub bytes: u64,
    /// Of how many like parts an operation consists: packets, or entries.
    pub parts: u64,
    /// The function, by a word of its name, in which instructions are counted.
    pub counted_in: &'static str,
    /// Makes everything ready.
    pub begin: fn() -> Work,
}

impl Case {
    /// A case of one part and no bytes, all of which is counted.
    pub const fn new(name: &'static str, operation: &'static str, operations: u64, begin: fn() -> Work) -> Self {
        Self { name, operation, operations, bytes: 0, parts: 1, counted_in: COUNTED, begin }
    }

    /// Whether it is a part of another case, of which only instructions can be counted.
    pub fn is_part(&self) -> bool {
        self.counted_in != COUNTED
    }
}

/// The name of [`counted`].
const COUNTED: &str = "counted";

/// Does the work: a function of its own, so that callgrind can leave out what made it ready.
#[inline(never)]
pub fn counted(work: &mut Work, operations: u64) {
    work(operations);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_runs() {
        for case in cases::all().filter(|case| !case.is_part()) {
            let mut work = (case.begin)();
            counted(&mut work, 2);
        }
    }

    #[test]
    fn names_are_used_once() {
        let mut names: Vec<&str> = cases::all().map(|case| case.name).collect();
        let cases = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), cases);
    }
}
