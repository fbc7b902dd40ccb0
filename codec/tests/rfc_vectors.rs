//! The RFCs' own examples, byte for byte.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on shall fail, in its helpers too")]

use quicast_codec::cursor::{Reader, Writer};
use quicast_codec::frame::{self, Frame};
use quicast_codec::packet::number::{expand, length_for};
use quicast_codec::packet::{Header, Packet, PacketKind, Retry, decode};
use quicast_codec::parameters::TransportParameters;
use quicast_codec::{ConnectionId, Side, Version};

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    assert_eq!(digits.len() % 2, 0);
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn id(digits: &str) -> ConnectionId {
    ConnectionId::new(&hex(digits)).unwrap()
}

#[test]
fn rfc9000_a1_variable_length_integers() {
    for (bytes, value) in [
        ("c2197c5eff14e88c", 151_288_809_941_952_652),
        ("9d7f3e7d", 494_878_333),
        ("7bbd", 15_293),
        ("25", 37),
        ("4025", 37),
    ] {
        let bytes = hex(bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.varint(), Ok(value));
        assert!(reader.is_empty());
        if bytes.len() == 2 && value < 64 {
            continue; // Not the shortest encoding.
        }
        let mut buffer = [0; 8];
        let mut writer = Writer::new(&mut buffer);
        writer.varint(value).unwrap();
        assert_eq!(writer.written(), bytes);
    }
}

#[test]
fn rfc9000_16_ranges_of_each_length() {
    for (value, bytes) in [
        (0, "00"),
        (63, "3f"),
        (64, "4040"),
        (16_383, "7fff"),
        (16_384, "80004000"),
        (1_073_741_823, "bfffffff"),
        (1_073_741_824, "c000000040000000"),
        (4_611_686_018_427_387_903, "ffffffffffffffff"),
    ] {
        let mut buffer = [0; 8];
        let mut writer = Writer::new(&mut buffer);
        writer.varint(value).unwrap();
        assert_eq!(writer.written(), hex(bytes));
        assert_eq!(Reader::new(&hex(bytes)).varint(), Ok(value));
    }
}

#[test]
fn rfc9000_a2_packet_number_encoding() {
    assert_eq!(length_for(0xac_5c02, Some(0xab_e8b3)), 2);
    assert_eq!(length_for(0xac_e8fe, Some(0xab_e8b3)), 3);
}

#[test]
fn rfc9000_a3_packet_number_decoding() {
    assert_eq!(expand(0x9b32, 2, 0xa82f_30ea + 1), 0xa82f_9b32);
}

/// Checks that `header` is written as in the RFC, and read back.
fn check_header(header: Header<'_>, number: u64, number_length: usize, payload: usize, written: &str) {
    let mut buffer = [0; 1500];
    let mut writer = Writer::new(&mut buffer);
    let at = header.encode(&mut writer, number, number_length).unwrap();
    assert_eq!(at.payload_offset(), header.encoded_size(number_length));
    let end = at.payload_offset() + payload;
    at.finish(&mut buffer, end);
    assert_eq!(&buffer[..at.payload_offset()], hex(written));
    let Ok(Packet::Protected(read)) = decode(&buffer[..end], 0) else { panic!("not read") };
    assert_eq!((read.kind, read.packet_number_offset, read.end), (header.kind(), at.packet_number_offset(), end));
}

#[test]
fn rfc9001_a_and_rfc9369_a_initial_headers() {
    let destination = id("8394c8f03e515708");
    for (version, client, server) in [
        (Version::V1, "c300000001088394c8f03e5157080000449e00000002", "c1000000010008f067a5502a4262b50040750001"),
        (Version::V2, "d36b3343cf088394c8f03e5157080000449e00000002", "d16b3343cf0008f067a5502a4262b50040750001"),
    ] {
        let header = Header::Initial { version, destination, source: ConnectionId::EMPTY, token: &[] };
        check_header(header, 2, 4, 1162 + 16, client);
        let source = id("f067a5502a4262b5");
        let header = Header::Initial { version, destination: ConnectionId::EMPTY, source, token: &[] };
        check_header(header, 1, 2, 99 + 16, server);
    }
}

#[test]
fn rfc9001_a5_short_header() {
    let header = Header::OneRtt { destination: ConnectionId::EMPTY, spin: false, key_phase: false };
    check_header(header, 654_360_564, 3, 1 + 16, "4200bff4");
}

