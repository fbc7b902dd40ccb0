//! `quicast cc`, against a server with connections.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where it fails")]

#[path = "../support/mod.rs"]
mod support;
mod swaps;

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;
use support::{Ended, Folder, Server, Talk};

/// A server with a connection.
struct Played {
    folder: Folder,
    server: Server,
    talk: Talk,
}

impl Played {
    fn start() -> Self {
        let folder = Folder::new();
        let server = Server::start(&folder, &[]);
        let mut talk = Talk::start(&folder, server.address());
        talk.say("hello");
        Self { folder, server, talk }
    }

    fn admin(&self) -> String {
        format!("http://{}", self.server.admin())
    }

    /// `quicast cc` with these words.
    fn cc(&self, words: &[&str]) -> Ended {
        self.folder.run(&[&["cc", "--admin", &self.admin()], words].concat(), b"")
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> Value {
        self.cc(&[words, &["--json"]].concat()).json()
    }

    #[track_caller]
    fn refused(&self, words: &[&str], code: i32, said: &[&str]) {
        let ended = self.cc(words);
        assert_eq!((ended.code, ended.stderr.lines().count()), (Some(code), 1), "{words:?}: {}", ended.stderr);
        for said in said {
            assert!(ended.stderr.contains(said), "{words:?}: no {said:?} in {}", ended.stderr);
        }
    }

    fn controller(&self) -> String {
        self.json(&["show"])["groups"][0]["algorithm"].as_str().unwrap().to_owned()
    }
}

#[test]
fn what_there_is_is_listed_and_shown() {
    let played = Played::start();
    let listed = played.cc(&["list"]);
    for algorithm in quicast::Algorithm::ALL {
        assert!(listed.text().lines().any(|line| line.starts_with(&format!("{} ", algorithm.name()))), "{algorithm}");
        for (parameter, default) in algorithm.describe() {
            let shown = format!("    {}={}  ", parameter.name, parameter.show(default));
            assert!(listed.text().contains(&shown), "{shown}");
        }
    }
    assert_eq!(played.json(&["list"])["algorithms"].as_array().unwrap().len(), quicast::Algorithm::ALL.len());
    let shown = played.cc(&["show"]);
    let lines: Vec<&str> = shown.text().lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("cc ") && lines[0].ends_with("rule"), "{lines:?}");
    assert!(lines[1].starts_with("cubic  1 ") && lines[1].ends_with("default"), "{lines:?}");
    let one = played.cc(&["show", "1"]);
    assert!(one.text().contains("controller   cubic") && one.text().contains("it is the default"), "{}", one.text());
    assert_eq!(played.cc(&["history"]).text(), "no changes\n");
    assert_eq!(played.cc(&["history", "1"]).text(), "no changes\n");
    assert_eq!(played.cc(&["rules"]).text().lines().last(), Some("(default)  cubic"));
    assert_eq!(played.talk.end(), Some(0));
}

