//! Medians, spreads and ratios of what the runs gave.

use std::collections::BTreeMap;

use super::stacks::{Kind, STACKS, Stack};
use super::workloads::{Better, Figure, Run};

/// What a run gave, or why it gave nothing.
pub(crate) type Outcome = Result<Run, String>;

/// All runs of one workload, by the name of the stack.
#[derive(Debug, Default)]
pub(crate) struct Results(BTreeMap<&'static str, Vec<Outcome>>);

/// Several values of one figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Results {
    /// One more run.
    pub(crate) fn add(&mut self, stack: &'static str, outcome: Outcome) {
        self.0.entry(stack).or_default().push(outcome);
    }

    /// The stacks that took part, in the order of the columns.
    pub(crate) fn stacks(&self) -> impl Iterator<Item = &'static Stack> {
        STACKS.iter().filter(|stack| self.0.contains_key(stack.name))
    }

    /// What failed, and why.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'static str, &String)> {
        self.0.iter().flat_map(|(stack, runs)| runs.iter().filter_map(|run| Some((*stack, run.as_ref().err()?))))
    }

    /// A figure of a stack over all its runs that succeeded.
    pub(crate) fn spread(&self, stack: &str, figure: &Figure) -> Option<Spread> {
        let runs = self.0.get(stack)?.iter().flatten();
        Spread::of(runs.filter_map(figure.of).collect())
    }

    /// A figure of ours divided by that of another.
    pub(crate) fn ratio(&self, figure: &Figure, other: &str) -> Option<f64> {
        self.ratio_of(Kind::Ours, figure, other)
    }

    /// A figure of the first stack of this kind divided by that of another.
    pub(crate) fn ratio_of(&self, kind: Kind, figure: &Figure, other: &str) -> Option<f64> {
        let ours = STACKS.iter().find(|stack| stack.kind == kind)?;
        let (ours, other) = (self.spread(ours.name, figure)?.median, self.spread(other, figure)?.median);
        (other != 0.0).then_some(ours / other)
    }

    /// The other QUIC stack that is best in a figure.
    pub(crate) fn best_peer(&self, figure: &Figure) -> Option<&'static Stack> {
        let peers = self.stacks().filter(|stack| stack.kind == Kind::Quic);
        let values = peers.filter_map(|stack| Some((stack, self.spread(stack.name, figure)?.median)));
        let better = |a: f64, b: f64| if figure.better == Better::More { a > b } else { a < b };
        values.reduce(|best, next| if better(next.1, best.1) { next } else { best }).map(|(stack, _)| stack)
    }
}

impl Spread {
    /// Of at least one value.
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let median = if values.len().is_multiple_of(2) { (upper + values.get(middle - 1)?) / 2.0 } else { upper };
        Some(Self { median, least, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::workloads::WORKLOADS;

    #[test]
    fn the_median_is_in_the_middle() {
        let spread = |values: &[f64]| Spread::of(values.to_vec());
        assert_eq!(spread(&[3.0, 1.0, 9.0]), Some(Spread { median: 3.0, least: 1.0, most: 9.0 }));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 9.0]).unwrap().median, 3.0);
        assert_eq!(spread(&[5.0, f64::NAN]), Some(Spread { median: 5.0, least: 5.0, most: 5.0 }));
        assert_eq!(spread(&[]), None);
    }

    fn run(bytes: f64, cpu: f64) -> Outcome {
        let client = serde_json::json!({ "bytes": bytes, "seconds": 1.0, "client_cpu_seconds": cpu });
        Ok(Run { client, ..Run::default() })
    }

    #[test]
    fn ratios_are_ours_to_theirs_and_the_best_depends_on_the_figure() {
        let [rate, _, cpu] = WORKLOADS[0].figures else { panic!("three figures") };
        let mut results = Results::default();
        results.add("quicast", run(4e9, 1.0));
        results.add("quinn", run(2e9, 1.0));
        results.add("s2n-quic", run(8e9, 8.0));
        results.add("tcp-tls", run(16e9, 1.0));
        results.add("quiche", Err("it fell over".to_owned()));
        assert_eq!(results.ratio(rate, "quinn"), Some(2.0));
        assert_eq!(results.ratio(rate, "tcp-tls"), Some(0.25));
        assert_eq!(results.ratio(rate, "quiche"), None);
        assert_eq!(results.best_peer(rate).map(|stack| stack.name), Some("s2n-quic"));
        assert_eq!(results.best_peer(cpu).map(|stack| stack.name), Some("quinn"), "half a second a gigabyte, not one");
        assert_eq!(results.failures().collect::<Vec<_>>(), [("quiche", &"it fell over".to_owned())]);
        assert_eq!(results.stacks().count(), 5);
    }
}
