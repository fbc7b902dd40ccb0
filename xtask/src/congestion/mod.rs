//! `cargo xtask congestion`: how each congestion controller does in the simulator, as tables and pictures.
//!
//! ```text
//! quicast sim --json (built) ─ tables: scenarios × controllers × seeds ─ medians ─┬ docs/congestion.md, between markers
//! quicast sim --plot ─ pictures ─────────────────────────────────────────────────┴ docs/congestion/*.svg
//! ```
//! Virtual time and seeds: every machine writes the same page, to the byte.

mod sim;
mod tables;

use std::fs;

use self::sim::Sim;
use self::tables::Table;
use crate::house::House;
use crate::peers::page;
use crate::peers::stacks::STACKS;
use crate::report::{Finding, Report};

const PAGE: &str = "docs/congestion.md";
const FOLDER: &str = "docs/congestion";
const MARKERS: [&str; 2] = ["<!-- congestion:begin -->", "<!-- congestion:end -->"];
const USAGE: &str =
    "cargo xtask congestion [--quick]\nA quick run takes short transfers of one seed, and writes nothing.";

/// Pictures: their name, what they show, and the arguments of `quicast sim`.
const PICTURES: [(&str, &str, &[&str]); 5] = [
    (
        "swaps",
        "One flow that goes through four controllers, ten seconds each, on 50 Mbit/s and 50 ms",
        &["--seconds", "40", "--flow", "cubic;swap=bbr@10s;swap=copa@20s;swap=newreno@30s"],
    ),
    (
        "loss",
        "CUBIC on 50 Mbit/s, 50 ms and 1 % random loss goes over to BBR after ten seconds",
        &["--seconds", "25", "--loss", "1%", "--flow", "cubic;swap=bbr@10s"],
    ),
    (
        "yield",
        "LEDBAT++ makes room for CUBIC between the 20th and the 40th second",
        &["--seconds", "60", "--flow", "ledbat", "--flow", "cubic;start=20s;stop=40s"],
    ),
    (
        "l4s",
        "Prague and CUBIC behind a dual queue (RFC 9332)",
        &[
            "--seconds",
            "20",
            "--aqm",
            "dualq",
            "--ecn",
            "--rtt",
            "20ms",
            "--flow",
            "prague",
            "--flow",
            "cubic;start=5s",
        ],
    ),
    (
        "fairness",
        "Four CUBIC flows that begin five seconds apart",
        &[
            "--seconds",
            "40",
            "--flow",
            "cubic",
            "--flow",
            "cubic;start=5s",
            "--flow",
            "cubic;start=10s",
            "--flow",
            "cubic;start=15s",
        ],
    ),
];

/// Builds, simulates, writes.
pub(crate) fn run(house: &House, report: &mut Report, arguments: &[String]) {
    report.step("congestion", |_| match arguments {
        [] => simulate(house, false),
        [word] if word == "--quick" => simulate(house, true),
        _ => vec![Finding::new("cargo xtask congestion", USAGE)],
    });
}

fn simulate(house: &House, quick: bool) -> Vec<Finding> {
    let program = match STACKS.first().map(|ours| ours.build(house)) {
        Some(Ok(program)) => program.path,
        Some(Err(why)) => return vec![Finding::new("cargo xtask congestion", why)],
        None => return Vec::new(),
    };
    let sim = Sim { program, quick };
    let mut text = String::new();
    for table in tables::ALL {
        match table(&sim) {
            Ok(table) => {
                let shown = show(&table);
                println!("\n{shown}");
                text += &format!("\n{shown}");
            }
            Err(why) => return vec![Finding::new("quicast sim", why)],
        }
    }
    if quick {
        return Vec::new();
    }
    match write(house, &sim, text) {
        Ok(()) => Vec::new(),
        Err(why) => vec![Finding::new(PAGE, why)],
    }
}

fn write(house: &House, sim: &Sim, mut text: String) -> Result<(), String> {
    fs::create_dir_all(house.root.join(FOLDER)).map_err(|error| format!("{FOLDER}: {error}"))?;
    for (name, title, arguments) in PICTURES {
        sim.draw(arguments, &house.root.join(FOLDER).join(name).with_extension("svg"))?;
        let command: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
        text += &format!("\n### {title}\n\n`quicast sim {}`\n\n![{title}](congestion/{name}.svg)\n", command.join(" "));
    }
    let path = house.root.join(PAGE);
    let page = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let page = page::replaced(&page, MARKERS, &text).ok_or_else(|| format!("has no `{}`", MARKERS.join("` … `")))?;
    fs::write(path, page).map_err(|error| error.to_string())
}

/// As one would type it.
fn quoted(word: &str) -> String {
    if word.contains([';', '%']) { format!("'{word}'") } else { word.to_owned() }
}

fn show(table: &Table) -> String {
    let mut text = format!("### {}\n\n{}\n\n", table.heading, table.words);
    text += &format!("| {} |\n|{}\n", table.columns.join(" | "), "---|".repeat(table.columns.len()));
    for row in &table.rows {
        text += &format!("| {} |\n", row.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_they_are_typed() {
        assert_eq!(quoted("cubic;swap=bbr@10s"), "'cubic;swap=bbr@10s'");
        assert_eq!(quoted("--flow"), "--flow");
    }

    #[test]
    fn a_table_is_shown_with_a_line_for_each_row() {
        let table = Table {
            heading: "Alone",
            words: "What is used.".to_owned(),
            columns: vec!["controller".to_owned(), "used".to_owned()],
            rows: vec![vec!["cubic".to_owned(), "98 %".to_owned()]],
        };
        assert_eq!(show(&table), "### Alone\n\nWhat is used.\n\n| controller | used |\n|---|---|\n| cubic | 98 % |\n");
    }
}
