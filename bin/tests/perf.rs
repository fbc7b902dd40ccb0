//! `quicast perf`: each workload against a server, as processes, and small.
#![expect(clippy::unwrap_used, reason = "a test that cannot start its server has failed")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use support::{Ended, Folder, Server};
use tls::pki_types::UnixTime;

/// A perf server, and clients of it.
struct Bench {
    folder: Folder,
    server: Server,
}

impl Bench {
    fn start(arguments: &[&str]) -> Self {
        let folder = Folder::new();
        let all = [&["perf", "server", "--listen", "127.0.0.1:0"], arguments].concat();
        let server = Server::start_as(&folder, &all);
        Self { folder, server }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.folder.run(&[&["perf", "client", self.server.address()], arguments].concat(), b"")
    }

    /// The report, which is one line.
    #[track_caller]
    fn measure(&self, arguments: &[&str]) -> Value {
        let ended = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(ended.text().lines().count(), 1, "{}", ended.text());
        let report = ended.json();
        assert_eq!(report["workload"], arguments[0]);
        for name in ["seconds", "client_cpu_seconds", "server_cpu_seconds"] {
            assert!(report[name].as_f64().is_some_and(|seconds| seconds >= 0.0), "{name}: {report}");
        }
        report
    }
}

#[track_caller]
fn assert_positive(report: &Value, names: &[&str]) {
    for name in names {
        assert!(report[name].as_f64().is_some_and(|value| value > 0.0), "{name}: {report}");
    }
}

#[test]
fn bytes_come_down_and_go_up_on_streams_of_several_connections() {
    let bench = Bench::start(&["--shards", "2", "--window", "1M", "--cc", "newreno"]);
    assert_eq!(bench.server.said.len(), 1, "nothing else is said: {:?}", bench.server.said);
    for direction in ["down", "up"] {
        let arguments =
            ["bulk", "--bytes", "5000001", "--streams", "3", "--connections", "2", "--direction", direction];
        let report = bench.measure(&[&arguments[..], &["--window", "512K", "--cc", "newreno"]].concat());
        assert_eq!(report["direction"], direction);
        assert_eq!((&report["bytes"], &report["streams"]), (&5_000_001.into(), &3.into()));
        assert_eq!((&report["connections"], &report["verified"]), (&2.into(), &false.into()));
        let names = ["bits_per_second", "client_cpu_seconds_per_gb", "server_cpu_seconds_per_gb"];
        assert_positive(&report, &names);
        assert_positive(&report, &["data_packets_per_ack", "client_datagrams_per_send_call"]);
        assert_positive(&report, &["client_datagrams_per_receive_call", "server_datagrams_per_receive_call"]);
        assert_positive(&report, &["server_datagrams_per_send_call"]);
        let (sender, receiver) = if direction == "down" { ("server", "client") } else { ("client", "server") };
        let datagrams = |side: &str, what: &str| report[format!("{side}_datagrams_{what}")].as_u64().unwrap();
        assert!(datagrams(sender, "sent") > 3000 && datagrams(receiver, "received") > 3000, "{report}");
    }
}

#[test]
fn every_byte_is_compared_if_that_is_asked_for() {
    let bench = Bench::start(&["--verify"]);
    for direction in ["down", "up"] {
        let report = bench.measure(&["bulk", "--bytes", "3M", "--direction", direction, "--verify"]);
        assert_eq!((&report["verified"], &report["bytes"]), (&true.into(), &(3 << 20).into()));
    }
    assert_eq!(bench.measure(&["bulk", "--bytes", "0"])["bytes"], 0);
}

#[test]
fn datagrams_of_a_given_size_are_never_larger_or_fewer() {
    for (mtu, fewest) in [("1200", 3580), ("9000", 470)] {
        let bench = Bench::start(&["--mtu", mtu]);
        let report = bench.measure(&["bulk", "--bytes", "4M", "--mtu", mtu, "--verify"]);
        let received = report["client_datagrams_received"].as_u64().unwrap();
        // What is lost is sent again; nothing else may come on top.
        let lost = report["server_packets_lost"].as_u64().unwrap();
        assert!((fewest..fewest + 400 + lost).contains(&received), "{mtu}: {report}");
    }
}

