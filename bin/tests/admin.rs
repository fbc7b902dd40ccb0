//! The admin address answers those who may ask, and changes congestion controllers for those who have the token.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod support;

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::{Value, json};
use support::{Folder, Server, Talk, ask, http};

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
    for path in ["/page.js", "/congestion.js", "/page.css", "/api/v1/overview"] {
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
        serde_json::from_str::<Value>(&body).unwrap()
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
    assert_eq!(serde_json::from_str::<Value>(&one).unwrap()["id"], id);
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

/// A server with one connection, and how to ask for changes.
struct Controlled {
    server: Server,
    talk: Talk,
    token: String,
    id: u64,
}

impl Controlled {
    fn start(folder: &Folder) -> Self {
        let server = Server::start(folder, &[]);
        let mut talk = Talk::start(folder, server.address());
        talk.say("hello");
        let (_, all) = ask(server.admin(), "GET", "/api/v1/connections", None, "");
        let id = all["connections"][0]["id"].as_u64().unwrap();
        Self { token: server.token(), server, talk, id }
    }

    /// Asks with the token; again if there were too many changes just now.
    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        loop {
            let (status, answer) = ask(self.server.admin(), method, path, Some(&self.token), body);
            if status != 429 {
                return (status, answer);
            }
        }
    }

    #[track_caller]
    fn done(&self, method: &str, path: &str, body: &str) -> Value {
        let (status, answer) = self.ask(method, path, body);
        assert_eq!(status, 200, "{method} {path} {body}: {answer}");
        answer
    }

    fn path(&self) -> String {
        format!("/api/v1/connections/{}/congestion", self.id)
    }

    fn report(&self) -> Value {
        self.done("GET", &self.path(), "")
    }

    /// Of this metric with this in its labels.
    fn counted(&self, metric: &str, label: &str) -> f64 {
        loop {
            // A text is good for a second.
            let (status, _, metrics) = get(self.server.admin(), "/metrics");
            assert_eq!(status, 200);
            let line = metrics.lines().find(|line| line.starts_with(metric) && line.contains(label));
            let value = line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse().ok());
            if let Some(value) = value.filter(|value| *value > 0.0) {
                return value;
            }
        }
    }
}

#[test]
fn algorithms_describe_themselves() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let (status, answer) = ask(server.admin(), "GET", "/api/v1/congestion/algorithms", None, "");
    assert_eq!(status, 200);
    let algorithms = answer["algorithms"].as_array().unwrap();
    let names: Vec<_> = algorithms.iter().map(|algorithm| algorithm["name"].as_str().unwrap()).collect();
    assert_eq!(names, quicast::Algorithm::ALL.map(|algorithm| algorithm.name()));
    for (shown, algorithm) in algorithms.iter().zip(quicast::Algorithm::ALL) {
        assert_eq!(shown["about"], algorithm.about());
        let parameters = shown["parameters"].as_array().unwrap();
        let defaults: Vec<_> = parameters.iter().map(|parameter| parameter["default"].as_str().unwrap()).collect();
        let expected = algorithm.describe().map(|(parameter, value)| parameter.show(value));
        assert_eq!(defaults, expected.collect::<Vec<_>>());
    }
}

