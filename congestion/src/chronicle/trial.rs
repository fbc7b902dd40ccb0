//! [`Trial`]: whether a new controller may stay.

use core::fmt;
use core::time::Duration;

use codec::Time;

use super::meter::{RateMeter, Rates};
use crate::{Observed, Snapshot};

/// A trial that was busy for less than one part in so many of its period proves nothing.
const LEAST_BUSY: u32 = 8;
/// The shortest and the longest period of a trial.
pub const TRIAL_PERIODS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));

/// What a new controller must keep to stay, against what its predecessor achieved just before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TrialBounds {
    /// How long it is tried; between the two [`TRIAL_PERIODS`].
    pub period: Duration,
    /// The least goodput, in thousandths of the goodput before.
    pub least_goodput: u32,
    /// By how much the loss rate may rise, in packets of a million.
    pub most_loss_rise: u32,
}

impl Default for TrialBounds {
    /// Ten seconds; a fifth less goodput at most, or two in a hundred packets more lost.
    fn default() -> Self {
        Self { period: Duration::from_secs(10), least_goodput: 800, most_loss_rise: 20_000 }
    }
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verdict {
    /// The new controller kept the bounds.
    Kept,
    /// Too little was sent to judge by, before or during the trial; the new controller stays.
    Unproven,
    /// Goodput fell below the bound: the predecessor goes on.
    GoodputFell,
    /// The loss rate rose beyond the bound: the predecessor goes on.
    LossRose,
    /// Persistent congestion (RFC 9002 §7.6) was established: the predecessor goes on.
    PersistentCongestion,
}

impl Verdict {
    /// Whether the predecessor goes on.
    pub const fn is_rollback(self) -> bool {
        matches!(self, Self::GoodputFell | Self::LossRose | Self::PersistentCongestion)
    }

    /// One word for it: lower-case letters and `_`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Unproven => "unproven",
            Self::GoodputFell => "goodput_fell",
            Self::LossRose => "loss_rose",
            Self::PersistentCongestion => "persistent_congestion",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A trial under way.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    bounds: TrialBounds,
    ends: Time,
    before: Rates,
    /// What the predecessor knew: where it goes on if it must.
    kept: Snapshot,
}

impl Trial {
    pub(super) fn begin(bounds: TrialBounds, before: Rates, kept: Snapshot, now: Time) -> Self {
        let period = bounds.period.clamp(TRIAL_PERIODS.0, TRIAL_PERIODS.1);
        Self { bounds: TrialBounds { period, ..bounds }, ends: now + period, before, kept }
    }

    /// Judges after a turn that `meter` has taken in; `None` while it goes on.
    pub(super) fn judge(&self, observed: &Observed, meter: &RateMeter) -> Option<Verdict> {
        if observed.persistent_congestion {
            return Some(Verdict::PersistentCongestion);
        }
        (observed.now >= self.ends).then(|| self.compare(&meter.rates()))
    }

    fn compare(&self, during: &Rates) -> Verdict {
        let enough = self.bounds.period / LEAST_BUSY;
        if during.busy < enough.min(super::METERED) || self.before.busy.is_zero() {
            return Verdict::Unproven;
        }
        let least = crate::arithmetic::mul_div(self.before.goodput, u64::from(self.bounds.least_goodput), 1000);
        if during.goodput < least {
            return Verdict::GoodputFell;
        }
        if during.loss_rate > self.before.loss_rate.saturating_add(self.bounds.most_loss_rise) {
            return Verdict::LossRose;
        }
        Verdict::Kept
    }

    /// Where the predecessor goes on: with the window of now, so that nothing leaves in a burst and no answer to a loss is
    /// taken back, and by slow start to the window that it had.
    pub(super) fn go_back(&self, now: &Snapshot) -> Snapshot {
        let kept = &self.kept;
        Snapshot {
            controller: kept.controller,
            slow_start_threshold: Some(kept.congestion_window.max(now.congestion_window)),
            in_slow_start: !now.in_recovery && now.congestion_window < kept.congestion_window,
            saturation_window: kept.saturation_window,
            bandwidth: kept.bandwidth,
            ..*now
        }
    }
}
