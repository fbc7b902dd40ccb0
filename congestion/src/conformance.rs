//! What every [`Controller`] has to keep, as a check that any can be run through, also one that is written elsewhere.
//!
//! ```
//! use quicast_congestion::{Algorithm, conformance};
//!
//! for algorithm in Algorithm::ALL {
//!     let subject = conformance::Subject {
//!         start: &|conditions| algorithm.start(conditions),
//!         start_from: &|snapshot, now| algorithm.start_from(snapshot, now),
//!     };
//!     for seed in 0..4 {
//!         conformance::check(&subject, seed).unwrap_or_else(|violation| panic!("{algorithm}: {violation}"));
//!     }
//! }
//! ```

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

use codec::Time;

use crate::chance::Chance;
use crate::{Controller, Delivery, InitialConditions, Observed, RttView, Snapshot, Window, minimum_window};

/// Turns in each of the two parts of a check.
const TURNS: u64 = 2000;

/// How to make the controller under test, both ways.
#[expect(missing_debug_implementations, reason = "two functions, nothing to show")]
pub struct Subject<'a> {
    /// On a new path.
    pub start: &'a dyn Fn(&InitialConditions) -> Box<dyn Controller>,
    /// From a predecessor's snapshot, at that moment.
    pub start_from: &'a dyn Fn(&Snapshot, Time) -> Box<dyn Controller>,
}

/// What was not kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// The window was below two datagrams.
    BelowMinimum,
    /// A turn in which packets were only lost raised the window.
    RaisedByLoss,
    /// Persistent congestion left more than four datagrams.
    KeptByPersistentCongestion,
    /// A successor began with a larger window than the snapshot's.
    RaisedBySwap,
    /// A quantum that lets less than one datagram leave.
    QuantumTooSmall,
    /// [`Controller::window`] differed from what the turn had answered.
    WindowDiffers,
    /// The name changed, or a label is not of lower-case letters, digits and `_`.
    Label,
    /// A count of [`Controller::events`] became smaller.
    EventsShrank,
}

/// A rule that was not kept, and the turn that showed it.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub rule: Rule,
    /// In which turn of the check.
    pub turn: u64,
    /// The window before the turn.
    pub before: Window,
    /// The window after it.
    pub after: Window,
    /// What the controller was told.
    pub observed: Box<Observed>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, turn, before, after, observed } = self;
        write!(f, "{rule:?} in turn {turn}: {before:?} became {after:?} after {observed:?}")
    }
}

impl core::error::Error for Violation {}

/// Runs a controller through some thousand turns, first plausible, then absurd, with swaps to itself among them.
///
/// The seed makes the turns; the same seed makes the same turns. A panic of the controller is not caught.
///
/// # Errors
///
/// The first rule that was not kept.
pub fn check(subject: &Subject<'_>, seed: u64) -> Result<(), Violation> {
    let mut chance = Chance::new(seed);
    let now = Time::from_nanos(1_000_000_000);
    let datagram_size = 1200 + chance.below(300) as u16;
    let conditions = InitialConditions { datagram_size, initial_window: None, now, seed };
    let mut run = Run {
        controller: (subject.start)(&conditions),
        now,
        in_flight: 0,
        idle: Duration::ZERO,
        datagram_size,
        turn: 0,
    };
    for turn in 0..2 * TURNS {
        run.turn = turn;
        let observed = if turn < TURNS { run.plausible(&mut chance) } else { run.absurd(&mut chance) };
        run.take_turn(&observed)?;
        if chance.below(50) == 0 {
            run.swap(subject, &observed)?;
        }
    }
    Ok(())
}

struct Run {
    controller: Box<dyn Controller>,
    now: Time,
    in_flight: u64,
    idle: Duration,
    datagram_size: u16,
    turn: u64,
}

impl Run {
    fn take_turn(&mut self, observed: &Observed) -> Result<(), Violation> {
        let before = self.controller.window();
        let name = self.controller.name();
        let events = self.controller.events();
        let after = self.controller.on_observed(observed);
        let violation = |rule| Violation { rule, turn: self.turn, before, after, observed: Box::new(*observed) };
        let floor = minimum_window(observed.datagram_size);
        if after.congestion_window < floor {
            return Err(violation(Rule::BelowMinimum));
        }
        let only_lost = observed.has_loss() && observed.acknowledged_bytes == 0 && observed.spurious == 0;
        if only_lost && after.congestion_window > before.congestion_window.max(floor) {
            return Err(violation(Rule::RaisedByLoss));
        }
        if observed.persistent_congestion && after.congestion_window > 2 * floor {
            return Err(violation(Rule::KeptByPersistentCongestion));
        }
        if after.quantum < u64::from(observed.datagram_size) {
            return Err(violation(Rule::QuantumTooSmall));
        }
        if after != self.controller.window() {
            return Err(violation(Rule::WindowDiffers));
        }
        if name != self.controller.name() || !is_label(name) || !is_label(self.controller.state()) {
            return Err(violation(Rule::Label));
        }
        let now = self.controller.events();
        let shrank = now.loss < events.loss
            || now.ecn_ce < events.ecn_ce
            || now.persistent < events.persistent
            || now.spurious_undo < events.spurious_undo;
        if shrank { Err(violation(Rule::EventsShrank)) } else { Ok(()) }
    }

