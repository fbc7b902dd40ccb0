//! The admin address answers those who may ask, and only reads.

mod support;

use std::net::SocketAddr;

use support::{Folder, Server, Talk, http};

fn request(method: &str, path: &str, host: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n")
}

fn get(admin: SocketAddr, path: &str) -> (u16, String, String) {
    http(admin, &request("GET", path, &admin.to_string(), ""))
}

#[test]
fn every_route_answers() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let admin = server.admin();
    assert_eq!(get(admin, "/healthz").2, "ok\n");
    assert_eq!(get(admin, "/readyz").2, "ready\n");
    let (status, head, metrics) = get(admin, "/metrics");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(head.contains("x-content-type-options: nosniff") && head.contains("cache-control: no-store"), "{head}");
    assert!(!head.contains("access-control"), "{head}");
    assert!(metrics.contains("# TYPE quicast_socket_received_bytes_total counter"));
    assert!(metrics.lines().count() < 2 * 2000 + 500, "too many series");
    let (status, head, page) = get(admin, "/");
    assert!(status == 200 && head.contains("content-security-policy: default-src 'none'"), "{head}");
    // Nothing comes from elsewhere, and what the page names is there.
    assert!(!page.contains("http://") && !page.contains("https://"));
    for path in ["/page.js", "/page.css", "/api/v1/overview"] {
        assert_eq!(get(admin, path).0, 200, "{path}");
    }
    assert_eq!(get(admin, "/none").0, 404);
    let (status, _, body) = http(admin, &request("HEAD", "/healthz", &admin.to_string(), ""));
    assert_eq!((status, body.as_str()), (200, ""));
}

#[test]
fn connections_are_shown_while_they_last() {
    let folder = Folder::new();
    let server = Server::start(&folder, &["--cc", "newreno"]);
    let admin = server.admin();
    let list = |query: &str| {
        let (status, _, body) = get(admin, &format!("/api/v1/connections{query}"));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<serde_json::Value>(&body).unwrap()
    };
    assert_eq!(list("")["total"], 0);
    let mut talk = Talk::start(&folder, server.address());
    talk.say("hello");
    let all = list("");
    assert_eq!(all["total"], 1, "{all}");
    let connection = &all["connections"][0];
    assert_eq!(connection["alpn"], "echo");
    assert_eq!(connection["role"], "server");
    assert_eq!(connection["congestion"]["algorithm"], "newreno");
    assert_eq!(list("?alpn=echo&cc=newreno&role=server")["total"], 1);
    assert_eq!(list("?alpn=hq-interop")["total"], 0);
    assert_eq!(list("?limit=0")["connections"], serde_json::json!([]));
    let id = connection["id"].as_u64().unwrap();
    let (status, _, one) = get(admin, &format!("/api/v1/connections/{id}"));
    assert_eq!(status, 200);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&one).unwrap()["id"], id);
    assert_eq!(get(admin, &format!("/api/v1/connections/{}", id + 1)).0, 404);
    for bad in ["/api/v1/connections/x", "/api/v1/connections?colour=red", "/api/v1/connections?limit=-1"] {
        let (status, _, body) = get(admin, bad);
        assert!(status == 400 && body.starts_with("{\"error\":"), "{bad}: {status} {body}");
    }
    assert_eq!(talk.end(), Some(0));
}

#[test]
fn only_who_names_this_address_is_answered() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let admin = server.admin();
    let port = admin.port();
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")] {
        assert_eq!(http(admin, &request("GET", "/metrics", &host, "")).0, 200, "{host}");
    }
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("localhost.:{port}"),
        "127.0.0.1".to_owned(),
        "127.0.0.1:1".to_owned(),
        String::new(),
    ] {
        for path in ["/metrics", "/", "/none", "/api/v1/connections"] {
            assert_eq!(http(admin, &request("GET", path, &host, "")).0, 421, "{host} {path}");
        }
    }
    assert_eq!(http(admin, "GET /metrics HTTP/1.0\r\n\r\n").0, 421);
}

#[test]
fn pages_of_others_and_changes_are_refused() {
    let folder = Folder::new();
    let server = Server::start(&folder, &["--admin-token-file", &folder.text("token")]);
    let admin = server.admin();
    let host = admin.to_string();
    let ask = |method: &str, more: &str| http(admin, &request(method, "/metrics", &host, more));
    assert_eq!(ask("GET", "Origin: http://evil.example\r\n").0, 403);
    assert_eq!(ask("GET", "Origin: null\r\n").0, 403);
    assert_eq!(ask("GET", "Sec-Fetch-Site: cross-site\r\n").0, 403);
    assert_eq!(ask("GET", &format!("Origin: http://{host}\r\nSec-Fetch-Site: same-origin\r\n")).0, 200);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let (status, head, _) = ask(method, "Content-Length: 0\r\n");
        assert_eq!(status, 405, "{method}");
        assert!(head.contains("allow: get, head"), "{head}");
    }
    assert_eq!(ask("GET", "Authorization: Bearer wrong\r\n").0, 401);
    let token = std::fs::read_to_string(folder.path("token")).unwrap();
    assert_eq!(ask("GET", &format!("Authorization: Bearer {}\r\n", token.trim())).0, 200);
    assert_eq!(ask("GET", "Content-Length: 5000\r\n").0, 413);
    assert_eq!(ask("GET", &format!("X: {}\r\n", "x".repeat(9000))).0, 431);
    assert_eq!(ask("GET", &"X: y\r\n".repeat(40)).0, 431);
    // What was refused has been counted, in few series whatever the paths were.
    let (_, _, metrics) = get(admin, "/metrics");
    let counted: Vec<_> = metrics.lines().filter(|line| line.starts_with("quicast_admin_requests_total{")).collect();
    assert!(counted.len() < 200, "{}", counted.len());
}
