//! The labels that stand for something of another crate: that both say the same words, in the same order.

use quicast_telemetry as telemetry;

use codec::TransportErrorCode;
use telemetry::Label;
use telemetry::codec::FrameType;
use telemetry::connection::{ErrorCode, Limit};
use telemetry::labels::Algorithm;

#[test]
fn frames_have_the_names_of_the_codec() {
    assert_eq!(FrameType::NAMES, codec::frame::FrameType::NAMES);
}

#[test]
fn controllers_have_the_names_of_the_congestion_crate() {
    let names: Vec<&str> = congestion::Algorithm::ALL.into_iter().map(congestion::Algorithm::name).collect();
    assert_eq!(Algorithm::NAMES, names);
}

/// Read from its source: depending on the machines would build all of TLS for one list.
#[test]
fn limits_have_the_names_of_the_transport() {
    let source = include_str!("../../transport/src/limits.rs");
    let arms = source.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""));
    let names: Vec<&str> = arms.map(|(_, name)| name.trim_end_matches("\",")).collect();
    assert_eq!(Limit::NAMES, names);
}

#[test]
fn error_codes_have_the_names_of_the_codec() {
    for code in 0..0x400 {
        let expected = match (TransportErrorCode(code).name(), TransportErrorCode(code).alert()) {
            (Some(name), _) => name.to_lowercase(),
            (None, Some(_)) => "crypto_error".to_owned(),
            (None, None) => "other".to_owned(),
        };
        assert_eq!(ErrorCode::of(code).as_str(), expected, "{code:#x}");
    }
}
