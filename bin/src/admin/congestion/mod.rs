//! The control plane of congestion controllers: which there are, who has which, and how that is changed.
//!
//! ```text
//! request (JSON) ─▶ request: an order and whom it means ─▶ act: one connection, or many at once ─▶ changes: remembered
//!                        └── wrong: problem (422)                        └── shown: JSON ◀── reports
//! ```

mod act;
pub(super) mod changes;
mod request;
mod rules;
mod shown;
mod summary;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use quicast::{ConnectionInfo, Endpoint};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use telemetry::congestion::SwitchFailure;
use tokio::time::timeout;

pub(crate) use self::changes::Changes;

use self::act::{Done, Refusal};
use self::changes::{Entry, ShownEntry, ShownMember, ShownRefusal, TOLD, Undone, What};
use self::request::{By, Order, SetMany, SetOne, SetShadow};
use self::shown::{Algorithms, ShownChange, ShownReport, ShownTrial};
use super::problem::Problem;
use super::{Shared, routes};
use crate::config::rules::{Kind, Wrong};

/// How long a request's body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long connections are asked about their trials.
const REFRESH: Duration = Duration::from_secs(2);

type Answer<T> = Result<Json<T>, Problem>;
type Known = State<Arc<Shared>>;

/// The routes below `/api/v1`.
pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/congestion", get(summary::get).put(set_many))
        .route("/api/v1/congestion/algorithms", get(algorithms))
        .route("/api/v1/congestion/changes", get(all_changes))
        .route("/api/v1/congestion/changes/{number}", get(one_change).delete(undo))
        .route("/api/v1/congestion/rules", get(rules::get).put(rules::put))
        .route("/api/v1/connections/{id}/congestion", get(one).put(set_one))
        .route("/api/v1/connections/{id}/congestion/shadow", axum::routing::put(set_shadow))
}

async fn algorithms(State(shared): Known) -> Json<Algorithms> {
    Json(Algorithms::new(shared.endpoint.algorithms()))
}

// ── One connection ───────────────────────────────────────────────────────────────────────────────────────────────────

async fn one(State(shared): Known, id: Result<Path<u64>, PathRejection>) -> Answer<ShownReport> {
    let endpoint = &shared.endpoint;
    let id = number(id, "a connection's id")?;
    let info = find(endpoint, id).ok_or_else(|| Problem::no_connection(id))?;
    let connection = act::open(endpoint, id).map_err(|refusal| refused(&shared, id, refusal))?;
    let report = act::report(&connection).await.map_err(|refusal| refused(&shared, id, refusal))?;
    Ok(Json(ShownReport::new(&report, &info, &endpoint.congestion_rules())))
}

/// What became of an order for one connection.
#[derive(Debug, Serialize)]
struct OneChanged {
    /// By this number it can be taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<u64>,
    id: u64,
    from: String,
    to: String,
    /// Whether the connection's controller counts as chosen now, so that rules do not apply.
    chosen: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<ShownTrial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<ShownChange>,
}

async fn set_one(State(shared): Known, id: Result<Path<u64>, PathRejection>, request: Request) -> Answer<OneChanged> {
    let id = number(id, "a connection's id")?;
    let asked: SetOne = read(request).await?;
    let order = asked.order(shared.endpoint.algorithms()).map_err(|wrong| unprocessable(&shared, wrong))?;
    let connection = act::open(&shared.endpoint, id).map_err(|refusal| refused(&shared, id, refusal))?;
    let (to, trial) = match order {
        Order::Set(algorithm, trial) => (Some(algorithm), trial),
        Order::Clear => (None, None),
    };
    if asked.dry_run {
        let report = act::report(&connection).await.map_err(|refusal| refused(&shared, id, refusal))?;
        let by_rules = || {
            let info = find(&shared.endpoint, id);
            let facts = info.as_ref().and_then(act::facts);
            facts.map_or(report.algorithm, |facts| shared.endpoint.congestion_rules().choose(&facts).1)
        };
        return Ok(Json(OneChanged {
            change: None,
            id,
            from: report.algorithm.to_string(),
            to: to.unwrap_or_else(by_rules).to_string(),
            chosen: to.is_some(),
            dry_run: true,
            trial: trial.as_ref().map(ShownTrial::from),
            details: None,
        }));
    }
    let trigger = asked.by.trigger();
    let done = act::carry_out(&connection, order, trigger).await.map_err(|refusal| refused(&shared, id, refusal))?;
    let what = What::Connections {
        algorithm: to,
        meant: format!("connection {id}"),
        percent: 100.0,
        trial,
        matched: 1,
        refused: 0,
    };
    let change = shared.changes.add(trigger, what, &[done]);
    tracing::info!(change, connection = id, from = %done.from, to = %done.to, by = trigger.name(), "a congestion controller was set");
    Ok(Json(OneChanged {
        change: Some(change),
        id,
        from: done.from.to_string(),
        to: done.to.to_string(),
        chosen: to.is_some(),
        dry_run: false,
        trial: trial.as_ref().map(ShownTrial::from),
        details: done.change.map(|change| ShownChange::new(&change, 0.0)),
    }))
}

