//! What is measured: what server and client are told, and which figures come of it.

use serde_json::Value;

/// One workload.
#[derive(Debug)]
pub(crate) struct Workload {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// Its heading.
    pub(crate) title: &'static str,
    /// What the server is told besides the address.
    pub(crate) server: &'static [&'static str],
    /// What the client is told after the server's address, without how much.
    pub(crate) client: &'static [&'static str],
    /// The option that says how much, its value, and its value for a quick run.
    pub(crate) amount: [&'static str; 3],
    /// The figures.
    pub(crate) figures: &'static [Figure],
}

/// One figure: how it is called, which way is better, how it is got.
#[derive(Debug)]
pub(crate) struct Figure {
    /// Its name, with its unit.
    pub(crate) title: &'static str,
    /// Which way is better.
    pub(crate) better: Better,
    /// Digits after the point.
    pub(crate) digits: usize,
    /// Its value, if the outcome has what it needs.
    pub(crate) of: fn(&Run) -> Option<f64>,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Better {
    /// More.
    More,
    /// Less.
    Less,
}

/// What one run gave.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    /// The client's line.
    pub(crate) client: Value,
    /// Seconds of processor time of the server.
    pub(crate) server_cpu_seconds: f64,
    /// Bytes of memory that a connection takes in the server, where that was looked at.
    pub(crate) server_bytes: Option<f64>,
    /// The same in the client.
    pub(crate) client_bytes: Option<f64>,
}

impl Run {
    fn number(&self, name: &str) -> Option<f64> {
        self.client.get(name)?.as_f64()
    }

    /// One field for each of another.
    fn each(&self, name: &str, of: &str) -> Option<f64> {
        Some(self.number(name)? / self.number(of)?)
    }
}

const BULK: &[Figure] = &[
    Figure {
        title: "Gbit/s",
        better: Better::More,
        digits: 2,
        of: |run| Some(run.each("bytes", "seconds")? * 8.0 / 1e9),
    },
    Figure {
        title: "server CPU-s/GB",
        better: Better::Less,
        digits: 2,
        of: |run| Some(run.server_cpu_seconds / run.number("bytes")? * 1e9),
    },
    Figure {
        title: "client CPU-s/GB",
        better: Better::Less,
        digits: 2,
        of: |run| Some(run.each("client_cpu_seconds", "bytes")? * 1e9),
    },
];

const REQUESTS: &[Figure] = &[
    Figure { title: "1,000/s", better: Better::More, digits: 1, of: |run| Some(run.each("count", "seconds")? / 1e3) },
    Figure { title: "p50, us", better: Better::Less, digits: 1, of: |run| run.number("p50_us") },
    Figure { title: "p99, us", better: Better::Less, digits: 1, of: |run| run.number("p99_us") },
    Figure { title: "p99.9, us", better: Better::Less, digits: 1, of: |run| run.number("p999_us") },
    Figure {
        title: "server CPU-us each",
        better: Better::Less,
        digits: 2,
        of: |run| Some(run.server_cpu_seconds / run.number("count")? * 1e6),
    },
    Figure {
        title: "client CPU-us each",
        better: Better::Less,
        digits: 2,
        of: |run| Some(run.each("client_cpu_seconds", "count")? * 1e6),
    },
];

const HANDSHAKES: &[Figure] = &[
    Figure { title: "a second", better: Better::More, digits: 0, of: |run| run.each("count", "seconds") },
    Figure {
        title: "server CPU-us each",
        better: Better::Less,
        digits: 0,
        of: |run| Some(run.server_cpu_seconds / run.number("count")? * 1e6),
    },
    Figure {
        title: "client CPU-us each",
        better: Better::Less,
        digits: 0,
        of: |run| Some(run.each("client_cpu_seconds", "count")? * 1e6),
    },
];

const IDLE: &[Figure] = &[
    Figure {
        title: "server KB each",
        better: Better::Less,
        digits: 1,
        of: |run| run.server_bytes.map(|bytes| bytes / 1e3),
    },
    Figure {
        title: "client KB each",
        better: Better::Less,
        digits: 1,
        of: |run| run.client_bytes.map(|bytes| bytes / 1e3),
    },
];

/// The name of the workload in which memory is looked at.
pub(crate) const IDLE_NAME: &str = "idle";

/// All of them, in the order of the page.
pub(crate) const WORKLOADS: [Workload; 7] = [
    Workload {
        name: "bulk",
        title: "Bulk, one stream",
        server: &[],
        client: &["bulk", "--streams", "1"],
        amount: ["--bytes", "3G", "128M"],
        figures: BULK,
    },
    Workload {
        name: "bulk-8",
        title: "Bulk, eight streams",
        server: &[],
        client: &["bulk", "--streams", "8"],
        amount: ["--bytes", "3G", "128M"],
        figures: BULK,
    },
    Workload {
        name: "bulk-9000",
        title: "Bulk, one stream, datagrams of 9,000 bytes",
        server: &["--mtu", "9000"],
        client: &["bulk", "--streams", "1", "--mtu", "9000"],
        amount: ["--bytes", "4G", "128M"],
        figures: BULK,
    },
    Workload {
        name: "requests",
        title: "Requests of 64 bytes, one at a time",
        server: &[],
        client: &["requests", "--outstanding", "1"],
        amount: ["--seconds", "3", "0.5"],
        figures: REQUESTS,
    },
    Workload {
        name: "requests-100",
        title: "Requests of 64 bytes, 100 outstanding",
        // So many that nobody waits for permission, which is not what is measured here.
        server: &["--streams-allowed", "1024"],
        client: &["requests", "--outstanding", "100"],
        amount: ["--seconds", "3", "0.5"],
        figures: REQUESTS,
    },
    Workload {
        name: "handshakes",
        title: "Full handshakes, eight in parallel",
        server: &[],
        client: &["handshakes", "--parallel", "8"],
        amount: ["--seconds", "3", "0.5"],
        figures: HANDSHAKES,
    },
    Workload {
        name: IDLE_NAME,
        title: "Idle connections, memory",
        server: &[],
        client: &["idle"],
        amount: ["--connections", "1000", "100"],
        figures: IDLE,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str, run: &Run) -> Vec<Option<f64>> {
        let workload = WORKLOADS.iter().find(|workload| workload.name == name).unwrap();
        workload.figures.iter().map(|figure| (figure.of)(run)).collect()
    }

    #[test]
    fn figures_come_of_the_client_s_line_and_the_server_s_time() {
        let line = r#"{"workload":"bulk","streams":1,"bytes":2000000000,"seconds":2.0,"client_cpu_seconds":1.0}"#;
        let client = serde_json::from_str(line).unwrap();
        let run = Run { client, server_cpu_seconds: 1.5, ..Run::default() };
        assert_eq!(values("bulk", &run), [Some(8.0), Some(0.75), Some(0.5)]);
        assert_eq!(values("handshakes", &run), [None; 3]);
        let client =
            serde_json::from_str(r#"{"count":1000,"seconds":0.5,"client_cpu_seconds":0.25,"p50_us":7}"#).unwrap();
        let run = Run { client, server_cpu_seconds: 0.1, server_bytes: Some(41_000.0), ..Run::default() };
        assert_eq!(values("requests", &run), [Some(2.0), Some(7.0), None, None, Some(100.0), Some(250.0)]);
        assert_eq!(values("idle", &run), [Some(41.0), None]);
    }
}
