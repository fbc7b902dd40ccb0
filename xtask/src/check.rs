//! The steps of `check`, and the commands that are one step.

use std::process::{Command, Stdio};

use crate::house::House;
use crate::report::{Finding, Report};
use crate::{citations, dependencies, metrics_page, sources};

/// Every step, cheapest first.
pub(crate) fn run(house: &House, report: &mut Report) {
    rules(house, report);
    report.step("docs/metrics.md", |_| metrics_page::check(house));
    // Package by package, so that each is judged with the features that it asks for itself.
    report.step("clippy", |_| house.packages.iter().flat_map(|package| clippy(house, &package.name)).collect());
    report.step("documentation", |_| {
        let mut command = house.command("cargo");
        command.args(["doc", "--workspace", "--no-deps", "--quiet"]);
        succeed(command.env("RUSTDOCFLAGS", "-D warnings"), "mend the documentation as rustdoc says above")
    });
}

/// The steps that build nothing.
pub(crate) fn rules(house: &House, report: &mut Report) {
    let files = house.files("rs");
    report.step("formatting", |_| {
        let mut command = house.command("cargo");
        command.args(["fmt", "--all", "--check", "--", "-l"]);
        succeed(&mut command, "run `cargo fmt --all`")
    });
    dependencies(house, report);
    report.step("sources", |_| {
        for line in sources::long(&files) {
            println!("   long: {line}");
        }
        sources::broken(&files)
    });
    report.step("citations", |report| citations::broken(house, &files, report));
}

/// The dependency rule.
pub(crate) fn dependencies(house: &House, report: &mut Report) {
    report.step("dependency rule", |_| dependencies::broken(house));
}

/// All tests, with what the environment is to say.
pub(crate) fn test(house: &House, report: &mut Report, arguments: &[String], environment: &[(&str, &str)]) {
    report.step("tests", |_| {
        let mut command = house.command("cargo");
        command.args(["test", "--workspace"]).args(arguments).envs(environment.iter().copied());
        succeed(&mut command, "the failing test is named above; a simulation repeats with its SIM_SEED")
    });
}

/// The runs against other stacks.
pub(crate) fn interop(house: &House, report: &mut Report, arguments: &[String]) {
    report.step("interop", |report| {
        let script = house.root.join("tests/interop/run");
        if !script.is_file() {
            report.skip("interop", "there is no tests/interop/run");
            return Vec::new();
        }
        succeed(Command::new(script).args(arguments).current_dir(&house.root), "the failing pair is named above")
    });
}

fn clippy(house: &House, package: &str) -> Vec<Finding> {
    let mut command = house.command("cargo");
    command.args(["clippy", "--quiet", "--package", package, "--no-deps", "--all-targets", "--", "-D", "warnings"]);
    succeed(&mut command, "do as clippy says above, or `#[expect(lint, reason = \"…\")]`")
}

/// Runs a command that talks for itself; if it fails, says what to do.
pub(crate) fn succeed(command: &mut Command, advice: &str) -> Vec<Finding> {
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let line = command.get_args().fold(program, |line, argument| line + " " + &argument.to_string_lossy());
    match command.status() {
        Ok(status) if status.success() => Vec::new(),
        Ok(status) => vec![Finding::new(line, format!("{status}: {advice}"))],
        Err(error) => vec![Finding::new(line, format!("cannot be started: {error}"))],
    }
}

/// Whether a program that may not be there is.
pub(crate) fn exists(house: &House, program: &str, arguments: &[&str]) -> bool {
    let mut command = house.command(program);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