/// The controller that watches one connection.
#[derive(Debug, Serialize)]
struct ShadowSet {
    id: u64,
    shadow: Option<String>,
}

async fn set_shadow(State(shared): Known, id: Result<Path<u64>, PathRejection>, request: Request) -> Answer<ShadowSet> {
    let id = number(id, "a connection's id")?;
    let asked: SetShadow = read(request).await?;
    let algorithm = asked.algorithm(shared.endpoint.algorithms()).map_err(|wrong| unprocessable(&shared, wrong))?;
    let connection = act::open(&shared.endpoint, id).map_err(|refusal| refused(&shared, id, refusal))?;
    connection.set_shadow_congestion(algorithm);
    Ok(Json(ShadowSet { id, shadow: algorithm.map(|algorithm| algorithm.to_string()) }))
}

// ── Many connections ─────────────────────────────────────────────────────────────────────────────────────────────────

/// What became of an order for many connections.
#[derive(Debug, Serialize)]
struct ManyChanged {
    /// By this number it can be followed and taken back; none for shadows and where nothing was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<u64>,
    algorithm: Option<String>,
    r#where: String,
    /// How many connections were meant.
    matched: usize,
    /// How many of those were changed; in a dry run, would be.
    changed: usize,
    /// The first hundred that were not, and why.
    refused: Vec<ShownRefusal>,
    refused_total: usize,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

async fn set_many(State(shared): Known, request: Request) -> Answer<ManyChanged> {
    let asked: SetMany = read(request).await?;
    let (endpoint, registry) = (&shared.endpoint, shared.endpoint.algorithms());
    let wrong = |wrong| unprocessable(&shared, wrong);
    let (order, target) = (asked.order(registry).map_err(wrong)?, asked.target(registry).map_err(wrong)?);
    let algorithm = asked.algorithm(registry).map_err(wrong)?;
    let (matched, chosen) = act::choose(endpoint, &target);
    let mut answer = ManyChanged {
        change: None,
        algorithm: algorithm.map(|algorithm| algorithm.to_string()),
        r#where: target.selector.to_string(),
        matched,
        changed: chosen.len(),
        refused: Vec::new(),
        refused_total: 0,
        dry_run: asked.dry_run,
    };
    if asked.dry_run || chosen.is_empty() {
        return Ok(Json(answer));
    }
    let trigger = asked.by.trigger();
    if asked.shadow {
        let watch = async |connection: quicast::Connection| {
            connection.set_shadow_congestion(algorithm);
            Ok(())
        };
        let set = act::each(endpoint, chosen, watch).await;
        answer.tell(set.iter().filter_map(|(id, set)| set.err().map(|refusal| (*id, refusal))), set.len());
        tracing::info!(by = trigger.name(), shadow = ?answer.algorithm, meant = answer.r#where, changed = answer.changed, "shadow controllers were set");
        return Ok(Json(answer));
    }
    let outcomes =
        act::each(endpoint, chosen, async |connection| act::carry_out(&connection, order, trigger).await).await;
    let done: Vec<Done> = outcomes.iter().filter_map(|(_, outcome)| outcome.ok()).collect();
    answer
        .tell(outcomes.iter().filter_map(|(id, outcome)| outcome.err().map(|refusal| (*id, refusal))), outcomes.len());
    let trial = match order {
        Order::Set(_, trial) => trial,
        Order::Clear => None,
    };
    let what = What::Connections {
        algorithm,
        meant: answer.r#where.clone(),
        percent: target.percent,
        trial,
        matched,
        refused: answer.refused_total,
    };
    let change = shared.changes.add(trigger, what, &done);
    tracing::info!(
        change,
        by = trigger.name(),
        to = ?answer.algorithm,
        meant = answer.r#where,
        percent = target.percent,
        matched,
        changed = answer.changed,
        refused = answer.refused_total,
        "congestion controllers were set"
    );
    answer.change = Some(change);
    Ok(Json(answer))
}

impl ManyChanged {
    fn tell(&mut self, refused: impl Iterator<Item = (u64, Refusal)>, asked: usize) {
        for (id, refusal) in refused {
            self.refused_total += 1;
            if self.refused.len() < TOLD {
                self.refused.push(ShownRefusal { id, reason: refusal.reason() });
            }
        }
        self.changed = asked - self.refused_total;
    }
}

// ── Changes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

#[derive(Debug, Serialize)]
struct AllChanges {
    /// Oldest first.
    changes: Vec<ShownEntry>,
}

async fn all_changes(State(shared): Known) -> Json<AllChanges> {
    let all = shared.changes.all();
    let refresh = async {
        for entry in &all {
            entry.refresh(&shared.endpoint).await;
        }
    };
    timeout(REFRESH, refresh).await.ok();
    Json(AllChanges { changes: all.iter().map(|entry| entry.shown()).collect() })
}

#[derive(Debug, Serialize)]
struct OneChange {
    #[serde(flatten)]
    entry: ShownEntry,
    on_trial: bool,
    /// The first hundred.
    connections: Vec<ShownMember>,
}

async fn one_change(State(shared): Known, number: Result<Path<u64>, PathRejection>) -> Answer<OneChange> {
    let entry = entry(&shared, number)?;
    timeout(REFRESH, entry.refresh(&shared.endpoint)).await.ok();
    let (on_trial, connections) = (entry.is_on_trial(), entry.told());
    Ok(Json(OneChange { entry: entry.shown(), on_trial, connections }))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct UndoQuery {
    #[serde(default)]
    by: By,
}

async fn undo(
    State(shared): Known,
    number: Result<Path<u64>, PathRejection>,
    query: Result<Query<UndoQuery>, QueryRejection>,
) -> Answer<Undone> {
    let Query(UndoQuery { by }) =
        query.map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))?;
    let entry = entry(&shared, number)?;
    let undone = entry.undo(&shared.endpoint, by.trigger()).await;
    let undone = undone.map_err(|why| Problem::new(StatusCode::CONFLICT, why.reason()))?;
    tracing::info!(by = by.trigger().name(), ?undone, "a change of congestion controllers was taken back");
    Ok(Json(undone))
}

fn entry(shared: &Shared, number: Result<Path<u64>, PathRejection>) -> Result<Arc<Entry>, Problem> {
    let number = self::number(number, "the number of a change")?;
    shared.changes.find(number).ok_or_else(|| {
        let what = format_args!(
            "there is no change {number}, or it was long ago; the last {} are remembered",
            changes::REMEMBERED
        );
        Problem::new(StatusCode::NOT_FOUND, what)
    })
}

// ── What all of them need ────────────────────────────────────────────────────────────────────────────────────────────

fn find(endpoint: &Endpoint, id: u64) -> Option<ConnectionInfo> {
    endpoint.connections().into_iter().find(|info| info.id == id)
}

fn number(number: Result<Path<u64>, PathRejection>, what: &str) -> Result<u64, Problem> {
    let Path(number) = number.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, format_args!("{what} is a number")))?;
    Ok(number)
}

