//! What changes a client's attempt: Version Negotiation (RFC 9000 §6) and Retry (§8.1.2, §17.2.5).

use codec::cursor::Writer;
use codec::frame::Frame;
use codec::packet::{Retry, VersionNegotiation};
use codec::{ConnectionId, Side, TransportErrorCode, Version};
use quicast_tests::pair::{SERVER, address};
use quicast_tests::puppet::{Forged, Stage};
use quicast_tests::{Datagram, Puppet, Settings};
use recovery::SpaceId;
use transport::output::CloseReason;
use transport::stats::PacketDrop;

use crate::impostor::Impostor;
use crate::packets::begun;
use crate::support::*;

// ── Version Negotiation ──────────────────────────────────────────────────────────────────────────────────────────

/// A Version Negotiation packet for the victim client's first Initial, with these versions.
fn negotiation(puppet: &mut Puppet, versions: &[Version]) -> Vec<u8> {
    let original = puppet.victim().connection.original_destination().unwrap();
    let destination = puppet.destination;
    encode_negotiation(destination.as_bytes(), original.as_bytes(), versions)
}

pub(crate) fn encode_negotiation(destination: &[u8], source: &[u8], versions: &[Version]) -> Vec<u8> {
    let mut buffer = [0; 2000];
    let mut writer = Writer::new(&mut buffer);
    VersionNegotiation::encode(&mut writer, 0, destination, source, versions).unwrap();
    writer.written().to_vec()
}

pub(crate) const UNKNOWN: Version = Version(0xff00_0020);

#[test]
fn version_negotiation_without_a_common_version_ends_the_attempt() {
    for versions in [&[UNKNOWN][..], &[UNKNOWN, Version(0x0a0a_0a0a)], &[Version(0x1a2a_3a4a)]] {
        let mut puppet = puppet(Side::Client, Stage::Start);
        let packet = negotiation(&mut puppet, versions);
        puppet.send(packet);
        let reason = puppet.victim().close_reason().cloned();
        let Some(CloseReason::VersionMismatch { versions: listed, retry_with: None }) = reason else {
            panic!("{reason:?}")
        };
        assert!(listed.iter().all(|version| versions.contains(version) && !version.is_reserved()));
    }
}

