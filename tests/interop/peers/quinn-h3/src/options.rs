//! Command-line flags: as far as they go the same as those of the other peers.

use std::collections::HashMap;

use crate::Failure;

/// Flags that take no value.
const SWITCHES: &[&str] = &["trailers"];

pub(crate) struct Options {
    pub(crate) address: String,
    values: HashMap<String, Vec<String>>,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut options = Self { address: String::new(), values: HashMap::new() };
        while let Some(argument) = arguments.next() {
            let Some(name) = argument.strip_prefix("--") else {
                options.address = argument;
                continue;
            };
            let value = if SWITCHES.contains(&name) {
                String::new()
            } else {
                arguments.next().ok_or(format!("--{name} needs a value"))?
            };
            options.values.entry(name.to_owned()).or_default().push(value);
        }
        Ok(options)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Every value that was given.
    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.all(name).last().map(String::as_str)
    }

    pub(crate) fn required(&self, name: &str) -> Result<&str, Failure> {
        self.text(name).ok_or_else(|| format!("--{name} is missing").into())
    }
}
