//! Who has which controller, in groups.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use quicast::{CongestionReport, ConnectionInfo, Endpoint};
use serde::{Deserialize, Serialize};

use super::shown::Reason;
use super::{Answer, act};
use crate::admin::Shared;
use crate::admin::problem::Problem;

/// So many connections are asked; the others are only counted.
const ASKED: usize = 1000;
/// How long rates are measured at most, in seconds.
const LONGEST: f64 = 10.0;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    /// How long to look before answering, to say rates; 0 (the default) says none.
    #[serde(default)]
    seconds: f64,
}

/// All connections by controller.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// How many connections there are, even if fewer were asked.
    total: usize,
    groups: Vec<Group>,
}

/// Connections with the same controller for the same reason.
#[derive(Debug, Serialize)]
struct Group {
    algorithm: String,
    #[serde(flatten)]
    reason: Reason,
    connections: usize,
    on_trial: usize,
    /// Medians.
    window_bytes: u64,
    smoothed_rtt_seconds: f64,
    /// Of all packets that they ever sent.
    loss_ratio: f64,
    /// Sent just now, by all together; `null` unless it was measured.
    sent_bytes_per_second: Option<f64>,
}

pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    query: Result<Query<Measured>, QueryRejection>,
) -> Answer<Summary> {
    let Query(Measured { seconds }) =
        query.map_err(|rejection| Problem::new(StatusCode::BAD_REQUEST, rejection.body_text()))?;
    if !(0.0..=LONGEST).contains(&seconds) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, format_args!("seconds is a number from 0 to {LONGEST}")));
    }
    let endpoint = &shared.endpoint;
    let sent: BTreeMap<u64, u64> = act::established(endpoint).map(|info| (info.id, info.totals.bytes_sent)).collect();
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    let infos: Vec<ConnectionInfo> = act::established(endpoint).collect();
    let took = if seconds > 0.0 { Some(began.elapsed().as_secs_f64()) } else { None };
    let rates = took.map(|took| {
        let rate = |info: &ConnectionInfo| {
            let before = sent.get(&info.id).copied().unwrap_or_default();
            (info.id, info.totals.bytes_sent.saturating_sub(before) as f64 / took)
        };
        infos.iter().map(rate).collect::<BTreeMap<u64, f64>>()
    });
    Ok(Json(Summary { total: infos.len(), groups: groups(endpoint, &infos, rates.as_ref()).await }))
}

async fn groups(endpoint: &Endpoint, infos: &[ConnectionInfo], rates: Option<&BTreeMap<u64, f64>>) -> Vec<Group> {
    let rules = endpoint.congestion_rules();
    let asked = infos.iter().take(ASKED).map(|info| info.id).collect();
    let reports = act::each(endpoint, asked, async |connection| act::report(&connection).await).await;
    let infos: BTreeMap<u64, &ConnectionInfo> = infos.iter().map(|info| (info.id, info)).collect();
    let mut members: BTreeMap<(String, Reason), Vec<(&ConnectionInfo, CongestionReport)>> = BTreeMap::new();
    for (id, report) in reports {
        if let (Some(info), Ok(report)) = (infos.get(&id), report) {
            let reason = Reason::of(&report, info, &rules);
            members.entry((report.algorithm.to_string(), reason)).or_default().push((info, report));
        }
    }
    members.into_iter().map(|((algorithm, reason), members)| Group::new(algorithm, reason, &members, rates)).collect()
}

impl Group {
    fn new(
        algorithm: String,
        reason: Reason,
        members: &[(&ConnectionInfo, CongestionReport)],
        rates: Option<&BTreeMap<u64, f64>>,
    ) -> Self {
        let mut windows: Vec<u64> = members.iter().map(|(_, report)| report.window.congestion_window).collect();
        let mut rtts: Vec<Duration> = members.iter().map(|(info, _)| info.smoothed_rtt).collect();
        let (lost, sent) = members
            .iter()
            .fold((0, 0), |(lost, sent), (info, _)| (lost + info.totals.packets_lost, sent + info.totals.packets_sent));
        let rate = |rates: &BTreeMap<u64, f64>| members.iter().filter_map(|(info, _)| rates.get(&info.id)).sum();
        Self {
            algorithm,
            reason,
            connections: members.len(),
            on_trial: members.iter().filter(|(_, report)| report.is_on_trial).count(),
            window_bytes: median(&mut windows),
            smoothed_rtt_seconds: median(&mut rtts).as_secs_f64(),
            loss_ratio: if sent == 0 { 0.0 } else { lost as f64 / sent as f64 },
            sent_bytes_per_second: rates.map(rate),
        }
    }
}

fn median<T: Copy + Default + Ord>(values: &mut [T]) -> T {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}
