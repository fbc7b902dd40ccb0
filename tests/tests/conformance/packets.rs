//! Headers and datagrams (RFC 9000 §12.2, §14.1, §17), Version Negotiation (§6), Retry (§8.1, §17.2.5), resets (§10.3).

use std::net::SocketAddr;
use std::time::Duration;

use codec::cursor::Writer;
use codec::frame::{Crypto, Frame};
use codec::packet::{Header, PacketKind, Retry, VersionNegotiation};
use codec::{ConnectionId, Side, TransportErrorCode, Version};
use quicast_tests::pair::{CLIENT, SERVER, address};
use quicast_tests::puppet::{Forged, Stage};
use quicast_tests::{Datagram, Puppet, Settings};
use recovery::SpaceId;
use transport::accept::{Acceptor, Decision, DropReason, Load, Policy};
use transport::address_tokens::{AddressTokens, TokenKeys};
use transport::output::CloseReason;
use transport::stats::PacketDrop;

use crate::support::*;

/// A long header packet of this kind that nobody sealed, `size` bytes long in all.
pub(crate) fn long_packet(puppet: &Puppet, kind: PacketKind, size: usize) -> Vec<u8> {
    let (version, destination, source) = (Version::V1, puppet.destination, puppet.source);
    let header = match kind {
        PacketKind::Initial => Header::Initial { version, destination, source, token: &[] },
        PacketKind::ZeroRtt => Header::ZeroRtt { version, destination, source },
        PacketKind::Handshake => Header::Handshake { version, destination, source },
        _ => Header::OneRtt { destination, spin: false, key_phase: false },
    };
    let mut packet = vec![0x5a; size];
    let mut writer = Writer::new(&mut packet);
    let written = header.encode(&mut writer, 7, 4).unwrap();
    written.finish(&mut packet, size);
    packet
}

/// Where each kind of packet may be said, so that the victim has its keys.
const SPACES: [(Stage, SpaceId); 3] = [
    (Stage::Start, SpaceId::Initial),
    (Stage::Handshake, SpaceId::Handshake),
    (Stage::Established, SpaceId::Application),
];

/// A puppet of that stage opposite a victim that exists.
fn begun(victim: Side, stage: Stage) -> Puppet {
    let mut puppet = puppet(victim, stage);
    if puppet.victim_host.nodes.is_empty() {
        puppet.say(SpaceId::Initial, &[Frame::Ping]);
    }
    puppet
}

// ── What an authenticated header may not say ─────────────────────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc9000#section-17.2
//= type=test
//# An endpoint MUST treat receipt of a packet that has a non-zero
//# value for these bits after removing both packet and header protection as a
//# connection error of type PROTOCOL_VIOLATION.
#[test]
fn reserved_bits_are_a_violation_in_every_kind_of_packet() {
    for victim in SIDES {
        for (stage, space) in SPACES {
            let bits: [u8; 3] = if space == SpaceId::Application { [0x08, 0x10, 0x18] } else { [0x04, 0x08, 0x0c] };
            for flip in bits {
                let mut puppet = begun(victim, stage);
                puppet.forge(&Forged { flip, ..Forged::new(space, &[1]) });
                assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
            }
        }
    }
}

#[test]
fn reserved_bits_count_before_what_the_packet_says() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        puppet.forge(&Forged { flip: 0x18, ..Forged::new(SpaceId::Application, &[0x20]) });
        assert_closed(&mut puppet, TransportErrorCode::PROTOCOL_VIOLATION);
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-17
//= type=test
//# Packets containing a zero value for this bit are not valid packets in this version and MUST be discarded.
#[test]
fn a_packet_without_the_fixed_bit_is_nobodys() {
    for victim in SIDES {
        for (stage, space) in SPACES {
            let mut puppet = begun(victim, stage);
            let unclaimed = puppet.victim_host.unclaimed;
            puppet.forge(&Forged { flip: 0x40, ..Forged::new(space, &[0x20]) });
            assert_eq!(puppet.victim_host.unclaimed, unclaimed + 1, "{victim:?} {space:?}");
            assert_goes_on(&mut puppet);
        }
    }
}

