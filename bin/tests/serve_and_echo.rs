//! A server and clients as processes, over the loopback.

mod support;

use support::{Folder, Server, http};

#[test]
fn what_is_typed_comes_back() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let text = "to be, or not to be\n".repeat(10_000);
    let ended = folder.run(&["echo", server.address()], text.as_bytes());
    assert_eq!(ended.text(), text);
    assert_eq!(ended.stderr, "");
}

#[test]
fn bytes_come_back_on_many_streams_with_new_keys_and_from_a_new_port() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let arguments = ["--bytes", "10M", "--streams", "7", "--key-update", "--rebind", "--cc", "newreno", "--json"];
    let report = folder.run(&[&["echo", server.address()], &arguments[..]].concat(), b"").json();
    assert_eq!(report["bytes"], 10_485_760);
    assert_eq!(report["bytes_returned"], 10_485_760);
    assert_eq!(report["streams"], 7);
    assert_eq!(report["congestion"], "newreno");
    assert_eq!(report["rebound"], true);
    assert!(report["key_updates"].as_u64().unwrap() >= 1, "{report}");
    assert!(report["packets_sent"].as_u64().unwrap() > 5_000, "{report}");

    let (_, _, metrics) = http(server.admin(), &format!("GET /metrics HTTP/1.0\r\nHost: {}\r\n\r\n", server.admin()));
    let moved = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name));
        line.is_some_and(|line| !line.ends_with(" 0"))
    };
    assert!(moved("quicast_tls_key_updates_total{initiator=\"peer\"}"), "{metrics}");
    assert!(moved("quicast_connections_established_total{role=\"server\",version=\"v1\",alpn=\"echo\"}"), "{metrics}");
}

#[test]
fn many_long_streams_do_not_wait_for_each_other() {
    // Each may hold back a little of the credit for what was read; together that must not be the connection's window.
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let report = folder.run(&["echo", server.address(), "--bytes", "100M", "--streams", "100", "--json"], b"").json();
    assert_eq!(report["bytes_returned"], 100 << 20);
}

#[test]
fn one_line_says_how_it_was_and_nothing_if_nobody_wants_to_know() {
    let folder = Folder::new();
    let server = Server::start(&folder, &["--cc", "newreno"]);
    let ended = folder.run(&["echo", server.address(), "--bytes", "100K"], b"");
    let line = ended.text();
    assert!(line.starts_with("102400 bytes there and back in ") && line.ends_with(", cubic\n"), "{line}");
    assert!(line.contains("each way, rtt ") && line.contains(", lost 0 of "), "{line}");
    assert_eq!(line.lines().count(), 1);
    assert_eq!(folder.run(&["echo", server.address(), "--bytes", "0", "-q"], b"").text(), "");
}

#[test]
fn datagrams_come_back() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let report = folder.run(&["echo", server.address(), "--bytes", "50K", "--datagrams", "--json"], b"").json();
    let count = |name: &str| report["datagrams"][name].as_u64().unwrap();
    assert!(count("sent") >= 40 && count("returned") > 0 && count("returned") <= count("sent"), "{report}");
}

#[test]
fn a_client_says_how_the_server_closed() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let ended = folder.run(&["echo", server.address()], b"close 7 good bye\n");
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stderr, "closed 7 good bye\n");
    // Only that connection is gone.
    assert_eq!(folder.run(&["echo", server.address()], b"close to you").text(), "close to you");
}

#[test]
fn files_are_served_and_nothing_outside_their_folder() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path("root/below")).unwrap();
    let contents: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    std::fs::write(folder.path("root/below/file"), &contents).unwrap();
    std::fs::write(folder.path("root/empty"), b"").unwrap();
    std::fs::write(folder.path("secret"), b"secret").unwrap();
    std::os::unix::fs::symlink(folder.path("secret"), folder.path("root/link")).unwrap();
    let server = Server::start(&folder, &["--root", &folder.text("root")]);
    let get = |path: &str, more: &[&str]| {
        folder.run(&[&["echo", server.address(), "--alpn", "hq-interop", "--get", path], more].concat(), b"")
    };
    assert_eq!(get("/below/file", &[]).done(), contents);
    assert_eq!(get("/empty", &[]).done(), b"");
    let output = folder.text("fetched");
    let said = get("/below/file", &["-o", &output]);
    assert!(said.text().starts_with("300000 bytes in "), "{}", said.text());
    assert_eq!(std::fs::read(&output).unwrap(), contents);
    for path in ["/none", "/../secret", "/link", "/below", "/below/../../secret"] {
        let ended = get(path, &["-o", &folder.text("not-there")]);
        assert_eq!(ended.code, Some(1), "{path}");
        assert_eq!(ended.stderr, format!("quicast: {path}: the server has no such file\n"));
        assert!(!folder.path("not-there").exists(), "{path}");
    }
    // A file of before stays if there is nothing new.
    assert_eq!(get("/none", &["-o", &output]).code, Some(1));
    assert_eq!(std::fs::read(&output).unwrap(), contents);
}

