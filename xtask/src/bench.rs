//! `bench`: the cases of `benches/`, in time under criterion, or in instructions under callgrind; and its floods.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::check::{exists, succeed};
use crate::house::House;
use crate::report::{Finding, Report};

const STEP: &str = "instructions";
const PACKAGE: &str = "quicast-benches";

/// What is asked for on the command line.
#[derive(Debug, Default, Eq, PartialEq)]
struct Wishes {
    instructions: bool,
    /// What floods cost others.
    floods: bool,
    /// A table that was printed before, to compare with.
    baseline: Option<PathBuf>,
    /// What the names of the cases contain.
    filter: Option<String>,
}

/// A line of what the binary `instructions` says about itself.
#[derive(Debug, Eq, PartialEq)]
struct Case {
    name: String,
    operations: u64,
    parts: u64,
    counted_in: String,
    what: String,
}

/// Runs the cases.
pub(crate) fn run(house: &House, report: &mut Report, arguments: &[String]) {
    match Wishes::read(arguments) {
        Err(why) => report.step("bench", |_| vec![Finding::new("bench", why)]),
        Ok(wishes) if wishes.instructions => report.step(STEP, |report| instructions(house, report, &wishes)),
        Ok(wishes) if wishes.floods => report.step("floods", |_| {
            let mut command = house.command("cargo");
            command.args(["run", "--quiet", "--release", "--package", PACKAGE, "--bin", "floods"]);
            succeed(command.arg("--").args(wishes.filter), "it says above what it could not do")
        }),
        Ok(wishes) => report.step("criterion", |_| {
            let mut command = house.command("cargo");
            command.args(["bench", "--quiet", "--package", PACKAGE, "--bench", "cases"]);
            // Short, because a comparison is made with instructions; longer ones are a matter of criterion's own options.
            command.args(["--", "--warm-up-time", "0.2", "--measurement-time", "0.6", "--nresamples", "2000"]);
            succeed(command.args(wishes.filter), "the case that stopped is the last one above")
        }),
    }
}

fn instructions(house: &House, report: &mut Report, wishes: &Wishes) -> Vec<Finding> {
    if !exists(house, "valgrind", &["--version"]) {
        report.skip(STEP, "valgrind is not installed; `cargo xtask bench` measures time without it");
        return Vec::new();
    }
    let baseline = match wishes.baseline.as_deref().map(read_baseline).transpose() {
        Ok(baseline) => baseline.unwrap_or_default(),
        Err(finding) => return vec![finding],
    };
    let binary = match build(house) {
        Ok(binary) => binary,
        Err(finding) => return vec![finding],
    };
    let list = match house.command(&binary).output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => return vec![Finding::new(binary, error.to_string())],
    };
    let mut findings = Vec::new();
    println!("{:<28} {:>14} {:>12} {:>9}", "case", "instructions", "a part", "before");
    for case in list.lines().filter_map(Case::read).filter(|case| wishes.wants(case)) {
        match count(house, &binary, &case) {
            Ok(each) => println!("{}", case.line(each, baseline.get(&case.name).copied())),
            Err(finding) => findings.push(finding),
        }
    }
    findings
}

/// The instructions of each case whose name begins so, without what is common to all.
pub(crate) fn instructions_of(house: &House, beginning: &str) -> Result<Vec<(String, f64)>, Finding> {
    let binary = build(house)?;
    let list = house.command(&binary).output().map_err(|error| Finding::new(&binary, error.to_string()))?;
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    let cases = list.lines().filter_map(Case::read).filter(|case| case.name.starts_with(beginning));
    cases.map(|case| Ok((case.name[beginning.len()..].to_owned(), count(house, &binary, &case)?))).collect()
}

/// The difference of two runs, so that whatever comes before and after the operations is not in it.
fn count(house: &House, binary: &str, case: &Case) -> Result<f64, Finding> {
    let once = callgrind(house, binary, case, case.operations)?;
    let twice = callgrind(house, binary, case, 2 * case.operations)?;
    Ok(twice.saturating_sub(once) as f64 / case.operations as f64)
}

