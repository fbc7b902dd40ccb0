//! [`Refusal`]: an answer that says what is wrong, where, and what to do.

use std::fmt;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::limits::LONGEST_QUOTE;

/// A 4xx or 5xx answer in plain text.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    text: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, text: impl fmt::Display) -> Self {
        Self { status, text: format!("{} {text}\n", status.as_u16()), headers: Vec::new() }
    }

    /// 400.
    pub(super) fn bad(text: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// With a header.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, "no-store")];
        let mut response = (self.status, headers, self.text).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}

/// A client's words, short and without control characters.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(LONGEST_QUOTE) {
            write!(f, "{}", if character.is_control() { '\u{fffd}' } else { character })?;
        }
        if characters.next().is_some() { f.write_str("…") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_short_and_harmless() {
        assert_eq!(Quoted("a\n\x1b[31m").to_string(), "a\u{fffd}\u{fffd}[31m");
        assert_eq!(Quoted(&"x".repeat(LONGEST_QUOTE)).to_string().chars().count(), LONGEST_QUOTE);
        assert_eq!(Quoted(&"x".repeat(LONGEST_QUOTE + 1)).to_string().chars().count(), LONGEST_QUOTE + 1);
        assert!(Quoted(&"x".repeat(LONGEST_QUOTE + 1)).to_string().ends_with('…'));
    }
}
