//! Versions (RFC 9000 §6, RFC 9368): found by negotiation, and never by who is on the way.
#![expect(clippy::unwrap_used, reason = "a test panics where a promise is broken")]

use std::time::Duration;

use codec::{Side, Version};
use quicast_tests::endpoint::Datagram;
use quicast_tests::pair::SERVER;
use quicast_tests::{Application, Pair, Plan, Settings};
use transport::Config;
use transport::output::CloseReason;
use transport::version_negotiation;

fn settings(client: &[Version], server: &[Version]) -> Settings {
    let config = |versions: &[Version]| Config { versions: versions.to_vec(), ..Config::default() };
    Settings::with(1, config(client), config(server))
}

#[test]
fn both_versions_work() {
    for version in [Version::V1, Version::V2] {
        let application = Application::planned(Side::Client, Plan::echo(2, 50_000));
        let mut pair = Pair::with(&settings(&[version], &[Version::V1, Version::V2]), application);
        assert!(pair.run(Duration::from_secs(5), |pair| pair.client.nodes[0].application.is_done()));
        assert_eq!(pair.client().connection.version(), version);
        assert_eq!(pair.server().connection.version(), version);
    }
}

#[test]
fn version_2_goes_through_a_retry() {
    let settings = settings(&[Version::V2], &[Version::V1, Version::V2]).with_retry();
    let mut pair = Pair::with(&settings, Application::planned(Side::Client, Plan::echo(2, 50_000)));
    assert!(pair.run(Duration::from_secs(5), |pair| pair.client.nodes[0].application.is_done()));
}

#[test]
fn a_client_tries_again_with_a_version_of_the_servers() {
    let mut pair =
        Pair::with(&settings(&[Version::V2, Version::V1], &[Version::V1]), Application::answering(Side::Client));
    pair.run(Duration::from_secs(1), |pair| pair.client.nodes[0].close_reason().is_some());
    let Some(CloseReason::VersionMismatch { versions, retry_with }) = pair.client().close_reason().cloned() else {
        panic!("{}", pair.describe())
    };
    assert!(versions.contains(&Version::V1));
    assert_eq!(retry_with, Some(Version::V1));
    assert!(pair.server.nodes.is_empty());
    let application = Application::planned(Side::Client, Plan::echo(1, 1_000));
    let key = pair.client.connect_with(pair.now, SERVER, application, bytes::Bytes::new(), retry_with);
    let done = pair.run(Duration::from_secs(5), |pair| pair.client.nodes[key].application.is_done());
    assert!(done, "{}", pair.describe());
    assert_eq!(pair.client.nodes[key].connection.version(), Version::V1);
}

#[test]
fn without_a_version_in_common_there_is_no_connection() {
    let mut pair = Pair::with(&settings(&[Version::V2], &[Version::V1]), Application::answering(Side::Client));
    pair.run(Duration::from_secs(1), |pair| pair.client.nodes[0].close_reason().is_some());
    assert!(matches!(pair.client().close_reason(), Some(CloseReason::VersionMismatch { retry_with: None, .. })));
}

/// A Version Negotiation packet to the client, with its ids or with others.
fn negotiation(first: &Datagram, versions: &[Version], foreign: bool) -> Datagram {
    let Ok(codec::packet::Packet::Protected(header)) = codec::packet::decode(&first.bytes, 8) else { panic!() };
    let destination = if foreign { &[9; 8][..] } else { header.destination.as_bytes() };
    let mut bytes = vec![0; 200];
    let length = version_negotiation::write(destination, header.source.as_bytes(), versions, 7, &mut bytes).unwrap();
    bytes.truncate(length);
    Datagram { from: SERVER, to: first.from, ecn: None, bytes }
}

#[test]
fn negotiation_is_ignored_when_it_is_late_or_foreign_or_absurd() {
    // Foreign: the wrong ids. Absurd: it lists the version that was tried.
    for (versions, foreign) in [(vec![Version::V2], true), (vec![Version::V1, Version::V2], false)] {
        let mut pair = Pair::unconnected(&settings(&[Version::V1, Version::V2], &[Version::V1, Version::V2]));
        pair.client.connect(pair.now, SERVER, Application::answering(Side::Client));
        let first = pair.client.outbox.front().unwrap().clone();
        let now = pair.now;
        pair.client.receive(now, [negotiation(&first, &versions, foreign)]);
        pair.confirm();
    }
    // Late: something else was heard.
    let mut pair = Pair::unconnected(&settings(&[Version::V1, Version::V2], &[Version::V1, Version::V2]));
    pair.client.connect(pair.now, SERVER, Application::answering(Side::Client));
    let first = pair.client.outbox.front().unwrap().clone();
    pair.run(pair.delay * 2, |pair| pair.client.nodes[0].was_connected());
    let now = pair.now;
    pair.client.receive(now, [negotiation(&first, &[Version::V2], false)]);
    pair.confirm();
}

/// RFC 9368 §4: whoever is on the way can make a client try an older version, but not without being found out.
#[test]
fn a_downgrade_is_found_out() {
    let mut pair = Pair::unconnected(&settings(&[Version::V1, Version::V2], &[Version::V1, Version::V2]));
    pair.client.connect(pair.now, SERVER, Application::answering(Side::Client));
    let first = pair.client.outbox.pop_front().unwrap();
    let now = pair.now;
    pair.client.receive(now, [negotiation(&first, &[Version::V2], false)]);
    let Some(CloseReason::VersionMismatch { retry_with, .. }) = pair.client().close_reason().cloned() else {
        panic!("{}", pair.describe())
    };
    assert_eq!(retry_with, Some(Version::V2));
    let application = Application::answering(Side::Client);
    let key = pair.client.connect_with(pair.now, SERVER, application, bytes::Bytes::new(), retry_with);
    pair.run(Duration::from_secs(2), |pair| pair.client.nodes[key].close_reason().is_some());
    let ending = pair.client.nodes[key].ending();
    assert!(ending.contains("VERSION_NEGOTIATION_ERROR"), "{ending}, {}", pair.describe());
}
