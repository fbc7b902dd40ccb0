//! `quicast sim`: congestion controllers over a simulated bottleneck. Nothing is sent.

pub(crate) mod arguments;
mod plot;
mod report;
mod text;

use ::sim::{Report, Scenario, Simulation};

use self::arguments::Sim;
use crate::error::Failure;
use crate::out;
use crate::progress::Progress;
use crate::units;

/// Progress is told so many times.
const STEPS: u32 = 200;

/// Simulates, and tells what came of it.
///
/// # Errors
/// More flows than can be, a picture that cannot be written, or a simulation that broke a promise of quicast.
pub(crate) fn run(arguments: &Sim) -> Result<(), Failure> {
    let scenario = arguments.scenario().map_err(Failure::usage)?;
    let report = simulate(&scenario);
    let told = report::Told::new(&scenario, &report);
    if arguments.json {
        out::line(serde_json::to_string(&told.json(arguments.samples)).map_err(Failure::failed)?);
    } else {
        out::line(&told);
    }
    if let Some(path) = &arguments.plot {
        plot::write(path, &scenario, &report)?;
    }
    // Whatever a controller does, no byte may be lost for good and no window be too small.
    report
        .verify()
        .map_err(|fault| Failure::failed(format_args!("this must not be, with seed {}: {fault}", report.seed)))
}

fn simulate(scenario: &Scenario) -> Report {
    let mut simulation = Simulation::new(scenario);
    let progress = Progress::words(u64::from(STEPS));
    for step in 1..=STEPS {
        let until = scenario.duration / STEPS * step;
        simulation.run_until(if step == STEPS { scenario.duration } else { until });
        progress.tell(u64::from(step), || format!("{} of {}", units::time(until), units::time(scenario.duration)));
    }
    progress.clear();
    simulation.report()
}
