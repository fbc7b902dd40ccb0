//! What changes something.

use std::path::Path;
use std::time::{Duration, Instant};

use quicast::controllers::Registry;
use serde_json::{Value, json};

use super::arguments::{Set, Shadow, Whom};
use super::client::Client;
use super::table::{bytes, list, text};
use super::{of_connection, show};
use crate::config::Config;
use crate::error::Failure;
use crate::out;
use crate::progress::Progress;

/// How often the server is asked how trials go.
const LOOK: Duration = Duration::from_millis(250);
/// How long after the end of a trial its verdict is waited for: an idle connection is not judged before it sends again.
const GRACE: Duration = Duration::from_secs(3);

/// `quicast cc set`.
pub(super) async fn run(client: &Client, arguments: &Set, json: bool) -> Result<(), Failure> {
    let mut order = json!({ "algorithm": arguments.name, "dry_run": arguments.dry_run, "by": "cli" });
    put(&mut order, "trial_seconds", arguments.trial);
    put(&mut order, "least_goodput", arguments.least_goodput);
    put(&mut order, "most_loss_rise", arguments.most_loss_rise);
    put(&mut order, "percent", arguments.percent);
    let answer = send(client, &arguments.whom, &mut order, of_connection).await?;
    if json {
        out::line(&answer);
    } else if arguments.whom.connection.is_some() {
        one(&answer);
    } else {
        many(&answer);
    }
    let judged = match (arguments.trial, answer["change"].as_u64()) {
        (Some(seconds), Some(number)) => wait(client, number, seconds, json).await,
        _ => Ok(()),
    };
    judged.and(nothing_refused(&answer)).and(somebody_meant(&answer))
}

/// `quicast cc shadow`.
pub(super) async fn shadow(client: &Client, arguments: &Shadow, json: bool) -> Result<(), Failure> {
    let name = Some(&arguments.name).filter(|name| *name != "off");
    let mut order = json!({ "algorithm": name });
    if arguments.whom.connection.is_none() {
        put(&mut order, "shadow", Some(true));
        put(&mut order, "by", Some("cli"));
    }
    let answer = send(client, &arguments.whom, &mut order, |id| format!("{}/shadow", of_connection(id))).await?;
    let what =
        name.map_or("no controller watches any more", |_| "watches now; `quicast cc show ID` says what it would do");
    match arguments.whom.connection {
        _ if json => out::line(&answer),
        Some(id) => out::line(format_args!("connection {id}: {}", watching(&answer["shadow"], what))),
        None => out::line(format_args!(
            "{} connections: {}",
            text(&answer["changed"]),
            watching(&answer["algorithm"], what)
        )),
    }
    nothing_refused(&answer).and(somebody_meant(&answer))
}

fn watching(name: &Value, what: &str) -> String {
    if name.is_null() { what.to_owned() } else { format!("{} {what}", text(name)) }
}

fn put<T: serde::Serialize>(order: &mut Value, key: &str, value: Option<T>) {
    if let Some(value) = value {
        order[key] = json!(value);
    }
}

async fn send(
    client: &Client,
    whom: &Whom,
    order: &mut Value,
    of_one: impl Fn(u64) -> String,
) -> Result<Value, Failure> {
    match (whom.connection, &whom.r#where) {
        (Some(id), _) => client.put(&of_one(id), order).await,
        (None, selector) => {
            put(order, "where", selector.as_ref());
            client.put("/api/v1/congestion", order).await
        }
    }
}

fn one(answer: &Value) {
    let (id, from, to) = (text(&answer["id"]), text(&answer["from"]), text(&answer["to"]));
    if answer["dry_run"] == true {
        out::line(format_args!("connection {id}: would change from {from} to {to}"));
        return;
    }
    let details = &answer["details"];
    let window = if details.is_null() {
        String::new()
    } else {
        format!(", window {} -> {}", bytes(&details["window_before_bytes"]), bytes(&details["window_after_bytes"]))
    };
    let change = text(&answer["change"]);
    out::line(format_args!(
        "connection {id}: {from} -> {to}{window}   change {change} (undo: quicast cc undo {change})"
    ));
}

fn many(answer: &Value) {
    let (matched, changed) = (text(&answer["matched"]), text(&answer["changed"]));
    if answer["dry_run"] == true {
        out::line(format_args!("matched {matched}, would change {changed}"));
        return;
    }
    let refused = text(&answer["refused_total"]);
    let undo = match answer["change"].as_u64() {
        Some(change) => format!("   change {change} (undo: quicast cc undo {change})"),
        None => String::new(),
    };
    out::line(format_args!("matched {matched}, changed {changed}, refused {refused}{undo}"));
    for refusal in list(&answer["refused"]) {
        out::note(format_args!("connection {}: {}", text(&refusal["id"]), text(&refusal["reason"])));
    }
}

/// Exit code 1 if something was refused; it has been told.
pub(super) fn nothing_refused(answer: &Value) -> Result<(), Failure> {
    if list(&answer["refused"]).next().is_some() { Err(Failure::told(1)) } else { Ok(()) }
}

fn somebody_meant(answer: &Value) -> Result<(), Failure> {
    match answer["matched"].as_u64() {
        Some(0) => Err(Failure::failed(format_args!("no connection fits: {}", text(&answer["where"])))),
        _ => Ok(()),
    }
}

/// Waits until the trials of a change are over, and says how they ended.
async fn wait(client: &Client, number: u64, seconds: f64, json: bool) -> Result<(), Failure> {
    let period = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let (began, milliseconds) = (Instant::now(), u64::try_from(period.as_millis()).unwrap_or(u64::MAX));
    let bar = Progress::words(milliseconds.max(1));
    let path = format!("/api/v1/congestion/changes/{number}");
    let ended = loop {
        let now = client.get(&path).await?;
        let passed = began.elapsed();
        if now["on_trial"] != true || passed > period + GRACE {
            break now;
        }
        let done = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).min(milliseconds);
        bar.tell(done, || show::outcome(&now));
        tokio::time::sleep(LOOK).await;
    };
    bar.clear();
    let count = |fate: &str| ended["fates"][fate].as_u64().unwrap_or(0);
    if json {
        out::line(&ended);
    } else {
        let comparison = show::comparison(&ended);
        let separator = if comparison.is_empty() { "" } else { ";  " };
        out::line(format_args!("after {seconds} s: {}{separator}{comparison}", show::outcome(&ended)));
        if count("on_trial") > 0 {
            out::note(
                "what is still on trial sends nothing just now, and is judged when it does: see `quicast cc history`",
            );
        }
    }
    let stays: u64 = ["kept", "unproven", "on_trial"].into_iter().map(count).sum();
    if count("rolled_back") > 0 && stays == 0 { Err(Failure::told(1)) } else { Ok(()) }
}

/// The `[congestion]` of a file, as the server takes it.
///
/// # Errors
/// The file is wrong, with its line: nothing is sent.
pub(super) fn rules_of(file: &Path, dry_run: bool) -> Result<Value, Failure> {
    let config = Config::load(file, &Registry::default())?;
    let text = std::fs::read_to_string(file).map_err(Failure::failed)?;
    let mut written: Value = toml::from_str(&text).map_err(Failure::failed)?;
    let rules = match written["congestion"]["rule"].take() {
        Value::Null => json!([]),
        rules => rules,
    };
    Ok(json!({
        "default": config.congestion.rules.default.to_string(),
        "apply_to": config.congestion.apply_to,
        "rules": rules,
        "dry_run": dry_run,
        "by": "cli",
    }))
}
