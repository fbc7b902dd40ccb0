//! What is asked for: JSON as it comes, and what it means.

use std::collections::BTreeMap;
use std::time::Duration;

use quicast::controllers::chronicle::TRIAL_PERIODS;
use quicast::controllers::{Registry, Selector};
use quicast::{Algorithm, TrialBounds, Trigger};
use serde::{Deserialize, Deserializer};

use crate::config::rules::{self, ApplyTo, RuleText, SelectorText, Wrong};
use crate::config::text::ParameterText;

/// Who asks.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    Cli,
    #[default]
    Api,
    Dashboard,
}

impl By {
    pub(super) const fn trigger(self) -> Trigger {
        match self {
            Self::Cli => Trigger::Cli,
            Self::Api => Trigger::Api,
            Self::Dashboard => Trigger::Dashboard,
        }
    }
}

/// `null` is an answer, silence is not.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

/// Another controller for one connection.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetOne {
    #[serde(deserialize_with = "given")]
    algorithm: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, ParameterText>,
    trial_seconds: Option<f64>,
    least_goodput: Option<f64>,
    most_loss_rise: Option<f64>,
    #[serde(default)]
    pub(super) dry_run: bool,
    #[serde(default)]
    pub(super) by: By,
}

/// Another controller for those that are meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetMany {
    #[serde(deserialize_with = "given")]
    algorithm: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, ParameterText>,
    trial_seconds: Option<f64>,
    least_goodput: Option<f64>,
    most_loss_rise: Option<f64>,
    #[serde(default)]
    pub(super) dry_run: bool,
    #[serde(default)]
    pub(super) by: By,
    r#where: Option<Where>,
    percent: Option<f64>,
    #[serde(default)]
    pub(super) shadow: bool,
}

/// A controller that only watches one connection.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetShadow {
    #[serde(deserialize_with = "given")]
    algorithm: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, ParameterText>,
}

/// Other rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetRules {
    default: String,
    #[serde(default)]
    pub(super) apply_to: ApplyTo,
    rules: Vec<RuleText>,
    #[serde(default)]
    pub(super) dry_run: bool,
    #[serde(default)]
    pub(super) by: By,
}

/// A selector, as an object or as a text.
#[derive(Debug)]
struct Where(Result<SelectorText, String>);

impl<'de> Deserialize<'de> for Where {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = Where;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "an object of alpn, sni, cidr, role, rtt and cc, or a text like \"alpn=h3,cidr=10.0.0.0/8\"",
                )
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Where, E> {
                Ok(Where(Err(text.to_owned())))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Where, A::Error> {
                let texts = SelectorText::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(Where(Ok(texts)))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// It goes on with another controller.
    Set(Algorithm, Option<TrialBounds>),
    /// Rules say again which controller it has.
    Clear,
}

/// Whom an order means.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) selector: Selector,
    /// Of those that the selector means; more than 0, at most 100.
    pub(super) percent: f64,
}

impl SetOne {
    pub(super) fn order(&self, registry: &Registry) -> Result<Order, Wrong> {
        let trial = trial(self.trial_seconds, self.least_goodput, self.most_loss_rise)?;
        order(find(registry, self.algorithm.as_deref(), &self.parameters)?, trial)
    }
}

impl SetMany {
    pub(super) fn algorithm(&self, registry: &Registry) -> Result<Option<Algorithm>, Wrong> {
        find(registry, self.algorithm.as_deref(), &self.parameters)
    }

    pub(super) fn order(&self, registry: &Registry) -> Result<Order, Wrong> {
        let trial = trial(self.trial_seconds, self.least_goodput, self.most_loss_rise)?;
        if self.shadow && trial.is_some() {
            return Err(Wrong::new("a shadow changes nothing that could be tried").within("trial_seconds"));
        }
        order(self.algorithm(registry)?, trial)
    }

