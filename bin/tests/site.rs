//! The HTTP site over TCP, as a process and as its users see it.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;

use rustls::{ClientConnection, StreamOwned};
use support::{Folder, Server, http};
use tls::pki_types::pem::PemObject as _;
use tls::pki_types::{CertificateDer, ServerName};

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A TLS connection to the server, whose certificate is the folder's.
#[expect(clippy::unwrap_used, reason = "a test that cannot connect has failed")]
fn connect(folder: &Folder, server: &Server) -> Secure {
    let certificate = CertificateDer::from_pem_file(folder.path("quicast/development.pem")).unwrap();
    let config = tls::development::client_config([&certificate], &[b"http/1.1"]).unwrap();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let address: SocketAddr = server.address().parse().unwrap();
    StreamOwned::new(connection, TcpStream::connect(address).unwrap())
}

/// The head in lower case, and the body.
#[expect(clippy::unwrap_used, reason = "a test that gets no answer has failed")]
fn ask(folder: &Folder, server: &Server, method: &str, path: &str, headers: &str) -> (u16, String, String) {
    let mut stream = connect(folder, server);
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

#[test]
fn the_port_of_quic_is_an_https_site_that_says_so() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let port = server.address().rsplit_once(':').unwrap().1;
    let (status, head, page) = ask(&folder, &server, "GET", "/", "");
    assert_eq!(status, 200, "{head}");
    assert!(head.contains(&format!("alt-svc: h3=\":{port}\"; ma=86400")), "{head}");
    assert!(page.contains("This page came over") && page.contains("HTTP/1.1"), "{page}");
    // It was counted before its last byte was sent.
    let admin = server.admin();
    let (_, _, metrics) = http(admin, &format!("GET /metrics HTTP/1.0\r\nHost: {admin}\r\n\r\n"));
    let line = "quicast_http_requests_total{protocol=\"h1\",method=\"get\",code=\"2xx\"} 1\n";
    assert!(metrics.contains(line), "{metrics}");
    assert!(metrics.contains("quicast_http_tcp_connections_total{outcome=\"h1\"} 1\n"), "{metrics}");
    // Without TLS, it says what to do.
    let address = server.address().parse().unwrap();
    let (status, _, text) = http(address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(status, 400);
    assert!(text.contains("write https://"), "{text}");
}

#[test]
fn what_is_printed_can_be_typed() {
    let folder = Folder::new();
    let server = Server::start_at(&folder, "localhost:0", &[]);
    let port = server.address().rsplit_once(':').unwrap().1;
    assert_eq!(server.after("site          "), format!("https://localhost:{port}/"));
    let chromium = server.after("  Chromium    ");
    let hash = server.after("  SPKI hash   ");
    assert!(chromium.contains(&format!("--ignore-certificate-errors-spki-list={hash} ")), "{chromium}");
    let line = server.after("  curl        ");
    let Ok(ended) = Command::new("sh").args(["-c", &format!("{line} --silent --show-error")]).output() else {
        println!("skipped: no shell");
        return;
    };
    if ended.status.code() == Some(127) {
        println!("skipped: curl is not installed");
        return;
    }
    let told: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert!(["HTTP/1.1", "HTTP/2"].contains(&told["version"].as_str().unwrap()), "{told}");
    assert!(told["headers"]["user-agent"][0].as_str().unwrap().starts_with("curl/"), "{told}");
}

#[test]
fn the_files_of_a_folder_are_served_and_nothing_else() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path("root/below")).unwrap();
    std::fs::write(folder.path("root/index.html"), "<h1>mine</h1>").unwrap();
    std::fs::write(folder.path("root/below/file.txt"), "0123456789").unwrap();
    std::fs::write(folder.path("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(folder.path("secret"), folder.path("root/link")).unwrap();
    let server = Server::start(&folder, &["--root", &folder.text("root")]);
    let get = |path: &str, headers: &str| ask(&folder, &server, "GET", path, headers);
    assert_eq!(get("/", "").2, "<h1>mine</h1>");
    let (status, head, part) = get("/below/file.txt", "Range: bytes=3-5\r\n");
    assert_eq!((status, part.as_str()), (206, "345"), "{head}");
    assert!(head.contains("content-type: text/plain") && head.contains("alt-svc: h3="), "{head}");
    for path in ["/../secret", "/below/../../secret", "/%2e%2e/secret", "/link", "/bytes/10", "/below/"] {
        let (status, _, body) = get(path, "");
        assert_eq!(status, 404, "{path}");
        assert_ne!(body, "secret", "{path}");
    }
    // The same files as before, over QUIC.
    let arguments = ["echo", server.address(), "--alpn", "hq-interop", "--get", "/below/file.txt"];
    assert_eq!(folder.run(&arguments, b"").text(), "0123456789");
}

#[test]
fn without_tcp_there_is_only_quic() {
    let folder = Folder::new();
    let server = Server::start(&folder, &["--no-tcp"]);
    let address: SocketAddr = server.address().parse().unwrap();
    assert!(TcpStream::connect(address).is_err());
    assert!(!server.said.iter().any(|line| line.contains("https://")), "{:?}", server.said);
    assert_eq!(folder.run(&["echo", server.address()], b"hello").text(), "hello");
}

/// Asks for ten bytes a second for so many seconds, and waits for the first one.
#[expect(clippy::unwrap_used, reason = "a test that gets no answer has failed")]
fn drip(folder: &Folder, server: &Server, seconds: u32) -> Secure {
    let mut stream = connect(folder, server);
    let bytes = 10 * seconds;
    write!(stream, "GET /drip?bytes={bytes}&seconds={seconds} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n.") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    stream
}

#[test]
fn a_request_is_finished_before_the_server_ends() {
    let folder = Folder::new();
    let mut server = Server::start(&folder, &[]);
    let mut slow = drip(&folder, &server, 2);
    server.signal("TERM");
    assert!(server.next_error().starts_with("draining: 1 connection left"));
    let mut rest = String::new();
    slow.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, format!("{}\n", ".".repeat(18)));
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_second_signal_does_not_wait_for_requests() {
    let folder = Folder::new();
    let mut server = Server::start(&folder, &[]);
    let mut slow = drip(&folder, &server, 100);
    server.signal("TERM");
    assert!(server.next_error().starts_with("draining: 1 connection left"));
    // The same signal at once is the same wish: it is repeated until it is another.
    while server.child.try_wait().unwrap().is_none() {
        server.signal("TERM");
    }
    assert_eq!(server.wait(), Some(130));
    let mut rest = String::new();
    assert!(slow.read_to_string(&mut rest).is_err() || rest.len() < 999, "{rest}");
}

#[test]
fn the_port_must_be_free_on_tcp_too() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    // Only on TCP.
    drop(UdpSocket::bind(address).unwrap());
    let address = address.to_string();
    let ended = folder.run(&["serve", "--admin", "off", "--listen", &address], b"");
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    for words in [&*address, "(TCP)", "another program has the port", "--listen", "--no-tcp"] {
        assert!(ended.stderr.contains(words), "no {words:?} in {}", ended.stderr);
    }
    let server = Server::start_at(&folder, &address, &["--no-tcp"]);
    assert_eq!(folder.run(&["echo", server.address()], b"hello").text(), "hello");
}

#[test]
fn secrets_of_tcp_are_written_when_asked_for() {
    let folder = Folder::new();
    let mut server = Server::start(&folder, &["--keylog", &folder.text("keys")]);
    assert!(server.next_error().starts_with("warning: TLS secrets are written to "));
    assert_eq!(ask(&folder, &server, "HEAD", "/", "").0, 200);
    let keys = std::fs::read_to_string(folder.path("keys")).unwrap();
    assert!(keys.lines().any(|line| line.starts_with("SERVER_TRAFFIC_SECRET_0 ")), "{keys}");
    // One warning is enough for both carriers.
    server.signal("TERM");
    assert_eq!(server.next_error(), "");
}
