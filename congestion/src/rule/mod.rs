//! [`Rules`]: which controller a connection gets by what is known of it.

mod cidr;
mod selector;
#[cfg(test)]
mod tests;

use alloc::string::String;
use alloc::vec::Vec;

pub use self::cidr::{Cidr, NotACidr};
pub use self::selector::{BadSelector, Facts, MAXIMUM_VALUES, Selector, parse_role, parse_rtt_range};
use crate::Algorithm;

/// So many rules there may be.
pub const MAXIMUM_RULES: usize = 256;

/// Connections that the selector means get this algorithm.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// What people call it.
    pub name: String,
    /// Which connections it means.
    pub selector: Selector,
    /// What they get.
    pub algorithm: Algorithm,
}

/// Rules in their order: the first that means a connection decides.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// In their order; at most [`MAXIMUM_RULES`].
    pub rules: Vec<Rule>,
    /// What connections get that no rule means.
    pub default: Algorithm,
}

impl Rules {
    /// The rule that decides, and what the connection gets.
    pub fn choose(&self, facts: &Facts<'_>) -> (Option<&Rule>, Algorithm) {
        let rule = self.rules.iter().find(|rule| rule.selector.fits(facts));
        (rule, rule.map_or(self.default, |rule| rule.algorithm))
    }

    /// What is different in `new`, for people: a line for each rule that was added, removed, changed or moved, and for the
    /// default.
    pub fn difference(&self, new: &Self) -> Vec<String> {
        use alloc::format;
        let mut lines = Vec::new();
        if self.default != new.default {
            lines.push(format!("default: {} -> {}", self.default, new.default));
        }
        let place = |rules: &[Rule], name: &str| rules.iter().position(|rule| rule.name == name);
        for rule in &self.rules {
            if place(&new.rules, &rule.name).is_none() {
                lines.push(format!("- {}: {} for {}", rule.name, rule.algorithm, rule.selector));
            }
        }
        for (now, rule) in new.rules.iter().enumerate() {
            let Some(before) = place(&self.rules, &rule.name) else {
                lines.push(format!("+ {}: {} for {}", rule.name, rule.algorithm, rule.selector));
                continue;
            };
            let Some(old) = self.rules.get(before) else { continue };
            if old.algorithm != rule.algorithm {
                lines.push(format!("~ {}: {} -> {}", rule.name, old.algorithm, rule.algorithm));
            }
            if old.selector != rule.selector {
                lines.push(format!("~ {}: for {} -> {}", rule.name, old.selector, rule.selector));
            }
            if before != now {
                lines.push(format!("~ {}: place {} -> {}", rule.name, before + 1, now + 1));
            }
        }
        lines
    }
}
