//! One run of one stack: a fresh server, a client, and what both used.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::figures::Outcome;
use super::memory::{cpu_seconds, private_bytes};
use super::process::Process;
use super::stacks::Program;
use super::workloads::{IDLE_NAME, Run, Workload};

const SERVER_CORE: &str = "0";
const CLIENT_CORE: &str = "1";

/// A server is up after this at the latest.
const START: Duration = Duration::from_secs(10);

/// How long connections are left alone before their memory is looked at.
const SETTLED: Duration = Duration::from_secs(3);
/// A client has done its work after this at the latest.
const WORK: Duration = Duration::from_secs(60);

/// And has ended after that.
const END: Duration = Duration::from_secs(10);

/// Runs it.
pub(crate) fn once(program: &Program, workload: &Workload, quick: bool) -> Outcome {
    let in_server = |why| format!("server: {why}");
    let arguments = [&["server", "--listen", "127.0.0.1:0"], workload.server].concat();
    let mut server = Process::start(SERVER_CORE, program, &arguments).map_err(in_server)?;
    let line = server.line(START).map_err(in_server)?;
    let address = line.strip_prefix("listening on ").ok_or_else(|| format!("server: says `{line}`"))?.trim();
    let [option, amount, quick_amount] = workload.amount;
    let amount = if quick { quick_amount } else { amount };
    let client = [&["client", address], program.client_words, workload.client, &[option, amount, "--json"]].concat();
    let run = if workload.name == IDLE_NAME {
        idle(program, &server, address, &client)
    } else {
        busy(program, &server, &client)
    };
    server.still_runs().map_err(in_server)?;
    run
}

fn busy(program: &Program, server: &Process, arguments: &[&str]) -> Outcome {
    let before = cpu_seconds(server.id())?;
    let mut client = Process::start(CLIENT_CORE, program, arguments)?;
    let outcome = outcome(&client.line(WORK)?)?;
    let after = cpu_seconds(server.id())?;
    client.finish(END)?;
    Ok(Run { client: outcome, server_cpu_seconds: after - before, ..Run::default() })
}

/// Memory is compared with that of one connection, because the first one pays for what all share.
fn idle(program: &Program, server: &Process, address: &str, arguments: &[&str]) -> Outcome {
    let one = [&["client", address], program.client_words, &["idle", "--connections", "1", "--json"]].concat();
    let mut first = Process::start(CLIENT_CORE, program, &one)?;
    first.line(WORK)?;
    let (server_before, client_before) = (private_bytes(server.id())?, private_bytes(first.id())?);
    let cpu_before = cpu_seconds(server.id())?;
    let mut client = Process::start(CLIENT_CORE, program, arguments)?;
    let outcome = outcome(&client.line(WORK)?)?;
    // What only the handshakes needed may be given back.
    thread::sleep(SETTLED);
    let (server_after, client_after) = (private_bytes(server.id())?, private_bytes(client.id())?);
    let server_cpu_seconds = cpu_seconds(server.id())? - cpu_before;
    client.finish(END)?;
    first.finish(END)?;
    let connections = outcome.get("connections").and_then(Value::as_f64).filter(|number| *number > 1.0);
    let connections = connections.ok_or("client: does not say how many connections it has")?;
    Ok(Run {
        client: outcome,
        server_cpu_seconds,
        server_bytes: Some((server_after - server_before) / connections),
        client_bytes: Some((client_after - client_before) / (connections - 1.0)),
    })
}

fn outcome(line: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(line).map_err(|_| format!("client: says `{line}`"))?;
    if value.is_object() { Ok(value) } else { Err(format!("client: says `{line}`")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_says_an_object() {
        assert_eq!(outcome(r#"{"count": 3}"#).unwrap()["count"], 3);
        for line in ["3", "done", ""] {
            assert!(outcome(line).is_err_and(|why| why.contains(line)), "{line}");
        }
    }
}
