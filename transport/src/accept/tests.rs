use codec::cursor::Writer;
use codec::packet::Header;
use codec::{Side, TransportErrorCode};
use proptest::prelude::*;
use tls::{InitialSuite, KeyRing, Level};

use super::*;
use crate::address_tokens::{RetryContext, TokenKeys};
use crate::version_negotiation;

const WALL: Duration = Duration::from_secs(1_800_000_000);

fn acceptor() -> Acceptor {
    let policy = Policy { accepts: true, versions: vec![Version::V1, Version::V2], always_retry: false, resets: true };
    Acceptor::new(policy, AddressTokens::new(keys(), [1, 2]), [3, 4])
}

fn keys() -> TokenKeys {
    TokenKeys::new(&[7; 32])
}

fn id(byte: u8, length: usize) -> ConnectionId {
    ConnectionId::new(&vec![byte; length]).unwrap()
}

fn client() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 50_000))
}

fn attempt() -> Attempt {
    Attempt { version: Version::V1, destination: id(1, 8), source: id(2, 4), remote: client() }
}

fn initial_to(attempt: &Attempt, token: &[u8], length: usize) -> Vec<u8> {
    let mut datagram = vec![0; length.max(300)];
    let mut writer = Writer::new(&mut datagram);
    let header =
        Header::Initial { version: attempt.version, destination: attempt.destination, source: attempt.source, token };
    let written = header.encode(&mut writer, 0, 1).unwrap();
    datagram.truncate(length);
    written.finish(&mut datagram, length);
    datagram
}

fn decide(acceptor: &mut Acceptor, datagram: &[u8], load: &Load) -> Decision {
    acceptor.decide(Time::ZERO, WALL, datagram, client(), load)
}

fn idle(acceptor: &mut Acceptor, datagram: &[u8]) -> Decision {
    decide(acceptor, datagram, &Load::default())
}

fn retry_token(attempt: &Attempt, retry_source: ConnectionId) -> Vec<u8> {
    let context = RetryContext {
        version: attempt.version,
        remote: attempt.remote,
        original_destination: attempt.destination,
        retry_source,
        client_source: attempt.source,
    };
    keys().retry_token(&context, WALL, [9; 12])
}

