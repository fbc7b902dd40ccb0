//! [`Changes`]: what was changed through this address lately, what became of it, and how it is taken back.

mod member;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use quicast::controllers::{Rules, TrialBounds};
use quicast::{Algorithm, Endpoint, Trigger};
use serde::Serialize;

use self::member::{Fate, Member, Sums};
use super::act::{self, Done, Refusal};
use super::request::Order;
use super::shown::{ShownRates, ShownTrial};

/// So many changes are remembered; the oldest is forgotten for one more.
pub(super) const REMEMBERED: usize = 64;
/// So many connections are remembered in all of them (24 bytes each); older changes are forgotten for more.
const REMEMBERED_CONNECTIONS: usize = 1 << 20;
/// So many connections are told one by one.
pub(super) const TOLD: usize = 100;

/// The last changes.
#[derive(Debug, Default)]
pub(crate) struct Changes(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    last: u64,
    kept: VecDeque<Arc<Entry>>,
    connections: usize,
}

/// One change: of one connection, of many, or of the rules.
#[derive(Debug)]
pub(super) struct Entry {
    number: u64,
    at: Instant,
    by: Trigger,
    what: What,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) enum What {
    Connections {
        /// `None`: the choice was given up.
        algorithm: Option<Algorithm>,
        /// Which were meant.
        meant: String,
        percent: f64,
        trial: Option<TrialBounds>,
        matched: usize,
        refused: usize,
    },
    Rules {
        before: Arc<Rules>,
        after: Arc<Rules>,
        live: bool,
    },
}

#[derive(Debug, Default)]
struct State {
    members: Vec<Member>,
    /// What the members had before; there are few different.
    had: Vec<Algorithm>,
    sums: Sums,
    undone: bool,
}

impl Changes {
    /// Writes down what was done. Its number.
    pub(super) fn add(&self, by: Trigger, what: What, done: &[Done]) -> u64 {
        let is_trial = matches!(what, What::Connections { trial: Some(_), .. });
        let mut state = State::default();
        state.members.reserve_exact(done.len());
        for done in done {
            let known = state.had.iter().position(|had| *had == done.from);
            let had = known.unwrap_or_else(|| {
                state.had.push(done.from);
                state.had.len() - 1
            });
            let fate = if is_trial { Fate::OnTrial } else { Fate::Applied };
            // There are fewer different algorithms than that: a registry is bounded, and so is what is typed.
            let had = u16::try_from(had).unwrap_or(u16::MAX);
            state.members.push(Member { id: done.id, at: done.at, had, was_chosen: done.was_chosen, fate });
        }
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.last += 1;
        log.connections += done.len();
        let number = log.last;
        let entry = Entry { number, at: Instant::now(), by, what, state: Mutex::new(state) };
        log.kept.push_back(Arc::new(entry));
        while log.kept.len() > REMEMBERED || (log.connections > REMEMBERED_CONNECTIONS && log.kept.len() > 1) {
            if let Some(oldest) = log.kept.pop_front() {
                log.connections -= oldest.state().members.len();
            }
        }
        number
    }

    /// Those that are remembered, oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).kept.iter().cloned().collect()
    }

    /// The one of this number.
    pub(super) fn find(&self, number: u64) -> Option<Arc<Entry>> {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.kept.iter().find(|entry| entry.number == number).cloned()
    }
}

/// Why a change is not taken back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CannotUndo {
    Already,
    OtherRules,
}

impl CannotUndo {
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Already => "this change has been taken back already",
            Self::OtherRules => {
                "the rules have been changed since; take that back first, or set the rules that you want"
            }
        }
    }
}

/// What taking a change back came to.
#[derive(Debug, Default, Serialize)]
pub(super) struct Undone {
    change: u64,
    /// Connections that have again what they had.
    undone: usize,
    /// Connections that something else has happened to since: they stay as they are.
    left: usize,
    gone: usize,
    refused: Vec<ShownRefusal>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    difference: Vec<String>,
}

