//! `docs/metrics.md`, which is written from the tables in `telemetry`.

use std::fs;
use std::process::Stdio;

use crate::house::House;
use crate::report::Finding;

const PAGE: &str = "docs/metrics.md";

/// Writes it.
pub(crate) fn write(house: &House) -> Vec<Finding> {
    match example(house, &[]) {
        Ok(page) => match fs::write(house.root.join(PAGE), page) {
            Ok(()) => Vec::new(),
            Err(error) => vec![Finding::new(PAGE, format!("cannot be written: {error}"))],
        },
        Err(finding) => vec![finding],
    }
}

/// Whether it is what the tables say now.
pub(crate) fn check(house: &House) -> Vec<Finding> {
    match (example(house, &[]), fs::read_to_string(house.root.join(PAGE))) {
        (Ok(page), Ok(written)) if page == written => Vec::new(),
        (Ok(_), _) => {
            vec![Finding::new(PAGE, "does not say what the tables in telemetry/src say: run `cargo xtask docs`")]
        }
        (Err(finding), _) => vec![finding],
    }
}

/// What the example of `telemetry` prints: the page, or with `--exposition` a scrape.
pub(crate) fn example(house: &House, arguments: &[&str]) -> Result<String, Finding> {
    let fail = |what: String| Finding::new("cargo run -p quicast-telemetry --example metrics", what);
    let output = house
        .command("cargo")
        .args(["run", "--quiet", "--package", "quicast-telemetry", "--example", "metrics", "--"])
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| fail(error.to_string()))?;
    if !output.status.success() {
        return Err(fail(format!("ended with {}", output.status)));
    }
    String::from_utf8(output.stdout).map_err(|error| fail(error.to_string()))
}
