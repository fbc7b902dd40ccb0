//! [`Member`]: a connection that was changed, and what became of that.

use quicast::CongestionReport;
use quicast::controllers::{Rates, Verdict};

use crate::admin::congestion::shown::ShownRates;

/// A connection that was changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) id: u64,
    /// The moment of its change, by which it is known again.
    pub(super) at: u64,
    pub(super) had: u16,
    pub(super) was_chosen: bool,
    pub(super) fate: Fate,
}

impl Member {
    pub(super) fn learn(&mut self, report: &CongestionReport, sums: &mut Sums) {
        let change = report.changes.iter().find(|change| change.at.as_nanos() == self.at);
        self.fate = match change {
            Some(change) => match change.verdict {
                Some(verdict) => {
                    if verdict != Verdict::Unproven {
                        sums.add(&change.before, &change.after);
                    }
                    Fate::Judged(verdict)
                }
                None if change.on_trial => Fate::OnTrial,
                None => Fate::Superseded,
            },
            None => Fate::Superseded,
        };
    }
}

/// What became of a change of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    /// It was for good.
    Applied,
    OnTrial,
    /// The trial ended.
    Judged(Verdict),
    /// The connection ended first.
    Gone,
    /// Another change came first.
    Superseded,
}

impl Fate {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::OnTrial => "on_trial",
            Self::Judged(verdict) if verdict.is_rollback() => "rolled_back",
            Self::Judged(Verdict::Unproven) => "unproven",
            Self::Judged(_) => "kept",
            Self::Gone => "gone",
            Self::Superseded => "superseded",
        }
    }
}

impl Fate {
    /// How the trial ended, if it did.
    pub(super) const fn verdict(self) -> Option<&'static str> {
        match self {
            Self::Judged(verdict) => Some(verdict.name()),
            _ => None,
        }
    }
}

/// What connections whose trial ended achieved, before and after.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    count: u32,
    before: Rates,
    after: Rates,
    loss_before: u64,
    loss_after: u64,
}

impl Sums {
    fn add(&mut self, before: &Rates, after: &Rates) {
        let sum = |sum: &mut Rates, rates: &Rates| {
            sum.goodput = sum.goodput.saturating_add(rates.goodput);
            sum.smoothed_rtt = sum.smoothed_rtt.saturating_add(rates.smoothed_rtt);
            sum.busy = sum.busy.saturating_add(rates.busy);
        };
        sum(&mut self.before, before);
        sum(&mut self.after, after);
        self.loss_before += u64::from(before.loss_rate);
        self.loss_after += u64::from(after.loss_rate);
        self.count += 1;
    }

    /// Goodput of all together, the rest on average.
    pub(super) fn shown(&self) -> Option<(ShownRates, ShownRates)> {
        let count = (self.count > 0).then_some(self.count)?;
        let mean = |rates: &Rates, loss: u64| {
            let rates = Rates {
                loss_rate: u32::try_from(loss / u64::from(count)).unwrap_or(u32::MAX),
                smoothed_rtt: rates.smoothed_rtt / count,
                busy: rates.busy / count,
                ..*rates
            };
            ShownRates::from(&rates)
        };
        Some((mean(&self.before, self.loss_before), mean(&self.after, self.loss_after)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_achieved_is_added_up() {
        let rates = |goodput, loss_rate| Rates {
            goodput,
            loss_rate,
            smoothed_rtt: Duration::from_millis(20),
            busy: Duration::from_secs(1),
        };
        let mut sums = Sums::default();
        assert!(sums.shown().is_none());
        sums.add(&rates(100, 10_000), &rates(150, 0));
        sums.add(&rates(300, 30_000), &rates(250, 0));
        let (before, after) = sums.shown().unwrap();
        let text = serde_json::to_value(before).unwrap();
        assert_eq!((text["goodput_bytes_per_second"].as_u64(), text["loss_ratio"].as_f64()), (Some(400), Some(0.02)));
        assert_eq!(serde_json::to_value(after).unwrap()["goodput_bytes_per_second"], 400);
    }
}
