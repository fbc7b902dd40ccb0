//! What stands after the `?`: `name=value&…`, and a clear word about what cannot be meant.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::refusal::{Quoted, Refusal};

/// The parameters of a request.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// The value of a parameter as `read` has it, or `default` if it is not there.
    ///
    /// `read` says what the value should look like if it does not.
    pub(super) fn get<T>(
        &self,
        name: &str,
        default: T,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Refusal> {
        let mut values = self.0.iter().filter(|(found, _)| found == name);
        let Some((_, value)) = values.next() else { return Ok(default) };
        if values.next().is_some() {
            return Err(Refusal::bad(format_args!("?{name}= stands there twice; say it once")));
        }
        read(value).map_err(|wanted| Refusal::bad(format_args!("?{name}={}: {wanted}", Quoted(value))))
    }

    /// Refuses a parameter that has none of these names: it is a slip of the pen.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), Refusal> {
        match self.0.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                let known = names.join("=, ?");
                Err(Refusal::bad(format_args!("?{}= means nothing here; what does: ?{known}=", Quoted(name))))
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let pairs = axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let axum::extract::Query(pairs) =
            pairs.map_err(|_| Refusal::bad("what stands after the ? cannot be read; write ?name=value&name=value"))?;
        Ok(Self(pairs))
    }
}

/// Reads a whole number within bounds.
pub(super) fn whole(least: u64, most: u64) -> impl FnOnce(&str) -> Result<u64, String> {
    move |text| {
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("give a whole number from {least} to {most}"))
    }
}

/// Reads seconds within a bound, fractions too.
pub(super) fn seconds(most: std::time::Duration) -> impl FnOnce(&str) -> Result<std::time::Duration, String> {
    move |text| {
        let number = text.parse::<f64>().ok().filter(|number| (0.0..=most.as_secs_f64()).contains(number));
        let number = number.ok_or_else(|| format!("give seconds from 0 to {}, like 10 or 0.5", most.as_secs()))?;
        Ok(std::time::Duration::from_secs_f64(number))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn numbers_have_bounds() {
        for (text, good) in [("1", true), ("7", true), ("0", false), ("8", false), ("", false), ("1.0", false)] {
            assert_eq!(whole(1, 7)(text).is_ok(), good, "{text}");
        }
        for (text, good) in [("0", true), ("2", true), ("0.5", true), ("2.1", false), ("-1", false), ("NaN", false)] {
            assert_eq!(seconds(Duration::from_secs(2))(text).is_ok(), good, "{text}");
        }
        assert_eq!(seconds(Duration::from_secs(2))("inf").unwrap_err(), "give seconds from 0 to 2, like 10 or 0.5");
    }
}
