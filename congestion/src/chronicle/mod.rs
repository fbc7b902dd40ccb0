//! [`Chronicle`]: which controllers a path had, what each achieved, and whether the present one is on trial.
//!
//! It goes from one controller's keeper to the next, hears every turn, and says at the end of a trial whether the predecessor
//! must go on.

mod meter;
#[cfg(test)]
mod tests;
mod trial;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::fmt;

use codec::Time;

pub use self::meter::{METERED, RateMeter, Rates};
use self::trial::Trial;
pub use self::trial::{TRIAL_PERIODS, TrialBounds, Verdict};
use crate::{Algorithm, Controller, Observed, Snapshot};

/// So many changes are remembered; the oldest is forgotten for one more.
pub const REMEMBERED_CHANGES: usize = 16;

/// Who wanted another controller.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Trigger {
    /// The application, through the library.
    Library,
    /// Somebody at a command line.
    Cli,
    /// Somebody over HTTP.
    Api,
    /// Somebody at the dashboard.
    Dashboard,
    /// A rule of the configuration.
    Config,
    /// A trial that failed.
    Rollback,
    /// The controller itself: it panicked.
    Panic,
}

impl Trigger {
    /// One lower-case word for it, which is its metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Library => "library",
            Self::Cli => "cli",
            Self::Api => "api",
            Self::Dashboard => "dashboard",
            Self::Config => "config",
            Self::Rollback => "rollback",
            Self::Panic => "panic",
        }
    }

    /// Whether the controller counts as chosen by a person or the application after a change with this trigger: such a
    /// choice holds against rules until it is cleared. `was`: whether it counted as chosen before.
    pub const fn leaves_choice(self, was: bool) -> bool {
        match self {
            Self::Library | Self::Cli | Self::Api | Self::Dashboard => true,
            Self::Config => false,
            // What a trial or a panic put in place of a choice does not make it one, nor end it.
            Self::Rollback | Self::Panic => was,
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Another controller is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Which.
    pub algorithm: Algorithm,
    /// What it must keep to stay; `None`: it stays.
    pub trial: Option<TrialBounds>,
    /// Who wants it.
    pub trigger: Trigger,
}

impl From<Algorithm> for Order {
    /// For good, wanted by the application.
    fn from(algorithm: Algorithm) -> Self {
        Self { algorithm, trial: None, trigger: Trigger::Library }
    }
}

/// One controller took over from another.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// When.
    pub at: Time,
    /// Which it was before.
    pub from: Algorithm,
    /// Which it was from then on.
    pub to: Algorithm,
    /// Who wanted it.
    pub trigger: Trigger,
    /// The congestion window just before, in bytes.
    pub window_before: u64,
    /// The congestion window just after, in bytes.
    pub window_after: u64,
    /// What the predecessor achieved just before.
    pub before: Rates,
    /// What the successor achieved since: up to now, or up to the next change.
    pub after: Rates,
    /// Whether the successor was tried, and how that ended; `None` too while the trial goes on.
    pub verdict: Option<Verdict>,
    /// The trial still goes on.
    pub on_trial: bool,
}

/// Why the present controller gives way.
#[derive(Clone, Copy, Debug)]
pub enum Cause {
    /// Another is wanted.
    Ordered(Order),
    /// Its trial failed.
    TrialFailed,
    /// It panicked, and the snapshot is one of a moment ago.
    Panicked,
}

/// What is remembered of a path's controllers; see the module.
#[derive(Clone, Debug)]
pub struct Chronicle {
    algorithm: Algorithm,
    meter: RateMeter,
    trial: Option<Box<Trial>>,
    changes: VecDeque<Change>,
}

impl Chronicle {
    /// Begins with the first controller of a path.
    pub const fn new(algorithm: Algorithm, meter: RateMeter) -> Self {
        Self { algorithm, meter, trial: None, changes: VecDeque::new() }
    }

    /// Which algorithm the present controller is of.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether the present controller is on trial.
    pub const fn is_on_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// What the present controller achieved lately.
    pub fn rates(&self) -> Rates {
        self.meter.rates()
    }

    /// Takes in one turn. If it ends a trial, how; with a [rollback](Verdict::is_rollback) the controller has to give way
    /// ([`Cause::TrialFailed`]).
    pub fn observe(&mut self, observed: &Observed) -> Option<Verdict> {
        self.meter.observe(observed);
        let verdict = self.trial.as_ref()?.judge(observed, &self.meter)?;
        if let Some(change) = self.changes.back_mut() {
            change.verdict = Some(verdict);
            change.on_trial = false;
        }
        if !verdict.is_rollback() {
            self.trial = None;
        }
        Some(verdict)
    }

    /// The present controller, of which this is the last snapshot, gives way. Returns its successor, and the change that
    /// was written down.
    pub fn succeed(&mut self, cause: Cause, snapshot: &Snapshot, now: Time) -> (Box<dyn Controller>, Change) {
        let order = match cause {
            Cause::Ordered(order) => order,
            Cause::TrialFailed => Order {
                algorithm: self.changes.back().map_or(Algorithm::NEW_RENO, |change| change.from),
                trial: None,
                trigger: Trigger::Rollback,
            },
            Cause::Panicked => Order { algorithm: Algorithm::NEW_RENO, trial: None, trigger: Trigger::Panic },
        };
        let ended = self.trial.take();
        let start = match (cause, ended) {
            (Cause::TrialFailed, Some(trial)) => trial.go_back(snapshot),
            _ => *snapshot,
        };
        let controller = order.algorithm.start_from(&start, now);
        let before = self.meter.rates();
        self.settle();
        let change = Change {
            at: now,
            from: self.algorithm,
            to: order.algorithm,
            trigger: order.trigger,
            window_before: snapshot.congestion_window,
            window_after: controller.window().congestion_window,
            before,
            after: Rates::default(),
            verdict: None,
            on_trial: order.trial.is_some(),
        };
        if self.changes.len() >= REMEMBERED_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
        self.trial = order.trial.map(|bounds| Box::new(Trial::begin(bounds, before, *snapshot, now)));
        self.algorithm = order.algorithm;
        self.meter = RateMeter::new(now);
        (controller, change)
    }

    /// The path is another one, of which nothing is known: what was measured no longer counts, and a trial under way cannot
    /// be judged.
    pub fn restart(&mut self, now: Time) {
        if self.trial.take().is_some()
            && let Some(change) = self.changes.back_mut()
        {
            change.verdict = Some(Verdict::Unproven);
        }
        self.settle();
        self.meter = RateMeter::new(now);
    }

    /// The remembered changes, oldest first; the last says what was achieved up to now.
    pub fn changes(&self) -> impl DoubleEndedIterator<Item = Change> + ExactSizeIterator {
        let last = self.changes.len().saturating_sub(1);
        let now = self.meter.rates();
        self.changes
            .iter()
            .enumerate()
            .map(move |(index, change)| if index == last { Change { after: now, ..*change } } else { *change })
    }

    /// Writes down what the present controller achieved: another follows.
    fn settle(&mut self) {
        let achieved = self.meter.rates();
        if let Some(change) = self.changes.back_mut() {
            change.after = achieved;
            change.on_trial = false;
        }
    }
}