#[test]
fn a_coalesced_packet_without_the_fixed_bit_is_malformed() {
    for victim in SIDES {
        let mut puppet = begun(victim, Stage::Handshake);
        drops(&mut puppet, PacketDrop::Malformed, |puppet| {
            let mut datagram = puppet.seal(&Forged::new(SpaceId::Handshake, &[1]));
            datagram.extend(puppet.seal(&Forged { flip: 0x40, ..Forged::new(SpaceId::Handshake, &[0x20]) }));
            puppet.send(datagram);
        });
    }
}

// ── What nobody vouches for ──────────────────────────────────────────────────────────────────────────────────────

//= https://www.rfc-editor.org/rfc/rfc9001#section-5.5
//= type=test
//# Once an endpoint successfully receives a packet with a given packet number, it
//# MUST discard all packets in the same packet number space with higher packet
//# numbers if they cannot be successfully unprotected
#[test]
fn a_packet_with_any_byte_changed_is_dropped() {
    for victim in SIDES {
        for (stage, space) in SPACES {
            let mut puppet = begun(victim, stage);
            let good = puppet.seal(&Forged { size: 0, ..Forged::new(space, &[0x20, 0, 0, 0]) });
            // Beyond the header, whose changes lead elsewhere.
            let start = if space == SpaceId::Application { 9 } else { 26 };
            for place in (start..good.len()).chain(0..usize::from(space == SpaceId::Application)) {
                let before = dropped(&mut puppet, PacketDrop::Undecryptable);
                let mut bad = good.clone();
                bad[place] ^= if place == 0 { 0x04 } else { 0x80 };
                if space == SpaceId::Initial {
                    bad.extend(vec![0; 1200 - bad.len().min(1200)]);
                }
                puppet.send(bad);
                assert_eq!(puppet.victim().ending(), "open", "{victim:?} {space:?} byte {place}");
                assert!(dropped(&mut puppet, PacketDrop::Undecryptable) > before, "{victim:?} {space:?} byte {place}");
            }
            assert_goes_on(&mut puppet);
        }
    }
}

#[test]
fn a_packet_cut_short_is_dropped() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let good = puppet.seal(&Forged::new(SpaceId::Application, &[0x20; 40]));
        for length in 9..good.len() {
            puppet.send(good[..length].to_vec());
            assert_eq!(puppet.victim().ending(), "open", "{victim:?} {length}");
        }
        assert!(dropped(&mut puppet, PacketDrop::Undecryptable) > 0);
        assert_goes_on(&mut puppet);
    }
}

#[test]
fn datagrams_of_a_few_bytes_are_dropped() {
    for victim in SIDES {
        for (stage, _) in SPACES {
            let mut puppet = begun(victim, stage);
            for length in 0..40 {
                for first in [0x00, 0x40, 0x80, 0xc0, 0xff] {
                    let mut datagram = vec![first; length];
                    if length > 9 {
                        datagram[1..9].copy_from_slice(&puppet.destination.as_bytes()[..8]);
                    }
                    puppet.send(datagram);
                }
            }
            assert_goes_on(&mut puppet);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-12.3
//= type=test
//# A receiver MUST discard a newly unprotected packet unless it is certain that it
//# has not processed another packet with the same packet number from the same packet
//# number space.
#[test]
fn a_packet_that_comes_twice_is_read_once() {
    for victim in SIDES {
        for (stage, space) in SPACES {
            let mut puppet = begun(victim, stage);
            let packet = puppet.seal(&Forged::new(space, &[1]));
            puppet.send(packet.clone());
            let pings = puppet.victim().stats.frames_received[1];
            drops(&mut puppet, PacketDrop::Duplicate, |puppet| {
                for _ in 0..10 {
                    puppet.send(packet.clone());
                }
                assert_eq!(puppet.victim().stats.frames_received[1], pings);
            });
        }
    }
}

#[test]
fn another_packet_with_a_number_that_was_used_is_a_duplicate() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        puppet.say(SpaceId::Application, &[Frame::Ping]);
        let number = Some(puppet.next_numbers[SpaceId::Application.index()] - 1);
        drops(&mut puppet, PacketDrop::Duplicate, |puppet| {
            puppet.forge(&Forged { number, ..Forged::new(SpaceId::Application, &[0x20]) });
        });
    }
}

#[test]
fn a_packet_older_than_all_that_is_remembered_is_a_duplicate() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Established);
        let old = puppet.next_numbers[SpaceId::Application.index()];
        // Every other number, so that nothing can be merged, until the first hole is forgotten.
        for _ in 0..200 {
            puppet.next_numbers[SpaceId::Application.index()] += 1;
            puppet.say(SpaceId::Application, &[Frame::Ping]);
        }
        drops(&mut puppet, PacketDrop::Duplicate, |puppet| {
            puppet.forge(&Forged { number: Some(old), ..Forged::new(SpaceId::Application, &[0x20]) });
        });
    }
}

