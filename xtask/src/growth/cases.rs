//! What is measured.

use serde_json::Value;

use super::pair::{Stage, number};
use super::{Curve, Effort, Subject};
use crate::bench;
use crate::house::House;
use crate::peers::stacks::Program;
use crate::report::Finding;

/// A subject, measured.
type Case = fn(&Program, Effort) -> Result<Subject, String>;

/// Those that need nothing but the program.
pub(super) const ALL: [(&str, Case); 4] =
    [("bulk", bulk), ("shards", shards), ("requests", requests), ("memory", memory)];

/// The one that needs valgrind.
pub(super) const ACKNOWLEDGEMENTS: &str = "acknowledgements";

/// Of a run of bulk: Gbit/s, seconds of the server's processor for each gigabyte.
const RATE: fn(&Value) -> Option<f64> = |line| Some(number(line, "bits_per_second")? / 1e9);
const COST: fn(&Value) -> Option<f64> = |line| number(line, "server_cpu_seconds_per_gb");

fn bulk(program: &Program, effort: Effort) -> Result<Subject, String> {
    const PLACES: [(&str, f64, &str); 4] =
        [("1", 1.0, "4G"), ("10", 10.0, "4G"), ("100", 100.0, "2G"), ("1000", 1000.0, "1G")];
    let mut rows = Vec::new();
    let mut lines = Vec::new();
    for (name, sockets) in [("one socket", "1"), ("a hundred sockets", "100")] {
        let mut points = Vec::new();
        for (connections, place, bytes) in PLACES {
            let bytes = if effort.quick { "50M" } else { bytes };
            let client = ["bulk", "--connections", connections, "--sockets", sockets, "--bytes", bytes];
            let [rate, cost, client_cost, batch, lost] = Stage::new(program).medians(
                effort,
                [&[], &client],
                [
                    RATE,
                    COST,
                    |line| number(line, "client_cpu_seconds_per_gb"),
                    |line| number(line, "server_datagrams_per_send_call"),
                    |line| number(line, "server_packets_lost"),
                ],
            )?;
            points.push((place, cost));
            rows.push(vec![
                connections.to_owned(),
                name.to_owned(),
                format!("{rate:.1}"),
                format!("{cost:.2}"),
                format!("{client_cost:.2}"),
                format!("{batch:.1}"),
                format!("{lost:.0}"),
            ]);
        }
        lines.push((name, points));
    }
    Ok(Subject {
        heading: "Bulk, one stream on each connection",
        words: "The client's connections share one socket, and so one receive buffer of the kernel; or they are spread over \
                a hundred sockets, each with a thread and a buffer of its own, as those of clients on different machines.",
        columns: &[
            "connections",
            "at the client",
            "Gbit/s",
            "server CPU-s/GB",
            "client CPU-s/GB",
            "datagrams a send call",
            "packets lost",
        ],
        rows,
        curve: Some(Curve {
            name: "bulk",
            across: "connections",
            up: "server CPU-seconds per GB",
            linear: false,
            lines,
        }),
    })
}

/// Two client processes, and no core is anybody's own.
fn shards(program: &Program, effort: Effort) -> Result<Subject, String> {
    let stage = Stage { cores: ["0,1", "0,1"], clients: 2, ..Stage::new(program) };
    let bytes = if effort.quick { "50M" } else { "2G" };
    let mut rows = Vec::new();
    for count in ["1", "2"] {
        let client = ["bulk", "--connections", "4", "--bytes", bytes];
        let [rate] = stage.medians(effort, [&["--shards", count], &client], [RATE])?;
        rows.push(vec![count.to_owned(), format!("{rate:.1}")]);
    }
    Ok(Subject {
        heading: "Shards",
        words: "Two client processes with four connections each, on the same two cores as the server; the sum of both.",
        columns: &["shards of the server", "Gbit/s"],
        rows,
        curve: None,
    })
}

fn requests(program: &Program, effort: Effort) -> Result<Subject, String> {
    let seconds = if effort.quick { "0.2" } else { "3" };
    let mut rows = Vec::new();
    let mut points = Vec::new();
    for (streams, place) in [("0", 1.0), ("100", 100.0), ("1000", 1000.0), ("10000", 10_000.0)] {
        let client = ["requests", "--outstanding", "100", "--seconds", seconds, "--open-streams", streams];
        let [rate, cost] = Stage::new(program).medians(
            effort,
            [&["--streams-allowed", "11000"], &client],
            [
                |line| number(line, "requests_per_second"),
                |line| Some(number(line, "server_cpu_seconds")? / number(line, "count")? * 1e6),
            ],
        )?;
        points.push((place, cost));
        rows.push(vec![streams.to_owned(), format!("{:.0}", rate / 1e3), format!("{cost:.2}")]);
    }
    Ok(Subject {
        heading: "Requests beside idle streams",
        words: "A hundred requests of 64 bytes outstanding on one connection, which has so many more streams open.",
        columns: &["idle streams", "1,000 requests/s", "server CPU-us each"],
        rows,
        curve: Some(Curve {
            name: "requests",
            across: "idle streams on the connection",
            up: "server CPU-microseconds per request",
            linear: false,
            lines: vec![("", points)],
        }),
    })
}

fn memory(program: &Program, effort: Effort) -> Result<Subject, String> {
    let mut rows = Vec::new();
    let mut points = Vec::new();
    for (connections, count) in [("1", 1.0), ("1000", 1e3), ("2000", 2e3), ("5000", 5e3), ("10000", 1e4)] {
        let [bytes] = Stage::new(program).medians(
            effort,
            [&[], &["idle", "--connections", connections]],
            [|line| number(line, "server_resident_bytes")],
        )?;
        let megabytes = bytes / 1e6;
        points.push((count, megabytes));
        let first = points.first().map_or(0.0, |point| point.1);
        let each =
            if count > 1.0 { format!("{:.1}", (megabytes - first) * 1e3 / (count - 1.0)) } else { "–".to_owned() };
        rows.push(vec![connections.to_owned(), format!("{megabytes:.1}"), each]);
    }
    Ok(Subject {
        heading: "Memory",
        words: "Idle connections, the server's resident memory as soon as all are there: what the handshakes needed is \
                still in it.",
        columns: &["connections", "MB", "KB each, beyond the first"],
        rows,
        curve: Some(Curve {
            name: "memory",
            across: "idle connections",
            up: "server's resident memory, MB",
            linear: true,
            lines: vec![("", points)],
        }),
    })
}

/// In instructions, which no neighbour on the machine disturbs.
pub(super) fn acknowledgements(house: &House) -> Result<Subject, Finding> {
    let counted = bench::instructions_of(house, "recovery/old/")?;
    let point = |(packets, instructions): &(String, f64)| Some((packets.parse().ok()?, *instructions));
    let points: Vec<(f64, f64)> = counted.iter().filter_map(point).collect();
    let row = |(packets, instructions): &(f64, f64)| vec![format!("{packets:.0}"), format!("{instructions:.0}")];
    Ok(Subject {
        heading: "Acknowledgements",
        words: "An ACK of packets that were acknowledged before, by the width of its range.",
        columns: &["packets in the range", "instructions"],
        rows: points.iter().map(row).collect(),
        curve: Some(Curve {
            name: ACKNOWLEDGEMENTS,
            across: "packets in the acknowledged range",
            up: "instructions per ACK",
            linear: false,
            lines: vec![("", points)],
        }),
    })
}