#[test]
fn controllers_are_set_and_taken_back() {
    let played = Played::start();
    let said = |words: &[&str]| played.cc(words).text().to_owned();
    assert_eq!(
        said(&["set", "newreno", "--connection", "1", "--dry-run"]),
        "connection 1: would change from cubic to newreno\n"
    );
    assert_eq!(said(&["set", "newreno", "--all", "--dry-run"]), "matched 1, would change 1\n");
    let one = said(&["set", "newreno", "--connection", "1"]);
    assert!(one.starts_with("connection 1: cubic -> newreno, window "), "{one}");
    assert!(one.ends_with("change 1 (undo: quicast cc undo 1)\n"), "{one}");
    assert_eq!(played.controller(), "newreno");
    assert_eq!(said(&["undo", "1"]), "change 1 is taken back: 1 have again what they had\n");
    assert_eq!(played.controller(), "cubic");
    played.refused(&["undo", "1"], 1, &["taken back already"]);
    let many = said(&["set", "NewReno", "--where", "alpn=echo,cidr=127.0.0.0/8", "--percent", "100"]);
    assert_eq!(many, "matched 1, changed 1, refused 0   change 2 (undo: quicast cc undo 2)\n");
    let cleared = said(&["set", "--clear", "--all"]);
    assert_eq!(cleared, "matched 1, changed 1, refused 0   change 3 (undo: quicast cc undo 3)\n");
    assert_eq!(played.controller(), "cubic");
    let history = said(&["history"]);
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!(lines.len(), 4, "{history}");
    assert!(lines[1].starts_with("1 ") && lines[1].contains("taken back"), "{history}");
    assert!(lines[3].contains("what rules say"), "{history}");
    let of_connection = said(&["history", "1"]);
    assert_eq!(of_connection.lines().count(), 5, "{of_connection}");
    assert!(of_connection.contains(" cli ") && of_connection.contains(" config "), "{of_connection}");
    let shadow = said(&["shadow", "newreno", "--all"]);
    assert!(shadow.starts_with("1 connections: newreno watches now"), "{shadow}");
    assert!(said(&["show", "1"]).contains("shadow       newreno"));
    assert_eq!(said(&["shadow", "off", "--connection", "1"]), "connection 1: no controller watches any more\n");
    assert!(!said(&["show", "1"]).contains("shadow"));
    assert_eq!(played.talk.end(), Some(0));
}