    fn swap(&mut self, subject: &Subject<'_>, observed: &Observed) -> Result<(), Violation> {
        let snapshot = self.controller.snapshot(observed.now);
        let before = self.controller.window();
        self.controller = (subject.start_from)(&snapshot, observed.now);
        let after = self.controller.window();
        if after.congestion_window > before.congestion_window.max(minimum_window(snapshot.datagram_size)) {
            return Err(Violation {
                rule: Rule::RaisedBySwap,
                turn: self.turn,
                before,
                after,
                observed: Box::new(*observed),
            });
        }
        Ok(())
    }

    /// A turn as a path of some tens of milliseconds brings it.
    fn plausible(&mut self, chance: &mut Chance) -> Observed {
        let rtt = Duration::from_micros(20_000 + chance.below(20_000));
        self.idle = if chance.below(100) == 0 { Duration::from_secs(chance.below(100)) } else { Duration::ZERO };
        self.now = self.now + Duration::from_micros(chance.below(20_000)) + self.idle;
        let size = u64::from(self.datagram_size);
        let application_limited = chance.below(4) == 0;
        let window = self.controller.window().congestion_window;
        let sent = if application_limited { window / 4 } else { window };
        let prior_in_flight = self.in_flight.max(sent);
        let lost_packets = if chance.below(10) == 0 { 1 + chance.below(3) } else { 0 };
        let lost_bytes = (lost_packets * size).min(prior_in_flight);
        let acknowledged_bytes = chance.below(prior_in_flight - lost_bytes + 1);
        let acknowledged_packets = acknowledged_bytes.div_ceil(size);
        self.in_flight = prior_in_flight - lost_bytes - acknowledged_bytes;
        let sent_at = self.now.saturating_before(rtt);
        Observed {
            now: self.now,
            acknowledged_bytes,
            acknowledged_packets,
            largest_acknowledged_sent_at: (acknowledged_packets > 0).then_some(sent_at),
            lost_bytes,
            lost_packets,
            largest_lost_sent_at: (lost_packets > 0).then_some(sent_at.saturating_before(Duration::from_millis(1))),
            persistent_congestion: lost_packets > 0 && chance.below(20) == 0,
            ecn_ce: if chance.below(50) == 0 { acknowledged_packets.min(1) } else { 0 },
            ecn_capable_packets: acknowledged_packets,
            spurious: if chance.below(20) == 0 { acknowledged_packets.min(2) } else { 0 },
            rtt: RttView { latest: rtt, smoothed: rtt, variation: rtt / 8, minimum: Duration::from_millis(20) },
            rtt_sample: (acknowledged_packets > 0).then_some(rtt),
            delivery: (acknowledged_packets > 0).then(|| Delivery {
                rate: acknowledged_bytes * 50,
                delivered: acknowledged_bytes,
                interval: rtt,
                application_limited,
                ..Delivery::default()
            }),
            bytes_in_flight: self.in_flight,
            prior_in_flight,
            application_limited,
            datagram_size: self.datagram_size,
        }
    }

    /// A turn that no path can bring: every field on its own, with the extremes among them.
    fn absurd(&mut self, chance: &mut Chance) -> Observed {
        self.now = if chance.below(4) == 0 { Time::from_nanos(chance.extreme()) } else { self.now + chance.duration() };
        let time = |chance: &mut Chance| (chance.below(3) > 0).then(|| Time::from_nanos(chance.extreme()));
        let (lost, acknowledged) = (chance.below(2) == 0, chance.below(4) > 0);
        Observed {
            now: self.now,
            acknowledged_bytes: if acknowledged { chance.extreme() } else { 0 },
            acknowledged_packets: if acknowledged { chance.extreme() } else { 0 },
            largest_acknowledged_sent_at: time(chance),
            lost_bytes: if lost { chance.extreme() } else { 0 },
            lost_packets: if lost { chance.extreme() } else { 0 },
            largest_lost_sent_at: time(chance),
            persistent_congestion: chance.below(10) == 0,
            ecn_ce: chance.extreme(),
            ecn_capable_packets: chance.extreme(),
            spurious: if acknowledged { chance.extreme() } else { 0 },
            rtt: RttView {
                latest: chance.duration(),
                smoothed: chance.duration(),
                variation: chance.duration(),
                minimum: chance.duration(),
            },
            rtt_sample: (chance.below(2) == 0).then(|| chance.duration()),
            delivery: (chance.below(2) == 0).then(|| Delivery {
                rate: chance.extreme(),
                delivered: chance.extreme(),
                interval: chance.duration(),
                application_limited: chance.below(2) == 0,
                total_delivered: chance.extreme(),
                prior_delivered: chance.extreme(),
                in_flight_when_sent: chance.extreme(),
                lost: chance.extreme(),
            }),
            bytes_in_flight: chance.extreme(),
            prior_in_flight: chance.extreme(),
            application_limited: chance.below(2) == 0,
            datagram_size: 1200 + chance.below(u64::from(u16::MAX) - 1200) as u16,
        }
    }
}

