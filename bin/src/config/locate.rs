//! Where in the file something is: line and column of what is wrong.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::rules::{Step, Wrong};

/// A file and what is in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// What TOML itself, or the shape of what is written, is refused with.
    pub(super) fn syntax(&self, error: &toml::de::Error) -> String {
        let message = error.message().replace('\n', ", ");
        self.say(error.span().unwrap_or_default(), &message)
    }

    /// What is of the right shape and wrong all the same.
    pub(super) fn wrong(&self, wrong: &Wrong) -> String {
        let span = DeTable::parse(self.text).ok().and_then(|table| find(table.get_ref(), &wrong.place));
        let field = wrong.field();
        self.say(span.unwrap_or_default(), &format!("{field}: {}", wrong.what))
    }

    fn say(&self, span: Range<usize>, what: &str) -> String {
        let (line, column) = position(self.text, span.start);
        format!("{}:{line}:{column}: {what}", self.path.display())
    }
}

/// The span of the innermost thing on the way that is there: a key that is missing is wrong where its table is.
fn find(table: &DeTable<'_>, place: &[Step]) -> Option<Range<usize>> {
    let mut steps = place.iter();
    let Some(Step::Key(first)) = steps.next() else { return None };
    let mut here = table.get(first.as_str())?;
    for step in steps {
        let next = match (step, here.get_ref()) {
            (Step::Key(key), DeValue::Table(table)) => table.get(key.as_str()),
            (Step::Index(index), DeValue::Array(array)) => array.get(*index),
            // One text stands for a list of one.
            _ => None,
        };
        match next {
            Some(next) => here = next,
            None => break,
        }
    }
    Some(here.span())
}

/// Line and column of a byte, both from one; columns are letters.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_from_one() {
        let text = "a = 1\nü = 2\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 4), (1, 5));
        assert_eq!(position(text, 6), (2, 1));
        assert_eq!(position(text, 8), (2, 2));
        assert_eq!(position(text, 99), (3, 1));
    }
}
