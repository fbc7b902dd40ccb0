//! Whatever is wrong, it is one line on standard error and the right exit code.

mod support;

use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use support::{Folder, Server};
use tls::pki_types::UnixTime;

#[track_caller]
fn refused(folder: &Folder, arguments: &[&str], code: i32, words: &[&str]) {
    let ended = folder.run(arguments, b"");
    assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {}", ended.stderr);
    assert!(ended.stderr.starts_with("quicast: "), "{arguments:?}: {}", ended.stderr);
    assert_eq!(ended.stdout, b"", "{arguments:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{arguments:?}: no {word:?} in {}", ended.stderr);
    }
}

#[expect(clippy::unwrap_used, reason = "a test that cannot write its files has failed")]
fn write_certificate(folder: &Folder, name: &str, days_ago: u64) -> (String, String) {
    let now = Duration::from_secs(UnixTime::now().as_secs() - days_ago * 86_400);
    let certificate = tls::development::certificate(&[], UnixTime::since_unix_epoch(now)).unwrap();
    let (chain, key) = (folder.text(&format!("{name}.pem")), folder.text(&format!("{name}.key")));
    std::fs::write(&chain, certificate.chain_pem()).unwrap();
    std::fs::write(&key, certificate.key_pem()).unwrap();
    (chain, key)
}

#[test]
fn what_is_no_command_is_explained() {
    let folder = Folder::new();
    refused(&folder, &["sreve"], 2, &["unrecognized subcommand 'sreve'", "'serve'"]);
    refused(&folder, &["serve", "--lisen", "x"], 2, &["--lisen", "'--listen'"]);
    refused(&folder, &["serve", "--cc", "cubik"], 2, &["cubik", "did you mean \"cubic\""]);
    refused(&folder, &["serve", "--cert", "x"], 2, &["were not provided: --key"]);
    refused(&folder, &["serve", "--shards", "0"], 2, &["--shards"]);
    refused(&folder, &["serve", "--listen", "4433"], 2, &["--listen 4433", "localhost:4433"]);
    refused(&folder, &["serve", "--admin", "nowhere"], 2, &["--admin nowhere", "127.0.0.1:9440"]);
    refused(&folder, &["serve", "--admin", "0.0.0.0:9440"], 2, &["needs TLS and a token"]);
    refused(&folder, &["echo"], 2, &["HOST:PORT"]);
    refused(&folder, &["echo", "localhost"], 2, &["localhost:4433"]);
    refused(&folder, &["echo", "localhost:1", "--bytes", "many"], 2, &["many", "10M"]);
    refused(&folder, &["echo", "localhost:1", "--streams", "3"], 2, &["--bytes"]);
    refused(&folder, &["echo", "localhost:1", "--alpn", "h3"], 2, &["h3", "hq-interop"]);
    refused(&folder, &["echo", "localhost:1", "--alpn", "hq-interop"], 2, &["--get"]);
    refused(&folder, &["echo", "localhost:1", "--get", "/x"], 2, &["--alpn hq-interop"]);
    refused(&folder, &["echo", "localhost:1", "--alpn", "hq-interop", "--get", "x"], 2, &["begins with /"]);
}

