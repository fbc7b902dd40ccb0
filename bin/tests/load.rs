//! `quicast load`: runs against a server, as processes, and small.
#![expect(clippy::unwrap_used, reason = "a test that cannot start its server has failed")]

mod support;

use std::process::{Child, Stdio};

use serde_json::Value;
use support::{Ended, Folder, Server};

/// A server, and its clients.
struct Bench {
    folder: Folder,
    server: Server,
}

impl Bench {
    fn start() -> Self {
        let folder = Folder::new();
        let server = Server::start(&folder, &["--no-tcp"]);
        Self { folder, server }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.server.address())
    }

    fn run(&self, path: &str, arguments: &[&str]) -> Ended {
        self.folder.run(&[&["load", &self.url(path), "--json"], arguments].concat(), b"")
    }

    /// The report of a run in which nothing failed.
    #[track_caller]
    fn measure(&self, path: &str, arguments: &[&str]) -> Value {
        let ended = self.run(path, arguments);
        assert_eq!(ended.text().lines().count(), 1, "{}", ended.text());
        let report = ended.json();
        assert_eq!((count(&report, "failed"), count(&report, "not_begun")), (0, 0), "{report}");
        report
    }

    /// A run that goes on while the test does something.
    fn begin(&self, path: &str, arguments: &[&str]) -> Child {
        let mut command = self.folder.command(&[&["load", &self.url(path), "--json"], arguments].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

fn end(child: Child) -> Ended {
    let output = child.wait_with_output().unwrap();
    Ended { code: output.status.code(), stdout: output.stdout, stderr: String::from_utf8(output.stderr).unwrap() }
}

/// The report of a run that did not end as it should.
#[track_caller]
fn report(ended: &Ended) -> Value {
    serde_json::from_slice(&ended.stdout).unwrap_or_else(|_| panic!("no report: {}", ended.stderr))
}

#[track_caller]
fn count(report: &Value, name: &str) -> u64 {
    report[name].as_u64().unwrap_or_else(|| panic!("{name}: {report}"))
}

#[track_caller]
fn number(report: &Value, name: &str) -> f64 {
    report[name].as_f64().unwrap_or_else(|| panic!("{name}: {report}"))
}

#[test]
fn requests_are_made_exactly_as_often_as_asked_for() {
    let bench = Bench::start();
    for (connections, streams, requests) in [("1", "1", 7), ("3", "5", 1000), ("4", "200", 1003)] {
        let arguments = ["-c", connections, "-q", streams, "-n", &requests.to_string()];
        let report = bench.measure("/bytes/64", &arguments);
        for name in ["requests", "answers", "status_2xx"] {
            assert_eq!(count(&report, name), requests, "{name}: {report}");
        }
        assert_eq!(count(&report, "bytes"), 64 * requests);
        assert_eq!(count(&report, "connections_opened").to_string(), connections);
        assert_eq!(count(&report, "connections_lost") + count(&report, "connections_reopened"), 0);
        for (less, more) in [("p50_us", "p999_us"), ("first_byte_p50_us", "p50_us"), ("p999_us", "max_us")] {
            assert!(number(&report, less) > 0.0 && number(&report, less) <= number(&report, more), "{report}");
        }
        for name in ["requests_per_second", "bytes_per_second", "rtt_us", "client_cpu_seconds"] {
            assert!(number(&report, name) > 0.0, "{name}: {report}");
        }
    }
}

#[test]
fn a_status_that_is_not_expected_is_a_failure() {
    let bench = Bench::start();
    let ended = bench.run("/status/404", &["-n", "20", "-q", "4"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("20 of 20 requests failed"), "{}", ended.stderr);
    let told = report(&ended);
    assert_eq!((count(&told, "status_4xx"), count(&told, "failed_status"), count(&told, "answers")), (20, 20, 20));

    for arguments in [["--expect", "404"], ["--expect", "2xx,4xx"]] {
        let report = bench.measure("/status/404", &[&["-n", "20"][..], &arguments].concat());
        assert_eq!((count(&report, "status_4xx"), &report["failed_status"]), (20, &Value::Null));
    }
    let allowed = bench.run("/status/500", &["-n", "3", "--allow-errors"]);
    assert_eq!((count(&allowed.json(), "failed"), count(&allowed.json(), "status_5xx")), (3, 3));
}

#[test]
fn several_urls_take_turns_and_several_servers_share_the_connections() {
    let bench = Bench::start();
    let other = Server::start(&bench.folder, &["--no-tcp"]);
    let urls = [bench.url("/bytes/10"), bench.url("/status/404"), format!("https://{}/bytes/1000", other.address())];
    let [first, second, third] = urls.each_ref().map(String::as_str);
    let ended = bench.folder.run(&["load", first, second, "-n", "10", "--json", "--expect", "200,404"], b"");
    assert_eq!((count(&ended.json(), "status_2xx"), count(&ended.json(), "status_4xx")), (5, 5));
    let ended = bench.folder.run(&["load", first, third, "-c", "2", "-n", "20", "--rate", "1000", "--json"], b"");
    assert_eq!((count(&ended.json(), "answers"), count(&ended.json(), "bytes")), (20, 10 * 10 + 10 * 1000));
    let ended = bench.folder.run(&["load", first, third, "-n", "10"], b"");
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}

#[test]
fn a_request_has_the_method_the_headers_and_the_content_that_were_asked_for() {
    let bench = Bench::start();
    let report = bench.measure("/echo", &["-n", "10", "-q", "2", "-d", "hello", "-H", "content-type: text/plain"]);
    assert_eq!((count(&report, "bytes"), count(&report, "status_2xx")), (50, 10));
    let refused = bench.run("/bytes/64", &["-n", "1", "-X", "DELETE", "--expect", "405"]);
    assert_eq!(count(&refused.json(), "status_4xx"), 1);
    let range = bench.measure("/bytes/64", &["-n", "4", "-H", "range: bytes=0-9"]);
    assert_eq!(count(&range, "bytes"), 40);
}

#[test]
fn hosts_are_where_they_are_said_to_be_and_certificates_are_looked_at() {
    let bench = Bench::start();
    let port = bench.server.address().rsplit(':').next().unwrap().to_owned();
    let (url, resolve) = (format!("https://example.test:{port}/bytes/1"), format!("example.test:{port}:127.0.0.1"));
    let arguments = ["load", &url, "--resolve", &resolve, "-n", "1", "--json"];
    let ended = bench.folder.run(&arguments, b"");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("another name"), "{}", ended.stderr);
    let trusting = bench.folder.run(&[&arguments[..], &["-k"]].concat(), b"");
    assert_eq!(count(&trusting.json(), "answers"), 1);
}

#[test]
fn a_rate_is_kept_and_a_warm_up_is_not_counted() {
    let bench = Bench::start();
    for arrivals in ["constant", "poisson"] {
        // A hundred may be under way, as many as begin in a second: a busy machine leaves none of them out.
        let arguments = ["-c", "2", "-q", "50", "--rate", "100", "--arrivals", arrivals];
        let report = bench.measure("/bytes/64", &[&arguments[..], &["-t", "1", "--warm-up", "0.3"]].concat());
        let requests = count(&report, "requests");
        let wanted = if arrivals == "constant" { 100..=100 } else { 55..=145 };
        assert!(wanted.contains(&requests), "{arrivals}: {report}");
        assert_eq!((count(&report, "answers"), &report["arrivals"]), (requests, &arrivals.into()));
        let numbered = bench.measure("/bytes/64", &[&arguments[..], &["-n", "77", "--warm-up", "0.1"]].concat());
        assert_eq!(count(&numbered, "answers"), 77);
    }
    let closed = bench.measure("/bytes/64", &["-n", "50", "--warm-up", "0.2"]);
    assert_eq!(count(&closed, "answers"), 50);
}

#[test]
fn who_came_while_the_server_stood_still_is_seen_to_have_waited() {
    let bench = Bench::start();
    // An answer takes 200 ms, and there are two streams for a hundred requests a second: ten are answered in each second.
    let slow = "/drip?bytes=1&seconds=0.2";
    let ended = bench.run(slow, &["-q", "2", "--rate", "100", "-t", "1"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let open = report(&ended);
    let (begun, not_begun) = (count(&open, "requests"), count(&open, "not_begun"));
    assert_eq!(begun + not_begun, 100, "{open}");
    assert!((8..=12).contains(&begun) && count(&open, "begun_late") >= begun - 2, "{open}");
    assert_eq!((count(&open, "failed"), count(&open, "answers")), (0, begun), "{open}");
    assert!(ended.stderr.contains("were not begun in time"), "{}", ended.stderr);
    // The last that was begun was due long before.
    assert!(number(&open, "max_us") > 500_000.0 && number(&open, "begun_late_max_us") > 500_000.0, "{open}");
    // Who only asks when answered sees nothing of it.
    let closed = bench.measure(slow, &["-q", "2", "-t", "1"]);
    assert!(number(&closed, "max_us") < number(&open, "max_us") - 300_000.0, "{closed} {open}");
}

#[test]
fn a_server_that_is_stopped_for_a_while_delays_whatever_was_due_meanwhile() {
    let bench = Bench::start();
    let child = bench.begin("/bytes/64", &["-q", "1000", "--rate", "200", "-t", "4"]);
    await_requests(&bench, 20);
    bench.server.signal("STOP");
    // Another run, of another server, is the clock.
    let other = Bench::start();
    let clock = other.measure("/bytes/1", &["-t", "0.6"]);
    assert!(number(&clock, "seconds") > 0.59, "{clock}");
    bench.server.signal("CONT");
    let ended = end(child);
    let told = report(&ended);
    assert_eq!(ended.code, Some(0), "{} {told}", ended.stderr);
    assert_eq!((count(&told, "answers"), count(&told, "failed")), (800, 0), "{told}");
    // At least 120 of 800 were due while it stood still, and every one is in the histogram: a tenth waited for 200 ms.
    assert!(number(&told, "p90_us") > 200_000.0 && number(&told, "max_us") > 550_000.0, "{told}");
    assert!(number(&told, "p50_us") < 100_000.0, "{told}");
}

/// Waits until the server has answered so many.
fn await_requests(bench: &Bench, wanted: u64) {
    let admin = bench.server.admin();
    loop {
        let (status, _, metrics) = support::http(admin, &format!("GET /metrics HTTP/1.0\r\nHost: {admin}\r\n\r\n"));
        assert_eq!(status, 200);
        let lines = metrics.lines().filter(|line| line.starts_with("quicast_http_requests_total"));
        let answered: f64 = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
        if answered >= wanted as f64 {
            return;
        }
    }
}

#[test]
fn a_run_whose_server_dies_ends_by_itself_and_says_what_became_of_it() {
    for schedule in [&["-n", "100000000", "-q", "10"][..], &["-t", "4", "--rate", "300", "-q", "10"]] {
        let mut bench = Bench::start();
        let child = bench.begin("/bytes/64", &[&["-c", "2", "--timeout", "0.5"], schedule].concat());
        await_requests(&bench, 100);
        bench.server.child.kill().unwrap();
        let ended = end(child);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        let told = report(&ended);
        assert!(count(&told, "answers") >= 100 && count(&told, "failed") > 0, "{told}");
        assert_eq!(count(&told, "requests"), count(&told, "answers") + count(&told, "failed"), "{told}");
        assert!(count(&told, "not_begun") > 0 && count(&told, "connections_failed") > 0, "{told}");
        assert_eq!((count(&told, "connections_lost"), count(&told, "connections_reopened")), (2, 0), "{told}");
    }
}

#[test]
fn a_server_that_comes_back_gets_the_rest_of_the_requests() {
    let folder = Folder::new();
    let key = folder.text("reset-key");
    let mut bench = Bench { server: Server::start(&folder, &["--no-tcp", "--reset-key-file", &key]), folder };
    let address = bench.server.address().to_owned();
    let child = bench.begin("/bytes/64", &["-c", "2", "-t", "3", "--rate", "200", "-q", "50", "--timeout", "1"]);
    await_requests(&bench, 100);
    bench.server.child.kill().unwrap();
    bench.server.child.wait().unwrap();
    bench.server = Server::start_at(&bench.folder, &address, &["--no-tcp", "--reset-key-file", &key]);
    let told = report(&end(child));
    assert!(count(&told, "connections_lost") >= 2, "{told}");
    assert_eq!(count(&told, "connections_reopened"), count(&told, "connections_lost"), "{told}");
    // Of the 600 that were due, a hundred were answered before.
    assert!(count(&told, "answers") > 300 && count(&told, "failed") > 0, "{told}");
}

#[test]
fn who_interrupts_a_run_gets_the_report_so_far() {
    let bench = Bench::start();
    let child = bench.begin("/bytes/64", &["-t", "600", "-q", "3"]);
    await_requests(&bench, 50);
    let pid = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-s", "INT", &pid]).status().unwrap().success());
    let ended = end(child);
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    let told = report(&ended);
    assert!(count(&told, "answers") >= 50 && number(&told, "seconds") < 60.0, "{told}");
    assert_eq!(count(&told, "failed"), 0, "{told}");
}

#[test]
fn a_table_is_for_people_and_a_picture_shows_the_latency() {
    let bench = Bench::start();
    let picture = bench.folder.text("latency.svg");
    let url = bench.url("/bytes/16K");
    let ended = bench
        .folder
        .run(&["load", &url, "-n", "200", "-q", "10", "--plot", &picture, "--sockets", "2", "-c", "2"], b"");
    let table = ended.text();
    for words in ["requests per second", "p99 ", "first byte p50", "status 2xx", "bytes per second", "rtt min"] {
        assert!(table.lines().any(|line| line.starts_with(words)), "{words}: {table}");
    }
    assert!(ended.stderr.is_empty(), "no progress in a pipe: {}", ended.stderr);
    let svg = std::fs::read_to_string(&picture).unwrap();
    assert!(svg.contains("percentile of requests (%)") && svg.contains("HTTP/3 requests"), "{svg}");
}

#[test]
fn wrong_use_is_said_in_one_line() {
    let folder = Folder::new();
    let cases: [(&[&str], &str); 8] = [
        (&["load", "https://localhost:1/"], "--requests"),
        (&["load", "-n", "1"], "URL"),
        (&["load", "http://localhost:1/", "-n", "1"], "always encrypted; write https://localhost:1/"),
        (&["load", "https://localhost:1/", "-n", "1", "-H", "no colon"], "write 'Name: value'"),
        (&["load", "https://localhost:1/", "-n", "1", "--resolve", "localhost:1"], "write HOST:PORT:ADDRESS"),
        (&["load", "https://localhost:1/", "-n", "1", "-t", "1"], "cannot be used with"),
        (&["load", "https://localhost:1/", "-n", "1", "--rate", "0"], "a rate is"),
        (&["load", "https://localhost:1/", "-n", "1", "--seed", "3"], "--rate"),
    ];
    for (arguments, words) in cases {
        let ended = folder.run(arguments, b"");
        assert_eq!((ended.code, ended.stderr.lines().count()), (Some(2), 1), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(words) && ended.stdout.is_empty(), "{arguments:?}: {}", ended.stderr);
    }
    let nobody = folder.run(&["load", "https://127.0.0.1:9/", "-n", "1", "-k", "--timeout", "0.3"], b"");
    assert_eq!(nobody.code, Some(1), "{}", nobody.stderr);
}
