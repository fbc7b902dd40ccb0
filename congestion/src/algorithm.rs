//! [`Algorithm`]: the controllers that can be asked for by name.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use codec::Time;

use crate::window::{MAXIMUM_WINDOW, initial_window, minimum_window};
use crate::{Controller, Cubic, NewReno, Snapshot};

/// The controllers that can be asked for by name.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Algorithm {
    /// RFC 9002 §7: additive increase, halving.
    NewReno,
    /// RFC 9438 with HyStart++ (RFC 9406); the default.
    #[default]
    Cubic,
}

/// What a path is known to be before anything was sent on it.
#[derive(Clone, Copy, Debug)]
pub struct InitialConditions {
    /// The maximum datagram size in bytes.
    pub datagram_size: u16,
    /// The window to begin with, in bytes; `None` is RFC 9002's ten datagrams.
    pub initial_window: Option<u64>,
    /// The moment.
    pub now: Time,
}

impl InitialConditions {
    /// The window to begin with, in bytes: what is asked for or RFC 9002's, never below the minimum.
    pub fn window(&self) -> u64 {
        let asked = self.initial_window.unwrap_or_else(|| initial_window(self.datagram_size));
        asked.clamp(minimum_window(self.datagram_size), MAXIMUM_WINDOW)
    }
}

impl Algorithm {
    /// All of them, in the order they are listed to people.
    pub const ALL: [Self; 2] = [Self::NewReno, Self::Cubic];

    /// The name it is asked for by, and its metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NewReno => NewReno::NAME,
            Self::Cubic => Cubic::NAME,
        }
    }

    /// One line for people who choose.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::NewReno => {
                "RFC 9002 NewReno: one datagram more each round trip, half on loss; the simplest, for comparison"
            }
            Self::Cubic => {
                "RFC 9438 CUBIC with HyStart++: the default; fast again after a loss, fair to other CUBIC and Reno flows"
            }
        }
    }

    /// Starts on a new path, in slow start.
    pub fn start(self, conditions: &InitialConditions) -> Box<dyn Controller> {
        match self {
            Self::NewReno => Box::new(NewReno::new(conditions)),
            Self::Cubic => Box::new(Cubic::new(conditions)),
        }
    }

    /// Goes on from where another controller is: with its window, in congestion avoidance unless it was in slow start itself,
    /// and respecting a recovery period that is under way.
    pub fn start_from(self, snapshot: &Snapshot, now: Time) -> Box<dyn Controller> {
        match self {
            Self::NewReno => Box::new(NewReno::from_snapshot(snapshot, now)),
            Self::Cubic => Box::new(Cubic::from_snapshot(snapshot, now)),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Upper and lower case, `-` and `_` make no difference; `reno` is `newreno`.
    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        let folded = fold(text);
        let known = if folded == "reno" { NewReno::NAME } else { folded.as_str() };
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == known)
            .ok_or_else(|| UnknownAlgorithm { nearest: nearest(&folded), asked: folded })
    }
}

/// There is no controller of that name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownAlgorithm {
    asked: String,
    nearest: Algorithm,
}

impl UnknownAlgorithm {
    /// The controller whose name is most like what was asked for.
    pub const fn nearest(&self) -> Algorithm {
        self.nearest
    }
}

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no congestion controller is named {:?}; did you mean \"{}\"? There are:", self.asked, self.nearest)?;
        for (index, algorithm) in Algorithm::ALL.into_iter().enumerate() {
            write!(f, "{}{algorithm}", if index == 0 { " " } else { ", " })?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownAlgorithm {}

/// Names longer than this are cut before they are compared or repeated in an error.
const LONGEST_NAME: usize = 32;

fn fold(text: &str) -> String {
    let letters = text.chars().filter(|letter| !matches!(letter, '-' | '_' | ' '));
    letters.take(LONGEST_NAME).map(|letter| letter.to_ascii_lowercase()).collect()
}

fn nearest(asked: &str) -> Algorithm {
    let distance = |algorithm: &Algorithm| edit_distance(asked, algorithm.name());
    Algorithm::ALL.into_iter().min_by_key(distance).unwrap_or_default()
}

/// Levenshtein's distance, over bytes of at most [`LONGEST_NAME`] letters.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut previous: alloc::vec::Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut here = i + 1;
        for (above, right) in previous.iter_mut().skip(1).zip(b.bytes()) {
            let substituted = diagonal + usize::from(left != right);
            diagonal = *above;
            here = substituted.min(here + 1).min(diagonal + 1);
            *above = here;
        }
        if let Some(first) = previous.first_mut() {
            *first = i + 1;
        }
    }
    previous.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn every_algorithm_is_found_by_its_name_and_says_it() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
            assert!(!algorithm.describe().is_empty());
            let conditions = InitialConditions { datagram_size: 1200, initial_window: None, now: Time::ZERO };
            let controller = algorithm.start(&conditions);
            assert_eq!(controller.name(), algorithm.name());
            let snapshot = controller.snapshot(Time::ZERO);
            assert_eq!(algorithm.start_from(&snapshot, Time::ZERO).name(), snapshot.controller);
        }
    }

    #[test]
    fn spelling_is_forgiven() {
        for spelling in ["NewReno", "new_reno", "new-reno", "reno", "RENO"] {
            assert_eq!(spelling.parse(), Ok(Algorithm::NewReno), "{spelling}");
        }
        assert_eq!("CUBIC".parse(), Ok(Algorithm::Cubic));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let error = "cubix".parse::<Algorithm>().unwrap_err();
        assert_eq!(error.nearest(), Algorithm::Cubic);
        let text = "no congestion controller is named \"cubix\"; did you mean \"cubic\"? There are: newreno, cubic";
        assert_eq!(error.to_string(), text);
        assert_eq!("newrino".parse::<Algorithm>().unwrap_err().nearest(), Algorithm::NewReno);
        assert!("x".repeat(100_000).parse::<Algorithm>().unwrap_err().to_string().len() < 200);
    }

    #[test]
    fn edit_distances_are_levenshteins() {
        for (a, b, distance) in
            [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("cubic", "cubic", 0), ("bbr", "bbr2", 1)]
        {
            assert_eq!((edit_distance(a, b), edit_distance(b, a)), (distance, distance), "{a} {b}");
        }
    }

    #[test]
    fn an_initial_window_below_the_minimum_is_raised_to_it() {
        let conditions = InitialConditions { datagram_size: 1200, initial_window: Some(1), now: Time::ZERO };
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.start(&conditions).window().congestion_window, 2400);
        }
    }
}
