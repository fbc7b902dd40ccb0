//! Tables and curves.

use std::fs;

use super::{Curve, Subject};
use crate::house::House;
use crate::peers::stacks::Program;
use crate::peers::{machine, page};

/// Where the tables go.
pub(super) const PAGE: &str = "docs/performance.md";
/// Where the curves go.
const FOLDER: &str = "docs/growth";
const MARKERS: [&str; 2] = ["<!-- growth:begin -->", "<!-- growth:end -->"];

/// Draws the curves, and writes the tables between the markers. What stands around them stays, and so do the tables of what
/// was not measured now.
pub(super) fn write(house: &House, program: &Program, subjects: &[Subject]) -> Result<(), String> {
    let path = house.root.join(PAGE);
    let page = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    fs::create_dir_all(house.root.join(FOLDER)).map_err(|error| format!("{FOLDER}: {error}"))?;
    let mut text = format!(
        "{} Medians of {} runs; datagrams of 1,452 bytes, over loopback; server on one core, client on another.\n",
        machine::place(house),
        super::ROUNDS,
    );
    let mut sections = sections(&page);
    for subject in subjects {
        if let Some(curve) = &subject.curve {
            draw(house, program, subject.heading, curve)?;
        }
        let new = table(subject);
        let heading = heading(subject);
        match sections.iter_mut().find(|old| old.starts_with(&heading)) {
            Some(old) => *old = new,
            None => sections.push(new),
        }
    }
    text.extend(sections.into_iter().map(|section| format!("\n{section}")));
    let page = page::replaced(&page, MARKERS, &text).ok_or_else(|| format!("has no `{}`", MARKERS.join("` … `")))?;
    fs::write(path, page).map_err(|error| error.to_string())
}

fn heading(subject: &Subject) -> String {
    format!("### {}\n", subject.heading)
}

/// The tables that the page has.
fn sections(page: &str) -> Vec<String> {
    let [begin, end] = MARKERS;
    let inside = page.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map_or("", |(inside, _)| inside);
    inside.split("\n### ").skip(1).map(|section| format!("### {}\n", section.trim_end())).collect()
}

/// The program draws: it has the means, and this one stays without.
fn draw(house: &House, program: &Program, heading: &str, curve: &Curve) -> Result<(), String> {
    let mut command = house.command(&program.path.to_string_lossy());
    command.args(program.words).arg("draw").arg(house.root.join(FOLDER).join(curve.name).with_extension("svg"));
    command.args(["--title", heading, "--across", curve.across, "--up", curve.up]);
    if curve.linear {
        command.arg("--linear");
    }
    command.args(curve.lines.iter().map(|(name, points)| line(name, points)));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("quicast perf draw: {status}")),
        Err(error) => Err(format!("quicast perf draw: {error}")),
    }
}

/// A line as `quicast perf draw` reads it.
fn line(name: &str, points: &[(f64, f64)]) -> String {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{x}:{y:.4}")).collect();
    format!("{name}={}", points.join(","))
}

/// A heading, what it means, the rows, the picture.
pub(super) fn table(subject: &Subject) -> String {
    let mut text = format!("{}\n{}\n\n", heading(subject), subject.words);
    text += &format!("| {} |\n|{}\n", subject.columns.join(" | "), "---|".repeat(subject.columns.len()));
    for row in &subject.rows {
        text += &format!("| {} |\n", row.join(" | "));
    }
    if let Some(curve) = &subject.curve {
        text += &format!("\n![{}](growth/{}.svg)\n", subject.heading, curve.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_table_and_a_picture() {
        let subject = Subject {
            heading: "Bulk",
            words: "As much as goes.",
            columns: &["connections", "Gbit/s"],
            rows: vec![vec!["1".to_owned(), "27.6".to_owned()]],
            curve: Some(Curve { name: "bulk", ..Curve::default() }),
        };
        let expected = "### Bulk\n\nAs much as goes.\n\n| connections | Gbit/s |\n|---|---|\n| 1 | 27.6 |\n\n\
                        ![Bulk](growth/bulk.svg)\n";
        assert_eq!(table(&subject), expected);
    }

    #[test]
    fn tables_that_are_there_are_found_again() {
        let [begin, end] = MARKERS;
        let page = format!("# P\n\n### Not mine\n{begin}\nwhen\n\n### A\n\n|1|\n\n### B\n\n|2|\n{end}\n### Nor this\n");
        assert_eq!(sections(&page), ["### A\n\n|1|\n", "### B\n\n|2|\n"]);
        assert!(sections("nothing").is_empty());
    }

    #[test]
    fn a_line_is_written_as_the_program_reads_it() {
        assert_eq!(line("one", &[(1.0, 0.25), (10.0, 2.0)]), "one=1:0.2500,10:2.0000");
    }
}
