//! The rules by which connections get a controller: shown, and replaced as a whole.

use axum::Json;
use axum::extract::{Request, State};
use quicast::controllers::Rules;
use quicast::{CongestionReport, ConnectionInfo, Endpoint, Trigger};
use serde::Serialize;

use super::act::{self, Refusal};
use super::changes::What;
use super::request::SetRules;
use super::shown::ShownRules;
use super::{Answer, Known, read, unprocessable};
use crate::config::rules::ApplyTo;

pub(super) async fn get(State(shared): Known) -> Json<ShownRules> {
    Json(ShownRules::from(&*shared.endpoint.congestion_rules()))
}

/// What other rules bring about.
#[derive(Debug, Serialize)]
pub(super) struct RulesChanged {
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<u64>,
    difference: Vec<String>,
    /// How many connections there are get another controller by it.
    following: usize,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

pub(super) async fn put(State(shared): Known, request: Request) -> Answer<RulesChanged> {
    let asked: SetRules = read(request).await?;
    let endpoint = &shared.endpoint;
    let rules = asked.rules(endpoint.algorithms()).map_err(|wrong| unprocessable(&shared, wrong))?;
    let live = asked.apply_to == ApplyTo::Live;
    let following = if live { following(endpoint, &rules).await } else { 0 };
    let difference = endpoint.congestion_rules().difference(&rules);
    if asked.dry_run {
        return Ok(Json(RulesChanged { change: None, difference, following, dry_run: true }));
    }
    let trigger: Trigger = asked.by.trigger();
    let before = endpoint.set_congestion_rules(rules, live);
    let after = endpoint.congestion_rules();
    let change = shared.changes.add(trigger, What::Rules { before, after, live }, &[]);
    tracing::info!(
        change,
        by = trigger.name(),
        live,
        following,
        ?difference,
        "the rules of congestion controllers were set"
    );
    Ok(Json(RulesChanged { change: Some(change), difference, following, dry_run: false }))
}

/// How many connections would get another controller.
async fn following(endpoint: &Endpoint, rules: &Rules) -> usize {
    let infos: Vec<ConnectionInfo> = act::established(endpoint).collect();
    let ids = infos.iter().map(|info| info.id).collect();
    let mut reports = act::each(endpoint, ids, async |connection| act::report(&connection).await).await;
    reports.sort_unstable_by_key(|(id, _)| *id);
    let pairs = infos.iter().zip(&reports);
    let follows = |(info, (_, report)): &(&ConnectionInfo, &(u64, Result<CongestionReport, Refusal>))| {
        let facts = act::facts(info);
        report
            .as_ref()
            .ok()
            .zip(facts)
            .is_some_and(|(report, facts)| !report.is_chosen && rules.choose(&facts).1 != report.algorithm)
    };
    pairs.filter(follows).count()
}
