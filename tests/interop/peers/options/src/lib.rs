//! Command-line flags: the same for each peer of the interoperability runs.

use std::collections::HashMap;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Flags that take no value.
const SWITCHES: &[&str] = &["key-update", "one-by-one", "rebind", "retry", "trailers"];

/// `HOST:PORT` and flags, in any order.
#[derive(Debug, Default)]
pub struct Options {
    pub address: String,
    values: HashMap<String, Vec<String>>,
}

impl Options {
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut options = Self::default();
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

    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Every value that was given.
    pub fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// The last one.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.all(name).last().map(String::as_str)
    }

    pub fn required(&self, name: &str) -> Result<&str, Failure> {
        self.text(name).ok_or_else(|| format!("--{name} is missing").into())
    }

    pub fn number(&self, name: &str, default: usize) -> Result<usize, Failure> {
        self.text(name).map_or(Ok(default), |text| Ok(text.parse()?))
    }

    /// `42 bye` of --close is a code and a reason; without it, these are.
    pub fn close<'a>(&'a self, code: u64, reason: &'a str) -> Result<(u64, &'a str), Failure> {
        let Some(text) = self.text("close") else { return Ok((code, reason)) };
        let (code, reason) = text.split_once(' ').unwrap_or((text, ""));
        Ok((code.parse()?, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Options, Failure> {
        Options::parse(words.split(' ').map(str::to_owned))
    }

    #[test]
    fn flags_have_values_unless_they_are_switches() {
        let options = parse("--path a 127.0.0.1:1 --retry --path b --streams 7").unwrap();
        assert_eq!((options.address.as_str(), options.has("retry"), options.has("rebind")), ("127.0.0.1:1", true, false));
        assert_eq!((options.all("path"), options.text("path")), (&["a".to_owned(), "b".to_owned()][..], Some("b")));
        assert_eq!((options.number("streams", 1).unwrap(), options.number("bytes", 1).unwrap()), (7, 1));
        assert!(options.required("none").is_err() && options.number("path", 1).is_err() && parse("--path").is_err());
    }

    #[test]
    fn a_close_is_a_code_and_a_reason() {
        let closing = Options::parse(["--close", "42 good bye"].map(str::to_owned).into_iter()).unwrap();
        assert_eq!(closing.close(0, "done").unwrap(), (42, "good bye"));
        assert_eq!(Options::default().close(1, "done").unwrap(), (1, "done"));
        assert_eq!(parse("--close 7").unwrap().close(0, "done").unwrap(), (7, ""));
        assert!(parse("--close x").unwrap().close(0, "done").is_err());
    }
}
