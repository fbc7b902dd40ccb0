//! What the steps found, how long they took, and the last word.

use std::process::ExitCode;
use std::time::{Duration, Instant};

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Finding {
    /// File and line, or the manifest, or the command.
    pub(crate) place: String,
    /// What is wrong, and what to do.
    pub(crate) what: String,
}

impl Finding {
    pub(crate) fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }
}

/// All steps so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    steps: Vec<(&'static str, Duration, usize)>,
    skipped: Vec<(&'static str, String)>,
}

impl Report {
    /// Runs one step and prints what it found.
    pub(crate) fn step(&mut self, name: &'static str, run: impl FnOnce(&mut Self) -> Vec<Finding>) {
        println!("== {name}");
        let start = Instant::now();
        let findings = run(self);
        for Finding { place, what } in &findings {
            println!("{place}: {what}");
        }
        let time = start.elapsed();
        println!("-- {name}: {} ({:.1} s)", verdict(findings.len()), time.as_secs_f64());
        self.steps.push((name, time, findings.len()));
    }

    /// Says why a step, or a part of it, was not done.
    pub(crate) fn skip(&mut self, name: &'static str, why: impl Into<String>) {
        let why = why.into();
        println!("   skipped {name}: {why}");
        self.skipped.push((name, why));
    }

    /// The last lines: what failed, and what was not looked at.
    pub(crate) fn finish(self) -> ExitCode {
        println!("== result");
        for (name, time, findings) in &self.steps {
            println!("{:>8.1} s  {name}: {}", time.as_secs_f64(), verdict(*findings));
        }
        for (name, why) in &self.skipped {
            println!("           {name}: skipped, {why}");
        }
        let failed = self.steps.iter().filter(|(_, _, findings)| *findings > 0).count();
        if failed == 0 {
            println!("every step is fine");
            ExitCode::SUCCESS
        } else {
            println!("{failed} of {} steps failed", self.steps.len());
            ExitCode::FAILURE
        }
    }
}

fn verdict(findings: usize) -> String {
    match findings {
        0 => "fine".to_owned(),
        1 => "1 finding".to_owned(),
        many => format!("{many} findings"),
    }
}
