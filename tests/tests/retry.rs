//! Retry (RFC 9000 §8.1.2, §17.2.5): the client obeys a sound one and no other; the server takes its own tokens and no
//! other.
#![expect(clippy::unwrap_used, reason = "a test panics where a promise is broken")]

use std::time::Duration;

use bytes::Bytes;
use codec::packet::{self, Packet};
use codec::{ConnectionId, Side, Version};
use quicast_tests::endpoint::{Datagram, Node};
use quicast_tests::host::Service;
use quicast_tests::pair::SERVER;
use quicast_tests::{Application, Conditions, Network, Pair, Plan, Settings, Weather, for_each_seed};
use transport::output::{CloseReason, Event};

fn echoes(pair: &mut Pair) {
    let done = pair.run(Duration::from_secs(9), |pair| pair.client.nodes[0].application.is_done());
    assert!(done, "{}", pair.describe());
}

#[test]
fn a_client_proves_its_address_and_connects() {
    let settings = Settings::new(1).with_retry();
    let mut pair = Pair::with(&settings, Application::planned(Side::Client, Plan::echo(2, 20_000)));
    let began = pair.now;
    pair.run(Duration::from_secs(1), |pair| pair.client.nodes[0].was_connected());
    assert_eq!(pair.now - began, pair.delay * 4, "one round trip more");
    echoes(&mut pair);
    assert_eq!(pair.client().stats.dropped, [0; 7]);
}

#[test]
fn an_application_may_ask_for_proof_as_well() {
    let mut pair = Pair::unconnected(&Settings::new(1));
    pair.server.service = Some(Service::Retry);
    pair.client.connect(pair.now, SERVER, Application::planned(Side::Client, Plan::echo(1, 100)));
    echoes(&mut pair);
}

#[test]
fn a_refused_client_hears_of_it() {
    let mut pair = Pair::unconnected(&Settings::new(1));
    pair.server.service = Some(Service::Refuse);
    pair.client.connect(pair.now, SERVER, Application::answering(Side::Client));
    pair.run(Duration::from_millis(10), |_| false);
    let refused = codec::TransportErrorCode::CONNECTION_REFUSED;
    assert!(
        matches!(pair.client().close_reason(), Some(CloseReason::PeerTransport { code, .. }) if *code == refused),
        "{}",
        pair.describe()
    );
    assert!(pair.server.nodes.is_empty());
}

#[test]
fn retries_are_lost_and_repeated() {
    for_each_seed(|seed| {
        let settings = Settings::new(seed).with_retry().patient();
        let conditions = Conditions { loss: 200, duplicate: 100, reorder: 100, corrupt: 50, ..Conditions::default() };
        let application = Application::planned(Side::Client, Plan::echo(1, 5_000));
        let mut network = Network::new(&settings, conditions, Weather::default(), application);
        let done = network.run(Duration::from_secs(600), |network| {
            let client = &network.client.nodes[0];
            client.application.is_done() || client.close_reason().is_some()
        });
        assert!(done && network.client().application.is_done(), "{}", network.describe());
    });
}

/// A Retry for the client's first Initial, with anything in it.
fn retry(first: &Datagram, source: &[u8], token: &[u8], spoils: impl Fn(&mut Vec<u8>)) -> Datagram {
    let Ok(Packet::Protected(header)) = packet::decode(&first.bytes, 8) else { panic!("not an Initial") };
    let mut bytes = vec![0xf0];
    bytes.extend_from_slice(&Version::V1.0.to_be_bytes());
    for id in [header.source.as_bytes(), source] {
        bytes.push(id.len() as u8);
        bytes.extend_from_slice(id);
    }
    bytes.extend_from_slice(token);
    let tag = tls::retry::integrity_tag(Version::V1, &header.destination, &bytes);
    bytes.extend_from_slice(&tag);
    spoils(&mut bytes);
    Datagram { from: SERVER, to: first.from, ecn: None, bytes }
}

/// A client alone, with its first Initial.
fn client() -> (Pair, Datagram) {
    let mut pair = Pair::unconnected(&Settings::new(1));
    pair.server.service = None;
    pair.client.connect(pair.now, SERVER, Application::answering(Side::Client));
    let first = pair.client.outbox.pop_front().unwrap();
    (pair, first)
}

fn token_of_the_next_initial(pair: &mut Pair) -> Option<Bytes> {
    let next = pair.client.outbox.pop_front()?;
    let Ok(Packet::Protected(header)) = packet::decode(&next.bytes, 8) else { panic!("not an Initial") };
    Some(Bytes::copy_from_slice(&next.bytes[header.token]))
}

