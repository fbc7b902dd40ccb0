//! The labels that stand for something of another crate: that both say the same words, in the same order.

use quicast_telemetry as telemetry;

use codec::TransportErrorCode;
use telemetry::Label;
use telemetry::codec::FrameType;
use telemetry::connection::{ErrorCode, Limit};
use telemetry::http3;
use telemetry::labels::Algorithm;

#[test]
fn frames_have_the_names_of_the_codec() {
    assert_eq!(FrameType::NAMES, codec::frame::FrameType::NAMES);
}

#[test]
fn controllers_have_the_names_of_the_congestion_crate() {
    let built_in = congestion::Algorithm::ALL;
    let names: Vec<&str> = built_in.iter().map(congestion::Algorithm::name).chain(["other"]).collect();
    assert_eq!(Algorithm::NAMES, names);
}

/// Read from their source: depending on the machines would build all of TLS for a few lists.
#[test]
fn limits_have_the_names_of_the_transport_and_of_http3() {
    let transport = include_str!("../../transport/src/limits.rs");
    let http3 = include_str!("../../http3/src/limits.rs");
    let names: Vec<&str> = [transport, http3].into_iter().flat_map(names).collect();
    assert_eq!(Limit::NAMES, names);
}

#[test]
fn frames_and_errors_and_tunnels_have_the_names_of_http3() {
    let mut frames: Vec<&str> = names(include_str!("../../http3/src/frame/mod.rs")).collect();
    frames.extend(include_str!("../../http3/src/frame/mod.rs").lines().filter_map(|line| {
        line.trim()
            .strip_prefix("Self::")?
            .split_once(" | ")?
            .1
            .split_once(" => \"")
            .map(|(_, name)| name.trim_end_matches("\","))
    }));
    assert!(frames.iter().all(|name| http3::FrameType::NAMES.contains(name)), "{frames:?}");
    assert!(http3::FrameType::NAMES.iter().all(|name| frames.contains(name)), "{frames:?}");
    let codes = include_str!("../../http3/src/error.rs").lines().filter_map(|line| {
        let (name, rest) = line.trim().split_once(" = 0x")?;
        name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit()).then_some(())?;
        rest.split('"').nth(1)
    });
    let codes: Vec<&str> = codes.chain(["other"]).collect();
    assert_eq!(http3::ErrorCode::NAMES, codes);
    let tunnels: Vec<&str> = names(include_str!("../../http3/src/stats.rs")).collect();
    assert_eq!(http3::Tunnel::NAMES, tunnels);
}

/// The words that a source gives to the variants of its enum.
fn names(source: &str) -> impl Iterator<Item = &str> {
    let arms = source.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""));
    arms.map(|(_, name)| name.trim_end_matches("\","))
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

#[test]
fn triggers_and_verdicts_have_the_names_of_the_congestion_crate() {
    use congestion::{Trigger, Verdict};
    let triggers = [
        Trigger::Library,
        Trigger::Cli,
        Trigger::Api,
        Trigger::Dashboard,
        Trigger::Config,
        Trigger::Rollback,
        Trigger::Panic,
    ];
    assert_eq!(telemetry::congestion::SwitchTrigger::NAMES, triggers.map(Trigger::name));
    let verdicts =
        [Verdict::Kept, Verdict::Unproven, Verdict::GoodputFell, Verdict::LossRose, Verdict::PersistentCongestion];
    assert_eq!(telemetry::congestion::TrialVerdict::NAMES, verdicts.map(Verdict::name));
}
