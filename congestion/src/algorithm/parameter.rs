//! [`Parameter`]: what of an algorithm can be set, and [`Parameters`]: what it is set to.

use alloc::format;
use alloc::string::{String, ToString};

use super::name::{self, UnknownName};
use super::registry::AlgorithmError;

/// An algorithm has no more parameters than this.
pub const MAXIMUM_PARAMETERS: usize = 8;

/// What a parameter's number counts, and how it is written.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Unit {
    /// A plain number: `3`.
    Count,
    /// Bytes: `64000`.
    Bytes,
    /// Bytes a second: `1250000`.
    BytesPerSecond,
    /// Milliseconds: `200`, `200ms` or `0.2s`.
    Milliseconds,
    /// Thousandths of a ratio: `2.77` is 2770.
    Thousandths,
    /// On (1) or off (0): `on`, `off`, `true`, `false`.
    Switch,
}

impl Unit {
    /// Its name in descriptions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "bytes_per_second",
            Self::Milliseconds => "milliseconds",
            Self::Thousandths => "ratio",
            Self::Switch => "switch",
        }
    }
}

/// Something of an algorithm that can be set. The numbers are in the unit's terms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parameter {
    /// The name it is set by: lower-case letters, digits and `_`.
    pub name: &'static str,
    /// One line that says what it does.
    pub about: &'static str,
    /// What its number counts.
    pub unit: Unit,
    /// The least it may be.
    pub least: u64,
    /// The most it may be.
    pub most: u64,
    /// What it is if nobody says anything.
    pub default: u64,
}

impl Parameter {
    /// The value as people write it.
    pub fn show(&self, value: u64) -> String {
        match self.unit {
            Unit::Count | Unit::Bytes | Unit::BytesPerSecond => value.to_string(),
            Unit::Milliseconds => format!("{value}ms"),
            Unit::Thousandths => {
                let text = format!("{}.{:03}", value / 1000, value % 1000);
                let short = text.trim_end_matches('0').trim_end_matches('.');
                short.to_string()
            }
            Unit::Switch => String::from(if value == 0 { "off" } else { "on" }),
        }
    }

    pub(super) fn parse(&self, algorithm: &'static str, text: &str) -> Result<u64, AlgorithmError> {
        let text = text.trim();
        let value = match self.unit {
            Unit::Count | Unit::Bytes | Unit::BytesPerSecond => text.parse().ok(),
            Unit::Milliseconds => {
                if let Some(milliseconds) = text.strip_suffix("ms") {
                    milliseconds.trim().parse().ok()
                } else if let Some(seconds) = text.strip_suffix('s') {
                    thousandths(seconds.trim())
                } else {
                    text.parse().ok()
                }
            }
            Unit::Thousandths => thousandths(text),
            Unit::Switch => match text {
                "on" | "true" | "yes" | "1" => Some(1),
                "off" | "false" | "no" | "0" => Some(0),
                _ => None,
            },
        };
        let value = value.filter(|value| (self.least..=self.most).contains(value));
        value.ok_or_else(|| AlgorithmError::BadValue {
            algorithm,
            parameter: *self,
            asked: text.chars().take(40).collect(),
        })
    }
}

/// Reads a decimal number of at most three places as thousandths; more places are no number that it could keep.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || part.len() > 3 || !digits(whole) || !digits(part) {
        return None;
    }
    let part: u64 = format!("{part:0<3}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(part)
}

/// The values of an algorithm's parameters, in the order in which it names them.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Parameters([u64; MAXIMUM_PARAMETERS]);

impl Parameters {
    /// Each at its default.
    pub const fn defaults(parameters: &[Parameter]) -> Self {
        let mut values = [0; MAXIMUM_PARAMETERS];
        let mut index = 0;
        while index < parameters.len() && index < MAXIMUM_PARAMETERS {
            values[index] = parameters[index].default;
            index += 1;
        }
        Self(values)
    }

    /// The value at this place of the algorithm's list; zero where the list has ended.
    pub fn get(&self, place: usize) -> u64 {
        self.0.get(place).copied().unwrap_or_default()
    }

    /// Whether the switch at this place is on.
    pub fn is_on(&self, place: usize) -> bool {
        self.get(place) != 0
    }

    pub(super) fn set(&mut self, place: usize, value: u64) {
        if let Some(here) = self.0.get_mut(place) {
            *here = value;
        }
    }

    pub(super) fn values(self) -> impl ExactSizeIterator<Item = u64> {
        self.0.into_iter()
    }
}

pub(super) fn find(
    algorithm: &'static str,
    parameters: &'static [Parameter],
    asked: &str,
) -> Result<(usize, &'static Parameter), AlgorithmError> {
    let folded = name::fold(asked);
    let found = parameters.iter().enumerate().find(|(_, parameter)| name::fold(parameter.name) == folded);
    found.ok_or_else(|| {
        let names = parameters.iter().map(|parameter| parameter.name);
        AlgorithmError::UnknownParameter { algorithm, name: UnknownName::new("parameter", asked, names) }
    })
}