    pub(super) fn target(&self, registry: &Registry) -> Result<Target, Wrong> {
        let percent = self.percent.unwrap_or(100.0);
        if !(percent > 0.0 && percent <= 100.0) {
            return Err(Wrong::new("a percentage is more than 0 and at most 100").within("percent"));
        }
        let selector = match &self.r#where {
            None => Selector::default(),
            Some(Where(Ok(texts))) => texts.read().map_err(|wrong| wrong.within("where"))?,
            Some(Where(Err(text))) => rules::selector(text).map_err(|wrong| wrong.within("where"))?,
        };
        Ok(Target { selector: canonical(registry, selector)?, percent })
    }
}

impl SetShadow {
    pub(super) fn algorithm(&self, registry: &Registry) -> Result<Option<Algorithm>, Wrong> {
        find(registry, self.algorithm.as_deref(), &self.parameters)
    }
}

impl SetRules {
    pub(super) fn rules(&self, registry: &Registry) -> Result<quicast::controllers::Rules, Wrong> {
        let default = registry.find(&self.default).map_err(|error| Wrong::from(error).within("default"))?;
        rules::read(registry, "rules", &self.rules, default)
    }
}

fn find(
    registry: &Registry,
    name: Option<&str>,
    parameters: &BTreeMap<String, ParameterText>,
) -> Result<Option<Algorithm>, Wrong> {
    match name {
        Some(name) => rules::algorithm(registry, ("algorithm", name), ("parameters", parameters)).map(Some),
        None if parameters.is_empty() => Ok(None),
        None => Err(Wrong::new("parameters of which algorithm?").within("parameters")),
    }
}

fn order(algorithm: Option<Algorithm>, trial: Option<TrialBounds>) -> Result<Order, Wrong> {
    match (algorithm, trial) {
        (Some(algorithm), trial) => Ok(Order::Set(algorithm, trial)),
        (None, None) => Ok(Order::Clear),
        (None, Some(_)) => Err(Wrong::new("what rules give is not tried; leave this out").within("trial_seconds")),
    }
}

fn trial(
    seconds: Option<f64>,
    least_goodput: Option<f64>,
    most_loss_rise: Option<f64>,
) -> Result<Option<TrialBounds>, Wrong> {
    let Some(seconds) = seconds else {
        let of_a_trial = [("least_goodput", least_goodput), ("most_loss_rise", most_loss_rise)];
        return match of_a_trial.into_iter().find(|(_, value)| value.is_some()) {
            Some((key, _)) => Err(Wrong::new("this bounds a trial: give trial_seconds too").within(key)),
            None => Ok(None),
        };
    };
    let (shortest, longest) = TRIAL_PERIODS;
    let period = Duration::try_from_secs_f64(seconds).ok().filter(|period| (shortest..=longest).contains(period));
    let (shortest, longest) = (shortest.as_secs_f64(), longest.as_secs_f64());
    let period = period
        .ok_or_else(|| Wrong::new(format_args!("a trial takes {shortest} to {longest} s")).within("trial_seconds"))?;
    let bounds = TrialBounds { period, ..TrialBounds::default() };
    let scaled = |key: &str, value: Option<f64>, most: f64, scale: f64, default: u32| match value {
        None => Ok(default),
        Some(value) if (0.0..=most).contains(&value) => Ok((value * scale).round() as u32),
        Some(_) => Err(Wrong::new(format_args!("a number from 0 to {most}: 0.8 is 80 %")).within(key)),
    };
    Ok(Some(TrialBounds {
        least_goodput: scaled("least_goodput", least_goodput, 10.0, 1e3, bounds.least_goodput)?,
        most_loss_rise: scaled("most_loss_rise", most_loss_rise, 1.0, 1e6, bounds.most_loss_rise)?,
        ..bounds
    }))
}