#[test]
fn version_negotiation_with_another_common_version_begins_anew() {
    let mut puppet = puppet(Side::Client, Stage::Start);
    let packet = negotiation(&mut puppet, &[UNKNOWN, Version::V2]);
    puppet.send(packet);
    let reason = puppet.victim().close_reason().cloned();
    assert!(matches!(reason, Some(CloseReason::VersionMismatch { retry_with: Some(Version::V2), .. })), "{reason:?}");
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-6.2
//= type=test
//# A client MUST discard a Version Negotiation
//# packet that lists the QUIC version selected by the client.
#[test]
fn version_negotiation_that_lists_the_version_in_use_is_dropped() {
    for versions in [&[Version::V1][..], &[UNKNOWN, Version::V1], &[Version::V2, Version::V1]] {
        let mut puppet = puppet(Side::Client, Stage::Start);
        let packet = negotiation(&mut puppet, versions);
        drops(&mut puppet, PacketDrop::Other, |puppet| puppet.send(packet));
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-6.2
//= type=test
//# A client MUST discard any Version Negotiation packet
//# if it has received and successfully processed any other packet, including an
//# earlier Version Negotiation packet.
#[test]
fn version_negotiation_after_a_packet_is_dropped() {
    let mut puppet = puppet(Side::Client, Stage::Start);
    puppet.say(SpaceId::Initial, &[Frame::Ping]);
    let packet = negotiation(&mut puppet, &[UNKNOWN]);
    drops(&mut puppet, PacketDrop::Other, |puppet| puppet.send(packet));
}

#[test]
fn version_negotiation_for_an_established_connection_is_dropped() {
    for stage in [Stage::Handshake, Stage::Complete, Stage::Established] {
        let mut puppet = puppet(Side::Client, stage);
        let destination = puppet.destination;
        for versions in [&[UNKNOWN][..], &[Version::V2]] {
            let packet = encode_negotiation(destination.as_bytes(), &[0xd1; 8], versions);
            drops(&mut puppet, PacketDrop::Other, |puppet| puppet.send(packet));
        }
    }
}

#[test]
fn version_negotiation_with_another_source_is_dropped() {
    let mut puppet = puppet(Side::Client, Stage::Start);
    let destination = puppet.destination;
    let packet = encode_negotiation(destination.as_bytes(), &[0x99; 8], &[UNKNOWN]);
    drops(&mut puppet, PacketDrop::Other, |puppet| puppet.send(packet));
}

#[test]
fn version_negotiation_with_another_destination_is_nobodys() {
    let mut puppet = puppet(Side::Client, Stage::Start);
    let original = puppet.victim().connection.original_destination().unwrap();
    puppet.send(encode_negotiation(&[0x99; 8], original.as_bytes(), &[UNKNOWN]));
    assert_eq!(puppet.victim_host.unclaimed, 1);
    assert_goes_on(&mut puppet);
}

#[test]
fn version_negotiation_without_versions_or_with_half_of_one_is_malformed() {
    for cut in [0, 1, 2, 3] {
        let mut puppet = puppet(Side::Client, Stage::Start);
        let mut packet = negotiation(&mut puppet, &[UNKNOWN]);
        packet.truncate(packet.len() - 4 + cut);
        drops(&mut puppet, PacketDrop::Malformed, |puppet| puppet.send(packet));
    }
}

#[test]
fn version_negotiation_to_a_server_is_nobodys_or_dropped() {
    let mut puppet = begun(Side::Server, Stage::Handshake);
    let (destination, source) = (puppet.destination, puppet.source);
    let before = dropped(&mut puppet, PacketDrop::Other) + puppet.victim_host.unclaimed;
    puppet.send(encode_negotiation(destination.as_bytes(), source.as_bytes(), &[UNKNOWN]));
    assert_eq!(dropped(&mut puppet, PacketDrop::Other) + puppet.victim_host.unclaimed, before + 1);
    assert_goes_on(&mut puppet);
}

// ── Retry ────────────────────────────────────────────────────────────────────────────────────────────────────────

/// What a Retry says; [`RetryPacket::good`] is one that a client obeys.
#[derive(Clone, Debug)]
struct RetryPacket {
    original: ConnectionId,
    destination: ConnectionId,
    source: ConnectionId,
    token: Vec<u8>,
}

impl RetryPacket {
    fn good(puppet: &mut Puppet) -> Self {
        Self {
            original: puppet.victim().connection.original_destination().unwrap(),
            destination: puppet.destination,
            source: ConnectionId::new(&[0xee; 8]).unwrap(),
            token: b"token".to_vec(),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut buffer = [0; 1000];
        let mut writer = Writer::new(&mut buffer);
        Retry::encode(&mut writer, Version::V1, &self.destination, &self.source, &self.token, 0).unwrap();
        let tag = tls::retry::integrity_tag(Version::V1, &self.original, writer.written());
        writer.bytes(&tag).unwrap();
        writer.written().to_vec()
    }
}

/// The last datagram of the victim's that the puppet's first keys do not open.
fn answer_to_retry(puppet: &Puppet) -> Option<&Datagram> {
    puppet.unopened.last()
}

#[test]
fn a_good_retry_is_obeyed_once() {
    let mut puppet = puppet(Side::Client, Stage::Start);
    let good = RetryPacket::good(&mut puppet);
    puppet.send(good.encode());
    let answer = answer_to_retry(&puppet).expect("another Initial").bytes.clone();
    //= https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.1
    //= type=test
    //# The client MUST use the value from the Source Connection ID field of the
    //# Retry packet in the Destination Connection ID field of subsequent
    //# packets that it sends.
    assert_eq!(answer[6..14], [0xee; 8]);
    assert!(answer.windows(5).any(|window| window == b"token"));
    assert!(answer.len() >= 1200);
    //= https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2
    //= type=test
    //# A client MUST accept and process at most one Retry packet for each connection
    //# attempt.
    let second = RetryPacket { source: ConnectionId::new(&[0xef; 8]).unwrap(), ..good.clone() };
    let before = puppet.unopened.len();
    for packet in [&good, &second, &RetryPacket { original: good.source, ..second.clone() }] {
        let dropped_before = dropped(&mut puppet, PacketDrop::Other);
        puppet.send(packet.encode());
        assert_eq!(dropped(&mut puppet, PacketDrop::Other), dropped_before + 1);
    }
    assert_eq!(puppet.unopened.len(), before, "a second Retry is answered");
    assert_eq!(puppet.victim().ending(), "open");
}

#[test]
fn a_retry_after_a_packet_is_dropped() {
    let mut puppet = puppet(Side::Client, Stage::Start);
    let good = RetryPacket::good(&mut puppet);
    puppet.say(SpaceId::Initial, &[Frame::Ping]);
    drops(&mut puppet, PacketDrop::Other, |puppet| puppet.send(good.encode()));
}

#[test]
fn a_retry_in_a_later_state_is_dropped() {
    for stage in [Stage::Handshake, Stage::Complete, Stage::Established] {
        let mut puppet = puppet(Side::Client, stage);
        let retry = RetryPacket {
            original: ConnectionId::new(&[0xd1; 8]).unwrap(),
            destination: puppet.destination,
            source: ConnectionId::new(&[0xee; 8]).unwrap(),
            token: b"token".to_vec(),
        };
        drops(&mut puppet, PacketDrop::Other, |puppet| puppet.send(retry.encode()));
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2
//= type=test
//# Clients MUST discard Retry packets that have a Retry Integrity Tag that
//# cannot be validated; see {{Section 5.8 of QUIC-TLS}}.
#[test]
fn a_retry_with_any_bit_changed_is_dropped() {
    let mut puppet = puppet(Side::Client, Stage::Start);
    let good = RetryPacket::good(&mut puppet).encode();
    let before = puppet.unopened.len();
    // From the source id on: what is before it leads elsewhere.
    for place in 14..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 1 << (place % 8);
        puppet.send(bad);
        assert_eq!(puppet.victim().ending(), "open");
        assert_eq!(puppet.unopened.len(), before, "byte {place}");
    }
    assert!(dropped(&mut puppet, PacketDrop::Other) > 16);
    assert_goes_on(&mut puppet);
}

#[test]
fn a_retry_that_was_made_for_another_attempt_is_dropped() {
    let mut puppet = puppet(Side::Client, Stage::Start);
    let original = ConnectionId::new(&[0xd2; 8]).unwrap();
    let other = RetryPacket { original, ..RetryPacket::good(&mut puppet) };
    drops(&mut puppet, PacketDrop::Other, |puppet| puppet.send(other.encode()));
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.2
//= type=test
//# A client MUST discard a Retry packet with a zero-length Retry Token field.
#[test]
fn a_retry_without_a_token_is_dropped() {
    let mut puppet = puppet(Side::Client, Stage::Start);
    let empty = RetryPacket { token: Vec::new(), ..RetryPacket::good(&mut puppet) };
    drops(&mut puppet, PacketDrop::Malformed, |puppet| puppet.send(empty.encode()));
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.1
//= type=test
//# A client MUST
//# discard a Retry packet that contains a Source Connection ID field that is
//# identical to the Destination Connection ID field of its Initial packet.
#[test]
fn a_retry_whose_source_is_the_id_it_answers_is_dropped() {
    let mut puppet = puppet(Side::Client, Stage::Start);
    let good = RetryPacket::good(&mut puppet);
    let same = RetryPacket { source: good.original, ..good };
    drops(&mut puppet, PacketDrop::Other, |puppet| puppet.send(same.encode()));
}

#[test]
fn a_retry_to_a_server_is_dropped() {
    let mut puppet = begun(Side::Server, Stage::Handshake);
    let retry = RetryPacket {
        original: ConnectionId::new(&[0xd1; 8]).unwrap(),
        destination: puppet.destination,
        source: ConnectionId::new(&[0xee; 8]).unwrap(),
        token: b"token".to_vec(),
    };
    drops(&mut puppet, PacketDrop::Other, |puppet| puppet.send(retry.encode()));
}

#[test]
fn a_retry_from_another_address_is_dropped() {
    let mut puppet = puppet(Side::Client, Stage::Start);
    let good = RetryPacket::good(&mut puppet);
    puppet.address = address(66, 6, 4433);
    let before = dropped(&mut puppet, PacketDrop::Other);
    puppet.send(good.encode());
    assert_eq!(dropped(&mut puppet, PacketDrop::Other), before + 1);
    puppet.address = SERVER;
    assert_goes_on(&mut puppet);
}

/// A puppet server after a Retry that the victim obeyed, with its new keys.
fn after_retry() -> Puppet {
    let mut puppet = puppet(Side::Client, Stage::Start);
    let good = RetryPacket::good(&mut puppet);
    puppet.send(good.encode());
    puppet.keys.set_initial(&good.source);
    puppet
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-7.3
//= type=test
//# * absence of the retry_source_connection_id transport parameter from the server
//#   after receiving a Retry packet,
#[test]
fn a_server_that_does_not_own_up_to_its_retry_is_refused() {
    let settings = Settings::new(1);
    for (value, code) in [
        (None, Some(TransportErrorCode::TRANSPORT_PARAMETER_ERROR)),
        (Some([0xef; 8]), Some(TransportErrorCode::TRANSPORT_PARAMETER_ERROR)),
        (Some([0xee; 8]), None),
    ] {
        let mut impostor = Impostor::opposite(after_retry(), &settings, |own| {
            if let Some(value) = value {
                own.add(0x10, &value);
            }
        });
        impostor.keep_encrypted_extensions();
        let mut puppet = impostor.say();
        match code {
            Some(code) => assert_closed(&mut puppet, code),
            None => assert_eq!(puppet.victim().ending(), "open"),
        }
    }
}

#[test]
fn version_negotiation_after_a_retry_is_dropped() {
    let mut puppet = after_retry();
    let original = puppet.victim().connection.original_destination().unwrap();
    let destination = puppet.destination;
    for source in [original.as_bytes(), &[0xee; 8]] {
        let packet = encode_negotiation(destination.as_bytes(), source, &[UNKNOWN]);
        drops(&mut puppet, PacketDrop::Other, |puppet| puppet.send(packet));
    }
}

#[test]
fn version_negotiation_that_lists_version_zero_or_the_same_twice_is_no_reason_to_panic() {
    for versions in [&[Version(0), UNKNOWN][..], &[UNKNOWN; 100], &[Version::V2; 100], &[Version(0)]] {
        let mut puppet = puppet(Side::Client, Stage::Start);
        let packet = negotiation(&mut puppet, versions);
        puppet.send(packet);
        let reason = puppet.victim().close_reason().cloned();
        assert!(matches!(reason, None | Some(CloseReason::VersionMismatch { .. })), "{reason:?}");
    }
}

/// RFC 9369 changes names of packets and keys, and no rule.
#[test]
fn version_2_keeps_the_rules() {
    let settings = Settings::new(1).map(|config| config.versions = vec![Version::V2]);
    let cases: [(Stage, SpaceId, u8, &[u8], TransportErrorCode); 6] = [
        (Stage::Handshake, SpaceId::Handshake, 0x0c, &[1], TransportErrorCode::PROTOCOL_VIOLATION),
        (Stage::Handshake, SpaceId::Handshake, 0, &[0x20], TransportErrorCode::FRAME_ENCODING_ERROR),
        (Stage::Handshake, SpaceId::Handshake, 0, &[0x08, 0], TransportErrorCode::PROTOCOL_VIOLATION),
        (Stage::Handshake, SpaceId::Initial, 0, &[0x1d, 0, 0], TransportErrorCode::PROTOCOL_VIOLATION),
        (Stage::Established, SpaceId::Application, 0x18, &[1], TransportErrorCode::PROTOCOL_VIOLATION),
        (Stage::Established, SpaceId::Application, 0, &[], TransportErrorCode::PROTOCOL_VIOLATION),
    ];
    for victim in SIDES {
        for (stage, space, flip, payload, code) in cases {
            let mut puppet = Puppet::at(&settings, victim, stage);
            puppet.forge(&Forged { flip, ..Forged::new(space, payload) });
            assert_closed(&mut puppet, code);
        }
        let mut puppet = Puppet::at(&settings, victim, Stage::Established);
        assert_goes_on(&mut puppet);
    }
}
