//! The configuration file: what `serve` takes from it, when it is read again, and what is said of one that is wrong.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

mod support;

use serde_json::{Value, json};
use support::{Folder, Server, Talk, ask};

fn write(folder: &Folder, text: &str) -> String {
    let file = folder.text("quicast.toml");
    std::fs::write(&file, text).unwrap();
    file
}

fn rules(server: &Server) -> Value {
    ask(server.admin(), "GET", "/api/v1/congestion/rules", None, "").1
}

/// The controller of the only connection.
fn controller(server: &Server) -> Value {
    let (_, all) = ask(server.admin(), "GET", "/api/v1/connections", None, "");
    let id = &all["connections"][0]["id"];
    let (status, report) = ask(server.admin(), "GET", &format!("/api/v1/connections/{id}/congestion"), None, "");
    assert_eq!(status, 200, "{report}");
    report["algorithm"].clone()
}

const FIRST: &str = r#"
[serve]
shards = 1
admin_token_file = "token"

[congestion]
default = "newreno"

[[congestion.rule]]
name = "nobody"
alpn = "h3"
use = "cubic"
"#;

const SECOND: &str = r#"
[serve]
shards = 1
admin_token_file = "token"

[congestion]
default = "newreno"

[[congestion.rule]]
name = "echoes"
alpn = ["echo"]
cidr = "127.0.0.0/8"
role = "server"
use = "cubic"
"#;

#[test]
fn a_file_is_checked() {
    let folder = Folder::new();
    let file = write(&folder, FIRST);
    let ended = folder.run(&["check-config", &file], b"");
    assert_eq!(ended.text(), format!("{file}: right\n  nobody: cubic for alpn=h3\n  default: newreno\n"));
    for (text, place, words) in [
        ("[congestion]\ndefault = \"cubik\"\n", ":2:11:", "did you mean \"cubic\""),
        ("[[congestion.rule]]\nname = \"a\"\nuse = \"cubic\"\ncidr = [\"10.0.0.1/8\"]\n", ":4:9:", "not a block"),
        ("[congestion\n", ":1:", ""),
        ("colour = 1\n", ":1:1:", "colour"),
    ] {
        let file = write(&folder, text);
        let ended = folder.run(&["check-config", &file], b"");
        assert_eq!((ended.code, ended.stdout.as_slice()), (Some(2), &b""[..]), "{text}");
        assert!(ended.stderr.starts_with(&format!("quicast: {file}{place}")), "{}", ended.stderr);
        assert!(ended.stderr.contains(words) && ended.stderr.lines().count() == 1, "{}", ended.stderr);
        // And a server does not start with it.
        let refused = folder.run(&["serve", "--config", &file, "--listen", "127.0.0.1:0", "--admin", "off"], b"");
        assert_eq!((refused.code, refused.stderr), (Some(2), ended.stderr));
    }
    let missing = folder.run(&["check-config", &folder.text("missing.toml")], b"");
    assert!(missing.code == Some(2) && missing.stderr.contains("missing.toml"), "{}", missing.stderr);
}

#[test]
fn the_file_says_what_the_command_line_leaves_open_and_is_read_again() {
    let folder = Folder::new();
    let file = write(&folder, FIRST);
    let mut server =
        Server::start_as(&folder, &["serve", "--config", &file, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    assert_eq!(server.after("  token").trim_start(), folder.text("token"), "beside the file");
    let mut talk = Talk::start(&folder, server.address());
    talk.say("hello");
    assert_eq!((&rules(&server)["default"], controller(&server)), (&json!("newreno"), json!("newreno")));
    write(&folder, SECOND);
    server.signal("HUP");
    assert_eq!(server.next_line(), format!("reloaded {file}: 2 differences, for all connections"));
    assert_eq!(server.next_line(), "  - nobody: cubic for alpn=h3");
    assert_eq!(server.next_line(), "  + echoes: cubic for alpn=echo,cidr=127.0.0.0/8,role=server");
    assert_eq!(controller(&server), "cubic");
    // All or nothing: one bad line, and nothing is changed.
    write(&folder, &SECOND.replace("newreno", "cubic").replace("127.0.0.0/8", "127.0.0.1/8"));
    server.signal("HUP");
    let said = server.next_error();
    assert!(said.starts_with(&format!("quicast: {file}:12:8: congestion.rule[0].cidr")), "{said}");
    assert!(said.ends_with("nothing is changed\n"), "{said}");
    assert_eq!((&rules(&server)["default"], controller(&server)), (&json!("newreno"), json!("cubic")));
    // What only a restart brings about is said.
    write(&folder, &FIRST.replace("shards = 1", "shards = 2"));
    server.signal("HUP");
    assert!(server.next_error().contains("needs a restart"));
    assert_eq!(server.next_line(), format!("reloaded {file}: 2 differences, for all connections"));
    assert_eq!(talk.end(), Some(0));
}

#[test]
fn the_command_line_wins() {
    let folder = Folder::new();
    let file = write(&folder, &FIRST.replace("[serve]", "[serve]\nlisten = \"nowhere\"\nadmin = \"0.0.0.0:1\""));
    let arguments = ["serve", "--config", &file, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--cc", "cubic"];
    let mut server = Server::start_as(&folder, &arguments);
    assert_eq!(rules(&server)["default"], "cubic");
    server.signal("HUP");
    assert_eq!(server.next_line(), format!("reloaded {file}: no difference, for all connections"));
    assert_eq!(rules(&server)["default"], "cubic");
}

#[test]
fn without_a_file_there_is_nothing_to_read_again() {
    let folder = Folder::new();
    let mut server = Server::start(&folder, &[]);
    server.signal("HUP");
    assert!(server.next_error().contains("start with --config"));
}
