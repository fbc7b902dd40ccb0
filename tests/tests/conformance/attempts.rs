//! Datagrams that belong to nobody: who is accepted, and what is answered (RFC 9000 §5.2.2, §8.1, §10.3).

use std::net::SocketAddr;
use std::time::Duration;

use codec::packet::PacketKind;
use codec::{Side, TransportErrorCode, Version};
use quicast_tests::pair::{CLIENT, address};
use quicast_tests::puppet::{Forged, Stage};
use quicast_tests::{Puppet, Settings};
use recovery::SpaceId;
use tls::InitialSuite;
use transport::accept::{Acceptor, Attempt, Decision, DropReason, Load, Policy, answer};
use transport::address_tokens::{AddressTokens, RetryContext, TokenKeys};
use transport::output::CloseReason;

use crate::packets::long_packet;
use crate::support::*;
use crate::versions::{UNKNOWN, encode_negotiation};

fn acceptor(always_retry: bool) -> Acceptor {
    let policy = Policy { accepts: true, versions: vec![Version::V1, Version::V2], always_retry, resets: true };
    Acceptor::new(policy, AddressTokens::new(TokenKeys::new(&[7; 32]), [1, 2]), [3, 4])
}

fn decide(acceptor: &mut Acceptor, datagram: &[u8], from: SocketAddr) -> Decision {
    let now = codec::Time::ZERO + Duration::from_secs(1);
    acceptor.decide(now, Duration::from_secs(1_800_000_000), datagram, from, &Load::default())
}

