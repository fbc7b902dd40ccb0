//! What a workload was like: figures in their order, as a table or as one line of JSON.

use std::fmt;

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::units;

/// One thing that is known, or would be of another server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Figure {
    Words(&'static str),
    Truth(bool),
    Count(u64),
    Bytes(u64),
    Seconds(f64),
    Microseconds(f64),
    BitsPerSecond(f64),
    BytesPerSecond(f64),
    /// Of anything else.
    Number(f64),
}

/// Figures with their names, in the order in which they are told.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    figures: Vec<(&'static str, Option<Figure>)>,
}

impl Report {
    /// A report on this workload.
    pub(crate) fn new(workload: &'static str) -> Self {
        Self::default().with("workload", Figure::Words(workload))
    }

    /// And this.
    pub(crate) fn with(self, name: &'static str, figure: Figure) -> Self {
        self.maybe(name, Some(figure))
    }

    /// And this, if it is known.
    pub(crate) fn maybe(mut self, name: &'static str, figure: Option<Figure>) -> Self {
        let is_finite = match figure {
            Some(
                Figure::Seconds(value)
                | Figure::Microseconds(value)
                | Figure::BitsPerSecond(value)
                | Figure::BytesPerSecond(value)
                | Figure::Number(value),
            ) => value.is_finite(),
            _ => true,
        };
        self.figures.push((name, figure.filter(|_| is_finite)));
        self
    }
}

/// What is not known is left out.
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, figure) in &self.figures {
            match figure {
                None => {}
                Some(Figure::Words(words)) => map.serialize_entry(name, words)?,
                Some(Figure::Truth(truth)) => map.serialize_entry(name, truth)?,
                Some(Figure::Count(value) | Figure::Bytes(value)) => map.serialize_entry(name, value)?,
                Some(
                    Figure::Seconds(value)
                    | Figure::Microseconds(value)
                    | Figure::BitsPerSecond(value)
                    | Figure::BytesPerSecond(value)
                    | Figure::Number(value),
                ) => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

/// A line for each figure; what is not known is a dash.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.figures.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (line, (name, figure)) in self.figures.iter().enumerate() {
            // The value says in which unit it is.
            let name = name.trim_end_matches("_us").replace('_', " ");
            let end = if line == 0 { "" } else { "\n" };
            match figure {
                Some(figure) => write!(f, "{end}{name:<width$}  {figure}")?,
                None => write!(f, "{end}{name:<width$}  \u{2013}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => f.write_str(words),
            Self::Truth(truth) => f.write_str(if *truth { "yes" } else { "no" }),
            Self::Count(value) => value.fmt(f),
            Self::Bytes(value) => f.write_str(&units::bytes(*value)),
            Self::Seconds(value) => write!(f, "{value:.3} s"),
            Self::Microseconds(value) => write!(f, "{value:.1} us"),
            Self::BitsPerSecond(value) => f.write_str(&units::rate(*value)),
            Self::BytesPerSecond(value) => write!(f, "{}/s", units::bytes(*value as u64)),
            Self::Number(value) if value.abs() >= 1000.0 => write!(f, "{value:.0}"),
            Self::Number(value) => write!(f, "{value:.2}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report::new("requests")
            .with("seconds", Figure::Seconds(1.5))
            .with("p50_us", Figure::Microseconds(35.04))
            .with("count", Figure::Count(3))
            .with("requests_per_second", Figure::Number(12_345.6))
            .maybe("server_cpu_seconds", None)
            .with("client_cpu_seconds_per_gb", Figure::Number(f64::NAN))
    }

    #[test]
    fn json_is_one_line_in_order_without_what_is_not_known() {
        let line = serde_json::to_string(&report()).unwrap();
        assert_eq!(
            line,
            r#"{"workload":"requests","seconds":1.5,"p50_us":35.04,"count":3,"requests_per_second":12345.6}"#
        );
    }

    #[test]
    fn a_table_has_a_dash_for_what_is_not_known() {
        let table = report().to_string();
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split("  ").collect()).collect();
        assert_eq!(lines.len(), 7);
        assert!(table.contains("\np50                        35.0 us\n"), "{table}");
        assert!(table.contains("\nserver cpu seconds         \u{2013}\n"), "{table}");
        assert!(table.contains("  12346\n") && !table.contains("NaN"), "{table}");
    }
}
