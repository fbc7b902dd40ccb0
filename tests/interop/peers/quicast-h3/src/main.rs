//! quicast's library under the least HTTP/3 (RFC 9114) that ngtcp2's programs speak to: a file server, and a client for
//! each case.
//!
//! It is there to exercise QUIC, not HTTP: it has no dynamic table, takes what it does not know as something to skip, and
//! checks nothing that only HTTP could notice. Prints one line for what happened; exit code 0 means that it was what the
//! flags asked for.

mod client;
mod http;
mod options;
mod qpack;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use options::Options;
use quicast::{CloseReason, Connection};

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Bytes moved on a connection before --key-update, --rebind act.
pub(crate) const ACT_AFTER: u64 = 32 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next().unwrap_or_default();
    let outcome = match (role.as_str(), Options::parse(arguments)) {
        (_, Err(failure)) => Err(failure),
        ("server", Ok(options)) => server::run(&options).await,
        ("client", Ok(options)) => client::run(&options).await,
        _ => Err("usage: quicast-h3 server|client [HOST:PORT] [--flags]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("failed {failure}");
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

/// Updates the keys as soon as that is permitted.
pub(crate) async fn update_keys(connection: Connection) {
    for _ in 0..1000 {
        match connection.force_key_update().await {
            Ok(()) => {
                println!("key update");
                return;
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
    println!("failed no key update was possible");
}