#[test]
fn requests_are_answered_while_other_streams_are_open() {
    let bench = Bench::start(&["--streams-allowed", "30"]);
    let small = ["requests", "--outstanding", "20", "--seconds", "0.2", "--open-streams", "10"];
    let report = bench.measure(&small);
    assert_eq!((&report["outstanding"], &report["open_streams"]), (&20.into(), &10.into()));
    assert!(report["count"].as_u64().unwrap() >= 20, "{report}");
    assert_positive(&report, &["requests_per_second", "p50_us", "p99_us", "p999_us"]);
    assert_positive(&report, &["client_cpu_us_per_request", "server_cpu_us_per_request"]);
    assert!(report["p50_us"].as_f64().unwrap() <= report["p999_us"].as_f64().unwrap(), "{report}");

    let large = ["requests", "--seconds", "0.1", "--request", "100K", "--response", "200K", "--verify"];
    let report = bench.measure(&large);
    assert_eq!((&report["request_bytes"], &report["response_bytes"]), (&102_400.into(), &204_800.into()));
    assert!(report["count"].as_u64().unwrap() >= 1, "{report}");

    let ended = bench.run(&["requests", "--seconds", "0.1", "--open-streams", "31"]);
    assert_eq!((ended.code, ended.stdout.len()), (Some(1), 0));
    assert!(ended.stderr.contains("permits 30 streams") && ended.stderr.contains("--streams-allowed"));
}

#[test]
fn handshakes_are_whole_or_resumed() {
    let bench = Bench::start(&[]);
    for resumed in [false, true] {
        let more: &[&str] = if resumed { &["--resumed"] } else { &[] };
        let report = bench.measure(&[&["handshakes", "--parallel", "3", "--seconds", "0.2"], more].concat());
        assert_eq!((&report["parallel"], &report["resumed"]), (&3.into(), &resumed.into()));
        assert!(report["count"].as_u64().unwrap() >= 3, "{report}");
        assert_positive(&report, &["handshakes_per_second", "p50_us", "p99_us"]);
    }
}

#[test]
fn datagrams_come_back_and_are_counted() {
    let bench = Bench::start(&[]);
    let report = bench.measure(&["datagrams", "--seconds", "0.2", "--size", "500", "--verify"]);
    let count = |name: &str| report[name].as_u64().unwrap();
    assert!(count("size") == 500 && count("returned") > 0, "{report}");
    assert_eq!(count("sent"), count("returned") + count("lost"));
    assert_positive(&report, &["datagrams_per_second", "bits_per_second"]);
    let ended = bench.run(&["datagrams", "--size", "5000"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("--size 5000: at most ") && ended.stderr.contains("--mtu"), "{}", ended.stderr);
}

#[test]
fn idle_connections_stay_until_the_input_ends() {
    let bench = Bench::start(&[]);
    let arguments = ["perf", "client", bench.server.address(), "idle", "--connections", "5", "--json"];
    let mut command = bench.folder.command(&arguments);
    let mut client = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(client.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let report: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&report["workload"], &report["connections"]), (&"idle".into(), &5.into()));
    assert_positive(&report, &["client_resident_bytes", "server_resident_bytes"]);
    assert_eq!(client.try_wait().unwrap(), None, "it waits for the end of its input");
    drop(client.stdin.take());
    assert!(client.wait().unwrap().success());
}

