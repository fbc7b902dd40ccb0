//! A client on `quicast::http3`, for what `quicast get` cannot be told: trailers, WebSockets (RFC 9220), when to update
//! the keys, where from and how to close.
//!
//! Prints a line for each answer, whose body goes to a file named as the last part of the path; exit code 0 means that
//! all came with status 200.

mod client;
mod requests;
mod websocket;

use std::process::ExitCode;

use peer_options::Options;
use quicast::CloseReason;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next().unwrap_or_default();
    let outcome = match (role.as_str(), Options::parse(arguments)) {
        (_, Err(failure)) => Err(failure),
        ("client", Ok(options)) => client::run(&options).await,
        _ => Err("usage: quicast-h3 client HOST:PORT [--flags]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("failed {}", with_causes(&*failure));
            ExitCode::FAILURE
        }
    }
}

/// What is printed when a connection has ended: `closed CODE REASON` if it was by the other side's application.
pub(crate) fn describe(reason: &CloseReason) -> String {
    match reason {
        CloseReason::PeerApplication { code, reason } => format!("closed {code} {}", String::from_utf8_lossy(reason)),
        CloseReason::PeerTransport { code, .. } if code.0 == 0 => "closed without an error".to_owned(),
        other => format!("lost {other}"),
    }
}

fn with_causes(failure: &dyn std::error::Error) -> String {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