#[test]
fn a_sound_retry_is_obeyed_once() {
    let (mut pair, first) = client();
    let now = pair.now;
    pair.client.receive(now, [retry(&first, &[7; 8], b"token", |_| {})]);
    assert_eq!(token_of_the_next_initial(&mut pair).as_deref(), Some(&b"token"[..]));
    //= https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2
    //= type=test
    //# A client MUST accept and process at most one Retry packet for each connection
    //# attempt.
    pair.client.receive(now, [retry(&first, &[9; 8], b"other", |_| {})]);
    assert_eq!(token_of_the_next_initial(&mut pair), None);
}

#[test]
fn an_unsound_retry_is_ignored() {
    let (mut pair, first) = client();
    let now = pair.now;
    let Ok(Packet::Protected(header)) = packet::decode(&first.bytes, 8) else { panic!("not an Initial") };
    let bad = [
        retry(&first, &[7; 8], b"", |_| {}),
        retry(&first, header.destination.as_bytes(), b"token", |_| {}),
        retry(&first, &[7; 8], b"token", |bytes| *bytes.last_mut().unwrap() ^= 1),
        retry(&first, &[7; 8], b"token", |bytes| bytes[20] ^= 1),
        retry(&first, &[7; 8], b"token", |bytes| bytes.truncate(20)),
    ];
    for datagram in bad {
        pair.client.receive(now, [datagram]);
        assert_eq!(token_of_the_next_initial(&mut pair), None);
    }
    assert_eq!(pair.client().ending(), "open");
    // It still waits for a sound one.
    pair.client.receive(now, [retry(&first, &[7; 8], b"token", |_| {})]);
    assert!(token_of_the_next_initial(&mut pair).is_some());
}

#[test]
fn a_retry_after_anything_else_was_heard_is_ignored() {
    let mut pair = Pair::unconnected(&Settings::new(1));
    pair.client.connect(pair.now, SERVER, Application::answering(Side::Client));
    let first = pair.client.outbox.front().unwrap().clone();
    pair.run(pair.delay * 2, |_| false);
    assert!(pair.client().was_connected());
    let now = pair.now;
    pair.client.receive(now, [retry(&first, &[7; 8], b"token", |_| {})]);
    pair.confirm();
}

/// RFC 9000 §7.3: the ids of the handshake are authenticated, so a Retry that was slipped in is found out.
#[test]
fn a_retry_that_the_server_knows_nothing_of_ends_the_handshake() {
    let (mut pair, first) = client();
    let now = pair.now;
    let source = ConnectionId::new(&[7; 8]).unwrap();
    pair.client.receive(now, [retry(&first, source.as_bytes(), b"token", |_| {})]);
    pair.server.service = Some(Service::Answer);
    pair.run(Duration::from_secs(2), |pair| pair.client.nodes[0].close_reason().is_some());
    assert!(!pair.client().was_connected());
}

#[test]
fn tokens_that_are_not_the_servers_own_are_of_no_use() {
    // With Retry always on, a made-up token gets another Retry; without it, it is as good as none.
    for settings in [Settings::new(1), Settings::new(1).with_retry()] {
        let mut pair = Pair::unconnected(&settings);
        let application = Application::planned(Side::Client, Plan::echo(1, 100));
        pair.client.connect_with(pair.now, SERVER, application, Bytes::from_static(b"made up"), None);
        echoes(&mut pair);
    }
}

/// RFC 9000 §8.1.3: a token of an earlier connection proves the address of a later one.
#[test]
fn tokens_for_later_connections_spare_the_retry() {
    let settings = Settings::new(1).with_retry();
    let mut pair = Pair::with(&settings, Application::answering(Side::Client));
    pair.confirm();
    let token = |node: &Node| {
        node.events.iter().find_map(|event| match event {
            Event::NewToken(token) => Some(token.clone()),
            _ => None,
        })
    };
    let token = token(pair.client()).expect("the server gives a token");
    let application = Application::planned(Side::Client, Plan::echo(1, 100));
    let key = pair.client.connect_with(pair.now, SERVER, application, token.clone(), None);
    let began = pair.now;
    pair.run(Duration::from_secs(1), |pair| pair.client.nodes[key].was_connected());
    assert_eq!(pair.now - began, pair.delay * 2, "no Retry");
    // Used a second time it is worth nothing: a Retry again.
    let application = Application::planned(Side::Client, Plan::echo(1, 100));
    let key = pair.client.connect_with(pair.now, SERVER, application, token, None);
    let began = pair.now;
    pair.run(Duration::from_secs(1), |pair| pair.client.nodes[key].was_connected());
    assert_eq!(pair.now - began, pair.delay * 4, "a Retry");
}
