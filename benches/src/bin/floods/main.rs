//! What floods of one client cost another: for `cargo xtask bench --floods`.
//!
//! A server of one shard; a witness, who asks for a little twice a millisecond; and two attackers, who come again when
//! they are thrown out, a hundred times a second. The witness's latency is measured without and with each flood, in turns. Server, witness and
//! attackers have threads of their own, on processors of their own as far as there are enough: the server always has one for
//! itself, and with two, the witness shares the other with the attackers.
//!
//! `busy` and `handshakes` are no floods: what a client with a hundred requests at once does to the witness, and what those
//! do who only come and go, as fast as they can.
#![expect(clippy::print_stdout, reason = "a command talks to its caller")]
#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up says so and stops")]

mod attack;
mod stage;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use attack::{Attack, Tally};
use stage::{Latencies, Place};
use tokio::sync::watch;

/// How long latencies are taken, each time.
const MEASURED: Duration = Duration::from_secs(1);
/// How long a flood goes on before.
const BEFORE: Duration = Duration::from_millis(300);
/// How often each flood is measured, with a measurement without it before each.
const ROUNDS: usize = 5;

/// What a flood did to the witness.
#[derive(Default)]
struct Row {
    without: Vec<Latencies>,
    with: Vec<Latencies>,
    elements: u64,
    connections: u64,
    wrong: u64,
}

fn main() {
    let wanted = std::env::args().nth(1);
    let server = stage::start_server();
    let tally = Arc::new(Tally::default());
    let (orders, heard) = watch::channel(None);
    stage::pin(Place::Witness);
    let witness = stage::Witness::new(server);
    stage::start_attackers(server, heard, tally.clone());
    println!(
        "{:<14} {:>9} {:>9} {:>7} {:>9} {:>9} {:>7} {:>11} {:>13}",
        "flood", "p50, us", "with", "ratio", "p99, us", "with", "ratio", "elements/s", "connections/s"
    );
    for attack in Attack::ALL {
        if wanted.as_ref().is_some_and(|wanted| !attack.name().contains(wanted.as_str())) {
            continue;
        }
        let mut row = Row::default();
        for _ in 0..ROUNDS {
            witness.wait(BEFORE);
            row.without.push(witness.measure(MEASURED));
            orders.send(Some(attack)).expect("the attackers listen");
            witness.wait(BEFORE);
            let before = tally.read();
            row.with.push(witness.measure(MEASURED));
            let after = tally.read();
            orders.send(None).expect("the attackers listen");
            row.elements += after.0 - before.0;
            row.connections += after.1 - before.1;
            row.wrong += tally.wrong.swap(0, Ordering::Relaxed);
        }
        row.print(attack);
    }
}

impl Row {
    fn print(&self, attack: Attack) {
        let median = |of: &[Latencies], which: fn(&Latencies) -> f64| {
            let mut values: Vec<f64> = of.iter().map(which).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let [a, b] = [&self.without, &self.with].map(|of| median(of, |latencies| latencies.p50));
        let [c, d] = [&self.without, &self.with].map(|of| median(of, |latencies| latencies.p99));
        let seconds = MEASURED.as_secs_f64() * ROUNDS as f64;
        let (elements, connections) = (self.elements as f64 / seconds, self.connections as f64 / seconds);
        println!(
            "{:<14} {a:>9.1} {b:>9.1} {:>7.2} {c:>9.1} {d:>9.1} {:>7.2} {elements:>11.0} {connections:>13.0}",
            attack.name(),
            b / a,
            d / c,
        );
        if self.wrong > 0 {
            println!("{:<14} ended {} times in a way that it should not", attack.name(), self.wrong);
        }
    }
}
