//! Answers for people.

use serde_json::Value;

use super::table::{bytes, list, percent, print, rate, row, text, time};
use crate::out;

pub(super) fn algorithms(answer: &Value) {
    for algorithm in list(&answer["algorithms"]) {
        out::line(format_args!("{:<12} {}", text(&algorithm["name"]), text(&algorithm["about"])));
        for parameter in list(&algorithm["parameters"]) {
            out::line(format_args!(
                "    {}={}  {} from {} to {}: {}",
                text(&parameter["name"]),
                text(&parameter["default"]),
                text(&parameter["type"]),
                text(&parameter["least"]),
                text(&parameter["most"]),
                text(&parameter["about"]),
            ));
        }
    }
}

pub(super) fn groups(answer: &Value) {
    let mut rows = vec![row(["cc", "conns", "cwnd p50", "rtt p50", "loss", "rate", "rule"])];
    for group in list(&answer["groups"]) {
        let on_trial = match group["on_trial"].as_u64() {
            Some(count @ 1..) => format!(" ({count} on trial)"),
            _ => String::new(),
        };
        rows.push(vec![
            text(&group["algorithm"]),
            text(&group["connections"]),
            bytes(&group["window_bytes"]),
            time(&group["smoothed_rtt_seconds"]),
            percent(&group["loss_ratio"]),
            rate(&group["sent_bytes_per_second"]),
            format!("{}{on_trial}", reason(group)),
        ]);
    }
    if rows.len() == 1 {
        out::line("no connections");
        return;
    }
    print(&rows);
    let shown: u64 = list(&answer["groups"]).filter_map(|group| group["connections"].as_u64()).sum();
    if answer["total"].as_u64().is_some_and(|total| total > shown) {
        out::line(format_args!("{shown} of {} connections", text(&answer["total"])));
    }
}

/// Why they have it.
fn reason(value: &Value) -> String {
    match value["by"].as_str() {
        Some("rule") => text(&value["rule"]),
        Some("choice") => "chosen".to_owned(),
        Some(other) => other.to_owned(),
        None => String::new(),
    }
}

pub(super) fn connection(answer: &Value) {
    let line = |what: &str, value: String| out::line(format_args!("{what:<12} {value}"));
    line("connection", format!("{}  {}", text(&answer["id"]), text(&answer["remote"])));
    let on_trial = if answer["on_trial"] == true { ", on trial" } else { "" };
    line("controller", format!("{}  {}{on_trial}", text(&answer["algorithm"]), text(&answer["state"])));
    line(
        "because",
        match reason(&answer["reason"]).as_str() {
            "chosen" => "it was chosen; rules do not apply".to_owned(),
            "default" => "it is the default; no rule means the connection".to_owned(),
            "earlier" => "of an earlier rule, or in place of one that failed".to_owned(),
            rule => format!("rule {rule}"),
        },
    );
    if let Some(parameters) = answer["parameters"].as_object().filter(|parameters| !parameters.is_empty()) {
        let shown: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
        line("parameters", shown.join(" "));
    }
    line("window", bytes(&answer["window_bytes"]));
    line(
        "pacing",
        match answer["pacing_bytes_per_second"].as_u64() {
            Some(0) | None => "none".to_owned(),
            Some(_) => rate(&answer["pacing_bytes_per_second"]),
        },
    );
    line("achieved", rates(&answer["rates"]));
    let shadow = &answer["shadow"];
    if !shadow.is_null() {
        let (algorithm, state) = (text(&shadow["algorithm"]), text(&shadow["state"]));
        line("shadow", format!("{algorithm}  {state}, window {}", bytes(&shadow["window_bytes"])));
    }
    if list(&answer["history"]).next().is_some() {
        history(answer);
    }
}

fn rates(value: &Value) -> String {
    if idle(value) {
        return "nothing to judge by: the application was the limit".to_owned();
    }
    let (goodput, loss) = (rate(&value["goodput_bytes_per_second"]), percent(&value["loss_ratio"]));
    format!("{goodput}, loss {loss}, rtt {}", time(&value["smoothed_rtt_seconds"]))
}

/// Whether there was no time in which the network was the limit.
fn idle(rates: &Value) -> bool {
    rates["busy_seconds"].as_f64().unwrap_or(0.0) == 0.0
}

/// `before -> after`, with `-` for what cannot be said of one of them, or of both.
fn both(change: &Value, show: fn(&Value) -> String, key: &str) -> String {
    let one = |rates: &Value| if idle(rates) { "-".to_owned() } else { show(&rates[key]) };
    if idle(&change["before"]) && idle(&change["after"]) {
        return "-".to_owned();
    }
    format!("{} -> {}", one(&change["before"]), one(&change["after"]))
}

