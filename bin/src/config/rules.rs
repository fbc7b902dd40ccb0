//! Rules of congestion controllers as they are written: in the file, in JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use quicast::Algorithm;
use quicast::controllers::rule::{BadSelector, MAXIMUM_RULES, MAXIMUM_VALUES, parse_role, parse_rtt_range};
use quicast::controllers::{AlgorithmError, Registry, Rule, Rules, Selector};
use serde::Deserialize;

use super::text::{ParameterText, Texts};

/// What a rule may be called: so many letters at most.
const LONGEST_NAME: usize = 64;

/// Something that was written is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Wrong {
    /// Where, from the outside to the inside.
    pub(crate) place: Vec<Step>,
    /// What is wrong with it, and what would be right.
    pub(crate) what: String,
    pub(crate) kind: Kind,
}

/// A step into a table or a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// What is wrong, for who counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    UnknownController,
    BadParameter,
    Other,
}

impl Wrong {
    pub(crate) fn new(what: impl fmt::Display) -> Self {
        Self { place: Vec::new(), what: what.to_string(), kind: Kind::Other }
    }

    /// It is in the value of this key.
    pub(crate) fn within(mut self, key: &str) -> Self {
        self.place.insert(0, Step::Key(key.to_owned()));
        self
    }

    /// It is in the element of this number.
    pub(crate) fn at(mut self, index: usize) -> Self {
        self.place.insert(0, Step::Index(index));
        self
    }

    /// `rules[2].cidr[0]`.
    pub(crate) fn field(&self) -> String {
        self.place.iter().fold(String::new(), |path, step| match step {
            Step::Key(key) if path.is_empty() => key.clone(),
            Step::Key(key) => format!("{path}.{key}"),
            Step::Index(index) => format!("{path}[{index}]"),
        })
    }
}

impl From<AlgorithmError> for Wrong {
    fn from(error: AlgorithmError) -> Self {
        let kind = match error {
            AlgorithmError::Unknown(_) => Kind::UnknownController,
            _ => Kind::BadParameter,
        };
        Self { kind, ..Self::new(error) }
    }
}

/// A controller, with its parameters beside its name.
///
/// # Errors
/// There is none of the name, or not with such parameters.
pub(crate) fn algorithm(
    registry: &Registry,
    (key, name): (&str, &str),
    (parameters_key, parameters): (&str, &BTreeMap<String, ParameterText>),
) -> Result<Algorithm, Wrong> {
    let mut algorithm = registry.find(name).map_err(|error| Wrong::from(error).within(key))?;
    for (parameter, value) in parameters {
        algorithm = algorithm
            .with(parameter, &value.0)
            .map_err(|error| Wrong::from(error).within(parameter).within(parameters_key))?;
    }
    Ok(algorithm)
}

/// Which connections are meant.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SelectorText {
    pub(crate) alpn: Texts,
    pub(crate) sni: Texts,
    pub(crate) cidr: Texts,
    pub(crate) role: Option<String>,
    pub(crate) rtt: Option<String>,
    pub(crate) cc: Texts,
}

impl SelectorText {
    pub(crate) fn read(&self) -> Result<Selector, Wrong> {
        let mut selector =
            Selector { alpn: list("alpn", &self.alpn)?, sni: list("sni", &self.sni)?, ..Selector::default() };
        selector.cc = list("cc", &self.cc)?;
        selector.cidr = list("cidr", &self.cidr)?;
        if let Some(role) = &self.role {
            let role = parse_role(role);
            selector.role = Some(role.ok_or_else(|| Wrong::new("a role is client or server").within("role"))?);
        }
        if let Some(range) = &self.rtt {
            let why = "a range of round-trip times is 50ms..200ms, 100ms.. or ..20ms";
            (selector.rtt_from, selector.rtt_to) =
                parse_rtt_range(range).ok_or_else(|| Wrong::new(why).within("rtt"))?;
        }
        Ok(selector)
    }
}

fn list<T>(key: &str, texts: &Texts) -> Result<Vec<T>, Wrong>
where
    T: FromStr<Err: fmt::Display>,
{
    if texts.0.len() > MAXIMUM_VALUES {
        return Err(Wrong::new(format_args!("at most {MAXIMUM_VALUES} values")).within(key));
    }
    let read = |(index, text): (usize, &String)| {
        let empty = || Wrong::new("a value is empty").at(index).within(key);
        let wrong = |error| Wrong::new(format_args!("{text:?}: {error}")).at(index).within(key);
        if text.is_empty() { Err(empty()) } else { text.parse().map_err(wrong) }
    };
    texts.0.iter().enumerate().map(read).collect()
}

/// A selector as a text: `alpn=h3,cidr=10.0.0.0/8`.
pub(crate) fn selector(text: &str) -> Result<Selector, Wrong> {
    text.parse().map_err(|error: BadSelector| Wrong::new(error))
}

/// One rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleText {
    name: String,
    #[serde(default)]
    alpn: Texts,
    #[serde(default)]
    sni: Texts,
    #[serde(default)]
    cidr: Texts,
    role: Option<String>,
    rtt: Option<String>,
    r#use: String,
    #[serde(default)]
    params: BTreeMap<String, ParameterText>,
}

impl RuleText {
    fn read(&self, registry: &Registry) -> Result<Rule, Wrong> {
        let name = self.name.trim();
        if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            let what = format_args!("a rule's name is 1 to {LONGEST_NAME} letters, on one line");
            return Err(Wrong::new(what).within("name"));
        }
        let selector = SelectorText {
            alpn: self.alpn.clone(),
            sni: self.sni.clone(),
            cidr: self.cidr.clone(),
            role: self.role.clone(),
            rtt: self.rtt.clone(),
            cc: Texts::default(),
        };
        Ok(Rule {
            name: name.to_owned(),
            selector: selector.read()?,
            algorithm: algorithm(registry, ("use", &self.r#use), ("params", &self.params))?,
        })
    }
}

/// Reads all rules or none. `key` is what their list is called.
///
/// # Errors
/// What is wrong with which.
pub(crate) fn read(registry: &Registry, key: &str, rules: &[RuleText], default: Algorithm) -> Result<Rules, Wrong> {
    if rules.len() > MAXIMUM_RULES {
        return Err(Wrong::new(format_args!("at most {MAXIMUM_RULES} rules")).within(key));
    }
    let mut names = BTreeSet::new();
    let read = |(index, text): (usize, &RuleText)| {
        let rule = text.read(registry).map_err(|wrong| wrong.at(index).within(key))?;
        if names.insert(rule.name.clone()) {
            return Ok(rule);
        }
        let what = format_args!("another rule is named {:?}", rule.name);
        Err(Wrong::new(what).within("name").at(index).within(key))
    };
    let rules = rules.iter().enumerate().map(read).collect::<Result<_, Wrong>>()?;
    Ok(Rules { rules, default })
}

/// Whom rules apply to when they change.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ApplyTo {
    /// Connections that begin from now on, and those there are.
    #[default]
    Live,
    /// Connections that begin from now on.
    New,
}
