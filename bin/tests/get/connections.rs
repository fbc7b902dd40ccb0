//! Connections: shared, trusted, found, failed.

use super::*;

#[test]
fn a_hundred_requests_share_a_connection() {
    let folder = Folder::new();
    let (server, url) = site(&folder);
    let urls: Vec<String> = (0..100).map(|number| format!("{url}/bytes/{}", 1000 + number)).collect();
    let out = folder.text("out");
    let mut all: Vec<&str> = urls.iter().map(String::as_str).collect();
    all.extend(["-Z", "--parallel-max", "40", "-O", "--output-dir", &out, "--create-dirs", "--json"]);
    let ended = fetch(&folder, &all);
    let lines: Vec<serde_json::Value> = ended.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 100);
    assert_eq!(lines.iter().filter(|line| line["reused"] == false).count(), 1);
    for line in &lines {
        assert_eq!((line["status"].as_u64(), line["exit_code"].as_u64()), (Some(200), Some(0)), "{line}");
        assert!(line["rtt"].as_f64().unwrap() > 0.0 && line["time_total"].as_f64().unwrap() > 0.0, "{line}");
    }
    for length in 1000..1100 {
        assert_eq!(std::fs::metadata(folder.path(&format!("out/{length}"))).unwrap().len(), length);
    }
    // Another name of the same server has a connection of its own; one failure does not stop the others.
    let port = server.address().rsplit_once(':').unwrap().1;
    let other = format!("https://localhost:{port}/bytes/3");
    let given = format!("localhost:{port}:127.0.0.1");
    let one = format!("{url}/bytes/3");
    let ended =
        fetch(&folder, &[&one, "https://[", &other, &one, "--resolve", &given, "-w", " %{num_connects} %{exitcode}\n"]);
    assert_eq!(ended.code, Some(3));
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    let ends: Vec<&str> = said.lines().filter_map(|line| line.split_once(' ')).map(|(_, end)| end).collect();
    assert_eq!(ends, ["1 0", "0 3", "1 0", "0 0"], "{said}");
}

#[test]
fn certificates_are_checked_unless_told_otherwise() {
    let folder = Folder::new();
    let (_server, url) = site(&folder);
    let url = format!("{url}/bytes/5");
    let peer = Peer::routes(&folder, Router::new().fallback(any(mirror)));
    let (other, none) = (folder.text("peer.pem"), folder.text("none"));
    refused(&fetch(&folder, &[&url, "--cacert", &other]), 60, &["not trusted", "--cacert", "-k"]);
    refused(&fetch(&folder, &[&peer.at("/")]), 60, &["not trusted"]);
    assert_eq!(fetch(&folder, &[&peer.at("/x"), "-k"]).text(), "GET /x ");
    assert_eq!(peer.get(&folder, "/x", &[]).text(), "GET /x ");
    refused(&fetch(&folder, &[&url, "--cacert", &none]), 77, &["--cacert", &none, "no such file"]);
    // The name is what is proven, wherever the server is.
    let port = url.rsplit(':').next().and_then(|rest| rest.split('/').next()).unwrap();
    let (named, given) = (format!("https://example.test:{port}/headers"), format!("example.test:{port}:127.0.0.1"));
    refused(&fetch(&folder, &[&named, "--resolve", &given]), 60, &["another name"]);
    let told = fetch(&folder, &[&named, "--resolve", &given, "-k"]).json();
    assert_eq!(told["target"], named);
}

#[test]
fn a_silent_address_costs_a_quarter_of_a_second() {
    let folder = Folder::new();
    let (server, _) = site(&folder);
    let port = server.address().rsplit_once(':').unwrap().1;
    // The same port of the machine's other address, where nobody answers.
    let _silent = UdpSocket::bind(format!("127.0.0.2:{port}")).unwrap();
    let url = format!("https://localhost:{port}/bytes/5");
    let given = format!("localhost:{port}:127.0.0.2,127.0.0.1");
    let told = fetch(&folder, &[&url, "--resolve", &given, "-o", "/dev/null", "-w", "%{remote_ip} %{time_connect}"]);
    let (remote, took) = told.text().split_once(' ').unwrap();
    assert_eq!(remote, "127.0.0.1");
    assert!((0.25..5.0).contains(&took.parse::<f64>().unwrap()), "{took}");
    let given = format!("localhost:{port}:127.0.0.2");
    let limited = fetch(&folder, &[&url, "--resolve", &given, "--connect-timeout", "0.5"]);
    refused(&limited, 28, &["--connect-timeout"]);
    refused(&fetch(&folder, &[&url, "--resolve", &given]), 7, &["127.0.0.2", "did not answer", "UDP"]);
    refused(&fetch(&folder, &[&url, "-6", "--resolve", &given]), 6, &["of IPv6"]);
}

