//! Controllers, changes and reports as JSON, in base units.

use std::collections::BTreeMap;

use quicast::controllers::{Parameter, Rates, Registry, Rules, TrialBounds, Window};
use quicast::{Algorithm, CongestionChange, CongestionReport, ConnectionInfo, ShadowReport};
use serde::Serialize;

use super::act;

#[derive(Debug, Serialize)]
pub(super) struct Algorithms {
    algorithms: Vec<ShownAlgorithm>,
}

/// A controller that can be asked for.
#[derive(Debug, Serialize)]
struct ShownAlgorithm {
    name: &'static str,
    about: &'static str,
    parameters: Vec<ShownParameter>,
}

#[derive(Debug, Serialize)]
struct ShownParameter {
    name: &'static str,
    about: &'static str,
    r#type: &'static str,
    least: String,
    most: String,
    default: String,
}

impl Algorithms {
    pub(super) fn new(registry: &Registry) -> Self {
        let shown = |algorithm: &Algorithm| ShownAlgorithm {
            name: algorithm.name(),
            about: algorithm.about(),
            parameters: algorithm.describe().map(|(parameter, _)| ShownParameter::new(parameter)).collect(),
        };
        Self { algorithms: registry.all().iter().map(shown).collect() }
    }
}

impl ShownParameter {
    fn new(parameter: &Parameter) -> Self {
        Self {
            name: parameter.name,
            about: parameter.about,
            r#type: parameter.unit.name(),
            least: parameter.show(parameter.least),
            most: parameter.show(parameter.most),
            default: parameter.show(parameter.default),
        }
    }
}

/// What a sender achieved.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct ShownRates {
    goodput_bytes_per_second: u64,
    /// 0 to 1.
    loss_ratio: f64,
    smoothed_rtt_seconds: f64,
    /// In how much time, in which the network was the limit.
    busy_seconds: f64,
}