pub(super) fn history(answer: &Value) {
    let mut rows = vec![row(["ago", "from", "to", "by", "window", "goodput", "loss", "rtt", "verdict"])];
    for change in list(&answer["history"]) {
        rows.push(vec![
            time(&change["seconds_ago"]),
            text(&change["from"]),
            text(&change["to"]),
            text(&change["by"]),
            format!("{} -> {}", bytes(&change["window_before_bytes"]), bytes(&change["window_after_bytes"])),
            both(change, rate, "goodput_bytes_per_second"),
            both(change, percent, "loss_ratio"),
            both(change, time, "smoothed_rtt_seconds"),
            if change["on_trial"] == true { "on trial".to_owned() } else { text(&change["verdict"]) },
        ]);
    }
    if rows.len() == 1 {
        out::line("no changes");
        return;
    }
    print(&rows);
}

pub(super) fn changes(answer: &Value) {
    let mut rows = vec![row(["change", "ago", "by", "to", "where", "changed", "what became of it"])];
    for change in list(&answer["changes"]) {
        rows.push(vec![
            text(&change["change"]),
            time(&change["seconds_ago"]),
            text(&change["by"]),
            destination(change),
            meant(change),
            text(&change["changed"]),
            outcome(change),
        ]);
    }
    if rows.len() == 1 {
        out::line("no changes");
        return;
    }
    print(&rows);
}

/// What it changed to.
pub(super) fn destination(change: &Value) -> String {
    match (change["what"].as_str(), change["algorithm"].as_str()) {
        (Some("rules"), _) => format!("{} lines of rules", list(&change["difference"]).count()),
        (_, Some(_)) => text(&change["algorithm"]),
        _ => "what rules say".to_owned(),
    }
}

/// Whom it meant.
pub(super) fn meant(change: &Value) -> String {
    let meant = text(&change["where"]);
    match change["percent"].as_f64() {
        Some(percent) if percent < 100.0 => format!("{percent} % of {meant}"),
        _ => meant,
    }
}

/// What became of it: `17 kept, 1 rolled back`.
pub(super) fn outcome(change: &Value) -> String {
    let mut parts = Vec::new();
    for (fate, count) in change["fates"].as_object().into_iter().flatten() {
        if fate != "applied" {
            parts.push(format!("{count} {}", fate.replace('_', " ")));
        }
    }
    if let Some(refused @ 1..) = change["refused"].as_u64() {
        parts.push(format!("{refused} refused"));
    }
    if change["undone"] == true {
        parts.push("taken back".to_owned());
    }
    parts.join(", ")
}

/// `goodput 312 Mbit/s -> 340 Mbit/s, loss 0.70 % -> 0.80 %, rtt 24 ms -> 21 ms`; empty if nothing was judged.
pub(super) fn comparison(change: &Value) -> String {
    if change["before"].is_null() {
        return String::new();
    }
    format!(
        "goodput {}, loss {}, rtt {}",
        both(change, rate, "goodput_bytes_per_second"),
        both(change, percent, "loss_ratio"),
        both(change, time, "smoothed_rtt_seconds")
    )
}

pub(super) fn undone(answer: &Value) {
    let number = |key: &str| answer[key].as_u64().unwrap_or(0);
    let mut parts = vec![format!("{} have again what they had", number("undone"))];
    if number("left") > 0 {
        parts.push(format!("{} left as they are: something else happened to them since", number("left")));
    }
    if number("gone") > 0 {
        parts.push(format!("{} gone", number("gone")));
    }
    if list(&answer["difference"]).next().is_some() {
        out::line(format_args!("change {} is taken back:", number("change")));
        differences(answer);
    } else {
        out::line(format_args!("change {} is taken back: {}", number("change"), parts.join(", ")));
    }
}

pub(super) fn rules(answer: &Value) {
    let mut rows = vec![row(["rule", "use", "where"])];
    for rule in list(&answer["rules"]) {
        rows.push(vec![text(&rule["name"]), text(&rule["use"]), text(&rule["where"])]);
    }
    rows.push(vec!["(default)".to_owned(), text(&answer["default"]), String::new()]);
    print(&rows);
}

pub(super) fn rules_set(answer: &Value) {
    differences(answer);
    let following = text(&answer["following"]);
    if answer["dry_run"] == true {
        out::line(format_args!("nothing is changed; {following} connections would get another controller"));
    } else {
        let change = text(&answer["change"]);
        out::line(format_args!(
            "{following} connections get another controller   change {change} (undo: quicast cc undo {change})"
        ));
    }
}

fn differences(answer: &Value) {
    let mut lines = list(&answer["difference"]).map(text).peekable();
    if lines.peek().is_none() {
        out::line("no difference");
    }
    lines.for_each(|line| out::line(format_args!("  {line}")));
}
