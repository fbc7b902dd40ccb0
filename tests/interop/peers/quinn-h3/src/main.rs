//! HTTP/3 on quinn and h3: a server of files and echoes, and a client.
//!
//! Prints a line for each answer, whose body goes to a file named as the last part of the path; exit code 0 means that
//! all came with status 200.

mod client;
mod server;

use std::process::ExitCode;

use peer_options::Options;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(crate) const ALPN: &[u8] = b"h3";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next().unwrap_or_default();
    let outcome = match (role.as_str(), Options::parse(arguments)) {
        (_, Err(failure)) => Err(failure),
        ("server", Ok(options)) => server::run(&options).await,
        ("client", Ok(options)) => client::run(&options).await,
        _ => Err("usage: quinn-h3-peer server|client [HOST:PORT] [--flags]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("failed {failure}");
            ExitCode::FAILURE
        }
    }
}
