//! Priority values: the RFC's examples, the grammar's corners, and what is ignored.

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn parsed(value: &str) -> Option<(Option<u8>, Option<bool>)> {
    PriorityParameters::parse(value.as_bytes()).map(|parameters| (parameters.urgency, parameters.incremental))
}

#[test]
fn the_examples_of_the_rfc() {
    assert_eq!(Priority::of_request(b"u=0"), Priority::new(0, false));
    assert_eq!(Priority::of_request(b"u=5, i"), Priority::new(5, true));
    // RFC 9218 §8: the server's urgency replaces the client's, the client's `i` stays.
    let client = Priority::of_request(b"u=5, i");
    let server = PriorityParameters::parse(b"u=1").unwrap();
    assert_eq!(client.changed_by(server), Priority::new(1, true));
}

#[test]
fn what_is_left_out_is_as_by_default() {
    for value in ["", "  ", "x", "foo=bar;baz"] {
        assert_eq!(Priority::of_request(value.as_bytes()), Priority::new(3, false), "{value:?}");
        assert_eq!(parsed(value), Some((None, None)), "{value:?}");
    }
    assert_eq!(Priority::of_request(b"i"), Priority::new(3, true));
}

#[test]
fn members_of_any_kind_are_read() {
    for (value, urgency, incremental) in [
        ("u=7,i=?1", Some(7), Some(true)),
        ("u=1;foo;bar=\"x\", i=?0", Some(1), Some(false)),
        ("u=2\t,\ti", Some(2), Some(true)),
        ("  u=2  ", Some(2), None),
        ("u=1, u=4", Some(4), None),
        ("i;u=9", None, Some(true)),
        ("*a-b_c.9=tok/en:x*, u=3, l=(1 2.5 \"a\\\"b\" :aGk=: ?1);q=1", Some(3), None),
        ("l=(), u=3", Some(3), None),
        ("l=( a  b ), u=3", Some(3), None),
        ("d=-1.5, u=-0", Some(0), None),
    ] {
        assert_eq!(parsed(value), Some((urgency, incremental)), "{value:?}");
    }
}

#[test]
fn values_out_of_range_or_of_another_type_are_ignored() {
    for value in ["u=8", "u=-1", "u=1.0", "u=\"1\"", "u", "u=?1", "u=(1)", "u=999999999999999", "u=1, u=8"] {
        assert_eq!(parsed(value), Some((None, None)), "{value:?}");
    }
    for value in ["i=1", "i=\"?1\"", "i=a", "i, i=7"] {
        assert_eq!(parsed(value), Some((None, None)), "{value:?}");
    }
    assert_eq!(parsed("u=9, i"), Some((None, Some(true))));
}

#[test]
fn what_is_no_dictionary_says_nothing_at_all() {
    for value in [
        "u=",
        "u=1,",
        ",u=1",
        "U=1",
        "u=1 i",
        "u=1;",
        "u=1;=2",
        "=1",
        "u=?2",
        "u=?",
        "u=1.",
        "u=1.2345",
        "u=1234567890123456",
        "u=1234567890123.1",
        "u=--1",
        "u=-",
        "\"u\"=1",
        "s=\"a",
        "s=\"\\n\"",
        "s=\"\x01\"",
        "b=:a",
        "b=:a!:",
        "l=(1",
        "l=(1,2)",
        "l=(1\t2)",
        "l=(\"a\"\"b\")",
        "\tu=1",
        "u =1",
        "u= 1",
        "é=1",
        "u=1,,i",
        "@1",
    ] {
        assert_eq!(parsed(value), None, "{value:?}");
        assert_eq!(Priority::of_request(value.as_bytes()), Priority::default(), "{value:?}");
    }
}

#[test]
fn a_value_up_to_the_bound_is_read() {
    let padded = |length: usize| format!("u=1, x=\"{}\"", "a".repeat(length - 9));
    assert_eq!(parsed(&padded(limits::PRIORITY_VALUE)), Some((Some(1), None)));
    assert_eq!(parsed(&padded(limits::PRIORITY_VALUE + 1)), None);
}

#[test]
fn lines_of_a_head_are_one_list() {
    let mut headers = HeaderMap::new();
    assert_eq!(PriorityParameters::of_head(&headers), None);
    headers.append(PRIORITY, HeaderValue::from_static("u=1"));
    headers.append(PRIORITY, HeaderValue::from_static("i"));
    let parameters = PriorityParameters::of_head(&headers).unwrap();
    assert_eq!(parameters, PriorityParameters { urgency: Some(1), incremental: Some(true) });
    headers.append(PRIORITY, HeaderValue::from_static("u=?"));
    assert_eq!(PriorityParameters::of_head(&headers), None);
    for _ in 0..100 {
        headers.append(PRIORITY, HeaderValue::from_static("i"));
    }
    assert_eq!(PriorityParameters::of_head(&headers), None);
}

#[test]
fn every_priority_is_written_and_read() {
    for urgency in 0..=Priority::LEAST_URGENT {
        for incremental in [false, true] {
            let priority = Priority::new(urgency, incremental);
            assert_eq!(Priority::of_request(priority.as_str().as_bytes()), priority);
        }
    }
    assert_eq!(Priority::default().as_str(), "");
    assert_eq!(Priority::new(200, false).urgency(), 7);
    assert!(Priority::new(0, true) < Priority::new(1, false));
}

proptest! {
    #[test]
    fn any_bytes_are_a_priority(value: Vec<u8>) {
        prop_assert!(Priority::of_request(&value).urgency() <= Priority::LEAST_URGENT);
    }

    #[test]
    fn likely_bytes_are_a_priority(value in "[ui*a ,;=?01()\"\\\\:.\t-]{0,24}") {
        prop_assert!(Priority::of_request(value.as_bytes()).urgency() <= Priority::LEAST_URGENT);
    }
}
