//! TLS messages and CRYPTO frames (RFC 9001 §4, §6, §8; RFC 9000 §7.5, §19.6).

use std::sync::Arc;
use std::time::Duration;

use codec::frame::{Crypto, Frame};
use codec::packet::PacketKind;
use codec::{Side, TransportErrorCode};
use quicast_tests::puppet::{Forged, Stage};
use quicast_tests::{Puppet, Settings, credentials};
use recovery::SpaceId;
use transport::connection::State;
use transport::limits;
use transport::output::CloseReason;
use transport::stats::PacketDrop;

use crate::impostor::Impostor;
use crate::support::*;

/// Alerts of TLS (RFC 8446 §6).
const UNEXPECTED_MESSAGE: TransportErrorCode = TransportErrorCode::crypto(10);
const MISSING_EXTENSION: TransportErrorCode = TransportErrorCode::crypto(109);
const NO_APPLICATION_PROTOCOL: TransportErrorCode = TransportErrorCode::crypto(120);
const DECODE_ERROR: TransportErrorCode = TransportErrorCode::crypto(50);

/// A whole TLS message.
pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    join(&[&[kind], &(body.len() as u32).to_be_bytes()[1..], body])
}

fn key_update() -> Vec<u8> {
    message(24, &[0])
}

/// Says the next CRYPTO bytes of a space.
pub(crate) fn say_crypto(puppet: &mut Puppet, space: SpaceId, data: &[u8]) {
    let offset = puppet.crypto_offset(space);
    puppet.say(space, &[Frame::Crypto(Crypto { offset, data })]);
}

