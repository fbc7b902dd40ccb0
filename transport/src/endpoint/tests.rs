//! An endpoint of a server and one of a client, joined by hand.

use std::net::Ipv4Addr;
use std::sync::OnceLock;

use codec::packet::Packet;
use proptest::prelude::*;

use super::*;
use crate::output::Transmit;

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 443);
const CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 50_000);
const SECRETS: Secrets = Secrets { ids: [1; 32], resets: [2; 32], tokens: [3; 32] };

fn certificate() -> &'static tls::Certificate {
    static CERTIFICATE: OnceLock<tls::Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(|| tls::development::certificate(&["localhost"], tls::pki_types::UnixTime::now()).unwrap())
}

fn settings(retry: Retry, shard: usize, shards: usize) -> Settings {
    let tls = tls::development::server_config(certificate(), &[b"test"]).unwrap();
    let server = Some(Arc::new(tls));
    Settings { config: Arc::default(), server, retry, resets: true, shard, shards }
}

fn server(retry: Retry) -> Endpoint {
    Endpoint::new(settings(retry, 0, 1), &SECRETS, &[4; 32])
}

/// One of several shards that share their secrets.
fn shard(shard: usize, shards: usize) -> Endpoint {
    Endpoint::new(settings(Retry::Never, shard, shards), &SECRETS, &[shard as u8 + 10; 32])
}

fn client() -> Endpoint {
    let settings = Settings { server: None, ..settings(Retry::Never, 0, 1) };
    Endpoint::new(settings, &Secrets { ids: [5; 32], resets: [6; 32], tokens: [7; 32] }, &[8; 32])
}

fn begin(endpoint: &mut Endpoint, token: Bytes) -> Connection {
    let tls = tls::development::client_config(certificate().chain(), &[b"test"]).unwrap();
    let client = Client {
        remote: SERVER,
        server_name: "localhost".try_into().unwrap(),
        tls: Arc::new(tls),
        config: Arc::default(),
        negotiated: None,
        token,
    };
    *endpoint.connect(at(0), 0, client).unwrap()
}

fn at(milliseconds: u64) -> Time {
    Time::ZERO + Duration::from_millis(milliseconds)
}

fn arrival(milliseconds: u64) -> Arrival {
    let unix_time = Duration::from_secs(1_700_000_000) + Duration::from_millis(milliseconds);
    Arrival { now: at(milliseconds), unix_time, backlog: Duration::ZERO, forwarded: false }
}

fn from(remote: SocketAddr, segment_size: usize, bytes: &[u8]) -> ReceivedDatagrams {
    ReceivedDatagrams { remote, local: None, ecn: None, segment_size, buffer: BytesMut::from(bytes) }
}

/// Everything that a connection wants to send now.
fn sent(connection: &mut Connection, now: Time) -> Vec<Vec<u8>> {
    connection.end_turn(now);
    let mut buffer = vec![0; 65_536];
    let mut all = Vec::new();
    while let Some(Transmit { length, segment_size, .. }) = connection.poll_transmit(now, &mut buffer) {
        all.extend(buffer[..length].chunks(segment_size).map(<[u8]>::to_vec));
    }
    all
}

fn initial() -> Vec<u8> {
    sent(&mut begin(&mut client(), Bytes::new()), at(0)).remove(0)
}

fn outputs(endpoint: &mut Endpoint) -> Vec<Output> {
    std::iter::from_fn(|| endpoint.poll_output()).collect()
}

fn only_attempt(endpoint: &mut Endpoint) -> AttemptKey {
    match outputs(endpoint)[..] {
        [Output::Attempt(key)] => key,
        ref other => panic!("{other:?}"),
    }
}

fn answers(endpoint: &mut Endpoint) -> Vec<Vec<u8>> {
    let mut buffer = [0; 1_500];
    let mut all = Vec::new();
    while let Some(transmit) = endpoint.poll_answer(arrival(0).unix_time, &mut buffer) {
        assert_eq!(transmit.remote, CLIENT);
        all.push(buffer[..transmit.length].to_vec());
    }
    all
}