#[test]
fn a_table_says_the_same_and_a_plot_is_drawn() {
    let bench = Bench::start(&[]);
    let (bulk, requests) = (bench.folder.text("bulk.svg"), bench.folder.text("requests.svg"));
    let ended = bench.run(&["bulk", "--bytes", "1M", "--plot", &bulk]);
    assert!(ended.text().starts_with("workload ") && ended.text().contains("bit/s\n"), "{}", ended.text());
    bench.measure(&["requests", "--seconds", "0.1", "--plot", &requests]);
    for (path, words) in [(&bulk, "payload in Gbit/s"), (&requests, "latency in microseconds")] {
        let svg = std::fs::read_to_string(path).unwrap();
        assert!(svg.starts_with("<svg ") && svg.contains(words), "{svg}");
    }
    let ended = bench.run(&["bulk", "--bytes", "1K", "--plot", "/none/plot.svg"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("/none/plot.svg: no such file"), "{}", ended.stderr);
}

#[test]
fn the_server_of_files_and_echoes_can_be_measured_too() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let report = folder.run(&["perf", "client", server.address(), "bulk", "--bytes", "1M", "--json"], b"").json();
    assert_positive(&report, &["bits_per_second", "server_cpu_seconds", "server_datagrams_sent"]);
}

#[test]
fn a_server_ends_in_peace_when_it_is_told_to() {
    for signal in ["TERM", "INT"] {
        let bench = Bench::start(&["--pin", "0"]);
        bench.server.signal(signal);
        assert_eq!(bench.server.wait(), Some(0), "{signal}");
    }
}

/// A server that knows the protocol without the extension, and either the right bytes or only zeros.
async fn stranger(right: bool) -> quicast::Endpoint {
    let certificate = tls::development::certificate(&[], UnixTime::now()).unwrap();
    let config = tls::development::server_config(&certificate, &[b"perf"]).unwrap();
    let serve = move |connection: quicast::Connection| async move {
        while let Ok((mut send, mut receive)) = connection.accept_bi().await {
            let Ok(request) = receive.read_to_end(1 << 20).await else { return };
            let wanted = u64::from_be_bytes(*request.first_chunk().unwrap());
            if wanted == u64::MAX {
                send.reset(1).unwrap();
                continue;
            }
            let answer: Vec<u8> = (0..wanted).map(|at| if right { (at % 251) as u8 } else { 0 }).collect();
            // A client that has seen enough is gone.
            send.write_all(&answer).await.ok();
            drop(send.finish());
        }
    };
    let builder = quicast::Endpoint::builder().listen("127.0.0.1:0".parse().unwrap()).shards(1);
    builder.server_config(Arc::new(config)).service(serve).start().unwrap()
}

async fn measure_stranger(right: bool, arguments: &'static [&'static str]) -> Ended {
    let endpoint = stranger(right).await;
    let address = endpoint.local_addr().to_string();
    let measured = tokio::task::spawn_blocking(move || {
        Folder::new().run(&[&["perf", "client", &address, "-k"], arguments].concat(), b"")
    });
    let ended = measured.await.unwrap();
    endpoint.shutdown(Duration::ZERO).await;
    ended
}

#[tokio::test]
async fn what_another_server_does_not_say_is_left_out() {
    let report = measure_stranger(true, &["bulk", "--bytes", "100K", "--verify", "--json"]).await.json();
    assert_positive(&report, &["bits_per_second", "client_datagrams_received"]);
    let words = report.as_object().unwrap();
    assert!(!words.keys().any(|name| name.starts_with("server_")), "{report}");
    let ended = measure_stranger(true, &["requests", "--seconds", "0.1"]).await;
    let dash = ended.text().lines().find(|line| line.starts_with("server cpu seconds "));
    assert!(dash.unwrap().ends_with(" \u{2013}"), "{}", ended.text());
}

#[tokio::test]
async fn wrong_bytes_are_a_failure_and_not_a_measurement() {
    for workload in [&["bulk", "--bytes", "100K"][..], &["requests", "--seconds", "5"]] {
        let ended = measure_stranger(false, workload).await;
        assert_eq!((ended.code, ended.stdout.len()), (Some(1), 0), "{}", ended.stderr);
        assert!(ended.stderr.contains("byte 1 is 0 and should be 1"), "{}", ended.stderr);
    }
}

