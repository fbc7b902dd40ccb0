//! Conditions and ranges of a request for something whose length and entity tag are known (RFC 9110 sections 13 and 14).

use std::ops::Range;

use axum::http::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderName, Method};

/// What is to be answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Wanted {
    /// 200: all of it.
    Whole,
    /// 206: these bytes.
    Part(Range<u64>),
    /// 304: the client has it.
    NotModified,
    /// 412: it is not what the client thinks.
    PreconditionFailed,
    /// 416: there are no such bytes.
    Unsatisfiable,
}

/// What this request wants of `length` bytes with this strong entity tag, in the order of RFC 9110 section 13.2.2.
///
/// Several ranges at once are answered with the whole, which section 14.2 leaves to the server.
pub(super) fn wanted(method: &Method, headers: &HeaderMap, length: u64, tag: &str) -> Wanted {
    let strong = |candidate: &str| candidate == tag;
    let weak = |candidate: &str| candidate.strip_prefix("W/").unwrap_or(candidate) == tag;
    if headers.contains_key(IF_MATCH) && !lists(headers, &IF_MATCH, strong) {
        return Wanted::PreconditionFailed;
    }
    if headers.contains_key(IF_NONE_MATCH) && lists(headers, &IF_NONE_MATCH, weak) {
        return Wanted::NotModified;
    }
    // Section 14.2: a range is a matter of GET alone. Section 13.1.5: under If-Range, of the very same bytes alone.
    let is_same = headers.get(IF_RANGE).is_none_or(|value| value.to_str().is_ok_and(|value| strong(value.trim())));
    let range = headers.get(RANGE).filter(|_| *method == Method::GET && is_same);
    range.and_then(|range| part(range.to_str().ok()?, length)).unwrap_or(Wanted::Whole)
}

/// Whether one of the entity tags in the list is such a one. Our tags have no commas.
fn lists(headers: &HeaderMap, name: &HeaderName, is: impl Fn(&str) -> bool) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).any(|tag| tag == "*" || is(tag))
}

/// One range of bytes; nothing if it is no range that is understood.
fn part(text: &str, length: u64) -> Option<Wanted> {
    let (unit, range) = text.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || range.contains(',') {
        return None;
    }
    let number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?;
    let range = if first.is_empty() {
        // Nothing of nothing has no Content-Range that could name it.
        let suffix: u64 = number(last).filter(|_| length > 0)?;
        length.saturating_sub(suffix)..length
    } else {
        let first: u64 = number(first)?;
        let end = if last.is_empty() { length } else { number(last)?.checked_add(1)?.min(length) };
        if !last.is_empty() && number(last)? < first {
            return None;
        }
        first..end
    };
    Some(if range.is_empty() { Wanted::Unsatisfiable } else { Wanted::Part(range) })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const TAG: &str = "\"it\"";

    fn ask(method: Method, headers: &[(HeaderName, &'static str)]) -> Wanted {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        wanted(&method, &headers.collect(), 100, TAG)
    }

    #[test]
    fn one_range_is_a_part() {
        for (range, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=10-19", Wanted::Part(10..20)),
            ("bytes=90-1000", Wanted::Part(90..100)),
            ("bytes=99-", Wanted::Part(99..100)),
            ("Bytes= 5-", Wanted::Part(5..100)),
            ("bytes=-1", Wanted::Part(99..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=100-200", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=20-10", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=1-99999999999999999999", Wanted::Whole),
            ("bytes=18446744073709551615-", Wanted::Unsatisfiable),
            ("lines=0-1", Wanted::Whole),
        ] {
            assert_eq!(ask(Method::GET, &[(RANGE, range)]), expected, "{range}");
        }
        assert_eq!(ask(Method::HEAD, &[(RANGE, "bytes=0-0")]), Wanted::Whole);
    }

    #[test]
    fn of_nothing_there_is_no_part() {
        let ask = |range| part(range, 0);
        assert_eq!(ask("bytes=0-"), Some(Wanted::Unsatisfiable));
        assert_eq!(ask("bytes=-5"), None);
    }

    #[test]
    fn conditions_come_before_ranges() {
        let part = (RANGE, "bytes=0-0");
        assert_eq!(ask(Method::GET, &[part.clone(), (IF_RANGE, "\"it\"")]), Wanted::Part(0..1));
        for other in ["\"other\"", "W/\"it\"", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(ask(Method::GET, &[part.clone(), (IF_RANGE, other)]), Wanted::Whole, "{other}");
        }
        for same in ["\"it\"", "W/\"it\"", "*", "\"a\", \"it\""] {
            assert_eq!(ask(Method::GET, &[part.clone(), (IF_NONE_MATCH, same)]), Wanted::NotModified, "{same}");
        }
        assert_eq!(ask(Method::GET, &[(IF_NONE_MATCH, "\"other\"")]), Wanted::Whole);
        assert_eq!(ask(Method::GET, &[(IF_MATCH, "\"it\""), part.clone()]), Wanted::Part(0..1));
        for other in ["\"other\"", "W/\"it\""] {
            assert_eq!(ask(Method::GET, &[(IF_MATCH, other), part.clone()]), Wanted::PreconditionFailed, "{other}");
        }
        assert_eq!(ask(Method::GET, &[(IF_MATCH, "*")]), Wanted::Whole);
    }
}