/// Says these CRYPTO bytes and expects the code.
#[track_caller]
fn refused(victim: Side, stage: Stage, space: SpaceId, data: &[u8], code: TransportErrorCode) {
    let mut puppet = puppet(victim, stage);
    say_crypto(&mut puppet, space, data);
    assert_closed(&mut puppet, code);
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-6
//= type=test
//# Endpoints MUST treat the receipt of a TLS KeyUpdate
//# message as a connection error of type 0x010a, equivalent to a
//# fatal TLS alert of unexpected_message
#[test]
fn a_tls_key_update_is_an_unexpected_message() {
    for victim in SIDES {
        refused(victim, Stage::Handshake, SpaceId::Handshake, &key_update(), UNEXPECTED_MESSAGE);
        refused(victim, Stage::Complete, SpaceId::Application, &key_update(), UNEXPECTED_MESSAGE);
        refused(victim, Stage::Established, SpaceId::Application, &key_update(), UNEXPECTED_MESSAGE);
    }
}

#[test]
fn end_of_early_data_is_an_unexpected_message() {
    for victim in SIDES {
        refused(victim, Stage::Handshake, SpaceId::Handshake, &message(5, &[]), UNEXPECTED_MESSAGE);
        refused(victim, Stage::Established, SpaceId::Application, &message(5, &[]), UNEXPECTED_MESSAGE);
    }
}

#[test]
fn messages_of_the_handshake_are_unexpected_after_it() {
    let hello = impostor(Side::Server).flight.swap_remove(0).1;
    for late in [
        hello,
        // EncryptedExtensions, Certificate, CertificateVerify, Finished, each well-formed.
        message(8, &[0, 0]),
        message(11, &[0, 0, 0, 0]),
        message(15, &[8, 7, 0, 4, 1, 2, 3, 4]),
        message(20, &[7; 32]),
    ] {
        for victim in SIDES {
            refused(victim, Stage::Established, SpaceId::Application, &late, UNEXPECTED_MESSAGE);
        }
    }
}

#[test]
fn a_message_that_is_not_next_is_unexpected_in_the_handshake() {
    // A client expects EncryptedExtensions now, a server Finished.
    for kind in [11, 15] {
        for victim in SIDES {
            refused(victim, Stage::Handshake, SpaceId::Handshake, &message(kind, &[0; 4]), UNEXPECTED_MESSAGE);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-4.4
//= type=test
//# servers MUST NOT send post-handshake TLS CertificateRequest messages, and
//# clients MUST treat receipt of such messages as a connection error of type
//# PROTOCOL_VIOLATION.
#[test]
fn a_certificate_request_after_the_handshake_is_a_violation() {
    for stage in [Stage::Complete, Stage::Established] {
        let request = message(13, &[0, 0, 0]);
        refused(Side::Client, stage, SpaceId::Application, &request, TransportErrorCode::PROTOCOL_VIOLATION);
    }
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-4.6.1
//= type=test
//# A client MUST treat receipt of a
//# NewSessionTicket that contains an early_data extension with any other value as
//# a connection error of type PROTOCOL_VIOLATION.
#[test]
fn a_ticket_that_limits_early_data_is_a_violation() {
    for size in [0_u32, 1, 16_384, u32::MAX - 1] {
        let extension = join(&[&[0, 8, 0, 42, 0, 4], &size.to_be_bytes()]);
        let ticket = message(4, &join(&[&[0, 0, 1, 0], &[0; 4], &[1, 7], &[0, 3, 1, 2, 3], &extension]));
        refused(
            Side::Client,
            Stage::Established,
            SpaceId::Application,
            &ticket,
            TransportErrorCode::PROTOCOL_VIOLATION,
        );
    }
}

#[test]
fn a_ticket_to_a_server_is_an_unexpected_message() {
    let ticket = message(4, &join(&[&[0, 0, 1, 0], &[0; 4], &[1, 7], &[0, 3, 1, 2, 3], &[0, 0]]));
    refused(Side::Server, Stage::Established, SpaceId::Application, &ticket, UNEXPECTED_MESSAGE);
}

#[test]
fn a_message_of_more_than_tls_takes_is_malformed() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Handshake);
        say_crypto(&mut puppet, SpaceId::Handshake, &[11, 0x01, 0, 0]);
        assert_closed(&mut puppet, DECODE_ERROR);
    }
}

// ── Extensions ───────────────────────────────────────────────────────────────────────────────────────────────────

pub(crate) fn impostor(victim: Side) -> Impostor {
    Impostor::new(&Settings::new(1), victim, |_| {})
}

/// Says the changed first flight, as far as the message with the extensions, and expects the code.
#[track_caller]
fn refuses_extensions(victim: Side, code: TransportErrorCode, change: impl FnOnce(&mut Vec<(u16, Vec<u8>)>)) {
    let mut impostor = impostor(victim).edit(change);
    if victim.is_client() {
        impostor.keep_encrypted_extensions();
    }
    let mut puppet = impostor.say();
    assert_closed(&mut puppet, code);
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-8.2
//= type=test
//# endpoints that receive ClientHello or
//# EncryptedExtensions messages without the quic_transport_parameters extension
//# MUST close the connection with an error of type 0x016d
#[test]
fn transport_parameters_that_are_missing_are_a_missing_extension() {
    for victim in SIDES {
        refuses_extensions(victim, MISSING_EXTENSION, |extensions| extensions.retain(|(id, _)| *id != 0x39));
    }
}

#[test]
fn transport_parameters_of_the_drafts_alone_are_a_missing_extension() {
    refuses_extensions(Side::Server, MISSING_EXTENSION, |extensions| {
        for (id, _) in extensions.iter_mut().filter(|(id, _)| *id == 0x39) {
            *id = 0xffa5;
        }
    });
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-8.1
//= type=test
//# When using ALPN, endpoints MUST immediately close a connection
//# (see {{Section 10.2 of QUIC-TRANSPORT}}) with a no_application_protocol TLS alert
//# (QUIC error code 0x0178; see {{tls-errors}}) if an application protocol is not
//# negotiated.
#[test]
fn a_server_closes_if_no_protocol_is_common() {
    let mut settings = Settings::new(1);
    let tls = tls::development::client_config(credentials().chain(), &[b"dummy"]).unwrap();
    settings.client_tls = Arc::new(tls);
    let mut puppet = Impostor::new(&settings, Side::Server, |_| {}).say();
    assert_closed(&mut puppet, NO_APPLICATION_PROTOCOL);
}

#[test]
fn a_hello_without_protocols_is_closed_for_that() {
    for victim in SIDES {
        refuses_extensions(victim, NO_APPLICATION_PROTOCOL, |extensions| extensions.retain(|(id, _)| *id != 16));
    }
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-8.4
//= type=test
//# A
//# server SHOULD treat the receipt of a TLS ClientHello with a non-empty
//# legacy_session_id field as a connection error of type PROTOCOL_VIOLATION.
#[test]
fn a_session_id_in_the_client_hello_is_a_violation() {
    for length in [1_usize, 32] {
        let mut impostor = impostor(Side::Server);
        impostor.edit_message(1, |body| {
            body.splice(34..35, [length as u8].into_iter().chain(vec![7; length]));
        });
        let mut puppet = impostor.say();
        assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
    }
}

#[test]
fn a_client_hello_without_version_13_is_refused_by_tls() {
    let mut puppet = impostor(Side::Server).edit(|extensions| extensions.retain(|(id, _)| *id != 43)).say();
    let code = puppet.close_code().unwrap();
    assert_eq!(code, TransportErrorCode::crypto(70).to_string(), "protocol_version");
}

#[test]
fn a_certificate_that_nobody_vouches_for_closes_with_a_tls_alert() {
    let mut settings = Settings::new(1);
    let key = tls::development::certificate(&["localhost"], tls::pki_types::UnixTime::now()).unwrap();
    settings.server_tls = Arc::new(tls::development::server_config(&key, &[b"bench"]).unwrap());
    let mut puppet = Impostor::new(&settings, Side::Client, |_| {}).say();
    let code = match puppet.victim().close_reason() {
        Some(CloseReason::LocalTransport { error, .. }) => error.code,
        other => panic!("{other:?}"),
    };
    // unknown_ca
    assert_closed(&mut puppet, code);
    assert_eq!(code, TransportErrorCode::crypto(48));
}

// ── Packets before their keys, and after ─────────────────────────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc9001#section-5.7
//= type=test
//# A server MUST NOT process incoming 1-RTT protected
//# packets before the TLS handshake is complete.
#[test]
fn application_packets_wait_for_the_end_of_the_handshake() {
    let mut puppet = puppet(Side::Server, Stage::Handshake);
    assert!(puppet.keys.can_seal(tls::Level::OneRtt), "the puppet is ahead of the server");
    puppet.say(SpaceId::Application, &[Frame::HandshakeDone]);
    puppet.say_bytes(SpaceId::Application, &[0x20]);
    assert_eq!(puppet.victim().ending(), "open");
    assert_eq!(puppet.victim().connection.state(), State::Handshaking);
    // Once the handshake is complete they are read, and the first breaks a rule.
    puppet.finish_handshake();
    assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
}

#[test]
fn packets_before_their_keys_are_kept_to_a_bound_and_then_dropped() {
    let mut puppet = puppet(Side::Server, Stage::Handshake);
    for _ in 0..limits::EARLY_PACKETS {
        puppet.say(SpaceId::Application, &[Frame::Ping]);
    }
    assert_eq!(dropped(&mut puppet, PacketDrop::KeysUnavailable), 0);
    drops(&mut puppet, PacketDrop::KeysUnavailable, |puppet| {
        for _ in 0..100 {
            puppet.say(SpaceId::Application, &[Frame::Ping]);
        }
    });
    let hits = puppet.victim().stats.limit_hits[limits::Limit::EarlyPackets as usize];
    assert_eq!(hits, 100);
    puppet.finish_handshake();
    puppet.acknowledge_all();
    let acknowledged: Vec<_> = puppet
        .heard_frames(SpaceId::Application)
        .filter_map(|frame| match frame {
            Frame::Ack(ack) => Some(ack.ranges().last()?.start().to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(acknowledged.iter().min(), Some(&0), "the kept packets are acknowledged");
}

#[test]
fn a_large_packet_before_its_keys_counts_by_its_bytes() {
    let mut puppet = puppet(Side::Server, Stage::Handshake);
    let large = vec![0; 6_000];
    for _ in 0..2 {
        puppet.say_bytes(SpaceId::Application, &large);
    }
    assert_eq!(dropped(&mut puppet, PacketDrop::KeysUnavailable), 0);
    drops(&mut puppet, PacketDrop::KeysUnavailable, |puppet| puppet.say_bytes(SpaceId::Application, &large));
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-4.9.1
//= type=test
//# a server MUST discard Initial keys when it first
//# successfully processes a Handshake packet.
#[test]
fn packets_of_levels_whose_keys_are_gone_are_dropped() {
    let mut early = puppet(Side::Server, Stage::Handshake);
    early.say(SpaceId::Handshake, &[Frame::Ping]);
    drops(&mut early, PacketDrop::KeysUnavailable, |puppet| puppet.say_bytes(SpaceId::Initial, &[0x20]));
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        for space in [SpaceId::Initial, SpaceId::Handshake] {
            drops(&mut puppet, PacketDrop::KeysUnavailable, |puppet| puppet.say_bytes(space, &[0x20]));
        }
    }
}

#[test]
fn zero_rtt_packets_without_early_data_are_dropped() {
    for victim in SIDES {
        for stage in [Stage::Handshake, Stage::Established] {
            let mut puppet = puppet(victim, stage);
            drops(&mut puppet, PacketDrop::KeysUnavailable, |puppet| {
                let packet = crate::packets::long_packet(puppet, PacketKind::ZeroRtt, 1200);
                puppet.send(packet);
            });
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc9001#section-4.1.2
//= type=test
//# The server MUST send a HANDSHAKE_DONE
//# frame as soon as the handshake is complete.
#[test]
fn a_server_confirms_as_soon_as_it_is_complete() {
    let puppet = puppet(Side::Server, Stage::Complete);
    assert!(puppet.heard_frames(SpaceId::Application).any(|frame| matches!(frame, Frame::HandshakeDone)));
}

#[test]
fn a_handshake_that_never_ends_is_given_up_after_ten_seconds_whatever_is_said() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Handshake);
        let began = puppet.now;
        while puppet.close_code().is_none() {
            assert!(puppet.now.saturating_since(began) <= Duration::from_secs(11), "{victim:?}");
            puppet.say(SpaceId::Handshake, &[Frame::Ping]);
            puppet.advance(Duration::from_millis(500));
        }
        assert_eq!(puppet.victim().ending(), "the handshake took too long", "{victim:?}");
        assert_eq!(puppet.victim().stats.limit_hits[limits::Limit::HandshakeTime as usize], 1);
    }
}

/// RFC 9001 §4.9: a close before the handshake is complete is said at every level that the peer may be able to read.
#[test]
fn a_close_in_the_handshake_is_said_in_every_space_that_the_peer_may_read() {
    let mut puppet = puppet(Side::Server, Stage::Handshake);
    puppet.forge(&Forged::new(SpaceId::Initial, &[0x20]));
    let spaces: Vec<SpaceId> = puppet
        .heard
        .iter()
        .filter(|heard| heard.frames().any(|frame| matches!(frame, Frame::ConnectionClose(_))))
        .map(|heard| heard.space)
        .collect();
    assert_eq!(spaces, [SpaceId::Initial, SpaceId::Handshake, SpaceId::Application]);
    assert_closed(&mut puppet, TransportErrorCode::FRAME_ENCODING_ERROR);
}