/// RFC 9000 §8.1.2: an invalid token is answered in an Initial that "is otherwise valid", and in no other.
#[test]
fn a_token_that_was_spoiled_on_its_way_is_dropped_and_not_answered() {
    let mut server = server(Retry::Always);
    let mut client = client();
    let mut connection = begin(&mut client, Bytes::new());
    let first = sent(&mut connection, at(0)).remove(0);
    server.handle_datagrams(&arrival(0), from(CLIENT, first.len(), &first));
    let retry = answers(&mut server).remove(0);
    connection.handle_datagrams(at(1), from(SERVER, retry.len(), &retry));
    let second = sent(&mut connection, at(1)).remove(0);
    let Ok(Packet::Protected(header)) = packet::decode(&second, LOCAL_ID_LENGTH) else { panic!("an Initial") };
    for byte in header.token.clone() {
        let mut spoiled = second.clone();
        spoiled[byte] ^= 1;
        server.handle_datagrams(&arrival(2), from(CLIENT, spoiled.len(), &spoiled));
        assert!(outputs(&mut server).is_empty(), "byte {byte}");
        // Where it no longer looks like a Retry's token, the client is asked once more, which it ignores.
        assert!(answers(&mut server).is_empty() || byte == header.token.start, "byte {byte}");
    }
    // What the client sends again is as good as ever.
    server.handle_datagrams(&arrival(2), from(CLIENT, second.len(), &second));
    only_attempt(&mut server);
}

/// Without a demand for tokens, what looks like none would begin a connection that contradicts the client's Retry.
#[test]
fn a_spoiled_token_begins_no_connection() {
    let mut server = server(Retry::Never);
    let mut first = sent(&mut begin(&mut client(), Bytes::from_static(b"made up")), at(0)).remove(0);
    let Ok(Packet::Protected(header)) = packet::decode(&first, LOCAL_ID_LENGTH) else { panic!("an Initial") };
    first[header.token.start] ^= 1;
    server.handle_datagrams(&arrival(0), from(CLIENT, first.len(), &first));
    assert!(outputs(&mut server).is_empty() && answers(&mut server).is_empty());
    first[header.token.start] ^= 1;
    server.handle_datagrams(&arrival(0), from(CLIENT, first.len(), &first));
    only_attempt(&mut server);
}

#[test]
fn a_token_that_is_wrong_in_a_sound_packet_is_answered() {
    let mut server = server(Retry::Always);
    let mut client = client();
    let mut connection = begin(&mut client, Bytes::new());
    let first = sent(&mut connection, at(0)).remove(0);
    server.handle_datagrams(&arrival(0), from(CLIENT, first.len(), &first));
    let retry = answers(&mut server).remove(0);
    connection.handle_datagrams(at(1), from(SERVER, retry.len(), &retry));
    // Too late by a minute.
    let second = sent(&mut connection, at(1)).remove(0);
    server.handle_datagrams(&arrival(60_000), from(CLIENT, second.len(), &second));
    assert!(outputs(&mut server).is_empty());
    let said = answers(&mut server);
    assert_eq!(said.len(), 1);
    connection.handle_datagrams(at(60_000), from(SERVER, said[0].len(), &said[0]));
    let invalid = codec::TransportErrorCode::INVALID_TOKEN;
    assert!(
        matches!(connection.close_reason(), Some(CloseReason::PeerTransport { code, .. }) if *code == invalid),
        "{:?}",
        connection.close_reason()
    );
}

#[test]
fn an_attempt_waits_until_it_is_decided_and_loses_nothing_meanwhile() {
    let mut server = server(Retry::Never);
    let first = initial();
    server.handle_datagrams(&arrival(0), from(CLIENT, first.len(), &first));
    let key = only_attempt(&mut server);
    server.handle_datagrams(&arrival(1), from(CLIENT, first.len(), &first));
    assert!(outputs(&mut server).is_empty(), "it is the same attempt");
    assert_eq!((server.waiting(), server.routes()), (1, 1));

    let new = server.accept(&arrival(2), key, 7, None).unwrap();
    assert_eq!((new.datagrams.len(), new.remote), (2, CLIENT));
    assert!(new.datagrams.iter().all(|datagrams| datagrams.buffer == first[..]));
    assert_eq!((server.waiting(), server.handshakes(Side::Server)), (0, 1));
    assert_eq!(server.accept(&arrival(2), key, 8, None).err(), Some(AcceptError::Over));

    server.handle_datagrams(&arrival(3), from(CLIENT, first.len(), &first));
    assert!(matches!(outputs(&mut server)[..], [Output::Datagrams { key: 7, .. }]));
    server.handle_handshake_over(7);
    assert_eq!(server.handshakes(Side::Server), 0);
}

