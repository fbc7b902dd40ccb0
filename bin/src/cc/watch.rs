//! `quicast cc watch`: a line for each change as it happens.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::client::Client;
use super::table::{bytes, list, text};
use super::{of_connection, show};
use crate::error::Failure;
use crate::out;

/// How often the server is asked.
const LOOK: Duration = Duration::from_secs(1);
/// So many connections are told one by one each time; the others are counted.
const TOLD: usize = 20;

/// What was seen the last time.
#[derive(Debug, Default)]
struct Seen {
    /// Controllers by connection.
    controllers: BTreeMap<u64, String>,
    /// Changes by number, with what had become of them.
    changes: BTreeMap<u64, String>,
}

/// Looks once a second, until it is interrupted.
pub(super) async fn run(client: &Client, json: bool) -> Result<(), Failure> {
    let mut ticks = tokio::time::interval(LOOK);
    let mut seen: Option<Seen> = None;
    if !json {
        out::note(format_args!("watching {client}; Ctrl-C ends"));
    }
    loop {
        ticks.tick().await;
        let changes = client.get("/api/v1/congestion/changes").await?;
        let connections = client.get("/api/v1/connections").await?;
        let now = Seen::of(&changes, &connections);
        if let Some(before) = &seen {
            for event in before.changes_until(&now, &changes) {
                tell(&event, json);
            }
            takeovers(client, before, &now, json).await;
        }
        seen = Some(now);
    }
}

fn tell(event: &Value, json: bool) {
    if json {
        out::line(event);
    } else {
        out::line(text(&event["text"]));
    }
}

impl Seen {
    fn of(changes: &Value, connections: &Value) -> Self {
        let controllers = list(&connections["connections"])
            .filter_map(|connection| Some((connection["id"].as_u64()?, text(&connection["congestion"]["algorithm"]))));
        let changes =
            list(&changes["changes"]).filter_map(|change| Some((change["change"].as_u64()?, show::outcome(change))));
        Self { controllers: controllers.collect(), changes: changes.collect() }
    }

    /// What is new among the changes through the admin address, and what became of the earlier ones.
    fn changes_until(&self, now: &Self, changes: &Value) -> Vec<Value> {
        let differs = |change: &&Value| {
            let number = change["change"].as_u64().unwrap_or(0);
            self.changes.get(&number) != now.changes.get(&number)
        };
        let event = |change: &Value| {
            let number = change["change"].as_u64().unwrap_or(0);
            let outcome = now.changes.get(&number).map_or("", String::as_str);
            let separator = if outcome.is_empty() { "" } else { ": " };
            let text = if self.changes.contains_key(&number) {
                format!("change {number}{separator}{outcome}")
            } else {
                format!(
                    "change {number} by {}: {} for {}, {} changed{separator}{outcome}",
                    text(&change["by"]),
                    show::destination(change),
                    show::meant(change),
                    text(&change["changed"]),
                )
            };
            json!({ "event": "change", "text": text, "change": change })
        };
        list(&changes["changes"]).filter(differs).map(event).collect()
    }

    /// Connections that have another controller now.
    fn moved<'a>(&'a self, now: &'a Self) -> Vec<(u64, &'a str, &'a str)> {
        let moved = now.controllers.iter().filter_map(|(id, to)| {
            let from = self.controllers.get(id)?;
            (from != to).then_some((*id, from.as_str(), to.as_str()))
        });
        moved.collect()
    }
}

async fn takeovers(client: &Client, before: &Seen, now: &Seen, json: bool) {
    let moved = before.moved(now);
    let mut others: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (place, (id, from, to)) in moved.into_iter().enumerate() {
        // Who is gone by now has nothing more to tell.
        let report = if place < TOLD { client.get(&of_connection(id)).await.ok() } else { None };
        let Some(report) = report else {
            *others.entry((from, to)).or_default() += 1;
            continue;
        };
        let last = list(&report["history"]).last().cloned().unwrap_or_default();
        let verdict = match last["on_trial"].as_bool() {
            Some(true) => ", on trial".to_owned(),
            _ => String::new(),
        };
        let text = format!(
            "connection {id} {}: {} -> {} by {}, window {} -> {}{verdict}",
            text(&report["remote"]),
            text(&last["from"]),
            text(&last["to"]),
            text(&last["by"]),
            bytes(&last["window_before_bytes"]),
            bytes(&last["window_after_bytes"]),
        );
        tell(&json!({ "event": "takeover", "text": text, "id": id, "last": last }), json);
    }
    for ((from, to), count) in others {
        let text = format!("{count} more connections: {from} -> {to}");
        tell(&json!({ "event": "takeovers", "text": text, "from": from, "to": to, "count": count }), json);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(controllers: &[(u64, &str)], changes: &Value) -> Seen {
        let of = |(id, name): &(u64, &str)| json!({ "id": id, "congestion": { "algorithm": name } });
        Seen::of(changes, &json!({ "connections": controllers.iter().map(of).collect::<Vec<_>>() }))
    }

    #[test]
    fn what_is_new_is_told_once() {
        let none = json!({ "changes": [] });
        let change = |fates: Value| {
            json!({ "changes": [
                { "change": 7, "by": "cli", "algorithm": "cubic", "where": "all", "percent": 10.0, "changed": 2, "fates": fates }
            ] })
        };
        let (tried, kept) = (change(json!({ "on_trial": 2 })), change(json!({ "kept": 2 })));
        let (a, b, c) = (seen(&[], &none), seen(&[], &tried), seen(&[], &kept));
        let told = |before: &Seen, now: &Seen, changes: &Value| {
            before.changes_until(now, changes).iter().map(|event| text(&event["text"])).collect::<Vec<_>>()
        };
        assert_eq!(told(&a, &b, &tried), ["change 7 by cli: cubic for 10 % of all, 2 changed: 2 on trial"]);
        assert!(told(&b, &b, &tried).is_empty());
        assert_eq!(told(&b, &c, &kept), ["change 7: 2 kept"]);
    }

    #[test]
    fn connections_that_are_new_or_gone_did_not_change() {
        let none = json!({ "changes": [] });
        let (before, now) =
            (seen(&[(1, "cubic"), (2, "cubic")], &none), seen(&[(2, "newreno"), (3, "newreno")], &none));
        assert_eq!(before.moved(&now), [(2, "cubic", "newreno")]);
    }
}