#[test]
fn a_trial_is_waited_for() {
    let mut played = Played::start();
    let mut command =
        played.folder.command(&["cc", "set", "newreno", "--all", "--trial", "0.2", "--admin", &played.admin()]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let waiting = std::thread::spawn(move || child.wait_with_output().unwrap());
    // Trials are judged by what is sent.
    while !waiting.is_finished() {
        played.talk.say("more");
    }
    let ended = waiting.join().unwrap();
    let (stdout, stderr) = (String::from_utf8(ended.stdout).unwrap(), String::from_utf8(ended.stderr).unwrap());
    assert_eq!((ended.status.code(), stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.ends_with("after 0.2 s: 1 unproven\n"), "{stdout}");
    assert_eq!(played.talk.end(), Some(0));
}

#[test]
fn rules_are_set_from_a_file() {
    let played = Played::start();
    let file = played.folder.text("rules.toml");
    let rules = "[congestion]\n[[congestion.rule]]\nname = \"echoes\"\nalpn = \"echo\"\nuse = \"newreno\"\n";
    std::fs::write(&file, rules).unwrap();
    let tried = played.cc(&["rules", "set", &file, "--dry-run"]);
    assert_eq!(
        tried.text(),
        "  + echoes: newreno for alpn=echo\nnothing is changed; 1 connections would get another controller\n"
    );
    let set = played.cc(&["rules", "set", &file]);
    assert!(
        set.text().ends_with("1 connections get another controller   change 1 (undo: quicast cc undo 1)\n"),
        "{}",
        set.text()
    );
    assert_eq!(played.controller(), "newreno");
    assert!(played.cc(&["show"]).text().contains("echoes"));
    assert!(played.cc(&["rules"]).text().contains("echoes     newreno  alpn=echo"));
    assert_eq!(played.cc(&["undo", "1"]).text(), "change 1 is taken back:\n  - echoes: newreno for alpn=echo\n");
    assert_eq!(played.controller(), "cubic");
    std::fs::write(&file, rules.replace("newreno", "newrenno")).unwrap();
    played.refused(&["rules", "set", &file], 2, &["rules.toml:5:7:", "did you mean \"newreno\""]);
    assert_eq!(played.talk.end(), Some(0));
}

#[test]
fn changes_are_watched() {
    let mut played = Played::start();
    let mut command = played.folder.command(&["cc", "watch", "--json", "--admin", &played.admin()]);
    let mut watch = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // What was before its first look is not told: so there are changes until one is told.
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let stdout = BufReader::new(watch.stdout.take().unwrap());
    let reading = std::thread::spawn(move || {
        let mut events: Vec<Value> = Vec::new();
        for line in stdout.lines() {
            events.push(serde_json::from_str(&line.unwrap()).unwrap());
            let has = |event: &str| events.iter().any(|told| told["event"] == event);
            if has("change") && has("takeover") {
                break;
            }
        }
        drop(stop);
        events
    });
    let mut turn = 0;
    while stopped.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
        // An odd number of changes a second, or else each look might see the same.
        let name = ["newreno", "cubic", "cubic"][turn % 3];
        let set = played.cc(&["set", name, "--all"]);
        assert!(set.code == Some(0) || set.stderr.contains("10 changes a second"), "{}", set.stderr);
        played.talk.say("hello");
        turn += 1;
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
    let events = reading.join().unwrap();
    let change = events.iter().find(|event| event["event"] == "change").unwrap();
    assert!(change["text"].as_str().unwrap().contains("by cli"), "{change}");
    let takeover = events.iter().find(|event| event["event"] == "takeover").unwrap();
    assert!(takeover["text"].as_str().unwrap().starts_with("connection 1 127.0.0.1:"), "{takeover}");
    assert_eq!(played.talk.end(), Some(0));
}

#[test]
fn what_cannot_be_done_is_said_in_a_line() {
    let played = Played::start();
    played.refused(
        &["set", "cubik", "--all"],
        2,
        &["algorithm: no congestion controller is named \"cubik\"", "did you mean \"cubic\""],
    );
    played.refused(&["set", "cubic:speed=7", "--all"], 2, &["no parameter is named \"speed\""]);
    played.refused(&["shadow", "cubik", "--connection", "1"], 2, &["did you mean \"cubic\""]);
    played.refused(&["set", "newreno", "--connection", "77"], 1, &["there is no connection 77"]);
    played.refused(&["show", "77"], 1, &["there is no connection 77"]);
    played.refused(&["undo", "77"], 1, &["there is no change 77"]);
    played.refused(&["set", "newreno", "--where", "alpn=h3", "--dry-run"], 1, &["no connection fits: alpn=h3"]);
    played.refused(&["set", "newreno", "--where", "colour=red"], 2, &["where:", "the kinds are alpn, sni"]);
    played.refused(&["set", "newreno", "--all", "--percent", "0"], 2, &["percent:"]);
    played.refused(&["set", "newreno", "--all", "--trial", "9999"], 2, &["0.1 to 3600"]);
    played.refused(&["set", "newreno"], 2, &["--connection"]);
    played.refused(&["set", "newreno", "--all", "--where", "alpn=h3"], 2, &["--where"]);
    played.refused(&["set", "--all"], 2, &["--clear"]);
    played.refused(&["set", "newreno", "--all", "--least-goodput", "0.5"], 2, &["--trial"]);
    let without_token = played.folder.run(
        &["cc", "set", "newreno", "--all", "--admin", &played.admin(), "--token-file", &played.folder.text("none")],
        b"",
    );
    assert_eq!(without_token.code, Some(1));
    assert!(without_token.stderr.contains("no token for http://127.0.0.1:"), "{}", without_token.stderr);
    assert!(without_token.stderr.contains("give --token-file FILE"), "{}", without_token.stderr);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = played.folder.run(&["cc", "show", "--admin", &format!("http://{free}")], b"");
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.stderr.contains("no server there") && nobody.stderr.contains("--admin URL"), "{}", nobody.stderr);
    let other = played.folder.run(&["cc", "show", "--admin", "https://127.0.0.1:9440"], b"");
    assert!(other.code == Some(2) && other.stderr.contains("http://127.0.0.1:9440"), "{}", other.stderr);
    // Nothing is changed by any of it.
    assert_eq!((played.controller().as_str(), played.cc(&["history"]).text()), ("cubic", "no changes\n"));
    assert_eq!(played.talk.end(), Some(0));
}