#[test]
fn what_has_the_name_of_the_output_is_written_to_and_never_replaced() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let get = |output: &str| {
        let arguments = ["--alpn", "hq-interop", "--get", "/bytes/100000", "-q", "-o", output];
        folder.run(&[&["echo", server.address()], &arguments[..]].concat(), b"")
    };
    std::fs::write(folder.path("file"), b"a longer life than this".repeat(10_000)).unwrap();
    std::os::unix::fs::symlink(folder.path("file"), folder.path("link")).unwrap();
    get(&folder.text("link")).done();
    assert!(std::fs::symlink_metadata(folder.path("link")).unwrap().is_symlink());
    assert_eq!(std::fs::metadata(folder.path("file")).unwrap().len(), 100_000);

    let pipe = folder.text("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::read(pipe).unwrap().len()
    });
    get(&pipe).done();
    assert_eq!(reader.join().unwrap(), 100_000);
    assert!(!std::fs::metadata(&pipe).unwrap().is_file());
}

#[test]
fn without_a_folder_bytes_are_generated() {
    let folder = Folder::new();
    let server = Server::start(&folder, &["--retry"]);
    let get = |path: &str| folder.run(&["echo", server.address(), "--alpn", "hq-interop", "--get", path], b"");
    assert_eq!(get("/bytes/3000000").done().len(), 3_000_000);
    assert_eq!(get("/bytes/0").done().len(), 0);
    assert_eq!(get("/file").code, Some(1));
}

#[test]
fn the_certificate_is_kept_and_its_hashes_printed() {
    let folder = Folder::new();
    let first = Server::start(&folder, &[]);
    let second = Server::start(&folder, &[]);
    assert_eq!(first.after("  SHA-256     ").len(), 95);
    assert_eq!(first.after("  SPKI hash   ").len(), 44);
    assert_eq!(first.after("  SHA-256     "), second.after("  SHA-256     "));
    // A client with another cache does not trust it, unless it is told to.
    let other = Folder::new();
    let stranger = other.run(&["echo", first.address()], b"");
    assert_eq!(stranger.code, Some(1));
    assert!(stranger.stderr.contains("--cacert"), "{}", stranger.stderr);
    assert_eq!(other.run(&["echo", first.address(), "-k"], b"hello").text(), "hello");
    let own = folder.text("quicast/development.pem");
    assert_eq!(other.run(&["echo", first.address(), "--cacert", &own], b"hello").text(), "hello");
}

#[test]
fn secrets_are_written_only_when_asked_for_and_with_a_warning() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let ended = folder.run(&["echo", server.address(), "--keylog", &folder.text("keys")], b"hello");
    assert_eq!(ended.text(), "hello");
    assert!(ended.stderr.starts_with("warning: TLS secrets are written to "), "{}", ended.stderr);
    let keys = std::fs::read_to_string(folder.path("keys")).unwrap();
    assert!(keys.lines().any(|line| line.starts_with("CLIENT_TRAFFIC_SECRET_0 ")), "{keys}");
}

#[test]
fn localhost_is_both_loopback_addresses() {
    let folder = Folder::new();
    let mut server = Server::start_at(&folder, "localhost:0", &[]);
    let (host, port) = server.address().rsplit_once(':').unwrap();
    let (host, port) = (host.to_owned(), port.to_owned());
    assert_eq!(host, "127.0.0.1");
    let mut addresses = vec![format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    if std::net::UdpSocket::bind("[::1]:0").is_ok() {
        assert_eq!(server.next_line(), format!("listening on [::1]:{port}"));
        addresses.push(format!("[::1]:{port}"));
    }
    for address in addresses {
        assert_eq!(folder.run(&["echo", &address], b"hello").text(), "hello", "{address}");
    }
}
