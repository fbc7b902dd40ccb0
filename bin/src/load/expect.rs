//! Which statuses are right.

/// Statuses that are expected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Expected(Vec<(u16, u16)>);

impl Expected {
    /// Reads `404`, `2xx` or a list of those.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let ranges: Option<Vec<_>> = text.split(',').map(|part| range(part.trim())).collect();
        ranges.map(Self).ok_or_else(|| "a status is like 404, 2xx or 200,404".to_owned())
    }

    /// Whether this one is right.
    pub(crate) fn has(&self, status: u16) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

fn range(text: &str) -> Option<(u16, u16)> {
    let class = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX"));
    match class {
        Some(class) => {
            let from = class.parse::<u16>().ok().filter(|class| (2..=5).contains(class))? * 100;
            Some((from, from + 99))
        }
        None => text.parse().ok().filter(|status| (200..=599).contains(status)).map(|status| (status, status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_named_one_by_one_or_by_their_class() {
        let expected = Expected::read("2xx, 404").unwrap();
        assert!([200, 299, 404].into_iter().all(|status| expected.has(status)));
        assert!([199, 300, 403, 405].into_iter().all(|status| !expected.has(status)));
        for text in ["", "1xx", "6xx", "xx", "199", "600", "200,", "ok"] {
            assert!(Expected::read(text).is_err(), "{text}");
        }
    }
}