#[test]
fn an_initial_of_1200_bytes_begins_a_connection() {
    let expected = Accepted {
        attempt: attempt(),
        original_destination: attempt().destination,
        retry_source: None,
        validated: false,
    };
    let decision = idle(&mut acceptor(), &initial_to(&attempt(), &[], 1200));
    assert_eq!(decision, Decision::Accept(expected));
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-14.1
//= type=test
//# A server MUST discard an Initial packet that is carried in a UDP datagram with a
//# payload that is smaller than the smallest allowed maximum datagram size of 1200
//# bytes.
#[test]
fn an_initial_in_1199_bytes_is_dropped() {
    let decision = idle(&mut acceptor(), &initial_to(&attempt(), &[], 1199));
    assert_eq!(decision, Decision::Drop(DropReason::InitialTooSmall));
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-7.2
//= type=test
//# This Destination Connection ID
//# MUST be at least 8 bytes in length.
#[test]
fn a_made_up_destination_of_seven_bytes_is_dropped() {
    let short = Attempt { destination: id(1, 7), ..attempt() };
    assert_eq!(idle(&mut acceptor(), &initial_to(&short, &[], 1200)), Decision::Drop(DropReason::Malformed));
}

#[test]
fn other_long_headers_of_nobody_are_dropped() {
    for header in [
        Header::Handshake { version: Version::V1, destination: id(1, 8), source: id(2, 4) },
        Header::ZeroRtt { version: Version::V2, destination: id(1, 8), source: id(2, 4) },
    ] {
        let mut datagram = vec![0; 1200];
        let written = header.encode(&mut Writer::new(&mut datagram), 0, 1).unwrap();
        written.finish(&mut datagram, 1200);
        let decision = idle(&mut acceptor(), &datagram);
        assert_eq!(decision, Decision::Drop(DropReason::UnknownConnectionId));
    }
}

#[test]
fn what_is_no_packet_is_dropped() {
    let mut acceptor = acceptor();
    assert_eq!(idle(&mut acceptor, &[]), Decision::Drop(DropReason::TooShort));
    assert_eq!(idle(&mut acceptor, &[0x40; 8]), Decision::Drop(DropReason::TooShort));
    assert_eq!(idle(&mut acceptor, &[0xc0; 4]), Decision::Drop(DropReason::TooShort));
    assert_eq!(idle(&mut acceptor, &[0x00; 1200]), Decision::Drop(DropReason::Malformed));
    let mut without_fixed_bit = initial_to(&attempt(), &[], 1200);
    without_fixed_bit[0] &= !0x40;
    assert_eq!(idle(&mut acceptor, &without_fixed_bit), Decision::Drop(DropReason::Malformed));
}

#[test]
fn a_socket_of_clients_accepts_nobody() {
    let mut acceptor = acceptor();
    acceptor.policy_mut().accepts = false;
    for datagram in [initial_to(&attempt(), &[], 1200), unknown_version(Version(0xface_b00c), 1200)] {
        assert_eq!(idle(&mut acceptor, &datagram), Decision::Drop(DropReason::UnknownConnectionId));
    }
}

fn unknown_version(version: Version, length: usize) -> Vec<u8> {
    let mut datagram = vec![0; length];
    datagram[0] = 0xc0;
    datagram[1..5].copy_from_slice(&version.0.to_be_bytes());
    datagram[5] = 9;
    datagram
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-5.2.2
//= type=test
//# Servers MUST drop smaller packets that specify unsupported
//# versions.
#[test]
fn an_unknown_version_is_answered_if_the_datagram_is_large() {
    let mut acceptor = acceptor();
    let unknown = Version(0xface_b00c);
    assert_eq!(idle(&mut acceptor, &unknown_version(unknown, 1200)), Decision::VersionNegotiation);
    assert_eq!(idle(&mut acceptor, &unknown_version(Version::grease(1), 1200)), Decision::VersionNegotiation);
    let small = idle(&mut acceptor, &unknown_version(unknown, 1199));
    assert_eq!(small, Decision::Drop(DropReason::UnsupportedVersion));
}

#[test]
fn a_version_that_is_not_offered_is_unknown() {
    let mut acceptor = acceptor();
    acceptor.policy_mut().versions = vec![Version::V1];
    let second = Attempt { version: Version::V2, ..attempt() };
    assert_eq!(idle(&mut acceptor, &initial_to(&second, &[], 1200)), Decision::VersionNegotiation);
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-6.1
//= type=test
//# An endpoint MUST NOT
//# send a Version Negotiation packet in response to receiving a Version Negotiation
//# packet.
#[test]
fn a_version_negotiation_packet_is_met_with_silence() {
    let mut out = [0; 1500];
    let length = version_negotiation::write(&[1; 8], &[2; 8], &[Version(5); 4], 3, &mut out).unwrap();
    for length in [length, 1200] {
        let decision = idle(&mut acceptor(), &out[..length]);
        assert_eq!(decision, Decision::Drop(DropReason::UnsupportedVersion));
    }
}

#[test]
fn version_negotiation_is_limited_to_so_many_in_a_second() {
    let mut acceptor = acceptor();
    let datagram = unknown_version(Version(0xface_b00c), 1200);
    let answered = (0..1000).filter(|_| idle(&mut acceptor, &datagram) == Decision::VersionNegotiation).count();
    assert_eq!(answered, limits::VERSION_NEGOTIATIONS_PER_SECOND as usize);
    assert_eq!(idle(&mut acceptor, &datagram), Decision::Drop(DropReason::RateLimited));
}

#[test]
fn a_short_header_of_nobody_is_reset_if_the_reset_can_be_smaller() {
    let mut acceptor = acceptor();
    assert_eq!(idle(&mut acceptor, &[0x41; 43]), Decision::StatelessReset(id(0x41, 8)));
    assert_eq!(idle(&mut acceptor, &[0x41; 22]), Decision::StatelessReset(id(0x41, 8)));
    assert_eq!(idle(&mut acceptor, &[0x41; 21]), Decision::Drop(DropReason::TooShort));
}

#[test]
fn resets_are_limited_and_can_be_switched_off() {
    let mut acceptor = acceptor();
    let answered = (0..1000).filter(|_| idle(&mut acceptor, &[0x41; 43]) != Decision::Drop(DropReason::RateLimited));
    assert_eq!(answered.count(), limits::STATELESS_RESETS_PER_SECOND as usize);
    acceptor.policy_mut().resets = false;
    assert_eq!(idle(&mut acceptor, &[0x41; 43]), Decision::Drop(DropReason::UnknownConnectionId));
}

#[test]
fn ports_of_reflectors_are_not_answered_whatever_they_send() {
    for port in [0, 19, 53, 123, 1900, 11211] {
        let remote = SocketAddr::from(([192, 0, 2, 1], port));
        for datagram in [initial_to(&attempt(), &[], 1200), unknown_version(Version(5), 1200), vec![0x41; 43]] {
            let decision = acceptor().decide(Time::ZERO, WALL, &datagram, remote, &Load::default());
            assert_eq!(decision, Decision::Drop(DropReason::Blocked));
        }
    }
}

#[test]
fn each_stage_of_load_begins_at_its_bound() {
    let initial = initial_to(&attempt(), &[], 1200);
    let nothing = Load::default();
    let name = |decision| match decision {
        Decision::Accept(_) => "accept",
        Decision::Retry(_) => "retry",
        Decision::Drop(reason) => reason.as_str(),
        other => panic!("{other:?}"),
    };
    for (load, expected) in [
        (Load { unvalidated: 999, handshakes: 3999, waiting: 1023, ..nothing }, "accept"),
        (Load { unvalidated: 1000, ..nothing }, "retry"),
        (Load { backlog: Duration::from_millis(50), ..nothing }, "accept"),
        (Load { backlog: Duration::from_millis(51), ..nothing }, "retry"),
        (Load { backlog: Duration::from_millis(250), ..nothing }, "retry"),
        (Load { backlog: Duration::from_millis(251), ..nothing }, "refused"),
        (Load { handshakes: 4000, ..nothing }, "refused"),
        (Load { handshakes: 4000, unvalidated: 4000, draining: true, ..nothing }, "refused"),
        (Load { waiting: 1024, ..nothing }, "refused"),
        (Load { handshakes: usize::MAX, ..nothing }, "refused"),
    ] {
        assert_eq!(name(decide(&mut acceptor(), &initial, &load)), expected, "{load:?}");
    }
}

#[test]
fn retry_stays_until_the_load_is_half() {
    let initial = initial_to(&attempt(), &[], 1200);
    let mut acceptor = acceptor();
    let mut at = |unvalidated| decide(&mut acceptor, &initial, &Load { unvalidated, ..Load::default() });
    assert!(matches!(at(999), Decision::Accept(_)));
    assert!(matches!(at(1000), Decision::Retry(_)));
    assert!(matches!(at(500), Decision::Retry(_)));
    assert!(matches!(at(499), Decision::Accept(_)));
    assert!(matches!(at(999), Decision::Accept(_)));
}

#[test]
fn a_policy_of_retry_asks_everybody() {
    let mut acceptor = acceptor();
    acceptor.policy_mut().always_retry = true;
    assert_eq!(idle(&mut acceptor, &initial_to(&attempt(), &[], 1200)), Decision::Retry(attempt()));
}

#[test]
fn a_client_that_obeyed_a_retry_is_accepted_even_under_load() {
    let second = Attempt { destination: id(5, 8), ..attempt() };
    let initial = initial_to(&second, &retry_token(&attempt(), second.destination), 1200);
    let busy = Load { unvalidated: 3000, handshakes: 3000, ..Load::default() };
    let expected = Accepted {
        attempt: second,
        original_destination: attempt().destination,
        retry_source: Some(second.destination),
        validated: true,
    };
    let mut acceptor = acceptor();
    assert_eq!(decide(&mut acceptor, &initial, &busy), Decision::Accept(expected));
    assert_eq!(acceptor.token_counts(TokenKind::Retry).valid, 1);
    // The same again is a replay; a client never gets a second Retry.
    assert_eq!(decide(&mut acceptor, &initial, &busy), Decision::InvalidToken(second));
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-8.1.2
//= type=test
//# Instead, the server SHOULD immediately close (Section 10.2)
//# the connection with an INVALID_TOKEN error.
#[test]
fn an_invalid_retry_token_closes_and_an_invalid_new_token_counts_as_none() {
    let mut acceptor = acceptor();
    let mut token = retry_token(&attempt(), id(5, 8));
    let last = token.len() - 1;
    token[last] ^= 1;
    let second = Attempt { destination: id(5, 8), ..attempt() };
    assert_eq!(idle(&mut acceptor, &initial_to(&second, &token, 1200)), Decision::InvalidToken(second));

    let mut token = keys().new_token(Version::V1, client().ip(), WALL, [1; 12]);
    let accepted = |decision| match decision {
        Decision::Accept(accepted) => accepted.validated,
        other => panic!("{other:?}"),
    };
    assert!(accepted(idle(&mut acceptor, &initial_to(&attempt(), &token, 1200))));
    assert!(!accepted(idle(&mut acceptor, &initial_to(&attempt(), &token, 1200))), "used before");
    token[20] ^= 1;
    assert!(!accepted(idle(&mut acceptor, &initial_to(&attempt(), &token, 1200))), "changed");
    assert!(!accepted(idle(&mut acceptor, &initial_to(&attempt(), &[1; 200], 1200))), "of another server");
    let busy = Load { unvalidated: 1000, ..Load::default() };
    assert_eq!(decide(&mut acceptor, &initial_to(&attempt(), &token, 1200), &busy), Decision::Retry(attempt()));
    let counts = acceptor.token_counts(TokenKind::NewToken);
    assert_eq!((counts.valid, counts.invalid[TokenFault::Reused as usize]), (1, 1));
}

#[test]
fn a_network_that_begins_too_often_is_not_heard_unless_it_obeyed_a_retry() {
    let mut acceptor = acceptor();
    let initial = initial_to(&attempt(), &[], 1200);
    let accepted = (0..1000).filter(|_| matches!(idle(&mut acceptor, &initial), Decision::Accept(_))).count();
    assert_eq!(accepted, limits::ATTEMPTS_PER_SOURCE_BURST as usize);
    assert_eq!(idle(&mut acceptor, &initial), Decision::Drop(DropReason::RateLimited));
    let second = Attempt { destination: id(5, 8), ..attempt() };
    let mut token = retry_token(&attempt(), second.destination);
    assert!(matches!(idle(&mut acceptor, &initial_to(&second, &token, 1200)), Decision::Accept(_)));
    token[30] ^= 1;
    let forged = idle(&mut acceptor, &initial_to(&second, &token, 1200));
    assert_eq!(forged, Decision::Drop(DropReason::RateLimited));
    let other = SocketAddr::from(([198, 51, 100, 1], 50_000));
    let decision = acceptor.decide(Time::ZERO, WALL, &initial, other, &Load::default());
    assert!(matches!(decision, Decision::Accept(_)));
}

#[test]
fn a_server_that_stops_refuses_until_that_too_is_too_much() {
    let mut acceptor = acceptor();
    let stopping = Load { draining: true, ..Load::default() };
    let initial = initial_to(&attempt(), &[], 1200);
    let refused = (0..150).filter(|_| decide(&mut acceptor, &initial, &stopping) == Decision::Refuse(attempt()));
    assert_eq!(refused.count(), limits::REFUSALS_PER_SECOND as usize);
    assert_eq!(decide(&mut acceptor, &initial, &stopping), Decision::Drop(DropReason::Draining));
}

#[test]
fn a_flood_of_spoofed_initials_is_bounded_by_the_sources_table() {
    let mut acceptor = acceptor();
    let initial = initial_to(&attempt(), &[], 1200);
    let mut accepted = 0;
    for number in 0..100_000_u32 {
        let remote = SocketAddr::from((std::net::Ipv4Addr::from(number.wrapping_mul(2_654_435_761)), 50_000));
        let load = Load { handshakes: accepted, unvalidated: accepted, ..Load::default() };
        match acceptor.decide(Time::ZERO, WALL, &initial, remote, &load) {
            Decision::Accept(_) => accepted += 1,
            Decision::Retry(_) | Decision::Drop(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(accepted, limits::HANDSHAKES_BEFORE_RETRY);
}

#[test]
fn a_retry_is_one_that_the_client_accepts_and_can_answer() {
    let mut out = [0; 1200];
    let source = id(5, 8);
    for version in [Version::V1, Version::V2] {
        let first = Attempt { version, ..attempt() };
        let length = answer::retry(&first, source, &keys(), WALL, [9; 12], &mut out).unwrap();
        assert!(length < SMALLEST_INITIAL_DATAGRAM);
        let Ok(Packet::Retry(retry)) = packet::decode(&out[..length], 8) else { panic!("a Retry was written") };
        assert_eq!((retry.version, retry.destination, retry.source), (version, first.source, source));
        assert!(tls::retry::verify(version, &first.destination, retry.covered, &retry.integrity_tag));
        let second = Attempt { destination: retry.source, ..first };
        let decision = idle(&mut acceptor(), &initial_to(&second, retry.token, 1200));
        let Decision::Accept(accepted) = decision else { panic!("{decision:?}") };
        assert_eq!(accepted.original_destination, first.destination);
        assert_eq!(accepted.retry_source, Some(source));
    }
    assert!(answer::retry(&attempt(), attempt().destination, &keys(), WALL, [9; 12], &mut out).is_none());
    assert!(answer::retry(&attempt(), source, &keys(), WALL, [9; 12], &mut [0; 100]).is_none());
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-5.2.2
//= type=test
//# If a server refuses to accept a new connection, it SHOULD send an Initial packet
//# containing a CONNECTION_CLOSE frame with error code CONNECTION_REFUSED.
#[test]
fn a_refusal_is_an_initial_that_the_client_can_open() {
    for (version, code) in
        [(Version::V1, TransportErrorCode::CONNECTION_REFUSED), (Version::V2, TransportErrorCode::INVALID_TOKEN)]
    {
        let attempt = Attempt { version, ..attempt() };
        let mut out = [0; 1200];
        let length = answer::close(&attempt, id(5, 8), InitialSuite::default(), code, &mut out).unwrap();
        let datagram = &mut out[..length];
        let Ok(Packet::Protected(header)) = packet::decode(datagram, 4) else { panic!("an Initial was written") };
        assert_eq!((header.kind, header.end), (PacketKind::Initial, length));
        assert_eq!((header.destination, header.source), (attempt.source, id(5, 8)));
        let mut keys = KeyRing::new(Side::Client, version, &attempt.destination);
        let opened = keys.open(Level::Initial, datagram, header.packet_number_offset, 0, Time::ZERO).unwrap();
        let frames: Vec<_> = codec::frame::iter(&datagram[opened.payload()]).map(Result::unwrap).collect();
        assert!(
            matches!(frames[..], [codec::frame::Frame::ConnectionClose(close)] if close.code == code),
            "{frames:?}"
        );
        assert!(answer::close(&attempt, id(5, 8), InitialSuite::default(), code, &mut [0; 40]).is_none());
    }
}

#[test]
fn drop_reasons_are_the_labels_of_the_metric() {
    let labels = DropReason::ALL.map(DropReason::as_str).join("|");
    assert_eq!(
        labels,
        "too_short|unknown_cid|unsupported_version|initial_too_small|mailbox_full|rate_limited|refused|malformed|blocked|draining"
    );
    assert!(DropReason::ALL.into_iter().enumerate().all(|(index, reason)| reason as usize == index));
}

proptest! {
    #[test]
    fn any_bytes_get_a_decision(datagram in proptest::collection::vec(any::<u8>(), 0..1500), port: u16) {
        let remote = SocketAddr::from(([192, 0, 2, 1], port));
        let decision = acceptor().decide(Time::ZERO, WALL, &datagram, remote, &Load::default());
        if datagram.len() < SMALLEST_INITIAL_DATAGRAM {
            prop_assert!(matches!(decision, Decision::Drop(_) | Decision::StatelessReset(_)));
        }
    }
}