#[test]
fn the_controller_of_a_connection_is_shown_changed_and_taken_back() {
    let folder = Folder::new();
    let mut all = Controlled::start(&folder);
    let before = all.report();
    assert_eq!((&before["algorithm"], &before["reason"]["by"]), (&json!("cubic"), &json!("default")), "{before}");
    assert_eq!((&before["history"], &before["shadow"]), (&json!([]), &Value::Null));
    let tried = all.done("PUT", &all.path(), r#"{"algorithm":"newreno","dry_run":true}"#);
    assert_eq!((&tried["to"], &tried["change"]), (&json!("newreno"), &Value::Null), "{tried}");
    assert_eq!(all.report()["algorithm"], "cubic");
    let order = r#"{"algorithm":"New-Reno","trial_seconds":0.1,"least_goodput":0,"by":"dashboard"}"#;
    let changed = all.done("PUT", &all.path(), order);
    assert_eq!(
        (&changed["from"], &changed["to"], &changed["chosen"]),
        (&json!("cubic"), &json!("newreno"), &json!(true))
    );
    assert_eq!(changed["details"]["window_before_bytes"], changed["details"]["window_after_bytes"]);
    let number = changed["change"].as_u64().unwrap();
    let path = format!("/api/v1/congestion/changes/{number}");
    // A trial is judged by what is sent.
    let judged = loop {
        all.talk.say("more");
        let change = all.done("GET", &path, "");
        if change["on_trial"] == false {
            break change;
        }
    };
    assert_eq!((&judged["fates"], &judged["by"]), (&json!({"unproven": 1}), &json!("dashboard")), "{judged}");
    assert_eq!(
        (&judged["connections"][0]["from"], &judged["connections"][0]["verdict"]),
        (&json!("cubic"), &json!("unproven"))
    );
    let after = all.report();
    assert_eq!((&after["algorithm"], &after["reason"]["by"]), (&json!("newreno"), &json!("choice")));
    let [change] = after["history"].as_array().unwrap().as_slice() else { panic!("{after}") };
    assert_eq!((&change["by"], &change["verdict"]), (&json!("dashboard"), &json!("unproven")));
    assert!(change["seconds_ago"].as_f64().unwrap() < 60.0);
    // Nobody had chosen what there was before: so rules give it again.
    let undone = all.done("DELETE", &path, "");
    assert_eq!((&undone["undone"], &undone["left"]), (&json!(1), &json!(0)), "{undone}");
    let back = all.report();
    assert_eq!((&back["algorithm"], &back["reason"]["by"]), (&json!("cubic"), &json!("default")));
    let (status, refused) = all.ask("DELETE", &path, "");
    assert!(status == 409 && refused["error"].as_str().unwrap().contains("already"), "{refused}");
    assert_eq!(all.done("GET", "/api/v1/congestion/changes", "")["changes"][0]["undone"], true);
    // What nobody had chosen comes back, even if rules would give something else by now.
    let rules = r#"{"default":"newreno","apply_to":"new","rules":[]}"#;
    let rules = all.done("PUT", "/api/v1/congestion/rules", rules);
    let again = all.done("PUT", &all.path(), r#"{"algorithm":"newreno"}"#);
    let path = |change: &Value| format!("/api/v1/congestion/changes/{}", change["change"]);
    assert_eq!(all.done("DELETE", &path(&again), "")["undone"], 1);
    let back = all.report();
    assert_eq!((&back["algorithm"], &back["reason"]["by"]), (&json!("cubic"), &json!("earlier")));
    all.done("DELETE", &path(&rules), "");
    // A choice that was made before comes back as a choice.
    all.done("PUT", &all.path(), r#"{"algorithm":"newreno"}"#);
    let cleared = all.done("PUT", &all.path(), r#"{"algorithm":null}"#);
    assert_eq!((&cleared["to"], &cleared["chosen"]), (&json!("cubic"), &json!(false)), "{cleared}");
    let path = format!("/api/v1/congestion/changes/{}", cleared["change"]);
    assert_eq!(all.done("DELETE", &path, "")["undone"], 1);
    let back = all.report();
    assert_eq!((&back["algorithm"], &back["reason"]["by"]), (&json!("newreno"), &json!("choice")));
    assert_eq!(all.talk.end(), Some(0));
}

#[test]
fn many_connections_are_chosen_watched_and_left_alone_when_something_else_happened_since() {
    let folder = Folder::new();
    let all = Controlled::start(&folder);
    let mut second = Talk::start(&folder, all.server.address());
    second.say("hello");
    let put = |body: &str| all.done("PUT", "/api/v1/congestion", body);
    let tried = put(r#"{"algorithm":"newreno","where":{"alpn":["echo","h3"],"cidr":"127.0.0.0/8"},"dry_run":true}"#);
    assert_eq!((&tried["matched"], &tried["changed"], &tried["change"]), (&json!(2), &json!(2), &Value::Null));
    let nobody = put(r#"{"algorithm":"newreno","where":"alpn=h3"}"#);
    assert_eq!((&nobody["matched"], &nobody["change"]), (&json!(0), &Value::Null), "{nobody}");
    let shadows = put(r#"{"algorithm":"newreno","shadow":true}"#);
    assert_eq!((&shadows["changed"], &shadows["change"]), (&json!(2), &Value::Null));
    assert_eq!(all.report()["shadow"]["algorithm"], "newreno");
    put(r#"{"algorithm":null,"shadow":true}"#);
    assert_eq!(all.report()["shadow"], Value::Null);
    let shadow = format!("{}/shadow", all.path());
    assert_eq!(all.done("PUT", &shadow, r#"{"algorithm":"cubic"}"#)["shadow"], "cubic");
    assert_eq!(all.report()["shadow"]["algorithm"], "cubic");
    assert_eq!(all.done("PUT", &shadow, r#"{"algorithm":null}"#)["shadow"], Value::Null);
    let changed = put(r#"{"algorithm":"newreno","where":"cc=cubic","by":"cli"}"#);
    assert_eq!((&changed["matched"], &changed["changed"], &changed["refused"]), (&json!(2), &json!(2), &json!([])));
    let summary = all.done("GET", "/api/v1/congestion", "");
    let [group] = summary["groups"].as_array().unwrap().as_slice() else { panic!("{summary}") };
    assert_eq!(
        (&group["algorithm"], &group["by"], &group["connections"]),
        (&json!("newreno"), &json!("choice"), &json!(2))
    );
    assert!(group["window_bytes"].as_u64().unwrap() > 0);
    // One of them is changed again: it is left as it is when the first change is taken back.
    all.done("PUT", &all.path(), r#"{"algorithm":"cubic"}"#);
    let undone = all.done("DELETE", &format!("/api/v1/congestion/changes/{}", changed["change"]), "");
    assert_eq!((&undone["undone"], &undone["left"], &undone["gone"]), (&json!(1), &json!(1), &json!(0)), "{undone}");
    assert_eq!(all.report()["reason"]["by"], "choice");
    assert_eq!(second.end(), Some(0));
    assert_eq!(all.talk.end(), Some(0));
}

#[test]
fn rules_are_replaced_as_a_whole_and_taken_back() {
    let folder = Folder::new();
    let all = Controlled::start(&folder);
    let rules = r#"{"default":"cubic","rules":[
        {"name":"echoes","alpn":["echo"],"cidr":"127.0.0.0/8","role":"server","rtt":"..10s","use":"newreno","params":{}},
        {"name":"rest","use":"cubic"}]}"#;
    let put = |body: &str| all.done("PUT", "/api/v1/congestion/rules", body);
    let tried = put(&rules.replacen('{', r#"{"dry_run":true,"#, 1));
    assert_eq!((&tried["following"], &tried["dry_run"]), (&json!(1), &json!(true)), "{tried}");
    let shown = all.done("GET", "/api/v1/congestion/rules", "");
    assert_eq!((&shown["default"], &shown["rules"]), (&json!("cubic"), &json!([])));
    let set = put(rules);
    assert_eq!(set["difference"].as_array().unwrap().len(), 2, "{set}");
    let report = all.report();
    assert_eq!(
        (&report["algorithm"], &report["reason"]),
        (&json!("newreno"), &json!({"by": "rule", "rule": "echoes"}))
    );
    assert_eq!(report["history"][0]["by"], "config");
    let shown = all.done("GET", "/api/v1/congestion/rules", "");
    assert_eq!(shown["rules"][0]["where"], "alpn=echo,cidr=127.0.0.0/8,role=server,rtt=..10s");
    // Whoever begins later follows the new ones; who is there stays.
    let new = put(r#"{"default":"newreno","apply_to":"new","rules":[{"name":"all","use":"cubic"}]}"#);
    assert_eq!((&new["following"], &all.report()["reason"]["by"]), (&json!(0), &json!("earlier")));
    // Changes of rules are taken back in the order in which they came.
    let undo = |set: &Value| all.ask("DELETE", &format!("/api/v1/congestion/changes/{}", set["change"]), "");
    let (status, refused) = undo(&set);
    assert!(status == 409 && refused["error"].as_str().unwrap().contains("changed since"), "{refused}");
    assert_eq!(undo(&new).0, 200);
    assert_eq!(all.done("GET", "/api/v1/congestion/rules", "")["rules"].as_array().unwrap().len(), 2);
    assert_eq!(undo(&set).0, 200);
    assert_eq!(all.report()["algorithm"], "cubic");
    assert_eq!(all.talk.end(), Some(0));
}

#[test]
fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let folder = Folder::new();
    let all = Controlled::start(&folder);
    let (one, many, rules) = (all.path(), "/api/v1/congestion".to_owned(), "/api/v1/congestion/rules".to_owned());
    let shadow = format!("{one}/shadow");
    let gone = format!("/api/v1/connections/{}/congestion", all.id + 1);
    let malformed = "{\"algorithm\":\n  cubic}";
    for (path, body, status, words) in [
        (&one, malformed, 400, "line 2 column 3"),
        (&one, "{}", 400, "missing field `algorithm`"),
        (&one, r#"{"algorithm":7}"#, 400, "invalid type"),
        (&one, r#"{"algorithm":"cubic","colour":"red"}"#, 400, "unknown field `colour`"),
        (&one, r#"{"algorithm":"cubik"}"#, 422, "did you mean \"cubic\""),
        (&one, r#"{"algorithm":"cubic","parameters":{"speed":7}}"#, 422, "no parameter is named \"speed\""),
        (&one, r#"{"algorithm":"bbr","parameters":{"cwnd_gain":99}}"#, 422, "cwnd_gain may not be \"99\""),
        (&one, r#"{"algorithm":"ledbat","parameters":{"target":"never"}}"#, 422, "target may not be \"never\""),
        (&one, r#"{"algorithm":"cubic","trial_seconds":4000}"#, 422, "0.1 to 3600 s"),
        (&gone, r#"{"algorithm":"newreno"}"#, 404, "no connection"),
        (&gone, r#"{"algorithm":"cubik"}"#, 422, "did you mean"),
        (&shadow, r#"{"algorithm":"cubik"}"#, 422, "did you mean \"cubic\""),
        (&many, r#"{"algorithm":"newreno","where":{"cidr":["10.0.0.1/8"]}}"#, 422, "with zeros after the prefix"),
        (&many, r#"{"algorithm":"newreno","where":"alpn"}"#, 422, "KIND=VALUE"),
        (&many, r#"{"algorithm":"newreno","percent":0}"#, 422, "more than 0"),
        (&rules, r#"{"default":"newreno","rules":[{"name":"a","use":"newreno","cidr":"x"}]}"#, 422, "not a block"),
        (&rules, r#"{"default":"newreno","rules":[{"name":"a"}]}"#, 400, "missing field `use`"),
        (&rules, r#"{"default":"newreno","apply_to":"old","rules":[]}"#, 400, "unknown variant"),
        (&"/api/v1/connections/x/congestion".to_owned(), r#"{"algorithm":"newreno"}"#, 400, "is a number"),
    ] {
        let (found, answer) = all.ask("PUT", path, body);
        assert_eq!(found, status, "{path} {body}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(words), "{path} {body}: {answer}");
    }
    let (_, answer) = all.ask("PUT", &one, malformed);
    assert_eq!((&answer["line"], &answer["column"]), (&json!(2), &json!(3)));
    let (_, answer) =
        all.ask("PUT", &rules, r#"{"default":"newreno","rules":[{"name":"a","use":"newreno","cidr":["::1","x"]}]}"#);
    assert_eq!(answer["field"], "rules[0].cidr[1]");
    assert_eq!(all.ask("GET", &gone, "").0, 404);
    assert_eq!(all.ask("GET", "/api/v1/congestion/changes/7", "").0, 404);
    assert_eq!(all.ask("DELETE", "/api/v1/congestion/changes/7", "").0, 404);
    assert_eq!(all.ask("GET", "/api/v1/congestion?seconds=11", "").0, 400);
    // Nothing is changed by any of it.
    let report = all.report();
    assert_eq!(
        (&report["algorithm"], &report["history"], &report["shadow"]),
        (&json!("cubic"), &json!([]), &Value::Null)
    );
    assert_eq!(all.done("GET", &rules, "")["rules"], json!([]));
    assert_eq!(all.done("GET", "/api/v1/congestion/changes", "")["changes"], json!([]));
    for reason in ["unknown_controller", "bad_parameter", "not_found"] {
        all.counted("quicast_congestion_switch_failures_total{", &format!("reason=\"{reason}\""));
    }
    assert_eq!(all.talk.end(), Some(0));
}

#[test]
fn a_change_needs_the_token_json_and_patience() {
    let folder = Folder::new();
    let all = Controlled::start(&folder);
    let (admin, path) = (all.server.admin(), all.path());
    let body = r#"{"algorithm":"newreno"}"#;
    let with = |more: &str, body: &str| {
        let length = format!("Content-Length: {}\r\n{more}", body.len());
        let request = request("PUT", &path, &admin.to_string(), &length) + body;
        http(admin, &request)
    };
    let json = "Content-Type: application/json\r\n";
    let token = format!("Authorization: Bearer {}\r\n", all.token);
    let (status, _, said) = with(json, body);
    assert!(status == 401 && said.contains("admin-"), "{said}");
    // Another digit in one place.
    let (first, rest) = all.token.split_at(1);
    let wrong = format!("{}{rest}", if first == "0" { "1" } else { "0" });
    assert_eq!(with(&format!("{json}Authorization: Bearer {wrong}\r\n"), body).0, 401);
    assert_eq!(with(&format!("{json}Authorization: {}\r\n", all.token), body).0, 401);
    assert_eq!(with(&format!("{json}{token}Origin: http://evil.example\r\n"), body).0, 403);
    assert_eq!(with(&format!("{json}{token}Sec-Fetch-Site: same-site\r\n"), body).0, 403);
    assert_eq!(with(&token, body).0, 415);
    assert_eq!(with(&format!("{token}Content-Type: text/plain\r\n"), body).0, 415);
    let long = format!("{body}{}", " ".repeat(4097 - body.len()));
    assert_eq!(with(&format!("{json}{token}"), &long).0, 413);
    let chunked = format!("{json}{token}Transfer-Encoding: chunked\r\n");
    let chunks = format!("1100\r\n{}\r\n0\r\n\r\n", " ".repeat(0x1100));
    assert_eq!(http(admin, &(request("PUT", &path, &admin.to_string(), &chunked) + &chunks)).0, 413);
    for method in ["POST", "DELETE", "PATCH"] {
        let (status, head, _) = http(admin, &request(method, &path, &admin.to_string(), &token));
        assert!(status == 405 && head.contains("allow: get, head, put"), "{method}: {status} {head}");
    }
    assert_eq!(all.report()["algorithm"], "cubic");
    all.counted("quicast_congestion_switch_failures_total{", "reason=\"forbidden\"");
    // As long as it may be, and from this page, it is taken.
    let long = &long[..4096];
    let own = format!("{json}{token}Origin: http://{admin}\r\nSec-Fetch-Site: same-origin\r\n");
    assert_eq!(with(&own, long).0, 200);
    // More than ten a second are not.
    let dry = r#"{"algorithm":"cubic","dry_run":true}"#;
    let mut asked = 0;
    let refused = loop {
        let answer = with(&format!("{json}{token}"), dry);
        asked += 1;
        if answer.0 == 429 {
            break answer;
        }
        assert!(answer.0 == 200 && asked < 10_000, "{answer:?}");
    };
    assert!(asked > 10 || refused.1.contains("retry-after: 1"), "{asked} {refused:?}");
    assert!(refused.1.contains("retry-after: 1") && refused.2.contains("10 changes a second"), "{refused:?}");
    all.counted("quicast_admin_requests_total{", "route=\"connection_congestion\",code=\"429\"");
    assert_eq!(all.talk.end(), Some(0));
}

#[test]
fn a_connection_that_is_closing_is_not_changed() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let (admin, token) = (server.admin(), server.token());
    // It is closing for some round-trip times only: so again, until it is caught.
    for _ in 0..200 {
        let mut talk = folder.command(&["echo", server.address()]);
        let mut talk = talk.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        talk.stdin.take().unwrap().write_all(b"close 7 bye").unwrap();
        let caught = loop {
            let (_, all) = ask(admin, "GET", "/api/v1/connections", None, "");
            let states = all["connections"].as_array().unwrap().iter();
            let closing = states.clone().find(|connection| connection["state"] == "closing");
            if closing.is_some() || talk.try_wait().unwrap().is_some() {
                break closing.map(|connection| connection["id"].as_u64().unwrap());
            }
        };
        talk.wait().unwrap();
        let Some(id) = caught else { continue };
        let path = format!("/api/v1/connections/{id}/congestion");
        let (status, answer) = ask(admin, "PUT", &path, Some(&token), r#"{"algorithm":"newreno"}"#);
        if status == 409 {
            assert_eq!(answer["error"], "the connection is closing");
            return;
        }
        assert!(matches!(status, 404 | 429), "{status} {answer}");
    }
    panic!("no connection was caught while it was closing");
}

#[test]
fn the_token_is_made_for_this_process_and_goes_with_it() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let file = folder.path("run").join(format!("quicast/admin-{}.token", server.admin().port()));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(server.token().len(), 64);
    assert!(!server.said.iter().any(|line| line.contains(&server.token())), "{:?}", server.said);
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(!file.exists());
}

#[test]
fn without_a_runtime_directory_the_token_is_in_the_cache() {
    let folder = Folder::new();
    std::fs::write(folder.path("run"), "no folder").unwrap();
    let server = Server::start(&folder, &[]);
    let file = folder.text(&format!("quicast/admin-{}.token", server.admin().port()));
    assert_eq!(server.after("  token").trim_start(), file);
    // And there it is found.
    let url = format!("http://{}", server.admin());
    let nobody = folder.run(&["cc", "set", "newreno", "--all", "--admin", &url], b"");
    assert!(nobody.code == Some(1) && nobody.stderr.contains("no connection fits"), "{}", nobody.stderr);
}

#[test]
fn a_trial_that_is_overtaken_or_outlived_is_told_as_such() {
    let folder = Folder::new();
    let all = Controlled::start(&folder);
    let order = r#"{"algorithm":"newreno","trial_seconds":600}"#;
    let change = |answer: &Value| format!("/api/v1/congestion/changes/{}", answer["change"]);
    let first = change(&all.done("PUT", &all.path(), order));
    let now = all.done("GET", &first, "");
    assert_eq!((&now["fates"], &now["on_trial"]), (&json!({"on_trial": 1}), &json!(true)), "{now}");
    assert_eq!(all.done("GET", "/api/v1/congestion", "")["groups"][0]["on_trial"], 1);
    let second = change(&all.done("PUT", "/api/v1/congestion", order));
    assert_eq!(all.done("GET", &first, "")["fates"], json!({"superseded": 1}));
    let Controlled { server, talk, token, .. } = all;
    assert_eq!(talk.end(), Some(0));
    let get = |path: &str| ask(server.admin(), "GET", path, None, "").1;
    while get("/api/v1/connections")["total"] != 0 {}
    let gone = get(&second);
    assert_eq!((&gone["fates"], &gone["on_trial"]), (&json!({"gone": 1}), &json!(false)), "{gone}");
    // There is nobody to take it back from, which is no failure.
    let (status, undone) = ask(server.admin(), "DELETE", &second, Some(&token), "");
    assert_eq!((status, &undone["undone"], &undone["gone"]), (200, &json!(0), &json!(1)), "{undone}");
}
