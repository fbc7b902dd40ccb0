//! `cargo xtask`: everything that CI and people call, with nothing to install but cargo.
//!
//! It reads the house and judges it; it is no part of the stack and knows none of its types.
//!
//! ```text
//! check: fmt ─ clippy ─ dependencies ─ sources ─ citations ─ page of metrics ─ documentation
//! test:  cargo test --workspace          full: check, test with long runs, deny, purity, exposition
//! bench: the cases of benches/ under criterion, or under callgrind; floods
//! congestion: how controllers do in the simulator, as tables and pictures
//! growth: what costs when there is more of it, as tables and curves
//! peers: build the drivers, measure in turns, write docs/performance.md
//! ```
//! Start with [`check::run`], which is the list; [`dependencies::broken`] and [`sources::broken`] hold the rules.
//! Each step says what is wrong, where, and what to do; all steps run, whatever the earlier ones found.
#![expect(clippy::print_stdout, reason = "a command talks to its caller")]

mod bench;
mod check;
mod citations;
mod code;
mod congestion;
mod dependencies;
mod full;
mod growth;
mod house;
mod metrics_page;
mod peers;
mod report;
mod sources;
mod specification;

use std::process::ExitCode;

use house::House;
use report::Report;

const USAGE: &str = "\
cargo xtask COMMAND

  check             formatting, lints, the dependency rule, sources, citations, docs/metrics.md, documentation
  test [ARGS]       cargo test --workspace, with ARGS after it
  full              check and test with the long runs (QUICAST_FULL=1, SIM_SEEDS=2000), then what needs more tools
  deps              the dependency rule alone
  rules             what `check` can say without building anything
  interop [ARGS]    tests/interop/run, with ARGS after it
  bench [FILTER]    benches/ in time, briefly; with --instructions [--baseline TABLE] in instructions, under valgrind;
                    with --floods what attackers cost others
  peers [ARGS]      measures this stack beside others (benches/peers) and writes docs/performance.md
  growth [ARGS]     measures what costs when there is more of it; writes docs/growth and docs/performance.md
  congestion        simulates every congestion controller (quicast sim); writes docs/congestion.md and its pictures
  docs              writes docs/metrics.md anew";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let house = match House::find() {
        Ok(house) => house,
        Err(why) => {
            println!("cannot read the workspace: {why}\nrun this inside the repository, with cargo on the PATH");
            return ExitCode::FAILURE;
        }
    };
    let mut report = Report::default();
    match command.as_str() {
        "check" => check::run(&house, &mut report),
        "test" => check::test(&house, &mut report, &rest, &[]),
        "full" => full::run(&house, &mut report),
        "rules" => check::rules(&house, &mut report),
        "deps" => check::dependencies(&house, &mut report),
        "interop" => check::interop(&house, &mut report, &rest),
        "bench" => bench::run(&house, &mut report, &rest),
        "peers" => peers::run(&house, &mut report, &rest),
        "growth" => growth::run(&house, &mut report, &rest),
        "congestion" => congestion::run(&house, &mut report, &rest),
        "docs" => report.step("docs/metrics.md", |_| metrics_page::write(&house)),
        "" | "help" | "-h" | "--help" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        unknown => {
            println!("no command `{unknown}`\n\n{USAGE}");
            return ExitCode::from(2);
        }
    }
    report.finish()
}