fn is_label(text: &str) -> bool {
    let letter = |letter: u8| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_';
    !text.is_empty() && text.bytes().all(letter)
}

impl Chance {
    /// Of every magnitude, zero and the largest among them.
    fn extreme(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            _ => self.next() >> self.below(64),
        }
    }

    fn duration(&mut self) -> Duration {
        if self.below(16) == 0 { Duration::MAX } else { Duration::from_nanos(self.extreme()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, Events};

    #[test]
    fn every_algorithm_keeps_the_rules() {
        for algorithm in Algorithm::ALL {
            let subject = Subject {
                start: &|conditions| algorithm.start(conditions),
                start_from: &|snapshot, now| algorithm.start_from(snapshot, now),
            };
            for seed in 0..64 {
                check(&subject, seed).unwrap_or_else(|violation| panic!("{algorithm}, seed {seed}: {violation}"));
            }
        }
    }

    #[test]
    fn every_algorithm_can_follow_every_other() {
        for from in Algorithm::ALL {
            for to in Algorithm::ALL {
                let subject = Subject {
                    start: &|conditions| from.start(conditions),
                    start_from: &|snapshot, now| {
                        let next = if snapshot.controller == from.name() { to } else { from };
                        next.start_from(snapshot, now)
                    },
                };
                // The name changes only at swaps, which the rule about labels allows.
                for seed in 100..116 {
                    check(&subject, seed).unwrap_or_else(|violation| panic!("{from} to {to}: {violation}"));
                }
            }
        }
    }

    /// A controller that does one thing wrong.
    #[derive(Debug)]
    struct Wrong {
        window: Window,
        rule: Rule,
    }

    impl Controller for Wrong {
        fn name(&self) -> &'static str {
            if self.rule == Rule::Label { "Wrong!" } else { "wrong" }
        }

        fn state(&self) -> &'static str {
            "any"
        }

        fn on_observed(&mut self, observed: &Observed) -> Window {
            let floor = minimum_window(observed.datagram_size);
            self.window.congestion_window = match self.rule {
                Rule::BelowMinimum => floor - 1,
                Rule::RaisedByLoss if observed.has_loss() => self.window.congestion_window + 1,
                Rule::KeptByPersistentCongestion => self.window.congestion_window.max(5 * floor),
                _ => floor,
            };
            let quantum = if self.rule == Rule::QuantumTooSmall { 1 } else { floor };
            self.window.quantum = quantum;
            if self.rule == Rule::WindowDiffers { Window { pacing_rate: 1, ..self.window } } else { self.window }
        }

        fn window(&self) -> Window {
            self.window
        }

        fn snapshot(&self, _: Time) -> Snapshot {
            Snapshot { congestion_window: self.window.congestion_window, ..Snapshot::default() }
        }

        fn on_datagram_size(&mut self, _: u16) -> Window {
            self.window
        }

        fn events(&self) -> Events {
            let loss = if self.rule == Rule::EventsShrank { u64::MAX - self.window.quantum } else { 0 };
            Events { loss, ..Events::default() }
        }
    }

    #[test]
    fn each_rule_catches_who_breaks_it() {
        let rules = [
            Rule::BelowMinimum,
            Rule::RaisedByLoss,
            Rule::KeptByPersistentCongestion,
            Rule::RaisedBySwap,
            Rule::QuantumTooSmall,
            Rule::WindowDiffers,
            Rule::Label,
            Rule::EventsShrank,
        ];
        for rule in rules {
            let window = Window { congestion_window: 1 << 20, pacing_rate: 0, quantum: 0 };
            let subject = Subject {
                start: &|_| Box::new(Wrong { window, rule }),
                start_from: &|snapshot, _| {
                    let more = u64::from(rule == Rule::RaisedBySwap) << 20;
                    let congestion_window = snapshot.congestion_window + more;
                    Box::new(Wrong { window: Window { congestion_window, ..window }, rule })
                },
            };
            let caught = check(&subject, 1).map_err(|violation| violation.rule);
            assert_eq!(caught, Err(rule));
        }
    }
}