/// Why nothing was done with a connection.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct ShownRefusal {
    pub(super) id: u64,
    pub(super) reason: &'static str,
}

impl Entry {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the connections that are on trial how that goes.
    pub(super) async fn refresh(&self, endpoint: &Endpoint) {
        let on_trial: BTreeMap<u64, u64> = {
            let state = self.state();
            let on_trial = state.members.iter().filter(|member| member.fate == Fate::OnTrial);
            on_trial.map(|member| (member.id, member.at)).collect()
        };
        if on_trial.is_empty() {
            return;
        }
        let reports =
            act::each(endpoint, on_trial.keys().copied().collect(), async |connection| act::report(&connection).await);
        let reports: BTreeMap<u64, _> = reports.await.into_iter().collect();
        let mut state = self.state();
        let State { members, sums, .. } = &mut *state;
        for member in members.iter_mut().filter(|member| member.fate == Fate::OnTrial) {
            match reports.get(&member.id) {
                Some(Ok(report)) => member.learn(report, sums),
                Some(Err(Refusal::Gone | Refusal::Closed)) => member.fate = Fate::Gone,
                _ => {}
            }
        }
    }

    /// Each connection that still has what this change gave it has again what it had.
    ///
    /// # Errors
    /// It was taken back before, or the rules are others by now.
    pub(super) async fn undo(&self, endpoint: &Endpoint, by: Trigger) -> Result<Undone, CannotUndo> {
        let mut undone = Undone { change: self.number, ..Undone::default() };
        {
            let mut state = self.state();
            if state.undone {
                return Err(CannotUndo::Already);
            }
            if let What::Rules { before, after, live } = &self.what {
                if endpoint.congestion_rules() != *after {
                    return Err(CannotUndo::OtherRules);
                }
                undone.difference = after.difference(before);
                endpoint.set_congestion_rules((**before).clone(), *live);
            }
            state.undone = true;
        }
        let members: BTreeMap<u64, (Member, Option<Algorithm>)> = {
            let state = self.state();
            let had = |member: &Member| state.had.get(usize::from(member.had)).copied();
            state.members.iter().map(|member| (member.id, (*member, had(member)))).collect()
        };
        let take_back = async |connection: quicast::Connection| {
            let Some((member, Some(had))) = members.get(&connection.stable_id()) else { return Ok(false) };
            let report = act::report(&connection).await?;
            if report.changes.last().map_or(0, |change| change.at.as_nanos()) != member.at {
                return Ok(false);
            }
            if report.algorithm != *had || report.is_chosen != member.was_chosen {
                // What nobody had chosen comes back as what it was: not a choice, whatever rules say by now.
                let by = if member.was_chosen { by } else { Trigger::Config };
                act::carry_out(&connection, Order::Set(*had, None), by).await?;
            }
            Ok(true)
        };
        for (id, what) in act::each(endpoint, members.keys().copied().collect(), take_back).await {
            match what {
                Ok(true) => undone.undone += 1,
                Ok(false) => undone.left += 1,
                Err(Refusal::Gone | Refusal::Closed) => undone.gone += 1,
                Err(refusal) => {
                    if undone.refused.len() < TOLD {
                        undone.refused.push(ShownRefusal { id, reason: refusal.reason() });
                    }
                }
            }
        }
        Ok(undone)
    }

