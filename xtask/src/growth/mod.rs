//! `cargo xtask growth`: what costs when there is more of it.
//!
//! ```text
//! quicast (built) ─ cases: rounds × places ─ medians ─┬ tables in docs/performance.md, between markers of their own
//!                                                     └ curves in docs/growth/, drawn by `quicast perf draw`
//! ```
//! Server and client are pinned to a core each, as in `peers`; only where shards are compared both have all cores.

mod cases;
mod page;
mod pair;

use crate::house::House;
use crate::peers::stacks::STACKS;
use crate::report::{Finding, Report};

/// Rounds of which the median is told.
const ROUNDS: usize = 3;

/// How thoroughly.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Effort {
    /// Of which the median is told.
    rounds: usize,
    /// Whether a run is so short that its numbers mean nothing.
    quick: bool,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Wishes<'a> {
    effort: Effort,
    /// The names of the cases, with commas; all, if none is named.
    only: Option<&'a str>,
}

impl Wishes<'_> {
    fn want(&self, name: &str) -> bool {
        self.only.is_none_or(|only| only.split(',').any(|wanted| wanted == name))
    }
}

const USAGE: &str = "cargo xtask growth [--quick] [--only bulk,shards,requests,memory,acknowledgements]\n\
                     A quick run writes nothing; what is not measured keeps its place on the page.";

/// One subject: a table, and perhaps a curve.
#[derive(Debug, Default)]
pub(crate) struct Subject {
    /// What stands above it.
    heading: &'static str,
    /// What it was measured with, in a sentence or two.
    words: &'static str,
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
    curve: Option<Curve>,
}

/// A picture to be drawn.
#[derive(Debug, Default)]
pub(crate) struct Curve {
    /// Its name in docs/growth.
    name: &'static str,
    across: &'static str,
    up: &'static str,
    linear: bool,
    lines: Vec<(&'static str, Vec<(f64, f64)>)>,
}

/// Builds, measures, writes.
pub(crate) fn run(house: &House, report: &mut Report, arguments: &[String]) {
    report.step("growth", |report| match read(arguments) {
        Some(wishes) => measure(house, report, &wishes),
        None => vec![Finding::new("cargo xtask growth", USAGE)],
    });
}

fn read(arguments: &[String]) -> Option<Wishes<'_>> {
    let mut wishes = Wishes { effort: Effort { rounds: ROUNDS, quick: false }, only: None };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--quick" => wishes.effort = Effort { rounds: 1, quick: true },
            "--only" => wishes.only = Some(words.next()?),
            _ => return None,
        }
    }
    Some(wishes)
}

fn measure(house: &House, report: &mut Report, wishes: &Wishes<'_>) -> Vec<Finding> {
    let Some(ours) = STACKS.first() else { return Vec::new() };
    let program = match ours.build(house) {
        Ok(program) => program,
        Err(why) => return vec![Finding::new("cargo xtask growth", why)],
    };
    let mut subjects = Vec::new();
    let mut findings = Vec::new();
    for (name, case) in cases::ALL.into_iter().filter(|(name, _)| wishes.want(name)) {
        match case(&program, wishes.effort) {
            Ok(subject) => subjects.push(subject),
            Err(why) => findings.push(Finding::new(name, why)),
        }
    }
    let acknowledgements = wishes.want(cases::ACKNOWLEDGEMENTS);
    if acknowledgements && crate::check::exists(house, "valgrind", &["--version"]) {
        match cases::acknowledgements(house) {
            Ok(subject) => subjects.push(subject),
            Err(finding) => findings.push(finding),
        }
    } else if acknowledgements {
        report.skip("growth", "valgrind is not installed: acknowledgements are counted in instructions");
    }
    for subject in &subjects {
        println!("\n{}", page::table(subject));
    }
    if !wishes.effort.quick && !subjects.is_empty() {
        findings.extend(page::write(house, &program, &subjects).err().map(|why| Finding::new(page::PAGE, why)));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_and_how_long_can_be_said() {
        let line = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(read(&line("")).is_some_and(|wishes| wishes.want("bulk") && wishes.effort.rounds == ROUNDS));
        let words = line("--only shards,bulk --quick");
        let wishes = read(&words).unwrap();
        assert!(wishes.want("bulk") && wishes.want("shards") && !wishes.want("memory") && wishes.effort.quick);
        assert_eq!((read(&line("--slow")), read(&line("--only"))), (None, None));
    }
}