/// A client's first Initial with this token.
fn first_initial(token: &[u8], version: Version, size: usize) -> Vec<u8> {
    let mut puppet = Puppet::at(&Settings::new(1), Side::Server, Stage::Start);
    puppet.seal(&Forged { token, version: Some(version), size, ..Forged::new(SpaceId::Initial, &[1]) })
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-8.1.2
//= type=test
//# Instead, the server SHOULD immediately close ({{immediate-close}})
//# the connection with an INVALID_TOKEN error.
#[test]
fn a_bad_retry_token_is_answered_with_invalid_token() {
    let mut acceptor = acceptor(true);
    let Decision::Retry(attempt) = decide(&mut acceptor, &first_initial(&[], Version::V1, 1200), CLIENT) else {
        panic!("no Retry")
    };
    let context = RetryContext {
        version: Version::V1,
        remote: CLIENT,
        original_destination: attempt.destination,
        retry_source: attempt.destination,
        client_source: attempt.source,
    };
    let token = acceptor.tokens().keys().retry_token(&context, Duration::from_secs(1_800_000_000), [5; 12]);
    for bit in 8..token.len() * 8 {
        let mut bad = token.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let mut fresh = self::acceptor(true);
        let decision = decide(&mut fresh, &first_initial(&bad, Version::V1, 1200), CLIENT);
        assert!(matches!(decision, Decision::InvalidToken(_)), "bit {bit}: {decision:?}");
    }
    let elsewhere = decide(&mut self::acceptor(true), &first_initial(&token, Version::V1, 1200), address(9, 9, 9999));
    assert!(matches!(elsewhere, Decision::InvalidToken(_)), "{elsewhere:?}");
    let good = decide(&mut acceptor, &first_initial(&token, Version::V1, 1200), CLIENT);
    assert!(matches!(good, Decision::Accept(accepted) if accepted.validated), "{good:?}");
}

#[test]
fn a_token_that_is_not_from_here_is_treated_as_none() {
    let decision = decide(&mut acceptor(false), &first_initial(&[1, 2, 3], Version::V1, 1200), CLIENT);
    assert!(matches!(decision, Decision::Accept(accepted) if !accepted.validated), "{decision:?}");
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-5.2.2
//= type=test
//# Servers MUST drop smaller packets that specify unsupported
//# versions.
#[test]
fn unknown_versions_are_answered_if_they_are_large_enough() {
    let unknown = |size: usize| {
        let mut packet = first_initial(&[], Version::V1, 1200);
        packet[1..5].copy_from_slice(&UNKNOWN.0.to_be_bytes());
        packet.resize(size, 0);
        packet
    };
    assert_eq!(decide(&mut acceptor(false), &unknown(1200), CLIENT), Decision::VersionNegotiation);
    let small = decide(&mut acceptor(false), &unknown(1199), CLIENT);
    assert_eq!(small, Decision::Drop(DropReason::UnsupportedVersion));
    //= https://www.rfc-editor.org/rfc/rfc9000#section-6.1
    //= type=test
    //# An endpoint MUST NOT
    //# send a Version Negotiation packet in response to receiving a Version Negotiation
    //# packet.
    let mut answer = encode_negotiation(&[1; 8], &[2; 8], &[UNKNOWN]);
    answer.resize(1200, 0);
    assert_eq!(decide(&mut acceptor(false), &answer, CLIENT), Decision::Drop(DropReason::UnsupportedVersion));
}

#[test]
fn what_no_client_may_begin_with_is_dropped() {
    let puppet = puppet(Side::Server, Stage::Start);
    for kind in [PacketKind::Handshake, PacketKind::ZeroRtt] {
        let decision = decide(&mut acceptor(false), &long_packet(&puppet, kind, 1200), CLIENT);
        assert_eq!(decision, Decision::Drop(DropReason::UnknownConnectionId), "{kind:?}");
    }
    let small = decide(&mut acceptor(false), &first_initial(&[], Version::V1, 1199), CLIENT);
    assert_eq!(small, Decision::Drop(DropReason::InitialTooSmall));
    assert_eq!(decide(&mut acceptor(false), &[], CLIENT), Decision::Drop(DropReason::TooShort));
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-5.2.2
//= type=test
//# If a server refuses to accept a new connection, it SHOULD send an Initial packet
//# containing a CONNECTION_CLOSE frame with error code CONNECTION_REFUSED.
#[test]
fn a_server_that_is_being_stopped_refuses_and_a_client_hears_it() {
    let mut puppet = puppet(Side::Client, Stage::Start);
    let original = puppet.victim().connection.original_destination().unwrap();
    let datagram = {
        let mut first = puppet_of_server();
        first.seal(&Forged { destination: Some(original), ..Forged::new(SpaceId::Initial, &[1]) })
    };
    let load = Load { draining: true, ..Load::default() };
    let now = codec::Time::ZERO + Duration::from_secs(1);
    let decision = acceptor(false).decide(now, Duration::from_secs(1_800_000_000), &datagram, CLIENT, &load);
    let Decision::Refuse(attempt) = decision else { panic!("{decision:?}") };
    // The client is whoever sent it: the victim.
    let attempt = Attempt { source: puppet.destination, ..attempt };
    let suite = InitialSuite::of_server(&Settings::new(1).server_tls);
    let mut out = [0; 1500];
    let source = codec::ConnectionId::new(&[9; 8]).unwrap();
    let length = answer::close(&attempt, source, suite, TransportErrorCode::CONNECTION_REFUSED, &mut out).unwrap();
    puppet.send(out[..length].to_vec());
    let reason = puppet.victim().close_reason().cloned();
    let refused =
        matches!(reason, Some(CloseReason::PeerTransport { code: TransportErrorCode::CONNECTION_REFUSED, .. }));
    assert!(refused, "{reason:?}");
}

fn puppet_of_server() -> Puppet {
    puppet(Side::Server, Stage::Start)
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-10.3
//= type=test
//# An endpoint MUST NOT send a Stateless Reset that is three times or more larger
//# than the packet it receives to avoid being used for amplification.
#[test]
fn an_unknown_short_packet_is_answered_with_a_shorter_reset_or_not_at_all() {
    let puppet = puppet(Side::Server, Stage::Start);
    for size in 0..200 {
        let mut packet = long_packet(&puppet, PacketKind::OneRtt, size.max(30));
        packet.truncate(size);
        match decide(&mut acceptor(false), &packet, CLIENT) {
            Decision::StatelessReset(id) => {
                let mut out = [0; 1500];
                let length = puppet.victim_host.reset_key().write(&id, size, &[9; 27], &mut out);
                assert!(length.is_none_or(|length| length < size), "{length:?} in answer to {size}");
            }
            Decision::Drop(DropReason::TooShort) => assert!(size <= 43, "{size}"),
            other => panic!("{size}: {other:?}"),
        }
    }
}