impl From<&Rates> for ShownRates {
    fn from(rates: &Rates) -> Self {
        Self {
            goodput_bytes_per_second: rates.goodput,
            loss_ratio: f64::from(rates.loss_rate) / 1e6,
            smoothed_rtt_seconds: rates.smoothed_rtt.as_secs_f64(),
            busy_seconds: rates.busy.as_secs_f64(),
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
struct ShownWindow {
    window_bytes: u64,
    /// 0: nothing is paced.
    pacing_bytes_per_second: u64,
    quantum_bytes: u64,
}

impl From<Window> for ShownWindow {
    fn from(window: Window) -> Self {
        Self {
            window_bytes: window.congestion_window,
            pacing_bytes_per_second: window.pacing_rate,
            quantum_bytes: window.quantum,
        }
    }
}

/// What a new controller must keep to stay.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct ShownTrial {
    pub(super) seconds: f64,
    least_goodput: f64,
    most_loss_rise: f64,
}

impl From<&TrialBounds> for ShownTrial {
    fn from(bounds: &TrialBounds) -> Self {
        Self {
            seconds: bounds.period.as_secs_f64(),
            least_goodput: f64::from(bounds.least_goodput) / 1e3,
            most_loss_rise: f64::from(bounds.most_loss_rise) / 1e6,
        }
    }
}

/// One controller took over from another.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ShownChange {
    seconds_ago: f64,
    from: String,
    to: String,
    by: &'static str,
    window_before_bytes: u64,
    window_after_bytes: u64,
    before: ShownRates,
    after: ShownRates,
    on_trial: bool,
    verdict: Option<&'static str>,
}

impl ShownChange {
    pub(super) fn new(change: &CongestionChange, seconds_ago: f64) -> Self {
        Self {
            seconds_ago,
            from: change.from.to_string(),
            to: change.to.to_string(),
            by: change.trigger.name(),
            window_before_bytes: change.window_before,
            window_after_bytes: change.window_after,
            before: (&change.before).into(),
            after: (&change.after).into(),
            on_trial: change.on_trial,
            verdict: change.verdict.map(quicast::controllers::Verdict::name),
        }
    }
}

/// Why a connection has the controller that it has.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(tag = "by", content = "rule", rename_all = "lowercase")]
pub(super) enum Reason {
    /// Somebody chose it; rules do not apply.
    Choice,
    /// The rule of this name gives it.
    Rule(String),
    /// No rule means the connection.
    Default,
    /// Rules would give another: they changed for new connections only, or a trial or a panic put this one in its place.
    Earlier,
}

impl Reason {
    pub(super) fn of(report: &CongestionReport, info: &ConnectionInfo, rules: &Rules) -> Self {
        if report.is_chosen {
            return Self::Choice;
        }
        match act::facts(info).map(|facts| rules.choose(&facts)) {
            Some((rule, algorithm)) if algorithm == report.algorithm => {
                rule.map_or(Self::Default, |rule| Self::Rule(rule.name.clone()))
            }
            _ => Self::Earlier,
        }
    }
}

/// How things are with the controller of a connection.
#[derive(Debug, Serialize)]
pub(super) struct ShownReport {
    id: u64,
    remote: String,
    /// With the parameters that are not at their default.
    algorithm: String,
    name: &'static str,
    parameters: BTreeMap<&'static str, String>,
    state: &'static str,
    #[serde(flatten)]
    window: ShownWindow,
    reason: Reason,
    on_trial: bool,
    rates: ShownRates,
    /// Oldest first.
    history: Vec<ShownChange>,
    shadow: Option<ShownShadow>,
}

/// What a controller that only watches would do.
#[derive(Debug, Serialize)]
struct ShownShadow {
    algorithm: String,
    state: &'static str,
    #[serde(flatten)]
    window: ShownWindow,
    /// How often it would have changed its window out of turn.
    events: ShownEvents,
}

#[derive(Debug, Serialize)]
struct ShownEvents {
    loss: u64,
    ecn_ce: u64,
    persistent: u64,
    spurious_undo: u64,
}

impl From<&ShadowReport> for ShownShadow {
    fn from(shadow: &ShadowReport) -> Self {
        let events = &shadow.events;
        Self {
            algorithm: shadow.algorithm.to_string(),
            state: shadow.state,
            window: shadow.window.into(),
            events: ShownEvents {
                loss: events.loss,
                ecn_ce: events.ecn_ce,
                persistent: events.persistent,
                spurious_undo: events.spurious_undo,
            },
        }
    }
}

impl ShownReport {
    pub(super) fn new(report: &CongestionReport, info: &ConnectionInfo, rules: &Rules) -> Self {
        let ago = |change: &CongestionChange| report.now.saturating_since(change.at).as_secs_f64();
        Self {
            id: info.id,
            remote: info.remote.to_string(),
            algorithm: report.algorithm.to_string(),
            name: report.algorithm.name(),
            parameters: report.algorithm.describe().map(|(what, value)| (what.name, what.show(value))).collect(),
            state: report.state,
            window: report.window.into(),
            reason: Reason::of(report, info, rules),
            on_trial: report.is_on_trial,
            rates: (&report.rates).into(),
            history: report.changes.iter().map(|change| ShownChange::new(change, ago(change))).collect(),
            shadow: report.shadow.as_ref().map(ShownShadow::from),
        }
    }
}

/// The rules that apply.
#[derive(Debug, Serialize)]
pub(super) struct ShownRules {
    default: String,
    rules: Vec<ShownRule>,
}

#[derive(Debug, Serialize)]
struct ShownRule {
    name: String,
    /// As selectors are written.
    r#where: String,
    r#use: String,
}

impl From<&Rules> for ShownRules {
    fn from(rules: &Rules) -> Self {
        let shown = |rule: &quicast::controllers::Rule| ShownRule {
            name: rule.name.clone(),
            r#where: rule.selector.to_string(),
            r#use: rule.algorithm.to_string(),
        };
        Self { default: rules.default.to_string(), rules: rules.rules.iter().map(shown).collect() }
    }
}
