//! What is asked of `cargo xtask peers`.

use std::path::PathBuf;

use crate::house::House;

use super::stacks::{STACKS, Stack};
use super::workloads::{WORKLOADS, Workload};

/// The answers.
#[derive(Debug)]
pub(crate) struct Options {
    /// How many rounds count.
    pub(crate) rounds: usize,
    /// How many rounds before them do not.
    pub(crate) warm_up: usize,
    /// What is measured, in order.
    pub(crate) workloads: Vec<&'static Workload>,
    /// Who takes part, in order.
    pub(crate) stacks: Vec<&'static Stack>,
    /// Short runs, to see that everything works: the numbers mean nothing.
    pub(crate) quick: bool,
    /// The page to write.
    out: Option<String>,
}

/// What can be said.
pub(crate) fn usage() -> String {
    let names = |names: Vec<&str>| names.join(",");
    format!(
        "cargo xtask peers [--rounds 5] [--only WORKLOAD,…] [--stacks STACK,…] [--quick] [--out docs/performance.md]\n\
         workloads: {}\nstacks:    {}\nA quick run writes no page unless --out names one.",
        names(WORKLOADS.iter().map(|workload| workload.name).collect()),
        names(STACKS.iter().map(|stack| stack.name).collect()),
    )
}

impl Options {
    /// Reads them.
    pub(crate) fn read(arguments: &[String]) -> Result<Self, String> {
        let mut rounds = None;
        let mut workloads: Vec<_> = WORKLOADS.iter().collect();
        let mut stacks: Vec<_> = STACKS.iter().collect();
        let (mut quick, mut out) = (false, None);
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--quick" => quick = true,
                "--rounds" => {
                    let text = value()?;
                    let number = text.parse().ok().filter(|number| *number > 0);
                    rounds = Some(number.ok_or_else(|| format!("--rounds {text}: a number from 1"))?);
                }
                "--only" => workloads = named(value()?, &WORKLOADS, |workload| workload.name)?,
                "--stacks" => stacks = named(value()?, &STACKS, |stack| stack.name)?,
                "--out" => out = Some(value()?.clone()),
                unknown => return Err(format!("no option `{unknown}`")),
            }
        }
        let rounds = rounds.unwrap_or(if quick { 1 } else { 5 });
        Ok(Self { rounds, warm_up: usize::from(!quick), workloads, stacks, quick, out })
    }

    /// Which page is to be written, if any.
    pub(crate) fn page(&self, house: &House) -> Option<PathBuf> {
        match &self.out {
            Some(path) => Some(house.root.join(path)),
            None if self.quick => None,
            None => Some(house.root.join("docs/performance.md")),
        }
    }
}

/// Those of a list that a text with commas names, in the order of the text.
fn named<T>(text: &str, list: &'static [T], name: impl Fn(&T) -> &'static str) -> Result<Vec<&'static T>, String> {
    let find = |wanted: &str| list.iter().find(|one| name(one) == wanted).ok_or_else(|| format!("no `{wanted}`"));
    text.split(',').map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        Options::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn all_take_part_unless_some_are_named() {
        let options = read("").unwrap();
        assert_eq!((options.rounds, options.warm_up, options.quick), (5, 1, false));
        assert_eq!((options.workloads.len(), options.stacks.len()), (WORKLOADS.len(), STACKS.len()));
        let options = read("--stacks quinn,quicast --only idle --rounds 3").unwrap();
        assert_eq!(options.stacks.iter().map(|stack| stack.name).collect::<Vec<_>>(), ["quinn", "quicast"]);
        assert_eq!((options.workloads[0].name, options.rounds), ("idle", 3));
    }

    #[test]
    fn a_quick_run_is_one_round() {
        let options = read("--quick").unwrap();
        assert_eq!((options.rounds, options.warm_up), (1, 0));
    }

    #[test]
    fn what_is_unknown_is_named() {
        for (line, word) in
            [("--stacks quiet", "quiet"), ("--only", "--only"), ("--rounds 0", "--rounds 0"), ("--slow", "--slow")]
        {
            assert!(read(line).is_err_and(|why| why.contains(word)), "{line}");
        }
    }
}
