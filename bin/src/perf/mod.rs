//! `quicast perf`: a server and a client that measure each other.
//!
//! ```text
//! server ─▶ services::perf
//! client ─▶ connects ─▶ measure: ┬ bulk, requests, idle, datagrams   on the connection's own thread
//!                                └ handshakes
//!        ─▶ report (table or JSON) and plot
//! draw   ─▶ plot of points that were measured before
//! ```
//! What the client knows of the server's process, the server tells it: [`statistics`].

pub(crate) mod arguments;
mod bulk;
mod client;
mod datagrams;
mod exchange;
mod handshakes;
mod idle;
pub(crate) mod latency;
pub(crate) mod measure;
pub(crate) mod pattern;
pub(crate) mod plot;
pub(crate) mod report;
mod requests;
mod server;
pub(crate) mod statistics;
mod tickets;

use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use self::arguments::{Draw, Perf, Processors, Side};
use crate::error::Failure;

/// A connection on which nothing is meant to happen is kept for so long.
const SILENCE: Duration = Duration::from_secs(600);

/// Keeps this thread, and those that it starts, on the processors of `--pin`.
pub(crate) fn pin(processors: Option<&Processors>) -> Result<(), Failure> {
    let Some(Processors(numbers)) = processors else { return Ok(()) };
    let mut set = CpuSet::new();
    let pinned = numbers.iter().try_for_each(|number| set.set(*number)).and_then(|()| {
        let this_thread = Pid::from_raw(0);
        sched_setaffinity(this_thread, &set)
    });
    pinned.map_err(|_| {
        let there = std::thread::available_parallelism().map_or(1, usize::from);
        let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        Failure::usage(format_args!(
            "--pin {}: this process may not run there; it has {there} processors, the first is 0",
            numbers.join(",")
        ))
    })
}

/// Carries the command out.
pub(crate) async fn run(arguments: Perf) -> Result<(), Failure> {
    match arguments.side {
        Side::Server(arguments) => server::run(arguments).await,
        Side::Client(arguments) => client::run(arguments).await,
        Side::Draw(Draw { file, lines, title, across, up, linear }) => {
            plot::growth(title, [across, up], linear, lines).write(&file)
        }
    }
}