#[test]
fn help_and_version_are_no_failures() {
    let folder = Folder::new();
    assert!(folder.run(&["--version"], b"").text().starts_with("quicast 0."));
    for arguments in [&["help"][..], &["--help"], &["help", "serve"], &["echo", "--help"]] {
        assert!(folder.run(arguments, b"").text().contains("Usage: quicast"), "{arguments:?}");
    }
    // Without anything, help is what is missing.
    assert_eq!(folder.run(&[], b"").code, Some(2));
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = Folder::new();
    let (chain, key) = write_certificate(&folder, "one", 0);
    let (_, other) = write_certificate(&folder, "other", 0);
    let serve = |cert: &str, key: &str, words: &[&str]| {
        refused(&folder, &["serve", "--admin", "off", "--cert", cert, "--key", key], 1, words);
    };
    let none = folder.text("none");
    serve(&chain, &none, &["--key", &none, "no such file"]);
    serve(&none, &key, &["--cert", &none, "no such file"]);
    serve(&chain, &other, &["does not belong to the certificate"]);
    serve(&chain, &chain, &["no PRIVATE KEY section"]);
    serve(&key, &key, &["no CERTIFICATE section"]);
    refused(&folder, &["serve", "--admin", "off", "--root", &none], 1, &["--root", "no such file"]);
    refused(&folder, &["serve", "--admin", "off", "--root", &chain], 1, &["--root", "not a folder"]);
    refused(&folder, &["echo", "127.0.0.1:1", "--cacert", &none], 1, &["--cacert", "no such file"]);
    refused(&folder, &["echo", "127.0.0.1:1", "--cacert", &key], 1, &["--cacert", "no CERTIFICATE section"]);
    refused(&folder, &["echo", "127.0.0.1:1", "--keylog", "/none/keys"], 1, &["--keylog", "/none/keys"]);
}

#[test]
fn addresses_that_are_taken_are_named() {
    let folder = Folder::new();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = udp.local_addr().unwrap().to_string();
    let serve = ["serve", "--admin", "off", "--listen", &address];
    refused(&folder, &serve, 1, &[&address, "(UDP)", "another program has the port"]);
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap().to_string();
    let serve = ["serve", "--listen", "127.0.0.1:0", "--admin", &address];
    refused(&folder, &serve, 1, &[&address, "(TCP)", "--admin off"]);
    let serve = ["serve", "--admin", "off", "--listen", "203.0.113.1:4433"];
    refused(&folder, &serve, 1, &["203.0.113.1:4433", "does not have that address"]);
}

#[test]
fn a_server_that_is_not_there_is_not_waited_for_long() {
    let folder = Folder::new();
    // Bound and silent, so that nobody else gets it.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    refused(&folder, &["echo", &address], 1, &[&address, "did not answer within 5 s"]);
    refused(&folder, &["echo", "host.invalid:4433"], 1, &["host.invalid", "no address of that name"]);
}

#[test]
fn an_expired_certificate_is_said_at_both_ends() {
    let folder = Folder::new();
    let (chain, key) = write_certificate(&folder, "expired", 100);
    let mut server = Server::start(&folder, &["--cert", &chain, "--key", &key]);
    let warning = server.next_error();
    assert!(warning.starts_with("warning: ") && warning.contains("expired 86 days ago"), "{warning}");
    refused(&folder, &["echo", server.address(), "--cacert", &chain], 1, &["has expired"]);
    assert_eq!(folder.run(&["echo", server.address(), "-k"], b"hello").text(), "hello");
}

#[test]
fn a_certificate_for_another_name_is_said() {
    let folder = Folder::new();
    // The development certificate is for 127.0.0.1; 127.0.0.2 is as much this machine.
    let server = Server::start_at(&folder, "127.0.0.2:0", &[]);
    refused(&folder, &["echo", server.address()], 1, &["another name"]);
    assert_eq!(folder.run(&["echo", server.address(), "-k"], b"hello").text(), "hello");
}

#[tokio::test]
async fn a_server_of_another_protocol_is_said() {
    let folder = Folder::new();
    let certificate = tls::development::certificate(&[], UnixTime::now()).unwrap();
    let config = tls::development::server_config(&certificate, &[b"something-else"]).unwrap();
    let endpoint = quicast::Endpoint::server(Arc::new(config), "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = endpoint.local_addr().to_string();
    let accepting = endpoint.clone();
    tokio::spawn(async move {
        while let Some(incoming) = accepting.accept().await {
            if let Ok(connecting) = incoming.accept() {
                tokio::spawn(connecting);
            }
        }
    });
    let asked = tokio::task::spawn_blocking(move || {
        refused(&folder, &["echo", &address, "-k"], 1, &["application protocol", "--alpn"])
    });
    asked.await.unwrap();
    endpoint.shutdown(Duration::ZERO).await;
}
