//! What the drivers of the peers share, so that all are asked, timed and checked in the same way.
//!
//! ```text
//! arguments ─ what to do     pattern, request ─ the bytes, and whether they are right
//! streams ─ the workloads over any stack with tasks and streams; stacks without write their own loop
//! usage, outcome ─ what it cost, and the line that says so
//! ```
//! The contract of a driver is in `benches/peers/README.md`.

pub mod arguments;
#[cfg(feature = "certificate")]
pub mod certificate;
pub mod outcome;
pub mod pattern;
pub mod request;
#[cfg(feature = "rustls")]
pub mod secured;
#[cfg(feature = "streams")]
pub mod streams;
pub mod usage;

pub use arguments::{Client, Command, Direction, Server, Workload};
pub use outcome::{Latencies, Stopwatch};

use std::net::SocketAddr;
use std::process::ExitCode;

/// Whatever went wrong: it is printed, and the driver ends with 1.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The application protocol of the QUIC performance protocol.
pub const PROTOCOL: &[u8] = b"perf";

/// The name that clients ask for; nobody checks it.
pub const SERVER_NAME: &str = "localhost";

/// Runs a driver: reads the command line and says what went wrong.
pub fn drive(run: impl FnOnce(Command) -> Result<(), Failure>) -> ExitCode {
    let command = match Command::parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(why) => {
            eprintln!("{why}\n\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// The one line that a server prints.
///
/// # Errors
/// Standard output is closed.
pub fn announce(address: SocketAddr) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {address}")?;
    out.flush()?;
    Ok(())
}

/// The error of a driver that is asked for what its stack or its loop does not do.
pub fn unsupported<T>(stack: &str, what: &str) -> Result<T, Failure> {
    Err(format!("{stack}: {what} is not driven").into())
}
