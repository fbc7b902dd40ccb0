//! The `quicast` command.
//!
//! It is thin: arguments become settings, settings become endpoints of the library, and what comes out is printed. It
//! decides nothing about QUIC.
//!
//! ```text
//! cli ─▶ serve ─▶ services::{echo, hq, perf}     admin: /metrics, the page, the connections
//!     │      └──▶ tcp ─▶ site                     the pages, files and tests of HTTP
//!     ├▶ get   ─▶ request, transfer ─▶ connections, save ─▶ report
//!     ├▶ echo  ─▶ transfer, datagrams, fetch, pipe ─▶ report
//!     ├▶ perf  ─▶ server ─▶ services::perf
//!     │        └▶ client ─▶ bulk, requests, handshakes, idle, datagrams ─▶ report, plot
//!     ├▶ sim   ─▶ the simulator ─▶ report, plot
//!     ├▶ load  ─▶ request, plan, schedule ─▶ drive (on the connections' threads) ─▶ tally ─▶ perf's report, plot
//!     ├▶ cc    ─▶ client ─▶ another process' admin
//!     ├▶ check-config ─▶ config (what serve reads, too)
//!     └▶ demo  ─▶ both in one process
//! ```
//! Failures are one line and an exit code ([`error`]); output goes through [`out`].

mod address;
mod admin;
mod cc;
mod certificate;
mod cli;
mod config;
mod demo;
mod echo;
mod endpoint;
mod error;
mod get;
mod keylog;
mod load;
mod out;
mod perf;
mod progress;
mod request;
mod serve;
mod services;
mod sim;
mod site;
mod stage;
mod tcp;
mod units;

use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use mimalloc::MiMalloc;

use self::cli::{Cli, Command};
use self::error::Failure;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refused(&error),
    };
    log();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    // Every thread that is started from now on inherits it.
    match &cli.command {
        Command::Perf(arguments) => perf::pin(arguments.side.pin())?,
        Command::Load(arguments) => perf::pin(arguments.pin.as_ref())?,
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format_args!("cannot start: {}", address::plain(&error))))?;
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Serve(arguments) => serve::run(arguments).await,
            Command::Get(arguments) => get::run(*arguments).await,
            Command::Echo(arguments) => echo::run(arguments).await,
            Command::Perf(arguments) => perf::run(arguments).await,
            Command::Load(arguments) => load::run(arguments).await,
            Command::Sim(arguments) => sim::run(&arguments),
            Command::Demo(arguments) => demo::run(arguments).await,
            Command::Cc(arguments) => cc::run(arguments).await,
            Command::CheckConfig(arguments) => config::check::run(&arguments),
        }
    });
    // Somebody may still wait for a key to be pressed: that is not waited for.
    runtime.shutdown_background();
    ended
}

/// Help and versions go to standard output as they are; what was not understood becomes one line.
fn refused(error: &clap::Error) -> ExitCode {
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        error.print().ok();
        return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
    }
    let failure = Failure::usage(one_line(&error.render().to_string()));
    failure.tell();
    failure.exit_code()
}

/// What clap says in paragraphs: the error and its tips, without the usage.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let said: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with("For more information")).collect();
    let said = said.join("; ").replace(":; ", ": ");
    format!("{}; see --help", said.strip_prefix("error: ").unwrap_or(&said))
}

/// Logs are for those who ask for them with RUST_LOG; warnings are for everybody, except of what the command says itself.
fn log() {
    use std::io::IsTerminal as _;
    use tracing_subscriber::EnvFilter;
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,quicast::socket::bind=error"));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn what_clap_says_becomes_one_line() {
        let line = |arguments: &[&str]| one_line(&Cli::try_parse_from(arguments).unwrap_err().render().to_string());
        let unknown = line(&["quicast", "serve", "--lisen", "x"]);
        assert!(
            unknown.starts_with("unexpected argument '--lisen' found; tip: a similar argument exists: '--listen'"),
            "{unknown}"
        );
        let controller = line(&["quicast", "serve", "--cc", "cubik"]);
        assert!(controller.contains("did you mean \"cubic\"") && !controller.contains('\n'), "{controller}");
    }
}