/// What a stream with these bytes on it is answered with.
async fn exchange(connection: &quicast::Connection, bytes: &[u8]) -> Vec<u8> {
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(bytes).await.unwrap();
    drop(send.finish());
    receive.read_to_end(1 << 20).await.unwrap().to_vec()
}

#[tokio::test]
async fn a_server_answers_with_so_many_bytes_and_counts_what_is_not_the_pattern() {
    let bench = Bench::start(&["--verify"]);
    let tls = tls::development::insecure_client_config(&[b"perf"]).unwrap();
    let endpoint = quicast::Endpoint::builder().client_config(Arc::new(tls)).start().unwrap();
    let connection = endpoint.connect(bench.server.address().parse().unwrap(), "localhost").await.unwrap();
    let stream = |number: u64, payload: &[u8]| [&number.to_be_bytes(), payload].concat();

    assert_eq!(exchange(&connection, &stream(300, b"\x00\x01\x02")).await.len(), 300);
    let large = exchange(&connection, &stream(100_000, b"")).await;
    assert!(large.len() == 100_000 && large.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 251));
    assert_eq!(exchange(&connection, &stream(0, b"\x00\x01\x07")).await, b"");
    let (mut send, _receive) = connection.open_bi().await.unwrap();
    send.write_all(b"short").await.unwrap();
    drop(send.finish());

    let answer = exchange(&connection, &stream(u64::MAX, b"")).await;
    let statistics: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((&statistics["payload_bytes"], &statistics["payload_wrong"]), (&6.into(), &1.into()), "{statistics}");
    assert_positive(&statistics, &["resident_bytes", "send_calls", "receive_calls", "datagrams_sent", "acks_sent"]);
    endpoint.shutdown(Duration::ZERO).await;
}

#[track_caller]
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let folder = Folder::new();
    let ended = folder.run(&[&["perf"], arguments].concat(), b"");
    assert_eq!((ended.code, ended.stdout.len()), (Some(code), 0), "{arguments:?}: {}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{arguments:?}: no {word:?} in {}", ended.stderr);
    }
}

#[test]
fn what_cannot_be_meant_is_said() {
    let client = |more: &[&'static str]| [&["client", "127.0.0.1:1"], more].concat();
    refused(&client(&["bulk", "--mtu", "1000"]), 2, &["--mtu", "1200 to 16000"]);
    refused(&client(&["requests", "--request", "4"]), 2, &["--request", "at least 8 bytes"]);
    refused(&client(&["bulk", "--direction", "sideways"]), 2, &["sideways", "down", "up"]);
    refused(&client(&["handshakes", "--seconds", "0"]), 2, &["--seconds"]);
    refused(&client(&["bulk", "--pin", "x"]), 2, &["--pin", "0,2"]);
    refused(&client(&["bulk", "--pin", "1000"]), 2, &["--pin 1000", "may not run there"]);
    refused(&["client", "127.0.0.1", "bulk"], 2, &["127.0.0.1", "HOST:PORT"]);
    refused(&["client", "host.invalid:4433", "bulk"], 1, &["host.invalid", "no address of that name"]);
    refused(&["server", "--shards", "0"], 2, &["--shards"]);
    refused(&["server", "--listen", "4433"], 2, &["--listen 4433", "localhost:4433"]);
}

#[test]
fn a_port_where_nobody_answers_and_a_server_of_another_protocol_are_said() {
    // Bound and silent, so that nobody else gets it.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    refused(&["client", &address, "bulk"], 1, &[&address, "did not answer within 5 s"]);
    let certificate = tls::development::certificate(&[], UnixTime::now()).unwrap();
    let config = tls::development::server_config(&certificate, &[b"something-else"]).unwrap();
    let builder = quicast::Endpoint::builder().listen("127.0.0.1:0".parse().unwrap()).shards(1);
    let endpoint = builder.server_config(Arc::new(config)).service(|_| async {}).start().unwrap();
    refused(&["client", &endpoint.local_addr().to_string(), "bulk", "-k"], 1, &["(perf)", "quicast perf server"]);
}