    pub(super) fn shown(&self) -> ShownEntry {
        let state = self.state();
        let mut fates = BTreeMap::new();
        for member in &state.members {
            *fates.entry(member.fate.name()).or_insert(0) += 1;
        }
        let (before, after) = state.sums.shown().unzip();
        let mut shown = ShownEntry {
            change: self.number,
            seconds_ago: self.at.elapsed().as_secs_f64(),
            by: self.by.name(),
            what: "connections",
            algorithm: None,
            r#where: None,
            percent: None,
            trial: None,
            matched: None,
            changed: state.members.len(),
            refused: 0,
            fates,
            before,
            after,
            undone: state.undone,
            difference: Vec::new(),
        };
        match &self.what {
            What::Connections { algorithm, meant, percent, trial, matched, refused } => {
                shown.algorithm = algorithm.map(|algorithm| algorithm.to_string());
                shown.r#where = Some(meant.clone());
                shown.percent = Some(*percent);
                shown.trial = trial.as_ref().map(ShownTrial::from);
                shown.matched = Some(*matched);
                shown.refused = *refused;
            }
            What::Rules { before, after, .. } => {
                shown.what = "rules";
                shown.difference = before.difference(after);
            }
        }
        shown
    }

    /// The first hundred, one by one.
    pub(super) fn told(&self) -> Vec<ShownMember> {
        let state = self.state();
        let told = |member: &Member| ShownMember {
            id: member.id,
            from: state.had.get(usize::from(member.had)).map(ToString::to_string),
            fate: member.fate.name(),
            verdict: member.fate.verdict(),
        };
        state.members.iter().take(TOLD).map(told).collect()
    }

    /// Whether the trial of any connection still goes on, as far as is known.
    pub(super) fn is_on_trial(&self) -> bool {
        self.state().members.iter().any(|member| member.fate == Fate::OnTrial)
    }
}

/// A change as JSON.
#[derive(Debug, Serialize)]
pub(super) struct ShownEntry {
    change: u64,
    seconds_ago: f64,
    by: &'static str,
    /// `connections` or `rules`.
    what: &'static str,
    /// `null` where a choice was given up.
    algorithm: Option<String>,
    r#where: Option<String>,
    percent: Option<f64>,
    trial: Option<ShownTrial>,
    matched: Option<usize>,
    changed: usize,
    refused: usize,
    /// How many connections each thing happened to: applied, on_trial, kept, unproven, rolled_back, gone, superseded.
    fates: BTreeMap<&'static str, usize>,
    /// What those that were judged achieved.
    before: Option<ShownRates>,
    after: Option<ShownRates>,
    undone: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    difference: Vec<String>,
}

/// A connection that was changed, as JSON.
#[derive(Debug, Serialize)]
pub(super) struct ShownMember {
    id: u64,
    from: Option<String>,
    fate: &'static str,
    verdict: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what() -> What {
        What::Connections {
            algorithm: Some(Algorithm::CUBIC),
            meant: "all".to_owned(),
            percent: 100.0,
            trial: None,
            matched: 1,
            refused: 0,
        }
    }

    fn done(id: u64) -> Done {
        Done { id, from: Algorithm::NEW_RENO, to: Algorithm::CUBIC, was_chosen: false, at: 1, change: None }
    }

    #[test]
    fn sixty_four_changes_are_remembered_and_the_oldest_is_forgotten() {
        let changes = Changes::default();
        for number in 1..=REMEMBERED as u64 {
            assert_eq!(changes.add(Trigger::Api, what(), &[done(number)]), number);
        }
        assert!(changes.find(1).is_some());
        changes.add(Trigger::Api, what(), &[done(0)]);
        assert!(changes.find(1).is_none() && changes.find(2).is_some() && changes.find(65).is_some());
        assert_eq!(changes.all().len(), REMEMBERED);
    }

    #[test]
    fn connections_are_remembered_up_to_a_bound() {
        let changes = Changes::default();
        let half: Vec<Done> = (0..REMEMBERED_CONNECTIONS as u64 / 2).map(done).collect();
        changes.add(Trigger::Api, what(), &half);
        changes.add(Trigger::Api, what(), &half);
        assert_eq!(changes.all().len(), 2);
        changes.add(Trigger::Api, what(), &[done(7)]);
        assert!(changes.find(1).is_none() && changes.find(2).is_some());
        assert_eq!(size_of::<Member>(), 24);
    }
}
