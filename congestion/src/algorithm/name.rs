//! Names that people type: forgiven spellings, and the nearest of those there are.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Names longer than this are cut before they are compared or repeated in an error.
const LONGEST_NAME: usize = 32;

/// There is nothing of that name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnknownName {
    pub(super) what: &'static str,
    pub(super) asked: String,
    pub(super) nearest: Option<&'static str>,
    pub(super) known: Vec<&'static str>,
}

impl UnknownName {
    pub(super) fn new(what: &'static str, asked: &str, known: impl Iterator<Item = &'static str>) -> Self {
        let known: Vec<&'static str> = known.collect();
        let asked = fold(asked);
        let nearest = known.iter().copied().min_by_key(|name| edit_distance(&asked, &fold(name)));
        Self { what, asked, nearest, known }
    }

    /// The name that is most like what was asked for; `None` if there are none.
    pub const fn nearest(&self) -> Option<&'static str> {
        self.nearest
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} is named {:?}", self.what, self.asked)?;
        let Some(nearest) = self.nearest else { return f.write_str("; there are none") };
        write!(f, "; did you mean {nearest:?}? There are:")?;
        for (index, name) in self.known.iter().enumerate() {
            write!(f, "{}{name}", if index == 0 { " " } else { ", " })?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownName {}

/// Upper and lower case, `-`, `_` and spaces make no difference.
pub(super) fn fold(text: &str) -> String {
    let letters = text.chars().filter(|letter| !matches!(letter, '-' | '_' | ' '));
    letters.take(LONGEST_NAME).map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Levenshtein's distance, over bytes of at most [`LONGEST_NAME`] letters.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut previous: Vec<usize> = (0..=b.len()).collect();
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
    use super::*;

    #[test]
    fn edit_distances_are_levenshteins() {
        for (a, b, distance) in
            [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("cubic", "cubic", 0), ("bbr", "bbr2", 1)]
        {
            assert_eq!((edit_distance(a, b), edit_distance(b, a)), (distance, distance), "{a} {b}");
        }
    }
}