#[test]
fn what_is_wrong_is_said_with_curls_codes() {
    let folder = Folder::new();
    for (arguments, code, words) in [
        (&["http://localhost/x"][..], 1, &["always encrypted", "https://localhost/x"][..]),
        (&["ftp://localhost/"], 1, &["https://"]),
        (&["https://[::1"], 3, &["https://[::1"]),
        (&["https://localhost:x/"], 3, &["port"]),
        (&["https://host.invalid/"], 6, &["host.invalid", "--resolve"]),
        (&["https://localhost:1/", "--keylog", "/none/keys"], 23, &["/none/keys"]),
        (&["https://localhost:1/", "-w", "@/none/format"], 26, &["/none/format"]),
        (&["https://localhost:1/", "-o"], 2, &["--output"]),
        (&[], 2, &["URL"]),
    ] {
        refused(&fetch(&folder, arguments), code, words);
    }
    // Somebody who speaks QUIC, but not HTTP/3.
    let certificate = tls::development::certificate(&[], UnixTime::now()).unwrap();
    let config = tls::development::server_config(&certificate, &[b"something-else"]).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let endpoint = runtime.block_on(async {
        let endpoint = Endpoint::server(Arc::new(config), "127.0.0.1:0".parse().unwrap()).unwrap();
        let accepting = endpoint.clone();
        tokio::spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                incoming.accept().map(tokio::spawn).ok();
            }
        });
        endpoint
    });
    let url = format!("https://{}", endpoint.local_addr());
    refused(&fetch(&folder, &[&url, "-k"]), 35, &["not HTTP/3"]);
    // A stream that breaks off is none of HTTP's ends.
    let broken = || async {
        use futures_util::StreamExt as _;
        let pieces = futures_util::stream::iter([Ok("some"), Err(std::io::Error::other("broken"))]);
        Body::from_stream(pieces.then(|piece| async {
            tokio::task::yield_now().await;
            piece
        }))
    };
    let peer = Peer::routes(&folder, Router::new().route("/", get(broken)));
    refused(&peer.get(&folder, "/", &["-o", "/dev/null"]), 95, &["the peer ended the request", "H3_INTERNAL_ERROR"]);
}

#[test]
fn keys_are_updated_when_that_is_wanted() {
    let folder = Folder::new();
    let (server, url) = site(&folder);
    let (url, out) = (format!("{url}/bytes/100000"), folder.text("out"));
    let told = fetch(&folder, &[&url, "-o", &out, "--json"]).json();
    assert_eq!(told["key_updates"], 0, "{told}");
    let ended = fetch(&folder, &[&url, &url, "-o", &out, "-o", "/dev/null", "--json", "-v", "--key-update"]);
    for line in ended.text().lines() {
        let told: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&told["key_updates"], &told["status"]), (&1.into(), &200.into()), "{told}");
    }
    // One for the connection, before its first request.
    assert_eq!(ended.stderr.matches("* key update begun").count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.find("* key update begun") < ended.stderr.find("> GET"), "{}", ended.stderr);
    assert_eq!(std::fs::metadata(&out).unwrap().len(), 100_000);
    // The server saw it, too: nothing else could have been read.
    let began = Instant::now();
    let line = "quicast_tls_key_updates_total{initiator=\"peer\"} 1\n";
    let asked = format!("GET /metrics HTTP/1.0\r\nHost: {}\r\n\r\n", server.admin());
    while !support::http(server.admin(), &asked).2.contains(line) {
        assert!(began.elapsed() < Duration::from_secs(20), "the server has not heard of it");
    }
}

#[test]
fn the_congestion_controller_is_chosen_by_its_name() {
    let folder = Folder::new();
    let (_server, url) = site(&folder);
    let url = format!("{url}/bytes/5");
    for name in ["cubic", "newreno"] {
        let said = fetch(&folder, &[&url, "--cc", name, "-v", "-o", "/dev/null"]);
        said.done();
        let chosen = said.stderr.lines().find_map(|line| line.split_once("congestion control ")).unwrap().1;
        assert_eq!(chosen.replace(['_', '-'], ""), name, "{}", said.stderr);
    }
    refused(&fetch(&folder, &[&url, "--cc", "cubik"]), 2, &["--cc", "cubik", "did you mean \"cubic\""]);
}
