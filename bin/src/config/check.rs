//! `quicast check-config`: is the file right?

use quicast::controllers::Registry;

use super::Config;
use crate::cli::CheckConfig;
use crate::error::Failure;
use crate::out;

/// Carries the command out.
///
/// # Errors
/// What is wrong, with its line; whatever it is, exit code 2.
pub(crate) fn run(arguments: &CheckConfig) -> Result<(), Failure> {
    let config = Config::load(&arguments.file, &Registry::default()).map_err(Failure::usage)?;
    let rules = &config.congestion.rules;
    out::line(format_args!("{}: right", config.path().display()));
    for rule in &rules.rules {
        out::line(format_args!("  {}: {} for {}", rule.name, rule.algorithm, rule.selector));
    }
    out::line(format_args!("  default: {}", rules.default));
    Ok(())
}
