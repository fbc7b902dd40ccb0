//! Headers and datagrams (RFC 9000 §12.2, §14.1, §17).

use codec::cursor::Writer;
use codec::frame::{Crypto, Frame};
use codec::packet::{Header, PacketKind, number};
use codec::{ConnectionId, Side, TransportErrorCode, Version};
use quicast_tests::puppet::{Forged, Stage};
use quicast_tests::{Plan, Puppet, Settings};
use recovery::SpaceId;
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
pub(crate) fn begun(victim: Side, stage: Stage) -> Puppet {
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
fn full_datagrams_have_payloads_of_whole_cipher_blocks_and_small_ones_are_not_longer_for_it() {
    for victim in SIDES {
        let settings = Settings::new(1).map(|config| config.initial_datagram_size = 1452);
        let mut puppet = Puppet::at(&settings, victim, Stage::Established);
        let (before, largest) = (puppet.heard.len(), puppet.victim_next_number(SpaceId::Application) - 1);
        puppet.victim().application.begin(Plan::one_way(1, 8_000));
        puppet.turn();
        assert_eq!(puppet.heard.len() - before, 6, "{victim:?}");
        for heard in &puppet.heard[before..] {
            let number_length = heard.datagram - heard.payload.len() - 1 - heard.destination.len() - tls::TAG_LENGTH;
            if heard.datagram == 1452 {
                assert_eq!((heard.payload.len() % 16, number_length), (0, 3), "{victim:?}");
            } else {
                let needed = number::length_for(heard.number, Some(largest));
                assert_eq!((number_length, needed), (1, 1), "{victim:?}");
            }
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
