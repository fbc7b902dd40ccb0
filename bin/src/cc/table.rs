//! Columns for people, and values out of answers.

use std::time::Duration;

use serde_json::Value;

use crate::{out, units};

/// Lines of equal columns. The first row is the heading.
pub(super) fn print(rows: &[Vec<String>]) {
    for line in lines(rows) {
        out::line(line);
    }
}

fn lines(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A row of texts.
pub(super) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// A text of an answer, without what a terminal would obey.
pub(super) fn text(value: &Value) -> String {
    let shown = match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    shown.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

pub(super) fn bytes(value: &Value) -> String {
    units::bytes(value.as_u64().unwrap_or(0))
}

/// From bytes a second.
pub(super) fn rate(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |bytes| units::rate(bytes * 8.0))
}

pub(super) fn time(value: &Value) -> String {
    let seconds = Duration::try_from_secs_f64(value.as_f64().unwrap_or(0.0));
    units::time(seconds.unwrap_or_default())
}

/// From a ratio.
pub(super) fn percent(value: &Value) -> String {
    format!("{:.2} %", value.as_f64().unwrap_or(0.0) * 100.0)
}

/// The elements of a list.
pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest() {
        let rows = [row(["cc", "conns", "rule"]), row(["newreno", "3", "default"]), row(["cubic", "100", ""])];
        assert_eq!(lines(&rows), ["cc       conns  rule", "newreno  3      default", "cubic    100"]);
    }

    #[test]
    fn a_terminal_obeys_no_answer() {
        assert_eq!(text(&serde_json::json!("a\u{1b}[31m")), "a [31m");
    }
}
