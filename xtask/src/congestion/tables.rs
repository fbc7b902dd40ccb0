//! The tables: which scenarios, and what of their results is told.

use super::sim::{Sim, number};

/// A row for each controller.
pub(super) struct Table {
    pub(super) heading: &'static str,
    pub(super) words: String,
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

type Make = fn(&Sim) -> Result<Table, String>;

/// In the order of the page.
pub(super) const ALL: [Make; 6] = [paths, queues, losses, fairness, beside_cubic, dual_queue];

/// Large datagrams where packets are many: the simulator counts packets, and so do the hosts of such links.
const FAST: [&str; 2] = ["--datagram", "8952"];

fn table(
    sim: &Sim,
    heading: &'static str,
    words: &str,
    columns: &[String],
    cell: impl Fn(&str, usize) -> Result<String, String>,
) -> Result<Table, String> {
    let mut rows = Vec::new();
    for controller in sim.controllers()? {
        let mut row = vec![format!("`{controller}`")];
        for place in 0..columns.len() {
            row.push(cell(&controller, place)?);
        }
        rows.push(row);
    }
    let columns = std::iter::once("controller".to_owned()).chain(columns.iter().cloned()).collect();
    Ok(Table { heading, words: words.to_owned(), columns, rows })
}

fn percent(share: f64) -> String {
    format!("{:.0}", share * 100.0)
}

/// One flow alone, on slow and fast, short and long paths.
fn paths(sim: &Sim) -> Result<Table, String> {
    const PATHS: [(&str, &str, u32); 9] = [
        ("10mbit", "1ms", 20),
        ("10mbit", "50ms", 30),
        ("10mbit", "300ms", 120),
        ("100mbit", "10ms", 20),
        ("100mbit", "300ms", 120),
        ("1gbit", "1ms", 10),
        ("1gbit", "50ms", 40),
        ("10gbit", "10ms", 10),
        ("10gbit", "100ms", 40),
    ];
    let columns: Vec<String> = PATHS.iter().map(|(rate, rtt, _)| format!("{rate}, {rtt}")).collect();
    let words = "The share of the link that one flow uses, in percent, from its beginning on (20 to 120 s). The queue \
                 holds one bandwidth-delay product; of 10 Mbit/s and 1 ms that would be less than a datagram, and it holds 20 kB.";
    table(sim, "Alone", words, &columns, |controller, place| {
        let (rate, rtt, seconds) = PATHS[place];
        let mut arguments = vec!["--rate", rate, "--rtt", rtt, "--flow", controller];
        // A product of this path is less than a datagram, and so would be its queue.
        if (rate, rtt) == ("10mbit", "1ms") {
            arguments.extend(["--queue", "20kB"]);
        }
        if rate.ends_with("gbit") {
            arguments.extend(FAST);
        }
        sim.median(seconds, &arguments, |result| number(result, "/utilisation")).map(percent)
    })
}

/// What a queue is good for, and what it costs.
fn queues(sim: &Sim) -> Result<Table, String> {
    const QUEUES: [&str; 4] = ["0.1bdp", "0.5bdp", "1bdp", "4bdp"];
    let columns: Vec<String> = QUEUES.iter().map(|queue| queue.to_string()).collect();
    let words = "One flow on 100 Mbit/s and 50 ms for 30 s, by the size of the queue: the share used in percent, and how \
                 long packets wait on average, in milliseconds.";
    table(sim, "Queues", words, &columns, |controller, place| {
        let arguments = ["--rate", "100mbit", "--rtt", "50ms", "--queue", QUEUES[place], "--flow", controller];
        let used = sim.median(30, &arguments, |result| number(result, "/utilisation"))?;
        let waits = sim.median(30, &arguments, |result| number(result, "/link/classic_wait/mean_seconds"))?;
        Ok(format!("{}, {:.1} ms", percent(used), waits * 1e3))
    })
}

/// Random loss, which says nothing about the queue.
fn losses(sim: &Sim) -> Result<Table, String> {
    const LOSSES: [&str; 5] = ["0%", "0.01%", "0.1%", "1%", "5%"];
    let columns: Vec<String> = LOSSES.iter().map(|loss| loss.to_string()).collect();
    let words = "Goodput in Mbit/s of one flow on 50 Mbit/s and 50 ms for 60 s, by the share of packets that are lost at random.";
    table(sim, "Random loss", words, &columns, |controller, place| {
        let arguments = ["--loss", LOSSES[place], "--flow", controller];
        let goodput = |result: &serde_json::Value| number(result, "/flows/0/goodput_bytes_per_second");
        Ok(format!("{:.1}", sim.median(60, &arguments, goodput)? * 8.0 / 1e6))
    })
}

/// Equal flows.
fn fairness(sim: &Sim) -> Result<Table, String> {
    const FLOWS: [u32; 3] = [2, 4, 16];
    let columns: Vec<String> = FLOWS.iter().map(|flows| format!("{flows} flows")).collect();
    let words = "Jain's index of equal flows on 100 Mbit/s and 30 ms for 60 s that begin together; 1 is an equal share for each.";
    table(sim, "Fairness", words, &columns, |controller, place| {
        let flows = format!("{controller};count={}", FLOWS[place]);
        let arguments = ["--rate", "100mbit", "--rtt", "30ms", "--flow", &flows];
        Ok(format!("{:.2}", sim.median(60, &arguments, |result| number(result, "/fairness"))?))
    })
}

/// Who gets what beside the one that is everywhere.
fn beside_cubic(sim: &Sim) -> Result<Table, String> {
    const QUEUES: [&str; 3] = ["0.5bdp", "1bdp", "4bdp"];
    let columns: Vec<String> = QUEUES.iter().map(|queue| queue.to_string()).collect();
    let words = "The share in percent that one flow has of what it and one CUBIC flow move together, on 50 Mbit/s and 50 ms \
                 for 60 s, by the size of the queue.";
    table(sim, "Beside CUBIC", words, &columns, |controller, place| {
        let arguments = ["--queue", QUEUES[place], "--flow", controller, "--flow", "cubic"];
        let share = |result: &serde_json::Value| {
            let own = number(result, "/flows/0/goodput_bytes_per_second")?;
            let other = number(result, "/flows/1/goodput_bytes_per_second")?;
            Some(own / (own + other).max(1.0))
        };
        sim.median(60, &arguments, share).map(percent)
    })
}

/// L4S: who marks packets ECT(1) gets the short queue.
fn dual_queue(sim: &Sim) -> Result<Table, String> {
    let columns = ["used", "99 % of packets wait less than"].map(str::to_owned);
    let words = "One flow behind a dual queue (RFC 9332) with ECN, on 100 Mbit/s and 20 ms for 30 s: the share used in \
                 percent, and the wait of its own queue.";
    table(sim, "Dual queue", words, &columns, |controller, place| {
        let arguments = ["--rate", "100mbit", "--rtt", "20ms", "--aqm", "dualq", "--ecn", "--flow", controller];
        if place == 0 {
            return sim.median(30, &arguments, |result| number(result, "/utilisation")).map(percent);
        }
        let wait = |result: &serde_json::Value| {
            let low = number(result, "/link/low_latency_wait/p99_seconds");
            low.filter(|wait| *wait > 0.0).or_else(|| number(result, "/link/classic_wait/p99_seconds"))
        };
        Ok(format!("{:.1} ms", sim.median(30, &arguments, wait)? * 1e3))
    })
}