/// Controllers are named as they name themselves.
fn canonical(registry: &Registry, mut selector: Selector) -> Result<Selector, Wrong> {
    for name in &mut selector.cc {
        let found = registry.find(name).map_err(|error| Wrong::from(error).within("cc").within("where"))?;
        *name = found.name().to_owned();
    }
    Ok(selector)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn many(text: &str) -> Result<(Order, Target), String> {
        let many: SetMany = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let registry = Registry::default();
        let say = |wrong: Wrong| format!("{}: {}", wrong.field(), wrong.what);
        Ok((many.order(&registry).map_err(say)?, many.target(&registry).map_err(say)?))
    }

    #[test]
    fn a_selector_is_an_object_or_a_text() {
        let of = |text: &str| many(text).unwrap().1.selector.to_string();
        assert_eq!(of(r#"{"algorithm":"cubic"}"#), "all");
        assert_eq!(of(r#"{"algorithm":"cubic","where":"alpn=h3,rtt=50ms.."}"#), "alpn=h3,rtt=50ms..");
        assert_eq!(
            of(r#"{"algorithm":"cubic","where":{"alpn":"h3","cidr":["10.0.0.0/8","::1"],"cc":"Reno"}}"#),
            "alpn=h3,cc=newreno,cidr=10.0.0.0/8,cidr=::1/128"
        );
    }

    #[test]
    fn a_trial_has_bounds_and_defaults() {
        let (order, _) = many(r#"{"algorithm":"newreno","trial_seconds":30,"most_loss_rise":0.05}"#).unwrap();
        let Order::Set(algorithm, Some(bounds)) = order else { panic!("{order:?}") };
        assert_eq!(algorithm, Algorithm::NEW_RENO);
        let expected = TrialBounds { period: Duration::from_secs(30), least_goodput: 800, most_loss_rise: 50_000 };
        assert_eq!(bounds, expected);
        for seconds in ["0.1", "3600"] {
            assert!(many(&format!(r#"{{"algorithm":"cubic","trial_seconds":{seconds}}}"#)).is_ok());
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, words) in [
            ("{}", "missing field `algorithm`"),
            (r#"{"algorithm":"cubic","colour":1}"#, "unknown field `colour`"),
            (
                r#"{"algorithm":"cubik"}"#,
                "algorithm: no congestion controller is named \"cubik\"; did you mean \"cubic\"",
            ),
            (r#"{"algorithm":"cubic","parameters":{"x":1}}"#, "parameters.x: cubic: no parameter is named \"x\""),
            (r#"{"algorithm":null,"parameters":{"x":1}}"#, "parameters: parameters of which algorithm"),
            (r#"{"algorithm":null,"trial_seconds":5}"#, "trial_seconds: what rules give"),
            (r#"{"algorithm":"cubic","trial_seconds":0.09}"#, "trial_seconds: a trial takes 0.1 to 3600 s"),
            (r#"{"algorithm":"cubic","trial_seconds":3601}"#, "trial_seconds: a trial takes"),
            (r#"{"algorithm":"cubic","trial_seconds":-1}"#, "trial_seconds: a trial takes"),
            (r#"{"algorithm":"cubic","least_goodput":0.8}"#, "least_goodput: this bounds a trial"),
            (r#"{"algorithm":"cubic","trial_seconds":5,"least_goodput":11}"#, "least_goodput: a number from 0 to 10"),
            (r#"{"algorithm":"cubic","trial_seconds":5,"most_loss_rise":1.1}"#, "most_loss_rise: a number from 0 to 1"),
            (r#"{"algorithm":"cubic","percent":0}"#, "percent: a percentage"),
            (r#"{"algorithm":"cubic","percent":101}"#, "percent: a percentage"),
            (r#"{"algorithm":"cubic","shadow":true,"trial_seconds":5}"#, "trial_seconds: a shadow"),
            (r#"{"algorithm":"cubic","where":7}"#, "an object of alpn"),
            (r#"{"algorithm":"cubic","where":{"colour":"red"}}"#, "unknown field `colour`"),
            (
                r#"{"algorithm":"cubic","where":{"cidr":["::1","10.0.0.1/8"]}}"#,
                "where.cidr[1]: \"10.0.0.1/8\": not a block",
            ),
            (r#"{"algorithm":"cubic","where":{"role":"judge"}}"#, "where.role: a role is"),
            (r#"{"algorithm":"cubic","where":"speed=7"}"#, "where: \"speed=7\": the kinds are"),
            (r#"{"algorithm":"cubic","where":{"cc":"bbrr"}}"#, "where.cc: no congestion controller is named"),
        ] {
            let said = many(text).unwrap_err();
            assert!(said.contains(words), "{text}: {said}");
        }
    }
}
