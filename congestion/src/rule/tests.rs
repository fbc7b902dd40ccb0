use core::time::Duration;
use std::string::ToString;
use std::{format, vec};

use codec::Side;

use super::*;

fn facts() -> Facts<'static> {
    Facts {
        alpn: b"h3",
        server_name: Some("Upload.example.com"),
        remote: "10.1.2.3".parse().unwrap(),
        side: Side::Server,
        smoothed_rtt: Some(Duration::from_millis(80)),
        algorithm: "cubic",
    }
}

fn fits(text: &str) -> bool {
    text.parse::<Selector>().unwrap().fits(&facts())
}

#[test]
fn a_selector_means_what_fits_each_of_its_kinds() {
    for text in [
        "",
        "alpn=h3",
        "alpn=echo, alpn=h3",
        "sni=upload.example.com",
        "sni=*.example.com",
        "sni=upload.*",
        "cidr=192.0.2.0/24,cidr=10.0.0.0/8",
        "role=server",
        "rtt=80ms..81ms",
        "rtt=50ms..",
        "rtt=..1s",
        "cc=cubic",
        "alpn=h3,sni=*.com,cidr=10.0.0.0/8,role=server,rtt=50ms..200ms,cc=cubic",
    ] {
        assert!(fits(text), "{text}");
    }
    for text in [
        "alpn=h2",
        "alpn=h3,alpn=echo,role=client",
        "sni=example.com",
        "sni=*.example.org",
        "sni=*upload.example.com",
        "cidr=192.0.2.0/24",
        "rtt=..80ms",
        "rtt=81ms..",
        "cc=bbr",
    ] {
        assert!(!fits(text), "{text}");
    }
}

#[test]
fn what_is_not_known_does_not_fit() {
    let unknown = Facts { server_name: None, smoothed_rtt: None, ..facts() };
    for text in ["sni=*", "rtt=..10s", "rtt=0ms.."] {
        assert!(!text.parse::<Selector>().unwrap().fits(&unknown), "{text}");
    }
}

#[test]
fn a_bad_selector_is_refused_with_what_would_be_right() {
    for (text, why) in [
        ("h3", "KIND=VALUE"),
        ("alpn=", "missing"),
        ("cidr=10.0.0.1/8", "zeros after the prefix"),
        ("role=proxy", "client or server"),
        ("rtt=50", "50ms..200ms"),
        ("rtt=..", "50ms..200ms"),
        ("rtt=9ms..9ms", "50ms..200ms"),
        ("rtt=1h..2h", "50ms..200ms"),
        ("host=a", "the kinds are"),
    ] {
        let error = format!("alpn=h3,{text}").parse::<Selector>().unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(text), "{text}: {error}");
    }
    let many = |values: usize| vec!["alpn=a"; values].join(",").parse::<Selector>();
    assert!(many(MAXIMUM_VALUES).is_ok() && many(MAXIMUM_VALUES + 1).is_err());
}

#[test]
fn a_selector_is_written_as_it_is_read() {
    for text in ["alpn=h3,sni=a.*,cc=bbr,cidr=10.0.0.0/8,role=client,rtt=50ms..2s", "rtt=1500us..", "rtt=..1s"] {
        assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
    }
    assert_eq!(Selector::default().to_string(), "all");
}

fn rule(name: &str, selector: &str, algorithm: Algorithm) -> Rule {
    Rule { name: name.to_string(), selector: selector.parse().unwrap(), algorithm }
}

#[test]
fn the_first_rule_that_fits_decides() {
    let rules = Rules {
        rules: vec![
            rule("far", "rtt=100ms..", Algorithm::NEW_RENO),
            rule("web", "alpn=h3", Algorithm::NEW_RENO),
            rule("all", "", Algorithm::CUBIC),
        ],
        default: Algorithm::CUBIC,
    };
    let (chosen, algorithm) = rules.choose(&facts());
    assert_eq!((chosen.unwrap().name.as_str(), algorithm), ("web", Algorithm::NEW_RENO));
    let other = Facts { alpn: b"echo", ..facts() };
    assert_eq!(rules.choose(&other).0.unwrap().name, "all");
    let none = Rules { rules: vec![rule("far", "rtt=100ms..", Algorithm::NEW_RENO)], default: Algorithm::CUBIC };
    assert_eq!(none.choose(&facts()), (None, Algorithm::CUBIC));
}

#[test]
fn a_difference_names_each_rule_that_is_new_gone_changed_or_moved() {
    let old = Rules {
        rules: vec![
            rule("a", "alpn=h3", Algorithm::CUBIC),
            rule("b", "alpn=echo", Algorithm::CUBIC),
            rule("c", "role=client", Algorithm::CUBIC),
        ],
        default: Algorithm::CUBIC,
    };
    assert!(old.difference(&old).is_empty());
    let new = Rules {
        rules: vec![
            rule("c", "role=client", Algorithm::CUBIC),
            rule("a", "alpn=h3", Algorithm::NEW_RENO),
            rule("d", "", Algorithm::NEW_RENO),
        ],
        default: Algorithm::NEW_RENO,
    };
    let expected = [
        "default: cubic -> newreno",
        "- b: cubic for alpn=echo",
        "~ c: place 3 -> 1",
        "~ a: cubic -> newreno",
        "~ a: place 1 -> 2",
        "+ d: newreno for all",
    ];
    assert_eq!(old.difference(&new), expected);
}
