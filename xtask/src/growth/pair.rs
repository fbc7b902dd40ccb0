//! A server and its clients, once; and the median of several times.

use std::time::Duration;

use serde_json::Value;

use super::Effort;
use crate::peers::process::Process;
use crate::peers::stacks::Program;

/// A server is up, and a client ends, after this at the latest.
const PATIENCE: Duration = Duration::from_secs(10);
/// A client has done its work after this at the latest.
const WORK: Duration = Duration::from_secs(90);

/// What both are told on every occasion.
const SETTINGS: [&str; 4] = ["--mtu", "1452", "--window", "16M"];

/// Who runs where, and how many clients there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage<'a> {
    pub(super) program: &'a Program,
    pub(super) cores: [&'a str; 2],
    pub(super) clients: usize,
}

impl<'a> Stage<'a> {
    /// One client, and a core for each side.
    pub(super) const fn new(program: &'a Program) -> Self {
        Self { program, cores: ["0", "1"], clients: 1 }
    }

    /// What the clients say of one run.
    fn once(self, server: &[&str], client: &[&str]) -> Result<Vec<Value>, String> {
        let [server_core, client_core] = self.cores;
        let arguments = [&["server", "--listen", "127.0.0.1:0"], &SETTINGS[..], server].concat();
        let mut server = Process::start(server_core, self.program, &arguments)?;
        let line = server.line(PATIENCE)?;
        let address = line.strip_prefix("listening on ").ok_or_else(|| format!("server: says `{line}`"))?.trim();
        let arguments = [&["client", address, "--json"], self.program.client_words, &SETTINGS[..], client].concat();
        let clients: Result<Vec<Process>, String> =
            (0..self.clients).map(|_| Process::start(client_core, self.program, &arguments)).collect();
        let said = clients?.into_iter().map(|mut client| {
            let line = client.line(WORK)?;
            client.finish(PATIENCE)?;
            serde_json::from_str(&line).map_err(|_| format!("client: says `{line}`"))
        });
        let said = said.collect();
        server.still_runs()?;
        said
    }

    /// The medians of these figures, each summed over the clients.
    pub(super) fn medians<const N: usize>(
        self,
        effort: Effort,
        [server, client]: [&[&str]; 2],
        figures: [fn(&Value) -> Option<f64>; N],
    ) -> Result<[f64; N], String> {
        let mut runs = Vec::new();
        for _ in 0..effort.rounds {
            let said = self.once(server, client)?;
            let sum = |figure: fn(&Value) -> Option<f64>| said.iter().filter_map(figure).sum::<f64>();
            let run = figures.map(sum);
            println!("   {}: {run:.3?}", client.join(" "));
            runs.push(run);
        }
        Ok(std::array::from_fn(|figure| median(runs.iter().map(|run| run[figure]).collect())))
    }
}

/// The middle one; of an even number, the greater of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// One figure of a client's line.
pub(super) fn number(line: &Value, name: &str) -> Option<f64> {
    line.get(name)?.as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![7.0]), 7.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
