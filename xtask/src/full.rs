//! `full`: everything that takes longer, or needs a tool that may not be there.

use std::io::Write as _;
use std::process::Stdio;

use crate::check::{self, exists, succeed};
use crate::house::House;
use crate::metrics_page;
use crate::report::{Finding, Report};

const WASM: &str = "wasm32-unknown-unknown";

/// The crates that can be built where there is no operating system at all.
const BARE: [&str; 3] = ["quicast-codec", "quicast-recovery", "quicast-congestion"];

/// Everything.
pub(crate) fn run(house: &House, report: &mut Report) {
    check::run(house, report);
    check::test(house, report, &[], &[("QUICAST_FULL", "1"), ("SIM_SEEDS", "2000")]);
    report.step("cargo deny", |report| deny(house, report));
    report.step("purity", |report| purity(house, report));
    report.step("exposition", |report| exposition(house, report));
}

fn deny(house: &House, report: &mut Report) -> Vec<Finding> {
    if !exists(house, "cargo", &["deny", "--version"]) {
        report.skip("cargo deny", "cargo-deny is not installed (cargo install cargo-deny)");
        return Vec::new();
    }
    let mut command = house.command("cargo");
    command.args(["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]);
    let mut findings = succeed(&mut command, "deny.toml says what is allowed, and why");
    findings.extend(advisories(house, report));
    findings
}

/// Apart from the rest, because the list of advisories has to be fetched.
fn advisories(house: &House, report: &mut Report) -> Vec<Finding> {
    let command = "cargo deny check advisories";
    let output = match house.command("cargo").args(["deny", "check", "advisories"]).output() {
        Ok(output) => output,
        Err(error) => return vec![Finding::new(command, error.to_string())],
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Vec::new();
    }
    if said.contains("failed to fetch advisory database") {
        report.skip("advisories", "their list cannot be fetched from here");
        return Vec::new();
    }
    println!("{said}");
    vec![Finding::new(command, "update the crate, or add an exception with its reason to deny.toml")]
}

/// Builds the crates without `std` for a machine without clock, socket or threads.
fn purity(house: &House, report: &mut Report) -> Vec<Finding> {
    let installed = house.command("rustc").args(["--print", "target-libdir", "--target", WASM]).output();
    let folder = installed.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    if !folder.is_ok_and(|folder| std::path::Path::new(&folder).is_dir()) {
        report.skip("purity", format!("the target is not installed (rustup target add {WASM})"));
        return Vec::new();
    }
    let packages = BARE.iter().flat_map(|package| ["--package", package]);
    let mut command = house.command("cargo");
    command.args(["build", "--quiet", "--target", WASM]).args(packages);
    succeed(&mut command, "these crates may use core and alloc only")
}

/// Asks Prometheus's own tool whether a scrape is as it should be.
fn exposition(house: &House, report: &mut Report) -> Vec<Finding> {
    if !exists(house, "promtool", &["--version"]) {
        report.skip("exposition", "promtool is not installed (it comes with prometheus)");
        return Vec::new();
    }
    let text = match metrics_page::example(house, &["--exposition"]) {
        Ok(text) => text,
        Err(finding) => return vec![finding],
    };
    let mut command = house.command("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped());
    let checked = command.spawn().and_then(|mut child| {
        if let Some(mut input) = child.stdin.take() {
            input.write_all(text.as_bytes())?;
        }
        child.wait()
    });
    match checked {
        Ok(status) if status.success() => Vec::new(),
        Ok(status) => vec![Finding::new("promtool check metrics", format!("{status}: mend the row in telemetry/src"))],
        Err(error) => vec![Finding::new("promtool check metrics", error.to_string())],
    }
}
