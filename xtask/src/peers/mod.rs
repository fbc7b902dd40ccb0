//! `cargo xtask peers`: this stack beside others, all asked the same by `benches/peers`.
//!
//! ```text
//! options ─ stacks (built) ─ rounds: workload × round × stack ─ one run each ─ statistics ─ tables ─ docs/performance.md
//! ```
//! Rounds alternate: every stack has its turn before any has its next, so that a machine that is slow for a while is slow
//! for all. Server and client are pinned to a core each. Whatever fails is a line of the table.

mod figures;
pub(crate) mod machine;
mod memory;
mod options;
pub(crate) mod page;
pub(crate) mod process;
mod run;
pub(crate) mod stacks;
mod tables;
mod workloads;

use crate::house::House;
use crate::report::{Finding, Report};

use figures::Results;
use options::Options;

/// Builds, measures, prints, writes.
pub(crate) fn run(house: &House, report: &mut Report, arguments: &[String]) {
    report.step("peers", |report| match Options::read(arguments) {
        Ok(options) => measure(house, report, &options),
        Err(why) => vec![Finding::new("cargo xtask peers", format!("{why}\n{}", options::usage()))],
    });
}

fn measure(house: &House, report: &mut Report, options: &Options) -> Vec<Finding> {
    let mut built = Vec::new();
    for stack in &options.stacks {
        match stack.build(house) {
            Ok(program) => built.push((*stack, program)),
            Err(why) => report.skip("peers", format!("{}: {why}", stack.name)),
        }
    }
    if built.is_empty() {
        return vec![Finding::new("cargo xtask peers", "there is nothing to measure")];
    }
    let mut all = Vec::new();
    for workload in &options.workloads {
        let mut results = Results::default();
        for round in 0..options.rounds + options.warm_up {
            for (stack, program) in built.iter().filter(|(stack, _)| stack.does(workload)) {
                let outcome = run::once(program, workload, options.quick);
                let counts = round >= options.warm_up;
                println!("   {}, round {round}, {}: {}", workload.name, stack.name, tables::line(workload, &outcome));
                if counts || outcome.is_err() {
                    results.add(stack.name, outcome);
                }
            }
        }
        println!("\n{}", tables::of_workload(workload, &results));
        all.push((*workload, results));
    }
    let failures = all.iter().flat_map(|(workload, results)| {
        results.failures().map(|(stack, why)| Finding::new(format!("{}, {stack}", workload.name), why.to_owned()))
    });
    let mut findings: Vec<Finding> = failures.collect();
    if let Some(path) = options.page(house)
        && let Err(why) = page::write(house, &path, &all, options)
    {
        findings.push(Finding::new(path.display().to_string(), why));
    }
    findings
}
