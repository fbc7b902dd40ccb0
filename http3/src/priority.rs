//! Priorities of responses (RFC 9218): [`Priority`], and the field value that says it.

mod dictionary;

#[cfg(test)]
mod tests;

use http::HeaderMap;
use http::header::HeaderName;

use crate::limits;

/// The name of the field.
pub const PRIORITY: HeaderName = HeaderName::from_static("priority");

/// How urgently a response is wanted, and whether parts of it are of use (RFC 9218 §4).
///
/// The order is that in which responses are to be sent: the more urgent is the smaller.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Priority {
    /// 0, the most urgent, to 7.
    urgency: u8,
    /// Whether it is to share the bandwidth with others of the same urgency, instead of one after the other.
    incremental: bool,
}

impl Default for Priority {
    //= https://www.rfc-editor.org/rfc/rfc9218#section-4
    //# When receiving an HTTP request that does not carry these priority
    //# parameters, a server SHOULD act as if their default values were specified.
    fn default() -> Self {
        Self { urgency: Self::DEFAULT_URGENCY, incremental: false }
    }
}

impl Priority {
    /// The least urgent.
    pub const LEAST_URGENT: u8 = 7;
    const DEFAULT_URGENCY: u8 = 3;

    /// A priority; an urgency above [`Self::LEAST_URGENT`] is taken for that.
    pub const fn new(urgency: u8, incremental: bool) -> Self {
        let urgency = if urgency > Self::LEAST_URGENT { Self::LEAST_URGENT } else { urgency };
        Self { urgency, incremental }
    }

    /// 0, the most urgent, to 7.
    pub const fn urgency(self) -> u8 {
        self.urgency
    }

    /// Whether it is to share the bandwidth with others of the same urgency.
    pub const fn is_incremental(self) -> bool {
        self.incremental
    }

    /// What a client says in a request or in PRIORITY_UPDATE: a parameter that is left out has its default value, and
    /// a value that cannot be parsed says nothing.
    pub fn of_request(value: &[u8]) -> Self {
        Self::default().changed_by(PriorityParameters::parse(value).unwrap_or_default())
    }

    /// The same with these parameters; one that is left out changes nothing (RFC 9218 §8).
    #[must_use]
    pub const fn changed_by(self, parameters: PriorityParameters) -> Self {
        Self {
            urgency: match parameters.urgency {
                Some(urgency) => urgency,
                None => self.urgency,
            },
            incremental: match parameters.incremental {
                Some(incremental) => incremental,
                None => self.incremental,
            },
        }
    }

    /// The field value, as short as it can be; empty if everything is as by default.
    pub const fn as_str(self) -> &'static str {
        const VALUES: [[&str; 2]; 8] = [
            ["u=0", "u=0, i"],
            ["u=1", "u=1, i"],
            ["u=2", "u=2, i"],
            ["", "i"],
            ["u=4", "u=4, i"],
            ["u=5", "u=5, i"],
            ["u=6", "u=6, i"],
            ["u=7", "u=7, i"],
        ];
        let [whole, incremental] = match self.urgency {
            0 => VALUES[0],
            1 => VALUES[1],
            2 => VALUES[2],
            4 => VALUES[4],
            5 => VALUES[5],
            6 => VALUES[6],
            7 => VALUES[7],
            _ => VALUES[3],
        };
        if self.incremental { incremental } else { whole }
    }
}

/// The parameters that a Priority field names (RFC 9218 §4).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PriorityParameters {
    /// `u`, 0 to 7.
    pub urgency: Option<u8>,
    /// `i`.
    pub incremental: Option<bool>,
}

impl PriorityParameters {
    /// Reads a field value. `None` if it is no Dictionary (RFC 8941 §3.2), or longer than [`limits::PRIORITY_VALUE`].
    pub fn parse(value: &[u8]) -> Option<Self> {
        if value.len() > limits::PRIORITY_VALUE {
            return None;
        }
        let mut parameters = Self::default();
        dictionary::parse(value, |key, value| match (key, value) {
            (b"u", dictionary::Value::Integer(urgency)) => {
                //= https://www.rfc-editor.org/rfc/rfc9218#section-4
                //# Where the Dictionary is successfully parsed, this document
                //# places the additional requirement that unknown priority parameters, priority
                //# parameters with out-of-range values, or values of unexpected types MUST be
                //# ignored.
                parameters.urgency = u8::try_from(urgency).ok().filter(|urgency| *urgency <= Priority::LEAST_URGENT);
            }
            (b"i", dictionary::Value::Boolean(incremental)) => parameters.incremental = Some(incremental),
            // A later member replaces an earlier one, and this one is to be ignored.
            (b"u", _) => parameters.urgency = None,
            (b"i", _) => parameters.incremental = None,
            _ => {}
        })?;
        Some(parameters)
    }

    /// Those of a head; `None` if it has no Priority field, or one that cannot be parsed.
    pub fn of_head(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(PRIORITY).iter();
        let first = values.next()?;
        let Some(second) = values.next() else { return Self::parse(first.as_bytes()) };
        // Lines of the same name are one list (RFC 9110 §5.2).
        let mut joined = first.as_bytes().to_vec();
        for value in std::iter::once(second).chain(values) {
            if joined.len() > limits::PRIORITY_VALUE {
                return None;
            }
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(value.as_bytes());
        }
        Self::parse(&joined)
    }
}
