//! [`Sim`]: runs of `quicast sim`, and what is read of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Seeds of which the median is told.
const SEEDS: u32 = 5;
/// How long a quick run is, in simulated seconds.
const QUICK: u32 = 3;

/// The program.
pub(super) struct Sim {
    pub(super) program: PathBuf,
    pub(super) quick: bool,
}

impl Sim {
    /// The controllers that the program knows, but for the one that answers to nothing.
    pub(super) fn controllers(&self) -> Result<Vec<String>, String> {
        // The refusal of an unknown name lists those there are.
        let said =
            Command::new(&self.program).args(["sim", "--flow", "?"]).output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        let (_, names) = said.split_once("There are: ").ok_or_else(|| format!("no list of controllers in: {said}"))?;
        let names = names.split([';', '\n']).next().unwrap_or_default().split(',');
        Ok(names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty() && name != "fixed").collect())
    }

    /// The median over the seeds of what `read` finds in the result, for a run of so many simulated seconds.
    pub(super) fn median(
        &self,
        seconds: u32,
        arguments: &[&str],
        read: impl Fn(&Value) -> Option<f64>,
    ) -> Result<f64, String> {
        let (seeds, seconds) = if self.quick { (1, QUICK.min(seconds)) } else { (SEEDS, seconds) };
        let mut values = Vec::new();
        for seed in 1..=seeds {
            let result = self.run(seconds, seed, arguments)?;
            values.push(read(&result).ok_or_else(|| format!("{arguments:?}: no such number in the result"))?);
        }
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().ok_or_else(|| "no seeds".to_owned())
    }

    fn run(&self, seconds: u32, seed: u32, arguments: &[&str]) -> Result<Value, String> {
        let mut command = Command::new(&self.program);
        command.args([
            "sim",
            "--json",
            "--samples",
            "2",
            "--seconds",
            &seconds.to_string(),
            "--seed",
            &seed.to_string(),
        ]);
        let output = command.args(arguments).output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("{arguments:?}: {error}"))
    }

    /// Draws a run.
    pub(super) fn draw(&self, arguments: &[&str], file: &Path) -> Result<(), String> {
        let mut command = Command::new(&self.program);
        let output = command.arg("sim").args(arguments).arg("--plot").arg(file).output();
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }
}

/// A number of the result, by its JSON pointer.
pub(super) fn number(result: &Value, pointer: &str) -> Option<f64> {
    result.pointer(pointer)?.as_f64()
}