#[test]
fn rfc9001_a4_and_rfc9369_a_retry() {
    for (version, packet, random) in [
        (Version::V1, "ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba", 0x0f),
        (Version::V2, "cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6", 0x0f),
    ] {
        let packet = hex(packet);
        let Ok(Packet::Retry(retry)) = decode(&packet, 8) else { panic!("not a Retry packet") };
        assert_eq!((retry.version, retry.token), (version, &b"token"[..]));
        assert_eq!((retry.destination, retry.source), (ConnectionId::EMPTY, id("f067a5502a4262b5")));
        let (covered, tag) = packet.split_at(packet.len() - Retry::TAG_LENGTH);
        assert_eq!((retry.covered, &retry.integrity_tag[..]), (covered, tag));

        let mut buffer = [0; 64];
        let mut writer = Writer::new(&mut buffer);
        Retry::encode(&mut writer, version, &retry.destination, &retry.source, retry.token, random).unwrap();
        assert_eq!(writer.written(), covered);
    }
}

/// The CRYPTO frame of RFC 9001 §A.2; the payload ends in PADDING frames.
const CLIENT_INITIAL: &str = "
    060040f1010000ed0303ebf8fa56f129 39b9584a3896472ec40bb863cfd3e868
    04fe3a47f06a2b69484c000004130113 02010000c000000010000e00000b6578
    616d706c652e636f6dff01000100000a 00080006001d00170018001000070005
    04616c706e0005000501000000000033 00260024001d00209370b2c9caa47fba
    baf4559fedba753de171fa71f50f1ce1 5d43e994ec74d748002b000302030400
    0d0010000e0403050306030203080408 050806002d00020101001c0002400100
    3900320408ffffffffffffffff050480 00ffff07048000ffff08011001048000
    75300901100f088394c8f03e51570806 048000ffff";

#[test]
fn rfc9001_a2_client_initial_payload() {
    let mut payload = hex(CLIENT_INITIAL);
    payload.resize(1162, 0);
    let frames: Vec<_> = frame::iter(&payload).collect::<Result<_, _>>().unwrap();
    let [Frame::Crypto(crypto), Frame::Padding { length: 917 }] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((crypto.offset, crypto.data.len()), (0, 241));
}

#[test]
fn rfc9001_a2_transport_parameters_of_the_client() {
    let hello = hex(CLIENT_INITIAL);
    // The last 50 bytes of the ClientHello.
    let read = TransportParameters::decode(&hello[hello.len() - 50..], Side::Client).unwrap();
    assert_eq!(read.initial_max_data, (1 << 62) - 1);
    assert_eq!(read.initial_max_stream_data_bidi_local, 0xffff);
    assert_eq!(read.initial_max_stream_data_bidi_remote, 0xffff);
    assert_eq!(read.initial_max_stream_data_uni, 0xffff);
    assert_eq!((read.initial_max_streams_bidi, read.initial_max_streams_uni), (16, 16));
    assert_eq!(read.max_idle_timeout, 30_000);
    assert_eq!(read.initial_source_connection_id, Some(id("8394c8f03e515708")));
    assert!(read.unknown.is_empty());
}

#[test]
fn rfc9001_a3_server_initial_payload() {
    let payload = hex("02000000000600405a020000560303ee fce7f7b37ba1d1632e96677825ddf739
        88cfc79825df566dc5430b9a045a1200 130100002e00330024001d00209d3c94
        0d89690b84d08a60993c144eca684d10 81287c834d5311bcf32bb9da1a002b00
        020304");
    let frames: Vec<_> = frame::iter(&payload).collect::<Result<_, _>>().unwrap();
    let [Frame::Ack(ack), Frame::Crypto(crypto)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!(ack.ranges().collect::<Vec<_>>(), [0..=0]);
    assert_eq!((ack.delay, ack.ecn, crypto.offset, crypto.data.len()), (0, None, 0, 90));
    let mut buffer = [0; 128];
    let mut writer = Writer::new(&mut buffer);
    for frame in &frames {
        frame.encode(&mut writer).unwrap();
    }
    assert_eq!(writer.written(), payload);
}

#[test]
fn rfc9001_a3_protected_server_initial() {
    let mut packet = hex("cf000000010008f067a5502a4262b5004075c0d9");
    packet.resize(18 + 0x75, 0);
    let Ok(Packet::Protected(header)) = decode(&packet, 8) else { panic!("not a protected packet") };
    assert_eq!((header.kind, header.version), (PacketKind::Initial, Version::V1));
    assert_eq!((header.packet_number_offset, header.end), (18, packet.len()));
}
