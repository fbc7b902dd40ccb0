//! Packets: round trips, each malformation with its error, and arbitrary bytes.

use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::cursor::{BufferFull, Writer};

const VERSIONS: [Version; 2] = [Version::V1, Version::V2];
const UNKNOWN: Version = Version(0x1a2a_3a4a);

fn id(bytes: &[u8]) -> ConnectionId {
    ConnectionId::new(bytes).unwrap()
}

/// A packet with `payload` bytes after the packet number.
fn written(header: Header<'_>, number: u64, number_length: usize, payload: usize) -> (Vec<u8>, WrittenHeader) {
    let mut buffer = vec![0xaa; header.encoded_size(number_length) + payload];
    let mut w = Writer::new(&mut buffer);
    let at = header.encode(&mut w, number, number_length).unwrap();
    assert_eq!(w.remaining(), payload);
    let end = buffer.len();
    at.finish(&mut buffer, end);
    (buffer, at)
}

fn protected(datagram: &[u8], local_id_length: usize) -> ProtectedHeader {
    match decode(datagram, local_id_length) {
        Ok(Packet::Protected(header)) => header,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_long_header_comes_back_in_each_version() {
    let (destination, source) = (id(&[1; 20]), id(&[2; 3]));
    for version in VERSIONS {
        for header in [
            Header::Initial { version, destination, source, token: b"a token" },
            Header::Initial { version, destination, source, token: &[9; 100] },
            Header::Initial { version, destination, source: ConnectionId::EMPTY, token: &[] },
            Header::ZeroRtt { version, destination, source },
            Header::Handshake { version, destination: ConnectionId::EMPTY, source },
        ] {
            let (packet, at) = written(header, 0x0102_0304, 4, 40);
            let read = protected(&packet, 8);
            let (Header::Initial { destination, source, .. }
            | Header::ZeroRtt { destination, source, .. }
            | Header::Handshake { destination, source, .. }) = header
            else {
                panic!("{header:?}")
            };
            assert_eq!((read.kind, read.version), (header.kind(), version));
            assert_eq!((read.destination, read.source), (destination, source));
            assert_eq!((read.packet_number_offset, read.end), (at.packet_number_offset(), packet.len()));
            let token = if let Header::Initial { token, .. } = header { token } else { &[] };
            assert_eq!(&packet[read.token], token);
            assert_eq!(packet[0] & 0x0f, 3);
            assert_eq!(packet[at.packet_number_offset()..at.payload_offset()], [1, 2, 3, 4]);
            assert_eq!(
                peek(&packet, 8),
                Ok(Peek::Long {
                    version,
                    kind: Some(header.kind()),
                    destination: destination.as_bytes(),
                    source: source.as_bytes()
                })
            );
        }
    }
}

#[test]
fn short_headers_carry_spin_and_key_phase() {
    let destination = id(&[7; 8]);
    for (spin, key_phase, first) in [(false, false, 0x41), (true, false, 0x61), (false, true, 0x45), (true, true, 0x65)]
    {
        let (packet, at) = written(Header::OneRtt { destination, spin, key_phase }, 0xabcdef, 2, 20);
        assert_eq!(packet[0], first);
        assert_eq!(spin_bit(packet[0]), spin);
        assert_eq!(packet[at.packet_number_offset()..at.payload_offset()], [0xcd, 0xef]);
        let read = protected(&packet, 8);
        assert_eq!((read.kind, read.destination, read.source), (PacketKind::OneRtt, destination, ConnectionId::EMPTY));
        assert_eq!((read.packet_number_offset, read.end, read.token), (9, packet.len(), 0..0));
        assert_eq!(peek(&packet, 8), Ok(Peek::Short { destination }));
    }
}

#[test]
fn a_header_that_does_not_fit_is_not_written() {
    let (destination, source) = (id(&[1; 8]), id(&[2; 8]));
    for header in [
        Header::Initial { version: Version::V1, destination, source, token: b"token" },
        Header::Handshake { version: Version::V1, destination, source },
        Header::OneRtt { destination, spin: true, key_phase: true },
    ] {
        let size = header.encoded_size(2);
        for room in 0..size {
            let mut buffer = vec![0; room];
            let mut w = Writer::new(&mut buffer);
            assert_eq!(header.encode(&mut w, 7, 2), Err(BufferFull));
            assert_eq!(w.position(), 0);
        }
        assert_eq!(header.encode(&mut Writer::new(&mut vec![0; size]), 7, 2).unwrap().payload_offset(), size);
    }
}

#[test]
fn offsets_of_a_written_header_count_from_the_start_of_the_buffer() {
    let header = Header::Handshake { version: Version::V1, destination: id(&[1]), source: id(&[2]) };
    let mut buffer = [0; 64];
    let mut w = Writer::new(&mut buffer);
    w.zeros(10).unwrap();
    let at = header.encode(&mut w, 5, 1).unwrap();
    assert_eq!(
        (at.start(), at.length_offset(), at.packet_number_offset(), at.payload_offset()),
        (10, Some(19), 21, 22)
    );
    at.finish(w.written_mut(), 52);
    assert_eq!(buffer[19..21], [0x40, 31]);
    let read = protected(&buffer[10..], 0);
    assert_eq!((read.packet_number_offset, read.end), (11, 42));
}

#[test]
fn every_prefix_of_a_header_is_truncated() {
    let (destination, source) = (id(&[1; 8]), id(&[2; 8]));
    let (initial, _) = written(Header::Initial { version: Version::V1, destination, source, token: b"tok" }, 1, 1, 30);
    for end in 1..initial.len() {
        assert_eq!(decode(&initial[..end], 8), Err(PacketError::Truncated), "{end}");
    }
    let (short, at) = written(Header::OneRtt { destination, spin: false, key_phase: false }, 1, 1, 30);
    for end in 1..at.packet_number_offset() {
        assert_eq!(decode(&short[..end], 8), Err(PacketError::Truncated), "{end}");
        assert_eq!(peek(&short[..end], 8), Err(PacketError::Truncated), "{end}");
    }
}

#[test]
fn each_malformation_has_its_error() {
    let long = |first: u8, version: u32, rest: &[u8]| {
        let mut bytes = vec![first];
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.extend_from_slice(rest);
        bytes
    };
    let mut id21 = vec![21];
    id21.extend_from_slice(&[0; 30]);
    let mut source21 = vec![0, 21];
    source21.extend_from_slice(&[0; 30]);
    let mut retry_without_token = vec![0, 0];
    retry_without_token.extend_from_slice(&[0; 16]);
    let table = [
        (vec![], PacketError::Empty),
        (vec![0x00; 30], PacketError::FixedBitZero),
        (long(0x80, 1, &[0; 30]), PacketError::FixedBitZero),
        (long(0x80, Version::V2.0, &[0; 30]), PacketError::FixedBitZero),
        (long(0xc0, 1, &id21), PacketError::ConnectionIdTooLong),
        (long(0xc0, 1, &source21), PacketError::ConnectionIdTooLong),
        (long(0xf0, 1, &id21), PacketError::ConnectionIdTooLong),
        (long(0xc0, UNKNOWN.0, &[0; 30]), PacketError::UnknownVersion),
        (long(0x80, UNKNOWN.0, &[0; 30]), PacketError::UnknownVersion),
        (long(0xf0, 1, &retry_without_token), PacketError::EmptyRetryToken),
        (long(0xf0, 1, &retry_without_token[..17]), PacketError::Truncated),
        (long(0x80, 0, &[0, 0]), PacketError::MalformedVersionNegotiation),
        (long(0x80, 0, &[0, 0, 0, 0, 0, 1, 0]), PacketError::MalformedVersionNegotiation),
        // A token, and a packet, that are longer than the datagram.
        (long(0xc0, 1, &[0, 0, 0x3f, 0, 0]), PacketError::Truncated),
        (long(0xc0, 1, &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), PacketError::Truncated),
        (long(0xe0, 1, &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), PacketError::Truncated),
    ];
    for (bytes, error) in table {
        assert_eq!(decode(&bytes, 8), Err(error), "{bytes:x?}");
        assert!(!error.as_str().is_empty());
        // What `peek` reads of it, it judges alike.
        if matches!(error, PacketError::Empty | PacketError::FixedBitZero | PacketError::ConnectionIdTooLong) {
            assert_eq!(peek(&bytes, 8), Err(error), "{bytes:x?}");
        }
    }
    // A length of ours that no id can have: a mistake, but no panic.
    assert_eq!(decode(&[0x40; 64], 21), Err(PacketError::ConnectionIdTooLong));
}

#[test]
fn peek_reports_long_ids_of_unknown_versions() {
    let mut datagram = vec![0x80];
    datagram.extend_from_slice(&UNKNOWN.0.to_be_bytes());
    datagram.push(255);
    datagram.extend_from_slice(&[5; 255]);
    datagram.push(254);
    datagram.extend_from_slice(&[6; 254]);
    let Ok(Peek::Long { version: UNKNOWN, kind: None, destination, source }) = peek(&datagram, 8) else {
        panic!("not seen")
    };
    assert_eq!((destination, source), (&[5; 255][..], &[6; 254][..]));

    let mut buffer = vec![0; 1200];
    let mut w = Writer::new(&mut buffer);
    VersionNegotiation::encode(&mut w, 0, source, destination, &[Version::V1, UNKNOWN]).unwrap();
    let Ok(Packet::VersionNegotiation(answer)) = decode(w.written(), 8) else { panic!("not read") };
    assert_eq!((answer.destination, answer.source), (source, destination));
    assert!(answer.versions().eq([Version::V1, UNKNOWN]));
    assert_eq!(answer.versions().len(), 2);
    let Ok(Peek::Long { kind: Some(PacketKind::VersionNegotiation), .. }) = peek(w.written(), 8) else {
        panic!("not seen")
    };
}

#[test]
fn version_negotiation_is_written_whole_or_not_at_all() {
    let mut buffer = [0; 40];
    let mut w = Writer::new(&mut buffer[..14]);
    assert_eq!(VersionNegotiation::encode(&mut w, 0x12, &[1], &[2], &[Version::V1, Version::V2]), Err(BufferFull));
    assert_eq!(w.position(), 0);
    assert_eq!(VersionNegotiation::encode(&mut w, 0x12, &[1; 256], &[], &[]), Err(BufferFull));
    let mut w = Writer::new(&mut buffer);
    VersionNegotiation::encode(&mut w, 0x12, &[1], &[2], &[Version::V1]).unwrap();
    assert_eq!(w.written(), [0xd2, 0, 0, 0, 0, 1, 1, 1, 2, 0, 0, 0, 1]);
}

#[test]
fn retry_is_written_whole_or_not_at_all() {
    let mut buffer = [0; 40];
    let mut w = Writer::new(&mut buffer[..12]);
    let (destination, source) = (id(&[1]), id(&[2]));
    assert_eq!(Retry::encode(&mut w, Version::V1, &destination, &source, b"token", 0xf5), Err(BufferFull));
    assert_eq!(w.position(), 0);
    let mut w = Writer::new(&mut buffer);
    Retry::encode(&mut w, Version::V2, &destination, &source, b"token", 0xf5).unwrap();
    w.bytes(&[0x11; Retry::TAG_LENGTH]).unwrap();
    let packet = w.written();
    // Type 0b00 in version 2 (RFC 9369 §3.2).
    assert_eq!(packet[0], 0xc5);
    let Ok(Packet::Retry(retry)) = decode(packet, 0) else { panic!("not read") };
    assert_eq!((retry.token, retry.integrity_tag), (&b"token"[..], [0x11; 16]));
    assert_eq!(retry.covered, &packet[..packet.len() - 16]);
}

fn coalesced(destinations: [&[u8]; 3]) -> Vec<u8> {
    let source = id(&[2; 5]);
    let version = Version::V1;
    let [first, second, third] = destinations.map(id);
    let (mut datagram, _) = written(Header::Initial { version, destination: first, source, token: &[] }, 0, 1, 30);
    datagram.extend(written(Header::Handshake { version, destination: second, source }, 0, 1, 31).0);
    datagram.extend(written(Header::OneRtt { destination: third, spin: false, key_phase: false }, 0, 1, 32).0);
    datagram
}

#[test]
fn a_datagram_is_split_into_its_packets() {
    let datagram = coalesced([&[1; 8]; 3]);
    let mut end = 0;
    let mut kinds = vec![];
    for packet in split(&datagram, 8) {
        let (offset, Packet::Protected(header)) = packet.unwrap() else { panic!("not protected") };
        assert_eq!(offset, end);
        assert_eq!(header, protected(&datagram[offset..], 8));
        end = offset + header.end;
        kinds.push(header.kind);
    }
    assert_eq!(kinds, [PacketKind::Initial, PacketKind::Handshake, PacketKind::OneRtt]);
    assert_eq!(end, datagram.len());
}

#[test]
fn coalesced_packets_for_others_are_passed_over() {
    let results: Vec<_> = split(&coalesced([&[1; 8], &[3; 8], &[1; 8]]), 8).map(|packet| packet.is_ok()).collect();
    assert_eq!(results, [true, false, true]);
    let results: Vec<_> = split(&coalesced([&[1; 8], &[3; 8], &[3; 8]]), 8).map(|packet| packet.err()).collect();
    assert_eq!(results, [None, Some(PacketError::OtherDestination), Some(PacketError::OtherDestination)]);
}

#[test]
fn what_cannot_be_read_ends_the_datagram() {
    let mut datagram = coalesced([&[1; 8]; 3]);
    let second = protected(&datagram, 8).end;
    datagram[second] &= !FIXED_BIT;
    let results: Vec<_> = split(&datagram, 8).map(|packet| packet.err()).collect();
    assert_eq!(results, [None, Some(PacketError::FixedBitZero)]);
    assert_eq!(split(&[], 8).count(), 0);
}

#[test]
fn kinds_have_dense_indexes_and_names() {
    let kinds = [
        PacketKind::Initial,
        PacketKind::ZeroRtt,
        PacketKind::Handshake,
        PacketKind::OneRtt,
        PacketKind::Retry,
        PacketKind::VersionNegotiation,
    ];
    assert_eq!(kinds.len(), PacketKind::COUNT);
    for (index, kind) in kinds.into_iter().enumerate() {
        assert_eq!(kind.index(), index);
        assert!(kinds[..index].iter().all(|other| other.as_str() != kind.as_str()));
    }
}

/// Bytes that often look like the beginning of a packet.
fn datagrams() -> impl Strategy<Value = Vec<u8>> {
    let version = prop_oneof![Just(Version::V1), Just(Version::V2), Just(Version::NEGOTIATION), Just(UNKNOWN)];
    let bytes = || proptest::collection::vec(any::<u8>(), 0..24);
    let long = (any::<u8>(), version, bytes(), bytes(), proptest::collection::vec(any::<u8>(), 0..100)).prop_map(
        |(first, version, destination, source, rest)| {
            let mut datagram = vec![first | LONG_FORM];
            datagram.extend_from_slice(&version.0.to_be_bytes());
            for id in [destination, source] {
                datagram.push(id.len() as u8);
                datagram.extend(id);
            }
            datagram.extend(rest);
            datagram
        },
    );
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..100), long]
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_offsets_stay_inside(datagram in datagrams(), local_id_length in 0_usize..22) {
        let peeked = peek(&datagram, local_id_length);
        let mut walked = 0;
        for (step, packet) in split(&datagram, local_id_length).enumerate() {
            prop_assert!(step <= datagram.len());
            let Ok((offset, packet)) = packet else { continue };
            prop_assert!(offset >= walked && offset < datagram.len());
            // Whoever is routed by `peek` finds the same packet.
            prop_assert!(peeked.is_ok());
            if let Packet::Protected(header) = packet {
                prop_assert!(header.packet_number_offset > 0);
                prop_assert!(header.packet_number_offset <= header.end);
                prop_assert!(offset + header.end <= datagram.len());
                prop_assert!(header.token.end <= header.packet_number_offset);
                walked = offset + header.end;
            }
        }
        let _ = stateless_reset::trailing_token(&datagram);
    }

    #[test]
    fn headers_come_back(
        version in proptest::sample::select(&VERSIONS[..]),
        ids in proptest::array::uniform2(proptest::collection::vec(any::<u8>(), 0..=20)),
        token in proptest::collection::vec(any::<u8>(), 0..200),
        number in 0_u64..1 << 62,
        number_length in 1_usize..=4,
        payload in 0_usize..300,
        kind in 0..4,
        bits: (bool, bool),
    ) {
        let (destination, source) = (id(&ids[0]), id(&ids[1]));
        let header = match kind {
            0 => Header::Initial { version, destination, source, token: &token },
            1 => Header::ZeroRtt { version, destination, source },
            2 => Header::Handshake { version, destination, source },
            _ => Header::OneRtt { destination, spin: bits.0, key_phase: bits.1 },
        };
        let (packet, at) = written(header, number, number_length, payload);
        let read = protected(&packet, destination.len());
        prop_assert_eq!(read.kind, header.kind());
        prop_assert_eq!(read.destination, destination);
        prop_assert_eq!((read.packet_number_offset, read.end), (at.packet_number_offset(), packet.len()));
        prop_assert_eq!(usize::from(packet[0] & 3) + 1, number_length);
        let mut truncated = [0; 4];
        truncated[4 - number_length..].copy_from_slice(&packet[at.packet_number_offset()..at.payload_offset()]);
        prop_assert_eq!(number::expand(u32::from_be_bytes(truncated), number_length, number), number);
        if kind != 3 {
            prop_assert_eq!((read.version, read.source), (version, source));
        }
        if kind == 0 {
            prop_assert_eq!(&packet[read.token], &token[..]);
        }
    }
}