fn callgrind(house: &House, binary: &str, case: &Case, operations: u64) -> Result<u64, Finding> {
    let mut command = house.command("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command.arg(format!("--toggle-collect=*quicast_benches*{}*", case.counted_in));
    command.args([binary, &case.name, &operations.to_string()]);
    let place = format!("valgrind … {} {operations}", case.name);
    let output = command.output().map_err(|error| Finding::new(&place, error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    collected(&said).filter(|_| output.status.success()).ok_or_else(|| Finding::new(place, said.into_owned()))
}

/// What callgrind says at its end: `==123== Collected : 456`.
fn collected(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

/// Builds the binary and asks cargo where it is.
fn build(house: &House) -> Result<String, Finding> {
    let mut command = house.command("cargo");
    command.args(["build", "--quiet", "--release", "--package", PACKAGE, "--bin", STEP, "--message-format", "json"]);
    let finding = |what: &str| Finding::new("cargo build --bin instructions", what);
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| finding(&error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let executable = said.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(message.get("executable")?.as_str()?.to_owned())
    });
    executable.filter(|_| output.status.success()).ok_or_else(|| finding("it does not build, as cargo says above"))
}

fn read_baseline(path: &Path) -> Result<BTreeMap<String, f64>, Finding> {
    let text = fs::read_to_string(path).map_err(|error| Finding::new(path.display().to_string(), error.to_string()))?;
    Ok(baseline(&text))
}

/// The first two columns of a table that was printed before.
fn baseline(table: &str) -> BTreeMap<String, f64> {
    let row = |line: &str| {
        let mut columns = line.split_whitespace();
        Some((columns.next()?.to_owned(), columns.next()?.parse().ok()?))
    };
    table.lines().filter_map(row).collect()
}

impl Wishes {
    fn read(arguments: &[String]) -> Result<Self, String> {
        let mut wishes = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--instructions" => wishes.instructions = true,
                "--floods" => wishes.floods = true,
                "--baseline" => {
                    let file = arguments.next().ok_or("--baseline needs a file: a table that was printed before")?;
                    wishes.baseline = Some(file.into());
                }
                option if option.starts_with('-') => return Err(format!("no option `{option}`")),
                filter => wishes.filter = Some(filter.to_owned()),
            }
        }
        if wishes.baseline.is_some() && !wishes.instructions {
            return Err("--baseline compares instructions: add --instructions".to_owned());
        }
        if wishes.floods && wishes.instructions {
            return Err("--floods measures time: leave out --instructions".to_owned());
        }
        Ok(wishes)
    }

    fn wants(&self, case: &Case) -> bool {
        case.operations > 0 && self.filter.as_ref().is_none_or(|filter| case.name.contains(filter))
    }
}

impl Case {
    fn read(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        Some(Self {
            name: fields.next()?.to_owned(),
            operations: fields.next()?.parse().ok()?,
            parts: fields.next()?.parse().ok()?,
            counted_in: fields.next()?.to_owned(),
            what: fields.next()?.to_owned(),
        })
    }

    fn line(&self, each: f64, before: Option<f64>) -> String {
        let part = if self.parts > 1 { format!("{:.1}", each / self.parts as f64) } else { String::new() };
        let change = before.map_or_else(String::new, |before| format!("{:+.1} %", (each / before - 1.0) * 100.0));
        format!("{:<28} {each:>14.1} {part:>12} {change:>9}  {}", self.name, self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(words: &[&str]) -> Result<Wishes, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Wishes::read(&words)
    }

    #[test]
    fn wishes_are_read_in_any_order() {
        let read = wishes(&["pair/", "--baseline", "before.txt", "--instructions"]).unwrap();
        assert_eq!(read.baseline.as_deref(), Some(Path::new("before.txt")));
        assert!(read.instructions && read.filter.as_deref() == Some("pair/"));
        assert!(wishes(&["--baseline", "before.txt"]).is_err());
        assert!(wishes(&["--instructions", "--baseline"]).is_err());
        assert!(wishes(&["--fast"]).is_err());
        assert!(wishes(&["--floods"]).unwrap().floods && wishes(&["--floods", "--instructions"]).is_err());
    }

    #[test]
    fn a_table_that_was_printed_is_a_baseline() {
        let case = Case::read("pair/bulk\t8\t740\tcounted\t1 MiB one way").unwrap();
        let table = format!("case   instructions\n{}\n\nall passed\n", case.line(1_480.0, None));
        let before = baseline(&table);
        assert_eq!(before, BTreeMap::from([("pair/bulk".to_owned(), 1_480.0)]));
        let line = case.line(740.0, before.get("pair/bulk").copied());
        assert!(line.contains("740.0") && line.contains(" 1.0 ") && line.contains("-50.0 %"), "{line}");
    }

    #[test]
    fn callgrinds_last_words_are_understood() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 1234\n"), Some(1_234));
        assert_eq!(collected("valgrind: no such file"), None);
    }
}