#[test]
fn a_train_is_split_only_where_its_connection_changes() {
    let mut server = server(Retry::Never);
    let mut ids = Vec::new();
    for (key, port) in [(0, 1_001), (1, 1_002)] {
        let first = initial();
        let remote = SocketAddr::new(CLIENT.ip(), port);
        server.handle_datagrams(&arrival(0), from(remote, first.len(), &first));
        let attempt = only_attempt(&mut server);
        let new = server.accept(&arrival(0), attempt, key, None).unwrap();
        let mut connection = new.connection;
        connection.handle_datagrams(at(0), from(remote, first.len(), &first));
        let answer = sent(&mut connection, at(0)).remove(0);
        let Ok(Packet::Protected(header)) = packet::decode(&answer, 8) else { panic!("{answer:?}") };
        ids.push(header.source);
    }
    let short = |id: usize, length: usize| [&[0x40][..], ids[id].as_bytes(), &vec![0; length - 9]].concat();
    let train = [short(0, 100), short(0, 100), short(1, 100), vec![0xff; 100], short(0, 100), short(0, 60)].concat();
    server.take_counts();
    server.handle_datagrams(&arrival(1), from(CLIENT, 100, &train));
    let runs: Vec<(usize, usize, usize)> = outputs(&mut server)
        .into_iter()
        .map(|output| match output {
            Output::Datagrams { key, datagrams } => (key, datagrams.buffer.len(), datagrams.segment_size),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(runs, [(0, 200, 100), (1, 100, 100), (0, 160, 100)]);
    let counts = server.take_counts();
    assert_eq!((counts.outcomes.connection, counts.outcomes.dropped), (5, 1));
}

#[test]
fn a_client_that_is_retried_comes_back_validated() {
    let mut server = server(Retry::Always);
    let mut endpoint = client();
    let mut connection = begin(&mut endpoint, Bytes::new());
    let first = sent(&mut connection, at(0)).remove(0);
    server.handle_datagrams(&arrival(0), from(CLIENT, first.len(), &first));
    let retry = answers(&mut server).remove(0);
    assert!(retry.len() < first.len());
    connection.handle_datagrams(at(1), from(SERVER, retry.len(), &retry));
    let second = sent(&mut connection, at(1)).remove(0);
    server.handle_datagrams(&arrival(1), from(CLIENT, second.len(), &second));
    let key = only_attempt(&mut server);
    let attempt = *server.attempt(key).unwrap();
    assert!(attempt.accepted.validated && !attempt.may_retry());
    assert_eq!(server.retry(key), Err(AlreadyValidated));
    assert!(server.accept(&arrival(1), key, 0, None).is_ok());
    let counts = server.take_counts();
    assert_eq!((counts.retries, counts.tokens[0].valid), (1, 1));
    assert_eq!(server.take_counts().tokens[0].valid, 0, "each is counted once");
}

#[test]
fn who_is_refused_hears_of_it_and_who_is_ignored_does_not() {
    let first = initial();
    for (refused, expected) in [(true, 1), (false, 0)] {
        let mut server = server(Retry::Never);
        server.handle_datagrams(&arrival(0), from(CLIENT, first.len(), &first));
        let key = only_attempt(&mut server);
        if refused {
            server.refuse(key);
        } else {
            server.ignore(key);
        }
        assert_eq!(answers(&mut server).len(), expected);
        assert_eq!((server.waiting(), server.routes()), (0, 0), "nothing is left of it");
        server.handle_datagrams(&arrival(1), from(CLIENT, first.len(), &first));
        assert!(matches!(outputs(&mut server)[..], [Output::Attempt(again)] if again != key));
    }
}

#[test]
fn a_draining_server_refuses_and_a_silent_one_says_nothing() {
    let first = initial();
    let mut server = server(Retry::Never);
    server.start_draining();
    server.handle_datagrams(&arrival(0), from(CLIENT, first.len(), &first));
    assert!(outputs(&mut server).is_empty());
    assert_eq!(answers(&mut server).len(), 1);
    server.stop_accepting();
    server.handle_datagrams(&arrival(0), from(CLIENT, first.len(), &first));
    assert!(outputs(&mut server).is_empty() && !server.wants_to_answer());
}

#[test]
fn what_waits_is_bounded_and_forgotten_when_its_client_has_given_up() {
    let mut server = server(Retry::Never);
    let first = initial();
    server.handle_datagrams(&arrival(0), from(CLIENT, first.len(), &first));
    let key = only_attempt(&mut server);
    for _ in 0..100 {
        server.handle_datagrams(&arrival(0), from(CLIENT, first.len(), &first));
    }
    assert!(server.take_counts().limit_hits[Limit::IncomingBytes as usize] > 0);
    let other = SocketAddr::new(CLIENT.ip(), 50_001);
    server.handle_datagrams(&arrival(10_001), from(other, first.len(), &first));
    assert!(server.attempt(key).is_none());
    assert_eq!(server.accept(&arrival(10_001), key, 0, None).err(), Some(AcceptError::Over));
    let later = only_attempt(&mut server);
    let kept = server.accept(&arrival(10_001), later, 0, None).unwrap();
    assert_eq!(kept.datagrams.len(), 1);
}

#[test]
fn attempts_beyond_the_bound_are_dropped() {
    let mut server = server(Retry::Never);
    let first = initial();
    for number in 0..=limits::INCOMING {
        // Each from a network of its own, so that it is not the limit of one network that is met.
        let remote = SocketAddr::from(([1 + (number / 200) as u8, (number % 200) as u8, 0, 1], 50_000));
        server.handle_datagrams(&arrival(0), from(remote, first.len(), &first));
    }
    assert_eq!((server.waiting(), outputs(&mut server).len()), (limits::INCOMING, limits::INCOMING));
    let counts = server.take_counts();
    assert_eq!(counts.drops[DropReason::Refused as usize], 1);
    assert_eq!(counts.limit_hits[Limit::Incoming as usize], 1);
}

#[test]
fn a_network_has_a_limited_number_of_attempts_but_this_machine_has_not() {
    let burst = limits::ATTEMPTS_PER_SOURCE_BURST as usize;
    for (source, expected) in [([192, 0, 2, 7], burst), ([127, 0, 0, 1], 2 * burst)] {
        let mut server = server(Retry::Never);
        let first = initial();
        for number in 0..2 * burst {
            let remote = SocketAddr::from((source, 20_000 + number as u16));
            server.handle_datagrams(&arrival(0), from(remote, first.len(), &first));
        }
        assert_eq!(server.waiting(), expected);
        let hits = server.take_counts().limit_hits[Limit::AttemptsPerSource as usize];
        assert_eq!(hits as usize, 2 * burst - expected);
    }
}

#[test]
fn answers_are_bounded_too() {
    let mut server = server(Retry::Always);
    let first = initial();
    for number in 0..100 {
        let remote = SocketAddr::from(([10, number, 0, 1], 50_000));
        server.handle_datagrams(&arrival(0), from(remote, first.len(), &first));
    }
    let counts = server.take_counts();
    assert_eq!(counts.outcomes.stateless + counts.drops[DropReason::RateLimited as usize], 100);
    assert_eq!(server.drop_answers() as u64, counts.outcomes.stateless);
    assert!(!server.wants_to_answer());
}

#[test]
fn what_belongs_to_another_shard_is_forwarded_once() {
    let mut shards: Vec<Endpoint> = (0..3).map(|number| shard(number, 3)).collect();
    let id = IdGenerator::new(&[9; 32], 2, 3).next_id();
    let datagram = [&[0x40][..], id.as_bytes(), &[0; 50]].concat();
    shards[0].handle_datagrams(&arrival(0), from(CLIENT, datagram.len(), &datagram));
    assert!(matches!(outputs(&mut shards[0])[..], [Output::Forward { shard: 2, .. }]));
    // There it belongs to nobody, and is answered; a forwarded one is never sent on.
    shards[2].handle_datagrams(&arrival(0), from(CLIENT, datagram.len(), &datagram));
    assert!(outputs(&mut shards[2]).is_empty());
    assert_eq!(answers(&mut shards[2]).len(), 1);
    let forwarded = Arrival { forwarded: true, ..arrival(0) };
    shards[1].handle_datagrams(&forwarded, from(CLIENT, datagram.len(), &datagram));
    assert!(outputs(&mut shards[1]).is_empty());
    // A new client is served where it lands.
    let first = initial();
    for shard in &mut shards {
        shard.handle_datagrams(&arrival(0), from(CLIENT, first.len(), &first));
        only_attempt(shard);
    }
}

#[test]
fn a_reset_that_names_nobody_finds_its_connection() {
    let mut endpoint = client();
    let token = codec::ResetToken([9; 16]);
    endpoint.handle_route(5, RouteChange::AddResetToken(token)).unwrap();
    let datagram = [&[0x41; 30][..], &token.0].concat();
    endpoint.handle_datagrams(&arrival(0), from(SERVER, datagram.len(), &datagram));
    assert!(matches!(outputs(&mut endpoint)[..], [Output::Reset { key: 5 }]));
    assert_eq!(endpoint.take_counts().resets_received, 1);
}

#[test]
fn a_closed_connection_is_remembered_and_a_lost_one_is_answered_with_resets() {
    let mut generator = IdGenerator::new(&[9; 32], 0, 1);
    let closed = CloseReason::LocalApplication { code: 0, reason: Bytes::new() };
    for (reason, resets) in [(closed, 0), (CloseReason::IdleTimeout, 1), (CloseReason::Internal, 1)] {
        let mut server = server(Retry::Never);
        let id = generator.next_id();
        server.handle_route(0, RouteChange::Add(id)).unwrap();
        server.handle_ended(at(0), 0, CLIENT, &reason);
        let datagram = [&[0x40][..], id.as_bytes(), &[0; 50]].concat();
        server.handle_datagrams(&arrival(1), from(CLIENT, datagram.len(), &datagram));
        assert!(outputs(&mut server).is_empty());
        assert_eq!(answers(&mut server).len(), resets, "{reason}");
        // After a while the closed one is forgotten as well. Its key may be another's by then.
        server.handle_ended(at(0), 0, CLIENT, &reason);
    }
}

#[test]
fn a_version_that_nobody_knows_is_answered_with_those_that_are_known() {
    let mut server = server(Retry::Never);
    let mut datagram = initial();
    datagram[1..5].copy_from_slice(&0x5a5a_5a5a_u32.to_be_bytes());
    server.handle_datagrams(&arrival(0), from(CLIENT, datagram.len(), &datagram));
    let answer = answers(&mut server).remove(0);
    let Ok(Packet::VersionNegotiation(packet)) = packet::decode(&answer, 8) else { panic!("{answer:?}") };
    assert!(packet.versions().any(|version| version == Version::V1));
    assert_eq!(server.take_counts().version_negotiations, 1);
}

#[test]
fn an_empty_datagram_is_dropped_and_counted() {
    let mut server = server(Retry::Never);
    server.handle_datagrams(&arrival(0), from(CLIENT, 0, &[]));
    assert!(outputs(&mut server).is_empty() && !server.wants_to_answer());
    assert_eq!(server.take_counts().drops[DropReason::TooShort as usize], 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_byte_of_arbitrary_trains_is_accounted_for(
        train in proptest::collection::vec(any::<u8>(), 0..4_000),
        segment_size in 0_usize..2_000,
    ) {
        let mut server = server(Retry::Never);
        server.handle_datagrams(&arrival(0), from(CLIENT, segment_size, &train));
        let whole = if segment_size == 0 { train.len().max(1) } else { segment_size };
        let datagrams = train.len().div_ceil(whole).max(1) as u64;
        let outcomes = server.take_counts().outcomes;
        let counted = outcomes.connection + outcomes.new_connection + outcomes.other_shard + outcomes.stateless
            + outcomes.dropped;
        prop_assert_eq!(counted, datagrams);
        prop_assert!(answers(&mut server).iter().map(Vec::len).sum::<usize>() <= train.len());
    }
}

#[test]
fn a_connection_takes_less_than_a_page() {
    // Ten thousand of them rest in a server. What only the handshake needs, or few of them, is apart.
    assert!(size_of::<Connection>() <= 4_000, "{}", size_of::<Connection>());
}