#[test]
fn a_packet_to_an_id_that_was_never_given_is_nobodys() {
    for victim in SIDES {
        for (stage, space) in SPACES.into_iter().skip(1) {
            let mut puppet = begun(victim, stage);
            let unclaimed = puppet.victim_host.unclaimed;
            let destination = ConnectionId::new(&[0x99; 8]);
            puppet.forge(&Forged { destination, ..Forged::new(space, &[0x20]) });
            assert_eq!(puppet.victim_host.unclaimed, unclaimed + 1, "{victim:?} {space:?}");
            assert_goes_on(&mut puppet);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-12.2
//= type=test
//# Receivers SHOULD ignore any subsequent packets with a different Destination
//# Connection ID than the first packet in the datagram.
#[test]
fn a_coalesced_packet_to_another_id_is_dropped() {
    let other = ConnectionId::new(&[0x99; 8]);
    for victim in SIDES {
        let mut handshake = begun(victim, Stage::Handshake);
        drops(&mut handshake, PacketDrop::UnexpectedConnectionId, |puppet| {
            let mut datagram = puppet.seal(&Forged::new(SpaceId::Handshake, &[1]));
            datagram.extend(puppet.seal(&Forged { destination: other, ..Forged::new(SpaceId::Handshake, &[0x20]) }));
            puppet.send(datagram);
        });
        // Keys of the first packet are gone; that the second opens does not make it the first one's.
        let mut established = begun(victim, Stage::Established);
        let before = dropped(&mut established, PacketDrop::UnexpectedConnectionId);
        let mut datagram = established.seal(&Forged::new(SpaceId::Handshake, &[1]));
        datagram.extend(established.seal(&Forged { destination: other, ..Forged::new(SpaceId::Application, &[0x20]) }));
        established.send(datagram);
        assert_eq!(dropped(&mut established, PacketDrop::UnexpectedConnectionId), before + 1, "{victim:?}");
        assert_goes_on(&mut established);
    }
}

#[test]
fn coalesced_packets_after_one_that_does_not_open_are_read() {
    for victim in SIDES {
        let mut puppet = begun(victim, Stage::Established);
        let mut datagram = puppet.seal(&Forged::new(SpaceId::Handshake, &[1]));
        datagram.extend(puppet.seal(&Forged::new(SpaceId::Application, &[0x20])));
        puppet.send(datagram);
        assert_closed(&mut puppet, TransportErrorCode::FRAME_ENCODING_ERROR);
    }
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-14.1
//= type=test
//# A server MUST discard an Initial packet that is carried in a UDP datagram with a
//# payload that is smaller than the smallest allowed maximum datagram size of 1200
//# bytes.
#[test]
fn an_initial_in_a_small_datagram_does_not_begin_a_connection() {
    for size in [0, 100, 1199] {
        let mut puppet = puppet(Side::Server, Stage::Start);
        puppet.forge(&Forged { size, ..Forged::new(SpaceId::Initial, &[1]) });
        assert!(puppet.victim_host.nodes.is_empty());
        assert_eq!(puppet.victim_host.unclaimed, 1);
    }
}

#[test]
fn an_initial_in_a_small_datagram_is_dropped_by_a_servers_connection_too() {
    for size in [0, 100, 1199] {
        let mut puppet = begun(Side::Server, Stage::Start);
        drops(&mut puppet, PacketDrop::Other, |puppet| {
            puppet.forge(&Forged { size, ..Forged::new(SpaceId::Initial, &[0x20]) });
        });
    }
}

#[test]
fn an_initial_that_a_server_padded_too_little_is_dropped_or_read_but_never_fatal() {
    let mut puppet = puppet(Side::Client, Stage::Start);
    puppet.forge(&Forged { size: 0, ..Forged::new(SpaceId::Initial, &[1]) });
    assert_eq!(puppet.victim().ending(), "open");
}

//= https://www.rfc-editor.org/rfc/rfc9000#section-17.2.2
//= type=test
//# Initial packets sent by the server MUST set the Token Length field to 0; clients
//# that receive an Initial packet with a non-zero Token Length field MUST either
//# discard the packet or generate a connection error of type PROTOCOL_VIOLATION.
#[test]
fn a_token_from_a_server_is_dropped_with_its_initial() {
    for stage in [Stage::Start, Stage::Handshake] {
        let mut puppet = puppet(Side::Client, stage);
        let tokens: [&[u8]; 2] = [b"x", &[7; 500]];
        for token in tokens {
            drops(&mut puppet, PacketDrop::Malformed, |puppet| {
                puppet.forge(&Forged { token, ..Forged::new(SpaceId::Initial, &[0x20]) });
            });
        }
    }
}

#[test]
fn an_initial_of_another_version_is_dropped() {
    for victim in SIDES {
        let mut puppet = begun(victim, Stage::Start);
        drops(&mut puppet, PacketDrop::Other, |puppet| {
            puppet.forge(&Forged { version: Some(Version::V2), ..Forged::new(SpaceId::Initial, &[0x20]) });
        });
        let mut puppet = begun(victim, Stage::Handshake);
        drops(&mut puppet, PacketDrop::Other, |puppet| {
            puppet.forge(&Forged { version: Some(Version::V2), ..Forged::new(SpaceId::Handshake, &[0x20]) });
        });
    }
}

#[test]
fn a_packet_of_an_unknown_version_is_dropped() {
    for victim in SIDES {
        for version in [0xff00_001d, 0x0a0a_0a0a, 2] {
            let mut puppet = begun(victim, Stage::Handshake);
            let before: u64 = puppet.victim().stats.dropped.iter().sum::<u64>() + puppet.victim_host.unclaimed;
            let mut packet = puppet.seal(&Forged::new(SpaceId::Handshake, &[0x20]));
            packet[1..5].copy_from_slice(&u32::to_be_bytes(version));
            puppet.send(packet);
            let after: u64 = puppet.victim().stats.dropped.iter().sum::<u64>() + puppet.victim_host.unclaimed;
            assert_eq!(after, before + 1, "{victim:?} {version:x}");
            assert_goes_on(&mut puppet);
        }
    }
}

// ── Version Negotiation ──────────────────────────────────────────────────────────────────────────────────────────

/// A Version Negotiation packet for the victim client's first Initial, with these versions.
fn negotiation(puppet: &mut Puppet, versions: &[Version]) -> Vec<u8> {
    let original = puppet.victim().connection.original_destination().unwrap();
    let destination = puppet.destination;
    encode_negotiation(destination.as_bytes(), original.as_bytes(), versions)
}

fn encode_negotiation(destination: &[u8], source: &[u8], versions: &[Version]) -> Vec<u8> {
    let mut buffer = [0; 2000];
    let mut writer = Writer::new(&mut buffer);
    VersionNegotiation::encode(&mut writer, 0, destination, source, versions).unwrap();
    writer.written().to_vec()
}

const UNKNOWN: Version = Version(0xff00_0020);

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
#[derive(Clone)]
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

// ── Who is accepted ──────────────────────────────────────────────────────────────────────────────────────────────

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
//# Instead, the server SHOULD immediately close (Section 10.2)
//# the connection with an INVALID_TOKEN error.
#[test]
fn a_bad_retry_token_is_answered_with_invalid_token() {
    let mut acceptor = acceptor(true);
    let Decision::Retry(attempt) = decide(&mut acceptor, &first_initial(&[], Version::V1, 1200), CLIENT) else {
        panic!("no Retry")
    };
    let context = transport::address_tokens::RetryContext {
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

#[test]
fn crypto_in_a_datagram_after_an_initial_that_closed_is_not_read() {
    for victim in SIDES {
        let mut puppet = puppet(victim, Stage::Start);
        let mut datagram = puppet.seal(&Forged { size: 0, ..Forged::new(SpaceId::Initial, &[0x20]) });
        let crypto = bytes(&[Frame::Crypto(Crypto { offset: MAXIMUM - 10, data: b"x" })]);
        datagram.extend(puppet.seal(&Forged::new(SpaceId::Initial, &crypto)));
        puppet.send(datagram);
        assert_closed(&mut puppet, TransportErrorCode::FRAME_ENCODING_ERROR);
    }
}