/// Reads the body as JSON. The guard has seen that it is announced as such and not too long.
async fn read<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let longest = routes::longest_body(routes::label(request.uri().path()));
    let reading = axum::body::to_bytes(request.into_body(), usize::try_from(longest).unwrap_or(usize::MAX));
    let body = timeout(PATIENCE, reading).await.map_err(|_| {
        let what = format_args!("the body did not arrive within {} s", PATIENCE.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, what)
    })?;
    let body = body.map_err(|_| {
        let what = format_args!("the body is too long, or broke off: at most {longest} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, what)
    })?;
    serde_json::from_slice(&body).map_err(|error| Problem::malformed(&error))
}

/// What was asked for is not to be had; counted by what is wrong with it.
fn unprocessable(shared: &Shared, wrong: Wrong) -> Problem {
    let failures = &shared.congestion.switch_failures;
    match wrong.kind {
        Kind::UnknownController => failures[SwitchFailure::UnknownController].add(1),
        Kind::BadParameter => failures[SwitchFailure::BadParameter].add(1),
        Kind::Other => {}
    }
    wrong.into()
}

fn refused(shared: &Shared, id: u64, refusal: Refusal) -> Problem {
    let status = match refusal {
        Refusal::Gone => {
            shared.congestion.switch_failures[SwitchFailure::NotFound].add(1);
            return Problem::no_connection(id);
        }
        Refusal::Handshaking | Refusal::Closed | Refusal::Busy => StatusCode::CONFLICT,
        Refusal::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        Refusal::Stuck => StatusCode::GATEWAY_TIMEOUT,
    };
    Problem::new(status, refusal.reason())
}
